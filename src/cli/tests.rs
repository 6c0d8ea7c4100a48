//! How command lines are parsed, and the errors for invalid ones.

use super::*;

fn parsed(line: &str) -> Result<Args, Stop> {
    parse(std::iter::once("webserv").chain(line.split_whitespace()).map(OsString::from).collect())
}

#[test]
fn the_words_people_try_first_do_what_they_say() {
    assert!(parsed("version").is_ok_and(|args| args.own_version));
    assert!(parsed("check x.conf").is_ok_and(|args| args.test && args.config == Some("x.conf".into())));
    assert!(parsed("--format json -c x.conf check").is_ok_and(|args| args.test && args.json && args.file.is_some()));
    assert!(parsed("reload x.conf").is_ok_and(|args| args.signal.as_deref() == Some("reload")));
    for line in
        ["-c x.conf reload", "-q -c x.conf -p /x reload", "reload -c x.conf", "-s reload x.conf", "-s reload -c x"]
    {
        assert!(parsed(line).is_ok_and(|args| args.signal.as_deref() == Some("reload")), "{line}");
    }
    for line in ["-t -c x.conf reload", "-s stop reload", "reload -s stop", "check -s reload", "status -t", "-T stop"] {
        assert!(parsed(line).is_err(), "{line}");
    }
    assert!(parsed("check -T x.conf").is_ok_and(|args| args.test && args.dump));
    assert!(parsed("run x.conf").is_ok_and(|args| args.config == Some("x.conf".into())));
    assert!(matches!(parsed("help"), Err(Stop::Help(text)) if text == super::command::HELP));
    for (word, options) in words().filter(|(word, _)| *word != "help") {
        let page = format!("Usage: webserv {word}");
        let same = format!("The same as webserv {}.", options.join(" "));
        for line in [format!("{word} --help"), format!("help {word}")] {
            let Err(Stop::Help(text)) = parsed(&line) else { panic!("{line}: no page") };
            let is_told = options.is_empty() || text.replace('\n', " ").contains(&same);
            assert!(text.starts_with(&page) && is_told, "{line}: {text}");
        }
    }
}

#[test]
fn the_help_of_a_command_is_in_the_words_of_the_whole() {
    let Err(Stop::Help(page)) = parsed("fmt --help") else { panic!("no page") };
    assert_eq!(
        page,
        "Usage: webserv fmt [--check] FILE ...\n\n\
         Format configurations: indentation, spaces and blank lines; comments are kept.\n\n  \
         --check : change nothing; fail if anything would change\n  \
         FILE    : written only if its layout differs\n"
    );
    assert_eq!(parsed("help fmt").map(|_| ()), Err(Stop::Help(page)));
}

#[test]
fn each_command_has_a_page_with_its_usage_and_a_text_for_each_argument() {
    for command in command().get_subcommands() {
        let page = pages::of(command);
        assert!(page.starts_with(&format!("Usage: webserv {}", command.get_name())), "{page}");
        assert!(command.get_arguments().all(|arg| arg.get_help().is_some()), "{page}");
    }
}

/// A line of 124 columns is broken in the middle of a word by the usual terminal, and hides the layout.
#[test]
fn no_help_is_wider_than_a_terminal() {
    let commands = command();
    let names = commands.get_subcommands().map(|command| command.get_name());
    let pages = names.chain(words().map(|(word, _)| word)).map(|name| format!("help {name}"));
    for line in pages.chain(["--help".to_owned()]) {
        let Err(Stop::Help(text)) = parsed(&line) else { panic!("{line}: no page") };
        for shown in text.lines() {
            assert!(shown.chars().count() <= pages::COLUMNS, "{line}: {shown}");
        }
    }
}

#[test]
fn a_mistake_is_told_in_our_words_and_points_to_help() {
    let table = [
        ("-x", "invalid option: \"x\""),
        ("--prot 80 .", "invalid option: \"--prot\"; did you mean --port?"),
        ("--hlep", "invalid option: \"--hlep\"; did you mean --help?"),
        ("lint --explian W002", "invalid option: \"--explian\"; did you mean --explain?"),
        ("--reload", "invalid option: \"--reload\"; did you mean \"webserv reload CONFIG\"?"),
        ("--root=/srv", "invalid option: \"--root\"; give the directory alone: webserv DIR"),
        ("-d", "invalid option: \"d\"; `daemon on;` in the configuration"),
        (
            "directives --format json autoindex",
            "invalid option: \"--format\"; `webserv directives` has none of that name",
        ),
        ("-c", "option \"-c\" requires file name"),
        ("--port", "option \"--port\" requires a value"),
        ("fmt", "fmt needs a file"),
        ("check-nginx", "check-nginx needs a file"),
        ("sign", "sign needs a key and a URL"),
        ("diff a", "diff needs two configurations"),
        ("--port eighty .", "option \"--port\" does not take \"eighty\": 1 to 65535"),
        (". --port -1", "option \"--port\" does not take \"-1\": 1 to 65535"),
        ("--bind nohost .", "option \"--bind\" does not take \"nohost\": an address"),
        ("--format yaml", "option \"--format\" does not take \"yaml\": text or json"),
        ("-s foo", "invalid option: \"-s foo\"\nsignals are"),
        ("--upload=yes .", "option \"--upload\" takes no value"),
        ("help relaod", "no command is called \"relaod\"; did you mean \"webserv reload\"?"),
        ("help autoindex", "no command is called \"autoindex\"; it is a directive: webserv directives autoindex"),
        ("help unheard-of", "no command is called \"unheard-of\""),
        ("help foo", "no command is called \"foo\"\nsee"),
        ("--foo", "invalid option: \"--foo\"\nsee"),
        ("unheard-of site.conf", "\"unheard-of\" is neither a command nor a file nor a directory"),
        ("kill site.conf", "\"kill\" is not a command; did you mean \"webserv stop CONFIG\"?"),
        ("verify site.conf", "\"verify\" is not a command; did you mean \"webserv check CONFIG\"?"),
        ("restart site.conf", "\"restart\" is not a command; a new configuration is taken without a restart"),
        ("completion bash", "\"completion\" is not a command; the packages install them"),
        ("--all site.conf", "--all goes with --status"),
        ("reload --all site.conf", "--all goes with --status"),
        (". extra", "\"extra\" is one argument too many"),
        (". 8080", "\"8080\" is one argument too many; did you mean --port 8080?"),
        (". lint", "\"lint\" is one argument too many; a command comes first: webserv lint"),
        (". -p 8080", "-p is nginx's prefix; did you mean --port 8080?"),
        (". -g daemon;", "\"-g\" cannot be used with a directory"),
        ("-c b.conf lint", "\"lint\" and -c \"b.conf\" are two configurations"),
        ("a.conf -c b.conf", "\"a.conf\" and -c \"b.conf\" are two configurations"),
    ];
    for (line, expected) in table {
        match parsed(line) {
            Err(Stop::Mistake(text)) => {
                assert!(text.starts_with(expected) && text.ends_with("\nsee 'webserv --help'"), "{line}: {text}");
            }
            other => panic!("{line}: {other:?}"),
        }
    }
    let empty = parse(vec!["webserv".into(), "".into()]).map(|args| args.config);
    assert_eq!(empty, Err(Stop::mistake("an argument is empty")));
}

#[test]
fn a_first_word_that_is_no_command_has_its_advice() {
    let table = [
        ("restart", "webserv reload"),
        ("8080", "--port 8080"),
        ("https://a.test/", "\"a.test\""),
        ("strat", "webserv start"),
    ];
    for (word, expected) in table {
        assert!(advice_on_word(word).is_some_and(|advice| advice.contains(expected)), "{word}");
    }
    assert_eq!(advice_on_word("unheard-of"), None);
}

//! What is generated from the code: manual pages, shell completions, the list of directives. The files are committed,
//! so that packages need no generator; this test fails where they are older than the code. `make docs` writes them.

#[path = "manual/chapters.rs"]
mod chapters;
#[allow(dead_code)]
#[path = "../src/cli.rs"]
mod cli;

use clap_complete::Shell;
use std::fs;
use std::path::Path;
use webserv::config::registry;
use webserv::config::template::Builtin;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// One entry of the text manual: its name, and the lines below it.
struct Entry<'a> {
    name: &'a str,
    facts: Vec<(&'a str, &'a str)>,
    text: String,
}

/// The manual's entries, then its lists of what is ignored and refused as they are.
fn entries(manual: &str) -> (Vec<Entry<'_>>, Vec<&str>) {
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    for block in manual.split("\n\n") {
        let mut lines = block.lines();
        let Some(name) = lines.next() else { continue };
        let facts: Vec<(&str, &str)> = lines.clone().filter_map(|line| line.trim_start().split_once(": ")).collect();
        if name.starts_with(' ') || name.contains(' ') || !facts.iter().any(|(what, _)| *what == "class") {
            rest.push(block);
            continue;
        }
        const FACTS: [&str; 7] = ["also", "syntax", "takes", "default", "where", "class", "example"];
        let is_fact = |line: &&str| line.trim_start().split_once(": ").is_some_and(|(what, _)| FACTS.contains(&what));
        let text: Vec<&str> = lines.skip_while(is_fact).map(str::trim).collect();
        let facts = facts.into_iter().filter(|(what, _)| FACTS.contains(what)).collect();
        found.push(Entry { name, facts, text: text.join(" ") });
    }
    (found, rest)
}

/// A long text in parts that are easier to read, each of whole sentences.
fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    const LONG: usize = 400;
    let mut rest = text;
    std::iter::from_fn(move || {
        let ends = rest.match_indices(". ").map(|(at, _)| at + 1);
        // The last part is no single short sentence.
        let mut ends = ends.filter(|at| *at >= LONG && rest.len() - at >= LONG / 2);
        let (part, after) = rest.split_at(ends.next().unwrap_or(rest.len()));
        rest = after.trim_start();
        (!part.is_empty()).then_some(part)
    })
}

/// Lines that stay as they are.
fn lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", roff(line))).collect()
}

/// Text for roff: nothing of it is a request or an escape.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    match escaped.starts_with(['.', '\'']) {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// webserv.conf(5).
fn directives_page(manual: &str) -> String {
    let (entries, rest) = entries(manual);
    let mut out = String::from(
        ".TH WEBSERV.CONF 5 \"2026-11-28\" webserv \"File formats\"\n.SH NAME\nwebserv.conf \\- the configuration of webserv(8)\n\
         .SH DESCRIPTION\nThe language is nginx's: directives end with a semicolon, blocks stand in braces, # begins a \
         comment.\n.B webserv \\-t\nchecks a file and explains every mistake.\n",
    );
    out.push_str(&format!(
        ".SH EXAMPLE\n.nf\n{}.fi\n.SH DIRECTIVES\n",
        lines(include_str!("../conf/examples/uploads.conf"))
    ));
    for entry in &entries {
        out.push_str(&format!(".SS {}\n", roff(entry.name)));
        for (what, value) in &entry.facts {
            out.push_str(&format!("{what}: {}\n.br\n", roff(value)));
        }
        out.push_str(&format!("{}\n", paragraphs(&entry.text).map(roff).collect::<Vec<_>>().join("\n.PP\n")));
    }
    let mut names: Vec<&str> = Builtin::ALL.iter().map(|variable| variable.name()).collect();
    names.sort_unstable();
    let families = "arg_NAME, cookie_NAME, http_NAME, sent_http_NAME, sent_trailer_NAME, upstream_http_NAME, \
                    upstream_cookie_NAME, upstream_trailer_NAME, and the captures 1 to 9";
    let families = format!("Families: {families}. The names mean what they mean in nginx.");
    out.push_str(&format!(".SH VARIABLES\n{}\n.PP\n{}\n", roff(&names.join(", ")), roff(&families)));
    out.push_str(".SH OTHER DIRECTIVES OF NGINX\n");
    let mut goes_on = false;
    for line in rest.iter().flat_map(|block| block.lines()).filter(|line| !line.trim().is_empty()) {
        match line.strip_prefix("    ") {
            Some(line) => out.push_str(&format!("{}{}\n", if goes_on { ".br\n" } else { "" }, roff(line))),
            None => out.push_str(&format!(".SS {}\n", roff(line))),
        }
        goes_on = line.starts_with("    ");
    }
    out.push_str(".SH SEE ALSO\n.BR webserv (8)\n");
    out
}

/// webserv(8): the generator's page with the usage lines of `--help`, and without references to pages that there are
/// none of.
fn program_page() -> String {
    let mut out = Vec::new();
    let man = clap_mangen::Man::new(cli::command()).section("8").manual("System administration").date("");
    man.render(&mut out).expect("a page in memory");
    let page = String::from_utf8(out).expect("roff is text");
    let page = page.replace("\n.br\n\n.br\n", "\n.sp\n");
    let page = page.replace("webserv\\-", "webserv ").replace("(8)\n", "\n").replace(".SH SUBCOMMANDS", ".SH COMMANDS");
    let page = page.replace(".TH webserv 8  \"webserv \"", ".TH WEBSERV 8 \"2026-11-28\" webserv");
    let (before, rest) = page.split_once(".SH SYNOPSIS\n").expect("the page has a synopsis");
    let (_, after) = rest.split_once(".SH DESCRIPTION\n").expect("the page has a description");
    let help = cli::command().render_help().to_string();
    let usage: String = help
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| format!("{}\n", roff(line.get(7..).unwrap_or_default())))
        .collect();
    let (options, _) = after.split_once(".SH COMMANDS\n").expect("the page has commands");
    let options = options.replace("\\fI<", "\\fI").replace(">\\fR", "\\fR").replace("Print help", "show the help");
    let mut page = format!("{before}.SH SYNOPSIS\n.nf\n{usage}.fi\n.SH DESCRIPTION\n{options}.SH COMMANDS\n");
    for command in cli::command().get_subcommands() {
        page.push_str(&command_section(command.get_name()));
    }
    for (word, options) in cli::words() {
        page.push_str(&format!(".TP\nwebserv {word}\n{}\n", roff(&about_word(options))));
    }
    page.push_str(EXAMPLES);
    page.push_str(
        ".SH SIGNALS\n.TP\nHUP\nreload the configuration; a mistake keeps the old one\n.TP\nUSR1\nreopen the logs\n\
         .TP\nUSR2\nstart a new binary over the same sockets\n.TP\nQUIT\nfinish the requests under way, then end\n\
         .TP\nTERM, INT\nend at once\n.PP\n\\-s drain is no signal of its own: the health checks of the running server fail \
         first, and after drain_delay it ends as by QUIT.\n\
         .SH ENVIRONMENT\n.TP\nNO_COLOR\nmessages without colours on a terminal, too\n.TP\nXDG_STATE_HOME, HOME\nwhere \
         certificates that the server makes and passwords of \\-\\-auth are kept\n.TP\nSTATE_DIRECTORY\nthe same, as systemd \
         gives it; it comes first\n.TP\nLISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES\nlisteners that systemd hands over \
         (webserv.socket)\n.TP\nNOTIFY_SOCKET, WATCHDOG_USEC\nwhere start, reload, stop and signs of life are reported \
         (Type=notify)\n.TP\nNGINX\nlisteners that an older process hands over, as nginx does\n\
         .SH EXIT STATUS\n0 where the command did what it says, 1 where it did not. With \\-t and check: whether the \
         configuration is valid.\n\
         .SH FILES\n.TP\nconf/default.conf, /etc/webserv/webserv.conf\nthe configuration where none is named, the first \
         that there is\n.TP\n/etc/webserv/sites\\-available, /etc/webserv/sites\\-enabled\nthe sites of a package\n\
         .SH SEE ALSO\n.BR webserv.conf (5)\n",
    );
    page
}

const EXAMPLES: &str = ".SH EXAMPLES\n.nf\n\
    webserv ~/Downloads                            # a directory, at http://localhost:8000/, for this machine only\n\
    webserv . \\-\\-upload \\-\\-bind 0.0.0.0 \\-\\-auth alice   # for the network, with uploads and a password\n\
    webserv . \\-\\-upload \\-\\-print\\-config > site.conf    # the same as a configuration to grow from\n\
    webserv \\-t site.conf                            # each mistake with its line\n\
    webserv site.conf                               # serve it, in the foreground\n\
    webserv reload site.conf                        # use what has changed (the configuration names a pid file)\n\
    webserv explain site.conf 'GET /a'              # what would be answered, and why\n\
    webserv fmt \\-\\-check site.conf\n.fi\n";

/// What `webserv COMMAND --help` prints, below a heading.
fn command_section(name: &str) -> String {
    let asked = ["webserv", "help", name].map(std::ffi::OsString::from);
    let Err(cli::Stop::Help(text)) = cli::parse(asked.into()) else { panic!("{name} has no page") };
    format!(".SS webserv {}\n.nf\n{}.fi\n", roff(name), lines(text.trim_end()))
}

/// What a word of the command line stands for.
fn about_word(options: &[&str]) -> String {
    match options {
        [] => "serve a configuration or a directory".to_owned(),
        options => format!("the same as webserv {}", options.join(" ")),
    }
}

/// The handbook's page of directives, and of what the search box finds in the chapters: no network is needed.
fn handbook_page(manual: &str) -> String {
    let (entries, _) = entries(manual);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Directives – webserv handbook</title>\n<link rel=\"icon\" href=\"/favicon.svg\">\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n{}<main>\n<h1>Directives</h1>\n\
         <p id=\"count\" role=\"status\"></p>\n",
        chapters::nav("directives")
    );
    for (name, title, _) in chapters::CHAPTERS {
        for (link, heading, text) in chapters::sections(name, &chapter(name)) {
            let heading = if heading == title { heading } else { format!("{title}: {heading}") };
            out.push_str(&format!(
                "<section class=\"chapter\" hidden>\n<h2><a href=\"{link}\">{heading}</a></h2>\n<p>{text}</p>\n</section>\n"
            ));
        }
    }
    for entry in &entries {
        out.push_str(&format!(
            "<section id=\"{0}\">\n<h2><a href=\"#{0}\">{0}</a></h2>\n{1}<dl>\n",
            entry.name,
            paragraphs(&entry.text).map(|part| format!("<p>{}</p>\n", html(part))).collect::<String>()
        ));
        for (what, value) in &entry.facts {
            out.push_str(&format!("<dt>{what}<dd>{}\n", html(value)));
        }
        out.push_str("</dl>\n</section>\n");
    }
    out.push_str("</main>\n<script src=\"/directives.js\"></script>\n</html>\n");
    out
}

fn chapter_file(name: &str) -> String {
    format!("www/handbook/{name}.html")
}

fn chapter(name: &str) -> String {
    fs::read_to_string(Path::new(TOP).join(chapter_file(name))).expect("a chapter")
}

/// What stands behind the server's own options: a file, a directory, or something else.
fn hinted(command: clap::Command) -> clap::Command {
    use clap::ValueHint::{AnyPath, DirPath, FilePath, Other};
    let files = [("c", FilePath), ("e", FilePath), ("p", DirPath), ("config", AnyPath)];
    let others = ["g", "port", "bind", "auth"].map(|name| (name, Other));
    let hints = files.into_iter().chain(others);
    hints.fold(command, |command, (name, hint)| command.mut_arg(name, |arg| arg.value_hint(hint)))
}

/// The server's options that a word may have behind it, besides those that it stands for.
fn options_behind(options: &[&str]) -> &'static [&'static str] {
    const SERVE: &[&str] = &[
        "config",
        "c",
        "p",
        "g",
        "e",
        "upload",
        "port",
        "bind",
        "auth",
        "tls",
        "qr",
        "hidden",
        "follow-links",
        "print-config",
    ];
    match options {
        [] => SERVE,
        ["--version"] => &[],
        ["--status"] => &["config", "c", "p", "all", "format"],
        ["-s", _] => &["config", "c", "p", "q"],
        _ => &["config", "c", "p", "g", "q", "format"],
    }
}

/// The words that an argument can be: parsing takes them from tables of its own, and a shell completes them.
fn with_values(command: clap::Command) -> clap::Command {
    use clap::ValueHint::Other;
    let one_of = |words: Vec<&'static str>| clap::builder::PossibleValuesParser::new(words);
    let mut directives: Vec<&str> = registry::rows().map(|row| row.name).collect();
    directives.sort_unstable();
    directives.dedup();
    let codes = webserv::tools::lint::rules().iter().map(|rule| rule.code).collect();
    let commands: Vec<&str> = command.get_subcommands().map(|sub| &*sub.get_name().to_owned().leak()).collect();
    let page = || clap::Arg::new("page").long("help").action(clap::ArgAction::SetTrue).help("show what it does");
    let with_help = |command: clap::Command, name: &&str| command.mut_subcommand(name, |sub| sub.arg(page()));
    commands
        .iter()
        .fold(command, with_help)
        .mut_arg("s", |arg| arg.value_parser(one_of(vec!["stop", "quit", "reopen", "reload", "drain", "upgrade"])))
        .mut_subcommand("directives", |sub| sub.mut_arg("name", |arg| arg.value_parser(one_of(directives))))
        .mut_subcommand("lint", |sub| sub.mut_arg("rule", |arg| arg.value_parser(one_of(codes))))
        .mut_subcommand("sign", |sub| {
            let texts = ["url", "expires", "methods", "size", "types", "place"];
            texts.into_iter().fold(sub, |sub, name| sub.mut_arg(name, |arg| arg.value_hint(Other)))
        })
        .mut_subcommand("help", |sub| sub.mut_arg("config", |arg| arg.value_parser(one_of(commands))))
}

/// For bash: options where a dash is typed, else what a word can be, files among it.
const BASH_WORDS: &str = r#"
_webserv_words() {
    local word
    COMPREPLY=()
    for word in $(compgen -W "${opts}" -- "${cur}"); do
        [[ ${cur} == -* || ${word} != -* ]] && COMPREPLY+=("${word}")
    done
    [[ ${cur} == -* || ${cmd} == *directives || ${cmd} == *help ]] && return
    compopt -o filenames 2>/dev/null
    while IFS= read -r word; do COMPREPLY+=("${word}"); done < <(compgen -f -- "${cur}")
}
"#;

/// For zsh: the first word is a command, or a file.
const ZSH_FIRST: &str = r#"
_webserv_first() {
    _alternative 'commands:command:_webserv_commands' 'files:configuration or directory:_files'
}
"#;

/// The generator's script, where it does not know that the first word may be a file or a directory instead of a
/// command.
fn amended(shell: Shell, script: &str, commands: &[String]) -> String {
    match shell {
        Shell::Bash => {
            let words = r#"COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )"#;
            assert!(script.contains(words), "the generator writes bash otherwise");
            format!("{}{BASH_WORDS}", script.replace(words, "_webserv_words"))
        }
        Shell::Zsh => {
            let is_config = |line: &&str| line.starts_with("'::config -- configuration to serve");
            let lines = script.lines().filter(|line| !is_config(line)).map(|line| format!("{line}\n"));
            let text = lines.collect::<String>().replace("$line[2]", "$line[1]");
            let first = "\":: :_webserv_commands\"";
            assert!(text.contains(first), "the generator writes zsh otherwise");
            let (before, after) = text.split_once("\n(( $+functions[").expect("functions behind the first");
            let before = before.replace(first, "\": :_webserv_first\"");
            // Behind a file or a directory the server's own options stand, too.
            let options: String =
                before.lines().filter(|line| line.starts_with("'-")).map(|l| format!("{l}\n")).collect();
            let (options, _) = options.split_once("'--help[show the help]'").expect("the last of them is --help");
            let end = "        esac\n    ;;\nesac";
            assert!(before.contains(end), "the generator ends its cases otherwise");
            let others = format!(
                "(*)\n_arguments \"${{_arguments_options[@]}}\" : \\\n{options}'*: :_files' \\\n&& ret=0\n;;\n"
            );
            let before = before.replace(end, &format!("{others}{end}"));
            format!("{before}{ZSH_FIRST}\n(( $+functions[{after}")
        }
        _ => {
            let needs = "-n \"__fish_webserv_needs_command\"";
            let seen = format!("-n \"not __fish_seen_subcommand_from {}\"", commands.join(" "));
            let is_option = |line: &str| [" -s ", " -l "].iter().any(|kind| line.contains(kind));
            let line = |line: &str| if is_option(line) { line.replace(needs, &seen) } else { line.to_owned() };
            let mut out: String = script.lines().map(|text| line(text) + "\n").collect();
            // The generator knows no words of arguments without an option.
            let mut names: Vec<&str> = registry::rows().map(|row| row.name).collect();
            names.sort_unstable();
            names.dedup();
            for (command, words) in [("directives", names.join(" ")), ("help", commands.join(" "))] {
                let of = format!("-n \"__fish_webserv_using_subcommand {command}\"");
                out.push_str(&format!("complete -c webserv {of} -f -a \"{words}\"\n"));
            }
            out
        }
    }
}

fn completion(shell: Shell) -> String {
    let mut out = Vec::new();
    let server = hinted(cli::command());
    let words = cli::words().map(|(word, options)| {
        let behind = options_behind(options);
        let args = server.get_arguments().filter(|arg| behind.contains(&arg.get_id().as_str())).cloned();
        clap::Command::new(word).about(about_word(options)).args(args)
    });
    let mut command = with_values(server.clone().subcommands(words));
    let commands: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    clap_complete::generate(shell, &mut command, "webserv", &mut out);
    let script = String::from_utf8(out).expect("a script is text").replace("Print help", "show the help");
    amended(shell, &script, &commands)
}

#[test]
fn the_generated_files_are_those_of_the_code() {
    let text = registry::reference(registry::Markup::Text);
    let markdown = format!(
        "# Directives\n\nGenerated from the code by `make docs`; `webserv directives` prints the same.\n\n{}",
        registry::reference(registry::Markup::Markdown)
    );
    let files = [
        ("packaging/man/webserv.8", program_page()),
        ("packaging/man/webserv.conf.5", directives_page(&text)),
        ("packaging/completions/webserv.bash", completion(Shell::Bash)),
        ("packaging/completions/_webserv", completion(Shell::Zsh)),
        ("packaging/completions/webserv.fish", completion(Shell::Fish)),
        ("docs/directives.md", markdown),
        ("www/handbook/directives.html", handbook_page(&text)),
    ];
    let chapters =
        chapters::CHAPTERS.map(|(name, _, path)| (path.to_owned(), chapters::markdown(name, &chapter(name))));
    let pages = chapters::CHAPTERS.map(|(name, ..)| name).into_iter().chain(["404"]);
    let linked = pages.map(|name| (chapter_file(name), chapters::with_nav(name, &chapter(name))));
    let files = files.map(|(path, content)| (path.to_owned(), content));
    let write = std::env::var_os("WEBSERV_WRITE_DOCS").is_some();
    let mut old = Vec::new();
    for (path, content) in files.into_iter().chain(chapters).chain(linked) {
        let file = Path::new(TOP).join(&path);
        if write {
            fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
            fs::write(&file, &content).expect("a file");
        } else if fs::read_to_string(&file).unwrap_or_default() != content {
            old.push(path);
        }
    }
    assert!(old.is_empty(), "older than the code: {}; `make docs` writes them", old.join(", "));
}

#[test]
fn every_directive_of_the_manual_is_an_entry_of_the_pages() {
    let text = registry::reference(registry::Markup::Text);
    let (entries, _) = entries(&text);
    let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    for row in webserv::config::registry::rows() {
        assert!(names.contains(&row.name), "{}", row.name);
    }
    assert!(entries.iter().all(|entry| !entry.text.is_empty()), "each says what it does");
}

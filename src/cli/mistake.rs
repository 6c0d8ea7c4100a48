//! Errors in the command line, in nginx's words if it has this error, with suggestions.

use super::command::HELP;
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::path::Path;

/// Nothing is executed: help was requested, or the arguments are wrong.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// `--help`: text for standard output.
    Help(String),
    /// Lines for standard error, without the program's name.
    Mistake(String),
}

impl Stop {
    /// With a hint at the help.
    pub fn mistake(what: &str) -> Stop {
        Stop::Mistake(format!("{what}\nsee 'webserv --help'"))
    }
}

/// What a command line may contain.
pub struct CommandSyntax {
    /// The options of nginx and of the commands, for clap.
    pub command: Command,
    /// Words that stand for options.
    pub words: Vec<&'static str>,
}

/// Options of other servers, and their equivalents here.
const ELSEWHERE: [(&[&str], &str); 17] = [
    (&["reload", "stop", "quit", "reopen", "drain", "upgrade"], "did you mean \"webserv {} CONFIG\"?"),
    (&["config", "conf", "configuration"], "give the file alone: webserv FILE, or as in nginx: webserv -c FILE"),
    (&["root", "dir", "directory", "path", "document-root"], "give the directory alone: webserv DIR"),
    (&["listen", "host", "address", "addr", "interface", "interfaces"], "did you mean --bind ADDRESS and --port PORT?"),
    (&["https", "ssl", "cert", "certificate", "tls-cert", "tls-key"], "did you mean --tls?"),
    (&["user", "username", "password", "basic-auth", "a"], "did you mean --auth USER?"),
    (
        &["allow-upload", "allow-delete", "upload-files", "write", "writable", "allow-all", "rw", "A"],
        "did you mean --upload?",
    ),
    (
        &["allow-archive", "allow-search", "enable-zip", "enable-tar"],
        "folders are downloaded and searched without an option",
    ),
    (
        &[
            "cors",
            "enable-cors",
            "path-prefix",
            "route-prefix",
            "render-index",
            "render-spa",
            "spa",
            "render-try-index",
        ],
        "a configuration can have that: webserv DIR --print-config > webserv.conf",
    ),
    (&["b"], "did you mean --bind ADDRESS?"),
    (&["P"], "did you mean --port PORT?"),
    (&["index", "index-file"], "a directory is shown by its listing; a configuration can have `index index.html;`"),
    (&["readonly", "read-only"], "a directory is served read-only without --upload"),
    (&["test", "check", "validate", "configtest"], "did you mean -t?"),
    (&["foreground", "no-daemon", "nodaemon"], "webserv FILE stays in the foreground by itself"),
    (
        &["daemon", "background", "d", "D"],
        "`daemon on;` in the configuration does that, or -g 'daemon on;'; as a service: systemctl start webserv",
    ),
    (&["debug", "verbose"], "did you mean -g 'error_log stderr debug;'?"),
];

/// First words that mean nothing here, and their equivalents.
const FIRST_WORDS: [(&[&str], &str); 9] = [
    (
        &["restart"],
        "a new configuration is taken without a restart: webserv reload CONFIG; else webserv stop CONFIG and start it \
         again, or systemctl restart webserv",
    ),
    (&["enable", "disable", "install", "uninstall"], "a service is systemd's: systemctl enable --now webserv"),
    (
        &["init", "new", "config", "configure"],
        "a configuration to begin with: webserv DIR --print-config > webserv.conf",
    ),
    (&["man", "manual", "docs"], "the manual: webserv help, webserv directives, man webserv"),
    (&["verify", "lint-config"], "did you mean \"webserv check CONFIG\"?"),
    (&["daemon", "background"], "`daemon on;` in the configuration does that; as a service: systemctl start webserv"),
    (&["kill", "exit", "end"], "did you mean \"webserv stop CONFIG\"?"),
    (&["completion", "completions"], "the packages install them; the sources have them in packaging/completions"),
    (&["log", "logs"], "logs are where error_log and access_log of the configuration say, or journalctl -u webserv"),
];

/// The equivalent of a command that other servers and tools have.
fn advice_on_foreign(word: &str) -> Option<&'static str> {
    FIRST_WORDS.iter().find(|(words, _)| words.contains(&word)).map(|(_, advice)| *advice)
}

/// The equivalent of a first word that is neither a file nor a command.
pub fn advice_on_word(word: &str, known: &CommandSyntax) -> Option<String> {
    if let Some(advice) = advice_on_foreign(word) {
        return Some(advice.to_owned());
    }
    if word.parse::<u16>().is_ok_and(|port| port > 0) {
        return Some(format!("did you mean a port? webserv . --port {word}"));
    }
    if let Some((_, place)) = word.split_once("://") {
        let host = place.split('/').next().unwrap_or_default();
        return Some(format!("\"{host}\" is a name that clients use; name what is served here"));
    }
    near_command(word, known).map(|near| format!("did you mean \"webserv {near}\"?"))
}

/// The number of wrong letters up to which a suggestion is made: one in a word of three.
fn slips_in(word: &str) -> usize {
    2.min(word.len() / 2)
}

/// The command that a word resembles.
fn near_command(word: &str, known: &CommandSyntax) -> Option<String> {
    let words = known.words.iter().copied().chain(known.command.get_subcommands().map(Command::get_name));
    let near = words.map(|known| (strsim::damerau_levenshtein(known, word), known)).min()?;
    (near.0 <= slips_in(word)).then(|| near.1.to_owned())
}

/// What an unknown option (without dashes) may mean: a clause for the end of the message. `first`: the first argument,
/// which may be a command with its own options.
fn meant_by(option: &str, first: &str, known: &CommandSyntax) -> String {
    let name = option.split('=').next().unwrap_or_default();
    if let Some((_, advice)) = ELSEWHERE.iter().find(|(names, _)| names.contains(&name)) {
        return format!("; {}", advice.replace("{}", name));
    }
    let near = |long: &&str| strsim::damerau_levenshtein(long, name) <= slips_in(name);
    let command = known.command.find_subcommand(first);
    let all = || known.command.get_arguments();
    if command.is_some() && all().any(|arg| arg.get_long() == Some(name)) {
        return format!("; `webserv {first}` has none of that name: see 'webserv {first} --help'");
    }
    // The server's own options are not accepted after a command.
    let own = command.into_iter().flat_map(Command::get_arguments);
    let longs = own.chain(all().filter(|_| command.is_none())).filter_map(|arg| arg.get_long()).chain(["help"]);
    let found = longs.filter(|long| near(long)).min_by_key(|long| strsim::damerau_levenshtein(long, name));
    if let Some(long) = found {
        return format!("; did you mean --{long}?");
    }
    let word = if name.len() > 2 { near_command(name, known) } else { None };
    word.map_or_else(String::new, |word| format!("; did you mean \"webserv {word}\"?"))
}

/// A word after the configuration or directory.
fn too_many(word: &str, known: &CommandSyntax) -> String {
    let is_command = known.words.contains(&word) || known.command.find_subcommand(word).is_some();
    let meant = match word.parse::<u16>() {
        Ok(port) => format!("; did you mean --port {port}?"),
        Err(_) if is_command => format!("; a command comes first: webserv {word} …"),
        Err(_) => String::new(),
    };
    format!("\"{word}\" is one argument too many{meant}")
}

/// A first word that is neither a command nor a file, where the mistake seems to be behind it.
fn wrong_first(kind: ErrorKind, first: &str, given: &str, known: &CommandSyntax) -> Option<String> {
    let is_behind =
        matches!(kind, ErrorKind::ArgumentConflict | ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    if !is_behind || first.starts_with('-') || Path::new(first).exists() {
        return None;
    }
    if let Some(advice) = advice_on_foreign(first) {
        return Some(format!("\"{first}\" is not a command; {advice}"));
    }
    match near_command(first, known) {
        Some(near) => (near != first).then(|| format!("\"{first}\" is not a command; did you mean \"{near}\"?")),
        None => {
            (!given.starts_with('-')).then(|| format!("\"{first}\" is neither a command nor a file nor a directory"))
        }
    }
}

/// The values that an option accepts.
const TAKES: [(&str, &str); 4] = [
    ("--port", ": 1 to 65535"),
    ("--bind", ": an address, as in 0.0.0.0, :: or 192.0.2.1"),
    ("--from", ": an address, as in 192.0.2.1"),
    ("--format", ": text or json"),
];

/// Commands that require an argument, with an example.
const EXAMPLES: [(&str, &str); 4] = [
    ("fmt", "fmt needs a file, as in: webserv fmt conf/default.conf"),
    ("check-nginx", "check-nginx needs a file, as in: webserv check-nginx /etc/nginx/nginx.conf"),
    ("diff", "diff needs two configurations, as in: webserv diff old.conf new.conf --log logs/access.log"),
    ("sign", "sign needs a key and a URL, as in: webserv sign --key link.key https://files.example/inbox/"),
];

/// nginx's words for an option's missing argument.
const MISSING_ARGUMENT: [(char, &str); 5] =
    [('c', "file name"), ('e', "file name"), ('p', "directory name"), ('g', "parameter"), ('s', "parameter")];

/// Converts the parser's error. `first` is the first argument.
pub fn stop(error: &clap::Error, first: &str, known: &CommandSyntax) -> Stop {
    let argument = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let (given, extra) = (argument(ContextKind::InvalidArg), argument(ContextKind::InvalidSubcommand));
    let bare = given.trim_start_matches('-');
    if let Some(text) = wrong_first(error.kind(), first, &given, known) {
        return Stop::mistake(&text);
    }
    let mistake = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return Stop::Help(HELP.to_owned());
        }
        ErrorKind::UnknownArgument if given.starts_with('-') && bare.is_empty() => {
            format!("invalid option: \"{given}\"")
        }
        ErrorKind::UnknownArgument if given.starts_with('-') => {
            // nginx quotes a short option without its dash.
            let shown = if given.starts_with("--") { &given } else { bare };
            format!("invalid option: \"{shown}\"{}", meant_by(bare, first, known))
        }
        ErrorKind::UnknownArgument => too_many(&given, known),
        ErrorKind::ArgumentConflict if !extra.is_empty() => too_many(&extra, known),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if given.starts_with("--") => {
            let option = given.split(' ').next().unwrap_or_default();
            let takes = TAKES.iter().find(|(name, _)| *name == option).map_or("", |(_, takes)| takes);
            match argument(ContextKind::InvalidValue) {
                value if value.is_empty() => format!("option \"{option}\" requires a value"),
                value => format!("option \"{option}\" does not take \"{value}\"{takes}"),
            }
        }
        // A word of its own, not an option's value.
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if !given.starts_with('-') => {
            "an argument is empty".to_owned()
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let letter = bare.chars().next().unwrap_or('-');
            let wants =
                MISSING_ARGUMENT.iter().find(|(option, _)| *option == letter).map_or("a value", |(_, what)| what);
            format!("option \"-{letter}\" requires {wants}")
        }
        ErrorKind::TooManyValues => {
            format!("option \"{}\" takes no value", given.split([' ', '=']).next().unwrap_or_default())
        }
        ErrorKind::MissingRequiredArgument => EXAMPLES
            .iter()
            .find(|(command, _)| *command == first)
            .map_or("an argument is missing", |(_, example)| example)
            .to_owned(),
        ErrorKind::ArgumentConflict if !given.is_empty() => {
            format!("\"{given}\" cannot be used with a command; server options are given without one")
        }
        _ => "the arguments are not understood".to_owned(),
    };
    Stop::mistake(&mistake)
}

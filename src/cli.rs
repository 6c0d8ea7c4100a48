//! The command line: `webserv [CONFIG]`, nginx's options, and our subcommands. Only parsing.

#[path = "cli/command.rs"]
mod command;
#[path = "cli/mistake.rs"]
mod mistake;
#[path = "cli/pages.rs"]
mod pages;
#[path = "cli/sign.rs"]
mod sign;

pub use command::command;
pub use mistake::Stop;

use clap::{Arg, ArgMatches};
use mistake::{CommandSyntax, stop};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use webserv::server::signal_command::signal_number;
use webserv::tools::manual;
use webserv::tools::sign::Sign;

/// The parsed command line.
#[derive(Debug)]
pub struct Args {
    /// A configuration, or a directory to serve.
    pub config: Option<PathBuf>,
    /// The options for serving a directory.
    pub share: Share,
    /// `-c`.
    pub file: Option<PathBuf>,
    /// `-p`.
    pub prefix: Option<PathBuf>,
    /// `-e`.
    pub error_log: Option<PathBuf>,
    /// `-g`.
    pub directives: Option<OsString>,
    /// `-s`.
    pub signal: Option<String>,
    /// The configuration is only checked.
    pub test: bool,
    /// `-T`: the configuration is printed.
    pub dump: bool,
    /// `-q`: only errors are printed.
    pub quiet: bool,
    /// `-v`.
    pub version: bool,
    /// `-V`.
    pub build: bool,
    /// `--version`: webserv's own.
    pub own_version: bool,
    /// `reference`.
    pub reference: Option<Reference>,
    /// `explain`.
    pub explain: Option<Explain>,
    /// Another command.
    pub tool: Option<Tool>,
    /// Show the first address as a QR code.
    pub qr: bool,
    /// Show how the running server is doing.
    pub status: bool,
    /// With `status`: every counter instead of a summary.
    pub all: bool,
    /// Diagnostics as JSON, one object per line.
    pub json: bool,
}

impl Args {
    /// Whether only serving was requested.
    pub fn serves(&self) -> bool {
        let looks = self.test || self.dump || self.status;
        !looks && self.signal.is_none() && self.tool.is_none() && self.explain.is_none() && self.reference.is_none()
    }
}

/// Commands that read configurations without serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Show where the local certificates for these names are, and how to trust them.
    Cert(Vec<String>),
    /// Create a link for `signed_link`.
    Sign(Sign),
    /// Warn about valid but probably unintended configuration.
    Lint,
    /// The page of a rule; an empty code lists all.
    Rule(String),
    /// Act as a language server.
    Editor,
    /// Report how an nginx configuration would behave here.
    CheckNginx,
    /// Report which logged requests a new configuration would answer differently.
    Diff { new: PathBuf, log: Option<PathBuf>, exit_code: bool },
    /// Lay out configurations.
    Format {
        /// Only report which files would change.
        check: bool,
        files: Vec<PathBuf>,
    },
}

/// The options of `webserv DIR`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Files may be uploaded.
    pub upload: bool,
    /// None: the default of `webserv DIR`.
    pub port: Option<u16>,
    /// None: 127.0.0.1.
    pub bind: Option<IpAddr>,
    /// The user whose password is required.
    pub auth: Option<String>,
    /// TLS, with a certificate of this machine's own.
    pub tls: bool,
    /// Serve names that begin with a dot too.
    pub hidden: bool,
    /// Symbolic links may lead out of the directory.
    pub follow_links: bool,
    /// Print the configuration instead of serving.
    pub print_config: bool,
}

impl Share {
    /// The first of these options that is given.
    pub fn first_option(&self) -> Option<&'static str> {
        let options = [
            (self.upload, "--upload"),
            (self.port.is_some(), "--port"),
            (self.bind.is_some(), "--bind"),
            (self.auth.is_some(), "--auth"),
            (self.tls, "--tls"),
            (self.hidden, "--hidden"),
            (self.follow_links, "--follow-links"),
            (self.print_config, "--print-config"),
        ];
        options.iter().find(|(is_given, _)| *is_given).map(|(_, option)| *option)
    }
}

/// `webserv explain`.
#[derive(Debug)]
pub struct Explain {
    /// Empty: show the map of the whole configuration.
    pub question: String,
    /// The log that contains the request whose id or line is `question`.
    pub log: Option<PathBuf>,
    /// A question that is only a path goes to a TLS listener.
    pub tls: bool,
    /// The request comes by HTTP/2.
    pub http2: bool,
    /// The client has a valid certificate.
    pub certificate: bool,
    /// The explanation as JSON.
    pub json: bool,
    /// `Name: value` each.
    pub headers: Vec<String>,
    /// The client's address.
    pub client: IpAddr,
}

/// `webserv reference`: the manual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// All of it, as text.
    Text,
    /// All of it, as Markdown.
    Markdown,
    /// One directive, as text.
    One(String),
}

/// Words that people try first, and the options they stand for. A file or directory of that name takes precedence.
const WORDS: [(&str, &[&str]); 17] = [
    ("help", &["--help"]),
    ("version", &["--version"]),
    ("reload", &["-s", "reload"]),
    ("stop", &["-s", "stop"]),
    ("quit", &["-s", "quit"]),
    ("reopen", &["-s", "reopen"]),
    ("drain", &["-s", "drain"]),
    ("upgrade", &["-s", "upgrade"]),
    ("status", &["--status"]),
    ("run", &[]),
    ("serve", &[]),
    ("start", &[]),
    ("check", &["-t"]),
    ("test", &["-t"]),
    ("validate", &["-t"]),
    ("configtest", &["-t"]),
    ("dump", &["-T"]),
];

/// These words with their options.
pub fn words() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    WORDS.into_iter()
}

/// The options for an argument in [`WORDS`], unless a file or directory of that name exists.
fn meaning_of(arg: &OsString) -> Option<&'static [&'static str]> {
    let (_, options) = words().find(|(word, _)| arg == word)?;
    (!std::path::Path::new(arg).exists()).then_some(options)
}

/// Expands a first word in [`WORDS`].
fn spelled_out(mut args: Vec<OsString>) -> Vec<OsString> {
    if let Some(options) = args.get(1).and_then(meaning_of) {
        args.splice(1..2, options.iter().map(OsString::from));
    }
    args
}

/// Options that select an action: combining two is an error.
const ORDERS: [(&str, &str); 4] = [("-s", "signal"), ("-t", "test"), ("-T", "test"), ("--status", "status")];

fn order(option: &OsString) -> Option<&'static str> {
    ORDERS.iter().find(|(known, _)| option == known).map(|(_, order)| *order)
}

/// A word and an option that select two actions (`reload -t`, `stop -s reload`): nginx would ignore one.
fn two_orders(args: &[OsString]) -> Option<Stop> {
    let [_, word, rest @ ..] = args else { return None };
    let meant = order(&OsString::from(meaning_of(word)?.first()?))?;
    let other = rest.iter().find(|arg| order(arg).is_some_and(|other| other != meant || other == "signal"))?;
    let (word, other) = (word.display(), other.display());
    Some(Stop::mistake(&format!("\"{word}\" and \"{other}\" are two commands: run one after the other")))
}

/// Rewrites `-c FILE reload` as `reload -c FILE`: with `-c`, a word is not a second configuration.
fn word_first(mut args: Vec<OsString>) -> Vec<OsString> {
    let command = command();
    let takes_value = |option: &OsString| {
        let is_named = |arg: &Arg| {
            arg.get_short().is_some_and(|short| *option == *format!("-{short}"))
                || arg.get_long().is_some_and(|long| *option == *format!("--{long}"))
        };
        command.get_arguments().any(|arg| arg.get_action().takes_values() && is_named(arg))
    };
    let mut at = 1;
    while let Some(option) = args.get(at).filter(|arg| arg.as_encoded_bytes().starts_with(b"-")) {
        at += if takes_value(option) { 2 } else { 1 };
    }
    if at > 1 && args.get(at).and_then(meaning_of).is_some() {
        let word = args.remove(at);
        args.insert(1, word);
    }
    args
}

/// Parses the arguments.
///
/// # Errors
/// What to print instead of doing anything.
pub fn parse(args: Vec<OsString>) -> Result<Args, Stop> {
    // nginx also accepts this for help.
    let first = args.get(1).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(page) = page(&first, args.get(2..).unwrap_or_default()) {
        return Err(Stop::Help(page));
    }
    if let Some(stop) = no_page(&first, args.get(2..).unwrap_or_default()) {
        return Err(stop);
    }
    let args = word_first(args);
    if let Some(stop) = two_orders(&args) {
        return Err(stop);
    }
    let args = spelled_out(args).into_iter().map(|arg| if arg == "-?" { "-h".into() } else { arg });
    let args =
        command().try_get_matches_from(args).map(|matches| from(&matches)).map_err(|e| stop(&e, &first, &known()))?;
    contradiction(&args).map_or(Ok(args), Err)
}

/// The help of one command: `webserv fmt --help`, `webserv help fmt`.
fn page(first: &str, rest: &[OsString]) -> Option<String> {
    let name = match first {
        "help" => rest.first()?.to_str()?,
        first => rest.iter().any(|arg| ["-h", "-?", "--help"].iter().any(|help| arg == help)).then_some(first)?,
    };
    let word = || WORDS.iter().find(|(word, options)| *word == name && !options.contains(&"--help"));
    command()
        .find_subcommand(name)
        .map(pages::of)
        .or_else(|| word().map(|(word, options)| pages::of_word(word, options)))
}

/// `webserv help` with a word that no command has: what was meant.
fn no_page(first: &str, rest: &[OsString]) -> Option<Stop> {
    let word = rest.first().filter(|_| first == "help")?.to_string_lossy();
    if word.starts_with('-') || WORDS.iter().any(|(known, _)| *known == word) {
        return None;
    }
    let advice = match manual::entry(&word).is_ok() {
        true => Some(format!("it is a directive: webserv directives {word}")),
        false => advice_on_word(&word),
    };
    let advice = advice.map_or(String::new(), |advice| format!("; {advice}"));
    Some(Stop::mistake(&format!("no command is called \"{word}\"{advice}")))
}

fn known() -> CommandSyntax {
    CommandSyntax { command: command(), words: words().map(|(word, _)| word).collect() }
}

/// The equivalent of a first word that is neither a file nor a command.
pub fn advice_on_word(word: &str) -> Option<String> {
    mistake::advice_on_word(word, &known())
}

/// Options that contradict each other, or an unknown signal.
fn contradiction(args: &Args) -> Option<Stop> {
    if let Some(name) = args.signal.as_deref().filter(|name| signal_number(name).is_none()) {
        return Some(Stop::mistake(&format!(
            "invalid option: \"-s {name}\"\nsignals are stop, quit, reopen, reload, drain and upgrade"
        )));
    }
    if args.all && !args.status {
        return Some(Stop::mistake("--all goes with --status: webserv status --all"));
    }
    if args.explain.is_some() {
        return None;
    }
    let (named, other) = (args.config.as_ref()?, args.file.as_ref());
    let shown = named.display();
    if named.is_dir() {
        let text = |path: Option<&PathBuf>| path.map(|path| path.display().to_string());
        // Other servers of directories use -p for the port.
        let prefix = text(args.prefix.as_ref()).filter(|_| args.tool.is_none());
        let letter = if let Some(port) = prefix.as_deref().filter(|port| port.parse::<u16>().is_ok()) {
            return Some(Stop::mistake(&format!("-p is nginx's prefix; did you mean --port {port}?")));
        } else if prefix.is_some() {
            "-p"
        } else if other.is_some() {
            "-c"
        } else if args.directives.is_some() {
            "-g"
        } else if args.error_log.is_some() {
            "-e"
        } else {
            return None;
        };
        return Some(Stop::mistake(&format!(
            "\"{letter}\" cannot be used with a directory ({shown}): --print-config makes a configuration of it to change"
        )));
    }
    let is_serving = args.share != Share::default();
    let other = other.filter(|_| !is_serving)?.display();
    Some(Stop::mistake(&format!("\"{shown}\" and -c \"{other}\" are two configurations: name one")))
}

fn from(m: &ArgMatches) -> Args {
    let explain = m.subcommand_matches("explain");
    // The configuration may be named after the subcommand.
    let lint = m.subcommand_matches("lint");
    let [nginx, diff] = ["check-nginx", "diff"].map(|name| m.subcommand_matches(name));
    let from = explain.or(lint).or(nginx).or(diff).unwrap_or(m);
    let path = |id: &str| m.get_one::<OsString>(id).map(PathBuf::from);
    // With -c, all words are the question.
    let asked = explain.and_then(|sub| sub.get_many::<String>("asked"));
    let words: Vec<String> = asked.into_iter().flatten().cloned().collect();
    let file = explain.and_then(|sub| sub.get_one::<OsString>("c")).map(PathBuf::from);
    let log = explain.and_then(|sub| sub.get_one::<PathBuf>("log")).cloned();
    // With --log, the configuration may be the default one.
    let has_file = file.is_some() || log.is_some() && words.len() < 2;
    let directives = explain.unwrap_or(m).get_one::<OsString>("g").cloned();
    Args {
        config: match explain {
            Some(_) if has_file => None,
            Some(_) => words.first().map(PathBuf::from),
            None => from.get_one::<PathBuf>("config").cloned(),
        },
        share: share(m),
        file: file.or_else(|| path("c")),
        prefix: from.get_one::<OsString>("p").map(PathBuf::from),
        error_log: path("e"),
        directives,
        signal: m.get_one::<OsString>("s").map(|s| s.to_string_lossy().into_owned()),
        test: m.get_flag("t"),
        dump: m.get_flag("T"),
        quiet: m.get_flag("q"),
        version: m.get_flag("v"),
        build: m.get_flag("V"),
        own_version: m.get_flag("version"),
        qr: m.get_flag("qr"),
        status: m.get_flag("status"),
        all: m.get_flag("all"),
        reference: m.subcommand_matches("directives").map(|sub| match sub.get_one::<String>("name") {
            Some(name) => Reference::One(name.clone()),
            None if sub.get_flag("markdown") => Reference::Markdown,
            None => Reference::Text,
        }),
        explain: explain.map(|sub| Explain {
            question: words.get(usize::from(!has_file)..).unwrap_or_default().join(" "),
            tls: sub.get_flag("tls"),
            http2: sub.get_flag("http2"),
            certificate: sub.get_flag("client-cert"),
            log,
            json: sub.get_one::<String>("format").is_some_and(|format| format == "json"),
            headers: sub.get_many::<String>("header").into_iter().flatten().cloned().collect(),
            client: *sub.get_one::<IpAddr>("client").expect("it has a default"),
        }),
        json: lint.unwrap_or(m).get_one::<String>("format").is_some_and(|format| format == "json"),
        tool: tool(m),
    }
}

fn share(m: &ArgMatches) -> Share {
    Share {
        upload: m.get_flag("upload"),
        port: m.get_one("port").copied(),
        bind: m.get_one("bind").copied(),
        auth: m.get_one("auth").cloned(),
        tls: m.get_flag("tls"),
        hidden: m.get_flag("hidden"),
        follow_links: m.get_flag("follow-links"),
        print_config: m.get_flag("print-config"),
    }
}

fn tool(m: &ArgMatches) -> Option<Tool> {
    if let Some(sub) = m.subcommand_matches("lint") {
        return Some(sub.get_one::<String>("rule").map_or(Tool::Lint, |code| Tool::Rule(code.clone())));
    }
    if m.subcommand_matches("lsp").is_some() {
        return Some(Tool::Editor);
    }
    if m.subcommand_matches("check-nginx").is_some() {
        return Some(Tool::CheckNginx);
    }
    if let Some(sub) = m.subcommand_matches("diff") {
        let new = sub.get_one::<PathBuf>("new").cloned().unwrap_or_default();
        return Some(Tool::Diff {
            new,
            log: sub.get_one::<PathBuf>("log").cloned(),
            exit_code: sub.get_flag("exit-code"),
        });
    }
    if let Some(sub) = m.subcommand_matches("cert") {
        let names = sub.get_many::<String>("names").into_iter().flatten();
        return Some(Tool::Cert(names.map(|name| name.to_ascii_lowercase()).collect()));
    }
    if let Some(sub) = m.subcommand_matches("sign") {
        return Some(Tool::Sign(sign::of(sub)));
    }
    m.subcommand_matches("fmt").map(|sub| Tool::Format {
        check: sub.get_flag("check"),
        files: sub.get_many::<PathBuf>("files").into_iter().flatten().cloned().collect(),
    })
}

#[cfg(test)]
#[path = "cli/tests.rs"]
mod tests;

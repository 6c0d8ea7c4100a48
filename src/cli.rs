//! The command line: `webserv [CONFIG]`, nginx's own flags, and our subcommands. No behaviour.

#[path = "cli/mistake.rs"]
mod mistake;
#[path = "cli/sign.rs"]
mod sign;

pub use mistake::Stop;

use clap::{Arg, ArgAction, ArgMatches, Command};
use mistake::{Known, stop};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use webserv::server::lifecycle::signal_number;
use webserv::tools::sign::Sign;

/// What was asked for.
#[derive(Debug)]
pub struct Args {
    /// A configuration, or a directory to serve.
    pub config: Option<PathBuf>,
    /// How a directory is served.
    pub share: Share,
    pub file: Option<PathBuf>,
    pub prefix: Option<PathBuf>,
    pub error_log: Option<PathBuf>,
    pub directives: Option<OsString>,
    pub signal: Option<String>,
    pub test: bool,
    pub dump: bool,
    pub quiet: bool,
    pub version: bool,
    pub build: bool,
    pub own_version: bool,
    pub reference: Option<Reference>,
    pub explain: Option<Explain>,
    pub tool: Option<Tool>,
    /// Show the first address as a code for cameras.
    pub qr: bool,
    /// Show the counters of the running server.
    pub status: bool,
    /// Diagnostics as JSON, one object a line.
    pub json: bool,
}

impl Args {
    /// Nothing but serving was asked for.
    pub fn serves(&self) -> bool {
        let looks = self.test || self.dump || self.status;
        !looks && self.signal.is_none() && self.tool.is_none() && self.explain.is_none() && self.reference.is_none()
    }
}

/// Commands that read configurations and serve nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Where the local certificates for these names are, and how to trust them.
    Cert(Vec<String>),
    /// A link for `signed_link`.
    Sign(Sign),
    /// Warns of what is valid and probably not meant.
    Lint,
    /// The page of a rule; of an empty code the list of all.
    Rule(String),
    /// Serve an editor.
    Editor,
    /// What of a configuration of nginx would be the same.
    CheckNginx,
    /// Which recorded requests a new configuration answers otherwise.
    Diff { new: PathBuf, log: Option<PathBuf> },
    Format {
        /// Say which files would change, and change none.
        check: bool,
        files: Vec<PathBuf>,
    },
}

/// The options of `webserv DIR`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub upload: bool,
    pub port: Option<u16>,
    pub bind: Option<IpAddr>,
    /// Whose password is asked for.
    pub auth: Option<String>,
    pub tls: bool,
    pub print_config: bool,
}

/// `webserv explain`.
#[derive(Debug)]
pub struct Explain {
    /// Empty: the map of everything is wanted.
    pub question: String,
    /// Where the request is recorded whose id or line `question` is.
    pub log: Option<PathBuf>,
    pub tls: bool,
    pub json: bool,
    pub headers: Vec<String>,
    pub client: IpAddr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Text,
    Markdown,
    /// One directive, as text.
    One(String),
}

/// The letter of an option is its name.
fn letter(id: &str) -> char {
    id.chars().next().expect("options are named by a letter")
}

fn flag(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).short(letter(id)).action(ArgAction::SetTrue).help(help)
}

fn value(id: &'static str, name: &'static str, help: &'static str) -> Arg {
    let parser = clap::builder::ValueParser::os_string();
    Arg::new(id).short(letter(id)).value_name(name).value_parser(parser).allow_hyphen_values(true).help(help)
}

/// The description that parsing and `-h` share.
pub fn command() -> Command {
    let config = Arg::new("config").value_name("CONFIG").value_parser(clap::value_parser!(PathBuf));
    Command::new("webserv")
        .about("An nginx-style virtual-host web server with uploads that cannot corrupt")
        .override_help(HELP)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args_conflicts_with_subcommands(true)
        // As nginx: a flag may stand twice, and of two values the last holds.
        .args_override_self(true)
        .arg(config.help("configuration to serve [default: conf/default.conf, then /etc/webserv/webserv.conf]"))
        .arg(flag("t", "test configuration and exit"))
        .arg(flag("T", "test configuration, dump it and exit"))
        .arg(flag("q", "suppress non-error messages during configuration testing"))
        .arg(flag("v", "show version and exit"))
        .arg(flag("V", "show version and configure options then exit"))
        .arg(value("s", "SIGNAL", "send signal to the running server: stop, quit, reopen, reload, drain"))
        .arg(value("p", "PREFIX", "set prefix path"))
        .arg(value("e", "FILE", "set error log file"))
        .arg(value("c", "FILE", "set configuration file (nginx's defaults hold then)"))
        .arg(value("g", "DIRECTIVES", "set global directives out of configuration file"))
        .arg(Arg::new("version").long("version").action(ArgAction::SetTrue).help("show webserv's own version and exit"))
        .arg(long("status", "show the counters of the running server (its configuration has an api)"))
        .arg(long("qr", "show the address as a QR code, on a terminal"))
        .arg(long("upload", "serving a directory: let visitors upload, replace and delete"))
        .arg(long("tls", "serving a directory: over HTTPS, by a certificate of the local authority"))
        .arg(long("print-config", "print the configuration that serves the directory, and exit"))
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(clap::value_parser!(u16).range(1..))
                .allow_negative_numbers(true)
                .help("serving a directory: the port [default: 8000]"),
        )
        .arg(
            Arg::new("bind")
                .long("bind")
                .value_name("ADDRESS")
                .value_parser(address)
                .help("serving a directory: the address [default: 127.0.0.1, this machine only]"),
        )
        .arg(Arg::new("auth").long("auth").value_name("USER").help("serving a directory: ask visitors for a password"))
        .arg(format_of_messages())
        .subcommand(reference())
        .subcommand(explain())
        .subcommand(cert())
        .subcommand(sign::command())
        .subcommand(lint())
        .subcommand(fmt())
        .subcommand(Command::new("lsp").about("Serve an editor over standard input and output (language server)"))
        .subcommand(check_nginx())
        .subcommand(diff())
}

fn reference() -> Command {
    Command::new("directives")
        .about("Print the reference of all directives, or of one")
        .arg(Arg::new("name").value_name("NAME"))
        .arg(Arg::new("markdown").long("markdown").action(ArgAction::SetTrue).help("as Markdown instead of text"))
}

fn explain() -> Command {
    Command::new("explain")
        .about("Say what would become of a request, and why, without serving it")
        .arg(Arg::new("asked").value_name("CONFIG METHOD URL").num_args(1..=3).action(ArgAction::Append))
        .arg(value("c", "FILE", "set configuration file (nginx's defaults hold then)"))
        .arg(value("g", "DIRECTIVES", "set global directives out of configuration file"))
        .arg(long("tls", "the request comes over TLS, where the URL does not say"))
        .arg(
            Arg::new("log")
                .long("log")
                .value_name("LOG")
                .value_parser(clap::value_parser!(PathBuf))
                .help("explain a request of this log: its id, or its line, stands instead of METHOD URL"),
        )
        .arg(format_of_messages())
        .arg(Arg::new("header").short('H').value_name("NAME: VALUE").action(ArgAction::Append).help("a request header"))
        .arg(value("p", "PREFIX", "set prefix path"))
        .arg(
            Arg::new("client")
                .long("from")
                .visible_alias("client")
                .value_name("ADDR")
                .value_parser(clap::value_parser!(IpAddr))
                .default_value("127.0.0.1")
                .help("the address that asks"),
        )
}

fn check_nginx() -> Command {
    Command::new("check-nginx")
        .about("Say what of a configuration of nginx would be the same, ignored, refused or different")
        .arg(Arg::new("config").value_name("FILE").value_parser(clap::value_parser!(PathBuf)).required(true))
        .arg(value("p", "PREFIX", "set prefix path"))
}

fn diff() -> Command {
    Command::new("diff")
        .about("Compare what two configurations answer, by requests of a log")
        .arg(Arg::new("config").value_name("OLD").value_parser(clap::value_parser!(PathBuf)).required(true))
        .arg(Arg::new("new").value_name("NEW").value_parser(clap::value_parser!(PathBuf)).required(true))
        .arg(value("p", "PREFIX", "set prefix path"))
        .arg(
            Arg::new("log")
                .long("log")
                .value_name("LOG")
                .value_parser(clap::value_parser!(PathBuf))
                .help("an access or error log with the requests"),
        )
}

/// An address to listen on; the one name that needs no look-up is one, too.
fn address(text: &str) -> Result<IpAddr, std::net::AddrParseError> {
    match text {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        text => text.trim_start_matches('[').trim_end_matches(']').parse(),
    }
}

fn format_of_messages() -> Arg {
    Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .help("how messages are printed")
}

fn cert() -> Command {
    Command::new("cert")
        .about("Print where the certificates of `ssl_certificate auto` are, and how to trust them")
        .arg(Arg::new("names").value_name("NAME").num_args(0..).help("the names of a server [default: localhost]"))
}

fn lint() -> Command {
    let path = || clap::value_parser!(PathBuf);
    Command::new("lint")
        .about("Warn of what is valid and probably not meant")
        .arg(Arg::new("config").value_name("CONFIG").value_parser(path()))
        .arg(value("p", "PREFIX", "set prefix path"))
        .arg(format_of_messages())
        .arg(
            Arg::new("rule")
                .long("explain")
                .value_name("CODE")
                .num_args(0..=1)
                .default_missing_value("")
                .help("print the page of a rule, or list the rules"),
        )
}

fn fmt() -> Command {
    Command::new("fmt")
        .about("Lay configurations out: indentation, spaces and blank lines; comments stay")
        .arg(Arg::new("check").long("check").action(ArgAction::SetTrue).help("change nothing; fail where it would"))
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .num_args(1..)
                .required(true),
        )
}

/// Words that people try first, and the options they mean. A file or directory of that name wins.
const WORDS: [(&str, &[&str]); 16] = [
    ("help", &["--help"]),
    ("version", &["--version"]),
    ("reload", &["-s", "reload"]),
    ("stop", &["-s", "stop"]),
    ("quit", &["-s", "quit"]),
    ("reopen", &["-s", "reopen"]),
    ("drain", &["-s", "drain"]),
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

/// Those words, each with the options it stands for.
pub fn words() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    WORDS.into_iter()
}

/// The arguments with a first word of [`WORDS`] replaced by what it means.
fn spelled_out(mut args: Vec<OsString>) -> Vec<OsString> {
    let word = args.get(1).and_then(|word| WORDS.iter().find(|(known, _)| word == known));
    if let Some((word, options)) = word
        && !std::path::Path::new(word).exists()
    {
        args.splice(1..2, options.iter().map(OsString::from));
    }
    args
}

/// Parses the arguments.
///
/// # Errors
/// What to print instead of doing anything.
pub fn parse(args: Vec<OsString>) -> Result<Args, Stop> {
    // nginx's other name for help.
    let first = args.get(1).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let args = spelled_out(args).into_iter().map(|arg| if arg == "-?" { "-h".into() } else { arg });
    let args =
        command().try_get_matches_from(args).map(|matches| from(&matches)).map_err(|e| stop(&e, &first, &known()))?;
    contradiction(&args).map_or(Ok(args), Err)
}

fn known() -> Known {
    Known { command: command(), words: words().map(|(word, _)| word).collect() }
}

/// What would do what a first word says that is neither a file nor a command.
pub fn advice_on_word(word: &str) -> Option<String> {
    mistake::advice_on_word(word, &known())
}

/// What cannot be meant together, and a signal that there is none.
fn contradiction(args: &Args) -> Option<Stop> {
    if let Some(name) = args.signal.as_deref().filter(|name| signal_number(name).is_none()) {
        return Some(Stop::mistake(&format!(
            "invalid option: \"-s {name}\"\nsignals are stop, quit, reopen, reload and drain"
        )));
    }
    if args.explain.is_some() {
        return None;
    }
    let (named, other) = (args.config.as_ref()?, args.file.as_ref());
    let shown = named.display();
    if named.is_dir() {
        let text = |path: Option<&PathBuf>| path.map(|path| path.display().to_string());
        // Servers of directories have the port behind -p.
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
            "\"{letter}\" does not go with a directory ({shown}): --print-config makes a configuration of it to change"
        )));
    }
    let is_serving = args.share != Share::default();
    let other = other.filter(|_| !is_serving)?.display();
    Some(Stop::mistake(&format!("\"{shown}\" and -c \"{other}\" are two configurations: name one")))
}

/// `-h`: nginx's options in nginx's layout, ours after them.
const HELP: &str = "\
Usage: webserv [-?hvVtTq] [-s signal] [-p prefix] [-e filename] [-c filename] [-g directives] [CONFIG]
       webserv DIR [--upload] [--port PORT] [--bind ADDRESS] [--auth USER] [--tls] [--print-config]
       webserv directives [NAME | --markdown]
       webserv lint [--format json] [CONFIG] | lint --explain [CODE]
       webserv fmt [--check] FILE ...
       webserv cert [NAME ...]
       webserv sign --key FILE [--expires TIME] [--methods LIST] [--size MIN-MAX]
                    [--types LIST] [--place PATH] URL
       webserv check-nginx FILE | diff OLD NEW [--log LOG] | lsp
       webserv explain [-p prefix] [-g directives] [-H 'Name: value'] [--from ADDR] [--tls] [--format json]
                       CONFIG | -c FILE ['METHOD URL' | --log LOG ID]

  CONFIG         : configuration to serve (default: conf/default.conf, then /etc/webserv/webserv.conf);
                   paths are taken from the current directory
  DIR            : directory to serve, with a listing, to this machine only
  directives     : print the reference of all directives, or of one, and exit
  explain        : say what would become of a request, and why, without serving it
  lint           : warn of what is valid and probably not meant; --explain CODE says why
  cert           : print where the certificates of `ssl_certificate auto` are, and how to trust them
  sign           : print a link that `signed_link` lets in, for an upload or a download
  fmt            : lay files out (indentation, spaces, blank lines); --check changes none

Options:
  -?,-h,--help   : this help
  -v             : show version and exit
  -V             : show version and configure options then exit
  --version      : show webserv's own version and exit
  -t             : test configuration and exit
  -T             : test configuration, dump it and exit
  -q             : suppress non-error messages during configuration testing
  -s signal      : send signal to the running server: stop, quit, reopen, reload, drain
  -p prefix      : set prefix path (default: the current directory)
  -e filename    : set error log file (default: logs/error.log with -c or -p, else stderr)
  -c filename    : set configuration file, with nginx's defaults for logs, pid and user
  --status       : show the counters of the running server, by the api of its configuration
  -g directives  : set global directives out of configuration file
  --format json  : print messages as JSON, one object a line, in the shape of rustc

Serving a directory:
  --upload       : let visitors upload, replace and delete
  --port PORT    : port (default: 8000)
  --bind ADDRESS : address (default: 127.0.0.1; 0.0.0.0 is every address of this machine)
  --auth USER    : ask visitors for a password, which is asked for now
  --tls          : HTTPS, by a certificate of the local authority
  --qr           : show the address as a QR code as well, on a terminal
  --print-config : print the configuration that does all this, and exit

Words for the same: help version run serve start check test validate stop quit reload reopen drain status.
";

fn long(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(id).action(ArgAction::SetTrue).help(help)
}

fn from(m: &ArgMatches) -> Args {
    let explain = m.subcommand_matches("explain");
    // What names the configuration stands after the subcommand.
    let lint = m.subcommand_matches("lint");
    let [nginx, diff] = ["check-nginx", "diff"].map(|name| m.subcommand_matches(name));
    let from = explain.or(lint).or(nginx).or(diff).unwrap_or(m);
    let path = |id: &str| m.get_one::<OsString>(id).map(PathBuf::from);
    // With -c all words are the question.
    let asked = explain.and_then(|sub| sub.get_many::<String>("asked"));
    let words: Vec<String> = asked.into_iter().flatten().cloned().collect();
    let file = explain.and_then(|sub| sub.get_one::<OsString>("c")).map(PathBuf::from);
    let log = explain.and_then(|sub| sub.get_one::<PathBuf>("log")).cloned();
    // With -c all words are the question; with --log the configuration may be the default one.
    let has_file = file.is_some() || log.is_some() && words.len() < 2;
    let directives = explain.unwrap_or(m).get_one::<OsString>("g").cloned();
    Args {
        config: match explain {
            Some(_) if has_file => None,
            Some(_) => words.first().map(PathBuf::from),
            None => from.get_one::<PathBuf>("config").cloned(),
        },
        share: Share {
            upload: m.get_flag("upload"),
            port: m.get_one("port").copied(),
            bind: m.get_one("bind").copied(),
            auth: m.get_one("auth").cloned(),
            tls: m.get_flag("tls"),
            print_config: m.get_flag("print-config"),
        },
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
        reference: m.subcommand_matches("directives").map(|sub| match sub.get_one::<String>("name") {
            Some(name) => Reference::One(name.clone()),
            None if sub.get_flag("markdown") => Reference::Markdown,
            None => Reference::Text,
        }),
        explain: explain.map(|sub| Explain {
            question: words.get(usize::from(!has_file)..).unwrap_or_default().join(" "),
            tls: sub.get_flag("tls"),
            log,
            json: sub.get_one::<String>("format").is_some_and(|format| format == "json"),
            headers: sub.get_many::<String>("header").into_iter().flatten().cloned().collect(),
            client: *sub.get_one::<IpAddr>("client").expect("it has a default"),
        }),
        json: lint.unwrap_or(m).get_one::<String>("format").is_some_and(|format| format == "json"),
        tool: tool(m),
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
        return Some(Tool::Diff { new, log: sub.get_one::<PathBuf>("log").cloned() });
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

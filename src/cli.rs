//! The command line: `webserv [CONFIG]`, nginx's own flags, and our subcommands. No behaviour.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

/// What was asked for.
#[derive(Debug)]
pub struct Args {
    pub config: Option<PathBuf>,
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
}

/// `webserv explain`.
#[derive(Debug)]
pub struct Explain {
    pub question: String,
    pub headers: Vec<String>,
    pub client: IpAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    Text,
    Markdown,
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
    let reference = Command::new("directives")
        .about("Print the reference of all directives")
        .arg(Arg::new("markdown").long("markdown").action(ArgAction::SetTrue).help("as Markdown instead of text"));
    let explain = Command::new("explain")
        .about("Say what would become of a request, and why, without serving it")
        .arg(Arg::new("config").value_name("CONFIG").value_parser(clap::value_parser!(PathBuf)).required(true))
        .arg(Arg::new("question").value_name("METHOD URL").num_args(1..=2).required(true))
        .arg(Arg::new("header").short('H').value_name("NAME: VALUE").action(ArgAction::Append).help("a request header"))
        .arg(value("p", "PREFIX", "set prefix path"))
        .arg(
            Arg::new("client")
                .long("client")
                .value_name("ADDR")
                .value_parser(clap::value_parser!(IpAddr))
                .default_value("127.0.0.1")
                .help("the address that asks"),
        );
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
        .arg(value("s", "SIGNAL", "send signal to the running server: stop, quit, reopen, reload"))
        .arg(value("p", "PREFIX", "set prefix path"))
        .arg(value("e", "FILE", "set error log file"))
        .arg(value("c", "FILE", "set configuration file (nginx's defaults hold then)"))
        .arg(value("g", "DIRECTIVES", "set global directives out of configuration file"))
        .arg(Arg::new("version").long("version").action(ArgAction::SetTrue).help("show webserv's own version and exit"))
        .subcommand(reference)
        .subcommand(explain)
}

/// Parses the arguments. A mistake is told in nginx's words and ends the process, as help does.
pub fn parse() -> Args {
    // nginx's other name for help.
    let args = std::env::args_os().map(|arg| if arg == "-?" { "-h".into() } else { arg });
    match command().try_get_matches_from(args) {
        Ok(matches) => from(&matches),
        Err(error) => {
            let argument = |kind| match error.get(kind) {
                Some(ContextValue::String(text)) => text.trim_start_matches('-').to_string(),
                _ => String::new(),
            };
            match error.kind() {
                ErrorKind::UnknownArgument => {
                    eprintln!("webserv: invalid option: \"{}\"", argument(ContextKind::InvalidArg));
                }
                ErrorKind::InvalidValue => {
                    let option = argument(ContextKind::InvalidArg);
                    let letter = letter(&option);
                    let wants = WANTS.iter().find(|(option, _)| *option == letter).map_or("a value", |(_, what)| what);
                    eprintln!("webserv: option \"-{letter}\" requires {wants}");
                }
                _ => error.exit(),
            }
            std::process::exit(1)
        }
    }
}

/// What nginx says an option lacks.
const WANTS: [(char, &str); 5] =
    [('c', "file name"), ('e', "file name"), ('p', "directory name"), ('g', "parameter"), ('s', "parameter")];

/// `-h`: nginx's options in nginx's layout, ours after them.
const HELP: &str = "\
Usage: webserv [-?hvVtTq] [-s signal] [-p prefix] [-e filename] [-c filename] [-g directives] [CONFIG]
       webserv directives [--markdown]
       webserv explain [-p prefix] [-H 'Name: value'] [--client ADDR] CONFIG 'METHOD URL'

  CONFIG         : configuration to serve (default: conf/default.conf, then /etc/webserv/webserv.conf);
                   paths are taken from the current directory
  directives     : print the reference of all directives and exit
  explain        : say what would become of a request, and why, without serving it

Options:
  -?,-h,--help   : this help
  -v             : show version and exit
  -V             : show version and configure options then exit
  --version      : show webserv's own version and exit
  -t             : test configuration and exit
  -T             : test configuration, dump it and exit
  -q             : suppress non-error messages during configuration testing
  -s signal      : send signal to the running server: stop, quit, reopen, reload
  -p prefix      : set prefix path (default: the current directory)
  -e filename    : set error log file (default: logs/error.log with -c or -p, else stderr)
  -c filename    : set configuration file, with nginx's defaults for logs, pid and user
  -g directives  : set global directives out of configuration file
";

fn from(m: &ArgMatches) -> Args {
    let explain = m.subcommand_matches("explain");
    // What names the configuration stands after the subcommand.
    let from = explain.unwrap_or(m);
    let path = |id: &str| m.get_one::<OsString>(id).map(PathBuf::from);
    Args {
        config: from.get_one::<PathBuf>("config").cloned(),
        file: path("c"),
        prefix: from.get_one::<OsString>("p").map(PathBuf::from),
        error_log: path("e"),
        directives: m.get_one::<OsString>("g").cloned(),
        signal: m.get_one::<OsString>("s").map(|s| s.to_string_lossy().into_owned()),
        test: m.get_flag("t"),
        dump: m.get_flag("T"),
        quiet: m.get_flag("q"),
        version: m.get_flag("v"),
        build: m.get_flag("V"),
        own_version: m.get_flag("version"),
        reference: m
            .subcommand_matches("directives")
            .map(|sub| if sub.get_flag("markdown") { Reference::Markdown } else { Reference::Text }),
        explain: explain.map(|sub| Explain {
            question: sub.get_many::<String>("question").into_iter().flatten().cloned().collect::<Vec<_>>().join(" "),
            headers: sub.get_many::<String>("header").into_iter().flatten().cloned().collect(),
            client: *sub.get_one::<IpAddr>("client").expect("it has a default"),
        }),
    }
}

//! The command line's description, shared by parsing, `-h`, the manual page and the completions.

use super::sign;
use clap::{Arg, ArgAction, Command};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// `-h`: nginx's options in nginx's layout, followed by ours.
pub(super) const HELP: &str = "\
Usage: webserv [-?hvVtTq] [-s signal] [-p prefix] [-e filename] [-c filename]
               [-g directives] [CONFIG]
       webserv DIR [--upload] [--port PORT] [--bind ADDRESS] [--auth USER]
                   [--tls] [--qr] [--hidden] [--follow-links] [--print-config]
       webserv directives [NAME | --markdown]
       webserv lint [-p prefix] [--format json] [CONFIG] | lint --explain [CODE]
       webserv fmt [--check] FILE ...
       webserv cert [NAME ...]
       webserv sign --key FILE [--expires TIME] [--methods LIST]
                    [--size MIN-MAX] [--types LIST] [--place PATH] URL
       webserv check-nginx [-p prefix] FILE
       webserv diff [-p prefix] [--exit-code] OLD NEW [--log LOG]
       webserv lsp
       webserv reload | stop | quit | reopen | drain | upgrade [CONFIG]
       webserv status [--all | --format json] [CONFIG]
       webserv explain [-p prefix] [-g directives] [-H 'Name: value']
                       [--from ADDR] [--tls] [--http2] [--client-cert]
                       [--format json]
                       CONFIG | -c FILE ['METHOD URL' | --log LOG ID]

  CONFIG         : configuration to serve (default: conf/default.conf, then
                   /etc/webserv/webserv.conf); paths are taken from the current
                   directory
  DIR            : directory to serve, with a listing, to this machine only
  directives     : print the reference of all directives, or of one, and exit
  explain        : say what would become of a request, and why, without
                   serving it
  lint           : warn of what is valid and probably not meant;
                   --explain CODE says why
  cert           : print where the certificates of `ssl_certificate auto` are,
                   and how to trust them
  sign           : print a link that `signed_link` lets in, for an upload or a
                   download
  fmt            : lay files out (indentation, spaces, blank lines); --check
                   changes none
  check-nginx    : say what of a configuration of nginx would be the same,
                   ignored, refused or different
  diff           : say which recorded requests another configuration would
                   answer differently
  lsp            : serve an editor: messages and fixes while a configuration
                   is written
  status         : show how the running server is doing, by the api of its
                   configuration; --all: every counter

Options:
  -?,-h,--help   : this help
  -v             : show version and exit
  -V             : show version and configure options then exit
  --version      : show webserv's own version and exit
  -t             : test configuration and exit
  -T             : test configuration, dump it and exit
  -q             : suppress non-error messages during configuration testing
  -s signal      : send signal to the running server: stop, quit, reopen,
                   reload, drain (quit behind a load balancer), upgrade (a new
                   binary takes over)
  -p prefix      : set prefix path (default: the current directory); CONFIG is
                   then PREFIX/conf/nginx.conf by default
  -e filename    : set error log file (default: logs/error.log with -c or -p,
                   else stderr)
  -c filename    : set configuration file, with nginx's defaults for logs, pid
                   and user
  --status       : show how the running server is doing, by the api of its
                   configuration; with --all every counter
  -g directives  : set global directives beside the configuration file
  --format json  : print messages as JSON for editors and scripts, one object
                   a line

Serving a directory:
  --upload       : let visitors upload, replace and delete
  --port PORT    : port (default: 8000)
  --bind ADDRESS : address (default: 127.0.0.1; 0.0.0.0 is every IPv4 address
                   of this machine, :: every address)
  --auth USER    : ask visitors for a password, which is asked for now
  --tls          : HTTPS, by a certificate of the local authority
  --qr           : show the address as a QR code as well, on a terminal
  --hidden       : serve names that begin with a dot, too, to those who know
                   them (they are not listed)
  --follow-links : follow links that lead out of the directory, too
  --print-config : print the configuration that does all this, and exit

The same in words: webserv reload CONFIG; so with help, version, run, serve,
start, check, test, validate, configtest, dump, stop, quit, reopen, drain,
upgrade and status.
";

/// The id of a short option is its letter.
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

/// A required file argument.
fn required(id: &'static str, name: &'static str, help: &'static str) -> Arg {
    Arg::new(id).value_name(name).value_parser(clap::value_parser!(PathBuf)).required(true).help(help)
}

/// The description used for parsing and `-h`.
pub fn command() -> Command {
    let config = Arg::new("config").value_name("CONFIG").value_parser(clap::value_parser!(PathBuf));
    Command::new("webserv")
        .about("An nginx-style virtual-host web server whose uploads are stored whole or not at all")
        .override_help(HELP)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args_conflicts_with_subcommands(true)
        // As in nginx, a flag may be repeated, and the last of several values applies.
        .args_override_self(true)
        .arg(config.help("configuration to serve [default: conf/default.conf, then /etc/webserv/webserv.conf]"))
        .arg(flag("t", "test configuration and exit"))
        .arg(flag("T", "test configuration, dump it and exit"))
        .arg(flag("q", "suppress non-error messages during configuration testing"))
        .arg(flag("v", "show version and exit"))
        .arg(flag("V", "show version and configure options then exit"))
        .arg(value("s", "SIGNAL", "send signal to the running server: stop, quit, reopen, reload, drain, upgrade"))
        .arg(value("p", "PREFIX", "set prefix path"))
        .arg(value("e", "FILE", "set error log file"))
        .arg(value("c", "FILE", "set configuration file (nginx's defaults then apply)"))
        .arg(value("g", "DIRECTIVES", "set global directives beside the configuration file"))
        .arg(Arg::new("version").long("version").action(ArgAction::SetTrue).help("show webserv's own version and exit"))
        .arg(long("status", "show how the running server is doing (its configuration has an api)"))
        .arg(long("all", "with --status: every counter, a line each"))
        .arg(long("qr", "show the address as a QR code, on a terminal"))
        .arg(long("upload", "serving a directory: let visitors upload, replace and delete"))
        .arg(long("tls", "serving a directory: over HTTPS, by a certificate of the local authority"))
        .arg(long("hidden", "serving a directory: names that begin with a dot, too, to those who know them"))
        .arg(long("follow-links", "serving a directory: also what links lead to outside of it"))
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
        .arg(Arg::new("name").value_name("NAME").help("the directive; without it all are printed"))
        .arg(Arg::new("markdown").long("markdown").action(ArgAction::SetTrue).help("as Markdown instead of text"))
}

fn explain() -> Command {
    Command::new("explain")
        .about("Say what would become of a request, and why, without serving it")
        .arg(
            Arg::new("asked")
                .value_name("CONFIG METHOD URL")
                .num_args(1..=3)
                .action(ArgAction::Append)
                .help("a request, as in: webserv explain site.conf 'GET http://localhost:8080/'"),
        )
        .arg(value("c", "FILE", "set configuration file (nginx's defaults then apply)"))
        .arg(value("g", "DIRECTIVES", "set global directives beside the configuration file"))
        .arg(long("tls", "the request comes over TLS, where the URL does not say"))
        .arg(long("http2", "the request comes by HTTP/2"))
        .arg(long("client-cert", "the client presents a valid certificate, where one is asked for"))
        .arg(
            Arg::new("log")
                .long("log")
                .value_name("LOG")
                .value_parser(clap::value_parser!(PathBuf))
                .help("explain a request in this log: give its id or its line instead of METHOD URL"),
        )
        .arg(format_of_messages())
        .arg(Arg::new("header").short('H').value_name("NAME: VALUE").action(ArgAction::Append).help("a request header"))
        .arg(value("p", "PREFIX", "set prefix path"))
        .arg(
            Arg::new("client")
                .long("from")
                .alias("client")
                .value_name("ADDR")
                .value_parser(clap::value_parser!(IpAddr))
                .default_value("127.0.0.1")
                .help("the client's address"),
        )
}

fn check_nginx() -> Command {
    Command::new("check-nginx")
        .about("Show what in an nginx configuration would be the same, ignored, refused or different")
        .arg(required("config", "FILE", "the nginx configuration"))
        .arg(value("p", "PREFIX", "set prefix path"))
}

fn diff() -> Command {
    Command::new("diff")
        .about("Compare how two configurations answer the requests in a log, or their directives without one")
        .arg(required("config", "OLD", "the configuration that answered the requests"))
        .arg(required("new", "NEW", "the configuration that is to replace it"))
        .arg(value("p", "PREFIX", "set prefix path"))
        .arg(
            Arg::new("log")
                .long("log")
                .value_name("LOG")
                .value_parser(clap::value_parser!(PathBuf))
                .help("an access or error log with the requests"),
        )
        .arg(long("exit-code", "fail if an answer would differ, as git diff does"))
}

/// An address to listen on, or `localhost`, the one name that needs no lookup. `::ffff:127.0.0.1` becomes the IPv4
/// address, since IPv6 sockets here are IPv6-only.
fn address(text: &str) -> Result<IpAddr, std::net::AddrParseError> {
    match text {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        text => text.trim_start_matches('[').trim_end_matches(']').parse().map(|ip: IpAddr| ip.to_canonical()),
    }
}

fn format_of_messages() -> Arg {
    Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .help("how messages are printed: text or json")
}

fn cert() -> Command {
    Command::new("cert")
        .about("Print where the certificates of `ssl_certificate auto` are, and how to trust them")
        .arg(Arg::new("names").value_name("NAME").num_args(0..).help("the names of a server [default: localhost]"))
}

fn lint() -> Command {
    let path = || clap::value_parser!(PathBuf);
    Command::new("lint")
        .about("Warn about what is valid but probably not intended")
        .arg(
            Arg::new("config")
                .value_name("CONFIG")
                .value_parser(path())
                .help("what to check [default: what would be served]"),
        )
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
        .about("Format configurations: indentation, spaces and blank lines; comments are kept")
        .arg(
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .help("change nothing; fail if anything would change"),
        )
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .num_args(1..)
                .required(true)
                .help("written only if its layout differs"),
        )
}

fn long(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(id).action(ArgAction::SetTrue).help(help)
}

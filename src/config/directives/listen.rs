//! `server` and `location`: the blocks, addresses and names.

use crate::config::addr::ListenAddr;
use crate::config::ast::{Directive, Span, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::error::Diagnostic;
use crate::config::fault::{Fault, Outcome};
use crate::config::model::ListenOptions;
use crate::config::pattern::{Case, Pattern};
use crate::config::row::{Effect, Row, Section, row};
use crate::config::settings::listen::{Listen, Name};
use crate::config::suggest;
use crate::config::value::{Millis, Size};
use crate::sys::socket::Addr;
use crate::util::checkpoint;
use std::rc::Rc;

const SERVER: Contexts = Contexts::SERVER;

pub const ROWS: &[Row] = &[
    row(
        "server",
        Contexts::HTTP,
        Args::NONE.block(),
        "",
        Effect::Section(Section::Server),
        "A virtual host. Which one answers is decided by the address and then by the Host header.",
    ),
    row(
        "location",
        SERVER.or(Contexts::LOCATION),
        Args::TAKE12.block(),
        "",
        Effect::Section(Section::Location),
        "Settings for URIs: = exact, a prefix (the longest wins), ^~ a prefix that no regex overrides, ~ and ~* a regex (the first wins), @name for internal redirects.",
    ),
    row(
        "listen",
        SERVER,
        Args::ONE_OR_MORE,
        "*:80",
        Effect::Many(listen),
        "An address of the server: a port, address:port, [v6]:port, a port range or unix:/path; then default_server, backlog=N, reuseport, ipv6only=on|off, deferred, so_keepalive=…, rcvbuf, sndbuf, fastopen, proxy_protocol, and ssl for HTTPS. Without the right to open port 80 the default is *:8000.",
    ),
    row(
        "server_name",
        SERVER,
        Args::ONE_OR_MORE,
        "\"\"",
        Effect::Many(server_name),
        "Names of the server: exact, *.example.com, www.example.*, .example.com, or a regex after ~ whose named captures become variables.",
    ),
    row(
        "server_names_hash_max_size",
        Contexts::HTTP,
        Args::TAKE1,
        "512",
        Effect::Once(|_, _, d| crate::config::argument::number(d, 0).map(drop)),
        "Accepted; the table of names here needs no sizing.",
    ),
    row(
        "server_names_hash_bucket_size",
        Contexts::HTTP,
        Args::TAKE1,
        "64",
        Effect::Once(|_, _, d| crate::config::argument::number(d, 0).map(drop)),
        "Accepted; the table of names here needs no sizing.",
    ),
];

fn listen(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    let parsed = ListenAddr::parse(word.bytes(), 80);
    let parsed = parsed.map_err(|e| Fault::of_value(word.span, e))?;
    let addrs: Vec<Addr> = match parsed.unix_path() {
        Some(path) => vec![Addr::Unix(path.to_owned())],
        None => parsed.sockets().into_iter().map(Addr::from).collect(),
    };
    let mut listen = Parameters::default();
    for word in &d.args[1..] {
        listen.set(b, word)?;
    }
    let Parameters { default, options, proxy_protocol, ssl, http2, configured } = listen;
    let draft = s.server.as_mut().expect("the row stands in server only");
    for addr in addrs {
        if let Some(first) = draft.listened.get(&addr) {
            return Err(Fault::new(word.span, format!("a duplicate listen {addr}")).note(*first, "first given here"));
        }
        draft.listened.insert(addr.clone(), word.span);
        let (options, span) = (options.clone(), word.span);
        draft.listens.push(Listen { addr, default, options, proxy_protocol, ssl, http2, configured, span });
    }
    Ok(())
}

/// The parameters of a `listen`; they set fields of [`Listen`].
#[derive(Default)]
struct Parameters {
    default: Option<Span>,
    options: ListenOptions,
    proxy_protocol: bool,
    ssl: Option<Span>,
    http2: bool,
    configured: bool,
}

impl Parameters {
    fn set(&mut self, b: &mut Build, word: &Word) -> Outcome {
        let bytes = word.bytes();
        let bad = || Fault::new(word.span, format!("invalid parameter \"{}\"", word.str())).help(parameter(word));
        let (key, val) = match bytes.iter().position(|b| *b == b'=') {
            Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
            None => (bytes, None),
        };
        let text = val.and_then(|v| std::str::from_utf8(v).ok());
        self.configured |= !matches!(key, b"default_server" | b"default" | b"proxy_protocol" | b"ssl" | b"http2");
        match (key, text) {
            (b"default_server" | b"default", None) => self.default = Some(word.span),
            (b"bind", None) => {}
            (b"backlog", Some(n)) => self.options.backlog = Some(n.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?),
            (b"rcvbuf", Some(n)) => self.options.rcvbuf = Some(Size::parse(n.as_bytes()).map_err(|_| bad())?.0),
            (b"sndbuf", Some(n)) => self.options.sndbuf = Some(Size::parse(n.as_bytes()).map_err(|_| bad())?.0),
            (b"fastopen", Some(n)) => self.options.fastopen = Some(n.parse().ok().filter(|n| *n >= 0).ok_or_else(bad)?),
            (b"reuseport", None) => self.options.reuseport = true,
            (b"deferred", None) => self.options.deferred = true,
            (b"ipv6only", Some("on")) => self.options.ipv6only = Some(true),
            (b"ipv6only", Some("off")) => self.options.ipv6only = Some(false),
            (b"so_keepalive", Some("on")) => self.options.keepalive = Some((true, [None; 3])),
            (b"so_keepalive", Some("off")) => self.options.keepalive = Some((false, [None; 3])),
            (b"so_keepalive", Some(spec)) => self.options.keepalive = Some((true, keepalive(spec).ok_or_else(bad)?)),
            (b"setfib", _) => return Err(bad().help("this belongs to FreeBSD")),
            (b"accept_filter", Some(filter)) => {
                // nginx's words.
                let text = format!("accept filters \"{filter}\" are not supported on this platform, ignored");
                b.warn(word.span, &text);
            }
            (b"multipath", None) => {
                b.warn(word.span, "\"listen … multipath\" is ignored: connections are plain TCP");
            }
            (b"ssl", None) => self.ssl = Some(word.span),
            (b"http2", None) => {
                self.http2 = true;
                // nginx's words.
                let text = "the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead";
                b.warn(word.span, text);
            }
            (b"quic", None) => {
                let text = format!("\"listen … {}\" is not supported: HTTP/3 is not built in yet", word.str());
                return Err(Fault::new(word.span, text).help("remove it: every client also speaks HTTP/2 or HTTP/1.1"));
            }
            (b"proxy_protocol", None) => self.proxy_protocol = true,
            _ => return Err(bad()),
        }
        Ok(())
    }
}

/// Suggests the intended parameter.
fn parameter(word: &Word) -> String {
    const PARAMETERS: [&str; 15] = [
        "default_server",
        "ssl",
        "http2",
        "quic",
        "proxy_protocol",
        "reuseport",
        "deferred",
        "bind",
        "backlog",
        "rcvbuf",
        "sndbuf",
        "fastopen",
        "ipv6only",
        "so_keepalive",
        "setfib",
    ];
    let text = word.str();
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b':') {
        return "another address is another `listen`".into();
    }
    let key = text.split('=').next().unwrap_or_default();
    match key {
        "https" | "tls" => "did you mean \"ssl\"?".into(),
        "h2" | "spdy" => "did you mean \"http2\"?".into(),
        "h3" | "http3" => "did you mean \"quic\"?".into(),
        _ if PARAMETERS.contains(&key) => match key {
            "ipv6only" => "ipv6only=on or ipv6only=off".into(),
            "so_keepalive" => "so_keepalive=on, off or IDLE:INTERVAL:COUNT".into(),
            "backlog" | "fastopen" => format!("{key}=NUMBER"),
            "rcvbuf" | "sndbuf" => format!("{key}=SIZE, as in {key}=64k"),
            _ => format!("`{key}` takes no value"),
        },
        _ => suggest::one_of(key, &PARAMETERS),
    }
}

/// Parses `idle:interval:count`, each of which may be empty; times in seconds.
fn keepalive(spec: &str) -> Option<[Option<u32>; 3]> {
    let mut parts = [None; 3];
    let mut words = spec.split(':');
    for (at, part) in parts.iter_mut().enumerate() {
        let word = words.next().unwrap_or("");
        if !word.is_empty() {
            let n = if at < 2 { Millis::parse(word.as_bytes()).ok()?.0 / 1000 } else { word.parse().ok()? };
            *part = Some(u32::try_from(n).ok().filter(|n| *n > 0)?);
        }
    }
    (words.next().is_none() && parts.iter().any(Option::is_some)).then_some(parts)
}

fn server_name(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let is_odd = |word: &&Word| {
        !word.bytes().starts_with(b"~") && word.bytes().iter().any(|b| matches!(b, b'/' | b' '))
        // An unfilled placeholder is reported as such.
        && !word.bytes().starts_with(b"{{") && !word.bytes().starts_with(b"<?")
    };
    if let Some(word) = d.args.iter().find(is_odd) {
        let warning = Diagnostic::warn(word.span, format!("server name \"{}\" has suspicious symbols", word.str()));
        let names: Vec<String> = d.args.iter().map(|word| bare_name(&word.str()).to_owned()).collect();
        let text = format!("a name stands without scheme, port and path: server_name {};", names.join(" "));
        b.warning(warning.help(text));
    }
    for word in &d.args {
        checkpoint::pass();
        let name = name(word, b)?;
        let draft = s.server.as_mut().expect("the row stands in server only");
        if draft.first_name.is_none() {
            // nginx: $server_name for ".example.com" is "example.com".
            let shown = word.bytes().strip_prefix(b".").unwrap_or(word.bytes());
            // A pattern is shown as written.
            let shown = match shown {
                [b'~', ..] => shown.to_vec(),
                b"$hostname" => b.process.hostname.as_bytes().to_vec(),
                shown => shown.to_ascii_lowercase(),
            };
            draft.first_name = Some(shown.into());
        }
        draft.names.push((name, word.span));
    }
    Ok(())
}

/// The host name in a URL.
fn bare_name(text: &str) -> &str {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    text.split(['/', ':', ' ']).next().unwrap_or(text)
}

fn name(word: &Word, b: &mut Build) -> Result<Name, Fault> {
    let text = word.bytes();
    if let Some(source) = text.strip_prefix(b"~") {
        if source.is_empty() {
            return Err(Fault::new(word.span, "empty regex in server name \"~\""));
        }
        // Host names are compared in lower case, so a pattern with capitals must ignore case (nginx).
        let case = if source.iter().any(u8::is_ascii_uppercase) { Case::Insensitive } else { Case::Sensitive };
        let pattern = Pattern::of_word(word, source, case, &mut b.variables)?;
        return Ok(Name::Regex(Rc::new(pattern)));
    }
    if text == b"$hostname" {
        return Ok(Name::Exact(b.process.hostname.as_bytes().into()));
    }
    let lower: Box<[u8]> = text.to_ascii_lowercase().into();
    let starts_badly = match &lower[..] {
        [b'*', rest @ ..] => !matches!(rest, [b'.', _, ..]),
        rest => rest == b".",
    };
    if starts_badly {
        return Err(Fault::new(word.span, format!("server name \"{}\" is invalid", word.str())));
    }
    let stars = lower.iter().filter(|b| **b == b'*').count();
    if stars > 1 || lower.windows(2).any(|pair| pair == b"..") {
        return Ok(unusable(word, b));
    }
    Ok(match &lower[..] {
        [b'*', suffix @ ..] => Name::Suffix { name: suffix.into(), bare: false },
        [b'.', ..] if stars == 0 => Name::Suffix { name: lower, bare: true },
        [prefix @ .., b'.', b'*'] if !prefix.is_empty() => Name::Prefix(lower[..lower.len() - 1].into()),
        _ if stars > 0 => unusable(word, b),
        // A trailing dot (the DNS root) denotes the same name.
        [name @ .., b'.'] if !name.is_empty() => Name::Exact(name.into()),
        _ => Name::Exact(lower),
    })
}

/// Warns about a name that no request can match. nginx accepts it if the address has only one server.
fn unusable(word: &Word, b: &mut Build) -> Name {
    let text = format!("server name \"{}\" matches no host", word.str());
    let written = word.str();
    let help = match written.starts_with('^') || written.ends_with('$') || written.contains('\\') {
        true => format!("a regex begins with `~`: ~{written}"),
        false => {
            let regex = written.replace('.', "\\.").replace('*', ".*");
            format!("a `*` stands for whole labels at the beginning or the end; else write a regex: ~^{regex}$")
        }
    };
    b.warning(Diagnostic::warn(word.span, text).help(help));
    Name::Unusable
}

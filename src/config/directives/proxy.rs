//! The settings of proxying, and the directives about requests on their way: what is passed, to whom, for how long.
//! Responses are `proxy_response`'s, `proxy_pass` has a file of its own.

use super::gateway::{Gateway, Of};
use super::row;
use crate::config::ast::Directive;
use crate::config::context::{Args, Contexts};
use crate::config::model::Settings;
use crate::config::pattern::Pattern;
use crate::config::resolve::{Build, Scope};
use crate::config::table::{Effect, Fault, Outcome, Row, invalid};
use crate::config::template::Template;
use crate::config::value::{Millis, Size};
use crate::http::version::Version;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

#[derive(Clone, Debug)]
pub struct Proxy {
    /// proxy_set_header, names as written.
    pub set_headers: Rc<[(Box<[u8]>, Template)]>,
    /// In lower case.
    pub hide_headers: Rc<[Box<[u8]>]>,
    pub pass_headers: Rc<[Box<[u8]>]>,
    pub redirects: Rc<[Redirect]>,
    pub cookie_domains: Rc<[Rewrite]>,
    pub cookie_paths: Rc<[Rewrite]>,
    pub version: Version,
    pub method: Option<Template>,
    pub body: Option<Template>,
    pub pass_request_headers: bool,
    pub pass_request_body: bool,
    pub connect_timeout: Millis,
    pub send_timeout: Millis,
    pub read_timeout: Millis,
    pub buffering: bool,
    pub buffer_size: Size,
    /// Number and size.
    pub buffers: (u64, Size),
    /// None: twice the larger buffer.
    pub busy_size: Option<Size>,
    pub request_buffering: bool,
    pub intercept_errors: bool,
    pub next: Next,
    /// 0: as many as there are servers.
    pub next_tries: u64,
    /// 0: no limit.
    pub next_timeout: Millis,
    pub ignore_client_abort: bool,
    /// Headers of responses that are not obeyed.
    pub ignore: Ignore,
    /// Parts of a response are cut out here, where the upstream sends the whole.
    pub force_ranges: bool,
    pub cookie_flags: Rc<[CookieFlags]>,
    pub pass_trailers: bool,
    /// Where connections to upstreams come from.
    pub bind: Option<Template>,
    pub socket_keepalive: bool,
    /// Bytes per second of a response.
    pub limit_rate: Option<Template>,
    pub gateway: Gateway,
}

/// What makes the request go to the next server: a set of `Next` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next(pub u16);

impl Next {
    pub const ERROR: Next = Next(1);
    pub const TIMEOUT: Next = Next(2);
    pub const INVALID_HEADER: Next = Next(4);
    pub const HTTP_500: Next = Next(8);
    pub const HTTP_502: Next = Next(16);
    pub const HTTP_503: Next = Next(32);
    pub const HTTP_504: Next = Next(64);
    pub const HTTP_403: Next = Next(128);
    pub const HTTP_404: Next = Next(256);
    pub const HTTP_429: Next = Next(512);
    pub const NON_IDEMPOTENT: Next = Next(1024);

    pub fn has(self, other: Next) -> bool {
        self.0 & other.0 == other.0
    }
}

/// proxy_ignore_headers, as far as the headers would do something here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    pub redirect: bool,
    pub limit_rate: bool,
    pub buffering: bool,
    pub charset: bool,
}

/// A rule of proxy_cookie_flags: the cookies it is about, and the flags they get or lose.
#[derive(Clone, Debug)]
pub struct CookieFlags {
    pub cookie: From,
    pub flags: Box<[Template]>,
}

/// A rule of proxy_redirect.
#[derive(Debug, Clone)]
pub enum Redirect {
    /// The proxy_pass URL becomes the location's name.
    Default,
    Rule(Rewrite),
}

/// What a value begins with, or a pattern, and what stands for it afterwards.
#[derive(Debug, Clone)]
pub struct Rewrite {
    pub from: From,
    pub to: Template,
}

#[derive(Debug, Clone)]
pub enum From {
    Text(Template),
    Regex(Rc<Pattern>),
}

impl Default for Proxy {
    fn default() -> Proxy {
        Proxy {
            set_headers: Rc::new([]),
            hide_headers: Rc::new([]),
            pass_headers: Rc::new([]),
            redirects: Rc::new([Redirect::Default]),
            cookie_domains: Rc::new([]),
            cookie_paths: Rc::new([]),
            version: Version::Http11,
            method: None,
            body: None,
            pass_request_headers: true,
            pass_request_body: true,
            connect_timeout: Millis(60_000),
            send_timeout: Millis(60_000),
            read_timeout: Millis(60_000),
            buffering: true,
            buffer_size: Size(4 << 10),
            buffers: (8, Size(4 << 10)),
            busy_size: None,
            request_buffering: true,
            intercept_errors: false,
            next: Next(Next::ERROR.0 | Next::TIMEOUT.0),
            next_tries: 0,
            next_timeout: Millis(0),
            ignore_client_abort: false,
            ignore: Ignore::default(),
            force_ranges: false,
            limit_rate: None,
            cookie_flags: Rc::new([]),
            pass_trailers: false,
            bind: None,
            socket_keepalive: false,
            gateway: Gateway::default(),
        }
    }
}

pub(super) fn proxy(s: &mut Settings) -> &mut Proxy {
    Rc::make_mut(&mut s.proxy)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "proxy_set_header",
        HSL,
        Args::TAKE2,
        "Host $proxy_host",
        Effect::Many(set_header),
        "Sets a header of the passed request; an empty value removes it. Lines of a level replace all that were inherited. Host is $proxy_host by default; Connection, Upgrade, Keep-Alive, TE, Expect and Proxy-Connection are not passed unless set.",
    ),
    row(
        "proxy_pass_request_headers",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut proxy(s).pass_request_headers),
        "Whether the client's header lines are passed.",
    ),
    row(
        "proxy_pass_request_body",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut proxy(s).pass_request_body),
        "Whether the client's body is passed; off also wants proxy_set_header Content-Length \"\".",
    ),
    row(
        "proxy_http_version",
        HSL,
        Args::TAKE1,
        "1.1",
        Effect::Once(version),
        "Version of passed requests: 1.0 or 1.1. 2 is refused.",
    ),
    row(
        "proxy_method",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| {
            proxy(&mut s.settings).method = Some(b.template(d, 0)?);
            Ok(())
        }),
        "Method of passed requests instead of the client's.",
    ),
    row(
        "proxy_set_body",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| {
            proxy(&mut s.settings).body = Some(b.template(d, 0)?);
            Ok(())
        }),
        "Body of passed requests instead of the client's.",
    ),
    row(
        "proxy_connect_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut proxy(s).connect_timeout),
        "Time for a connection to be made; then the next server, or 504.",
    ),
    row(
        "proxy_send_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut proxy(s).send_timeout),
        "Time between two writes of the passed request; then the next server, or 504.",
    ),
    row(
        "proxy_read_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut proxy(s).read_timeout),
        "Time between two reads of the response; then the next server, or 504.",
    ),
    row(
        "proxy_bind",
        HSL,
        Args::TAKE12,
        "off",
        Effect::Once(|s, b, d| bind(proxy, s, b, d)),
        "Address that connections to upstreams come from: an address, address:port, a value with variables, or off. \"transparent\" is refused.",
    ),
    row(
        "proxy_socket_keepalive",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut proxy(s).socket_keepalive),
        "Whether the system probes connections to upstreams that are silent (SO_KEEPALIVE).",
    ),
    row(
        "proxy_request_buffering",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut proxy(s).request_buffering),
        "on: a body that fits client_body_buffer_size is read before an upstream is asked; it can be sent again to the next server. A larger one is streamed (nginx: written to a file first), and then only a server that was not reached is replaced. off streams every body.",
    ),
    row(
        "proxy_next_upstream",
        HSL,
        Args::ONE_OR_MORE,
        "error timeout",
        Effect::Many(|s, b, d| next_upstream(proxy, s, b, d)),
        "What makes a request go to the next server: error, timeout, invalid_header, http_500, http_502, http_503, http_504, http_403, http_404, http_429, non_idempotent, off.",
    ),
    row(
        "proxy_next_upstream_tries",
        HSL,
        Args::TAKE1,
        "0",
        Effect::Number(|s| &mut proxy(s).next_tries),
        "How many servers are tried; 0 is all of them.",
    ),
    row(
        "proxy_next_upstream_timeout",
        HSL,
        Args::TAKE1,
        "0",
        Effect::Time(|s| &mut proxy(s).next_timeout),
        "For how long further servers are tried; 0 is no limit.",
    ),
    row(
        "proxy_ignore_client_abort",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut proxy(s).ignore_client_abort),
        "Whether a request goes on at the upstream when its client has left. The response must still be taken by somebody: when writing to the client fails, it ends.",
    ),
];

fn set_header(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let name = d.args[0].bytes();
    if !crate::http::header::is_token(name) {
        return Err(invalid(d, 0));
    }
    let value = b.template(d, 1)?;
    let first = s.first;
    let proxy = proxy(&mut s.settings);
    let kept: &[_] = if first { &[] } else { &proxy.set_headers };
    proxy.set_headers = kept.iter().cloned().chain([(name.into(), value)]).collect();
    Ok(())
}

fn version(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    proxy(&mut s.settings).version = match d.args[0].bytes() {
        b"1.0" => Version::Http10,
        b"1.1" => Version::Http11,
        b"2" => return Err(Fault::new(d.args[0].span, "\"proxy_http_version 2\" is not supported").help("1.0 or 1.1")),
        _ => return Err(invalid(d, 0).help("1.0 or 1.1")),
    };
    Ok(())
}

pub(super) fn bind(of: Of, s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    if let Some(word) = d.args.get(1) {
        let fault = Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()));
        return Err(match word.is("transparent") {
            true => Fault::new(word.span, format!("\"{} … transparent\" is not supported", d.name.str()))
                .help("pass the client's address in X-Forwarded-For"),
            false => fault,
        });
    }
    let template = b.template(d, 0)?;
    let off = d.args[0].is("off");
    if !off && template.constant().is_some_and(|text| local_address(text).is_none()) {
        return Err(Fault::new(d.args[0].span, format!("invalid address \"{}\"", d.args[0].str())));
    }
    of(&mut s.settings).bind = (!off).then_some(template);
    Ok(())
}

/// The address of proxy_bind; without a port it is 0, any.
pub fn local_address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0));
    bare.or_else(|| text.parse().ok().filter(|addr: &SocketAddr| addr.port() > 0))
}

/// Lines of one block add up (nginx).
pub(super) fn next_upstream(of: Of, s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let first = s.first;
    let next = &mut of(&mut s.settings).next;
    let mut set = if first { 0 } else { next.0 };
    for word in &d.args {
        let bit = match &word.lower()[..] {
            b"error" => Next::ERROR,
            b"timeout" => Next::TIMEOUT,
            b"invalid_header" => Next::INVALID_HEADER,
            b"http_500" => Next::HTTP_500,
            b"http_502" => Next::HTTP_502,
            b"http_503" => Next::HTTP_503,
            b"http_504" => Next::HTTP_504,
            b"http_403" => Next::HTTP_403,
            b"http_404" => Next::HTTP_404,
            b"http_429" => Next::HTTP_429,
            b"non_idempotent" => Next::NON_IDEMPOTENT,
            b"off" => Next(0),
            _ => return Err(Fault::new(word.span, format!("invalid value \"{}\"", word.str()))),
        };
        set |= bit.0;
    }
    let off = d.args.iter().any(|word| word.is("off"));
    *next = Next(if off { 0 } else { set });
    Ok(())
}

//! What is sent to an upstream and how its response is handled; the gateways' settings have the same type.

use super::body::TempPath;
use super::gateway::Gateway;
use super::list::List;
use crate::config::ast::Span;
use crate::config::pattern::Pattern;
use crate::config::template::Template;
use crate::config::value::{Millis, Mode, Size};
use crate::http::method::{Method, MethodSet};
use crate::http::version::Version;
use std::rc::Rc;

/// How a cache would change requests to the upstream.
#[derive(Clone, Copy, Debug)]
pub struct Cache {
    /// Whether a zone is set.
    pub on: bool,
    /// Methods whose responses the cache would take.
    pub methods: MethodSet,
    /// Whether HEAD is sent as GET.
    pub convert_head: bool,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { on: false, methods: MethodSet::default().with(Method::Get).with(Method::Head), convert_head: true }
    }
}

impl Cache {
    /// Whether the cache would be used for this method.
    pub fn takes(&self, method: Method) -> bool {
        self.on && self.methods.contains(method)
    }
}

/// Whether and where responses are stored as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// Nothing is stored.
    Off,
    /// At the path that the URI maps to.
    On,
    /// At this path.
    Path(Template),
}

/// Passing requests on, in any protocol; fields are named after the proxy_ directives.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// proxy_set_header, names as written.
    pub set_headers: List<(Box<[u8]>, Template)>,
    /// In lower case.
    pub hide_headers: List<Box<[u8]>>,
    /// Fields that are passed although they are hidden by default; in lower case.
    pub pass_headers: List<Box<[u8]>>,
    /// proxy_redirect, in order.
    pub redirects: List<Redirect>,
    /// proxy_cookie_domain.
    pub cookie_domains: List<Rewrite>,
    /// proxy_cookie_path.
    pub cookie_paths: List<Rewrite>,
    /// proxy_http_version.
    pub version: Version,
    /// proxy_method; None: the client's.
    pub method: Option<Template>,
    /// proxy_set_body; None: the client's.
    pub body: Option<Template>,
    /// The client's fields are passed.
    pub pass_request_headers: bool,
    /// The client's body is passed.
    pub pass_request_body: bool,
    /// Until the connection is made.
    pub connect_timeout: Millis,
    /// Between two writes to the upstream.
    pub send_timeout: Millis,
    /// Between two reads from the upstream.
    pub read_timeout: Millis,
    /// The response is read ahead of the client.
    pub buffering: bool,
    /// The buffer for the head.
    pub buffer_size: Size,
    /// Number and size.
    pub buffers: (u64, Size),
    /// None: twice the larger buffer.
    pub busy_size: Option<Size>,
    /// The last directive that set one of these sizes, for errors about them.
    pub sized_at: Option<Span>,
    /// Maximum bytes written to a temporary file at once; None: the default in [`ProxySettings::temp_write_size`].
    pub temp_write_size: Option<Size>,
    /// Maximum size of a temporary file; None: the default in [`ProxySettings::temp_most`].
    pub temp_most: Option<Size>,
    /// The directory for temporary files; None: that of request bodies.
    pub temp: Option<Rc<TempPath>>,
    /// The request's body is read whole first.
    pub request_buffering: bool,
    /// Statuses from 300 on may have an error_page.
    pub intercept_errors: bool,
    /// When another server is tried.
    pub next: NextUpstream,
    /// 0: as many as the group has servers.
    pub next_tries: u64,
    /// 0: no limit.
    pub next_timeout: Millis,
    /// The upstream request continues if its client disconnects.
    pub ignore_client_abort: bool,
    /// Response headers that are ignored.
    pub ignore: Ignore,
    /// Whether ranges are applied here if the upstream sends the whole response.
    pub force_ranges: bool,
    /// proxy_cookie_flags.
    pub cookie_flags: List<CookieFlags>,
    /// Trailers of the response are passed on.
    pub pass_trailers: bool,
    /// The local address of connections to upstreams.
    pub bind: Option<Template>,
    /// SO_KEEPALIVE.
    pub socket_keepalive: bool,
    /// Bytes per second of a response.
    pub limit_rate: Option<Template>,
    /// What a cache would change.
    pub cache: Cache,
    /// proxy_store.
    pub store: Store,
    /// The mode of stored files.
    pub store_mode: Mode,
    /// What only the gateways have.
    pub gateway: Gateway,
}

/// The conditions under which a request is passed to the next server: a set of `NextUpstream` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextUpstream(pub u16);

impl NextUpstream {
    /// `error`.
    pub const ERROR: NextUpstream = NextUpstream(1);
    /// `timeout`.
    pub const TIMEOUT: NextUpstream = NextUpstream(2);
    /// `invalid_header`.
    pub const INVALID_HEADER: NextUpstream = NextUpstream(4);
    pub const HTTP_500: NextUpstream = NextUpstream(8);
    pub const HTTP_502: NextUpstream = NextUpstream(16);
    pub const HTTP_503: NextUpstream = NextUpstream(32);
    pub const HTTP_504: NextUpstream = NextUpstream(64);
    pub const HTTP_403: NextUpstream = NextUpstream(128);
    pub const HTTP_404: NextUpstream = NextUpstream(256);
    pub const HTTP_429: NextUpstream = NextUpstream(512);
    /// `non_idempotent`: POST, LOCK and PATCH, too.
    pub const NON_IDEMPOTENT: NextUpstream = NextUpstream(1024);

    /// The words of proxy_next_upstream and of proxy_cache_use_stale. `updating` is only for caches.
    pub const WORDS: &[(&str, NextUpstream)] = &[
        ("http_502", NextUpstream::HTTP_502),
        ("http_504", NextUpstream::HTTP_504),
        ("error", NextUpstream::ERROR),
        ("timeout", NextUpstream::TIMEOUT),
        ("invalid_header", NextUpstream::INVALID_HEADER),
        ("non_idempotent", NextUpstream::NON_IDEMPOTENT),
        ("http_500", NextUpstream::HTTP_500),
        ("http_503", NextUpstream::HTTP_503),
        ("http_403", NextUpstream::HTTP_403),
        ("http_404", NextUpstream::HTTP_404),
        ("http_429", NextUpstream::HTTP_429),
        ("off", NextUpstream(0)),
        ("updating", NextUpstream(0)),
    ];

    /// Those of FastCGI, SCGI and uwsgi: nginx has no http_502 and http_504 for them.
    pub const OF_GATEWAYS: &[(&str, NextUpstream)] = Self::WORDS.split_at(2).1;

    /// Those of gRPC, which is not cached.
    pub const OF_GRPC: &[(&str, NextUpstream)] = Self::WORDS.split_at(Self::WORDS.len() - 1).0;

    /// All bits of `other` are set.
    pub fn has(self, other: NextUpstream) -> bool {
        self.0 & other.0 == other.0
    }
}

/// proxy_ignore_headers, limited to headers that have an effect here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    /// X-Accel-Redirect.
    pub redirect: bool,
    /// X-Accel-Limit-Rate.
    pub limit_rate: bool,
    /// X-Accel-Buffering.
    pub buffering: bool,
    /// X-Accel-Charset.
    pub charset: bool,
    /// X-Accel-Expires.
    pub accel_expires: bool,
    /// Expires.
    pub expires: bool,
    /// Cache-Control.
    pub cache_control: bool,
    /// Set-Cookie.
    pub set_cookie: bool,
    /// Vary.
    pub vary: bool,
}

impl Ignore {
    /// Headers that proxy_ignore_headers accepts.
    pub const HEADERS: &[&str] = &[
        "X-Accel-Redirect",
        "X-Accel-Expires",
        "X-Accel-Limit-Rate",
        "X-Accel-Buffering",
        "X-Accel-Charset",
        "Expires",
        "Cache-Control",
        "Set-Cookie",
        "Vary",
    ];
}

/// A rule of proxy_cookie_flags: the cookies it applies to, and the flags to set or remove.
#[derive(Clone, Debug)]
pub struct CookieFlags {
    /// The cookie's name.
    pub cookie: From,
    /// In lower case; `no…` removes a flag.
    pub flags: Box<[Template]>,
}

/// A rule of proxy_redirect.
#[derive(Debug, Clone)]
pub enum Redirect {
    /// Replaces the proxy_pass URL by the location's name.
    Default,
    /// As configured.
    Rule(Rewrite),
}

/// A prefix or pattern to match in a value, and its replacement.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// What is replaced.
    pub from: From,
    /// What takes its place; `$1` and so on of the pattern.
    pub to: Template,
}

/// What a rule matches.
#[derive(Debug, Clone)]
pub enum From {
    /// A text: a prefix, but for domains.
    Text(Template),
    /// A pattern, anywhere in the value.
    Regex(Rc<Pattern>),
}

impl Default for ProxySettings {
    fn default() -> ProxySettings {
        ProxySettings {
            set_headers: List::default(),
            hide_headers: List::default(),
            pass_headers: List::default(),
            redirects: [Redirect::Default].into_iter().collect(),
            cookie_domains: List::default(),
            cookie_paths: List::default(),
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
            sized_at: None,
            request_buffering: true,
            intercept_errors: false,
            temp_write_size: None,
            temp_most: None,
            temp: None,
            next: NextUpstream(NextUpstream::ERROR.0 | NextUpstream::TIMEOUT.0),
            next_tries: 0,
            next_timeout: Millis(0),
            ignore_client_abort: false,
            ignore: Ignore::default(),
            force_ranges: false,
            limit_rate: None,
            cookie_flags: List::default(),
            pass_trailers: false,
            bind: None,
            socket_keepalive: false,
            cache: Cache::default(),
            store: Store::Off,
            store_mode: Mode(0o600),
            gateway: Gateway::default(),
        }
    }
}

impl ProxySettings {
    /// Maximum size of a response's temporary file. 0: none is used.
    pub fn temp_most(&self) -> u64 {
        /// nginx's.
        const DEFAULT: u64 = 1 << 30;
        self.temp_most.map_or(DEFAULT, |size| size.0)
    }

    /// Maximum bytes written to a temporary file at once.
    pub fn temp_write_size(&self) -> u64 {
        /// Several receptions, so that the disk sees few and large writes; nginx's is twice the larger buffer.
        const DEFAULT: u64 = 256 << 10;
        self.temp_write_size.map_or(DEFAULT, |size| size.0)
    }
}

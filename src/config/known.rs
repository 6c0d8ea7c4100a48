//! Directives of stock nginx that webserv does not implement: how they are treated, and why.
//!
//! Invariants: sorted by name, rows for `http` before those for `stream` and `mail`; no name is an implemented
//! directive's. The contents of a refused block are not read.

use super::context::{Args, Contexts};
use super::ignored_forms::{FLAGS, Form, GATEWAY_NEXT, GRPC_NEXT, KEPT, KEPT_VALID};
use super::ignored_forms::{MEMCACHED_NEXT, PROTOCOLS, PROXY_NEXT};
use super::settings::proxy::Ignore;

/// A directive of stock nginx.
#[derive(Clone, Copy, Debug)]
pub struct KnownDirective {
    /// Its name in nginx.
    pub name: &'static str,
    /// Where nginx allows it.
    pub contexts: Contexts,
    /// If `is_block`, the contents of the block are not interpreted.
    pub args: Args,
    /// nginx's module, as `nginx -V` and its documentation spell it.
    pub module: &'static str,
    /// What becomes of it here.
    pub verdict: Support,
    /// The arguments that nginx accepts; None: any words, any number of times.
    pub values: Option<Form>,
}

/// How it is treated; a sentence says why, and what to use instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// Harmless to omit: accepted with one notice.
    Ignored(&'static str),
    /// Ignoring it would change what is served or to whom: an error.
    Refused(&'static str),
}

use Support::{Ignored, Refused};

const fn row(
    name: &'static str,
    contexts: Contexts,
    args: Args,
    module: &'static str,
    verdict: Support,
) -> KnownDirective {
    KnownDirective { name, contexts, args, module, verdict, values: None }
}

impl KnownDirective {
    const fn takes(self, values: Form) -> KnownDirective {
        KnownDirective { values: Some(values), ..self }
    }
}

const EVENTS: Contexts = Contexts::EVENTS;
const HS: Contexts = Contexts::HTTP.or(Contexts::SERVER);
const HSL: Contexts = Contexts::HSL;
const HTTP: Contexts = Contexts::HTTP;
const IF_LOCATION: Contexts = Contexts::IF_LOCATION;
const LIMIT_EXCEPT: Contexts = Contexts::LIMIT_EXCEPT;
const LOCATION: Contexts = Contexts::LOCATION;
const MAIN: Contexts = Contexts::MAIN;
const UPSTREAM: Contexts = Contexts::UPSTREAM;
const MAIL: Contexts = Contexts::MAIL;
const STREAM: Contexts = Contexts::STREAM;

const ON_OFF: Form = Form::Choice(&["on", "off"]);

const FLAG: Args = Args::FLAG;
const NONE: Args = Args::NONE;
const ONE_OR_MORE: Args = Args::ONE_OR_MORE;
const TAKE1: Args = Args::TAKE1;
const TAKE12: Args = Args::TAKE12;
const TAKE123: Args = Args::TAKE123;
const TAKE2: Args = Args::TAKE2;
const TAKE23: Args = Args::TAKE23;
const TWO_OR_MORE: Args = Args::TWO_OR_MORE;

const ONE_PROCESS: Support =
    Ignored("tunes nginx's worker processes; here one process with one thread does all the work");
const EVENT_LOOP: Support = Ignored("tunes nginx's event loop; this server always uses epoll");
const OS_LIMITS: Support =
    Ignored("set by the service manager here: use LimitCORE=, Nice= or WorkingDirectory= of systemd, or `ulimit`");
const MODULES: Support = Ignored(
    "modules are not loaded: what webserv has is built in, and a directive of a module that it lacks is an error",
);
const THREADS: Support = Ignored("there are no threads: files are read in bounded pieces by the event loop");
const REGEX_JIT: Support = Ignored(
    "patterns are matched by an engine of linear time or by PCRE2, which is never compiled to machine code here",
);
const HASHES: Support = Ignored("sizes one of nginx's hash tables; the tables here grow by themselves");
const BUFFERS: Support = Ignored("sizes one of nginx's buffers; buffers here are pooled and sized by themselves");
const TUNING: Support = Ignored("changes how fast, not what is sent; the event loop here decides by itself");
const NOT_NEEDED: Support = Ignored("only wards off a problem of old clients or of nginx itself");
const DIAGNOSTIC: Support = Ignored("a debugging aid of nginx; see `error_log … debug` and `webserv explain`");
const VARIABLE_ONLY: Support =
    Ignored("only sets variables that do not exist here; a configuration that uses them is refused where it does");
const PROXY_TUNING: Support = Ignored("tunes how proxied responses are moved, not what they are");
const TLS_CACHE: Support =
    Ignored("each certificate is kept until its file changes; a reload reads only changed files");
const TLS_SIZE: Support = Ignored("certificates are sent as they are");
const DHE: Support = Ignored("there are no suites with DHE key exchange here; ECDHE and its groups need no parameters");
const ENGINE: Support = Ignored("cryptography is built in");
/// Why OCSP responses are not fetched.
pub const STAPLING: &str =
    "OCSP responses are not fetched: `ssl_stapling_file` names one, and most CAs have ended the service";
const HTTP3: Support = Ignored("has an effect only together with `http3 on`");
const OBSOLETE_TIMES: Support =
    Ignored("obsolete in nginx too; `client_header_timeout` and `keepalive_timeout` apply to HTTP/2");
const OBSOLETE_REQUESTS: Support = Ignored("obsolete in nginx too; `keepalive_requests` applies to HTTP/2");
const OBSOLETE_HEADERS: Support = Ignored("obsolete in nginx too; `large_client_header_buffers` applies to HTTP/2");
const NO_PUSH: Support = Ignored(
    "obsolete in nginx too, no browser takes pushed responses any more: remove it; `add_header Link` with rel=preload does its work",
);
const MIRROR: Support = Ignored("requests are not mirrored; what the client gets is the same");
const WITH_FILTER: Support = Ignored("has an effect only together with the filter it belongs to, which is refused");
const UWSGI_STRING: Support = Ignored("an application gets the request's body, not a string beside it");
const WITH_GRPC: Support = Ignored("has an effect only together with `grpc_pass`");
const WITH_MEMCACHED: Support = Ignored("has an effect only together with `memcached_pass`");
const TUNNEL_TUNING: Support = Ignored("sizes buffers of the system, which sizes them by itself");
const PROXY_CACHE: Support = Ignored("responses of upstreams are not cached; each request goes to the upstream");
const PROXY_TLS: Support = Ignored("certificates for upstreams are read when the configuration is loaded");
const NO_GRPC: Support = Refused(
    "gRPC needs HTTP/2 to the application, which is spoken to clients only; put a proxy that speaks it in front",
);
const NO_MEMCACHED: Support = Refused("memcached is not built in; serve files or use `proxy_pass`");
const STICKY: Support =
    Refused("requests of one client would go to different servers; list one server, or balance in front");
const OPENSSL: Support =
    Refused("sets what only OpenSSL has; `ssl_protocols`, `ssl_ciphers` and `ssl_ecdh_curve` say what is negotiated");
const NO_ECH: Support =
    Refused("encrypted client hellos are not opened: names that must stay hidden would be sent in the clear");
const NO_OCSP: Support = Refused("clients with revoked certificates would be let in; `ssl_crl` names lists of them");
const NO_HTTP3: Support = Refused("HTTP/3 is not built in; remove it, every client also speaks HTTP/1.1");
const NO_BODY_FILTER: Support = Refused("responses would be sent unchanged; change the files instead");
const NO_MEDIA: Support =
    Refused("a `start=` argument would be without effect; players that use Range requests need no module");
const NO_PERL: Support = Refused("Perl is not built in; let the script speak HTTP and use `proxy_pass`");
const NO_COOKIES: Support = Refused("clients would not get the cookie this module sets");
const POST_ACTION: Support = Refused("the action would never be run");
const NO_GUNZIP: Support =
    Refused("clients that cannot read gzip would get it; keep the plain file beside the `.gz` one");
const NO_STREAM: Support =
    Refused("only HTTP is served; the contents of this block are not read. Use nginx or HAProxy for plain TCP and UDP");
const NO_MAIL: Support = Refused("only HTTP is served; the contents of this block are not read");
const IN_STREAM: Support = Refused("belongs inside `stream { }`, and only HTTP is served");
const IN_MAIL: Support = Refused("belongs inside `mail { }`, and only HTTP is served");

/// Every such directive.
pub const ROWS: &[KnownDirective] = &[
    row("accept_mutex", EVENTS, FLAG, "ngx_event_core_module", EVENT_LOOP).takes(ON_OFF),
    row("accept_mutex_delay", EVENTS, TAKE1, "ngx_event_core_module", EVENT_LOOP).takes(Form::Millis),
    row("acceptex_read", EVENTS, FLAG, "ngx_iocp_module", EVENT_LOOP),
    row("add_after_body", HSL, TAKE1, "ngx_http_addition_filter_module", NO_BODY_FILTER).takes(Form::Any),
    row("add_before_body", HSL, TAKE1, "ngx_http_addition_filter_module", NO_BODY_FILTER).takes(Form::Any),
    row("addition_types", HSL, ONE_OR_MORE, "ngx_http_addition_filter_module", WITH_FILTER),
    row("aio", HSL, TAKE1, "ngx_http_core_module", TUNING).takes(Form::Aio),
    row("aio_write", HSL, FLAG, "ngx_http_core_module", TUNING).takes(ON_OFF),
    row("ancient_browser", HSL, ONE_OR_MORE, "ngx_http_browser_module", VARIABLE_ONLY),
    row("ancient_browser_value", HSL, TAKE1, "ngx_http_browser_module", VARIABLE_ONLY),
    row("auth_http", MAIL, TAKE1, "ngx_mail_auth_http_module", IN_MAIL),
    row("auth_http_header", MAIL, TAKE2, "ngx_mail_auth_http_module", IN_MAIL),
    row("auth_http_pass_client_cert", MAIL, FLAG, "ngx_mail_auth_http_module", IN_MAIL),
    row("auth_http_timeout", MAIL, TAKE1, "ngx_mail_auth_http_module", IN_MAIL),
    row("client_body_early_read", HS, ONE_OR_MORE, "ngx_http_core_module", TUNING).takes(Form::Texts),
    row("connection_pool_size", HS, TAKE1, "ngx_http_core_module", BUFFERS).takes(Form::Pool),
    row("debug_connection", EVENTS, TAKE1, "ngx_event_core_module", DIAGNOSTIC),
    row("debug_points", MAIN, TAKE1, "ngx_core_module", DIAGNOSTIC).takes(Form::Choice(&["stop", "abort"])),
    row("degradation", HTTP, TAKE1, "ngx_http_degradation_module", TUNING),
    row("degrade", HSL, TAKE1, "ngx_http_degradation_module", TUNING),
    row("devpoll_changes", EVENTS, TAKE1, "ngx_devpoll_module", EVENT_LOOP),
    row("devpoll_events", EVENTS, TAKE1, "ngx_devpoll_module", EVENT_LOOP),
    row("directio", HSL, TAKE1, "ngx_http_core_module", TUNING).takes(Form::OffOrOffset),
    row("directio_alignment", HSL, TAKE1, "ngx_http_core_module", TUNING).takes(Form::Offset),
    row("epoll_events", EVENTS, TAKE1, "ngx_epoll_module", EVENT_LOOP).takes(Form::Number),
    row("eventport_events", EVENTS, TAKE1, "ngx_eventport_module", EVENT_LOOP),
    row("fastcgi_cache_background_update", HSL, FLAG, "ngx_http_fastcgi_module", PROXY_CACHE).takes(ON_OFF),
    row("fastcgi_cache_bypass", HSL, ONE_OR_MORE, "ngx_http_fastcgi_module", PROXY_CACHE).takes(Form::Texts),
    row("fastcgi_cache_key", HSL, TAKE1, "ngx_http_fastcgi_module", PROXY_CACHE).takes(Form::Text),
    row("fastcgi_cache_lock", HSL, FLAG, "ngx_http_fastcgi_module", PROXY_CACHE).takes(ON_OFF),
    row("fastcgi_cache_lock_age", HSL, TAKE1, "ngx_http_fastcgi_module", PROXY_CACHE).takes(Form::Millis),
    row("fastcgi_cache_lock_timeout", HSL, TAKE1, "ngx_http_fastcgi_module", PROXY_CACHE).takes(Form::Millis),
    row("fastcgi_cache_max_range_offset", HSL, TAKE1, "ngx_http_fastcgi_module", PROXY_CACHE).takes(Form::Offset),
    row("fastcgi_cache_min_uses", HSL, TAKE1, "ngx_http_fastcgi_module", PROXY_CACHE).takes(Form::Number),
    row("fastcgi_cache_path", HTTP, TWO_OR_MORE, "ngx_http_fastcgi_module", PROXY_CACHE).takes(Form::CachePath),
    row("fastcgi_cache_revalidate", HSL, FLAG, "ngx_http_fastcgi_module", PROXY_CACHE).takes(ON_OFF),
    row("fastcgi_cache_use_stale", HSL, ONE_OR_MORE, "ngx_http_fastcgi_module", PROXY_CACHE).takes(GATEWAY_NEXT),
    row("fastcgi_cache_valid", HSL, ONE_OR_MORE, "ngx_http_fastcgi_module", PROXY_CACHE).takes(Form::Valid),
    row("fastcgi_no_cache", HSL, ONE_OR_MORE, "ngx_http_fastcgi_module", PROXY_CACHE).takes(Form::Texts),
    row("fastcgi_send_lowat", HSL, TAKE1, "ngx_http_fastcgi_module", PROXY_TUNING).takes(Form::LowMark),
    row("fastcgi_socket_rcvbuf", HSL, TAKE1, "ngx_http_fastcgi_module", PROXY_TUNING).takes(Form::Size),
    row("fastcgi_socket_sndbuf", HSL, TAKE1, "ngx_http_fastcgi_module", PROXY_TUNING).takes(Form::Size),
    row("flv", LOCATION, NONE, "ngx_http_flv_module", NO_MEDIA),
    row("geoip_city", HTTP, TAKE12, "ngx_http_geoip_module", VARIABLE_ONLY),
    row("geoip_city", STREAM, TAKE12, "ngx_stream_geoip_module", IN_STREAM),
    row("geoip_country", HTTP, TAKE12, "ngx_http_geoip_module", VARIABLE_ONLY),
    row("geoip_country", STREAM, TAKE12, "ngx_stream_geoip_module", IN_STREAM),
    row("geoip_org", HTTP, TAKE12, "ngx_http_geoip_module", VARIABLE_ONLY),
    row("geoip_org", STREAM, TAKE12, "ngx_stream_geoip_module", IN_STREAM),
    row("geoip_proxy", HTTP, TAKE1, "ngx_http_geoip_module", VARIABLE_ONLY),
    row("geoip_proxy_recursive", HTTP, FLAG, "ngx_http_geoip_module", VARIABLE_ONLY),
    row("google_perftools_profiles", MAIN, TAKE1, "ngx_google_perftools_module", DIAGNOSTIC),
    row("grpc_bind", HSL, TAKE12, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Address),
    row("grpc_buffer_size", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Size),
    row("grpc_connect_timeout", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Millis),
    row("grpc_hide_header", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC),
    row("grpc_ignore_headers", HSL, ONE_OR_MORE, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Words(Ignore::HEADERS)),
    row("grpc_intercept_errors", HSL, FLAG, "ngx_http_grpc_module", WITH_GRPC).takes(ON_OFF),
    row("grpc_next_upstream", HSL, ONE_OR_MORE, "ngx_http_grpc_module", WITH_GRPC).takes(GRPC_NEXT),
    row("grpc_next_upstream_timeout", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Millis),
    row("grpc_next_upstream_tries", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Number),
    row("grpc_pass", LOCATION.or(IF_LOCATION), TAKE1, "ngx_http_grpc_module", NO_GRPC).takes(Form::Any),
    row("grpc_pass_header", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC),
    row("grpc_read_timeout", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Millis),
    row("grpc_send_timeout", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Millis),
    row("grpc_set_header", HSL, TAKE2, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Field),
    row("grpc_socket_keepalive", HSL, FLAG, "ngx_http_grpc_module", WITH_GRPC).takes(ON_OFF),
    row("grpc_socket_rcvbuf", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Size),
    row("grpc_socket_sndbuf", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Size),
    row("grpc_ssl_certificate", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Text),
    row("grpc_ssl_certificate_cache", HSL, TAKE123, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Cache(KEPT_VALID)),
    row("grpc_ssl_certificate_key", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Text),
    row("grpc_ssl_ciphers", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Any),
    row("grpc_ssl_conf_command", HSL, TAKE2, "ngx_http_grpc_module", WITH_GRPC),
    row("grpc_ssl_crl", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Any),
    row("grpc_ssl_name", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Text),
    row("grpc_ssl_password_file", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Passwords),
    row("grpc_ssl_protocols", HSL, ONE_OR_MORE, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Words(PROTOCOLS)),
    row("grpc_ssl_server_name", HSL, FLAG, "ngx_http_grpc_module", WITH_GRPC).takes(ON_OFF),
    row("grpc_ssl_session_reuse", HSL, FLAG, "ngx_http_grpc_module", WITH_GRPC).takes(ON_OFF),
    row("grpc_ssl_trusted_certificate", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Any),
    row("grpc_ssl_verify", HSL, FLAG, "ngx_http_grpc_module", WITH_GRPC).takes(ON_OFF),
    row("grpc_ssl_verify_depth", HSL, TAKE1, "ngx_http_grpc_module", WITH_GRPC).takes(Form::Number),
    row("gunzip", HSL, FLAG, "ngx_http_gunzip_filter_module", NO_GUNZIP).takes(Form::Any),
    row("gunzip_buffers", HSL, TAKE2, "ngx_http_gunzip_filter_module", BUFFERS).takes(Form::Buffers),
    row("gzip_buffers", HSL, TAKE2, "ngx_http_gzip_filter_module", BUFFERS).takes(Form::Buffers),
    row("gzip_hash", HSL, TAKE1, "ngx_http_gzip_filter_module", BUFFERS).takes(Form::OneSize(&[
        512,
        1 << 10,
        2 << 10,
        4 << 10,
        8 << 10,
        16 << 10,
        32 << 10,
        64 << 10,
        128 << 10,
    ])),
    row("gzip_no_buffer", HSL, FLAG, "ngx_http_gzip_filter_module", BUFFERS).takes(ON_OFF),
    row("gzip_window", HSL, TAKE1, "ngx_http_gzip_filter_module", BUFFERS).takes(Form::OneSize(&[
        512,
        1 << 10,
        2 << 10,
        4 << 10,
        8 << 10,
        16 << 10,
        32 << 10,
    ])),
    row("http2_idle_timeout", HS, TAKE1, "ngx_http_v2_module", OBSOLETE_TIMES)
        .takes(Form::Obsolete(Some("keepalive_timeout"))),
    row("http2_max_concurrent_pushes", HS, TAKE1, "ngx_http_v2_module", NO_PUSH).takes(Form::Obsolete(None)),
    row("http2_max_field_size", HS, TAKE1, "ngx_http_v2_module", OBSOLETE_HEADERS)
        .takes(Form::Obsolete(Some("large_client_header_buffers"))),
    row("http2_max_header_size", HS, TAKE1, "ngx_http_v2_module", OBSOLETE_HEADERS)
        .takes(Form::Obsolete(Some("large_client_header_buffers"))),
    row("http2_max_requests", HS, TAKE1, "ngx_http_v2_module", OBSOLETE_REQUESTS)
        .takes(Form::Obsolete(Some("keepalive_requests"))),
    row("http2_pool_size", HS, TAKE1, "ngx_http_v2_module", BUFFERS).takes(Form::Pool),
    row("http2_push", HSL, TAKE1, "ngx_http_v2_module", NO_PUSH).takes(Form::Obsolete(None)),
    row("http2_push_preload", HSL, FLAG, "ngx_http_v2_module", NO_PUSH).takes(Form::Obsolete(None)),
    row("http2_recv_buffer_size", HTTP, TAKE1, "ngx_http_v2_module", BUFFERS).takes(Form::SizeFrom(32)),
    row("http2_recv_timeout", HS, TAKE1, "ngx_http_v2_module", OBSOLETE_TIMES)
        .takes(Form::Obsolete(Some("client_header_timeout"))),
    row("http2_streams_index_size", HS, TAKE1, "ngx_http_v2_module", HASHES).takes(Form::Power),
    row("http3", HS, FLAG, "ngx_http_v3_module", NO_HTTP3),
    row("http3_hq", HS, FLAG, "ngx_http_v3_module", HTTP3),
    row("http3_max_concurrent_streams", HS, TAKE1, "ngx_http_v3_module", HTTP3),
    row("http3_stream_buffer_size", HS, TAKE1, "ngx_http_v3_module", HTTP3),
    row("image_filter", LOCATION, TAKE123, "ngx_http_image_filter_module", NO_BODY_FILTER),
    row("image_filter_buffer", HSL, TAKE1, "ngx_http_image_filter_module", WITH_FILTER),
    row("image_filter_interlace", HSL, FLAG, "ngx_http_image_filter_module", WITH_FILTER),
    row("image_filter_jpeg_quality", HSL, TAKE1, "ngx_http_image_filter_module", WITH_FILTER),
    row("image_filter_sharpen", HSL, TAKE1, "ngx_http_image_filter_module", WITH_FILTER),
    row("image_filter_transparency", HSL, FLAG, "ngx_http_image_filter_module", WITH_FILTER),
    row("image_filter_webp_quality", HSL, TAKE1, "ngx_http_image_filter_module", WITH_FILTER),
    row("imap_auth", MAIL, ONE_OR_MORE, "ngx_mail_imap_module", IN_MAIL),
    row("imap_capabilities", MAIL, ONE_OR_MORE, "ngx_mail_imap_module", IN_MAIL),
    row("imap_client_buffer", MAIL, TAKE1, "ngx_mail_imap_module", IN_MAIL),
    row("iocp_threads", EVENTS, TAKE1, "ngx_iocp_module", EVENT_LOOP),
    row("keepalive_min_timeout", HSL, TAKE1, "ngx_http_core_module", TUNING).takes(Form::Millis),
    row("kqueue_changes", EVENTS, TAKE1, "ngx_kqueue_module", EVENT_LOOP),
    row("kqueue_events", EVENTS, TAKE1, "ngx_kqueue_module", EVENT_LOOP),
    row("load_module", MAIN, TAKE1, "ngx_core_module", MODULES),
    row("lock_file", MAIN, TAKE1, "ngx_core_module", ONE_PROCESS).takes(Form::Any),
    row("mail", MAIN, NONE.block(), "ngx_mail_module", NO_MAIL),
    row("max_errors", MAIL, TAKE1, "ngx_mail_core_module", IN_MAIL),
    row("memcached_bind", HSL, TAKE12, "ngx_http_memcached_module", WITH_MEMCACHED).takes(Form::Address),
    row("memcached_buffer_size", HSL, TAKE1, "ngx_http_memcached_module", WITH_MEMCACHED).takes(Form::Size),
    row("memcached_connect_timeout", HSL, TAKE1, "ngx_http_memcached_module", WITH_MEMCACHED).takes(Form::Millis),
    row("memcached_gzip_flag", HSL, TAKE1, "ngx_http_memcached_module", WITH_MEMCACHED).takes(Form::Number),
    row("memcached_next_upstream", HSL, ONE_OR_MORE, "ngx_http_memcached_module", WITH_MEMCACHED)
        .takes(Form::Words(MEMCACHED_NEXT)),
    row("memcached_next_upstream_timeout", HSL, TAKE1, "ngx_http_memcached_module", WITH_MEMCACHED).takes(Form::Millis),
    row("memcached_next_upstream_tries", HSL, TAKE1, "ngx_http_memcached_module", WITH_MEMCACHED).takes(Form::Number),
    row("memcached_pass", LOCATION.or(IF_LOCATION), TAKE1, "ngx_http_memcached_module", NO_MEMCACHED).takes(Form::Any),
    row("memcached_read_timeout", HSL, TAKE1, "ngx_http_memcached_module", WITH_MEMCACHED).takes(Form::Millis),
    row("memcached_send_timeout", HSL, TAKE1, "ngx_http_memcached_module", WITH_MEMCACHED).takes(Form::Millis),
    row("memcached_socket_keepalive", HSL, FLAG, "ngx_http_memcached_module", WITH_MEMCACHED).takes(ON_OFF),
    row("mirror", HSL, TAKE1, "ngx_http_mirror_module", MIRROR),
    row("mirror_request_body", HSL, FLAG, "ngx_http_mirror_module", MIRROR).takes(ON_OFF),
    row("modern_browser", HSL, TAKE12, "ngx_http_browser_module", VARIABLE_ONLY).takes(Form::Browser),
    row("modern_browser_value", HSL, TAKE1, "ngx_http_browser_module", VARIABLE_ONLY),
    row("mp4", LOCATION, NONE, "ngx_http_mp4_module", NO_MEDIA),
    row("mp4_buffer_size", HSL, TAKE1, "ngx_http_mp4_module", WITH_FILTER),
    row("mp4_max_buffer_size", HSL, TAKE1, "ngx_http_mp4_module", WITH_FILTER),
    row("mp4_start_key_frame", HSL, FLAG, "ngx_http_mp4_module", WITH_FILTER),
    row("msie_padding", HSL, FLAG, "ngx_http_core_module", NOT_NEEDED).takes(ON_OFF),
    row("multi_accept", EVENTS, FLAG, "ngx_event_core_module", EVENT_LOOP).takes(ON_OFF),
    row("open_file_cache", HSL, TAKE12, "ngx_http_core_module", TUNING).takes(Form::Cache(KEPT)),
    row("open_file_cache_errors", HSL, FLAG, "ngx_http_core_module", TUNING).takes(ON_OFF),
    row("open_file_cache_events", HSL, FLAG, "ngx_http_core_module", TUNING).takes(ON_OFF),
    row("open_file_cache_min_uses", HSL, TAKE1, "ngx_http_core_module", TUNING).takes(Form::Number),
    row("open_file_cache_valid", HSL, TAKE1, "ngx_http_core_module", TUNING).takes(Form::Seconds),
    row("output_buffers", HSL, TAKE2, "ngx_http_copy_filter_module", BUFFERS).takes(Form::Buffers),
    row("pass", STREAM, TAKE1, "ngx_stream_pass_module", IN_STREAM),
    row("pcre_jit", MAIN, FLAG, "ngx_regex_module", REGEX_JIT).takes(ON_OFF),
    row("perl", LOCATION.or(LIMIT_EXCEPT), TAKE1, "ngx_http_perl_module", NO_PERL),
    row("perl_modules", HTTP, TAKE1, "ngx_http_perl_module", WITH_FILTER),
    row("perl_require", HTTP, TAKE1, "ngx_http_perl_module", WITH_FILTER),
    row("perl_set", HTTP, TAKE2, "ngx_http_perl_module", NO_PERL),
    row("pop3_auth", MAIL, ONE_OR_MORE, "ngx_mail_pop3_module", IN_MAIL),
    row("pop3_capabilities", MAIL, ONE_OR_MORE, "ngx_mail_pop3_module", IN_MAIL),
    row("post_acceptex", EVENTS, TAKE1, "ngx_iocp_module", EVENT_LOOP),
    row("post_action", HSL.or(IF_LOCATION), TAKE1, "ngx_http_core_module", POST_ACTION).takes(Form::Any),
    row("postpone_gzipping", HSL, TAKE1, "ngx_http_gzip_filter_module", BUFFERS).takes(Form::Size),
    row("postpone_output", HSL, TAKE1, "ngx_http_core_module", TUNING).takes(Form::Size),
    row("preread_buffer_size", STREAM, TAKE1, "ngx_stream_core_module", IN_STREAM),
    row("preread_timeout", STREAM, TAKE1, "ngx_stream_core_module", IN_STREAM),
    row("protocol", MAIL, TAKE1, "ngx_mail_core_module", IN_MAIL),
    row("proxy", MAIL, FLAG, "ngx_mail_proxy_module", IN_MAIL),
    row("proxy_buffer", MAIL, TAKE1, "ngx_mail_proxy_module", IN_MAIL),
    row("proxy_cache_background_update", HSL, FLAG, "ngx_http_proxy_module", PROXY_CACHE).takes(ON_OFF),
    row("proxy_cache_bypass", HSL, ONE_OR_MORE, "ngx_http_proxy_module", PROXY_CACHE).takes(Form::Texts),
    row("proxy_cache_key", HSL, TAKE1, "ngx_http_proxy_module", PROXY_CACHE).takes(Form::Text),
    row("proxy_cache_lock", HSL, FLAG, "ngx_http_proxy_module", PROXY_CACHE).takes(ON_OFF),
    row("proxy_cache_lock_age", HSL, TAKE1, "ngx_http_proxy_module", PROXY_CACHE).takes(Form::Millis),
    row("proxy_cache_lock_timeout", HSL, TAKE1, "ngx_http_proxy_module", PROXY_CACHE).takes(Form::Millis),
    row("proxy_cache_max_range_offset", HSL, TAKE1, "ngx_http_proxy_module", PROXY_CACHE).takes(Form::Offset),
    row("proxy_cache_min_uses", HSL, TAKE1, "ngx_http_proxy_module", PROXY_CACHE).takes(Form::Number),
    row("proxy_cache_path", HTTP, TWO_OR_MORE, "ngx_http_proxy_module", PROXY_CACHE).takes(Form::CachePath),
    row("proxy_cache_revalidate", HSL, FLAG, "ngx_http_proxy_module", PROXY_CACHE).takes(ON_OFF),
    row("proxy_cache_use_stale", HSL, ONE_OR_MORE, "ngx_http_proxy_module", PROXY_CACHE).takes(PROXY_NEXT),
    row("proxy_cache_valid", HSL, ONE_OR_MORE, "ngx_http_proxy_module", PROXY_CACHE).takes(Form::Valid),
    row("proxy_download_rate", STREAM, TAKE1, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_downstream_buffer", STREAM, TAKE1, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_half_close", STREAM, FLAG, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_headers_hash_bucket_size", HSL, TAKE1, "ngx_http_proxy_module", HASHES).takes(Form::Number),
    row("proxy_headers_hash_max_size", HSL, TAKE1, "ngx_http_proxy_module", HASHES).takes(Form::Number),
    row("proxy_no_cache", HSL, ONE_OR_MORE, "ngx_http_proxy_module", PROXY_CACHE).takes(Form::Texts),
    row("proxy_pass_error_message", MAIL, FLAG, "ngx_mail_proxy_module", IN_MAIL),
    row("proxy_protocol", MAIL, TAKE1, "ngx_mail_proxy_module", IN_MAIL),
    row("proxy_protocol", STREAM, TAKE1, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_protocol_timeout", STREAM, TAKE1, "ngx_stream_core_module", IN_STREAM),
    row("proxy_requests", STREAM, TAKE1, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_responses", STREAM, TAKE1, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_send_lowat", HSL, TAKE1, "ngx_http_proxy_module", PROXY_TUNING).takes(Form::LowMark),
    row("proxy_smtp_auth", MAIL, FLAG, "ngx_mail_proxy_module", IN_MAIL),
    row("proxy_socket_rcvbuf", HSL, TAKE1, "ngx_http_proxy_module", PROXY_TUNING).takes(Form::Size),
    row("proxy_socket_rcvbuf", STREAM, TAKE1, "ngx_stream_proxy_module", IN_STREAM).takes(Form::Size),
    row("proxy_socket_sndbuf", HSL, TAKE1, "ngx_http_proxy_module", PROXY_TUNING).takes(Form::Size),
    row("proxy_socket_sndbuf", STREAM, TAKE1, "ngx_stream_proxy_module", IN_STREAM).takes(Form::Size),
    row("proxy_ssl", STREAM, FLAG, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_ssl_alpn", STREAM, ONE_OR_MORE, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_ssl_certificate_cache", HSL, TAKE123, "ngx_http_proxy_module", PROXY_TLS).takes(Form::Cache(KEPT_VALID)),
    row("proxy_ssl_certificate_cache", STREAM, TAKE123, "ngx_stream_proxy_module", IN_STREAM)
        .takes(Form::Cache(KEPT_VALID)),
    row("proxy_ssl_conf_command", HSL, TAKE2, "ngx_http_proxy_module", OPENSSL),
    row("proxy_ssl_conf_command", STREAM, TAKE2, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_timeout", MAIL, TAKE1, "ngx_mail_proxy_module", IN_MAIL),
    row("proxy_timeout", STREAM, TAKE1, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_upload_rate", STREAM, TAKE1, "ngx_stream_proxy_module", IN_STREAM),
    row("proxy_upstream_buffer", STREAM, TAKE1, "ngx_stream_proxy_module", IN_STREAM),
    row("quic_active_connection_id_limit", HS, TAKE1, "ngx_http_v3_module", HTTP3),
    row("quic_bpf", MAIN, FLAG, "ngx_quic_bpf_module", HTTP3),
    row("quic_gso", HS, FLAG, "ngx_http_v3_module", HTTP3),
    row("quic_host_key", HS, TAKE1, "ngx_http_v3_module", HTTP3),
    row("quic_retry", HS, FLAG, "ngx_http_v3_module", HTTP3),
    row("read_ahead", HSL, TAKE1, "ngx_http_core_module", TUNING).takes(Form::Size),
    row("request_pool_size", HS, TAKE1, "ngx_http_core_module", BUFFERS).takes(Form::Pool),
    row("scgi_cache_background_update", HSL, FLAG, "ngx_http_scgi_module", PROXY_CACHE).takes(ON_OFF),
    row("scgi_cache_bypass", HSL, ONE_OR_MORE, "ngx_http_scgi_module", PROXY_CACHE).takes(Form::Texts),
    row("scgi_cache_key", HSL, TAKE1, "ngx_http_scgi_module", PROXY_CACHE).takes(Form::Text),
    row("scgi_cache_lock", HSL, FLAG, "ngx_http_scgi_module", PROXY_CACHE).takes(ON_OFF),
    row("scgi_cache_lock_age", HSL, TAKE1, "ngx_http_scgi_module", PROXY_CACHE).takes(Form::Millis),
    row("scgi_cache_lock_timeout", HSL, TAKE1, "ngx_http_scgi_module", PROXY_CACHE).takes(Form::Millis),
    row("scgi_cache_max_range_offset", HSL, TAKE1, "ngx_http_scgi_module", PROXY_CACHE).takes(Form::Offset),
    row("scgi_cache_min_uses", HSL, TAKE1, "ngx_http_scgi_module", PROXY_CACHE).takes(Form::Number),
    row("scgi_cache_path", HTTP, TWO_OR_MORE, "ngx_http_scgi_module", PROXY_CACHE).takes(Form::CachePath),
    row("scgi_cache_revalidate", HSL, FLAG, "ngx_http_scgi_module", PROXY_CACHE).takes(ON_OFF),
    row("scgi_cache_use_stale", HSL, ONE_OR_MORE, "ngx_http_scgi_module", PROXY_CACHE).takes(GATEWAY_NEXT),
    row("scgi_cache_valid", HSL, ONE_OR_MORE, "ngx_http_scgi_module", PROXY_CACHE).takes(Form::Valid),
    row("scgi_no_cache", HSL, ONE_OR_MORE, "ngx_http_scgi_module", PROXY_CACHE).takes(Form::Texts),
    row("scgi_socket_rcvbuf", HSL, TAKE1, "ngx_http_scgi_module", PROXY_TUNING).takes(Form::Size),
    row("scgi_socket_sndbuf", HSL, TAKE1, "ngx_http_scgi_module", PROXY_TUNING).takes(Form::Size),
    row("send_lowat", HSL, TAKE1, "ngx_http_core_module", TUNING).takes(Form::LowMark),
    row("sendfile_max_chunk", HSL, TAKE1, "ngx_http_core_module", TUNING).takes(Form::Size),
    row("slice", HSL, TAKE1, "ngx_http_slice_filter_module", PROXY_TUNING).takes(Form::Offset),
    row("smtp_auth", MAIL, ONE_OR_MORE, "ngx_mail_smtp_module", IN_MAIL),
    row("smtp_capabilities", MAIL, ONE_OR_MORE, "ngx_mail_smtp_module", IN_MAIL),
    row("smtp_client_buffer", MAIL, TAKE1, "ngx_mail_smtp_module", IN_MAIL),
    row("smtp_greeting_delay", MAIL, TAKE1, "ngx_mail_smtp_module", IN_MAIL),
    row("ssl_alpn", STREAM, ONE_OR_MORE, "ngx_stream_ssl_module", IN_STREAM),
    row("ssl_certificate_cache", HS, TAKE123, "ngx_http_ssl_module", TLS_CACHE).takes(Form::Cache(KEPT_VALID)),
    row("ssl_certificate_cache", STREAM, TAKE123, "ngx_stream_ssl_module", IN_STREAM).takes(Form::Cache(KEPT_VALID)),
    row("ssl_certificate_compression", HS, FLAG, "ngx_http_ssl_module", TLS_SIZE).takes(ON_OFF),
    row("ssl_certificate_compression", MAIL, FLAG, "ngx_mail_ssl_module", IN_MAIL).takes(ON_OFF),
    row("ssl_certificate_compression", STREAM, FLAG, "ngx_stream_ssl_module", IN_STREAM).takes(ON_OFF),
    row("ssl_conf_command", HS, TAKE2, "ngx_http_ssl_module", OPENSSL),
    row("ssl_conf_command", MAIL, TAKE2, "ngx_mail_ssl_module", IN_MAIL),
    row("ssl_conf_command", STREAM, TAKE2, "ngx_stream_ssl_module", IN_STREAM),
    row("ssl_dhparam", HS, TAKE1, "ngx_http_ssl_module", DHE).takes(Form::Any),
    row("ssl_dhparam", MAIL, TAKE1, "ngx_mail_ssl_module", IN_MAIL).takes(Form::Any),
    row("ssl_dhparam", STREAM, TAKE1, "ngx_stream_ssl_module", IN_STREAM).takes(Form::Any),
    row("ssl_ech_file", HS, TAKE1, "ngx_http_ssl_module", NO_ECH),
    row("ssl_ech_file", STREAM, TAKE1, "ngx_stream_ssl_module", IN_STREAM),
    row("ssl_engine", MAIN, TAKE1, "ngx_openssl_module", ENGINE),
    row("ssl_handshake_timeout", STREAM, TAKE1, "ngx_stream_ssl_module", IN_STREAM),
    row("ssl_object_cache_inheritable", MAIN, FLAG, "ngx_openssl_cache_module", TLS_CACHE).takes(ON_OFF),
    row("ssl_ocsp", HS, TAKE1, "ngx_http_ssl_module", NO_OCSP).takes(Form::Any),
    row("ssl_ocsp", STREAM, TAKE1, "ngx_stream_ssl_module", IN_STREAM),
    row("ssl_ocsp_cache", HS, TAKE1, "ngx_http_ssl_module", Ignored(STAPLING)).takes(Form::OcspCache),
    row("ssl_ocsp_cache", STREAM, TAKE1, "ngx_stream_ssl_module", IN_STREAM).takes(Form::Any),
    row("ssl_ocsp_responder", HS, TAKE1, "ngx_http_ssl_module", Ignored(STAPLING)).takes(Form::Any),
    row("ssl_ocsp_responder", STREAM, TAKE1, "ngx_stream_ssl_module", IN_STREAM).takes(Form::Any),
    row("ssl_preread", STREAM, FLAG, "ngx_stream_ssl_preread_module", IN_STREAM),
    row("ssl_stapling", HS, FLAG, "ngx_http_ssl_module", Ignored(STAPLING)).takes(ON_OFF),
    row("ssl_stapling", STREAM, FLAG, "ngx_stream_ssl_module", IN_STREAM).takes(ON_OFF),
    row("ssl_stapling_responder", HS, TAKE1, "ngx_http_ssl_module", Ignored(STAPLING)).takes(Form::Any),
    row("ssl_stapling_responder", STREAM, TAKE1, "ngx_stream_ssl_module", IN_STREAM).takes(Form::Any),
    row("ssl_stapling_verify", HS, FLAG, "ngx_http_ssl_module", Ignored(STAPLING)).takes(ON_OFF),
    row("ssl_stapling_verify", STREAM, FLAG, "ngx_stream_ssl_module", IN_STREAM).takes(ON_OFF),
    row("starttls", MAIL, TAKE1, "ngx_mail_ssl_module", IN_MAIL),
    row("sticky", UPSTREAM, TWO_OR_MORE, "ngx_http_upstream_sticky_module", STICKY),
    row("stream", MAIN, NONE.block(), "ngx_stream_module", NO_STREAM),
    row("sub_filter", HSL, TAKE2, "ngx_http_sub_filter_module", NO_BODY_FILTER),
    row("sub_filter_last_modified", HSL, FLAG, "ngx_http_sub_filter_module", WITH_FILTER).takes(ON_OFF),
    row("sub_filter_once", HSL, FLAG, "ngx_http_sub_filter_module", WITH_FILTER).takes(ON_OFF),
    row("sub_filter_types", HSL, ONE_OR_MORE, "ngx_http_sub_filter_module", WITH_FILTER),
    row("thread_pool", MAIN, TAKE23, "ngx_thread_pool_module", THREADS).takes(Form::ThreadPool),
    row("timeout", MAIL, TAKE1, "ngx_mail_core_module", IN_MAIL),
    row("timer_resolution", MAIN, TAKE1, "ngx_core_module", EVENT_LOOP).takes(Form::Millis),
    row("tunnel_send_lowat", HSL, TAKE1, "ngx_http_tunnel_module", TUNNEL_TUNING).takes(Form::LowMark),
    row("tunnel_socket_rcvbuf", HSL, TAKE1, "ngx_http_tunnel_module", TUNNEL_TUNING).takes(Form::Size),
    row("tunnel_socket_sndbuf", HSL, TAKE1, "ngx_http_tunnel_module", TUNNEL_TUNING).takes(Form::Size),
    row("types_hash_bucket_size", HSL, TAKE1, "ngx_http_core_module", HASHES).takes(Form::Number),
    row("types_hash_max_size", HSL, TAKE1, "ngx_http_core_module", HASHES).takes(Form::Number),
    row("use", EVENTS, TAKE1, "ngx_event_core_module", EVENT_LOOP).takes(Form::Choice(&["epoll", "poll", "select"])),
    row("userid", HSL, TAKE1, "ngx_http_userid_filter_module", NO_COOKIES).takes(Form::Any),
    row("userid_domain", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER).takes(Form::Any),
    row("userid_expires", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER).takes(Form::Expiry),
    row("userid_flags", HSL, TAKE123, "ngx_http_userid_filter_module", WITH_FILTER).takes(Form::Words(FLAGS)),
    row("userid_mark", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER).takes(Form::Mark),
    row("userid_name", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER).takes(Form::Any),
    row("userid_p3p", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER).takes(Form::Any),
    row("userid_path", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER).takes(Form::Any),
    row("userid_service", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER).takes(Form::Number),
    row("uwsgi_cache_background_update", HSL, TAKE1, "ngx_http_uwsgi_module", PROXY_CACHE).takes(ON_OFF),
    row("uwsgi_cache_bypass", HSL, ONE_OR_MORE, "ngx_http_uwsgi_module", PROXY_CACHE).takes(Form::Texts),
    row("uwsgi_cache_key", HSL, TAKE1, "ngx_http_uwsgi_module", PROXY_CACHE).takes(Form::Text),
    row("uwsgi_cache_lock", HSL, FLAG, "ngx_http_uwsgi_module", PROXY_CACHE).takes(ON_OFF),
    row("uwsgi_cache_lock_age", HSL, TAKE1, "ngx_http_uwsgi_module", PROXY_CACHE).takes(Form::Millis),
    row("uwsgi_cache_lock_timeout", HSL, TAKE1, "ngx_http_uwsgi_module", PROXY_CACHE).takes(Form::Millis),
    row("uwsgi_cache_max_range_offset", HSL, TAKE1, "ngx_http_uwsgi_module", PROXY_CACHE).takes(Form::Offset),
    row("uwsgi_cache_min_uses", HSL, TAKE1, "ngx_http_uwsgi_module", PROXY_CACHE).takes(Form::Number),
    row("uwsgi_cache_path", HTTP, TWO_OR_MORE, "ngx_http_uwsgi_module", PROXY_CACHE).takes(Form::CachePath),
    row("uwsgi_cache_revalidate", HSL, FLAG, "ngx_http_uwsgi_module", PROXY_CACHE).takes(ON_OFF),
    row("uwsgi_cache_use_stale", HSL, ONE_OR_MORE, "ngx_http_uwsgi_module", PROXY_CACHE).takes(GATEWAY_NEXT),
    row("uwsgi_cache_valid", HSL, ONE_OR_MORE, "ngx_http_uwsgi_module", PROXY_CACHE).takes(Form::Valid),
    row("uwsgi_no_cache", HSL, ONE_OR_MORE, "ngx_http_uwsgi_module", PROXY_CACHE).takes(Form::Texts),
    row("uwsgi_socket_rcvbuf", HSL, TAKE1, "ngx_http_uwsgi_module", PROXY_TUNING).takes(Form::Size),
    row("uwsgi_socket_sndbuf", HSL, TAKE1, "ngx_http_uwsgi_module", PROXY_TUNING).takes(Form::Size),
    row("uwsgi_ssl_certificate_cache", HSL, TAKE123, "ngx_http_uwsgi_module", PROXY_TLS).takes(Form::Cache(KEPT_VALID)),
    row("uwsgi_ssl_conf_command", HSL, TAKE2, "ngx_http_uwsgi_module", OPENSSL),
    row("uwsgi_string", HSL, TAKE1, "ngx_http_uwsgi_module", UWSGI_STRING).takes(Form::Any),
    row("variables_hash_bucket_size", HTTP, TAKE1, "ngx_http_core_module", HASHES).takes(Form::Positive),
    row("variables_hash_bucket_size", STREAM, TAKE1, "ngx_stream_core_module", IN_STREAM).takes(Form::Positive),
    row("variables_hash_max_size", HTTP, TAKE1, "ngx_http_core_module", HASHES).takes(Form::Positive),
    row("variables_hash_max_size", STREAM, TAKE1, "ngx_stream_core_module", IN_STREAM).takes(Form::Positive),
    row("worker_aio_requests", EVENTS, TAKE1, "ngx_epoll_module", EVENT_LOOP).takes(Form::Number),
    row("worker_cpu_affinity", MAIN, ONE_OR_MORE, "ngx_core_module", ONE_PROCESS).takes(Form::Masks),
    row("worker_priority", MAIN, TAKE1, "ngx_core_module", OS_LIMITS).takes(Form::Priority),
    row("worker_processes", MAIN, TAKE1, "ngx_core_module", ONE_PROCESS).takes(Form::Any),
    row("worker_rlimit_core", MAIN, TAKE1, "ngx_core_module", OS_LIMITS).takes(Form::Offset),
    row("working_directory", MAIN, TAKE1, "ngx_core_module", OS_LIMITS).takes(Form::Any),
    row("xclient", MAIL, FLAG, "ngx_mail_proxy_module", IN_MAIL),
    row("xml_entities", HSL, TAKE1, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("xml_external_entities", HSL, FLAG, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("xslt_last_modified", HSL, FLAG, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("xslt_param", HSL, TAKE2, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("xslt_string_param", HSL, TAKE2, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("xslt_stylesheet", LOCATION, ONE_OR_MORE, "ngx_http_xslt_filter_module", NO_BODY_FILTER),
    row("xslt_types", HSL, ONE_OR_MORE, "ngx_http_xslt_filter_module", WITH_FILTER),
];

//! Directives of stock nginx that are harmless without: accepted with one note that says why. The ones that
//! concern upstreams are in `ignored_upstream`.
//!
//! A row here says how nginx spells the directive, nothing more: what is implemented has a row of its own, which
//! wins. Invariant: sorted by name.

use crate::config::context::{Args, Class, Contexts, Known};

const EVENTS: Contexts = Contexts::EVENTS;
const HS: Contexts = Contexts::HTTP.or(Contexts::SERVER);
const HSL: Contexts = Contexts::HSL;
const HTTP: Contexts = Contexts::HTTP;
const IF_LOCATION: Contexts = Contexts::IF_LOCATION;
const IF_SERVER: Contexts = Contexts::IF_SERVER;
const LOCATION: Contexts = Contexts::LOCATION;
const MAIN: Contexts = Contexts::MAIN;
const SERVER: Contexts = Contexts::SERVER;
const UPSTREAM: Contexts = Contexts::UPSTREAM;

const FLAG: Args = Args::FLAG;
const NONE: Args = Args::NONE;
const ONE_OR_MORE: Args = Args::ONE_OR_MORE;
const TAKE1: Args = Args::TAKE1;
const TAKE12: Args = Args::TAKE12;
const TAKE123: Args = Args::TAKE123;
const TAKE1234: Args = Args::TAKE1234;
const TAKE2: Args = Args::TAKE2;
const TAKE23: Args = Args::TAKE23;

const ONE_PROCESS: &str = "tunes nginx's worker processes; here one process with one thread does all the work";
const EVENT_LOOP: &str = "tunes nginx's event loop; here it is always epoll, edge triggered";
const OS_LIMITS: &str =
    "set by the service manager here: use LimitCORE=, Nice= or WorkingDirectory= of systemd, or `ulimit`";
const MODULES: &str = "every module is built in; one that is missing shows by its directives";
const ENVIRONMENT: &str = "the environment is left as it is";
const THREADS: &str = "there are no threads: files are read in bounded pieces by the event loop";
const REGEX_JIT: &str =
    "patterns are matched by an engine of linear time or by PCRE2, which is never compiled to machine code here";
const HASHES: &str = "sizes one of nginx's hash tables; the tables here grow by themselves";
const BUFFERS: &str = "sizes one of nginx's buffers; buffers here are pooled and sized by themselves";
const TUNING: &str = "changes how fast, not what is sent; the event loop here decides by itself";
const NOT_NEEDED: &str = "only wards off a problem of old clients or of nginx itself";
const RESOLVER: &str = "host names are resolved by the system, when the configuration is read";
const DIAGNOSTIC: &str = "a debugging aid of nginx; see `error_log … debug` and `webserv explain`";
const VARIABLE_ONLY: &str =
    "only sets variables that do not exist here; a configuration that uses them is refused where it does";
const PROXY_TUNING: &str = "tunes how proxied responses are moved, not what they are";
const BALANCING: &str = "requests are spread over the servers in turn, whatever the method";
const TLS_CACHE: &str = "certificates are read once and kept until their files change";
const TLS_SIZE: &str = "certificates are sent as they are";
const DHE: &str = "there are no suites with DHE key exchange here; ECDHE and its groups need no parameters";
const EARLY_DATA: &str =
    "clients send nothing before the handshake is over, as they do where a server knows no early data";
const ENGINE: &str = "cryptography is built in";
const STAPLING: &str =
    "responses of OCSP are not fetched: `ssl_stapling_file` names one, and most CAs have ended the service";
const HTTP3: &str = "has an effect only together with `http3 on`";
const OBSOLETE_TIMES: &str = "obsolete in nginx too; `client_header_timeout` and `keepalive_timeout` hold for HTTP/2";
const OBSOLETE_REQUESTS: &str = "obsolete in nginx too; `keepalive_requests` holds for HTTP/2";
const OBSOLETE_HEADERS: &str = "obsolete in nginx too; `large_client_header_buffers` holds for HTTP/2";
const NO_PUSH: &str = "obsolete in nginx too; no browser takes pushed responses any more";
const HINTS: &str = "early hints are optional in HTTP and are not passed on";
const MIRROR: &str = "requests are not mirrored; what the client gets is the same";
const WITH_FILTER: &str = "has an effect only together with the filter it belongs to, which is refused";
const LOGGING: &str = "log files are kept open and reopened on USR1";

const fn row(name: &'static str, contexts: Contexts, args: Args, module: &'static str, why: &'static str) -> Known {
    Known { name, contexts, args, module, class: Class::Ignored, why }
}

pub const ROWS: &[Known] = &[
    row("accept_mutex", EVENTS, FLAG, "ngx_event_core_module", EVENT_LOOP),
    row("accept_mutex_delay", EVENTS, TAKE1, "ngx_event_core_module", EVENT_LOOP),
    row("acceptex_read", EVENTS, FLAG, "ngx_iocp_module", EVENT_LOOP),
    row("addition_types", HSL, ONE_OR_MORE, "ngx_http_addition_filter_module", WITH_FILTER),
    row("aio", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("aio_write", HSL, FLAG, "ngx_http_core_module", TUNING),
    row("ancient_browser", HSL, ONE_OR_MORE, "ngx_http_browser_module", VARIABLE_ONLY),
    row("ancient_browser_value", HSL, TAKE1, "ngx_http_browser_module", VARIABLE_ONLY),
    row("client_body_buffer_size", HSL, TAKE1, "ngx_http_core_module", BUFFERS),
    row("client_body_early_read", HS, ONE_OR_MORE, "ngx_http_core_module", TUNING),
    row("client_body_in_single_buffer", HSL, FLAG, "ngx_http_core_module", BUFFERS),
    row("client_body_temp_path", HSL, TAKE1234, "ngx_http_core_module", BUFFERS),
    row("client_header_buffer_size", HS, TAKE1, "ngx_http_core_module", BUFFERS),
    row("connection_pool_size", HS, TAKE1, "ngx_http_core_module", BUFFERS),
    row("daemon", MAIN, FLAG, "ngx_core_module", ONE_PROCESS),
    row("debug_connection", EVENTS, TAKE1, "ngx_event_core_module", DIAGNOSTIC),
    row("debug_points", MAIN, TAKE1, "ngx_core_module", DIAGNOSTIC),
    row("degradation", HTTP, TAKE1, "ngx_http_degradation_module", TUNING),
    row("degrade", HSL, TAKE1, "ngx_http_degradation_module", TUNING),
    row("devpoll_changes", EVENTS, TAKE1, "ngx_devpoll_module", EVENT_LOOP),
    row("devpoll_events", EVENTS, TAKE1, "ngx_devpoll_module", EVENT_LOOP),
    row("directio", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("directio_alignment", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("early_hints", HSL, ONE_OR_MORE, "ngx_http_core_module", HINTS),
    row("env", MAIN, TAKE1, "ngx_core_module", ENVIRONMENT),
    row("epoll_events", EVENTS, TAKE1, "ngx_epoll_module", EVENT_LOOP),
    row("eventport_events", EVENTS, TAKE1, "ngx_eventport_module", EVENT_LOOP),
    row("geoip_city", HTTP, TAKE12, "ngx_http_geoip_module", VARIABLE_ONLY),
    row("geoip_country", HTTP, TAKE12, "ngx_http_geoip_module", VARIABLE_ONLY),
    row("geoip_org", HTTP, TAKE12, "ngx_http_geoip_module", VARIABLE_ONLY),
    row("geoip_proxy", HTTP, TAKE1, "ngx_http_geoip_module", VARIABLE_ONLY),
    row("geoip_proxy_recursive", HTTP, FLAG, "ngx_http_geoip_module", VARIABLE_ONLY),
    row("google_perftools_profiles", MAIN, TAKE1, "ngx_google_perftools_module", DIAGNOSTIC),
    row("gunzip_buffers", HSL, TAKE2, "ngx_http_gunzip_filter_module", BUFFERS),
    row("gzip_buffers", HSL, TAKE2, "ngx_http_gzip_filter_module", BUFFERS),
    row("gzip_hash", HSL, TAKE1, "ngx_http_gzip_filter_module", BUFFERS),
    row("gzip_no_buffer", HSL, FLAG, "ngx_http_gzip_filter_module", BUFFERS),
    row("gzip_window", HSL, TAKE1, "ngx_http_gzip_filter_module", BUFFERS),
    row("http2_idle_timeout", HS, TAKE1, "ngx_http_v2_module", OBSOLETE_TIMES),
    row("http2_max_concurrent_pushes", HS, TAKE1, "ngx_http_v2_module", NO_PUSH),
    row("http2_max_field_size", HS, TAKE1, "ngx_http_v2_module", OBSOLETE_HEADERS),
    row("http2_max_header_size", HS, TAKE1, "ngx_http_v2_module", OBSOLETE_HEADERS),
    row("http2_max_requests", HS, TAKE1, "ngx_http_v2_module", OBSOLETE_REQUESTS),
    row("http2_pool_size", HS, TAKE1, "ngx_http_v2_module", BUFFERS),
    row("http2_push", HSL, TAKE1, "ngx_http_v2_module", NO_PUSH),
    row("http2_push_preload", HSL, FLAG, "ngx_http_v2_module", NO_PUSH),
    row("http2_recv_buffer_size", HTTP, TAKE1, "ngx_http_v2_module", BUFFERS),
    row("http2_recv_timeout", HS, TAKE1, "ngx_http_v2_module", OBSOLETE_TIMES),
    row("http2_streams_index_size", HS, TAKE1, "ngx_http_v2_module", HASHES),
    row("http3_hq", HS, FLAG, "ngx_http_v3_module", HTTP3),
    row("http3_max_concurrent_streams", HS, TAKE1, "ngx_http_v3_module", HTTP3),
    row("http3_stream_buffer_size", HS, TAKE1, "ngx_http_v3_module", HTTP3),
    row("image_filter_buffer", HSL, TAKE1, "ngx_http_image_filter_module", WITH_FILTER),
    row("image_filter_interlace", HSL, FLAG, "ngx_http_image_filter_module", WITH_FILTER),
    row("image_filter_jpeg_quality", HSL, TAKE1, "ngx_http_image_filter_module", WITH_FILTER),
    row("image_filter_sharpen", HSL, TAKE1, "ngx_http_image_filter_module", WITH_FILTER),
    row("image_filter_transparency", HSL, FLAG, "ngx_http_image_filter_module", WITH_FILTER),
    row("image_filter_webp_quality", HSL, TAKE1, "ngx_http_image_filter_module", WITH_FILTER),
    row("iocp_threads", EVENTS, TAKE1, "ngx_iocp_module", EVENT_LOOP),
    row("keepalive", UPSTREAM, TAKE12, "ngx_http_upstream_keepalive_module", PROXY_TUNING),
    row("keepalive_disable", HSL, TAKE12, "ngx_http_core_module", NOT_NEEDED),
    row("keepalive_min_timeout", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("keepalive_requests", UPSTREAM, TAKE1, "ngx_http_upstream_keepalive_module", PROXY_TUNING),
    row("keepalive_time", UPSTREAM, TAKE1, "ngx_http_upstream_keepalive_module", PROXY_TUNING),
    row("keepalive_timeout", UPSTREAM, TAKE1, "ngx_http_upstream_keepalive_module", PROXY_TUNING),
    row("kqueue_changes", EVENTS, TAKE1, "ngx_kqueue_module", EVENT_LOOP),
    row("kqueue_events", EVENTS, TAKE1, "ngx_kqueue_module", EVENT_LOOP),
    row("least_conn", UPSTREAM, NONE, "ngx_http_upstream_least_conn_module", BALANCING),
    row("least_time", UPSTREAM, TAKE12, "ngx_http_upstream_least_time_module", BALANCING),
    row("lingering_close", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("lingering_time", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("lingering_timeout", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("load_module", MAIN, TAKE1, "ngx_core_module", MODULES),
    row("lock_file", MAIN, TAKE1, "ngx_core_module", ONE_PROCESS),
    row("log_not_found", HSL, FLAG, "ngx_http_core_module", LOGGING),
    row("log_subrequest", HSL, FLAG, "ngx_http_core_module", LOGGING),
    row("map_hash_bucket_size", HTTP, TAKE1, "ngx_http_map_module", HASHES),
    row("map_hash_max_size", HTTP, TAKE1, "ngx_http_map_module", HASHES),
    row("master_process", MAIN, FLAG, "ngx_core_module", ONE_PROCESS),
    row("mirror", HSL, TAKE1, "ngx_http_mirror_module", MIRROR),
    row("mirror_request_body", HSL, FLAG, "ngx_http_mirror_module", MIRROR),
    row("modern_browser", HSL, TAKE12, "ngx_http_browser_module", VARIABLE_ONLY),
    row("modern_browser_value", HSL, TAKE1, "ngx_http_browser_module", VARIABLE_ONLY),
    row("mp4_buffer_size", HSL, TAKE1, "ngx_http_mp4_module", WITH_FILTER),
    row("mp4_max_buffer_size", HSL, TAKE1, "ngx_http_mp4_module", WITH_FILTER),
    row("mp4_start_key_frame", HSL, FLAG, "ngx_http_mp4_module", WITH_FILTER),
    row("msie_padding", HSL, FLAG, "ngx_http_core_module", NOT_NEEDED),
    row("msie_refresh", HSL, FLAG, "ngx_http_core_module", NOT_NEEDED),
    row("multi_accept", EVENTS, FLAG, "ngx_event_core_module", EVENT_LOOP),
    row("open_file_cache", HSL, TAKE12, "ngx_http_core_module", TUNING),
    row("open_file_cache_errors", HSL, FLAG, "ngx_http_core_module", TUNING),
    row("open_file_cache_events", HSL, FLAG, "ngx_http_core_module", TUNING),
    row("open_file_cache_min_uses", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("open_file_cache_valid", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("open_log_file_cache", HSL, TAKE1234, "ngx_http_log_module", LOGGING),
    row("output_buffers", HSL, TAKE2, "ngx_http_copy_filter_module", BUFFERS),
    row("pcre_jit", MAIN, FLAG, "ngx_regex_module", REGEX_JIT),
    row("perl_modules", HTTP, TAKE1, "ngx_http_perl_module", WITH_FILTER),
    row("perl_require", HTTP, TAKE1, "ngx_http_perl_module", WITH_FILTER),
    row("post_acceptex", EVENTS, TAKE1, "ngx_iocp_module", EVENT_LOOP),
    row("postpone_gzipping", HSL, TAKE1, "ngx_http_gzip_filter_module", BUFFERS),
    row("postpone_output", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("quic_active_connection_id_limit", HS, TAKE1, "ngx_http_v3_module", HTTP3),
    row("quic_bpf", MAIN, FLAG, "ngx_quic_bpf_module", HTTP3),
    row("quic_gso", HS, FLAG, "ngx_http_v3_module", HTTP3),
    row("quic_host_key", HS, TAKE1, "ngx_http_v3_module", HTTP3),
    row("quic_retry", HS, FLAG, "ngx_http_v3_module", HTTP3),
    row("random", UPSTREAM, Args::range(0, 2), "ngx_http_upstream_random_module", BALANCING),
    row("read_ahead", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("referer_hash_bucket_size", SERVER.or(LOCATION), TAKE1, "ngx_http_referer_module", HASHES),
    row("referer_hash_max_size", SERVER.or(LOCATION), TAKE1, "ngx_http_referer_module", HASHES),
    row("request_pool_size", HS, TAKE1, "ngx_http_core_module", BUFFERS),
    row("reset_timedout_connection", HSL, FLAG, "ngx_http_core_module", TUNING),
    row("resolver", HSL, ONE_OR_MORE, "ngx_http_core_module", RESOLVER),
    row("resolver", UPSTREAM, ONE_OR_MORE, "ngx_http_upstream_module", RESOLVER),
    row("resolver_timeout", HSL, TAKE1, "ngx_http_core_module", RESOLVER),
    row("resolver_timeout", UPSTREAM, TAKE1, "ngx_http_upstream_module", RESOLVER),
    row("rewrite_log", HSL.or(IF_SERVER).or(IF_LOCATION), FLAG, "ngx_http_rewrite_module", DIAGNOSTIC),
    row("send_lowat", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("sendfile", HSL.or(IF_LOCATION), FLAG, "ngx_http_core_module", TUNING),
    row("sendfile_max_chunk", HSL, TAKE1, "ngx_http_core_module", TUNING),
    row("server_names_hash_bucket_size", HTTP, TAKE1, "ngx_http_core_module", HASHES),
    row("server_names_hash_max_size", HTTP, TAKE1, "ngx_http_core_module", HASHES),
    row("slice", HSL, TAKE1, "ngx_http_slice_filter_module", PROXY_TUNING),
    row("ssi_ignore_recycled_buffers", HSL, FLAG, "ngx_http_ssi_filter_module", WITH_FILTER),
    row("ssi_last_modified", HSL, FLAG, "ngx_http_ssi_filter_module", WITH_FILTER),
    row("ssi_min_file_chunk", HSL, TAKE1, "ngx_http_ssi_filter_module", WITH_FILTER),
    row("ssi_silent_errors", HSL, FLAG, "ngx_http_ssi_filter_module", WITH_FILTER),
    row("ssi_types", HSL, ONE_OR_MORE, "ngx_http_ssi_filter_module", WITH_FILTER),
    row("ssi_value_length", HSL, TAKE1, "ngx_http_ssi_filter_module", WITH_FILTER),
    row("ssl_certificate_cache", HS, TAKE123, "ngx_http_ssl_module", TLS_CACHE),
    row("ssl_certificate_compression", HS, FLAG, "ngx_http_ssl_module", TLS_SIZE),
    row("ssl_dhparam", HS, TAKE1, "ngx_http_ssl_module", DHE),
    row("ssl_early_data", HS, FLAG, "ngx_http_ssl_module", EARLY_DATA),
    row("ssl_engine", MAIN, TAKE1, "ngx_openssl_module", ENGINE),
    row("ssl_object_cache_inheritable", MAIN, FLAG, "ngx_openssl_cache_module", TLS_CACHE),
    row("ssl_ocsp_cache", HS, TAKE1, "ngx_http_ssl_module", STAPLING),
    row("ssl_ocsp_responder", HS, TAKE1, "ngx_http_ssl_module", STAPLING),
    row("ssl_stapling", HS, FLAG, "ngx_http_ssl_module", STAPLING),
    row("ssl_stapling_responder", HS, TAKE1, "ngx_http_ssl_module", STAPLING),
    row("ssl_stapling_verify", HS, FLAG, "ngx_http_ssl_module", STAPLING),
    row("sub_filter_last_modified", HSL, FLAG, "ngx_http_sub_filter_module", WITH_FILTER),
    row("sub_filter_once", HSL, FLAG, "ngx_http_sub_filter_module", WITH_FILTER),
    row("sub_filter_types", HSL, ONE_OR_MORE, "ngx_http_sub_filter_module", WITH_FILTER),
    row("subrequest_output_buffer_size", HSL, TAKE1, "ngx_http_core_module", BUFFERS),
    row("tcp_nodelay", HSL, FLAG, "ngx_http_core_module", TUNING),
    row("tcp_nopush", HSL, FLAG, "ngx_http_core_module", TUNING),
    row("thread_pool", MAIN, TAKE23, "ngx_thread_pool_module", THREADS),
    row("timer_resolution", MAIN, TAKE1, "ngx_core_module", EVENT_LOOP),
    row("types_hash_bucket_size", HSL, TAKE1, "ngx_http_core_module", HASHES),
    row("types_hash_max_size", HSL, TAKE1, "ngx_http_core_module", HASHES),
    row("uninitialized_variable_warn", HSL.or(IF_SERVER).or(IF_LOCATION), FLAG, "ngx_http_rewrite_module", DIAGNOSTIC),
    row("use", EVENTS, TAKE1, "ngx_event_core_module", EVENT_LOOP),
    row("userid_domain", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER),
    row("userid_expires", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER),
    row("userid_flags", HSL, TAKE123, "ngx_http_userid_filter_module", WITH_FILTER),
    row("userid_mark", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER),
    row("userid_name", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER),
    row("userid_p3p", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER),
    row("userid_path", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER),
    row("userid_service", HSL, TAKE1, "ngx_http_userid_filter_module", WITH_FILTER),
    row("variables_hash_bucket_size", HTTP, TAKE1, "ngx_http_core_module", HASHES),
    row("variables_hash_max_size", HTTP, TAKE1, "ngx_http_core_module", HASHES),
    row("worker_aio_requests", EVENTS, TAKE1, "ngx_epoll_module", EVENT_LOOP),
    row("worker_connections", EVENTS, TAKE1, "ngx_event_core_module", EVENT_LOOP),
    row("worker_cpu_affinity", MAIN, ONE_OR_MORE, "ngx_core_module", ONE_PROCESS),
    row("worker_priority", MAIN, TAKE1, "ngx_core_module", OS_LIMITS),
    row("worker_processes", MAIN, TAKE1, "ngx_core_module", ONE_PROCESS),
    row("worker_rlimit_core", MAIN, TAKE1, "ngx_core_module", OS_LIMITS),
    row("worker_rlimit_nofile", MAIN, TAKE1, "ngx_core_module", OS_LIMITS),
    row("worker_shutdown_timeout", MAIN, TAKE1, "ngx_core_module", ONE_PROCESS),
    row("working_directory", MAIN, TAKE1, "ngx_core_module", OS_LIMITS),
    row("xml_entities", HSL, TAKE1, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("xml_external_entities", HSL, FLAG, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("xslt_last_modified", HSL, FLAG, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("xslt_param", HSL, TAKE2, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("xslt_string_param", HSL, TAKE2, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("xslt_types", HSL, ONE_OR_MORE, "ngx_http_xslt_filter_module", WITH_FILTER),
    row("zone", UPSTREAM, TAKE12, "ngx_http_upstream_zone_module", BALANCING),
];

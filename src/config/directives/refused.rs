//! Directives of stock nginx that would change what is served or who is let in: an error that says why and what
//! to do instead.
//!
//! A row here says how nginx spells the directive, nothing more: what is implemented has a row of its own, which
//! wins. The inside of a refused block is not read. Invariant: sorted by name.

use crate::config::context::{Args, Class, Contexts, Known};

const ANY: Contexts = Contexts::ANY;
const HS: Contexts = Contexts::HTTP.or(Contexts::SERVER);
const HSL: Contexts = Contexts::HSL;
const HTTP: Contexts = Contexts::HTTP;
const IF_LOCATION: Contexts = Contexts::IF_LOCATION;
const IF_SERVER: Contexts = Contexts::IF_SERVER;
const LIMIT_EXCEPT: Contexts = Contexts::LIMIT_EXCEPT;
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
const TAKE2: Args = Args::TAKE2;
const TAKE23: Args = Args::TAKE23;
const TAKE3: Args = Args::TAKE3;
const TWO_OR_MORE: Args = Args::TWO_OR_MORE;

const LATER: &str = "is not implemented in this version; without it other responses would be sent than nginx sends";
const NO_FASTCGI: &str = "FastCGI is not built in yet; let the application speak HTTP and use `proxy_pass`";
const NO_SCGI: &str = "SCGI is not built in; let the application speak HTTP and use `proxy_pass`";
const NO_UWSGI: &str = "the uwsgi protocol is not built in; start uWSGI with `--http-socket` and use `proxy_pass`";
const NO_GRPC: &str = "gRPC needs HTTP/2, which is not built in; put a proxy that speaks it in front";
const NO_MEMCACHED: &str = "memcached is not built in; serve files or use `proxy_pass`";
const NO_TUNNEL: &str = "CONNECT tunnels are not built in";
const NO_PROXY: &str = "would change what the upstream or the client gets and is not implemented in this version";
const NO_STORE: &str = "copies of proxied responses are not stored; requests that rely on the stored files would fail";
const STICKY: &str = "requests of one client would go to different servers; list one server, or balance in front";
const OPENSSL: &str =
    "sets what only OpenSSL has; `ssl_protocols`, `ssl_ciphers` and `ssl_ecdh_curve` say what is negotiated";
const NO_ECH: &str = "encrypted client hellos are not opened: names that must stay hidden would be sent in the clear";
const NO_OCSP: &str = "clients with revoked certificates would be let in; `ssl_crl` names lists of them";
const NO_HTTP3: &str = "HTTP/3 is not built in; remove it, every client also speaks HTTP/1.1";
const NO_AUTH_REQUEST: &str =
    "requests that the subrequest would deny would be let in; use `auth_basic` or `allow`/`deny`";
const NO_SECURE_LINK: &str = "links that must expire or be signed would work for everybody";
const NO_BODY_FILTER: &str = "responses would be sent unchanged; change the files instead";
const NO_MEDIA: &str = "a `start=` argument would be without effect; players that use Range requests need no module";
const NO_PERL: &str = "Perl is not built in; let the script speak HTTP and use `proxy_pass`";
const NO_COOKIES: &str = "clients would not get the cookie this module sets";
const POST_ACTION: &str = "the action would never be run";
const NO_GUNZIP: &str = "clients that cannot read gzip would get it; keep the plain file beside the `.gz` one";
const NO_STREAM: &str =
    "only HTTP is served; the inside of this block is not read. Use nginx or HAProxy for plain TCP and UDP";
const NO_MAIL: &str = "only HTTP is served; the inside of this block is not read";

const fn row(name: &'static str, contexts: Contexts, args: Args, module: &'static str, why: &'static str) -> Known {
    Known { name, contexts, args, module, class: Class::Refused, why }
}

pub const ROWS: &[Known] = &[
    row("absolute_redirect", HSL, FLAG, "ngx_http_core_module", LATER),
    row("access_log", HSL.or(IF_LOCATION).or(LIMIT_EXCEPT), ONE_OR_MORE, "ngx_http_log_module", LATER),
    row("add_after_body", HSL, TAKE1, "ngx_http_addition_filter_module", NO_BODY_FILTER),
    row("add_before_body", HSL, TAKE1, "ngx_http_addition_filter_module", NO_BODY_FILTER),
    row("add_header", HSL.or(IF_LOCATION), TAKE23, "ngx_http_headers_filter_module", LATER),
    row("add_header_inherit", HSL.or(IF_LOCATION), TAKE1, "ngx_http_headers_filter_module", LATER),
    row("add_trailer", HSL.or(IF_LOCATION), TAKE23, "ngx_http_headers_filter_module", LATER),
    row("add_trailer_inherit", HSL.or(IF_LOCATION), TAKE1, "ngx_http_headers_filter_module", LATER),
    row("alias", LOCATION, TAKE1, "ngx_http_core_module", LATER),
    row("allow", HSL.or(LIMIT_EXCEPT), TAKE1, "ngx_http_access_module", LATER),
    row("auth_basic", HSL.or(LIMIT_EXCEPT), TAKE1, "ngx_http_auth_basic_module", LATER),
    row("auth_basic_user_file", HSL.or(LIMIT_EXCEPT), TAKE1, "ngx_http_auth_basic_module", LATER),
    row("auth_delay", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("auth_request", HSL, TAKE1, "ngx_http_auth_request_module", NO_AUTH_REQUEST),
    row("auth_request_set", HSL, TAKE2, "ngx_http_auth_request_module", NO_AUTH_REQUEST),
    row("autoindex", HSL, FLAG, "ngx_http_autoindex_module", LATER),
    row("autoindex_exact_size", HSL, FLAG, "ngx_http_autoindex_module", LATER),
    row("autoindex_format", HSL, TAKE1, "ngx_http_autoindex_module", LATER),
    row("autoindex_localtime", HSL, FLAG, "ngx_http_autoindex_module", LATER),
    row("break", SERVER.or(IF_SERVER).or(LOCATION).or(IF_LOCATION), NONE, "ngx_http_rewrite_module", LATER),
    row("charset", HSL.or(IF_LOCATION), TAKE1, "ngx_http_charset_filter_module", LATER),
    row("charset_map", HTTP, TAKE2.block(), "ngx_http_charset_filter_module", LATER),
    row("charset_types", HSL, ONE_OR_MORE, "ngx_http_charset_filter_module", LATER),
    row("chunked_transfer_encoding", HSL, FLAG, "ngx_http_core_module", LATER),
    row("client_body_in_file_only", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("client_body_timeout", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("client_header_timeout", HS, TAKE1, "ngx_http_core_module", LATER),
    row("client_max_body_size", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("create_full_put_path", HSL, FLAG, "ngx_http_dav_module", LATER),
    row("dav_access", HSL, TAKE123, "ngx_http_dav_module", LATER),
    row("dav_methods", HSL, ONE_OR_MORE, "ngx_http_dav_module", LATER),
    row("default_type", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("deny", HSL.or(LIMIT_EXCEPT), TAKE1, "ngx_http_access_module", LATER),
    row("disable_symlinks", HSL, TAKE12, "ngx_http_core_module", LATER),
    row("empty_gif", LOCATION, NONE, "ngx_http_empty_gif_module", LATER),
    row("error_log", MAIN, ONE_OR_MORE, "ngx_errlog_module", LATER),
    row("error_log", HSL, ONE_OR_MORE, "ngx_http_core_module", LATER),
    row("error_page", HSL.or(IF_LOCATION), TWO_OR_MORE, "ngx_http_core_module", LATER),
    row("etag", HSL, FLAG, "ngx_http_core_module", LATER),
    row("events", MAIN, NONE.block(), "ngx_event_core_module", LATER),
    row("expires", HSL.or(IF_LOCATION), TAKE12, "ngx_http_headers_filter_module", LATER),
    row("fastcgi_pass", LOCATION.or(IF_LOCATION), TAKE1, "ngx_http_fastcgi_module", NO_FASTCGI),
    row("flv", LOCATION, NONE, "ngx_http_flv_module", NO_MEDIA),
    row("geo", HTTP, TAKE12.block(), "ngx_http_geo_module", LATER),
    row("grpc_pass", LOCATION.or(IF_LOCATION), TAKE1, "ngx_http_grpc_module", NO_GRPC),
    row("gunzip", HSL, FLAG, "ngx_http_gunzip_filter_module", NO_GUNZIP),
    row("gzip", HSL.or(IF_LOCATION), FLAG, "ngx_http_gzip_filter_module", LATER),
    row("gzip_comp_level", HSL, TAKE1, "ngx_http_gzip_filter_module", LATER),
    row("gzip_disable", HSL, ONE_OR_MORE, "ngx_http_core_module", LATER),
    row("gzip_http_version", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("gzip_min_length", HSL, TAKE1, "ngx_http_gzip_filter_module", LATER),
    row("gzip_proxied", HSL, ONE_OR_MORE, "ngx_http_core_module", LATER),
    row("gzip_static", HSL, TAKE1, "ngx_http_gzip_static_module", LATER),
    row("gzip_types", HSL, ONE_OR_MORE, "ngx_http_gzip_filter_module", LATER),
    row("gzip_vary", HSL, FLAG, "ngx_http_core_module", LATER),
    row("hash", UPSTREAM, TAKE12, "ngx_http_upstream_hash_module", STICKY),
    row("http", MAIN, NONE.block(), "ngx_http_module", LATER),
    row("http3", HS, FLAG, "ngx_http_v3_module", NO_HTTP3),
    row("if", SERVER.or(LOCATION), ONE_OR_MORE.block(), "ngx_http_rewrite_module", LATER),
    row("if_modified_since", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("ignore_invalid_headers", HS, FLAG, "ngx_http_core_module", LATER),
    row("image_filter", LOCATION, TAKE123, "ngx_http_image_filter_module", NO_BODY_FILTER),
    row("include", ANY, TAKE1, "ngx_conf_module", LATER),
    row("index", HSL, ONE_OR_MORE, "ngx_http_index_module", LATER),
    row("internal", LOCATION, NONE, "ngx_http_core_module", LATER),
    row("ip_hash", UPSTREAM, NONE, "ngx_http_upstream_ip_hash_module", STICKY),
    row("keepalive_requests", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("keepalive_time", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("keepalive_timeout", HSL, TAKE12, "ngx_http_core_module", LATER),
    row("large_client_header_buffers", HS, TAKE2, "ngx_http_core_module", LATER),
    row("limit_conn", HSL, TAKE2, "ngx_http_limit_conn_module", LATER),
    row("limit_conn_dry_run", HSL, FLAG, "ngx_http_limit_conn_module", LATER),
    row("limit_conn_log_level", HSL, TAKE1, "ngx_http_limit_conn_module", LATER),
    row("limit_conn_status", HSL, TAKE1, "ngx_http_limit_conn_module", LATER),
    row("limit_conn_zone", HTTP, TAKE2, "ngx_http_limit_conn_module", LATER),
    row("limit_except", LOCATION, ONE_OR_MORE.block(), "ngx_http_core_module", LATER),
    row("limit_rate", HSL.or(IF_LOCATION), TAKE1, "ngx_http_core_module", LATER),
    row("limit_rate_after", HSL.or(IF_LOCATION), TAKE1, "ngx_http_core_module", LATER),
    row("limit_req", HSL, TAKE123, "ngx_http_limit_req_module", LATER),
    row("limit_req_dry_run", HSL, FLAG, "ngx_http_limit_req_module", LATER),
    row("limit_req_log_level", HSL, TAKE1, "ngx_http_limit_req_module", LATER),
    row("limit_req_status", HSL, TAKE1, "ngx_http_limit_req_module", LATER),
    row("limit_req_zone", HTTP, TAKE3, "ngx_http_limit_req_module", LATER),
    row("listen", SERVER, ONE_OR_MORE, "ngx_http_core_module", LATER),
    row("location", SERVER.or(LOCATION), TAKE12.block(), "ngx_http_core_module", LATER),
    row("log_format", HTTP, TWO_OR_MORE, "ngx_http_log_module", LATER),
    row("mail", MAIN, NONE.block(), "ngx_mail_module", NO_MAIL),
    row("map", HTTP, TAKE2.block(), "ngx_http_map_module", LATER),
    row("max_headers", HS, TAKE1, "ngx_http_core_module", LATER),
    row("max_ranges", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("memcached_pass", LOCATION.or(IF_LOCATION), TAKE1, "ngx_http_memcached_module", NO_MEMCACHED),
    row("merge_slashes", HS, FLAG, "ngx_http_core_module", LATER),
    row("min_delete_depth", HSL, TAKE1, "ngx_http_dav_module", LATER),
    row("mp4", LOCATION, NONE, "ngx_http_mp4_module", NO_MEDIA),
    row("override_charset", HSL.or(IF_LOCATION), FLAG, "ngx_http_charset_filter_module", LATER),
    row("perl", LOCATION.or(LIMIT_EXCEPT), TAKE1, "ngx_http_perl_module", NO_PERL),
    row("perl_set", HTTP, TAKE2, "ngx_http_perl_module", NO_PERL),
    row("pid", MAIN, TAKE1, "ngx_core_module", LATER),
    row("port_in_redirect", HSL, FLAG, "ngx_http_core_module", LATER),
    row("post_action", HSL.or(IF_LOCATION), TAKE1, "ngx_http_core_module", POST_ACTION),
    row("proxy_cookie_domain", HSL, TAKE12, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_cookie_path", HSL, TAKE12, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_hide_header", HSL, TAKE1, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_http_version", HSL, TAKE1, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_ignore_headers", HSL, ONE_OR_MORE, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_intercept_errors", HSL, FLAG, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_method", HSL, TAKE1, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_pass", LOCATION.or(IF_LOCATION).or(LIMIT_EXCEPT), TAKE1, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_pass_header", HSL, TAKE1, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_pass_request_body", HSL, FLAG, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_pass_request_headers", HSL, FLAG, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_redirect", HSL, TAKE12, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_set_body", HSL, TAKE1, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_set_header", HSL, TAKE2, "ngx_http_proxy_module", NO_PROXY),
    row("proxy_ssl_conf_command", HSL, TAKE2, "ngx_http_proxy_module", OPENSSL),
    row("proxy_store", HSL, TAKE1, "ngx_http_proxy_module", NO_STORE),
    row("random_index", LOCATION, FLAG, "ngx_http_random_index_module", LATER),
    row("recursive_error_pages", HSL, FLAG, "ngx_http_core_module", LATER),
    row("return", SERVER.or(IF_SERVER).or(LOCATION).or(IF_LOCATION), TAKE12, "ngx_http_rewrite_module", LATER),
    row("rewrite", SERVER.or(IF_SERVER).or(LOCATION).or(IF_LOCATION), TAKE23, "ngx_http_rewrite_module", LATER),
    row("root", HSL.or(IF_LOCATION), TAKE1, "ngx_http_core_module", LATER),
    row("satisfy", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("scgi_pass", LOCATION.or(IF_LOCATION), TAKE1, "ngx_http_scgi_module", NO_SCGI),
    row("secure_link", HSL, TAKE1, "ngx_http_secure_link_module", NO_SECURE_LINK),
    row("secure_link_md5", HSL, TAKE1, "ngx_http_secure_link_module", NO_SECURE_LINK),
    row("secure_link_secret", HSL, TAKE1, "ngx_http_secure_link_module", NO_SECURE_LINK),
    row("send_timeout", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("server", HTTP, NONE.block(), "ngx_http_core_module", LATER),
    row("server", UPSTREAM, ONE_OR_MORE, "ngx_http_upstream_module", LATER),
    row("server_name", SERVER, ONE_OR_MORE, "ngx_http_core_module", LATER),
    row("server_name_in_redirect", HSL, FLAG, "ngx_http_core_module", LATER),
    row("server_tokens", HSL, TAKE1, "ngx_http_core_module", LATER),
    row("set", SERVER.or(IF_SERVER).or(LOCATION).or(IF_LOCATION), TAKE2, "ngx_http_rewrite_module", LATER),
    row("source_charset", HSL.or(IF_LOCATION), TAKE1, "ngx_http_charset_filter_module", LATER),
    row("split_clients", HTTP, TAKE2.block(), "ngx_http_split_clients_module", LATER),
    row("ssi", HSL.or(IF_LOCATION), FLAG, "ngx_http_ssi_filter_module", LATER),
    row("ssl_conf_command", HS, TAKE2, "ngx_http_ssl_module", OPENSSL),
    row("ssl_ech_file", HS, TAKE1, "ngx_http_ssl_module", NO_ECH),
    row("ssl_ocsp", HS, TAKE1, "ngx_http_ssl_module", NO_OCSP),
    row("sticky", UPSTREAM, TWO_OR_MORE, "ngx_http_upstream_sticky_module", STICKY),
    row("stream", MAIN, NONE.block(), "ngx_stream_module", NO_STREAM),
    row("stub_status", SERVER.or(LOCATION), Args::range(0, 1), "ngx_http_stub_status_module", LATER),
    row("sub_filter", HSL, TAKE2, "ngx_http_sub_filter_module", NO_BODY_FILTER),
    row("try_files", SERVER.or(LOCATION), TWO_OR_MORE, "ngx_http_try_files_module", LATER),
    row("tunnel_pass", SERVER.or(LOCATION).or(IF_LOCATION), Args::range(0, 1), "ngx_http_tunnel_module", NO_TUNNEL),
    row("types", HSL, NONE.block(), "ngx_http_core_module", LATER),
    row("underscores_in_headers", HS, FLAG, "ngx_http_core_module", LATER),
    row("upstream", HTTP, TAKE1.block(), "ngx_http_upstream_module", LATER),
    row("user", MAIN, TAKE12, "ngx_core_module", LATER),
    row("userid", HSL, TAKE1, "ngx_http_userid_filter_module", NO_COOKIES),
    row("uwsgi_pass", LOCATION.or(IF_LOCATION), TAKE1, "ngx_http_uwsgi_module", NO_UWSGI),
    row("valid_referers", SERVER.or(LOCATION), ONE_OR_MORE, "ngx_http_referer_module", LATER),
    row("xslt_stylesheet", LOCATION, ONE_OR_MORE, "ngx_http_xslt_filter_module", NO_BODY_FILTER),
];

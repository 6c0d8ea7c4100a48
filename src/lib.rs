//! webserv: nginx's configuration language, one thread, one epoll loop, uploads stored whole or not at all.
//!
//! The map of the house. A request's way is bytes → [`http`] → [`route`] → [`exchange`] (phases, handlers,
//! filters) → [`conn`] → socket. Imports go one way: each module uses only those above it in this list
//! (`tests/guards.rs` checks it).
//!
//! | module | what lives there |
//! |---|---|
//! | [`sys`] | the only `unsafe`: one function per system call, no policy |
//! | [`util`] | slab, timer wheel, buffers, spans, dates |
//! | [`io`] | output, opening and log sinks that neither wait nor panic |
//! | [`http`] | sans-IO HTTP: its terms, and the wire formats of HTTP/1.1, HTTP/2, FastCGI, SCGI, uwsgi |
//! | [`tls`] | sans-IO TLS: handshakes, records, certificates, tickets |
//! | [`acme`] | sans-IO ACME: certificates asked of an authority |
//! | [`config`] | nginx's language: text → tree with spans → rows of directives → resolved model |
//! | [`route`] | pure: which server and location a request belongs to, and why |
//! | [`services`] | what all requests share: clock, open files, logs, counters |
//! | [`exchange`] | one request and its response: phases, handlers, filters; knows no socket |
//! | [`conn`] | connections of clients and upstreams: transports, protocols, timers; they drive exchanges |
//! | [`server`] | the process: event loop, accept, timers, reload, signals |
//! | [`privsep`] | the parent that keeps root's rights, and what the serving process gives up |
//! | [`explain`] | `webserv explain`: what would become of a request, and why |
//! | [`tools`] | commands that read or write configurations; the server uses none of them |
//! | `main.rs`, `cli.rs`, `config_source.rs`, `share.rs`, `notes.rs` | the program: its commands, which configuration to use, `webserv DIR`, notes on it |
//!
//! The ways through the house, each room as it is entered; what a room asks on its way is in brackets:
//!
//! - a GET by HTTP/1: [`server`] (whose event is it) → [`conn::drive`] → [`conn::http1::keep_alive`] reads; where the
//!   response is known, [`conn::http1::fast_path`] sends it; otherwise → [`conn::http1::head`] ([`http::h1::head`])
//!   → [`exchange::entry`] ([`http::uri`], [`route`]) → [`exchange::phases`], as far as `content` →
//!   [`exchange::handlers::files`] → [`exchange::handlers::static_file`] ([`services::open_files`]) → back to the
//!   connection, which decides whether it outlives the response (`conn/request/respond.rs`), since its head says so →
//!   [`exchange::filters`] → [`exchange::send_queue`] ([`http::h1::encode`]) → [`conn::request::write`] →
//!   [`conn::transport`]; once it is out, [`conn::request::log`] → [`conn::http1::keep_alive`]
//! - an upload, from [`exchange::handlers::files`] on: `exchange/handlers/upload/start.rs` asks for the body →
//!   [`conn::request::read`], a piece a step ([`http::body_reader`]) → `exchange/handlers/upload/receive.rs`, of a form
//!   by [`http::multipart`] → `exchange/handlers/upload/temp_file.rs`; behind the last piece
//!   `exchange/handlers/upload/finish.rs`, which works a slice of a turn at a time (`work` in [`conn::drive`]) and
//!   waits for the disk where it must ([`services::syncs`]) → `exchange/handlers/upload/answer.rs`, then on as a GET
//! - a proxied request, from `content` on: [`exchange::handlers::upstream`] → [`conn::upstream`], in rounds: it
//!   connects ([`conn::upstream::pool`]), sends what `exchange/handlers/upstream/sending.rs` made
//!   ([`http::h1::request`]) and gives what comes to `exchange/handlers/upstream/reading.rs`
//!   ([`http::response_parser`]), with its head to `exchange/handlers/upstream/respond.rs` → [`exchange::filters`] →
//!   [`exchange::send_queue`]; the same round writes to the client ([`conn::request::write`])
//! - a request by HTTP/2: [`server`] → [`conn::http2::connection`] ([`http::h2::connection`]) → `conn/http2/begin.rs`
//!   gives each stream a connection of its own → `conn/http2/produce.rs` drives that as any other, from
//!   [`exchange::entry`] on; what it writes becomes frames (`conn/http2/stream.rs`), which the connection sends
//!
//! Where is …? Reading a request:
//!
//! - a request smuggled or its framing refused: [`http::h1::framing`], [`http::h1::head`]; a field that may stand only
//!   once: [`http::repeated`]; a request line or a header field too long (414, 431): [`http::h1::head`], by
//!   [`http::request_head::HeadLimits`]; its limits by configuration: [`exchange::Exchange::head_limits`]
//! - a request's head read from its connection, as far as it has come: [`conn::http1::head`]; as data, whatever
//!   protocol it came by: [`http::request_head`], the length of its body: [`http::body_length`]
//! - Host missing, repeated or malformed (400): [`http::h1::head`], its grammar: [`http::host`]; for HTTP/2:
//!   [`http::h2::request`]
//! - the form of a target (a path, a whole URL, `*`, `host:port`): [`http::request_target`], turned into `$uri`:
//!   `set_uri` in [`exchange::entry`]; `%xx` decoded, dot segments and slashes merged: [`http::uri`]
//! - the 413 decided: [`exchange::body_limit`], for all of client_max_body_size; a file that is too large for its
//!   location: `exchange/handlers/upload/start.rs` by its length, `exchange/handlers/upload/receive.rs` as it arrives
//! - a body read by its length, its chunks ([`http::h1::chunked`]) or the end of its stream: [`http::body_reader`], its
//!   trailers with it, for HTTP/2 by `http/h2/connection/blocks.rs`; taken for its handler: [`conn::request::read`],
//!   without a copy: `conn/request/splice.rs`; thrown away: [`conn::request::drain`]
//! - a header block of HTTP/2 decompressed: [`http::h2::hpack`]; what bounds it: `TABLE_SIZE` and `Bounds` in
//!   `http/h2/hpack/decode.rs`, filled by `limits` in `conn/http2/begin.rs`, and `BLOCK_FRAMES` in
//!   `http/h2/connection/mod.rs`
//! - windows of HTTP/2 counted: [`http::h2::window`]; more of a body granted as it is consumed:
//!   `http/h2/connection/body.rs`; a WINDOW_UPDATE taken: `http/h2/connection/control.rs`
//! - a frame of HTTP/2 understood: [`http::h2::connection`]; a client's reset counted: `http/h2/connection/control.rs`,
//!   against [`http::h2::budget`]; a reset or GOAWAY written: `http/h2/connection/send.rs`, a reset behind a response:
//!   `http/h2/connection/stops.rs`; GOAWAY decided on: [`conn::http2::connection`]
//! - a connection found to speak HTTP/2, a stream's head made a request: `conn/http2/begin.rs`; SETTINGS:
//!   [`http::h2::settings`]; a priority read: [`http::h2::priority`]; a WebSocket over HTTP/2: [`http::h2::extended`]
//! - a stream of HTTP/2 given its turn to send: `conn/http2/schedule.rs` orders them, `conn/http2/produce.rs` drives
//!   them, `conn/http2/stream.rs` writes their frames
//! - `Expect: 100-continue` answered: [`conn::request::read`]; the header of the PROXY protocol parsed:
//!   [`http::proxy_protocol`], read from the connection: [`conn::http1::proxy_protocol`]
//! - a ClientHello read, and a server chosen by its name: [`tls::hello`], `choose` in `conn/handshake.rs`; the settings
//!   of a handshake: [`tls::server`]; how many begin in a turn: [`services::handshakes`]; its time is
//!   [`conn::timers::Timer::Header`]
//! - a certificate verified, a client's or an upstream's: [`tls::verify`]; what a request knows of it (`$ssl_…`, 400,
//!   421): [`exchange::tls`]
//!
//! Deciding on it:
//!
//! - how a request enters: [`exchange::entry`]; the order in which it is checked: [`exchange::flow::Phase`], run by
//!   [`exchange::phases`]; how far it has come: [`exchange::progress`]; what is known of its client:
//!   [`exchange::Client`]
//! - the server and the location found: [`route`], asked by `select_server` in [`exchange::entry`] and by
//!   [`exchange::locate`]; a file's path: [`exchange::mapping`]
//! - a method refused: [`exchange::handlers::allowed_methods`]; OPTIONS answered: [`exchange::handlers::options`];
//!   TRACE and CONNECT: `exchange/connect.rs`; an internal location kept from clients: `check_internal` in
//!   [`exchange::phases`]; a cycle of redirects ended: `count_redirect` in [`exchange::locate`]
//! - an address, a password or a signed link checked: [`exchange::access`], a file for each; a password's hash
//!   computed: `exchange/access/password`, slow ones in the helper process of [`services::passwords`]; a rate:
//!   [`exchange::access::limits`], counted: [`services::limits`], its delay: [`conn::timers::Timer::Pause`], its place
//!   given back: `release_limit_slots` of [`exchange::Exchange`]; a proxy trusted about the client's address:
//!   [`exchange::access::real_ip`]
//! - a client that gives way where all places are taken (hashes of passwords, lookups of names):
//!   [`services::fair_share`]
//! - `satisfy`, and the order of these checks: [`exchange::access`]; where an internal redirect goes on:
//!   [`exchange::flow::Flow`], followed by [`exchange::phases`]
//! - the URI of auth_request asked, what a page includes answered: [`conn::subrequests`]
//! - a rewrite, `if` or `return` run: [`exchange::rewrite::script`], as data: [`config::script`]; try_files:
//!   [`exchange::rewrite::try_files`]
//! - a handler chosen: `content` in [`exchange::phases`], and for files [`exchange::handlers::files`]
//! - an error's page chosen: [`exchange::error_page`]; made where the configuration has none:
//!   [`exchange::handlers::special`]
//! - an upload checked: `exchange/handlers/upload/check.rs`; which name it may have:
//!   `exchange/handlers/upload/name.rs`, in which directory: `exchange/handlers/upload/target_dir.rs`, and whether that
//!   was moved away meanwhile: [`services::dir_path`]; its file written: `exchange/handlers/upload/temp_file.rs`, under
//!   a hidden name: [`services::temp_names`]; named once its body is complete: `exchange/handlers/upload/finish.rs`, by
//!   the renames of `exchange/handlers/upload/commit.rs`, where a name that is taken is refused (409), numbered or
//!   replaced; on the disk (upload_sync): `exchange/handlers/upload/fsync.rs`; its answer made (201 with Location, as
//!   HTML or JSON): `exchange/handlers/upload/answer.rs`; the directories on its way made: [`io::make_path`]; its quota
//!   counted: [`services::quotas`], what unfinished uploads hold of it: [`exchange::handlers::resumable::held`]
//! - a form taken apart: [`http::multipart`], its files: `exchange/handlers/upload/form.rs`; a digest of what was sent
//!   verified: `exchange/handlers/upload/digest.rs`; upload_limit_rate kept: `exchange/handlers/upload/rate_limit.rs`
//! - an upload resumed: [`exchange::handlers::resumable`]; its bytes, so its offset, and its record:
//!   `exchange/handlers/resumable/store.rs`; which request writes it: `services/resumable/leases.rs`; taken over from
//!   another request: `exchange/handlers/resumable/takeover.rs`, by a claim where locks end at the mount:
//!   `services/resumable/claim.rs`
//! - a file removed: [`exchange::handlers::delete`]; a directory, in slices: `exchange/handlers/delete/removing.rs`,
//!   entry by entry: [`services::remove_tree`]; moved into the trash: `exchange/handlers/delete/trash.rs`, copied there
//!   where it cannot be renamed, from another file system say: `exchange/handlers/delete/trash_copy.rs`
//! - a path kept beneath its root: [`http::uri`] for its text, [`exchange::paths`] for the file, `sys/file/beneath.rs`
//!   for the opening
//! - names compared whatever their case: [`util::fold_case`]; directories that are hidden, stored in or kept, by any
//!   path: [`services::configured_dirs`]
//! - a file sent, its index found: [`exchange::handlers::static_file`]; kept open: [`services::open_files`], until the
//!   kernel reports a change: [`services::dir_watch`]; reached by no link (disable_symlinks):
//!   [`exchange::handlers::symlinks`]; its digest sent (Repr-Digest): `exchange/handlers/repr_digest.rs`; its `.gz`
//!   sent instead (gzip_static): `stored_gzip` in [`exchange::handlers::static_file`]; a slash added to a directory's
//!   name: [`exchange::handlers::add_slash`]; the type of a file: [`exchange::media_types`]
//! - a directory read to be listed: [`exchange::handlers::autoindex`]; its listing sorted and written as HTML, JSON or
//!   XML: [`exchange::handlers::listing`], its script and style beside `exchange/handlers/listing/page.rs`; downloaded
//!   as one file: [`exchange::archive`]
//! - COPY, MOVE, MKCOL, LOCK, PROPPATCH of WebDAV: [`exchange::handlers::dav`], a file for each; a lock that forbids a
//!   change: `exchange/handlers/dav/guard.rs`; locks kept: [`services::dav_locks`], where case is
//!   ignored: `services/dav_locks/spellings.rs`; the 207 of PROPFIND made: [`exchange::multistatus`]; `If` parsed:
//!   [`http::dav::condition`]
//! - If-Match and If-None-Match of a write evaluated: [`exchange::handlers::versions`]; rules of a path that the
//!   request does not name itself: [`exchange::handlers::path_rules`], with another URI supposed:
//!   `exchange/suppose.rs`
//! - an upstream's server chosen: [`services::upstream_balance`]; another one tried:
//!   `exchange/handlers/upstream/fault.rs`; a connection to it used again: [`conn::upstream::pool`], for whom:
//!   `conn/upstream/idle.rs`; its TLS: `exchange/handlers/upstream/tls.rs`
//! - proxy_connect_timeout and the like, and what the client of a proxied request has to do meanwhile:
//!   [`exchange::handlers::upstream::timers`] names them, `conn/upstream/connect.rs` and
//!   `conn/upstream/send_receive.rs` set them, `timeout` in [`conn::upstream`] acts on them
//! - a body for an upstream buffered, in memory or in a temporary file: [`exchange::body`]; a response that its client
//!   reads slowly put into one: `exchange/handlers/upstream/spool.rs`, when: `exchange/handlers/upstream/overflow.rs`,
//!   by [`conn::timers::Timer::Spool`]; such files made: [`services::temp_dir`]; a response stored (proxy_store):
//!   `exchange/handlers/upstream/store.rs`
//! - a name of an upstream resolved: [`services::resolver`], when: `server/names.rs`; a DNS message made or parsed:
//!   [`util::dns`]; the servers of a host in a URL with variables: [`services::host_groups`]; a WebSocket or another
//!   tunnel carried: `conn/upstream/tunnel.rs`; which protocols may become one: `exchange/handlers/upstream/upgrade.rs`
//! - a CGI program found and started, its environment: `find`, `spawn` and `environment` in
//!   `exchange/handlers/upstream/cgi.rs`, whether it may have PATH_INFO: `exchange/handlers/upstream/path_info.rs`; its
//!   STDERR and its end: [`services::children`]; refused, since a client may have stored it:
//!   `exchange/handlers/upstream/stored.rs`; which files an application may run:
//!   `exchange/handlers/upstream/executed.rs`
//! - the target of an upstream's request (the URI of proxy_pass): `exchange/handlers/upstream/uri.rs`; a header field
//!   of it written (proxy_set_header): `exchange/handlers/upstream/http1.rs`; a parameter of FastCGI:
//!   `exchange/handlers/upstream/gateway.rs`; a FastCGI record read or written: [`http::fastcgi`], what it means:
//!   `exchange/handlers/upstream/protocol.rs`
//! - an upstream's response head parsed: [`http::response_parser`], which asks [`http::h1::response`] or [`http::cgi`]
//!   for what differs; as data: [`http::upstream_head`]; its fields hidden (`hides` in
//!   `exchange/handlers/upstream/protocol.rs`, those that Connection names:
//!   `exchange/handlers/upstream/connection_options.rs`) or passed on: `exchange/handlers/upstream/respond.rs`;
//!   X-Accel-Redirect followed there, too; early hints (103): `exchange/handlers/upstream/early_hints.rs`;
//!   proxy_redirect applied: `exchange/handlers/upstream/rewrite.rs`
//! - a regular expression compiled and matched: [`config::pattern`]; a list of them in one pass:
//!   [`config::pattern_set`]; PCRE2 itself: [`sys::pcre2`]
//! - a text with variables parsed: [`config::template`]; a variable's value: [`exchange::variables`], a file for each
//!   family; a request's id (`$request_id`) made: `request_id` in [`exchange::log_facts`]; a `map` or `geo` looked up:
//!   `exchange/variables/map.rs`, `exchange/variables/geo.rs`
//!
//! Answering it:
//!
//! - the order in which a response is changed: [`exchange::filters`]; that it has no body (HEAD, 204, 304):
//!   `has_no_body` in `exchange/filters/body.rs`; its reason phrase: [`http::status`]
//! - a page with SSI commands made: [`exchange::filters::ssi`]; a subrequest entered and left:
//!   [`exchange::filters::ssi::include`]; how deep includes may nest: `DEEPEST` in `exchange/filters/ssi/page.rs`
//! - an ETag or a date of the request compared, a 304 or 412 decided: `exchange/filters/conditional.rs`, by
//!   [`http::cond`]; a file's ETag made: `version` in [`services::open_files`], written as in [`http::etag`];
//!   add_header and expires: `exchange/filters/headers.rs`; server_tokens: `exchange/filters/head.rs`; a response
//!   compressed: `exchange/filters/gzip.rs`, by the encoders of [`services::compressors`]; recoded:
//!   `exchange/filters/charset.rs`
//! - a range cut: `exchange/filters/ranges.rs` chooses (If-Range by [`http::cond`]), [`http::range`] parses,
//!   [`exchange::send_queue`] sends the bytes; several as multipart/byteranges: `parts` in [`exchange::filters`]; of a
//!   body that streams: `Window` in [`exchange::response`]
//! - trailers added (add_trailer): `exchange/filters/headers.rs`; an upstream's passed on:
//!   `exchange/handlers/upstream/respond.rs`; written: `exchange/send_queue/writer.rs`
//! - how a body ends (a length, chunks, the close): `exchange/filters/framing.rs`; a Location made absolute:
//!   [`exchange::origin`]; the time in Date: [`services::clock`]
//! - a response's text made: [`http::h1::encode`], [`http::h2::response`]; an upstream's request: [`http::h1::request`]
//! - a file's bytes handed to the socket, no faster than limit_rate: [`conn::request::write`]; by sendfile:
//!   `conn/transport/plain.rs`
//! - a response cached: [`exchange::basis`] says whether it may be, [`exchange::cacheable`] makes the entry,
//!   [`services::response_cache`] keeps it by the bytes of the request's head, [`conn::http1::fast_path`] and
//!   `conn/http2/cached.rs` send it; how fresh a file must be: [`conn::arrival`]
//! - a line of the access log: [`exchange::access_log`]; of the error log: [`exchange::error_log`]; either sent to
//!   syslog: [`services::syslog`], or written to its file: [`services::logs`], which also opens the files again for
//!   USR1, when: `server/log_work.rs`; under a parent, [`privsep::parent`] opens them
//! - a request counted and logged once it is answered: [`conn::request::log`]; otherwise (its client left: 499; it
//!   timed out): [`conn::close`]
//! - a connection kept or closed after a response: `conn/request/respond.rs`; gone idle, and woken:
//!   [`conn::http1::keep_alive`]; timed out while it is idle: [`conn::timers::Timer::KeepAlive`]
//! - a connection closed without destroying its last response (lingering_close): [`conn::close`]
//! - a deadline armed: `arm` of [`conn::io::Io`], by its name in [`conn::timers`]; one that has expired acted on:
//!   [`conn::drive::timeout`], where 408 is the answer, too; why a connection was closed: [`conn::close_reason`]
//!
//! The process:
//!
//! - a directive's default: for readers its row in [`config::directives`], for requests the `Default` of its struct in
//!   [`config::settings`] (a test compares them); what nginx has and this server has not: [`config::known`]; what is
//!   inherited, and what a line of one's own replaces (`add_header`): the row's effect in [`config::directives`]
//! - "did you mean": [`config::suggest`]; what else is advised about a mistake: `config/resolve/remedy.rs` and the
//!   files beside it
//! - epoll waited for, and the events of a turn dispatched: [`server::Server::turn`]; which connection is driven when:
//!   `server/connections.rs`; how long the long work of a turn may take: [`services::slice`]; deadlines kept:
//!   [`util::wheel`]
//! - a configuration read: [`config::load`], with its `include`s; parsed: [`config::syntax`]; an error in it shown:
//!   [`config::error`]
//! - the command line: `cli.rs`; a new connection accepted, or the limit of them reached: `server/accept.rs`
//! - a process started, and made a daemon: [`server::lifecycle`]; systemd notified: `server/service_manager.rs`; a
//!   socket bound, or inherited from an old binary or systemd: [`server::listeners`], which also sets its backlog and
//!   other options; these restored after a child had it: `sys/socket/kept.rs`, by `server/listeners/mend.rs`; what one
//!   process hands over to the next: [`services::handover`], sent by `server/handover.rs`
//! - a signal acted on: `server/signals.rs`; taken and acted on by a parent: `take_signals` and `handle` in
//!   [`privsep::parent`]; sent by `-s`: [`server::signal_command`]; the pid file written and read: [`server::pid_file`]
//! - a reload: [`server::reload`] reads the configuration and lets it take over in `apply`; under a parent:
//!   `privsep/parent/reconfigure.rs`
//! - the serving process started, and again after a crash: [`privsep::parent`]; rights given up (capabilities, seccomp,
//!   Landlock): [`privsep::sandbox`], by the calls of `sys/sandbox.rs`
//! - memory short: [`services::overload`] says how much is used, `server/memory.rs` gives up what can be spared; new
//!   requests refused for it (503): `overloaded` in [`exchange::entry`]; none for one request: [`util::memory`]; freed
//!   memory returned to the kernel: [`sys::process::free_memory`]
//! - a panic caught, and its connection closed: `server/panics.rs`, `act` in `server/connections.rs`
//! - files that a killed process left removed: [`services::temp_names`]; unfinished uploads that expired:
//!   `exchange/handlers/resumable/sweep.rs`
//! - a certificate loaded, and at a reload again if its file has changed: `load` in [`config::certificates`], called
//!   for all servers by `config/tls.rs`, which makes it part of their handshakes; one whose path has variables: at the
//!   handshake, by `conn/handshake.rs`; made for this machine (`ssl_certificate auto`): `config/local_ca.rs`, and again
//!   before it ends: `server/local_certificates.rs`; an OCSP response to staple read: `ocsp` in
//!   [`config::certificates`]; a session resumed, the keys of its tickets rotated: [`tls::ticket`]
//! - a certificate ordered from an authority by ACME: [`acme::order`] says what is sent, `server/acme/fetch.rs` sends
//!   it; when it is renewed: `services/acme/certificate_state.rs`; its challenge answered: `exchange/acme.rs`, or in
//!   `conn/handshake.rs`; its key, or an account's, made: `services/acme/new_keys.rs`; stored:
//!   `services/acme/store.rs`; what of it a reload keeps: `adopt` in [`services::acme`]
//! - counters kept: [`services::stats`]; shown: [`exchange::handlers::status`]
//! - a mistake of a configuration warned of: a row with its page in a file of [`tools::lint`]; `webserv explain`:
//!   [`explain`]; an editor served: [`tools::lsp`]
//!
//! Something new goes:
//!
//! - a directive: a row in [`config::directives`], a field in [`config::settings`]
//! - a feature that answers requests: a file in [`exchange::handlers`]; one that changes responses:
//!   [`exchange::filters`]
//! - a protocol of clients: beside [`conn::http1`]; how one drives an exchange: [`conn::request`]
//! - a protocol of upstreams: a variant of [`config::settings::proxy_pass::Protocol`], then
//!   `exchange/handlers/upstream/protocol.rs`, with its codec in [`http`]
//! - a transport: [`conn::transport`]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "webserv runs on Linux only: its loop is epoll, its files are opened by openat2, its signals come by signalfd. On other \
     systems run it in a container or a virtual machine (packaging/container has one)."
);

/// The nginx whose language, variables and command line these are.
pub const NGINX_VERSION: &str = "1.31.5";

pub mod acme;
pub mod config;
pub mod conn;
pub mod exchange;
pub mod explain;
pub mod http;
pub mod io;
pub mod privsep;
pub mod route;
pub mod server;
pub mod services;
pub mod sys;
pub mod tls;
pub mod tools;
pub mod util;

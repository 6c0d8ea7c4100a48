//! webserv: nginx's configuration language, one thread, one epoll loop, uploads that cannot corrupt.
//!
//! The map of the house. A request's way is bytes → [`http`] → [`route`] → [`exchange`] (phases, handlers,
//! filters) → [`conn`] → socket. Imports go one way: each module uses only those above it in this list
//! (`tests/guards.rs` checks it).
//!
//!
//! | module | what lives there |
//! |---|---|
//! | [`sys`] | the only `unsafe`: one function per system call, no policy |
//! | [`util`] | slab, timer wheel, buffers, spans, dates |
//! | [`io`] | output, opening and log sinks that neither wait nor panic |
//! | [`http`] | sans-IO HTTP/1.1: heads, bodies, ranges, conditions, multipart |
//! | [`tls`] | sans-IO TLS: handshakes, records, certificates, tickets |
//! | [`acme`] | sans-IO ACME: certificates asked of an authority |
//! | [`config`] | nginx's language: text → tree with spans → rows of directives → resolved model |
//! | [`route`] | pure: which server and location a request belongs to, and why |
//! | [`services`] | what all requests share: clock, open files, logs, counters |
//! | [`exchange`] | one request and its response: phases, handlers, filters; knows no socket |
//! | [`conn`] | a socket driving exchanges |
//! | [`server`] | the process: event loop, accept, timers, reload, signals, files, logs |
//! | [`privsep`] | the parent that keeps root's rights, and what the serving process gives up |
//! | [`explain`] | `webserv explain`: what would become of a request, and why |
//! | [`tools`] | commands that read or write configurations; the server uses none of them |
//!
//! Where is …?
//!
//! - the 413 decided: [`exchange::body_limit`], for all of client_max_body_size; a file that is too large for its
//!   location: `exchange/handlers/upload`
//! - a range cut: `exchange/filters/ranges.rs` chooses, [`http::range`] parses, [`exchange::send_queue`] sends the bytes
//! - the order in which a request is checked: [`exchange::flow::Phase`], run by [`exchange::phases`]; in which a response
//!   is changed: [`exchange::filters`]
//! - a response's text made: [`http::h1::encode`]
//! - the connection kept or closed after a response: `conn/http1/respond.rs`; gone idle, and woken:
//!   [`conn::http1::keep_alive`]
//! - a timeout decided: [`conn::timers`] names it, [`conn::drive::timeout`] acts on it
//! - a cached response sent: [`conn::http1::fast_path`]; kept: [`exchange::cacheable`]
//! - the place for a new protocol of clients: beside [`conn::http1`], whose documentation says how one drives an exchange
//! - the place for a new protocol of upstreams: `exchange/handlers/upstream/protocol.rs`
//! - a directive's default: its row in [`config::directives`]

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

//! The black-box suite: one binary, one module per subject, the real server behind real sockets.
//!
//! Run it against ourselves with `cargo test --test suite`, against nginx (the oracle for everything that carries
//! nginx's names) with `WEBSERV_BIN=/path/to/nginx cargo test --test suite`. Rows marked `BOTH` hold for nginx too;
//! rows marked `ours("reason")` are skipped there, loudly. `ROW=text` runs only the rows whose name contains the text,
//! `KEEP=1` keeps the servers' directories.

// A row of a table is a tuple that is read once, next to its values.
#![allow(clippy::type_complexity)]

// What tests are written with: the server, clients, upstreams, tables.
mod cgi;
mod cgi_cases;
mod cgi_names;
mod checkers;
mod client;
mod dav;
mod default_site;
mod dns;
mod harness;
mod os;
mod over_http2;
mod over_tls;
mod strace;
mod table;
mod upstream;

// The tests, one module per subject. A new test goes where its directive or feature is already; a new feature gets a
// module of its name.
mod acme;
mod acme_played;
mod as_nginx;
mod as_nginx_lines;
mod as_nginx_proxied;
mod as_nginx_upstreams;
mod as_nginx_variables;
mod auth_request;
mod autoindex;
mod beside;
mod bodies;
mod bounds;
mod browser;
mod client_body;
mod conditions;
mod config_directives;
mod conformance;
mod crowded;
mod differential;
mod early_data;
mod early_hints;
mod explain;
mod explain_http2;
mod explain_truth;
mod fastcgi;
mod first_words;
mod fleet;
mod gateways;
mod hostile_names;
mod http1;
mod http2;
mod kept;
mod listing;
mod listing_cache;
mod local_certificates;
mod locations;
mod logs;
mod memory;
mod newcomer;
mod nginx_fixes;
mod nginx_fixes_autumn;
mod operate;
mod packaging;
mod page;
mod parent;
mod path_rules;
mod patterns;
mod privsep;
mod process;
mod program_source;
mod proxy;
mod proxy_answers;
mod proxy_groups;
mod proxy_protocol;
mod proxy_servers;
mod proxy_spool;
mod proxy_store;
mod proxy_streams;
mod ranges;
mod readme;
mod real_apps;
mod real_confs;
mod real_ip;
mod recorded;
mod repeats;
mod replaced;
mod resolver;
mod rewrite_lists;
mod rewrites;
mod rfc;
mod same_again;
mod signals;
mod smuggling;
mod special_files;
mod ssi;
mod starts;
mod static_files;
mod stored_programs;
mod survival;
mod syslog;
mod tls;
mod tls_checks;
mod tls_clients;
mod tls_cut;
mod tls_flood;
mod tls_pairs;
mod tls_resumption;
mod tls_scan;
mod transport;
mod traversal;
mod tunnel;
mod turns;
mod upgrade;
mod upload_ways;
mod uploads;
mod uploads_not_run;
mod upstream_tls;
mod upstream_words;
mod user_reports;
mod uwsgi;
mod variables;
mod vhosts;
mod webdav;

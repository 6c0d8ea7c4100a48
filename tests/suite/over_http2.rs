//! What holds of uploads over HTTP/1 holds over HTTP/2: modules of the suite are run a second time with
//! `TEST_TRANSPORT=http2`, in which every setup has `http2 on` and the requests of every client travel as streams
//! ([`translator`]).

mod translator;

pub use translator::Translator;

use std::io::Write;
use std::process::Command;

pub fn is_wanted() -> bool {
    std::env::var_os("TEST_TRANSPORT").is_some_and(|name| name == "http2")
}

/// True (and says so past the test runner's capture) where the test is about HTTP/1 and the suite runs over HTTP/2.
#[must_use]
pub fn skip_on_http2(reason: &str) -> bool {
    if is_wanted() {
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        let _ = writeln!(std::io::stderr(), "skipped over HTTP/2: {name}: {reason}");
    }
    is_wanted()
}

/// What HTTP/2 has not, or has otherwise.
const HTTP1_ONLY: [&str; 14] = [
    // They speak HTTP/2 with prior knowledge, and their modules have names that others have.
    "http2::",
    // Both protocols stand beside each other in these.
    "early_hints::",
    // Chunks, pipelining, the end of a connection behind an answer.
    "a_bad_chunk_of",
    "chunks_are_what",
    "a_405_to_trace_and_connect",
    "a_cycle_of_redirects_ends_the_connection",
    // What came with a head is a matter of how HTTP/1 is read.
    "a_body_that_came_with_its_head",
    // Upgrade goes before no other protocol; extended CONNECT has tests of its own.
    "an_upgrade_that_is_offered",
    "a_switch_that_was_not_asked_for",
    // The text of a request as an upstream has it: names in lower case, another protocol's version.
    "an_upstream_behind_a_cache",
    "cgi::programs_answer_requests",
    // The host's name comes before all fields and is none of them (`http2::messages` has the rows).
    "as_nginx::how_many_fields",
    "as_nginx_variables::an_error_line_names_the_field_of_the_host",
    // A body needs no chunks to be without a length, and a trailer no announcement.
    "as_nginx_variables::trailers_know_how_the_body_is_framed",
];

/// Rows of tables, for the same reasons.
const HTTP1_ROWS: [(&str, &str); 9] = [
    ("request bodies", "a chunked body that is none"),
    ("the passed request", "Connection names a field"),
    // A body needs no chunks to be without a length.
    ("trailers", "of our own are read at the end, and promised before"),
    // There is no reason phrase.
    ("responses", "Content-Length"),
    // nginx reads what comes with a head of HTTP/1 into the head's buffer.
    ("where a body is kept", "/mem: a quarter more than the buffer"),
    ("where a body is kept", "/single: a quarter more than the buffer"),
    ("variables in the log", "$sent_http_content_length: length of chunks"),
    ("variables in the log", "$sent_http_transfer_encoding: chunks"),
    ("variables in the log", "$sent_http_connection: the connection"),
];

/// The row is about HTTP/1, and the suite runs over HTTP/2.
pub fn skips_row(table: &str, row: &str) -> bool {
    is_wanted() && HTTP1_ROWS.contains(&(table, row))
}

/// Runs these modules of the suite again, over HTTP/2.
fn again(modules: &[&str]) {
    let suite = std::env::current_exe().expect("our own path");
    let mut command = Command::new(suite);
    command.env("TEST_TRANSPORT", "http2").args(modules).args(["--test-threads", "2"]);
    for name in HTTP1_ONLY {
        command.args(["--skip", name]);
    }
    let output = command.output().expect("the suite runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "over HTTP/2:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("running 0 tests"), "nothing was run:\n{text}");
}

/// Each runs unless it is in a second run itself.
macro_rules! over_http2 {
    ($($name:ident: $modules:expr;)*) => {
        $(#[test]
        fn $name() {
            if std::env::var_os("TEST_TRANSPORT").is_none() && !crate::harness::skip_on_nginx("HTTP/2 by parameter") {
                again(&$modules);
            }
        })*
    };
}

over_http2! {
    // Raw bodies, forms, tus, the draft, digests, removal, quotas, faults, cuts at any byte.
    uploads_hold_over_http2: ["uploads::", "upload_ways::", "page::"];
    files_and_pages_hold_over_http2: ["static_files::", "ranges::", "conditions::", "ssi::", "autoindex::", "listing::",
        "traversal::", "locations::", "vhosts::", "rewrites::", "variables::", "bodies::", "client_body::"];
    proxying_holds_over_http2: ["proxy::", "proxy_answers::", "proxy_groups::", "proxy_servers::", "proxy_store::", "upstream_tls::",
        "resolver::", "fastcgi::", "uwsgi::", "crowded::", "cgi::"];
    rules_and_limits_hold_over_http2: ["auth_request::", "path_rules::", "patterns::", "real_ip::", "as_nginx::", "as_nginx_upstreams::",
        "nginx_fixes::", "recorded::", "explain::"];
    whole_sites_hold_over_http2: ["real_apps::", "real_confs::", "user_reports::"];
    collections_hold_over_http2: ["dav::"];
}

//! What is held for longer than it is of use: bodies on the disk, connections of clients that send nothing, those of
//! upstreams that wait for slow clients.

use super::blocks::below;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::value::Millis;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W237",
        title: "bodies of requests that are never removed",
        page: "`client_body_in_file_only on` keeps the body of each request as a file, also when it has been answered: the disk fills \
               up. With `clean` the file is removed when the request is over.",
        about: &["client_body_in_file_only"],
        check: kept_bodies,
    },
    Rule {
        code: "W355",
        title: "clients that may keep a connection without sending",
        page: "The head of a request is sent at once, and `client_header_timeout` says how long a client may take for it: with many \
               minutes a few clients that send nothing hold all connections. The default is 60 s.",
        about: &["client_header_timeout"],
        check: slow_heads,
    },
    Rule {
        code: "W356",
        title: "buffering switched off for everything",
        page: "With `proxy_buffering off` an application's connection is held until the slowest client has read its answer. Events and \
               streams need it: write it in their location, or let the application send `X-Accel-Buffering: no`.",
        about: &["proxy_buffering", "fastcgi_buffering", "uwsgi_buffering", "scgi_buffering"],
        check: unbuffered,
    },
];

fn kept_bodies(cx: &RuleContext, found: &mut Vec<Finding>) {
    if let Some(word) = cx.d.args.first().filter(|word| cx.is("client_body_in_file_only") && word.is("on")) {
        let message = "the body of each request stays on the disk, also when it has been answered";
        found.push(Finding::new(word.span, message, "write: client_body_in_file_only clean;"));
    }
}

fn slow_heads(cx: &RuleContext, found: &mut Vec<Finding>) {
    /// Ten minutes.
    const LONG: u64 = 600;
    let Some(word) = cx.d.args.first().filter(|_| cx.is("client_header_timeout")) else { return };
    if Millis::parse_seconds(word.bytes()).is_ok_and(|time| time.seconds() >= LONG) {
        let message = "a client may hold a connection for that long without sending a request";
        found.push(Finding::new(word.span, message, "write: client_header_timeout 60s;"));
    }
}

fn unbuffered(cx: &RuleContext, found: &mut Vec<Finding>) {
    let name = cx.d.name.str();
    let Some(module) = name.strip_suffix("_buffering").filter(|module| !module.contains("request")) else { return };
    let pass = format!("{module}_pass");
    if cx.is_in("http") && cx.is_first(&name) && cx.d.says("off") && below(cx.level().all, |d| d.name.is(&pass)) {
        let message = "each answer of an application holds its connection until the client has read all of it";
        let help = "write it in the location that streams, or let the application send X-Accel-Buffering: no";
        found.push(Finding::new(cx.d.span, message, help));
    }
}

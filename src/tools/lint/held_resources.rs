//! What is held for longer than it is of use: bodies on the disk, connections of clients that send nothing.

use super::rule::{Finding, Rule, RuleContext};
use crate::config::value::Millis;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W237",
        title: "bodies of requests that are never removed",
        page: "`client_body_in_file_only on` keeps the body of each request as a file, also when it has been answered: the disk fills \
               up, unless an application that is told its name (`$request_body_file`) removes it. With `clean` the file is \
               removed when the request is over.",
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
];

fn kept_bodies(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|word| cx.is("client_body_in_file_only") && word.is("on")) else {
        return;
    };
    // An application that is told the name of the file may remove it.
    if !cx.levels.first().is_some_and(|level| level.below().names_body_file) {
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

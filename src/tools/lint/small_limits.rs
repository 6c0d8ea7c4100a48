//! Limits and times that are too small: connections closed after a few requests, timeouts of 0, fewer files than
//! connections.

use super::rule::{EVERY, Finding, Rule, RuleContext};
use crate::config::ast::Directive;
use crate::config::value::Millis;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W047",
        title: "connections that are closed after a few requests",
        page: "`keepalive_requests` closes a connection after that number of requests; each new one costs handshakes, and \
               with HTTP/2 a page alone may take a hundred. The default is 1000 (it was 100 before nginx 1.19.10).",
        about: &["keepalive_requests"],
        check: few_requests,
    },
    Rule {
        code: "W050",
        title: "a time of 0",
        page: "A timeout of 0 is not endless, it is over at once: requests end in 504, or clients are disconnected. Write a \
               long time, as in `proxy_read_timeout 1d;`.",
        about: EVERY,
        check: no_time,
    },
    Rule {
        code: "W025",
        title: "fewer files than connections",
        page: "Each connection is an open file, and one that is proxied is two: with a `worker_rlimit_nofile` below \
               `worker_connections` the limit of connections is never reached, and files cannot be opened before it.",
        about: &["worker_rlimit_nofile"],
        check: few_files,
    },
];

fn few_requests(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("keepalive_requests")) else { return };
    let in_upstream = cx.is_in("upstream");
    if !in_upstream && word.str().parse::<u32>().is_ok_and(|most| most <= 100) {
        let message = format!("a connection is closed after {} requests", word.str());
        found.push(Finding::new(word.span, message, "leave the line out: the default is 1000"));
    }
}

fn no_time(cx: &RuleContext, found: &mut Vec<Finding>) {
    let name = cx.name();
    let is_wait =
        ["_read_timeout", "_send_timeout", "_connect_timeout"].iter().any(|end| name.ends_with(end.as_bytes()))
            || matches!(name, b"send_timeout" | b"client_body_timeout" | b"client_header_timeout");
    let Some(word) = cx.d.args.first().filter(|_| is_wait) else { return };
    if Millis::parse(word.bytes()) == Ok(Millis(0)) {
        let message = "0 is not endless: the wait is over at once";
        found.push(Finding::new(word.span, message, format!("write a long time: {} 1d;", cx.d.name.str())));
    }
}

fn few_files(cx: &RuleContext, found: &mut Vec<Finding>) {
    let number = |d: &Directive| d.args.first().and_then(|word| word.str().parse::<u64>().ok());
    let Some(files) = Some(cx.d).filter(|_| cx.is("worker_rlimit_nofile")).and_then(number) else { return };
    let events = cx.level().first_of("events");
    let connections =
        events.into_iter().flat_map(|events| events.block.iter().flatten()).find(|d| d.name.is("worker_connections"));
    if let Some((d, most)) = connections.and_then(|d| Some((d, number(d)?))).filter(|(_, most)| files < *most) {
        let message = format!("{files} open files are fewer than {most} connections");
        let finding = Finding::new(cx.d.span, message, format!("write: worker_rlimit_nofile {};", most * 2));
        found.push(finding.note(d.span, "the connections"));
    }
}

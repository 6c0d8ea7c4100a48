//! Limits and times that are too small: connections closed after a few requests, timeouts of 0, fewer files than
//! connections.

use super::rule::{EVERY, Finding, Rule, RuleContext};
use crate::config::ast::Directive;
use crate::config::value::{Millis, Size};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W047",
        title: "connections that are closed after a few requests",
        page: "`keepalive_requests` closes a connection after that number of requests; each new one costs handshakes, and \
               with HTTP/2 a page alone may take a hundred. The default is 1000 (it was 100 before nginx 1.19.10). With \
               `keepalive_timeout 0` each request has a connection of its own.",
        about: &["keepalive_requests", "keepalive_timeout"],
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
    Rule {
        code: "W360",
        title: "nothing is large enough to be compressed",
        page: "`gzip_min_length` is the length from which an answer is compressed: with a megabyte and more pages, styles and scripts are \
               sent as they are. Write some hundred bytes: `gzip_min_length 1000;`.",
        about: &["gzip_min_length"],
        check: never_compressed,
    },
    Rule {
        code: "W364",
        title: "a server for a handful of clients",
        page: "`worker_connections` counts all connections, those to applications as well; a browser alone opens six. With fewer than \
               that most clients wait, or are refused. The default is 512.",
        about: &["worker_connections"],
        check: few_connections,
    },
];

fn few_requests(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first() else { return };
    let in_upstream = cx.is_in("upstream");
    if cx.is("keepalive_timeout") {
        let is_none = !in_upstream && !cx.is_in("location") && Millis::parse(word.bytes()) == Ok(Millis(0));
        // A server that closes every connection without an answer.
        let is_closed = || cx.level().named("return").iter().any(|d| d.says("444"));
        if is_none && !is_closed() {
            let message = "each request has a connection of its own, with its handshakes";
            found.push(Finding::new(word.span, message, "leave the line out: the default is 75s"));
        }
        return;
    }
    if cx.is("keepalive_requests") && !in_upstream && word.str().parse::<u32>().is_ok_and(|most| most <= 100) {
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

fn never_compressed(cx: &RuleContext, found: &mut Vec<Finding>) {
    /// A mebibyte.
    const LARGE: u64 = 1 << 20;
    let Some(word) = cx.d.args.first().filter(|_| cx.is("gzip_min_length")) else { return };
    if Size::parse_offset(word.bytes()).is_ok_and(|size| size.0 >= LARGE) {
        let message = format!("what is smaller than {} is not compressed: that is nearly everything", word.str());
        found.push(Finding::new(word.span, message, "write: gzip_min_length 1000;"));
    }
}

fn few_connections(cx: &RuleContext, found: &mut Vec<Finding>) {
    /// What one browser opens, and what it needs of an application.
    const FEW: u64 = 12;
    let Some(word) = cx.d.args.first().filter(|_| cx.is("worker_connections")) else { return };
    if word.str().parse::<u64>().is_ok_and(|most| most <= FEW) {
        let message = format!("{} connections are what one browser opens", word.str());
        found.push(Finding::new(word.span, message, "write: worker_connections 1024;"));
    }
}

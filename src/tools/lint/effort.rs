//! Effort without effect: compressing compressed data, a limit whose keys are unique, a `map` that another one
//! replaces.

use super::blocks::variables;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W054",
        title: "gzip of data that is already compressed",
        page: "Images, videos, archives and WOFF fonts are compressed: gzip makes them no smaller, and costs time for each \
               response. Name texts only: `gzip_types text/css application/javascript application/json image/svg+xml;`.",
        about: &["gzip_types"],
        check: compressed_twice,
    },
    Rule {
        code: "W055",
        title: "a limit whose key is different for each request",
        page: "A limit counts requests with the same key. $request_id, $msec or $connection_requests differ for each request, \
               and $connection or $remote_port for each connection: no count goes up. Count by $binary_remote_addr.",
        about: &["limit_req_zone", "limit_conn_zone"],
        check: unique_key,
    },
    Rule {
        code: "W056",
        title: "two maps for one variable",
        page: "A variable has one value: of two `map` blocks for the same variable only the last counts, and the first is never \
               looked at. Give them names of their own, or put their lines together.",
        about: &["map"],
        check: mapped_twice,
    },
];

/// Media types of compressed data. application/octet-stream may be anything.
const COMPRESSED: [&str; 16] = [
    "image/jpeg",
    "image/jpg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/avif",
    "application/zip",
    "application/gzip",
    "application/x-gzip",
    "application/x-rar-compressed",
    "application/x-7z-compressed",
    "application/pdf",
    "font/woff",
    "font/woff2",
    "application/font-woff",
    "application/font-woff2",
];

fn compressed_twice(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_compressed = |word: &&Word| {
        let lower = word.str().to_ascii_lowercase();
        COMPRESSED.contains(&&*lower) || lower.starts_with("video/") || lower == "audio/mpeg"
    };
    let is_on = cx.levels.iter().any(|level| {
        let gzip = level.first_of("gzip");
        gzip.is_some_and(|d| d.says("on"))
    });
    if let Some(word) = cx.d.args.iter().find(|word| word.is("*")).filter(|_| is_on && cx.is("gzip_types")) {
        let message = "`*` compresses images, videos and archives again: they become no smaller";
        let help = "name types of texts: gzip_types text/css application/javascript application/json image/svg+xml;";
        return found.push(Finding::new(word.span, message, help));
    }
    let Some(word) = cx.d.args.iter().find(is_compressed).filter(|_| is_on && cx.is("gzip_types")) else {
        return;
    };
    let message = format!("files of {} are compressed already: gzip makes them no smaller", word.str());
    let rest: Vec<_> = cx.d.args.iter().filter(|word| !is_compressed(word)).map(Word::str).collect();
    let help = match &rest[..] {
        [] => "leave the line out: text/html is always compressed".to_owned(),
        rest => format!("leave such types out: gzip_types {};", rest.join(" ")),
    };
    found.push(Finding::new(word.span, message, help));
}

fn unique_key(cx: &RuleContext, found: &mut Vec<Finding>) {
    const EACH_REQUEST: [&str; 5] = ["request_id", "msec", "connection_requests", "request_time", "pipe"];
    const EACH_CONNECTION: [&str; 3] = ["connection", "remote_port", "proxy_protocol_port"];
    let is_limit = cx.is("limit_req_zone") || cx.is("limit_conn_zone");
    let Some(key) = cx.d.args.first().filter(|_| is_limit) else { return };
    let named = variables(&key.str());
    let is_one = |known: &[&str]| named.iter().any(|name| known.contains(&name.as_str()));
    let each = match () {
        () if is_one(&EACH_REQUEST) => "request",
        // limit_req per connection may be intended.
        () if is_one(&EACH_CONNECTION) && cx.is("limit_conn_zone") => "connection",
        () => return,
    };
    let message = format!("\"{}\" is another one for each {each}: nothing is ever limited", key.str());
    found.push(Finding::new(key.span, message, "count by the client's address: $binary_remote_addr"));
}

fn mapped_twice(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(variable) = cx.d.args.get(1).filter(|_| cx.is("map")) else { return };
    let is_same =
        |d: &&Directive| d.name.is("map") && d.args.get(1).is_some_and(|word| word.bytes() == variable.bytes());
    let first = cx.level().first("map").unwrap_or(cx.at);
    let before = cx.level().all.get(first..cx.at).unwrap_or_default();
    // More blocks than this are generated.
    if let Some(earlier) = before.iter().rev().take(super::rule::COMPARED).find(is_same) {
        let message = format!("this map of \"{}\" replaces the one before", variable.str());
        let help = "give the variable another name, or put the lines together";
        found
            .push(Finding::new(variable.span, message, help).note(earlier.name.span, "the first map, never looked at"));
    }
}

//! Headers that go the other way: one of requests in what the client gets, one of responses in what the application
//! gets.

use super::blocks::{Pass, first_below, passes};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[Rule {
    code: "W327",
    title: "a request header sent to the client, or the reverse",
    page: "`proxy_set_header` is about the request to the application, `add_header`, `proxy_hide_header` and \
           `proxy_pass_header` about the response to the client. A header of responses (Access-Control-Allow-Origin, \
           X-Frame-Options, X-Accel-Buffering) means nothing to the application, and one of requests (X-Real-IP, \
           Authorization) nothing to the client. To keep Authorization from the application: \
           `proxy_set_header Authorization \"\";`.",
    about: &[
        "add_header",
        "proxy_set_header",
        "proxy_hide_header",
        "proxy_pass_header",
        "fastcgi_hide_header",
        "fastcgi_pass_header",
        "uwsgi_hide_header",
        "uwsgi_pass_header",
        "scgi_hide_header",
        "scgi_pass_header",
    ],
    check: other_way,
}];

/// Headers that only requests have.
const OF_REQUESTS: [&str; 17] = [
    "accept-encoding",
    "accept-language",
    "authorization",
    "cookie",
    "host",
    "if-modified-since",
    "if-none-match",
    "proxy-authorization",
    "user-agent",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-real-ip",
];

/// Headers that only responses have.
const OF_RESPONSES: [&str; 18] = [
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "content-security-policy",
    "content-security-policy-report-only",
    "permissions-policy",
    "referrer-policy",
    "set-cookie",
    "strict-transport-security",
    "www-authenticate",
    "x-accel-buffering",
    "x-accel-expires",
    "x-content-type-options",
    "x-frame-options",
    "x-robots-tag",
];

const BUFFERING: &[u8] = b"x-accel-buffering";

fn is_one_of(name: &Word, headers: &[&str]) -> bool {
    let lower = name.lower();
    headers.iter().any(|header| header.as_bytes() == lower)
}

fn hands_on(d: &Directive) -> bool {
    passes(&[Pass::Http, Pass::Gateway]).any(|name| d.name.is(name))
}

fn other_way(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(name) = cx.d.args.first() else { return };
    let text = name.str();
    // An empty value removes a header of any sender.
    let is_set = cx.d.args.get(1).is_some_and(|value| !value.is_empty());
    let (message, help) = match cx.name() {
        b"proxy_set_header" if is_set && is_one_of(name, &OF_RESPONSES) => {
            let help = match name.lower() == BUFFERING {
                true => "this server's own buffering: proxy_buffering off;".to_owned(),
                false => format!("to the client goes: add_header {text} …;"),
            };
            (format!("\"{text}\" is a header of responses: the application does not look for it"), help)
        }
        b"add_header" if is_set && name.lower() == BUFFERING => {
            let buffering = cx.levels().find_map(|level| level.first_of("proxy_buffering"));
            let is_passed = cx.levels().any(|level| passes(&[Pass::Http]).any(|name| level.has(name)));
            if !is_passed || buffering.is_some_and(|d| d.says("off")) {
                return;
            }
            let message = format!("this server does not look at the \"{text}\" that it adds: it goes on to buffer");
            (message, "write: proxy_buffering off;".to_owned())
        }
        // Without an application it may be meant to show clients their own address.
        b"add_header" if is_set && is_one_of(name, &OF_REQUESTS) => {
            let inner = cx.levels().any(|level| level.all.iter().any(hands_on));
            if !inner && first_below(cx.level().all, hands_on).is_none() {
                return;
            }
            let message = format!("\"{text}\" is a header of requests, and goes to the client here");
            (message, format!("to the application goes: proxy_set_header {text} …;"))
        }
        other if other.ends_with(b"_hide_header") && is_one_of(name, &OF_REQUESTS) => {
            let message =
                format!("\"{text}\" is a header of requests: this keeps it from the client, not from the application");
            (message, kept_from(other, &text))
        }
        other if other.ends_with(b"_pass_header") && is_one_of(name, &OF_REQUESTS) => {
            let message = format!("\"{text}\" is a header of requests: this is about responses, and does nothing");
            (message, "leave it out: the application gets the client's headers, unless a line replaces them".to_owned())
        }
        _ => return,
    };
    found.push(Finding::new(name.span, message, help));
}

/// How a header of the request is kept from the application.
fn kept_from(directive: &[u8], header: &str) -> String {
    match directive {
        b"proxy_hide_header" => format!("write: proxy_set_header {header} \"\";"),
        other => {
            let module = String::from_utf8_lossy(other).trim_end_matches("_hide_header").to_owned();
            format!("write: {module}_param HTTP_{} \"\";", header.to_ascii_uppercase().replace('-', "_"))
        }
    }
}

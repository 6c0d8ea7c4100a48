//! Lines of one level that cancel each other: a log that is off and on, a request header with two values.

use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::Directive;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W321",
        title: "a log that is off and on",
        page: "`access_log off` turns off all logs of its level, those of the lines beside it as well. Keep one of the two; for some \
               requests only there is `if=`: `access_log FILE combined if=$loggable;`.",
        about: &["access_log"],
        check: off_and_on,
    },
    Rule {
        code: "W323",
        title: "a request header with two values",
        page: "Each `proxy_set_header` of a level is sent: two of one name are two lines in the request, and with two Hosts most \
               servers refuse it (400). Keep one.",
        about: &["proxy_set_header"],
        check: sent_twice,
    },
];

fn off_and_on(cx: &RuleContext, found: &mut Vec<Finding>) {
    // One look at all of a level, at its first line.
    if !cx.is_first("access_log") {
        return;
    }
    let logs = || cx.level().all.iter().filter(|d| d.name.is("access_log"));
    let is_off = |d: &&Directive| d.says("off");
    if let Some((off, other)) = logs().find(is_off).zip(logs().find(|d| !is_off(d))) {
        let message = "this turns off the other log of this level as well";
        found.push(Finding::new(off.span, message, "keep one of the two lines").note(other.span, "the other"));
    }
}

/// Headers that a request has once.
const SINGLE: [&str; 8] = [
    "host",
    "connection",
    "upgrade",
    "authorization",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];

fn sent_twice(cx: &RuleContext, found: &mut Vec<Finding>) {
    // One look at all of a level, at its first line.
    if !cx.is_first("proxy_set_header") {
        return;
    }
    for name in SINGLE {
        let is_one = |d: &&Directive| {
            d.name.is("proxy_set_header") && d.args.first().is_some_and(|word| word.lower() == name.as_bytes())
        };
        let mut lines = cx.level().all.iter().filter(is_one).filter(|d| d.args.get(1).is_some_and(|v| !v.is_empty()));
        if let Some((first, second)) = lines.next().zip(lines.next()) {
            let message = format!("\"{}\" is sent twice: each line adds one", second.args[0].str());
            let finding = Finding::new(second.args[0].span, message, "keep one of the two lines");
            found.push(finding.note(first.span, "the first"));
        }
    }
}

//! Headers that no response has, or that it must not have: added for successes and redirects alone where every answer
//! is an error, or beside what the server writes itself.

use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::syntax::{as_written, quoted};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W362",
        title: "a header that the server writes itself",
        page: "Content-Length, Transfer-Encoding, Connection and Date follow from how an answer is sent: a second one beside the server's \
               own makes clients read the answer wrongly, or refuse it. An answer with 204 has no Content-Length at all. Leave the line out.",
        about: &["add_header"],
        check: own_field,
    },
    Rule {
        code: "W349",
        title: "a header that no answer here has",
        page: "Without `always` a header is added to answers with 200, 201, 204, 206, 301, 302, 303, 304, 307 and 308 only. Where \
           every request is answered with another status, as by `return 401` or `deny all`, it is never sent. Write \
           `add_header NAME VALUE always;`.",
        about: &["add_header", "add_trailer"],
        check: never_added,
    },
    Rule {
        code: "W363",
        title: "a Location that leads nowhere",
        page: "Browsers follow a Location only with a status such as 301 or 302: beside `return 200` it is one header more. Write \
               `return 302 URL;`.",
        about: &["add_header"],
        check: unfollowed,
    },
];

/// The statuses that get a header without `always`.
const PLAIN: [&str; 10] = ["200", "201", "204", "206", "301", "302", "303", "304", "307", "308"];

fn never_added(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_always = |word: &Word| word.is("always");
    // The second is sent where the first is.
    if !cx.is_first("add_header") && !cx.is_first("add_trailer") || cx.d.args.iter().any(is_always) {
        return;
    }
    let level = cx.level();
    let Some(answer) = refusal(cx) else { return };
    let status = answer.args.first().map(Word::str).unwrap_or_default();
    // A page of this error may have another status, and an `if` may answer before.
    if ["if", "error_page"].into_iter().any(|name| level.has(name)) || level.has("rewrite") || level.has("try_files") {
        return;
    }
    let name = cx.d.args.first().map(Word::str).unwrap_or_default();
    let message = match answer.name.is("return") {
        true => format!("{name} is never sent: the answer here is {status}, which gets headers by `always` only"),
        false => format!("{name} is never sent: the answer here is 403, which gets headers by `always` only"),
    };
    let words: Vec<_> = cx.d.words().map(as_written).collect();
    let help = format!("write: {} always;", words.join(" "));
    found.push(Finding::new(cx.d.args_span(), message, help).note(answer.span, "the answer"));
}

/// What refuses every request of this block: a `return` with an error, or `deny all` as the first rule.
fn refusal<'a>(cx: &RuleContext<'_, 'a>) -> Option<&'a Directive> {
    let level = cx.level();
    let returned = level.first_of("return").filter(|d| {
        let code = d.args.first().map(Word::str).unwrap_or_default();
        // 444 and 499 have no response at all, and a URL alone is a redirect.
        code.len() == 3 && code.starts_with(['4', '5']) && !PLAIN.contains(&&*code) && code != "444"
    });
    let is_open = || cx.levels().any(|level| level.has("satisfy"));
    let denied = || {
        let first = level.first("deny").filter(|at| level.first("allow").is_none_or(|allow| *at < allow))?;
        level.all.get(first).filter(|d| d.says("all") && !level.has("return") && !level.has("location"))
    };
    returned.or_else(|| denied().filter(|_| !is_open())).filter(|_| cx.location().is_some() || returned.is_some())
}

fn own_field(cx: &RuleContext, found: &mut Vec<Finding>) {
    const OWN: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"connection", b"date"];
    let Some(name) = cx.d.args.first().filter(|_| cx.is("add_header")) else { return };
    if OWN.contains(&&*name.lower()) {
        let returned = cx.level().first_of("return").and_then(|d| d.args.first());
        let has_no_body = returned.is_some_and(|code| code.is("204")) && name.lower() == b"content-length";
        let message = match has_no_body {
            true => "a 204 must not have Content-Length (RFC 9110 section 8.6)".to_owned(),
            false => format!("{} is written by the server itself, and a second one contradicts it", name.str()),
        };
        found.push(Finding::new(name.span, message, "leave the line out"));
    }
}

fn unfollowed(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(name) = cx.d.args.first().filter(|_| cx.is("add_header")) else { return };
    let returned = cx.level().first_of("return").and_then(|d| d.args.first());
    let is_plain = |code: &&Word| matches!(code.bytes(), b"200" | b"202" | b"204" | b"206");
    if let Some(code) = returned.filter(is_plain).filter(|_| name.lower() == b"location") {
        let url = cx.d.args.get(1).map(|word| quoted(&word.str())).unwrap_or_default();
        let message = "browsers do not follow it: the status is not that of a redirect";
        let help = format!("leave it out, and answer with a redirect: return 302 {url};");
        found.push(Finding::new(cx.d.args_span(), message, help).note(code.span, "the status"));
    }
}

//! Signs in paths and regexes that are taken as letters: an `&` without a query, spaces around a `|`.

use super::blocks::{condition, variables};
use super::regexes::regexes_of;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::Word;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W381",
        title: "an `&` where a query begins",
        page: "A query begins with `?`, and `&` separates its arguments: in `try_files $uri /index.php&q=$uri` it is a letter of \
               the path, and no such file exists. Write `/index.php?q=$uri&$args`, or `/index.php$is_args$args`.",
        about: &["try_files", "rewrite", "return", "error_page", "proxy_pass"],
        check: without_query,
    },
    Rule {
        code: "W384",
        title: "spaces around the `|` of a regex",
        page: "Spaces are letters of a regex: `\"bot | curl\"` looks for \"bot \" or \" curl\". Write `\"bot|curl\"`.",
        about: &["if", "location", "map", "rewrite", "server_name", "valid_referers"],
        check: spaced_choice,
    },
];

/// Whether a variable never holds a `?` with arguments.
fn is_without_query(name: &str) -> bool {
    matches!(name, "uri" | "document_uri" | "host" | "http_host" | "scheme" | "server_name" | "server_port")
}

fn without_query(cx: &RuleContext, found: &mut Vec<Finding>) {
    let words: &[Word] = match (cx.name(), &cx.d.args[..]) {
        (b"try_files" | b"error_page" | b"proxy_pass", all) => all,
        (b"rewrite", [_, target, ..]) => std::slice::from_ref(target),
        (b"return", [code, url]) if code.bytes().starts_with(b"30") => std::slice::from_ref(url),
        _ => return,
    };
    for word in words {
        let Some(at) = memchr::memchr(b'&', word.bytes()) else { continue };
        let text = word.str();
        let Some((path, query)) = text.split_at_checked(at) else { continue };
        // A variable may hold the `?`. Behind `#`, and behind an `=` or `;` of the path, another syntax applies.
        let may_have =
            path.contains(['?', '#', '=', ';']) || variables(path).iter().any(|name| !is_without_query(name));
        let is_path = path.starts_with('/') || path.contains("://");
        let query = query.trim_start_matches('&');
        let name = query.split('=').next().unwrap_or_default();
        let is_argument =
            query.contains('=') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-[]".contains(&b));
        let is_mark = query.starts_with("is_args");
        let is_variable = ["$is_args", "$args", "$query_string"].iter().any(|sign| query.starts_with(sign));
        if is_path && !may_have && (is_argument || is_mark || is_variable) {
            let right = match (is_mark, query.strip_prefix("$is_args")) {
                (true, _) => format!("{path}${query}"),
                (_, Some(rest)) => format!("{path}$is_args{rest}"),
                _ => format!("{path}?{query}"),
            };
            let message = "the `&` is a letter of the path: a query begins with `?`";
            found.push(Finding::new(word.part(at, at + 1), message, format!("write: {right}")));
        }
    }
}

fn spaced_choice(cx: &RuleContext, found: &mut Vec<Finding>) {
    // A log's line or a command may have a `|` between spaces.
    let is_text = || condition(cx.d).is_some_and(|asked| asked.subject.starts_with("$request_body"));
    for regex in regexes_of(cx.d) {
        let Some(at) = regex.text.find(" | ") else { continue };
        if is_text() || regex.text.contains("(?x") || regex.text.contains("[") || regex.text.contains("\\|") {
            continue;
        }
        // An alternative that is a space alone, or begins or ends a group with one, is meant so.
        let is_sign = |c: Option<char>| c.is_none_or(|c| "^$()| ".contains(c));
        let (before, behind) = (regex.text.get(..at).unwrap_or_default(), regex.text.get(at + 3..).unwrap_or_default());
        let has_meant = ["( ", " )", "| |", "^ ", " $"].iter().any(|sign| regex.text.contains(sign));
        if has_meant || is_sign(before.chars().next_back()) || is_sign(behind.chars().next()) {
            continue;
        }
        let message = "the spaces are letters of the alternatives";
        let right = regex.text.replace(" | ", "|");
        let from = regex.from + at;
        let finding = Finding::new(regex.word.part(from, from + 3), message, format!("leave them out: \"{right}\""));
        found.push(finding);
    }
}

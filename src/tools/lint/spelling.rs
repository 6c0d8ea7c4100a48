//! Names spelled in two ways, or slightly different from a known one, which no list of directives can detect.

use super::blocks::below;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::suggest::{self, is_one_slip};
use crate::util::hash::FastMap;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W061",
        title: "a header that no client sends",
        page: "`$http_NAME` is the header of that name, whatever it is: of a name that no client sends it is empty. The header \
               of the page before is called Referer, with one r in its middle. Names of headers have `-` where those of \
               variables have `_`: `real_ip_header X-Forwarded-For;`.",
        about: &[
            "if",
            "map",
            "geo",
            "set",
            "return",
            "log_format",
            "proxy_set_header",
            "add_header",
            "limit_req_zone",
            "real_ip_header",
        ],
        check: unsent_header,
    },
    Rule {
        code: "W062",
        title: "one variable in two spellings",
        page: "The case of letters does not count in names of variables: `$Target` and `$target` are one, and who reads the file \
               takes them for two. Write it in one way.",
        about: &[
            "set",
            "map",
            "geo",
            "if",
            "return",
            "rewrite",
            "proxy_pass",
            "proxy_set_header",
            "add_header",
            "root",
        ],
        check: two_spellings,
    },
    Rule {
        code: "W040",
        title: "a map with the key `*`",
        page: "In a `map` the value for all others is called `default`. `*` is a key like any other: the text `*`.",
        about: &["*"],
        check: star_key,
    },
    Rule {
        code: "W044",
        title: "a word close to the one meant",
        page: "`valid_referers non` is the name of a host, `charset utf8` a charset that no registry has, and the page of \
               `error_page 404 =;` is called `=`: nothing says so. Write `none`, `utf-8`, and a page behind the `=`.",
        about: &["valid_referers", "add_header", "charset", "error_page"],
        check: nearly,
    },
];

/// Request headers that configurations commonly use, as in variable names.
pub(super) const REQUEST_HEADERS: [&str; 29] = [
    "accept",
    "accept_encoding",
    "accept_language",
    "authorization",
    "cache_control",
    "cf_connecting_ip",
    "connection",
    "content_length",
    "content_type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "if_modified_since",
    "if_none_match",
    "origin",
    "range",
    "referer",
    "sec_websocket_key",
    "sec_websocket_protocol",
    "sec_websocket_version",
    "upgrade",
    "user_agent",
    "x_forwarded_for",
    "x_forwarded_host",
    "x_forwarded_proto",
    "x_real_ip",
    "x_request_id",
    "x_requested_with",
];

/// The variables in a word, as written.
fn written(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).map(|part| {
        let part = part.strip_prefix('{').unwrap_or(part);
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        part.get(..end).unwrap_or_default()
    })
}

/// The known header that differs from this one by a letter.
fn meant(header: &str) -> Option<&'static str> {
    if REQUEST_HEADERS.contains(&header) || header.len() < 6 {
        return None;
    }
    let joined = header.replace('_', "");
    let is_slip =
        |known: &&str| is_one_slip(header, known) || known.bytes().filter(|byte| *byte != b'_').eq(joined.bytes());
    REQUEST_HEADERS.into_iter().find(is_slip)
}

/// `real_ip_header X_Forwarded_For`, `real_ip_header X-Forwarded-Fo`.
fn unsent_address(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first() else { return };
    let text = word.str();
    let lower = text.to_ascii_lowercase();
    let plain = lower.replace('-', "_");
    let takes_underscores = cx.levels.iter().any(|level| level.has("underscores_in_headers"));
    let name = match REQUEST_HEADERS.contains(&&*plain) {
        true if lower.contains('_') && !takes_underscores => Some(&*plain),
        true => None,
        false => meant(&plain),
    };
    if let Some(name) = name {
        let message = format!("no proxy sends a header \"{text}\": the address stays that of the proxy");
        found.push(Finding::new(word.span, message, format!("did you mean \"{}\"?", header_of(name))));
    }
}

/// `X-Forwarded-For` of `x_forwarded_for`.
fn header_of(variable: &str) -> String {
    let parts = variable.split('_').map(|part| match part {
        "ip" | "cf" => part.to_ascii_uppercase(),
        part => part.get(..1).unwrap_or_default().to_ascii_uppercase() + part.get(1..).unwrap_or_default(),
    });
    parts.collect::<Vec<_>>().join("-")
}

fn unsent_header(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("real_ip_header") {
        return unsent_address(cx, found);
    }
    for word in &cx.d.args {
        let text = word.str();
        for name in written(&text) {
            let lower = name.to_ascii_lowercase();
            if let Some(near) = lower.strip_prefix("http_").and_then(meant) {
                let message = format!("no client sends the header of ${name}: it is empty");
                found.push(Finding::new(word.span, message, format!("did you mean \"$http_{near}\"?")));
            }
        }
    }
}

/// The spelling of each variable at its first definition, by its name in lower case.
pub fn spelled(all: &[Directive]) -> FastMap<String, &Word> {
    let mut found: FastMap<String, &Word> = FastMap::default();
    below(all, |d| {
        let word = match d.name.bytes() {
            b"set" => d.args.first(),
            b"map" | b"split_clients" => d.args.get(1),
            b"geo" => d.args.last(),
            _ => None,
        };
        if let Some(word) = word.filter(|word| word.bytes().starts_with(b"$")) {
            let first = found.entry(word.str().trim_start_matches('$').to_ascii_lowercase()).or_insert(word);
            if word.span.start < first.span.start && word.span.file == first.span.file {
                *first = word;
            }
        }
        false
    });
    found
}

fn two_spellings(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(outermost) = cx.levels.first() else { return };
    let known = outermost.spelled.get_or_init(|| spelled(outermost.all));
    for word in &cx.d.args {
        let text = word.str();
        for name in written(&text) {
            let Some(first) = known.get(&name.to_ascii_lowercase()) else { continue };
            let first_name = first.str();
            let first_name = first_name.trim_start_matches('$');
            if first_name != name {
                let message =
                    format!("${name} is the same variable as ${first_name}: the case of letters does not count");
                let finding = Finding::new(word.span, message, format!("write it in one way: ${first_name}"));
                found.push(finding.note(first.span, "made here"));
            }
        }
    }
}

fn star_key(cx: &RuleContext, found: &mut Vec<Finding>) {
    let in_map = cx.is_in("map");
    if in_map && cx.is("*") && cx.d.args.len() == 1 && !cx.level().has("default") {
        let message = "`*` is a key like any other: it does not stand for all other values";
        found.push(Finding::new(cx.d.name.span, message, "did you mean \"default\"?"));
    }
}

fn nearly(cx: &RuleContext, found: &mut Vec<Finding>) {
    let meant = |word: &Word| -> Option<String> {
        let text = word.str();
        match cx.name() {
            b"valid_referers" if !text.contains(['.', '~', '*', '/']) => {
                let words = ["none", "blocked", "server_names"];
                (!words.contains(&&*text)).then(|| suggest::nearest(&text, words)).flatten().map(str::to_owned)
            }
            b"add_header" if cx.d.args.get(1).is_some_and(|value| value.span == word.span) => {
                let words: &[&str] = match &cx.d.args.first()?.lower()[..] {
                    b"x-frame-options" => &["SAMEORIGIN", "DENY"],
                    b"x-content-type-options" => &["nosniff"],
                    _ => return None,
                };
                let is_one = words.iter().any(|known| known.eq_ignore_ascii_case(&text));
                // Words with punctuation are reported by another rule.
                let is_word = text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
                (is_word && !is_one)
                    .then(|| suggest::nearest(&text, words.iter().copied()))
                    .flatten()
                    .map(str::to_owned)
            }
            b"charset" if text.contains(',') => text.split(',').next().map(str::to_owned),
            b"charset" => text.eq_ignore_ascii_case("utf8").then(|| "utf-8".to_owned()),
            b"error_page" if text.starts_with('=') && cx.d.args.last().is_some_and(|last| last.span == word.span) => {
                Some(format!("{text} /page"))
            }
            _ => None,
        }
    };
    for (word, meant) in cx.d.args.iter().filter_map(|word| Some((word, meant(word)?))) {
        let message = format!("\"{}\" is taken literally", word.str());
        found.push(Finding::new(word.span, message, format!("did you mean \"{meant}\"?")));
    }
}

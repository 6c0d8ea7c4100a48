//! Values that are taken as they stand and mean something else: parts of a log line that run into each other, a text
//! that no response of its status has, the domain of a cookie with a scheme, milliseconds for seconds.

use super::blocks::location;
use super::level::Passed;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::Directive;
use crate::config::value::Millis;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W333",
        title: "parts of a log line that run into each other",
        page: "The strings of a `log_format` are joined as they stand: `'$request_time' '$status'` is written as \
               `0.005200`. Write the space inside of the quotes: `'$request_time ' '$status'`.",
        about: &["log_format"],
        check: joined,
    },
    Rule {
        code: "W334",
        title: "a text that is never sent",
        page: "Responses with the status 204 and 304 have no body, and 444 closes the connection without one: the text of \
               `return` is left out. Write `return 200 \"text\";`.",
        about: &["return"],
        check: unsent,
    },
    Rule {
        code: "W335",
        title: "a cookie's domain with a scheme or a port",
        page: "`proxy_cookie_domain` compares the domain of a cookie, which is a host's name alone: with `http://` or a port \
               it is never equal. Write `proxy_cookie_domain app.internal www.example.org;`.",
        about: &["proxy_cookie_domain"],
        check: no_domain,
    },
    Rule {
        code: "W336",
        title: "a time in milliseconds that was meant in seconds",
        page: "`60ms` is 0.06 s: no application answers in that time, and no client sends its request. Seconds are `60s`, or \
               60 alone.",
        about: &TIMES,
        check: over_at_once,
    },
    Rule {
        code: "W342",
        title: "a parameter that is passed twice",
        page: "`fastcgi_param` adds a parameter and replaces none: with one name twice both values are sent, and the program takes \
               one of them, PHP the last. Keep the line that is meant.",
        about: &["fastcgi_param", "uwsgi_param", "scgi_param"],
        check: passed_twice,
    },
];

/// Whether a text ends in a variable.
fn ends_in_variable(text: &str) -> bool {
    let Some(at) = text.rfind('$') else { return false };
    let name = &text[at + 1..];
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn joined(cx: &RuleContext, found: &mut Vec<Finding>) {
    // A URL may be written in parts.
    const PATHS: [&str; 6] = ["$request_uri", "$uri", "$document_uri", "$is_args", "$args", "$query_string"];
    let parts = cx.d.args.get(1..).unwrap_or_default();
    for (one, next) in parts.iter().zip(parts.iter().skip(1)) {
        let (before, after) = (one.str(), next.str());
        let is_end = ends_in_variable(&before) || before.ends_with("\"") && before.contains('$');
        let is_start =
            after.starts_with('$') && !PATHS.iter().any(|name| after.starts_with(name)) || after.starts_with("\"$");
        if cx.is("log_format") && is_end && is_start {
            let message =
                format!("written without a space between them: \"{}\" and \"{}\"", last_of(&before), first_of(&after));
            return found.push(Finding::new(next.span, message, "write the space inside of the quotes"));
        }
    }
}

fn last_of(text: &str) -> &str {
    text.rsplit(' ').next().unwrap_or(text)
}

fn first_of(text: &str) -> &str {
    text.split(' ').next().unwrap_or(text)
}

fn unsent(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [code, text] = &cx.d.args[..] else { return };
    let is_bare = ["204", "304", "444"].iter().any(|bare| code.is(bare));
    // A URL with 304 has a warning of its own, and an empty text is none.
    if cx.is("return") && is_bare && !text.is_empty() && !text.str().contains("://") {
        let message = format!("not sent: a response with the status {} has no body", code.str());
        found.push(Finding::new(text.span, message, "write: return 200 …; or leave the text out"));
    }
}

fn no_domain(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("proxy_cookie_domain")) else { return };
    let text = word.str();
    if text.starts_with('~') || text.contains('$') {
        return;
    }
    let host = text.split_once("://").map_or(&*text, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    if host != text && !host.is_empty() {
        let message = format!("no cookie has the domain \"{text}\"");
        found.push(Finding::new(word.span, message, format!("a domain is a host's name: {host}")));
    }
}

/// How long this server waits for the other side.
const TIMES: [&str; 13] = [
    "client_body_timeout",
    "client_header_timeout",
    "fastcgi_read_timeout",
    "fastcgi_send_timeout",
    "keepalive_timeout",
    "lingering_timeout",
    "proxy_read_timeout",
    "proxy_send_timeout",
    "scgi_read_timeout",
    "send_timeout",
    "uwsgi_read_timeout",
    "uwsgi_send_timeout",
    "cgi_timeout",
];

/// Nothing that is meant is shorter.
const SHORTEST: u64 = 100;

fn over_at_once(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| TIMES.iter().any(|name| cx.is(name))) else { return };
    let text = word.str();
    let Some(number) = text.strip_suffix("ms").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())) else {
        return;
    };
    let is_short = Millis::parse(word.bytes()).is_ok_and(|time| time.0 > 0 && time.0 < SHORTEST);
    if is_short {
        let message = format!("{text} are over before the other side can answer");
        found.push(Finding::new(word.span, message, format!("seconds are: {} {number}s;", cx.d.name.str())));
    }
}

/// The lines of parameters that are passed with a value.
fn passed(all: &[Directive]) -> Passed<'_> {
    let mut passed = Passed::default();
    for (at, d) in all.iter().enumerate().filter(|(_, d)| d.name.bytes().ends_with(b"_param")) {
        if let [name, _] = &d.args[..] {
            passed.entry((d.name.bytes(), name.bytes())).or_default().push(at);
        }
    }
    passed
}

fn passed_twice(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value] = &cx.d.args[..] else { return };
    let is_location = cx.blocks.last().is_some_and(|block| location(block).is_some() || block.name.is("server"));
    if !cx.name().ends_with(b"_param") || !is_location {
        return;
    }
    let all = cx.level().all;
    let passed = cx.level().passed.get_or_init(|| passed(all));
    let lines = passed.get(&(cx.name(), name.bytes())).map(Vec::as_slice).unwrap_or_default();
    let before = lines.get(..lines.partition_point(|at| *at < cx.at)).unwrap_or_default();
    let is_other = |d: &&Directive| d.args.get(1).is_some_and(|other| other.bytes() != value.bytes());
    let nearest = before.iter().rev().take(COMPARED).filter_map(|at| all.get(*at));
    let Some(first) = nearest.into_iter().find(is_other) else { return };
    let file = cx.blocks.last().map(|block| block.name.span.file);
    let is_own = |d: &Directive| Some(d.name.span.file) == file;
    let text = name.str();
    let finding = match (is_own(first), is_own(cx.d)) {
        // A line behind an `include` is to take the place of one of those in the file.
        (false, _) => return,
        (true, true) => {
            let message = format!("\"{text}\" is passed twice: most programs take the last one");
            Finding::new(name.span, message, "keep one of the two lines").note(first.span, "the first")
        }
        (true, false) => {
            let message =
                format!("\"{text}\" is passed once more by the file that is included below: most programs take that");
            Finding::new(first.args[0].span, message, "write the line behind the `include`")
                .note(cx.d.span, "the last one")
        }
    };
    found.push(finding);
}

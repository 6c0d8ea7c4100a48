//! Configuration that never takes effect, or is evaluated before its input exists: paths that no URI can have, files at
//! the end of try_files, values of a response that does not exist yet.

use super::blocks::{Pass, location, passes, variables};
use super::rule::{EVERY, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::template::Builtin;
use crate::util::hash::FastSet;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W031",
        title: "a path that no URI can have",
        page: "A location and the regex of a `rewrite` are compared with the path of the URI: it begins with `/`, has neither \
               the scheme nor the host before it nor the query behind it, its %XX are decoded, and slashes beside each other \
               are one (unless merge_slashes is off). `rewrite ^old/` or `location /my%20files/` never match.",
        about: &["location", "rewrite", "if"],
        check: no_such_path,
    },
    Rule {
        code: "W032",
        title: "the last argument of try_files is not checked",
        page: "`try_files` looks for all arguments but the last, which is where the request goes if none is there: with `$uri` or \
               `$uri/` it comes back to this very line until it ends in 500. End with a status, a page or a named location: \
               `try_files $uri $uri/ =404;`. A URL is a file's name here: hand requests on in a named location.",
        about: &["try_files"],
        check: looked_for_last,
    },
    Rule {
        code: "W033",
        title: "an error page without a leading slash",
        page: "What begins with neither `/` nor `@` is a URL, to which clients are redirected: `error_page 404 404.html` answers \
               302 instead of 404. Write `/404.html`.",
        about: &["error_page"],
        check: page_without_slash,
    },
    Rule {
        code: "W034",
        title: "a condition on a response that does not exist yet",
        page: "`if` and `set` run before a request is answered or handed on: $status, $upstream_… and $sent_http_… are empty \
               then. Look at them in `map`, in a log, or have `error_page` act on a status.",
        about: &["if", "set"],
        check: not_known_yet,
    },
    Rule {
        code: "W035",
        title: "a variable where variables are not evaluated",
        page: "The path of `error_log` and the names of headers are taken as they stand: `error_log logs/$host.log` writes to a \
               file called \"$host.log\". A log for each server is written in that server; `access_log` takes variables. The \
               path of a location is fixed as well: what else a request has is told apart by `map` or `if`.",
        about: &[
            "location",
            "add_header",
            "add_trailer",
            "proxy_set_header",
            "proxy_hide_header",
            "real_ip_header",
            "error_log",
            "pid",
        ],
        check: not_filled_in,
    },
    Rule {
        code: "W036",
        title: "a size or a time without a unit",
        page: "A number alone counts bytes: with `client_max_body_size 10` almost every form is refused. k, m and g stand for \
               KiB, MiB and GiB: `client_max_body_size 10m`. A time without a unit counts seconds: `expires 7` is seven \
               seconds, `proxy_read_timeout 60000` almost 17 hours. Write `7d`, `60s` or `60000ms`.",
        about: &[
            "client_max_body_size",
            "upload_max_file_size",
            "upload_quota",
            "client_body_buffer_size",
            "limit_rate",
            "proxy_limit_rate",
            "upload_limit_rate",
            "expires",
            "proxy_read_timeout",
            "proxy_send_timeout",
            "proxy_connect_timeout",
            "fastcgi_read_timeout",
            "uwsgi_read_timeout",
            "send_timeout",
            "client_body_timeout",
            "client_header_timeout",
            "keepalive_timeout",
        ],
        check: bare_size,
    },
    Rule {
        code: "W037",
        title: "content that an unconditional `return` makes unreachable",
        page: "`return` ends the request before a file or a server is asked: what the same location says about them is never \
               used. Remove one of the two, or make the `return` depend on an `if`. In a server it answers before any location is \
               chosen: write it into `location /`.",
        about: EVERY,
        check: answered_before,
    },
];

/// The regex of a location or rewrite, or of an `if` that tests the path.
fn regex_of_path<'a>(cx: &RuleContext<'_, 'a>) -> Option<&'a Word> {
    match (cx.name(), &cx.d.args[..]) {
        (b"location", [modifier, word]) if modifier.bytes().starts_with(b"~") => Some(word),
        (b"rewrite", [word, ..]) => Some(word),
        (b"if", [subject, sign, word, ..]) if subject.is("($uri") && sign.bytes().contains(&b'~') => Some(word),
        _ => None,
    }
}

fn no_such_path(cx: &RuleContext, found: &mut Vec<Finding>) {
    let merges = || !cx.levels.iter().any(|level| level.has("merge_slashes"));
    let (word, why, help) = match (regex_of_path(cx), location(cx.d)) {
        (Some(word), _) => {
            let text = word.str();
            let Some((why, help)) = no_such_regex(&text) else { return };
            (word, why, help)
        }
        (None, Some((b"" | b"=" | b"^~", word))) => {
            let text = word.str();
            if text.starts_with('/') && text.contains("//") && merges() {
                let help = format!("write it with one: {}", text.replace("//", "/"));
                (word, "slashes beside each other are merged before it is compared", help)
            } else if let Some(decoded) = decoded(&text) {
                let help = format!("write the character itself: location \"{decoded}\" {{ … }}");
                (word, "a URI is compared after its %XX are decoded", help)
            } else {
                return;
            }
        }
        _ => return,
    };
    found.push(Finding::new(word.span, format!("\"{}\" never matches: {why}", word.str()), help));
}

/// Decodes %XX in a text, if that changes it to readable text.
fn decoded(text: &str) -> Option<String> {
    let (head, tail) = text.split_once('%')?;
    let byte = u8::from_str_radix(tail.get(..2)?, 16).ok()?;
    // `%25` is an encoded `%`, which may be intended.
    let plain = (byte.is_ascii_graphic() || byte == b' ') && byte != b'%';
    let rest = tail.get(2..)?;
    let rest = decoded(rest).unwrap_or_else(|| rest.to_owned());
    plain.then(|| format!("{head}{}{rest}", char::from(byte)))
}

/// Why no path can match a regex, and what was meant.
fn no_such_regex(regex: &str) -> Option<(&'static str, String)> {
    let (has_choice, is_optional) = (regex.contains('|'), |after: &str| after.starts_with(['?', '*', '{']));
    if let Some((before, query)) = regex.split_once("\\?")
        && !has_choice
        && !query.contains(")?")
        && !query.contains(")*")
        && !is_optional(query)
        && before.matches('[').count() == before.matches(']').count()
    {
        let name: String = query.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let argument = if name.is_empty() { "$args".to_owned() } else { format!("$arg_{name}") };
        return Some(("the query is no part of what is compared", format!("look at {argument} in an `if` or a `map`")));
    }
    let start = regex.strip_prefix('^')?;
    let is_url =
        ["http:", "https:", "https?:", "http(s)?:", "http[s]?:"].iter().any(|scheme| start.starts_with(scheme));
    if is_url {
        return Some((
            "neither the scheme nor the host is part of what is compared",
            "a host is chosen by `server_name`, the scheme by `listen`; here the regex begins with ^/".to_owned(),
        ));
    }
    let first = start.chars().next().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))?;
    let after = start.get(first.len_utf8()..).unwrap_or_default();
    if !has_choice && !is_optional(after) {
        return Some(("a path begins with `/`", format!("did you mean \"^/{start}\"?")));
    }
    None
}

fn looked_for_last(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((last, files)) = cx.d.args.split_last().filter(|_| cx.is("try_files")) else { return };
    let url = cx.d.args.iter().find(|word| {
        let text = word.str();
        text.starts_with("http://") || text.starts_with("https://") || text.starts_with("unix:")
    });
    if let Some(url) = url {
        let message = format!("\"{}\" is a file's name here", url.str());
        let help = format!("end with @app, and write: location @app {{ proxy_pass {}; }}", url.str());
        found.push(Finding::new(url.span, message, help));
        return;
    }
    let is_own = ["$uri", "$uri/", "${uri}", "$document_uri", "$request_uri"].iter().any(|own| last.is(own));
    // After a rewrite, another location may take the path.
    if is_own && !files.is_empty() && !cx.level().has("rewrite") {
        let kept: Vec<_> = cx.d.args.iter().map(Word::str).collect();
        let message =
            format!("\"{}\" is not looked for: the request comes back here, until it ends in 500", last.str());
        found.push(Finding::new(last.span, message, format!("write: try_files {} =404;", kept.join(" "))));
    }
}

fn page_without_slash(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((page, codes)) = cx.d.args.split_last().filter(|_| cx.is("error_page")) else { return };
    let text = page.str();
    let is_code = |word: &Word| word.len() == 3 && word.bytes().iter().all(u8::is_ascii_digit);
    let is_path = text.starts_with(['/', '@', '$', '=', '"', '?', '#']) || text.contains("://");
    if is_path || text.is_empty() || is_code(page) || !codes.first().is_some_and(is_code) {
        return;
    }
    let message = format!("clients are redirected to \"{text}\": a page of this server begins with `/`");
    found.push(Finding::new(page.span, message, format!("did you mean \"/{text}\"?")));
}

/// Variables with these prefixes are taken from a response.
const LATE: [&str; 5] = ["sent_http_", "sent_trailer_", "upstream_http_", "upstream_cookie_", "upstream_trailer_"];

/// The variables that `map` or `set` defines at this level.
fn defined(all: &[Directive]) -> FastSet<&[u8]> {
    let own = |d: &'_ Directive| match d.name.bytes() {
        b"map" => 1,
        b"set" => 0,
        _ => d.args.len(),
    };
    all.iter().filter_map(|d| d.args.get(own(d))?.bytes().strip_prefix(b"$")).collect()
}

fn not_known_yet(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("if") && !cx.is("set") {
        return;
    }
    // In an error page, an auth_request subrequest or after an upstream, a response already exists.
    let is_second = |name: &str| cx.levels.iter().any(|level| level.has(name));
    if ["error_page", "auth_request", "internal"].iter().any(|name| is_second(name)) {
        return;
    }
    if cx.blocks.iter().any(|block| location(block).is_some_and(|(_, name)| name.bytes().starts_with(b"@"))) {
        return;
    }
    let skipped = usize::from(cx.is("set"));
    for word in cx.d.args.iter().skip(skipped) {
        let late = |name: &String| {
            matches!(&**name, "status" | "body_bytes_sent" | "bytes_sent")
                || LATE.iter().any(|prefix| name.starts_with(prefix))
                || name.starts_with("upstream_") && Builtin::of(name).is_some()
        };
        let is_defined = |name: &String| {
            cx.levels.iter().any(|level| level.defined.get_or_init(|| defined(level.all)).contains(name.as_bytes()))
        };
        if let Some(name) = variables(&word.str()).into_iter().find(late).filter(|name| !is_defined(name)) {
            let message = format!("${name} is empty here: `{}` runs before there is an answer", cx.d.name.str());
            let help = match &*name {
                "status" => "have `error_page` act on a status, or a `map` that a log uses",
                _ => "look at it in a `map` that a header or a log uses",
            };
            found.push(Finding::new(word.span, message, help));
        }
    }
}

fn not_filled_in(cx: &RuleContext, found: &mut Vec<Finding>) {
    let header = ["add_header", "add_trailer", "proxy_set_header", "proxy_hide_header"].iter().any(|name| cx.is(name));
    let path = cx.is("error_log") || cx.is("pid");
    let is_named = cx.is("real_ip_header");
    if let Some((modifier, word)) = location(cx.d) {
        // Paths may have a dollar of their own: OData's /$metadata.
        let names: Vec<String> =
            variables(&word.str()).into_iter().filter(|name| Builtin::of(name).is_some()).collect();
        if let (Some(name), false) = (names.first(), modifier.starts_with(b"~") || word.bytes().starts_with(b"@")) {
            let message = format!("\"${name}\" is taken literally: the path of a location has no variables");
            let help =
                "a regex takes all paths of a kind: location ~ ^/[^/]+/ { … }; other things are told apart by `map`";
            found.push(Finding::new(word.span, message, help));
        }
        return;
    }
    let Some(word) = cx.d.args.first().filter(|_| header || path || is_named) else { return };
    let names = variables(&word.str());
    let Some(name) = names.first().filter(|name| !name.starts_with(|c: char| c.is_ascii_digit())) else { return };
    let message = format!("\"${name}\" is taken literally: no variable is filled in here");
    let help = match name.strip_prefix("http_").filter(|_| is_named) {
        Some(field) => format!("write the name of the header: real_ip_header {};", field_name(field)),
        None if path => "write the path as it is; for a file of each server, write the line in each server".to_owned(),
        None => "the name of a header is fixed; its value may have variables".to_owned(),
    };
    found.push(Finding::new(word.span, message, help));
}

/// `x_forwarded_for` as a header name.
fn field_name(variable: &str) -> String {
    let part = |part: &str| part.get(..1).unwrap_or_default().to_ascii_uppercase() + part.get(1..).unwrap_or_default();
    variable.split('_').map(part).collect::<Vec<_>>().join("-")
}

fn bare_size(cx: &RuleContext, found: &mut Vec<Finding>) {
    const SIZES: [&str; 7] = [
        "client_max_body_size",
        "upload_max_file_size",
        "upload_quota",
        "client_body_buffer_size",
        "limit_rate",
        "proxy_limit_rate",
        "upload_limit_rate",
    ];
    if cx.is("expires") || cx.name().ends_with(b"_timeout") {
        return bare_time(cx, found);
    }
    let Some(word) = cx.d.args.first().filter(|_| SIZES.iter().any(|name| cx.is(name))) else { return };
    let text = word.str();
    if text.parse::<u32>().is_ok_and(|bytes| (1..=1000).contains(&bytes)) {
        let message = format!("{text} bytes: a size without a unit counts bytes");
        let unit = if cx.name().ends_with(b"_rate") { 'k' } else { 'm' };
        found.push(Finding::new(word.span, message, format!("did you mean {text}{unit}? (k, m or g)")));
    }
}

/// `expires 7`, `proxy_read_timeout 60000`: days and milliseconds are meant. `expires 30` may be meant.
fn bare_time(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [word] = &cx.d.args[..] else { return };
    let text = word.str();
    let Ok(seconds) = text.parse::<u32>() else { return };
    let is_days = cx.is("expires") && matches!(seconds, 7 | 14 | 31 | 365);
    let is_milliseconds = match cx.name() {
        // No connection takes minutes: the kernel gives up before.
        name if name.ends_with(b"_connect_timeout") => seconds >= 1000 && seconds % 500 == 0 && seconds % 3600 != 0,
        name => name.ends_with(b"_timeout") && seconds >= 10_000 && seconds % 1000 == 0 && seconds % 3600 != 0,
    };
    if is_days {
        let message = format!("{text} seconds: a time without a unit counts seconds");
        found.push(Finding::new(word.span, message, format!("did you mean {text}d? (s, m, h or d)")));
    } else if is_milliseconds {
        let about = match seconds {
            0..7200 => format!("{} minutes", seconds / 60),
            _ => format!("{} hours", (seconds + 1800) / 3600),
        };
        let message = format!("{text} seconds, about {about}");
        let help = format!("did you mean {}s? (ms, s, m or h)", seconds / 1000);
        found.push(Finding::new(word.span, message, help));
    }
}

/// Directives that select a location's content.
const CONTENT: [&str; 3] = ["try_files", "root", "alias"];

/// A `return` of a server runs before a location is selected.
fn before_all_locations(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    let in_server = cx.is_in("server");
    if !in_server || !cx.is_first("return") {
        return;
    }
    // After a rewrite with a flag or a break, processing continues with the locations.
    let ends = level.all.iter().take(cx.at).any(|d| matches!(d.name.bytes(), b"rewrite" | b"break"));
    // The `return` may itself lead to such a location (error_page).
    let Some(first) = level.first_of("location").filter(|_| !ends) else { return };
    let is_reached = |d: &Directive| {
        location(d).is_some_and(|(_, name)| cx.levels.iter().any(|level| level.has_error_page(name.bytes())))
    };
    let mut locations = level.all.iter().filter(|d| d.name.is("location"));
    if !locations.any(is_reached) {
        let message = "this answers every request of the server: none of its locations is ever reached";
        let help = "write it into the location that it is for: location / { return …; }";
        found.push(Finding::new(cx.d.span, message, help).note(first.args_span(), "the first of them"));
    }
}

fn answered_before(cx: &RuleContext, found: &mut Vec<Finding>) {
    before_all_locations(cx, found);
    let level = cx.level();
    if !cx.is_in("location") {
        return;
    }
    let Some(by) = level.first("return") else { return };
    let is_pass =
        |d: &Directive| passes(&[Pass::Http, Pass::Gateway, Pass::Program, Pass::Other]).any(|name| d.name.is(name));
    let is_content = |d: &Directive| is_pass(d) || CONTENT.iter().any(|name| d.name.is(name));
    // Report once per block, and only if nothing else may run before the `return`.
    let is_first = || level.all.iter().take(cx.at).all(|d| !is_content(d));
    let others = ["rewrite", "location", "break", "if"].iter().any(|name| level.has(name));
    if is_content(cx.d) && !others && is_first() {
        let message = format!("\"{}\" is never used: `return` answers before", cx.d.name.str());
        let finding = Finding::new(cx.d.name.span, message, "remove one of the two, or put the `return` into an `if`");
        found.push(finding.note(level.all[by].span, "the answer"));
    }
}

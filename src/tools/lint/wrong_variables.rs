//! Values of another kind than what takes them: a header's variable that means something else, settings of PHP in one
//! line, a whole list compared with one of its words.

use super::assigned;
use super::blocks::condition;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::Word;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W366",
        title: "a header filled with another value than it names",
        page: "Applications take X-Real-IP for one address of the client, X-Forwarded-Proto for the scheme and \
               X-Forwarded-Port for the port of the server: with `$server_addr`, `$server_protocol` (HTTP/1.1), \
               `$remote_port` or a list of addresses they log, redirect and count wrongly. Write `$remote_addr`, `$scheme`, \
               `$server_port`; the list `$proxy_add_x_forwarded_for` belongs in X-Forwarded-For.",
        about: &["proxy_set_header", "grpc_set_header", "fastcgi_param", "uwsgi_param", "scgi_param"],
        check: other_value,
    },
    Rule {
        code: "W367",
        title: "several settings of PHP in one line",
        page: "PHP-FPM reads one setting per line of PHP_VALUE and PHP_ADMIN_VALUE: in `\"a=1 b=2\"` all behind the first `=` is \
               the value of `a`, and `b` is not set. Put a line end between them: `\"a=1\\nb=2\"`.",
        about: &["fastcgi_param"],
        check: joined_settings,
    },
    Rule {
        code: "W368",
        title: "a list that is compared with one word",
        page: "Browsers send lists in Accept-Language (`de,en;q=0.7`), Accept, Accept-Encoding and Cookie: `=`, and a key of a \
               `map` without `~`, compare the whole text, and seldom match. Look for the word by a regex (`~*^de`), and \
               for a cookie by its variable: `$cookie_NAME`.",
        about: &["if", "map"],
        check: one_of_a_list,
    },
];

/// Headers and parameters in lower case, variables that are something else, and the one that is meant.
const MISTAKEN: [(&str, &[&str], &str); 12] = [
    ("x-forwarded-proto", &["$server_protocol", "$server_port", "$ssl_protocol", "$host"], "$scheme"),
    ("x-forwarded-scheme", &["$server_protocol", "$server_port", "$ssl_protocol", "$host"], "$scheme"),
    ("x-scheme", &["$server_protocol", "$server_port", "$ssl_protocol", "$host"], "$scheme"),
    (
        "x-real-ip",
        &["$proxy_add_x_forwarded_for", "$server_addr", "$host", "$http_host", "$server_name", "$remote_port"],
        "$remote_addr",
    ),
    (
        "x-forwarded-for",
        &["$server_addr", "$host", "$http_host", "$server_name", "$remote_port", "$hostname"],
        "$proxy_add_x_forwarded_for",
    ),
    ("x-forwarded-host", &["$remote_addr", "$server_addr", "$proxy_host", "$scheme", "$server_port"], "$host"),
    ("x-forwarded-port", &["$remote_port", "$scheme", "$server_protocol"], "$server_port"),
    ("host", &["$remote_addr", "$scheme", "$request_uri", "$uri", "$server_port"], "$host"),
    ("remote_addr", &["$server_addr", "$proxy_add_x_forwarded_for", "$http_host", "$host"], "$remote_addr"),
    ("server_port", &["$remote_port"], "$server_port"),
    ("server_protocol", &["$scheme"], "$server_protocol"),
    ("query_string", &["$request_uri", "$uri"], "$query_string"),
];

fn other_value(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    let is_param = cx.name().ends_with(b"_param");
    let lower = name.lower();
    let row = MISTAKEN.iter().find(|(header, ..)| header.as_bytes() == lower);
    let Some((header, wrong, meant)) = row.filter(|_| is_param || cx.name().ends_with(b"_set_header")) else { return };
    // Parameters have no `-` in their names, headers no `_`, but for those of one word.
    if is_param != header.contains('_') || !wrong.iter().any(|variable| value.is(variable)) {
        return;
    }
    let what = match value.bytes() {
        b"$server_protocol" => "the version of HTTP, as in HTTP/1.1",
        b"$ssl_protocol" => "the version of TLS",
        b"$server_addr" => "the address of this server",
        b"$remote_port" => "the port of the client",
        b"$server_port" => "the port of this server",
        b"$proxy_add_x_forwarded_for" => "a list of addresses, which begins with what the client sent",
        b"$remote_addr" => "the address of the client",
        b"$scheme" => "http or https",
        b"$request_uri" | b"$uri" => "the path",
        _ => "the name of a host",
    };
    let message = format!("{} is {what}", value.str());
    found.push(Finding::new(value.span, message, format!("write: {} {} {meant};", cx.d.name.str(), name.str())));
}

fn joined_settings(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    if !cx.is("fastcgi_param") || !name.is("PHP_VALUE") && !name.is("PHP_ADMIN_VALUE") {
        return;
    }
    let text = value.str();
    let begins = |word: &&str| {
        let setting = word.split_once('=').map(|(setting, _)| setting).unwrap_or_default();
        setting.starts_with(|c: char| c.is_ascii_lowercase())
            && setting.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte))
    };
    let second = text.lines().find_map(|line| line.split_whitespace().filter(begins).nth(1).map(str::to_owned));
    if let Some(second) = second.filter(|_| !text.contains(['"', '\''])) {
        let setting = second.split('=').next().unwrap_or_default();
        let message = format!("`{setting}` is not set: it is a part of the value before it");
        found.push(Finding::new(value.span, message, "put a line end between them, as in \"a=1\\nb=2\""));
    }
}

/// What a browser sends in a list, by the variable in lower case; the regex that finds it.
fn of_list(subject: &str, text: &str) -> Option<String> {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match subject {
        "$http_accept_language" if is_word => Some(format!("~*^{text}")),
        "$http_accept_encoding" if matches!(text, "gzip" | "br" | "deflate" | "zstd") => Some(format!("~{text}")),
        "$http_accept" if text.starts_with("image/") || text == "text/html" => Some(format!("~{text}")),
        "$http_cookie" if text.contains('=') && !text.contains(';') => {
            let (name, value) = text.split_once('=')?;
            Some(format!("$cookie_{name} = {value}"))
        }
        _ => None,
    }
}

fn one_of_a_list(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("map") {
        return keys_of_a_list(cx, found);
    }
    let Some(asked) = condition(cx.d).filter(|asked| asked.equality().is_some()) else { return };
    let (Some(operand), Some(regex)) = (asked.operand, of_list(&asked.subject, &asked.text)) else { return };
    let (outcome, sign) = if asked.equality() == Some(true) { ("hardly ever", "") } else { ("nearly always", "!") };
    let message = format!("this is {outcome} true: {} is a list, of which \"{}\" is a part", asked.subject, asked.text);
    let help = match regex.strip_prefix('~') {
        Some(pattern) => {
            let case = if pattern.starts_with('*') { "*" } else { "" };
            format!("look for it by a regex: if ({} {sign}~{case} {})", asked.subject, pattern.trim_start_matches('*'))
        }
        None => format!("the cookie alone is asked for by: if ({})", regex.replacen(" = ", &format!(" {sign}= "), 1)),
    };
    found.push(Finding::new(operand.part(0, asked.text.len()), message, help));
}

fn keys_of_a_list(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(source) = cx.d.args.first().map(|word| word.str().to_ascii_lowercase()) else { return };
    if !source.starts_with("$http_") {
        return;
    }
    let is_regex = |key: &Word| key.bytes().starts_with(b"~");
    let is_key = |key: &&Word| !key.is("default") && !is_regex(key);
    let all = || assigned::lines(cx.d).take(COMPARED).map(|(key, _)| key);
    // Regexes beside the keys look for the words in lists.
    if all().any(is_regex) {
        return;
    }
    let mut keys = all().filter(is_key);
    // Once for each table: its keys are all of one kind.
    let first = keys.find_map(|key| Some((key, of_list(&source, &key.str())?)));
    if let Some((key, regex)) = first {
        let message = format!("this hardly ever matches: {source} is a list, of which \"{}\" is a part", key.str());
        let help = match regex.starts_with('~') {
            true => format!("look for it by a regex: {regex}"),
            false => {
                format!("a cookie alone is in its variable: map {} …", regex.split(' ').next().unwrap_or_default())
            }
        };
        found.push(Finding::new(key.span, message, help));
    }
}

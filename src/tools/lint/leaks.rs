//! Responses cached, or data written, for others than the client concerned; and an HSTS lifetime that is too short to
//! protect.

use super::blocks::{is_of_client, variables};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::Word;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W149",
        title: "Strict-Transport-Security for a short time",
        page: "A browser that has not visited the site for as long as max-age says goes back to plain HTTP, where anyone on the \
               way can answer. Short times are for a first try. Write half a year at least: `max-age=31536000`.",
        about: &["add_header"],
        check: short_promise,
    },
    Rule {
        code: "W150",
        title: "one visitor's cookie for everybody",
        page: "A response with Set-Cookie is not cached, unless `proxy_ignore_headers Set-Cookie` says so: then its cookie, a \
               session perhaps, is sent to all that ask for the same. Add `proxy_hide_header Set-Cookie;`.",
        about: &["proxy_ignore_headers", "fastcgi_ignore_headers", "uwsgi_ignore_headers", "scgi_ignore_headers"],
        check: shared_cookie,
    },
    Rule {
        code: "W151",
        title: "a log whose name the client chooses",
        page: "Each value of a header, an argument or a cookie makes a file of its own, until the disk or its inodes are used up, \
               and open files take the place of connections. Name the log by $server_name.",
        about: &["access_log"],
        check: chosen_log,
    },
    Rule {
        code: "W157",
        title: "a secret in the log",
        page: "Authorization and Cookie hold passwords, tokens and sessions, and so does the body of a form ($request_body): \
               anyone who reads the log, or the program that it is sent to, can pass for any visitor. Log $remote_user, or \
               one cookie that is no session.",
        about: &["log_format"],
        check: logged_secret,
    },
];

/// Long enough for browsers of monthly visitors to remember the policy.
const MIN_HSTS_AGE: u64 = 30 * 86_400;

fn short_promise(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    if !cx.is("add_header") || name.lower() != b"strict-transport-security" {
        return;
    }
    let text = value.str().to_ascii_lowercase();
    let Some((_, rest)) = text.split_once("max-age=") else { return };
    let digits: String = rest.trim_start_matches('"').chars().take_while(char::is_ascii_digit).collect();
    // 0 revokes the policy.
    let Some(seconds) = digits.parse::<u64>().ok().filter(|seconds| (1..MIN_HSTS_AGE).contains(seconds)) else {
        return;
    };
    let message = format!("browsers forget after {seconds} s that this site is HTTPS only");
    found.push(Finding::new(value.span, message, "write max-age=31536000, a year"));
}

fn shared_cookie(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_cookie = |word: &&Word| word.bytes().eq_ignore_ascii_case(b"Set-Cookie");
    let Some(word) = cx.d.args.iter().find(is_cookie) else { return };
    let name = cx.d.name.str();
    let Some(module) = name.strip_suffix("_ignore_headers") else { return };
    let (cache, hide) = (format!("{module}_cache"), format!("{module}_hide_header"));
    let is_cached = cx.levels.iter().rev().find_map(|level| level.all.get(level.first(&cache)?));
    let is_cached = is_cached.is_some_and(|d| d.args.first().is_some_and(|zone| !zone.is("off")));
    let is_hidden = cx
        .levels
        .iter()
        .any(|level| level.all.iter().any(|d| d.name.is(&hide) && d.args.iter().any(|word| is_cookie(&word))));
    if is_cached && !is_hidden {
        let message = "responses with a cookie are cached, and sent with it to everybody";
        found.push(Finding::new(word.span, message, format!("add: {hide} Set-Cookie;")));
    }
}

/// Variables that hold what proves who a client is.
const SECRETS: [&str; 13] = [
    "request_body",
    "http_authorization",
    "http_proxy_authorization",
    "http_cookie",
    "http_x_api_key",
    "http_x_auth_token",
    "arg_password",
    "arg_passwd",
    "arg_token",
    "arg_access_token",
    "arg_api_key",
    "arg_apikey",
    "arg_secret",
];

fn logged_secret(cx: &RuleContext, found: &mut Vec<Finding>) {
    for word in cx.d.args.iter().skip(1).filter(|_| cx.is("log_format")) {
        let text = word.str();
        let Some(name) = variables(&text).into_iter().find(|name| SECRETS.contains(&&**name)) else { continue };
        let at = text.to_ascii_lowercase().find(&format!("${name}"));
        let span = at.map_or(word.span, |at| word.part(at, at + 1 + name.len()));
        let message = format!("${name} holds what proves who a client is: everyone who reads the log has it");
        return found.push(Finding::new(span, message, "leave it out; the user's name is $remote_user"));
    }
}

fn chosen_log(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(path) = cx.d.args.first().filter(|_| cx.is("access_log")) else { return };
    let text = path.str();
    if let Some(name) = variables(&text).into_iter().find(|name| is_of_client(name)) {
        let message = format!("each value of ${name} that a client sends makes a log of its own");
        found.push(Finding::new(path.span, message, "name the log by $server_name, or write one log"));
    }
}

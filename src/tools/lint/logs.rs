//! Logs: secrets in them, names and lines that clients control, and logs that are not written.

use super::blocks::{is_of_client, variables};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::Directive;
use crate::config::ast::Word;

pub const RULES: &[Rule] = &[
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
    Rule {
        code: "W174",
        title: "a log that clients can write lines into",
        page: "With `escape=none` quotes and line ends of what clients send are written as they are: a request makes lines that \
               look like others. Leave it out, or write `escape=json`.",
        about: &["log_format"],
        check: unescaped,
    },
    Rule {
        code: "W311",
        title: "a log of rewrites that is not written",
        page: "`rewrite_log on` writes at the level notice, and an `error_log` of a higher level leaves it out: \
               `error_log FILE notice;`.",
        about: &["rewrite_log"],
        check: unseen_rewrites,
    },
    Rule {
        code: "W321",
        title: "a log that is turned off and on at one level",
        page: "`access_log off` turns off all logs of its level, those of the lines beside it as well. Keep one of the two; for some \
               requests only there is `if=`: `access_log FILE combined if=$loggable;`.",
        about: &["access_log"],
        check: off_and_on,
    },
    Rule {
        code: "W361",
        title: "a condition of a log that is always the same",
        page: "`if=` is for a variable: what it is empty or `0` for is not logged. With a word in its place all requests are logged, or \
               none. Write a variable of a `map`: `access_log PATH FORMAT if=$loggable;`.",
        about: &["access_log"],
        check: fixed_condition,
    },
];

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

fn unescaped(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("log_format") {
        return;
    }
    let Some(word) = cx.d.args.iter().skip(1).find(|word| word.is("escape=none")) else { return };
    const SENT: [&str; 6] = ["request", "uri", "document_uri", "remote_user", "args", "query_string"];
    let is_sent = |name: &String| is_of_client(name) || SENT.contains(&&**name);
    let mut names = cx.d.args.iter().skip(1).flat_map(|word| variables(&word.str()));
    if let Some(name) = names.find(is_sent) {
        let message = format!("a client can write quotes and lines into this log by ${name}");
        found.push(Finding::new(word.span, message, "leave it out, or write escape=json"));
    }
}

fn unseen_rewrites(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("rewrite_log") {
        return;
    }
    if !cx.d.says("on") {
        return;
    }
    let Some(log) = cx.levels.iter().rev().find_map(|level| level.first_of("error_log")) else { return };
    const HIGHER: [&str; 6] = ["warn", "error", "crit", "alert", "emerg", "off"];
    if let Some(level) = log.args.get(1).filter(|word| HIGHER.iter().any(|level| word.is(level))) {
        let message = format!("nothing of it is written: error_log leaves out what is below {}", level.str());
        let help = format!("write: error_log {} notice;", log.args[0].str());
        found.push(Finding::new(cx.d.span, message, help).note(log.span, "the log"));
    }
}

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

fn fixed_condition(cx: &RuleContext, found: &mut Vec<Finding>) {
    // A name without its `$` has a warning of its own.
    let is_fixed = |word: &&Word| matches!(word.bytes(), b"if=" | b"if=0" | b"if=1");
    if let Some(word) = cx.d.args.iter().skip(1).find(|word| cx.is("access_log") && is_fixed(word)) {
        let message = match word.bytes() {
            b"if=" | b"if=0" => "no request is logged: the condition is never true",
            _ => "every request is logged: the condition is always true",
        };
        found.push(Finding::new(word.span, message, "write a variable, as in if=$loggable, or leave it out"));
    }
}

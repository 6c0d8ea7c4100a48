//! Comparisons and values that cannot hold what they name: an `if` that is always or never true, a share that has no
//! value, a header and a handler given twice.

use super::applications::is_agent;
use super::assigned;
use super::blocks::{condition, is_pass, location};
use super::regexes::regexes_of;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::directives::map::hundredths;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W068",
        title: "a comparison with a value that the variable never has",
        page: "`=` compares the exact text, and some variables have a fixed form: methods are in upper case, $host and \
               $scheme in lower case, $host has no port, $args does not begin with `?`, $uri and $request_uri begin with \
               `/`, $remote_addr is a single address. Any other text is never equal, nor is a value with a `)` too many. So it \
               is with the keys of a `map`: the query is in $request_uri, not in $uri.",
        about: &["if", "map"],
        check: never_equal,
    },
    Rule {
        code: "W347",
        title: "HEAD is refused where GET is answered",
        page: "HEAD asks for the head of what GET gets: monitors, link checkers and caches use it, and a list of methods without it \
               answers them with an error. Write `^(GET|HEAD|POST)$`, or `limit_except GET POST { deny all; }`, where GET stands for \
               HEAD too.",
        about: &["if"],
        check: without_head,
    },
    Rule {
        code: "W322",
        title: "a capital letter in a regex for a host",
        page: "`$host` and the name that `server_name` is compared with are in lower case: `~` with a capital letter matches none of \
               them. Write small letters, or `~*`.",
        about: &["if", "map"],
        check: capital_host,
    },
    Rule {
        code: "W069",
        title: "a share of clients without a value",
        page: "The percentages of `split_clients` need not add up to 100: for the rest the variable is empty. End the list with \
               `* value;`.",
        about: &["split_clients"],
        check: unshared,
    },
    Rule {
        code: "W070",
        title: "a header with two values",
        page: "`add_header` adds a field and replaces none. Browsers expect one X-Frame-Options or \
               Access-Control-Allow-Origin: they ignore two different ones, or block the page. Of two \
               Content-Security-Policies both hold, so that the second allows nothing that the first does not.",
        about: &["add_header"],
        check: two_values,
    },
    Rule {
        code: "W071",
        title: "two handlers in one location",
        page: "A location has one handler. Of several (`proxy_pass`, `fastcgi_pass`, `stub_status` and the like) the last \
               takes effect and the others are ignored. Give each its own location.",
        about: &["location"],
        check: two_handlers,
    },
    Rule {
        code: "W155",
        title: "a comparison with an address that the client may choose",
        page: "Clients may send any X-Forwarded-For and X-Real-IP, so a rule that compares them lets in everyone who sends \
               the right address. Use `allow` and `deny`, or `geo` on $remote_addr (its default); behind a proxy, \
               `set_real_ip_from` makes $remote_addr the client's address.",
        about: &["if", "geo"],
        check: claimed_address,
    },
];

/// Why a variable never has this value, and the value that was meant.
fn impossible(subject: &str, text: &str) -> Option<(&'static str, String)> {
    // What is written like a regex is another rule's.
    if text.is_empty() || text.contains(['$', '^', '\\', '(']) || text.contains(".*") {
        return None;
    }
    let has_upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
    let has_lower = text.bytes().any(|byte| byte.is_ascii_lowercase());
    Some(match subject {
        "$request_method" if has_lower => ("methods are in upper case", text.to_ascii_uppercase()),
        "$scheme" if text.contains(':') => ("it is the word alone", text.split(':').next()?.to_ascii_lowercase()),
        "$scheme" | "$host" if has_upper => ("it is in lower case", text.to_ascii_lowercase()),
        "$host" if text.contains("//") => ("it has no scheme", text.split('/').nth(2)?.to_owned()),
        "$host" if text.contains(':') && !text.starts_with('[') => {
            ("it has no port", text.split(':').next()?.to_owned())
        }
        "$host" if text.contains('/') => ("it has no path", text.split('/').next()?.to_owned()),
        "$args" | "$query_string" if text.starts_with('?') => {
            ("the `?` is no part of it", text.trim_start_matches('?').to_owned())
        }
        "$uri" | "$document_uri" if text.contains('?') => {
            ("the query is no part of it", text.split('?').next()?.to_owned())
        }
        "$uri" | "$document_uri" | "$request_uri" if !text.starts_with(['/', '*']) && !text.contains("//") => {
            ("it begins with a slash", format!("/{text}"))
        }
        "$https" if text != "on" => ("it is \"on\" or empty", String::new()),
        "$ssl_client_verify" if !["SUCCESS", "NONE"].contains(&text) && !text.starts_with("FAILED") => {
            let meant = match text.to_ascii_uppercase().as_str() {
                "NONE" => "NONE",
                _ => "SUCCESS",
            };
            ("it is SUCCESS, NONE or FAILED with a reason", meant.to_owned())
        }
        "$server_port" if !text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let digits: String = text.bytes().filter(u8::is_ascii_digit).map(char::from).collect();
            let port = match text {
                "http" => "80".to_owned(),
                "https" => "443".to_owned(),
                _ => digits,
            };
            ("it is a number", port)
        }
        _ => return None,
    })
}

/// Keys of a map that its source never has.
fn dead_keys(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(source) = cx.d.args.first() else { return };
    let subject = source.str().to_ascii_lowercase();
    for (key, _) in assigned::lines(cx.d).take(COMPARED) {
        let text = key.str();
        let is_special = ["default", "hostnames", "volatile"].contains(&&*text) || text.starts_with(['~', '\\', '*']);
        // A word may be a slip of `default`.
        let is_path = matches!(&*subject, "$uri" | "$document_uri" | "$request_uri");
        let is_word = is_path && !text.contains(['.', '/', '?']);
        // Of hosts with a path another rule warns; the case of letters does not count in a map.
        if is_special || is_word || subject == "$host" && text.contains('/') {
            continue;
        }
        let is_upper = matches!(&*subject, "$request_method" | "$ssl_client_verify");
        let text = if is_upper { text.to_ascii_uppercase() } else { text.to_ascii_lowercase() };
        let Some((why, meant)) = impossible(&subject, &text) else { continue };
        let message = format!("never matches: {subject} is never \"{text}\", {why}");
        let help = match text.contains('?') && !text.starts_with('?') {
            true => format!(
                "the variable with the query is $request_uri: map $request_uri {}",
                cx.d.args[1..].iter().map(Word::str).collect::<Vec<_>>().join(" ")
            ),
            false => format!("did you mean \"{meant}\"?"),
        };
        found.push(Finding::new(key.span, message, help));
    }
}

fn without_head(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(asked) = condition(cx.d).filter(|asked| asked.subject == "$request_method") else { return };
    let (Some(false), Some(operand)) = (asked.regex(), asked.operand) else { return };
    let words: Vec<&str> = asked.text.split(|c: char| !c.is_ascii_alphabetic()).collect();
    let is_list = asked.text.chars().all(|c| c.is_ascii_alphabetic() || "^(|)$?:".contains(c));
    let refuses = cx
        .children()
        .iter()
        .any(|d| d.name.is("return") && d.args.first().is_some_and(|code| code.bytes().starts_with(b"4")));
    if is_list && refuses && words.contains(&"GET") && !words.contains(&"HEAD") {
        // An anchor holds for one of the alternatives only, unless they are in parentheses.
        let is_bare = !asked.text.contains('(') && asked.text.contains(['^', '$']);
        let names: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
        let list = if is_bare { format!("^({})$", names.join("|")) } else { asked.text.to_string() };
        let help = format!("allow it as well: {}", list.replacen("GET", "GET|HEAD", 1));
        let message = "GET is allowed, but HEAD, which requests the same without the body, is refused";
        found.push(Finding::new(operand.span, message, help));
    }
}

fn never_equal(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("map") {
        return dead_keys(cx, found);
    }
    let Some(condition) = condition(cx.d) else { return };
    let (Some(is_equal), Some(value)) = (condition.equality(), condition.operand) else { return };
    let (outcome, sign) = if is_equal { ("never", "=") } else { ("always", "!=") };
    let (subject, text) = (&*condition.subject, &*condition.text);
    if subject == "$remote_addr" && (text.contains(['/', '*', ',', '|', ' '])) {
        let message = format!("this is {outcome} true: {subject} is one address, and no network or list");
        let help = "a network is asked for by `allow` and `deny`, or by `geo` and its variable";
        return found.push(Finding::new(value.part(0, text.len()), message, help));
    }
    if text.ends_with(')') && !text.contains('(') && !value.quoted {
        let message = format!("this is {outcome} true: the value is \"{text}\", with a parenthesis");
        let help = format!("one `)` ends the condition: if ({subject} {sign} {})", text.trim_end_matches(')'));
        return found.push(Finding::new(value.part(text.len() - 1, text.len()), message, help));
    }
    if subject == "$http_user_agent" && is_agent(text) {
        let message = format!("this is {outcome} true: a User-Agent is longer than \"{text}\"");
        let regex = if outcome == "never" { "~*" } else { "!~*" };
        let help = format!("a part is found by a regex: if ({subject} {regex} {text})");
        return found.push(Finding::new(value.part(0, text.len()), message, help));
    }
    if subject == "$invalid_referer" && !matches!(text, "" | "1") {
        let message = format!("this is {outcome} true: {subject} is empty where the referer is valid, and else 1");
        return found.push(Finding::new(value.part(0, text.len()), message, "what is refused: if ($invalid_referer)"));
    }
    if let Some((why, mut meant)) = impossible(subject, text) {
        let message = format!("this is {outcome} true: {subject} is never \"{text}\", {why}");
        // `A.test:8080` has more than one fault.
        while let Some((_, better)) = impossible(subject, &meant).filter(|(_, better)| *better != meant) {
            meant = better;
        }
        let help = match meant.is_empty() {
            true => format!("did you mean if ({subject} {sign} \"\")?"),
            false => format!("did you mean if ({subject} {sign} {meant})?"),
        };
        found.push(Finding::new(value.part(0, text.len()), message, help));
    }
}

fn capital_host(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_sensitive = match condition(cx.d) {
        Some(condition) => {
            condition.subject == "$host" && condition.sign.is_some_and(|sign| sign.is("~") || sign.is("!~"))
        }
        None => cx.is("map") && cx.d.says("$host"),
    };
    for regex in regexes_of(cx.d).iter().filter(|regex| is_sensitive && !regex.word.bytes().starts_with(b"~*")) {
        let bytes = regex.text.as_bytes();
        // `\W`, `(?i)`, `[A-Z]`, `\x2D` and `\p{L}` hold no letters of a name, and another branch may match.
        let is_unsure = regex.text.contains(['[', '?', '|', '{'])
            || ["\\x", "\\p", "\\P"].iter().any(|escape| regex.text.contains(escape));
        let is_letter = |at: usize| bytes[at].is_ascii_uppercase() && (at == 0 || bytes[at - 1] != b'\\');
        if !is_unsure && (0..bytes.len()).any(is_letter) {
            let message = format!("\"{}\" matches no host: $host is in lower case", regex.text);
            let help = format!("write: {}", regex.text.to_ascii_lowercase());
            found.push(Finding::new(regex.word.span, message, help));
        }
    }
}

fn unshared(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("split_clients") || cx.children().iter().any(|line| line.name.is("*") || line.name.is("include")) {
        return;
    }
    let shares: Option<Vec<u32>> = cx.children().iter().map(|line| hundredths(line.name.bytes())).collect();
    let Some(sum) = shares.map(|shares| shares.iter().sum::<u32>()).filter(|sum| (1..9900).contains(sum)) else {
        return;
    };
    // `1% 1;` chooses a sample: for the rest a condition is to be false.
    if cx.children().iter().all(|line| line.args.first().is_some_and(|value| value.is("1") || value.is("on"))) {
        return;
    }
    let Some(name) = cx.d.args.get(1) else { return };
    let rest = f64::from(10_000 - sum) / 100.0;
    let message = format!("for {rest} % of the clients {} is empty", name.str());
    found.push(Finding::new(name.span, message, "end the list with: * value;"));
}

/// Response headers of which a browser takes one.
const SINGLE: [&str; 8] = [
    "x-frame-options",
    "x-content-type-options",
    "strict-transport-security",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-max-age",
    "content-type",
    "content-disposition",
];

fn two_values(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(name) = cx.d.args.first().filter(|_| cx.is("add_header")).map(|word| word.lower()) else { return };
    let is_policy = name == b"content-security-policy";
    if !is_policy && !SINGLE.iter().any(|single| single.as_bytes() == name) {
        return;
    }
    // A field with an empty value is not sent, and one made of a variable may have none.
    let is_sure =
        |d: &Directive| d.args.get(1).is_some_and(|value| !value.bytes().is_empty() && !value.bytes().contains(&b'$'));
    let is_other = |d: &&Directive| d.name.is("add_header") && d.args.first().is_some_and(|word| word.lower() == name);
    let before = cx.level().all.iter().take(cx.at).find(is_other);
    let Some(first) = before.filter(|first| is_sure(first) && is_sure(cx.d)) else { return };
    if is_policy {
        if let Some(rule) = already_ruled(&first.args[1].str(), &cx.d.args[1].str()) {
            let message = format!("both policies hold: \"{rule}\" here allows nothing that the first one does not");
            let help = "write one header with all its rules, separated by `;`";
            found.push(Finding::new(cx.d.args[0].span, message, help).note(first.span, "the first"));
        }
    } else {
        let message = format!("\"{}\" is sent twice: add_header does not replace the first value", cx.d.args[0].str());
        found.push(Finding::new(cx.d.args[0].span, message, "keep one of the two lines").note(first.span, "the first"));
    }
}

/// A rule of a second Content-Security-Policy about what the first one decides as well.
fn already_ruled(first: &str, second: &str) -> Option<String> {
    let names = |policy: &str| -> Vec<String> {
        let names = policy.split(';').filter_map(|rule| rule.split_ascii_whitespace().next());
        names.map(str::to_ascii_lowercase).collect()
    };
    let known = names(first);
    let has_default = known.iter().any(|name| name == "default-src");
    names(second).into_iter().find(|name| known.contains(name) || has_default && name.ends_with("-src"))
}

fn two_handlers(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_handler = |d: &&Directive| {
        let name = d.name.bytes();
        (is_pass(&d.name.str()) || matches!(name, b"stub_status" | b"empty_gif" | b"health" | b"api" | b"prometheus"))
            && !d.args.iter().any(|word| word.is("off"))
    };
    if location(cx.d).is_none() {
        return;
    }
    let mut handlers = cx.children().iter().filter(is_handler);
    let Some(mut first) = handlers.next() else { return };
    for next in handlers {
        if next.name != first.name {
            let message = format!("`{}` has no effect: `{}` below it replaces it", first.name.str(), next.name.str());
            let finding = Finding::new(first.name.span, message, "keep one, or give each a location of its own");
            found.push(finding.note(next.span, "it is here"));
        }
        first = next;
    }
}

/// Headers in which a proxy, or anyone, writes an address.
const CLAIMS: [&str; 6] = [
    "$http_x_forwarded_for",
    "$http_x_real_ip",
    "$http_client_ip",
    "$http_x_client_ip",
    "$http_true_client_ip",
    "$proxy_add_x_forwarded_for",
];

fn claimed_address(cx: &RuleContext, found: &mut Vec<Finding>) {
    const HELP: &str = "compare $remote_addr, as `allow` and `deny` do; behind a proxy add set_real_ip_from ADDRESS;";
    let Some(word) = cx.d.args.first() else { return };
    let text = word.str();
    let subject = text.trim_start_matches('(').to_ascii_lowercase();
    let is_claim = CLAIMS.contains(&&*subject);
    // `if ($http_x_forwarded_for = "")` asks whether there is one.
    let is_address =
        |value: &Word| value.bytes().contains(&b'.') && value.bytes().iter().any(|byte| byte.is_ascii_digit());
    let compares = match cx.name() {
        b"if" => condition(cx.d).and_then(|condition| condition.operand).is_some_and(is_address),
        b"geo" => cx.d.args.len() == 2 && cx.children().iter().all(|line| !line.name.is("proxy")),
        _ => false,
    };
    if is_claim && compares {
        let message = format!("{subject} is sent by the client, which may send any address");
        let from = text.len() - subject.len();
        found.push(Finding::new(word.part(from, text.len()), message, HELP));
    }
}

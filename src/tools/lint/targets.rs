//! Where redirects and proxies lead otherwise than it seems: a host taken for a path, a URL sent as a text, a slash too
//! many, an application that is told nothing of the request.

use super::blocks::{condition, variables};
use super::rule::{Finding, Rule, RuleContext};
use super::spelling::REQUEST_HEADERS;
use crate::config::ast::Word;
use crate::config::suggest::is_one_slip;
use crate::http::status::Status;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W077",
        title: "a redirect to a host that is taken for a path",
        page: "`return 301 www.example.org` leads to a page of that name beside the one that was asked for: a URL begins with \
               its scheme and two slashes, a path with one slash.",
        about: &["return"],
        check: bare_host,
    },
    Rule {
        code: "W078",
        title: "two slashes at the start of the path",
        page: "$request_uri begins with a slash: `https://example.org/$request_uri` leads to `//path`. Leave the slash \
               before the variable out.",
        about: &["return", "rewrite", "proxy_pass"],
        check: two_slashes,
    },
    Rule {
        code: "W079",
        title: "a URL sent as the text of an error",
        page: "`return` redirects with 301, 302, 303, 307 and 308. With any other status the URL is the text of the page, and \
               leads nowhere.",
        about: &["return"],
        check: url_as_text,
    },
    Rule {
        code: "W080",
        title: "a header that applications do not read",
        page: "Applications look for a few headers from their proxy: X-Real-IP, X-Forwarded-For, X-Forwarded-Proto and others. A \
               name that is nearly one of them is read by none. With `_` in place of `-` most servers drop a header, since \
               both are the same in CGI (nginx: underscores_in_headers).",
        about: &["proxy_set_header"],
        check: unread_header,
    },
    Rule {
        code: "W081",
        title: "an application that gets no parameters of the request",
        page: "FastCGI, SCGI and uwsgi pass what `fastcgi_param` and its like name, and nothing else: without any the \
               application knows neither the method nor the path. Add `include fastcgi_params;` (scgi_params, uwsgi_params).",
        about: &["fastcgi_pass", "scgi_pass", "uwsgi_pass"],
        check: no_parameters,
    },
];

/// Whether a `return` with this code is a redirect to its second argument.
pub fn is_redirect(code: &Word) -> bool {
    code.str().parse().is_ok_and(|code| Status(code).is_redirect())
}

/// The URL that a `return` or `rewrite` leads to.
pub fn leads_to<'a>(cx: &RuleContext<'_, 'a>) -> Option<&'a Word> {
    match (cx.name(), &cx.d.args[..]) {
        (b"return", [code, url]) => is_redirect(code).then_some(url),
        (b"return", [url]) | (b"rewrite", [_, url, ..]) => Some(url),
        _ => None,
    }
}

/// The variable of a host with which a redirect begins, where its scheme belongs: `$host/path`, or one that is set to
/// a group of `if ($host ~ …)`.
pub fn begins_with_host(cx: &RuleContext, text: &str) -> Option<String> {
    const HOSTS: [&str; 4] = ["host", "http_host", "server_name", "hostname"];
    let name = variables(text.strip_prefix('$').map(|_| text)?).into_iter().next()?;
    let is_group = |word: &&Word| word.len() == 2 && word.bytes().starts_with(b"$") && word.bytes()[1].is_ascii_digit();
    let of_host = || {
        let block = cx.blocks.last().and_then(|block| condition(block))?;
        let is_host = block.subject.strip_prefix('$').is_some_and(|subject| HOSTS.contains(&subject));
        (is_host && block.regex() == Some(true)).then_some(())
    };
    let is_set = |value: &&Word| {
        let text = value.str();
        text.strip_prefix('$').is_some_and(|name| HOSTS.contains(&name)) || is_group(value) && of_host().is_some()
    };
    (HOSTS.contains(&&*name) || cx.values(&name).iter().any(is_set)).then_some(name)
}

fn bare_host(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [code, target] = &cx.d.args[..] else { return };
    let text = target.str();
    if !cx.is("return") || !is_redirect(code) || text.is_empty() {
        return;
    }
    if let Some(name) = begins_with_host(cx, &text) {
        let message = format!("the host in ${name} is taken for a path beside the one that was asked for");
        return found.push(Finding::new(target.span, message, format!("write the scheme as well: $scheme://{text}")));
    }
    // `https:/host`, `http//host`, `https:host`.
    let scheme = ["https", "http"].iter().find_map(|scheme| Some((scheme, text.strip_prefix(*scheme)?)));
    if let Some((scheme, rest)) = scheme.filter(|(_, rest)| rest.starts_with([':', '/']) && !rest.starts_with("://")) {
        let message = format!("\"{text}\" is taken for a path: `://` stands between the scheme and the host");
        let help = format!("write {scheme}://{}", rest.trim_start_matches([':', '/']));
        return found.push(Finding::new(target.span, message, help));
    }
    let first = text.split('/').next().unwrap_or_default();
    let is_host = first.contains('.') && !first.contains(['$', '?', '#', ':']) && !first.starts_with('.');
    let is_name = first.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    // `index.html` is a file beside what was asked for.
    let is_file = first.rsplit('.').next().is_some_and(|end| {
        matches!(end, "html" | "htm" | "php" | "txt" | "pdf" | "jpg" | "png" | "gif" | "svg" | "ico" | "xml" | "json")
    });
    if is_host && is_name && !is_file {
        let message = format!("\"{text}\" is taken for a path beside the one that was asked for");
        found.push(Finding::new(target.span, message, format!("write the scheme as well: https://{text}")));
    }
}

fn two_slashes(cx: &RuleContext, found: &mut Vec<Finding>) {
    // Of the decoded path another rule warns.
    const NAME: &str = "$request_uri";
    let at = match cx.name() {
        b"rewrite" => 1,
        b"return" => cx.d.args.len().saturating_sub(1),
        b"proxy_pass" => 0,
        _ => return,
    };
    let Some(word) = cx.d.args.get(at) else { return };
    let text = word.str();
    let Some(start) = text.find("://").map(|at| at + 3) else { return };
    let Some(slash) = text.get(start..).and_then(|rest| rest.find('/')).map(|at| start + at) else { return };
    let rest = text.get(slash + 1..).unwrap_or_default();
    let goes_on = |after: &str| after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if rest.strip_prefix(NAME).is_some_and(|after| !goes_on(after)) {
        let message = format!("this leads to `//…`: {NAME} begins with a slash itself");
        let host = text.get(..slash).unwrap_or_default();
        found.push(Finding::new(word.part(slash, slash + 1), message, format!("leave it out: {host}{rest}")));
    }
}

fn url_as_text(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [code, target] = &cx.d.args[..] else { return };
    let text = target.str();
    let is_url = ["http://", "https://", "$scheme://"].iter().any(|start| text.starts_with(start));
    let is_error = code.len() == 3 && code.bytes().first().is_some_and(|digit| (b'4'..=b'5').contains(digit));
    let is_other = code.is("300") || code.is("304") || code.is("305") || code.is("306");
    if cx.is("return") && is_url && !text.contains(' ') && (is_error || is_other) {
        let message = format!("with {} the URL is the text of the page: it leads nowhere", code.str());
        found.push(Finding::new(code.span, message, format!("a redirect has another status: return 302 {text};")));
    }
}

fn unread_header(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value] = &cx.d.args[..] else { return };
    let text = name.str();
    if !cx.is("proxy_set_header") || value.is_empty() || text.len() < 6 {
        return;
    }
    let lower = text.to_ascii_lowercase();
    let plain = lower.replace('-', "_");
    let spelled = |known: &str| {
        let parts = known.split('_').map(|part| match part {
            "ip" => "IP".to_owned(),
            part => part.get(..1).unwrap_or_default().to_ascii_uppercase() + part.get(1..).unwrap_or_default(),
        });
        parts.collect::<Vec<_>>().join("-")
    };
    if REQUEST_HEADERS.contains(&&*plain) || KNOWN_HEADERS.contains(&&*plain) {
        if lower.contains('_') {
            let message = format!("most servers drop the header \"{text}\": it has a `_` in its name");
            found.push(Finding::new(name.span, message, format!("did you mean \"{}\"?", spelled(&plain))));
        }
        return;
    }
    let mut known = REQUEST_HEADERS.iter().chain(&KNOWN_HEADERS).copied();
    if let Some(near) = known.find(|known| is_one_slip(known, &plain)) {
        let message = format!("no application looks for the header \"{text}\"");
        found.push(Finding::new(name.span, message, format!("did you mean \"{}\"?", spelled(near))));
    }
}

/// Headers that proxies add, beside those that clients send.
const KNOWN_HEADERS: [&str; 8] = [
    "x_client_ip",
    "x_forwarded_port",
    "x_forwarded_prefix",
    "x_forwarded_server",
    "x_forwarded_user",
    "x_original_uri",
    "x_original_url",
    "x_scheme",
];

fn no_parameters(cx: &RuleContext, found: &mut Vec<Finding>) {
    let name = cx.d.name.str();
    let Some(module) = name.strip_suffix("_pass").filter(|module| matches!(*module, "fastcgi" | "scgi" | "uwsgi"))
    else {
        return;
    };
    let param = format!("{module}_param");
    // An `include` whose file is known has been replaced by its lines.
    let is_given = cx.levels.iter().any(|level| level.has(&param) || level.has("include"));
    if cx.is_whole && !is_given && cx.blocks.iter().any(|block| block.name.is("http")) {
        let message = format!("the application is told nothing of the request: there is no {param}");
        found.push(Finding::new(cx.d.span, message, format!("add: include {module}_params;")));
    }
}

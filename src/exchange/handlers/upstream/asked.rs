//! What a server of the upstream would be asked, and which fields of its response would be left out or rewritten, for
//! `webserv diff`: nothing is sent.

use super::rewrite;
use super::settings::settings;
use super::state::UpstreamRequest;
use crate::config::settings::proxy::{From, Redirect, Rewrite};
use crate::config::template::{Part, Template};
use crate::exchange::{Exchange, variables};
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::services::Services;
use std::collections::BTreeSet;

/// The header fields or parameters of the request, `NAME: VALUE` each; none for a program, which has them in its
/// environment, and where the request cannot be made.
pub fn fields(request: &mut UpstreamRequest, ex: &mut Exchange, cx: &mut Services) -> Vec<Vec<u8>> {
    let protocol = request.protocol;
    request.protocol = protocol.plainest();
    let target = request.target.clone();
    request.out.clear();
    let composed = request.compose(ex, cx, &target);
    let fields = composed.map_or(Vec::new(), |()| request.protocol.written_fields(&request.out));
    request.protocol = protocol;
    fields
}

/// The names of response fields that the settings hide, and of those that they pass although the protocol hides them;
/// in whatever order they are written, and however often.
pub fn hidden_and_passed(request: &UpstreamRequest, ex: &Exchange) -> [BTreeSet<Vec<u8>>; 2] {
    let settings = settings(ex);
    let lower = |name: &[u8]| name.to_ascii_lowercase();
    let mut hidden: BTreeSet<Vec<u8>> = settings.hide_headers.iter().map(|name| lower(name)).collect();
    let mut passed: BTreeSet<Vec<u8>> = settings.pass_headers.iter().map(|name| lower(name)).collect();
    hidden.retain(|name| !passed.contains(name));
    passed.retain(|name| request.protocol.hides(HeaderId::of(name)));
    [hidden, passed]
}

/// The rules of proxy_redirect, and those of proxy_cookie_domain, proxy_cookie_path and proxy_cookie_flags, in their
/// order, with the values that their variables have for this request.
pub fn rewritten(ex: &mut Exchange, cx: &mut Services) -> [Vec<Vec<u8>>; 2] {
    let settings = settings(ex).clone();
    let mut redirects = Vec::new();
    for rule in settings.redirects.iter() {
        match rule {
            Redirect::Rule(rule) => redirects.push(shown(rule, ex, cx)),
            Redirect::Default => redirects.extend(ex.location().pass.as_deref().and_then(|pass| {
                let (from, to) = rewrite::default_rule(pass)?;
                Some([&from.concat(), &b" "[..], to].concat())
            })),
        }
    }
    let mut cookies = Vec::new();
    for (what, rules) in [(&b"domain "[..], &settings.cookie_domains), (b"path ", &settings.cookie_paths)] {
        for rule in rules.iter() {
            cookies.push([what, &shown(rule, ex, cx)].concat());
        }
    }
    for rule in settings.cookie_flags.iter() {
        let mut line = [b"flags ", &source(&rule.cookie, ex, cx)[..]].concat();
        for flag in &rule.flags {
            line.extend([b" ", &value(flag, ex, cx)[..]].concat());
        }
        cookies.push(line);
    }
    [redirects, cookies]
}

/// What is sent in place of the client's body; None: the body.
pub fn body(ex: &mut Exchange, cx: &mut Services) -> Option<Vec<u8>> {
    let settings = settings(ex).clone();
    let may_have_one = matches!(ex.request.head.method, Method::Post | Method::Put | Method::Patch);
    match &settings.body {
        Some(template) => Some(variables::text(template, ex, cx)),
        None => (!settings.pass_request_body && may_have_one).then(|| b"none".to_vec()),
    }
}

fn shown(rule: &Rewrite, ex: &mut Exchange, cx: &mut Services) -> Vec<u8> {
    [&source(&rule.from, ex, cx)[..], b" ", &value(&rule.to, ex, cx)].concat()
}

fn source(from: &From, ex: &mut Exchange, cx: &mut Services) -> Vec<u8> {
    match from {
        From::Text(template) => value(template, ex, cx),
        From::Regex(pattern) => {
            let sign = if pattern.ignores_case() { "~*" } else { "~" };
            [sign.as_bytes(), pattern.source().as_bytes()].concat()
        }
    }
}

/// The value of a template; captures, which the rule's own regex makes, as they are written.
fn value(template: &Template, ex: &mut Exchange, cx: &mut Services) -> Vec<u8> {
    let mut out = Vec::new();
    for part in &template.parts {
        match part {
            Part::Literal(text) => out.extend_from_slice(text),
            Part::Capture(group) => out.extend_from_slice(format!("${group}").as_bytes()),
            Part::Var(_) => {
                let alone = Template { parts: [part.clone()].into() };
                out.extend(variables::text(&alone, ex, cx));
            }
        }
    }
    out
}

//! Redirects of a whole site that forget which page was asked for.

use super::blocks::{authority, is_tls, location};
use super::level::Level;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use super::targets::is_redirect;
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[Rule {
    code: "W389",
    title: "a redirect that forgets the page",
    page: "`return 301 https://a.test;` leads every page of the site to the first one: links and search results of all others end \
           there. `return 301 https://a.test$request_uri;` keeps the path and the arguments.",
    about: &["return"],
    check: forgotten_path,
}];

fn forgotten_path(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [code, url] = &cx.d.args[..] else { return };
    let is_whole = cx.is_in("server")
        || cx
            .blocks
            .last()
            .and_then(|block| location(block))
            .is_some_and(|(sign, name)| sign.is_empty() && name.is("/"));
    if !cx.is("return") || !is_whole || !is_redirect(code) || url.bytes().len() > 300 {
        return;
    }
    let text = url.str();
    let host = authority(&text);
    let ends = text.contains("://") && text.trim_end_matches('/').ends_with(host) && !host.is_empty();
    let bare = |name: &str| name.trim_start_matches("www.").to_ascii_lowercase();
    // To another site all pages may be meant to lead to the first one.
    let is_own = |server: &Level| {
        let mut names = server.named("server_name").iter().flat_map(|d| d.args.iter().take(COMPARED));
        matches!(host, "$host" | "$server_name" | "www.$host")
            || names.any(|name: &Word| bare(&name.str()) == bare(host))
    };
    let is_kept = |server: &&Level| !leads_to_itself(server, &text) && (cx.is_in("server") || is_alone(server));
    if ends && cx.inside("server").filter(is_kept).is_some_and(is_own) {
        let message = "every page leads to the first one: the path is forgotten";
        let help = format!("write: return {} {}$request_uri;", code.str(), text.trim_end_matches('/'));
        found.push(Finding::new(url.span, message, help));
    }
}

/// Whether a URL leads to the server itself: with the path behind it, it would for ever.
fn leads_to_itself(server: &Level, url: &str) -> bool {
    let (scheme, host) = (url.split("://").next().unwrap_or_default(), authority(url));
    let listens = server.named("listen");
    let is_secure = |d: &&Directive| is_tls(d) || server.has("ssl");
    let speaks = match scheme {
        "http" => listens.is_empty() || !listens.iter().all(is_secure),
        "https" => listens.iter().any(is_secure),
        _ => true,
    };
    let mut names = server.named("server_name").iter().flat_map(|d| d.args.iter().take(COMPARED));
    let is_own = matches!(host, "$host" | "$server_name")
        || names.any(|name| name.bytes().eq_ignore_ascii_case(host.as_bytes()));
    speaks && is_own
}

/// Whether a server has no pages of its own beside `location /`: it has no other locations, but for certificates.
fn is_alone(server: &Level) -> bool {
    let is_beside = |d: &Directive| {
        location(d)
            .is_some_and(|(_, name)| !name.is("/") && memchr::memmem::find(name.bytes(), b"well-known").is_none())
    };
    let is_first_page = |d: &Directive| location(d).is_some_and(|(sign, name)| sign == b"=" && name.is("/"));
    !server.named("location").iter().any(|d| is_beside(d) || is_first_page(d))
}

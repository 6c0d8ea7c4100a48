//! Redirects of a whole site that forget which page was asked for.

use super::blocks::{authority, location};
use super::rule::{Finding, Rule, RuleContext};
use super::targets::is_redirect;
use crate::config::ast::Word;

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
    let is_own = |server: &super::level::Level| {
        let mut names = server.named("server_name").iter().flat_map(|d| d.args.iter().take(super::rule::COMPARED));
        matches!(host, "$host" | "$server_name" | "www.$host")
            || names.any(|name: &Word| bare(&name.str()) == bare(host))
    };
    if ends && cx.inside("server").is_some_and(is_own) {
        let message = "every page leads to the first one: the path is forgotten";
        let help = format!("write: return {} {}$request_uri;", code.str(), text.trim_end_matches('/'));
        found.push(Finding::new(url.span, message, help));
    }
}

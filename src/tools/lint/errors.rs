//! Error pages that do not come: looked for in the wrong place, or asked of the server that has failed.

use super::blocks::{Pass, location, passes};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W317",
        title: "an error page by its path in the file system",
        page: "What `error_page` names is a URI, which is looked for below the root like any other: with `root /var/www/html`, \
               `/var/www/html/502.html` leads to /var/www/html/var/www/html/502.html. Write the part below the root: \
               `error_page 502 /502.html;`.",
        about: &["error_page"],
        check: path_of_file,
    },
    Rule {
        code: "W318",
        title: "an error page that the failed server is asked for",
        page: "502, 503 and 504 say that the application does not answer, and `location / { proxy_pass … }` asks it for the page as \
               well. Give the page a location of its own: `location = /502.html { root /srv/errors; internal; }`.",
        about: &["error_page"],
        check: asked_of_the_failed,
    },
];

/// The page of an `error_page`, if it is a path without variables.
fn page<'a>(cx: &RuleContext<'_, 'a>) -> Option<(&'a Word, &'a [Word])> {
    let (page, codes) = cx.d.args.split_last().filter(|_| cx.is("error_page"))?;
    (page.bytes().starts_with(b"/") && !page.bytes().contains(&b'$')).then_some((page, codes))
}

fn path_of_file(cx: &RuleContext, found: &mut Vec<Finding>) {
    const TOPS: [&str; 3] = ["/var/", "/usr/", "/etc/"];
    // Sites have sections of these names.
    const NAMES: [&str; 3] = ["/srv/", "/home/", "/opt/"];
    let Some((page, codes)) = page(cx) else { return };
    let text = page.str();
    let root = cx.levels().find_map(|level| level.first_of("root")?.args.first());
    let below = root.and_then(|root| text.strip_prefix(root.str().trim_end_matches('/'))?.strip_prefix('/'));
    let is_below = below.is_some() && root.is_some_and(|root| root.len() > 1);
    // A location for it makes it a URI.
    let taker = cx.inside("server").and_then(|server| server.taker(page.bytes()));
    let is_named = taker.is_some_and(|d| location(d).is_some_and(|(_, name)| name.len() > 1));
    let is_deep = text.matches('/').count() > 2;
    let is_path =
        TOPS.iter().any(|top| text.starts_with(top)) || is_deep && NAMES.iter().any(|name| text.starts_with(name));
    // Below the root `/` the two are one.
    let is_at_top = root.is_some_and(|root| root.is("/"));
    if !is_named && !is_at_top && (is_below || cx.inside("server").is_some() && is_path) {
        let message = format!("\"{text}\" is a URI here: it is looked for below the root");
        let file = below.or_else(|| text.rsplit('/').next()).unwrap_or_default();
        let codes: Vec<_> = codes.iter().map(Word::str).collect();
        let help = format!("write the path below the root: error_page {} /{file};", codes.join(" "));
        found.push(Finding::new(page.span, message, help));
    }
}

fn asked_of_the_failed(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((page, codes)) = page(cx) else { return };
    let Some(server) = cx.inside("server") else { return };
    let is_failure = |code: &Word| ["502", "503", "504"].iter().any(|known| code.is(known));
    if !codes.iter().any(is_failure) || cx.levels.iter().any(|level| level.has("include")) {
        return;
    }
    let Some(taker) = server.taker(page.bytes()) else { return };
    let inside = || taker.block.iter().flatten();
    let passed = inside().find(|d: &&Directive| passes(&[Pass::Http]).any(|pass| d.name.is(pass)));
    // Another line may answer before it.
    let answers = ["try_files", "if", "return", "rewrite", "location", "error_page"];
    let is_first = !inside().any(|d| answers.iter().any(|name| d.name.is(name)));
    let is_everything = location(taker).is_some_and(|(_, name)| name.is("/"));
    // In a location that asks another server the page does come.
    let own = cx.levels().filter(|_| cx.location().is_some()).find_map(|level| level.first_of("proxy_pass"));
    let is_same = |pass: &&Directive| {
        own.is_none_or(|own| own.args.first().map(Word::bytes) == pass.args.first().map(Word::bytes))
    };
    if let Some(pass) = passed.filter(|pass| is_first && is_everything && is_same(pass)) {
        let message = format!("\"{}\" is asked of the server that has failed: the built-in page is sent", page.str());
        let help = format!("give it a location of its own: location = {} {{ root DIRECTORY; internal; }}", page.str());
        found.push(Finding::new(page.span, message, help).note(pass.span, "it is asked here"));
    }
}

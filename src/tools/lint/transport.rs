//! Listeners that are less secure than they seem, and errors sent as success.

use super::blocks::is_tls;
use super::level::Level;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W135",
        title: "broken ciphers",
        page: "RC4, DES, EXPORT and MD5 suites are broken, NULL ones encrypt nothing, and those without authentication (aNULL, \
               ADH) let anyone in between. They are never spoken here, and other servers that read this file would. Write \
               `ssl_ciphers HIGH:!aNULL:!MD5;`.",
        about: &["ssl_ciphers"],
        check: weak_ciphers,
    },
    Rule {
        code: "W136",
        title: "Strict-Transport-Security over plain HTTP",
        page: "Browsers ignore Strict-Transport-Security in a response that came without TLS (RFC 6797): a server that listens \
               without `ssl` alone protects no one by it. Add the header to the server of port 443, and redirect to that one \
               here.",
        about: &["add_header"],
        check: plain_transport,
    },
    Rule {
        code: "W137",
        title: "an error page with the status 200",
        page: "`error_page 404 =200 /404.html` says 200 to search engines, monitors and caches for every path that does not \
               exist; so does `=` alone before the name of a file. Without it the page is sent with the status of the error.",
        about: &["error_page"],
        check: soft_error,
    },
];

fn weak_ciphers(cx: &RuleContext, found: &mut Vec<Finding>) {
    const WEAK: [&str; 12] =
        ["RC4", "DES", "NULL", "eNULL", "aNULL", "EXPORT", "EXP", "EXPORT40", "EXPORT56", "MD5", "ADH", "LOW"];
    let Some(word) = cx.d.args.first().filter(|_| cx.is("ssl_ciphers")) else { return };
    let text = word.str();
    let items = || text.split([':', ',', ' ']).filter(|item| !item.is_empty());
    let removed: Vec<&str> = items().filter_map(|item| item.strip_prefix(['!', '-'])).collect();
    let is_weak = |item: &&str| {
        // DES-CBC3 is triple DES.
        let item = item.replace("DES-CBC3", "");
        item.split(['+', '-']).any(|part| WEAK.contains(&part) && !removed.contains(&part))
    };
    let weak = items().filter(|item| !item.starts_with(['!', '-', '+', '@'])).find(is_weak);
    if let Some(weak) = weak {
        let message = format!("\"{weak}\" lets clients choose a suite that is broken");
        found.push(Finding::new(word.span, message, "write: ssl_ciphers HIGH:!aNULL:!MD5;"));
    }
}

fn plain_transport(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    let is_meant = cx.is("add_header") && name.bytes().eq_ignore_ascii_case(b"strict-transport-security");
    // A variable may be empty without TLS.
    if !is_meant || value.bytes().contains(&b'$') {
        return;
    }
    let Some(around) = cx.blocks.iter().rposition(|block| block.name.is("server")) else { return };
    let (Some(server), Some(http)) = (cx.levels.get(around + 1), cx.levels.get(around)) else { return };
    // Behind a TLS proxy the header is correct: warn only if TLS is terminated here, or redirected to.
    let speaks_tls = |level: &Level| *level.speaks_tls.get_or_init(|| speaks_tls(level.all));
    let leads = |d: &Directive| d.args.iter().any(|word| word.bytes().starts_with(b"https://"));
    let redirects = || server.first_of("return").is_some_and(leads);
    if server.has("listen") && !speaks_tls(server) && cx.ssl().is_none() && (redirects() || speaks_tls(http)) {
        let message = "browsers ignore this header: the server speaks plain HTTP only";
        let help = "add it to the server with `listen 443 ssl`, and redirect to that one here";
        found.push(Finding::new(cx.d.span, message, help));
    }
}

/// Whether a `listen` at this level, or in a server at this level, has TLS.
fn speaks_tls(level: &[Directive]) -> bool {
    level.iter().any(|d| match d.name.bytes() {
        b"listen" => is_tls(d),
        b"server" => d.block.as_deref().is_some_and(speaks_tls),
        _ => false,
    })
}

fn soft_error(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [codes @ .., answer, page] = &cx.d.args[..] else { return };
    if !cx.is("error_page") || codes.is_empty() {
        return;
    }
    let text = page.str();
    let file = text.rsplit('/').next().unwrap_or_default();
    // A bare `=` takes the status of the page itself: 200 for an existing file.
    let is_file = file.ends_with(".html") || file.ends_with(".htm") || file.ends_with(".txt");
    let takes_over = || {
        let taker = cx.inside("server").and_then(|server| server.taker(page.bytes()));
        let answers =
            |d: &Directive| super::blocks::is_pass(&d.name.str()) || d.name.is("return") || d.name.is("include");
        answer.is("=") && is_file && !taker.is_some_and(|d| d.block.iter().flatten().any(answers))
    };
    if !answer.is("=200") && !takes_over() {
        return;
    }
    // A single-page application, or an empty image, is intentional.
    let is_error = ["404", "40x", "50x", "500", "error", "not", "maintenance"].iter().any(|part| file.contains(part));
    if is_error && !file.starts_with('@') {
        let status = codes.iter().map(Word::str).collect::<Vec<_>>().join(" ");
        let message = "the page of an error is sent as a success";
        found.push(Finding::new(
            answer.span,
            message,
            format!("leave {} out: error_page {status} {text};", answer.str()),
        ));
    }
}

//! What paths can match: regexes that match a single path, or none within their location; error pages that fail with
//! the same error.

use super::blocks::location;
use super::rule::{Finding, Rule, RuleContext};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W057",
        title: "a regex that matches a single path",
        page: "`location ~ ^/login$` is tried in the order of the regexes, behind all that stand above it, where \
               `location = /login` is found at once and before all others.",
        about: &["location"],
        check: one_path,
    },
    Rule {
        code: "W058",
        title: "a regex that no path of its location matches",
        page: "What is inside `location /a/` is asked only for paths that begin with /a/: a regex location or a `rewrite` there \
               that begins with `^/b/` matches none of them. The whole path is compared, not what follows the location.",
        about: &["location", "rewrite"],
        check: not_of_its_location,
    },
    Rule {
        code: "W059",
        title: "an error page that fails in the same way",
        page: "`error_page 404 /404.html` looks for its page as for any other path. Where the location that answers it returns \
               404 itself, or `deny all` keeps clients from it, the built-in page is sent. Write a location of its own: \
               `location = /404.html { internal; allow all; }`.",
        about: &["error_page"],
        check: failing_page,
    },
];

fn one_path(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((b"~", word)) = location(cx.d) else { return };
    let text = word.str();
    let Some(inner) = text.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) else { return };
    let Some(path) = Some(inner).filter(|path| path.starts_with('/') && is_text(path)) else { return };
    let message = "a regex for one path: those above it are tried first";
    found.push(Finding::new(cx.d.args_span(), message, format!("write it as such: location = {path} {{ … }}")));
}

/// Whether a regex is plain text. With a `\.`, the author was aware of regex syntax.
fn is_text(regex: &str) -> bool {
    !regex.contains(['\\', '.', '*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '^', '$'])
}

/// The literal prefix of all paths that a regex matches: `/a/b` for `^/a/b[0-9]`.
pub fn literal_start(regex: &str) -> Option<&str> {
    let rest = regex.strip_prefix('^')?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_'))).unwrap_or(rest.len());
    // A following quantifier may make the last character optional.
    let end = match rest.get(end..)?.chars().next() {
        Some('*' | '?' | '+' | '{' | '|') => end.saturating_sub(1),
        _ => end,
    };
    rest.get(..end).filter(|start| start.len() > 1 && !regex.contains('|'))
}

fn not_of_its_location(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((sign, prefix)) = cx.blocks.last().and_then(|block| location(block)) else { return };
    if !prefix.bytes().starts_with(b"/") || sign.starts_with(b"~") {
        return;
    }
    let word = match (cx.name(), &cx.d.args[..]) {
        (b"location", [sign, word]) if sign.is("~") => word,
        // An earlier rewrite changes the path.
        (b"rewrite", [word, ..]) if cx.is_first("rewrite") => word,
        _ => return,
    };
    let (prefix, regex) = (prefix.str(), word.str());
    // A regex without the first slash is reported by another rule.
    let Some(start) = literal_start(&regex).filter(|start| start.starts_with('/')) else { return };
    if !prefix.starts_with(start) && (sign == b"=" || !start.starts_with(&*prefix)) {
        let message = format!("never matches: the paths here begin with \"{prefix}\", not with \"{start}\"");
        let help = "compare the whole path, or move it out of this location";
        found.push(
            Finding::new(word.span, message, help).note(cx.blocks[cx.blocks.len() - 1].args_span(), "the location"),
        );
    }
}

fn failing_page(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((page, codes)) = cx.d.args.split_last().filter(|_| cx.is("error_page")) else { return };
    let Some(server) = cx.inside("server").filter(|_| page.bytes().starts_with(b"/")) else { return };
    // With another status, or recursive error handling, it does not fail.
    if codes.iter().any(|code| code.bytes().starts_with(b"="))
        || cx.levels.iter().any(|l| l.has("recursive_error_pages"))
    {
        return;
    }
    let path = page.bytes().split(|byte| *byte == b'?').next().unwrap_or_default();
    let Some(taker) = server.taker(path).filter(|_| !path.contains(&b'$')) else { return };
    let inside = server.inside(taker);
    if inside.has("include") || inside.has("satisfy") {
        return;
    }
    let returned = inside.first_of("return").and_then(|d| d.args.first());
    let refused = || {
        let (deny, allow) = (inside.first("deny")?, inside.first("allow"));
        inside.all.get(deny).filter(|d| allow.is_none_or(|allow| deny < allow) && d.says("all"))
    };
    let failing = codes.iter().find_map(|code| match returned {
        Some(returned) => (returned.bytes() == code.bytes()).then_some(returned.span),
        None => refused().filter(|_| code.is("403")).map(|d| d.span),
    });
    if let Some(span) = failing {
        let message = format!("\"{}\" ends in the same error: the built-in page is sent", page.str());
        let help = format!("give it a location that answers: location = {} {{ internal; allow all; }}", page.str());
        found.push(Finding::new(page.span, message, help).note(span, "answered here"));
    }
}

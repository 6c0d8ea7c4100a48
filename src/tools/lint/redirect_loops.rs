//! Redirect loops between locations, by `try_files` alone or together with `rewrite`.

use super::blocks::location;
use super::level::Level;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[Rule {
    code: "W063",
    title: "try_files leads back to where it came from",
    page: "The last argument of `try_files` is where a request goes on for which no file is there. Where that location leads it \
           back, by a `try_files` or a `rewrite … last` of its own, the request ends in 500 after ten rounds. Let one of \
           them answer: `=404`, or a location that passes the request on.",
    about: &["try_files"],
    check: back_again,
}];

/// Maximum number of locations followed.
const ROUNDS: usize = 10;

/// Where a request continues, and because of which word.
struct Step<'a> {
    to: &'a Directive,
    word: &'a Word,
    /// Whether a file for the request is tried first: after a rewrite it may exist.
    tries_uri: bool,
    is_rewrite: bool,
}

fn fallback<'a>(server: &Level<'a>, line: &'a Directive) -> Option<Step<'a>> {
    let (word, tried) = line.args.split_last()?;
    let text = word.bytes();
    let to = match text.first()? {
        b'@' => server.all.get(server.location(b"", text)?)?,
        b'/' if !text.contains(&b'$') => {
            let path = text.split(|byte| *byte == b'?').next().unwrap_or_default();
            server.taker(path)?
        }
        _ => return None,
    };
    let tries_uri = tried.iter().any(|word| memchr::memmem::find(word.bytes(), b"$uri").is_some());
    Some(Step { to, word, tries_uri, is_rewrite: false })
}

/// The step of a location that applies to every request, or whenever no file is found.
fn step<'a>(server: &Level<'a>, from: &'a Directive) -> Option<Step<'a>> {
    let decides = ["if", "return", "break", "proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "cgi_pass"];
    let inside = server.inside(from);
    if decides.iter().any(|name| inside.has(name)) {
        return None;
    }
    if let Some(line) = inside.first_of("rewrite") {
        let [regex, target, flag] = &line.args[..] else { return None };
        let is_every = ["^", ".*", "^.*", "^.*$", "^(.*)$", "^/"].iter().any(|every| regex.is(every));
        let is_path = target.bytes().starts_with(b"/") && !target.bytes().contains(&b'$') && flag.is("last");
        let path = target.bytes().split(|byte| *byte == b'?').next().unwrap_or_default();
        let to = server.taker(path).filter(|_| is_every && is_path)?;
        return Some(Step { to, word: target, tries_uri: false, is_rewrite: true });
    }
    fallback(server, inside.first_of("try_files")?)
}

fn back_again(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(block), Some(server)) = (cx.blocks.last().filter(|_| cx.is("try_files")), cx.inside("server")) else {
        return;
    };
    let Some((_, name)) = location(block) else { return };
    let Some(first) = fallback(server, cx.d).filter(|_| step(server, block).is_some_and(|step| !step.is_rewrite))
    else {
        return;
    };
    let (mut is_rewritten, mut tries_uri) = (false, first.tries_uri);
    let (mut at, mut last) = (first.to, None);
    for _ in 0..ROUNDS {
        if at.span == block.span {
            // The fallback path is itself looked up as a file: this is how most sites name their main page.
            let is_meant = tries_uri && !is_rewritten && !name.bytes().starts_with(b"@");
            // Report each loop once, at its last line.
            let is_last = last.is_none_or(|back: &Word| back.span.start < cx.d.span.start);
            if !is_meant && is_last {
                let message =
                    format!("\"{}\" leads back to this location, until the request ends in 500", first.word.str());
                let help = "end with a status, as in =404, or with a location that answers";
                let finding = Finding::new(first.word.span, message, help);
                found.push(match last {
                    Some(back) => finding.note(back.span, "it is led back here"),
                    None => finding,
                });
            }
            return;
        }
        let Some(next) = step(server, at) else { return };
        is_rewritten |= next.is_rewrite;
        tries_uri |= next.tries_uri;
        (at, last) = (next.to, Some(next.word));
    }
}

//! Runs the rewrite directives of a level: set, rewrite, if, return, break (nginx's ngx_http_rewrite_module).

use super::lists::{self, Does};
use crate::config::ast::Span;
use crate::config::model::{Level, SetTarget};
use crate::config::pattern::{Matched, Pattern};
use crate::config::script::{Condition, Op, PathTest, Rewrite, RewriteFlag, Script};
use crate::config::template::{Part, Template};
use crate::exchange::flow::Flow;
use crate::exchange::handlers::symlinks;
use crate::exchange::media_types;
use crate::exchange::response::Decided;
use crate::exchange::{Exchange, Printable, variables};
use crate::http::escape::{escape_args, hex_pair};
use crate::http::status::Status;
use crate::http::uri;
use crate::route::Trace;
use crate::services::Services;
use crate::sys::file::FileKind;
use crate::util::text::Text;
use std::ops::Range;

/// What the script came to: `Flow::Next` when it ran through.
pub fn run(ex: &mut Exchange, cx: &mut Services, script: &Script) -> Flow {
    // What it sets and rewrites holds for this request.
    ex.basis.varies();
    let mut run = Run { quote: true, value: Vec::new() };
    match steps(ex, cx, script, &mut run) {
        ScriptStep::Settled(flow) => flow,
        ScriptStep::On | ScriptStep::Stop => Flow::Next,
    }
}

struct Run {
    /// nginx escapes captures in `set` until a rewrite has matched.
    quote: bool,
    /// The value that is being worked with.
    value: Vec<u8>,
}

enum ScriptStep {
    On,
    /// `break`, or a rewrite with a flag: the rest of this level's script is skipped.
    Stop,
    Settled(Flow),
}

fn steps(ex: &mut Exchange, cx: &mut Services, script: &Script, run: &mut Run) -> ScriptStep {
    let (mut next, mut passes) = (0, lists::Passes::default());
    loop {
        let skipped = lists::skip(ex, cx, script, next, &mut passes);
        next += skipped.ops;
        if ex.route.evaluation_failed {
            return ScriptStep::Settled(Flow::Status(Status::INTERNAL_SERVER_ERROR));
        }
        if let Some(run) = script.set_run(next).filter(|_| cx.trace.is_none()) {
            ex.route.user.set_all(&run.values);
            next = run.ops.end;
            continue;
        }
        let Some(op) = script.ops.get(next) else { return ScriptStep::On };
        let at = script.spans.get(next).copied();
        next += 1;
        let step = match op {
            Op::Set { slot, value } => {
                set(ex, cx, *slot, value, run, at);
                ScriptStep::On
            }
            Op::Break => {
                cx.trace.say("rewrite", at, || "the rest of the level's script is skipped".into());
                ex.route.broke |= ex.route.uri_changed;
                ex.route.uri_changed = false;
                ScriptStep::Stop
            }
            Op::Return { code, text } => {
                cx.trace.say("rewrite", at, || format!("answers {code}"));
                ScriptStep::Settled(answer(ex, cx, *code, text.as_ref()))
            }
            Op::If { condition, location, script } => {
                let holds = match skipped.does {
                    Does::Holds => is_known(ex, condition),
                    Does::Matches => has_matched(ex, cx, condition, passes.captured(skipped.does), run),
                    Does::Something => holds(ex, cx, condition, run) && !ex.route.evaluation_failed,
                };
                cx.trace.say("rewrite", at, || if holds { "true" } else { "false" }.into());
                if holds {
                    if let Some(location) = location {
                        ex.route.location = *location;
                    }
                    steps(ex, cx, script, run)
                } else {
                    ScriptStep::On
                }
            }
            Op::Rewrite(rewrite) => apply(ex, cx, rewrite, passes.captured(skipped.does), run, at),
        };
        if ex.route.evaluation_failed {
            return ScriptStep::Settled(Flow::Status(Status::INTERNAL_SERVER_ERROR));
        }
        match step {
            ScriptStep::On => {}
            done => return done,
        }
    }
}

fn set(ex: &mut Exchange, cx: &mut Services, slot: SetTarget, value: &Template, run: &mut Run, at: Option<Span>) {
    // Nothing to expand: the words of most lines.
    if let [Part::Literal(text)] = &*value.parts {
        cx.trace.say("rewrite", at, || format!("is \"{}\"", Printable(text)));
        return assign(ex, cx, slot, text);
    }
    let text = &mut run.value;
    text.clear();
    let captures = value.parts.iter().any(|part| matches!(part, Part::Capture(_)));
    expand(value, ex, cx, run.quote && captures && is_quoted(ex), text, None);
    cx.trace.say("rewrite", at, || format!("is \"{}\"", Printable(text)));
    assign(ex, cx, slot, text);
}

/// Gives a variable its value.
pub fn assign(ex: &mut Exchange, cx: &mut Services, slot: SetTarget, text: &[u8]) {
    match slot {
        SetTarget::User(variable) => ex.set_user(variable, Text::new(text)),
        SetTarget::Args => {
            ex.route.args.clear();
            ex.route.args.extend_from_slice(text);
            ex.route.args_set = true;
            // The client's own target no longer says what is requested.
            ex.route.rewritten = true;
        }
        SetTarget::LimitRate => match crate::config::value::Size::parse(text) {
            Ok(size) => ex.progress.limit_rate = Some(size.0),
            Err(_) => {
                let text = String::from_utf8_lossy(text);
                ex.report(cx, Level::Error, format_args!("invalid $limit_rate \"{text}\""));
            }
        },
    }
}

/// The request's path was written with escapes (or a plus): captures that become part of a URI again are escaped.
fn is_quoted(ex: &Exchange) -> bool {
    let (path, _) = uri::split_args(ex.request.head.origin.of(ex.buf()));
    memchr::memchr2(b'%', b'+', path).is_some()
}

/// [`expand`] for a template that becomes the URI: records in the request which parts are literal text.
fn expand_uri(
    template: &Template,
    ex: &mut Exchange,
    cx: &mut Services,
    quote: bool,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let mut spelled = std::mem::take(&mut ex.route.history.spelled);
    spelled.clear();
    let args = expand(template, ex, cx, quote, out, Some(&mut spelled));
    ex.route.history.spelled = spelled;
    args
}

/// Expands a template of the script; returns the offset of its arguments, after the first literal `?`. `spelled`
/// receives the ranges of literal text.
fn expand(
    template: &Template,
    ex: &mut Exchange,
    cx: &mut Services,
    quote: bool,
    out: &mut Vec<u8>,
    mut spelled: Option<&mut Vec<Range<usize>>>,
) -> Option<usize> {
    let mut args = None;
    let mut captured = false;
    for (at, part) in template.parts.iter().enumerate() {
        captured |= matches!(part, Part::Capture(_));
        match part {
            Part::Literal(text) => {
                if args.is_none() {
                    args = memchr::memchr(b'?', text).map(|at| out.len() + at + 1);
                }
                if let Some(spelled) = &mut spelled {
                    spelled.push(out.len()..out.len() + text.len());
                }
                out.extend_from_slice(text);
            }
            Part::Capture(group) if quote => escape_args(variables::capture(ex, *group), out),
            Part::Capture(group) if args.is_some() && is_quoted(ex) => escape_args(variables::capture(ex, *group), out),
            Part::Capture(group) => out.extend_from_slice(variables::capture(ex, *group)),
            Part::Var(var) if captured => variables::value_between(&template.parts[at + 1..], var, ex, cx, out),
            Part::Var(var) => {
                variables::value(var, ex, cx, out);
            }
        }
    }
    args
}

/// `return`: a body for statuses that have one, a Location for redirects. A text is sent as it is, whatever
/// error_page says of the status (nginx); a status without a text gets its error page.
fn answer(ex: &mut Exchange, cx: &mut Services, code: u16, text: Option<&Template>) -> Flow {
    if code == 444 {
        return Flow::Close;
    }
    let status = Status(code);
    let redirect = status.is_redirect();
    if text.is_none() && (code >= 400 || redirect) {
        return Flow::Status(status);
    }
    // The text may contain `$status`.
    ex.response.status = status;
    ex.response.decided = Decided::Status;
    let text = text.map(|template| variables::text(template, ex, cx)).unwrap_or_default();
    if redirect {
        ex.response.location = Some(text);
        return Flow::Status(status);
    }
    let name = ex.route.uri.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let content_type = media_types::of_text(&ex.location().settings.files, name);
    ex.response.text(status, content_type, text);
    Flow::Respond
}

fn holds(ex: &mut Exchange, cx: &mut Services, condition: &Condition, run: &mut Run) -> bool {
    let value = &mut run.value;
    value.clear();
    match condition {
        Condition::True(template) => {
            variables::expand(template, ex, cx, value);
            variables::is_true(value)
        }
        Condition::Equal { left, right, negated } => {
            variables::expand(left, ex, cx, value);
            let is_equal = match &*right.parts {
                [Part::Literal(right)] => *value == **right,
                _ => *value == variables::text(right, ex, cx),
            };
            is_equal != *negated
        }
        Condition::Match { subject, pattern, negated } => {
            variables::expand(subject, ex, cx, value);
            matches(ex, cx, pattern, value) != *negated
        }
        Condition::Path { test, path, negated } => {
            variables::expand(path, ex, cx, value);
            exists(ex, cx, *test, value) != *negated
        }
    }
}

/// A condition of which it is known that it holds: does what finding that out would have done.
fn is_known(ex: &mut Exchange, condition: &Condition) -> bool {
    if matches!(condition, Condition::Match { .. }) {
        ex.route.groups = Default::default();
    }
    true
}

/// The same of a condition whose pattern was matched already.
fn has_matched(
    ex: &mut Exchange,
    cx: &mut Services,
    condition: &Condition,
    matched: Option<Matched>,
    run: &mut Run,
) -> bool {
    if let Condition::Match { subject, .. } = condition {
        run.value.clear();
        variables::expand(subject, ex, cx, &mut run.value);
        ex.remember(&run.value, matched);
    }
    true
}

fn matches(ex: &mut Exchange, cx: &mut Services, pattern: &Pattern, subject: &[u8]) -> bool {
    match ex.route.effort.spend(|effort| pattern.find_within(subject, effort)) {
        Err(failed) => {
            ex.pattern_gave_up(cx, &failed);
            false
        }
        Ok(Some(matched)) => {
            log_match(ex, cx, pattern, subject, true);
            ex.remember(subject, Some(matched));
            true
        }
        Ok(None) => {
            log_match(ex, cx, pattern, subject, false);
            // Captures are those of the last regex tried, matched or not (nginx).
            ex.route.groups = Default::default();
            false
        }
    }
}

fn exists(ex: &mut Exchange, cx: &mut Services, test: PathTest, path: &[u8]) -> bool {
    let Ok(stat) = symlinks::stat(ex, cx, path) else { return false };
    match test {
        PathTest::Exists => true,
        PathTest::File => stat.kind == FileKind::Regular,
        PathTest::Directory => stat.kind == FileKind::Dir,
        PathTest::Executable => stat.mode & 0o111 != 0,
    }
}

/// Whether the rewrite's pattern matches the URI, which it captures from. `matched`: what it was found to capture.
fn matches_uri(
    ex: &mut Exchange,
    cx: &mut Services,
    rewrite: &Rewrite,
    matched: Option<Matched>,
    at: Option<Span>,
) -> bool {
    let uri = std::mem::take(&mut ex.route.uri);
    let find = || ex.route.effort.spend(|effort| rewrite.pattern.find_within(&uri, effort));
    let found = matched.map_or_else(find, |matched| Ok(Some(matched)));
    let matched = found.unwrap_or_else(|failed| {
        ex.pattern_gave_up(cx, &failed);
        None
    });
    let Some(matched) = matched else {
        ex.route.groups = Default::default();
        cx.trace.say("rewrite", at, || format!("does not match {}", Printable(&uri)));
        log_match(ex, cx, &rewrite.pattern, &uri, false);
        ex.route.uri = uri;
        return false;
    };
    log_match(ex, cx, &rewrite.pattern, &uri, true);
    ex.remember(&uri, Some(matched));
    ex.route.uri = uri;
    true
}

/// rewrite_log: a line at level notice.
fn log_step(ex: &Exchange, cx: &mut Services, line: impl FnOnce() -> String) {
    if ex.location().settings.logs.rewrites {
        ex.report(cx, Level::Notice, format_args!("{}", line()));
    }
}

/// rewrite_log: whether the pattern matched the text.
fn log_match(ex: &Exchange, cx: &mut Services, pattern: &Pattern, text: &[u8], has_matched: bool) {
    let does = if has_matched { "matches" } else { "does not match" };
    log_step(ex, cx, || format!("\"{}\" {does} \"{}\"", pattern.source(), Printable(text)));
}

/// Bytes of a URI and its arguments that a rewrite may make. One that repeats its capture and starts again would make
/// megabytes of a few kilobytes, and search all of them.
const LONGEST: usize = 256 << 10;

/// `matched`: what the pattern was found to capture of the present URI, if it was asked before.
fn apply(
    ex: &mut Exchange,
    cx: &mut Services,
    rewrite: &Rewrite,
    matched: Option<Matched>,
    run: &mut Run,
    at: Option<Span>,
) -> ScriptStep {
    if !matches_uri(ex, cx, rewrite, matched, at) {
        return ScriptStep::On;
    }
    run.quote = false;
    let code = match rewrite.flag {
        RewriteFlag::Permanent => Some(Status::MOVED_PERMANENTLY),
        flag if flag == RewriteFlag::Redirect || rewrite.external => Some(Status::FOUND),
        _ => None,
    };
    // The buffer of the URI before the last: rewrites in a row need no other.
    let mut target = std::mem::take(&mut run.value);
    target.clear();
    let quoted = code.is_some() && is_quoted(ex);
    let args = expand_uri(&rewrite.replacement, ex, cx, quoted, &mut target);
    let old = !rewrite.drop_args && !ex.route.args.is_empty();
    if let Err(settled) = check_length(ex, cx, &target) {
        return settled;
    }
    if let Some(status) = code {
        let sign = if args.is_some() { b'&' } else { b'?' };
        let location = redirect_to(&target, old.then_some((sign, &ex.route.args)));
        cx.trace.say("rewrite", at, || format!("redirects to {}", Printable(&location)));
        log_step(ex, cx, || format!("rewritten redirect: \"{}\"", Printable(&location)));
        ex.response.location = Some(location);
        return ScriptStep::Settled(Flow::Status(status));
    }
    match args {
        Some(at) => split_args(ex, &mut target, at, old),
        None if rewrite.drop_args => ex.route.drop_args(),
        None => {}
    }
    if target.is_empty() {
        return refused(ex, cx, format_args!("the rewritten URI has a zero length"));
    }
    cx.trace.say("rewrite", at, || format!("the URI becomes {}", Printable(&target)));
    log_step(ex, cx, || format!("rewritten data: \"{}\", args: \"{}\"", Printable(&target), Printable(&ex.route.args)));
    let before = std::mem::replace(&mut ex.route.uri, target);
    run.value = ex.route.history.rewrite(before);
    ex.route.internal = true;
    ex.route.uri_changed = rewrite.flag != RewriteFlag::Break;
    ex.route.rewritten = true;
    ex.route.broke |= rewrite.flag == RewriteFlag::Break;
    match rewrite.flag {
        RewriteFlag::None => ScriptStep::On,
        _ => ScriptStep::Stop,
    }
}

/// What stands in the target from `at` on becomes the arguments; `old`: those of before follow.
fn split_args(ex: &mut Exchange, target: &mut Vec<u8>, at: usize, old: bool) {
    let mut args = target.split_off(at);
    target.pop();
    if old {
        if !args.is_empty() {
            args.push(b'&');
        }
        args.extend_from_slice(&ex.route.args);
    }
    ex.route.set_args(args);
}

/// Err: a rewrite has made more than is followed.
fn check_length(ex: &mut Exchange, cx: &mut Services, target: &[u8]) -> Result<(), ScriptStep> {
    match target.len() + ex.route.args.len() > LONGEST {
        true => Err(refused(ex, cx, format_args!("the rewritten URI has more than {LONGEST} bytes"))),
        false => Ok(()),
    }
}

fn refused(ex: &mut Exchange, cx: &mut Services, why: std::fmt::Arguments<'_>) -> ScriptStep {
    ex.report(cx, Level::Error, why);
    ScriptStep::Settled(Flow::Status(Status::INTERNAL_SERVER_ERROR))
}

/// Location of a redirect; `old`: the request's arguments, and the sign before them.
fn redirect_to(target: &[u8], old: Option<(u8, &Vec<u8>)>) -> Vec<u8> {
    let mut location = Vec::with_capacity(target.len() + old.map_or(0, |(_, args)| args.len()) + 1);
    unescape_redirect(target, &mut location);
    if let Some((sign, args)) = old {
        location.push(sign);
        location.extend_from_slice(args);
    }
    location
}

/// What a redirect was written as → its Location: escapes of harmless characters are undone up to the first `?`
/// (nginx); blanks and control bytes, which would end or split the header, are escaped.
fn unescape_redirect(target: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    let mut in_args = false;
    while let Some(&byte) = target.get(at) {
        let pair = if byte == b'%' && !in_args { target.get(at + 1..at + 3) } else { None };
        match pair.and_then(|pair| hex_pair(pair[0], pair[1])) {
            Some(decoded) if decoded > b'%' && decoded < 0x7f => {
                in_args |= decoded == b'?';
                out.push(decoded);
                at += 3;
            }
            _ => {
                in_args |= byte == b'?';
                match byte {
                    0..=b' ' | 0x7f => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                    byte => out.push(byte),
                }
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_redirect_loses_harmless_escapes_only() {
        for (name, target, expected) in [
            ("nothing to do", "http://a/b?c=d", "http://a/b?c=d"),
            ("harmless escapes", "http%3A%2F%2Fa%2F", "http://a/"),
            ("the question mark ends it", "/a%3Fb%2F", "/a?b%2F"),
            ("line breaks stay escaped", "/a%0D%0Ab", "/a%0D%0Ab"),
            ("raw ones are escaped", "/a\r\nX: y", "/a%0D%0AX:%20y"),
            ("a percent sign", "/a%25b%zz%", "/a%25b%zz%"),
        ] {
            let mut out = Vec::new();
            super::unescape_redirect(target.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{name}");
        }
    }
}

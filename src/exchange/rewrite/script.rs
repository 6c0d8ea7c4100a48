//! Runs the rewrite directives of a level: set, rewrite, if, return, break (nginx's ngx_http_rewrite_module).

use crate::config::model::{Condition, Level, Op, PathTest, Rewrite, RewriteFlag, Script, SetTarget};
use crate::config::pattern::Pattern;
use crate::exchange::phases::Flow;
use crate::exchange::response::Body;
use crate::exchange::{Exchange, vars};
use crate::http::escape::escape_path;
use crate::http::status::Status;
use crate::shared::Cx;
use crate::sys::file::{self, FileKind, Follow};
use std::ffi::CString;

/// What the script came to: `Flow::Next` when it ran through.
pub fn run(ex: &mut Exchange, cx: &mut Cx, script: &Script) -> Flow {
    match steps(ex, cx, script) {
        Step::Settled(flow) => flow,
        Step::On | Step::Stop => Flow::Next,
    }
}

enum Step {
    On,
    /// `break`, or a rewrite with a flag: the rest of this level's script is skipped.
    Stop,
    Settled(Flow),
}

fn steps(ex: &mut Exchange, cx: &mut Cx, script: &Script) -> Step {
    for op in &script.ops {
        let step = match op {
            Op::Set { slot, value } => {
                set(ex, cx, *slot, value);
                Step::On
            }
            Op::Break => {
                ex.uri_changed = false;
                Step::Stop
            }
            Op::Return { code, text } => Step::Settled(answer(ex, cx, *code, text.as_ref())),
            Op::If { condition, location, script } => {
                if holds(ex, cx, condition) {
                    if let Some(location) = location {
                        ex.location = *location;
                    }
                    steps(ex, cx, script)
                } else {
                    Step::On
                }
            }
            Op::Rewrite(rewrite) => apply(ex, cx, rewrite),
        };
        match step {
            Step::On => {}
            done => return done,
        }
    }
    Step::On
}

fn set(ex: &mut Exchange, cx: &mut Cx, slot: SetTarget, value: &crate::config::template::Template) {
    let value = vars::text(value, ex, cx);
    match slot {
        SetTarget::User(variable) => ex.set_user(variable, value.into()),
        SetTarget::Args => ex.args = value,
        SetTarget::LimitRate => {
            ex.limit_rate = crate::config::value::Size::parse(&value).map_or(0, |size| size.0);
        }
    }
}

/// `return`: a body for statuses that have one, a Location for redirects.
fn answer(ex: &mut Exchange, cx: &mut Cx, code: u16, text: Option<&crate::config::template::Template>) -> Flow {
    if code == 444 {
        return Flow::Close;
    }
    let status = Status(code);
    let Some(template) = text else {
        return if code < 300 {
            ex.response.status = status;
            ex.response.body = Body::Bytes(Vec::new());
            Flow::Respond
        } else {
            Flow::Status(status)
        };
    };
    let text = vars::text(template, ex, cx);
    if matches!(code, 301 | 302 | 303 | 307 | 308) {
        ex.response.location = Some(text);
        return Flow::Status(status);
    }
    if code >= 300 && ex.error_page.is_none() && crate::exchange::error_page::has(ex, status) {
        return Flow::Status(status);
    }
    let content_type = crate::exchange::handlers::static_file::content_type(ex);
    ex.response.text(status, content_type, text);
    if code >= 400 {
        ex.report(cx, Level::Debug, format_args!("return {code}"));
    }
    Flow::Respond
}

fn holds(ex: &mut Exchange, cx: &mut Cx, condition: &Condition) -> bool {
    match condition {
        Condition::True(value) => vars::is_true(&vars::text(value, ex, cx)),
        Condition::Equal { left, right, negated } => {
            (vars::text(left, ex, cx) == vars::text(right, ex, cx)) != *negated
        }
        Condition::Match { subject, pattern, negated } => {
            let subject = vars::text(subject, ex, cx);
            matches(ex, pattern, &subject) != *negated
        }
        Condition::Path { test, path, negated } => {
            let path = vars::text(path, ex, cx);
            exists(*test, path) != *negated
        }
    }
}

fn matches(ex: &mut Exchange, pattern: &Pattern, subject: &[u8]) -> bool {
    match pattern.find(subject) {
        Some(matched) => {
            ex.remember(subject, Some(matched));
            true
        }
        None => false,
    }
}

fn exists(test: PathTest, path: Vec<u8>) -> bool {
    let Ok(path) = CString::new(path) else { return false };
    let Ok(stat) = file::stat_at(None, &path, Follow::Yes) else { return false };
    match test {
        PathTest::Exists => true,
        PathTest::File => stat.kind == FileKind::Regular,
        PathTest::Directory => stat.kind == FileKind::Dir,
        PathTest::Executable => stat.mode & 0o111 != 0,
    }
}

fn apply(ex: &mut Exchange, cx: &mut Cx, rewrite: &Rewrite) -> Step {
    let uri = std::mem::take(&mut ex.uri);
    let matched = rewrite.pattern.find(&uri);
    let Some(matched) = matched else {
        ex.uri = uri;
        return Step::On;
    };
    ex.remember(&uri, Some(matched));
    ex.uri = uri;
    let target = vars::text(&rewrite.replacement, ex, cx);
    let external = rewrite.external || [&b"http://"[..], b"https://"].iter().any(|p| target.starts_with(p));
    let code = match rewrite.flag {
        RewriteFlag::Permanent => Some(Status::MOVED_PERMANENTLY),
        RewriteFlag::Redirect => Some(Status::FOUND),
        _ if external => Some(Status::FOUND),
        _ => None,
    };
    let (path, new_args) = vars::split_args(&target);
    let mut args = new_args.unwrap_or_default().to_vec();
    if !rewrite.drop_args && !ex.args.is_empty() {
        if !args.is_empty() {
            args.push(b'&');
        }
        args.extend_from_slice(&ex.args);
    }
    if let Some(status) = code {
        let mut location = Vec::with_capacity(target.len() + args.len() + 1);
        escape_path(path, &mut location);
        if !args.is_empty() {
            location.push(b'?');
            location.extend_from_slice(&args);
        }
        ex.response.location = Some(location);
        return Step::Settled(Flow::Status(status));
    }
    if path.is_empty() {
        ex.report(cx, Level::Error, format_args!("the rewritten URI has a zero length"));
        return Step::Settled(Flow::Status(Status::INTERNAL_SERVER_ERROR));
    }
    ex.uri = path.to_vec();
    ex.args = args;
    ex.internal = true;
    ex.uri_changed = true;
    match rewrite.flag {
        RewriteFlag::None => Step::On,
        RewriteFlag::Break => {
            ex.uri_changed = false;
            Step::Stop
        }
        _ => Step::Stop,
    }
}

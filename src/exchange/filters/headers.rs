//! expires and add_header.

use crate::config::model::Content;
use crate::config::settings::headers::{AddHeader, CONTENT_SECURITY_POLICY, Expires, FieldStep, parse_expires};
use crate::exchange::basis::Cacheable;
use crate::exchange::{Exchange, variables};
use crate::http::date;
use crate::services::Services;
use crate::util::date::Civil;

/// Statuses that get headers without `always` (nginx).
fn is_listed(status: u16) -> bool {
    matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
}

pub fn apply(ex: &mut Exchange, cx: &mut Services) -> Cacheable {
    let output = ex.here().settings.output.clone();
    let listed = is_listed(ex.response.status.0);
    let mut cacheable = Cacheable::Yes;
    if listed && let Some(rule) = &output.expires {
        expires(ex, cx, rule);
        cacheable = Cacheable::No;
    }
    // Pages that webserv makes itself have a Content-Security-Policy for exactly their own script and style: the site's
    // would break them.
    let policy = CONTENT_SECURITY_POLICY;
    let has_own = ex.here().content == Content::Files && ex.response.fields.get(policy).is_some();
    for step in output.headers.steps() {
        match step {
            FieldStep::Fixed { listed: fields, .. } if listed => ex.response.fields.append(fields),
            FieldStep::Fixed { always, .. } => ex.response.fields.append(always),
            FieldStep::Line(at) => {
                let line = output.headers.get(*at).filter(|line| listed || line.always);
                let line = line.filter(|line| !(has_own && line.name.eq_ignore_ascii_case(policy)));
                line.into_iter().for_each(|line| add(ex, cx, line));
            }
        }
    }
    cacheable
}

/// Whether add_trailer applies to the response.
pub fn has_trailers(ex: &Exchange) -> bool {
    let trailers = &ex.here().settings.output.trailers;
    let listed = is_listed(ex.response.status.0);
    trailers.iter().any(|trailer| listed || trailer.always)
}

/// add_trailer: what follows the last chunk.
pub fn trailers(ex: &mut Exchange, cx: &mut Services) {
    if ex.here().settings.output.trailers.is_empty() {
        return;
    }
    let output = ex.here().settings.output.clone();
    let listed = is_listed(ex.response.status.0);
    for step in output.trailers.steps() {
        match step {
            FieldStep::Fixed { listed: fields, .. } if listed => ex.response.trailers.append(fields),
            FieldStep::Fixed { always, .. } => ex.response.trailers.append(always),
            FieldStep::Line(at) => {
                let Some(trailer) = output.trailers.get(*at).filter(|line| listed || line.always) else { continue };
                let value = variables::text(&trailer.value, ex, cx);
                if !value.is_empty() {
                    ex.response.trailers.push(&trailer.name, &value);
                }
            }
        }
    }
}

fn add(ex: &mut Exchange, cx: &mut Services, header: &AddHeader) {
    let value = variables::text(&header.value, ex, cx);
    // These two replace what the server or an upstream would say, or take it away by an empty value (nginx).
    if header.name.eq_ignore_ascii_case(b"last-modified") {
        ex.response.last_modified = None;
        ex.response.fields.remove(b"last-modified");
    } else if header.name.eq_ignore_ascii_case(b"etag") {
        ex.response.etag = None;
        ex.response.fields.remove(b"etag");
    }
    if !value.is_empty() {
        ex.response.line(&header.name, &value);
    }
}

fn expires(ex: &mut Exchange, cx: &mut Services, rule: &Expires) {
    let parsed;
    let rule = match rule {
        Expires::Value(template) => {
            let text = variables::text(template, ex, cx);
            let words: Vec<&[u8]> = text.split(|b| *b == b' ').filter(|w| !w.is_empty()).collect();
            match parse_expires(&words) {
                Some(Some(rule)) => {
                    parsed = rule;
                    &parsed
                }
                _ => return,
            }
        }
        rule => rule,
    };
    // An upstream's own field does not stand beside it.
    ex.response.fields.remove(b"expires");
    ex.response.fields.remove(b"cache-control");
    let now = cx.now.unix;
    let (at, age) = match rule {
        Expires::Epoch => {
            ex.response.line(b"Expires", b"Thu, 01 Jan 1970 00:00:01 GMT");
            ex.response.line(b"Cache-Control", b"no-cache");
            return;
        }
        Expires::Max => {
            ex.response.line(b"Expires", b"Thu, 31 Dec 2037 23:55:55 GMT");
            ex.response.line(b"Cache-Control", b"max-age=315360000");
            return;
        }
        Expires::Access(seconds) => (now + seconds, *seconds),
        Expires::Modified(seconds) => match ex.response.validators().modified {
            Some(modified) => (modified + seconds, modified + seconds - now),
            None => (now + seconds, *seconds),
        },
        Expires::Daily(of_day) => {
            let offset = i64::from(crate::services::clock::utc_offset(now));
            let local = Civil::from_unix(now + offset);
            let midnight = now - i64::from(local.hour) * 3600 - i64::from(local.minute) * 60 - i64::from(local.second);
            let next = midnight + of_day;
            let next = if next > now { next } else { next + 86_400 };
            (next, next - now)
        }
        Expires::Value(_) => return,
    };
    ex.response.line(b"Expires", &date::format(at));
    let control = if age < 0 { "no-cache".to_string() } else { format!("max-age={age}") };
    ex.response.line(b"Cache-Control", control.as_bytes());
}

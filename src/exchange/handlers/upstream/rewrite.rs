//! proxy_redirect, and the rules it shares with cookies: where the response contains the upstream's name, the client
//! must see this server's.

use super::settings;
use crate::config::settings::proxy::{From, Redirect, Rewrite};
use crate::config::settings::proxy_pass::{Pass, To};
use crate::exchange::{Exchange, variables};
use crate::services::Services;
use std::borrow::Cow;

/// Rewrites Location. None: no rule matches.
pub fn location(ex: &mut Exchange, cx: &mut Services, value: &[u8]) -> Option<Vec<u8>> {
    redirect(ex, cx, value)
}

/// Rewrites the URL after `url=` in Refresh.
pub fn refresh(ex: &mut Exchange, cx: &mut Services, value: &[u8]) -> Vec<u8> {
    let lower = value.to_ascii_lowercase();
    let Some(at) = memchr::memmem::find(&lower, b"url=").map(|at| at + 4) else { return value.to_vec() };
    match redirect(ex, cx, &value[at..]) {
        Some(url) => [&value[..at], &url].concat(),
        None => value.to_vec(),
    }
}

/// Applies the first rule that matches; None: none does.
fn redirect(ex: &mut Exchange, cx: &mut Services, value: &[u8]) -> Option<Vec<u8>> {
    let rules = settings(ex).redirects.clone();
    rules.iter().find_map(|rule| match rule {
        Redirect::Default => by_default(ex.location().pass.as_deref()?, value),
        Redirect::Rule(rule) => apply(ex, cx, rule, value, Compare::Exactly),
    })
}

/// The default rule: replaces the URL of proxy_pass by the location's name or, if it has no URI part, only its host by
/// this server's.
fn by_default(pass: &Pass, value: &[u8]) -> Option<Vec<u8>> {
    let ([url, slash], to) = default_rule(pass)?;
    let rest = value.strip_prefix(url)?.strip_prefix(slash)?;
    Some([to, rest].concat())
}

/// What the default rule replaces, in two parts, and by what; None: nothing.
pub(super) fn default_rule(pass: &Pass) -> Option<([&[u8]; 2], &[u8])> {
    let To::Fixed { uri, url, .. } = &pass.to else { return None };
    if !pass.protocol.is_http() {
        return None;
    }
    Some(match uri.is_empty() {
        true => ([url, b"/"], b"/"),
        false => ([url, b""], &pass.location),
    })
}

/// How a rule's text is compared with a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    /// Byte by byte, from its beginning.
    Exactly,
    /// Domains: case-insensitive, and as a whole except for a leading dot.
    Domain,
}

/// Applies a rule to a value; None: it does not match.
pub(super) fn apply(
    ex: &mut Exchange,
    cx: &mut Services,
    rule: &Rewrite,
    value: &[u8],
    compare: Compare,
) -> Option<Vec<u8>> {
    match &rule.from {
        From::Text(template) => {
            let from = match template.constant() {
                Some(text) => Cow::Borrowed(text),
                None => Cow::Owned(variables::text(template, ex, cx)),
            };
            let (dot, rest) = match compare {
                Compare::Exactly => (&value[..0], value.strip_prefix(&from[..])?),
                Compare::Domain => {
                    let (dot, bare) = value.split_at(usize::from(value.starts_with(b".")));
                    let from = from.strip_prefix(b".").unwrap_or(&from);
                    if !bare.eq_ignore_ascii_case(from) {
                        return None;
                    }
                    (dot, &bare[bare.len()..])
                }
            };
            let to = variables::text(&rule.to, ex, cx);
            Some([dot, undotted(&to, compare), rest].concat())
        }
        From::Regex(pattern) => {
            let found = ex.route.effort.spend(|effort| pattern.find_within(value, effort));
            let matched = found.unwrap_or_else(|failed| {
                ex.pattern_gave_up(cx, &failed);
                None
            })?;
            ex.remember(value, Some(matched));
            let to = variables::text(&rule.to, ex, cx);
            Some(undotted(&to, compare).to_vec())
        }
    }
}

/// Strips the leading dot of a domain, which is ignored (RFC 6265 §5.2.3); the cookie's own dot stays.
fn undotted(to: &[u8], compare: Compare) -> &[u8] {
    match to {
        [b'.', rest @ ..] if compare == Compare::Domain => rest,
        to => to,
    }
}

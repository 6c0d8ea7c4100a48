//! Access to this location: limit_except's block, then addresses, passwords, signed links and auth_request's URI;
//! `satisfy` says whether all of them must allow the request or any. [`limits`] and the check of the method
//! ([`allowed_methods`](super::handlers::allowed_methods)) come before; [`real_ip`] finds the client's address.

pub mod allow_deny;
mod auth_basic;
pub mod auth_request;
pub mod limits;
pub mod other_path;
pub mod password;
pub mod real_ip;
mod signed_link;

use super::Exchange;
use super::flow::{Flow, Then};
use crate::config::model::Level;
use crate::config::settings::auth::Satisfy;
use crate::http::status::Status;
use crate::route::Trace;
use crate::services::Services;
use auth_basic::PasswordOutcome;

/// The access phase of a location. Without auth_request it decides at once, else [`Flow::Subrequest`] comes first, and
/// this is called again with its answer.
pub fn check(ex: &mut Exchange, cx: &mut Services) -> Flow {
    // Subrequests are not checked (nginx).
    if ex.nesting.subrequest.is_some() {
        return Flow::Next;
    }
    if let Some(asked) = ex.nesting.auth_request.take() {
        let flow = auth_request::apply_verdict(ex, cx, &asked);
        note_refusal(ex, cx, &flow);
        return later(ex, cx, flow);
    }
    // It may have been set by another location, which an internal redirect came from.
    ex.route.authenticated = false;
    // Error pages are checked, too: a client without access gets no page from inside (nginx).
    match ex.location().settings.auth.satisfy {
        Satisfy::All => match allow_deny::check(ex, cx) {
            Some(false) => Flow::Status(Status::FORBIDDEN),
            _ => match password(ex, cx) {
                PasswordOutcome::Refused(flow) => later(ex, cx, flow),
                _ => match signed_link::check(ex, cx) {
                    Err(refused) => signed_link::refuse(ex, cx, refused),
                    Ok(_) => auth_request::start(ex, None),
                },
            },
        },
        Satisfy::Any => any(ex, cx),
    }
}

/// One rule that lets the client in is enough; without rules there is nothing to satisfy.
fn any(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let address = allow_deny::check(ex, cx);
    if address == Some(true) {
        return Flow::Next;
    }
    let link = signed_link::check(ex, cx);
    if matches!(link, Ok(true)) {
        return Flow::Next;
    }
    let refused = match password(ex, cx) {
        PasswordOutcome::Granted => return Flow::Next,
        PasswordOutcome::Refused(Flow::Status(
            status @ (Status::UNAUTHORIZED | Status::PROXY_AUTH_REQUIRED | Status::FORBIDDEN),
        )) => Some(status),
        PasswordOutcome::Refused(flow) => return later(ex, cx, flow),
        PasswordOutcome::NotAsked if address == Some(false) => Some(Status::FORBIDDEN),
        PasswordOutcome::NotAsked => match link {
            Err(refused) if !auth_request::is_set(ex) => return signed_link::refuse(ex, cx, refused),
            Err(_) => Some(Status::FORBIDDEN),
            Ok(_) => None,
        },
    };
    match refused {
        _ if auth_request::is_set(ex) => auth_request::start(ex, refused),
        Some(status) => {
            let flow = Flow::Status(status);
            note_refusal(ex, cx, &flow);
            later(ex, cx, flow)
        }
        None => Flow::Next,
    }
}

/// Under `satisfy any` it is known only now that the client is refused: the line that tools look for.
fn note_refusal(ex: &Exchange, cx: &mut Services, flow: &Flow) {
    if matches!(flow, Flow::Status(Status::FORBIDDEN)) && ex.location().settings.auth.satisfy == Satisfy::Any {
        ex.report(cx, Level::Error, format_args!("access forbidden by rule"));
    }
}

fn password(ex: &mut Exchange, cx: &mut Services) -> PasswordOutcome {
    let outcome = auth_basic::check(ex, cx);
    let verdict = match outcome {
        PasswordOutcome::NotAsked => return outcome,
        PasswordOutcome::Granted => "the password is correct",
        PasswordOutcome::Refused(_) => "refused",
    };
    cx.trace.say("access", None, || format!("auth_basic: {verdict}"));
    outcome
}

/// auth_delay: the answer to a wrong password may have to wait.
fn later(ex: &Exchange, cx: &Services, flow: Flow) -> Flow {
    let delay = ex.location().settings.auth.delay.0;
    match flow {
        Flow::Status(status @ (Status::UNAUTHORIZED | Status::PROXY_AUTH_REQUIRED)) if delay > 0 => {
            Flow::Delay { until: cx.now.ms + delay, then: Then::Status(status) }
        }
        flow => flow,
    }
}

#[cfg(test)]
mod tests;

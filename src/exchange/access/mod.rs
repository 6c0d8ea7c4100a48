//! Who may do what at this location, asked in this order: the method at all, then limit_except's block, then
//! addresses and passwords, all of them or any, by `satisfy`. [`limits`] is asked before.

mod allow_deny;
mod auth_basic;
pub mod limits;
mod methods;
mod password;

use super::Exchange;
use super::phases::{Flow, Then};
use crate::config::directives::auth::Satisfy;
use crate::http::status::Status;
use crate::shared::Cx;
use auth_basic::Outcome;

pub fn check(ex: &mut Exchange, cx: &mut Cx) -> Flow {
    // An error page is shown to whoever got the error.
    if ex.error_page.is_some() {
        return Flow::Next;
    }
    match methods::check(ex) {
        Flow::Next => {}
        refused => return refused,
    }
    allow_deny::enter_limit_except(ex);
    match ex.here().settings.auth.satisfy {
        Satisfy::All => match allow_deny::check(ex, cx) {
            Some(false) => Flow::Status(Status::FORBIDDEN),
            _ => match auth_basic::check(ex, cx) {
                Outcome::Refused(flow) => later(ex, cx, flow),
                _ => Flow::Next,
            },
        },
        Satisfy::Any => any(ex, cx),
    }
}

/// One rule that lets the client in is enough; without rules there is nothing to satisfy.
fn any(ex: &mut Exchange, cx: &mut Cx) -> Flow {
    let address = allow_deny::check(ex, cx);
    if address == Some(true) {
        return Flow::Next;
    }
    match auth_basic::check(ex, cx) {
        Outcome::Granted => Flow::Next,
        Outcome::Refused(flow) => later(ex, cx, flow),
        Outcome::NotAsked if address == Some(false) => Flow::Status(Status::FORBIDDEN),
        Outcome::NotAsked => Flow::Next,
    }
}

/// auth_delay: the answer to a wrong password may have to wait.
fn later(ex: &Exchange, cx: &Cx, flow: Flow) -> Flow {
    let delay = ex.here().settings.auth.delay.0;
    match flow {
        Flow::Status(status) if status == Status::UNAUTHORIZED && delay > 0 => {
            Flow::Delay { until: cx.now.ms + delay, then: Then::Status(status) }
        }
        flow => flow,
    }
}

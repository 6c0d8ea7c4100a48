//! allowed_methods: the first of the access rules. 405 with Allow (RFC 9110 §15.5.6), and the answer to OPTIONS.

use super::{delete, methods, options, resumable};
use crate::config::model::ContentHandler;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::Trace;
use crate::services::Services;

/// Refuses a method that allowed_methods does not name, and answers OPTIONS.
pub fn check(ex: &mut Exchange, cx: &mut Services) -> Flow {
    // Subrequests are not checked. A request that waited for auth_request was checked before.
    if ex.nesting.subrequest.is_some() || ex.nesting.auth_request.is_some() || is_page(ex) {
        return Flow::Next;
    }
    let Some(allowed) = ex.location().settings.access.allowed else { return Flow::Next };
    let method = ex.route.method;
    let flow = match method {
        Method::Options if !allowed.contains(Method::Options) => options::answer(ex),
        _ if allowed.contains(method) => Flow::Next,
        _ if resumable::permits(ex, allowed) => {
            ex.route.exempt(Status::METHOD_NOT_ALLOWED);
            Flow::Next
        }
        // A form of the listing page needs what POST and DELETE are allowed.
        _ if ex.route.form_action.as_ref().is_some_and(|action| delete::may(ex, action)) => Flow::Next,
        _ => methods::not_allowed(ex),
    };
    let verdict = if flow == Flow::Next { "allowed" } else { "answered without the handler" };
    cx.trace.say("access", None, || format!("allowed_methods: the method is {verdict}"));
    flow
}

/// Whether this is an error page: requested by another method than the client's (nginx), or for a request that was
/// refused before. A named location keeps the method: if it sends files, it decides by itself ([`super::files`]); a
/// program or an upstream would get a method that is not allowed.
fn is_page(ex: &Exchange) -> bool {
    if ex.route.error_page.is_none() {
        return false;
    }
    let location = ex.location();
    let sends_files = location.content == ContentHandler::Files && location.settings.cgi.extensions.is_empty();
    !ex.route.history.is_named || ex.route.method_refused || sends_files
}

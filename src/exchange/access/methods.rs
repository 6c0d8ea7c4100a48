//! allowed_methods: 405 with Allow (RFC 9110 §15.5.6).

use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers;
use crate::http::method::Method;

pub fn check(ex: &mut Exchange) -> Flow {
    match ex.here().settings.access.allowed {
        Some(allowed) if ex.route.method == Method::Options && !allowed.contains(Method::Options) => {
            handlers::options::answer(ex)
        }
        Some(allowed) if handlers::resumable::permits(ex, allowed) => Flow::Next,
        // A form of the listing page, by the rights of POST and DELETE.
        Some(_) if ex.route.deed.as_ref().is_some_and(|deed| handlers::delete::may(ex, deed)) => Flow::Next,
        Some(allowed) if !allowed.contains(ex.route.method) => handlers::methods::not_allowed(ex),
        _ => Flow::Next,
    }
}

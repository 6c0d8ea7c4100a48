//! TRACE and CONNECT: methods that no location answers unless `tunnel_pass` makes a tunnel of a CONNECT.

use super::flow::Flow;
use super::handlers::methods;
use super::{Exchange, body_limit};
use crate::config::model::Level;
use crate::http::body_length::BodyLength;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::version::Version;
use crate::route::{NoTrace, location};
use crate::services::Services;

/// Whether such a request goes on ([`Flow::Next`]): only a CONNECT to a server with a location for tunnels. Nothing
/// else here makes a tunnel or reflects a request, whatever a script would answer (nginx).
pub fn check(ex: &mut Exchange, cx: &mut Services) -> Flow {
    // What follows a CONNECT may be meant for the tunnel.
    ex.progress.closes = true;
    body_limit::lose(ex);
    let connects = ex.server().connects && ex.request.head.version == Version::Http11;
    if ex.route.method == Method::Connect && connects {
        if matches!(ex.request.head.body_length, BodyLength::None | BodyLength::Known(0)) {
            return Flow::Next;
        }
        ex.report(cx, Level::Info, format_args!("client sent CONNECT request with body"));
        return Flow::Status(Status::BAD_REQUEST);
    }
    // The refusal lists the methods of the location that the URI would lead to.
    if let Ok(found) = location::find(&ex.config, ex.route.server, &ex.route.uri, &mut NoTrace) {
        ex.route.location = found.location;
    }
    let flow = methods::not_allowed(ex);
    ex.route.location = ex.server().root;
    flow
}

//! Challenges of http-01: answered on every plain port while an order is under way, before the server's configuration
//! applies.

use super::Exchange;
use super::flow::Flow;
use super::response::ContentType;
use crate::acme::HTTP_01;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;

fn token(ex: &Exchange) -> Option<&str> {
    std::str::from_utf8(ex.route.uri.strip_prefix(HTTP_01)?).ok()
}

/// Whether the request is for a challenge that we have given to an authority.
pub fn is_asked(ex: &Exchange, cx: &Services) -> bool {
    cx.acme.has_answers()
        && ex.client.tls.is_none()
        && matches!(ex.route.method, Method::Get | Method::Head)
        && token(ex).is_some_and(|token| cx.acme.answer(token).is_some())
}

/// The key authorization for the token in the URI (RFC 8555 §8.3); 404 if no order of this server has that token.
pub fn respond(ex: &mut Exchange, cx: &Services) -> Flow {
    let Some(answer) = token(ex).and_then(|token| cx.acme.answer(token)) else {
        return Flow::Status(Status::NOT_FOUND);
    };
    let answer = answer.as_bytes().to_vec();
    ex.response.text(Status::OK, ContentType::Static("application/octet-stream"), answer);
    Flow::Respond
}

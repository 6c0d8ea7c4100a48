//! The parts of a passed request that do not depend on the protocol: its target, and whether it may be repeated.

use super::uri::{self, Uri};
use crate::config::settings::proxy_pass::{Pass, To};
use crate::exchange::Exchange;
use crate::http::method::Method;
use crate::http::uri::split_args;

/// The request target by the location's proxy_pass. `made`: the URI part of a URL with variables.
pub fn target(ex: &mut Exchange, pass: &Pass, made: Option<&[u8]>) -> Vec<u8> {
    if let Some(part) = made
        && !part.is_empty()
    {
        // A URI with variables is passed unchanged (nginx).
        let slash: &[u8] = if part.starts_with(b"/") { b"" } else { b"/" };
        let mut whole = [slash, part].concat();
        uri::escape_controls(&mut whole);
        return whole;
    }
    let part: &[u8] = match &pass.to {
        To::Fixed { uri, .. } => uri,
        To::Made(_) => b"",
    };
    let sent = ex.request.head.origin.of(ex.buf());
    let is_escaped = ex.route.internal || memchr::memchr(b'%', split_args(sent).0).is_some();
    let location = (!ex.route.broke).then_some(pass.location.len());
    let room = ex.spare.take_uri();
    let sent = ex.request.head.origin.of(&ex.request.text);
    let raw = (!ex.route.rewritten).then_some(sent);
    uri::target(part, location, &Uri { raw, path: &ex.route.uri, is_escaped, args: &ex.route.args }, room)
}

/// Whether the request may be sent to a second server, by its method (RFC 9110 §9.2.2, nginx's list).
pub fn is_repeatable(ex: &Exchange) -> bool {
    !matches!(ex.route.method, Method::Post | Method::Lock | Method::Patch)
}

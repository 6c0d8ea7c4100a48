//! Which methods a location allows, and the response to others.

use super::upstream::cgi;
use crate::config::model::ContentHandler;
use crate::config::settings::upload::Store;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::http::method::{Method, MethodSet};
use crate::http::status::Status;

/// Without allowed_methods: reading, dav_methods, dav_ext_methods, and POST where a store is configured.
pub fn default(ex: &Exchange) -> MethodSet {
    let dav = &ex.location().settings.dav;
    let reading = MethodSet(dav.methods.0 | dav.ext.0).with(Method::Get).with(Method::Head);
    match ex.location().settings.upload.store {
        Store::Path(_) => reading.with(Method::Post),
        _ => reading,
    }
}

/// This server answers by its files: no upstream and no program gets the request.
pub fn are_of_files(ex: &Exchange) -> bool {
    ex.location().content == ContentHandler::Files && !cgi::is_program(ex)
}

/// Methods this location answers, OPTIONS included.
pub fn allowed(ex: &Exchange) -> MethodSet {
    let location = ex.location();
    let named = location.settings.access.allowed;
    let allowed = match location.content {
        // The application decides which methods it allows; only these two never reach it.
        ContentHandler::Proxy if named.is_none() => MethodSet::known().without(Method::Trace).without(Method::Connect),
        _ => named.unwrap_or_else(|| default(ex)),
    };
    allowed.with(Method::Options)
}

/// The value of Allow: resources of resumable uploads also allow PATCH.
pub fn allow_value(ex: &Exchange) -> String {
    let allowed = allowed(ex);
    if offers_resumable(ex, allowed) { allowed.with(Method::Patch) } else { allowed }.allow_value()
}

/// 405 with Allow (RFC 9110 §15.5.6 requires it).
pub fn not_allowed(ex: &mut Exchange) -> Flow {
    let allow = allow_value(ex);
    ex.response.line(b"Allow", allow.as_bytes());
    Flow::Status(Status::METHOD_NOT_ALLOWED)
}

/// Uploads can be resumed here.
pub fn offers_resumable(ex: &Exchange, allowed: MethodSet) -> bool {
    ex.location().settings.upload.resumable.speaks.any() && takes_uploads(allowed)
}

/// One of the methods stores files.
pub fn takes_uploads(allowed: MethodSet) -> bool {
    allowed.contains(Method::Post) || allowed.contains(Method::Put)
}

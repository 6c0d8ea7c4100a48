//! A listing's form of uploads that a browser has sent without scripts: its refusal is a page of the listing's kind,
//! which replaces the listing in the window.

use super::limit::Limit;
use super::refusal::Refusal;
use crate::exchange::Exchange;
use crate::exchange::handlers::listing::{Asked, NotStored, SentForm};
use crate::exchange::handlers::methods;
use crate::http::method::Method;

/// Keeps why nothing was stored, for the page.
pub fn note(ex: &mut Exchange, refusal: &Refusal, limit: &Limit) {
    // Without a script a file is replaced by `?webserv-replace`, which DELETE allows; PUT takes a script.
    let can_replace = methods::allowed(ex).contains(Method::Delete);
    let (name, why) = (refusal.name.clone(), refusal.why.to_string());
    let upload = NotStored { name, why, most: limit.most, can_replace };
    ex.route.sent_form = Some(Box::new(SentForm { folder: ex.route.uri.clone(), asks: Asked::Upload(upload) }));
}

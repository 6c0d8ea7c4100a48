//! A listing's form of uploads that a browser has sent without scripts: its refusal is a page of the listing's kind,
//! which replaces the listing in the window.

use super::limit::Limit;
use super::refusal::Refusal;
use crate::exchange::Exchange;
use crate::exchange::handlers::listing::{NotStored, SentForm};
use crate::exchange::handlers::methods;
use crate::http::method::Method;

/// Whether the request is that form, if its client reads pages.
pub fn is_sent(ex: &Exchange) -> bool {
    ex.route.method == Method::Post && ex.location().settings.listing.upload && ex.route.uri.ends_with(b"/")
}

/// Keeps why nothing was stored, for the page.
pub fn note(ex: &mut Exchange, refusal: &Refusal, limit: &Limit) {
    if refusal.status.0 < 400 {
        return;
    }
    // PUT needs a script.
    let can_replace = methods::allowed(ex).contains(Method::Delete);
    let (name, why) = (refusal.name.clone(), refusal.why.to_string());
    let upload = NotStored { name, why, most: limit.bytes(), can_replace };
    ex.route.sent_form = Some(Box::new(SentForm { folder: ex.route.uri.clone(), action: None, upload: Some(upload) }));
}

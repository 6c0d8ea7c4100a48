//! `$secure_link` and `$secure_link_expires`.

use super::put::{Is, put};
use crate::config::template::Template;
use crate::exchange::Exchange;
use crate::http::secure_link;
use crate::services::Services;

/// Expands a template. Passed in, since the module that does so imports this one.
pub type Text = fn(&Template, &mut Exchange, &mut Services) -> Vec<u8>;

/// 1: the link is valid; 0: it has expired; unset: it is invalid. With secure_link_secret: the link itself.
pub fn state(ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>, text: Text) -> Is {
    let auth = ex.location().settings.auth.clone();
    if let Some(secret) = &auth.secure_link_secret {
        return put(secure_link::of_uri(ex.request.head.origin.of(ex.buf()), secret), out);
    }
    let (Some(link), Some(signed)) = (&auth.secure_link, &auth.secure_link_md5) else { return Is::Unset };
    let link = text(link, ex, cx);
    let signed = text(signed, ex, cx);
    match secure_link::split(&link) {
        Some((sum, expires)) if secure_link::is_right(sum, &signed) => {
            let is_over = expires.is_some_and(|(at, _)| at < cx.now.unix);
            put(Some(if is_over { b"0" } else { b"1" }), out)
        }
        _ => Is::Unset,
    }
}

/// The time in the link, whether or not the link is valid.
pub fn expires(ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>, text: Text) -> Is {
    let auth = ex.location().settings.auth.clone();
    let Some(link) = &auth.secure_link else { return Is::Unset };
    let link = text(link, ex, cx);
    put(secure_link::split(&link).and_then(|(_, expires)| expires).map(|(_, text)| text), out)
}

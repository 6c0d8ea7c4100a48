//! Which WebDAV it is: that of nginx's own module or that of clients that mount a location; and how deep.

use crate::exchange::Exchange;
use crate::http::header::HeaderId;

/// The location is WebDAV's as clients mount it, beyond what nginx's own module has.
pub fn is_webdav(ex: &Exchange) -> bool {
    !ex.here().settings.dav.ext.is_empty()
}

/// The Depth header (RFC 4918 §10.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    Zero,
    One,
    Infinity,
}

/// None: it is none of the three.
pub fn depth(ex: &Exchange, default: Depth) -> Option<Depth> {
    match ex.header(HeaderId::Depth) {
        None => Some(default),
        Some(b"0") => Some(Depth::Zero),
        Some(b"1") => Some(Depth::One),
        Some(value) if value.eq_ignore_ascii_case(b"infinity") => Some(Depth::Infinity),
        Some(_) => None,
    }
}

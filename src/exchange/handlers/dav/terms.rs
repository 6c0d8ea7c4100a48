//! Whether a location is WebDAV as nginx's own module has it or as clients that mount it expect; and the depth.

use crate::exchange::Exchange;
use crate::http::header::HeaderId;

/// The location is WebDAV for clients that mount it, beyond what nginx's own module offers.
pub fn is_webdav(ex: &Exchange) -> bool {
    !ex.location().settings.dav.ext.is_empty()
}

/// The Depth header (RFC 4918 §10.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// `0`: the resource itself.
    Zero,
    /// `1`: and its members.
    One,
    /// `infinity`: and all below.
    Infinity,
}

/// None: the header has none of the three values.
pub fn depth(ex: &Exchange, default: Depth) -> Option<Depth> {
    match ex.header(HeaderId::Depth) {
        None => Some(default),
        Some(b"0") => Some(Depth::Zero),
        Some(b"1") => Some(Depth::One),
        Some(value) if value.eq_ignore_ascii_case(b"infinity") => Some(Depth::Infinity),
        Some(_) => None,
    }
}

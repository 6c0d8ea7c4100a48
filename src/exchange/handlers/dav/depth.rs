//! The Depth header of WebDAV (RFC 4918 §10.2).

use crate::exchange::Exchange;
use crate::http::header::HeaderId;

/// How far below the resource a request reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// `0`: the resource itself.
    Zero,
    /// `1`: and its members.
    One,
    /// `infinity`: and all below.
    Infinity,
}

/// The value of the header, or `default` without it. None: it has another value than these three.
pub fn depth(ex: &Exchange, default: Depth) -> Option<Depth> {
    match ex.header(HeaderId::Depth) {
        None => Some(default),
        Some(b"0") => Some(Depth::Zero),
        Some(b"1") => Some(Depth::One),
        Some(value) if value.eq_ignore_ascii_case(b"infinity") => Some(Depth::Infinity),
        Some(_) => None,
    }
}

//! Appending values, and whether there was one.

use crate::services::clock::Clock;
use crate::sys::socket::Peer;
use crate::util::decimal;
use std::io::Write;

/// Whether a variable has a value; an unset one is empty, and `-` in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    /// It has a value, which may be empty.
    Set,
    /// It has none.
    Unset,
}

/// Appends the value, if there is one.
pub fn put(value: Option<&[u8]>, out: &mut Vec<u8>) -> Is {
    match value {
        Some(value) => {
            out.extend_from_slice(value);
            Is::Set
        }
        None => Is::Unset,
    }
}

/// An empty value counts as unset.
pub fn set(value: &[u8], out: &mut Vec<u8>) -> Is {
    put(Some(value).filter(|value| !value.is_empty()), out)
}

/// Names the boolean.
pub fn when(found: bool) -> Is {
    if found { Is::Set } else { Is::Unset }
}

/// Appends a number in decimal.
pub fn number(n: impl std::fmt::Display, out: &mut Vec<u8>) -> Is {
    write!(out, "{n}").expect("a Vec takes all that is written");
    Is::Set
}

/// `$remote_addr`.
pub fn put_peer(peer: &Peer, out: &mut Vec<u8>) {
    match peer.octets() {
        [a, b, c, d] => decimal::push_dotted([*a, *b, *c, *d], out),
        _ => {
            number(peer, out);
        }
    }
}

/// A port; 0 is that of an address without one, and empty.
pub fn put_port(port: u16, out: &mut Vec<u8>) {
    if port > 0 {
        decimal::push(u64::from(port), 0, out);
    }
}

/// As [`put_port`]; always set.
pub fn port(port: u16, out: &mut Vec<u8>) -> Is {
    put_port(port, out);
    Is::Set
}

/// `$msec`: Unix seconds and milliseconds.
pub fn put_msec(now: &Clock, out: &mut Vec<u8>) {
    write!(out, "{}.{:03}", now.unix, now.nanos / 1_000_000).expect("a Vec takes all that is written");
}

/// Milliseconds as nginx prints times: seconds with three digits.
pub fn put_seconds(ms: u64, out: &mut Vec<u8>) {
    write!(out, "{}.{:03}", ms / 1000, ms % 1000).expect("a Vec takes all that is written");
}

/// As [`put_seconds`]; always set.
pub fn seconds(ms: u64, out: &mut Vec<u8>) -> Is {
    put_seconds(ms, out);
    Is::Set
}

/// The values of all fields of that name, joined by commas.
pub fn joined<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>, name: &[u8], out: &mut Vec<u8>) -> Is {
    let mut is = Is::Unset;
    for (written, value) in fields {
        let same = written.len() == name.len()
            && written.iter().zip(name).all(|(a, b)| a.to_ascii_lowercase() == *b || *a == b'-' && *b == b'_');
        if same {
            if is == Is::Set {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(value);
            is = Is::Set;
        }
    }
    is
}

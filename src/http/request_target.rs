//! The target of a request (RFC 9110 §7.1): its forms, and the bytes that may stand in it. What it names is normalized
//! by [`super::uri`].

use crate::http::reject::Reject;
use std::ops::Range;

/// The forms of RFC 9112 §3.2.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://authority/path?query`
    Absolute,
    /// `https://authority/path?query`: for connections over TLS, which no parser knows of.
    AbsoluteHttps,
    /// `host:port`, with CONNECT only
    Authority,
    /// `*`, with OPTIONS only
    Asterisk,
}

/// Where the target ends but for its fragment. No client should send one (RFC 9112 §3.2.1); those that do mean the
/// resource without it, and nginx serves that.
///
/// # Errors
/// As [`check_bytes`].
pub fn without_fragment(line: &[u8], target: Range<usize>) -> Result<usize, Reject> {
    let checked = check_bytes(&line[target.clone()]);
    if checked.is_ok() {
        return Ok(target.end);
    }
    let Some(hash) = memchr::memchr(b'#', &line[target.clone()]).map(|at| at + target.start) else {
        return checked.map(|()| target.end);
    };
    check_bytes(&line[target.start..hash])?;
    for fragment in line[hash..target.end].split(|b| *b == b'#').filter(|part| !part.is_empty()) {
        check_bytes(fragment)?;
    }
    Ok(hash)
}

/// A target has no controls, DEL, space or fragment. Bytes from 0x80 on pass, as in nginx: file names in other
/// encodings.
pub fn check_bytes(target: &[u8]) -> Result<(), Reject> {
    let is_bad = |b: &u8| *b <= b' ' || *b == 0x7f || *b == b'#';
    if target.is_empty() {
        return Err(Reject::BadRequestLine("no target"));
    }
    // Two passes: the first has no early exit and becomes SIMD; the second runs only to name the byte.
    if target.iter().fold(false, |bad, b| bad | is_bad(b)) {
        let byte = target.iter().copied().find(is_bad).unwrap_or_default();
        return Err(Reject::BadByte { place: "the request target", byte });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_that_may_not_stand_in_a_target_is_named() {
        for byte in 0..=u8::MAX {
            let expected = match byte {
                0..=b' ' | 0x7f | b'#' => Err(Reject::BadByte { place: "the request target", byte }),
                _ => Ok(()),
            };
            assert_eq!(check_bytes(&[b'/', byte, b'a']), expected, "{byte:#x}");
        }
        assert_eq!(check_bytes(b""), Err(Reject::BadRequestLine("no target")));
    }
}

//! The syntax of fields (RFC 9110 §5.5, §5.6): classes of bytes, eight at a time where requests are parsed, white
//! space, and comma lists. Nothing here knows a field by its name.

use crate::http::reject::Reject;
use std::ops::Range;

const ONES: u64 = u64::MAX / 0xff;
const HIGH: u64 = ONES << 7;

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = matches!(b as u8,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z'
            | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        b += 1;
    }
    table
}

static TOKEN: [bool; 256] = token_table();

/// A byte of a token (RFC 9110 §5.6.2).
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Of a method: capital letters, `_` and `-` (nginx). Other bytes of tokens occur in no known method: what is no HTTP,
/// a ClientHello say, is recognised by its first byte.
pub fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-')
}

/// A non-empty run of token bytes.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| is_token_byte(*b))
}

/// How many bytes from the start are token bytes.
#[inline]
pub fn token_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    // Names are letters and dashes, mostly: eight at a time up to the first byte that is neither.
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let unusual = unusual_in_name(u64::from_le_bytes(*word));
        if unusual == 0 {
            at += 8;
            continue;
        }
        at += unusual.trailing_zeros() as usize / 8;
        if !is_token_byte(bytes[at]) {
            return at;
        }
        at += 1;
    }
    at + bytes[at..].iter().position(|b| !is_token_byte(*b)).unwrap_or(bytes.len() - at)
}

/// The highest bit of each of eight bytes that is neither a letter nor a dash.
#[inline]
const fn unusual_in_name(word: u64) -> u64 {
    // As small letters; what that makes a letter of that was none before is `@`, `[` and the like below.
    let low = (word | (ONES * 0x20)) & !HIGH;
    let letter = (low + ONES * (0x80 - b'a' as u64)) & !(low + ONES * (0x80 - b'z' as u64 - 1));
    let upper_half = (word & (ONES * 0x40)) << 1;
    let other = word ^ (ONES * b'-' as u64);
    let dash = !(((other & !HIGH) + ONES * 0x7f) | other);
    !((letter & upper_half | dash) & !word) & HIGH
}

/// A byte of a field value: HTAB, SP, visible ASCII, or obs-text (RFC 9110 §5.5).
#[inline]
pub fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

/// True when every byte may stand in a field value. Eight bytes at a time: values are short, and a loop over bytes
/// was a tenth of what a proxied request costs.
#[inline]
pub fn is_field_value(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut suspect = 0;
    for word in words {
        suspect |= controls(u64::from_le_bytes(*word));
    }
    // The last eight again rather than what is left one by one.
    match bytes.last_chunk() {
        Some(last) => suspect |= controls(u64::from_le_bytes(*last)),
        None => return rest.iter().all(|b| is_field_byte(*b)),
    }
    // Among control bytes there may be a tab, which is none here.
    suspect == 0 || bytes.iter().all(|b| is_field_byte(*b))
}

/// How many bytes from the start are such as nearly all values have: field bytes, but no tab.
#[inline]
pub fn text_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    for word in bytes.as_chunks::<8>().0 {
        let found = controls(u64::from_le_bytes(*word));
        if found != 0 {
            // The lowest one is right; those above it may be borrowed.
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(|b| *b < b' ' || *b == 0x7f).unwrap_or(bytes.len() - at)
}

/// Where the first colon of a line stands, if that is within its first 40 bytes: names of fields are shorter.
#[inline]
pub fn colon(line: &[u8]) -> Option<usize> {
    let line = line.get(..40).unwrap_or(line);
    let (words, rest) = line.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let other = u64::from_le_bytes(*word) ^ (ONES * b':' as u64);
        let found = other.wrapping_sub(ONES) & !other & HIGH;
        if found != 0 {
            return Some(8 * at + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|b| *b == b':').map(|at| 8 * words.len() + at)
}

/// Splits a field line (without its line end) into the length of its name and the range of its trimmed value. The
/// rules of RFC 9112 §5, for heads, trailers, and the heads of parts of a form alike.
pub fn split_field(line: &[u8]) -> Result<(usize, Range<usize>), Reject> {
    let name_len = token_len(line);
    match (name_len, line.get(name_len)) {
        (0, Some(b' ' | b'\t')) => return Err(Reject::BadField("a line folded onto the one before")),
        (0, Some(b':')) => return Err(Reject::BadField("empty name")),
        (_, Some(b':')) => {}
        (_, None) => return Err(Reject::BadField("no colon")),
        (_, Some(b' ' | b'\t')) => return Err(Reject::BadField("a blank between name and colon")),
        (_, Some(&byte)) => return Err(Reject::BadByte { place: "a header name", byte }),
    }
    let raw = &line[name_len + 1..];
    if !is_field_value(raw) {
        let byte = raw.iter().copied().find(|b| !is_field_byte(*b)).unwrap_or_default();
        return Err(Reject::BadByte { place: "a header value", byte });
    }
    let blanks = raw.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let start = name_len + 1 + blanks;
    Ok((name_len, start..start + trim_ows(raw).len()))
}

/// Appends a field value; what may not stand in one becomes a blank.
pub fn push_value(value: &[u8], out: &mut Vec<u8>) {
    match is_field_value(value) {
        true => out.extend_from_slice(value),
        false => out.extend(value.iter().map(|b| if is_field_byte(*b) { *b } else { b' ' })),
    }
}

/// Not 0 when one of eight bytes is below the space or is DEL.
#[inline]
const fn controls(word: u64) -> u64 {
    let below = word.wrapping_sub(ONES * b' ' as u64) & !word;
    let del = word ^ (ONES * 0x7f);
    (below | del.wrapping_sub(ONES) & !del) & HIGH
}

/// Without SP and HTAB at both ends.
#[inline]
pub fn trim_ows(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b' ' | b'\t', tail @ ..] = rest {
        rest = tail;
    }
    while let [head @ .., b' ' | b'\t'] = rest {
        rest = head;
    }
    rest
}

/// The members of a comma list, trimmed, empty ones included (the caller knows whether they matter). Commas inside
/// quoted strings do not separate.
pub fn list(value: &[u8]) -> List<'_> {
    List { rest: Some(value) }
}

/// Iterator of [`list`].
#[derive(Clone, Debug)]
pub struct List<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for List<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (mut quoted, mut escaped) = (false, false);
        let comma = rest.iter().position(|b| {
            if escaped {
                escaped = false;
            } else {
                match b {
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    b',' if !quoted => return true,
                    _ => {}
                }
            }
            false
        });
        let (member, tail) = match comma {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        self.rest = tail;
        Some(trim_ows(member))
    }
}

/// A weight, as `q=0.25`, in thousandths (RFC 9110 §12.4.2). None: it is malformed, or another parameter.
pub fn weight(parameter: &[u8]) -> Option<u16> {
    let (whole, digits) = match parameter {
        [b'q' | b'Q', b'=', whole @ b'0'..=b'1'] => (whole, &[][..]),
        [b'q' | b'Q', b'=', whole @ b'0'..=b'1', b'.', digits @ ..] => (whole, digits),
        _ => return None,
    };
    let digit = |at: usize| digits.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let weight = (0..3).fold(u16::from(whole - b'0'), |sum, at| sum * 10 + digit(at));
    (weight <= 1000).then_some(weight)
}

/// A member of a list of preferences without its parameters, and its weight: 1000 where it has none, None where that
/// is malformed.
pub fn weighted(member: &[u8]) -> (&[u8], Option<u16>) {
    let mut parts = member.split(|b| *b == b';').map(trim_ows);
    let preferred = parts.next().unwrap_or_default();
    let of = parts.find(|parameter| matches!(parameter, [b'q' | b'Q', b'=', ..]));
    (preferred, of.map_or(Some(1000), weight))
}

#[cfg(test)]
mod tests;

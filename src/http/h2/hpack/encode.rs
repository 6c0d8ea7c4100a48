//! Fields to header blocks (RFC 7541 §6), without a dynamic table: what a server says is mostly new (dates, lengths,
//! tags), a table would cost memory on every connection, and blocks that depend on none can be made once and sent many
//! times.
//!
//! Invariant: the first block of a connection begins with [`NO_TABLE`], which no size a client may ask for later
//! contradicts (§4.2).

use super::static_table::static_name;
use crate::http::h2::huffman;

/// A table size of 0 (§6.3).
pub const NO_TABLE: u8 = 0x20;

/// `:status`.
pub fn status(out: &mut Vec<u8>, status: u16) {
    let index = match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => 0,
    };
    if index > 0 {
        out.push(0x80 | index);
        return;
    }
    // A literal with the name of index 8, as digits: three bytes, no shorter coded.
    let digit = |n: u16| b'0' + (n % 10) as u8;
    out.extend_from_slice(&[8, 3, digit(status / 100), digit(status / 10), digit(status)]);
}

/// A field. The name is written in lower case (RFC 9113 §8.2); whether it may be sent at all is the caller's question.
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    match static_name(name) {
        0 => {
            out.push(0);
            integer(out, 0, 7, name.len());
            out.extend(name.iter().map(u8::to_ascii_lowercase));
        }
        index => integer(out, 0, 4, usize::from(index)),
    }
    string(out, value);
}

/// A field whose value is written as it is, for a place that is written over: the name has to be a static one.
pub fn plain(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    integer(out, 0, 4, usize::from(static_name(name)));
    integer(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

/// A string, coded where that is shorter (§5.2).
fn string(out: &mut Vec<u8>, text: &[u8]) {
    let len = huffman::encoded_len(text);
    if len < text.len() {
        integer(out, 0x80, 7, len);
        huffman::encode(text, out);
    } else {
        integer(out, 0, 7, text.len());
        out.extend_from_slice(text);
    }
}

/// §5.1: an integer with a prefix of that many bits, beside the bits before it.
pub fn integer(out: &mut Vec<u8>, bits: u8, prefix: u32, value: usize) {
    let full = (1usize << prefix) - 1;
    if value < full {
        out.push(bits | value as u8);
        return;
    }
    out.push(bits | full as u8);
    let mut rest = value - full;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::super::{Block, Bounds, Decoder};
    use super::*;

    #[test]
    fn integers_are_written_as_in_the_examples() {
        // RFC 7541 appendix C.1.
        let table: [(u32, usize, &[u8]); 4] =
            [(5, 10, &[0x0a]), (5, 1337, &[0x1f, 0x9a, 0x0a]), (8, 42, &[0x2a]), (5, 31, &[0x1f, 0])];
        for (prefix, value, bytes) in table {
            let mut out = Vec::new();
            integer(&mut out, 0, prefix, value);
            assert_eq!(out, bytes, "{value}");
        }
    }

    #[test]
    fn a_status_of_the_static_table_is_one_byte() {
        // RFC 7541 appendix A.
        for (code, byte) in [(200, 0x88), (204, 0x89), (206, 0x8a), (304, 0x8b), (400, 0x8c), (404, 0x8d), (500, 0x8e)]
        {
            let mut out = Vec::new();
            status(&mut out, code);
            assert_eq!(out, [byte], "{code}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let long = "x".repeat(5000);
        let fields = [
            ("Content-Type", "text/html"),
            ("x-empty", ""),
            ("ETag", "\"65a-5f\""),
            ("X-Long", long.as_str()),
            ("!#$%", "\u{e9}"),
            ("", "nameless"),
        ];
        for code in [200u16, 204, 206, 304, 400, 404, 500, 100, 103, 226, 599] {
            let mut out = vec![NO_TABLE];
            status(&mut out, code);
            for (name, value) in fields {
                field(&mut out, name.as_bytes(), value.as_bytes());
            }
            let mut block = Block::default();
            let bounds = Bounds { total: 100_000, fields: 100 };
            assert_eq!(Decoder::default().decode(&out, &bounds, &mut block), Ok(()));
            let got: Vec<(String, String)> = (block.fields.iter())
                .map(|field| [field.name, field.value].map(|s| String::from_utf8_lossy(s.of(&block.text)).into_owned()))
                .map(|[name, value]| (name, value))
                .collect();
            let mut wanted = vec![(":status".to_owned(), code.to_string())];
            wanted.extend(fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())));
            assert_eq!(got, wanted);
        }
    }
}

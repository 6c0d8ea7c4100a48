//! The Range header (RFC 9110 §14.2), with nginx's answers: same ranges, same refusals, so its tests hold.
//!
//! Kinder than nginx in two ways: empty list members are skipped (RFC 9110 §5.6.1.2), and a position too large for a
//! number is past the end instead of a syntax error.

use super::field_syntax::trim_ows;
use crate::util::decimal;

/// Byte ranges beyond this many make the header be ignored, whatever `max_ranges` says.
const MOST: usize = 1000;

/// Bytes from `start` up to, not including, `end` of a representation. Never empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset behind the last byte: one more than RFC 9110's last-pos.
    pub end: u64,
}

impl ByteRange {
    /// Bytes.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What a Range header asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ranges {
    /// Answer as if there were no Range: another unit, too many ranges, or more bytes than the whole.
    None,
    /// 416: malformed (nginx), or entirely outside the content.
    Unsatisfiable,
    /// A single range: 206 with Content-Range.
    One(ByteRange),
    /// In the order asked for, neither sorted nor merged.
    Many(Vec<ByteRange>),
}

/// Reads a Range value against a representation of `size` bytes. `max` is `max_ranges`; `None` is its default, under
/// which nginx also ignores ranges whose part headers would cost more than they save.
pub fn parse(value: &[u8], size: u64, max: Option<usize>) -> Ranges {
    let is_bytes = value.get(..6).is_some_and(|unit| unit.eq_ignore_ascii_case(b"bytes="));
    // nginx ignores `bytes=` alone.
    if !is_bytes || value.len() == 6 || max == Some(0) {
        return Ranges::None;
    }
    let mut found = Ranges::Unsatisfiable;
    // Wider than any sum of that many lengths: nothing can saturate into equality with the size.
    let (mut count, mut sum) = (0usize, 0u128);
    for member in value[6..].split(|b| *b == b',').map(trim_ows).filter(|m| !m.is_empty()) {
        let Some((start, end)) = resolve(member, size) else { return Ranges::Unsatisfiable };
        if start >= end {
            if start == 0 {
                return Ranges::None;
            }
            continue;
        }
        count += 1;
        sum += u128::from(end - start);
        if count > max.unwrap_or(MOST).min(MOST) {
            return Ranges::None;
        }
        let range = ByteRange { start, end };
        found = match found {
            Ranges::One(first) => Ranges::Many(vec![first, range]),
            Ranges::Many(mut ranges) => {
                ranges.push(range);
                Ranges::Many(ranges)
            }
            _ => Ranges::One(range),
        };
    }
    let is_wasteful = max.is_none() && sum + count as u128 * 256 > u128::from(size) + 4096;
    if count > 1 && (sum > u128::from(size) || is_wasteful) { Ranges::None } else { found }
}

/// Start and end of one member, `None` if it is malformed; `start >= end` if nothing of it lies inside.
fn resolve(member: &[u8], size: u64) -> Option<(u64, u64)> {
    let dash = memchr::memchr(b'-', member)?;
    let (first, last) = (trim_ows(&member[..dash]), &member[dash + 1..]);
    if first.is_empty() {
        let suffix = number(last)?;
        return Some((size.saturating_sub(suffix), size));
    }
    let start = number(first)?;
    let last = trim_ows(last);
    let end = if last.is_empty() { size } else { number(last)?.saturating_add(1).min(size) };
    Some((start, end))
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0'))))
}

/// Appends what goes before a part of a multipart/byteranges body; an empty type is not named.
pub fn part_head(out: &mut Vec<u8>, boundary: &[u8], content_type: &[u8], range: ByteRange, size: u64) {
    out.extend_from_slice(b"\r\n--");
    out.extend_from_slice(boundary);
    out.extend_from_slice(b"\r\n");
    if !content_type.is_empty() {
        out.extend_from_slice(b"Content-Type: ");
        out.extend_from_slice(content_type);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Content-Range: ");
    content_range(range, size, out);
    out.extend_from_slice(b"\r\n\r\n");
}

/// Appends the end of a multipart/byteranges body.
pub fn part_tail(out: &mut Vec<u8>, boundary: &[u8]) {
    out.extend_from_slice(b"\r\n--");
    out.extend_from_slice(boundary);
    out.extend_from_slice(b"--\r\n");
}

/// Appends a Content-Range value.
pub fn content_range(range: ByteRange, size: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"bytes ");
    decimal::push(range.start, 0, out);
    out.push(b'-');
    decimal::push(range.end - 1, 0, out);
    out.push(b'/');
    decimal::push(size, 0, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(value: &str, size: u64, max: Option<usize>) -> String {
        let one = |r: &ByteRange| format!("{}-{}", r.start, r.end - 1);
        match parse(value.as_bytes(), size, max) {
            Ranges::None => "whole".into(),
            Ranges::Unsatisfiable => "416".into(),
            Ranges::One(range) => one(&range),
            Ranges::Many(ranges) => ranges.iter().map(one).collect::<Vec<_>>().join(","),
        }
    }

    #[test]
    fn a_part_has_its_boundary_type_and_range_before_it() {
        for (kind, line) in [("t/p", "Content-Type: t/p\r\n"), ("", "")] {
            let mut out = b"data".to_vec();
            part_head(&mut out, b"b", kind.as_bytes(), ByteRange { start: 2, end: 5 }, 10);
            part_tail(&mut out, b"b");
            let head = format!("data\r\n--b\r\n{line}Content-Range: bytes 2-4/10\r\n\r\n");
            assert_eq!(String::from_utf8_lossy(&out), head + "\r\n--b--\r\n");
        }
    }

    #[test]
    fn parts_that_cost_more_than_they_save_are_the_whole() {
        let single = |count: u64| (0..count).map(|at| format!("{at}-{at}")).collect::<Vec<_>>().join(",");
        assert_eq!(show(&format!("bytes={}", single(16)), 16, None), single(16));
        assert_eq!(show(&format!("bytes={}", single(17)), 17, None), "whole");
        assert!(ByteRange { start: 2, end: 2 }.is_empty() && !ByteRange { start: 2, end: 3 }.is_empty());
    }

    #[test]
    fn ranges_of_a_thousand_bytes() {
        let table = [
            ("bytes=0-8", "0-8"),
            ("bytes=-10", "990-999"),
            ("bytes=990-", "990-999"),
            ("bytes=990-1990", "990-999"),
            ("bytes=0-", "0-999"),
            ("bytes=-1000", "0-999"),
            ("bytes=-1001", "0-999"),
            ("bytes=999-", "999-999"),
            ("bytes=0-9, -10, 10-19", "0-9,990-999,10-19"),
            ("bytes=0-9, -10, 100000-, 10-19", "0-9,990-999,10-19"),
            ("BYTES=0-0", "0-0"),
            ("bytes= 0 - 5 ", "0-5"),
            ("bytes=,0-1,, 3-3,", "0-1,3-3"),
            ("bytes=0-1\t,\t3-3", "0-1,3-3"),
            ("bytes=0-10001", "0-999"),
            ("bytes=0-10001, 0-0", "whole"),
            ("bytes=0-499,0-499", "0-499,0-499"),
            ("bytes=0-99999999999999999999999", "0-999"),
            ("bytes=-99999999999999999999999", "0-999"),
            ("bytes=0-18446744073709551615", "0-999"),
            ("bytes=1000-", "416"),
            ("bytes=100000-", "416"),
            ("bytes=99999999999999999999999-", "416"),
            ("bytes=-0", "416"),
            ("bytes=5-3", "416"),
            ("bytes=alpha", "416"),
            ("bytes=10-alpha", "416"),
            ("bytes=10", "416"),
            ("bytes=10-11 12-", "416"),
            ("bytes=0-1,x", "416"),
            ("bytes=-", "416"),
            ("bytes=--1", "416"),
            ("bytes=+1-2", "416"),
            ("bytes=0x1-2", "416"),
            ("bytes=,", "416"),
            ("bytes=1-2-3", "416"),
            ("bytes=- 5", "416"),
            ("bytes=", "whole"),
            ("bytes", "whole"),
            ("items=0-1", "whole"),
            ("", "whole"),
            ("bytes =0-1", "whole"),
        ];
        for (value, expected) in table {
            assert_eq!(show(value, 1000, None), expected, "{value}");
        }
    }

    #[test]
    fn an_empty_file_has_no_ranges_but_is_served_whole() {
        for (value, expected) in
            [("bytes=0-", "whole"), ("bytes=0-0", "whole"), ("bytes=-1", "whole"), ("bytes=1-", "416")]
        {
            assert_eq!(show(value, 0, None), expected, "{value}");
        }
    }

    #[test]
    fn lengths_that_overflow_their_sum_are_more_than_the_whole() {
        assert_eq!(show("bytes=0-,-1", u64::MAX, None), "whole");
        assert_eq!(show("bytes=0-,-1", u64::MAX, Some(5)), "whole");
    }

    #[test]
    fn more_ranges_than_allowed_or_worth_it_are_the_whole() {
        let table = [
            ("bytes=0-1", Some(0), "whole"),
            ("bytes=0-1", Some(1), "0-1"),
            ("bytes=0-1,3-3", Some(1), "whole"),
            ("bytes=0-1,3-3", Some(2), "0-1,3-3"),
            ("bytes=0-1,100000-", Some(1), "0-1"),
        ];
        for (value, max, expected) in table {
            assert_eq!(show(value, 1000, max), expected, "{value} {max:?}");
        }
        let many = format!("bytes={}", "0-0,".repeat(30));
        assert_eq!(show(&many, 1000, None), "whole");
        assert_eq!(show(&many, 1000, Some(30)).matches(',').count(), 29);
        assert_eq!(show(&format!("bytes={}", "0-0,".repeat(1001)), 1 << 40, Some(5000)), "whole");
    }
}

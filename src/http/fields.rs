//! Header and trailer fields: names and values, in order, of a message that is being made, or the trailers of one that
//! was received. Who adds and reads them sees no protocol's text.
//!
//! They are kept as the lines of HTTP/1 all the same, which [`super::h1::field_line`] writes and takes apart: its
//! encoder then copies all of them at once (most responses are HTTP/1's, and one buffer is the only allocation), and
//! HTTP/2's, which has to look at each field anyway, pays for finding it.
//!
//! Invariant: a value holds no control byte but the tab, so that a decoded path or a capture never starts a field of
//! its own.

use crate::http::field_syntax::{is_field_value, push_value, split_field};
use crate::http::h1::field_line;

/// Fields in the order in which they were added. How they are kept is [`super::h1`]'s business ([`Fields::lines`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    lines: Vec<u8>,
}

impl Fields {
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn clear(&mut self) {
        self.lines.clear();
    }

    /// Adds a field. Control bytes in the value become spaces.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        field_line::append(name, &mut self.lines, |lines| push_value(value, lines));
    }

    /// Adds a field whose value is known to have no control byte but the tab.
    pub fn push_checked(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(is_field_value(value), "a value that was not checked");
        self.lines.reserve(name.len() + value.len() + 4);
        field_line::append(name, &mut self.lines, |lines| lines.extend_from_slice(value));
    }

    /// Copies all of `other`'s fields behind the present ones; equal names are not merged.
    pub fn append(&mut self, other: &Fields) {
        self.lines.extend_from_slice(&other.lines);
    }

    /// Names as they were pushed, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        field_line::each(&self.lines).filter_map(field_line::parts)
    }

    /// The values of all fields of that name.
    pub fn all(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(written, _)| written.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of the first field of that name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Takes away every field of that name.
    pub fn remove(&mut self, name: &[u8]) {
        let of = |line: &[u8]| {
            line.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name)) && line.get(name.len()) == Some(&b':')
        };
        let is_line = |line: &&[u8]| !of(line);
        if field_line::each(&self.lines).any(of) {
            self.lines = field_line::each(&self.lines).filter(is_line).flatten().copied().collect();
        }
    }

    /// Each field as a line with its CRLF.
    pub(in crate::http) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// For a parser of HTTP/1, which checks each line as it ends: the last one may be incomplete until then.
    pub(in crate::http) fn lines_mut(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// What [`Fields::to_lines`] made. None: these are no such lines.
    pub fn of_lines(lines: &[u8]) -> Option<Fields> {
        let mut fields = Fields::default();
        for line in field_line::each(lines) {
            let line = line.strip_suffix(b"\r\n")?;
            let (name, value) = split_field(line).ok()?;
            fields.push_checked(&line[..name], &line[value]);
        }
        Some(fields)
    }

    /// As [`Fields::lines`], to be kept on disk.
    pub fn to_lines(&self) -> Vec<u8> {
        self.lines.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_values_stay_on_their_line() {
        let mut fields = Fields::default();
        fields.push(b"A", b"1");
        fields.push(b"b", b"x\r\nC: y\x7f\tz");
        fields.push(b"a", b"");
        let all: Vec<_> = fields.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        let expected = [(&b"A"[..], &b"1"[..]), (b"b", b"x  C: y \tz"), (b"a", b"")];
        assert_eq!(all, expected.map(|(n, v)| (n.to_vec(), v.to_vec())));
        assert_eq!(fields.get(b"B"), Some(&b"x  C: y \tz"[..]));
        fields.remove(b"A");
        assert_eq!(fields.iter().count(), 1);
        assert_eq!(fields.get(b"a"), None);
        assert_eq!(fields.to_lines(), b"b: x  C: y \tz\r\n");
        fields.clear();
        assert!(fields.is_empty() && fields.iter().next().is_none());
    }

    #[test]
    fn fields_that_were_kept_as_lines_are_read_back() {
        let mut fields = Fields::default();
        fields.push_checked(b"A", b"1");
        fields.push_checked(b"b", b"");
        let mut more = Fields::default();
        more.push_checked(b"a", b"x: y");
        fields.append(&more);
        assert_eq!(fields.to_lines(), b"A: 1\r\nb: \r\na: x: y\r\n");
        let read = Fields::of_lines(&fields.to_lines()).expect("lines");
        assert!(read.iter().eq(fields.iter()) && read.iter().count() == 3);
        for lines in [&b"A: 1"[..], b"A: 1\n", b"no field\r\n", b"A: 1\r\nb: \x01\r\n"] {
            assert!(Fields::of_lines(lines).is_none(), "{}", lines.escape_ascii());
        }
    }
}

//! A DER reader for certificates and keys: definite lengths of at most four bytes, one-byte tags. Copies nothing.
//! Invariant: every slice lies inside the input, and each value read consumes at least two bytes.

use crate::util::date::Civil;

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OID: u8 = 0x06;
pub const ENUMERATED: u8 = 0x0a;
pub const UTF8: u8 = 0x0c;
pub const UNIVERSAL: u8 = 0x1c;
pub const BMP: u8 = 0x1e;
pub const UTC_TIME: u8 = 0x17;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// The input is not DER, or not of the expected shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A position in DER.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// One value: its tag, its content, and both together as written.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// Behind tag and length.
    pub content: &'a [u8],
    /// Tag and length included, for signatures.
    pub whole: &'a [u8],
}

impl<'a> Value<'a> {
    /// Reads the values in a constructed one.
    pub fn reader(self) -> Reader<'a> {
        Reader::new(self.content)
    }
}

impl<'a> Reader<'a> {
    /// Reads values from the beginning.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// All has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next value.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next value, of any tag.
    pub fn any(&mut self) -> Result<Value<'a>, Malformed> {
        let [tag, first, after @ ..] = self.rest else { return Err(Malformed) };
        if tag & 0x1f == 0x1f {
            return Err(Malformed);
        }
        let (length, head) = match first {
            0..=0x7f => (usize::from(*first), 2),
            0x81..=0x84 => {
                let digits = usize::from(first & 0x7f);
                let bytes = after.get(..digits).ok_or(Malformed)?;
                (bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)), 2 + digits)
            }
            _ => return Err(Malformed),
        };
        let end = head.checked_add(length).ok_or(Malformed)?;
        let whole = self.rest.get(..end).ok_or(Malformed)?;
        self.rest = &self.rest[end..];
        Ok(Value { tag: *tag, content: &whole[head..], whole })
    }

    /// The next value, which must have this tag.
    pub fn take(&mut self, tag: u8) -> Result<Value<'a>, Malformed> {
        if self.peek() == Some(tag) { self.any() } else { Err(Malformed) }
    }

    /// The next value if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Value<'a>>, Malformed> {
        if self.peek() == Some(tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// The next value, which must be a SEQUENCE.
    pub fn sequence(&mut self) -> Result<Reader<'a>, Malformed> {
        Ok(self.take(SEQUENCE)?.reader())
    }

    /// A small INTEGER that is not negative.
    pub fn number(&mut self) -> Result<u64, Malformed> {
        let content = self.take(INTEGER)?.content;
        match content {
            [] => Err(Malformed),
            [first, ..] if first & 0x80 != 0 || content.len() > 8 => Err(Malformed),
            _ => Ok(content.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))),
        }
    }

    /// The bytes of a BIT STRING whose length is a multiple of eight bits.
    pub fn bits(&mut self) -> Result<&'a [u8], Malformed> {
        match self.take(BIT_STRING)?.content {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(Malformed),
        }
    }
}

/// A UTCTime or GeneralizedTime, in the form that RFC 5280 requires in certificates, as Unix seconds.
pub fn time(value: Value<'_>) -> Result<i64, Malformed> {
    let (digits, year) = match (value.tag, value.content) {
        (UTC_TIME, [digits @ .., b'Z']) if digits.len() == 12 => {
            let year = i32::from(two(digits, 0)?);
            (digits, if year < 50 { 2000 + year } else { 1900 + year })
        }
        (GENERALIZED_TIME, [digits @ .., b'Z']) if digits.len() == 14 => {
            (&digits[2..], i32::from(two(digits, 0)?) * 100 + i32::from(two(digits, 2)?))
        }
        _ => return Err(Malformed),
    };
    let civil = Civil {
        year,
        month: two(digits, 2)?,
        day: two(digits, 4)?,
        hour: two(digits, 6)?,
        minute: two(digits, 8)?,
        second: two(digits, 10)?,
        weekday: 0,
    };
    civil.to_unix().ok_or(Malformed)
}

fn two(digits: &[u8], at: usize) -> Result<u8, Malformed> {
    match digits.get(at..at + 2) {
        Some([a @ b'0'..=b'9', b @ b'0'..=b'9']) => Ok((a - b'0') * 10 + (b - b'0')),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_cut_ones_refused() {
        let bytes = [0x30, 0x06, 0x02, 0x01, 0x2a, 0x04, 0x01, b'x', 0x01];
        let mut reader = Reader::new(&bytes);
        let mut inner = reader.sequence().expect("a sequence");
        assert_eq!(inner.number(), Ok(42));
        assert_eq!(inner.take(OCTET_STRING).expect("a string").content, b"x");
        assert!(inner.is_empty());
        assert!(reader.any().is_err());
        for cut in 0..8 {
            assert!(Reader::new(&bytes[..cut]).sequence().is_err(), "cut at {cut}");
        }
        assert!(Reader::new(&[0x30, 0x80, 0, 0]).any().is_err(), "indefinite length");
        assert!(Reader::new(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).any().is_err());
    }

    #[test]
    fn times_count_from_1970() {
        let utc = |text: &'static str| time(Value { tag: UTC_TIME, content: text.as_bytes(), whole: &[] });
        let general = |text: &'static str| time(Value { tag: GENERALIZED_TIME, content: text.as_bytes(), whole: &[] });
        assert_eq!(utc("700101000000Z"), Ok(0));
        assert_eq!(utc("260228235959Z"), Ok(1_772_323_199));
        assert_eq!(general("20500101000000Z"), Ok(2_524_608_000));
        assert_eq!(general("99991231235959Z"), Ok(253_402_300_799));
        assert_eq!(utc("2602282359Z"), Err(Malformed));
        assert_eq!(utc("261328235959Z"), Err(Malformed));
    }
}

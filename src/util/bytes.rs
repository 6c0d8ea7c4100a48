//! Questions about all bytes of a short text, eight at a time: names, paths and header values are too short for SIMD to
//! pay, and testing one byte at a time takes five times as long.
//!
//! Invariant: each question is exact for every byte; `tests` ask it of all of them, at every place and length.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Some byte is below `n`, which is at most 128. It says exactly whether, not which.
fn below(word: u64, n: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(n)) & !word & HIGH
}

fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// Whether `test` finds something in a word of the text; what fills the last word up is found by none.
fn any(text: &[u8], test: impl Fn(u64) -> u64) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut found = 0;
    for word in words {
        found |= test(u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let last = match text.last_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest.iter().fold(ONES * u64::from(b'a'), |word, byte| word << 8 | u64::from(*byte)),
        };
        found |= test(last);
    }
    found != 0
}

/// Whether it begins with that text, in whatever case.
pub fn begins_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// A control byte: below the space, or DEL.
pub fn has_control(text: &[u8]) -> bool {
    any(text, |word| below(word, b' ') | equal(word, 0x7f))
}

/// A control byte, or one of these.
pub fn has_control_or(text: &[u8], [one, other]: [u8; 2]) -> bool {
    any(text, |word| below(word, b' ') | equal(word, 0x7f) | equal(word, one) | equal(word, other))
}

/// Nothing but visible ASCII and the space.
pub fn is_printable(text: &[u8]) -> bool {
    !any(text, |word| below(word, b' ') | equal(word, 0x7f) | word & HIGH)
}

/// As [`is_printable`], without `"` and `\`: may stand between quotes as it is.
pub fn is_quotable(text: &[u8]) -> bool {
    !any(text, |word| below(word, b' ') | equal(word, 0x7f) | word & HIGH | equal(word, b'"') | equal(word, b'\\'))
}

/// A byte as `\xNN`, as in nginx's logs.
pub fn escape(byte: u8) -> [u8; 4] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    [b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_judged_alike_at_every_place() {
        let control = |b: u8| b < b' ' || b == 0x7f;
        for len in 0..=20 {
            for byte in 0..=255 {
                for at in 0..len {
                    for around in [b'a', b' ', b'~', b'!'] {
                        let mut text = vec![around; len];
                        text[at] = byte;
                        let shown = || format!("{byte:#x} at {at} of {len} amid {around:#x}");
                        assert_eq!(has_control(&text), control(byte), "{}", shown());
                        let marked = control(byte) || byte == b'%' || byte == b'#';
                        assert_eq!(has_control_or(&text, *b"%#"), marked, "{}", shown());
                        assert_eq!(is_printable(&text), byte.is_ascii() && !control(byte), "{}", shown());
                        let quotable = byte.is_ascii() && !control(byte) && byte != b'"' && byte != b'\\';
                        assert_eq!(is_quotable(&text), quotable, "{}", shown());
                    }
                }
            }
        }
        assert!(!has_control(b"") && is_printable(b"") && is_quotable(b""));
    }

    #[test]
    fn bytes_beside_one_that_is_found_do_not_hide_or_feign_others() {
        // A borrow of one byte reaches the next: two neighbours of every kind.
        for one in 0..=255u8 {
            for other in 0..=255u8 {
                let text = [one, other];
                let control = |b: u8| b < b' ' || b == 0x7f;
                assert_eq!(has_control(&text), control(one) || control(other), "{text:?}");
                let plain = |b: u8| b.is_ascii() && !control(b);
                assert_eq!(is_printable(&text), plain(one) && plain(other), "{text:?}");
            }
        }
    }
}

//! The digits of crypt(3)'s hashes: 64 of them, the lowest first in most formats.

/// The digit for each value of six bits. Neither the alphabet nor the order of base64 (RFC 4648).
pub const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The value of a digit.
pub fn digit(byte: u8) -> Option<u8> {
    DIGITS.iter().position(|digit| *digit == byte).map(|at| at as u8)
}

/// `count` digits of a number, the lowest first.
pub fn push(mut value: u32, count: usize, out: &mut Vec<u8>) {
    for _ in 0..count {
        out.push(DIGITS[(value & 63) as usize]);
        value >>= 6;
    }
}

/// Bytes from digits: each three from four, the lowest first. None where a byte is no digit, or bits are left over.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for four in text.chunks(4) {
        let mut value = 0;
        for (at, byte) in four.iter().enumerate() {
            value |= u32::from(digit(*byte)?) << (6 * at);
        }
        let whole = four.len() * 6 / 8;
        let bytes = value.to_le_bytes();
        if whole == 0 || bytes[whole..].iter().any(|byte| *byte != 0) {
            return None;
        }
        out.extend_from_slice(&bytes[..whole]);
    }
    Some(out)
}

/// The digits of bytes, for [`decode`].
pub fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for three in bytes.chunks(3) {
        let value = three.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        push(value, three.len() + 1, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back() {
        for len in 0..20u8 {
            let bytes: Vec<u8> = (0..len).map(|n| n.wrapping_mul(83).wrapping_add(200)).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        for text in ["a", "ab!", "zz", "abcde"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}

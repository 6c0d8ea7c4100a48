//! Numbers as digits, without the machinery of formatting: for response heads and long listings.

/// Decimal digits, right-aligned with spaces to `width` (0 for none). `write!` costs five times as much.
pub fn push(mut n: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b' '; 20];
    let mut at = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (n % 10) as u8;
        n /= 10;
        at -= 1;
        if n == 0 {
            break;
        }
    }
    let from = at.min(digits.len().saturating_sub(width));
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

/// Digits of the largest number.
pub const DIGITS: usize = 20;

/// Decimal digits in a place of the caller's.
pub fn digits(mut n: u64, place: &mut [u8; DIGITS]) -> &[u8] {
    let mut at = DIGITS;
    for slot in place.iter_mut().rev() {
        *slot = b'0' + (n % 10) as u8;
        n /= 10;
        at -= 1;
        if n == 0 {
            break;
        }
    }
    place.get(at..).unwrap_or_default()
}

/// An IPv4 address.
pub fn push_dotted(octets: [u8; 4], out: &mut Vec<u8>) {
    let mut text = [0; 16];
    let mut at = 0;
    for octet in octets {
        let (digits, len) = OCTETS[usize::from(octet)];
        // There is room for the longest; what is too much is written over.
        text[at..at + 4].copy_from_slice(&digits);
        at += len;
    }
    out.extend_from_slice(text.get(..at - 1).unwrap_or_default());
}

/// Each octet with a dot behind, and how many bytes that is.
const OCTETS: [([u8; 4], usize); 256] = {
    let mut table = [([b'.'; 4], 0); 256];
    let mut n = 0;
    while n < 256 {
        let digits = [n / 100, n / 10 % 10, n % 10];
        let mut at = if n >= 100 {
            0
        } else if n >= 10 {
            1
        } else {
            2
        };
        while at < 3 {
            table[n].0[table[n].1] = b'0' + digits[at] as u8;
            table[n].1 += 1;
            at += 1;
        }
        // The dot.
        table[n].1 += 1;
        n += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_formatting_writes_them() {
        for n in [0, 7, 10, 99, 100, 65_535, 1_000_000, u64::MAX] {
            for width in [0, 1, 5, 19, 20, 25] {
                let mut out = b"x".to_vec();
                push(n, width, &mut out);
                // Twenty digits are all there are.
                assert_eq!(String::from_utf8_lossy(&out), format!("x{n:width$}", width = width.min(20)), "{n} {width}");
            }
        }
        for octets in [[0, 0, 0, 0], [127, 0, 0, 1], [255, 255, 255, 255], [192, 168, 10, 200]] {
            let mut out = Vec::new();
            push_dotted(octets, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), std::net::Ipv4Addr::from(octets).to_string());
        }
    }
}

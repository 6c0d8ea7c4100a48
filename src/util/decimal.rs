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

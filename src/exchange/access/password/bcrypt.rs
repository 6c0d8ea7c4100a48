//! bcrypt: `$2a$`, `$2b$` and `$2y$`, which are the same for passwords without NUL. Only the first 72 bytes of a
//! password count.

use blowfish::Blowfish;

/// The highest cost that is computed: 2 to this power of rounds takes some seconds.
const MOST_COST: u32 = 16;
const DIGITS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// `rest` is what follows `$2y$`: `cost$` and 53 digits, of which 22 are the salt. Gives the computed hash and the
/// stored one.
pub fn hash(password: &[u8], rest: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (cost, rest) = match rest {
        [tens @ b'0'..=b'3', ones @ b'0'..=b'9', b'$', rest @ ..] if rest.len() == 53 => {
            (u32::from(tens - b'0') * 10 + u32::from(ones - b'0'), rest)
        }
        _ => return None,
    };
    if !(4..=MOST_COST).contains(&cost) {
        return None;
    }
    let (salt, stored) = rest.split_at(22);
    let salt = decode(salt)?;
    let mut key = password[..password.len().min(72)].to_vec();
    if key.len() < 72 {
        key.push(0);
    }
    let mut state = Blowfish::bc_init_state();
    state.salted_expand_key(&salt, &key);
    for _ in 0..1u32 << cost {
        state.bc_expand_key(&key);
        state.bc_expand_key(&salt);
    }
    let mut out = Vec::with_capacity(24);
    for half in b"OrpheanBeholderScryDoubt".chunks_exact(8) {
        let word = |at: usize| half[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        let mut block = [word(0), word(4)];
        for _ in 0..64 {
            block = state.bc_encrypt(block);
        }
        block.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
    }
    // The format drops the last byte.
    Some((encode(&out[..23]), stored.to_vec()))
}

/// 16 bytes from 22 digits, the highest first; the last four bits are unused.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bits: u32 = 0;
    let mut have = 0;
    let mut out = Vec::with_capacity(16);
    for byte in text {
        let digit = DIGITS.iter().position(|digit| digit == byte)?;
        bits = bits << 6 | digit as u32;
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    Some(out)
}

fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(31);
    for three in bytes.chunks(3) {
        let value = (0..3).fold(0, |value: u32, at| value << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        out.extend((0..=three.len()).map(|at| DIGITS[(value >> (18 - 6 * at) & 63) as usize]));
    }
    out
}

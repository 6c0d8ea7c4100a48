//! The MD5 crypt, `$1$`, and Apache's variant of it, `$apr1$`, which differs by its name alone.

use super::crypt64;
use md5::{Digest, Md5};

/// The hash part, 22 characters. `magic` is the name with its dollars.
pub fn hash(password: &[u8], magic: &[u8], salt: &[u8]) -> Vec<u8> {
    let salt = &salt[..salt.len().min(8)];
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut context = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for piece in password.chunks(16) {
        context.update(&inner[..piece.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        // An oddity of the reference implementation that became part of the format.
        context.update(if bits & 1 == 1 { &[0][..] } else { password.get(..1).unwrap_or_default() });
        bits >>= 1;
    }
    let mut hash = context.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &hash });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &hash } else { password });
        hash = next.finalize();
    }
    let mut out = Vec::with_capacity(22);
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        crypt64::push(u32::from(hash[a]) << 16 | u32::from(hash[b]) << 8 | u32::from(hash[c]), 4, &mut out);
    }
    crypt64::push(u32::from(hash[11]), 2, &mut out);
    out
}

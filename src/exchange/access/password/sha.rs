//! The SHA-2 crypts, `$5$` and `$6$`: Ulrich Drepper's scheme, 5000 rounds unless the line says otherwise.

use super::crypt64;
use sha2::{Digest, Sha256, Sha512};

/// More rounds than this are refused: half a second of a processor that all clients share.
const MOST_ROUNDS: u32 = 1_000_000;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crypt {
    /// `$5$`
    Sha256,
    /// `$6$`
    Sha512,
}

/// `rest` is what follows `$5$` or `$6$`: `[rounds=N$]salt$hash`. Gives the computed hash and the stored one.
pub fn hash(password: &[u8], rest: &[u8], crypt: Crypt) -> Option<(Vec<u8>, Vec<u8>)> {
    let (rounds, rest) = match rest.strip_prefix(b"rounds=") {
        None => (5000, rest),
        Some(rest) => {
            let end = memchr::memchr(b'$', rest)?;
            let rounds: u32 = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
            ((1000..=MOST_ROUNDS).contains(&rounds).then_some(rounds)?, &rest[end + 1..])
        }
    };
    let end = memchr::memchr(b'$', rest)?;
    let salt = &rest[..end.min(16)];
    let mut out = Vec::with_capacity(86);
    if crypt == Crypt::Sha512 {
        let hash = rounds_of::<Sha512>(password, salt, rounds);
        // Each group of three starts where the last one's second stood, the columns of a table 3 by 21.
        let (mut a, mut b, mut c) = (0, 21, 42);
        for _ in 0..21 {
            group(&hash, [a, b, c], &mut out);
            (a, b, c) = (b + 1, c + 1, a + 1);
        }
        crypt64::push(u32::from(hash[63]), 2, &mut out);
    } else {
        let hash = rounds_of::<Sha256>(password, salt, rounds);
        let (mut a, mut b, mut c) = (0, 10, 20);
        for _ in 0..10 {
            group(&hash, [a, b, c], &mut out);
            (a, b, c) = (c + 1, a + 1, b + 1);
        }
        crypt64::push(u32::from(hash[31]) << 8 | u32::from(hash[30]), 3, &mut out);
    }
    Some((out, rest[end + 1..].to_vec()))
}

fn group(hash: &[u8], [a, b, c]: [usize; 3], out: &mut Vec<u8>) {
    crypt64::push(u32::from(hash[a]) << 16 | u32::from(hash[b]) << 8 | u32::from(hash[c]), 4, out);
}

fn rounds_of<D: Digest>(password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let inner = D::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut context = D::new().chain_update(password).chain_update(salt);
    for piece in password.chunks(inner.len()) {
        context.update(&inner[..piece.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        context.update(if bits & 1 == 1 { &inner[..] } else { password });
        bits >>= 1;
    }
    let mut hash = context.finalize();
    let passwords = password.iter().fold(D::new(), |context, _| context.chain_update(password)).finalize();
    let passwords: Vec<u8> = passwords.iter().copied().cycle().take(password.len()).collect();
    let times = 16 + usize::from(hash[0]);
    let salts = (0..times).fold(D::new(), |context, _| context.chain_update(salt)).finalize();
    let salts: Vec<u8> = salts.iter().copied().cycle().take(salt.len()).collect();
    for round in 0..rounds {
        let mut next = D::new();
        next.update(if round & 1 == 1 { &passwords } else { &hash[..] });
        if round % 3 != 0 {
            next.update(&salts);
        }
        if round % 7 != 0 {
            next.update(&passwords);
        }
        next.update(if round & 1 == 1 { &hash[..] } else { &passwords });
        hash = next.finalize();
    }
    hash.to_vec()
}

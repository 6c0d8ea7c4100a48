//! yescrypt, `$y$`: what Debian's own passwords are hashed with. Its memory is taken and given back for each hash.

use super::crypt64;
use yescrypt::{Mode, Params, yescrypt};

/// The most memory a hash may take; the usual parameters take 16 MiB.
const MOST_MEMORY: u64 = 64 << 20;

/// `rest` is what follows `$y$`: `parameters$salt$hash`. Gives the computed hash and the stored one.
pub fn hash(password: &[u8], rest: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut parts = rest.splitn(3, |b| *b == b'$');
    let params: Params = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let salt = crypt64::decode(parts.next()?)?;
    let stored = parts.next()?;
    let memory = 128u64.checked_mul(u64::from(params.r()))?.checked_mul(params.n())?;
    // More lanes or passes would cost time that all clients of this one thread share.
    let plain = Params::new(Mode::default(), params.n(), params.r(), 1).ok()?;
    if memory > MOST_MEMORY || params != plain || salt.len() > 64 {
        return None;
    }
    let mut made = [0; 32];
    yescrypt(password, &salt, &params, &mut made).ok()?;
    Some((crypt64::encode(&made), stored.to_vec()))
}

//! Passwords that were checked: bcrypt takes a tenth of a second, which a password may cost once, not each request.
//! Wrong ones are remembered too: a client that keeps asking with an old password must not hold up everybody.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Verdicts kept of each kind; then those of that kind are forgotten, so that guesses do not displace what is right.
const KEPT: usize = 4096;

/// Two secret 64-bit hashes of the stored line and the password: neither can be read back from here.
type Key = (u64, u64);

#[derive(Default)]
pub struct Passwords {
    keys: (RandomState, RandomState),
    right: HashSet<Key>,
    wrong: HashSet<Key>,
}

impl Passwords {
    /// Whether `given` is the password of `stored`, asking `verify` where that is not known.
    pub fn check(&mut self, stored: &[u8], given: &[u8], verify: impl FnOnce(&[u8], &[u8]) -> bool) -> bool {
        let key = (self.keys.0.hash_one((stored, given)), self.keys.1.hash_one((stored, given)));
        if self.right.contains(&key) {
            return true;
        }
        if self.wrong.contains(&key) {
            return false;
        }
        let right = verify(stored, given);
        let kind = if right { &mut self.right } else { &mut self.wrong };
        if kind.len() >= KEPT {
            kind.clear();
        }
        kind.insert(key);
        right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_hashed_once() {
        let mut passwords = Passwords::default();
        let mut asked = 0;
        for _ in 0..3 {
            for (stored, given, right) in [("a", "a", true), ("a", "b", false), ("b", "b", true), ("", "", true)] {
                let verdict = passwords.check(stored.as_bytes(), given.as_bytes(), |stored, given| {
                    asked += 1;
                    stored == given
                });
                assert_eq!(verdict, right, "{stored:?} {given:?}");
            }
        }
        assert_eq!(asked, 4);
    }
}

//! The kernel's cryptographically secure random numbers.

use super::{Errno, retry};

/// Fills `bytes`. Blocks only before the kernel's pool is first seeded, early in boot.
pub fn fill(bytes: &mut [u8]) -> Result<(), Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: `rest` is writable for its length.
        let got = retry(|| unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) })?;
        rest = rest.get_mut(got as usize..).unwrap_or_default();
    }
    Ok(())
}

/// Eight random bytes as a number.
pub fn number() -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_is_filled_to_its_end() {
        let mut bytes = vec![0; 100_000];
        fill(&mut bytes).expect("getrandom");
        assert!(bytes.iter().rev().take(64).any(|&byte| byte != 0));
        fill(&mut []).expect("nothing to fill");
    }

    #[test]
    fn two_numbers_differ() {
        assert_ne!(number().expect("getrandom"), number().expect("getrandom"));
    }
}

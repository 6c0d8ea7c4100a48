//! Random numbers of handshakes, ready before the first of them.
//!
//! The generator of a process is seeded when it is first used, and again after a fork: it collects entropy for some
//! twenty milliseconds, for which the first client would wait, and all others with it.

use aws_lc_rs::rand;

/// Seeds the generator of this process, once. What fails here fails again where the numbers are needed.
pub fn collect() {
    let _ = rand::fill(&mut [0]);
}

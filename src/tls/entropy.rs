//! Random numbers of handshakes, ready before the first of them.
//!
//! A process's generator is seeded at its first use, and again after a fork. Collecting the entropy takes some twenty
//! milliseconds, for which the first client, and all others with it, would have to wait.

use aws_lc_rs::rand;

/// Seeds the generator of this process, once. An error here occurs again where the numbers are needed.
pub fn collect() {
    let _ = rand::fill(&mut [0]);
}

//! Seeds the random number generator before the first handshake.
//!
//! A process's generator is otherwise seeded at its first use, and again after a fork. Collecting the entropy takes
//! about twenty milliseconds, during which the first handshake would block every other connection.

use aws_lc_rs::rand;

/// Seeds the generator of this process, once. An error is ignored: it recurs where random numbers are needed.
pub fn collect() {
    let _ = rand::fill(&mut [0]);
}

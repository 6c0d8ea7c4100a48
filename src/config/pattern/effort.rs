//! What one search may cost, be it for one pattern or for those of a list together.
//!
//! Invariant: a search ends after some 15 ms, without a result: all it needs is counted before or while it is used.
//! Only engines that are built at their first use come on top.

use crate::sys::pcre2::MATCH_LIMIT;

/// Bytes that the patterns of a list may read one after the other: a subject that holds the texts of a thousand
/// patterns is no real one. The linear-time engine takes a nanosecond for one at most.
const BYTES: usize = 8 << 20;
/// States that the linear-time engine may look at where it cannot remember their combinations: some 10 ns each.
const STATES: usize = 1 << 18;
/// What building combinations of states to no avail counts for, in steps of PCRE2: its time.
const IN_VAIN: u32 = MATCH_LIMIT / 3;

/// What is left to a search.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    bytes: usize,
    states: usize,
    /// Steps of PCRE2.
    pub(super) steps: u32,
}

impl Default for Effort {
    fn default() -> Effort {
        Effort { bytes: BYTES, states: STATES, steps: MATCH_LIMIT }
    }
}

impl Effort {
    /// How much longer than the linear-time engine PCRE2 takes for a byte, where that is not counted in steps.
    pub(super) const BY_PCRE2: usize = 4;
    /// How much longer a search takes that must build all its states.
    pub(super) const BUILDING: usize = 3;

    /// Counts the bytes that the next pattern of a list reads, which takes `slowness` times as long as usual. False:
    /// they are too many.
    pub fn reads(&mut self, len: usize, slowness: usize) -> bool {
        let left = self.bytes.checked_sub(len.saturating_mul(slowness));
        self.bytes = left.unwrap_or(self.bytes);
        left.is_some()
    }

    /// Whether the linear-time engine may look at `count` more states; they are counted.
    pub(super) fn has_states(&mut self, count: usize) -> bool {
        let left = self.states.checked_sub(count);
        self.states = left.unwrap_or(self.states);
        left.is_some()
    }

    /// Combinations of states were built to no avail.
    pub(super) fn was_in_vain(&mut self) {
        self.steps = self.steps.saturating_sub(IN_VAIN);
    }
}

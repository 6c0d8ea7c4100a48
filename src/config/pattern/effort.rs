//! What the searches of one request may cost together: for single patterns, those of a list, and of several lists; for
//! the request itself, what it is redirected to, what a page of it includes, and paths that it concerns. And how long
//! the values of its variables may be together.
//!
//! Invariant: they end after some 20 ms, without a result: all they need is counted before or while it is used, the
//! building of engines at their first use included. Where no more may be built, PCRE2 searches, which finds the same,
//! and a later request builds.

use crate::sys::pcre2::MATCH_LIMIT;
use std::cell::Cell;

/// Bytes that patterns may read one after the other: a subject that holds the texts of a thousand patterns is no real
/// one. The linear-time engine takes a nanosecond for one at most.
const BYTES: usize = 8 << 20;
/// States that the linear-time engine may look at where it cannot remember their combinations: some 10 ns each.
const STATES: usize = 1 << 18;
/// Microseconds for building engines: enough for the largest pattern.
const BUILDING: u32 = 5_000;
/// What building the engine of a pattern takes, and for each of its atoms.
const A_PATTERN: u32 = 60;
const AN_ATOM: u32 = 1;
/// What compiling a pattern for PCRE2 counts for, and for each byte of it, in steps: its time.
const COMPILED: u32 = 100;
const A_BYTE: u32 = 1;
/// What filling the memory for combinations of states counts for, in steps of PCRE2: its time.
const FILLED: u32 = MATCH_LIMIT / 3;

/// Bytes of all values of variables that a request uses, of each as often as it is used: some 15 ms. A request with a
/// cookie of 60 KB may write it 250 times.
const VALUES: usize = 16 << 20;

/// What is left to the searches of a request.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    bytes: usize,
    states: usize,
    /// Steps of PCRE2.
    pub(super) steps: u32,
    /// Microseconds for building engines.
    building: u32,
    /// Bytes of variables' values.
    values: usize,
}

impl Default for Effort {
    fn default() -> Effort {
        Effort { bytes: BYTES, states: STATES, steps: MATCH_LIMIT, building: BUILDING, values: VALUES }
    }
}

impl Effort {
    /// How much longer than the linear-time engine PCRE2 takes for a byte, where that is not counted in steps.
    pub(super) const BY_PCRE2: usize = 4;
    /// How much longer a search takes that must build all its states.
    pub(super) const BUILDING: usize = 3;

    /// Counts the bytes that the next pattern reads, which takes `slowness` times as long as usual. False: they are too
    /// many.
    pub fn reads(&mut self, len: usize, slowness: usize) -> bool {
        let left = self.bytes.checked_sub(len.saturating_mul(slowness));
        self.bytes = left.unwrap_or(self.bytes);
        left.is_some()
    }

    /// Counts a variable's value of that length. False: it is too much.
    pub fn has_value(&mut self, len: usize) -> bool {
        let left = self.values.checked_sub(len);
        self.values = left.unwrap_or(self.values);
        left.is_some()
    }

    /// Whether the linear-time engine may look at `count` more states; they are counted.
    pub(super) fn has_states(&mut self, count: usize) -> bool {
        let left = self.states.checked_sub(count);
        self.states = left.unwrap_or(self.states);
        left.is_some()
    }

    /// Whether the engines of patterns that have these atoms together may be built now; if so, that is counted.
    pub fn may_build(&mut self, patterns: usize, atoms: usize) -> bool {
        let left = self.building.checked_sub(building(patterns, atoms));
        self.building = left.unwrap_or(self.building);
        left.is_some()
    }

    /// A pattern of that many bytes was compiled for PCRE2.
    pub(super) fn compiled(&mut self, len: usize) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.steps = self.steps.saturating_sub(COMPILED.saturating_add(len.saturating_mul(A_BYTE)));
    }

    /// Combinations of states were built, which fill that share of the memory for them.
    pub(super) fn built_states(&mut self, percent: u32) {
        self.steps = self.steps.saturating_sub(FILLED / 100 * percent);
    }
}

/// Microseconds that building engines takes.
pub(super) fn building(patterns: usize, atoms: usize) -> u32 {
    let each = |count: usize, cost| u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(cost);
    each(patterns, A_PATTERN).saturating_add(each(atoms, AN_ATOM))
}

/// What is left to all searches of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestEffort {
    left: Cell<Effort>,
    /// What the lines of its access logs have of their own.
    logs: Cell<Effort>,
}

impl RequestEffort {
    /// Searches with what is left.
    pub fn spend<T>(&self, search: impl FnOnce(&mut Effort) -> T) -> T {
        let mut effort = self.left.get();
        let found = search(&mut effort);
        self.left.set(effort);
        found
    }

    /// From here on what the access logs have is spent, or what the request has again: a request that has spent its
    /// effort must not lack its line. The lines of what a page includes share it.
    pub fn swap_logs(&self) {
        self.left.swap(&self.logs);
    }

    /// For the next entry of a tree whose entries are judged in slices of turns: these bound the time of all together.
    pub fn renew(&self) {
        self.left.set(Effort::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_are_counted_until_they_are_too_long_together() {
        let effort = RequestEffort::default();
        let takes = |len: usize| effort.spend(|effort| effort.has_value(len));
        assert!(takes(VALUES - 10) && !takes(11) && takes(10) && !takes(1));
    }

    #[test]
    fn the_lines_of_all_logs_of_a_request_share_an_effort_of_their_own() {
        let effort = RequestEffort::default();
        let reads = |count: usize| effort.spend(|effort| effort.reads(count, 1));
        assert!(reads(BYTES) && !reads(1), "all is spent");
        effort.swap_logs();
        assert!(reads(BYTES - 10), "a line is written all the same");
        effort.swap_logs();
        assert!(!reads(1), "the request has no more than before");
        effort.swap_logs();
        assert!(reads(10) && !reads(1), "nor has the line of another part of it");
    }
}

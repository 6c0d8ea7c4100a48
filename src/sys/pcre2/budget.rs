//! The remaining steps of a match, estimated from its time.
//!
//! Invariant: all time spent by a match counts, but not the time during which its thread did not run.

use super::super::clock;
use pcre2_sys::PCRE2_ERROR_MATCHLIMIT;
use std::time::Duration;

/// Maximum number of steps per match (nginx: PCRE2's default of ten million for each start). A step takes some 10 ns,
/// so a malicious subject blocks the event loop for no longer than one request may.
pub const MATCH_LIMIT: u32 = 1_000_000;

/// PCRE2 gave up on a match, with its error number (-47: match limit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaveUp(pub i32);

/// Assumed duration of a step, to estimate the number left from the time.
const STEP: Duration = Duration::from_nanos(10);

/// Number of starts tried before the clock is read.
pub const STARTS: usize = 32;

/// Estimates the remaining steps from the time a match has taken. The monotonic clock needs no system call, but also
/// advances while the thread does not run (a paused machine, a CPU quota): if it shows more than [`QUICK`], only
/// processor time counts.
pub struct Budget {
    began: Option<u64>,
    /// The thread's processor time at some moment, and how much of the match's time had passed then.
    on_processor: Option<(u64, u64)>,
    /// All steps of this match.
    all: u32,
    /// Remaining steps when the clock was last read.
    pub left: u32,
}

/// The time for a tenth of all steps.
const QUICK: u64 = (MATCH_LIMIT / 10) as u64 * STEP.as_nanos() as u64;

/// For subjects of at least this length, processor time is read before the match, since even the first steps may be
/// long; for shorter ones it is not worth a system call.
const LONG: usize = 256;

/// The time of a step grows with the subject, in the worst case by one step per this many bytes.
const BYTES_A_STEP: usize = 64;

impl Budget {
    /// Of a match that may take `all` steps, at most [`MATCH_LIMIT`]. Most searches end before the clock is needed.
    pub fn new(subject: usize, all: u32) -> Budget {
        let began = (subject >= STARTS).then(clock::monotonic_ns);
        let on_processor = (subject >= LONG).then(|| (clock::thread_cpu_ns(), 0));
        Budget { began, on_processor, all, left: all }
    }

    /// How many steps each start may take before the clock is read: together a tenth of those left.
    pub fn few(&self, subject: usize, starts: usize) -> u32 {
        let shares = starts.saturating_mul(10 + 10 * (subject / BYTES_A_STEP));
        (self.left / u32::try_from(shares).unwrap_or(u32::MAX)).max(1)
    }

    /// How many steps each start may take after `tried` did not suffice: those left, at the measured speed. An error if
    /// that is not more than `tried`.
    pub fn more(&mut self, tried: u32, starts: usize) -> Result<u32, GaveUp> {
        let before = self.left;
        self.check()?;
        self.allowed(before, tried, starts)
    }

    fn allowed(&self, before: u32, tried: u32, starts: usize) -> Result<u32, GaveUp> {
        let used = u64::from(before.saturating_sub(self.left).max(1));
        let at_that_speed = u64::from(tried) * u64::from(self.left) / used;
        let most = u64::from(self.left) / starts as u64;
        let steps = u32::try_from(most.min(at_that_speed)).unwrap_or(u32::MAX);
        if steps > tried { Ok(steps) } else { Err(GaveUp(PCRE2_ERROR_MATCHLIMIT)) }
    }

    /// Reads the clock. An error if no step is left.
    pub fn check(&mut self) -> Result<(), GaveUp> {
        self.check_at(clock::monotonic_ns(), clock::thread_cpu_ns)
    }

    /// Updates the budget from both clocks (nanoseconds); the first call sets the beginning.
    fn check_at(&mut self, now: u64, on_processor: impl FnOnce() -> u64) -> Result<(), GaveUp> {
        let mut passed = now.saturating_sub(*self.began.get_or_insert(now));
        if passed > QUICK {
            let time = on_processor();
            let (noted, until_then) = *self.on_processor.get_or_insert((time, QUICK));
            passed = until_then + time.saturating_sub(noted);
        }
        let used = u128::from(passed) / STEP.as_nanos();
        self.left = self.all.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX)).min(self.left);
        if self.left < STARTS as u32 { Err(GaveUp(PCRE2_ERROR_MATCHLIMIT)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(on_processor: Option<(u64, u64)>) -> Budget {
        Budget { began: Some(0), on_processor, all: MATCH_LIMIT, left: MATCH_LIMIT }
    }

    #[test]
    fn a_match_that_waits_for_the_processor_keeps_its_steps() {
        let unused = || -> u64 { unreachable!("little has passed") };
        let mut budget = begun(None);
        let mut left = |now, on_processor: u64| budget.check_at(now, || on_processor).map(|()| budget.left);
        // The thread does not run for a second.
        let second = 1_000_000_000;
        assert_eq!(left(second, 70), Ok(MATCH_LIMIT / 10 * 9));
        assert_eq!(left(2 * second, 70 + QUICK), Ok(MATCH_LIMIT / 10 * 8));
        assert_eq!(left(2 * second, 70 + 9 * QUICK), Err(GaveUp(PCRE2_ERROR_MATCHLIMIT)));
        let mut budget = begun(None);
        assert_eq!(budget.check_at(QUICK, unused).map(|()| budget.left), Ok(MATCH_LIMIT / 10 * 9));
    }

    #[test]
    fn what_a_long_subject_costs_before_the_first_look_is_counted() {
        let mut budget = begun(Some((70, 0)));
        assert_eq!(budget.check_at(5 * QUICK, || 70 + 5 * QUICK).map(|()| budget.left), Ok(MATCH_LIMIT / 2));
        let mut budget = begun(Some((70, 0)));
        assert_eq!(budget.check_at(10 * QUICK, || 70 + 10 * QUICK), Err(GaveUp(PCRE2_ERROR_MATCHLIMIT)));
    }

    #[test]
    fn steps_that_read_much_are_given_out_by_their_time() {
        let allowed = |left, used, tried, starts| {
            let budget = Budget { began: Some(0), on_processor: None, all: MATCH_LIMIT, left };
            budget.allowed(left + used, tried, starts).ok()
        };
        // As fast as assumed, or faster: all steps left.
        assert_eq!(allowed(900_000, 3_000, 3_000, 1), Some(900_000));
        assert_eq!(allowed(900_000, 0, 3_000, 10), Some(90_000));
        // Each step took a hundred times as long.
        assert_eq!(allowed(500_000, 300_000, 3_000, 1), Some(5_000));
        assert_eq!(allowed(300_000, 300_000, 3_000, 1), None, "the same again is no use");
        let budget = begun(None);
        assert_eq!([budget.few(0, 1), budget.few(0, 32), budget.few(8_000, 32)], [100_000, 3_125, 24]);
        assert_eq!(budget.few(usize::MAX / 2, 32), 1);
    }
}

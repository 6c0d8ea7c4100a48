//! Retries writing state that could not be written to disk (ENOSPC, EACCES), with increasing pauses. The first failure
//! and the final success are logged.

use crate::acme::problem::{AcmeFailure, Kind};
use crate::acme::renewal;
use crate::config::model::Level;

/// Never.
const NEVER: i64 = i64::MAX;

/// Failures so far, and when to try again.
#[derive(Debug)]
pub struct Unsaved {
    failures: u32,
    /// Seconds since 1970.
    again: i64,
}

impl Default for Unsaved {
    fn default() -> Unsaved {
        Unsaved { failures: 0, again: NEVER }
    }
}

impl Unsaved {
    /// The time of the next attempt; never if everything is on disk.
    pub fn next(&self) -> i64 {
        self.again
    }

    /// Adjusts the time after the clock was set back.
    pub fn set_back(&mut self, seconds: i64) {
        if self.again != NEVER {
            self.again -= seconds;
        }
    }

    /// It may be tried at `now` (Unix seconds).
    pub fn is_due(&self, now: i64) -> bool {
        self.again <= now
    }

    /// Records an attempt. Returns a message about it, if there is something to report. `what`: the beginning of the
    /// message.
    pub fn attempted(
        &mut self,
        outcome: Result<(), String>,
        what: &str,
        now: i64,
        chance: u64,
    ) -> Option<(Level, String)> {
        let is_first = self.failures == 0;
        match outcome {
            Ok(()) => {
                *self = Unsaved::default();
                (!is_first).then(|| (Level::Notice, format!("{what} is on disk now")))
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                let pause = renewal::pause(self.failures, &AcmeFailure::new(Kind::Unreachable, ""), chance);
                self.again = now.saturating_add_unsigned(pause);
                is_first.then(|| (Level::Crit, format!("{what}: {why}; in use all the same; the write is tried again")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_disk_is_tried_again_and_said_once() {
        let mut unsaved = Unsaved::default();
        assert_eq!((unsaved.attempted(Ok(()), "it", 0, 0), unsaved.next()), (None, NEVER));
        let full = || Err("full".to_owned());
        let (level, text) = unsaved.attempted(full(), "it", 100, 0).expect("said");
        assert_eq!((level, text.as_str()), (Level::Crit, "it: full; in use all the same; the write is tried again"));
        assert!(unsaved.next() == 102 && !unsaved.is_due(101) && unsaved.is_due(102));
        assert_eq!((unsaved.attempted(full(), "it", 102, 0), unsaved.next()), (None, 106));
        (0..40).for_each(|_| assert_eq!(unsaved.attempted(full(), "it", 200, 0), None));
        assert_eq!(unsaved.next(), 800, "never more than ten minutes");
        assert_eq!(unsaved.attempted(Ok(()), "it", 800, 0), Some((Level::Notice, "it is on disk now".into())));
        assert_eq!(unsaved.next(), NEVER);
    }
}

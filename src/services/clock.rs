//! The time of a turn of the event loop: read once, and used by all work in the turn. Dates are formatted when the
//! second changes.

use crate::http::date;
use crate::sys::clock;
use crate::util::date::Civil;
use std::collections::VecDeque;

/// The time of this turn in all forms; read once per turn.
pub struct Clock {
    /// Monotonic milliseconds: timers and durations.
    pub ms: u64,
    /// Unix seconds and nanoseconds.
    pub unix: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
    /// The current epoch: file system lookups made in it need not be repeated. A turn of the loop is one epoch for all
    /// requests that had begun to arrive when it began; reading more input begins another epoch.
    pub epoch: u64,
    /// Counts epochs, except those begun because this process stored a file, which does not move directories.
    pub arrival: u64,
    /// The epoch with which this turn began.
    turn: u64,
    /// `Date`, IMF-fixdate.
    pub http: [u8; 29],
    local: Option<Local>,
    /// Milliseconds by which both clocks are ahead of the system's (simulations).
    ahead: u64,
    /// When the current second of `unix` was first seen (monotonic milliseconds).
    seen: u64,
    /// Seconds by which the wall clock jumped, in addition to the time that passed.
    jumped: i64,
    /// The last jumps, oldest first.
    jumps: VecDeque<Jump>,
    /// When this clock was first read (monotonic milliseconds).
    begun: u64,
    /// Seconds by which only the wall clock is ahead of the system's (tests).
    set: i64,
}

/// The wall clock was set: what it showed before and after (Unix milliseconds).
struct Jump {
    before: i64,
    after: i64,
}

/// Milliseconds by which `before` may be too early.
const SLACK: i64 = 2_000;
/// Jumps that are remembered.
const JUMPS: usize = 16;

/// What changed less than this many nanoseconds ago may change again without new timestamps: two ticks of the slowest
/// kernel clock (100 Hz).
pub const SETTLED: i128 = 20_000_000;
/// Likewise if timestamps are whole seconds (sshfs, some NFS exports) or even ones (FAT).
const COARSE: i128 = 2_000_000_000 + SETTLED;

/// Local time in the formats of logs.
struct Local {
    /// `22/Nov/2026:22:16:51 +0000`
    clf: String,
    /// `2026-11-22T22:16:51+00:00`
    iso: String,
    /// `2026/11/22 22:16:51`
    error: String,
    /// `Nov 22 22:16:51`
    syslog: String,
}

/// A file timestamp as nanoseconds since 1970.
pub fn nanoseconds((seconds, more): (i64, u32)) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(more)
}

impl Clock {
    /// Nanoseconds since 1970.
    pub fn nanoseconds(&self) -> i128 {
        nanoseconds((self.unix, self.nanos))
    }

    /// Reads both clocks of the system. A turn after that calls [`Clock::advance`].
    pub fn read() -> Clock {
        let (unix, nanos) = clock::realtime();
        Clock {
            ms: clock::monotonic(),
            unix,
            nanos,
            epoch: 0,
            arrival: 0,
            turn: 0,
            http: date::format(unix),
            local: None,
            ahead: 0,
            seen: clock::monotonic(),
            jumped: 0,
            jumps: VecDeque::new(),
            begun: clock::monotonic(),
            set: 0,
        }
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(&self) -> i64 {
        self.unix.saturating_mul(1000).saturating_add(i64::from(self.nanos / 1_000_000))
    }

    /// Advances the monotonic clock alone, at once.
    #[cfg(test)]
    pub fn pass(&mut self, ms: u64) {
        self.ms += ms;
    }

    /// Milliseconds since this process began, whatever the wall clock did meanwhile.
    pub fn ran(&self) -> u64 {
        self.ms.saturating_sub(self.begun)
    }

    /// By how many milliseconds the wall clock was set forward since it showed `stamp` (Unix milliseconds): by that
    /// much the apparent age of `stamp` is too high. If the clock was set back, it showed some times twice; of two
    /// possible ages the younger is assumed.
    pub fn set_forward_since(&self, stamp: i64) -> i64 {
        let mut until = i64::MAX;
        let (mut forward, mut most) = (0i64, 0i64);
        for Jump { before, after } in self.jumps.iter().rev() {
            if (*after..=until.saturating_add(SLACK)).contains(&stamp) {
                most = most.max(forward);
            }
            forward = forward.saturating_add(after.saturating_sub(*before));
            until = *before;
        }
        if stamp <= until.saturating_add(SLACK) { most.max(forward) } else { most }
    }

    /// A clock that shows this moment, in seconds since 1970.
    pub fn showing(unix: i64) -> Clock {
        Clock { unix, nanos: 0, http: date::format(unix), ..Clock::read() }
    }

    /// Identifies this turn.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// Begins a new epoch, since something on disk may have changed.
    pub fn advance_epoch(&mut self) {
        self.epoch += 1;
        self.arrival += 1;
    }

    /// Whether all requests so far in this turn had arrived before it began.
    pub fn is_first_of_turn(&self) -> bool {
        self.epoch == self.turn
    }

    /// Call it when this process has changed something on disk other than by storing a file.
    pub fn changed(&mut self) {
        self.advance_epoch();
    }

    /// Call it when this process has stored a file, in an existing or new directory.
    pub fn stored(&mut self) {
        self.epoch += 1;
    }

    /// Starts a turn.
    pub fn advance(&mut self) {
        self.advance_epoch();
        self.turn = self.epoch;
        self.ms = clock::monotonic() + self.ahead;
        let (unix, nanos) = clock::realtime();
        let unix = unix.saturating_add_unsigned(self.ahead / 1000).saturating_add(self.set);
        self.nanos = nanos;
        if unix != self.unix {
            self.compare(unix);
            self.unix = unix;
            self.http = date::format(unix);
            self.local = None;
        }
    }

    /// Duration of the turn so far in milliseconds, by the coarse clock, which is cheap and some milliseconds late.
    pub fn spent(&self) -> u64 {
        (clock::coarse() + self.ahead).saturating_sub(self.ms)
    }

    /// Compares the wall clock with the monotonic clock, which is never set.
    fn compare(&mut self, unix: i64) {
        /// Tolerated difference in seconds: their seconds begin at different times, and the wall clock may be slewed.
        const TOLERATED: i64 = 5;
        let passed = i64::try_from(self.ms.saturating_sub(self.seen) / 1000).unwrap_or(i64::MAX);
        let moved = unix.saturating_sub(self.unix).saturating_sub(passed);
        if moved.saturating_abs() > TOLERATED {
            self.jumped = self.jumped.saturating_add(moved);
            if self.jumps.len() == JUMPS {
                self.jumps.pop_front();
            }
            // Both clocks were read in whole seconds: what was stamped just before belongs to the time before.
            let before = self.unix.saturating_add(passed).saturating_mul(1000);
            self.jumps.push_back(Jump { before, after: unix.saturating_mul(1000) });
        }
        self.seen = self.ms;
    }

    /// Whether these timestamps are old enough that any further change would alter them.
    pub fn is_settled(&self, mtime: (i64, u32), ctime: (i64, u32)) -> bool {
        let grain = if mtime.1 == 0 && ctime.1 == 0 { COARSE } else { SETTLED };
        self.nanoseconds() - nanoseconds(mtime).max(nanoseconds(ctime)) > grain
    }

    /// By how many seconds the wall clock was set, or advanced while the machine slept, since the last call.
    pub fn jumped(&mut self) -> Option<i64> {
        Some(std::mem::take(&mut self.jumped)).filter(|seconds| *seconds != 0)
    }

    /// For simulations: advances both clocks from the next turn on, the wall clock by whole seconds.
    pub fn jump(&mut self, ms: u64) {
        self.ahead = self.ahead.saturating_add(ms);
    }

    /// Sets the wall clock alone forward by `seconds`, from the next turn on.
    #[cfg(test)]
    pub fn set_wall(&mut self, seconds: i64) {
        self.set = self.set.saturating_add(seconds);
    }

    /// `$time_local`.
    pub fn clf(&mut self) -> &str {
        &self.local().clf
    }

    /// `$time_iso8601`.
    pub fn iso(&mut self) -> &str {
        &self.local().iso
    }

    /// The timestamp of an error log line.
    pub fn error_stamp(&mut self) -> &str {
        &self.local().error
    }

    /// The timestamp of a syslog message (RFC 3164 §4.1.2).
    pub fn syslog_stamp(&mut self) -> &str {
        &self.local().syslog
    }

    fn local(&mut self) -> &Local {
        let unix = self.unix;
        self.local.get_or_insert_with(|| {
            const MONTHS: [&str; 12] =
                ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let offset = utc_offset(unix);
            let c = Civil::from_unix(unix + i64::from(offset));
            let (sign, minutes) = if offset < 0 { ('-', -offset / 60) } else { ('+', offset / 60) };
            let (h, m) = (minutes / 60, minutes % 60);
            let month = MONTHS[usize::from(c.month.clamp(1, 12)) - 1];
            Local {
                clf: format!(
                    "{:02}/{month}/{}:{:02}:{:02}:{:02} {sign}{h:02}{m:02}",
                    c.day, c.year, c.hour, c.minute, c.second
                ),
                iso: format!(
                    "{}-{:02}-{:02}T{:02}:{:02}:{:02}{sign}{h:02}:{m:02}",
                    c.year, c.month, c.day, c.hour, c.minute, c.second
                ),
                error: format!("{}/{:02}/{:02} {:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second),
                syslog: format!("{month} {:2} {:02}:{:02}:{:02}", c.day, c.hour, c.minute, c.second),
            }
        })
    }
}

/// The system time zone's offset from UTC at a time, in seconds (east is positive).
pub fn utc_offset(unix: i64) -> i32 {
    use chrono::{Local, Offset, TimeZone};
    Local.timestamp_opt(unix, 0).single().map_or(0, |t| t.offset().fix().local_minus_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_the_wall_clock_only_was_set_by_is_no_age() {
        const DAY: i64 = 86_400_000;
        let clock = |jumps: &[(i64, i64)]| {
            let jumps = jumps.iter().map(|(before, after)| Jump { before: before * DAY, after: after * DAY }).collect();
            Clock { jumps, ..Clock::read() }
        };
        type Pairs = &'static [(i64, i64)];
        let cases: [(Pairs, Pairs); 5] = [
            (&[], &[(0, 0), (100, 0)]),
            // Forward from day 100 to 102: only what is from before is younger than it seems.
            (&[(100, 102)], &[(50, 2), (100, 2), (101, 0), (102, 0), (103, 0)]),
            // Back again on day 103: nothing was lost between.
            (&[(100, 102), (103, 101)], &[(50, 0), (100, 0), (101, 0), (103, 0)]),
            // Set back to 98, and right again when it shows 99: what is of 98 to 99 may have been made meanwhile.
            (&[(100, 98), (99, 101)], &[(50, 0), (98, 2), (99, 2), (100, 0), (101, 0)]),
            // From 1970 to the present, in two steps.
            (&[(0, 10), (11, 100)], &[(0, 99), (10, 89), (11, 89), (50, 0), (100, 0)]),
        ];
        for (jumps, expected) in cases {
            let clock = clock(jumps);
            for (stamp, days) in expected {
                assert_eq!(clock.set_forward_since(stamp * DAY), days * DAY, "{jumps:?}: {stamp}");
            }
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_is_noticed_once_and_remembered() {
        let mut clock = Clock::read();
        let before = clock.unix_ms();
        clock.set_wall(2 * 86_400);
        clock.advance();
        assert!(clock.set_forward_since(before) >= 2 * 86_400_000 - 10_000);
        assert_eq!(clock.set_forward_since(clock.unix_ms()), 0);
        assert!(clock.jumped().is_some() && clock.jumped().is_none());
        for _ in 0..2 * JUMPS {
            clock.set_wall(100);
            clock.advance();
        }
        assert_eq!(clock.jumps.len(), JUMPS);
    }

    #[test]
    fn what_changed_lately_is_not_settled_and_whole_seconds_take_longer() {
        let now = Clock { unix: 100, nanos: 500_000_000, ..Clock::read() };
        for (mtime, ctime, expected) in [
            ((100, 490_000_000), (90, 1), false),
            ((100, 470_000_000), (90, 1), true),
            ((90, 0), (100, 490_000_000), false),
            ((90, 0), (100, 400_000_000), true),
            ((100, 0), (100, 0), false),
            ((99, 0), (90, 0), false),
            ((98, 0), (98, 0), true),
        ] {
            assert_eq!(now.is_settled(mtime, ctime), expected, "{mtime:?} {ctime:?}");
        }
    }
}

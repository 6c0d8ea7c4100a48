//! The time of a turn of the loop: read once, used by everything in it. Dates are rendered when their second changes.

use crate::http::date;
use crate::sys::clock;
use crate::util::date::Civil;

/// The time of this turn, in every form that is needed; read once a turn.
pub struct Clock {
    /// Monotonic milliseconds: timers and durations.
    pub ms: u64,
    /// Unix seconds and the nanoseconds after them.
    pub unix: i64,
    pub nanos: u32,
    /// The number of the present epoch: what was looked up in it need not be looked up again. A turn of the loop is
    /// one epoch for all requests that had begun to arrive when it began; whatever is read later in the turn begins
    /// another.
    pub epoch: u64,
    /// Counts epochs, except those that began because this process stored a file: that does not move directories.
    pub arrival: u64,
    /// The epoch that began this turn.
    turn: u64,
    /// `Date`, IMF-fixdate.
    pub http: [u8; 29],
    local: Option<Local>,
    /// Milliseconds that both clocks are ahead of the system's.
    ahead: u64,
    /// When the present second of `unix` began, as seen here.
    seen: u64,
    /// Seconds by which the wall clock jumped, beyond the time that passed.
    jumped: i64,
}

/// What changed less than this many nanoseconds ago may change again and keep its timestamps: two ticks of the slowest
/// clock of a kernel (100 Hz).
pub const SETTLED: i128 = 20_000_000;
/// The same where timestamps are whole seconds (sshfs, some exports of NFS), or even ones alone (FAT).
const COARSE: i128 = 2_000_000_000 + SETTLED;

/// Local time of a second, in the forms of logs.
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

/// A timestamp of the file system, seconds and nanoseconds since 1970, as one number.
pub fn nanoseconds((seconds, more): (i64, u32)) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(more)
}

impl Clock {
    /// Nanoseconds since 1970.
    pub fn nanoseconds(&self) -> i128 {
        nanoseconds((self.unix, self.nanos))
    }

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
        }
    }

    /// Something may have changed on disk since this epoch began.
    pub fn advance_epoch(&mut self) {
        self.epoch += 1;
        self.arrival += 1;
    }

    /// Whether all requests so far in this turn had arrived before it began.
    pub fn is_first_of_turn(&self) -> bool {
        self.epoch == self.turn
    }

    /// This process has changed something on disk other than by storing a file.
    pub fn changed(&mut self) {
        self.advance_epoch();
    }

    /// This process has stored a file, in an existing directory or in a new one.
    pub fn stored(&mut self) {
        self.epoch += 1;
    }

    /// Starts a turn.
    pub fn advance(&mut self) {
        self.advance_epoch();
        self.turn = self.epoch;
        self.ms = clock::monotonic() + self.ahead;
        let (unix, nanos) = clock::realtime();
        let unix = unix.saturating_add_unsigned(self.ahead / 1000);
        self.nanos = nanos;
        if unix != self.unix {
            self.compare(unix);
            self.unix = unix;
            self.http = date::format(unix);
            self.local = None;
        }
    }

    /// How long the turn has taken, in milliseconds; by the coarse clock, which is cheap and some milliseconds late.
    pub fn spent(&self) -> u64 {
        (clock::coarse() + self.ahead).saturating_sub(self.ms)
    }

    /// Compares the wall clock with the monotonic one, which is never set.
    fn compare(&mut self, unix: i64) {
        /// Seconds that the two may differ by: their seconds begin at different moments, and the wall clock may be
        /// adjusted slowly.
        const TOLERATED: i64 = 5;
        let passed = i64::try_from(self.ms.saturating_sub(self.seen) / 1000).unwrap_or(i64::MAX);
        let moved = unix.saturating_sub(self.unix).saturating_sub(passed);
        if moved.saturating_abs() > TOLERATED {
            self.jumped = self.jumped.saturating_add(moved);
        }
        self.seen = self.ms;
    }

    /// What has these timestamps would have others after any further change: the last one is long enough ago.
    pub fn is_settled(&self, mtime: (i64, u32), ctime: (i64, u32)) -> bool {
        let grain = if mtime.1 == 0 && ctime.1 == 0 { COARSE } else { SETTLED };
        self.nanoseconds() - nanoseconds(mtime).max(nanoseconds(ctime)) > grain
    }

    /// How far the wall clock was set, or moved while the machine slept, since the last call; seconds.
    pub fn jumped(&mut self) -> Option<i64> {
        Some(std::mem::take(&mut self.jumped)).filter(|seconds| *seconds != 0)
    }

    /// For simulations: moves both clocks forward, from the next turn on. The wall clock goes by whole seconds.
    pub fn jump(&mut self, ms: u64) {
        self.ahead = self.ahead.saturating_add(ms);
    }

    /// `$time_local`.
    pub fn clf(&mut self) -> &str {
        &self.local().clf
    }

    /// `$time_iso8601`.
    pub fn iso(&mut self) -> &str {
        &self.local().iso
    }

    /// The stamp of an error log line.
    pub fn error_stamp(&mut self) -> &str {
        &self.local().error
    }

    /// The stamp of a message to syslog (RFC 3164 §4.1.2).
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

/// Seconds east of UTC at a moment, by the system's time zone.
pub fn utc_offset(unix: i64) -> i32 {
    use chrono::{Local, Offset, TimeZone};
    Local.timestamp_opt(unix, 0).single().map_or(0, |t| t.offset().fix().local_minus_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

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

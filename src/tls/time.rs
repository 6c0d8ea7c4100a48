//! The time as rustls asks for it. Its own provider panics with a clock before 1970, which a board without a battery
//! may show.

use crate::sys::clock;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use std::time::Duration;

/// [`seconds`], for rustls.
#[derive(Debug)]
pub struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds())))
    }
}

/// The wall clock; before 1970 it is 1970.
pub(super) fn seconds() -> u64 {
    since_1970(clock::realtime().0)
}

fn since_1970(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_has_a_time_for_handshakes() {
        assert_eq!([-1, i64::MIN, 0, 5].map(since_1970), [0, 0, 0, 5]);
        assert!(WallClock.current_time().is_some());
    }
}

//! The time as rustls asks for it. Its own provider panics with a clock before 1970, which a board without a battery
//! may show.

use crate::sys::clock;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use std::time::Duration;

/// The wall clock; before 1970 it is 1970.
#[derive(Debug)]
pub struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(clock::realtime().0))
    }
}

fn unix_time(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_has_a_time_for_handshakes() {
        assert_eq!([-1, i64::MIN, 0, 5].map(|seconds| unix_time(seconds).as_secs()), [0, 0, 0, 5]);
        assert!(WallClock.current_time().is_some());
    }
}

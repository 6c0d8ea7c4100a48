//! The only place that reads a clock (through the vDSO: no kernel entry). Everything else is handed the time of its
//! turn.

/// Milliseconds since an arbitrary start; never goes back, unmoved by whoever sets the wall clock. For deadlines.
pub fn monotonic() -> u64 {
    monotonic_ns() / 1_000_000
}

/// The same clock in nanoseconds. For measuring durations.
pub fn monotonic_ns() -> u64 {
    let (seconds, nanos) = read(libc::CLOCK_MONOTONIC);
    seconds as u64 * 1_000_000_000 + u64::from(nanos)
}

/// The wall clock: seconds since 1970-01-01T00:00:00Z and nanoseconds within that second. For logs, `Date` and
/// comparison with file times.
pub fn realtime() -> (i64, u32) {
    read(libc::CLOCK_REALTIME)
}

fn read(clock: libc::clockid_t) -> (i64, u32) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a writable timespec. With a valid pointer and these two clocks the call cannot fail.
    unsafe { libc::clock_gettime(clock, &mut time) };
    (time.tv_sec, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back_and_its_units_agree() {
        let first = monotonic_ns();
        let millis = monotonic();
        let last = monotonic_ns();
        assert!(first <= last);
        assert!(first / 1_000_000 <= millis && millis <= last / 1_000_000);
    }

    #[test]
    fn the_wall_clock_agrees_with_std() {
        let std = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let (seconds, nanos) = realtime();
        assert!(seconds >= std.as_secs() as i64);
        assert!(nanos < 1_000_000_000);
    }
}

//! The only place that reads clocks (through the vDSO, without a system call, except [`thread_cpu_ns`]). Everything
//! else is passed the time.

/// Milliseconds since an arbitrary start; monotonic and unaffected by changes of the wall clock. For deadlines.
pub fn monotonic() -> u64 {
    monotonic_ns() / 1_000_000
}

/// The same clock in nanoseconds. For measuring durations.
pub fn monotonic_ns() -> u64 {
    let (seconds, nanos) = read(libc::CLOCK_MONOTONIC);
    seconds as u64 * 1_000_000_000 + u64::from(nanos)
}

/// Processor time of this thread in nanoseconds: it stops while the machine is paused or other threads run. A system
/// call.
pub fn thread_cpu_ns() -> u64 {
    let (seconds, nanos) = read(libc::CLOCK_THREAD_CPUTIME_ID);
    seconds as u64 * 1_000_000_000 + u64::from(nanos)
}

/// As [`monotonic`], but as of the kernel's last tick, up to 10 milliseconds ago. For approximate times on the hot
/// path.
pub fn coarse() -> u64 {
    let (seconds, nanos) = read(libc::CLOCK_MONOTONIC_COARSE);
    seconds as u64 * 1_000 + u64::from(nanos) / 1_000_000
}

/// The wall clock: seconds since 1970-01-01T00:00:00Z and nanoseconds within that second. For logs, `Date` and
/// comparison with file times.
pub fn realtime() -> (i64, u32) {
    read(libc::CLOCK_REALTIME)
}

fn read(clock: libc::clockid_t) -> (i64, u32) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a writable timespec. With a valid pointer and the clocks used here the call cannot fail.
    unsafe { libc::clock_gettime(clock, &mut time) };
    (time.tv_sec, time.tv_nsec as u32)
}

/// The time zone in which a time is formatted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Zone {
    /// UTC, named `GMT` as HTTP dates are.
    Gmt,
    /// The machine's, by its time zone database.
    Local,
}

/// Formats a time by strftime in the C locale. Empty if the result is empty or longer than `MOST` bytes.
pub fn strftime(format: &std::ffi::CStr, unix: i64, zone: Zone) -> Vec<u8> {
    /// nginx's buffer size.
    const MOST: usize = 2048;
    // SAFETY: a `tm` of zeroes is valid: integers, and a pointer that may be null.
    let mut moment: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of their types; the calls keep neither. A null result (a year beyond
    // 32 bits) leaves `moment` as it was.
    unsafe {
        match zone {
            Zone::Gmt => libc::gmtime_r(&unix, &mut moment),
            Zone::Local => libc::localtime_r(&unix, &mut moment),
        };
    }
    let mut out = vec![0u8; MOST];
    // SAFETY: `out` is writable for `MOST` bytes, `format` is NUL-terminated, `moment` was filled by the C library.
    let len = unsafe { libc::strftime(out.as_mut_ptr().cast(), MOST, format.as_ptr(), &moment) };
    out.truncate(len);
    out
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
    fn a_moment_is_told_in_the_words_of_a_format() {
        let at = 784_111_777;
        let table: [(&std::ffi::CStr, &str); 2] =
            [(c"%A, %d-%b-%Y %H:%M:%S %Z", "Sunday, 06-Nov-1994 08:49:37 GMT"), (c"%H%%", "08%")];
        for (format, expected) in table {
            assert_eq!(String::from_utf8_lossy(&strftime(format, at, Zone::Gmt)), expected);
        }
        assert!(strftime(c"", at, Zone::Local).is_empty());
        let long = std::ffi::CString::new("%A".repeat(500)).expect("no NUL");
        assert!(strftime(&long, at, Zone::Gmt).is_empty());
    }

    #[test]
    fn the_wall_clock_agrees_with_std() {
        let std = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let (seconds, nanos) = realtime();
        assert!(seconds >= std.as_secs() as i64);
        assert!(nanos < 1_000_000_000);
    }
}

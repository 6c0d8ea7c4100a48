//! How fast the servers of a group were recently, for `least_time`: moving averages as in nginx, in which a request has
//! a weight of one twentieth.

use crate::config::settings::upstream::MeasuredTime;

/// Milliseconds above which servers count as equally slow, and the one with fewer requests is preferred.
const SLOWEST: u64 = 5000;
/// Servers whose times differ by at most this are used in turn.
const CLOSE: u64 = 20;

/// The times of one server in milliseconds; 0: unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    header: u64,
    response: u64,
    /// The average for requests in progress.
    inflight: u64,
    /// Their number, and the sum of their start times.
    count: u64,
    began: u64,
}

/// The times of one request.
#[derive(Clone, Copy, Debug)]
pub struct RequestTimes {
    /// When it began, monotonic milliseconds.
    pub began: u64,
    /// When the response head had arrived.
    pub header: Option<u64>,
}

fn average(before: u64, value: u64) -> u64 {
    if before == 0 { value } else { (before * 95 + value * 5 + 50) / 100 }
}

impl Times {
    /// A request begins at `now`, monotonic milliseconds.
    pub fn take(&mut self, now: u64) {
        self.count += 1;
        self.began += now;
    }

    /// Records a completed request; `is_good`: it counts for the average.
    pub fn give(&mut self, taken: RequestTimes, is_good: bool, now: u64) {
        self.count = self.count.saturating_sub(1);
        self.began = self.began.saturating_sub(taken.began);
        if let Some(header) = taken.header.filter(|_| is_good) {
            self.header = average(self.header, header.saturating_sub(taken.began));
            self.response = average(self.response, now.saturating_sub(taken.began));
        }
    }

    /// Updates the average with the mean age of requests in progress.
    pub fn sample_in_progress(&mut self, now: u64) {
        if let Some(began) = self.began.checked_div(self.count) {
            self.inflight = average(self.inflight, now.saturating_sub(began));
        }
    }

    /// The expected time of one more request, measured by `clock`. `busy`: requests in progress; `idle`: the number of
    /// fail_timeouts since the server was last checked, each of which halves the time.
    pub fn expected(&self, clock: MeasuredTime, busy: u32, idle: u64) -> u64 {
        let mean = if clock.header { self.header } else { self.response };
        let mean = mean >> idle.min(63);
        let time = if clock.inflight && self.count > 0 { mean.max(self.inflight) } else { mean };
        let time = if time > SLOWEST { SLOWEST } else { time + CLOSE - time % CLOSE };
        time * (1 + u64::from(busy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST_BYTE: MeasuredTime = MeasuredTime { header: false, inflight: false };

    #[test]
    fn a_slow_answer_raises_what_is_expected_and_time_lowers_it() {
        let mut times = Times::default();
        assert_eq!(times.expected(LAST_BYTE, 0, 0), 20);
        times.take(1000);
        times.give(RequestTimes { began: 1000, header: Some(1010) }, true, 5000);
        assert_eq!(times.expected(LAST_BYTE, 0, 0), 4020);
        assert_eq!(times.expected(LAST_BYTE, 1, 0), 8040);
        assert_eq!(times.expected(LAST_BYTE, 0, 3), 520);
        assert_eq!(times.expected(MeasuredTime { header: true, inflight: false }, 0, 0), 20);
        times.take(5000);
        times.give(RequestTimes { began: 5000, header: None }, true, 9000);
        times.take(5000);
        times.give(RequestTimes { began: 5000, header: Some(5000) }, false, 9000);
        assert_eq!(times.expected(LAST_BYTE, 0, 0), 4020, "failures say nothing of its time");
    }

    #[test]
    fn requests_that_hang_count_with_inflight() {
        let clock = MeasuredTime { header: false, inflight: true };
        let mut times = Times::default();
        times.take(1000);
        times.take(3000);
        times.sample_in_progress(4000);
        assert_eq!(times.expected(clock, 2, 0), (2000 + 20) * 3);
        assert_eq!(times.expected(LAST_BYTE, 2, 0), 60);
        times.give(RequestTimes { began: 1000, header: None }, false, 4000);
        times.give(RequestTimes { began: 3000, header: None }, false, 4000);
        assert_eq!(times.expected(clock, 0, 0), 20);
    }
}

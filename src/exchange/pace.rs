//! upload_limit_rate and proxy_limit_rate: how much of a body may be read now. The rest stays in the socket, so that
//! its sender waits.
//!
//! Invariant: over any time the bytes are no more than the rate allows and one [`SLICE`] of it; a client that sends
//! less never waits for more than the timer's grain.

/// What is read at once, in nanoseconds' worth of the rate.
const SLICE: u64 = 250_000_000;
const MILLI: u64 = 1_000_000;
const SECOND: u128 = 1_000_000_000;
/// No rate is below this: waiting for single bytes makes no sense.
const SLOWEST: u64 = 64;

/// Bytes of a body that may be read now: any number where nothing bounds its pace.
pub fn open(pace: Option<&Pace>) -> usize {
    pace.map_or(usize::MAX, Pace::open)
}

/// `bytes` of the body were read.
pub fn took(pace: Option<&mut Pace>, bytes: usize) {
    if let Some(pace) = pace {
        pace.took(bytes);
    }
}

/// The pace of one body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Bytes per second.
    rate: u64,
    /// When all that was read would have come at this rate: monotonic nanoseconds.
    due: u64,
    open: usize,
}

impl Pace {
    /// `rate`: bytes per second. `now`: monotonic milliseconds.
    pub fn new(rate: u64, now: u64) -> Pace {
        Pace { rate: rate.max(SLOWEST), due: now.saturating_mul(MILLI), open: 0 }
    }

    /// Allows some bytes to be read.
    ///
    /// # Errors
    /// None may be read before then, in monotonic milliseconds.
    pub fn allow(&mut self, now: u64) -> Result<(), u64> {
        let now = now.saturating_mul(MILLI);
        // Time that was not used is not saved up.
        self.due = self.due.max(now);
        let ahead = self.due - now;
        let bytes = u128::from(SLICE.saturating_sub(ahead)) * u128::from(self.rate) / SECOND;
        self.open = usize::try_from(bytes).unwrap_or(usize::MAX);
        match self.open {
            0 => Err((self.due - SLICE / 2).div_ceil(MILLI)),
            _ => Ok(()),
        }
    }

    /// Bytes that may be read.
    pub fn open(&self) -> usize {
        self.open
    }

    /// This many were read, or came before they could be stopped.
    pub fn took(&mut self, bytes: usize) {
        self.open = self.open.saturating_sub(bytes);
        let worth = (bytes as u128 * SECOND).div_ceil(u128::from(self.rate));
        self.due = self.due.saturating_add(u64::try_from(worth).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes read in each of `ms`, with the clock in steps of 10, by a client that offers `each` at every step.
    fn run(rate: u64, each: usize, ms: u64) -> (u64, u64) {
        let mut pace = Pace::new(rate, 1_000_000);
        let (mut offered, mut read, mut until, mut waited) = (0usize, 0u64, 0, 0);
        for now in (1_000_000..1_000_000 + ms).step_by(10) {
            offered += each;
            while offered > 0 && now >= until {
                match pace.allow(now) {
                    Ok(()) => {
                        let n = offered.min(pace.open());
                        pace.took(n);
                        offered -= n;
                        read += n as u64;
                    }
                    Err(at) => until = at,
                }
            }
            waited = waited.max(offered as u64);
        }
        (read, waited)
    }

    #[test]
    fn a_body_comes_at_its_rate_whatever_is_offered() {
        for (rate, each) in [(1000, 1 << 20), (100_000, 50_000), (10_000_000, 1 << 20), (1 << 40, 1 << 40)] {
            let (read, _) = run(rate, each, 4000);
            assert!(read <= rate * 4 + rate / 4, "{rate}: {read}");
            assert!(read >= rate * 4 - rate / 4, "{rate}: {read}");
        }
    }

    #[test]
    fn a_slower_client_is_not_held_up() {
        let (read, waited) = run(100_000, 900, 4000);
        assert_eq!((read, waited), (400 * 900, 0));
    }

    #[test]
    fn a_pause_is_not_saved_up() {
        let mut pace = Pace::new(1000, 0);
        assert_eq!((pace.allow(60_000), pace.open()), (Ok(()), 250));
        pace.took(250);
        assert_eq!(pace.allow(60_000), Err(60_125));
        assert_eq!((pace.allow(60_125), pace.open()), (Ok(()), 125));
        // A clock that jumps does no harm.
        assert_eq!((pace.allow(90_000), pace.open()), (Ok(()), 250));
        pace.took(1_000_000);
        assert_eq!(pace.allow(90_000), Err(90_000 + 1_000_000 - 125));
    }
}

//! Rates of what a client does that costs work and transfers nothing. A budget is filled by time and by useful work,
//! and emptied by what it bounds; the connection ends when it is empty.

/// A bucket of tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateBudget {
    tokens: u32,
    most: u32,
    /// Tokens a second.
    rate: u32,
    /// Up to when time was counted, milliseconds.
    at: u64,
}

impl RateBudget {
    /// Full: `most` tokens, refilled by `rate` a second from `now` on.
    pub const fn new(most: u32, rate: u32, now: u64) -> RateBudget {
        RateBudget { tokens: most, most, rate, at: now }
    }

    /// Useful work was done.
    pub fn earn(&mut self, tokens: u32) {
        self.tokens = self.tokens.saturating_add(tokens).min(self.most);
    }

    /// Takes one token. False where there is none.
    #[must_use]
    pub fn spend(&mut self, now: u64) -> bool {
        if self.tokens == 0 {
            self.refill(now);
        }
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }

    /// Time is only looked at when the bucket is empty: it then counts from the last such look.
    fn refill(&mut self, now: u64) {
        let earned = now.saturating_sub(self.at).saturating_mul(u64::from(self.rate)) / 1000;
        if earned > 0 {
            self.tokens = earned.min(u64::from(self.most)) as u32;
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_lasts_as_long_as_its_rate_is_kept() {
        let mut budget = RateBudget::new(3, 10, 1000);
        assert!((0..3).all(|_| budget.spend(1000)));
        assert!(!budget.spend(1099));
        assert!(budget.spend(1100));
        assert!(!budget.spend(1100));
        budget.earn(2);
        assert!(budget.spend(1100) && budget.spend(1100) && !budget.spend(1100));
        // A long pause fills it up, and no further.
        assert!((0..3).all(|_| budget.spend(100_000)));
        assert!(!budget.spend(100_000));
    }
}

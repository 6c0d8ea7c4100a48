//! When memory is returned to the system: many connections have closed, or a response has needed much.

/// With fewer connections, returning their memory is not worth the time.
const MIN_CONNECTIONS: usize = 256;
/// Milliseconds for which three quarters of the peak must have been closed before memory is returned.
const TRIM_DELAY: u64 = 1_000;

/// The peak of connections since memory was last returned, and since when most of them are closed.
#[derive(Default)]
pub(super) struct Crowd {
    most: usize,
    gone: Option<u64>,
}

impl Crowd {
    /// Whether most connections have closed, or `has_used_much` ([`crate::services::Services::has_used_much`]), and
    /// nothing else is happening. `count`: current connections, `now`: monotonic milliseconds.
    pub(super) fn has_left(
        &mut self,
        count: usize,
        has_used_much: bool,
        now: u64,
        is_idle: impl FnOnce() -> bool,
    ) -> bool {
        self.most = self.most.max(count);
        if !has_used_much && (self.most < MIN_CONNECTIONS || count > self.most / 4) {
            self.gone = None;
            return false;
        }
        let gone = *self.gone.get_or_insert(now);
        if now < gone.saturating_add(TRIM_DELAY) {
            return false;
        }
        let has_left = is_idle();
        *self = if has_left { Crowd { most: count, gone: None } } else { Crowd { gone: Some(now), ..*self } };
        has_left
    }

    /// When to check again.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.gone.map(|gone| gone.saturating_add(TRIM_DELAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_a_crowd_has_left_and_nothing_happens() {
        let mut crowd = Crowd::default();
        for (name, count, now, is_idle, expected, due) in [
            ("few", 200, 0, true, false, None),
            ("few are gone", 0, 5_000, true, false, None),
            ("a crowd", 1_000, 6_000, false, false, None),
            ("half of it", 500, 7_000, true, false, None),
            ("a quarter", 250, 8_000, true, false, Some(9_000)),
            ("too early", 100, 8_999, true, false, Some(9_000)),
            ("something happens", 100, 9_000, false, false, Some(10_000)),
            ("some are back", 300, 9_500, true, false, None),
            ("gone again", 10, 10_000, true, false, Some(11_000)),
            ("quiet", 10, 11_000, true, true, None),
            ("once", 10, 13_000, true, false, None),
        ] {
            assert_eq!(crowd.has_left(count, false, now, || is_idle), expected, "{name}");
            assert_eq!(crowd.next_due(), due, "{name}");
        }
        assert!(!crowd.has_left(10, true, 20_000, || true), "a large response, just now");
        assert_eq!(crowd.next_due(), Some(21_000));
        assert!(crowd.has_left(10, true, 21_000, || true), "quiet again");
    }
}

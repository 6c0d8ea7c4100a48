//! How many TLS handshakes a turn begins: they are the most expensive thing a stranger can ask for. Those of long keys
//! take ten times as long as others, so the time of a turn counts as well as their number.

/// Counts those of a turn, which all see the same time.
#[derive(Default)]
pub struct Handshakes {
    at: u64,
    begun: u32,
}

impl Handshakes {
    /// Whether this turn has begun none. `now`: milliseconds of the turn.
    pub fn is_first(&self, now: u64) -> bool {
        self.at != now || self.begun == 0
    }

    /// Whether this turn has begun `most`; if not, another is counted. `now`: milliseconds of the turn.
    pub fn is_over(&mut self, now: u64, most: u32) -> bool {
        if self.at != now {
            (self.at, self.begun) = (now, 0);
        }
        if self.begun >= most {
            return true;
        }
        self.begun += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_begins_so_many_and_the_next_begins_others() {
        let mut handshakes = Handshakes::default();
        assert!(!handshakes.is_over(1, 2) && !handshakes.is_over(1, 2) && handshakes.is_over(1, 2));
        assert!(!handshakes.is_over(2, 2));
    }
}

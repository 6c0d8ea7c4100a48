//! How many TLS handshakes a turn begins, and how many it goes on with: they are the most expensive thing a stranger can
//! ask for. Those of long keys take ten times as long as others, so the time of a turn counts as well as their number.

/// Handshakes begun in a turn at most: each takes some tenths of a millisecond of signing.
const TURN: u32 = 4;

/// Counts those of a turn.
#[derive(Default)]
pub struct Handshakes {
    begun: u32,
    /// One that was begun before has gone on.
    went_on: bool,
}

impl Handshakes {
    pub fn begin_turn(&mut self) {
        *self = Handshakes::default();
    }

    /// Whether another has to wait for the next turn. `is_late`: the time of this one is over.
    pub fn must_wait(&self, is_late: bool) -> bool {
        self.begun >= TURN || is_late && self.begun > 0
    }

    /// Whether one that was begun may go on in this turn: what a client says in return takes time as well (the keys of
    /// TLS 1.2, certificates of clients), and one turn may hear of hundreds.
    pub fn may_go_on(&mut self, is_late: bool) -> bool {
        let may = !is_late || !self.went_on;
        self.went_on = true;
        may
    }

    /// Another is begun.
    pub fn count(&mut self) {
        self.begun += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_begins_some_and_at_least_one() {
        let mut handshakes = Handshakes::default();
        assert!(!handshakes.must_wait(true), "the first is begun however late it is");
        handshakes.count();
        assert!(handshakes.must_wait(true) && !handshakes.must_wait(false));
        (1..TURN).for_each(|_| handshakes.count());
        assert!(handshakes.must_wait(false));
        handshakes.begin_turn();
        assert!(!handshakes.must_wait(false));
    }

    #[test]
    fn a_turn_goes_on_with_some_and_at_least_one() {
        let mut handshakes = Handshakes::default();
        assert!(handshakes.may_go_on(true), "the first goes on however late it is");
        assert!(!handshakes.may_go_on(true) && handshakes.may_go_on(false));
        handshakes.begin_turn();
        assert!(handshakes.may_go_on(true));
    }
}

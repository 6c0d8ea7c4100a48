//! How many TLS handshakes a turn begins, and how many it continues: they are the most expensive thing that any
//! client can ask for. Those with long keys take ten times as long as others (an RSA 4096 signature is longer than a
//! turn's slice), so their time is limited as well as their number.
//!
//! That time is not part of the turn's slice ([`crate::services::slice::Slice::extend`]): of a hundred clients that
//! begin at once all but a few wait for the next turn, and a cheap request does not wait with them.

/// Most handshakes begun in a turn: each takes some tenths of a millisecond of signing.
const TURN: u32 = 4;
/// Nanoseconds for handshakes in a turn; one is begun and one continues however long they take.
const TIME: u64 = 2_000_000;

/// The handshakes of a turn.
#[derive(Default)]
pub struct Handshakes {
    begun: u32,
    /// One that was begun before has continued.
    went_on: bool,
    /// Nanoseconds that handshakes have taken in this turn.
    spent: u64,
    /// How long the last beginning took, in this turn or an earlier one: the next may take as long.
    last: u64,
}

impl Handshakes {
    pub fn begin_turn(&mut self) {
        *self = Handshakes { last: self.last, ..Handshakes::default() };
    }

    /// Whether another one must wait for the next turn. `is_late`: the time of this turn is over.
    pub fn must_wait(&self, is_late: bool) -> bool {
        let is_long = || self.spent.saturating_add(self.last) > TIME;
        self.begun >= TURN || self.begun > 0 && (is_late || is_long())
    }

    /// Whether one that was begun may continue in this turn: the client's answer takes time as well (key exchange of
    /// TLS 1.2, client certificates), and hundreds may arrive in one turn.
    pub fn may_go_on(&self, is_late: bool) -> bool {
        !self.went_on || !is_late && self.spent <= TIME
    }

    /// Another was begun, and took this many nanoseconds.
    pub fn begun(&mut self, ns: u64) {
        self.begun += 1;
        self.last = ns;
        self.spent = self.spent.saturating_add(ns);
    }

    /// One that was begun before has continued.
    pub fn went_on(&mut self, ns: u64) {
        self.went_on = true;
        self.spent = self.spent.saturating_add(ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cheap one.
    const SHORT: u64 = TIME / 10;

    #[test]
    fn a_turn_begins_some_and_at_least_one() {
        let mut handshakes = Handshakes::default();
        assert!(!handshakes.must_wait(true), "the first is begun however late it is");
        handshakes.begun(SHORT);
        assert!(handshakes.must_wait(true) && !handshakes.must_wait(false));
        (1..TURN).for_each(|_| handshakes.begun(SHORT));
        assert!(handshakes.must_wait(false));
        handshakes.begin_turn();
        assert!(!handshakes.must_wait(false));
    }

    #[test]
    fn a_turn_goes_on_with_some_and_at_least_one() {
        let mut handshakes = Handshakes::default();
        assert!(handshakes.may_go_on(true), "the first goes on however late it is");
        handshakes.went_on(SHORT);
        assert!(!handshakes.may_go_on(true) && handshakes.may_go_on(false));
        handshakes.went_on(TIME);
        assert!(!handshakes.may_go_on(false), "their time is over");
        handshakes.begin_turn();
        assert!(handshakes.may_go_on(true));
    }

    #[test]
    fn one_that_takes_long_is_alone_in_its_turn() {
        let mut handshakes = Handshakes::default();
        handshakes.begun(SHORT);
        assert!(!handshakes.must_wait(false));
        handshakes.begun(TIME * 2);
        assert!(handshakes.must_wait(false), "no other in this turn");
        assert!(handshakes.may_go_on(false), "one of those that have begun goes on");
        handshakes.begin_turn();
        assert!(!handshakes.must_wait(true), "the first is begun");
        handshakes.begun(SHORT);
        assert!(!handshakes.must_wait(false), "it was not one of the long ones");
        handshakes.begun(TIME * 2);
        handshakes.begin_turn();
        handshakes.begun(TIME * 2);
        assert!(handshakes.must_wait(false), "the next may take as long as the last");
    }
}

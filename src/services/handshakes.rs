//! Limits the TLS handshakes that a turn begins and continues: they are the most expensive operation that any client
//! can request. Long keys take ten times longer (an RSA 4096 signature exceeds a turn's slice), so both number and time
//! are limited.
//!
//! This time is not part of the turn's slice ([`crate::services::slice::Slice::extend`]): of a hundred clients that
//! connect at once, all but a few wait for the next turn, and cheap requests do not wait with them.

/// Maximum number of handshakes begun per turn: each takes some tenths of a millisecond of signing.
const TURN: u32 = 4;
/// Nanoseconds for handshakes per turn; one may begin and one may continue however long they take.
const TIME: u64 = 2_000_000;

/// The handshakes of a turn.
#[derive(Default)]
pub struct Handshakes {
    begun: u32,
    /// Whether an earlier handshake has continued in this turn.
    has_continued: bool,
    /// Nanoseconds that handshakes have taken in this turn.
    spent: u64,
    /// The duration of the last begun handshake, in this turn or an earlier one: the next may take as long.
    last: u64,
}

impl Handshakes {
    /// The limits of a turn begin again; only what the last handshakes cost is remembered.
    pub fn begin_turn(&mut self) {
        *self = Handshakes { last: self.last, ..Handshakes::default() };
    }

    /// Whether another handshake must wait for the next turn. `is_late`: this turn's time is over.
    pub fn must_wait(&self, is_late: bool) -> bool {
        let is_long = || self.spent.saturating_add(self.last) > TIME;
        self.begun >= TURN || self.begun > 0 && (is_late || is_long())
    }

    /// Whether an earlier handshake may continue in this turn: processing the client's response takes time too (TLS 1.2
    /// key exchange, client certificates), and hundreds may arrive in one turn.
    pub fn may_go_on(&self, is_late: bool) -> bool {
        !self.has_continued || !is_late && self.spent <= TIME
    }

    /// Records that a handshake was begun and took this many nanoseconds.
    pub fn begun(&mut self, ns: u64) {
        self.begun += 1;
        self.last = ns;
        self.spent = self.spent.saturating_add(ns);
    }

    /// Records that an earlier handshake has continued.
    pub fn continued(&mut self, ns: u64) {
        self.has_continued = true;
        self.spent = self.spent.saturating_add(ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cheap handshake.
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
        handshakes.continued(SHORT);
        assert!(!handshakes.may_go_on(true) && handshakes.may_go_on(false));
        handshakes.continued(TIME);
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

//! One certificate over time: the current one, when to order the next, and when to ask the authority about renewal.

use super::store::Pair;
use super::unsaved::Unsaved;
use crate::acme::problem::AcmeFailure;
use crate::acme::renewal::{self, Window};
use crate::config::certificates;
use crate::tls::CertifiedKey;
use std::sync::Arc;

/// A renewal sooner than this after the last one, in the first half of the certificate's lifetime, counts as early.
/// Seconds.
const EARLY_RENEWAL: i64 = 6 * 3600;
/// Seconds until an authority that suggests no window is asked again.
const ASK_AGAIN_AFTER: i64 = 86_400;
/// Never.
const NEVER: i64 = i64::MAX;

/// The certificate that is served.
#[derive(Clone, Debug)]
pub struct Current {
    /// The chain and its key.
    pub pair: Pair,
    /// Changes whenever the certificate does.
    pub generation: u64,
    /// When it is valid, Unix seconds.
    pub not_before: i64,
    /// The end of its validity, inclusive, Unix seconds.
    pub not_after: i64,
    /// Its ARI identifier (RFC 9773).
    pub id: Option<String>,
}

impl Current {
    /// The latest time for a renewal that leaves time for a retry.
    fn latest(&self) -> i64 {
        self.not_after - (self.not_after - self.not_before) / 10
    }
}

/// What is known of one certificate of the configuration.
#[derive(Debug)]
pub struct CertificateState {
    /// None: none was issued yet, and handshakes use a temporary one.
    pub current: Option<Current>,
    /// When to order the next certificate (seconds since 1970, like all times here).
    order_at: i64,
    /// When renewal is due by the dates of the current certificate.
    due_at: i64,
    ask_at: i64,
    window: Option<(Window, i64)>,
    failures: u32,
    /// After a failed order, no order is made before this time.
    retry_at: i64,
    early_renewals: u32,
    /// The number of consecutive certificates that were already expired when issued, according to this machine's clock.
    issued_expired: u32,
    /// Retries writing the certificate to disk.
    pub unsaved: Unsaved,
}

/// The action that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A certificate is to be ordered.
    Order,
    /// The authority is to be asked when to renew.
    Ask,
}

impl CertificateState {
    /// Without a certificate: one is ordered immediately.
    pub fn new() -> CertificateState {
        CertificateState {
            current: None,
            order_at: 0,
            due_at: 0,
            ask_at: NEVER,
            window: None,
            failures: 0,
            retry_at: 0,
            early_renewals: 0,
            issued_expired: 0,
            unsaved: Unsaved::default(),
        }
    }

    /// Installs another certificate. False: it cannot be parsed.
    pub fn install(&mut self, pair: Pair, generation: u64, now: i64, chance: u64) -> bool {
        let Some(leaf) = certificates::leaf(&pair.ready) else { return false };
        let (not_before, not_after) = (leaf.not_before, leaf.not_after);
        let id = renewal::certificate_id(&leaf);
        self.due_at = renewal::by_lifetime(not_before, not_after, chance);
        self.order_at = self.due_at;
        self.ask_at = if id.is_some() { now } else { NEVER };
        self.window = None;
        self.failures = 0;
        self.retry_at = 0;
        self.current = Some(Current { pair, generation, not_before, not_after, id });
        true
    }

    /// What is due at `now` (Unix seconds); None: nothing yet.
    pub fn due(&self, now: i64) -> Option<Due> {
        if self.order_at <= now {
            return Some(Due::Order);
        }
        (self.ask_at <= now).then_some(Due::Ask)
    }

    /// When something is due next (seconds since 1970).
    pub fn next(&self) -> i64 {
        self.order_at.min(self.ask_at).min(self.unsaved.next())
    }

    /// Call it when a certificate was just issued. If it is due for renewal already, this machine's clock or the
    /// authority's is wrong, and it must not be renewed at once, which would repeat forever. Returns whether that is
    /// so.
    pub fn issued(&mut self, now: i64) -> bool {
        let is_spent = self.order_at <= now;
        self.issued_expired = if is_spent { self.issued_expired.saturating_add(1) } else { 0 };
        if is_spent {
            self.order_at = now.saturating_add_unsigned(renewal::early_renewal_pause(self.issued_expired));
        }
        is_spent
    }

    /// Records that an order has begun.
    pub fn begin(&mut self, now: i64) {
        let is_young = self.current.as_ref().is_some_and(|current| {
            let life = current.not_after - current.not_before;
            now - current.not_before < EARLY_RENEWAL.min(life / 2)
        });
        self.early_renewals = if is_young { self.early_renewals.saturating_add(1) } else { 0 };
    }

    /// Records a failed order. Returns the seconds until the next attempt.
    pub fn failed(&mut self, failure: &AcmeFailure, now: i64, chance: u64) -> u64 {
        self.failures = self.failures.saturating_add(1);
        let pause = renewal::pause(self.failures, failure, chance);
        self.order_at = now.saturating_add_unsigned(pause);
        self.retry_at = self.order_at;
        pause
    }

    /// Restores an authority's request not to order before this time, made to an earlier process. False if the time has
    /// passed, or is further away than any pause, so that the clock was different.
    pub fn await_until(&mut self, until: i64, now: i64) -> bool {
        let is_ahead = until > now && until - now <= renewal::LONGEST_PAUSE;
        if is_ahead {
            self.retry_at = until;
            self.order_at = self.order_at.max(until);
        }
        is_ahead
    }

    /// After the clock was set back: shifts times computed with the old clock.
    pub fn set_back(&mut self, seconds: i64, now: i64) {
        let earlier = |at: i64| if at == NEVER || at == 0 { at } else { at - seconds };
        self.ask_at = earlier(self.ask_at);
        self.retry_at = earlier(self.retry_at);
        self.unsaved.set_back(seconds);
        let due = match (&self.current, self.window) {
            (None, _) => 0,
            (Some(current), Some((_, moment))) => moment.min(current.latest()),
            (Some(_), None) => self.due_at,
        };
        // A certificate that is due by its dates still waits for its window; one that was expired by the wrong clock
        // does not.
        self.order_at = if due > now { due } else { earlier(self.order_at) }.max(self.retry_at);
        if due > now {
            self.issued_expired = 0;
        }
    }

    /// Applies the authority's suggested window, or none.
    pub fn suggested(&mut self, window: Option<Window>, now: i64, chance: u64) {
        let Some(window) = window else {
            self.ask_at = now + ASK_AGAIN_AFTER;
            return;
        };
        self.ask_at = now.saturating_add_unsigned(window.ask_again);
        // Within an unchanged window, keep the time picked before.
        let moment = match self.window {
            Some((old, moment)) if (old.start, old.end) == (window.start, window.end) => moment,
            _ => window.moment(chance),
        };
        self.window = Some((window, moment));
        let Some(current) = &self.current else { return };
        let latest = current.latest();
        let pause =
            now.saturating_add_unsigned(renewal::early_renewal_pause(self.early_renewals.max(self.issued_expired)));
        // The pause against early renewals must not let the certificate expire, unless the new ones were expired too.
        let soonest = if self.issued_expired == 0 { pause.min(latest) } else { pause };
        self.order_at = moment.min(latest).max(soonest).max(self.retry_at);
    }

    /// Records that the authority could not be asked.
    pub fn not_asked(&mut self, failure: &AcmeFailure, now: i64, chance: u64) {
        self.ask_at = now.saturating_add_unsigned(renewal::pause(8, failure, chance).max(600));
    }

    /// The certificate for handshakes, with its generation.
    pub fn certified(&self) -> Option<(u64, Arc<CertifiedKey>)> {
        self.current.as_ref().map(|current| (current.generation, current.pair.ready.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::problem::Kind;
    use crate::tls::issue;

    const NOW: i64 = 1_800_000_000;

    fn held() -> CertificateState {
        let ca = issue::authority("ca", NOW).expect("a CA");
        let made = issue::sign(&ca, &["a.test".to_owned()], NOW).expect("a certificate");
        let mut held = CertificateState::new();
        assert_eq!(held.due(NOW), Some(Due::Order), "nothing is there");
        assert!(held.install(Pair::new(made.certificate, made.key).expect("a pair"), 1, NOW, 0));
        held
    }

    #[test]
    fn an_authority_is_asked_first_and_obeyed() {
        let mut held = held();
        let day = 86_400;
        assert_eq!(held.due(NOW), Some(Due::Ask));
        let window = Window { start: NOW + 10 * day, end: NOW + 11 * day, ask_again: 7200 };
        held.suggested(Some(window), NOW, 5);
        assert_eq!((held.due(NOW), held.next()), (None, NOW + 7200));
        assert_eq!(held.order_at, NOW + 10 * day + 5);
        held.suggested(Some(window), NOW + 7200, 77);
        assert_eq!(held.order_at, NOW + 10 * day + 5, "the moment stays");
        // It wants immediate renewal, repeatedly.
        let past = Window { start: NOW - 2 * day, end: NOW - day, ask_again: 7200 };
        held.suggested(Some(past), NOW, 5);
        assert_eq!(held.due(NOW), Some(Due::Order));
        if let Some(current) = &mut held.current {
            current.not_before = NOW;
        }
        held.begin(NOW);
        held.suggested(Some(past), NOW, 5);
        assert_eq!(held.order_at, NOW + 1200, "not one after the other");
        held.suggested(None, NOW, 5);
        assert_eq!(held.ask_at, NOW + ASK_AGAIN_AFTER);
    }

    #[test]
    fn a_certificate_that_is_over_when_it_is_issued_is_not_renewed_for_ever() {
        let mut held = held();
        let pair = held.current.clone().expect("there").pair;
        // Ten years later, according to this machine's clock.
        let late = NOW + 3650 * 86_400;
        for pause in [1200, 2400, 4800] {
            held.begin(late);
            assert!(held.install(pair.clone(), 2, late, 0));
            assert!(held.issued(late), "it is over");
            let past = Window { start: NOW, end: NOW + 1, ask_again: 7200 };
            held.suggested(Some(past), late, 0);
            assert_eq!(held.order_at, late + pause, "not one after the other");
        }
        // The clock is corrected.
        assert!(held.install(pair, 3, NOW, 0));
        assert!(!held.issued(NOW) && held.order_at > NOW + 86_400);
    }

    #[test]
    fn a_certificate_of_an_hour_is_renewed_each_time_before_it_ends() {
        // The authority suggests nothing, immediate renewal, or a late one.
        for window in [None, Some((NOW - 2, NOW - 1)), Some((NOW + 86_400, NOW + 86_401))] {
            let (mut held, mut now) = (CertificateState::new(), NOW);
            for round in 0..10 {
                held.begin(now);
                let made = issue::lasting("a.test", now, 3600).expect("a certificate");
                assert!(held.install(Pair::new(made.certificate, made.key).expect("a pair"), round, now, 0));
                assert!(!held.issued(now));
                let window = window.map(|(start, end)| Window { start, end, ask_again: 60 });
                held.suggested(window, now, 0);
                assert!(held.order_at >= now && held.order_at < now + 3600, "{window:?}: {round}");
                now = held.order_at;
            }
            assert!(now > NOW + 10 * 600, "{window:?}: one after the other");
        }
    }

    #[test]
    fn an_authority_that_is_asked_meanwhile_does_not_shorten_the_pause_after_a_failure() {
        let mut held = held();
        let pause = held.failed(&AcmeFailure::new(Kind::Settings, "no"), NOW, 0);
        held.suggested(Some(Window { start: NOW - 2, end: NOW - 1, ask_again: 60 }), NOW + 60, 0);
        assert_eq!(held.order_at, NOW.saturating_add_unsigned(pause));
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_no_certificate_to_end() {
        let (day, year) = (86_400, 365 * 86_400);
        // Without a certificate, the pause after a failure keeps its length.
        let mut none = CertificateState::new();
        let pause = none.failed(&AcmeFailure::new(Kind::Settings, "no"), NOW + year, 0);
        none.set_back(year, NOW);
        assert_eq!(none.next(), NOW.saturating_add_unsigned(pause));
        // With a certificate, renewal stays due at the same time by its dates or window.
        let mut held = held();
        held.suggested(None, NOW, 0);
        let due = held.order_at;
        held.suggested(None, NOW + year, 0);
        held.set_back(year, NOW + 1);
        assert_eq!((held.order_at, held.ask_at), (due, NOW + ASK_AGAIN_AFTER));
        let window = Window { start: NOW + 10 * day, end: NOW + 11 * day, ask_again: 7200 };
        held.suggested(Some(window), NOW + year, 5);
        held.set_back(year, NOW + 1);
        assert_eq!((held.order_at, held.ask_at), (NOW + 10 * day + 5, NOW + 7200));
        // It was expired by the wrong clock.
        let mut held = self::held();
        assert!(!held.issued(NOW));
        let right = held.order_at;
        let pair = held.current.clone().expect("there").pair;
        let late = NOW + 10 * year;
        assert!(held.install(pair, 2, late, 0) && held.issued(late));
        assert!(held.order_at > late);
        held.set_back(10 * year, NOW);
        assert!(held.order_at == right && held.ask_at == NOW && held.issued_expired == 0, "{held:?}");
    }

    #[test]
    fn a_pause_of_an_earlier_process_holds_unless_the_clock_was_another() {
        for (until, want) in [(NOW + 3600, true), (NOW, false), (NOW - 1, false), (NOW + 40 * 86_400, false)] {
            let mut held = CertificateState::new();
            assert_eq!(held.await_until(until, NOW), want, "{until}");
            assert_eq!(held.due(NOW).is_none(), want, "{until}");
        }
        // Asking the authority meanwhile does not shorten it.
        let mut held = held();
        assert!(held.await_until(NOW + 3600, NOW));
        held.suggested(Some(Window { start: NOW - 2, end: NOW - 1, ask_again: 60 }), NOW, 0);
        assert_eq!(held.order_at, NOW + 3600);
    }

    #[test]
    fn failures_wait_longer_each_time_and_success_forgets_them() {
        let mut held = held();
        let failure = AcmeFailure::new(Kind::Refused, "no");
        let first = held.failed(&failure, NOW, 0);
        assert_eq!(held.due(NOW + 119).filter(|due| *due == Due::Order), None);
        assert!(held.failed(&failure, NOW, 0) > first);
        let pair = held.current.clone().expect("there").pair;
        assert!(held.install(pair, 2, NOW, 0));
        assert_eq!(held.failed(&failure, NOW, 0), first);
    }
}

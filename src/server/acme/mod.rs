//! ACME on the event loop: sends requests to authorities over our own transport, and passes responses to
//! `services::acme`. Like the resolver's, its sockets are in a separate epoll, which the loop watches.

mod fetch;
pub mod fetches;

use super::Server;
use crate::conn::token::{Role, token_of};
use crate::services::acme::Moment;
use crate::sys::epoll::{self, Events, Timeout};
use crate::util::slab::Key;
use fetch::FetchProgress;
use fetches::Fetches;

/// Milliseconds for which an idle connection is kept.
const KEPT: u64 = 10_000;

impl Server {
    fn moment(&self) -> Moment {
        Moment { ms: self.cx.now.ms, unix: self.cx.now.unix }
    }

    /// Applies the certificates of the configuration.
    pub(super) fn adopt_acme(&mut self) {
        let config = self.cx.config.clone();
        if self.cx.acme.adopt(&config.acme, self.cx.now.unix) {
            self.acme.clear();
        }
        self.tell_acme();
        self.acme.next = self.cx.acme.next_due(self.moment());
    }

    /// Handles socket events.
    pub(super) fn acme_event(&mut self) {
        let mut events = Events::new();
        let wait = self.acme.epoll.as_ref().map(|epoll| epoll.wait(&mut events, Timeout::Now));
        let Some(Ok(count)) = wait else { return };
        for at in 0..count {
            let Some((token, flags)) = events.get(at) else { break };
            let key = Key::from_u64(token);
            if let Some(fetch) = self.acme.slab.get_mut(key) {
                fetch.event(flags);
                self.fetch(key);
            }
        }
        self.go_on_acme();
    }

    /// Continues requests whose names may have been resolved.
    pub(super) fn acme_names(&mut self) {
        if self.acme.is_resolving() {
            self.acme_due();
        }
    }

    /// Handles what is due.
    fn acme_due(&mut self) {
        let keys: Vec<Key> = self.acme.slab.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.fetch(key);
        }
        self.go_on_acme();
    }

    /// Does what ACME has to do by now, in a turn that timers woke.
    pub(super) fn acme_if_due(&mut self) {
        if self.next_acme().is_some_and(|due| due <= self.cx.now.ms) {
            self.acme_due();
        }
    }

    /// When something is due without an event. A draining process leaves it to its successor.
    pub(super) fn next_acme(&self) -> Option<u64> {
        self.acme.next.filter(|_| !self.cx.quitting)
    }

    /// Recomputes times after the wall clock jumped.
    pub(super) fn acme_clock_jumped(&mut self, seconds: i64) {
        let now = self.moment();
        if seconds < 0 {
            self.cx.acme.clock_set_back(seconds.saturating_neg(), now.unix);
        }
        self.acme.next = self.acme.next.map(|next| next.min(now.ms));
    }

    /// Registers ACME's epoll with that of the loop, once it exists.
    pub(super) fn watch_acme(&mut self) {
        if self.acme.watched {
            return;
        }
        if let Some(fd) = self.acme.fd() {
            // If epoll refuses it, responses are read at the next deadline.
            let _ = self.epoll.add(fd, epoll::IN, token_of(Role::Acme));
            self.acme.watched = true;
        }
    }

    /// Continues a request as far as possible.
    fn fetch(&mut self, key: Key) {
        let now = self.moment();
        let Fetches { epoll: Some(epoll), slab, idle, .. } = &mut self.acme else { return };
        let Some(fetch) = slab.get_mut(key) else { return };
        let answer = match fetch.advance(&mut self.cx.resolver, epoll, key, now) {
            FetchProgress::Waiting => return,
            FetchProgress::Done(answer) => answer,
        };
        if let Some(mut fetch) = slab.remove(key) {
            let authority = fetch.authority();
            if let Some(connection) = fetch.take_connection() {
                idle.push((authority, connection, now.ms + KEPT));
            }
            self.cx.acme.answered(authority, answer, now);
        }
    }

    /// Starts requests that are due.
    fn go_on_acme(&mut self) {
        if self.cx.quitting {
            return;
        }
        let now = self.moment();
        // Each round starts requests or ends jobs; failed ones wait for their next attempt.
        for _ in 0..64 {
            let requests = self.cx.acme.step(now);
            if requests.is_empty() {
                break;
            }
            for (authority, request) in requests {
                let Some(issuer) = self.cx.acme.issuer(authority).cloned() else { continue };
                match self.acme.begin(authority, issuer, request, now.ms) {
                    Some(key) => self.fetch(key),
                    None => self.cx.acme.answered(authority, Err("epoll_create1() failed".into()), now),
                }
            }
        }
        self.tell_acme();
        self.acme.idle.retain(|(_, _, until)| *until > now.ms);
        let deadlines = self.acme.slab.iter().map(|(_, fetch)| fetch.due());
        let idle = self.acme.idle.iter().map(|(_, _, until)| *until);
        self.acme.next = deadlines.chain(idle).chain(self.cx.acme.next_due(now)).min();
    }

    fn tell_acme(&mut self) {
        for (level, text) in self.cx.acme.lines() {
            self.say(level, format_args!("{text}"));
        }
    }
}

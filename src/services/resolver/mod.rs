//! Resolves names at request time: a stub resolver whose sockets are in a separate epoll, which the event loop watches.
//! A caller gets an answer at once (cache, /etc/hosts) or a ticket; when the answer arrives, its [`Wake`] is in
//! [`Resolver::woken`].
//!
//! Each lookup has its own socket, so that ports are as hard to guess as ids. Invariant: every lookup has a request
//! that waits for it; it ends when the last one gives up.

mod answer;
mod cache;
mod hosts;
mod lookup;

pub use answer::{Answer, Records, Ticket, Want};

use crate::config::settings::resolver::ResolverSettings;
use crate::sys::epoll::{Epoll, Events, Timeout};
use crate::util::dns;
use crate::util::slab::{Key, Slab};
use crate::util::wake::Wake;
use cache::Cache;
use hosts::Hosts;
use lookup::{Lookup, LookupProgress};
use std::collections::HashMap;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// Maximum number of concurrent lookups.
const LOOKUPS: usize = 1024;
/// Milliseconds for which an answer is kept for its request, which is woken at once.
const KEPT: u64 = 10_000;

/// Why a lookup failed: an RCODE of RFC 1035, or a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupError(u16);

impl LookupError {
    /// NXDOMAIN (RFC 1035 §4.1.1).
    pub const NOT_FOUND: LookupError = LookupError(3);
    const BUSY: LookupError = LookupError(2);
    const TIMED_OUT: LookupError = LookupError(110);
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            1 => "Format error",
            2 => "Server failure",
            3 => "Host not found",
            4 => "Unimplemented",
            5 => "Operation refused",
            110 => "Operation timed out",
            _ => "Unknown error",
        };
        write!(f, "({}: {text})", self.0)
    }
}

/// An answer, or the reason for which there is none.
pub type LookupResult = Result<Answer, LookupError>;

/// What [`Resolver::ask`] could do at once.
pub enum Submitted {
    /// From the cache or /etc/hosts.
    Now(LookupResult),
    /// The answer is to be taken with this ticket.
    Later(Ticket),
}

/// A question.
pub struct Question<'a> {
    /// The `resolver` directive that holds.
    pub settings: &'a Rc<ResolverSettings>,
    /// The name in any case, with or without its final dot.
    pub name: &'a [u8],
    /// Addresses or services.
    pub want: Want,
    /// Milliseconds.
    pub timeout: u64,
    /// None: the caller polls for the answer.
    pub owner: Option<Wake>,
}

/// Lookups under way, cached answers, and answers not taken yet.
#[derive(Default)]
pub struct Resolver {
    /// Created at the first lookup.
    epoll: Option<Epoll>,
    lookups: Slab<Lookup>,
    cache: Cache,
    hosts: Hosts,
    /// Answers not taken yet, and since when.
    done: HashMap<Ticket, (LookupResult, u64)>,
    tickets: u64,
    /// The name server to ask first.
    rotation: usize,
    woken: Vec<Wake>,
}

impl Resolver {
    /// The descriptor for the event loop: readable when [`Resolver::receive`] must be called. None before the first
    /// lookup.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.epoll.as_ref().map(Epoll::fd)
    }

    /// Answers at once from the hosts file or the cache, otherwise begins a lookup, or joins one for the same question.
    /// `now`: monotonic milliseconds.
    pub fn ask(&mut self, question: &Question<'_>, now: u64) -> Submitted {
        let Some(name) = dns::canonical(question.name) else { return Submitted::Now(Err(LookupError::NOT_FOUND)) };
        let settings = question.settings;
        if question.want == Want::Addresses
            && let Some(answer) = self.hosts.find(&name, settings, now)
        {
            return Submitted::Now(Ok(answer));
        }
        if let Some(answer) = self.cache.get(settings, &name, question.want, now) {
            return Submitted::Now(Ok(answer));
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let waiter = lookup::Waiter { ticket, owner: question.owner, until: now.saturating_add(question.timeout) };
        let same = |lookup: &Lookup| lookup.is_for(settings, &name, question.want);
        if let Some((_, lookup)) = self.lookups.iter_mut().find(|(_, lookup)| same(lookup)) {
            lookup.waiters.push(waiter);
            return Submitted::Later(ticket);
        }
        if self.lookups.len() >= LOOKUPS || !self.has_epoll() {
            return Submitted::Now(Err(LookupError::BUSY));
        }
        let lookup = Lookup::new(settings.clone(), name, question.want, self.rotation, waiter);
        self.rotation = self.rotation.wrapping_add(1);
        let key = self.lookups.insert(lookup);
        self.send(key, now);
        Submitted::Later(ticket)
    }

    fn has_epoll(&mut self) -> bool {
        if self.epoll.is_none() {
            self.epoll = Epoll::new().ok();
        }
        self.epoll.is_some()
    }

    /// Takes the answer for a ticket.
    pub fn take(&mut self, ticket: Ticket) -> Option<LookupResult> {
        self.done.remove(&ticket).map(|(outcome, _)| outcome)
    }

    /// The requests whose answers have arrived.
    pub fn woken(&mut self) -> Vec<Wake> {
        std::mem::take(&mut self.woken)
    }

    /// Reads from the name servers.
    pub fn receive(&mut self, now: u64) {
        let mut events = Events::new();
        let Some(Ok(count)) = self.epoll.as_ref().map(|epoll| epoll.wait(&mut events, Timeout::Now)) else { return };
        for at in 0..count {
            let Some((token, _)) = events.get(at) else { break };
            let key = Key::from_u64(token);
            let (Some(lookup), Some(epoll)) = (self.lookups.get_mut(key), &self.epoll) else { continue };
            let progress = lookup.receive(epoll, token);
            self.went_on(key, progress, now);
        }
    }

    fn went_on(&mut self, key: Key, progress: LookupProgress, now: u64) {
        match progress {
            LookupProgress::Waiting => {}
            LookupProgress::Again => self.send(key, now),
            LookupProgress::Done(outcome) => self.finish(key, outcome, now),
        }
    }

    fn send(&mut self, key: Key, now: u64) {
        if let (Some(lookup), Some(epoll)) = (self.lookups.get_mut(key), &self.epoll) {
            lookup.send(epoll, key.to_u64(), now);
        }
    }

    fn finish(&mut self, key: Key, outcome: Result<(Records, u32), u16>, now: u64) {
        let Some(lookup) = self.lookups.remove(key) else { return };
        let outcome = match outcome {
            Ok((found, ttl)) => {
                let valid = lookup.settings.valid.map_or(u64::from(ttl) * 1000, |valid| valid.0);
                Ok(self.cache.put(&lookup.settings, lookup.name, lookup.want, found, now, now.saturating_add(valid)))
            }
            Err(code) => Err(LookupError(code)),
        };
        for waiter in lookup.waiters {
            self.done.insert(waiter.ticket, (outcome.clone(), now));
            self.woken.extend(waiter.owner);
        }
    }

    /// When [`Resolver::expire`] must be called even if nothing arrives.
    pub fn next_due(&self) -> Option<u64> {
        self.lookups.iter().map(|(_, lookup)| lookup.due()).min()
    }

    /// Repeats questions, and ends lookups that took too long.
    pub fn expire(&mut self, now: u64) {
        // Requests that have ended never take their answers.
        self.done.retain(|_, (_, since)| now < *since + KEPT);
        let mut again = Vec::new();
        let mut over = Vec::new();
        for (key, lookup) in self.lookups.iter_mut() {
            for late in lookup.waiters.extract_if(.., |waiter| waiter.until <= now) {
                self.done.insert(late.ticket, (Err(LookupError::TIMED_OUT), now));
                self.woken.extend(late.owner);
            }
            if lookup.waiters.is_empty() {
                over.push(key);
            } else if lookup.resend_at <= now {
                lookup.next_server();
                again.push(key);
            }
        }
        for key in over {
            self.lookups.remove(key);
        }
        for key in again {
            self.send(key, now);
        }
    }

    /// Drops the caches of resolvers that no current configuration names.
    pub fn prune(&mut self) {
        self.cache.prune();
    }
}

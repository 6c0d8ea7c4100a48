//! Resolves names at request time: a stub resolver whose sockets are in a separate epoll, which the event loop watches.
//! A caller gets an answer at once (cache, /etc/hosts) or a ticket; when the answer arrives, its [`Wake`] is in
//! [`Resolver::woken`].
//!
//! Each lookup has its own socket, so that ports are as hard to guess as ids. Invariant: every lookup has a caller that
//! waits for it; it ends when the last one times out.
//!
//! What bounds it: [`LOOKUPS`] lookups for the requests of all clients, and an eighth of the descriptors. When all are
//! in use, the client that has the most loses its newest ([`super::fair_share`]): names of a zone that does not answer
//! do not keep other clients from resolving theirs. Names of the configuration (`server … resolve`, ACME) are not
//! counted here; [`super::upstream_names`] bounds its own. No operation walks over all lookups, or over all callers of
//! one.

mod answer;
mod cache;
mod hosts;
mod lookup;
mod pending;

pub use answer::{Answer, LookupError, Records, Ticket, Want};

use super::fair_share::Sharer;
use crate::config::settings::resolver::ResolverSettings;
use crate::sys::epoll::{Epoll, Events, Timeout};
use crate::util::dns;
use crate::util::slab::Key;
use crate::util::wake::Wake;
use cache::Cache;
use hosts::Hosts;
use lookup::{Lookup, LookupProgress, Waiter};
use pending::Pending;
use std::collections::{HashMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// Maximum number of concurrent lookups for requests of clients.
const LOOKUPS: usize = 1024;
/// Minimum number of concurrent lookups, however few descriptors there are.
const LEAST: usize = 16;
/// Maximum number of lookups repeated or ended at a time.
const AT_A_TIME: usize = 128;
/// Milliseconds for which an answer is kept for its request, which is woken at once.
const KEPT: u64 = 10_000;

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
    /// The `resolver` directive in force.
    pub settings: &'a Rc<ResolverSettings>,
    /// The name in any case, with or without its final dot.
    pub name: &'a [u8],
    /// Addresses or services.
    pub want: Want,
    /// Milliseconds.
    pub timeout: u64,
    /// None: the ticket is in [`Resolver::answered`] once there is an answer.
    pub owner: Option<Wake>,
    /// The client whose request it is; None: a name of the configuration.
    pub client: Option<Sharer>,
}

/// Lookups under way, cached answers, and answers not taken yet.
#[derive(Default)]
pub struct Resolver {
    /// Created at the first lookup.
    epoll: Option<Epoll>,
    lookups: Pending,
    /// Maximum number of sockets; None: unknown.
    descriptors: Option<usize>,
    cache: Cache,
    hosts: Hosts,
    /// Answers not fetched yet.
    done: HashMap<Ticket, LookupResult>,
    /// When they arrived, oldest first; some were fetched meanwhile.
    done_since: VecDeque<(u64, Ticket)>,
    tickets: u64,
    /// The name server to ask first.
    rotation: usize,
    woken: Vec<Wake>,
    answered: Vec<Ticket>,
    complaints: Vec<Box<str>>,
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
        let until = now.saturating_add(question.timeout);
        let waiter = Waiter { ticket, owner: question.owner, client: question.client, until };
        if let Some(key) = self.lookups.find(settings, &name, question.want) {
            self.lookups.join(key, waiter);
            return Submitted::Later(ticket);
        }
        if !self.has_epoll() || !self.has_room_for(question.client, now) {
            return Submitted::Now(Err(LookupError::BUSY));
        }
        let lookup = Lookup::new(settings.clone(), name, question.want, self.rotation, waiter);
        self.rotation = self.rotation.wrapping_add(1);
        let key = self.lookups.insert(lookup, question.client);
        self.send(key, now);
        Submitted::Later(ticket)
    }

    /// Sets how many descriptors may be held.
    pub fn set_descriptors(&mut self, most: usize) {
        self.descriptors = Some(most);
    }

    /// Whether the client may begin a lookup; another one may have to give one up.
    fn has_room_for(&mut self, client: Option<Sharer>, now: u64) -> bool {
        let Some(client) = client else { return true };
        let most = self.descriptors.unwrap_or(LOOKUPS).clamp(LEAST, LOOKUPS);
        if self.lookups.shares().total() < most {
            return true;
        }
        let given_up = self.lookups.shares().gives_way(client).and_then(|greedy| self.lookups.give_up(greedy));
        let Some(lookup) = given_up else { return false };
        lookup.waiters.into_iter().for_each(|waiter| self.deliver(waiter, Err(LookupError::BUSY), now));
        true
    }

    fn deliver(&mut self, waiter: Waiter, outcome: LookupResult, now: u64) {
        self.done.insert(waiter.ticket, outcome);
        self.done_since.push_back((now, waiter.ticket));
        match waiter.owner {
            Some(wake) => self.woken.push(wake),
            None => self.answered.push(waiter.ticket),
        }
    }

    fn has_epoll(&mut self) -> bool {
        if self.epoll.is_none() {
            self.epoll = Epoll::new().ok();
        }
        self.epoll.is_some()
    }

    /// Takes the answer for a ticket.
    pub fn take(&mut self, ticket: Ticket) -> Option<LookupResult> {
        let outcome = self.done.remove(&ticket);
        while self.done_since.front().is_some_and(|(_, ticket)| !self.done.contains_key(ticket)) {
            self.done_since.pop_front();
        }
        outcome
    }

    /// The tickets of the configuration's names whose answers have arrived.
    pub fn answered(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.answered)
    }

    /// What is wrong with messages of name servers that answer nothing, for the error log.
    pub fn complaints(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.complaints)
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
            self.complaints.extend(lookup.take_complaint());
            self.went_on(key, progress, now);
            self.lookups.plan(key);
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
        self.lookups.plan(key);
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
        lookup.waiters.into_iter().for_each(|waiter| self.deliver(waiter, outcome.clone(), now));
    }

    /// When [`Resolver::expire`] must be called even if nothing arrives.
    pub fn next_due(&self) -> Option<u64> {
        if self.woken.is_empty() && self.answered.is_empty() { self.lookups.next_due() } else { Some(0) }
    }

    /// Repeats questions, and ends lookups that took too long.
    pub fn expire(&mut self, now: u64) {
        // Requests that have ended never take their answers.
        while let Some((since, ticket)) = self.done_since.front().copied()
            && since + KEPT <= now
        {
            self.done_since.pop_front();
            self.done.remove(&ticket);
        }
        for _ in 0..AT_A_TIME {
            let Some(key) = self.lookups.due_by(now) else { break };
            self.expire_one(key, now);
        }
    }

    fn expire_one(&mut self, key: Key, now: u64) {
        while let Some(late) = self.lookups.get_mut(key).and_then(|lookup| lookup.take_late(now)) {
            self.deliver(late, Err(LookupError::TIMED_OUT), now);
        }
        let Some(lookup) = self.lookups.get_mut(key) else { return };
        if lookup.waiters.is_empty() {
            self.lookups.remove(key);
        } else if lookup.resend_at <= now {
            lookup.next_server();
            self.send(key, now);
        } else {
            self.lookups.plan(key);
        }
    }

    /// Drops the caches of resolvers that no current configuration names.
    pub fn prune(&mut self) {
        self.cache.prune();
    }
}

#[cfg(test)]
mod tests;

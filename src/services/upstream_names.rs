//! Servers of upstream groups with `resolve`: their names are looked up again when an answer expires, and the group
//! gets the new addresses.
//!
//! A configured group never changes; [`UpstreamNames::current`] is derived from it with the current addresses. Requests
//! in progress keep the one they began with. Invariant: a failed lookup changes nothing; an NXDOMAIN answer removes the
//! addresses (nginx).
//!
//! What bounds it: [`ASKED`] lookups at a time, the other names wait; a step of the loop begins [`BEGUN_AT_ONCE`] of
//! them, and examines only names that are due or answered. A request finds its group by one lookup in a table. After a
//! reload a step builds [`MADE`] groups with their previous addresses, or frees as many of the old ones; a request
//! whose group is not built yet builds it. If another reload comes before all are built, a group takes its addresses
//! from the last configuration in which it was built.

use super::resolver::{Answer, LookupError, LookupResult, Question, Records, Resolver, Submitted, Ticket, Want};
use crate::config::model::Config;
use crate::config::settings::upstream::Dynamic;
use crate::config::settings::upstream::{Upstream, UpstreamServer};
use crate::sys::process;
use crate::sys::socket::Addr;
use crate::util::dns::Service;
use crate::util::hash::{FastMap, free_some};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;

/// Milliseconds until a failed lookup is repeated.
const RETRY: u64 = 10_000;
/// Minimum milliseconds between two lookups of a name, whatever its TTL.
const LEAST: u64 = 1000;
/// Maximum number of names that are looked up at a time, each with a descriptor of its own.
const ASKED: usize = 256;
/// Maximum number of lookups begun at a time.
const BEGUN_AT_ONCE: usize = 64;
/// Maximum number of groups made at a time: 5000 in one step held up other clients for 19 ms.
const MADE: usize = 128;

/// Maximum number of groups listed at a time: 50 000 in one step took 17 ms.
const LISTED: usize = 512;

/// The groups of a configuration.
type Groups = Rc<dyn AsRef<[Rc<Upstream>]>>;

/// A group, and a name in it.
type Place = (usize, usize);

/// The groups of the configuration that have such servers.
#[derive(Default)]
pub struct UpstreamNames {
    /// The configuration's groups, and how many of them have been looked at: the others are not among `groups` yet, but
    /// for those that a request wanted.
    unlisted: Option<(Groups, usize)>,
    groups: Vec<Group>,
    /// Where they are, by the address of the configured group.
    places: FastMap<usize, usize>,
    /// The first group of each name.
    by_name: FastMap<Rc<str>, usize>,
    /// The number of groups built, from the first on.
    made: usize,
    /// The groups of earlier configurations, the latest at the end.
    before: Vec<Before>,
    /// Names that are not being looked up, by the time when they are due.
    dues: BTreeSet<(u64, Place)>,
    /// Names being looked up.
    asked: HashMap<Ticket, Place>,
}

/// What answers of name servers have changed.
#[derive(Default)]
pub struct Changes {
    /// Names that could not be resolved, and why.
    pub failed: Vec<(Box<str>, LookupError)>,
    /// Groups with other addresses: as they were, and as they are.
    pub groups: Vec<(Rc<Upstream>, Rc<Upstream>)>,
}

struct Group {
    base: Rc<Upstream>,
    current: Rc<Upstream>,
    /// Empty until the group is made.
    names: Vec<Name>,
}

#[derive(Default)]
struct Before {
    groups: Vec<Group>,
    by_name: FastMap<Rc<str>, usize>,
    dues: BTreeSet<(u64, Place)>,
}

impl Before {
    /// The group of that name, if its addresses were known.
    fn made(&self, name: &str) -> Option<&Group> {
        let at = *self.by_name.get(name)?;
        self.groups.get(at).filter(|group| !group.names.is_empty())
    }
}

/// One `server … resolve` line.
#[derive(Default)]
struct Name {
    addresses: Vec<Address>,
    /// service=: targets still to be resolved, and the results so far.
    targets: Vec<Service>,
    found: Vec<Address>,
    until: u64,
    /// The lowest (best) priority.
    best: u16,
    /// Failed lookups to be logged.
    failed: Vec<(Box<str>, LookupError)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    addr: SocketAddr,
    /// 0: the weight of the server line.
    weight: u32,
    backup: bool,
}

impl UpstreamNames {
    /// Applies a new configuration. Names also in the old one keep their addresses.
    pub fn adopt(&mut self, config: &Rc<Config>) {
        self.adopt_groups(config.clone());
    }

    fn adopt_groups(&mut self, all: Groups) {
        let UpstreamNames { groups, by_name, before, dues, .. } = std::mem::take(self);
        self.before = before;
        if !groups.is_empty() {
            self.before.push(Before { groups, by_name, dues });
        }
        self.unlisted = Some((all, 0));
    }

    /// Lists some of the configuration's groups.
    fn list_some(&mut self) {
        let Some((all, from)) = self.unlisted.take() else { return };
        let groups = (*all).as_ref();
        if from == 0 {
            // A table that grows moves all its entries in one step.
            self.places.reserve(groups.len());
            self.by_name.reserve(groups.len());
        }
        let end = groups.len().min(from + LISTED);
        for base in groups.get(from..end).unwrap_or_default() {
            if !base.dynamic.is_empty() && !self.places.contains_key(&Rc::as_ptr(base).addr()) {
                self.list(base);
            }
        }
        if end < groups.len() {
            self.unlisted = Some((all, end));
        }
    }

    fn list(&mut self, base: &Rc<Upstream>) -> usize {
        let at = self.groups.len();
        self.groups.push(Group { base: base.clone(), current: base.clone(), names: Vec::new() });
        self.places.insert(Rc::as_ptr(base).addr(), at);
        self.by_name.entry(base.name.clone()).or_insert(at);
        at
    }

    /// Where the group is, listed now if its turn has not come. None: it is another configuration's, or has only
    /// addresses.
    fn place(&mut self, base: &Rc<Upstream>) -> Option<usize> {
        if let Some(at) = self.places.get(&Rc::as_ptr(base).addr()) {
            return Some(*at);
        }
        let (all, from) = self.unlisted.as_ref().filter(|_| !base.dynamic.is_empty())?;
        let mut left = (**all).as_ref().iter().skip(*from);
        left.any(|group| Rc::ptr_eq(group, base)).then(|| self.list(base))
    }

    /// Makes some of the groups, or frees some of those before.
    fn make_some(&mut self) {
        self.list_some();
        if self.made == self.groups.len() && self.unlisted.is_none() {
            let Some(Before { groups, by_name, dues }) = self.before.last_mut() else { return };
            process::sort_freed_blocks();
            groups.truncate(groups.len().saturating_sub(MADE));
            for _ in 0..MADE {
                dues.pop_first();
            }
            if !free_some(by_name) && groups.is_empty() && dues.is_empty() {
                self.before.pop();
            }
            return;
        }
        for at in self.made..self.groups.len().min(self.made + MADE) {
            self.make(at);
            self.made += 1;
        }
    }

    fn make(&mut self, at: usize) {
        let Some(group) = self.groups.get_mut(at).filter(|group| group.names.is_empty()) else { return };
        let name = &group.base.name;
        let before = self.before.iter().rev().find_map(|before| before.made(name));
        *group = Group::new(&group.base, before);
        if group.base.resolver.is_some() {
            self.dues.extend((0..group.names.len()).map(|name| (0, (at, name))));
        }
    }

    /// The group with the current addresses.
    pub fn current(&mut self, base: &Rc<Upstream>) -> Rc<Upstream> {
        let Some(at) = self.place(base) else { return base.clone() };
        self.make(at);
        self.groups.get(at).map_or_else(|| base.clone(), |group| group.current.clone())
    }

    /// Monotonic milliseconds; None: nothing is due.
    pub fn next_due(&self) -> Option<u64> {
        if self.unlisted.is_some() || self.made < self.groups.len() || !self.before.is_empty() {
            return Some(0);
        }
        self.next_lookup()
    }

    fn next_lookup(&self) -> Option<u64> {
        self.dues.first().filter(|_| self.asked.len() < ASKED).map(|(due, _)| *due)
    }

    /// Takes new answers, and begins lookups that are due.
    pub fn run(&mut self, resolver: &mut Resolver, now: u64) -> Changes {
        self.make_some();
        let mut changes = Changes::default();
        let mut changed = BTreeSet::new();
        for ticket in resolver.answered() {
            // ACME asks, too.
            let Some(place) = self.asked.remove(&ticket) else { continue };
            if let Some(outcome) = resolver.take(ticket) {
                self.step(place, Some(outcome), resolver, &mut changes, &mut changed, now);
            }
        }
        for _ in 0..BEGUN_AT_ONCE {
            if self.next_lookup().is_none_or(|due| due > now) {
                break;
            }
            if let Some((_, place)) = self.dues.pop_first() {
                self.step(place, None, resolver, &mut changes, &mut changed, now);
            }
        }
        for at in changed {
            let Some(group) = self.groups.get_mut(at) else { continue };
            let before = group.current.clone();
            group.rebuild();
            changes.groups.push((before, group.current.clone()));
        }
        changes
    }

    /// Begins to look up a name, or continues with an answer.
    fn step(
        &mut self,
        place: Place,
        outcome: Option<LookupResult>,
        resolver: &mut Resolver,
        changes: &mut Changes,
        changed: &mut BTreeSet<usize>,
        now: u64,
    ) {
        let Some(Group { base, names, .. }) = self.groups.get_mut(place.0) else { return };
        let Some((name, dynamic)) = names.get_mut(place.1).zip(base.dynamic.get(place.1)) else { return };
        let Some(settings) = &base.resolver else { return };
        let timeout = base.resolver_timeout.map_or(30_000, |timeout| timeout.0);
        let time = Time { now, again: settings.valid.map_or(RETRY, |valid| valid.0).max(LEAST) };
        let mut ask = |host: &[u8], want| {
            resolver.ask(&Question { settings, name: host, want, timeout, owner: None, client: None }, now)
        };
        let mut is_changed = false;
        let next = match outcome {
            None => name.begin(dynamic, &mut ask, &mut is_changed, time),
            Some(outcome) => name.step(dynamic, outcome, &mut ask, &mut is_changed, time),
        };
        changes.failed.append(&mut name.failed);
        if is_changed {
            changed.insert(place.0);
        }
        match next {
            Next::Answer(ticket) => _ = self.asked.insert(ticket, place),
            Next::Lookup(due) => _ = self.dues.insert((due, place)),
        }
    }
}

#[derive(Clone, Copy)]
struct Time {
    now: u64,
    /// Milliseconds until a name without an answer is looked up again.
    again: u64,
}

/// What a name waits for.
enum Next {
    /// The answer to a lookup.
    Answer(Ticket),
    /// The time of the next lookup.
    Lookup(u64),
}

type Ask<'a> = &'a mut dyn FnMut(&[u8], Want) -> Submitted;

impl Name {
    fn begin(&mut self, dynamic: &Dynamic, ask: Ask<'_>, changed: &mut bool, time: Time) -> Next {
        (self.targets, self.found, self.until) = (Vec::new(), Vec::new(), u64::MAX);
        let submitted = match &dynamic.service {
            Some(service) => ask(service.as_bytes(), Want::Services),
            None => ask(dynamic.host.as_bytes(), Want::Addresses),
        };
        self.wait(dynamic, submitted, ask, changed, time)
    }

    fn wait(&mut self, dynamic: &Dynamic, submitted: Submitted, ask: Ask<'_>, changed: &mut bool, time: Time) -> Next {
        match submitted {
            Submitted::Later(ticket) => Next::Answer(ticket),
            Submitted::Now(outcome) => self.step(dynamic, outcome, ask, changed, time),
        }
    }

    fn step(&mut self, dynamic: &Dynamic, outcome: LookupResult, ask: Ask<'_>, changed: &mut bool, time: Time) -> Next {
        if let Err(failure) = &outcome {
            let target = self.targets.last().map(|service| &*service.target);
            let host = target.or(dynamic.service.as_deref()).unwrap_or(&dynamic.host);
            self.failed.push((host.into(), *failure));
        }
        match outcome {
            Ok(Answer { found: Records::Services(services), until }) => {
                self.until = self.until.min(until);
                self.targets = services.to_vec();
                self.best = services.iter().map(|service| service.priority).min().unwrap_or(0);
            }
            Ok(Answer { found: Records::Addresses(ips), until }) => {
                self.until = self.until.min(until);
                let service = self.targets.pop();
                self.found.extend(ips.iter().map(|ip| Address {
                    addr: SocketAddr::new(*ip, service.as_ref().map_or(dynamic.port, |service| service.port)),
                    weight: service.as_ref().map_or(0, |service| u32::from(service.weight).max(1)),
                    // Targets with the best priority are primary; the others are backups.
                    backup: service.as_ref().is_some_and(|service| service.priority > self.best),
                }));
            }
            Err(failure) if failure == LookupError::NOT_FOUND => drop(self.targets.pop()),
            Err(_) => return Next::Lookup(time.now + time.again),
        }
        if let Some(target) = self.targets.last() {
            let target = target.target.clone();
            let submitted = ask(target.as_bytes(), Want::Addresses);
            return self.wait(dynamic, submitted, ask, changed, time);
        }
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|address| (address.addr.is_ipv6(), address.addr));
        found.dedup_by_key(|address| address.addr);
        *changed |= found != self.addresses;
        self.addresses = found;
        Next::Lookup(if self.until == u64::MAX { time.now + time.again } else { self.until.max(time.now + LEAST) })
    }
}

impl Group {
    /// `old`: the group of that name before; its names keep their addresses.
    fn new(base: &Rc<Upstream>, old: Option<&Group>) -> Group {
        let known: HashMap<_, _> = old.map_or_else(HashMap::new, |old| {
            let names = old.base.dynamic.iter().zip(&old.names).rev();
            names.map(|(dynamic, name)| (dynamic.identity(), &name.addresses)).collect()
        });
        let names = base.dynamic.iter().map(|dynamic| {
            let mut addresses = known.get(&dynamic.identity()).map_or_else(Vec::new, |known| known.to_vec());
            for address in addresses.iter_mut().filter(|_| dynamic.service.is_none()) {
                address.addr.set_port(dynamic.port);
            }
            Name { addresses, ..Name::default() }
        });
        let mut group = Group { base: base.clone(), current: base.clone(), names: names.collect() };
        group.rebuild();
        group
    }

    fn rebuild(&mut self) {
        let mut next = Upstream { base: Some(self.base.clone()), ..Upstream::clone(&self.base) };
        for (name, dynamic) in self.names.iter().zip(&self.base.dynamic) {
            next.peers.extend(name.addresses.iter().map(|address| {
                let mut peer: UpstreamServer = dynamic.peer.clone();
                peer.addr = Addr::from(address.addr);
                peer.name = address.addr.to_string().into();
                peer.backup |= address.backup;
                if address.weight > 0 {
                    peer.weight = address.weight;
                }
                peer
            }));
        }
        next.finish();
        self.current = Rc::new(next);
    }
}

#[cfg(test)]
mod tests;

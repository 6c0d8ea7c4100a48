//! Servers of upstream groups with `resolve`: their names are looked up again when an answer expires, and the group
//! gets the new addresses.
//!
//! A configured group never changes; [`UpstreamNames::current`] is derived from it with the current addresses. Requests
//! in progress keep the one they began with. Invariant: a failed lookup changes nothing; an NXDOMAIN answer removes the
//! addresses (nginx).

use super::resolver::{Answer, LookupError, LookupResult, Question, Records, Resolver, Submitted, Ticket, Want};
use crate::config::model::Config;
use crate::config::settings::upstream::Dynamic;
use crate::config::settings::upstream::{Upstream, UpstreamServer};
use crate::sys::socket::Addr;
use crate::util::dns::Service;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// Milliseconds until a failed lookup is repeated.
const RETRY: u64 = 10_000;
/// Minimum milliseconds between two lookups of a name, whatever its TTL.
const LEAST: u64 = 1000;

/// The groups of the configuration that have such servers.
#[derive(Default)]
pub struct UpstreamNames(Vec<Group>);

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
    names: Vec<Name>,
}

/// One `server … resolve` line.
#[derive(Default)]
struct Name {
    addresses: Vec<Address>,
    /// When to look it up next.
    due: u64,
    ticket: Option<Ticket>,
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
    pub fn adopt(&mut self, config: &Config) {
        let before = std::mem::take(&mut self.0);
        for base in config.upstreams.iter().filter(|upstream| !upstream.dynamic.is_empty()) {
            let old = before.iter().find(|group| group.base.name == base.name);
            let names = base.dynamic.iter().map(|dynamic| {
                let same = |at: &usize| {
                    old.and_then(|group| group.base.dynamic.get(*at)).is_some_and(|other| other.is_same_name(dynamic))
                };
                let at = (0..base.dynamic.len().max(old.map_or(0, |group| group.names.len()))).find(same);
                let mut kept = at.and_then(|at| Some(old?.names.get(at)?.addresses.clone()));
                for address in kept.iter_mut().flatten().filter(|_| dynamic.service.is_none()) {
                    address.addr.set_port(dynamic.port);
                }
                Name { addresses: kept.unwrap_or_default(), ..Name::default() }
            });
            let mut group = Group { base: base.clone(), current: base.clone(), names: names.collect() };
            group.rebuild();
            self.0.push(group);
        }
    }

    /// The group with the current addresses.
    pub fn current(&self, base: &Rc<Upstream>) -> Rc<Upstream> {
        let group = self.0.iter().find(|group| Rc::ptr_eq(&group.base, base));
        group.map_or_else(|| base.clone(), |group| group.current.clone())
    }

    /// Monotonic milliseconds; None: nothing is due.
    pub fn next_due(&self) -> Option<u64> {
        let open = |name: &&Name| name.ticket.is_none();
        self.0.iter().flat_map(|group| &group.names).filter(open).map(|name| name.due).min()
    }

    /// Takes new answers, and begins lookups that are due.
    pub fn run(&mut self, resolver: &mut Resolver, now: u64) -> Changes {
        let mut changes = Changes::default();
        for group in &mut self.0 {
            let Some(settings) = group.base.resolver.clone() else { continue };
            let timeout = group.base.resolver_timeout.map_or(30_000, |timeout| timeout.0);
            let mut changed = false;
            let time = Time { now, again: settings.valid.map_or(RETRY, |valid| valid.0).max(LEAST) };
            for (name, dynamic) in group.names.iter_mut().zip(&group.base.dynamic) {
                let mut ask = |host: &[u8], want| {
                    resolver.ask(&Question { settings: &settings, name: host, want, timeout, owner: None }, now)
                };
                if name.ticket.is_none() && name.due <= now {
                    name.begin(dynamic, &mut ask, &mut changed, time);
                }
                while let Some(outcome) = name.ticket.and_then(|ticket| resolver.take(ticket)) {
                    name.ticket = None;
                    let mut ask = |host: &[u8], want| {
                        resolver.ask(&Question { settings: &settings, name: host, want, timeout, owner: None }, now)
                    };
                    name.step(dynamic, outcome, &mut ask, &mut changed, time);
                }
                changes.failed.append(&mut name.failed);
            }
            if changed {
                let before = group.current.clone();
                group.rebuild();
                changes.groups.push((before, group.current.clone()));
            }
        }
        changes
    }
}

#[derive(Clone, Copy)]
struct Time {
    now: u64,
    /// Milliseconds until a name without an answer is looked up again.
    again: u64,
}

type Ask<'a> = &'a mut dyn FnMut(&[u8], Want) -> Submitted;

impl Name {
    fn begin(&mut self, dynamic: &Dynamic, ask: Ask<'_>, changed: &mut bool, time: Time) {
        (self.targets, self.found, self.until) = (Vec::new(), Vec::new(), u64::MAX);
        let submitted = match &dynamic.service {
            Some(service) => ask(service.as_bytes(), Want::Services),
            None => ask(dynamic.host.as_bytes(), Want::Addresses),
        };
        self.wait(dynamic, submitted, ask, changed, time);
    }

    fn wait(&mut self, dynamic: &Dynamic, submitted: Submitted, ask: Ask<'_>, changed: &mut bool, time: Time) {
        match submitted {
            Submitted::Later(ticket) => self.ticket = Some(ticket),
            Submitted::Now(outcome) => self.step(dynamic, outcome, ask, changed, time),
        }
    }

    fn step(&mut self, dynamic: &Dynamic, outcome: LookupResult, ask: Ask<'_>, changed: &mut bool, time: Time) {
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
            Err(_) => {
                self.due = time.now + time.again;
                return;
            }
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
        self.due = if self.until == u64::MAX { time.now + time.again } else { self.until.max(time.now + LEAST) };
    }
}

impl Group {
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

/// For groups created from a URL with variables.
pub fn of_addresses(name: &str, ips: &[IpAddr], port: u16) -> Upstream {
    use crate::config::addr::PeerAddr;
    let addrs = ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
    Upstream::of(name, PeerAddr::Inet(addrs))
}

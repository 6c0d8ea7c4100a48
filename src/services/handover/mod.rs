//! The state that a serving process hands over to its replacement at a reload under a parent: limits, quota claims, TLS
//! sessions, locks, upstream counters. [`record`] defines the format, [`HandoverState`] produces the records, and
//! [`Predecessor`] tracks what an older process still holds while it finishes requests.
//!
//! limit_req counters and sessions move: the old process keeps none. Locks are copied, since the old process still
//! checks them for its remaining writes; each process announces to the other the locks that it grants and ends.
//! limit_conn slots and quota claims stay with their requests, and the new process counts them in addition to its own
//! until they are released or the old process has exited. Times are of the monotonic clock, which both share.
//!
//! Invariant: data from the other process can only make limits narrower or wider; what cannot be parsed is ignored.

pub mod record;
mod state;

use crate::services::Services;
use crate::services::dav_locks::LockChange;
use crate::services::limits::Node;
use crate::services::quotas::{Claim, Usage};
use crate::tls::ticket;
use record::Record;
pub use state::HandoverState;
use std::collections::HashMap;
use std::rc::Rc;

/// An older process as long as it lives: what its requests hold.
#[derive(Default)]
pub struct Predecessor {
    connections: HashMap<(Rc<str>, Box<[u8]>), u32>,
    claims: HashMap<Box<[u8]>, Claim>,
}

impl Predecessor {
    /// Applies a record: takes over state, or counts what the older process holds.
    pub fn take(&mut self, record: Record<'_>, cx: &mut Services) {
        match record {
            Record::Requests { zone, key, excess, last } => {
                let config = cx.config.clone();
                if let Some(zone) = config.tables.zone_of(zone)
                    && let Some(rate) = zone.rate()
                {
                    cx.limits.inherit(&zone.counters, key, Node { excess, last }, rate);
                }
            }
            Record::Connections { zone, key, count } => {
                let config = cx.config.clone();
                if let Some(zone) = config.tables.zone_of(zone) {
                    self.hold(zone.counters.clone(), key, count, cx);
                }
            }
            Record::Claim { area, bytes, files } => self.claim(area, Usage { bytes, files, dirs: 0 }, cx),
            Record::Lock { .. } | Record::Unlocked { .. } => take_lock(record, cx),
            Record::Session { zone, key, made, value } => ticket::inherit_session(zone, key, made, value),
            Record::TicketKey { name, secret, made } => ticket::inherit_key(name, secret, made),
            Record::Upstream { upstream, peer, counts } => {
                let config = cx.config.clone();
                cx.stats.inherit(upstream, peer, &counts, || config.names_upstream(upstream));
            }
            Record::End => {}
        }
    }

    fn hold(&mut self, zone: Rc<str>, key: &[u8], count: u32, cx: &mut Services) {
        let held = self.connections.insert((zone.clone(), key.into()), count).unwrap_or(0);
        cx.limits.adjust(&zone, key, held, count);
        if count == 0 {
            self.connections.remove(&(zone, key.into()));
        }
    }

    fn claim(&mut self, path: &[u8], holds: Usage, cx: &mut Services) {
        let area = cx.quotas.area_at(path);
        let claim = self.claims.entry(path.into()).or_insert_with(|| Claim::new(area.clone()));
        claim.set_granted(holds);
        // What it no longer holds may have become files.
        area.invalidate();
        if holds == Usage::default() {
            self.claims.remove(path);
        }
    }

    /// Releases everything it held, since the process has exited or another one tracks it. Returns these slots and
    /// claims as records.
    pub fn release(&mut self, cx: &mut Services) -> Vec<Vec<u8>> {
        let mut held = Vec::new();
        for ((zone, key), count) in std::mem::take(&mut self.connections) {
            cx.limits.adjust(&zone, &key, count, 0);
            held.push(Record::Connections { zone: &zone, key: &key, count }.encode());
        }
        for (area, claim) in std::mem::take(&mut self.claims) {
            let Usage { bytes, files, .. } = claim.holds();
            held.push(Record::Claim { area: &area, bytes, files }.encode());
            claim.area().invalidate();
        }
        held
    }
}

/// A lock that another process has granted, or that has ended there; a process that is replaced ignores all other
/// records.
pub fn take_lock(record: Record<'_>, cx: &mut Services) {
    match record {
        Record::Lock { zone, lock } => cx.dav_locks.inherit(zone, lock),
        Record::Unlocked { path, token } => cx.dav_locks.end(path, token),
        _ => {}
    }
}

/// What requests of this process have done to locks since the last call.
pub fn lock_changes(cx: &mut Services) -> Vec<Vec<u8>> {
    let record = |change| match change {
        LockChange::Held(zone, lock) => Record::Lock { zone: &zone, lock }.encode(),
        LockChange::Ended(path, token) => Record::Unlocked { path: &path, token }.encode(),
    };
    cx.dav_locks.take_changes().into_iter().map(record).collect()
}

/// Changes since [`HandoverState::of`]: requests counted, slots and claims released, locks granted and ended.
pub fn changes(cx: &mut Services) -> Vec<Vec<u8>> {
    let mut out = lock_changes(cx);
    for (zone, key) in cx.limits.changed_requests() {
        if let Some(Node { excess, last }) = cx.limits.give_up(&zone, &key) {
            out.push(Record::Requests { zone: &zone, key: &key, excess, last }.encode());
        }
    }
    for (zone, key) in cx.limits.changed_connections() {
        let count = cx.limits.connections(&zone, &key);
        out.push(Record::Connections { zone: &zone, key: &key, count }.encode());
    }
    cx.quotas
        .changed_claims(|area, Usage { bytes, files, .. }| out.push(Record::Claim { area, bytes, files }.encode()));
    let stats = &mut cx.stats;
    stats.take_peers(|upstream, peer, counts| out.push(Record::Upstream { upstream, peer, counts }.encode()));
    out
}

#[cfg(test)]
mod tests;

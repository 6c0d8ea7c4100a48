//! The state to hand over, record by record: large parts are moved out at once, and encoded when they are sent. Locks
//! stay, since requests of this process need them, and are copied one by one.

use super::record::Record;
use crate::http::dav::lock::Token;
use crate::services::Services;
use crate::services::dav_locks::LockCursor;
use crate::services::limits::{Node, Nodes};
use crate::services::quotas::Usage;
use crate::tls::ticket;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::vec;

/// What is left to be sent.
pub struct HandoverState {
    /// The small parts, already encoded.
    short: vec::IntoIter<Vec<u8>>,
    locks: LockCursor,
    /// Locks announced by the other process, which may have ended there meanwhile.
    left_out: BTreeSet<Token>,
    /// By zone, with the zone's rate.
    requests: Vec<(Rc<str>, u64, Nodes)>,
    sessions: Vec<ticket::Sessions>,
    /// Monotonic milliseconds.
    now: u64,
}

impl HandoverState {
    /// Takes or copies the state, and begins to note the changes that follow.
    pub fn of(cx: &mut Services) -> HandoverState {
        let mut short = Vec::new();
        for ticket::Secret { name, secret, made } in ticket::keys() {
            short.push(Record::TicketKey { name, secret, made }.encode());
        }
        for (zone, key, count) in cx.limits.all_connections() {
            short.push(Record::Connections { zone, key, count }.encode());
        }
        cx.quotas.changed_claims(|area, Usage { bytes, files, .. }| {
            short.push(Record::Claim { area, bytes, files }.encode())
        });
        let now = cx.now.ms;
        let requests = cx.limits.take_requests().filter_map(|(zone, nodes)| {
            let rate = cx.config.tables.zone_of(&zone)?.rate()?;
            Some((zone, rate, nodes))
        });
        let requests = requests.collect();
        cx.limits.watch_changes();
        cx.dav_locks.watch_changes(true);
        let (locks, left_out) = (cx.dav_locks.cursor(), BTreeSet::new());
        HandoverState { short: short.into_iter(), locks, left_out, requests, sessions: ticket::take_sessions(), now }
    }

    /// The other process has granted or renewed that lock itself.
    pub fn leave_out(&mut self, token: Token) {
        self.left_out.insert(token);
    }

    /// The next record. None: there are no more.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        if let Some(record) = self.short.next() {
            return Some(record);
        }
        if let Some((zone, lock)) = self.locks.find(|(_, lock)| !self.left_out.contains(&lock.token)) {
            return Some(Record::Lock { zone: &zone, lock }.encode());
        }
        while let Some((zone, rate, nodes)) = self.requests.last_mut() {
            for (key, node) in nodes.by_ref() {
                // A key that no longer limits anything is omitted.
                if let Some(Node { excess, last }) = node.drained(*rate, self.now) {
                    return Some(Record::Requests { zone, key: &key, excess, last }.encode());
                }
            }
            self.requests.pop();
        }
        while let Some(sessions) = self.sessions.last_mut() {
            if let Some((key, made, value)) = sessions.next() {
                return Some(Record::Session { zone: &sessions.zone, key: &key, made, value: &value }.encode());
            }
            self.sessions.pop();
        }
        None
    }
}

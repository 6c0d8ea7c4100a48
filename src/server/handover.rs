//! Handover at a reload under a parent, on the event loop ([`crate::services::handover`] has the messages). The parent
//! gives both processes an end of a channel: the old one writes its state (counters, locks, tickets) in parts, one per
//! turn, and later what changes while it completes its requests; the new one reads that, and writes its own changes of
//! locks, which apply to the old one's requests too.
//!
//! Invariant: a new process accepts no connection before it has the old one's state, or [`PATIENCE`] is over; state
//! that arrives later is added to what it has counted itself. A process that is replaced while older ones still drain
//! passes their channels on.

use super::Server;
use super::handover_links::{LARGEST, MESSAGE, PredecessorLink, Successor};
use super::parent_link::LOST;
use crate::config::model::Level;
use crate::conn::token::{Role, token, token_of};
use crate::services::handover::record::Record;
use crate::services::handover::{HandoverState, Predecessor, changes, lock_changes, take_lock};
use crate::sys::socket::pass::{self, Message};
use crate::sys::{Errno, epoll};
use crate::util::slab::Key;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

/// Milliseconds for which connections wait in the backlog for state that exceeds one message.
const PATIENCE: u64 = 15;
/// Maximum wait for a busy old process, which accepts connections itself meanwhile.
const BEGIN: u64 = 1_000;
/// Room for a message of any length.
const BUFFER: usize = 1 + MESSAGE + LARGEST;

/// Maximum number of records that wait for an old process. Further ones are dropped: it does not learn of those locks.
const UNREAD: usize = 10_000;

impl Server {
    /// In a new process, before it serves: sets the channel for the old one's state.
    ///
    /// # Errors
    /// The error of epoll.
    pub fn inherit(&mut self, channel: OwnedFd) -> Result<(), Errno> {
        self.add_predecessor(channel)?;
        self.pause_accepting_for(BEGIN);
        Ok(())
    }

    fn add_predecessor(&mut self, channel: OwnedFd) -> Result<Key, Errno> {
        let link = PredecessorLink {
            channel,
            predecessor: Predecessor::default(),
            passed: Vec::new(),
            is_silent: true,
            has_ended: false,
            unread: VecDeque::new(),
        };
        let key = self.handover.predecessors.insert(link);
        let added = self
            .handover
            .predecessors
            .get(key)
            .map(|link| self.epoll.add(link.channel.as_fd(), epoll::IN, token(Role::Predecessor, key)));
        match added {
            Some(Err(e)) => {
                self.handover.predecessors.remove(key);
                Err(e)
            }
            _ => {
                self.note_locks();
                Ok(key)
            }
        }
    }

    /// Changes of locks are noted as long as another process is to be told of them.
    fn note_locks(&mut self) {
        let is_told = self.handover.successor.is_some() || !self.handover.predecessors.is_empty();
        self.cx.dav_locks.watch_changes(is_told);
    }

    /// In the old process: sets the channel to its successor.
    pub(super) fn hand_over(&mut self, channel: OwnedFd) {
        let flags = epoll::IN | epoll::OUT | epoll::ET;
        if self.handover.successor.is_some()
            || self.epoll.add(channel.as_fd(), flags, token_of(Role::Successor)).is_err()
        {
            return;
        }
        let mut successor = Successor { channel, state: None, made: VecDeque::new(), is_slow: false, links: 0 };
        let keys: Vec<Key> = self.handover.predecessors.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(mut link) = self.handover.predecessors.remove(key) else { continue };
            let _ = self.epoll.delete(link.channel.as_fd());
            // There are at most as many channels as numbers.
            successor.links = successor.links.saturating_add(1);
            let number = successor.links;
            let held = link.predecessor.release(&mut self.cx);
            successor.write(number, &[], Some(link.channel));
            held.iter().for_each(|record| successor.write(number, record, None));
            if link.has_ended {
                successor.write(number, &Record::End.encode(), None);
            }
        }
        successor.state = Some(HandoverState::of(&mut self.cx));
        self.handover.successor = Some(successor);
    }

    /// A process is about to take this one's place: changes are noted for it.
    pub(super) fn has_successor(&self) -> bool {
        self.handover.successor.is_some()
    }

    /// Whether something can be written and the successor reads.
    pub(super) fn is_handing_over(&self) -> bool {
        let successor = self.handover.successor.as_ref();
        successor
            .is_some_and(|successor| !successor.is_slow && (successor.state.is_some() || !successor.made.is_empty()))
    }

    /// Whether the complete state of this process has been handed over.
    pub(super) fn has_sent_all_state(&self) -> bool {
        self.handover.successor.as_ref().is_none_or(|successor| successor.state.is_none() && successor.made.is_empty())
    }

    /// The successor takes more, or has written what it did to locks.
    pub(super) fn successor_event(&mut self) {
        let Some(successor) = &mut self.handover.successor else { return };
        successor.is_slow = false;
        let mut text = std::mem::take(&mut self.handover.text);
        text.resize(BUFFER, 0);
        while let Ok(Message { len: len @ 1.., .. }) = pass::receive(successor.channel.as_fd(), &mut text) {
            let mut records = text.get(..len).unwrap_or_default();
            while let Some(record) = Record::decode(&mut records) {
                if let (Record::Lock { lock, .. }, Some(state)) = (&record, &mut successor.state) {
                    state.leave_out(lock.token);
                }
                take_lock(record, &mut self.cx);
            }
        }
        self.handover.text = text;
    }

    /// Tells older processes what requests of this one did to locks; called at the end of each turn.
    pub(super) fn send_locks(&mut self) {
        if self.handover.predecessors.is_empty() {
            return;
        }
        let made = lock_changes(&mut self.cx);
        for (_, link) in self.handover.predecessors.iter_mut() {
            let room = UNREAD.saturating_sub(link.unread.len());
            link.unread.extend(made.iter().filter(|record| record.len() <= LARGEST).take(room).cloned());
            // What it does not read now is sent in a later turn; if it has exited, an event says so.
            while let Some(record) = link.unread.front()
                && pass::send(link.channel.as_fd(), record, &[]).is_ok()
            {
                link.unread.pop_front();
            }
        }
    }

    /// Sends the next part; called at the end of each turn.
    pub(super) fn send_state(&mut self) {
        let Some(mut successor) = self.handover.successor.take() else { return };
        match self.send_next(&mut successor) {
            Ok(()) => self.handover.successor = Some(successor),
            Err(_) => {
                self.note_locks();
                self.handover.text = Vec::new();
            }
        }
    }

    /// # Errors
    /// The successor has exited.
    fn send_next(&mut self, successor: &mut Successor) -> Result<(), Errno> {
        while !successor.is_slow {
            let Some(state) = successor.state.as_mut().filter(|_| successor.made.len() < 2) else { break };
            match state.take() {
                Some(record) => successor.write(0, &record, None),
                None => {
                    successor.state = None;
                    successor.write(0, &Record::End.encode(), None);
                }
            }
            if successor.made.len() >= 2 {
                successor.send()?;
            }
            if self.cx.slice.tick() {
                break;
            }
        }
        if successor.state.is_none() {
            changes(&mut self.cx).iter().for_each(|record| successor.write(0, record, None));
        }
        if successor.is_slow { Ok(()) } else { successor.send() }
    }

    /// Handles an old process's message or exit.
    pub(super) fn predecessor_event(&mut self, key: Key) {
        let mut text = std::mem::take(&mut self.handover.text);
        text.resize(BUFFER, 0);
        while !self.cx.slice.is_over() {
            let Some(link) = self.handover.predecessors.get(key) else { break };
            match pass::receive(link.channel.as_fd(), &mut text) {
                Ok(Message { len: len @ 1.., fds, lost }) => {
                    if lost {
                        self.say(
                            Level::Alert,
                            format_args!("the channel to an earlier process was not received: {LOST}"),
                        );
                    }
                    let (number, records) = (text[0], text.get(1..len).unwrap_or_default());
                    self.take_records(key, number, records, fds);
                }
                Err(Errno::EAGAIN) => break,
                Ok(_) | Err(_) => {
                    self.forget_predecessor(key);
                    break;
                }
            }
        }
        // Rarely needed, and large.
        self.handover.text = if self.handover.predecessors.is_empty() { Vec::new() } else { text };
    }

    fn take_records(&mut self, key: Key, number: u8, mut records: &[u8], fds: Vec<OwnedFd>) {
        for channel in fds {
            if let Ok(passed) = self.add_predecessor(channel)
                && let Some(link) = self.handover.predecessors.get_mut(key)
            {
                link.passed.push((number, passed));
            }
        }
        let Some(link) = self.handover.predecessors.get(key) else { return };
        let whose = match number {
            0 => Some(key),
            _ => link.passed.iter().find(|(of, _)| *of == number).map(|(_, passed)| *passed),
        };
        // Without the channel of a process its end would not be noticed: what it holds would be held for ever.
        let Some(whose) = whose else { return };
        while let (Some(record), Some(link)) = (Record::decode(&mut records), self.handover.predecessors.get_mut(whose))
        {
            link.has_ended |= record == Record::End;
            link.predecessor.take(record, &mut self.cx);
        }
        if let Some(link) = self.handover.predecessors.get_mut(whose).filter(|_| number == 0)
            && !link.has_ended
            && std::mem::take(&mut link.is_silent)
        {
            self.pause_at_most(PATIENCE);
        }
        self.accept_if_all_ended();
    }

    /// Counts of an earlier process may still be on their way through the process in between.
    fn accept_if_all_ended(&mut self) {
        if self.handover.predecessors.iter().all(|(_, link)| link.has_ended) {
            self.end_pause();
        }
    }

    fn forget_predecessor(&mut self, key: Key) {
        let Some(mut link) = self.handover.predecessors.remove(key) else { return };
        let _ = self.epoll.delete(link.channel.as_fd());
        link.predecessor.release(&mut self.cx);
        self.note_locks();
        self.accept_if_all_ended();
    }
}

#[cfg(test)]
mod tests;

//! Accepts connections, as many as a turn allows. They are read at once, and registered with epoll only if they are
//! still open after that.

use super::connection_limit;
use super::connections::Queue;
use super::{Mode, Server};
use crate::config::model::Level;
use crate::conn::Conn;
use crate::conn::io::{CloseReason, Next};
use crate::conn::token::{Role, role_of, token};
use crate::conn::transport::Transport;
use crate::conn::transport::ready::Ready;
use crate::services::overload::MemoryStage;
use crate::services::stats::Counter;
use crate::sys::epoll;
use crate::sys::socket::Peer;
use crate::sys::{Errno, socket};
use crate::util::inject::panic_point;
use crate::util::slab::Key;
use crate::util::wake::Wake;
use std::os::fd::{AsFd, OwnedFd};

/// Connections accepted from one listener per turn, or as many as there are events if that is more, so that connections
/// in the backlog and accepted ones get equal service. With a fixed 64, the last of 2000 simultaneous uploads waited
/// while the first was served ten times.
const TURN: usize = 64;
/// Milliseconds for which accepting pauses when descriptors are exhausted (nginx), unless a connection is closed
/// before.
const PAUSE: u64 = 500;
/// Approximate memory of a TLS handshake in bytes.
const HANDSHAKE: usize = 16 << 10;
impl Server {
    /// Sets the maximum number of connections for a new configuration.
    pub fn connection_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.pool.upstream_conns.set_limit(limit);
        connection_limit::note_descriptors(&mut self.cx);
    }

    /// Watches every listener, level-triggered: what one turn leaves is reported again.
    pub(super) fn watch_listeners(&mut self) -> Result<(), Errno> {
        for (at, listener) in self.listeners.iter_mut().enumerate() {
            if !listener.watched
                && let Some(fd) = listener.fd()
            {
                self.epoll.add(fd, epoll::IN, token(Role::Listener, Key::new(at as u32, 0)))?;
                listener.watched = true;
            }
        }
        Ok(())
    }

    /// Accepts from every listener among the first `count` events of this turn.
    pub(super) fn accept(&mut self, count: usize) {
        for at in 0..count {
            if let Some((token, _)) = self.events.get(at)
                && role_of(token) == Some(Role::Listener)
            {
                let at = Key::from_u64(token).slot() as usize;
                let most = TURN.max(count + self.late.len());
                self.protected("accepting", |server| server.accept_from(at, most));
                // Left over after a panic while accepting.
                while let Some(key) = self.fresh.pop() {
                    self.schedule(key, Next::Run, Queue::Run);
                }
            }
        }
    }

    /// Accepts up to `most` connections, then drives each: their requests were sent before any file is looked up for
    /// them.
    pub(super) fn accept_from(&mut self, at: usize, most: usize) {
        if self.mode != Mode::Serving {
            return;
        }
        self.take_waiting(at, most);
        panic_point("accept");
        self.cx.now.advance_epoch();
        for at in 0..self.fresh.len() {
            if let Some(key) = self.fresh.get(at).copied() {
                self.drive_or_defer(Wake::conn(key));
            }
        }
        self.fresh.clear();
    }

    fn take_waiting(&mut self, at: usize, most: usize) {
        for taken in 0..most {
            let is_full = self.connections() + self.pool.upstream_conns.len() >= self.limit;
            if is_full && taken > 0 {
                // Do not close connections for a client that may not exist. If one is waiting, the next turn accepts
                // it.
                return;
            }
            if is_full && self.make_room() == 0 {
                let limit = self.limit;
                return self.pause(format_args!("{limit} connections are not enough"));
            }
            if self.cx.overload.stage() == MemoryStage::Over {
                return self.pause_accepting();
            }
            let Some(fd) = self.listeners.get(at).and_then(|l| l.fd()) else { return };
            match socket::accept(fd) {
                Ok((fd, peer)) => self.take(fd, peer, at),
                Err(Errno::EAGAIN) => return,
                // The client closed the connection before it was accepted.
                Err(Errno::ECONNABORTED | Errno::EPROTO | Errno::EPERM) => {}
                Err(Errno::EMFILE | Errno::ENFILE) if self.cx.files.give_back() > 0 => {}
                Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) if self.make_room() > 0 => {}
                // A process that shares the socket has shut it down; pausing bounds how often both do so.
                Err(e @ Errno::EINVAL) if self.listeners.listen_again(at, &self.cx.config) => {
                    return self.pause(format_args!("accept4() failed {e}, listening again"));
                }
                Err(e) => return self.pause(format_args!("accept4() failed {e}")),
            }
        }
    }

    fn take(&mut self, fd: OwnedFd, peer: Peer, at: usize) {
        if self.cx.descriptors.is_reserved(fd.as_fd()) {
            self.cx.files.give_back();
        }
        self.serial += 1;
        let timeout = self.listeners.header_timeout(at, &self.cx.config);
        let deadline = self.cx.now.ms + timeout;
        let transport = match self.listeners.is_ssl(at, &self.cx.config) {
            true => {
                self.cx.overload.grow(HANDSHAKE);
                Transport::tls_server(fd, Ready::fresh())
            }
            false => Transport::accepted(fd, &peer),
        };
        let mut conn = Conn::over(transport, peer, at as u16, self.serial, &self.cx, deadline);
        if self.listeners.wants_proxy_header(at, conn.fd(), &self.cx.config) {
            conn.served.await_proxy_header();
        }
        self.cx.stats.count(Counter::Accepted);
        self.cx.stats.count(Counter::Handled);
        self.cx.stats.active += 1;
        self.cx.stats.waiting += 1;
        self.fresh.push(self.conns.insert(conn));
    }

    /// Closes some connections that are idle, or will be after their response; if there are none, an idle upstream
    /// connection. Returns how many.
    pub(super) fn make_room(&mut self) -> usize {
        self.send_batched();
        match self.close_idle(16, CloseReason::MadeRoom, |_| true) {
            0 => usize::from(self.pool.upstream_conns.close_oldest()),
            closed => closed,
        }
    }

    /// Out of room: stops watching listeners for a while, since level-triggered ones would keep the loop spinning.
    fn pause(&mut self, why: std::fmt::Arguments<'_>) {
        let now = self.cx.now.ms;
        if self.paused_until.is_none() && self.shortage_logged_at.is_none_or(|at| at + PAUSE <= now) {
            self.shortage_logged_at = Some(now);
            let log = self.cx.config.process.error_log.clone();
            self.cx.logs.error(&log, Level::Crit, &mut self.cx.now, None, why);
        }
        self.pause_accepting();
        self.is_out_of_room = true;
    }

    /// A connection was closed: resumes accepting if it was paused for lack of room.
    pub(super) fn resume_accepting(&mut self) {
        if self.is_out_of_room {
            self.end_pause();
        }
    }

    /// Stops accepting for a while.
    pub(super) fn pause_accepting(&mut self) {
        self.pause_accepting_for(PAUSE);
    }

    /// Accepts again: the pause is over, or a connection was closed.
    pub(super) fn end_pause(&mut self) {
        self.is_out_of_room = false;
        if self.paused_until.take().is_some()
            && let Err(e) = self.watch_listeners()
        {
            let log = self.cx.config.process.error_log.clone();
            let what = format_args!("epoll_ctl() failed {e}: connections are accepted again in a moment");
            self.cx.logs.error(&log, Level::Crit, &mut self.cx.now, None, what);
            self.pause_accepting();
        }
    }

    /// Shortens a pause to at most `ms`.
    pub(super) fn pause_at_most(&mut self, ms: u64) {
        self.paused_until = self.paused_until.map(|at| at.min(self.cx.now.ms + ms));
    }

    /// Accepts from no listener for that many milliseconds; the kernel queues connections meanwhile.
    pub(super) fn pause_accepting_for(&mut self, ms: u64) {
        self.paused_until = Some(self.cx.now.ms + ms);
        self.is_out_of_room = false;
        for listener in self.listeners.iter_mut() {
            if std::mem::take(&mut listener.watched)
                && let Some(fd) = listener.fd()
            {
                // It may not have been watched; the result is the same.
                let _ = self.epoll.delete(fd);
            }
        }
    }
}

//! The password helper on the event loop: verdicts resume the requests that wait for them.

use super::Server;
use crate::config::model::{Config, Level};
use crate::conn::ConnState;
use crate::conn::token::{Role, token_of};
use crate::exchange::access::password::matches;
use crate::exchange::flow::{Phase, Then};
use crate::sys::epoll;

impl Server {
    /// The helper has a verdict: the requests that wait for it go on.
    pub(super) fn password_event(&mut self) {
        let conns = &self.conns;
        self.cx.passwords.receive(matches, |waiter| conns.get(waiter.conn).is_some());
        for wake in self.cx.passwords.woken() {
            if let Some(conn) = self.conns.get_mut(wake.conn)
                && let ConnState::Active(active) = &mut conn.state
                && let Some(pause) = &mut active.ex.progress.pause
                && pause.then == Some(Then::Phase(Phase::Access))
            {
                pause.until = 0;
                self.drive_or_defer(wake);
            }
        }
    }

    /// Registers the helper's channel once it runs; logs why there is none.
    pub(super) fn watch_passwords(&mut self) {
        if let Some(text) = self.cx.passwords.trouble() {
            self.say(Level::Crit, format_args!("{text}"));
        }
        if let Some(fd) = self.cx.passwords.to_watch()
            && self.epoll.add(fd, epoll::IN, token_of(Role::Password)).is_ok()
        {
            self.cx.passwords.watched();
        }
    }

    /// If the configuration uses passwords, starts the helper before there are clients.
    pub fn prepare_passwords(&mut self) {
        let asks = |config: &Config| config.locations.iter().any(|location| location.settings.auth.file.is_some());
        if asks(&self.cx.config) {
            self.cx.passwords.prepare(matches);
        }
    }
}

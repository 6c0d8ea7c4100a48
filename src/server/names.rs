//! The resolver on the loop: its answers wake connections, and give upstream groups the addresses of now.

use super::Server;
use crate::conn::token::{Role, token_of};
use crate::sys::epoll;

impl Server {
    /// Name servers have answered, or the time for something has come.
    pub(super) fn resolver_event(&mut self) {
        let now = self.cx.now.ms;
        self.cx.resolver.receive(now);
        self.names_due();
    }

    pub(super) fn names_due(&mut self) {
        let now = self.cx.now.ms;
        self.cx.resolver.expire(now);
        self.cx.upstream_names.run(&mut self.cx.resolver, now);
        for wake in self.cx.resolver.woken() {
            self.drive(wake);
        }
    }

    pub(super) fn next_name(&self) -> Option<u64> {
        [self.cx.resolver.next_due(), self.cx.upstream_names.next_due()].into_iter().flatten().min()
    }

    /// The resolver's sockets are watched from the first question on.
    pub(super) fn watch_resolver(&mut self) {
        if self.watches_resolver {
            return;
        }
        if let Some(fd) = self.cx.resolver.fd() {
            // Unwatched it would look when a time has come.
            let _ = self.epoll.add(fd, epoll::IN, token_of(Role::Resolver));
            self.watches_resolver = true;
        }
    }
}

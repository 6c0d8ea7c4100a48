//! The resolver on the event loop: answers wake connections, and update the addresses of upstream groups.

use super::Server;
use crate::config::model::Level;
use crate::conn::token::{Role, token_of};
use crate::sys::epoll;

impl Server {
    /// Handles answers of name servers, and query timeouts.
    pub(super) fn resolver_event(&mut self) {
        let now = self.cx.now.ms;
        self.cx.resolver.receive(now);
        for what in self.cx.resolver.complaints() {
            let log = self.cx.config.process.error_log.clone();
            self.cx.logs.error(&log, Level::Error, &mut self.cx.now, None, format_args!("{what}"));
        }
        self.names_due();
    }

    /// The resolver has answered, or something of it is due: wakes requests, and gives groups their new addresses.
    pub(super) fn names_due(&mut self) {
        let now = self.cx.now.ms;
        self.cx.resolver.expire(now);
        let changes = self.cx.upstream_names.run(&mut self.cx.resolver, now);
        for (before, now) in &changes.groups {
            self.cx.upstream_balance.succeed(before, now);
        }
        for (name, why) in changes.failed {
            let log = self.cx.config.process.error_log.clone();
            let what = format_args!("{name} could not be resolved {why}");
            self.cx.logs.error(&log, Level::Error, &mut self.cx.now, None, what);
        }
        for wake in self.cx.resolver.woken() {
            // Many connections may wait for one name.
            self.drive_or_defer(wake);
        }
        self.acme_names();
    }

    fn next_name(&self) -> Option<u64> {
        [self.cx.resolver.next_due(), self.cx.upstream_names.next_due()].into_iter().flatten().min()
    }

    /// When the resolver or a CGI program next needs attention without an event.
    pub(super) fn next_service(&self) -> Option<u64> {
        let certificates = [self.next_acme(), self.next_local_certificate()];
        [self.next_name(), self.cx.children.next_due()].into_iter().chain(certificates).flatten().min()
    }

    /// Does what the services have to do by now.
    pub(super) fn services_due(&mut self) {
        let now = self.cx.now.ms;
        if self.next_name().is_some_and(|due| due <= now) {
            self.names_due();
        }
        self.cx.children.expire(now);
        self.acme_if_due();
        self.renew_local_certificate();
    }

    /// Registers the services' descriptors that exist since the last turn.
    pub(super) fn watch_services(&mut self) {
        self.watch_resolver();
        self.watch_children();
        self.watch_passwords();
        self.watch_acme();
    }

    /// Watches the resolver's sockets from the first lookup on.
    fn watch_resolver(&mut self) {
        if self.watched.resolver {
            return;
        }
        if let Some(fd) = self.cx.resolver.fd() {
            // If this fails, answers are read when a query times out.
            let _ = self.epoll.add(fd, epoll::IN, token_of(Role::Resolver));
            self.watched.resolver = true;
        }
    }
}

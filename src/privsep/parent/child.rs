//! The serving process after the fork: drops root's rights, then serves.

use super::Parent;
use super::purpose::Purpose;
use crate::config::model::Level;
use crate::io::console;
use crate::privsep::sandbox;
use crate::server::Server;
use crate::server::lifecycle::{self, Failure};
use crate::server::parent_link::ParentLink;
use crate::server::signals::Signals;
use crate::sys::process;
use std::os::fd::OwnedFd;

impl Parent {
    /// Runs in the child, and returns its exit status. `channel`: to the parent; the caller keeps it open after an
    /// early failure (see `fork`). `inherits`: the channel for its predecessor's state.
    pub(super) fn serve(
        &mut self,
        channel: &mut Option<OwnedFd>,
        inherits: Option<OwnedFd>,
        purpose: &mut Purpose,
    ) -> i32 {
        self.children.clear();
        // The lock on the pid file belongs to the parent.
        self.pid_file = None;
        if let Purpose::Reload(before) = purpose {
            before.close();
        }
        // The signalfd is shared with the parent: an intruder could clear O_NONBLOCK, and block the parent in read().
        self.signals = Signals::none();
        let missing = match sandbox::enter(&self.worker, &self.config) {
            Ok(missing) => missing,
            Err((call, e)) => {
                self.say(Level::Emerg, format_args!("{call} failed {e}"));
                return 2;
            }
        };
        let signals = match Signals::watch() {
            Ok(signals) => signals,
            Err(e) => {
                self.say(Level::Emerg, format_args!("signalfd() failed {e}"));
                return 2;
            }
        };
        let mut server = match self.begin(signals) {
            Ok(server) => server,
            // The logs may be gone; the parent says there that this process did not come up.
            Err(failure) => {
                console::line(format_args!("{}: [emerg] {}", self.config_source.program, failure.why));
                return 2;
            }
        };
        server.service_manager = std::mem::take(&mut self.service_manager).for_child();
        if let Some(page) = self.counters.take() {
            server.cx.stats.share(page, process::getpid());
        }
        if let Some(channel) = inherits {
            // Without the channel it begins with empty state.
            let _ = server.inherit(channel);
        }
        let Some(link) = channel.take().map(ParentLink::new) else { return 2 };
        link.send_ready();
        if server.attach_parent(link).is_err() {
            return 2;
        }
        if self.drained_at.is_some() {
            // Its predecessor was told; health checks go on failing.
            server.drain();
        }
        server.note_start(&std::mem::take(&mut self.notes));
        for name in missing {
            server.note(format_args!("serving without {name}: this system does not have it"));
        }
        if let Some((journal, _)) = self.journal.take() {
            server.take_journal(journal);
        }
        server.open_syncs();
        server.prepare_passwords();
        server.run().end_journal();
        0
    }

    fn begin(&mut self, signals: Signals) -> Result<Server, Failure> {
        let mut listeners = std::mem::take(&mut self.listeners);
        listeners.share(true);
        listeners.do_not_block();
        let mut logs = std::mem::take(&mut self.logs);
        if self.is_daemon {
            lifecycle::leave_terminal(&self.config, &mut logs)?;
        }
        lifecycle::begin(self.config.clone(), logs, listeners, signals)
    }
}

//! HUP under a parent: reads the configuration while signals are still handled, opens everything it needs, and starts a
//! new child. Nothing of the old configuration is closed until that child serves.

use super::purpose::{Previous, Purpose};
use super::{Ending, Parent, Reload};
use crate::config::lookup::Session;
use crate::config::model::{Config, Level};
use crate::server::lifecycle::Failure;
use crate::server::pid_file::PidFileChange;
use crate::server::reload::{self, Read};
use crate::server::reload_report::{self, Refused, Report};
use crate::server::serving_user;
use crate::server::temp_paths;
use crate::services::logs::Logs;
use crate::sys::file;
use crate::util::checkpoint::{self, Interlude};
use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

impl Parent {
    /// Reads the configuration and starts a child with it. The parent is returned as it is if anything is wrong.
    pub(super) fn reload(mut self) -> Parent {
        self.reload = Reload::UnderWay;
        self.service_manager.reloading();
        let (mut parent, read) = self.read_meanwhile();
        let Some(read) = read else {
            // A signal to stop; or a bug, which was logged.
            parent.take_drain();
            parent
                .reloaded(format!("{}: [emerg] the configuration was not read\n", parent.config_source.program).into());
            return parent;
        };
        let program = parent.config_source.program.clone();
        let outcome = parent.protected("a reload", |parent| parent.apply(read));
        let panicked = || Err(format!("{program}: [alert] the reload panicked; this is a bug in webserv\n").into());
        if let Err(refused) = outcome.unwrap_or_else(panicked) {
            parent.take_drain();
            parent.reloaded(refused);
        }
        parent
    }

    /// Writes the result for `-s reload`.
    pub(super) fn reloaded(&mut self, refused: Refused) {
        self.reload = if self.reload == Reload::Again { Reload::Wanted } else { Reload::No };
        self.reloads += 1;
        if self.ending == Ending::No {
            self.service_manager.ready(if refused.errors.is_empty() { "serving" } else { reload::REFUSED });
        }
        if let Some(file) = &self.pid_file {
            reload_report::write(file.path(), &Report::new(self.reloads, refused));
        }
    }

    /// Reads the configuration; a helper process resolves host names, and signals are handled meanwhile.
    fn read_meanwhile(self) -> (Parent, Option<Read>) {
        let config_source = self.config_source.clone();
        let shared = Rc::new(RefCell::new(self));
        let session = Session::begin();
        let watched = checkpoint::watch(Box::new(Turns(shared.clone())));
        let read = catch_unwind(AssertUnwindSafe(|| config_source.read_beside(Vec::new())));
        drop((watched, session));
        let mut parent = Rc::into_inner(shared).expect("those who watched have let it go").into_inner();
        if read.is_err() && parent.ending == Ending::No {
            parent.say(Level::Alert, format_args!("a reload panicked and is given up. This is a bug in webserv"));
        }
        (parent, read.ok())
    }

    /// # Errors
    /// What `-t` would report, or the system call that failed; it was logged, and nothing has changed.
    fn apply(&mut self, read: Read) -> Result<(), Refused> {
        let program = self.config_source.program.clone();
        let Some(config) = read.config else {
            for text in reload::logged(&read) {
                self.say(Level::Emerg, format_args!("{text}"));
            }
            self.say(Level::Error, format_args!("the configuration was not reloaded, the old one stays"));
            return Err(read.diagnostics.render(&read.sources, &program).into());
        };
        let notes = reload::notes(&read.diagnostics, &read.sources);
        drop(read.sources);
        self.replace(config, notes).map_err(|failure| {
            self.say(Level::Emerg, format_args!("{}; the old configuration stays", failure.why));
            reload::kept(&self.config_source, failure)
        })
    }

    /// Opens everything for the new configuration before closing anything of the old one.
    fn replace(&mut self, config: Config, notes: Vec<(Level, String)>) -> Result<(), Failure> {
        let worker = match serving_user::of(&config) {
            Ok(Some(worker)) => worker,
            Ok(None) => return Err(Failure::of("\"user root\" takes effect with a restart")),
            Err(failure) => return Err(failure),
        };
        let mut logs = Logs::new();
        if !self.logs.has_stderr() {
            logs.drop_stderr();
        }
        logs.open(&config).map_err(|(path, e)| Failure::open(&path, e))?;
        temp_paths::make(&config, Some(worker.uid))?;
        let pid_file = PidFileChange::write(self.pid_file.as_ref(), config.process.pid.as_deref())?;
        if let Err(e) = self.open_sockets(&config) {
            pid_file.undo(self.pid_file.as_ref());
            return Err(Failure::bind(e));
        }
        let config = std::mem::replace(&mut self.config, Rc::new(config));
        let logs = std::mem::replace(&mut self.logs, logs);
        let worker = std::mem::replace(&mut self.worker, worker);
        let journal = self.journal.take();
        self.open_journal();
        self.notes = notes;
        self.notes.extend(self.listeners.warnings().map(|text| (Level::Warn, text)));
        let before = Previous { config, logs, worker, journal, pid_file };
        self.start(Purpose::Reload(Box::new(before))).map_err(|(why, purpose)| {
            if let Purpose::Reload(before) = purpose {
                self.go_back(*before);
            }
            Failure::of(why)
        })
    }
}

/// Handles signals while the configuration is read.
struct Turns(Rc<RefCell<Parent>>);

impl Interlude for Turns {
    fn run(&mut self, awaited: Option<BorrowedFd<'_>>) {
        let mut parent = self.0.borrow_mut();
        match awaited {
            None => parent.take_signals(),
            Some(fd) => {
                while parent.ending == Ending::No && !file::wait_readable(fd, 0).unwrap_or(true) {
                    parent.turn_while_waiting(Some(fd));
                }
            }
        }
        if parent.ending != Ending::No {
            drop(parent);
            // Aborts reading; caught where it began.
            resume_unwind(Box::new("stopped"));
        }
    }
}

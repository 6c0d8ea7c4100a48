//! Which log files exist: each path once, and nginx's defaults if the configuration names none.

use crate::config::build::{Build, Form};
use crate::config::model::{ErrorLog, LogTarget, Settings};
use crate::config::settings::list::List;
use crate::config::settings::logs::{AccessLog, AccessTarget, Logging};
use std::rc::Rc;

impl Build {
    /// With nginx's own command line, logs/access.log is the default.
    pub(super) fn default_access_log(&mut self, settings: &mut Settings) {
        if self.form == Form::Nginx {
            let id = self.log_file_from_prefix(b"logs/access.log");
            self.default_logs.push(id);
            let log = AccessLog {
                target: AccessTarget::File(id),
                format: self.combined(),
                condition: None,
                buffer: None,
                flush: None,
                gzip: None,
            };
            Rc::make_mut(&mut settings.logs).access = List::from_iter([log]);
        }
    }

    /// Clears the paths of logs that only an earlier configuration names, and of default logs that no level uses.
    pub(super) fn forget_unused_logs(&mut self) {
        for at in (0..self.old_logs).filter(|at| !self.kept_logs.contains(at)) {
            self.log_files[at].clear();
        }
        for default in std::mem::take(&mut self.default_logs) {
            let writes = |log: &ErrorLog| {
                let chain = std::iter::successors(Some(log), |log| log.also.as_deref());
                chain.into_iter().any(|log| matches!(log.target, LogTarget::File(id) if id == default))
            };
            let access = |log: &AccessLog| matches!(log.target, AccessTarget::File(id) if id == default);
            let uses = |logs: &Logging| writes(&logs.error) || logs.access.iter().any(access);
            if !writes(&self.process.error_log) && !self.locations.iter().any(|l| uses(&l.settings.logs)) {
                self.log_files[default.at()].clear();
            }
        }
    }
}

//! Which log files there are: each path once, nginx's own where the configuration names none.

use super::super::directives::logs::{AccessLog, AccessTarget, COMBINED, Escape, LogFormat, Logging};
use super::super::model::{ErrorLog, LogFileId, LogTarget, Settings};
use super::super::template::Template;
use super::{Build, Form};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

impl Build {
    pub fn log_file_from_prefix(&mut self, path: &[u8]) -> LogFileId {
        let full = self.full_path(path);
        self.log_file(full.as_os_str().as_bytes())
    }

    /// The log file of a full path: one entry however many logs name it.
    pub fn log_file(&mut self, path: &[u8]) -> LogFileId {
        let path = PathBuf::from(OsStr::from_bytes(path));
        if let Some(&id) = self.log_index.get(&path) {
            self.default_logs.retain(|default| *default != id);
            self.kept_logs.insert(id.at());
            return id;
        }
        // A place that an earlier configuration has left is taken.
        let free = (0..self.old_logs).find(|at| self.log_files[*at].as_os_str().is_empty());
        let id = LogFileId(free.unwrap_or(self.log_files.len()) as u32);
        self.kept_logs.insert(id.at());
        match free {
            Some(at) => self.log_files[at].clone_from(&path),
            None => self.log_files.push(path.clone()),
        }
        self.log_index.insert(path, id);
        id
    }

    pub fn combined(&mut self) -> Rc<LogFormat> {
        let variables = &mut self.variables;
        let make = || {
            let line = Template::parse(COMBINED.as_bytes(), variables).expect("the built-in format is well formed");
            Rc::new(LogFormat { name: "combined".into(), escape: Escape::Default, line, combined: true })
        };
        self.combined.get_or_insert_with(make).clone()
    }

    /// nginx's own command line logs to logs/access.log where no level says otherwise.
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
            Rc::make_mut(&mut settings.logs).access = Rc::new([log]);
        }
    }

    /// What only an earlier configuration names, and nginx's default logs where every level says otherwise, have no path.
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

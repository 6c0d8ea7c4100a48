//! Log files that are reopened (USR1), replaced by those that a parent has opened, or closed after a reload. One file
//! at a time: its pending lines are written first, which may take a millisecond if they are compressed.

use super::Logs;
use crate::config::model::LogFileId;
use crate::io::{open, sink::Sink};
use crate::services::log_file::LogFile;
use crate::sys::Errno;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// How far [`Logs::reopen_next`] has come.
#[derive(Default)]
pub struct Reopening {
    next: usize,
    /// Files that could not be opened; their old descriptors stay in use.
    pub failed: Vec<(PathBuf, Errno)>,
}

impl Reopening {
    /// The number of the file that is next.
    pub fn next(&self) -> usize {
        self.next
    }
}

impl Logs {
    /// USR1: writes what is pending, then reopens every file of the configuration by its path. A log that is a
    /// descriptor (`/dev/stdout`) stays as it is.
    pub fn reopen(&mut self) -> Vec<(PathBuf, Errno)> {
        let mut reopening = Reopening::default();
        while self.reopen_next(&mut reopening) {}
        reopening.failed
    }

    /// Does the next step of [`Logs::reopen`]. False: that was the last one.
    pub fn reopen_next(&mut self, reopening: &mut Reopening) -> bool {
        let at = reopening.next;
        reopening.next += 1;
        if at == 0 {
            self.forget_paths();
        }
        self.write_out(LogFileId(at as u32));
        let Some(file) = self.files.get_mut(at) else { return false };
        if file.is_open() && file.is_named && open::descriptor(&file.path).is_none() {
            match open::append(&file.path) {
                Ok(fd) => file.set_sink(Sink::new(fd)),
                Err(e) => reopening.failed.push((file.path.clone(), e)),
            }
        }
        true
    }

    /// Switches to a file that a more privileged process has opened. Pending lines go to the old one.
    pub fn replace(&mut self, at: usize, fd: OwnedFd) {
        self.write_out(LogFileId(at as u32));
        if let Some(file) = self.files.get_mut(at).filter(|file| file.is_open()) {
            file.set_sink(Sink::new(fd));
        }
    }

    /// Closes a file if only earlier configurations named it: no exchange may use these any more. False: there is no
    /// such file, they are all closed.
    pub fn retire(&mut self, at: usize) -> bool {
        let Some(file) = self.files.get(at) else {
            let files = &self.files;
            self.blocked.retain(|id| files.get(id.at()).is_some_and(LogFile::is_open));
            self.forget_paths();
            return false;
        };
        if !file.is_named && file.is_open() {
            self.write_out(LogFileId(at as u32));
            self.files[at].close();
        }
        true
    }

    /// Whether writing what is pending for a file compresses it.
    pub fn compresses(&self, at: usize) -> bool {
        self.files.get(at).is_some_and(|file| file.gzip.is_some() && !file.pending.is_empty())
    }

    /// Files with variables in their path and syslog sockets are opened again when needed.
    pub fn forget_paths(&mut self) {
        self.paths.clear();
        self.syslogs.clear();
    }
}

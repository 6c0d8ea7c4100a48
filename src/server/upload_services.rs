//! What uploads need from the process: the journal of hidden names ([`crate::services::temp_names`]), and completions
//! of fsync ([`crate::services::syncs`]).

use super::Server;
use crate::config::model::{Config, Level, Location, Settings};
use crate::config::settings::proxy;
use crate::config::settings::upload::Store;
use crate::conn::token::{Role, token_of};
use crate::http::method::Method;
use crate::services::syncs::Syncs;
use crate::sys::{Errno, epoll};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

/// Whether files can be stored, or trees copied or removed.
pub fn stores(settings: &Settings) -> bool {
    let methods = [Method::Put, Method::Post, Method::Copy, Method::Move, Method::Delete];
    let writes = methods.into_iter().any(|method| {
        settings.dav.methods.contains(method) || settings.access.allowed.is_some_and(|m| m.contains(method))
    });
    writes || matches!(settings.upload.store, Store::Path(_))
}

/// The journal's path, beside the pid file, which no two processes share. None: there is no pid file, or nothing to
/// record.
pub fn journal_path(config: &Config) -> Option<CString> {
    let pid = config.process.pid.as_ref()?;
    let keeps = |location: &Location| {
        let settings = location.pass.as_ref().map(|pass| location.settings.upstream(pass.protocol));
        settings.is_some_and(|settings| settings.store != proxy::Store::Off)
    };
    let stores = config.locations.iter().any(|location| stores(&location.settings) || keeps(location));
    let path = [pid.as_os_str().as_bytes(), b".uploads"].concat();
    CString::new(path).ok().filter(|_| stores)
}

impl Server {
    /// Opens the journal if the configuration stores files, and first removes what a killed process left behind. One
    /// that is open is moved if the pid file has another name now.
    pub fn keep_journal(&mut self) {
        let Some(path) = journal_path(&self.cx.config) else { return };
        let kept = match self.cx.temp_names.is_kept() {
            true => self.cx.temp_names.move_journal(&path).map(|()| 0),
            false => self.cx.temp_names.keep(&path),
        };
        match kept {
            Ok(0) => {}
            Ok(removed) => self.note(format_args!("{removed} files of interrupted uploads were removed")),
            // Uploads work without it.
            Err(Errno::EROFS) => {}
            Err(e) => self.say(Level::Warn, format_args!("open() \"{}\" failed {e}", path.to_string_lossy())),
        }
    }

    /// Uses a journal opened by a parent. First removes what a killed process recorded there.
    pub fn take_journal(&mut self, journal: OwnedFd) {
        match self.cx.temp_names.keep_open(journal) {
            Ok(0) => {}
            Ok(removed) => self.note(format_args!("{removed} files of interrupted uploads were removed")),
            Err(e) => self.say(Level::Warn, format_args!("the journal of uploads cannot be kept {e}")),
        }
    }

    /// Prepares asynchronous fsync, if the configuration has upload_sync.
    pub fn open_syncs(&mut self) {
        if !self.cx.config.locations.iter().any(|location| location.settings.upload.sync) {
            return;
        }
        if let Some(fd) = self.cx.syncs.open() {
            // If its events cannot be watched, the loop calls fsync itself.
            let watched = self.epoll.add(fd, epoll::IN, token_of(Role::Disk));
            if watched.is_err() {
                self.cx.syncs = Syncs::default();
            }
        }
    }

    /// Drives the connections whose fsync has completed.
    pub(super) fn disk_event(&mut self) {
        for waiter in self.cx.syncs.ended() {
            self.drive(waiter);
        }
    }

    /// The process ends in order: the journal of hidden names is closed.
    pub fn end_journal(&mut self) {
        self.cx.temp_names.end();
    }
}

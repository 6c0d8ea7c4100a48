//! What uploads need of the process: the journal of temporary names ([`crate::services::temp_names`]), and the
//! completions of fsync ([`crate::services::syncs`]).

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

/// Whether files can be stored there, or trees copied or removed.
pub fn stores(settings: &Settings) -> bool {
    let methods = [Method::Put, Method::Post, Method::Copy, Method::Move, Method::Delete];
    let writes = methods.into_iter().any(|method| {
        settings.dav.methods.contains(method) || settings.access.allowed.is_some_and(|m| m.contains(method))
    });
    writes || matches!(settings.upload.store, Store::Path(_))
}

/// The journal's path, beside the pid file, which no two processes share. None: there is no pid file, or nothing to
/// note.
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
    /// Begins the journal, if the configuration stores files and none is kept. What a killed process left behind is
    /// removed first.
    pub fn keep_journal(&mut self) {
        if self.cx.temp_names.is_kept() {
            return;
        }
        let Some(path) = journal_path(&self.cx.config) else { return };
        match self.cx.temp_names.keep(&path) {
            Ok(0) => {}
            Ok(removed) => self.note(format_args!("{removed} files of uploads that were cut off are removed")),
            // Uploads work without it.
            Err(Errno::EROFS) => {}
            Err(e) => self.say(Level::Warn, format_args!("open() \"{}\" failed {e}", path.to_string_lossy())),
        }
    }

    /// Goes on with a journal that a parent has opened: what a killed process noted there is removed first.
    pub fn take_journal(&mut self, journal: OwnedFd) {
        match self.cx.temp_names.keep_open(journal) {
            Ok(0) => {}
            Ok(removed) => self.note(format_args!("{removed} files of uploads that were cut off are removed")),
            Err(e) => self.say(Level::Warn, format_args!("the journal of uploads cannot be kept {e}")),
        }
    }

    /// Starts what runs fsync in the kernel, where the configuration has upload_sync.
    pub fn open_syncs(&mut self) {
        if !self.cx.config.locations.iter().any(|location| location.settings.upload.sync) {
            return;
        }
        if let Some(fd) = self.cx.syncs.open() {
            // Without their events the loop has to call fsync itself.
            let watched = self.epoll.add(fd, epoll::IN, token_of(Role::Disk));
            if watched.is_err() {
                self.cx.syncs = Syncs::default();
            }
        }
    }

    /// An fsync has ended: the connections that wait for it are driven.
    pub(super) fn disk_event(&mut self) {
        for waiter in self.cx.syncs.ended() {
            self.drive(waiter);
        }
    }

    pub fn end_journal(&mut self) {
        self.cx.temp_names.end();
    }
}

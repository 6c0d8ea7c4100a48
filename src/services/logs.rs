//! Log files. Lines of a turn are gathered and written with one call; what the process says of itself, at once.
//! A log that cannot be written is reported once and costs no request.

use super::clock::Clock;
use super::log_paths::LogPaths;
use super::syslog::Syslogs;
use crate::config::directives::logs::PathCache;
use crate::config::directives::syslog::Syslog;
use crate::config::model::{Config, ErrorLog, Level, LogFileId, LogTarget};
use crate::sys::file::{self, O_APPEND, O_CREAT, O_WRONLY};
use crate::sys::{Errno, process};
use crate::util::decimal;
use std::ffi::CString;
use std::fmt;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Lines of a file are written when they are this many bytes, within a turn.
const FULL: usize = 64 << 10;

#[derive(Default)]
pub struct Logs {
    files: Vec<LogFile>,
    /// Files with lines to write at the end of the turn.
    dirty: Vec<LogFileId>,
    /// Files that hold lines back (`buffer=`): (file, when the oldest must be out).
    held: Vec<(LogFileId, u64)>,
    paths: LogPaths,
    syslogs: Syslogs,
    scratch: Vec<u8>,
    to_stderr: bool,
    /// Of the process that serves; asked for once.
    pid: Option<i32>,
    /// Owner that new log files are given, once the process has dropped its rights.
    owner: Option<(u32, u32)>,
}

struct LogFile {
    path: PathBuf,
    fd: Option<OwnedFd>,
    pending: Vec<u8>,
    failing: bool,
    gzip: Option<u32>,
}

/// Whom a diagnostic is about.
#[derive(Clone, Copy)]
pub struct Who<'a> {
    /// The number of the connection.
    pub serial: u64,
    /// Puts down who asked what, at the end of the line.
    pub asked: &'a dyn Fn(&mut Vec<u8>),
}

/// When lines of an access log must be out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    Turn,
    /// Up to so many bytes, and so many milliseconds.
    Buffer {
        size: usize,
        flush: Option<u64>,
        /// Each buffer is written as a gzip member of this level.
        gzip: Option<u32>,
    },
}

impl Logs {
    pub fn new() -> Logs {
        Logs { to_stderr: true, ..Logs::default() }
    }

    /// Opens the files of a configuration that are not open yet.
    ///
    /// # Errors
    /// The first file that cannot be opened; those opened before stay open.
    pub fn open(&mut self, config: &Config) -> Result<(), (PathBuf, Errno)> {
        for (at, path) in config.log_files.iter().enumerate() {
            if at == self.files.len() {
                self.files.push(LogFile {
                    path: path.clone(),
                    fd: None,
                    pending: Vec::new(),
                    failing: false,
                    gzip: None,
                });
            }
            let file = &mut self.files[at];
            if !path.as_os_str().is_empty() && file.fd.is_none() {
                file.path = path.clone();
                file.fd = Some(append(path, self.owner).map_err(|e| (path.clone(), e))?);
            }
        }
        Ok(())
    }

    /// The paths in the order of their ids: a configuration that is loaded later numbers its own after them.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|f| f.path.clone()).collect()
    }

    /// USR1: every file anew by its path, after what is pending has gone to the old one.
    pub fn reopen(&mut self) -> Vec<(PathBuf, Errno)> {
        self.flush_all();
        self.paths.clear();
        self.syslogs.clear();
        let mut failed = Vec::new();
        for file in self.files.iter_mut().filter(|f| f.fd.is_some()) {
            match append(&file.path, self.owner) {
                Ok(fd) => file.fd = Some(fd),
                Err(e) => failed.push((file.path.clone(), e)),
            }
        }
        failed
    }

    /// Log files created from now on belong to this user.
    pub fn set_owner(&mut self, uid: u32, gid: u32) {
        self.owner = Some((uid, gid));
        for file in &self.files {
            if let Some(fd) = &file.fd {
                // Not ours to give (already so, or not root): the open descriptor works in any case.
                let _ = file::chown_fd(fd.as_fd(), Some(uid), Some(gid));
            }
        }
    }

    /// Whether diagnostics that no file takes go to the terminal; a daemon has none.
    pub fn set_stderr(&mut self, on: bool) {
        self.to_stderr = on;
    }

    /// A buffer to append access lines to; they go out by `hold`.
    pub fn access(&mut self, id: LogFileId, hold: Hold, now: u64) -> Option<&mut Vec<u8>> {
        let file = self.files.get(id.at()).filter(|f| f.fd.is_some())?;
        let size = match hold {
            Hold::Turn => FULL,
            Hold::Buffer { size, .. } => size,
        };
        if file.pending.len() >= size {
            self.write_out(id);
        }
        match hold {
            Hold::Turn => {
                if !self.dirty.contains(&id) {
                    self.dirty.push(id);
                }
            }
            Hold::Buffer { flush, gzip, .. } => {
                self.files[id.at()].gzip = gzip;
                if self.files[id.at()].pending.is_empty() {
                    self.held.push((id, flush.map_or(u64::MAX, |ms| now + ms)));
                }
            }
        }
        Some(&mut self.files[id.at()].pending)
    }

    /// One line to a file whose path was made for this request: opened, written, closed, unless
    /// open_log_file_cache keeps it.
    pub fn access_path(&mut self, path: &Path, line: &[u8], cache: Option<PathCache>, now: u64) -> Result<(), Errno> {
        let owner = self.owner;
        self.paths.write(path, line, cache, now, |path| append(path, owner))
    }

    /// End of a turn: what may not wait goes out. True where something is still held back.
    pub fn flush_turn(&mut self, now: u64) -> Option<u64> {
        while let Some(id) = self.dirty.pop() {
            self.write_out(id);
        }
        if self.held.is_empty() {
            return None;
        }
        let due: Vec<LogFileId> = self.held.iter().filter(|(_, at)| *at <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.write_out(id);
        }
        self.held.iter().map(|(_, at)| *at).min().filter(|at| *at != u64::MAX)
    }

    /// Everything out: before a reopen, at the end.
    pub fn flush_all(&mut self) {
        for at in 0..self.files.len() {
            self.write_out(LogFileId(at as u32));
        }
        self.dirty.clear();
    }

    fn write_out(&mut self, id: LogFileId) {
        self.held.retain(|(held, _)| *held != id);
        let Some(file) = self.files.get_mut(id.at()) else { return };
        let Some(fd) = &file.fd else { return };
        let compressed = file.gzip.map(|level| gzip(level, &file.pending));
        let mut rest = compressed.as_deref().unwrap_or(&file.pending);
        while !rest.is_empty() {
            match file::write(fd.as_fd(), rest) {
                Ok(n) => {
                    rest = &rest[n..];
                    file.failing = false;
                }
                Err(e) => {
                    // A full disk must not fill the terminal too: once per spell.
                    if !std::mem::replace(&mut file.failing, true) && self.to_stderr {
                        eprintln!("webserv: [alert] write() to \"{}\" failed {e}", file.path.display());
                    }
                    break;
                }
            }
        }
        file.pending.clear();
        if file.pending.capacity() > 2 * FULL {
            file.pending = Vec::new();
        }
    }

    /// Sends an access line to a syslog server.
    ///
    /// # Errors
    /// It was lost, and that has not been said for a while.
    pub fn syslog(&mut self, to: &Syslog, line: &[u8], now: &mut Clock) -> Result<(), Errno> {
        let ms = now.ms;
        self.syslogs.send(to, to.severity, now.syslog_stamp(), line, ms)
    }

    /// Writes one diagnostic where `log` and its others say, if its level is wanted there.
    pub fn error(
        &mut self,
        log: &ErrorLog,
        level: Level,
        now: &mut Clock,
        who: Option<Who<'_>>,
        what: fmt::Arguments<'_>,
    ) {
        for log in std::iter::successors(Some(log), |log| log.also.as_deref()) {
            if level <= log.level && log.target != LogTarget::Off {
                self.diagnostic(log, level, now, who, what);
            }
        }
    }

    fn diagnostic(
        &mut self,
        log: &ErrorLog,
        level: Level,
        now: &mut Clock,
        who: Option<Who<'_>>,
        what: fmt::Arguments<'_>,
    ) {
        let mut line = std::mem::take(&mut self.scratch);
        line.clear();
        // Only the process that serves has requests; one that becomes a daemon has another number before.
        let pid = match who {
            Some(_) => *self.pid.get_or_insert_with(process::getpid),
            None => process::getpid(),
        };
        line.extend_from_slice(now.error_stamp().as_bytes());
        line.extend_from_slice(b" [");
        line.extend_from_slice(level.name().as_bytes());
        line.extend_from_slice(b"] ");
        for end in [&b"#"[..], b": "] {
            decimal::push(u64::from(pid.unsigned_abs()), 0, &mut line);
            line.extend_from_slice(end);
        }
        if let Some(who) = &who {
            line.push(b'*');
            decimal::push(who.serial, 0, &mut line);
            line.push(b' ');
        }
        // A Vec takes all that is written.
        let _ = line.write_fmt(what);
        if let Some(who) = &who {
            (who.asked)(&mut line);
        }
        line.push(b'\n');
        let id = match &log.target {
            LogTarget::File(id) => Some(*id),
            LogTarget::Syslog(to) => {
                let ms = now.ms;
                let sent = self.syslogs.send(to, level as u8, now.syslog_stamp(), &line, ms);
                if let Err(e) = sent
                    && self.to_stderr
                {
                    eprintln!("webserv: [alert] send() to syslog server {} failed {e}", to.server);
                }
                self.scratch = line;
                return;
            }
            _ => None,
        };
        let to_stderr = self.to_stderr;
        match id.and_then(|id| self.access(id, Hold::Turn, now.ms)) {
            Some(pending) => {
                pending.extend_from_slice(&line);
                // What a request did wrong goes out with the turn; what the process says, at once.
                if let Some(id) = id
                    && (who.is_none() || level <= Level::Crit)
                {
                    self.write_out(id);
                }
            }
            None if to_stderr => eprint!("{}", String::from_utf8_lossy(&line)),
            None => {}
        }
        self.scratch = line;
    }
}

/// A whole gzip member; several after each other are one file.
fn gzip(level: u32, lines: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    // A Vec takes all that is written.
    let _ = encoder.write_all(lines);
    encoder.finish().unwrap_or_default()
}

fn append(path: &Path, owner: Option<(u32, u32)>) -> Result<OwnedFd, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let fd = file::open_at(None, &path, O_WRONLY | O_APPEND | O_CREAT, 0o644)?;
    if let Some((uid, gid)) = owner {
        let _ = file::chown_fd(fd.as_fd(), Some(uid), Some(gid));
    }
    Ok(fd)
}

//! Log files. Lines about requests are collected during a turn and written by one call; messages about the process are
//! written at once. A log that fails or whose reader is slow is reported once and never delays a request.
//!
//! A file stays open as long as the configuration names it, or an exchange exists whose configuration did.

pub mod renew;

use super::clock::Clock;
use super::error_line::{self, Admitted, Facts, Repeats, RequestPart, Window};
use super::log_file::{LogFile, Trouble};
use super::log_paths::LogPaths;
use super::slice::Slice;
use super::syslog::Syslogs;
use crate::config::model::{Config, ErrorLog, Level, LogFileId, LogTarget};
use crate::config::settings::logs::PathCache;
use crate::config::settings::syslog::Syslog;
use crate::io::{open, sink::Sink};
use crate::sys::{Errno, file, process};
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

/// When this many bytes are pending, they are written within the turn.
const FULL: usize = 64 << 10;
/// Maximum bytes of a gzip member.
const MEMBER: usize = 128 << 10;
/// Milliseconds until a blocked log is retried.
const RETRY_DELAY: u64 = 20;

/// All logs of the process.
#[derive(Default)]
pub struct Logs {
    files: Vec<LogFile>,
    /// Files with lines to write at the end of the turn.
    dirty: Vec<LogFileId>,
    /// Files whose destination did not accept everything.
    blocked: Vec<LogFileId>,
    /// Files with `buffer=`: (when its oldest line must be written, file).
    held: BTreeSet<(u64, LogFileId)>,
    paths: LogPaths,
    syslogs: Syslogs,
    scratch: Vec<u8>,
    /// The text of a diagnostic.
    text: Vec<u8>,
    repeats: Repeats,
    /// Windows of logs that have a rate.
    windows: Vec<(LogTarget, Window)>,
    /// Where messages go that no file accepts; None in a daemon.
    stderr: Option<LogFile>,
    /// Messages about the logs themselves, for the error log.
    troubles: Vec<String>,
    /// Of the serving process; read once.
    pid: Option<i32>,
}

/// The connection that a message concerns.
#[derive(Clone, Copy)]
pub struct Who<'a> {
    /// The number of the connection.
    pub serial: u64,
    /// Appends client and request at the end of the line.
    pub asked: &'a dyn RequestPart,
}

/// When lines of an access log must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// To the end of the turn.
    Turn,
    /// Up to this many bytes, and this many milliseconds.
    Buffer {
        size: usize,
        flush: Option<u64>,
        /// Each buffer is written as a gzip member of this level.
        gzip: Option<u32>,
    },
}

impl Logs {
    /// With standard error as the destination of messages that no log takes.
    pub fn new() -> Logs {
        let mut stderr = LogFile::new(Path::new("stderr"));
        if let Ok(fd) = file::dup_number(2) {
            stderr.set_sink(Sink::new(fd));
        }
        Logs { stderr: Some(stderr), ..Logs::default() }
    }

    /// With this file only, the first.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn only(path: &Path) -> Result<Logs, Errno> {
        let mut file = LogFile::new(path);
        file.set_sink(Sink::new(open::append(path)?));
        Ok(Logs { files: vec![file], ..Logs::default() })
    }

    /// Opens the files of a configuration that are not open yet.
    ///
    /// # Errors
    /// The first file that cannot be opened; nothing was changed then.
    pub fn open(&mut self, config: &Config) -> Result<(), (PathBuf, Errno)> {
        let is_new = |at: usize| !self.files.get(at).is_some_and(LogFile::is_open);
        let mut opened = Vec::new();
        for (at, path) in config.log_files.iter().enumerate() {
            if !path.as_os_str().is_empty() && is_new(at) {
                opened.push((at, Sink::new(open::append(path).map_err(|e| (path.clone(), e))?)));
            }
        }
        self.files.resize_with(self.files.len().max(config.log_files.len()), LogFile::default);
        for (at, sink) in opened {
            self.files[at].path.clone_from(&config.log_files[at]);
            self.files[at].set_sink(sink);
        }
        for (at, file) in self.files.iter_mut().enumerate() {
            file.is_named = config.log_files.get(at).is_some_and(|path| !path.as_os_str().is_empty());
        }
        Ok(())
    }

    /// The paths in the order of their ids: a configuration loaded later numbers its own after them. An empty path may
    /// be reused.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|f| f.path.clone()).collect()
    }

    /// The descriptors of the open files, with their ids.
    pub fn descriptors(&self) -> impl Iterator<Item = (usize, &Path, BorrowedFd<'_>)> {
        self.files.iter().enumerate().filter_map(|(at, file)| Some((at, &*file.path, file.sink()?.fd())))
    }

    /// Messages still go to standard error; a daemon has none.
    pub fn has_stderr(&self) -> bool {
        self.stderr.is_some()
    }

    /// Discards messages that no file accepts: a daemon has no terminal.
    pub fn drop_stderr(&mut self) {
        self.stderr = None;
    }

    /// Writes a message about `log` itself to standard error too, unless that is the log.
    pub fn copy_to_stderr(&mut self, log: &ErrorLog, text: &str) {
        if let (LogTarget::File(_), Some(stderr)) = (&log.target, &mut self.stderr) {
            let _ = writeln!(stderr.pending, "webserv: [emerg] {text}");
            self.flush_stderr();
        }
    }

    /// Messages about the logs themselves since the last call.
    pub fn troubles(&mut self) -> Vec<String> {
        let mut troubles = std::mem::take(&mut self.troubles);
        troubles.append(&mut self.syslogs.troubles());
        troubles
    }

    /// A buffer to append access log lines to; `hold` determines when they are written.
    pub fn access(&mut self, id: LogFileId, hold: Hold, now: u64) -> Option<&mut Vec<u8>> {
        let file = self.files.get(id.at()).filter(|f| f.is_open())?;
        let size = match hold {
            Hold::Turn => FULL,
            // What is compressed at once takes some milliseconds. A file may have any number of gzip members.
            Hold::Buffer { size, gzip: Some(_), .. } => size.min(MEMBER),
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
                let file = &mut self.files[id.at()];
                file.gzip = gzip;
                if file.pending.is_empty() {
                    file.flush_at = flush.map_or(u64::MAX, |ms| now + ms);
                    self.held.insert((file.flush_at, id));
                }
            }
        }
        Some(&mut self.files[id.at()].pending)
    }

    /// Writes a line to a file whose path was computed for this request: opens, writes and closes it, unless
    /// open_log_file_cache keeps it open.
    pub fn access_path(&mut self, path: &Path, line: &[u8], cache: Option<PathCache>, now: u64) -> Result<(), Errno> {
        self.paths.write(path, line, cache, now, |path| open::append(path).map(Sink::new))
    }

    /// At the end of a turn: writes the lines that must not be held longer. Of buffers that are due together, at least
    /// one is compressed and written, and more as the turn's slice allows. Returns when the rest must be written, if
    /// there is any.
    pub fn flush_turn(&mut self, now: u64, slice: &mut Slice) -> Option<u64> {
        while let Some(id) = self.dirty.pop() {
            self.write_out(id);
        }
        let again = self.retry(now).into_iter().chain(self.close_windows(now)).min();
        let mut is_first = true;
        while let Some(&(at, id)) = self.held.first()
            && at <= now
            && (is_first || !slice.is_over())
        {
            is_first = false;
            self.held.pop_first();
            self.write_out(id);
        }
        let held = self.held.first().map(|(at, _)| *at).filter(|at| *at != u64::MAX);
        held.into_iter().chain(again).min()
    }

    /// Retries blocked logs. Returns when the next retry is due.
    fn retry(&mut self, now: u64) -> Option<u64> {
        for id in std::mem::take(&mut self.blocked) {
            self.write_out(id);
        }
        self.flush_stderr();
        let stderr = self.stderr.as_ref().is_some_and(LogFile::is_blocked);
        (stderr || !self.blocked.is_empty()).then(|| now + RETRY_DELAY)
    }

    fn flush_stderr(&mut self) {
        // If standard error itself fails, only the loss can be reported.
        if let Some(stderr) = self.stderr.as_mut().filter(|file| file.is_blocked() || !file.pending.is_empty())
            && let Some(Trouble::Dropped(lines)) = stderr.flush()
        {
            self.troubles.push(format!("{lines} lines for standard error were dropped: they were not read in time"));
        }
    }

    /// Writes everything: before reopening, and at exit.
    pub fn flush_all(&mut self) {
        for at in 0..self.files.len() {
            self.write_out(LogFileId(at as u32));
        }
        self.dirty.clear();
    }

    fn write_out(&mut self, id: LogFileId) {
        let Some(file) = self.files.get_mut(id.at()) else { return };
        self.held.remove(&(file.flush_at, id));
        let trouble = file.flush();
        if file.is_blocked() && !self.blocked.contains(&id) {
            self.blocked.push(id);
        }
        let Some(trouble) = trouble else { return };
        let path = file.path.display();
        let text = match trouble {
            Trouble::Failed(e) => format!("write() to \"{path}\" failed {e}"),
            Trouble::Dropped(lines) => format!("{lines} lines for \"{path}\" were dropped: they were not read in time"),
            Trouble::Lost(lines) => {
                format!("{lines} lines for \"{path}\" were lost: it could not be written meanwhile")
            }
        };
        if let (Trouble::Failed(_), Some(stderr)) = (trouble, &mut self.stderr) {
            let _ = writeln!(stderr.pending, "webserv: [alert] {text}");
            self.flush_stderr();
        }
        self.troubles.push(text);
    }

    /// Sends an access line to a syslog server.
    ///
    /// # Errors
    /// The line was lost. Reported once per interval.
    pub fn syslog(&mut self, to: &Syslog, line: &[u8], now: &mut Clock) -> Result<(), Errno> {
        let ms = now.ms;
        self.syslogs.send(to, to.severity, now.syslog_stamp(), line, ms)
    }

    /// Writes a message to `log` and its siblings, as far as their levels include it.
    pub fn error(
        &mut self,
        log: &ErrorLog,
        level: Level,
        now: &mut Clock,
        who: Option<Who<'_>>,
        what: fmt::Arguments<'_>,
    ) -> usize {
        if !log.all().any(|log| level <= log.level && log.target != LogTarget::Off) {
            return 0;
        }
        let mut written = 0;
        let mut text = std::mem::take(&mut self.text);
        error_line::write(&mut text, what);
        // A repeated message of the process is logged once, then counted.
        let admitted = match who.is_none() && level <= Level::Warn {
            true => self.repeats.admit(&text, now.ms),
            false => Admitted::After(0),
        };
        if let Admitted::After(before) = admitted {
            Repeats::note(before, &mut text);
            for log in log.all().filter(|log| level <= log.level && log.target != LogTarget::Off) {
                written += self.diagnostic(log, level, now, who, &text);
            }
        }
        self.text = text;
        written
    }

    fn diagnostic(
        &mut self,
        log: &ErrorLog,
        level: Level,
        now: &mut Clock,
        who: Option<Who<'_>>,
        text: &[u8],
    ) -> usize {
        if let Some(rate) = log.rate
            && !self.window(&log.target).admit(rate, now.ms)
        {
            return 0;
        }
        let mut line = std::mem::take(&mut self.scratch);
        line.clear();
        // Only the serving process has requests; a process that becomes a daemon had another pid before.
        let pid = match who {
            Some(_) => *self.pid.get_or_insert_with(process::getpid),
            None => process::getpid(),
        };
        let facts = Facts { level, pid: pid.unsigned_abs(), serial: who.map(|who| who.serial) };
        error_line::begin(log.format, facts, now, text, &mut line);
        if let Some(who) = &who {
            who.asked.put(log.format, &mut line);
        }
        error_line::end(log.format, &mut line);
        let id = match &log.target {
            LogTarget::File(id) => Some(*id),
            LogTarget::Syslog(to) => {
                self.diagnostic_to_syslog(to, level, now, &line);
                let length = line.len();
                self.scratch = line;
                return length;
            }
            _ => None,
        };
        match id.and_then(|id| self.access(id, Hold::Turn, now.ms)) {
            Some(pending) => {
                pending.extend_from_slice(&line);
                // Lines about requests are written at the end of the turn; messages about the process at once.
                if let Some(id) = id
                    && (who.is_none() || level <= Level::Crit)
                {
                    self.write_out(id);
                }
            }
            None => {
                if let Some(stderr) = &mut self.stderr {
                    stderr.pending.extend_from_slice(&line);
                    self.flush_stderr();
                }
            }
        }
        let length = line.len();
        self.scratch = line;
        length
    }

    fn diagnostic_to_syslog(&mut self, to: &Syslog, level: Level, now: &mut Clock, line: &[u8]) {
        let ms = now.ms;
        let sent = self.syslogs.send(to, level as u8, now.syslog_stamp(), line, ms);
        if let (Err(e), Some(stderr)) = (sent, &mut self.stderr) {
            let _ = writeln!(stderr.pending, "webserv: [alert] send() to syslog server {} failed {e}", to.server);
            self.flush_stderr();
        }
    }

    /// The rate window of a log.
    fn window(&mut self, target: &LogTarget) -> &mut Window {
        let at = self.windows.iter().position(|(of, _)| of == target).unwrap_or_else(|| {
            self.windows.push((target.clone(), Window::default()));
            self.windows.len() - 1
        });
        &mut self.windows[at].1
    }

    /// Logs how many lines were dropped, once their second is over. Returns when the next such line is due.
    fn close_windows(&mut self, now: u64) -> Option<u64> {
        for (_, window) in &mut self.windows {
            if let Some(count) = window.take(now) {
                self.troubles.push(format!("{count} lines of the error log were left out: more than its rate allows"));
            }
        }
        self.windows.iter().filter_map(|(_, window)| window.due()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn buffers_whose_time_is_over_together_are_written_one_after_the_other() {
        let scratch = Scratch::new();
        let mut logs = Logs::default();
        for name in ["a", "b", "c"] {
            let path = scratch.path().join(name);
            let mut file = LogFile::new(&path);
            file.set_sink(Sink::new(open::append(&path).expect("opened")));
            logs.files.push(file);
        }
        let hold = Hold::Buffer { size: 1 << 20, flush: Some(100), gzip: Some(9) };
        for id in (0..3).map(LogFileId) {
            for _ in 0..2 {
                logs.access(id, hold, 0).expect("open").extend_from_slice(b"a line\n");
            }
        }
        let written = |scratch: &Scratch| {
            let names = ["a", "b", "c"].iter();
            names.filter(|name| std::fs::metadata(scratch.path().join(name)).is_ok_and(|file| file.len() > 0)).count()
        };
        // No time is left in any of these turns.
        let mut slice = Slice::default();
        slice.steps = Some(0);
        assert_eq!((logs.flush_turn(99, &mut slice), written(&scratch)), (Some(100), 0));
        assert_eq!((logs.flush_turn(100, &mut slice), written(&scratch)), (Some(100), 1));
        assert_eq!((logs.flush_turn(100, &mut slice), written(&scratch)), (Some(100), 2));
        assert_eq!((logs.flush_turn(100, &mut slice), written(&scratch)), (None, 3));
        // A member is not longer than what is compressed in a step.
        logs.access(LogFileId(0), hold, 200).expect("open").resize(MEMBER, b'x');
        assert!(logs.access(LogFileId(0), hold, 200).expect("open").is_empty());
    }
}

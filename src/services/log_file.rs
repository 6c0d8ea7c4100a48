//! One log file: lines that wait for the end of the turn, and bytes that the other end has not taken yet.
//!
//! Invariant: nothing here waits. What a slow reader does not take is kept up to [`BACKLOG`] bytes; further lines are
//! dropped, counted, and the count is reported once there is room again.

use crate::io::sink::Sink;
use crate::sys::Errno;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes kept for a reader that is slow: minutes of a busy error log, some seconds of a busy access log.
const BACKLOG: usize = 1 << 20;
/// Buffers larger than this are given back when they are empty.
const KEPT: usize = 128 << 10;

#[derive(Default)]
pub struct LogFile {
    pub path: PathBuf,
    sink: Option<Sink>,
    /// Whole lines, not yet written.
    pub pending: Vec<u8>,
    /// What a write left over, as it is to be written.
    backlog: Vec<u8>,
    dropped: u64,
    failing: bool,
    /// A write failed in the middle of a line: the next one begins a line.
    is_cut: bool,
    pub gzip: Option<u32>,
    /// The configuration in use names it.
    pub is_named: bool,
}

/// What is worth a line in the error log.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The first failure of a spell: a full disk must not fill the other logs too.
    Failed(Errno),
    /// There is room again, and this many lines were lost meanwhile.
    Dropped(u64),
}

impl LogFile {
    pub fn new(path: &Path) -> LogFile {
        LogFile { path: path.to_owned(), ..LogFile::default() }
    }

    pub fn is_open(&self) -> bool {
        self.sink.is_some()
    }

    pub fn sink(&self) -> Option<&Sink> {
        self.sink.as_ref()
    }

    /// Writes to this from now on; what the old file has not taken goes to the new one.
    pub fn set_sink(&mut self, sink: Sink) {
        self.sink = Some(sink);
        self.failing = false;
    }

    pub fn close(&mut self) {
        *self = LogFile::default();
    }

    /// The other end has not taken everything.
    pub fn is_blocked(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Writes what there is, as far as it goes.
    pub fn flush(&mut self) -> Option<Trouble> {
        let Some(sink) = &self.sink else {
            self.pending.clear();
            return None;
        };
        if !self.pending.is_empty() && std::mem::take(&mut self.is_cut) {
            self.pending.insert(0, b'\n');
        }
        let compressed = self.gzip.filter(|_| !self.pending.is_empty()).map(|level| gzip(level, &self.pending));
        let fresh = compressed.as_deref().unwrap_or(&self.pending);
        let mut outcome = Ok(());
        if !self.backlog.is_empty() {
            outcome = send(sink, &self.backlog).map(|sent| drop(self.backlog.drain(..sent)));
        }
        if self.backlog.is_empty() && outcome.is_ok() {
            outcome =
                send(sink, fresh).map(|sent| self.backlog.extend_from_slice(fresh.get(sent..).unwrap_or_default()));
        } else if self.backlog.len() + fresh.len() <= BACKLOG {
            self.backlog.extend_from_slice(fresh);
        } else {
            self.dropped += memchr::memchr_iter(b'\n', &self.pending).count() as u64;
        }
        for buffer in [&mut self.pending, &mut self.backlog] {
            if buffer.capacity() > KEPT && buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
        self.pending.clear();
        match outcome {
            Err((e, is_cut)) => {
                self.is_cut |= is_cut && self.gzip.is_none();
                self.backlog.clear();
                (!std::mem::replace(&mut self.failing, true)).then_some(Trouble::Failed(e))
            }
            Ok(()) => {
                self.failing = false;
                let dropped = if self.backlog.is_empty() { std::mem::take(&mut self.dropped) } else { 0 };
                (dropped > 0).then_some(Trouble::Dropped(dropped))
            }
        }
    }
}

/// How many bytes were taken before the other end would have had to be waited for. An error tells whether a line was cut.
fn send(sink: &Sink, bytes: &[u8]) -> Result<usize, (Errno, bool)> {
    let mut sent = 0;
    while sent < bytes.len() {
        match sink.write(bytes.get(sent..).unwrap_or_default()) {
            Ok(n) => sent += n,
            Err(Errno::EAGAIN) => break,
            Err(e) => {
                let last = bytes.get(..sent).and_then(<[u8]>::last);
                return Err((e, last.is_some_and(|byte| *byte != b'\n')));
            }
        }
    }
    Ok(sent)
}

/// A whole gzip member; several after each other are one file.
fn gzip(level: u32, lines: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    // A Vec takes all that is written.
    let _ = encoder.write_all(lines);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file;
    use std::os::fd::AsFd;

    #[test]
    fn a_reader_that_sleeps_costs_lines_which_are_counted_and_nothing_else() {
        let (reader, writer) = file::pipe().expect("pipe2");
        let mut log = LogFile::new(Path::new("fifo"));
        log.set_sink(Sink::new(writer));
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let mut written = 0u64;
        while log.dropped < 10 {
            log.pending.extend_from_slice(&line);
            written += 1;
            assert_eq!(log.flush(), None, "{written}");
            assert!(log.backlog.len() <= BACKLOG);
        }
        assert!(log.is_blocked());
        // The reader wakes up: everything but the dropped lines arrives, and their number is reported once.
        let (mut read, mut into, mut reported) = (0, vec![0; 1 << 16], 0);
        while log.is_blocked() || reported == 0 {
            read += file::read(reader.as_fd(), &mut into).unwrap_or(0) as u64;
            match log.flush() {
                Some(Trouble::Dropped(n)) => reported += n,
                other => assert_eq!(other, None),
            }
        }
        while let Ok(n @ 1..) = file::read(reader.as_fd(), &mut into) {
            read += n as u64;
        }
        assert_eq!((reported, read), (10, (written - 10) * 1024));
    }

    #[test]
    fn a_line_behind_one_that_a_full_disk_cut_is_a_line_of_its_own() {
        let (reader, writer) = file::pipe().expect("pipe2");
        let mut log = LogFile::new(Path::new("a.log"));
        log.set_sink(Sink::new(writer));
        log.is_cut = true;
        assert_eq!(log.flush(), None);
        for line in [&b"one\n"[..], b"two\n"] {
            log.pending.extend_from_slice(line);
            assert_eq!(log.flush(), None);
        }
        let mut into = [0; 64];
        let n = file::read(reader.as_fd(), &mut into).expect("it was written");
        assert_eq!(&into[..n], b"\none\ntwo\n");
    }

    #[test]
    fn a_full_disk_is_reported_once_a_spell() {
        let mut log = LogFile::new(Path::new("/dev/full"));
        log.set_sink(Sink::new(file::open_at(None, c"/dev/full", file::O_WRONLY, 0).expect("/dev/full")));
        for expected in [Some(Trouble::Failed(Errno::ENOSPC)), None, None] {
            log.pending.extend_from_slice(b"line\n");
            assert_eq!(log.flush(), expected);
            assert!(log.pending.is_empty() && !log.is_blocked());
        }
    }
}

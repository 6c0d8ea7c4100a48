//! One log file: lines pending until the end of the turn, and bytes that the destination has not accepted yet.
//!
//! Invariant: nothing here blocks. For a slow reader, up to [`BACKLOG`] bytes are buffered; further lines are dropped
//! and counted, and the count is reported once there is room again.

use crate::io::sink::Sink;
use crate::sys::{Errno, file};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Maximum bytes buffered for a slow reader: minutes of a busy error log, some seconds of a busy access log.
const BACKLOG: usize = 1 << 20;
/// Larger buffers are freed when they are empty.
const KEPT: usize = 128 << 10;
/// On a full disk, writes still succeed up to the end of a file's last page.
const PAGE: usize = 4096;

/// A log and what waits to be written to it.
#[derive(Default)]
pub struct LogFile {
    /// Its path in the configuration; `stderr` is none.
    pub path: PathBuf,
    sink: Option<Sink>,
    /// Whole lines, not yet written.
    pub pending: Vec<u8>,
    /// The rest of a partial write.
    backlog: Vec<u8>,
    dropped: u64,
    /// Lines of failed writes not reported yet.
    lost: u64,
    /// Whether writes are failing; reset once more was written than the file's last page can have had room for.
    failing: bool,
    /// Bytes written since the last failure.
    room: usize,
    /// Whether the last byte accepted is not a line end: unless the rest of that line follows, a line end is written
    /// first.
    is_in_line: bool,
    /// The compression level; None: uncompressed.
    pub gzip: Option<u32>,
    /// When the lines that are held (`buffer=`) must be written, in monotonic milliseconds.
    pub flush_at: u64,
    /// Whether the current configuration names it.
    pub is_named: bool,
}

/// What is reported in the error log.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The first of several consecutive failures: a full disk must not fill the other logs too.
    Failed(Errno),
    /// Lines can be written again; this many were dropped because the reader was slow.
    Dropped(u64),
    /// Likewise, because writes failed.
    Lost(u64),
}

impl LogFile {
    /// Not opened: lines collect until [`LogFile::set_sink`].
    pub fn new(path: &Path) -> LogFile {
        LogFile { path: path.to_owned(), ..LogFile::default() }
    }

    /// It can be written to.
    pub fn is_open(&self) -> bool {
        self.sink.is_some()
    }

    /// Where its lines go; None: it is not open.
    pub fn sink(&self) -> Option<&Sink> {
        self.sink.as_ref()
    }

    /// Replaces the file; what the old one has not accepted goes to the new one.
    pub fn set_sink(&mut self, sink: Sink) {
        // If the same file was opened again, it still ends within a line.
        self.is_in_line &= self.sink.as_ref().is_some_and(|old| is_same(old, &sink));
        self.sink = Some(sink);
        (self.failing, self.room) = (false, 0);
    }

    /// Closes it and drops what is pending: flush it before.
    pub fn close(&mut self) {
        *self = LogFile::default();
    }

    /// Whether the destination has not accepted everything.
    pub fn is_blocked(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Writes as much as the destination accepts.
    pub fn flush(&mut self) -> Option<Trouble> {
        let Some(sink) = self.sink.take() else {
            self.pending.clear();
            return None;
        };
        let trouble = self.flush_to(|bytes| sink.write(bytes));
        self.sink = Some(sink);
        trouble
    }

    fn flush_to(&mut self, mut write: impl FnMut(&[u8]) -> Result<usize, Errno>) -> Option<Trouble> {
        // The backlog is the rest of the line.
        let ends_line = self.is_in_line && self.gzip.is_none() && self.backlog.is_empty() && !self.pending.is_empty();
        if ends_line {
            self.pending.insert(0, b'\n');
        }
        let is_in_line = &mut self.is_in_line;
        let mut send = |bytes: &[u8]| send(bytes, is_in_line, &mut write);
        let compressed = self.gzip.filter(|_| !self.pending.is_empty()).map(|level| gzip(level, &self.pending));
        let fresh = compressed.as_deref().unwrap_or(&self.pending);
        let (mut outcome, mut taken) = (Ok(()), 0);
        if !self.backlog.is_empty() {
            let (sent, end) = send(&self.backlog);
            self.backlog.drain(..sent);
            outcome = end;
        }
        if outcome.is_err() {
            // All of it is lost.
        } else if self.backlog.is_empty() {
            (taken, outcome) = send(fresh);
            if outcome.is_ok() {
                self.backlog.extend_from_slice(fresh.get(taken..).unwrap_or_default());
            }
        } else if self.backlog.len() + fresh.len() <= BACKLOG && self.backlog.try_reserve(fresh.len()).is_ok() {
            self.backlog.extend_from_slice(fresh);
        } else {
            self.dropped += memchr::memchr_iter(b'\n', &self.pending).count() as u64;
        }
        let size = fresh.len();
        if outcome.is_err() {
            let lines = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count() as u64;
            // A partial gzip member contains no line. The line end of the line before was counted with that.
            let written = if self.gzip.is_some() { 0 } else { taken.max(usize::from(ends_line)) };
            self.lost += lines(self.pending.get(written..).unwrap_or_default()) + lines(&self.backlog);
            self.backlog.clear();
        }
        for buffer in [&mut self.pending, &mut self.backlog] {
            if buffer.capacity() > KEPT && buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
        self.pending.clear();
        match outcome {
            Err(e) => {
                self.room = 0;
                (!std::mem::replace(&mut self.failing, true)).then_some(Trouble::Failed(e))
            }
            Ok(()) => {
                self.room = self.room.saturating_add(size);
                self.failing &= self.room <= PAGE;
                if size > 0 && self.backlog.is_empty() && self.lost > 0 {
                    return Some(Trouble::Lost(std::mem::take(&mut self.lost)));
                }
                let dropped = if self.backlog.is_empty() { std::mem::take(&mut self.dropped) } else { 0 };
                (dropped > 0).then_some(Trouble::Dropped(dropped))
            }
        }
    }
}

/// Writes as much as the destination accepts without blocking: returns the number of bytes, and the error that stopped
/// it. `is_in_line`: whether the last byte it accepted is not a line end.
fn send(
    bytes: &[u8],
    is_in_line: &mut bool,
    write: &mut impl FnMut(&[u8]) -> Result<usize, Errno>,
) -> (usize, Result<(), Errno>) {
    let mut sent = 0;
    while sent < bytes.len() {
        match write(bytes.get(sent..).unwrap_or_default()) {
            Ok(n) => {
                sent += n;
                *is_in_line = bytes.get(..sent).and_then(<[u8]>::last).map_or(*is_in_line, |byte| *byte != b'\n');
            }
            Err(Errno::EAGAIN) => break,
            Err(e) => return (sent, Err(e)),
        }
    }
    (sent, Ok(()))
}

fn is_same(one: &Sink, other: &Sink) -> bool {
    match (file::fstat(one.fd()), file::fstat(other.fd())) {
        (Ok(one), Ok(other)) => one.is_same_inode(&other),
        _ => false,
    }
}

/// A complete gzip member; concatenated members form a valid file.
fn gzip(level: u32, lines: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    // Writing to a Vec does not fail.
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
        // The reader resumes: everything except dropped lines arrives, and their number is reported once.
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
        log.is_in_line = true;
        assert_eq!(log.flush(), None);
        for line in [&b"one\n"[..], b"two\n"] {
            log.pending.extend_from_slice(line);
            assert_eq!(log.flush(), None);
        }
        let mut into = [0; 64];
        let n = file::read(reader.as_fd(), &mut into).expect("it was written");
        assert_eq!(&into[..n], b"\none\ntwo\n");
        // Another file has no line to end; the same file opened again has.
        for (is_other, expected) in [(false, &b"\nthree\n"[..]), (true, b"three\n")] {
            let (other, into_other) = file::pipe().expect("pipe2");
            log.is_in_line = true;
            let (from, writer) = match is_other {
                true => (&other, into_other),
                false => (&reader, log.sink().and_then(|sink| sink.fd().try_clone_to_owned().ok()).expect("dup")),
            };
            log.set_sink(Sink::new(writer));
            log.pending.extend_from_slice(b"three\n");
            assert_eq!(log.flush(), None);
            let n = file::read(from.as_fd(), &mut into).expect("it was written");
            assert_eq!(&into[..n], expected, "another: {is_other}");
        }
    }

    #[test]
    fn a_cut_line_is_ended_however_often_the_disk_is_full_before() {
        let (full, room) = (Err(Errno::ENOSPC), Ok(usize::MAX));
        for (name, is_gzip, takes, expected) in [
            ("full at once", false, &[full, full, room][..], &b"3....\n"[..]),
            ("cut, then full", false, &[Ok(2), full, full, full, room], b"1.\n4....\n"),
            ("cut twice", false, &[Ok(2), full, Ok(3), full, full, room], b"1.\n2.\n4....\n"),
            ("a whole line", false, &[Ok(7), full, room], b"1....\n3....\n"),
            ("the end of the line before", false, &[Ok(2), full, Ok(1), full, room], b"1.\n3....\n"),
            (
                "a pipe that fails with the rest waiting",
                false,
                &[Ok(2), Err(Errno::EAGAIN), full, room],
                b"1.\n3....\n",
            ),
            ("a pipe that was full for a while", false, &[Ok(2), Err(Errno::EAGAIN), room], b"1....\n2....\n"),
            ("a pipe that takes more", false, &[Ok(2), Err(Errno::EAGAIN), Ok(2), full, room], b"1...\n3....\n"),
            ("members are no lines", true, &[Ok(2), full, room], b"\x1f\x8b"),
        ] {
            let mut log = LogFile::new(Path::new("a.log"));
            log.gzip = is_gzip.then_some(1);
            let (mut taken, mut takes) = (Vec::new(), takes.iter());
            for line in 1.. {
                if takes.len() == 0 {
                    break;
                }
                log.pending.extend_from_slice(format!("{line}....\n").as_bytes());
                let _ = log.flush_to(|bytes| {
                    let most = (*takes.next().unwrap_or(&room))?;
                    taken.extend_from_slice(&bytes[..most.min(bytes.len())]);
                    Ok(most.min(bytes.len()))
                });
            }
            match is_gzip {
                false => assert_eq!(String::from_utf8_lossy(&taken), String::from_utf8_lossy(expected), "{name}"),
                true => assert_eq!(taken[..4], [expected, expected].concat(), "{name}"),
            }
        }
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

    #[test]
    fn what_a_full_disk_lost_is_counted_and_a_little_room_is_no_end_of_the_spell() {
        let (full, room) = (Err(Errno::ENOSPC), Ok(usize::MAX));
        let large = vec![b'x'; PAGE];
        let mut log = LogFile::new(Path::new("a.log"));
        for (line, take, expected) in [
            (&b"1\n2\n"[..], full, Some(Trouble::Failed(Errno::ENOSPC))),
            (b"3\n", full, None),
            (b"4\n", room, Some(Trouble::Lost(3))),
            (b"5\n", full, None),
            (b"6\n", room, Some(Trouble::Lost(1))),
            (&large, room, None),
            (b"\n", full, Some(Trouble::Failed(Errno::ENOSPC))),
        ] {
            log.pending.extend_from_slice(line);
            let told = log.flush_to(|bytes| take.map(|most: usize| most.min(bytes.len())));
            assert_eq!(told, expected, "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn lines_that_the_last_room_of_a_disk_took_are_not_lost() {
        for (is_gzip, lost) in [(false, 4), (true, 5)] {
            let mut log = LogFile::new(Path::new("a.log"));
            log.gzip = is_gzip.then_some(1);
            // The first line and part of the second.
            let full = Err(Errno::ENOSPC);
            let mut takes = [Ok(5), full, full, full, Ok(usize::MAX)].into_iter();
            let mut write = |bytes: &[u8]| takes.next().unwrap_or(Ok(0)).map(|most| most.min(bytes.len()));
            log.pending.extend_from_slice(b"1..\n2..\n3..\n");
            assert_eq!(log.flush_to(&mut write), Some(Trouble::Failed(Errno::ENOSPC)));
            for line in [b"4..\n", b"5..\n"] {
                log.pending.extend_from_slice(line);
                assert_eq!(log.flush_to(&mut write), None);
            }
            log.pending.extend_from_slice(b"6..\n");
            assert_eq!(log.flush_to(&mut write), Some(Trouble::Lost(lost)), "gzip: {is_gzip}");
        }
    }
}

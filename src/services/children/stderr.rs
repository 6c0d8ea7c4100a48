//! What CGI programs write to STDERR: lines for the error log. Invariant: neither a turn nor the log grows with what a
//! program writes.

use super::{Child, Line, Reported, STDERR_EVENTS};
use crate::sys::Errno;
use crate::sys::epoll::Epoll;
use crate::sys::file;
use crate::util::slab::Key;
use std::os::fd::AsFd;

/// Maximum bytes of an incomplete STDERR line that are buffered.
pub(super) const LINE: usize = 4096;
/// Bytes that a program may add to the error log. What it writes beyond that is read, so that it does not wait, but
/// not logged.
pub(super) const LOGGED: usize = 64 << 10;
/// What a line of the log has besides the text and the script's name: at least the time, the level, and our words.
pub(super) const LINE_WORDS: usize = 90;
/// Maximum bytes of STDERR read from a program whose output is no longer needed: one that writes more is in an endless
/// loop, and reading it would keep this process busy too.
pub(super) const MOST: usize = 1 << 20;
impl Child {
    /// Closing is not enough if it is registered in the epoll: a program being started has a copy until exec, and until
    /// then events would be reported.
    pub(super) fn close_stderr(&mut self, epoll: Option<&Epoll>) {
        let stderr = self.stderr.take();
        if let (Some(stderr), Some(epoll), Reported::Once) = (stderr, epoll, self.reported) {
            let _ = epoll.delete(stderr.as_fd());
        }
    }

    /// STDERR was reported: reads at most `reads` times, then has epoll report it again (it is registered for one
    /// event).
    pub(super) fn read(&mut self, epoll: &Epoll, key: Key, reads: usize, lines: &mut Vec<Line>) {
        self.take_lines(Some(epoll), reads, lines);
        if let Some(stderr) = &self.stderr
            && epoll.modify(stderr.as_fd(), STDERR_EVENTS, key.to_u64()).is_ok()
        {
            self.reported = Reported::Once;
        }
    }

    /// Takes the complete lines out of at most `reads` reads. Stops at EAGAIN; closes STDERR at its end or on an error.
    pub(super) fn take_lines(&mut self, epoll: Option<&Epoll>, reads: usize, lines: &mut Vec<Line>) {
        let mut buffer = Vec::with_capacity(LINE);
        for _ in 0..reads {
            let Some(stderr) = &self.stderr else { return };
            buffer.clear();
            match file::read_into(stderr.as_fd(), &mut buffer, LINE) {
                Ok(n) if n > 0 && (self.signal.is_none() || self.wrote < MOST) => {
                    self.text.extend_from_slice(&buffer);
                    self.wrote += n;
                }
                Ok(n) if n > 0 => {
                    // SIGPIPE tells the program to stop, but only if its output is no longer needed, since it would end
                    // that too.
                    self.push(b"(more than 1 MiB was written: the rest is not read)", lines);
                    self.close_stderr(epoll);
                }
                Err(Errno::EAGAIN) => break,
                _ => self.close_stderr(epoll),
            }
            let mut text = std::mem::take(&mut self.text);
            if let Some(end) = memchr::memrchr(b'\n', &text) {
                let rest = text.split_off(end + 1);
                text.split(|&byte| byte == b'\n').for_each(|line| self.say(line, lines));
                text = rest;
            }
            self.text = text;
            if self.text.len() >= LINE {
                self.last_line(lines);
            }
        }
    }

    /// Logs what is left as a line: the program has ended, or the line is longer than [`LINE`].
    pub(super) fn last_line(&mut self, lines: &mut Vec<Line>) {
        let text = std::mem::take(&mut self.text);
        self.say(&text, lines);
    }

    /// Logs a line, as long as the program has not logged [`LOGGED`] bytes.
    fn say(&mut self, text: &[u8], lines: &mut Vec<Line>) {
        let text = text.trim_ascii_end();
        if text.is_empty() || self.logged >= LOGGED {
            return;
        }
        self.push(text, lines);
        self.logged += text.len() + self.shown.len() + LINE_WORDS;
        if self.logged >= LOGGED {
            self.push(b"(more messages of this program are left out)", lines);
        }
    }

    fn push(&self, text: &[u8], lines: &mut Vec<Line>) {
        lines.push(Line { text: String::from_utf8_lossy(text).into_owned(), script: self.shown.clone() });
    }
}

//! A response that arrives faster than its client reads it: what does not fit in the queue is spooled to a temporary
//! file, to free the upstream (proxy_max_temp_file_size and others).
//!
//! Invariants: bytes are sent in the order in which they arrived; the file never exceeds the limit. If the disk is full
//! or descriptors are scarce, no data is lost: the upstream waits for the client, as without a file.

use super::settings::settings;
use crate::config::model::Level;
use crate::exchange::{Exchange, Printable, filters};
use crate::services::Services;
use crate::services::overload::SCARCE_OUTPUT;
use crate::services::temp_dir::{Keep, TempFile, TempFileError};

/// Minimum capacity of the queue while memory is not short: smaller pieces would only cost system calls.
pub(super) const LEAST_BUFFER: u64 = 64 << 10;

/// When the queue was found full.
#[derive(Clone, Copy)]
pub(super) struct Full {
    /// Monotonic milliseconds.
    pub since: u64,
    /// Bytes of the response that the client had taken by then.
    pub sent: u64,
}

/// The part of a response that does not fit in the queue and that the client has not read yet.
#[derive(Default)]
pub struct Spool {
    /// Some: the queue was found full, and the client has taken little since.
    pub(super) full: Option<Full>,
    /// Received bytes are written to the file.
    pub(super) is_open: bool,
    file: Option<TempFile>,
    /// The offset in the file from which the client continues.
    at: u64,
    /// What could not be written to the disk; nothing more is read until it has been sent.
    refused: Vec<u8>,
    /// The file could not be written: no more is put into one for this response.
    pub(super) has_failed: bool,
    /// The response was cut short: the client must see that the end is missing.
    pub is_truncated: bool,
}

/// Maximum bytes of a response that are queued in memory. `is_scarce`: memory is short.
pub(super) fn capacity(ex: &Exchange, is_scarce: bool) -> u64 {
    if is_scarce {
        return SCARCE_OUTPUT;
    }
    let settings = settings(ex);
    let (count, size) = settings.buffers;
    settings.buffer_size.0.saturating_add(count.saturating_mul(size.0)).max(LEAST_BUFFER)
}

/// Passes on a piece of the body: to the client, or to the spool if it is open.
pub(super) fn pass(spool: &mut Option<Box<Spool>>, ex: &mut Exchange, cx: &mut Services, piece: &[u8]) {
    match spool {
        Some(spool) if spool.is_open => spool.push(ex, cx, piece),
        _ => filters::body(ex, piece),
    }
}

impl Spool {
    /// All that arrived is queued for the client.
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.file.as_ref().is_none_or(|file| self.at == file.len())
    }

    /// Bytes that the spool can take now.
    pub(super) fn room(&self, ex: &Exchange) -> usize {
        if self.has_failed {
            return 0;
        }
        let settings = settings(ex);
        let left = settings.temp_most().saturating_sub(self.file.as_ref().map_or(0, TempFile::len));
        left.min(settings.temp_write_size()) as usize
    }

    fn push(&mut self, ex: &mut Exchange, cx: &mut Services, piece: &[u8]) {
        if let Err(TempFileError { call, path, errno }) = self.write(ex, cx, piece) {
            let path = Printable(&path);
            let what = format_args!("{call} \"{path}\" failed {errno}, the upstream waits for its client");
            ex.report(cx, Level::Crit, format_args!("{what} while reading upstream"));
            self.has_failed = true;
        }
    }

    fn write(&mut self, ex: &Exchange, cx: &mut Services, piece: &[u8]) -> Result<(), TempFileError> {
        let before = self.file.as_ref().map_or(0, TempFile::len);
        let outcome = match &mut self.file {
            _ if self.has_failed => Ok(()),
            Some(file) => file.append(piece),
            None => self.create(ex, cx).and_then(|file| file.append(piece)),
        };
        let written = self.file.as_ref().map_or(0, TempFile::len) - before;
        self.refused.extend_from_slice(piece.get(written as usize..).unwrap_or_default());
        outcome
    }

    fn create(&mut self, ex: &Exchange, cx: &mut Services) -> Result<&mut TempFile, TempFileError> {
        let path = settings(ex).temp.as_ref().unwrap_or(&ex.location().settings.body.temp);
        let file = cx.temp_file(path, Keep::Unnamed)?;
        let shown = Printable(file.path());
        let what = format_args!("an upstream response is buffered to a temporary file {shown}");
        ex.report(cx, Level::Warn, format_args!("{what} while reading upstream"));
        Ok(self.file.insert(file))
    }

    /// Passes on what fits in the queue, and returns the number of bytes. None: the file cannot be read.
    pub fn pass_on(&mut self, ex: &mut Exchange, cx: &mut Services) -> Option<usize> {
        let (capacity, waiting) = (capacity(ex, cx.overload.is_tight()), ex.out.pending());
        // Avoid small pieces.
        if self.is_empty() || waiting > capacity / 2 {
            return Some(0);
        }
        let Some(file) = self.file.as_mut().filter(|file| self.at < file.len()) else {
            let refused = std::mem::take(&mut self.refused);
            filters::body(ex, &refused);
            return Some(refused.len());
        };
        let most = (capacity - waiting).min(file.len() - self.at) as usize;
        let mut piece = std::mem::take(&mut cx.scratch);
        piece.clear();
        piece.reserve(most);
        let outcome = file.read(self.at, most, &mut piece);
        if let Ok(n) = outcome {
            self.at += n as u64;
            if self.at == file.len() {
                self.at = 0;
                file.begin_again();
            }
            filters::body(ex, &piece);
        }
        cx.scratch = piece;
        match outcome {
            Ok(n) if n > 0 => Some(n),
            outcome => {
                let path = self.file.as_ref().map_or(&b""[..], TempFile::path);
                let (path, why) = (Printable(path), outcome.err().map_or(String::new(), |e| format!(" {e}")));
                ex.report(cx, Level::Crit, format_args!("pread() \"{path}\" failed{why} while sending to client"));
                None
            }
        }
    }
}

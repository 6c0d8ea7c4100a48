//! The body of a request that is read whole before it is sent to an upstream: in memory up to
//! client_body_buffer_size; in a temporary file beyond that, or by client_body_in_file_only. Knows no exchange.
//!
//! Invariant: memory holds no more than the buffer's size, or [`LARGEST`], and one read of the socket.

use crate::config::model::{Level, Settings};
use crate::config::settings::body::{InFileOnly, TempPath};
use crate::http::body_length::BodyLength;
use crate::http::request_head::RequestHead;
use crate::http::version::Version;
use crate::services::Services;
use crate::services::temp_dir::{Keep, TempFile, TempFileError};
use crate::sys::Errno;

/// `proxy_request_buffering on`, `$request_body_file` and others read the body from here.
pub struct BufferedBody {
    memory: Vec<u8>,
    file: Option<TempFile>,
    /// More than this many bytes go to a file.
    limit: u64,
    file_only: InFileOnly,
}

/// The most of a body that is held in memory, whatever client_body_buffer_size says: a variable copies it, a regex
/// reads it, and a file is written of it, in one step.
pub const LARGEST: u64 = 8 << 20;

/// Where a file is made, and by what.
pub type Temp<'t> = (&'t TempPath, &'t mut Services);

/// Whether the body has just moved to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is where it was.
    No,
    /// What was in memory has been written to a file.
    ToFile,
}

impl BufferedBody {
    /// For a body of that head, by the settings of its location.
    pub fn new(head: &RequestHead, settings: &Settings) -> BufferedBody {
        let size = settings.client.body_buffer_size.0.min(LARGEST);
        // nginx: a body that exceeds the buffer by less than a quarter gets a buffer of its own size, but over HTTP/2.
        let most = if head.version == Version::Http2 { size } else { size.saturating_add(size / 4) };
        let limit = match head.body_length {
            BodyLength::Known(length) if length < most => length.min(LARGEST),
            _ => size,
        };
        BufferedBody { memory: Vec::new(), file: None, limit, file_only: settings.body.in_file_only }
    }

    /// A small body that has already arrived. Unbuffered it goes to no file, whatever client_body_in_file_only says
    /// (nginx).
    pub fn in_memory() -> BufferedBody {
        BufferedBody { memory: Vec::new(), file: None, limit: u64::MAX, file_only: InFileOnly::Off }
    }

    /// The next piece; `temp` is for the file.
    ///
    /// # Errors
    /// The server's: no file can be made, or the disk is full.
    pub fn push(&mut self, temp: Temp<'_>, piece: &[u8]) -> Result<Moved, TempFileError> {
        if let Some(file) = &mut self.file {
            return file.append(piece).map(|()| Moved::No);
        }
        if self.memory.try_reserve(piece.len()).is_err() {
            self.spill((temp.0, &mut *temp.1))?;
            return self.push(temp, piece).map(|_| Moved::ToFile);
        }
        self.memory.extend_from_slice(piece);
        if self.memory.len() as u64 > self.limit { self.spill(temp) } else { Ok(Moved::No) }
    }

    /// The body is complete.
    ///
    /// # Errors
    /// As of [`BufferedBody::push`].
    pub fn end(&mut self, temp: Temp<'_>) -> Result<Moved, TempFileError> {
        if self.file_only != InFileOnly::Off && self.file.is_none() { self.spill(temp) } else { Ok(Moved::No) }
    }

    /// Moves what is in memory to a file.
    fn spill(&mut self, (path, cx): Temp<'_>) -> Result<Moved, TempFileError> {
        let keep = match self.file_only {
            InFileOnly::Off => Keep::Unnamed,
            InFileOnly::Clean => Keep::Named,
            InFileOnly::On => Keep::Forever,
        };
        let mut file = cx.temp_file(path, keep)?;
        file.append(&self.memory)?;
        self.memory = Vec::new();
        self.file = Some(file);
        Ok(Moved::ToFile)
    }

    /// The level at which the log mentions its file: if no file was asked for, the buffer may be too small.
    pub fn level(&self) -> Level {
        if self.file_only == InFileOnly::Off { Level::Warn } else { Level::Notice }
    }

    /// Appends the next piece from `at` on, of `most` bytes.
    ///
    /// # Errors
    /// The file cannot be read, or is shorter than it was.
    pub fn read(&self, at: u64, most: usize, into: &mut Vec<u8>) -> Result<(), Errno> {
        match &self.file {
            Some(file) => match file.read(at, most, into)? {
                0 => Err(Errno::EIO),
                _ => Ok(()),
            },
            None => {
                let rest = self.memory.get(at as usize..).unwrap_or_default();
                into.extend_from_slice(rest.get(..most).unwrap_or(rest));
                Ok(())
            }
        }
    }

    /// Bytes of it so far.
    pub fn len(&self) -> u64 {
        self.memory.len() as u64 + self.file.as_ref().map_or(0, TempFile::len)
    }

    /// Nothing has come, in memory or in the file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `$request_body`: None where it is in a file.
    pub fn bytes(&self) -> Option<&[u8]> {
        if self.file.is_some() { None } else { Some(&self.memory) }
    }

    /// The file it is in, if it is.
    pub fn file(&self) -> Option<&TempFile> {
        self.file.as_ref()
    }
}

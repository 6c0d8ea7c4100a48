//! The body of a request that is read whole before somebody is asked for the answer: in memory up to
//! client_body_buffer_size, beyond that, or where client_body_in_file_only says so, in a temporary file.
//!
//! Invariant: memory holds no more than the buffer's size and one read of the socket.

use super::flow::Flow;
use super::{Exchange, Printable};
use crate::config::model::Level;
use crate::config::settings::body::InFileOnly;
use crate::http::h1::framing::Framing;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::temp_dir::{Failure, Keep, TempFile};
use crate::sys::Errno;

pub struct Body {
    memory: Vec<u8>,
    file: Option<TempFile>,
    /// More than so many bytes go to a file.
    limit: u64,
    file_only: InFileOnly,
}

impl Body {
    /// For the request of `ex`, of which nothing was read.
    pub fn new(ex: &Exchange) -> Body {
        let settings = &ex.here().settings;
        let size = settings.client.body_buffer_size.0;
        let limit = match ex.request.head.framing {
            // nginx: a body that exceeds the buffer by less than a quarter gets a buffer of its own size.
            Framing::Length(length) if length < size.saturating_add(size / 4) => length,
            _ => size,
        };
        Body { memory: Vec::new(), file: None, limit, file_only: settings.body.in_file_only }
    }

    /// The next piece. An error is the server's: no file can be made, or the disk is full.
    pub fn push(&mut self, ex: &mut Exchange, cx: &mut Services, piece: &[u8]) -> Result<(), Flow> {
        if let Some(file) = &mut self.file {
            return file.append(piece).map_err(|failure| failed(ex, cx, &failure));
        }
        self.memory.extend_from_slice(piece);
        if self.memory.len() as u64 > self.limit { self.spill(ex, cx) } else { Ok(()) }
    }

    /// All of it was there.
    pub fn end(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
        if self.file_only != InFileOnly::Off && self.file.is_none() { self.spill(ex, cx) } else { Ok(()) }
    }

    /// Moves what is in memory to a file.
    fn spill(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
        let temp = ex.here().settings.body.temp.clone();
        let (keep, level) = match self.file_only {
            InFileOnly::Off => (Keep::Unnamed, Level::Warn),
            InFileOnly::Clean => (Keep::Named, Level::Notice),
            InFileOnly::On => (Keep::Forever, Level::Notice),
        };
        let mut file = TempFile::create(&temp, keep).map_err(|failure| failed(ex, cx, &failure))?;
        let shown = Printable(file.path());
        ex.report(cx, level, format_args!("a client request body is buffered to a temporary file {shown}"));
        file.append(&self.memory).map_err(|failure| failed(ex, cx, &failure))?;
        self.memory = Vec::new();
        self.file = Some(file);
        Ok(())
    }

    /// Bytes of it so far.
    pub fn len(&self) -> u64 {
        self.memory.len() as u64 + self.file.as_ref().map_or(0, TempFile::len)
    }

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

fn failed(ex: &mut Exchange, cx: &mut Services, failure: &Failure) -> Flow {
    let Failure { call, path, errno } = failure;
    ex.report(cx, Level::Crit, format_args!("{call} \"{}\" failed {errno}", Printable(path)));
    Flow::Status(match *errno {
        Errno::ENOSPC | Errno::EDQUOT => Status::INSUFFICIENT_STORAGE,
        _ => Status::INTERNAL_SERVER_ERROR,
    })
}

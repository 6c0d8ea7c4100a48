//! POST and PUT: files to disk.

use crate::exchange::Exchange;
use crate::exchange::phases::Flow;
use crate::http::status::Status;
use crate::shared::Cx;
use std::os::fd::BorrowedFd;

pub struct Upload {}

pub fn start(_ex: &mut Exchange, _cx: &mut Cx) -> Flow {
    Flow::Status(Status::NOT_IMPLEMENTED)
}

/// The file could not be written.
pub fn failed(_ex: &mut Exchange, _cx: &mut Cx, _e: crate::sys::Errno) -> Flow {
    Flow::Status(Status::INTERNAL_SERVER_ERROR)
}

impl Upload {
    pub fn accept(&mut self, _ex: &mut Exchange, _cx: &mut Cx, _data: &[u8]) -> Result<(), Flow> {
        Ok(())
    }

    pub fn finish(self: Box<Self>, _ex: &mut Exchange, _cx: &mut Cx) -> Flow {
        Flow::Status(Status::NOT_IMPLEMENTED)
    }

    /// The file that raw body bytes may be spliced into: nothing in between looks at them.
    pub fn splice_target(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// `n` bytes went from the socket to the file.
    pub fn spliced(&mut self, _n: u64) -> Result<(), Flow> {
        Ok(())
    }
}

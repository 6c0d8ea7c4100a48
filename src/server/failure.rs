//! Why the process could not start or change.

use super::listeners::BindError;
use crate::sys::Errno;
use crate::sys::socket::Addr;
use std::path::{Path, PathBuf};

/// Why the process could not start.
#[derive(Debug)]
pub struct Failure {
    /// One sentence.
    pub why: String,
    /// What in the configuration names what could not be had.
    pub cause: Option<Cause>,
}

/// What could not be had, where a directive names it.
#[derive(Debug)]
pub enum Cause {
    Listen(Addr, Errno),
    /// A file to write to: a log, the pid file, a directory of temporary files.
    Open(PathBuf, Errno),
}

impl Failure {
    pub fn of(why: impl Into<String>) -> Failure {
        Failure { why: why.into(), cause: None }
    }

    /// A file could not be opened for writing.
    pub fn open(path: &Path, e: Errno) -> Failure {
        let why = format!("open() \"{}\" failed {e}", path.display());
        Failure { why, cause: Some(Cause::Open(path.to_owned(), e)) }
    }

    pub fn bind(error: BindError) -> Failure {
        Failure { why: error.to_string(), cause: Some(Cause::Listen(error.addr, error.errno)) }
    }
}

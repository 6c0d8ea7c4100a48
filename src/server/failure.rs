//! Why the process could not start or change.

use super::listeners::BindError;
use crate::config::model::Config;
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

impl Cause {
    /// As a line for another process. None: the path holds a line end.
    pub fn line(&self) -> Option<String> {
        let line = match self {
            Cause::Listen(addr, e) => format!("listen {} {addr}", e.0),
            Cause::Open(path, e) => format!("open {} {}", e.0, path.to_str()?),
        };
        (!line.contains('\n')).then_some(line)
    }

    /// The cause that a line tells, of a configuration. None: it is no such line, or the configuration is another one by now.
    pub fn from_line(line: &str, config: &Config) -> Option<Cause> {
        let mut words = line.splitn(3, ' ');
        let (kind, errno, what) = (words.next()?, Errno(words.next()?.parse().ok()?), words.next()?);
        match kind {
            "open" => Some(Cause::Open(PathBuf::from(what), errno)),
            "listen" => {
                let socket = config.sockets.iter().find(|socket| socket.addr.to_string() == what)?;
                Some(Cause::Listen(socket.addr.clone(), errno))
            }
            _ => None,
        }
    }
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

//! Why the process could not start or reload.

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
    /// What was unavailable, to find the directive that names it.
    pub cause: Option<Cause>,
}

/// Something unavailable that a directive names.
#[derive(Debug)]
pub enum Cause {
    /// An address that cannot be listened on.
    Listen(Addr, Errno),
    /// A file to write: a log, the pid file, a temporary directory.
    Open(PathBuf, Errno),
}

impl Cause {
    /// Serialises it as a line for another process. None: the path contains a line end.
    pub fn line(&self) -> Option<String> {
        let line = match self {
            Cause::Listen(addr, e) => format!("listen {} {addr}", e.0),
            Cause::Open(path, e) => format!("open {} {}", e.0, path.to_str()?),
        };
        (!line.contains('\n')).then_some(line)
    }

    /// Parses such a line. None: it is not one, or the configuration has changed since.
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
    /// Without a directive to point at.
    pub fn of(why: impl Into<String>) -> Failure {
        Failure { why: why.into(), cause: None }
    }

    /// The failure of opening a file for writing.
    pub fn open(path: &Path, e: Errno) -> Failure {
        let why = format!("open() \"{}\" failed {e}", path.display());
        Failure { why, cause: Some(Cause::Open(path.to_owned(), e)) }
    }

    /// A socket that could not be opened.
    pub fn bind(error: BindError) -> Failure {
        Failure { why: error.to_string(), cause: Some(Cause::Listen(error.addr, error.errno)) }
    }
}

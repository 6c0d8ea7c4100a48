//! limit_req and limit_conn.

use super::list::List;
use super::logs::Level;
use crate::config::ast::Word;
use crate::config::template::Template;
use crate::config::value::Size;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub struct LimitSettings {
    pub requests: List<RequestLimit>,
    pub request_status: u16,
    pub request_level: Level,
    pub request_dry_run: bool,
    pub connections: List<ConnectionLimit>,
    pub connection_status: u16,
    pub connection_level: Level,
    pub connection_dry_run: bool,
}

impl Default for LimitSettings {
    fn default() -> LimitSettings {
        LimitSettings {
            requests: List::default(),
            request_status: 503,
            request_level: Level::Error,
            request_dry_run: false,
            connections: List::default(),
            connection_status: 503,
            connection_level: Level::Error,
            connection_dry_run: false,
        }
    }
}

impl LimitSettings {
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.connections.is_empty()
    }
}

/// One `limit_req`, in thousandths of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLimit {
    /// Index into `Tables::zones`.
    pub zone: u32,
    pub burst: u64,
    /// Excess up to this is not delayed.
    pub delay: u64,
}

/// One `limit_conn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    pub zone: u32,
    pub most: u32,
}

/// What a zone counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Requests per second, in thousandths.
    Requests {
        rate: u64,
    },
    Connections,
    /// Locks of WebDAV.
    Locks {
        /// Seconds for which a lock is granted.
        timeout: u64,
    },
}

/// A named table of keys, shared by the limits that refer to it.
#[derive(Debug)]
pub struct Zone {
    pub name: Rc<str>,
    pub size: Size,
    /// None: used, but not defined (yet).
    pub defined: Option<(Template, Counts)>,
    /// Its first use.
    pub word: Word,
}

impl Zone {
    /// Thousandths of a request per second, if it counts requests.
    pub fn rate(&self) -> Option<u64> {
        match self.defined {
            Some((_, Counts::Requests { rate })) => Some(rate),
            _ => None,
        }
    }
}

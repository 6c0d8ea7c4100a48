//! limit_req and limit_conn.

use super::list::List;
use super::logs::Level;
use crate::config::ast::Word;
use crate::config::template::Template;
use crate::config::value::Size;
use std::rc::Rc;

/// limit_req, limit_conn and how they refuse.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// limit_req lines.
    pub requests: List<RequestLimit>,
    /// limit_req_status.
    pub request_status: u16,
    /// The level of a refusal in the error log; a delay is logged one level lower (nginx).
    pub request_level: Level,
    /// limit_req_dry_run.
    pub request_dry_run: bool,
    /// limit_conn lines.
    pub connections: List<ConnectionLimit>,
    /// limit_conn_status.
    pub connection_status: u16,
    /// The level of a refusal in the error log.
    pub connection_level: Level,
    /// limit_conn_dry_run.
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
    /// Nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.connections.is_empty()
    }
}

/// One `limit_req`, in thousandths of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLimit {
    /// Index into `Tables::zones`.
    pub zone: u32,
    /// Excess beyond this is refused.
    pub burst: u64,
    /// Excess up to this is not delayed.
    pub delay: u64,
}

/// One `limit_conn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// Index into `Tables::zones`.
    pub zone: u32,
    /// Requests of a key at once.
    pub most: u32,
}

/// What a zone counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Requests per second, in thousandths.
    Requests { rate: u64 },
    /// Requests under way.
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
    /// Its name in the configuration.
    pub name: Rc<str>,
    /// What identifies its counters across reloads: the name, and the key of limit_req and limit_conn. Values of
    /// another key are counted from the beginning.
    pub counters: Rc<str>,
    /// The key as written in the configuration.
    pub key: Box<str>,
    /// Bytes of memory at most.
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

//! What a child is started for, and what is known of one that does not serve yet.

use crate::config::model::Config;
use crate::server::worker::Worker;
use crate::services::logs::Logs;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::rc::Rc;

pub struct Starting {
    pub pid: i32,
    pub channel: OwnedFd,
    /// Monotonic milliseconds.
    pub until: u64,
    pub purpose: Purpose,
    /// The end of the channel by which the child before it leaves it what it counts.
    pub successor: Option<OwnedFd>,
    /// USR1 came since it was forked.
    pub has_old_logs: bool,
}

/// Why a child is started.
pub enum Purpose {
    First,
    /// One has ended that was not asked to.
    Restart,
    Reload(Box<Before>),
}

/// What a reload goes back to.
pub struct Before {
    pub config: Rc<Config>,
    pub logs: Logs,
    pub worker: Worker,
    pub journal: Option<(OwnedFd, CString)>,
}

//! Why a child is started, and the state of a starting child.

use crate::config::model::Config;
use crate::server::serving_user::ServingUser;
use crate::services::logs::Logs;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// A serving process that has not reported yet that it is ready.
pub struct Starting {
    pub pid: i32,
    pub channel: OwnedFd,
    /// The deadline (monotonic milliseconds).
    pub until: u64,
    pub purpose: Purpose,
    /// Our end of the channel for its predecessor's state.
    pub successor: Option<OwnedFd>,
    /// Whether USR1 arrived since it was forked.
    pub has_old_logs: bool,
}

/// Why a child is started.
pub enum Purpose {
    First,
    /// A child exited unexpectedly.
    Restart,
    Reload(Box<Previous>),
}

/// What to restore if a reload fails.
pub struct Previous {
    pub config: Rc<Config>,
    pub logs: Logs,
    pub worker: ServingUser,
    pub journal: Option<(OwnedFd, CString)>,
}

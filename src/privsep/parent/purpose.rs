//! Why a child is started, and the state of one that does not serve yet.

use crate::config::model::Config;
use crate::server::serving_user::ServingUser;
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
    /// Our end of the channel by which its predecessor sends it its state.
    pub successor: Option<OwnedFd>,
    /// USR1 came since it was forked.
    pub has_old_logs: bool,
}

/// Why a child is started.
pub enum Purpose {
    First,
    /// A child has ended unasked.
    Restart,
    Reload(Box<Before>),
}

/// What a reload that fails restores.
pub struct Before {
    pub config: Rc<Config>,
    pub logs: Logs,
    pub worker: ServingUser,
    pub journal: Option<(OwnedFd, CString)>,
}

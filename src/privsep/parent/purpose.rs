//! Why a child is started, and the state of a starting child.

use crate::config::model::Config;
use crate::server::pid_file::PidFileChange;
use crate::server::serving_user::ServingUser;
use crate::services::logs::Logs;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// A serving process that has not reported yet that it is ready.
pub struct Starting {
    /// The child.
    pub pid: i32,
    /// Our end of its channel.
    pub channel: OwnedFd,
    /// The deadline (monotonic milliseconds).
    pub until: u64,
    /// Why it was started.
    pub purpose: Purpose,
    /// Our end of the channel for its predecessor's state.
    pub successor: Option<OwnedFd>,
    /// Whether USR1 arrived since it was forked.
    pub has_old_logs: bool,
}

/// Why a child is started.
pub enum Purpose {
    /// The server starts.
    First,
    /// A child exited unexpectedly.
    Restart,
    /// HUP: the child that serves is replaced.
    Reload(Box<Previous>),
}

/// What to restore if a reload fails.
pub struct Previous {
    /// The configuration that is served.
    pub config: Rc<Config>,
    /// Its logs.
    pub logs: Logs,
    /// The user it is served as.
    pub worker: ServingUser,
    /// The journal of hidden names, and its path.
    pub journal: Option<(OwnedFd, CString)>,
    /// What the new configuration does to the pid file.
    pub pid_file: PidFileChange,
}

impl Previous {
    /// In the child, which would have its files open as long as it serves: the lock on the pid file is the parent's,
    /// and logs that are deleted would free no space.
    pub fn close(&mut self) {
        self.pid_file = PidFileChange::None;
        self.logs = Logs::default();
        self.journal = None;
    }
}

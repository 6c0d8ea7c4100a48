//! Programs (CGI) whose serving process ended without ending them (it crashed, or was killed): they become children of this
//! process, which ends them. Without that they would run on without a timeout, uncounted by cgi_max_children.

use super::Parent;
use crate::config::model::Level;
use crate::sys::clock;
use crate::sys::process::child;
use crate::sys::process::{SIGKILL, SIGTERM};

/// Milliseconds between TERM and KILL.
const MERCY: u64 = 3_000;

impl Parent {
    pub(super) fn adopt_orphans(&mut self) {
        if let Err(e) = child::adopt_orphans() {
            self.say(Level::Warn, format_args!("prctl(PR_SET_CHILD_SUBREAPER) failed {e}"));
        }
    }

    /// A serving process has ended: the programs that it left are told to end.
    pub(super) fn end_orphans(&mut self) {
        let left = child::group_leaders();
        if !left.is_empty() {
            self.say(Level::Notice, format_args!("{} CGI programs outlived their process: they are ended", left.len()));
            left.into_iter().for_each(|leader| signal(leader, SIGTERM));
        }
        // Even if there are none: one that was just being started may lead its group only later.
        self.orphans_until = Some(clock::monotonic() + MERCY);
    }

    /// Their time is over.
    pub(super) fn kill_orphans(&mut self) {
        self.orphans_until = None;
        child::group_leaders().into_iter().for_each(|leader| signal(leader, SIGKILL));
    }
}

fn signal(leader: i32, number: i32) {
    // Only this process reaps it, so the number is its own.
    let _ = child::signal_group(leader, number);
}

//! Programs (CGI) whose serving process crashed or was killed: they become children of this process, which ends them.
//! Without that they would run on without a timeout, uncounted by cgi_max_children.
//!
//! Invariant: only what a crash left behind is signalled. Children that this process had when it began (of the script that
//! became it) are not, nor is what a serving process left that ended in order: it has ended its programs itself.

use super::Parent;
use crate::config::model::Level;
use crate::sys::clock;
use crate::sys::process::child;
use crate::sys::process::{Exit, SIGKILL, SIGTERM};

/// Milliseconds between TERM and KILL.
const MERCY: u64 = 3_000;

/// The programs that are being ended.
#[derive(Default)]
pub(super) struct Orphans {
    /// Children from before, by pid.
    others: Vec<i32>,
    /// Those that got TERM.
    told: Vec<i32>,
    /// When these are killed, and others that came since are told.
    pub until: Option<u64>,
}

impl Orphans {
    fn found(&self) -> impl Iterator<Item = i32> {
        child::group_leaders().into_iter().filter(|leader| !self.others.contains(leader))
    }
}

impl Parent {
    pub(super) fn adopt_orphans(&mut self) {
        self.orphans.others = child::group_leaders();
        if let Err(e) = child::adopt_orphans() {
            self.say(Level::Warn, format_args!("prctl(PR_SET_CHILD_SUBREAPER) failed {e}"));
        }
    }

    /// A serving process has ended. If it was not in order, the programs that it left are told to end.
    pub(super) fn end_orphans(&mut self, exit: Exit) {
        if exit != Exit::Code(0) {
            self.tell_orphans();
            // Even if there are none: one that was just being started may lead its group only later.
            self.orphans.until = Some(clock::monotonic() + MERCY);
        }
    }

    /// Their time is over.
    pub(super) fn kill_orphans(&mut self) {
        let told = std::mem::take(&mut self.orphans.told);
        self.orphans.found().filter(|leader| told.contains(leader)).for_each(|leader| signal(leader, SIGKILL));
        self.orphans.told = told;
        let more = self.tell_orphans();
        self.orphans.until = more.then(|| clock::monotonic() + MERCY);
        if !more {
            self.orphans.told.clear();
        }
    }

    /// True: there were some that had not been told.
    fn tell_orphans(&mut self) -> bool {
        let new: Vec<i32> = self.orphans.found().filter(|leader| !self.orphans.told.contains(leader)).collect();
        if !new.is_empty() {
            self.say(Level::Notice, format_args!("{} CGI programs outlived their process: they are ended", new.len()));
            new.iter().for_each(|leader| signal(*leader, SIGTERM));
        }
        self.orphans.told.extend(&new);
        !new.is_empty()
    }
}

fn signal(leader: i32, number: i32) {
    // Only this process reaps it, so the number is its own.
    let _ = child::signal_group(leader, number);
}

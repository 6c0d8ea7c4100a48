//! CGI programs that outlived their serving process, because it crashed, was killed, or exited before they had acted on
//! TERM. They become children of this process, which ends them: otherwise they would run without a timeout and not
//! count towards cgi_max_children, and each reload would add more.
//!
//! Invariant: children that this process had before the last serving process began are not signalled: those of the
//! script that became this process by exec, and those left running by programs that exited. What such programs have
//! left since then cannot be distinguished from programs of the exited process, and is ended too, unless it created its
//! own session (setsid), as daemons do.

use crate::sys::process::child;
use crate::sys::process::{Exit, SIGKILL, SIGTERM};
use crate::sys::{Errno, clock};

/// Milliseconds between TERM and KILL.
const GRACE: u64 = 3_000;

/// Programs being ended.
#[derive(Default)]
pub struct Orphans {
    /// Children that are left alone, by pid.
    others: Vec<i32>,
    /// Programs that were sent TERM.
    terminated: Vec<i32>,
    /// When to kill these, and send TERM to those that appeared since.
    pub until: Option<u64>,
}

impl Orphans {
    /// From now on, what serving processes leave behind becomes a child of this process.
    pub fn adopt(&mut self) -> Result<(), Errno> {
        self.others = child::group_leaders();
        child::adopt_orphans()
    }

    /// A serving process is about to begin: the present children are not its own.
    pub fn spare(&mut self) {
        if self.until.is_none() {
            self.others = child::group_leaders();
        }
    }

    /// A serving process has exited. Sends TERM to the programs it left. Returns their number.
    pub fn end(&mut self, exit: Exit) -> usize {
        let left = self.terminate();
        // After a crash even if there are none: one that was just being started may become group leader later.
        if left > 0 || exit != Exit::Code(0) {
            self.until = Some(clock::monotonic() + GRACE);
        }
        left
    }

    /// Whether there are programs to be killed, should they not end before.
    pub fn are_ending(&self) -> bool {
        self.until.is_some() && self.found().next().is_some()
    }

    /// Kills those whose time is over. Returns the number of others that are sent TERM now.
    pub fn kill(&mut self) -> usize {
        self.found().filter(|leader| self.terminated.contains(leader)).for_each(|leader| signal(leader, SIGKILL));
        let more = self.terminate();
        self.until = (more > 0).then(|| clock::monotonic() + GRACE);
        if more == 0 {
            self.terminated.clear();
        }
        more
    }

    fn found(&self) -> impl Iterator<Item = i32> {
        child::group_leaders().into_iter().filter(|leader| !self.others.contains(leader))
    }

    /// Sends TERM to those that were not sent it yet.
    fn terminate(&mut self) -> usize {
        let new: Vec<i32> = self.found().filter(|leader| !self.terminated.contains(leader)).collect();
        new.iter().for_each(|leader| signal(*leader, SIGTERM));
        self.terminated.extend(&new);
        new.len()
    }
}

fn signal(leader: i32, number: i32) {
    // Only this process reaps it, so its number cannot have been reused.
    let _ = child::signal_group(leader, number);
}

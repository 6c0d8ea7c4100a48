//! Programs (CGI) whose serving process crashed or was killed: they become children of this process, which ends them.
//! Without that they would run on without a timeout, uncounted by cgi_max_children.
//!
//! Invariant: what became a child of this process before the last serving process began or ended in order is not signalled:
//! children of the script that became this process, and what programs left running that ended themselves. What they left
//! since cannot be told from the programs of the process that crashed, and ends with them, unless it made itself a session of
//! its own (setsid), as daemons do.

use crate::sys::process::child;
use crate::sys::process::{Exit, SIGKILL, SIGTERM};
use crate::sys::{Errno, clock};

/// Milliseconds between TERM and KILL.
const MERCY: u64 = 3_000;

/// The programs that are being ended.
#[derive(Default)]
pub struct Orphans {
    /// Children that are left alone, by pid.
    others: Vec<i32>,
    /// Those that got TERM.
    told: Vec<i32>,
    /// When these are killed, and TERM is sent to those that came since.
    pub until: Option<u64>,
}

impl Orphans {
    /// From here on what serving processes leave behind becomes a child of this process.
    pub fn adopt(&mut self) -> Result<(), Errno> {
        self.others = child::group_leaders();
        child::adopt_orphans()
    }

    /// A serving process has begun, or ended in order: it has ended its programs itself, and what is left is not of a crash.
    pub fn spare(&mut self) {
        if self.until.is_none() {
            self.others = child::group_leaders();
        }
    }

    /// A serving process has ended. If it was not in order, the programs that it left get TERM. Gives their number.
    pub fn end(&mut self, exit: Exit) -> usize {
        if exit == Exit::Code(0) {
            self.spare();
            return 0;
        }
        // Even if there are none: one that was just being started may lead its group only later.
        self.until = Some(clock::monotonic() + MERCY);
        self.tell()
    }

    /// Their time is over. Gives the number of others that get TERM now.
    pub fn kill(&mut self) -> usize {
        self.found().filter(|leader| self.told.contains(leader)).for_each(|leader| signal(leader, SIGKILL));
        let more = self.tell();
        self.until = (more > 0).then(|| clock::monotonic() + MERCY);
        if more == 0 {
            self.told.clear();
        }
        more
    }

    fn found(&self) -> impl Iterator<Item = i32> {
        child::group_leaders().into_iter().filter(|leader| !self.others.contains(leader))
    }

    /// TERM for those that did not get it.
    fn tell(&mut self) -> usize {
        let new: Vec<i32> = self.found().filter(|leader| !self.told.contains(leader)).collect();
        new.iter().for_each(|leader| signal(*leader, SIGTERM));
        self.told.extend(&new);
        new.len()
    }
}

fn signal(leader: i32, number: i32) {
    // Only this process reaps it, so the number is its own.
    let _ = child::signal_group(leader, number);
}

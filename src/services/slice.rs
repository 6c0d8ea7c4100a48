//! The time for work in a turn of the event loop: compression, charset conversion, generating pages and listings,
//! everything that is long compared with a small request. All such work of a turn shares it; unfinished work continues
//! in the next turn.
//!
//! Work is done in steps of at most about a millisecond, and checks the time between steps. The loop checks before
//! continuing the next waiting work ([`crate::server`]), so a turn's clients wait for one and a half slices and one
//! step, whatever others have requested. Connections that were postponed share a turn's slice equally: if many begin
//! something long at once, none keeps the others waiting for their first response.
//!
//! A step that is one system call cannot be divided; io_uring and threads, which could, are not used. How long each
//! of these calls can take, and what limits it:
//!
//! - unlink, rename over an existing name, the last close of a file, and ftruncate (DELETE, MOVE, an upload that ends,
//!   is replaced or is truncated): the kernel frees the blocks of *one* file, however large (90 MB on ext4: 5 ms of
//!   CPU, plus the disk). Trees are removed entry by entry ([`crate::services::remove_tree`]); the only limit is the
//!   number of the file's extents. `delete_trash` turns this into a rename to a free name.
//! - open, stat, rmdir, mkdir, link, rename: one name; as many inodes and directory blocks from the disk as the path
//!   has components. rmdir scans and frees all blocks that the directory has ever used (ext4 does not free them
//!   earlier: 0.1 s for one that held 200 000 files): the only limit is their number.
//! - inotify_add_watch: all entries of the directory that the kernel has cached; large directories are not watched
//!   ([`crate::services::dir_watch`]).
//! - getdents64: [`crate::sys::file::ReadDir`] reads 32 KiB, some hundred names. File systems that merge directories
//!   (overlayfs) or fetch them (NFS, FUSE) may read the whole directory for the first batch: this cannot be limited
//!   here.
//! - pread and sendfile of data that is not in the page cache wait for the disk: 60 KiB of a file above 1 MiB, for
//!   smaller files what the socket takes, at most 4 MiB at once (conn/request/write.rs); 64 KiB under TLS, and less if
//!   bodies are compressed, recoded or archived; 256 KiB for digests; 1 MiB for COPY.
//! - copy_file_range: 1 MiB for COPY, MOVE and a trash elsewhere, 4 MiB for joining parts of an upload; if they share
//!   extents, or a remote server copies, the kernel may take longer.
//! - write and splice into files: what has arrived of a body (splice: at most 1 MiB). If the machine's limit of dirty
//!   pages is exceeded, the kernel makes the writer wait; uploads start writeback every 8 MiB (sync_file_range, which
//!   waits if the device's queue is full).
//! - fsync: the kernel's workers wait ([`crate::services::syncs`]). Without io_submit (seccomp, say), the loop waits
//!   for each file or directory; also for an unnamed file that cannot be linked, which is then copied in one step.
//! - digests of a file small enough to be read again (up to 4 MiB) are computed in one step, before it gets its name.
//! - a certificate of `ssl_certificate auto` that is made again, once a year, in a process without a parent: two small
//!   files that are written and synced ([`crate::server::local_certificates`]).
//! - clone (CGI): until the program is loaded; exec reads it from the disk.
//! - madvise, after a crowd of connections has closed or a large listing was made: the kernel frees 1 MiB of what they
//!   used ([`crate::sys::process::free_memory`]).
//! - write to a log: a regular file like any other; pipes, sockets and terminals do not block (services/log_file.rs).
//! - any of these on a network file system: until the mount times out. Use `soft` or `intr` mounts, or none.
//!
//! Locks (flock) are not waited for: a request that needs one tries again in another turn
//! ([`crate::exchange::handlers::versions`], [`crate::services::quotas::shared`]). [`crate::server`]'s module `reload`
//! says what a reload cannot divide.

use crate::sys::clock;

/// Nanoseconds of work per turn. A client may have to wait for three turns of one and a half slices, and its process
/// for others on the machine in between.
const LENGTH: u64 = 2_000_000;
/// Minimum share in nanoseconds; with a smaller one, work continues in a later turn.
const LEAST: u64 = 500_000;
/// Number of calls of [`Slice::tick`] per reading of the clock.
const TICKS_PER_READING: u32 = 16;

/// How much of the slice one connection may use.
#[derive(Clone, Copy, Default)]
enum Share {
    #[default]
    All,
    /// Nanoseconds from the beginning of its work, which has not begun yet.
    Unused(u64),
    Until(u64),
}

/// The time that is left in this turn.
#[derive(Default)]
pub struct Slice {
    /// When the slice ends. None: no work was done in this turn.
    ends: Option<u64>,
    share: Share,
    ticks: u32,
    /// Whether the slice was over when the clock was last read.
    over: bool,
    /// Whether the connection's share was over.
    is_used: bool,
    /// Makes tests independent of time: the number of steps until the slice is over.
    #[cfg(test)]
    pub steps: Option<u32>,
}

impl Slice {
    /// Begins a turn. Costs nothing if no work is done in it.
    pub fn begin(&mut self) {
        (self.ends, self.ticks, self.over) = (None, 0, false);
        self.share_all();
    }

    /// Whether work must wait for the next turn, because the slice or the connection's share is over. The first call in
    /// a turn starts the slice.
    pub fn is_over(&mut self) -> bool {
        #[cfg(test)]
        if let Some(steps) = self.steps {
            self.steps = Some(steps.saturating_sub(1));
            return steps == 0;
        }
        self.is_over_at(clock::monotonic_ns())
    }

    /// As [`Slice::is_over`], for steps of a few microseconds: reads the clock once in a while.
    pub fn is_over_now_and_then(&mut self) -> bool {
        #[cfg(test)]
        if self.steps.is_some() {
            return self.is_over();
        }
        self.ticks += 1;
        self.has_ended() || (self.ends.is_none() || self.ticks.is_multiple_of(TICKS_PER_READING)) && self.is_over()
    }

    /// Whether the slice is over for all connections.
    pub fn is_turn_over(&mut self) -> bool {
        self.is_turn_over_at(clock::monotonic_ns())
    }

    /// The connection driven next is one of `of` that were postponed: it gets an equal share of the slice.
    pub fn share(&mut self, of: usize) {
        let share = LENGTH / of.max(1) as u64;
        self.set_share(Share::Unused(if share < LEAST { 0 } else { share }));
    }

    /// The connection driven next is one of `of` that continue in the half slice reserved for them: it gets an equal
    /// share of that, and time for at least one step.
    pub fn share_half(&mut self, of: usize) {
        self.set_share(Share::Unused((LENGTH / 2 / of.max(1) as u64).max(LEAST)));
    }

    /// The connections driven next may use all that is left.
    pub fn share_all(&mut self) {
        self.set_share(Share::All);
    }

    fn set_share(&mut self, share: Share) {
        (self.share, self.is_used) = (share, false);
    }

    /// Reserves half a slice for work from earlier turns, however long this turn's events took. When only one piece of
    /// it ran per turn, work left over during a stream of short uploads waited for fifty turns.
    pub fn leave_half(&mut self) {
        self.leave_half_at(clock::monotonic_ns());
    }

    /// Excludes this time (nanoseconds) from the slice, for work with limits of its own.
    pub fn extend(&mut self, ns: u64) {
        self.ends = self.ends.map(|ends| ends.saturating_add(ns));
    }

    /// As [`Slice::is_turn_over`], for steps of a few microseconds: reads the clock only now and then.
    pub fn tick(&mut self) -> bool {
        self.ticks += 1;
        self.ticks.is_multiple_of(TICKS_PER_READING) && self.is_turn_over()
    }

    /// Makes the next tick read the clock, since the last step may have been long.
    pub fn look(&mut self) {
        self.ticks |= TICKS_PER_READING - 1;
    }

    /// Whether an event of this turn must wait for the next one. Costs nothing once the slice is over.
    pub fn is_late(&mut self) -> bool {
        self.over || self.tick()
    }

    /// As [`Slice::is_late`], for the next of many requests of one connection. While using a share, reads the clock
    /// each time; otherwise a hundred connections with a hundred requests each would use a whole slice one by one.
    pub fn is_share_late(&mut self) -> bool {
        match self.share {
            Share::All => self.is_late(),
            Share::Unused(_) | Share::Until(_) => self.has_ended() || self.is_over(),
        }
    }

    /// Whether the slice, or the connection's share, was over when the clock was last read.
    pub fn has_ended(&self) -> bool {
        self.over || self.is_used
    }

    /// A slice that is over.
    #[cfg(test)]
    pub fn over() -> Slice {
        Slice { ends: Some(0), ..Slice::default() }
    }

    fn leave_half_at(&mut self, now: u64) {
        self.ends = self.ends.map(|ends| ends.max(now + LENGTH / 2));
        self.over = false;
    }

    fn is_turn_over_at(&mut self, now: u64) -> bool {
        self.over = now >= *self.ends.get_or_insert(now + LENGTH);
        self.over
    }

    fn is_over_at(&mut self, now: u64) -> bool {
        if let Share::Unused(share) = self.share {
            self.share = Share::Until(now + share);
        }
        self.is_used = matches!(self.share, Share::Until(until) if now >= until);
        self.is_turn_over_at(now) || self.is_used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_begins_with_the_first_work_of_a_turn_and_is_shared() {
        let mut slice = Slice::default();
        let table = [(5, false), (5 + LENGTH - 1, false), (5 + LENGTH, true), (6 + LENGTH, true)];
        for (now, over) in table {
            assert_eq!(slice.is_over_at(now), over, "{now}");
        }
        slice.begin();
        assert!(!slice.is_over_at(7 + LENGTH), "a turn has its own");
    }

    #[test]
    fn half_a_slice_is_left_for_those_that_wait() {
        let mut slice = Slice::default();
        assert!(!slice.is_over_at(0));
        assert!(slice.is_over_at(2 * LENGTH));
        slice.leave_half_at(2 * LENGTH);
        assert!(!slice.is_over_at(2 * LENGTH + LENGTH / 2 - 1));
        assert!(slice.is_over_at(2 * LENGTH + LENGTH / 2));
        slice.begin();
        assert!(!slice.is_over_at(0));
        slice.leave_half_at(1);
        assert!(!slice.is_over_at(LENGTH - 1), "what is left of the first stays");
    }

    #[test]
    fn late_connections_share_a_slice_and_those_that_continue_half_a_slice() {
        let mut slice = Slice::default();
        slice.share(4);
        assert!(!slice.is_over_at(0) && !slice.is_over_at(LENGTH / 4 - 1));
        assert!(slice.is_over_at(LENGTH / 4) && !slice.is_turn_over_at(LENGTH / 4), "others go on");
        slice.share(4);
        let began = LENGTH / 4 + 5;
        assert!(!slice.is_over_at(began), "a share counts from its first work on");
        assert!(!slice.is_over_at(began + LENGTH / 4 - 1) && slice.is_over_at(began + LENGTH / 4));
        slice.share((LENGTH / LEAST) as usize + 1);
        assert!(slice.is_over_at(LENGTH - 1), "too short a share is none");
        slice.share_all();
        assert!(!slice.is_over_at(LENGTH - 1) && slice.is_over_at(LENGTH));
        slice.leave_half_at(LENGTH);
        slice.share_half(1000);
        assert!(!slice.is_over_at(LENGTH) && slice.is_over_at(LENGTH + LEAST), "enough for a step");
        slice.begin();
        assert!(!slice.is_over_at(LENGTH + LEAST), "the next turn begins without shares");
    }

    #[test]
    fn requests_of_one_connection_use_no_more_than_its_share() {
        let mut slice = Slice { ends: Some(u64::MAX), ..Slice::default() };
        assert!(!slice.is_share_late() && !slice.has_ended(), "it may use all that is left");
        slice.share(1000);
        assert!(slice.is_share_late() && slice.has_ended(), "a share of nothing");
        slice.share_half(1000);
        assert!(!slice.has_ended(), "another connection's turn");
        slice.share_all();
        assert!(!slice.has_ended());
        slice.share(1);
        assert!(!slice.is_share_late(), "all is left");
        slice.share = Share::Until(0);
        assert!(slice.is_share_late() && slice.has_ended() && !slice.is_turn_over());
        slice.begin();
        assert!(!slice.has_ended());
    }

    #[test]
    fn what_has_bounds_of_its_own_takes_nothing_from_the_slice() {
        let mut slice = Slice::default();
        slice.extend(LENGTH);
        assert!(!slice.is_over_at(0));
        slice.extend(LENGTH);
        assert!(!slice.is_over_at(2 * LENGTH - 1));
        assert!(slice.is_over_at(2 * LENGTH));
    }

    #[test]
    fn events_are_late_from_the_look_at_the_clock_that_found_the_slice_over() {
        let mut slice = Slice::default();
        assert!(!slice.is_over_at(0));
        assert!(!slice.is_late());
        assert!(slice.is_over_at(LENGTH));
        assert!(slice.is_late());
        slice.leave_half_at(LENGTH);
        assert!(!slice.is_over_at(LENGTH) && !slice.is_late(), "half a slice was left");
        assert!(slice.is_over_at(2 * LENGTH) && slice.is_late());
        slice.begin();
        assert!(!slice.is_late());
    }

    #[test]
    fn short_steps_end_with_the_slice_or_the_share() {
        let mut slice = Slice { ends: Some(u64::MAX), ..Slice::default() };
        assert!((0..2 * TICKS_PER_READING).all(|_| !slice.is_over_now_and_then()));
        slice.over = true;
        assert!((0..2 * TICKS_PER_READING).all(|_| slice.is_over_now_and_then()), "each of them");
        slice.begin();
        (slice.ends, slice.share) = (Some(u64::MAX), Share::Until(0));
        assert!(slice.is_over());
        assert!((0..2 * TICKS_PER_READING).all(|_| slice.is_over_now_and_then()), "each of them");
    }

    #[test]
    fn what_may_have_taken_long_is_seen_by_the_next_tick() {
        for before in 0..2 * TICKS_PER_READING {
            let mut slice = Slice::default();
            slice.is_over();
            for _ in 0..before {
                slice.tick();
            }
            slice.ends = Some(0);
            slice.look();
            assert!(slice.tick(), "after {before} ticks");
            (slice.ends, slice.over) = (Some(0), false);
            slice.look();
            assert!(slice.is_over_now_and_then(), "after {before} ticks");
        }
    }
}

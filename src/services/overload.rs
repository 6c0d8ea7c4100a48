//! How much of worker_memory_limit is used, and the consequences for new work. Before the kernel kills the process with
//! all requests, the least important things are given up: idle connections, caches, then new requests. Requests in
//! progress are completed, but of those that take more memory with each slice (listings, searches) one goes on at a
//! time, and the others end at the limit ([`Overload::may_grow`]).
//!
//! What work under way has been given counts as used, although the kernel adds pages only once they are written to
//! ([`Overload::pledges`]): encoders of a burst of requests would otherwise fill later what none of the checks saw.
//!
//! Invariant: a check costs one read of a small file (statm), every [`CHECK_INTERVAL`] milliseconds and after each
//! [`GROWTH_SHARE`] of the limit that new work may use ([`Overload::grow`]: a turn may begin thousands of requests);
//! without the directive nothing is read. A stage ends slightly below its threshold, to avoid flapping.

use crate::sys::{file, process};
use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::{Rc, Weak};

/// Milliseconds between two checks.
const CHECK_INTERVAL: u64 = 10;
/// Milliseconds between two returns of freed memory to the kernel, which takes time proportional to it.
const TRIM: u64 = 1000;
/// The limit divided by this may be used by new work between two checks. For 48 MiB it is 384 KiB, some forty new
/// HTTP/2 streams.
const GROWTH_SHARE: u64 = 128;
/// Percentage points below its threshold at which a stage ends.
const HYSTERESIS: u64 = 3;

/// Maximum bytes of a response that are queued for its client from the first stage on. Otherwise each client that reads
/// nothing would hold all that its handler may queue.
pub const SCARCE_OUTPUT: u64 = 4 << 10;
/// Bytes of input from which a response is made at once, and from the first stage on: each response that has begun
/// may then still make one piece.
const PIECE: usize = 64 << 10;
const SCARCE_PIECE: usize = 4 << 10;

/// Bytes that were given to work under way and that it has not written to yet.
pub type Pledges = Rc<Cell<u64>>;

/// What is given up when memory is scarce; each stage includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum MemoryStage {
    /// Nothing is given up.
    #[default]
    Normal,
    /// From 90 %: idle connections are closed, connections end after the current response, caches are cleared.
    Tight,
    /// From 95 %: new requests get 503.
    Full,
    /// At the limit: connections are not accepted either.
    Over,
}

/// Whether work in progress may use more memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// It goes on.
    Goes,
    /// Other work goes on first.
    Waits,
    /// It is aborted, since its memory is needed.
    Ends,
}

/// Thresholds in percent of the limit.
const STAGES: [(MemoryStage, u64); 3] = [(MemoryStage::Over, 100), (MemoryStage::Full, 95), (MemoryStage::Tight, 90)];

/// Memory use of the process relative to its limit.
#[derive(Default)]
pub struct Overload {
    /// Bytes; 0: no limit.
    limit: u64,
    statm: Option<OwnedFd>,
    checked_at: u64,
    trimmed: u64,
    used: u64,
    pledged: Pledges,
    /// Bytes that work begun since the last check may use.
    grown: u64,
    stage: MemoryStage,
    /// The stage last returned by [`Overload::check`].
    seen: MemoryStage,
    /// The work in progress that continues although memory is scarce.
    alone: Weak<()>,
}

impl Overload {
    /// worker_memory_limit, bytes; 0: none.
    pub fn set_limit(&mut self, limit: u64) {
        if self.limit != limit {
            *self = Overload { limit, pledged: self.pledged.clone(), ..Overload::default() };
        }
    }

    /// Whether connections must not be kept alive, and caches not filled.
    pub fn is_tight(&self) -> bool {
        self.stage >= MemoryStage::Tight
    }

    /// For what hands out memory that is written to later: its bytes count as used.
    pub fn pledges(&self) -> Pledges {
        self.pledged.clone()
    }

    /// Bytes of input from which a response may be made before its client has to take what is there.
    pub fn piece(&self) -> usize {
        if self.is_tight() { SCARCE_PIECE } else { PIECE }
    }

    /// Whether new requests are refused.
    pub fn refuses(&self) -> bool {
        self.stage >= MemoryStage::Full
    }

    /// Called by work in progress before each slice in which it may use more memory. `mark` belongs to the work, and
    /// ends with it.
    pub fn may_grow(&mut self, mark: &Rc<()>) -> Growth {
        if !self.is_tight() {
            return Growth::Goes;
        }
        if self.alone.strong_count() == 0 {
            self.alone = Rc::downgrade(mark);
        }
        match self.goes_alone(mark) {
            true => Growth::Goes,
            false if self.stage == MemoryStage::Over => Growth::Ends,
            false => Growth::Waits,
        }
    }

    /// The work waits for something other than memory: another one may continue.
    pub fn wait_with(&mut self, mark: &Rc<()>) {
        if self.goes_alone(mark) {
            self.alone = Weak::new();
        }
    }

    fn goes_alone(&self, mark: &Rc<()>) -> bool {
        std::ptr::eq(self.alone.as_ptr(), Rc::as_ptr(mark))
    }

    /// As if that were measured.
    #[cfg(test)]
    pub fn set_stage(&mut self, stage: MemoryStage) {
        self.stage = stage;
    }

    /// As of the last check.
    pub fn stage(&self) -> MemoryStage {
        self.stage
    }

    /// Memory in use, in percent of the limit.
    pub fn percent(&self) -> u64 {
        self.used.saturating_mul(100) / self.limit.max(1)
    }

    /// When to check again (monotonic milliseconds); None if all is normal.
    pub fn next_due(&self) -> Option<u64> {
        self.is_tight().then(|| self.checked_at + CHECK_INTERVAL)
    }

    /// Checks if it is time. Returns the stage if it has changed.
    pub fn check(&mut self, now: u64) -> Option<MemoryStage> {
        if self.limit == 0 {
            return None;
        }
        if now >= self.checked_at + CHECK_INTERVAL {
            self.checked_at = now;
            self.measure();
        }
        (std::mem::replace(&mut self.seen, self.stage) != self.stage).then_some(self.stage)
    }

    /// Accounts for memory of new work: once enough has accumulated, the next check is due at once.
    pub fn grow(&mut self, bytes: usize) {
        if self.limit == 0 {
            return;
        }
        self.grown += bytes as u64;
        if self.grown >= self.limit / GROWTH_SHARE {
            self.measure();
        }
    }

    fn measure(&mut self) {
        self.grown = 0;
        if let Some(used) = self.read() {
            self.used = used + self.pledged.get();
            self.stage = next(self.stage, self.percent());
        }
    }

    /// Whether to return freed memory to the kernel now.
    pub fn is_trim_due(&mut self, now: u64) -> bool {
        let is_due = self.is_tight() && now >= self.trimmed + TRIM;
        if is_due {
            self.trimmed = now;
        }
        is_due
    }

    /// The process's own memory: resident, without pages shared with files.
    fn read(&mut self) -> Option<u64> {
        if self.statm.is_none() {
            self.statm = file::open_at(None, c"/proc/self/statm", file::O_RDONLY, 0).ok();
        }
        let mut text = Vec::with_capacity(128);
        file::pread_into(self.statm.as_ref()?.as_fd(), &mut text, 128, 0).ok()?;
        let mut pages = text.split(|b| *b == b' ').map(|word| std::str::from_utf8(word).ok()?.parse::<u64>().ok());
        let (resident, shared) = (pages.nth(1)??, pages.next()??);
        Some(resident.saturating_sub(shared).saturating_mul(process::page_size()))
    }
}

fn next(stage: MemoryStage, percent: u64) -> MemoryStage {
    let begins = |(name, from): &(MemoryStage, u64)| percent >= if *name <= stage { from - HYSTERESIS } else { *from };
    STAGES.iter().find(|entry| begins(entry)).map_or(MemoryStage::Normal, |(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_begin_at_their_share_and_end_a_little_below() {
        use MemoryStage::*;
        for (stage, percent, expected) in [
            (Normal, 0, Normal),
            (Normal, 89, Normal),
            (Normal, 90, Tight),
            (Tight, 94, Tight),
            (Tight, 87, Tight),
            (Tight, 86, Normal),
            (Normal, 95, Full),
            (Full, 92, Full),
            (Full, 91, Tight),
            (Full, 80, Normal),
            (Full, 100, Over),
            (Over, 97, Over),
            (Over, 96, Full),
            (Over, 1000, Over),
        ] {
            assert_eq!(next(stage, percent), expected, "{stage:?} at {percent} %");
        }
    }

    #[test]
    fn work_under_way_goes_on_one_at_a_time_while_memory_is_scarce() {
        use Growth::*;
        let (mut overload, works) = (Overload::default(), [(); 3].map(Rc::new));
        let ask = |overload: &mut Overload, stage: MemoryStage, works: &[Rc<()>]| -> Vec<Growth> {
            overload.stage = stage;
            works.iter().map(|work| overload.may_grow(work)).collect()
        };
        assert_eq!(ask(&mut overload, MemoryStage::Normal, &works), [Goes, Goes, Goes]);
        assert_eq!(ask(&mut overload, MemoryStage::Tight, &works), [Goes, Waits, Waits]);
        assert_eq!(ask(&mut overload, MemoryStage::Full, &works[1..]), [Waits, Waits], "the one that began goes on");
        overload.wait_with(&works[1]);
        assert_eq!(ask(&mut overload, MemoryStage::Over, &works), [Goes, Ends, Ends]);
        overload.wait_with(&works[0]);
        assert_eq!(ask(&mut overload, MemoryStage::Tight, &works[1..]), [Goes, Waits], "it waits for something else");
        let [first, second, third] = works;
        assert_eq!(ask(&mut overload, MemoryStage::Over, &[first, third.clone()]), [Ends, Ends]);
        drop(second);
        assert_eq!(ask(&mut overload, MemoryStage::Over, &[third]), [Goes]);
    }

    #[test]
    fn what_is_used_is_seen() {
        let mut overload = Overload::default();
        overload.set_limit(1 << 40);
        assert_eq!((overload.check(CHECK_INTERVAL), overload.stage()), (None, MemoryStage::Normal));
        let before = overload.used;
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert_eq!(overload.check(CHECK_INTERVAL + 1), None);
        assert_eq!(overload.used, before, "not looked at again so soon");
        overload.check(2 * CHECK_INTERVAL);
        assert!(overload.used >= before + (60 << 20), "{before} {}", overload.used);
        drop(held);
        overload.grow(1 << 20);
        assert!(overload.used >= before + (60 << 20), "little was begun since");
        overload.set_limit(1 << 20);
        overload.grow(1 << 12);
        assert_eq!((overload.stage(), overload.used), (MemoryStage::Normal, 0));
        overload.grow(1 << 12);
        assert_eq!(overload.stage(), MemoryStage::Over, "what was begun together is looked at before its turn ends");
        assert_eq!(overload.check(CHECK_INTERVAL), Some(MemoryStage::Over));
        assert!(overload.refuses() && overload.is_tight());
        assert_eq!(overload.next_due(), Some(2 * CHECK_INTERVAL));
    }
}

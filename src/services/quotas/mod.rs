//! The usage of upload areas, for upload_quota: counted when first needed, then updated with what this process stores.
//!
//! - [`Quotas::area`] is the count of a directory and everything below it; all locations that store there share it,
//!   and a reload keeps it.
//! - [`Claim`] is the share of an unfinished upload. It is reserved before the bytes arrive ([`Claim::resize`]; more
//!   as they arrive if their number was not announced), and released when it is dropped. Parts of resumable uploads
//!   are counted by [`crate::services::resumable`]; hidden names ([`crate::services::temp_names::is_hidden`]) are not
//!   counted as files.
//! - [`Quotas::stored`] reports new files; [`Quotas::files_removed`] and [`Quotas::files_added`] report that files were
//!   removed, or were added in another way: then the area is counted again.
//!
//! Files written by others are noticed by counting again: at each admission if that is cheap, otherwise often enough to
//! take 5 % of the time, in slices; and before an upload is refused. However many uploads wait for a count, it makes at
//! most two steps a turn, and begins none once the turn's slice is over, except after [`MAX_TURNS_WITHOUT`] turns
//! without a step.
//!
//! Invariant: usage plus claims never exceed the quota under which a claim was granted.

pub mod shared;
mod shared_state;
mod usage;
mod walk;

use crate::config::settings::upload::Quota;
use crate::services::clock::Clock;
use crate::services::slice::Slice;
use crate::sys::Errno;
use crate::sys::file;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
pub use usage::Usage;
use walk::Walk;

/// Names examined per turn: a millisecond or two.
const SLICE: u64 = 1000;
/// Maximum number of steps of a count per turn, however many uploads wait for it: a response to be stored needs one at
/// its head and one at its end, which often arrive in one turn.
const STEPS: u32 = 2;
/// Number of turns after which a step is made even though other work has used up the turn's slice: uploads wait for the
/// count.
const MAX_TURNS_WITHOUT: u64 = 16;
/// Milliseconds between two counts per hundred names: 20 times their cost.
const PAUSE: u64 = 3;
/// Number of directories that are allowed in any area, however small its quota.
const DIRECTORIES: u64 = 64;
/// What a directory takes on most file systems.
const DIRECTORY: u64 = 4096;
/// Maximum number of areas kept without claims: a store may have one per user.
const AREAS: usize = 4096;

/// The areas that were asked for; a reload keeps them.
#[derive(Default)]
pub struct Quotas {
    /// By real path.
    areas: HashMap<Box<[u8]>, Rc<Area>>,
}

/// A directory and everything below it.
pub struct Area {
    path: Box<[u8]>,
    used: Cell<Usage>,
    claimed: Cell<Usage>,
    /// Files that an upload in progress will replace, by device and inode: their space is reserved for that upload.
    replaced: RefCell<HashSet<(u64, u64)>>,
    /// Whether its locks were examined.
    locks_seen: Cell<bool>,
    /// The claims last reported to other processes.
    published: Cell<Usage>,
    walk: RefCell<Option<Walk>>,
    accuracy: Cell<Accuracy>,
    /// The turn of the last step of a count, and how many it made: uploads that wait for one count share its steps.
    stepped: Cell<Option<(u64, u32)>>,
    /// Number of completed counts.
    counts: Cell<u64>,
    /// Number of names at the last count; when it was completed (monotonic milliseconds), and in which epoch.
    entries: Cell<u64>,
    ended: Cell<(u64, u64)>,
    /// State for a quota shared with other processes.
    shared: RefCell<shared_state::Shared>,
}

/// How the number relates to the actual usage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Accuracy {
    /// It may be too low, or nothing was counted yet.
    Unknown,
    /// It may be too high.
    UpperBound,
    Exact,
}

/// Why a claim is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full {
    /// What is stored.
    pub used: Usage,
    /// Claims of other unfinished uploads.
    pub claimed: Usage,
}

/// How far an upload has been admitted.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Admission {
    /// The usage must be counted first.
    #[default]
    NeedsUsage,
    /// The quota seemed exceeded: that is final once this many counts are complete.
    NeedsCounts(u64),
    /// The quota seemed exceeded: that is final once this pass over the unfinished uploads has found none that another
    /// process ended. `ended`: how many were before it.
    NeedsLooks { pass: u64, ended: u64 },
    /// There is room for all that is known to come.
    Admitted,
}

impl Quotas {
    /// The area at `dir`; with `missing`, of the directory to be created at that path below it.
    pub fn area(&mut self, dir: BorrowedFd<'_>, missing: &[CString]) -> Result<Rc<Area>, Errno> {
        let path = file::path_along(dir, missing.iter().map(|name| name.to_bytes()))?;
        Ok(self.area_at(&path))
    }

    /// The area at a real path.
    pub fn area_at(&mut self, path: &[u8]) -> Rc<Area> {
        if let Some(area) = self.areas.get(path) {
            return area.clone();
        }
        if self.areas.len() >= AREAS {
            self.areas.retain(|_, area| Rc::strong_count(area) > 1);
        }
        let path: Box<[u8]> = path.into();
        let area = Rc::new(Area {
            path: path.clone(),
            used: Cell::default(),
            claimed: Cell::default(),
            replaced: RefCell::default(),
            locks_seen: Cell::default(),
            published: Cell::default(),
            walk: RefCell::default(),
            accuracy: Cell::new(Accuracy::Unknown),
            stepped: Cell::default(),
            counts: Cell::new(0),
            entries: Cell::new(0),
            ended: Cell::default(),
            shared: RefCell::default(),
        });
        self.areas.insert(path, area.clone());
        area
    }

    /// Calls `each` for areas whose claims have changed since the last call.
    pub fn changed_claims(&mut self, mut each: impl FnMut(&[u8], Usage)) {
        for area in self.areas.values().filter(|area| area.published.get() != area.claimed.get()) {
            area.published.set(area.claimed.get());
            each(&area.path, area.claimed.get());
        }
    }

    /// Whether no area is known.
    pub fn is_empty(&self) -> bool {
        self.areas.is_empty()
    }

    /// Records files stored in `dir`, and those they replaced.
    pub fn stored(&mut self, dir: BorrowedFd<'_>, added: Usage, replaced: Usage) {
        if self.areas.is_empty() {
            return;
        }
        let Ok(path) = file::path_of(dir) else { return self.files_added() };
        for end in (0..=path.len()).filter(|end| path.get(*end).is_none_or(|b| *b == b'/')) {
            if let Some(area) = self.areas.get(&path[..end]) {
                area.changed(path.get(end + 1..).unwrap_or_default(), added, replaced);
            }
        }
    }

    /// Records that files were removed somewhere.
    pub fn files_removed(&mut self) {
        for area in self.areas.values().filter(|area| area.accuracy.get() == Accuracy::Exact) {
            area.accuracy.set(Accuracy::UpperBound);
        }
    }

    /// Records that an unknown number of files was added: copied, moved, renamed.
    pub fn files_added(&mut self) {
        self.areas.values().for_each(|area| area.invalidate());
    }
}

impl Area {
    fn changed(&self, path: &[u8], added: Usage, removed: Usage) {
        self.used.set(self.used.get().plus(added).minus(removed));
        if let Some(walk) = &mut *self.walk.borrow_mut() {
            walk.changed(path, added, removed);
        }
    }

    /// Forces a new count: the usage may be higher than known.
    pub fn invalidate(&self) {
        self.accuracy.set(Accuracy::Unknown);
        *self.walk.borrow_mut() = None;
    }

    /// Whether this is the first call, at which the scope of its locks must be examined.
    pub fn first_lock_check(&self) -> bool {
        !self.locks_seen.replace(true)
    }

    /// The real path of the area's directory.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// What is there, as far as it is known.
    #[cfg(test)]
    pub fn used(&self) -> Usage {
        self.used.get()
    }

    /// All claims together.
    pub fn claimed(&self) -> Usage {
        self.claimed.get()
    }

    /// Bytes that a quota leaves, with `others` claimed in other ways.
    pub fn room(&self, others: Usage, quota: Quota) -> u64 {
        let taken = self.used.get().plus(self.claimed.get()).plus(others);
        if quota.bytes == 0 { u64::MAX } else { quota.bytes.saturating_sub(taken.bytes) }
    }

    /// Number of completed counts.
    pub fn counts(&self) -> u64 {
        self.counts.get()
    }

    fn is_due(&self, now: &Clock) -> bool {
        let (ended, moment) = self.ended.get();
        moment != now.epoch && ended.saturating_add(self.entries.get() * PAUSE / 100) <= now.ms
    }

    /// Continues counting by at most a step, if necessary. Returns whether the number is reliable; if not, call it
    /// again in the next turn.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn refresh(&self, now: &Clock, slice: &mut Slice) -> Result<bool, Errno> {
        if self.accuracy.get() == Accuracy::Unknown || self.walk.borrow().is_some() || self.is_due(now) {
            self.step(now, slice)?;
        }
        Ok(self.accuracy.get() != Accuracy::Unknown)
    }

    /// Performs the step of a count that this turn allows.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn step(&self, now: &Clock, slice: &mut Slice) -> Result<(), Errno> {
        let last = self.stepped.get();
        let (may, made) = match last {
            Some((turn, made)) if turn == now.turn() => ((1..STEPS).contains(&made), made),
            Some((turn, _)) if now.turn().wrapping_sub(turn) >= MAX_TURNS_WITHOUT => (true, 0),
            _ => (!slice.is_over(), 0),
        };
        if !may {
            // The first step is waited for from now on.
            self.stepped.set(last.or(Some((now.turn(), 0))));
            return Ok(());
        }
        self.stepped.set(Some((now.turn(), made + 1)));
        self.count(now)
    }

    /// Before a claim is refused: the number of counts to wait for, if another count might find less.
    pub fn count_to_await(&self, now: &Clock) -> Option<u64> {
        let small = self.entries.get() <= SLICE && self.ended.get().1 != now.epoch;
        let doubtful = self.accuracy.get() != Accuracy::Exact || small || self.is_due(now);
        doubtful.then(|| self.next_count())
    }

    /// The number of counts to wait for until one has seen all that is there now.
    pub fn next_count(&self) -> u64 {
        // A count in progress may have passed what changed since.
        let walks = self.walk.borrow().is_some();
        self.counts.get() + 1 + u64::from(walks)
    }

    /// Makes the next slice begin a new count: one in progress may have passed what changed since.
    fn restart(&self) {
        *self.walk.borrow_mut() = None;
    }

    /// Examines [`SLICE`] names, beginning a count if necessary.
    fn count(&self, now: &Clock) -> Result<(), Errno> {
        let mut walk = self.walk.borrow_mut();
        if walk.is_none() {
            *walk = Walk::begin(&self.path)?;
        }
        let (sum, exact, entries) = match &mut *walk {
            // It does not exist yet, so it is empty.
            None => (Some(Usage::default()), true, 0),
            Some(counting) => match counting.slice(SLICE) {
                Ok(sum) => (sum, counting.exact, counting.entries),
                Err(e) => {
                    // Directories that could not be opened are missing from the count, so begin another one.
                    *walk = None;
                    return Err(e);
                }
            },
        };
        let Some(sum) = sum else { return Ok(()) };
        *walk = None;
        self.used.set(sum);
        self.accuracy.set(if exact { Accuracy::Exact } else { Accuracy::UpperBound });
        self.counts.set(self.counts.get() + 1);
        self.entries.set(entries);
        self.ended.set((now.ms, now.epoch));
        Ok(())
    }
}

/// The claim of an unfinished upload on its area.
pub struct Claim {
    area: Rc<Area>,
    holds: Usage,
    /// The entries of [`Area::replaced`] that belong to this claim.
    replaces: Vec<(u64, u64)>,
}

impl Claim {
    /// An empty claim.
    pub fn new(area: Rc<Area>) -> Claim {
        Claim { area, holds: Usage::default(), replaces: Vec::new() }
    }

    /// The upload will replace the file with this device and inode. Returns whether this upload gets its space: another
    /// upload, or another file of this one, may have it.
    pub fn take_room_of(&mut self, file: (u64, u64)) -> bool {
        let is_free = self.area.replaced.borrow_mut().insert(file);
        if is_free {
            self.replaces.push(file);
        }
        is_free
    }

    /// The area that it is of.
    pub fn area(&self) -> &Area {
        &self.area
    }

    /// What it reserves now.
    pub fn holds(&self) -> Usage {
        self.holds
    }

    /// Sets the claim to `to`, as granted by another process.
    pub fn set_granted(&mut self, to: Usage) {
        self.area.claimed.set(self.area.claimed.get().minus(self.holds).plus(to));
        self.holds = to;
    }

    /// Changes the claim to `to`. `others`: what is claimed in the area in other ways.
    ///
    /// # Errors
    /// The quota does not allow it; the claim is unchanged.
    pub fn resize(&mut self, to: Usage, others: Usage, quota: Quota) -> Result<(), Full> {
        let (used, claimed) = (self.area.used.get(), self.area.claimed.get().minus(self.holds));
        let all_claimed = claimed.plus(others);
        let total = used.plus(all_claimed).plus(to);
        if !has_room(quota, total, to, self.holds) {
            return Err(Full { used, claimed: all_claimed });
        }
        self.area.claimed.set(claimed.plus(to));
        self.holds = to;
        Ok(())
    }
}

/// The space of a file that a resumable upload will replace: reserved until this is dropped.
pub struct Replaced {
    /// Holds nothing: what the upload adds is counted by [`crate::services::resumable`].
    _claim: Claim,
    usage: Usage,
}

impl Replaced {
    /// None: it replaces no file, or another upload has its space.
    pub fn of(mut claim: Claim, usage: Usage) -> Option<Replaced> {
        claim.set_granted(Usage::default());
        (!claim.replaces.is_empty()).then_some(Replaced { _claim: claim, usage })
    }

    /// What becomes free when the file is replaced.
    pub fn usage(&self) -> Usage {
        self.usage
    }
}

/// Whether a quota has room for a total in which `to` replaces `held`. What was granted once stays granted, even if the
/// quota was reduced.
fn has_room(quota: Quota, total: Usage, to: Usage, held: Usage) -> bool {
    let over = |limit: u64, total: u64, to: u64, held: u64| limit > 0 && total > limit && to > held;
    !over(quota.bytes, total.bytes, to.bytes, held.bytes)
        && !over(quota.files, total.files, to.files, held.files)
        && !over(most_directories(quota), total.dirs, to.dirs, held.dirs)
}

/// How many directories an area may have: as many as files, and together they take no more room than the files may,
/// except for the first [`DIRECTORIES`].
fn most_directories(quota: Quota) -> u64 {
    let no_limit = |most: u64| if most == 0 { u64::MAX } else { most };
    no_limit(quota.files).min(no_limit(quota.bytes) / DIRECTORY).max(DIRECTORIES)
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.area.claimed.set(self.area.claimed.get().minus(self.holds));
        let mut replaced = self.area.replaced.borrow_mut();
        self.replaces.iter().for_each(|file| _ = replaced.remove(file));
    }
}

#[cfg(test)]
mod tests;

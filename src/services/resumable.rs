//! The state of unfinished resumable uploads that requests share: claimed sizes, current writers, expiry. The disk is
//! authoritative; after a restart this state is rebuilt from it.
//!
//! Invariant: of all requests with a [`Lease`] on one upload at most one is live, and only that one writes.

mod areas;
mod claim;
mod leases;
mod looks;
mod moving;
mod untidy;
mod upload_id;

use self::areas::{Areas, Sum};
pub use self::claim::Claim;
use self::leases::Leases;
pub use self::leases::{CHECK_INTERVAL, Lease, PATIENCE};
use self::looks::Looks;
pub use self::moving::{MoveProgress, MovedFiles, Moving, copy_piece};
use self::untidy::Untidy;
pub use self::upload_id::UploadId;
use crate::services::presence::Presence;
use crate::services::quotas::{Replaced, Usage};
use crate::sys::file::ReadDir;
use crate::util::wake::Wake;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::rc::{Rc, Weak};

/// Milliseconds after its last byte for which the announced size of an upload stays reserved: clients that resume a
/// broken connection return within that time, and one request must not reserve space longer.
pub const RESERVED_FOR: u64 = 5 * 60_000;

/// Maximum number of finished uploads remembered: a client that missed the last response asks again.
const REMEMBERED: usize = 1024;
/// Of requests refused for the same reason, one in this many is logged.
const LOGGED_EACH: u64 = 1000;

/// An upload that is unfinished, or finished and remembered.
pub struct KnownUpload {
    /// The directory that contains its files.
    pub home: Rc<[u8]>,
    /// The path of its URI, which determines the area it counts in.
    pub path: Rc<[u8]>,
    /// Bytes that have arrived.
    bytes: u64,
    /// 1, or 0 for a part that is to be concatenated.
    files: u64,
    /// The announced size, reserved although not all of it has arrived.
    promise: Option<Promise>,
    /// Unix milliseconds; None: never.
    pub expires: Option<i64>,
    lease: Weak<Lease>,
    /// Whether its file has its final name and only its record is left; or it is a part of such a file.
    is_stored: bool,
}

struct Promise {
    bytes: u64,
    /// The file that the upload will replace, whose space it has meanwhile.
    replaces: Option<Replaced>,
    /// Monotonic milliseconds; later if a request writes to the upload then.
    until: u64,
}

impl KnownUpload {
    /// An upload without a writer. `home`: its state directory; `path`: the future file's; `expires`: Unix
    /// milliseconds.
    pub fn new(home: Rc<[u8]>, path: &[u8], bytes: u64, expires: Option<i64>) -> KnownUpload {
        let (promise, lease) = (None, Weak::new());
        KnownUpload { home, path: path.into(), bytes, files: 1, promise, expires, lease, is_stored: false }
    }

    /// The same as part of a file (tus's concatenation): only the whole counts as a file.
    pub fn of_part(self, is_part: bool) -> KnownUpload {
        KnownUpload { files: u64::from(!is_part), ..self }
    }

    /// Bytes that have arrived or are promised.
    fn size(&self) -> u64 {
        self.promise.as_ref().map_or(self.bytes, |promise| promise.bytes.max(self.bytes))
    }

    /// The space of the file that it will replace.
    fn freed(&self) -> Usage {
        let replaces = self.promise.as_ref().and_then(|promise| promise.replaces.as_ref());
        replaces.map_or(Usage::default(), Replaced::usage)
    }

    /// What counts for a quota: what it adds.
    fn holds(&self) -> Usage {
        Usage { bytes: self.size(), files: self.files, dirs: 0 }.minus(self.freed())
    }

    /// A remembered upload: it claims no quota.
    pub fn stored(home: Rc<[u8]>, path: &[u8], expires: Option<i64>) -> KnownUpload {
        KnownUpload { is_stored: true, ..KnownUpload::new(home, path, 0, expires) }
    }

    /// Whether a request is writing to it.
    pub fn is_written(&self) -> bool {
        self.lease.upgrade().is_some_and(|lease| lease.is_live())
    }
}

/// How an upload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its file has its final name.
    Done(FinishedUpload),
    /// Cancelled, expired, or refused at the end.
    Gone,
}

/// What a client may ask of an upload that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedUpload {
    /// The path of the URI at which it was created.
    pub uri: Vec<u8>,
    /// Its creator; empty if unauthenticated.
    pub user: Vec<u8>,
    /// Bytes.
    pub length: u64,
    /// The escaped URI of the file.
    pub location: Vec<u8>,
    /// The status of the final response.
    pub status: u16,
    /// Whether its client uses tus.
    pub tus: bool,
    /// tus: the uploads it was concatenated from.
    pub concat: Vec<u8>,
}

/// Uploads whose files were removed with the request that was to create them.
#[derive(Clone, Default)]
pub struct Cut(Rc<RefCell<Vec<UploadId>>>);

impl Cut {
    /// Adds one.
    pub fn push(&self, id: UploadId) {
        self.0.borrow_mut().push(id);
    }
}

/// The device of a directory, and how far its locks reach.
pub type LockReach = (u64, Rc<[u8]>);

/// The uploads of all locations.
#[derive(Default)]
pub struct Uploads {
    open: HashMap<UploadId, KnownUpload>,
    /// The same by path: those below a path follow one another.
    by_path: BTreeSet<(Rc<[u8]>, UploadId)>,
    /// Their sums by area.
    areas: Areas,
    /// Hints only: the time in the upload is authoritative.
    due: BinaryHeap<Reverse<(i64, UploadId)>>,
    /// When promises may end (monotonic milliseconds): hints as well.
    promised: BinaryHeap<Reverse<(u64, UploadId)>>,
    /// Parts that do not count while a request joins them, since the resulting file does.
    joined: Vec<UploadId>,
    /// Uploads to be forgotten.
    pub cut: Cut,
    /// Which of them were looked at again, for what other processes did with them.
    looks: Looks,
    ended: VecDeque<(UploadId, Ended)>,
    /// Uploads being written by requests of this process, and those requested from other processes.
    leases: Leases,
    /// Connections of requests whose uploads newer requests, or other processes, have: to be driven, since they end.
    pub superseded: Vec<Wake>,
    /// Uploads whose bytes are being copied into a new file.
    pub moving: HashMap<UploadId, Moving>,
    /// Claims of uploads that are asked for from processes without one; when requests last asked (monotonic
    /// milliseconds).
    pub claims: HashMap<UploadId, (Claim, u64)>,
    /// Directories that were not empty when their last upload ended.
    pub untidy: Untidy,
    /// Directories whose locks were examined.
    homes: HashSet<Rc<[u8]>>,
    /// How many unfinished uploads were found to have been ended by other processes.
    pub ended_elsewhere: u64,
    /// How far the locks of directories reach, where that was examined.
    pub lock_reach: HashMap<Rc<[u8]>, LockReach>,
    /// The number of refused requests for other servers' uploads, by directory.
    elsewhere: HashMap<Rc<[u8]>, u64>,
    /// This process's presence in the directories of uploads, by path.
    pub presences: HashMap<Rc<[u8]>, Presence>,
    /// Directories still to be searched for uploads of an earlier process.
    pub unread: VecDeque<Rc<[u8]>>,
    /// The directory that is being searched.
    pub reading: Option<Scan>,
}

/// A directory being searched.
pub struct Scan {
    /// Its path.
    pub home: Rc<[u8]>,
    /// Where the search is.
    pub dir: ReadDir,
    /// The remaining names of the last batch.
    pub names: Vec<Box<[u8]>>,
}

impl Uploads {
    /// A new upload, or one found on the disk. It counts in its area from now on.
    pub fn insert(&mut self, id: UploadId, open: KnownUpload) {
        self.forget_cut();
        if let Some(at) = open.expires {
            self.due.push(Reverse((at, id)));
        }
        self.remove(id);
        if !open.is_stored {
            self.areas.change(&open.path, |sum| sum.plus(open.holds()));
        }
        self.by_path.insert((open.path.clone(), id));
        self.open.insert(id, open);
    }

    /// Removes an upload that no process has any more.
    pub fn remove(&mut self, id: UploadId) {
        let Some(open) = self.open.remove(&id) else { return };
        if !open.is_stored {
            self.areas.change(&open.path, |sum| sum.minus(open.holds()));
        }
        self.by_path.remove(&(open.path, id));
    }

    /// None: this process knows no such unfinished upload; the disk may.
    pub fn get(&self, id: UploadId) -> Option<&KnownUpload> {
        self.open.get(&id)
    }

    /// Updates an upload's size and expiry. False: unknown upload.
    pub fn update(&mut self, id: UploadId, bytes: u64, expires: Option<i64>) -> bool {
        self.change(id, |open| (open.bytes, open.expires) = (bytes, expires))
    }

    /// Records the size of an upload after bytes have arrived or were truncated.
    pub fn arrived(&mut self, id: UploadId, bytes: u64, now: u64) {
        self.change(id, |open| {
            open.bytes = bytes;
            open.promise.iter_mut().for_each(|promise| promise.until = now + RESERVED_FOR);
        });
    }

    /// Reserves the announced size of an upload until `until` (monotonic milliseconds), and as long as a request writes
    /// to it; and the space of the file that it will replace. `replaces`: None if that has not changed.
    pub fn promise(&mut self, id: UploadId, bytes: u64, replaces: Option<Replaced>, now: u64, until: u64) {
        self.end_reservations(now);
        let is_known = self.open.get(&id).is_none_or(|open| open.promise.is_some());
        self.change(id, |open| {
            let replaces = replaces.or_else(|| open.promise.take()?.replaces);
            open.promise = Some(Promise { bytes, replaces, until });
        });
        if !is_known {
            self.promised.push(Reverse((until, id)));
        }
    }

    /// Bytes that an upload may have without a new quota check: those received, and those reserved.
    pub fn holds(&self, id: UploadId) -> u64 {
        self.open.get(&id).map_or(0, KnownUpload::size)
    }

    /// Bytes of the file that an upload will replace, if their space is reserved for it.
    pub fn freed(&self, id: UploadId) -> u64 {
        self.open.get(&id).map_or(0, |open| open.freed().bytes)
    }

    /// Releases the space of the file that the upload will replace, before the quota is checked again.
    pub fn ask_again(&mut self, id: UploadId) {
        self.change(id, |open| open.promise.iter_mut().for_each(|promise| promise.replaces = None));
    }

    /// Ends the reservations whose time is over.
    fn end_reservations(&mut self, now: u64) {
        while let Some(Reverse((_, id))) = self.promised.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.promised.pop();
            let Some(open) = self.open.get(&id) else { continue };
            let until = match &open.promise {
                None => continue,
                Some(_) if open.is_written() => now + RESERVED_FOR,
                Some(promise) => promise.until,
            };
            match until > now {
                true => self.promised.push(Reverse((until, id))),
                false => _ = self.change(id, |open| open.promise = None),
            }
        }
    }

    /// The file made of these uploads has its name and counts itself: the parts do not count while the request that
    /// joined them still has them.
    pub fn joined(&mut self, ids: &[UploadId]) {
        ids.iter().for_each(|id| self.set_stored(*id, true));
        self.joined.extend_from_slice(ids);
    }

    /// Parts whose requests are over and did not remove them count again.
    fn count_again(&mut self) {
        let has_request = |id: &UploadId| self.open.get(id).is_some_and(KnownUpload::is_written);
        let (joined, left) = std::mem::take(&mut self.joined).into_iter().partition(has_request);
        self.joined = joined;
        let left: Vec<UploadId> = left;
        left.into_iter().for_each(|id| self.set_stored(id, false));
    }

    fn set_stored(&mut self, id: UploadId, is_stored: bool) {
        let Some(open) = self.open.get_mut(&id).filter(|open| open.is_stored != is_stored) else { return };
        open.is_stored = is_stored;
        let holds = open.holds();
        self.areas.change(&open.path, |sum| if is_stored { sum.minus(holds) } else { sum.plus(holds) });
    }

    /// Changes an upload, and with it the sums that it is part of. False: unknown upload.
    fn change(&mut self, id: UploadId, to: impl FnOnce(&mut KnownUpload)) -> bool {
        let Some(open) = self.open.get_mut(&id) else { return false };
        let before = open.holds();
        to(open);
        let after = open.holds();
        if !open.is_stored && before != after {
            self.areas.change(&open.path, |sum| sum.minus(before).plus(after));
        }
        true
    }

    /// The usage of the uploads below a path, except those in `but`: bytes received, and bytes reserved at `now`
    /// (monotonic milliseconds).
    pub fn held(&mut self, area: &[u8], but: &[UploadId], now: u64) -> Usage {
        self.forget_cut();
        self.end_reservations(now);
        self.count_again();
        let sum = self.sum(area);
        let counts = |open: &KnownUpload| !open.is_stored && open.path.starts_with(area);
        let but = but.iter().filter_map(|but| self.open.get(but)).filter(|open| counts(open));
        but.fold(sum, |sum, but| sum.minus(but.holds())).usage()
    }

    /// The number of unfinished uploads below a path.
    pub fn unfinished(&mut self, area: &[u8]) -> u64 {
        self.forget_cut();
        self.count_again();
        self.sum(area).uploads()
    }

    fn sum(&mut self, area: &[u8]) -> Sum {
        self.areas.get(area).unwrap_or_else(|| {
            let all = self.below(area, None).filter(|(_, open)| !open.is_stored);
            let sum = all.fold(Sum::default(), |sum, (_, open)| sum.plus(open.holds()));
            self.areas.keep(area, sum);
            sum
        })
    }

    /// The uploads whose path begins with `area`, in the order of their paths: those after one of them, or all.
    fn below<'u>(
        &'u self,
        area: &'u [u8],
        after: Option<(Rc<[u8]>, UploadId)>,
    ) -> impl Iterator<Item = (UploadId, &'u KnownUpload)> {
        let from = after.map_or_else(|| Bound::Included((area.into(), UploadId([0; 16]))), Bound::Excluded);
        let those = self.by_path.range((from, Bound::Unbounded));
        let those = those.take_while(move |(path, _)| path.starts_with(area));
        those.filter_map(|(_, id)| Some((*id, self.open.get(id)?)))
    }

    /// Of the uploads below a path, some that no request of this process writes to: another process may have ended
    /// them. At most once every [`CHECK_INTERVAL`]; where it `must` be, more of them and at once.
    pub fn idle(&mut self, area: &[u8], now: u64, must: bool) -> Vec<UploadId> {
        if self.areas.get(area) == Some(Sum::default()) {
            return Vec::new();
        }
        let Some(look) = self.looks.begin(area, now, must) else { return Vec::new() };
        let next: Vec<(UploadId, &KnownUpload)> = self.below(area, look.after()).take(look.most).collect();
        let last = next.get(look.most - 1).map(|(id, open)| (open.path.clone(), *id));
        let idle = next.iter().filter(|(_, open)| !open.is_stored && !open.is_written()).map(|(id, _)| *id).collect();
        self.looks.end(area, look, last);
        idle
    }

    /// The number of a pass over an area's uploads that has not begun: when it has ended ([`Uploads::has_seen_all`]),
    /// each upload was looked at since now.
    pub fn next_pass(&self) -> u64 {
        self.looks.next_pass()
    }

    /// A pass over the uploads of this area with that number, or a later one, has ended; or there are none.
    pub fn has_seen_all(&self, area: &[u8], pass: u64) -> bool {
        self.areas.get(area) == Some(Sum::default()) || self.looks.has_ended(area, pass)
    }

    /// Stops the request that writes to the upload. Returns its lease, with the open file and the lock.
    pub fn take(&mut self, id: UploadId) -> Option<Lease> {
        let lease = self.lease_of(id)?;
        let passed = lease.pass();
        self.superseded.extend(passed.as_ref().and(lease.waiter()));
        passed
    }

    /// The lease of the request that writes to the upload.
    pub fn lease_of(&self, id: UploadId) -> Option<Rc<Lease>> {
        self.open.get(&id)?.lease.upgrade().filter(|lease| lease.is_live())
    }

    /// Registers the lease of an upload after [`Uploads::insert`].
    pub fn lease(&mut self, id: UploadId, lease: Lease) -> Rc<Lease> {
        let lease = Rc::new(lease);
        if let Some(open) = self.open.get_mut(&id) {
            open.lease = Rc::downgrade(&lease);
        }
        self.leases.add(id, &lease);
        lease
    }

    /// Milliseconds until [`Uploads::leased`] and [`Uploads::end_left_moves`] must be called; None: there is no need.
    pub fn next_check(&self, now: u64) -> Option<u64> {
        let is_asking = !self.moving.is_empty() || !self.claims.is_empty();
        self.leases.next_check(now).or(is_asking.then_some(CHECK_INTERVAL))
    }

    /// Ends the copies, and the claims, whose clients do not wait any more.
    pub fn end_left_moves(&mut self, now: u64) {
        self.moving.retain(|_, moving| !moving.is_left(now));
        self.claims.retain(|_, (_, asked_at)| *asked_at + PATIENCE >= now);
    }

    /// The next of the uploads being written, at most `most` of them, all in one directory. Each is returned once every
    /// [`CHECK_INTERVAL`].
    pub fn leased(&mut self, now: u64, most: usize) -> Option<(Rc<[u8]>, Vec<UploadId>)> {
        let open = &self.open;
        self.leases.next(now, most, |id| open.get(&id).map(|open| open.home.clone()))
    }

    /// Records at `now` (monotonic milliseconds) that another process is being asked for the upload. Returns since
    /// when, without a break of [`PATIENCE`].
    pub fn ask(&mut self, id: UploadId, now: u64) -> u64 {
        self.leases.ask(id, now)
    }

    /// Another process is being asked for the upload.
    pub fn is_asking(&self, id: UploadId, now: u64) -> bool {
        self.leases.is_asking(id, now)
    }

    /// Ends [`Uploads::ask`]: the other process released the upload, or the request is over.
    pub fn stop_asking(&mut self, id: UploadId) {
        self.leases.stop_asking(id);
        self.claims.remove(&id);
    }

    /// Whether this is the first upload of this process in a directory.
    pub fn note_home(&mut self, home: &Rc<[u8]>) -> bool {
        !self.homes.contains(home) && self.homes.insert(home.clone())
    }

    /// Counts a refused request for another server's upload, which cannot continue here; returns the count if it should
    /// be logged.
    pub fn count_elsewhere(&mut self, home: &Rc<[u8]>) -> Option<u64> {
        let count = self.elsewhere.entry(home.clone()).or_default();
        *count += 1;
        (*count == 1 || count.is_multiple_of(LOGGED_EACH)).then_some(*count)
    }

    /// The upload is over; how it ended is remembered for the last [`REMEMBERED`].
    pub fn finish(&mut self, id: UploadId, past: Ended) {
        self.remove(id);
        self.ended.retain(|(other, _)| *other != id);
        if self.ended.len() >= REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((id, past));
    }

    fn forget_cut(&mut self) {
        let cut = self.cut.0.take();
        cut.into_iter().for_each(|id| self.remove(id));
    }

    /// Marks it as unfinished again.
    pub fn unfinish(&mut self, id: UploadId) {
        self.ended.retain(|(other, _)| *other != id);
    }

    /// What became of an upload that has ended, as far as that is remembered.
    pub fn ended(&self, id: UploadId) -> Option<&Ended> {
        self.ended.iter().rev().find(|(other, _)| *other == id).map(|(_, past)| past)
    }

    /// The next upload that may have expired (Unix milliseconds). Returned once; a caller that keeps it must call
    /// [`Uploads::postpone`].
    pub fn expired(&mut self, now: i64) -> Option<UploadId> {
        while let Some(Reverse((at, id))) = self.due.peek().copied() {
            if at > now {
                return None;
            }
            self.due.pop();
            match self.open.get(&id).map(|open| open.expires) {
                Some(Some(later)) if later > now => self.due.push(Reverse((later, id))),
                Some(_) => return Some(id),
                None => {}
            }
        }
        None
    }

    /// Changes its expiry to `until` (Unix milliseconds).
    pub fn postpone(&mut self, id: UploadId, until: i64) {
        if let Some(open) = self.open.get_mut(&id) {
            open.expires = Some(until);
            self.due.push(Reverse((until, id)));
        }
    }

    /// When the next one may expire (Unix milliseconds).
    pub fn next(&self) -> Option<i64> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Whether directories must still be searched.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some() || !self.unread.is_empty()
    }
}

#[cfg(test)]
mod tests;

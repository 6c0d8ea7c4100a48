//! `upload_quota … shared`: several processes share one quota. A lock file in the area, held while files get their
//! names, serialises them. It contains the area's usage, written before files are named: a process that dies in between
//! leaves a number that is too high, which the next count corrects.
//!
//! Nothing blocks here, neither on the lock nor on a count: after [`LockAttempt::Busy`] or [`LockAttempt::Counting`]
//! the caller retries in another turn. A large area is counted in slices without the lock. The file also contains the
//! sum of everything ever stored; what other processes stored during a count follows from that and is added to the
//! result, which is too much if the count has seen some of it. This process stores nothing meanwhile. Such a number, or
//! one that was only updated, can admit an upload but not refuse one: before that, everything is counted again.
//!
//! Invariant: without the lock, no file is named and no number lower than the usage is written.

use super::shared_state::{Recount, Shared};
use super::{Accuracy, Area, Quota, SLICE, Usage};
use crate::io::open;
use crate::services::clock::Clock;
use crate::services::slice::Slice;
use crate::sys::Errno;
use crate::sys::file::{self, Follow, O_CREAT, O_DIRECTORY, O_PATH, O_RDWR, Unlink};
use std::os::fd::{AsFd, OwnedFd};

/// The lock file; hidden like all our names.
const NAME: &std::ffi::CStr = c".webserv-quota";
/// Milliseconds for which other processes may hold the lock: each holds it for a few calls, unless it was stopped.
const PATIENCE: u64 = 30_000;
/// After this many milliseconds without an attempt, waiting starts over.
const BREAK: u64 = 1_000;
/// If others keep storing files, the area is counted this many times before an upload is refused; and the
/// lock file opened, if it goes at that moment.
const TRIES: u32 = 3;
/// Digits of a number: enough for any u64.
const DIGITS: usize = 20;
/// Size of the file.
const LENGTH: usize = 4 * (DIGITS + 1);

/// The lock on an area; released on drop.
pub struct QuotaLock {
    file: LockFile,
    /// Whether the file was empty before.
    is_first: bool,
    /// The file's content now and before.
    now: UsageRecord,
    before: Usage,
}

/// The result of trying to take the lock.
pub enum LockAttempt {
    /// It is held until this is dropped.
    Lock(QuotaLock),
    /// The area has no room.
    Full(Usage),
    /// Another upload, here or in another process, holds it.
    Busy,
    /// The area is being counted.
    Counting,
}

/// The content of the file.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct UsageRecord {
    /// An upper bound of the usage.
    used: Usage,
    /// The sum of everything ever stored, modulo 2^64.
    stored: Usage,
}

impl QuotaLock {
    /// Takes the lock and reserves room in the quota for files that get their names now: `added` in place of `freed`.
    ///
    /// # Errors
    /// EAGAIN: other processes have held the lock for too long.
    pub fn take(
        area: &Area,
        quota: Quota,
        (added, freed): (Usage, Usage),
        now: &Clock,
        slice: &mut Slice,
    ) -> Result<LockAttempt, Errno> {
        let mut shared = area.shared.borrow_mut();
        if let Some(recount) = &shared.recount {
            while area.counts.get() < recount.counts {
                if slice.is_over() {
                    return Ok(LockAttempt::Counting);
                }
                area.count(now)?;
            }
        }
        let mut lock = LockFile::open(area)?;
        match file::flock(lock.fd.as_fd()) {
            // It was removed while waiting: create another one.
            Ok(()) if !lock.has_name()? => return shared.wait(now.ms),
            Ok(()) => shared.busy = None,
            Err(Errno::EAGAIN) => return shared.wait(now.ms),
            Err(e) => return Err(e),
        }
        let text = lock.read()?;
        let is_first = text.is_empty();
        lock.is_trace = is_first;
        let record = UsageRecord::parse(&text);
        let recount = shared.recount.take();
        let tries = recount.as_ref().map_or(0, |recount| recount.tries);
        // One step more than the turn has time for, for each upload that ends in it, would keep all others waiting.
        let small = if slice.is_over() { None } else { area.count_small(now)? };
        let (before, is_exact) = shared.number(area, (&text, record), small, recount, now);
        let has_room = |before: Usage| {
            let total = before.plus(added).minus(freed);
            super::has_room(quota, total, total, before)
        };
        let before = match before {
            Some(before) if is_exact || tries >= TRIES || has_room(before) => before,
            _ => {
                area.restart();
                shared.recount = Some(Recount { text, counts: area.counts.get() + 1, tries: tries + 1 });
                return Ok(LockAttempt::Counting);
            }
        };
        let agree = |text: Vec<u8>| is_exact.then(|| (text, area.counts.get()));
        if !has_room(before) {
            shared.agreed = agree(text);
            return Ok(LockAttempt::Full(before));
        }
        let stored = record.unwrap_or_default().stored;
        let now = UsageRecord { used: before.plus(added).minus(freed), stored: stored.wrapping_plus(added) };
        let mut lock = QuotaLock { file: lock, is_first, now, before };
        lock.write(now)?;
        lock.file.is_trace = false;
        shared.agreed = agree(now.text().into_bytes());
        Ok(LockAttempt::Lock(lock))
    }

    /// Undoes the reservation: the files were not named.
    pub fn take_back(mut self) {
        self.file.is_trace = self.is_first;
        // If this fails, the number stays too high until the next count.
        let _ = self.write(UsageRecord { used: self.before, ..self.now });
    }

    fn write(&self, record: UsageRecord) -> Result<(), Errno> {
        let text = record.text();
        match file::pwrite(self.file.fd.as_fd(), text.as_bytes(), 0)? {
            wrote if wrote == text.len() => Ok(()),
            _ => Err(Errno::EIO),
        }
    }
}

impl Shared {
    /// The highest possible usage, and whether it is exact; None: unknown.
    fn number(
        &self,
        area: &Area,
        (text, record): (&[u8], Option<UsageRecord>),
        small: Option<Usage>,
        recount: Option<Recount>,
        now: &Clock,
    ) -> (Option<Usage>, bool) {
        let is_counted = area.accuracy.get() == Accuracy::Exact;
        match (small, record, recount) {
            (Some(used), ..) => (Some(used), true),
            (None, Some(record), None) => {
                (Some(record.used), is_counted && !area.is_due(now) && self.agree(text, area.counts.get()))
            }
            (None, _, Some(recount)) if recount.text == text => (Some(area.used.get()), is_counted),
            (None, Some(record), Some(recount)) => {
                // A missing or unreadable file counts as zero.
                let began = UsageRecord::parse(&recount.text).unwrap_or_default();
                (Some(area.used.get().plus(record.stored_since(began))), false)
            }
            // Something else created or destroyed it meanwhile.
            (None, None, _) => (None, false),
        }
    }

    fn agree(&self, text: &[u8], counts: u64) -> bool {
        self.agreed.as_ref().is_some_and(|(agreed, at)| agreed == text && *at == counts)
    }

    fn wait(&mut self, now: u64) -> Result<LockAttempt, Errno> {
        let since = match self.busy {
            Some((since, last)) if last.saturating_add(BREAK) >= now => since,
            _ => now,
        };
        self.busy = Some((since, now));
        if now.saturating_sub(since) > PATIENCE { Err(Errno::EAGAIN) } else { Ok(LockAttempt::Busy) }
    }
}

impl Area {
    /// Counts at once an area that was small at the last count; None: it is not small.
    fn count_small(&self, now: &Clock) -> Result<Option<Usage>, Errno> {
        if self.counts.get() == 0 || self.entries.get() > SLICE {
            return Ok(None);
        }
        let counts = self.counts.get();
        self.restart();
        self.count(now)?;
        Ok((self.counts.get() > counts).then(|| self.used.get()))
    }
}

impl UsageRecord {
    /// None: empty, or not a record.
    fn parse(text: &[u8]) -> Option<UsageRecord> {
        let mut numbers = [0; 4];
        let mut words = text.strip_suffix(b"\n")?.split(|b| *b == b' ');
        for number in &mut numbers {
            *number = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
        }
        let [bytes, files, stored_bytes, stored_files] = numbers;
        let stored = Usage { bytes: stored_bytes, files: stored_files, dirs: 0 };
        words.next().is_none().then_some(UsageRecord { used: Usage { bytes, files, dirs: 0 }, stored })
    }

    fn text(self) -> String {
        let UsageRecord { used, stored } = self;
        let [a, b, c, d] = [used.bytes, used.files, stored.bytes, stored.files];
        format!("{a:0DIGITS$} {b:0DIGITS$} {c:0DIGITS$} {d:0DIGITS$}\n")
    }

    fn stored_since(self, began: UsageRecord) -> Usage {
        Usage {
            bytes: self.stored.bytes.wrapping_sub(began.stored.bytes),
            files: self.stored.files.wrapping_sub(began.stored.files),
            dirs: 0,
        }
    }
}

/// An area's lock file, and its directory.
struct LockFile {
    dir: OwnedFd,
    fd: OwnedFd,
    /// The lock is held and nothing was stored yet: then the file is removed on drop.
    is_trace: bool,
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.is_trace {
            // Before releasing the lock. If this fails, the file stays empty.
            let _ = file::unlink_at(Some(self.dir.as_fd()), NAME, Unlink::File);
        }
    }
}

impl LockFile {
    /// Creates the file if it is missing.
    fn open(area: &Area) -> Result<LockFile, Errno> {
        let path = file::c_string(&area.path[..])?;
        let dir = file::open_at(None, &path, O_PATH | O_DIRECTORY, 0)?;
        let mut opened = Err(Errno::ENOENT);
        // On network and FUSE file systems a file that another process removes at that moment is neither there nor
        // made.
        for _ in 0..TRIES {
            opened = open::regular_at(dir.as_fd(), NAME, O_RDWR | O_CREAT, 0o600);
            if !matches!(opened, Err(Errno::ENOENT)) {
                break;
            }
        }
        // EINVAL for a FIFO with that name does not mean that locks are unsupported.
        let fd = opened.map_err(|e| if e == Errno::EINVAL { Errno::EIO } else { e })?;
        Ok(LockFile { dir, fd, is_trace: false })
    }

    fn has_name(&self) -> Result<bool, Errno> {
        file::has_name(self.fd.as_fd(), Some(self.dir.as_fd()), NAME, Follow::No)
    }

    fn read(&self) -> Result<Vec<u8>, Errno> {
        // One byte more, since a longer file is not a record.
        let mut text = vec![0; LENGTH + 1];
        let read = file::pread(self.fd.as_fd(), &mut text, 0)?;
        text.truncate(read);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Quotas;
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::fs;
    use std::rc::Rc;

    const QUOTA: Quota = Quota { bytes: 0, files: 5000, shared: true };

    fn of(files: u64) -> Usage {
        Usage { bytes: 0, files, dirs: 0 }
    }

    fn fill(scratch: &Scratch, names: std::ops::Range<u32>) {
        for n in names {
            fs::write(scratch.path().join(n.to_string()), "").expect("a file");
        }
    }

    /// The same area, as another process sees it.
    fn area(scratch: &Scratch) -> Rc<Area> {
        Quotas::default().area_at(scratch.path().to_str().expect("UTF-8").as_bytes())
    }

    /// An exhausted slice.
    fn over() -> Slice {
        let mut slice = Slice::default();
        while !slice.is_over() {}
        slice
    }

    /// A stopped clock: no count becomes due.
    fn clock() -> Clock {
        let mut now = Clock::read();
        now.ms = 1_000_000;
        now.advance_epoch();
        now
    }

    fn take(area: &Area, added: u64, slice: &mut Slice) -> LockAttempt {
        QuotaLock::take(area, QUOTA, (of(added), of(0)), &clock(), slice).expect("no call fails")
    }

    fn took(area: &Area, added: u64) -> bool {
        for _ in 0..1000 {
            match take(area, added, &mut Slice::default()) {
                LockAttempt::Lock(_) => return true,
                LockAttempt::Full(_) => return false,
                LockAttempt::Busy | LockAttempt::Counting => {}
            }
        }
        panic!("it is never decided");
    }

    #[test]
    fn a_lock_that_another_process_has_is_not_waited_for() {
        let scratch = Scratch::new();
        let (one, other) = (area(&scratch), area(&scratch));
        assert!(took(&one, 1));
        let held = loop {
            if let LockAttempt::Lock(lock) = take(&one, 1, &mut Slice::default()) {
                break lock;
            }
        };
        assert!(matches!(take(&other, 1, &mut Slice::default()), LockAttempt::Busy));
        let start = Clock::read().ms;
        let mut shared = Shared::default();
        assert!(matches!(shared.wait(start), Ok(LockAttempt::Busy)));
        for at in (0..=PATIENCE).step_by(BREAK as usize) {
            assert!(matches!(shared.wait(start + at), Ok(LockAttempt::Busy)), "{at}");
        }
        assert_eq!(shared.wait(start + PATIENCE + 1).err(), Some(Errno::EAGAIN));
        let later = start + PATIENCE + BREAK + 2;
        assert!(matches!(shared.wait(later), Ok(LockAttempt::Busy)), "another upload has patience of its own");
        drop(held);
        assert!(took(&other, 1));
    }

    #[test]
    fn a_refused_first_upload_leaves_no_lock_file_behind() {
        let scratch = Scratch::new();
        let (one, other) = (area(&scratch), area(&scratch));
        let is_there = || scratch.path().join(NAME.to_str().expect("ASCII")).exists();
        assert!(!took(&one, 5001) && !is_there(), "there is no room for it");
        let lock = || loop {
            if let LockAttempt::Lock(lock) = take(&one, 1, &mut Slice::default()) {
                break lock;
            }
        };
        let first = lock();
        // The other process has the file open and waits for its lock.
        let opened = LockFile::open(&other).expect("opens");
        first.take_back();
        assert!(!is_there(), "nothing was stored after all");
        assert_eq!((file::flock(opened.fd.as_fd()), opened.has_name()), (Ok(()), Ok(false)));
        drop(lock());
        assert!(is_there(), "it stays once something was stored");
        lock().take_back();
        assert!(is_there(), "nor does it go with a later upload");
    }

    #[test]
    fn a_count_before_the_first_upload_leaves_no_lock_file_behind() {
        let scratch = Scratch::new();
        fill(&scratch, 0..3500);
        let area = area(&scratch);
        let is_there = || scratch.path().join(NAME.to_str().expect("ASCII")).exists();
        assert!(
            matches!(take(&area, 1, &mut over()), LockAttempt::Counting) && !is_there(),
            "its client may leave now"
        );
        assert!(took(&area, 1) && is_there());
        area.restart();
        area.ended.set((0, 0));
        let _ = take(&area, 5000, &mut over());
        assert!(is_there(), "it stays once something was stored");
    }

    #[test]
    fn a_large_area_is_counted_in_slices_before_its_first_file() {
        let scratch = Scratch::new();
        fill(&scratch, 0..3500);
        let area = area(&scratch);
        assert!(matches!(take(&area, 1, &mut Slice::default()), LockAttempt::Counting), "the count begins");
        let mut slices = 0;
        // In a turn without time left, nothing is counted.
        assert!(matches!(take(&area, 1, &mut over()), LockAttempt::Counting));
        assert_eq!(area.counts(), 0);
        while area.counts() == 0 {
            area.count(&clock()).expect("counts");
            slices += 1;
        }
        assert!(slices > 2, "{slices}");
        assert!(took(&area, 1500));
        fill(&scratch, 3500..5000);
        assert!(!took(&area, 1), "3500 and 1500 are all there may be");
    }

    #[test]
    fn what_others_store_during_a_count_comes_on_top_of_it() {
        let scratch = Scratch::new();
        fill(&scratch, 0..3500);
        let (one, other) = (area(&scratch), area(&scratch));
        assert!(matches!(take(&one, 1, &mut Slice::default()), LockAttempt::Counting));
        // Counted before the other process is done, and stored after that.
        while one.counts() == 0 {
            one.count(&clock()).expect("counts");
        }
        assert!(took(&other, 1400));
        fill(&scratch, 3500..4900);
        let LockAttempt::Lock(lock) = take(&one, 100, &mut over()) else { panic!("4900 and 100 are 5000") };
        assert_eq!(lock.before, of(4900));
        drop(lock);
        fill(&scratch, 4900..5000);
        assert!(!took(&one, 1) && !took(&other, 1));
        // Removed files are noticed by an undisturbed count.
        for n in 0..2000 {
            fs::remove_file(scratch.path().join(n.to_string())).expect("it is there");
        }
        for area in [&one, &other] {
            area.ended.set((0, 0));
        }
        assert!(took(&one, 1500));
        fill(&scratch, 0..1500);
        assert!(took(&other, 500));
        fill(&scratch, 1500..2000);
        assert!(!took(&one, 1) && !took(&other, 1));
    }

    #[test]
    fn what_a_count_has_seen_of_others_files_takes_no_room_twice() {
        let scratch = Scratch::new();
        fill(&scratch, 0..3500);
        let (one, other) = (area(&scratch), area(&scratch));
        assert!(matches!(take(&one, 1, &mut Slice::default()), LockAttempt::Counting));
        assert!(took(&other, 500));
        fill(&scratch, 3500..4000);
        while one.counts() == 0 {
            one.count(&clock()).expect("counts");
        }
        let LockAttempt::Lock(lock) = take(&one, 100, &mut over()) else { panic!("there is room by either number") };
        assert_eq!(lock.before, of(4500), "it cannot know which of them it has seen");
        drop(lock);
        fill(&scratch, 4000..4100);
        assert!(took(&one, 900), "4100 are there");
        fill(&scratch, 4100..5000);
        assert!(!took(&one, 1) && !took(&other, 1));
    }

    #[test]
    fn what_was_removed_is_found_before_an_upload_is_refused() {
        let scratch = Scratch::new();
        fill(&scratch, 0..4990);
        let mut quotas = Quotas::default();
        let area = quotas.area_at(scratch.path().to_str().expect("UTF-8").as_bytes());
        assert!(took(&area, 10));
        fill(&scratch, 4990..5000);
        assert!(!took(&area, 1));
        let counts = area.counts();
        assert!(!took(&area, 1));
        assert_eq!(area.counts(), counts, "the next one is refused without another count");
        let mut left = 0..5000;
        for with_count in [false, true] {
            for n in left.by_ref().take(1000) {
                fs::remove_file(scratch.path().join(n.to_string())).expect("it is there");
            }
            quotas.files_removed();
            // The admission of an upload counts too, without using the file.
            let wanted = area.counts() + u64::from(with_count);
            while area.counts() < wanted {
                area.count(&clock()).expect("counts");
            }
            assert!(took(&area, 1000), "{with_count}");
            assert!(!took(&area, 5000));
            fill(&scratch, if with_count { 6000..7000 } else { 5000..6000 });
        }
    }

    #[test]
    fn a_record_reads_back_and_nothing_else_is_one() {
        let of = |bytes, files| Usage { bytes, files, dirs: 0 };
        let record = UsageRecord { used: of(7, u64::MAX), stored: of(1, 2) };
        let text = record.text();
        assert_eq!((text.len(), UsageRecord::parse(text.as_bytes())), (LENGTH, Some(record)));
        let longer = format!("{} 1\n", text.trim_end());
        for bad in ["", "\n", "1 2\n", "1 2 3 x\n", &text[..LENGTH - 1], &longer] {
            assert_eq!(UsageRecord::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }
}

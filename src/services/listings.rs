//! Rendered directory listings, cached for one second, and only while nothing has changed.
//!
//! Invariant: a cached page shows the directory as it is. Before each use, inotify is asked whether anything happened
//! in the directory since it was read, and the directory itself is compared. Entries whose changes happen elsewhere
//! (subdirectories, targets of links, files with several names) are stored with the page for the caller to check. What
//! the kernel does not report (writes through shared mappings, or by a second name created meanwhile) shows after a
//! second, when the page expires. A directory with too many entries to be watched is only compared: added and removed
//! entries show at once, sizes and times of others after a second.

use super::clock::Clock;
use super::dir_watch::{self, Price};
use crate::sys::Errno;
use crate::sys::file::Stat;
use crate::sys::inotify::{self, Inotify, events};
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::{Rc, Weak};

/// Lifetime of a page in milliseconds. Shorter than for a file: a page shows many names, each of which may be changed
/// in a way that the kernel does not report.
const LIFETIME: u64 = 1_000;
/// Maximum number of pages, so that iterating over all stays cheap.
const PAGES: usize = 256;
/// Maximum number of pages kept although they are too large for the cache, for requests that waited for them.
const AWAITED: usize = 4;
/// Milliseconds between two checks of a request whether the page that another one makes is complete: minimum and
/// maximum.
const PAUSE: u64 = 20;
const LONGEST_PAUSE: u64 = 250;

/// Everything that a listing with sizes and times shows. One-shot: what is known to be outdated need not be reported
/// again, so the kernel queues at most one event and the end of the watch.
const MASK: u32 = inotify::MODIFY
    | inotify::ATTRIB
    | inotify::CLOSE_WRITE
    | inotify::MOVED_FROM
    | inotify::MOVED_TO
    | inotify::CREATE
    | inotify::DELETE
    | inotify::DELETE_SELF
    | inotify::MOVE_SELF
    | inotify::ONLYDIR
    | inotify::ONESHOT;
/// Bytes of events read at once; more stay for the next read.
const BATCH: usize = 4096;

/// The watch lasts as long as this is held.
#[derive(Debug)]
pub struct Watched {
    watch: i32,
    /// Whether no change has been reported.
    quiet: Cell<bool>,
}

/// How changes to a page's directory are detected.
#[derive(Clone, Debug)]
pub enum Guard {
    /// By inotify.
    Watched(Rc<Watched>),
    /// Only by its timestamps, since it has too many entries to be watched. With the time when entries were first read
    /// (monotonic milliseconds).
    Compared(u64),
}

impl Guard {
    fn is_quiet(&self) -> bool {
        match self {
            Guard::Watched(watched) => watched.quiet.get(),
            Guard::Compared(_) => true,
        }
    }
}

/// An entry whose changes the directory's watch does not report, with its state.
#[derive(Debug, PartialEq, Eq)]
pub struct Loose {
    /// Its name in the directory.
    pub name: CString,
    /// Its state when the page was rendered.
    pub stat: Stat,
}

/// A rendered listing in pieces, so that no single step copies or frees a large one.
pub type Pieces = Rc<[Rc<[u8]>]>;

/// A rendered listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// The bytes of the response's body.
    pub body: Pieces,
    /// Entries that the caller must compare before the page is used.
    pub loose: Rc<[Loose]>,
    /// The directory's metadata when it was opened for reading.
    pub dir: Stat,
    /// How the directory itself is compared.
    pub guard: Guard,
}

impl Page {
    fn size(&self) -> u64 {
        self.body.iter().map(|piece| piece.len() as u64).sum()
    }
}

struct CachedPage {
    page: Page,
    /// Its share of the cache's bytes. None: it is larger than the cache, and kept for the requests that waited for it,
    /// each of which would make it again.
    counted: Option<u64>,
    /// Monotonic milliseconds.
    made: u64,
}

/// A page that a request is making.
struct Making {
    /// Held by the request while it makes the page.
    mark: Weak<()>,
    /// How often other requests have asked for it meanwhile.
    asked: u64,
}

/// The cached pages, and the watches of their directories.
#[derive(Default)]
pub struct Listings {
    inotify: Option<Inotify>,
    watched: Vec<Rc<Watched>>,
    /// By everything that a page depends on. Uses std's hasher, since clients choose parts of the keys.
    pages: HashMap<Box<[u8]>, CachedPage>,
    making: HashMap<Box<[u8]>, Making>,
    bytes: u64,
    limit: u64,
}

impl Listings {
    /// `limit`: maximum bytes of cached pages. 0 disables the cache.
    pub fn new(limit: u64) -> Listings {
        Listings { limit, ..Listings::default() }
    }

    /// Applies a new configuration, which may change the limit or the appearance of a page.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
        self.pages.clear();
        self.bytes = 0;
        self.forget_unused();
    }

    /// Call it before reading the directory `dir` for a page to be cached. None: do not cache the page. `stat` is the
    /// directory's; its size, which grows with the number of names, decides whether a watch would take too long.
    pub fn guard(&mut self, dir: BorrowedFd<'_>, stat: &Stat, now: &Clock) -> Option<Guard> {
        if self.limit == 0 {
            return None;
        }
        // This path denotes the open directory, even if its name is another directory's by now.
        let path = CString::new(format!("/proc/self/fd/{}", dir.as_raw_fd())).ok()?;
        match dir_watch::price(&path, stat).ok()? {
            Price::Fair => self.watch(&path).map(Guard::Watched),
            Price::TooHigh => now.is_settled(stat.ctime, stat.ctime).then_some(Guard::Compared(now.ms)),
            Price::NotLocal => None,
        }
    }

    fn watch(&mut self, path: &CStr) -> Option<Rc<Watched>> {
        if self.inotify.is_none() {
            self.inotify = Inotify::new().ok();
        }
        // Earlier events belong to a watch that has ended.
        let watch = self.inotify.as_ref()?.add(path, MASK).ok()?;
        if let Some(known) = self.watched.iter().find(|known| known.watch == watch && known.quiet.get()) {
            return Some(known.clone());
        }
        let watched = Rc::new(Watched { watch, quiet: Cell::new(true) });
        self.watched.push(watched.clone());
        Some(watched)
    }

    /// Whether another request is making the page for this key: returns the milliseconds after which this one checks
    /// again. The more requests wait, the less often each checks.
    pub fn awaits(&mut self, key: &[u8]) -> Option<u64> {
        let making = self.making.get_mut(key).filter(|making| making.mark.strong_count() > 0)?;
        making.asked += 1;
        Some((PAUSE + making.asked / 4).min(LONGEST_PAUSE))
    }

    /// Records that a request makes the page for this key, as long as it holds the mark.
    pub fn make(&mut self, key: &[u8]) -> Rc<()> {
        if self.making.len() >= PAGES {
            self.making.retain(|_, making| making.mark.strong_count() > 0);
        }
        let mark = Rc::new(());
        self.making.insert(key.into(), Making { mark: Rc::downgrade(&mark), asked: 0 });
        mark
    }

    /// Caches a page, unless something happened since its directory was watched. One that is too large for that is
    /// kept as well if other requests wait for it.
    pub fn keep(&mut self, key: Box<[u8]>, page: Page, now: &Clock) {
        self.listen();
        if self.limit == 0 || !page.guard.is_quiet() {
            return;
        }
        let made = match page.guard {
            Guard::Watched(_) => now.ms,
            Guard::Compared(since) => since,
        };
        self.remove(&key);
        let counted = Some(page.size()).filter(|size| *size <= self.limit);
        match counted {
            Some(size) => self.make_room(size),
            None => {
                let is_awaited = self.making.get(&key).is_some_and(|making| making.asked > 0);
                if !is_awaited || self.pages.values().filter(|kept| kept.counted.is_none()).count() >= AWAITED {
                    return;
                }
            }
        }
        self.bytes += counted.unwrap_or(0);
        self.pages.insert(key, CachedPage { page, counted, made });
        self.forget_unused();
    }

    /// Removes the oldest pages until one of `size` bytes fits.
    fn make_room(&mut self, size: u64) {
        while self.bytes + size > self.limit || self.pages.len() >= PAGES {
            let counted = self.pages.iter().filter(|(_, kept)| kept.counted.is_some());
            let Some(oldest) = counted.min_by_key(|(_, kept)| kept.made).map(|(key, _)| key.clone()) else { return };
            self.remove(&oldest);
        }
    }

    /// The page for this key, if its directory still equals `dir` and nothing happened in it. The caller checks the
    /// loose entries.
    pub fn find(&mut self, key: &[u8], dir: &Stat, now: &Clock) -> Option<Page> {
        if self.pages.is_empty() {
            return None;
        }
        self.listen();
        let kept = self.pages.get(key)?;
        if kept.page.dir == *dir && now.ms.saturating_sub(kept.made) <= LIFETIME {
            return Some(kept.page.clone());
        }
        self.remove(key);
        None
    }

    /// The page is no longer right.
    pub fn remove(&mut self, key: &[u8]) {
        if let Some(kept) = self.pages.remove(key) {
            self.bytes -= kept.counted.unwrap_or(0);
        }
    }

    /// Reads events from the kernel.
    fn listen(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        let mut batch = [0; BATCH];
        let mut changed = false;
        let outcome = loop {
            let len = match inotify.read(&mut batch) {
                Ok(len) => len,
                Err(e) => break e,
            };
            changed = true;
            for event in events(batch.get(..len).unwrap_or_default()) {
                self.watched.retain(|known| {
                    let quiet = known.watch != event.watch && event.mask & inotify::Q_OVERFLOW == 0;
                    known.quiet.set(quiet);
                    quiet
                });
            }
        };
        if outcome != Errno::EAGAIN {
            self.watched.drain(..).for_each(|known| known.quiet.set(false));
            self.inotify = None;
            changed = true;
        }
        if changed {
            self.retain(|kept| kept.page.guard.is_quiet());
        }
    }

    fn retain(&mut self, is_kept: impl Fn(&CachedPage) -> bool) {
        let bytes = &mut self.bytes;
        self.pages.retain(|_, kept| {
            let stays = is_kept(kept);
            *bytes -= if stays { 0 } else { kept.counted.unwrap_or(0) };
            stays
        });
    }

    /// When the next page expires, monotonic milliseconds.
    pub fn next_due(&self) -> Option<u64> {
        self.pages.values().map(|kept| kept.made + LIFETIME + 1).min()
    }

    /// Drops expired pages.
    pub fn sweep(&mut self, now: u64) {
        if self.watched.is_empty() && self.pages.is_empty() {
            return;
        }
        self.retain(|kept| now.saturating_sub(kept.made) <= LIFETIME);
        self.forget_unused();
    }

    /// Removes watches whose pages are gone.
    fn forget_unused(&mut self) {
        let inotify = &self.inotify;
        self.watched.retain(|known| {
            let used = Rc::strong_count(known) > 1;
            if let (false, Some(inotify)) = (used, inotify) {
                // A watch that has reported a change has already ended.
                let _ = inotify.remove(known.watch);
            }
            used
        });
    }
}

#[cfg(test)]
mod tests;

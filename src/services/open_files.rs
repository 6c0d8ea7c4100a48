//! The open-file cache: contents of small files and descriptors of large ones, by path.
//!
//! Invariant: a response is never older than the time at which its request began to arrive ([`Clock::epoch`]). At its
//! first use in an epoch, an entry is compared with the file (stat: 1.5 µs), unless the kernel watches its directory
//! and has reported no change. A path that changed, vanished or may no longer be accessed is opened again, and a
//! missing one is looked up again. Contents younger than the clock's granularity are not trusted: a second write could
//! have the same timestamps.

mod lookup;
mod missing;

pub use self::lookup::{Lookup, directory_of};
use self::missing::Missing;
use super::clock::Clock;
use super::descriptors::Descriptors;
use super::dir_watch::DirWatch;
use super::encoded_copies::{Copies, MemoryBudget, PartialCopy};
use crate::http::file_response::FileResponse;
use crate::http::response_head::CachedHead;
use crate::http::{date, etag::ETag};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, O_NONBLOCK, O_RDONLY, Stat};
use crate::util::hash::SecretMap;
use std::cell::{Cell, OnceCell};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Files up to this size are cached in memory: head and content are sent by one call. Above it, sendfile is faster.
pub const SMALL: u64 = 16 << 10;
/// Files up to this size are cached in memory after this many requests for parts of them.
const WHOLE: u64 = 256 << 10;
const CACHE_AFTER_PARTS: u8 = 8;
/// Maximum number of entries; each takes about 300 bytes plus its content.
const ENTRIES: usize = 20_000;
/// Maximum number of cached descriptors if no limit is known; otherwise half the limit.
const DESCRIPTORS: usize = 256;
/// Maximum number of slots examined by one search for descriptors to close.
const SEARCH: usize = 1024;
/// Milliseconds until an unused descriptor is closed: a deleted file's space must not stay allocated.
const IDLE_FD: u64 = 5_000;
/// Likewise for a file with a compressed copy, which is more valuable.
const IDLE_COPY: u64 = 60_000;
/// Minimum milliseconds between two searches for unused descriptors: each examines all files.
const SWEEP: u64 = 1_000;

/// What a path refers to.
#[derive(Clone)]
pub enum Opened {
    /// A regular file, open or in memory.
    File(Rc<OpenFile>),
    /// A directory, looked at but not kept open.
    Directory(Stat),
    /// A socket, FIFO or device: never served.
    Other,
}

/// An open regular file. Its users read the version that existed when it was opened.
pub struct OpenFile {
    /// As it was when the file was opened.
    pub stat: Stat,
    /// Made of the stat.
    pub etag: ETag,
    /// The modification time as an HTTP date.
    pub last_modified: [u8; 29],
    /// What responses with the whole file have in common, with the content if that is cached.
    response: FileResponse,
    fd: Option<OwnedFd>,
    copies: Copies,
    /// How often a part of it was requested.
    pieces: Cell<u8>,
    /// Whether it was used since the hand of the CLOCK algorithm passed, and when last (monotonic milliseconds).
    recent: Cell<bool>,
    used: Cell<u64>,
    /// The budget for copies; unset for a file that is not cached.
    budget: OnceCell<Rc<MemoryBudget>>,
}

/// A file's version, used in the ETag of GET and in conditions of writes.
pub fn version(stat: &Stat) -> ETag {
    let mut identity = stat.ino;
    for part in [stat.dev, stat.ctime.0 as u64, u64::from(stat.ctime.1)] {
        identity = (identity ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    ETag::new(stat.mtime.0, stat.mtime.1, stat.size, (identity >> 32) as u32)
}

impl OpenFile {
    /// The whole content, if it is small enough to be cached.
    pub fn memory(&self) -> Option<&[u8]> {
        match self.fd {
            None => Some(self.response.content()),
            Some(_) => None,
        }
    }

    /// The cached parts of the head of a response with the whole file.
    pub fn cached_head(&self) -> CachedHead<'_> {
        self.response.head(self.etag.as_bytes())
    }

    /// None: the content is in memory.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(OwnedFd::as_fd)
    }

    /// Records a use.
    pub fn touch(&self, now: &Clock) {
        self.recent.set(true);
        self.used.set(now.ms);
    }

    /// The whole file as gzip of this level, if cached.
    pub fn gzip(&self, level: u32) -> Option<Rc<[u8]>> {
        self.copies.gzip(level)
    }

    /// A copy to be filled; None: copies of this file are not cached.
    pub fn begin_copy(&self) -> Option<PartialCopy> {
        self.budget.get().cloned().map(PartialCopy::new)
    }

    /// Caches `made`, compressed from the whole content, unless the content changed meanwhile.
    pub fn keep_gzip(&self, level: u32, made: PartialCopy) {
        let bytes = made.finish();
        let unchanged = self.fd().is_none_or(|fd| file::fstat(fd).is_ok_and(|stat| same(&stat, &self.stat)));
        if unchanged && let Some(budget) = self.budget.get() {
            self.copies.keep_gzip(level, &bytes, budget);
        }
    }

    /// A part, if the content is in memory: a file that is not too large, and of which parts are often requested, is
    /// read once instead of each time.
    pub fn piece(&self, at: u64, end: u64) -> Option<&[u8]> {
        let count = self.pieces.get();
        if count <= CACHE_AFTER_PARTS {
            self.pieces.set(count + 1);
        }
        if count == CACHE_AFTER_PARTS
            && self.stat.size <= WHOLE
            && let (Some(fd), Some(budget)) = (self.fd(), self.budget.get())
            && let Ok(Content::Whole(content, stat)) = read_whole(fd, self.stat)
            && same(&stat, &self.stat)
        {
            self.copies.keep_plain(&content, budget);
        }
        self.copies.plain()?.get(usize::try_from(at).ok()?..usize::try_from(end).ok()?)
    }

    /// Opens the file of `fd`. Small files are read at once.
    pub fn adopt(fd: OwnedFd, stat: Stat) -> Result<OpenFile, Errno> {
        let content = if stat.size <= SMALL { read_whole(fd.as_fd(), stat)? } else { Content::Left(stat) };
        let (fd, stat, content) = match content {
            Content::Whole(content, stat) => (None, stat, content),
            Content::Left(stat) => (Some(fd), stat, Vec::new()),
        };
        let (etag, last_modified) = (version(&stat), date::format(stat.mtime.0));
        let response = FileResponse::new(stat.size, &last_modified, etag.as_bytes(), &content);
        Ok(OpenFile {
            etag,
            last_modified,
            response,
            stat,
            fd,
            copies: Copies::default(),
            pieces: Cell::new(0),
            recent: Cell::new(false),
            used: Cell::new(0),
            budget: OnceCell::new(),
        })
    }
}

enum Content {
    Whole(Vec<u8>, Stat),
    /// Not read: it is too large, or being written, so that no version is complete.
    Left(Stat),
}

/// Reads a file so that content and timestamps match: the timestamps are read again afterwards.
fn read_whole(fd: BorrowedFd<'_>, mut stat: Stat) -> Result<Content, Errno> {
    for _ in 0..3 {
        let mut bytes = vec![0; stat.size as usize];
        let mut len = 0;
        while len < bytes.len() {
            match file::pread(fd, &mut bytes[len..], len as u64)? {
                0 => break,
                n => len += n,
            }
        }
        let after = file::fstat(fd)?;
        if same(&after, &stat) && len == bytes.len() {
            return Ok(Content::Whole(bytes, stat));
        }
        stat = after;
        if stat.size > SMALL {
            break;
        }
    }
    Ok(Content::Left(stat))
}

fn same(a: &Stat, b: &Stat) -> bool {
    a.ino == b.ino && a.dev == b.dev && a.size == b.size && a.mtime == b.mtime && a.ctime == b.ctime && a.mode == b.mode
}

/// Opens a path without the cache.
pub fn open(path: &CStr) -> Result<Opened, Errno> {
    found(file::open_at(None, path, O_RDONLY | O_NONBLOCK, 0))
}

/// The result of opening for reading. Sockets and devices without a driver cannot be opened, but exist nevertheless.
pub fn found(opened: Result<OwnedFd, Errno>) -> Result<Opened, Errno> {
    let fd = match opened {
        Err(Errno::ENXIO | Errno::ENODEV) => return Ok(Opened::Other),
        opened => opened?,
    };
    let stat = file::fstat(fd.as_fd())?;
    Ok(match stat.kind {
        FileKind::Regular => Opened::File(Rc::new(OpenFile::adopt(fd, stat)?)),
        FileKind::Dir => Opened::Directory(stat),
        _ => Opened::Other,
    })
}

/// Open files, directories and missing names, by absolute path.
pub struct FileCache {
    /// Slots by path. Keyed hash: clients that may upload choose names, and could otherwise cause collisions.
    map: SecretMap<Box<[u8]>, u32>,
    /// A ring of slots: the clock hand evicts those not used since it last passed (CLOCK algorithm).
    slots: Vec<Slot>,
    hand: usize,
    bytes: u64,
    limit: u64,
    descriptors: usize,
    /// Maximum number of cached descriptors, and which are reserved for other purposes.
    most_descriptors: usize,
    all_descriptors: Descriptors,
    /// When unused descriptors were last searched for (monotonic milliseconds).
    swept: u64,
    /// The budget for compressed copies, as large as that for contents.
    copies: Rc<MemoryBudget>,
    missing: Missing,
}

struct Slot {
    path: Box<[u8]>,
    file: Rc<OpenFile>,
    lookup: Lookup,
    /// The file has several names, so its directory does not report every change.
    alone: bool,
}

impl FileCache {
    /// `limit`: maximum bytes of cached contents. 0 disables the cache.
    pub fn new(limit: u64) -> FileCache {
        FileCache {
            map: SecretMap::default(),
            slots: Vec::new(),
            hand: 0,
            bytes: 0,
            limit,
            descriptors: 0,
            most_descriptors: DESCRIPTORS,
            all_descriptors: Descriptors::default(),
            swept: 0,
            copies: Rc::new(MemoryBudget::new(limit)),
            missing: Missing::default(),
        }
    }

    /// Applies the limit of a new configuration.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
        self.copies.set_limit(limit);
        while !self.slots.is_empty() && self.bytes > limit {
            self.evict();
        }
    }

    /// Sets the number of descriptors for connections and files; `all` tells when they are scarce.
    pub fn set_descriptors(&mut self, count: usize, all: Descriptors) {
        self.all_descriptors = all;
        self.most_descriptors = count / 2;
        while self.descriptors > self.most_descriptors {
            self.evict();
        }
    }

    /// When descriptors are scarce: closes some that are only cached. Returns how many; those of files being sent are
    /// closed when that is complete.
    pub fn give_back(&mut self) -> usize {
        let mut closed = 0;
        for _ in 0..SEARCH.min(self.slots.len()) {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let Some(slot) = self.slots.get(self.hand).filter(|_| self.descriptors > 0) else { break };
            if slot.file.fd().is_none() {
                self.hand += 1;
                continue;
            }
            closed += usize::from(Rc::strong_count(&slot.file) == 1);
            self.remove(self.hand);
        }
        closed
    }

    /// The file that `path` refers to now.
    pub fn open(&mut self, path: &CStr, now: &Clock, watch: &mut DirWatch) -> Result<Opened, Errno> {
        let name = path.to_bytes();
        watch.refresh(now);
        let found = match self.map.get(name) {
            Some(&at) => {
                if let Some(file) = self.fresh(at as usize, path, now, watch) {
                    return Ok(Opened::File(file));
                }
                self.remove(at as usize);
                None
            }
            None => self.missing.get(name),
        };
        if let Some((e, lookup)) = found
            && lookup.holds(now)
        {
            return Err(*e);
        }
        if self.limit == 0 {
            return open(path);
        }
        let dir = directory_of(name);
        let mut lookup = Lookup::new(watch.watched(dir).cloned(), now);
        match self.open_now(path) {
            Ok(Opened::File(file)) => {
                self.missing.remove(name);
                if settled(&file.stat, now) {
                    if lookup.dir.is_none() {
                        lookup = Lookup::new(watch.directory(dir, now), now);
                    }
                    self.keep(path, &file, lookup, now);
                }
                Ok(Opened::File(file))
            }
            Err(e) if e == Errno::ENOENT || e == Errno::ENOTDIR => {
                self.missing.note(name, e, now, watch);
                Err(e)
            }
            other => other,
        }
    }

    /// Opens it; without a free descriptor, retries after closing cached ones.
    fn open_now(&mut self, path: &CStr) -> Result<Opened, Errno> {
        match open(path) {
            Err(Errno::EMFILE | Errno::ENFILE) if self.give_back() > 0 => open(path),
            opened => opened,
        }
    }

    /// As [`FileCache::open`], with how long the result can be relied on without checking. None: nothing is cached, or
    /// it is not a regular file.
    pub fn open_with_lookup(
        &mut self,
        path: &CStr,
        now: &Clock,
        watch: &mut DirWatch,
    ) -> Option<(Result<Rc<OpenFile>, Errno>, Lookup)> {
        let found = match self.open(path, now, watch) {
            Ok(Opened::File(file)) => Ok(file),
            Ok(_) => return None,
            Err(e) => Err(e),
        };
        let name = path.to_bytes();
        let lookup = match self.map.get(name) {
            Some(&at) => &self.slots[at as usize].lookup,
            None => &self.missing.get(name)?.1,
        };
        Some((found, lookup.clone()))
    }

    /// The entry's file, if its path still refers to it.
    fn fresh(&mut self, at: usize, path: &CStr, now: &Clock, watch: &mut DirWatch) -> Option<Rc<OpenFile>> {
        let slot = &mut self.slots[at];
        if !slot.lookup.holds(now) {
            let dir = if slot.alone { None } else { watch.directory(directory_of(path.to_bytes()), now) };
            let lookup = Lookup::new(dir, now);
            if !file::stat(path).is_ok_and(|stat| same(&stat, &slot.file.stat)) {
                return None;
            }
            slot.lookup = lookup;
        }
        slot.file.touch(now);
        Some(slot.file.clone())
    }

    fn keep(&mut self, path: &CStr, file: &Rc<OpenFile>, mut lookup: Lookup, now: &Clock) {
        let cost = file.memory().map_or(0, |m| m.len() as u64);
        let is_descriptor = file.fd().is_some();
        if cost > self.limit {
            return;
        }
        if file.fd().is_some_and(|fd| self.all_descriptors.is_reserved(fd)) {
            self.give_back();
            return;
        }
        while !self.slots.is_empty()
            && (self.bytes + cost > self.limit
                || self.slots.len() >= ENTRIES
                || (is_descriptor && self.descriptors >= self.most_descriptors))
        {
            self.evict();
        }
        // Checked again, now that it is watched.
        let alone = file.stat.nlink > 1 || !file::lstat(path).is_ok_and(|stat| same(&stat, &file.stat));
        if alone {
            lookup.dir = None;
        }
        // Already set if the file is cached under another name too.
        let _ = file.budget.set(self.copies.clone());
        self.bytes += cost;
        self.descriptors += usize::from(is_descriptor);
        let path: Box<[u8]> = path.to_bytes().into();
        self.map.insert(path.clone(), self.slots.len() as u32);
        file.used.set(now.ms);
        self.slots.push(Slot { path, file: file.clone(), lookup, alone });
    }

    fn evict(&mut self) {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let Some(slot) = self.slots.get(self.hand) else { return };
            if !slot.file.recent.take() {
                return self.remove(self.hand);
            }
            self.hand += 1;
        }
    }

    /// Removes an entry. Current users keep the file.
    fn remove(&mut self, at: usize) {
        let slot = self.slots.swap_remove(at);
        self.map.remove(&slot.path);
        self.bytes -= slot.file.memory().map_or(0, |m| m.len() as u64);
        self.descriptors -= usize::from(slot.file.fd().is_some());
        if let Some(moved) = self.slots.get(at) {
            let place = self.map.get_mut(&moved.path).expect("every slot is in the map under its path");
            *place = at as u32;
        }
    }

    /// Closes descriptors that were not used recently.
    pub fn sweep(&mut self, now: &Clock) {
        if self.descriptors == 0 || now.ms < self.swept + SWEEP {
            return;
        }
        self.swept = now.ms;
        let mut at = 0;
        while at < self.slots.len() {
            let slot = &self.slots[at];
            let idle = if slot.file.copies.is_empty() { IDLE_FD } else { IDLE_COPY };
            if slot.file.fd().is_some() && slot.file.used.get() + idle < now.ms {
                self.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Some could be closed to free descriptors.
    pub fn holds_descriptors(&self) -> bool {
        self.descriptors > 0
    }
}

/// Whether the last change is old enough that another one would alter the timestamps.
fn settled(stat: &Stat, now: &Clock) -> bool {
    now.is_settled(stat.mtime, stat.ctime)
}

#[cfg(test)]
mod tests;

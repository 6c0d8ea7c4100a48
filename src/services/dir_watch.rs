//! Directories watched by inotify: what was read from one need not be read again until something changes in it or on
//! the path to it. A stat per file and turn (1.5 µs) becomes one read for all (0.3 µs), or none if the kernel would
//! have reported a change.
//!
//! Invariant: if a [`Dir`] still exists and its change count equals the one that a reader noted *before* its lookup,
//! nothing reachable through its path has changed since, as far as the kernel reports changes, as of the last
//! [`DirWatch::refresh`]. The kernel does not report writes through a shared mapping, writes to a file by its name in
//! another directory, or mounts: so users check again every [`TRUST`] milliseconds, and do not rely on this for files
//! with several names.
//!
//! What bounds it: an event invalidates all directories that it concerns at once, by a flag each. Their entries among
//! the watches are removed later, [`SWEEP`] per epoch: an event about `/srv` may concern [`DIRS`] directories with
//! [`STEPS`] steps each. All pending events are read; the kernel keeps at most 16384.

use super::clock::Clock;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Stat};
use crate::sys::inotify::{self, Inotify};
use crate::util::hash::FastMap;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// Milliseconds after which a file is checked again even without a reported change: for that long, a change by another
/// name, a mapping or a mount goes unnoticed. Two stats per second and file in use cost 3 µs.
pub const TRUST: u64 = 500;
/// Maximum number of watched directories; each takes about a kilobyte of kernel memory. Files in others are checked
/// each time.
const DIRS: usize = 4096;
/// Milliseconds until a directory that could not be watched is tried again.
const RETRY: u64 = 10_000;
/// Maximum number of symbolic links followed to a directory; the kernel's own limit.
const LINKS: u32 = 40;
/// Maximum number of path components of a watched directory: each costs two system calls, and clients may create
/// directories as deep as paths allow.
const STEPS: usize = 64;
/// Maximum number of watches of lost directories removed per epoch: each may cost a system call.
const SWEEP: usize = 64;
/// Bytes of events read at a time.
const EVENTS: usize = 4096;
/// Events of a watched directory's entries.
const INSIDE: u32 =
    inotify::MODIFY | inotify::ATTRIB | inotify::CREATE | inotify::DELETE | inotify::MOVED_FROM | inotify::MOVED_TO;
/// Events of directories on the path: it leads elsewhere now, or may no longer be accessed. The removal of a directory
/// that some process holds open is reported only by its parent's watch.
const PATH_EVENTS: u32 = inotify::ATTRIB | inotify::MOVE_SELF | inotify::DELETE_SELF | inotify::DELETE;
/// File systems that only change through this kernel (statfs(2)): ext4, xfs, btrfs, tmpfs, f2fs, zfs. Excluded are NFS,
/// 9p and FUSE; overlayfs, which loses watches when it copies up; ramfs and bcachefs, which do not report the size of a
/// directory.
const LOCAL: [u64; 6] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0xf2f5_2010, ZFS];
const ZFS: u64 = 0x2fc1_2fc1;

/// Maximum size by stat(2) of a watched directory: when a watch is added, the kernel marks all cached entries in one
/// call (20 ms for 200 000). The size counts bytes of names; on ZFS, entries.
fn largest(file_system: u64) -> u64 {
    if file_system == ZFS { 40_000 } else { 1 << 20 }
}

/// Whether a directory may be watched, by its file system and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Price {
    /// It may be watched.
    Fair,
    /// It has too many entries: adding a watch would take too long.
    TooHigh,
    /// Its file system may change without this kernel knowing.
    NotLocal,
}

/// Whether the directory of this path and `stat` may be watched.
///
/// # Errors
/// statfs(2).
pub(super) fn price(path: &CStr, stat: &Stat) -> Result<Price, Errno> {
    let kind = file::file_system(path)?;
    Ok(match (LOCAL.contains(&kind), stat.size > largest(kind)) {
        (false, _) => Price::NotLocal,
        (true, true) => Price::TooHigh,
        (true, false) => Price::Fair,
    })
}

/// A watch, and the name of the next step from there; None: it is on the directory itself.
type OwnMark = (i32, Option<Box<[u8]>>);

/// A watched directory.
pub struct Dir {
    path: Box<[u8]>,
    alive: Cell<bool>,
    changes: Cell<u64>,
    /// The inotify watches on it and on the path to it.
    marks: RefCell<Vec<OwnMark>>,
}

impl Dir {
    /// Unique while the directory exists.
    fn number(self: &Rc<Dir>) -> usize {
        Rc::as_ptr(self).addr()
    }

    /// The number of changes reported so far. None: the directory is no longer watched, or the path leads elsewhere.
    pub fn changes(&self) -> Option<u64> {
        self.alive.get().then(|| self.changes.get())
    }
}

enum WatchState {
    Watched(Rc<Dir>),
    /// Not to be retried before this time (monotonic milliseconds).
    Refused(u64),
}

/// Directories by their numbers ([`Dir::number`]).
type Dirs = FastMap<usize, Rc<Dir>>;

/// The purpose of a kernel watch.
#[derive(Default)]
struct Mark {
    /// The directory itself, by each path that leads to it.
    inside: Dirs,
    /// Directories whose paths lead through it, by the next step.
    steps: HashMap<Box<[u8]>, Dirs>,
}

impl Mark {
    fn is_empty(&self) -> bool {
        self.inside.is_empty() && self.steps.is_empty()
    }

    fn dirs_at(&mut self, next: Option<&[u8]>) -> &mut Dirs {
        match next {
            None => &mut self.inside,
            Some(next) => self.steps.entry(next.into()).or_default(),
        }
    }

    fn remove(&mut self, next: Option<&[u8]>, number: usize) {
        let Some(next) = next else {
            self.inside.remove(&number);
            return;
        };
        if let Some(dirs) = self.steps.get_mut(next) {
            dirs.remove(&number);
            if dirs.is_empty() {
                self.steps.remove(next);
            }
        }
    }
}

/// All watches of the process.
#[derive(Default)]
pub struct DirWatch {
    /// None before the first directory, or if inotify is unavailable.
    inotify: Option<Inotify>,
    dirs: HashMap<Box<[u8]>, WatchState>,
    marks: FastMap<i32, Mark>,
    /// Directories no longer watched whose marks are not removed yet.
    lost: Vec<Rc<Dir>>,
    /// The epoch in which events were last read.
    moment: u64,
    /// The buffer for events; made with the first directory.
    bytes: Vec<u8>,
    loop_watch: LoopWatch,
    bound: Bound,
}

/// The largest directory to watch, by its file system.
struct Bound(fn(u64) -> u64);

impl Default for Bound {
    fn default() -> Bound {
        Bound(largest)
    }
}

/// Whether the event loop is notified of changes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum LoopWatch {
    /// No.
    #[default]
    None,
    /// Armed: no change has been reported.
    Armed,
    /// Notified once: a directory that no request needs may change all day.
    Fired,
    /// The events were read; the loop does not watch.
    Spent,
}

impl DirWatch {
    /// Reads the changes so far. Call it before relying on a [`Dir`]; the second call in an epoch costs nothing.
    pub fn refresh(&mut self, now: &Clock) {
        if self.moment == now.epoch {
            return;
        }
        self.moment = now.epoch;
        let quiet = self.loop_watch == LoopWatch::Armed && now.is_first_of_turn();
        if !self.marks.is_empty() && !quiet {
            self.read();
        }
        self.sweep();
    }

    /// Removes the watches of some of the lost directories.
    fn sweep(&mut self) {
        let mut given = 0;
        while given < SWEEP
            && let Some(dir) = self.lost.pop()
        {
            given += self.unmark(&dir);
        }
    }

    /// The descriptor that the loop must watch from the next turn on, and whether it is already registered. None: it is
    /// armed, or need not be.
    pub fn descriptor_to_arm(&self) -> Option<(BorrowedFd<'_>, bool)> {
        let inotify = self.inotify.as_ref()?;
        match self.loop_watch {
            LoopWatch::None => Some((inotify.fd(), false)),
            LoopWatch::Spent => Some((inotify.fd(), true)),
            LoopWatch::Armed | LoopWatch::Fired => None,
        }
    }

    /// Call it when the descriptor was armed (one-shot).
    pub fn armed(&mut self) {
        self.loop_watch = LoopWatch::Armed;
    }

    /// Call it when the descriptor is readable.
    pub fn event(&mut self) {
        self.loop_watch = LoopWatch::Fired;
    }

    fn read(&mut self) {
        if self.loop_watch == LoopWatch::Fired {
            self.loop_watch = LoopWatch::Spent;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(EVENTS, 0);
        while let Some(inotify) = &self.inotify {
            match inotify.read(&mut bytes) {
                Ok(len) => inotify::events(bytes.get(..len).unwrap_or_default()).for_each(|event| self.take(event)),
                Err(Errno::EAGAIN) => break,
                Err(_) => self.forget(),
            }
        }
        self.bytes = bytes;
    }

    fn take(&mut self, event: inotify::Event) {
        if event.mask & inotify::Q_OVERFLOW != 0 {
            return self.distrust();
        }
        if event.name.is_empty() {
            let Some(mark) = self.marks.remove(&event.watch) else { return };
            self.end(event.watch);
            let all = mark.steps.into_values().chain([mark.inside]).flatten();
            return all.for_each(|(_, dir)| self.lose(dir));
        }
        let Some(mark) = self.marks.get_mut(&event.watch) else { return };
        for dir in mark.inside.values() {
            dir.changes.set(dir.changes.get() + 1);
        }
        if event.mask & inotify::DELETE != 0
            && let Some(dirs) = mark.steps.remove(event.name)
        {
            dirs.into_values().for_each(|dir| self.lose(dir));
        }
    }

    /// Makes all users of the directory look it up again.
    fn lose(&mut self, dir: Rc<Dir>) {
        if dir.alive.replace(false) {
            self.lost.push(dir);
        }
    }

    /// Removes the directory from all tables. Returns the number of its watches.
    fn unmark(&mut self, dir: &Rc<Dir>) -> usize {
        dir.alive.set(false);
        // Another may be watched at this path by now.
        if matches!(self.dirs.get(&dir.path), Some(WatchState::Watched(known)) if Rc::ptr_eq(known, dir)) {
            self.dirs.remove(&dir.path);
        }
        let marks = dir.marks.take();
        for (watch, next) in &marks {
            let Some(mark) = self.marks.get_mut(watch) else { continue };
            mark.remove(next.as_deref(), dir.number());
            if mark.is_empty() {
                self.marks.remove(watch);
                self.end(*watch);
            }
        }
        marks.len()
    }

    fn end(&self, watch: i32) {
        if let Some(inotify) = &self.inotify {
            // EINVAL: the watch ended with its object.
            let _ = inotify.remove(watch);
        }
    }

    /// Events were lost: any directory may have changed. Their watches stay until [`DirWatch::sweep`].
    fn distrust(&mut self) {
        let watched = |known: &WatchState| match known {
            WatchState::Watched(dir) => Some(dir.clone()),
            WatchState::Refused(_) => None,
        };
        let dirs: Vec<Rc<Dir>> = self.dirs.values().filter_map(watched).collect();
        dirs.into_iter().for_each(|dir| self.lose(dir));
    }

    /// Starts over: no events can be read any more.
    pub fn forget(&mut self) {
        for known in std::mem::take(&mut self.dirs).into_values() {
            if let WatchState::Watched(dir) = known {
                dir.alive.set(false);
            }
        }
        self.marks.clear();
        self.lost.clear();
        self.inotify = None;
        self.loop_watch = LoopWatch::None;
    }

    /// The directory at `path`, watched from now on. None: it does not exist or cannot be watched, so check each time.
    pub fn directory(&mut self, path: &[u8], now: &Clock) -> Option<Rc<Dir>> {
        match self.dirs.get(path) {
            Some(WatchState::Watched(dir)) if dir.alive.get() => return Some(dir.clone()),
            Some(WatchState::Refused(until)) if now.ms < *until => return None,
            _ if self.dirs.len().max(self.lost.len()) >= DIRS || memchr::memchr_iter(b'/', path).count() > STEPS => {
                return None;
            }
            _ => {}
        }
        let dir = Rc::new(Dir {
            path: path.into(),
            alive: Cell::new(true),
            changes: Cell::new(0),
            marks: RefCell::default(),
        });
        match self.watch(path, &dir) {
            Ok(()) => {
                self.dirs.insert(path.into(), WatchState::Watched(dir.clone()));
                Some(dir)
            }
            Err(e) => {
                self.unmark(&dir);
                // Missing directories are not cached, since any client may have chosen the name.
                if e != Errno::ENOENT && e != Errno::ENOTDIR {
                    self.dirs.insert(path.into(), WatchState::Refused(now.ms + RETRY));
                }
                None
            }
        }
    }

    /// The directory if it is already watched; makes no system call.
    pub fn watched(&self, path: &[u8]) -> Option<&Rc<Dir>> {
        match self.dirs.get(path) {
            Some(WatchState::Watched(dir)) if dir.alive.get() => Some(dir),
            _ => None,
        }
    }

    /// Whether the directory is watched; false if it recently could not be. None: unknown. Makes no system call.
    pub fn known(&self, path: &[u8], now: &Clock) -> Option<bool> {
        match self.dirs.get(path)? {
            WatchState::Watched(dir) => dir.alive.get().then_some(true),
            WatchState::Refused(until) => (now.ms < *until).then_some(false),
        }
    }

    /// Watches each component of the path and finally the directory, each before it is examined.
    fn watch(&mut self, path: &[u8], dir: &Rc<Dir>) -> Result<(), Errno> {
        let (mut links, mut taken) = (0, 0);
        let mut at = Vec::new();
        let mut rest: Vec<Box<[u8]>> = steps(path);
        while let Some(step) = rest.pop() {
            taken += 1;
            // Symbolic links may make the path long too.
            if taken > 2 * STEPS {
                return Err(Errno::ELOOP);
            }
            if *step == *b".." {
                let up = memchr::memrchr(b'/', &at).unwrap_or(0);
                at.truncate(up);
                continue;
            }
            let parent = at.len();
            at.push(b'/');
            at.extend_from_slice(&step);
            let name = CString::new(&at[..]).map_err(|_| Errno::ENOENT)?;
            let next = rest.last().cloned().unwrap_or_default();
            self.bounded(&name)?;
            self.mark(&name, PATH_EVENTS | inotify::DONT_FOLLOW, dir, Some(next))?;
            match file::readlink_at(None, &name) {
                Ok(target) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::ELOOP);
                    }
                    at.truncate(if target.starts_with(b"/") { 0 } else { parent });
                    rest.extend(steps(&target));
                }
                // It is not a link.
                Err(Errno::EINVAL) => {}
                Err(e) => return Err(e),
            }
        }
        if at.is_empty() {
            at.push(b'/');
        }
        let name = CString::new(at).map_err(|_| Errno::ENOENT)?;
        self.bounded(&name)?;
        // Checked before watching, since the size may be unreliable on this file system; and again, in case another one
        // was mounted there.
        local(&name)?;
        self.mark(&name, INSIDE | inotify::ONLYDIR, dir, None)?;
        local(&name)?;
        // Make sure that the directory at the path is the one that is watched.
        let (seen, meant) = (file::lstat(&name)?, file::stat(&CString::new(path).map_err(|_| Errno::ENOENT)?)?);
        match (seen.ino, seen.dev, seen.kind) == (meant.ino, meant.dev, FileKind::Dir) {
            true => Ok(()),
            false => Err(Errno::ENOENT),
        }
    }

    fn bounded(&self, name: &CStr) -> Result<(), Errno> {
        let stat = file::lstat(name)?;
        let is_too_large = stat.kind == FileKind::Dir && stat.size > (self.bound.0)(file::file_system(name)?);
        if is_too_large { Err(Errno::EFBIG) } else { Ok(()) }
    }

    /// `next`: the step after it; None: it is the directory itself.
    fn mark(&mut self, name: &CStr, mask: u32, dir: &Rc<Dir>, next: Option<Box<[u8]>>) -> Result<(), Errno> {
        let inotify = match &self.inotify {
            Some(inotify) => inotify,
            None => self.inotify.insert(Inotify::new()?),
        };
        let watch = inotify.add(name, mask)?;
        self.marks.entry(watch).or_default().dirs_at(next.as_deref()).insert(dir.number(), dir.clone());
        dir.marks.borrow_mut().push((watch, next));
        Ok(())
    }
}

fn local(name: &CStr) -> Result<(), Errno> {
    if LOCAL.contains(&file::file_system(name)?) { Ok(()) } else { Err(Errno::EPERM) }
}

/// The components of a path, last one first.
fn steps(path: &[u8]) -> Vec<Box<[u8]>> {
    path.rsplit(|b| *b == b'/').filter(|step| !step.is_empty() && *step != b".").map(Into::into).collect()
}

#[cfg(test)]
mod tests;

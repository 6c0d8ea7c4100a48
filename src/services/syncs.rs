//! Syncing files to disk (upload_sync): kernel workers wait for it, so that the loop does not. Without workers the loop
//! waits itself; if they are busy, files are queued.
//!
//! A directory is synced once for all requests that wait for names in it: requests that arrive during a sync share the
//! next one. Its own name, and those of the directories above, are synced the first time something is stored in it,
//! since they may be as new as the file; from then on the directory is *anchored*, until this process creates another
//! one.
//!
//! Invariant: every [`Sync`] gets an outcome, which [`Syncs::ended`] reports to the connection that began it; a shared
//! sync begins after every request that shares it. A sync that nothing waits for is forgotten when it ends.

use crate::sys::Errno;
use crate::sys::aio::Aio;
use crate::sys::file::{self, O_DIRECTORY, O_RDONLY};
use crate::util::wake::Wake;
use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Maximum number of directories remembered as anchored.
const ANCHORED: usize = 4096;

/// All syncs of this process.
#[derive(Default)]
pub struct Syncs {
    aio: Option<Aio>,
    /// The connection being driven, which is woken when syncs that it begins now have ended.
    pub driven: Option<Wake>,
    /// Syncs in progress, with the connections waiting for them.
    pending: HashMap<u64, Pending>,
    /// Syncs that the kernel has not accepted yet.
    queue: VecDeque<(u64, OwnedFd)>,
    next: u64,
    /// Directories being synced.
    dirs: HashMap<Id, Directory>,
    /// Directories whose own names are on disk, and the number of directories created so far: a sync that began before
    /// one was created proves nothing about it.
    anchored: HashSet<Id>,
    made: u64,
    /// Chains of parent directories being synced.
    chains: Vec<AncestorSyncs>,
}

/// Device and inode.
type Id = (u64, u64);
type Outcome = Option<Result<(), Errno>>;
type Waiter = (Option<Wake>, Rc<Cell<Outcome>>);

enum Pending {
    File(Waiter),
    Directory(Id),
}

struct Directory {
    fd: OwnedFd,
    /// Waiters for the sync in progress, and for the next one.
    now: Vec<Waiter>,
    next: Vec<Waiter>,
}

/// A directory's ancestors: it is anchored when all of these are synced.
struct AncestorSyncs {
    ids: Vec<Id>,
    syncs: Vec<Sync>,
    made: u64,
}

/// What is needed to sync a file's name to disk, opened before the name is given.
pub struct Prepared {
    above: Vec<Sync>,
    dir: OwnedFd,
    id: Id,
}

/// A file being synced to disk.
#[derive(Clone)]
pub struct Sync(Rc<Cell<Outcome>>);

impl Sync {
    /// The outcome; None while in progress.
    pub fn outcome(&self) -> Outcome {
        self.0.get()
    }
}

/// Whether all have ended.
///
/// # Errors
/// The error of one that failed.
pub fn all_ended(syncs: &[Sync]) -> Result<bool, Errno> {
    let mut ended = true;
    for sync in syncs {
        match sync.outcome() {
            None => ended = false,
            Some(outcome) => outcome?,
        }
    }
    Ok(ended)
}

impl Syncs {
    /// Prepares the kernel workers. Returns the descriptor to watch, if it is new.
    pub fn open(&mut self) -> Option<BorrowedFd<'_>> {
        if self.aio.is_some() {
            return None;
        }
        self.aio = Aio::new().ok();
        self.aio.as_ref().map(Aio::fd)
    }

    /// Begins syncing `fd`, data and metadata. It may be closed meanwhile.
    pub fn begin(&mut self, fd: BorrowedFd<'_>) -> Sync {
        let cell = Rc::new(Cell::new(None));
        let waiter = (self.driven, cell.clone());
        self.submit(fd, Pending::File(waiter));
        Sync(cell)
    }

    /// As [`Syncs::begin`], for the names in open directories, and the directories' own names.
    ///
    /// # Errors
    /// A directory cannot be opened for syncing.
    pub fn begin_names<'d>(&mut self, dirs: impl IntoIterator<Item = &'d Rc<OwnedFd>>) -> Result<Vec<Sync>, Errno> {
        let mut syncs = Vec::new();
        let mut seen: Vec<Id> = Vec::new();
        for dir in dirs {
            let stat = file::fstat(dir.as_fd())?;
            let id = (stat.dev, stat.ino);
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            syncs.push(self.begin_directory(dir.as_fd(), id)?);
            if !self.anchored.contains(&id) {
                self.begin_way(dir.as_fd(), id, &mut syncs)?;
            }
        }
        Ok(syncs)
    }

    /// Before a name is given in `dir`: begins to sync the directories above, and opens the directory for its own sync.
    /// If one of them cannot be opened, nothing has changed yet.
    ///
    /// # Errors
    /// A directory cannot be opened.
    pub fn prepare(&mut self, dir: BorrowedFd<'_>) -> Result<Prepared, Errno> {
        let dir = opened(dir)?;
        let stat = file::fstat(dir.as_fd())?;
        let (id, mut above) = ((stat.dev, stat.ino), Vec::new());
        if !self.anchored.contains(&id) {
            self.begin_way(dir.as_fd(), id, &mut above)?;
        }
        Ok(Prepared { above, dir, id })
    }

    /// As [`Syncs::begin_names`], for a directory in which a name was given that was prepared for.
    pub fn begin_prepared(&mut self, prepared: Prepared) -> Vec<Sync> {
        let Prepared { above: mut syncs, dir, id } = prepared;
        syncs.push(self.begin_opened(dir, id));
        syncs
    }

    /// Call it when a directory was created: its name is not on disk yet, and its inode number may be a reused one.
    pub fn made_directory(&mut self) {
        self.made += 1;
        self.anchored.clear();
    }

    /// Begins syncing the directories above `dir`, as far as they may be opened on its file system.
    fn begin_way(&mut self, dir: BorrowedFd<'_>, id: Id, syncs: &mut Vec<Sync>) -> Result<(), Errno> {
        let mut chain = AncestorSyncs { ids: vec![id], syncs: Vec::new(), made: self.made };
        let mut below: Option<OwnedFd> = None;
        let mut last = id;
        loop {
            let from = below.as_ref().map_or(dir, AsFd::as_fd);
            let above = match file::open_at(Some(from), c"..", O_RDONLY | O_DIRECTORY, 0) {
                Ok(above) => above,
                Err(e) if is_end_of_way(e) => break,
                Err(e) => return Err(e),
            };
            let stat = file::fstat(above.as_fd())?;
            let id = (stat.dev, stat.ino);
            if id.0 != last.0 || id == last {
                break;
            }
            match self.begin_directory(above.as_fd(), id) {
                Ok(sync) => chain.syncs.push(sync),
                Err(e) if is_end_of_way(e) => break,
                Err(e) => return Err(e),
            }
            if self.anchored.contains(&id) {
                break;
            }
            chain.ids.push(id);
            last = id;
            below = Some(above);
        }
        syncs.extend(chain.syncs.iter().cloned());
        self.chains.push(chain);
        if self.aio.is_none() {
            // It was synced synchronously; no event will follow.
            self.anchor();
        }
        Ok(())
    }

    fn begin_directory(&mut self, dir: BorrowedFd<'_>, id: Id) -> Result<Sync, Errno> {
        match self.begin_next(id) {
            Some(sync) => Ok(sync),
            None => Ok(self.begin_opened(opened(dir)?, id)),
        }
    }

    /// The same for a directory that is open for its sync.
    fn begin_opened(&mut self, fd: OwnedFd, id: Id) -> Sync {
        self.begin_next(id).unwrap_or_else(|| {
            let cell = Rc::new(Cell::new(None));
            let now = vec![(self.driven, cell.clone())];
            self.dirs.insert(id, Directory { fd, now, next: Vec::new() });
            // The waiting connection is being driven, and sees the outcome of a synchronous sync itself.
            self.write_directory(id, &mut Vec::new());
            Sync(cell)
        })
    }

    /// The next sync of a directory that is being synced. None: it is not.
    fn begin_next(&mut self, id: Id) -> Option<Sync> {
        let directory = self.dirs.get_mut(&id)?;
        let cell = Rc::new(Cell::new(None));
        directory.next.push((self.driven, cell.clone()));
        Some(Sync(cell))
    }

    fn write_directory(&mut self, id: Id, waiters: &mut Vec<Wake>) {
        // Removed temporarily, since the rest is borrowed during submission.
        let Some(directory) = self.dirs.remove(&id) else { return };
        let outcome = self.submit(directory.fd.as_fd(), Pending::Directory(id));
        match outcome {
            None => _ = self.dirs.insert(id, directory),
            Some(outcome) => complete(directory.now.into_iter().chain(directory.next), of_directory(outcome), waiters),
        }
    }

    /// Some: it was synced synchronously, with this outcome.
    fn submit(&mut self, fd: BorrowedFd<'_>, pending: Pending) -> Outcome {
        let number = self.next;
        self.next += 1;
        let submitted = match &self.aio {
            // Keep the order if some are queued.
            Some(_) if !self.queue.is_empty() => Err(Errno::EAGAIN),
            Some(aio) => aio.fsync(fd, number),
            None => Err(Errno::ENOSYS),
        };
        let submitted = match submitted {
            Err(Errno::EAGAIN) if !self.pending.is_empty() => {
                file::dup(fd).map(|fd| self.queue.push_back((number, fd)))
            }
            other => other,
        };
        if submitted.is_ok() {
            self.pending.insert(number, pending);
            return None;
        }
        let outcome = file::fsync(fd);
        if let Pending::File((_, cell)) = pending {
            cell.set(Some(outcome));
        }
        Some(outcome)
    }

    /// The waiters whose syncs have ended.
    pub fn ended(&mut self) -> Vec<Wake> {
        let mut waiters = Vec::new();
        let mut ended = Vec::new();
        let Some(aio) = &self.aio else { return waiters };
        let outcome = aio.ended(|number, outcome| ended.push((number, outcome)));
        if let Err(e) = outcome {
            // There will be no more outcomes: all syncs in progress have failed.
            self.queue.clear();
            ended.extend(self.pending.keys().map(|number| (*number, Err(e))));
        }
        for (number, outcome) in ended {
            match self.pending.remove(&number) {
                None => {}
                Some(Pending::File(waiter)) => complete([waiter], outcome, &mut waiters),
                Some(Pending::Directory(id)) => {
                    let Some(directory) = self.dirs.get_mut(&id) else { continue };
                    complete(directory.now.drain(..), of_directory(outcome), &mut waiters);
                    std::mem::swap(&mut directory.now, &mut directory.next);
                    match directory.now.is_empty() {
                        true => _ = self.dirs.remove(&id),
                        false => self.write_directory(id, &mut waiters),
                    }
                }
            }
        }
        self.submit_waiting(&mut waiters);
        self.anchor();
        waiters.dedup();
        waiters
    }

    /// Submits those that the kernel had no room for.
    fn submit_waiting(&mut self, waiters: &mut Vec<Wake>) {
        while let (Some(aio), Some((number, fd))) = (&self.aio, self.queue.front()) {
            match aio.fsync(fd.as_fd(), *number) {
                Ok(()) => _ = self.queue.pop_front(),
                // The completion of another one will make room.
                Err(Errno::EAGAIN) if self.pending.len() > self.queue.len() => return,
                Err(_) => {
                    let (number, outcome) = (*number, file::fsync(fd.as_fd()));
                    self.queue.pop_front();
                    match self.pending.remove(&number) {
                        Some(Pending::File(waiter)) => complete([waiter], outcome, waiters),
                        Some(Pending::Directory(id)) => {
                            let Some(directory) = self.dirs.remove(&id) else { continue };
                            complete(directory.now.into_iter().chain(directory.next), of_directory(outcome), waiters);
                        }
                        None => {}
                    }
                }
            }
        }
    }

    /// Marks directories whose ancestors are synced as anchored.
    fn anchor(&mut self) {
        let Syncs { chains, anchored, made, .. } = self;
        chains.retain(|chain| match all_ended(&chain.syncs) {
            Ok(false) => true,
            Ok(true) if chain.made == *made => {
                if anchored.len() >= ANCHORED {
                    anchored.clear();
                }
                anchored.extend(&chain.ids);
                false
            }
            _ => false,
        });
    }
}

/// The directory, opened so that it can be synced.
fn opened(dir: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    file::open_at(Some(dir), c".", O_RDONLY | O_DIRECTORY, 0)
}

/// Whether the walk to parent directories ends here: this process may not open them, or `dir` was removed. Other
/// errors, such as a lack of descriptors, are reported.
fn is_end_of_way(e: Errno) -> bool {
    matches!(e, Errno::EACCES | Errno::EPERM | Errno::ENOENT)
}

/// Some file systems (network, FUSE) do not support fsync on directories: then there is nothing to wait for.
fn of_directory(outcome: Result<(), Errno>) -> Result<(), Errno> {
    match outcome {
        Err(e) if file::is_missing(e) => Ok(()),
        other => other,
    }
}

fn complete(waiting: impl IntoIterator<Item = Waiter>, outcome: Result<(), Errno>, waiters: &mut Vec<Wake>) {
    for (waiter, cell) in waiting {
        cell.set(Some(outcome));
        waiters.extend(waiter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    /// Without a free descriptor it was left out, and counted as on the disk from then on.
    #[test]
    fn a_directory_above_that_cannot_be_opened_is_not_taken_to_be_on_the_disk() {
        let scratch = Scratch::new();
        scratch.write("file", b"");
        let file = std::fs::File::open(scratch.path().join("file")).expect("it is there");
        let mut syncs = Syncs::default();
        assert_eq!(syncs.begin_way(file.as_fd(), (1, 1), &mut Vec::new()), Err(Errno::ENOTDIR));
        assert!(syncs.anchored.is_empty() && syncs.chains.is_empty());
        assert_eq!(syncs.prepare(file.as_fd()).err(), Some(Errno::ENOTDIR), "before a name is given");
        let dir = scratch.fd();
        let prepared = syncs.prepare(dir.as_fd()).expect("it opens");
        let begun = syncs.begin_prepared(prepared);
        assert_eq!(all_ended(&begun), Ok(true));
        assert!(!syncs.anchored.is_empty());
    }
}

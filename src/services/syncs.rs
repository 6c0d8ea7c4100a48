//! Files on their way to the disk (upload_sync): the kernel's workers wait for it, the loop does not. Where they cannot
//! be had the loop waits itself.
//!
//! Invariant: every [`Sync`] gets an outcome, which [`Syncs::ended`] hands to the connection that began it. What no
//! one waits for any more is forgotten when it ends.

use crate::sys::Errno;
use crate::sys::aio::Aio;
use crate::sys::file::{self, O_DIRECTORY, O_RDONLY};
use crate::util::wake::Wake;
use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

#[derive(Default)]
pub struct Syncs {
    aio: Option<Aio>,
    /// The connection being driven: it is woken when what it begins now has ended.
    pub driven: Option<Wake>,
    /// Those under way, and the connection that waits for each.
    pending: HashMap<u64, (Option<Wake>, Rc<Cell<Outcome>>)>,
    next: u64,
}

type Outcome = Option<Result<(), Errno>>;

/// A file that is being written to the disk.
pub struct Sync(Rc<Cell<Outcome>>);

impl Sync {
    /// How it ended; None while it has not.
    pub fn outcome(&self) -> Outcome {
        self.0.get()
    }
}

/// Whether all of them have ended.
///
/// # Errors
/// That of one that failed.
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
    /// Has the kernel's workers ready. The descriptor to be watched, where that is new.
    pub fn open(&mut self) -> Option<BorrowedFd<'_>> {
        if self.aio.is_some() {
            return None;
        }
        self.aio = Aio::new().ok();
        self.aio.as_ref().map(Aio::fd)
    }

    /// Begins to write `fd` to the disk, data and metadata. It may be closed meanwhile.
    pub fn begin(&mut self, fd: BorrowedFd<'_>) -> Sync {
        let number = self.next;
        self.next += 1;
        if self.aio.as_ref().is_some_and(|aio| aio.fsync(fd, number).is_ok()) {
            let cell = Rc::new(Cell::new(None));
            self.pending.insert(number, (self.driven, cell.clone()));
            return Sync(cell);
        }
        Sync(Rc::new(Cell::new(Some(file::fsync(fd)))))
    }

    /// [`Syncs::begin`] for the names in directories that are open in whatever way.
    ///
    /// # Errors
    /// One cannot be opened for it.
    pub fn begin_names<'d>(&mut self, dirs: impl IntoIterator<Item = &'d Rc<OwnedFd>>) -> Result<Vec<Sync>, Errno> {
        let mut syncs = Vec::new();
        for dir in dirs {
            let fd = file::open_at(Some(dir.as_fd()), c".", O_RDONLY | O_DIRECTORY, 0)?;
            syncs.push(self.begin(fd.as_fd()));
        }
        Ok(syncs)
    }

    /// Those whose files are written by now.
    pub fn ended(&mut self) -> Vec<Wake> {
        let Some(aio) = &self.aio else { return Vec::new() };
        let (pending, mut waiters) = (&mut self.pending, Vec::new());
        let mut end = |pending: Option<(Option<Wake>, Rc<Cell<Outcome>>)>, outcome| {
            if let Some((waiter, cell)) = pending {
                cell.set(Some(outcome));
                waiters.extend(waiter);
            }
        };
        let ended = aio.ended(|number, outcome| end(pending.remove(&number), outcome));
        if let Err(e) = ended {
            // No more outcomes will come: all that are waited for have failed.
            pending.drain().for_each(|(_, waiting)| end(Some(waiting), Err(e)));
        }
        waiters
    }
}

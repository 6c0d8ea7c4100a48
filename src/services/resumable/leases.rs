//! Which request writes to an upload, and which uploads are requested from other processes or by them.

use super::claim::Claim;
use super::upload_id::UploadId;
use crate::sys::Errno;
use crate::sys::file;
use crate::util::wake::Wake;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};

/// Milliseconds between two checks whether another process asks for an upload that receives no data.
pub const CHECK_INTERVAL: u64 = 1_000;
/// Milliseconds for which a process that asks for an upload waits for its holder.
pub const PATIENCE: u64 = 10_000;

/// The right to write to an upload, until a newer request takes it over. The file's lock is released with the last live
/// lease: a client that vanished silently may keep older leases, and their descriptors, for a minute.
pub struct Lease {
    fd: OwnedFd,
    live: Cell<bool>,
    /// The size of what counts, while it is not known whether all bytes do.
    sure: Cell<Option<u64>>,
    /// The connection of the request that has it: it ends with the lease, not with its next byte.
    waiter: Cell<Option<Wake>>,
    /// Given back after the descriptor is closed: other mounts see all that was written then.
    claim: RefCell<Option<Claim>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.live.get() {
            // It is released with the descriptor, unless another process has that too.
            let _ = file::unlock(self.fd.as_fd());
        }
    }
}

impl Lease {
    /// For an open, locked file.
    pub fn new(fd: OwnedFd) -> Lease {
        Lease { fd, live: Cell::new(true), sure: Cell::new(None), waiter: Cell::new(None), claim: RefCell::new(None) }
    }

    /// With a claim that processes beyond the mount see.
    pub fn with_claim(self, claim: Option<Claim>) -> Lease {
        self.claim.replace(claim);
        self
    }

    /// Processes beyond the mount see that it is held.
    pub fn is_claimed(&self) -> bool {
        self.claim.borrow().is_some()
    }

    /// Another process took the upload over, since this one seemed to be gone: its claim is that one's or, without one,
    /// its file has no name any more.
    pub fn is_lost(&self) -> bool {
        self.live.get()
            && match self.claim.borrow().as_ref() {
                Some(claim) => !claim.is_ours(),
                None => match file::fstat(self.fd()) {
                    Ok(stat) => stat.nlink == 0,
                    Err(e) => e == Errno::ESTALE,
                },
            }
    }

    /// The connection to be driven when a newer request has it.
    pub fn set_waiter(&self, waiter: Option<Wake>) {
        self.waiter.set(waiter);
    }

    /// The connection of [`Lease::set_waiter`], once.
    pub fn waiter(&self) -> Option<Wake> {
        self.waiter.take()
    }

    /// Only bytes before `size` count as long as that is not None: a newer request finds no others.
    pub fn set_sure(&self, size: Option<u64>) {
        self.sure.set(size);
    }

    /// For a client that only queries the offset: it is not taken over, and does not block writers.
    pub fn of_reader(fd: OwnedFd) -> Rc<Lease> {
        Rc::new(Lease::new(fd))
    }

    /// Whether no newer request has taken the upload over.
    pub fn is_live(&self) -> bool {
        self.live.get()
    }

    /// Ends this lease in favour of a newer request, and returns the new one. None: it had ended already.
    pub fn pass(&self) -> Option<Lease> {
        if !self.live.replace(false) {
            return None;
        }
        if let Some(size) = self.sure.take() {
            let _ = file::ftruncate(self.fd(), size);
        }
        file::dup(self.fd()).ok().map(|fd| Lease::new(fd).with_claim(self.claim.take()))
    }

    /// The file with the upload's bytes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The leases of this process, and the uploads that it requests from other processes.
#[derive(Default)]
pub struct Leases {
    /// Uploads being written, which other processes may ask for.
    all: Vec<(UploadId, Weak<Lease>)>,
    /// When requests by other processes were last checked (monotonic milliseconds); and those still to be checked.
    checked_at: u64,
    unchecked: Vec<UploadId>,
    /// Uploads that this process requests from another one: since when, and when last.
    asking: HashMap<UploadId, (u64, u64)>,
}

impl Leases {
    /// An upload has a new lease.
    pub fn add(&mut self, id: UploadId, lease: &Rc<Lease>) {
        self.all.push((id, Rc::downgrade(lease)));
    }

    /// Milliseconds until [`Leases::next`] must be called; None without leases.
    pub fn next_check(&self, now: u64) -> Option<u64> {
        if !self.unchecked.is_empty() {
            return Some(0);
        }
        (!self.all.is_empty()).then(|| (self.checked_at + CHECK_INTERVAL).saturating_sub(now))
    }

    /// The next of the uploads being written, at most `most` of them, all in one directory. Each is returned once every
    /// [`CHECK_INTERVAL`]. `home`: the directory of an upload that is known.
    pub fn next(
        &mut self,
        now: u64,
        most: usize,
        home: impl Fn(UploadId) -> Option<Rc<[u8]>>,
    ) -> Option<(Rc<[u8]>, Vec<UploadId>)> {
        if self.next_check(now) != Some(0) {
            return None;
        }
        if self.unchecked.is_empty() {
            self.checked_at = now;
            self.all.retain(|(_, lease)| lease.upgrade().is_some_and(|lease| lease.is_live()));
            self.unchecked.extend(self.all.iter().map(|(id, _)| *id));
        }
        let mut found: Option<(Rc<[u8]>, Vec<UploadId>)> = None;
        while let Some(id) = self.unchecked.last().copied()
            && found.as_ref().is_none_or(|(_, ids)| ids.len() < most)
        {
            if let Some(home) = home(id) {
                let (first, ids) = found.get_or_insert_with(|| (home.clone(), Vec::new()));
                if *first != home {
                    break;
                }
                ids.push(id);
            }
            self.unchecked.pop();
        }
        found
    }

    /// Records at `now` (monotonic milliseconds) that another process is being asked for the upload. Returns since
    /// when, without a break of [`PATIENCE`].
    pub fn ask(&mut self, id: UploadId, now: u64) -> u64 {
        self.asking.retain(|_, (_, last)| *last + PATIENCE >= now);
        let entry = self.asking.entry(id).or_insert((now, now));
        entry.1 = now;
        entry.0
    }

    /// Another process is being asked for the upload.
    pub fn is_asking(&self, id: UploadId, now: u64) -> bool {
        self.asking.get(&id).is_some_and(|(_, last)| *last + PATIENCE >= now)
    }

    /// Ends [`Leases::ask`].
    pub fn stop_asking(&mut self, id: UploadId) {
        self.asking.remove(&id);
    }
}

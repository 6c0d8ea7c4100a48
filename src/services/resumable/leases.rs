//! Which request writes to an upload, and which uploads are asked of other processes or by them.

use super::{LOOK, PATIENCE, UploadId, Uploads};
use crate::sys::file;
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// The right to write to an upload, until a newer request takes it. The file's lock is released with the last live
/// lease: a client that vanished silently may keep older ones, and their descriptors, for a minute.
pub struct Lease {
    fd: OwnedFd,
    live: Cell<bool>,
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
        Lease { fd, live: Cell::new(true) }
    }

    /// For a client that only queries the offset: it is not taken over, and does not block writers.
    pub fn of_reader(fd: OwnedFd) -> Rc<Lease> {
        Rc::new(Lease::new(fd))
    }

    /// No later request has taken the upload over.
    pub fn is_live(&self) -> bool {
        self.live.get()
    }

    /// The file with the upload's bytes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Uploads {
    /// Stops the request that writes to the upload. Returns its lease, with the open file and the lock.
    pub fn take(&mut self, id: UploadId) -> Option<Lease> {
        let lease = self.open.get(&id)?.lease.upgrade()?;
        if !lease.live.replace(false) {
            return None;
        }
        file::dup(lease.fd()).ok().map(Lease::new)
    }

    /// Registers the lease of an upload after [`Uploads::insert`].
    pub fn lease(&mut self, id: UploadId, lease: Lease) -> Rc<Lease> {
        let lease = Rc::new(lease);
        if let Some(open) = self.open.get_mut(&id) {
            open.lease = Rc::downgrade(&lease);
        }
        self.leased.push((id, Rc::downgrade(&lease)));
        lease
    }

    /// Milliseconds until [`Uploads::leased`] must be called; None without leases.
    pub fn next_look(&self, now: u64) -> Option<u64> {
        if !self.unlooked.is_empty() {
            return Some(0);
        }
        (!self.leased.is_empty()).then(|| (self.looked + LOOK).saturating_sub(now))
    }

    /// The next of the uploads being written, at most `most` of them, all in one directory. Each is returned once every
    /// [`LOOK`].
    pub fn leased(&mut self, now: u64, most: usize) -> Option<(Rc<[u8]>, Vec<UploadId>)> {
        if self.next_look(now) != Some(0) {
            return None;
        }
        if self.unlooked.is_empty() {
            self.looked = now;
            self.leased.retain(|(_, lease)| lease.upgrade().is_some_and(|lease| lease.is_live()));
            self.unlooked.extend(self.leased.iter().map(|(id, _)| *id));
        }
        let mut found: Option<(Rc<[u8]>, Vec<UploadId>)> = None;
        while let Some(id) = self.unlooked.last()
            && found.as_ref().is_none_or(|(_, ids)| ids.len() < most)
        {
            if let Some(open) = self.open.get(id) {
                let (home, ids) = found.get_or_insert_with(|| (open.home.clone(), Vec::new()));
                if *home != open.home {
                    break;
                }
                ids.push(*id);
            }
            self.unlooked.pop();
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

    /// Ends [`Uploads::ask`]: the other process released the upload, or the request is over.
    pub fn stop_asking(&mut self, id: UploadId) {
        self.asking.remove(&id);
    }
}

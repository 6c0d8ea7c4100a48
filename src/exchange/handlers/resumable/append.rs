//! The content of one request on its way to the end of an upload.
//!
//! Invariant: it writes only while its lease is live, in order, from the offset that was agreed on; content that has a
//! checksum counts when that was compared, and not before.

use super::checksum::Checksum;
use super::state::Dialect;
use super::unfinished::Unfinished;
use super::{store, tell};
use crate::exchange::Exchange;
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upload::resumed;
use crate::exchange::handlers::upload::resumed::{Algorithm, Digests, Refusal};
use crate::exchange::phases::Flow;
use crate::http::status::Status;
use crate::shared::Cx;
use crate::shared::uploads::Lease;
use crate::sys::Errno;
use crate::sys::file::{self, O_NOFOLLOW, O_RDONLY};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

/// Bytes after which the kernel is told to start writing, as for plain uploads.
const WRITE_BACK: u64 = 8 << 20;
/// Bytes after which a client of the draft is told the offset; and never more often than so many times, since who sends
/// need not read meanwhile.
const TELL: u64 = 16 << 20;
const TOLD: u32 = 200;
/// Bytes of a finished file that are hashed in one turn of the loop.
const SLICE: u64 = 4 << 20;

pub struct Append {
    pub upload: Unfinished,
    lease: Rc<Lease>,
    /// The request makes the upload.
    pub is_creation: bool,
    /// Offset where it began; and up to which the kernel was told to write.
    start: u64,
    flushed: u64,
    /// The upload may not become larger, and why.
    most: u64,
    over: Over,
    checksum: Option<Checksum>,
    digests: Digests,
    /// Of the whole, and of how many bytes so far; the one that is wanted of it.
    whole: Digests,
    hashed: u64,
    wanted: Option<Algorithm>,
    /// All content is there; the whole is being hashed.
    hashes: bool,
    /// The draft: the upload is complete when this content is.
    ends: bool,
    /// The client understands 104, in this version.
    interop: Option<u64>,
    told: (u64, u32),
}

/// What bounds an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Length,
    FileSize,
}

/// What the request says of its content.
pub struct Content {
    pub is_creation: bool,
    pub checksum: Option<Checksum>,
    pub digests: Digests,
    pub whole: Digests,
    pub wanted: Option<Algorithm>,
    pub ends: bool,
    pub interop: Option<u64>,
}

impl Append {
    pub fn new(ex: &Exchange, upload: Unfinished, lease: Rc<Lease>, content: Content) -> Append {
        let largest = match ex.here().settings.upload.max_file_size.0 {
            0 => u64::MAX,
            size => size,
        };
        let (most, over) = match upload.record.length {
            Some(length) => (length, Over::Length),
            None => (largest, Over::FileSize),
        };
        let Content { is_creation, checksum, digests, whole, wanted, ends, interop } = content;
        let start = upload.size;
        let told = (start, 0);
        Append {
            upload,
            lease,
            is_creation,
            start,
            flushed: start,
            most,
            over,
            checksum,
            digests,
            whole,
            hashed: 0,
            wanted,
            hashes: false,
            ends,
            interop,
            told,
        }
    }

    /// A piece of the content.
    ///
    /// # Errors
    /// The answer, where the request is refused. What came before counts, unless its checksum is still to be compared.
    pub fn accept(&mut self, ex: &mut Exchange, cx: &mut Cx, data: &[u8]) -> Result<(), Flow> {
        if !self.lease.is_live() {
            return Err(Flow::Close);
        }
        if self.most - self.upload.size.min(self.most) < data.len() as u64 {
            return Err(self.too_large(ex, cx));
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(data);
        }
        self.digests.update(data);
        if self.hashed == self.upload.size && !self.whole.is_empty() {
            self.whole.update(data);
            self.hashed += data.len() as u64;
        }
        let written = self.write(data);
        if let Err(e) = written {
            return Err(self.failed(ex, cx, "write()", e));
        }
        self.tell(ex);
        Ok(())
    }

    /// It goes on by itself: see [`Append::work`].
    pub fn works(&self) -> bool {
        self.hashes
    }

    /// The file that bytes may be spliced into.
    pub fn splice_target(&self) -> Option<BorrowedFd<'_>> {
        let unseen = self.checksum.is_none() && self.digests.is_empty() && self.whole.is_empty();
        (unseen && self.lease.is_live()).then(|| self.lease.fd())
    }

    /// `n` bytes went from the socket to the file.
    ///
    /// # Errors
    /// The answer, where they are too many: those that are, are taken back.
    pub fn spliced(&mut self, ex: &mut Exchange, cx: &mut Cx, n: u64) -> Result<(), Flow> {
        self.wrote(n);
        if self.upload.size > self.most {
            self.upload.size = self.most;
            let _ = file::ftruncate(self.lease.fd(), self.most);
            return Err(self.too_large(ex, cx));
        }
        self.tell(ex);
        Ok(())
    }

    fn write(&mut self, mut data: &[u8]) -> Result<(), Errno> {
        while !data.is_empty() {
            let wrote = file::write(self.lease.fd(), data)?;
            if wrote == 0 {
                return Err(Errno::EIO);
            }
            data = data.get(wrote..).unwrap_or_default();
            self.wrote(wrote as u64);
        }
        Ok(())
    }

    fn wrote(&mut self, n: u64) {
        self.upload.size += n;
        let due = self.upload.size - self.flushed;
        if due >= WRITE_BACK {
            let _ = file::sync_range(self.lease.fd(), self.flushed, due);
            self.flushed = self.upload.size;
        }
    }

    /// The draft §4.4.2: the offset while content is coming. Not while a checksum may yet take it back.
    fn tell(&mut self, ex: &mut Exchange) {
        let (at, times) = self.told;
        let Some(version) = self.interop else { return };
        if self.upload.size - at < TELL || times >= TOLD || self.checksum.is_some() || !self.digests.is_empty() {
            return;
        }
        self.told = (self.upload.size, times + 1);
        tell::passed(ex, version, self.upload.size);
    }

    /// All of the content is there.
    pub fn finish(mut self: Box<Self>, ex: &mut Exchange, cx: &mut Cx) -> Flow {
        if !self.lease.is_live() {
            return Flow::Close;
        }
        self.upload.touch(cx);
        if let Err(refusal) = self.compare() {
            let cut = file::ftruncate(self.lease.fd(), self.start);
            self.upload.size = self.start;
            return match cut {
                Ok(()) => self.refuse(ex, cx, &refusal),
                Err(e) => self.failed(ex, cx, "ftruncate()", e),
            };
        }
        if self.upload.record.unverified.take().is_some()
            && let Err(e) = self.upload.dir.save(self.upload.id, &self.upload.record)
        {
            return self.failed(ex, cx, "write()", e);
        }
        let (size, length) = (self.upload.size, self.upload.record.length);
        let is_complete = match self.upload.record.dialect {
            Dialect::Tus => length == Some(size),
            Dialect::Rufh => self.ends,
        };
        if !is_complete {
            return tell::progress(ex, cx, &self);
        }
        if length.is_some_and(|length| length != size) {
            return tell::inconsistent(ex);
        }
        self.work(ex, cx)
    }

    /// The content is what its sender hashed.
    fn compare(&mut self) -> Result<(), Refusal> {
        if self.checksum.take().is_some_and(|checksum| !checksum.fits()) {
            return Err(Refusal::new(Status::CHECKSUM_MISMATCH, "the content does not match Upload-Checksum"));
        }
        std::mem::take(&mut self.digests).finish().map(drop)
    }

    /// The upload is complete: what was not hashed on its way is hashed now, slice by slice, then it is stored.
    pub fn work(mut self: Box<Self>, ex: &mut Exchange, cx: &mut Cx) -> Flow {
        if !self.lease.is_live() {
            return Flow::Close;
        }
        if !self.whole.is_empty() && self.hashed < self.upload.size {
            if let Err(e) = self.hash(cx) {
                return self.failed(ex, cx, "read()", e);
            }
            if self.hashed < self.upload.size {
                self.hashes = true;
                ex.handler = Handler::Append(self);
                return Flow::Wait;
            }
        }
        let sums = match std::mem::take(&mut self.whole).finish() {
            Ok(sums) => sums,
            Err(refusal) => {
                self.upload.remove(cx);
                return tell::refuse(ex, cx, self.upload.record.dialect, &refusal, true);
            }
        };
        match self.upload.complete(ex, cx) {
            Ok((mut stored, dir)) => {
                stored.digest = self.wanted.map_or(Vec::new(), |algorithm| sums.value(algorithm));
                tell::stored(ex, cx, &self, stored, &dir)
            }
            Err(refused) => tell::refuse(ex, cx, self.upload.record.dialect, &refused.refusal, !refused.kept),
        }
    }

    fn hash(&mut self, cx: &mut Cx) -> Result<(), Errno> {
        let home = self.upload.dir.fd().as_fd();
        let part = file::open_at(Some(home), &store::part(self.upload.id), O_RDONLY | O_NOFOLLOW, 0)?;
        let end = self.upload.size.min(self.hashed + SLICE);
        let mut bytes = std::mem::take(&mut cx.scratch);
        let outcome = loop {
            if self.hashed >= end {
                break Ok(());
            }
            bytes.clear();
            let most = (end - self.hashed).min(bytes.capacity().max(4096) as u64) as usize;
            bytes.reserve(most);
            match file::pread_into(part.as_fd(), &mut bytes, most, self.hashed) {
                // Shorter than it was.
                Ok(0) => break Err(Errno::EIO),
                Ok(n) => {
                    self.whole.update(&bytes);
                    self.hashed += n as u64;
                }
                Err(e) => break Err(e),
            }
        };
        bytes.clear();
        cx.scratch = bytes;
        outcome
    }

    /// More came than the upload may have.
    fn too_large(&self, ex: &mut Exchange, cx: &mut Cx) -> Flow {
        let most = self.most;
        match (self.over, self.upload.record.dialect) {
            // The draft §4.4.2: the upload is not valid any more.
            (Over::Length, Dialect::Rufh) => {
                self.upload.remove(cx);
                tell::inconsistent(ex)
            }
            (Over::Length, Dialect::Tus) => {
                let why = format!("the content is longer than the {most} bytes of Upload-Length");
                self.refuse(ex, cx, &Refusal::new(Status::CONTENT_TOO_LARGE, why))
            }
            (Over::FileSize, _) => self.refuse(ex, cx, &resumed::too_large()),
        }
    }

    fn failed(&self, ex: &mut Exchange, cx: &mut Cx, call: &str, e: Errno) -> Flow {
        self.refuse(ex, cx, &Refusal::call(call, &self.upload.home.path, e))
    }

    /// The request is refused, the upload stays.
    fn refuse(&self, ex: &mut Exchange, cx: &mut Cx, refusal: &Refusal) -> Flow {
        tell::refuse(ex, cx, self.upload.record.dialect, refusal, false)
    }
}

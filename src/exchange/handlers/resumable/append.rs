//! The content of one request on its way to the end of an upload.
//!
//! Invariant: it writes only while its lease is live, in order, from the offset that was agreed on; content that has a
//! checksum counts when that was compared, and not before.

use super::checksum::Checksum;
use super::pending_upload::Unfinished;
use super::respond;
use super::state::Dialect;
use super::takeover::Looked;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::upload::resumed;
use crate::exchange::handlers::upload::resumed::{Algorithm, Digests, Refusal, Stored};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::resumable::Lease;
use crate::services::syncs::{Sync, all_ended};
use crate::sys::Errno;
use crate::sys::file;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

/// Bytes after which the kernel is asked to start writing, as for plain uploads.
const WRITE_BACK: u64 = 8 << 20;
/// Bytes after which a client of the draft is sent the offset; and never more often than this many times, since a
/// client that sends need not read meanwhile.
const TELL: u64 = 16 << 20;
const TOLD: u32 = 200;
/// Bytes of a finished file that are hashed in one turn of the loop.
const SLICE: u64 = 4 << 20;

pub struct Append {
    pub upload: Unfinished,
    lease: Rc<Lease>,
    /// The request makes the upload.
    pub is_creation: bool,
    /// Offset where it began; and up to which the kernel was asked to write.
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
    /// upload_sync: what is being written to the disk, and what follows.
    writing: Option<Box<(Vec<Sync>, Then)>>,
    /// The request only asked how far the upload is.
    asks: bool,
    /// The draft: the upload is complete when this content is.
    ends: bool,
    /// The client understands 104, in this version.
    interop: Option<u64>,
    told: (u64, u32),
    looked: Looked,
}

/// What bounds an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Length,
    FileSize,
}

/// What follows when it is on the disk.
enum Then {
    /// The response is the offset.
    Progress,
    /// The content gets its name, and this digest is sent.
    Name(Vec<u8>),
    /// It has its name.
    End(Stored, Vec<u8>),
}

/// What the request says of its content.
#[derive(Default)]
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
    pub fn new(ex: &Exchange, cx: &Services, upload: Unfinished, lease: Rc<Lease>, content: Content) -> Append {
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
            writing: None,
            asks: false,
            ends,
            interop,
            told,
            looked: Looked::now(cx),
        }
    }

    /// For a request without content, to be [settled](Append::settle).
    pub fn asking(ex: &Exchange, cx: &Services, upload: Unfinished, lease: Rc<Lease>) -> Append {
        Append { asks: true, ..Append::new(ex, cx, upload, lease, Content::default()) }
    }

    /// It may go on: no newer request has the upload, and no other process asks for it.
    fn is_live(&mut self, cx: &mut Services) -> bool {
        self.looked.look(cx, &self.upload.dir, self.upload.id);
        self.lease.is_live()
    }

    /// A piece of the content.
    ///
    /// # Errors
    /// The answer, where the request is refused. What came before counts, unless its checksum is still to be compared.
    pub fn accept(&mut self, ex: &mut Exchange, cx: &mut Services, data: &[u8]) -> Result<(), Flow> {
        if !self.is_live(cx) {
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
        self.hashes || self.waits()
    }

    /// It waits for the disk; the loop drives its connection when that has answered.
    pub fn waits(&self) -> bool {
        self.writing.is_some()
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
    pub fn spliced(&mut self, ex: &mut Exchange, cx: &mut Services, n: u64) -> Result<(), Flow> {
        self.wrote(n);
        if self.upload.size > self.most {
            self.upload.size = self.most;
            let _ = file::ftruncate(self.lease.fd(), self.most);
            return Err(self.too_large(ex, cx));
        }
        self.tell(ex);
        // What was spliced counts: it was written while the lease was live.
        if self.is_live(cx) { Ok(()) } else { Err(Flow::Close) }
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
        respond::passed(ex, version, self.upload.size);
    }

    /// All of the content is there.
    pub fn finish(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if !self.lease.is_live() {
            return Flow::Close;
        }
        self.upload.touch(cx);
        if let Err(refusal) = self.compare(ex) {
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
        if is_complete && length.is_some_and(|length| length != size) {
            return respond::inconsistent(ex);
        }
        if is_complete && self.ends {
            match self.whole.promise_late(&resumed::late_digests(ex)) {
                Ok(true) => self.hashed = 0,
                Ok(false) => {}
                Err(refusal) => return self.refuse(ex, cx, &refusal),
            }
        }
        self.settle(ex, cx, is_complete)
    }

    /// No more content comes: the response is the offset, or the end.
    pub fn settle(&mut self, ex: &mut Exchange, cx: &mut Services, is_complete: bool) -> Flow {
        if is_complete { self.work(ex, cx) } else { self.sync(ex, cx, Then::Progress) }
    }

    /// Begins to write what is there to the disk, where the configuration asks for it.
    fn sync(&mut self, ex: &mut Exchange, cx: &mut Services, then: Then) -> Flow {
        if !ex.here().settings.upload.sync {
            return self.synced(ex, cx, then);
        }
        let mut syncs = vec![cx.syncs.begin(self.lease.fd())];
        // That it is there is to be found too, until the file has its name.
        if matches!(then, Then::Progress) {
            match self.upload.dir.sync(self.upload.id, self.is_creation, &mut cx.syncs) {
                Ok(more) => syncs.extend(more),
                Err(e) => return self.failed(ex, cx, "open()", e),
            }
        }
        self.writing = Some(Box::new((syncs, then)));
        self.written(ex, cx)
    }

    /// The disk may have answered.
    fn written(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let Some(writing) = self.writing.take() else { return self.work(ex, cx) };
        match (all_ended(&writing.0), writing.1) {
            (Ok(false), then) => {
                self.writing = Some(Box::new((writing.0, then)));
                Flow::Wait
            }
            (Ok(true), then) => self.synced(ex, cx, then),
            (Err(e), Then::End(..)) => resumed::unsure(ex, cx, "fsync()", e),
            (Err(e), _) => self.failed(ex, cx, "fsync()", e),
        }
    }

    fn synced(&mut self, ex: &mut Exchange, cx: &mut Services, then: Then) -> Flow {
        match then {
            Then::Progress if self.asks => respond::offset(ex, cx, &self.upload),
            Then::Progress => self.progress(ex, cx),
            Then::Name(digest) => self.store(ex, cx, digest),
            Then::End(stored, dir) if self.asks => {
                respond::ended(ex, &dir, &stored);
                respond::done(ex, self.upload.record.dialect, self.upload.size);
                Flow::Respond
            }
            Then::End(stored, dir) => self.stored(ex, cx, stored, &dir),
        }
    }

    /// The content is what its sender hashed.
    fn compare(&mut self, ex: &Exchange) -> Result<(), Refusal> {
        if self.checksum.take().is_some_and(|checksum| !checksum.fits()) {
            return Err(Refusal::new(Status::CHECKSUM_MISMATCH, "the content does not match Upload-Checksum"));
        }
        resumed::check_content(ex, std::mem::take(&mut self.digests))
    }

    /// The upload is complete: what was not hashed on its way is hashed now, slice by slice, then it is stored.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if !self.lease.is_live() {
            return Flow::Close;
        }
        if self.writing.is_some() {
            return self.written(ex, cx);
        }
        if !self.whole.is_empty() && self.hashed < self.upload.size {
            if let Err(e) = self.hash(cx) {
                return self.failed(ex, cx, "read()", e);
            }
            if self.hashed < self.upload.size {
                self.hashes = true;
                return Flow::Wait;
            }
        }
        let sums = match std::mem::take(&mut self.whole).finish() {
            Ok(sums) => sums,
            Err(refusal) => {
                self.upload.remove(cx);
                return respond::refuse(ex, cx, self.upload.record.dialect, &refusal, true);
            }
        };
        let digest = self.wanted.map_or(Vec::new(), |algorithm| sums.value(algorithm));
        self.sync(ex, cx, Then::Name(digest))
    }

    /// The file gets its name.
    fn store(&mut self, ex: &mut Exchange, cx: &mut Services, digest: Vec<u8>) -> Flow {
        let mut placed = match self.upload.complete(ex, cx) {
            Ok(placed) => placed,
            Err(refused) => {
                let ended = !refused.kept && !self.asks;
                return respond::refuse(ex, cx, self.upload.record.dialect, &refused.refusal, ended);
            }
        };
        placed.stored.digest = digest;
        let then = Then::End(placed.stored, placed.dir);
        if !ex.here().settings.upload.sync {
            return self.synced(ex, cx, then);
        }
        match cx.syncs.begin_names(&placed.changed) {
            Ok(syncs) => self.writing = Some(Box::new((syncs, then))),
            Err(e) => return resumed::unsure(ex, cx, "open()", e),
        }
        self.written(ex, cx)
    }

    fn hash(&mut self, cx: &mut Services) -> Result<(), Errno> {
        let part = self.upload.dir.read_part(self.upload.id)?;
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
    fn too_large(&self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let most = self.most;
        match (self.over, self.upload.record.dialect) {
            // The draft §4.4.2: the upload is not valid any more.
            (Over::Length, Dialect::Rufh) => {
                self.upload.remove(cx);
                respond::inconsistent(ex)
            }
            (Over::Length, Dialect::Tus) => {
                let why = format!("the content is longer than the {most} bytes of Upload-Length");
                self.refuse(ex, cx, &Refusal::new(Status::CONTENT_TOO_LARGE, why))
            }
            (Over::FileSize, _) => self.refuse(ex, cx, &resumed::too_large()),
        }
    }

    fn failed(&self, ex: &mut Exchange, cx: &mut Services, call: &str, e: Errno) -> Flow {
        self.refuse(ex, cx, &Refusal::call(call, &self.upload.home.path, e))
    }

    /// The request is refused, the upload stays.
    fn refuse(&self, ex: &mut Exchange, cx: &mut Services, refusal: &Refusal) -> Flow {
        respond::refuse(ex, cx, self.upload.record.dialect, refusal, false)
    }
}

/// Answers.
impl Append {
    /// All that was sent is there, and more is to come.
    fn progress(&self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        respond::state(ex, cx, &self.upload);
        ex.response.status = match self.is_creation {
            true => {
                let location = respond::location(ex, self.upload.id);
                ex.response.location = Some(location);
                Status::CREATED
            }
            false => Status::NO_CONTENT,
        };
        Flow::Respond
    }

    /// The file is stored.
    fn stored(&self, ex: &mut Exchange, cx: &mut Services, stored: Stored, dir: &[u8]) -> Flow {
        let upload = &self.upload;
        match upload.record.dialect {
            // Its clients know one answer to a PATCH.
            Dialect::Tus => {
                respond::ended(ex, dir, &stored);
                respond::tus_offset(ex, upload.size);
                ex.response.status = match self.is_creation {
                    true => {
                        let location = respond::location(ex, upload.id);
                        ex.response.location = Some(location);
                        Status::CREATED
                    }
                    false => Status::NO_CONTENT,
                };
                Flow::Respond
            }
            Dialect::Rufh => {
                ex.response.line(b"Upload-Complete", b"?1");
                ex.response.line(b"Upload-Offset", upload.size.to_string().as_bytes());
                let method = std::mem::replace(&mut ex.route.method, upload.record.method);
                let flow = resumed::answer(ex, cx, dir, stored);
                ex.route.method = method;
                flow
            }
        }
    }
}

//! The content of one request, appended to an upload.
//!
//! Invariant: it writes only while its lease is live, in order, from the agreed offset; content with a checksum
//! counts only once that has been compared.

mod ending;
mod growth;

use super::checksum::{self, Checksum};
use super::concat::Joining;
use super::pending_upload::PendingUpload;
use super::respond;
use super::state::{Dialect, UploadState};
use super::takeover::{self, TakeoverCheck};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::upload::resumed;
use crate::exchange::handlers::upload::resumed::{Algorithm, Digests, Fit, Placed, Refusal, Room};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::resumable::{Cut, Lease};
use crate::services::syncs::Sync;
use crate::services::temp_names::Left;
use crate::sys::Errno;
use crate::sys::file;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// Bytes after which the kernel is asked to start writing, as for plain uploads.
const WRITE_BACK: u64 = 8 << 20;
/// Bytes after which a client of the draft is sent the offset; and the most such messages, since a client that sends
/// may not read meanwhile.
const OFFSET_INTERVAL: u64 = 16 << 20;
const MAX_OFFSETS: u32 = 200;
/// Bytes of a finished file that are hashed in one turn of the loop.
const SLICE: u64 = 4 << 20;

/// A request whose content is appended, or that asks for the offset while the upload is completed.
pub struct Append {
    /// The upload as the request found it, and as it grows.
    pub upload: PendingUpload,
    lease: Rc<Lease>,
    /// None: the request only asks for the offset.
    room: Option<Room>,
    /// The size before the pieces of the last read for which it is not known whether there is room.
    unsure: Option<u64>,
    /// Whether the request began the upload.
    pub request: UploadRequest,
    /// The offset where it began; and the offset up to which the kernel was asked to write.
    start: u64,
    flushed: u64,
    /// The largest size that the upload may have, and why.
    most: u64,
    over: Over,
    checksum: Option<Checksum>,
    /// A checksum from the trailers, and the offset up to which it was hashed; the trailers are required.
    late: Option<(Checksum, u64)>,
    needs_late: bool,
    /// tus: the parts that this upload is made of.
    joining: Option<Box<Joining>>,
    digests: Digests,
    /// Digests of the whole, and the number of bytes hashed so far; the digest that the client wants.
    whole: Digests,
    hashed: u64,
    wanted: Option<Algorithm>,
    /// All content has arrived; the whole is being hashed.
    hashes: bool,
    /// upload_sync: what is being written to the disk, and what follows.
    writing: Option<Box<(Vec<Sync>, AfterSync)>>,
    /// upload_quota: all content has arrived, and the area is being counted before the file gets its name; its
    /// digest.
    counting: Option<Vec<u8>>,
    /// The draft: the upload is complete when this content is.
    ends: bool,
    /// The client understands 104, in this version.
    interop: Option<u64>,
    sent_offset: (u64, u32),
    takeover_check: TakeoverCheck,
    /// The client has been told the upload's URI, or the file has its name.
    is_told: bool,
    /// Uploads that end with their requests, for [`crate::services::resumable::Uploads::held`].
    cut: Cut,
    /// Their files.
    left: Left,
}

impl Drop for Append {
    fn drop(&mut self) {
        // The client was not told that this has arrived.
        if let Some(before) = self.unsure
            && self.lease.is_live()
        {
            let _ = file::ftruncate(self.lease.fd(), before);
        }
        // Its connection has ended, and no client can go on with it: it would only take room until it expires.
        if self.is_unknown() && !self.is_told && self.lease.is_live() && !self.is_lost() {
            // Thousands of requests may end in one turn.
            self.upload.dir.remove_later(self.upload.id, &self.left, self.upload.home.own());
            self.cut.push(self.upload.id);
        }
    }
}

/// The limit of an upload's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The announced length of the upload.
    Length,
    /// The directive that bounds files.
    FileSize,
}

/// What follows when it is on the disk.
enum AfterSync {
    /// The bytes are on the disk: their number is noted.
    Mark,
    /// The response with the offset.
    Progress,
    /// The content gets its name, and this digest is sent.
    Name(Vec<u8>),
    /// It has its name; its future record, if that waits for the disk.
    End(Box<Placed>, Option<Box<UploadState>>),
}

/// What a request with content is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UploadRequest {
    /// It appends to an upload that exists.
    #[default]
    Append,
    /// It creates the upload.
    Creation,
}

/// What the request says about its content.
#[derive(Default)]
pub struct RequestContent {
    /// Whether it creates the upload.
    pub request: UploadRequest,
    /// tus: Upload-Checksum of this content.
    pub checksum: Option<Checksum>,
    /// The trailers must have a checksum; or may have one.
    pub needs_late: bool,
    /// The trailers may have a checksum.
    pub may_be_late: bool,
    /// tus: the parts, if it joins uploads.
    pub joining: Option<Box<Joining>>,
    /// Content-Digest of this content.
    pub digests: Digests,
    /// Repr-Digest of the whole.
    pub whole: Digests,
    /// The algorithm that Want-Repr-Digest prefers.
    pub wanted: Option<Algorithm>,
    /// The draft: the upload is complete with this content.
    pub ends: bool,
    /// The draft's interop version, if interim responses (104) may be sent.
    pub interop: Option<u64>,
}

impl RequestContent {
    /// The content counts only once something was compared; parts count once all of them are there.
    pub fn is_checked(&self) -> bool {
        self.checksum.is_some() || self.may_be_late || !self.digests.is_empty() || self.joining.is_some()
    }
}

impl Append {
    /// An upload to which this lease gives the right to write, and what it may grow to.
    pub fn new(
        ex: &Exchange,
        cx: &Services,
        (upload, lease, room): (PendingUpload, Rc<Lease>, Option<Room>),
        content: RequestContent,
    ) -> Append {
        let largest = match resumed::largest(ex) {
            0 => u64::MAX,
            size => size,
        };
        let (most, over) = match upload.record.length {
            Some(length) => (length, Over::Length),
            None => (largest, Over::FileSize),
        };
        let RequestContent {
            request,
            checksum,
            needs_late,
            may_be_late: _,
            joining,
            digests,
            whole,
            wanted,
            ends,
            interop,
        } = content;
        let start = upload.size;
        let sent_offset = (start, 0);
        Append {
            upload,
            lease,
            room,
            unsure: None,
            request,
            start,
            flushed: start,
            most,
            over,
            checksum,
            late: None,
            needs_late,
            joining,
            digests,
            whole,
            hashed: 0,
            wanted,
            hashes: false,
            writing: None,
            counting: None,
            ends,
            interop,
            sent_offset,
            takeover_check: TakeoverCheck::now(cx),
            is_told: false,
            cut: cx.resumable.cut.clone(),
            left: cx.temp_names.left(),
        }
    }

    /// For a request without content, to be finished by [`Append::body_ended`].
    pub fn asking(ex: &Exchange, cx: &Services, upload: PendingUpload, lease: Rc<Lease>) -> Append {
        Append::new(ex, cx, (upload, lease, None), RequestContent::default())
    }

    /// The request only asks for the offset.
    fn asks(&self) -> bool {
        self.room.is_none()
    }

    /// It may continue: no newer request has the upload, and no other process asks for it.
    fn is_live(&mut self, cx: &mut Services) -> bool {
        self.takeover_check.check(cx, &self.upload.dir, self.upload.id);
        self.lease.is_live()
    }

    /// Another process has the upload, since this one was stopped.
    fn is_lost(&self) -> bool {
        takeover::is_lost(&self.lease, &self.upload.dir, self.upload.id)
    }

    /// [`Append::is_lost`]; then the other process need not wait for the next look.
    fn gives_way(&self, cx: &mut Services) -> bool {
        let is_lost = self.is_lost();
        if is_lost {
            takeover::give_way(cx, &self.upload.dir, self.upload.id);
        }
        is_lost
    }

    /// The upload ends without a file, unless another process has it.
    fn remove(&self, cx: &mut Services) {
        if !self.is_lost() {
            self.upload.remove(cx);
        }
    }

    /// A piece of the content.
    ///
    /// # Errors
    /// The response, if the request is refused. Earlier content counts, unless its checksum is still to be compared.
    pub fn accept(&mut self, ex: &mut Exchange, cx: &mut Services, data: &[u8]) -> Result<(), Flow> {
        if !self.is_live(cx) {
            return Err(Flow::Close);
        }
        if self.most - self.upload.size.min(self.most) < data.len() as u64 {
            return Err(self.too_large(ex, cx));
        }
        let (before, fit) = (self.upload.size, self.room_for(cx, data.len() as u64));
        let data = match fit {
            Fit::Some(fits, _) => data.get(..fits as usize).unwrap_or(data),
            Fit::All | Fit::Unsure => data,
        };
        if let Some(checksum) = &mut self.checksum {
            checksum.update(data);
        }
        self.digests.update(data);
        if self.hashed == self.upload.size && !self.whole.is_empty() {
            self.whole.update(data);
            self.hashed += data.len() as u64;
        }
        if let Err(e) = self.write(data) {
            self.count(cx);
            return Err(self.failed(ex, cx, "write()", e));
        }
        self.grown(ex, cx, before, fit)
    }

    /// It is made of other uploads.
    pub fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    /// It needs no event to go on: see [`Append::work`].
    pub fn works(&self) -> bool {
        self.unsure.is_some() || self.hashes || self.counting.is_some() || self.waits()
    }

    /// A newer request, or another process, has the upload.
    pub fn is_superseded(&self) -> bool {
        !self.lease.is_live()
    }

    /// It waits for the disk; the loop drives its connection when that has finished.
    pub fn waits(&self) -> bool {
        self.writing.is_some()
    }

    /// The file that bytes may be spliced into. A process that was stopped meanwhile may have lost the upload.
    pub fn splice_target(&mut self, cx: &mut Services) -> Option<BorrowedFd<'_>> {
        let unseen = self.checksum.is_none() && self.digests.is_empty() && self.whole.is_empty();
        (unseen && self.is_live(cx)).then(|| self.lease.fd())
    }

    /// `n` bytes went from the socket to the file.
    ///
    /// # Errors
    /// The response, if they are too many: the excess is cut off.
    pub fn spliced(&mut self, ex: &mut Exchange, cx: &mut Services, n: u64) -> Result<(), Flow> {
        let (before, fit) = (self.upload.size, self.room_for(cx, n));
        self.wrote(n);
        if self.upload.size > self.most {
            let most = match &fit {
                Fit::Some(fits, _) => self.most.min(before.saturating_add(*fits)),
                Fit::All | Fit::Unsure => self.most,
            };
            return match self.cut(cx, most) {
                Ok(()) => Err(self.too_large(ex, cx)),
                Err(e) => Err(self.failed(ex, cx, "ftruncate()", e)),
            };
        }
        self.grown(ex, cx, before, fit)?;
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

    /// The draft §4.4.2: sends the offset while content is arriving, unless a checksum may still invalidate it.
    fn tell(&mut self, ex: &mut Exchange) {
        let (at, times) = self.sent_offset;
        let Some(version) = self.interop else { return };
        // With upload_sync only bytes on the disk are reported.
        if self.upload.record.synced.is_some() {
            return;
        }
        if self.upload.size - at < OFFSET_INTERVAL
            || times >= MAX_OFFSETS
            || self.checksum.is_some()
            || !self.digests.is_empty()
        {
            return;
        }
        self.sent_offset = (self.upload.size, times + 1);
        respond::passed(ex, version, self.upload.size);
    }

    /// All of the content has arrived.
    pub fn finish(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if !self.lease.is_live() {
            return Flow::Close;
        }
        if self.unsure.is_some() {
            return Flow::Wait;
        }
        self.upload.touch(cx);
        match self.late_checksum(ex) {
            Ok(None) => {}
            Ok(Some(checksum)) => {
                self.late = Some((checksum, self.start));
                return self.work(ex, cx);
            }
            Err(refusal) => return self.take_back(ex, cx, &refusal),
        }
        self.received(ex, cx)
    }

    /// tus's checksum-trailer: the content is hashed now that the algorithm is known.
    fn late_checksum(&self, ex: &Exchange) -> Result<Option<Checksum>, Refusal> {
        let bad = |why: &'static str| Refusal::new(Status::BAD_REQUEST, why);
        if self.upload.record.dialect != Dialect::Tus {
            return Ok(None);
        }
        match ex.progress.trailers.all(checksum::NAME).next() {
            Some(value) => Checksum::parse(value).map(Some).map_err(bad),
            None if self.needs_late => {
                Err(bad("Upload-Checksum is required, and the trailers have none").limit("upload_verify_digest"))
            }
            None => Ok(None),
        }
    }

    /// Discards the content.
    fn take_back(&mut self, ex: &mut Exchange, cx: &mut Services, refusal: &Refusal) -> Flow {
        if self.is_unknown() {
            return self.refuse_rest(ex, cx, refusal);
        }
        let cut = file::ftruncate(self.lease.fd(), self.start);
        self.upload.size = self.start;
        self.upload.publish(cx);
        match cut {
            Ok(()) => self.refuse_rest(ex, cx, refusal),
            Err(e) => self.failed(ex, cx, "ftruncate()", e),
        }
    }

    /// All of the content has arrived, and a checksum of the trailers was compared.
    fn received(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if self.gives_way(cx) {
            return Flow::Close;
        }
        if let Err(refusal) = self.compare(ex) {
            return self.take_back(ex, cx, &refusal);
        }
        // Network and FUSE file systems may report the failure of an earlier write only here. (fsync reports it too.)
        if self.upload.size > self.start
            && !ex.location().settings.upload.sync
            && let Err(e) = file::flush(self.lease.fd())
        {
            return self.take_back(ex, cx, &Refusal::call("close()", &self.upload.home.path, e));
        }
        if self.upload.record.unverified.take().is_some()
            && let Err(e) = self.upload.dir.mark(self.upload.id, &self.upload.record)
        {
            return self.failed(ex, cx, "write()", e);
        }
        // The declared length is the end, whatever Upload-Complete says: some clients never send it.
        let is_complete = self.ends || self.upload.is_complete();
        if is_complete && self.upload.record.length.is_some_and(|length| length != self.upload.size) {
            if self.is_unknown() {
                self.remove(cx);
            }
            return respond::inconsistent(ex);
        }
        if let Err(refusal) = self.promise_whole(ex, is_complete) {
            return self.refuse_rest(ex, cx, &refusal);
        }
        self.body_ended(ex, cx, is_complete)
    }

    /// The upload is complete: the digest of the whole that the client announced is to be compared, even if the
    /// client did not know that this content would be the last.
    ///
    /// # Errors
    /// 400 for a digest that is malformed.
    pub fn promise_whole(&mut self, ex: &Exchange, is_complete: bool) -> Result<(), Refusal> {
        if !is_complete {
            return Ok(());
        }
        if !self.ends && self.whole.is_empty() {
            let asks = self.upload.record.dialect == Dialect::Rufh;
            (self.whole, self.wanted) = resumed::whole_digests(ex, &self.upload.record.digest, asks)?;
            self.hashed = 0;
        }
        if self.whole.promise_late(&resumed::late_digests(ex))? {
            self.hashed = 0;
        }
        Ok(())
    }

    /// Checks that the content matches its sender's checksum.
    fn compare(&mut self, ex: &Exchange) -> Result<(), Refusal> {
        if self.checksum.take().is_some_and(|checksum| !checksum.fits()) {
            return Err(Refusal::new(Status::CHECKSUM_MISMATCH, "the content does not match Upload-Checksum"));
        }
        resumed::check_content(ex, std::mem::take(&mut self.digests))
    }

    /// More content came than the upload may have.
    fn too_large(&self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let most = self.most;
        match (self.over, self.upload.record.dialect) {
            // The draft §4.4.2: the upload is no longer valid.
            (Over::Length, Dialect::Rufh) => {
                self.remove(cx);
                respond::inconsistent(ex)
            }
            (Over::Length, Dialect::Tus) => {
                let why = format!("the content is longer than the {most} bytes of Upload-Length");
                self.refuse_rest(ex, cx, &Refusal::new(Status::CONTENT_TOO_LARGE, why))
            }
            (Over::FileSize, _) => self.refuse_rest(ex, cx, &resumed::too_large()),
        }
    }

    /// Refuses the rest of the content. The bytes received are kept, unless no client knows the URI to continue: then
    /// they would only use space that the next attempt needs.
    fn refuse_rest(&self, ex: &mut Exchange, cx: &mut Services, refusal: &Refusal) -> Flow {
        if !self.is_unknown() {
            return respond::refuse(ex, cx, self.upload.record.dialect, refusal);
        }
        self.remove(cx);
        respond::refuse_upload(ex, cx, self.upload.record.dialect, refusal)
    }

    /// The client was told no URI, and learns of none from an answer that refuses the content.
    fn is_unknown(&self) -> bool {
        self.request == UploadRequest::Creation && self.interop.is_none()
    }

    fn failed(&self, ex: &mut Exchange, cx: &mut Services, call: &str, e: Errno) -> Flow {
        self.refuse_rest(ex, cx, &Refusal::call(call, &self.upload.home.path, e))
    }
}

//! The end of a request's content: a checksum in the trailers, the digest of the whole file, syncing, the file's name,
//! and the response. In slices, so that the loop serves other clients in between.

use super::{AfterSync, Append, SLICE, UploadRequest};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::resumable::pending_upload::PendingUpload;
use crate::exchange::handlers::resumable::respond::{self, Completeness};
use crate::exchange::handlers::resumable::state::Dialect;
use crate::exchange::handlers::resumable::store::Unread;
use crate::exchange::handlers::upload::resumed::{self, Placed, Refusal, Stored};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::syncs::all_ended;
use crate::sys::Errno;
use crate::sys::file;
use std::os::fd::{AsFd, OwnedFd};

impl Append {
    /// No more content comes: the response has the offset, or is that of the finished upload.
    pub fn body_ended(&mut self, ex: &mut Exchange, cx: &mut Services, is_complete: bool) -> Flow {
        if is_complete { self.work(ex, cx) } else { self.sync(ex, cx, AfterSync::Progress) }
    }

    /// Begins to write what has arrived to the disk, if the configuration asks for it.
    fn sync(&mut self, ex: &mut Exchange, cx: &mut Services, then: AfterSync) -> Flow {
        if !ex.location().settings.upload.sync {
            return self.synced(ex, cx, then);
        }
        let mut syncs = vec![cx.syncs.begin(self.lease.fd())];
        let mut then = then;
        // The upload must also be found after a power cut, until the file has its name.
        if matches!(then, AfterSync::Progress) {
            if self.request == UploadRequest::Creation || self.asks() {
                match self.upload.dir.sync(self.upload.id, &mut cx.syncs) {
                    Ok(more) => syncs.extend(more),
                    Err(e) => return self.failed(ex, cx, "open()", e),
                }
            }
            if self.is_to_be_marked(cx) {
                then = AfterSync::Mark;
            }
        }
        self.writing = Some(Box::new((syncs, then)));
        self.written(ex, cx)
    }

    /// The record does not yet say how much is on the disk.
    fn is_to_be_marked(&self, cx: &Services) -> bool {
        let known = self.upload.record.synced.filter(|(boot, _)| cx.boot == Some(*boot));
        cx.boot.is_some() && known.is_none_or(|(_, synced)| synced < self.upload.size)
    }

    /// The bytes are on the disk: notes how many count if the machine stops now.
    fn mark(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let size = self.upload.size;
        self.upload.record.synced = cx.boot.map(|boot| (boot, size));
        if !self.asks() && self.gives_way(cx) {
            return Flow::Close;
        }
        let marked = match self.asks() {
            true => self.mark_beside(cx),
            false => self.upload.dir.mark(self.upload.id, &self.upload.record).map(Some),
        };
        match marked {
            Ok(record) => {
                let syncs = record.iter().map(|record| cx.syncs.begin(record.as_fd())).collect();
                self.writing = Some(Box::new((syncs, AfterSync::Progress)));
                self.written(ex, cx)
            }
            Err(e) => self.failed(ex, cx, "write()", e),
        }
    }

    /// [`Append::mark`] for a request that only asks: another one may write to the upload by now, and have noted
    /// more.
    fn mark_beside(&self, cx: &Services) -> Result<Option<OwnedFd>, Errno> {
        let mut record = match self.upload.dir.load(self.upload.id) {
            Ok(Some(record)) => record,
            // Another version of this server has continued it.
            Ok(None) | Err(Unread::Foreign) => return Ok(None),
            Err(Unread::Call(e)) => return Err(e),
        };
        let size = self.upload.size;
        let synced = record.synced.filter(|(boot, _)| cx.boot == Some(*boot)).map_or(0, |(_, synced)| synced);
        if synced < size {
            record.synced = cx.boot.map(|boot| (boot, size));
        }
        // What has arrived may not be on the disk yet.
        self.upload.dir.mark(self.upload.id, &record).map(Some)
    }

    /// The disk may have finished.
    fn written(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let Some(writing) = self.writing.take() else { return self.work(ex, cx) };
        match (all_ended(&writing.0), writing.1) {
            (Ok(false), then) => {
                self.writing = Some(Box::new((writing.0, then)));
                Flow::Wait
            }
            (Ok(true), then) => self.synced(ex, cx, then),
            (Err(e), AfterSync::End(placed, _)) => self.unwritten(ex, cx, *placed, ("fsync()", e)),
            (Err(e), _) => self.failed(ex, cx, "fsync()", e),
        }
    }

    fn synced(&mut self, ex: &mut Exchange, cx: &mut Services, then: AfterSync) -> Flow {
        match then {
            AfterSync::Mark => self.mark(ex, cx),
            AfterSync::Progress if self.asks() => respond::offset(ex, cx, &self.upload),
            AfterSync::Progress => self.progress(ex, cx),
            AfterSync::Name(digest) => self.store(ex, cx, digest),
            AfterSync::End(placed, Some(record)) => {
                self.upload.end_record(cx, &record);
                self.synced(ex, cx, AfterSync::End(placed, None))
            }
            AfterSync::End(..) if self.joining.is_some() => {
                if let Some(joining) = self.joining.take() {
                    joining.remove_parts(cx, &self.upload.dir, &self.upload.home);
                }
                self.synced(ex, cx, then)
            }
            AfterSync::End(placed, None) if self.asks() => {
                let (stored, dir) = placed.keep();
                respond::ended(ex, &dir, &stored);
                respond::done(ex, self.upload.record.dialect, self.upload.size);
                Flow::Respond
            }
            AfterSync::End(placed, None) => {
                let (stored, dir) = placed.keep();
                self.stored(ex, cx, stored, &dir)
            }
        }
    }

    /// What it waits for may be known by now: whether there is room for the last pieces, what the disk says, or what is
    /// in the area. None: it waits for none of these.
    fn awaited(&mut self, ex: &mut Exchange, cx: &mut Services) -> Option<Flow> {
        if self.unsure.is_some() {
            return Some(self.settle(ex, cx));
        }
        if self.writing.is_some() {
            return Some(self.written(ex, cx));
        }
        let digest = self.counting.take()?;
        Some(self.store(ex, cx, digest))
    }

    /// The upload is complete: what was not hashed on arrival is hashed now, slice by slice, then it is stored.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if !self.lease.is_live() {
            return Flow::Close;
        }
        if let Some(flow) = self.awaited(ex, cx) {
            return flow;
        }
        if self.joining.is_some() {
            if let Some(flow) = self.superseded(ex, cx) {
                return flow;
            }
            match self.join(cx) {
                Ok(true) => {}
                Ok(false) => {
                    self.hashes = true;
                    return Flow::Wait;
                }
                Err(e) => return self.failed(ex, cx, "copy_file_range()", e),
            }
        }
        if let Some((checksum, at)) = &mut self.late {
            let outcome = read_slice(cx, &self.upload, at, |bytes| checksum.update(bytes));
            let is_hashed = *at >= self.upload.size;
            return match (outcome, self.late.take()) {
                (Err(e), _) => self.failed(ex, cx, "read()", e),
                (Ok(()), Some((checksum, _))) if is_hashed => {
                    self.checksum = Some(checksum);
                    self.hashes = false;
                    self.received(ex, cx)
                }
                (Ok(()), late) => {
                    self.late = late;
                    self.hashes = true;
                    Flow::Wait
                }
            };
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
                self.remove(cx);
                return respond::refuse_upload(ex, cx, self.upload.record.dialect, &refusal);
            }
        };
        let digest = self.wanted.map_or(Vec::new(), |algorithm| sums.value(algorithm));
        self.sync(ex, cx, AfterSync::Name(digest))
    }

    /// tus's concatenation: a newer request has one of the parts, which may not be there any more.
    fn superseded(&mut self, ex: &mut Exchange, cx: &mut Services) -> Option<Flow> {
        self.joining.take_if(|joining| !joining.is_live())?;
        let refusal = Refusal::new(Status::CONFLICT, "a newer request uses one of its parts");
        Some(respond::refuse_upload(ex, cx, Dialect::Tus, &refusal))
    }

    /// tus's concatenation: copies the next slice of the parts. True when all are there.
    fn join(&mut self, cx: &mut Services) -> Result<bool, Errno> {
        let Some(joining) = &mut self.joining else { return Ok(true) };
        if self.upload.record.unverified.is_none() {
            return Ok(true);
        }
        let mut scratch = std::mem::take(&mut cx.scratch);
        let copied = joining.step(self.lease.fd(), self.upload.size, &mut scratch);
        scratch.clear();
        cx.scratch = scratch;
        let copied = copied?;
        self.upload.size += copied;
        if copied > 0 {
            return Ok(false);
        }
        self.upload.record.unverified = None;
        self.upload.dir.mark(self.upload.id, &self.upload.record)?;
        Ok(true)
    }

    /// Gives the file its name.
    fn store(&mut self, ex: &mut Exchange, cx: &mut Services, digest: Vec<u8>) -> Flow {
        if let Some(flow) = self.superseded(ex, cx) {
            return flow;
        }
        if self.gives_way(cx) {
            return Flow::Close;
        }
        let ids = self.joining.as_ref().map_or_else(Vec::new, |joining| joining.ids());
        let (mut placed, record) = match self.upload.complete(ex, cx, ids.clone()) {
            Ok(placed) => placed,
            Err(refused) if refused.refusal.later => {
                self.counting = Some(digest);
                return Flow::Wait;
            }
            // This process was stopped just before: another one has the bytes, or has given them their name.
            Err(_) if self.gives_way(cx) || matches!(self.upload.dir.stat(self.upload.id), Ok(None)) => {
                return Flow::Close;
            }
            Err(refused) => {
                if !refused.kept {
                    self.upload.remove(cx);
                }
                // A whole that is made of parts ends with its request: the client has the parts.
                let is_whole = self.joining.take().is_some();
                if refused.kept && !is_whole {
                    return self.refuse_rest(ex, cx, &refused.refusal);
                }
                let refuse = if self.asks() { respond::refuse } else { respond::refuse_upload };
                return refuse(ex, cx, self.upload.record.dialect, &refused.refusal);
            }
        };
        if self.is_lost() && placed.take_back(cx) {
            // This process was stopped just before: what got the name is the other's, and not whole.
            cx.resumable.unfinish(self.upload.id);
            ex.log.upload = None;
            return Flow::Close;
        }
        self.is_told = true;
        placed.stored.digest = digest;
        cx.resumable.joined(&ids);
        if !ex.location().settings.upload.sync {
            self.upload.end_record(cx, &record);
            return self.synced(ex, cx, AfterSync::End(Box::new(placed), None));
        }
        match cx.syncs.begin_names(&placed.changed) {
            Ok(syncs) => {
                let then = AfterSync::End(Box::new(placed), Some(Box::new(record)));
                self.writing = Some(Box::new((syncs, then)));
            }
            Err(e) => return self.unwritten(ex, cx, placed, ("open()", e)),
        }
        self.written(ex, cx)
    }

    /// The file's name could not be written to the disk: the upload has all its bytes and no name, as before this
    /// request.
    fn unwritten(&mut self, ex: &mut Exchange, cx: &mut Services, mut placed: Placed, failed: (&str, Errno)) -> Flow {
        let (call, e) = failed;
        if !placed.take_back(cx) {
            return resumed::unconfirmed(ex, cx, call, e);
        }
        self.is_told = false;
        cx.resumable.unfinish(self.upload.id);
        // Without the request that joins them, parts count again.
        if self.joining.take().is_none() {
            self.upload.publish(cx);
        }
        ex.log.upload = None;
        self.failed(ex, cx, call, e)
    }

    fn hash(&mut self, cx: &mut Services) -> Result<(), Errno> {
        let whole = &mut self.whole;
        read_slice(cx, &self.upload, &mut self.hashed, |bytes| whole.update(bytes))
    }
}

/// Reads the next slice of an upload's bytes, from `at` on, which moves on.
fn read_slice(
    cx: &mut Services,
    upload: &PendingUpload,
    at: &mut u64,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Errno> {
    let part = upload.dir.read_part(upload.id)?;
    let end = upload.size.min(*at + SLICE);
    let mut bytes = std::mem::take(&mut cx.scratch);
    let outcome = loop {
        if *at >= end {
            break Ok(());
        }
        bytes.clear();
        let most = (end - *at).min(bytes.capacity().max(4096) as u64) as usize;
        bytes.reserve(most);
        match file::pread_into(part.as_fd(), &mut bytes, most, *at) {
            // The file is shorter than it was.
            Ok(0) => break Err(Errno::EIO),
            Ok(n) => {
                each(&bytes);
                *at += n as u64;
            }
            Err(e) => break Err(e),
        }
    };
    bytes.clear();
    cx.scratch = bytes;
    outcome
}

/// The responses.
impl Append {
    /// Everything sent has arrived, and more is to come.
    fn progress(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        self.is_told = true;
        respond::state(ex, cx, &self.upload);
        self.answer(ex)
    }

    /// 201 with the upload's Location for a request that creates it, 204 for one that appends to it.
    fn answer(&self, ex: &mut Exchange) -> Flow {
        ex.response.status = match self.request {
            UploadRequest::Creation => {
                let location = respond::location(ex, self.upload.id);
                ex.response.location = Some(location);
                Status::CREATED
            }
            UploadRequest::Append => Status::NO_CONTENT,
        };
        Flow::Respond
    }

    /// The file is stored.
    fn stored(&self, ex: &mut Exchange, cx: &mut Services, stored: Stored, dir: &[u8]) -> Flow {
        let upload = &self.upload;
        match upload.record.dialect {
            // tus clients expect one response to every PATCH.
            Dialect::Tus => {
                respond::ended(ex, dir, &stored);
                respond::tus_offset(ex, upload.size);
                self.answer(ex)
            }
            Dialect::Rufh => {
                respond::completeness(ex, Completeness::Complete);
                ex.response.line(b"Upload-Offset", upload.size.to_string().as_bytes());
                ex.with_method(upload.record.method, |ex| resumed::answer(ex, cx, dir, stored))
            }
        }
    }
}

//! An unfinished upload as a request finds it; and its end.

use super::location::Home;
use super::locks;
use super::sharing;
use super::state::{Dialect, UploadState};
use super::store::{self, Dir, Unread};
use super::takeover::{self, Access, LeaseError};
use super::tus;
use crate::config::model::Level;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::principal;
use crate::exchange::handlers::upload::resumed::{self, Finished, Placed, Refusal, Refused};
use crate::exchange::{Exchange, Printable};
use crate::http::escape::{escape_component, escape_path};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::boot::Boot;
use crate::services::clock::Clock;
use crate::services::quotas::Replaced;
use crate::services::resumable::{Ended, FinishedUpload, KnownUpload, Lease, RESERVED_FOR, UploadId};
use crate::sys::Errno;
use crate::sys::file::{self, Stat};
use std::os::fd::AsFd;
use std::rc::Rc;

/// The upload, its files opened and, where the request writes, its lease taken.
pub struct PendingUpload {
    /// From the `webserv-upload` argument.
    pub id: UploadId,
    /// The state directory that it was found in.
    pub home: Home,
    /// That directory, opened.
    pub dir: Dir,
    /// What its creation declared.
    pub record: UploadState,
    /// Bytes that have arrived: its offset.
    pub size: u64,
    /// Unix milliseconds.
    pub expires: Option<i64>,
    /// The right to write to it, until the request makes that known.
    pub lease: Option<Lease>,
    /// Its file system is read-only now: the request only asks.
    pub is_read_only: bool,
}

/// What a request finds instead.
pub enum Missing {
    /// No upload has this id, or none that this client and URI may reach: 404.
    Unknown,
    /// It has ended; for a while it is known how.
    Over(Ended),
    /// It cannot be read or taken.
    Failed(Refusal),
    /// Another process has it, and was asked to release it.
    Elsewhere(Flow),
}

/// The upload, after all other requests of any process have stopped writing to it: the newer request is what the client
/// wants now, and the offset that it gets must stay true. Nothing is read that another request could change.
pub fn find(ex: &mut Exchange, cx: &mut Services, id: UploadId, access: Access) -> Result<PendingUpload, Missing> {
    match cx.resumable.ended(id) {
        Some(Ended::Done(done)) if done.uri != ex.route.uri || !is_of(ex, &done.user) => return Err(Missing::Unknown),
        Some(past) => return Err(Missing::Over(past.clone())),
        None => {}
    }
    let home = home(ex).map_err(Missing::Failed)?;
    let failed = |call: &str, e: Errno| Missing::Failed(Refusal::call(call, &home.path, e));
    let dir = match home.open() {
        Ok(dir) => dir,
        Err(Errno::ENOENT) => return Err(Missing::Unknown),
        Err(e) => return Err(failed("open()", e)),
    };
    let Some(record) = load(&home, &dir, id)? else {
        takeover::stop_asking(cx, &dir, id);
        return Err(Missing::Unknown);
    };
    if record.uri != ex.route.uri || !is_of(ex, &record.user) || !goes_there(ex, cx, &record)? {
        return Err(Missing::Unknown);
    }
    if is_out_of_reach(ex, cx, &home, &record) {
        return Err(Missing::Unknown);
    }
    let reach = locks::reach(cx, &home.path, dir.fd().as_fd());
    let (lease, is_read_only) = match takeover::lease(cx, &dir, id, (&record, &reach), access) {
        Ok(lease) => lease,
        Err(LeaseError::Elsewhere(flow)) => return Err(Missing::Elsewhere(flow)),
        Err(LeaseError::Named) => {
            sharing::note_foreign_change(cx, &home);
            return Err(without_bytes(cx, &home, &dir, id, &record));
        }
        Err(LeaseError::Failed(e)) => return Err(failed("open()", e)),
    };
    // What was read before the lock was taken may have changed.
    let stat = state_of(&lease, &reach).map_err(|e| failed("fstat()", e))?;
    let Some(mut record) = load(&home, &dir, id)? else { return Err(Missing::Unknown) };
    if record.is_claimed && !lease.is_claimed() && !is_read_only {
        // A process beyond the mount has marked it in between.
        return Err(Missing::Elsewhere(takeover::again(cx)));
    }
    if !reach.is_empty() && !is_read_only {
        takeover::mark(&dir, id, &mut record).map_err(|e| failed("open()", e))?;
    }
    sharing::note_presence(cx, &home);
    if cx.resumable.get(id).is_none() {
        sharing::note_foreign_change(cx, &home);
    }
    let expires = expires(&cx.now, &record, &stat);
    let mut upload =
        PendingUpload { id, home, dir, record, size: stat.size, expires, lease: Some(lease), is_read_only };
    if expires.is_some_and(|at| at <= cx.now.unix_ms()) {
        upload.remove(cx);
        return Err(Missing::Over(Ended::Gone));
    }
    if let Some(floor) = upload.floor(cx.boot).filter(|floor| upload.size > *floor) {
        upload.cut(floor).map_err(|e| Missing::Failed(Refusal::call("ftruncate()", &upload.home.path, e)))?;
    }
    upload.publish(cx);
    Ok(upload)
}

/// Another server, whose locks this one does not see, began the upload.
fn is_out_of_reach(ex: &Exchange, cx: &mut Services, home: &Home, record: &UploadState) -> bool {
    let Some(why) = record.is_moved.then(|| locks::unreliable_in(&home.path)).flatten() else { return false };
    let text = "the upload belongs to another server, which reaches this directory by another path";
    // Clients ask repeatedly.
    if let Some(times) = cx.resumable.count_elsewhere(&home.path) {
        let path = Printable(&home.path);
        let count = if times > 1 { format!(" ({times} requests until now)") } else { String::new() };
        ex.report(cx, Level::Warn, format_args!("\"{path}\": {why}: {text}{count}"));
    }
    true
}

/// The state of the bytes' file; `reach`: how far its locks reach.
fn state_of(lease: &Lease, reach: &[u8]) -> Result<Stat, Errno> {
    match reach.is_empty() {
        true => file::fstat(lease.fd()),
        // Another mount may have written to it.
        false => file::fstat_synced(lease.fd()),
    }
}

/// Whether the file still belongs where the upload was begun: its location stores there, and the variables of
/// upload_store that may tell clients apart have the same values.
fn goes_there(ex: &mut Exchange, cx: &mut Services, record: &UploadState) -> Result<bool, Missing> {
    ex.route.begun_at = Some(record.path.as_slice().into());
    let path = resumed::path(ex, cx).map_err(Missing::Failed)?;
    if path == record.path {
        return Ok(true);
    }
    ex.route.begun_at = None;
    let (begun, path) = (Printable(&record.path), Printable(&path));
    let why = format_args!("an upload begun for \"{begun}\" cannot be continued: this request is for \"{path}\"");
    ex.report(cx, Level::Warn, why);
    Ok(false)
}

/// Whether the request's client may continue what `user` began.
fn is_of(ex: &Exchange, user: &[u8]) -> bool {
    user.is_empty() || user == principal::of(ex)
}

fn load(home: &Home, dir: &Dir, id: UploadId) -> Result<Option<UploadState>, Missing> {
    dir.load(id).map_err(|unread| {
        Missing::Failed(match unread {
            Unread::Call(e) => Refusal::call("read()", &home.path, e),
            // After a 404, clients start again or give up; the next request may reach the other server.
            Unread::Foreign => {
                let why = "another version of this server keeps the upload: it can be continued there";
                Refusal::new(Status::SERVICE_UNAVAILABLE, why)
            }
        })
    })
}

/// The fate of an upload that has a record and no bytes.
fn without_bytes(cx: &mut Services, home: &Home, dir: &Dir, id: UploadId, record: &UploadState) -> Missing {
    // Its name is in the newest record, if it has one.
    let newest = dir.load(id).ok().flatten();
    let is_stored = newest.as_ref().is_none_or(|record| dir.is_stored(id, record));
    if !is_stored && let Some(flow) = takeover::patience(cx, id) {
        // Its process may be about to note the other name that the file has got.
        return Missing::Elsewhere(flow);
    }
    takeover::stop_asking(cx, dir, id);
    let record = newest.as_ref().unwrap_or(record);
    let past = match remembered(cx, home, dir, id, record) {
        // The bytes were removed by something else.
        _ if !is_stored => Ended::Gone,
        Some(at) if at > cx.now.unix_ms() => Ended::Done(over(record)),
        Some(_) => Ended::Gone,
        // It was stored, and then the process died.
        None => Ended::Done(over(record)),
    };
    if record.is_contested {
        dir.remove_copies(id);
    }
    if past == Ended::Gone || !remembers(cx, home, record) {
        dir.forget(id);
        home.tidy(cx);
        cx.resumable.finish(id, past.clone());
    }
    Missing::Over(past)
}

/// What all requests know of an upload.
pub fn known(home: &Rc<[u8]>, record: &UploadState, bytes: u64, expires: Option<i64>) -> KnownUpload {
    let known = KnownUpload::new(home.clone(), &record.path, bytes, expires);
    known.of_part(tus::is_partial(&record.concat))
}

/// The directory of unfinished uploads here.
pub fn home(ex: &Exchange) -> Result<Home, Refusal> {
    Home::of(&ex.config, ex.location()).ok_or_else(|| {
        let why = "upload_state_store is not set, and upload_store begins with a variable";
        Refusal::new(Status::INTERNAL_SERVER_ERROR, why)
    })
}

/// The result of an upload that has a record but no data file any more.
pub fn over(record: &UploadState) -> FinishedUpload {
    let mut location = Vec::new();
    escape_path(&record.dir, &mut location);
    escape_component(&record.name, &mut location);
    let length = record.length.unwrap_or(0);
    let (status, tus) = (Status::CREATED.0, record.dialect == Dialect::Tus);
    let concat = record.concat.clone();
    FinishedUpload { uri: record.uri.clone(), user: record.user.clone(), length, location, status, tus, concat }
}

/// Whether the record of a finished upload is kept, for clients that did not get the last response. In a directory of
/// its own that does no harm; among the files it would only be in the way when their directory is removed, unless
/// other processes may be asked about it.
pub fn remembers(cx: &mut Services, home: &Home, record: &UploadState) -> bool {
    record.age > 0 && (!home.ours || sharing::is_shared(cx, home))
}

/// Until when a finished upload is known (Unix milliseconds), if it is.
pub fn remembered(cx: &mut Services, home: &Home, dir: &Dir, id: UploadId, record: &UploadState) -> Option<i64> {
    if !remembers(cx, home, record) {
        return None;
    }
    dir.stat_record(id).ok().and_then(|stat| expires(&cx.now, record, &stat))
}

/// Milliseconds for which nothing expires after a start: a clock that is wrong then may be set right.
const GRACE: u64 = 3_600_000;

/// Unix milliseconds: its age counts from the last byte written. None: it does not expire.
pub fn expires(now: &Clock, record: &UploadState, stat: &Stat) -> Option<i64> {
    (record.age > 0).then(|| end_of_age(now, record.age, written(now, stat)))
}

fn end_of_age(now: &Clock, age: u64, written: i64) -> i64 {
    let by_stamp = written.saturating_add_unsigned(age);
    let grace = age.min(GRACE).saturating_sub(now.ran());
    let by_start = if grace > 0 { now.unix_ms().saturating_add_unsigned(grace) } else { i64::MIN };
    by_stamp.max(by_start)
}

/// When a file was last written to, by what the wall clock shows now (Unix milliseconds): time by which the clock was
/// set forward since then is no age.
pub fn written(now: &Clock, stat: &Stat) -> i64 {
    as_set(now, stat.mtime.0.saturating_mul(1000).saturating_add(i64::from(stat.mtime.1 / 1_000_000)))
}

fn as_set(now: &Clock, stamp: i64) -> i64 {
    stamp.saturating_add(now.set_forward_since(stamp))
}

impl PendingUpload {
    /// All bytes have arrived, and it is a file of its own: it should have its name.
    pub fn is_complete(&self) -> bool {
        self.record.length == Some(self.size) && !self.is_part()
    }

    /// It becomes a part of a file.
    pub fn is_part(&self) -> bool {
        tus::is_partial(&self.record.concat)
    }

    /// It is made of other uploads.
    pub fn is_final(&self) -> bool {
        tus::is_final(&self.record.concat)
    }

    /// Where the bytes end that count, if that is before the last byte: bytes do not count if they were not compared
    /// with their checksum, or were not on the disk when the machine stopped.
    fn floor(&self, boot: Option<Boot>) -> Option<u64> {
        let synced = match (boot, self.record.synced) {
            (Some(now), Some((then, synced))) if now.is_later_than(then) => Some(synced),
            _ => None,
        };
        [self.record.unverified, synced].into_iter().flatten().min()
    }

    /// upload_sync: bytes received from now on belong to the machine's current boot. Of the present ones, those that
    /// were synced count after the next boot.
    pub fn begin_marks(&mut self, boot: Option<Boot>) {
        let synced = self.record.synced.map_or(0, |(_, synced)| synced.min(self.size));
        self.record.synced = boot.map(|boot| (boot, synced));
    }

    /// Removes bytes beyond `size`; on a read-only file system they only do not count.
    fn cut(&mut self, size: u64) -> Result<(), Errno> {
        let lease = self.lease.as_ref().ok_or(Errno::EBADF)?;
        if !self.is_read_only {
            file::ftruncate(lease.fd(), size)?;
        }
        self.size = size;
        Ok(())
    }

    /// Gives back the right to write, for a request that only asks.
    pub fn downgrade_to_reader(&mut self) -> Result<Rc<Lease>, Refusal> {
        let part = self.dir.read_part(self.id).map_err(|e| Refusal::call("open()", &self.home.path, e))?;
        self.lease = None;
        Ok(Lease::of_reader(part))
    }

    /// Makes known that this request writes to it.
    ///
    /// # Errors
    /// It is held already, or its file has one of the descriptors that are left to others.
    pub fn register_writer(&mut self, cx: &mut Services) -> Result<Rc<Lease>, Refusal> {
        if self.lease.as_ref().is_some_and(|lease| cx.is_crowded(lease.fd())) {
            return Err(Refusal::too_many_uploads());
        }
        let lease = self.lease.take();
        let lease = lease.ok_or_else(|| Refusal::new(Status::INTERNAL_SERVER_ERROR, "the upload is held already"))?;
        let lease = cx.resumable.lease(self.id, lease);
        lease.set_waiter(cx.syncs.driven);
        Ok(lease)
    }

    /// Tells the upload's size and end of time to the process, for other requests.
    pub fn publish(&self, cx: &mut Services) {
        if !cx.resumable.update(self.id, self.size, self.expires) {
            let open = known(&self.home.path, &self.record, self.size, self.expires);
            cx.resumable.insert(self.id, open);
        }
    }

    /// A request begins to write to it: this size is held for it from now on (upload_quota), less what it replaces.
    pub fn promise(&self, cx: &mut Services, bytes: u64, replaces: Option<Replaced>) {
        self.publish(cx);
        let now = cx.now.ms;
        cx.resumable.promise(self.id, bytes, replaces, now, now + RESERVED_FOR);
    }

    /// Bytes arrived: it lives longer.
    pub fn touch(&mut self, cx: &mut Services) {
        let age = self.record.age;
        self.expires = (age > 0).then(|| cx.now.unix_ms().saturating_add_unsigned(age));
        self.publish(cx);
    }

    /// The upload ends without a file: its bytes and its record are removed.
    pub fn remove(&self, cx: &mut Services) {
        self.dir.remove(self.id);
        self.home.tidy(cx);
        cx.resumable.finish(self.id, Ended::Gone);
    }

    /// The file has its final name: its record is removed, or marked as complete.
    pub fn end_record(&self, cx: &mut Services, record: &UploadState) {
        if remembers(cx, &self.home, record) && self.dir.save(self.id, record).is_ok() {
            let expires = Some(cx.now.unix_ms().saturating_add_unsigned(record.age));
            cx.resumable.insert(self.id, KnownUpload::stored(self.home.path.clone(), &record.path, expires));
        } else {
            self.dir.forget(self.id);
            self.home.tidy(cx);
        }
    }

    /// Its last byte has arrived: gives the file its name, or ends the upload without one. Also gives its future
    /// record ([`PendingUpload::end_record`]): the present one must not be removed before the name is on the disk.
    /// `parts`: the uploads that it was made of. One that is refused is still there: its bytes may be another process's
    /// by now.
    pub fn complete(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        parts: Vec<UploadId>,
    ) -> Result<(Placed, UploadState), Refused> {
        self.record.length = Some(self.size);
        let finished = Finished {
            id: self.id,
            home: self.dir.fd(),
            part: store::part(self.id),
            parts,
            below: &self.record.below,
            name: &self.record.name,
            conditions: &self.record.conditions,
            fields: tus::metadata(&self.record.metadata).unwrap_or_default(),
        };
        match ex.with_method(self.record.method, |ex| resumed::store(ex, cx, finished)) {
            Ok(placed) => {
                let (dir, name) = (placed.dir.clone(), placed.stored.name.clone());
                let record = UploadState { dir, name, ended: true, ..self.record.clone() };
                let status = if placed.stored.replaced { Status::OK } else { Status::CREATED };
                cx.resumable.finish(self.id, Ended::Done(FinishedUpload { status: status.0, ..over(&record) }));
                // As for plain uploads: a request that waits behind this one sees what was stored.
                cx.now.changed();
                Ok((placed, record))
            }
            Err(refused) => Err(refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn a_clock_that_is_set_forward_ends_no_unfinished_upload() {
        let mut now = Clock::read();
        // The time after the start is over.
        now.jump(2 * GRACE);
        now.advance();
        let written = now.unix_ms();
        let lives = |now: &Clock| end_of_age(now, DAY, as_set(now, written)) > now.unix_ms();
        now.set_wall(2 * 86_400);
        now.advance();
        assert!(lives(&now), "by two days");
        now.set_wall(-2 * 86_400);
        now.advance();
        assert!(lives(&now), "and back");
        now.jump(DAY + 10_000);
        now.advance();
        assert!(!lives(&now), "a day passes, and it goes");
    }

    #[test]
    fn what_a_start_finds_too_old_has_an_hour_since_the_clock_may_be_wrong() {
        let mut now = Clock::read();
        let lives = |now: &Clock, age: u64| end_of_age(now, age, 1_000) > now.unix_ms();
        assert!(lives(&now, DAY));
        now.jump(1_000);
        now.advance();
        assert!(lives(&now, DAY) && !lives(&now, 1), "no longer than its age");
        now.jump(GRACE);
        now.advance();
        assert!(!lives(&now, DAY));
    }
}

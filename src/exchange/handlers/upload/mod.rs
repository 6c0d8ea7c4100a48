//! POST and PUT: files to disk. This file is an upload while its body comes; the others know what may be stored and how.
//!
//! - [`start`], [`check`]: the head of a request, and a file it brings, judged before their content
//! - [`target_dir`], [`folders`]: the directory, opened beneath the root or the store, and those below it
//! - [`name`], [`rules`], [`quota`], [`digest`]: what may be stored, and under which name
//! - [`temp_file`], [`commit`], [`fsync`]: a file being written, how files get their names, and onto the disk
//! - [`form`], [`raw`]: the two kinds of bodies
//! - [`rate_limit`]: how fast they are read
//! - [`answer`], [`refusal`]: responses
//! - [`record`]: what variables say of it
//! - [`serve_policy`]: how stored files are sent
//! - [`resumed`]: the same for a file that comes in several requests
//!
//! Invariant: nothing is seen in the directory before the body is complete and right; dropping an [`Upload`] leaves
//! nothing behind.

mod answer;
mod check;
mod commit;
pub mod digest;
mod folders;
mod form;
mod fsync;
mod name;
mod quota;
pub mod rate_limit;
mod raw;
pub mod record;
mod refusal;
pub mod resumed;
mod rules;
mod serve_policy;
mod start;
pub mod target_dir;
pub mod temp_file;
#[cfg(test)]
mod tests;

pub use answer::{limit, refuse, respond as tell};
pub use name::{Names, numbered};
pub use quota::{Share, check_empty, later, lock_empty};
pub use record::Record;
pub use refusal::Refusal;
pub use rules::{check_extension, check_room, check_type};
pub use serve_policy::guard;
pub use start::start;
pub use target_dir::area_of;

use crate::config::settings::upload::{Duplicate, Upload as Rules, Verify};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::http::etag::ETag;
use crate::http::h1::head::Head;
use crate::http::status::Status;
use crate::io::make_path::Making;
use crate::services::Services;
use crate::services::quotas::Usage;
use crate::services::resumable::UploadId;
use crate::sys::Errno;
use digest::{Algorithm, Digests};
use folders::{Folder, place};
use form::Form;
use fsync::Writing;
use record::Stored;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use target_dir::Place;
use temp_file::{Birth, Part};

/// Bytes of a file that are held in memory at most, whatever client_body_buffer_size says.
const HELD: u64 = 64 << 10;
/// Bytes of a form that may be something else than files.
const FORM: u64 = 128 << 10;

/// An upload whose body is on its way.
pub struct Upload {
    rules: Rc<Rules>,
    place: Place,
    /// Those below it that names of files lead into.
    folders: Vec<Folder>,
    /// None: the body is the file.
    form: Option<Box<Form>>,
    parts: Vec<Part>,
    /// Where names are made of fields that may yet come: what each part came with, its name and its type.
    unnamed: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of the whole body.
    digests: Digests,
    /// The client would like to have this one of what was stored.
    wanted: Option<Algorithm>,
    on_duplicate: Duplicate,
    /// The request has If-Match, If-None-Match or If-Unmodified-Since.
    conditional: bool,
    /// The head that has them, and its bytes, where it is not this request's.
    conditions: Option<Box<(Head, Vec<u8>)>>,
    /// The digests that are wanted, file by file: every one that was announced holds.
    checked: Option<Vec<Vec<u8>>>,
    /// upload_sync: how far that is.
    writing: Writing,
    /// The files are whole, and wait for a quota that other processes keep too: it is asked again in another turn.
    is_naming: bool,
    /// Directories that were made for the files, which may yet be refused.
    made: Making,
    /// Of the quota, where there is one.
    share: Option<Share>,
    /// What is known to come, and what it replaces.
    coming: Usage,
    freed: Usage,
    /// Bytes that a file may have to be held in memory: written and named in one go when they are all there.
    hold: usize,
    /// `If-None-Match: *`: the first that links the name has it, the others get 412.
    create_only: bool,
    /// Bytes that the newest file may have: by the rules of its own path too. 0: any number.
    most: u64,
    /// The resumable upload that this one ends: its bytes are not held beside those that are to come.
    resumed: Option<UploadId>,
}

/// Of a file beyond upload_max_file_size.
pub fn too_large() -> Refusal {
    Refusal::new(Status::CONTENT_TOO_LARGE, "the file is too large").limit("upload_max_file_size")
}

/// The file could not be written.
pub fn failed(ex: &mut Exchange, cx: &mut Services, e: Errno) -> Flow {
    let path = ex.route.uri.clone();
    answer::refuse(ex, cx, &Refusal::call("splice()", &path, e))
}

impl Upload {
    /// A piece of the body.
    ///
    /// # Errors
    /// The answer, where the upload is refused: nothing is stored then.
    pub fn accept(&mut self, ex: &mut Exchange, cx: &mut Services, data: &[u8]) -> Result<(), Flow> {
        self.digests.update(data);
        let outcome = match self.form.take() {
            None => self.write(cx, data),
            Some(mut form) => {
                let outcome = form::accept(self, &mut form, ex, cx, data);
                self.form = Some(form);
                outcome
            }
        };
        outcome.map_err(|refusal| self.refuse(ex, cx, &refusal))
    }

    /// The body is complete: everything is stored, or nothing.
    pub fn finish(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        match self.write_content(cx) {
            Ok(false) => {}
            Ok(true) => return self.written(ex, cx),
            Err(refusal) => return self.refuse(ex, cx, &refusal),
        }
        let stored = match self.store(ex, cx) {
            Ok(stored) => stored,
            Err(refusal) if refusal.later => {
                self.is_naming = true;
                return Flow::Wait;
            }
            Err(refusal) => return self.refuse(ex, cx, &refusal),
        };
        self.is_naming = false;
        // What was true of files in this turn of the loop is so no more: a request that waits behind this one must
        // see what it stored.
        cx.now.stored();
        if self.rules.sync && !self.parts.is_empty() {
            self.write_names(stored, ex, cx)
        } else {
            self.stored(ex, cx, stored)
        }
    }

    /// It is stored, and that is answered.
    fn stored(&mut self, ex: &mut Exchange, cx: &mut Services, stored: Vec<Stored>) -> Flow {
        let fields = self.form.take().map(|form| form.fields).unwrap_or_default();
        let dir = Some(self.place.dir.clone());
        ex.log.upload = Some(Box::new(Record { files: stored.clone(), fields, dir }));
        answer::stored(ex, cx, &self.place.uri, &stored, self.rules.answer.as_ref())
    }

    /// Nothing is stored; what was meant to be is known to the log.
    fn refuse(&mut self, ex: &mut Exchange, cx: &mut Services, refusal: &Refusal) -> Flow {
        let flow = answer::refuse(ex, cx, refusal);
        let files = self.parts.iter().map(|part| Stored {
            name: self.path_of(part),
            size: part.size(),
            etag: ETag::new(0, 0, part.size(), 0),
            replaced: false,
            digest: Vec::new(),
        });
        let files = files.collect();
        let fields = self.form.take().map(|form| form.fields).unwrap_or_default();
        ex.log.upload = Some(Box::new(Record { files, fields, dir: None }));
        flow
    }

    /// The file that raw body bytes may be spliced into: nothing in between looks at them.
    pub fn splice_target(&self) -> Option<BorrowedFd<'_>> {
        match (&self.form, self.parts.first()) {
            (None, Some(part)) if self.digests.is_empty() => part.fd(),
            _ => None,
        }
    }

    /// `n` bytes went from the socket to the file.
    ///
    /// # Errors
    /// The answer, where that is too much.
    pub fn spliced(&mut self, ex: &mut Exchange, cx: &mut Services, n: u64) -> Result<(), Flow> {
        let Some(part) = self.parts.first_mut() else { return Ok(()) };
        part.wrote(n);
        let most = self.most;
        match most > 0 && part.size() > most {
            true => Err(self.refuse(ex, cx, &too_large())),
            false => Ok(()),
        }
    }

    /// Digests in the head of the part that was opened last, or the one that the client wants of it.
    fn promise(&mut self, lines: &[Vec<u8>]) -> Result<(), Refusal> {
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        if self.rules.verify_digest != Verify::Off {
            lines.iter().try_for_each(|line| part.digests.promise(line)).map_err(|e| e.of(&part.name))?;
        }
        self.wanted.into_iter().for_each(|algorithm| part.digests.hash(algorithm));
        Ok(())
    }

    /// Every digest that was announced for the body and its files holds. Gives the digests that are wanted, file by
    /// file.
    fn check_digests(&mut self, ex: &Exchange) -> Result<Vec<Vec<u8>>, Refusal> {
        if let Some(digests) = self.checked.take() {
            return Ok(digests);
        }
        if self.resumed.is_some() {
            // Compared as the bytes came; this request had the last of them only.
            return Ok(vec![Vec::new(); self.parts.len()]);
        }
        let parts = &self.parts;
        let raw = parts.first().filter(|_| self.form.is_none());
        let body = std::mem::take(&mut self.digests);
        let body = digest::check(ex, self.rules.verify_digest, body, |again| raw?.hash_again(again))?;
        let wanted = self.wanted;
        let value = |sums: &digest::Sums| wanted.map_or(Vec::new(), |algorithm| sums.value(algorithm));
        if self.form.is_none() {
            return Ok(vec![value(&body)]);
        }
        let finish = |part: &mut Part| match std::mem::take(&mut part.digests).finish() {
            Ok(sums) => Ok(value(&sums)),
            Err(refusal) => Err(refusal.of(&part.name)),
        };
        self.parts.iter_mut().map(finish).collect()
    }

    /// The newest file is held in memory no longer.
    fn settle(&mut self, cx: &mut Services) -> Result<(), Refusal> {
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        let dir = &place(&self.place, &self.folders, part.folder).dir;
        let settled = part.settle(dir, &mut cx.temp_names, Birth::Nameless);
        settled.map_err(|e| Refusal::call("open()", &self.place.path, e))
    }

    /// Appends to the newest file.
    fn write(&mut self, cx: &mut Services, data: &[u8]) -> Result<(), Refusal> {
        if self.parts.last().is_some_and(|part| part.fd().is_none() && !part.holds(data.len(), self.hold)) {
            self.settle(cx)?;
        }
        self.grow_by(cx, data.len() as u64)?;
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        let most = self.most;
        if most > 0 && part.size() + data.len() as u64 > most {
            return Err(too_large().of(&part.name));
        }
        part.write(data).map_err(|e| Refusal::call("write()", &self.place.path, e))
    }
}

//! POST and PUT: files to disk. This file decides what a request stores and where; the others know how.
//!
//! - [`place`]: the directory, opened beneath the root or the store
//! - [`name`], [`rules`], [`quota`], [`digest`]: what may be stored, and under which name
//! - [`part`], [`commit`], [`durable`]: a file being written, how files get their names, and onto the disk
//! - [`form`], [`raw`]: the two kinds of bodies
//! - [`pace`]: how fast they are read
//! - [`answer`], [`refusal`]: what the client is told
//! - [`record`]: what variables say of it
//! - [`serve`]: how stored files are sent
//! - [`resumed`]: the same for a file that comes in several requests
//!
//! Invariant: nothing is seen in the directory before the body is complete and right; dropping an [`Upload`] leaves
//! nothing behind.

mod answer;
mod commit;
mod digest;
mod durable;
mod form;
mod name;
pub mod pace;
mod part;
mod place;
mod quota;
mod raw;
mod record;
mod refusal;
pub mod resumed;
mod rules;
mod serve;
#[cfg(test)]
mod tests;

pub use answer::{limit, respond as tell};
pub use name::{judge, numbered};
pub use record::Record;
pub use serve::guard;

use crate::config::directives::upload::{Duplicate, Store, Upload as Rules, Verify};
use crate::exchange::Exchange;
use crate::exchange::handlers::{Handler, delete};
use crate::exchange::phases::Flow;
use crate::http::cond::{self, ImsMode, Validators, Verdict};
use crate::http::etag::ETag;
use crate::http::framing::Framing;
use crate::http::head::Head;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::multipart::boundary_of;
use crate::http::status::Status;
use crate::shared::Cx;
use crate::shared::quotas::{Claim, Usage};
use crate::shared::uploads::UploadId;
use crate::sys::Errno;
use crate::sys::file::{FileKind, Stat};
use answer::Stored;
use commit::Why;
use digest::{Algorithm, Digests};
use durable::Writing;
use form::Form;
use name::Known;
use part::{Birth, Part};
use place::{Place, Wanted};
use quota::Share;
use refusal::Refusal;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

/// Bytes of a file that are held in memory at most, whatever client_body_buffer_size says.
const HELD: u64 = 64 << 10;
/// Bytes of a form that may be something else than files.
const FORM: u64 = 128 << 10;

/// An upload whose body is on its way.
pub struct Upload {
    rules: Rc<Rules>,
    place: Place,
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
    /// upload_sync: how far that is; and the directories that were made for the files.
    writing: Writing,
    made: Vec<place::Made>,
    /// Of the quota, where there is one.
    share: Option<Share>,
    /// What is known to come, and what it replaces.
    coming: Usage,
    freed: Usage,
    /// Bytes that a file may have to be held in memory: written and named in one go when they are all there.
    hold: usize,
    /// `If-None-Match: *`: whoever links the name first has it, the others get 412.
    create_only: bool,
    /// The resumable upload that this one ends: its bytes are not held beside those that are to come.
    resumed: Option<UploadId>,
}

/// A POST or PUT of this location: refused at once, or its body is wanted.
pub fn start(ex: &mut Exchange, cx: &mut Cx) -> Flow {
    if let Some(flow) = delete::form(ex) {
        return flow;
    }
    match prepare(ex, cx) {
        Err(refusal) => answer::refuse(ex, cx, &refusal),
        // There is no body to wait for.
        Ok(upload) if upload.is_admitted() && ex.decoder.is_done() => Box::new(upload).finish(ex, cx),
        Ok(upload) => {
            ex.handler = Handler::Upload(Box::new(upload));
            ex.pace = pace::of(ex, cx);
            Flow::Body
        }
    }
}

/// All that can be refused before the first byte is read.
fn prepare(ex: &mut Exchange, cx: &mut Cx) -> Result<Upload, Refusal> {
    let rules = ex.here().settings.upload.clone();
    if rules.store == Store::Off {
        return Err(Refusal::new(Status::FORBIDDEN, "uploads are off here"));
    }
    raw::check(ex)?;
    let put = ex.method == Method::Put;
    let kind = raw::content_type(ex).to_vec();
    let form = match !put && is_form(&kind) {
        false => None,
        true => match boundary_of(&kind) {
            Some(boundary) => Some(Box::new(Form::new(&boundary)?)),
            None => return Err(Refusal::new(Status::BAD_REQUEST, "the form's boundary is missing or malformed")),
        },
    };
    let given = if put || form.is_some() { None } else { raw::given_name(ex)? };
    let wanted = match (&form, put) {
        (Some(_), _) => Wanted::Directory,
        (None, true) => Wanted::File,
        (None, false) => Wanted::Either { named: given.is_some() },
    };
    let (place, named) = place::find(ex, cx, &rules, wanted)?;
    let length = match ex.head.framing {
        Framing::Length(length) => length,
        Framing::None | Framing::Chunked => 0,
    };
    rules::check_room(place.dir.as_fd(), rules.min_free, length)?;
    let (on_duplicate, conditional, create_only) = policy(&ex.head, ex.buf(), put, rules.on_duplicate);
    let mut digests = digest::promised(ex, rules.verify_digest)?;
    let wanted = digest::wanted(ex);
    let is_form = form.is_some();
    let hold = match ex.head.framing {
        // Who asks first is told first whether a file can be made.
        _ if ex.expects_continue => 0,
        Framing::Length(length) if !is_form && length > hold_at_most(ex) => 0,
        _ => hold_at_most(ex) as usize,
    };
    if let Some(algorithm) = wanted.filter(|_| !is_form) {
        digests.hash(algorithm);
    }
    let mut upload = Upload {
        rules,
        place,
        form,
        parts: Vec::with_capacity(1),
        unnamed: Vec::new(),
        digests,
        wanted,
        on_duplicate,
        conditional,
        conditions: None,
        writing: Writing::None,
        made: Vec::new(),
        share: None,
        coming: Usage { bytes: length, files: 1 },
        freed: Usage::default(),
        hold,
        create_only,
        resumed: None,
    };
    if let (Some(area), Some(limit)) = (&upload.place.area, upload.rules.quota) {
        upload.share = Some(Share::new(Claim::new(area.clone()), limit));
    }
    if is_form {
        // What a form holds beside its files is not much.
        upload.coming.bytes = length.saturating_sub(FORM);
    } else {
        let most = upload.rules.max_file_size.0;
        if most > 0 && length > most {
            return Err(too_large());
        }
        let name = named.or(given);
        if name.is_none() && ex.head.framing == Framing::None {
            return Err(Refusal::new(Status::BAD_REQUEST, "the request has neither a body nor a file name"));
        }
        upload.open(ex, cx, &[], name.as_deref(), &kind)?;
    }
    upload.claim(cx)?;
    Ok(upload)
}

/// What a taken name means to the request, whether it has preconditions, and whether these allow nothing but a new file.
fn policy(head: &Head, buf: &[u8], put: bool, on_duplicate: Duplicate) -> (Duplicate, bool, bool) {
    let create_only = head.all(HeaderId::IfNoneMatch).any(|field| field.value.of(buf) == b"*");
    let on_duplicate = match if put { Duplicate::Overwrite } else { on_duplicate } {
        Duplicate::Overwrite if create_only => Duplicate::Error,
        other => other,
    };
    let conditional = [HeaderId::IfMatch, HeaderId::IfNoneMatch, HeaderId::IfUnmodifiedSince]
        .iter()
        .any(|id| head.get(*id).is_some());
    (on_duplicate, conditional, create_only)
}

fn is_form(content_type: &[u8]) -> bool {
    rules::essence(content_type).eq_ignore_ascii_case(b"multipart/form-data")
}

/// Of a file beyond upload_max_file_size.
pub fn too_large() -> Refusal {
    Refusal::new(Status::CONTENT_TOO_LARGE, "the file is too large").limit("upload_max_file_size")
}

fn hold_at_most(ex: &Exchange) -> u64 {
    ex.here().settings.client.body_buffer_size.0.min(HELD)
}

/// The file could not be written.
pub fn failed(ex: &mut Exchange, cx: &mut Cx, e: Errno) -> Flow {
    let path = ex.uri.clone();
    answer::refuse(ex, cx, &Refusal::call("splice()", &path, e))
}

impl Upload {
    /// A piece of the body.
    ///
    /// # Errors
    /// The answer, where the upload is refused: nothing is stored then.
    pub fn accept(&mut self, ex: &mut Exchange, cx: &mut Cx, data: &[u8]) -> Result<(), Flow> {
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
    pub fn finish(mut self: Box<Self>, ex: &mut Exchange, cx: &mut Cx) -> Flow {
        match self.write_content(cx) {
            Ok(false) => {}
            Ok(true) => return self.written(ex, cx),
            Err(refusal) => return self.refuse(ex, cx, &refusal),
        }
        let stored = match self.store(ex, cx) {
            Ok(stored) => stored,
            Err(refusal) => return self.refuse(ex, cx, &refusal),
        };
        // What was true of files in this turn of the loop is so no more: a request that waits behind this one must
        // see what it stored.
        cx.now.stored();
        if self.rules.sync && !self.parts.is_empty() {
            self.write_names(stored, ex, cx)
        } else {
            self.told(ex, cx, stored)
        }
    }

    /// It is stored, and said so.
    fn told(mut self: Box<Self>, ex: &mut Exchange, cx: &mut Cx, stored: Vec<Stored>) -> Flow {
        let fields = self.form.take().map(|form| form.fields).unwrap_or_default();
        let dir = Some(self.place.dir.clone());
        ex.uploaded = Some(Box::new(Record { files: stored.clone(), fields, dir }));
        answer::stored(ex, cx, &self.place.uri, &stored, self.rules.answer.as_ref())
    }

    /// Nothing is stored; what was meant to be is known to the log.
    fn refuse(&mut self, ex: &mut Exchange, cx: &mut Cx, refusal: &Refusal) -> Flow {
        let flow = answer::refuse(ex, cx, refusal);
        let files = self.parts.iter().map(|part| Stored {
            name: part.name.clone(),
            size: part.size(),
            etag: ETag::new(0, 0, part.size()),
            replaced: false,
            digest: Vec::new(),
        });
        let fields = self.form.take().map(|form| form.fields).unwrap_or_default();
        ex.uploaded = Some(Box::new(Record { files: files.collect(), fields, dir: None }));
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
    pub fn spliced(&mut self, ex: &mut Exchange, cx: &mut Cx, n: u64) -> Result<(), Flow> {
        let Some(part) = self.parts.first_mut() else { return Ok(()) };
        part.wrote(n);
        let most = self.rules.max_file_size.0;
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

    /// Everything that was promised of the body and of its files holds. Gives the digests that are wanted, file by
    /// file.
    fn check_digests(&mut self, ex: &Exchange) -> Result<Vec<Vec<u8>>, Refusal> {
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

    /// Begins the next file: judges its name and type, and whether it may take the place it wants.
    fn open(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Cx,
        fields: &[(Box<[u8]>, Vec<u8>)],
        given: Option<&[u8]>,
        content_type: &[u8],
    ) -> Result<(), Refusal> {
        let most = self.rules.max_files;
        if most > 0 && self.parts.len() as u64 >= most {
            let refusal = Refusal::new(Status::CONTENT_TOO_LARGE, "the form has too many files");
            return Err(refusal.limit("upload_max_files"));
        }
        if ex.method == Method::Post && name::is_made_of_fields(&self.rules.filename) {
            self.check_type(content_type)?;
            let given = given.map(name::exact).transpose()?.unwrap_or_default();
            self.unnamed.push((given.clone(), content_type.to_vec()));
            return self.create(cx, given);
        }
        let name = self.admit(ex, cx, fields, given, content_type)?;
        self.create(cx, name)
    }

    fn check_type(&self, content_type: &[u8]) -> Result<(), Refusal> {
        if rules::is_type_allowed(&self.rules.types, content_type) {
            return Ok(());
        }
        let refusal = Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, "files of this type are not accepted");
        Err(refusal.limit("upload_types"))
    }

    /// The name of a file that may be stored, as far as can be told before its content is there.
    fn admit(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Cx,
        fields: &[(Box<[u8]>, Vec<u8>)],
        given: Option<&[u8]>,
        content_type: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        self.check_type(content_type)?;
        let name = self.name(ex, cx, fields, given, content_type)?;
        // Renaming looks for a name that is free, so there is nothing to ask yet.
        if self.on_duplicate != Duplicate::Rename || self.conditional {
            let there = self.place.look(&name, cx)?;
            self.check_taken(there, &name)?;
            self.check_conditions(ex, there.as_ref(), &name)?;
            self.freed = self.freed.plus(self.replaced(there));
        }
        Ok(name)
    }

    fn create(&mut self, cx: &mut Cx, name: Vec<u8>) -> Result<(), Refusal> {
        // One at a time is held.
        self.settle(cx)?;
        self.parts.push(Part::held(name, self.rules.mode, 0));
        self.grow_by(cx, 0)?;
        if self.hold == 0 { self.settle(cx) } else { Ok(()) }
    }

    /// The newest file is held in memory no longer.
    fn settle(&mut self, cx: &mut Cx) -> Result<(), Refusal> {
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        let settled = part.settle(&self.place.dir, &mut cx.litter, Birth::Nameless);
        settled.map_err(|e| Refusal::call("open()", &self.place.path, e))
    }

    /// The name of a file that the client calls `given`.
    fn name(
        &self,
        ex: &mut Exchange,
        cx: &mut Cx,
        fields: &[(Box<[u8]>, Vec<u8>)],
        given: Option<&[u8]>,
        content_type: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let known = Known { name: given.unwrap_or_default(), fields };
        let name = match (ex.method, given) {
            // The URI is the file's name, whatever else names are made of here.
            (Method::Put, Some(given)) => name::exact(given)?,
            _ => name::choose(ex, cx, &self.rules, &known, content_type)?,
        };
        // What the client calls the file counts too: its content does not change with its name.
        let extensions = &self.rules.extensions;
        if !given.into_iter().chain([&name[..]]).all(|name| rules::is_extension_allowed(extensions, name)) {
            let why = "files with this extension are not accepted";
            return Err(Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, why).limit("upload_extensions").of(&name));
        }
        Ok(name)
    }

    /// Whether a file may have this name, as far as can be told before its content is there.
    fn check_taken(&self, there: Option<Stat>, name: &[u8]) -> Result<(), Refusal> {
        match (there.map(|stat| stat.kind), self.on_duplicate) {
            (None, _) | (_, Duplicate::Rename) => Ok(()),
            (Some(FileKind::Dir | FileKind::Other), _) => Err(self.refusal(Why::NoFile, name)),
            (Some(_), Duplicate::Overwrite) => Ok(()),
            (Some(_), Duplicate::Error) => Err(self.refusal(Why::Taken, name)),
        }
    }

    /// RFC 9110 §13: the request's preconditions, on what has the name now.
    fn check_conditions(&self, ex: &Exchange, there: Option<&Stat>, name: &[u8]) -> Result<(), Refusal> {
        if !self.conditional {
            return Ok(());
        }
        let etag = there.filter(|stat| stat.kind == FileKind::Regular).map(etag);
        let now = Validators {
            etag: etag.as_ref().map(ETag::as_bytes),
            modified: there.map(|stat| stat.mtime.0),
            exists: there.is_some(),
        };
        let (head, buf) = match &self.conditions {
            Some(other) => (&other.0, &other.1[..]),
            None => (&ex.head, ex.buf()),
        };
        match cond::evaluate(head, buf, ex.method, &now, ImsMode::Off) {
            Verdict::Failed => {
                Err(Refusal::new(Status::PRECONDITION_FAILED, "a precondition of the request does not hold").of(name))
            }
            Verdict::Proceed | Verdict::NotModified => Ok(()),
        }
    }

    /// Appends to the newest file.
    fn write(&mut self, cx: &mut Cx, data: &[u8]) -> Result<(), Refusal> {
        if self.parts.last().is_some_and(|part| part.fd().is_none() && !part.holds(data.len(), self.hold)) {
            self.settle(cx)?;
        }
        self.grow_by(cx, data.len() as u64)?;
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        let most = self.rules.max_file_size.0;
        if most > 0 && part.size() + data.len() as u64 > most {
            return Err(too_large().of(&part.name));
        }
        part.write(data).map_err(|e| Refusal::call("write()", &self.place.path, e))
    }
}

fn etag(stat: &Stat) -> ETag {
    ETag::new(stat.mtime.0, stat.mtime.1, stat.size)
}

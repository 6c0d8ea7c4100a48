//! The body of an upload as it arrives. What is done at its end: [`super::finish`].

use super::digest;
use super::form::{FIELD, Form, Into};
use super::refusal::Refusal;
use super::state::{Upload, target_of};
use super::temp_file::{Birth, Part};
use crate::config::settings::upload::VerifyDigest;
use crate::exchange::flow::Flow;
use crate::exchange::{Exchange, Rx};
use crate::http::multipart::{Event, PartHead};
use crate::http::status::Status;
use crate::services::Services;
use std::os::fd::BorrowedFd;

impl Upload {
    /// A piece of the body.
    ///
    /// # Errors
    /// The answer, where the upload is refused: nothing is stored then.
    pub fn accept(&mut self, ex: &mut Exchange, cx: &mut Services, data: &[u8]) -> Result<(), Flow> {
        self.digests.update(data);
        let outcome = match &mut self.form {
            None => self.write(cx, data),
            Some(form) if !form.unparsed.is_empty() => {
                form.unparsed.extend_from_slice(data);
                Ok(())
            }
            Some(_) => self.parse(ex, cx, data),
        };
        outcome.map_err(|refusal| self.refuse(ex, cx, &refusal))
    }

    /// All of a body, from `at` on in `input`; the buffer is exchanged for an empty one where it can be kept.
    ///
    /// # Errors
    /// As [`Upload::accept`].
    pub fn accept_whole(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        (input, at): (&mut Vec<u8>, usize),
    ) -> Result<(), Flow> {
        let data = input.get(at..).unwrap_or_default();
        if self.form.is_some() {
            return self.accept(ex, cx, data);
        }
        self.digests.update(data);
        let outcome = self.admit_piece(cx, data.len()).and_then(|is_all| {
            let Some(part) = self.parts.last_mut() else { return Ok(()) };
            match is_all && part.take_whole(input, at, || cx.buffers.take()) {
                true => Ok(()),
                false => self.append(cx, input.get(at..).unwrap_or_default(), is_all),
            }
        });
        outcome.map_err(|refusal| self.refuse(ex, cx, &refusal))
    }

    /// Parses a piece of a form, until the time of the turn is over.
    fn parse(&mut self, ex: &mut Exchange, cx: &mut Services, data: &[u8]) -> Result<(), Refusal> {
        let Some(mut form) = self.form.take() else { return Ok(()) };
        let used = accept_form(self, &mut form, ex, cx, data);
        let outcome = used.map(|used| form.unparsed.extend_from_slice(data.get(used..).unwrap_or_default()));
        self.form = Some(form);
        outcome
    }

    /// What has arrived of a form of many small files is parsed in slices; no more is read meanwhile.
    pub(super) fn is_parsing(&self) -> bool {
        self.form.as_ref().is_some_and(|form| !form.unparsed.is_empty())
    }

    /// The next slice of that.
    pub(super) fn go_on_parsing(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let unparsed = self.form.as_mut().map(|form| std::mem::take(&mut form.unparsed)).unwrap_or_default();
        if let Err(refusal) = self.parse(ex, cx, &unparsed) {
            return self.refuse(ex, cx, &refusal);
        }
        match ex.progress.rx {
            _ if self.is_parsing() => Flow::Wait,
            Rx::Done => self.finish(ex, cx),
            _ => Flow::Body,
        }
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
    /// The response, if they are too many.
    pub fn spliced(&mut self, ex: &mut Exchange, cx: &mut Services, n: u64) -> Result<(), Flow> {
        let Some(part) = self.parts.first_mut() else { return Ok(()) };
        part.wrote(n);
        let is_too_large = self.most > 0 && part.size() > self.most;
        let outcome = if is_too_large { Err(self.too_large()) } else { self.keep_free(cx, n) };
        outcome.map_err(|refusal| self.refuse(ex, cx, &refusal))
    }

    /// Records the digests in the head of the part that was opened last, and the digest that the client wants of it.
    pub(super) fn promise(&mut self, lines: &[Vec<u8>]) -> Result<(), Refusal> {
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        if self.rules.verify_digest != VerifyDigest::Off {
            lines.iter().try_for_each(|line| part.digests.promise(line)).map_err(|e| e.of(&part.name))?;
        }
        // The form has none either, and none can follow it.
        let is_required = self.rules.verify_digest == VerifyDigest::Require && self.digests.is_empty();
        if is_required && !part.digests.are_promised() {
            return Err(digest::missing().of(&part.name));
        }
        self.wanted.into_iter().for_each(|algorithm| part.digests.hash(algorithm));
        Ok(())
    }

    /// Checks every digest that was announced for the body and its files. Gives the digests that are wanted, file by
    /// file.
    pub(super) fn check_digests(&mut self, ex: &Exchange) -> Result<Vec<Vec<u8>>, Refusal> {
        if !self.own.is_empty() {
            // They were compared as the bytes arrived; this request had only the last bytes.
            return Ok(Vec::new());
        }
        let parts = &self.parts;
        let raw = parts.first().filter(|_| self.form.is_none());
        let body = std::mem::take(&mut self.digests);
        let have_own = self.form.is_some() && !parts.is_empty() && parts.iter().all(|part| part.digests.are_promised());
        let verify = match self.rules.verify_digest {
            VerifyDigest::Require if have_own => VerifyDigest::On,
            verify => verify,
        };
        let body = digest::check(ex, verify, body, |again| raw?.hash_again(again))?;
        let wanted = self.wanted;
        let value = |sums: &digest::Sums| wanted.map_or(Vec::new(), |algorithm| sums.value(algorithm));
        if wanted.is_none() {
            // Each is compared all the same.
            self.parts.iter_mut().filter(|_| self.form.is_some()).try_for_each(|part| {
                std::mem::take(&mut part.digests).finish().map(drop).map_err(|refusal| refusal.of(&part.name))
            })?;
            return Ok(Vec::new());
        }
        if self.form.is_none() {
            return Ok(vec![value(&body)]);
        }
        let finish = |part: &mut Part| match std::mem::take(&mut part.digests).finish() {
            Ok(sums) => Ok(value(&sums)),
            Err(refusal) => Err(refusal.of(&part.name)),
        };
        self.parts.iter_mut().map(finish).collect()
    }

    /// Moves the newest file from memory to the disk.
    pub(super) fn move_to_file(&mut self, cx: &mut Services) -> Result<(), Refusal> {
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        let dir = &target_of(&self.target, &self.folders, part.folder).dir;
        let moved = part.move_to_file(dir, &mut cx.temp_names, Birth::Nameless);
        cx.buffers.give(moved.map_err(|e| Refusal::call("open()", &self.target.path, e))?);
        match part.fd() {
            Some(fd) if cx.is_crowded(fd) => Err(Refusal::too_many_uploads()),
            _ => Ok(()),
        }
    }

    /// `more` bytes have arrived, and are written or about to be.
    ///
    /// # Errors
    /// 507: the space that is to stay free is used up.
    fn keep_free(&mut self, cx: &mut Services, more: u64) -> Result<(), Refusal> {
        self.free_space.check(cx, &self.target.dir, self.rules.min_free, more)
    }

    /// Appends to the newest file.
    fn write(&mut self, cx: &mut Services, data: &[u8]) -> Result<(), Refusal> {
        let is_all = self.admit_piece(cx, data.len())?;
        self.append(cx, data, is_all)
    }

    /// Whether that much more may be appended to the newest file. Gives whether it is all of it.
    fn admit_piece(&mut self, cx: &mut Services, len: usize) -> Result<bool, Refusal> {
        if self.parts.last().is_some_and(|part| part.fd().is_none() && !part.holds(len, self.hold)) {
            self.move_to_file(cx)?;
        }
        let is_all = self.form.is_none() && self.coming.bytes == len as u64;
        self.grow_by(cx, len as u64)?;
        self.keep_free(cx, len as u64)?;
        let Some(part) = self.parts.last() else { return Ok(is_all) };
        if self.most > 0 && part.size() + len as u64 > self.most {
            return Err(self.too_large().of(&part.name));
        }
        Ok(is_all)
    }

    fn append(&mut self, cx: &mut Services, data: &[u8], is_all: bool) -> Result<(), Refusal> {
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        // What may wait for its client needs no more room than for what has arrived.
        if is_all {
            part.lend(|| cx.buffers.take());
        }
        part.write(data).map_err(|e| Refusal::call("write()", &self.target.path, e))
    }
}

/// Takes a piece of a form: files are stored, plain fields are kept for variables, and an input without a chosen file
/// is ignored. Gives how many of the bytes are done with: the rest waits for another turn.
fn accept_form(
    upload: &mut Upload,
    form: &mut Form,
    ex: &mut Exchange,
    cx: &mut Services,
    bytes: &[u8],
) -> Result<usize, Refusal> {
    let mut rest = bytes;
    loop {
        let (used, event) = form.parser.next(rest)?;
        let here = rest;
        rest = rest.get(used..).unwrap_or_default();
        // Copied if necessary: these few bytes belong to the parser.
        let held: [u8; 80];
        let data = match event {
            Event::More => return Ok(bytes.len()),
            Event::Part(head) => {
                begin_part(upload, form, ex, cx, head)?;
                // The fields of a form are few by their bytes; inputs without a chosen file are not.
                let is_one_of_many = upload.parts.len() > 1 || form.into == Into::Nothing;
                match is_one_of_many && cx.slice.is_over() {
                    true => return Ok(bytes.len() - rest.len()),
                    false => continue,
                }
            }
            Event::PartEnd | Event::End => continue,
            Event::Data(range) => here.get(range).unwrap_or_default(),
            Event::Held(bytes) => {
                let mut copy = [0; 80];
                let len = bytes.len().min(copy.len());
                copy[..len].copy_from_slice(&bytes[..len]);
                held = copy;
                &held[..len]
            }
        };
        match form.into {
            Into::File => upload.write(cx, data)?,
            Into::Field => form.field(data)?,
            Into::Nothing if data.is_empty() => {}
            Into::Nothing => return Err(Refusal::new(Status::BAD_REQUEST, "the file name is empty")),
        }
    }
}

/// A part begins.
fn begin_part(
    upload: &mut Upload,
    form: &mut Form,
    ex: &mut Exchange,
    cx: &mut Services,
    head: PartHead,
) -> Result<(), Refusal> {
    form.into = match head.filename {
        Some(name) if name.is_empty() => Into::Nothing,
        Some(name) => {
            // RFC 7578 §4.4: a part without a type is text/plain.
            let kind = head.content_type.as_deref().unwrap_or(b"text/plain");
            upload.open(ex, cx, &form.fields, Some(&name), kind)?;
            upload.promise(&head.digests)?;
            Into::File
        }
        None => {
            let name = head.name.unwrap_or_default();
            form.count(name.len() + FIELD)?;
            form.fields.push((name.into(), Vec::new()));
            Into::Field
        }
    };
    Ok(())
}

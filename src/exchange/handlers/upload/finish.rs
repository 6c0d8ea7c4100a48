//! The end of an upload: its body is complete, and its files get their names. All of it goes from file to file and
//! stops when the time of the turn is over, so that a form of thousands of files keeps no other request waiting.
//!
//! Invariant: the names are given in the order of the files; if one cannot be given, or the upload is dropped
//! meanwhile, those that were given are taken back, the last first.

use super::answer;
use super::commit::{self, May, NameFailure, Seen};
use super::record::{Stored, UploadRecord};
use super::refusal::Refusal;
use super::state::{Because, Counted, Naming, TakingBack, Upload, Which, Writing, path_of, target_of};
use super::temp_file::Birth;
use super::{raw, rules};
use crate::config::settings::upload::Duplicate;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::dav;
use crate::exchange::handlers::path_rules::PathRules;
use crate::exchange::handlers::versions::{self, Denied, Versions};
use crate::http::etag::ETag;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::open_files::version;
use crate::sys::file::{self, FileKind};
use crate::util::fold_case::fold;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

impl Upload {
    /// The body is complete: everything is stored, or nothing.
    pub fn finish(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if self.is_parsing() {
            return Flow::Wait;
        }
        let stored = match self.write_content(cx) {
            Ok(false) => self.store(ex, cx),
            Ok(true) => return self.written(ex, cx),
            Err(refusal) => Err(refusal),
        };
        self.naming.is_begun = stored.as_ref().is_err_and(|refusal| refusal.later);
        if self.naming.is_begun || self.rules.sync {
            self.made.outlives_turn();
        }
        match stored {
            Ok(stored) if self.rules.sync && !self.parts.is_empty() => {
                self.write_names(ex, cx, (0, Vec::new(), stored))
            }
            Ok(stored) => self.stored(ex, cx, stored),
            Err(refusal) if refusal.later => Flow::Wait,
            Err(refusal) => self.go_back(ex, cx, Because::Refused(refusal)),
        }
    }

    /// The body is complete, and there is more to do in another turn.
    pub(super) fn is_ending(&self) -> bool {
        self.naming.is_begun || self.taking_back.is_some() || matches!(self.writing, Writing::NamesBegun(..))
    }

    /// The next slice of what is left to do.
    pub(super) fn go_on_ending(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if self.taking_back.is_some() {
            return self.take_back_some(ex, cx);
        }
        match std::mem::take(&mut self.writing) {
            Writing::NamesBegun(next, syncs, stored) => self.write_names(ex, cx, (next, syncs, stored)),
            other => {
                self.writing = other;
                self.finish(ex, cx)
            }
        }
    }

    /// The upload is stored: makes the response.
    pub(super) fn stored(&mut self, ex: &mut Exchange, cx: &mut Services, mut stored: Vec<Stored>) -> Flow {
        self.made.keep();
        let fields = self.form.take().map(|form| form.fields).unwrap_or_default();
        let dir = Some(self.target.dir.clone());
        if ex.route.method != Method::Put {
            // upload_return asks the record.
            ex.log.upload = Some(Box::new(UploadRecord { files: stored.clone(), fields, dir }));
            return answer::stored(ex, cx, &self.target.uri, &stored, self.rules.answer.as_ref());
        }
        // upload_return does not answer a PUT: its record is made afterwards, of the same list.
        let flow = match &mut stored[..] {
            [file] => {
                // An alias for one file may give it another name than the URI has.
                let is_shown = ex.route.uri.strip_suffix(&file.name[..]).is_some_and(|dir| dir.ends_with(b"/"));
                let own = (!is_shown).then(|| {
                    let slash = memchr::memrchr(b'/', &ex.route.uri).map_or(0, |at| at + 1);
                    let shown = ex.route.uri.get(slash..).unwrap_or_default();
                    std::mem::replace(&mut file.name, shown.to_vec())
                });
                let flow = answer::stored(ex, cx, &self.target.uri, std::slice::from_ref(file), None);
                if let Some(own) = own {
                    file.name = own;
                }
                flow
            }
            files => answer::stored(ex, cx, &self.target.uri, files, None),
        };
        ex.log.upload = Some(Box::new(UploadRecord { files: stored, fields, dir }));
        flow
    }

    /// Nothing is stored; the log gets what was to be.
    pub(super) fn refuse(&mut self, ex: &mut Exchange, cx: &mut Services, refusal: &Refusal) -> Flow {
        let flow = answer::refuse(ex, cx, refusal);
        let files = self.parts.iter().map(|part| Stored {
            name: path_of(&self.folders, part),
            size: part.size(),
            etag: ETag::new(0, 0, part.size(), 0),
            replaced: false,
            digest: Vec::new(),
            is_dated: false,
        });
        let files = files.collect();
        let fields = self.form.take().map(|form| form.fields).unwrap_or_default();
        ex.log.upload = Some(Box::new(UploadRecord { files, fields, dir: None }));
        flow
    }

    /// The rest of the checks, and the names.
    ///
    /// # Errors
    /// [`Refusal::later`] while there is more to do in another turn. After any other error, names that were given are
    /// to be taken back.
    pub fn store(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<Vec<Stored>, Refusal> {
        if self.form.as_ref().is_some_and(|form| !form.is_complete()) {
            return Err(Refusal::new(Status::BAD_REQUEST, "the form ends before its last boundary"));
        }
        if self.parts.is_empty() {
            return match self.rules.answer {
                Some(_) => Ok(Vec::new()),
                None => Err(Refusal::new(Status::BAD_REQUEST, "the form holds no file")),
            };
        }
        if self.naming.digests.is_none() {
            self.naming.digests = Some(self.check_digests(ex)?);
        }
        self.choose_names(ex, cx)?;
        if self.naming.versions.is_none() {
            self.prepare_names(ex, cx)?;
        }
        self.give_names(ex, cx)?;
        let (added, freed) = self.naming.counted.usage;
        cx.quotas.stored(self.target.dir.as_fd(), added, freed);
        // They are files now: they must not count as an upload, too, until their names are on the disk.
        self.share = None;
        Ok(self.named())
    }

    /// The record of what was stored; the names stay.
    fn named(&mut self) -> Vec<Stored> {
        let Naming { digests, lock, versions, given, .. } = &mut self.naming;
        let mut digests = digests.take().unwrap_or_default().into_iter();
        (*lock, *versions, *given) = (None, None, 0);
        // Who may still take the names back needs them.
        let is_final = !self.rules.sync && self.own.is_empty();
        let folders = &self.folders;
        let files = self.parts.iter_mut().map(|part| Stored {
            name: match is_final && part.folder.is_none() {
                true => std::mem::take(&mut part.name),
                false => path_of(folders, part),
            },
            size: part.size(),
            etag: part.etag.unwrap_or_else(|| ETag::new(0, 0, part.size(), 0)),
            replaced: !part.is_new(),
            digest: digests.next().unwrap_or_default(),
            is_dated: part.is_dated,
        });
        files.collect()
    }

    /// Whether the time of the turn is over, for one that does the same for one file after another.
    ///
    /// # Errors
    /// [`Refusal::later`] if it is, and there is another.
    pub fn next_file(&self, cx: &mut Services, done: usize) -> Result<(), Refusal> {
        if done < self.parts.len() && cx.slice.is_over() { Err(Refusal::later()) } else { Ok(()) }
    }

    /// Gives names to parts whose names depend on fields of the form, all of which have arrived.
    fn choose_names(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Refusal> {
        while let Some(part) = self.parts.get(self.naming.chosen) {
            rules::check_minimum_size(ex, part.size()).map_err(|e| e.of(&part.name))?;
            if let Some(unnamed) = self.unnamed.get_mut(self.naming.chosen).map(std::mem::take) {
                self.choose_name(ex, cx, unnamed)?;
            }
            self.naming.chosen += 1;
            self.next_file(cx, self.naming.chosen)?;
        }
        Ok(())
    }

    fn choose_name(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        (given, kind): (Vec<u8>, Vec<u8>),
    ) -> Result<(), Refusal> {
        let at = self.naming.chosen;
        let fields = self.form.as_ref().map_or(&[][..], |form| &form.fields);
        let given = Some(&given[..]).filter(|name| !name.is_empty());
        let name = self.name(ex, cx, fields, given, &kind)?;
        let which = self.parts.get(at).and_then(|part| part.folder);
        self.check_link(ex, (which, &name), given)?;
        self.check_path(ex, cx, (which, &name), Some(&kind))?;
        if let Some(part) = self.parts.get_mut(at) {
            if self.most > 0 && part.size() > self.most {
                return Err(self.too_large().of(&name));
            }
            (part.name, part.never_replaces) = (name, self.never_replaces);
        }
        Ok(())
    }

    /// Everything but the names: room within the quota, directories that are missing, and the versions that the request
    /// names.
    fn prepare_names(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Refusal> {
        self.keep_its_place(cx)?;
        // Checks again: chunked bodies and forms do not say in advance how much room they take.
        rules::check_room(self.target.dir.as_fd(), self.rules.min_free, 0)?;
        if !self.naming.is_within_quota {
            let usage = self.claim_all(ex, cx)?;
            if self.lacks_area() {
                // The lock is a file in the area.
                self.make_places(ex, cx)?;
            }
            // What is there may change while the lock is waited for.
            let counted = std::mem::take(&mut self.naming.counted);
            self.naming.lock = self.lock_quota(ex, cx, usage)?.map(Box::new);
            (self.naming.is_within_quota, self.naming.counted) = (true, counted);
        }
        self.make_places(ex, cx)?;
        self.prepare_writing(cx)?;
        if self.parts.len() > 1 {
            // The others are files already.
            self.move_to_file(cx)?;
        }
        let mut versions = Versions::default();
        // The first request of a resumable upload sent it.
        let held = match &self.conditions {
            Some(first) => {
                let value = first.0.value(&first.1, HeaderId::If).map(<[u8]>::to_vec);
                dav::guard::hold_of(ex, cx, value.as_deref(), &mut versions)
            }
            None => dav::guard::hold(ex, cx, &mut versions),
        };
        held.map_err(|denied| self.denied(ex, cx, denied))?;
        self.naming.versions = Some(versions);
        Ok(())
    }

    /// The answer where a version that the request names is not the one any more, or is being changed. One that is
    /// being changed is waited for, and the quota's lock is not kept meanwhile where no name was given yet.
    fn denied(&mut self, ex: &mut Exchange, cx: &Services, denied: Denied) -> Refusal {
        if !denied.is_waited_for(ex, cx) {
            return denied.into();
        }
        if self.naming.given == 0 {
            self.naming.leave_quota();
            (self.naming.is_within_quota, self.naming.counted) = (false, Counted::default());
            self.naming.versions = None;
        }
        Refusal::later()
    }

    /// Turns what is still in memory into files, and gives all of them their names.
    fn give_names(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Refusal> {
        let mut paths = None;
        while self.naming.given < self.parts.len() {
            let etag = self.give_next(ex, cx, &mut paths)?;
            self.parts[self.naming.given].etag = Some(etag);
            self.naming.given += 1;
            versions::end_wait(ex);
            // Earlier looks at files in this turn of the loop no longer hold: a request that waits behind this one must
            // see what it stored.
            cx.now.stored();
            self.next_file(cx, self.naming.given)?;
        }
        Ok(())
    }

    /// Gives the version that the file has.
    fn give_next(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        paths: &mut Option<PathRules>,
    ) -> Result<ETag, Refusal> {
        let (at, alone) = (self.naming.given, self.parts.len() == 1);
        // Lent, rather than copied for each file.
        let name = std::mem::take(&mut self.parts[at].name);
        let seen = self.look_again(ex, cx, (self.parts[at].folder, &name));
        self.parts[at].name = name;
        let seen = seen?;
        let etag = self.complete(ex, cx, at, seen)?;
        self.give_name(ex, cx, paths, if alone { Seen::Alone(seen) } else { Seen::Among })?;
        self.note_named(at);
        let part = &self.parts[at];
        // If the client gave a modification time, it has no nanoseconds: the version then depends on the time
        // of the file's last change, and giving the name was one.
        // A file that had to be copied is another file, too.
        let modified = raw::date(ex);
        match (modified.is_some() || part.was_copied()).then(|| part.stat()) {
            Some(Ok(stat)) => {
                // Some file systems take such a time and do not store it.
                self.parts[at].is_dated = modified.is_some_and(|time| stat.has_mtime(time));
                Ok(version(&stat))
            }
            _ => Ok(etag),
        }
    }

    /// Checks what may have changed since the upload began. Gives what an only file that replaces finds in its place.
    fn look_again(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        (which, name): (Which, &[u8]),
    ) -> Result<Option<FileKind>, Refusal> {
        if !self.target_mut(which).is_at_its_path(&cx.now)? {
            return Err(Refusal::new(Status::CONFLICT, "its folder was moved or removed meanwhile").of(name));
        }
        self.check_locks(ex, cx, (which, name))?;
        if self.policy.conditional {
            self.check_version(ex, cx, (which, name))?;
        }
        match self.parts.len() == 1 && self.policy.on_duplicate == Duplicate::Overwrite {
            true => Ok(self.target_mut(which).stat_this_turn(name, cx)?.map(|stat| stat.kind)),
            false => Ok(None),
        }
    }

    /// Evaluates the request's conditions on the file that has the name now, and locks it until all names are given.
    fn check_version(
        &mut self,
        ex: &mut Exchange,
        cx: &Services,
        (which, name): (Which, &[u8]),
    ) -> Result<(), Refusal> {
        if self.naming.wanted.as_ref().is_some_and(|wanted| wanted.contains(&(which, name.to_vec()))) {
            // An earlier file of the request has the name: this one gets another.
            return Ok(());
        }
        if let Some(versions) = self.naming.versions.as_mut().filter(|_| self.policy.names_version) {
            let locked = target_of(&self.target, &self.folders, which).lock(name, versions)?;
            if !locked {
                return Err(self.denied(ex, cx, Denied::Busy).of(name));
            }
        }
        let target = target_of(&self.target, &self.folders, which);
        self.check_conditions(ex, cx, target.stat(name)?.as_ref(), name)
    }

    /// Makes a whole file of it. Gives the version that GET will name: the file's as it is before it has a name.
    fn complete(
        &mut self,
        ex: &Exchange,
        cx: &mut Services,
        at: usize,
        seen: Option<FileKind>,
    ) -> Result<ETag, Refusal> {
        let replaces = seen.is_some_and(|kind| matches!(kind, FileKind::Regular | FileKind::Symlink));
        // A hidden name that may be left behind is only made where it will be found.
        let birth = if replaces && cx.temp_names.is_kept() { Birth::Hidden } else { Birth::Nameless };
        let part = &mut self.parts[at];
        let dir = &target_of(&self.target, &self.folders, part.folder).dir;
        let moved = part.move_to_file(dir, &mut cx.temp_names, birth).and_then(|buffer| part.flush().map(|()| buffer));
        cx.buffers.give(moved.map_err(|e| Refusal::call("write()", &self.target.path, e))?);
        if let (Some(modified), Some(fd)) = (raw::date(ex), part.fd()) {
            // A file system that does not store such a time still stores the file.
            let _ = file::set_mtime(fd, (modified, 0));
        }
        part.stat().map(|stat| version(&stat)).map_err(|e| Refusal::call("fstat()", &self.target.path, e))
    }

    /// Whether an earlier file of the request has the name that is to be replaced, in this spelling or in another that
    /// the file system takes for the same: what replaces (upload_on_duplicate) is about what was there before the
    /// request, which sends two files and has both stored.
    fn is_twin(&mut self, at: usize) -> Result<bool, Refusal> {
        let Some(part) = self.parts.get(at).filter(|_| self.parts.len() > 1) else { return Ok(false) };
        if !self.naming.wanted.get_or_insert_default().insert((part.folder, part.name.clone())) {
            return Ok(true);
        }
        let named = self.naming.named.as_ref();
        let Some(earlier) = named.and_then(|named| named.get(&*fold(&part.name))) else { return Ok(false) };
        let there = target_of(&self.target, &self.folders, part.folder).stat(&part.name)?;
        Ok(there.is_some_and(|there| earlier.iter().any(|one| one.is_same_file(&there))))
    }

    /// A file that replaces others has its name: the next ones of the request do not replace it.
    fn note_named(&mut self, at: usize) {
        if self.parts.len() < 2 || self.policy.on_duplicate != Duplicate::Overwrite {
            return;
        }
        let Some(part) = self.parts.get(at) else { return };
        if let Ok(Some(stat)) = target_of(&self.target, &self.folders, part.folder).stat(&part.name) {
            let named = self.naming.named.get_or_insert_default();
            named.entry(fold(&part.name).into_owned()).or_default().push(stat);
        }
    }

    fn give_name(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        paths: &mut Option<PathRules>,
        seen: Seen,
    ) -> Result<(), Refusal> {
        let (dir, at) = (self.target.dir.clone(), self.naming.given);
        self.never_replaces = self.parts[at].never_replaces;
        let is_twin = self.on_duplicate() == Duplicate::Overwrite && self.is_twin(at)?;
        let on_duplicate = if is_twin { Duplicate::Rename } else { self.on_duplicate() };
        if on_duplicate != Duplicate::Rename {
            // It gets its own name or none.
            let (part, names) = (&mut self.parts[at], &mut cx.temp_names);
            let outcome =
                commit::name(&dir, part, (on_duplicate, seen), &mut self.naming.numbers, names, &mut |_, _| true);
            cx.checked_trees.name_added(commit::home(&dir, part).as_fd());
            return outcome.map_err(|why| self.refusal(why, &self.parts[at].name));
        }
        let mut numbers = std::mem::take(&mut self.naming.numbers);
        let (mut parts, mut temp_names) = (std::mem::take(&mut self.parts), std::mem::take(&mut cx.temp_names));
        let mut refused = None;
        let may: May<'_> = &mut |part, name| {
            refused = self.check_renamed(paths, ex, cx, part, name).err();
            refused.is_none()
        };
        let name = || commit::name(&dir, &mut parts[at], (on_duplicate, seen), &mut numbers, &mut temp_names, may);
        let outcome = catch_unwind(AssertUnwindSafe(name));
        // Also after a panic: the journal of hidden names is the process's, not this connection's.
        (self.parts, cx.temp_names, self.naming.numbers) = (parts, temp_names, numbers);
        let outcome = outcome.unwrap_or_else(|panic| resume_unwind(panic));
        let part = &self.parts[at];
        if self.policy.on_duplicate == Duplicate::Overwrite {
            // The name that the twin got is not to be replaced either.
            self.naming.wanted.get_or_insert_default().insert((part.folder, part.name.clone()));
        }
        cx.checked_trees.name_added(commit::home(&dir, part).as_fd());
        outcome.map_err(|why| refused.unwrap_or_else(|| self.refusal(why, &part.name)))
    }

    /// The response to a file that gets no name; `name` is the one that it was to have.
    pub fn refusal(&self, why: NameFailure, name: &[u8]) -> Refusal {
        match why {
            NameFailure::Taken if self.policy.create_only => Refusal::precondition(),
            NameFailure::Taken if self.never_replaces && self.policy.on_duplicate == Duplicate::Overwrite => {
                Refusal::new(Status::CONFLICT, "the name is taken, and its location lets no upload replace a file")
            }
            NameFailure::Taken | NameFailure::Refused => {
                Refusal::new(Status::CONFLICT, "the name is taken").limit("upload_on_duplicate")
            }
            NameFailure::NoFile => Refusal::new(Status::CONFLICT, "something that is not a file has that name"),
            NameFailure::Call(call, e) => Refusal::call(call, &self.target.path, e),
        }
        .of(name)
    }

    /// What was given is taken back, and the request is answered after that.
    pub fn go_back(&mut self, ex: &mut Exchange, cx: &mut Services, why: Because) -> Flow {
        self.naming.is_begun = false;
        if self.naming.given > 0 {
            cx.quotas.files_removed();
        }
        self.taking_back = Some(Box::new(TakingBack { is_whole: true, why }));
        self.take_back_some(ex, cx)
    }

    /// The next slice of that.
    pub fn take_back_some(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let Some(mut back) = self.taking_back.take() else { return Flow::Wait };
        let dir = self.target.dir.clone();
        while let Some(part) = self.naming.given.checked_sub(1).and_then(|at| self.parts.get_mut(at)) {
            self.naming.given -= 1;
            let home = commit::home(&dir, part);
            back.is_whole &= part.take_back(&home, &mut cx.temp_names);
            cx.checked_trees.name_added(home.as_fd());
            cx.now.changed();
            if self.naming.given > 0 && cx.slice.is_over() {
                self.made.outlives_turn();
                self.taking_back = Some(back);
                return Flow::Wait;
            }
        }
        // The lock's file may be in what was made.
        self.naming.leave_quota();
        while self.made.unmake_last() {
            if cx.slice.is_over() {
                self.made.outlives_turn();
                self.taking_back = Some(back);
                return Flow::Wait;
            }
        }
        match back.why {
            Because::Refused(refusal) => self.refuse(ex, cx, &refusal),
            Because::Unwritten(call, e) if !back.is_whole => answer::unconfirmed(ex, cx, call, e),
            Because::Unwritten(call, e) => {
                let refusal = Refusal::call(call, &self.target.path, e);
                self.refuse(ex, cx, &refusal)
            }
        }
    }

    /// The name of a resumable upload's file is taken back. False: it has it still, or another file has it.
    pub fn take_back(&mut self, cx: &mut Services) -> bool {
        let dir = self.target.dir.clone();
        let is_whole = commit::take_back(&dir, &mut self.parts, &mut cx.temp_names);
        if is_whole {
            self.made.unmake();
        }
        for part in &self.parts {
            cx.checked_trees.name_added(commit::home(&dir, part).as_fd());
        }
        cx.now.changed();
        cx.quotas.files_removed();
        is_whole
    }
}

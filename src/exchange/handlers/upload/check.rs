//! A file of an upload before its content arrives: whether it is allowed, under which name, and what it replaces.

use super::commit::NameFailure;
use super::name::{self, NameFacts, Names};
use super::refusal::{Refusal, too_large};
use super::rules;
use super::state::{Upload, Which};
use super::temp_file::Part;
use crate::config::settings::upload::{Duplicate, Store};
use crate::exchange::Exchange;
use crate::exchange::handlers::dav::guard::{self, Change};
use crate::exchange::handlers::path_rules::{PathAction, PathRules, Target};
use crate::exchange::handlers::target_limits::TargetLimits;
use crate::exchange::handlers::versions::{self, NameStat};
use crate::exchange::origin::{self, Sender};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::file::{FileKind, Stat};
use std::rc::Rc;

/// More files than these are closed in slices.
const MANY: usize = 32;

impl Upload {
    /// Begins the next file: checks its name and type, and whether it may have the name it wants.
    pub fn open(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        fields: &[(Box<[u8]>, Vec<u8>)],
        given: Option<&[u8]>,
        content_type: &[u8],
    ) -> Result<(), Refusal> {
        let most = self.rules.max_files;
        if most > 0 && self.parts.len() as u64 >= most {
            let refusal = Refusal::new(Status::CONTENT_TOO_LARGE, "the form has too many files");
            return Err(refusal.limit("upload_max_files"));
        }
        let (which, given) = match given {
            Some(given) => self.split_path(ex, given).map(|(which, name)| (which, Some(name)))?,
            None => (None, None),
        };
        if ex.route.method == Method::Post && name::is_made_of_fields(&self.rules.filename) {
            rules::check_types(ex, &self.rules.types, content_type)?;
            let given = given.map(|name| name::exact(Names::of(ex), name)).transpose()?.unwrap_or_default();
            self.unnamed.push((given.clone(), content_type.to_vec()));
            return self.create(cx, which, given, content_type);
        }
        let name = self.admit(ex, cx, fields, (which, given), content_type)?;
        self.create(cx, which, name, content_type)
    }

    /// A file to which the client gives another name than the URI's stays within what the signed link allows. A link
    /// for a directory, with or without its slash, covers everything stored there; a link for one file also covers
    /// the name that the configuration gives that file instead (`upload_filename`, a number if the name is taken).
    ///
    /// # Errors
    /// 403.
    pub fn check_link(
        &mut self,
        ex: &Exchange,
        (which, name): (Which, &[u8]),
        given: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        let Some(link) = ex.route.link.as_ref().filter(|_| ex.route.method != Method::Put) else { return Ok(()) };
        let names_directory = self.target.uri.strip_prefix(&link.place[..]).is_some_and(|rest| rest.starts_with(b"/"));
        let dir = &self.target_mut(which).uri[..];
        if names_directory || link.is_of(&[dir, name].concat()) {
            return Ok(());
        }
        let own = link.place.strip_prefix(dir).filter(|own| !own.contains(&b'/'));
        match own.is_some_and(|own| name::is_chosen_here(&self.rules.filename, given.filter(|given| *given != own))) {
            true => Ok(()),
            false => Err(Refusal::new(Status::FORBIDDEN, "the link is for another path").of(name)),
        }
    }

    /// The rules of the path that the file will have, if its name is not the URI's: it may belong to another
    /// location.
    pub fn check_path(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        (which, name): (Which, &[u8]),
        content_type: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        (self.most, self.never_replaces) = (rules::largest(ex), false);
        if ex.route.method == Method::Put {
            return Ok(());
        }
        let target = self.target_mut(which);
        if !ex.config.hidden_dirs.is_empty() {
            target.check_hidden(ex, cx, &target.real_path(name)?)?;
        }
        let paths = PathRules::of(ex, cx);
        self.check_by(&paths, ex, cx, (which, name), content_type)
    }

    /// [`Upload::check_path`] with rules that are known. `content_type`: None if the upload's own was checked before.
    fn check_by(
        &mut self,
        paths: &PathRules,
        ex: &mut Exchange,
        cx: &mut Services,
        (which, name): (Which, &[u8]),
        content_type: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        // Each file of a form is searched for by itself, as each entry of a tree is; turns bound how many at a time.
        ex.route.effort.renew();
        let uri = [&self.target_mut(which).uri[..], name].concat();
        let path = paths.path_of_upload(ex, cx, &uri);
        let target_limits = paths.check(ex, cx, Target { uri: &uri, path: path.as_deref() }, PathAction::Put)?;
        // A location for images in the request's own folder has no size for its forms.
        let has_size = self.is_form && !paths.is_in_home(ex, &uri);
        self.hold_to(ex, &target_limits, (name, content_type), has_size)?;
        if self.rules.store == Store::Uri
            && let Some(folder) = paths.folder_that_takes(ex, &target_limits, &uri)
        {
            let target_limits = paths.check(ex, cx, Target { uri: folder, path: None }, PathAction::Put)?;
            self.hold_to(ex, &target_limits, (name, content_type), self.is_form)?;
        }
        Ok(())
    }

    /// Holds the newest file to the limits of another location. `has_size`: that of a body is one of them. (What is no
    /// form has one body for all of the file, or any number of them.)
    fn hold_to(
        &mut self,
        ex: &Exchange,
        target_limits: &TargetLimits,
        (name, content_type): (&[u8], Option<&[u8]>),
        has_size: bool,
    ) -> Result<(), Refusal> {
        let is_other = !Rc::ptr_eq(&target_limits.upload, &self.rules);
        if is_other {
            if let Some(content_type) = content_type {
                rules::check_type(&target_limits.upload.types, content_type)?;
            }
            target_limits.check_file(name, None, 0)?;
            self.most = rules::stricter_limit(self.most, target_limits.upload.max_file_size.0);
        }
        let is_foreign = origin::sender(ex) == Sender::OtherPage && ex.route.link.is_none();
        let Some(limits) = target_limits.check_upload(&self.rules, is_foreign)? else { return Ok(()) };
        self.never_replaces |= !limits.replaces;
        if is_other {
            name::exact(Names { rule: target_limits.upload.names, ..Names::of(ex) }, name)?;
        }
        if has_size {
            self.most = rules::stricter_limit(self.most, limits.max_body_size);
        }
        Ok(())
    }

    /// The newest file is larger than [`Upload::most`].
    pub fn too_large(&self) -> Refusal {
        match self.most == self.rules.max_file_size.0 {
            true => too_large(),
            // By a signed link, or the limits of another location: the directive here says nothing of it.
            false => Refusal::new(Status::CONTENT_TOO_LARGE, format!("the file has more than {} bytes", self.most)),
        }
    }

    /// What becomes of the newest file if its name is taken.
    pub fn on_duplicate(&self) -> Duplicate {
        match self.policy.on_duplicate {
            Duplicate::Overwrite if self.never_replaces => Duplicate::Error,
            own => own,
        }
    }

    /// Whether a file whose own name is taken may have this one, which may belong to another location.
    pub fn check_renamed(
        &mut self,
        paths: &mut Option<PathRules>,
        ex: &mut Exchange,
        cx: &mut Services,
        part: &Part,
        name: &[u8],
    ) -> Result<(), Refusal> {
        let paths = paths.get_or_insert_with(|| PathRules::of(ex, cx));
        (self.most, self.never_replaces) = (rules::largest(ex), false);
        self.check_by(paths, ex, cx, (part.folder, name), Some(&part.kind))?;
        if self.most > 0 && part.size() > self.most {
            return Err(self.too_large().of(name));
        }
        self.check_locks(ex, cx, (part.folder, name))
    }

    /// The name of a file, checked as far as that is possible before its content arrives.
    pub fn admit(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        fields: &[(Box<[u8]>, Vec<u8>)],
        (which, given): (Which, Option<&[u8]>),
        content_type: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        rules::check_types(ex, &self.rules.types, content_type)?;
        let name = self.name(ex, cx, fields, given, content_type)?;
        self.check_link(ex, (which, &name), given)?;
        self.check_path(ex, cx, (which, &name), Some(content_type))?;
        self.check_locks(ex, cx, (which, &name))?;
        // Renaming looks for a free name, so there is nothing to check yet.
        if self.policy.on_duplicate != Duplicate::Rename || self.policy.conditional {
            let there = self.target_mut(which).stat_this_turn(&name, cx)?;
            self.check_taken(there, &name)?;
            self.check_conditions(ex, cx, there.as_ref(), &name)?;
            self.replaces(there);
        }
        Ok(name)
    }

    /// A WebDAV lock may protect the name, or forbid new names in the directory.
    pub fn check_locks(
        &mut self,
        ex: &Exchange,
        cx: &mut Services,
        (which, name): (Which, &[u8]),
    ) -> Result<(), Refusal> {
        if cx.dav_locks.is_empty() {
            return Ok(());
        }
        self.check_new_folder(ex, cx, which)?;
        let there =
            self.target_mut(which).stat_this_turn(name, cx)?.is_some() && self.policy.on_duplicate != Duplicate::Rename;
        let change = if there { Change::Content } else { Change::Made };
        let path = self.target_mut(which).real_path(name)?;
        guard::check_path(ex, cx, &path, change).map_err(|status| Refusal::new(status, "it is locked").of(name))
    }

    /// The first folder that is to be made for the files is a new name in a directory that may be locked.
    ///
    /// # Errors
    /// 423.
    pub fn check_new_folder(&mut self, ex: &Exchange, cx: &mut Services, which: Which) -> Result<(), Refusal> {
        if cx.dav_locks.is_empty() {
            return Ok(());
        }
        let Some(path) = self.target_mut(which).first_missing()? else { return Ok(()) };
        let locked = |status| Refusal::new(status, "the directory in which its folder would be made is locked");
        guard::check_path(ex, cx, &path, Change::Made).map_err(locked)
    }

    fn create(&mut self, cx: &mut Services, which: Which, name: Vec<u8>, content_type: &[u8]) -> Result<(), Refusal> {
        // Only one at a time is held in memory.
        self.move_to_file(cx)?;
        let mut part = Part::held(name, self.rules.mode, 0);
        (part.folder, part.never_replaces) = (which, self.never_replaces);
        // Of two files with one name, the second gets another. What replaces and is no form is the only one.
        let may_be_renamed = match self.policy.on_duplicate {
            Duplicate::Error => false,
            Duplicate::Overwrite => self.is_form,
            Duplicate::Rename => true,
        };
        if may_be_renamed {
            part.kind = content_type.to_vec();
        }
        self.earlier = self.bytes();
        self.parts.push(part);
        if self.parts.len() == MANY {
            self.left = Some(cx.temp_names.left());
        }
        self.grow_by(cx, 0)?;
        if self.hold == 0 { self.move_to_file(cx) } else { Ok(()) }
    }

    /// The name for a file that the client calls `given`.
    pub fn name(
        &self,
        ex: &mut Exchange,
        cx: &mut Services,
        fields: &[(Box<[u8]>, Vec<u8>)],
        given: Option<&[u8]>,
        content_type: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let known = NameFacts { name: given.unwrap_or_default(), fields };
        let name = match (ex.route.method, given) {
            // The URI is the file's name, whatever names are made of otherwise.
            (Method::Put, Some(given)) => name::exact(Names::of(ex), given)?,
            _ => name::choose(ex, cx, &self.rules, &known, content_type)?,
        };
        // The client's name for the file counts too: the content does not change with the name.
        let extensions = &self.rules.extensions;
        for known in given.into_iter().chain([&name[..]]) {
            rules::check_extension(extensions, known).map_err(|e| e.of(&name))?;
        }
        Ok(name)
    }

    /// Whether a file may have this name, as far as is known before its content arrives.
    fn check_taken(&self, there: Option<Stat>, name: &[u8]) -> Result<(), Refusal> {
        match (there.map(|stat| stat.kind), self.on_duplicate()) {
            (None, _) | (_, Duplicate::Rename) => Ok(()),
            (Some(FileKind::Dir | FileKind::Other), _) => Err(self.refusal(NameFailure::NoFile, name)),
            (Some(_), Duplicate::Overwrite) => Ok(()),
            (Some(_), Duplicate::Error) => Err(self.refusal(NameFailure::Taken, name)),
        }
    }

    /// RFC 9110 §13: the request's preconditions, on the file that has the name now.
    pub fn check_conditions(
        &self,
        ex: &Exchange,
        cx: &Services,
        there: Option<&Stat>,
        name: &[u8],
    ) -> Result<(), Refusal> {
        if !self.policy.conditional {
            return Ok(());
        }
        let conditions = match &self.conditions {
            Some(other) => (&other.0, &other.1[..]),
            None => versions::own(ex),
        };
        match versions::allow(conditions, ex, there.copied().map(NameStat::from).as_ref(), cx.now.unix) {
            true => Ok(()),
            false => Err(Refusal::precondition().of(name)),
        }
    }
}

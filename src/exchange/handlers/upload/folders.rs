//! Paths in the names of files (when a folder was chosen in a browser): with `upload_create_path` each file goes into
//! the folder that it names, below the directory of the request.
//!
//! Invariant: every component is checked as a file name is; a folder is opened beneath the directory of the request,
//! and missing folders are made when all files are complete, never before.

use super::name::Names;
use super::refusal::Refusal;
use super::state::{Folder, Upload, Which};
use super::target_dir::TargetDir;
use crate::exchange::Exchange;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use std::collections::HashSet;
use std::os::fd::AsFd;

impl Upload {
    /// The directory that files of this folder go to; None: that of the request.
    pub fn target_mut(&mut self, which: Which) -> &mut TargetDir {
        target_mut(&mut self.target, &mut self.folders, which)
    }

    /// Splits the name that a client gives a file into its folder and the name in it.
    ///
    /// # Errors
    /// 400 for a component that is no file name, and for any path where `upload_create_path` is off.
    pub fn split_path<'n>(&mut self, ex: &Exchange, given: &'n [u8]) -> Result<(Which, &'n [u8]), Refusal> {
        if ex.route.method != Method::Post {
            return Ok((None, given));
        }
        let Some(slash) = memchr::memrchr(b'/', given) else { return Ok((None, given)) };
        let (path, name) = given.split_at(slash + 1);
        if !self.rules.create_path {
            let refusal = Refusal::new(Status::BAD_REQUEST, "the file name holds a slash");
            return Err(refusal.limit("upload_create_path").of(given));
        }
        if name.is_empty() {
            return Err(Refusal::new(Status::BAD_REQUEST, "the file name is empty").of(given));
        }
        if let Some(at) = self.folder_at.as_ref().and_then(|known| known.get(path)) {
            return Ok((Some(*at), name));
        }
        let names = Names::of(ex);
        let target = self.target.below(path, names).map_err(|refusal| match refusal.status {
            Status::BAD_REQUEST => refusal.of(given),
            _ => refusal,
        })?;
        self.made.uses(target.dir.as_fd());
        let at = self.folders.len();
        self.folder_at.get_or_insert_default().insert(path.into(), at);
        self.folders.push(Folder { path: path.into(), target });
        Ok((Some(at), name))
    }

    /// How many directories are missing, each of which may be above several folders.
    pub fn missing_directories(&self) -> u64 {
        if self.folders.is_empty() && !self.target.is_missing() {
            return 0;
        }
        let targets = std::iter::once(&self.target).chain(self.folders.iter().map(|folder| &folder.target));
        targets.flat_map(TargetDir::missing_uris).collect::<HashSet<_>>().len() as u64
    }

    /// Whether the path of the request still leads to the directory that was checked when it arrived. Another one would
    /// have to be checked again, and may be on another file system than the data received.
    ///
    /// # Errors
    /// 409 where it does not.
    pub fn keep_its_place(&mut self, cx: &Services) -> Result<(), Refusal> {
        match self.target.is_at_its_path(&cx.now)? {
            true => Ok(()),
            false => Err(Refusal::new(Status::CONFLICT, "the folder was moved or removed meanwhile")),
        }
    }

    /// Makes all directories that are missing.
    ///
    /// # Errors
    /// 423 where one is locked; [`Refusal::later`] while the time of a turn is not enough for them; 503 where one that
    /// was made has a descriptor of those that are left to others.
    pub fn make_places(&mut self, ex: &Exchange, cx: &mut Services) -> Result<(), Refusal> {
        let mut is_begun = false;
        for which in std::iter::once(None).chain((0..self.folders.len()).map(Some)) {
            if !self.target_mut(which).is_missing() {
                continue;
            }
            if is_begun && cx.slice.is_over() {
                return Err(Refusal::later());
            }
            is_begun = true;
            // A lock may have been granted while the body arrived.
            self.check_new_folder(ex, cx, which)?;
            let target = target_mut(&mut self.target, &mut self.folders, which);
            let made = target.make(self.rules.mode, &mut self.made, || cx.slice.is_over());
            // Also of those that were made before time was up.
            cx.syncs.made_directory();
            made?;
            if cx.is_crowded(target.dir.as_fd()) {
                return Err(Refusal::too_many_uploads());
            }
        }
        for part in &mut self.parts {
            part.home = part.folder.and_then(|at| self.folders.get(at)).map(|folder| folder.target.dir.clone());
        }
        Ok(())
    }
}

/// [`Upload::target_mut`], so that other parts of the upload can be used meanwhile.
fn target_mut<'a>(own: &'a mut TargetDir, folders: &'a mut [Folder], which: Which) -> &'a mut TargetDir {
    match which.and_then(|at| folders.get_mut(at)) {
        Some(folder) => &mut folder.target,
        None => own,
    }
}

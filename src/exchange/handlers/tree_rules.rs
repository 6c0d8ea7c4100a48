//! Before a directory is copied, moved or removed with everything in it: whether that may be done to each of its
//! entries ([`super::path_rules`]), and what they add up to. However deep the tree is, it holds a few
//! descriptors ([`crate::io::tree_dirs`]).
//!
//! Invariant: no link is followed; a step looks at one entry; the first entry that is not allowed ends it, before
//! anything has been changed.

use super::path_rules::{PathAction, PathRules, Target, belong_together};
use super::upload::Refusal;
use crate::config::settings::upload::UploadSettings;
use crate::exchange::{Exchange, paths};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::io::tree_dirs::TreeDirs;
use crate::services::checked_trees::Watch;
use crate::services::quotas::Usage;
use crate::services::{Services, temp_names};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, O_DIRECTORY, O_RDONLY, ReadDir};
use crate::util::descent::{Descent, Next};
use crate::util::subpaths;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A tree that keeps getting new entries is checked this often.
const MAX_CHECKS: u32 = 16;

/// A directory as a URI and as a path, both ending in a slash.
pub struct Base {
    /// Decoded and normalized.
    pub uri: Vec<u8>,
    /// In the file system.
    pub path: Vec<u8>,
}

impl Base {
    /// Adds the slash where it is missing.
    pub fn new(uri: &[u8], path: &[u8]) -> Base {
        let slashed = |text: &[u8]| [text.strip_suffix(b"/").unwrap_or(text), b"/"].concat();
        Base { uri: slashed(uri), path: slashed(path) }
    }
}

/// The check of one tree, as far as it has come.
pub struct TreeRules {
    tree_dirs: TreeDirs,
    base: Base,
    actions: &'static [PathAction],
    /// Where the entries are put.
    to: Option<Base>,
    /// Where they will be visible, as a URI that ends in a slash: by the rules of their own locations or not at all.
    shown_at: Option<Vec<u8>>,
    /// Relative paths of entries to which nothing is done.
    left_out: Vec<Box<[u8]>>,
    descent: Descent,
    reading: Option<ReadDir>,
    batch: Vec<(CString, Option<FileKind>)>,
    /// Of all files so far.
    pub total: Usage,
    /// Something was added to the tree while it was checked.
    watch: Watch,
    again: u32,
}

/// A trash that is shown would carry a file past the rules of its location.
pub fn shown_elsewhere(uri: &[u8]) -> Refusal {
    let shown = String::from_utf8_lossy(uri);
    Refusal::new(Status::FORBIDDEN, "the rules of its location do not hold in the trash that is shown (delete_trash)")
        .detail(format!("\"{}\"", shown.escape_debug()))
}

/// Checks, for a DELETE of a directory, that its entries may be moved or removed with it: a location with a trash keeps
/// what is deleted in it. What is in a trash is removed for good.
fn check_trash(ex: &Exchange, there: &UploadSettings, (uri, path): (&[u8], &[u8])) -> Result<(), Refusal> {
    let is_in_trash = || ex.config.trashes.iter().any(|trash| paths::is_beneath(path, trash));
    if there.trash.is_none() || there.trash == ex.location().settings.upload.trash || is_in_trash() {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(uri);
    Err(Refusal::new(Status::FORBIDDEN, "its location has a trash of its own (delete_trash): delete it by itself")
        .detail(format!("\"{}\"", shown.escape_debug())))
}

/// All entries from the first one on, wherever other descriptors of the directory stand.
fn entries(top: BorrowedFd<'_>) -> Result<ReadDir, Errno> {
    file::open_at(Some(top), c".", O_RDONLY | O_DIRECTORY, 0).map(file::read_dir)
}

impl TreeRules {
    /// `top` is open for reading. Its entries are removed, or read, or both; `to`: and put there.
    pub fn new(
        cx: &mut Services,
        top: OwnedFd,
        base: Base,
        actions: &'static [PathAction],
        to: Option<Base>,
    ) -> Result<TreeRules, Errno> {
        let watch = cx.checked_trees.watch(top.as_fd())?;
        let (reading, descent) = (Some(entries(top.as_fd())?), Descent::default());
        let (batch, total) = (Vec::new(), Usage::default());
        let (shown_at, left_out) = (None, Vec::new());
        let tree_dirs = TreeDirs::new(top);
        Ok(TreeRules {
            tree_dirs,
            base,
            actions,
            to,
            shown_at,
            left_out,
            descent,
            reading,
            batch,
            total,
            watch,
            again: 0,
        })
    }

    /// The entries will be visible at that URI: each must belong to one location here and there.
    pub fn shown_at(mut self, uri: Option<Vec<u8>>) -> TreeRules {
        self.shown_at = uri;
        self
    }

    /// Nothing is done to these relative paths.
    pub fn leave_out(mut self, ways: &[Box<[u8]>]) -> TreeRules {
        self.left_out = ways.to_vec();
        self
    }

    /// Checks a little more; false when every entry has been checked, and as long as nothing is added. When called
    /// again later it continues if something was added since.
    ///
    /// # Errors
    /// An action that is not allowed.
    pub fn step(&mut self, ex: &mut Exchange, cx: &mut Services, rules: &PathRules) -> Result<bool, Refusal> {
        if self.check_next(ex, cx, rules)? {
            return Ok(true);
        }
        if !self.watch.take() {
            return Ok(false);
        }
        self.again += 1;
        if self.again > MAX_CHECKS {
            return Err(Refusal::new(Status::CONFLICT, "files keep being added to the directory"));
        }
        self.reading = Some(entries(self.tree_dirs.top()).map_err(|e| self.failed("open()", e))?);
        (self.descent, self.total) = (Descent::default(), Usage::default());
        Ok(true)
    }

    /// Checks the next entry; false at the end.
    fn check_next(&mut self, ex: &mut Exchange, cx: &mut Services, rules: &PathRules) -> Result<bool, Refusal> {
        if let Some((name, kind)) = self.batch.pop() {
            return self.entry(ex, cx, rules, name, kind).map(|()| true);
        }
        if let Some(dir) = &mut self.reading {
            if dir.fill().map_err(|e| self.failed("getdents64()", e))? {
                let entries = self.reading.as_ref().into_iter().flat_map(ReadDir::entries);
                self.batch.extend(entries.map(|entry| (entry.name.to_owned(), entry.kind)));
                return Ok(true);
            }
            self.reading = None;
        }
        match self.descent.advance() {
            Next::Enter => self.reading = self.open()?,
            Next::Back => {}
            Next::End => {
                // Thousands may be removed or copied before anything is looked at again.
                self.tree_dirs.rest();
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn entry(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        rules: &PathRules,
        name: CString,
        kind: Option<FileKind>,
    ) -> Result<(), Refusal> {
        // A file that another request is writing.
        if temp_names::is_hidden(name.to_bytes())
            || subpaths::contains(&self.left_out, self.descent.path(), name.to_bytes())
        {
            return Ok(());
        }
        let copies = !self.actions.contains(&PathAction::Remove);
        let stat = match (kind, &self.reading) {
            // Their sizes are wanted.
            (Some(FileKind::Regular) | None, Some(dir)) => match file::stat_at(Some(dir.dir()), &name, Follow::No) {
                Ok(stat) => Some(stat),
                Err(Errno::ENOENT) => return Ok(()),
                Err(e) => return Err(self.failed("lstat()", e)),
            },
            _ => None,
        };
        let kind = stat.map_or(kind, |stat| Some(stat.kind)).unwrap_or(FileKind::Other);
        if copies && matches!(kind, FileKind::Symlink | FileKind::Other) {
            return Ok(());
        }
        let size = stat.map_or(0, |stat| stat.size);
        self.check(ex, cx, rules, self.descent.path(), &name, (kind, size))?;
        match kind {
            FileKind::Dir => {
                self.total = self.total.plus(Usage::directories(1));
                self.descent.add(name);
            }
            _ => self.total = self.total.plus(Usage::file(size)),
        }
        Ok(())
    }

    /// Whether the actions are allowed on an entry; `parent` is the relative path of its directory.
    ///
    /// # Errors
    /// The rules of its paths do not allow it.
    pub fn check(
        &self,
        ex: &mut Exchange,
        cx: &mut Services,
        rules: &PathRules,
        parent: &[u8],
        name: &CStr,
        (kind, size): (FileKind, u64),
    ) -> Result<(), Refusal> {
        ex.route.effort.renew();
        let end: &[u8] = if kind == FileKind::Dir { b"/" } else { b"" };
        let whole = |base: &[u8]| [base, parent, name.to_bytes(), end].concat();
        let (uri, path) = (whole(&self.base.uri), whole(&self.base.path));
        let to = self.to.as_ref().map(|to| whole(&to.uri));
        for action in self.actions {
            let entry = Target { uri: &uri, path: Some(&path) };
            let target_limits = rules.check_transfer(ex, cx, entry, *action, to.as_deref())?;
            if *action == PathAction::Remove && ex.route.method == Method::Delete {
                check_trash(ex, &target_limits.upload, (&uri, &path))?;
            }
        }
        if let Some(shown) = &self.shown_at
            && !belong_together(ex, &uri, &whole(shown))
        {
            return Err(shown_elsewhere(&uri));
        }
        let (Some(uri), Some(path)) = (to, self.to.as_ref().map(|to| whole(&to.path))) else { return Ok(()) };
        let target_limits = rules.check(ex, cx, Target { uri: &uri, path: Some(&path) }, PathAction::Put)?;
        target_limits.check_directory(&ex.location().settings.upload)?;
        match kind {
            FileKind::Regular => target_limits.check_file(name.to_bytes(), Some(name.to_bytes()), size),
            _ => Ok(()),
        }
    }

    /// The directory that the descent has come to. None: it has gone, or the action will not reach into it either.
    fn open(&mut self) -> Result<Option<ReadDir>, Refusal> {
        let path = self.descent.path();
        match self.tree_dirs.open(path.strip_suffix(b"/").unwrap_or(path), O_RDONLY | O_DIRECTORY) {
            Ok(dir) => Ok(Some(file::read_dir(dir))),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            // The removal works entry by entry, and stops there.
            Err(Errno::EACCES) if self.actions == [PathAction::Remove] && self.to.is_none() => Ok(None),
            Err(e) => Err(self.failed("openat2()", e)),
        }
    }

    fn failed(&self, call: &str, e: Errno) -> Refusal {
        Refusal::call(call, &[&self.base.path[..], self.descent.path()].concat(), e)
    }
}

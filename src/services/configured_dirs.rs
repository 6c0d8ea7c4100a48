//! Configured directories that matter whatever path leads to them: those in which clients may store files, those whose
//! contents are hidden, and those that must not be moved or removed. They are looked up by configured path and by real
//! path, ignoring case: on a file system that ignores case, a real path is spelled as the client spelled it.
//!
//! Invariant: the real path of a directory is at most [`FRESH`] milliseconds old; if there are more than [`AT_ONCE`],
//! each call refreshes that many in turn. After this process has moved something, the directories at or below its old
//! and new path are refreshed at the next call, and those reached through a symbolic link during the next calls,
//! [`AT_ONCE`] each. A directory on a remote file system, which may hang, keeps its last real path if the kernel no
//! longer has it cached, unless this process moved something or a client may upload there: then the file system has
//! just responded, and the path must be known. All directories are refreshed when a configuration begins, or if the
//! path of what was moved is unknown: a few per turn, and the rest before the next request that needs them. Without a
//! free descriptor nothing can be refreshed: directories keep their last real paths, and if that does not suffice,
//! [`ConfiguredDirs::any`] returns an error.

mod ended;

use super::real_paths;
use super::remote_mounts::RemoteMounts;
use crate::config::model::{Config, Location};
use crate::sys::Errno;
use crate::util::clean_path::clean;
use crate::util::fold_case::fold;
use crate::util::hash::FastMap;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::{Rc, Weak};

/// Milliseconds for which a real path is considered fresh.
const FRESH: u64 = 1000;
/// Maximum number of directories refreshed per call, at three system calls each.
const AT_ONCE: usize = 256;

/// A directory, and its role in the configuration.
type Listed<'c> = (&'c [u8], Option<usize>);

/// The directories of one kind, with what is known of where they are.
pub struct ConfiguredDirs {
    /// Lists the directories of a configuration.
    list: fn(&Config) -> Vec<Listed<'_>>,
    /// The configuration that they belong to.
    of: Weak<Config>,
    dirs: Vec<WatchedDirectory>,
    /// Indexes in `dirs`, by configured and by real path, folded.
    by_path: BTreeMap<Box<[u8]>, Vec<u32>>,
    /// Length of the longest path: a client's path may have thousands of prefixes.
    longest: usize,
    /// The directory refreshed least recently.
    next: usize,
    /// The number of directories, from the first on, that were resolved since all may have moved; the others must be
    /// refreshed.
    sound: usize,
    /// Whether a few of the others are resolved in each turn, ahead of requests ([`ConfiguredDirs::prepare`]).
    prepares: bool,
    /// Those that must be refreshed: something at or above them was moved.
    moved: BTreeSet<u32>,
    /// Directories whose real path differs from the configured one; and those of them still to be refreshed.
    linked: BTreeSet<u32>,
    doubtful: BTreeSet<u32>,
    /// Changes whenever [`ConfiguredDirs::any`] may give another result: with the configuration, or when a directory's
    /// real path changes.
    generation: u64,
    /// The last generation assigned, across configurations.
    last: Rc<Cell<u64>>,
    /// The directories of other configurations whose requests still run (after a reload, requests of both ask
    /// alternately), and those to be freed ([`ended`]).
    others: Vec<ConfiguredDirs>,
}

/// The [generations](ConfiguredDirs::generation) of the configured directories that a decision depended on. None: it
/// did not depend on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DirGenerations {
    /// Directories whose contents are hidden.
    pub hidden: Option<u64>,
    /// Directories in which clients may store files.
    pub stored: Option<u64>,
}

/// How real paths are found.
struct Lookup<R> {
    /// The real path of a path if the kernel has it cached.
    known: fn(&[u8]) -> Option<Vec<u8>>,
    /// The real path according to its file system.
    ask: fn(&[u8]) -> Result<Vec<u8>, Errno>,
    remote: R,
    mounts: Option<RemoteMounts>,
}

struct WatchedDirectory {
    directory: Box<[u8]>,
    real: Box<[u8]>,
    checked: u64,
    /// Whether something may have been stored there since the last refresh.
    is_used: bool,
    /// The roles of the directory: see [`ConfiguredDirs::stored`] and [`ConfiguredDirs::hidden`].
    roles: Vec<Option<usize>>,
}

impl WatchedDirectory {
    /// Whether resolving it would access a remote file system.
    fn is_remote(&self, mounts: &RemoteMounts) -> bool {
        mounts.hold(&self.directory) || mounts.hold(&self.real)
    }
}

impl ConfiguredDirs {
    /// Directories in which clients may store files. The role is the index of the configuration's write area; None for
    /// an upload_store, in which all files are theirs.
    pub fn stored() -> ConfiguredDirs {
        ConfiguredDirs::of(|config| {
            let stores = config.client_files.iter().map(|store| (&**store, None));
            let areas = config.write_areas.iter().enumerate().map(|(at, area)| (&*area.directory, Some(at)));
            stores.chain(areas).collect()
        })
    }

    /// Directories whose contents are hidden. The role is the index in `Config::hidden_dirs`.
    pub fn hidden() -> ConfiguredDirs {
        ConfiguredDirs::of(|config| {
            config.hidden_dirs.iter().enumerate().map(|(at, directory)| (&**directory, Some(at))).collect()
        })
    }

    /// Directories that the configuration relies on: trashes and those whose contents are hidden, roots, aliases and
    /// stores of any location. Neither they nor their parents are moved or removed.
    pub fn kept() -> ConfiguredDirs {
        ConfiguredDirs::of(|config| {
            let own =
                config.hidden_dirs.iter().chain(&config.trashes).chain(&config.stores).map(|directory| &**directory);
            let all = config.locations.iter().filter_map(Location::directory).chain(own);
            all.map(|directory| (directory, None)).collect()
        })
    }

    fn of(list: fn(&Config) -> Vec<Listed<'_>>) -> ConfiguredDirs {
        ConfiguredDirs {
            list,
            of: Weak::new(),
            dirs: Vec::new(),
            by_path: BTreeMap::new(),
            longest: 0,
            next: 0,
            sound: 0,
            prepares: false,
            moved: BTreeSet::new(),
            linked: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            generation: 0,
            last: Rc::default(),
            others: Vec::new(),
        }
    }

    /// Whether `may` returns true for some directory that contains one of the paths; it gets the directory's role, and
    /// the rest of the path below it.
    ///
    /// # Errors
    /// The real paths of the directories are not known.
    pub fn any(
        &mut self,
        config: &Rc<Config>,
        now: u64,
        paths: &[&[u8]],
        may: impl FnMut(Option<usize>, &[u8]) -> bool,
    ) -> Result<bool, Errno> {
        self.refresh_for(config, now)?;
        Ok(self.find(paths, may))
    }

    /// Refreshes what is not fresh. While the number stays the same, [`ConfiguredDirs::any`] finds the same for a path.
    ///
    /// # Errors
    /// The real paths of the directories are not known.
    pub fn generation(&mut self, config: &Rc<Config>, now: u64) -> Result<u64, Errno> {
        self.refresh_for(config, now)?;
        Ok(self.generation)
    }

    /// [`ConfiguredDirs::generation`] as of the last call of any kind: nothing is refreshed.
    pub fn last_generation(&self) -> u64 {
        self.generation
    }

    /// Whether one of the directories is at, or below, one of the paths.
    ///
    /// # Errors
    /// The real paths of the directories are not known.
    pub fn any_within(&mut self, config: &Rc<Config>, now: u64, paths: &[&[u8]]) -> Result<bool, Errno> {
        self.refresh_for(config, now)?;
        Ok(self.has_within(paths))
    }

    fn has_within(&self, paths: &[&[u8]]) -> bool {
        paths
            .iter()
            .map(|path| key(path))
            .any(|path| self.by_path.contains_key(&*path) || self.below(&path).next().is_some())
    }

    /// The paths below a path, and the directories that have them.
    fn below(&self, path: &[u8]) -> impl Iterator<Item = (&[u8], &Vec<u32>)> {
        let start = [path, b"/"].concat();
        let from = self.by_path.range::<[u8], _>((Bound::Included(&start[..]), Bound::Unbounded));
        from.map(|(path, those)| (&**path, those)).take_while(move |(path, _)| path.starts_with(&start))
    }

    /// The relative paths of the configured directories below `directory`, which is given by several paths.
    ///
    /// # Errors
    /// The real paths of the directories are not known.
    pub fn dirs_below(
        &mut self,
        config: &Rc<Config>,
        now: u64,
        directory: &[Vec<u8>],
    ) -> Result<Vec<Box<[u8]>>, Errno> {
        self.refresh_for(config, now)?;
        let mut subpaths: Vec<Box<[u8]>> = Vec::new();
        for own in directory.iter().map(|path| key(path)) {
            let below = self.below(&own).filter_map(|(path, _)| path.get(own.len() + 1..));
            subpaths.extend(below.filter(|path| !path.is_empty()).map(Box::from));
        }
        subpaths.sort_unstable();
        subpaths.dedup();
        Ok(subpaths)
    }

    /// Switches to the configuration if it is another one, and refreshes stale directories.
    fn refresh_for(&mut self, config: &Rc<Config>, now: u64) -> Result<(), Errno> {
        self.adopt(config);
        self.refresh_stale(now)
    }

    fn is_of(&self, config: &Rc<Config>) -> bool {
        std::ptr::eq(self.of.as_ptr(), Rc::as_ptr(config))
    }

    fn adopt(&mut self, config: &Rc<Config>) {
        if self.is_of(config) {
            return;
        }
        let mut others = std::mem::take(&mut self.others);
        let adopted = match others.iter().position(|dirs| dirs.is_of(config)) {
            Some(at) => others.swap_remove(at),
            None => self.list_for(config),
        };
        others.push(std::mem::replace(self, adopted));
        self.others = others;
    }

    /// The list of another configuration, with no directory resolved yet.
    fn list_for(&self, config: &Rc<Config>) -> ConfiguredDirs {
        let mut dirs = ConfiguredDirs { last: self.last.clone(), ..ConfiguredDirs::of(self.list) };
        dirs.of = Rc::downgrade(config);
        dirs.add((self.list)(config).into_iter());
        dirs.prepares = dirs.dirs.len() > AT_ONCE;
        dirs.changed();
        dirs
    }

    fn changed(&mut self) {
        self.last.set(self.last.get() + 1);
        self.generation = self.last.get();
    }

    /// Whether there are so many unresolved directories that they are resolved ahead of the first request that needs
    /// them: the roots of 5000 servers took that request 40 ms.
    pub fn is_to_prepare(&self, config: &Rc<Config>) -> bool {
        match std::iter::once(self).chain(&self.others).find(|dirs| dirs.is_of(config)) {
            Some(dirs) => dirs.prepares,
            // Not adopted yet. Requests ask for lists that long only where clients may write.
            None => config.locations.len() > AT_ONCE && !config.write_areas.is_empty(),
        }
    }

    /// Resolves [`AT_ONCE`] of the directories that must be refreshed.
    pub fn prepare(&mut self, config: &Rc<Config>, now: u64) {
        self.adopt(config);
        self.prepare_by(now, real_paths::find_cached, ask_remote, RemoteMounts::read);
    }

    /// As [`ConfiguredDirs::refresh_stale_by`]. Stops at a directory that cannot be resolved now, or that is on a
    /// remote file system, which might hang.
    fn prepare_by(
        &mut self,
        now: u64,
        known: fn(&[u8]) -> Option<Vec<u8>>,
        ask: fn(&[u8]) -> Result<Vec<u8>, Errno>,
        remote: impl Fn() -> RemoteMounts,
    ) {
        let mut by = Lookup { known, ask, remote, mounts: None };
        let end = self.dirs.len().min(self.sound + AT_ONCE);
        while self.sound < end {
            let directory = &self.dirs[self.sound];
            let is_asked = directory.is_remote(by.mounts.get_or_insert_with(&by.remote));
            if is_asked || self.refresh(self.sound, true, &mut by).is_err() {
                break;
            }
            self.dirs[self.sound].checked = now;
            self.sound += 1;
        }
        self.prepares &= self.sound == end && end < self.dirs.len();
    }

    /// Call it when this process has moved something that may be a directory or link, with its old and new real paths.
    pub fn moved(&mut self, paths: &[Vec<u8>]) {
        for path in paths.iter().map(|path| key(path)) {
            let at = self.by_path.get(&*path);
            let found: Vec<u32> =
                at.into_iter().chain(self.below(&path).map(|(_, those)| those)).flatten().copied().collect();
            self.moved.extend(found);
        }
        self.doubtful.clone_from(&self.linked);
        self.others.iter_mut().for_each(|dirs| dirs.moved(paths));
    }

    /// Call it when this process has moved something, but its path is not known.
    pub fn any_moved(&mut self) {
        self.sound = 0;
        self.prepares = self.dirs.len() > AT_ONCE;
        self.moved.clear();
        self.doubtful.clear();
        self.others.iter_mut().for_each(ConfiguredDirs::any_moved);
    }

    /// Call it when a client stores something at the path.
    pub fn used(&mut self, path: &[u8]) {
        self.others.iter_mut().for_each(|dirs| dirs.used(path));
        if self.by_path.is_empty() {
            return;
        }
        let path = key(path);
        for end in ends(&path, self.longest) {
            for at in self.by_path.get(&path[..end]).into_iter().flatten() {
                self.dirs[*at as usize].is_used = true;
            }
        }
    }

    fn add<'d>(&mut self, directories: impl Iterator<Item = Listed<'d>>) {
        let mut known: FastMap<&[u8], usize> = FastMap::default();
        for (directory, role) in directories {
            let at = *known.entry(directory).or_insert(self.dirs.len());
            if at == self.dirs.len() {
                let own: Box<[u8]> = directory.into();
                let named: Box<[u8]> = spelled(directory).as_ref().into();
                let folded = fold(&named);
                self.longest = self.longest.max(folded.len());
                self.by_path.entry(folded.as_ref().into()).or_default().push(at as u32);
                self.dirs.push(WatchedDirectory {
                    directory: own,
                    real: named,
                    checked: 0,
                    is_used: false,
                    roles: Vec::new(),
                });
            }
            // Thousands of locations name a few roots.
            let roles = &mut self.dirs[at].roles;
            if roles.last() != Some(&role) {
                roles.push(role);
            }
        }
    }

    fn refresh_stale(&mut self, now: u64) -> Result<(), Errno> {
        self.refresh_stale_by(now, real_paths::find_cached, ask_remote, RemoteMounts::read)
    }

    /// Refreshes those that are not fresh. `known`: the real path of a path if the kernel has it cached; `ask`: the
    /// real path according to its file system.
    fn refresh_stale_by(
        &mut self,
        now: u64,
        known: fn(&[u8]) -> Option<Vec<u8>>,
        ask: fn(&[u8]) -> Result<Vec<u8>, Errno>,
        remote: impl Fn() -> RemoteMounts,
    ) -> Result<(), Errno> {
        let mut by = Lookup { known, ask, remote, mounts: None };
        while self.sound < self.dirs.len() {
            self.refresh(self.sound, true, &mut by)?;
            self.dirs[self.sound].checked = now;
            self.sound += 1;
        }
        while let Some(at) = self.moved.first().copied() {
            self.refresh(at as usize, true, &mut by)?;
            self.moved.remove(&at);
        }
        let mut left = AT_ONCE.min(self.dirs.len());
        while left > 0
            && let Some(at) = self.doubtful.pop_first()
        {
            left -= 1;
            self.refresh(at as usize, true, &mut by).inspect_err(|_| _ = self.doubtful.insert(at))?;
        }
        for _ in 0..left {
            let is_fresh = now < self.dirs[self.next].checked.saturating_add(FRESH);
            if is_fresh || !self.refresh(self.next, false, &mut by)? {
                break;
            }
            self.dirs[self.next].checked = now;
            self.next = (self.next + 1) % self.dirs.len();
        }
        Ok(())
    }

    /// Resolves a directory. False: there is no free descriptor, and it keeps its last real path for now.
    ///
    /// # Errors
    /// There is no free descriptor, and the last real path does not suffice.
    fn refresh<R: Fn() -> RemoteMounts>(
        &mut self,
        at: usize,
        is_stale: bool,
        by: &mut Lookup<R>,
    ) -> Result<bool, Errno> {
        let directory = &mut self.dirs[at];
        let may_keep = !is_stale && !directory.is_used;
        let whole = match (by.known)(&directory.directory) {
            Some(whole) => whole,
            None if may_keep && directory.is_remote(by.mounts.get_or_insert_with(&by.remote)) => {
                directory.real.to_vec()
            }
            None => match (by.ask)(&directory.directory) {
                Ok(whole) => whole,
                // The next call begins with it.
                Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) if may_keep => return Ok(false),
                Err(e @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => return Err(e),
                // Its disk or remote file system fails, so no path into it can be looked up either.
                Err(_) => directory.real.to_vec(),
            },
        };
        directory.is_used = false;
        let real = spelled(&whole);
        if *real != *directory.real {
            self.relocate(at, &real);
        }
        Ok(true)
    }

    fn relocate(&mut self, at: usize, real: &[u8]) {
        self.changed();
        let directory = &mut self.dirs[at];
        let (at, named) = (at as u32, key(&directory.directory));
        let (before, real) = (std::mem::replace(&mut directory.real, real.into()), fold(real));
        let before = fold(&before);
        if *before != *named
            && let Some(those) = self.by_path.get_mut(&*before)
        {
            those.retain(|one| *one != at);
            if those.is_empty() {
                self.by_path.remove(&*before);
            }
        }
        if *real == *named {
            self.linked.remove(&at);
        } else {
            self.linked.insert(at);
            self.longest = self.longest.max(real.len());
            self.by_path.entry(real.as_ref().into()).or_default().push(at);
        }
    }

    fn find(&self, paths: &[&[u8]], mut may: impl FnMut(Option<usize>, &[u8]) -> bool) -> bool {
        paths.iter().any(|path| {
            let path = spelled(path);
            let folded = fold(&path);
            // Folding moves no slash to another name.
            let rests = ends(&path, usize::MAX).map(|end| &path[end..]);
            let mut directories = ends(&folded, self.longest)
                .zip(rests)
                .filter_map(|(end, rest)| Some((self.by_path.get(&folded[..end])?, rest)));
            directories.any(|(those, rest)| {
                let rest = rest.strip_prefix(b"/").unwrap_or(rest);
                those.iter().flat_map(|at| &self.dirs[*at as usize].roles).any(|role| may(*role, rest))
            })
        })
    }
}

fn ask_remote(path: &[u8]) -> Result<Vec<u8>, Errno> {
    real_paths::find(path).map(|real| real.whole)
}

/// The ends of a path's components, up to offset `most`.
fn ends(path: &[u8], most: usize) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'/', path).chain([path.len()]).take_while(move |end| *end <= most)
}

/// A path as a key of directories.
fn key(path: &[u8]) -> Vec<u8> {
    fold(&spelled(path)).into_owned()
}

/// Normalizes a path: exactly one slash before each component.
fn spelled(path: &[u8]) -> Cow<'_, [u8]> {
    match clean(path) {
        path if matches!(path.first(), None | Some(b'/')) => path,
        path => Cow::Owned([b"/", &path[..]].concat()),
    }
}

#[cfg(test)]
mod tests;

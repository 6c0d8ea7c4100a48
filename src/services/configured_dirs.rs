//! Configured directories that matter whatever path leads to them: those in which clients may store files, and those
//! whose contents are hidden. They are matched by configured path and by real path.
//!
//! Invariant: a directory's real path is at most a second old; if there are more than [`AT_ONCE`], each call refreshes
//! that many, in turn. A directory moved by this process is refreshed at once. One on a remote file system, which may
//! hang, keeps its last real path if the kernel no longer has it cached. But if this process moved something, or a
//! client may upload there, the remote side is asked: it has just responded, and the real path must be known. Without a
//! free descriptor nothing can be refreshed: directories keep their last real paths, and if that does not suffice,
//! [`ConfiguredDirs::any`] returns an error.

use super::real_paths;
use super::remote_mounts::RemoteMounts;
use crate::config::model::Config;
use crate::sys::Errno;
use crate::util::clean_path::clean;
use crate::util::hash::FastMap;
use std::borrow::Cow;
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
    /// Indexes in `dirs`, by configured and by real path.
    by_path: FastMap<Box<[u8]>, Vec<u32>>,
    /// Length of the longest path: a client's path may have thousands of prefixes.
    longest: usize,
    /// The directory refreshed least recently.
    next: usize,
    /// Whether all must be refreshed.
    stale: bool,
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
    /// Directories in which clients may store files. The role is the index of the configuration's write area; None
    /// where all files are theirs (an upload_store).
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

    fn of(list: fn(&Config) -> Vec<Listed<'_>>) -> ConfiguredDirs {
        ConfiguredDirs {
            list,
            of: Weak::new(),
            dirs: Vec::new(),
            by_path: FastMap::default(),
            longest: 0,
            next: 0,
            stale: true,
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
        self.adopt(config);
        self.look(now)?;
        Ok(self.find(paths, may))
    }

    /// The relative paths to those below `directory`, which is given by several paths.
    ///
    /// # Errors
    /// The real paths of the directories are not known.
    pub fn dirs_below(
        &mut self,
        config: &Rc<Config>,
        now: u64,
        directory: &[Vec<u8>],
    ) -> Result<Vec<Box<[u8]>>, Errno> {
        self.adopt(config);
        self.look(now)?;
        let mut subpaths: Vec<Box<[u8]>> = Vec::new();
        for own in directory.iter().map(|path| key(path)) {
            for path in self.by_path.keys() {
                let below = path.strip_prefix(&*own).and_then(|rest| rest.strip_prefix(b"/"));
                subpaths.extend(below.filter(|path| !path.is_empty()).map(Box::from));
            }
        }
        subpaths.sort_unstable();
        subpaths.dedup();
        Ok(subpaths)
    }

    fn adopt(&mut self, config: &Rc<Config>) {
        if !std::ptr::eq(self.of.as_ptr(), Rc::as_ptr(config)) {
            let list = self.list;
            *self = ConfiguredDirs::of(list);
            self.of = Rc::downgrade(config);
            self.add(list(config).into_iter());
        }
    }

    /// Call it when this process has moved something that may be a directory or link.
    pub fn moved(&mut self) {
        self.stale = true;
    }

    /// Call it when a client stores something at the path.
    pub fn used(&mut self, path: &[u8]) {
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
                let named: Box<[u8]> = key(directory).as_ref().into();
                self.longest = self.longest.max(named.len());
                self.by_path.entry(named.clone()).or_default().push(at as u32);
                self.dirs.push(WatchedDirectory {
                    directory: own,
                    real: named,
                    checked: 0,
                    is_used: false,
                    roles: Vec::new(),
                });
            }
            self.dirs[at].roles.push(role);
        }
    }

    fn look(&mut self, now: u64) -> Result<(), Errno> {
        self.look_by(now, real_paths::find_known, ask_remote, RemoteMounts::read)
    }

    /// Refreshes those that are not fresh. `known`: the real path of a path if the kernel has it cached; `ask`: the
    /// real path according to its file system.
    fn look_by(
        &mut self,
        now: u64,
        known: fn(&[u8]) -> Option<Vec<u8>>,
        ask: fn(&[u8]) -> Result<Vec<u8>, Errno>,
        remote: impl Fn() -> RemoteMounts,
    ) -> Result<(), Errno> {
        let most = if self.stale { self.dirs.len() } else { AT_ONCE.min(self.dirs.len()) };
        let mut mounts = None;
        for _ in 0..most {
            let directory = &mut self.dirs[self.next];
            if !self.stale && now < directory.checked.saturating_add(FRESH) {
                break;
            }
            let may_keep = !self.stale && !directory.is_used;
            let whole = match known(&directory.directory) {
                Some(whole) => whole,
                None if may_keep && directory.is_remote(mounts.get_or_insert_with(&remote)) => directory.real.to_vec(),
                None => match ask(&directory.directory) {
                    Ok(whole) => whole,
                    // The next call begins with it.
                    Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) if may_keep => break,
                    Err(e @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => return Err(e),
                    // Its disk or remote file system fails, so no path into it can be looked up either.
                    Err(_) => directory.real.to_vec(),
                },
            };
            directory.checked = now;
            directory.is_used = false;
            let real = key(&whole);
            if *real != *directory.real {
                let (at, named) = (self.next as u32, key(&directory.directory));
                let before = std::mem::replace(&mut directory.real, real.as_ref().into());
                if *before != *named
                    && let Some(those) = self.by_path.get_mut(&before)
                {
                    those.retain(|one| *one != at);
                    if those.is_empty() {
                        self.by_path.remove(&before);
                    }
                }
                if real != named {
                    self.longest = self.longest.max(real.len());
                    self.by_path.entry(real.as_ref().into()).or_default().push(at);
                }
            }
            self.next = (self.next + 1) % self.dirs.len();
        }
        self.stale = false;
        Ok(())
    }

    fn find(&self, paths: &[&[u8]], mut may: impl FnMut(Option<usize>, &[u8]) -> bool) -> bool {
        paths.iter().any(|path| {
            let path = key(path);
            let mut directories =
                ends(&path, self.longest).filter_map(|end| Some((self.by_path.get(&path[..end])?, &path[end..])));
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

/// Normalizes a path as a key of directories: exactly one slash before each component.
fn key(path: &[u8]) -> Cow<'_, [u8]> {
    match clean(path) {
        path if matches!(path.first(), None | Some(b'/')) => path,
        path => Cow::Owned([b"/", &path[..]].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    fn top() -> (Scratch, PathBuf) {
        let scratch = Scratch::new();
        let top = fs::canonicalize(scratch.path()).expect("it is there");
        (scratch, top)
    }

    fn listed<'d>(directories: impl Iterator<Item = Listed<'d>>) -> ConfiguredDirs {
        let mut dirs = ConfiguredDirs::stored();
        dirs.add(directories);
        dirs
    }

    fn relink(to: &Path, link: &Path) {
        drop(fs::remove_file(link));
        symlink(to, link).expect("a link");
    }

    /// The dirs that contain the path, with the rest of it.
    fn found(dirs: &mut ConfiguredDirs, now: u64, path: &Path) -> Vec<(Option<usize>, String)> {
        let mut found = Vec::new();
        dirs.look(now).expect("it can be looked at");
        dirs.find(&[path.as_os_str().as_bytes()], |role, rest| {
            found.push((role, String::from_utf8_lossy(rest).into_owned()));
            false
        });
        found
    }

    #[test]
    fn a_place_is_found_by_its_name_and_by_where_it_lies() {
        let (_scratch, top) = top();
        let (a, link, none) = (top.join("a"), top.join("link"), top.join("link/none"));
        fs::create_dir(&a).expect("a directory");
        relink(&a, &link);
        let directories = [(&link, None), (&a, Some(0)), (&none, Some(1)), (&link, Some(2))];
        let mut dirs = listed(directories.iter().map(|(path, role)| (path.as_os_str().as_bytes(), *role)));
        let own = |rest: &str| vec![(None, rest.to_owned()), (Some(2), rest.to_owned())];
        let all = |rest: &str| [own(rest), vec![(Some(0), rest.to_owned())]].concat();
        let sorted = |mut those: Vec<_>| {
            those.sort();
            those
        };
        assert_eq!(found(&mut dirs, 5000, &top.join("link/./x//y")), own("x/y"));
        assert_eq!(sorted(found(&mut dirs, 5000, &top.join("a/x"))), sorted(all("x")));
        // What does not exist yet will be where its parent is.
        let within = found(&mut dirs, 5000, &top.join("a/none/x"));
        assert_eq!(sorted(within), sorted([all("none/x"), vec![(Some(1), "x".to_owned())]].concat()));
        assert_eq!(found(&mut dirs, 5000, &top.join("ab/x")), []);
        assert_eq!(found(&mut dirs, 5000, &top), []);
        let mut root = listed([(&b"/"[..], None)].into_iter());
        assert_eq!(found(&mut root, 5000, Path::new("/x")), [(None, "x".to_owned())]);
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_seen_after_a_second_or_a_move_of_ours() {
        let (_scratch, top) = top();
        let (a, b, link) = (top.join("a/x"), top.join("b/x"), top.join("link"));
        relink(&top.join("a"), &link);
        let mut dirs = listed([(link.as_os_str().as_bytes(), Some(7))].into_iter());
        let is_in =
            |dirs: &mut ConfiguredDirs, now: u64| [&a, &b, &link].map(|path| !found(dirs, now, path).is_empty());
        for dir in ["a", "b"] {
            fs::create_dir(top.join(dir)).expect("a directory");
        }
        assert_eq!(is_in(&mut dirs, 5000), [true, false, true]);
        relink(&top.join("b"), &link);
        assert_eq!(is_in(&mut dirs, 5999), [true, false, true]);
        assert_eq!(is_in(&mut dirs, 6000), [false, true, true]);
        relink(&top.join("a"), &link);
        dirs.moved();
        assert_eq!(is_in(&mut dirs, 6000), [true, false, true]);
        fs::remove_file(&link).expect("removed");
        assert_eq!(is_in(&mut dirs, 7000), [false, false, true]);
        assert_eq!(dirs.by_path.len(), 1, "no path is kept that no directory has");
    }

    #[test]
    fn a_place_of_another_machine_is_looked_at_after_a_move_or_an_upload_of_ours() {
        let (_scratch, top) = top();
        let link = top.join("link");
        let own = link.as_os_str().as_bytes();
        let remote = || RemoteMounts::parse(format!("1 0 0:30 / {} rw - nfs h:/x rw", top.display()).as_bytes());
        let mut dirs = listed([(own, None)].into_iter());
        // As if the kernel never had it cached.
        let lies = |dirs: &mut ConfiguredDirs, now: u64, at: &str| {
            dirs.look_by(now, |_| None, ask_remote, remote).expect("it can be looked at");
            *dirs.dirs[0].real == *top.join(at).as_os_str().as_bytes()
        };
        for dir in ["a", "b"] {
            fs::create_dir(top.join(dir)).expect("a directory");
        }
        relink(&top.join("a"), &link);
        assert!(lies(&mut dirs, 5000, "a"), "it is looked at before the first use");
        relink(&top.join("b"), &link);
        assert!(lies(&mut dirs, 6000, "a"), "the other machine is not asked");
        dirs.moved();
        assert!(lies(&mut dirs, 6000, "b"));
        relink(&top.join("a"), &link);
        dirs.used(top.join("li").as_os_str().as_bytes());
        assert!(lies(&mut dirs, 7000, "b"), "that is another directory");
        dirs.used(top.join("link/x/y").as_os_str().as_bytes());
        assert!(lies(&mut dirs, 8000, "a"));
        relink(&top.join("b"), &link);
        assert!(lies(&mut dirs, 9000, "a"), "once");
        let local = RemoteMounts::default;
        dirs.look_by(10_000, |_| None, ask_remote, local).expect("it can be looked at");
        assert_eq!(*dirs.dirs[0].real, *top.join("b").as_os_str().as_bytes(), "this machine's own are looked at");
    }

    #[test]
    fn without_a_free_descriptor_a_place_stays_where_it_was_found_or_is_not_known() {
        let (_scratch, top) = top();
        let link = top.join("link");
        let mut dirs = listed([(link.as_os_str().as_bytes(), None)].into_iter());
        for dir in ["a", "b"] {
            fs::create_dir(top.join(dir)).expect("a directory");
        }
        relink(&top.join("a"), &link);
        let mut lies = |now: u64, asked: fn(&[u8]) -> Result<Vec<u8>, Errno>, change: fn(&mut ConfiguredDirs)| {
            change(&mut dirs);
            let outcome = dirs.look_by(now, |_| None, asked, RemoteMounts::default);
            outcome.map(|()| dirs.dirs[0].real.ends_with(b"/b"))
        };
        let none: fn(&[u8]) -> Result<Vec<u8>, Errno> = |_| Err(Errno::EMFILE);
        let broken: fn(&[u8]) -> Result<Vec<u8>, Errno> = |_| Err(Errno::EIO);
        assert_eq!(lies(5000, none, |_| {}), Err(Errno::EMFILE), "it was never looked at");
        assert_eq!(lies(5000, ask_remote, |_| {}), Ok(false));
        relink(&top.join("b"), &link);
        assert_eq!(lies(6000, none, |_| {}), Ok(false), "it stays where it was");
        assert_eq!(lies(6000, ask_remote, |_| {}), Ok(true), "the next look is not put off");
        assert_eq!(lies(6001, none, ConfiguredDirs::moved), Err(Errno::EMFILE), "it may have been moved");
        assert_eq!(lies(6001, none, |_| {}), Err(Errno::EMFILE), "that is not forgotten");
        assert_eq!(lies(6001, broken, |_| {}), Ok(true), "a broken disk makes no other directory unknown");
        assert_eq!(lies(8000, none, |dirs| dirs.dirs[0].is_used = true), Err(Errno::EMFILE));
    }

    #[test]
    fn of_many_places_a_call_looks_at_some_and_none_is_left_out() {
        let (_scratch, top) = top();
        let names: Vec<PathBuf> = (0..2 * AT_ONCE + 9).map(|at| top.join(format!("link/{at}"))).collect();
        relink(&top.join("a"), &top.join("link"));
        for dir in ["a", "b"] {
            fs::create_dir(top.join(dir)).expect("a directory");
        }
        let mut dirs = listed(names.iter().map(|name| (name.as_os_str().as_bytes(), None)));
        let count = |dirs: &ConfiguredDirs, dir: &str| {
            let dir = top.join(dir);
            dirs.dirs.iter().filter(|directory| directory.real.starts_with(dir.as_os_str().as_bytes())).count()
        };
        dirs.look(5000).expect("it can be looked at");
        assert_eq!(count(&dirs, "a"), names.len(), "all are looked at before the first use");
        relink(&top.join("b"), &top.join("link"));
        for (now, expected) in
            [(5999, 0), (6000, AT_ONCE), (6000, 2 * AT_ONCE), (6001, names.len()), (6999, names.len())]
        {
            dirs.look(now).expect("it can be looked at");
            assert_eq!(count(&dirs, "b"), expected, "{now}");
        }
    }
}

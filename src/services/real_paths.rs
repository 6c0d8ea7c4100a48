//! Real paths, with all symbolic links followed.
//!
//! Invariant: a cached path is valid only while the kernel watches the directory of its last existing component and
//! reports no change in it or on the path to it ([`Lookup`]); if a link could be changed without a report, nothing is
//! cached. If a path cannot be resolved (no free descriptor, say), that is an error, and the path as written is not
//! used instead.

use super::clock::Clock;
use super::dir_watch::DirWatch;
use super::open_files::{Lookup, directory_of};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, O_PATH};
use crate::util::hash::SecretMap;
use std::cell::Cell;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::rc::Rc;

/// Maximum number of cached paths, since clients choose them.
const MOST: usize = 1024;

/// Where a path leads once links and `..` are resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Real {
    /// The real path; its last components need not exist.
    pub whole: Vec<u8>,
    /// The file before components that do not exist: applications look for a script there (`/evil.jpg/x.php`).
    pub file: Option<Vec<u8>>,
    /// Whether a client may have stored it, and the [generation] of which that was found.
    ///
    /// [generation]: crate::services::configured_dirs::ConfiguredDirs::generation
    pub stored: Cell<Option<(u64, bool)>>,
}

/// A cache for repeated requests: without it, resolving a script's path costs a FastCGI request 8 µs.
#[derive(Default)]
pub struct RealPaths {
    known: SecretMap<Box<[u8]>, (Rc<Real>, Lookup)>,
}

impl RealPaths {
    /// # Errors
    /// The path cannot be resolved ([`find`]).
    pub fn find(&mut self, path: &[u8], now: &Clock, watch: &mut DirWatch) -> Result<Rc<Real>, Errno> {
        watch.refresh(now);
        if let Some((real, lookup)) = self.known.get(path)
            && lookup.holds(now)
        {
            return Ok(real.clone());
        }
        let (real, there) = walk(path, look_at)?;
        let real = Rc::new(real);
        match there.and_then(|there| watched(path, there, now, watch)) {
            // Resolved again, now that it is watched.
            Some(lookup) if walk(path, look_at).is_ok_and(|again| again == (Real::clone(&real), there)) => {
                if self.known.len() >= MOST {
                    self.known.clear();
                }
                self.known.insert(path.into(), (real.clone(), lookup));
            }
            _ => drop(self.known.remove(path)),
        }
        Ok(real)
    }
}

/// The real path, if the whole path exists.
pub fn of_existing(path: &[u8]) -> Option<Vec<u8>> {
    look_at(path).ok().flatten().map(|(real, _)| real)
}

/// The real path of a path.
///
/// # Errors
/// The error of a call that failed for another reason than a missing or inaccessible path.
pub fn find(path: &[u8]) -> Result<Real, Errno> {
    walk(path, look_at).map(|(real, _)| real)
}

/// The real path, if the kernel has it cached: a remote file system may hang.
pub fn find_cached(path: &[u8]) -> Option<Vec<u8>> {
    let mut end = path.len();
    while end > 0 {
        match file::open_cached(&CString::new(&path[..end]).ok()?) {
            Ok(opened) => return Some([&file::path_of(opened.as_fd()).ok()?, &path[end..]].concat()),
            Err(e) if is_unreachable(e) => {}
            Err(_) => return None,
        }
        end = memchr::memrchr(b'/', &path[..end]).unwrap_or(0);
    }
    Some(path.to_vec())
}

/// The existing part of a path: its length, and whether it is a directory.
type There = (usize, bool);

/// What is found at a path: its real path, and whether it is a directory.
type Resolved = (Vec<u8>, bool);

/// If a prefix of a path exists, so do all shorter ones. Searched from the end, where the existing part usually ends,
/// by doubling steps, then by bisection: a path of thousands of components costs a dozen lookups.
fn walk(
    path: &[u8],
    look_at: impl Fn(&[u8]) -> Result<Option<Resolved>, Errno>,
) -> Result<(Real, Option<There>), Errno> {
    let (mut missing, mut names, mut end) = (None, 1, path.len());
    let mut found = None;
    while end > 0 && found.is_none() {
        found = look_at(&path[..end])?.map(|seen| (end, seen));
        if found.is_none() {
            missing = Some(end);
            end = without_names(path, end, names);
            names *= 2;
        }
    }
    let mut there = found.as_ref().map_or(0, |(end, _)| *end);
    while let Some(above) = missing.and_then(|missing| between(path, there, missing)) {
        match look_at(&path[..above])? {
            Some(seen) => (there, found) = (above, Some((above, seen))),
            None => missing = Some(above),
        }
    }
    let Some((end, (real, is_dir))) = found else {
        return Ok((Real { whole: path.to_vec(), ..Real::default() }, None));
    };
    let whole = [&real, &path[end..]].concat();
    let file = (end < path.len() && !is_dir).then_some(real);
    Ok((Real { whole, file, ..Real::default() }, Some((end, is_dir))))
}

/// The end of the path before `end` without its last `names` components.
fn without_names(path: &[u8], end: usize, names: usize) -> usize {
    memchr::memrchr_iter(b'/', &path[..end]).nth(names - 1).unwrap_or(0)
}

/// The end of a component near the middle between two positions. None: there is none.
fn between(path: &[u8], there: usize, missing: usize) -> Option<usize> {
    let from = there + 1;
    let middle = from.midpoint(missing);
    let before = memchr::memrchr(b'/', path.get(from..middle)?).map(|at| from + at);
    before.or_else(|| memchr::memchr(b'/', path.get(middle..missing)?).map(|at| middle + at))
}

/// None: it does not exist, or this process may not access it.
fn look_at(path: &[u8]) -> Result<Option<Resolved>, Errno> {
    let Ok(name) = CString::new(path) else { return Ok(None) };
    let opened = match file::open_at(None, &name, O_PATH, 0) {
        Ok(opened) => opened,
        Err(e) if is_unreachable(e) => return Ok(None),
        Err(e) => return Err(e),
    };
    let is_dir = file::fstat(opened.as_fd())?.kind == FileKind::Dir;
    Ok(Some((file::path_of(opened.as_fd())?, is_dir)))
}

/// Whether the error is due to the path itself, not to the state of this process or of a disk.
fn is_unreachable(e: Errno) -> bool {
    matches!(e, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EACCES | Errno::ENAMETOOLONG)
}

/// Watches the path, so that changes are reported. None: they might not be.
fn watched(path: &[u8], (end, is_dir): There, now: &Clock, watch: &mut DirWatch) -> Option<Lookup> {
    let there = &path[..end];
    let (above, last) = match is_dir {
        // A missing component would appear in this directory.
        true => ([there, b"/"].concat(), first_missing(path, end)?),
        false => (directory_of(there).to_vec(), end),
    };
    let lookup = Lookup::new(Some(watch.directory(&above, now)?), now);
    let seen = file::lstat(&CString::new(&path[..last]).ok()?).map(|stat| stat.kind);
    // The target of a link, dangling or not, may change elsewhere.
    let is_plain = match seen {
        Ok(kind) => !is_dir && kind != FileKind::Symlink,
        Err(e) => is_dir && e == Errno::ENOENT,
    };
    is_plain.then_some(lookup)
}

/// The end of the first missing component after the first `end` bytes. None: none is missing.
fn first_missing(path: &[u8], end: usize) -> Option<usize> {
    let start = end + path[end..].iter().position(|b| *b != b'/')?;
    Some(memchr::memchr(b'/', &path[start..]).map_or(path.len(), |len| start + len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use crate::util::clean_path::clean;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_is_judged_by_what_of_it_is_there() {
        for (path, expected) in [("/proc/self/fd/none/x.php", "/fd/none/x.php"), ("/", "/"), ("/none/x", "/none/x")] {
            let Real { whole, file, .. } = find(path.as_bytes()).expect("it can be looked at");
            assert_eq!(file, None, "{path}");
            assert!(whole.ends_with(expected.as_bytes()) && !whole.starts_with(b"/proc/self"), "{path}: {whole:?}");
            // The kernel's cached result is the same.
            assert!(find_cached(path.as_bytes()).is_none_or(|known| known == whole), "{path}");
        }
        for (path, expected) in [("/proc/version", None), ("/proc/version/x.php/y", Some("/proc/version"))] {
            let Real { whole, file, .. } = find(path.as_bytes()).expect("it can be looked at");
            assert_eq!((&*whole, file.as_deref()), (path.as_bytes(), expected.map(str::as_bytes)), "{path}");
        }
    }

    #[test]
    fn the_part_of_a_path_that_is_there_is_found_however_many_names_follow() {
        let scratch = Scratch::new();
        let top = fs::canonicalize(scratch.path()).expect("it is there");
        fs::create_dir_all(top.join("a/b/c/d/e/f/g/h")).expect("made");
        fs::write(top.join("a/b/c/file"), "").expect("written");
        symlink("a/b/c", top.join("way")).expect("linked");
        let [own, there] =
            ["", "/a/b/c"].map(|name| [crate::sys::scratch::c_path(&top).as_bytes(), name.as_bytes()].concat());
        for missing in 0..40 {
            for slash in ["/", "//"] {
                let rest = format!("{slash}n").repeat(missing).into_bytes();
                for (begins, leads, is_file) in [
                    ("/a/b/c", "", false),
                    ("/way", "", false),
                    ("/way/d/e/f/g", "/d/e/f/g", false),
                    ("/a/b/c/file", "/file", true),
                ] {
                    let real = find(&[&own, begins.as_bytes(), &rest].concat()).expect("it can be looked at");
                    let expected = [&there[..], leads.as_bytes()].concat();
                    // One of two slashes may be missing.
                    let plain = "/n".repeat(missing).into_bytes();
                    assert_eq!(clean(&real.whole), [&expected[..], &plain].concat(), "{begins}, {missing} missing");
                    assert_eq!(real.file, (is_file && missing > 0).then_some(expected), "{begins}, {missing} missing");
                }
            }
        }
    }

    #[test]
    fn a_path_that_cannot_be_looked_at_is_not_where_its_name_says() {
        let names = b"/a/b/c/d/e/f";
        let missing =
            |e| matches!(e, Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ELOOP | Errno::ENAMETOOLONG);
        for e in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::EIO, Errno::ESTALE, Errno::ENOENT, Errno::EACCES]
        {
            assert_eq!(is_unreachable(e), missing(e), "{e}");
        }
        // At whichever lookup it happens.
        let end = names.len();
        for failing in ["/a/b/c/d/e/f", "/a/b/c/d/e", "/a/b/c", "/a/b/c/d"] {
            let outcome = walk(names, |path| match path {
                path if path == failing.as_bytes() => Err(Errno::EMFILE),
                path if path.len() < "/a/b/c/d".len() => Ok(Some((path.to_vec(), true))),
                _ => Ok(None),
            });
            assert_eq!(outcome, Err(Errno::EMFILE), "{failing} of {end} bytes");
        }
    }

    /// Each change makes the path lead elsewhere. `kept`: whether it was cached before.
    #[test]
    fn what_is_kept_of_a_path_ends_with_any_change_that_matters() {
        type Act = fn(&std::path::Path);
        let table: &[(&str, bool, Act)] = &[
            ("a/x.php", true, |top| {
                fs::remove_file(top.join("a/x.php")).expect("removed");
                symlink(top.join("b/x.php"), top.join("a/x.php")).expect("linked");
            }),
            ("a/x.php", true, |top| {
                fs::rename(top.join("a"), top.join("c")).expect("moved");
                symlink(top.join("b"), top.join("a")).expect("linked");
            }),
            ("a/x.php/y.php", true, |top| fs::remove_file(top.join("a/x.php")).expect("removed")),
            ("a/none/y.php", true, |top| fs::write(top.join("a/none"), "a file").expect("written")),
            ("a//none", true, |top| symlink(top.join("b"), top.join("a/none")).expect("linked")),
            ("way/x.php", true, |top| {
                fs::remove_file(top.join("way")).expect("removed");
                symlink(top.join("b"), top.join("way")).expect("linked");
            }),
            ("linked/x.php", false, |top| {
                fs::remove_file(top.join("next")).expect("removed");
                symlink(top.join("b/x.php"), top.join("next")).expect("linked");
            }),
            ("dangling", false, |top| fs::write(top.join("b/made"), "").expect("written")),
            ("a", false, |top| {
                fs::rename(top.join("a"), top.join("c")).expect("moved");
                symlink(top.join("b"), top.join("a")).expect("linked");
            }),
        ];
        for (name, kept, change) in table {
            let scratch = Scratch::new();
            let top = fs::canonicalize(scratch.path()).expect("it is there");
            for dir in ["a", "b", "linked"] {
                fs::create_dir(top.join(dir)).expect("made");
            }
            fs::write(top.join("a/x.php"), "").expect("written");
            fs::write(top.join("b/x.php"), "").expect("written");
            for (to, link) in [("a", "way"), ("a/x.php", "next"), ("next", "linked/x.php"), ("b/made", "dangling")] {
                symlink(top.join(to), top.join(link)).expect("linked");
            }
            let path = [crate::sys::scratch::c_path(&top).as_bytes(), b"/", name.as_bytes()].concat();
            let (mut paths, mut watch, mut now) = (RealPaths::default(), DirWatch::default(), Clock::read());
            let before = paths.find(&path, &now, &mut watch);
            assert_eq!(before, find(&path).map(Rc::new), "{name}");
            // On a file system that cannot be watched, nothing is cached.
            let can_watch =
                watch.directory(&[crate::sys::scratch::c_path(&top).as_bytes(), b"/"].concat(), &now).is_some();
            assert_eq!(paths.known.len(), usize::from(*kept && can_watch), "{name}");
            now.advance_epoch();
            assert_eq!(paths.find(&path, &now, &mut watch), before, "{name}");
            change(&top);
            now.advance_epoch();
            let after = paths.find(&path, &now, &mut watch);
            assert_eq!(after, find(&path).map(Rc::new), "{name}");
            assert_ne!(after, before, "{name}");
        }
    }

    #[test]
    fn paths_that_clients_name_are_bounded() {
        let scratch = Scratch::new();
        let (mut paths, mut watch, now) = (RealPaths::default(), DirWatch::default(), Clock::read());
        for number in 0..=MOST {
            paths.find(scratch.join(&number.to_string()).as_bytes(), &now, &mut watch).expect("it can be looked at");
        }
        assert!(paths.known.len() <= 1, "{}", paths.known.len());
    }
}

//! Whether clients may have put a file where it is: such a file is never run.
//!
//! Invariant: whatever links and aliases lead to a file, it is judged by where it really lies.

use crate::config::model::WriteArea;
use crate::exchange::{Exchange, paths};
use crate::route::{NoTrace, location};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, O_PATH};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// The message about such a file.
pub const WHY: &str = "lies where clients may store files (upload_execute)";

fn open(path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    file::open_at(None, &path, O_PATH, 0)
}

/// Where a path really is. None: it is not there.
fn real(path: &[u8]) -> Option<Vec<u8>> {
    file::path_of(open(path).ok()?.as_fd()).ok()
}

/// Where a path really is whose last names need not be there; and the file above these names where one is: applications
/// look for a script there (`/evil.jpg/x.php`).
fn real_part(path: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut end = path.len();
    while end > 0 {
        if let Ok(opened) = open(&path[..end])
            && let Ok(real) = file::path_of(opened.as_fd())
        {
            let is_file = file::fstat(opened.as_fd()).is_ok_and(|stat| stat.kind != FileKind::Dir);
            let whole = [&real, &path[end..]].concat();
            return (whole, Some(real).filter(|_| is_file && end < path.len()));
        }
        end = memchr::memrchr(b'/', &path[..end]).unwrap_or(0);
    }
    (path.to_vec(), None)
}

/// The path without `..`, as programs read it that do not ask the file system.
fn lexical(path: &[u8]) -> Option<Vec<u8>> {
    let parts = || path.split(|b| *b == b'/');
    if !parts().any(|part| part == b"..") {
        return None;
    }
    let mut names: Vec<&[u8]> = Vec::new();
    for part in parts() {
        match part {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    Some([b"/".as_slice(), &names.join(&b'/')].concat())
}

/// Whether a client may have put `path` there, a file that is to be run. `is_real`: no link is on the way to it.
pub fn may_be(ex: &Exchange, path: &[u8], is_real: bool) -> bool {
    let here = ex.here();
    if here.settings.cgi.uploads {
        return false;
    }
    let config = &ex.config;
    if here.stores() {
        return true;
    }
    if config.stores.is_empty() && config.write_areas.is_empty() {
        return false;
    }
    let mut names = vec![path.to_vec()];
    if !is_real {
        for path in lexical(path).iter().map(Vec::as_slice).chain([path]) {
            let (whole, file) = real_part(path);
            names.push(whole);
            names.extend(file);
        }
    }
    let beneath = |directory: &[u8]| {
        let real = real(directory);
        let within = |directory: &[u8]| names.iter().any(|name| paths::is_beneath(name, directory));
        within(directory) || real.is_some_and(|real| within(&real))
    };
    config.stores.iter().any(|store| beneath(store))
        || config.write_areas.iter().any(|area| names.iter().any(|name| writes(ex, area, name)))
}

/// Whether a client may write the file by its URI in the area.
fn writes(ex: &Exchange, area: &WriteArea, path: &[u8]) -> bool {
    let by = |directory: &[u8]| {
        let Some(rest) = paths::below(path, directory) else { return false };
        // Variables decide what the URI is.
        let Some(uri) = &area.uri else { return true };
        let uri = [uri, &b"/"[..], rest].concat();
        let found = location::find(&ex.config, area.server, &uri, &mut NoTrace);
        found.map_or(true, |found| ex.config.location(found.location).writes())
    };
    by(&area.directory) || real(&area.directory).is_some_and(|directory| by(&directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_dots_hide_no_directory() {
        for (path, expected) in [
            ("/a/b", None),
            ("/a/../b", Some("/b")),
            ("/a/b.php/../../c", Some("/c")),
            ("/../../a", Some("/a")),
            ("/a..b/..c", None),
        ] {
            assert_eq!(lexical(path.as_bytes()).as_deref(), expected.map(str::as_bytes), "{path}");
        }
        for (path, expected) in [("/proc/self/fd/none/x.php", "/fd/none/x.php"), ("/", "/"), ("/none/x", "/none/x")] {
            let (found, file) = real_part(path.as_bytes());
            assert_eq!(file, None, "{path}");
            assert!(found.ends_with(expected.as_bytes()) && !found.starts_with(b"/proc/self"), "{path}: {found:?}");
        }
        for (path, expected) in [("/proc/version", None), ("/proc/version/x.php/y", Some("/proc/version"))] {
            let (found, file) = real_part(path.as_bytes());
            assert_eq!((&*found, file.as_deref()), (path.as_bytes(), expected.map(str::as_bytes)), "{path}");
        }
    }
}

//! Whether clients may have put a file where it is: such a file is never run, and SSI commands in it
//! are text.
//!
//! Invariant: whatever links and aliases lead to a file, its real path decides; where that is not known, it is not run.

use crate::config::model::{Config, Level, WriteArea};
use crate::exchange::handlers::failure;
use crate::exchange::{Exchange, Printable};
use crate::http::status::Status;
use crate::route::{NoTrace, location};
use crate::services::Services;
use crate::sys::Errno;

/// The error log's reason for such a file.
const WHY: &str = "lies where clients may store files (upload_execute)";

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

/// Whether symbolic links may be part of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Links {
    Possible,
    /// They have been followed: the path is the real one.
    Resolved,
}

/// Such files may exist at all, and must not be run.
pub fn is_in_question(ex: &Exchange) -> bool {
    let (here, config) = (ex.here(), &ex.config);
    let any = here.stores() || !config.stores.is_empty() || !config.write_areas.is_empty();
    any && !here.settings.cgi.uploads
}

/// Checks a file at `path`, which is about to be run. `kind`: what it is to the error log.
///
/// # Errors
/// 403: a client may have put it there. 503 or 500: it is not known where it, or where clients may store files, really
/// lies (there is no free descriptor, say).
pub fn check(ex: &Exchange, cx: &mut Services, kind: &str, path: &[u8], links: Links) -> Result<(), Status> {
    let shown = Printable(path);
    match may_be(ex, cx, path, links) {
        Ok(false) => Ok(()),
        Ok(true) => {
            ex.report(cx, Level::Error, format_args!("{kind}\"{shown}\" {WHY}"));
            Err(Status::FORBIDDEN)
        }
        Err(e) => {
            let what = "is not run: whether clients may store files where it lies is not known";
            ex.report(cx, Level::Crit, format_args!("{kind}\"{shown}\" {what} {e}"));
            Err(failure::blame(e).0)
        }
    }
}

/// Whether a client may have put it there.
///
/// # Errors
/// It is not known.
pub fn may_be(ex: &Exchange, cx: &mut Services, path: &[u8], links: Links) -> Result<bool, Errno> {
    if !is_in_question(ex) {
        return Ok(false);
    }
    let config = &ex.config;
    if ex.here().stores() {
        return Ok(true);
    }
    let mut real = Vec::new();
    if links == Links::Possible {
        for path in lexical(path).iter().map(Vec::as_slice).chain([path]) {
            real.push(cx.real_paths.find(path, &cx.now, &mut cx.dir_watch)?);
        }
    }
    let mut names = vec![path];
    for name in real.iter().flat_map(|real| [Some(&real.whole), real.file.as_ref()]).flatten() {
        // Most files are where their path says, and are looked for once.
        if !names.contains(&&name[..]) {
            names.push(name);
        }
    }
    cx.stored_places.any(config, cx.now.ms, &names, |area, rest| match area {
        None => true,
        Some(at) => config.write_areas.get(at).is_some_and(|area| writes(config, area, rest)),
    })
}

/// Whether a client may write the file of that name below the area by its URI.
fn writes(config: &Config, area: &WriteArea, rest: &[u8]) -> bool {
    // Variables decide the URI.
    let Some(uri) = &area.uri else { return true };
    let uri = [uri, &b"/"[..], rest].concat();
    let found = location::find(config, area.server, &uri, &mut NoTrace);
    found.map_or(true, |found| config.location(found.location).writes())
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
    }
}

//! Whether clients may have stored a file at its path: such a file is never executed, and SSI commands in it are plain
//! text.
//!
//! Invariant: whatever links and aliases lead to a file, its real path decides; if that cannot be determined, the file
//! is not executed. Where the file system ignores case, a file may have been stored by any spelling of its name.

use crate::config::model::{Config, Level, Location, WriteArea};
use crate::exchange::handlers::failure;
use crate::exchange::handlers::write_areas::may_be_put;
use crate::exchange::{Exchange, Printable};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::real_paths::Real;
use crate::sys::Errno;
use crate::sys::file;
use crate::util::clean_path::has_parent;
use crate::util::fold_case::respelled;
use std::rc::Rc;

/// The reason shown in the error log.
const REASON: &str = "lies where clients may store files (upload_execute)";

/// Resolves `..` textually, as programs do that do not ask the file system. None: the path contains none.
fn lexical(path: &[u8]) -> Option<Vec<u8>> {
    if !has_parent(path) {
        return None;
    }
    let mut names: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
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
pub enum PathLinks {
    /// The path may go through links: its real path is looked up.
    Possible,
    /// They have been resolved: the path is the real one.
    Resolved,
}

/// Whether clients can store files at all, and such files must not be executed.
pub fn is_in_question(ex: &Exchange) -> bool {
    may_be_any(ex) && !ex.location().settings.cgi.uploads
}

/// Whether clients can store files at all.
fn may_be_any(ex: &Exchange) -> bool {
    ex.location().stores() || !ex.config.client_files.is_empty() || !ex.config.write_areas.is_empty()
}

/// Checks a file at `path` that is about to be executed. `kind`: what to call it in the error log.
///
/// # Errors
/// 403: a client may have stored it. 503 or 500: the real path of the file, or of the places where clients may store
/// files, cannot be determined (there is no free descriptor, say).
pub fn check(ex: &Exchange, cx: &mut Services, kind: &str, path: &[u8], links: PathLinks) -> Result<(), Status> {
    let shown = Printable(path);
    match is_client_writable(ex, cx, path, links) {
        Ok(false) => Ok(()),
        Ok(true) => {
            ex.report(cx, Level::Error, format_args!("{kind}\"{shown}\" {REASON}"));
            Err(Status::FORBIDDEN)
        }
        Err(e) => {
            let what = "is not run: whether clients may store files where it lies is not known";
            ex.report(cx, Level::Crit, format_args!("{kind}\"{shown}\" {what} {e}"));
            Err(failure::blame(e).0)
        }
    }
}

/// Whether a client may have stored it, so that it must not be executed.
///
/// # Errors
/// This cannot be determined.
pub fn is_client_writable(ex: &Exchange, cx: &mut Services, path: &[u8], links: PathLinks) -> Result<bool, Errno> {
    if is_in_question(ex) { is_in_write_area(ex, cx, path, links) } else { Ok(false) }
}

/// Whether clients may store files at the path, whatever is executed there.
///
/// # Errors
/// This cannot be determined.
pub fn is_in_write_area(ex: &Exchange, cx: &mut Services, path: &[u8], links: PathLinks) -> Result<bool, Errno> {
    if !may_be_any(ex) {
        return Ok(false);
    }
    if ex.location().stores() {
        return Ok(true);
    }
    let mut find = |path: &[u8]| cx.real_paths.find(path, &cx.now, &mut cx.dir_watch);
    let real = match (links, lexical(path)) {
        (PathLinks::Resolved, _) => vec![],
        (PathLinks::Possible, Some(lexical)) => vec![find(&lexical)?, find(path)?],
        (PathLinks::Possible, None) => {
            let real = find(path)?;
            return is_known_writable(&ex.config, cx, path, &real);
        }
    };
    let names = real.iter().flat_map(|real| [Some(&real.whole), real.file.as_ref()]).flatten();
    lies_in_area(&ex.config, cx, path, names)
}

/// The same for a path without `..`. The verdict is kept with its real path, as long as neither leads elsewhere.
fn is_known_writable(config: &Rc<Config>, cx: &mut Services, path: &[u8], real: &Real) -> Result<bool, Errno> {
    let generation = cx.store_dirs.generation(config, cx.now.ms)?;
    if let Some((of, verdict)) = real.stored.get()
        && of == generation
    {
        return Ok(verdict);
    }
    let verdict = lies_in_area(config, cx, path, [&real.whole].into_iter().chain(&real.file))?;
    real.stored.set(Some((generation, verdict)));
    Ok(verdict)
}

/// Whether a path, or one of its real paths, is that of a file which a client may write.
fn lies_in_area<'n>(
    config: &Rc<Config>,
    cx: &mut Services,
    path: &[u8],
    real: impl Iterator<Item = &'n Vec<u8>>,
) -> Result<bool, Errno> {
    let mut names = vec![path];
    for name in real {
        // For most files, this is also the real path: look it up only once.
        if !names.contains(&&name[..]) {
            names.push(name);
        }
    }
    cx.store_dirs.any(config, cx.now.ms, &names, |area, rest| match area {
        None => true,
        Some(at) => config.write_areas.get(at).is_some_and(|area| {
            writes(config, area, rest) || ignores_case(&[&area.directory[..], b"/", rest].concat(), rest.len())
        }),
    })
}

/// Whether another spelling of one of the last names of a path, in its last `len` bytes, leads to the same file.
fn ignores_case(path: &[u8], len: usize) -> bool {
    let lstat = |path: &[u8]| file::c_string(path).and_then(|path| file::lstat(&path)).ok();
    let mut end = path.len();
    while end > path.len() - len {
        let start = memchr::memrchr(b'/', &path[..end]).map_or(0, |slash| slash + 1);
        if let Some(other) = respelled(&path[start..end])
            && let Some(found) = lstat(&[&path[..start], &other].concat())
            && lstat(&path[..end]).is_some_and(|stat| stat.is_same_file(&found))
        {
            return true;
        }
        end = start.saturating_sub(1);
    }
    false
}

/// Whether a client may write the file with this name in the area, according to its URI.
fn writes(config: &Config, area: &WriteArea, rest: &[u8]) -> bool {
    // The URI depends on variables.
    let Some(uri) = &area.uri else { return true };
    may_be_put((config, area), (uri, rest), |there| there.writes().then_some(true), Location::takes_forms)
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

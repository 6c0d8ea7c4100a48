//! upload_quota: what the files of an area come to. Counted anew each time: whatever else writes there is seen.

use super::refusal::Refusal;
use crate::config::directives::upload::Quota;
use crate::http::status::Status;
use crate::shared::litter::HIDDEN;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

/// Directories below directories that are looked into.
const DEPTH: u32 = 32;

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Bytes.
    pub bytes: u64,
    pub files: u64,
}

/// What the directory and all below it hold. Links count as nothing.
pub fn usage(dir: BorrowedFd<'_>) -> Result<Usage, Errno> {
    let mut usage = Usage::default();
    count(dir, c".", DEPTH, &mut usage)?;
    Ok(usage)
}

fn count(dir: BorrowedFd<'_>, name: &CStr, depth: u32, usage: &mut Usage) -> Result<(), Errno> {
    let dir = file::open_at(Some(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0)?;
    let mut entries = file::read_dir(dir);
    let mut inner: Vec<CString> = Vec::new();
    while entries.fill()? {
        for entry in entries.entries() {
            if matches!(entry.kind, Some(FileKind::Symlink | FileKind::Other))
                || entry.name.to_bytes().starts_with(HIDDEN.as_bytes())
            {
                continue;
            }
            if entry.kind == Some(FileKind::Dir) {
                inner.push(entry.name.to_owned());
                continue;
            }
            // Gone meanwhile: then it counts no more.
            let Ok(stat) = file::stat_at(Some(entries.dir()), entry.name, Follow::No) else { continue };
            match stat.kind {
                FileKind::Regular => {
                    usage.bytes = usage.bytes.saturating_add(stat.size);
                    usage.files += 1;
                }
                FileKind::Dir => inner.push(entry.name.to_owned()),
                FileKind::Symlink | FileKind::Other => {}
            }
        }
    }
    if depth > 0 {
        for name in inner {
            match count(entries.dir().as_fd(), &name, depth - 1, usage) {
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) | Ok(()) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

/// Whether so much more may be stored, when so much is freed by it.
///
/// # Errors
/// 507.
pub fn check(quota: Quota, used: Usage, more: Usage, freed: Usage) -> Result<(), Refusal> {
    let total = |used: u64, more: u64, freed: u64| used.saturating_sub(freed).saturating_add(more);
    let over = |limit: u64, total: u64| limit > 0 && total > limit;
    if over(quota.bytes, total(used.bytes, more.bytes, freed.bytes))
        || over(quota.files, total(used.files, more.files, freed.files))
    {
        let detail = format!(
            "{} bytes in {} files are there, {} in {} are to come",
            used.bytes, used.files, more.bytes, more.files
        );
        let refusal = Refusal::new(Status::INSUFFICIENT_STORAGE, "the quota of this area is used up");
        return Err(refusal.limit("upload_quota").detail(detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    #[test]
    fn files_count_and_links_do_not() {
        let scratch = Scratch::new();
        scratch.write("a", b"12345");
        scratch.make_dir("d");
        scratch.make_dir("d/e");
        scratch.write("d/b", b"123");
        scratch.write("d/e/c", b"");
        scratch.write(".webserv-upload-1", b"on its way");
        scratch.link("link", "a");
        scratch.link("dirlink", "/etc");
        assert_eq!(usage(scratch.dir().as_fd()), Ok(Usage { bytes: 8, files: 3 }));
    }

    #[test]
    fn a_quota_counts_what_would_be_there() {
        let usage = |bytes, files| Usage { bytes, files };
        let table = [
            ((1000, 2), usage(600, 1), usage(400, 1), usage(0, 0), true),
            ((1000, 2), usage(600, 1), usage(401, 1), usage(0, 0), false),
            ((1000, 2), usage(600, 2), usage(0, 1), usage(0, 0), false),
            ((1000, 2), usage(600, 2), usage(900, 1), usage(600, 1), true),
            ((0, 2), usage(u64::MAX, 1), usage(u64::MAX, 1), usage(0, 0), true),
            ((1000, 0), usage(0, 99), usage(1000, 99), usage(0, 0), true),
        ];
        for ((bytes, files), used, more, freed, fits) in table {
            assert_eq!(check(Quota { bytes, files }, used, more, freed).is_ok(), fits, "{used:?} {more:?} {freed:?}");
        }
    }
}

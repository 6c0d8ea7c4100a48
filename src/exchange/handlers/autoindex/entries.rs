//! The entries of a directory in memory: one pass over it, all names in one buffer, one record an entry.
//!
//! Invariant: reading n entries allocates as often as two growing vectors do, not n times.

use crate::exchange::handlers::listing::{Entry, Kind, Listing, Totals};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Stat};
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Whether a link is shown as what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    Followed,
    /// disable_symlinks: nobody may follow it, so nothing is told of its target.
    Bare,
}

#[derive(Debug, Default)]
pub struct Entries {
    names: Vec<u8>,
    records: Vec<Record>,
    pub totals: Totals,
    /// Why some entry could not be looked at; it is left out.
    pub failed: Option<Errno>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    start: usize,
    len: usize,
    kind: Kind,
    size: u64,
    mtime: i64,
}

impl Record {
    fn entry<'a>(&self, names: &'a [u8]) -> Entry<'a> {
        let name = names.get(self.start..self.start + self.len).unwrap_or_default();
        Entry { name, kind: self.kind, size: self.size, mtime: self.mtime }
    }
}

impl Entries {
    /// Reads the directory (open for reading). Names that begin with a dot are left out, as in nginx, and so is what
    /// vanishes meanwhile or cannot be looked at.
    pub fn read(dir: OwnedFd, links: Links) -> Result<Entries, Errno> {
        let mut entries = Entries::default();
        let mut dir = file::read_dir(dir);
        while dir.fill()? {
            for entry in dir.entries() {
                let name = entry.name.to_bytes();
                if name.starts_with(b".") {
                    continue;
                }
                match look(dir.dir(), entry.name, links) {
                    Ok(stat) => entries.push(name, &stat),
                    Err(Errno::ENOENT | Errno::EACCES) => {}
                    Err(e) => entries.failed = Some(e),
                }
            }
        }
        Ok(entries)
    }

    fn push(&mut self, name: &[u8], stat: &Stat) {
        let kind = match stat.kind {
            FileKind::Dir => Kind::Dir,
            FileKind::Regular => Kind::File,
            FileKind::Symlink | FileKind::Other => Kind::Other,
        };
        match kind {
            Kind::Dir => self.totals.dirs += 1,
            Kind::File => {
                self.totals.files += 1;
                self.totals.bytes = self.totals.bytes.saturating_add(stat.size);
            }
            Kind::Other => self.totals.files += 1,
        }
        let start = self.names.len();
        self.names.extend_from_slice(name);
        self.records.push(Record { start, len: name.len(), kind, size: stat.size, mtime: stat.mtime.0 });
    }

    pub fn sort(&mut self, listing: &Listing<'_>) {
        let names = &self.names;
        self.records.sort_unstable_by(|a, b| listing.compare(&a.entry(names), &b.entry(names)));
    }

    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.records.iter().map(|record| record.entry(&self.names))
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes of all names.
    pub fn name_bytes(&self) -> usize {
        self.names.len()
    }
}

/// What an entry is; a link that leads nowhere is what it is itself (nginx).
pub fn look(dir: BorrowedFd<'_>, name: &CStr, links: Links) -> Result<Stat, Errno> {
    if links == Links::Followed {
        match file::stat_at(Some(dir), name, Follow::Yes) {
            Err(Errno::ENOENT | Errno::ELOOP) => {}
            known => return known,
        }
    }
    file::stat_at(Some(dir), name, Follow::No)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    fn directory(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("webserv-entries-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a fresh directory");
        path
    }

    #[test]
    fn a_directory_is_read_sorted_and_counted() {
        let path = directory("read");
        fs::create_dir(path.join("sub")).expect("mkdir");
        fs::write(path.join("b"), "12345").expect("write");
        fs::write(path.join("a"), "1").expect("write");
        fs::write(path.join(".hidden"), "").expect("write");
        symlink("sub", path.join("into")).expect("symlink");
        symlink("b", path.join("to-b")).expect("symlink");
        symlink("nowhere", path.join("dangling")).expect("symlink");
        let table = [
            (Links::Followed, "into/ sub/ a:1 b:5 dangling? to-b:5", Totals { dirs: 2, files: 4, bytes: 11 }),
            (Links::Bare, "sub/ a:1 b:5 dangling? into? to-b?", Totals { dirs: 1, files: 5, bytes: 6 }),
        ];
        for (links, expected, totals) in table {
            let dir = OwnedFd::from(File::open(&path).expect("open"));
            let mut entries = Entries::read(dir, links).expect("read");
            entries.sort(&Listing::default());
            let shown: Vec<String> = entries
                .iter()
                .map(|entry| {
                    let name = String::from_utf8_lossy(entry.name);
                    match entry.kind {
                        Kind::Dir => format!("{name}/"),
                        Kind::File => format!("{name}:{}", entry.size),
                        Kind::Other => format!("{name}?"),
                    }
                })
                .collect();
            assert_eq!(shown.join(" "), expected);
            assert_eq!(entries.totals, totals);
            assert_eq!((entries.len(), entries.failed), (6, None));
        }
        fs::remove_dir_all(&path).expect("clean up");
    }

    #[test]
    fn a_directory_of_many_batches_is_read_whole() {
        let path = directory("many");
        for n in 0..3000 {
            File::create(path.join(format!("a-rather-long-name-{n}"))).expect("create");
        }
        let dir = OwnedFd::from(File::open(&path).expect("open"));
        let entries = Entries::read(dir, Links::Followed).expect("read");
        assert_eq!((entries.len(), entries.totals.files), (3000, 3000));
        fs::remove_dir_all(&path).expect("clean up");
    }
}

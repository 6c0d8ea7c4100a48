//! The entries of a directory in memory: read batch by batch, all names in one buffer, one record for each entry;
//! sorted in runs as they are read, merged as they are rendered.
//!
//! Invariant: no call reads, sorts or renders more than a bounded number of entries; n entries cost as many
//! allocations as two growing vectors, not n.

use crate::exchange::handlers::listing::{Entry, Kind, Listing, Totals};
use crate::exchange::handlers::symlinks;
use crate::exchange::paths;
use crate::exchange::random_draw::Links;
use crate::services::listings::Loose;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, O_PATH, ReadDir, Stat};
use crate::util::{bytes, subpaths};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Entries sorted at once: about a millisecond.
const RUN: usize = 4096;
/// Most entries whose changes a watch on the directory does not report: more are too many to check for each request.
const MAX_LOOSE: usize = 256;

/// One directory's entries, as far as they were read.
pub struct Entries {
    dir: ReadDir,
    links: Links,
    names: Vec<u8>,
    records: Vec<EntryRecord>,
    /// The unmerged rest of each sorted run of records; a heap by the next entry of each.
    runs: Vec<(usize, usize)>,
    /// The records from here on are not sorted.
    unsorted: usize,
    /// Counts and bytes of what is shown.
    pub totals: Totals,
    /// Why an entry that is left out could not be looked at.
    pub failed: Option<Errno>,
    /// Entries whose changes a watch on the directory does not report. None: they are too many, or unknown.
    pub loose: Option<Vec<Loose>>,
}

#[derive(Clone, Copy, Debug)]
struct EntryRecord {
    start: usize,
    len: usize,
    kind: Kind,
    size: u64,
    mtime: i64,
}

impl EntryRecord {
    fn entry<'a>(&self, names: &'a [u8]) -> Entry<'a> {
        let name = names.get(self.start..self.start + self.len).unwrap_or_default();
        Entry { name, kind: self.kind, size: self.size, mtime: self.mtime }
    }
}

impl Entries {
    /// The entries of a directory that is open for reading; none has been read yet.
    pub fn of(dir: OwnedFd, links: Links) -> Entries {
        Entries {
            dir: file::read_dir(dir),
            links,
            names: Vec::new(),
            records: Vec::new(),
            runs: Vec::new(),
            unsorted: 0,
            totals: Totals::default(),
            failed: None,
            loose: Some(Vec::new()),
        }
    }

    /// Reads the next batch, some hundred entries; false at the end. Left out are names that begin with a dot, as in
    /// nginx, the names in `hidden`, and entries that no request can open, that vanish meanwhile or that cannot be
    /// looked at.
    pub fn read(&mut self, listing: &Listing<'_>, hidden: &[Box<[u8]>]) -> Result<bool, Errno> {
        let more = self.dir.fill()?;
        // Taken out for the loop, which borrows from the batch.
        let (mut names, mut records) = (std::mem::take(&mut self.names), std::mem::take(&mut self.records));
        records.try_reserve(self.dir.entries().count())?;
        names.try_reserve(self.dir.entries().map(|entry| entry.name.to_bytes().len()).sum())?;
        for entry in self.dir.entries() {
            let name = entry.name.to_bytes();
            // A name that no URI can have is not shown: its link would be refused.
            if name.starts_with(b".") || bytes::has_control(name) || subpaths::contains(hidden, b"", name) {
                continue;
            }
            match stat_entry(self.dir.dir(), entry.name, &self.links) {
                // FIFOs, sockets and devices are never served: their links would be refused. nginx shows them.
                Ok(stat) if stat.kind == FileKind::Other => note(&mut self.loose, entry.name, &stat),
                Ok(stat) => {
                    if entry.kind != Some(FileKind::Regular) || stat.kind != FileKind::Regular || stat.nlink > 1 {
                        note(&mut self.loose, entry.name, &stat);
                    }
                    let kind = self.totals.add(&stat);
                    let (start, len) = (names.len(), name.len());
                    names.extend_from_slice(name);
                    records.push(EntryRecord { start, len, kind, size: stat.size, mtime: stat.mtime.0 });
                }
                Err(e) => {
                    self.loose = None;
                    if !matches!(e, Errno::ENOENT | Errno::EACCES) {
                        self.failed = Some(e);
                    }
                }
            }
        }
        (self.names, self.records) = (names, records);
        if !more || self.records.len() - self.unsorted >= RUN {
            self.sort(listing);
        }
        Ok(more)
    }

    /// Makes a sorted run of the records that are in none.
    fn sort(&mut self, listing: &Listing<'_>) {
        let (names, end) = (&self.names, self.records.len());
        let Some(fresh) = self.records.get_mut(self.unsorted..).filter(|fresh| !fresh.is_empty()) else { return };
        fresh.sort_unstable_by(|a, b| listing.compare(&a.entry(names), &b.entry(names)));
        self.runs.push((self.unsorted, end));
        self.unsorted = end;
        let mut at = self.runs.len() - 1;
        while at > 0 && self.is_before(listing, at, (at - 1) / 2) {
            self.runs.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    /// Whether the next entry of run `a` comes before that of run `b`.
    fn is_before(&self, listing: &Listing<'_>, a: usize, b: usize) -> bool {
        let next = |run: usize| self.runs.get(run).and_then(|(at, _)| self.records.get(*at));
        match (next(a), next(b)) {
            (Some(a), Some(b)) => listing.compare(&a.entry(&self.names), &b.entry(&self.names)).is_lt(),
            (a, _) => a.is_some(),
        }
    }

    /// The next entry in order. None when all have been shown.
    pub fn next(&mut self, listing: &Listing<'_>) -> Option<Entry<'_>> {
        let (at, end) = self.runs.first_mut()?;
        let record = *self.records.get(*at)?;
        *at += 1;
        if at == end {
            self.runs.swap_remove(0);
        }
        let mut parent = 0;
        loop {
            let mut first = parent;
            for child in [2 * parent + 1, 2 * parent + 2] {
                if child < self.runs.len() && self.is_before(listing, child, first) {
                    first = child;
                }
            }
            if first == parent {
                return Some(record.entry(&self.names));
            }
            self.runs.swap(first, parent);
            parent = first;
        }
    }

    /// Entries read so far.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes of all names.
    pub fn name_bytes(&self) -> usize {
        self.names.len()
    }
}

impl Totals {
    fn add(&mut self, stat: &Stat) -> Kind {
        let kind = match stat.kind {
            FileKind::Dir => Kind::Dir,
            FileKind::Regular => Kind::File,
            FileKind::Symlink | FileKind::Other => Kind::Other,
        };
        match kind {
            Kind::Dir => self.dirs += 1,
            Kind::File => {
                self.files += 1;
                self.bytes = self.bytes.saturating_add(stat.size);
            }
            Kind::Other => self.files += 1,
        }
        kind
    }
}

/// Notes an entry whose changes the watch does not report.
fn note(loose: &mut Option<Vec<Loose>>, name: &CStr, stat: &Stat) {
    if let Some(known) = loose {
        match known.len() < MAX_LOOSE {
            true => known.push(Loose { name: name.to_owned(), stat: *stat }),
            false => *loose = None,
        }
    }
}

/// The state of an entry; for a link that leads nowhere, that of the link (nginx).
pub fn stat_entry(dir: BorrowedFd<'_>, name: &CStr, links: &Links) -> Result<Stat, Errno> {
    let followed = match links {
        Links::Followed => file::stat_at(Some(dir), name, Follow::Yes),
        Links::Inside { root, hidden } => stat_inside(dir, name, root, *hidden),
        Links::Bare => return file::stat_at(Some(dir), name, Follow::No),
    };
    match followed {
        Err(Errno::ENOENT | Errno::ELOOP) => file::stat_at(Some(dir), name, Follow::No),
        known => known,
    }
}

/// The state of what an entry leads to. EACCES: out of `root`, or, with `hidden`, to what is hidden.
fn stat_inside(dir: BorrowedFd<'_>, name: &CStr, root: &[u8], hidden: bool) -> Result<Stat, Errno> {
    let stat = file::stat_at(Some(dir), name, Follow::No)?;
    if stat.kind != FileKind::Symlink {
        return Ok(stat);
    }
    let place = file::open_at(Some(dir), name, O_PATH, 0)?;
    let path = file::path_of(place.as_fd())?;
    let below = paths::below(&path, root).ok_or(Errno::EACCES)?;
    let here = if hidden { file::path_of(dir)? } else { Vec::new() };
    match hidden && symlinks::leads_to_hidden(paths::below(&here, root).unwrap_or_default(), below) {
        false => file::fstat(place.as_fd()),
        true => Err(Errno::EACCES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::handlers::listing::View;
    use std::fs::{self, File};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;

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
        let inside = |root: &Path| Links::Inside {
            root: root.canonicalize().expect("it is there").as_os_str().as_bytes().into(),
            hidden: false,
        };
        let table = [
            (inside(&path), "into/ sub/ a:1 b:5 dangling? to-b:5", Totals { dirs: 2, files: 4, bytes: 11 }),
            (Links::Followed, "into/ sub/ a:1 b:5 dangling? to-b:5", Totals { dirs: 2, files: 4, bytes: 11 }),
            (Links::Bare, "sub/ a:1 b:5 dangling? into? to-b?", Totals { dirs: 1, files: 5, bytes: 6 }),
        ];
        let view = View::default();
        for (links, expected, totals) in table {
            let dir = OwnedFd::from(File::open(&path).expect("open"));
            let (mut entries, listing) = (Entries::of(dir, links), view.of(b"/", Totals::default()));
            while entries.read(&listing, &[]).expect("read") {}
            let mut shown = Vec::new();
            while let Some(entry) = entries.next(&listing) {
                let name = String::from_utf8_lossy(entry.name);
                shown.push(match entry.kind {
                    Kind::Dir => format!("{name}/"),
                    Kind::File => format!("{name}:{}", entry.size),
                    Kind::Other => format!("{name}?"),
                });
            }
            assert_eq!(shown.join(" "), expected);
            let mut loose: Vec<_> = entries.loose.iter().flatten().map(|l| l.name.to_string_lossy()).collect();
            loose.sort();
            assert_eq!(loose.join(" "), "dangling into sub to-b");
            assert_eq!(entries.totals, totals);
            assert_eq!((entries.len(), entries.failed), (6, None));
        }
        symlink("/", path.join("out")).expect("symlink");
        let dir = File::open(&path).expect("open");
        let shown = |links: &Links| stat_entry(dir.as_fd(), c"out", links).map(|stat| stat.kind);
        assert_eq!(shown(&Links::Followed), Ok(FileKind::Dir));
        assert_eq!(shown(&inside(&path)), Err(Errno::EACCES));
        assert_eq!(shown(&inside(Path::new("/"))), Ok(FileKind::Dir));
        fs::remove_dir_all(&path).expect("clean up");
    }

    #[test]
    fn a_directory_of_many_batches_is_read_whole_and_in_order() {
        let path = directory("many");
        let names = || (0..3 * RUN).map(|n| format!("a-rather-long-name-{:06}", n * 7919 % (3 * RUN)));
        for name in names() {
            File::create(path.join(name)).expect("create");
        }
        fs::hard_link(path.join("a-rather-long-name-000000"), path.join(".other")).expect("link");
        let dir = OwnedFd::from(File::open(&path).expect("open"));
        let view = View::default();
        let (mut entries, listing) = (Entries::of(dir, Links::Followed), view.of(b"/", Totals::default()));
        let mut batches = 0;
        while entries.read(&listing, &[]).expect("read") {
            batches += 1;
        }
        assert!(batches > 3 && entries.runs.len() > 2, "{batches} batches");
        assert_eq!((entries.len(), entries.totals.files), (3 * RUN, 3 * RUN));
        let loose = entries.loose.iter().flatten().map(|l| l.name.to_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(loose, [b"a-rather-long-name-000000"], "it has a second name");
        let mut shown = Vec::new();
        while let Some(entry) = entries.next(&listing) {
            shown.push(String::from_utf8_lossy(entry.name).into_owned());
        }
        let mut expected: Vec<_> = names().collect();
        expected.sort();
        assert_eq!(shown, expected);
        fs::remove_dir_all(&path).expect("clean up");
    }
}

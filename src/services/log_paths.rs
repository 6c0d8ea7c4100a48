//! Log files whose paths have variables, kept open by open_log_file_cache: nginx's rules about uses, age and number.
//!
//! What bounds it: each line examines the [`EXPIRED`] least recently used paths, however many there are.

use crate::config::settings::logs::PathCache;
use crate::io::sink::Sink;
use crate::sys::Errno;
use crate::sys::file;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;

/// Maximum number of inactive paths that a line drops (nginx).
const EXPIRED: usize = 2;

/// Open files by their paths.
#[derive(Default)]
pub struct LogPaths {
    entries: HashMap<Rc<Path>, Entry>,
    /// By [`Entry::order`].
    by_use: BTreeMap<u64, Rc<Path>>,
    /// Counts uses, since two may occur in one millisecond.
    clock: u64,
}

struct Entry {
    /// None: not used often enough to be kept open.
    fd: Option<Sink>,
    uses: u32,
    used: u64,
    order: u64,
    /// When the path was last verified to lead to this file.
    checked: u64,
}

impl LogPaths {
    /// Appends a line. `open` opens a path for appending.
    ///
    /// # Errors
    /// The file cannot be opened or written.
    pub fn write(
        &mut self,
        path: &Path,
        line: &[u8],
        cache: Option<PathCache>,
        now: u64,
        open: impl Fn(&Path) -> Result<Sink, Errno>,
    ) -> Result<(), Errno> {
        let Some(cache) = cache else {
            return open(path)?.write(line).map(drop);
        };
        self.clock += 1;
        let order = self.clock;
        self.expire(path, cache.inactive, now);
        if let Some(entry) = self.entries.get_mut(path) {
            entry.uses = entry.uses.saturating_add(1);
            entry.used = now;
            if let Some(path) = self.by_use.remove(&std::mem::replace(&mut entry.order, order)) {
                self.by_use.insert(order, path);
            }
            if let Some(fd) = &entry.fd {
                if now.saturating_sub(entry.checked) < cache.valid || file::is_at(fd.fd(), path) {
                    if now.saturating_sub(entry.checked) >= cache.valid {
                        entry.checked = now;
                    }
                    return fd.write(line).map(drop);
                }
                entry.fd = None;
            }
            let fd = open(path)?;
            fd.write(line)?;
            entry.checked = now;
            entry.fd = (entry.uses >= cache.min_uses).then_some(fd);
            return Ok(());
        }
        let fd = open(path)?;
        fd.write(line)?;
        while self.entries.len() >= cache.max.max(1)
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
        let fd = (cache.min_uses <= 1).then_some(fd);
        let path: Rc<Path> = path.into();
        self.by_use.insert(order, path.clone());
        self.entries.insert(path, Entry { fd, uses: 1, used: now, order, checked: now });
        Ok(())
    }

    /// Drops some that were not used for `inactive` milliseconds, and the one at `path` if it is such.
    fn expire(&mut self, path: &Path, inactive: u64, now: u64) {
        let is_over = |entry: &Entry| now.saturating_sub(entry.used) >= inactive;
        if let Some(order) = self.entries.get(path).filter(|entry| is_over(entry)).map(|entry| entry.order) {
            self.entries.remove(path);
            self.by_use.remove(&order);
        }
        for _ in 0..EXPIRED {
            let Some(oldest) = self.by_use.first_entry() else { break };
            if !self.entries.get(oldest.get()).is_none_or(is_over) {
                break;
            }
            self.entries.remove(&oldest.remove());
        }
    }

    /// Closes all, so that files are opened again.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.by_use.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::open;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_line_looks_at_two_of_many_paths() {
        let scratch = Scratch::new();
        let mut paths = LogPaths::default();
        let cache = PathCache { max: 50, inactive: 1000, min_uses: 3, valid: 60_000 };
        let write = |paths: &mut LogPaths, n: u32, now: u64| {
            let path = scratch.path().join(format!("{n}.log"));
            let open = |path: &Path| open::append(path).map(Sink::new);
            paths.write(&path, b"x\n", Some(cache), now, open).expect("written");
            assert_eq!(paths.entries.len(), paths.by_use.len());
        };
        for n in 0..60 {
            write(&mut paths, n, 0);
        }
        let has = |paths: &LogPaths, n: u32| paths.entries.contains_key(&*scratch.path().join(format!("{n}.log")));
        assert_eq!((paths.entries.len(), has(&paths, 9), has(&paths, 10)), (50, false, true));
        write(&mut paths, 10, 900);
        write(&mut paths, 11, 1000);
        assert_eq!(paths.entries.len(), 48, "11 was over itself, and two more");
        assert!(!has(&paths, 12) && !has(&paths, 13) && has(&paths, 14) && has(&paths, 10));
        for _ in 0..23 {
            write(&mut paths, 10, 1000);
        }
        assert_eq!((paths.entries.len(), has(&paths, 11)), (2, true), "two for each line");
        let entry = |paths: &LogPaths, n: u32| paths.entries[&*scratch.path().join(format!("{n}.log"))].fd.is_some();
        assert!(entry(&paths, 10) && !entry(&paths, 11), "kept open after three uses");
    }
}

//! Log files whose paths have variables, kept open by open_log_file_cache: by nginx's rules about uses, age and number.

use crate::config::settings::logs::PathCache;
use crate::io::sink::Sink;
use crate::sys::Errno;
use crate::sys::file;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Open files by their paths.
#[derive(Default)]
pub struct LogPaths {
    entries: HashMap<PathBuf, Entry>,
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
        self.entries.retain(|_, entry| now.saturating_sub(entry.used) < cache.inactive);
        if let Some(entry) = self.entries.get_mut(path) {
            entry.uses = entry.uses.saturating_add(1);
            entry.used = now;
            entry.order = order;
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
        while self.entries.len() >= cache.max.max(1) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.order).map(|(path, _)| path.clone());
            let Some(oldest) = oldest else { break };
            self.entries.remove(&oldest);
        }
        let fd = (cache.min_uses <= 1).then_some(fd);
        self.entries.insert(path.to_owned(), Entry { fd, uses: 1, used: now, order, checked: now });
        Ok(())
    }

    /// Closes all, so that files are opened again.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

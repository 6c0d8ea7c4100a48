//! A number of files and directories, and the files' size in bytes.

/// Sums saturate: a number too large is full, not an overflow.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    pub bytes: u64,
    pub files: u64,
    /// Directories, which take no bytes here.
    pub dirs: u64,
}

impl Usage {
    /// One file.
    pub const fn file(bytes: u64) -> Usage {
        Usage { bytes, files: 1, dirs: 0 }
    }

    /// That many directories, and no file.
    pub const fn directories(dirs: u64) -> Usage {
        Usage { bytes: 0, files: 0, dirs }
    }

    /// The sum.
    pub fn plus(self, more: Usage) -> Usage {
        Usage {
            bytes: self.bytes.saturating_add(more.bytes),
            files: self.files.saturating_add(more.files),
            dirs: self.dirs.saturating_add(more.dirs),
        }
    }

    /// What is left; never less than 0.
    pub fn minus(self, less: Usage) -> Usage {
        Usage {
            bytes: self.bytes.saturating_sub(less.bytes),
            files: self.files.saturating_sub(less.files),
            dirs: self.dirs.saturating_sub(less.dirs),
        }
    }

    /// For sums that only grow and may wrap around.
    pub fn wrapping_plus(self, more: Usage) -> Usage {
        Usage {
            bytes: self.bytes.wrapping_add(more.bytes),
            files: self.files.wrapping_add(more.files),
            dirs: self.dirs.wrapping_add(more.dirs),
        }
    }
}

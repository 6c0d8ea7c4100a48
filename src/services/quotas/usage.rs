//! A number of files, and their size in bytes.

/// Sums saturate: a number too large is full, not an overflow.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    pub bytes: u64,
    pub files: u64,
}

impl Usage {
    /// The sum.
    pub fn plus(self, more: Usage) -> Usage {
        Usage { bytes: self.bytes.saturating_add(more.bytes), files: self.files.saturating_add(more.files) }
    }

    /// What is left; never less than 0.
    pub fn minus(self, less: Usage) -> Usage {
        Usage { bytes: self.bytes.saturating_sub(less.bytes), files: self.files.saturating_sub(less.files) }
    }

    /// For sums that only grow and may wrap around.
    pub fn wrapping_plus(self, more: Usage) -> Usage {
        Usage { bytes: self.bytes.wrapping_add(more.bytes), files: self.files.wrapping_add(more.files) }
    }
}

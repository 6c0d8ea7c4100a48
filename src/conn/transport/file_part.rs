//! What a transport is given to send of a file.

use std::os::fd::BorrowedFd;

/// Bytes of a file: `wanted` of them at most, from `at` on.
#[derive(Clone, Copy)]
pub struct FilePart<'f> {
    /// The file, open for reading. Its own offset is neither used nor moved.
    pub source: BorrowedFd<'f>,
    /// Offset in the file, bytes.
    pub at: u64,
    /// Bytes.
    pub wanted: usize,
}

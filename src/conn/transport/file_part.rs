//! What a transport is given to send of a file.

use std::os::fd::BorrowedFd;

/// Bytes of a file: `wanted` of them at most, from `at` on.
#[derive(Clone, Copy)]
pub struct FilePart<'f> {
    pub source: BorrowedFd<'f>,
    /// Offset in the file, bytes.
    pub at: u64,
    pub wanted: usize,
}

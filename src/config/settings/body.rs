//! Where a request body is stored if it is read before the response: `client_body_*`.

use std::path::PathBuf;
use std::rc::Rc;

#[derive(Clone, Debug, Default)]
pub struct BodySettings {
    pub in_file_only: InFileOnly,
    /// Accepted without effect: a body in memory is always one buffer.
    pub in_single_buffer: bool,
    pub temp: Rc<TempPath>,
}

/// Whether every body is written to a file, and whether the file outlives the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InFileOnly {
    #[default]
    Off,
    On,
    Clean,
}

/// A directory for temporary files, and the lengths of its levels of subdirectories, which are named by the last digits
/// of a file's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TempPath {
    pub path: PathBuf,
    pub levels: Vec<usize>,
}

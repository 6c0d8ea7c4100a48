//! Where a request body is stored if it is read before the response: `client_body_*`.

use std::path::PathBuf;
use std::rc::Rc;

/// client_body_in_file_only, client_body_temp_path.
#[derive(Clone, Debug, Default)]
pub struct BodySettings {
    /// Whether a small body is in a file, too.
    pub in_file_only: InFileOnly,
    /// Accepted without effect: a body in memory is always one buffer.
    pub in_single_buffer: bool,
    /// Where.
    pub temp: Rc<TempPath>,
}

/// Whether every body is written to a file, and whether the file outlives the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InFileOnly {
    /// Only a body that exceeds client_body_buffer_size is.
    #[default]
    Off,
    /// Every body is, and the file stays.
    On,
    /// Every body is, and the file goes with the request.
    Clean,
}

/// A directory for temporary files, and the lengths of its levels of subdirectories, which are named by the last digits
/// of a file's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TempPath {
    /// Absolute.
    pub path: PathBuf,
    /// Digits of the names of each level's directories.
    pub levels: Vec<usize>,
}

//! Where the body of a request is kept if it is read before the response: `client_body_*`.

use std::path::PathBuf;
use std::rc::Rc;

#[derive(Clone, Debug, Default)]
pub struct Body {
    pub in_file_only: InFileOnly,
    /// Accepted: what is in memory is always one buffer here.
    pub in_single_buffer: bool,
    pub temp: Rc<TempPath>,
}

/// Whether every body goes to a file, and whether the file outlives the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InFileOnly {
    #[default]
    Off,
    On,
    Clean,
}

/// A directory of temporary files, and the lengths of the names of its subdirectories, which are made of a file's
/// last digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TempPath {
    pub path: PathBuf,
    pub levels: Vec<usize>,
}

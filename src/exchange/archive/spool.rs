//! Where an archive may keep what does not fit in memory.

use crate::config::settings::body::TempPath;
use crate::services::descriptors::Descriptors;
use std::rc::Rc;

/// A directory, and whether a file may be opened there.
#[derive(Clone)]
pub struct Spool {
    /// The directory for the temporary file.
    pub temp: Rc<TempPath>,
    /// Whether there are descriptors to spare for it.
    pub descriptors: Descriptors,
}

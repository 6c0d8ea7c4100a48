//! Server-side includes.

use super::charset::TypeSet;
use crate::config::value::Size;

/// ssi and its siblings.
#[derive(Clone, Debug)]
pub struct Ssi {
    /// `ssi`.
    pub on: bool,
    /// Errors are replaced by nothing.
    pub silent_errors: bool,
    /// Last-Modified of the page is kept.
    pub last_modified: bool,
    /// Accepted without effect.
    pub ignore_recycled_buffers: bool,
    /// Accepted without effect.
    pub min_file_chunk: Size,
    /// The longest value of a parameter.
    pub value_length: Size,
    /// ssi_types.
    pub types: TypeSet,
    /// Maximum bytes of a response that `include` stores in a variable.
    pub output_buffer: Size,
}

impl Default for Ssi {
    fn default() -> Ssi {
        Ssi {
            on: false,
            silent_errors: false,
            last_modified: false,
            ignore_recycled_buffers: false,
            min_file_chunk: Size(1024),
            value_length: Size(255),
            types: TypeSet::of(&["text/html"]),
            output_buffer: Size(4096),
        }
    }
}

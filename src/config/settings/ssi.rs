//! Server-side includes.

use super::charset::TypeSet;
use crate::config::value::Size;

#[derive(Clone, Debug)]
pub struct Ssi {
    pub on: bool,
    pub silent_errors: bool,
    pub last_modified: bool,
    pub ignore_recycled_buffers: bool,
    pub min_file_chunk: Size,
    pub value_length: Size,
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

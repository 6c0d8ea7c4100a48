//! Where the configuration comes from.

use crate::config::build::Form;
use std::path::PathBuf;

/// The source of the configuration: given once on the command line, read at each reload.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    /// The main file.
    pub file: PathBuf,
    /// The configuration itself, if it is not in a file (`webserv DIR`); then `file` is the name shown.
    pub text: Option<String>,
    /// The directory that relative paths are resolved against.
    pub prefix: PathBuf,
    /// `-g`.
    pub directives: Option<Vec<u8>>,
    /// `-e`.
    pub error_log: Option<PathBuf>,
    /// Whose command line it was given by.
    pub form: Form,
    /// `argv[0]`, with which messages begin.
    pub program: String,
    /// The path of the executable: an upgrade starts what is there, even if the file was replaced.
    pub executable: PathBuf,
}

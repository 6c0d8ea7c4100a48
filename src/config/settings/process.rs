//! The main context and `events`: how the process runs.

use super::logs::{ErrorLog, default_error_log};
use std::path::PathBuf;

/// The directives of the main context and of `events`.
#[derive(Clone, Debug)]
pub struct Process {
    /// The directory that relative paths are resolved against.
    pub prefix: PathBuf,
    /// The directory of the main configuration file, to which `auth_basic_user_file` is relative.
    pub conf_dir: PathBuf,
    /// `$hostname` in lower case: the machine's name when the configuration was loaded.
    pub hostname: Box<str>,
    /// `daemon`.
    pub daemon: bool,
    /// `master_process`; off: the process keeps the user that started it.
    pub master: bool,
    /// `user`: a name, and a group if one is given.
    pub user: Option<(Box<str>, Option<Box<str>>)>,
    /// None: `pid off`, or it is not set and the command line is webserv's own.
    pub pid: Option<PathBuf>,
    /// error_log of the main context.
    pub error_log: ErrorLog,
    /// worker_rlimit_nofile; None: the limit of the system.
    pub nofile: Option<u64>,
    /// worker_connections; None: as many as descriptors allow.
    pub connections: Option<u32>,
    /// worker_memory_limit in bytes; 0: no limit.
    pub memory_limit: u64,
    /// worker_shutdown_timeout in milliseconds; None: no limit.
    pub shutdown_timeout: Option<u64>,
    /// The paths of `api` locations, in the order of the configuration.
    pub status_paths: Vec<Box<[u8]>>,
    /// drain_delay in milliseconds.
    pub drain_delay: u64,
    /// `env`: noted, but nothing depends on it, since the process keeps its whole environment.
    pub env: Vec<Box<str>>,
    /// Directories for temporary files to create at startup.
    pub temp_paths: Vec<PathBuf>,
}

impl Default for Process {
    fn default() -> Process {
        Process {
            prefix: Default::default(),
            conf_dir: Default::default(),
            hostname: Default::default(),
            daemon: false,
            master: true,
            user: None,
            pid: None,
            error_log: default_error_log(),
            nofile: None,
            connections: None,
            memory_limit: 0,
            shutdown_timeout: None,
            drain_delay: 5_000,
            status_paths: Vec::new(),
            env: Vec::new(),
            temp_paths: Vec::new(),
        }
    }
}

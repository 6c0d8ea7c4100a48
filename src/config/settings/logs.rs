//! Access logs and error logs.

use super::list::List;
use super::syslog::Syslog;
use crate::config::ids::LogFileId;
use crate::config::template::Template;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub struct Logging {
    pub access: List<AccessLog>,
    pub error: ErrorLog,
    pub subrequests: bool,
    /// uninitialized_variable_warn.
    pub uninitialized: bool,
    /// open_log_file_cache.
    pub paths: Option<PathCache>,
}

/// How long log files stay open if their path has variables. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathCache {
    pub max: usize,
    pub inactive: u64,
    pub valid: u64,
    pub min_uses: u32,
}

#[derive(Clone, Debug)]
pub struct AccessLog {
    pub target: AccessTarget,
    pub format: Rc<LogFormat>,
    /// `if=`: the line is omitted if this is empty or "0".
    pub condition: Option<Template>,
    /// `buffer=`: lines are buffered up to this many bytes.
    pub buffer: Option<u64>,
    /// `flush=`: or until the oldest is this many milliseconds old.
    pub flush: Option<u64>,
    /// `gzip`: each buffer is written compressed, at this level.
    pub gzip: Option<u32>,
}

#[derive(Clone, Debug)]
pub enum AccessTarget {
    File(LogFileId),
    /// A path with variables, absolute or starting with one.
    Path(Template),
    Syslog(Rc<Syslog>),
}

#[derive(Debug)]
pub struct LogFormat {
    pub escape: Escape,
    pub line: Template,
    /// nginx's `combined`, which has a specialised writer on the hot path.
    pub combined: bool,
}

/// How unsafe bytes in a log line are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    Default,
    Json,
    None,
}

pub fn default_error_log() -> ErrorLog {
    ErrorLog::plain(LogTarget::Stderr, Level::Error)
}

impl Default for Logging {
    fn default() -> Logging {
        Logging {
            access: List::default(),
            error: default_error_log(),
            subrequests: false,
            uninitialized: true,
            paths: None,
        }
    }
}

/// The destination and minimum severity of error messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorLog {
    pub target: LogTarget,
    pub level: Level,
    pub format: LineFormat,
    /// Maximum lines per second; further ones are only counted. None: no limit.
    pub rate: Option<u32>,
    /// The next error log of the same level.
    pub also: Option<Rc<ErrorLog>>,
}

/// The format of an error log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineFormat {
    /// nginx's format.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl ErrorLog {
    /// In nginx's format, without a rate limit.
    pub fn plain(target: LogTarget, level: Level) -> ErrorLog {
        ErrorLog { target, level, format: LineFormat::Text, rate: None, also: None }
    }

    /// This log and the others of its level.
    pub fn all(&self) -> impl Iterator<Item = &ErrorLog> {
        std::iter::successors(Some(self), |log| log.also.as_deref())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    Off,
    Stderr,
    File(LogFileId),
    Syslog(Rc<Syslog>),
}

/// Severities of the error log, named as in nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Emerg,
    Alert,
    Crit,
    Error,
    Warn,
    Notice,
    Info,
    Debug,
}

impl Level {
    pub const NAMES: [&'static str; 8] = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub fn of(name: &str) -> Option<Level> {
        use Level::*;
        const ALL: [Level; 8] = [Emerg, Alert, Crit, Error, Warn, Notice, Info, Debug];
        ALL.into_iter().find(|level| level.name() == name)
    }
}

/// nginx's predefined format.
pub const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

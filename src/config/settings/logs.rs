//! Access logs and error logs.

use super::list::List;
use super::syslog::Syslog;
use crate::config::ids::LogFileId;
use crate::config::template::Template;
use std::rc::Rc;

/// access_log, error_log and their siblings.
#[derive(Clone, Debug)]
pub struct Logging {
    /// Each access_log; empty: off.
    pub access: List<AccessLog>,
    /// `access_log off` is given at this level: its other lines have no effect, before or after it (nginx).
    pub access_off: bool,
    /// error_log.
    pub error: ErrorLog,
    /// log_subrequest.
    pub subrequests: bool,
    /// uninitialized_variable_warn.
    pub uninitialized: bool,
    /// rewrite_log.
    pub rewrites: bool,
    /// open_log_file_cache.
    pub paths: Option<PathCache>,
}

/// How long log files stay open if their path has variables. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathCache {
    /// Files open at most.
    pub max: usize,
    /// How long an unused one stays open.
    pub inactive: u64,
    /// How long before it is checked that the path still leads to it.
    pub valid: u64,
    /// Uses within `inactive` without which a file is closed.
    pub min_uses: u32,
}

/// One access_log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// Where lines go.
    pub target: AccessTarget,
    /// How they look.
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

/// The destination of an access log.
#[derive(Clone, Debug)]
pub enum AccessTarget {
    /// A file of the configuration.
    File(LogFileId),
    /// A path with variables, absolute or starting with one.
    Path(Template),
    /// A syslog server.
    Syslog(Rc<Syslog>),
}

/// One log_format.
#[derive(Debug)]
pub struct LogFormat {
    /// How values are escaped.
    pub escape: Escape,
    /// The line, without its end.
    pub line: Template,
    /// nginx's `combined`, which has a specialised writer on the hot path.
    pub combined: bool,
}

/// How unsafe bytes in a log line are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// `\xHH` for quotes, backslashes and bytes that are not printable ASCII.
    Default,
    /// As in a JSON string.
    Json,
    /// Not at all.
    None,
}

/// Without an error_log: standard error, from level error on.
pub fn default_error_log() -> ErrorLog {
    ErrorLog::plain(LogTarget::Stderr, Level::Error)
}

impl Default for Logging {
    fn default() -> Logging {
        Logging {
            access: List::default(),
            access_off: false,
            error: default_error_log(),
            subrequests: false,
            uninitialized: true,
            rewrites: false,
            paths: None,
        }
    }
}

/// The destination and minimum severity of error messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorLog {
    /// Where lines go.
    pub target: LogTarget,
    /// Less severe ones are left out.
    pub level: Level,
    /// Text, or JSON.
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

/// The destination of an error log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere: `/dev/null`.
    Off,
    /// Standard error.
    Stderr,
    /// A file of the configuration.
    File(LogFileId),
    /// A syslog server.
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
    /// In the order of the variants.
    pub const NAMES: [&'static str; 8] = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];

    /// As in error_log and in lines of the log.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// None: no level has that name.
    pub fn of(name: &str) -> Option<Level> {
        use Level::*;
        const ALL: [Level; 8] = [Emerg, Alert, Crit, Error, Warn, Notice, Info, Debug];
        ALL.into_iter().find(|level| level.name() == name)
    }
}

/// nginx's predefined format.
pub const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

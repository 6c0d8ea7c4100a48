//! A start that fails says why in the error log, too: an init script, a supervisor or a container may keep nothing of
//! standard error. As a reload that is refused, and as nginx; `-t` writes no file.

use super::failure::Failure;
use super::reload::{self, ConfigSource, Read};
use crate::config::ast::Directive;
use crate::config::build::Form;
use crate::config::ids::LogFileId;
use crate::config::model::{Config, ErrorLog, Level, LogTarget};
use crate::config::settings::logs::LineFormat;
use crate::services::clock::Clock;
use crate::services::logs::Logs;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The configuration has errors: they go to the log that its text names, as far as that can be read.
pub fn note_errors(config_source: &ConfigSource, read: &Read) {
    let Some((path, format)) = named_log(config_source, &read.tree) else { return };
    let log = ErrorLog { format, ..ErrorLog::plain(LogTarget::File(LogFileId(0)), Level::Emerg) };
    // A log that cannot be written is no news beside the errors.
    let Ok(mut logs) = Logs::only(&path) else { return };
    let mut now = Clock::read();
    for text in reload::logged(read) {
        logs.error(&log, Level::Emerg, &mut now, None, format_args!("{text}"));
    }
}

/// As [`note`], where the logs are not open: one of them could not be opened, or they are gone already.
pub(super) fn note_unopened(config: &Config, failure: &Failure) {
    let log = &config.process.error_log;
    let LogTarget::File(id) = log.target else { return };
    let Some(path) = config.log_files.get(id.at()) else { return };
    if let Ok(mut logs) = Logs::only(path) {
        let log = ErrorLog { target: LogTarget::File(LogFileId(0)), also: None, ..log.clone() };
        note(&mut logs, &log, failure);
    }
}

/// Logs why the process does not start. Standard error, where the caller shows the failure, gets no second copy.
pub fn note(logs: &mut Logs, log: &ErrorLog, failure: &Failure) {
    logs.drop_stderr();
    let why = failure.why.lines().next().unwrap_or_default();
    logs.error(log, Level::Emerg, &mut Clock::read(), None, format_args!("{why}"));
}

/// The error log of a configuration that was not taken: the first of its main level, else that of `-e`, else nginx's
/// default under nginx's flags. None: it is not a file.
fn named_log(config_source: &ConfigSource, tree: &[Directive]) -> Option<(PathBuf, LineFormat)> {
    let (path, format) = match tree.iter().find(|d| d.name.is("error_log")) {
        Some(named) => {
            let is_json = named.args.iter().any(|word| word.is("json"));
            let format = if is_json { LineFormat::Json } else { LineFormat::Text };
            (OsStr::from_bytes(named.args.first()?.bytes()), format)
        }
        None => {
            let default = (config_source.form == Form::Nginx).then_some(Path::new("logs/error.log"));
            (config_source.error_log.as_deref().or(default)?.as_os_str(), LineFormat::Text)
        }
    };
    let text = path.as_bytes();
    let is_file = !matches!(text, b"" | b"stderr") && !text.starts_with(b"syslog:") && !text.starts_with(b"memory:");
    is_file.then(|| (config_source.prefix.join(path), format))
}

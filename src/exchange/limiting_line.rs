//! The line of the configuration whose limit a request has exceeded: what the log and the response name.

use super::Exchange;
use crate::config::registry;
use std::fmt;

/// A directive as it is written: `upload_max_file_size 1m`, and its place in the configuration.
#[derive(Default)]
pub struct LimitingLine {
    /// The line without its semicolon; empty: there is no limit.
    pub text: String,
    /// Where it is written.
    pub place: String,
}

impl LimitingLine {
    /// The line that applies here.
    pub fn of(ex: &Exchange, directive: &'static str) -> LimitingLine {
        if let Some(line) = ex.location().settings.limiting.iter().find(|line| line.name == directive) {
            return LimitingLine { text: line.text.to_string(), place: line.place.to_string() };
        }
        let default = registry::rows().find(|row| row.name == directive).map_or("", |row| row.default);
        LimitingLine { text: format!("{directive} {default}"), place: "by default".into() }
    }
}

/// In brackets, for the log; nothing where there is no limit.
impl fmt::Display for LimitingLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.is_empty() {
            true => Ok(()),
            false => write!(f, " (\"{}\", {})", self.text, self.place),
        }
    }
}

//! The line of the configuration whose limit an upload has exceeded.

use super::rules;
use crate::config::registry;
use crate::config::value::Size;
use crate::exchange::Exchange;
use std::fmt;

/// A directive whose limit was exceeded: `upload_max_file_size 1m`, and its place in the configuration.
#[derive(Default)]
pub struct Limit {
    /// The line without its semicolon; empty: there is no limit.
    pub text: String,
    place: String,
}

impl Limit {
    /// The line that applies here.
    pub fn of(ex: &Exchange, directive: &'static str) -> Limit {
        if directive.is_empty() {
            return Limit::default();
        }
        let by_link = ex.route.link.as_ref().map_or(0, |link| link.limits.most);
        if directive == "upload_max_file_size" && by_link > 0 && by_link == rules::largest(ex) {
            let text = format!("the link is for at most {by_link} bytes");
            return Limit { text, place: "by what was signed".into() };
        }
        if let Some(line) = ex.location().settings.limiting.iter().find(|line| line.name == directive) {
            return Limit { text: line.text.to_string(), place: line.place.to_string() };
        }
        let default = registry::rows().find(|row| row.name == directive).map_or("", |row| row.default);
        Limit { text: format!("{directive} {default}"), place: "by default".into() }
    }

    /// The size that it allows.
    pub fn bytes(&self) -> Option<u64> {
        let (name, value) = self.text.split_once(' ')?;
        let is_size = matches!(name, "upload_max_file_size" | "client_max_body_size");
        Size::parse_offset(value.as_bytes()).ok().filter(|_| is_size).map(|size| size.0)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.is_empty() {
            true => Ok(()),
            false => write!(f, " (\"{}\", {})", self.text, self.place),
        }
    }
}

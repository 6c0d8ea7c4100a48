//! The line of the configuration whose limit an upload has exceeded.

use super::rules;
use crate::config::registry;
use crate::exchange::{Exchange, body_limit};
use std::fmt;

/// A directive whose limit was exceeded: `upload_max_file_size 1m`, and its place in the configuration.
#[derive(Default)]
pub struct Limit {
    /// The line without its semicolon; empty: there is no limit.
    pub text: String,
    place: String,
    /// The size that it allows, in bytes; None: it limits something else.
    pub most: Option<u64>,
}

impl Limit {
    /// The line that applies here.
    pub fn of(ex: &Exchange, directive: &'static str) -> Limit {
        if directive.is_empty() {
            return Limit::default();
        }
        let most = match directive {
            "upload_max_file_size" => Some(rules::largest(ex)).filter(|most| *most > 0),
            "client_max_body_size" => body_limit::limit(ex),
            _ => None,
        };
        let by_link = ex.route.link.as_ref().map_or(0, |link| link.limits.most);
        if directive == "upload_max_file_size" && by_link > 0 && most == Some(by_link) {
            let text = format!("the link is for at most {by_link} bytes");
            return Limit { text, place: "by what was signed".into(), most };
        }
        if let Some(line) = ex.location().settings.limiting.iter().find(|line| line.name == directive) {
            return Limit { text: line.text.to_string(), place: line.place.to_string(), most };
        }
        let default = registry::rows().find(|row| row.name == directive).map_or("", |row| row.default);
        Limit { text: format!("{directive} {default}"), place: "by default".into(), most }
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

//! The limit that an upload has exceeded: its line of the configuration, and the size that it allows.

use super::rules;
use crate::exchange::limiting_line::LimitingLine;
use crate::exchange::{Exchange, body_limit};
use std::fmt;

/// A limit that was exceeded.
#[derive(Default)]
pub struct Limit {
    /// Its directive; empty: there is none.
    pub line: LimitingLine,
    /// The size that it allows, in bytes; None: it limits something else.
    pub most: Option<u64>,
}

impl Limit {
    /// The limit that applies here.
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
            return Limit { line: LimitingLine { text, place: "by the signed link".into() }, most };
        }
        Limit { line: LimitingLine::of(ex, directive), most }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line.fmt(f)
    }
}

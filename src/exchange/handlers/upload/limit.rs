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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};
    use crate::http::method::MethodSet;
    use crate::http::signed_link::{Limits, Link};
    use std::rc::Rc;

    #[test]
    fn the_limit_that_was_exceeded_is_named_with_its_size_and_its_place() {
        let mut site = Site::new(
            "",
            "location /file/ { upload_max_file_size 10; } location /body/ { client_max_body_size 20; }
             location /none/ { upload_max_file_size 0; client_max_body_size 0; }",
        );
        let table = [
            ("/file/", "upload_max_file_size", 0, Some(10), "upload_max_file_size 10"),
            ("/file/", "upload_max_file_size", 11, Some(10), "upload_max_file_size 10"),
            ("/file/", "upload_max_file_size", 10, Some(10), "the link is for at most 10 bytes"),
            ("/file/", "upload_max_file_size", 9, Some(9), "the link is for at most 9 bytes"),
            ("/none/", "upload_max_file_size", 0, None, "upload_max_file_size 0"),
            ("/none/", "upload_max_file_size", 9, Some(9), "the link is for at most 9 bytes"),
            ("/body/", "client_max_body_size", 9, Some(20), "client_max_body_size 20"),
            ("/none/", "client_max_body_size", 9, None, "client_max_body_size 0"),
            ("/file/", "upload_min_free", 10, None, "upload_min_free off"),
            ("/file/", "", 9, None, ""),
        ];
        for (uri, directive, most, expected, line) in table {
            let mut ex = site.at(&format!("PUT {uri}f"), &[], INSIDE);
            let limits = Limits { most, ..Limits::default() };
            let link = Link { place: b"/".to_vec(), expires: None, methods: MethodSet::EMPTY, limits };
            ex.route.link = (most > 0).then(|| Rc::new(link));
            let limit = Limit::of(&ex, directive);
            assert_eq!((limit.most, &*limit.line.text), (expected, line), "{uri} {directive} {most}");
        }
    }
}

//! The `$request_id` of a log line, taken only from where the server writes it. Clients choose URL and headers, so an
//! id there proves nothing.

use crate::config::model::Config;
use crate::config::settings::logs::{Escape, LogFormat};
use crate::config::template::{Builtin, Part, Var};
use std::collections::HashSet;
use std::rc::Rc;

/// Length of `$request_id` in hexadecimal digits.
const DIGITS: usize = 32;

/// The log formats that contain the id.
#[derive(Default)]
pub struct Ids(Vec<Rc<LogFormat>>);

impl Ids {
    /// The log formats that have `$request_id`.
    pub fn of(config: &Config) -> Ids {
        let logs = config.locations.iter().flat_map(|location| location.settings.logs.access.iter());
        let mut seen = HashSet::new();
        let has_id = |format: &&Rc<LogFormat>| format.line.parts.iter().any(is_id);
        let formats = logs.map(|log| &log.format).filter(|format| seen.insert(Rc::as_ptr(format))).filter(has_id);
        Ids(formats.cloned().collect())
    }

    /// The id of a line's request; None: there is none, or it is ambiguous.
    pub fn find<'l>(&self, line: &'l str) -> Option<&'l str> {
        // In the error log's text the id follows the server; in its JSON lines and in many access logs it is a member.
        let beginning = if line.starts_with('{') { "\"request_id\":\"" } else { ", request_id: \"" };
        let named = line.match_indices(beginning).filter_map(|(at, name)| {
            let (id, rest) = line.get(at + name.len()..)?.split_at_checked(DIGITS)?;
            (is_hex(id) && rest.starts_with('"')).then_some(id)
        });
        only(named)
            .or_else(|| only(words(line).filter(|at| self.is_at(line, *at)).filter_map(|at| line.get(at..at + DIGITS))))
    }

    /// Whether some format can have the id at this offset.
    fn is_at(&self, line: &str, at: usize) -> bool {
        let (before, after) = (line.as_bytes().get(..at), line.as_bytes().get(at + DIGITS..));
        let (Some(before), Some(after)) = (before, after) else { return false };
        self.0.iter().any(|format| {
            let parts = &format.line.parts;
            let ids = parts.iter().enumerate().filter(|(_, part)| is_id(part)).map(|(at, _)| at);
            let mut sides =
                ids.map(|at| (parts.get(..at).unwrap_or_default(), parts.get(at + 1..).unwrap_or_default()));
            sides.any(|(left, right)| fits(left, before, format.escape) && fits(right, after, format.escape))
        })
    }
}

/// It has the form of a `$request_id`: 32 hexadecimal digits.
pub fn is_hex(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_id(part: &Part) -> bool {
    matches!(part, Part::Var(Var::Builtin(Builtin::RequestId)))
}

/// The id, if all are equal; None: there is none, or two differ.
fn only<'l>(mut ids: impl Iterator<Item = &'l str>) -> Option<&'l str> {
    let first = ids.next()?;
    ids.all(|id| id == first).then_some(first)
}

/// Offsets of words that have the form of an id.
fn words(line: &str) -> impl Iterator<Item = usize> {
    let mut at = 0;
    line.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(move |word| {
        let start = at;
        // A separator may have several bytes (UTF-8).
        at += word.len() + line.get(at + word.len()..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        is_hex(word).then_some(start)
    })
}

/// Whether these parts of a format can have produced the whole text.
fn fits(parts: &[Part], mut text: &[u8], escape: Escape) -> bool {
    let mut parts = parts;
    let mut is_open = false;
    // The last literal must end the text, however often it occurs before.
    if let Some((Part::Literal(last), rest)) = parts.split_last()
        && !rest.is_empty()
    {
        let Some(before) = text.strip_suffix(&**last) else { return false };
        (parts, text) = (rest, before);
    }
    for part in parts {
        let Part::Literal(literal) = part else {
            is_open = true;
            continue;
        };
        let at = if is_open { memchr::memmem::find(text, literal) } else { text.starts_with(literal).then_some(0) };
        let Some(at) = at.filter(|at| text.get(..*at).is_some_and(|value| may_be(value, escape))) else { return false };
        text = text.get(at + literal.len()..).unwrap_or_default();
        is_open = false;
    }
    if is_open { may_be(text, escape) } else { text.is_empty() }
}

/// Whether a value can look like this: quotes in it would be escaped.
fn may_be(value: &[u8], escape: Escape) -> bool {
    match escape {
        Escape::Default => !value.contains(&b'"'),
        Escape::Json => {
            memchr::memchr_iter(b'"', value).all(|at| at.checked_sub(1).is_some_and(|at| value[at] == b'\\'))
        }
        Escape::None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::Template;

    const ONE: &str = "188f971907a6422799c9ed366495ea85";
    const TWO: &str = "0123456789abcdef0123456789abcdef";

    fn ids(parts: &[&str], escape: Escape) -> Ids {
        let part = |text: &&str| match *text {
            "$id" => Part::Var(Var::Builtin(Builtin::RequestId)),
            "$" => Part::Var(Var::Builtin(Builtin::Request)),
            text => Part::Literal(text.as_bytes().into()),
        };
        let line = Template { parts: parts.iter().map(part).collect() };
        Ids(vec![Rc::new(LogFormat { escape, line, combined: false })])
    }

    #[test]
    fn an_id_is_read_where_the_server_writes_it() {
        let quoted = ids(&["$", " \"", "$", "\" id=", "$id", " \"", "$", "\""], Escape::Default);
        let bare = ids(&["$", " ", "$id"], Escape::Default);
        let json = ids(&["{\"u\":\"", "$", "\",\"r\":\"", "$id", "\"}"], Escape::Json);
        let none = Ids::default();
        for (ids, line, expected) in [
            (&quoted, format!("::1 \"GET /\" id={ONE} \"ua\""), Some(ONE)),
            (&quoted, format!("::1 \"GET /{TWO} id={TWO} x\" id={ONE} \"a id={TWO} b\""), Some(ONE)),
            (&quoted, format!("::1 \"GET /{ONE}\" id=- \"ua\""), None),
            // The error log's lines have another form.
            (&quoted, format!("::1 \"GET /{ONE}\" 200"), None),
            (&bare, format!("GET /{TWO} {ONE}"), Some(ONE)),
            (&json, format!("{{\"u\":\"/ä {TWO}\\\",\\\"r\\\":\\\"{TWO}\\\"}}\",\"r\":\"{ONE}\"}}"), Some(ONE)),
            (&none, format!("{{\"url\":\"/{TWO}\",\"request_id\":\"{ONE}\"}}"), Some(ONE)),
            (&none, format!("{{\"url\":\"\\\"request_id\\\":\\\"{TWO}\\\"\",\"request_id\":\"{ONE}\"}}"), Some(ONE)),
            (
                &none,
                format!("2026/11/28 [error] x, client: ::1, server: a, request_id: \"{ONE}\", request: \"{TWO}\""),
                Some(ONE),
            ),
            // A file name is logged unescaped, so of two ids neither is trusted.
            (&none, format!("x, request_id: \"{TWO}\" y, server: a, request_id: \"{ONE}\", request: \"\""), None),
            (&none, format!("::1 \"GET /{ONE}?request_id={ONE}\" 200"), None),
        ] {
            assert_eq!(ids.find(&line), expected, "{line}");
        }
    }
}

//! Header fields of responses, and other settings of responses as a whole.

use super::list::List;
use crate::config::template::Template;
use crate::config::value::Millis;
use crate::http::cond::ImsMode;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub struct Output {
    pub headers: List<AddHeader>,
    pub expires: Option<Rc<Expires>>,
    pub etag: bool,
    pub if_modified_since: ImsMode,
    /// None: no limit.
    pub max_ranges: Option<u32>,
    pub server_tokens: Tokens,
    pub chunked: bool,
    pub absolute_redirect: bool,
    pub port_in_redirect: bool,
    pub server_name_in_redirect: bool,
    pub trailers: List<AddHeader>,
    pub headers_inherit: Inherit,
    pub trailers_inherit: Inherit,
    pub msie_refresh: bool,
    /// If one of these is true, an upstream's 103 is passed on.
    pub early_hints: List<Template>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddHeader {
    pub name: Box<[u8]>,
    pub value: Template,
    /// On every status, not only on those nginx lists.
    pub always: bool,
}

/// Whether add_header lines of the outer level apply, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherit {
    On,
    Off,
    Merge,
}

/// What the Server header and error pages say about the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    On,
    Off,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expires {
    Epoch,
    Max,
    /// Seconds from the request.
    Access(i64),
    /// Seconds from the file's modification.
    Modified(i64),
    /// Seconds of the day, local time.
    Daily(i64),
    /// Evaluated for each request.
    Value(Template),
}

impl Default for Output {
    fn default() -> Output {
        Output {
            headers: List::default(),
            expires: None,
            etag: true,
            if_modified_since: ImsMode::Exact,
            max_ranges: None,
            server_tokens: Tokens::On,
            chunked: true,
            absolute_redirect: true,
            port_in_redirect: true,
            server_name_in_redirect: false,
            trailers: List::default(),
            headers_inherit: Inherit::On,
            trailers_inherit: Inherit::On,
            msie_refresh: false,
            early_hints: List::default(),
        }
    }
}

/// The value of `expires` without variables; None for `off`.
pub fn parse_expires(words: &[&[u8]]) -> Option<Option<Expires>> {
    let seconds = |text: &[u8]| -> Option<i64> {
        let (sign, text) = match text.strip_prefix(b"-") {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix(b"+").unwrap_or(text)),
        };
        Millis::parse_seconds(text).ok().map(|ms| sign * (ms.0 / 1000) as i64)
    };
    Some(Some(match words {
        [b"off"] => return Some(None),
        [b"epoch"] => Expires::Epoch,
        [b"max"] => Expires::Max,
        [b"modified", time] => Expires::Modified(seconds(time)?),
        [time] => match time.strip_prefix(b"@") {
            Some(daily) => Expires::Daily(seconds(daily).filter(|s| (0..=86_400).contains(s))?),
            None => Expires::Access(seconds(time)?),
        },
        _ => return None,
    }))
}

//! The options of a Connection field: the fields that they name concern this connection alone, and are not passed on
//! (RFC 9110 §7.6.1).

use crate::http::field_syntax::list;
use crate::http::header::HeaderId;
use std::cmp::Ordering;

/// Sorted once: comparing a thousand fields with thousands of options would take milliseconds.
#[derive(Default)]
pub struct ConnectionOptions<'a>(Vec<&'a [u8]>);

impl<'a> ConnectionOptions<'a> {
    /// `values`: of the Connection fields of a head.
    pub fn of(values: impl Iterator<Item = &'a [u8]>) -> ConnectionOptions<'a> {
        let mut options: Vec<&[u8]> = values.flat_map(list).collect();
        options.sort_unstable_by(|a, b| ignoring_case(a, b));
        ConnectionOptions(options)
    }

    /// Whether an option is the name of that field.
    pub fn name(&self, field: &[u8]) -> bool {
        self.0.binary_search_by(|option| ignoring_case(option, field)).is_ok()
    }

    /// Whether a field of an upstream's response is not passed on because its Connection field names it. Fields that
    /// describe the content are passed on all the same: without them it would be taken for something else. Upgrade is
    /// handled on its own.
    pub fn withhold(&self, id: HeaderId, field: &[u8]) -> bool {
        let is_of_content = matches!(
            id,
            HeaderId::ContentType
                | HeaderId::ContentEncoding
                | HeaderId::ContentRange
                | HeaderId::CacheControl
                | HeaderId::SetCookie
                | HeaderId::Upgrade
        );
        !is_of_content && self.name(field)
    }
}

fn ignoring_case(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_fields_in_any_case_and_order() {
        let values: [&[u8]; 3] = [b"X-Hop, close", b"keep-alive,,a , Content-Type", b""];
        let options = ConnectionOptions::of(values.into_iter());
        for (name, expected) in [("x-hop", true), ("X-HOP", true), ("A", true), ("x-ho", false), ("x-hop2", false)] {
            assert_eq!(options.name(name.as_bytes()), expected, "{name}");
            assert_eq!(options.withhold(HeaderId::Other, name.as_bytes()), expected, "{name}");
        }
        assert!(options.name(b"content-type") && !options.withhold(HeaderId::ContentType, b"Content-Type"));
        assert!(!ConnectionOptions::of(std::iter::empty()).name(b""));
    }
}

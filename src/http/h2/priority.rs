//! Priorities: RFC 9218's `priority` field and PRIORITY_UPDATE, and the signals of RFC 7540 §5.3 that RFC 9113 has
//! deprecated. Of the old ones only parent and weight are kept, two numbers a stream: there is no tree that a client
//! could make deep, wide or circular.

use crate::http::structured::{self, Item};

/// How soon a stream's bytes should be sent, and whether parts of it are of use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Priority {
    /// 0 (first) to 7 (RFC 9218 §4.1).
    pub urgency: u8,
    /// Shares the bandwidth with others of its urgency instead of one after another (§4.2).
    pub incremental: bool,
}

impl Default for Priority {
    fn default() -> Priority {
        Priority { urgency: 3, incremental: false }
    }
}

impl Priority {
    /// The field's value; what is malformed or out of range counts as absent (RFC 9218 §4).
    pub fn parse(value: &[u8]) -> Priority {
        let mut priority = Priority::default();
        // What browsers say, without taking it apart.
        match value {
            [b'u', b'=', digit @ b'0'..=b'7', rest @ ..] if matches!(rest, b"" | b", i") => {
                return Priority { urgency: digit - b'0', incremental: !rest.is_empty() };
            }
            b"i" => return Priority { incremental: true, ..priority },
            _ => {}
        }
        for (key, item) in structured::dictionary(value).unwrap_or_default() {
            match (key, item) {
                (b"u", Item::Integer(urgency @ 0..=7)) => priority.urgency = urgency as u8,
                (b"i", Item::Boolean(incremental)) => priority.incremental = incremental,
                _ => {}
            }
        }
        priority
    }
}

/// A dependency of RFC 7540 §5.3.1.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Dependency {
    /// The stream it depends on; 0 is none.
    pub parent: u32,
    /// 1 to 256, less one.
    pub weight: u8,
}

impl Dependency {
    /// The default (RFC 7540 §5.3.5).
    pub const DEFAULT: Dependency = Dependency { parent: 0, weight: 15 };

    /// The five bytes of a PRIORITY frame or of HEADERS. The exclusive flag means nothing without a tree.
    pub fn parse(&[a, b, c, d, weight]: &[u8; 5]) -> Dependency {
        Dependency { parent: u32::from_be_bytes([a & 0x7f, b, c, d]), weight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_read_and_what_is_wrong_counts_as_not_said() {
        let table = [
            ("", 3, false),
            ("u=0", 0, false),
            ("u=7, i", 7, true),
            ("i", 3, true),
            ("i=?0, u=5", 5, false),
            ("u=1;x=2,i=?1", 1, true),
            ("u=8", 3, false),
            ("u=-1, i", 3, true),
            ("u=\"1\", i=1", 3, false),
            ("u=1, =", 3, false),
            ("u=2,,", 3, false),
            ("x=1, u=2", 2, false),
        ];
        for (value, urgency, incremental) in table {
            assert_eq!(Priority::parse(value.as_bytes()), Priority { urgency, incremental }, "{value}");
        }
    }

    #[test]
    fn a_dependency_keeps_its_parent_and_its_weight() {
        assert_eq!(Dependency::parse(&[0x80, 0, 0, 3, 255]), Dependency { parent: 3, weight: 255 });
    }
}

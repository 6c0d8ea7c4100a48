//! The page's order: by which column, and in which direction; from the query, and into links.
//!
//! Invariant: a total order (the bytes of the names break ties), directories first in either direction.

use super::kind::{Entry, Kind};
use crate::util::natural_order;
use std::cmp::Ordering;

/// The column to sort by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    #[default]
    Name,
    Size,
    Time,
}

/// The direction of the page's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Ascending,
    /// Directories come first all the same.
    Descending,
}

/// `?sort=name|size|time&order=asc|desc`; by name, ascending, unless the query has known values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    pub key: Key,
    pub order: Order,
}

impl Sort {
    /// Reads the raw query; unknown arguments and values are ignored.
    pub fn from_query(query: &[u8]) -> Sort {
        let mut sort = Sort::default();
        for argument in query.split(|&byte| byte == b'&') {
            match argument {
                b"sort=name" => sort.key = Key::Name,
                b"sort=size" => sort.key = Key::Size,
                b"sort=time" => sort.key = Key::Time,
                b"order=asc" => sort.order = Order::Ascending,
                b"order=desc" => sort.order = Order::Descending,
                _ => {}
            }
        }
        sort
    }

    /// Directories first, then the key, then the name.
    pub fn compare(self, a: &Entry<'_>, b: &Entry<'_>) -> Ordering {
        let dirs_first = (a.kind != Kind::Dir).cmp(&(b.kind != Kind::Dir));
        dirs_first.then_with(|| {
            let by_key = match self.key {
                Key::Name => Ordering::Equal,
                // A directory's own size means nothing to readers.
                Key::Size if a.kind == Kind::Dir => Ordering::Equal,
                Key::Size => a.size.cmp(&b.size),
                Key::Time => a.mtime.cmp(&b.mtime),
            };
            let ordering = by_key.then_with(|| natural_order::compare(a.name, b.name));
            match self.order {
                Order::Ascending => ordering,
                Order::Descending => ordering.reverse(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_names_column_and_direction() {
        let table: &[(&str, &[u8], Key, Order)] = &[
            ("nothing", b"", Key::Name, Order::Ascending),
            ("both", b"sort=size&order=desc", Key::Size, Order::Descending),
            ("other order, other arguments", b"x=1&order=desc&sort=time", Key::Time, Order::Descending),
            ("unknown values", b"sort=colour&order=sideways", Key::Name, Order::Ascending),
        ];
        for (name, query, key, order) in table {
            assert_eq!(Sort::from_query(query), Sort { key: *key, order: *order }, "{name}");
        }
    }

    #[test]
    fn directories_stay_first_and_numbers_count() {
        let entry = |name: &'static str, kind, size, mtime| Entry { name: name.as_bytes(), kind, size, mtime };
        let entries = [
            entry("b10.txt", Kind::File, 1, 30),
            entry("B9.txt", Kind::File, 3, 20),
            entry("a.txt", Kind::File, 2, 10),
            entry("zoo", Kind::Dir, 9, 5),
            entry("Apes", Kind::Dir, 1, 6),
            entry("b09.txt", Kind::File, 3, 20),
        ];
        let table: &[(&str, &str)] = &[
            ("sort=name", "Apes zoo a.txt B9.txt b09.txt b10.txt"),
            ("sort=name&order=desc", "zoo Apes b10.txt b09.txt B9.txt a.txt"),
            ("sort=size", "Apes zoo b10.txt a.txt B9.txt b09.txt"),
            ("sort=time&order=desc", "Apes zoo b10.txt b09.txt B9.txt a.txt"),
        ];
        for (query, expected) in table {
            let sort = Sort::from_query(query.as_bytes());
            let mut sorted = entries;
            sorted.sort_by(|a, b| sort.compare(a, b));
            let names: Vec<_> = sorted.iter().map(|entry| String::from_utf8_lossy(entry.name)).collect();
            assert_eq!(names.join(" "), *expected, "{query}");
        }
    }
}

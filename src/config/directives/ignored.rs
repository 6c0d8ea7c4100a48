//! Directives of stock nginx that are ignored.

use crate::config::context::Known;

/// The rows of this name: one for each of nginx's modules that has it.
pub fn find(name: &str) -> impl Iterator<Item = &'static Known> {
    ROWS.iter().filter(move |row| row.name == name)
}

/// All rows, sorted by name.
pub const ROWS: &[Known] = &[];

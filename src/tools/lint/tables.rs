//! The values that a `map` or `geo` gives its variable, as far as they are fixed, and which of them meet a condition of
//! `if`. A level keeps its tables: each is read once, however many conditions ask for it.

use super::assigned;
use super::blocks::Condition;
use crate::config::ast::{Directive, Word};
use crate::util::hash::{FastMap, FastSet};
use std::cell::OnceCell;

/// Whether a value meets a condition that compares as text; None: it is a regex or a file test.
pub fn meets(condition: &Condition, value: &str) -> Option<bool> {
    match condition.operand {
        None => Some(is_true(value)),
        Some(_) => condition.equality().map(|is_equal| (value == condition.text) == is_equal),
    }
}

fn is_true(value: &str) -> bool {
    !value.is_empty() && value != "0"
}

/// A `map` or `geo` whose values conditions compare.
pub struct Table<'a> {
    pub directive: &'a Directive,
    values: OnceCell<Option<FixedValues>>,
}

/// The values of a table, each once: those of its lines, and the one for what no line names.
#[derive(Default)]
pub struct FixedValues {
    /// As they are written.
    pub in_order: Vec<String>,
    known: FastSet<String>,
    /// How many of them are true.
    true_ones: usize,
}

impl FixedValues {
    /// None: not all are fixed.
    pub fn of(table: &Directive) -> Option<FixedValues> {
        if table.block.iter().flatten().any(|line| line.name.is("include")) {
            return None;
        }
        let mut found = FixedValues::default();
        for (_, value) in assigned::lines(table) {
            found.add(&value.str())?;
        }
        if !assigned::lines(table).any(|(key, _)| key.is("default")) {
            found.add("")?;
        }
        Some(found)
    }

    fn add(&mut self, value: &str) -> Option<()> {
        if value.contains('$') {
            return None;
        }
        if self.known.insert(value.to_owned()) {
            self.in_order.push(value.to_owned());
            self.true_ones += usize::from(is_true(value));
        }
        Some(())
    }

    pub fn count(&self) -> usize {
        self.in_order.len()
    }

    /// How many values meet a condition; None: it is a regex or a file test.
    pub fn meeting(&self, condition: &Condition) -> Option<usize> {
        let equal = usize::from(self.known.contains(&condition.text));
        match condition.operand {
            None => Some(self.true_ones),
            Some(_) => condition.equality().map(|is_equal| if is_equal { equal } else { self.count() - equal }),
        }
    }
}

impl<'a> Table<'a> {
    /// The tables of a level by their variable, in lower case; None: two define it.
    pub fn of_level(all: &'a [Directive]) -> FastMap<Vec<u8>, Option<Table<'a>>> {
        let mut found = FastMap::default();
        for directive in all.iter().filter(|d| d.name.is("map") || d.name.is("geo")) {
            let Some(name) = directive.args.last().map(Word::lower) else { continue };
            let table = || Some(Table { directive, values: OnceCell::new() });
            found.entry(name).and_modify(|other| *other = None).or_insert_with(table);
        }
        found
    }

    pub fn values(&self) -> Option<&FixedValues> {
        self.values.get_or_init(|| FixedValues::of(self.directive)).as_ref()
    }
}

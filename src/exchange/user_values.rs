//! The values that a request's variables of the configuration have: one by one, and whole runs of `set` lines.
//!
//! Invariant: a variable has the value that was given last, whichever way. To give a run of `set` lines costs the same
//! whatever its length; to look a variable up costs no more than [`MOST`] look-ups.

use crate::config::script::FixedValues;
use crate::util::text::Text;
use std::rc::Rc;

/// Runs that are kept beside each other; the values of others are given one by one.
const MOST: usize = 8;

/// The values of one request.
#[derive(Default)]
pub struct UserValues {
    /// By the number of the variable.
    own: Vec<Option<AssignedValue>>,
    /// The oldest first.
    runs: Vec<Rc<FixedValues>>,
}

#[derive(Clone)]
struct AssignedValue {
    text: Text,
    /// How many of the runs were there already.
    after: usize,
}

impl UserValues {
    /// `variable`: its number in the configuration. None: it was never set.
    pub fn get(&self, variable: u32) -> Option<&[u8]> {
        let own = self.own.get(variable as usize).and_then(Option::as_ref);
        let later = self.runs.get(own.map_or(0, |own| own.after)..).unwrap_or_default();
        let text = later.iter().rev().find_map(|run| run.get(&variable)).or(own.map(|own| &own.text));
        text.map(Text::bytes)
    }

    /// No variable has a value. (True is certain, false is not.)
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.runs.is_empty()
    }

    /// A variable has a value that was computed for this request; those of runs are the configuration's.
    pub fn has_computed(&self) -> bool {
        self.own.iter().any(Option::is_some)
    }

    /// Gives a variable a value of its own, which counts more than all runs so far.
    pub fn set(&mut self, variable: u32, text: Text) {
        let at = variable as usize;
        if self.own.len() <= at {
            // Lines set one variable after the other: making room for each would cost more than the value.
            let room = self.own.len() * 2;
            self.own.resize(room.max(at + 1), None);
        }
        self.own[at] = Some(AssignedValue { text, after: self.runs.len() });
    }

    /// Gives all values of a run.
    pub fn set_all(&mut self, run: &Rc<FixedValues>) {
        if self.runs.len() < MOST {
            return self.runs.push(run.clone());
        }
        for (variable, text) in run.iter() {
            self.set(*variable, text.clone());
        }
    }

    /// Takes the values away that were given one by one to variables which `is_meant` knows by their numbers.
    pub fn take_away(&mut self, is_meant: impl Fn(usize) -> bool) {
        for (_, value) in self.own.iter_mut().enumerate().filter(|(at, _)| is_meant(*at)) {
            *value = None;
        }
    }

    /// No variable has a value; memory is kept.
    pub fn clear(&mut self) {
        self.own.clear();
        self.runs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: &[(u32, &str)]) -> Rc<FixedValues> {
        Rc::new(values.iter().map(|(variable, text)| (*variable, Text::new(text.as_bytes()))).collect())
    }

    #[test]
    fn the_value_that_was_given_last_holds_however_it_was_given() {
        let mut values = UserValues::default();
        assert_eq!(values.get(0), None);
        values.set(1, Text::new(b"own"));
        values.set_all(&run(&[(0, "first"), (1, "first")]));
        assert_eq!((values.get(0), values.get(1), values.get(2)), (Some(&b"first"[..]), Some(&b"first"[..]), None));
        values.set(1, Text::new(b"later"));
        assert_eq!((values.get(0), values.get(1)), (Some(&b"first"[..]), Some(&b"later"[..])));
        // More runs than are kept beside each other.
        for number in 0..2 * MOST {
            let text = number.to_string();
            values.set_all(&run(&[(0, &text), (number as u32 + 2, "own")]));
            assert_eq!(values.get(0), Some(text.as_bytes()));
        }
        assert_eq!((values.get(1), values.get(3)), (Some(&b"later"[..]), Some(&b"own"[..])));
        values.take_away(|at| at == 1);
        assert_eq!(values.get(1), Some(&b"first"[..]));
        values.clear();
        assert_eq!((values.get(0), values.get(3)), (None, None));
    }
}

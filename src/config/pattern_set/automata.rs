//! Which of many patterns match a subject, in one pass: automata whose states are made as subjects lead to them. For patterns
//! that no text of their own tells from the others.
//!
//! Invariants: what a group says of its patterns is what each would say alone, or it says that it does not know. A search
//! makes automata of [`LATER`] atoms at most, and the states of each take no more than [`STATES`] bytes.

use super::super::pattern::{Case, Pattern, linear_nfa};
use crate::util::checkpoint;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Input, MatchKind, PatternSet};
use std::cell::RefCell;

/// Patterns of one automaton, and what they are made of when written out: what making it costs.
const MEMBERS: usize = 256;
const ATOMS: usize = 8_000;
/// A pattern of more is no member.
const LARGEST: usize = 1_000;
/// Automata of a list of more are made while the configuration is loaded, which has pauses: making them takes about a
/// microsecond an atom. Those of shorter lists wait for the first search, which many lists never see.
const LATER: usize = 2_000;
/// Memory of the states of one automaton.
const STATES: usize = 1 << 20;
/// How often states are forgotten for want of memory before it is asked whether they are worth it, and the bytes of subjects
/// for each state that make them so.
const FORGOTTEN: usize = 3;
const BYTES_PER_STATE: usize = 10;
/// Searches that try patterns one by one after states were not worth it.
const REST: u32 = 1_000;

#[derive(Debug, Default)]
pub struct Automata {
    groups: Box<[Group]>,
}

#[derive(Debug)]
struct Group {
    /// Positions in the list, in the order of the automaton's patterns.
    members: Box<[u32]>,
    automaton: RefCell<Automaton>,
}

#[derive(Debug)]
enum Automaton {
    /// Not made yet, from these.
    Sources(Vec<(Box<[u8]>, Case)>),
    Made(Box<Made>),
    /// It would be too large.
    Refused,
}

#[derive(Debug)]
struct Made {
    dfa: DFA,
    cache: Cache,
    found: PatternSet,
    rest: u32,
}

impl Automata {
    /// Whether a pattern can be a member.
    pub fn takes(pattern: &Pattern) -> bool {
        pattern.atoms().is_some_and(|atoms| atoms <= LARGEST)
    }

    /// Over patterns that can be members, and their positions in the list.
    pub fn new<'p>(patterns: impl Iterator<Item = (u32, &'p Pattern)>) -> Automata {
        let mut groups = Vec::new();
        let (mut members, mut sources, mut atoms, mut total) = (Vec::new(), Vec::new(), 0, 0);
        let mut close = |members: &mut Vec<u32>, sources: &mut Vec<_>| {
            let automaton = RefCell::new(Automaton::Sources(std::mem::take(sources)));
            groups.push(Group { members: std::mem::take(members).into(), automaton });
        };
        for (at, pattern) in patterns {
            checkpoint::pass();
            let more = pattern.atoms().unwrap_or(LARGEST);
            if members.len() >= MEMBERS || atoms + more > ATOMS {
                close(&mut members, &mut sources);
                atoms = 0;
            }
            members.push(at);
            sources.push((pattern.bytes().into(), pattern.case()));
            atoms += more;
            total += more;
        }
        if !members.is_empty() {
            close(&mut members, &mut sources);
        }
        if total > LATER {
            for group in &mut groups {
                group.automaton.get_mut().made();
                checkpoint::pass_costly();
            }
        }
        Automata { groups: groups.into() }
    }

    /// Calls with the position of each pattern that matches the subject, or that may do so, and whether it is known to.
    pub fn each(&self, subject: &[u8], mut found: impl FnMut(u32, bool)) {
        // PCRE2's `$` also matches before a line break that ends the subject.
        let is_for_pcre2 = subject.last() == Some(&b'\n');
        for group in &self.groups {
            let mut automaton = group.automaton.borrow_mut();
            let made = if is_for_pcre2 { None } else { automaton.made() };
            match made.and_then(|made| made.search(subject)) {
                Some(matching) => matching.iter().for_each(|at| found(group.members[at.as_usize()], true)),
                None => group.members.iter().for_each(|at| found(*at, false)),
            }
        }
    }
}

impl Automaton {
    /// Made now if it has not been. None: it would be too large.
    fn made(&mut self) -> Option<&mut Made> {
        if let Automaton::Sources(sources) = self {
            *self = make(std::mem::take(sources));
        }
        match self {
            Automaton::Made(made) => Some(made),
            _ => None,
        }
    }
}

impl Made {
    /// The patterns that match; None: that is not known.
    fn search(&mut self, subject: &[u8]) -> Option<&PatternSet> {
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        self.found.clear();
        let searched = self.dfa.try_which_overlapping_matches(&mut self.cache, &Input::new(subject), &mut self.found);
        if searched.is_err() {
            self.rest = REST;
            self.dfa.reset_cache(&mut self.cache);
            return None;
        }
        Some(&self.found)
    }
}

fn make(sources: Vec<(Box<[u8]>, Case)>) -> Automaton {
    let made = || {
        let nfa = linear_nfa(sources.iter().map(|(source, case)| (&source[..], *case)))?;
        let config = DFA::config().match_kind(MatchKind::All).cache_capacity(STATES).skip_cache_capacity_check(true);
        let config = config.minimum_cache_clear_count(Some(FORGOTTEN)).minimum_bytes_per_state(Some(BYTES_PER_STATE));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        Some(Made { cache: dfa.create_cache(), dfa, found: PatternSet::new(sources.len()), rest: 0 })
    };
    made().map_or(Automaton::Refused, |made| Automaton::Made(Box::new(made)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::Variables;

    /// Of a list of `count` patterns: its groups, and how many of them have no automaton before the first search.
    fn put_off(count: usize) -> (usize, usize) {
        let mut vars = Variables::default();
        let source = b"^/[0-9]{4}[a-z]{4}$";
        let patterns: Vec<_> =
            (0..count).map(|_| Pattern::new(source, Case::Sensitive, &mut vars).expect("valid")).collect();
        let automata = Automata::new((0..).zip(&patterns));
        let left = automata.groups.iter().filter(|group| matches!(*group.automaton.borrow(), Automaton::Sources(_)));
        (automata.groups.len(), left.count())
    }

    #[test]
    fn the_first_search_of_a_long_list_makes_no_automata() {
        assert_eq!(put_off(10), (1, 1));
        assert_eq!(put_off(1_000).1, 0);
        assert!(put_off(1_000).0 > 1);
    }
}

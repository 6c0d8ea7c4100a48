//! Which of many patterns match a subject, in one pass: automata whose states are made as subjects lead to them. For patterns
//! that no text of their own tells from the others.
//!
//! Invariants: what a group says of its patterns is what each would say alone, or it says that it does not know. A search
//! makes automata of [`LATER`] atoms at most, and the states of each take no more than [`STATES`] bytes, the marks of what
//! matches in them no more than four times that.

use super::super::pattern::{Case, Pattern, linear_nfa};
use crate::util::checkpoint;
use crate::util::hash::FastMap;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Input, MatchKind};
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
    /// Positions in the list, in the order of the automaton's patterns; they ascend.
    members: Box<[u32]>,
    all: Marks,
    automaton: RefCell<Automaton>,
}

/// Patterns of the list as bits: words by their number, with the bits that are set in them.
type Marks = Box<[(u32, u64)]>;

/// The marks of these positions, which ascend.
fn marks(positions: impl Iterator<Item = u32>) -> Marks {
    let mut marks: Vec<(u32, u64)> = Vec::new();
    for at in positions {
        let (word, bit) = (at / 64, 1 << (at % 64));
        match marks.last_mut().filter(|(last, _)| *last == word) {
            Some((_, bits)) => *bits |= bit,
            None => marks.push((word, bit)),
        }
    }
    marks.into()
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
    /// The patterns of states in which some match: to name them one by one costs each of them once.
    matching: FastMap<LazyStateID, Marks>,
    /// How often the cache was cleared when these states were met.
    clears: usize,
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
            let members = std::mem::take(members);
            let all = marks(members.iter().copied());
            groups.push(Group { members: members.into(), all, automaton });
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

    /// Calls with a word of marks of patterns that match the subject, or that may do so, and whether they are known to.
    pub fn each(&self, subject: &[u8], mut found: impl FnMut(u32, u64, bool)) {
        // PCRE2's `$` also matches before a line break that ends the subject.
        let is_for_pcre2 = subject.last() == Some(&b'\n');
        for group in &self.groups {
            let mut automaton = group.automaton.borrow_mut();
            let made = if is_for_pcre2 { None } else { automaton.made() };
            let searched =
                made.and_then(|made| made.search(&group.members, subject, |word, bits| found(word, bits, true)));
            if searched.is_none() {
                group.all.iter().for_each(|(word, bits)| found(*word, *bits, false));
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
    /// Calls with the marks of patterns that match; `members` are the positions of all of them. None: which others match is
    /// not known.
    fn search(&mut self, members: &[u32], subject: &[u8], found: impl FnMut(u32, u64)) -> Option<()> {
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        self.cache.search_start(0);
        let searched = self.walk(members, subject, found);
        if searched.is_none() {
            self.rest = REST;
            self.dfa.reset_cache(&mut self.cache);
            self.matching.clear();
        }
        searched
    }

    fn walk(&mut self, members: &[u32], subject: &[u8], mut found: impl FnMut(u32, u64)) -> Option<()> {
        let mut state = self.dfa.start_state_forward(&mut self.cache, &Input::new(subject)).ok()?;
        let mut read = 0;
        for byte in subject {
            state = self.dfa.next_state(&mut self.cache, state, *byte).ok()?;
            read += 1;
            self.cache.search_update(read);
            if state.is_tagged() {
                if state.is_match() {
                    self.marks_of(state, members).iter().for_each(|(word, bits)| found(*word, *bits));
                } else if state.is_dead() {
                    break;
                } else if !state.is_start() {
                    return None;
                }
            }
        }
        self.cache.search_finish(read);
        // What a pattern matches ends one step before the state that says so.
        state = self.dfa.next_eoi_state(&mut self.cache, state).ok()?;
        if state.is_match() {
            self.marks_of(state, members).iter().for_each(|(word, bits)| found(*word, *bits));
        }
        Some(())
    }

    fn marks_of(&mut self, state: LazyStateID, members: &[u32]) -> &Marks {
        if self.clears != self.cache.clear_count() {
            self.clears = self.cache.clear_count();
            self.matching.clear();
        }
        let (dfa, cache) = (&self.dfa, &self.cache);
        self.matching.entry(state).or_insert_with(|| {
            let patterns = (0..dfa.match_len(cache, state)).map(|at| dfa.match_pattern(cache, state, at).as_usize());
            let mut positions: Vec<u32> = patterns.filter_map(|at| members.get(at).copied()).collect();
            positions.sort_unstable();
            marks(positions.into_iter())
        })
    }
}

fn make(sources: Vec<(Box<[u8]>, Case)>) -> Automaton {
    let made = || {
        let nfa = linear_nfa(sources.iter().map(|(source, case)| (&source[..], *case)))?;
        let config = DFA::config().match_kind(MatchKind::All).cache_capacity(STATES).skip_cache_capacity_check(true);
        let config = config.minimum_cache_clear_count(Some(FORGOTTEN)).minimum_bytes_per_state(Some(BYTES_PER_STATE));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        Some(Made { cache: dfa.create_cache(), dfa, matching: FastMap::default(), clears: 0, rest: 0 })
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

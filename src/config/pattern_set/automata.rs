//! Finds in one pass which of many patterns match: lazy DFAs, whose states are built on demand. For patterns without a
//! distinctive text.
//!
//! Invariants: what a group reports about its patterns equals what each would report alone, or it reports that it does
//! not know. A search builds automata of at most [`LATER`] atoms; the states of each take at most [`STATES`] bytes, the
//! marks of matching states at most four times as much.

use super::super::pattern::{Case, Effort, Pattern, linear_nfa};
use crate::util::checkpoint;
use crate::util::hash::FastMap;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Input, MatchKind};
use std::cell::RefCell;

/// Maximum number of patterns per automaton, and of their atoms: these determine what building it costs.
const MEMBERS: usize = 256;
const ATOMS: usize = 8_000;
/// Larger patterns cannot be members.
const LARGEST: usize = 1_000;
/// Automata of larger lists are built while the configuration is loaded, which has checkpoints: building takes about a
/// microsecond per atom. Those of smaller lists are built at the first search, which many lists never see; at a later
/// one where the first one's request has built too much already.
const LATER: usize = 2_000;
/// Memory limit for the states of one automaton. Filling it twice, as a search that is given up does, takes some
/// milliseconds.
const STATES: usize = 1 << 19;
/// How often the state cache is cleared before its use is evaluated, and the bytes of subject per state that make it
/// worthwhile.
const FORGOTTEN: usize = 1;
const BYTES_PER_STATE: usize = 10;
/// Number of searches that try patterns one by one after the cache was not worthwhile.
const REST: u32 = 1_000;

/// The patterns in groups, each an automaton.
#[derive(Debug, Default)]
pub struct Automata {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    /// Positions in the list, ascending, in the order of the automaton's patterns.
    members: Box<[u32]>,
    all: Marks,
    /// The atoms of its patterns.
    atoms: usize,
    automaton: RefCell<Automaton>,
}

/// A sparse bit set of patterns: (word index, bits).
type Marks = Box<[(u32, u64)]>;

/// The marks of ascending positions.
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
    /// Not built yet.
    Sources(Vec<(Box<[u8]>, Case)>),
    Made(Box<Made>),
    /// Too large to build.
    Refused,
}

#[derive(Debug)]
struct Made {
    dfa: DFA,
    cache: Cache,
    /// Marks by matching state: computing them costs a step per pattern, so they are cached.
    matching: FastMap<LazyStateID, Marks>,
    /// The cache's clear count when `matching` was filled.
    clears: usize,
    rest: u32,
}

impl Automata {
    /// Whether a pattern can be a member of an automaton.
    pub fn takes(pattern: &Pattern) -> bool {
        pattern.atoms().is_some_and(|atoms| atoms <= LARGEST)
    }

    /// Groups patterns that can be members; each with its position in the list.
    pub fn new<'p>(patterns: impl Iterator<Item = (u32, &'p Pattern)>) -> Automata {
        let mut groups = Vec::new();
        let (mut members, mut sources, mut atoms, mut total) = (Vec::new(), Vec::new(), 0, 0);
        let mut close = |members: &mut Vec<u32>, sources: &mut Vec<_>, atoms: usize| {
            let automaton = RefCell::new(Automaton::Sources(std::mem::take(sources)));
            let members = std::mem::take(members);
            let all = marks(members.iter().copied());
            groups.push(Group { members: members.into(), all, atoms, automaton });
        };
        for (at, pattern) in patterns {
            checkpoint::pass();
            let more = pattern.atoms().unwrap_or(LARGEST);
            if members.len() >= MEMBERS || atoms + more > ATOMS {
                close(&mut members, &mut sources, atoms);
                atoms = 0;
            }
            members.push(at);
            sources.push((pattern.bytes().into(), pattern.case()));
            atoms += more;
            total += more;
        }
        if !members.is_empty() {
            close(&mut members, &mut sources, atoms);
        }
        if total > LATER {
            for group in &mut groups {
                group.automaton.get_mut().made();
                checkpoint::pass_costly();
            }
        }
        Automata { groups }
    }

    /// Frees a group: each may take megabytes, in thousands of parts. False: there is none.
    pub fn free_some(&mut self) -> bool {
        self.groups.pop().is_some()
    }

    /// How many times the subject is read.
    pub fn count(&self) -> usize {
        self.groups.len()
    }

    /// Reports words of marks of patterns that match or may match, and whether they certainly do.
    pub fn each(&self, subject: &[u8], effort: &mut Effort, mut found: impl FnMut(u32, u64, bool)) {
        // PCRE2's `$` also matches before a final newline, so these subjects are left to it.
        let mut is_left = subject.last() == Some(&b'\n');
        for group in &self.groups {
            let mut automaton = group.automaton.borrow_mut();
            let may_be_made = |effort: &mut Effort| match *automaton {
                Automaton::Sources(_) => effort.may_build(1, group.atoms),
                Automaton::Made(_) | Automaton::Refused => true,
            };
            let made = if is_left || !may_be_made(effort) { None } else { automaton.made() };
            let searched = made.and_then(|made| {
                let searched = made.search(&group.members, subject, |word, bits| found(word, bits, true));
                // Where one has just built states in vain, the others would, too: that takes milliseconds for each.
                is_left = made.rest == REST;
                searched
            });
            if searched.is_none() {
                group.all.iter().for_each(|(word, bits)| found(*word, *bits, false));
            }
        }
    }
}

impl Automaton {
    /// Builds the automaton if necessary. None: it is too large.
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
    /// Reports the marks of matching patterns; `members` are their positions. None: the search was given up, and which
    /// others match is unknown.
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
        // Matches are reported one step late, so the end of input is one more step.
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
    use crate::util::seed::Seed;

    /// For a list of `count` patterns: the number of groups, and of those without an automaton before the first search.
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
    fn of_a_list_one_automaton_builds_states_in_vain_for_a_subject() {
        let mut vars = Variables::default();
        let of = |n: usize| format!("a.{{0,100}}b.{{0,100}}[c-d][{}-9]$", n % 10);
        let patterns: Vec<_> =
            (0..60).map(|n| Pattern::new(of(n).as_bytes(), Case::Sensitive, &mut vars).expect("valid")).collect();
        let automata = Automata::new((0..).zip(&patterns));
        let resting = || {
            let rest = |group: &Group| match &*group.automaton.borrow() {
                Automaton::Made(made) => made.rest,
                _ => 0,
            };
            automata.groups.iter().map(rest).collect::<Vec<_>>()
        };
        let mut reported = 0;
        automata.each(&Seed::new(1).text(b"ab", 8_000), &mut Effort::default(), |_, bits, is_known| {
            reported += if is_known { 0 } else { bits.count_ones() };
        });
        assert_eq!((reported, resting()), (60, vec![REST, 0]));
        automata.each(b"a b c9", &mut Effort::default(), |_, _, _| ());
        assert_eq!(resting(), [REST - 1, 0]);
    }

    #[test]
    fn the_first_search_of_a_long_list_makes_no_automata() {
        assert_eq!(put_off(10), (1, 1));
        assert_eq!(put_off(1_000).1, 0);
        assert!(put_off(1_000).0 > 1);
    }

    /// Thirty maps of fifty patterns were built in one step by the first request that asked them all.
    #[test]
    fn the_automata_of_several_lists_are_built_by_several_requests() {
        let mut vars = Variables::default();
        let source = b"^/[0-9]{4}[a-z]{4}$";
        let patterns: Vec<_> =
            (0..50).map(|_| Pattern::new(source, Case::Sensitive, &mut vars).expect("valid")).collect();
        let lists: Vec<_> = (0..30).map(|_| Automata::new((0..).zip(&patterns))).collect();
        let built = || {
            let is_made = |list: &&Automata| matches!(*list.groups[0].automaton.borrow(), Automaton::Made(_));
            lists.iter().filter(is_made).count()
        };
        let (mut before, mut requests) = (0, 0);
        while before < lists.len() {
            let mut effort = Effort::default();
            for list in &lists {
                let (mut may, mut must) = (0, 0);
                list.each(b"/1234abcd", &mut effort, |_, bits, is_known| {
                    *if is_known { &mut must } else { &mut may } += bits.count_ones();
                });
                assert_eq!(may + must, 50);
            }
            assert!((1..15).contains(&(built() - before)), "{} of {before}", built());
            (before, requests) = (built(), requests + 1);
        }
        assert!(requests > 2, "{requests}");
    }
}

//! Searches for a plain pattern of many states in a long subject: by a lazy DFA that gives up where it would build a
//! state for nearly every byte. The linear-time engine would then look at each state for each byte: seconds.

use regex_automata::Input;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson::NFA;

/// Memory for the states of one search; filling it takes two to four milliseconds.
const MEMORY: usize = 256 << 10;
/// The bytes of subject per state that make building states worthwhile.
const BYTES_PER_STATE: usize = 10;

/// The automaton of a pattern; its states are built again for each search.
#[derive(Debug)]
pub struct Wary(DFA);

impl Wary {
    /// None: it would be too large.
    pub fn new(nfa: NFA) -> Option<Wary> {
        let config = DFA::config().cache_capacity(MEMORY).skip_cache_capacity_check(true);
        let config = config.minimum_cache_clear_count(Some(0)).minimum_bytes_per_state(Some(BYTES_PER_STATE));
        DFA::builder().configure(config).build_from_nfa(nfa).ok().map(Wary)
    }

    /// Whether the pattern matches.
    pub fn is_match(&self, subject: &[u8]) -> Searched {
        let mut cache = self.0.create_cache();
        let found = self.0.try_search_fwd(&mut cache, &Input::new(subject).earliest(true));
        let found = found.ok().map(|found| found.is_some());
        let percent = u32::try_from(100 * cache.memory_usage() / MEMORY).unwrap_or(100).min(100);
        Searched { share: if found.is_none() { 100 } else { percent }, found }
    }
}

/// What came of a search.
pub struct Searched {
    /// Whether the pattern matches. None: the search was given up.
    pub found: Option<bool>,
    /// Share of its memory that the states built so far take, in percent.
    pub share: u32,
}

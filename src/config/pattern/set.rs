//! Many patterns tried in one pass over the subject.

use super::{Failed, Pattern, limits, plain};
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Input, PatternSet as Found};

#[derive(Debug)]
pub struct PatternSet {
    set: Regex,
    /// Position in the list of each member of `set`.
    members: Vec<u32>,
    /// Positions of those that are PCRE2's.
    others: Vec<u32>,
    /// Some member has a `$`: subjects that end with a line break are tried one by one.
    dollar: bool,
    len: usize,
}

impl PatternSet {
    /// A set over the patterns in their order, or None where one pass would not pay.
    pub fn new(patterns: &[&Pattern]) -> Option<PatternSet> {
        const WORTH: usize = 4;
        let (mut trees, mut members, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut dollar = false;
        for (at, pattern) in patterns.iter().enumerate() {
            match plain::hir(&pattern.source, pattern.case).filter(|_| pattern.plain) {
                Some(hir) => {
                    dollar |= pattern.dollar;
                    trees.push(hir);
                    members.push(at as u32);
                }
                None => others.push(at as u32),
            }
        }
        if members.len() < WORTH {
            return None;
        }
        let limits = limits().nfa_size_limit(Some(64 << 20)).which_captures(WhichCaptures::None);
        let set = Regex::builder().configure(limits).build_many_from_hir(&trees).ok()?;
        Some(PatternSet { set, members, others, dollar, len: patterns.len() })
    }

    /// The position of the first pattern, in configuration order, that matches. `pattern` gives those of the level.
    ///
    /// # Errors
    /// Whether a pattern before that matches could not be found out.
    pub fn first<'p>(&self, subject: &[u8], pattern: impl Fn(usize) -> &'p Pattern) -> Result<Option<usize>, Failed> {
        if self.dollar && subject.last() == Some(&b'\n') {
            for at in 0..self.len {
                if pattern(at).is_match(subject)? {
                    return Ok(Some(at));
                }
            }
            return Ok(None);
        }
        let mut found = Found::new(self.members.len());
        self.set.which_overlapping_matches(&Input::new(subject), &mut found);
        let linear = found.iter().next().map(|member| self.members[member.as_usize()]);
        let before = linear.unwrap_or(u32::MAX);
        for &at in self.others.iter().take_while(|at| **at < before) {
            if pattern(at as usize).is_match(subject)? {
                return Ok(Some(at as usize));
            }
        }
        Ok(linear.map(|at| at as usize))
    }
}

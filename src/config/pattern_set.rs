//! Lists of patterns: one pass over the subject finds the required texts ([`literals`](super::pattern::literals)), and
//! only patterns whose text occurs are tried, in order. Patterns without a distinctive text are searched for together
//! by [`Automata`]. So the cost depends on what is found, not on the length of the list; only PCRE2's patterns without
//! a required text are always tried.
//!
//! Invariant: the result is the same as when trying one pattern after the other.

mod automata;
mod texts;

use super::pattern::literals::Choice;
use super::pattern::{Effort, Failed, Matched, Pattern};
use crate::util::checkpoint;
use crate::util::hash::FastMap;
use automata::Automata;
use std::ops::Range;
use texts::Texts;

/// Shorter lists are tried one pattern at a time.
const MIN_PATTERNS: usize = 4;
/// Fewer patterns without a distinctive text are tried one at a time.
const AUTOMATA_WORTH: usize = 8;
/// A text required by more patterns is not distinctive.
const SHARED: u32 = 8;
/// What finds the patterns of a list that may match.
#[derive(Debug)]
pub struct PatternSet {
    /// Required texts, with the positions of their patterns in the list.
    texts: Option<Texts>,
    automata: Automata,
    /// A bit set of the patterns that are always tried.
    always: Box<[u64]>,
}

/// What a search of the list looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchMode {
    /// The first pattern that matches.
    Match,
    /// The first pattern that does not match: for every other pattern it must be known that it matches.
    Mismatch,
}

impl PatternSet {
    /// Builds a set over the patterns in order. None: it would not pay.
    pub fn new<'p>(
        patterns: impl ExactSizeIterator<Item = &'p Pattern> + Clone,
        wanted: MatchMode,
    ) -> Option<PatternSet> {
        if patterns.len() < MIN_PATTERNS {
            return None;
        }
        // Prefer texts that few patterns require.
        let mut needed: FastMap<&[u8], u32> = FastMap::default();
        // Reserve capacity: growing a large map would be one long step.
        needed.reserve(patterns.clone().map(|pattern| pattern.choices.iter().map(Vec::len).sum::<usize>()).sum());
        for pattern in patterns.clone() {
            checkpoint::pass();
            for text in pattern.choices.iter().flatten() {
                *needed.entry(text).or_default() += 1;
            }
        }
        let rarity = |choice: &Choice| choice.iter().map(|text| needed.get(&text[..]).copied().unwrap_or(0)).max();
        let mut always = vec![0; patterns.len().div_ceil(64)];
        let mut texts: Vec<(&[u8], u32)> = Vec::new();
        let mut alike = Vec::new();
        for (at, pattern) in patterns.enumerate() {
            checkpoint::pass();
            // Among equally rare choices, the one with the longest texts comes first.
            let choice =
                pattern.choices.iter().min_by_key(|choice| rarity(choice)).filter(|_| wanted == MatchMode::Match);
            let is_own = choice.is_some_and(|choice| rarity(choice) <= Some(SHARED));
            if !is_own && Automata::takes(pattern) {
                alike.push((at as u32, pattern, choice));
            } else if let Some(choice) = choice {
                texts.extend(choice.iter().map(|text| (&text[..], at as u32)));
            } else {
                always[at / 64] |= 1 << (at % 64);
            }
        }
        if alike.len() < AUTOMATA_WORTH {
            for (at, _, choice) in alike.drain(..) {
                match choice {
                    Some(choice) => texts.extend(choice.iter().map(|text| (&text[..], at))),
                    None => always[at as usize / 64] |= 1 << (at % 64),
                }
            }
        }
        if texts.is_empty() && alike.is_empty() {
            return None;
        }
        checkpoint::pass_costly();
        let automata = Automata::new(alike.into_iter().map(|(at, pattern, _)| (at, pattern)));
        let texts = (!texts.is_empty()).then(|| Texts::new(texts.iter().copied()));
        checkpoint::pass_costly();
        Some(PatternSet { texts, automata, always: always.into() })
    }

    /// Frees a part of a set that is no longer used. False: what is left is small.
    pub fn free_some(&mut self) -> bool {
        self.automata.free_some() || self.texts.take().is_some()
    }

    /// The patterns that may match the subject.
    pub fn candidates(&self, subject: &[u8], effort: &mut Effort) -> Candidates {
        let (may, must) = (Bits::of(&self.always), Bits::none(self.always.len()));
        let mut found = Candidates { may, must };
        let passes = usize::from(self.texts.is_some()) + self.automata.count();
        if !effort.reads(subject.len(), passes) {
            // Nothing is left: the first pattern that is asked for says so.
            found.may.words_mut().fill(u64::MAX);
            return found;
        }
        if let Some(texts) = &self.texts {
            let may = found.may.words_mut();
            texts.each(subject, |at| may[at as usize / 64] |= 1 << (at % 64));
        }
        let (may, must) = (found.may.words_mut(), found.must.words_mut());
        self.automata.each(subject, effort, |word, bits, is_known| {
            may[word as usize] |= bits;
            if is_known {
                must[word as usize] |= bits;
            }
        });
        found
    }
}

/// The position of a pattern that matched, and what it captured if it has groups.
pub type Found = (usize, Option<Matched>);

/// Which patterns of a set may match a subject, and which certainly do.
#[derive(Debug)]
pub struct Candidates {
    may: Bits,
    must: Bits,
}

impl Candidates {
    /// The first of these patterns that matches the subject for which these candidates were computed: none is matched
    /// twice.
    ///
    /// # Errors
    /// Matching an earlier pattern failed; with its position.
    pub fn first<'p>(
        &self,
        within: Range<usize>,
        subject: &[u8],
        effort: &mut Effort,
        pattern: impl Fn(usize) -> Option<&'p Pattern>,
    ) -> Result<Option<Found>, (usize, Failed)> {
        let mut from = within.start;
        while let Some(at) = self.may.at_or_after(from, 0).filter(|at| *at < within.end) {
            from = at + 1;
            let Some(pattern) = pattern(at) else { continue };
            if !pattern.captures() && self.must.holds(at) {
                return Ok(Some((at, None)));
            }
            let matched = pattern.try_match(subject, effort).map_err(|failed| (at, failed))?;
            if let Some(matched) = matched {
                return Ok(Some((at, matched)));
            }
        }
        Ok(None)
    }

    /// The position of the first of these patterns that does not match the subject.
    ///
    /// # Errors
    /// Matching an earlier pattern failed; with its position.
    pub fn first_mismatch<'p>(
        &self,
        within: Range<usize>,
        subject: &[u8],
        effort: &mut Effort,
        pattern: impl Fn(usize) -> Option<&'p Pattern>,
    ) -> Result<Option<usize>, (usize, Failed)> {
        let mut from = within.start;
        while let Some(at) = self.must.at_or_after(from, u64::MAX).filter(|at| *at < within.end) {
            let is_match = self.may.holds(at)
                && match pattern(at) {
                    Some(pattern) => pattern.is_match_within(subject, effort).map_err(|failed| (at, failed))?,
                    None => true,
                };
            if !is_match {
                return Ok(Some(at));
            }
            from = at + 1;
        }
        Ok(None)
    }
}

/// A bit set over the patterns.
#[derive(Debug)]
struct Bits {
    /// For lists of up to 512 patterns; longer ones use `many`.
    few: [u64; 8],
    many: Vec<u64>,
}

impl Bits {
    fn of(words: &[u64]) -> Bits {
        let mut few = [0; 8];
        match few.get_mut(..words.len()) {
            Some(few_words) => {
                few_words.copy_from_slice(words);
                Bits { few, many: Vec::new() }
            }
            None => Bits { few, many: words.to_vec() },
        }
    }

    fn none(words: usize) -> Bits {
        Bits { few: [0; 8], many: if words > 8 { vec![0; words] } else { Vec::new() } }
    }

    fn words(&self) -> &[u64] {
        if self.many.is_empty() { &self.few } else { &self.many }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        if self.many.is_empty() { &mut self.few } else { &mut self.many }
    }

    fn holds(&self, at: usize) -> bool {
        self.words().get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// The first set bit at or after `from`, after XOR with `mask`: 0, or all ones to find a clear bit.
    fn at_or_after(&self, from: usize, mask: u64) -> Option<usize> {
        let words = self.words();
        let mut word = from / 64;
        let mut left = (words.get(word)? ^ mask) & (u64::MAX << (from % 64));
        while left == 0 {
            word += 1;
            left = *words.get(word)? ^ mask;
        }
        Some(word * 64 + left.trailing_zeros() as usize)
    }
}

/// The first pattern of a list that matches, with its captures if it has groups; `set` covers the whole list.
///
/// # Errors
/// Matching an earlier pattern failed.
pub fn first<'p, T>(
    set: Option<&PatternSet>,
    list: &'p [(impl std::borrow::Borrow<Pattern> + 'p, T)],
    subject: &[u8],
    effort: &mut Effort,
) -> Result<Option<Found>, Failed> {
    if let Some(set) = set {
        let pattern = |at: usize| list.get(at).map(|(pattern, _)| pattern.borrow());
        let candidates = set.candidates(subject, effort);
        return candidates.first(0..list.len(), subject, effort, pattern).map_err(|(_, failed)| failed);
    }
    for (at, (pattern, _)) in list.iter().enumerate() {
        if let Some(matched) = pattern.borrow().try_match(subject, effort)? {
            return Ok(Some((at, matched)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pattern::Case;
    use crate::config::template::Variables;
    use crate::util::seed::Seed;

    /// A list of a pattern for each number, and its set.
    fn numbered(numbers: Range<u32>, text: impl Fn(u32) -> String) -> (Vec<(Pattern, ())>, PatternSet) {
        let mut vars = Variables::default();
        let pattern = |n| (Pattern::new(text(n).as_bytes(), Case::Sensitive, &mut vars).expect("valid"), ());
        let patterns: Vec<_> = numbers.map(pattern).collect();
        let set = PatternSet::new(patterns.iter().map(|(pattern, ())| pattern), MatchMode::Match).expect("it pays");
        (patterns, set)
    }

    /// Each of these looked at hundreds of states for each byte: sixty took two seconds.
    #[test]
    fn a_list_of_patterns_of_many_states_ends_the_search() {
        let (patterns, set) = numbered(10..70, |n| format!("a.{{0,90}}b.{{0,90}}c{n}"));
        let texts: String = (10..70).map(|n| format!("c{n}")).collect();
        let subject = [texts.as_bytes(), &Seed::new(1).text(b"ab", 8_000)].concat();
        for set in [Some(&set), None] {
            let search = |subject: &[u8]| {
                first(set, &patterns, subject, &mut Effort::default()).map(|found| found.map(|(at, _)| at))
            };
            assert!(search(&subject).is_err());
            // A short subject, or one without such combinations, is searched whole.
            assert_eq!(search(&subject[..200]), Ok(None));
            assert_eq!(search(texts.repeat(40).as_bytes()), Ok(None));
            assert_eq!(search(&[&[b'.'; 8_000][..], b"a.b.", texts.as_bytes()].concat()), Ok(Some(0)));
        }
    }

    #[test]
    fn a_subject_with_the_texts_of_a_thousand_patterns_ends_the_search() {
        let (patterns, set) = numbered(1000..2100, |n| format!("b[a-z]+{n}[0-9]+x"));
        let texts: String = (1000..2100).map(|n| format!("{n} ")).collect();
        patterns.iter().for_each(|(pattern, ())| pattern.prepare());
        let search = |subject: &str| first(Some(&set), &patterns, subject.as_bytes(), &mut Effort::default());
        assert_eq!(search(&texts).expect("a whole search").map(|(at, _)| at), None);
        assert_eq!(search(&format!("{texts} bot20995x")).expect("a whole search").map(|(at, _)| at), Some(1099));
        let long = texts.repeat(2);
        assert!(search(&long).expect_err("too long").to_string().contains("too many patterns"));
        // What is found early is found.
        assert_eq!(search(&format!("{long} bot10005x")).expect("the first").map(|(at, _)| at), Some(0));
    }

    /// The first request that named the texts of hundreds of patterns waited until all their engines were built: 40 ms.
    #[test]
    fn one_request_builds_few_engines_and_finds_the_same() {
        let (patterns, set) = numbered(1000..1200, |n| format!("b[a-z]+{n}([0-9]+)x"));
        let subject: String = (1000..1200).map(|n| format!("{n} ")).collect::<String>() + "bot11995x";
        let built = || patterns.iter().filter(|(pattern, ())| pattern.is_built()).count();
        let (mut before, mut requests) = (0, 0);
        while before < patterns.len() {
            let found = first(Some(&set), &patterns, subject.as_bytes(), &mut Effort::default());
            let groups = found.expect("a whole search").map(|(at, matched)| (at, matched.map(|found| found.groups[1])));
            let end = subject.len() as u32 - 1;
            assert_eq!(groups, Some((199, Some(Some((end - 1, end))))));
            assert!((1..=100).contains(&(built() - before)), "{} of {before}", built());
            (before, requests) = (built(), requests + 1);
        }
        assert!(requests >= 2, "{requests}");
    }

    /// Each list of a request could cost as much as one is allowed to.
    #[test]
    fn several_lists_of_one_request_share_its_effort() {
        let (patterns, set) = numbered(1000..1600, |n| format!("b[a-z]+{n}[0-9]+x"));
        patterns.iter().for_each(|(pattern, ())| pattern.prepare());
        let subject = (1000..1600).map(|n| format!("{n} ")).collect::<String>().repeat(3);
        let search =
            |effort: &mut Effort| first(Some(&set), &patterns, subject.as_bytes(), effort).map(|found| found.is_some());
        let mut effort = Effort::default();
        assert_eq!(search(&mut effort), Ok(false));
        assert!(search(&mut effort).expect_err("too much together").to_string().contains("too many patterns"));
        assert_eq!(search(&mut Effort::default()), Ok(false), "another request");
    }

    /// Ten lists of bad bots with 480 names each took the first request 38 ms.
    #[test]
    fn large_patterns_are_built_while_loading_and_small_ones_at_their_first_use() {
        let mut vars = Variables::default();
        let names: String = (0..300).map(|n| format!("bad{n}bot|")).collect();
        let mut is_built =
            |source: &str| Pattern::new(source.as_bytes(), Case::Insensitive, &mut vars).expect("valid").is_built();
        assert!((0..10).all(|n| is_built(&format!("{names}bot{n}"))));
        assert!(is_built("a.{0,90}b"), "PCRE2 might take long");
        assert!(!is_built("^/old/([a-z]+)$"));
        // Thousands of large ones would make loading slow.
        vars.built = u32::MAX / 2;
        let pattern = Pattern::new(names.as_bytes(), Case::Sensitive, &mut vars).expect("valid");
        assert!(!pattern.is_built());
    }
}

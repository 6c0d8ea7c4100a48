//! Lists of patterns: one pass over the subject finds the texts that patterns cannot match without ([`literals`](super::pattern::literals)), and
//! only patterns whose text is there are tried, in their order. What a list costs grows with what it finds, not with its
//! length; patterns without such a text, and PCRE2's own, are always tried.
//!
//! Invariant: the answer is that of trying one pattern after the other.

mod texts;

use super::pattern::literals::Choice;
use super::pattern::{Failed, Matched, Pattern};
use crate::util::checkpoint;
use crate::util::hash::FastMap;
use std::ops::Range;
use texts::Texts;

/// Shorter lists are tried one by one.
const WORTH: usize = 4;

#[derive(Debug)]
pub struct PatternSet {
    /// Those that patterns cannot match without, with the patterns' positions in the list.
    texts: Texts,
    /// One bit for each pattern that is always tried.
    always: Box<[u64]>,
}

impl PatternSet {
    /// A set over the patterns in their order, or None where one pass would not pay.
    pub fn new<'p>(patterns: impl ExactSizeIterator<Item = &'p Pattern> + Clone) -> Option<PatternSet> {
        if patterns.len() < WORTH {
            return None;
        }
        // A text that many patterns need says little of each.
        let mut needed: FastMap<&[u8], u32> = FastMap::default();
        // Reserved: to grow a large map is one long step.
        needed.reserve(patterns.clone().map(|pattern| pattern.choices.iter().map(Vec::len).sum::<usize>()).sum());
        for pattern in patterns.clone() {
            checkpoint::pass();
            for text in pattern.choices.iter().flatten() {
                *needed.entry(text).or_default() += 1;
            }
        }
        let rarity = |choice: &&Choice| choice.iter().map(|text| needed.get(&text[..]).copied().unwrap_or(0)).max();
        let mut always = vec![0; patterns.len().div_ceil(64)];
        let mut texts: Vec<(&[u8], u32)> = Vec::new();
        for (at, pattern) in patterns.enumerate() {
            checkpoint::pass();
            // Of several that are as rare, the longest is the first.
            match pattern.choices.iter().min_by_key(rarity) {
                Some(choice) => texts.extend(choice.iter().map(|text| (&text[..], at as u32))),
                None => always[at / 64] |= 1 << (at % 64),
            }
        }
        if texts.is_empty() {
            return None;
        }
        checkpoint::pass_costly();
        let texts = Texts::new(texts.iter().copied());
        checkpoint::pass_costly();
        Some(PatternSet { texts, always: always.into() })
    }

    /// The patterns that may match the subject.
    pub fn candidates(&self, subject: &[u8]) -> Candidates {
        let mut found = Candidates::of(&self.always);
        let bits = found.bits();
        self.texts.each(subject, |at| bits[at as usize / 64] |= 1 << (at % 64));
        found
    }
}

/// Patterns of a set, one bit each.
#[derive(Debug)]
pub struct Candidates {
    /// For lists of up to 512; longer ones have theirs in `many`.
    few: [u64; 8],
    many: Vec<u64>,
}

impl Candidates {
    fn of(bits: &[u64]) -> Candidates {
        let mut few = [0; 8];
        match few.get_mut(..bits.len()) {
            Some(few_bits) => {
                few_bits.copy_from_slice(bits);
                Candidates { few, many: Vec::new() }
            }
            None => Candidates { few, many: bits.to_vec() },
        }
    }

    fn bits(&mut self) -> &mut [u64] {
        if self.many.is_empty() { &mut self.few } else { &mut self.many }
    }

    /// The first candidate at or after `from`.
    fn at_or_after(&self, from: usize) -> Option<usize> {
        let bits = if self.many.is_empty() { &self.few[..] } else { &self.many };
        let mut word = from / 64;
        let mut left = bits.get(word)? & (u64::MAX << (from % 64));
        while left == 0 {
            word += 1;
            left = *bits.get(word)?;
        }
        Some(word * 64 + left.trailing_zeros() as usize)
    }

    /// The position of the first of these patterns that matches the subject these are candidates for.
    ///
    /// # Errors
    /// Whether a pattern before that matches could not be found out: where it is.
    pub fn first<'p>(
        &self,
        within: Range<usize>,
        subject: &[u8],
        pattern: impl Fn(usize) -> Option<&'p Pattern>,
    ) -> Result<Option<usize>, (usize, Failed)> {
        let mut from = within.start;
        while let Some(at) = self.at_or_after(from).filter(|at| *at < within.end) {
            if let Some(pattern) = pattern(at)
                && pattern.is_match(subject).map_err(|failed| (at, failed))?
            {
                return Ok(Some(at));
            }
            from = at + 1;
        }
        Ok(None)
    }
}

/// The first pattern of a list that matches, and what it captured if it has groups; `set` is over the whole list.
///
/// # Errors
/// Whether a pattern before that matches could not be found out.
pub fn first<'p, T>(
    set: Option<&PatternSet>,
    list: &'p [(impl std::borrow::Borrow<Pattern> + 'p, T)],
    subject: &[u8],
) -> Result<Option<(usize, Option<Matched>)>, Failed> {
    let found = match set {
        Some(set) => {
            let pattern = |at: usize| list.get(at).map(|(pattern, _)| pattern.borrow());
            set.candidates(subject).first(0..list.len(), subject, pattern).map_err(|(_, failed)| failed)?
        }
        None => {
            for (at, (pattern, _)) in list.iter().enumerate() {
                let pattern = pattern.borrow();
                if pattern.captures() {
                    if let Some(matched) = pattern.find(subject)? {
                        return Ok(Some((at, Some(matched))));
                    }
                } else if pattern.is_match(subject)? {
                    return Ok(Some((at, None)));
                }
            }
            None
        }
    };
    let Some(at) = found else { return Ok(None) };
    let pattern = list[at].0.borrow();
    Ok(Some((at, if pattern.captures() { pattern.find(subject)? } else { None })))
}

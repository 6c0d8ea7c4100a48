//! Regular expressions of the configuration: every directive that takes one compiles and matches it here. They mean what PCRE2 says (nginx's dialect): bytes,
//! case ignored in ASCII, a `$` that also matches before a last line break. Those that are known to mean the same to an
//! engine of linear time ([`plain`]) are matched by that one, all others by PCRE2 itself.
//!
//! What a match may cost: plain patterns, time linear in the subject; others [`pcre2::MATCH_LIMIT`] steps, beyond which
//! it has [`Failed`], which is never "no match": the request is answered 500, as nginx does.
//!
//! Loading checks the syntax; the engine of a plain pattern is built at its first use.

mod advice;
pub(super) mod literals;
mod plain;
mod relaxed;
#[cfg(test)]
mod tests;

use super::ast::Word;
use super::fault::Fault;
use super::template::{Source, Variables};
use crate::sys::pcre2::{self, Code, Gave, Group};
use crate::util::checkpoint;
use regex_automata::Input;
use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::primitives::NonMaxUsize;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

/// Captures `$0` … `$9` of the last match, as offsets into the subject.
pub type Groups = [Group; 10];

/// Groups that are found without an allocation.
const FEW: usize = 16;
/// Memory of a plain pattern's automaton, and of what it remembers while matching.
const AUTOMATON: usize = 8 << 20;
const REMEMBERED: usize = 1 << 20;

#[derive(Debug)]
pub struct Pattern {
    source: Box<[u8]>,
    case: Case,
    /// What a plain pattern is made of: see [`plain::Plain::atoms`].
    plain: Option<u32>,
    /// See [`plain::Plain::dollar`].
    dollar: bool,
    /// Texts it cannot match without.
    pub(super) choices: Box<[literals::Choice]>,
    linear: OnceCell<Option<Regex>>,
    exact: OnceCell<Result<Code, pcre2::Invalid>>,
    /// Named groups: (group, index of the variable it fills).
    named: Vec<(usize, u32)>,
    groups: usize,
}

/// Whether upper and lower case are the same (`~*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Sensitive,
    Insensitive,
}

/// What a match found: group offsets, and where named variables got their text.
#[derive(Clone, Debug, Default)]
pub struct Matched {
    pub groups: Groups,
    /// (variable index, start, end) of named groups.
    pub named: Vec<(u32, u32, u32)>,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    message: String,
    /// Where in the pattern it fails.
    offset: Option<usize>,
}

/// Whether a subject matches could not be found out; says why, in nginx's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(Box<str>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Invalid {
    /// nginx's words: where in the pattern is shown by what is left of it.
    fn new(source: &[u8], why: &pcre2::Invalid) -> Invalid {
        let mut message = format!("pcre2_compile() failed: {} in \"{}\"", why.message, String::from_utf8_lossy(source));
        if let Some(rest) = source.get(why.offset..).filter(|rest| !rest.is_empty()) {
            message += &format!(" at \"{}\"", String::from_utf8_lossy(rest));
        }
        Invalid { message, offset: Some(why.offset) }
    }

    /// The fault of a directive whose argument `word` holds the pattern `source`.
    pub fn fault(self, word: &Word, source: &[u8]) -> Fault {
        let start = memchr::memmem::rfind(word.bytes(), source).unwrap_or(0);
        // A class that is not closed is found at the end of all, where nothing is wrong.
        let open = memchr::memrchr(b'[', source).filter(|_| self.message.contains("missing terminating ]"));
        let at = self.offset.map(|offset| start + open.unwrap_or(offset).min(source.len().saturating_sub(1)));
        let span = at.map_or(word.span, |at| word.part(at, (at + 1).min(word.len())));
        let help = advice::of(&self.message, &String::from_utf8_lossy(source));
        Fault { help, ..Fault::new(span, self.message) }
    }
}

impl Pattern {
    /// Reads `source`; named groups become variables of the configuration.
    ///
    /// # Errors
    /// What is wrong with the pattern, or with the name of a group.
    pub fn new(source: &[u8], case: Case, vars: &mut Variables) -> Result<Pattern, Invalid> {
        let (mut pattern, names) = Pattern::read(source, case)?;
        for (group, name) in names {
            let variable = vars.define(&name, Source::Captured).map_err(|message| Invalid { message, offset: None })?;
            pattern.named.push((group, variable));
        }
        Ok(pattern)
    }

    /// As [`Pattern::new`], where `word` of a directive holds the pattern.
    ///
    /// # Errors
    /// The fault of the word.
    pub fn of_word(word: &Word, source: &[u8], case: Case, vars: &mut Variables) -> Result<Pattern, Fault> {
        Pattern::new(source, case, vars).map_err(|invalid| invalid.fault(word, source))
    }

    /// The pattern, and the names of its groups.
    fn read(source: &[u8], case: Case) -> Result<(Pattern, Vec<(usize, String)>), Invalid> {
        checkpoint::pass();
        let mut pattern = Pattern {
            source: source.into(),
            case,
            plain: None,
            dollar: false,
            choices: Box::default(),
            linear: OnceCell::new(),
            exact: OnceCell::new(),
            named: Vec::new(),
            groups: 1,
        };
        if let Some((plain, ast)) = plain::read(source) {
            pattern.choices = literals::required(&ast).into();
            pattern.plain = Some(plain.atoms as u32);
            pattern.dollar = plain.dollar;
            pattern.groups += plain.groups;
            return Ok((pattern, plain.names));
        }
        let code = Code::new(source, case == Case::Insensitive).map_err(|invalid| Invalid::new(source, &invalid))?;
        pattern.groups = code.groups();
        pattern.choices = relaxed::read(source).map_or_else(Box::default, |ast| literals::required(&ast).into());
        let names = code.names();
        pattern.exact = OnceCell::from(Ok(code));
        Ok((pattern, names))
    }

    pub fn source(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.source)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.source
    }

    pub(super) fn case(&self) -> Case {
        self.case
    }

    /// What a plain pattern is made of, written out: characters, classes, groups. None: it is not plain.
    pub(super) fn atoms(&self) -> Option<usize> {
        self.plain.map(|atoms| atoms as usize)
    }

    /// Its groups give variables their values.
    pub fn has_names(&self) -> bool {
        !self.named.is_empty()
    }

    /// True where a match has something to remember.
    pub fn captures(&self) -> bool {
        self.groups > 1
    }

    /// How many groups there are, the whole match included.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// # Errors
    /// Whether it matches could not be found out.
    pub fn is_match(&self, subject: &[u8]) -> Result<bool, Failed> {
        match self.linear(subject) {
            Some(regex) => Ok(regex.is_match(Input::new(subject))),
            None => self.find_exactly(subject, &mut []),
        }
    }

    /// Matches and says where the groups are.
    ///
    /// # Errors
    /// Whether it matches could not be found out.
    pub fn find(&self, subject: &[u8]) -> Result<Option<Matched>, Failed> {
        let wanted = self.named.iter().map(|(group, _)| group + 1).fold(self.groups.min(10), usize::max);
        let mut few = [None; FEW];
        let mut many = Vec::new();
        let groups = match few.get_mut(..wanted) {
            Some(groups) => groups,
            None => {
                many.resize(wanted, None);
                &mut many[..]
            }
        };
        let found = match self.linear(subject) {
            Some(regex) => find_linear(regex, subject, groups),
            None => self.find_exactly(subject, groups)?,
        };
        if !found {
            return Ok(None);
        }
        let mut matched = Matched::default();
        for (slot, group) in matched.groups.iter_mut().zip(groups.iter()) {
            *slot = *group;
        }
        for &(group, variable) in &self.named {
            let (start, end) = groups.get(group).copied().flatten().unwrap_or((0, 0));
            matched.named.push((variable, start, end));
        }
        Ok(Some(matched))
    }

    /// The linear engine, where it is the one for this subject.
    fn linear(&self, subject: &[u8]) -> Option<&Regex> {
        if self.plain.is_none() || self.dollar && subject.last() == Some(&b'\n') {
            return None;
        }
        self.linear.get_or_init(|| build(&self.source, self.case)).as_ref()
    }

    fn find_exactly(&self, subject: &[u8], groups: &mut [Group]) -> Result<bool, Failed> {
        let code = self.exact.get_or_init(|| Code::new(&self.source, self.case == Case::Insensitive));
        let found = match code {
            Ok(code) => code.find(subject, groups).map_err(|Gave(number)| number),
            // PCRE2 refuses a plain pattern: it was too large for it after all.
            Err(_) => Err(pcre2::NO_MEMORY),
        };
        found.map_err(|number| {
            let (subject, pattern) = (String::from_utf8_lossy(subject), self.source());
            Failed(format!("pcre2_match() failed: {number} on \"{subject}\" using \"{pattern}\"").into())
        })
    }
}

fn build(source: &[u8], case: Case) -> Option<Regex> {
    let hir = plain::hir(source, case)?;
    Regex::builder().configure(limits()).build_from_hir(&hir).ok()
}

/// The engine of linear time of several plain patterns, which says which of them match and nothing of their groups.
/// None: it would be too large.
pub(super) fn linear_nfa<'s>(sources: impl Iterator<Item = (&'s [u8], Case)>) -> Option<NFA> {
    let patterns = sources.map(|(source, case)| plain::hir(source, case)).collect::<Option<Vec<_>>>()?;
    let config = thompson::Config::new().utf8(false).which_captures(WhichCaptures::None);
    let config = config.nfa_size_limit(Some(AUTOMATON));
    thompson::Compiler::new().configure(config).build_many_from_hir(&patterns).ok()
}

fn limits() -> meta::Config {
    // A subject is bytes: an empty match may stand anywhere.
    meta::Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(AUTOMATON))
        .onepass_size_limit(Some(REMEMBERED))
        .hybrid_cache_capacity(REMEMBERED)
}

fn find_linear(regex: &Regex, subject: &[u8], groups: &mut [Group]) -> bool {
    let mut few: [Option<NonMaxUsize>; 2 * FEW] = [None; 2 * FEW];
    let mut many = Vec::new();
    let slots = match few.get_mut(..2 * groups.len()) {
        Some(slots) => slots,
        None => {
            many.resize(2 * groups.len(), None);
            &mut many[..]
        }
    };
    if regex.search_slots(&Input::new(subject), slots).is_none() {
        return false;
    }
    for (group, slots) in groups.iter_mut().zip(slots.as_chunks::<2>().0) {
        *group = match *slots {
            [Some(start), Some(end)] => Some((start.get() as u32, end.get() as u32)),
            _ => None,
        };
    }
    true
}

/// A pattern that belongs to no configuration: a page's own (SSI). It is matched once, so PCRE2 does it.
#[derive(Debug)]
pub struct Loose {
    pattern: Pattern,
    names: Vec<(usize, String)>,
}

impl Loose {
    /// # Errors
    /// What is wrong with the pattern.
    pub fn new(source: &[u8]) -> Result<Loose, String> {
        let (mut pattern, names) = Pattern::read(source, Case::Sensitive).map_err(|invalid| invalid.message)?;
        pattern.plain = None;
        Ok(Loose { pattern, names })
    }

    /// The text of each group, `$9` at most; of one that took no part, nothing.
    ///
    /// # Errors
    /// Whether it matches could not be found out.
    pub fn find(&self, subject: &[u8]) -> Result<Option<Vec<Vec<u8>>>, String> {
        let Some(found) = self.pattern.find(subject).map_err(|failed| failed.to_string())? else { return Ok(None) };
        let text = |(start, end): (u32, u32)| subject.get(start as usize..end as usize).unwrap_or_default().to_vec();
        let groups = found.groups.iter().take(self.pattern.groups);
        Ok(Some(groups.map(|group| group.map(text).unwrap_or_default()).collect()))
    }

    /// Names of groups, and which they are.
    pub fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.names.iter().map(|(group, name)| (name.as_str(), *group))
    }
}

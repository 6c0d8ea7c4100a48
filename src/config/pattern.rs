//! Regular expressions of the configuration: every directive with a regex compiles and matches it here. The semantics
//! are PCRE2's, as in nginx: bytes, ASCII case folding, a `$` that also matches before a final newline. Patterns known
//! to mean the same to a linear-time engine ([`plain`]) use that one, all others PCRE2 itself.
//!
//! Cost of the searches of a request: bounded by their [`Effort`], beyond which matching has [`Failed`]. That never
//! counts as "no match": as in nginx, the request gets a 500.
//!
//! Loading checks the syntax. The engine of a plain pattern is built at its first use, as far as the request's effort
//! allows. Those that PCRE2 should not search for in the meantime, large ones ([`LARGE`]) and those of many states, are
//! built while loading, in steps of one pattern.

mod advice;
mod case;
mod effort;
pub(super) mod literals;
mod plain;
mod relaxed;
#[cfg(test)]
mod tests;
mod wary;

use super::ast::Word;
use super::fault::Fault;
use super::template::{Source, Variables};
use crate::sys::pcre2::{self, Code, GaveUp, Group};
use crate::util::checkpoint;
pub use case::Case;
pub use effort::{Effort, RequestEffort};
use regex_automata::Input;
use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::primitives::NonMaxUsize;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use wary::{Searched, Wary};

/// Captures `$0` … `$9` of the last match, as offsets into the subject.
pub type Groups = [Group; 10];

/// Number of groups that need no allocation.
const FEW: usize = 16;
/// Memory limits of a plain pattern's automaton and of its cache.
const AUTOMATON: usize = 8 << 20;
const REMEMBERED: usize = 1 << 20;
/// Number of loose atoms ([`plain::Plain::loose`]) up to which the combinations of their states fit into that.
const FEW_STATES: usize = 12;

/// Bytes of a subject that a message shows; a line of the error log has no more.
const SHOWN: usize = 2048;

/// Number of atoms from which a pattern is built while loading.
const LARGE: u32 = 300;
/// Microseconds for what is built while loading. Further patterns are built at their first use.
const AHEAD: u32 = 150_000;

/// A regular expression, compiled when it is first matched.
#[derive(Debug)]
pub struct Pattern {
    source: Box<[u8]>,
    case: Case,
    /// The size of a plain pattern ([`plain::Plain::atoms`]); None: the pattern is not plain.
    plain: Option<u32>,
    /// States that the linear-time engine may have to look at for each byte of a subject. 0: it remembers their
    /// combinations.
    states: u32,
    /// See [`plain::Plain::dollar`].
    dollar: bool,
    /// Texts that every match contains.
    pub(super) choices: Box<[literals::Choice]>,
    linear: OnceCell<Option<Regex>>,
    wary: OnceCell<Option<Box<Wary>>>,
    exact: OnceCell<Result<Code, pcre2::Invalid>>,
    /// Named groups: (group, index of the variable it fills).
    named: Vec<(usize, u32)>,
    groups: usize,
}

/// Offsets of the groups, and of the variables filled by named groups.
#[derive(Clone, Debug, Default)]
pub struct Matched {
    /// Group 0 is the whole match; None: the group took no part.
    pub groups: Groups,
    /// (variable index, start, end) of named groups.
    pub named: Vec<(u32, u32, u32)>,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    message: String,
    /// Offset of the error in the pattern.
    offset: Option<usize>,
}

/// Matching failed without a result; the error in nginx's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(Box<str>);

impl Failed {
    /// For limits that are not PCRE2's.
    pub(super) fn new(why: String) -> Failed {
        Failed(why.into())
    }
}

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
    /// Worded as in nginx, which shows the rest of the pattern from the error on.
    fn new(source: &[u8], why: &pcre2::Invalid) -> Invalid {
        let mut message = format!("pcre2_compile() failed: {} in \"{}\"", why.message, String::from_utf8_lossy(source));
        if let Some(rest) = source.get(why.offset..).filter(|rest| !rest.is_empty()) {
            message += &format!(" at \"{}\"", String::from_utf8_lossy(rest));
        }
        Invalid { message, offset: Some(why.offset) }
    }

    /// The fault of a directive's argument `word`, which contains the pattern `source`.
    pub fn fault(self, word: &Word, source: &[u8]) -> Fault {
        let start = memchr::memmem::rfind(word.bytes(), source).unwrap_or(0);
        // PCRE2 reports an unclosed class at the end of the pattern, which does not show its beginning.
        let open = memchr::memrchr(b'[', source).filter(|_| self.message.contains("missing terminating ]"));
        let at = self.offset.map(|offset| start + open.unwrap_or(offset).min(source.len().saturating_sub(1)));
        let span = at.map_or(word.span, |at| word.part(at, (at + 1).min(word.len())));
        let help = advice::of(&self.message, &String::from_utf8_lossy(source));
        Fault { help, ..Fault::new(span, self.message) }
    }
}

impl Pattern {
    /// Compiles `source`; named groups become variables of the configuration.
    ///
    /// # Errors
    /// The pattern or the name of a group is invalid.
    pub fn new(source: &[u8], case: Case, vars: &mut Variables) -> Result<Pattern, Invalid> {
        let (mut pattern, names) = Pattern::read(source, case)?;
        for (group, name) in names {
            let variable = vars.define(&name, Source::Captured).map_err(|message| Invalid { message, offset: None })?;
            pattern.named.push((group, variable));
        }
        pattern.build_ahead(&mut vars.built);
        Ok(pattern)
    }

    /// Builds the engine of a pattern that takes PCRE2 long. `built`: microseconds spent on such patterns.
    fn build_ahead(&self, built: &mut u32) {
        let is_long = |atoms: &u32| *atoms >= LARGE || self.states > 0;
        let Some(atoms) = self.plain.filter(is_long).filter(|_| *built < AHEAD) else { return };
        *built += effort::building(1, atoms as usize);
        checkpoint::pass_costly();
        self.linear();
        if self.states > 0 {
            self.wary();
        }
        checkpoint::pass_costly();
    }

    /// The linear-time engine, built if necessary.
    fn linear(&self) -> &Option<Regex> {
        self.linear.get_or_init(|| build(&self.source, self.case))
    }

    /// What searches long subjects for a pattern of many states, built if necessary.
    fn wary(&self) -> &Option<Box<Wary>> {
        let make = || Wary::new(linear_nfa([(self.bytes(), self.case)].into_iter())?).map(Box::new);
        self.wary.get_or_init(make)
    }

    /// As after many requests.
    #[cfg(test)]
    pub(super) fn prepare(&self) {
        self.linear();
    }

    /// Whether its linear-time engine was built.
    #[cfg(test)]
    pub(super) fn is_built(&self) -> bool {
        self.linear.get().is_some()
    }

    /// As [`Pattern::new`], for a pattern in the argument `word`.
    ///
    /// # Errors
    /// The fault of that argument.
    pub fn of_word(word: &Word, source: &[u8], case: Case, vars: &mut Variables) -> Result<Pattern, Fault> {
        Pattern::new(source, case, vars).map_err(|invalid| invalid.fault(word, source))
    }

    /// A pattern of which nothing is known yet.
    fn unread(source: &[u8], case: Case) -> Pattern {
        Pattern {
            source: source.into(),
            case,
            plain: None,
            states: 0,
            dollar: false,
            choices: Box::default(),
            linear: OnceCell::new(),
            wary: OnceCell::new(),
            exact: OnceCell::new(),
            named: Vec::new(),
            groups: 1,
        }
    }

    /// The pattern, and its named groups.
    fn read(source: &[u8], case: Case) -> Result<(Pattern, Vec<(usize, String)>), Invalid> {
        checkpoint::pass();
        let mut pattern = Pattern::unread(source, case);
        if let Some((plain, ast)) = plain::read(source) {
            pattern.choices = literals::required(&ast).into();
            pattern.plain = Some(plain.atoms as u32);
            pattern.states = if plain.loose > FEW_STATES { plain.atoms as u32 } else { 0 };
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

    /// As written, for messages.
    pub fn source(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.source)
    }

    /// Whether letters match in either case (`~*`).
    pub fn ignores_case(&self) -> bool {
        self.case == Case::Insensitive
    }

    /// As written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.source
    }

    /// Whether it ignores case.
    pub(super) fn case(&self) -> Case {
        self.case
    }

    /// The size of a plain pattern in characters, classes and groups, repetitions expanded. None: it is not plain.
    pub(super) fn atoms(&self) -> Option<usize> {
        self.plain.map(|atoms| atoms as usize)
    }

    /// Whether it has named groups, which fill variables.
    pub fn has_names(&self) -> bool {
        !self.named.is_empty()
    }

    /// Whether a named group fills this variable of the configuration.
    pub fn fills(&self, variable: u32) -> bool {
        self.named.iter().any(|(_, filled)| *filled == variable)
    }

    /// Whether a match fills groups.
    pub fn captures(&self) -> bool {
        self.groups > 1
    }

    /// The number of groups, the whole match included.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// # Errors
    /// Matching failed without a result.
    pub fn is_match(&self, subject: &[u8]) -> Result<bool, Failed> {
        self.is_match_within(subject, &mut Effort::default())
    }

    /// # Errors
    /// Matching failed without a result.
    pub fn is_match_within(&self, subject: &[u8], effort: &mut Effort) -> Result<bool, Failed> {
        self.count(subject, effort)?;
        match self.engine(subject, effort) {
            Engine::Linear(regex) => Ok(regex.is_match(Input::new(subject))),
            Engine::Decided(found) => Ok(found),
            Engine::Exact => self.find_exactly(subject, &mut [], effort),
        }
    }

    /// Whether it matches, and what it captured if it has groups.
    ///
    /// # Errors
    /// Matching failed without a result.
    pub fn try_match(&self, subject: &[u8], effort: &mut Effort) -> Result<Option<Option<Matched>>, Failed> {
        match self.captures() {
            true => Ok(self.find_within(subject, effort)?.map(Some)),
            false => Ok(self.is_match_within(subject, effort)?.then_some(None)),
        }
    }

    /// Matches, and returns the offsets of the groups.
    ///
    /// # Errors
    /// Matching failed without a result.
    pub fn find(&self, subject: &[u8]) -> Result<Option<Matched>, Failed> {
        self.find_within(subject, &mut Effort::default())
    }

    /// As [`Pattern::find`], with what is left of an effort.
    ///
    /// # Errors
    /// Matching failed without a result.
    pub fn find_within(&self, subject: &[u8], effort: &mut Effort) -> Result<Option<Matched>, Failed> {
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
        self.count(subject, effort)?;
        let found = match self.engine(subject, effort) {
            Engine::Linear(regex) => find_linear(regex, subject, groups),
            Engine::Decided(false) => false,
            Engine::Decided(true) | Engine::Exact => self.find_exactly(subject, groups, effort)?,
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

    /// Counts the bytes of the subject. PCRE2's steps are counted, too, but some of its steps read a whole subject.
    fn count(&self, subject: &[u8], effort: &mut Effort) -> Result<(), Failed> {
        if effort.reads(subject.len(), self.slowness(subject)) {
            return Ok(());
        }
        let (len, pattern) = (subject.len(), self.source());
        Err(Failed::new(format!("too many patterns, or too long texts: searching {len} bytes for \"{pattern}\"")))
    }

    /// What searches for it in this subject.
    fn engine(&self, subject: &[u8], effort: &mut Effort) -> Engine<'_> {
        if !self.is_linear(subject) {
            return Engine::Exact;
        }
        if effort.has_states(self.states as usize * subject.len()) {
            let regex = self.linear.get().or_else(|| {
                let may_build = effort.may_build(1, self.atoms().unwrap_or(0));
                may_build.then(|| self.linear())
            });
            return regex.and_then(Option::as_ref).map_or(Engine::Exact, Engine::Linear);
        }
        if effort.steps == 0 {
            return Engine::Exact;
        }
        let Some(wary) = self.wary() else { return Engine::Exact };
        let Searched { found, share } = wary.is_match(subject);
        effort.built_states(share);
        found.map_or(Engine::Exact, Engine::Decided)
    }

    /// Whether the linear-time engine applies to this subject.
    fn is_linear(&self, subject: &[u8]) -> bool {
        self.plain.is_some() && !(self.dollar && subject.last() == Some(&b'\n'))
    }

    /// How much longer than the linear-time engine the search of a byte takes.
    fn slowness(&self, subject: &[u8]) -> usize {
        match self.is_linear(subject) {
            true if self.states == 0 => 1,
            true => Effort::BUILDING,
            false => Effort::BY_PCRE2,
        }
    }

    fn find_exactly(&self, subject: &[u8], groups: &mut [Group], effort: &mut Effort) -> Result<bool, Failed> {
        let code = self.exact.get_or_init(|| {
            effort.compiled(self.source.len());
            Code::new(&self.source, self.case == Case::Insensitive)
        });
        let found = match code {
            Ok(code) => code.find_within(subject, groups, &mut effort.steps).map_err(|GaveUp(number)| number),
            // PCRE2 refuses a pattern that the other engine accepted: it is too large.
            Err(_) => Err(pcre2::NO_MEMORY),
        };
        found.map_err(|number| {
            let shown = subject.get(..SHOWN).unwrap_or(subject);
            let (subject, pattern) = (String::from_utf8_lossy(shown), self.source());
            Failed(format!("pcre2_match() failed: {number} on \"{subject}\" using \"{pattern}\"").into())
        })
    }
}

/// What searches for a pattern.
enum Engine<'p> {
    /// The linear-time engine.
    Linear(&'p Regex),
    /// Whether the pattern matches, if the groups are not needed.
    Decided(bool),
    /// PCRE2.
    Exact,
}

fn build(source: &[u8], case: Case) -> Option<Regex> {
    let hir = plain::hir(source, case)?;
    Regex::builder().configure(limits()).build_from_hir(&hir).ok()
}

/// An NFA over several plain patterns, which tells which of them match but not their groups. None: it would be too
/// large.
pub(super) fn linear_nfa<'s>(sources: impl Iterator<Item = (&'s [u8], Case)>) -> Option<NFA> {
    let patterns = sources.map(|(source, case)| plain::hir(source, case)).collect::<Option<Vec<_>>>()?;
    let config = thompson::Config::new().utf8(false).which_captures(WhichCaptures::None);
    let config = config.nfa_size_limit(Some(AUTOMATON));
    thompson::Compiler::new().configure(config).build_many_from_hir(&patterns).ok()
}

fn limits() -> meta::Config {
    // Subjects are bytes, so an empty match may occur anywhere.
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

/// A pattern that is not from the configuration but from a page (SSI). It is used once, so PCRE2 matches it.
#[derive(Debug)]
pub struct PagePattern {
    pattern: Pattern,
    names: Vec<(usize, String)>,
}

impl PagePattern {
    /// # Errors
    /// The pattern is invalid.
    pub fn new(source: &[u8]) -> Result<PagePattern, String> {
        // What a pattern of the configuration is read for (its texts, whether it is plain) would cost as much as this.
        let code = Code::new(source, false).map_err(|invalid| Invalid::new(source, &invalid).message)?;
        let mut pattern = Pattern::unread(source, Case::Sensitive);
        pattern.groups = code.groups();
        let names = code.names();
        pattern.exact = OnceCell::from(Ok(code));
        Ok(PagePattern { pattern, names })
    }

    /// The texts of groups up to `$9`; a group that did not participate is empty.
    ///
    /// # Errors
    /// Matching failed without a result.
    pub fn find(&self, subject: &[u8], effort: &mut Effort) -> Result<Option<Vec<Vec<u8>>>, String> {
        let found = self.pattern.find_within(subject, effort).map_err(|failed| failed.to_string())?;
        let Some(found) = found else { return Ok(None) };
        let text = |(start, end): (u32, u32)| subject.get(start as usize..end as usize).unwrap_or_default().to_vec();
        let groups = found.groups.iter().take(self.pattern.groups);
        Ok(Some(groups.map(|group| group.map(text).unwrap_or_default()).collect()))
    }

    /// Named groups and their numbers.
    pub fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.names.iter().map(|(group, name)| (name.as_str(), *group))
    }
}

//! The directives of the rewrite module of one level, as data: `exchange::rewrite::script` runs them,
//! `resolve/lists.rs` groups them by what they test. No parsing here (rows of `directives/rewrite.rs` and
//! `condition.rs` do that).

use super::ast::Span;
use super::ids::LocationId;
use super::pattern::Pattern;
use super::pattern_set::PatternSet;
use super::template::{Part, SetTarget, Template};
use crate::util::hash::FastMap;
use crate::util::text::Text;
use std::ops::Range;
use std::rc::Rc;

/// The rewrite directives of one level, in order.
#[derive(Debug, Default)]
pub struct Script {
    /// In the order of the file.
    pub ops: Vec<Op>,
    /// The position of each op in the source.
    pub spans: Vec<Span>,
    /// Built once all variables are known, since maps may be defined further down.
    pub lists: OpLists,
    /// In order; built with the lists.
    pub set_runs: Vec<SetRun>,
}

/// Values by index of their variable.
pub type FixedValues = FastMap<u32, Text>;

/// Consecutive `set` directives with fixed values, which are executed as one step.
#[derive(Debug)]
pub struct SetRun {
    /// Indices of its ops.
    pub ops: Range<usize>,
    /// What they set, shared by all requests.
    pub values: Rc<FixedValues>,
}

impl Script {
    /// The run that begins at this op.
    pub fn set_run(&self, op: usize) -> Option<&SetRun> {
        let at = self.set_runs.binary_search_by_key(&op, |run| run.ops.start).ok()?;
        self.set_runs.get(at)
    }
}

/// Ops that do nothing unless their subject equals a text or matches a pattern, grouped by subject: one lookup decides
/// for all of them.
#[derive(Debug, Default)]
pub struct OpLists {
    /// The lists, in no order.
    pub lists: Vec<OpList>,
    /// Ops in no list, in order; these are always tried.
    pub others: Vec<usize>,
}

impl OpLists {
    /// Maximum number of lists, which are those with the most ops: between two ops, every list is consulted.
    pub const MOST: usize = 8;
}

/// Ops that test the same subject.
#[derive(Debug)]
pub struct OpList {
    /// None: the URI.
    pub subject: Option<Template>,
    /// Indices of the ops, in order.
    pub ops: Vec<usize>,
    /// What they test it for.
    pub test: OpTest,
}

impl OpList {
    /// Which entries of the list fall into this range of ops.
    pub fn places(&self, ops: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        place_of(&self.ops, ops.start)..place_of(&self.ops, ops.end)
    }
}

/// The place of an op, or of the first behind it, among these, which are in their order. Most lists have no gaps.
pub fn place_of(ops: &[usize], op: usize) -> usize {
    match ops {
        [first, .., last] if last - first + 1 == ops.len() => op.saturating_sub(*first).min(ops.len()),
        ops => ops.partition_point(|listed| *listed < op),
    }
}

/// The look-up that decides for a list.
#[derive(Debug)]
pub enum OpTest {
    /// Rewrites, and `if` with `~`: a set over the patterns of all ops.
    Patterns(PatternSet),
    /// `if` with `!~`.
    NoPatterns(PatternSet),
    /// `if` with `=`: the ops by the text they require.
    Texts(FastMap<Box<[u8]>, Vec<usize>>),
    /// `if` with `!=`: the ops by the text they exclude.
    NoTexts(FastMap<Box<[u8]>, Vec<usize>>),
    /// `if` on a map variable, where the map's default makes the op do nothing.
    Maps(MapOps),
    /// The same of a `geo` of the client's own address, which is the subject.
    Geos(GeoOps),
}

/// Ops that test maps of one source.
#[derive(Debug)]
pub struct MapOps {
    /// Ops by the source values (in lower case) that their maps list.
    pub named: FastMap<Box<[u8]>, Vec<usize>>,
    /// What the maps make of each value.
    pub asked: AskedVariables,
}

/// Ops that ask for `geo`s of one address.
#[derive(Debug)]
pub struct GeoOps {
    /// The table of each op's `geo`.
    pub tables: Box<[u32]>,
    /// What the geos make of each value.
    pub asked: AskedVariables,
}

/// What ops ask for that do nothing by the default of it.
#[derive(Debug)]
pub struct AskedVariables {
    /// The variable of each op.
    pub variables: Box<[u32]>,
    /// The variables' values by default.
    pub defaults: Rc<FixedValues>,
}

/// A directive of the rewrite module.
#[derive(Debug)]
pub enum Op {
    /// `set`.
    Set { slot: SetTarget, value: Template },
    /// `rewrite`.
    Rewrite(Box<Rewrite>),
    /// `if`: where it holds, the request enters its location, if it has one, and its script runs.
    If { condition: Condition, location: Option<LocationId>, script: Script },
    /// `return`: a text, or for a redirect its URL.
    Return { code: u16, text: Option<Template> },
    /// `break`.
    Break,
}

impl Op {
    /// The test that decides whether the op does anything, and its subject (None: the URI). None unless the subject is
    /// the URI or exactly one variable.
    pub fn comparison(&self) -> Option<(Option<&Template>, Comparison<'_>)> {
        let is_variable = |subject: &Template| matches!(*subject.parts, [Part::Var(_)]);
        match self {
            Op::Rewrite(rewrite) => Some((None, Comparison::Pattern(&rewrite.pattern))),
            Op::If { condition: Condition::Match { subject, pattern, negated }, .. } if is_variable(subject) => {
                match negated {
                    false => Some((Some(subject), Comparison::Pattern(pattern))),
                    // A negated pattern with named groups sets variables even if the op does nothing.
                    true if pattern.has_names() => None,
                    true => Some((Some(subject), Comparison::NoPattern(pattern))),
                }
            }
            Op::If { condition: Condition::Equal { left, right, negated }, .. } if is_variable(left) => {
                let text: &[u8] = match &*right.parts {
                    [] => b"",
                    [Part::Literal(text)] => text,
                    _ => return None,
                };
                Some((Some(left), if *negated { Comparison::NoText(text) } else { Comparison::Text(text) }))
            }
            _ => None,
        }
    }

    /// The pattern that it tests, negated or not. None: it tests for a text, or nothing.
    pub fn pattern(&self) -> Option<&Pattern> {
        match self.comparison()?.1 {
            Comparison::Pattern(pattern) | Comparison::NoPattern(pattern) => Some(pattern),
            Comparison::Text(_) | Comparison::NoText(_) => None,
        }
    }
}

/// How an op tests its subject.
#[derive(Clone, Copy, Debug)]
pub enum Comparison<'a> {
    /// It matches.
    Pattern(&'a Pattern),
    /// It does not match.
    NoPattern(&'a Pattern),
    /// It is equal.
    Text(&'a [u8]),
    /// It is not equal.
    NoText(&'a [u8]),
}

/// The arguments of `rewrite`.
#[derive(Debug)]
pub struct Rewrite {
    /// Matched against the normalised URI.
    pub pattern: Pattern,
    /// The new URI and its arguments.
    pub replacement: Template,
    /// What follows a match.
    pub flag: RewriteFlag,
    /// The replacement ended in `?`: the original arguments are dropped.
    pub drop_args: bool,
    /// The replacement is a URL: the response is a redirect, whatever the flag.
    pub external: bool,
}

/// The last argument of `rewrite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteFlag {
    /// The next directive follows.
    None,
    /// `last`: the location of the new URI is searched.
    Last,
    /// `break`: the rest of the script is left out.
    Break,
    /// `redirect`: 302.
    Redirect,
    /// `permanent`: 301.
    Permanent,
}

/// What `if` tests.
#[derive(Debug)]
pub enum Condition {
    /// Not empty and not "0".
    True(Template),
    /// `=` and `!=`.
    Equal { left: Template, right: Template, negated: bool },
    /// `~`, `~*`, `!~`, `!~*`.
    Match { subject: Template, pattern: Box<Pattern>, negated: bool },
    /// `-f`, `-d`, `-e`, `-x` and their negations.
    Path { test: PathTest, path: Template, negated: bool },
}

/// The test of a path, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathTest {
    /// `-f`: a regular file.
    File,
    /// `-d`.
    Directory,
    /// `-e`: anything.
    Exists,
    /// `-x`.
    Executable,
}

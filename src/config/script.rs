//! The directives of the rewrite module of one level, as data: `exchange::rewrite::script` runs them, `resolve/lists.rs`
//! groups them by what they test. No parsing here (rows of `directives/rewrite.rs` and `condition.rs` do that).

use super::ast::Span;
use super::ids::LocationId;
use super::pattern::Pattern;
use super::pattern_set::PatternSet;
use super::template::{Part, SetTarget, Template};
use crate::util::hash::FastMap;
use crate::util::text::Text;
use std::ops::Range;
use std::rc::Rc;

/// The directives of the rewrite module of one level, in their order.
#[derive(Debug, Default)]
pub struct Script {
    pub ops: Vec<Op>,
    /// Where each of `ops` stands.
    pub spans: Vec<Span>,
    /// Made once all variables are known: what a subject depends on may stand further down.
    pub lists: OpLists,
    /// In their order; made with the lists.
    pub set_runs: Vec<SetRun>,
}

/// Values by the number of their variable.
pub type FixedValues = FastMap<u32, Text>;

/// `set` lines, one behind the other, that give variables fixed values: they are done at once.
#[derive(Debug)]
pub struct SetRun {
    pub ops: Range<usize>,
    pub values: Rc<FixedValues>,
}

impl Script {
    /// The run that begins with this op.
    pub fn set_run(&self, op: usize) -> Option<&SetRun> {
        let at = self.set_runs.binary_search_by_key(&op, |run| run.ops.start).ok()?;
        self.set_runs.get(at)
    }
}

/// The ops of a script that do nothing unless one subject is a certain text or matches a pattern, by subject: one
/// look at it decides for all of them.
#[derive(Debug, Default)]
pub struct OpLists {
    pub lists: Vec<OpList>,
    /// The ops in no list, which are always tried; in their order.
    pub others: Vec<usize>,
}

impl OpLists {
    /// A script with more subjects has lists for those that most of its ops ask about: each is looked at on the way from
    /// one op to the next.
    pub const MOST: usize = 8;
}

#[derive(Debug)]
pub struct OpList {
    /// None: the URI.
    pub subject: Option<Template>,
    /// The ops, in their order.
    pub ops: Vec<usize>,
    pub test: OpTest,
}

impl OpList {
    /// Where in the list these ops of the script are.
    pub fn places(&self, ops: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        let place = |op: usize| self.ops.partition_point(|listed| *listed < op);
        place(ops.start)..place(ops.end)
    }
}

#[derive(Debug)]
pub enum OpTest {
    /// Rewrites, and `if` with `~`: over the patterns of all ops.
    Patterns(PatternSet),
    /// `if` with `!~`.
    NoPatterns(PatternSet),
    /// `if` with `=`: the ops by the text that they want.
    Texts(FastMap<Box<[u8]>, Vec<usize>>),
    /// `if` with `!=`: the ops by the text that they do not want.
    NoTexts(FastMap<Box<[u8]>, Vec<usize>>),
    /// `if` that asks for a map whose default makes it do nothing.
    Maps(MapOps),
}

/// Ops that ask for maps of one source.
#[derive(Debug)]
pub struct MapOps {
    /// By the values of the source, in lower case, that their maps name.
    pub named: FastMap<Box<[u8]>, Vec<usize>>,
    /// The variable of each op's map.
    pub variables: Box<[u32]>,
    /// What the variables are where no map names the value.
    pub defaults: Rc<FixedValues>,
}

#[derive(Debug)]
pub enum Op {
    Set { slot: SetTarget, value: Template },
    Rewrite(Box<Rewrite>),
    If { condition: Condition, location: Option<LocationId>, script: Script },
    Return { code: u16, text: Option<Template> },
    Break,
}

impl Op {
    /// What decides whether the op does anything, and the subject that is asked (None: the URI); only where that is the
    /// URI or one variable, whole.
    pub fn question(&self) -> Option<(Option<&Template>, Question<'_>)> {
        let is_variable = |subject: &Template| matches!(*subject.parts, [Part::Var(_)]);
        match self {
            Op::Rewrite(rewrite) => Some((None, Question::Pattern(&rewrite.pattern))),
            Op::If { condition: Condition::Match { subject, pattern, negated }, .. } if is_variable(subject) => {
                match negated {
                    false => Some((Some(subject), Question::Pattern(pattern))),
                    // What it captures is kept where it does nothing.
                    true if pattern.has_names() => None,
                    true => Some((Some(subject), Question::NoPattern(pattern))),
                }
            }
            Op::If { condition: Condition::Equal { left, right, negated }, .. } if is_variable(left) => {
                let text: &[u8] = match &*right.parts {
                    [] => b"",
                    [Part::Literal(text)] => text,
                    _ => return None,
                };
                Some((Some(left), if *negated { Question::NoText(text) } else { Question::Text(text) }))
            }
            _ => None,
        }
    }

    pub fn pattern(&self) -> Option<&Pattern> {
        match self.question()?.1 {
            Question::Pattern(pattern) | Question::NoPattern(pattern) => Some(pattern),
            Question::Text(_) | Question::NoText(_) => None,
        }
    }
}

/// What an op asks of its subject.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    Pattern(&'a Pattern),
    NoPattern(&'a Pattern),
    Text(&'a [u8]),
    NoText(&'a [u8]),
}

#[derive(Debug)]
pub struct Rewrite {
    pub pattern: Pattern,
    pub replacement: Template,
    pub flag: RewriteFlag,
    /// The replacement ended in `?`: the old arguments are not appended.
    pub drop_args: bool,
    /// The replacement names another host: the answer is a redirect whatever the flag.
    pub external: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteFlag {
    None,
    Last,
    Break,
    Redirect,
    Permanent,
}

#[derive(Debug)]
pub enum Condition {
    /// Not empty and not "0".
    True(Template),
    Equal {
        left: Template,
        right: Template,
        negated: bool,
    },
    Match {
        subject: Template,
        pattern: Box<Pattern>,
        negated: bool,
    },
    Path {
        test: PathTest,
        path: Template,
        negated: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathTest {
    File,
    Directory,
    Exists,
    Executable,
}

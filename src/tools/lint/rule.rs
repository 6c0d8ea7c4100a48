//! What a rule is, what it looks at, and what it finds.

use super::blocks::location;
pub use super::level::COMPARED;
use super::level::Level;
use crate::config::addr::ListenAddr;
use crate::config::ast::{Directive, Span, Word};
use crate::util::hash::FastMap;
use std::cell::Cell;
use std::path::PathBuf;

/// The port of a `listen` that names none.
const DEFAULT_PORT: u16 = 80;

/// One rule: what it is called, and why it is there.
pub struct Rule {
    pub code: &'static str,
    pub title: &'static str,
    /// Why this hurts, and what to write instead.
    pub page: &'static str,
    /// The names of the directives that it may find something at; [`EVERY`]: it looks at all.
    pub about: &'static [&'static str],
    pub check: fn(&RuleContext, &mut Vec<Finding>),
}

/// For a rule that looks at every directive, which costs each line of a long file.
pub const EVERY: &[&str] = &[];

/// Rules by the names that they are about: a line is shown only those that may find something at it, so that what it costs
/// does not grow with their number.
pub struct Index {
    of_every: Vec<&'static Rule>,
    /// In their order, those of every directive among them.
    by_name: FastMap<&'static [u8], Vec<&'static Rule>>,
}

impl Index {
    pub fn new(rules: &[&'static Rule]) -> Index {
        let rules = || rules.iter().copied();
        let mut by_name: FastMap<&'static [u8], Vec<&'static Rule>> = FastMap::default();
        for name in rules().flat_map(|rule| rule.about) {
            by_name.entry(name.as_bytes()).or_default();
        }
        for (name, list) in &mut by_name {
            list.extend(rules().filter(|rule| rule.about.is_empty() || rule.is_about(name)));
        }
        Index { of_every: rules().filter(|rule| rule.about.is_empty()).collect(), by_name }
    }

    /// All rules for every directive, whatever they are about.
    #[cfg(test)]
    pub fn unsorted(rules: Vec<&'static Rule>) -> Index {
        Index { of_every: rules, by_name: FastMap::default() }
    }

    /// The rules that may find something at a directive of this name.
    pub fn about(&self, name: &[u8]) -> &[&'static Rule] {
        self.by_name.get(name).unwrap_or(&self.of_every)
    }
}

impl Rule {
    fn is_about(&self, name: &[u8]) -> bool {
        self.about.iter().any(|about| about.as_bytes() == name)
    }
}

/// What relative paths of a configuration start from.
#[derive(Clone, Debug)]
pub struct Paths {
    pub prefix: PathBuf,
    /// The directory of the main file.
    pub conf_dir: PathBuf,
    /// The configuration is checked on the machine that will serve it: every directory that is not there is a mistake.
    pub on_this_machine: bool,
}

/// A directive where it stands.
pub struct RuleContext<'p, 'a> {
    pub d: &'a Directive,
    /// The blocks around it, the outermost first.
    pub blocks: &'p [&'a Directive],
    /// The levels it stands in, the outermost first; the last is its own.
    pub levels: &'p [Level<'a>],
    /// Where it is among the directives of its level.
    pub at: usize,
    /// None: nothing is looked for on disk.
    pub paths: Option<&'p Paths>,
    /// All that is included is here: an `include` that leads to no file may do so on the machine that it is for.
    pub is_whole: bool,
    /// How many more missing names may be compared with the names of their directory.
    pub comparisons: &'p Cell<u32>,
}

impl<'p, 'a> RuleContext<'p, 'a> {
    pub fn name(&self) -> &[u8] {
        self.d.name.bytes()
    }

    /// Whether the innermost block around it has that name.
    pub fn is_in(&self, block: &str) -> bool {
        self.blocks.last().is_some_and(|around| around.name.is(block))
    }

    pub fn is(&self, name: &str) -> bool {
        self.d.name.is(name)
    }

    /// Whether it is the first of a name in its level. Of other names nothing is looked up.
    pub fn is_first(&self, name: &str) -> bool {
        self.is(name) && self.level().first(name) == Some(self.at)
    }

    /// Takes one of the comparisons; false: there were enough.
    pub fn may_compare(&self) -> bool {
        let left = self.comparisons.get();
        self.comparisons.set(left.saturating_sub(1));
        left > 0
    }

    pub fn children(&self) -> &'a [Directive] {
        self.d.block.as_deref().unwrap_or_default()
    }

    /// What is inside the nearest block of a name.
    pub fn inside(&self, name: &str) -> Option<&'p Level<'a>> {
        // The first level is the file itself, the one after it inside the first block.
        let at = self.blocks.iter().rposition(|block| block.name.is(name))?;
        self.levels.get(at + 1)
    }

    /// The nearest location around it: its modifier and its name.
    pub fn location(&self) -> Option<(&'a [u8], &'a Word)> {
        self.blocks.iter().rev().find_map(|block| location(block))
    }

    /// All directives of its block, itself included.
    pub fn level(&self) -> &'p Level<'a> {
        self.levels.last().expect("a directive stands in a level")
    }

    /// The `listen` lines of the servers beside the one it stands in, and of that one.
    pub fn listens(&self) -> impl Iterator<Item = &'a Directive> {
        let around = self.levels.iter().rev().nth(1).map(|level| level.all).unwrap_or_default();
        let servers = around.iter().filter(|d| d.name.is("server")).take(COMPARED);
        servers.flat_map(|d| d.block.as_deref().unwrap_or_default()).filter(|d| d.name.is("listen"))
    }

    /// The nearest `ssl` of an older nginx, in a block around it or outside all of them.
    pub fn ssl(&self) -> Option<&'a Directive> {
        self.levels.iter().rev().find_map(|level| level.all.get(level.first("ssl")?))
    }

    /// Whether some `listen` of the same socket has `ssl`, which makes all of them speak TLS.
    pub fn shares_tls(&self, listen: &Directive) -> bool {
        let Some(address) = listen.args.first() else { return false };
        // A name is compared as it is written: to look it up takes time.
        let parsed = ListenAddr::parse_literal(address.bytes(), DEFAULT_PORT);
        let is_same = |other: &Directive| {
            let Some(other) = other.args.first() else { return false };
            let meets = |parsed: &ListenAddr| {
                ListenAddr::parse_literal(other.bytes(), DEFAULT_PORT).is_some_and(|other| other.meets(parsed))
            };
            other.bytes() == address.bytes() || parsed.as_ref().is_some_and(meets)
        };
        self.listens().any(|other| other.args.iter().any(|word| word.is("ssl")) && is_same(other))
    }

    /// The blocks' levels this directive takes part in, its own first.
    pub fn levels(&self) -> impl Iterator<Item = &'p Level<'a>> {
        self.levels.iter().skip(1).rev()
    }
}

/// What a rule found: the place, what is wrong there, what would be right.
pub struct Finding {
    pub span: Span,
    pub message: String,
    pub help: String,
    pub note: Option<(Span, String)>,
}

impl Finding {
    pub fn new(span: Span, message: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding { span, message: message.into(), help: help.into(), note: None }
    }

    pub fn note(mut self, span: Span, note: impl Into<String>) -> Finding {
        self.note = Some((span, note.into()));
        self
    }
}

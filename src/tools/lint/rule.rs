//! What a rule is, what it examines, and what it reports.

use super::assigned::{self, MOST};
use super::blocks::{self, location, variables};
pub use super::level::COMPARED;
use super::level::Level;
use crate::config::addr::ListenAddr;
use crate::config::ast::{Directive, Span, Word};
use crate::util::hash::FastMap;
use std::cell::Cell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The port of a `listen` without one.
const DEFAULT_PORT: u16 = 80;

/// How often a variable is followed that is set from another one.
const STEPS: usize = 3;

/// One rule: its name, its explanation and its check.
pub struct Rule {
    /// `W` and three digits, never used again for another rule.
    pub code: &'static str,
    /// A few words, without a full stop.
    pub title: &'static str,
    /// Why this is a problem, and what to write instead.
    pub page: &'static str,
    /// The names of directives that it examines; [`EVERY`]: all.
    pub about: &'static [&'static str],
    /// Looks at one directive and adds what it finds.
    pub check: fn(&RuleContext, &mut Vec<Finding>),
}

/// For a rule that examines every directive, which costs time on each line of a long file.
pub const EVERY: &[&str] = &[];

/// Rules indexed by the directives they examine, so that the cost per line does not grow with the number of rules.
pub struct Index {
    of_every: Vec<&'static Rule>,
    /// In order, including rules for every directive.
    by_name: FastMap<&'static [u8], Vec<&'static Rule>>,
}

impl Index {
    /// The rules by the directives that they examine.
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

    /// Applies every rule to every directive, regardless of `about`.
    #[cfg(test)]
    pub fn unsorted(rules: Vec<&'static Rule>) -> Index {
        Index { of_every: rules, by_name: FastMap::default() }
    }

    /// The rules that examine directives of this name.
    pub fn about(&self, name: &[u8]) -> &[&'static Rule] {
        self.by_name.get(name).unwrap_or(&self.of_every)
    }
}

impl Rule {
    fn is_about(&self, name: &[u8]) -> bool {
        self.about.iter().any(|about| about.as_bytes() == name)
    }
}

/// The directories to which relative paths refer.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The directory of relative paths in the configuration.
    pub prefix: PathBuf,
    /// The directory of the main file.
    pub conf_dir: PathBuf,
    /// Whether this machine will serve the configuration: then every missing directory is a mistake.
    pub on_this_machine: bool,
}

/// A directive in its context.
pub struct RuleContext<'p, 'a> {
    /// The directive that is examined.
    pub d: &'a Directive,
    /// The enclosing blocks, outermost first.
    pub blocks: &'p [&'a Directive],
    /// The enclosing levels, outermost first; the last contains the directive.
    pub levels: &'p [Level<'a>],
    /// Its index in its level.
    pub at: usize,
    /// None: the file system is not examined.
    pub paths: Option<&'p Paths>,
    /// Whether all includes were found: otherwise, the missing files may exist on the machine it is meant for.
    pub is_whole: bool,
    /// How many more missing names may be compared with existing ones.
    pub comparisons: &'p Cell<u32>,
}

impl<'p, 'a> RuleContext<'p, 'a> {
    /// The name of the directive.
    pub fn name(&self) -> &[u8] {
        self.d.name.bytes()
    }

    /// Whether the innermost enclosing block has that name.
    pub fn is_in(&self, block: &str) -> bool {
        self.blocks.last().is_some_and(|around| around.name.is(block))
    }

    /// Whether it is the directive of that name.
    pub fn is(&self, name: &str) -> bool {
        self.d.name.is(name)
    }

    /// Whether it is the first of this name in its level. False for directives of other names, without a lookup.
    pub fn is_first(&self, name: &str) -> bool {
        self.is(name) && self.level().first(name) == Some(self.at)
    }

    /// Takes one of the comparisons; false: the limit is reached.
    pub fn may_compare(&self) -> bool {
        let left = self.comparisons.get();
        self.comparisons.set(left.saturating_sub(1));
        left > 0
    }

    /// The path that a word names, from the directory that relative ones start at. None: it has variables, or the file
    /// system is not examined.
    pub fn path(&self, word: &Word, from: fn(&Paths) -> &PathBuf) -> Option<PathBuf> {
        let from = from(self.paths?);
        let bytes = word.bytes();
        (!bytes.is_empty() && !bytes.contains(&b'$')).then(|| from.join(OsStr::from_bytes(bytes)))
    }

    /// The directives in its block; empty if it has none.
    pub fn children(&self) -> &'a [Directive] {
        self.d.block.as_deref().unwrap_or_default()
    }

    /// The level inside the innermost enclosing block of this name.
    pub fn inside(&self, name: &str) -> Option<&'p Level<'a>> {
        // Level 0 is the file itself; level n+1 is the inside of block n.
        let at = self.blocks.iter().rposition(|block| block.name.is(name))?;
        self.levels.get(at + 1)
    }

    /// The innermost enclosing location: its modifier and name.
    pub fn location(&self) -> Option<(&'a [u8], &'a Word)> {
        self.blocks.iter().rev().find_map(|block| location(block))
    }

    /// The directive's own level.
    pub fn level(&self) -> &'p Level<'a> {
        self.levels.last().expect("a directive stands in a level")
    }

    /// The `listen` directives of its server and sibling servers.
    pub fn listens(&self) -> impl Iterator<Item = &'a Directive> {
        let around = self.levels.iter().rev().nth(1).map(Level::servers).unwrap_or_default();
        around.iter().flat_map(|server| server.listens.iter().copied())
    }

    /// The nearest `ssl` directive (older nginx) in enclosing levels.
    pub fn ssl(&self) -> Option<&'a Directive> {
        self.levels.iter().rev().find_map(|level| level.first_of("ssl"))
    }

    /// Whether some `listen` of the same address has `ssl`, which enables TLS for all.
    pub fn shares_tls(&self, listen: &Directive) -> bool {
        let Some(address) = listen.args.first() else { return false };
        // Host names are compared as written, since resolving takes time.
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

    /// Whether every `listen` of its server has TLS.
    pub fn speaks_tls_only(&self) -> bool {
        let Some(server) = self.inside("server").filter(|server| server.has("listen")) else { return false };
        server.named("listen").iter().all(|listen| blocks::is_tls(listen))
    }

    /// The values that the innermost level which assigns this variable gives it.
    pub fn values(&self, name: &str) -> &'p [&'a Word] {
        self.levels.iter().rev().find_map(|level| level.assigned().get(name)).map_or(&[], Vec::as_slice)
    }

    /// The texts that a text becomes with each of its variables replaced by what it is assigned. A variable whose value
    /// is not known here stays as it is.
    pub fn texts(&self, text: &str) -> Vec<String> {
        let (mut open, mut found) = (vec![(text.to_owned(), 0)], Vec::new());
        while let Some((text, step)) = open.pop() {
            let is_over = step == STEPS || found.len() + open.len() >= MOST;
            let known = || variables(&text).into_iter().find(|name| !self.values(name).is_empty());
            match (!is_over).then(known).flatten() {
                Some(name) => {
                    let values = self.values(&name).iter();
                    open.extend(values.map(|value| (assigned::replaced(&text, &name, &value.str()), step + 1)));
                }
                None => found.push(text),
            }
        }
        found
    }

    /// The enclosing levels, its own first.
    pub fn levels(&self) -> impl Iterator<Item = &'p Level<'a>> {
        self.levels.iter().skip(1).rev()
    }
}

/// A rule's result: the position, what is wrong, and the correction.
pub struct Finding {
    /// What is marked.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// Another place involved.
    pub note: Option<(Span, String)>,
}

impl Finding {
    /// Without another place.
    pub fn new(span: Span, message: impl Into<String>, help: impl Into<String>) -> Finding {
        Finding { span, message: message.into(), help: help.into(), note: None }
    }

    /// Adds another place involved.
    pub fn note(mut self, span: Span, note: impl Into<String>) -> Finding {
        self.note = Some((span, note.into()));
        self
    }
}

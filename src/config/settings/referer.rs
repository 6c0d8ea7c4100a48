//! valid_referers: which Referer headers leave `$invalid_referer` empty.

use crate::config::names::HostNames;
use crate::config::pattern::{Failed, Pattern};
use crate::config::pattern_set::{PatternSet, Wanted};
use std::cell::OnceCell;
use std::rc::Rc;

/// What the levels of valid_referers say; shared once read.
#[derive(Clone, Debug, Default)]
pub struct Referers {
    /// A request without a Referer is valid.
    pub none: bool,
    /// So is one whose Referer has no scheme (a firewall took it).
    pub blocked: bool,
    /// The names of the server itself are valid.
    pub server_names: bool,
    pub hosts: Rc<HostNames>,
    /// What the path must begin with, by the value of a host.
    pub uris: Rc<Vec<Box<[u8]>>>,
    /// Matched with what follows the scheme.
    pub regexes: Rc<Regexes>,
}

#[derive(Debug, Default)]
pub struct Regexes {
    list: Vec<Rc<Pattern>>,
    /// Over `list`, once that is complete.
    set: OnceCell<Option<PatternSet>>,
}

impl Clone for Regexes {
    fn clone(&self) -> Regexes {
        Regexes { list: self.list.clone(), set: OnceCell::new() }
    }
}

impl Regexes {
    pub fn push(&mut self, pattern: Pattern) {
        self.list.push(Rc::new(pattern));
        self.set.take();
    }

    /// Makes ready for questions.
    pub fn equip(&self) {
        self.set.get_or_init(|| PatternSet::new(self.list.iter().map(|pattern| &**pattern), Wanted::Match));
    }

    /// # Errors
    /// Whether one matches could not be found out.
    pub fn any_matches(&self, subject: &[u8]) -> Result<bool, Failed> {
        let Some(Some(set)) = self.set.get() else {
            return self.list.iter().try_fold(false, |found, pattern| Ok(found || pattern.is_match(subject)?));
        };
        let pattern = |at: usize| self.list.get(at).map(|pattern| &**pattern);
        let first = set.candidates(subject).first(0..self.list.len(), subject, pattern);
        first.map(|found| found.is_some()).map_err(|(_, failed)| failed)
    }
}

impl Referers {
    /// Some valid_referers is in force.
    pub fn is_set(&self) -> bool {
        self.server_names || !self.hosts.is_empty() || !self.regexes.list.is_empty()
    }

    /// nginx does not count regexes when it asks whether anything is valid besides `none` and `blocked`.
    pub fn names_hosts(&self) -> bool {
        self.server_names || !self.hosts.is_empty()
    }
}

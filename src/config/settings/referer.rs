//! valid_referers: for which Referer headers `$invalid_referer` is empty.

use crate::config::names::HostNames;
use crate::config::pattern::{Effort, Failed, Pattern};
use crate::config::pattern_set::{MatchMode, PatternSet};
use std::cell::OnceCell;
use std::rc::Rc;

/// valid_referers of a level, outer ones included; shared once read.
#[derive(Clone, Debug, Default)]
pub struct Referers {
    /// Whether a request without a Referer is valid.
    pub none: bool,
    /// Whether a Referer without a scheme is valid (firewalls may strip it).
    pub blocked: bool,
    /// Whether the server's own names are valid.
    pub server_names: bool,
    /// Names that are valid, each with the number of its path in `uris`.
    pub hosts: Rc<HostNames>,
    /// Required path prefixes, by the value that a host maps to.
    pub uris: Rc<Vec<Box<[u8]>>>,
    /// Matched against the text after the scheme.
    pub regexes: Rc<Regexes>,
}

/// Patterns of valid_referers.
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
    /// To be called before the first request.
    pub fn push(&mut self, pattern: Pattern) {
        self.list.push(Rc::new(pattern));
        self.set.take();
    }

    /// Builds the index.
    pub fn equip(&self) {
        self.set.get_or_init(|| PatternSet::new(self.list.iter().map(|pattern| &**pattern), MatchMode::Match));
    }

    /// # Errors
    /// Matching failed without a result.
    pub fn any_matches(&self, subject: &[u8], effort: &mut Effort) -> Result<bool, Failed> {
        let Some(Some(set)) = self.set.get() else {
            let mut list = self.list.iter();
            return list.try_fold(false, |found, pattern| Ok(found || pattern.is_match_within(subject, effort)?));
        };
        let pattern = |at: usize| self.list.get(at).map(|pattern| &**pattern);
        let first = set.candidates(subject, effort).first(0..self.list.len(), subject, effort, pattern);
        first.map(|found| found.is_some()).map_err(|(_, failed)| failed)
    }
}

impl Referers {
    /// Whether valid_referers is set at all.
    pub fn is_set(&self) -> bool {
        self.server_names || !self.hosts.is_empty() || !self.regexes.list.is_empty()
    }

    /// Whether any host is listed. As in nginx, regexes do not count.
    pub fn names_hosts(&self) -> bool {
        self.server_names || !self.hosts.is_empty()
    }
}

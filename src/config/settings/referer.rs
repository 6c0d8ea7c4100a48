//! valid_referers: which Referer headers leave `$invalid_referer` empty.

use crate::config::names::HostNames;
use crate::config::pattern::Pattern;
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
    pub regexes: Rc<Vec<Rc<Pattern>>>,
}

impl Referers {
    /// Some valid_referers is in force.
    pub fn is_set(&self) -> bool {
        self.server_names || !self.hosts.is_empty() || !self.regexes.is_empty()
    }

    /// nginx does not count regexes when it asks whether anything is valid besides `none` and `blocked`.
    pub fn names_hosts(&self) -> bool {
        self.server_names || !self.hosts.is_empty()
    }
}

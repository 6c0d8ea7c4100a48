//! map and split_clients: variables that depend on a value.

use crate::config::names::HostNames;
use crate::config::pattern::Pattern;
use crate::config::pattern_set::PatternSet;
use crate::config::template::Template;

/// One `map`.
#[derive(Debug, Default)]
pub struct MapTable {
    pub source: Template,
    pub names: HostNames,
    /// Keys are host names: one trailing dot of the looked-up value does not count.
    pub hostnames: bool,
    pub regexes: Vec<(Pattern, u32)>,
    /// Of `regexes`.
    pub set: Option<PatternSet>,
    pub values: Vec<Template>,
    pub default: Option<u32>,
    /// Evaluated at each use instead of once a request.
    pub volatile: bool,
}

/// One `split_clients`.
#[derive(Debug, Default)]
pub struct SplitTable {
    pub source: Template,
    /// A hash below the number selects the value; 0 selects it for all others.
    pub parts: Vec<(u32, Box<[u8]>)>,
}

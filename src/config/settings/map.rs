//! map and split_clients: variables computed from another value.

use crate::config::names::HostNames;
use crate::config::pattern::Pattern;
use crate::config::pattern_set::PatternSet;
use crate::config::template::Template;

/// One `map` block.
#[derive(Debug, Default)]
pub struct MapTable {
    pub source: Template,
    pub names: HostNames,
    /// Whether keys are host names: then a trailing dot of the source value is ignored.
    pub hostnames: bool,
    pub regexes: Vec<(Pattern, u32)>,
    /// Over `regexes`.
    pub set: Option<PatternSet>,
    pub values: Vec<Template>,
    pub default: Option<u32>,
    /// Whether it is evaluated at each use instead of once per request.
    pub volatile: bool,
}

/// One `split_clients` block.
#[derive(Debug, Default)]
pub struct SplitTable {
    pub source: Template,
    /// Ascending (end, value): a hash below `end` selects the value; 0 selects it for all the rest.
    pub parts: Vec<(u32, Box<[u8]>)>,
}

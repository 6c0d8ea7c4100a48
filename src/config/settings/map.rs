//! map and split_clients: variables computed from another value.

use crate::config::names::HostNames;
use crate::config::pattern::Pattern;
use crate::config::pattern_set::PatternSet;
use crate::config::template::Template;

/// One `map` block.
#[derive(Debug, Default)]
pub struct MapTable {
    /// The first argument of `map`.
    pub source: Template,
    /// Keys without a regex, by the number of their value.
    pub names: HostNames,
    /// Whether keys are host names: then a trailing dot of the source value is ignored.
    pub hostnames: bool,
    /// Keys with a regex, in order, and the number of their value.
    pub regexes: Vec<(Pattern, u32)>,
    /// Over `regexes`.
    pub set: Option<PatternSet>,
    /// By these numbers.
    pub values: Vec<Template>,
    /// The number of `default`; None: empty.
    pub default: Option<u32>,
    /// Whether it is evaluated at each use instead of once per request.
    pub volatile: bool,
}

/// One `split_clients` block.
#[derive(Debug, Default)]
pub struct SplitTable {
    /// What is hashed (MurmurHash2, as nginx).
    pub source: Template,
    /// Ascending (end, value): a hash below `end` selects the value; 0 selects it for all the rest.
    pub parts: Vec<(u32, Box<[u8]>)>,
}

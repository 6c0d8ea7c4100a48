//! Variables that the configuration computes: map, geo, split_clients, and the verdict of valid_referers.
//!
//! A value is computed at its first use and kept for the request, error pages and internal redirects included, as in
//! nginx; a volatile map is computed at each use.

use super::keep::Keep;
use super::put::Is;
use super::{geo, map, murmur};
use crate::config::model::Level;
use crate::config::template::Source;
use crate::exchange::Exchange;
use crate::services::Services;
use crate::util::text::Text;

/// Variables that are made of variables, at most this deep; more is a cycle (nginx's number).
const DEEPEST: u8 = 100;

/// Appends the value of variable `at`, which has none stored.
pub fn value(source: &Source, at: u32, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Is {
    if ex.route.depth >= DEEPEST {
        let config = ex.config.clone();
        let name = config.variables.defined.get(at as usize).map_or("", |(name, _)| name);
        ex.report(cx, Level::Error, format_args!("cycle while evaluating variable \"{name}\""));
        return Is::Unset;
    }
    let from = out.len();
    ex.route.depth += 1;
    let keep = match source {
        Source::Map(table) => map::value(*table, ex, cx, out),
        Source::Geo(table) => geo::value(*table, ex, cx, out),
        Source::Split(table) => murmur::split(*table, ex, cx, out),
        Source::Stored | Source::Captured | Source::Undefined => Keep::No,
    };
    ex.route.depth -= 1;
    if keep == Keep::Yes {
        let value = Text::new(out.get(from..).unwrap_or_default());
        ex.set_user(at, value);
    }
    Is::Set
}

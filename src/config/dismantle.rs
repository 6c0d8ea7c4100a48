//! Frees large structures in steps: freeing a configuration of fifty thousand servers takes as long as several turns of
//! the event loop should.

use super::ast::Directive;
use super::model::Config;
use crate::util::checkpoint;

/// Frees a tree, passing checkpoints. The parser bounds the depth of the recursion.
pub fn tree(tree: Vec<Directive>) {
    for mut directive in tree {
        if let Some(block) = directive.block.take() {
            self::tree(block);
        }
        checkpoint::pass();
    }
}

/// Frees parts of an unused configuration while `goes_on` returns true. Returns true when only small parts are left.
pub fn config(config: &mut Config, mut goes_on: impl FnMut() -> bool) -> bool {
    let values = |config: &mut Config| config.tables.maps.iter_mut().any(|map| map.values.pop().is_some());
    while goes_on() {
        if values(config) {
            continue;
        }
        if config.locations.pop().is_none() & config.servers.pop().is_none() & config.endpoints.pop().is_none() {
            return true;
        }
    }
    false
}

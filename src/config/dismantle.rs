//! Dropping what is large in steps: freeing a configuration of fifty thousand servers takes as long as several turns of the
//! loop may.

use super::ast::Directive;
use super::model::Config;
use crate::util::checkpoint;

/// Drops a tree, passing checkpoints. Recursion is as deep as the parser allows blocks to be.
pub fn tree(tree: Vec<Directive>) {
    for mut directive in tree {
        if let Some(block) = directive.block.take() {
            self::tree(block);
        }
        checkpoint::pass();
    }
}

/// Drops parts of a configuration that nothing holds any more, while `goes_on`; true once there is little left of it.
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

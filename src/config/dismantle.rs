//! Frees large structures in steps: freeing a configuration of fifty thousand servers takes as long as several turns of
//! the event loop should.

use super::ast::Directive;
use super::model::{Config, Names, Tables};
use super::settings::map::MapTable;
use crate::util::checkpoint;
use crate::util::hash::free_some;

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
    while goes_on() {
        if of_tables(&mut config.tables) || config.endpoints.iter_mut().any(|endpoint| of_names(&mut endpoint.names)) {
            continue;
        }
        if config.locations.pop().is_none() & config.servers.pop().is_none() & config.endpoints.pop().is_none() {
            return true;
        }
    }
    false
}

/// Frees a part of a map or a geo block, if there is one: each may have a hundred thousand entries.
fn of_tables(tables: &mut Tables) -> bool {
    let of_map = |map: &mut MapTable| {
        let of_texts = map.values.pop().is_some() || map.names.free_some();
        of_texts || map.set.take().is_some() || map.regexes.pop().is_some()
    };
    tables.maps.iter_mut().any(of_map) || tables.geos.iter_mut().any(|geo| geo.values.pop().is_some())
}

fn of_names(names: &mut Names) -> bool {
    let mut tables = [&mut names.exact, &mut names.suffixes, &mut names.prefixes].into_iter();
    tables.any(free_some) || names.set.take().is_some() || names.regexes.pop().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::model::ServerId;
    use crate::config::resolve::resolve;
    use std::path::Path;

    #[test]
    fn a_map_of_many_patterns_is_freed_in_steps() {
        let lines: String = (0..1000).map(|n| format!("~^/p{n}/[a-z]+x{n}$ {n};")).collect();
        let text =
            format!("map $uri $m {{ {lines} }} geo $g {{ 10.0.0.1 a; 10.0.0.2 b; }} server {{ listen 127.0.0.1:1; }}");
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let mut spent = resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None).config.expect("valid");
        let mut steps = 0;
        assert!(!config(&mut spent, || {
            steps += 1;
            steps <= 10
        }));
        assert!(spent.tables.maps[0].regexes.len() + spent.tables.maps[0].values.len() >= 1990, "ten steps");
        spent.endpoints[0].names.exact.extend((0..1000u32).map(|n| (n.to_be_bytes().into(), ServerId(0))));
        let mut steps = 0;
        assert!(config(&mut spent, || {
            steps += 1;
            true
        }));
        assert!(steps > 1990 + 1000 / 256, "{steps}");
        assert!(spent.tables.maps[0].regexes.is_empty() && spent.tables.geos[0].values.is_empty());
    }
}

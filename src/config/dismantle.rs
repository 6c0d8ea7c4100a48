//! Frees large structures in steps: freeing a configuration of fifty thousand servers takes as long as several turns of
//! the event loop should.

use super::ast::Directive;
use super::model::{Config, LocationTree, Names, Tables};
use super::pattern_set::PatternSet;
use super::script::{OpTest, Script};
use super::settings::map::MapTable;
use super::settings::upstream::Upstream;
use crate::sys::process;
use crate::util::checkpoint;
use crate::util::hash::free_some;
use std::rc::Rc;

/// Small entries of a list that are freed in a step.
const SOME: usize = 64;

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
        process::sort_freed_blocks();
        if of_tables(&mut config.tables) || config.endpoints.iter_mut().any(|endpoint| of_names(&mut endpoint.names)) {
            continue;
        }
        if let Some(location) = config.locations.last_mut()
            && (of_script(&mut location.script) || location.tree.as_deref_mut().is_some_and(of_tree))
        {
            continue;
        }
        if config.servers.last_mut().is_some_and(|server| of_tree(&mut server.tree))
            || config.upstreams.last_mut().is_some_and(servers)
        {
            continue;
        }
        let are_left = config.locations.pop().is_some()
            | config.servers.pop().is_some()
            | config.endpoints.pop().is_some()
            | some_upstreams(&mut config.upstreams);
        if !are_left {
            return true;
        }
    }
    false
}

/// Frees a part of a map or a geo block, if there is one: each may have a hundred thousand entries. Of tables of other
/// kinds there may be thousands.
fn of_tables(tables: &mut Tables) -> bool {
    let of_map = |map: &mut MapTable| {
        let of_texts = map.values.pop().is_some() || map.names.free_some();
        of_texts || map.set.as_mut().is_some_and(PatternSet::free_some) || map.regexes.pop().is_some()
    };
    if tables.maps.last_mut().is_some_and(of_map) || tables.maps.pop().is_some() {
        return true;
    }
    if tables.geos.last_mut().is_some_and(|geo| geo.values.pop().is_some()) || tables.geos.pop().is_some() {
        return true;
    }
    tables.charsets.pop().is_some() || tables.splits.pop().is_some() || some(&mut tables.zones)
}

/// Frees some entries of a list. False: it is empty.
fn some<T>(list: &mut Vec<T>) -> bool {
    let len = list.len();
    list.truncate(len.saturating_sub(SOME));
    len > 0
}

/// As [`of_tables`]; an op may have a pattern whose engine is large.
fn of_script(script: &mut Script) -> bool {
    if script.ops.pop().is_some() || script.set_runs.pop().is_some() {
        return true;
    }
    let Some(list) = script.lists.lists.last_mut() else { return false };
    let has_freed = match &mut list.test {
        OpTest::Texts(table) | OpTest::NoTexts(table) => free_some(table),
        OpTest::Maps(maps) => free_some(&mut maps.named),
        OpTest::Patterns(set) | OpTest::NoPatterns(set) => set.free_some(),
        OpTest::Geos(_) => false,
    };
    has_freed || script.lists.lists.pop().is_some()
}

fn of_tree(tree: &mut LocationTree) -> bool {
    free_some(&mut tree.exact)
        || some(&mut tree.prefixes)
        || tree.set.as_deref_mut().is_some_and(PatternSet::free_some)
        || tree.regexes.pop().is_some()
}

/// Frees some servers of a group that nothing else uses. False: none are left, or something uses it.
pub fn servers(upstream: &mut Rc<Upstream>) -> bool {
    Rc::get_mut(upstream).is_some_and(|upstream| some(&mut upstream.peers) || some(&mut upstream.dynamic))
}

/// Frees some groups, up to the next that has many servers: [`servers`] frees those. False: there is none.
fn some_upstreams(upstreams: &mut Vec<Rc<Upstream>>) -> bool {
    let is_large = |upstream: &Rc<Upstream>| {
        Rc::strong_count(upstream) == 1 && upstream.peers.len() + upstream.dynamic.len() > SOME
    };
    let len = upstreams.len();
    for _ in 0..SOME {
        upstreams.pop();
        if upstreams.last().is_none_or(is_large) {
            break;
        }
    }
    len > 0
}

fn of_names(names: &mut Names) -> bool {
    let mut tables = [&mut names.exact, &mut names.suffixes, &mut names.prefixes].into_iter();
    tables.any(free_some) || names.set.as_mut().is_some_and(PatternSet::free_some) || names.regexes.pop().is_some()
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
        assert!(spent.tables.maps.is_empty() && spent.tables.geos.is_empty());
    }

    /// The automata of thousands of patterns are megabytes each.
    #[test]
    fn a_set_of_many_patterns_is_freed_group_by_group() {
        let lines: String = (0..2000).map(|n| format!("~^/[0-9]{{4}}[a-z]{{{}}}$ {n};", 1 + n % 9)).collect();
        let text = format!(
            "map $uri $m {{ {} }} server {{ listen 127.0.0.1:1; }}",
            lines.replace('~', "\"~").replace("$ ", "$\" ")
        );
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let mut spent = resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None).config.expect("valid");
        let set = spent.tables.maps[0].set.as_mut().expect("a set");
        let mut steps = 0;
        while set.free_some() {
            steps += 1;
        }
        assert!(steps >= 2000 / 256, "{steps}");
        assert!(config(&mut spent, || true));
    }

    #[test]
    fn scripts_locations_and_groups_of_thousands_are_freed_in_steps() {
        let rewrites: String = (0..1000).map(|n| format!("rewrite ^/p{n}/[a-z]+x{n}$ /q;")).collect();
        let texts: String = (0..1000).map(|n| format!("if ($arg_a = x{n}) {{ return 403; }}")).collect();
        let places: String = (0..1000).map(|n| format!("location /l{n} {{ }} location = /e{n} {{ }}")).collect();
        let servers: String = (0..1000).map(|n| format!("server 127.0.0.1:{};", 1000 + n)).collect();
        let peers: String = (0..100).map(|n| format!("server 127.0.0.2:{};", 1000 + n)).collect();
        let groups: String = (0..30).map(|n| format!("upstream u{n} {{ {peers} }}")).collect();
        let text = format!(
            "upstream u {{ {servers} }} {groups} server {{ listen 127.0.0.1:1; {rewrites} {places} location / {{ {texts} }} }}"
        );
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let mut spent = resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None).config.expect("valid");
        let entries = |spent: &Config| -> usize {
            let ops = spent.locations.iter().map(|location| location.script.ops.len());
            let trees = spent.servers.iter().map(|server| server.tree.prefixes.len() + server.tree.exact.len());
            let peers = spent.upstreams.iter().map(|upstream| upstream.peers.len());
            ops.chain(trees).chain(peers).sum()
        };
        let mut before = entries(&spent);
        assert!(before >= 8000, "{before}");
        while !config(&mut spent, {
            let mut steps = 2;
            move || {
                steps -= 1;
                steps > 0
            }
        }) {
            let left = entries(&spent);
            assert!(before - left <= 512, "{} in one step", before - left);
            before = left;
        }
        assert_eq!(before, 0);
    }
}

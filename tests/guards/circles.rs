//! Import circles: files that import each other, directly or around, can only be read together. There are none but
//! inside a feature, and those are named here.
//!
//! Counted on the text, as a reader would: `use`, and paths written out that begin with `crate`, `self`, `super` or the
//! name of a child (`handlers::autoindex::Making` in exchange/mod.rs). A path is an import of the file of its longest
//! part that is a module.

use super::sources::{Source, code, sources};
use std::collections::{BTreeMap, BTreeSet};

/// Files of one feature that import each other, of nine at most. There are none; a new one needs its reason here.
const CIRCLES: &[&[&str]] = &[];

/// Files of the largest circle that may be listed.
const LARGEST: usize = 9;

type Imports = BTreeMap<String, BTreeSet<String>>;

/// The module that a file is, as its path of names.
fn module(path: &str) -> Vec<String> {
    let mut names: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    if names == ["lib"] { Vec::new() } else { names }
}

/// The paths of a `use`, its braces written out.
fn expanded(text: &str, found: &mut Vec<String>) {
    let text = text.trim();
    let Some((before, inside)) = text.split_once('{') else {
        found.push(text.split(" as ").next().unwrap_or_default().trim().to_owned());
        return;
    };
    let inside = inside.strip_suffix('}').unwrap_or(inside);
    let (mut depth, mut start) = (0, 0);
    for (at, sign) in inside.char_indices().chain([(inside.len(), ',')]) {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = inside.get(start..at).unwrap_or_default();
                if !part.trim().is_empty() {
                    expanded(&format!("{before}{}", part.trim()), found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Every path that a text names: those of its `use`s, then those written out in its code.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    for (at, _) in text.match_indices("use ") {
        if text.get(..at).and_then(|before| before.chars().next_back()).is_none_or(|before| !is_name(before))
            && let Some((list, _)) = text.get(at + 4..).and_then(|rest| rest.split_once(';'))
        {
            expanded(&list.split_whitespace().collect::<Vec<_>>().join(" "), &mut found);
        }
    }
    // What begins no path of this crate's is told by [`absolute`].
    for path in text.split(|c: char| !is_name(c) && c != ':').filter(|path| path.contains("::")) {
        // One that ends so begins a list of a `use`; one that begins so goes on behind a type in brackets.
        found.extend(Some(path).filter(|path| !path.ends_with(':') && !path.starts_with(':')).map(str::to_owned));
    }
    found
}

/// The modules that a path leads through, from the crate's root on. None: it is another crate's.
fn absolute(path: &str, own: &[String], modules: &BTreeMap<Vec<String>, String>) -> Option<Vec<String>> {
    let mut names = path.split("::").map(str::trim).filter(|name| !name.is_empty()).peekable();
    let mut found = match *names.peek()? {
        "crate" => Vec::new(),
        "self" | "super" => own.to_vec(),
        name => {
            let child = [own, &[name.to_owned()]].concat();
            modules.contains_key(&child).then(|| own.to_vec())?
        }
    };
    for name in names {
        match name {
            "crate" | "self" => {}
            "super" => drop(found.pop()),
            name => found.push(name.to_owned()),
        }
    }
    Some(found)
}

fn imports(sources: &[Source]) -> Imports {
    let modules: BTreeMap<Vec<String>, String> =
        sources.iter().map(|source| (module(&source.path), source.path.clone())).collect();
    let mut imports = Imports::new();
    for source in sources {
        let text: Vec<&str> = code(source).map(|(_, line)| line).collect();
        let own = module(&source.path);
        let targets = imports.entry(source.path.clone()).or_default();
        for path in paths(&text.join("\n")) {
            let Some(names) = absolute(&path, &own, &modules) else { continue };
            let file = (1..=names.len()).rev().find_map(|most| modules.get(names.get(..most)?));
            targets.extend(file.filter(|file| **file != source.path).cloned());
        }
    }
    imports
}

/// All that a file leads to.
fn reachable<'i>(imports: &'i Imports, from: &'i str) -> BTreeSet<&'i str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if found.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    found
}

/// The circles, each as its files in order.
fn circles(imports: &Imports) -> BTreeSet<Vec<&str>> {
    let leads: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (file.as_str(), reachable(imports, file))).collect();
    let in_one = leads.iter().filter(|(file, all)| all.contains(*file));
    let circle = in_one.map(|(file, all)| {
        all.iter().copied().filter(|other| leads.get(other).is_some_and(|back| back.contains(file))).collect()
    });
    circle.collect()
}

#[test]
fn files_import_each_other_only_inside_a_feature() {
    let sources = sources();
    let imports = imports(&sources);
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 1000, "the imports were not found");
    let found = circles(&imports);
    let mut wrong = Vec::new();
    for circle in &found {
        if circle.len() > LARGEST {
            wrong.push(format!("a circle of {} files", circle.len()));
        }
        if !CIRCLES.iter().any(|known| circle.iter().all(|file| known.contains(file))) {
            wrong.push(format!("these import each other: {}", circle.join(", ")));
        }
    }
    for known in CIRCLES {
        if !found.iter().any(|circle| circle[..] == **known) {
            wrong.push(format!("this circle is smaller now, or gone: {}", known.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "import circles:\n  {}", wrong.join("\n  "));
}

#[test]
fn a_circle_is_found_whatever_its_imports_look_like() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let imports = imports(&[
        source("a/mod.rs", "use crate::b::{self, X as Y};"),
        source("b.rs", "pub use super::a::{\n    one::Thing,\n    Other,\n};"),
        source("a/one.rs", "fn f() { super::g(); }"),
        source("a/two.rs", "use one::Thing; // use super::one::Thing;"),
        source("c.rs", "use std::fmt; use crate::a::Name;"),
        source("d/mod.rs", "use crate::d::one::Thing;"),
        source("d/one.rs", "use super::{two};"),
        source("d/two.rs", ""),
        source("e/mod.rs", "mod one;\npub struct A(one::B);"),
        source("e/one.rs", "use super::A;\npub struct B(Option<Box<A>>);"),
        // Neither has a child of that name.
        source("e/two.rs", "use super::one;\nfn f(b: one::B) { d::g(b) }"),
    ]);
    let expected = [vec!["a/mod.rs", "a/one.rs", "b.rs"], vec!["e/mod.rs", "e/one.rs"]];
    assert_eq!(circles(&imports), BTreeSet::from(expected));
}

//! Names in brackets in the documentation of files lead to what is there: a file that is renamed leaves no door behind.

use super::sources::{Source, code, sources};
use std::collections::{BTreeMap, HashSet};

/// A name that documentation refers to: where it stands, and the path it means.
struct Link<'s> {
    line: usize,
    name: &'s str,
    path: &'s str,
}

/// [`name`], [`name`](path), and [`name`] with a line `[`name`]: path`.
fn links(source: &Source) -> Vec<Link<'_>> {
    let docs: Vec<(usize, &str)> = source.text.lines().enumerate().filter(|(_, line)| is_doc(line)).collect();
    let mut found = Vec::new();
    for &(at, line) in &docs {
        for (_, rest) in line.match_indices("[`").map(|(start, _)| line.split_at(start + 2)) {
            let Some((name, behind)) = rest.split_once("`]") else { continue };
            let is_path = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':');
            let reference = format!("[`{name}`]: ");
            let given = docs.iter().find_map(|(_, line)| text_of(line).strip_prefix(&reference));
            let inline = behind.strip_prefix('(').and_then(|path| path.split(['(', ')']).next());
            if is_path && !text_of(line).starts_with(&reference) {
                found.push(Link { line: at + 1, name, path: inline.or(given).unwrap_or(name) });
            }
        }
    }
    found
}

fn is_doc(line: &str) -> bool {
    line.trim_start().starts_with("///") || line.trim_start().starts_with("//!")
}

/// A line of documentation without the sign of a comment.
fn text_of(line: &str) -> &str {
    line.trim_start().trim_start_matches(['/', '!']).trim_start()
}

/// The words of each module's code, by the module's path.
type Modules = BTreeMap<String, HashSet<String>>;

fn modules(sources: &[Source]) -> Modules {
    let path = |source: &Source| source.path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let words = |line: &str| -> Vec<String> {
        line.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect()
    };
    sources.iter().map(|source| (path(source), code(source).flat_map(|(_, line)| words(line)).collect())).collect()
}

fn leads_somewhere(modules: &Modules, own: &str, path: &str) -> bool {
    let mut parts: Vec<&str> = path.split("::").collect();
    let above = parts.iter().take_while(|part| **part == "super").count();
    let is_absolute = parts.first() == Some(&"crate") || above > 0;
    if above > 0 {
        let room: Vec<&str> = own.split("::").collect();
        parts.splice(..above, room[..room.len().saturating_sub(above)].iter().copied());
    } else if is_absolute {
        parts.remove(0);
    }
    if !is_absolute {
        // What the file names itself, and what some file has of that.
        let has = |module: &HashSet<String>, name: &str| module.contains(name);
        let (first, last) = (parts.first().copied().unwrap_or_default(), parts.last().copied().unwrap_or_default());
        let names_it = modules.get(own).is_some_and(|module| has(module, first));
        return matches!(first, "Self" | "std" | "tests")
            || names_it && (parts.len() == 1 || modules.values().any(|module| has(module, last)));
    }
    (1..=parts.len()).rev().any(|most| {
        let (module, items) = parts.split_at(most);
        modules.get(&module.join("::")).is_some_and(|words| items.iter().all(|item| words.contains(*item)))
    })
}

#[test]
fn the_documentation_names_what_is_there() {
    let sources = sources();
    let modules = modules(&sources);
    let (mut wrong, mut count) = (Vec::new(), 0);
    for source in &sources {
        let own = source.path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
        for link in links(source) {
            count += 1;
            if !leads_somewhere(&modules, &own, link.path) {
                wrong.push(format!("src/{}:{}: {}", source.path, link.line, link.name));
            }
        }
    }
    assert!(count > 300, "the links were not found: {count}");
    assert!(wrong.is_empty(), "nothing has these names:\n  {}", wrong.join("\n  "));
}

#[test]
fn a_link_is_followed_however_it_is_written() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let sources = [
        source(
            "a/mod.rs",
            "//! [`one`], [`gone`], [`crate::b::Thing`], [`T`](super::b::Thing), [`S`].\n//!\n//! [`S`]: crate::b::Gone\nmod one;",
        ),
        source("a/one.rs", "//! [`super::two`], [`crate::gone`]\n"),
        source("b.rs", "pub struct Thing;"),
    ];
    let modules = modules(&sources);
    let wrong: Vec<&str> = [("a", 0), ("a::one", 1)]
        .into_iter()
        .flat_map(|(own, at)| links(&sources[at]).into_iter().map(move |link| (own, link)))
        .filter(|(own, link)| !leads_somewhere(&modules, own, link.path))
        .map(|(_, link)| link.name)
        .collect();
    assert_eq!(wrong, ["gone", "S", "super::two", "crate::gone"]);
}

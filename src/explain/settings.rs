//! The directives in force at a place and their positions: searches the blocks of the syntax tree from the inside out,
//! following the rules of inheritance. Values are shown as written.

use crate::config::ast::{Directive, Span};
use crate::config::context::Contexts;
use crate::config::registry;
use crate::config::row::{Effect, Row};
use crate::config::sources::Sources;

/// A directive in force.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// As written, with single spaces.
    pub text: String,
    /// `FILE:LINE`; None: the default.
    pub place: Option<String>,
}

/// Directives that are not inherited.
const OWN: [&str; 4] = ["try_files", "empty_gif", "stub_status", "limit_except"];
/// Directives that are inherited together: the innermost block with any of them decides.
const INHERITED_TOGETHER: [&[&str]; 2] = [&["root", "alias"], &["allow", "deny"]];

/// The settings in the block that begins at `at`: those that differ from the default, and always root and index.
pub fn at(tree: &[Directive], at: Span, sources: &Sources) -> Vec<Setting> {
    let mut chain = Vec::new();
    find(tree, at, &mut chain);
    // Innermost level first.
    let levels: Vec<&[Directive]> =
        chain.iter().rev().filter_map(|d| d.block.as_deref()).chain(std::iter::once(tree)).collect();
    let mut rows: Vec<&Row> = registry::rows().filter(|row| is_setting(row)).collect();
    rows.sort_by_key(|row| (row.name != "root", row.name != "index", row.name));
    rows.into_iter().flat_map(|row| of(row, &levels, sources)).collect()
}

/// Whether a directive is about requests, not about the process.
fn is_setting(row: &Row) -> bool {
    let inherited = Contexts::HTTP.or(Contexts::SERVER);
    let simple = !matches!(row.effect, Effect::Script | Effect::Section(_));
    simple && (row.contexts.contains(Contexts::LOCATION) || row.contexts.contains(inherited))
}

fn of(row: &Row, levels: &[&[Directive]], sources: &Sources) -> Vec<Setting> {
    let is = |d: &Directive, row: &Row| std::iter::once(&row.name).chain(row.aliases).any(|name| d.name.is(name));
    let levels = if OWN.contains(&row.name) { levels.get(..1).unwrap_or_default() } else { levels };
    let together = INHERITED_TOGETHER.iter().find(|names| names.contains(&row.name));
    let decides = |d: &Directive| match together {
        Some(names) => names.iter().any(|name| d.name.is(name)),
        None => is(d, row),
    };
    // With add_header_inherit merge, each level adds to the outer ones.
    let merged = row.name == "add_header"
        && levels
            .iter()
            .find_map(|level| level.iter().find(|d| d.name.is("add_header_inherit")))
            .is_some_and(|d| d.args.first().is_some_and(|word| word.is("merge")));
    let mut found = Vec::new();
    for level in levels.iter().filter(|level| level.iter().any(decides)) {
        let given = level.iter().filter(|d| is(d, row));
        found.extend(given.map(|d| Setting { text: written(d, sources), place: Some(sources.place(d.span)) }));
        if !merged {
            break;
        }
    }
    let overridden = together.is_some() && levels.iter().any(|level| level.iter().any(decides));
    let always = matches!(row.name, "root" | "index");
    let default = format!("{} {};", row.name, row.default);
    if found.is_empty() && always && !overridden {
        return vec![Setting { text: default, place: None }];
    }
    if !always {
        found.retain(|setting| setting.text != default);
    }
    found
}

fn written(d: &Directive, sources: &Sources) -> String {
    let text = String::from_utf8_lossy(sources.slice(d.span)).split_whitespace().collect::<Vec<_>>().join(" ");
    let end = if d.block.is_some() { " { … }" } else { ";" };
    crate::util::printable::visible(&format!("{text}{end}"))
}

/// Finds the blocks that enclose the one beginning at `at`, outermost first.
fn find<'t>(level: &'t [Directive], at: Span, chain: &mut Vec<&'t Directive>) -> bool {
    for d in level.iter().filter(|d| d.block.is_some()) {
        chain.push(d);
        if (d.span.file, d.span.start) == (at.file, at.start) || find(d.block.as_deref().unwrap_or_default(), at, chain)
        {
            return true;
        }
        chain.pop();
    }
    false
}

//! `webserv lint`: valid configuration that is probably not intended. Walks the syntax tree, not the resolved model, so
//! that every warning points at a line; knows directives by name and changes nothing.
//!
//! A rule is a function over one directive and its enclosing blocks, and a row of its file's `RULES`: a code, a title
//! and a page of text. `# lint: allow W101` silences a code on its line, on the next line, or in the block opened
//! there.

mod access;
mod addresses;
mod applications;
mod arguments;
mod assigned;
mod backtracking;
mod blocks;
mod browser_headers;
mod caching;
mod captures;
mod client_input;
mod comparisons;
mod conditions;
mod constant_conditions;
mod credentials;
mod dead;
mod defaults;
mod directions;
mod disclosed_files;
mod effort;
mod encoded_paths;
mod errors;
mod exposure;
mod files;
mod half_anchored;
mod headers;
mod held_resources;
mod inactive_settings;
mod ineffective_protection;
mod inherited;
mod issuers;
mod level;
mod literal_punctuation;
mod location_conflicts;
mod logs;
mod lost_paths;
mod media;
mod misrouting;
mod missing_prerequisites;
mod named_files;
mod nginx_pitfalls;
mod order;
mod origins;
mod paths;
mod ports;
mod protection_bypass;
mod proxied;
mod punctuation;
mod redirect_chains;
mod redirect_loops;
mod refusals;
mod regexes;
mod rule;
mod shadowed_regexes;
mod shared_limits;
mod small_limits;
mod spelling;
mod stray_signs;
mod tables;
mod targets;
mod texts;
mod transport;
mod trust;
mod unpassed;
mod unsent_headers;
mod upload_areas;
mod uploads;
mod upstreams;
mod used;
mod values;
mod weak_barriers;
mod wrong_pages;
mod wrong_variables;

use crate::config::ast::{Directive, FileId, Span};
use crate::config::error::Diagnostic;
use crate::config::sources::Sources;
use level::Level;
pub use rule::Paths;
use rule::{Finding, Index, Rule, RuleContext};
use std::cell::Cell;

/// All rules, one table per file.
const TABLES: &[&[Rule]] = &[
    access::AT_START,
    access::RULES,
    addresses::RULES,
    applications::RULES,
    arguments::RULES,
    browser_headers::RULES,
    caching::RULES,
    captures::RULES,
    client_input::RULES,
    comparisons::RULES,
    conditions::RULES,
    constant_conditions::RULES,
    credentials::RULES,
    dead::RULES,
    defaults::RULES,
    directions::RULES,
    effort::RULES,
    encoded_paths::RULES,
    errors::RULES,
    exposure::RULES,
    files::RULES,
    disclosed_files::RULES,
    half_anchored::RULES,
    headers::RULES,
    held_resources::RULES,
    inactive_settings::RULES,
    ineffective_protection::RULES,
    inherited::RULES,
    issuers::RULES,
    literal_punctuation::RULES,
    location_conflicts::RULES,
    logs::RULES,
    lost_paths::RULES,
    media::RULES,
    misrouting::RULES,
    missing_prerequisites::RULES,
    named_files::RULES,
    nginx_pitfalls::RULES,
    order::RULES,
    origins::RULES,
    paths::RULES,
    ports::RULES,
    protection_bypass::RULES,
    proxied::RULES,
    punctuation::RULES,
    redirect_chains::RULES,
    redirect_loops::RULES,
    regexes::RULES,
    refusals::RULES,
    shadowed_regexes::RULES,
    shared_limits::RULES,
    small_limits::RULES,
    spelling::RULES,
    stray_signs::RULES,
    targets::RULES,
    texts::RULES,
    transport::RULES,
    trust::RULES,
    upload_areas::RULES,
    unpassed::RULES,
    unsent_headers::RULES,
    uploads::RULES,
    upstreams::RULES,
    values::RULES,
    weak_barriers::RULES,
    wrong_pages::RULES,
    wrong_variables::RULES,
];

/// All rules by code: traps of the language (W0, W3), vulnerabilities (W1), and webserv's own directives (W2).
pub fn rules() -> Vec<&'static Rule> {
    sorted(TABLES)
}

/// Sorted by code, which is the order in which they check a directive.
fn sorted(tables: &[&'static [Rule]]) -> Vec<&'static Rule> {
    let mut rules: Vec<&Rule> = tables.iter().copied().flatten().collect();
    rules.sort_by_key(|rule| rule.code);
    rules
}

/// Rules whose conditions may be met around a location or beside it: they are not applied to a file of locations that a
/// server includes.
pub const NEED_CONTEXT: [&str; 6] = ["W075", "W108", "W117", "W125", "W201", "W205"];

/// All warnings for a tree, except those allowed by comments, in the order of the files.
pub fn lint(tree: &[Directive], sources: &Sources, paths: Option<&Paths>) -> Vec<Diagnostic> {
    by(&Index::new(&rules()), tree, sources, paths)
}

/// Maximum number of missing names compared with existing ones: each reads a directory, which delays the server's
/// start.
const COMPARISONS: u32 = 50;

/// The warnings shown when a server starts: about its files, and about ineffective protection.
pub fn at_start(tree: &[Directive], sources: &Sources, paths: &Paths) -> Vec<Diagnostic> {
    by(&Index::new(&sorted(&[access::AT_START, files::RULES])), tree, sources, Some(paths))
}

fn by(rules: &Index, tree: &[Directive], sources: &Sources, paths: Option<&Paths>) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let silences = |file| memchr::memmem::find(sources.bytes(file), ALLOW.as_bytes()).is_some();
    let silencing = sources.ids().filter(|file| silences(*file)).collect();
    let comparisons = Cell::new(COMPARISONS);
    let mut walk = Walk { rules, sources, silencing, paths, comparisons, warnings: &mut warnings };
    walk.level(Level::new(tree), &mut Vec::new(), &mut Vec::new());
    // The tree has what they include in their place.
    walk.level(Level::new(&sources.masks), &mut Vec::new(), &mut Vec::new());
    warnings.sort_by_key(|warning: &Diagnostic| warning.span.map(|span| (span.file, span.start)));
    warnings
}

/// The page of a rule, for `--explain`.
pub fn explain(code: &str) -> Option<String> {
    let rule = rules().into_iter().find(|rule| rule.code.eq_ignore_ascii_case(code))?;
    let silence = format!("To accept it at one place: `# lint: allow {}` on that line or above it.", rule.code);
    Some(format!("{}: {}\n\n{}\n\n{silence}\n", rule.code, rule.title, rule.page))
}

/// Code and title of each rule, one per line.
pub fn list() -> String {
    rules().into_iter().map(|rule| format!("{}  {}\n", rule.code, rule.title)).collect()
}

/// A walk through the tree.
struct Walk<'w> {
    rules: &'w Index,
    sources: &'w Sources,
    /// The files with a comment that allows a code: no others need to be searched.
    silencing: Vec<FileId>,
    paths: Option<&'w Paths>,
    comparisons: Cell<u32>,
    warnings: &'w mut Vec<Diagnostic>,
}

impl Walk<'_> {
    fn level<'a>(&mut self, level: Level<'a>, blocks: &mut Vec<&'a Directive>, levels: &mut Vec<Level<'a>>) {
        let all = level.all;
        levels.push(level);
        let (mut name, mut rules) = (None, &[][..]);
        for (at, d) in all.iter().enumerate() {
            let is_whole = !self.sources.lacks_files || self.paths.is_some_and(|paths| paths.on_this_machine);
            let (paths, comparisons) = (self.paths, &self.comparisons);
            let place = RuleContext { d, blocks, levels, at, paths, is_whole, comparisons };
            let mut found = Vec::new();
            // Most lines of a long block repeat the name of the previous line.
            if name.replace(d.name.bytes()) != Some(d.name.bytes()) {
                rules = self.rules.about(d.name.bytes());
            }
            for rule in rules {
                (rule.check)(&place, &mut found);
                for finding in found.drain(..) {
                    let around = blocks.iter().map(|block| block.name.span);
                    let mut spans = [finding.span, d.name.span].into_iter().chain(around);
                    if !spans.any(|span| self.silencing.contains(&span.file) && allowed(self.sources, span, rule.code))
                    {
                        self.warnings.push(diagnostic(finding, rule.code));
                    }
                }
            }
            if let Some(children) = &d.block {
                blocks.push(d);
                self.level(Level::new(children), blocks, levels);
                blocks.pop();
            }
        }
        levels.pop();
    }
}

fn diagnostic(finding: Finding, code: &'static str) -> Diagnostic {
    let mut warning = Diagnostic::warn(finding.span, finding.message).help(finding.help);
    warning.code = Some(code);
    match finding.note {
        Some((span, note)) => warning.note(span, note),
        None => warning,
    }
}

/// The prefix of a comment that allows codes.
const ALLOW: &str = "# lint: allow";

/// Whether a comment on the line of `span`, or alone on the previous line, allows the code.
fn allowed(sources: &Sources, span: Span, code: &str) -> bool {
    let allows = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        text.split_once(ALLOW).is_some_and(|(_, codes)| codes.split([' ', ',']).any(|word| word == code))
    };
    let line = sources.line(span);
    if allows(line) {
        return true;
    }
    let start = (span.start as usize).saturating_sub(sources.position(span).offset);
    let above = sources.bytes(span.file).get(..start.saturating_sub(1)).unwrap_or_default();
    let above = above.get(memchr::memrchr(b'\n', above).map_or(0, |at| at + 1)..).unwrap_or_default();
    above.trim_ascii_start().starts_with(b"#") && allows(above)
}

#[cfg(test)]
mod tests;

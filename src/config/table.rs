//! The table of directives: one row says a directive's names, where it may stand, what it takes, what it is
//! without it, what it does and its documentation. Look-up, checking, the reference manual and did-you-mean are
//! all made from these rows; nothing about a directive is written anywhere else.

use super::ast::{Directive, Span};
use super::context::{Args, Class, Contexts, Known};
use super::directives::{self, known};
use super::error::Diagnostic;
use super::model::Settings;
use super::resolve::{Build, Scope};
use super::suggest;
use super::value::{self, Millis, Size};
use std::collections::HashMap;
use std::sync::OnceLock;

pub struct Row {
    pub name: &'static str,
    /// Other names for the same directive.
    pub aliases: &'static [&'static str],
    pub contexts: Contexts,
    pub args: Args,
    /// As the manual prints it; "" where there is none.
    pub default: &'static str,
    pub origin: Origin,
    pub effect: Effect,
    /// A sentence or a few for the manual, deviations from nginx included.
    pub doc: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// nginx's meaning.
    Nginx,
    /// webserv's own.
    Ours,
}

/// What a directive does.
#[derive(Clone, Copy)]
pub enum Effect {
    /// `on` or `off`.
    Flag(fn(&mut Settings) -> &mut bool),
    Size(fn(&mut Settings) -> &mut Size),
    /// A size that files may have: gigabytes too.
    Offset(fn(&mut Settings) -> &mut Size),
    Time(fn(&mut Settings) -> &mut Millis),
    Number(fn(&mut Settings) -> &mut u64),
    /// At most once in a block.
    Once(Apply),
    /// Any number of times in a block; `Scope::first` tells the first, which replaces what was inherited.
    Many(Apply),
    /// One step of the rewrite script: order matters, so it runs in a pass of its own.
    Script,
    /// A block that `resolve` walks into.
    Section(Section),
}

pub type Apply = fn(&mut Scope, &mut Build, &Directive) -> Outcome;
pub type Outcome = Result<(), Fault>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Events,
    Http,
    Server,
    Location,
    LimitExcept,
    Upstream,
}

/// A directive that is wrong: where, what, and what would be right.
#[derive(Debug)]
pub struct Fault {
    pub span: Span,
    pub message: String,
    pub label: Option<String>,
    pub help: Option<String>,
    /// Another place that takes part, and what is there.
    pub note: Option<Box<(Span, String)>>,
}

impl Fault {
    pub fn new(span: Span, message: impl Into<String>) -> Fault {
        Fault { span, message: message.into(), label: None, help: None, note: None }
    }

    /// A word's value is wrong in the way `error` says.
    pub fn of_value(span: Span, error: value::ValueError) -> Fault {
        Fault { help: error.help, ..Fault::new(span, error.message) }
    }

    pub fn label(mut self, label: impl Into<String>) -> Fault {
        self.label = Some(label.into());
        self
    }

    pub fn note(mut self, span: Span, note: impl Into<String>) -> Fault {
        self.note = Some(Box::new((span, note.into())));
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    pub fn diagnostic(self) -> Diagnostic {
        let mut diagnostic = Diagnostic::emerg(self.span, self.message);
        if let Some(label) = self.label {
            diagnostic = diagnostic.label(label);
        }
        if let Some(help) = self.help {
            diagnostic = diagnostic.help(help);
        }
        if let Some(note) = self.note {
            let (span, note) = *note;
            diagnostic = diagnostic.note(span, note);
        }
        diagnostic
    }
}

/// nginx's words for a value that a directive does not take.
pub fn invalid(d: &Directive, at: usize) -> Fault {
    let word = d.args.get(at).unwrap_or(&d.name);
    Fault::new(word.span, format!("invalid value \"{}\" in \"{}\" directive", word.str(), d.name.str()))
}

/// The argument as a size in bytes.
pub fn size(d: &Directive, at: usize) -> Result<Size, Fault> {
    Size::parse(d.args[at].bytes()).map_err(|e| wrong(d, at, e))
}

/// The argument as a size in bytes that files may have.
pub fn offset(d: &Directive, at: usize) -> Result<Size, Fault> {
    Size::parse_offset(d.args[at].bytes()).map_err(|e| wrong(d, at, e))
}

/// The argument as a time.
pub fn time(d: &Directive, at: usize) -> Result<Millis, Fault> {
    Millis::parse(d.args[at].bytes()).map_err(|e| wrong(d, at, e))
}

/// The argument as a whole number.
pub fn number(d: &Directive, at: usize) -> Result<u64, Fault> {
    value::number(d.args[at].bytes(), u64::MAX).map_err(|e| wrong(d, at, e))
}

/// The argument as `on` or `off`.
pub fn flag(d: &Directive, at: usize) -> Result<bool, Fault> {
    let span = d.args[at].span;
    value::flag(d.args[at].bytes(), &d.name.str()).map_err(|e| Fault::of_value(span, e))
}

/// A value error at an argument, in nginx's shape.
pub fn wrong(d: &Directive, at: usize, error: value::ValueError) -> Fault {
    let error = error.in_directive(&d.name.str());
    Fault::of_value(d.args[at].span, error)
}

/// What a name is.
pub enum Found {
    Row(&'static Row),
    Known(&'static Known),
}

impl Found {
    pub fn contexts(&self) -> Contexts {
        match self {
            Found::Row(row) => row.contexts,
            Found::Known(known) => known.contexts,
        }
    }

    pub fn args(&self) -> Args {
        match self {
            Found::Row(row) => row.args,
            Found::Known(known) => known.args,
        }
    }
}

/// Looks a directive up by name or alias; of several rows of a name (`server` in http and in upstream), the one for
/// `here` where there is one.
pub fn find(name: &str, here: Contexts) -> Option<Found> {
    static INDEX: OnceLock<HashMap<&'static str, Vec<&'static Row>>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index: HashMap<&'static str, Vec<&'static Row>> = HashMap::new();
        for row in directives::rows() {
            for name in std::iter::once(row.name).chain(row.aliases.iter().copied()) {
                index.entry(name).or_default().push(row);
            }
        }
        index
    });
    match index.get(name) {
        Some(rows) => {
            let row = rows.iter().find(|row| row.contexts.intersects(here)).or(rows.first());
            row.map(|row| Found::Row(row))
        }
        None => known::find_in(name, here).map(Found::Known),
    }
}

/// The directive that an unknown name was probably meant to be: one that may stand here before one that may not, and
/// those that do something before those that do not.
pub fn nearest(name: &str, here: Contexts) -> Option<&'static str> {
    let rows = directives::rows().flat_map(|row| {
        let penalty = if row.contexts.intersects(here) { 0 } else { 1 };
        std::iter::once(row.name).chain(row.aliases.iter().copied()).map(move |name| (name, penalty))
    });
    let near = suggest::nearest_of(name, rows.chain(known::names().map(|name| (name, 2))));
    // A short word resembles much that has nothing to do with it.
    near.filter(|near| name.len() > 4 || find(near, here).is_some_and(|found| found.contexts().intersects(here)))
}

/// Sets the simple kinds; the others are run by `resolve`.
pub fn set_simple(row: &Row, settings: &mut Settings, d: &Directive) -> Outcome {
    match row.effect {
        Effect::Flag(place) => *place(settings) = flag(d, 0)?,
        Effect::Size(place) => *place(settings) = size(d, 0)?,
        Effect::Offset(place) => *place(settings) = offset(d, 0)?,
        Effect::Time(place) => *place(settings) = time(d, 0)?,
        Effect::Number(place) => *place(settings) = number(d, 0)?,
        Effect::Once(_) | Effect::Many(_) | Effect::Script | Effect::Section(_) => {}
    }
    Ok(())
}

/// The reference manual, from the rows.
pub fn reference(markdown: bool) -> String {
    use std::fmt::Write;
    let mut rows: Vec<&Row> = directives::rows().collect();
    rows.sort_by_key(|row| row.name);
    let mut out = String::new();
    for row in rows {
        let class = if row.origin == Origin::Ours { "webserv's own" } else { "same as nginx" };
        let default = if row.default.is_empty() { "none" } else { row.default };
        let contexts: Vec<&str> = row.contexts.names().collect();
        let takes = row.args.describe();
        let block = if row.args.is_block() { ", then a block" } else { "" };
        let _ = if markdown { write!(out, "### `{}`\n\n", row.name) } else { writeln!(out, "{}", row.name) };
        let indent = if markdown { "" } else { "    " };
        if !row.aliases.is_empty() {
            let _ = writeln!(out, "{indent}also: {}{}", row.aliases.join(", "), br(markdown));
        }
        let _ = writeln!(out, "{indent}takes: {takes}{block}{}", br(markdown));
        let _ = writeln!(
            out,
            "{indent}default: {}{}",
            if markdown { format!("`{default}`") } else { default.into() },
            br(markdown)
        );
        let _ = writeln!(out, "{indent}where: {}{}", contexts.join(", "), br(markdown));
        let _ = writeln!(out, "{indent}class: {class}{}", br(markdown));
        let _ = writeln!(out, "{indent}{}\n", row.doc);
    }
    for (class, title) in [(Class::Ignored, "Accepted and ignored"), (Class::Refused, "Refused with a reason")] {
        let _ = writeln!(out, "{}{title}\n", if markdown { "## " } else { "" });
        let mut names: Vec<&str> = known::names().collect();
        names.sort_unstable();
        names.dedup();
        let known = names.into_iter().filter_map(|name| match find(name, Contexts::ANY) {
            Some(Found::Known(known)) if known.class == class => Some(known),
            _ => None,
        });
        for k in known {
            let _ = if markdown {
                writeln!(out, "- `{}` ({}): {}", k.name, k.module, k.why)
            } else {
                writeln!(out, "    {} ({}): {}", k.name, k.module, k.why)
            };
        }
        out.push('\n');
    }
    out
}

fn br(markdown: bool) -> &'static str {
    if markdown { "  " } else { "" }
}

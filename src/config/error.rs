//! Errors and warnings about a configuration, and how they are shown: one `Diagnostic` per independent mistake,
//! rendered like a compiler's. No rule about what is correct lives here.
//!
//! Invariant: the first line of each has nginx's form, `webserv: [emerg] message in FILE:LINE`, so that scripts made
//! for nginx still match.

use super::ast::Span;
use super::sources::Sources;
use crate::util::columns::width;
use crate::util::printable::visible;
use std::collections::HashMap;
use std::fmt::Write;

/// Those of nginx's log levels that a configuration can cause.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The configuration cannot be used.
    Emerg,
    /// It is valid, but probably not what was intended.
    Warn,
    /// Accepted and without effect.
    Notice,
}

impl Severity {
    /// nginx's word in brackets.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Emerg => "emerg",
            Severity::Warn => "warn",
            Severity::Notice => "notice",
        }
    }
}

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// An `emerg` refuses the configuration.
    pub severity: Severity,
    /// None: it is about no place, for example a file that cannot be read.
    pub span: Option<Span>,
    /// The first line, in nginx's words if nginx has this error.
    pub message: String,
    /// What is wrong, shown at the carets.
    pub label: Option<String>,
    /// How to fix it.
    pub help: Vec<String>,
    /// The word that a help writes in another way, where `span` is only a part of it.
    pub rewritten: Option<Span>,
    /// The lint rule, if it comes from `webserv lint`.
    pub code: Option<&'static str>,
    /// Other places involved.
    pub notes: Vec<(Option<Span>, String)>,
}

impl Diagnostic {
    /// Whether it begins inside `place`.
    pub fn is_in(&self, place: Span) -> bool {
        self.span.is_some_and(|at| at.file == place.file && (place.start..place.end).contains(&at.start))
    }

    /// Whether it says that a `;` is missing at its place, between two directives.
    pub fn says_missing_end(&self) -> bool {
        self.label.as_ref().is_some_and(|label| label.starts_with("missing `;`"))
    }

    /// Without label, help and notes.
    pub fn new(severity: Severity, span: impl Into<Option<Span>>, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity,
            span: span.into(),
            message: message.into(),
            label: None,
            help: Vec::new(),
            rewritten: None,
            code: None,
            notes: Vec::new(),
        }
    }

    /// The configuration is refused.
    pub fn emerg(span: impl Into<Option<Span>>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Emerg, span, message)
    }

    /// It is served all the same; shown as a warning.
    pub fn warn(span: impl Into<Option<Span>>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warn, span, message)
    }

    /// Worth knowing, no mistake.
    pub fn notice(span: impl Into<Option<Span>>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Notice, span, message)
    }

    /// Adds the text at the carets.
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = Some(label.into());
        self
    }

    /// Adds a way to fix it.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help.push(help.into());
        self
    }

    /// The whole word that the help writes in another way.
    pub fn rewriting(mut self, word: impl Into<Option<Span>>) -> Diagnostic {
        self.rewritten = word.into();
        self
    }

    /// Adds another place involved.
    pub fn note(mut self, span: impl Into<Option<Span>>, note: impl Into<String>) -> Diagnostic {
        self.notes.push((span.into(), note.into()));
        self
    }

    /// One line for the error log, as nginx writes it: `message in FILE:LINE`. Control bytes become `?`, so that a word
    /// of the configuration cannot forge log lines.
    pub fn summary(&self, sources: &Sources) -> String {
        let mut line = visible(&self.message);
        if let Some(code) = self.code {
            let _ = write!(line, " [{code}]");
        }
        if let Some(span) = self.span {
            if sources.is_command_line(span.file) {
                line.push_str(" in command line");
            } else {
                let _ = write!(line, " in {}:{}", visible(&sources.path(span.file)), sources.line_number(span));
            }
        }
        line
    }

    /// The whole message, ending with a newline.
    pub fn render(&self, sources: &Sources, program: &str) -> String {
        let mut out = format!("{program}: [{}] {}\n", self.severity.name(), self.summary(sources));
        // Notices are many and harmless: one line each.
        if self.severity == Severity::Notice {
            return out;
        }
        let mut gutter = 1;
        if let Some(span) = self.span {
            let at = sources.position(span);
            gutter = at.line.to_string().len();
            let path = visible(&sources.path(span.file));
            let _ = writeln!(out, "{:gutter$}--> {path}:{}:{}", "", at.line, at.column);
            let (text, marks) = excerpt(sources.line(span), at.offset, (span.end - span.start) as usize);
            let label = self.label.as_deref().map(visible).unwrap_or_default();
            let _ = writeln!(out, "{:gutter$} |\n{} | {text}", "", at.line);
            let _ = writeln!(out, "{}", format!("{:gutter$} | {marks} {label}", "").trim_end());
        } else if let Some(label) = &self.label {
            let _ = writeln!(out, "{:gutter$} = {}", "", visible(label));
        }
        for help in &self.help {
            let _ = writeln!(out, "{:gutter$} = help: {}", "", visible(help));
        }
        for (span, note) in &self.notes {
            let Some(span) = span else {
                let _ = writeln!(out, "{:gutter$} = note: {}", "", visible(note));
                continue;
            };
            let _ = writeln!(out, "{:gutter$} = note: {} at {}", "", visible(note), sources.place(*span));
            let at = sources.position(*span);
            let (text, _) = excerpt(sources.line(*span), at.offset, (span.end - span.start) as usize);
            let _ = writeln!(out, "{:>gutter$} | {text}", at.line);
        }
        for include in self.span.map(|span| sources.include_chain(span.file)).unwrap_or_default() {
            let _ = writeln!(out, "{:gutter$} = note: included from {}", "", sources.place(include));
        }
        out
    }
}

/// What a word is that the program of a template was to replace.
pub const PLACEHOLDER: &str = "a placeholder of a template that was not filled in";

/// All diagnostics of one configuration. Bounded, so that a broken file of a million lines does not produce a million
/// messages.
#[derive(Clone, Default, Debug)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    dropped: usize,
}

impl Diagnostics {
    /// How many errors are shown; the limit for warnings and notices together is the same.
    pub const LIMIT: usize = 100;

    /// Adds one. Beyond [`Diagnostics::LIMIT`] of errors, or of others, it is only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.follows_from_a_placeholder(&diagnostic) {
            return;
        }
        let count = if diagnostic.severity == Severity::Emerg { &mut self.errors } else { &mut self.warnings };
        *count += 1;
        if *count <= Diagnostics::LIMIT {
            self.kept.push(diagnostic);
        } else {
            self.dropped += 1;
        }
    }

    /// Whether it is about a word that is reported as a placeholder of a template: another value solves both.
    fn follows_from_a_placeholder(&self, diagnostic: &Diagnostic) -> bool {
        let Some(span) = diagnostic.span.filter(|_| diagnostic.severity == Severity::Emerg) else { return false };
        let is_first = |first: &&Diagnostic| {
            first.span == Some(span)
                && first.help.iter().any(|help| help.ends_with(PLACEHOLDER))
                && span.start < span.end
        };
        self.errors > 0 && self.kept.iter().any(|first| is_first(&first))
    }

    /// Adds another list, including those of its diagnostics that were only counted.
    pub fn extend(&mut self, other: Diagnostics) {
        let (errors, warnings, dropped) = (other.errors, other.warnings, other.dropped);
        let before = (self.errors, self.warnings);
        for diagnostic in other.kept {
            self.push(diagnostic);
        }
        self.errors = before.0 + errors;
        self.warnings = before.1 + warnings;
        self.dropped += dropped;
    }

    /// The configuration is refused.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The number of errors, shown or not.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Nothing is to be shown.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Those that are shown, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.kept.iter()
    }

    /// Removes errors with exactly this span: another message explains them.
    pub fn forget_at(&mut self, span: Span) {
        let before = self.kept.len();
        self.kept.retain(|d| d.severity != Severity::Emerg || d.span != Some(span));
        self.errors -= before - self.kept.len();
    }

    /// Removes errors about a missing `;` inside a block in another language.
    pub fn forget_ends_in(&mut self, place: Span) {
        self.forget_errors_in(place, |message| message.ends_with("is not terminated by \";\""));
    }

    /// Removes errors about unexpected characters inside a directive in another language.
    pub fn forget_signs_in(&mut self, place: Span) {
        self.forget_errors_in(place, |message| message.starts_with("unexpected \""));
    }

    fn forget_errors_in(&mut self, place: Span, is_meant: impl Fn(&str) -> bool) {
        let before = self.kept.len();
        self.kept.retain(|d| d.severity != Severity::Emerg || !d.is_in(place) || !is_meant(&d.message));
        self.errors -= before - self.kept.len();
    }

    /// Whether the `;` after a word was reported as missing: then an error about the file that the word names is a
    /// consequence, and is not reported.
    pub fn lacks_end(&self, word: Span) -> bool {
        let is_end = |at: Span| at.start == at.end && at.file == word.file && at.start == word.end;
        self.kept.iter().any(|d| d.span.is_some_and(is_end) && d.message.ends_with("is not terminated by \";\""))
    }

    /// Whether an unknown directive was reported that probably meant `name`: then a missing `name` is no further
    /// mistake.
    pub fn has_meant(&self, name: &str) -> bool {
        let help = format!("did you mean \"{name}\"?");
        self.kept.iter().any(|d| d.message.starts_with("unknown directive") && d.help.contains(&help))
    }

    /// Removes warnings inside a place that another message explains.
    pub fn forget_warnings_in(&mut self, place: Span) {
        let before = self.kept.len();
        self.kept.retain(|d| d.severity == Severity::Emerg || !d.is_in(place));
        self.warnings -= before - self.kept.len();
    }

    /// Removes errors about host names and certificates that are missing on this machine, for a configuration that may
    /// be meant for another one.
    pub fn forget_absent(&mut self) {
        let is_absent = |d: &Diagnostic| {
            d.message.starts_with("host not found")
                || d.message.starts_with("cannot load certificate") && d.message.contains("(2: No such file")
        };
        let before = self.kept.len();
        self.kept.retain(|d| d.severity != Severity::Emerg || !is_absent(d));
        self.errors -= before - self.kept.len();
    }

    /// Adds a note to the first matching message. Returns whether there is one.
    pub fn note_where(&mut self, is_meant: impl Fn(&Diagnostic) -> bool, span: Span, note: String) -> bool {
        let found = self.kept.iter_mut().find(|d| is_meant(d));
        if let Some(found) = found {
            found.notes.push((Some(span), note));
            return true;
        }
        false
    }

    /// Adds a help line to the last message, if it has this span.
    pub fn help_last(&mut self, place: Span, help: &str) {
        if let Some(last) = self.kept.last_mut().filter(|last| last.span == Some(place)) {
            last.help.push(help.to_owned());
        }
    }

    /// Removes messages of a severity.
    pub fn leave_out(&mut self, severity: Severity) {
        let before = self.kept.len();
        self.kept.retain(|diagnostic| diagnostic.severity != severity);
        let count = if severity == Severity::Emerg { &mut self.errors } else { &mut self.warnings };
        *count -= before - self.kept.len();
    }

    /// Merges the messages about a file that is included several times into one, which notes the other includes.
    pub fn unite(&mut self, sources: &Sources) {
        let mut first: HashMap<(String, u32, String), usize> = HashMap::new();
        let mut kept: Vec<Diagnostic> = Vec::with_capacity(self.kept.len());
        for d in std::mem::take(&mut self.kept) {
            let Some(span) = d.span.filter(|span| sources.included_from(span.file).is_some()) else {
                kept.push(d);
                continue;
            };
            let key = (sources.path(span.file).into_owned(), span.start, d.message.clone());
            let Some(at) = first.get(&key).copied() else {
                first.insert(key, kept.len());
                kept.push(d);
                continue;
            };
            let count = if d.severity == Severity::Emerg { &mut self.errors } else { &mut self.warnings };
            *count = count.saturating_sub(1);
            if let Some(known) = kept.get_mut(at).filter(|known| known.notes.len() < 4) {
                known.notes.push((sources.included_from(span.file), "included as well".to_owned()));
            }
        }
        self.kept = kept;
    }

    /// Sorts by file and line, the order in which an admin fixes them. Messages without a position come last.
    pub fn sort(&mut self) {
        self.kept.sort_by_key(|d| (d.span.is_none(), d.span.map(|span| (span.file, span.start))));
    }

    /// All messages, separated by blank lines, and the number of those omitted.
    pub fn render(&self, sources: &Sources, program: &str) -> String {
        let mut out = String::new();
        for diagnostic in &self.kept {
            if !out.is_empty() && diagnostic.severity != Severity::Notice {
                out.push('\n');
            }
            out.push_str(&diagnostic.render(sources, program));
        }
        if self.dropped > 0 {
            let _ = writeln!(out, "\n{program}: … and {} more", self.dropped);
        }
        out
    }
}

/// Maximum number of columns shown of a source line.
const WIDTH: usize = 100;

/// The source line, and carets under bytes `at..at + len`. Tabs are kept in both, so that they align at any tab width;
/// of a very long line only the part around the span is shown.
fn excerpt(line: &[u8], at: usize, len: usize) -> (String, String) {
    let cells = cells(line);
    let first = cells.iter().position(|cell| cell.end > at).unwrap_or(cells.len());
    let last = cells.iter().position(|cell| cell.end >= at.saturating_add(len.max(1))).map_or(cells.len(), |n| n + 1);
    let last = last.max(first + 1).min(first + WIDTH - 8);
    let from = if last <= WIDTH { 0 } else { first.saturating_sub(20) };
    let until = cells.len().min(from + WIDTH).max(from);
    let mut text = String::new();
    let mut marks = String::new();
    if from > 0 {
        text.push('…');
        marks.push(' ');
    }
    for cell in cells.get(from..until).unwrap_or_default() {
        text.push(cell.shown);
    }
    for n in from..first {
        match cells.get(n).map_or(' ', |cell| cell.shown) {
            '\t' => marks.push('\t'),
            shown => marks.extend(std::iter::repeat_n(' ', width(shown))),
        }
    }
    for n in first..last.min(until.max(first + 1)) {
        marks.extend(std::iter::repeat_n('^', cells.get(n).map_or(1, |cell| width(cell.shown))));
    }
    if until < cells.len() {
        text.push('…');
    }
    (text.trim_end().to_string(), marks)
}

/// A displayed character of a source line, and where its bytes end.
struct Cell {
    shown: char,
    end: usize,
}

fn cells(line: &[u8]) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut end = 0;
    for chunk in line.utf8_chunks() {
        for c in chunk.valid().chars() {
            end += c.len_utf8();
            let plain = c == '\t' || visible(c.encode_utf8(&mut [0; 4])).starts_with(c);
            cells.push(Cell { shown: if plain { c } else { '·' }, end });
        }
        for _ in chunk.invalid() {
            end += 1;
            cells.push(Cell { shown: '\u{fffd}', end });
        }
    }
    cells
}

#[cfg(test)]
mod tests;

//! Checks whether a directive exists and may stand here, and guesses what was meant: all messages about a line before
//! its row is applied, or instead of that.

use crate::config::ast::{Directive, Span, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::error::{Diagnostic, Diagnostics, Severity};
use crate::config::fault::Fault;
use crate::config::ignored_forms::Form;
use crate::config::known::{KnownDirective, STAPLING, Support};
use crate::config::registry::{self, Definition};
use crate::config::row::{Effect, Row};
use crate::config::syntax::{self, cut_before, line_starts};
use crate::config::{argument, foreign_names, ignored_values, suggest};
use crate::util::checkpoint;

use super::wrong_words::{shown, wrong_shape};
use super::{languages, lexical, markup, remedy};

/// The methods that nginx's `use` accepts.
const EVENT_METHODS: [&str; 6] = ["epoll", "poll", "select", "kqueue", "eventport", "/dev/poll"];

impl Build {
    /// The row of a directive, if it is known, allowed here and has the right number of arguments.
    pub(super) fn check(&mut self, scope: &mut Scope, d: &Directive) -> Option<&'static Row> {
        let name = d.name.str();
        let mut here = scope.context;
        if self.bare && here == Contexts::MAIN {
            here = here | Contexts::HTTP;
        }
        let Some(found) = registry::find(&name, here) else { return self.unknown(d, here) };
        if !found.contexts().intersects(here) {
            // Without this, `timeout 3;` would be reported as a misplaced mail directive.
            let elsewhere = Contexts::STREAM.or(Contexts::MAIL);
            if elsewhere.contains(found.contexts()) && foreign_names::foreign(&name, &d.args).is_some() {
                return self.unknown(d, here);
            }
            self.misplaced(scope, d, found.contexts());
            return None;
        }
        let args = found.args();
        if args.is_block() != d.block.is_some() || !args.accepts(d.args.len()) {
            // Inside an unclosed upstream, a server block was meant for http.
            if d.block.is_some() && !args.is_block() && self.follows_from_a_brace(d) {
                self.define_anyway(&name, d);
                return None;
            }
            if let Some((first, second)) = self.joined_in_line(here, args, d) {
                self.error(syntax::missing_semicolon(&first, &second));
                self.define_anyway(&name, d);
                return None;
            }
            let fault = wrong_shape(d, args);
            self.error(match lexical::curly_phrase(d) {
                Some((span, help)) => Fault { span, help: Some(help), ..fault },
                None => fault,
            });
            self.define_anyway(&name, d);
            return None;
        }
        match found {
            Definition::Row(row) => Some(row),
            Definition::Known(known) => {
                self.without_effect(scope, known, d);
                None
            }
        }
    }

    fn misplaced(&mut self, scope: &Scope, d: &Directive, contexts: Contexts) {
        if self.follows_from_a_brace(d) {
            return;
        }
        let fault = Fault::new(d.name.span, format!("\"{}\" directive is not allowed here", d.name.str()));
        let belongs = format!("it belongs in {}", contexts.describe());
        let belongs = match contexts {
            _ if d.name.is("server") && d.block.is_none() && d.args.len() > 1 && d.args[0].is("name") => {
                format!("did you mean \"server_name\"? server_name {};", syntax::line(d.args.iter().skip(1)))
            }
            _ if d.name.is("server") && d.block.is_none() => {
                format!("it belongs in \"upstream\": upstream backend {{ {}; }}", syntax::line(d.words()))
            }
            Contexts::MAIN => format!("{belongs}: at the top of the file, outside all blocks"),
            Contexts::LOCATION if d.block.is_none() => {
                format!("{belongs}: location / {{ {}; }}", syntax::line(d.words()))
            }
            _ => match registry::twin(&d.name.str(), scope.context) {
                Some(twin) if Contexts::STREAM.or(Contexts::MAIL).contains(contexts) => {
                    format!("did you mean \"{twin}\"? \"{}\" belongs in {}", d.name.str(), contexts.describe())
                }
                // `keepalive 65` of Apache is another directive here.
                _ => match foreign_names::foreign(&d.name.str(), &d.args) {
                    Some(meant) => format!("{belongs}; {meant}"),
                    None => belongs,
                },
            },
        };
        self.define_anyway(&d.name.str(), d);
        let fault = fault.help(belongs);
        self.error(match &scope.block {
            Some((name, opened)) => fault.note(*opened, format!("this line is inside `{name}`, opened")),
            None => fault.label("outside all blocks"),
        });
    }

    /// Handles a directive that has no effect here: an error if it requests something, otherwise noted once.
    fn without_effect(&mut self, scope: &mut Scope, known: &'static KnownDirective, d: &Directive) {
        let name = d.name.str();
        if known.values.is_some_and(Form::is_single) {
            if scope.seen.contains(&known.name) {
                self.error(Fault::new(d.name.span, format!("\"{name}\" directive is duplicate")));
            }
            scope.seen.push(known.name);
        }
        let is_obsolete = known.values.is_some_and(Form::is_obsolete);
        let outcome = match known.values {
            _ if known.args == Args::FLAG && !is_obsolete => argument::flag(d, 0).map(drop),
            Some(form) => ignored_values::check(scope, self, d, form),
            None => Ok(()),
        };
        if known.name == "use" && !EVENT_METHODS.contains(&&*d.args[0].str()) {
            let word = &d.args[0];
            let fault = Fault::new(word.span, format!("invalid event type \"{}\"", word.str()));
            self.error(fault.help(suggest::one_of(&word.str(), &EVENT_METHODS)));
        } else if let Err(fault) = outcome {
            self.error(remedy::with_remedy(d, fault));
        }
        if known.name == "worker_processes" && !d.args[0].is("auto") {
            match argument::number(d, 0) {
                Ok(0) => self.warn(d.args[0].span, "\"worker_processes\" is 0: nginx would start no worker"),
                Ok(_) => {}
                Err(fault) => self.error(fault.help("a number, or `auto`")),
            }
        }
        match known.verdict {
            Support::Refused(why) if !asks_for_nothing(d) => {
                self.error(Fault::new(d.name.span, format!("\"{name}\" is not supported: {why}")));
            }
            // The warning about obsolete directives covers it.
            Support::Refused(why) | Support::Ignored(why) if is_obsolete => {
                self.diagnostics.help_last(d.name.span, why)
            }
            // Only at the end is it known whether ssl_stapling_file supplies the response.
            Support::Ignored(STAPLING) if name.starts_with("ssl_stapling") => {}
            Support::Refused(why) | Support::Ignored(why) => self.note_ignored(known.name, d, why),
        }
    }

    /// Defines what a wrong line was meant to define, so that its use is no further error.
    pub(super) fn define_anyway(&mut self, name: &str, d: &Directive) {
        if name == "log_format"
            && let Some(word) = d.args.first()
        {
            let combined = self.combined();
            self.formats.entry(word.str().into()).or_insert(combined);
        }
        // A cache is used by its zone, whatever is wrong with the rest of the line.
        if let Some(module) = name.strip_suffix("_cache_path") {
            let zones = d.args.iter().filter_map(|word| word.bytes().strip_prefix(b"keys_zone="));
            for zone in zones {
                let zone = String::from_utf8_lossy(zone.split(|byte| *byte == b':').next().unwrap_or_default());
                if !self.caches.defined.iter().any(|(of, known)| **of == *module && **known == *zone) {
                    self.caches.defined.push((module.into(), (*zone).into()));
                }
            }
        }
        if name == "upstream"
            && let Some(word) = d.args.first()
        {
            self.upstreams.break_name(&word.str());
        }
    }

    /// The lines of a block, with those split that swallowed the next one because their `;` is missing. None: no line
    /// did.
    pub(super) fn mended(&mut self, context: Contexts, children: &[Directive]) -> Option<Vec<Directive>> {
        let here = if self.bare && context == Contexts::MAIN { context | Contexts::HTTP } else { context };
        let cuts = |b: &Build, d: &Directive| {
            let is_wrong = memchr::memchr(b'\n', b.sources.slice(d.span)).is_some()
                && registry::find(&d.name.str(), here).is_some_and(|found| {
                    let args = found.args();
                    args.is_block() != d.block.is_some() || !args.accepts(d.args.len())
                });
            if is_wrong { b.missing_ends(here, d) } else { Vec::new() }
        };
        let first = children.iter().position(|d| !cuts(self, d).is_empty())?;
        let mut mended: Vec<Directive> = children.iter().take(first).cloned().collect();
        for d in children.iter().skip(first) {
            let mut pieces = cut_before(d, &cuts(self, d));
            for at in 1..pieces.len() {
                let (before, from) = pieces.split_at_mut(at);
                let (Some(first), Some(second)) = (before.last_mut(), from.first()) else { break };
                self.error(syntax::missing_semicolon(first, second));
                // A comma or colon in place of the `;` is not part of the word.
                if let Some(last) = first.args.last_mut()
                    && let [text @ .., b',' | b':'] = last.bytes()
                {
                    let plain = Word { quoted: last.quoted, ..Word::new(text, last.span) };
                    *last = plain;
                }
            }
            mended.append(&mut pieces);
        }
        Some(mended)
    }

    /// The arguments before which a `;` is missing: those that begin a line and name directives allowed here, up to the
    /// last that forms a valid directive with all that follows.
    fn missing_ends(&self, here: Contexts, d: &Directive) -> Vec<usize> {
        if memchr::memchr(b'\n', self.sources.slice(d.span)).is_none() {
            return Vec::new();
        }
        let known = |word: &Word| {
            checkpoint::pass();
            registry::find(&word.str(), here).is_some_and(|found| found.contexts().intersects(here))
        };
        let mut starts: Vec<usize> = line_starts(d, self.sources.bytes(d.span.file), known).collect();
        let is_whole = |at: &usize| {
            let found = d.args.get(*at).and_then(|name| registry::find(&name.str(), here));
            found.is_some_and(|found| {
                let args = found.args();
                args.accepts(d.args.len() - at - 1) && args.is_block() == d.block.is_some()
            })
        };
        starts.truncate(starts.iter().rposition(is_whole).map_or(0, |last| last + 1));
        starts
    }

    /// The directive split at its first missing `;`.
    pub(super) fn swallowed(&self, here: Contexts, d: &Directive) -> Option<(Directive, Directive)> {
        let first = *self.missing_ends(here, d).first()?;
        let mut pieces = cut_before(d, &[first]).into_iter();
        Some((pieces.next()?, pieces.next()?))
    }

    /// Two directives on one line with no `;` between them: `sendfile on tcp_nopush on;`. Each must be valid by itself.
    pub(super) fn joined_in_line(&self, here: Contexts, args: Args, d: &Directive) -> Option<(Directive, Directive)> {
        let begins = |(at, word): (usize, &Word)| {
            let found =
                registry::find(&word.str(), here).filter(|found| !word.quoted && found.contexts().intersects(here))?;
            // `rewrite a b last break;`: another flag.
            if d.name.is("rewrite") && word.is("break") {
                return None;
            }
            let rest = found.args();
            let is_whole = rest.accepts(d.args.len() - at - 1) && rest.is_block() == d.block.is_some();
            (at > 0 && is_whole && args.accepts(at) && !args.is_block()).then_some(at)
        };
        let cut = d.args.iter().enumerate().find_map(begins)?;
        let mut pieces = cut_before(d, &[cut]).into_iter();
        Some((pieces.next()?, pieces.next()?))
    }

    /// Warns about a valid directive that swallowed the next one because its `;` is missing. Returns whether it did.
    pub(super) fn swallows(&mut self, here: Contexts, d: &Directive) -> bool {
        let Some((first, second)) = self.swallowed(here, d) else { return false };
        let fault = syntax::missing_semicolon(&first, &second).diagnostic();
        // Warnings about the swallowed words are consequences.
        self.diagnostics.forget_warnings_in(second.span);
        // A comma or dot in place of the `;`.
        if let Some(last) = first.args.last().filter(|last| matches!(last.bytes(), [.., b',' | b'.'])) {
            self.diagnostics.forget_warnings_in(last.span);
        }
        let mut warning = Diagnostic::warn(
            fault.span,
            format!("\"{}\" is an argument of \"{}\" here", second.name.str(), first.name.str()),
        );
        warning.label = fault.label;
        warning.help = fault.help;
        self.diagnostics.push(warning);
        true
    }

    /// A later marker or the end of something reported at its beginning.
    fn belongs_to_another(&mut self, d: &Directive, name: &str) -> bool {
        if lexical::is_shell_end(name) && self.diagnostics.iter().any(|error| is_shell_if(error, d)) {
            self.forget_missing_semicolon(d);
            return true;
        }
        let is_here_document =
            |first: &Diagnostic| first.help.iter().any(|help| help.starts_with("a command of a shell"));
        if matches!(name, "EOF" | "EOL" | "EOT" | "END") && self.note_part(d, "the end of its text", is_here_document) {
            return true;
        }
        languages::is_merge_mark(name) && self.note_later_mark(d, languages::MERGE)
            || languages::is_diff_mark(name) && self.note_later_mark(d, languages::DIFF)
            || self.note_pair_end(d)
            || self.note_tag_end(d)
    }

    /// Reports an unknown name. Returns the row of the block that was probably meant, so that its contents are checked
    /// too.
    fn unknown(&mut self, d: &Directive, here: Contexts) -> Option<&'static Row> {
        let name = d.name.str();
        let mut fault = Fault::new(d.name.span, format!("unknown directive \"{}\"", shown(&name)));
        // Beyond the limit, errors are only counted, so do not search for help.
        if self.diagnostics.errors() >= Diagnostics::LIMIT {
            self.error(fault);
            return None;
        }
        if self.belongs_to_another(d, &name) {
            return None;
        }
        if self.report_copied_text(d, here) || self.forgive_rest_of_value(d, here) {
            return None;
        }
        let foreign = || foreign_names::foreign(&name, &d.args).or_else(|| joined_name(d, here));
        if let Some(help) = lexical::name(d, here).or_else(foreign) {
            let span = lexical::blank_in(&d.name, &self.sources).unwrap_or(fault.span);
            self.error(Fault { span, ..fault }.help(help));
            self.forget_missing_semicolon(d);
            return None;
        }
        let Some(near) = registry::nearest(&name, here) else {
            let near = foreign_names::nearest(&name);
            fault.help = near.or_else(|| lexical::camel(&name)).or_else(|| languages::block_of(&name, d));
            self.error(fault);
            // A line with an unknown name may be in any language, and so may the contents of its block.
            self.forget_missing_semicolon(d);
            return None;
        };
        let found = registry::find(near, here)?;
        self.define_anyway(near, d);
        let help = match found.contexts().intersects(here) {
            true => format!("did you mean \"{near}\"?"),
            false => foreign_names::foreign(near, &d.args)
                .unwrap_or_else(|| format!("did you mean \"{near}\"? (it belongs in {})", found.contexts().describe())),
        };
        self.error(fault.help(help));
        // Apache's `Listen 80` lacks a `;`.
        if near != name && near.eq_ignore_ascii_case(&name) {
            self.forget_missing_semicolon(d);
        }
        match found {
            Definition::Row(row)
                if matches!(row.effect, Effect::Section(_))
                    && row.contexts.intersects(here)
                    && d.block.is_some()
                    && row.args.accepts(d.args.len()) =>
            {
                Some(row)
            }
            _ => None,
        }
    }
}

/// `proxy pass URL`: a name written as two words.
fn joined_name(d: &Directive, here: Contexts) -> Option<String> {
    let whole = format!("{}_{}", d.name.str(), d.args.first()?.str());
    registry::find(&whole, here).filter(|found| found.contexts().intersects(here))?;
    Some(format!("the name is one word: {whole} {};", syntax::line(d.args.iter().skip(1))))
}

impl Build {
    /// A line in another language has no `;`, so its lack is no further error.
    fn forget_missing_semicolon(&mut self, d: &Directive) {
        match d.block {
            None if d.close.start == d.close.end => self.diagnostics.forget_at(d.close),
            None => {}
            Some(_) => self.diagnostics.forget_ends_in(d.span.to(d.close)),
        }
        self.diagnostics.forget_signs_in(d.span);
    }

    /// Reports fragments copied along with a configuration from another text.
    fn report_copied_text(&mut self, d: &Directive, here: Contexts) -> bool {
        let Some(fault) = markup::of_name(d, &self.sources, here) else { return false };
        // Report only one line number per configuration.
        let is_number = |help: &String| help == markup::LINE_NUMBER;
        let is_known = |known: &Diagnostic| known.help.iter().any(is_number);
        if !(fault.help.as_ref().is_some_and(is_number) && self.diagnostics.iter().any(is_known)) {
            self.diagnostics.forget_signs_in(markup::line_of(d, &self.sources));
            self.error(fault);
        }
        self.forget_missing_semicolon(d);
        true
    }

    /// The rest of a value after a `;` inside it, if the line already has an error: `add_header A b c d; e;` is one
    /// mistake.
    fn forgive_rest_of_value(&mut self, d: &Directive, here: Contexts) -> bool {
        let line = markup::line_of(d, &self.sources);
        let before = Span::new(line.file, line.start, d.name.span.start);
        let name = d.name.str();
        let is_word = name.contains('=') || registry::nearest(&name, here).is_none() && d.block.is_none();
        if !is_word || !markup::holds_signs(self.sources.slice(before)) {
            return false;
        }
        let is_reported = self.diagnostics.iter().any(|error| error.severity == Severity::Emerg && error.is_in(before));
        if is_reported {
            self.forget_missing_semicolon(d);
        }
        is_reported
    }

    /// The end of a C comment, a Markdown block or a template's loop, if its beginning was reported.
    fn note_pair_end(&mut self, d: &Directive) -> bool {
        let name = d.name.str();
        let Some(begin) = markup::begin_of(&name) else { return false };
        self.note_part(d, "its end", |first| {
            first.message.strip_prefix("unknown directive \"").is_some_and(|name| name.starts_with(begin))
        })
    }

    /// `</Files>`, if its opening tag was reported.
    fn note_tag_end(&mut self, d: &Directive) -> bool {
        let name = d.name.str();
        let Some(tag) = name.strip_prefix("</").and_then(|rest| rest.strip_suffix('>')) else { return false };
        let begin = format!("unknown directive \"<{}", tag.to_ascii_lowercase());
        self.note_part(d, "its end", |first| first.message.to_ascii_lowercase().starts_with(&begin))
    }

    /// Adds later merge or diff markers as notes to the message about the first, whose help is `help`.
    fn note_later_mark(&mut self, d: &Directive, help: &str) -> bool {
        self.note_part(d, "the mark", |first| first.help.iter().any(|given| given == help))
    }

    /// Adds a later part of the same mistake as a note to the message about the first part, which precedes it in the
    /// file.
    fn note_part(&mut self, d: &Directive, part: &str, is_first: impl Fn(&Diagnostic) -> bool) -> bool {
        let span = d.name.span;
        let is_before = |at: Span| at.file == span.file && at.start < span.start;
        let is_noted = self.diagnostics.note_where(
            |first| is_first(first) && first.span.is_some_and(is_before),
            span,
            format!("{part} \"{}\" stands", shown(&d.name.str())),
        );
        if is_noted {
            self.forget_missing_semicolon(d);
        }
        is_noted
    }
}

/// Whether an error is about a shell's `if [ … ]`, to which `then` and `fi` belong.
fn is_shell_if(error: &Diagnostic, d: &Directive) -> bool {
    error.message.starts_with("directive \"if\" has no opening") && error.span.is_some_and(|at| at.file == d.span.file)
}

/// `sub_filter_once off` is harmless where `on` must be refused; `grpc_pass off` means a host of that name.
fn asks_for_nothing(d: &Directive) -> bool {
    !d.name.str().ends_with("_pass") && matches!(&d.args[..], [word] if word.bytes().eq_ignore_ascii_case(b"off"))
}

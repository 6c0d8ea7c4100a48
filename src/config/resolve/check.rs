//! Is a directive one, may it stand here, and what was probably meant where not: everything that is said of a line
//! before, and instead of, its row acting on it.

use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::error::Diagnostic;
use crate::config::fault::Fault;
use crate::config::known::{Known, Verdict};
use crate::config::registry::{self, Found};
use crate::config::row::{Effect, Row};
use crate::config::syntax::{not_terminated, split_at_missing_semicolon};
use crate::config::{argument, foreign_names, suggest};

/// Directives whose last argument is free text, which people forget to quote.
const TAKES_TEXT: [&str; 14] = [
    "return",
    "add_header",
    "add_trailer",
    "proxy_set_header",
    "auth_basic",
    "root",
    "alias",
    "set",
    "default_type",
    "fastcgi_param",
    "rewrite",
    "access_log",
    "error_log",
    "auth_basic_user_file",
];

impl Build {
    /// A directive's row, where it is known, may stand here and has the right number of arguments.
    pub(super) fn check(&mut self, scope: &Scope, d: &Directive) -> Option<&'static Row> {
        let name = d.name.str();
        let mut here = scope.context;
        if self.bare && here == Contexts::MAIN {
            here = here | Contexts::HTTP;
        }
        let Some(found) = registry::find(&name, here) else { return self.unknown(d, here) };
        if !found.contexts().intersects(here) {
            self.misplaced(scope, d, found.contexts());
            return None;
        }
        let args = found.args();
        if args.is_block() != d.block.is_some() || !args.accepts(d.args.len()) {
            match self.swallowed(here, d) {
                Some((first, second)) => {
                    self.error(missing_semicolon(&first, &second));
                    self.check(scope, &second);
                }
                None => self.error(wrong_shape(d, args)),
            }
            return None;
        }
        match found {
            Found::Row(row) => Some(row),
            Found::Known(known) => {
                self.without_effect(known, d);
                None
            }
        }
    }

    fn misplaced(&mut self, scope: &Scope, d: &Directive, contexts: Contexts) {
        let fault = Fault::new(d.name.span, format!("\"{}\" directive is not allowed here", d.name.str()));
        let fault = fault.help(format!("it belongs in {}", contexts.describe()));
        self.error(match &scope.block {
            Some((name, opened)) => fault.note(*opened, format!("this line is inside `{name}`, opened")),
            None => fault.label("outside all blocks"),
        });
    }

    /// A directive of nginx that does nothing here: refused where it asks for something, else noted once.
    fn without_effect(&mut self, known: &'static Known, d: &Directive) {
        let name = d.name.str();
        if known.args == Args::FLAG
            && let Err(fault) = argument::flag(d, 0)
        {
            self.error(fault);
        }
        if known.name == "worker_processes" && !d.args[0].is("auto") {
            match argument::number(d, 0) {
                Ok(0) => self.warn(d.args[0].span, "\"worker_processes\" is 0: nginx would start no worker"),
                Ok(_) => {}
                Err(fault) => self.error(fault.help("a number, or `auto`")),
            }
        }
        match known.verdict {
            Verdict::Refused(why) if !asks_for_nothing(&d.args) => {
                self.error(Fault::new(d.name.span, format!("\"{name}\" is not supported: {why}")));
            }
            Verdict::Refused(why) | Verdict::Ignored(why) => self.note_ignored(known.name, d, why),
        }
    }

    /// The directive cut in two where one of its arguments begins a line and is a whole directive that may stand here:
    /// the `;` before it is missing.
    fn swallowed(&self, here: Contexts, d: &Directive) -> Option<(Directive, Directive)> {
        let known =
            |word: &Word| registry::find(&word.str(), here).is_some_and(|found| found.contexts().intersects(here));
        let (first, second) = split_at_missing_semicolon(d, self.sources.bytes(d.span.file), known)?;
        let args = registry::find(&second.name.str(), here)?.args();
        let whole = args.accepts(second.args.len()) && args.is_block() == second.block.is_some();
        whole.then_some((first, second))
    }

    /// Says so where a directive that is right as it is has taken in the next one. Returns whether it has.
    pub(super) fn swallows(&mut self, here: Contexts, d: &Directive) -> bool {
        let Some((first, second)) = self.swallowed(here, d) else { return false };
        let fault = missing_semicolon(&first, &second).diagnostic();
        let mut warning = Diagnostic::warn(
            fault.span,
            format!("\"{}\" is an argument of \"{}\" here", second.name.str(), first.name.str()),
        );
        warning.label = fault.label;
        warning.help = fault.help;
        self.diagnostics.push(warning);
        true
    }

    /// A directive that its row does not take: with what would be right, as far as the row knows.
    pub(super) fn wrong(&mut self, here: Contexts, row: &Row, d: &Directive, fault: Fault) {
        if let Some((first, second)) = self.swallowed(here, d) {
            return self.error(missing_semicolon(&first, &second));
        }
        let text = String::from_utf8_lossy(self.sources.slice(fault.span)).into_owned();
        let comma = d.args.iter().find(|word| !word.quoted && word.bytes().ends_with(b","));
        let help = match (&fault.help, comma) {
            (_, Some(_)) => Some(match row.name {
                "listen" => {
                    "words are separated by spaces, not by a comma; another address is another `listen`".to_owned()
                }
                _ => "words are separated by spaces: the comma is part of the word".to_owned(),
            }),
            (None, _) if fault.message.contains("invalid") || fault.message.contains("unknown") => {
                Some(from_doc(row, &text))
            }
            _ => None,
        };
        self.error(match help {
            Some(help) => Fault { help: Some(help), ..fault },
            None => fault,
        });
    }

    /// Characters that look like others, and paths of another system: taken as they stand, as by nginx, but not meant.
    pub(super) fn odd_characters(&mut self, d: &Directive) {
        for word in &d.args {
            let bytes = word.bytes();
            if let [drive, b':', b'\\' | b'/', rest @ ..] = bytes
                && drive.is_ascii_alphabetic()
                && !rest.starts_with(b"/")
                && matches!(&*d.name.str(), "root" | "alias" | "access_log" | "error_log" | "pid")
            {
                self.warn(
                    word.span,
                    "a path of Windows: here paths begin with `/`, and a relative one is taken from the prefix",
                );
            }
            if bytes.is_ascii() || word.quoted {
                continue;
            }
            let text = word.str();
            let plain = text.replace(CURLY, "");
            if text.starts_with(CURLY) || text.ends_with(CURLY) {
                let warning = Diagnostic::warn(word.span, "typographic quotes are part of the value, not quotes");
                self.diagnostics.push(warning.help(format!("straight ones quote a word: \"{plain}\"")));
            } else if let Some(c) = text.chars().find(|c| is_blank(*c)) {
                self.warn(word.span, format!("{} is part of this word", blank_name(c)));
            }
        }
    }

    /// An unknown name. Gives the row of the block that was probably meant, so that what is in it is checked too.
    fn unknown(&mut self, d: &Directive, here: Contexts) -> Option<&'static Row> {
        let name = d.name.str();
        let mut fault = Fault::new(d.name.span, format!("unknown directive \"{}\"", shown(&name)));
        if let Some(help) = lexical(&name, here).or_else(|| foreign_names::foreign(&name, &d.args)) {
            self.error(fault.help(help));
            return None;
        }
        let Some(near) = registry::nearest(&name, here) else {
            fault.help = foreign_names::nearest(&name).or_else(|| block_of(&name, d));
            self.error(fault);
            return None;
        };
        let found = registry::find(near, here)?;
        let place = match found.contexts().intersects(here) {
            true => String::new(),
            false => format!(" (it belongs in {})", found.contexts().describe()),
        };
        self.error(fault.help(format!("did you mean \"{near}\"?{place}")));
        match found {
            Found::Row(row)
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

/// Text long enough to be recognised.
fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// `ssi off` is harmless where `ssi on` must be refused.
fn asks_for_nothing(args: &[Word]) -> bool {
    matches!(args, [word] if word.bytes().eq_ignore_ascii_case(b"off"))
}

fn missing_semicolon(first: &Directive, second: &Directive) -> Fault {
    let after = first.words().last().map_or(first.name.str(), Word::str);
    Fault::new(first.close, not_terminated(&first.name))
        .label(format!("missing `;` after `{after}`"))
        .help(format!("end the line with `;`: `{}` on a later line is a directive of its own", second.name.str()))
}

/// A block where none belongs, none where one does, or the wrong number of words.
fn wrong_shape(d: &Directive, args: Args) -> Fault {
    let name = d.name.str();
    if args.is_block() && d.block.is_none() {
        let fault = Fault::new(d.close, format!("directive \"{name}\" has no opening \"{{\""));
        return fault.help(format!("a block follows: {} {{ … }}", written(d.words())));
    }
    if d.block.is_some() && !args.is_block() {
        let fault = Fault::new(d.name.span, format!("directive \"{name}\" is not terminated by \";\""));
        return fault.label(format!("`{name}` takes no block"));
    }
    let message = format!("invalid number of arguments in \"{name}\" directive");
    if let Some(sign) = d.args.first().filter(|word| !word.quoted && (word.is("=") || word.is(":") || word.is("=>"))) {
        let help =
            format!("no `{}` stands between a directive and its value: {name} {};", sign.str(), written(&d.args[1..]));
        return Fault::new(sign.span, message).help(help);
    }
    let most = (0..8).rev().find(|n| args.accepts(*n)).unwrap_or(0);
    if TAKES_TEXT.contains(&&*name) && d.args.len() > most && most > 0 {
        let text = &d.args[most - 1..];
        let span = text.first().map_or(d.name.span, |word| word.span).to(d.args_span());
        let help = format!("a value with spaces stands in quotes: {name} {}", quoted_tail(d, most - 1));
        return Fault::new(span, message).label(format!("it takes {}", args.describe())).help(help);
    }
    Fault::new(d.name.span, message).help(format!("it takes {}", args.describe()))
}

fn written<'a>(words: impl IntoIterator<Item = &'a Word>) -> String {
    words.into_iter().map(|word| word.str().into_owned()).collect::<Vec<_>>().join(" ")
}

/// The arguments with all from `from` on as one quoted word.
fn quoted_tail(d: &Directive, from: usize) -> String {
    let (kept, text) = d.args.split_at(from);
    format!("{}{}\"{}\";", written(kept), if kept.is_empty() { "" } else { " " }, shown(&written(text)))
}

/// A parameter that the row's documentation names and that is near the word; else what the documentation says first.
fn from_doc(row: &Row, word: &str) -> String {
    let key = word.split_once('=').map_or(word, |(key, _)| key);
    let words = row.doc.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | '-'));
    let words = words.map(|word| word.trim_end_matches(['.', '-'])).filter(|known| known.len() > 1 && *known != key);
    if let Some(near) = suggest::nearest(key, words) {
        return format!("did you mean \"{near}\"?");
    }
    let first = row.doc.split_once(". ").map_or(row.doc, |(first, _)| first);
    format!("`{}` takes {}: {}", row.name, row.args.describe(), first.trim_end_matches('.'))
}

const CURLY: [char; 7] = ['“', '”', '„', '‘', '’', '«', '»'];

fn is_blank(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{200b}'..='\u{200d}' | '\u{202f}' | '\u{2060}' | '\u{3000}' | '\u{feff}' | '\u{2003}')
}

fn blank_name(c: char) -> String {
    let name = match c {
        '\u{a0}' | '\u{202f}' => "a no-break space",
        '\u{3000}' | '\u{2003}' => "a wide space",
        '\u{feff}' => "a byte order mark",
        _ => "an invisible zero-width character",
    };
    format!("{name} (U+{:04X})", u32::from(c))
}

/// What is wrong with how a name is written.
fn lexical(name: &str, here: Contexts) -> Option<String> {
    if let Some(c) = name.chars().find(|c| is_blank(*c)) {
        let plain: String = name.chars().filter(|c| !is_blank(*c)).collect();
        let meant =
            if registry::find(&plain, here).is_some() { format!("; did you mean \"{plain}\"?") } else { String::new() };
        return Some(format!("{} stands in it where a plain space or nothing belongs{meant}", blank_name(c)));
    }
    if name.starts_with("//") || name.starts_with("/*") || name.starts_with("--") || name == "*" {
        return Some("a comment begins with `#` and ends with the line".into());
    }
    if name.starts_with("<<<<<<<") || name.starts_with("=======") || name.starts_with(">>>>>>>") {
        return Some("a mark of an unfinished merge: keep one side and remove the marks".into());
    }
    if name.starts_with("<?") || name.starts_with("<!") || name.to_ascii_lowercase().starts_with("<html") {
        return Some("this is HTML or XML, not a configuration".into());
    }
    if name.starts_with("{%") || name.starts_with("{{") || name.starts_with("<%") || name.starts_with("${") {
        return Some("a placeholder of a template that was not filled in".into());
    }
    match name {
        "else" | "elseif" | "elsif" | "elif" => {
            return Some("there is no `else`: write another `if`, or choose the value by `map`".into());
        }
        "then" | "fi" | "endif" | "end" | "begin" => return Some("blocks are written { … }".into()),
        "export" | "var" | "let" | "const" => return Some("a variable is set by: set $name value;".into()),
        _ => {}
    }
    if name.starts_with('$') {
        return Some(format!("a variable is set by: set {} value;", name.split('=').next().unwrap_or(name)));
    }
    let known = |name: &str| registry::find(name, here).is_some();
    for (sign, text) in [(":", "no colon stands"), ("=>", "no `=>` stands"), ("=", "no `=` stands")] {
        if let Some((key, value)) = name.split_once(sign)
            && known(key)
        {
            let value = if value.is_empty() { "VALUE" } else { value };
            return Some(format!("{text} after a directive's name: \"{key}\" {value};"));
        }
    }
    let cut = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    let (head, rest) = name.split_at_checked(cut)?;
    if !rest.is_empty() && known(head) && !rest.starts_with(['-', '.']) {
        return Some(format!("a space is missing: {head} {rest}"));
    }
    let quoted = name.trim_matches(|c| CURLY.contains(&c) || c == '`' || c == '\\');
    (quoted != name && known(quoted))
        .then(|| format!("did you mean \"{quoted}\"? the character before it is none of its own"))
}

/// `http://…`, `/path` or a host as a name: an argument that lost its directive.
fn block_of(name: &str, d: &Directive) -> Option<String> {
    if name.starts_with('/') && d.block.is_some() {
        return Some(format!("did you mean \"location {name} {{ … }}\"?"));
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        return Some("a URL alone is no directive: `proxy_pass URL;` or `return 301 URL;`".into());
    }
    None
}

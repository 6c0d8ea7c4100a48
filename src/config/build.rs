//! The state that directives modify while a configuration is read: [`Scope`] is the current level, [`Build`] what is
//! collected over all levels. `resolve` walks the tree.

use super::addr::Cidr;
use super::ast::{Directive, Span, Word};
use super::context::Contexts;
use super::error::{Diagnostic, Diagnostics};
use super::fault::{Fault, Outcome};
use super::ids::{LocationId, LogFileId, ServerId};
use super::load::{Touch, errno_text};
use super::model::{ContentHandler, Location, Server, Tables, TryFiles};
use super::pattern::Pattern;
use super::settings::Settings;
use super::settings::acme::IssuerDraft;
use super::settings::cgi::Interpreter;
use super::settings::listen::ServerDraft;
use super::settings::logs::{COMBINED, Escape, LogFormat};
use super::settings::process::Process;
use super::settings::proxy_pass::Pass;
use super::settings::upstream::Upstream;
use super::sources::Sources;
use super::suggest;
use super::syntax::split_at_missing_semicolon;
use super::template::{Source, Template, Variables, not_yours};
use super::upstream_drafts::Drafts;
use crate::http::method::MethodSet;
use crate::io::open;
use crate::util::checkpoint;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How the program was invoked, which decides some defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `webserv CONFIG`: errors go to the terminal, and no file is written that the configuration does not name.
    Webserv,
    /// nginx's options: defaults for pid file, logs and user are nginx's.
    Nginx,
}

/// What a run of the resolver collects over all levels.
pub struct Build {
    /// The main and events contexts.
    pub process: Process,
    /// Variables that are used or defined.
    pub variables: Variables,
    /// Maps, geos, zones and charsets.
    pub tables: Tables,
    /// Indices into `tables.zones` by name.
    pub zone_ids: HashMap<Box<str>, u32>,
    /// log_format, `combined` not among them.
    pub formats: HashMap<Box<str>, Rc<LogFormat>>,
    /// Where each format is defined.
    pub format_places: HashMap<Box<str>, Span>,
    /// Upstream groups as far as they are read.
    pub upstreams: Drafts,
    /// Names of nginx's response caches.
    pub caches: Caches,
    /// Names of nginx's thread pools.
    pub thread_pools: ThreadPools,
    /// Shared memory zones of upstreams, in the order of their directives.
    pub group_zones: Vec<GroupZone>,
    /// Sizes of shared TLS session caches, by name.
    pub session_zones: HashMap<Box<str>, u64>,
    /// Buffer size, flush time and gzip level of each buffered log file.
    pub buffered_logs: HashMap<LogFileId, (u64, Option<u64>, Option<u32>)>,
    /// Whose command line it is: nginx's, with its defaults, or webserv's own.
    pub(super) form: Form,
    /// Log files in the order of [`LogFileId`].
    pub(super) log_files: Vec<PathBuf>,
    /// The same by their full paths.
    pub(super) log_index: HashMap<PathBuf, LogFileId>,
    /// Log files open before, which this configuration names too (indices into `log_files`).
    pub(super) kept_logs: BTreeSet<usize>,
    /// How many of `log_files` were open before.
    pub(super) old_logs: usize,
    /// The built-in format, once a log uses it.
    pub(super) combined: Option<Rc<LogFormat>>,
    /// nginx's default logs: opened only if some level uses them.
    pub(super) default_logs: Vec<LogFileId>,
    /// Everything wrong so far.
    pub(super) diagnostics: Diagnostics,
    /// acme_issuer blocks.
    pub(super) issuers: Vec<IssuerDraft>,
    /// The servers that are complete.
    pub(super) servers: Vec<Server>,
    /// Their addresses and names, index by index.
    pub(super) drafts: Vec<ServerDraft>,
    /// The locations that are complete, by [`LocationId`].
    pub(super) locations: Vec<Location>,
    /// Ignored directives already reported; each is reported once.
    pub(super) noted: Vec<&'static str>,
    /// The source texts, for errors that depend on how something is written.
    pub(super) sources: Sources,
    /// Whether the file has bare server blocks without `http` and `events`: its top level is both main and http.
    pub(super) bare: bool,
    /// The directory of the main configuration file.
    pub(super) main_directory: PathBuf,
    /// Whether files may be made, written or only read.
    pub(super) touch: Touch,
}

/// nginx's shared memory zone for an upstream. One process needs none, so only the size is checked.
pub struct GroupZone {
    pub name: Box<str>,
    /// Bytes; None if this group only refers to the zone.
    pub size: Option<u64>,
    pub span: Span,
}

/// Response caches, by the prefix of their directives (`proxy` and the like). Nothing is cached; only the names are
/// checked.
#[derive(Default)]
pub struct Caches {
    /// Cache directories.
    pub paths: HashSet<Box<[u8]>>,
    /// Values of proxy_cache and its counterparts, to suggest one.
    pub names: HashSet<Box<str>>,
    /// Prefix and zone of each cache_path.
    pub defined: Vec<(Box<str>, Box<str>)>,
    /// Prefix and zone of each use.
    pub used: Vec<(Box<str>, Box<str>, Span)>,
}

/// nginx's pools of threads. There are none here; only the names are checked.
#[derive(Default)]
pub struct ThreadPools {
    /// Names of thread_pool.
    pub defined: HashSet<Box<str>>,
    /// Names that `aio threads=` uses.
    pub used: Vec<(Box<str>, Span)>,
}

/// The level being read.
pub struct Scope {
    /// Which directives may stand here.
    pub context: Contexts,
    /// Settings of the level, first those that it inherits.
    pub settings: Settings,
    /// What it has of its own.
    pub own: LocationDraft,
    /// The `server` block being read.
    pub server: Option<ServerDraft>,
    /// The `upstream` block being read.
    pub upstream: Option<Upstream>,
    /// The `acme_issuer` block being read.
    pub issuer: Option<IssuerDraft>,
    /// Whether the current directive is the first of its name at this level.
    pub first: bool,
    /// The block's name and position; None for the file itself.
    pub(super) block: Option<(Box<str>, Span)>,
    /// Directives that may stand once and did.
    pub(super) seen: Vec<&'static str>,
}

/// Properties of a location that are not inherited.
#[derive(Default)]
pub struct LocationDraft {
    /// It has a `root`, so that an `alias` is an error.
    pub root: bool,
    pub alias: bool,
    /// It is `@name`.
    pub named: bool,
    /// It is a regex location.
    pub regex: bool,
    /// Length of `name`: how much of the path an alias or a URI part replaces.
    pub name_len: u32,
    /// `internal`: clients get 404.
    pub internal: bool,
    /// try_files of this level.
    pub try_files: Option<Box<TryFiles>>,
    /// The methods that limit_except leaves alone, and the level of its rules.
    pub limit_except: Option<(MethodSet, LocationId)>,
    pub content: ContentHandler,
    /// Whether this level has valid_referers of its own.
    pub referers: bool,
    /// The zones of its limit_req and limit_conn: each counts for one of the two.
    pub zones: HashSet<u32>,
    /// Where requests are passed.
    pub pass: Option<Rc<Pass>>,
    /// cgi_pass: how scripts are started.
    pub interpreter: Interpreter,
    /// It is `= name`.
    pub(super) exact: bool,
    /// The locations in it.
    pub(super) children: Vec<Child>,
    /// The name as matched; of a regex its text.
    pub(super) name: Box<[u8]>,
    /// The server that it belongs to.
    pub(super) server: ServerId,
    /// Nesting depth below the server.
    pub(super) depth: usize,
}

/// A location of a level, before the lookup structure is built.
pub(super) struct Child {
    pub(super) id: LocationId,
    pub(super) pattern: Option<Pattern>,
    pub(super) span: Span,
}

impl LocationDraft {
    /// The prefix that a URI part of proxy_pass replaces; empty for a server.
    pub fn location_name(&self) -> &[u8] {
        &self.name
    }
}

impl Scope {
    /// A level that begins with these settings.
    pub(super) fn new(context: Contexts, settings: Settings, own: LocationDraft) -> Scope {
        Scope {
            context,
            settings,
            own,
            server: None,
            upstream: None,
            issuer: None,
            first: true,
            block: None,
            seen: Vec::new(),
        }
    }

    /// Remembers the enclosing block, for messages.
    pub(super) fn within(mut self, d: &Directive) -> Scope {
        self.block = Some((d.name.str().into(), d.name.span));
        self
    }

    /// Whether one of these directives came before at this level.
    pub fn has_seen(&self, names: &[&str]) -> bool {
        self.seen.iter().any(|seen| names.contains(seen))
    }

    /// Whether the current directive is the first at this level of all these names (`allow` and `deny` form one list).
    pub fn first_of(&self, names: &[&str]) -> bool {
        self.first && self.seen.iter().filter(|seen| names.contains(seen)).count() == 1
    }
}

/// Reporting errors and warnings.
impl Build {
    /// Reports an error of a directive, unless it follows from one that is reported already.
    pub fn error(&mut self, fault: Fault) {
        // Reported already: an unfilled template placeholder, or an unclosed quote, of which this is the consequence.
        let is_placeholder = |d: &Diagnostic| d.is_in(fault.span) && d.message == "unexpected \"{\"";
        let is_open_quote = |d: &Diagnostic| d.is_in(fault.span) && d.message.starts_with("missing terminating \"");
        if self.diagnostics.iter().any(|d| is_placeholder(d) || is_open_quote(d)) {
            return;
        }
        self.diagnostics.push(fault.diagnostic());
    }

    /// Whether a missing or surplus brace was reported that moves what follows into another block.
    pub fn follows_from_a_brace(&self, d: &Directive) -> bool {
        self.diagnostics.iter().any(|error| {
            let is_surplus = error.message == "unexpected \"}\"";
            // An unquoted regex has the same message, but does not change the nesting.
            let is_missing = error.message.ends_with("expecting \"}\"")
                && !error.label.as_ref().is_some_and(|label| label.contains("quotes"));
            let is_before = |span: Span| span.file == d.span.file && (is_surplus || span.start < d.span.start);
            (is_surplus || is_missing) && error.span.is_some_and(is_before)
        })
    }

    /// Reads each line of a data block; an error in one line does not hide others. Returns the last fault.
    pub fn lines(&mut self, d: &Directive, mut read: impl FnMut(&mut Build, &Directive) -> Outcome) -> Outcome {
        let mut outcome = Ok(());
        for line in d.block.iter().flatten() {
            checkpoint::pass();
            if line.block.is_some() && self.follows_from_a_brace(line) {
                continue;
            }
            self.odd_line(line);
            if let Err(fault) = read(self, line)
                && let Err(before) = std::mem::replace(&mut outcome, Err(fault))
            {
                self.error(before);
            }
        }
        outcome
    }

    /// Reports an error of a level that nested levels inherit only once, at the outermost.
    pub fn error_once(&mut self, span: Span, text: impl Into<String>) {
        let text = text.into();
        if !self.diagnostics.iter().any(|diagnostic| diagnostic.message == text) {
            self.diagnostics.push(Diagnostic::emerg(span, text));
        }
    }

    /// A notice: something the line asks for has no effect, which is harmless.
    pub fn notice(&mut self, span: Span, text: impl Into<String>) {
        self.diagnostics.push(Diagnostic::notice(span, text));
    }

    /// Warns about a network written with host bits set.
    pub fn low_bits(&mut self, word: &Word, net: &Cidr) {
        let warning = Diagnostic::warn(word.span, format!("low address bits of {} are meaningless", word.str()));
        self.warning(warning.help(format!("write the network: {}/{}", net.ip, net.prefix)));
    }

    /// A warning about an accepted line.
    pub fn warn(&mut self, span: Span, text: impl Into<String>) {
        self.diagnostics.push(Diagnostic::warn(span, text));
    }

    /// Notes, once per name, that a directive is ignored.
    pub fn note_ignored(&mut self, name: &'static str, d: &Directive, why: &str) {
        if !self.noted.contains(&name) {
            self.noted.push(name);
            self.notice(d.name.span, format!("\"{name}\" is ignored: {why}"));
        }
    }

    /// Reports what is no error.
    pub fn warning(&mut self, warning: Diagnostic) {
        self.diagnostics.push(warning);
    }

    /// A warning if a line of a data block (a map, a list of types) swallowed the next one for want of a `;`. `is_key`
    /// recognises the first word of a line.
    pub fn line_in_line(&self, line: &Directive, is_key: impl Fn(&Word) -> bool) -> Option<Diagnostic> {
        let (first, second) = split_at_missing_semicolon(line, self.sources.bytes(line.span.file), is_key)?;
        let after = first.words().last().map_or(first.name.str(), Word::str);
        let message = format!("\"{}\" is part of the line of \"{}\" here", second.name.str(), first.name.str());
        Some(Diagnostic::warn(first.close, message).label(format!("missing `;` after `{after}`")))
    }

    /// The last argument on its line, if another follows on a later line.
    fn before_the_next_line<'d>(&self, line: &'d Directive) -> Option<&'d Word> {
        let bytes = self.sources.bytes(line.span.file);
        let goes_on = |pair: &&[Word]| {
            let gap = bytes.get(pair[0].span.end as usize..pair[1].span.start as usize).unwrap_or_default();
            memchr::memchr(b'\n', gap).is_some()
        };
        line.args.windows(2).find(goes_on).map(|pair| &pair[0])
    }

    /// The fault for a line of a data block with too many words: the missing `;`, if the words continue on another
    /// line.
    pub fn data_line(&self, line: &Directive, most: usize, message: &str, words: &[&str]) -> Fault {
        if line.args.len() > most
            && let Some(missing) = self.line_in_line(line, |_| true)
            && let Some(span) = missing.span
        {
            return Fault { label: missing.label, ..Fault::new(span, message) }.help("each line ends with `;`");
        }
        // A data line may begin with a quoted word, which no directive does.
        if let Some(last) = self.before_the_next_line(line).filter(|_| line.args.len() > most) {
            let label = format!("missing `;` after `{}`", last.str());
            return Fault::new(last.span.after(), message).label(label).help("each line ends with `;`");
        }
        let key = line.name.str();
        let values: Vec<_> = line.args.iter().map(Word::str).collect();
        match (&values[..], &line.block) {
            ([], None) => {
                let near = suggest::did_you_mean(&key, words.iter().copied());
                // `a=1`, `a:1`: key and value joined in one word.
                let halves = ["=>", "=", ":"].iter().find_map(|sign| key.split_once(sign));
                let halves = halves.filter(|(key, value)| !key.is_empty() && !value.is_empty());
                let apart = halves.map(|(key, value)| format!("a key and a value are two words: {key} {value};"));
                let help = apart.or(near).unwrap_or_else(|| "a key and a value, ended by `;`".to_owned());
                Fault::new(line.span, message).help(help)
            }
            ([sign, value], None) if matches!(&**sign, "=" | "=>" | ":" | "->") => {
                Fault::new(line.args[0].span, message).help(format!("leave out the `{sign}`: {key} {value};"))
            }
            (values, None) => {
                let help = format!("a value with spaces needs quotes: {key} \"{}\";", values.join(" "));
                Fault::new(line.surplus(most).unwrap_or(line.args_span()), message).help(help)
            }
            _ => Fault::new(line.span, message).help("a key and a value, ended by `;`"),
        }
    }
}

/// Parsing arguments that need more than the argument itself.
impl Build {
    /// Defines a variable, at the name's position `span`.
    pub fn define(&mut self, name: &str, source: Source, span: Span) -> Result<u32, Fault> {
        self.variables.define(name, source).map_err(|why| Fault::new(span, why).help(not_yours(name)))
    }

    /// Parses the argument as a template.
    pub fn template(&mut self, d: &Directive, at: usize) -> Result<Template, Fault> {
        self.template_of(d.args[at].bytes(), d.args[at].span)
    }

    /// Parses a value with variables and notes those that it uses.
    ///
    /// # Errors
    /// nginx's "invalid variable name", with the position of the `$` in `span` if it is known.
    pub fn template_of(&mut self, text: &[u8], span: Span) -> Result<Template, Fault> {
        checkpoint::pass();
        Template::parse(text, &mut self.variables).map_err(|why| {
            // Point at the `$` itself if the word has no escapes.
            let raw = self.sources.slice(span);
            let open = memchr::memmem::find(raw, text);
            let dollar =
                memchr::memchr_iter(b'$', text).find(|at| !is_variable(text.get(at + 1..).unwrap_or_default()));
            let place = open.zip(dollar).map_or(span, |(open, at)| {
                let rest = text.get(at + 1..).unwrap_or_default();
                let name = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'{')).count();
                span.part(open + at, open + at + 1 + name)
            });
            if let Some(rest) = why.strip_prefix("the closing bracket in \"") {
                let name = rest.split('"').next().unwrap_or_default().to_owned();
                return Fault::new(place, why).help(format!("close it: ${{{name}}}"));
            }
            if why != "invalid variable name" {
                return Fault::new(span, why);
            }
            let after = dollar.and_then(|at| text.get(at + 1..)).unwrap_or_default();
            let inside = after.strip_prefix(b"(").and_then(|rest| rest.split(|byte| *byte == b')').next());
            let help = match inside.map(String::from_utf8_lossy) {
                _ if after.first() == Some(&b'$') => {
                    let name = String::from_utf8_lossy(after.get(1..).unwrap_or_default());
                    let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    format!("one `$` begins a variable: ${name}")
                }
                Some(name) if !name.is_empty() => format!("a variable is written ${name} or ${{{name}}}"),
                _ => {
                    "a `$` begins the name of a variable; `geo $dollar { default \"$\"; }` makes one that is the sign \
                      itself"
                        .to_owned()
                }
            };
            Fault::new(place, why).help(help)
        })
    }

    /// Parses the argument as a path, relative to the prefix unless it is absolute or starts with a variable.
    pub fn path_template(&mut self, d: &Directive, at: usize) -> Result<Template, Fault> {
        let is_whole = d.args[at].bytes().starts_with(b"$");
        if is_whole { self.template(d, at) } else { self.prefixed_path_template(d, at) }
    }

    /// Parses the argument as a path, relative to the prefix unless it is absolute: so is one that starts with a
    /// variable, whatever its value is.
    pub fn prefixed_path_template(&mut self, d: &Directive, at: usize) -> Result<Template, Fault> {
        let text = d.args[at].bytes();
        if text.starts_with(b"/") {
            return self.template(d, at);
        }
        let prefix = self.process.prefix.as_os_str().as_bytes();
        let mut full = prefix.strip_suffix(b"/").unwrap_or(prefix).to_vec();
        // The prefix is a literal path, not a template.
        let dollar = full.contains(&b'$');
        full.push(b'/');
        full.extend_from_slice(text);
        if dollar && !text.contains(&b'$') {
            return Ok(Template::literal(&full));
        }
        self.template_of(&full, d.args[at].span)
    }

    /// Adds a directory to create at startup.
    pub fn temp_path(&mut self, path: &Path) {
        if !self.process.temp_paths.iter().any(|known| known == path) {
            self.process.temp_paths.push(path.to_owned());
        }
    }

    /// A path relative to the prefix, unless absolute.
    pub fn full_path(&self, text: &[u8]) -> PathBuf {
        self.process.prefix.join(OsStr::from_bytes(text))
    }
}

/// Files that must exist.
impl Build {
    /// Checks that a password file can be read, even if no key needs it. Other than regular files must only exist:
    /// the writer of a FIFO would take this for its reader.
    pub fn find_passwords(&self, word: &Word) -> Outcome {
        let path = self.main_directory.join(OsStr::from_bytes(word.bytes()));
        let fault = |call: &str, why: &str| {
            Fault::new(word.span, format!("{call}() \"{}\" failed {why}", path.display()))
                .help("a relative path is taken from the directory of the main configuration file")
        };
        match std::fs::metadata(&path) {
            Err(error) => Err(fault("open", &format!("({})", errno_text(&error)))),
            Ok(data) if data.is_dir() => Err(fault("read", "(21: Is a directory)")),
            Ok(data) if data.is_file() => open::read(&path, 0).map(drop).map_err(|e| fault("open", &e.to_string())),
            Ok(_) => Ok(()),
        }
    }
}

/// Log files.
impl Build {
    /// A log file whose path is relative to the prefix; the same file gets the same id.
    pub fn log_file_from_prefix(&mut self, path: &[u8]) -> LogFileId {
        let full = self.full_path(path);
        self.log_file(full.as_os_str().as_bytes())
    }

    /// The id of a log file by its full path: one entry, however many directives name it.
    pub fn log_file(&mut self, path: &[u8]) -> LogFileId {
        let path = PathBuf::from(OsStr::from_bytes(path));
        if let Some(&id) = self.log_index.get(&path) {
            self.default_logs.retain(|default| *default != id);
            self.kept_logs.insert(id.at());
            return id;
        }
        // Reuse a slot that an earlier configuration has freed.
        let free = (0..self.old_logs).find(|at| self.log_files[*at].as_os_str().is_empty());
        let id = LogFileId(free.unwrap_or(self.log_files.len()) as u32);
        self.kept_logs.insert(id.at());
        match free {
            Some(at) => self.log_files[at].clone_from(&path),
            None => self.log_files.push(path.clone()),
        }
        self.log_index.insert(path, id);
        id
    }

    /// nginx's predefined format `combined`.
    pub fn combined(&mut self) -> Rc<LogFormat> {
        let variables = &mut self.variables;
        let make = || {
            let line = Template::parse(COMBINED.as_bytes(), variables).expect("the built-in format is well formed");
            Rc::new(LogFormat { escape: Escape::Default, line, combined: true })
        };
        self.combined.get_or_insert_with(make).clone()
    }
}

/// Whether the text after a `$` begins with a variable name; one in braces must be closed.
fn is_variable(rest: &[u8]) -> bool {
    let name = rest.strip_prefix(b"{").unwrap_or(rest);
    let length = name.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    length > 0 && (name.len() == rest.len() || name.get(length) == Some(&b'}'))
}

//! Tree → resolved [`Config`]: walks the blocks, checks every directive against its row and lets it act on the
//! level being built. Each level is read in three passes, so that the order of directives means what it means in
//! nginx: settings first, then the blocks that inherit them, then the rewrite script in its order.
//!
//! Invariant: a wrong directive is reported and skipped; the walk goes on, so that one run shows every error.

use super::ast::{Directive, Span, Word};
use super::context::{Class, Contexts};
use super::directives::listen::ServerDraft;
use super::directives::logs::{AccessLog, AccessTarget, COMBINED, Escape, LogFormat, Logging};
use super::directives::{access, output, rewrite};
use super::endpoints;
use super::error::{Diagnostic, Diagnostics, nearest};
use super::load::{Loaded, Sources};
use super::model::*;
use super::pattern::{Case, Pattern, PatternSet};
use super::syntax::split_at_missing_semicolon;
use super::table::{self, Effect, Fault, Found, Row, Section};
use super::template::{Template, Variables};
use crate::util::hash::FastMap;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Deepest nesting of blocks the walk follows; the parser has its own bound.
const DEEPEST: usize = 64;

/// How the program was called: decides the defaults that nginx's own command line expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `webserv CONFIG`: errors to the terminal, nothing written that the configuration does not name.
    Own,
    /// nginx's flags: nginx's pid file, logs and user where the configuration names none.
    Nginx,
}

/// What a run of the resolver collects over all levels.
pub struct Build {
    pub process: Process,
    pub pid_given: bool,
    pub variables: Variables,
    pub tables: Tables,
    pub formats: HashMap<Box<str>, Rc<LogFormat>>,
    pub hostname: String,
    form: Form,
    log_files: Vec<PathBuf>,
    log_index: HashMap<PathBuf, LogFileId>,
    combined: Option<Rc<LogFormat>>,
    /// nginx's own logs, until the configuration names them: opened only if some level uses them.
    default_logs: Vec<LogFileId>,
    diagnostics: Diagnostics,
    servers: Vec<Server>,
    drafts: Vec<ServerDraft>,
    locations: Vec<Location>,
    /// Ignored directives that were noted once already.
    noted: Vec<&'static str>,
    /// The texts, for errors that are judged by how they are written.
    sources: Sources,
    /// The file is bare server blocks: its top level is both main and http.
    bare: bool,
}

/// One level while it is read.
pub struct Scope {
    pub context: Contexts,
    pub settings: Settings,
    pub own: Own,
    pub server: Option<ServerDraft>,
    /// The directive being applied is the first of its name at this level.
    pub first: bool,
    seen: Vec<&'static str>,
}

/// What belongs to a location itself and is not inherited.
#[derive(Default)]
pub struct Own {
    pub root: bool,
    pub alias: bool,
    pub named: bool,
    pub regex: bool,
    pub name_len: u32,
    pub internal: bool,
    pub try_files: Option<Box<TryFiles>>,
    pub limit_except: Option<(crate::http::method::MethodSet, LocationId)>,
    pub content: Content,
    /// The words of valid_referers of this level so far.
    pub referers: Vec<Word>,
    exact: bool,
    children: Vec<Child>,
    name: Box<[u8]>,
    server: ServerId,
    depth: usize,
}

impl Scope {
    fn new(context: Contexts, settings: Settings, own: Own) -> Scope {
        Scope { context, settings, own, server: None, first: true, seen: Vec::new() }
    }

    /// The directive being applied is the first at this level of all those named (`allow` and `deny` are one list).
    pub fn first_of(&self, names: &[&str]) -> bool {
        self.first && self.seen.iter().filter(|seen| names.contains(seen)).count() == 1
    }
}

/// A run's outcome: a configuration where nothing was wrong, and what there is to say in any case.
pub struct Resolved {
    pub config: Option<Config>,
    pub diagnostics: Diagnostics,
}

/// Resolves what was loaded, and takes its tree and what there was to say of it. `prefix` is what relative paths are
/// taken from.
///
/// `logs`: paths of log files that are open already and keep their ids; `error_log`: `-e`.
pub fn resolve(
    loaded: &mut Loaded,
    prefix: &Path,
    form: Form,
    logs: Vec<PathBuf>,
    error_log: Option<&Path>,
) -> Resolved {
    let tree = std::mem::take(&mut loaded.directives);
    let mut b = Build {
        process: Process { prefix: prefix.to_owned(), ..Process::default() },
        pid_given: false,
        variables: Variables::default(),
        tables: Tables::default(),
        formats: HashMap::new(),
        hostname: crate::sys::process::hostname(),
        form,
        log_index: logs.iter().enumerate().map(|(at, path)| (path.clone(), LogFileId(at as u32))).collect(),
        log_files: logs,
        combined: None,
        default_logs: Vec::new(),
        diagnostics: std::mem::take(&mut loaded.diagnostics),
        servers: Vec::new(),
        drafts: Vec::new(),
        locations: Vec::new(),
        noted: Vec::new(),
        sources: std::mem::take(&mut loaded.sources),
        bare: !tree.iter().any(|d| d.name.is("http")),
    };
    let combined = b.combined();
    b.formats.insert("combined".into(), combined);
    let mut scope = Scope::new(Contexts::MAIN, Settings::default(), Own::default());
    b.defaults(&mut scope.settings, error_log);
    if b.bare {
        b.default_access_log(&mut scope.settings);
    }
    b.level(&mut scope, &tree);
    loaded.sources = std::mem::take(&mut b.sources);
    b.finish()
}

impl Build {
    /// Where the configuration says nothing, nginx's command line means nginx's files.
    fn defaults(&mut self, settings: &mut Settings, error_log: Option<&Path>) {
        let prefix = self.process.prefix.clone();
        let root = [prefix.as_os_str().as_bytes(), b"/html"].concat();
        Rc::make_mut(&mut settings.files).root = Template::literal(&root);
        let default: Option<&[u8]> = if self.form == Form::Nginx { Some(b"logs/error.log") } else { None };
        if let Some(path) = error_log.map(|path| path.as_os_str().as_bytes()).or(default) {
            let target = match path {
                b"stderr" => LogTarget::Stderr,
                path => LogTarget::File(self.log_file_from_prefix(path)),
            };
            if let (LogTarget::File(id), None) = (&target, error_log) {
                self.default_logs.push(*id);
            }
            let error = ErrorLog { target, level: Level::Error };
            self.process.error_log = error.clone();
            Rc::make_mut(&mut settings.logs).error = error;
        }
        if self.form == Form::Nginx {
            self.process.pid = Some(self.full_path(b"logs/nginx.pid"));
        }
    }

    fn finish(mut self) -> Resolved {
        let undefined: Vec<String> = self.variables.undefined().map(str::to_owned).collect();
        for name in undefined {
            let mut diagnostic = Diagnostic::emerg(None, format!("unknown \"{name}\" variable"));
            let known = super::template::Builtin::ALL.iter().map(|b| b.name());
            if let Some(near) = nearest(&name, known) {
                diagnostic = diagnostic.help(format!("did you mean ${near}?"));
            }
            self.diagnostics.push(diagnostic);
        }
        for zone in self.tables.zones.iter().filter(|zone| zone.defined.is_none()) {
            let text = format!("zero size shared memory zone \"{}\"", zone.name);
            let help = "define it by limit_req_zone or limit_conn_zone in http";
            self.diagnostics.push(Diagnostic::emerg(zone.word.span, text).help(help));
        }
        let (endpoints, sockets) = endpoints::assemble(&mut self.drafts, &mut self.diagnostics);
        self.diagnostics.sort();
        if self.diagnostics.has_errors() {
            return Resolved { config: None, diagnostics: self.diagnostics };
        }
        self.forget_unused_logs();
        let config = Config {
            process: self.process,
            endpoints,
            sockets,
            servers: self.servers,
            locations: self.locations,
            variables: self.variables,
            tables: self.tables,
            log_files: self.log_files,
            notes: self.diagnostics.iter().cloned().collect(),
        };
        Resolved { config: Some(config), diagnostics: self.diagnostics }
    }

    pub fn error(&mut self, fault: Fault) {
        self.diagnostics.push(fault.diagnostic());
    }

    /// Reads one level: settings, then blocks, then the script. Returns the script.
    fn level(&mut self, scope: &mut Scope, children: &[Directive]) -> Script {
        let mut sections = Vec::new();
        let mut steps = Vec::new();
        let outer = scope.settings.output.clone();
        for d in children {
            let Some(row) = self.check(scope, d) else { continue };
            scope.first = !scope.seen.contains(&row.name);
            let outcome = match row.effect {
                Effect::Section(section) => {
                    sections.push((section, d));
                    Ok(())
                }
                Effect::Script => {
                    steps.push(d);
                    Ok(())
                }
                Effect::Many(apply) => {
                    if scope.first {
                        scope.seen.push(row.name);
                    }
                    apply(scope, self, d)
                }
                _ if !scope.first => {
                    Err(Fault::new(d.name.span, format!("\"{}\" directive is duplicate", d.name.str())))
                }
                Effect::Once(apply) => {
                    scope.seen.push(row.name);
                    apply(scope, self, d)
                }
                _ => {
                    scope.seen.push(row.name);
                    table::set_simple(row, &mut scope.settings, d)
                }
            };
            if let Err(fault) = outcome {
                self.error(fault);
            }
        }
        let own = (scope.seen.contains(&"add_header"), scope.seen.contains(&"add_trailer"));
        output::inherit(&mut scope.settings, &outer, own);
        self.sections(scope, &sections);
        self.script(scope, &steps)
    }

    /// A directive's row, where it is known, may stand here and has the right number of arguments.
    fn check(&mut self, scope: &Scope, d: &Directive) -> Option<&'static Row> {
        let name = d.name.str();
        let mut here = scope.context;
        if self.bare && here == Contexts::MAIN {
            here = here | Contexts::HTTP;
        }
        let found = table::find(&name, here);
        let (contexts, args) = match &found {
            Some(Found::Row(row)) => (row.contexts, row.args),
            Some(Found::Known(known)) => (known.contexts, known.args),
            None => {
                self.unknown(d, here);
                return None;
            }
        };
        if !contexts.intersects(here) {
            let fault = Fault::new(d.name.span, format!("\"{name}\" directive is not allowed here"));
            self.error(fault.help(format!("it belongs in {}", contexts.describe())));
            return None;
        }
        if args.is_block() != d.block.is_some() {
            let fault = if args.is_block() {
                Fault::new(d.close, format!("directive \"{name}\" has no opening \"{{\""))
            } else {
                Fault::new(d.name.span, format!("directive \"{name}\" is not terminated by \";\""))
            };
            self.error(fault);
            return None;
        }
        if !args.accepts(d.args.len()) {
            if let Some(name) = self.missing_semicolon(scope, d, here) {
                self.error(Fault::new(name, format!("directive \"{}\" is not terminated by \";\"", d.name.str())));
                return None;
            }
            let fault = Fault::new(d.name.span, format!("invalid number of arguments in \"{name}\" directive"));
            self.error(fault.help(format!("it takes {}", args.describe())));
            return None;
        }
        match found? {
            Found::Row(row) => Some(row),
            Found::Known(known) => {
                match known.class {
                    Class::Refused if !known.asks_for_nothing(&d.args) => {
                        let fault = Fault::new(d.name.span, format!("\"{name}\" is not supported: {}", known.why));
                        self.error(fault);
                    }
                    _ if !self.noted.contains(&known.name) => {
                        self.noted.push(known.name);
                        let text = format!("\"{name}\" is ignored: {}", known.why);
                        self.diagnostics.push(Diagnostic::notice(d.name.span, text));
                    }
                    _ => {}
                }
                None
            }
        }
    }

    /// Too many arguments, and one of them begins a line and is a directive's name: the `;` before it is missing. Gives
    /// the place where it belongs, after checking the directive that was swallowed.
    fn missing_semicolon(&mut self, scope: &Scope, d: &Directive, here: Contexts) -> Option<Span> {
        let known = |word: &Word| table::find(&word.str(), here).is_some();
        let (first, second) = split_at_missing_semicolon(d, self.sources.bytes(d.span.file), known)?;
        self.check(scope, &second);
        Some(first.close)
    }

    fn unknown(&mut self, d: &Directive, here: Contexts) {
        let name = d.name.str();
        let mut fault = Fault::new(d.name.span, format!("unknown directive \"{name}\""));
        if let Some(near) = nearest(&name, table::names()) {
            let contexts = match table::find(near, here) {
                Some(Found::Row(row)) => row.contexts,
                Some(Found::Known(known)) => known.contexts,
                None => Contexts::ANY,
            };
            let place = if contexts.intersects(here) {
                String::new()
            } else {
                format!(" (it belongs in {})", contexts.describe())
            };
            fault = fault.help(format!("did you mean \"{near}\"?{place}"));
        } else if let Some(hint) = super::alias::foreign(&name) {
            fault = fault.help(hint);
        }
        self.error(fault);
    }

    fn sections(&mut self, scope: &mut Scope, sections: &[(Section, &Directive)]) {
        let mut tree = Vec::new();
        for &(section, d) in sections {
            let children = d.block.as_deref().unwrap_or_default();
            match section {
                Section::Events => {
                    let mut inner = Scope::new(Contexts::EVENTS, Settings::default(), Own::default());
                    self.level(&mut inner, children);
                }
                Section::Http => {
                    if std::mem::replace(&mut scope.first, false) || scope.seen.contains(&"http") {
                        if scope.seen.contains(&"http") {
                            self.error(Fault::new(d.name.span, "\"http\" directive is duplicate"));
                            continue;
                        }
                        scope.seen.push("http");
                    }
                    let mut inner = Scope::new(Contexts::HTTP, scope.settings.clone(), Own::default());
                    self.default_access_log(&mut inner.settings);
                    self.level(&mut inner, children);
                }
                Section::Server => self.server(scope, d, children),
                Section::Location => {
                    if let Some(child) = self.location(scope, d, children) {
                        tree.push(child);
                    }
                }
                Section::LimitExcept => self.limit_except(scope, d, children),
            }
        }
        scope.own.children = tree;
    }

    fn server(&mut self, outer: &Scope, d: &Directive, children: &[Directive]) {
        let id = ServerId(self.servers.len() as u32);
        // Its place is taken first: locations inside refer to it.
        let root = LocationId(u32::MAX);
        self.servers.push(Server {
            name: Box::default(),
            root,
            tree: LocationTree::default(),
            named: FastMap::default(),
            span: d.name.span,
        });
        self.drafts.push(ServerDraft::default());
        let own = Own { server: id, ..Own::default() };
        let mut scope = Scope::new(Contexts::SERVER, outer.settings.clone(), own);
        scope.server = Some(ServerDraft::default());
        let script = self.level(&mut scope, children);
        let draft = scope.server.take().expect("set above and only borrowed since");
        let children = std::mem::take(&mut scope.own.children);
        let root = self.place(scope, LocationKind::Server, script, None, d.name.span);
        let mut named = FastMap::default();
        let (names, others): (Vec<Child>, Vec<Child>) =
            children.into_iter().partition(|c| self.locations[c.id.at()].kind == LocationKind::Named);
        for child in names {
            let name = self.locations[child.id.at()].name.clone();
            if named.insert(name.clone(), child.id).is_some() {
                let text = format!("duplicate location \"{}\"", String::from_utf8_lossy(&name));
                self.error(Fault::new(child.span, text));
            }
        }
        let tree = self.tree(others);
        let server = &mut self.servers[id.at()];
        server.name = draft.first_name.clone().unwrap_or_default();
        server.root = root;
        server.tree = tree;
        server.named = named;
        self.drafts[id.at()] = draft;
    }

    /// Puts a finished level into the arena.
    fn place(
        &mut self,
        scope: Scope,
        kind: LocationKind,
        script: Script,
        tree: Option<Box<LocationTree>>,
        span: Span,
    ) -> LocationId {
        let id = LocationId(self.locations.len() as u32);
        let own = scope.own;
        let plain = script.ops.is_empty()
            && own.try_files.is_none()
            && own.limit_except.is_none()
            && !own.internal
            && scope.settings.access.rules.is_empty()
            && scope.settings.access.allowed.is_none()
            && scope.settings.auth.realm.is_none()
            && scope.settings.limits.is_empty();
        self.locations.push(Location {
            kind,
            name: own.name,
            server: own.server,
            settings: scope.settings,
            tree,
            script,
            internal: own.internal,
            try_files: own.try_files,
            limit_except: own.limit_except,
            content: own.content,
            plain,
            span,
        });
        id
    }

    fn location(&mut self, outer: &Scope, d: &Directive, children: &[Directive]) -> Option<Child> {
        let (kind, name, insensitive) = match location_name(&d.args) {
            Ok(parsed) => parsed,
            Err(fault) => {
                self.error(fault);
                return None;
            }
        };
        let shown = String::from_utf8_lossy(name).into_owned();
        let inside = String::from_utf8_lossy(&outer.own.name).into_owned();
        let nested = outer.context == Contexts::LOCATION;
        let problem = if outer.own.depth >= DEEPEST {
            Some(format!("location \"{shown}\" is nested too deeply"))
        } else if nested && outer.own.exact {
            Some(format!("location \"{shown}\" cannot be inside the exact location \"{inside}\""))
        } else if nested && outer.own.named {
            Some(format!("location \"{shown}\" cannot be inside the named location \"{inside}\""))
        } else if nested && kind == LocationKind::Named {
            Some(format!("named location \"{shown}\" can be on the server level only"))
        } else if nested && !outer.own.regex && kind != LocationKind::Regex && !name.starts_with(&outer.own.name) {
            Some(format!("location \"{shown}\" is outside location \"{inside}\""))
        } else {
            None
        };
        if let Some(problem) = problem {
            self.error(Fault::new(d.args_span(), problem));
            return None;
        }
        let mut pattern = None;
        let case = if insensitive { Case::Insensitive } else { Case::Sensitive };
        if kind == LocationKind::Regex {
            match Pattern::new(name, case, &mut self.variables) {
                Ok(compiled) => pattern = Some((compiled, case)),
                Err(why) => {
                    let span = d.args.last().map_or(d.span, |w| w.span);
                    self.error(Fault::new(span, format!("invalid regex \"{shown}\": {why}")));
                    return None;
                }
            }
        }
        let own = Own {
            name: name.into(),
            name_len: name.len() as u32,
            named: kind == LocationKind::Named,
            regex: kind == LocationKind::Regex,
            exact: kind == LocationKind::Exact,
            internal: outer.own.internal,
            server: outer.own.server,
            depth: outer.own.depth + 1,
            ..Own::default()
        };
        let mut scope = Scope::new(Contexts::LOCATION, outer.settings.clone(), own);
        let script = self.level(&mut scope, children);
        let nested = std::mem::take(&mut scope.own.children);
        let tree = if nested.is_empty() { None } else { Some(Box::new(self.tree(nested))) };
        let id = self.place(scope, kind, script, tree, d.span);
        Some(Child { id, pattern, span: d.args_span() })
    }

    fn limit_except(&mut self, scope: &mut Scope, d: &Directive, children: &[Directive]) {
        if scope.own.limit_except.is_some() {
            self.error(Fault::new(d.name.span, "\"limit_except\" directive is duplicate"));
            return;
        }
        let methods = match access::excepted(d) {
            Ok(methods) => methods,
            Err(fault) => return self.error(fault),
        };
        let own = Own { server: scope.own.server, name: scope.own.name.clone(), ..Own::default() };
        let mut inner = Scope::new(Contexts::LIMIT_EXCEPT, scope.settings.clone(), own);
        let script = self.level(&mut inner, children);
        let id = self.place(inner, LocationKind::LimitExcept, script, None, d.span);
        scope.own.limit_except = Some((methods, id));
    }

    fn script(&mut self, scope: &mut Scope, steps: &[&Directive]) -> Script {
        let mut ops = Vec::new();
        for d in steps {
            let op = if d.name.is("if") { self.condition(scope, d) } else { rewrite::compile(self, d) };
            match op {
                Ok(op) => ops.push(op),
                Err(fault) => self.error(fault),
            }
        }
        Script { ops }
    }

    /// `if`: its block is a level that inherits from the one it stands in; in a location it may replace it.
    fn condition(&mut self, scope: &mut Scope, d: &Directive) -> Result<Op, Fault> {
        let condition = rewrite::condition(self, d)?;
        let in_location = scope.context == Contexts::LOCATION;
        let context = if in_location { Contexts::IF_LOCATION } else { Contexts::IF_SERVER };
        let own = Own {
            name: scope.own.name.clone(),
            name_len: scope.own.name_len,
            server: scope.own.server,
            internal: scope.own.internal,
            regex: scope.own.regex,
            named: scope.own.named,
            content: scope.own.content,
            depth: scope.own.depth + 1,
            ..Own::default()
        };
        let mut inner = Scope::new(context, scope.settings.clone(), own);
        let script = self.level(&mut inner, d.block.as_deref().unwrap_or_default());
        let location = in_location.then(|| self.place(inner, LocationKind::If, Script::default(), None, d.span));
        Ok(Op::If { condition, location, script })
    }

    /// Builds the look-up of one level's locations.
    fn tree(&mut self, children: Vec<Child>) -> LocationTree {
        let mut tree = LocationTree::default();
        let mut cases = Vec::new();
        let mut prefixes: Vec<(Box<[u8]>, LocationId, Span)> = Vec::new();
        let mut duplicates = Vec::new();
        for child in children {
            let location = &self.locations[child.id.at()];
            match location.kind {
                LocationKind::Exact => {
                    if tree.exact.insert(location.name.clone(), child.id).is_some() {
                        duplicates.push((location.name.clone(), child.span));
                    }
                }
                LocationKind::Regex => {
                    if let Some((pattern, case)) = child.pattern {
                        cases.push(case);
                        tree.regexes.push((pattern, child.id));
                    }
                }
                _ => prefixes.push((location.name.clone(), child.id, child.span)),
            }
        }
        prefixes.sort_by(|a, b| a.0.cmp(&b.0));
        for pair in prefixes.windows(2) {
            if let [a, b] = pair
                && a.0 == b.0
            {
                duplicates.push((b.0.clone(), b.2));
            }
        }
        for (name, span) in duplicates {
            self.error(Fault::new(span, format!("duplicate location \"{}\"", String::from_utf8_lossy(&name))));
        }
        for (prefix, location, _) in prefixes {
            // In sorted order the nearest entry that is a prefix is on the parent chain of the one before.
            let mut parent = tree.prefixes.len().checked_sub(1).map(|at| at as u32);
            while let Some(at) = parent
                && !prefix.starts_with(&tree.prefixes[at as usize].prefix)
            {
                parent = tree.prefixes[at as usize].parent;
            }
            tree.prefixes.push(PrefixEntry { prefix, location, parent });
        }
        let patterns: Vec<(&Pattern, Case)> = tree.regexes.iter().zip(cases).map(|((p, _), c)| (p, c)).collect();
        tree.set = PatternSet::new(&patterns).map(Box::new);
        tree
    }

    /// Something to say of a line that is taken all the same.
    pub fn warn(&mut self, span: Span, text: impl Into<String>) {
        self.diagnostics.push(Diagnostic::warn(span, text));
    }

    /// The argument with its variables found.
    pub fn template(&mut self, d: &Directive, at: usize) -> Result<Template, Fault> {
        self.template_of(d.args[at].bytes(), d.args[at].span)
    }

    pub fn template_of(&mut self, text: &[u8], span: Span) -> Result<Template, Fault> {
        Template::parse(text, &mut self.variables).map_err(|why| Fault::new(span, why))
    }

    /// The argument as a path: taken from the prefix unless it is absolute or starts with a variable.
    pub fn path_template(&mut self, d: &Directive, at: usize) -> Result<Template, Fault> {
        let text = d.args[at].bytes();
        if text.starts_with(b"/") || text.starts_with(b"$") {
            return self.template(d, at);
        }
        let mut full = self.process.prefix.as_os_str().as_bytes().to_vec();
        // The prefix is a path, not a template.
        let dollar = full.contains(&b'$');
        full.push(b'/');
        full.extend_from_slice(text);
        if dollar && !text.contains(&b'$') {
            return Ok(Template::literal(&full));
        }
        self.template_of(&full, d.args[at].span)
    }

    /// A path of the process: taken from the prefix unless absolute.
    pub fn full_path(&self, text: &[u8]) -> PathBuf {
        self.process.prefix.join(OsStr::from_bytes(text))
    }

    pub fn log_file_from_prefix(&mut self, path: &[u8]) -> LogFileId {
        let full = self.full_path(path);
        self.log_file(full.as_os_str().as_bytes())
    }

    /// The log file of a full path: one entry however many logs name it.
    pub fn log_file(&mut self, path: &[u8]) -> LogFileId {
        let path = PathBuf::from(OsStr::from_bytes(path));
        if let Some(&id) = self.log_index.get(&path) {
            self.default_logs.retain(|default| *default != id);
            return id;
        }
        let id = LogFileId(self.log_files.len() as u32);
        self.log_files.push(path.clone());
        self.log_index.insert(path, id);
        id
    }

    pub fn combined(&mut self) -> Rc<LogFormat> {
        let variables = &mut self.variables;
        let make = || {
            let line = Template::parse(COMBINED.as_bytes(), variables).expect("the built-in format is well formed");
            Rc::new(LogFormat { name: "combined".into(), escape: Escape::Default, line, combined: true })
        };
        self.combined.get_or_insert_with(make).clone()
    }

    /// nginx's own command line logs to logs/access.log where no level says otherwise.
    fn default_access_log(&mut self, settings: &mut Settings) {
        if self.form == Form::Nginx {
            let id = self.log_file_from_prefix(b"logs/access.log");
            self.default_logs.push(id);
            let log = AccessLog {
                target: AccessTarget::File(id),
                format: self.combined(),
                condition: None,
                buffer: None,
                flush: None,
                gzip: None,
            };
            Rc::make_mut(&mut settings.logs).access = Rc::new([log]);
        }
    }

    /// nginx's default logs are not opened where every level says otherwise.
    fn forget_unused_logs(&mut self) {
        for default in std::mem::take(&mut self.default_logs) {
            let writes = |target: &LogTarget| matches!(target, LogTarget::File(id) if *id == default);
            let access = |log: &AccessLog| matches!(log.target, AccessTarget::File(id) if id == default);
            let uses = |logs: &Logging| writes(&logs.error.target) || logs.access.iter().any(access);
            let process = &self.process.error_log.target;
            if !writes(process) && !self.locations.iter().any(|l| uses(&l.settings.logs)) {
                self.log_files[default.at()].clear();
            }
        }
    }
}

/// A location of a level, before the level's look-up is built.
pub(super) struct Child {
    id: LocationId,
    pattern: Option<(Pattern, Case)>,
    span: Span,
}

/// Kind, name and (for a regex) whether case is ignored. The modifier may stick to the name: `~\.php$`.
fn location_name(args: &[Word]) -> Result<(LocationKind, &[u8], bool), Fault> {
    let plain = |name: &'_ [u8]| if name.starts_with(b"@") { LocationKind::Named } else { LocationKind::Prefix };
    match args {
        [name] => {
            let bytes = name.bytes();
            Ok(match bytes {
                [b'=', rest @ ..] => (LocationKind::Exact, rest, false),
                [b'^', b'~', rest @ ..] => (LocationKind::PrefixFinal, rest, false),
                [b'~', b'*', rest @ ..] => (LocationKind::Regex, rest, true),
                [b'~', rest @ ..] => (LocationKind::Regex, rest, false),
                _ => (plain(bytes), bytes, false),
            })
        }
        [modifier, name] => match modifier.bytes() {
            b"=" => Ok((LocationKind::Exact, name.bytes(), false)),
            b"^~" => Ok((LocationKind::PrefixFinal, name.bytes(), false)),
            b"~" => Ok((LocationKind::Regex, name.bytes(), false)),
            b"~*" => Ok((LocationKind::Regex, name.bytes(), true)),
            _ => Err(Fault::new(modifier.span, format!("invalid location modifier \"{}\"", modifier.str()))
                .help("=, ^~, ~ or ~*")),
        },
        _ => unreachable!("the row takes one or two arguments"),
    }
}

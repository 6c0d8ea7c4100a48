//! Resolves the tree into a [`Config`]: walks the blocks, checks every directive against its row and applies it to the
//! level being built. Each level is processed in three passes, which gives the order of directives the same meaning as
//! in nginx: settings, then nested blocks, which inherit them, then the rewrite script in order.
//!
//! Invariant: a wrong directive is reported and skipped; the walk continues, so that one run reports every error.

mod acme;
mod addresses;
mod blocks;
mod buffers;
mod check;
mod client_files;
mod constant_hosts;
mod executed_stores;
mod hidden_dirs;
mod languages;
pub mod lexical;
mod lists;
mod logs;
mod markup;
pub mod placeholder;
mod plain;
mod rates;
mod remedy;
mod repeated;
mod siblings;
mod split_words;
mod stapling;
mod statuses;
#[cfg(test)]
mod tests;
mod undefined;
mod wrong_words;

use self::client_files::ClientFiles;
use super::ast::{Directive, Span, Word};
use super::build::{Build, Caches, Form, LocationDraft, Scope, ThreadPools};
use super::context::Contexts;
use super::directives::{charset, headers};
use super::endpoints;
use super::error::{Diagnostic, Diagnostics, Severity};
use super::fault::Fault;
use super::load::Loaded;
use super::model::*;
use super::row::{self, Effect, Row};
use super::script::Script;
use super::settings::body::TempPath;
use super::settings::listen::ServerDraft;
use super::settings::upload::UploadSettings;
use super::sources::Sources;
use super::template::{Template, Variables};
use super::upstream_drafts::Drafts;
use crate::http::header::UnusualNames;
use crate::util::checkpoint;
use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Whether the error response that a client gets names this directive's line.
fn is_limiting(name: &str) -> bool {
    name.starts_with("upload_") || matches!(name, "client_max_body_size" | "min_delete_depth" | "delete_recursive")
}

/// Names that any location accepts.
fn unusual_names(locations: &[Location]) -> UnusualNames {
    let names = locations.iter().map(|location| location.settings.client.unusual_names());
    names.fold(UnusualNames::default(), UnusualNames::or)
}

/// The highest max_headers; None if all are equal.
fn most_headers(locations: &[Location]) -> Option<u64> {
    let limits = || locations.iter().map(|location| location.settings.client.max_headers);
    let most = limits().max()?;
    limits().any(|limit| limit != most).then_some(most)
}

/// The result: a configuration if nothing was wrong, and diagnostics in any case.
pub struct Resolved {
    /// None: there is an error.
    pub config: Option<Config>,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
}

/// Resolves a loaded configuration and takes over its diagnostics. Relative paths start from `prefix`.
///
/// `logs`: log files already open, which keep their ids; `error_log`: `-e`.
pub fn resolve(
    loaded: &mut Loaded,
    prefix: &Path,
    form: Form,
    logs: Vec<PathBuf>,
    error_log: Option<&Path>,
) -> Resolved {
    let tree = std::mem::take(&mut loaded.directives);
    let mut b = begin(loaded, &tree, prefix, form, logs);
    let combined = b.combined();
    b.formats.insert("combined".into(), combined);
    let mut scope = Scope::new(Contexts::MAIN, Settings::default(), LocationDraft::default());
    b.defaults(&mut scope.settings, error_log);
    if b.bare {
        b.default_access_log(&mut scope.settings);
    }
    let made = if b.bare { b.redirecting(&tree) } else { Vec::new() };
    if made.is_empty() {
        b.level(&mut scope, &tree);
    } else {
        b.level(&mut scope, &[&tree[..], &made].concat());
    }
    let is_one = tree.iter().any(|d| ["events", "http", "server"].iter().any(|name| d.name.is(name)));
    // A misspelled block name has been reported already.
    if !is_one && !b.diagnostics.has_errors() {
        // A file truncated by a full disk should not stop the service without notice.
        let error = Diagnostic::emerg(None, "no \"events\" section in configuration");
        b.diagnostics.push(error.help(
            "the configuration holds neither `events`, `http` nor `server`: write one, as in: server { listen 8080; root /srv/www; }",
        ));
    }
    let (resolved, sources) = b.finish(&tree);
    loaded.sources = sources;
    loaded.directives = tree;
    resolved
}

/// The initial state.
fn begin(loaded: &mut Loaded, tree: &[Directive], prefix: &Path, form: Form, logs: Vec<PathBuf>) -> Build {
    Build {
        process: Process {
            prefix: prefix.to_owned(),
            hostname: crate::sys::process::hostname().to_ascii_lowercase().into(),
            ..Process::default()
        },
        variables: Variables::default(),
        tables: Tables::default(),
        formats: HashMap::new(),
        format_places: HashMap::new(),
        upstreams: Drafts::default(),
        caches: Caches::default(),
        thread_pools: ThreadPools::default(),
        group_zones: Vec::new(),
        session_zones: HashMap::new(),
        buffered_logs: HashMap::new(),
        zone_ids: HashMap::new(),
        form,
        log_index: logs.iter().enumerate().map(|(at, path)| (path.clone(), LogFileId(at as u32))).collect(),
        kept_logs: BTreeSet::new(),
        old_logs: logs.len(),
        log_files: logs,
        combined: None,
        default_logs: Vec::new(),
        diagnostics: std::mem::take(&mut loaded.diagnostics),
        issuers: Vec::new(),
        servers: Vec::new(),
        drafts: Vec::new(),
        locations: Vec::new(),
        noted: Vec::new(),
        main_directory: loaded.main_directory(),
        touch: loaded.touch,
        sources: std::mem::take(&mut loaded.sources),
        bare: is_bare(tree),
    }
}

/// Whether the contents of `http` stand at the top level: a short configuration, or a file meant to be included.
pub fn is_bare(tree: &[Directive]) -> bool {
    !tree.iter().any(|d| d.name.is("http") || d.name.is("events"))
}

/// Whether a directive has the number of arguments and the block that its row requires.
fn is_shaped(row: &Row, d: &Directive) -> bool {
    row.args.is_block() == d.block.is_some() && row.args.accepts(d.args.len())
}

/// The fault of a repeated directive that is allowed only once.
fn duplicate<'d>(d: &Directive, mut level: impl Iterator<Item = &'d Directive>) -> Fault {
    let fault = Fault::new(d.name.span, format!("\"{}\" directive is duplicate", d.name.str()));
    match level.find(|other| other.name.bytes() == d.name.bytes()) {
        Some(first) => fault.note(first.name.span, "first given here"),
        None => fault,
    }
}

impl Build {
    /// Sets defaults; with nginx's command line, nginx's default files.
    fn defaults(&mut self, settings: &mut Settings, error_log: Option<&Path>) {
        let prefix = self.process.prefix.clone();
        let root = prefix.as_os_str().as_bytes();
        let root = [root.strip_suffix(b"/").unwrap_or(root), b"/html"].concat();
        Rc::make_mut(&mut settings.files).root = Template::literal(&root);
        let default: Option<&[u8]> = if self.form == Form::Nginx { Some(b"logs/error.log") } else { None };
        if let Some(path) = error_log.map(|path| path.as_os_str().as_bytes()).or(default) {
            let target = match path {
                // As in nginx, empty means stderr too.
                b"stderr" | b"" => LogTarget::Stderr,
                path => LogTarget::File(self.log_file_from_prefix(path)),
            };
            if let (LogTarget::File(id), None) = (&target, error_log) {
                self.default_logs.push(*id);
            }
            let error = ErrorLog::plain(target, Level::Error);
            self.process.error_log = error.clone();
            Rc::make_mut(&mut settings.logs).error = error;
        }
        // `webserv CONFIG` creates no directory that the configuration does not name.
        let temp = match self.form {
            Form::Nginx => self.full_path(b"client_body_temp"),
            Form::Webserv => std::env::temp_dir(),
        };
        Rc::make_mut(&mut settings.body).temp = Rc::new(TempPath { path: temp, levels: Vec::new() });
        if self.form == Form::Nginx {
            self.process.pid = Some(self.full_path(b"logs/nginx.pid"));
        }
    }

    /// nginx creates these when it starts, even if nothing is ever stored in them.
    fn add_temp_paths(&mut self) {
        if self.form == Form::Nginx {
            let buffers = |location: &&Location| location.content == ContentHandler::Proxy || location.runs_programs();
            let temp: Vec<_> =
                self.locations.iter().filter(buffers).map(|location| location.settings.body.temp.clone()).collect();
            temp.iter().for_each(|temp| self.temp_path(&temp.path));
        }
    }

    fn finish(mut self, tree: &[Directive]) -> (Resolved, Sources) {
        // What they are computed from does not change below.
        let client_files = ClientFiles::new(&self.locations, &self.variables, &self.tables);
        checkpoint::pass_costly();
        self.check_references(tree, &client_files);
        self.note_stapling(tree);
        let names = self.certified_names();
        let upstreams = std::mem::take(&mut self.upstreams).resolve(&mut self.diagnostics, &self.sources);
        let asking = self.drafts.iter().zip(0..).filter(|(draft, _)| draft.asks_acme);
        let by_acme = asking.map(|(_, at)| ServerId(at)).collect();
        let acme = self.acme();
        let (endpoints, sockets) = self.assemble_endpoints();
        let directory = self.directory();
        let now = crate::sys::clock::realtime().0;
        super::tls::Builder::new(&directory, now, self.touch, &mut self.diagnostics).attach_certificates(
            &mut self.servers,
            &self.locations,
            &endpoints,
            &names,
            &by_acme,
        );
        super::proxy_tls::equip(&directory, &mut self.locations, &mut self.diagnostics);
        names.into_iter().for_each(|_| checkpoint::pass());
        checkpoint::pass_costly();
        self.diagnostics.unite(&self.sources);
        self.diagnostics.sort();
        if self.diagnostics.has_errors() {
            return self.refused();
        }
        self.note_unnamed_variables();
        self.forget_unused_logs();
        self.add_temp_paths();
        let trashes = self.directories(|upload| upload.trash_directory());
        checkpoint::pass_costly();
        let stores = client_files.named_stores();
        checkpoint::pass_costly();
        let hidden_dirs = self.hidden_dirs(&stores, &client_files.areas, &acme);
        checkpoint::pass_costly();
        // Freed in steps, as they were filled.
        std::mem::take(&mut self.drafts).into_iter().for_each(|_| checkpoint::pass());
        let config = Config {
            trashes,
            hidden_dirs,
            process: self.process,
            endpoints,
            sockets,
            servers: self.servers,
            stores,
            client_files: client_files.all(),
            write_areas: client_files.areas,
            unusual_names: unusual_names(&self.locations),
            max_headers: most_headers(&self.locations),
            locations: self.locations,
            variables: self.variables,
            tables: self.tables,
            acme,
            upstreams,
            log_files: self.log_files,
        };
        (Resolved { config: Some(config), diagnostics: self.diagnostics }, self.sources)
    }

    /// Variables that are used without being named in the configuration.
    fn note_unnamed_variables(&mut self) {
        if self.locations.iter().any(|location| location.settings.ssi.on) {
            self.variables.are_named_by_pages();
        }
        if self.locations.iter().any(Location::runs_programs) {
            self.variables.are_passed_to_programs();
        }
    }

    /// The names that each server's certificates must cover; none for a server without certificates.
    fn certified_names(&self) -> Vec<Vec<(String, Span)>> {
        let names = |(draft, server): (&ServerDraft, &Server)| {
            checkpoint::pass();
            let ssl = self.locations.get(server.root.at()).map(|root| &root.settings.ssl);
            let is_certified = ssl.is_some_and(|ssl| ssl.auto.is_some() || !ssl.certificates.is_empty());
            if is_certified { super::tls_checks::certifiable(draft) } else { Vec::new() }
        };
        self.drafts.iter().zip(&self.servers).map(names).collect()
    }

    /// The values of a setting in all locations, without duplicates.
    fn directories(&self, of: impl Fn(&UploadSettings) -> Option<&[u8]>) -> Vec<Box<[u8]>> {
        let found: BTreeSet<_> = self.locations.iter().filter_map(|location| of(&location.settings.upload)).collect();
        found.into_iter().map(Box::from).collect()
    }

    /// The result with errors. Large drafts are freed step by step: see [`checkpoint`].
    fn refused(mut self) -> (Resolved, Sources) {
        while self.locations.pop().is_some() | self.servers.pop().is_some() {
            checkpoint::pass();
        }
        (Resolved { config: None, diagnostics: self.diagnostics }, self.sources)
    }

    /// Checks references between parts of the configuration: variables, zones, charsets, hosts, lists of conditions,
    /// stores.
    fn check_references(&mut self, tree: &[Directive], files: &ClientFiles) {
        self.undefined_variables(tree);
        self.undefined_zones(tree);
        self.undefined_caches();
        self.undefined_thread_pools();
        self.undefined_group_zones();
        checkpoint::pass_costly();
        charset::check(&self.locations, &self.tables, tree, &mut self.diagnostics);
        checkpoint::pass_costly();
        if !self.diagnostics.has_errors() {
            self.refer_constant_hosts();
            lists::equip(&mut self.locations, &self.variables, &self.tables);
            self.locations.iter().for_each(|location| location.settings.referers.regexes.equip());
        }
        checkpoint::pass_costly();
        for span in executed_stores::find(&self.locations, files) {
            self.warn(span, executed_stores::STORED);
        }
        checkpoint::pass_costly();
    }

    fn assemble_endpoints(&mut self) -> (Vec<Endpoint>, Vec<ListenSocket>) {
        // After an error in a listener or name, warnings about its replacement would only be consequences.
        let has_errors = self.diagnostics.has_errors();
        let mut found = Diagnostics::default();
        let assembled = endpoints::assemble(&mut self.drafts, &mut found);
        if has_errors {
            found.leave_out(Severity::Warn);
        }
        self.diagnostics.extend(found);
        checkpoint::pass_costly();
        assembled
    }

    /// Post-processing of a valid directive.
    fn accepted(&mut self, scope: &mut Scope, row: &Row, d: &Directive) {
        self.odd_characters(d);
        if !self.swallows(scope.context, d) && is_limiting(row.name) {
            self.note_line(&mut scope.settings, row.name, d);
        }
    }

    /// Processes one level: settings, then blocks, then the script, which it returns.
    fn level(&mut self, scope: &mut Scope, children: &[Directive]) -> Script {
        if let Some(mended) = self.mended(scope.context, children) {
            return self.level(scope, &mended);
        }
        let mut sections = Vec::new();
        let mut steps = Vec::new();
        let mut repeated = repeated::Level::default();
        let outer = scope.settings.output.clone();
        let mut known = None;
        for d in children {
            checkpoint::pass();
            if !repeated.takes(self, d) {
                continue;
            }
            // Most lines of a long block repeat the name and the number of arguments of the previous line.
            let row = match known {
                Some((name, row)) if name == d.name.bytes() && is_shaped(row, d) => Some(row),
                _ => self.check(scope, d),
            };
            // Not for aliases and misspellings, which must be checked each time.
            known = row.filter(|row| d.name.is(row.name)).map(|row| (d.name.bytes(), row));
            let Some(row) = row else { continue };
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
                _ if !scope.first => Err(duplicate(d, children.iter())),
                Effect::Once(apply) => {
                    scope.seen.push(row.name);
                    apply(scope, self, d)
                }
                _ => {
                    scope.seen.push(row.name);
                    row::set_simple(row, &mut scope.settings, d)
                }
            };
            match outcome {
                Err(fault) => self.wrong(scope.context, row, d, fault),
                Ok(()) => self.accepted(scope, row, d),
            }
        }
        let seen = |name: &'static str| scope.seen.contains(&name);
        let own = headers::OwnLines { add_header: seen("add_header"), add_trailer: seen("add_trailer") };
        headers::inherit(&mut scope.settings, &outer, own);
        self.sections(scope, &sections);
        self.script(scope, &steps)
    }

    /// Records a directive's text and position, replacing that of an outer level.
    fn note_line(&self, settings: &mut Settings, name: &'static str, d: &Directive) {
        let words = std::iter::once(name.into()).chain(d.args.iter().map(Word::str));
        let text = words.collect::<Vec<_>>().join(" ").into();
        let line = Line { name, text, place: self.sources.place(d.name.span).into() };
        let lines = Rc::make_mut(&mut settings.limiting);
        lines.retain(|other| other.name != name);
        lines.push(line);
    }

    /// The directory of the main configuration file, to which certificates and keys are relative.
    fn directory(&self) -> PathBuf {
        let main = self.main_directory.clone();
        std::path::absolute(&main).unwrap_or(main)
    }
}

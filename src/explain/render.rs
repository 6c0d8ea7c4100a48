//! Renders recorded steps as text: a word for the subject, what happened, and the position of the deciding directive.
//! Steps record what was chosen; why the alternatives were not is computed here.

use super::settings;
use crate::config::ast::{Directive, Span};
use crate::config::model::{Config, Endpoint, Location, LocationId, LocationKind, LocationTree, Names, ServerId};
use crate::config::pattern::Pattern;
use crate::config::sources::Sources;
use crate::exchange::Printable;
use crate::route::{LocationVerdict, Rule, server};
use crate::route::{Recorder, TraceStep};
use crate::util::hash::FastMap;
use crate::util::printable::visible;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Maximum number of unrelated servers and locations that are listed.
const SHOWN: usize = 12;

/// The text as far as it is written.
pub struct Explanation<'c> {
    config: &'c Config,
    sources: &'c Sources,
    /// Searched for directives that a step names without a position.
    tree: &'c [Directive],
    /// The block whose settings apply to the next step.
    here: Option<Span>,
    out: String,
    /// The subject of the last line, to avoid repeating it.
    subject: &'static str,
    /// A location was selected before, and the ones that do not match were listed then.
    searched: bool,
    /// Servers and locations that were tried in vain are left out: thousands of requests are compared.
    is_brief: bool,
}

impl<'c> Explanation<'c> {
    /// Without a line.
    pub fn new(config: &'c Config, sources: &'c Sources, tree: &'c [Directive], is_brief: bool) -> Explanation<'c> {
        Explanation { config, sources, tree, here: None, out: String::new(), subject: "", searched: false, is_brief }
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.out
    }

    /// A line; the subject is left out if it is that of the line before.
    pub fn line(&mut self, subject: &'static str, text: &str) {
        let shown = if subject == self.subject { "" } else { subject };
        let _ = writeln!(self.out, "{shown:<10} {}", visible(text));
        self.subject = if subject.is_empty() { self.subject } else { subject };
    }

    /// A line with the position of a directive.
    pub fn placed(&mut self, subject: &'static str, at: Span, text: &str) {
        let place = self.sources.place(at);
        self.line(subject, &format!("{text}  [{place}]"));
    }

    /// Renders all steps in order. `host` is the name by which the server was selected.
    pub fn steps(&mut self, endpoint: &Endpoint, host: &[u8], steps: &[TraceStep]) {
        let mut rest = steps;
        while let Some((step, after)) = rest.split_first() {
            rest = after;
            match step {
                TraceStep::Server { id, rule } => {
                    self.here = Some(self.config.server(*id).span);
                    self.server(endpoint, host, *id, *rule);
                }
                TraceStep::Search { server, uri } => {
                    let looked: Vec<(LocationId, LocationVerdict)> = rest.iter().map_while(location_of).collect();
                    rest = &rest[looked.len()..];
                    let block = looked.last().map(|(taken, _)| self.config.location(*taken).span);
                    self.here = block.or(Some(self.config.server(*server).span));
                    self.locations(*server, uri, &looked);
                }
                TraceStep::Location { id, verdict } => {
                    self.locations(self.config.location(*id).server, b"", &[(*id, *verdict)])
                }
                TraceStep::Phase { name, at: None, text } => match self.directive(name, text) {
                    Some(place) => self.line(name, &format!("{text}  [{place}]")),
                    None => self.line(name, text),
                },
                TraceStep::Phase { name: name @ "rewrite", at: Some(at), text } => {
                    let directive = String::from_utf8_lossy(self.sources.slice(*at)).into_owned();
                    self.placed(name, *at, &format!("{directive}: {text}"));
                }
                TraceStep::Phase { name: name @ "handler", at: Some(at), text } => match self.directive(name, text) {
                    Some(place) => self.line(name, &format!("{text}  [{place}]")),
                    None => self.placed(name, *at, text),
                },
                TraceStep::Phase { name, at: Some(at), text } => {
                    // A named location becomes the current one.
                    self.here = if *name == "redirect" { Some(*at) } else { self.here };
                    self.placed(name, *at, text);
                }
            }
        }
    }

    /// The position of the directive that a step's text or subject names.
    fn directive(&self, subject: &str, text: &str) -> Option<String> {
        if self.tree.is_empty() {
            return None;
        }
        let (name, word) = match subject {
            "try_files" | "index" => (subject, None),
            "log" if text.ends_with("(40: Too many levels of symbolic links)") => ("disable_symlinks", None),
            "error_page" => (subject, text.split(' ').next()),
            "access" | "handler" => match text.split([':', ' ']).next() {
                Some("dav") => ("dav_methods", None),
                Some("upload") => ("upload_store", None),
                name => (name?, None),
            },
            _ => return None,
        };
        let is_it = |text: &str| {
            let words = text.strip_prefix(name).and_then(|rest| rest.strip_prefix([' ', ';']));
            words.is_some_and(|words| word.is_none_or(|word| words.split(' ').any(|one| one == word)))
        };
        settings::at(self.tree, self.here?, self.sources).into_iter().find(|setting| is_it(&setting.text))?.place
    }

    fn server(&mut self, endpoint: &Endpoint, host: &[u8], id: ServerId, rule: Rule) {
        let won = matching(&names_of(endpoint, id), host);
        let why = match rule {
            Rule::Exact => format!("its name is {}", shown_host(host)),
            Rule::Suffix | Rule::Prefix => format!("the longest name with a * that matches: {won}"),
            Rule::Regex(_) => format!("the first regex that matches: {won}"),
            Rule::Default => format!("the listener's default: no name matches {}", shown_host(host)),
        };
        self.placed("server", self.config.server(id).span, &why);
        if self.is_brief {
            return;
        }
        let mut quiet = 0;
        for (other, (text, own)) in by_server(endpoint).iter().filter(|(other, _)| **other != id) {
            let mut recorder = Recorder::default();
            // Match against this server's names alone: would it have been selected?
            let alone = Endpoint {
                addr: endpoint.addr.clone(),
                default: ServerId(u32::MAX),
                names: copy(own),
                options: endpoint.options.clone(),
                proxy_protocol: endpoint.proxy_protocol,
                ssl: endpoint.ssl,
                http2: endpoint.http2,
                span: endpoint.span,
            };
            // The result is in the recorder.
            let _ = server::find(&alone, host, &mut recorder);
            let why = match recorder.0.first() {
                Some(TraceStep::Server { rule: Rule::Default, .. }) | None => {
                    quiet += 1;
                    if quiet > SHOWN {
                        continue;
                    }
                    format!("no name of it matches ({text})")
                }
                _ => format!("{} matches too, but {}", matching(own, host), precedence(rule)),
            };
            self.placed("server", self.config.server(*other).span, &format!("  not: {why}"));
        }
        if quiet > SHOWN {
            self.line("server", &format!("  not: {} more whose names do not match", quiet - SHOWN));
        }
    }

    fn locations(&mut self, server: ServerId, uri: &[u8], looked: &[(LocationId, LocationVerdict)]) {
        let Some((taken, _)) = looked.last() else {
            let root = self.config.server(server).span;
            self.placed("location", root, &format!("none matches {}: the server's own settings apply", Printable(uri)));
            self.level(&self.config.server(server).tree, uri, looked);
            self.searched = true;
            return;
        };
        let location = self.config.location(*taken);
        self.placed("location", location.span, &format!("{} for {}", name(location), Printable(uri)));
        self.level(&self.config.server(server).tree, uri, looked);
        self.searched = true;
    }

    fn level(&mut self, tree: &LocationTree, uri: &[u8], looked: &[(LocationId, LocationVerdict)]) {
        if self.is_brief {
            return;
        }
        let mut all: Vec<(LocationId, Option<&Pattern>)> = tree.exact.values().map(|id| (*id, None)).collect();
        all.extend(tree.prefixes.iter().map(|entry| (entry.location, None)));
        all.extend(tree.regexes.iter().map(|(pattern, id)| (*id, Some(pattern))));
        all.sort_by_key(|(id, _)| (self.config.location(*id).span.file, self.config.location(*id).span.start));
        let mut quiet = 0;
        for (id, pattern) in all {
            let location = self.config.location(id);
            let verdict = looked.iter().find(|(seen, _)| *seen == id).map(|(_, verdict)| *verdict);
            let text = match verdict {
                Some(verdict) => verdict_text(verdict, looked.last().is_some_and(|(taken, _)| *taken == id)),
                None => {
                    let matches = match location.kind {
                        LocationKind::Exact => *location.name == *uri,
                        LocationKind::Regex => pattern.is_some_and(|regex| regex.is_match(uri).unwrap_or(false)),
                        _ => uri.starts_with(&location.name),
                    };
                    if !matches {
                        quiet += 1;
                        if quiet > SHOWN || self.searched {
                            continue;
                        }
                        "does not match".into()
                    } else {
                        lost(location, looked)
                    }
                }
            };
            self.placed("location", location.span, &format!("  {}: {text}", name(location)));
            if verdict.is_some()
                && let Some(inner) = &location.tree
            {
                self.level(inner, uri, looked);
            }
        }
        if quiet > SHOWN && !self.searched {
            self.line("location", &format!("  {} more do not match", quiet - SHOWN));
        }
    }
}

fn location_of(step: &TraceStep) -> Option<(LocationId, LocationVerdict)> {
    match step {
        TraceStep::Location { id, verdict } => Some((*id, *verdict)),
        _ => None,
    }
}

fn verdict_text(verdict: LocationVerdict, taken: bool) -> String {
    let why = match verdict {
        LocationVerdict::Exact => "the URI is its name",
        LocationVerdict::LongestPrefix => "the longest prefix",
        LocationVerdict::FinalPrefix => "the longest prefix, and ^~: no regex is tried",
        LocationVerdict::Regex => "the first regex that matches",
    };
    format!("{why}, {}", if taken { "taken" } else { "but another takes precedence" })
}

/// Why a matching location was not selected.
fn lost(location: &Location, looked: &[(LocationId, LocationVerdict)]) -> String {
    let decided = |verdict| looked.iter().any(|(_, seen)| *seen == verdict);
    let why = match location.kind {
        _ if decided(LocationVerdict::Exact) => "an exact name decides",
        LocationKind::Regex if decided(LocationVerdict::Regex) => "an earlier regex does too",
        LocationKind::Regex => "a ^~ prefix keeps regexes from being tried",
        _ => "a longer prefix does too",
    };
    format!("matches, but {why}")
}

fn name(location: &Location) -> String {
    let modifier = match location.kind {
        LocationKind::Exact => "= ",
        LocationKind::PrefixFinal => "^~ ",
        LocationKind::Regex => "~ ",
        _ => "",
    };
    format!("{modifier}{}", Printable(&location.name))
}

fn shown_host(host: &[u8]) -> String {
    if host.is_empty() { "a request without Host".into() } else { Printable(host).to_string() }
}

fn precedence(winner: Rule) -> &'static str {
    match winner {
        Rule::Exact => "an exact name takes precedence",
        Rule::Suffix => "the longest *.name takes precedence",
        Rule::Prefix => "name.* takes precedence over a regex, the longest first",
        Rule::Regex(_) => "an earlier regex matches",
        Rule::Default => "the default was used",
    }
}

/// The names of one server of the endpoint, as a lookup table.
fn names_of(endpoint: &Endpoint, id: ServerId) -> Names {
    let all = &endpoint.names;
    let own = |table: &FastMap<Box<[u8]>, ServerId>| -> FastMap<Box<[u8]>, ServerId> {
        table.iter().filter(|(_, other)| **other == id).map(|(name, id)| (name.clone(), *id)).collect()
    };
    let mut names = Names { exact: own(&all.exact), ..Names::default() };
    (names.suffixes, names.prefixes) = (own(&all.suffixes), own(&all.prefixes));
    names.regexes.extend(all.regexes.iter().filter(|(_, other)| *other == id).cloned());
    names
}

#[cfg(test)]
thread_local! {
    static ENDPOINTS_SORTED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often this thread has sorted the names of an endpoint, for tests of what grows.
#[cfg(test)]
pub fn endpoints_sorted() -> usize {
    ENDPOINTS_SORTED.get()
}

/// The names of each server of the endpoint, as text and as a lookup table.
pub fn by_server(endpoint: &Endpoint) -> BTreeMap<ServerId, (String, Names)> {
    #[cfg(test)]
    ENDPOINTS_SORTED.set(ENDPOINTS_SORTED.get() + 1);
    let mut servers: BTreeMap<ServerId, (String, Names)> = BTreeMap::new();
    servers.entry(endpoint.default).or_default();
    let mut add = |id: ServerId, text: String| {
        let own = servers.entry(id).or_default();
        if !own.0.is_empty() {
            own.0.push(' ');
        }
        own.0.push_str(&text);
    };
    let names = &endpoint.names;
    let quoted = |name: &[u8]| if name.is_empty() { "\"\"".into() } else { Printable(name).to_string() };
    let sorted = |table: &FastMap<Box<[u8]>, ServerId>| {
        let mut entries: Vec<(Box<[u8]>, ServerId)> = table.iter().map(|(k, id)| (k.clone(), *id)).collect();
        entries.sort();
        entries
    };
    let (exact, suffixes, prefixes) = (sorted(&names.exact), sorted(&names.suffixes), sorted(&names.prefixes));
    exact.iter().for_each(|(name, id)| add(*id, quoted(name)));
    suffixes.iter().for_each(|(name, id)| add(*id, format!("*{}", Printable(name))));
    prefixes.iter().for_each(|(name, id)| add(*id, format!("{}*", Printable(name))));
    names.regexes.iter().for_each(|(pattern, id)| add(*id, format!("~{}", pattern.source())));
    for (table, pick) in [(exact, 0), (suffixes, 1), (prefixes, 2)] {
        for (name, id) in table {
            let own = &mut servers.entry(id).or_default().1;
            let place = match pick {
                0 => &mut own.exact,
                1 => &mut own.suffixes,
                _ => &mut own.prefixes,
            };
            place.insert(name, id);
        }
    }
    for (pattern, id) in &names.regexes {
        servers.entry(*id).or_default().1.regexes.push((pattern.clone(), *id));
    }
    servers
}

fn copy(names: &Names) -> Names {
    Names {
        exact: names.exact.clone(),
        suffixes: names.suffixes.clone(),
        prefixes: names.prefixes.clone(),
        regexes: names.regexes.clone(),
        set: None,
    }
}

/// The name among these that matches `host`, as written.
fn matching(names: &Names, host: &[u8]) -> String {
    let longest = |found: Option<&Box<[u8]>>| found.map(|name| Printable(name).to_string());
    if names.exact.contains_key(host) {
        return shown_host(host);
    }
    let suffix = names.suffixes.keys().filter(|name| host.ends_with(name)).max_by_key(|name| name.len());
    let prefix = names.prefixes.keys().filter(|name| host.starts_with(name)).max_by_key(|name| name.len());
    let regex = names.regexes.iter().find(|(pattern, _)| pattern.is_match(host).unwrap_or(false));
    longest(suffix)
        .map(|name| format!("*{name}"))
        .or_else(|| longest(prefix).map(|name| format!("{name}*")))
        .or_else(|| regex.map(|(pattern, _)| format!("~{}", pattern.source())))
        .unwrap_or_default()
}

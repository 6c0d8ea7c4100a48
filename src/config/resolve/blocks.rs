//! The blocks of a configuration: servers, locations, limit_except and if. Each is a level that inherits from the
//! enclosing one; the results go into the arenas of the model.

use super::buffers::{self, WrongBuffers};
use super::duplicate;
use super::plain::is_plain;
use crate::config::ast::{Directive, Span, Word};
use crate::config::build::{Build, Child, LocationDraft, Scope};
use crate::config::context::Contexts;
use crate::config::directives::{access, condition, rewrite};
use crate::config::error::Diagnostic;
use crate::config::fault::Fault;
use crate::config::model::*;
use crate::config::pattern::{Case, Pattern};
use crate::config::pattern_set::{MatchMode, PatternSet};
use crate::config::row::Section;
use crate::config::script::{Op, Script};
use crate::config::settings::listen::{Name, ServerDraft};
use crate::config::settings::proxy_pass::Protocol;
use crate::config::settings::upstream::{Keepalive, Upstream};
use crate::util::hash::FastMap;

/// Maximum nesting of blocks; the parser has its own limit.
const DEEPEST: usize = 64;

const NO_REFERER: &str = "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without \
                          any valid referer";

impl Build {
    /// Reads the blocks in a level, once its own settings are complete.
    pub(super) fn sections(&mut self, scope: &mut Scope, sections: &[(Section, &Directive)]) {
        let mut tree = Vec::new();
        for &(section, d) in sections {
            let children = d.block.as_deref().unwrap_or_default();
            match section {
                Section::Events => {
                    if scope.seen.contains(&"events") {
                        self.error(second_block(sections, d));
                        continue;
                    }
                    scope.seen.push("events");
                    let mut inner =
                        Scope::new(Contexts::EVENTS, Settings::default(), LocationDraft::default()).within(d);
                    self.level(&mut inner, children);
                }
                Section::Http => {
                    if std::mem::replace(&mut scope.first, false) || scope.seen.contains(&"http") {
                        if scope.seen.contains(&"http") {
                            self.error(second_block(sections, d));
                            continue;
                        }
                        scope.seen.push("http");
                    }
                    let mut inner =
                        Scope::new(Contexts::HTTP, scope.settings.clone(), LocationDraft::default()).within(d);
                    self.default_access_log(&mut inner.settings);
                    match self.redirecting(children) {
                        made if made.is_empty() => self.level(&mut inner, children),
                        made => self.level(&mut inner, &[children, &made].concat()),
                    };
                }
                Section::Server => self.server(scope, d, children),
                Section::Location => {
                    if let Some(child) = self.location(scope, d, children) {
                        tree.push(child);
                    }
                }
                Section::LimitExcept => self.limit_except(scope, d, children),
                Section::Upstream => self.upstream(scope, d, children),
                Section::AcmeIssuer => self.acme_issuer(scope, d, children),
            }
        }
        scope.own.children = tree;
    }

    fn server(&mut self, outer: &Scope, d: &Directive, children: &[Directive]) {
        let id = ServerId(self.servers.len() as u32);
        // Reserve its id first, since locations inside refer to it.
        let root = LocationId(u32::MAX);
        self.servers.push(Server {
            name: Box::default(),
            root,
            tree: LocationTree::default(),
            named: FastMap::default(),
            proxied: false,
            connects: false,
            acme: None,
            tls: None,
            trust: None,
            span: d.name.span,
        });
        let first_location = self.locations.len();
        self.drafts.push(ServerDraft::default());
        let own = LocationDraft { server: id, ..LocationDraft::default() };
        let mut scope = Scope::new(Contexts::SERVER, outer.settings.clone(), own).within(d);
        scope.server = Some(ServerDraft::default());
        let script = self.level(&mut scope, children);
        let mut draft = scope.server.take().expect("set above and only borrowed since");
        draft.asks_acme = children.iter().any(|d| d.name.is("acme_certificate"));
        let children = std::mem::take(&mut scope.own.children);
        let root = self.place(scope, LocationKind::Server, script, None, d.name.span);
        let mut named: FastMap<Box<[u8]>, LocationId> = FastMap::default();
        let (names, others): (Vec<Child>, Vec<Child>) =
            children.into_iter().partition(|c| self.locations[c.id.at()].kind == LocationKind::Named);
        for child in names {
            let name = self.locations[child.id.at()].name.clone();
            if let Some(&first) = named.get(&name) {
                // The first one is used (nginx).
                let text = format!("duplicate location \"{}\", ignored", String::from_utf8_lossy(&name));
                let first = self.locations[first.at()].span;
                self.warning(Diagnostic::warn(child.span, text).note(first, "first given here"));
            } else {
                named.insert(name, child.id);
            }
        }
        let tree = self.tree(others);
        let server = &mut self.servers[id.at()];
        server.name = draft.first_name.clone().unwrap_or_default();
        server.root = root;
        server.tree = tree;
        server.named = named;
        self.check_referers(first_location, &draft);
        self.drafts[id.at()] = draft;
    }

    /// Adds a finished level to the arena.
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
        if own.content == ContentHandler::Proxy {
            let server = &mut self.servers[own.server.at()];
            match own.pass.as_ref().is_some_and(|pass| pass.protocol == Protocol::Tunnel) {
                true => server.connects = true,
                false => server.proxied = true,
            }
        }
        self.check_level(&scope.settings, own.referers, span);
        let plain = is_plain(&own, &script, &scope.settings);
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
            pass: own.pass,
            interpreter: own.interpreter,
            upstream_tls: None,
            plain,
            span,
        });
        id
    }

    /// Checks combinations of a level's settings.
    fn check_level(&mut self, settings: &Settings, names_referers: bool, span: Span) {
        for (module, upstream) in [
            ("proxy", &settings.proxy),
            ("fastcgi", &settings.fastcgi),
            ("scgi", &settings.scgi),
            ("uwsgi", &settings.uwsgi),
        ] {
            if let Some(WrongBuffers { at, text, help }) = buffers::wrong_buffers(upstream, module)
                && !self.diagnostics.iter().any(|known| known.message == text)
            {
                self.error(Fault::new(at.unwrap_or(span), text).help(help));
            }
        }
        // nginx's connection pool, unless it is resized.
        if settings.client.large_buffers.1.0 < 512 && !self.noted.contains(&"connection_pool_size") {
            let text = "the \"large_client_header_buffers\" size must be equal to or greater than \
                        \"connection_pool_size\"";
            self.error_once(span, text);
        }
        let referers = &settings.referers;
        if names_referers && (referers.none || referers.blocked) && !referers.names_hosts() {
            self.error_once(span, NO_REFERER);
        }
    }

    /// Warns if `server_names` has no effect because all names of the server are regexes, which nginx does not count.
    fn check_referers(&mut self, first: usize, draft: &ServerDraft) {
        if draft.names.is_empty() || draft.names.iter().any(|(name, _)| !matches!(name, Name::Regex(_))) {
            return;
        }
        let odd = |location: &&Location| {
            let referers = &location.settings.referers;
            (referers.none || referers.blocked) && referers.server_names && referers.hosts.is_empty()
        };
        if let Some(span) = self.locations.iter().skip(first).find(odd).map(|location| location.span) {
            self.error_once(span, NO_REFERER);
        }
    }

    fn location(&mut self, outer: &Scope, d: &Directive, children: &[Directive]) -> Option<Child> {
        let (kind, name, insensitive) = match location_name(&d.args) {
            Ok(parsed) => parsed,
            Err(fault) => {
                self.error(super::remedy::with_remedy(d, fault));
                return None;
            }
        };
        let nested = outer.context == Contexts::LOCATION;
        if let Some(problem) = misplaced(outer, kind, name) {
            if nested && self.follows_from_a_brace(d) {
                return None;
            }
            let fault = Fault::new(d.args_span(), problem);
            self.error(match nested {
                true => fault.help(moved_out(outer, kind, name)),
                false => fault,
            });
            return None;
        }
        let mut pattern = None;
        let case = if insensitive { Case::Insensitive } else { Case::Sensitive };
        if kind == LocationKind::Regex {
            let word = d.args.last().unwrap_or(&d.name);
            match Pattern::of_word(word, name, case, &mut self.variables) {
                Ok(read) => pattern = Some(read),
                Err(fault) => {
                    self.error(fault);
                    return None;
                }
            }
        }
        let own = LocationDraft {
            name: name.into(),
            name_len: name.len() as u32,
            named: kind == LocationKind::Named,
            regex: kind == LocationKind::Regex,
            exact: kind == LocationKind::Exact,
            internal: outer.own.internal,
            server: outer.own.server,
            depth: outer.own.depth + 1,
            ..LocationDraft::default()
        };
        let mut scope = Scope::new(Contexts::LOCATION, outer.settings.clone(), own).within(d);
        let script = self.level(&mut scope, children);
        let nested = std::mem::take(&mut scope.own.children);
        let tree = if nested.is_empty() { None } else { Some(Box::new(self.tree(nested))) };
        let id = self.place(scope, kind, script, tree, d.span);
        Some(Child { id, pattern, span: d.args_span() })
    }

    fn upstream(&mut self, outer: &Scope, d: &Directive, children: &[Directive]) {
        let mut scope = Scope::new(Contexts::UPSTREAM, outer.settings.clone(), LocationDraft::default()).within(d);
        scope.upstream = Some(Upstream { keepalive: Keepalive::default(), ..Upstream::named(&d.args[0].str()) });
        let before = self.diagnostics.errors();
        self.level(&mut scope, children);
        // Errors of form have been reported before.
        let is_sound = self.diagnostics.errors() == before
            && !self.diagnostics.iter().any(|error| error.is_in(d.span.to(d.close)));
        let mut upstream = scope.upstream.take().expect("set above and only borrowed since");
        let names = &outer.settings.names;
        upstream.resolver = upstream.resolver.or_else(|| names.resolver.clone());
        upstream.resolver_timeout = upstream.resolver_timeout.or(Some(names.timeout));
        if let Err(fault) = self.upstreams.define(upstream, d, is_sound) {
            self.error(fault);
        }
    }

    fn limit_except(&mut self, scope: &mut Scope, d: &Directive, children: &[Directive]) {
        if scope.own.limit_except.is_some() {
            self.error(Fault::new(d.name.span, "\"limit_except\" directive is duplicate"));
            return;
        }
        let methods = match access::excepted(d) {
            Ok(methods) => methods,
            Err(fault) => return self.error(super::remedy::with_remedy(d, fault)),
        };
        let own = LocationDraft {
            server: scope.own.server,
            name: scope.own.name.clone(),
            content: scope.own.content,
            pass: scope.own.pass.clone(),
            interpreter: scope.own.interpreter.clone(),
            ..LocationDraft::default()
        };
        let mut inner = Scope::new(Contexts::LIMIT_EXCEPT, scope.settings.clone(), own).within(d);
        let script = self.level(&mut inner, children);
        let id = self.place(inner, LocationKind::LimitExcept, script, None, d.span);
        scope.own.limit_except = Some((methods, id));
    }

    /// Compiles the rewrite directives of a level. A wrong one is reported and left out.
    pub(super) fn script(&mut self, scope: &mut Scope, steps: &[&Directive]) -> Script {
        let mut script = Script::default();
        for d in steps {
            let op = if d.name.is("if") { self.condition(scope, d) } else { rewrite::compile(self, d) };
            match op {
                Ok(op) => {
                    script.ops.push(op);
                    script.spans.push(d.span);
                }
                Err(fault) if d.name.is("if") => self.error(fault),
                Err(fault) => self.error(super::remedy::with_remedy(d, fault)),
            }
        }
        script
    }

    /// `if`: its block is a level that inherits from the enclosing one; inside a location it may replace that.
    fn condition(&mut self, scope: &mut Scope, d: &Directive) -> Result<Op, Fault> {
        let condition = condition::read(self, d)?;
        let in_location = scope.context == Contexts::LOCATION;
        let context = if in_location { Contexts::IF_LOCATION } else { Contexts::IF_SERVER };
        let own = LocationDraft {
            name: scope.own.name.clone(),
            name_len: scope.own.name_len,
            server: scope.own.server,
            internal: scope.own.internal,
            regex: scope.own.regex,
            named: scope.own.named,
            content: scope.own.content,
            pass: scope.own.pass.clone(),
            interpreter: scope.own.interpreter.clone(),
            depth: scope.own.depth + 1,
            ..LocationDraft::default()
        };
        let mut inner = Scope::new(context, scope.settings.clone(), own).within(d);
        let script = self.level(&mut inner, d.block.as_deref().unwrap_or_default());
        let location = in_location.then(|| self.place(inner, LocationKind::If, Script::default(), None, d.span));
        Ok(Op::If { condition, location, script })
    }

    /// Builds the lookup structure of a level's locations.
    fn tree(&mut self, children: Vec<Child>) -> LocationTree {
        let mut tree = LocationTree::default();
        let mut prefixes: Vec<(Box<[u8]>, LocationId, Span)> = Vec::new();
        let mut duplicates = Vec::new();
        for child in children {
            let location = &self.locations[child.id.at()];
            match location.kind {
                LocationKind::Exact => {
                    if let Some(first) = tree.exact.insert(location.name.clone(), child.id) {
                        duplicates.push((location.name.clone(), self.locations[first.at()].span, child.span));
                    }
                }
                LocationKind::Regex => {
                    if let Some(pattern) = child.pattern {
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
                duplicates.push((b.0.clone(), a.2, b.2));
            }
        }
        for (name, first, span) in duplicates {
            let text = format!("duplicate location \"{}\"", String::from_utf8_lossy(&name));
            self.error(Fault::new(span, text).note(first, "first given here"));
        }
        for (prefix, location, _) in prefixes {
            // In sorted order, the longest prefix of an entry is on the parent chain of the entry before it.
            let mut parent = tree.prefixes.len().checked_sub(1).map(|at| at as u32);
            while let Some(at) = parent
                && !prefix.starts_with(&tree.prefixes[at as usize].prefix)
            {
                parent = tree.prefixes[at as usize].parent;
            }
            tree.prefixes.push(PrefixEntry { prefix, location, parent });
        }
        tree.set = PatternSet::new(tree.regexes.iter().map(|(pattern, _)| pattern), MatchMode::Match).map(Box::new);
        tree
    }
}

/// The fault of a repeated block that is allowed only once.
fn second_block(sections: &[(Section, &Directive)], d: &Directive) -> Fault {
    let others = sections.iter().map(|(_, other)| *other).filter(|other| other.span != d.span);
    let help = format!("one `{}` holds all of it: move what is inside into the first", d.name.str());
    duplicate(d, others).help(help)
}

/// Kind, name and, for a regex, whether case is ignored. The modifier may be attached to the name: `~\.php$`.
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
                .help("a modifier is =, ^~, ~ (a regex) or ~* (a regex, letter case ignored)")),
        },
        _ => unreachable!("the row takes one or two arguments"),
    }
}

/// Why a location of this kind and name is not allowed there.
fn misplaced(outer: &Scope, kind: LocationKind, name: &[u8]) -> Option<String> {
    let shown = String::from_utf8_lossy(name);
    let inside = String::from_utf8_lossy(&outer.own.name);
    let nested = outer.context == Contexts::LOCATION;
    if outer.own.depth >= DEEPEST {
        Some(format!("location \"{shown}\" is nested too deeply"))
    } else if nested && outer.own.exact {
        Some(format!("location \"{shown}\" cannot be inside the exact location \"{inside}\""))
    } else if nested && outer.own.named {
        Some(format!("location \"{shown}\" cannot be inside the named location \"{inside}\""))
    } else if nested && kind == LocationKind::Named {
        Some(format!("named location \"{shown}\" can be on the server level only"))
    } else if nested && kind != LocationKind::Regex && !name.starts_with(&outer.own.name) {
        Some(format!("location \"{shown}\" is outside location \"{inside}\""))
    } else {
        None
    }
}

/// Where to move a location that is not allowed inside another.
fn moved_out(outer: &Scope, kind: LocationKind, name: &[u8]) -> String {
    const OUT: &str = "move it out of the block, beside the location around it";
    let around = &outer.own;
    let is_path = matches!(kind, LocationKind::Prefix | LocationKind::PrefixFinal | LocationKind::Exact);
    if !is_path || around.exact || around.named || around.regex || !name.starts_with(b"/") {
        return OUT.to_owned();
    }
    let (before, path) = (String::from_utf8_lossy(&around.name), String::from_utf8_lossy(name));
    let sign = match kind {
        LocationKind::Exact => "= ",
        LocationKind::PrefixFinal => "^~ ",
        _ => "",
    };
    format!("{OUT}, or write the whole path: location {sign}{}{path} {{ … }}", before.trim_end_matches('/'))
}

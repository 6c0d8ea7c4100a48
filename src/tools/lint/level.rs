//! Facts about a whole block, computed once per block: searching the block for each of its directives would take
//! quadratic time.

use super::assigned::{self, Values};
use super::blocks::{self, location};
use super::tables::Table;
use super::used::Used;
use crate::config::ast::{Directive, Span, Word};
use crate::config::pattern::Pattern;
use crate::config::template::Variables;
use crate::util::hash::{FastMap, FastSet};
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::rc::Rc;

/// Maximum number of sibling blocks compared; more are generated, and no one reads them. Tests count what is looked at.
pub const COMPARED: usize = if cfg!(test) { 32 } else { 200 };

/// The directives of one block.
#[derive(Default)]
pub struct Level<'a> {
    /// In the order of the file.
    pub all: &'a [Directive],
    /// The index of the first directive of each name.
    firsts: OnceCell<FastMap<&'a [u8], usize>>,
    named: OnceCell<FastMap<&'a [u8], Vec<&'a Directive>>>,
    first_pass: OnceCell<Option<&'a Directive>>,
    /// The levels inside its blocks, as far as they were asked for.
    insides: RefCell<FastMap<*const Directive, Rc<Level<'a>>>>,
    servers: OnceCell<Vec<Server<'a>>>,
    locations: OnceCell<Locations<'a>>,
    /// Its regex locations, limited to those compared.
    regexes: OnceCell<Vec<(&'a Directive, Pattern)>>,
    is_closed: OnceCell<bool>,
    runs_uploads: OnceCell<Option<&'a Directive>>,
    behind_all: OnceCell<Option<(usize, usize)>>,
    below: OnceCell<Below>,
    upstreams: OnceCell<FastMap<Vec<u8>, &'a Directive>>,
    redirecting: OnceCell<FastMap<Vec<u8>, &'a Directive>>,
    assigned: OnceCell<Values<'a>>,
    /// For a server: whether none of its names is a domain name.
    pub takes_any_host: OnceCell<bool>,
    /// For a server: unprotected locations by the directory they serve. For rule W207.
    pub open: OnceCell<FastMap<String, Vec<usize>>>,
    /// For a server: what of a repository or of settings each directory has. For rule W158.
    pub hidden: RefCell<FastMap<PathBuf, Vec<(&'static str, &'static str)>>>,
    /// For the file: what password files have in place of a hash, and of which user. For rule W178.
    pub unhashed: RefCell<FastMap<PathBuf, Option<(String, Weak)>>>,
    /// For a server: the quotas of its locations by their store. For rule W226.
    pub quotas: OnceCell<FastMap<String, &'a Directive>>,
    /// For a server: whether one of its locations does more than redirect. For rule W310.
    pub serves: OnceCell<bool>,
    /// For `http`: the first listener on all IPv6 addresses of each port. For rule W339.
    pub wide_v6: OnceCell<FastMap<u16, &'a Directive>>,
    /// For a server: the first `try_files` that looks for directories. For rule W304.
    pub tries_directories: OnceCell<Option<&'a Directive>>,
    /// Whether it, or a server in it, has a TLS listener.
    pub speaks_tls: OnceCell<bool>,
    chosen_hosts: OnceCell<FastMap<String, (Span, bool)>>,
    /// Addresses that other protocols than HTTP lead to. For rule W329.
    pub applications: OnceCell<FastMap<String, &'a Directive>>,
    /// For a server: the fixed values that `set` gives each variable. For rule W083.
    pub fixed_sets: OnceCell<FastMap<String, Option<Vec<String>>>>,
    /// Names used at this level and below. For rule W026.
    pub used: OnceCell<Used>,
    /// Variables used at this level and below. For rule W141.
    pub variables: OnceCell<HashSet<String>>,
    /// The spelling of variables defined at this level and below. For rule W062.
    pub spelled: OnceCell<FastMap<String, &'a Word>>,
    /// The `map` and `geo` here by their variable, in lower case; None: two define it.
    tables: OnceCell<FastMap<Vec<u8>, Option<Table<'a>>>>,
    /// The `add_header` that allows credentials (CORS).
    pub credentials: OnceCell<Option<&'a Directive>>,
    /// Fields set by `add_header`. For rule W104.
    pub headers: OnceCell<Fields<'a>>,
    /// Fields set by `add_trailer`.
    pub trailers: OnceCell<Fields<'a>>,
    /// Parameters set by `fastcgi_param`, `uwsgi_param`, `scgi_param` and `cgi_env`. For rule W152.
    pub parameters: [OnceCell<Fields<'a>>; 4],
    /// The lines of `fastcgi_param` and its like, by directive and parameter. For rule W342.
    pub passed: OnceCell<Passed<'a>>,
    /// The first `proxy_set_header` of each header that rule W134 checks, with its name.
    pub decisive: OnceCell<Vec<(&'static str, &'a Directive)>>,
    /// The headers of the request that it removes, and those of this site. For rule W134.
    pub dropped: OnceCell<Fields<'a>>,
    /// Variables defined by `map` or `set`. For rule W034.
    pub defined: OnceCell<FastSet<&'a [u8]>>,
    /// Targets of its `error_page` directives.
    error_pages: OnceCell<FastSet<&'a [u8]>>,
    /// Names of locations at this level and below that pass requests on. For rule W043.
    pub passing: OnceCell<FastSet<&'a [u8]>>,
    /// For an upstream: the first server of each port. For rule W094.
    pub ports: OnceCell<FastMap<String, &'a Directive>>,
    /// For an upstream: the hosts of its servers. For rule W315.
    pub hosts: OnceCell<FastSet<String>>,
    /// For a map: the values it gives. For rules W101 and W102.
    pub mapped: OnceCell<Mapped>,
    fields: RefCell<FastMap<&'static str, Option<&'a Directive>>>,
    ifs: OnceCell<FastMap<String, Vec<&'a Directive>>>,
    last_rewrite: OnceCell<Option<usize>>,
    /// For a server: groups of its regexes that a location finds, and that hold what a client likes. For rule W101.
    pub groups: OnceCell<FastSet<String>>,
    /// Up to two servers in it that restrict access. For rule W127.
    pub guarded: OnceCell<Vec<&'a Directive>>,
}

/// What a password file may have in place of a hash that holds.
#[derive(Clone, Copy)]
pub enum Weak {
    /// The password.
    Itself,
    /// A word that no password matches.
    Nothing,
    /// A hash without a salt, which tables of hashes are made of.
    Unsalted,
}

/// The indices of lines by directive and first word.
pub type Passed<'a> = FastMap<(&'a [u8], &'a [u8]), Vec<usize>>;

/// A `server` block, and the lines of its addresses.
pub struct Server<'a> {
    pub block: &'a Directive,
    pub listens: Vec<&'a Directive>,
}

/// What the values of a `map` are made of.
#[derive(Clone, Copy, Default)]
pub struct Mapped {
    /// A host that the client chooses freely.
    pub host_of_client: bool,
    /// A decoded path, or a part of one, that may contain a line end.
    pub decoded_path: bool,
}

/// Fields in order of first use, with their names in lower case.
#[derive(Default)]
pub struct Fields<'a> {
    /// The directive that sets each.
    pub first: Vec<&'a Directive>,
    /// To tell whether there is one.
    pub names: HashSet<Vec<u8>>,
}

impl<'a> Fields<'a> {
    /// The fields set by directives of this name.
    pub fn of(all: &'a [Directive], directive: &str) -> Fields<'a> {
        Fields::of_such(all, directive, |_| true)
    }

    /// The fields set by directives of this name that satisfy `is_such`.
    pub fn of_such(all: &'a [Directive], directive: &str, is_such: fn(&Directive) -> bool) -> Fields<'a> {
        let mut fields = Fields::default();
        for d in all.iter().filter(|d| d.name.is(directive) && is_such(d)) {
            let Some(name) = d.args.first().map(Word::lower) else { continue };
            if fields.names.insert(name) {
                fields.first.push(d);
            }
        }
        fields
    }

    /// The first fields, up to `named`, that `own` lacks, and the number of all it lacks. Takes time proportional to
    /// the fields of `own`.
    pub fn lost(&self, own: &Fields<'_>, named: usize) -> (Vec<&'a Directive>, usize) {
        let is_lost = |d: &&Directive| d.args.first().is_some_and(|name| !own.names.contains(&name.lower()));
        let kept = own.names.iter().filter(|name| self.names.contains(*name)).count();
        (self.first.iter().copied().filter(is_lost).take(named).collect(), self.names.len() - kept)
    }
}

/// What is somewhere at a level or below, found in one walk through all of it.
#[derive(Default)]
pub struct Below {
    /// A `listen` that reads the PROXY header. For rule W093.
    pub reads_proxy_header: bool,
    /// A listener with TLS, or a directive that makes one. For rule W310.
    pub speaks_tls: bool,
    /// What asks a `resolver`, or an `include` that may hold it. For rule W301.
    pub asks_resolver: bool,
    /// What compresses responses, or an `include` that may hold it. For rule W051.
    pub compresses: bool,
    /// A `proxy_pass`. For rule W134.
    pub passes_by_http: bool,
    /// A `map` of `$secure_link`. For rule W141.
    pub maps_secure_link: bool,
    /// A word with the name of the file that a request's body is in. For rule W237.
    pub names_body_file: bool,
    /// A regex whose groups a request keeps on its way to other locations. For rule W012.
    pub has_groups: bool,
    /// What sends an application's errors to `error_page`. For rule W382.
    pub intercepts: bool,
    /// Where requests are led within the server, up to a `?` or with the first `$`. For rule W380.
    pub targets: BTreeSet<Vec<u8>>,
    /// The names of `index`, as paths. For rule W380.
    pub indexes: BTreeSet<Vec<u8>>,
}

/// The path that a word leads to: up to a `?`, and with the first `$` if it has one.
fn target_of(word: &Word) -> Option<Vec<u8>> {
    let path = word.bytes().split(|byte| *byte == b'?').next().filter(|path| path.starts_with(b"/"))?;
    let end = memchr::memchr(b'$', path).map_or(path.len(), |at| at + 1);
    Some(path.get(..end)?.to_vec())
}

/// Whether it matches a regex with a group, or may include one that does.
fn makes_groups(d: &Directive) -> bool {
    let is_grouped = |word: &Word| word.bytes().contains(&b'(');
    match d.name.bytes() {
        b"location" => location(d).is_some_and(|(sign, name)| sign.starts_with(b"~") && is_grouped(name)),
        b"rewrite" => d.args.first().is_some_and(is_grouped),
        b"if" => d.args.iter().any(|word| word.bytes().contains(&b'~')),
        name => name == b"include",
    }
}

impl Below {
    fn of(all: &[Directive]) -> Below {
        let mut found = Below::default();
        blocks::below(all, |d| {
            let has = |text: &str| d.args.iter().any(|word| word.is(text));
            let name = d.name.bytes();
            found.reads_proxy_header |= name == b"listen" && has("proxy_protocol");
            found.speaks_tls |= name == b"listen" && blocks::is_tls(d) || matches!(name, b"ssl" | b"acme_certificate");
            let has_variable = || d.args.first().is_some_and(|word| !blocks::variables(&word.str()).is_empty());
            found.asks_resolver |=
                matches!(name, b"ssl_stapling" | b"acme_issuer" | b"acme_certificate" | b"include" | b"auth_http")
                    || has("resolve")
                    || name.ends_with(b"_pass") && has_variable();
            found.maps_secure_link |= name == b"map" && d.says("$secure_link");
            found.names_body_file |= d.args.iter().any(|word| {
                let is_meant = |name: &[u8]| memchr::memmem::find(word.bytes(), name).is_some();
                is_meant(b"$request_body_file") || is_meant(b"${request_body_file")
            });
            found.passes_by_http |= name == b"proxy_pass";
            found.has_groups |= makes_groups(d);
            found.intercepts |= name.ends_with(b"_intercept_errors");
            match name {
                b"try_files" | b"error_page" => found.targets.extend(d.args.last().and_then(target_of)),
                b"rewrite" => found.targets.extend(d.args.get(1).and_then(target_of)),
                b"index" => found.indexes.extend(d.args.iter().map(|word| [b"/", word.bytes()].concat())),
                _ => {}
            }
            found.compresses |= matches!(name, b"gzip" | b"gzip_static" | b"include");
            false
        });
        found
    }
}

#[derive(Default)]
struct Locations<'a> {
    /// The first location of each modifier and name.
    firsts: FastMap<(&'a [u8], &'a [u8]), usize>,
    /// The first regex that matches every URI.
    catch_all: Option<usize>,
}

fn regex_of(d: &Directive) -> Option<Pattern> {
    let (sign, word) = location(d)?;
    Pattern::new(word.bytes(), blocks::case_of(sign), &mut Variables::default()).ok()
}

impl<'a> Level<'a> {
    /// Facts are computed when they are first asked for.
    pub fn new(all: &'a [Directive]) -> Level<'a> {
        Level { all, ..Level::default() }
    }

    fn firsts(&self) -> &FastMap<&'a [u8], usize> {
        self.firsts.get_or_init(|| {
            let mut firsts = FastMap::default();
            let mut before = None;
            for (at, d) in self.all.iter().enumerate() {
                // Most lines of a long block repeat the name of the previous line.
                if before.replace(d.name.bytes()) != Some(d.name.bytes()) {
                    firsts.entry(d.name.bytes()).or_insert(at);
                }
            }
            firsts
        })
    }

    /// What `set`, `map` and `geo` of this level assign to variables.
    pub fn assigned(&self) -> &Values<'a> {
        self.assigned.get_or_init(|| assigned::of_level(self.all))
    }

    /// It has a directive of that name itself.
    pub fn has(&self, name: &str) -> bool {
        self.firsts().contains_key(name.as_bytes())
    }

    /// The index of the first directive of a name.
    pub fn first(&self, name: &str) -> Option<usize> {
        self.firsts().get(name.as_bytes()).copied()
    }

    /// The first directive of a name.
    pub fn first_of(&self, name: &str) -> Option<&'a Directive> {
        self.all.get(self.first(name)?)
    }

    /// Its directives of a name, in the order of the file.
    pub fn named(&self, name: &str) -> &[&'a Directive] {
        let named = self.named.get_or_init(|| {
            let mut named: FastMap<&[u8], Vec<&Directive>> = FastMap::default();
            self.all.iter().for_each(|d| named.entry(d.name.bytes()).or_default().push(d));
            named
        });
        named.get(name.as_bytes()).map_or(&[], Vec::as_slice)
    }

    /// Its first `proxy_pass` or another that passes requests on.
    pub fn first_pass(&self) -> Option<&'a Directive> {
        *self.first_pass.get_or_init(|| self.all.iter().find(|d| blocks::is_pass(&d.name.str())))
    }

    /// The level inside one of its blocks. Its facts are kept: a rule that each of many lines leads to the same block
    /// would otherwise search that block for each of them.
    pub fn inside(&self, block: &'a Directive) -> Rc<Level<'a>> {
        let inside = || Rc::new(Level::new(block.block.as_deref().unwrap_or_default()));
        self.insides.borrow_mut().entry(block).or_insert_with(inside).clone()
    }

    /// Its servers, limited to those compared.
    pub fn servers(&self) -> &[Server<'a>] {
        self.servers.get_or_init(|| {
            let listens = |block: &'a Directive| block.block.iter().flatten().filter(|d| d.name.is("listen")).collect();
            let servers = self.all.iter().filter(|d| d.name.is("server")).take(COMPARED);
            servers.map(|block| Server { block, listens: listens(block) }).collect()
        })
    }

    /// The first location with this modifier (empty if none) and name.
    pub fn location(&self, modifier: &[u8], name: &[u8]) -> Option<usize> {
        self.locations().firsts.get(&(modifier, name)).copied()
    }

    /// The first regex location that matches every URI.
    pub fn catch_all(&self) -> Option<usize> {
        self.locations().catch_all
    }

    /// The location that a path is routed to; only a limited number of regexes is tried.
    pub fn taker(&self, path: &[u8]) -> Option<&'a Directive> {
        if self.locations().firsts.is_empty() {
            return None;
        }
        let by = |modifier: &'static [u8]| {
            let starts = (0..=path.len()).rev().filter_map(|end| path.get(..end));
            starts.filter_map(|start| self.location(modifier, start)).map(|at| &self.all[at]).next()
        };
        if let Some(at) = self.location(b"=", path) {
            return self.all.get(at);
        }
        let length = |d: &Directive| d.args.last().map_or(0, Word::len);
        let (plain, last) = (by(b""), by(b"^~"));
        if last.is_some_and(|last| plain.is_none_or(|plain| length(plain) < length(last))) {
            return last;
        }
        let regexes = self.regexes.get_or_init(|| {
            let regexes = self.all.iter().filter(|d| location(d).is_some_and(|(sign, _)| sign.starts_with(b"~")));
            regexes.take(COMPARED).filter_map(|d| Some((d, regex_of(d)?))).collect()
        });
        let found = regexes.iter().find(|(_, regex)| regex.is_match(path).unwrap_or(false));
        found.map(|(d, _)| *d).or(plain)
    }

    /// The names of locations without a modifier.
    pub fn location_names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.locations().firsts.keys().filter(|(modifier, _)| modifier.is_empty()).map(|(_, name)| *name)
    }

    /// The first `add_header` of a field (name in lower case).
    pub fn field(&self, name: &'static str) -> Option<&'a Directive> {
        let is_meant = |d: &&Directive| {
            d.name.is("add_header") && d.args.first().is_some_and(|word| word.lower() == name.as_bytes())
        };
        *self.fields.borrow_mut().entry(name).or_insert_with(|| self.all.iter().find(is_meant))
    }

    /// The `if` blocks at this level and below whose first word is this variable.
    pub fn ifs_about(&self, variable: &str) -> &[&'a Directive] {
        let ifs = self.ifs.get_or_init(|| blocks::ifs_below(self.all));
        ifs.get(&variable.to_ascii_lowercase()).map(Vec::as_slice).unwrap_or_default()
    }

    /// The index of its last `rewrite`.
    pub fn last_rewrite(&self) -> Option<usize> {
        *self.last_rewrite.get_or_init(|| self.all.iter().rposition(|d| d.name.is("rewrite")))
    }

    /// Whether one of its `error_page` directives leads to this URI or named location.
    pub fn has_error_page(&self, page: &[u8]) -> bool {
        let pages = self.error_pages.get_or_init(|| {
            let lines = self.all.iter().filter(|d| d.name.is("error_page"));
            lines.filter_map(|d| d.args.last()).map(Word::bytes).collect()
        });
        pages.contains(page)
    }

    /// Whether something at this level authenticates the client.
    pub fn authenticates(&self) -> bool {
        *self.is_closed.get_or_init(|| blocks::authenticates(self.all))
    }

    /// The first `allow all` or `deny all`, and the first rule after it.
    pub fn rule_behind_all(&self) -> Option<(usize, usize)> {
        *self.behind_all.get_or_init(|| {
            let is_rule = |d: &Directive| d.name.is("allow") || d.name.is("deny");
            let decides = |d: &Directive| is_rule(d) && d.says("all");
            let by = self.all.iter().position(decides)?;
            let behind = self.all.iter().skip(by + 1).position(is_rule)?;
            Some((by, by + 1 + behind))
        })
    }

    /// The server here with this name (in lower case) that has a `return` itself.
    pub fn redirecting(&self, name: &str) -> Option<&'a Directive> {
        let redirecting = self.redirecting.get_or_init(|| {
            let mut redirecting = FastMap::default();
            for server in self.named("server") {
                let inside = self.inside(server);
                let names = || inside.named("server_name").iter().flat_map(|d| &d.args).map(Word::lower);
                if inside.has("return") {
                    redirecting.extend(names().map(|name| (name, *server)));
                }
            }
            redirecting
        });
        redirecting.get(name.as_bytes()).copied()
    }

    /// The `upstream` of this name, whatever its case, that is defined here.
    pub fn upstream(&self, name: &[u8]) -> Option<&'a Directive> {
        let upstreams = self.upstreams.get_or_init(|| {
            let upstreams = self.all.iter().filter(|d| d.name.is("upstream"));
            upstreams.filter_map(|d| Some((d.args.first()?.lower(), d))).collect()
        });
        upstreams.get(&name.to_ascii_lowercase()).copied()
    }

    /// Whether an `upstream` of this name is defined here.
    pub fn has_upstream(&self, name: &[u8]) -> bool {
        self.upstream(name).is_some()
    }

    /// Whether an `upstream` of this name with `keepalive` is defined here.
    pub fn keeps(&self, name: &[u8]) -> bool {
        let is_kept = |upstream| self.inside(upstream).named("keepalive").iter().any(|d| !d.says("0"));
        self.upstream(name).is_some_and(is_kept)
    }

    /// The only `map` or `geo` here that defines a variable: its name in lower case, with `$`.
    pub fn table(&self, variable: &[u8]) -> Option<&Table<'a>> {
        self.tables.get_or_init(|| Table::of_level(self.all)).get(variable)?.as_ref()
    }

    /// What is somewhere at this level or below.
    pub fn below(&self) -> &Below {
        self.below.get_or_init(|| Below::of(self.all))
    }

    /// Variables that form the whole host of a pass below, or the beginning of a root (true), with the position.
    pub fn chosen_hosts(&self) -> &FastMap<String, (Span, bool)> {
        self.chosen_hosts.get_or_init(|| {
            let mut found = FastMap::default();
            blocks::below(self.all, |d| {
                if let Some(name) = blocks::chosen_host(d) {
                    found.entry(name).or_insert((d.span, d.name.is("root") || d.name.is("alias")));
                }
                false
            });
            found
        })
    }

    /// A regex location that executes files by extension.
    pub fn runs_uploads(&self) -> Option<&'a Directive> {
        *self.runs_uploads.get_or_init(|| self.all.iter().find(|d| blocks::runs(d)))
    }

    fn locations(&self) -> &Locations<'a> {
        self.locations.get_or_init(|| {
            let everything: [&[u8]; 7] = [b"/", b"^/", b".*", b"^", b"^.*", b"^/.*", b"^(.*)$"];
            let mut found = Locations::default();
            for (at, d) in self.all.iter().enumerate() {
                let Some((modifier, name)) = location(d) else { continue };
                found.firsts.entry((modifier, name.bytes())).or_insert(at);
                if modifier.starts_with(b"~") && everything.contains(&name.bytes()) {
                    found.catch_all.get_or_insert(at);
                }
            }
            found
        })
    }
}

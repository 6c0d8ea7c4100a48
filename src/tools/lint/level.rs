//! What rules ask about all directives of one block, found once for the block: a rule that searched the block for each
//! of its directives would cost the square of its length.

use super::blocks::{self, location};
use super::used::Used;
use crate::config::ast::{Directive, Span, Word};
use crate::config::pattern::Pattern;
use crate::config::template::Variables;
use crate::util::hash::{FastMap, FastSet};
use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;

/// Blocks beside each other that are compared; beyond that they are generated, and not read by a human.
pub const COMPARED: usize = 200;

#[derive(Default)]
pub struct Level<'a> {
    pub all: &'a [Directive],
    /// Where the first directive of each name is.
    firsts: OnceCell<FastMap<&'a [u8], usize>>,
    locations: OnceCell<Locations<'a>>,
    /// Its regex locations, as far as they are compared.
    regexes: OnceCell<Vec<(&'a Directive, Pattern)>>,
    is_closed: OnceCell<bool>,
    runs_uploads: OnceCell<Option<&'a Directive>>,
    behind_all: OnceCell<Option<(usize, usize)>>,
    upstreams: OnceCell<FastSet<&'a [u8]>>,
    /// Variables that a `set` makes of what the client sent: rule W101 finds them.
    pub set_by_client: OnceCell<FastSet<&'a [u8]>>,
    /// Of a server: no name of it is a name.
    pub takes_any_host: OnceCell<bool>,
    /// Of a server: where the open locations are, by the directory that they serve. Rule W207 finds them.
    pub open: OnceCell<FastMap<String, Vec<usize>>>,
    /// It, or a server in it, has a listener with TLS.
    pub speaks_tls: OnceCell<bool>,
    keeping: OnceCell<FastSet<&'a [u8]>>,
    chosen_hosts: OnceCell<FastMap<String, (Span, bool)>>,
    /// Names that are used in it and below it. Rule W026 finds them.
    pub used: OnceCell<Used>,
    /// Variables that are named in it and below it. Rule W141 finds them.
    pub variables: OnceCell<HashSet<String>>,
    /// How the variables that are made in it and below it are written. Rule W062 finds them.
    pub spelled: OnceCell<FastMap<String, &'a Word>>,
    /// An `add_header` that allows credentials.
    pub credentials: OnceCell<Option<&'a Directive>>,
    /// What its `add_header` lines name. Rule W104 finds them.
    pub headers: OnceCell<Fields<'a>>,
    /// The same of its `add_trailer` lines.
    pub trailers: OnceCell<Fields<'a>>,
    /// The parameters that its lines of `fastcgi_param`, `uwsgi_param` and `scgi_param` give. Rule W152 finds them.
    pub parameters: [OnceCell<Fields<'a>>; 3],
    /// The first `proxy_set_header` of each header that rule W134 is about, with its name.
    pub decisive: OnceCell<Vec<(&'static str, &'a Directive)>>,
    /// Variables that a `map` or a `set` of it makes. Rule W034 finds them.
    pub defined: OnceCell<FastSet<&'a [u8]>>,
    /// Where its `error_page` lines lead.
    error_pages: OnceCell<FastSet<&'a [u8]>>,
    /// Names of the locations in it and below it that pass requests on. Rule W043 finds them.
    pub passing: OnceCell<FastSet<&'a [u8]>>,
    fields: RefCell<FastMap<&'static str, Option<&'a Directive>>>,
    ifs: OnceCell<FastMap<String, Vec<&'a Directive>>>,
    last_rewrite: OnceCell<Option<usize>>,
    /// Servers in it that keep someone out, two at most. Rule W127 finds them.
    pub guarded: OnceCell<Vec<&'a Directive>>,
}

/// Fields in the order of the lines that name them first, and their names in lower case.
#[derive(Default)]
pub struct Fields<'a> {
    pub first: Vec<&'a Directive>,
    pub names: HashSet<Vec<u8>>,
}

impl<'a> Fields<'a> {
    /// Those that the directives of this name set.
    pub fn of(all: &'a [Directive], directive: &str) -> Fields<'a> {
        let mut fields = Fields::default();
        for d in all.iter().filter(|d| d.name.is(directive)) {
            let Some(name) = d.args.first().map(Word::lower) else { continue };
            if fields.names.insert(name) {
                fields.first.push(d);
            }
        }
        fields
    }

    /// The first fields, at most `named`, that `own` lacks, and how many it lacks in all. Takes as long as there are own.
    pub fn lost(&self, own: &Fields<'_>, named: usize) -> (Vec<&'a Directive>, usize) {
        let is_lost = |d: &&Directive| d.args.first().is_some_and(|name| !own.names.contains(&name.lower()));
        let kept = own.names.iter().filter(|name| self.names.contains(*name)).count();
        (self.first.iter().copied().filter(is_lost).take(named).collect(), self.names.len() - kept)
    }
}

#[derive(Default)]
struct Locations<'a> {
    /// Where the first of each modifier and name is.
    firsts: FastMap<(&'a [u8], &'a [u8]), usize>,
    /// The first regex that every URI matches.
    catch_all: Option<usize>,
}

fn regex_of(d: &Directive) -> Option<Pattern> {
    let (sign, word) = location(d)?;
    Pattern::new(word.bytes(), blocks::case_of(sign), &mut Variables::default()).ok()
}

impl<'a> Level<'a> {
    pub fn new(all: &'a [Directive]) -> Level<'a> {
        Level { all, ..Level::default() }
    }

    fn firsts(&self) -> &FastMap<&'a [u8], usize> {
        self.firsts.get_or_init(|| {
            let mut firsts = FastMap::default();
            let mut before = None;
            for (at, d) in self.all.iter().enumerate() {
                // Most lines of a long block have the name of the line before.
                if before.replace(d.name.bytes()) != Some(d.name.bytes()) {
                    firsts.entry(d.name.bytes()).or_insert(at);
                }
            }
            firsts
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.firsts().contains_key(name.as_bytes())
    }

    /// The position of the first directive of a name.
    pub fn first(&self, name: &str) -> Option<usize> {
        self.firsts().get(name.as_bytes()).copied()
    }

    /// The first location with this modifier (none: empty) and name.
    pub fn location(&self, modifier: &[u8], name: &[u8]) -> Option<usize> {
        self.locations().firsts.get(&(modifier, name)).copied()
    }

    /// The first regex location that matches every URI.
    pub fn catch_all(&self) -> Option<usize> {
        self.locations().catch_all
    }

    /// The location that takes a path; of very many regexes the first are tried.
    pub fn taker(&self, path: &[u8]) -> Option<&'a Directive> {
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

    /// The first `add_header` of a field, whose name is in lower case.
    pub fn field(&self, name: &'static str) -> Option<&'a Directive> {
        let is_meant = |d: &&Directive| {
            d.name.is("add_header") && d.args.first().is_some_and(|word| word.lower() == name.as_bytes())
        };
        *self.fields.borrow_mut().entry(name).or_insert_with(|| self.all.iter().find(is_meant))
    }

    /// The `if` blocks in it and below it that ask for a variable first.
    pub fn ifs_about(&self, variable: &str) -> &[&'a Directive] {
        let ifs = self.ifs.get_or_init(|| blocks::ifs_below(self.all));
        ifs.get(&variable.to_ascii_lowercase()).map(Vec::as_slice).unwrap_or_default()
    }

    /// The position of its last `rewrite`.
    pub fn last_rewrite(&self) -> Option<usize> {
        *self.last_rewrite.get_or_init(|| self.all.iter().rposition(|d| d.name.is("rewrite")))
    }

    /// Whether an `error_page` of it leads to this URI or this named location.
    pub fn has_error_page(&self, page: &[u8]) -> bool {
        let pages = self.error_pages.get_or_init(|| {
            let lines = self.all.iter().filter(|d| d.name.is("error_page"));
            lines.filter_map(|d| d.args.last()).map(Word::bytes).collect()
        });
        pages.contains(page)
    }

    /// Whether something here asks who the client is.
    pub fn authenticates(&self) -> bool {
        *self.is_closed.get_or_init(|| blocks::authenticates(self.all))
    }

    /// The first `allow all` or `deny all`, and the first rule behind it.
    pub fn rule_behind_all(&self) -> Option<(usize, usize)> {
        *self.behind_all.get_or_init(|| {
            let is_rule = |d: &Directive| d.name.is("allow") || d.name.is("deny");
            let decides = |d: &Directive| is_rule(d) && d.args.first().is_some_and(|word| word.is("all"));
            let by = self.all.iter().position(decides)?;
            let behind = self.all.iter().skip(by + 1).position(is_rule)?;
            Some((by, by + 1 + behind))
        })
    }

    /// Whether an `upstream` of this name stands here.
    pub fn has_upstream(&self, name: &[u8]) -> bool {
        let names = self.upstreams.get_or_init(|| {
            let upstreams = self.all.iter().filter(|d| d.name.is("upstream"));
            upstreams.filter_map(|d| d.args.first()).map(Word::bytes).collect()
        });
        names.contains(name)
    }

    /// Whether an `upstream` of this name stands here that keeps connections.
    pub fn keeps(&self, name: &[u8]) -> bool {
        let names = self.keeping.get_or_init(|| {
            let is_kept = |d: &Directive| d.name.is("keepalive") && !d.args.first().is_some_and(|word| word.is("0"));
            let keeps = |d: &&Directive| d.name.is("upstream") && d.block.iter().flatten().any(is_kept);
            self.all.iter().filter(keeps).filter_map(|d| d.args.first()).map(Word::bytes).collect()
        });
        names.contains(name)
    }

    /// The variables that are the whole host of a pass below, or the beginning of a root (true), and where.
    pub fn chosen_hosts(&self) -> &FastMap<String, (Span, bool)> {
        self.chosen_hosts.get_or_init(|| {
            let (mut found, mut open) = (FastMap::default(), vec![self.all]);
            while let Some(level) = open.pop() {
                for d in level {
                    if let Some(name) = blocks::chosen_host(d) {
                        found.entry(name).or_insert((d.span, d.name.is("root") || d.name.is("alias")));
                    }
                    open.extend(d.block.as_deref());
                }
            }
            found
        })
    }

    /// A regex location that has files run by their suffix.
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

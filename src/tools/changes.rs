//! `webserv diff OLD NEW` without a log: what was added, removed, changed or moved in the configuration itself, block
//! by block, with the position in both. Comments, layout and the files that directives are in do not count.
//!
//! Blocks are compared with their like: servers by their names and addresses, others by their words. Takes time
//! proportional to the number of lines.

use crate::config::ast::{Directive, Word};
use crate::config::sources::Sources;
use crate::config::syntax::quoted;
use crate::util::hash::{FastMap, FastSet};
use crate::util::printable::visible;
use std::fmt::Write;
use std::path::Path;

/// A configuration as it was read: its lines, and the files that they are in.
type Text<'a> = (&'a [Directive], &'a Sources);

/// The changes between an old and a new configuration, with the directory of each main file, and whether there is one.
pub fn report([old, new]: [Text<'_>; 2], directories: [&Path; 2]) -> (String, bool) {
    let (mut text, count) = between(old, new);
    text.push_str(&match count {
        0 => "no directive differs (comments, layout and the contents of other files are not compared)\n".to_owned(),
        1 => "1 change of the configuration\n".to_owned(),
        count => format!("{count} changes of the configuration\n"),
    });
    let is_moved = directories[0] != directories[1];
    let relative = relative_to_file(old.0).filter(|_| is_moved);
    if let Some(d) = relative {
        let [old, new] = directories.map(|directory| directory.display().to_string());
        let name = d.name.str();
        text.push_str(&format!(
            "relative paths, as that of {name}, begin at \"{old}\" in one and \"{new}\" in the other\n"
        ));
    }
    text.push_str("which answers differ is found out with a log of requests: --log LOG\n");
    (text, count > 0 || relative.is_some())
}

/// What differs, a paragraph for each block, and how many changes there are.
fn between(old: Text<'_>, new: Text<'_>) -> (String, usize) {
    let mut changes = Changes { old: old.1, new: new.1, out: String::new(), count: 0, is_titled: false };
    changes.level(old.0, new.0, "");
    (changes.out, changes.count)
}

/// A directive whose path begins at the directory of the main file, so that the same words name another file there.
fn relative_to_file(tree: &[Directive]) -> Option<&Directive> {
    const ENDS: [&str; 5] = ["_user_file", "_certificate", "_certificate_key", "_password_file", "_crl"];
    tree.iter().find_map(|d| {
        let name = d.name.str();
        let is_path =
            |word: &Word| !word.bytes().starts_with(b"/") && !word.is("auto") && !word.bytes().contains(&b':');
        let is_one = ENDS.iter().any(|end| name.ends_with(end)) && name != "acme_certificate";
        match is_one && d.args.first().is_some_and(is_path) {
            true => Some(d),
            false => relative_to_file(d.block.as_deref().unwrap_or_default()),
        }
    })
}

struct Changes<'a> {
    old: &'a Sources,
    new: &'a Sources,
    out: String,
    count: usize,
    /// The block whose changes are being written has its title.
    is_titled: bool,
}

/// A line, or a block and its like: of the old configuration, of the new one.
type Pair<'a> = (Option<&'a Directive>, Option<&'a Directive>);

impl Changes<'_> {
    fn level(&mut self, old: &[Directive], new: &[Directive], path: &str) {
        self.is_titled = false;
        let pairs = pairs(old, new);
        let (in_old, in_new) = (shared_names(old), shared_names(new));
        for pair in &pairs {
            let was = |d: &Directive| format!("{}  {}", line(d, &in_old), self.old.place(d.span));
            let is = |d: &Directive| format!("{}  {}", line(d, &in_new), self.new.place(d.span));
            let change = match pair {
                (Some(old), Some(new)) if !is_same(old, new) => {
                    format!("changed  {}\n    into   {}", was(old), is(new))
                }
                (Some(_), Some(_)) | (None, None) => continue,
                (Some(old), None) => format!("removed  {}", was(old)),
                (None, Some(new)) => format!("added    {}", is(new)),
            };
            self.add(path, &change);
        }
        if let Some((was, is)) = moved(&pairs, old, new) {
            let [before, after] = [self.old.place(was.span), self.new.place(is.span)];
            self.add(path, &format!("moved    {}  {before}, {after}: the order counts", line(was, &in_old)));
        }
        for (old, new) in pairs {
            let (Some(old), Some(new)) = (old, new) else { continue };
            if let (Some(inner), Some(other)) = (&old.block, &new.block) {
                self.level(inner, other, &below(path, new, &in_new));
            }
        }
    }

    fn add(&mut self, path: &str, line: &str) {
        if !self.is_titled {
            let title = if path.is_empty() { "outside of blocks" } else { path };
            let _ = writeln!(self.out, "{title}");
            self.is_titled = true;
        }
        let _ = writeln!(self.out, "  {line}");
        self.count += 1;
    }
}

/// `name args;`, `name args { … }`, or a server by its name.
fn line(d: &Directive, shared: &FastSet<String>) -> String {
    if is_server(d) {
        return below("", d, shared);
    }
    let end = if d.block.is_some() { " { … }" } else { ";" };
    visible(&format!("{}{end}", words(d)))
}

fn words(d: &Directive) -> String {
    joined(d.words())
}

/// Words of a configuration, each in quotes only where it needs them: the same text in both files.
fn joined<'a>(words: impl Iterator<Item = &'a Word>) -> String {
    words.map(|word| quoted(&word.str())).collect::<Vec<String>>().join(" ")
}

/// Whether it is a `server` of `http`, not one of an `upstream`.
fn is_server(d: &Directive) -> bool {
    d.name.is("server") && d.block.is_some()
}

/// The path of a block: `server www.example.org, location /a/`; what is in `http` is named without it.
fn below(path: &str, d: &Directive, shared: &FastSet<String>) -> String {
    let own = if is_server(d) { server(d, shared) } else { words(d) };
    let own = visible(own.trim_end());
    if path.is_empty() || path == "http" { own } else { format!("{path}, {own}") }
}

/// A server by its names, with its first address if others have the same names, or by that alone.
fn server(d: &Directive, shared: &FastSet<String>) -> String {
    let names = names(d);
    let listen = first(d, "listen");
    match listen {
        Some(listen) if names.is_empty() => format!("server {}", joined(listen.args.iter())),
        Some(listen) if shared.contains(&names) => {
            format!("server {names} (listen {})", joined(listen.args.iter().take(1)))
        }
        _ => format!("server {names}"),
    }
}

fn names(d: &Directive) -> String {
    first(d, "server_name").map(|names| joined(names.args.iter())).unwrap_or_default()
}

/// The names that more than one server of a block has.
fn shared_names(block: &[Directive]) -> FastSet<String> {
    let mut seen = FastSet::default();
    block.iter().filter(|d| is_server(d)).map(names).filter(|names| !seen.insert(names.clone())).collect()
}

fn first<'a>(d: &'a Directive, name: &str) -> Option<&'a Directive> {
    d.block.iter().flatten().find(|d| d.name.is(name))
}

/// Whether two lines are the same, or two blocks have the same words before the brace.
fn is_same(old: &Directive, new: &Directive) -> bool {
    let is_block = |d: &Directive| d.block.is_some();
    old.words().map(Word::bytes).eq(new.words().map(Word::bytes)) && is_block(old) == is_block(new)
}

/// Keys by which lines are paired, from the closest to the loosest: all words, the name with the first word, the name.
/// For a server its addresses and names, one of its names, its first address, and that it has no name.
const LOOSEST: usize = 4;

fn key(d: &Directive, step: usize) -> Option<Vec<u8>> {
    let is_server = is_server(d);
    let words = |words: &mut dyn Iterator<Item = &Word>| -> Vec<u8> {
        words.flat_map(|word| word.bytes().iter().copied().chain([0])).collect()
    };
    let kind: &[u8] = if d.block.is_some() { b"{" } else { b";" };
    let of_all = |name: &str| {
        let lines = d.block.iter().flatten().filter(|d| d.name.is(name));
        lines.flat_map(|d| words(&mut d.words())).collect::<Vec<u8>>()
    };
    let key = match (step, is_server) {
        (0, true) => [of_all("listen"), of_all("server_name")].concat(),
        (1, true) => words(&mut first(d, "server_name")?.args.iter().take(1)),
        (2, true) => words(&mut first(d, "listen")?.args.iter().take(1)),
        (_, true) => first(d, "server_name").is_none().then(Vec::new)?,
        (0, false) => words(&mut d.words()),
        // A block of other words is another block.
        (1, false) if d.block.is_none() && d.args.len() > 1 => words(&mut d.words().take(2)),
        (2, false) if d.block.is_none() => words(&mut d.words().take(1)),
        _ => return None,
    };
    Some([d.name.bytes(), kind, &key].concat())
}

/// Each line of either side with its like, in the order of the old configuration, what is new at the end.
fn pairs<'a>(old: &'a [Directive], new: &'a [Directive]) -> Vec<Pair<'a>> {
    let mut of_old: Vec<Option<usize>> = vec![None; old.len()];
    let mut is_taken = vec![false; new.len()];
    for step in 0..LOOSEST {
        let mut open: FastMap<Vec<u8>, Vec<usize>> = FastMap::default();
        for (at, d) in new.iter().enumerate().rev().filter(|(at, _)| !is_taken[*at]) {
            if let Some(key) = key(d, step) {
                open.entry(key).or_default().push(at);
            }
        }
        for (at, d) in old.iter().enumerate() {
            if of_old[at].is_some() {
                continue;
            }
            let like = key(d, step).and_then(|key| open.get_mut(&key)?.pop());
            if let Some(like) = like {
                of_old[at] = Some(like);
                is_taken[like] = true;
            }
        }
    }
    let both = old.iter().zip(&of_old).map(|(d, like)| (Some(d), like.map(|at| &new[at])));
    let fresh = new.iter().zip(&is_taken).filter(|(_, taken)| !**taken).map(|(d, _)| (None, Some(d)));
    both.chain(fresh).collect()
}

/// The list that a line is in, and the one before or behind whose lines it counts where it stands.
type Order = (Vec<u8>, Vec<u8>);

/// Lists in which the first that applies decides, or that are done in their order.
fn orders(d: &Directive, defaults: &FastSet<Vec<u8>>) -> Vec<Order> {
    let is_regex = |word: &Word| word.bytes().starts_with(b"~");
    let one = |list: &[u8]| vec![(list.to_vec(), list.to_vec())];
    match d.name.bytes() {
        b"allow" => vec![(b"allow".to_vec(), b"deny".to_vec())],
        b"deny" => vec![(b"deny".to_vec(), b"allow".to_vec())],
        b"rewrite" | b"if" | b"return" | b"set" | b"break" => one(b"rewrite"),
        b"location" if d.args.first().is_some_and(is_regex) => one(b"location"),
        b"server" if d.block.is_some() => {
            let has_regex = first(d, "server_name").is_some_and(|names| names.args.iter().any(is_regex));
            let of = |address: Vec<u8>| [b"server ", address.as_slice()].concat();
            let by_place = addresses(d).into_iter().filter(|(address, _)| has_regex || !defaults.contains(address));
            by_place.map(|(address, _)| (of(address.clone()), of(address))).collect()
        }
        // Of a `map`.
        name if name.starts_with(b"~") => one(b"~"),
        _ => Vec::new(),
    }
}

/// The addresses of a server, and whether `default_server` stands there.
fn addresses(d: &Directive) -> Vec<(Vec<u8>, bool)> {
    let lines = d.block.iter().flatten().filter(|d| d.name.is("listen"));
    let address = |word: &Word| -> Vec<u8> {
        let bytes = word.bytes();
        bytes.strip_prefix(b"*:").or_else(|| bytes.strip_prefix(b"0.0.0.0:")).unwrap_or(bytes).to_vec()
    };
    let all: Vec<(Vec<u8>, bool)> = lines
        .filter_map(|d| {
            let is_default = d.args.iter().any(|word| word.is("default_server") || word.is("default"));
            Some((address(d.args.first()?), is_default))
        })
        .collect();
    if all.is_empty() { vec![(b"80".to_vec(), false)] } else { all }
}

/// Addresses whose default server is named by `default_server`, and not the first one.
fn with_default(block: &[Directive]) -> FastSet<Vec<u8>> {
    let all = block.iter().filter(|d| is_server(d)).flat_map(addresses);
    all.filter_map(|(address, is_default)| is_default.then_some(address)).collect()
}

/// The first line of such a list that stands elsewhere among those that both sides have.
fn moved<'a>(pairs: &[Pair<'a>], old: &[Directive], new: &[Directive]) -> Option<(&'a Directive, &'a Directive)> {
    let place = |all: &[Directive], d: &Directive| -> usize {
        let at = std::ptr::from_ref(d).addr() - all.as_ptr().addr();
        at / size_of::<Directive>()
    };
    let (of_old, of_new) = (with_default(old), with_default(new));
    let defaults: FastSet<Vec<u8>> = of_old.intersection(&of_new).cloned().collect();
    let mut last: FastMap<Vec<u8>, usize> = FastMap::default();
    let mut both: Vec<(&Directive, &Directive)> =
        pairs.iter().filter_map(|(old, new)| Some(((*old)?, (*new)?))).collect();
    both.sort_by_key(|(was, _)| place(old, was));
    both.into_iter().find(|(was, is)| {
        let at = place(new, is);
        let orders = orders(was, &defaults);
        let is_before = orders.iter().any(|(_, others)| last.get(others).is_some_and(|last| at < *last));
        for (list, _) in orders {
            let last = last.entry(list).or_default();
            *last = at.max(*last);
        }
        is_before
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ast::words_read;
    use crate::config::load::{LoadOptions, load_text};

    fn changes(old: &str, new: &str) -> String {
        let load = |name, text: &str| load_text(name, text.as_bytes(), &LoadOptions::default());
        let (old, new) = (load("old.conf", old), load("new.conf", new));
        between((&old.directives, &old.sources), (&new.directives, &new.sources)).0
    }

    /// Words are counted, since times would depend on the machine.
    #[test]
    fn the_words_that_are_compared_grow_with_the_lines() {
        let list = |line: &str, times: usize, shift: usize| -> String {
            (0..times).map(|n| line.replace('%', &((n + shift) % (times + 1)).to_string())).collect()
        };
        for (block, line) in [
            ("http { #; }", "server { listen 80; server_name n%.test www.n%.test; location /a { return 301 /%; } }"),
            ("http { #; }", "server { listen 10.0.0.1:%; root /%; }"),
            ("http { #; }", "upstream u% { server 10.0.0.1:%; }"),
            ("http { server { #; } }", "location /a% { proxy_pass http://u%; }"),
            ("http { server { #; } }", "location ~ x%$ { deny 10.%.0.0/16; }"),
            ("http { server { #; } }", "rewrite ^/a% /b% last;"),
            ("http { server { #; } }", "listen 127.0.0.1:%;"),
            ("http { server { location / { #; } } }", "add_header X-% %;"),
            ("http { map $uri $a { #; } }", "~^/a%/ b%;"),
        ] {
            let read = |times: usize| {
                let text = |shift: usize| block.replace("#;", &list(line, times, shift));
                let before = words_read();
                let found = changes(&text(0), &text(1));
                assert!(!found.is_empty(), "{line}");
                words_read() - before
            };
            let (few, many) = (read(50), read(200));
            assert!(many < 5 * few, "{line}: {few} words for 50 lines, {many} for 200");
        }
    }

    #[test]
    fn a_line_is_shown_as_it_may_be_written() {
        let conf = |value: &str| format!("http {{ log_format a {value}; }}");
        for (value, shown) in [
            ("'{\"a\": \"$uri\"}'", "log_format a '{\"a\": \"$uri\"}';"),
            ("\"#1 ; it's\"", "log_format a \"#1 ; it's\";"),
            ("'one\ntwo'", "log_format a one\\ntwo;"),
            ("'a\\\\b'", "log_format a a\\b;"),
            ("${uri}x", "log_format a ${uri}x;"),
        ] {
            let found = changes(&conf("x"), &conf(value));
            assert!(found.contains(&format!("into   {shown}  ")), "{value}: {found}");
        }
        let named = |line: &str| format!("http {{ server {{ listen 'unix:/a b' ; {line} }} }}");
        for (line, title) in [("server_name '~^a{2}$' b;", "server \"~^a{2}$\" b\n"), ("", "server \"unix:/a b\"\n")] {
            let found = changes(&named(line), &named(&format!("{line} gzip on;")));
            assert!(found.starts_with(title), "{found}");
        }
    }

    #[test]
    fn a_line_of_a_location_is_listed_with_both_positions() {
        let conf = |line: &str| {
            format!("http {{\n server {{\n server_name a.test b.test;\n location /a/ {{\n{line}\n}}\n}}\n}}")
        };
        let found = changes(&conf("expires 1d;"), &conf("expires 7d;"));
        assert_eq!(
            found,
            "server a.test b.test, location /a/\n  changed  expires 1d;  old.conf:5\n    into   expires 7d;  new.conf:5\n"
        );
        let title = "server a.test b.test, location /a/\n";
        let added = format!("{title}  added    gzip on;  new.conf:6\n");
        assert_eq!(changes(&conf("expires 1d;"), &conf("expires 1d;\ngzip on;")), added);
        let removed = format!("{title}  removed  expires 1d;  old.conf:5\n");
        assert_eq!(changes(&conf("expires 1d;"), &conf("")), removed);
    }

    #[test]
    fn comments_layout_and_the_order_of_lines_without_one_are_no_changes() {
        let (old, new) = (
            "http { gzip on; server { listen 80; root /srv; } }",
            "http {\n # x\n server { root /srv; listen 80; } gzip on; }",
        );
        assert_eq!(changes(old, new), "");
    }

    #[test]
    fn what_depends_on_its_order_is_said_to_have_moved() {
        let conf = |lines: &str| format!("http {{ server {{ {lines} }} }}");
        for (old, new, line) in [
            ("allow 10.0.0.1; deny all;", "deny all; allow 10.0.0.1;", "deny all;"),
            ("location ~ a { } location ~ b { }", "location ~ b { } location ~ a { }", "location ~ b { … }"),
            ("rewrite ^/a /b; return 404;", "return 404; rewrite ^/a /b;", "return 404;"),
        ] {
            let found = changes(&conf(old), &conf(new));
            assert!(found.contains(&format!("moved    {line}")), "{found}");
        }
        let servers = [
            "http { server { listen 80; server_name a; } server { listen 80; server_name b; } }",
            "http { server { listen 80; server_name b; } server { listen 80; server_name a; } }",
        ];
        assert!(changes(servers[0], servers[1]).contains("moved    server b  "), "the default server is another");
    }

    #[test]
    fn what_does_not_depend_on_its_order_is_not_said_to_have_moved() {
        let server = |name: &str, listen: &str| format!("server {{ listen {listen}; server_name {name}; }}");
        let (a, b, c) = (server("a", "80"), server("b", "8080"), server("c", "*:80"));
        let chosen = server("d", "80 default_server");
        for (first, second, rest) in [
            ("allow 10.0.0.1;", "allow 10.0.0.2;", "deny all;"),
            ("deny 10.0.0.1;", "deny 10.0.0.2;", "allow all;"),
            (&a, &b, ""),
            (&a, &c, &chosen),
            ("upstream u { server a:1;", "server b:1;", "}"),
        ] {
            let conf = |first: &str, second: &str| format!("http {{ {first} {second} {rest} }}");
            let (old, new) = match first.strip_prefix("upstream u {") {
                Some(line) => (conf(first, second), conf(&format!("upstream u {{ {second}"), line)),
                None => (conf(first, second), conf(second, first)),
            };
            assert_eq!(changes(&old, &new), "", "{old}");
        }
        let found = changes(&format!("http {{ {a} {b} {c} }}"), &format!("http {{ {c} {b} {a} }}"));
        assert!(found.contains("moved    server c  "), "the default server of *:80 is another: {found}");
        let crossed = ["allow a; allow b; deny all; allow c;", "allow b; allow c; deny all; allow a;"];
        assert!(changes(crossed[0], crossed[1]).contains("moved    deny all;"), "{crossed:?}");
    }

    #[test]
    fn what_is_in_http_has_http_as_its_title() {
        let found = changes("user a; http { gzip on; }", "user b; http { gzip off; }");
        assert!(found.starts_with("outside of blocks\n  changed  user a;"), "{found}");
        assert!(found.contains("\nhttp\n  changed  gzip on;"), "{found}");
    }

    #[test]
    fn two_servers_of_one_name_have_titles_of_their_own() {
        let conf = |to: &str, root: &str| {
            format!(
                "http {{ server {{ listen 80; server_name a.test; return 301 {to}; }}\n\
                 server {{ listen 8443 ssl; server_name a.test; root {root}; }} }}"
            )
        };
        let found = changes(&conf("/a", "/a"), &conf("/b", "/b"));
        assert!(found.starts_with("server a.test (listen 80)\n  changed  return 301 /a;"), "{found}");
        assert!(found.contains("\nserver a.test (listen 8443)\n  changed  root /a;"), "{found}");
        let same = |root: &str| format!("server {{ listen 80; server_name a; root {root}; }}");
        let twice = |root: &str| format!("http {{ {} {} }}", same(root), same(root));
        assert_eq!(changes(&twice("/a"), &twice("/b")).matches("server a (listen 80)\n").count(), 2);
    }

    #[test]
    fn a_server_without_a_name_is_compared_with_the_next_such() {
        let conf = |port: u16, to: &str| format!("server {{ listen {port}; location /a {{ return 301 {to}; }} }}");
        let found = changes(&conf(80, "/b"), &conf(81, "/c"));
        assert!(found.contains("changed  listen 80;") && found.contains("changed  return 301 /b;"), "{found}");
    }

    #[test]
    fn a_server_is_compared_with_the_one_of_its_name() {
        let server =
            |name: &str, port: u16, root: &str| format!("server {{ listen {port}; server_name {name}; root {root}; }}");
        let old = format!("http {{ {} {} }}", server("a.test", 80, "/a"), server("b.test", 80, "/b"));
        let new = format!("http {{ {} {} }}", server("b.test", 8080, "/b"), server("c.test", 81, "/c"));
        let found = changes(&old, &new);
        assert!(found.contains("server b.test\n  changed  listen 80;"), "{found}");
        assert!(
            found.contains("http\n  removed  server a.test  ") && found.contains("added    server c.test  "),
            "{found}"
        );
        assert!(!found.contains("root"), "{found}");
    }
}

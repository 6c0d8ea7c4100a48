//! Files that are named in a way that finds none, or more than meant: pages of errors that are not there, an index with
//! the name of the root before it, masks that take copies of files.

use super::blocks::{is_pass, location};
use super::protection_bypass::sends_files;
use super::rule::{Finding, Paths, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::glob;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W235",
        title: "an error page that is not there",
        page: "The file of an `error_page` is looked for below the root like any other: where it is missing the answer is the \
               built-in page of 404, whatever the error was. Make the file, mend the path, or give the page a location of its \
               own with the root where it is.",
        about: &["error_page"],
        check: missing_page,
    },
    Rule {
        code: "W236",
        title: "a copy of a file that is included",
        page: "A mask such as `conf.d/*` takes every file of the directory, also what editors and package managers leave beside one: \
               `site.conf~`, `site.conf.bak`, `site.conf.dpkg-old`. The old configuration counts again, beside the new one. Include \
               `conf.d/*.conf`, or move the copy out of the directory.",
        about: &["include"],
        check: copies,
    },
    Rule {
        code: "W353",
        title: "an index with the path of the root",
        page: "The names of `index` are looked for in the directory that was asked for, below the root: with `root /srv/html` the name \
               `html/index.html` leads to /srv/html/html/index.html. Write `index index.html;`. So it is with the URIs of \
               `try_files`: `/srv/html/index.html` leads to /srv/html/srv/html/index.html.",
        about: &["index", "try_files"],
        check: rooted_index,
    },
];

/// Directories that packages make, whose files differ from one machine to the next.
const PACKAGED: [&str; 2] = ["/usr", "/var/www/html"];

fn missing_page(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(page), Some(paths)) = (cx.d.args.last().filter(|_| cx.is("error_page")), cx.paths) else { return };
    let Some(server) = cx.inside("server") else { return };
    let text = page.str();
    let path = text.split('?').next().unwrap_or_default();
    if !path.starts_with('/') || path.contains(['$', '%']) || path.ends_with('/') {
        return;
    }
    let taker = server.taker(path.as_bytes());
    let own = |name| taker.and_then(|taker| own(taker, name));
    let is_file = taker.is_none_or(|taker| sends_files(taker, path.as_bytes()));
    let leads_elsewhere = |name| own(name).is_some() || server.has(name);
    if !is_file || ["rewrite", "return", "try_files", "alias", "if"].into_iter().any(leads_elsewhere) {
        return;
    }
    // The server's root, or that of `http` around it.
    let of_server = || cx.levels().filter(|level| level.has("listen") || level.has("server"));
    let root = own("root").or_else(|| of_server().find_map(|level| level.first_of("root")));
    let Some(root) = root.and_then(|d| d.args.first()).filter(|root| !root.bytes().contains(&b'$')) else { return };
    let directory = paths.prefix.join(OsStr::from_bytes(root.bytes()));
    let is_known = paths.on_this_machine || !PACKAGED.iter().any(|made| directory.starts_with(made));
    let file = directory.join(path.trim_start_matches('/'));
    if is_known && cx.may_compare() && has_files(&directory) && is_missing(&file) {
        let message = format!("\"{}\" does not exist: the answer is the built-in page of 404", file.display());
        found.push(Finding::new(
            page.span,
            message,
            "make the file, or mend the path: it is looked for below the root",
        ));
    }
}

/// A directive of this name in a block.
fn own<'a>(block: &'a Directive, name: &str) -> Option<&'a Directive> {
    block.block.iter().flatten().find(|d| d.name.is(name))
}

fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

/// Whether a directory is there and holds something: an empty one is filled later.
fn has_files(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// Whether a name is that of a copy that was put aside. A file called `backup` may be a site of that name.
pub fn is_copy(name: &str) -> bool {
    let is_word = |last: &str| {
        matches!(last, "bak" | "backup" | "old" | "orig" | "save" | "swp" | "disabled" | "off")
            || matches!(last, "rpmsave" | "rpmnew" | "rpmorig")
            || last.starts_with("dpkg-")
    };
    let has_word = name.rsplit_once('.').is_some_and(|(stem, last)| !stem.is_empty() && is_word(last));
    has_word || name.ends_with('~') || name.starts_with('#')
}

fn copies(cx: &RuleContext, found: &mut Vec<Finding>) {
    let directory: fn(&Paths) -> &PathBuf = |paths| &paths.conf_dir;
    let Some(path) = cx.d.args.first().filter(|_| cx.is("include")).and_then(|word| cx.path(word, directory)) else {
        return;
    };
    let mask = path.as_os_str().as_bytes();
    if !glob::is_pattern(mask) || !cx.may_compare() {
        return;
    }
    let files = glob::expand(mask);
    let mut names = files.iter().filter_map(|file| file.file_name()?.to_str());
    if let Some(name) = names.find(|name| is_copy(name)) {
        let message = format!("this mask takes \"{name}\" as well, which is a copy of another file");
        let help = "end the mask, as in *.conf, or move the copy out of the directory";
        found.push(Finding::new(cx.d.args_span(), message, help));
    }
}

/// `root /srv/www; … try_files $uri /srv/www/index.html;`
fn rooted_uri(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(root) = cx.levels().find_map(|level| level.first_of("root")?.args.first()) else { return };
    let root = root.str();
    let root = root.trim_end_matches('/');
    if !root.starts_with('/') || root.contains('$') || cx.level().has("alias") {
        return;
    }
    // The last word is a URI, which another location may look for elsewhere.
    let is_served_elsewhere = |word: &Word| {
        let path = word.bytes().split(|byte| *byte == b'?').next().unwrap_or_default();
        let taker = cx.inside("server").and_then(|server| server.taker(path));
        let elsewhere = |d: &Directive| {
            ["alias", "root", "return", "rewrite", "location", "include"].iter().any(|name| d.name.is(name))
        };
        let is_other = |taker: &&Directive| cx.blocks.last().is_none_or(|block| block.span != taker.span);
        taker
            .filter(is_other)
            .is_some_and(|taker| taker.block.iter().flatten().any(|d| elsewhere(d) || is_pass(&d.name.str())))
    };
    let is_last = |word: &Word| cx.d.args.last().is_some_and(|last| last.span == word.span);
    let rest = |word: &Word| {
        let rest = word.str().strip_prefix(root)?.to_owned();
        (rest.starts_with('/') && !(is_last(word) && is_served_elsewhere(word))).then_some(rest)
    };
    if let Some((word, rest)) = cx.d.args.iter().find_map(|word| Some((word, rest(word)?))) {
        let message = format!("this begins below the root, and leads to \"{root}{}\"", word.str());
        found.push(Finding::new(word.span, message, format!("did you mean \"{rest}\"?")));
    }
}

fn rooted_index(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("try_files") {
        return rooted_uri(cx, found);
    }
    if !cx.is("index") {
        return;
    }
    let Some(root) = cx.levels().find_map(|level| level.first_of("root")?.args.first()) else { return };
    let root = root.str();
    let root = root.trim_end_matches('/');
    let Some(last) = root.rsplit('/').next().filter(|last| !last.is_empty() && !last.contains('$')) else { return };
    // In a location of that name such a directory may well be there.
    let is_named = cx.blocks.iter().filter_map(|block| location(block)).any(|(_, name)| name.len() > 1);
    let below = |word: &Word| {
        let text = word.str().into_owned();
        let rest = text.strip_prefix(root).and_then(|rest| rest.strip_prefix('/'));
        let rest = rest.or_else(|| text.strip_prefix(last)?.strip_prefix('/')).map(str::to_owned)?;
        Some((text, rest)).filter(|(_, rest)| !rest.is_empty() && !is_named)
    };
    if let Some((word, (text, rest))) = cx.d.args.iter().find_map(|word| Some((word, below(word)?))) {
        let message = format!(
            "the name of an index begins below the root: this leads to \"{root}/{}\"",
            text.trim_start_matches('/')
        );
        found.push(Finding::new(word.span, message, format!("did you mean \"{rest}\"?")));
    }
}

//! Files and directories that a configuration names but that do not exist; names with variables are not checked.
//! Important enough to be checked at every start too ([`super::at_start`]).

use super::blocks::{is_pass, location};
use super::level::Level;
use super::protection_bypass::sends_files;
use super::rule::{Finding, Paths, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::load::meant;
use crate::config::resolve::lexical;
use crate::io::open;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W210",
        title: "the directory does not exist",
        page: "`root` or `alias` names a directory that is not there, so every request below it is answered 404. Relative \
               paths start at the prefix: the directory that webserv is started in, or -p. Make the directory, or mend \
               the name. `lint`, and `-t` with -c, name only those whose name is nearly that of another directory: a \
               configuration may be checked on another machine than the one it is for.",
        about: &["root", "alias"],
        check: missing_root,
    },
    Rule {
        code: "W215",
        title: "the program or the upload area does not exist",
        page: "`cgi_pass` or `cgi_extension` names a program that is not there, so every request for it is answered 502; or \
               `upload_store` a directory that is not there, and `upload_create_path` is off, so every upload is answered 404. \
               `lint`, and `-t` with -c, name only those whose name is nearly that of another one: a configuration may be \
               checked on another machine than the one it is for.",
        about: &["cgi_pass", "cgi_extension", "upload_store"],
        check: missing_means,
    },
    Rule {
        code: "W211",
        title: "the password file does not exist, or has no user",
        page: "`auth_basic_user_file` names a file that is not there, so that no one gets in: requests with a password are \
               answered 403 (nginx) and the error log says why. Relative paths start at the directory of the main \
               configuration file. `htpasswd -c FILE USER` makes one. A file without a line `USER:HASH` lets no one in \
               either: `htpasswd FILE USER` adds one.",
        about: &["auth_basic_user_file"],
        check: no_passwords,
    },
    Rule {
        code: "W212",
        title: "no listener",
        page: "There is no `server` block, so no port is opened and no request can be answered. Write one into `http`, or \
               include the files that have them.",
        about: &["http"],
        check: nothing_listened_on,
    },
    Rule {
        code: "W213",
        title: "no root, and the default directory does not exist",
        page: "A server without `root` takes its files from `html` below the prefix, as nginx does; that is not there, and nothing \
               in the server answers otherwise, so every request is answered 404. Write `root` with the directory of the files. \
               Said where the configuration is served, or checked without -c.",
        about: &["server"],
        check: no_root,
    },
    Rule {
        code: "W214",
        title: "an include that matches no file",
        page: "A mask that matches nothing is no error, since directories may be empty. Where files are there whose names do not \
               end as the mask wants, they are left out in silence: `include sites-enabled/*.conf` takes no file called \
               `example.org`. Rename the files, or write `include sites-enabled/*;`.",
        about: &["include"],
        check: unmatched_mask,
    },
    Rule {
        code: "W158",
        title: "a repository or settings file that the site serves",
        page: "The directory that is served holds `.git`, `.svn` or `.hg`, from which anyone can fetch the whole source with its \
               history, or a file of settings such as `.env`, with its passwords, or a copy of a database. Serve a directory without \
               them, or refuse hidden names: `location ~ /\\.(?!well-known/) { deny all; }`.",
        about: &["root", "alias"],
        check: served_repository,
    },
    Rule {
        code: "W332",
        title: "a project's own directory is served",
        page: "Frameworks keep what visitors get in a directory of its own (Laravel, Symfony and Rails in `public`): with the \
               project's directory as `root` its settings, logs and sources are sent, and its start page is not found. Write \
               `root /srv/app/public;`.",
        about: &["root"],
        check: whole_project,
    },
];

/// What is beside the site in a checkout, or was put there for an hour, and one file of it.
const HIDDEN: [(&str, &str); 10] = [
    (".git", ".git/config"),
    (".svn", ".svn/wc.db"),
    (".hg", ".hg/store"),
    (".env", ".env"),
    (".ssh", ".ssh/id_rsa"),
    (".aws", ".aws/credentials"),
    ("dump.sql", "dump.sql"),
    ("backup.sql", "backup.sql"),
    ("wp-config.php.bak", "wp-config.php.bak"),
    ("id_rsa", "id_rsa"),
];

/// Those of [`HIDDEN`] that a directory has; many locations may serve the same one.
fn hidden_in(server: &Level, directory: &Path) -> Vec<(&'static str, &'static str)> {
    if let Some(known) = server.hidden.borrow().get(directory) {
        return known.clone();
    }
    let is_there = |name: &str| std::fs::symlink_metadata(directory.join(name)).is_ok();
    let found: Vec<_> = HIDDEN.into_iter().filter(|(name, _)| is_there(name)).collect();
    server.hidden.borrow_mut().insert(directory.to_owned(), found.clone());
    found
}

fn served_repository(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(path), Some(server)) = (fixed(cx, |paths| &paths.prefix), cx.inside("server")) else { return };
    // Only a root of the server itself, and the prefix location that has a root or an alias of its own.
    let (own, prefix) = match cx.blocks.last() {
        Some(block) if block.name.is("server") => (None, "/".into()),
        Some(block) => match location(block).filter(|(sign, _)| sign.is_empty() || *sign == b"^~") {
            Some((_, name)) if name.bytes().starts_with(b"/") && name.bytes().ends_with(b"/") => {
                (Some(*block), name.str())
            }
            _ => return,
        },
        None => return,
    };
    let directory = if cx.is("alias") { path } else { path.join(prefix.trim_start_matches('/')) };
    // Asking where a path is routed costs more than looking, and most directories have nothing of it.
    for (name, file) in hidden_in(server, &directory) {
        let uri = format!("{prefix}{file}");
        let taker = server.taker(uri.as_bytes());
        let is_own = match own {
            Some(own) => taker.is_some_and(|taker| std::ptr::eq(taker, own)),
            None => {
                taker.is_none_or(|taker| !taker.block.iter().flatten().any(|d| d.name.is("root") || d.name.is("alias")))
            }
        };
        let is_sent = taker.is_none_or(|taker| sends_files(taker, uri.as_bytes())) && !server.has("return");
        if is_own && is_sent && !server.authenticates() {
            let message = format!("\"{}\" is sent to anyone who asks for {uri}", directory.join(name).display());
            let help = match name.starts_with('.') {
                true => "refuse hidden names: location ~ /\\.(?!well-known/) { deny all; }",
                false => "move it out of the directory that is served",
            };
            return found.push(Finding::new(cx.d.args_span(), message, help));
        }
    }
}

/// Files that a project has at its top, and the directory with what visitors get.
const PROJECTS: [(&str, &str); 7] = [
    ("artisan", "public"),
    ("bin/console", "public"),
    ("bin/rails", "public"),
    ("config.ru", "public"),
    ("vendor/autoload.php", "public"),
    ("craft", "web"),
    ("vendor/autoload.php", "web"),
];

fn whole_project(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(path), true) = (fixed(cx, |paths| &paths.prefix), cx.is_in("server")) else { return };
    let level = cx.level();
    let is_there = |name: &str| path.join(name).exists();
    // A start page beside it is meant to be served.
    let has_page = || ["index.php", "index.html"].into_iter().any(is_there);
    let is_project = |(mark, public): &&(&str, &str)| {
        let has_start = || ["index.php", "index.html"].iter().any(|page| is_there(&format!("{public}/{page}")));
        is_there(mark) && (has_start() || *mark == "bin/rails" || *mark == "config.ru") && is_there(public)
    };
    if level.has("return") || level.authenticates() || has_page() {
        return;
    }
    if let Some((mark, public)) = PROJECTS.iter().find(is_project) {
        let text = cx.d.args[0].str();
        let message =
            format!("\"{text}\" holds the whole project: its settings and sources are served (there is \"{mark}\")");
        let help = format!("what visitors get is in: root {}/{public};", text.trim_end_matches('/'));
        found.push(Finding::new(cx.d.args_span(), message, help));
    }
}

/// An `include` pattern that matches nothing although there are files: `sites-enabled/*.conf` beside
/// `sites-enabled/default`.
fn unmatched_mask(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(path) = fixed(cx, |paths| &paths.conf_dir).filter(|_| cx.is("include") && cx.may_compare()) else {
        return;
    };
    let (Some(mask), Some(directory)) = (path.file_name().and_then(OsStr::to_str), path.parent()) else { return };
    let Some(end) = mask.strip_prefix('*').filter(|end| end.starts_with('.') && !end.contains(['*', '?', '['])) else {
        return;
    };
    let entries = std::fs::read_dir(directory).ok().into_iter().flatten().take(1000).flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    if names.iter().any(|name| name.ends_with(end)) {
        return;
    }
    // Names of disabled files and READMEs.
    const ASIDE: [&str; 9] = ["bak", "old", "orig", "disabled", "off", "sample", "example", "md", "txt"];
    let is_aside = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_word = ASIDE.contains(&last) || last.starts_with("dpkg-") || last.starts_with("rpm");
        is_word || name.starts_with(['.', '#']) || name.ends_with('~') || name.starts_with("README")
    };
    names.retain(|name| !is_aside(name) && directory.join(name).is_file());
    names.sort();
    if let Some(name) = names.first() {
        let message = format!("no file matches this mask, though \"{name}\" is there");
        let help = format!("rename the files so that they end in `{end}`, or take all of them: include {}/*;", {
            let written = cx.d.args.first().map(Word::str).unwrap_or_default();
            written.rsplit_once('/').map_or(".".to_owned(), |(directory, _)| directory.to_owned())
        });
        found.push(Finding::new(cx.d.args_span(), message, help));
    }
}

/// The path of the first argument, if it has no variables.
fn fixed(cx: &RuleContext, from: fn(&Paths) -> &PathBuf) -> Option<PathBuf> {
    cx.path(cx.d.args.first()?, from)
}

fn missing_root(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("root") && !cx.is("alias") {
        return;
    }
    let Some(path) = fixed(cx, |paths| &paths.prefix) else { return };
    // Other errors do not count: the server may have more rights.
    let found_there = std::fs::metadata(&path);
    let shown = path.display();
    if cx.is("root") && found_there.as_ref().is_ok_and(|meta| meta.is_file()) {
        found.push(Finding::new(
            cx.d.args_span(),
            format!("\"{shown}\" is a file, not a directory: every request is answered 404"),
            "`root` names the directory that holds it, `index` the file; or `location = /x { alias FILE; }`",
        ));
        return;
    }
    if !found_there.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        return;
    }
    // An invisible character has been reported already.
    if cx.d.args.iter().any(|word| lexical::odd_word(cx.d, word).is_some()) {
        return;
    }
    let near = rooted(cx).or_else(|| if cx.may_compare() { nearest(&path) } else { None });
    // The configuration may be for another machine, where the path may exist.
    let is_told = cx.paths.is_some_and(|paths| paths.on_this_machine);
    if near.is_none() && !is_told {
        return;
    }
    let near = near.map_or_else(
        || format!("mkdir -p \"{shown}\", or mend the path"),
        |near| format!("did you mean \"{near}\"? Else: mkdir -p \"{shown}\""),
    );
    let makes = |level: &Level| {
        let methods = level.first_of("dav_methods");
        methods.is_some_and(|d| d.args.iter().any(|word| word.is("PUT")))
    };
    let until = match cx.is("alias") && cx.levels().any(makes) {
        true => "requests are answered 404 until PUT makes it",
        false => "every request is answered 404",
    };
    found.push(Finding::new(cx.d.args_span(), format!("\"{shown}\" does not exist: {until}"), near));
}

/// `root var/www;`: the directory is there if the path begins with a slash.
fn rooted(cx: &RuleContext) -> Option<String> {
    let word = cx.d.args.first().filter(|word| !word.bytes().starts_with(b"/") && word.bytes().contains(&b'/'))?;
    let path = Path::new("/").join(OsStr::from_bytes(word.bytes()));
    path.is_dir().then(|| path.display().to_string())
}

fn missing_means(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (word, what) = match (cx.name(), &cx.d.args[..]) {
        (b"cgi_pass", [program]) | (b"cgi_extension", [_, program]) => (program, "no request for it can be answered"),
        (b"upload_store", [store]) => (store, "nothing can be stored"),
        _ => return,
    };
    let makes = |level: &Level| {
        let make = level.first_of("upload_create_path");
        make.is_some_and(|d| d.says("on"))
    };
    let Some(paths) = cx.paths.filter(|_| word.bytes().starts_with(b"/") && !word.bytes().contains(&b'$')) else {
        return;
    };
    let path = paths.prefix.join(OsStr::from_bytes(word.bytes()));
    let is_missing = std::fs::metadata(&path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
    if !is_missing || cx.is("upload_store") && cx.levels().any(makes) {
        return;
    }
    let near = if cx.may_compare() { nearest(&path) } else { None };
    let help = match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if !paths.on_this_machine => return,
        None if cx.is("upload_store") => format!("mkdir -p \"{}\", or add: upload_create_path on;", path.display()),
        None => "install it, or mend the path".to_owned(),
    };
    found.push(Finding::new(word.span, format!("\"{}\" does not exist: {what}", path.display()), help));
}

/// Directives that determine where files are, or answer without files.
const ANSWERS: [&str; 11] = [
    "root",
    "alias",
    "return",
    "rewrite",
    "stub_status",
    "api",
    "prometheus",
    "health",
    "empty_gif",
    "ssl_reject_handshake",
    "deny",
];

fn no_root(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(paths) = cx.paths.filter(|paths| paths.on_this_machine && cx.is("server") && cx.d.block.is_some()) else {
        return;
    };
    fn answers(d: &Directive) -> bool {
        let inside = d.block.iter().flatten();
        ANSWERS.iter().any(|name| d.name.is(name)) || is_pass(&d.name.str()) || inside.into_iter().any(answers)
    }
    if cx.children().iter().any(answers) || cx.levels().any(|level| level.has("root")) {
        return;
    }
    let default = paths.prefix.join("html");
    if std::fs::metadata(&default).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        let shown = default.display();
        found.push(Finding::new(
            cx.d.name.span,
            format!("no root: files would be in \"{shown}\", which does not exist: every request is answered 404"),
            "write where they are, as in: root /srv/www;",
        ));
    }
}

/// A directory beside the missing one with a similar name.
fn nearest(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let parent = path.parent()?;
    let names: Vec<String> =
        std::fs::read_dir(parent).ok()?.take(1000).flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    let near =
        names.iter().find(|known| strsim::osa_distance(known, name) <= 2.min(name.len() / 3) && known.len() > 2)?;
    Some(parent.join(near).display().to_string())
}

fn no_passwords(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("auth_basic_user_file") {
        return;
    }
    let Some(path) = fixed(cx, |paths| &paths.conf_dir) else { return };
    let is_missing = std::fs::metadata(&path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
    let written = cx.d.args.first().map(Word::str).unwrap_or_default();
    let near = if is_missing && cx.may_compare() { meant(&path, &written) } else { None };
    let shown = path.display();
    if let Some(near) = near {
        let message = format!("\"{shown}\" does not exist: no one gets in");
        found.push(Finding::new(cx.d.args_span(), message, format!("did you mean \"{near}\"?")));
    } else if is_missing && cx.paths.is_some_and(|paths| paths.on_this_machine) {
        found.push(Finding::new(
            cx.d.args_span(),
            format!("\"{shown}\" does not exist: no one gets in"),
            format!(
                "htpasswd -c \"{shown}\" USER makes it (package apache2-utils), or a line \"USER:$(openssl passwd -6)\""
            ),
        ));
    } else if has_no_user(&path) {
        found.push(Finding::new(
            cx.d.args_span(),
            format!("\"{shown}\" has no line \"USER:HASH\": no one gets in"),
            format!("htpasswd \"{shown}\" USER adds one (package apache2-utils)"),
        ));
    }
}

/// Bytes in which a user would be found: more is no file of comments alone.
const LARGEST: u64 = 1 << 20;

/// Whether a password file is readable but contains no user.
fn has_no_user(path: &Path) -> bool {
    // What a program writes to a FIFO is not read for this.
    if !path.is_file() {
        return false;
    }
    let is_user = |line: &[u8]| !line.starts_with(b"#") && memchr::memchr(b':', line).is_some_and(|at| at > 0);
    open::read(path, LARGEST).is_ok_and(|text| !text.split(|byte| *byte == b'\n').any(is_user))
}

fn nothing_listened_on(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("http") && !cx.children().iter().any(|d| d.name.is("server")) {
        found.push(Finding::new(
            cx.d.name.span,
            "no listener: there is no server in http",
            "write one, as in: server { listen 8080; root /srv/www; }",
        ));
    }
}

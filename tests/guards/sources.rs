//! Rules that the source text keeps: who may use whom, where `unsafe` may stand, what each file begins with.

use std::fs;
use std::path::{Path, PathBuf};
use webserv::config::context::Contexts;
use webserv::config::registry;
use webserv::config::registry::Definition;

/// Each module uses only those before it.
const LAYERS: [&str; 15] = [
    "sys", "util", "io", "http", "tls", "acme", "config", "route", "services", "exchange", "conn", "server", "privsep",
    "explain", "tools",
];

/// Lines of a file that are not blank, its tests with the rest.
const LINES: usize = 500;
/// Columns of a line of comment.
const COLUMNS: usize = 120;
/// Files that are one table, which is as long as it is.
const TABLES: [&str; 1] = ["config/known.rs"];

pub struct Source {
    /// Below `src/`.
    pub path: String,
    /// Without tests.
    pub text: String,
}

/// Every file of the crate but its tests.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut dirs) = (Vec::new(), vec![root.clone()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("src is readable") {
            let path: PathBuf = entry.expect("src is readable").path();
            let name = path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
            if path.is_dir() {
                dirs.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                found.push(Source { path: name, text });
            }
        }
    }
    // Files that only a test build has: named after `#[cfg(test)]`.
    let tests: Vec<String> = found.iter().flat_map(test_modules).collect();
    found.retain(|source| !tests.iter().any(|test| source.path.starts_with(test.as_str())));
    for source in &mut found {
        source.text = without_tests(&source.text);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// Paths of the modules that a file declares for tests, without `.rs`.
fn test_modules(source: &Source) -> Vec<String> {
    let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
    let (mut found, mut test, mut at) = (Vec::new(), false, None);
    for line in source.text.lines() {
        let line = line.trim();
        if line == "#[cfg(test)]" {
            test = true;
        } else if let Some(path) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            at = Some(path.trim_end_matches(".rs").to_owned());
        } else {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'))
                && test
            {
                let parent = source.path.rfind('/').map_or("", |slash| &source.path[..=slash]);
                found.push(at.map_or_else(|| format!("{stem}/{name}"), |path| format!("{parent}{path}")));
            }
            (test, at) = (false, None);
        }
    }
    found
}

/// The text up to its unit tests, which stand at the end.
fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].to_owned()
}

/// The lines with their numbers, comments taken off.
pub fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source.text.lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

fn report(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn each_module_uses_only_those_before_it() {
    let mut found = Vec::new();
    for source in sources() {
        let top = source.path.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = LAYERS.iter().position(|layer| *layer == top) else {
            assert!(
                ["main", "cli", "notes", "config_source", "share", "lib"].contains(&top),
                "{top} has no place among the layers"
            );
            continue;
        };
        for (number, line) in code(&source) {
            for rest in line.split("crate::").skip(1) {
                let names = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap_or_default());
                let many = rest.starts_with('{');
                for name in names.split(',').take(if many { usize::MAX } else { 1 }) {
                    let name = name.trim().split(|c: char| c != '_' && !c.is_alphanumeric()).next().unwrap_or_default();
                    match LAYERS.iter().position(|layer| *layer == name) {
                        Some(other) if other > own => found.push(format!("src/{}:{number}: {name}", source.path)),
                        Some(_) => {}
                        // Constants of the crate.
                        None if name.starts_with(|c: char| c.is_uppercase()) => {}
                        None => found.push(format!("src/{}:{number}: crate::{name} is no layer", source.path)),
                    }
                }
            }
        }
    }
    report("a module uses one that comes after it", &found);
}

#[test]
fn the_pure_layers_touch_neither_files_nor_sockets() {
    let forbidden = ["libc::", "std::net::Tcp", "std::net::Udp", "std::os::", "std::time::", "std::env::", "std::fs"];
    let mut found = Vec::new();
    for source in sources().iter().filter(|s| s.path.starts_with("http/") || s.path.starts_with("route/")) {
        for (number, line) in code(source) {
            if let Some(what) = forbidden.iter().find(|what| line.contains(*what)) {
                found.push(format!("src/{}:{number}: {what}", source.path));
            }
        }
    }
    report("input and output in a layer that has none", &found);
}

#[test]
fn unsafe_stands_in_sys_only_and_says_why_it_is_sound() {
    let mut found = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in code(&source) {
            // nginx's words for the log, and keywords of HTTP's headers, are no code.
            let line = line.replace("\"unsafe URI", "").replace("\"unsafe-", "");
            let word = line.split(|c: char| c != '_' && !c.is_alphanumeric()).any(|word| word == "unsafe");
            if !word {
                continue;
            }
            if !source.path.starts_with("sys/") {
                found.push(format!("src/{}:{number}: outside sys", source.path));
                continue;
            }
            // The comment stands above the statement that holds the block.
            let above = lines[..number].iter().rev().take(4);
            if line.contains("unsafe {") && !above.clone().any(|line| line.contains("// SAFETY:")) {
                found.push(format!("src/{}:{number}: no SAFETY comment", source.path));
            }
        }
    }
    report("unsafe", &found);
}

#[test]
fn nothing_panics_but_for_a_broken_invariant_and_nothing_starts_a_thread_or_sleeps() {
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in code(&source) {
            for what in
                // The last four panic when the reader is gone: see io::console.
                [
                    ".unwrap()",
                    "panic!(",
                    "todo!(",
                    "unimplemented!(",
                    "unreachable!()",
                    "std::thread::",
                    "dbg!(",
                    "print!(",
                    "println!(",
                    "eprint!(",
                    "eprintln!(",
                ]
            {
                if line.contains(what) {
                    found.push(format!("src/{}:{number}: {what}", source.path));
                }
            }
        }
    }
    report("not in a server", &found);
}

/// Where others may write, a FIFO may take the place of a file: opening it waits for ever. io::open does not.
#[test]
fn files_are_read_by_the_one_door_that_never_waits() {
    // Commands run by hand, the kernel's own files, and directories.
    const EXEMPT: [&str; 9] = [
        "sys/",
        "explain/",
        "main.rs",
        "share.rs",
        "tools/sign.rs",
        "tools/advice.rs",
        "services/boot.rs",
        "io/replace.rs",
        "server/local_certificates.rs",
    ];
    let is_of_the_system = |line: &str| ["\"/proc/", "\"/etc/", "(PATH)"].iter().any(|path| line.contains(path));
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !EXEMPT.iter().any(|path| source.path.starts_with(path))) {
        for (number, line) in code(source).filter(|(_, line)| !is_of_the_system(line)) {
            for what in ["fs::read(", "fs::read_to_string(", "File::open("] {
                let is_whole = |at: usize| !line[..at].ends_with(char::is_alphanumeric);
                if line.match_indices(what).any(|(at, _)| is_whole(at)) {
                    found.push(format!("src/{}:{number}: {what}", source.path));
                }
            }
        }
    }
    report("a file is read that may be a FIFO", &found);
}

/// Everything else is handed the time of its turn, so that tests and the simulation can set it.
#[test]
fn clocks_are_read_in_one_place() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.path != "sys/clock.rs") {
        for (number, line) in code(source) {
            if ["SystemTime::now", "Instant::now"].iter().any(|clock| line.contains(clock)) {
                found.push(format!("src/{}:{number}", source.path));
            }
        }
    }
    report("a clock is read outside sys::clock", &found);
}

/// Every file of Rust below a directory of the repository, tests with the rest.
fn below(directory: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut open) = (Vec::new(), vec![root.join(directory)]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a directory of sources is readable") {
            let path = entry.expect("a directory of sources is readable").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root).expect("below the repository").to_string_lossy().into_owned();
                found.push(Source { path: name, text: fs::read_to_string(&path).expect("source is text") });
            }
        }
    }
    found
}

#[test]
fn every_file_says_what_lives_there_and_stays_short() {
    let mut found = Vec::new();
    let files: Vec<Source> = ["src", "tests"].into_iter().flat_map(below).collect();
    assert!(files.len() > 500, "the sources were not found: {}", files.len());
    for source in files {
        if !source.text.starts_with("//! ") && !source.path.starts_with("tests/fuzz/") {
            found.push(format!("{} does not open with //!", source.path));
        }
        let lines = source.text.lines().filter(|line| !line.trim().is_empty()).count();
        let is_table = TABLES.iter().any(|table| source.path == format!("src/{table}"));
        if lines > LINES && !is_table {
            found.push(format!("{} has {lines} lines", source.path));
        }
    }
    report("files", &found);
}

/// As rustfmt wraps code (`max_width`); it leaves comments as they are. Rows of tables cannot be wrapped.
#[test]
fn comments_are_not_longer_than_a_line_of_code() {
    let mut found = Vec::new();
    for source in ["src", "tests"].into_iter().flat_map(below) {
        for (at, line) in source.text.lines().enumerate() {
            let comment = line.trim_start();
            if comment.starts_with("//") && !comment.starts_with("//! |") && line.chars().count() > COLUMNS {
                found.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    report("comments of more than 120 columns", &found);
}

#[test]
fn the_map_of_the_crate_leads_to_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let map = fs::read_to_string(root.join("lib.rs")).expect("src/lib.rs");
    let (mut found, mut ways) = (Vec::new(), 0);
    let words = map.lines().filter(|line| line.starts_with("//!")).flat_map(|line| line.split('`').skip(1).step_by(2));
    for word in words {
        let names: Vec<&str> = word.split("::").collect();
        let is_there = match names[..] {
            _ if word.ends_with(".rs") && !word.starts_with("tests/") => root.join(word).is_file(),
            [_] => continue,
            // A module, or an item of one.
            _ => (1..=names.len()).rev().any(|most| {
                let (module, item) = names.split_at(most);
                let path = root.join(module.join("/"));
                let text = [path.with_extension("rs"), path.join("mod.rs")]
                    .into_iter()
                    .find_map(|p| fs::read_to_string(p).ok());
                text.is_some_and(|text| item.first().is_none_or(|name| text.contains(&format!(" {name}"))))
            }),
        };
        ways += 1;
        if !is_there {
            found.push(format!("src/lib.rs: {word}"));
        }
    }
    assert!(ways > 30, "the map was not found");
    report("it leads nowhere", &found);
}

/// Types whose variants stand behind a seam, and the files that may name them. All others ask by a function what they
/// need to know, so that a further variant is a change in these files only.
const SEAMS: [(&str, &[&str], &[&str]); 2] = [
    ("Transport", &["Plain", "Tls", "Scrambled", "Stream"], &["conn/transport/"]),
    (
        "Protocol",
        &["Http1", "FastCgi", "Scgi", "Uwsgi", "Cgi", "Tunnel"],
        &[
            "config/",
            "exchange/handlers/upstream/protocol.rs",
            "exchange/handlers/upstream/gateway.rs",
            "exchange/handlers/upstream/cgi.rs",
            "exchange/handlers/upstream/executed.rs",
        ],
    ),
];

#[test]
fn transports_and_upstream_protocols_are_told_apart_behind_their_seams_only() {
    let (mut found, mut known) = (Vec::new(), 0);
    for source in sources() {
        for (number, line) in code(&source) {
            for (name, variants, places) in SEAMS {
                let names_one = variants.iter().any(|variant| {
                    let path = format!("{name}::{variant}");
                    line.match_indices(&path).any(|(at, _)| {
                        let is_name = |c: char| c.is_alphanumeric() || c == '_';
                        let (before, after) = (&line[..at], &line[at + path.len()..]);
                        !before.ends_with(is_name) && !after.starts_with(is_name)
                    })
                });
                if names_one && places.iter().any(|place| source.path.starts_with(place)) {
                    known += 1;
                } else if names_one {
                    found.push(format!("src/{}:{number}: {name}", source.path));
                }
            }
        }
    }
    assert!(known > 50, "the variants were not found: {known}");
    report("a variant is named outside its seam", &found);
}

/// Line ends of other languages: HTML and JSON as nginx writes them, the language server's protocol, files of Windows.
const OTHER_TEXT: [&str; 5] = [
    "exchange/handlers/listing/mod.rs",
    "exchange/handlers/listing/nginx.rs",
    "exchange/handlers/special.rs",
    "tools/format.rs",
    "tools/lsp.rs",
];

#[test]
fn the_text_of_the_protocol_is_made_in_http_only() {
    let forbidden = ["\\r\\n", "Connection: ", "Transfer-Encoding: ", "Content-Length: ", "{:x}\\r"];
    let mut found = Vec::new();
    for source in sources() {
        if source.path.starts_with("http/") || OTHER_TEXT.contains(&source.path.as_str()) {
            continue;
        }
        for (number, line) in code(&source) {
            if let Some(what) = forbidden.iter().find(|what| line.contains(*what)) {
                found.push(format!("src/{}:{number}: {what}", source.path));
            }
        }
    }
    report("text of HTTP outside http/", &found);
}

/// Files of `services`, `exchange` and `conn` that know HTTP/1, and why, beside those of `conn/http1`. All others see
/// requests, responses and bodies as data of `http`, the same for HTTP/2 and for every protocol of upstreams.
const KNOW_HTTP1: [(&str, &str); 2] = [
    ("exchange/send_queue/writer.rs", "the seam: the encoder of HTTP/1 writes straight into the queue"),
    ("exchange/handlers/upstream/http1.rs", "requests to upstreams that speak HTTP/1"),
];

#[test]
fn exchanges_and_connections_see_requests_as_no_protocols() {
    let (mut found, mut known) = (Vec::new(), Vec::new());
    let is_held = |path: &str| {
        let is_below = |folder: &str| path.starts_with(folder);
        ["services/", "exchange/", "conn/"].into_iter().any(is_below) && !is_below("conn/http1/")
    };
    for source in sources().iter().filter(|source| is_held(&source.path)) {
        let lines: Vec<usize> =
            code(source).filter(|(_, line)| line.contains("h1::")).map(|(number, _)| number).collect();
        match KNOW_HTTP1.iter().find(|(path, _)| *path == source.path) {
            Some((path, _)) if !lines.is_empty() => known.push(*path),
            _ => found.extend(lines.iter().map(|number| format!("src/{}:{number}", source.path))),
        }
    }
    report("HTTP/1 outside its files", &found);
    let gone: Vec<String> =
        KNOW_HTTP1.iter().map(|(path, _)| (*path).to_owned()).filter(|path| !known.contains(&path.as_str())).collect();
    report("these know HTTP/1 no more: take them off the list", &gone);
}

/// One request at a time: which protocol drives it is not known there.
#[test]
fn requests_are_read_and_answered_by_no_protocols() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("conn/request/")) {
        let names = |line: &str| line.contains("http1") || line.contains("http2");
        let lines = code(source).filter(|(_, line)| names(line));
        found.extend(lines.map(|(number, line)| format!("src/{}:{number}: {}", source.path, line.trim())));
    }
    report("conn/request names a protocol", &found);
}

/// What reads a configuration, and settings must not know.
const READERS: [&str; 9] = [
    "config::directives",
    "config::registry",
    "config::row",
    "config::build",
    "config::fault",
    "config::syntax",
    "config::known",
    "config::resolve",
    "config::argument",
];

#[test]
fn settings_are_data_that_know_no_directive_and_parse_nothing() {
    let (mut found, mut files) = (Vec::new(), 0);
    for source in sources().iter().filter(|source| source.path.starts_with("config/settings/")) {
        files += 1;
        for (number, line) in code(source) {
            let names_directive = ["_pass\"", "_buffers\"", "_size\""].iter().any(|end| line.contains(end));
            let parses = line.contains("fn parse") || line.contains("::parse");
            if names_directive || parses || READERS.iter().any(|reader| line.contains(reader)) {
                found.push(format!("src/{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(files > 30, "the settings were not found: {files}");
    report("settings that are more than data", &found);
}

#[test]
fn every_directive_is_in_the_manual_and_the_readme_promises_no_other() {
    let mut found = Vec::new();
    let manual = registry::reference(registry::Markup::Markdown);
    for row in registry::rows() {
        if !manual.contains(&format!("### `{}`\n", row.name)) || !manual.contains(row.doc) || row.doc.is_empty() {
            found.push(format!("{} is not in the manual", row.name));
        }
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(page).expect("README.md");
    let rows = readme.lines().filter(|line| line.starts_with("| **same as nginx**") || line.starts_with("| **ours**"));
    let mut promised = 0;
    for word in rows.flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let name = word.split(' ').next().unwrap_or_default();
        if name.ends_with('*') {
            continue;
        }
        promised += 1;
        match registry::find(name, Contexts::ANY) {
            Some(Definition::Row(_)) => {}
            _ => found.push(format!("README.md promises {name}")),
        }
    }
    assert!(promised > 30, "the table was not found");
    report("directives", &found);
}

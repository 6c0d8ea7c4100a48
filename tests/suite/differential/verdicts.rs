//! What `-t` says of configurations, right and wrong: nginx's verdict, and where it is `emerg` or `warn` nginx's words.
//!
//! The snippets stand in `tests/differential/*.verdicts`, one under another, each below a line that says where it is
//! placed: `--- main`, `--- http`, `--- server` or `--- location`, with a reason behind it when the verdicts differ on
//! purpose. `--- main~` and the like: the same verdict in words of our own.

use crate::harness::{Setup, skip_on_nginx};
use crate::real_confs::oracle;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

struct Snippet {
    place: String,
    /// Our own words.
    reworded: bool,
    differs: Option<String>,
    text: String,
}

fn parse(text: &str) -> Vec<Snippet> {
    let mut found: Vec<Snippet> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("--- ") {
            let (place, reason) = head.split_once(' ').unwrap_or((head, ""));
            found.push(Snippet {
                place: place.trim_end_matches('~').to_owned(),
                reworded: place.ends_with('~'),
                differs: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
                text: String::new(),
            });
        } else if let Some(snippet) = found.last_mut() {
            snippet.text.push_str(line);
            snippet.text.push('\n');
        }
    }
    found
}

fn whole(snippet: &Snippet) -> String {
    let text = snippet.text.replace("\\r", "\r").replace("\\xEF\\xBB\\xBF", "\u{feff}").replace("\\xZZ", "\u{1}");
    let http = |inner: &str| format!("events {{ }}\nhttp {{\n{inner}}}\n");
    match snippet.place.as_str() {
        "main" => text,
        "http" => http(&text),
        "server" => http(&format!("server {{\nlisten 18080;\n{text}}}\n")),
        "location" => http(&format!("server {{\nlisten 18080;\nlocation / {{\n{text}}}\n}}\n")),
        place => panic!("no such place: {place}"),
    }
}

/// The verdict (`ok`, `warn` or `emerg`) and the lines from `warn` up, sorted, without what is the server's own.
fn verdict(binary: &Path, dir: &Path, file: &str, text: &str) -> (String, Vec<String>) {
    fs::write(dir.join(file), text).expect("our own directory");
    let mut command = Command::new(binary);
    command.arg("-t").arg("-p").arg(dir).arg("-c").arg(dir.join(file)).arg("-e").arg(dir.join("logs/error.log"));
    command.arg("-g").arg("pid logs/test.pid;").env_remove("NGINX");
    let out = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&out.stderr).replace(&*dir.to_string_lossy(), "DIR");
    let mut lines: Vec<String> = said
        .lines()
        .filter(|line| line.contains("[emerg]") || line.contains("[warn]"))
        // What `webserv lint` adds, nginx has not.
        .filter(|line| !line.contains(" [W") && !line.contains("no listener"))
        .filter(|line| !line.contains("nginx would start no worker"))
        .map(|line| line.split_once(": ").map_or(line, |(_, rest)| rest).to_owned())
        .collect();
    lines.sort();
    let verdict = match (out.status.success(), lines.is_empty()) {
        (true, true) => "ok",
        (true, false) => "warn",
        (false, _) => "emerg",
    };
    (verdict.to_owned(), lines)
}

fn compare(file: &str) {
    if skip_on_nginx("both servers are started here") {
        return;
    }
    let Some(nginx) = oracle() else {
        let _ = writeln!(std::io::stderr(), "skipped: {file}: no nginx to compare with (WEBSERV_ORACLE)");
        return;
    };
    let setup = Setup::full("")
        .file("conf/one.inc", "set $one 1;\n")
        .file("conf/many/a.inc", "set $a 1;\n")
        .file("conf/many/b.inc", "set $b 1;\n")
        .file("conf/types.inc", "text/x x;\n")
        .file("conf/broken.inc", "set $a 1\n")
        .file("conf/empty.inc", "");
    let text = super::read(file);
    let (mut different, mut count) = (Vec::new(), 0);
    for snippet in parse(&text) {
        count += 1;
        let text = whole(&snippet);
        let ours = verdict(Path::new(env!("CARGO_BIN_EXE_webserv")), setup.dir(), "conf/test.conf", &text);
        let theirs = verdict(&nginx, setup.dir(), "conf/test.conf", &text);
        // Every error is reported here, and nginx stops at the first.
        let same_words = snippet.reworded
            || theirs.1.iter().all(|line| {
                ours.1.iter().any(|own| {
                    own.strip_prefix(line.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(" in "))
                })
            });
        let same = ours.0 == theirs.0 && same_words;
        let shown = format!(
            "--- {}\n{}webserv: {} {:#?}\nnginx: {} {:#?}",
            snippet.place, snippet.text, ours.0, ours.1, theirs.0, theirs.1
        );
        match &snippet.differs {
            None if !same => different.push(shown),
            Some(reason) if same => {
                different.push(format!("no longer differs ({reason}): strike out the mark\n{shown}"))
            }
            _ => {}
        }
    }
    println!("{file}: {count} configurations");
    assert!(different.is_empty(), "{file}: {} of {count} differ:\n{}", different.len(), different.join("\n\n"));
}

#[test]
fn verdicts_on_configurations() {
    compare("configurations.verdicts");
}

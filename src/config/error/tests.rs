//! Snapshots of messages as an admin sees them.

use super::*;
use crate::config::ast::FileId;
use crate::config::load::{LoadOptions, Loaded, load_text};

fn file(text: &[u8]) -> Loaded {
    load_text("/etc/x.conf", text, &LoadOptions::default())
}

fn span(start: usize, end: usize) -> Span {
    Span::new(FileId(0), start as u32, end as u32)
}

#[test]
fn a_message_is_drawn_with_its_line() {
    let text = "http {\n    rot /var/www;\n}\n";
    let at = text.find("rot").expect("the text holds it");
    let error = Diagnostic::emerg(span(at, at + 3), "unknown directive \"rot\"")
        .label("not a directive")
        .help("did you mean `root`?")
        .note(span(0, 4), "inside this block")
        .note(None, "names are written in lower case");
    assert_eq!(
        error.render(&file(text.as_bytes()).sources, "webserv"),
        "webserv: [emerg] unknown directive \"rot\" in /etc/x.conf:2
 --> /etc/x.conf:2:5
  |
2 |     rot /var/www;
  |     ^^^ not a directive
  = help: did you mean `root`?
  = note: inside this block at /etc/x.conf:1
1 | http {
  = note: names are written in lower case
"
    );
}

#[test]
fn the_excerpt_fits_whatever_the_line_holds() {
    let long = format!("{} here {}", "x".repeat(300), "y".repeat(300));
    for (name, line, at, len, text, marks) in [
        ("tabs stay", &b"\troot\ta;"[..], 6, 1, "\troot\ta;", "\t    \t^"),
        ("letters of two bytes are one column", "é ü x;".as_bytes(), 6, 1, "é ü x;", "    ^"),
        ("bytes that are no letters are one each", b"\xff\xfe x;", 3, 1, "\u{fffd}\u{fffd} x;", "   ^"),
        ("control bytes are dots", b"a\x1b[31m;", 1, 1, "a·[31m;", " ^"),
        ("behind the end", b"a b", 3, 0, "a b", "   ^"),
        ("over the end of the line", b"a 'b", 2, 50, "a 'b", "  ^^"),
        ("an empty line", b"", 0, 0, "", "^"),
        ("inside a letter", "é".as_bytes(), 1, 1, "é", "^"),
    ] {
        assert_eq!(excerpt(line, at, len), (text.to_string(), marks.to_string()), "{name}");
    }
    let (text, marks) = excerpt(long.as_bytes(), 301, 4);
    assert_eq!(text, format!("…{} here {}…", "x".repeat(19), "y".repeat(75)));
    assert_eq!(marks, format!(" {}^^^^", " ".repeat(20)));
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let error = Diagnostic::emerg(span(0, 1), "unknown directive \"\x1b[2J\nfake\u{202e}\"").label("\x07").help("\r");
    let text = error.render(&file(b"\x1b[2J;\x9b").sources, "webserv");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert_eq!(error.summary(&file(b"a;").sources), "unknown directive \"?[2J?fake?\" in /etc/x.conf:1");
}

#[test]
fn messages_without_a_place_and_from_the_command_line() {
    let error = Diagnostic::emerg(None, "no \"events\" section in configuration").help("add one");
    assert_eq!(
        error.render(&file(b"").sources, "nginx"),
        "nginx: [emerg] no \"events\" section in configuration\n  = help: add one\n"
    );
    let options = LoadOptions { command_line: Some(b"daemon off".to_vec()), ..LoadOptions::default() };
    let loaded = load_text("/etc/x.conf", b"", &options);
    assert_eq!(
        loaded.diagnostics.render(&loaded.sources, "webserv"),
        "webserv: [emerg] unexpected end of parameter, expecting \";\" in command line
 --> command line:1:11
  |
1 | daemon off
  |           ^ `daemon` is not terminated
"
    );
}

#[test]
fn too_many_messages_are_counted_not_shown() {
    let loaded = file("};\n".repeat(50).as_bytes());
    let mut all = Diagnostics::default();
    for _ in 0..3 {
        all.extend(loaded.diagnostics.clone());
    }
    all.push(Diagnostic::warn(None, "and a warning"));
    assert_eq!((all.errors(), all.iter().count()), (300, Diagnostics::LIMIT + 1));
    let text = all.render(&loaded.sources, "webserv");
    assert!(text.ends_with("\nwebserv: … and 200 more\n"), "{text}");
    assert_eq!(text.matches("[emerg]").count(), Diagnostics::LIMIT);
}

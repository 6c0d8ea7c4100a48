//! Every directive of the table, refused in every way that its row allows: each message stands on the line of the
//! mistake, points at a word of it, and says what would be right.

use crate::config::build::Form;
use crate::config::context::Contexts;
use crate::config::error::{Diagnostic, Severity};
use crate::config::load::{LoadOptions, load_text};
use crate::config::registry;
use crate::config::row::Row;
use std::path::Path;

/// The blocks that lead to a place where the row may stand: what is before the line, and what is after it.
fn around(contexts: Contexts) -> (&'static str, &'static str) {
    const SERVER: &str = "events { }\nhttp {\nserver {\nlisten 127.0.0.1:8080;\n";
    const PLACES: &[(Contexts, &str, &str)] = &[
        (Contexts::LOCATION, "events { }\nhttp {\nserver {\nlisten 127.0.0.1:8080;\nlocation /x {\n", "\n}\n}\n}\n"),
        (Contexts::SERVER, SERVER, "\n}\n}\n"),
        (Contexts::HTTP, "events { }\nhttp {\n", "\n}\n"),
        (Contexts::UPSTREAM, "events { }\nhttp {\nupstream u {\nserver 127.0.0.1:1;\n", "\n}\n}\n"),
        (Contexts::ACME_ISSUER, "events { }\nhttp {\nacme_issuer i {\n", "\nuri https://a.test/;\n}\n}\n"),
        (Contexts::EVENTS, "events {\n", "\n}\nhttp { }\n"),
        (Contexts::MAIN, "", "\nevents { }\nhttp { }\n"),
    ];
    let place = PLACES.iter().find(|(place, ..)| contexts.intersects(*place));
    let (_, before, after) = place.expect("each row may stand in one of these");
    (before, after)
}

/// The errors of one line where it may stand: its place in the line, if it has one, and its help.
fn errors(row: &Row, line: &str) -> Vec<(Option<String>, Diagnostic)> {
    let (before, mut after) = around(row.contexts);
    if row.name == "uri" {
        after = "\n}\n}\n";
    }
    let text = format!("{before}{line}{after}");
    let options = LoadOptions::default();
    let mut loaded = load_text("x.conf", text.as_bytes(), &options);
    let resolved = super::super::resolve(&mut loaded, Path::new("/nowhere"), Form::Webserv, Vec::new(), None);
    let own = before.matches('\n').count() as u32 + 1;
    let errors = resolved.diagnostics.iter().filter(|d| d.severity == Severity::Emerg);
    let placed = errors.map(|d| {
        let span = d.span.filter(|span| loaded.sources.position(*span).line as u32 == own);
        (span.map(|span| String::from_utf8_lossy(loaded.sources.slice(span)).into_owned()), d.clone())
    });
    placed.collect()
}

/// Lines that the row does not take, whatever its values are.
fn misshapen(row: &Row) -> Vec<String> {
    let words = |n: usize| vec!["on"; n].join(" ");
    let line = |n: usize, block: bool| {
        let end = if block { " { }" } else { ";" };
        format!("{} {}", row.name, words(n)).trim_end().to_owned() + end
    };
    let is_block = row.args.is_block();
    let fewest = (0..8).find(|n| row.args.accepts(*n)).unwrap_or(0);
    let mut lines: Vec<String> = (0..8).filter(|n| !row.args.accepts(*n)).take(2).map(|n| line(n, is_block)).collect();
    if let Some(most) = (0..8).rev().find(|n| row.args.accepts(*n)).filter(|most| !row.args.accepts(most + 1)) {
        lines.push(line(most + 1, is_block));
    }
    lines.push(line(fewest, !is_block));
    lines
}

#[test]
fn a_directive_of_a_wrong_shape_is_one_error_with_its_place_and_its_cure() {
    let mut missed = Vec::new();
    for row in registry::rows() {
        for line in misshapen(row) {
            let found = errors(row, &line);
            let is_right = |(place, d): &(Option<String>, Diagnostic)| {
                // Behind the last word, where the brace is missing, or an argument of a block.
                let is_behind = d.message.ends_with("has no opening \"{\"");
                let is_few = line.ends_with('}') && d.message.starts_with("invalid number of arguments");
                place.as_ref().is_some_and(|place| is_few || place.is_empty() == is_behind)
                    && d.help.iter().any(|help| help.contains(row.name))
            };
            if found.len() != 1 || !is_right(&found[0]) {
                let shown: Vec<_> =
                    found.iter().map(|(place, d)| format!("{place:?} {}: {:?}", d.message, d.help)).collect();
                missed.push(format!("{line}\n    {}", shown.join("\n    ")));
            }
        }
    }
    assert!(missed.is_empty(), "{}\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn a_value_that_is_refused_has_its_place_and_its_cure() {
    const WRONG: &[&str] = &["?!", "-1", "maybe", "10MB", "5xs", "a,b", "$", "unix:", "key=value", "\"\"", "~("];
    let mut missed = Vec::new();
    let (mut refused, mut taken) = (0, 0);
    for row in registry::rows().filter(|row| !row.args.is_block()) {
        for count in (1..8).filter(|n| row.args.accepts(*n)).take(3) {
            for wrong in WRONG {
                let line = format!("{} {};", row.name, vec![*wrong; count].join(" "));
                let found = errors(row, &line);
                if found.is_empty() {
                    taken += 1;
                    continue;
                }
                refused += 1;
                let is_right = |(place, d): &(Option<String>, Diagnostic)| {
                    place.as_ref().is_some_and(|place| !place.is_empty()) && !d.help.is_empty()
                };
                if !found.iter().all(is_right) {
                    let shown: Vec<_> =
                        found.iter().map(|(place, d)| format!("{place:?} {}: {:?}", d.message, d.help)).collect();
                    missed.push(format!("{line}\n    {}", shown.join("\n    ")));
                }
            }
        }
    }
    println!("{refused} refused, {taken} taken");
    assert!(missed.is_empty(), "{}\n{}", missed.len(), missed.join("\n"));
}

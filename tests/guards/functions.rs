//! Functions that can be read at a glance. A table is as long as it is: those are named here.

use super::sources::{Source, code, sources};

/// Lines of a function that are neither blank nor a comment, its signature and its last brace with them.
const LINES: usize = 60;

/// Longer ones: the file, the name, why. The list may only shrink.
const TABLES: &[(&str, &str, &str)] = &[
    ("exchange/filters/ssi/parse.rs", "inside", "a state of the parser and a byte an arm"),
    ("exchange/variables/request.rs", "value", "a variable an arm"),
    ("http/header.rs", "of", "a length of names an arm"),
];

/// The name of a function that begins on this line.
fn begins(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    name.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// Each function and its lines. As rustfmt lays them out: the last brace stands below the first letter.
fn functions(source: &Source) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = code(source).map(|(_, line)| line).filter(|line| !line.trim().is_empty()).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = begins(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let ends = |line: &str| {
            let own = line.get(indent..).unwrap_or_default();
            let is_beside = line.len() - line.trim_start().len() == indent;
            is_beside && (own.starts_with('}') || own.ends_with('}') || own.ends_with(';'))
        };
        let length = lines[at..].iter().position(|line| ends(line.trim_end()));
        found.push((name, length.unwrap_or_default() + 1));
    }
    found
}

#[test]
fn no_function_but_a_table_is_longer_than_a_glance() {
    let (mut wrong, mut count, mut long) = (Vec::new(), 0, Vec::new());
    for source in &sources() {
        for (name, lines) in functions(source) {
            count += 1;
            if lines <= LINES {
                continue;
            }
            long.push((source.path.clone(), name.to_owned()));
            if !TABLES.iter().any(|(path, table, _)| *path == source.path && *table == name) {
                wrong.push(format!("src/{}: {name} has {lines} lines", source.path));
            }
        }
    }
    assert!(count > 4000, "the functions were not found: {count}");
    for (path, name, _) in TABLES {
        if !long.iter().any(|(long_path, long_name)| long_path == path && long_name == name) {
            wrong.push(format!("src/{path}: {name} is short now: strike it out here"));
        }
    }
    assert!(
        wrong.is_empty(),
        "functions of more than {LINES} lines, split them by their steps:\n  {}",
        wrong.join("\n  ")
    );
}

#[test]
fn a_functions_lines_are_counted_to_its_last_brace() {
    let body = "        x();\n\n        // Why.\n".repeat(70);
    let text = format!(
        "impl A {{\n    pub const fn short() {{}}\n    fn declared(\n        a: u8,\n    ) -> u8;\n    pub(super) fn \
         long(\n        a: u8,\n    ) -> u8 {{\n{body}    }}\n}}\nfn after() {{\n    y()\n}}\n"
    );
    let source = Source { path: "a.rs".into(), text };
    assert_eq!(functions(&source), [("short", 1), ("declared", 3), ("long", 74), ("after", 3)]);
}

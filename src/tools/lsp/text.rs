//! Positions in a document: the editor's lines and UTF-16 columns, the word under the cursor, the enclosing block.
//! Knows the language's words and braces, but no directives except blocks.

use crate::config::ast::Span;
use crate::config::context::Contexts;
use crate::config::sources::Sources;
use serde_json::{Value, json};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The byte offset of an editor's position; the end of the line if the line is shorter.
pub fn offset_of(text: &str, line: usize, character: usize) -> usize {
    let start = text.split_inclusive('\n').take(line).map(str::len).sum::<usize>();
    let rest = text.get(start..).unwrap_or_default();
    let rest = rest.split('\n').next().unwrap_or_default();
    let mut units = 0;
    for (at, c) in rest.char_indices() {
        if units >= character {
            return start + at;
        }
        units += c.len_utf16();
    }
    start + rest.len()
}

/// Applies one change of `didChange`: to a range of the text, or to all of it.
pub fn change(text: &mut String, change: &Value) {
    let new = change["text"].as_str().unwrap_or_default();
    let place = |end: &str| {
        let number = |name: &str| change["range"][end][name].as_u64().and_then(|n| usize::try_from(n).ok());
        Some(offset_of(text, number("line")?, number("character")?))
    };
    match (place("start"), place("end")) {
        (Some(start), Some(end)) => text.replace_range(start..end.max(start), new),
        _ => new.clone_into(text),
    }
}

/// The editor's range of a span.
pub fn range(span: Span, sources: &Sources) -> Value {
    let bytes = sources.bytes(span.file);
    let [start, end] = [span.start, span.end].map(|at| {
        let (line, character) = position_of(bytes, at as usize);
        json!({"line": line, "character": character})
    });
    json!({"start": start, "end": end})
}

/// Line and column of a byte offset, as editors count.
pub fn position_of(text: &[u8], offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or_default();
    let line = memchr::memchr_iter(b'\n', before).count();
    let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default()).encode_utf16().count();
    (line, column)
}

fn is_word(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, ';' | '{' | '}' | '"' | '\'')
}

/// The word at a byte offset.
pub fn word_at(text: &str, offset: usize) -> &str {
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
    let start = before.char_indices().rev().take_while(|(_, c)| is_word(*c)).last().map_or(offset, |(at, _)| at);
    let end = after.find(|c| !is_word(c)).map_or(text.len(), |at| offset + at);
    text.get(start..end).unwrap_or_default()
}

/// The text before the word at a byte offset.
pub fn before_word(text: &str, offset: usize) -> &str {
    text.get(..offset).unwrap_or(text).trim_end_matches(is_word)
}

/// The variable at a byte offset, with its `$` and without braces; None: there is none.
pub fn variable_at(text: &str, offset: usize) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (before, after) = text.split_at_checked(offset)?;
    // The cursor stands on the `$` or on the brace behind it.
    let (before, after) = match after.strip_prefix("${").or_else(|| after.strip_prefix('$')) {
        Some(rest) => (text.get(..text.len() - rest.len())?, rest),
        None => match after.strip_prefix('{').filter(|_| before.ends_with('$')) {
            Some(rest) => (before, rest),
            None => (before, after),
        },
    };
    let start = before.trim_end_matches(is_name);
    let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
    let name = format!("{}{}", before.get(start.len()..)?, after.get(..end)?);
    let is_variable = start.ends_with('$') || start.ends_with("${");
    (is_variable && !name.is_empty()).then(|| format!("${name}"))
}

/// The block in which a text ends, and whether a directive's name is being typed there. The top level of a bare file
/// counts as `http`.
pub fn context_at(text: &str) -> (Contexts, bool) {
    let mut blocks = vec![Contexts::MAIN.or(Contexts::HTTP)];
    let (mut name, mut words, mut word) = (String::new(), 0, String::new());
    let (mut quote, mut comment) = (None, false);
    for c in text.chars() {
        if comment {
            comment = c != '\n';
            continue;
        }
        if let Some(end) = quote {
            if c == end {
                quote = None;
            }
            continue;
        }
        match c {
            '#' if word.is_empty() => comment = true,
            '"' | '\'' if word.is_empty() => {
                quote = Some(c);
                word.push(c);
            }
            c if is_word(c) => word.push(c),
            c => {
                if !word.is_empty() {
                    if words == 0 {
                        name.clone_from(&word);
                    }
                    words += 1;
                    word.clear();
                }
                match c {
                    '{' => {
                        let outer = blocks.last().copied().unwrap_or(Contexts::MAIN);
                        blocks.push(block(&name, outer));
                        words = 0;
                    }
                    '}' => {
                        if blocks.len() > 1 {
                            blocks.pop();
                        }
                        words = 0;
                    }
                    ';' => words = 0,
                    _ => {}
                }
            }
        }
    }
    (blocks.last().copied().unwrap_or(Contexts::MAIN), words == 0 && !comment && quote.is_none())
}

/// `file:///etc/x%20y` → `/etc/x y`.
pub fn path_of(uri: &str) -> Option<std::ffi::OsString> {
    let mut path = Vec::new();
    crate::http::escape::unescape(uri.strip_prefix("file://")?.as_bytes(), &mut path);
    Some(std::ffi::OsStr::from_bytes(&path).to_owned())
}

/// The `file:` URI of a path, links resolved.
pub fn uri_of(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut uri = b"file://".to_vec();
    crate::http::escape::escape_path(path.as_os_str().as_bytes(), &mut uri);
    String::from_utf8_lossy(&uri).into_owned()
}

/// The context inside a block of this name, for [`context_at`].
fn block(name: &str, outer: Contexts) -> Contexts {
    match name {
        "http" => Contexts::HTTP,
        "server" if outer == Contexts::UPSTREAM => Contexts::UPSTREAM,
        "server" => Contexts::SERVER,
        "location" => Contexts::LOCATION,
        "upstream" => Contexts::UPSTREAM,
        "events" => Contexts::EVENTS,
        "limit_except" => Contexts::LIMIT_EXCEPT,
        "if" if outer == Contexts::SERVER => Contexts::IF_SERVER,
        "if" => Contexts::IF_LOCATION,
        _ => outer,
    }
}

//! Diagnostics for programs and terminals: JSON, one object per line, in rustc's format, so that editors that
//! understand rustc's understand these; colours; a summary.

use crate::config::ast::Span;
use crate::config::context::Contexts;
use crate::config::error::{Diagnostic, Diagnostics, Severity};
use crate::config::registry;
use crate::config::sources::Sources;

/// Each diagnostic as a line of JSON.
pub fn json(diagnostics: &Diagnostics, sources: &Sources, program: &str) -> String {
    diagnostics.iter().map(|diagnostic| one(diagnostic, sources, program)).collect()
}

/// A line of JSON.
pub fn one(diagnostic: &Diagnostic, sources: &Sources, program: &str) -> String {
    object(diagnostic, sources, program) + "\n"
}

fn object(diagnostic: &Diagnostic, sources: &Sources, program: &str) -> String {
    let level = match diagnostic.severity {
        Severity::Emerg => "error",
        Severity::Warn => "warning",
        Severity::Notice => "note",
    };
    let code = diagnostic.code.map_or("null".to_owned(), |code| format!("{{\"code\":{}}}", string(code)));
    let primary = diagnostic.span.map(|at| span(at, sources, true, diagnostic.label.as_deref(), None));
    let mut children = Vec::new();
    if let Some((at, text)) = semicolon(diagnostic, sources) {
        children.push(child("help", "add the `;`", Some(span(at, sources, true, None, Some(text)))));
    }
    for help in &diagnostic.help {
        let replaced = replacement(diagnostic, help, sources);
        let places = replaced.map(|(at, text)| span(at, sources, true, None, Some(&text)));
        children.push(child("help", help, places));
    }
    for (at, note) in &diagnostic.notes {
        children.push(child("note", note, at.map(|at| span(at, sources, true, None, None))));
    }
    format!(
        "{{\"$message_type\":\"diagnostic\",\"message\":{},\"code\":{code},\"level\":\"{level}\",\"spans\":[{}],\
         \"children\":[{}],\"rendered\":{}}}",
        string(&diagnostic.message),
        primary.unwrap_or_default(),
        children.join(","),
        string(&diagnostic.render(sources, program)),
    )
}

fn child(level: &str, message: &str, spans: Option<String>) -> String {
    let (message, spans) = (string(message), spans.unwrap_or_default());
    format!("{{\"message\":{message},\"code\":null,\"level\":\"{level}\",\"spans\":[{spans}],\"children\":[]}}")
}

/// Fixes for a mistake: a title, the span to replace, and the replacement.
pub fn repairs(diagnostic: &Diagnostic, sources: &Sources) -> Vec<(String, Span, String)> {
    let missing = semicolon(diagnostic, sources).map(|(at, text)| ("add the `;`".to_owned(), at, text.to_owned()));
    let helps = diagnostic.help.iter().filter_map(|help| {
        let (at, text) = replacement(diagnostic, help, sources)?;
        let title = match text.split_once('\n') {
            Some((_, added)) => format!("add {}", added.trim_start()),
            None => format!("replace by {text}"),
        };
        Some((title, at, text))
    });
    missing.into_iter().chain(helps).collect()
}

/// The missing `;` and where to insert it; it replaces a comma in its place.
fn semicolon(diagnostic: &Diagnostic, sources: &Sources) -> Option<(Span, &'static str)> {
    let at = diagnostic.span?;
    let is_missing = diagnostic.label.as_ref().is_some_and(|label| label.starts_with("missing `;`"));
    let before = Span::new(at.file, at.start.saturating_sub(1), at.end);
    let place = if sources.slice(before) == b"," { before } else { at };
    (is_missing && at.start == at.end).then_some((place, ";"))
}

/// The verdict of a test, in JSON as in rustc's last line.
pub fn verdict(message: &str) -> String {
    let text = string(message);
    format!(
        "{{\"$message_type\":\"diagnostic\",\"message\":{text},\"code\":null,\"level\":\"failure-note\",\"spans\":[],\
         \"children\":[],\"rendered\":{text}}}\n"
    )
}

/// If a directive is alone on its line: the line, and the directive that the help proposes.
fn whole_line(diagnostic: &Diagnostic, help: &str, sources: &Sources) -> Option<(Span, String)> {
    let at = diagnostic.span?;
    let line = String::from_utf8_lossy(sources.line(at)).into_owned();
    let written = line.trim();
    let is_alone = written.ends_with(';') && written.matches(';').count() == 1 && !written.contains(['{', '#']);
    let meant = help.rsplit_once(": ").map_or(help, |(_, meant)| meant);
    let meant = meant.strip_prefix("write ").unwrap_or(meant);
    // `PATH`, `URL`: placeholders.
    let is_open = |word: &str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    if meant.trim_end_matches(';').split(' ').skip(1).any(is_open) {
        return None;
    }
    let name: String = meant.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
    let is_line = meant.ends_with(';') && meant.matches(';').count() == 1 && meant[name.len()..].starts_with(' ');
    if !is_alone || !is_line || name.is_empty() || help.contains("as in") || meant.contains(['…', '[']) {
        return None;
    }
    let indent = line.len() - line.trim_start().len();
    let start = (at.start as usize).checked_sub(sources.position(at).offset)? + indent;
    let start = u32::try_from(start).ok()?;
    let end = start + u32::try_from(written.len()).ok()?;
    let place = Span::new(at.file, start, end);
    // A directive of another name stands beside the one that is there, unless that is unknown.
    let own = written.split([' ', '\t', ';']).next().unwrap_or_default();
    if own == name || help.starts_with("write") || registry::find(own, Contexts::ANY).is_none() {
        return Some((place, meant.to_owned()));
    }
    let indentation = line.get(..indent).unwrap_or_default();
    help.starts_with("add: ").then(|| (place, format!("{written}\n{indentation}{meant}")))
}

/// A replacement that can be applied as is.
fn replacement(diagnostic: &Diagnostic, help: &str, sources: &Sources) -> Option<(Span, String)> {
    if let Some(rest) = help.strip_prefix("write ")
        && let Some(word) = rest.split([':', ' ']).next().map(|word| word.trim_matches('`'))
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (rest.starts_with('`') || word.bytes().next().is_some_and(|byte| byte.is_ascii_digit()))
        && let Some(at) = diagnostic.span
    {
        return Some((at, word.to_owned()));
    }
    if let Some(quoted) = help.strip_prefix("write it in quotes: ") {
        return Some((diagnostic.rewritten?, quoted.to_owned()));
    }
    let Some(rest) = help.strip_prefix("did you mean ") else { return whole_line(diagnostic, help, sources) };
    let word = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split('?').next()?.trim_matches('`'),
    };
    let at = diagnostic.span?;
    let written = String::from_utf8_lossy(sources.slice(at)).into_owned();
    // `name=value` is one word: in a longer text the place of the mistake is not known.
    if written.contains('=') && !word.contains('=') && written.contains(['"', '\'', ' ', ';']) {
        return None;
    }
    let text = match (written.strip_prefix("${"), written.split_once('=')) {
        (Some(_), _) => format!("${{{}}}", word.trim_start_matches('$')),
        // In `name=value`, either the name or the value was wrong.
        (None, Some((key, value))) if !word.contains('=') => {
            if matches!(key, "zone") {
                format!("{key}={word}")
            } else {
                format!("{word}={value}")
            }
        }
        _ => word.to_owned(),
    };
    (!word.contains(' ')).then_some((at, text))
}

fn span(at: Span, sources: &Sources, primary: bool, label: Option<&str>, replacement: Option<&str>) -> String {
    let (start, end) = (sources.position(at), sources.position(at.after()));
    let optional = |text: Option<&str>| text.map_or("null".to_owned(), string);
    let applicability = replacement.map(|_| "MaybeIncorrect");
    format!(
        "{{\"file_name\":{},\"byte_start\":{},\"byte_end\":{},\"line_start\":{},\"line_end\":{},\"column_start\":{},\
         \"column_end\":{},\"is_primary\":{primary},\"text\":[{{\"text\":{}}}],\"label\":{},\
         \"suggested_replacement\":{},\"suggestion_applicability\":{}}}",
        string(&sources.path(at.file)),
        at.start,
        at.end,
        start.line,
        end.line,
        start.column,
        end.column,
        string(&String::from_utf8_lossy(sources.line(at))),
        optional(label),
        optional(replacement),
        optional(applicability),
    )
}

fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `2 errors, 1 warning`, if there is more than one message.
pub fn summary(diagnostics: &Diagnostics) -> Option<String> {
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let (errors, warnings) = (count(Severity::Emerg), count(Severity::Warn));
    let words = |n: usize, word: &str| match n {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    let parts: Vec<String> = [words(errors, "error"), words(warnings, "warning")].into_iter().flatten().collect();
    (errors + warnings > 1).then(|| parts.join(", "))
}

/// Colours the messages for a terminal.
pub fn paint(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches('\n');
        let start = body.trim_start();
        let colour = if body.contains(": [emerg] ") {
            "1;31"
        } else if body.contains(": [warn] ") {
            "1;33"
        } else if start.starts_with("| ") && start.contains('^') {
            "31"
        } else if start.starts_with("= help:") {
            "36"
        } else if start.starts_with("-->") || start.starts_with("= note:") {
            "34"
        } else {
            ""
        };
        if colour.is_empty() {
            out.push_str(line);
        } else {
            out.push_str(&format!("\x1b[{colour}m{body}\x1b[0m\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{LoadOptions, load_text};

    #[test]
    fn what_is_written_in_quotes_is_replaced_as_a_whole() {
        for (line, replaced, by) in [
            ("if ($uri ~ ^/[a-z]{2}/) { }", "^/[a-z]{2}/)", "\"^/[a-z]{2}/\")"),
            ("location ~ ^/a{2}$ { }", "^/a{2}$", "\"^/a{2}$\""),
            (r"location ~ ^/\\d{4}$ { }", r"^/\\d{4}$", r#""^/\d{4}$""#),
            (r"rewrite ^/\\d{4}$ /x;", r"^/\\d{4}$", r#""^/\d{4}$""#),
            (r"location ~ ^/a\'b{4}$ { }", r"^/a\'b{4}$", r#""^/a'b{4}$""#),
            (r#"location ~ ^/a"b{4}$ { }"#, r#"^/a"b{4}$"#, r#"'^/a"b{4}$'"#),
            ("location ~ ^/a{2 { }", "", ""),
        ] {
            let loaded = load_text("x.conf", line.as_bytes(), &LoadOptions::default());
            let first = loaded.diagnostics.iter().next().expect("a mistake");
            let found = repairs(first, &loaded.sources);
            let of = |at: Span| String::from_utf8_lossy(loaded.sources.slice(at)).into_owned();
            let found: Vec<_> = found.into_iter().map(|(_, at, text)| (of(at), text)).collect();
            let expected: Vec<_> =
                [(replaced.to_owned(), by.to_owned())].into_iter().filter(|(_, by)| !by.is_empty()).collect();
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn a_line_that_is_to_be_added_replaces_none() {
        let loaded = load_text("x.conf", b"  auth_basic x;\n", &LoadOptions::default());
        let at = loaded.directives[0].args[0].span;
        let texts = |help: &str| -> Vec<String> {
            let found = repairs(&Diagnostic::warn(at, "x").help(help), &loaded.sources);
            found.into_iter().map(|(_, _, text)| text).collect()
        };
        let both = "auth_basic x;\n  auth_basic_user_file htpasswd;";
        assert_eq!(texts("add: auth_basic_user_file htpasswd;"), [both]);
        assert!(texts("define it in http: limit_req_zone $uri zone=a:10m rate=1r/s;").is_empty());
        assert_eq!(texts("write auth_basic y;"), ["auth_basic y;"]);
    }

    #[test]
    fn a_word_that_is_meant_does_not_replace_the_name_of_a_parameter_in_a_longer_text() {
        let text = b"add_header A 'same_origin; report-to=b';\nlimit_req zonee=a;\n";
        let loaded = load_text("x.conf", text, &LoadOptions::default());
        let texts = |line: usize, at: usize, help: &str| -> Vec<String> {
            let at = loaded.directives[line].args[at].span;
            let found = repairs(&Diagnostic::warn(at, "x").help(help), &loaded.sources);
            found.into_iter().map(|(_, _, text)| text).collect()
        };
        assert!(texts(0, 1, "did you mean \"same-origin\"?").is_empty());
        assert_eq!(texts(1, 0, "did you mean \"zone\"?"), ["zone=a"]);
    }

    #[test]
    fn a_diagnostic_is_one_line_of_json_with_its_replacement() {
        let loaded = load_text("x.conf", b"rot /srv;\n", &LoadOptions::default());
        let at = loaded.directives[0].name.span;
        let mut all = Diagnostics::default();
        all.push(Diagnostic::emerg(at, "unknown directive \"rot\"").help("did you mean \"root\"?"));
        let text = json(&all, &loaded.sources, "webserv");
        for part in [
            "{\"$message_type\":\"diagnostic\",\"message\":\"unknown directive \\\"rot\\\"\",\"code\":null,\"level\":\"error\"",
            "\"column_start\":1,\"column_end\":4,",
            "\"suggested_replacement\":\"root\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches('\n').count(), 1);
        assert_eq!(summary(&all), None);
        all.push(Diagnostic::warn(None, "x"));
        assert_eq!(summary(&all).as_deref(), Some("1 error, 1 warning"));
    }
}

//! Fragments copied along with a configuration, or split by nginx's syntax: HTML, entities, a shell's `\\`, and a value
//! that contains a `;`.

use super::lexical;
use crate::config::ast::{Directive, Span, Word, written};
use crate::config::context::Contexts;
use crate::config::fault::Fault;
use crate::config::registry;
use crate::config::sources::Sources;
use crate::config::syntax::in_quotes;

/// HTML elements that are often copied along.
const ELEMENTS: [&str; 14] =
    ["br", "p", "pre", "code", "div", "span", "html", "head", "body", "script", "a", "b", "ul", "li"];

/// Directives whose values may contain `;`.
const HOLDS_SIGNS: [&str; 6] =
    ["add_header", "add_trailer", "proxy_set_header", "fastcgi_param", "proxy_cookie_path", "set"];

/// Bytes examined before and after a name.
const EXAMINED_AROUND: usize = 2048;

/// A fragment of markup instead of a name: what it is, and how to fix it.
pub fn of_name(d: &Directive, sources: &Sources, here: Contexts) -> Option<Fault> {
    let name = d.name.str();
    let message = format!("unknown directive \"{name}\"");
    if is_element(&name) {
        let help = format!("`{name}` is HTML that was copied along: remove it");
        return Some(Fault::new(d.name.span, message).help(help));
    }
    if let Some(help) = of_another_text(d, &name) {
        return Some(Fault::new(d.name.span, message).help(help));
    }
    let place = line_of(d, sources);
    let line = sources.slice(place);
    if let Some(entity) = entity_in(line) {
        let (written, meant) = entity;
        let help = format!("`{written}` is HTML for `{meant}`: write {meant}");
        return Some(Fault::new(d.name.span, message).help(help));
    }
    let before = line.get(..d.name.span.start.saturating_sub(place.start) as usize).unwrap_or_default();
    let text = String::from_utf8_lossy(before).into_owned();
    let cut = text.trim_end().strip_suffix(';')?;
    let start = cut.rfind([';', '{', '}']).map_or(0, |at| at + 1);
    let first = cut.get(start..)?.trim();
    let mut words = first.splitn(3, char::is_whitespace);
    let (directive, key, value) = (words.next()?, words.next()?, words.next()?.trim());
    let is_meant = HOLDS_SIGNS.contains(&directive)
        && !value.ends_with(['"', '\''])
        && (name.contains('=') || registry::nearest(&name, here).is_none());
    if !is_meant {
        return None;
    }
    let rest: Vec<_> = d.words().map(Word::str).collect();
    let quote = if value.contains('"') { '\'' } else { '"' };
    let help = format!(
        "the `;` before it ends `{directive}`; a value that contains one needs quotes: {directive} {key} \
         {quote}{value}; {}{quote};",
        rest.join(" ")
    );
    Some(Fault::new(d.name.span, message).label("part of the value before it?").help(help))
}

/// Whether a line begins with a directive whose value may contain a `;`.
pub fn holds_signs(line: &[u8]) -> bool {
    let name = line.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    HOLDS_SIGNS.iter().any(|known| known.as_bytes() == name)
}

/// The help for a copied line number.
pub const LINE_NUMBER: &str = "the number of a line that was copied along: remove it, here and below";

/// An HTTP header line, a line number or a YAML key.
fn of_another_text(d: &Directive, name: &str) -> Option<String> {
    let is_header = name.contains('-')
        && name.split('-').all(|part| part.starts_with(|c: char| c.is_ascii_uppercase()))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':'));
    if is_header && d.block.is_none() {
        let value = written(&d.args);
        let value = in_quotes(if value.is_empty() { "VALUE" } else { &value });
        let header = name.trim_end_matches(':');
        return Some(format!("a header is sent by: add_header {header} {value} always;"));
    }
    let is_number =
        !name.is_empty() && name.trim_end_matches(['.', ':', ')']).bytes().all(|byte| byte.is_ascii_digit());
    let is_directive = |word: &Word| registry::find(&word.str(), Contexts::ANY).is_some();
    // `8080 listen;` has its words in the wrong order.
    let is_line = d.args.len() > 1 || d.block.is_some();
    if is_number && is_line && d.args.first().is_some_and(is_directive) {
        return Some(LINE_NUMBER.into());
    }
    let key = name.strip_suffix(':').filter(|key| !key.is_empty() && registry::find(key, Contexts::ANY).is_none())?;
    key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then(|| {
        "this looks like YAML: here a line is a directive and its values, ended by `;`, and blocks stand in { … }"
            .into()
    })
}

fn is_element(name: &str) -> bool {
    let Some(inside) = name.strip_prefix('<') else { return false };
    let inside = inside.trim_start_matches('/').trim_end_matches('>').trim_end_matches('/');
    let element = inside.split('>').next().unwrap_or_default();
    ELEMENTS.iter().any(|known| known.eq_ignore_ascii_case(element))
}

/// The first HTML entity in a line, and its character.
fn entity_in(line: &[u8]) -> Option<(&'static str, &'static str)> {
    const ENTITIES: [(&str, &str); 8] = [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", " "),
    ];
    ENTITIES.into_iter().find(|(written, _)| memchr::memmem::find(line, written.as_bytes()).is_some())
}

/// The line of a name; if that is very long, only the text around the name. This runs for each unknown name, and a line
/// may contain many.
pub fn line_of(d: &Directive, sources: &Sources) -> Span {
    let Span { file, start, end, .. } = d.name.span;
    let bytes = sources.bytes(file);
    let (name, low) = (start as usize, (start as usize).saturating_sub(EXAMINED_AROUND));
    let before = bytes.get(low..name).unwrap_or_default();
    let from = memchr::memrchr(b'\n', before).map_or(low, |at| low + at + 1);
    let high = (end as usize + EXAMINED_AROUND).min(bytes.len());
    let after = bytes.get(name..high).unwrap_or_default();
    let to = memchr::memchr(b'\n', after).map_or(high, |at| name + at);
    let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span::new(file, at(from), at(to))
}

/// A line continuation of a shell (`\\` at the end of the line).
pub fn continued(d: &Directive) -> Option<(Span, &'static str)> {
    let word = d.args.iter().find(|word| word.bytes().first() == Some(&b'\\') && lexical::goes_on(word.bytes()))?;
    Some((word.span, lexical::GOES_ON))
}

/// The beginning that belongs to this end: `/*` for `*/`.
pub fn begin_of(name: &str) -> Option<&'static str> {
    match name {
        "*/" => Some("/*"),
        "-->" => Some("<!--"),
        "?>" => Some("<?"),
        "```" | "~~~" => Some("```"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{LoadOptions, load_text};

    #[test]
    fn of_a_line_that_is_very_long_only_what_is_near_the_name_is_read() {
        let text = format!("a b;\r\n{}\nc d;", "foo bar; ".repeat(25_000));
        let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        assert_eq!(loaded.directives.len(), 25_002);
        let lines: Vec<Span> = loaded.directives.iter().map(|d| line_of(d, &loaded.sources)).collect();
        for (d, line) in loaded.directives.iter().zip(&lines) {
            let slice = loaded.sources.slice(*line);
            assert!(slice.len() <= 2 * EXAMINED_AROUND + d.name.bytes().len() && !slice.contains(&b'\n'));
            assert!(line.start <= d.name.span.start && line.end >= d.name.span.end);
        }
        assert_eq!(loaded.sources.slice(lines[0]), b"a b;\r");
        assert_eq!(loaded.sources.slice(lines[25_001]), b"c d;");
    }
}

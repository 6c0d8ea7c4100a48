//! What was copied along with a configuration, or torn by a sign of it: HTML, entities, the `\\` of a shell, and a value
//! that its own `;` has cut in two.

use super::lexical;
use crate::config::ast::{Directive, Span, Word};
use crate::config::context::Contexts;
use crate::config::fault::Fault;
use crate::config::registry;
use crate::config::sources::Sources;

/// Elements that come along from a page.
const ELEMENTS: [&str; 14] =
    ["br", "p", "pre", "code", "div", "span", "html", "head", "body", "script", "a", "b", "ul", "li"];

/// Directives whose values hold `;` now and then.
const HOLDS_SIGNS: [&str; 6] =
    ["add_header", "add_trailer", "proxy_set_header", "fastcgi_param", "proxy_cookie_path", "set"];

/// An unknown name that is none: what it is, and what to do.
pub fn of_name(d: &Directive, sources: &Sources, here: Contexts) -> Option<Fault> {
    let name = d.name.str();
    let message = format!("unknown directive \"{name}\"");
    if is_element(&name) {
        let help = format!("`{name}` is HTML that was copied along: remove it");
        return Some(Fault::new(d.name.span, message).help(help));
    }
    let line = sources.slice(line_of(d, sources));
    if let Some(entity) = entity_in(line) {
        let (written, meant) = entity;
        let help = format!("`{written}` is HTML for `{meant}`: write {meant}");
        return Some(Fault::new(d.name.span, message).help(help));
    }
    let before = line.get(..position_in(d, sources)).unwrap_or_default();
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
        "the `;` before it ends `{directive}`; a value that holds one stands in quotes: {directive} {key} \
         {quote}{value}; {}{quote};",
        rest.join(" ")
    );
    Some(Fault::new(d.name.span, message).label("part of the value before it?").help(help))
}

fn is_element(name: &str) -> bool {
    let Some(inside) = name.strip_prefix('<') else { return false };
    let inside = inside.trim_start_matches('/').trim_end_matches('>').trim_end_matches('/');
    let element = inside.split('>').next().unwrap_or_default();
    ELEMENTS.iter().any(|known| known.eq_ignore_ascii_case(element))
}

/// The first entity of HTML in a line, and the sign that it is for.
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

fn position_in(d: &Directive, sources: &Sources) -> usize {
    sources.position(d.name.span).offset
}

/// The line that a directive begins in.
pub fn line_of(d: &Directive, sources: &Sources) -> Span {
    let start = (d.name.span.start as usize).saturating_sub(position_in(d, sources));
    let length = sources.line(d.name.span).len();
    let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span::new(d.name.span.file, at(start), at(start + length))
}

/// The `\\` at the end of a line, by which a shell goes on in the next.
pub fn continued(d: &Directive) -> Option<(Span, &'static str)> {
    let word = d.args.iter().find(|word| word.bytes().first() == Some(&b'\\') && lexical::goes_on(word.bytes()))?;
    Some((word.span, "a directive goes on over lines until its `;`: remove the `\\`"))
}

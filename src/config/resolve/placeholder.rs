//! Recognizes unfilled placeholders of templates, as opposed to HTML text and variables, and variables escaped for a
//! shell.

use crate::config::ast::{Directive, Span, Word};
use crate::config::context::Contexts;
use crate::config::error::Diagnostic;
use crate::config::registry;

/// The first placeholder in a wrong directive, and its text.
pub fn unfilled(d: &Directive) -> Option<(Span, String)> {
    let name = |text: &str| name_of(text).or_else(|| is_enclosed(text).then(|| text.to_owned()));
    let found = d.args.iter().find_map(|word| Some((word.span, name(&word.str())?)));
    found.map(|(span, name)| (span, format!("`{name}` is a placeholder that was not filled in: {FILL}")))
}

/// The help for `${NAME}`: environment variables are not expanded in a configuration.
pub const FILL: &str = "write the value, or have envsubst (or the template's program) make the file";

/// `<%= … %>`, or `${NAME}` in capitals like environment variables, even without its `}`.
pub fn name_of(text: &str) -> Option<String> {
    if text.starts_with("<%") {
        return Some(text.to_owned());
    }
    let from = text.get(text.find("${")?..)?;
    let name = from.trim_start_matches("${").split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    let is_shouted = name.bytes().any(|b| b.is_ascii_uppercase()) && !name.bytes().any(|b| b.is_ascii_lowercase());
    is_shouted.then(|| format!("${{{name}}}"))
}

/// `@PORT@`, `%BACKEND%`, `__NAME__`: a name in capitals between two equal signs.
fn is_enclosed(text: &str) -> bool {
    let Some(sign) = text.chars().next().filter(|sign| ['@', '%', '_'].contains(sign)) else { return false };
    let name = text.trim_matches(sign);
    let least = if sign == '_' { 4 } else { 2 };
    text.ends_with(sign) && text.len() >= name.len() + least && is_in_capitals(name)
}

/// Whether a name is written as those of templates and of the environment are.
pub fn is_in_capitals(name: &str) -> bool {
    name.len() > 1 && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// `<your-domain>`, `<%= name %>`: unless the directive sends text, which may be HTML.
pub fn is_placeholder(d: &Directive, text: &str) -> bool {
    const TAGS: [&str; 10] = ["html", "head", "body", "title", "center", "pre", "div", "span", "script", "style"];
    if text.starts_with("<%") {
        return true;
    }
    let Some(name) = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) else { return false };
    let sends_text = ["return", "add_header", "add_trailer", "set"].iter().any(|name| d.name.is(name));
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || " _-.".contains(c));
    is_name && name.len() > 2 && !sends_text && !TAGS.contains(&&*name.to_ascii_lowercase())
}

/// `\$host`, as required in a shell's here-document: the backslash stays, and the variable is expanded.
pub fn shell_escape(d: &Directive, word: &Word) -> Option<Diagnostic> {
    // This runs for each word, and most have no backslash.
    memchr::memchr(b'\\', word.bytes())?;
    let text = word.str();
    let at = text.find("\\$")?;
    let name: String = text.get(at + 2..)?.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() > 2;
    // In a regex it is a literal `$`.
    let is_regex = ["location", "rewrite", "if", "server_name", "valid_referers"].iter().any(|of| d.name.is(of));
    if !is_name || is_regex || text.starts_with('~') || registry::find(&d.name.str(), Contexts::ANY).is_none() {
        return None;
    }
    let place = word.part(at, at + 2 + name.len());
    let warning = Diagnostic::warn(place, format!("the backslash stays: the value is `\\` and what ${name} holds"));
    Some(warning.help(format!("`$` needs no backslash here: write ${name}")))
}

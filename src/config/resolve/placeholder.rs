//! Placeholders of a template that was not filled in, told from texts of HTML. No message is made here.

use crate::config::ast::Directive;

/// `<your-domain>`, `<%= name %>`: not a text of HTML, which these directives send.
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

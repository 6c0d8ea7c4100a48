//! Tags of a template that was not rendered: `{{ name }}`, `{% if … %}`, `<% … %>`, `<?php … ?>`. A tag at the position
//! of a directive is a statement by itself, without a `;`: what follows it is parsed as usual.

use super::Builder;
use crate::config::ast::{Span, Word};
use crate::config::error::{Diagnostic, PLACEHOLDER};

/// The label of a tag at the position of a directive.
const ALONE: &str = "no directive before it";

impl Builder<'_> {
    /// `{{ name }}` and `{% if … %}`.
    pub(super) fn placeholder(&mut self, at: Span) -> Option<usize> {
        let line = self.rest_of_line(at);
        let close: &[u8] = match line.get(1)? {
            b'{' => b"}}",
            b'%' => b"%}",
            b'#' => b"#}",
            _ => return None,
        };
        let length = memchr::memmem::find(line, close)? + 2;
        // `{{ root /x; }}` is two braces.
        if close == b"}}" && memchr::memchr(b';', line.get(..length)?).is_some() {
            return None;
        }
        let end = at.start as usize + length;
        let written = String::from_utf8_lossy(self.text(self.span(at.start as usize, end))).into_owned();
        let help = format!("`{written}` is {PLACEHOLDER}");
        if !self.words.is_empty() {
            // `{{ host }}:{{ port }}` is one word.
            let end = end + self.rest_of_word(end);
            let span = self.span(at.start as usize, end);
            let error = Diagnostic::emerg(span, "unexpected \"{\"").label("no block belongs here");
            self.errors.push(error.help(help));
            self.words.push(Word::in_quotes(self.text(span), span));
            return Some(end);
        }
        let span = self.span(at.start as usize, end);
        // Report `{% if %}` and `{% endif %}` as one template.
        let is_part = close == b"%}" && self.is_part(span, "`{%");
        if !is_part {
            let error = Diagnostic::emerg(span, "unexpected \"{\"").label(ALONE);
            self.errors.push(error.help(help));
        }
        Some(if is_part { end } else { self.end_of_tag(end) })
    }

    /// `<% if @tls %>` and `<?php … ?>`: as a statement, which ends with the tag, or as a value with a `;` in it.
    pub(super) fn tag_in_angles(&mut self, at: Span) -> Option<usize> {
        let begins = |word: &Word| !word.quoted && matches!(word.bytes(), [b'<', b'%' | b'?', ..]);
        let n = self.words.iter().position(begins).filter(|_| self.too_deep == 0)?;
        let word = self.words.get(n)?;
        let close: &[u8] = match word.bytes() {
            [b'<', b'%', ..] => b"%>",
            b"<?" | b"<?php" | [b'<', b'?', b'=', ..] => b"?>",
            _ => return None,
        };
        let (start, sign) = (word.span.start as usize, word.str().into_owned());
        let mut end = start + memchr::memmem::find(self.rest_of_line(word.span), close)? + close.len();
        // A value whose words are whole is judged as an argument.
        if n > 0 && at.start as usize >= end {
            return None;
        }
        if n > 0 {
            end += self.rest_of_word(end);
        }
        let span = self.span(start, end);
        let written = String::from_utf8_lossy(self.text(span)).into_owned();
        if n > 0 || !self.is_part(span, &format!("`{}", sign.get(..2).unwrap_or_default())) {
            let error = match n {
                0 => Diagnostic::emerg(span, format!("unknown directive \"{sign}\"")),
                _ => Diagnostic::emerg(span, "unexpected \";\"").label("a directive cannot end here"),
            };
            self.errors.push(error.help(format!("`{written}` is {PLACEHOLDER}")));
        }
        self.words.truncate(n);
        self.checked = 0;
        if n > 0 {
            self.words.push(Word::in_quotes(written.as_bytes(), span));
            return Some(end);
        }
        Some(self.end_of_tag(end))
    }

    /// Adds a later tag to the message about the first one, whose help begins with `sign`.
    fn is_part(&mut self, span: Span, sign: &str) -> bool {
        let written = String::from_utf8_lossy(self.text(span)).into_owned();
        let is_tag = |text: &String| text.starts_with(sign) && text.ends_with(PLACEHOLDER);
        let is_statement = |first: &Diagnostic| first.label.as_deref().is_none_or(|label| label == ALONE);
        self.errors.note_where(
            |first| is_statement(first) && first.help.iter().any(is_tag),
            span,
            format!("`{written}` stands"),
        )
    }

    /// How many bytes follow that belong to the word of a tag: up to a space, a quote, `;` or a brace.
    fn rest_of_word(&self, from: usize) -> usize {
        let rest = self.rest_of_line(self.span(from, from));
        let mut at = 0;
        while let Some(byte) = rest.get(at) {
            at += match byte {
                b'{' if rest.get(at + 1) == Some(&b'{') => {
                    let Some(length) = rest.get(at..).and_then(|tag| memchr::memmem::find(tag, b"}}")) else { break };
                    length + 2
                }
                b';' | b'{' | b'}' | b'"' | b'\'' => break,
                byte if byte.is_ascii_whitespace() => break,
                _ => 1,
            };
        }
        at
    }

    /// Where to continue after a tag that replaces a directive: after its `;`, if it has one.
    fn end_of_tag(&self, end: usize) -> usize {
        let rest = self.rest_of_line(self.span(end, end));
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if rest.get(blanks) == Some(&b';') { end + blanks + 1 } else { end }
    }
}

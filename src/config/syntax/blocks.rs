//! The nesting half of the parser: what `;`, `{`, `}` and the end of the file do to the tree.
//!
//! Invariant: whatever is missing or too much, the tree goes on, so that one mistake gives one message.

use super::{Builder, MAX_DEPTH, Open, not_terminated, shown};
use crate::config::ast::{Directive, Span, Word};
use crate::config::error::{Diagnostic, Diagnostics};

/// What always opens a block in `http`.
const BLOCKS: [&[u8]; 9] =
    [b"server", b"location", b"http", b"events", b"upstream", b"types", b"map", b"if", b"limit_except"];

impl Builder<'_> {
    pub(super) fn semicolon(&mut self, at: Span) {
        if self.too_deep > 0 {
            self.words.clear();
        } else if let Some(words) = self.block_without_brace() {
            self.open_without_brace(words, at);
        } else if !self.directive(at) {
            self.errors.push(Diagnostic::emerg(at, "unexpected \";\"").label("no directive before it"));
        }
    }

    /// A statement that begins as a block and goes on in another line lacks its `{`: how many words belong to it.
    fn block_without_brace(&self) -> Option<usize> {
        let name = self.words.first().filter(|name| !name.quoted)?;
        if !BLOCKS.contains(&name.bytes()) || self.command_line {
            return None;
        }
        // In `upstream` a server is a line.
        if self.stack.last().is_some_and(|open| open.name.is("upstream")) {
            return None;
        }
        let mut before = name.span;
        let cut = self.words.iter().skip(1).position(|word| {
            let gap = self.bytes.get(before.end as usize..word.span.start as usize).unwrap_or_default();
            before = word.span;
            memchr::memchr(b'\n', gap).is_some()
        })? + 1;
        let plain = name.is("server") || name.is("http") || name.is("events");
        (plain == (cut == 1)).then_some(cut)
    }

    /// Goes on as if the `{` stood after the first `cut` words.
    fn open_without_brace(&mut self, cut: usize, at: Span) {
        let rest = self.words.split_off(cut);
        let (Some(name), Some(last)) = (self.words.first(), self.words.last()) else { return };
        let (span, end) = (name.span.to(last.span), last.span.after());
        let message = format!("directive \"{}\" has no opening \"{{\"", shown(name));
        self.errors.push(Diagnostic::emerg(span, message).label("missing `{` after this"));
        self.open(end);
        self.words = rest;
        self.directive(at);
    }

    /// Ends the directive whose words were collected; `false` where there are none.
    fn directive(&mut self, close: Span) -> bool {
        let Some((name, args, span)) = self.head() else { return false };
        self.level.push(Directive { name, args, block: None, span, close });
        true
    }

    fn head(&mut self) -> Option<(Word, Vec<Word>, Span)> {
        let last = self.words.last()?.span;
        let mut words = self.words.drain(..);
        let name = words.next()?;
        let args: Vec<Word> = words.collect();
        let span = name.span.to(last);
        Some((name, args, span))
    }

    pub(super) fn open(&mut self, at: Span) {
        if self.too_deep > 0 || self.depth + self.stack.len() >= MAX_DEPTH {
            if self.too_deep == 0 {
                self.errors.push(
                    Diagnostic::emerg(at, format!("blocks are nested deeper than {MAX_DEPTH} levels"))
                        .label("this one is too deep; its inside is not read"),
                );
            }
            self.words.clear();
            self.too_deep += 1;
            return;
        }
        if self.command_line {
            self.errors.push(Diagnostic::emerg(at, "block directives are not supported in -g option"));
            self.words.clear();
            self.too_deep += 1;
            return;
        }
        if self.unquoted.is_none() {
            self.unquoted = self.words.last().and_then(|word| self.quantified(word, at));
        }
        let nameless = self.words.is_empty();
        if nameless {
            let mut error = Diagnostic::emerg(at, "unexpected \"{\"").label("no directive before it");
            let around = (at.start as usize).saturating_sub(1)..at.end as usize + 1;
            if self.bytes.get(around).is_some_and(|around| around.ends_with(b"{{") || around.starts_with(b"{{")) {
                error = error.help("`{{ … }}` is a placeholder of a template that was not filled in");
            } else {
                error = error.help("a block begins with its directive, as in: location / {");
            }
            self.errors.push(error);
            self.words.push(Word::new(b"", at, false));
        }
        let Some((name, args, span)) = self.head() else { return };
        let siblings = std::mem::take(&mut self.level);
        self.stack.push(Open { name, args, span, open: at, siblings, nameless });
    }

    pub(super) fn close(&mut self, at: Span) {
        if self.too_deep > 0 {
            self.words.clear();
            self.too_deep -= 1;
            return;
        }
        if let (Some(name), Some(last)) = (self.words.first(), self.words.last()) {
            let (end, message) = (last.span.after(), not_terminated(name));
            self.errors.push(Diagnostic::emerg(end, message).label("missing `;`"));
            self.directive(end);
        }
        let Some(block) = self.stack.pop() else {
            self.errors.push(Diagnostic::emerg(at, "unexpected \"}\"").label("no block is open here"));
            return;
        };
        let (close_line, open_line) = (indent(self.bytes, at), indent(self.bytes, block.span));
        if let (Some(close), Some(open)) = (close_line, open_line)
            && close < open
            && self.suspect.is_none()
        {
            self.suspect = Some((block.name.clone(), block.open, at));
        }
        let mut inside = std::mem::replace(&mut self.level, block.siblings);
        if !block.nameless {
            inside.shrink_to_fit();
            let Open { name, args, span, .. } = block;
            self.level.push(Directive { name, args, block: Some(inside), span, close: at });
        }
    }

    /// The end of the file.
    pub(super) fn finish(mut self) -> (Vec<Directive>, Diagnostics) {
        let end = self.span(self.bytes.len(), self.bytes.len());
        if let (Some(name), Some(last)) = (self.words.first(), self.words.last()) {
            let after = last.span.after();
            let message = if self.command_line {
                "unexpected end of parameter, expecting \";\""
            } else {
                "unexpected end of file, expecting \";\" or \"}\""
            };
            self.errors.push(Diagnostic::emerg(after, message).label(format!("`{}` is not terminated", shown(name))));
            self.directive(after);
        }
        if !self.stack.is_empty() {
            self.missing_close();
        }
        while let Some(block) = self.stack.pop() {
            let inside = std::mem::replace(&mut self.level, block.siblings);
            let Open { name, args, span, nameless, .. } = block;
            if !nameless {
                self.level.push(Directive { name, args, block: Some(inside), span, close: end });
            }
        }
        self.level.shrink_to_fit();
        (self.level, self.errors)
    }

    /// The whole of a word as it was meant, where what the brace `at` opens reads like a quantifier: `^/\d{4}/`.
    fn quantified(&self, word: &Word, at: Span) -> Option<Span> {
        if word.quoted || word.span.end != at.start {
            return None;
        }
        let rest = self.bytes.get(at.end as usize..)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b',').count();
        if count == 0 || rest.get(count) != Some(&b'}') {
            return None;
        }
        let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b';';
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        Some(Span::new(word.span.file, word.span.start, at.end + len as u32))
    }

    /// One error for all blocks that are still open: they mostly have one cause.
    fn missing_close(&mut self) {
        let message = "unexpected end of file, expecting \"}\"";
        if let Some(span) = self.unquoted {
            let written = self.bytes.get(span.start as usize..span.end as usize).unwrap_or_default();
            let written = String::from_utf8_lossy(written);
            let error = Diagnostic::emerg(span, message).label("the `{` in this regex opens a block: it needs quotes");
            return self.errors.push(error.help(format!("write it in quotes: \"{written}\"")));
        }
        let mut error = match &self.suspect {
            Some((name, open, close)) => Diagnostic::emerg(*open, message)
                .label(format!("the block of `{}` opened here probably lacks its `}}`", shown(name)))
                .note(*close, "the indentation says that the `}` which closes it was meant for another block:"),
            None => match self.stack.last() {
                Some(block) => Diagnostic::emerg(block.open, message)
                    .label(format!("the block of `{}` opened here is never closed", shown(&block.name))),
                None => Diagnostic::emerg(None, message),
            },
        };
        let innermost = if self.suspect.is_none() { 1 } else { 0 };
        for block in self.stack.iter().rev().skip(innermost).take(8) {
            error = error.note(block.open, format!("the block of `{}` is open as well:", shown(&block.name)));
        }
        self.errors.push(error);
    }
}

/// The width of the blanks before `span` where it is the first thing on its line.
fn indent(bytes: &[u8], span: Span) -> Option<usize> {
    let before = bytes.get(..span.start as usize)?;
    let line = before.get(memchr::memrchr(b'\n', before).map_or(0, |n| n + 1)..)?;
    let mut width = 0;
    for byte in line {
        match byte {
            b' ' => width += 1,
            b'\t' => width = (width / 8 + 1) * 8,
            _ => return None,
        }
    }
    Some(width)
}

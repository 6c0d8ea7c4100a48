//! The nesting part of the parser: what `;`, `{`, `}` and the end of the file do to the tree.
//!
//! Invariant: if something is missing or surplus, parsing recovers, so that one mistake gives one message.

use super::{BLOCKS, Builder, MAX_DEPTH, Open, not_terminated, shown};
use crate::config::ast::{Directive, Span, Word, written};
use crate::config::error::{Diagnostic, Diagnostics};

/// Characters written by mistake where `{` belongs.
const SIGNS: [&str; 4] = ["(", "[", ":", "｛"];

impl Builder<'_> {
    /// A `;` outside quotes: the words so far are a directive.
    pub(super) fn semicolon(&mut self, at: Span) {
        // Behind a pattern, and nothing follows it: the `;` is the end of that line.
        let is_pattern = self.pattern_end.is_some();
        if self.drop_pattern(at) || is_pattern && self.words.is_empty() {
            return;
        }
        let is_bracket = self.other_bracket();
        if self.too_deep > 0 {
            self.words.clear();
        } else if let Some(words) = self.block_without_brace() {
            self.open_without_brace(words);
            self.directive(at);
        } else if self.semicolon_for_brace(at) || self.semicolon_before_brace(at) {
        } else if !self.directive(at) && !is_bracket {
            let before = self.bytes.get(..at.start as usize).unwrap_or_default().trim_ascii_end();
            let help = match before.last() {
                Some(b'}') => "remove it: the `}` ends the block by itself",
                _ => "remove it: one `;` ends a directive",
            };
            self.errors.push(Diagnostic::emerg(at, "unexpected \";\"").label("no directive before it").help(help));
        }
    }

    /// How many words belong to a statement that begins like a block and continues on the next line: its `{` is
    /// missing.
    fn block_without_brace(&self) -> Option<usize> {
        let name = self.words.first().filter(|name| !name.quoted)?;
        // A full-width brace from an East Asian keyboard.
        if let Some(at) = self.words.iter().position(|word| !word.quoted && word.is("｛")) {
            return (at > 0).then_some(at + 1);
        }
        if !BLOCKS.contains(&name.bytes()) || self.command_line {
            return None;
        }
        // In `upstream`, `server` is a directive without a block.
        if self.stack.last().is_some_and(|open| open.name.is("upstream")) {
            return None;
        }
        if let Some(cut) = self.block_in_one_line() {
            return Some(cut);
        }
        let mut before = name.span;
        let cut = self.words.iter().skip(1).position(|word| {
            let gap = self.bytes.get(before.end as usize..word.span.start as usize).unwrap_or_default();
            before = word.span;
            memchr::memchr(b'\n', gap).is_some()
        })? + 1;
        let plain = ["server", "http", "events", "types"].iter().any(|plain| name.is(plain));
        let is_bracket = |word: &Word| !word.quoted && SIGNS.iter().any(|sign| word.is(sign));
        let bracketed = cut == 2 && self.words.get(1).is_some_and(is_bracket);
        (plain == (cut == 1 || bracketed)).then_some(cut)
    }

    /// `location /a expires 30d; }`: a line that closes one block more than it opens, and has more words than a
    /// location takes.
    fn block_in_one_line(&self) -> Option<usize> {
        let (name, last) = (self.words.first()?, self.words.last()?);
        let has_sign = self.words.get(1).is_some_and(|sign| ["~", "~*", "=", "^~"].iter().any(|known| sign.is(known)));
        let cut = if has_sign { 3 } else { 2 };
        if !name.is("location") || self.words.len() < cut + 2 {
            return None;
        }
        let rest = self.bytes.get(last.span.end as usize..).unwrap_or_default();
        let rest = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len())).unwrap_or_default();
        let before = self.bytes.get(..name.span.start as usize).unwrap_or_default();
        let before = before.get(memchr::memrchr(b'\n', before).map_or(0, |at| at + 1)..).unwrap_or_default();
        let count = |sign: u8| memchr::memchr_iter(sign, before).count() + memchr::memchr_iter(sign, rest).count();
        (count(b'}') > count(b'{')).then_some(cut)
    }

    /// `server;`, `location /a;` before more deeply indented lines: the `;` was written instead of `{`.
    fn semicolon_for_brace(&mut self, at: Span) -> bool {
        let Some((name, args)) = self.words.split_first() else { return false };
        let is_headless = ["server", "http", "events"].iter().any(|plain| name.is(plain));
        let is_block = is_headless && args.is_empty() || name.is("location") && (1..=2).contains(&args.len());
        if name.quoted || !is_block || self.command_line {
            return false;
        }
        let rest = self.bytes.get(at.end as usize..).unwrap_or_default();
        let next = rest.iter().position(|byte| !byte.is_ascii_whitespace());
        let next = next.map(|n| self.span(at.end as usize + n, at.end as usize + n + 1));
        let (here, next) = (indent(self.bytes, name.span), next.and_then(|next| indent(self.bytes, next)));
        if here.is_none() || next <= here {
            return false;
        }
        let message = format!("directive \"{}\" has no opening \"{{\"", shown(name));
        let error = Diagnostic::emerg(at, message).label("`{` opens a block, `;` ends a line");
        self.errors.push(error.help(format!("a block follows in braces: {} {{ … }}", written(&self.words))));
        self.braceless += 1;
        self.open(at);
        true
    }

    /// `location /a; {`: drops the `;`.
    fn semicolon_before_brace(&mut self, at: Span) -> bool {
        let Some(name) = self.words.first().filter(|name| !name.quoted && BLOCKS.contains(&name.bytes())) else {
            return false;
        };
        let rest = self.bytes.get(at.end as usize..).unwrap_or_default();
        let next = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        if next != Some(&b'{') || self.command_line {
            return false;
        }
        let written: Vec<_> = self.words.iter().map(Word::str).collect();
        let help = format!("remove it: {} {{ … }}", written.join(" "));
        let message = format!("directive \"{}\" has no opening \"{{\"", shown(name));
        let label = "this `;` ends the line before its `{`";
        self.errors.push(Diagnostic::emerg(at, message).label(label).help(help));
        true
    }

    /// Continues as if the `{` followed the first `cut` words.
    fn open_without_brace(&mut self, cut: usize) {
        let mut rest = self.words.split_off(cut);
        // Drop a wrong character in its place.
        let sign = self.words.pop_if(|last| cut > 1 && !last.quoted && SIGNS.iter().any(|sign| last.is(sign)));
        let (Some(name), Some(last)) = (self.words.first(), self.words.last()) else { return };
        let end = last.span.after();
        let message = format!("directive \"{}\" has no opening \"{{\"", shown(name));
        let written: Vec<_> = self.words.iter().map(Word::str).collect();
        let mut help = format!("a block follows in braces: {} {{ … }}", written.join(" ").trim_end_matches(':'));
        let looks_alike = sign.as_ref().and_then(|sign| sign.str().chars().next()).filter(|c| !c.is_ascii());
        if let Some(c) = looks_alike {
            help = format!("`{c}` (U+{:04X}) only looks like a brace; {help}", u32::from(c));
        }
        let error = match &sign {
            Some(sign) => Diagnostic::emerg(sign.span, message).label("`{` opens a block"),
            None => Diagnostic::emerg(end, message).label(format!("missing `{{` after `{}`", shown(last))),
        };
        self.errors.push(error.help(help));
        self.braceless += 1;
        self.open(end);
        // An item of a YAML list is not a directive.
        if rest.first().is_some_and(|first| first.is("-")) {
            rest.clear();
        }
        self.words = rest;
    }

    /// A `)` or `]` where a directive begins. It ends a block in place of `}`: after a block without `{`, whose error
    /// covers both, or where a `}` is missing; else it is one too many. Whether there was one.
    fn other_bracket(&mut self) -> bool {
        let is_bracket = |word: &&Word| !word.quoted && (word.is(")") || word.is("]") || word.is("｝"));
        let Some(bracket) = self.words.first().filter(is_bracket).cloned() else { return false };
        if self.braceless == 0 {
            let Some(block) = self.stack.last() else { return false };
            // The line of a table may begin with anything.
            let is_table = ["map", "geo", "types", "split_clients"].iter().any(|name| block.name.is(name));
            if is_table && !self.is_alone(bracket.span) {
                return false;
            }
            let error = Diagnostic::emerg(bracket.span, format!("unexpected \"{}\"", shown(&bracket)));
            if self.has_all_braces(bracket.span) {
                self.errors.push(error.label("no block is open that it could close").help("remove it"));
                self.words.remove(0);
                return true;
            }
            let help = format!("the block of `{}` ends with `}}`", shown(&block.name));
            self.errors.push(error.label("`}` closes a block").help(help).note(block.open, "it begins"));
        }
        let rest = self.words.split_off(1);
        self.words.clear();
        self.close(bracket.span);
        self.words = rest;
        true
    }

    /// Whether the braces behind it close all blocks that are open; those in quotes count as well.
    fn has_all_braces(&self, word: Span) -> bool {
        let (mut open, mut in_comment, mut before) = (self.stack.len(), false, b' ');
        for byte in self.bytes.get(word.end as usize..).unwrap_or_default() {
            match byte {
                b'\n' => in_comment = false,
                b'#' if before.is_ascii_whitespace() => in_comment = true,
                b'{' if !in_comment => open += 1,
                b'}' if !in_comment => open = open.saturating_sub(1),
                _ => {}
            }
            before = *byte;
        }
        open == 0
    }

    /// `include sites/{a,b}.conf;`: a pattern has no braces, and what is in them is no block.
    fn pattern_in_braces(&mut self, at: Span) -> bool {
        let [name, start] = &self.words[..] else { return false };
        if name.quoted || !name.is("include") || start.span.end != at.start || self.command_line || self.too_deep > 0 {
            return false;
        }
        let rest = self.bytes.get(at.end as usize..).unwrap_or_default();
        let Some(length) = end_of_pattern(rest) else { return false };
        let pattern = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
        let Some((inside, end)) = pattern.split_once('}') else { return false };
        let lines: Vec<String> =
            inside.split(',').take(5).map(|part| format!("include {}{}{};", start.str(), part.trim(), end)).collect();
        let error = Diagnostic::emerg(at, not_terminated(name)).label("`{` opens a block: a pattern has none");
        self.errors.push(error.help(format!("a line for each: {}", lines.join(" "))));
        self.words.clear();
        self.pattern_end = Some(at.end as usize + length);
        true
    }

    /// Drops the words of a pattern with braces. True: `at` is still a part of it.
    fn drop_pattern(&mut self, at: Span) -> bool {
        let Some(end) = self.pattern_end else { return false };
        self.words.retain(|word| word.span.start as usize >= end);
        let is_in = (at.start as usize) < end;
        if !is_in {
            self.pattern_end = None;
        }
        is_in
    }

    /// Whether it is the only word on its line, apart from a `;`.
    fn is_alone(&self, word: Span) -> bool {
        let before = self.bytes.get(..word.start as usize).unwrap_or_default();
        let before = before.get(memchr::memrchr(b'\n', before).map_or(0, |n| n + 1)..).unwrap_or_default();
        let after = self.bytes.get(word.end as usize..).unwrap_or_default();
        let after = after.get(..memchr::memchr(b'\n', after).unwrap_or(after.len())).unwrap_or_default();
        before.trim_ascii().is_empty() && matches!(after.trim_ascii(), b"" | b";")
    }

    /// Ends the directive whose words were collected; `false` if there are none.
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

    /// A `{`: the words so far begin a block.
    pub(super) fn open(&mut self, at: Span) {
        if self.drop_pattern(at) {
            return;
        }
        self.other_bracket();
        if self.pattern_in_braces(at) {
            return;
        }
        // `http` alone on its line, before another block on the next line.
        if self.too_deep == 0
            && let Some(cut) = self.block_without_brace()
            && self.words.get(cut).is_some_and(|word| !word.quoted && BLOCKS.contains(&word.bytes()))
        {
            self.open_without_brace(cut);
        }
        if self.too_deep > 0 || self.depth + self.stack.len() >= MAX_DEPTH {
            if self.too_deep == 0 {
                self.errors.push(
                    Diagnostic::emerg(at, format!("blocks are nested deeper than {MAX_DEPTH} levels"))
                        .label("this one is too deep; its contents are not read"),
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
        let nameless = self.words.is_empty();
        if nameless {
            let error = Diagnostic::emerg(at, "unexpected \"{\"").label("no directive before it");
            self.errors.push(error.help("a block begins with its directive, as in: location / {"));
            // `location / {{` with a single `}`.
            let is_second =
                self.bytes.get(..at.start as usize).is_some_and(|text| text.trim_ascii_end().ends_with(b"{"));
            self.braceless += usize::from(is_second);
            self.words.push(Word::new(b"", at));
        }
        let Some((name, args, span)) = self.head() else { return };
        let around = self
            .stack
            .last()
            .filter(|around| ["server", "location", "upstream"].iter().any(|name| around.name.is(name)));
        if let Some(around) = around.filter(|_| name.is("server")) {
            self.crossed.get_or_insert_with(|| (around.name.clone(), around.open, name.span));
        }
        let siblings = std::mem::take(&mut self.level);
        self.stack.push(Open { name, args, span, open: at, siblings, nameless });
    }

    /// `server_tokens off,` before a `}`: one mistake, reported at the comma, which is left out of the word.
    fn comma_for_semicolon(&mut self) -> bool {
        let [name, .., last] = &self.words[..] else { return false };
        let Some(text) = last.bytes().strip_suffix(b",").filter(|text| !text.is_empty() && !last.quoted) else {
            return false;
        };
        let (whole, comma) = (last.part(0, text.len()), last.part(text.len(), text.len() + 1));
        let word = Word::new(text, whole);
        let error = Diagnostic::emerg(comma, not_terminated(name)).label("a `;` belongs here, not a `,`");
        self.errors.push(error);
        self.words.pop();
        self.words.push(word);
        true
    }

    /// A `}`: the innermost block ends.
    pub(super) fn close(&mut self, at: Span) {
        if self.drop_pattern(at) {
            return;
        }
        if self.too_deep > 0 {
            self.words.clear();
            self.too_deep -= 1;
            return;
        }
        self.other_bracket();
        if self.comma_for_semicolon() {
            self.directive(at);
        }
        if let (Some(name), Some(last)) = (self.words.first(), self.words.last()) {
            let (end, message) = (last.span.after(), not_terminated(name));
            match self.block_without_brace() {
                Some(words) => {
                    self.open_without_brace(words);
                    self.directive(end);
                }
                None => {
                    self.errors.push(Diagnostic::emerg(end, message).label("missing `;`"));
                    self.directive(end);
                }
            }
        }
        let Some(block) = self.stack.pop() else { return self.no_block(at) };
        let (close_line, open_line) = (indent(self.bytes, at), indent(self.bytes, block.span));
        if self.surplus.is_none() && (close_line > open_line && open_line.is_some() || self.is_second(at, block.open)) {
            self.surplus = Some(at);
        }
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

    /// Reports a surplus `}`: the one that is indented deeper than the block it closes, or directly follows another.
    fn no_block(&mut self, at: Span) {
        let message = "unexpected \"}\"";
        let error = match self.surplus.take() {
            Some(surplus) => Diagnostic::emerg(surplus, message)
                .label("this brace closes a block too early, or is one too many")
                .note(at, "no block is left for the `}` to close"),
            None => Diagnostic::emerg(at, message).label("no block is open here"),
        };
        self.errors.push(error.help("remove it, or open the block it was meant to close"));
    }

    /// Whether `}` directly follows another one, and closes a block of an earlier line.
    fn is_second(&self, at: Span, open: Span) -> bool {
        let before = self.bytes.get(..at.start as usize).unwrap_or_default();
        let line = before.get(memchr::memrchr(b'\n', before).map_or(0, |n| n + 1)..).unwrap_or_default();
        let first = at.start as usize - line.len();
        line.trim_ascii_end().ends_with(b"}") && (open.start as usize) < first
    }

    /// The end of the file.
    pub(super) fn finish(mut self) -> (Vec<Directive>, Diagnostics) {
        let end = self.span(self.bytes.len(), self.bytes.len());
        self.drop_pattern(end);
        self.other_bracket();
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
        // A block without `{` usually lacks its `}` too.
        if self.stack.len() > self.braceless {
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

    /// Reports one error for all blocks still open: usually they have one cause.
    fn missing_close(&mut self) {
        let message = "unexpected end of file, expecting \"}\"";
        let mut error = match &self.suspect {
            Some((name, open, close)) => Diagnostic::emerg(*open, message)
                .label(format!("the block of `{}` opened here probably lacks its `}}`", shown(name)))
                .note(*close, "the indentation says that the `}` which closes it was meant for another block:"),
            None if self.crossed.is_some() => self.crossed_blocks(message),
            None => match self.stack.last() {
                Some(block) => Diagnostic::emerg(block.open, message)
                    .label(format!("the block of `{}` opened here is never closed", shown(&block.name))),
                None => Diagnostic::emerg(None, message),
            },
        };
        let is_guessed = self.suspect.is_some() || self.crossed.is_some();
        let innermost = if is_guessed { 0 } else { 1 };
        for block in self.stack.iter().rev().skip(innermost).take(8) {
            error = error.note(block.open, format!("the block of `{}` is open as well:", shown(&block.name)));
        }
        self.errors.push(error);
    }
}

impl Builder<'_> {
    /// A server inside another one: the outer one lacks its `}`.
    fn crossed_blocks(&self, message: &str) -> Diagnostic {
        let Some((name, open, next)) = &self.crossed else { return Diagnostic::emerg(None, message) };
        Diagnostic::emerg(*open, message)
            .label(format!("the block of `{}` opened here probably lacks its `}}`", shown(name)))
            .note(*next, "no `server` can be inside it, but one begins")
    }
}

/// The length of what follows the first `{` of a pattern: to a space or `;` behind its braces. None: they are not
/// closed on their line.
fn end_of_pattern(rest: &[u8]) -> Option<usize> {
    let mut depth = 1_usize;
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b';' | b'\n' => return (depth == 0).then_some(at),
            byte if depth == 0 && byte.is_ascii_whitespace() => return Some(at),
            _ => {}
        }
    }
    (depth == 0).then_some(rest.len())
}

/// The indentation of `span`, if it comes first on its line.
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

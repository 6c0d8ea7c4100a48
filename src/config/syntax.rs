//! Parses text into a tree: runs the grammar of `grammar/nginx.pest` and builds directives with an explicit stack.
//!
//! Implements nginx's lexical rules (`ngx_conf_read_token`) and knows no directive by name. Invariants: every input
//! results in a tree and a list of diagnostics; work is linear in the input, memory besides the tree is bounded by the
//! longest statement; nothing recurses on input. What bounds a step without a checkpoint: the longest word
//! ([`LONGEST`], some 5 ms).

use std::borrow::Cow;

use pest::Parser;
use pest_derive::Parser;

use super::ast::{Directive, FileId, Span, Word};
use super::error::{Diagnostic, Diagnostics};
use super::fault::Fault;
use crate::util::{byte_order_mark, checkpoint};

use quoting::unescape;
pub use quoting::{as_written, in_quotes, line, quoted};

mod blocks;
mod quoting;
mod slips;
mod tags;
#[cfg(test)]
mod tests;

/// Blocks nested deeper are rejected: real files stay under ten, and passes over the tree recurse.
pub const MAX_DEPTH: usize = 64;

/// Maximum number of errors before parsing a file is abandoned: no one fixes that many one by one.
const MAX_ERRORS: usize = Diagnostics::LIMIT + 1;

/// Bytes passed to the grammar at once: parsing them takes most of a millisecond, without a checkpoint.
const SLICE: usize = 8 * 1024;

/// Bytes from which a word is rejected (nginx: 4096): reading one of 8 MB held up all clients for 37 ms.
const LONGEST: usize = 1 << 20;

/// Directives of `http` that always have a block.
const BLOCKS: [&[u8]; 9] =
    [b"server", b"location", b"http", b"events", b"upstream", b"types", b"map", b"if", b"limit_except"];

#[derive(Parser)]
#[grammar = "../grammar/nginx.pest"]
struct Grammar;

/// Parses one file. `depth`: the number of blocks that enclose it (an included file), counted towards `MAX_DEPTH`.
/// After errors the tree contains what could be parsed, so that later passes can report theirs as well.
pub fn parse(file: FileId, bytes: &[u8], depth: usize) -> (Vec<Directive>, Diagnostics) {
    run(Builder::new(file, bytes, depth))
}

/// Parses the text of `-g`, where nginx allows no blocks and has another message for the end.
pub fn parse_command_line(file: FileId, bytes: &[u8]) -> (Vec<Directive>, Diagnostics) {
    let mut builder = Builder::new(file, bytes, 0);
    builder.command_line = true;
    run(builder)
}

fn run(mut builder: Builder<'_>) -> (Vec<Directive>, Diagnostics) {
    let bytes = builder.bytes;
    let text = same_length_text(bytes);
    // nginx takes the byte order mark as part of the first name; editors on Windows add it unasked.
    let mut at = byte_order_mark::len(bytes);
    let mut size = SLICE;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if builder.errors.errors() >= MAX_ERRORS {
            return (Vec::new(), builder.errors);
        }
        let whole = size >= rest.len();
        let cut = (0..=size).rev().find(|n| rest.is_char_boundary(*n)).unwrap_or(size);
        let slice = if whole { rest } else { rest.get(..cut).unwrap_or(rest) };
        let read = builder.read(slice, at, if whole { Slice::Last } else { Slice::Cut });
        let skipped = if read == at && !whole { comments(slice) } else { 0 };
        if skipped > 0 {
            (at, size) = (at + skipped, SLICE);
            checkpoint::pass_costly();
            continue;
        }
        let word = slice.trim_ascii_start();
        if read == at && word.len() >= LONGEST && !word.starts_with('#') {
            builder.too_long(at + slice.len() - word.len());
            return (Vec::new(), builder.errors);
        }
        // The slice ended within its first word: double it, so that work stays linear.
        size = if read == at { size.saturating_mul(2) } else { SLICE };
        at = read;
        checkpoint::pass_costly();
    }
    builder.finish()
}

/// The length of the whole lines at the beginning that hold nothing but comments.
fn comments(slice: &str) -> usize {
    let mut lines = slice.split_inclusive('\n');
    let is_comment = |line: &&str| {
        let text = line.trim_ascii_start();
        line.ends_with('\n') && (text.is_empty() || text.starts_with('#'))
    };
    lines.by_ref().take_while(is_comment).map(str::len).sum()
}

/// The text in a form that the grammar accepts: pest needs UTF-8, but files in other encodings must load. Each byte
/// that is not part of a character becomes one SUB, which no rule matches; words are later cut from the original.
fn same_length_text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{1a}'));
    }
    Cow::Owned(text)
}

/// Whether more text follows a slice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slice {
    Cut,
    Last,
}

/// A block being parsed.
struct Open {
    name: Word,
    args: Vec<Word>,
    span: Span,
    open: Span,
    /// The directives of the enclosing block so far.
    siblings: Vec<Directive>,
    /// A `{` without a name: its contents are dropped.
    nameless: bool,
}

struct Builder<'a> {
    file: FileId,
    bytes: &'a [u8],
    depth: usize,
    command_line: bool,
    errors: Diagnostics,
    words: Vec<Word>,
    /// Number of words whose quotes were checked.
    checked: usize,
    stack: Vec<Open>,
    level: Vec<Directive>,
    /// Number of open blocks beyond `MAX_DEPTH`.
    too_deep: usize,
    /// The block that probably lacks its `}`: the one that closes it is indented less than the line that opened it.
    suspect: Option<(Word, Span, Span)>,
    /// The first `}` that is probably surplus, in case there is one too many.
    surplus: Option<Span>,
    /// A block still open where another begins that cannot be inside it, and the position of that.
    crossed: Option<(Word, Span, Span)>,
    /// Number of blocks opened although their `{` is missing.
    braceless: usize,
    /// Where an `include`'s pattern with braces ends, until what follows it has come.
    pattern_end: Option<usize>,
}

impl<'a> Builder<'a> {
    fn new(file: FileId, bytes: &'a [u8], depth: usize) -> Builder<'a> {
        Builder {
            file,
            bytes,
            depth,
            command_line: false,
            errors: Diagnostics::default(),
            words: Vec::new(),
            checked: 0,
            stack: Vec::new(),
            level: Vec::new(),
            too_deep: 0,
            suspect: None,
            surplus: None,
            crossed: None,
            braceless: 0,
            pattern_end: None,
        }
    }

    /// Parses the statements in `slice`, which starts at `base`; returns where to continue. If the slice is cut, words
    /// after the last complete statement are left for the next one; of a statement that is longer than the slice, the
    /// last word, which may be cut.
    fn read(&mut self, slice: &str, base: usize, kind: Slice) -> usize {
        let mut done = base;
        let mut kept = self.words.len();
        let mut last = None;
        // The grammar accepts any text.
        let tokens = Grammar::parse(Rule::tokens, slice).into_iter().flatten();
        for token in tokens.flat_map(pest::iterators::Pair::into_inner) {
            let place = token.as_span();
            let span = self.span(base + place.start(), base + place.end());
            match token.as_rule() {
                kind @ (Rule::word | Rule::quoted) => {
                    last = Some((self.words.len(), base + place.start()));
                    self.word(span, kind == Rule::quoted);
                }
                kind @ (Rule::end | Rule::line) => {
                    let span = if kind == Rule::line { self.plain_words(span) } else { span };
                    if let Some(back) = self.stray_quotes() {
                        return back;
                    }
                    if let Some(on) = self.no_end(span) {
                        return on;
                    }
                    self.end(span);
                    done = base + place.end();
                    kept = 0;
                }
                Rule::quote if kind == Slice::Last => {
                    let open = self.span(span.start as usize, self.bytes.len());
                    return self.stray_quotes().unwrap_or_else(|| self.unclosed(open));
                }
                Rule::quote => {
                    last = Some((self.words.len(), base + place.start()));
                    break;
                }
                _ => {}
            }
        }
        match kind {
            Slice::Last => self.stray_quotes().unwrap_or(self.bytes.len()),
            Slice::Cut => {
                let word = last.filter(|(count, _)| done == base && *count > kept);
                let (count, on) = word.unwrap_or((kept, done));
                self.words.truncate(count);
                on
            }
        }
    }

    fn end(&mut self, at: Span) {
        self.checked = 0;
        match self.text(at) {
            b";" => self.semicolon(at),
            b"{" => self.open(at),
            _ => self.close(at),
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        // `load` rejects files of 4 GiB.
        let offset = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span::new(self.file, offset(start), offset(end))
    }

    fn text(&self, span: Span) -> &'a [u8] {
        self.bytes.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    fn word(&mut self, span: Span, quoted: bool) {
        let raw = self.text(span);
        let raw = if quoted { raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default() } else { raw };
        self.words.push(Word { quoted, ..Word::new(&unescape(raw), span) });
    }

    /// Takes the words of a line without quotes and escapes; returns its `;`.
    fn plain_words(&mut self, line: Span) -> Span {
        let (text, end) = (self.text(line), line.end.saturating_sub(1));
        let mut at = 0;
        while let Some(rest) = text.get(at..text.len().saturating_sub(1)).filter(|rest| !rest.is_empty()) {
            let length = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
            if length > 0 {
                self.words.push(Word::new(&rest[..length], line.part(at, at + length)));
            }
            at += length + 1;
        }
        Span { start: end, ..line }
    }

    /// Only a space, `;`, `{` or `)` may follow a closing quote. Returns where to parse again, if a quote has swallowed
    /// lines.
    fn stray_quotes(&mut self) -> Option<usize> {
        let unchecked = std::mem::replace(&mut self.checked, self.words.len());
        for n in unchecked..self.words.len() {
            let Some(word) = self.words.get(n).filter(|word| word.quoted) else { continue };
            let (quoted, after) = (word.span, word.span.end as usize);
            if let None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b'}' | b')') = self.bytes.get(after) {
                continue;
            }
            if let Some(end) = self.closed_by_the_next_quote(quoted) {
                self.words.truncate(n);
                self.missing_quote(quoted);
                self.word_without_end(self.span(quoted.start as usize, end));
                return Some(end);
            }
            if let Some((end, terminator)) = self.end_of_first_line(quoted) {
                self.words.truncate(n);
                self.missing_quote(quoted);
                self.word_without_end(self.span(quoted.start as usize, end));
                self.end(terminator);
                return Some(terminator.end as usize);
            }
            if let Some(end) = self.json_member(quoted).or_else(|| self.quotes_in_quotes(n, quoted)) {
                return Some(end);
            }
            if let Some(end) = self.glued_to_quotes(n, quoted) {
                return Some(end);
            }
        }
        None
    }

    /// A quote that is never closed; returns where to continue.
    fn unclosed(&mut self, span: Span) -> usize {
        self.missing_quote(span);
        let start = span.start as usize;
        if let Some((end, terminator)) = self.end_of_first_line(span) {
            self.word_without_end(self.span(start, end));
            self.end(terminator);
            return terminator.end as usize;
        }
        let length = memchr::memchr(b'\n', self.text(span)).unwrap_or(self.text(span).len());
        self.word_without_end(self.span(start, start + length));
        start + length
    }

    /// Where a quoted word that spans lines by mistake was probably meant to end: at the end of its first line. Returns
    /// the end of the word, and the `;` or `{`.
    fn end_of_first_line(&self, quoted: Span) -> Option<(usize, Span)> {
        memchr::memchr(b'\n', self.text(quoted))?;
        let (word, sign) = self.first_line(quoted);
        sign?;
        let end = quoted.start as usize + word.len();
        Some((end, self.span(end, end + 1)))
    }

    /// The first line of a quoted word up to the `;` or `{` that was meant to end the directive, and that character.
    /// The `}` of its block may follow: `proxy_pass "http://app; }`, `location "/a { return 200; }`.
    fn first_line(&self, quoted: Span) -> (&'a [u8], Option<u8>) {
        let raw = self.text(quoted);
        let line = raw.get(..memchr::memchr(b'\n', raw).unwrap_or(raw.len())).unwrap_or_default().trim_ascii_end();
        let is_block = self.words.first().is_some_and(|name| !name.quoted && BLOCKS.contains(&name.bytes()));
        let brace = line.windows(2).position(|pair| pair == b" {").filter(|_| is_block);
        let closes = |byte: &u8| *byte == b'}' || byte.is_ascii_whitespace();
        let length = line.iter().rposition(|byte| !closes(byte)).map_or(0, |last| last + 1);
        let length = brace.map_or(length, |at| at + 2);
        match line.get(..length).and_then(<[u8]>::split_last) {
            Some((end @ (b';' | b'{'), text)) => (text, Some(*end)),
            _ => (line, None),
        }
    }

    /// The end of the first line of a quoted word whose closing quote is the first character of a later line: that
    /// quote opens another word, and the first line lacks its closing quote.
    fn closed_by_the_next_quote(&self, quoted: Span) -> Option<usize> {
        let raw = self.text(quoted);
        let inside = raw.get(1..raw.len().saturating_sub(1))?;
        let (first, last) = (memchr::memchr(b'\n', inside)?, memchr::memrchr(b'\n', inside)?);
        let blank = inside.get(last..)?.trim_ascii().is_empty();
        let text = inside.get(..first)?.trim_ascii_end();
        let ended = matches!(text.last(), None | Some(b';' | b'{'));
        (blank && !ended).then_some(quoted.start as usize + 1 + text.len())
    }

    fn too_long(&mut self, start: usize) {
        let begun = String::from_utf8_lossy(self.bytes.get(start..start + 10).unwrap_or_default()).into_owned();
        let what = match begun.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                format!("too long parameter, probably missing terminating \"{quote}\" character")
            }
            _ => format!("too long parameter \"{begun}...\" started"),
        };
        let help = "a word may have a megabyte at most; put long texts into a file";
        self.errors.push(Fault::new(self.span(start, start + 10), what).help(help).diagnostic());
    }

    fn missing_quote(&mut self, quoted: Span) {
        let quote = if self.text(quoted).starts_with(b"'") { '\'' } else { '"' };
        let start = quoted.start as usize;
        let (text, sign) = self.first_line(quoted);
        let end = sign.map_or(String::new(), |sign| char::from(sign).to_string());
        let written = String::from_utf8_lossy(text.trim_ascii_end()).into_owned();
        // `'/srv"`: the other quote was meant to close it.
        let other = if quote == '"' { '\'' } else { '"' };
        let written = match written.strip_suffix(other).filter(|rest| rest.len() > 1 && !rest.contains(other)) {
            Some(rest) => rest.to_owned(),
            None => written,
        };
        let error =
            Diagnostic::emerg(self.span(start, start + 1), format!("missing terminating \"{quote}\" character"));
        let error = error.label("the quote opened here is never closed");
        self.errors.push(match written.chars().count() {
            2..60 if end == "{" => error.help(format!("close it: {written}{quote} {end}")),
            2..60 => error.help(format!("close it: {written}{quote}{end}")),
            _ => error.help(format!("write a {quote} where the value ends")),
        });
    }

    fn word_without_end(&mut self, span: Span) {
        let raw = self.text(span);
        self.words.push(Word::in_quotes(&unescape(raw.get(1..).unwrap_or_default().trim_ascii_end()), span));
    }
}

/// The fault of a `;` missing between two directives.
pub fn missing_semicolon(first: &Directive, second: &Directive) -> Fault {
    let after = first.words().last().map_or(first.name.str(), Word::str);
    let fault = Fault::new(first.close, not_terminated(&first.name));
    // A wrong character in its place.
    let sign = after.chars().last().filter(|c| matches!(c, '；' | ':' | ',' | '.' | ';' | '\u{37e}'));
    if let Some(sign) = sign.filter(|sign| !sign.is_ascii() || *sign == ':' || *sign == ',') {
        let plain = after.trim_end_matches(sign);
        let code = if sign.is_ascii() { String::new() } else { format!(" (U+{:04X})", u32::from(sign)) };
        return Fault { span: first.close.part(0, 0), ..fault }
            .label(format!("missing `;` after `{plain}`"))
            .help(format!("a directive ends with `;`, not with `{sign}`{code}: write {plain};"));
    }
    if let Some(inside) = after.strip_suffix(';').filter(|_| first.words().last().is_some_and(|word| word.quoted)) {
        return fault
            .label(format!("missing `;` after `{after}`"))
            .help(format!("the `;` inside the quotes is part of the value: \"{inside}\";"));
    }
    fault
        .label(format!("missing `;` after `{after}`"))
        .help(format!("end it with `;`: `{}` behind it is a directive of its own", second.name.str()))
}

/// nginx's message. If the name is the empty key of a `map`, it is not shown as a directive.
pub fn not_terminated(name: &Word) -> String {
    if name.is_empty() {
        return "the entry of the empty word \"\" is not terminated by \";\"".to_owned();
    }
    format!("directive \"{}\" is not terminated by \";\"", shown(name))
}

/// A name short enough for a message.
fn shown(name: &Word) -> String {
    let text = name.str();
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.into_owned(),
    }
}

/// Where a directive with too many arguments lost its `;`: the first argument that begins a line and is a directive
/// according to `known`. Returns the directive split in two, so that both can be checked; the `close` of the first is
/// the empty span where the `;` is missing. `bytes` is the directive's file.
pub fn split_at_missing_semicolon(
    directive: &Directive,
    bytes: &[u8],
    known: impl Fn(&Word) -> bool,
) -> Option<(Directive, Directive)> {
    let cut = line_starts(directive, bytes, known).next()?;
    let mut pieces = cut_before(directive, &[cut]).into_iter();
    Some((pieces.next()?, pieces.next()?))
}

/// The indices of arguments that begin a line and are directives according to `known`.
pub fn line_starts(directive: &Directive, bytes: &[u8], known: impl Fn(&Word) -> bool) -> impl Iterator<Item = usize> {
    let befores = directive.words().map(|word| word.span.end as usize);
    let begins_line = move |(word, before): (&Word, usize)| {
        let gap = bytes.get(before..word.span.start as usize).unwrap_or_default();
        !word.quoted && memchr::memchr(b'\n', gap).is_some() && known(word)
    };
    directive.args.iter().zip(befores).enumerate().filter(move |(_, pair)| begins_line(*pair)).map(|(at, _)| at)
}

/// Splits a directive before these arguments (ascending indices).
pub fn cut_before(directive: &Directive, cuts: &[usize]) -> Vec<Directive> {
    let words: Vec<&Word> = directive.words().collect();
    // The name is one more word before the arguments.
    let starts = std::iter::once(0).chain(cuts.iter().map(|cut| cut + 1));
    let ends = cuts.iter().map(|cut| cut + 1).chain([words.len()]);
    let piece = |(start, end): (usize, usize)| {
        let [name, args @ ..] = words.get(start..end)? else { return None };
        let is_last = end == words.len();
        let last = args.last().unwrap_or(name).span;
        Some(Directive {
            name: (*name).clone(),
            args: args.iter().map(|word| (*word).clone()).collect(),
            block: if is_last { directive.block.clone() } else { None },
            span: name.span.to(if is_last { directive.span } else { last }),
            close: if is_last { directive.close } else { last.after() },
        })
    };
    starts.zip(ends).filter_map(piece).collect()
}

//! The syntax tree of a configuration file: directives, their words, and their positions.
//!
//! Nothing here knows a directive by name. Invariant: a span refers to bytes of the *original* file, so that messages
//! can show what the admin wrote.

use crate::util::checkpoint;
use crate::util::text::Text;
use std::borrow::Cow;
use std::fmt;

/// Index of a file in [`Sources`](super::sources::Sources).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FileId(pub u32);

/// Bytes `start..end` of one file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Span {
    /// The file that it is in.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// Never reversed: an `end` before `start` becomes `start`.
    pub fn new(file: FileId, start: u32, end: u32) -> Span {
        Span { file, start, end: end.max(start) }
    }

    /// From the start of `self` to the end of `other`; only `self` if they are in different files.
    pub fn to(self, other: Span) -> Span {
        if self.file == other.file { Span::new(self.file, self.start, other.end.max(self.end)) } else { self }
    }

    /// Bytes `from..to` of this span, clamped to it: to point inside a word.
    pub fn part(self, from: usize, to: usize) -> Span {
        let at = |n: usize| self.start.saturating_add(u32::try_from(n).unwrap_or(u32::MAX)).min(self.end);
        Span::new(self.file, at(from), at(to))
    }

    /// The empty span right after this one, to show where something is missing.
    pub fn after(self) -> Span {
        Span { start: self.end, ..self }
    }
}

/// One word of a directive.
#[derive(Clone, PartialEq, Eq)]
pub struct Word {
    /// Unescaped, without quotes. Most words are short.
    pub text: Text,
    /// As written, quotes included.
    pub span: Span,
    /// Whether it was quoted: `""` is an empty word, `"{"` is not a block.
    pub quoted: bool,
}

/// Joins words as in a line of the configuration, without quotes.
pub fn written<'a>(words: impl IntoIterator<Item = &'a Word>) -> String {
    words.into_iter().map(Word::str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
thread_local! {
    static WORDS_READ: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How often this thread has read a word, for tests of what grows.
#[cfg(test)]
pub fn words_read() -> u64 {
    WORDS_READ.get()
}

impl Word {
    /// An unquoted word.
    pub fn new(bytes: &[u8], span: Span) -> Word {
        Word { text: Text::new(bytes), span, quoted: false }
    }

    /// A quoted word; `bytes` excludes the quotes.
    pub fn in_quotes(bytes: &[u8], span: Span) -> Word {
        Word { quoted: true, ..Word::new(bytes, span) }
    }

    /// The value: quotes and escapes resolved. It need not be UTF-8.
    pub fn bytes(&self) -> &[u8] {
        #[cfg(test)]
        WORDS_READ.set(WORDS_READ.get() + 1);
        self.text.bytes()
    }

    /// Lossy: bytes that are not UTF-8 become U+FFFD.
    pub fn str(&self) -> Cow<'_, str> {
        // Nearly all words are valid UTF-8, and checking alone is cheaper.
        match str::from_utf8(self.bytes()) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(self.bytes()),
        }
    }

    /// Bytes of the value.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// `""` and `''` are words without bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// In lower case, for values that nginx compares case-insensitively.
    pub fn lower(&self) -> Vec<u8> {
        self.bytes().to_ascii_lowercase()
    }

    /// Whether the word is exactly `text` (case matters, as for nginx's directive names).
    pub fn is(&self, text: &str) -> bool {
        self.bytes() == text.as_bytes()
    }

    /// The span of bytes `from..to` of the text. Exact if the word has no escapes, otherwise the whole word.
    pub fn part(&self, from: usize, to: usize) -> Span {
        let quote = usize::from(self.quoted);
        let written = (self.span.end - self.span.start) as usize;
        if written == self.len() + 2 * quote { self.span.part(from + quote, to + quote) } else { self.span }
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.quoted { write!(f, "{:?}", self.str()) } else { f.write_str(&self.str()) }
    }
}

/// `name args;` or `name args { block }`.
#[derive(Clone, PartialEq, Eq)]
pub struct Directive {
    /// The name as written, known or not.
    pub name: Word,
    /// The words behind the name.
    pub args: Vec<Word>,
    /// `None` if it ended with `;`.
    pub block: Option<Vec<Directive>>,
    /// From the name to the last argument.
    pub span: Span,
    /// The `;` or `}`; empty if it was missing and the parser recovered.
    pub close: Span,
}

impl Directive {
    /// The name and the arguments.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        std::iter::once(&self.name).chain(&self.args)
    }

    /// Whether its first argument is this word.
    pub fn says(&self, text: &str) -> bool {
        self.args.first().is_some_and(|word| word.is(text))
    }

    /// The arguments that are too many if `most` are taken: the caret of such an error begins at the first of them.
    pub fn surplus(&self, most: usize) -> Option<Span> {
        self.args.get(most).map(|first| first.span.to(self.args_span()))
    }

    /// Where one more argument would stand: at the `;`, or right after the last word if the `;` is missing or the
    /// directive has a block.
    pub fn next_argument(&self) -> Span {
        let after = self.span.after();
        let is_same_line = self.block.is_none() && self.close.start < self.close.end && self.close.start == after.start;
        if is_same_line { self.close } else { after }
    }

    /// The span of all arguments; empty, right after the name, if there are none.
    pub fn args_span(&self) -> Span {
        match (self.args.first(), self.args.last()) {
            (Some(first), Some(last)) => first.span.to(last.span),
            _ => self.name.span.after(),
        }
    }
}

impl fmt::Debug for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)?;
        for arg in &self.args {
            write!(f, " {arg:?}")?;
        }
        match &self.block {
            None => f.write_str(";"),
            Some(block) => {
                f.write_str(" {")?;
                for directive in block {
                    write!(f, " {directive:?}")?;
                }
                f.write_str(" }")
            }
        }
    }
}

// A configuration of 10 000 servers holds about 60 000 directives and 200 000 words.
const _: () = assert!(size_of::<Word>() <= 40 && size_of::<Directive>() <= 112);

/// Moves directives behind others, in steps: an included list of networks may have several hundred thousand lines.
pub fn append(level: &mut Vec<Directive>, more: Vec<Directive>) {
    /// Directives of one step: 10 KB.
    const STEP: usize = 64;
    if level.is_empty() {
        *level = more;
        return;
    }
    level.reserve(more.len());
    for directive in more {
        level.push(directive);
        if level.len().is_multiple_of(STEP) {
            checkpoint::pass();
        }
    }
}

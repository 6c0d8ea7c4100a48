//! `webserv fmt`: lays out a configuration uniformly. Works on the text, not on the tree: comments stay where they are,
//! words stay as written, and directives over several lines stay so.
//!
//! Invariants: words, their order and comments are unchanged; formatting is idempotent.

use crate::config::ast::FileId;
use crate::config::syntax::{MAX_DEPTH, parse};
use crate::util::byte_order_mark;
use std::fmt;

/// One level of indentation.
const INDENT: &str = "    ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a [u8]),
    /// From the `#` to the end of the line.
    Comment(&'a [u8]),
    End,
    Open,
    Close,
    /// One or more line ends: several blank lines become one. `crlf`: the first is a CRLF.
    Newline {
        blank: bool,
        crlf: bool,
    },
}

/// Why a text cannot be formatted; `-t` shows where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A quote is not closed.
    OpenQuote,
    /// Something directly follows a closing quote: a space before it would make it a word of its own.
    AfterQuote,
    /// A block lacks its `}`, so the indentation of what follows is unknown.
    OpenBlock,
    /// A `}` without an open block.
    NoBlock,
    /// A `{` or `;` without a name before it.
    NoName,
    /// A directive lacks its `;`.
    NoEnd,
    /// Another mistake of syntax, which a layout could make another one.
    Mistake,
    /// Blocks nested deeper than [`MAX_DEPTH`], which bounds the indentation.
    TooDeep,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::OpenQuote => f.write_str("a quote is not closed"),
            Unreadable::AfterQuote => f.write_str("no space, `;` or `{` stands behind a closing quote"),
            Unreadable::OpenBlock => f.write_str("a block is not closed: a `}` is missing"),
            Unreadable::NoBlock => f.write_str("a `}` stands where no block is open"),
            Unreadable::NoName => f.write_str("a `{` or `;` stands without a directive before it"),
            Unreadable::NoEnd => f.write_str("a directive lacks its `;`"),
            Unreadable::Mistake => f.write_str("a mistake of syntax"),
            Unreadable::TooDeep => write!(f, "blocks are nested deeper than {MAX_DEPTH} levels"),
        }
    }
}

/// Formats the text.
///
/// # Errors
/// The text cannot be parsed.
pub fn format(text: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let tokens = tokens(text)?;
    check(&tokens)?;
    // `location ~ ^/a{4} {`: a brace that was not meant as one.
    if parse(FileId::default(), text, 0).1.has_errors() {
        return Err(Unreadable::Mistake);
    }
    // All lines get the line ending of the first. Line ends inside quotes belong to a value.
    let first = tokens.iter().find_map(|token| match token {
        Token::Newline { crlf, .. } => Some(*crlf),
        _ => None,
    });
    let mut out = Layout::new(if first == Some(true) { b"\r\n" } else { b"\n" });
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        match *token {
            Token::Word(word) => out.word(word),
            Token::Comment(comment) => out.comment(comment),
            Token::End => out.end(),
            Token::Open => out.open(),
            Token::Close => out.close(),
            Token::Newline { .. } if matches!(next, Some(Token::Close)) => out.newline(Gap::BeforeClose),
            Token::Newline { blank: true, .. } => out.newline(Gap::Blank),
            Token::Newline { blank: false, .. } => out.newline(Gap::None),
        }
    }
    Ok(out.finish())
}

/// What follows a line in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    /// Blank lines, of which one is kept.
    Blank,
    /// The end of the block, before which blank lines are removed.
    BeforeClose,
}

/// Formatting text that lacks `;` or braces would hide the mistake.
fn check(tokens: &[Token<'_>]) -> Result<(), Unreadable> {
    let (mut depth, mut inside) = (0usize, false);
    for token in tokens {
        match token {
            Token::Word(_) => inside = true,
            Token::Comment(_) | Token::Newline { .. } => {}
            Token::End | Token::Open if !inside => return Err(Unreadable::NoName),
            Token::End => inside = false,
            Token::Open => (depth, inside) = (depth + 1, false),
            Token::Close if inside => return Err(Unreadable::NoEnd),
            Token::Close => depth = depth.checked_sub(1).ok_or(Unreadable::NoBlock)?,
        }
        if depth > MAX_DEPTH {
            return Err(Unreadable::TooDeep);
        }
    }
    match (inside, depth) {
        (true, _) => Err(Unreadable::NoEnd),
        (false, 0) => Ok(()),
        (false, _) => Err(Unreadable::OpenBlock),
    }
}

struct Layout {
    /// The line ending.
    line_end: &'static [u8],
    out: Vec<u8>,
    line: Vec<u8>,
    depth: usize,
    /// Whether a directive is incomplete.
    inside: bool,
    /// Whether the block has just been opened.
    fresh: bool,
}

impl Layout {
    fn new(line_end: &'static [u8]) -> Layout {
        Layout { line_end, out: Vec::new(), line: Vec::new(), depth: 0, inside: false, fresh: false }
    }

    fn indent(&mut self, more: usize) {
        if self.line.is_empty() {
            for _ in 0..self.depth + more {
                self.line.extend_from_slice(INDENT.as_bytes());
            }
        } else {
            self.line.push(b' ');
        }
    }

    fn word(&mut self, word: &[u8]) {
        if !self.inside && !self.line.is_empty() {
            self.flush();
        }
        let more = usize::from(self.inside);
        self.indent(more);
        self.line.extend_from_slice(word);
        (self.inside, self.fresh) = (true, false);
    }

    fn comment(&mut self, comment: &[u8]) {
        self.indent(usize::from(self.inside));
        if self.line.iter().any(|byte| *byte != b' ') && !self.line.ends_with(b"  ") {
            self.line.push(b' ');
        }
        self.line.extend_from_slice(comment.trim_ascii_end());
        self.flush();
        self.fresh = false;
    }

    fn end(&mut self) {
        // After a comment inside a directive, the `;` or brace is on a line of its own.
        if self.line.is_empty() {
            self.indent(usize::from(self.inside));
        }
        self.line.push(b';');
        self.inside = false;
    }

    fn open(&mut self) {
        self.indent(0);
        self.line.push(b'{');
        self.depth += 1;
        (self.inside, self.fresh) = (false, true);
    }

    fn close(&mut self) {
        // [`check`] made sure that a block is open.
        self.depth -= 1;
        if self.fresh && self.line.ends_with(b"{") {
            // An empty block.
            self.line.extend_from_slice(b" }");
        } else {
            self.flush();
            self.indent(0);
            self.line.push(b'}');
        }
        (self.inside, self.fresh) = (false, false);
    }

    fn newline(&mut self, gap: Gap) {
        if self.fresh && gap == Gap::BeforeClose {
            return;
        }
        self.flush();
        let first = self.out.is_empty() || self.fresh || self.ends_blank();
        if gap == Gap::Blank && !first && !self.inside {
            self.out.extend_from_slice(self.line_end);
        }
    }

    /// Whether the last line is blank.
    fn ends_blank(&self) -> bool {
        self.out.strip_suffix(self.line_end).is_some_and(|before| before.ends_with(self.line_end))
    }

    fn flush(&mut self) {
        if !self.line.is_empty() {
            self.out.append(&mut self.line);
            self.out.extend_from_slice(self.line_end);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.flush();
        while self.ends_blank() {
            self.out.truncate(self.out.len() - self.line_end.len());
        }
        if byte_order_mark::len(&self.out) > 0 {
            // Part of a word here; at the beginning of a file it would be none, and what follows another word.
            self.out.splice(..0, self.line_end.iter().copied());
        }
        self.out
    }
}

fn tokens(text: &[u8]) -> Result<Vec<Token<'_>>, Unreadable> {
    let text = byte_order_mark::without(text);
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest @ [byte, ..]) = text.get(at..) {
        at += match byte {
            b' ' | b'\t' | b'\r' => 1,
            b'\n' => {
                // Not a form feed, which is a word (nginx).
                let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
                let blanks = rest.iter().take_while(is_blank).count();
                let lines = rest.iter().take(blanks).filter(|byte| **byte == b'\n').count();
                let crlf = text.get(..at).is_some_and(|before| before.ends_with(b"\r"));
                tokens.push(Token::Newline { blank: lines > 1, crlf });
                blanks
            }
            b'#' => {
                let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                tokens.push(Token::Comment(&rest[..length]));
                length
            }
            b';' => {
                tokens.push(Token::End);
                1
            }
            b'{' => {
                tokens.push(Token::Open);
                1
            }
            b'}' => {
                tokens.push(Token::Close);
                1
            }
            _ => {
                let length = word(rest)?;
                tokens.push(Token::Word(&rest[..length]));
                length
            }
        };
    }
    Ok(tokens)
}

/// The length of the word that begins here, by nginx's rules: quotes matter only at the start of a word, and `${` opens
/// no block.
fn word(text: &[u8]) -> Result<usize, Unreadable> {
    let (Some(quote), true) = (text.first(), text.starts_with(b"\"") || text.starts_with(b"'")) else {
        return Ok(plain_word(text));
    };
    let mut at = 1;
    loop {
        match text.get(at) {
            Some(b'\\') => at += 2,
            Some(byte) if byte == quote => break,
            Some(_) => at += 1,
            None => return Err(Unreadable::OpenQuote),
        }
    }
    let rest = text.get(at + 1..).unwrap_or_default();
    match rest.first() {
        None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b'}') => Ok(at + 1),
        // `if ($a = "b")`: the parenthesis begins a word of its own, but it is written next to the quote.
        Some(b')') => Ok(at + 1 + plain_word(rest)),
        Some(_) => Err(Unreadable::AfterQuote),
    }
}

/// The length of a word without quotes.
fn plain_word(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'$' => {
                let braces = text.iter().skip(at + 1).take_while(|byte| **byte == b'{').count();
                at += 1 + braces;
            }
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
            _ => at += 1,
        }
    }
    at.min(text.len()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(text: &str) -> String {
        String::from_utf8(format(text.as_bytes()).expect("readable")).expect("UTF-8")
    }

    #[test]
    fn blocks_are_indented_and_comments_stay() {
        for (name, text, expected) in [
            ("a block", "http{server{listen  80 ;}}", "http {\n    server {\n        listen 80;\n    }\n}\n"),
            ("comments", "# a\n\n\nuser x; # who\n", "# a\n\nuser x;  # who\n"),
            ("an empty block", "events\n{\n}\n", "events\n{ }\n"),
            ("goes on", "log_format m 'a'\n 'b';", "log_format m 'a'\n    'b';\n"),
            ("braces in words", "rewrite ^/${a}x$ /b;set $c '{';", "rewrite ^/${a}x$ /b;\nset $c '{';\n"),
            ("two braces of a variable", "set $c ${{a};", "set $c ${{a};\n"),
            ("a condition's quotes", "if ($a ~ \"b c\"){c;}", "if ($a ~ \"b c\") {\n    c;\n}\n"),
            ("a regex in quotes", "location ~ \"a{2}\" { }", "location ~ \"a{2}\" { }\n"),
            ("blank lines at the ends of a block", "a {\n\n b;\n\n}\n", "a {\n    b;\n}\n"),
            ("nothing", "", ""),
        ] {
            assert_eq!(formatted(text), expected, "{name}");
            assert_eq!(formatted(expected), expected, "{name}, again");
        }
        let text = "a {\r\n    b 'c\r\nd';  # e\r\n}\r\n";
        assert_eq!((formatted(text).as_str(), formatted("a{b 'c\r\nd'; # e\r\n}").as_str()), (text, text));
        assert_eq!(format(b"a 'b;"), Err(Unreadable::OpenQuote));
    }

    #[test]
    fn blocks_nested_deeper_than_a_configuration_may_are_no_layout() {
        let nested = |depth: usize| format!("{}{}", "a { ".repeat(depth), "} ".repeat(depth));
        assert!(format(nested(MAX_DEPTH).repeat(2).as_bytes()).is_ok());
        assert_eq!(format(nested(MAX_DEPTH + 1).as_bytes()), Err(Unreadable::TooDeep));
        assert_eq!(format("} ".repeat(20_000).as_bytes()), Err(Unreadable::NoBlock));
    }

    #[test]
    fn what_is_broken_has_no_layout() {
        for (text, expected) in [
            ("a {\n    b;\n", Unreadable::OpenBlock),
            ("a { b; } }\n", Unreadable::NoBlock),
            ("a b\n", Unreadable::NoEnd),
            ("a { b }\n", Unreadable::NoEnd),
            ("a { { b; } }\n", Unreadable::NoName),
            ("a b;;\n", Unreadable::NoName),
            ("a 'b;\n", Unreadable::OpenQuote),
            ("location ~ ^/a{4} { b; } }\n", Unreadable::Mistake),
            ("a 'b'c;\n", Unreadable::AfterQuote),
            ("a 'b'# c\n;\n", Unreadable::AfterQuote),
        ] {
            assert_eq!(format(text.as_bytes()), Err(expected), "{text}");
        }
    }

    #[test]
    fn what_follows_a_parenthesis_behind_a_quote_is_not_parted_from_it() {
        for text in ["a 'x')ev;\n", "a 'x'))ev'y' z;\n", "if ($a = \"b\")c {\n    d;\n}\n", "a 'x')${b}c\\ d;\n"] {
            assert_eq!(formatted(text), text);
        }
    }

    /// Found by fuzzing: the blank lines before it were left out, and the second time it was left out itself.
    #[test]
    fn a_byte_order_mark_within_the_text_does_not_become_the_files_own() {
        for (text, expected) in [
            ("\u{feff}a;", "a;\n"),
            ("\n\u{feff}a;", "\n\u{feff}a;\n"),
            (" \u{feff}a;", "\n\u{feff}a;\n"),
            ("\u{feff}\u{feff}a;", "\n\u{feff}a;\n"),
            ("\r\n\u{feff}a;\r\n", "\r\n\u{feff}a;\r\n"),
        ] {
            assert_eq!(formatted(text), expected, "{}", text.escape_debug());
            assert_eq!(formatted(expected), expected, "a second time");
        }
    }

    #[test]
    fn line_ends_inside_a_word_stay_as_they_are() {
        for (name, text, expected) in [
            ("LF in CRLF", "a {\r\n    b 'c\nd';\r\n}\r\n", "a {\r\n    b 'c\nd';\r\n}\r\n"),
            ("CRLF in LF", "b 'c\r\nd';\ne f;\n", "b 'c\r\nd';\ne f;\n"),
            ("LF before the first line's end", "b 'c\nd';\r\ne f;\r\n", "b 'c\nd';\r\ne f;\r\n"),
            ("mixed ends become the first", "b c;\r\ne 'f\n';\n\n\ng;\n\n", "b c;\r\ne 'f\n';\r\n\r\ng;\r\n"),
            ("only in a word", "b 'c\r\nd';", "b 'c\r\nd';\n"),
        ] {
            assert_eq!(formatted(text), expected, "{name}");
            assert_eq!(formatted(expected), expected, "{name}, again");
        }
    }

    #[test]
    fn a_form_feed_behind_a_line_end_stays_a_word() {
        let text = format(b"a;\n\x0c s { }\n").expect("readable");
        assert!(text.contains(&0x0c), "{}", text.escape_ascii());
    }
}

//! Parses a page into text and commands `<!--#name parameter="value" -->`. The state machine is nginx's, state by
//! state, so that both recognise the same commands and the same errors.
//!
//! Invariant: the tokens of a page do not depend on how it was split into pieces, except that text may be split; memory
//! is bounded by the piece and by ssi_value_length.

use crate::util::span::Span;
use memchr::memmem;
use std::collections::VecDeque;

/// Maximum length of the name of a command or parameter, and maximum number of parameters (nginx).
const NAME: usize = 32;
const PARAMS: usize = 16;

/// Bytes of buffers that a page keeps while it waits for its client.
pub const KEPT: usize = 8 << 10;

/// The tokens of a page, in order. The bytes are in one buffer: a page may have thousands of commands, and allocating
/// each of their words cost more than parsing them.
#[derive(Debug, Default)]
pub struct Tokens {
    bytes: Vec<u8>,
    /// Of all commands.
    params: Vec<Param>,
    list: VecDeque<Token>,
}

/// What the parser found next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Bytes that are sent as they are.
    Text(Span),
    /// A complete command; [`Tokens`] has its name and parameters.
    Command(Command),
    /// A malformed command, with the error.
    Mistake(String),
}

/// Its words are in [`Tokens`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Command {
    name: Span,
    /// The range of its parameters.
    params: Span,
}

/// A parameter's name and value as written: backslashes are still present.
#[derive(Clone, Copy, Debug, Default)]
struct Param {
    name: Span,
    value: Span,
}

impl Tokens {
    /// Takes the first token, or `most` bytes of it if it is text. The bytes of earlier tokens may be gone.
    pub fn pop(&mut self, most: usize) -> Option<Token> {
        if let Some(Token::Text(text)) = self.list.front_mut()
            && text.len as usize > most
        {
            let (start, end) = (text.start as usize, text.end());
            *text = Span::new(start + most, end);
            return Some(Token::Text(Span::new(start, start + most)));
        }
        let first = self.list.pop_front();
        if first.is_none() && self.bytes.capacity() > KEPT {
            // The client may take long until the next piece is read.
            *self = Tokens::default();
        } else if first.is_none() {
            self.bytes.clear();
            self.params.clear();
        }
        first
    }

    /// The bytes of a [`Token::Text`].
    pub fn text(&self, text: Span) -> &[u8] {
        text.of(&self.bytes)
    }

    /// `include`, `set` and so on, as written in the page.
    pub fn name(&self, command: Command) -> &[u8] {
        command.name.of(&self.bytes)
    }

    /// Names and values of a command's parameters.
    pub fn params(&self, command: Command) -> impl Iterator<Item = (&[u8], &[u8])> {
        let from = command.params.start as usize;
        let params = self.params.get(from..from + command.params.len as usize).unwrap_or_default();
        params.iter().map(|param| (param.name.of(&self.bytes), param.value.of(&self.bytes)))
    }

    /// Stores bytes; returns their position.
    fn keep(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span::new(start, self.bytes.len())
    }

    /// Adds text, merged with preceding text.
    fn push_text(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let added = self.keep(bytes);
        match self.list.back_mut() {
            Some(Token::Text(before)) if before.end() == added.start as usize => before.len += added.len,
            _ => self.list.push_back(Token::Text(added)),
        }
    }

    fn push_command(&mut self, written: &Written) {
        let name = self.keep(&written.name);
        let start = self.params.len();
        for (name, value) in &written.params {
            let param = Param { name: self.keep(name), value: self.keep(value) };
            self.params.push(param);
        }
        self.list.push_back(Token::Command(Command { name, params: Span::new(start, self.params.len()) }));
    }
}

/// A command while it is parsed byte by byte.
#[derive(Debug, Default)]
struct Written {
    name: Vec<u8>,
    params: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Text, after this many bytes of `<!--`.
    #[default]
    Text,
    Open(u8),
    BeforeName,
    Name,
    BeforeParam,
    Param,
    BeforeEqual,
    BeforeValue,
    /// A value in this kind of quotes.
    Value(u8),
    Escaped(u8),
    AfterValue,
    /// After this many bytes of `-->`.
    End(u8),
    /// The same in a malformed command.
    Wrong(u8),
}

/// The parser's state between pieces of a page.
#[derive(Debug)]
pub struct Parser {
    state: State,
    command: Written,
    mistake: String,
    /// ssi_value_length: maximum length of a parameter's value.
    longest: usize,
    opening: memmem::Finder<'static>,
}

const OPEN: &[u8] = b"<!--#";

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Parser {
    /// `longest`: ssi_value_length, in bytes; a longer value of a parameter is a mistake, as in nginx.
    pub fn new(longest: usize) -> Parser {
        Parser {
            state: State::Text,
            command: Written::default(),
            mistake: String::new(),
            longest,
            opening: memmem::Finder::new(OPEN),
        }
    }

    /// Parses the next piece of the page; appends its tokens to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Tokens) {
        let mut rest = piece;
        while let Some((&byte, tail)) = rest.split_first() {
            match self.state {
                State::Text => {
                    let Some(at) = self.opening.find(rest) else {
                        // A command may begin at the end of this piece.
                        let seen = (1..OPEN.len()).rev().find(|seen| rest.ends_with(&OPEN[..*seen])).unwrap_or(0);
                        out.push_text(&rest[..rest.len() - seen]);
                        self.state = if seen > 0 { State::Open(seen as u8) } else { State::Text };
                        return;
                    };
                    out.push_text(&rest[..at]);
                    rest = &rest[at + OPEN.len()..];
                    match plain(rest, self.longest, out) {
                        Some(tail) => rest = tail,
                        None => self.begin(),
                    }
                    continue;
                }
                State::Open(seen) => self.open(seen, byte, out),
                State::Value(quote) => {
                    let run = self.plain(rest, quote);
                    if run > 0 {
                        self.param().1.extend_from_slice(&rest[..run]);
                        rest = &rest[run..];
                        continue;
                    }
                    self.inside(State::Value(quote), byte, out);
                }
                state => self.inside(state, byte, out),
            }
            rest = tail;
        }
    }

    /// Ends the page. An incomplete beginning of a command becomes text; nginx drops it.
    pub fn end(&mut self, out: &mut Tokens) {
        if let State::Open(seen) = std::mem::take(&mut self.state) {
            out.push_text(&OPEN[..usize::from(seen)]);
        }
    }

    /// How many of the following bytes belong literally to the value and fit.
    fn plain(&mut self, rest: &[u8], quote: u8) -> usize {
        let room = self.longest.saturating_sub(self.param().1.len());
        memchr::memchr2(quote, b'\\', rest).unwrap_or(rest.len()).min(room)
    }

    /// After the opening of a command.
    fn begin(&mut self) {
        self.command.name.clear();
        self.command.params.clear();
        self.state = State::BeforeName;
    }

    /// Within an opening.
    fn open(&mut self, seen: u8, byte: u8, out: &mut Tokens) {
        let before = &OPEN[..usize::from(seen)];
        let next = OPEN[usize::from(seen)];
        self.state = match byte {
            byte if byte == next && before.len() + 1 == OPEN.len() => return self.begin(),
            byte if byte == next => State::Open(seen + 1),
            b'<' => {
                out.push_text(before);
                State::Open(1)
            }
            byte => {
                out.push_text(before);
                out.push_text(&[byte]);
                State::Text
            }
        };
    }

    /// After `<!--#`.
    fn inside(&mut self, state: State, byte: u8, out: &mut Tokens) {
        self.state = match state {
            State::Text | State::Open(_) => state,
            State::BeforeName if is_blank(byte) => state,
            State::BeforeName => {
                self.command.name.push(byte);
                State::Name
            }
            State::Name if is_blank(byte) => State::BeforeParam,
            State::Name if byte == b'-' => State::End(1),
            State::Name if self.command.name.len() == NAME => {
                let name = show(&self.command.name);
                self.wrong(byte, format!("the \"{name}{}...\" SSI command is too long", char::from(byte)))
            }
            State::Name => {
                self.command.name.push(byte);
                state
            }
            State::BeforeParam if is_blank(byte) => state,
            State::BeforeParam if byte == b'-' => State::End(1),
            State::BeforeParam if self.command.params.len() == PARAMS => {
                let name = show(&self.command.name);
                self.wrong(byte, format!("too many SSI command parameters: \"{name}\""))
            }
            State::BeforeParam => {
                let mut name = Vec::with_capacity(8);
                name.push(byte);
                self.command.params.push((name, Vec::with_capacity(16)));
                State::Param
            }
            State::Param if is_blank(byte) => State::BeforeEqual,
            State::Param if byte == b'=' => State::BeforeValue,
            State::Param if byte == b'-' => self.unexpected(byte, "after", "parameter"),
            State::Param if self.param().0.len() == NAME => {
                let (param, name) = (show(&self.param().0), show(&self.command.name));
                let text = format!("too long \"{param}{}...\" parameter in \"{name}\" SSI command", char::from(byte));
                self.wrong(byte, text)
            }
            State::Param => {
                self.param().0.push(byte);
                state
            }
            State::BeforeEqual if is_blank(byte) => state,
            State::BeforeEqual if byte == b'=' => State::BeforeValue,
            State::BeforeEqual => self.unexpected(byte, "after", "parameter"),
            State::BeforeValue if is_blank(byte) => state,
            State::BeforeValue if matches!(byte, b'"' | b'\'') => State::Value(byte),
            State::BeforeValue => self.unexpected(byte, "before value of", "parameter"),
            State::Value(quote) if byte == quote => State::AfterValue,
            State::Value(quote) if byte == b'\\' => self.value(byte, State::Escaped(quote)),
            State::Value(_) => self.value(byte, state),
            State::Escaped(quote) => self.value(byte, State::Value(quote)),
            State::AfterValue if is_blank(byte) => State::BeforeParam,
            State::AfterValue if byte == b'-' => State::End(1),
            State::AfterValue => self.unexpected(byte, "after the value of", "parameter"),
            State::End(1) if byte == b'-' => State::End(2),
            State::End(2) if byte == b'>' => {
                out.push_command(&self.command);
                State::Text
            }
            State::End(_) => {
                let name = show(&self.command.name);
                let byte = char::from(byte);
                self.mistake = format!("unexpected \"{byte}\" symbol in \"{name}\" SSI command");
                State::Wrong(0)
            }
            State::Wrong(2) if byte == b'>' => {
                out.list.push_back(Token::Mistake(std::mem::take(&mut self.mistake)));
                State::Text
            }
            State::Wrong(seen) if seen < 2 && byte == b'-' => State::Wrong(seen + 1),
            State::Wrong(_) => State::Wrong(0),
        };
    }

    /// The parameter being parsed.
    fn param(&mut self) -> &mut (Vec<u8>, Vec<u8>) {
        if self.command.params.is_empty() {
            self.command.params.push(Default::default());
        }
        self.command.params.last_mut().expect("one was pushed if there was none")
    }

    /// A byte of a value.
    fn value(&mut self, byte: u8, next: State) -> State {
        let longest = self.longest;
        let (_, value) = self.param();
        if value.len() < longest {
            value.push(byte);
            return next;
        }
        let (param, value) = (show(&self.param().0), show(&self.param().1));
        let name = show(&self.command.name);
        self.mistake = format!(
            "too long \"{value}{}...\" value of \"{param}\" parameter in \"{name}\" SSI command",
            char::from(byte)
        );
        State::Wrong(0)
    }

    fn unexpected(&mut self, byte: u8, place: &str, what: &str) -> State {
        let (param, name) = (show(&self.param().0), show(&self.command.name));
        let symbol = char::from(byte);
        self.wrong(byte, format!("unexpected \"{symbol}\" symbol {place} \"{param}\" {what} in \"{name}\" SSI command"))
    }

    fn wrong(&mut self, byte: u8, mistake: String) -> State {
        self.mistake = mistake;
        State::Wrong(u8::from(byte == b'-'))
    }
}

/// Fast path for a complete command as nearly all are written, after its `<!--#`: words of letters, digits and `_`,
/// values without backslashes. Returns what follows. None: it is different, incomplete or malformed; nothing was added.
fn plain<'p>(page: &'p [u8], longest: usize, out: &mut Tokens) -> Option<&'p [u8]> {
    let (before, start) = (out.bytes.len(), out.params.len());
    let found = plain_words(page, longest, out);
    if found.is_none() {
        out.bytes.truncate(before);
        out.params.truncate(start);
    }
    let (name, rest) = found?;
    out.list.push_back(Token::Command(Command { name, params: Span::new(start, out.params.len()) }));
    Some(rest)
}

fn plain_words<'p>(page: &'p [u8], longest: usize, out: &mut Tokens) -> Option<(Span, &'p [u8])> {
    let (name, mut rest) = word(blanks(page))?;
    let name = out.keep(name);
    for _ in 0..=PARAMS {
        let next = blanks(rest);
        if let Some(rest) = next.strip_prefix(b"-->") {
            return Some((name, rest));
        }
        // A name ends with a space and a value with a quote: otherwise two names in a row would merge.
        let (param, tail) = word(next)?;
        let (&quote, tail) = blanks(blanks(tail).strip_prefix(b"=")?).split_first()?;
        let len = memchr::memchr2(quote, b'\\', &tail[..tail.len().min(longest + 1)])?;
        if !matches!(quote, b'"' | b'\'') || tail[len] != quote {
            return None;
        }
        let (name, value) = (out.keep(param), out.keep(&tail[..len]));
        out.params.push(Param { name, value });
        rest = &tail[len + 1..];
        if !rest.first().is_some_and(|byte| is_blank(*byte) || *byte == b'-') {
            return None;
        }
    }
    None
}

fn blanks(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| is_blank(**byte)).count()..]
}

/// A word within the maximum length of a name, and what follows.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    (1..=NAME).contains(&len).then(|| text.split_at(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(page: &[u8], cuts: &[usize]) -> String {
        let (mut parser, mut out) = (Parser::new(12), Tokens::default());
        let mut from = 0;
        for &cut in cuts.iter().chain(&[page.len()]) {
            parser.push(&page[from..cut], &mut out);
            from = cut;
        }
        parser.end(&mut out);
        let mut shown = String::new();
        while let Some(token) = out.pop(usize::MAX) {
            shown += &match token {
                Token::Text(text) => format!("'{}'", show(out.text(text))),
                Token::Mistake(why) => format!("!{why}!"),
                Token::Command(command) => {
                    let params = out.params(command).map(|(name, value)| format!(" {}={}", show(name), show(value)));
                    format!("[{}{}]", show(out.name(command)), params.collect::<String>())
                }
            };
        }
        shown
    }

    #[test]
    fn a_page_is_text_and_commands_however_it_is_cut() {
        let table = [
            ("plain", "'plain'"),
            ("", ""),
            ("a<b>c", "'a<b>c'"),
            ("<!-- no -->", "'<!-- no -->'"),
            ("<<!-<!--<!<", "'<<!-<!--<!<'"),
            ("<!--", "'<!--'"),
            ("a<!--#x -->b", "'a'[x]'b'"),
            ("<<!--#x-->>", "'<'[x]'>'"),
            ("<!--# \n x y=\"1\" -->", "[x y=1]"),
            ("<!--#x y='1\"' z = \"2\"-->", "[x y=1\" z=2]"),
            ("<!--#x y=\"a\\\"b\\\\\" -->", "[x y=a\\\"b\\\\]"),
            ("<!--#x a=\"1\" a=\"2\" -->", "[x a=1 a=2]"),
            ("<!--#x a=\"1\"--><!--#y-->.", "[x a=1][y]'.'"),
            ("<!--#x a=\"-->\" b=''-->", "[x a=--> b=]"),
            ("<!--#x_1 a.b=\"1\" -->", "[x_1 a.b=1]"),
            (
                "<!--#x a=\"1\"b=\"2\" -->.",
                "!unexpected \"b\" symbol after the value of \"a\" parameter in \"x\" SSI command!'.'",
            ),
            ("<!--#x --->y", ""),
            ("<!--#x y -->.", "!unexpected \"-\" symbol after \"y\" parameter in \"x\" SSI command!'.'"),
            ("<!--#x y=1 -->.", "!unexpected \"1\" symbol before value of \"y\" parameter in \"x\" SSI command!'.'"),
            (
                "<!--#x y=\"1\"z -->",
                "!unexpected \"z\" symbol after the value of \"y\" parameter in \"x\" SSI command!",
            ),
            ("<!--#x - -->.", "!unexpected \" \" symbol in \"x\" SSI command!'.'"),
            (
                "<!--#x y=\"0123456789abc\" -->.",
                "!too long \"0123456789abc...\" value of \"y\" parameter in \"x\" SSI command!'.'",
            ),
            ("<!--#x y=\"not closed -->", ""),
        ];
        for (page, expected) in table {
            let bytes = page.as_bytes();
            assert_eq!(tokens(bytes, &[]), expected, "{page}");
            for at in 0..=bytes.len() {
                assert_eq!(tokens(bytes, &[at]), expected, "{page} cut at {at}");
            }
            let every: Vec<usize> = (0..bytes.len()).collect();
            assert_eq!(tokens(bytes, &every), expected, "{page} byte by byte");
        }
        let long = [b"<!--#".to_vec(), vec![b'n'; 40], b" -->.".to_vec()].concat();
        assert!(tokens(&long, &[]).ends_with("SSI command is too long!'.'"));
        let many = format!("<!--#x{} -->", " a=\"\"".repeat(17));
        assert_eq!(tokens(many.as_bytes(), &[]), "!too many SSI command parameters: \"x\"!");
    }
}

//! A page taken apart: its text, and the commands `<!--#name parameter="value" -->` in it. The machine is nginx's, state
//! by state, so that what is a command there is one here, and what is a mistake there is the same mistake.
//!
//! Invariant: the tokens of a page do not depend on how it was cut into pieces, but for text that may come in several;
//! memory is bounded by the piece and by ssi_value_length.

use memchr::memmem;
use std::collections::VecDeque;

/// Longest name of a command or a parameter, and most parameters of a command (nginx).
const NAME: usize = 32;
const PARAMS: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Text(Vec<u8>),
    Command(Command),
    /// A command that is written wrongly, and what is wrong with it.
    Mistake(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    pub name: Vec<u8>,
    /// Values as they are written: a backslash and what it escapes are both there.
    pub params: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Text; this many bytes of `<!--` were seen.
    #[default]
    Text,
    Open(u8),
    BeforeName,
    Name,
    BeforeParam,
    Param,
    BeforeEqual,
    BeforeValue,
    /// Within this kind of quotes.
    Value(u8),
    Escaped(u8),
    AfterValue,
    /// This many bytes of `-->` were seen.
    End(u8),
    /// The same, of a command that is wrong.
    Wrong(u8),
}

#[derive(Debug)]
pub struct Parser {
    state: State,
    command: Command,
    mistake: String,
    /// ssi_value_length: longest value of a parameter.
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
    pub fn new(longest: usize) -> Parser {
        Parser {
            state: State::Text,
            command: Command::default(),
            mistake: String::new(),
            longest,
            opening: memmem::Finder::new(OPEN),
        }
    }

    /// The next piece of the page: its tokens are added to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut VecDeque<Token>) {
        let mut rest = piece;
        while let Some((&byte, tail)) = rest.split_first() {
            match self.state {
                State::Text => {
                    let Some(at) = self.opening.find(rest) else {
                        // The next piece may go on with what this one ends with.
                        let seen = (1..OPEN.len()).rev().find(|seen| rest.ends_with(&OPEN[..*seen])).unwrap_or(0);
                        text(out, &rest[..rest.len() - seen]);
                        self.state = if seen > 0 { State::Open(seen as u8) } else { State::Text };
                        return;
                    };
                    text(out, &rest[..at]);
                    rest = &rest[at + OPEN.len()..];
                    self.begin();
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

    /// The page is complete. The beginning of what might have been a command is text; nginx forgets it.
    pub fn end(&mut self, out: &mut VecDeque<Token>) {
        if let State::Open(seen) = std::mem::take(&mut self.state) {
            text(out, &OPEN[..usize::from(seen)]);
        }
    }

    /// How many bytes of a value follow that mean themselves and that there is room for.
    fn plain(&mut self, rest: &[u8], quote: u8) -> usize {
        let room = self.longest.saturating_sub(self.param().1.len());
        memchr::memchr2(quote, b'\\', rest).unwrap_or(rest.len()).min(room)
    }

    /// Behind the opening of a command.
    fn begin(&mut self) {
        // Room for what most commands are: growing byte by byte would cost more than parsing.
        self.command = Command { name: Vec::with_capacity(8), params: Vec::with_capacity(2) };
        self.state = State::BeforeName;
    }

    /// Behind the beginning of an opening.
    fn open(&mut self, seen: u8, byte: u8, out: &mut VecDeque<Token>) {
        let before = &OPEN[..usize::from(seen)];
        let next = OPEN[usize::from(seen)];
        self.state = match byte {
            byte if byte == next && before.len() + 1 == OPEN.len() => return self.begin(),
            byte if byte == next => State::Open(seen + 1),
            b'<' => {
                text(out, before);
                State::Open(1)
            }
            byte => {
                text(out, before);
                text(out, &[byte]);
                State::Text
            }
        };
    }

    /// Behind `<!--#`.
    fn inside(&mut self, state: State, byte: u8, out: &mut VecDeque<Token>) {
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
                out.push_back(Token::Command(std::mem::take(&mut self.command)));
                State::Text
            }
            State::End(_) => {
                let name = show(&self.command.name);
                let byte = char::from(byte);
                self.mistake = format!("unexpected \"{byte}\" symbol in \"{name}\" SSI command");
                State::Wrong(0)
            }
            State::Wrong(2) if byte == b'>' => {
                out.push_back(Token::Mistake(std::mem::take(&mut self.mistake)));
                State::Text
            }
            State::Wrong(seen) if seen < 2 && byte == b'-' => State::Wrong(seen + 1),
            State::Wrong(_) => State::Wrong(0),
        };
    }

    /// The parameter that is being parsed.
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

/// Adds text, to the text before it where there is some.
fn text(out: &mut VecDeque<Token>, bytes: &[u8]) {
    match out.back_mut() {
        _ if bytes.is_empty() => {}
        Some(Token::Text(before)) => before.extend_from_slice(bytes),
        _ => out.push_back(Token::Text(bytes.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(page: &[u8], cuts: &[usize]) -> String {
        let (mut parser, mut out) = (Parser::new(12), VecDeque::new());
        let mut from = 0;
        for &cut in cuts.iter().chain(&[page.len()]) {
            parser.push(&page[from..cut], &mut out);
            from = cut;
        }
        parser.end(&mut out);
        let shown = out.iter().map(|token| match token {
            Token::Text(text) => format!("'{}'", show(text)),
            Token::Mistake(why) => format!("!{why}!"),
            Token::Command(command) => {
                let params = command.params.iter().map(|(name, value)| format!(" {}={}", show(name), show(value)));
                format!("[{}{}]", show(&command.name), params.collect::<String>())
            }
        });
        shown.collect()
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

//! A page being sent: reads it in pieces, passes text on, and executes commands. An include suspends it until the
//! included response has been sent.
//!
//! Invariant: one call of [`Page::advance`] reads at most one piece.

use super::parse::{Command, KEPT, Parser, Token, Tokens};
use super::state::{Include, Shared, Sink, SsiState};
use super::values::{self, Outcome};
use crate::config::model::Level;
use crate::exchange::body_encoder::Source;
use crate::exchange::filters::body::body;
use crate::exchange::{Exchange, Printable};
use crate::services::Services;
use crate::services::temp_dir::TempFile;
use crate::sys::Errno;
use std::io::Write;

/// Maximum nesting of pages (nginx); more is a cycle.
const DEEPEST: u8 = 50;
/// Maximum number of includes per request, over all pages: a page that includes itself twice would otherwise never end.
const MOST: u32 = 50_000;
/// Size of the pieces in which a collected page is read.
const PIECE: usize = 64 << 10;
/// Bytes of output after which a step ends: a few commands of a piece can make megabytes of long variables.
const MADE: usize = 64 << 10;

/// The source of a page's bytes.
pub enum Input {
    /// A file, or bytes that a handler made.
    Made(Box<Source>),
    /// An upstream's page collected in a file, and how much of it was read.
    Temp(TempFile, u64),
    /// It could not be collected.
    Lost(Errno),
}

/// A page with SSI commands being generated.
pub struct Page {
    input: Input,
    ended: bool,
    /// None: the page is not parsed for commands.
    parser: Option<Parser>,
    tokens: Tokens,
    error: Vec<u8>,
    encoding: Encoding,
    /// Text and commands are active: no branch of an `if` and no block is being skipped.
    output: bool,
    /// Whether a branch of the `if` was taken.
    chosen: bool,
    branch: Branch,
    /// Whether a block's content is being stored.
    block: bool,
    /// The output of this step, sent in one piece.
    made: Vec<u8>,
}

/// How `echo` encodes a value; it stays in effect until another is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    None,
    Url,
    Entity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Branch {
    Outside,
    If,
    Else,
}

/// How long a token may take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    None,
    /// A microsecond or two, unless a variable is long ([`values::variable`]): for each of them the clock would cost as
    /// much as the look-up of a variable.
    Short,
    /// It has a long value to expand, or a pattern to compile.
    Long,
}

/// Words of a command that are short: values that are made of few variables.
const SHORT: usize = 64;

impl Work {
    fn of(token: &Token, of: &Tokens) -> Work {
        let Token::Command(command) = token else { return Work::None };
        let is_short = |value: &[u8]| value.len() <= SHORT && memchr::memchr(b'/', value).is_none();
        if of.params(*command).all(|(_, value)| is_short(value)) { Work::Short } else { Work::Long }
    }
}

/// The result of a step.
pub enum PageProgress {
    /// Work was done; this many bytes were read or made.
    Made(usize),
    /// An include: its subrequest runs first, and the page continues once that is sent.
    Include(Include),
    /// The page is complete.
    Done,
    /// The input cannot be read: the response is truncated here.
    Broken,
}

impl Page {
    /// A page that begins. Without a parser its bytes pass unchanged, as included pages without `ssi on` do.
    pub fn new(input: Input, parser: Option<Parser>) -> Page {
        Page {
            input,
            ended: false,
            parser,
            tokens: Tokens::default(),
            error: b"[an error occurred while processing the directive]".to_vec(),
            encoding: Encoding::Entity,
            output: true,
            chosen: false,
            branch: Branch::Outside,
            block: false,
            made: Vec::new(),
        }
    }

    /// Performs the next step.
    pub fn advance(&mut self, ex: &mut Exchange, cx: &mut Services) -> PageProgress {
        let progress = self.step(ex, cx);
        body(ex, &self.made);
        let made = self.made.len();
        match self.made.capacity() > KEPT {
            true => self.made = Vec::new(),
            false => self.made.clear(),
        }
        match progress {
            PageProgress::Made(read) => PageProgress::Made(read.max(made)),
            progress => progress,
        }
    }

    fn step(&mut self, ex: &mut Exchange, cx: &mut Services) -> PageProgress {
        // Moved out while commands are executed, which refer to it.
        let mut tokens = std::mem::take(&mut self.tokens);
        let stopped = self.execute(&mut tokens, ex, cx);
        self.tokens = tokens;
        if let Some(progress) = stopped {
            return progress;
        }
        if self.ended {
            return PageProgress::Done;
        }
        let mut piece = Vec::new();
        match self.read(cx, &mut piece) {
            Ok(()) => {}
            Err(e) => {
                ex.report(cx, Level::Crit, format_args!("the body could not be read {e}"));
                return PageProgress::Broken;
            }
        }
        let Some(parser) = &mut self.parser else {
            body(ex, &piece);
            return PageProgress::Made(piece.len());
        };
        parser.push(&piece, &mut self.tokens);
        if self.ended {
            parser.end(&mut self.tokens);
        }
        PageProgress::Made(piece.len())
    }

    /// Executes the tokens. Some: why it stopped; the rest stays in `tokens`.
    fn execute(&mut self, tokens: &mut Tokens, ex: &mut Exchange, cx: &mut Services) -> Option<PageProgress> {
        let most = cx.overload.piece().min(MADE);
        while let Some(token) = tokens.pop(most) {
            let work = Work::of(&token, tokens);
            if let Some(include) = self.token(token, tokens, ex, cx) {
                return Some(PageProgress::Include(include));
            }
            // Compiling conditions' patterns and expanding values take time, so continue in the next turn.
            let is_over = match work {
                Work::None => false,
                Work::Short => cx.slice.is_over_now_and_then(),
                Work::Long => cx.slice.is_over(),
            };
            if is_over || self.made.len() >= most {
                return Some(PageProgress::Made(0));
            }
        }
        None
    }

    fn read(&mut self, cx: &mut Services, piece: &mut Vec<u8>) -> Result<(), Errno> {
        let most = cx.overload.piece().min(PIECE);
        match &mut self.input {
            Input::Made(source) => self.ended = source.fill(&mut cx.scratch, piece, &mut cx.slice, most)?.done,
            Input::Lost(errno) => return Err(*errno),
            Input::Temp(file, at) => {
                piece.reserve(most);
                *at += file.read(*at, most, piece)? as u64;
                self.ended = piece.is_empty() || *at >= file.len();
            }
        }
        Ok(())
    }

    fn token(&mut self, token: Token, of: &Tokens, ex: &mut Exchange, cx: &mut Services) -> Option<Include> {
        let outcome = match token {
            Token::Text(text) => {
                match (self.output, self.block) {
                    (true, _) => self.made.extend_from_slice(of.text(text)),
                    (false, true) => shared(ex).put_away(of.text(text)),
                    (false, false) => {}
                }
                return None;
            }
            Token::Mistake(why) => Err(why),
            Token::Command(command) => self.command(command, of, ex, cx),
        };
        match outcome {
            Ok(include) => include,
            Err(why) => {
                ex.report(cx, Level::Error, format_args!("{}", Printable(why.as_bytes())));
                if !ex.location().settings.ssi.silent_errors {
                    self.made.extend_from_slice(&self.error);
                }
                None
            }
        }
    }

    fn command(
        &mut self,
        command: Command,
        of: &Tokens,
        ex: &mut Exchange,
        cx: &mut Services,
    ) -> Outcome<Option<Include>> {
        let name = of.name(command);
        let Some(row) = COMMANDS.iter().find(|row| row.name.as_bytes() == name) else {
            return if self.output { Err(format!("invalid SSI command: \"{}\"", lossy(name))) } else { Ok(None) };
        };
        if !self.output && row.name != "endblock" {
            if self.block {
                shared(ex).put_away(&written(command, of));
                return Ok(None);
            }
            if row.within.is_none() {
                return Ok(None);
            }
        }
        if row.within.is_some_and(|last| self.branch == Branch::Outside || self.branch > last) {
            return Err(format!("invalid context of SSI command: \"{}\"", row.name));
        }
        let params = Params::of(of.params(command), row)?;
        match row.name {
            "include" => self.include(&params, ex, cx).map(Some),
            "echo" => self.echo(&params, ex, cx).map(|()| None),
            "config" => {
                self.configure(&params, ex);
                Ok(None)
            }
            "set" => {
                let value = params.get("value").unwrap_or_default();
                let value = with_shared(ex, |shared, ex| values::expand(value, shared, ex, cx))?;
                shared(ex).set(params.get("var").unwrap_or_default(), value).map(|()| None)
            }
            "if" | "elif" => self.condition(row.name, &params, ex, cx).map(|()| None),
            "else" => {
                self.output = !self.chosen;
                self.branch = Branch::Else;
                Ok(None)
            }
            "endif" => {
                (self.output, self.chosen, self.branch) = (true, false, Branch::Outside);
                Ok(None)
            }
            "block" => {
                shared(ex).begin_block(params.get("name").unwrap_or_default());
                (self.output, self.block) = (false, true);
                Ok(None)
            }
            _ => {
                (self.output, self.block) = (true, false);
                Ok(None)
            }
        }
    }

    fn configure(&mut self, params: &Params<'_>, ex: &mut Exchange) {
        if let Some(format) = params.get("timefmt") {
            state(ex).timefmt = Some(format.to_vec());
        }
        if let Some(message) = params.get("errmsg") {
            self.error = message.to_vec();
        }
    }

    fn condition(&mut self, name: &str, params: &Params<'_>, ex: &mut Exchange, cx: &mut Services) -> Outcome<()> {
        if name == "if" && self.branch != Branch::Outside {
            return Err("the \"if\" command inside the \"if\" command".into());
        }
        if self.chosen {
            self.output = false;
            return Ok(());
        }
        let expr = params.get("expr").unwrap_or_default();
        let holds = with_shared(ex, |shared, ex| values::holds(expr, shared, ex, cx))?;
        (self.output, self.chosen, self.branch) = (holds, holds, Branch::If);
        Ok(())
    }

    fn echo(&mut self, params: &Params<'_>, ex: &mut Exchange, cx: &mut Services) -> Outcome<()> {
        let name = params.get("var").unwrap_or_default();
        let mut value = Vec::new();
        if !with_shared(ex, |shared, ex| values::variable(name, shared, ex, cx, &mut value)) {
            value.extend_from_slice(params.get("default").unwrap_or(b"(none)"));
        }
        if value.is_empty() {
            return Ok(());
        }
        match params.get("encoding") {
            None => {}
            Some(b"none") => self.encoding = Encoding::None,
            Some(b"url") => self.encoding = Encoding::Url,
            Some(b"entity") => self.encoding = Encoding::Entity,
            Some(other) => {
                let what = format_args!("unknown encoding \"{}\" in the \"echo\" command", Printable(other));
                ex.report(cx, Level::Error, what);
            }
        }
        match self.encoding {
            Encoding::None => self.made.extend_from_slice(&value),
            Encoding::Url => url_escape(&value, &mut self.made),
            Encoding::Entity => entity_escape(&value, &mut self.made),
        }
        Ok(())
    }

    fn include(&self, params: &Params<'_>, ex: &mut Exchange, cx: &mut Services) -> Outcome<Include> {
        let (stub, set) = (params.get("stub"), params.get("set"));
        let uri = match (params.get("virtual"), params.get("file")) {
            (Some(uri), Some(file)) => {
                let (uri, file) = (lossy(uri), lossy(file));
                return Err(format!("inclusion may be either virtual=\"{uri}\" or file=\"{file}\""));
            }
            (None, None) => return Err("no parameter in \"include\" SSI command".into()),
            (None, Some(file)) if params.get("wait").is_some() => {
                return Err(format!("\"wait\" cannot be used with file=\"{}\"", lossy(file)));
            }
            (Some(uri), None) | (None, Some(uri)) => uri,
        };
        if set.is_some() && stub.is_some() {
            return Err("\"set\" and \"stub\" cannot be used together in \"include\" SSI command".into());
        }
        // Includes are always sequential, so the parameter is only validated.
        if let Some(wait) = params.get("wait")
            && !wait.eq_ignore_ascii_case(b"yes")
            && !wait.eq_ignore_ascii_case(b"no")
        {
            return Err(format!("invalid value \"{}\" in the \"wait\" parameter", lossy(wait)));
        }
        let (uri, args) = with_shared(ex, |shared, ex| values::target(uri, shared, ex, cx))?;
        let stub = match stub {
            None => None,
            Some(name) => match shared(ex).block(name) {
                Some(block) => Some(block),
                None => return Err(format!("\"stub\"=\"{}\" for \"include\" not found", lossy(name))),
            },
        };
        allowed(ex, &uri)?;
        Ok(Include { uri, args, stub, sink: set.map_or(Sink::Client, |name| Sink::Variable(name.into(), Vec::new())) })
    }
}

/// Whether a page of `ex` may include another; `uri` is for the error message.
fn allowed(ex: &Exchange, uri: &[u8]) -> Outcome<()> {
    let level = ex.nesting.subrequest.as_ref().map_or(0, |sub| sub.level);
    let count = ex.nesting.ssi.as_ref().and_then(|state| state.shared.as_ref()).map_or(0, |shared| shared.includes);
    if level > DEEPEST || count >= MOST {
        return Err(format!("subrequests cycle while processing \"{}\"", Printable(uri)));
    }
    match ex.nesting.subrequest.as_ref().map(|sub| &sub.sink) {
        Some(Sink::Variable(..)) => Err(format!("nested in-memory subrequest \"{}\"", Printable(uri))),
        _ => Ok(()),
    }
}

/// The state of the page's own exchange.
fn state(ex: &mut Exchange) -> &mut SsiState {
    ex.nesting.ssi.get_or_insert_default()
}

fn shared(ex: &mut Exchange) -> &mut Shared {
    state(ex).shared()
}

/// Moves the shared state out, so that the exchange can be used to evaluate variables.
fn with_shared<T>(ex: &mut Exchange, what: impl FnOnce(&mut Shared, &mut Exchange) -> T) -> T {
    let mut taken = state(ex).shared.take().unwrap_or_default();
    let outcome = what(&mut taken, ex);
    state(ex).shared = Some(taken);
    outcome
}

/// A command in source form: the content of a block is parsed again where the block is used.
fn written(command: Command, of: &Tokens) -> Vec<u8> {
    let mut out = b"<!--#".to_vec();
    out.extend_from_slice(of.name(command));
    for (name, value) in of.params(command) {
        out.push(b' ');
        out.extend_from_slice(name);
        out.extend_from_slice(b"=\"");
        out.extend_from_slice(value);
        out.push(b'"');
    }
    out.extend_from_slice(b" -->");
    out
}

/// nginx's ngx_escape_html, which does not escape the apostrophe.
fn entity_escape(text: &[u8], out: &mut Vec<u8>) {
    for &b in text {
        match b {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(b),
        }
    }
}

/// nginx's NGX_ESCAPE_HTML: characters not allowed in attributes.
fn url_escape(text: &[u8], out: &mut Vec<u8>) {
    for &b in text {
        match b {
            0..=b' ' | b'"' | b'#' | b'%' | b'\'' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f.. => {
                let _ = write!(out, "%{b:02X}");
            }
            _ => out.push(b),
        }
    }
}

struct Row {
    name: &'static str,
    params: &'static [&'static str],
    mandatory: &'static [&'static str],
    /// For branches of an `if`: the latest branch after which it may occur.
    within: Option<Branch>,
}

const fn row(name: &'static str, params: &'static [&'static str], mandatory: &'static [&'static str]) -> Row {
    Row { name, params, mandatory, within: None }
}

const fn branch(name: &'static str, params: &'static [&'static str], last: Branch) -> Row {
    Row { name, params, mandatory: params, within: Some(last) }
}

const COMMANDS: [Row; 10] = [
    row("include", &["virtual", "file", "wait", "set", "stub"], &[]),
    row("echo", &["var", "default", "encoding"], &["var"]),
    row("config", &["errmsg", "timefmt"], &[]),
    row("set", &["var", "value"], &["var", "value"]),
    row("if", &["expr"], &["expr"]),
    branch("elif", &["expr"], Branch::If),
    branch("else", &[], Branch::If),
    branch("endif", &[], Branch::Else),
    row("block", &["name"], &["name"]),
    row("endblock", &[], &[]),
];

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Maximum number of parameters of any command.
const KNOWN: usize = 5;
const _: () = {
    let mut at = 0;
    while at < COMMANDS.len() {
        assert!(COMMANDS[at].params.len() <= KNOWN);
        at += 1;
    }
};

/// The parameters of a command, in the order of its row; each must be known and unique.
struct Params<'a> {
    names: &'static [&'static str],
    values: [Option<&'a [u8]>; KNOWN],
}

impl<'a> Params<'a> {
    fn of(params: impl Iterator<Item = (&'a [u8], &'a [u8])>, row: &Row) -> Outcome<Params<'a>> {
        let mut values = [None; KNOWN];
        for (name, value) in params {
            let known = row.params.iter().position(|known| known.as_bytes() == name);
            let Some(slot) = known.and_then(|at| values.get_mut(at)) else {
                let shown = lossy(name);
                return Err(format!("invalid parameter name: \"{shown}\" in \"{}\" SSI command", row.name));
            };
            if slot.replace(value).is_some() {
                return Err(format!("duplicate \"{}\" parameter in \"{}\" SSI command", lossy(name), row.name));
            }
        }
        let params = Params { names: row.params, values };
        match row.mandatory.iter().find(|name| params.get(name).is_none()) {
            Some(name) => Err(format!("mandatory \"{name}\" parameter is absent in \"{}\" SSI command", row.name)),
            None => Ok(params),
        }
    }

    fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.names.iter().zip(self.values).find(|(known, _)| **known == name).and_then(|(_, value)| value)
    }
}

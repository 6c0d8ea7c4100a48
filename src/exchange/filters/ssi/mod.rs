//! Server side includes: a response whose page has commands in it.
//!
//! | module | subject |
//! |---|---|
//! | [`parse`] | a page as text and commands, piece by piece |
//! | [`values`] | variables, expressions and URIs of commands |
//! | [`page`] | a page on its way to the client |
//! | [`include`] | what a page includes: a request of its own |
//!
//! Where a response is a page, its head says neither length nor ranges nor, as a rule, when it changed; its body is made
//! by a [`Page`], which the connection drives. An upstream's page is gathered first: its connection is free for
//! another by the time the page includes something.

pub mod include;
pub mod page;
mod parse;
mod values;

use crate::exchange::Exchange;
use crate::exchange::body_encoder::{Encoder, Flush, Source};
use crate::exchange::response::Body;
use crate::exchange::send_queue::OutQueue;
use crate::services::temp_dir::{Failure, Keep, TempFile};
use crate::sys::Errno;
use crate::sys::clock::{self, Zone};
use page::{Input, Page};
use parse::Parser;
use std::ffi::CString;
use std::rc::Rc;

/// Bytes of an upstream's page that are gathered in memory.
const GATHERED: usize = 64 << 10;

/// What is kept for the pages of an exchange.
#[derive(Default)]
pub struct State {
    /// `config timefmt`.
    pub timefmt: Option<Vec<u8>>,
    pub shared: Shared,
}

/// What all pages of a request share; it is with the one that is being read.
#[derive(Default)]
pub struct Shared {
    /// By `set`, by `include … set`, by groups of a regex; names in lower case.
    variables: Vec<(Box<[u8]>, Vec<u8>)>,
    /// Groups of the last regex that matched.
    groups: Vec<Vec<u8>>,
    blocks: Vec<(Box<[u8]>, Vec<u8>)>,
    includes: u32,
}

/// What a page asks for.
pub struct Include {
    uri: Vec<u8>,
    args: Vec<u8>,
    /// Said instead of an error or of nothing.
    stub: Option<Rc<[u8]>>,
    sink: Sink,
}

/// Where what is included goes.
pub enum Sink {
    Client,
    /// `set`: the variable of that name.
    Variable(Box<[u8]>, Vec<u8>),
    /// It was too long for the variable.
    Nowhere,
}

/// How the whole answer's body goes out: what the parts of a page write into.
#[derive(Default)]
pub struct Frame {
    pub encoder: Option<Box<Encoder>>,
}

impl Frame {
    /// A piece of the body.
    pub fn write(&mut self, piece: &[u8], flush: Flush, out: &mut OutQueue) {
        let mut made = Vec::new();
        let piece = match &mut self.encoder {
            None => piece,
            Some(encoder) => {
                encoder.push(piece, flush, &mut made);
                &made
            }
        };
        out.data(piece);
    }
}

/// An upstream's page, as far as it has come.
#[derive(Default)]
pub struct Gathered {
    memory: Vec<u8>,
    file: Option<TempFile>,
    /// There was no file to be had, or no room in it.
    failed: Option<Errno>,
}

impl Gathered {
    fn push(&mut self, ex: &Exchange, piece: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.memory.extend_from_slice(piece);
        if self.memory.len() > GATHERED
            && let Err(failure) = self.spill(ex)
        {
            self.failed = Some(failure.errno);
        }
    }

    /// Moves what is in memory to the file.
    fn spill(&mut self, ex: &Exchange) -> Result<(), Failure> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(TempFile::create(&ex.here().settings.body.temp, Keep::Unnamed)?),
        };
        file.append(&self.memory)?;
        self.memory.clear();
        Ok(())
    }
}

impl Shared {
    fn begin_block(&mut self, name: &[u8]) {
        self.blocks.push((name.into(), Vec::new()));
    }

    /// Content of the block that was begun last.
    fn put_away(&mut self, content: &[u8]) {
        if let Some((_, block)) = self.blocks.last_mut() {
            block.extend_from_slice(content);
        }
    }

    fn block(&self, name: &[u8]) -> Option<Rc<[u8]>> {
        self.blocks.iter().find(|(known, _)| **known == *name).map(|(_, content)| content[..].into())
    }
}

/// Whether the response is a page that is read for commands.
fn is_page(ex: &Exchange) -> bool {
    let ssi = &ex.here().settings.ssi;
    ssi.on
        && !ex.response.encoded
        && super::length(&ex.response.body) != Some(0)
        && ssi.types.contains(ex.response.content_type.as_bytes())
}

fn parser(ex: &Exchange) -> Parser {
    Parser::new(ex.here().settings.ssi.value_length.0 as usize)
}

/// Where the response is a page: takes from its head what does not hold for what is made of it, and has it made.
pub fn apply(ex: &mut Exchange) -> Option<Box<Page>> {
    if !ex.here().settings.ssi.on || !is_page(ex) {
        return None;
    }
    ex.response.ranges = false;
    ex.response.window = None;
    ex.response.fields.remove(b"accept-ranges");
    if ex.here().settings.ssi.last_modified {
        ex.response.weaken();
    } else {
        ex.response.last_modified = None;
        ex.response.etag = None;
        ex.response.fields.remove(b"last-modified");
        ex.response.fields.remove(b"etag");
    }
    if super::has_no_body(ex) {
        ex.response.body = Body::Stream { length: None };
        return None;
    }
    match begin(ex) {
        Begun::Page(page) => Some(page),
        Begun::Gathered | Begun::No => None,
    }
}

/// What became of the body.
enum Begun {
    Page(Box<Page>),
    /// It is an upstream's page, read once it is whole.
    Gathered,
    /// It is no page.
    No,
}

/// Puts the page in the place of the body.
fn begin(ex: &mut Exchange) -> Begun {
    if !is_page(ex) {
        return Begun::No;
    }
    let recode = ex.response.recode.take();
    let source = match std::mem::take(&mut ex.response.body) {
        Body::File(file) => {
            let end = file.stat.size;
            Source::file(file, 0, end).recode(recode)
        }
        Body::Bytes(bytes) => Source::bytes(bytes),
        Body::Shared(bytes) => Source::bytes(bytes.to_vec()),
        Body::Made(source) => *source,
        Body::Stream { .. } => {
            ex.response.gathered = Some(Box::default());
            ex.response.body = Body::Stream { length: None };
            return Begun::Gathered;
        }
        body => {
            ex.response.body = body;
            return Begun::No;
        }
    };
    ex.response.body = Body::Stream { length: None };
    Begun::Page(Box::new(Page::new(Input::Made(Box::new(source)), Some(parser(ex)))))
}

/// A piece of an upstream's page. False: the response is none.
pub fn gather(ex: &mut Exchange, piece: &[u8]) -> bool {
    let Some(mut gathered) = ex.response.gathered.take() else { return false };
    gathered.push(ex, piece);
    ex.response.gathered = Some(gathered);
    true
}

/// The upstream's page is complete: it is read now. None: the response is none.
pub fn gathered(ex: &mut Exchange) -> Option<Box<Page>> {
    let mut gathered = ex.response.gathered.take()?;
    if gathered.file.is_some() && gathered.failed.is_none() {
        gathered.failed = gathered.spill(ex).err().map(|failure| failure.errno);
    }
    let input = match (gathered.failed, gathered.file) {
        (Some(errno), _) => Input::Lost(errno),
        (None, Some(file)) => Input::Temp(file, 0),
        (None, None) => Input::Made(Box::new(Source::bytes(gathered.memory))),
    };
    Some(Box::new(Page::new(input, Some(parser(ex)))))
}

/// `$date_local` and `$date_gmt`, in the format that the page has set. None: the format gives nothing.
pub fn date(ex: &Exchange, unix: i64, zone: Zone) -> Option<Vec<u8>> {
    const DEFAULT: &[u8] = b"%A, %d-%b-%Y %H:%M:%S %Z";
    let format = ex.ssi.as_ref().and_then(|state| state.timefmt.as_deref()).unwrap_or(DEFAULT);
    if format == b"%s" {
        return Some(unix.to_string().into_bytes());
    }
    let format = CString::new(format).ok()?;
    Some(clock::strftime(&format, unix, zone)).filter(|text| !text.is_empty())
}

//! State of pages with SSI commands. Knows no exchange.

use crate::config::settings::body::TempPath;
use crate::exchange::body_encoder::{Encoder, Flush};
use crate::exchange::send_queue::SendQueue;
use crate::services::descriptors::Descriptors;
use crate::services::temp_dir::{Keep, TempFile, TempFileError};
use crate::sys::Errno;
use crate::util::hash::FastMap;
use std::rc::Rc;

/// Bytes of an upstream's page collected in memory; more go to a file.
const GATHERED: usize = 64 << 10;
/// Maximum bytes of all variables and blocks of a request, and the accounted overhead of each: a page could double a
/// variable again and again.
const HELD: usize = 1 << 20;
/// Bytes that each variable or block counts for besides its content.
pub const ENTRY: usize = 256;

/// State of the pages of an exchange.
#[derive(Default)]
pub struct SsiState {
    /// `config timefmt`.
    pub timefmt: Option<Vec<u8>>,
    /// None: not created yet, or moved out.
    pub shared: Option<Box<Shared>>,
}

impl SsiState {
    /// Creates it at the first command that needs it.
    pub fn shared(&mut self) -> &mut Shared {
        self.shared.get_or_insert_default()
    }
}

/// State shared by all pages of a request; it moves with the page being processed.
#[derive(Default)]
pub struct Shared {
    /// From `set`, `include … set` and groups of regexes; names are in lower case.
    pub variables: FastMap<Box<[u8]>, Vec<u8>>,
    /// Groups of the last matching regex.
    pub groups: Vec<Vec<u8>>,
    blocks: Vec<Vec<u8>>,
    /// The first block of each name.
    block_names: FastMap<Box<[u8]>, usize>,
    /// The number of include commands executed so far.
    pub includes: u32,
    /// Bytes accounted against [`HELD`].
    pub held: usize,
}

/// An include command of a page.
pub struct Include {
    /// The normalised path of the subrequest.
    pub uri: Vec<u8>,
    /// Its arguments, without `?`.
    pub args: Vec<u8>,
    /// Sent instead of an error or empty response.
    pub stub: Option<Rc<[u8]>>,
    /// Where the response's body goes.
    pub sink: Sink,
}

/// Where the output of a subrequest goes.
pub enum Sink {
    /// Into the response, in the place of the command.
    Client,
    /// auth_request: only its status and header fields matter.
    Verdict,
    /// `set`: the variable of that name.
    Variable(Box<[u8]>, Vec<u8>),
    /// Discarded, since it is too long for the variable; its length, if that was known before.
    Nowhere { size: Option<u64> },
}

/// How the body of the whole response is framed; parts of a page write into it.
#[derive(Default)]
pub struct Frame {
    /// gzip or charset of the whole response; None: its bytes go as they are.
    pub encoder: Option<Box<Encoder>>,
}

impl Frame {
    /// A piece of the body.
    pub fn write(&mut self, piece: &[u8], flush: Flush, out: &mut SendQueue) {
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

/// An upstream's page, as far as it has arrived.
#[derive(Default)]
pub struct Gathered {
    /// Its bytes, until there are more than fit in memory.
    pub memory: Vec<u8>,
    /// All of its bytes, once there are more.
    pub file: Option<TempFile>,
    /// The file could not be created or written.
    pub failed: Option<Errno>,
}

impl Gathered {
    /// Appends a piece. A failed file is noted in `failed`, and nothing more is kept.
    pub fn push(&mut self, temp: &TempPath, piece: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.memory.extend_from_slice(piece);
        if self.memory.len() > GATHERED
            && let Err(failure) = self.spill(temp)
        {
            self.failed = Some(failure.errno);
        }
    }

    /// Moves the bytes in memory to the file. May use a reserved descriptor, since the page would be lost otherwise.
    pub fn spill(&mut self, temp: &TempPath) -> Result<(), TempFileError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(TempFile::create(temp, Keep::Unnamed, Descriptors::default())?),
        };
        file.append(&self.memory)?;
        self.memory.clear();
        Ok(())
    }
}

impl Shared {
    /// Accounts for bytes that a page wants to store.
    pub fn hold(&mut self, bytes: usize) -> Result<(), String> {
        if self.held + bytes > HELD {
            return Err(format!("variables and blocks of a page come to more than {HELD} bytes"));
        }
        self.held += bytes;
        Ok(())
    }

    /// `block name=`: text up to `endblock` goes there. The first of several blocks of one name counts (nginx).
    pub fn begin_block(&mut self, name: &[u8]) {
        self.held += ENTRY;
        self.block_names.entry(name.into()).or_insert(self.blocks.len());
        self.blocks.push(Vec::new());
    }

    /// Appends content to the current block.
    pub fn put_away(&mut self, content: &[u8]) {
        if self.hold(content.len()).is_ok()
            && let Some(block) = self.blocks.last_mut()
        {
            block.extend_from_slice(content);
        }
    }

    /// The content of a block, for `stub=`. None: no block of the page has that name.
    pub fn block(&self, name: &[u8]) -> Option<Rc<[u8]>> {
        self.blocks.get(*self.block_names.get(name)?).map(|content| content[..].into())
    }
}

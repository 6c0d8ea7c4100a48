//! FastCGI records, sans-IO: what a web server sends to an application, and what comes back.
//!
//! The encoder writes one request; several requests at once over one connection do not happen here, so the id is always
//! [`ID`] and a record with another one is refused. [`Reader`] keeps nothing of what it passes on: its events are
//! ranges of the caller's bytes, and they do not depend on how those were split.

use std::fmt;
use std::ops::Range;

/// The id of the one request of a connection.
const ID: u16 = 1;
const VERSION: u8 = 1;
/// Bytes of a record's header.
const HEADER: usize = 8;
/// The most content of a record that is sent: a multiple of 8, so that only the last one needs padding.
const PIECE: usize = 65_528;

const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// What an application is asked to be.
const RESPONDER: u8 = 1;
/// Flag of a request: the application leaves the connection open afterwards.
const KEEP_CONN: u8 = 1;

/// The start of a request.
pub fn begin(out: &mut Vec<u8>, keep_conn: bool) {
    record_header(out, BEGIN_REQUEST, 8, 0);
    out.extend_from_slice(&[0, RESPONDER, if keep_conn { KEEP_CONN } else { 0 }, 0, 0, 0, 0, 0]);
}

/// A parameter, encoded for the stream of [`params`].
pub fn pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    pair_length(out, name.len());
    pair_length(out, value.len());
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// As [`pair`]; `write` appends the value. Gives where it begins.
pub fn pair_of(out: &mut Vec<u8>, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) -> usize {
    pair_length(out, name.len());
    let at = out.len();
    out.push(0);
    out.extend_from_slice(name);
    let start = out.len();
    write(out);
    let length = out.len().saturating_sub(start);
    match (out.get_mut(at), u8::try_from(length)) {
        (Some(place), Ok(short @ 0..=0x7f)) => *place = short,
        _ => drop(out.splice(at..=at, (length as u32 | 1 << 31).to_be_bytes())),
    }
    out.len() - length
}

fn pair_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => out.push(short),
        // Heads are far smaller than the 2 GiB that a length may be.
        _ => out.extend_from_slice(&(length as u32 | 1 << 31).to_be_bytes()),
    }
}

/// All parameters and the end of their stream. `pairs`: what [`pair`] wrote.
pub fn params(out: &mut Vec<u8>, pairs: &[u8]) {
    stream(out, PARAMS, pairs);
    record_header(out, PARAMS, 0, 0);
}

/// A piece of the request's body.
pub fn stdin(out: &mut Vec<u8>, piece: &[u8]) {
    stream(out, STDIN, piece);
}

/// The end of the request's body; sent for requests without a body too.
pub fn stdin_end(out: &mut Vec<u8>) {
    record_header(out, STDIN, 0, 0);
}

fn stream(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    for piece in bytes.chunks(PIECE) {
        let padding = piece.len().wrapping_neg() % 8;
        record_header(out, kind, piece.len() as u16, padding as u8);
        out.extend_from_slice(piece);
        out.extend_from_slice(&[0; 8][..padding]);
    }
}

fn record_header(out: &mut Vec<u8>, kind: u8, length: u16, padding: u8) {
    let [id_high, id_low] = ID.to_be_bytes();
    let [high, low] = length.to_be_bytes();
    out.extend_from_slice(&[VERSION, kind, id_high, id_low, high, low, padding, 0]);
}

/// What an application sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// All input is used up.
    More,
    /// Bytes of the response, in the caller's input.
    Stdout(Range<usize>),
    /// An empty FCGI_STDOUT record: the response is complete, though FCGI_END_REQUEST is still to come.
    StdoutEnd,
    /// Words for the error log, in the caller's input.
    Stderr(Range<usize>),
    /// The request is over.
    End(End),
}

/// How the application ended a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The program's exit status, as it would be for CGI.
    pub app_status: u32,
    /// 0 is a request that was served; the others say why it was not.
    pub protocol_status: u8,
}

/// What one step of the reader took and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    pub event: Event,
}

/// A record that cannot be understood; nginx's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidRecord {
    /// The version byte, which must be 1.
    Version(u8),
    /// The record type, which an application does not send.
    Kind(u8),
    /// The request id, which must be [`ID`].
    Id(u16),
    /// An END_REQUEST record that is shorter than its content.
    Short,
}

impl fmt::Display for InvalidRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidRecord::Version(version) => {
                write!(f, "upstream sent unsupported FastCGI protocol version: {version}")
            }
            InvalidRecord::Kind(kind) => write!(f, "upstream sent invalid FastCGI record type: {kind}"),
            InvalidRecord::Id(id) => {
                let [high, low] = id.to_be_bytes();
                let (which, byte) = if high == ID.to_be_bytes()[0] { ("low", low) } else { ("high", high) };
                write!(f, "upstream sent unexpected FastCGI request id {which} byte: {byte}")
            }
            InvalidRecord::Short => f.write_str("upstream sent too short FastCGI end request record"),
        }
    }
}

/// Reads the records of one response.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// A header, or the content of END_REQUEST, that is not complete.
    held: [u8; HEADER],
    have: usize,
    kind: u8,
    /// Bytes of content, then of padding, that are still to come.
    content: usize,
    padding: usize,
    inside: bool,
    ended: bool,
}

impl Reader {
    /// The request is over: nothing else may come.
    pub fn is_ended(&self) -> bool {
        self.ended && self.content == 0 && self.padding == 0
    }

    /// The next event of `input`, whose first byte follows the last one consumed.
    ///
    /// # Errors
    /// The rule that a record breaks; the connection is of no more use.
    pub fn next(&mut self, input: &[u8]) -> Result<ReadRecord, InvalidRecord> {
        let mut at = 0;
        loop {
            if !self.inside && !self.header(input, &mut at)? {
                return Ok(ReadRecord { consumed: at, event: Event::More });
            }
            if let Some(event) = self.content(input, &mut at)? {
                return Ok(ReadRecord { consumed: at, event });
            }
            let skipped = self.padding.min(input.len() - at);
            self.padding -= skipped;
            at += skipped;
            self.inside = self.content > 0 || self.padding > 0;
            if self.inside {
                return Ok(ReadRecord { consumed: at, event: Event::More });
            }
        }
    }

    /// False: it is not complete.
    fn header(&mut self, input: &[u8], at: &mut usize) -> Result<bool, InvalidRecord> {
        if !self.hold(input, at) {
            return Ok(false);
        }
        let [version, kind, id_high, id_low, high, low, padding, _] = self.held;
        if version != VERSION {
            return Err(InvalidRecord::Version(version));
        }
        if !matches!(kind, STDOUT | STDERR | END_REQUEST) {
            return Err(InvalidRecord::Kind(kind));
        }
        let id = u16::from_be_bytes([id_high, id_low]);
        if id != ID {
            return Err(InvalidRecord::Id(id));
        }
        self.kind = kind;
        self.content = usize::from(u16::from_be_bytes([high, low]));
        self.padding = usize::from(padding);
        self.inside = true;
        if kind == END_REQUEST && self.content < HEADER {
            return Err(InvalidRecord::Short);
        }
        self.ended |= kind == END_REQUEST;
        // An empty record ends its stream, which is an event though it has no bytes.
        if kind == STDOUT && self.content == 0 {
            self.kind = 0;
        }
        Ok(true)
    }

    fn content(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Event>, InvalidRecord> {
        if self.kind == 0 {
            self.kind = STDOUT;
            return Ok(Some(Event::StdoutEnd));
        }
        if self.content == 0 {
            return Ok(None);
        }
        if self.kind == END_REQUEST {
            return Ok(self.end(input, at));
        }
        let length = self.content.min(input.len() - *at);
        if length == 0 {
            return Ok(None);
        }
        let range = *at..*at + length;
        *at += length;
        self.content -= length;
        Ok(Some(if self.kind == STDOUT { Event::Stdout(range) } else { Event::Stderr(range) }))
    }

    fn end(&mut self, input: &[u8], at: &mut usize) -> Option<Event> {
        if !self.hold(input, at) {
            return None;
        }
        let [a, b, c, d, protocol_status, ..] = self.held;
        // Whatever stands behind what is known is skipped with the padding.
        self.padding += self.content - HEADER;
        self.content = 0;
        Some(Event::End(End { app_status: u32::from_be_bytes([a, b, c, d]), protocol_status }))
    }

    /// Fills `held`. True: it is complete.
    fn hold(&mut self, input: &[u8], at: &mut usize) -> bool {
        let rest = input.get(*at..).unwrap_or_default();
        let taken = rest.len().min(HEADER - self.have);
        self.held[self.have..self.have + taken].copy_from_slice(&rest[..taken]);
        self.have += taken;
        *at += taken;
        let whole = self.have == HEADER;
        if whole {
            self.have = 0;
        }
        whole
    }
}

#[cfg(test)]
mod tests;

//! `multipart/form-data` (RFC 7578, RFC 2046 §5.1) as a stream: part heads are copied, data stays in the caller's
//! buffer.
//!
//! Nothing is carried between reads but how many bytes of the delimiter have matched, so the carry is bounded and its
//! bytes are known without having been stored. CR stands in the delimiter only as its first byte: after a mismatch no
//! shorter match can be hidden in what was held back.

use super::disposition::{self, parameters};
use super::field_syntax::split_field;
use super::reject::Reject;
use memchr::memmem::Finder;
use std::ops::Range;

/// Maximum bytes of the header lines of one part.
const HEADERS: usize = 8192;
/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY: usize = 70;

/// What the header lines of a part say.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct PartHead {
    /// `name` of its Content-Disposition: the form field.
    pub name: Option<Vec<u8>>,
    /// Present, even if empty, for a file field; the client's word, not a safe name.
    pub filename: Option<Vec<u8>>,
    /// The value of Content-Type as sent; None: `text/plain` by default (RFC 7578 §4.4).
    pub content_type: Option<Vec<u8>>,
    /// Values of its Content-Digest and Repr-Digest lines (RFC 9530): both are of the part's data.
    pub digests: Vec<Vec<u8>>,
}

/// What [`Multipart::next`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The input is used up.
    More,
    /// The head of a part is complete; its data follows.
    Part(PartHead),
    /// Bytes of the part, as a range of the input.
    Data(Range<usize>),
    /// Bytes of the part that were held back on an earlier call because a delimiter might have begun with them.
    Held(&'a [u8]),
    /// A delimiter: the part's data is complete.
    PartEnd,
    /// The closing delimiter; all that follows is skipped.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Preamble,
    /// After a delimiter: `--` closes, blanks and CRLF open a part.
    Tail,
    TailDash,
    TailBlank,
    TailLf,
    Headers,
    Data,
    Finished,
}

/// The parser of one body. Feed it the unread bytes until it says [`Event::More`] having consumed them all.
#[derive(Clone, Debug)]
pub struct Multipart {
    finder: Finder<'static>,
    state: State,
    /// Bytes of the delimiter matched at the end of the last input.
    held: usize,
    /// Of these, bytes that are not data if the match fails: the line end before the part's data, which may belong to
    /// the delimiter when the part is empty, or the start of the body.
    lent: usize,
    /// The header lines of the current part, each with its CRLF.
    lines: Vec<u8>,
    /// Start of the unfinished line in `lines`.
    line: usize,
}

/// The boundary of a `multipart/form-data` Content-Type; `None` for another type, or a boundary that is missing,
/// repeated or not 1 to 70 visible bytes.
pub fn boundary_of(content_type: &[u8]) -> Option<Vec<u8>> {
    const TYPE: &[u8] = b"multipart/form-data";
    let (kind, rest) = content_type.split_at_checked(TYPE.len())?;
    if !kind.eq_ignore_ascii_case(TYPE) {
        return None;
    }
    let mut boundary = None;
    for parameter in parameters(rest) {
        let (name, value) = parameter?;
        if name.eq_ignore_ascii_case(b"boundary") && boundary.replace(value).is_some() {
            return None;
        }
    }
    boundary.filter(|b| is_boundary(b))
}

fn is_boundary(boundary: &[u8]) -> bool {
    (1..=BOUNDARY).contains(&boundary.len())
        && boundary.iter().all(|b| matches!(b, b' '..=b'~'))
        && boundary.last() != Some(&b' ')
}

/// What follows the beginning of a delimiter.
enum DelimiterMatch {
    /// All of it, in this many bytes.
    ToItsEnd(usize),
    /// All bytes that there are belong to it.
    SoFar,
    /// It was none: these bytes of it were held back.
    No(std::ops::Range<usize>),
}

impl Multipart {
    /// # Errors
    /// `BadMultipart` if the boundary is not 1 to 70 visible bytes.
    pub fn new(boundary: &[u8]) -> Result<Multipart, Reject> {
        if !is_boundary(boundary) {
            return Err(Reject::BadMultipart("malformed boundary"));
        }
        let delimiter = [b"\r\n--", boundary].concat();
        Ok(Multipart {
            finder: Finder::new(&delimiter).into_owned(),
            state: State::Preamble,
            // The first delimiter may stand at the very start, as if a line end came before it.
            held: 2,
            lent: 2,
            lines: Vec::new(),
            line: 0,
        })
    }

    /// The closing delimiter was seen. A body that ends before is cut short: its last part must not be kept.
    pub fn finished(&self) -> bool {
        self.state == State::Finished
    }

    /// Takes the next event out of `input`; the first number is the bytes that are dealt with.
    ///
    /// # Errors
    /// `BadMultipart` for malformed delimiters and part headers, `HeaderTooLarge` past 8 KiB of them.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Event<'_>), Reject> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Preamble | State::Data if self.held > 0 => match self.goes_on(&input[at..]) {
                    DelimiterMatch::ToItsEnd(used) => {
                        at += used;
                        if let Some(event) = self.delimiter() {
                            return Ok((at, event));
                        }
                    }
                    DelimiterMatch::SoFar => return Ok((input.len(), Event::More)),
                    DelimiterMatch::No(held) if self.state == State::Data && !held.is_empty() => {
                        return Ok((at, Event::Held(&self.finder.needle()[held])));
                    }
                    DelimiterMatch::No(_) => {}
                },
                State::Preamble | State::Data => {
                    let rest = &input[at..];
                    let (data, used) = match self.finder.find(rest) {
                        Some(0) => {
                            at += self.finder.needle().len();
                            match self.delimiter() {
                                Some(event) => return Ok((at, event)),
                                None => continue,
                            }
                        }
                        Some(found) => (found, found),
                        None => {
                            self.held = self.suffix(rest);
                            (rest.len() - self.held, rest.len())
                        }
                    };
                    let start = at;
                    at += used;
                    if self.state == State::Data && data > 0 {
                        return Ok((at, Event::Data(start..start + data)));
                    }
                }
                State::Headers => {
                    at += self.header_bytes(&input[at..])?;
                    if self.state == State::Data {
                        let head = self.part_head()?;
                        return Ok((at, Event::Part(head)));
                    }
                }
                State::Finished => return Ok((input.len(), Event::More)),
                State::Tail | State::TailDash | State::TailBlank | State::TailLf => {
                    at += 1;
                    self.tail(byte)?;
                    if self.state == State::Finished {
                        return Ok((at, Event::End));
                    }
                }
            }
        }
        Ok((at, Event::More))
    }

    /// Whether the delimiter that the bytes before may have begun goes on in these.
    fn goes_on(&mut self, rest: &[u8]) -> DelimiterMatch {
        let missing = self.finder.needle().get(self.held..).unwrap_or_default();
        let same = rest.iter().zip(missing).take_while(|(a, b)| a == b).count();
        if same == missing.len() {
            return DelimiterMatch::ToItsEnd(same);
        }
        if same == rest.len() {
            self.held += same;
            return DelimiterMatch::SoFar;
        }
        let held = self.lent..self.held;
        (self.held, self.lent) = (0, 0);
        DelimiterMatch::No(held)
    }

    /// A whole delimiter was seen.
    fn delimiter(&mut self) -> Option<Event<'static>> {
        let before = std::mem::replace(&mut self.state, State::Tail);
        (self.held, self.lent) = (0, 0);
        (before == State::Data).then_some(Event::PartEnd)
    }

    /// How many bytes at the end of `text` a delimiter may begin with.
    fn suffix(&self, text: &[u8]) -> usize {
        let needle = self.finder.needle();
        let near = text.len().saturating_sub(needle.len() - 1);
        match memchr::memrchr(b'\r', &text[near..]) {
            Some(found) if needle.starts_with(&text[near + found..]) => text.len() - near - found,
            _ => 0,
        }
    }

    /// One byte after a delimiter. Blanks are transport padding (RFC 2046 §5.1.1); a bare LF is refused, since to
    /// others it would not be a delimiter line at all.
    fn tail(&mut self, byte: u8) -> Result<(), Reject> {
        self.state = match (self.state, byte) {
            (State::Tail, b'-') => State::TailDash,
            (State::TailDash, b'-') => State::Finished,
            (State::Tail | State::TailBlank, b' ' | b'\t') => State::TailBlank,
            (State::Tail | State::TailBlank, b'\r') => State::TailLf,
            (State::TailLf, b'\n') => {
                self.lines.clear();
                self.line = 0;
                State::Headers
            }
            _ => return Err(Reject::BadMultipart("junk after a boundary")),
        };
        Ok(())
    }

    /// Copies header bytes up to the next line end and returns their number; the empty line turns the state to data.
    fn header_bytes(&mut self, input: &[u8]) -> Result<usize, Reject> {
        let end = memchr::memchr(b'\n', input).map_or(input.len(), |at| at + 1);
        let piece = &input[..end];
        if self.lines.len() + piece.len() > HEADERS {
            return Err(Reject::HeaderTooLarge { limit: HEADERS });
        }
        self.lines.extend_from_slice(piece);
        if piece.ends_with(b"\n") {
            match self.lines.get(self.line..) {
                Some(b"\r\n") => {
                    self.lines.truncate(self.line);
                    self.state = State::Data;
                    // That CRLF may already be the delimiter's, in a part without data.
                    (self.held, self.lent) = (2, 2);
                }
                Some([.., b'\r', b'\n']) => self.line = self.lines.len(),
                _ => return Err(Reject::BadMultipart("a bare LF in the headers of a part")),
            }
        }
        Ok(end)
    }

    fn part_head(&self) -> Result<PartHead, Reject> {
        let mut head = PartHead::default();
        let mut has_disposition = false;
        for line in self.lines.split_inclusive(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\r\n").unwrap_or(line);
            let (name_len, value) = split_field(line)?;
            let (name, value) = (&line[..name_len], &line[value]);
            if name.eq_ignore_ascii_case(b"content-disposition") {
                let parsed =
                    disposition::parse(value).ok_or(Reject::BadMultipart("malformed Content-Disposition of a part"))?;
                if std::mem::replace(&mut has_disposition, true) || parsed.kind != b"form-data" {
                    return Err(Reject::BadMultipart("Content-Disposition of a part is repeated or not form-data"));
                }
                (head.name, head.filename) = (parsed.name, parsed.filename);
            } else if name.eq_ignore_ascii_case(b"content-type") {
                if head.content_type.replace(value.to_vec()).is_some() {
                    return Err(Reject::BadMultipart("Content-Type of a part is repeated"));
                }
            } else if name.eq_ignore_ascii_case(b"content-digest") || name.eq_ignore_ascii_case(b"repr-digest") {
                head.digests.push(value.to_vec());
            } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") && !is_identity(value) {
                // Deprecated (RFC 7578 §4.7). To store the coded text as the file would corrupt it silently.
                return Err(Reject::BadMultipart("Content-Transfer-Encoding of a part is not supported"));
            }
        }
        Ok(head)
    }
}

fn is_identity(encoding: &[u8]) -> bool {
    [&b"binary"[..], b"8bit", b"7bit"].iter().any(|known| known.eq_ignore_ascii_case(encoding))
}

#[cfg(test)]
mod tests;

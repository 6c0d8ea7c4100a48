//! Which upstreams a request used, for `$upstream_*`, `$proxy_*` and the error log; kept until the next request.

use super::connection_options::ConnectionOptions;
use crate::config::settings::proxy_pass::Protocol;
use crate::http::body_length::BodyLength;
use crate::http::field::Field;
use crate::http::fields::Fields;
use crate::http::header::HeaderId;
use crate::http::upstream_head::UpstreamHead;
use std::io::Write;
use std::rc::Rc;

/// The requests to upstreams on behalf of one client request.
#[derive(Default)]
pub struct UpstreamRecord {
    /// The protocol of the last upstream.
    pub protocol: Protocol,
    /// Attempts, in order; separators between those of different locations.
    pub tries: Vec<Try>,
    /// The head of the last response; None: no response arrived.
    pub head: Option<Rc<ReceivedHead>>,
    /// The trailers of the last response.
    pub trailers: Fields,
    /// The request body if it was streamed and is small (`$request_body`).
    streamed: Streamed,
    /// `$proxy_host` and `$proxy_port`.
    pub host: Option<Rc<[u8]>>,
    /// Empty: `$proxy_port` is not set.
    pub port: Option<Rc<[u8]>>,
    /// The announced length of the last request's body, for HTTP.
    pub announced: Option<BodyLength>,
    /// The server is reached over TLS.
    pub is_secure: bool,
    /// What is requested from the current server.
    pub asks: Option<Rc<RequestTarget>>,
}

/// Where a request goes, for the request line and `Host`.
#[derive(Default)]
pub struct RequestTarget {
    /// `Host` of the request, or what `$proxy_host` is.
    pub host: Rc<[u8]>,
    /// The target of the request line.
    pub uri: Vec<u8>,
}

/// A response head with the bytes it was parsed from.
#[derive(Default)]
pub struct ReceivedHead {
    /// Its spans are offsets into `bytes`.
    pub head: UpstreamHead,
    /// The head, and perhaps what came with it.
    pub bytes: Vec<u8>,
}

impl ReceivedHead {
    /// The value of the first field with this id.
    pub fn get(&self, id: HeaderId) -> Option<&[u8]> {
        self.head.value(&self.bytes, id)
    }

    /// The options of its Connection fields, but for a plain `keep-alive`: Keep-Alive is passed on in no case, and to
    /// list and sort that one option took 600 instructions of each response.
    pub fn connection_options(&self) -> ConnectionOptions<'_> {
        let mut values = self.fields().filter(|(field, ..)| field.id == HeaderId::Connection).map(|(.., value)| value);
        match (values.next(), values.next()) {
            (None, _) => ConnectionOptions::default(),
            (Some(one), None) if one.eq_ignore_ascii_case(b"keep-alive") => ConnectionOptions::default(),
            (first, second) => ConnectionOptions::of(first.into_iter().chain(second).chain(values)),
        }
    }

    /// All fields with their names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&Field, &[u8], &[u8])> {
        self.head.fields.iter().map(|field| (field, field.name.of(&self.bytes), field.value.of(&self.bytes)))
    }
}

/// What is kept of a streamed request body.
#[derive(Default)]
enum Streamed {
    #[default]
    Nothing,
    Bytes(Vec<u8>),
    TooMany,
}

/// An attempt at one server. Times are milliseconds since `started`; None: that step was not reached.
#[derive(Default)]
pub struct Try {
    /// Empty: a separator; the following attempts belong to another location (an internal redirect).
    pub peer: Rc<str>,
    /// 0: no response arrived.
    pub status: u16,
    /// Monotonic milliseconds.
    pub started: u64,
    /// The connection was made, and TLS agreed on (`$upstream_connect_time`).
    pub connect: Option<u64>,
    /// The head had arrived (`$upstream_header_time`).
    pub header: Option<u64>,
    /// The attempt was over (`$upstream_response_time`).
    pub response: Option<u64>,
    /// Bytes of the body that arrived, without their framing (`$upstream_response_length`).
    pub length: u64,
    /// Bytes that arrived, head and framing included (`$upstream_bytes_received`).
    pub received: u64,
    /// Bytes of the request that the server took (`$upstream_bytes_sent`).
    pub sent: u64,
}

/// The value of a variable for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptFact {
    /// `$upstream_addr`.
    Addr,
    /// `$upstream_status`.
    Status,
    /// `$upstream_connect_time`.
    ConnectTime,
    /// `$upstream_header_time`.
    HeaderTime,
    /// `$upstream_response_time`.
    ResponseTime,
    /// `$upstream_response_length`.
    Length,
    /// `$upstream_bytes_received`.
    Received,
    /// `$upstream_bytes_sent`.
    Sent,
}

impl Try {
    /// An attempt that begins; `started` in monotonic milliseconds.
    pub fn of(peer: Rc<str>, started: u64) -> Try {
        Try { peer, started, status: 0, connect: None, header: None, response: None, length: 0, received: 0, sent: 0 }
    }
}

impl UpstreamRecord {
    /// Clears everything; the list of attempts keeps its capacity.
    pub fn clear(&mut self) {
        let mut tries = std::mem::take(&mut self.tries);
        tries.clear();
        *self = UpstreamRecord { tries, ..UpstreamRecord::default() };
    }

    /// The request continues in another location, which has not passed anything on yet.
    pub fn leave(&mut self) {
        (self.host, self.port, self.announced) = (None, None, None);
    }

    /// All fields of the last response with their names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&Field, &[u8], &[u8])> {
        self.head.iter().flat_map(|head| head.fields())
    }

    /// Keeps a piece of a streamed request body. `limit`: the maximum size to keep.
    pub fn keep_streamed(&mut self, piece: &[u8], limit: usize) {
        match &mut self.streamed {
            Streamed::TooMany => {}
            Streamed::Bytes(kept) if kept.len() + piece.len() <= limit => kept.extend_from_slice(piece),
            Streamed::Nothing if piece.len() <= limit => self.streamed = Streamed::Bytes(piece.to_vec()),
            Streamed::Nothing | Streamed::Bytes(_) => self.streamed = Streamed::TooMany,
        }
    }

    /// The streamed request body; None if it is too large, or was not streamed.
    pub fn streamed_bytes(&self) -> Option<&[u8]> {
        match &self.streamed {
            Streamed::Bytes(bytes) => Some(bytes),
            Streamed::Nothing | Streamed::TooMany => None,
        }
    }

    /// Appends the value of each attempt, separated by `, `, and by ` : ` between two locations. False: there was no
    /// attempt.
    pub fn list(&self, what: AttemptFact, out: &mut Vec<u8>) -> bool {
        let mut separator = "";
        for one in &self.tries {
            if one.peer.is_empty() {
                separator = " : ";
                continue;
            }
            out.extend_from_slice(separator.as_bytes());
            separator = ", ";
            let _ = match what {
                AttemptFact::Addr => write!(out, "{}", one.peer),
                AttemptFact::Status if one.status == 0 => write!(out, "-"),
                AttemptFact::Status => write!(out, "{}", one.status),
                AttemptFact::ConnectTime => seconds(one.connect, out),
                AttemptFact::HeaderTime => seconds(one.header, out),
                AttemptFact::ResponseTime => seconds(one.response, out),
                AttemptFact::Length => write!(out, "{}", one.length),
                AttemptFact::Received => write!(out, "{}", one.received),
                AttemptFact::Sent => write!(out, "{}", one.sent),
            };
        }
        !self.tries.is_empty()
    }

    /// The current attempt.
    pub fn last(&mut self) -> Option<&mut Try> {
        self.tries.last_mut()
    }

    /// Ends the current attempt.
    pub fn end(&mut self, now: u64) {
        self.asks = None;
        if let Some(one) = self.last()
            && one.response.is_none()
        {
            one.response = Some(now.saturating_sub(one.started));
        }
    }

    /// The value of a header of the last response: `name` in lower case with `_` for `-`. Several lines form one list.
    pub fn header(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        let mut found = false;
        for (_, written, value) in self.fields() {
            if is_named(written, name) {
                if found {
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(value);
                found = true;
            }
        }
        // If an HTTP response lacks these, they are empty, not unset (nginx).
        let is_assumed = || self.head.is_some() && self.protocol.is_http() && matches!(name, b"date" | b"server");
        found || is_assumed()
    }

    /// `http://address/uri` of the current server, for the error log; empty if there is none.
    pub fn shown(&self) -> Vec<u8> {
        let (Some(target), Some(one)) = (&self.asks, self.tries.last()) else { return Vec::new() };
        let scheme = self.protocol.scheme(self.is_secure);
        [scheme.as_bytes(), one.peer.as_bytes(), &target.uri].concat()
    }

    /// The value of a trailer of the last response, named as in [`UpstreamRecord::header`].
    pub fn trailer(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        let mut found = false;
        for (written, value) in self.trailers.iter() {
            if is_named(written, name) {
                out.extend_from_slice(if found { b", " } else { b"" });
                out.extend_from_slice(value);
                found = true;
            }
        }
        found
    }

    /// The value of a cookie set by the last response.
    pub fn cookie(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        for (_, _, value) in self.fields().filter(|(field, ..)| field.id == HeaderId::SetCookie) {
            let pair = value.split(|b| *b == b';').next().unwrap_or_default();
            if let Some(at) = memchr::memchr(b'=', pair)
                && trim_spaces(&pair[..at]).eq_ignore_ascii_case(name)
            {
                out.extend_from_slice(trim_spaces(&pair[at + 1..]));
                return true;
            }
        }
        false
    }
}

/// Whether a field has the name of a variable, which contains `_` for `-`.
fn is_named(written: &[u8], name: &[u8]) -> bool {
    written.len() == name.len()
        && written.iter().zip(name).all(|(a, b)| a.to_ascii_lowercase() == *b || *a == b'-' && *b == b'_')
}

/// Removes surrounding spaces; other blanks are part of a cookie (nginx).
pub(super) fn trim_spaces(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| *b != b' ').unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| *b != b' ').map_or(start, |last| last + 1);
    &bytes[start..end]
}

fn seconds(ms: Option<u64>, out: &mut Vec<u8>) -> std::io::Result<()> {
    match ms {
        Some(ms) => write!(out, "{}.{:03}", ms / 1000, ms % 1000),
        None => write!(out, "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_streamed_body_is_not_copied_for_each_piece() {
        let (mut record, mut copies, mut at) = (UpstreamRecord::default(), 0, std::ptr::null());
        for _ in 0..20_000 {
            record.keep_streamed(b"piece", 100_000);
            let now = record.streamed_bytes().map_or(std::ptr::null(), <[u8]>::as_ptr);
            copies += u32::from(now != at);
            at = now;
        }
        assert!(copies < 40, "{copies} copies of up to 100 kB");
        assert!(record.streamed_bytes() == Some(&b"piece".repeat(20_000)[..]));
        record.keep_streamed(b"", 100_000);
        assert!(record.streamed_bytes().is_some());
        record.keep_streamed(b"x", 100_000);
        assert_eq!(record.streamed_bytes(), None, "too many");
        record.keep_streamed(b"x", 100_000);
        assert_eq!(record.streamed_bytes(), None);
        let mut record = UpstreamRecord::default();
        record.keep_streamed(b"12", 1);
        assert_eq!(record.streamed_bytes(), None);
    }

    #[test]
    fn tries_are_a_list() {
        let one = |peer: &str, status, connect| Try { peer: peer.into(), status, connect, ..Try::default() };
        let record = UpstreamRecord {
            tries: vec![one("a:1", 502, None), one("b:2", 200, Some(1205)), Try::default(), one("unix:/x", 0, Some(0))],
            ..UpstreamRecord::default()
        };
        for (what, expected) in [
            (AttemptFact::Addr, "a:1, b:2 : unix:/x"),
            (AttemptFact::Status, "502, 200 : -"),
            (AttemptFact::ConnectTime, "-, 1.205 : 0.000"),
            (AttemptFact::Length, "0, 0 : 0"),
        ] {
            let mut out = Vec::new();
            assert!(record.list(what, &mut out));
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
        assert!(!UpstreamRecord::default().list(AttemptFact::Addr, &mut Vec::new()));
    }
}

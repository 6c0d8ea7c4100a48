//! What RFC 9113 (§3 to §8) says a server MUST do with what a client sends, each with its section, on connections of
//! the real server.

use super::client::{H2, head, raw};
use super::{connect, site};
use crate::harness::{BOTH, Table};
use std::sync::atomic::{AtomicU32, Ordering};
use webserv::http::h2::frame::{flag, kind};
use webserv::http::h2::hpack::encode;

/// What has to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// A connection error: GOAWAY with this code, and the end (§5.4.1).
    Goaway(u32),
    /// A stream error: RST_STREAM of stream 1 with this code (§5.4.2); others are served.
    Reset(u32),
    /// Stream 1 is answered so; others are served.
    Status(u16),
    /// Nothing; others are served.
    Ignored,
}

pub use Then::{Goaway, Ignored, Reset, Status};

pub const PROTOCOL: u32 = 1;
pub const FLOW_CONTROL: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE: u32 = 6;
const REFUSED: u32 = 7;
pub const COMPRESSION: u32 = 9;

pub const END: u8 = flag::END_STREAM | flag::END_HEADERS;
pub const OPEN: u8 = flag::END_HEADERS;
pub const REQUEST: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/small"), (":authority", "a.test")];

pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        encode::field(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

/// A name as it is, where the encoder would make it lower case.
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0, name.len() as u8][..], name, &[value.len() as u8], value].concat()
}

pub fn get(stream: u32) -> Vec<u8> {
    head(stream, "GET", "/small", &[], true)
}

pub fn post(fields: &[(&str, &str)]) -> Vec<u8> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    head(1, "POST", &format!("/up/{}", NUMBER.fetch_add(1, Ordering::Relaxed)), fields, false)
}

/// A GET with these fields after its pseudo-header fields.
pub fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    head(1, "GET", "/small", fields, true)
}

/// HEADERS of exactly these fields.
pub fn only(fields: &[(&str, &str)]) -> Vec<u8> {
    raw(kind::HEADERS, END, 1, &block(fields))
}

/// A request whose header block ends with these bytes.
pub fn coded(bytes: &[u8]) -> Vec<u8> {
    raw(kind::HEADERS, END, 1, &[&block(&REQUEST), bytes].concat())
}

pub fn settings(id: u16, value: u32) -> Vec<u8> {
    raw(kind::SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// Several in one frame.
fn several(entries: &[(u16, u32)]) -> Vec<u8> {
    let entry = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    raw(kind::SETTINGS, 0, 0, &entries.iter().flat_map(entry).collect::<Vec<u8>>())
}

pub fn window(stream: u32, increment: u32) -> Vec<u8> {
    raw(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub fn reset(stream: u32) -> Vec<u8> {
    raw(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes())
}

/// A frame whose reserved bit is set.
fn reserved(mut frame: Vec<u8>) -> Vec<u8> {
    frame[5] |= 0x80;
    frame
}

fn push() -> Vec<u8> {
    raw(kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 2])
}

pub type Row = (&'static str, Vec<u8>, Then);

pub fn judge(c: &mut H2, sent: &[u8], then: Then) {
    c.send(sent);
    match then {
        Goaway(code) => {
            assert_eq!(c.goaway().map(|(_, code)| code), Some(code));
            assert!(c.next_frame().is_none(), "it goes on");
            return;
        }
        Reset(code) => assert_eq!(c.answer(1).reset, Some(code)),
        Status(status) => assert_eq!(c.answer(1).status, status),
        Ignored => {}
    }
    // A row may have closed the windows of streams.
    c.send(&[settings(4, 65_535), get(101)].concat());
    let other = c.answer(101);
    assert_eq!((other.status, other.text(), c.said_goaway), (200, "small".into(), None));
}

pub fn check(title: &'static str, rows: Vec<Row>) {
    let s = site(
        "http2_max_concurrent_streams 2;
         location /up/ { upload_store %%DIR%%/store; allowed_methods GET PUT POST; }",
    );
    let mut table = Table::new(title);
    for (name, sent, then) in rows {
        table.row(BOTH, name, || {
            let mut c = connect(&s);
            judge(&mut c, &sent, then);
        });
    }
}

#[test]
fn frames_and_streams_by_rfc_9113() {
    let big = vec![0; 16_385];
    check(
        "RFC 9113 sections 4 to 6",
        vec![
            ("4.1 a frame of an unknown type MUST be ignored", raw(0x77, 0xff, 9, b"xyz"), Ignored),
            ("4.1 flags without a meaning MUST be ignored", [raw(6, 0xfe, 0, &[7; 8]), get(1)].concat(), Status(200)),
            ("4.2 a longer frame than allowed: DATA", [post(&[]), raw(0, 0, 1, &big)].concat(), Goaway(FRAME_SIZE)),
            ("4.2 a longer frame than allowed: HEADERS", raw(1, END, 1, &big), Goaway(FRAME_SIZE)),
            ("4.2 a longer frame than allowed: SETTINGS", raw(4, 0, 0, &vec![0; 16_386]), Goaway(FRAME_SIZE)),
            (
                "4.2 a longer frame than allowed: CONTINUATION",
                [raw(1, 1, 1, &[0x82]), raw(9, 4, 1, &big)].concat(),
                Goaway(FRAME_SIZE),
            ),
            ("4.2 a longer frame than allowed: unknown", raw(0x77, 0, 1, &big), Goaway(FRAME_SIZE)),
            (
                "4.1 the reserved bit MUST be ignored",
                [reserved(raw(6, 0, 0, &[7; 8])), reserved(get(1))].concat(),
                Status(200),
            ),
            ("4.3 a block that cannot be decoded", raw(1, END, 1, &[0x80]), Goaway(COMPRESSION)),
            ("4.3 the same of trailers", [post(&[]), raw(1, END, 1, &[0x80])].concat(), Goaway(COMPRESSION)),
            (
                "4.3 nothing between HEADERS and CONTINUATION",
                [raw(1, 1, 1, &[0x82]), raw(6, 0, 0, &[0; 8])].concat(),
                Goaway(PROTOCOL),
            ),
            ("5.1 idle: DATA", raw(0, 1, 1, b"x"), Goaway(PROTOCOL)),
            ("5.1 idle: RST_STREAM", reset(1), Goaway(PROTOCOL)),
            ("5.1 idle: WINDOW_UPDATE", window(1, 1), Goaway(PROTOCOL)),
            ("5.1 idle: CONTINUATION", raw(9, 4, 1, &block(&REQUEST)), Goaway(PROTOCOL)),
            ("5.1 idle: PRIORITY is allowed", [raw(2, 0, 1, &[0; 5]), get(1)].concat(), Status(200)),
            (
                "5.1 half-closed (remote): DATA",
                [window_closed(), get(1), raw(0, 1, 1, b"x")].concat(),
                Reset(STREAM_CLOSED),
            ),
            ("5.1 half-closed (remote): HEADERS", [window_closed(), get(1), get(1)].concat(), Reset(STREAM_CLOSED)),
            (
                "5.1 half-closed (remote): WINDOW_UPDATE and PRIORITY",
                [get(1), window(1, 9), raw(2, 0, 1, &[0; 5])].concat(),
                Status(200),
            ),
            (
                "5.1 closed: frames after the server's reset are ignored",
                [window_closed(), get(1), get(1), window(1, 1), reset(1)].concat(),
                Reset(STREAM_CLOSED),
            ),
            ("5.1.1 streams of clients are odd", get(2), Goaway(PROTOCOL)),
            ("5.1.1 and their numbers grow", [get(5), get(3)].concat(), Goaway(PROTOCOL)),
            ("5.3.1 (RFC 7540) a stream cannot depend on itself", raw(2, 0, 1, &[0, 0, 0, 1, 0]), Goaway(PROTOCOL)),
            (
                "5.5 an unknown frame within a block",
                [raw(1, 1, 1, &[0x82]), raw(0x77, 0, 1, b"")].concat(),
                Goaway(PROTOCOL),
            ),
            (
                "5.1 closed: DATA behind the client's own reset",
                [post(&[]), reset(1), raw(2, 0, 1, &[0; 5]), raw(0, 0, 1, b"x")].concat(),
                Reset(STREAM_CLOSED),
            ),
            (
                "5.1 closed: HEADERS behind the client's own reset",
                [window_closed(), get(1), reset(1), get(1)].concat(),
                Reset(STREAM_CLOSED),
            ),
            (
                "5.4.1, 7 unknown codes mean nothing special",
                [post(&[]), raw(3, 0, 1, &[0xff; 4]), raw(7, 0, 0, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])].concat(),
                Ignored,
            ),
            ("6.1 padded DATA without a length of it", [post(&[]), raw(0, 8, 1, &[])].concat(), Goaway(FRAME_SIZE)),
            ("6.1 DATA on stream 0", raw(0, 0, 0, b"x"), Goaway(PROTOCOL)),
            ("6.1 padding as long as DATA", [post(&[]), raw(0, 8, 1, &[1])].concat(), Goaway(PROTOCOL)),
            ("6.1 padding longer than DATA", [post(&[]), raw(0, 8, 1, &[9, 0, 0])].concat(), Goaway(PROTOCOL)),
            (
                "6.1 padding is no content",
                [post(&[("content-length", "2")]), raw(0, 9, 1, &[3, b'a', b'b', 0, 0, 0])].concat(),
                Status(201),
            ),
            ("6.2 HEADERS on stream 0", raw(1, END, 0, &block(&REQUEST)), Goaway(PROTOCOL)),
            (
                "6.2 padding longer than HEADERS",
                raw(1, END | 8, 1, &[&[200][..], &block(&REQUEST)].concat()),
                Goaway(PROTOCOL),
            ),
            ("6.2 padded HEADERS", raw(1, END | 8, 1, &[&[2][..], &block(&REQUEST), &[0, 0]].concat()), Status(200)),
            ("6.2 padded HEADERS without a length of it", raw(1, END | 8, 1, &[]), Goaway(FRAME_SIZE)),
            ("6.2 HEADERS too short for their priority", raw(1, END | 0x20, 1, &[0; 4]), Goaway(FRAME_SIZE)),
            (
                "6.2 HEADERS with a priority",
                raw(1, END | 0x20, 1, &[&[0, 0, 0, 9, 200][..], &block(&REQUEST)].concat()),
                Status(200),
            ),
            (
                "5.3.1 (RFC 7540) HEADERS that depend on themselves",
                raw(1, END | 0x20, 1, &[&[0, 0, 0, 1, 0][..], &block(&REQUEST)].concat()),
                Goaway(PROTOCOL),
            ),
            ("6.3 PRIORITY on stream 0", raw(2, 0, 0, &[0; 5]), Goaway(PROTOCOL)),
            (
                "6.3 PRIORITY of another length",
                [window_closed(), get(1), raw(2, 0, 1, &[0; 4])].concat(),
                Reset(FRAME_SIZE),
            ),
            ("6.4 RST_STREAM on stream 0", reset(0), Goaway(PROTOCOL)),
            ("6.4 RST_STREAM of another length", [post(&[]), raw(3, 0, 1, &[0; 3])].concat(), Goaway(FRAME_SIZE)),
            ("6.4 RST_STREAM longer than four bytes", [post(&[]), raw(3, 0, 1, &[0; 5])].concat(), Goaway(FRAME_SIZE)),
            ("6.5 SETTINGS on a stream", raw(4, 0, 1, &[]), Goaway(PROTOCOL)),
            ("6.5 SETTINGS of another length", raw(4, 0, 0, &[0; 5]), Goaway(FRAME_SIZE)),
            ("6.5 an acknowledgement with content", raw(4, 1, 0, &[0; 6]), Goaway(FRAME_SIZE)),
            ("6.5.2 an unknown setting MUST be ignored", settings(0xff, 7), Ignored),
            ("6.5.2 ENABLE_PUSH other than 0 and 1", settings(2, 2), Goaway(PROTOCOL)),
            ("6.5.2 INITIAL_WINDOW_SIZE above 2^31-1", settings(4, 1 << 31), Goaway(FLOW_CONTROL)),
            ("6.5.2 MAX_FRAME_SIZE below 2^14", settings(5, 16_383), Goaway(PROTOCOL)),
            ("6.5.2 MAX_FRAME_SIZE above 2^24-1", settings(5, 1 << 24), Goaway(PROTOCOL)),
            ("6.6 PUSH_PROMISE of a client (8.4)", push(), Goaway(PROTOCOL)),
            ("6.6 PUSH_PROMISE on an open stream", [post(&[]), push()].concat(), Goaway(PROTOCOL)),
            ("6.6 PUSH_PROMISE on stream 0", raw(5, 4, 0, &[0, 0, 0, 2]), Goaway(PROTOCOL)),
            ("6.7 PING on a stream", raw(6, 0, 1, &[0; 8]), Goaway(PROTOCOL)),
            ("6.7 PING of another length", raw(6, 0, 0, &[0; 6]), Goaway(FRAME_SIZE)),
            ("6.7 an answer to a PING is not answered", raw(6, 1, 0, &[0; 8]), Ignored),
            ("6.7 PING longer than eight bytes", raw(6, 0, 0, &[0; 9]), Goaway(FRAME_SIZE)),
            ("6.8 GOAWAY too short", raw(7, 0, 0, &[0; 7]), Goaway(FRAME_SIZE)),
            ("6.8 GOAWAY on a stream", raw(7, 0, 1, &[0; 8]), Goaway(PROTOCOL)),
            ("6.8 GOAWAY with more to say", [raw(7, 0, 0, &[1; 90]), get(1)].concat(), Status(200)),
            ("6.8 GOAWAY of a client ends no stream", [raw(7, 0, 0, &[0; 8]), get(1)].concat(), Status(200)),
            ("6.9 an increment of 0 for the connection", window(0, 0), Goaway(PROTOCOL)),
            ("6.9 an increment of 0 for a stream", [window_closed(), get(1), window(1, 0)].concat(), Reset(PROTOCOL)),
            ("6.9 WINDOW_UPDATE of another length", raw(8, 0, 0, &[0; 3]), Goaway(FRAME_SIZE)),
            ("6.9.1 the connection's window above 2^31-1", window(0, 0x7fff_ffff), Goaway(FLOW_CONTROL)),
            ("6.9 the reserved bit of an increment", [get(1), window(0, 0x8000_0001)].concat(), Status(200)),
            (
                "6.9.1 a stream's window above 2^31-1",
                [window_closed(), get(1), window(1, 0x7fff_ffff), window(1, 1)].concat(),
                Reset(FLOW_CONTROL),
            ),
            (
                "6.9.2 a window that a setting takes above 2^31-1",
                [window_closed(), get(1), window(1, 1), settings(4, 0x7fff_ffff)].concat(),
                Goaway(FLOW_CONTROL),
            ),
            (
                "6.5.3 an initial window that is too large, and a smaller one behind it",
                [window_closed(), get(1), window(1, 1), several(&[(4, 0x7fff_ffff), (4, 0)])].concat(),
                Goaway(FLOW_CONTROL),
            ),
            ("6.5.3 a window out of range and another", several(&[(4, 9), (4, 1 << 31), (4, 9)]), Goaway(FLOW_CONTROL)),
            ("6.5.3 a frame size out of range and another", several(&[(5, 16_383), (5, 16_384)]), Goaway(PROTOCOL)),
            ("6.5.3 ENABLE_PUSH out of range and another", several(&[(2, 2), (2, 0)]), Goaway(PROTOCOL)),
            (
                "6.5.3 of several values the last one stays",
                [several(&[(4, 0), (5, 1 << 20), (4, 3), (5, 16_384), (4, 100)]), get(1)].concat(),
                Status(200),
            ),
            (
                "6.10 CONTINUATION",
                [raw(1, 1, 1, &block(&REQUEST[..2])), raw(9, 4, 1, &block(&REQUEST[2..]))].concat(),
                Status(200),
            ),
            ("6.10 CONTINUATION on stream 0", [raw(1, 1, 1, &[0x82]), raw(9, 4, 0, &[])].concat(), Goaway(PROTOCOL)),
            (
                "6.10 CONTINUATION of another stream",
                [raw(1, 1, 1, &[0x82]), raw(9, 4, 3, &[])].concat(),
                Goaway(PROTOCOL),
            ),
            ("6.10 CONTINUATION behind a whole block", [get(1), raw(9, 4, 1, &[])].concat(), Goaway(PROTOCOL)),
        ],
    );
}

/// Responses have to wait: streams stay open on the server's side.
pub fn window_closed() -> Vec<u8> {
    settings(4, 0)
}

#[test]
fn requests_by_rfc_9113() {
    let length = |n: &'static str| post(&[("content-length", n)]);
    let trailers = |fields: &[(&str, &str)]| [post(&[]), raw(0, 0, 1, b"x"), raw(1, END, 1, &block(fields))].concat();
    check(
        "RFC 9113 section 8",
        vec![
            ("8.1 trailers", trailers(&[("x-sum", "1")]), Status(201)),
            (
                "8.1 a second block without END_STREAM",
                [post(&[]), raw(1, OPEN, 1, &block(&[("x", "y")]))].concat(),
                Reset(PROTOCOL),
            ),
            ("8.1 a pseudo-header field in trailers", trailers(&[(":path", "/")]), Status(400)),
            ("8.1.1 less content than its length", [length("3"), raw(0, 1, 1, b"ab")].concat(), Status(400)),
            ("8.1.1 more content than its length", [length("3"), raw(0, 1, 1, b"abcd")].concat(), Status(400)),
            (
                "8.1.1 less content than its length before trailers",
                [length("3"), raw(0, 0, 1, b"ab"), raw(1, END, 1, &block(&[("x", "y")]))].concat(),
                Status(400),
            ),
            ("8.1.1 a length that is no number", [length("+1"), raw(0, 1, 1, b"a")].concat(), Status(400)),
            ("8.2.2 a field of HTTP/1 in trailers", trailers(&[("connection", "close")]), Status(400)),
            ("8.1 a length in trailers", trailers(&[("content-length", "1")]), Status(400)),
            ("8.1.1 no content where there is a length", with(&[("content-length", "3")]), Status(400)),
            (
                "8.1.1 two lengths",
                [post(&[("content-length", "1"), ("content-length", "2")]), raw(0, 1, 1, b"a")].concat(),
                Status(400),
            ),
            ("8.2 a name in upper case", coded(&literal(b"X-Up", b"1")), Status(400)),
            ("8.2.1 a name with a blank", coded(&literal(b"x y", b"1")), Status(400)),
            ("8.2.1 a name with a colon", coded(&literal(b"x:y", b"1")), Status(400)),
            ("8.2.1 no name", coded(&literal(b"", b"1")), Status(400)),
            ("8.2.1 a name with a byte above 0x7f", coded(&literal(b"x\xff", b"1")), Status(400)),
            ("8.2.1 a name with a control", coded(&literal(b"x\x7f", b"1")), Status(400)),
            ("8.2.1 a value with LF", coded(&literal(b"x", b"a\nb")), Status(400)),
            ("8.2.1 a value with CR", coded(&literal(b"x", b"a\rb")), Status(400)),
            ("8.2.1 a value with NUL", coded(&literal(b"x", b"a\0b")), Status(400)),
            ("8.2.1 a value that begins with a blank", coded(&literal(b"x", b" a")), Status(400)),
            ("8.2.1 a value that ends with a tab", coded(&literal(b"x", b"a\t")), Status(400)),
            ("8.2.2 Connection", with(&[("connection", "close")]), Status(400)),
            ("8.2.2 Keep-Alive", with(&[("keep-alive", "5")]), Status(400)),
            ("8.2.2 Proxy-Connection", with(&[("proxy-connection", "close")]), Status(400)),
            ("8.2.2 Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), Status(400)),
            ("8.2.2 Upgrade", with(&[("upgrade", "h2c")]), Status(400)),
            ("8.2.2 TE other than trailers", with(&[("te", "gzip")]), Status(400)),
            ("8.2.2 TE: trailers and more", with(&[("te", "trailers, gzip")]), Status(400)),
            ("8.2.2 TE: trailers", with(&[("te", "trailers")]), Status(200)),
            ("8.2.3 Cookie in pieces", with(&[("cookie", "a=b"), ("cookie", "c=d")]), Status(200)),
            (
                "8.3 a pseudo-header field behind others",
                only(&[REQUEST[0], REQUEST[1], ("x", "y"), REQUEST[2], REQUEST[3]]),
                Status(400),
            ),
            (
                "8.3 an unknown pseudo-header field",
                only(&[REQUEST[0], REQUEST[1], REQUEST[2], REQUEST[3], (":x", "y")]),
                Status(400),
            ),
            (
                "8.3 one of responses",
                only(&[REQUEST[0], REQUEST[1], REQUEST[2], REQUEST[3], (":status", "200")]),
                Status(400),
            ),
            ("8.3.1 no :method", only(&REQUEST[1..]), Status(400)),
            ("8.3.1 no :scheme", only(&[REQUEST[0], REQUEST[2], REQUEST[3]]), Status(400)),
            ("8.3.1 no :path", only(&[REQUEST[0], REQUEST[1], REQUEST[3]]), Status(400)),
            ("8.3.1 an empty :path", only(&[REQUEST[0], REQUEST[1], (":path", ""), REQUEST[3]]), Status(400)),
            ("8.3.1 a :path without /", only(&[REQUEST[0], REQUEST[1], (":path", "x"), REQUEST[3]]), Status(400)),
            ("8.3.1 :method twice", only(&[REQUEST[0], REQUEST[0], REQUEST[1], REQUEST[2], REQUEST[3]]), Status(400)),
            ("8.3.1 :scheme twice", only(&[REQUEST[0], REQUEST[1], REQUEST[1], REQUEST[2], REQUEST[3]]), Status(400)),
            (
                "8.3.1 :authority twice",
                only(&[REQUEST[0], REQUEST[1], REQUEST[2], REQUEST[3], REQUEST[3]]),
                Status(400),
            ),
            ("8.3.1 neither :authority nor Host", only(&REQUEST[..3]), Status(400)),
            ("8.3.1 an empty :authority", only(&[REQUEST[0], REQUEST[1], REQUEST[2], (":authority", "")]), Status(400)),
            ("8.3.1 a :path with a blank", only(&[REQUEST[0], REQUEST[1], (":path", "/ x"), REQUEST[3]]), Status(400)),
            (
                "8.3.1 a :method with a blank",
                only(&[(":method", "G T"), REQUEST[1], REQUEST[2], REQUEST[3]]),
                Status(400),
            ),
            ("8.5 CONNECT without :authority", only(&[(":method", "CONNECT")]), Status(400)),
            (
                "8.5 CONNECT with a :path",
                only(&[(":method", "CONNECT"), REQUEST[2], (":authority", "a:1")]),
                Status(405),
            ),
            (
                "8.5 CONNECT with a :scheme",
                only(&[(":method", "CONNECT"), REQUEST[1], (":authority", "a:1")]),
                Status(405),
            ),
            ("8.3.1 :path twice", only(&[REQUEST[0], REQUEST[1], REQUEST[2], REQUEST[2], REQUEST[3]]), Status(400)),
            ("8.3.1 :authority and another Host", with(&[("host", "b.test")]), Status(400)),
            ("8.3.1 :authority and the same Host", with(&[("host", "a.test")]), Status(200)),
            ("8.3.1 Host alone", only(&[REQUEST[0], REQUEST[1], REQUEST[2], ("host", "a.test")]), Status(200)),
            (
                "8.3.1 :authority with userinfo",
                only(&[REQUEST[0], REQUEST[1], REQUEST[2], (":authority", "u@a.test")]),
                Status(400),
            ),
            (
                "8.5 :protocol without CONNECT (RFC 8441 4)",
                only(&[REQUEST[0], (":protocol", "websocket"), REQUEST[1], REQUEST[2], REQUEST[3]]),
                Status(400),
            ),
        ],
    );
}

#[test]
fn what_the_server_has_to_say_by_rfc_9113() {
    let s = site("http2_max_concurrent_streams 2;");
    let mut c = connect(&s);
    // 3.4: SETTINGS are the first thing that a server says.
    let first = c.next_frame().expect("a frame");
    assert_eq!((first.header.kind, first.header.flags, first.header.stream), (kind::SETTINGS, 0, 0));
    assert!(first.payload.chunks(6).any(|entry| entry == [0, 3, 0, 0, 0, 2]), "{first:?}");
    // 6.5.3: they are acknowledged in their order, 6.7: as PINGs are, with their content.
    c.send(&[settings(4, 9), raw(6, 0, 0, &[1; 8]), settings(4, 0), raw(6, 0, 0, &[2; 8])].concat());
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let frame = c.next_frame().expect("a frame");
        match frame.header.kind {
            kind::SETTINGS => seen.push((frame.header.flags, 0)),
            kind::PING => seen.push((frame.header.flags, frame.payload[0])),
            _ => {}
        }
    }
    assert_eq!(seen, [(1, 0), (1, 0), (1, 1), (1, 0), (1, 2)]);
    // 5.1.2: streams beyond the limit are refused, and may be tried again (8.7).
    c.send(&[get(1), get(3), get(5)].concat());
    assert_eq!(c.answer(5).reset, Some(REFUSED));
    // 6.9.2: the new initial window holds for streams that are open.
    c.send(&settings(4, 5));
    for stream in [1, 3] {
        assert_eq!(c.answer(stream).text(), "small");
    }
    // 6.9.1: no more than the window, and never a byte into one of 0.
    c.send(&[settings(4, 10), head(7, "GET", "/large", &[], true)].concat());
    let data = c.until(|frame| frame.header.kind == kind::DATA).expect("DATA");
    assert_eq!(data.payload.len(), 10);
    c.send(&[window(7, 3), raw(6, 0, 0, &[3; 8])].concat());
    let data = c.until(|frame| frame.header.kind == kind::DATA || frame.header.kind == kind::PING);
    let data = match data.expect("a frame") {
        ping if ping.header.kind == kind::PING => c.until(|frame| frame.header.kind == kind::DATA).expect("DATA"),
        data => data,
    };
    assert_eq!(data.payload.len(), 3);
}

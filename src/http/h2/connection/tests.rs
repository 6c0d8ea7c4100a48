//! The connection by the rules of RFC 9113 §3 to §8, each with its section; every row runs at each split point of its
//! input, and whole.

use super::*;
use crate::http::h2::error::HpackError;
use crate::http::h2::frame::EndStream;
use crate::http::h2::hpack::encode;

/// A frame as bytes.
fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    FrameHeader { len: payload.len() as u32, kind, flags, stream }.write(&mut out);
    out.extend_from_slice(payload);
    out
}

fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in list {
        encode::field(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "l")];
const POST: [(&str, &str); 4] = [(":method", "POST"), (":scheme", "http"), (":path", "/a"), (":authority", "l")];

const END: u8 = flag::END_STREAM | flag::END_HEADERS;
const OPEN: u8 = flag::END_HEADERS;

fn get(stream: u32) -> Vec<u8> {
    raw(kind::HEADERS, END, stream, &fields(&GET))
}

fn post(stream: u32) -> Vec<u8> {
    raw(kind::HEADERS, OPEN, stream, &fields(&POST))
}

fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::settings(&mut out, entries);
    out
}

fn window(stream: u32, increment: u32) -> Vec<u8> {
    raw(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

fn reset(stream: u32) -> Vec<u8> {
    raw(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes())
}

fn hello() -> Vec<u8> {
    [PREFACE.as_slice(), &settings(&[])].concat()
}

/// What was seen: events in a short form, control frames, and the fault.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    events: Vec<String>,
    control: Vec<String>,
    fault: Option<ConnectionFault>,
}

fn shown(event: &Event) -> String {
    match event {
        Event::Request { stream, end, fault } => {
            let fault = fault.map_or(String::new(), |fault| format!(" {}", fault.status().0));
            format!("request {stream}{}{fault}", if *end { " end" } else { "" })
        }
        Event::Data { stream, data, end } => {
            format!("data {stream} {}{}", data.len(), if *end { " end" } else { "" })
        }
        Event::Trailers { stream } => format!("trailers {stream}"),
        Event::Malformed { stream, reject } => format!("malformed {stream} {}", reject.status().0),
        Event::Reset { stream, code } => format!("reset {stream} {}", code.0),
        Event::Failed { stream, fault } => format!("failed {stream} {}", fault.code().0),
        Event::Window { stream } => format!("window {stream}"),
        Event::Priority { stream } => format!("priority {stream}"),
        Event::SettingsAcked => "acked".into(),
        Event::GoAway { code } => format!("goaway {}", code.0),
    }
}

fn control(bytes: &[u8]) -> Vec<String> {
    let (mut at, mut found) = (0, Vec::new());
    while let Some(frame) = FrameHeader::parse(&bytes[at..]) {
        let payload = &bytes[at + HEADER_LEN..at + HEADER_LEN + frame.len as usize];
        at += HEADER_LEN + payload.len();
        let code = |from: usize| u32::from_be_bytes(*payload[from..].first_chunk::<4>().expect("four bytes"));
        found.push(match frame.kind {
            kind::SETTINGS if frame.has(flag::ACK) => "ack".into(),
            kind::PING => format!("pong {}", payload[0]),
            kind::RST_STREAM => format!("rst {} {}", frame.stream, code(0)),
            kind::GOAWAY => format!("goaway {} {}", code(0), code(4)),
            kind::WINDOW_UPDATE => format!("grant {} {}", frame.stream, code(0)),
            other => format!("frame {other}"),
        });
    }
    assert_eq!(at, bytes.len());
    found
}

/// Feeds `pieces`, one after another; DATA of one frame that came in pieces is joined.
fn run(connection: &mut Connection, pieces: &[&[u8]], seen: &mut Seen) {
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let step = match connection.receive(&input, 0) {
                Ok(step) => step,
                Err(fault) => {
                    seen.fault = Some(fault);
                    let mut out = Vec::new();
                    connection.take_control(&mut out);
                    seen.control.extend(control(&out));
                    return;
                }
            };
            connection.check_invariants();
            match step {
                ReadStep::More => break,
                ReadStep::Blocked => {}
                ReadStep::Took { consumed, event } => {
                    input.drain(..consumed);
                    if let Some(Event::Data { stream, data, .. }) = &event {
                        connection.consumed(*stream, data.len());
                    }
                    seen.events.extend(event.as_ref().map(shown));
                }
            }
            let mut out = Vec::new();
            connection.take_control(&mut out);
            seen.control.extend(control(&out));
        }
    }
}

fn greeted(limits: ConnectionLimits) -> Connection {
    let mut connection = Connection::new(limits, 0);
    let mut seen = Seen::default();
    run(&mut connection, &[&hello()], &mut seen);
    assert_eq!((seen.fault, seen.control.last().map(String::as_str)), (None, Some("ack")));
    connection
}

/// `text` is events, then `|`, then control frames, then the code of the connection's error, if any.
fn check(name: &str, input: &[u8], text: &str) {
    let limits = ConnectionLimits { streams: 4, ..ConnectionLimits::default() };
    let judge = |pieces: &[&[u8]]| {
        let mut seen = Seen::default();
        run(&mut greeted(limits), pieces, &mut seen);
        seen
    };
    let whole = judge(&[input]);
    let shown = format!("{} | {}", whole.events.join(", "), whole.control.join(", "));
    assert_eq!(shown, text, "{name}");
    for cut in 1..input.len().min(400) {
        let split = judge(&[&input[..cut], &input[cut..]]);
        assert_eq!(split.control, whole.control, "{name}, split at {cut}");
        assert_eq!(split.fault, whole.fault, "{name}, split at {cut}");
        assert!(split.events.len() >= whole.events.len(), "{name}, split at {cut}");
    }
}

#[test]
fn the_rules_of_the_rfc_hold_for_every_frame() {
    let big = vec![0; 16_385];
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("3.4 a request", get(1), "request 1 end | "),
        ("4.1 an unknown frame is ignored", [raw(0x77, 0xff, 5, b"xyz"), get(1)].concat(), "request 1 end | "),
        (
            "4.1 reserved bit and unknown flags",
            {
                let mut bytes = raw(kind::PING, 0xfe, 0, &[7; 8]);
                bytes[5] = 0x80;
                bytes
            },
            " | pong 7",
        ),
        ("4.2 DATA too long", [post(1), raw(0, 0, 1, &big)].concat(), "request 1 | goaway 1 6"),
        ("4.2 HEADERS too long", raw(1, END, 1, &big), " | goaway 0 6"),
        ("4.3 a block that is no HPACK", raw(1, END, 1, &[0x80]), " | goaway 0 9"),
        ("5.1 idle: DATA", raw(0, 1, 1, b"x"), " | goaway 0 1"),
        ("5.1 idle: RST_STREAM", reset(1), " | goaway 0 1"),
        ("5.1 idle: WINDOW_UPDATE", window(1, 1), " | goaway 0 1"),
        ("5.1 idle: CONTINUATION", raw(9, 4, 1, &fields(&GET)), " | goaway 0 1"),
        ("5.1 half-closed: DATA", [get(1), raw(0, 1, 1, b"x")].concat(), "request 1 end, failed 1 5 | rst 1 5"),
        ("5.1 half-closed: HEADERS", [get(1), get(1)].concat(), "request 1 end, failed 1 5 | rst 1 5"),
        (
            "5.1 half-closed: WINDOW_UPDATE, PRIORITY, RST_STREAM",
            [get(1), window(1, 9), raw(2, 0, 1, &[0, 0, 0, 0, 1]), reset(1)].concat(),
            "request 1 end, window 1, priority 1, reset 1 8 | ",
        ),
        (
            "5.1 closed: frames behind the client's own reset, of which it hears once",
            [post(1), reset(1), get(1), raw(0, 0, 1, b"x"), window(1, 1)].concat(),
            "request 1, reset 1 8, failed 1 5 | rst 1 5",
        ),
        (
            "5.1 closed: frames after our reset are ignored",
            [get(1), get(1), window(1, 9), raw(0, 1, 1, b"x"), reset(1), get(1)].concat(),
            "request 1 end, failed 1 5 | rst 1 5",
        ),
        ("5.1.1 an even stream", get(2), " | goaway 0 1"),
        ("5.1.1 a lower stream", [get(5), get(3)].concat(), "request 5 end | goaway 5 1"),
        (
            "5.1.2 more streams than allowed",
            [get(1), get(3), get(5), get(7), get(9)].concat(),
            "request 1 end, request 3 end, request 5 end, request 7 end, failed 9 7 | rst 9 7",
        ),
        (
            "5.3.1 a stream that depends on itself",
            raw(1, END | flag::PRIORITY, 1, &[&[0, 0, 0, 1, 9][..], &fields(&GET)].concat()),
            " | goaway 0 1",
        ),
        (
            "5.3.1 PRIORITY that depends on itself",
            [get(1), raw(2, 0, 1, &[0, 0, 0, 1, 9])].concat(),
            "request 1 end | goaway 1 1",
        ),
        ("5.3 PRIORITY of an idle stream", raw(2, 0, 9, &[0, 0, 0, 1, 9]), " | "),
        ("6.1 DATA on stream 0", raw(0, 0, 0, b"x"), " | goaway 0 1"),
        (
            "6.1 DATA with padding",
            [post(1), raw(0, 1 | 8, 1, &[3, b'a', b'b', 0, 0, 0])].concat(),
            "request 1, data 1 2 end | ",
        ),
        ("6.1 DATA of padding only", [post(1), raw(0, 1 | 8, 1, &[3, 0, 0, 0])].concat(), "request 1, data 1 0 end | "),
        (
            "6.1 padding as long as the frame",
            [post(1), raw(0, 1 | 8, 1, &[4, 0, 0, 0])].concat(),
            "request 1 | goaway 1 1",
        ),
        ("6.1 padded DATA without a length", [post(1), raw(0, 1 | 8, 1, &[])].concat(), "request 1 | goaway 1 6"),
        ("6.2 HEADERS on stream 0", get(0), " | goaway 0 1"),
        (
            "6.2 HEADERS with padding and priority",
            raw(1, END | 0x28, 1, &[&[1, 0, 0, 0, 0, 9][..], &fields(&GET), &[0]].concat()),
            "request 1 end | ",
        ),
        ("6.2 too much padding", raw(1, END | 8, 1, &[&[200][..], &fields(&GET)].concat()), " | goaway 0 1"),
        ("6.2 a priority that is cut off", raw(1, END | 0x20, 1, &[0, 0]), " | goaway 0 6"),
        ("6.2 another frame within a block", [raw(1, 1, 1, &[0x82]), raw(6, 0, 0, &[0; 8])].concat(), " | goaway 0 1"),
        ("6.2 HEADERS of another stream within a block", [raw(1, 1, 1, &[0x82]), get(3)].concat(), " | goaway 0 1"),
        ("6.3 PRIORITY on stream 0", raw(2, 0, 0, &[0; 5]), " | goaway 0 1"),
        (
            "6.3 PRIORITY of another length",
            [get(1), raw(2, 0, 1, &[0; 4])].concat(),
            "request 1 end, failed 1 6 | rst 1 6",
        ),
        (
            "6.3 PRIORITY of another length, behind the reset that the first one was answered with",
            [get(1), raw(2, 0, 1, &[0; 4]).repeat(2)].concat(),
            "request 1 end, failed 1 6 | rst 1 6",
        ),
        ("6.4 RST_STREAM on stream 0", reset(0), " | goaway 0 1"),
        ("6.4 RST_STREAM of another length", [get(1), raw(3, 0, 1, &[0; 3])].concat(), "request 1 end | goaway 1 6"),
        ("6.5 SETTINGS on a stream", raw(4, 0, 1, &[]), " | goaway 0 1"),
        ("6.5 SETTINGS of another length", raw(4, 0, 0, &[0; 5]), " | goaway 0 6"),
        ("6.5 an acknowledgement with content", raw(4, 1, 0, &[0; 6]), " | goaway 0 6"),
        ("6.5 an acknowledgement", raw(4, 1, 0, &[]), "acked | "),
        ("6.5.2 ENABLE_PUSH", settings(&[(2, 2)]), " | goaway 0 1"),
        ("6.5.2 INITIAL_WINDOW_SIZE", settings(&[(4, 1 << 31)]), " | goaway 0 3"),
        ("6.5.2 MAX_FRAME_SIZE", settings(&[(5, 16_383)]), " | goaway 0 1"),
        ("6.5.3 SETTINGS are acknowledged", settings(&[(3, 0), (0xff, 7)]), "window 0 | ack"),
        ("6.6 PUSH_PROMISE", raw(5, 4, 1, &[0, 0, 0, 2]), " | goaway 0 1"),
        ("6.7 PING", raw(6, 0, 0, &[5; 8]), " | pong 5"),
        ("6.7 a PING that is an answer", raw(6, 1, 0, &[5; 8]), " | "),
        ("6.7 PING on a stream", raw(6, 0, 1, &[0; 8]), " | goaway 0 1"),
        ("6.7 PING of another length", raw(6, 0, 0, &[0; 6]), " | goaway 0 6"),
        ("6.8 GOAWAY", [raw(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 2, b'x']), get(1)].concat(), "goaway 2, request 1 end | "),
        ("6.8 GOAWAY on a stream", raw(7, 0, 1, &[0; 8]), " | goaway 0 1"),
        ("6.8 GOAWAY that is cut off", raw(7, 0, 0, &[0; 7]), " | goaway 0 6"),
        ("6.9 an increment of 0 for the connection", window(0, 0), " | goaway 0 1"),
        ("6.9 an increment of 0 for a stream", [get(1), window(1, 0)].concat(), "request 1 end, failed 1 1 | rst 1 1"),
        ("6.9 WINDOW_UPDATE of another length", raw(8, 0, 0, &[0; 3]), " | goaway 0 6"),
        ("6.9.1 a window beyond 2^31-1", window(0, 0x7fff_ffff), " | goaway 0 3"),
        (
            "6.9.1 a stream's window beyond 2^31-1",
            [get(1), window(1, 0x7fff_ffff)].concat(),
            "request 1 end, failed 1 3 | rst 1 3",
        ),
        (
            "6.9.2 a new initial window beyond 2^31-1",
            [get(1), window(1, 0x7fff_0000), settings(&[(4, 0x7fff_ffff)])].concat(),
            "request 1 end, window 1 | goaway 1 3",
        ),
        (
            "6.5.3 an initial window beyond 2^31-1 though a smaller one follows in the frame",
            [get(1), window(1, 1), settings(&[(4, 0x7fff_ffff), (4, 9)])].concat(),
            "request 1 end, window 1 | goaway 1 3",
        ),
        (
            "6.5.3 the widest of the streams is meant, and none that was reset",
            [get(1), get(3), get(5), window(3, 1), window(5, 9), reset(5), settings(&[(4, 0x7fff_fffe), (4, 9)])]
                .concat(),
            "request 1 end, request 3 end, request 5 end, window 3, window 5, reset 5 8, window 0 | ack",
        ),
        (
            "6.5.3 a window that is out of range though another follows",
            settings(&[(4, 9), (4, 1 << 31), (4, 9)]),
            " | goaway 0 3",
        ),
        (
            "6.5.3 a frame size that is out of range though another follows",
            settings(&[(5, 16_384), (5, 1), (5, 16_384)]),
            " | goaway 0 1",
        ),
        (
            "6.5.3 the first of two errors counts: the window",
            [get(1), window(1, 1), settings(&[(4, 0x7fff_ffff), (2, 2)])].concat(),
            "request 1 end, window 1 | goaway 1 3",
        ),
        (
            "6.5.3 the first of two errors counts: the value",
            [get(1), window(1, 1), settings(&[(2, 2), (4, 0x7fff_ffff)])].concat(),
            "request 1 end, window 1 | goaway 1 1",
        ),
        (
            "6.10 CONTINUATION",
            [raw(1, 1, 1, &fields(&GET[..2])), raw(9, 0, 1, &[]), raw(9, 4, 1, &fields(&GET[2..]))].concat(),
            "request 1 end | ",
        ),
        ("6.10 CONTINUATION of another stream", [raw(1, 1, 1, &[0x82]), raw(9, 4, 3, &[])].concat(), " | goaway 0 1"),
        ("6.10 CONTINUATION on stream 0", [raw(1, 1, 1, &[0x82]), raw(9, 4, 0, &[])].concat(), " | goaway 0 1"),
        (
            "6.10 CONTINUATION after the end of the block",
            [get(1), raw(9, 4, 1, &[])].concat(),
            "request 1 end | goaway 1 1",
        ),
        (
            "8.1 trailers",
            [post(1), raw(0, 0, 1, b"ab"), raw(1, END, 1, &fields(&[("x", "y")]))].concat(),
            "request 1, data 1 2, trailers 1 | ",
        ),
        (
            "8.1 a second block that does not end the stream",
            [post(1), raw(1, OPEN, 1, &fields(&[("x", "y")]))].concat(),
            "request 1, failed 1 1 | rst 1 1",
        ),
        (
            "8.1 a pseudo-header field in trailers",
            [post(1), raw(1, END, 1, &fields(&[(":path", "/")]))].concat(),
            "request 1, malformed 1 400 | ",
        ),
        (
            "8.1 trailers of which some would be left out",
            [post(1), raw(1, END, 1, &fields(&[("x", "y".repeat(9000).as_str()), (":path", "/")]))].concat(),
            "request 1, malformed 1 431 | ",
        ),
        (
            "8.1.1 less than Content-Length",
            [raw(1, OPEN, 1, &fields(&[&POST[..], &[("content-length", "3")]].concat())), raw(0, 1, 1, b"ab")].concat(),
            "request 1, malformed 1 400 | ",
        ),
        (
            "8.1.1 more than Content-Length",
            [
                raw(1, OPEN, 1, &fields(&[&POST[..], &[("content-length", "3")]].concat())),
                raw(0, 0, 1, b"abcd"),
                raw(0, 1, 1, b"e"),
            ]
            .concat(),
            "request 1, malformed 1 400 | ",
        ),
        (
            "8.1.1 as much as Content-Length",
            [
                raw(1, OPEN, 1, &fields(&[&POST[..], &[("content-length", "3")]].concat())),
                raw(0, 0, 1, b"ab"),
                raw(0, 1, 1, b"c"),
            ]
            .concat(),
            "request 1, data 1 2, data 1 1 end | ",
        ),
        (
            "8.1.1 a length and trailers",
            [raw(1, OPEN, 1, &fields(&[&POST[..], &[("content-length", "3")]].concat())), raw(1, END, 1, &[])].concat(),
            "request 1, malformed 1 400 | ",
        ),
        ("8.1.1 a malformed request", raw(1, END, 1, &fields(&GET[..2])), "request 1 end 400 | "),
        (
            "RFC 9218 7.1 PRIORITY_UPDATE",
            [get(1), raw(0x10, 0, 0, b"\0\0\0\x01u=1"), raw(0x10, 0, 0, b"\0\0\0\x09u=1")].concat(),
            "request 1 end, priority 1 | ",
        ),
        ("RFC 9218 7.1 PRIORITY_UPDATE of a push", raw(0x10, 0, 0, b"\0\0\0\x02u=1"), " | goaway 0 1"),
        (
            "8.5 a second block of CONNECT",
            [
                raw(1, OPEN, 1, &fields(&[(":method", "CONNECT"), (":authority", "a:1")])),
                raw(1, END, 1, &fields(&[("x", "y")])),
            ]
            .concat(),
            "request 1, failed 1 1 | rst 1 1",
        ),
        ("RFC 9218 7.1 PRIORITY_UPDATE on a stream", raw(0x10, 0, 1, b"\0\0\0\x01u=1"), " | goaway 0 1"),
        ("RFC 9218 7.1 PRIORITY_UPDATE of stream 0", raw(0x10, 0, 0, b"\0\0\0\0u=1"), " | goaway 0 1"),
    ];
    for (name, input, text) in &table {
        check(name, input, text);
    }
}

#[test]
fn a_connection_begins_with_the_preface() {
    let mut bad = hello();
    bad[3] = b'x';
    let table = [("another text", bad), ("a request of HTTP/1", b"GET / HTTP/1.1\r\n".to_vec())];
    for (name, input) in table {
        for cut in 0..=input.len() {
            let mut seen = Seen::default();
            run(&mut Connection::new(ConnectionLimits::default(), 0), &[&input[..cut], &input[cut..]], &mut seen);
            assert_eq!(seen.fault, Some(ConnectionFault::Preface), "{name}");
            assert_eq!(seen.control.last().map(String::as_str), Some("goaway 0 1"), "{name}");
        }
    }
}

#[test]
fn only_a_request_or_its_window_may_come_before_settings() {
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("SETTINGS", settings(&[(3, 1)]), "window 0 | ack"),
        ("an acknowledgement", raw(kind::SETTINGS, flag::ACK, 0, &[]), "acked | "),
        ("a request", get(1), "request 1 end | "),
        ("a window and a request", [window(0, 9), get(1)].concat(), "window 0, request 1 end | "),
        ("PING", raw(kind::PING, 0, 0, &[7; 8]), " | goaway 0 1"),
        ("PING behind a window", [window(0, 9), raw(kind::PING, 0, 0, &[7; 8])].concat(), "window 0 | goaway 0 1"),
        ("DATA", raw(kind::DATA, 0, 1, b"x"), " | goaway 0 1"),
        ("PRIORITY", raw(kind::PRIORITY, 0, 1, &[0; 5]), " | goaway 0 1"),
        ("RST_STREAM", reset(1), " | goaway 0 1"),
        ("PUSH_PROMISE", raw(kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 2]), " | goaway 0 1"),
        ("GOAWAY", raw(kind::GOAWAY, 0, 0, &[0; 8]), " | goaway 0 1"),
        ("CONTINUATION", raw(kind::CONTINUATION, 4, 1, &fields(&GET)), " | goaway 0 1"),
        ("PRIORITY_UPDATE", raw(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1"), " | goaway 0 1"),
        ("an unknown frame", raw(0x77, 0, 0, b"x"), " | goaway 0 1"),
    ];
    for (name, first, text) in table {
        let mut connection = Connection::new(ConnectionLimits::default(), 0);
        let mut seen = Seen::default();
        connection.take_control(&mut Vec::new());
        run(&mut connection, &[PREFACE, &first], &mut seen);
        assert_eq!(format!("{} | {}", seen.events.join(", "), seen.control.join(", ")), text, "{name}");
    }
}

mod bounds;
mod states;
mod stops;

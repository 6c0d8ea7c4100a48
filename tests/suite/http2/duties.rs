//! What RFC 9113 says of streams that have ended, windows that are overrun, and what a server says by itself: MUSTs
//! that take more than one answer, each with its section. And RFC 7541.

use super::client::{Frame, H2, head, raw};
use super::rules::*;
use super::{connect, site};
use crate::harness::http;
use crate::upstream::Upstream;
use std::net::TcpListener;
use std::time::Duration;
use webserv::http::h2::frame::{FrameHeader, PREFACE, flag, kind};

/// What was sent before has been understood: frames of `stream` that came until then.
fn settle(c: &mut H2, stream: u32) -> Vec<FrameHeader> {
    settled(c, stream).into_iter().map(|frame| frame.header).collect()
}

/// As [`settle`], with what was in them.
fn settled(c: &mut H2, stream: u32) -> Vec<Frame> {
    c.frame(kind::PING, 0, 0, b"settled.");
    let mut seen = Vec::new();
    loop {
        let frame = c.next_frame().expect("a frame");
        match frame.header.kind {
            kind::PING if frame.header.has(flag::ACK) && frame.payload == b"settled." => return seen,
            _ if frame.header.stream == stream => seen.push(frame),
            _ => {}
        }
    }
}

#[test]
fn header_compression_by_rfc_7541() {
    check(
        "RFC 7541",
        vec![
            ("2.3.3 an index beyond the tables", coded(&[0xff, 0x7f]), Goaway(COMPRESSION)),
            ("2.3.3 a name's index beyond the tables", coded(&[0x7f, 0x7f, 1, b'x']), Goaway(COMPRESSION)),
            (
                "4.2 a size above the setting",
                raw(1, END, 1, &[&[0x3f, 0xe2, 0x1f][..], &block(&REQUEST)].concat()),
                Goaway(COMPRESSION),
            ),
            (
                "4.2 a size at the beginning",
                raw(1, END, 1, &[&[0x3f, 0xe1, 0x1f][..], &block(&REQUEST)].concat()),
                Status(200),
            ),
            (
                "4.2 two sizes at the beginning",
                raw(1, END, 1, &[&[0x20, 0x3f, 0x45][..], &block(&REQUEST)].concat()),
                Status(200),
            ),
            ("4.2 a size behind a field", coded(&[0x20]), Goaway(COMPRESSION)),
            (
                "2.3.2 an entry that is there already",
                coded(&[&[0x40, 1, b'a', 1, b'b'].repeat(2)[..], &[0xbe, 0xbf]].concat()),
                Status(200),
            ),
            (
                "4.4 an entry larger than the table empties it",
                raw(1, END, 1, &[&[0x20, 0x40, 1, b'a', 1, b'b'][..], &block(&REQUEST)].concat()),
                Status(400),
            ),
            (
                "4.4 and is not in it",
                coded(&[&[0x40, 1, b'a', 1, b'b'][..], &[0xbe, 0xbf]].concat()),
                Goaway(COMPRESSION),
            ),
            (
                "5.1 an integer without end",
                coded(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
                Goaway(COMPRESSION),
            ),
            ("5.1 an integer that is cut off", coded(&[0x7f, 0xff]), Goaway(COMPRESSION)),
            ("5.2 a string longer than the block", coded(&[0, 1, b'a', 9, b'x']), Goaway(COMPRESSION)),
            ("5.2 Huffman", coded(&[0, 1, b'a', 0x81, 0x1f]), Status(200)),
            ("5.2 padding longer than 7 bits", coded(&[0, 1, b'a', 0x82, 0x1f, 0xff]), Goaway(COMPRESSION)),
            ("5.2 padding other than the bits of EOS", coded(&[0, 1, b'a', 0x81, 0x18]), Goaway(COMPRESSION)),
            ("5.2 EOS", coded(&[0, 1, b'a', 0x84, 0xff, 0xff, 0xff, 0xff]), Goaway(COMPRESSION)),
            ("6.1 index 0", coded(&[0x80]), Goaway(COMPRESSION)),
            ("6.2.1 a literal that enters the table", coded(&[0x40, 1, b'a', 1, b'b', 0xbe]), Status(200)),
            (
                "6.2.1 a name of the dynamic table",
                coded(&[0x40, 1, b'a', 1, b'b', 0x7e, 1, b'c', 0xbe, 0xbf]),
                Status(200),
            ),
            (
                "4.3 a smaller size evicts",
                [
                    coded(&[0x40, 1, b'a', 1, b'b', 0xbe]),
                    raw(1, END, 3, &[&[0x20, 0x3f, 0xe1, 0x1f][..], &block(&REQUEST), &[0xbe]].concat()),
                ]
                .concat(),
                Goaway(COMPRESSION),
            ),
            ("6.2.2 a literal that does not", coded(&[0, 1, b'a', 1, b'b']), Status(200)),
            ("6.2.3 a literal that never does", coded(&[0x10, 1, b'a', 1, b'b']), Status(200)),
        ],
    );
}

#[test]
fn header_compression_is_exact_at_its_edges() {
    let long = |prefix: &[u8]| [prefix, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]].concat();
    check(
        "RFC 7541, edges",
        vec![
            ("5.1 an index beyond 64 bits", coded(&long(&[0xff])), Goaway(COMPRESSION)),
            ("5.1 a name's length beyond 64 bits", coded(&long(&[0, 0x7f])), Goaway(COMPRESSION)),
            ("5.1 a value's length beyond 64 bits", coded(&long(&[0, 1, b'a', 0x7f])), Goaway(COMPRESSION)),
            ("5.1 a size beyond 64 bits", raw(1, END, 1, &long(&[0x3f])), Goaway(COMPRESSION)),
            ("5.1 an integer with zeros behind it", coded(&[0, 1, b'a', 0x7f, 0x80, 0x00]), Goaway(COMPRESSION)),
            ("5.2 an empty string of Huffman", coded(&[0, 1, b'a', 0x80]), Status(200)),
            ("5.2 padding of seven bits", coded(&[0, 1, b'a', 0x83, 0x00, 0x2e, 0x7f]), Status(200)),
            ("5.2 nothing but padding", coded(&[0, 1, b'a', 0x81, 0xff]), Goaway(COMPRESSION)),
            ("5.2 a name that is cut off", coded(&[0, 9, b'a']), Goaway(COMPRESSION)),
            ("2.3.1 the last of the static table", coded(&[0x0f, 46, 1, b'x']), Status(200)),
            ("2.3.3 the first behind an empty dynamic table", coded(&[0xbe]), Goaway(COMPRESSION)),
            ("4.2 many sizes in a row", raw(1, END, 1, &[&[0x20; 500][..], &block(&REQUEST)].concat()), Status(200)),
            ("4.2 a size alone", raw(1, END, 1, &[0x20]), Status(400)),
        ],
    );
}

#[test]
fn streams_that_have_ended_stay_ended() {
    let s = site("");
    let mut c = connect(&s);
    c.send(&get(1));
    assert_eq!(c.answer(1).status, 200);
    // 5.1: these may come for a while, and mean nothing.
    c.send(&[window(1, 1), reset(1), raw(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 7])].concat());
    assert_eq!((settle(&mut c, 1), c.said_goaway), (vec![], None));
    // 5.1: DATA is answered with STREAM_CLOSED.
    c.send(&raw(kind::DATA, 1, 1, b"x"));
    let frame = c.until(|frame| frame.header.kind == kind::RST_STREAM).expect("a reset");
    assert_eq!((frame.header.stream, frame.code(0)), (1, STREAM_CLOSED));
    // 5.1.1: and no stream is opened twice.
    c.send(&[get(3), get(5)].concat());
    assert!(c.answers(&[3, 5]).values().all(|answer| answer.status == 200));
    c.send(&get(3));
    assert_eq!(c.goaway().map(|(_, code)| code), Some(PROTOCOL));
}

#[test]
fn a_malformed_request_is_answered_and_its_stream_reset_with_protocol_error() {
    let s = site("location /up/ { upload_store %%DIR%%/store; allowed_methods PUT; client_max_body_size 10; }");
    let put = |fields: &[(&str, &str)]| head(1, "PUT", "/up/a", fields, false);
    let long = "x".repeat(40_000);
    let table: [(&str, Vec<u8>, u16, Option<u32>); 9] = [
        // 8.1.1, where the client's side is open: it is told that the error is its own, once it can read the answer.
        ("a field of HTTP/1", put(&[("connection", "close")]), 400, Some(PROTOCOL)),
        ("another Host", put(&[("host", "b.test")]), 400, Some(PROTOCOL)),
        ("two lengths", put(&[("content-length", "1"), ("content-length", "2")]), 400, Some(PROTOCOL)),
        (
            "more than its length",
            [put(&[("content-length", "3")]), raw(kind::DATA, 0, 1, b"abcd")].concat(),
            400,
            Some(PROTOCOL),
        ),
        // 8.1: no error of the client's but a body that is not wanted.
        ("a body that is too large", put(&[("content-length", "11")]), 413, Some(NO_ERROR)),
        ("a head that is too large", put(&[("x-long", &long)]), 431, Some(NO_ERROR)),
        // Both sides have ended.
        ("no body", head(1, "GET", "/small", &[("connection", "close")], true), 400, Some(PROTOCOL)),
        (
            "less than its length",
            [put(&[("content-length", "3")]), raw(kind::DATA, flag::END_STREAM, 1, b"ab")].concat(),
            400,
            Some(PROTOCOL),
        ),
        ("nothing that is malformed", head(1, "GET", "/missing", &[], true), 404, None),
    ];
    for (name, sent, status, code) in table {
        let mut c = connect(&s);
        c.send(&sent);
        let answer = c.answer(1);
        assert!(answer.status == status && answer.ended && answer.reset.is_none(), "{name}: {answer:?}");
        let is_reset = |frame: &Frame| frame.header.kind == kind::RST_STREAM;
        let resets: Vec<Frame> = match code {
            // A little behind the answer, which some clients read to its end first.
            Some(NO_ERROR) => c.until(is_reset).into_iter().collect(),
            _ => settled(&mut c, 1).into_iter().filter(is_reset).collect(),
        };
        assert_eq!(resets.iter().map(|frame| frame.code(0)).collect::<Vec<_>>(), Vec::from_iter(code), "{name}");
        c.send(&head(101, "GET", "/small", &[], true));
        assert_eq!((c.answer(101).status, c.said_goaway), (200, None), "{name}");
    }
}

/// The time at which a client is told to stop is no deadline of anything else.
#[test]
fn a_head_that_is_late_is_given_up_beside_an_upload_that_is_stopped() {
    // It listens and says nothing.
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let s = site(&format!(
        "client_header_timeout 1s; keepalive_timeout 1h; location /silent {{ proxy_pass http://{}; }}
         location /up/ {{ upload_store %%DIR%%/store; allowed_methods PUT; client_max_body_size 10; }}",
        upstream.local_addr().expect("bound")
    ));
    let mut c = connect(&s);
    let silent = head(1, "GET", "/silent", &[], true);
    let refused = head(3, "PUT", "/up/a", &[("content-length", "11")], false);
    c.send(&[silent, refused, head(5, "GET", "/small", &[], true)[..12].to_vec()].concat());
    for (stream, code) in [(3, NO_ERROR), (5, PROTOCOL)] {
        let frame = c.until(|frame| frame.header.kind == kind::RST_STREAM).expect("a reset");
        assert_eq!((frame.header.stream, frame.code(0)), (stream, code));
    }
}

/// As in nginx: only requests prolong an idle connection.
#[test]
fn frames_that_are_no_requests_do_not_keep_an_idle_connection() {
    let s = site("client_header_timeout 400ms; keepalive_timeout 400ms;");
    for asks in [false, true] {
        let mut c = connect(&s);
        if asks {
            assert_eq!(c.get("/small").status, 200);
        }
        // Slowly enough to be no flood; a server that keeps the connection answers for ever.
        let is_ended = (0..60).any(|_| {
            c.frame(kind::PING, 0, 0, b"stay ...");
            c.until(|frame| frame.header.kind == kind::PING || frame.header.kind == kind::GOAWAY).expect("an answer");
            c.said_goaway.is_some() || !c.is_quiet_for(Duration::from_millis(80))
        });
        assert!(is_ended && (c.said_goaway.is_some() || c.goaway().is_some()), "{asks}");
        assert_eq!(c.said_goaway.map(|(_, code)| code), Some(NO_ERROR), "{asks}");
    }
}

/// What a body that is not wanted is stopped with.
const NO_ERROR: u32 = 0;

#[test]
fn nothing_follows_on_a_stream_that_the_client_has_reset() {
    let s = site("");
    let mut c = connect(&s);
    for _ in 0..3 {
        // 6.4, from the middle of its DATA: the window lets 1000 bytes through.
        c.send(&settings(4, 1000));
        let stream = c.request("GET", "/large", &[], true);
        c.until(|frame| frame.header.kind == kind::DATA && frame.header.stream == stream).expect("DATA");
        c.send(&reset(stream));
        settle(&mut c, stream);
        c.send(&[settings(4, 0x3fff_ffff), window(stream, 1 << 20)].concat());
        assert_eq!(settle(&mut c, stream), []);
        assert_eq!(c.get("/small").text(), "small");
    }
}

#[test]
fn a_client_that_overruns_a_window_is_stopped() {
    // Requests that wait for their turn take nothing of their bodies.
    let s =
        site("location /held/ { alias %%DIR%%/html/; limit_req zone=slow burst=100; } http2_body_preread_size 1000;");
    let held = |stream: u32| head(stream, "POST", "/held/small", &[], false);
    let mut c = H2::connect_raw(s.address(0));
    c.send(&[PREFACE, &raw(kind::SETTINGS, 0, 0, b"")[..], &raw(kind::SETTINGS, 1, 0, b"")[..]].concat());
    assert_eq!(c.get("/held/small").status, 200);
    // 6.9.1: the stream's.
    let stream = c.next_stream();
    c.send(&[held(stream), raw(kind::DATA, 0, stream, &[b'x'; 1000])].concat());
    assert_eq!(settle(&mut c, stream), []);
    c.send(&raw(kind::DATA, 0, stream, b"x"));
    assert_eq!(c.answer(stream).reset, Some(FLOW_CONTROL));
    assert_eq!(c.get("/small").status, 200);
    // The padding of a frame counts.
    let stream = c.next_stream();
    let padded = [&[255][..], &[b'x'; 800], &[0; 255]].concat();
    c.send(&[held(stream), raw(kind::DATA, flag::PADDED, stream, &padded)].concat());
    assert_eq!(c.answer(stream).reset, Some(FLOW_CONTROL));
    assert_eq!((c.get("/small").status, c.said_goaway), (200, None));
}

#[test]
fn a_client_may_say_goaway_in_the_middle_of_a_response() {
    let s = site("");
    let mut c = connect(&s);
    let stream = c.request("GET", "/large", &[], true);
    c.until(|frame| frame.header.kind == kind::DATA).expect("it begins");
    // 6.8: what is under way goes on.
    c.send(&raw(kind::GOAWAY, 0, 0, &[0; 8]));
    let answer = c.answer(stream);
    assert!(answer.ended && answer.reset.is_none());
    assert_eq!(s.get("/small").status, 200);
}

#[test]
fn what_is_sent_is_well_formed_whatever_an_upstream_says() {
    let long = "x".repeat(3000);
    let fields: String = (0..8).map(|n| format!("X-Long-{n}: {long}\r\n")).collect();
    let up = Upstream::always(format!(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n\
         Upgrade: h2c\r\nX-UPPER: Y\r\nTrailer: X-T\r\n{fields}Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    ));
    let s = http(&format!(
        "http2 on;
         server {{
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             location /up {{ proxy_pass http://{}; proxy_buffer_size 64k; proxy_buffers 8 64k; }}
             location /none {{ return 204; }}
         }}",
        up.address
    ))
    .file("html/small", "small")
    .start();
    let mut c = connect(&s);
    let stream = c.request("GET", "/up", &[], true);
    // 4.2: no frame is longer than the client allows; 4.3: nothing comes between the frames of a block.
    let first = c.until(|frame| frame.header.stream == stream).expect("a head");
    assert!(first.header.kind == kind::HEADERS && first.header.len <= 16_384);
    let (mut block, mut last) = (first.payload, first.header);
    while !last.has(flag::END_HEADERS) {
        let next = c.next_frame().expect("a frame");
        assert!(next.header.kind == kind::CONTINUATION && next.header.stream == stream && next.header.len <= 16_384);
        block.extend(next.payload);
        last = next.header;
    }
    assert_eq!(last.kind, kind::CONTINUATION, "the head is longer than a frame");
    let fields = c.decode(&block);
    // 8.3: pseudo-header fields come first, 8.3.2: one :status, and no other.
    assert_eq!(fields[0], (":status".into(), "200".into()));
    assert!(fields[1..].iter().all(|(name, _)| !name.starts_with(':')), "{fields:?}");
    // 8.2: names are in lower case; 8.2.2: nothing is about the connection.
    assert!(fields.iter().all(|(name, _)| !name.bytes().any(|b| b.is_ascii_uppercase())), "{fields:?}");
    for name in ["connection", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding"] {
        assert!(fields.iter().all(|(field, _)| field != name), "{name}");
    }
    assert_eq!(c.answer(stream).text(), "body");
    // 8.1: no content where HTTP has none, and an end all the same.
    for (method, path, status) in [("HEAD", "/small", 200), ("GET", "/none", 204), ("HEAD", "/missing", 404)] {
        let stream = c.request(method, path, &[], true);
        let answer = c.answer(stream);
        assert_eq!((answer.status, answer.body.len(), answer.ended), (status, 0, true), "{method} {path}");
    }
}

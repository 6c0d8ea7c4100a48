//! Streams of one connection beside each other: who is sent how much before whom, and that one which stands still stops
//! no other. What is asserted are bytes and their order: the connection's window is opened a little at a time.

use super::client::{H2, head, raw};
use super::gone::{STATUS, huge, under_way};
use super::{connect, send_body, site};
use crate::harness::{Server, eventually, http, noise};
use crate::strace::Strace;
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use webserv::http::h2::frame::{self, PREFACE, flag, kind};
use webserv::sys::socket;

const WINDOW: u32 = 65_535;
/// Bytes of a download that may come before an answer that could not be sent at once.
const MOST: usize = 2 << 20;

/// A client whose streams have wide windows, and whose connection has that of the beginning.
fn narrow(s: &Server) -> H2 {
    let mut c = H2::connect_raw(s.address(0));
    let mut hello = PREFACE.to_vec();
    frame::settings(&mut hello, &[(4, 0x3fff_ffff)]);
    c.send(&hello);
    c
}

fn open(c: &mut H2) {
    c.send(&raw(kind::WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes()));
}

/// Bytes of DATA by stream, until the connection's window is used up.
fn fill(c: &mut H2) -> BTreeMap<u32, usize> {
    let mut got = BTreeMap::new();
    while got.values().sum::<usize>() < WINDOW as usize {
        let frame = c.until(|frame| frame.header.kind == kind::DATA).expect("DATA");
        *got.entry(frame.header.stream).or_default() += frame.payload.len();
    }
    got
}

/// A file of a gigabyte, as it is and from an upstream.
fn gigabyte() -> Server {
    let s = http(&format!(
        "http2 on;
         server {{
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             {STATUS}
             location /passed/ {{ proxy_pass http://127.0.0.1:%%PORT1%%/; proxy_buffers 64 64k; proxy_buffer_size 64k; }}
         }}
         server {{ listen 127.0.0.1:%%PORT1%%; root %%DIR%%/html; access_log logs/passed.log; }}"
    ))
    .file("html/small", "small")
    .file("html/medium", noise(2_000_000))
    .start();
    huge(&s);
    s
}

#[test]
fn a_small_answer_beside_a_gigabyte_waits_for_one_share_at_most() {
    let s = gigabyte();
    for (large, small) in [("/huge", "/small"), ("/passed/huge", "/small"), ("/huge", "/passed/small")] {
        let mut c = narrow(&s);
        c.send(&head(1, "GET", large, &[], true));
        fill(&mut c);
        for round in 1..=20 {
            let stream = 2 * round + 1;
            c.send(&head(stream, "GET", small, &[], true));
            c.until(|frame| frame.header.kind == kind::HEADERS && frame.header.stream == stream).expect("a head");
            open(&mut c);
            let (mut before, mut total) = (0, 0);
            let mut answered = false;
            while total < WINDOW as usize {
                let frame = c.until(|frame| frame.header.kind == kind::DATA).expect("DATA");
                total += frame.payload.len();
                match frame.header.stream {
                    1 if !answered => before += frame.payload.len(),
                    1 => {}
                    _ => answered = true,
                }
            }
            assert!(answered && before <= 40_000, "{large}, round {round}: {before} bytes before {small}");
        }
    }
}

/// Its delay was over while another stream had used up the connection's window: it was closed at once, as if
/// send_timeout had run out.
#[test]
fn a_proxied_stream_that_limit_rate_delayed_has_time_to_send_after_its_delay() {
    let s = http(
        "http2 on;
         limit_req_zone $server_port zone=one:1m rate=1r/s;
         server {
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             location /passed/ {
                 limit_rate 1k; proxy_max_temp_file_size 0; proxy_pass http://127.0.0.1:%%PORT1%%/;
             }
             location /later/ { limit_req zone=one burst=5; alias %%DIR%%/html/; }
         }
         server { listen 127.0.0.1:%%PORT1%%; root %%DIR%%/html; access_log off; }",
    )
    .file("html/small", "small")
    .file("html/medium", noise(2_000_000))
    .start();
    let mut c = narrow(&s);
    c.send(&head(1, "GET", "/passed/medium", &[], true));
    let first = c.until(|frame| frame.header.kind == kind::DATA).expect("DATA").payload.len();
    c.send(&head(3, "GET", "/medium", &[], true));
    let mut got = first;
    while got < WINDOW as usize {
        got += c.until(|frame| frame.header.kind == kind::DATA).expect("DATA").payload.len();
    }
    // Each of these is answered a second after the one before it: by then, the delay is over.
    for stream in [5, 7, 9] {
        c.send(&head(stream, "HEAD", "/later/small", &[], true));
    }
    c.until(|frame| frame.header.kind == kind::HEADERS && frame.header.stream == 9).expect("a head");
    c.send(&raw(kind::RST_STREAM, 0, 3, &8u32.to_be_bytes()));
    open(&mut c);
    let is_next = |frame: &frame::FrameHeader| frame.stream == 1 && frame.kind != kind::WINDOW_UPDATE;
    let next = c.until(|frame| is_next(&frame.header)).expect("the stream goes on");
    assert_eq!((next.header.kind, next.payload.is_empty()), (kind::DATA, false));
}

/// Bytes of DATA of stream 1 before `stream` has ended.
fn ahead_of(c: &mut H2, stream: u32) -> usize {
    let mut bytes = 0;
    loop {
        let frame = c.next_frame().expect("a frame");
        match frame.header.stream {
            1 if frame.header.kind == kind::DATA => bytes += frame.payload.len(),
            other if other == stream && frame.header.has(flag::END_STREAM) => return bytes,
            _ => {}
        }
    }
}

fn take(c: &mut H2, mut bytes: usize) {
    while bytes > 0 {
        let frame = c.until(|frame| frame.header.kind == kind::DATA).expect("DATA");
        bytes = bytes.saturating_sub(frame.payload.len());
    }
}

/// The client's receive buffer, what the kernel keeps unsent, what waits for the kernel, and a share: about 600 KB,
/// each a constant. The kernel alone would hold four megabytes.
#[test]
fn a_client_that_stands_still_is_heard_and_finds_little_before_its_next_answer() {
    let s = gigabyte();
    let mut c = H2::connect_small(s.address(0), 64 << 10);
    c.send(&head(1, "GET", "/huge", &[], true));
    take(&mut c, 8 << 20);
    for round in 1..=8 {
        let (stream, path) = (2 * round + 1, format!("/small?{round}"));
        c.send(&head(stream, "GET", &path, &[], true));
        // It is read though nothing can be sent, and before the client reads on: begun, or answered already.
        eventually("the request is read", || {
            under_way(&s) == 2 || std::fs::read_to_string(s.path("logs/access.log")).unwrap_or_default().contains(&path)
        });
        let ahead = ahead_of(&mut c, stream);
        assert!(ahead <= MOST, "round {round}: {ahead} bytes");
        take(&mut c, 4 << 20);
    }
}

/// What was sent to the server before is read after this, and what could be sent is: its events come in their order.
fn turns(s: &Server) {
    for _ in 0..2 {
        s.get("/small").is(200);
    }
}

#[test]
fn frames_behind_a_part_of_one_are_heard_beside_a_download_that_stands_still() {
    let s = gigabyte();
    let mut c = H2::connect_small(s.address(0), 64 << 10);
    c.send(&head(1, "GET", "/huge", &[], true));
    take(&mut c, 8 << 20);
    let cookie = "c".repeat(3000);
    for round in 1..=4 {
        let stream = 2 * round + 1;
        let mut request = head(stream, "GET", "/small", &[("cookie", &cookie)], true);
        let half = request.len() / 2;
        request.extend_from_slice(&raw(kind::PING, 0, 0, &[round as u8; 8]));
        c.send(&request[..half]);
        turns(&s);
        c.send(&request[half..]);
        turns(&s);
        let (mut ahead, mut is_answered, mut is_alive) = (0, false, false);
        while !(is_answered && is_alive) {
            let frame = c.next_frame().expect("a frame");
            match frame.header.stream {
                0 => is_alive |= frame.header.kind == kind::PING && frame.header.has(flag::ACK),
                1 => ahead += frame.payload.len(),
                other => is_answered |= other == stream && frame.header.has(flag::END_STREAM),
            }
            assert!(ahead <= MOST, "round {round}: {ahead} bytes; answered: {is_answered}, PING: {is_alive}");
        }
        take(&mut c, 4 << 20);
    }
}

/// The client writes all of it before it reads on.
#[test]
fn an_upload_is_taken_beside_a_download_that_stands_still() {
    const LENGTH: usize = 200_000;
    let s = site("location /up/ { upload_store %%DIR%%/store; allowed_methods PUT; }");
    huge(&s);
    let mut c = H2::connect_small(s.address(0), 64 << 10);
    let upload = c.request("PUT", "/up/x", &[("content-length", &LENGTH.to_string())], false);
    while c.room(upload) < LENGTH {
        c.until(|frame| frame.header.kind == kind::WINDOW_UPDATE).expect("a window");
    }
    c.request("GET", "/huge", &[], true);
    take(&mut c, 8 << 20);
    turns(&s);
    let content = noise(LENGTH);
    let mut frames = Vec::new();
    for piece in content.chunks(16_000) {
        frames.extend_from_slice(&raw(kind::DATA, 0, upload, piece));
    }
    frames.extend_from_slice(&raw(kind::DATA, flag::END_STREAM, upload, b""));
    c.send(&frames);
    eventually("the upload is taken", || std::fs::read(s.path("store/x")).is_ok_and(|got| got == content));
    c.until(|frame| frame.header.kind == kind::HEADERS && frame.header.stream == upload).expect("an answer");
}

/// A connection that could always send used to be read at the end of its window, a gigabyte. How much a turn's share of
/// time sends is the machine's matter: far less than this.
#[test]
fn a_fast_client_is_heard_in_the_middle_of_a_gigabyte() {
    const FAR: usize = 512 << 20;
    let s = gigabyte();
    let mut c = H2::connect_small(s.address(0), 256 << 10);
    c.send(&head(1, "GET", "/huge", &[], true));
    for round in 1..=3 {
        take(&mut c, 2 << 20);
        let stream = 2 * round + 1;
        c.send(&head(stream, "GET", "/small", &[], true));
        let ahead = ahead_of(&mut c, stream);
        assert!(ahead <= FAR, "round {round}: {ahead} bytes");
    }
}

#[test]
fn urgency_comes_first_and_incremental_streams_share() {
    let s = gigabyte();
    for (one, other) in [("/huge", "/huge"), ("/huge", "/passed/medium")] {
        let mut c = narrow(&s);
        c.send(&head(1, "GET", one, &[("priority", "u=5")], true));
        assert_eq!(fill(&mut c), BTreeMap::from([(1, WINDOW as usize)]));
        c.send(&head(3, "GET", other, &[("priority", "u=1")], true));
        c.until(|frame| frame.header.kind == kind::HEADERS && frame.header.stream == 3).expect("a head");
        if other.starts_with("/passed/") {
            // All of it has come from the upstream: none is late.
            s.await_file("logs/passed.log", |log| log.contains("/medium"));
            turns(&s);
        }
        for _ in 0..5 {
            open(&mut c);
            assert_eq!(fill(&mut c), BTreeMap::from([(3, WINDOW as usize)]));
        }
        // RFC 9218 7.1: the client has changed its mind.
        c.send(&raw(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=0"));
        open(&mut c);
        assert_eq!(fill(&mut c), BTreeMap::from([(1, WINDOW as usize)]));
        // As urgent, and both incremental.
        c.send(&raw(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=2, i"));
        c.send(&raw(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x03u=2, i"));
        let mut total = BTreeMap::new();
        for _ in 0..10 {
            open(&mut c);
            for (stream, bytes) in fill(&mut c) {
                *total.entry(stream).or_insert(0) += bytes;
            }
        }
        assert!(total.len() == 2 && total.values().all(|bytes| *bytes > 3 * WINDOW as usize), "{total:?}");
    }
}

#[test]
fn an_upload_that_stands_still_stops_no_other_stream() {
    // It listens and takes nothing.
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    socket::rcvbuf(upstream.as_fd(), 64 << 10).expect("SO_RCVBUF");
    let port = upstream.local_addr().expect("bound").port();
    let s = site(&format!(
        "client_max_body_size 0;
         location /stuck {{ proxy_pass http://127.0.0.1:{port}; proxy_request_buffering off; }}
         location /up/ {{ upload_store %%DIR%%/store; allowed_methods PUT; }}"
    ));
    let mut c = connect(&s);
    let stuck = c.request("PUT", "/stuck", &[("content-length", "1000000000")], false);
    let piece = vec![b'x'; 16_384];
    let (mut sent, mut quiet) = (0, 0);
    // Until no window comes though it was asked several times.
    while quiet < 5 {
        let room = c.room(stuck).min(piece.len());
        if room > 0 {
            c.data(stuck, &piece[..room], false);
            (sent, quiet) = (sent + room, 0);
            assert!(sent < 512 << 20, "more is taken than the upstream takes");
            continue;
        }
        c.frame(kind::PING, 0, 0, &[1; 8]);
        c.until(|frame| frame.header.kind == kind::PING).expect("an answer");
        quiet += 1;
    }
    let content = noise(3_000_000);
    for name in ["a", "b"] {
        let stream = c.request("PUT", &format!("/up/{name}"), &[], false);
        send_body(&mut c, stream, &content);
        assert_eq!(c.answer(stream).status, 201);
        assert!(s.read(&format!("store/{name}")) == content);
    }
    assert_eq!(c.get("/large").body.len(), 3_000_000);
    c.frame(kind::RST_STREAM, 0, stuck, &8u32.to_be_bytes());
    assert_eq!(c.get("/small").text(), "small");
}

/// One call that changes files takes 5 ms here; a turn's time is 4 ms.
#[test]
fn many_changes_of_files_on_one_connection_do_not_come_before_the_request_of_another() {
    const MANY: usize = 20;
    let s = http(
        "http2 on;
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; location /dav/ { dav_methods DELETE; } }",
    );
    let files = (0..2 * MANY).map(|n| format!("html/dav/{n}"));
    let s = files.fold(s, |s, file| s.file(&file, "x")).file("html/small", "small").start();
    for (first, is_http2) in [(0, true), (MANY, false)] {
        let paths = (first..first + MANY).map(|n| format!("/dav/{n}"));
        let (mut many, mut pipelined, mut other) = (connect(&s), s.ready_client(), s.ready_client());
        many.get("/small");
        let strace = s.frozen(|| {
            for (at, path) in paths.enumerate() {
                if is_http2 {
                    many.send(&head(2 * at as u32 + 3, "DELETE", &path, &[], true));
                } else {
                    pipelined.send(format!("DELETE {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
                }
            }
            other.send("GET /small HTTP/1.1\r\nHost: a\r\n\r\n");
            let calls = "trace=unlinkat,sendto,sendmsg,write,writev,sendfile";
            Strace::attach(&s, &["-e", calls, "-e", "inject=unlinkat:delay_exit=5000"])
        });
        let Some(strace) = strace else { return };
        other.response().is(200).body_is("small");
        match is_http2 {
            true => {
                let streams: Vec<u32> = (0..MANY as u32).map(|at| 2 * at + 3).collect();
                assert!(many.answers(&streams).values().all(|answer| answer.status == 204));
            }
            false => (0..MANY).for_each(|_| _ = pipelined.response().is(204)),
        }
        let trace = strace.detach();
        let before =
            trace.lines().take_while(|line| !line.contains("200 OK")).filter(|line| line.starts_with("unlinkat"));
        let before = before.count();
        assert!(before <= 5, "HTTP/2: {is_http2}: {before} of {MANY} came first:\n{trace}");
    }
}

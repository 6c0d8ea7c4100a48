//! HTTP/2: the same handlers, filters, uploads, proxying and logs behind streams; what RFC 9113 asks of a server seen
//! from outside ([`rules`], [`duties`]); attacks in [`attacks`].
//!
//! Points of nginx's own suite that are not made, on purpose:
//! - `h2_server_tokens.t`: wants `Server: nginx`. This is another product (RFC 9110 §10.2.4).

mod attacks;
mod bodies;
pub mod client;
mod duties;
mod fairness;
mod gone;
mod hostile;
mod kept;
mod logged;
mod messages;
mod oracle;
mod overload;
mod rules;
mod tunnel;

use crate::harness::{Server, http, noise, skip_on_nginx};
use client::{H2, head, raw};
use webserv::http::h2::frame::kind;

fn site(server: &str) -> Server {
    http(&format!(
        "http2 on;
         log_format h2 '$request|$server_protocol|$http2|$status|$body_bytes_sent|$request_length';
         access_log logs/h2.log h2;
         limit_conn_zone $binary_remote_addr zone=one:1m;
         limit_req_zone $server_port zone=slow:1m rate=1r/m;
         server {{
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             {server}
         }}"
    ))
    .file("html/small", "small")
    .file("html/large", noise(3_000_000))
    .mkdir("store")
    .start()
}

fn connect(s: &Server) -> H2 {
    H2::connect(s.address(0))
}

#[test]
fn files_returns_and_errors_are_answered_on_one_connection() {
    let s = site("location /r { return 200 \"$server_protocol $http2 $request_method $http_host\"; }");
    let mut c = connect(&s);
    let small = c.get("/small");
    assert_eq!((small.status, small.text()), (200, "small".into()));
    assert_eq!((small.header("content-length"), small.header("connection")), (Some("5"), None));
    assert!(small.fields.iter().all(|(name, _)| !name.contains(|c: char| c.is_ascii_uppercase())), "{small:?}");
    let large = c.get("/large");
    assert!(large.status == 200 && large.body == s.read("html/large"));
    assert_eq!(c.get("/r").text(), "HTTP/2.0 h2c GET a.test");
    assert_eq!(c.get("/missing").status, 404);
    let head = c.request("HEAD", "/small", &[], true);
    let head = c.answer(head);
    assert_eq!((head.status, head.body.len(), head.ended), (200, 0, true));
    let part = c.request("GET", "/large", &[("range", "bytes=5-14")], true);
    let part = c.answer(part);
    assert!(part.status == 206 && part.body == s.read("html/large")[5..15]);
    let tag = small.header("etag").expect("an ETag").to_owned();
    let same = c.request("GET", "/small", &[("if-none-match", &tag)], true);
    let same = c.answer(same);
    assert_eq!((same.status, same.body.len(), same.ended), (304, 0, true));
    // HTTP/1.1 is spoken on the same port.
    s.get("/small").is(200).body_is("small");
    let log = s.await_file("logs/h2.log", |log| log.lines().count() >= 8);
    assert!(log.contains("GET /small HTTP/2.0|HTTP/2.0|h2c|200|5|"), "{log}");
    assert!(log.contains("GET /small HTTP/1.1|HTTP/1.1||200|5|"), "{log}");
}

#[test]
fn many_streams_are_answered_whatever_the_order() {
    let s = site("");
    let mut c = connect(&s);
    let streams: Vec<u32> =
        (0..60).map(|n| c.request("GET", if n % 7 == 3 { "/large" } else { "/small" }, &[], true)).collect();
    for (at, (_, answer)) in c.answers(&streams).into_iter().enumerate() {
        let body = if at % 7 == 3 { s.read("html/large") } else { b"small".to_vec() };
        assert!(answer.status == 200 && answer.ended && answer.body == body, "stream {at}");
    }
}

#[test]
fn a_small_answer_does_not_wait_behind_a_large_one() {
    let s = site("");
    let mut c = connect(&s);
    // Both come at once: what was sent before the second had come would say nothing.
    let (large, small) = (c.next_stream(), c.next_stream());
    c.send(&[head(large, "GET", "/large", &[], true), head(small, "GET", "/small", &[], true)].concat());
    let mut before = 0;
    loop {
        let frame = c.next_frame().expect("frames");
        match (frame.header.kind, frame.header.stream) {
            (kind::DATA, stream) if stream == small => break,
            (kind::DATA, stream) if stream == large => before += frame.payload.len(),
            _ => {}
        }
    }
    assert!(before <= 512 << 10, "{before} bytes of the large one came first");
}

#[test]
fn uploads_arrive_with_and_without_a_length() {
    let s =
        site("location /up/ { upload_store %%DIR%%/store; allowed_methods GET PUT POST; client_max_body_size 5m; }");
    let mut c = connect(&s);
    let content = noise(2_000_000);
    let length = content.len().to_string();
    for (name, fields) in [("a", &[("content-length", length.as_str())][..]), ("b", &[])] {
        let stream = c.request("PUT", &format!("/up/{name}"), fields, false);
        // No more than the windows let in: what was granted is waited for.
        send_body(&mut c, stream, &content);
        assert_eq!(c.answer(stream).status, 201, "{name}");
        assert!(s.read(&format!("store/{name}")) == content, "{name}");
    }
    let empty = c.request("PUT", "/up/empty", &[("content-length", "0")], true);
    assert_eq!(c.answer(empty).status, 201);
    // Refused before it comes, and while it comes: the rest is not read, the connection goes on.
    let announced = c.request("PUT", "/up/c", &[("content-length", "9000000")], false);
    assert_eq!(c.answer(announced).status, 413);
    assert_eq!(c.get("/small").status, 200);
    assert!(!s.exists("store/c"));
}

/// Sends a body by the windows that the server grants.
fn send_body(c: &mut H2, stream: u32, content: &[u8]) {
    let mut at = 0;
    while at < content.len() {
        let room = c.room(stream).min(16_384);
        if room == 0 {
            c.until(|frame| frame.header.kind == kind::WINDOW_UPDATE).expect("a window");
            continue;
        }
        let piece = &content[at..content.len().min(at + room)];
        at += piece.len();
        c.data(stream, piece, at == content.len());
    }
}

#[test]
fn what_is_wrong_with_a_request_is_answered_and_the_connection_goes_on() {
    let s = site("");
    let mut c = connect(&s);
    let table: [(&str, &[(&str, &str)], u16); 5] = [
        ("a field of HTTP/1", &[("connection", "close")], 400),
        ("another host", &[("host", "b.test")], 400),
        ("a length and no body", &[("content-length", "3")], 400),
        ("an expectation", &[("expect", "x")], 417),
        ("nothing", &[], 200),
    ];
    for (name, fields, status) in table {
        let stream = c.request("GET", "/small", fields, true);
        assert_eq!(c.answer(stream).status, status, "{name}");
    }
    let long = "x".repeat(40_000);
    let stream = c.request("GET", "/small", &[("x-long", &long)], true);
    assert_eq!(c.answer(stream).status, 431);
    assert_eq!(c.get("/small").status, 200);
    // Less and more than Content-Length.
    for (sent, length) in [("ab", "3"), ("abcd", "3")] {
        let stream = c.request("POST", "/small", &[("content-length", length)], false);
        c.data(stream, sent.as_bytes(), true);
        let status = c.answer(stream).status;
        assert!((400..500).contains(&status), "{sent} of {length}: {status}");
    }
    assert_eq!(c.get("/small").status, 200);
}

#[test]
fn a_proxied_request_and_its_response_pass_through() {
    let s = http(
        "http2 on;
         server { listen 127.0.0.1:%%PORT%%; location / { proxy_pass http://127.0.0.1:%%PORT1%%; } }
         server {
             listen 127.0.0.1:%%PORT1%%;
             root %%DIR%%/html;
             location /echo { return 200 \"$request_method $http_x_a $http_cookie $content_length\"; }
         }",
    )
    .file("html/large", noise(1_000_000))
    .start();
    let mut c = connect(&s);
    let large = c.get("/large");
    assert!(large.status == 200 && large.body == s.read("html/large"));
    let stream = c.request("POST", "/echo", &[("x-a", "1"), ("cookie", "a=b"), ("cookie", "c=d")], false);
    c.data(stream, b"hello", true);
    assert_eq!(c.answer(stream).text(), "POST 1 a=b; c=d 5");
}

#[test]
fn an_upstream_that_breaks_off_resets_the_stream_and_no_other() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = upstream.local_addr().expect("an address").port();
    let s = http(&format!(
        "http2 on;
         server {{
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             location /cut {{ proxy_pass http://127.0.0.1:{port}; }}
         }}"
    ))
    .file("html/small", "small")
    .start();
    let mut c = connect(&s);
    for head in ["Content-Length: 9\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let stream = c.request("GET", "/cut", &[], true);
        let (mut peer, _) = upstream.accept().expect("the server connects");
        std::io::Read::read(&mut peer, &mut [0; 1024]).expect("a request");
        std::io::Write::write_all(&mut peer, format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).expect("it reads");
        drop(peer);
        let answer = c.answer(stream);
        assert!(answer.status == 200 && !answer.ended && answer.reset.is_some(), "{answer:?}");
    }
    assert_eq!(c.get("/small").status, 200);
}

#[test]
fn a_server_that_has_it_off_is_misdirected_and_trailers_follow_the_body() {
    let s = http(
        "server {
             listen 127.0.0.1:%%PORT%%;
             server_name a.test;
             http2 on;
             location /t { add_trailer X-End $status; return 200 body; }
         }
         server { listen 127.0.0.1:%%PORT%%; server_name b.test; }",
    )
    .start();
    let mut c = connect(&s);
    let answer = c.get("/t");
    assert_eq!((answer.text(), answer.trailers), ("body".into(), vec![("x-end".into(), "200".into())]));
    let mut block = Vec::new();
    for (name, value) in [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "b.test")] {
        webserv::http::h2::hpack::encode::field(&mut block, name.as_bytes(), value.as_bytes());
    }
    c.frame(kind::HEADERS, 5, 101, &block);
    assert_eq!(c.answer(101).status, 421);
}

#[test]
fn what_is_open_is_finished_before_a_quit_or_a_reload_ends_the_connection() {
    if skip_on_nginx("the order of signals and requests is ours") {
        return;
    }
    for signal in [SIGQUIT, SIGHUP] {
        let s = site("location /slow { limit_rate 1m; limit_rate_after 100k; }");
        std::fs::write(s.path("html/slow"), noise(2_000_000)).expect("a file");
        let mut c = connect(&s);
        let stream = c.request("GET", "/slow", &[], true);
        c.until(|frame| frame.header.kind == kind::DATA).expect("it has begun");
        s.signal(signal);
        let answer = c.answer(stream);
        assert!(answer.ended, "signal {signal}: cut");
        while c.next_frame().is_some() {}
        assert_eq!(c.said_goaway, Some((stream, 0)), "signal {signal}");
    }
}

const SIGHUP: i32 = 1;
const SIGQUIT: i32 = 3;

#[test]
fn keepalive_requests_ends_a_connection_in_order() {
    let s = site("keepalive_requests 3;");
    let mut c = connect(&s);
    for _ in 0..2 {
        assert_eq!(c.get("/small").status, 200);
    }
    let stream = c.request("GET", "/small", &[], true);
    assert_eq!(c.answer(stream).status, 200);
    while c.next_frame().is_some() {}
    assert_eq!(c.said_goaway, Some((stream, 0)));
}

#[test]
fn a_stream_that_is_reset_is_given_up_and_logged() {
    let s = site("");
    let mut c = connect(&s);
    // A window of nothing: the response cannot go out.
    let mut hello = Vec::new();
    webserv::http::h2::frame::settings(&mut hello, &[(4, 0)]);
    c.send(&hello);
    let stream = c.request("GET", "/large", &[], true);
    c.until(|frame| frame.header.kind == kind::HEADERS).expect("a head");
    let reset = raw(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes());
    c.send(&reset);
    let log = s.await_file("logs/h2.log", |log| log.contains("/large"));
    assert!(log.contains("GET /large HTTP/2.0|HTTP/2.0|h2c|200|"), "{log}");
    c.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]);
    assert_eq!(c.get("/small").status, 200);
}

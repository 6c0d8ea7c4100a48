//! Extended CONNECT (RFC 8441): a WebSocket over a stream, proxied to an upstream that speaks HTTP/1.

use super::client::{H2, raw};
use crate::harness::{Server, http};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use webserv::http::h2::frame::{flag, kind};
use webserv::http::h2::hpack::encode;
use webserv::sys::socket;

/// Tunnels through `/chat` to the upstream of this address.
pub fn chat(upstream: SocketAddr) -> String {
    format!(
        "location /chat {{
             proxy_pass http://{upstream};
             proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade;
             proxy_set_header Connection upgrade;
         }}"
    )
}

fn site(upstream: SocketAddr) -> Server {
    http(&format!(
        "http2 on;
         log_format h2 '$request|$status|$request_method|$http_upgrade';
         access_log logs/h2.log h2;
         server {{
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             {}
         }}",
        chat(upstream)
    ))
    .file("html/file", "content")
    .start()
}

/// HEADERS of an extended CONNECT.
fn connect(stream: u32, path: &str, protocol: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let fields = [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a.test"),
        ("sec-websocket-version", "13"),
        ("origin", "http://a.test"),
    ];
    for (name, value) in fields {
        encode::field(&mut block, name.as_bytes(), value.as_bytes());
    }
    raw(kind::HEADERS, flag::END_HEADERS, stream, &block)
}

/// The next connection that the server makes.
fn accept(upstream: &TcpListener) -> TcpStream {
    let (peer, _) = upstream.accept().expect("the server connects");
    peer.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a timeout");
    peer
}

/// The head of the request that comes to the upstream.
fn head(peer: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

#[test]
fn a_websocket_goes_through_the_proxy_beside_other_streams() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let s = site(upstream.local_addr().expect("bound"));
    let mut c = H2::connect(s.address(0));
    let settings = c.next_frame().expect("SETTINGS");
    let announced = settings.payload.chunks(6).any(|entry| entry == [0, 8, 0, 0, 0, 1]);
    assert!(settings.header.kind == kind::SETTINGS && announced, "{settings:?}");
    let stream = c.next_stream();
    c.send(&connect(stream, "/chat?room=1", "websocket"));
    let mut peer = accept(&upstream);
    let asked = head(&mut peer).to_ascii_lowercase();
    assert!(asked.starts_with("get /chat?room=1 http/1.1\r\n"), "{asked}");
    for field in
        ["upgrade: websocket\r\n", "connection: upgrade\r\n", "sec-websocket-key: ", "sec-websocket-version: 13"]
    {
        assert!(asked.contains(field), "{field}: {asked}");
    }
    assert!(!asked.contains("transfer-encoding") && !asked.contains("content-length"), "{asked}");
    peer.write_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\
          Sec-WebSocket-Protocol: chat\r\n\r\nhello",
    )
    .expect("it reads");
    let response = c.until(|frame| frame.header.kind == kind::HEADERS).expect("a head");
    assert!(response.header.stream == stream && !response.header.has(flag::END_STREAM));
    let fields = c.decode(&response.payload);
    let value = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!((value(":status"), value("sec-websocket-protocol")), (Some("200"), Some("chat")), "{fields:?}");
    assert_eq!((value("sec-websocket-accept"), value("upgrade"), value("connection")), (None, None, None));
    let data = c.until(|frame| frame.header.kind == kind::DATA).expect("DATA");
    assert_eq!(data.payload, b"hello");
    for round in 0..3 {
        let text = format!("message {round}");
        c.frame(kind::DATA, 0, stream, text.as_bytes());
        let mut got = vec![0; text.len()];
        peer.read_exact(&mut got).expect("the message");
        assert_eq!(got, text.as_bytes());
        peer.write_all(&got).expect("it reads");
        let echoed = c.until(|frame| frame.header.kind == kind::DATA && frame.header.stream == stream).expect("DATA");
        assert_eq!(echoed.payload, text.as_bytes());
        let other = c.request("GET", "/file", &[], true);
        assert_eq!(c.answer(other).text(), "content");
    }
    drop(peer);
    let end = c.until(|frame| frame.header.stream == stream).expect("an end");
    assert!(end.header.kind == kind::DATA && end.header.has(flag::END_STREAM), "{end:?}");
    let log = s.await_file("logs/h2.log", |log| log.contains("/chat"));
    assert!(log.contains("CONNECT /chat?room=1 HTTP/2.0|101|GET|websocket"), "{log}");
}

#[test]
fn what_cannot_be_a_websocket_is_not_said_to_be_one() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let s = site(upstream.local_addr().expect("bound"));
    let mut c = H2::connect(s.address(0));
    for (stream, path, protocol, status) in
        [(101, "/file", "websocket", 501), (103, "/chat", "other", 501), (105, "/none", "websocket", 404)]
    {
        c.send(&connect(stream, path, protocol));
        assert_eq!(c.answer(stream).status, status, "{path} {protocol}");
    }
    // An upstream that does not switch; what the log has is what the client had.
    c.send(&connect(111, "/chat?whole", "websocket"));
    let mut peer = accept(&upstream);
    head(&mut peer);
    peer.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").expect("it reads");
    assert_eq!(c.answer(111).status, 501);
    drop(peer);
    let log = s.await_file("logs/h2.log", |log| log.contains("whole"));
    for line in ["CONNECT /file HTTP/2.0|501|", "CONNECT /none HTTP/2.0|404|", "CONNECT /chat?whole HTTP/2.0|501|"] {
        assert!(log.contains(line), "{log}");
    }
    c.send(&connect(113, "/chat", "websocket"));
    let mut peer = accept(&upstream);
    head(&mut peer);
    peer.write_all(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").expect("it reads");
    let refused = c.answer(113);
    assert_eq!((refused.status, refused.text()), (403, "no".into()));
    // A client that gives up is gone for the upstream too.
    c.send(&connect(115, "/chat", "websocket"));
    let mut peer = accept(&upstream);
    head(&mut peer);
    c.frame(kind::RST_STREAM, 0, 115, &8u32.to_be_bytes());
    assert_eq!(peer.read(&mut [0]).expect("an end"), 0);
}

/// RFC 9113 §8.5: what is no end in order on one side is none on the other.
#[test]
fn a_tunnel_that_breaks_on_one_side_breaks_on_the_other() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let s = site(upstream.local_addr().expect("bound"));
    let open = |stream: u32| {
        let mut c = H2::connect(s.address(0));
        c.send(&connect(stream, "/chat", "websocket"));
        let mut peer = accept(&upstream);
        head(&mut peer);
        peer.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            .expect("it reads");
        c.until(|frame| frame.header.kind == kind::HEADERS).expect("a head");
        (c, peer)
    };
    let end = |mut peer: TcpStream| peer.read(&mut [0]).map_err(|e| e.kind());
    let (mut c, peer) = open(1);
    c.frame(kind::RST_STREAM, 0, 1, &8u32.to_be_bytes());
    assert_eq!(end(peer), Err(ErrorKind::ConnectionReset), "the stream was reset");
    let (mut c, peer) = open(1);
    c.frame(kind::PING, 0, 1, &[0; 8]);
    assert_eq!(end(peer), Err(ErrorKind::ConnectionReset), "the connection broke a rule");
    let (mut c, peer) = open(1);
    c.frame(kind::DATA, flag::END_STREAM, 1, b"");
    assert_eq!(end(peer), Ok(0), "the stream has ended");
    let (mut c, peer) = open(1);
    socket::linger_reset(peer.as_fd()).expect("SO_LINGER");
    drop(peer);
    let reset = c.until(|frame| frame.header.stream == 1).expect("an end");
    assert_eq!((reset.header.kind, reset.code(0)), (kind::RST_STREAM, 10), "the server's connection was reset");
    // Over HTTP/1 nothing tells a reset from a tab that was closed, and what was sent before is not to be lost (nginx).
    let mut client = TcpStream::connect(s.address(0)).expect("it listens");
    client
        .write_all(b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        .expect("sent");
    let mut peer = accept(&upstream);
    head(&mut peer);
    peer.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        .expect("it reads");
    assert!(head(&mut client).contains("101"));
    socket::linger_reset(client.as_fd()).expect("SO_LINGER");
    drop(client);
    assert_eq!(end(peer), Ok(0), "a client of HTTP/1 left");
}

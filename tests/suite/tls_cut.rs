//! Bodies of upstreams that are cut: no client takes one for whole. One that ends with its connection, without TLS's
//! word for it, goes to its client, and is not stored.

use crate::harness::{Server, eventually, http, skip_on_nginx};
use crate::over_tls::{self, Tls};
use crate::upstream::{Peer, Upstream};
use rustls::ServerConnection;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use webserv::tls::server::{certified, challenge};
use webserv::tls::{CertificateDer, key, pem};

const HALF: &str = "half of it";

/// Answers one request by its path: how the body is framed, and how the connection ends.
fn answer(peer: &mut Peer, config: &Arc<rustls::ServerConfig>) -> Result<()> {
    let mut tls = ServerConnection::new(config.clone()).expect("a server");
    let mut stream = rustls::Stream::new(&mut tls, &mut peer.stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head);
    let framing = match head {
        _ if head.contains("/close/") => "\r\n".to_owned() + HALF,
        _ if head.contains("/length/") => format!("Content-Length: 20\r\n\r\n{HALF}"),
        _ => format!("Transfer-Encoding: chunked\r\n\r\na\r\n{HALF}\r\n"),
    };
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{framing}").as_bytes())?;
    if head.contains("/said") {
        stream.conn.send_close_notify();
    }
    stream.flush()
}

fn upstream() -> Upstream {
    let issued = over_tls::pair();
    let chain = pem::parse(issued.certificate.as_bytes()).expect("sections");
    let chain = chain.into_iter().map(|section| CertificateDer::from(section.der)).collect();
    let key = key::load(issued.key.as_bytes(), &[]).expect("a key");
    let config = challenge(Arc::new(certified(chain, key).expect("a pair")), b"http/1.1").expect("a configuration");
    Upstream::start(move |peer| {
        // One that leaves early is of no concern here.
        let _ = answer(peer, &config);
    })
}

/// What comes of a request until the connection ends, and how it does.
fn ask(s: &Server, target: &str, version: &str, mut tls: Option<Tls>) -> (String, Result<()>) {
    let port = usize::from(tls.is_some());
    let mut tcp = TcpStream::connect(s.address(port)).expect("it listens");
    tcp.set_read_timeout(Some(crate::client::LIMIT)).expect("SO_RCVTIMEO");
    let request = format!("GET {target} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n");
    match &mut tls {
        Some(tls) => assert_eq!(tls.write(&mut tcp, request.as_bytes()).expect("sent"), request.len()),
        None => tcp.write_all(request.as_bytes()).expect("sent"),
    }
    let mut got = Vec::new();
    let end = loop {
        let mut piece = [0; 4096];
        let read = match &mut tls {
            Some(tls) => tls.read(&mut tcp, &mut piece),
            None => tcp.read(&mut piece),
        };
        match read {
            Ok(0) => break Ok(()),
            Ok(n) => got.extend(&piece[..n]),
            Err(e) => break Err(e),
        }
    };
    (String::from_utf8_lossy(&got).into_owned(), end)
}

/// As a client that knows the framing of its protocol.
fn looks_whole((text, end): &(String, Result<()>)) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    assert!(!end.as_ref().is_err_and(|e| e.kind() == ErrorKind::WouldBlock), "{text}: no end");
    match head {
        _ if head.contains("chunked") => body.ends_with("0\r\n\r\n"),
        _ if head.contains("Content-Length") => head.contains(&format!("Content-Length: {}", body.len())),
        _ => end.is_ok(),
    }
}

#[test]
fn a_body_that_an_upstream_cut_looks_whole_to_no_client() {
    if skip_on_nginx("it ends the connection of a client of HTTP/1.0 as if the body were whole") {
        return;
    }
    let up = upstream();
    let s = http(
        "server { listen 127.0.0.1:%%PORT0%%; listen 127.0.0.1:%%PORT1%% ssl; ssl_certificate own.crt; ssl_certificate_key own.key;
           location / { proxy_pass https://%%UP%%; }
           location /plain/ { proxy_buffering off; proxy_pass https://%%UP%%; }
           location /zipped/ { gzip on; gzip_http_version 1.0; gzip_types *; gzip_min_length 1; proxy_pass https://%%UP%%; }
           location /stored/ { proxy_store on; root %%DIR%%/html; proxy_pass https://%%UP%%; } }",
    )
    .replace("%%UP%%", &up.address.to_string())
    .file("conf/own.crt", &over_tls::pair().certificate)
    .file("conf/own.key", &over_tls::pair().key)
    .file("html/f", "")
    .start();
    for place in ["", "/plain", "/zipped", "/stored"] {
        for (target, is_whole) in [
            ("/close/said", true),
            // As in nginx: many end so, and only the connection's end says where the body ends.
            ("/close/unsaid", true),
            ("/length/said", false),
            ("/length/unsaid", false),
            ("/chunked/said", false),
            ("/chunked/unsaid", false),
        ] {
            for (version, is_secure) in [("1.0", false), ("1.1", false), ("1.0", true), ("1.1", true)] {
                let target = place.to_owned() + target;
                let answer = ask(&s, &target, version, is_secure.then(Tls::new));
                assert_eq!(looks_whole(&answer), is_whole, "{target} {version} TLS: {is_secure}: {answer:?}");
                let file = "html".to_owned() + &target;
                match is_whole && place == "/stored" && target.ends_with("/said") {
                    true => eventually("it is stored", || s.exists(&file)),
                    false => assert!(!s.exists(&file), "{target} {version}"),
                }
                // TLS does not say that it was all.
                assert!(is_whole || !is_secure || answer.1.is_err(), "{target} {version}: {answer:?}");
            }
        }
    }
}

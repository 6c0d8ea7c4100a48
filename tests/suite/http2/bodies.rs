//! Bodies whose consumer is not the client's match: delayed, slow, or gone elsewhere in part. Windows are granted again
//! whatever moves the stream on, and nothing waits for ever.

use super::client::{H2, raw};
use super::rules::block;
use super::{connect, send_body, site};
use crate::harness::{eventually, http, skip_on_nginx};
use crate::strace::Strace;
use crate::upstream::Upstream;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use webserv::http::h2::frame::{PREFACE, kind};
use webserv::sys::socket;

#[test]
fn a_delayed_request_is_granted_a_window_when_it_goes_on() {
    let s = http(
        "http2 on;
         http2_body_preread_size 10;
         limit_req_zone $binary_remote_addr zone=all:1m rate=5r/s;
         server {
             listen 127.0.0.1:%%PORT%%;
             location / {
                 limit_req zone=all burst=9;
                 proxy_request_buffering off;
                 proxy_pass http://127.0.0.1:%%PORT1%%;
             }
         }
         server { listen 127.0.0.1:%%PORT1%%; location / { return 200 $content_length; } }",
    )
    .start();
    let mut c = H2::connect_raw(s.address(0));
    let mut hello = PREFACE.to_vec();
    webserv::http::h2::frame::settings(&mut hello, &[]);
    c.send(&hello);
    c.until(|frame| frame.header.kind == kind::SETTINGS && frame.header.flags == 0).expect("SETTINGS");
    c.frame(kind::SETTINGS, 1, 0, b"");
    assert_eq!(c.get("/").status, 200);
    let stream = c.request("PUT", "/", &[("content-length", "20000")], false);
    // Read while the request is delayed: kept for later.
    c.frame(kind::PING, 0, 0, &[1; 8]);
    c.until(|frame| frame.header.kind == kind::PING).expect("an answer");
    c.frame(kind::DATA, 0, stream, b"0123456789");
    // The window of ten bytes is used up: there is no more before the delay is over, which it may be already.
    while c.granted(stream) < 20_000 - 10 {
        c.next_frame().expect("a window");
    }
    c.frame(kind::DATA, 0, stream, &[b'x'; 9990]);
    c.frame(kind::DATA, 1, stream, &[b'x'; 10_000]);
    assert_eq!(c.answer(stream).text(), "20000");
}

#[test]
fn what_a_slow_upstream_takes_by_and_by_is_granted_again() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    // What is not taken is not to lie in the kernel.
    socket::rcvbuf(upstream.as_fd(), 64 << 10).expect("SO_RCVBUF");
    let port = upstream.local_addr().expect("an address").port();
    let s = site(&format!(
        "client_max_body_size 0;
         location /to {{ proxy_pass http://127.0.0.1:{port}; proxy_request_buffering off; }}"
    ));
    let mut c = connect(&s);
    let content = vec![b'x'; 40 << 20];
    let length = content.len().to_string();
    let stream = c.request("PUT", "/to", &[("content-length", &length)], false);
    let (mut peer, _) = upstream.accept().expect("the server connects");
    // Nothing is taken until the window is used up; then the server is woken by its upstream alone.
    let mut sent = 0;
    let mut quiet = 0;
    while quiet < 3 {
        let room = c.room(stream).min(16_384);
        if room == 0 {
            c.frame(kind::PING, 0, 0, &[1; 8]);
            c.until(|frame| frame.header.kind == kind::PING).expect("an answer");
            quiet += 1;
            continue;
        }
        c.data(stream, &content[..room], false);
        (sent, quiet) = (sent + room, 0);
    }
    assert!(sent < content.len(), "more was taken than there is room for");
    let total = content.len();
    let reader = std::thread::spawn(move || {
        let mut head = Vec::new();
        let mut bytes = vec![0; 64 << 10];
        let end = loop {
            let n = peer.read(&mut bytes).expect("a request");
            head.extend_from_slice(&bytes[..n]);
            if let Some(end) = crate::client::find(&head, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let mut got = head.len() - end;
        while got < total {
            match peer.read(&mut bytes).expect("the body") {
                0 => break,
                n => got += n,
            }
        }
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").expect("it reads");
        got
    });
    send_body(&mut c, stream, &content[sent..]);
    assert_eq!(c.answer(stream).text(), "done");
    assert_eq!(reader.join().expect("it ends"), total);
}

#[test]
fn an_error_page_is_fetched_though_the_body_went_elsewhere() {
    let s = http(
        "http2 on;
         server {
             listen 127.0.0.1:%%PORT%%;
             proxy_http_version 1.1;
             location / {
                 proxy_request_buffering off;
                 proxy_pass http://127.0.0.1:%%PORT1%%/bad;
                 proxy_intercept_errors on;
                 error_page 502 = /pass;
             }
             location /pass { proxy_pass http://127.0.0.1:%%PORT1%%/good; }
         }
         server {
             listen 127.0.0.1:%%PORT1%%;
             location /bad { return 502; }
             location /good { return 200 \"$request_method-$http_content_length\"; }
         }",
    )
    .start();
    let mut c = connect(&s);
    let stream = c.request("POST", "/", &[], false);
    c.data(stream, b"SEE-", false);
    c.frame(kind::PING, 0, 0, &[1; 8]);
    c.until(|frame| frame.header.kind == kind::PING).expect("an answer");
    c.data(stream, b"THIS", true);
    let answer = c.answer(stream);
    assert_eq!((answer.status, answer.text()), (200, "GET-".into()));
    // And over HTTP/1.
    let mut one = s.client();
    one.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nSEE-\r\n4\r\nTHIS\r\n0\r\n\r\n");
    one.response().is(200).body_is("GET-");
}

/// The upstream has all that it was told of, though END_STREAM is still to come: a browser may send it in a frame of
/// its own.
#[test]
fn the_upstream_connection_is_kept_though_the_end_of_the_stream_comes_late() {
    let upstream = Upstream::echo();
    let s = http(&format!(
        "http2 on;
         upstream u {{ server {}; keepalive 4; }}
         server {{
             listen 127.0.0.1:%%PORT%%;
             proxy_http_version 1.1;
             proxy_set_header Connection '';
             location / {{ proxy_request_buffering off; proxy_pass http://u; }}
         }}",
        upstream.address
    ))
    .start();
    let mut c = connect(&s);
    for _ in 0..3 {
        let stream = c.request("PUT", "/", &[("content-length", "4")], false);
        c.data(stream, b"body", false);
        assert_eq!(c.answer(stream).status, 200);
        c.data(stream, b"", true);
    }
    assert_eq!((upstream.requests().len(), upstream.connections()), (3, 1));
}

#[test]
fn a_body_without_a_length_is_not_complete_because_its_stream_was_reset() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = upstream.local_addr().expect("an address").port();
    let s = site(&format!(
        "location /to {{ proxy_pass http://127.0.0.1:{port}; proxy_request_buffering off; proxy_http_version 1.1; }}
         location /up/ {{ upload_store %%DIR%%/store; allowed_methods PUT POST; }}"
    ));
    let mut c = connect(&s);
    let cancel = 8u32.to_be_bytes();
    for (name, data) in [("empty", &b""[..]), ("part", b"part")] {
        for together in [true, false] {
            let stream = c.next_stream();
            let mut bytes = super::client::head(stream, "PUT", &format!("/up/{name}"), &[], false);
            if !data.is_empty() {
                bytes.extend(raw(kind::DATA, 0, stream, data));
            }
            if !together {
                c.send(&std::mem::take(&mut bytes));
                c.frame(kind::PING, 0, 0, &[1; 8]);
                c.until(|frame| frame.header.kind == kind::PING).expect("an answer");
            }
            bytes.extend(raw(kind::RST_STREAM, 0, stream, &cancel));
            c.send(&bytes);
        }
    }
    let log = s.await_file("logs/h2.log", |log| log.lines().filter(|line| line.contains("/up/")).count() == 4);
    assert!(!log.contains("|201|"), "{log}");
    assert_eq!(std::fs::read_dir(s.path("store")).expect("it is there").count(), 0);
    // Nor does an upstream hear an end.
    let stream = c.request("PUT", "/to", &[], false);
    c.data(stream, b"part", false);
    let (mut peer, _) = upstream.accept().expect("the server connects");
    let mut got = Vec::new();
    let mut bytes = [0; 4096];
    eventually("the part has come", || {
        let n = peer.read(&mut bytes).expect("a request");
        got.extend_from_slice(&bytes[..n]);
        crate::client::find(&got, b"part").is_some()
    });
    c.frame(kind::RST_STREAM, 0, stream, &cancel);
    peer.read_to_end(&mut got).expect("the end of the connection");
    assert!(crate::client::find(&got, b"\r\n0\r\n").is_none(), "{}", String::from_utf8_lossy(&got));
    assert_eq!(c.get("/small").status, 200);
}

#[test]
fn a_body_that_comes_while_access_is_decided_on_is_kept() {
    let decides = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let behind = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let s = site(&format!(
        "location /a {{ auth_request /auth; proxy_pass http://{}; }}
         location /up/ {{ auth_request /auth; upload_store %%DIR%%/store; allowed_methods PUT; }}
         location = /auth {{ internal; proxy_pass http://{}; }}",
        behind.address,
        decides.local_addr().expect("bound"),
    ));
    let mut c = connect(&s);
    let lengths: [&[(&str, &str)]; 2] = [&[], &[("content-length", "5")]];
    for (round, fields) in lengths.into_iter().enumerate() {
        for (method, path) in [("POST", "/a".to_owned()), ("PUT", format!("/up/f{round}"))] {
            for pieces in [&[(&b"hello"[..], true)][..], &[(b"hel", false), (b"lo", false), (b"", true)]] {
                let stream = c.request(method, &path, fields, false);
                let (mut peer, _) = decides.accept().expect("the server asks");
                let mut head = [0; 4096];
                assert!(peer.read(&mut head).expect("a request") > 0);
                // All of the body has come before there is an answer.
                for (data, end) in pieces {
                    c.data(stream, data, *end);
                    c.frame(kind::PING, 0, 0, &[1; 8]);
                    c.until(|frame| frame.header.kind == kind::PING).expect("an answer");
                }
                peer.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").expect("it reads");
                let answer = c.answer(stream);
                let case = format!("{method} {fields:?} {pieces:?}");
                match method {
                    "POST" => assert_eq!((answer.status, behind.last().body), (200, b"hello".to_vec()), "{case}"),
                    _ => assert_eq!(
                        (answer.status / 100, s.read(&format!("store/f{round}"))),
                        (2, b"hello".to_vec()),
                        "{case}"
                    ),
                }
            }
        }
    }
}

#[test]
fn a_body_that_follows_a_length_of_0_replaces_no_file() {
    let s = site("location /up/ { upload_store %%DIR%%/store; allowed_methods PUT; }");
    s.write("store/f", "OLD");
    let mut c = connect(&s);
    let stream = c.request("PUT", "/up/f", &[("content-length", "0")], false);
    c.send(&raw(kind::DATA, 1, stream, b"bytes"));
    assert_eq!(c.answer(stream).status, 400);
    assert_eq!(s.read("store/f"), b"OLD");
    // Nothing that follows is an empty file.
    let stream = c.request("PUT", "/up/f", &[("content-length", "0")], false);
    c.send(&raw(kind::DATA, 1, stream, b""));
    assert_eq!(c.answer(stream).status / 100, 2);
    assert_eq!(s.read("store/f"), b"");
}

/// `00` was taken for a body of unknown length: 411 for an upstream of HTTP/1.0, 415 for MKCOL.
#[test]
fn a_length_of_several_zeros_is_a_length_of_0() {
    let upstream = Upstream::echo();
    let s = site(&format!(
        "location /to {{ proxy_pass http://{}; proxy_request_buffering off; proxy_http_version 1.0; }}
         location /dav/ {{ alias %%DIR%%/store/; dav_methods MKCOL; }}",
        upstream.address
    ));
    let mut c = connect(&s);
    for length in ["0", "00", "000"] {
        let stream = c.request("PUT", "/to", &[("content-length", length)], false);
        c.data(stream, b"", true);
        assert_eq!(c.answer(stream).status, 200, "{length}");
        assert_eq!(upstream.last().all("content-length"), ["0"], "{length}");
        let stream = c.request("MKCOL", &format!("/dav/{length}/"), &[("content-length", length)], false);
        c.data(stream, b"", true);
        assert_eq!(c.answer(stream).status, 201, "{length}");
    }
}

/// Bytes that came a moment after the head were too late: 204 and an empty file, or none.
#[test]
fn a_request_whose_length_of_0_is_wrong_changes_nothing_however_late_that_shows() {
    let s = site(
        "location /up/ { alias %%DIR%%/store/; allowed_methods PUT POST DELETE MKCOL; dav_methods MKCOL;
         upload_resumable on; upload_on_duplicate overwrite; }",
    );
    s.write("store/f", "OLD");
    let whole = [("upload-complete", "?1"), ("upload-draft-interop-version", "6")];
    let tus = [("tus-resumable", "1.0.0"), ("upload-length", "0"), ("upload-metadata", "filename Zg==")];
    let requests: [(&str, &str, &[(&str, &str)]); 5] = [
        ("PUT", "/up/f", &[]),
        ("PUT", "/up/f", &whole),
        ("POST", "/up/", &tus),
        ("DELETE", "/up/f", &[]),
        ("MKCOL", "/up/new/", &[]),
    ];
    let mut c = connect(&s);
    for (method, path, fields) in requests {
        let fields = [&[("content-length", "0")], fields].concat();
        let stream = c.request(method, path, &fields, false);
        c.frame(kind::PING, 0, 0, &[1; 8]);
        c.until(|frame| frame.header.kind == kind::PING).expect("an answer");
        c.send(&raw(kind::DATA, 1, stream, b"bytes"));
        assert_eq!(c.answer(stream).status, 400, "{method} {path} {fields:?}");
        assert_eq!(s.read("store/f"), b"OLD", "{method} {path} {fields:?}");
        assert!(!s.exists("store/new"));
    }
    // With nothing behind it, it is done.
    let stream = c.request("DELETE", "/up/f", &[("content-length", "0")], false);
    c.data(stream, b"", true);
    assert_eq!(c.answer(stream).status, 204);
}

#[test]
fn what_stops_an_upload_goes_out_by_itself_behind_the_answer() {
    let s = site("location /up/ { upload_store %%DIR%%/store; allowed_methods PUT; client_max_body_size 10; }");
    let mut c = connect(&s);
    assert_eq!(c.get("/small").status, 200);
    let Some(strace) = Strace::attach(&s, &["-xx", "-s", "100000", "-e", "trace=sendto"]) else { return };
    let stream = c.request("PUT", "/up/large", &[("content-length", "11")], false);
    let answer = c.answer(stream);
    assert_eq!((answer.status, answer.ended), (413, true));
    let reset = c.until(|frame| frame.header.kind == kind::RST_STREAM).expect("a reset");
    assert_eq!((reset.header.stream, reset.code(0)), (stream, 0));
    let trace = strace.detach();
    // A client that finds both in one piece may forget the answer: curl 7.88 does.
    let alone = r"\x00\x00\x04\x03\x00\x00\x00\x00\x03\x00\x00\x00\x00";
    assert!(trace.contains(&format!("\"{alone}\", 13")), "{trace}");
}

/// Java's client and httpx do: without windows behind the answer they would wait for ever.
#[test]
fn a_client_that_reads_no_answer_before_its_body_is_sent_gets_it() {
    for keepalive in ["", "keepalive_timeout 0;", "keepalive_requests 1;"] {
        send_bodies_before_reading(keepalive);
    }
}

fn send_bodies_before_reading(keepalive: &str) {
    let s = site(&format!(
        "{keepalive} client_max_body_size 0;
         location /up/ {{ upload_store %%DIR%%/store; allowed_methods PUT; client_max_body_size 1k; }}
         location /moved {{ return 307 /small; }}
         location /secret {{ auth_basic a; auth_basic_user_file %%DIR%%/users; }}",
    ));
    for (path, status) in [("/up/x", 413), ("/moved", 307), ("/secret", 401)] {
        for length in [Some("3000000"), None] {
            let mut c = connect(&s);
            let fields: Vec<(&str, &str)> = length.map(|length| ("content-length", length)).into_iter().collect();
            let stream = c.request(if status == 413 { "PUT" } else { "POST" }, path, &fields, false);
            let mut answer = None;
            let mut left = 3_000_000;
            while left > 0 {
                let room = c.room(stream).min(left);
                if room > 0 {
                    left -= room;
                    c.data(stream, &vec![b'x'; room], left == 0);
                    continue;
                }
                let frame = c.next_frame().unwrap_or_else(|| panic!("{path}: closed, {left} bytes are to be sent"));
                match frame.header.kind {
                    kind::HEADERS => answer = Some(c.decode(&frame.payload)),
                    kind::RST_STREAM => panic!("{path}: reset, {left} bytes are to be sent"),
                    _ => {}
                }
            }
            // It comes first where it did not wait for the body.
            let said = match answer {
                Some(fields) => fields[0].1.clone(),
                None => c.answer(stream).status.to_string(),
            };
            assert_eq!(said, status.to_string(), "{path} {length:?}");
            if keepalive.is_empty() {
                assert_eq!(c.get("/small").status, 200);
            }
        }
    }
}

#[test]
fn a_digest_in_trailers_counts_however_the_frames_came() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = site("location /up/ { upload_store %%DIR%%/store; allowed_methods PUT; }");
    let mut c = connect(&s);
    let wrong = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
    let right = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    for (digest, status) in [(wrong, 400), (right, 201)] {
        for length in [true, false] {
            for together in [true, false] {
                let stream = c.next_stream();
                let path = format!("/up/{status}-{length}-{together}");
                let mut fields = vec![("trailer", "content-digest")];
                if length {
                    fields.push(("content-length", "5"));
                }
                let mut bytes = super::client::head(stream, "PUT", &path, &fields, false);
                bytes.extend(raw(kind::DATA, 0, stream, b"hello"));
                if !together {
                    c.send(&std::mem::take(&mut bytes));
                    c.frame(kind::PING, 0, 0, &[1; 8]);
                    c.until(|frame| frame.header.kind == kind::PING).expect("an answer");
                }
                bytes.extend(raw(kind::HEADERS, 5, stream, &block(&[("content-digest", digest)])));
                c.send(&bytes);
                assert_eq!(c.answer(stream).status, status, "{path}");
                assert_eq!(s.path("store").join(&path["/up/".len()..]).exists(), status == 201, "{path}");
            }
        }
    }
}

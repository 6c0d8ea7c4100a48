//! Connections that end while streams are under way, by the client or by a timeout: what they held is given back, what
//! they asked for is logged, and what changes files is finished.

use super::client::{Frame, H2, head, raw};
use super::rules::{END, OPEN, REQUEST, block, reset};
use super::tunnel::chat;
use super::{connect, site};
use crate::harness::{Server, Setup, eventually};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use webserv::http::h2::frame::{flag, kind};

/// Requests under way, but for the one that asks.
pub fn under_way(s: &Server) -> u64 {
    let text = s.get("/status").is(200).text();
    let number = |name: &str| -> u64 {
        let rest = text.split_once(name).expect("a counter").1.trim_start();
        rest.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
    };
    number("Reading:") + number("Writing:") - 1
}

/// A file that no socket's buffers hold.
pub fn huge(s: &Server) {
    File::create(s.path("html/huge")).and_then(|file| file.set_len(1 << 30)).expect("a sparse file");
}

pub const STATUS: &str = "location /status { stub_status; access_log off; }";

#[test]
fn streams_whose_connection_times_out_are_logged_and_give_their_places_back() {
    let s = site(&format!(
        "{STATUS} location /one/ {{ alias %%DIR%%/html/; limit_conn one 2; send_timeout 1s; }} send_timeout 1s;"
    ));
    huge(&s);
    for round in 1..4 {
        let mut c = H2::connect_small(s.address(0), 64 << 10);
        // Twice, so that the second time is not the first sight of it.
        for _ in 0..2 {
            c.request("GET", "/one/huge", &[], true);
        }
        c.until(|frame| frame.header.kind == kind::DATA).expect("it begins");
        // Nothing more is read: the socket fills up, and the connection ends.
        let lines = 2 * round;
        s.await_file("logs/h2.log", |log| log.lines().filter(|line| line.contains("/one/huge")).count() == lines);
        let log = s.read("logs/h2.log");
        assert!(!String::from_utf8_lossy(&log).contains("|503|"), "a place was not given back");
        drop(c);
    }
    eventually("no request is under way", || under_way(&s) == 0);
}

#[test]
fn streams_whose_client_leaves_are_logged_and_their_places_given_back() {
    let s = site(&format!(
        "{STATUS} location /up/ {{ upload_store %%DIR%%/store; allowed_methods PUT; limit_conn one 3; }}"
    ));
    for round in 1..4 {
        let mut c = connect(&s);
        for n in 0..3 {
            c.send(&head(2 * n + 1, "PUT", &format!("/up/f{n}"), &[("content-length", "9")], false));
            c.data(2 * n + 1, b"part", false);
        }
        // They are known: an answer to a later one comes.
        assert_eq!(head_status(&mut c), 200);
        drop(c);
        let lines = 3 * round;
        s.await_file("logs/h2.log", |log| log.lines().filter(|line| line.contains("/up/f")).count() == lines);
    }
    let log = String::from_utf8_lossy(&s.read("logs/h2.log")).into_owned();
    assert!(log.lines().filter(|line| line.contains("/up/f")).all(|line| line.contains("|400|")), "{log}");
    eventually("no request is under way", || under_way(&s) == 0);
    assert_eq!(std::fs::read_dir(s.path("store")).expect("it is there").count(), 0);
}

fn head_status(c: &mut H2) -> u16 {
    c.send(&head(101, "HEAD", "/small", &[], true));
    c.answer(101).status
}

#[test]
fn a_client_that_does_not_wait_for_its_answer_is_logged_with_499() {
    // It listens and says nothing.
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = upstream.local_addr().expect("bound").port();
    let s = site(&format!(
        "{STATUS} location /silent {{ proxy_pass http://127.0.0.1:{port}; }}
         location /held/ {{ alias %%DIR%%/html/; limit_req zone=slow burst=9; }}"
    ));
    let reset = |c: &mut H2, stream: u32| c.frame(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes());
    let count = |path: &str| {
        let log = std::fs::read_to_string(s.path("logs/h2.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(path) && line.contains("|499|")).count()
    };
    assert_eq!(connect(&s).get("/held/small").status, 200, "the first is not held");
    let paths = ["/silent", "/held/small"];
    for (round, path) in paths.into_iter().cycle().take(6).enumerate() {
        let before = count(path);
        let begun = || {
            eventually("it is under way", || under_way(&s) == 1);
            (path == "/silent").then(|| upstream.accept().expect("a request"))
        };
        let mut c = connect(&s);
        let _peer = if round < 4 {
            let stream = c.request("GET", path, &[], true);
            let peer = begun();
            match round {
                0 | 1 => reset(&mut c, stream),
                _ => drop(c),
            }
            peer
        } else {
            let mut c = s.client();
            c.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
            begun()
        };
        eventually("it is logged", || count(path) == before + 1);
        // The error log is written behind the access log.
        let lines = || s.error_log().lines().filter(|line| line.contains("client prematurely closed")).count();
        eventually("it is in the error log", || lines() > round);
        assert_eq!(lines(), round + 1, "one line each");
        eventually("no request is under way", || under_way(&s) == 0);
    }
}

#[test]
fn what_waits_on_a_connection_whose_client_does_not_read_ends_as_where_the_client_left() {
    // It listens and says nothing.
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = upstream.local_addr().expect("bound").port();
    let s = site(&format!(
        "{STATUS} send_timeout 1s; location /silent {{ proxy_pass http://127.0.0.1:{port}; }}
         location /ignored {{ proxy_pass http://127.0.0.1:{port}; proxy_ignore_client_abort on; }}"
    ));
    huge(&s);
    let mut c = H2::connect_small(s.address(0), 64 << 10);
    c.request("GET", "/silent", &[], true);
    let _silent = upstream.accept().expect("a request");
    c.request("GET", "/ignored", &[], true);
    let (mut ignored, _) = upstream.accept().expect("a request");
    let mut head = [0; 4096];
    assert!(ignored.read(&mut head).expect("a request") > 0);
    for _ in 0..2 {
        c.request("GET", "/huge", &[], true);
    }
    c.until(|frame| frame.header.kind == kind::DATA).expect("it begins");
    // Nothing more is read: the socket fills up, and the connection ends.
    s.await_file("logs/h2.log", |log| log.contains("GET /silent HTTP/2.0|HTTP/2.0|h2c|499|"));
    eventually("the connection is gone", || s.get("/status").is(200).text().contains("connections: 1 "));
    // The error log is written behind the access log.
    let about = || {
        let errors = s.error_log();
        errors.lines().filter(|line| line.contains("\"GET /silent ")).map(String::from).collect::<Vec<_>>()
    };
    eventually("it is in the error log", || !about().is_empty());
    let about = about();
    assert!(about.len() == 1 && about[0].contains("client prematurely closed connection"), "{about:#?}");
    assert_eq!(under_way(&s), 1, "the request that an upstream is not to miss goes on");
    ignored.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("it reads");
    s.await_file("logs/h2.log", |log| log.contains("GET /ignored HTTP/2.0|HTTP/2.0|h2c|200|"));
    eventually("no request is under way", || under_way(&s) == 0);
}

#[test]
fn an_upstream_that_is_not_to_notice_goes_on_when_the_client_has_gone() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = upstream.local_addr().expect("bound").port();
    let s = site(&format!(
        "{STATUS} location /ignored {{ proxy_pass http://127.0.0.1:{port}; proxy_ignore_client_abort on; }}"
    ));
    for round in 0..4 {
        let mut c = connect(&s);
        let stream = c.request("GET", "/ignored", &[], true);
        let (mut peer, _) = upstream.accept().expect("a request");
        let mut head = [0; 4096];
        assert!(peer.read(&mut head).expect("a request") > 0);
        if round % 2 == 0 {
            c.frame(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes());
            c.frame(kind::PING, 0, 0, &[1; 8]);
            c.until(|frame| frame.header.kind == kind::PING).expect("an answer");
        } else {
            drop(c);
            eventually("the connection is gone", || s.get("/status").is(200).text().contains("connections: 1 "));
        }
        assert_eq!(under_way(&s), 1, "round {round}: the request goes on");
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("it reads");
        let lines = round + 1;
        let log =
            s.await_file("logs/h2.log", |log| log.lines().filter(|line| line.contains("/ignored")).count() == lines);
        assert!(!log.contains("|499|") && !log.contains("|400|"), "{log}");
        eventually("no request is under way", || under_way(&s) == 0);
    }
}

#[test]
fn a_tree_is_removed_whole_though_the_client_is_gone() {
    let s = site(&format!("{STATUS} location /rec/ {{ allowed_methods GET DELETE; delete_recursive on; }}"));
    for reset in [false, true] {
        for sub in 0..4 {
            let dir = s.path(&format!("html/rec/tree/sub-{sub}"));
            std::fs::create_dir_all(&dir).expect("a directory");
            (0..1000).for_each(|n| drop(std::fs::File::create(dir.join(n.to_string()))));
        }
        // All that it says is there before the server looks.
        let c = s.frozen(|| {
            let mut c = connect(&s);
            let stream = c.request("DELETE", "/rec/tree/", &[], true);
            if reset {
                c.frame(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes());
            }
            c
        });
        if reset {
            eventually("the whole tree is gone", || !s.exists("html/rec/tree"));
        }
        drop(c);
        eventually("the whole tree is gone", || !s.exists("html/rec/tree"));
        eventually("no request is under way", || under_way(&s) == 0);
    }
    let log = s.await_file("logs/h2.log", |log| log.lines().filter(|line| line.contains("DELETE /rec/")).count() == 2);
    assert!(log.lines().filter(|line| line.contains("DELETE")).all(|line| line.contains("|204|")), "{log}");
}

#[test]
fn idle_and_busy_connections_hear_goaway_when_the_server_quits() {
    let s = site("");
    let (mut idle, mut busy) = (connect(&s), connect(&s));
    assert_eq!(idle.get("/small").status, 200);
    // Its window is closed: the stream is under way for as long as the server is.
    busy.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let stream = busy.request("GET", "/large", &[], true);
    busy.until(|frame| frame.header.kind == kind::HEADERS).expect("a head");
    s.signal(3);
    assert_eq!(idle.goaway(), Some((1, 0)));
    assert_eq!(busy.goaway(), Some((stream, 0)));
}

#[test]
fn what_worker_shutdown_timeout_cuts_off_is_logged_and_told_goaway() {
    // It listens and says nothing.
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = upstream.local_addr().expect("bound").port();
    for signal in [libc::SIGQUIT, libc::SIGHUP] {
        let mut s = Setup::full(&format!(
            "%%PREAMBLE%%
             worker_shutdown_timeout 200ms;
             events {{ }}
             http {{
                 log_format h2 '$request|$status';
                 access_log logs/h2.log h2;
                 http2 on;
                 server {{
                     listen 127.0.0.1:%%PORT%%;
                     root %%DIR%%/html;
                     location /silent {{ proxy_pass http://127.0.0.1:{port}; }}
                 }}
             }}"
        ))
        .file("html/large", crate::harness::noise(3_000_000))
        .start();
        let mut c = connect(&s);
        c.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        for path in ["/silent", "/large", "/large", "/large"] {
            c.request("GET", path, &[], true);
        }
        for _ in 0..3 {
            c.until(|frame| frame.header.kind == kind::HEADERS).expect("a head");
        }
        let mut one = s.client();
        one.send(b"GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
        // Both have come to the upstream before the signal does.
        let _peers = [upstream.accept().expect("a request"), upstream.accept().expect("a request")];
        s.signal(signal);
        assert_eq!(c.goaway(), Some((7, 0)));
        while c.next_frame().is_some() {}
        let log = s.await_file("logs/h2.log", |log| log.lines().count() >= 5);
        for (line, count) in
            [("GET /silent HTTP/2.0|499", 1), ("GET /large HTTP/2.0|200", 3), ("GET /silent HTTP/1.1|499", 1)]
        {
            assert_eq!(log.lines().filter(|one| *one == line).count(), count, "{line}: {log}");
        }
        if signal == libc::SIGQUIT {
            assert_eq!(s.wait(), 0);
        }
    }
}

/// §6.8: what was open goes on to its end; what comes later is ignored, though its header block counts for the table.
#[test]
fn uploads_and_tunnels_are_finished_behind_goaway_and_later_streams_are_ignored() {
    for signal in [libc::SIGQUIT, libc::SIGHUP] {
        let upstream = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let mut s = site(&format!(
            "location /up/ {{ upload_store %%DIR%%/store; allowed_methods PUT; }}
             {}",
            chat(upstream.local_addr().expect("bound"))
        ));
        let mut c = connect(&s);
        let chat = [REQUEST[1], REQUEST[3], (":method", "CONNECT"), (":protocol", "websocket"), (":path", "/chat")];
        c.send(&[raw(kind::HEADERS, OPEN, 1, &block(&chat)), head(3, "PUT", "/up/f", &[], false)].concat());
        c.data(3, b"half", false);
        let (mut peer, _) = upstream.accept().expect("a request");
        assert!(peer.read(&mut [0; 4096]).expect("a request") > 0);
        peer.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            .expect("it reads");
        c.until(|frame| frame.header.kind == kind::HEADERS && frame.header.stream == 1).expect("a head");
        s.signal(signal);
        assert_eq!(c.goaway(), Some((3, 0)), "signal {signal}");
        // A later stream, whose block puts a field into the table; and trailers of an open one that name that field.
        let later = [block(&REQUEST), vec![0x40, 5], b"x-end".to_vec(), vec![1, b'1']].concat();
        c.send(&[raw(kind::HEADERS, END, 5, &later), raw(kind::DATA, 0, 3, b"+half")].concat());
        c.send(&raw(kind::HEADERS, END, 3, &[0xbe]));
        assert_eq!(c.answer(3).status, 201, "signal {signal}");
        assert_eq!(s.read("store/f"), b"half+half");
        c.frame(kind::DATA, 0, 1, b"ping");
        let mut got = [0; 4];
        peer.read_exact(&mut got).expect("the message");
        peer.write_all(&got).expect("it reads");
        let frame = c.until(|frame| frame.header.kind == kind::DATA && frame.header.stream == 1).expect("DATA");
        assert_eq!((&got, frame.payload), (b"ping", b"ping".to_vec()));
        drop(peer);
        let mut has_ended = false;
        while let Some(frame) = c.next_frame() {
            assert_ne!(frame.header.stream, 5, "signal {signal}: {frame:?}");
            has_ended |= frame.header.stream == 1 && frame.header.has(flag::END_STREAM);
        }
        assert!(has_ended, "signal {signal}: the tunnel was cut");
        if signal == libc::SIGQUIT {
            assert_eq!(s.wait(), 0);
        }
    }
}

/// Nothing more can be written, and the client reads nothing: what it says is heard all the same.
#[test]
fn a_reset_is_heard_though_the_output_is_full() {
    let s = site(&format!("{STATUS} send_timeout 60s;"));
    huge(&s);
    let goaway = raw(kind::GOAWAY, 0, 0, &[0; 8]);
    for (name, before) in [("alone", &[][..]), ("behind GOAWAY", &goaway)] {
        let mut c = H2::connect_small(s.address(0), 64 << 10);
        let streams: Vec<u32> = (0..4).map(|n| c.request("GET", &format!("/huge?{name}{n}"), &[], true)).collect();
        c.until(|frame| frame.header.kind == kind::DATA).expect("it begins");
        let resets = streams.iter().flat_map(|stream| reset(*stream));
        c.send(&[before.to_vec(), resets.collect()].concat());
        eventually("they are given up", || under_way(&s) == 0);
        // The connection goes on behind what was written before.
        assert_eq!(c.get("/small").text(), "small", "{name}");
    }
}

/// As above, of responses that are sent from the cache: nothing counts those, but their ends never come.
#[test]
fn a_reset_ends_cached_responses_though_the_output_is_full() {
    let s = site("send_timeout 60s;");
    let mut c = H2::connect_small(s.address(0), 64 << 10);
    for _ in 0..3 {
        assert_eq!(c.get("/large").body.len(), 3_000_000);
    }
    // More than the kernel holds, in turn.
    let streams: Vec<u32> = (0..8).map(|_| c.request("GET", "/large", &[], true)).collect();
    c.until(|frame| frame.header.kind == kind::DATA).expect("it begins");
    let resets = streams.iter().flat_map(|stream| reset(*stream));
    c.send(&resets.collect::<Vec<u8>>());
    let small = c.request("GET", "/small", &[], true);
    let ended = |frame: &Frame| frame.header.kind == kind::DATA && frame.header.has(flag::END_STREAM);
    assert_eq!(c.until(ended).expect("an answer").header.stream, small, "a response that was reset went on");
}

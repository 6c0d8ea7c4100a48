//! Requests that come again are answered without a second look: the same answers, the same lines in the log, whatever
//! becomes of the client's windows.

use super::client::{Answer, H2, head, raw};
use super::{connect, site};
use crate::harness::{http, noise};
use webserv::http::h2::frame::kind;

/// What must be the same each time.
fn shown(answer: &Answer) -> (u16, Vec<(String, String)>, Vec<u8>, bool) {
    let fields = answer.fields.iter().filter(|(name, _)| name != "date").cloned().collect();
    (answer.status, fields, answer.body.clone(), answer.ended)
}

#[test]
fn a_request_that_comes_again_is_answered_and_logged_as_before() {
    let s = site("error_page 404 /small; location /own/ { add_header X-Own \"$host $request_uri\"; return 200 text; }");
    std::fs::write(s.path("html/medium"), noise(200_000)).expect("a file");
    let requests: [(&str, &str, &[(&str, &str)], u16); 8] = [
        ("GET", "/small", &[], 200),
        ("GET", "/medium", &[], 200),
        ("HEAD", "/medium", &[], 200),
        ("GET", "/medium?x", &[("accept", "*/*")], 200),
        ("GET", "/medium", &[("range", "bytes=3-5")], 206),
        ("GET", "/large", &[], 200),
        ("GET", "/missing", &[], 404),
        ("GET", "/own/x", &[], 200),
    ];
    let mut c = connect(&s);
    for (method, path, fields, status) in requests {
        let first = c.request(method, path, fields, true);
        let first = shown(&c.answer(first));
        assert_eq!(first.0, status, "{path}");
        let mut others = connect(&s);
        for round in 0..4 {
            for client in [&mut c, &mut others] {
                let again = client.request(method, path, fields, true);
                let again = shown(&client.answer(again));
                assert!(again == first, "{method} {path}, round {round}: {:?} and {:?}", again.1, first.1);
            }
        }
    }
    let log = s.await_file("logs/h2.log", |log| log.lines().count() >= 9 * requests.len());
    for (method, path, _, _) in requests {
        let begin = format!("{method} {path} HTTP/2.0|");
        let lines: Vec<&str> = log.lines().filter(|line| line.starts_with(&begin)).collect();
        let ranged = path == "/medium" && method == "GET";
        assert_eq!(lines.len(), if ranged { 18 } else { 9 }, "{path}: {log}");
        assert!(lines[..9].iter().all(|line| *line == lines[0]), "{path}: {lines:?}");
    }
}

#[test]
fn a_file_that_has_changed_is_not_answered_from_memory() {
    let s = site("");
    let mut c = connect(&s);
    for round in 0..5 {
        let text = format!("content {round}");
        std::fs::write(s.path("html/next"), &text).expect("a file");
        std::fs::rename(s.path("html/next"), s.path("html/small")).expect("renamed");
        for _ in 0..4 {
            assert_eq!(c.get("/small").text(), text, "round {round}");
        }
    }
}

/// Has `/medium` of that size known, and then asks for it with windows of nothing: one stream waits.
fn waiting(c: &mut H2, size: usize) -> u32 {
    for _ in 0..4 {
        assert_eq!(c.get("/medium").body.len(), size);
    }
    c.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let stream = c.request("GET", "/medium", &[], true);
    c.until(|frame| frame.header.kind == kind::HEADERS && frame.header.stream == stream).expect("a head");
    stream
}

#[test]
fn a_known_answer_waits_for_its_window_and_is_given_up_when_reset() {
    let s = site("");
    std::fs::write(s.path("html/medium"), noise(200_000)).expect("a file");
    let mut c = connect(&s);
    let stream = waiting(&mut c, 200_000);
    let reset = c.request("GET", "/medium", &[], true);
    c.frame(kind::RST_STREAM, 0, reset, &8u32.to_be_bytes());
    c.frame(kind::WINDOW_UPDATE, 0, stream, &70_000u32.to_be_bytes());
    let mut got = 0;
    while got < 70_000 {
        let frame = c.until(|frame| frame.header.kind == kind::DATA).expect("DATA");
        assert_eq!(frame.header.stream, stream);
        got += frame.payload.len();
    }
    assert_eq!(got, 70_000);
    // The rest.
    c.send(&raw(kind::WINDOW_UPDATE, 0, stream, &200_000u32.to_be_bytes()));
    let rest = c.answer(stream);
    assert_eq!((rest.body.len(), rest.ended), (130_000, true));
    c.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0xff, 0xff, 0xff]);
    assert_eq!(c.get("/medium").body.len(), 200_000);
    let log = s.await_file("logs/h2.log", |log| log.lines().count() >= 7);
    assert_eq!(log.lines().filter(|line| line.starts_with("GET /medium ")).count(), 7, "{log}");
}

/// The line had the size of the head though nothing was sent, and was written of the whole body.
#[test]
fn a_known_answer_that_is_reset_is_logged_with_what_was_sent_of_it() {
    let s = http(
        "http2 on; log_format sent '$uri $bytes_sent $body_bytes_sent'; access_log logs/sent.log sent;
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; }",
    )
    .file("html/medium", noise(200_000))
    .start();
    let mut c = connect(&s);
    let stream = waiting(&mut c, 200_000);
    c.frame(kind::WINDOW_UPDATE, 0, stream, &70_000u32.to_be_bytes());
    let mut got = 0;
    while got < 70_000 {
        got += c.until(|frame| frame.header.kind == kind::DATA).expect("DATA").payload.len();
    }
    let reset = |stream: u32| raw(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes());
    c.send(&reset(stream));
    let log = s.await_file("logs/sent.log", |log| log.lines().count() == 5);
    let [_, of_all, "70000"] = log.lines().last().expect("a line").split(' ').collect::<Vec<_>>()[..] else {
        panic!("{log}")
    };
    assert!((70_001..200_000).contains(&of_all.parse().expect("a number")), "{log}");
    // Its head was not sent, either.
    let stream = c.next_stream();
    c.send(&[head(stream, "GET", "/medium", &[], true), reset(stream)].concat());
    let log = s.await_file("logs/sent.log", |log| log.lines().count() == 6);
    assert_eq!(log.lines().last(), Some("/medium 0 0"), "{log}");
}

#[test]
fn a_known_answer_whose_window_stays_shut_ends_after_send_timeout() {
    let s = site("send_timeout 300ms;");
    // More than what is sent at once, and less than any socket takes: the windows alone hold it up.
    std::fs::write(s.path("html/medium"), noise(20_000)).expect("a file");
    let mut c = connect(&s);
    let stream = waiting(&mut c, 20_000);
    let frame = c.until(|frame| frame.header.kind == kind::RST_STREAM).expect("an end");
    assert_eq!(frame.header.stream, stream);
    c.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0xff, 0xff, 0xff]);
    assert_eq!(c.get("/small").status, 200);
}

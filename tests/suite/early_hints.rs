//! Early hints (103) of upstreams: passed on, over both protocols, where `early_hints` asks for it, and before the
//! response is there.

use crate::harness::{Server, http};
use crate::http2::client::H2;
use crate::upstream::Upstream;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use webserv::http::h2::frame::kind;

const HINTS: &str = "HTTP/1.1 103 \r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\nX-Hidden: h\r\n\
                     X-Accel-Expires: 5\r\nContent-Length: 7\r\nConnection: x\r\n\r\n";

/// An upstream whose answer to `/wait` comes once the sender is used.
fn upstream() -> (Upstream, Sender<()>) {
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    let upstream = Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            let before = match request.target() {
                "/old" => "HTTP/1.0 103 Early Hints\r\nLink: </a.css>\r\n\r\n".to_owned(),
                "/long" => format!("HTTP/1.1 103 E\r\nLink: <{}>\r\n\r\n", "a".repeat(3000)).repeat(2),
                "/empty" => "HTTP/1.1 103 E\r\nX-Hidden: h\r\n\r\n".to_owned(),
                "/others" => "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nLink: <x>\r\n\r\n".to_owned(),
                "/only" => {
                    peer.send(HINTS.as_bytes());
                    return;
                }
                _ => HINTS.repeat(2),
            };
            peer.send(before.as_bytes());
            if request.target() == "/wait" {
                let _ = receiver.lock().map(|receiver| receiver.recv());
            }
            if !peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody") {
                return;
            }
        }
    });
    (upstream, sender)
}

fn site(up: &Upstream) -> Server {
    http(&format!(
        "http2 on;
         early_hints 0 $http_x_hints;
         log_format hints '$uri|$status|$body_bytes_sent';
         access_log logs/hints.log hints;
         server {{
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             location / {{ proxy_pass http://{0}; proxy_hide_header X-Hidden; }}
             location /off/ {{ early_hints 0; proxy_pass http://{0}/; }}
             location /ssi/ {{ ssi on; }}
         }}",
        up.address
    ))
    .file("html/ssi/page.shtml", "a<!--#include virtual=\"/page\" -->b")
    .start()
}

/// The links of an interim response, and the names of whatever else it has.
fn shown(status: u16, fields: &[(String, String)]) -> String {
    let names = fields.iter().filter(|(name, _)| name != ":status");
    let shown = names.map(|(name, value)| match &name.to_ascii_lowercase()[..] {
        "link" => value.clone(),
        other => other.to_owned(),
    });
    format!("{status} {}", shown.collect::<Vec<_>>().join(" "))
}

#[test]
fn hints_go_before_the_response_where_they_are_asked_for() {
    let (up, _sender) = upstream();
    let s = site(&up);
    let both = "103 </a.css>; rel=preload </b.js>; rel=preload";
    let table: [(&str, &str, &str, &[&str], u16); 9] = [
        ("a condition that holds", "/page", "1", &[both, both], 200),
        ("one that does not", "/page", "0", &[], 200),
        ("off below", "/off/page", "1", &[], 200),
        ("nothing left of them", "/empty", "1", &[], 200),
        ("longer than the buffer in all", "/long", "1", &["103"], 200),
        ("other interim responses end here", "/others", "1", &[], 200),
        ("of HTTP/1.0", "/old", "1", &[], 502),
        ("and no response", "/only", "1", &[both], 502),
        ("of a part of a page", "/ssi/page.shtml", "1", &[], 200),
    ];
    let mut c = H2::connect(s.address(0));
    for (name, target, hints, interim, status) in table {
        let mut client = s.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Hints: {hints}\r\n\r\n"));
        let (mut seen, mut last) = (Vec::new(), client.response());
        while last.status < 200 {
            seen.push(shown(last.status, &last.headers));
            last = client.response();
        }
        let stream = c.request("GET", target, &[("x-hints", hints)], true);
        let answer = c.answer(stream);
        let over_h2: Vec<String> = answer.interim.iter().map(|(status, fields)| shown(*status, fields)).collect();
        for (protocol, seen, got) in [("HTTP/1.1", seen, last.status), ("HTTP/2", over_h2, answer.status)] {
            assert!(seen.len() == interim.len(), "{name}, {protocol}: {seen:?}");
            assert!(seen.iter().zip(interim).all(|(a, b)| a.starts_with(b)), "{name}, {protocol}: {seen:?}");
            assert_eq!(got, status, "{name}, {protocol}");
        }
    }
    // A client of HTTP/1.0 knows none.
    s.client().request("GET /page HTTP/1.0\r\nX-Hints: 1\r\n\r\n").is(200).body_is("body");
    // They are no part of the body.
    let log = s.await_file("logs/hints.log", |log| log.lines().count() >= 19);
    assert!(log.lines().all(|line| !line.starts_with("/page") || line == "/page|200|4"), "{log}");
    let errors = s.error_log();
    for line in ["upstream sent too big early hints", "upstream sent HTTP/1.0 response with early hints"] {
        assert!(errors.contains(line), "{line}");
    }
}

#[test]
fn hints_are_sent_while_the_response_is_waited_for() {
    let (up, go_on) = upstream();
    let s = site(&up);
    let mut client = s.client();
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\nX-Hints: 1\r\n\r\n");
    client.response().is(103);
    client.response().is(103);
    go_on.send(()).expect("it waits");
    client.response().is(200).body_is("body");
    let mut c = H2::connect(s.address(0));
    let stream = c.request("GET", "/wait", &[("x-hints", "1")], true);
    for _ in 0..2 {
        let hints = c.until(|frame| frame.header.kind == kind::HEADERS).expect("a header block");
        assert_eq!(c.decode(&hints.payload)[0], (":status".to_owned(), "103".to_owned()));
    }
    go_on.send(()).expect("it waits");
    assert_eq!(c.answer(stream).text(), "body");
}

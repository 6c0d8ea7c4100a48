//! What applications answer over FastCGI, SCGI, uwsgi and CGI: the same bytes of a script over all four, and what the
//! client gets of them. A script may be hostile, or pass on what a hostile client sent it.

use crate::harness::{Server, Table, eventually, http, ours, server};
use crate::table::{BOTH, Runs, on_nginx};
use crate::upstream::{Peer, Upstream};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The servers of the applications; CGI is a program of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    FastCgi,
    Scgi,
    Uwsgi,
    Cgi,
}

pub const ALL: [Kind; 4] = [Kind::FastCgi, Kind::Scgi, Kind::Uwsgi, Kind::Cgi];

/// What the application was given.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub params: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Given {
    pub fn map(&self) -> BTreeMap<&str, &str> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn length_of(given: &Given) -> usize {
    given.map().get("CONTENT_LENGTH").and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn fastcgi(peer: &mut Peer) -> Option<Given> {
    let (mut params, mut body) = (Vec::new(), Vec::new());
    loop {
        let header = peer.take(8)?;
        let content = peer.take(usize::from(u16::from_be_bytes([header[4], header[5]])))?;
        peer.take(usize::from(header[6]))?;
        match header[1] {
            4 => params.extend_from_slice(&content),
            5 if content.is_empty() => break,
            5 => body.extend_from_slice(&content),
            _ => {}
        }
    }
    let mut given = Given { params: Vec::new(), body };
    let mut rest = params.as_slice();
    while !rest.is_empty() {
        let mut length = || {
            let long = rest[0] & 0x80 != 0;
            let (bytes, left) = rest.split_at(if long { 4 } else { 1 });
            rest = left;
            bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)) & 0x7fff_ffff
        };
        let (name, value) = (length(), length());
        given.params.push((text(&rest[..name]), text(&rest[name..name + value])));
        rest = &rest[name + value..];
    }
    Some(given)
}

fn scgi(peer: &mut Peer) -> Option<Given> {
    let mut digits = String::new();
    loop {
        match peer.take(1)?[0] {
            b':' => break,
            digit => digits.push(digit.into()),
        }
    }
    let head = peer.take(digits.parse().ok()?)?;
    peer.take(1)?;
    let words: Vec<String> = head.split(|byte| *byte == 0).map(text).collect();
    let params = words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let mut given = Given { params, body: Vec::new() };
    given.body = peer.take(length_of(&given))?;
    Some(given)
}

fn uwsgi(peer: &mut Peer) -> Option<Given> {
    let header = peer.take(4)?;
    let all = peer.take(usize::from(u16::from_le_bytes([header[1], header[2]])))?;
    let mut rest = all.as_slice();
    let mut word = || {
        let (length, left) = rest.split_at_checked(2)?;
        let (word, left) = left.split_at_checked(usize::from(u16::from_le_bytes([length[0], length[1]])))?;
        rest = left;
        Some(text(word))
    };
    let mut given = Given::default();
    while let (Some(name), Some(value)) = (word(), word()) {
        given.params.push((name, value));
    }
    given.body = peer.take(length_of(&given))?;
    Some(given)
}

/// The output of a script as the protocol carries it.
fn packed(kind: Kind, output: &[u8]) -> Vec<u8> {
    if kind != Kind::FastCgi {
        return output.to_vec();
    }
    let record = |kind: u8, content: &[u8]| {
        let [high, low] = (content.len() as u16).to_be_bytes();
        [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
    };
    let mut all: Vec<u8> = output.chunks(30_000).flat_map(|piece| record(6, piece)).collect();
    all.extend(record(6, b""));
    all.extend(record(3, &[0; 8]));
    all
}

/// An application that always says the same.
pub fn application(kind: Kind, output: &'static [u8]) -> Upstream {
    Upstream::start(move |peer| {
        if take(kind, peer).is_some() {
            peer.send(&packed(kind, output));
        }
    })
}

/// A request.
pub fn take(kind: Kind, peer: &mut Peer) -> Option<Given> {
    match kind {
        Kind::FastCgi => fastcgi(peer),
        Kind::Scgi => scgi(peer),
        Kind::Uwsgi | Kind::Cgi => uwsgi(peer),
    }
}

/// One application a kind, whose next output is set by the test; locations `/FastCgi`, `/Scgi`, `/Uwsgi` and `/Cgi`.
pub struct Applications {
    output: Arc<Mutex<Vec<u8>>>,
    given: Arc<Mutex<Given>>,
    /// Bytes without end that were sent so far.
    endless: Arc<AtomicUsize>,
    pub server: Server,
}

const ENDLESS: usize = 64 << 20;

impl Applications {
    pub fn start(more: &str) -> Applications {
        let (output, given, endless): (Arc<Mutex<Vec<u8>>>, Arc<Mutex<Given>>, Arc<AtomicUsize>) = Default::default();
        let listen = |kind: Kind| {
            let (output, given, endless) = (output.clone(), given.clone(), endless.clone());
            Upstream::start(move |peer| {
                let Some(all) = take(kind, peer) else { return };
                let is_endless = all.map().get("QUERY_STRING") == Some(&"endless");
                *given.lock().expect("not poisoned") = all;
                if !is_endless {
                    let bytes = output.lock().expect("not poisoned").clone();
                    peer.send(&packed(kind, &bytes));
                    return;
                }
                let block = [b"\n".as_slice(), &[b'x'; 29_999]].concat();
                let record = packed(kind, &block);
                let record = if kind == Kind::FastCgi { &record[..30_008] } else { &record };
                while endless.fetch_add(record.len(), Ordering::SeqCst) < ENDLESS && peer.send(record) {}
            })
        };
        let [fast, simple, micro] = [Kind::FastCgi, Kind::Scgi, Kind::Uwsgi].map(|kind| listen(kind).address);
        let params = |prefix: &str| {
            // SCGI has its own.
            let length = if prefix == "scgi" { "" } else { "CONTENT_LENGTH $content_length" };
            ["QUERY_STRING $query_string", "REQUEST_METHOD $request_method", "HTTP_X_KEPT_OUT \"\"", length]
                .iter()
                .filter(|param| !param.is_empty())
                .map(|param| format!("{prefix}_param {param};"))
                .collect::<String>()
        };
        // The one that nginx lacks.
        let cgi = if on_nginx() { "" } else { "location /Cgi { cgi_pass /bin/sh; }" };
        let server = server(&format!(
            "client_max_body_size 0; error_page 418 /page; location /page {{ return 200 page; }}
             location /inner {{ internal; return 200 \"inner $args\"; }}
             location /FastCgi {{ {} fastcgi_pass {fast}; }} location /Scgi {{ {} scgi_pass {simple}; }}
             location /Uwsgi {{ {} uwsgi_pass {micro}; }} {cgi} {more}",
            params("fastcgi"),
            params("scgi"),
            params("uwsgi")
        ))
        .file("html/Cgi", "cat output; [ \"$QUERY_STRING\" != endless ] || exec cat /dev/zero")
        .allow_log("upstream")
        .allow_log("CGI")
        .start();
        Applications { output, given, endless, server }
    }

    pub fn says(&self, output: &[u8]) {
        output.clone_into(&mut self.output.lock().expect("not poisoned"));
        self.server.write("html/output", output);
    }

    pub fn given(&self) -> Given {
        self.given.lock().expect("not poisoned").clone()
    }
}

/// The kinds that the server under test has.
pub fn kinds() -> impl Iterator<Item = Kind> {
    ALL.into_iter().filter(|kind| *kind != Kind::Cgi || !on_nginx())
}

/// A response that breaks off.
const BROKEN: u16 = 0;

#[test]
fn what_scripts_say_reaches_the_client_as_one_response() {
    let long = |n: usize| [b"X-Long: ".as_slice(), &vec![b'l'; n], b"\r\n\r\nok"].concat();
    let fields: Vec<u8> = (0..10_000).flat_map(|n| format!("X-{n}: {n}\r\n").into_bytes()).collect();
    let raw: &[(&str, &[u8], u16, &str, &str)] = &[
        // Name of the row, the output, the status, the body, and header lines that are there (or not, with a minus).
        ("plain", b"Content-Type: a/b\r\n\r\nok", 200, "ok", "Content-Type: a/b"),
        ("line ends without CR", b"Content-Type: a/b\nX-A: c\n\nok", 200, "ok", "X-A: c"),
        ("no type", b"X-A: c\r\n\r\nok", 200, "ok", "X-A: c"),
        ("a bare CR in a value", b"A: b\rSet-Cookie: evil\r\n\r\nok", 502, "", "-set-cookie"),
        ("a bare CR in a name", b"A\rSet-Cookie: evil\r\n\r\nok", 502, "", "-set-cookie"),
        ("a NUL in a value", b"A: b\0c\r\n\r\nok", 502, "", "-a"),
        ("a NUL in a name", b"A\0B: c\r\n\r\nok", 502, "", ""),
        ("a blank in a name", b"A B: c\r\n\r\nok", 502, "", ""),
        ("a blank before the colon", b"A : c\r\n\r\nok", 502, "", ""),
        ("a folded line", b"A: b\r\n c: d\r\n\r\nok", 502, "", ""),
        ("no name", b": c\r\n\r\nok", 502, "", ""),
        ("a long line", &long(3000), 200, "ok", ""),
        ("a line that is too long", &long(80_000), 502, "", "-x-long"),
        ("10 000 lines", &fields, 502, "", "-x-1"),
        ("no head", b"just words", 502, "", ""),
        ("only a line end", b"\r\nok", 200, "ok", ""),
        ("nothing", b"", 502, "", ""),
        ("a status", b"Status: 404 Gone Fishing\r\n\r\nok", 404, "ok", "-status"),
        ("a status without words", b"Status: 201\r\n\r\nok", 201, "ok", "-status"),
        ("a status of another shape", b"Status: abc\r\n\r\nok", 502, "", ""),
        ("a status that is too low", b"Status: 99\r\n\r\nok", 502, "", ""),
        ("an empty status", b"Status:\r\n\r\nok", 502, "", ""),
        ("a CR in the words of a status", b"Status: 200 OK\rSet-Cookie: evil\r\n\r\nok", 502, "", "-set-cookie"),
        ("an interim status", b"Status: 100 Continue\r\n\r\nok", 502, "", ""),
        ("a response without a body that has one", b"Status: 204 None\r\n\r\nok", 204, "", ""),
        ("not modified, with a body", b"Status: 304 None\r\n\r\nok", 304, "", ""),
        ("a length", b"Content-Length: 2\r\n\r\nok", 200, "ok", "Content-Length: 2"),
        ("more than the length", b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", 200, "ok", ""),
        ("less than the length", b"Content-Length: 9\r\n\r\nok", BROKEN, "", ""),
        ("two lengths", b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", 502, "", ""),
        ("lengths that contradict", b"Content-Length: 2\r\nContent-Length: 1\r\n\r\nok", 502, "", ""),
        ("a list of lengths", b"Content-Length: 2, 2\r\n\r\nok", 502, "", ""),
        ("a negative length", b"Content-Length: -2\r\n\r\nok", 502, "", ""),
        ("a length in other digits", b"Content-Length: 0x2\r\n\r\nok", 502, "", ""),
        ("an endless length", b"Content-Length: 99999999999999999999\r\n\r\nok", 502, "", ""),
        ("chunks", b"Transfer-Encoding: chunked\r\n\r\nok", 200, "ok", ""),
        ("chunks of another response", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "0\r\n\r\n", ""),
        ("connection", b"Connection: keep-alive, X-A\r\nKeep-Alive: 5\r\n\r\nok", 200, "ok", "Connection: close"),
        ("a date", b"Date: then\r\nServer: mine\r\n\r\nok", 200, "ok", ""),
        ("two cookies", b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok", 200, "ok", "Set-Cookie: a=1"),
        ("another place", b"Location: http://a.test/\r\n\r\nok", 302, "ok", "Location: http://a.test/"),
        ("another place with a status", b"Status: 307 X\r\nLocation: /x\r\n\r\n", 307, "", ""),
        ("a file of ours", b"X-Accel-Redirect: /inner?q=1\r\nX-A: c\r\n\r\nok", 200, "inner q=1", "-x-a"),
        ("a file outside", b"X-Accel-Redirect: /../etc/passwd\r\n\r\nok", 404, "", ""),
        ("a name that is no token", b"<b>X</b>: b\r\nX-A: c\r\n\r\nok", 200, "ok", "X-A: c"),
        ("a line without a colon", b"X-B\r\nX-A: c\r\n\r\nok", 200, "ok", "X-A: c"),
        ("a control byte in a value", b"X-B: a\x01b\r\nX-A: c\r\n\r\nok", 200, "ok", "X-A: c"),
        ("a status of four digits", b"Status: 2010 OK\r\n\r\nok", 201, "ok", ""),
        ("a coding that is not known", b"Transfer-Encoding: gzip\r\n\r\nok", 502, "", ""),
        ("chunks beside a length", b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok", 502, "", ""),
        ("high bytes", b"X-A: \xc3\xa4\xff\r\n\r\n\xff\x00", 200, "*", ""),
    ];
    let apps = Applications::start("");
    let mut table = Table::new("what scripts say");
    for (name, output, status, body, line) in raw {
        for kind in kinds() {
            // nginx has Status among the fields to hide of FastCGI and SCGI only.
            let line = if kind == Kind::Uwsgi && *line == "-status" { "" } else { line };
            table.row(runs(kind, name), &format!("{kind:?}: {name}"), || {
                apps.says(output);
                check(&apps.server, kind, *status, body, line);
            });
        }
    }
    table.row(BOTH, "uwsgi leaves Status in the head", || {
        apps.says(b"Status: 404 Gone\r\n\r\nok");
        apps.server.get("/Uwsgi").is(404).has("Status", "404 Gone");
    });
}

/// Which rows hold for nginx too.
fn runs(kind: Kind, name: &str) -> Runs {
    match (kind, name) {
        (Kind::Cgi, _) => ours("nginx has no CGI"),
        (_, "an interim status") => ours("nginx passes a 100 on as the response"),
        _ => BOTH,
    }
}

fn check(s: &Server, kind: Kind, status: u16, body: &str, line: &str) {
    let mut client = s.client();
    client.send(format!("GET /{kind:?} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    let answer = client.try_response(false);
    if status == BROKEN {
        assert!(answer.is_err());
        return;
    }
    let Ok(answer) = answer else { panic!("the response breaks off") };
    assert_eq!(client.rest(), b"", "something follows the response");
    answer.is(status);
    if status != 502 && status != 404 && body != "*" {
        answer.body_is(body);
    }
    match (line.strip_prefix('-'), line.split_once(": ")) {
        (Some(absent), _) => drop(answer.lacks(absent)),
        (None, Some((name, value))) => assert_eq!(answer.all(name)[0], value),
        (None, None) => {}
    }
}

#[test]
fn applications_are_given_what_belongs_to_the_request() {
    let apps = Applications::start("");
    let fields = "Proxy: evil\r\nproxy: evil\r\nX-A: 1\r\nX_A: 2\r\nContent-Type: a/b\r\nCookie: c\r\nX-E: \r\nX-Kept-Out: 1\r\n";
    for kind in kinds().filter(|kind| *kind != Kind::Cgi) {
        apps.says(b"\r\nok");
        apps.server.method("POST", &format!("/{kind:?}/%C3%A4?q=%0a"), fields, b"body").is(200);
        let given = apps.given();
        let map = given.map();
        assert_eq!(given.body, b"body", "{kind:?}");
        for (name, value) in [
            ("HTTP_X_A", Some("1")),
            ("HTTP_COOKIE", Some("c")),
            ("CONTENT_LENGTH", Some("4")),
            ("QUERY_STRING", Some("q=%0a")),
            ("REQUEST_METHOD", Some("POST")),
            ("HTTP_X_E", Some("")),
            ("HTTP_X_KEPT_OUT", None),
            ("HTTP_PROXY", None),
        ] {
            if !on_nginx() || name != "HTTP_PROXY" {
                assert_eq!(map.get(name).copied(), value, "{kind:?} {name}: {map:?}");
            }
        }
        assert_eq!(given.params.iter().filter(|(name, _)| name == "CONTENT_LENGTH").count(), 1, "{kind:?}");
    }
}

#[test]
fn an_empty_body_in_a_file_ends() {
    let apps = Applications::start("client_body_in_file_only clean;");
    for kind in kinds().filter(|kind| *kind != Kind::Cgi) {
        apps.says(b"\r\nok");
        let head = format!("POST /{kind:?} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        apps.server.client().request(head.as_bytes()).is(200).body_is("ok");
    }
}

#[test]
fn output_without_end_waits_for_its_client() {
    // None of it goes to a file.
    let none = ["proxy", "fastcgi", "scgi", "uwsgi"].map(|of| format!("{of}_max_temp_file_size 0;")).concat();
    for kind in kinds() {
        let apps = Applications::start(&none);
        apps.says(b"\r\n");
        apps.server.get(&format!("/{kind:?}")).is(200);
        let before = apps.server.kilobytes("VmHWM");
        let mut client = apps.server.client();
        client.send(format!("GET /{kind:?}?endless HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.bytes(100_000);
        // The application is held up: what it has sent does not grow while others are answered.
        let mut last = usize::MAX;
        let mut same = 0;
        eventually("the application is held up", || {
            apps.server.get("/page").is(200);
            let sent = apps.endless.load(Ordering::SeqCst);
            same = if sent == last { same + 1 } else { 0 };
            last = sent;
            same > 20
        });
        assert!(last < ENDLESS, "{kind:?}: all of it was taken");
        client.bytes(2 << 20);
        let after = apps.server.kilobytes("VmHWM");
        assert!(after < before + 8 * 1024, "{kind:?}: {before} kB became {after} kB");
        client.leave();
        apps.server.get(&format!("/{kind:?}")).is(200);
    }
}

/// It was gathered whole, and nothing of it was sent.
#[test]
fn a_body_that_is_not_passed_on_keeps_no_application_waiting() {
    let up = Upstream::start(|peer| {
        if peer.some().is_some() {
            peer.send(b"Status: 200 OK\r\nContent-Length: 5\r\n\r\nasked");
        }
    });
    let s = server(&format!(
        "location / {{ scgi_pass {}; scgi_request_buffering off; scgi_pass_request_body off;
                       scgi_param CONTENT_LENGTH $content_length; scgi_param SCGI 1; }}",
        up.address
    ))
    .start();
    let mut client = s.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n");
    client.response().is(200).body_is("asked");
}

#[test]
fn a_request_without_a_host_brings_an_application_none() {
    for kind in ALL.into_iter().filter(|kind| *kind != Kind::Cgi) {
        let given: Arc<Mutex<Given>> = Arc::default();
        let seen = given.clone();
        let up = Upstream::start(move |peer| {
            let Some(all) = take(kind, peer) else { return };
            *seen.lock().expect("not poisoned") = all;
            peer.send(&packed(kind, b"\r\nok"));
        });
        let pass = format!("{kind:?}").to_lowercase();
        let s = http(&format!(
            "server {{ listen 127.0.0.1:%%PORT%%; location / {{ {pass}_param X x; {pass}_pass {}; }} }}",
            up.address
        ))
        .start();
        s.client().request(b"GET / HTTP/1.0\r\n\r\n").is(200);
        let given = given.lock().expect("not poisoned").clone();
        assert_eq!((given.map().get("X"), given.map().get("HTTP_HOST")), (Some(&"x"), None), "{kind:?}");
    }
}

//! Uploads by POST and removal by DELETE: ours alone, nginx has neither. What is on disk afterwards counts more than
//! the status: a refused or broken upload leaves every directory exactly as it was.

mod answers;
mod beyond_mounts;
pub mod clients;
mod counters;
mod cuts;
mod delete;
mod digests;
mod directives;
mod disk_full;
mod durability;
mod faults;
mod file_systems;
mod forms;
mod hidden;
mod layers;
mod led;
mod mounts;
mod names;
mod pace;
mod parallel;
mod power_cuts;
mod processes;
mod quota;
mod refusals;
mod resumable;
mod resumable_digests;
mod resumable_draft;
mod resumable_draft_refused;
mod resumable_faults;
mod resumable_parts;
mod resumable_places;
mod resumable_quota;
mod resumable_rules;
mod resumable_stores;
mod serve;
mod signed_links;
mod swapped;
mod trash;
mod two_servers;
mod unwritten;

use crate::client::{Client, Response};
use crate::harness::{LOCKINFO, Server, Setup, Table, eventually, http, noise, ours, request, server, skip_on_nginx};
use crate::over_http2::skip_on_http2;
use std::collections::BTreeMap;

const OURS: crate::harness::Runs = ours("uploads");

fn setup(extra: &str) -> Setup {
    server(&format!(
        "client_max_body_size 10m;
         location /up/ {{ allowed_methods GET POST DELETE; }}
         location /over/ {{ allowed_methods GET POST DELETE; upload_on_duplicate overwrite; }}
         location /rename/ {{ allowed_methods GET POST; upload_on_duplicate rename; }}
         location /plain/ {{ }}
         {extra}"
    ))
    .file("html/index.html", "index")
    .file("html/up/old.txt", "old!")
    .file("html/over/old.txt", "old!")
    .file("html/rename/old.txt", "old!")
    .file("outside/secret", "outside")
}

/// Started, and known to serve: whatever it makes at its start exists now.
fn running(setup: Setup) -> Server {
    let s = setup.start();
    s.get("/").is(200);
    s
}

/// A running server whose one upload area `/a/` has these settings: a directive that is not known fails its own rows
/// only.
fn area(settings: &str) -> Server {
    let block = format!("client_max_body_size 10m; location /a/ {{ allowed_methods GET POST; {settings} }}");
    running(server(&block).file("html/index.html", "index").mkdir("html/a").mkdir("elsewhere"))
}

/// Everything below the prefix that a client could have changed.
fn disk(s: &Server) -> BTreeMap<String, String> {
    let mut entries = s.snapshot("");
    entries.retain(|name, _| !name.starts_with("logs") && !name.starts_with("conf"));
    entries
}

const BOUNDARY: &str = "----testBoundary7MA4YWxk";

/// One part: the parameters of its Content-Disposition behind `form-data; `, further field lines, content.
fn part(parameters: &str, fields: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {parameters}\r\n{fields}\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    part(&format!("name=\"file\"; filename=\"{name}\""), "Content-Type: application/octet-stream\r\n", content)
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [&parts.concat()[..], format!("--{BOUNDARY}--\r\n").as_bytes()].concat()
}

fn form_type() -> String {
    format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n")
}

fn post_form(s: &Server, target: &str, body: &[u8]) -> Response {
    s.method("POST", target, &form_type(), body)
}

#[track_caller]
fn located(r: &Response) -> String {
    let location = r.header("Location").unwrap_or_else(|| panic!("no Location in {}", r.show()));
    match location.find("://") {
        Some(at) => location[at + 3..].find('/').map_or(String::new(), |slash| location[at + 3 + slash..].to_owned()),
        None => location.to_owned(),
    }
}

#[test]
fn a_raw_body_is_stored_whole() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(setup(""));
    let mut table = Table::new("raw uploads");
    for length in [0, 1, 4095, 16384, 16385, 65536, 1 << 20, 3_000_000] {
        table.row(OURS, &format!("{length} bytes with Content-Length"), || {
            let content = noise(length);
            let r = s.method("POST", &format!("/up/cl-{length}"), "", &content);
            r.is(201);
            assert_eq!(located(&r), format!("/up/cl-{length}"));
            assert!(s.read(&format!("html/up/cl-{length}")) == content);
            let got = s.get(&format!("/up/cl-{length}"));
            got.is(200).body_is(&content);
            assert_eq!(got.header("ETag"), r.header("ETag"), "the 201 names the new ETag");
            assert!(r.header("ETag").is_some());
        });
        table.row(OURS, &format!("{length} bytes chunked"), || {
            let content = noise(length);
            let mut client = s.client();
            client.send(format!("POST /up/ch-{length} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
            for piece in content.chunks(9999) {
                client.send(format!("{:X};ext=1\r\n", piece.len())).send(piece).send("\r\n");
            }
            client.send("0\r\nX-T: x\r\n\r\n");
            client.response().is(201);
            assert!(s.read(&format!("html/up/ch-{length}")) == content);
            client.expect_alive("/", 200);
        });
    }
    table.row(OURS, "byte by byte", || {
        let bytes = b"POST /up/slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789";
        let mut client = s.client();
        client.send_split(bytes, 1..bytes.len());
        client.response().is(201);
        assert_eq!(s.read("html/up/slow"), b"0123456789");
        client.expect_alive("/up/slow", 200);
    });
    table.row(OURS, "two uploads and a download pipelined", || {
        let one = |n: u8| format!("POST /up/p{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{n}{n}{n}");
        let mut client = s.client();
        client.send(format!("{}{}GET /up/p2 HTTP/1.1\r\nHost: a\r\n\r\n", one(1), one(2)));
        client.response().is(201);
        client.response().is(201);
        client.response().is(200).body_is("222");
    });
    table.row(OURS, "100-continue is sent, then the body taken", || {
        let mut client = s.client();
        client.send(b"POST /up/expected HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        client.response().is(100);
        client.send(b"hello").response().is(201);
        assert_eq!(s.read("html/up/expected"), b"hello");
    });
    table.row(OURS, "an encoded name", || {
        let r = s.method("POST", "/up/a%20b%C3%A9.txt", "", b"x");
        r.is(201);
        assert_eq!(located(&r), "/up/a%20b%C3%A9.txt");
        assert!(s.exists("html/up/a b\u{e9}.txt"));
    });
    table.row(OURS, "to a directory, named by Content-Disposition", || {
        let r = s.method("POST", "/up/", "Content-Disposition: attachment; filename=\"named.txt\"\r\n", b"named");
        r.is(201);
        assert_eq!(located(&r), "/up/named.txt");
        assert_eq!(s.read("html/up/named.txt"), b"named");
    });
    table.row(OURS, "to a directory, without a name: Location says", || {
        let mut seen = Vec::new();
        for content in ["first", "second"] {
            let r = s.method("POST", "/up/", "Content-Type: text/plain\r\n", content.as_bytes());
            r.is(201);
            let location = located(&r);
            s.get(&location).is(200).body_is(content);
            seen.push(location);
        }
        assert_ne!(seen[0], seen[1]);
    });
    table.row(OURS, "a query is no part of the name", || {
        s.method("POST", "/up/query.txt?x=y", "", b"q").is(201);
        assert_eq!(s.read("html/up/query.txt"), b"q");
    });
}

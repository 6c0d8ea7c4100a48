//! The counters of uploads: each that begins is counted, and each that is stored or refused, wherever that was decided.

use super::resumable::{OCTETS, create, patch, tus};
use super::*;

/// Begun, stored and refused so far.
fn counted(s: &Server) -> [i64; 3] {
    let answer = s.get("/status/uploads");
    let tree: serde_json::Value = serde_json::from_slice(&answer.is(200).body).expect("JSON");
    ["begun", "stored", "refused"].map(|name| tree[name].as_i64().expect("a number"))
}

fn area_of_many() -> Setup {
    let block = "location /status/ { api /status/; }
        location /a/ { allowed_methods GET POST PUT DELETE; upload_resumable on; client_max_body_size 20; }
        location /file/ { allowed_methods GET POST PUT; upload_resumable on; upload_max_file_size 20; }
        location /types/ { allowed_methods GET PUT; upload_extensions .jpg; }
        location /full/ { allowed_methods GET PUT; upload_min_free 100%; }
        location /denied/ { allowed_methods GET PUT; deny all; }
        location /paged/ { allowed_methods GET PUT; client_max_body_size 20; error_page 413 =200 /page; }
        location /named/ { allowed_methods GET PUT; client_max_body_size 20; error_page 413 = @page; }
        location @page { return 204; }
        location /store/ { if ($request_method != GET) { return 418; } error_page 418 = @store; }
        location /stores/ {
            allowed_methods GET PUT;
            if ($request_method != GET) { return 418; } error_page 418 = @store;
        }
        location @store { allowed_methods GET PUT; upload_max_file_size 20; }
        location /lock/ { if ($request_method != GET) { return 418; } error_page 418 = @lock; }
        location @lock { allowed_methods GET PUT; deny all; }
        location = /page { return 200 page; }
        location /elsewhere/ { client_max_body_size 20; return 404; }
        location /reading/ { }";
    let dirs = ["a", "file", "types", "full", "denied", "paged", "named", "reading", "store", "stores"];
    let setup =
        server(block).file("html/index.html", "index").file("html/a/there", "there").file("html/reading/f", "f");
    dirs.iter().fold(setup, |setup, dir| setup.mkdir(&format!("html/{dir}")))
}

const LONG: &[u8] = b"0123456789012345678901234567890123456789";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\nConnection: close\r\n";

/// A request that its client leaves in the middle of its body.
fn cut(s: &Server, method: &str, target: &str, fields: &str) {
    let mut client = s.client();
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 10\r\n\r\n01234"));
    client.leave();
}

/// The answer to an upload of the draft in one request; 104 may come before it.
fn draft(s: &Server, target: &str, body: &[u8]) -> Response {
    let mut client = s.client();
    let fields = format!("{DRAFT}Upload-Complete: ?1\r\nContent-Length: {}", body.len());
    client.send([format!("PUT {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").as_bytes(), body].concat());
    let first = client.response();
    if first.status == 104 { client.response() } else { first }
}

/// The draft's version that the fields are of.
const DRAFT: &str = super::resumable_draft::VERSION;

#[test]
fn every_upload_that_is_refused_is_counted_wherever_that_was_decided() {
    if skip_on_nginx("uploads") || skip_on_http2("a body is cut") {
        return;
    }
    let s = running(area_of_many().allow_log("too large").allow_log("access forbidden"));
    type Act = fn(&Server);
    let rows: &[(&str, [i64; 3], Act)] = &[
        ("a PUT", [1, 1, 0], |s| _ = s.method("PUT", "/a/put", "", b"1").is(201)),
        ("a form", [1, 1, 0], |s| _ = post_form(s, "/file/", &form(&[file("f", b"1")])).is(201)),
        ("a PUT beyond client_max_body_size", [1, 0, 1], |s| _ = s.method("PUT", "/a/x", "", LONG).is(413)),
        ("a form beyond it", [1, 0, 1], |s| _ = post_form(s, "/a/", &form(&[file("x", LONG)])).is(413)),
        ("chunks beyond it", [1, 0, 1], |s| {
            let head = format!("PUT /a/x HTTP/1.1\r\nHost: a\r\n{CHUNKED}\r\n");
            _ = s.send(format!("{head}ff\r\n")).is(413);
        }),
        ("a PUT beyond upload_max_file_size", [1, 0, 1], |s| _ = s.method("PUT", "/file/x", "", LONG).is(413)),
        ("chunks beyond that", [1, 0, 1], |s| {
            let chunk = String::from_utf8_lossy(LONG);
            let head = format!("PUT /file/x HTTP/1.1\r\nHost: a\r\n{CHUNKED}\r\n");
            _ = s.send(format!("{head}28\r\n{chunk}\r\n0\r\n\r\n")).is(413);
        }),
        ("a form's file beyond it", [1, 0, 1], |s| _ = post_form(s, "/file/", &form(&[file("x", LONG)])).is(413)),
        ("a denied address", [1, 0, 1], |s| _ = s.method("PUT", "/denied/x", "", b"1").is(403)),
        ("a name that is taken", [1, 0, 1], |s| {
            _ = s.method("POST", "/a/", "Content-Disposition: attachment; filename=\"there\"\r\n", b"1").is(409);
        }),
        ("a directory that is missing", [1, 0, 1], |s| _ = s.method("PUT", "/a/no/x", "", b"1").is(409)),
        ("a condition", [1, 0, 1], |s| _ = s.method("PUT", "/a/there", "If-None-Match: *\r\n", b"1").is(412)),
        ("an extension", [1, 0, 1], |s| _ = s.method("PUT", "/types/x.php", "", b"1").is(415)),
        ("a full disk", [1, 0, 1], |s| _ = s.method("PUT", "/full/x", "", b"1").is(507)),
        ("an answer of another status", [1, 0, 1], |s| _ = s.method("PUT", "/paged/x", "", LONG).is(200)),
        ("an answer of a named location", [1, 0, 1], |s| _ = s.method("PUT", "/named/x", "", LONG).is(204)),
        ("stored behind an error_page", [1, 1, 0], |s| _ = s.method("PUT", "/store/x", "", b"1").is(201)),
        ("refused behind an error_page", [1, 0, 1], |s| _ = s.method("PUT", "/store/y", "", LONG).is(413)),
        ("refused behind another upload's error_page", [1, 0, 1], |s| {
            _ = s.method("PUT", "/stores/y", "", LONG).is(413);
        }),
        ("denied behind an error_page", [1, 0, 1], |s| _ = s.method("PUT", "/lock/x", "", b"1").is(403)),
        ("a page of another site", [1, 0, 1], |s| {
            _ = s.method("POST", "/a/", "Sec-Fetch-Site: cross-site\r\nOrigin: http://b\r\n", b"1").is(403);
        }),
        ("a client that leaves", [1, 0, 1], |s| cut(s, "PUT", "/a/x", "")),
        ("tus: one that begins", [1, 0, 0], |s| _ = create(s, "begun", 10)),
        ("tus: too long", [1, 0, 1], |s| _ = tus(s, "POST", "/file/", "Upload-Length: 99\r\n", b"").is(413)),
        ("tus: in two parts", [1, 1, 0], |s| {
            let target = create(s, "parts", 4);
            patch(s, &target, 0, b"01").is(204);
            patch(s, &target, 2, b"23").is(204);
        }),
        ("tus: a part elsewhere", [1, 0, 1], |s| _ = patch(s, &create(s, "offset", 4), 3, b"01").is(409)),
        ("tus: a part beyond client_max_body_size", [1, 0, 1], |s| {
            _ = patch(s, &create(s, "long", 40), 0, LONG).is(413);
        }),
        ("tus: a part of nothing", [0, 0, 1], |s| _ = patch(s, "/a/?webserv-upload=1", 0, b"01").is(404)),
        ("tus: a client that leaves", [1, 0, 0], |s| {
            let target = create(s, "left", 10);
            cut(s, "PATCH", &target, &format!("Tus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: 0\r\n"));
        }),
        ("tus: one that is given up", [1, 0, 0], |s| {
            let target = create(s, "ended", 10);
            tus(s, "DELETE", &target, "", b"").is(204);
        }),
        ("the draft: in one piece", [1, 1, 0], |s| _ = draft(s, "/a/draft", b"1").is(201)),
        ("the draft: too long", [1, 0, 1], |s| _ = draft(s, "/a/long", LONG).is(413)),
        ("the draft: a client that leaves", [1, 0, 0], |s| {
            cut(s, "PUT", "/a/cut", &format!("{DRAFT}Upload-Complete: ?1\r\n"));
        }),
        ("no upload: a file that is missing", [0, 0, 0], |s| _ = s.get("/a/missing").is(404)),
        ("no upload: a method that is not allowed", [0, 0, 0], |s| {
            _ = s.method("PUT", "/reading/f", "", b"1").is(405);
        }),
        ("no upload: DELETE", [0, 0, 0], |s| _ = s.method("DELETE", "/a/missing", "", b"").is(404)),
        ("no upload: where nothing is stored", [0, 0, 0], |s| _ = s.method("POST", "/elsewhere/", "", LONG).is(413)),
    ];
    let mut table = Table::new("counters of uploads");
    for (name, expected, act) in rows {
        table.row(OURS, name, || {
            let before = counted(&s);
            let mut now = before;
            act(&s);
            eventually("the request is over", || {
                now = counted(&s);
                let connections = s.get("/status/connections");
                let tree: serde_json::Value = serde_json::from_slice(&connections.body).expect("JSON");
                // The others are closed, so that all of theirs is counted.
                tree["active"] == 1 && (0..3).all(|at| now[at] - before[at] >= expected[at])
            });
            assert_eq!([0, 1, 2].map(|at| now[at] - before[at]), *expected);
        });
    }
}

#[test]
fn upload_status_names_what_was_refused_before_its_body() {
    if skip_on_nginx("uploads") {
        return;
    }
    let http =
        "log_format up '$upload_status'; server { listen 127.0.0.1:%%PORT%%; root html; access_log logs/up.log up;
        location /a/ { allowed_methods GET PUT; client_max_body_size 20; } }";
    let s = running(crate::harness::http(http).file("html/index.html", "index").mkdir("html/a").allow_log("too large"));
    s.method("PUT", "/a/x", "", LONG).is(413);
    s.method("PUT", "/a/x", "", b"1").is(201);
    s.get("/a/y").is(404);
    let log = s.await_file("logs/up.log", |text| text.lines().count() == 4);
    assert_eq!(log.lines().collect::<Vec<_>>(), ["-", "refused", "stored", "-"]);
}

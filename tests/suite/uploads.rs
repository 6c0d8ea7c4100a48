//! Uploads by POST and removal by DELETE: ours alone, nginx has neither. What is on disk afterwards counts more than
//! the status: a refused or broken upload leaves every directory exactly as it was.

use crate::client::{Client, Response};
use crate::harness::{Server, Setup, Table, eventually, noise, ours, server, skip_on_nginx};
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
    let s = setup("").start();
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
            client.send("0\r\nTrailer: x\r\n\r\n");
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

#[test]
fn a_form_stores_its_files() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = setup("").start();
    let field = |name: &str, value: &str| part(&format!("name=\"{name}\""), "", value.as_bytes());
    let mut table = Table::new("forms");
    table.row(OURS, "one file", || {
        let r = post_form(&s, "/up/", &form(&[file("one.txt", b"one")]));
        r.is(201);
        assert_eq!(located(&r), "/up/one.txt");
        assert_eq!(s.read("html/up/one.txt"), b"one");
    });
    table.row(OURS, "three files", || {
        post_form(&s, "/up/", &form(&[file("m1", b"1"), file("m2", b"22"), file("m3", b"")])).is(201);
        assert_eq!(s.read("html/up/m1"), b"1");
        assert_eq!(s.read("html/up/m2"), b"22");
        assert_eq!(s.read("html/up/m3"), b"");
    });
    table.row(OURS, "text fields before, between and behind are not stored", || {
        let before = disk(&s);
        let parts = [field("a", "1"), file("f1", b"x"), field("b", "2"), file("f2", b"y"), field("c", "3")];
        post_form(&s, "/up/", &form(&parts)).is(201);
        let mut after = disk(&s);
        assert_eq!(after.remove("html/up/f1").as_deref(), Some("x"));
        assert_eq!(after.remove("html/up/f2").as_deref(), Some("y"));
        assert_eq!(before, after);
    });
    table.row(OURS, "only text fields: nothing is stored", || {
        let before = disk(&s);
        let r = post_form(&s, "/up/", &form(&[field("a", "1"), field("b", "two")]));
        assert!(r.status < 500, "{}", r.show());
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "an input without a chosen file is skipped", || {
        let empty = part("name=\"file\"; filename=\"\"", "Content-Type: application/octet-stream\r\n", b"");
        post_form(&s, "/up/", &form(&[empty, file("chosen", b"c")])).is(201);
        assert_eq!(s.read("html/up/chosen"), b"c");
    });
    table.row(OURS, "3 MB byte-identical", || {
        let content = noise(3_000_000);
        post_form(&s, "/up/", &form(&[file("big", &content)])).is(201);
        assert!(s.read("html/up/big") == content);
    });
    table.row(OURS, "chunked", || {
        let body = form(&[file("chunked", &noise(100_000))]);
        let mut client = s.client();
        client.send(format!("POST /up/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{}\r\n", form_type()));
        for piece in body.chunks(777) {
            client.send(format!("{:x}\r\n", piece.len())).send(piece).send("\r\n");
        }
        client.send("0\r\n\r\n");
        client.response().is(201);
        assert!(s.read("html/up/chunked") == noise(100_000));
        client.expect_alive("/", 200);
    });
    table.row(OURS, "content that looks like the boundary", || {
        let content = format!(
            "\r\n--{}\r\n-{BOUNDARY}\r\n--\r\n{BOUNDARY}\n--{BOUNDARY}x\r--{BOUNDARY}\r\n\r\n--\r\r\n",
            &BOUNDARY[..BOUNDARY.len() - 1]
        );
        post_form(&s, "/up/", &form(&[file("tricky", content.as_bytes())])).is(201);
        assert_eq!(String::from_utf8_lossy(&s.read("html/up/tricky")), content);
    });
    table.row(OURS, "content that ends in CRLF", || {
        post_form(&s, "/up/", &form(&[file("crlf", b"line\r\n\r\n")])).is(201);
        assert_eq!(s.read("html/up/crlf"), b"line\r\n\r\n");
    });
    table.row(OURS, "a preamble and an epilogue", || {
        let body = [&b"ignore me\r\n"[..], &form(&[file("pre", b"p")]), b"and me too\r\n"].concat();
        post_form(&s, "/up/", &body).is(201);
        assert_eq!(s.read("html/up/pre"), b"p");
    });
    table.row(OURS, "no CRLF behind the last boundary", || {
        let mut body = form(&[file("nocrlf", b"n")]);
        body.truncate(body.len() - 2);
        post_form(&s, "/up/", &body).is(201);
        assert_eq!(s.read("html/up/nocrlf"), b"n");
    });
    table.row(OURS, "a quoted boundary", || {
        let kind = format!("Content-Type: multipart/form-data; charset=utf-8; boundary=\"{BOUNDARY}\"\r\n");
        s.method("POST", "/up/", &kind, &form(&[file("quoted", b"q")])).is(201);
        assert_eq!(s.read("html/up/quoted"), b"q");
    });
    table.row(OURS, "split at every byte", || {
        let body = form(&[field("a", "1"), file("split", b"\r\n--split\r\n")]);
        let head = format!("POST /over/ HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{}\r\n", body.len(), form_type());
        for at in 0..body.len() {
            let mut client = s.client();
            client.send(&head).send_split(&body, [at]);
            client.response().is_one_of(&[200, 201, 204]);
            assert_eq!(s.read("html/over/split"), b"\r\n--split\r\n", "split at {at}");
        }
    });
    table.row(OURS, "byte by byte", || {
        let body = form(&[file("trickle", b"drop")]);
        let head = format!("POST /up/ HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{}\r\n", body.len(), form_type());
        let mut client = s.client();
        client.send(&head).send_split(&body, 1..body.len());
        client.response().is(201);
        assert_eq!(s.read("html/up/trickle"), b"drop");
    });
    let names: &[(&str, &str, &str)] = &[
        ("UTF-8 in quotes", "filename=\"\u{e9}t\u{e9}.txt\"", "\u{e9}t\u{e9}.txt"),
        ("RFC 5987", "filename*=UTF-8''%e2%82%ac%20rates.txt", "\u{20ac} rates.txt"),
        ("RFC 5987 wins over filename", "filename=\"plain.txt\"; filename*=UTF-8''%e2%82%ac.txt", "\u{20ac}.txt"),
        ("RFC 5987 before filename", "filename*=utf-8'en'early.txt; filename=\"late.txt\"", "early.txt"),
        ("a browser's %22", "filename=\"say %22hi%22.txt\"", "say \"hi\".txt"),
        ("a backslash-escaped quote", "filename=\"q\\\"q.txt\"", "q\"q.txt"),
        ("a token", "filename=token.txt", "token.txt"),
        ("a semicolon in quotes", "filename=\"a;b.txt\"", "a;b.txt"),
        ("a percent that is no escape of a browser's", "filename=\"100%25.txt\"", "100%25.txt"),
        ("spaces", "filename=\"a b  c.txt\"", "a b  c.txt"),
        ("dots within", "filename=\"a..b.tar.gz\"", "a..b.tar.gz"),
        ("capitals in the parameter", "FileName=\"caps.txt\"", "caps.txt"),
        (
            "255 bytes",
            concat!("filename=\"", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", "\""),
            "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
        ),
    ];
    for &(name, parameter, stored) in names {
        table.row(OURS, name, || {
            let r = post_form(&s, "/up/", &form(&[part(&format!("name=\"f\"; {parameter}"), "", b"n")]));
            r.is(201);
            assert!(s.exists(&format!("html/up/{stored}")), "{:?}", s.snapshot("html/up").keys().collect::<Vec<_>>());
            s.get(&located(&r)).is(200).body_is("n");
        });
    }
}

#[test]
fn hostile_names_write_nothing() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = setup("").mkdir("html/up/sub").start();
    let long = "n".repeat(256);
    let refused: Vec<(&str, String)> = vec![
        ("a parent", "filename=\"../evil\"".into()),
        ("many parents", "filename=\"../../../../../../tmp/evil\"".into()),
        ("only dots", "filename=\"..\"".into()),
        ("one dot", "filename=\".\"".into()),
        ("an absolute path", "filename=\"/tmp/evil\"".into()),
        ("a subdirectory", "filename=\"sub/evil\"".into()),
        ("a new subdirectory", "filename=\"new/evil\"".into()),
        ("a slash at the end", "filename=\"evil/\"".into()),
        ("only a slash", "filename=\"/\"".into()),
        ("a self segment", "filename=\"./evil\"".into()),
        ("a browser's newline", "filename=\"ev%0D%0Ail\"".into()),
        ("a browser's LF", "filename=\"ev%0Ail\"".into()),
        ("a control character", "filename=\"ev\x01il\"".into()),
        ("an escape sequence", "filename=\"ev\x1b[2Jil\"".into()),
        ("DEL", "filename=\"ev\x7fil\"".into()),
        ("256 bytes", format!("filename=\"{long}\"")),
        ("5000 bytes", format!("filename=\"{}\"", long.repeat(20))),
        ("RFC 5987, a parent", "filename*=UTF-8''..%2Fevil".into()),
        ("RFC 5987, a NUL", "filename*=UTF-8''ev%00il".into()),
        ("RFC 5987, a newline", "filename*=UTF-8''ev%0ail".into()),
        ("RFC 5987, only dots", "filename*=UTF-8''%2e%2e".into()),
        ("RFC 5987, invalid UTF-8", "filename*=UTF-8''ev%c0%afil".into()),
        ("RFC 5987, a cut escape", "filename*=UTF-8''ev%2".into()),
        ("a plain name beside a hostile extended one", "filename=\"good\"; filename*=UTF-8''..%2Fevil".into()),
    ];
    let mut table = Table::new("hostile names");
    for (name, parameter) in &refused {
        table.row(OURS, name, || {
            let before = disk(&s);
            let r = post_form(&s, "/up/", &form(&[part(&format!("name=\"f\"; {parameter}"), "", b"evil")]));
            r.is(400);
            assert_eq!(before, disk(&s));
            assert!(!std::path::Path::new("/tmp/evil").exists());
        });
    }
    table.row(OURS, "a NUL in the name", || {
        let before = disk(&s);
        post_form(&s, "/up/", &form(&[part("name=\"f\"; filename=\"ev\0il\"", "", b"evil")])).is(400);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "a good file beside a hostile one is not stored either", || {
        let before = disk(&s);
        post_form(&s, "/up/", &form(&[file("good", b"g"), file("../evil", b"e")])).is(400);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "in a raw upload's Content-Disposition", || {
        for name in ["../evil", "/tmp/evil", "..", "a/b", "sub/evil"] {
            let before = disk(&s);
            s.method("POST", "/up/", &format!("Content-Disposition: attachment; filename=\"{name}\"\r\n"), b"e")
                .is(400);
            assert_eq!(before, disk(&s));
        }
    });
    table.row(OURS, "in the target", || {
        let before = disk(&s);
        for target in
            ["/up/../../evil", "/up/%2e%2e/%2e%2e/evil", "/up/..%2f..%2fevil", "/up/ev%00il", "/up/..%5cevil%00"]
        {
            s.method("POST", target, "", b"evil").is(400);
        }
        for target in ["/up/ev%0ail", "/up/ev%0d%0ail"] {
            s.method("POST", target, "", b"evil").is_one_of(&[400, 403]);
        }
        s.method("POST", &format!("/up/{long}"), "", b"evil").is_one_of(&[400, 414]);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "names that are odd but harmless stay inside", || {
        let before = disk(&s);
        for name in [
            "..%2fevil",
            "C:\\\\dir\\\\evil.txt",
            "..\\\\evil",
            "a:b",
            "-rf",
            "*",
            "$(id)",
            "`id`",
            "|x",
            "CON",
            "a\u{202e}txt.exe",
        ] {
            post_form(&s, "/up/", &form(&[file(name, b"odd")])).is_one_of(&[201, 400]);
        }
        let mut after = disk(&s);
        after.retain(|name, _| before.contains_key(name) || !name.starts_with("html/up/"));
        assert_eq!(before, after);
        assert_eq!(s.snapshot("html/up/sub").len(), 0);
    });
}

#[test]
fn bad_forms_store_nothing() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = setup("").start();
    let good = file("bad", b"content");
    let cut = |n: usize| {
        let body = form(std::slice::from_ref(&good));
        body[..body.len() - n].to_vec()
    };
    let kind = form_type();
    let rows: Vec<(&str, String, Vec<u8>)> = vec![
        ("no end boundary", kind.clone(), good.clone()),
        ("the end boundary cut", kind.clone(), cut(4)),
        ("the end boundary lacks one dash", kind.clone(), cut(3)),
        ("an empty body", kind.clone(), Vec::new()),
        ("no boundary in the body", kind.clone(), b"just text".to_vec()),
        (
            "another boundary",
            "Content-Type: multipart/form-data; boundary=other\r\n".into(),
            form(std::slice::from_ref(&good)),
        ),
        ("no boundary parameter", "Content-Type: multipart/form-data\r\n".into(), form(std::slice::from_ref(&good))),
        (
            "an empty boundary",
            "Content-Type: multipart/form-data; boundary=\r\n".into(),
            form(std::slice::from_ref(&good)),
        ),
        (
            "a boundary of 71 characters",
            format!("Content-Type: multipart/form-data; boundary={}\r\n", "b".repeat(71)),
            form(std::slice::from_ref(&good)),
        ),
        (
            "a part that ends in its head",
            kind.clone(),
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"bad\"\r\n--{BOUNDARY}--\r\n"
            )
            .into_bytes(),
        ),
        (
            "a part head of 64 KiB",
            kind.clone(),
            form(&[part("name=\"f\"; filename=\"bad\"", &format!("X: {}\r\n", "x".repeat(65536)), b"c")]),
        ),
        (
            "ten thousand head fields",
            kind.clone(),
            form(&[part("name=\"f\"; filename=\"bad\"", &"X: y\r\n".repeat(10_000), b"c")]),
        ),
        ("an unclosed quote in the name", kind.clone(), form(&[part("name=\"f\"; filename=\"bad", "", b"c")])),
    ];
    let mut table = Table::new("bad forms");
    for (name, kind, body) in &rows {
        table.row(OURS, name, || {
            let before = disk(&s);
            let mut client = s.client();
            client.try_send(crate::harness::request("POST", "/up/", kind, body));
            client.response().is_one_of(&[400, 413, 431]);
            assert_eq!(before, disk(&s));
        });
    }
    table.row(OURS, "a good file before a broken part is not stored", || {
        let before = disk(&s);
        let mut body = form(&[file("first", b"1"), file("second", b"2")]);
        body.truncate(body.len() - 6);
        post_form(&s, "/up/", &body).is(400);
        assert_eq!(before, disk(&s));
    });
}

#[test]
fn an_existing_name_is_refused_replaced_or_avoided() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = setup("").start();
    let mut table = Table::new("duplicates");
    table.row(OURS, "refused by default, raw", || {
        s.method("POST", "/up/old.txt", "", b"new").is(409);
        assert_eq!(s.read("html/up/old.txt"), b"old!");
    });
    table.row(OURS, "refused by default, form", || {
        post_form(&s, "/up/", &form(&[file("old.txt", b"new")])).is(409);
        assert_eq!(s.read("html/up/old.txt"), b"old!");
    });
    table.row(OURS, "one duplicate refuses the whole form", || {
        let before = disk(&s);
        post_form(&s, "/up/", &form(&[file("fresh", b"f"), file("old.txt", b"new")])).is(409);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "overwrite", || {
        s.method("POST", "/over/old.txt", "", b"new").is_one_of(&[200, 204]);
        assert_eq!(s.read("html/over/old.txt"), b"new");
        s.get("/over/old.txt").is(200).body_is("new");
        post_form(&s, "/over/", &form(&[file("old.txt", b"newer")])).is_one_of(&[200, 204]);
        assert_eq!(s.read("html/over/old.txt"), b"newer");
    });
    table.row(OURS, "rename counts up and Location says", || {
        for n in 1..=3 {
            let r = post_form(&s, "/rename/", &form(&[file("old.txt", n.to_string().as_bytes())]));
            r.is(201);
            assert_eq!(located(&r), format!("/rename/old-{n}.txt"));
            assert_eq!(s.read(&format!("html/rename/old-{n}.txt")), n.to_string().as_bytes());
        }
        assert_eq!(s.read("html/rename/old.txt"), b"old!");
    });
    table.row(OURS, "two uploads of one name at once: one wins", || {
        let half = |n: u8| {
            let mut client = s.client();
            client.send(b"POST /up/race HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
            client.response().is(100);
            client.send([n; 2]);
            client
        };
        let (mut a, mut b) = (half(b'a'), half(b'b'));
        a.send(b"aa").response().is(201);
        b.send(b"bb").response().is(409);
        assert_eq!(s.read("html/up/race"), b"aaaa");
    });
    table.row(OURS, "a directory as file", || {
        s.method("POST", "/over/sub", "", b"x").is(201);
        std::fs::create_dir_all(s.path("html/over/dir/inner")).unwrap();
        s.method("POST", "/over/dir", "", b"x").is_one_of(&[409, 301]);
        assert!(s.path("html/over/dir/inner").is_dir());
        post_form(&s, "/over/", &form(&[file("dir", b"x")])).is(409);
        assert!(s.path("html/over/dir/inner").is_dir());
    });
    table.row(OURS, "a file as directory", || {
        s.method("POST", "/up/old.txt/x", "", b"x").is(409);
        assert_eq!(s.read("html/up/old.txt"), b"old!");
    });
    table.row(OURS, "a missing parent", || {
        s.method("POST", "/up/no/such/x", "", b"x").is(409);
        assert!(!s.exists("html/up/no"));
    });
    table.row(OURS, "preconditions hold", || {
        s.write("html/over/cond", "old!");
        let etag = s.get("/over/cond").header("ETag").unwrap().to_owned();
        s.method("POST", "/over/cond", "If-None-Match: *\r\n", b"no").is(412);
        s.method("POST", "/over/cond", "If-Match: \"other\"\r\n", b"no").is(412);
        s.method("POST", "/over/absent", "If-Match: *\r\n", b"no").is(412);
        assert_eq!(s.read("html/over/cond"), b"old!");
        assert!(!s.exists("html/over/absent"));
        s.method("POST", "/over/cond", &format!("If-Match: {etag}\r\n"), b"yes").is_one_of(&[200, 204]);
        assert_eq!(s.read("html/over/cond"), b"yes");
        s.method("POST", "/over/absent", "If-None-Match: *\r\n", b"first").is(201);
    });
}

#[test]
fn limits_refuse_early_and_leave_nothing() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = setup(
        "location /small/ { allowed_methods POST; client_max_body_size 1000; }
         location /perfile/ { allowed_methods POST; upload_max_file_size 10; }
         location /few/ { allowed_methods POST; upload_max_files 2; }
         location /types/ { allowed_methods POST; upload_types image/png image/gif; }
         location /ext/ { allowed_methods POST; upload_extensions .jpg .png; }
         location /noext/ { allowed_methods POST; upload_extensions !.php !.phtml; }
         location /denied/ { allowed_methods POST; deny all; }",
    )
    .mkdir("html/small")
    .mkdir("html/perfile")
    .mkdir("html/few")
    .mkdir("html/types")
    .mkdir("html/ext")
    .mkdir("html/noext")
    .mkdir("html/denied")
    .start();
    let refused = |table: &mut Table, name: &str, statuses: &[u16], bytes: Vec<u8>| {
        table.row(OURS, name, || {
            let before = disk(&s);
            let mut client = s.client();
            client.try_send(bytes);
            client.response().is_one_of(statuses);
            assert_eq!(before, disk(&s));
            s.get("/").is(200);
        });
    };
    let raw =
        |target: &str, fields: &str, length: usize| crate::harness::request("POST", target, fields, &noise(length));
    let forms = |target: &str, parts: &[Vec<u8>]| crate::harness::request("POST", target, &form_type(), &form(parts));
    let mut t = Table::new("upload limits");
    refused(&mut t, "the body, by Content-Length", &[413], raw("/small/x", "", 1001));
    refused(&mut t, "the body, by far", &[413], raw("/small/x", "", 3_000_000));
    let chunked = [
        b"POST /small/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        [&b"1f4\r\n"[..], &noise(500), b"\r\n"].concat().repeat(3),
        b"0\r\n\r\n".to_vec(),
    ]
    .concat();
    refused(&mut t, "the body, chunked", &[413], chunked);
    refused(
        &mut t,
        "a file of a form",
        &[413],
        forms("/perfile/", &[file("ok", b"0123456789"), file("x", b"0123456789a")]),
    );
    refused(&mut t, "a raw file", &[413], raw("/perfile/x", "", 11));
    refused(
        &mut t,
        "too many files",
        &[413, 400],
        forms("/few/", &[file("a", b"1"), file("b", b"2"), file("c", b"3")]),
    );
    refused(&mut t, "a type that is not listed", &[415], raw("/types/x.txt", "Content-Type: text/plain\r\n", 5));
    refused(
        &mut t,
        "a part's type that is not listed",
        &[415],
        forms("/types/", &[part("name=\"f\"; filename=\"x\"", "Content-Type: text/html\r\n", b"x")]),
    );
    refused(&mut t, "an extension that is not listed", &[415], forms("/ext/", &[file("x.exe", b"x")]));
    refused(&mut t, "no extension", &[415], forms("/ext/", &[file("jpg", b"x")]));
    refused(&mut t, "an excluded extension", &[415], forms("/noext/", &[file("x.php", b"x")]));
    refused(&mut t, "an excluded extension in capitals", &[415], forms("/noext/", &[file("x.PHP", b"x")]));
    refused(&mut t, "an excluded extension, raw", &[415], raw("/noext/x.phtml", "", 5));
    refused(&mut t, "a method that is not allowed", &[405], raw("/plain/x", "", 5));
    refused(&mut t, "a denied client", &[403], raw("/denied/x", "", 5));
    t.row(OURS, "what is within the limits is stored", || {
        s.send(raw("/small/x", "", 1000)).is(201);
        s.send(forms("/perfile/", &[file("a", b"0123456789")])).is(201);
        s.send(forms("/few/", &[file("a", b"1"), file("b", b"2")])).is(201);
        s.send(forms("/types/", &[part("name=\"f\"; filename=\"x\"", "Content-Type: image/png\r\n", b"x")])).is(201);
        s.send(forms("/ext/", &[file("x.JPG", b"x"), file("y.png", b"y")])).is(201);
        s.send(forms("/noext/", &[file("x.txt", b"x")])).is(201);
    });
    for (name, target, fields, status) in [
        ("too large", "/small/y", "Content-Length: 5000\r\n", 413),
        ("not allowed", "/plain/y", "Content-Length: 5\r\n", 405),
        ("denied", "/denied/y", "Content-Length: 5\r\n", 403),
    ] {
        t.row(OURS, &format!("Expect is answered with the refusal, {name}"), || {
            let mut client = s.client();
            client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\n{fields}Expect: 100-continue\r\n\r\n"));
            client.response().is(status);
        });
    }
    t.row(OURS, "a refused 20 MB upload still reads its 413", || {
        let mut client = s.client();
        client.send(b"POST /small/z HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n");
        let block = noise(1 << 16);
        for _ in 0..305 {
            if !client.try_send(&block) {
                break;
            }
        }
        client.response().is(413);
    });
}

/// Breaks an upload of `body` off behind its first `at` bytes.
fn break_off(s: &Server, head: &str, body: &[u8], at: usize, reset: bool) {
    let mut client: Client = s.client();
    client.send(head).send(&body[..at]);
    if reset {
        client.reset();
    } else {
        let rest = client.half_close().rest();
        let text = String::from_utf8_lossy(&rest);
        assert!(rest.is_empty() || text.starts_with("HTTP/1.1 4"), "an upload cut at {at} was answered by {text}");
    }
}

#[test]
fn a_cut_upload_leaves_the_old_file_and_no_litter() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = setup("").start();
    let before = disk(&s);
    let small = form(&[file("old.txt", b"new content"), file("other.txt", b"more")]);
    let large = form(&[file("old.txt", &noise(3_000_000))]);
    let raw = noise(300_000);
    let offsets = |length: usize| {
        let mut at: Vec<usize> = (0..length.min(2000)).step_by(7).collect();
        at.extend([length / 4, length / 2, length * 3 / 4, length.saturating_sub(60), length - 2, length - 1]);
        at.retain(|&n| n < length);
        at
    };
    let rows: &[(&str, &str, String, &[u8], Vec<usize>)] = &[
        ("a small form", "/over/", form_type(), &small, (0..small.len() - 2).collect()),
        ("a large form", "/over/", form_type(), &large, offsets(large.len() - 2).into_iter().rev().take(12).collect()),
        ("a raw body", "/over/old.txt", String::new(), &raw, offsets(raw.len()).into_iter().rev().take(12).collect()),
        ("a new raw body", "/up/fresh", String::new(), &raw, offsets(raw.len()).into_iter().rev().take(12).collect()),
    ];
    let mut table = Table::new("cut uploads");
    for (name, target, kind, body, cuts) in rows {
        for (how, reset) in [("FIN", false), ("RST", true)] {
            table.row(OURS, &format!("{name}, {how}"), || {
                let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{kind}\r\n", body.len());
                for &at in cuts {
                    break_off(&s, &head, body, at, reset);
                }
                // A reset is seen by the server some time later; each request is a turn of its loop.
                eventually("the directory is as before", || {
                    s.get("/").is(200);
                    disk(&s) == before
                });
            });
        }
    }
    for (how, reset) in [("FIN", false), ("RST", true)] {
        table.row(OURS, &format!("a chunked body, {how}"), || {
            let head = "POST /over/old.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            let body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
            for at in 0..body.len() {
                break_off(&s, head, body, at, reset);
            }
            eventually("the directory is as before", || {
                s.get("/").is(200);
                disk(&s) == before
            });
        });
    }
    table.row(OURS, "a server that is stopped amid uploads leaves nothing", || {
        let mut s = setup("").start();
        let before = disk(&s);
        let mut clients = Vec::new();
        for i in 0..5 {
            let mut client = s.client();
            client.send(format!(
                "POST /up/part{i} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n"
            ));
            client.response().is(100);
            client.send(noise(50_000));
            clients.push(client);
        }
        s.get("/").is(200);
        s.stop();
        assert_eq!(before, disk(&s));
    });
}

#[test]
fn links_do_not_lead_out() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = setup("")
        .mkdir("outside/dir")
        .link("html/over/out", "../../outside")
        .link("html/over/abs", "%%DIR%%/outside/dir")
        .link("html/over/file", "../../outside/secret")
        .link("html/over/dangling", "../../outside/new")
        .start();
    let mut table = Table::new("links");
    table.row(OURS, "POST below a link to a directory outside", || {
        for target in ["/over/out/x", "/over/abs/x", "/over/out/secret", "/over/out/dir/x"] {
            s.method("POST", target, "", b"x").is(403);
        }
        post_form(&s, "/over/out/", &form(&[file("x", b"x")])).is(403);
        assert_eq!(s.snapshot("outside").len(), 2, "{:?}", s.snapshot("outside"));
    });
    table.row(OURS, "POST onto a link to a file outside", || {
        s.method("POST", "/over/file", "", b"new").is_one_of(&[200, 201, 204, 403, 409]);
        s.method("POST", "/over/dangling", "", b"new").is_one_of(&[200, 201, 204, 403, 409]);
        assert_eq!(s.read("outside/secret"), b"outside");
        assert!(!s.exists("outside/new"));
    });
    table.row(OURS, "DELETE below a link to a directory outside", || {
        for target in ["/over/out/secret", "/over/out/dir", "/over/out/dir/", "/over/abs/"] {
            s.method("DELETE", target, "", b"").is_one_of(&[403, 404, 409]);
        }
        assert_eq!(s.read("outside/secret"), b"outside");
        assert!(s.path("outside/dir").is_dir());
    });
    table.row(OURS, "DELETE of a link removes the link", || {
        s.method("DELETE", "/over/out", "", b"").is(204);
        assert!(!s.exists("html/over/out"));
        assert_eq!(s.read("outside/secret"), b"outside");
    });
}

#[test]
fn delete_removes_what_it_names() {
    if skip_on_nginx("DELETE by allowed_methods is ours") {
        return;
    }
    let s = setup(
        "location /rec/ { allowed_methods GET DELETE; delete_recursive on; }
         location /al/ { alias %%DIR%%/area/; allowed_methods DELETE; }",
    )
    .file("html/up/f1", "1")
    .file("html/up/f2", "2")
    .file("html/up/f 3", "3")
    .file("html/up/full/inner", "x")
    .file("html/up/kept", "kept")
    .file("html/plain/f", "plain")
    .file("html/rec/tree/a/b/c", "c")
    .file("html/rec/tree/d", "d")
    .mkdir("html/up/empty1")
    .mkdir("html/up/empty2")
    .mkdir("area")
    .start();
    let mut table = Table::new("DELETE");
    table.row(OURS, "a file", || {
        s.method("DELETE", "/up/f1", "", b"").is(204);
        assert!(!s.exists("html/up/f1"));
        s.get("/up/f1").is(404);
    });
    table.row(OURS, "a file with an encoded name", || {
        s.method("DELETE", "/up/f%203", "", b"").is(204);
        assert!(!s.exists("html/up/f 3"));
    });
    table.row(OURS, "the same file twice", || {
        s.method("DELETE", "/up/f2", "", b"").is(204);
        s.method("DELETE", "/up/f2", "", b"").is(404);
    });
    table.row(OURS, "a missing file", || {
        s.method("DELETE", "/up/none", "", b"").is(404);
        s.method("DELETE", "/up/no/such/path", "", b"").is(404);
    });
    table.row(OURS, "a directory that is not empty", || {
        s.method("DELETE", "/up/full", "", b"").is(409);
        s.method("DELETE", "/up/full/", "", b"").is(409);
        assert!(s.exists("html/up/full/inner"));
    });
    table.row(OURS, "an empty directory", || {
        s.method("DELETE", "/up/empty1/", "", b"").is(204);
        assert!(!s.exists("html/up/empty1"));
    });
    table.row(OURS, "an empty directory without slash", || {
        s.method("DELETE", "/up/empty2", "", b"").is(204);
        assert!(!s.exists("html/up/empty2"));
    });
    table.row(OURS, "a file with a slash behind it", || {
        s.method("DELETE", "/up/kept/", "", b"").is_one_of(&[404, 409]);
        assert_eq!(s.read("html/up/kept"), b"kept");
    });
    table.row(OURS, "the root of an area is never removed", || {
        s.method("DELETE", "/al/", "", b"").is_one_of(&[403, 409]);
        assert!(s.path("area").is_dir());
    });
    table.row(OURS, "outside the root", || {
        for target in [
            "/up/../../outside/secret",
            "/up/%2e%2e/%2e%2e/outside/secret",
            "/up/..%2f..%2foutside%2fsecret",
            "/al/../outside/secret",
        ] {
            s.method("DELETE", target, "", b"").is_one_of(&[400, 403, 404, 405]);
        }
        assert_eq!(s.read("outside/secret"), b"outside");
    });
    table.row(OURS, "not allowed", || {
        let r = s.method("DELETE", "/plain/f", "", b"");
        r.is(405);
        assert!(r.header("Allow").is_some_and(|allow| !allow.contains("DELETE")), "{}", r.show());
        assert_eq!(s.read("html/plain/f"), b"plain");
    });
    table.row(OURS, "preconditions hold", || {
        let etag = s.get("/up/kept").header("ETag").unwrap().to_owned();
        s.method("DELETE", "/up/kept", "If-Match: \"other\"\r\n", b"").is(412);
        s.method("DELETE", "/up/kept", "If-None-Match: *\r\n", b"").is(412);
        s.method("DELETE", "/up/kept", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", b"").is(412);
        assert_eq!(s.read("html/up/kept"), b"kept");
        s.method("DELETE", "/up/kept", &format!("If-Match: {etag}\r\n"), b"").is(204);
        assert!(!s.exists("html/up/kept"));
    });
    table.row(OURS, "delete_recursive", || {
        s.method("DELETE", "/rec/tree/", "", b"").is(204);
        assert!(!s.exists("html/rec/tree"));
        assert!(s.exists("html/rec"));
    });
    table.row(OURS, "the connection lives on", || {
        let mut client = s.client();
        s.write("html/up/again", "x");
        client.request(b"DELETE /up/again HTTP/1.1\r\nHost: a\r\n\r\n").is(204);
        client.request(b"DELETE /up/again HTTP/1.1\r\nHost: a\r\n\r\n").is(404);
        client.expect_alive("/", 200);
    });
    table.row(OURS, "the site itself", || {
        let s = server("allowed_methods GET DELETE;").start();
        s.method("DELETE", "/", "", b"").is_one_of(&[403, 409]);
        assert!(s.path("html").is_dir());
        let s = server("allowed_methods GET DELETE; delete_recursive on;").file("html/f", "f").start();
        s.method("DELETE", "/", "", b"").is_one_of(&[403, 409]);
        s.method("DELETE", "//", "", b"").is_one_of(&[403, 409]);
        s.method("DELETE", "/./", "", b"").is_one_of(&[403, 409]);
        s.method("DELETE", "/x/..", "", b"").is_one_of(&[403, 404, 409]);
        assert_eq!(s.read("html/f"), b"f");
    });
}

#[test]
fn directives_shape_the_upload() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = setup(
        "location /store/ { allowed_methods GET POST; upload_store %%DIR%%/elsewhere; }
         location /alias/ { allowed_methods GET POST; upload_dir %%DIR%%/elsewhere; }
         location /off/ { upload_store off; }
         location /return/ { allowed_methods POST; upload_return 303 /thanks.html; }
         location /random/ { allowed_methods GET POST; upload_filename random; }
         location /create/ { allowed_methods POST; upload_create_path on; }
         location /access/ { allowed_methods POST; upload_store_access user:rw group:rw all:r; }
         location /serve/ { allowed_methods GET POST; upload_serve attachment; }
         location /inline/ { allowed_methods GET POST; upload_serve inline; }",
    )
    .mkdir("elsewhere")
    .mkdir("html/return")
    .mkdir("html/random")
    .mkdir("html/create")
    .mkdir("html/access")
    .mkdir("html/serve")
    .mkdir("html/inline")
    .start();
    let mut table = Table::new("upload directives");
    table.row(OURS, "upload_store", || {
        post_form(&s, "/store/", &form(&[file("a.txt", b"a")])).is(201);
        assert_eq!(s.read("elsewhere/a.txt"), b"a");
        assert!(!s.exists("html/store"));
    });
    table.row(OURS, "upload_dir is the same", || {
        post_form(&s, "/alias/", &form(&[file("b.txt", b"b")])).is(201);
        assert_eq!(s.read("elsewhere/b.txt"), b"b");
    });
    table.row(OURS, "upload_store off", || {
        s.method("POST", "/off/x", "", b"x").is(405);
    });
    table.row(OURS, "upload_return", || {
        let r = post_form(&s, "/return/", &form(&[file("a", b"a")]));
        r.is(303);
        assert_eq!(located(&r), "/thanks.html");
        assert_eq!(s.read("html/return/a"), b"a");
    });
    table.row(OURS, "upload_filename random keeps the extension", || {
        let r = post_form(&s, "/random/", &form(&[file("a.txt", b"a")]));
        r.is(201);
        let location = located(&r);
        assert!(
            location.starts_with("/random/") && location != "/random/a.txt" && location.ends_with(".txt"),
            "{location}"
        );
        s.get(&location).is(200).body_is("a");
    });
    table.row(OURS, "upload_create_path", || {
        s.method("POST", "/create/a/b/c.txt", "", b"deep").is(201);
        assert_eq!(s.read("html/create/a/b/c.txt"), b"deep");
    });
    table.row(OURS, "modes", || {
        use std::os::unix::fs::PermissionsExt;
        s.method("POST", "/access/f", "", b"x").is(201);
        s.method("POST", "/up/mode", "", b"x").is(201);
        let mode = |path: &str| s.path(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("html/access/f"), 0o664);
        assert_eq!(mode("html/up/mode"), 0o600);
    });
    table.row(OURS, "what could run in a browser is served as attachment", || {
        for name in ["x.html", "x.svg", "x.xml", "x.js"] {
            s.method("POST", &format!("/serve/{name}"), "", b"<script>").is(201);
            let r = s.get(&format!("/serve/{name}"));
            r.is(200).has("X-Content-Type-Options", "nosniff");
            assert!(r.header("Content-Disposition").is_some_and(|v| v.starts_with("attachment")), "{}", r.show());
        }
        s.method("POST", "/inline/x.html", "", b"<p>").is(201);
        s.get("/inline/x.html").is(200).lacks("Content-Disposition");
    });
    table.row(OURS, "the 201 lists by Accept", || {
        let ask = |name: &str, accept: &str| {
            s.method("POST", "/up/", &format!("{}Accept: {accept}\r\n", form_type()), &form(&[file(name, b"x")]))
        };
        let json = ask("l1.txt", "application/json");
        json.is(201).has("Content-Type", "application/json").contains("l1.txt");
        let html = ask("l2<b>.txt", "text/html,*/*;q=0.8");
        html.is(201).contains("l2&lt;b&gt;.txt");
        assert!(html.header("Content-Type").is_some_and(|v| v.starts_with("text/html")));
        let text = ask("l3.txt", "*/*");
        text.is(201).contains("l3.txt");
    });
    table.row(OURS, "a digest that fits", || {
        let digest = "Content-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n";
        s.method("POST", "/up/digest", digest, b"hello").is(201);
    });
    table.row(OURS, "a digest that does not fit stores nothing", || {
        let before = disk(&s);
        let digest = "Content-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n";
        s.method("POST", "/up/digest2", digest, b"hallo").is(400);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "a directory that may not be written", || {
        let s = setup("").mode("html/up", 0o555).unprivileged().start();
        s.method("POST", "/up/x", "", b"x").is(403);
        s.method("DELETE", "/up/old.txt", "", b"").is(403);
        assert_eq!(s.snapshot("html/up").len(), 1);
    });
    table.row(OURS, "OPTIONS says POST and DELETE", || {
        let r = s.method("OPTIONS", "/up/", "", b"");
        r.is_one_of(&[200, 204]);
        let allow = r.header("Allow").unwrap_or_default();
        assert!(allow.contains("POST") && allow.contains("DELETE"), "{allow}");
    });
}

//! Digests of what is uploaded (RFC 9530): in the head, in trailers, in the heads of parts, and those the client wants.

use super::resumable::{OCTETS, filename, patch, resumable, tus};
use super::*;
use sha2::{Digest as _, Sha256, Sha512};
use webserv::http::escape::to_base64;

fn coded(name: &str, digest: &[u8]) -> String {
    let mut out = Vec::new();
    to_base64(digest, &mut out);
    format!("{name}=:{}:", String::from_utf8(out).expect("base64 is ASCII"))
}

pub fn sha256(data: &[u8]) -> String {
    coded("sha-256", &Sha256::digest(data))
}

fn sha512(data: &[u8]) -> String {
    coded("sha-512", &Sha512::digest(data))
}

/// A chunked request: head fields, pieces of the body, trailers.
fn chunked(target: &str, fields: &str, body: &[u8], trailers: &str) -> Vec<u8> {
    let head =
        format!("POST {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{fields}\r\n");
    let mut bytes = head.into_bytes();
    for piece in body.chunks(100_000) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    bytes
}

#[test]
fn what_is_not_what_was_hashed_is_not_stored() {
    if skip_on_nginx("uploads") {
        return;
    }
    let block =
        "client_max_body_size 20m; location /a/ { allowed_methods GET POST PUT; upload_on_duplicate overwrite; }
         location /strict/ { allowed_methods POST PUT; upload_verify_digest require; upload_on_duplicate overwrite; }
         location /off/ { allowed_methods POST PUT; upload_verify_digest off; upload_on_duplicate overwrite; }
         location /dav/ { dav_methods PUT; }";
    let s = server(block).file("html/index.html", "index").mkdir("html/a").mkdir("html/strict");
    let s = running(s.mkdir("html/off").mkdir("html/dav"));
    let (good, bad) = (sha256(b"hello"), sha256(b"hallo"));
    let (good512, bad512) = (sha512(b"hello"), sha512(b"hallo"));
    let mut table = Table::new("digests");
    // In the head: the fields, and whether `hello` is stored with them.
    let heads: Vec<(&str, String, bool)> = vec![
        ("sha-256", format!("Content-Digest: {good}\r\n"), true),
        ("sha-512", format!("Content-Digest: {good512}\r\n"), true),
        ("Repr-Digest", format!("Repr-Digest: {good}\r\n"), true),
        ("both fields", format!("Repr-Digest: {good}\r\nContent-Digest: {good512}\r\n"), true),
        ("two in one field", format!("Content-Digest: {good}, {good512}\r\n"), true),
        ("two lines", format!("Content-Digest: {good}\r\nContent-Digest: {good512}\r\n"), true),
        ("with parameters and others", format!("Content-Digest: md5=:AAAA:, {good};x=\"a, b\"\r\n"), true),
        ("only algorithms that are no good", "Content-Digest: md5=:AAAA:, unixsum=7\r\n".into(), true),
        ("wrong", format!("Content-Digest: {bad}\r\n"), false),
        ("wrong, Repr-Digest", format!("Repr-Digest: {bad512}\r\n"), false),
        ("the second wrong", format!("Content-Digest: {good}, {bad512}\r\n"), false),
        ("the second line wrong", format!("Content-Digest: {good}\r\nContent-Digest: {bad512}\r\n"), false),
        ("one field wrong", format!("Content-Digest: {good}\r\nRepr-Digest: {bad}\r\n"), false),
        ("no byte sequence", format!("Content-Digest: {}\r\n", good.replace(':', "")), false),
        ("too short", "Content-Digest: sha-256=:AAAA:\r\n".into(), false),
        ("no base64", "Content-Digest: sha-256=:****:\r\n".into(), false),
        ("no dictionary", format!("Content-Digest: {good},,\r\n"), false),
        ("not closed", format!("Content-Digest: {}\r\n", good.trim_end_matches(':')), false),
    ];
    for (name, fields, stored) in &heads {
        table.row(OURS, &format!("in the head: {name}"), || {
            for (method, target) in [("POST", "/a/x"), ("PUT", "/a/x"), ("PUT", "/dav/x")] {
                let _ = std::fs::remove_file(s.path("html/a/x"));
                let _ = std::fs::remove_file(s.path("html/dav/x"));
                let before = disk(&s);
                let fields = format!("{fields}Accept: application/json\r\n");
                let r = s.method(method, target, &fields, b"hello");
                if *stored {
                    r.is(201);
                    assert_eq!(s.read(&format!("html{target}")), b"hello");
                } else {
                    r.is(400).has("Content-Type", "application/problem+json").contains("igest");
                    assert_eq!(before, disk(&s));
                }
            }
        });
    }
    table.row(OURS, "of a body that would be spliced", || {
        let big = noise(3_000_000);
        s.method("PUT", "/a/big", &format!("Content-Digest: {}\r\n", sha256(&big)), &big).is(201);
        assert!(s.read("html/a/big") == big);
        let before = disk(&s);
        s.method("PUT", "/a/big", &format!("Content-Digest: {}\r\n", sha256(&big[1..])), &big).is(400);
        assert!(before == disk(&s));
    });
    table.row(OURS, "of an empty body", || {
        s.method("PUT", "/a/empty", &format!("Content-Digest: {}\r\n", sha256(b"")), b"").is(201);
        s.method("PUT", "/a/empty2", &format!("Content-Digest: {good}\r\n"), b"").is(400);
        assert!(!s.exists("html/a/empty2"));
    });
    // In the trailers: what Trailer says, the trailers, and whether `hello` is stored.
    let announced = "Trailer: Content-Digest\r\n";
    let trailers: Vec<(&str, &str, String, bool)> = vec![
        ("announced", announced, format!("Content-Digest: {good}\r\n"), true),
        ("announced, sha-512", announced, format!("content-digest: {good512}\r\n"), true),
        ("announced among others", "Trailer: X-A, repr-digest\r\n", format!("Repr-Digest: {good}\r\n"), true),
        ("not announced", "", format!("Content-Digest: {good}\r\n"), true),
        ("wrong", announced, format!("Content-Digest: {bad}\r\n"), false),
        ("not announced and wrong", "", format!("Content-Digest: {bad512}\r\n"), false),
        ("one of two lines wrong", announced, format!("Content-Digest: {good}\r\nContent-Digest: {bad512}\r\n"), false),
        ("malformed", announced, "Content-Digest: sha-256=x\r\n".into(), false),
        ("announced and not sent", announced, "X-A: b\r\n".into(), true),
    ];
    for (name, fields, lines, stored) in &trailers {
        table.row(OURS, &format!("in the trailers: {name}"), || {
            let _ = std::fs::remove_file(s.path("html/a/t"));
            let before = disk(&s);
            let r = s.send(chunked("/a/t", fields, b"hello", lines));
            if *stored {
                r.is(201);
                assert_eq!(s.read("html/a/t"), b"hello");
            } else {
                r.is(400);
                assert_eq!(before, disk(&s));
            }
        });
    }
    table.row(OURS, "in the trailers of a large body", || {
        let big = noise(6_000_000);
        let line = format!("Content-Digest: {}\r\n", sha512(&big));
        s.send(chunked("/a/tbig", announced, &big, &line)).is(201);
        assert!(s.read("html/a/tbig") == big);
        let before = disk(&s);
        s.send(chunked("/a/tbig", announced, &big[1..], &line)).is(400);
        s.send(chunked("/a/tbig", "", &big, &line)).is(400).contains("Trailer");
        assert!(before == disk(&s));
    });
    table.row(OURS, "of a whole form, and of its parts", || {
        let body = form(&[file("f1", b"hello"), file("f2", b"world")]);
        let digest = |body: &[u8]| format!("{}Content-Digest: {}\r\n", form_type(), sha256(body));
        s.method("POST", "/a/", &digest(&body), &body).is(201);
        let before = disk(&s);
        s.method("POST", "/a/", &digest(&body[1..]), &body).is(400);
        let line = format!("Content-Digest: {}\r\n", sha256(&body));
        s.send(chunked("/a/", &format!("{}{announced}", form_type()), &body, &line)).is(200);
        let part = |digest: &str| {
            part("name=\"f\"; filename=\"f1\"", &format!("Content-Digest: {digest}\r\nContent-Type: a/b\r\n"), b"hello")
        };
        post_form(&s, "/a/", &form(&[part(&good), file("f2", b"world")])).is(200);
        post_form(&s, "/a/", &form(&[part(&bad), file("f2", b"other")])).is(400).contains("f1");
        post_form(&s, "/a/", &form(&[part("sha-256=x"), file("f2", b"other")])).is(400);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "required", || {
        let before = disk(&s);
        s.method("PUT", "/strict/x", "", b"hello").is(400).contains("upload_verify_digest require");
        s.method("PUT", "/strict/x", "Content-Digest: md5=:AAAA:\r\n", b"hello").is(400).contains("required");
        s.send(chunked("/strict/x", "", b"hello", "")).is(400).contains("required");
        assert_eq!(before, disk(&s));
        s.method("PUT", "/strict/x", &format!("Repr-Digest: {good}\r\n"), b"hello").is(201);
        s.send(chunked("/strict/x", "", b"hello", &format!("Content-Digest: {good}\r\n"))).is(200);
    });
    table.row(OURS, "required, in the heads of a form's parts", || {
        let own = |name: &str, line: &str| {
            part(&format!("name=\"f\"; filename=\"{name}\""), &format!("{line}Content-Type: a/b\r\n"), b"hello")
        };
        let (right, wrong) = (format!("Content-Digest: {good}\r\n"), format!("Repr-Digest: {bad}\r\n"));
        let before = disk(&s);
        post_form(&s, "/strict/", &form(&[own("p1", &right), own("p2", "")])).is(400).contains("p2");
        post_form(&s, "/strict/", &form(&[own("p1", &right), own("p2", &wrong)])).is(400);
        post_form(&s, "/strict/", &form(&[file("p1", b"hello")])).is(400).contains("required");
        assert_eq!(before, disk(&s));
        post_form(&s, "/strict/", &form(&[own("p1", &right), own("p2", &right)])).is(201);
        let body = form(&[file("p3", b"hello")]);
        let fields = format!("{}Content-Digest: {}\r\n", form_type(), sha256(&body));
        s.method("POST", "/strict/", &fields, &body).is(201);
    });
    table.row(OURS, "required, and refused before the body is asked for", || {
        let mut client = s.client();
        client.send("PUT /strict/y HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        client.response().is(400);
    });
    table.row(OURS, "off", || {
        s.method("PUT", "/off/x", &format!("Content-Digest: {bad}\r\n"), b"hello").is(201);
        s.method("PUT", "/off/x", "Content-Digest: ,,\r\n", b"hello").is(204);
        s.send(chunked("/off/y", announced, b"hello", &format!("Content-Digest: {bad}\r\n"))).is(201);
    });
}

#[test]
fn a_digest_that_is_wanted_is_answered() {
    if skip_on_nginx("uploads") {
        return;
    }
    let block = "location /a/ { allowed_methods GET POST PUT; upload_on_duplicate overwrite; }
         location /back/ { allowed_methods POST; upload_return 303 /thanks; }";
    let s = running(server(block).file("html/index.html", "index").mkdir("html/a").mkdir("html/back"));
    let mut table = Table::new("wanted digests");
    let (digest, digest512) = (sha256(b"hello"), sha512(b"hello"));
    let rows: &[(&str, &str, Option<&str>)] = &[
        ("sha-256", "Want-Repr-Digest: sha-256=1\r\n", Some(&digest)),
        ("the better liked", "Want-Repr-Digest: sha-256=3, sha-512=9\r\n", Some(&digest512)),
        ("as Want-Content-Digest", "Want-Content-Digest: sha-512=1\r\n", Some(&digest512)),
        ("not wanted", "Want-Repr-Digest: sha-256=0\r\n", None),
        ("unknown", "Want-Repr-Digest: md5=10\r\n", None),
        ("malformed", "Want-Repr-Digest: sha-256=1,\r\n", None),
        ("none", "", None),
    ];
    for (name, fields, expected) in rows {
        table.row(OURS, name, || {
            for (method, status) in [("PUT", 201), ("PUT", 204), ("POST", 200)] {
                let r = s.method(method, "/a/x", fields, b"hello");
                assert_eq!(r.is(status).header("Repr-Digest"), *expected, "{method}");
            }
            std::fs::remove_file(s.path("html/a/x")).expect("it was stored");
        });
    }
    table.row(OURS, "of a spliced, a chunked and an empty body", || {
        let (big, want) = (noise(1_000_000), "Want-Repr-Digest: sha-256=1\r\n");
        s.method("PUT", "/a/big", want, &big).is(201).has("Repr-Digest", &sha256(&big));
        s.send(chunked("/a/big", want, &big, "")).is(200).has("Repr-Digest", &sha256(&big));
        s.method("PUT", "/a/empty", want, b"").is(201).has("Repr-Digest", &sha256(b""));
    });
    table.row(OURS, "of the files of a form", || {
        let fields = format!("{}Want-Repr-Digest: sha-256=1\r\n", form_type());
        s.method("POST", "/a/", &fields, &form(&[file("one", b"hello")])).is(201).has("Repr-Digest", &digest);
        let fields = format!("{fields}Accept: application/json\r\n");
        let r = s.method("POST", "/a/", &fields, &form(&[file("f1", b"hello"), file("f2", b"")]));
        r.is(201).lacks("Repr-Digest").contains(&digest).contains(&sha256(b""));
    });
    table.row(OURS, "beside upload_return", || {
        s.method("POST", "/back/x", "Want-Repr-Digest: sha-256=1\r\n", b"hello").is(303).has("Repr-Digest", &digest);
    });
}

/// A client asks what a stored file hashes to, before it downloads or replaces it.
#[test]
fn get_and_head_tell_the_digest_that_is_wanted() {
    if skip_on_nginx("uploads") {
        return;
    }
    const HELLO: &str = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    const WANT: &str = "Want-Repr-Digest: sha-256=5\r\n";
    let block = "gzip on; gzip_min_length 1; gzip_types *; client_max_body_size 100m;
         location /a/ { allowed_methods GET POST PUT; }
         location /off/ { allowed_methods GET POST; upload_verify_digest off; }
         location /ssi/ { allowed_methods GET POST; ssi on; upload_execute on; }
         location /plain/ { }";
    let mut setup = server(block).file("html/index.html", "index");
    for dir in ["a", "off", "ssi", "plain"] {
        setup = setup.file(&format!("html/{dir}/hello.html"), "hello");
    }
    let s = running(setup);
    let mut table = Table::new("Want-Repr-Digest");
    table.row(OURS, "of the whole, for GET, HEAD and a range", || {
        for _ in 0..2 {
            s.get_with("/a/hello.html", WANT).is(200).has("Repr-Digest", HELLO).body_is("hello");
            s.method("HEAD", "/a/hello.html", WANT, b"").is(200).has("Repr-Digest", HELLO).has("Content-Length", "5");
            let r = s.get_with("/a/hello.html", &format!("{WANT}Range: bytes=1-2\r\n"));
            r.is(206).has("Repr-Digest", HELLO).body_is("el");
        }
        let r = s.get_with("/a/hello.html", "Want-Repr-Digest: md5=10, sha-512=3, sha-256=1\r\n");
        assert!(
            r.is(200).header("Repr-Digest").is_some_and(|value| value.starts_with("sha-512=:m3HSJL1i")),
            "{}",
            r.show()
        );
        s.get("/a/hello.html").is(200).lacks("Repr-Digest");
        s.get_with("/a/hello.html", "Want-Repr-Digest: sha-256=0\r\n").is(200).lacks("Repr-Digest");
        // It is of the bytes that are sent.
        let r = s.get_with("/a/hello.html", &format!("{WANT}Accept-Encoding: gzip\r\n"));
        r.is(200).has("Repr-Digest", HELLO).lacks("Content-Encoding").body_is("hello");
    });
    table.row(OURS, "of each version", || {
        s.method("PUT", "/a/version", "", b"hello").is(201);
        s.get_with("/a/version", WANT).is(200).has("Repr-Digest", HELLO);
        s.method("PUT", "/a/version", "", b"hallo").is_one_of(&[200, 204]);
        let r = s.get_with("/a/version", WANT);
        assert!(r.is(200).header("Repr-Digest").is_some_and(|value| value != HELLO), "{}", r.show());
    });
    table.row(OURS, "of a large file, while others are served", || {
        // Long even where the processor has instructions for it: 256 MiB of nothing, which take no room.
        let large = std::fs::File::create(s.path("html/a/large")).expect("created");
        large.set_len(256 << 20).expect("made long");
        let r = s.answers_others_during(
            "GET /a/large HTTP/1.1\r\nHost: a\r\nWant-Repr-Digest: sha-256=1\r\n\r\n",
            "/a/hello.html",
        );
        let value = r.is(200).header("Repr-Digest").expect("a digest").to_owned();
        s.get_with("/a/large", WANT).is(200).has("Repr-Digest", &value);
        let content = noise(4 << 20);
        s.write("html/a/noise", &content);
        let value = s.get_with("/a/noise", WANT).is(200).header("Repr-Digest").expect("a digest").to_owned();
        s.method("POST", "/a/again", &format!("Repr-Digest: {value}\r\n"), &content).is(201);
    });
    table.row(OURS, "no longer than its client waits", || {
        // Hours of work: 1 TiB of nothing.
        let endless = std::fs::File::create(s.path("html/a/endless")).expect("created");
        if endless.set_len(1 << 40).is_err() {
            return;
        }
        let mut client = s.client();
        client.send(b"HEAD /a/endless HTTP/1.1\r\nHost: a\r\nWant-Repr-Digest: sha-512=9\r\n\r\n");
        drop(client);
        s.await_file("logs/access.log", |text| {
            text.lines().any(|line| line.contains("/a/endless") && line.contains("\" 499 "))
        });
    });
    table.row(OURS, "only where files are uploaded and digests are verified, and of no page with commands", || {
        for target in ["/off/hello.html", "/plain/hello.html", "/ssi/hello.html"] {
            s.get_with(target, WANT).is(200).lacks("Repr-Digest").body_is("hello");
        }
    });
}

/// tus stored what its client said was something else.
#[test]
fn a_digest_of_the_whole_is_checked_in_tus_too() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("Repr-Digest in tus");
    let (good, bad) = (sha256(b"hello"), sha256(b"hallo"));
    for (digest, status, name) in [(&good, 204, "good"), (&bad, 400, "bad")] {
        table.row(OURS, name, || {
            let fields = |name: &str| format!("Upload-Length: 5\r\nRepr-Digest: {digest}\r\n{}", filename(name));
            let whole = format!("whole-{name}");
            let r = tus(&s, "POST", "/a/", &format!("{}{OCTETS}", fields(&whole)), b"hello");
            r.is(if status == 204 { 201 } else { status });
            let pieces = format!("pieces-{name}");
            let target = located(tus(&s, "POST", "/a/", &fields(&pieces), b"").is(201));
            patch(&s, &target, 0, b"hel").is(204);
            patch(&s, &target, 3, b"lo").is(status);
            let part = |bytes: &[u8]| {
                let head = format!("Upload-Concat: partial\r\nUpload-Length: {}\r\n{OCTETS}", bytes.len());
                located(tus(&s, "POST", "/a/", &head, bytes).is(201))
            };
            let (one, two, joined) = (part(b"he"), part(b"llo"), format!("joined-{name}"));
            let head = format!("Upload-Concat: final;{one} {two}\r\nRepr-Digest: {digest}\r\n{}", filename(&joined));
            tus(&s, "POST", "/a/", &head, b"").is(if status == 204 { 201 } else { status });
            for name in [whole, pieces, joined] {
                assert_eq!(s.exists(&format!("html/a/{name}")), status == 204, "{name}");
            }
        });
    }
    table.row(OURS, "malformed, and of a part", || {
        let head = format!("Upload-Length: 5\r\nRepr-Digest: sha-256=x\r\n{}", filename("x"));
        tus(&s, "POST", "/a/", &head, b"").is(400);
        let head = format!("Upload-Concat: partial\r\nUpload-Length: 5\r\nRepr-Digest: {good}\r\n");
        tus(&s, "POST", "/a/", &head, b"").is(400).contains("final");
    });
}

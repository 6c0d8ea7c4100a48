//! Resumable uploads by the IETF draft Resumable Uploads for HTTP.

use super::resumable::{area_of, resumable};
use super::resumable_parts::names;
use super::*;

const VERSION: &str = "Upload-Draft-Interop-Version: 8\r\n";
const PARTIAL: &str = "Content-Type: application/partial-upload\r\n";

/// Makes an upload and sends a first part of it; gives its target.
#[track_caller]
fn begin(s: &Server, target: &str, fields: &str, body: &[u8]) -> String {
    let r = s.method("POST", target, &format!("Upload-Complete: ?0\r\n{fields}"), body);
    r.is(201).has("Upload-Complete", "?0").has("Upload-Offset", &body.len().to_string());
    assert!(r.header("Upload-Limit").is_some());
    located(&r)
}

#[track_caller]
fn append(s: &Server, target: &str, offset: usize, complete: bool, body: &[u8]) -> Response {
    let flag = u8::from(complete);
    s.method("PATCH", target, &format!("{PARTIAL}Upload-Offset: {offset}\r\nUpload-Complete: ?{flag}\r\n"), body)
}

#[track_caller]
fn offset(s: &Server, target: &str) -> usize {
    let r = s.method("HEAD", target, "", b"");
    r.is(204).has("Cache-Control", "no-store").has("Upload-Complete", "?0");
    assert!(r.header("Upload-Limit").is_some());
    r.header("Upload-Offset").and_then(|text| text.parse().ok()).expect("an offset")
}

#[test]
fn the_draft_goes_on_where_it_stopped() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("the draft");
    table.row(OURS, "OPTIONS tells the limits", || {
        s.method("OPTIONS", "/a/", "", b"").is(204).has("Upload-Limit", "max-append-size=10485760, max-age=86400");
        let s = running(
            server(
                "client_max_body_size 0; location /a/ { allowed_methods POST; upload_resumable rufh; upload_resumable_max_age 0;
                   location /a/b/ { upload_max_file_size 5g; } }",
            )
            .file("html/index.html", ""),
        );
        s.method("OPTIONS", "/a/", "", b"").is(204).has("Upload-Limit", "min-size=0").lacks("Tus-Version");
        s.method("OPTIONS", "/a/b/", "", b"").is(204).has("Upload-Limit", "max-size=5368709120");
    });
    table.row(OURS, "all at once: 104 that names the upload, then the answer of a plain upload", || {
        let mut client = s.client();
        client.send(format!(
            "POST /a/whole.txt HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?1\r\n{VERSION}Content-Length: 5\r\n\r\n"
        ));
        let interim = client.response();
        interim
            .is(104)
            .has("Upload-Draft-Interop-Version", "8")
            .has("Upload-Limit", "max-append-size=10485760, max-age=86400");
        let target = located(&interim);
        client.send("hello");
        let r = client.response();
        r.is(201).has("Upload-Complete", "?1").contains("/a/whole.txt");
        assert_eq!(located(&r), "/a/whole.txt");
        let got = client.get("/a/whole.txt");
        got.is(200).body_is("hello");
        assert_eq!(got.header("ETag"), r.header("ETag"));
        let r = s.method("HEAD", &target, "", b"");
        r.is(204).has("Upload-Complete", "?1").has("Upload-Offset", "5").has("Upload-Length", "5");
    });
    table.row(OURS, "100-continue comes after the 104, not in its place", || {
        let mut client = s.client();
        client.send(format!(
            "PUT /a/expected.txt HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\n{VERSION}Content-Length: 5\r\n\
             Expect: 100-continue\r\n\r\n"
        ));
        client.response().is(104);
        client.response().is(100);
        client.send("hello").response().is(201);
    });
    table.row(OURS, "a 104 is only for who knows its version, and goes unsaid else", || {
        for version in ["", "Upload-Draft-Interop-Version: 2\r\n", "Upload-Draft-Interop-Version: x\r\n"] {
            let fields = format!("Upload-Complete: ?1\r\n{version}");
            s.method("PUT", "/a/plain.txt", &fields, b"plain").is_one_of(&[201, 204]);
            let target = begin(&s, "/a/", version, b"part");
            assert_eq!(offset(&s, &target), 4);
            s.method("DELETE", &target, "", b"").is(204);
        }
        let mut client = s.client();
        client.send(
            "POST /a/old.txt HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\nUpload-Draft-Interop-Version: 6\r\nContent-Length: 1\r\n\r\nx",
        );
        client.response().is(104).has("Upload-Draft-Interop-Version", "6");
        client.response().is(201);
        let r = s.send(format!("POST /a/1.0 HTTP/1.0\r\nUpload-Complete: ?1\r\n{VERSION}Content-Length: 1\r\n\r\nx"));
        r.is(201);
    });
    table.row(OURS, "fields of another type are ignored", || {
        for field in ["Upload-Complete: 1\r\n", "Upload-Complete: true\r\n", "Upload-Complete: ?2\r\n"] {
            s.method("PUT", "/a/ignored.txt", &format!("{VERSION}{field}"), b"x")
                .is_one_of(&[201, 204])
                .lacks("Upload-Offset");
        }
        let fields = format!("Upload-Complete: ?0\r\nUpload-Length: x\r\n{VERSION}");
        let mut client = s.client();
        client.send(request_bytes("POST", "/a/", &fields, b"abc"));
        client.response().is(104);
        let target = located(client.response().is(201));
        s.method("HEAD", &target, "", b"").is(204).lacks("Upload-Length");
        s.method("DELETE", &target, "", b"").is(204);
    });
    table.row(OURS, "in parts", || {
        let target = begin(&s, "/a/parts.txt", "Upload-Length: 10\r\n", b"012");
        let r = s.method("HEAD", &target, "", b"");
        r.is(204).has("Upload-Length", "10");
        let limit = r.header("Upload-Limit").unwrap_or_default();
        assert!(limit.starts_with("max-append-size=10485760, max-age=86"), "{limit}");
        append(&s, &target, 3, false, b"3456").is(204).has("Upload-Complete", "?0").has("Upload-Offset", "7");
        s.get(&target).is(204).has("Upload-Offset", "7");
        assert!(!s.exists("html/a/parts.txt"));
        let r = append(&s, &target, 7, true, b"789");
        r.is(201).has("Upload-Complete", "?1");
        assert_eq!(located(&r), "/a/parts.txt");
        assert_eq!(s.read("html/a/parts.txt"), b"0123456789");
        assert!(!s.exists("html/a/.webserv-upload-state"));
    });
    table.row(OURS, "nothing first, nothing last", || {
        let target = begin(&s, "/a/", "Content-Disposition: inline; filename=\"careful.txt\"\r\n", b"");
        append(&s, &target, 0, false, b"careful").is(204);
        append(&s, &target, 7, false, b"").is(204).has("Upload-Offset", "7");
        append(&s, &target, 7, true, b"").is(201);
        assert_eq!(s.read("html/a/careful.txt"), b"careful");
    });
    table.row(OURS, "PUT replaces, and answers so", || {
        s.write("html/a/put.txt", "old!");
        let r = s.method("PUT", "/a/put.txt", "Upload-Complete: ?0\r\n", b"ne");
        let target = located(r.is(201));
        s.get("/a/put.txt").is(200).body_is("old!");
        append(&s, &target, 2, true, b"w").is(204).has("Upload-Complete", "?1");
        s.get("/a/put.txt").is(200).body_is("new");
    });
    table.row(OURS, "the end is answered again when its answer was lost", || {
        let target = begin(&s, "/a/lost.txt", "", b"lo");
        append(&s, &target, 2, true, b"st").is(201);
        let r = append(&s, &target, 4, true, b"");
        r.is(201).has("Upload-Complete", "?1");
        assert_eq!(located(&r), "/a/lost.txt");
        let r = append(&s, &target, 4, true, b"x");
        r.is(400).has("Content-Type", "application/problem+json").contains("#completed-upload");
        assert_eq!(s.read("html/a/lost.txt"), b"lost");
    });
    table.row(OURS, "cancelled", || {
        let target = begin(&s, "/a/cancelled.txt", "", b"x");
        s.method("DELETE", &target, "", b"").is(204);
        s.method("HEAD", &target, "", b"").is(410);
        append(&s, &target, 1, false, b"x").is(410);
    });
    table.row(OURS, "offsets on the way", || {
        let s = running(area_of("client_max_body_size 0;"));
        let content = noise(40 << 20);
        let mut client = s.client();
        client.send(format!(
            "POST /a/way.bin HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\n{VERSION}Content-Length: {}\r\n\r\n",
            content.len()
        ));
        client.response().is(104);
        client.send(&content);
        let mut last = 0;
        let r = loop {
            let r = client.response();
            if r.status != 104 {
                break r;
            }
            r.lacks("Location");
            let offset: usize = r.header("Upload-Offset").and_then(|text| text.parse().ok()).expect("an offset");
            assert!(offset > last && offset <= content.len(), "{offset} after {last}");
            last = offset;
        };
        r.is(201);
        assert!(last > 0, "some offset was told");
        assert!(s.read("html/a/way.bin") == content);
    });
}

fn request_bytes(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    crate::harness::request(method, target, fields, body)
}

#[test]
fn the_draft_refuses_what_is_not_right() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_max_file_size 100; upload_extensions !.php;");
    s.write("html/a/taken.txt", "old!");
    let before = disk(&s);
    let mut table = Table::new("the draft, refused");
    let rows: &[(&str, &str, u16, String, &[u8], &str)] = &[
        (
            "a length that is not the content's",
            "/a/x",
            400,
            format!("{VERSION}Upload-Complete: ?1\r\nUpload-Length: 4\r\n"),
            b"abc",
            "#inconsistent-upload-length",
        ),
        (
            "more content than the length",
            "/a/x",
            400,
            "Upload-Complete: ?0\r\nUpload-Length: 2\r\n".into(),
            b"abc",
            "#inconsistent-upload-length",
        ),
        ("a name that is taken", "/a/taken.txt", 409, "Upload-Complete: ?0\r\n".into(), b"abc", "taken"),
        ("an extension that may not be", "/a/x.php", 415, "Upload-Complete: ?0\r\n".into(), b"abc", ""),
        ("a form in pieces", "/a/", 415, format!("Upload-Complete: ?0\r\n{}", form_type()), b"abc", ""),
        ("an encoded body", "/a/x", 415, "Upload-Complete: ?0\r\nContent-Encoding: gzip\r\n".into(), b"abc", ""),
        (
            "a digest that is none",
            "/a/x",
            400,
            "Upload-Complete: ?0\r\nContent-Digest: sha-256=x\r\n".into(),
            b"abc",
            "",
        ),
    ];
    for (what, target, status, fields, body, text) in rows {
        table.row(OURS, what, || {
            s.method("POST", target, fields, body).is(*status).contains(text);
            assert_eq!(before, disk(&s));
        });
    }
    table.row(OURS, "a file that is too large tells the limit", || {
        let r = s.method("POST", "/a/x", "Upload-Complete: ?0\r\nUpload-Length: 101\r\n", b"abc");
        r.is(413);
        assert!(r.header("Upload-Limit").is_some_and(|limit| limit.contains("max-size=100")), "{}", r.show());
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "requests that do not fit the upload", || {
        let target = begin(&s, "/a/fit.txt", "Upload-Length: 10\r\n", b"01234");
        for given in [4, 6] {
            let r = append(&s, &target, given, false, b"x");
            r.is(409)
                .has("Upload-Offset", "5")
                .has("Upload-Complete", "?0")
                .has("Content-Type", "application/problem+json");
            r.contains("https://iana.org/assignments/http-problem-types#mismatching-upload-offset");
            r.contains("\"expected-offset\":5").contains(&format!("\"provided-offset\":{given}"));
        }
        let with = |fields: &str, body: &[u8]| s.method("PATCH", &target, fields, body);
        with("Upload-Offset: 5\r\nUpload-Complete: ?0\r\n", b"5")
            .is(415)
            .has("Accept-Patch", "application/partial-upload");
        with(&format!("{PARTIAL}Upload-Complete: ?0\r\n"), b"5").is(400);
        with(&format!("{PARTIAL}Upload-Offset: 5\r\n"), b"5").is(400);
        for bad in [
            "Upload-Offset: 5\r\nUpload-Complete: ?0\r\nUpload-Length: 11\r\n",
            "Upload-Offset: 5\r\nUpload-Complete: ?1\r\n",
            "Upload-Offset: 5\r\nUpload-Complete: ?0\r\nContent-Length: 6\r\n",
        ] {
            let body: &[u8] = if bad.contains("Content-Length") { b"567890" } else { b"5" };
            with(&format!("{PARTIAL}{bad}"), body).is(400).contains("#inconsistent-upload-length");
        }
        assert_eq!(offset(&s, &target), 5);
        append(&s, &target, 5, true, b"56789").is(201);
        assert_eq!(s.read("html/a/fit.txt"), b"0123456789");
        std::fs::remove_file(s.path("html/a/fit.txt")).expect("it is there");
    });
    table.row(OURS, "content that turns out longer than the length ends the upload", || {
        let target = begin(&s, "/a/over.txt", "Upload-Length: 4\r\n", b"01");
        let fields = format!("{PARTIAL}Upload-Offset: 2\r\nUpload-Complete: ?1\r\nTransfer-Encoding: chunked\r\n");
        s.method("PATCH", &target, &fields, b"3\r\n234\r\n0\r\n\r\n").is(400).contains("#inconsistent-upload-length");
        s.method("HEAD", &target, "", b"").is(410);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "content that turns out shorter does not", || {
        let target = begin(&s, "/a/under.txt", "Upload-Length: 4\r\n", b"01");
        let fields = format!("{PARTIAL}Upload-Offset: 2\r\nUpload-Complete: ?1\r\nTransfer-Encoding: chunked\r\n");
        s.method("PATCH", &target, &fields, b"1\r\n2\r\n0\r\n\r\n").is(400).contains("#inconsistent-upload-length");
        assert_eq!(offset(&s, &target), 3);
        append(&s, &target, 3, true, b"3").is(201);
        assert_eq!(s.read("html/a/under.txt"), b"0123");
        std::fs::remove_file(s.path("html/a/under.txt")).expect("it is there");
    });
    table.row(OURS, "an upload that is not there", || {
        let target = "/a/?webserv-upload=0123456789abcdef0123456789abcdef";
        s.method("HEAD", target, "", b"").is(404).lacks("Upload-Offset");
        append(&s, target, 0, true, b"x").is(404);
        s.method("DELETE", target, "", b"").is(404);
        // PATCH of a file is no upload.
        append(&s, "/a/taken.txt", 0, true, b"x").is(405);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "one protocol alone", || {
        for (speaks, is_rufh) in [("tus", false), ("rufh", true)] {
            let s = running(
                server(&format!("location /a/ {{ allowed_methods POST; upload_resumable {speaks}; }}"))
                    .file("html/index.html", "")
                    .mkdir("html/a"),
            );
            let r = s.method("POST", "/a/r", "Upload-Complete: ?0\r\n", b"x");
            assert_eq!(r.is(201).header("Upload-Complete").is_some(), is_rufh);
            let r = s.method("POST", "/a/t", "Tus-Resumable: 1.0.0\r\nUpload-Length: 1\r\n", b"");
            assert_eq!(r.is(201).header("Tus-Resumable").is_some(), !is_rufh);
        }
    });
}

#[test]
fn digests_of_a_part_and_of_the_whole_are_compared() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let before = disk(&s);
    // Of `hello`, and of `hellohello`.
    let hello = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    let twice = "sha-256=:CoYFD7N6Te82iF2pVX9bIqnhkXZ6gOekokFUEKRGK2g=:";
    let mut table = Table::new("digests of the draft");
    table.row(OURS, "in trailers, of a part and of the whole", || {
        let late = |target: &str, fields: &str, trailers: &str, body: &str| {
            let head = format!(
                "PATCH {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{PARTIAL}{fields}Transfer-Encoding: chunked\r\n"
            );
            s.send(format!("{head}\r\n5\r\n{body}\r\n0\r\n{trailers}\r\n"))
        };
        let announced = "Trailer: Content-Digest\r\n";
        let part = format!("Content-Digest: {hello}\r\n");
        let target = begin(&s, "/a/late.txt", "", b"");
        let first = "Upload-Offset: 0\r\nUpload-Complete: ?0\r\n";
        late(&target, &format!("{first}{announced}"), &part, "jello").is(400);
        assert_eq!(offset(&s, &target), 0, "taken back");
        // One that nothing announced cannot be compared any more.
        late(&target, first, &part, "hello").is(400);
        late(&target, &format!("{first}{announced}"), "Content-Digest: sha-256=x\r\n", "hello").is(400);
        assert_eq!(offset(&s, &target), 0);
        late(&target, &format!("{first}{announced}"), &part, "hello").is(204);
        assert_eq!(offset(&s, &target), 5);
        let last = "Upload-Offset: 5\r\nUpload-Complete: ?1\r\n";
        late(&target, last, "Repr-Digest: sha-256=x\r\n", "hello").is(400);
        let last = "Upload-Offset: 10\r\nUpload-Complete: ?1\r\n";
        assert_eq!(offset(&s, &target), 10, "the content is right, what was said of the whole is nothing");
        s.method("PATCH", &target, &format!("{PARTIAL}{last}Repr-Digest: {twice}\r\n"), b"").is(201);
        assert_eq!(s.read("html/a/late.txt"), b"hellohello");
        for (name, digest, status) in [("late2", &twice, 201), ("late3", &hello, 400)] {
            let target = begin(&s, &format!("/a/{name}"), "", b"hello");
            let last = "Upload-Offset: 5\r\nUpload-Complete: ?1\r\n";
            late(&target, last, &format!("Repr-Digest: {digest}\r\n"), "hello").is(status);
            assert_eq!(s.exists(&format!("html/a/{name}")), status == 201);
        }
        for name in ["late.txt", "late2"] {
            std::fs::remove_file(s.path("html/a").join(name)).expect("it was stored");
        }
    });
    let last = |target: &str, fields: &str, body: &[u8]| {
        let fields = format!("{PARTIAL}Upload-Complete: ?1\r\nUpload-Offset: 5\r\n{fields}");
        s.method("PATCH", target, &fields, body)
    };
    table.row(OURS, "of a part", || {
        let target = begin(&s, "/a/part.txt", &format!("Content-Digest: {hello}\r\n"), b"hello");
        last(&target, &format!("Content-Digest: {hello}\r\n"), b"jello").is(400);
        assert_eq!(offset(&s, &target), 5);
        last(&target, &format!("Content-Digest: {hello}\r\n"), b"hello").is(201);
        std::fs::remove_file(s.path("html/a/part.txt")).expect("it is there");
    });
    table.row(OURS, "of the whole, in two parts", || {
        let target = begin(&s, "/a/whole.txt", &format!("Repr-Digest: {twice}\r\n"), b"hello");
        last(&target, "", b"jello").is(400).has("Upload-Complete", "?1");
        s.method("HEAD", &target, "", b"").is(410);
        assert_eq!(before, disk(&s));
        let target = begin(&s, "/a/whole.txt", &format!("Repr-Digest: {twice}\r\n"), b"hello");
        last(&target, "", b"hello").is(201);
        std::fs::remove_file(s.path("html/a/whole.txt")).expect("it is there");
    });
    table.row(OURS, "of the whole, at once", || {
        let send = |digest: &str| {
            let mut client = s.client();
            let fields = format!("{VERSION}Upload-Complete: ?1\r\nRepr-Digest: {digest}\r\n");
            client.send(request_bytes("POST", "/a/once.txt", &fields, b"hello"));
            client.response().is(104);
            client.response()
        };
        send(twice).is(400).has("Upload-Complete", "?1");
        assert_eq!(before, disk(&s));
        send(hello).is(201);
        assert_eq!(s.read("html/a/once.txt"), b"hello");
    });
}

/// Interop versions 3 to 8 from the first request to the last, by their own words.
#[test]
fn each_version_of_the_draft_is_spoken() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("interop versions");
    for version in 3..=8 {
        table.row(OURS, &format!("version {version}"), || {
            let complete = |is: bool| match version {
                3 => format!("Upload-Incomplete: ?{}\r\n", u8::from(!is)),
                _ => format!("Upload-Complete: ?{}\r\n", u8::from(is)),
            };
            let version_line = format!("Upload-Draft-Interop-Version: {version}\r\n");
            let name = format!("/a/v{version}.txt");
            let mut client = s.client();
            // All at once, and cut: the 104 says where it goes on.
            let head = format!(
                "POST {name} HTTP/1.1\r\nHost: a\r\n{version_line}{}Content-Length: 10\r\n\r\nhello",
                complete(true)
            );
            client.send(head);
            let interim = client.response();
            interim.is(104).has("Upload-Draft-Interop-Version", &version.to_string());
            let target = located(&interim);
            drop(client);
            let offset = eventually_offset(&s, &target, &version_line, 5);
            offset.is(204).has("Upload-Complete", "?0");
            if version == 3 {
                offset.has("Upload-Incomplete", "?1");
            }
            let kind = if version >= 6 { PARTIAL } else { "" };
            let fields = format!("{version_line}{kind}Upload-Offset: 5\r\n{}", complete(true));
            let r = s.method("PATCH", &target, &fields, b"world");
            r.is(201).has("Upload-Complete", "?1");
            assert_eq!(s.read(&format!("html{name}")), b"helloworld");
            if version == 3 {
                r.has("Upload-Incomplete", "?0");
            }
        });
    }
}

/// HEAD, as soon as all bytes that were sent are there.
fn eventually_offset(s: &Server, target: &str, fields: &str, expected: usize) -> Response {
    let mut last = None;
    eventually("all bytes are there", || {
        let r = s.method("HEAD", target, fields, b"");
        let there = r.header("Upload-Offset") == Some(expected.to_string().as_str());
        last = Some(r);
        there
    });
    last.expect("it was asked")
}

/// The length that a client declares is the end, also for clients that never say `Upload-Complete: ?1`.
#[test]
fn the_declared_length_completes_an_upload() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("declared length");
    table.row(OURS, "with the creation", || {
        let r = s.method("POST", "/a/one.txt", "Upload-Complete: ?0\r\nUpload-Length: 3\r\n", b"abc");
        r.is(201).has("Upload-Complete", "?1").has("Upload-Offset", "3");
        assert_eq!(s.read("html/a/one.txt"), b"abc");
        let r = s.method("POST", "/a/none.txt", "Upload-Complete: ?0\r\nUpload-Length: 0\r\n", b"");
        r.is(201).has("Upload-Complete", "?1");
        assert_eq!(s.read("html/a/none.txt"), b"");
    });
    table.row(OURS, "with the last part, and a last empty one is no error", || {
        let target = begin(&s, "/a/two.txt", "Upload-Length: 6\r\n", b"abc");
        append(&s, &target, 3, false, b"def").is(201).has("Upload-Complete", "?1").has("Upload-Offset", "6");
        assert_eq!(s.read("html/a/two.txt"), b"abcdef");
        append(&s, &target, 6, true, b"").is(201).has("Upload-Complete", "?1");
        s.method("HEAD", &target, "", b"").is(204).has("Upload-Complete", "?1").has("Upload-Offset", "6");
    });
    table.row(OURS, "chunked, and the digest of the whole is compared all the same", || {
        let chunked = |s: &Server, target: &str| {
            let mut client = s.client();
            client.send(format!(
                "PATCH {target} HTTP/1.1\r\nHost: a\r\n{PARTIAL}Upload-Offset: 3\r\nUpload-Complete: ?0\r\n\
                 Transfer-Encoding: chunked\r\n\r\n2\r\nlo\r\n0\r\n\r\n"
            ));
            client.response()
        };
        let digest = "Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\nUpload-Length: 5\r\n";
        let target = begin(&s, "/a/right.txt", digest, b"hel");
        chunked(&s, &target).is(201).has("Upload-Complete", "?1");
        assert_eq!(s.read("html/a/right.txt"), b"hello");
        let target = begin(&s, "/a/wrong.txt", digest, b"hal");
        chunked(&s, &target).is(400);
        assert!(!s.exists("html/a/wrong.txt"));
    });
    table.row(OURS, "asked for after a server died before it named the file", || {
        let mut s = running(area_of("").restartable());
        let target = begin(&s, "/a/died.txt", "Upload-Length: 6\r\n", b"abc");
        let home = "html/a/.webserv-upload-state";
        let part = names(&s, home).into_iter().find(|name| name.ends_with(".part")).expect("its bytes");
        // As a server leaves it that dies between the last byte and the name.
        s.write(&format!("{home}/{part}"), b"abcdef");
        s.kill_and_restart();
        s.method("HEAD", &target, "", b"").is(204).has("Upload-Complete", "?1").has("Upload-Offset", "6");
        assert_eq!(s.read("html/a/died.txt"), b"abcdef");
    });
}

#[test]
fn a_put_of_dav_methods_may_be_resumable() {
    if skip_on_nginx("uploads") {
        return;
    }
    let locations = "location /a/ { dav_methods PUT DELETE; upload_resumable on; }
                     location /locked/ { dav_methods PUT; dav_ext_methods PROPFIND LOCK UNLOCK; dav_ext_lock zone=z; upload_resumable on; }";
    let block = format!(
        "dav_ext_lock_zone zone=z:1m;
         server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html; {locations} }}"
    );
    let s = running(http(&block).file("html/index.html", "").mkdir("html/a").mkdir("html/locked"));
    let mut client = s.client();
    client.send(format!(
        "PUT /a/x.txt HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\n{VERSION}Content-Length: 10\r\n\r\nhello"
    ));
    let target = located(client.response().is(104));
    drop(client);
    eventually_offset(&s, &target, VERSION, 5);
    append(&s, &target, 5, true, b"world").is(201);
    assert_eq!(s.read("html/a/x.txt"), b"helloworld");
    let body = r#"<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>"#;
    s.method("LOCK", "/locked/y.txt", "Depth: 0\r\n", body.as_bytes()).is_one_of(&[200, 201]);
    s.method("PUT", "/locked/y.txt", "Upload-Complete: ?0\r\n", b"part").is(423);
    s.method("PUT", "/a/dir/", "Upload-Complete: ?0\r\n", b"part").is(409);
}

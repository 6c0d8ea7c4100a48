//! What the IETF draft's uploads are refused for: lengths and offsets that do not fit, digests that are not the
//! content's.

use super::resumable::resumable;
use super::resumable_draft::{PARTIAL, VERSION, append, begin, offset, request_bytes};
use super::*;

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

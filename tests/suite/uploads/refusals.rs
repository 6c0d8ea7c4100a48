//! What is refused: broken forms, limits. Nothing may be written anywhere.

use super::*;

#[test]
fn bad_forms_store_nothing() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(setup(""));
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

/// The upload is refused with one of `statuses`, nothing is written, and the server lives on.
fn refused(s: &Server, statuses: &[u16], bytes: &[u8]) {
    let before = disk(s);
    let mut client = s.client();
    client.try_send(bytes);
    client.response().is_one_of(statuses);
    assert_eq!(before, disk(s));
    s.get("/").is(200);
}

fn raw(name: &str, fields: &str, length: usize) -> Vec<u8> {
    crate::harness::request("POST", &format!("/a/{name}"), fields, &noise(length))
}

fn whole(parts: &[Vec<u8>]) -> Vec<u8> {
    crate::harness::request("POST", "/a/", &form_type(), &form(parts))
}

#[test]
fn limits_refuse_early_and_leave_nothing() {
    if skip_on_nginx("uploads") {
        return;
    }
    let chunked = [
        b"POST /a/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        [&b"1f4\r\n"[..], &noise(500), b"\r\n"].concat().repeat(3),
        b"0\r\n\r\n".to_vec(),
    ]
    .concat();
    let typed = |mime: &str| whole(&[part("name=\"f\"; filename=\"x\"", &format!("Content-Type: {mime}\r\n"), b"x")]);
    let (small, ext, noext) =
        ("client_max_body_size 1000;", "upload_extensions .jpg .png;", "upload_extensions !.php !.phtml;");
    let types = "upload_types image/png image/gif;";
    let large = "upload_max_file_size 1m; client_max_body_size 2m;";
    let ten = file("ten", b"0123456789");
    let untyped = part("name=\"f\"; filename=\"x\"", "", b"x");
    let rows: Vec<(&str, &str, &[u16], Vec<u8>)> = vec![
        ("the body, just the limit", small, &[201], raw("x", "", 1000)),
        ("the body, by Content-Length", small, &[413], raw("x", "", 1001)),
        ("the body, by far", small, &[413], raw("x", "", 3_000_000)),
        ("the body, chunked", small, &[413], chunked),
        ("files within their limit", "upload_max_file_size 10;", &[201], whole(&[ten.clone(), file("x", b"")])),
        ("a file of a form", "upload_max_file_size 10;", &[413], whole(&[ten, file("x", b"0123456789a")])),
        ("a raw file, just its limit", "upload_max_file_size 10;", &[201], raw("x", "", 10)),
        ("a raw file", "upload_max_file_size 10;", &[413], raw("x", "", 11)),
        ("a large one, just its limit", large, &[201], raw("x", "", 1 << 20)),
        ("a large one", large, &[413], raw("x", "", (1 << 20) + 1)),
        ("neither a body nor a name", "", &[400], b"POST /a/ HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("as many files as allowed", "upload_max_files 2;", &[201], whole(&[file("a", b"1"), file("b", b"2")])),
        ("too many files", "upload_max_files 1;", &[413, 400], whole(&[file("a", b"1"), file("b", b"2")])),
        (
            "21 files where 20 is the default",
            "",
            &[413, 400],
            whole(&(0..21).map(|i| file(&format!("f{i}"), b"")).collect::<Vec<_>>()),
        ),
        ("a listed type", types, &[201], raw("x", "Content-Type: image/png\r\n", 5)),
        ("a type that is not listed", types, &[415], raw("x", "Content-Type: text/plain\r\n", 5)),
        ("a part without a type is text", "upload_types text/plain;", &[201], whole(std::slice::from_ref(&untyped))),
        ("a part without a type is no image", types, &[415], whole(&[untyped])),
        ("a part's type that is listed", types, &[201], typed("image/gif")),
        ("a part's type that is not listed", types, &[415], typed("text/html")),
        ("a listed extension in capitals", ext, &[201], raw("x.JPG", "", 5)),
        ("an extension that is not listed", ext, &[415], whole(&[file("x.exe", b"x")])),
        ("an extension alone is a name", ext, &[415], whole(&[file("jpg", b"x")])),
        ("an extension that is not excluded", noext, &[201], raw("x.txt", "", 5)),
        ("an excluded extension", noext, &[415], whole(&[file("x.php", b"x")])),
        ("an excluded extension in capitals", noext, &[415], whole(&[file("x.PHP", b"x")])),
        ("an excluded extension, raw", noext, &[415], raw("x.phtml", "", 5)),
        ("a denied client", "deny all;", &[403], raw("x", "", 5)),
        ("a method that is taken back", "limit_except GET { deny all; }", &[403], raw("x", "", 5)),
    ];
    let mut t = Table::new("upload limits");
    for (name, settings, statuses, bytes) in &rows {
        t.row(OURS, name, || {
            let s = area(settings);
            if statuses.contains(&201) {
                s.send(bytes).is(201);
            } else {
                refused(&s, statuses, bytes);
            }
        });
    }
    t.row(OURS, "a method that is not allowed", || {
        let s = running(setup("").mkdir("html/plain"));
        refused(&s, &[404], &crate::harness::request("POST", "/plain/x", "", b"x"));
    });
    for (name, settings, length, status) in [("too large", small, 5000, 413), ("denied", "deny all;", 5, 403)] {
        t.row(OURS, &format!("Expect is answered with the refusal, {name}"), || {
            let s = area(settings);
            let mut client = s.client();
            client.send(format!(
                "POST /a/y HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
            ));
            client.response().is(status);
        });
    }
    t.row(OURS, "a refused 20 MB upload still reads its 413", || {
        let s = area(small);
        let mut client = s.client();
        client.send(b"POST /a/z HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n");
        let block = noise(1 << 16);
        for _ in 0..305 {
            if !client.try_send(&block) {
                break;
            }
        }
        client.response().is(413);
    });
}

#[test]
fn broken_chunks_store_nothing() {
    if skip_on_nginx("uploads") || skip_on_http2("it has no chunks") {
        return;
    }
    let s = area("upload_on_duplicate overwrite;");
    let rows: &[(&str, &str)] = &[
        ("plus sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("no digit", "g\r\nhello\r\n0\r\n\r\n"),
        ("an empty size", "\r\nhello\r\n0\r\n\r\n"),
        ("2^64 + 5", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("more data than the size", "5\r\nhelloworld\r\n0\r\n\r\n"),
        ("no CRLF behind the data", "5\r\nhello0\r\n\r\n"),
        ("a CR alone behind the data", "5\r\nhello\r0\r\n\r\n"),
        ("a CR alone behind the size", "5\rX\nhello\r\n0\r\n\r\n"),
        ("a NUL in an extension", "5;a\0\r\nhello\r\n0\r\n\r\n"),
        ("a request as trailer", "5\r\nhello\r\n0\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("the fault in a later chunk", "5\r\nhello\r\n5\r\nhello\r\nx\r\n"),
    ];
    let mut table = Table::new("broken chunks");
    for (name, body) in rows {
        table.row(OURS, name, || {
            let before = disk(&s);
            let mut client = s.client();
            client.send(format!("POST /a/f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
            let r = client.response();
            r.is(400);
            assert!(client.rest().is_empty(), "a message whose end is unknown ends the connection");
            assert_eq!(before, disk(&s));
        });
    }
}

#[test]
fn a_form_that_is_put_is_the_files_own_content() {
    if skip_on_nginx("allowed_methods") {
        return;
    }
    let s =
        running(server("location /a/ { allowed_methods GET PUT; }").file("html/index.html", "index").mkdir("html/a"));
    let body = form(&[file("x", b"1")]);
    s.method("PUT", "/a/form.txt", &form_type(), &body).is(201);
    assert_eq!(s.read("html/a/form.txt"), body);
}

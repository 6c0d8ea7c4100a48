//! What is refused: hostile names, broken forms, limits. Nothing may be written anywhere.

use super::*;

#[test]
fn hostile_names_write_nothing() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(setup("").mkdir("html/up/sub"));
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
    table.row(OURS, "an extended name that cannot be decoded is no name", || {
        for parameter in ["filename*=UTF-8''ev%c0%afil", "filename*=UTF-8''ev%2", "filename*=''", "filename*=x"] {
            let before = disk(&s);
            let r = post_form(&s, "/up/", &form(&[part(&format!("name=\"f\"; {parameter}"), "", b"evil")]));
            assert!(r.status < 500, "{}", r.show());
            assert_eq!(before, disk(&s));
        }
    });
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

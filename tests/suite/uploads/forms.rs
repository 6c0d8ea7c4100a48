//! multipart/form-data as browsers and others send it.

use super::*;

#[test]
fn a_form_stores_its_files() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(setup(""));
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
    ];
    table.row(OURS, "a name of 255 bytes, the longest there is", || {
        let name = "n".repeat(255);
        post_form(&s, "/up/", &form(&[file(&name, b"long")])).is(201);
        assert_eq!(s.read(&format!("html/up/{name}")), b"long");
    });
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
fn a_folder_chosen_in_a_browser_keeps_its_paths() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(server(
        "location /up/ { allowed_methods GET POST; upload_create_path on; }
         location /up/photos/private/ { allowed_methods GET; }
         location /flat/ { allowed_methods GET POST; }
         location /more/ { allowed_methods GET POST; upload_create_path on; upload_on_duplicate rename; upload_sync on; }
         location /sync/ { allowed_methods GET POST PUT; upload_create_path on; upload_sync on; }",
    )
    .file("html/index.html", "index")
    .mkdir("html/up")
    .mkdir("html/more/there")
    .mkdir("html/sync")
    .mkdir("html/flat"));
    let r = post_form(
        &s,
        "/up/",
        &form(&[file("photos/a.txt", b"1"), file("photos/2024/b c?.txt", b"2"), file("c", b"3")]),
    );
    r.is(201);
    assert!(r.text().contains("/up/photos/2024/b%20c%3F.txt"), "{}", r.text());
    assert_eq!(s.read("html/up/photos/2024/b c?.txt"), b"2");
    assert_eq!(s.read("html/up/c"), b"3");
    // One file of a form that may not be keeps all of it out, and leaves no folder behind.
    let before = disk(&s);
    for (name, status) in [
        ("new/../../x", 400),
        ("../x", 400),
        ("/etc/x", 400),
        ("new//x", 400),
        ("new/.git/x", 400),
        ("new/", 400),
        ("photos/private/x", 403),
        ("c/x", 409),
        ("photos/a.txt", 409),
    ] {
        post_form(&s, "/up/", &form(&[file("new/first", b"1"), file(name, b"2")])).is(status);
        assert_eq!(before, disk(&s), "{name}");
    }
    // Nor beside another upload, which may be about to store in one of them: here the folders outlive a turn of the
    // loop.
    let mut other = s.client();
    other.send("PUT /sync/slow HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    other.response().is(100);
    let before = disk(&s);
    for _ in 0..2 {
        let twice = [file("z/0/1/f", b""), file("s/f", b"1"), file("s/f", b"2")];
        post_form(&s, "/sync/", &form(&twice)).is(409);
        assert_eq!(before, disk(&s));
    }
    other.send("abc");
    other.response().is(201);
    post_form(&s, "/flat/", &form(&[file("a/b", b"1")])).is(400);
    for stored in ["/more/there/x/a.txt", "/more/there/x/a-1.txt"] {
        assert_eq!(located(post_form(&s, "/more/there/", &form(&[file("x/a.txt", b"1")])).is(201)), stored);
    }
    let fields = "Content-Disposition: attachment; filename=\"raw/deep/r.txt\"\r\nContent-Type: text/plain\r\n";
    assert_eq!(located(s.method("POST", "/more/", fields, b"raw").is(201)), "/more/raw/deep/r.txt");
    assert_eq!(s.read("html/more/raw/deep/r.txt"), b"raw");
}

/// Each file is searched for by itself: the effort that patterns may take is not the whole form's.
#[test]
fn a_form_of_many_files_at_a_long_address_is_stored() {
    if skip_on_nginx("it stores no forms") {
        return;
    }
    let dir = ["d"; 8].map(|name| name.repeat(240)).join("/");
    let mut s = server(
        r"location /up/ { allowed_methods GET POST; upload_max_files 0; }
          location ~ ^/up/[a-z]+_(?!x)[0-9]+_secret { deny all; }
          location ~* \.(php|phtml)$ { deny all; }",
    )
    .mkdir(&format!("html/up/{dir}"))
    .start();
    let files: Vec<Vec<u8>> = (0..300).map(|n| file(&format!("{n:04}-{}.txt", "n".repeat(150)), b"x")).collect();
    post_form(&s, &format!("/up/{dir}/"), &form(&files)).is(201);
    s.stop();
}

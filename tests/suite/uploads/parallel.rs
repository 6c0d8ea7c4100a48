//! Many uploads of one name at the same moment, and readers of a file that is replaced or deleted under them.

use super::*;

const CLIENTS: usize = 50;

fn content(n: usize) -> Vec<u8> {
    let mut content = format!("client {n:02}\n").into_bytes();
    content.extend_from_slice(&noise(5000 + n));
    content
}

/// Fifty uploads of one name, all complete but for their last byte; then all of the last bytes. The answers.
fn race(s: &Server, request: impl Fn(usize) -> Vec<u8>) -> Vec<Response> {
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| s.client()).collect();
    let requests: Vec<Vec<u8>> = (0..CLIENTS).map(request).collect();
    for (client, bytes) in clients.iter_mut().zip(&requests) {
        client.send(&bytes[..bytes.len() - 1]);
    }
    // Every upload is under way: this one was accepted behind them all.
    s.get("/").is(200);
    for (client, bytes) in clients.iter_mut().zip(&requests) {
        client.send(&bytes[bytes.len() - 1..]);
    }
    clients.iter_mut().map(Client::response).collect()
}

fn raw(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn chunked(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{fields}\r\n");
    [head.as_bytes(), format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

#[test]
fn of_fifty_create_only_uploads_exactly_one_is_stored() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(
        server(
            "client_max_body_size 10m;
             location /up/ { allowed_methods GET POST PUT; }
             location /over/ { allowed_methods GET POST PUT; upload_on_duplicate overwrite; }
             location /rename/ { allowed_methods GET POST; upload_on_duplicate rename; }",
        )
        .file("html/index.html", "index")
        .mkdir("html/up")
        .mkdir("html/over")
        .mkdir("html/rename"),
    );
    let star = "If-None-Match: *\r\n";
    let multi = |target: &str, fields: &str, name: &str, n: usize| {
        raw("POST", target, &format!("{}{fields}", form_type()), &form(&[file(name, &content(n))]))
    };
    let mut table = Table::new("fifty at once");
    let rows: &[(&str, &str, u16, &dyn Fn(&str, usize) -> Vec<u8>)] = &[
        ("PUT, If-None-Match: *", "/up/", 412, &|to, n| raw("PUT", &format!("{to}x"), star, &content(n))),
        ("chunked PUT, If-None-Match: *", "/up/", 412, &|to, n| chunked("PUT", &format!("{to}x"), star, &content(n))),
        ("POST, If-None-Match: *", "/up/", 412, &|to, n| raw("POST", &format!("{to}x"), star, &content(n))),
        ("POST where it may overwrite, If-None-Match: *", "/over/", 412, &|to, n| {
            raw("POST", &format!("{to}x"), star, &content(n))
        }),
        ("a form, If-None-Match: *", "/over/", 412, &|to, n| multi(to, star, "x", n)),
        ("POST", "/up/", 409, &|to, n| raw("POST", &format!("{to}x"), "", &content(n))),
        ("chunked POST", "/up/", 409, &|to, n| chunked("POST", &format!("{to}x"), "", &content(n))),
        ("a form", "/up/", 409, &|to, n| multi(to, "", "x", n)),
        ("every form at once", "/up/", 409, &|to, n| match n % 3 {
            0 => raw("POST", &format!("{to}x"), "", &content(n)),
            1 => chunked("POST", &format!("{to}x"), "", &content(n)),
            _ => multi(to, "", "x", n),
        }),
    ];
    for (name, target, refused, request) in rows {
        table.row(OURS, name, || {
            let answers = race(&s, |n| request(target, n));
            let stored: Vec<usize> = (0..CLIENTS).filter(|&n| answers[n].status == 201).collect();
            let others = answers.iter().filter(|r| r.status == *refused).count();
            assert_eq!((stored.len(), others), (1, CLIENTS - 1), "201, {refused}");
            let path = format!("html{target}x");
            assert!(s.read(&path) == content(stored[0]), "the file is the one that got 201");
            assert_eq!(s.snapshot(&format!("html{target}")).len(), 1);
            std::fs::remove_file(s.path(&path)).expect("it is there");
        });
    }
    table.row(OURS, "rename gives fifty names", || {
        let answers = race(&s, |n| match n % 2 {
            0 => raw("POST", "/rename/x.txt", "", &content(n)),
            _ => multi("/rename/", "", "x.txt", n),
        });
        let mut names: Vec<String> = answers.iter().map(|r| located(r.is(201))).collect();
        for (n, name) in names.iter().enumerate() {
            assert!(s.read(&format!("html{name}")) == content(n), "{name} is what its client sent");
        }
        names.sort();
        names.dedup();
        assert_eq!((names.len(), s.snapshot("html/rename").len()), (CLIENTS, CLIENTS));
    });
    table.row(OURS, "overwrite leaves one of them whole", || {
        let answers = race(&s, |n| match n % 3 {
            0 => raw("POST", "/over/x", "", &content(n)),
            1 => raw("PUT", "/over/x", "", &content(n)),
            _ => multi("/over/", "", "x", n),
        });
        assert_eq!(answers.iter().filter(|r| r.status == 201).count(), 1);
        answers.iter().for_each(|r| {
            r.is_one_of(&[200, 201, 204]);
        });
        let stored = s.read("html/over/x");
        assert!((0..CLIENTS).any(|n| stored == content(n)));
        assert_eq!(s.snapshot("html/over").len(), 1);
    });
    table.row(OURS, "of fifty replacements of one version exactly one is stored", || {
        let etag = s.get("/over/x").header("ETag").expect("an ETag").to_owned();
        let answers = race(&s, |n| raw("PUT", "/over/x", &format!("If-Match: {etag}\r\n"), &content(n)));
        let stored: Vec<usize> = (0..CLIENTS).filter(|&n| answers[n].status == 204).collect();
        let others = answers.iter().filter(|r| r.status == 412).count();
        assert_eq!((stored.len(), others), (1, CLIENTS - 1));
        assert!(s.read("html/over/x") == content(stored[0]));
    });
}

#[test]
fn a_get_under_way_keeps_the_old_bytes() {
    if skip_on_nginx("uploads") {
        return;
    }
    // More than the buffers of both sockets hold.
    let old = noise(24 << 20);
    let s = running(
        server(
            "client_max_body_size 30m;
             location /a/ { allowed_methods GET POST PUT DELETE; upload_on_duplicate overwrite; }
             location /d/ { alias %%DIR%%/html/a/; dav_methods MOVE DELETE; }",
        )
        .file("html/index.html", "index")
        .file("html/a/small", "small"),
    );
    let length = old.len();
    let mut table = Table::new("readers");
    let rows: &[(&str, &dyn Fn(), u16)] = &[
        ("replaced by POST", &|| drop(s.method("POST", "/a/x", "", b"new").is(200).clone()), 200),
        ("replaced by PUT", &|| drop(s.method("PUT", "/a/x", "", b"new").is(204).clone()), 200),
        ("replaced by a form", &|| drop(post_form(&s, "/a/", &form(&[file("x", b"new")])).is(200).clone()), 200),
        ("deleted", &|| drop(s.method("DELETE", "/a/x", "", b"").is(204).clone()), 404),
        ("deleted by dav", &|| drop(s.method("DELETE", "/d/x", "", b"").is(204).clone()), 404),
        ("moved over", &|| drop(s.method("MOVE", "/d/small", "Destination: /d/x\r\n", b"").is(204).clone()), 200),
    ];
    for (name, change, after) in rows {
        for (how, fields, expected) in [
            ("whole", String::new(), &old[..]),
            ("a range", format!("Range: bytes=1000-{}\r\n", length - 1000), &old[1000..=length - 1000]),
        ] {
            table.row(OURS, &format!("{name}, {how}"), || {
                s.write("html/a/x", &old);
                s.write("html/a/small", "small");
                let mut client = s.client();
                client.send(format!("GET /a/x HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
                // Its first bytes are on their way when the file changes.
                client.expect_started();
                change();
                assert_eq!(s.get("/a/x").status, *after, "a request now gets what is there now");
                let response = client.response();
                assert!(response.body == expected, "the old bytes");
                client.expect_alive("/", 200);
            });
        }
    }
}

#[test]
fn a_hundred_large_uploads_at_once_take_little_memory() {
    if skip_on_nginx("uploads") {
        return;
    }
    const UPLOADS: usize = 100;
    const LENGTH: u64 = 100 << 20;
    let s = running(
        server("client_max_body_size 0; location /up/ { allowed_methods GET POST PUT; }")
            .file("html/index.html", "index")
            .mkdir("html/up"),
    );
    let opening = part("name=\"file\"; filename=\"x\"", "", b"");
    let opening = &opening[..opening.len() - 2];
    let piece = noise(512 << 10);
    let mut clients: Vec<Client> = (0..UPLOADS)
        .map(|n| {
            let mut client = s.client();
            let head = match n % 4 {
                0 => format!("POST /up/{n} HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n"),
                1 => format!("PUT /up/{n} HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n"),
                2 => format!("POST /up/{n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{LENGTH:x}\r\n"),
                _ => format!("POST /up/ HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n{}\r\n", form_type()),
            };
            client.send(head);
            if n % 4 == 3 {
                client.send(opening);
            }
            client
        })
        .collect();
    // A part of each is enough: what is kept of one does not grow with what came of it.
    for _ in 0..3 {
        for client in &mut clients {
            client.send(&piece);
        }
        s.get("/").is(200);
        // The pages of the program itself depend on how it was built.
        let kib = s.kilobytes("RssAnon");
        println!("{kib} KiB held");
        let held = kib << 10;
        // TLS holds the records it has not all of, and HTTP/2 what was sent ahead of the disk.
        let most = if crate::over_tls::is_wanted() || crate::over_http2::is_wanted() { 16 << 20 } else { 8 << 20 };
        assert!(held < most, "{} KiB are held", held >> 10);
    }
}

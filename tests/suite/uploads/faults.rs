//! What is there already, links that lead out, and clients that die half-way.

use super::*;

#[test]
fn an_existing_name_is_refused_replaced_or_avoided() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(setup(""));
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
        s.method("POST", "/over/dir", "", b"x").is_one_of(&[409, 308]);
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
    table.row(OURS, "a version that a form replaces which has two files", || {
        // Of two files with one name the second gets another.
        for (names, second) in [(["twin", "twin"], "twin-1"), (["one", "other"], "other")] {
            s.write(&format!("html/over/{}", names[0]), "old!");
            if names[0] != names[1] {
                let path = |name: &str| s.path(&format!("html/over/{name}"));
                std::fs::hard_link(path(names[0]), path(names[1])).expect("linked");
            }
            let etag = s.get(&format!("/over/{}", names[0])).header("ETag").unwrap().to_owned();
            let body = form(&[file(names[0], b"1"), file(names[1], b"2")]);
            let post = |tag: &str| s.method("POST", "/over/", &format!("If-Match: {tag}\r\n{}", form_type()), &body);
            post("\"other\"").is(412);
            post(&etag).is_one_of(&[200, 201]);
            assert_eq!(s.read(&format!("html/over/{}", names[0])), b"1");
            assert_eq!(s.read(&format!("html/over/{second}")), b"2");
        }
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
    let s = running(setup(""));
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
        let mut s = running(setup(""));
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
        for target in ["/over/out/secret", "/over/out/dir", "/over/out/dir/"] {
            s.method("DELETE", target, "", b"").is_one_of(&[403, 404, 409]);
        }
        // With a slash behind it the link may be taken for the link; never for the directory.
        s.method("DELETE", "/over/abs/", "", b"").is_one_of(&[204, 403, 404, 409]);
        assert_eq!(s.read("outside/secret"), b"outside");
        assert!(s.path("outside/dir").is_dir());
    });
    table.row(OURS, "DELETE of a link removes the link", || {
        s.method("DELETE", "/over/out", "", b"").is(204);
        assert!(!s.exists("html/over/out"));
        assert_eq!(s.read("outside/secret"), b"outside");
    });
}

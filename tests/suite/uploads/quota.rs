//! upload_quota: never exceeded, however many upload at once and however they say how much; and given back.

use super::*;

/// Bytes and number of the files in `html/a`.
fn used(s: &Server) -> (u64, usize) {
    let entries = std::fs::read_dir(s.path("html/a")).expect("the area");
    let sizes: Vec<u64> = entries.map(|e| e.expect("an entry").metadata().expect("its size").len()).collect();
    (sizes.iter().sum(), sizes.len())
}

fn quota(settings: &str) -> Server {
    let block = format!(
        "client_max_body_size 10m;
         location /a/ {{ allowed_methods GET POST DELETE; upload_on_duplicate overwrite; {settings} }}"
    );
    running(server(&block).file("html/index.html", "index").mkdir("html/a"))
}

#[test]
fn many_uploads_at_once_stay_within_the_quota() {
    if skip_on_nginx("uploads") {
        return;
    }
    let sized = |n: usize| request("POST", &format!("/a/{n}"), "", &noise(1000));
    let chunked = |n: usize| {
        let head = format!("POST /a/{n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        [head.as_bytes(), b"1f4\r\n", &noise(500), b"\r\n1f4\r\n", &noise(500), b"\r\n0\r\n\r\n"].concat()
    };
    let formed = |n: usize| {
        let body = form(&[file(&n.to_string(), &noise(1000))]);
        let fields = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n");
        request("POST", "/a/", &fields, &body)
    };
    let kinds: [(&str, &dyn Fn(usize) -> Vec<u8>); 3] = [("sized", &sized), ("chunked", &chunked), ("a form", &formed)];
    let mut table = Table::new("200 at once");
    for (name, make) in kinds {
        table.row(OURS, name, || {
            let s = quota("upload_quota 50500 files=60;");
            let requests: Vec<Vec<u8>> = (0..200).map(make).collect();
            let mut clients: Vec<Client> = (0..200).map(|_| s.client()).collect();
            // All are under way before any is complete; who is refused may have closed.
            for (client, bytes) in clients.iter_mut().zip(&requests) {
                client.send(&bytes[..bytes.len() - 300]);
            }
            for (client, bytes) in clients.iter_mut().zip(&requests) {
                client.try_send(&bytes[bytes.len() - 300..]);
            }
            let statuses: Vec<u16> =
                clients.iter_mut().filter_map(|client| client.try_response(false).ok()).map(|r| r.status).collect();
            let stored = statuses.iter().filter(|status| **status == 201).count();
            assert!(statuses.iter().all(|status| matches!(status, 201 | 507)), "{statuses:?}");
            assert_eq!(used(&s), (stored as u64 * 1000, stored));
            // To the last byte where they say how much; who grows takes what another may then lack.
            assert!(stored <= 50 && (stored == 50 || name != "sized"), "{stored} stored");
            // What the refused had claimed is free again.
            for n in stored..50 {
                s.method("POST", &format!("/a/more{n}"), "", &noise(1000)).is(201);
            }
            s.method("POST", "/a/too-much", "", &noise(501)).is(507);
            s.method("POST", "/a/fits", "", &noise(500)).is(201);
            assert_eq!(used(&s), (50_500, 51));
        });
    }
}

#[test]
fn the_quota_counts_what_is_there() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("upload_quota");
    table.row(OURS, "a replaced file counts its difference", || {
        let s = quota("upload_quota 1000;");
        s.method("POST", "/a/x", "", &noise(900)).is(201);
        s.method("POST", "/a/x", "", &noise(1000)).is_one_of(&[200, 204]);
        s.method("POST", "/a/y", "", b"1").is(507);
        s.method("POST", "/a/x", "", &noise(1001)).is(507);
        s.method("POST", "/a/x", "", &noise(999)).is_one_of(&[200, 204]);
        s.method("POST", "/a/y", "", b"1").is(201);
        assert_eq!(used(&s), (1000, 2));
    });
    table.row(OURS, "two of one name in a form count once", || {
        let s = quota("upload_quota 1000 files=1;");
        post_form(&s, "/a/", &form(&[file("x", &noise(100)), file("x", &noise(200))])).is_one_of(&[200, 201, 507]);
        s.method("POST", "/a/x", "", &noise(1000)).is_one_of(&[200, 201]);
        assert_eq!(used(&s), (1000, 1));
    });
    table.row(OURS, "DELETE gives back", || {
        let s = quota("upload_quota 1000 files=1;");
        for _ in 0..3 {
            s.method("POST", "/a/x", "", &noise(1000)).is(201);
            s.method("POST", "/a/y", "", b"").is(507);
            s.method("DELETE", "/a/x", "", b"").is(204);
        }
    });
    table.row(OURS, "so does a cut upload, and others' files are seen", || {
        let s = quota("upload_quota 1000;");
        let mut client = s.client();
        client.send(b"POST /a/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n");
        client.response().is(100);
        s.method("POST", "/a/y", "", b"1").is(507);
        drop(client);
        eventually("the claim is given back", || s.method("POST", "/a/y", "", b"1").status != 507);
        s.write("html/a/by-hand", noise(998));
        s.method("POST", "/a/z", "", b"12").is(507);
        s.method("POST", "/a/z", "", b"1").is(201);
        std::fs::remove_file(s.path("html/a/by-hand")).expect("removed");
        s.method("POST", "/a/z2", "", &noise(998)).is(201);
    });
    table.row(OURS, "507 before the body where the length tells", || {
        let s = quota("upload_quota 1000;");
        let mut client = s.client();
        client.send(b"POST /a/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
        client.response().is(507);
    });
    table.row(OURS, "a reload keeps claims and counts", || {
        let block = |quota: &str| {
            format!(
                "server {{ listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
                   location = /v {{ return 200 {quota}; }}
                   location /a/ {{ allowed_methods GET POST; upload_quota {quota}; }} }}"
            )
        };
        let s = running(crate::harness::http(&block("1000")).file("html/index.html", "index").mkdir("html/a"));
        let mut client = s.client();
        client.send(b"POST /a/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n");
        client.response().is(100);
        s.reconfigure_http(&block("1500"));
        s.signal(libc::SIGHUP);
        eventually("the reload", || s.get("/v").text() == "1500");
        s.method("POST", "/a/y", "", &noise(501)).is(507);
        s.method("POST", "/a/y", "", &noise(500)).is(201);
        client.send(noise(1000));
        client.response().is(201);
        assert_eq!(used(&s), (1500, 2));
    });
    table.row(OURS, "a large area is counted in slices: uploads wait, others do not", || {
        let setup = server("location /a/ { allowed_methods GET POST; upload_quota 10000 files=10001; }");
        let mut setup = setup.file("html/index.html", "index");
        for n in 0..10_000 {
            setup = setup.file(&format!("html/a/{}/{n}", n % 7), b"1");
        }
        let s = running(setup);
        let mut upload = s.client();
        upload.send(request("POST", "/a/x", "", b"1"));
        s.get("/").is(200);
        upload.response().is(507);
        std::fs::remove_file(s.path("html/a/0/0")).expect("removed");
        // It was counted just now: not again before that is worth its time.
        eventually("another count", || s.method("POST", "/a/x", "", b"1").status == 201);
        s.method("POST", "/a/y", "", b"").is(201);
        s.method("POST", "/a/z", "", b"").is(507);
    });
}

/// Of files of one name only the first replaces the old one: with each of them counted, twenty times the quota was
/// received.
#[test]
fn twins_of_a_form_do_not_each_free_the_file_they_replace() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = quota("upload_quota 100k;");
    s.method("POST", "/a/big", "", &noise(80_000)).is(201);
    let twins: Vec<u8> = (0..15).flat_map(|_| file("big", b"x")).collect();
    let begun = form(&[file("other", &noise(150_000))]);
    let (begun, _) = begun.split_at(begun.len() - 1000);
    let (mut client, bytes) = (s.client(), [twins, begun.to_vec()].concat());
    client.send(format!("POST /a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{}\r\n", form_type()));
    client.try_send(format!("{:x}\r\n", bytes.len()).as_bytes());
    client.try_send(&bytes);
    // It does not come to its end.
    client.response().is(507);
    assert_eq!(used(&s), (80_000, 1));
}

/// Each of them was given the room of the old one: twenty times the quota was received.
#[test]
fn uploads_that_replace_one_file_are_not_each_given_its_room() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = quota("upload_quota 1000;");
    s.method("POST", "/a/x", "", &noise(900)).is(201);
    let begin = || {
        let mut client = s.client();
        client.send(b"POST /a/x HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\nExpect: 100-continue\r\n\r\n");
        let status = client.response().status;
        (client, status)
    };
    let (first, admitted) = begin();
    assert_eq!((admitted, begin().1), (100, 507));
    let mut grows = s.client();
    grows.send(b"POST /a/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    grows.try_send([&b"384\r\n"[..], &noise(900), b"\r\n"].concat());
    grows.response().is(507);
    // The next one has it when the first has ended.
    drop(first);
    eventually("the room is given back", || begin().1 == 100);
    eventually("again", || s.method("POST", "/a/x", "", &noise(950)).status != 507);
    s.method("POST", "/a/x", "", &noise(1000)).is_one_of(&[200, 204]);
    assert_eq!(used(&s), (1000, 1));
}

/// A form reserved all of its length, and a file, before any name was known: what a PUT may replace, it could not.
#[test]
fn a_form_that_replaces_a_file_in_a_full_area_is_taken_as_a_put_is() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = quota("upload_quota 1m files=2;");
    let send = |name: &str, bytes: usize| s.method("POST", "/a/", &form_type(), &form(&[file(name, &noise(bytes))]));
    send("x", 900_000).is(201);
    send("x", 900_000).is(200);
    send("y", 1).is(201);
    send("y", 2).is(200);
    send("z", 1).is(507);
    send("y", 200_000).is(507);
    send("y", 2_000_000).is(507);
    assert_eq!(used(&s), (900_002, 2));
}

/// It counted as a file and as an upload: the next one was refused (507) although both fit.
#[test]
fn a_file_counts_once_while_its_name_is_written_to_the_disk() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = quota("upload_quota 1000; upload_sync on;");
    let ways: [(&str, Vec<u8>); 2] = [
        ("POST", request("POST", "/a/x", "", &noise(600))),
        ("a form", request("POST", "/a/", &form_type(), &form(&[file("x", &noise(600))]))),
    ];
    let mut table = Table::new("upload_sync and upload_quota");
    for (name, bytes) in ways {
        table.row(OURS, name, || {
            for _ in 0..20 {
                let mut first = s.client();
                first.send(&bytes);
                eventually("it has its name", || s.exists("html/a/x"));
                s.method("POST", "/a/y", "", &noise(300)).is(201);
                first.response().is_one_of(&[200, 201]);
                assert_eq!(used(&s), (900, 2));
                s.method("DELETE", "/a/x", "", b"").is(204);
                s.method("DELETE", "/a/y", "", b"").is(204);
            }
        });
    }
}

/// 40 requests made 1260 directories under `upload_quota 1m files=3`, and they stayed when the files went.
#[test]
fn directories_made_for_uploads_do_not_grow_without_end_under_a_quota() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(
        server(
            "location /a/ { dav_methods PUT DELETE MKCOL COPY; upload_create_path on; upload_quota 1m files=3; }
             location /b/ { dav_methods PUT MKCOL; upload_quota 1m; }",
        )
        .file("html/index.html", "index")
        .mkdir("html/a")
        .mkdir("html/b"),
    );
    let deep = |name: &str, count: usize| format!("/a/{}f", format!("{name}/").repeat(count));
    s.method("PUT", &deep("d", 60), "", b"1").is(201);
    s.method("DELETE", &deep("d", 60), "", b"").is(204);
    s.method("PUT", &deep("e", 5), "", b"1").is(507);
    assert!(!s.path("html/a/e").exists(), "none of them was made");
    s.method("PUT", &deep("e", 3), "", b"1").is(201);
    s.method("MKCOL", "/a/g/", "", b"").is(201);
    s.method("MKCOL", "/a/h/", "", b"").is(507);
    s.method("MKCOL", "/a/g/", "", b"").is(405);
    s.method("COPY", "/a/g/", "Destination: /a/h/\r\n", b"").is(507);
    // What is there can be used, and what goes makes room.
    s.method("PUT", "/a/g/f", "", b"1").is(201);
    s.method("DELETE", "/a/d/", "", b"").is(204);
    s.method("COPY", "/a/g/", "Destination: /a/h/\r\n", b"").is_one_of(&[201, 204]);
    // A quota of bytes has room for as many directories as take these bytes.
    (0..100).for_each(|at| _ = s.method("MKCOL", &format!("/b/{at}/"), "", b"").is(201));
}

/// A named location has no URIs of its own: its files are where the location is that led to it. All of the root was one
/// area otherwise.
#[test]
fn the_area_of_a_named_location_is_that_of_the_location_which_led_to_it() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server(
        "location /n/ { try_files /none @store; }
         location @store { allowed_methods GET PUT; upload_quota 1000; }",
    );
    let s = running(s.file("html/index.html", "index").mkdir("html/n").file("html/other/large", noise(5000)));
    s.method("PUT", "/n/f", "", &noise(900)).is(201);
    s.method("PUT", "/n/g", "", &noise(200)).is(507);
    s.method("PUT", "/n/g", "", &noise(100)).is(201);
}

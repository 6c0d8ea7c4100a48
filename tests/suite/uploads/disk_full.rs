//! A disk that is full: 507 whatever the form, the old file whole, nothing left behind, and the server goes on.

use super::resumable::{OCTETS, create, filename, offset, patch, tus};
use super::*;
use crate::harness::skipped;
use crate::os::Tmpfs;

/// A server whose `/full/` is a file system of its own. None (and says so) where none can be mounted.
fn full(options: &str) -> Option<(Server, Tmpfs)> {
    let setup = server(
        "client_max_body_size 10m; lingering_timeout 30s;
         location /full/ { allowed_methods GET POST PUT DELETE; upload_on_duplicate overwrite; }
         location /dav/ { alias %%DIR%%/html/full/; dav_methods PUT COPY MOVE MKCOL DELETE; }",
    )
    .file("html/index.html", "index")
    .mkdir("html/full")
    .allow_log("failed (28");
    match Tmpfs::mount(&setup.dir().join("html/full"), options) {
        Ok(disk) => Some((running(setup), disk)),
        Err(error) => {
            skipped(&format!("cannot mount a tmpfs ({error}): run as root to test a full disk"));
            None
        }
    }
}

/// Sends all it can and reads the answer: a refusal may come before the end of the body.
fn answer(s: &Server, head: &str, body: &[u8]) -> Response {
    let mut client = s.client();
    client.send(head);
    client.try_send(body);
    client.response()
}

#[test]
fn a_full_disk_is_507_and_the_old_file_stays() {
    if skip_on_nginx("uploads") {
        return;
    }
    let Some((s, disk)) = full("size=512k") else { return };
    let old = noise(60_000);
    s.write("html/full/old", &old);
    let large = noise(2_000_000);
    let mut chunked = Vec::new();
    for piece in large.chunks(30_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let length = |body: &[u8]| format!("Content-Length: {}\r\n", body.len());
    let one = form(&[file("old", &large)]);
    let two = form(&[file("small", b"fits"), file("old", b"fits too"), file("large", &large)]);
    let form_head = |body: &[u8]| format!("{}{}", form_type(), length(body));
    let chunks = "Transfer-Encoding: chunked\r\n".to_owned();
    let sha = "Content-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n";
    let rows: &[(&str, &str, String, &[u8])] = &[
        ("raw over the old file", "POST /full/old", length(&large), &large),
        ("raw, a new name", "POST /full/new", length(&large), &large),
        ("raw, with a digest to check", "POST /full/new", format!("{sha}{}", length(&large)), &large),
        ("PUT over the old file", "PUT /full/old", length(&large), &large),
        ("PUT, a new name", "PUT /full/new", length(&large), &large),
        ("chunked POST", "POST /full/old", chunks.clone(), &chunked),
        ("chunked PUT", "PUT /full/new", chunks, &chunked),
        ("a form", "POST /full/", form_head(&one), &one),
        ("a form whose last file does not fit", "POST /full/", form_head(&two), &two),
        ("dav PUT", "PUT /dav/new", length(&large), &large),
    ];
    let (before, free) = (cuts::listing(&s.path("html/full")), disk.free());
    let mut table = Table::new("a full disk");
    for (name, line, fields, body) in rows {
        table.row(OURS, name, || {
            answer(&s, &format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), body).is(507);
            eventually("nothing is left", || {
                s.get("/").is(200);
                disk.free() == free
            });
            assert_eq!(before, cuts::listing(&s.path("html/full")));
            s.get("/full/old").is(200).body_is(&old);
        });
    }
    table.row(OURS, "the connection goes on behind what could not be written", || {
        let mut client = s.client();
        let body = &large[..700_000];
        let fields = format!("{}Expect: 100-continue\r\n", length(body));
        client.send(format!("PUT /full/new HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        client.response().is(100);
        client.send(body);
        client.response().is(507);
        for _ in 0..2 {
            client.get("/full/old").is(200).body_is(&old);
        }
    });
    table.row(OURS, "COPY to what is full", || {
        s.write("html/full/ballast", noise(300_000));
        let (before, free) = (cuts::listing(&s.path("html/full")), disk.free());
        for target in ["/dav/copy", "/dav/old"] {
            s.method("COPY", "/dav/ballast", &format!("Destination: {target}\r\n"), b"").is(507);
            assert_eq!((cuts::listing(&s.path("html/full")), disk.free()), (before.clone(), free), "{target}");
        }
        std::fs::remove_file(s.path("html/full/ballast")).unwrap();
    });
    table.row(OURS, "what fits is stored", || {
        s.method("POST", "/full/old", "", &large[..100_000]).is(200);
        post_form(&s, "/full/", &form(&[file("new", &large[..100_000])])).is(201);
        assert!(s.read("html/full/old") == large[..100_000] && s.read("html/full/new") == large[..100_000]);
    });
}

#[test]
fn a_disk_without_inodes_is_507() {
    if skip_on_nginx("uploads") {
        return;
    }
    let Some((s, disk)) = full("size=1m,nr_inodes=4") else { return };
    s.write("html/full/old", "old!");
    for n in 0.. {
        if std::fs::write(s.path(&format!("html/full/ballast{n}")), "").is_err() {
            break;
        }
    }
    assert_eq!(disk.free().1, 0);
    let before = cuts::listing(&s.path("html/full"));
    s.method("POST", "/full/new", "", b"new").is(507);
    s.method("PUT", "/full/old", "", b"new").is(507);
    post_form(&s, "/full/", &form(&[file("new", b"new")])).is(507);
    s.method("MKCOL", "/dav/made/", "", b"").is(507);
    assert_eq!(before, cuts::listing(&s.path("html/full")));
    s.method("DELETE", "/full/ballast0", "", b"").is(204);
    s.method("POST", "/full/new", "", b"new").is(201);
}

#[test]
fn a_full_disk_below_the_access_log_and_unfinished_uploads_stops_nothing_else() {
    if skip_on_nginx("uploads") {
        return;
    }
    let setup = server(
        "client_max_body_size 10m; lingering_timeout 30s; access_log %%DIR%%/tiny/access.log;
         location /a/ { root %%DIR%%/tiny; allowed_methods GET POST PUT DELETE; upload_resumable on; }
         location /plain/ { allowed_methods GET POST; }",
    )
    .file("html/index.html", "index")
    .mkdir("html/plain")
    .mkdir("tiny")
    .allow_log("failed (28");
    let _disk = match Tmpfs::mount(&setup.dir().join("tiny"), "size=512k") {
        Ok(disk) => disk,
        Err(error) => {
            skipped(&format!("cannot mount a tmpfs ({error}): run as root to test a full disk"));
            return;
        }
    };
    std::fs::create_dir(setup.dir().join("tiny/a")).expect("made");
    let s = running(setup);
    let content = noise(200_000);
    let target = create(&s, "goes-on.bin", content.len());
    patch(&s, &target, 0, &content[..1000]).is(204);
    // All that is left, to the last byte.
    let mut ballast = std::fs::File::create(s.path("tiny/ballast")).expect("made");
    while std::io::Write::write(&mut ballast, &[b'x'; 4096]).is_ok() {}
    eventually("the log is full, and answers go on", || {
        s.get("/").is(200).body_is("index");
        s.error_log().contains("access.log\" failed (28")
    });
    let fields = format!("Upload-Length: 9\r\n{}", filename("new.txt"));
    tus(&s, "POST", "/a/", &fields, b"").is(507);
    let head = format!(
        "PATCH {target} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: 1000\r\n\
         Content-Length: {}\r\n\r\n",
        content.len() - 1000
    );
    answer(&s, &head, &content[1000..]).is(507);
    s.method("POST", "/plain/elsewhere", "", b"stored").is(201);
    s.get("/").is(200);
    let at = offset(&s, &target);
    assert!((1000..content.len()).contains(&at), "{at}");
    // Emptied first: a program that another test is starting may hold it open for a moment.
    ballast.set_len(0).expect("emptied");
    std::fs::remove_file(s.path("tiny/ballast")).expect("removed");
    patch(&s, &target, at, &content[at..]).is(204);
    assert!(s.read("tiny/a/goes-on.bin") == content);
    let new = located(tus(&s, "POST", "/a/", &fields, b"").is(201));
    patch(&s, &new, 0, b"123456789").is(204);
    eventually("the log goes on", || {
        s.get("/?after").is(200);
        String::from_utf8_lossy(&s.read("tiny/access.log")).contains("/?after")
    });
}

/// A server whose `/small/` is a file system of `size` bytes, of which `free` are to stay free.
fn kept_free(size: &str, free: &str) -> Option<(Server, Tmpfs)> {
    let setup = server(&format!(
        "client_max_body_size 100m; lingering_timeout 30s; upload_min_free {free};
         location / {{ dav_methods PUT MOVE COPY; allowed_methods GET POST PUT MOVE COPY; }}"
    ))
    .file("html/index.html", "index")
    .mkdir("html/small");
    match Tmpfs::mount(&setup.dir().join("html/small"), &format!("size={size}")) {
        Ok(disk) => Some((running(setup), disk)),
        Err(error) => {
            skipped(&format!("cannot mount a tmpfs ({error}): run as root to test upload_min_free"));
            None
        }
    }
}

#[test]
fn what_is_to_stay_free_stays_free_while_uploads_arrive() {
    if skip_on_nginx("uploads") {
        return;
    }
    let Some((s, disk)) = kept_free("60m", "30m") else { return };
    let content = vec![b'x'; 1 << 20];
    // Nothing says that the body ends: it is refused on its way, or never answered.
    let chunk = [b"100000\r\n", &content[..], b"\r\n"].concat();
    answer(&s, "PUT /small/new HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", &chunk.repeat(50)).is(507);
    let begun = form(&[file("new", &content.repeat(50))]);
    let head = format!("POST /small/ HTTP/1.1\r\nHost: a\r\n{}Transfer-Encoding: chunked\r\n\r\n", form_type());
    answer(&s, &head, &[format!("{:x}\r\n", begun.len()).as_bytes(), &begun].concat()).is(507);
    // Each of them has room, but not all at once.
    let mut clients: Vec<_> = (0..4).map(|_| s.client()).collect();
    let length = 20 << 20;
    for (at, client) in clients.iter_mut().enumerate() {
        client.send(format!("PUT /small/{at} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    }
    for client in &mut clients {
        client.try_send(content.repeat(19));
    }
    let refused = clients.last_mut().expect("four").response();
    refused.is(507);
    assert!(!s.exists("html/small/new"));
    drop(disk);
}

#[test]
fn a_move_to_a_file_system_without_room_is_507_as_a_copy_is() {
    if skip_on_nginx("uploads") {
        return;
    }
    let Some((s, disk)) = kept_free("2m", "1m") else { return };
    s.write("html/f", noise(1_500_000));
    s.write("html/d/in/f", noise(1_500_000));
    s.write("html/little", noise(1000));
    for (from, to) in [("/f", "/small/f"), ("/d/", "/small/d/")] {
        s.method("MOVE", from, &format!("Destination: {to}\r\n"), b"").is(507);
        assert!(s.exists(&format!("html{from}")) && !s.exists(&format!("html{to}")));
    }
    s.method("MOVE", "/little", "Destination: /small/little\r\n", b"").is(204);
    drop(disk);
}

//! upload_quota and resumable uploads: what arrives without a length, what was announced and does not come, and files
//! that are made of parts.

use super::processes::pair;
use super::resumable::{OCTETS, area_of, base64, create, filename, offset, patch, resumable, tus};
use super::resumable_parts::{join, join_request, names, partial};
use super::*;
use std::time::{Duration, SystemTime};

const STATE: &str = "html/a/.webserv-upload-state";

fn chunks(content: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in content.chunks(10_000) {
        body.extend(format!("{:x}\r\n", piece.len()).bytes());
        body.extend([piece, b"\r\n"].concat());
    }
    [body, b"0\r\n\r\n".to_vec()].concat()
}

/// A request whose content comes without its length.
fn chunked(s: &Server, method: &str, target: &str, fields: &str, content: &[u8]) -> Response {
    let mut client = s.client();
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}Transfer-Encoding: chunked\r\n\r\n"));
    // Who is refused may have closed.
    client.try_send(chunks(content));
    client.response()
}

fn append(s: &Server, target: &str, at: usize, fields: &str, content: &[u8]) -> Response {
    let fields = format!("Tus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: {at}\r\n{fields}");
    chunked(s, "PATCH", target, &fields, content)
}

fn deferred(s: &Server, name: &str) -> String {
    located(tus(s, "POST", "/a/", &format!("Upload-Defer-Length: 1\r\n{}", filename(name)), b"").is(201))
}

/// The bytes of unfinished uploads, and their number.
fn parts(s: &Server) -> (u64, usize) {
    let files = names(s, STATE).into_iter().filter(|name| name.ends_with(".part"));
    let sizes: Vec<u64> =
        files.map(|name| std::fs::metadata(s.path(&format!("{STATE}/{name}"))).map_or(0, |file| file.len())).collect();
    (sizes.iter().sum(), sizes.len())
}

/// 64 MiB were taken under a quota of 1 MiB.
#[test]
fn an_upload_without_a_length_stops_at_the_quota() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_quota 100000;");
    let content = noise(400_000);
    let mut table = Table::new("no length, and a quota");
    table.row(OURS, "tus: what fitted is kept, and goes on when there is room", || {
        s.write("html/a/by-hand", noise(40_000));
        let target = deferred(&s, "grows");
        append(&s, &target, 0, "", &content).is(507);
        assert_eq!((offset(&s, &target), parts(&s)), (60_000, (60_000, 1)));
        append(&s, &target, 60_000, "", b"1").is(507);
        assert_eq!(offset(&s, &target), 60_000);
        s.method("PUT", "/a/other", "", b"1").is(507);
        std::fs::remove_file(s.path("html/a/by-hand")).expect("removed");
        append(&s, &target, 60_000, "Upload-Length: 90000\r\n", &content[60_000..90_000]).is(204);
        assert!(s.read("html/a/grows") == content[..90_000]);
        s.method("DELETE", "/a/grows", "", b"").is(204);
    });
    table.row(OURS, "several at once", || {
        let targets: Vec<String> = (0..4).map(|n| deferred(&s, &format!("many{n}"))).collect();
        let head = |target: &str| {
            format!(
                "PATCH {target} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: 0\r\n\
                 Transfer-Encoding: chunked\r\n\r\n"
            )
        };
        let mut clients: Vec<Client> = targets.iter().map(|_| s.client()).collect();
        for (client, target) in clients.iter_mut().zip(&targets) {
            client.send(head(target));
        }
        for client in &mut clients {
            client.try_send(chunks(&content[..60_000]));
        }
        let statuses: Vec<u16> = clients.iter_mut().map(|client| client.response().status).collect();
        assert!(statuses.iter().all(|status| matches!(status, 204 | 507)), "{statuses:?}");
        assert!(parts(&s).0 <= 100_000, "{:?} {statuses:?}", parts(&s));
        for target in &targets {
            tus(&s, "DELETE", target, "", b"").is(204);
        }
        s.method("PUT", "/a/all", "", &content[..100_000]).is(201);
        s.method("DELETE", "/a/all", "", b"").is(204);
    });
    table.row(OURS, "the draft, whose client does not know the URI: nothing is left", || {
        chunked(&s, "POST", "/a/", "Upload-Complete: ?0\r\n", &content).is(507);
        assert_eq!(parts(&s), (0, 0));
        s.method("PUT", "/a/all", "", &content[..100_000]).is(201);
        s.method("DELETE", "/a/all", "", b"").is(204);
    });
    table.row(OURS, "creations with content that is announced", || {
        let fields = format!("Upload-Defer-Length: 1\r\n{OCTETS}");
        tus(&s, "POST", "/a/", &fields, &content[..100_001]).is(507);
        let target = located(tus(&s, "POST", "/a/", &fields, &content[..99_000]).is(201));
        tus(&s, "POST", "/a/", &fields, &content[..1001]).is(507);
        tus(&s, "DELETE", &target, "", b"").is(204);
    });
}

/// A POST of 150 bytes took the whole quota for a day.
#[test]
fn an_announced_upload_that_does_not_come_gives_its_room_back() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut s = running(area_of("upload_quota 1000;").restartable());
    let target = create(&s, "announced", 1000);
    let content = noise(1000);
    patch(&s, &target, 0, &content[..100]).is(204);
    s.method("PUT", "/a/x", "", &noise(100)).is(507);
    // Some minutes after its last byte.
    let part = names(&s, STATE).into_iter().find(|name| name.ends_with(".part")).expect("its bytes");
    let file = std::fs::File::options().append(true).open(s.path(&format!("{STATE}/{part}"))).expect("opened");
    s.kill_and_restart();
    s.method("PUT", "/a/x", "", &noise(100)).is(507);
    file.set_modified(SystemTime::now() - Duration::from_secs(600)).expect("an older time");
    s.kill_and_restart();
    s.method("PUT", "/a/x", "", &noise(901)).is(507);
    s.method("PUT", "/a/x", "", &noise(900)).is(201);
    // It goes on when there is room again.
    patch(&s, &target, 100, &content[100..]).is(507);
    assert_eq!(offset(&s, &target), 100);
    s.method("DELETE", "/a/x", "", b"").is(204);
    patch(&s, &target, 100, &content[100..]).is(204);
    assert!(s.read("html/a/announced") == content);
}

const MIB: usize = 1 << 20;

/// The parts were gone (410), and their bytes counted for no quota.
#[test]
fn a_final_upload_that_is_refused_at_its_name_leaves_its_parts() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_on_duplicate error; upload_quota 40m;");
    let content = noise(8 * MIB);
    let targets: Vec<String> = (0..4).map(|_| partial(&s, &content)).collect();
    let urls: Vec<&str> = targets.iter().map(String::as_str).collect();
    for round in 0..4 {
        let name = format!("taken{round}");
        let (mut put, mut last) = (s.client(), s.client());
        // All but its last byte: the name is free while the parts are being joined.
        put.send(format!("PUT /a/{name} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
        put.response().is(100);
        put.send(b"1");
        last.send(join_request(&urls, &name));
        eventually("they are being joined", || parts(&s).1 > 4 || s.exists(&format!("html/a/{name}")));
        put.send(b"2");
        put.response().is_one_of(&[200, 201, 204]);
        let r = last.response();
        if r.status == 201 {
            crate::harness::skipped("the parts were joined before the other request went on");
            return;
        }
        r.is(409);
        for target in &targets {
            assert_eq!(offset(&s, target), 8 * MIB);
        }
        assert_eq!(parts(&s), (32 * MIB as u64, 4), "no copy of them is left");
        assert_eq!(s.read(&format!("html/a/{name}")), b"12");
        let mut large = s.client();
        let length = 8 * MIB;
        large.send(format!(
            "PUT /a/large HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        ));
        // They still count.
        large.response().is(507);
    }
    join(&s, &urls, "free").is(201);
    assert!(s.read("html/a/free") == content.repeat(4));
    assert!(!s.exists(STATE), "{:?}", names(&s, STATE));
}

/// Twelve requests of 400 bytes each copied the parts, and ten of the copies stayed.
#[test]
fn parts_are_joined_by_one_request_at_a_time() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_quota 40m;");
    let content = noise(8 * MIB);
    let targets: Vec<String> = (0..4).map(|_| partial(&s, &content)).collect();
    let urls: Vec<&str> = targets.iter().map(String::as_str).collect();
    let mut clients: Vec<Client> = (0..12).map(|_| s.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(join_request(&urls, &format!("whole{n}")));
    }
    let statuses: Vec<u16> = clients.iter_mut().map(|client| client.response().status).collect();
    // 409: a newer one took the parts; 400: they were joined before.
    assert!(statuses.iter().all(|status| matches!(status, 201 | 400 | 409)), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(!s.exists(STATE), "{:?}", names(&s, STATE));
    let at = statuses.iter().position(|status| *status == 201).expect("one");
    assert!(s.read(&format!("html/a/whole{at}")) == content.repeat(4));
}

#[test]
fn a_final_upload_without_room_is_refused_before_its_parts_are_copied() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_quota 10;");
    let (a, b) = (partial(&s, b"12345"), partial(&s, b"67890"));
    s.write("html/a/by-hand", b"x");
    for _ in 0..3 {
        join(&s, &[&a, &b], "all.txt").is(507);
        assert_eq!(parts(&s), (10, 2));
    }
    std::fs::remove_file(s.path("html/a/by-hand")).expect("removed");
    join(&s, &[&a, &b], "all.txt").is(201);
    assert_eq!(s.read("html/a/all.txt"), b"1234567890");
    s.method("DELETE", "/a/all.txt", "", b"").is(204);
    s.method("PUT", "/a/x", "", b"1234567890").is(201);
}

/// Nobody knows its URI, and the next attempt found no room.
#[test]
fn a_whole_without_a_name_does_not_outlive_the_process_that_joined_it() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut s = running(area_of("upload_quota 40m;").restartable());
    let content = noise(8 * MIB);
    let targets: Vec<String> = (0..4).map(|_| partial(&s, &content)).collect();
    let urls: Vec<&str> = targets.iter().map(String::as_str).collect();
    let mut client = s.client();
    client.send(join_request(&urls, "cut"));
    eventually("it is being joined", || parts(&s).0 > 32 * MIB as u64 || s.exists("html/a/cut"));
    s.kill_and_restart();
    s.method("PUT", "/a/small", "", b"x").is(201);
    if s.exists("html/a/cut") {
        crate::harness::skipped("the parts were joined before the server was killed");
        return;
    }
    assert_eq!(parts(&s), (32 * MIB as u64, 4));
    join(&s, &urls, "again").is(201);
    assert!(s.read("html/a/again") == content.repeat(4));
}

/// Whole and parts counted, 64 MiB under a quota of 40: the next upload was refused (507).
#[test]
fn parts_do_not_count_while_the_name_of_their_whole_is_written_to_the_disk() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_sync on; upload_quota 40m;");
    let content = noise(8 * MIB);
    for round in 0..3 {
        let targets: Vec<String> = (0..4).map(|_| partial(&s, &content)).collect();
        let urls: Vec<&str> = targets.iter().map(String::as_str).collect();
        let mut last = s.client();
        last.send(join_request(&urls, "whole"));
        eventually("it has its name", || s.exists("html/a/whole"));
        let mut next = s.client();
        next.send(format!(
            "PUT /a/next HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            4 * MIB
        ));
        assert_eq!(next.response().status, 100, "round {round}");
        last.response().is(201);
        assert_eq!(parts(&s), (0, 0));
        s.method("PUT", "/a/large", "", &content[..8 * MIB]).is(507);
        drop(next);
        s.method("DELETE", "/a/whole", "", b"").is(204);
    }
}

/// A browser that sends a file in parallel parts was refused where one more file was allowed.
#[test]
fn parallel_parts_count_as_one_file() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut s = running(area_of("upload_quota 1000 files=1;").restartable());
    let targets: Vec<String> = (0..4).map(|_| partial(&s, b"12345")).collect();
    s.kill_and_restart();
    let fields = "Upload-Concat: partial\r\nUpload-Length: 5\r\n";
    let late = located(tus(&s, "POST", "/a/", fields, b"").is(201));
    patch(&s, &late, 0, b"67890").is(204);
    let urls: Vec<&str> = targets.iter().chain([&late]).map(String::as_str).collect();
    join(&s, &urls, "whole").is(201);
    assert_eq!(s.read("html/a/whole"), b"1234512345123451234567890");
    s.method("PUT", "/a/second", "", b"").is(507);
    let (a, b) = (partial(&s, b"1"), partial(&s, b"2"));
    join(&s, &[&a, &b], "second").is(507);
}

/// Its client has no URI to go on with, and its bytes took the room of the next attempt until they expired.
#[test]
fn a_creation_that_is_refused_after_its_content_leaves_nothing() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_quota 1000; upload_verify_digest on;");
    let content = noise(900);
    let wrong = format!("sha-256=:{}:", base64(&[1; 32]));
    let mut table = Table::new("a creation without a URI");
    let clean = |r: Response, status: u16| {
        r.is(status);
        assert!(r.header("Location").is_none(), "{}", r.show());
        assert_eq!(parts(&s), (0, 0));
        s.method("PUT", "/a/next", "", &content).is(201);
        s.method("DELETE", "/a/next", "", b"").is(204);
    };
    table.row(OURS, "tus: another checksum", || {
        let fields = format!("Upload-Length: 1000\r\n{OCTETS}Upload-Checksum: sha1 {}\r\n", base64(&[1; 20]));
        clean(tus(&s, "POST", "/a/", &fields, &content), 460);
    });
    table.row(OURS, "the draft: another digest of the content", || {
        let fields = format!("Upload-Complete: ?0\r\nContent-Digest: {wrong}\r\n");
        clean(s.method("POST", "/a/x", &fields, &content), 400);
    });
    table.row(OURS, "a PATCH: what was there before stays", || {
        let target = create(&s, "known", 1000);
        patch(&s, &target, 0, &content[..100]).is(204);
        let fields = format!("{OCTETS}Upload-Offset: 100\r\nUpload-Checksum: sha1 {}\r\n", base64(&[1; 20]));
        tus(&s, "PATCH", &target, &fields, &content[100..]).is(460);
        assert_eq!((offset(&s, &target), parts(&s)), (100, (100, 1)));
        tus(&s, "DELETE", &target, "", b"").is(204);
    });
}

/// It held its room at the other process until it expired, a day later.
#[test]
fn an_upload_that_another_process_ends_gives_its_room_back() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("two processes, one quota");
    let ends: [(&str, &dyn Fn(&Server, &str)); 3] = [
        ("cancelled", &|s, target| _ = tus(s, "DELETE", target, "", b"").is(204)),
        ("stored, and removed", &|s, target| {
            patch(s, target, 600, &noise(300)).is(204);
            s.method("DELETE", "/a/x", "", b"").is(204);
        }),
        ("stored, and its record is kept", &|s, target| {
            patch(s, target, 600, &noise(300)).is(204);
            std::fs::remove_file(s.path("html/a/x")).expect("removed");
        }),
    ];
    for (name, end) in ends {
        table.row(OURS, name, || {
            let (a, b) = pair("upload_quota 1000;");
            let target = create(&b, "x", 900);
            patch(&b, &target, 0, &noise(600)).is(204);
            b.method("PUT", "/a/y", "", &noise(500)).is(507);
            end(&a, &target);
            eventually("its room is free", || b.method("PUT", "/a/y", "", &noise(500)).status == 201);
        });
    }
}

/// It needed room for the old file and the new one; a plain PUT needs only what it adds.
#[test]
fn an_upload_that_replaces_a_file_needs_room_for_what_it_adds() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("a file is replaced under a quota");
    let new = noise(950);
    let ready = || {
        let s = running(area_of("upload_quota 1000; upload_on_duplicate overwrite;").restartable());
        s.write("html/a/x", noise(900));
        s
    };
    table.row(OURS, "tus: what it adds is held, and one upload has the room of the old file", || {
        let s = ready();
        let target = create(&s, "x", 950);
        let fields = format!("Upload-Length: 950\r\n{}", filename("x"));
        tus(&s, "POST", "/a/", &fields, b"").is(507);
        s.method("PUT", "/a/y", "", &noise(51)).is(507);
        s.method("PUT", "/a/y", "", &noise(50)).is(201);
        patch(&s, &target, 0, &new[..400]).is(204);
        patch(&s, &target, 400, &new[400..]).is(204);
        assert!(s.read("html/a/x") == new);
        s.method("PUT", "/a/z", "", b"1").is(507);
    });
    table.row(OURS, "a cancelled one gives the room back", || {
        let s = ready();
        for _ in 0..3 {
            let target = create(&s, "x", 950);
            tus(&s, "DELETE", &target, "", b"").is(204);
        }
    });
    table.row(OURS, "no length is announced", || {
        let s = ready();
        let target = deferred(&s, "x");
        append(&s, &target, 0, "", &noise(1100)).is(507);
        assert_eq!(offset(&s, &target), 1000);
        tus(&s, "DELETE", &target, "", b"").is(204);
        let target = deferred(&s, "x");
        append(&s, &target, 0, "Upload-Length: 950\r\n", &new).is(204);
        assert!(s.read("html/a/x") == new);
    });
    table.row(OURS, "the draft, by PUT, and after a restart", || {
        let mut s = ready();
        let fields = "Upload-Complete: ?0\r\nUpload-Length: 950\r\n";
        let target = located(s.method("PUT", "/a/x", fields, &new[..400]).is(201));
        s.kill_and_restart();
        let fields = "Content-Type: application/partial-upload\r\nUpload-Complete: ?1\r\nUpload-Offset: 400\r\n";
        s.method("PATCH", &target, fields, &new[400..]).is_one_of(&[200, 204]);
        assert!(s.read("html/a/x") == new);
    });
    table.row(OURS, "what is not replaced frees nothing", || {
        let s = ready();
        tus(&s, "POST", "/a/", &format!("Upload-Length: 950\r\n{}", filename("other")), b"").is(507);
        tus(&s, "POST", "/a/", &format!("Upload-Length: 1001\r\n{}", filename("x")), b"").is(507);
        s.method("PUT", "/a/x", "If-None-Match: *\r\nUpload-Complete: ?0\r\n", &new).is(412);
    });
}

/// Its client was told no URI, and its bytes took room for a day.
#[test]
fn a_creation_that_is_cut_before_its_uri_is_told_leaves_nothing() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_quota 1000;");
    let mut table = Table::new("a creation is cut");
    let begun = |head: &str, fields: &str| {
        let mut client = s.client();
        client.send(format!("{head} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 900\r\n\r\n"));
        client.send(noise(600));
        client
    };
    let tus_fields = format!("Tus-Resumable: 1.0.0\r\nUpload-Length: 900\r\n{}{OCTETS}", filename("x"));
    let rows = [("tus", "POST /a/", &tus_fields[..]), ("the draft without 104", "PUT /a/x", "Upload-Complete: ?0\r\n")];
    for (name, head, fields) in rows {
        table.row(OURS, name, || {
            let client = begun(head, fields);
            eventually("its bytes arrive", || parts(&s).0 == 600);
            drop(client);
            eventually("nothing is left", || parts(&s) == (0, 0));
            s.method("PUT", "/a/all", "", &noise(1000)).is(201);
            s.method("DELETE", "/a/all", "", b"").is(204);
        });
    }
    table.row(OURS, "the draft, told by 104: it goes on", || {
        let fields = "Upload-Complete: ?0\r\nUpload-Draft-Interop-Version: 8\r\n";
        let mut client = begun("PUT /a/x", fields);
        let interim = client.response();
        let target = located(interim.is(104));
        eventually("its bytes arrive", || parts(&s).0 == 600);
        drop(client);
        let rest = "Content-Type: application/partial-upload\r\nUpload-Complete: ?1\r\nUpload-Offset: 600\r\n";
        s.method("PATCH", &target, rest, &noise(900)[600..]).is_one_of(&[200, 201, 204]);
        assert!(s.read("html/a/x") == noise(900));
        s.method("DELETE", "/a/x", "", b"").is(204);
    });
    table.row(OURS, "told by 201: it goes on", || {
        let target = located(tus(&s, "POST", "/a/", &tus_fields, &noise(900)[..600]).is(201));
        assert_eq!(offset(&s, &target), 600);
        patch(&s, &target, 600, &noise(900)[600..]).is(204);
        assert!(s.read("html/a/x") == noise(900));
    });
}

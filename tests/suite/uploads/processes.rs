//! Several servers on one store: an upload may go on at any of them, and no two ever write to it at once.

use super::resumable::{OCTETS, create, filename, offset, patch, tus};
use super::*;
use crate::harness::Server;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use webserv::sys::file::{flock, unlock};

const STATE: &str = "html/a/.webserv-upload-state";
const HELLO: &str = "Upload-Checksum: sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=\r\n";

fn block(root: &str, settings: &str) -> String {
    let methods = if settings.contains("dav_methods") { "MKCOL COPY MOVE" } else { "" };
    format!(
        "client_max_body_size 10m;
         location /a/ {{ {root} allowed_methods GET POST PUT DELETE {methods}; upload_resumable on; {settings} }}"
    )
}

/// Two servers with one `/a/`: the files are in the first one's directory.
pub fn pair(settings: &str) -> (Server, Server) {
    let first = running(server(&block("", settings)).file("html/index.html", "index").mkdir("html/a"));
    let root = format!("root {};", first.path("html").display());
    let second = running(server(&block(&root, settings)).file("html/index.html", "index"));
    (first, second)
}

/// A PATCH of which only a part is sent.
pub fn begin(s: &Server, target: &str, offset: usize, length: usize, sent: &[u8], fields: &str) -> Client {
    let mut client = s.client();
    client.send(format!(
        "PATCH {target} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: {offset}\r\n\
         {fields}Content-Length: {length}\r\n\r\n"
    ));
    client.send(sent);
    client
}

pub fn size_of_part(s: &Server, target: &str) -> usize {
    let id = target.rsplit('=').next().unwrap_or_default();
    std::fs::metadata(s.path(&format!("{STATE}/{id}.part"))).map_or(0, |stat| stat.len() as usize)
}

#[test]
fn a_look_at_one_process_does_not_cut_what_another_writes() {
    if skip_on_nginx("uploads") {
        return;
    }
    let (a, b) = pair("");
    let mut table = Table::new("two processes, one upload");
    table.row(OURS, "with a checksum under way, the newer request has it and the older is cut", || {
        for method in ["HEAD", "PATCH"] {
            let target = create(&a, &format!("checked-{method}.txt"), 5);
            let mut older = begin(&a, &target, 0, 5, b"hel", HELLO);
            eventually("bytes arrive", || size_of_part(&a, &target) == 3);
            match method {
                "HEAD" => assert_eq!(offset(&b, &target), 0, "what no checksum was compared of does not count"),
                _ => {
                    tus(&b, "PATCH", &target, &format!("{OCTETS}Upload-Offset: 0\r\n{HELLO}"), b"hello").is(204);
                }
            }
            older.try_send("lo");
            assert_eq!(older.rest(), b"", "no answer, least of all a 204");
            if method == "HEAD" {
                assert_eq!(size_of_part(&a, &target), 0);
                tus(&a, "PATCH", &target, &format!("{OCTETS}Upload-Offset: 0\r\n{HELLO}"), b"hello").is(204);
            }
            assert_eq!(a.read(&format!("html/a/checked-{method}.txt")), b"hello");
        }
    });
    table.row(OURS, "a client whose line broke silently goes on elsewhere", || {
        let content = noise(400_000);
        let target = create(&a, "silent.bin", content.len());
        let mut servers = [&a, &b].into_iter().cycle();
        let mut silent = Vec::new();
        let mut at = 0;
        for cut in [100_000, 200_000, 300_000] {
            let s = servers.next().expect("there are two");
            silent.push(begin(s, &target, at, content.len() - at, &content[at..cut], ""));
            eventually("bytes arrive", || size_of_part(&a, &target) == cut);
            at = offset(if std::ptr::eq(s, &a) { &b } else { &a }, &target);
            assert_eq!(at, cut);
        }
        patch(&b, &target, at, &content[at..]).is(204);
        assert!(a.read("html/a/silent.bin") == content);
    });
    table.row(OURS, "of two parts for one offset one counts", || {
        let pieces = [noise(70_000), noise(70_001).split_off(1)];
        for round in 0..20 {
            let target = create(&a, &format!("race-{round}"), 140_000);
            let stored = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for (s, piece) in [&a, &b].into_iter().zip(&pieces) {
                    let (target, stored) = (&target, &stored);
                    scope.spawn(move || {
                        let mut client = begin(s, target, 0, piece.len(), piece, "");
                        if let Ok(r) = client.try_response(false) {
                            r.is_one_of(&[204, 409]);
                            stored.fetch_add(usize::from(r.status == 204), Ordering::Relaxed);
                        }
                    });
                }
            });
            let there = offset(&a, &target);
            let id = target.rsplit('=').next().unwrap_or_default();
            let part = a.read(&format!("{STATE}/{id}.part"));
            assert_eq!(part.len(), there);
            assert!(stored.into_inner() <= 1, "both were told that theirs is stored");
            // One may have been cut, and the other gone on where it was.
            assert!(pieces.iter().any(|piece| part == piece[..there.min(piece.len())]), "round {round}: a mixture");
            tus(&b, "DELETE", &target, "", b"").is(204);
        }
    });
    table.row(OURS, "nothing is left behind but how uploads ended", || {
        let left: Vec<String> = a.snapshot(STATE).into_keys().collect();
        assert!(!left.is_empty() && left.iter().all(|name| name.ends_with(".state")), "{left:?}");
    });
}

#[test]
fn a_finished_upload_is_known_to_each_process() {
    if skip_on_nginx("uploads") {
        return;
    }
    let (a, b) = pair("");
    let mut table = Table::new("how it ended");
    for (begun, ended) in [(&a, &a), (&a, &b), (&b, &a), (&b, &b)] {
        let name = format!("{}-{}", begun.port(), ended.port());
        table.row(OURS, &name, || {
            let target = create(begun, &name, 5);
            patch(ended, &target, 0, b"hello").is(204);
            let draft = begun.method("POST", &format!("/a/draft-{name}"), "Upload-Complete: ?0\r\n", b"he");
            let draft = located(draft.is(201));
            let fields = "Content-Type: application/partial-upload\r\nUpload-Offset: 2\r\nUpload-Complete: ?1\r\n";
            ended.method("PATCH", &draft, fields, b"llo").is_one_of(&[200, 201, 204]);
            for s in [&a, &b] {
                assert_eq!(offset(s, &target), 5);
                patch(s, &target, 5, b"").is(204).has("Upload-Offset", "5");
                s.method("HEAD", &draft, "", b"").is(204).has("Upload-Complete", "?1").has("Upload-Offset", "5");
            }
        });
    }
}

#[test]
fn uploads_begin_while_another_process_removes_the_empty_state_directory() {
    if skip_on_nginx("uploads") {
        return;
    }
    let (a, b) = pair("");
    std::thread::scope(|scope| {
        for s in [&a, &b] {
            for thread in 0..2 {
                scope.spawn(move || {
                    for round in 0..60 {
                        let name = format!("{}-{thread}-{round}", s.port());
                        let r = tus(s, "POST", "/a/", &format!("Upload-Length: 5\r\n{}", filename(&name)), b"");
                        r.is(201);
                        tus(s, "DELETE", &located(&r), "", b"").is(204);
                    }
                });
            }
        }
    });
    assert!(!a.exists(STATE));
}

#[test]
fn an_upload_does_not_expire_while_another_process_writes_to_it() {
    if skip_on_nginx("uploads") {
        return;
    }
    let (a, b) = pair("upload_resumable_max_age 1s;");
    let target = create(&a, "long.txt", 6);
    // The other process knows of it, and would remove it.
    assert_eq!(offset(&b, &target), 0);
    let mut client = begin(&a, &target, 0, 6, b"1", "");
    for byte in [b"2", b"3", b"4", b"5"] {
        std::thread::sleep(std::time::Duration::from_millis(500));
        client.send(byte);
    }
    client.send(b"6").response().is(204);
    assert_eq!(a.read("html/a/long.txt"), b"123456");
}

#[test]
fn what_a_killed_process_began_goes_on_in_another() {
    if skip_on_nginx("uploads") {
        return;
    }
    let (mut a, b) = {
        let first = server(&block("", "")).file("html/index.html", "index").mkdir("html/a").restartable();
        let first = running(first);
        let root = format!("root {};", first.path("html").display());
        let second = running(server(&block(&root, "")).file("html/index.html", "index"));
        (first, second)
    };
    let content = noise(1_000_000);
    let target = create(&a, "killed.bin", content.len());
    // Turns of its loop: it has looked through what was there at its start.
    for _ in 0..2 {
        b.get("/index.html").is(200);
    }
    let mut at = 0;
    for cut in [300_000, 600_000] {
        let client = begin(&a, &target, at, content.len() - at, &content[at..cut], "");
        eventually("bytes arrive", || size_of_part(&a, &target) == cut);
        a.kill_and_restart();
        drop(client);
        at = offset(&b, &target);
        assert_eq!(at, cut);
        patch(&b, &target, at, &content[at..at + 1000]).is(204);
        at += 1000;
    }
    patch(&b, &target, at, &content[at..]).is(204);
    assert!(a.read("html/a/killed.bin") == content);
    // Whichever is asked knows that it is complete, also one that was not there then.
    for s in [&a, &b] {
        assert_eq!(offset(s, &target), content.len());
    }
    a.kill_and_restart();
    assert_eq!(offset(&a, &target), content.len());
    // The one that was started again obeys signals once it serves.
    a.get("/index.html").is(200);
}

/// Each of four processes has room for all, the area has not: what is there in the end is the quota, to the byte.
#[test]
fn four_processes_keep_one_quota() {
    if skip_on_nginx("uploads") {
        return;
    }
    let settings = "upload_create_path on; upload_quota 60000 files=200 shared; upload_on_duplicate rename;";
    let first = running(server(&block("", settings)).file("html/index.html", "index").mkdir("html/a"));
    let root = format!("root {};", first.path("html").display());
    let more: Vec<Server> =
        (0..3).map(|_| running(server(&block(&root, settings)).file("html/index.html", "index"))).collect();
    let stored = AtomicUsize::new(0);
    let content = noise(1000);
    std::thread::scope(|scope| {
        for (process, s) in more.iter().chain([&first]).enumerate() {
            for thread in 0..2 {
                let (stored, content) = (&stored, &content);
                scope.spawn(move || {
                    for round in 0..25 {
                        // Plain, without a length, and in pieces: each way ends at the same lock.
                        let name = format!("{process}-{thread}-{round}");
                        let status = match round % 3 {
                            0 => s.method("PUT", &format!("/a/{name}"), "", content).status,
                            1 => {
                                let body = [&b"3e8\r\n"[..], content, b"\r\n0\r\n\r\n"].concat();
                                let fields = "Transfer-Encoding: chunked\r\n";
                                s.method("PUT", &format!("/a/sub/{name}"), fields, &body).status
                            }
                            _ => {
                                let fields = format!("Upload-Length: 1000\r\n{OCTETS}{}", filename(&name));
                                tus(s, "POST", "/a/", &fields, content).status
                            }
                        };
                        assert!([201, 507].contains(&status), "{status}");
                        stored.fetch_add(usize::from(status == 201), Ordering::Relaxed);
                    }
                });
            }
        }
    });
    let files = |s: &Server| {
        let names = s.snapshot("html/a").into_keys();
        names.filter(|name| !name.ends_with('/') && !name.contains(".webserv-")).collect::<Vec<_>>()
    };
    assert_eq!((files(&first).len(), stored.into_inner()), (60, 60));
    // What goes makes room, whichever process removed it. Each process may still keep room for an upload of each of its
    // two clients that found none at its end, and may be gone on with.
    for gone in files(&first).iter().take(3) {
        first.method("DELETE", &format!("/a/{gone}"), "", b"").is(204);
    }
    more[0].method("PUT", "/a/again", "", &content).is(201);
    let put = |at: usize| more[0].method("PUT", &format!("/a/more-{at}"), "", &content).status;
    assert!((0..3).any(|at| put(at) == 507), "there is room for two more at most");
}

/// For up to a second it was counted as a file and as an upload: 507 in an area that was half empty.
#[test]
fn an_upload_that_another_process_ended_is_not_counted_twice() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("ended at the other process");
    type End = fn(&Server, &str);
    let stored: End = |b, target| _ = patch(b, target, 0, &[b'p'; 9000]).is(204);
    let deleted: End = |b, target| _ = tus(b, "DELETE", target, "", b"").is(204);
    type Next = fn(&Server) -> u16;
    let put: Next = |a| a.method("PUT", "/a/next", "", &[b'n'; 9000]).status;
    let chunked: Next = |a| {
        let body = [&b"2328\r\n"[..], &[b'n'; 9000], b"\r\n0\r\n\r\n"].concat();
        a.method("PUT", "/a/next", "Transfer-Encoding: chunked\r\n", &body).status
    };
    let begun: Next = |a| tus(a, "POST", "/a/", &format!("Upload-Length: 9000\r\n{}", filename("next")), b"").status;
    let draft: Next = |a| a.method("PUT", "/a/next", "Upload-Complete: ?0\r\n", &[b'n'; 9000]).status;
    let copied: Next = |a| a.method("COPY", "/a/source", "Destination: /a/next\r\n", b"").status;
    for (what, end, next) in [
        ("stored, PUT", stored, put),
        ("stored, PUT without a length", stored, chunked),
        ("stored, tus", stored, begun),
        ("stored, the draft", stored, draft),
        ("deleted, PUT", deleted, put),
        ("deleted, the draft", deleted, draft),
        ("deleted, COPY", deleted, copied),
    ] {
        table.row(OURS, what, || {
            let settings = "upload_quota 20000 files=4 shared; dav_methods PUT COPY;";
            let a = running(server(&block("", settings)).file("html/index.html", "index").mkdir("html/a"));
            let root = format!("root {};", a.path("html").display());
            let b = running(server(&block(&root, settings)).file("html/index.html", "index"));
            if what.ends_with("COPY") {
                a.method("PUT", "/a/source", "", &[b's'; 6000]).is(201);
            }
            let fields = format!("Upload-Length: 9000\r\n{}", filename("f"));
            let target = located(tus(&a, "POST", "/a/", &fields, b"").is(201));
            // It has just looked at the upload.
            a.method("PUT", "/a/small", "", b"s").is(201);
            end(&b, &target);
            assert!([201, 204].contains(&next(&a)), "there is room");
        });
    }
}

/// The lock is with another process for as long as that likes: the upload waits for it, and no other client does.
#[test]
fn a_quotas_lock_that_another_process_keeps_makes_no_client_wait() {
    if skip_on_nginx("uploads") {
        return;
    }
    let settings = "upload_create_path on; upload_quota 60000 files=200 shared; dav_methods COPY;";
    let s = running(server(&block("", settings)).file("html/index.html", "index").file("html/a/old", "old"));
    s.method("PUT", "/a/first", "", b"first").is(201);
    let lock = std::fs::File::options().read(true).write(true).open(s.path("html/a/.webserv-quota")).expect("the lock");
    flock(lock.as_fd()).expect("it is free");
    let begin = |request: String| {
        let mut client = s.client();
        client.send(request);
        client
    };
    let mut put = begin("PUT /a/new/file HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfile".into());
    let mut copy = begin("COPY /a/old HTTP/1.1\r\nHost: a\r\nDestination: /a/copy\r\n\r\n".into());
    let fields = format!("Tus-Resumable: 1.0.0\r\nUpload-Length: 7\r\n{OCTETS}{}", filename("resumed"));
    let mut resumed = begin(format!("POST /a/ HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 7\r\n\r\nresumed"));
    // In the time that these take the loop goes round often.
    for _ in 0..100 {
        s.get("/index.html").is(200);
    }
    assert!(!s.exists("html/a/new") && !s.exists("html/a/copy") && !s.exists("html/a/resumed"));
    unlock(lock.as_fd()).expect("it was ours");
    put.response().is(201);
    copy.response().is(204);
    resumed.response().is(201);
    let read = |name: &str| s.read(&format!("html/a/{name}"));
    assert_eq!(
        (&read("new/file")[..], &read("copy")[..], &read("resumed")[..]),
        (&b"file"[..], &b"old"[..], &b"resumed"[..])
    );
}

/// What is there is counted while others are served, and together with what other processes store: large enough that it
/// is not done in one turn.
#[test]
fn a_large_area_is_counted_for_several_processes_without_making_a_client_wait() {
    if skip_on_nginx("uploads") {
        return;
    }
    let settings = "upload_quota 1g files=3004 shared;";
    let first = running(server(&block("", settings)).file("html/index.html", "index").mkdir("html/a"));
    for n in 0..3000 {
        std::fs::write(first.path(&format!("html/a/old-{n}")), "").expect("a file");
    }
    let root = format!("root {};", first.path("html").display());
    let second = running(server(&block(&root, settings)).file("html/index.html", "index"));
    let stored = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for (process, s) in [&first, &second].into_iter().enumerate() {
            for n in 0..5 {
                let stored = &stored;
                scope.spawn(move || {
                    let status = s.method("PUT", &format!("/a/{process}-{n}"), "", b"x").status;
                    assert!([201, 507].contains(&status), "{status}");
                    stored.fetch_add(usize::from(status == 201), Ordering::Relaxed);
                });
            }
        }
    });
    // Some may have been refused while others stored all the while; what is left is there for the next.
    let more = (0..5).filter(|n| first.method("PUT", &format!("/a/more-{n}"), "", b"x").status == 201).count();
    assert_eq!(stored.into_inner() + more, 4);
}

#[test]
fn the_first_upload_into_an_area_that_is_not_there_makes_it_before_its_quotas_lock() {
    if skip_on_nginx("uploads") {
        return;
    }
    // The lock is in the area.
    let settings = "upload_store users/$http_x_user; upload_create_path on; upload_quota 100 files=2 shared;";
    let s = running(server(&block("", settings)).file("html/index.html", "index"));
    let mut table = Table::new("the first upload of each user");
    table.row(OURS, "plain", || {
        s.method("PUT", "/a/one", "X-User: ann\r\n", b"hello").is(201);
        assert_eq!(s.read("users/ann/one"), b"hello");
    });
    table.row(OURS, "with folders, without a length", || {
        s.method("PUT", "/a/b/c/d", "X-User: bob\r\nTransfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")
            .is(201);
        assert_eq!(s.read("users/bob/b/c/d"), b"hello");
    });
    table.row(OURS, "resumable", || {
        let fields = format!("X-User: cid\r\nUpload-Length: 5\r\n{OCTETS}{}", filename("tus"));
        tus(&s, "POST", "/a/", &fields, b"hello").is(201);
        assert_eq!(s.read("users/cid/tus"), b"hello");
    });
    table.row(OURS, "what has no room leaves no directory", || {
        s.method("PUT", "/a/x/large", "X-User: dot\r\n", &noise(101)).is(507);
        s.method("PUT", "/a/x/large", "X-User: dot\r\nTransfer-Encoding: chunked\r\n", &chunk(&noise(101))).is(507);
        assert!(!s.exists("users/dot/x"));
    });
    table.row(OURS, "nor does it leave a trace in one that is there", || {
        std::fs::create_dir(s.path("users/eve")).expect("mkdir");
        s.method("PUT", "/a/large", "X-User: eve\r\n", &noise(101)).is(507);
        s.method("PUT", "/a/large", "X-User: eve\r\nTransfer-Encoding: chunked\r\n", &chunk(&noise(101))).is(507);
        assert_eq!(s.snapshot("users/eve").len(), 0);
    });
    table.row(OURS, "the quota holds from the first on", || {
        s.method("PUT", "/a/two", "X-User: ann\r\n", b"hello").is(201);
        s.method("PUT", "/a/three", "X-User: ann\r\n", b"hello").is(507);
    });
}

fn chunk(content: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", content.len()).as_bytes(), content, b"\r\n0\r\n\r\n"].concat()
}

#[test]
fn a_shared_quota_holds_where_a_location_is_one_file() {
    if skip_on_nginx("uploads") {
        return;
    }
    let block = "location = /one { dav_methods PUT DELETE COPY; upload_quota 100 files=3 shared; }";
    let s = running(server(block).file("html/index.html", "index"));
    let mut table = Table::new("location = /file with a shared quota");
    table.row(OURS, "it is made, replaced, and bounded", || {
        s.method("PUT", "/one", "", b"hello").is(201);
        s.method("PUT", "/one", "", b"again").is(204);
        s.method("PUT", "/one", "", &noise(101)).is(507);
    });
    table.row(OURS, "what lies beside it counts", || {
        s.method("DELETE", "/one", "", b"").is(204);
        s.write("html/beside", noise(90));
        s.method("PUT", "/one", "", &noise(11)).is(507);
        s.method("PUT", "/one", "", b"x").is(201);
    });
}

#[test]
fn two_processes_do_not_both_copy_into_what_is_left_of_a_quota() {
    if skip_on_nginx("uploads") {
        return;
    }
    const SIZE: u64 = 16 << 20;
    let (first, second) = pair("upload_quota 40m shared; dav_methods COPY;");
    std::fs::create_dir(first.path("html/a/tree")).expect("mkdir");
    let mut table = Table::new("there is room for one");
    for (name, source, end) in [("a file", "file", ""), ("a tree", "tree", "/")] {
        table.row(OURS, name, || {
            let path = first.path(&format!("html/a/{source}{}", if end.is_empty() { "" } else { "/in" }));
            std::fs::File::create(&path).and_then(|file| file.set_len(SIZE)).expect("the source");
            let mut clients = [&first, &second].map(|s| (s.port(), s.client()));
            for (port, client) in &mut clients {
                let to = format!("/a/{source}-{port}{end}");
                client.send(format!("COPY /a/{source}{end} HTTP/1.1\r\nHost: a\r\nDestination: {to}\r\n\r\n"));
            }
            let answers = clients.each_mut().map(|(_, client)| client.response().status);
            let there = [&first, &second].map(|s| first.exists(&format!("html/a/{source}-{}", s.port())));
            let stored = answers.map(|status| [201, 204].contains(&status));
            assert_eq!((stored, stored[0] != stored[1]), (there, true), "{answers:?}");
            assert!(answers.contains(&507), "{answers:?}");
            // What one row leaves is no part of the next.
            std::fs::remove_file(&path).expect("the source");
            for s in [&first, &second] {
                let copy = first.path(&format!("html/a/{source}-{}", s.port()));
                let _ = std::fs::remove_file(&copy).or_else(|_| std::fs::remove_dir_all(&copy));
            }
        });
    }
}

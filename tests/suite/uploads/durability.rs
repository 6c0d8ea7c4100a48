//! What is there after the process was killed, and what is promised to be on the disk.

use super::resumable::{area_of, create, filename, offset, patch, resumable, tus};
use super::resumable_rules::shorten;
use super::*;
use crate::strace::Strace;

#[test]
fn the_next_start_removes_what_a_killed_process_left() {
    if skip_on_nginx("uploads") {
        return;
    }
    let hidden = |id: &str| format!("html/over/.webserv-upload-{id}-7");
    let (ours, other) = (hidden("01234567"), hidden("fedcba98"));
    let s = setup("").file(&ours, "half").file(&other, "another process's");
    let journal = format!("01234567\0{}/html/over\0/gone\0", s.dir().display());
    let mut s = running(s.file("logs/webserv.pid.uploads", journal));
    assert!(!s.exists(&ours), "{:?}", s.snapshot("html/over"));
    assert!(s.exists(&other));
    // What this process could leave is noted before it is made.
    s.method("POST", "/over/old.txt", "", b"new").is_one_of(&[200, 204]);
    let noted = String::from_utf8(s.read("logs/webserv.pid.uploads")).expect("paths of this test");
    assert!(noted.ends_with(&format!("\0{}/html/over\0", s.setup.dir().display())), "{noted:?}");
    s.stop();
    assert!(!s.exists("logs/webserv.pid.uploads"), "nothing to look through after an orderly end");
}

#[test]
fn synced_uploads_are_answered_and_hold_up_nobody() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(
        setup(
            "location /sync/ { allowed_methods GET POST PUT; upload_sync on; upload_create_path on; }
         location /both/ { allowed_methods POST; upload_sync on; upload_quota 100k; upload_on_duplicate rename; }",
        )
        .mkdir("html/sync")
        .mkdir("html/both"),
    );
    let mut table = Table::new("upload_sync");
    table.row(OURS, "small, large, replaced, in new directories, empty", || {
        s.method("PUT", "/sync/x", "", b"small").is(201);
        s.method("PUT", "/sync/x", "", &noise(300_000)).is(204);
        assert_eq!(s.read("html/sync/x"), noise(300_000));
        s.method("PUT", "/sync/new/er/x", "", b"deep").is(201);
        assert_eq!(s.read("html/sync/new/er/x"), b"deep");
        s.method("PUT", "/sync/empty", "", b"").is(201);
        s.get("/sync/x").is(200).body_is(noise(300_000));
    });
    table.row(OURS, "a form, and what is refused", || {
        post_form(&s, "/sync/", &form(&[file("a", b"1"), file("b", b"2")])).is(201);
        let before = disk(&s);
        post_form(&s, "/sync/", &form(&[file("c", b"3"), file("b", b"2")])).is(409);
        s.method("PUT", "/sync/a", "If-None-Match: *\r\n", b"no").is(412);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "pipelined: each sees what the one before it stored", || {
        let mut client = s.client();
        for n in 0..20 {
            client.send(format!("PUT /sync/p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{n:02}"));
            client.send("GET /sync/p HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for n in 0..20 {
            client.response().is(if n == 0 { 201 } else { 204 });
            client.response().is(200).body_is(format!("{n:02}"));
        }
    });
    table.row(OURS, "fifty at once, others served meanwhile, within the quota", || {
        let mut clients: Vec<Client> = (0..50).map(|_| s.client()).collect();
        for client in &mut clients {
            client.send(request("POST", "/both/x.txt", "", &noise(1000)));
        }
        s.get("/").is(200);
        for client in &mut clients {
            client.response().is(201);
        }
        assert_eq!(s.snapshot("html/both").len(), 50);
    });
}

/// What is told of a resumable upload is on the disk before it is told, and the loop does not wait for that.
#[test]
fn synced_uploads_in_pieces_are_answered_and_hold_up_nobody() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_sync on; upload_create_path on;");
    let octets = super::resumable::OCTETS;
    let mut table = Table::new("upload_sync and upload_resumable");
    table.row(OURS, "tus: pieces, offsets, the end", || {
        let target = create(&s, "x", 300_000);
        let content = noise(300_000);
        patch(&s, &target, 0, &content[..100_000]).is(204).has("Upload-Offset", "100000");
        assert_eq!(offset(&s, &target), 100_000);
        patch(&s, &target, 100_000, &content[100_000..]).is(204).has("Content-Location", "/a/x");
        assert_eq!(offset(&s, &target), 300_000);
        assert!(s.read("html/a/x") == content);
    });
    table.row(OURS, "tus: all of it with the creation, nothing at all, in a new directory", || {
        let fields = format!("Upload-Length: 3\r\n{}{octets}", filename("whole"));
        tus(&s, "POST", "/a/", &fields, b"abc").is(201).has("Upload-Offset", "3");
        assert_eq!(s.read("html/a/whole"), b"abc");
        tus(&s, "POST", "/a/", &format!("Upload-Length: 0\r\n{}", filename("empty")), b"").is(201);
        assert_eq!(s.read("html/a/empty"), b"");
        tus(&s, "POST", "/a/new/er/deep", &format!("Upload-Length: 1\r\n{octets}"), b"d").is(201);
        assert_eq!(s.read("html/a/new/er/deep"), b"d");
    });
    table.row(OURS, "tus: refusals", || {
        let target = create(&s, "late", 2);
        s.write("html/a/late", "taken");
        patch(&s, &target, 0, b"ab").is(409);
        assert_eq!(s.read("html/a/late"), b"taken");
        tus(&s, "HEAD", &target, "", b"").is(410);
    });
    table.row(OURS, "the draft: pieces, offsets, the end", || {
        let partial = "Content-Type: application/partial-upload\r\n";
        let target = located(s.method("POST", "/a/draft", "Upload-Complete: ?0\r\n", b"0123").is(201));
        s.method("HEAD", &target, "", b"").is(204).has("Upload-Offset", "4");
        let fields = format!("{partial}Upload-Offset: 4\r\nUpload-Complete: ?0\r\n");
        s.method("PATCH", &target, &fields, b"45").is(204).has("Upload-Offset", "6");
        let fields = format!("{partial}Upload-Offset: 6\r\nUpload-Complete: ?1\r\n");
        s.method("PATCH", &target, &fields, b"67").is(201).has("Upload-Complete", "?1");
        assert_eq!(s.read("html/a/draft"), b"01234567");
    });
    table.row(OURS, "thirty at once, others served meanwhile, and clients that do not wait", || {
        let targets: Vec<String> = (0..30).map(|n| create(&s, &format!("many-{n}"), 50_000)).collect();
        let mut clients: Vec<Client> = targets.iter().map(|_| s.client()).collect();
        for (client, target) in clients.iter_mut().zip(&targets) {
            let fields = format!("Tus-Resumable: 1.0.0\r\n{octets}Upload-Offset: 0\r\n");
            client.send(request("PATCH", target, &fields, &noise(50_000)));
        }
        s.get("/").is(200);
        for (n, mut client) in clients.into_iter().enumerate() {
            match n % 3 {
                0 => client.reset(),
                _ => _ = client.response().is(204),
            }
        }
        for (n, target) in targets.iter().enumerate() {
            // Who went away may have gone before the end: then it goes on.
            if let at @ 0..50_000 = offset(&s, target) {
                patch(&s, target, at, &noise(50_000)[at..]).is(204);
            }
            assert!(s.read(&format!("html/a/many-{n}")) == noise(50_000), "{n}");
        }
    });
    table.row(OURS, "many ask at once, and all are told", || {
        let target = create(&s, "asked", 10);
        patch(&s, &target, 0, b"01234").is(204);
        let mut clients: Vec<Client> = (0..30).map(|_| s.client()).collect();
        for client in &mut clients {
            client.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
        for client in &mut clients {
            client.response_to_head().is(200).has("Upload-Offset", "5");
        }
        patch(&s, &target, 5, b"56789").is(204);
    });
    table.row(OURS, "pipelined: each is answered before the next is looked at", || {
        let target = create(&s, "p", 20);
        let mut client = s.client();
        for n in 0..10 {
            let fields = format!("Tus-Resumable: 1.0.0\r\n{octets}Upload-Offset: {}\r\n", n * 2);
            client.send(format!("PATCH {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 2\r\n\r\n{n:02}"));
            client.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
        for n in 1..=10 {
            client.response().is(204).has("Upload-Offset", &(2 * n).to_string());
            client.response_to_head().is(200).has("Upload-Offset", &(2 * n).to_string());
        }
        assert_eq!(s.read("html/a/p"), b"00010203040506070809");
    });
}

/// Each file is queued once for the kernel's workers, its directory once for all that wait for it; the loop itself
/// waits for no disk.
#[test]
fn syncs_of_many_uploads_are_few_and_queued() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(setup("location /sync/ { allowed_methods PUT; upload_sync on; }").mkdir("html/sync"));
    // Directories above are written the first time only.
    s.method("PUT", "/sync/first", "", b"1").is(201);
    let mut clients: Vec<Client> = (0..64).map(|_| s.ready_client()).collect();
    let options = ["-f", "-e", "trace=io_submit,fsync,fdatasync,syncfs"];
    let Some(strace) = Strace::attach(&s, &options) else { return };
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(request("PUT", &format!("/sync/{n}"), "", &noise(1000)));
    }
    clients.iter_mut().for_each(|client| _ = client.response().is(201));
    let text = strace.detach();
    // What the kernel had no room for is asked for again.
    let done = text.lines().filter(|line| !line.contains(" = -1 EAGAIN"));
    let queued = done.clone().filter(|line| line.contains("io_submit("));
    if queued.clone().next().is_none() || queued.clone().any(|line| line.contains(" = -1 ")) {
        return crate::harness::skipped("the kernel or the file system has no queue for syncs");
    }
    let count = |name: &str| done.clone().filter(|line| line.contains(&format!("{name}("))).count();
    assert_eq!((count("fsync"), count("fdatasync"), count("syncfs")), (0, 0, 0), "the loop waits for no disk");
    let queued = queued.count();
    println!("64 uploads, {queued} syncs queued");
    // At most a directory's sync for each: where every upload is done before the next one is read.
    assert!((65..=128).contains(&queued), "{queued} syncs of 64 files");
}

/// What a machine that stopped had not written may be holes of zeros: none of it counts. What a process that was killed
/// had written does.
#[test]
fn after_a_restart_of_the_machine_what_was_on_the_disk_counts() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut s = running(area_of("upload_sync on;").restartable());
    let content = noise(50_000);
    let target = create(&s, "x", content.len());
    patch(&s, &target, 0, &content[..20_000]).is(204);
    let id = target.rsplit('=').next().expect("an id").to_owned();
    let file = |kind: &str| format!("html/a/.webserv-upload-state/{id}.{kind}");
    let mut client = s.client();
    let fields = format!("Tus-Resumable: 1.0.0\r\n{octets}Upload-Offset: 20000\r\n", octets = super::resumable::OCTETS);
    client.send(format!("PATCH {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 30000\r\n\r\n"));
    client.send(&content[20_000..40_000]);
    eventually("bytes arrive", || s.read(&file("part")).len() == 40_000);
    s.kill_and_restart();
    drop(client);
    let record = String::from_utf8(s.read(&file("state"))).expect("text");
    let marks = record.lines().nth(1).expect("marks").to_owned();
    assert!(marks.contains(" 000000000000020000 "), "{marks}");
    // As it is found by the next start of the same machine.
    let (machine, start) = marks["marks ".len()..].split_at(32);
    let other = format!("{machine}{}{}", "e".repeat(32), &start[32..]);
    s.write(&file("state"), record.replace(&marks["marks ".len()..], &other));
    assert_eq!(offset(&s, &target), 20_000);
    assert_eq!(s.read(&file("part")), &content[..20_000]);
    patch(&s, &target, 20_000, &content[20_000..30_000]).is(204);
    let record = String::from_utf8(s.read(&file("state"))).expect("text");
    assert!(record.contains(&format!("marks {machine}{} 000000000000030000 ", &start[..32])), "{record}");
    patch(&s, &target, 30_000, &content[30_000..]).is(204);
    assert!(s.read("html/a/x") == content);
}

#[test]
fn a_finished_upload_is_known_after_a_restart_where_its_state_has_a_place() {
    if skip_on_nginx("uploads") {
        return;
    }
    let settings = "upload_state_store elsewhere/state; upload_on_duplicate rename; upload_resumable_max_age 1h;";
    let mut s = area_of(settings).restartable().start();
    s.get("/").is(200);
    let target = create(&s, "old name", 4);
    s.write("html/a/old name", "taken");
    patch(&s, &target, 0, b"0123").is(204).has("Content-Location", "/a/old%20name-1");
    let partial = "Content-Type: application/partial-upload\r\n";
    let draft = located(s.method("POST", "/a/draft", "Upload-Complete: ?0\r\n", b"01").is(201));
    let end = format!("{partial}Upload-Offset: 2\r\nUpload-Complete: ?1\r\n");
    s.method("PATCH", &draft, &end, b"23").is(201);
    let states = |s: &Server| s.snapshot("elsewhere/state").into_keys().collect::<Vec<_>>();
    assert_eq!(states(&s).len(), 2, "{:?}", states(&s));
    for _ in 0..2 {
        s.kill_and_restart();
        assert_eq!(offset(&s, &target), 4);
        patch(&s, &target, 4, b"").is(204).has("Upload-Offset", "4");
        patch(&s, &target, 4, b"x").is(409);
        s.method("HEAD", &draft, "", b"").is(204).has("Upload-Complete", "?1").has("Upload-Offset", "4");
        let again = format!("{partial}Upload-Offset: 4\r\nUpload-Complete: ?1\r\n");
        s.method("PATCH", &draft, &again, b"").is(201);
        assert_eq!(s.read("html/a/old name-1"), b"0123");
        assert_eq!(states(&s).len(), 2);
    }
    // Cancelled, then expired: what was stored stays.
    tus(&s, "DELETE", &target, "", b"").is(204);
    tus(&s, "HEAD", &target, "", b"").is(410);
    assert_eq!(states(&s).len(), 1);
    shorten(&s, "elsewhere/state", "");
    s.kill_and_restart();
    eventually("the record expires", || {
        s.get("/").is(200);
        states(&s).is_empty()
    });
    s.method("HEAD", &draft, "", b"").is(410);
    tus(&s, "HEAD", &target, "", b"").is(404);
    assert_eq!((s.read("html/a/draft"), s.read("html/a/old name-1")), (b"0123".to_vec(), b"0123".to_vec()));
}

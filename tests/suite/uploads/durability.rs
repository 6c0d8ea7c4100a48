//! What is there after the process was killed, and what is promised to be on the disk.

use super::*;

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

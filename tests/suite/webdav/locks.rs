//! LOCK, UNLOCK and `If`, and that every write asks for locks.

use super::*;
use crate::harness::{eventually, post_files};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use webserv::sys::file::{flock, unlock};

fn with(token: &str) -> String {
    format!("If: (<{token}>)\r\n")
}

#[test]
fn a_delete_that_fails_leaves_the_lock() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    // Another way to the same files, on which a directory is removed once it is empty.
    let block = "location / { dav_methods PUT DELETE; dav_ext_lock zone=locks; dav_ext_methods LOCK OPTIONS; }
                 location /way/ { alias %%DIR%%/html/; allowed_methods GET DELETE; }";
    let s = with_locks(block).file("html/d/f", "old").start();
    let token = lock(&s, "/d", "");
    s.method("DELETE", "/way/d/", &with(&token), b"").is(409);
    s.method("PUT", "/d/f", "", b"another's").is(423);
    assert_eq!(s.read("html/d/f"), b"old");
    s.method("DELETE", "/way/d/f", &with(&token), b"").is(204);
    s.method("DELETE", "/way/d/", &with(&token), b"").is(204);
    s.method("PUT", "/d", "", b"free").is(201);
}

#[test]
fn a_delete_that_fails_half_way_leaves_the_lock() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let files = share().file("html/d/a", "a").file("html/d/shut/x", "x");
    let s = files.mode("html/d/shut", 0o555).unprivileged().start();
    let token = lock(&s, "/d", "");
    s.method("DELETE", "/d/", &with(&token), b"").is(403);
    s.method("PUT", "/d/new", "", b"another's").is(423);
    assert!(propfind(&s, "/d/", "0", "").text().contains(&token));
    std::fs::set_permissions(s.path("html/d/shut"), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    s.method("DELETE", "/d/", &with(&token), b"").is(204);
    s.method("PUT", "/d", "", b"free").is(201);
}

#[test]
fn a_move_ends_no_lock_that_another_client_has_got_on_the_old_name_since() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    // What is replaced takes many turns to remove.
    let mut setup = share().file("html/s/f", "f");
    for dir in 0..40 {
        for file in 0..40 {
            setup = setup.file(&format!("html/t/{dir}/{file}"), "");
        }
    }
    let s = setup.start();
    let token = lock(&s, "/s", "");
    let mut moving = s.client();
    moving.send(format!("MOVE /s/ HTTP/1.1\r\nHost: localhost\r\nDestination: /t/\r\n{}\r\n", with(&token)).as_bytes());
    eventually("the name has gone", || !s.path("html/s").exists());
    s.method("MKCOL", "/s/", "", b"").is(201);
    let other = lock(&s, "/s", "");
    moving.response().is(204);
    s.method("PUT", "/s/x", "", b"another's").is(423);
    s.method("PUT", "/s/x", &with(&other), b"own").is(201);
    s.method("PUT", "/t/x", "", b"the lock does not move").is(201);
}

#[test]
fn a_lock_keeps_others_from_writing() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/f", "old").file("html/d/in/a", "a").mkdir("html/e").start();
    let mut table = Table::new("locks");
    table.row(OURS, "a file: only who has its token writes", || {
        let token = lock(&s, "/f", "Timeout: Second-60\r\n");
        s.method("PUT", "/f", "", b"new").is(423);
        s.method("DELETE", "/f", "", b"").is(423).contains("<D:lock-token-submitted><D:href>/f</D:href>");
        s.method("MOVE", "/f", "Destination: /g\r\n", b"").is(423);
        s.method("COPY", "/d/in/a", "Destination: /f\r\n", b"").is(423);
        s.method("LOCK", "/f", "", OWNED_LOCKINFO.as_bytes()).is(423).contains("<D:no-conflicting-lock>");
        s.method("PUT", "/f", &with("urn:uuid:00000000-0000-4000-8000-000000000000"), b"new").is(412);
        assert_eq!(s.read("html/f"), b"old");
        s.get("/f").is(200);
        s.method("COPY", "/f", "Destination: /g\r\n", b"").is(201);
        s.method("PUT", "/f", &with(&token), b"new").is(204);
        let r = propfind(&s, "/f", "0", "");
        r.contains(&token).contains("<D:owner><D:href>mailto:a@example</D:href></D:owner>").contains("<D:exclusive/>");
        s.method("UNLOCK", "/f", &format!("Lock-Token: <{token}>\r\n"), b"").is(204);
        s.method("PUT", "/f", "", b"free").is(204);
    });
    table.row(OURS, "a token that another user has seen is of no use", || {
        let (u, v) = ("Authorization: Basic dTpw\r\n", "Authorization: Basic djpw\r\n");
        let block =
            "location / { dav_methods PUT; dav_ext_lock zone=locks; dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK;
                                  auth_basic a; auth_basic_user_file %%DIR%%/users; }
                     location /open/ { alias %%DIR%%/html/; dav_methods PUT; dav_ext_lock zone=locks;
                                       dav_ext_methods LOCK UNLOCK; }";
        let s = with_locks(block).file("html/f", "old").file("users", "u:{PLAIN}p\nv:{PLAIN}p\n").start();
        let token = lock(&s, "/f", u);
        let unlock = format!("Lock-Token: <{token}>\r\n");
        s.method("PROPFIND", "/f", &format!("{v}Depth: 0\r\n"), b"").is(207).contains(&token);
        // Where no password is checked, a name proves nothing.
        s.method("PUT", "/open/f", &format!("{u}{}", with(&token)), b"x").is(423);
        s.method("PUT", "/f", &format!("{v}{}", with(&token)), b"x").is(423);
        s.method("LOCK", "/f", &format!("{v}{}", with(&token)), b"").is(403);
        s.method("UNLOCK", "/f", &format!("{v}{unlock}"), b"").is(403);
        s.method("LOCK", "/f", &format!("{u}{}", with(&token)), b"").is(200);
        s.method("PUT", "/f", &format!("{u}{}", with(&token)), b"own").is(204);
        s.method("UNLOCK", "/f", &format!("{u}{unlock}"), b"").is(204);
    });
    table.row(OURS, "a collection: all below, and its names", || {
        let token = lock(&s, "/d", "");
        s.method("PUT", "/d/in/a", "", b"x").is(423);
        s.method("PUT", "/d/new", "", b"x").is(423);
        s.method("MKCOL", "/d/c", "", b"").is(423);
        s.method("DELETE", "/d", "", b"").is(423);
        s.method("LOCK", "/d/in/a", "", OWNED_LOCKINFO.as_bytes()).is(423);
        s.method("PUT", "/d/new", &format!("If: </d> (<{token}>)\r\n"), b"x").is(201);
        let r = propfind(&s, "/d/in/", "1", "");
        assert_eq!(r.text().matches(&token).count(), 2, "the lock holds for both: {}", r.text());
        s.method("UNLOCK", "/d/in/a", &format!("Lock-Token: <{token}>\r\n"), b"").is(204);
    });
    table.row(OURS, "depth 0 locks a collection's names alone", || {
        let token = lock(&s, "/d/", "Depth: 0\r\n");
        s.method("PUT", "/d/other", "", b"x").is(423);
        s.method("PUT", "/d/new", "", b"y").is(204);
        s.method("DELETE", "/d/new", "", b"").is(423);
        s.method("DELETE", "/d/new", &format!("If: </d/> (<{token}>)\r\n"), b"").is(204);
        s.method("UNLOCK", "/d/", &format!("Lock-Token: {token}\r\n"), b"").is(204);
    });
    table.row(OURS, "what is below keeps the collection", || {
        let token = lock(&s, "/d/in/a", "");
        s.method("DELETE", "/d", "", b"").is(423);
        s.method("MOVE", "/d", "Destination: /d2\r\n", b"").is(423);
        s.method("COPY", "/e", "Destination: /d\r\n", b"").is(423);
        s.method("LOCK", "/d", "", OWNED_LOCKINFO.as_bytes()).is(423);
        assert_eq!(s.read("html/d/in/a"), b"a");
        s.method("DELETE", "/d", &format!("If: </d/in/a> (<{token}>)\r\n"), b"").is(204);
        s.method("MKCOL", "/d", "", b"").is(201);
        s.method("PUT", "/d/in", "", b"no lock is left").is(201);
    });
    table.row(OURS, "a name that is free", || {
        let r = s.method("LOCK", "/fresh", "", OWNED_LOCKINFO.as_bytes());
        r.is(201);
        let token = r.header("Lock-Token").expect("one").trim_matches(['<', '>']).to_owned();
        assert_eq!(s.read("html/fresh"), b"");
        s.method("PUT", "/fresh", "", b"x").is(423);
        s.method("PUT", "/fresh", &with(&token), b"x").is(204);
        s.method("LOCK", "/no/such/x", "", OWNED_LOCKINFO.as_bytes()).is(409);
        s.method("LOCK", "/.webserv-upload-x", "", OWNED_LOCKINFO.as_bytes()).is(404);
        assert!(!s.exists("html/.webserv-upload-x"));
    });
    table.row(OURS, "refresh", || {
        let token = lock(&s, "/f", "Timeout: Second-5\r\n");
        let r = s.method("LOCK", "/f", &format!("Timeout: Second-300\r\n{}", with(&token)), b"");
        r.is(200).contains("<D:timeout>Second-300</D:timeout>").lacks("Lock-Token");
        s.method("LOCK", "/f", "", b"").is(400);
        s.method("LOCK", "/f", &with("urn:uuid:00000000-0000-4000-8000-000000000000"), b"").is(412);
        s.method("UNLOCK", "/f", "Lock-Token: <urn:x>\r\n", b"").is(409);
        s.method("UNLOCK", "/f", "", b"").is(400);
        s.method("UNLOCK", "/f", &format!("Lock-Token: <{token}>\r\n"), b"").is(204);
    });
    table.row(OURS, "a lock ends by itself", || {
        lock(&s, "/f", "Timeout: Second-1\r\n");
        s.method("PUT", "/f", "", b"x").is(423);
        crate::harness::eventually("it is over", || s.method("PUT", "/f", "", b"x").status == 204);
    });
    table.row(OURS, "If: states of resources", || {
        let tag = s.get("/f").header("ETag").expect("one").to_owned();
        s.method("PUT", "/f", &format!("If: ([{tag}])\r\n"), b"y").is(204);
        s.method("PUT", "/f", &format!("If: ([{tag}])\r\n"), b"z").is(412);
        s.method("PUT", "/f", &format!("If: (Not [{tag}])\r\n"), b"z").is(204);
        s.method("PUT", "/f", "If: (<DAV:no-lock>)\r\n", b"z").is(412);
        s.method("PUT", "/f", "If: (Not <DAV:no-lock>)\r\n", b"z").is(204);
        s.method("PUT", "/f", "If: (\r\n", b"z").is(400);
    });
}

#[test]
fn every_way_to_write_asks_for_locks() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let block = "location / { dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_lock zone=locks;
                      dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK PROPPATCH; }
         location /up/ { alias %%DIR%%/html/d/; allowed_methods GET POST PUT DELETE; upload_resumable on;
                         upload_on_duplicate overwrite; }";
    let s = with_locks(block).file("html/d/a", "old").start();
    let token = lock(&s, "/d/a", "");
    let mut table = Table::new("writes to what is locked, by another URI");
    table.row(OURS, "a form, a POST, a PUT, a DELETE", || {
        post_files(&s, "/up/", &[("a", "new")]).is(423);
        s.method("POST", "/up/a", "", b"new").is(423);
        s.method("PUT", "/up/a", "", b"new").is(423);
        s.method("DELETE", "/up/a", "", b"").is(423);
        s.method("PUT", "/up/b", "", b"new").is(201);
    });
    table.row(OURS, "resumable uploads, as they begin and as they end", || {
        let fields = "Tus-Resumable: 1.0.0\r\nUpload-Length: 3\r\n";
        let metadata = |name: &str| format!("{fields}Upload-Metadata: filename {name}\r\n");
        s.method("POST", "/up/", &metadata("YQ=="), b"").is(423);
        let r = s.method("POST", "/up/", &metadata("Yw=="), b"");
        let target = r.is(201).header("Location").expect("one").split_once("://").expect("URL").1.to_owned();
        let target = &target[target.find('/').expect("path")..];
        let other = lock(&s, "/d/c", "");
        let fields = "Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n";
        s.method("PATCH", target, fields, b"new").is(423);
        assert_eq!(s.read("html/d/c"), b"");
        s.method("UNLOCK", "/d/c", &format!("Lock-Token: <{other}>\r\n"), b"").is(204);
    });
    table.row(OURS, "nothing of it happened, and the token opens", || {
        assert_eq!(s.read("html/d/a"), b"old");
        s.method("PUT", "/up/a", &format!("If: (<{token}>)\r\n"), b"new").is_one_of(&[200, 204]);
    });
}

#[test]
fn shared_locks_share_and_a_zone_is_bounded() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/f", "f").mkdir("html/d").start();
    let shared = OWNED_LOCKINFO.replace("exclusive", "shared");
    let token = |r: &Response| r.header("Lock-Token").expect("one").trim_matches(['<', '>']).to_owned();
    let first = token(s.method("LOCK", "/f", "", shared.as_bytes()).is(200));
    let second = token(s.method("LOCK", "/f", "", shared.as_bytes()).is(200));
    assert_ne!(first, second);
    s.method("LOCK", "/f", "", OWNED_LOCKINFO.as_bytes()).is(423);
    s.method("PUT", "/f", "", b"x").is(423);
    s.method("PUT", "/f", &with(&second), b"x").is(204);
    for token in [&first, &second] {
        s.method("UNLOCK", "/f", &format!("Lock-Token: <{token}>\r\n"), b"").is(204);
    }
    // Each who lists the resource gets all of them.
    for _ in 0..64 {
        s.method("LOCK", "/f", "", shared.as_bytes()).is(200);
    }
    s.method("LOCK", "/f", "", shared.as_bytes()).is(423);
    // No error of the server.
    let line = |line: &str| line.contains("[info]") && line.contains("too many locks of \"/f\"");
    crate::harness::eventually("the log has a line of it", || s.error_log().lines().any(line));
    let owner = |length: usize| OWNED_LOCKINFO.replace("mailto:a@example", &"o".repeat(length));
    s.method("LOCK", "/d/new", "", owner(100_000).as_bytes()).is(400);
    let owner = owner(4000);
    let granted = (0..300).take_while(|n| {
        let r = s.method("LOCK", &format!("/d/{n}"), "", owner.as_bytes());
        r.is_one_of(&[201, 507]);
        r.status == 201
    });
    assert!((150..250).contains(&granted.count()), "a megabyte of locks");
    s.method("PUT", "/d/999", "", b"x").is(201);
}

/// LOCK of a free name makes a file: it is one of those that the quota counts, whichever process it is asked of.
#[test]
fn free_names_that_are_locked_count_in_a_quota_of_several_processes() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let area = "dav_methods PUT DELETE; dav_ext_methods PROPFIND LOCK UNLOCK; dav_ext_lock zone=locks;
                upload_quota 1m files=10 shared;";
    let first =
        with_locks(&format!("location /q/ {{ {area} }}")).file("html/index.html", "index").mkdir("html/q").start();
    let root = first.path("html").display().to_string();
    let second =
        with_locks(&format!("location /q/ {{ root {root}; {area} }}")).file("html/index.html", "index").start();
    let granted = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for (process, s) in [&first, &second].into_iter().enumerate() {
            for thread in 0..2 {
                let granted = &granted;
                scope.spawn(move || {
                    for n in 0..6 {
                        let r = s.method("LOCK", &format!("/q/{process}-{thread}-{n}"), "", OWNED_LOCKINFO.as_bytes());
                        r.is_one_of(&[201, 507]);
                        granted.fetch_add(usize::from(r.status == 201), std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        }
    });
    let files = || first.snapshot("html/q").into_keys().filter(|name| !name.contains(".webserv-")).collect::<Vec<_>>();
    assert_eq!((files().len(), granted.into_inner()), (10, 10));
    // While another process has the lock the client waits, and no other does.
    std::fs::remove_file(first.path("html/q").join(&files()[0])).expect("it is there");
    let path = first.path("html/q/.webserv-quota");
    let quota = std::fs::File::options().read(true).write(true).open(path).expect("the lock");
    flock(quota.as_fd()).expect("it is free");
    let mut client = second.client();
    client.send(crate::harness::request("LOCK", "/q/waits", "", OWNED_LOCKINFO.as_bytes()));
    for _ in 0..100 {
        second.get("/index.html").is(200);
    }
    assert!(!first.exists("html/q/waits"));
    unlock(quota.as_fd()).expect("it was ours");
    client.response().is(201);
    second.method("LOCK", "/q/more", "", OWNED_LOCKINFO.as_bytes()).is(507);
    assert_eq!(files().len(), 10);
}

#[test]
fn if_match_means_the_same_to_copy_move_and_delete_of_links_and_directories() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let mut table = Table::new("If-Match of COPY, MOVE and DELETE");
    for method in ["COPY", "MOVE", "DELETE"] {
        let s = share().file("html/f", "content").link("html/l", "f").file("html/d/x", "x").start();
        let send = |target: &str, condition: &str| {
            s.method(method, target, &format!("Destination: /new\r\n{condition}\r\n"), b"").status
        };
        table.row(OURS, &format!("{method} of a link: what it leads to"), || {
            let tag = s.get("/l").is(200).header("ETag").expect("one").to_owned();
            assert_eq!(send("/l", "If-Match: \"x\""), 412);
            assert_eq!(send("/l", &format!("If-None-Match: {tag}")), 412);
            assert_eq!(send("/l", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"), 412);
            let status = send("/l", &format!("If-Match: {tag}"));
            // A link has no copy.
            assert!(if method == "COPY" { status != 412 } else { status < 300 }, "{status}");
            assert_eq!(s.read("html/f"), b"content");
        });
        let _ = std::fs::remove_file(s.path("html/new"));
        table.row(OURS, &format!("{method} of a directory: it has no version"), || {
            assert_eq!(send("/d/", "If-Match: \"x\""), 412);
            assert_eq!(send("/d/", "If-None-Match: *"), 412);
            assert!(send("/d/", "If-Match: *\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT") < 300);
        });
    }
}

/// A COPY that waits: another client locks its destination meanwhile.
#[test]
fn a_copy_replaces_no_name_that_another_client_has_locked_since_it_was_judged() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/s", "new").file("html/t", "old").file("html/index.html", "index").start();
    let source = std::fs::File::open(s.path("html/s")).expect("it is there");
    // It waits for 100 ms at most (503): on a busy machine once more.
    let token = (0..100).find_map(|_| {
        flock(source.as_fd()).expect("it is free");
        let mut client = s.client();
        client.send(crate::harness::request("COPY", "/s", "Destination: /t\r\nIf-Match: *\r\n", b""));
        s.get("/index.html").is(200);
        let token = lock(&s, "/t", "");
        unlock(source.as_fd()).expect("it was ours");
        let answer = client.response();
        assert_eq!(s.read("html/t"), b"old");
        if answer.status == 503 {
            s.method("UNLOCK", "/t", &format!("Lock-Token: <{token}>\r\n"), b"").is(204);
            return None;
        }
        answer.is(423);
        Some(token)
    });
    let token = token.expect("one that was not too late");
    s.method("COPY", "/s", &format!("Destination: /t\r\nIf: </t> (<{token}>)\r\n"), b"").is(204);
}

/// A COPY that waits: what has the name when its turn comes is larger than what was judged.
#[test]
fn a_copy_needs_room_for_what_it_copies_and_not_for_what_had_the_name_before() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let area = "dav_methods PUT DELETE COPY MOVE; dav_ext_methods PROPFIND LOCK UNLOCK; dav_ext_lock zone=locks;
                upload_quota 10k;";
    let s = with_locks(&format!("location / {{ {area} }}")).file("html/index.html", "index").start();
    // It waits for 100 ms at most (503): on a busy machine once more.
    let answer = (0..100).find_map(|_| {
        s.write("html/s", "1");
        s.write("html/large", "x".repeat(6000));
        let source = std::fs::File::open(s.path("html/s")).expect("it is there");
        flock(source.as_fd()).expect("it is free");
        let mut client = s.client();
        client.send(crate::harness::request("COPY", "/s", "Destination: /t\r\nIf-Match: *\r\n", b""));
        s.get("/index.html").is(200);
        s.method("MOVE", "/large", "Destination: /s\r\n", b"").is(204);
        unlock(source.as_fd()).expect("it was ours");
        Some(client.response()).filter(|answer| answer.status != 503)
    });
    answer.expect("one that was not too late").is(507);
    assert!(!s.exists("html/t"));
}

const DEEP: &str = "location /open/ { dav_methods PUT; dav_ext_lock zone=locks; dav_ext_methods LOCK UNLOCK OPTIONS; }
     location /open/other/ { auth_basic a; auth_basic_user_file %%DIR%%/users; dav_methods PUT; dav_ext_lock zone=locks;
                             dav_ext_methods LOCK UNLOCK OPTIONS; }
     location /open/form/ { auth_basic a; auth_basic_user_file %%DIR%%/users; allowed_methods GET PUT POST; }";

#[test]
fn a_deep_lock_takes_nothing_below_where_its_client_may_not_write() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let setup = with_locks(DEEP).mkdir("html/open/other").mkdir("html/open/form").mkdir("html/open/own/in");
    let s = setup.file("users", "u:{PLAIN}p\n").allow_log("LOCK: paths below it may have other rules").start();
    let user = "Authorization: Basic dTpw\r\n";
    for fields in ["", "Depth: infinity\r\n"] {
        s.method("LOCK", "/open/", fields, OWNED_LOCKINFO.as_bytes()).is(403);
    }
    s.method("PUT", "/open/other/f", user, b"theirs").is(201);
    s.method("PUT", "/open/form/f", user, b"theirs").is(201);
    // What has the same rules is locked with all that is in it, and a collection alone may be.
    lock(&s, "/open/own/", "");
    s.method("PUT", "/open/own/in/f", "", b"another's").is(423);
    lock(&s, "/open/", "Depth: 0\r\n");
    s.method("PUT", "/open/new", "", b"another's").is(423);
    s.method("PUT", "/open/other/f", user, b"theirs").is(204);
}

#[test]
fn a_lock_of_a_folder_alone_keeps_others_from_making_folders_in_it() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let block = "location /d/ { dav_methods PUT MKCOL; create_full_put_path on; dav_ext_lock zone=locks;
                                dav_ext_methods LOCK UNLOCK OPTIONS; }
         location /u/ { alias %%DIR%%/html/d/; allowed_methods GET POST; upload_create_path on; upload_resumable on; }";
    let s = with_locks(block).mkdir("html/d/dir").start();
    let token = lock(&s, "/d/dir/", "Depth: 0\r\n");
    let form = |name: &str| post_files(&s, "/u/", &[(name, "x")]);
    s.method("MKCOL", "/d/dir/p", "", b"").is(423);
    s.method("PUT", "/d/dir/p/q/new", "", b"another's").is(423);
    form("dir/p/new").is(423);
    // new, dir/p/new
    let names =
        "Tus-Resumable: 1.0.0\r\nUpload-Length: 1\r\nUpload-Metadata: filename bmV3,relativePath ZGlyL3AvbmV3\r\n";
    s.method("POST", "/u/", names, b"").is(423);
    assert!(!s.exists("html/d/dir/p"));
    s.method("PUT", "/d/dir/p/q/new", &format!("If: </d/dir/> (<{token}>)\r\n"), b"own").is(201);
    // The lock is of the folder alone.
    s.method("PUT", "/d/dir/p/q/more/new", "", b"another's").is(201);
    form("dir/p/new").is(201);
}

/// PUT writes into upload_store, but LOCK locked the file of the URI: it stopped no writer, and made an empty file,
/// even where uploads are off.
#[test]
fn a_lock_is_refused_where_it_would_not_hold() {
    if skip_on_nginx("LOCK") {
        return;
    }
    let dav = "dav_methods PUT DELETE; dav_ext_methods LOCK UNLOCK; dav_ext_lock zone=locks;";
    let s = with_locks(&format!(
        "location /st/ {{ {dav} upload_store %%DIR%%/store; }} location /off/ {{ {dav} upload_store off; }}
         location /own/ {{ {dav} upload_store %%DIR%%/html/own; }}"
    ))
    .mkdir("html/st")
    .mkdir("html/off")
    .mkdir("html/own")
    .mkdir("store")
    .start();
    s.method("PUT", "/st/x", "", b"x").is(201);
    for target in ["/st/x", "/st/y", "/off/x"] {
        s.method("LOCK", target, "", OWNED_LOCKINFO.as_bytes()).is(403);
    }
    assert!(!s.exists("html/st/x") && !s.exists("html/off/x"));
    lock(&s, "/own/x", "");
    s.method("PUT", "/own/x", "", b"x").is(423);
}

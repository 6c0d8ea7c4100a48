//! DELETE: exactly what is named, never more.

use super::*;
use crate::harness::OWN_FORM;

#[test]
fn delete_removes_what_it_names() {
    if skip_on_nginx("DELETE by allowed_methods is ours") {
        return;
    }
    let s = setup("location /al/ { alias %%DIR%%/area/; allowed_methods DELETE; }")
        .file("html/up/f1", "1")
        .file("html/up/f2", "2")
        .file("html/up/f 3", "3")
        .file("html/up/full/inner", "x")
        .file("html/up/kept", "kept")
        .file("html/plain/f", "plain")
        .mkdir("html/up/empty1")
        .mkdir("html/up/empty2")
        .mkdir("area")
        .start();
    let mut table = Table::new("DELETE");
    table.row(OURS, "a file", || {
        s.method("DELETE", "/up/f1", "", b"").is(204);
        assert!(!s.exists("html/up/f1"));
        s.get("/up/f1").is(404);
    });
    table.row(OURS, "a file with an encoded name", || {
        s.method("DELETE", "/up/f%203", "", b"").is(204);
        assert!(!s.exists("html/up/f 3"));
    });
    table.row(OURS, "the same file twice", || {
        s.method("DELETE", "/up/f2", "", b"").is(204);
        s.method("DELETE", "/up/f2", "", b"").is(404);
    });
    table.row(OURS, "a missing file", || {
        s.method("DELETE", "/up/none", "", b"").is(404);
        s.method("DELETE", "/up/no/such/path", "", b"").is(404);
    });
    table.row(OURS, "a directory that is not empty", || {
        s.method("DELETE", "/up/full", "", b"").is(409);
        s.method("DELETE", "/up/full/", "", b"").is(409);
        assert!(s.exists("html/up/full/inner"));
    });
    table.row(OURS, "an empty directory", || {
        s.method("DELETE", "/up/empty1/", "", b"").is(204);
        assert!(!s.exists("html/up/empty1"));
    });
    table.row(OURS, "an empty directory without slash", || {
        s.method("DELETE", "/up/empty2", "", b"").is(204);
        assert!(!s.exists("html/up/empty2"));
    });
    table.row(OURS, "a file with a slash behind it", || {
        s.method("DELETE", "/up/kept/", "", b"").is_one_of(&[404, 409]);
        assert_eq!(s.read("html/up/kept"), b"kept");
    });
    table.row(OURS, "the root of an area is never removed", || {
        s.method("DELETE", "/al/", "", b"").is_one_of(&[403, 409]);
        assert!(s.path("area").is_dir());
    });
    table.row(OURS, "outside the root", || {
        for target in [
            "/up/../../outside/secret",
            "/up/%2e%2e/%2e%2e/outside/secret",
            "/up/..%2f..%2foutside%2fsecret",
            "/al/../outside/secret",
        ] {
            s.method("DELETE", target, "", b"").is_one_of(&[400, 403, 404, 405]);
        }
        assert_eq!(s.read("outside/secret"), b"outside");
    });
    table.row(OURS, "not allowed", || {
        let r = s.method("DELETE", "/plain/f", "", b"");
        r.is(405);
        assert!(r.header("Allow").is_some_and(|allow| !allow.contains("DELETE")), "{}", r.show());
        assert_eq!(s.read("html/plain/f"), b"plain");
    });
    table.row(OURS, "preconditions hold", || {
        let etag = s.get("/up/kept").header("ETag").unwrap().to_owned();
        s.method("DELETE", "/up/kept", "If-Match: \"other\"\r\n", b"").is(412);
        s.method("DELETE", "/up/kept", "If-None-Match: *\r\n", b"").is(412);
        s.method("DELETE", "/up/kept", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", b"").is(412);
        assert_eq!(s.read("html/up/kept"), b"kept");
        s.method("DELETE", "/up/kept", &format!("If-Match: {etag}\r\n"), b"").is(204);
        assert!(!s.exists("html/up/kept"));
    });
    table.row(OURS, "delete_recursive", || {
        let s = setup("location /rec/ { allowed_methods GET DELETE; delete_recursive on; }")
            .file("html/rec/tree/a/b/c", "c")
            .file("html/rec/tree/d", "d")
            .link("html/rec/tree/out", "%%DIR%%/outside")
            .start();
        s.method("DELETE", "/rec/tree/", "", b"").is(204);
        assert!(!s.exists("html/rec/tree"));
        assert!(s.exists("html/rec"));
        assert_eq!(s.read("outside/secret"), b"outside");
    });
    table.row(OURS, "the connection lives on", || {
        let mut client = s.client();
        s.write("html/up/again", "x");
        client.request(b"DELETE /up/again HTTP/1.1\r\nHost: a\r\n\r\n").is(204);
        client.request(b"DELETE /up/again HTTP/1.1\r\nHost: a\r\n\r\n").is(404);
        client.expect_alive("/", 200);
    });
    table.row(OURS, "the site itself", || {
        let s = server("allowed_methods GET DELETE;").start();
        s.method("DELETE", "/", "", b"").is_one_of(&[403, 409]);
        assert!(s.path("html").is_dir());
    });
    table.row(OURS, "the site itself, recursively", || {
        let s = server("allowed_methods GET DELETE; delete_recursive on;").file("html/f", "f").start();
        s.method("DELETE", "/", "", b"").is_one_of(&[403, 409]);
        s.method("DELETE", "//", "", b"").is_one_of(&[403, 409]);
        s.method("DELETE", "/./", "", b"").is_one_of(&[403, 409]);
        s.method("DELETE", "/x/..", "", b"").is_one_of(&[403, 404, 409]);
        assert_eq!(s.read("html/f"), b"f");
    });
}

/// A directory large enough that removing it takes many turns.
fn fill(dir: &std::path::Path, entries: usize) {
    for sub in 0..entries.div_ceil(1000) {
        let sub = dir.join(format!("sub-{sub}"));
        std::fs::create_dir_all(&sub).expect("mkdir");
        for n in 0..1000 {
            std::fs::File::create(sub.join(n.to_string())).expect("create");
        }
    }
}

#[test]
fn a_large_tree_is_removed_while_others_are_answered() {
    if skip_on_nginx("DELETE by allowed_methods is ours") {
        return;
    }
    let s = setup("location /rec/ { allowed_methods GET DELETE; delete_recursive on; }").file("html/f", "f").start();
    fill(&s.path("html/rec/tree"), 20_000);
    s.answers_others_during("DELETE /rec/tree HTTP/1.1\r\nHost: a\r\n\r\n", "/f").is(204);
    assert!(!s.exists("html/rec/tree"));
    // A client that goes away does not leave half a tree.
    fill(&s.path("html/rec/tree"), 3000);
    let mut gone = s.client();
    gone.send("DELETE /rec/tree/ HTTP/1.1\r\nHost: a\r\n\r\n");
    // Begun, as far as can be seen; then the client resets.
    crate::harness::eventually("the first entry is gone", || {
        !s.exists("html/rec/tree") || std::fs::read_dir(s.path("html/rec/tree")).map_or(0, Iterator::count) < 3
    });
    gone.reset();
    crate::harness::eventually("the whole tree is gone", || {
        s.get("/f").is(200);
        !s.exists("html/rec/tree")
    });
}

#[test]
fn what_cannot_be_removed_is_said_and_stays() {
    if skip_on_nginx("DELETE by allowed_methods is ours") {
        return;
    }
    let s = server("location / { allowed_methods GET DELETE; delete_recursive on; }")
        .file("html/tree/inner/a b", "kept")
        .file("html/tree/x", "x")
        .file("html/shut/f", "kept")
        .mkdir("html/shut/empty")
        .unprivileged()
        .start();
    let mode = |path: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(s.path(path), std::fs::Permissions::from_mode(mode)).expect("chmod");
    };
    mode("html/tree/inner", 0o555);
    mode("html/shut", 0o555);
    s.method("DELETE", "/shut/f", "", b"").is(403);
    s.method("DELETE", "/shut/empty/", "", b"").is(403);
    s.method("DELETE", "/shut/none", "", b"").is(404);
    let r = s.method("DELETE", "/tree/", "", b"");
    r.is(403);
    assert_eq!(s.read("html/tree/inner/a b"), b"kept");
    assert_eq!(s.read("html/shut/f"), b"kept");
    s.await_file("logs/error.log", |log| log.contains("unlink() \"") && log.contains("/tree/inner/a b\" failed (13"));
    if !s.exists("html/tree/x") {
        r.contains("inner/a%20b").contains("Permission denied");
    }
    for path in ["html/tree/inner", "html/shut"] {
        mode(path, 0o755);
    }
}

/// An error page of the status was sent in its place: the client did not learn that something was gone.
#[test]
fn a_delete_that_stops_half_way_says_what_is_left_though_its_status_has_an_error_page() {
    use std::os::unix::fs::PermissionsExt;
    if skip_on_nginx("DELETE by allowed_methods is ours") {
        return;
    }
    let s = server(
        "location / { allowed_methods GET DELETE; delete_recursive on; error_page 403 /page; }
         location = /page { return 200 page; }",
    )
    .file("html/tree/inner/f", "removed")
    .unprivileged()
    .start();
    let mode = |mode: u32| std::fs::set_permissions(s.path("html/tree"), std::fs::Permissions::from_mode(mode));
    // What is in it can be removed, it itself cannot.
    mode(0o555).expect("chmod");
    let r = s.method("DELETE", "/tree/", "", b"");
    r.is(403).contains("\"inner\" (Permission denied)").contains("1 entries of the directory are gone");
    assert!(s.exists("html/tree/inner") && !s.exists("html/tree/inner/f"));
    // Nothing is removed: the page tells as much as the text would.
    assert_eq!(s.method("DELETE", "/tree/", "", b"").is(403).text(), "page");
    mode(0o755).expect("chmod");
}

#[test]
fn a_download_under_way_keeps_the_bytes_of_a_deleted_file() {
    if skip_on_nginx("DELETE by allowed_methods is ours") {
        return;
    }
    let content = crate::harness::noise(32 << 20);
    let s = setup("").file("html/up/large", &content).start();
    let mut reader = s.client();
    // More than any socket takes: the rest is read from the file when it is gone.
    reader.send("GET /up/large HTTP/1.1\r\nHost: a\r\n\r\n");
    s.get("/up/kept").is_one_of(&[200, 404]);
    s.method("DELETE", "/up/large", "", b"").is(204);
    s.get("/up/large").is(404);
    assert!(reader.response().is(200).body == content, "the old bytes, all of them");
}

#[test]
fn a_link_swapped_in_a_loop_never_lets_a_delete_out() {
    if skip_on_nginx("nginx follows it") {
        return;
    }
    let s = server("location / { allowed_methods GET DELETE; delete_recursive on; }")
        .file("outside/f", "outside")
        .file("outside/d/g", "outside")
        .mkdir("html")
        .start();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (dir, aside) = (s.path("html/d"), s.path("aside"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::fs::create_dir_all(dir.join("d"));
                let _ = std::fs::write(dir.join("f"), "inside");
                let _ = std::fs::rename(&dir, &aside);
                let _ = std::os::unix::fs::symlink("../outside", &dir);
                let _ = std::fs::remove_file(&dir);
                let _ = std::fs::remove_dir_all(&aside);
            }
        });
        let mut client = s.client();
        for _ in 0..200 {
            for target in ["/d/f", "/d/d/", "/d/", "/d/d/g"] {
                let r = client.request(format!("DELETE {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
                r.is_one_of(&[204, 403, 404, 409]);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!((s.read("outside/f"), s.read("outside/d/g")), (b"outside".to_vec(), b"outside".to_vec()));
}

#[test]
fn what_is_deleted_moves_into_the_trash() {
    if skip_on_nginx("delete_trash") {
        return;
    }
    let s = server(
        "location / { autoindex on; }
         location /f/ { allowed_methods GET PUT DELETE; delete_trash %%DIR%%/html/f/trash; autoindex on; }
         location /f/off/ { allowed_methods GET PUT DELETE; delete_trash off; }
         location /all/ { allowed_methods DELETE; delete_recursive on; delete_trash %%DIR%%/trash/$arg_user; }
         location /dav/ { dav_methods DELETE; delete_trash trash/dav; }
         location /bin/ { alias %%DIR%%/html/f/trash/; allowed_methods GET DELETE; delete_trash %%DIR%%/html/f/trash; autoindex on; }",
    )
    .file("html/f/a.txt", "1")
    .file("html/f/full/inner", "x")
    .file("html/f/off/x", "x")
    .file("html/all/tree/inner", "x")
    .file("html/all/other", "x")
    .file("html/dav/tree/inner", "x")
    .file("outside/secret", "outside")
    .link("html/f/link", "%%DIR%%/outside/secret")
    .mkdir("html/f/empty")
    .start();
    let delete = |target: &str| s.method("DELETE", target, "", b"");
    let mut table = Table::new("delete_trash");
    table.row(OURS, "a file, again and again", || {
        for n in ["1", "2", "3"] {
            s.write("html/f/a.txt", n);
            delete("/f/a.txt").is(204);
            s.get("/f/a.txt").is(404);
        }
        let read = |name: &str| String::from_utf8(s.read(&format!("html/f/trash/{name}"))).expect("text");
        assert_eq!(["a.txt", "a-1.txt", "a-2.txt"].map(read), ["1", "2", "3"]);
    });
    table.row(OURS, "a link as a link", || {
        delete("/f/link").is(204);
        assert_eq!(s.read("outside/secret"), b"outside");
        assert!(s.path("html/f/trash/link").is_symlink());
    });
    table.row(OURS, "an empty directory, but no other", || {
        delete("/f/empty/").is(204);
        assert!(s.path("html/f/trash/empty").is_dir());
        delete("/f/full/").is(409);
        assert_eq!(s.read("html/f/full/inner"), b"x");
    });
    table.row(OURS, "what is not there, and what a condition keeps", || {
        delete("/f/none").is(404);
        s.write("html/f/kept", "kept");
        s.method("DELETE", "/f/kept", "If-Match: \"x\"\r\n", b"").is(412);
        assert_eq!(s.read("html/f/kept"), b"kept");
    });
    table.row(OURS, "a whole tree, by the rules of both", || {
        delete("/all/tree?user=bob").is(204);
        assert_eq!(s.read("trash/bob/tree/inner"), b"x");
        delete("/dav/tree/").is(204);
        assert_eq!(s.read("trash/dav/tree/inner"), b"x");
    });
    table.row(OURS, "a variable leads nowhere else", || {
        delete("/all/other?user=../html/f").is(403);
        // The trash of all users is no user's.
        for none in ["", "?user=", "?user=.", "?user=/"] {
            delete(&format!("/all/other{none}")).is(403);
        }
        assert_eq!(s.read("html/all/other"), b"x");
    });
    table.row(OURS, "off", || {
        s.method("PUT", "/f/off/y", "", b"y").is(201);
        delete("/f/off/y").is(204);
        assert!(!s.exists("html/f/trash/y"));
    });
    table.row(OURS, "it is neither served nor listed nor emptied", || {
        for target in ["/f/trash/", "/f/trash/a.txt", "/f/trash", "/f/./trash/a.txt"] {
            s.get(target).is(404);
            delete(target).is_one_of(&[403, 404]);
        }
        s.method("PUT", "/f/trash/new", "", b"x").is_one_of(&[403, 404]);
        assert!(s.get("/f/").is(200).text().contains("full/") && !s.get("/f/").text().contains("trash"));
        assert!(s.exists("html/f/trash/a.txt"));
    });
    table.row(OURS, "a location of its own shows and empties it", || {
        s.get("/bin/").is(200).contains("a-1.txt");
        s.get("/bin/a.txt").is(200).body_is("1");
        delete("/bin/a.txt").is(204);
        assert!(!s.exists("html/f/trash/a.txt"));
    });
}

#[test]
fn what_was_deleted_is_brought_back_from_a_shown_trash() {
    if skip_on_nginx("delete_trash") {
        return;
    }
    let s = server(
        "location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; autoindex on;
             delete_trash %%DIR%%/html/dav/trash shown; }
         location /page/ { allowed_methods GET POST DELETE; autoindex on; autoindex_format page; autoindex_upload on;
             delete_trash %%DIR%%/html/page/trash shown; delete_recursive on; }
         location /both/ { allowed_methods GET DELETE; delete_trash %%DIR%%/html/both/trash shown; }
         location /hides/ { allowed_methods GET DELETE; delete_trash %%DIR%%/html/both/trash; }",
    )
    .file("html/dav/sub/a.txt", "first")
    .file("html/page/sub/a b.txt", "first")
    .file("html/both/x", "x")
    .start();
    let mut table = Table::new("delete_trash shown");
    table.row(OURS, "by MOVE", || {
        s.method("DELETE", "/dav/sub/a.txt", "", b"").is(204);
        s.method("PROPFIND", "/dav/trash/", "Depth: 1\r\n", b"").is(207).contains("/dav/trash/a.txt");
        let back = "Destination: /dav/sub/a.txt\r\nOverwrite: F\r\n";
        s.method("MOVE", "/dav/trash/a.txt", back, b"").is(201);
        s.get("/dav/sub/a.txt").is(200).body_is("first");
        // A whole tree, and one for good.
        s.method("DELETE", "/dav/sub/", "", b"").is(204);
        s.method("MOVE", "/dav/trash/sub/", "Destination: /dav/sub/\r\n", b"").is(201);
        assert_eq!(s.read("html/dav/sub/a.txt"), b"first");
        s.method("DELETE", "/dav/sub/", "", b"").is(204);
        s.method("DELETE", "/dav/trash/sub/a.txt", "", b"").is(204);
        s.method("DELETE", "/dav/trash/sub/", "", b"").is(204);
        assert_eq!(s.snapshot("html/dav/trash").len(), 0);
        s.method("DELETE", "/dav/trash/", "", b"").is(403);
    });
    table.row(OURS, "by the page's form", || {
        let form = |target: &str, body: &str| s.method("POST", target, OWN_FORM, body.as_bytes());
        form("/page/sub/", "webserv-delete=a%2520b.txt").is(303);
        s.get("/page/").is(200).contains("trash/");
        s.get("/page/trash/").is(200).contains("a%20b.txt");
        s.get("/page/trash/?move=a%20b.txt").is(200).contains("webserv-to");
        form("/page/trash/", "webserv-move=a%2520b.txt&webserv-to=..%2Fsub%2Fa+b.txt").is(303);
        s.get("/page/sub/a%20b.txt").is(200).body_is("first");
    });
    table.row(OURS, "a trash that another location hides stays hidden", || {
        s.method("DELETE", "/both/x", "", b"").is(204);
        s.get("/both/trash/x").is(404);
    });
    for wrong in ["off shown", "%%DIR%%/t hidden"] {
        let output = server(&format!("location /a/ {{ delete_trash {wrong}; }}")).test_config();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains("delete_trash"), "{text}");
    }
}

/// A path on another file system; None: there is none here.
fn trash_elsewhere() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let dev = |path: &std::path::Path| std::fs::metadata(path).map(|m| m.dev()).ok();
    if dev(std::path::Path::new("/dev/shm")).is_none_or(|shm| Some(shm) == dev(&std::env::temp_dir())) {
        crate::harness::skipped("/dev/shm is no other file system");
        return None;
    }
    Some(format!("/dev/shm/webserv-trash-{}", std::process::id()))
}

/// Each DELETE was a 500.
#[test]
fn what_is_deleted_is_copied_into_a_trash_on_another_file_system() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    if skip_on_nginx("delete_trash") {
        return;
    }
    for sync in ["off", "on"] {
        let Some(trash) = trash_elsewhere() else { return };
        let at = |name: &str| std::path::Path::new(&trash).join(name);
        let block = format!(
            "upload_sync {sync}; location / {{ allowed_methods GET POST DELETE; delete_recursive on; autoindex on;
                                              autoindex_upload on; delete_trash {trash}; }}"
        );
        let long = "x".repeat(3_000_000);
        let s = server(&block)
            .file("html/f", &long)
            .file("html/by-form", "form")
            .file("html/d/in/g", "g")
            .mkdir("html/empty")
            .allow_log("cannot be copied")
            .allow_log("copying into the trash")
            .allow_log("failed (19")
            .start();
        std::fs::set_permissions(s.path("html/f"), std::fs::Permissions::from_mode(0o640)).expect("its own");
        std::fs::set_permissions(s.path("html/by-form"), std::fs::Permissions::from_mode(0o6755)).expect("its own");
        let old = std::fs::metadata(s.path("html/f")).expect("it is there");
        symlink("no/where", s.path("html/link")).expect("a link");
        symlink("g", s.path("html/d/in/link")).expect("a link");
        std::fs::write(s.path("html/g"), "first").expect("written");
        for name in ["/f", "/link", "/d/", "/empty/", "/g"] {
            s.method("DELETE", name, "", b"").is(204);
        }
        std::fs::write(s.path("html/g"), "second").expect("written");
        s.method("DELETE", "/g", "", b"").is(204);
        s.method("POST", "/", OWN_FORM, b"webserv-delete=by-form").is(303);
        assert_eq!(std::fs::read_dir(s.path("html")).expect("read").count(), 0, "{sync}");
        let read = |name: &str| std::fs::read_to_string(at(name)).unwrap_or_default();
        assert!(read("f") == long);
        assert_eq!(["g", "g-1", "d/in/g", "by-form"].map(read), ["first", "second", "g", "form"]);
        assert_eq!(std::fs::metadata(at("by-form")).expect("it is there").mode() & 0o7777, 0o755, "without setuid");
        let new = std::fs::metadata(at("f")).expect("it is there");
        assert_eq!((new.mode(), new.mtime()), (old.mode(), old.mtime()));
        let link = |name: &str| std::fs::read_link(at(name)).expect("a link");
        assert_eq!((link("link"), link("d/in/link")), ("no/where".into(), "g".into()));
        assert!(at("empty").is_dir());
        assert_eq!(std::fs::read_dir(&trash).expect("read").count(), 7, "and no hidden name");
        // What has no copy stays.
        drop(std::os::unix::net::UnixListener::bind(s.path("html/socket")).expect("a socket"));
        s.method("DELETE", "/socket", "", b"").is(403).contains("cannot be copied into the trash");
        assert!(s.path("html/socket").symlink_metadata().is_ok());
        s.await_file("logs/error.log", |log| {
            log.contains("copying into the trash \"") && log.contains("/socket\" failed (19")
        });
        s.method("DELETE", "/none", "", b"").is(404);
        let _ = std::fs::remove_dir_all(&trash);
    }
}

/// min_delete_depth counted where dav_methods allow DELETE, and was nothing where allowed_methods do.
#[test]
fn no_way_to_delete_leads_past_the_least_depth() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server(
        "location /f/ { allowed_methods GET POST PUT DELETE; min_delete_depth 3; delete_recursive on; autoindex on;
                        autoindex_upload on; }",
    )
    .file("html/f/d/a", "a")
    .file("html/f/d/b", "b")
    .allow_log("insufficient URI depth")
    .start();
    s.method("DELETE", "/f/d/", "", b"").is(409);
    s.method("POST", "/f/", OWN_FORM, b"webserv-delete=d").is(409);
    s.method("DELETE", "/f/d/a", "", b"").is(204);
    assert!(!s.exists("html/f/d/a") && s.exists("html/f/d/b"));
}

//! Two servers on one store that are asked for the same at once: it is done once, and each of them knows.

use super::processes::{begin, pair, size_of_part};
use super::resumable::{OCTETS, create, filename, offset, tus};
use super::*;
use crate::harness::Server;
use std::os::fd::AsFd;
use webserv::sys::file::{flock, unlock};

/// What both answer to requests that are sent at once, sorted.
fn at_once(servers: [&Server; 2], each: usize, send: impl Fn(&Server, usize) -> Response + Sync) -> Vec<u16> {
    let send = &send;
    let mut all: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = servers
            .into_iter()
            .flat_map(|s| (0..each).map(move |n| (s, n)))
            .map(|(s, n)| scope.spawn(move || send(s, n).status))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    all.sort_unstable();
    all
}

#[test]
fn what_two_servers_are_asked_for_at_once_is_done_once() {
    if skip_on_nginx("uploads") {
        return;
    }
    let (a, b) = pair("dav_methods MKCOL MOVE;");
    let mut table = Table::new("two servers at once");
    table.row(OURS, "a name that is only created", || {
        let put = |s: &Server, n: usize| s.method("PUT", "/a/once", "If-None-Match: *\r\n", format!("{n}").as_bytes());
        let answers = at_once([&a, &b], 5, put);
        assert_eq!((answers[0], &answers[1..]), (201, &[412; 9][..]));
    });
    table.row(OURS, "a version that is replaced", || {
        a.method("PUT", "/a/version", "", b"0").is(201);
        for round in 0..40_usize {
            let tag = a.get("/a/version").header("ETag").expect("one").to_owned();
            let put = |s: &Server, n: usize| {
                s.method("PUT", "/a/version", &format!("If-Match: {tag}\r\n"), &vec![b'x'; 10 * (round + 1) + n])
            };
            let answers = at_once([&a, &b], 2, put);
            let others = &answers[1..];
            assert!(
                answers[0] == 204 && others.iter().all(|status| [412, 503].contains(status)),
                "{round}: {answers:?}"
            );
        }
    });
    table.row(OURS, "a tree that is moved", || {
        a.method("MKCOL", "/a/tree/", "", b"").is(201);
        a.method("PUT", "/a/tree/f", "", b"f").is(201);
        let answers = at_once([&a, &b], 1, |s, _| {
            s.method("MOVE", "/a/tree/", &format!("Destination: /a/moved-{}/\r\n", s.port()), b"")
        });
        // The other finds it gone, then or while it is judged.
        assert_eq!(answers, [201, 404]);
        let moved = [&a, &b].map(|s| a.exists(&format!("html/a/moved-{}/f", s.port())));
        assert_ne!(moved[0], moved[1]);
    });
    table.row(OURS, "an upload that is cancelled while the other writes to it", || {
        let target = create(&a, "cancelled", 10);
        let mut client = begin(&a, &target, 0, 10, b"01234", "");
        eventually("bytes arrive", || size_of_part(&a, &target) == 5);
        tus(&b, "DELETE", &target, "", b"").is(204);
        client.try_send("56789");
        assert_eq!(client.rest(), b"", "no answer, least of all a 204");
        assert!(!a.exists("html/a/cancelled"));
        for s in [&a, &b] {
            tus(s, "HEAD", &target, "", b"").is_one_of(&[404, 410]);
        }
    });
    table.row(OURS, "parts that were sent to both", || {
        let part = |s: &Server, content: &[u8]| {
            let fields = format!("Upload-Concat: partial\r\nUpload-Length: {}\r\n{OCTETS}", content.len());
            located(tus(s, "POST", "/a/", &fields, content).is(201))
        };
        let (first, second) = (part(&a, &noise(300_000)), part(&b, b"end"));
        let fields = format!("Upload-Concat: final;{first} {second}\r\n{}", filename("joined"));
        let target = located(tus(&b, "POST", "/a/", &fields, b"").is(201));
        assert!(a.read("html/a/joined") == [&noise(300_000)[..], b"end"].concat());
        for s in [&a, &b] {
            assert_eq!(offset(s, &target), 300_003);
        }
    });
}

/// It kept its connection and the open file until the next byte, or for the minute of client_body_timeout.
#[test]
fn a_request_whose_upload_has_gone_to_a_newer_one_ends_at_once() {
    if skip_on_nginx("uploads") {
        return;
    }
    let (a, b) = pair("");
    for (newer, name) in [(&a, "here"), (&b, "there")] {
        let target = create(&a, name, 10);
        let mut older = begin(&a, &target, 0, 10, b"01234", "");
        eventually("bytes arrive", || size_of_part(&a, &target) == 5);
        assert_eq!(offset(newer, &target), 5);
        assert_eq!(older.rest(), b"", "no answer, and no byte is needed");
        super::resumable::patch(newer, &target, 5, b"56789").is(204);
    }
}

#[test]
fn an_upload_goes_on_where_its_area_has_another_path() {
    if skip_on_nginx("uploads") {
        return;
    }
    let block = |root: &str| {
        format!("location /a/ {{ root {root}; allowed_methods GET POST PUT DELETE; upload_resumable on; }}")
    };
    let setup = |root: &str| server(&block(root)).file("html/index.html", "index");
    let a = running(setup("%%DIR%%/html").mkdir("html/a").allow_log("file locks"));
    let link = a.path("elsewhere");
    std::os::unix::fs::symlink(a.path("html"), &link).expect("linked");
    let b = running(setup(&link.display().to_string()).allow_log("another server"));
    let content = noise(30_000);
    let targets = ["one", "two"].map(|name| create(&a, name, content.len()));
    if a.error_log().contains("file locks") {
        crate::harness::skipped("file locks may end at the mount of the tests' directory");
        return;
    }
    let send = |s: &Server, target: &str, from: usize, to: usize| {
        super::resumable::patch(s, target, from, &content[from..to]).is(204);
    };
    for (name, target) in ["one", "two"].iter().zip(&targets) {
        send(&a, target, 0, 10_000);
        assert_eq!(offset(&b, target), 10_000);
        send(&b, target, 10_000, 20_000);
        send(if *name == "one" { &a } else { &b }, target, 20_000, 30_000);
        assert!(a.read(&format!("html/a/{name}")) == content, "{name}");
    }
    let target = create(&b, "gone", 5);
    tus(&a, "DELETE", &target, "", b"").is(204);
    tus(&b, "HEAD", &target, "", b"").is_one_of(&[404, 410]);
}

/// A body that arrives while another server moves its folder away: it was stored in the moved folder, and answered 201.
#[test]
fn a_file_is_not_stored_elsewhere_than_its_request_named_it() {
    if skip_on_nginx("uploads") {
        return;
    }
    let form = "--b\r\nContent-Disposition: form-data; name=f; filename=name\r\n\r\ncontent\r\n--b--\r\n";
    let of_form = "Content-Type: multipart/form-data; boundary=b\r\n";
    let mut table = Table::new("a folder that is moved while a file arrives");
    for create in ["on", "off"] {
        let (a, b) = pair(&format!("dav_methods MKCOL MOVE; upload_create_path {create};"));
        for (what, head, body, below) in [
            ("PUT", "PUT /a/tree/in/name", "content", "in/name"),
            ("a form", "POST /a/tree/in/", form, "in/name"),
            ("PUT into a new folder", "PUT /a/tree/new/name", "content", "new/name"),
        ] {
            if create == "off" && below == "new/name" {
                continue;
            }
            table.row(OURS, &format!("{what}, upload_create_path {create}"), || {
                std::fs::create_dir_all(a.path("html/a/tree/in")).expect("made");
                let fields = if body == form { of_form } else { "" };
                let length = body.len();
                let mut client = b.client();
                client.send(format!(
                    "{head} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{fields}Content-Length: {length}\r\n\r\n"
                ));
                client.response().is(100);
                a.method("MOVE", "/a/tree/", "Destination: /a/away/\r\n", b"").is(201);
                client.request(body).is(409);
                let files: Vec<String> = a.snapshot("html/a").into_keys().filter(|at| at.ends_with("name")).collect();
                assert_eq!(files, Vec::<String>::new());
                for dir in ["tree", "away"] {
                    let _ = std::fs::remove_dir_all(a.path(&format!("html/a/{dir}")));
                }
            });
        }
    }
}

#[test]
fn a_version_that_another_server_is_changing_is_not_removed_moved_or_copied() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(
        server(
            "location /a/ { root %%DIR%%/html; dav_methods PUT DELETE COPY MOVE; }
             location /d/ { root %%DIR%%/html; dav_methods PUT DELETE COPY MOVE; dav_ext_methods PROPFIND OPTIONS; }",
        )
        .file("html/index.html", "index")
        .mkdir("html/a")
        .mkdir("html/d"),
    );
    let mut table = Table::new("conditions of writes");
    for dir in ["a", "d"] {
        let (path, to) = (format!("/{dir}/f"), format!("/{dir}/to"));
        let there = s.path(&format!("html/{dir}/f"));
        let dest = format!("Destination: {to}\r\n");
        for (method, fields, done) in [("DELETE", "", 204), ("COPY", &dest[..], 201), ("MOVE", &dest, 201)] {
            table.row(OURS, &format!("{method} below /{dir}/"), || {
                s.method("PUT", &path, "", b"version").is_one_of(&[201, 204]);
                let tag = s.get(&path).header("ETag").expect("one").to_owned();
                let send = |condition: &str| s.method(method, &path, &format!("{fields}{condition}\r\n"), b"");
                send("If-Match: \"other\"").is(412);
                send(&format!("If-None-Match: {tag}")).is(412);
                send("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT").is(412);
                // As another server has it between its comparison and its change. (Closing it would not do: a program
                // that another test is starting may hold it as well for a moment.)
                let other = std::fs::File::open(&there).expect("it is there");
                flock(other.as_fd()).expect("locked");
                let busy = |answer: Response| assert_eq!(answer.is(503).header("Retry-After"), Some("1"));
                busy(send(&format!("If-Match: {tag}")));
                busy(s.method("PUT", &path, &format!("If-Match: {tag}\r\n"), b"new"));
                if dir == "d" {
                    busy(send(&format!("If: ([{tag}])")));
                }
                unlock(other.as_fd()).expect("unlocked");
                assert!(there.exists() && !s.exists(&format!("html{to}")));
                let done = if dir == "a" { 204 } else { done };
                send(&format!("If-Match: {tag}")).is(done);
                let _ = std::fs::remove_file(s.path(&format!("html{to}")));
            });
        }
    }
    table.row(OURS, "a version at the destination", || {
        for method in ["COPY", "MOVE"] {
            s.method("PUT", "/d/new", "", b"new").is_one_of(&[201, 204]);
            s.method("PUT", "/d/dest", "", b"old").is_one_of(&[201, 204]);
            let tag = s.get("/d/dest").header("ETag").expect("one").to_owned();
            let fields = format!("Destination: /d/dest\r\nIf: </d/dest> ([{tag}])\r\n");
            let other = std::fs::File::open(s.path("html/d/dest")).expect("it is there");
            flock(other.as_fd()).expect("locked");
            assert_eq!(s.method(method, "/d/new", &fields, b"").is(503).header("Retry-After"), Some("1"));
            unlock(other.as_fd()).expect("unlocked");
            assert_eq!(s.read("html/d/dest"), b"old");
            s.method(method, "/d/new", &fields, b"").is(204);
            assert_eq!(s.read("html/d/dest"), b"new");
        }
    });
    table.row(OURS, "a version that is replaced while its successor arrives", || {
        s.method("PUT", "/d/slow", "", b"first").is(201);
        let tag = s.get("/d/slow").header("ETag").expect("one").to_owned();
        let mut client = s.client();
        client.send(format!(
            "PUT /d/slow HTTP/1.1\r\nHost: a\r\nIf: ([{tag}])\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n"
        ));
        client.response().is(100);
        s.method("PUT", "/d/slow", "", b"meanwhile").is(204);
        client.send("second");
        client.response().is(412);
        assert_eq!(s.read("html/d/slow"), b"meanwhile");
    });
}

#[test]
fn of_two_servers_one_removes_moves_or_replaces_a_version() {
    if skip_on_nginx("uploads") {
        return;
    }
    let (a, b) = pair("dav_methods COPY MOVE;");
    for round in 0..40 {
        a.method("PUT", "/a/v", "", format!("version {round}").as_bytes()).is(201);
        let tag = a.get("/a/v").header("ETag").expect("one").to_owned();
        let answers = at_once([&a, &b], 3, |s, n| {
            let fields = format!("If-Match: {tag}\r\nDestination: /a/moved-{}\r\n", s.port());
            s.method(["PUT", "DELETE", "MOVE"][n], "/a/v", &fields, &b"successor"[..if n == 0 { 9 } else { 0 }])
        });
        assert!(answers[0] < 300 && answers[1..].iter().all(|status| [404, 412, 503].contains(status)), "{answers:?}");
        for name in ["v".to_owned(), format!("moved-{}", a.port()), format!("moved-{}", b.port())] {
            let _ = std::fs::remove_file(a.path(&format!("html/a/{name}")));
        }
    }
}

/// The copy was stored in the moved folder, and answered 201.
#[test]
fn a_copy_is_not_stored_elsewhere_than_its_request_named_it() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(
        server(
            "location /d/ { root %%DIR%%/html; dav_methods PUT MKCOL COPY; dav_ext_methods PROPFIND OPTIONS;
                            upload_quota 10m shared; }",
        )
        .file("html/index.html", "index")
        .file("html/d/from", "content")
        .file("html/d/folder/file", "content")
        .file("html/d/tree/in/old", "old"),
    );
    // The lock of the quota, and what is counted, are there.
    s.method("PUT", "/d/first", "", b"first").is(201);
    let mut table = Table::new("a folder that is moved while something is copied into it");
    for (from, to) in [("from", "new"), ("from", "old"), ("folder/", "new/"), ("folder/", "old/")] {
        table.row(OURS, &format!("{from} to {to}"), || {
            // As another server holds it. The copy is made, and waits for it.
            let lock = std::fs::File::open(s.path("html/d/.webserv-quota")).expect("it is there");
            flock(lock.as_fd()).expect("locked");
            let mut client = s.client();
            client.send(format!("COPY /d/{from} HTTP/1.1\r\nHost: a\r\nDestination: /d/tree/in/{to}\r\n\r\n"));
            let (tree, away) = (s.path("html/d/tree"), s.path("html/d/away"));
            eventually("its folder is open", || crate::os::has_open(s.pid, &tree.join("in")));
            std::fs::rename(&tree, &away).expect("renamed");
            unlock(lock.as_fd()).expect("unlocked");
            client.response().is(409);
            let left: Vec<_> = s.snapshot("html/d/away").into_keys().filter(|at| !away.join(at).is_dir()).collect();
            assert_eq!(left, ["in/old"]);
            assert!(!tree.exists());
            std::fs::rename(&away, &tree).expect("renamed");
        });
    }
}

/// The other server had ended uploads that came after 64 others in the order of their paths: an upload that needed
/// their room was refused.
#[test]
fn uploads_that_another_server_has_ended_leave_their_room_however_many_are_left() {
    if skip_on_nginx("uploads") {
        return;
    }
    let (a, b) = pair("upload_quota 6600000 files=300 shared;");
    for dir in ["x", "y"] {
        std::fs::create_dir(a.path(&format!("html/a/{dir}"))).expect("made");
    }
    let create = |dir: &str, n: usize| {
        let fields = format!("Upload-Length: 30000\r\n{}", filename(&format!("f{n}")));
        located(tus(&a, "POST", &format!("/a/{dir}/"), &fields, b"").is(201))
    };
    (0..160).for_each(|n| drop(create("x", n)));
    let ended: Vec<String> = (0..40).map(|n| create("y", n)).collect();
    let file = noise(1_500_000);
    a.method("PUT", "/a/f", "", &file).is(507);
    for target in &ended {
        tus(&b, "DELETE", target, "", b"").is(204);
    }
    a.method("PUT", "/a/f", "", &file).is(201);
}

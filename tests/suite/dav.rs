//! COPY and MOVE: whole or not at all, in slices, never through a link.

use crate::client::Response;
use crate::harness::{BOTH, Server, Setup, Table, eventually, noise, ours, server, skip_on_nginx};
use crate::os;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

fn setup() -> Setup {
    server("location / { dav_methods PUT DELETE MKCOL COPY MOVE; }")
}

fn transfer(s: &Server, method: &str, from: &str, to: &str, fields: &str) -> Response {
    s.method(method, from, &format!("Destination: {to}\r\n{fields}"), b"")
}

#[test]
fn trees_are_copied_and_moved() {
    let s = setup()
        .file("html/t/a", "a")
        .file("html/t/in/b", "b")
        .file("html/old/x", "old")
        .file("html/f", "f")
        .file("html/g", "g")
        .link("html/t/out", "%%DIR%%/outside")
        .file("outside/secret", "secret")
        .start();
    let mut table = Table::new("COPY and MOVE");
    table.row(BOTH, "a tree to a free name", || {
        transfer(&s, "COPY", "/t/", "/copy/", "").is(201);
        assert_eq!((s.read("html/copy/a"), s.read("html/copy/in/b")), (b"a".to_vec(), b"b".to_vec()));
        assert_eq!(s.read("html/t/a"), b"a");
    });
    table.row(ours("nginx follows it"), "links are left out", || {
        assert!(!s.path("html/copy/out").is_symlink() && !s.exists("html/copy/out"));
    });
    table.row(BOTH, "over another tree, of which nothing stays", || {
        transfer(&s, "COPY", "/t/", "/old/", "Overwrite: F\r\n").is(412);
        assert_eq!(s.read("html/old/x"), b"old");
        transfer(&s, "COPY", "/t/", "/old/", "").is(201);
        assert_eq!(s.read("html/old/in/b"), b"b");
        assert!(!s.exists("html/old/x"));
    });
    table.row(BOTH, "depth 0", || {
        // nginx copies the tree whatever Depth says of a COPY; both make the directory.
        transfer(&s, "COPY", "/t/in/", "/shallow/", "Depth: 0\r\n").is(201);
        assert!(s.path("html/shallow").is_dir());
    });
    table.row(BOTH, "a tree moves over a tree", || {
        transfer(&s, "MOVE", "/copy/", "/old/", "").is(201);
        assert!(!s.exists("html/copy") && s.exists("html/old/a"));
    });
    table.row(BOTH, "a file over a file", || {
        transfer(&s, "COPY", "/f", "/g", "").is(204);
        assert_eq!(s.read("html/g"), b"f");
        transfer(&s, "MOVE", "/f", "/new", "").is(204);
        assert!(!s.exists("html/f") && s.exists("html/new"));
    });
    table.row(BOTH, "times and modes go along", || {
        let time = |name: &str| std::fs::metadata(s.path(name)).map(|m| (m.mtime(), m.mode())).expect("stat");
        transfer(&s, "COPY", "/t/a", "/t/a2", "").is(204);
        assert_eq!(time("html/t/a"), time("html/t/a2"));
    });
    table.row(ours("RFC 4918 §9.9.4; nginx makes them for a file it moves"), "directories above are not made", || {
        transfer(&s, "MOVE", "/new", "/no/such/new", "").is(409);
        transfer(&s, "COPY", "/new", "/no/such/new", "").is(409);
        assert!(!s.exists("html/no") && s.exists("html/new"));
    });
    table.row(BOTH, "what is not there", || {
        transfer(&s, "COPY", "/none", "/x", "").is(404);
        transfer(&s, "MOVE", "/none/", "/x/", "").is(404);
    });
    table.row(ours("nothing is left behind"), "nothing is left behind", || {
        let hidden = |name: &String| name.contains(".webserv-");
        assert_eq!(s.snapshot("html").into_keys().filter(hidden).collect::<Vec<_>>(), [""; 0]);
    });
}

#[test]
fn a_put_may_say_when_its_file_was_made() {
    let s = setup().start();
    let mut table = Table::new("Date of a PUT");
    let time = |name: &str| std::fs::metadata(s.path(name)).expect("stat").mtime();
    table.row(BOTH, "it is the time of the file", || {
        let r = s.method("PUT", "/f", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", b"x");
        r.is(201);
        assert_eq!(time("html/f"), 784_111_777);
        s.get("/f").has("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    });
    table.row(BOTH, "one that is none changes nothing", || {
        s.method("PUT", "/g", "Date: yesterday\r\n", b"x").is(201);
        assert!(time("html/g") > 1_700_000_000);
    });
    table.row(ours("nginx tells no ETag"), "the answer names the version that GET does", || {
        let r = s.method("PUT", "/f", "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n", b"y");
        assert_eq!(r.is_one_of(&[200, 204]).header("ETag"), s.get("/f").header("ETag"));
    });
}

#[test]
fn a_large_copy_holds_nobody_up_and_appears_whole() {
    if skip_on_nginx("one worker copies it in one go") {
        return;
    }
    let content = noise(8 << 20);
    let s = setup().file("html/f", "f").file("html/d/small", "small").start();
    let mut file = std::fs::File::create(s.path("html/d/large")).expect("create");
    for _ in 0..16 {
        std::io::Write::write_all(&mut file, &content).expect("write");
    }
    for (from, to, status) in [("/d/large", "/copied", 204), ("/d/", "/tree/", 201)] {
        let seen = s.path(&format!("html{}", to.trim_end_matches('/')));
        let copy = if to.ends_with('/') { seen.join("large") } else { seen.clone() };
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Nothing or all of it.
                    if seen.exists() {
                        assert_eq!(std::fs::metadata(&copy).expect("stat").len(), 128 << 20);
                    }
                    std::thread::yield_now();
                }
            });
            let slow = format!("COPY {from} HTTP/1.1\r\nHost: a\r\nDestination: {to}\r\n\r\n");
            let answer = catch_unwind(AssertUnwindSafe(|| s.answers_others_during(&slow, "/f")));
            done.store(true, Ordering::Relaxed);
            answer.unwrap_or_else(|panic| resume_unwind(panic)).is(status);
        });
    }
    for name in ["copied", "tree/large"] {
        let copy = s.read(&format!("html/{name}"));
        assert!(copy.chunks(content.len()).all(|part| part == content), "{name}");
    }
    assert_eq!(s.read("html/tree/small"), b"small");
}

#[test]
fn a_tree_that_cannot_be_read_leaves_no_copy() {
    if skip_on_nginx("nginx leaves half of it") {
        return;
    }
    let s = setup().file("html/t/a", "a").file("html/t/shut/x", "x").file("html/old/x", "old").unprivileged().start();
    let mode = |mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(s.path("html/t/shut"), std::fs::Permissions::from_mode(mode)).expect("chmod");
    };
    mode(0o000);
    transfer(&s, "COPY", "/t/", "/new/", "").is(403);
    transfer(&s, "COPY", "/t/", "/old/", "").is(403);
    mode(0o755);
    let left: Vec<String> = s.snapshot("html").into_keys().collect();
    assert_eq!(left, ["old/", "old/x", "t/", "t/a", "t/shut/", "t/shut/x"]);
}

/// A tmpfs on a directory, for as long as this lives. None where the tests may not mount.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: PathBuf) -> Option<Mounted> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs"]).arg(&path).stderr(Stdio::null());
        let mounted = command.status().is_ok_and(|status| status.success());
        mounted.then_some(Mounted(path))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_move_to_another_file_system_is_a_copy_and_a_removal() {
    let s = setup()
        .file("html/t/in/b", "b")
        .file("html/f", noise(3 << 20))
        .mkdir("html/m")
        .allow_log("No space left on device")
        .start();
    let Some(mounted) = Mounted::at(s.path("html/m")) else {
        return eprintln!("skipped: only root may mount a tmpfs");
    };
    let mut table = Table::new("MOVE across file systems");
    table.row(BOTH, "a file", || {
        transfer(&s, "MOVE", "/f", "/m/f", "").is(204);
        assert!(s.read("html/m/f") == noise(3 << 20) && !s.exists("html/f"));
        transfer(&s, "MOVE", "/m/f", "/f", "").is(204);
        assert!(s.read("html/f") == noise(3 << 20) && !s.exists("html/m/f"));
    });
    table.row(BOTH, "a tree, also over another", || {
        transfer(&s, "MOVE", "/t/", "/m/t/", "").is(201);
        assert!(s.read("html/m/t/in/b") == b"b" && !s.exists("html/t"));
        s.write("html/t/old", "old");
        transfer(&s, "MOVE", "/m/t/", "/t/", "").is(201);
        assert!(s.read("html/t/in/b") == b"b" && !s.exists("html/t/old") && !s.exists("html/m/t"));
    });
    table.row(ours("nginx leaves what fitted"), "what does not fit leaves nothing", || {
        s.write("html/large/x", noise(40 << 20));
        s.write("html/large/y", noise(40 << 20));
        transfer(&s, "COPY", "/large/", "/m/large/", "").is(507);
        transfer(&s, "MOVE", "/large/", "/m/large/", "").is(507);
        assert!(std::fs::read_dir(s.path("html/m")).expect("read_dir").next().is_none());
        assert!(s.read("html/large/y") == noise(40 << 20));
    });
    table.row(ours("nginx loses them"), "links, FIFOs and sockets below a tree are not lost", || {
        for kind in ["link", "fifo", "socket"] {
            let (at, before) = (s.path(&format!("html/k/in/{kind}")), format!("of {kind}"));
            s.write("html/k/a", &before);
            s.write("html/k/in/b", "b");
            s.write("html/m/old", "old");
            match kind {
                "link" => std::os::unix::fs::symlink("b", &at).expect("symlink"),
                "fifo" => os::mkfifo(&at),
                _ => drop(std::os::unix::net::UnixListener::bind(&at).expect("bind")),
            }
            transfer(&s, "MOVE", "/k/", "/m/k/", "").is(403);
            let there = s.snapshot("html/m").into_keys().collect::<Vec<_>>();
            assert_eq!(there, ["old"], "{kind}");
            assert!(at.symlink_metadata().is_ok(), "{kind}");
            assert_eq!((s.read("html/k/a"), s.read("html/k/in/b")), (before.into_bytes(), b"b".to_vec()));
            eventually("it is named", || s.error_log().contains(&format!("\"in/{kind}\" has no copy")));
            // A COPY leaves them out; without them it moves.
            transfer(&s, "COPY", "/k/", "/m/k/", "").is(201);
            transfer(&s, "DELETE", "/m/k/", "", "").is(204);
            std::fs::remove_file(&at).expect("removed");
            transfer(&s, "MOVE", "/k/", "/m/k/", "").is(201);
            assert!(!s.exists("html/k") && s.read("html/m/k/in/b") == b"b");
            transfer(&s, "DELETE", "/m/k/", "", "").is(204);
            std::fs::remove_file(s.path("html/m/old")).expect("removed");
        }
    });
    table.row(ours("nginx removes what is mounted there"), "a mounted directory is not entered", || {
        s.write("html/m/kept", "kept");
        s.write("html/a", "");
        let _ = s.method("DELETE", "/m/", "", b"").is_one_of(&[403, 409]);
        assert_eq!(s.read("html/m/kept"), b"kept");
    });
    drop(mounted);
}

#[test]
fn an_alias_that_is_the_file_itself_can_be_put_copied_and_deleted() {
    let methods = "dav_methods PUT DELETE COPY;";
    let block = format!(
        "location = /file {{ alias %%DIR%%/store/kept; {methods} }}
         location /near {{ alias %%DIR%%/store/beside; {methods} }}
         location = /dir {{ alias %%DIR%%/store/in; {methods} }}
         location / {{ {methods} }}"
    );
    let s = server(&block).mkdir("store/in").start();
    let mut table = Table::new("an alias of one file");
    table.row(BOTH, "it is made where it is missing", || {
        let r = s.method("PUT", "/file", "", b"first");
        assert!(r.is(201).header("Location").is_some_and(|uri| uri.ends_with("/file")), "{}", r.show());
        assert_eq!(s.read("store/kept"), b"first");
        s.get("/file").is(200).body_is("first");
    });
    table.row(BOTH, "it is replaced, copied and deleted", || {
        s.method("PUT", "/file", "", b"second").is(204);
        assert_eq!(s.read("store/kept"), b"second");
        s.method("DELETE", "/file", "", b"").is(204);
        assert!(!s.exists("store/kept"));
        s.get("/file").is(404);
    });
    table.row(BOTH, "by a prefix too, where it is there", || {
        s.write("store/beside", "old");
        s.method("PUT", "/near", "", b"new").is(204);
        assert_eq!(s.read("store/beside"), b"new");
    });
    table.row(ours("nginx says 500"), "a directory is none", || {
        s.method("PUT", "/dir", "", b"x").is(409);
        assert!(s.snapshot("store").into_keys().eq(["beside", "in/"]));
    });
}

/// rename(2) does nothing where both names are links of one file: 204, and the source was still there.
#[test]
fn a_move_onto_another_link_of_the_file_removes_the_source() {
    if skip_on_nginx("it leaves the source") {
        return;
    }
    for sync in ["", "upload_sync on;"] {
        let s = server(&format!("location /d/ {{ dav_methods PUT DELETE COPY MOVE; {sync} }}"))
            .file("html/d/a", "one file")
            .mkdir("html/d/in")
            .start();
        for name in ["b", "in/c"] {
            std::fs::hard_link(s.path("html/d/a"), s.path(&format!("html/d/{name}"))).expect("linked");
        }
        transfer(&s, "MOVE", "/d/a", "/d/b", "").is(204);
        assert!(!s.exists("html/d/a"));
        s.method("MOVE", "/d/b", "Destination: /d/in/c\r\nOverwrite: F\r\n", b"").is(412);
        transfer(&s, "MOVE", "/d/b", "/d/in/c", "").is(204);
        assert!(!s.exists("html/d/b"));
        assert_eq!(s.read("html/d/in/c"), b"one file");
        assert_eq!(s.snapshot("html/d").len(), 2, "{:?}", s.snapshot("html/d"));
    }
}

//! upload_sync where the disk does not take a name, and calls that fail amid a MOVE: what is there agrees with the
//! answer.

use super::resumable::{OCTETS, filename, offset, patch, tus};
use super::*;
use crate::harness::Server;
use crate::strace::Strace;
use std::collections::BTreeMap;

/// A request, its body, and what it needs before: the target and the offset of an upload.
type Act<'a> = &'a dyn Fn(&Server) -> Response;

fn store(sync: &str) -> Server {
    let settings = format!(
        "client_max_body_size 10m; upload_sync {sync}; dav_ext_lock_zone zone=locks:1m;
         location /a/ {{ allowed_methods GET POST PUT DELETE; upload_resumable on; upload_create_path on; }}
         location /over/ {{ allowed_methods GET POST PUT DELETE; upload_resumable on; upload_on_duplicate overwrite;
                            delete_trash %%DIR%%/html/trash; }}
         location /dav/ {{ dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK;
                           dav_ext_lock zone=locks; }}"
    );
    let zone = "dav_ext_lock_zone zone=locks:1m;";
    let text = format!(
        "{zone} server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; root html; {} }}",
        settings.replace(zone, "")
    );
    let files = ["a/old", "over/old", "over/sub/deep", "dav/old", "dav/other", "dav/t/f", "dav/u/h"];
    let setup =
        crate::harness::http(&text).file("html/index.html", "index").mkdir("html/trash").allow_log("failed (5:");
    running(files.iter().fold(setup, |setup, name| setup.file(&format!("html/{name}"), *name)))
}

/// What clients see of the store.
fn seen(s: &Server) -> BTreeMap<String, String> {
    s.snapshot("html").into_iter().filter(|(name, _)| !name.contains(".webserv-")).collect()
}

/// Answers `act` while the `when`-th of these calls fails, and whether it was called so often. None: strace is missing.
fn failing(s: &Server, call: &str, when: usize, act: Act<'_>) -> Option<(Response, bool)> {
    let inject = format!("inject={call}:error=EIO:when={when}");
    // The kernel's workers cannot be made to fail: without them the process waits itself.
    let alone = "inject=io_submit:error=EINVAL";
    let strace = Strace::attach(s, &["-e", &format!("trace={call},io_submit"), "-e", &inject, "-e", alone])?;
    let r = act(s);
    let trace = strace.detach();
    Some((r, trace.lines().any(|line| line.contains(call) && line.ends_with("(INJECTED)") && line.contains("EIO"))))
}

fn transfer(s: &Server, method: &str, from: &str, to: &str) -> Response {
    s.method(method, from, &format!("Destination: {to}\r\n"), b"")
}

/// Requests that name something, by what they are.
const ACTS: &[(&str, Act<'_>)] = &[
    ("PUT of a new name", &|s| s.method("PUT", "/a/new", "", b"new")),
    ("PUT that replaces", &|s| s.method("PUT", "/a/old", "", b"new")),
    ("PUT into new directories", &|s| s.method("PUT", "/a/x/y/z", "", b"new")),
    ("POST", &|s| s.method("POST", "/a/new", "", b"new")),
    ("a form", &|s| post_form(s, "/a/", &form(&[file("f", b"1"), file("g", b"2")]))),
    ("a form that replaces", &|s| post_form(s, "/over/", &form(&[file("old", b"1"), file("g", b"2")]))),
    ("a form that replaces one", &|s| post_form(s, "/over/", &form(&[file("old", b"1")]))),
    ("tus, all at once", &|s| {
        tus(s, "POST", "/a/", &format!("Upload-Length: 3\r\n{OCTETS}{}", filename("tus")), b"abc")
    }),
    ("a draft's PUT that replaces", &|s| s.method("PUT", "/a/old", "Upload-Complete: ?1\r\n", b"new")),
    ("MKCOL", &|s| s.method("MKCOL", "/dav/new/", "", b"")),
    ("LOCK of a free name", &|s| s.method("LOCK", "/dav/new", "Depth: 0\r\n", LOCKINFO)),
    ("MOVE", &|s| transfer(s, "MOVE", "/dav/old", "/dav/new")),
    ("MOVE that replaces", &|s| transfer(s, "MOVE", "/dav/old", "/dav/other")),
    ("MOVE of a tree", &|s| transfer(s, "MOVE", "/dav/t/", "/dav/n/")),
    ("MOVE of a tree over another", &|s| transfer(s, "MOVE", "/dav/t/", "/dav/u/")),
    ("MOVE of a file over a tree", &|s| transfer(s, "MOVE", "/dav/old", "/dav/u/")),
    ("COPY", &|s| transfer(s, "COPY", "/dav/old", "/dav/new")),
    ("COPY that replaces", &|s| transfer(s, "COPY", "/dav/old", "/dav/other")),
    ("COPY of a tree", &|s| transfer(s, "COPY", "/dav/t/", "/dav/n/")),
    ("COPY of a tree over another", &|s| transfer(s, "COPY", "/dav/t/", "/dav/u/")),
    ("DELETE into the trash", &|s| s.method("DELETE", "/over/old", "", b"")),
];

#[test]
fn a_name_that_the_disk_does_not_take_is_taken_back() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("fsync fails");
    for (what, act) in ACTS {
        table.row(OURS, what, || {
            let s = store("on");
            let before = seen(&s);
            for when in 1..=40 {
                let Some((r, has_failed)) = failing(&s, "fsync", when, *act) else { break };
                if !has_failed {
                    // The disk works again: a lock, a name or a number that was left would show now.
                    assert!(r.status < 400, "{}", r.show());
                    break;
                }
                assert!(r.status >= 500, "the {when}th fsync: {}", r.show());
                assert!(seen(&s) == before, "after the {when}th fsync: {:?}", seen(&s).keys());
            }
        });
    }
    table.row(OURS, "a creation whose client has no URI: its bytes are not kept", || {
        for length in [3, 9] {
            let s = store("on");
            for when in 1..=40 {
                let fields = format!("Upload-Length: {length}\r\n{OCTETS}{}", filename("tus"));
                let Some((r, true)) = failing(&s, "fsync", when, &|s| tus(s, "POST", "/a/", &fields, b"abc")) else {
                    break;
                };
                assert!(r.status >= 500 && r.header("Location").is_none(), "the {when}th fsync: {}", r.show());
                let left: Vec<String> = s.snapshot("html").into_keys().filter(|name| name.contains(".part")).collect();
                assert!(left.is_empty(), "{length} bytes, the {when}th fsync: {left:?}");
            }
        }
    });
    table.row(OURS, "the end of an upload in pieces: all its bytes are there, and it ends when asked again", || {
        for target in ["/a/", "/over/"] {
            let s = store("on");
            let fields = format!("Upload-Length: 6\r\n{}", filename("old"));
            let fields = if target == "/a/" { fields.replace(&filename("old"), &filename("new")) } else { fields };
            let upload = located(tus(&s, "POST", target, &fields, b"").is(201));
            patch(&s, &upload, 0, b"abc").is(204);
            let before = seen(&s);
            let Some((r, true)) = failing(&s, "fsync", 2, &|s| patch(s, &upload, 3, b"def")) else { return };
            r.is(500);
            assert!(seen(&s) == before);
            assert_eq!(offset(&s, &upload), 6, "asking ends it");
            let name = if target == "/a/" { "html/a/new" } else { "html/over/old" };
            assert_eq!(s.read(name), b"abcdef");
        }
    });
    table.row(OURS, "what cannot be taken back says so", || {
        let s = store("on");
        let act: Act<'_> = &|s| s.method("DELETE", "/a/old", "", b"");
        let Some((r, true)) = failing(&s, "fsync", 1, act) else { return };
        r.is(500).contains("a power cut may undo it");
        assert!(!s.exists("html/a/old"));
    });
}

#[test]
fn a_move_whose_calls_fail_is_done_or_not() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("calls of MOVE and COPY fail");
    for (what, act) in
        ACTS.iter().filter(|(what, _)| what.contains("MOVE") || matches!(*what, "COPY" | "COPY that replaces"))
    {
        for call in ["renameat2", "unlinkat", "newfstatat", "openat2"] {
            table.row(OURS, &format!("{what}, {call}"), || {
                for when in 1..=9 {
                    let s = store("off");
                    let before = seen(&s);
                    let Some((r, true)) = failing(&s, call, when, *act) else { break };
                    assert_eq!(r.status >= 300, seen(&s) == before, "the {when}th: {}", r.show());
                }
            });
        }
    }
}

/// The copy takes the place of what was there as a COPY's does.
#[test]
fn a_move_over_a_file_from_another_file_system_is_taken_back() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = store("on");
    // Only a rename between two directories tells that they are on two file systems.
    let renames = "inject=renameat:error=EXDEV:when=1";
    let trace = ["-e", "trace=renameat,fsync,io_submit", "-e", renames, "-e", "inject=io_submit:error=EINVAL"];
    let before = seen(&s);
    // The first fsync is of the content.
    let names = "inject=fsync:error=EIO:when=2";
    let Some(strace) = Strace::attach(&s, &[&trace[..], &["-e", names]].concat()) else { return };
    let r = transfer(&s, "MOVE", "/dav/old", "/dav/other");
    drop(strace);
    assert!(r.status >= 500, "{}", r.show());
    assert!(seen(&s) == before, "{:?}", seen(&s));
}

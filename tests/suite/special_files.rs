//! FIFOs, sockets and devices among the files: never read, never waited for, and never an error of the server's.

use crate::client::find;
use crate::harness::{Server, server, skip_on_nginx};
use crate::os;
use crate::table::{BOTH, Table, ours};
use std::os::unix::net::UnixListener;

const OURS: crate::table::Runs = ours("a socket is 500 to nginx, and a FIFO in its listings");
const KINDS: [&str; 4] = ["fifo", "socket", "to-fifo", "to-socket"];

/// One of each kind in a directory, and a link to each.
fn special_files(s: &Server, dir: &str) {
    let at = |name: &str| s.path(&format!("{dir}/{name}"));
    os::mkfifo(&at("fifo"));
    drop(UnixListener::bind(at("socket")).expect("a fresh directory"));
    for kind in ["fifo", "socket"] {
        std::os::unix::fs::symlink(kind, at(&format!("to-{kind}"))).expect("symlink");
    }
    s.write(&format!("{dir}/file.txt"), "content");
}

#[test]
fn a_socket_or_a_fifo_among_the_files_is_not_found_by_any_reader() {
    let block = "location / { autoindex on; autoindex_format json; }
                 location /first/ { alias %%DIR%%/html/; index socket fifo; }
                 location /try/ { alias %%DIR%%/html/; try_files /none /socket =404; }
                 location /links/ { alias %%DIR%%/html/; disable_symlinks if_not_owner; }
                 location /stored/ { alias %%DIR%%/html/stored/; gzip_static on; }";
    let s = server(block).file("html/stored/a.txt", "plain").allow_log("is not a regular file").start();
    special_files(&s, "html");
    drop(UnixListener::bind(s.path("html/stored/a.txt.gz")).expect("a fresh directory"));
    let mut table = Table::new("readers");
    table.row(OURS, "by its own name and by a link's", || {
        for kind in KINDS {
            for method in ["GET", "HEAD", "POST"] {
                s.method(method, &format!("/{kind}"), "", b"").is(404);
            }
            s.get_with(&format!("/{kind}"), "Range: bytes=0-1\r\n").is(404);
            s.get(&format!("/links/{kind}")).is(404);
        }
    });
    table.row(OURS, "as an index file, behind try_files", || {
        s.get("/first/").is(404);
        s.get("/try/x").is(404);
    });
    table.row(BOTH, "beside a file, in place of its compressed form", || {
        s.get_with("/stored/a.txt", "Accept-Encoding: gzip\r\n").is(200).body_is("plain");
    });
    table.row(OURS, "a listing shows what can be opened", || {
        let listed = s.get("/").is(200).text();
        assert!(listed.contains("file.txt") && !KINDS.iter().any(|kind| listed.contains(kind)), "{listed}");
    });
}

#[test]
fn a_socket_or_a_fifo_among_the_files_is_copied_by_no_one_and_removed_like_a_file() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let block = "location / { dav_methods PUT DELETE MKCOL COPY MOVE; autoindex on; autoindex_archive tar;
                 dav_ext_methods PROPFIND PROPPATCH OPTIONS; }";
    let s = server(block).mkdir("html/d").start();
    special_files(&s, "html");
    special_files(&s, "html/d");
    let mut table = Table::new("WebDAV, archives");
    table.row(OURS, "COPY of one is refused, of a directory leaves them out", || {
        for kind in KINDS {
            s.method("COPY", &format!("/{kind}"), "Destination: /copy\r\n", b"").is(403);
            assert!(!s.exists("html/copy"), "{kind}");
        }
        s.method("COPY", "/d/", "Destination: /e/\r\n", b"").is(201);
        assert_eq!(s.snapshot("html/e").into_keys().collect::<Vec<_>>(), ["file.txt"]);
    });
    table.row(OURS, "PROPFIND and archives know none of them", || {
        for kind in KINDS {
            s.method("PROPFIND", &format!("/{kind}"), "Depth: 0\r\n", b"").is(404);
        }
        let found = s.method("PROPFIND", "/d/", "Depth: 1\r\n", b"").is(207).text();
        let archive = s.get("/d/?archive=tar");
        for kind in KINDS {
            assert!(!found.contains(kind), "{found}");
            assert_eq!(find(&archive.is(200).body, kind.as_bytes()), None);
        }
        assert!(found.contains("file.txt") && find(&archive.body, b"file.txt").is_some());
    });
    table.row(OURS, "PUT does not write into one", || {
        for kind in ["fifo", "socket"] {
            s.method("PUT", &format!("/{kind}"), "", b"x").is(409);
        }
    });
    table.row(OURS, "DELETE and MOVE take the name", || {
        for kind in KINDS {
            s.method("MOVE", &format!("/{kind}"), &format!("Destination: /moved-{kind}\r\n"), b"").is(201);
            s.method("DELETE", &format!("/moved-{kind}"), "", b"").is(204);
        }
        s.method("DELETE", "/d/", "", b"").is(204);
        assert!(!s.exists("html/d"));
    });
}

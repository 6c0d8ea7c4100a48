//! File systems and kernels as they are: without hard links, without the flags of renameat2, without openat2, without
//! splice, without modes. The same uploads, copies, moves and deletes hold on all of them.

use super::resumable::{OCTETS, create, filename, patch, tus};
use super::*;
use crate::harness::{http, post_files};
use crate::os::Denied;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Areas below `root`: for uploads, WebDAV, files that are synced and a shared quota; and a trash beside them.
pub fn setup_at(root: &str) -> Setup {
    http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; client_max_body_size 10m; root {root};
         location /a/ {{ allowed_methods GET POST PUT DELETE; upload_resumable on; upload_create_path on; }}
         location /over/ {{ allowed_methods GET POST PUT DELETE; upload_on_duplicate overwrite; delete_trash {root}/trash; }}
         location /sync/ {{ dav_methods PUT DELETE MKCOL COPY MOVE; upload_sync on;
                            allowed_methods GET POST PUT DELETE MKCOL COPY MOVE; upload_resumable on; }}
         location /own/in/ {{ allowed_methods GET POST; upload_resumable on; }}
         location /quota/ {{ allowed_methods GET POST PUT DELETE; upload_quota 10 shared; }}
         location /dav/ {{ dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS PROPPATCH;
                           autoindex on; autoindex_archive zip; }} }}"
    ))
    .file("index.html", "index")
}

pub fn transfer(s: &Server, method: &str, from: &str, to: &str) -> Response {
    s.method(method, from, &format!("Destination: {to}\r\n"), b"")
}

/// Everything that storing needs of a file system, in the directory `root`.
#[track_caller]
pub fn exercise(s: &Server, root: &Path, is_mounted: bool) {
    for dir in ["a", "over", "dav", "sync", "quota"] {
        std::fs::create_dir_all(root.join(dir)).expect("mkdir");
    }
    let read = |name: &str| std::fs::read(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    // New names, and names that are taken.
    s.method("PUT", "/a/put", "", b"one").is(201);
    s.method("PUT", "/a/put", "", b"two").is_one_of(&[200, 204]);
    assert_eq!(read("a/put"), b"two");
    post_files(s, "/a/", &[("x", "1"), ("y", "2")]).is(201);
    post_files(s, "/a/", &[("z", "3"), ("y", "never")]).is(409);
    assert_eq!((read("a/x"), read("a/y"), root.join("a/z").exists()), (b"1".to_vec(), b"2".to_vec(), false));
    post_files(s, "/over/", &[("x", "1"), ("y", "2")]).is(201);
    post_files(s, "/over/", &[("x", "3"), ("y", "4")]).is_one_of(&[200, 201]);
    assert_eq!((read("over/x"), read("over/y")), (b"3".to_vec(), b"4".to_vec()));
    let large = noise(3_000_000);
    s.method("PUT", "/a/large", "", &large).is(201);
    assert!(read("a/large") == large, "large");
    s.method("PUT", "/a/new/deep/file", "", b"deep").is(201);
    dated(s, root);
    s.method("DELETE", "/dav/dated", "", b"").is(204);
    let r = s.get("/a/large");
    let tag = r.header("ETag").expect("one").to_owned();
    s.method("PUT", "/a/large", &format!("If-Match: {tag}\r\n"), b"short").is_one_of(&[200, 204]);
    // In pieces.
    let target = create(s, "pieces", 6);
    patch(s, &target, 0, b"abc").is(204);
    patch(s, &target, 3, b"def").is(204);
    assert_eq!(read("a/pieces"), b"abcdef");
    in_pieces_otherwise(s, root);
    // The same name into the trash twice.
    s.method("DELETE", "/over/x", "", b"").is(204);
    post_files(s, "/over/", &[("x", "again")]).is(201);
    s.method("DELETE", "/over/x", "", b"").is(204);
    assert_eq!((read("trash/x"), read("trash/x-1")), (b"3".to_vec(), b"again".to_vec()));
    // Trees.
    for (method, target) in [("MKCOL", "/dav/t/"), ("MKCOL", "/dav/t/in/"), ("MKCOL", "/dav/u/")] {
        s.method(method, target, "", b"").is(201);
    }
    s.method("PUT", "/dav/t/in/f", "", b"f").is(201);
    s.method("PUT", "/dav/u/old", "", b"old").is(201);
    transfer(s, "COPY", "/dav/t/in/f", "/dav/g").is(201);
    transfer(s, "COPY", "/dav/t/in/f", "/dav/g").is(204);
    s.method("COPY", "/dav/t/in/f", "Destination: /dav/g\r\nOverwrite: F\r\n", b"").is(412);
    transfer(s, "COPY", "/dav/t/", "/dav/c/").is(201);
    transfer(s, "COPY", "/dav/t/", "/dav/u/").is(204);
    assert_eq!((read("dav/c/in/f"), read("dav/u/in/f")), (b"f".to_vec(), b"f".to_vec()));
    assert!(!root.join("dav/u/old").exists());
    transfer(s, "MOVE", "/dav/c/", "/dav/m/").is(201);
    transfer(s, "MOVE", "/dav/m/", "/dav/u/").is(204);
    transfer(s, "MOVE", "/dav/g", "/dav/u/").is(204);
    assert_eq!(read("dav/u"), b"f");
    assert!(!root.join("dav/m").exists() && !root.join("dav/c").exists() && !root.join("dav/g").exists());
    s.method("PROPFIND", "/dav/t/", "Depth: 1\r\n", b"").is(207).contains("/dav/t/in/");
    s.get("/dav/").is(200).contains("u</a>").contains("t/</a>");
    assert!(s.get("/dav/t/?archive=zip").is(200).body.starts_with(b"PK"), "an archive");
    s.method("DELETE", "/dav/t/", "", b"").is(204);
    on_the_disk(s, root);
    within_a_shared_quota(s);
    // Nothing is left of what was claimed or hidden.
    // FUSE itself keeps what is open still, and so the directory it was in.
    let is_fuse =
        |name: &String| name.contains(".fuse_hidden") || is_mounted && name.ends_with(".webserv-upload-state");
    let mut names: Vec<String> = names(root);
    // The number of a shared quota stays with its area.
    names.retain(|name| !is_fuse(name) && name != "quota/.webserv-quota");
    assert!(!names.iter().any(|name| name.contains(".webserv-")), "{names:?}");
    let expected = [
        "a/draft",
        "a/joined",
        "a/large",
        "a/new/deep/file",
        "a/pieces",
        "a/put",
        "a/x",
        "a/y",
        "dav/u",
        "over/y",
        "quota/b",
        "sync/copy/f",
        "sync/put",
        "sync/x",
        "sync/y",
        "trash/x",
        "trash/x-1",
    ];
    assert_eq!(
        names.iter().filter(|name| root.join(name).is_file() && *name != "index.html").collect::<Vec<_>>(),
        expected
    );
}

/// A client is told that its time was accepted where that is kept.
#[track_caller]
fn dated(s: &Server, root: &Path) {
    let time = || std::fs::metadata(root.join("dav/dated")).expect("stat").mtime();
    let r = s.method("PUT", "/dav/dated", "X-OC-Mtime: 784111777\r\n", b"old");
    assert_eq!(r.is(201).header("X-OC-MTime").is_some(), time() == 784_111_777, "by PUT");
    let patch = |property: &str, value: &str| {
        let body = format!(
            "<D:propertyupdate xmlns:D='DAV:' xmlns:Z='urn:schemas-microsoft-com:'><D:set><D:prop>\
             <{property}>{value}</{property}></D:prop></D:set></D:propertyupdate>"
        );
        let r = s.method("PROPPATCH", "/dav/dated", "", body.as_bytes());
        r.is(207).text().contains("200 OK")
    };
    assert_eq!(patch("D:lastmodified", "784111000"), time() == 784_111_000, "by PROPPATCH");
    // Windows fails a copy whose time is refused.
    assert!(patch("Z:Win32LastModifiedTime", "Sun, 06 Nov 1994 08:49:37 GMT"));
}

/// By the draft, and by parts that become one file.
#[track_caller]
fn in_pieces_otherwise(s: &Server, root: &Path) {
    let draft = located(s.method("POST", "/a/draft", "Upload-Complete: ?0\r\n", b"dr").is(201));
    let fields = "Content-Type: application/partial-upload\r\nUpload-Offset: 2\r\nUpload-Complete: ?1\r\n";
    s.method("PATCH", &draft, fields, b"aft").is_one_of(&[200, 201, 204]);
    assert_eq!(std::fs::read(root.join("a/draft")).expect("draft"), b"draft");
    let part = |content: &[u8]| {
        let fields = format!("Upload-Concat: partial\r\nUpload-Length: {}\r\n{OCTETS}", content.len());
        located(tus(s, "POST", "/a/", &fields, content).is(201))
    };
    let (first, second) = (part(&noise(300_000)), part(b"end"));
    let fields = format!("Upload-Concat: final;{first} {second}\r\n{}", filename("joined"));
    tus(s, "POST", "/a/", &fields, b"").is(201);
    assert!(std::fs::read(root.join("a/joined")).expect("joined") == [&noise(300_000)[..], b"end"].concat());
    let gone = create(s, "gone", 5);
    patch(s, &gone, 0, b"abc").is(204);
    tus(s, "DELETE", &gone, "", b"").is(204);
}

/// With upload_sync.
#[track_caller]
fn on_the_disk(s: &Server, root: &Path) {
    s.method("PUT", "/sync/put", "", b"1").is(201);
    s.method("PUT", "/sync/put", "", b"2").is(204);
    post_files(s, "/sync/", &[("x", "1"), ("y", "2")]).is(201);
    s.method("MKCOL", "/sync/tree/", "", b"").is(201);
    s.method("PUT", "/sync/tree/f", "", b"f").is(201);
    transfer(s, "COPY", "/sync/tree/", "/sync/copy/").is(201);
    s.method("DELETE", "/sync/tree/", "", b"").is(204);
    let read = |name: &str| std::fs::read(root.join("sync").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!((read("put"), read("x"), read("copy/f")), (b"2".to_vec(), b"1".to_vec(), b"f".to_vec()));
}

fn within_a_shared_quota(s: &Server) {
    s.method("PUT", "/quota/a", "", b"123456").is(201);
    s.method("PUT", "/quota/b", "", b"123456").is(507);
    s.method("DELETE", "/quota/a", "", b"").is(204);
    s.method("PUT", "/quota/b", "", b"123456").is(201);
}

/// All names below, sorted.
fn names(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut ways = vec![PathBuf::new()];
    while let Some(way) = ways.pop() {
        for entry in std::fs::read_dir(root.join(&way)).expect("read").flatten() {
            let way = way.join(entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                ways.push(way.clone());
            }
            all.push(way.to_string_lossy().into_owned());
        }
    }
    all.sort();
    all
}

#[test]
fn uploads_hold_where_calls_are_missing() {
    if skip_on_nginx("uploads") {
        return;
    }
    use libc::*;
    const NAMELESS: i32 = O_TMPFILE & !O_DIRECTORY;
    let table: &[(&str, &[Denied])] = &[
        ("nothing is missing", &[]),
        ("hard links", &[(SYS_linkat, 0, EPERM)]),
        ("hard links, said otherwise", &[(SYS_linkat, 0, EOPNOTSUPP)]),
        ("hard links, as FUSE says it", &[(SYS_linkat, 0, ENOSYS)]),
        ("hard links between projects with quotas", &[(SYS_linkat, 0, EXDEV)]),
        (
            "second links, and copy_file_range as some network file systems",
            &[(SYS_linkat, 0, EMLINK), (SYS_copy_file_range, 0, EIO)],
        ),
        ("flags of renameat2", &[(SYS_renameat2, 0, EINVAL)]),
        ("renameat2", &[(SYS_renameat2, 0, ENOSYS)]),
        ("renameat2, forbidden", &[(SYS_renameat2, 0, EPERM)]),
        ("both", &[(SYS_linkat, 0, EPERM), (SYS_renameat2, 0, EINVAL)]),
        ("openat2", &[(SYS_openat2, 0, ENOSYS)]),
        ("openat2, forbidden", &[(SYS_openat2, 0, EPERM)]),
        ("files without a name", &[(SYS_openat, NAMELESS, EOPNOTSUPP)]),
        ("files without a name, as old kernels say it", &[(SYS_openat, NAMELESS, EISDIR)]),
        ("files without a name, and links", &[(SYS_openat, NAMELESS, EOPNOTSUPP), (SYS_linkat, 0, EPERM)]),
        ("splice", &[(SYS_splice, 0, EINVAL)]),
        ("splice, forbidden", &[(SYS_splice, 0, EPERM)]),
        ("sendfile", &[(SYS_sendfile, 0, EINVAL)]),
        ("fchmod", &[(SYS_fchmod, 0, EPERM)]),
        ("utimensat", &[(SYS_utimensat, 0, EPERM)]),
        ("times, though utimensat succeeds", &[(SYS_utimensat, 0, 0)]),
        ("copy_file_range", &[(SYS_copy_file_range, 0, EXDEV)]),
        ("copy_file_range, forbidden", &[(SYS_copy_file_range, 0, EPERM)]),
        ("flock", &[(SYS_flock, 0, ENOLCK)]),
        ("sync_file_range and fallocate", &[(SYS_sync_file_range, 0, EINVAL), (SYS_fallocate, 0, EOPNOTSUPP)]),
        ("asynchronous fsync", &[(SYS_io_setup, 0, ENOSYS), (SYS_io_submit, 0, ENOSYS)]),
        ("inotify", &[(SYS_inotify_init1, 0, ENOSYS), (SYS_inotify_add_watch, 0, ENOSPC)]),
        ("preadv2", &[(SYS_preadv2, 0, EOPNOTSUPP)]),
        (
            "all of them",
            &[
                (SYS_linkat, 0, EPERM),
                (SYS_renameat2, 0, EINVAL),
                (SYS_openat2, 0, ENOSYS),
                (SYS_openat, NAMELESS, EOPNOTSUPP),
                (SYS_splice, 0, EINVAL),
                (SYS_fchmod, 0, EPERM),
                (SYS_utimensat, 0, EPERM),
                (SYS_copy_file_range, 0, EXDEV),
                (SYS_flock, 0, ENOLCK),
                (SYS_io_setup, 0, ENOSYS),
            ],
        ),
    ];
    let mut rows = Table::new("storing without some system calls");
    for (what, calls) in table {
        rows.row(OURS, what, || {
            let s = setup_at("%%DIR%%/store").mkdir("store").deny(calls).allow_log("file locks").start();
            exercise(&s, &s.path("store"), false);
        });
    }
}

/// As in a chroot that has none.
#[test]
fn where_proc_is_not_mounted_nothing_is_said_to_be_missing() {
    if skip_on_nginx("uploads") {
        return;
    }
    let no_proc = [(libc::SYS_readlinkat, 0, libc::ENOENT)];
    let setup = setup_at("%%DIR%%/store").file("store/dav/old", "old").deny(&no_proc);
    let s = setup.allow_log("Function not implemented").start();
    s.method("PUT", "/dav/new", "", b"new").is(500);
    s.method("DELETE", "/dav/old", "", b"").is(500);
    transfer(&s, "COPY", "/dav/old", "/dav/new").is(500);
    assert_eq!(s.snapshot("store/dav").into_keys().collect::<Vec<_>>(), ["old"]);
}

/// As where RLIMIT_FSIZE, or the file system, allows no file of that size.
#[test]
fn a_copy_that_is_too_large_for_the_file_system_is_413() {
    if skip_on_nginx("COPY") {
        return;
    }
    let too_large = [(libc::SYS_copy_file_range, 0, libc::EFBIG)];
    let s = setup_at("%%DIR%%/store").file("store/dav/old", noise(100_000)).deny(&too_large).start();
    transfer(&s, "COPY", "/dav/old", "/dav/new").is(413);
    assert_eq!(s.snapshot("store/dav").into_keys().collect::<Vec<_>>(), ["old"]);
}

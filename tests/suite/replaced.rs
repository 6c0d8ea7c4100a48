//! What a client's write may take the place of, and under which conditions: folders that are links, files of one
//! request with one name, dates that say nothing yet, compressed files that were left behind.

use crate::harness::{LOCKINFO, Server, eventually, http, post_files, server, skip_on_nginx};
use std::fs::File;
use std::time::{Duration, SystemTime};

/// As if the file had been written that many seconds ago.
fn make_old(s: &Server, path: &str, seconds: u64) {
    let file = File::options().write(true).open(s.path(path)).expect("opens");
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).expect("its time is set");
}

#[test]
fn a_folder_of_the_site_that_is_a_link_is_not_replaced_by_a_file() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server(
        "location /d/ { dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; }
         location /x/ { alias %%DIR%%/html/d/; dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; }
         location /up/ { alias %%DIR%%/html/d/; allowed_methods GET POST PUT; upload_on_duplicate overwrite;
                         upload_resumable on; }",
    )
    .file("html/d/release/page", "page")
    .file("html/d/f", "f")
    .link("html/d/current", "release")
    .link("html/d/link", "f")
    .start();
    let is_there = |what: &str| {
        assert!(s.path("html/d/current").is_symlink(), "{what}");
        s.get("/d/current/page").is(200).body_is("page");
    };
    for location in ["/d/", "/x/", "/up/"] {
        s.method("PUT", &format!("{location}current"), "", b"new").is(409);
        is_there(location);
    }
    for location in ["/d/", "/x/"] {
        for method in ["COPY", "MOVE"] {
            let fields = format!("Destination: {location}current\r\n");
            s.method(method, &format!("{location}f"), &fields, b"").is(409);
            is_there(&format!("{method} {location}"));
        }
    }
    post_files(&s, "/up/", &[("current", "new")]).is(409);
    is_there("a form");
    post_files(&s, "/up/", &[("one", "1"), ("current", "new")]).is(409);
    is_there("one of two files of a form");
    assert!(!s.exists("html/d/one"));
    let tus = "Tus-Resumable: 1.0.0\r\nUpload-Length: 3\r\nContent-Type: application/offset+octet-stream\r\n\
               Upload-Metadata: filename Y3VycmVudA==\r\n";
    s.method("POST", "/up/", tus, b"new").is(409);
    is_there("tus");
    // A link to a file is replaced itself, as ever.
    s.method("PUT", "/d/link", "", b"new").is(204);
    assert_eq!((s.read("html/d/link"), s.read("html/d/f")), (b"new".to_vec(), b"f".to_vec()));
    assert!(!s.path("html/d/link").is_symlink());
}

#[test]
fn two_files_of_a_form_with_one_name_are_both_stored() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server(
        "location /ow/ { allowed_methods GET POST; upload_on_duplicate overwrite; upload_create_path on; }
         location /q/ { allowed_methods GET POST; upload_on_duplicate overwrite; upload_quota 10 files=1; }",
    )
    .file("html/ow/image.jpg", "before")
    .mkdir("html/q")
    .start();
    let twins = [("image.jpg", "one"), ("image.jpg", "two"), ("image.jpg", "three")];
    post_files(&s, "/ow/", &twins).is_one_of(&[200, 201]);
    let read = |name: &str| s.read(&format!("html/ow/{name}"));
    assert_eq!((read("image.jpg"), read("image-1.jpg")), (b"one".to_vec(), b"two".to_vec()));
    assert_eq!(read("image-2.jpg"), b"three");
    // Another request replaces.
    post_files(&s, "/ow/", &[("image.jpg", "four")]).is_one_of(&[200, 201]);
    assert_eq!((read("image.jpg"), read("image-1.jpg")), (b"four".to_vec(), b"two".to_vec()));
    post_files(&s, "/ow/", &[("a/x", "one"), ("b/x", "two")]).is(201);
    assert_eq!((read("a/x"), read("b/x")), (b"one".to_vec(), b"two".to_vec()));
    // Both count.
    post_files(&s, "/q/", &[("x", "one"), ("x", "two")]).is(507);
    assert!(!s.exists("html/q/x"));
}

#[test]
fn files_of_a_folder_are_not_put_into_one_directory_by_tus() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server("location /a/ { allowed_methods GET POST; upload_resumable on; upload_on_duplicate overwrite; }")
        .mkdir("html/a")
        .start();
    // a/y.txt; y.txt alone names no directory.
    for (path, status) in [("YS95LnR4dA==", 400), ("eS50eHQ=", 201)] {
        let fields = format!(
            "Tus-Resumable: 1.0.0\r\nUpload-Length: 1\r\nContent-Type: application/offset+octet-stream\r\n\
             Upload-Metadata: filename eS50eHQ=,relativePath {path}\r\n"
        );
        s.method("POST", "/a/", &fields, b"1").is(status);
        assert_eq!(s.exists("html/a/y.txt"), status == 201);
    }
}

#[test]
fn a_lock_and_new_properties_and_a_new_folder_keep_to_the_requests_conditions() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = http(
        "dav_ext_lock_zone zone=locks:1m;
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; location / { dav_methods PUT DELETE MKCOL;
                  dav_ext_lock zone=locks; dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK PROPPATCH; } }",
    )
    .file("html/f", "f")
    .mkdir("html/d")
    .start();
    make_old(&s, "html/f", 100);
    let tag = s.get("/f").header("ETag").expect("one").to_owned();
    let touch = "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop>\
                 <Z:Win32LastModifiedTime>Thu, 02 Jan 2020 03:04:05 GMT</Z:Win32LastModifiedTime></D:prop></D:set>\
                 </D:propertyupdate>";
    let old = "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for condition in ["If-Match: \"wrong\"\r\n", "If-None-Match: *\r\n", old] {
        s.method("PROPPATCH", "/f", condition, touch.as_bytes()).is(412);
        s.method("LOCK", "/f", condition, LOCKINFO).is(412);
    }
    s.get("/f").has("ETag", &tag);
    s.method("LOCK", "/new", "If-Match: *\r\n", LOCKINFO).is(412);
    s.method("MKCOL", "/folder/", "If-Match: *\r\n", b"").is(412);
    s.method("MKCOL", "/d/", "If-None-Match: *\r\n", b"").is(412);
    assert!(!s.exists("html/new") && !s.exists("html/folder"));
    s.method("MKCOL", "/folder/", "If-None-Match: *\r\n", b"").is(201);
    s.method("PROPPATCH", "/f", &format!("If-Match: {tag}\r\n"), touch.as_bytes()).is(207);
    s.get("/f").has("Last-Modified", "Thu, 02 Jan 2020 03:04:05 GMT");
    s.method("LOCK", "/f", "If-Match: *\r\n", LOCKINFO).is(200);
}

#[test]
fn a_compressed_file_that_a_write_left_behind_is_not_sent() {
    if skip_on_nginx("it sends it") {
        return;
    }
    let s = server(
        "location /w/ { gzip_static on; dav_methods PUT DELETE; }
         location /shown/ { alias %%DIR%%/html/w/; gzip_static on; }
         location /always/ { gzip_static always; dav_methods PUT DELETE COPY MOVE; }
         location /r/ { gzip_static on; }",
    )
    .file("html/always/only.gz", "ALL THERE IS")
    .file("html/always/q", "new")
    .file("html/always/p", "old")
    .file("html/always/p.gz", "OLD IN GZIP")
    .file("html/w/p", "old")
    .file("html/w/p.gz", "OLD IN GZIP")
    .file("html/r/p", "plain")
    .file("html/r/p.gz", "GZIP")
    .file("html/r/only.gz", "GZIP")
    .start();
    let get = |target: &str| s.get_with(target, "Accept-Encoding: gzip\r\n");
    for path in ["html/w/p", "html/w/p.gz", "html/r/p.gz", "html/always/q", "html/always/p", "html/always/p.gz"] {
        make_old(&s, path, 100);
    }
    // The compressed one was written last.
    get("/w/p").body_is("OLD IN GZIP");
    s.method("PUT", "/w/p", "", b"new").is(204);
    for target in ["/w/p", "/shown/p"] {
        get(target).is(200).body_is("new").lacks("Content-Encoding");
    }
    s.write("html/w/p.gz", "NEW IN GZIP");
    get("/w/p").body_is("NEW IN GZIP");
    s.method("DELETE", "/w/p", "", b"").is(204);
    get("/w/p").is(404);
    // One that stands for itself; and what was written, but has the time that all files of the tree have.
    get("/always/only").is(200).body_is("ALL THERE IS");
    s.method("PUT", "/always/put.gz", "", b"PUT").is(201);
    get("/always/put").is(200).body_is("PUT");
    get("/always/p").body_is("OLD IN GZIP");
    s.method("MOVE", "/always/q", "Destination: /always/p\r\n", b"").is(204);
    get("/always/p").is(200).body_is("new");
    // Where no client writes it is as in nginx.
    get("/r/p").body_is("GZIP");
    get("/r/only").body_is("GZIP");
}

#[test]
fn a_date_of_the_present_second_joins_no_halves_and_loses_no_update() {
    if skip_on_nginx("it compares the date alone") {
        return;
    }
    let s = server("location / { etag off; dav_methods PUT DELETE; }").file("html/old", "0123456789").start();
    make_old(&s, "html/old", 100);
    let date = |target: &str| s.get(target).header("Last-Modified").expect("one").to_owned();
    let ask = |target: &str, date: &str| s.get_with(target, &format!("Range: bytes=5-\r\nIf-Range: {date}\r\n")).status;
    assert_eq!(ask("/old", &date("/old")), 206);
    s.method("DELETE", "/old", &format!("If-Unmodified-Since: {}\r\n", date("/old")), b"").is(204);
    // Again where the machine was slow.
    eventually("both requests come in the file's second", || {
        s.write("html/new", "0123456789");
        let date = date("/new");
        let range = ask("/new", &date);
        let put = s.method("PUT", "/new", &format!("If-Unmodified-Since: {date}\r\n"), b"x").status;
        (range, put) == (200, 412)
    });
}

#[test]
fn a_relative_link_is_not_moved_to_where_it_leads_elsewhere() {
    if skip_on_nginx("it moves it") {
        return;
    }
    let s = server("location / { dav_methods PUT DELETE MKCOL COPY MOVE; }")
        .file("secret", "OUTSIDE")
        .file("html/deep/f", "f")
        .mkdir("html/deep/er")
        .link("html/deep/er/l2", "../../secret")
        .link("html/deep/er/up", "../f")
        .link("html/deep/er/abs", "%%DIR%%/html/deep/f")
        .start();
    let moves = |from: &str, to: &str| s.method("MOVE", from, &format!("Destination: {to}\r\n"), b"").status;
    assert_eq!(moves("/deep/er/l2", "/deep/l2"), 403);
    assert_eq!(moves("/deep/er/up", "/up"), 403);
    assert!(s.path("html/deep/er/l2").is_symlink() && !s.path("html/deep/l2").is_symlink());
    // Another name in the same directory, and a link that names its file wherever it is.
    assert_eq!(moves("/deep/er/l2", "/deep/er/l3"), 204);
    assert_eq!(moves("/deep/er/abs", "/abs"), 204);
    s.get("/abs").is(200).body_is("f");
}

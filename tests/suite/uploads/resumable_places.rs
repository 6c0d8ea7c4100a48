//! Where resumable uploads are stored, by the directives that say so for plain ones.

use super::resumable::{base64, filename, offset, patch, resumable, tus};
use super::resumable_rules::STATE;
use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn resumable_uploads_are_stored_where_plain_ones_are() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("places of resumable uploads");
    table.row(OURS, "upload_store_access and upload_create_path", || {
        let s = resumable("upload_store_access user:rw group:r all:r; upload_create_path on;");
        let r = tus(&s, "POST", "/a/b/c/", &format!("Upload-Length: 1\r\n{}", filename("x")), b"");
        let target = located(r.is(201));
        assert!(!s.exists("html/a/b"));
        patch(&s, &target, 0, b"x").is(204);
        assert_eq!(s.path("html/a/b/c/x").metadata().expect("stored").permissions().mode() & 0o777, 0o644);
    });
    table.row(OURS, "a parent that is missing", || {
        let s = resumable("");
        tus(&s, "POST", "/a/b/c/", &format!("Upload-Length: 1\r\n{}", filename("x")), b"").is(409);
        assert!(!s.exists(STATE));
    });
    table.row(OURS, "upload_store, and one with a variable", || {
        for (store, directory) in [("elsewhere", "elsewhere"), ("elsewhere/$arg_user", "elsewhere/ann")] {
            let s = resumable(&format!("upload_store {store};"));
            std::fs::create_dir_all(s.path("elsewhere/ann")).expect("mkdir");
            let fields = format!("Upload-Length: 2\r\n{}", filename("x"));
            let target = located(tus(&s, "POST", "/a/?user=ann", &fields, b"").is(201));
            assert!(s.exists("elsewhere/.webserv-upload-state"), "in the part that has no variable");
            patch(&s, &target, 0, b"x").is(204);
            let other = target.replace("user=ann", "user=bob");
            let status = if store.contains('$') { 404 } else { 200 };
            tus(&s, "HEAD", &other, "", b"").is(status);
            patch(&s, &target, 1, b"y").is(204);
            assert_eq!(s.read(&format!("{directory}/x")), b"xy");
            assert!(!s.exists("elsewhere/.webserv-upload-state"));
        }
    });
    table.row(OURS, "upload_filename of the metadata", || {
        let s = resumable("upload_filename $upload_field_album-$upload_file_name;");
        let metadata = format!("Upload-Metadata: filename {},album {}\r\n", base64(b"x.txt"), base64(b"sea"));
        let target = located(tus(&s, "POST", "/a/", &format!("Upload-Length: 1\r\n{metadata}"), b"").is(201));
        patch(&s, &target, 0, b"x").is(204).has("Content-Location", "/a/sea-x.txt");
    });
    table.row(OURS, "a regex location, an exact one, and one with an if", || {
        let s = running(
            server(
                "location ~ ^/r/(.*)$ { allowed_methods GET POST; upload_resumable on; }
                 location = /e { allowed_methods GET POST; upload_resumable on; upload_store elsewhere; }
                 location /i/ { allowed_methods GET POST; upload_resumable on; if ($request_method = PATCH) { set $x 1; } }",
            )
            .file("html/index.html", "")
            .mkdir("html/r")
            .mkdir("html/i")
            .mkdir("elsewhere"),
        );
        for (at, path) in [("/r/x", "html/r/x"), ("/e", "elsewhere/x"), ("/i/x", "html/i/x")] {
            let target = located(tus(&s, "POST", at, &format!("Upload-Length: 2\r\n{}", filename("x")), b"").is(201));
            patch(&s, &target, 0, b"a").is(204);
            assert_eq!(offset(&s, &target), 1);
            patch(&s, &target, 1, b"b").is(204);
            assert_eq!(s.read(path), b"ab", "{at}");
        }
    });
}

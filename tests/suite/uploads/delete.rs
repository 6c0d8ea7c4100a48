//! DELETE: exactly what is named, never more.

use super::*;

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

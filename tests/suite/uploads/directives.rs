//! The upload_* directives by what they change.

use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn directives_choose_the_directory_of_an_upload() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("directories of uploads");
    table.row(OURS, "upload_store", || {
        for name in ["upload_store", "upload_dir", "upload_path"] {
            let s = area(&format!("{name} %%DIR%%/elsewhere;"));
            post_form(&s, "/a/", &form(&[file("a.txt", b"a")])).is(201);
            assert_eq!(s.read("elsewhere/a.txt"), b"a");
            assert_eq!(s.snapshot("html/a").len(), 0);
        }
    });
    table.row(OURS, "a relative upload_store starts at the prefix", || {
        let s = area("upload_store elsewhere;");
        s.method("POST", "/a/x", "", b"x").is(201);
        assert_eq!(s.read("elsewhere/x"), b"x");
    });
    table.row(OURS, "a capture may be the top of what the store holds", || {
        let block =
            "location ~ ^/b/(.*/)?[^/]*$ { upload_store elsewhere/$1; dav_methods PUT; upload_create_path on; }";
        let s = running(server(block).file("html/index.html", "").mkdir("elsewhere"));
        s.method("POST", "/b/x", "", b"x").is(201);
        s.method("POST", "/b/c/x", "", b"y").is(201);
        assert_eq!((s.read("elsewhere/x"), s.read("elsewhere/c/x")), (b"x".to_vec(), b"y".to_vec()));
    });
    table.row(OURS, "upload_store alone allows POST", || {
        let s = server("location /b/ { upload_store elsewhere; }").file("html/index.html", "").mkdir("elsewhere");
        let s = running(s);
        s.method("POST", "/b/x", "", b"x").is(201);
        assert_eq!(s.read("elsewhere/x"), b"x");
    });
    table.row(OURS, "upload_store with a variable", || {
        let s = area("upload_store elsewhere/$arg_user;");
        std::fs::create_dir(s.path("elsewhere/ann")).unwrap();
        s.method("POST", "/a/x?user=ann", "", b"x").is(201);
        assert_eq!(s.read("elsewhere/ann/x"), b"x");
        let before = disk(&s);
        s.method("POST", "/a/y?user=..", "", b"y").is_one_of(&[400, 403, 409]);
        s.method("POST", "/a/y?user=none", "", b"y").is(409);
        // The directory of all users is no user's.
        for none in ["", "?user=", "?user=.", "?user=/", "?user=./"] {
            s.method("POST", &format!("/a/y{none}"), "", b"y").is(500);
        }
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "upload_store off", || {
        let s = server("location /b/ { upload_store off; }").file("html/index.html", "").mkdir("html/b");
        let s = running(s);
        s.method("POST", "/b/x", "", b"x").is(404);
        s.write("html/b/x", "x");
        s.method("POST", "/b/x", "", b"x").is(405);
    });
    table.row(OURS, "upload_create_path", || {
        let s = area("upload_create_path on;");
        s.method("POST", "/a/b/c/d.txt", "", b"deep").is(201);
        assert_eq!(s.read("html/a/b/c/d.txt"), b"deep");
    });
}

#[test]
fn directives_shape_the_stored_file() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("stored files");
    table.row(OURS, "upload_filename random keeps the extension", || {
        let s = area("upload_filename random;");
        let r = post_form(&s, "/a/", &form(&[file("a.txt", b"a")]));
        let location = located(r.is(201));
        assert!(location.starts_with("/a/") && location != "/a/a.txt" && location.ends_with(".txt"), "{location}");
        s.get(&location).is(200).body_is("a");
    });
    table.row(OURS, "upload_filename with variables", || {
        let s = area("upload_filename new-$upload_file_name;");
        let r = post_form(&s, "/a/", &form(&[file("a.txt", b"a")]));
        assert_eq!(located(r.is(201)), "/a/new-a.txt");
        assert_eq!(s.read("html/a/new-a.txt"), b"a");
    });
    table.row(OURS, "upload_store_access", || {
        for (settings, mode) in [("", 0o600), ("upload_store_access user:rw group:rw all:r;", 0o664)] {
            let s = area(settings);
            s.method("POST", "/a/f", "", b"x").is(201);
            assert_eq!(s.path("html/a/f").metadata().unwrap().permissions().mode() & 0o777, mode);
        }
    });
    table.row(OURS, "what could run in a browser is served as attachment", || {
        for settings in ["", "upload_serve attachment;"] {
            let s = area(settings);
            for name in ["x.html", "x.svg", "x.xml", "x.js"] {
                s.method("POST", &format!("/a/{name}"), "", b"<script>").is(201);
                let r = s.get(&format!("/a/{name}"));
                r.is(200).has("X-Content-Type-Options", "nosniff");
                assert!(r.header("Content-Disposition").is_some_and(|v| v.starts_with("attachment")), "{}", r.show());
            }
        }
        let s = area("upload_serve inline;");
        s.method("POST", "/a/x.html", "", b"<p>").is(201);
        s.get("/a/x.html").is(200).lacks("Content-Disposition");
    });
}

#[test]
fn directives_shape_the_answer_to_an_upload() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("answers to uploads");
    table.row(OURS, "upload_return with a URI", || {
        let s = area("upload_return 303 /thanks.html;");
        let r = post_form(&s, "/a/", &form(&[file("f", b"a")]));
        r.is(303);
        assert_eq!(located(&r), "/thanks.html");
        assert_eq!(s.read("html/a/f"), b"a");
    });
    table.row(OURS, "upload_return with a text", || {
        let s = area("upload_return 200 stored;");
        s.method("POST", "/a/f", "", b"a").is(200).body_is("stored");
    });
    table.row(OURS, "the 201 lists by Accept", || {
        let s = area("");
        let ask = |name: &str, accept: &str| {
            s.method("POST", "/a/", &format!("{}Accept: {accept}\r\n", form_type()), &form(&[file(name, b"x")]))
        };
        ask("l1.txt", "application/json").is(201).has("Content-Type", "application/json").contains("l1.txt");
        let html = ask("l2<b>.txt", "text/html,*/*;q=0.8");
        html.is(201).contains("l2&lt;b&gt;.txt");
        assert!(html.header("Content-Type").is_some_and(|v| v.starts_with("text/html")));
        ask("l3.txt", "*/*").is(201).contains("l3.txt");
    });
    table.row(OURS, "PUT is refused where nothing names it", || {
        let s = area("");
        let before = disk(&s);
        let r = s.method("PUT", "/a/put", "", b"x");
        r.is(405);
        assert!(r.header("Allow").is_some_and(|allow| allow.contains("POST")), "{}", r.show());
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "OPTIONS says POST and DELETE", || {
        let s = running(setup(""));
        let r = s.method("OPTIONS", "/up/", "", b"");
        r.is_one_of(&[200, 204]);
        let allow = r.header("Allow").unwrap_or_default();
        assert!(allow.contains("POST") && allow.contains("DELETE"), "{allow}");
    });
}

#[test]
fn directives_refuse_an_upload() {
    if skip_on_nginx("uploads") {
        return;
    }
    let digest = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n";
    let mut table = Table::new("refused uploads");
    table.row(OURS, "a digest that fits", || {
        let s = area("");
        s.method("POST", "/a/c", &format!("Content-Digest: {digest}"), b"hello").is(201);
        s.method("POST", "/a/r", &format!("Repr-Digest: {digest}"), b"hello").is(201);
    });
    table.row(OURS, "a digest that does not fit stores nothing", || {
        let s = area("");
        let before = disk(&s);
        s.method("POST", "/a/c", &format!("Content-Digest: {digest}"), b"hallo").is(400);
        s.method("POST", "/a/r", &format!("Repr-Digest: {digest}"), b"hallo").is(400);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "upload_verify_digest require", || {
        let s = area("upload_verify_digest require;");
        let before = disk(&s);
        s.method("POST", "/a/c", "", b"hello").is(400);
        assert_eq!(before, disk(&s));
        s.method("POST", "/a/c", &format!("Content-Digest: {digest}"), b"hello").is(201);
    });
    table.row(OURS, "upload_quota", || {
        let s = area("upload_quota 1000 files=2;");
        s.method("POST", "/a/one", "", &noise(600)).is(201);
        let before = disk(&s);
        s.method("POST", "/a/large", "", &noise(600)).is(507);
        assert_eq!(before, disk(&s));
        s.method("POST", "/a/two", "", &noise(300)).is(201);
        s.method("POST", "/a/three", "", b"").is(507);
    });
    table.row(OURS, "a directory that may not be written", || {
        let s = setup("").mode("html/up", 0o555).unprivileged().start();
        s.method("POST", "/up/x", "", b"x").is(403);
        s.method("DELETE", "/up/old.txt", "", b"").is(403);
        assert_eq!(s.snapshot("html/up").len(), 1);
        std::fs::set_permissions(s.path("html/up"), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    });
}

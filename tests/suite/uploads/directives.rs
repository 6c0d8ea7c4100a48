//! The upload_* directives by what they change.

use super::*;

#[test]
fn directives_shape_the_upload() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = setup(
        "location /store/ { allowed_methods GET POST; upload_store %%DIR%%/elsewhere; }
         location /alias/ { allowed_methods GET POST; upload_dir %%DIR%%/elsewhere; }
         location /off/ { upload_store off; }
         location /return/ { allowed_methods POST; upload_return 303 /thanks.html; }
         location /random/ { allowed_methods GET POST; upload_filename random; }
         location /create/ { allowed_methods POST; upload_create_path on; }
         location /access/ { allowed_methods POST; upload_store_access user:rw group:rw all:r; }
         location /serve/ { allowed_methods GET POST; upload_serve attachment; }
         location /inline/ { allowed_methods GET POST; upload_serve inline; }",
    )
    .mkdir("elsewhere")
    .mkdir("html/return")
    .mkdir("html/random")
    .mkdir("html/create")
    .mkdir("html/access")
    .mkdir("html/serve")
    .mkdir("html/inline")
    .start();
    let mut table = Table::new("upload directives");
    table.row(OURS, "upload_store", || {
        post_form(&s, "/store/", &form(&[file("a.txt", b"a")])).is(201);
        assert_eq!(s.read("elsewhere/a.txt"), b"a");
        assert!(!s.exists("html/store"));
    });
    table.row(OURS, "upload_dir is the same", || {
        post_form(&s, "/alias/", &form(&[file("b.txt", b"b")])).is(201);
        assert_eq!(s.read("elsewhere/b.txt"), b"b");
    });
    table.row(OURS, "upload_store off", || {
        s.method("POST", "/off/x", "", b"x").is(405);
    });
    table.row(OURS, "upload_return", || {
        let r = post_form(&s, "/return/", &form(&[file("a", b"a")]));
        r.is(303);
        assert_eq!(located(&r), "/thanks.html");
        assert_eq!(s.read("html/return/a"), b"a");
    });
    table.row(OURS, "upload_filename random keeps the extension", || {
        let r = post_form(&s, "/random/", &form(&[file("a.txt", b"a")]));
        r.is(201);
        let location = located(&r);
        assert!(
            location.starts_with("/random/") && location != "/random/a.txt" && location.ends_with(".txt"),
            "{location}"
        );
        s.get(&location).is(200).body_is("a");
    });
    table.row(OURS, "upload_create_path", || {
        s.method("POST", "/create/a/b/c.txt", "", b"deep").is(201);
        assert_eq!(s.read("html/create/a/b/c.txt"), b"deep");
    });
    table.row(OURS, "modes", || {
        use std::os::unix::fs::PermissionsExt;
        s.method("POST", "/access/f", "", b"x").is(201);
        s.method("POST", "/up/mode", "", b"x").is(201);
        let mode = |path: &str| s.path(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("html/access/f"), 0o664);
        assert_eq!(mode("html/up/mode"), 0o600);
    });
    table.row(OURS, "what could run in a browser is served as attachment", || {
        for name in ["x.html", "x.svg", "x.xml", "x.js"] {
            s.method("POST", &format!("/serve/{name}"), "", b"<script>").is(201);
            let r = s.get(&format!("/serve/{name}"));
            r.is(200).has("X-Content-Type-Options", "nosniff");
            assert!(r.header("Content-Disposition").is_some_and(|v| v.starts_with("attachment")), "{}", r.show());
        }
        s.method("POST", "/inline/x.html", "", b"<p>").is(201);
        s.get("/inline/x.html").is(200).lacks("Content-Disposition");
    });
    table.row(OURS, "the 201 lists by Accept", || {
        let ask = |name: &str, accept: &str| {
            s.method("POST", "/up/", &format!("{}Accept: {accept}\r\n", form_type()), &form(&[file(name, b"x")]))
        };
        let json = ask("l1.txt", "application/json");
        json.is(201).has("Content-Type", "application/json").contains("l1.txt");
        let html = ask("l2<b>.txt", "text/html,*/*;q=0.8");
        html.is(201).contains("l2&lt;b&gt;.txt");
        assert!(html.header("Content-Type").is_some_and(|v| v.starts_with("text/html")));
        let text = ask("l3.txt", "*/*");
        text.is(201).contains("l3.txt");
    });
    table.row(OURS, "a digest that fits", || {
        let digest = "Content-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n";
        s.method("POST", "/up/digest", digest, b"hello").is(201);
    });
    table.row(OURS, "a digest that does not fit stores nothing", || {
        let before = disk(&s);
        let digest = "Content-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\n";
        s.method("POST", "/up/digest2", digest, b"hallo").is(400);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "a directory that may not be written", || {
        let s = setup("").mode("html/up", 0o555).unprivileged().start();
        s.method("POST", "/up/x", "", b"x").is(403);
        s.method("DELETE", "/up/old.txt", "", b"").is(403);
        assert_eq!(s.snapshot("html/up").len(), 1);
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(s.path("html/up"), open).expect("chmod");
    });
    table.row(OURS, "PUT is refused where nothing names it", || {
        let before = disk(&s);
        let r = s.method("PUT", "/up/put", "", b"x");
        r.is(405);
        assert!(r.header("Allow").is_some_and(|allow| allow.contains("POST")), "{}", r.show());
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "OPTIONS says POST and DELETE", || {
        let r = s.method("OPTIONS", "/up/", "", b"");
        r.is_one_of(&[200, 204]);
        let allow = r.header("Allow").unwrap_or_default();
        assert!(allow.contains("POST") && allow.contains("DELETE"), "{allow}");
    });
}

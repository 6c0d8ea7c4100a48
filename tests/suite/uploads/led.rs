//! Writes that the configuration leads to another place than the one the client named: by error_page, X-Accel-Redirect,
//! try_files.

use super::*;

#[test]
fn a_put_whose_body_an_upstream_had_does_not_empty_the_file_it_is_led_to() {
    if skip_on_nginx("uploads") {
        return;
    }
    // Nothing listens on port 1: what an upstream would have had of the body is gone with the 502.
    let s = server(
        "location / { proxy_pass http://127.0.0.1:1; error_page 502 = @files; }
         location @files { dav_methods PUT DELETE; }
         location /store/ { proxy_pass http://127.0.0.1:1; error_page 502 = @store; }
         location @store { allowed_methods POST PUT; upload_store %%DIR%%/kept; upload_on_duplicate overwrite; }",
    )
    .file("html/f", "old content")
    .file("kept/f", "old content")
    .allow_log("connect() failed")
    .allow_log("it is not stored")
    .start();
    let mut table = Table::new("writes led on by an error page");
    for (target, kept) in [("/f", "html/f"), ("/store/f", "kept/f")] {
        table.row(OURS, target, || {
            s.method("PUT", target, "", b"new").is(500);
            s.method("PUT", target, "Transfer-Encoding: chunked\r\n", b"3\r\nnew\r\n0\r\n\r\n").is(500);
            assert_eq!(s.read(kept), b"old content");
        });
    }
    table.row(OURS, "one without a body is carried out", || {
        s.method("DELETE", "/f", "", b"").is(204);
        assert!(!s.exists("html/f"));
    });
}

#[test]
fn a_write_of_a_name_that_try_files_does_not_find_leaves_the_page_that_is_shown_instead() {
    if skip_on_nginx("its dav module overwrites the page") {
        return;
    }
    let s = server(
        "location /spa/ { allowed_methods GET PUT POST DELETE; upload_on_duplicate overwrite;
             try_files $uri $uri/ /spa/index.html; }
         location ~ ^/v/([a-z]+)/ { alias %%DIR%%/home/$1; try_files /index.html =404; dav_methods PUT DELETE; }
         location /look/ { dav_ext_methods PROPFIND; try_files $uri /looked; }
         location = /looked { dav_ext_methods PROPFIND; }
         location /dav/ { dav_methods PUT DELETE MOVE MKCOL; try_files /dav/closed.html $uri /dav/index.html; }
         location /far/ { dav_methods PUT; try_files $uri /page.html; }
         location = /page.html { dav_methods PUT DELETE; }
         location /app/ { dav_methods PUT; try_files $uri @app; }
         location @app { return 299 app; }",
    )
    .file("html/spa/index.html", "page")
    .file("html/dav/index.html", "page")
    .file("html/page.html", "page")
    .file("html/looked", "seen")
    .file("home/bob/index.html", "page")
    .mkdir("html/app")
    .mkdir("html/far")
    .allow_log("which it may not change")
    .start();
    let mut table = Table::new("writes past try_files");
    for area in ["spa", "dav"] {
        table.row(OURS, area, || {
            let page = format!("html/{area}/index.html");
            s.get(&format!("/{area}/none")).is(200).body_is(b"page");
            s.method("PUT", &format!("/{area}/new"), "", b"new").is(201);
            assert_eq!(s.read(&format!("html/{area}/new")), b"new");
            s.get(&format!("/{area}/new")).is(200).body_is(b"new");
            s.method("DELETE", &format!("/{area}/none"), "", b"").is(404);
            assert_eq!(s.read(&page), b"page");
            s.method("DELETE", &format!("/{area}/new"), "", b"").is(204);
            assert!(!s.exists(&format!("html/{area}/new")));
            // By its own name the page itself can be written and removed.
            s.method("PUT", &format!("/{area}/index.html"), "", b"mine").is(204);
            assert_eq!(s.read(&page), b"mine");
        });
    }
    table.row(OURS, "a candidate that is there is not what is written", || {
        std::fs::write(s.path("html/dav/closed.html"), "closed").expect("written");
        s.get("/dav/index.html").is(200).body_is(b"closed");
        s.method("PUT", "/dav/other", "", b"other").is(201);
        s.method("DELETE", "/dav/none", "", b"").is(404);
        s.method("MOVE", "/dav/other", "Destination: /dav/moved\r\n", b"").is(204);
        assert_eq!((s.read("html/dav/closed.html"), s.read("html/dav/moved")), (b"closed".to_vec(), b"other".to_vec()));
    });
    table.row(OURS, "what is posted has its own name, too", || {
        s.method("POST", "/spa/posted", "Content-Type: text/plain\r\n", b"raw").is(201);
        assert_eq!((s.read("html/spa/posted"), s.read("html/spa/index.html")), (b"raw".to_vec(), b"mine".to_vec()));
    });
    table.row(OURS, "an alias of captures is the path alone", || {
        // Of its URI nothing is behind the alias, which is a directory.
        s.method("PUT", "/v/bob/b", "", b"new").is(409);
        assert!(!s.exists("home/bob/v") && s.read("home/bob/index.html") == b"page");
    });
    table.row(OURS, "what only looks is led on", || {
        s.method("PROPFIND", "/look/none", "Depth: 0\r\n", b"").is(207);
    });
    table.row(OURS, "another location does not write for the first", || {
        s.method("PUT", "/far/new", "", b"new").is(403);
        assert_eq!(s.read("html/page.html"), b"page");
    });
    table.row(OURS, "a named location has what is not there", || {
        s.method("PUT", "/app/new", "", b"new").is(299);
        assert!(!s.exists("html/app/new"));
    });
}

/// The area of such a file was the file alone.
#[test]
fn what_lies_beside_a_file_that_is_led_to_a_named_location_counts_in_its_quota() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server(
        "location = /one { try_files /none @up; } location @up { dav_methods PUT; upload_quota 10; }
         location = /two { dav_methods PUT; upload_quota 10; }",
    )
    .file("html/beside", "12345678")
    .start();
    let mut table = Table::new("the neighbours of one file");
    for file in ["/one", "/two"] {
        table.row(OURS, file, || {
            s.method("PUT", file, "", b"123").is(507);
            s.method("PUT", file, "", b"1").is(201);
        });
    }
}

#[test]
fn a_quota_in_a_location_with_a_pattern_holds_for_all_its_directories() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server(
        "location ~ ^/up/ { allowed_methods PUT; upload_create_path on; upload_quota 10; }
         location ~ ^/home/([^/]+)/(.*)$ { alias %%DIR%%/home/$1/$2; dav_methods PUT MKCOL; create_full_put_path on;
             upload_quota 10; }",
    )
    .mkdir("html/up")
    .mkdir("home")
    .start();
    let mut table = Table::new("quotas of patterns");
    for area in ["up", "home"] {
        table.row(OURS, area, || {
            s.method("PUT", &format!("/{area}/a/f"), "", b"1234567").is(201);
            s.method("PUT", &format!("/{area}/b/f"), "", b"1234567").is(507);
            s.method("PUT", &format!("/{area}/c/d/f"), "", b"123").is(201);
            s.method("PUT", &format!("/{area}/g"), "", b"1").is(if area == "up" { 507 } else { 405 });
        });
    }
}

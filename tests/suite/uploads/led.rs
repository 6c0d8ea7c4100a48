//! Writes that the configuration leads to another place than the one the client named: by error_page, X-Accel-Redirect,
//! try_files.

use super::*;
use crate::upstream::Upstream;

#[test]
fn a_put_whose_body_an_upstream_had_does_not_empty_the_file_it_is_led_to() {
    if skip_on_nginx("uploads") {
        return;
    }
    // Nothing listens on port 1: the body was read for an upstream.
    let s = server(
        "location / { proxy_pass http://127.0.0.1:1; error_page 502 = @files; }
         location @files { dav_methods PUT DELETE; }
         location /store/ { proxy_pass http://127.0.0.1:1; error_page 502 = @store; }
         location @store { allowed_methods POST PUT; upload_store %%DIR%%/kept; upload_on_duplicate overwrite; }",
    )
    .file("html/f", "old content")
    .file("kept/f", "old content")
    .allow_log("connect() failed")
    .start();
    let mut table = Table::new("writes led on by an error page");
    for (target, kept) in [("/f", "html/f"), ("/store/f", "kept/f")] {
        table.row(OURS, target, || {
            s.method("PUT", target, "", b"new").is_one_of(&[200, 204]);
            assert_eq!(s.read(kept), b"new");
            let chunks = b"5\r\nnewer\r\n0\r\n\r\n";
            s.method("PUT", target, "Transfer-Encoding: chunked\r\n", chunks).is_one_of(&[200, 204]);
            assert_eq!(s.read(kept), b"newer");
        });
    }
    table.row(OURS, "one without a body is carried out", || {
        s.method("DELETE", "/f", "", b"").is(204);
        assert!(!s.exists("html/f"));
    });
}

/// It was a 500: only a body that had gone to an upstream as it came cannot be had again.
#[test]
fn a_buffered_body_is_stored_where_an_error_page_or_x_accel_redirect_leads() {
    if skip_on_nginx("uploads") {
        return;
    }
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let head = match request.target().starts_with("/accel") {
                true => "200 OK\r\nX-Accel-Redirect: @store",
                false => "404 Not Found",
            };
            if !peer.send(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").as_bytes()) {
                return;
            }
        }
    });
    let s = server(&format!(
        "client_body_buffer_size 16k; proxy_http_version 1.1;
         location / {{ proxy_pass http://{}; proxy_intercept_errors on; error_page 404 = @store; }}
         location /plain/ {{ proxy_pass http://{0}; proxy_request_buffering off; proxy_intercept_errors on;
             error_page 404 = @store; }}
         location @store {{ allowed_methods POST PUT; upload_store %%DIR%%/kept; upload_on_duplicate overwrite; }}
         location /dav/ {{ proxy_pass http://{0}; proxy_intercept_errors on; error_page 404 = @dav; }}
         location @dav {{ dav_methods PUT; }}",
        up.address,
    ))
    .mkdir("kept")
    .mkdir("html/dav")
    .allow_log("it is not stored")
    .allow_log("is buffered to a temporary file")
    .start();
    let mut table = Table::new("a body that an upstream had");
    let large = noise(300_000);
    for (name, body) in [("in memory", b"small".to_vec()), ("in a file", large)] {
        table.row(OURS, name, || {
            for way in ["", "accel/"] {
                s.method("PUT", &format!("/{way}f"), "", &body).is_one_of(&[201, 204]);
                assert!(s.read("kept/f") == body, "{way}");
                std::fs::remove_file(s.path("kept/f")).expect("it is there");
            }
            s.method("PUT", "/dav/g", "", &body).is_one_of(&[201, 204]);
            assert!(s.read("html/dav/g") == body);
            let form = [
                b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"h\"\r\n\r\n",
                &body[..],
                b"\r\n--b--\r\n",
            ];
            s.method("POST", "/in/", "Content-Type: multipart/form-data; boundary=b\r\n", &form.concat())
                .is_one_of(&[200, 201]);
            assert!(s.read("kept/h") == body);
            let chunks = [format!("{:x}\r\n", body.len()).as_bytes(), &body[..], b"\r\n0\r\n\r\n"].concat();
            s.method("PUT", "/c", "Transfer-Encoding: chunked\r\n", &chunks).is(201);
            assert!(s.read("kept/c") == body);
            std::fs::remove_file(s.path("kept/c")).expect("it is there");
        });
    }
    table.row(OURS, "one that went through as it came", || {
        s.method("PUT", "/plain/f", "", &noise(300_000)).is(500);
        assert!(!s.exists("kept/f"));
    });
}

/// The refusal of an upload, of a signed link and of a DELETE was sent in its own words, though `error_page` was to
/// replace it, and with the status of the first error.
#[test]
fn a_refusal_within_an_error_page_follows_its_own_error_page() {
    if skip_on_nginx("uploads") {
        return;
    }
    let store = |name: &str, more: &str| {
        format!(
            "location @{name} {{ allowed_methods GET PUT; upload_store %%DIR%%/kept; upload_max_file_size 4;
                 error_page 413 410 /{name}.html; {more} }}",
        )
    };
    let s = server(&format!(
        "location /on/ {{ recursive_error_pages on; error_page 404 = @on; return 404; }}
         location /kept/ {{ recursive_error_pages on; error_page 404 @on; return 404; }}
         location /off/ {{ error_page 404 = @off; return 404; }}
         location /own/ {{ error_page 404 @off; return 404; }}
         location /link/ {{ recursive_error_pages on; error_page 404 @link; return 404; }}
         location /once/ {{ error_page 404 @link; return 404; }}
         {} {} {}",
        store("on", ""),
        store("off", ""),
        store("link", "signed_link %%DIR%%/key; error_page 403 /link.html;"),
    ))
    .mkdir("kept")
    .file("key", "0123456789abcdef0123456789abcdef")
    .file("html/on.html", "page of on")
    .file("html/off.html", "page of off")
    .file("html/link.html", "page of link")
    .allow_log("upload refused")
    .allow_log("signed link refused")
    .start();
    let chunked = "Transfer-Encoding: chunked\r\n";
    let by_length = ("", b"large".to_vec());
    let by_chunks = (chunked, b"5\r\nlarge\r\n0\r\n\r\n".to_vec());
    let table = [
        ("/on/f", 413, "page of on"),
        ("/kept/f", 413, "page of on"),
        ("/off/f", 413, "the file is too large"),
        ("/own/f", 413, "the file is too large"),
        ("/link/f", 403, "page of link"),
        ("/once/f", 403, "a signed link is required here"),
    ];
    for (uri, status, text) in table {
        for (fields, body) in [&by_length, &by_chunks] {
            let seen = s.method("PUT", uri, fields, body);
            assert_eq!(seen.status, status, "{uri} {fields}");
            let shown = seen.text();
            assert!(shown.contains(text), "{uri} {fields}: {shown}");
        }
        assert!(!s.exists("kept/f"), "{uri}");
    }
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

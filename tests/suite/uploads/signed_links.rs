//! signed_link: what a link allows, that nothing else is let in, and that another program can make one.

use super::*;
use webserv::tools::sign::{self, Sign};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn setup() -> Setup {
    server(
        "client_max_body_size 10m;
         location /in/ { allowed_methods GET POST PUT; upload_resumable on; signed_link %%DIR%%/keys; }
         location /out/ { signed_link %%DIR%%/keys; }
         location /del/ { allowed_methods GET POST PUT DELETE; signed_link %%DIR%%/keys; }
         location = /upload { allowed_methods POST; upload_store %%DIR%%/store; upload_resumable on;
                              signed_link %%DIR%%/keys; }
         location /made/ { allowed_methods GET POST; upload_filename made$upload_file_ext; upload_on_duplicate rename;
                           signed_link %%DIR%%/keys; }
         location /asked/ { allowed_methods GET POST; upload_filename $arg_name; signed_link %%DIR%%/keys; }
         location /field/ { allowed_methods GET POST; upload_filename $upload_field_name; signed_link %%DIR%%/keys; }
         location /taken/ { allowed_methods GET POST; upload_on_duplicate rename; signed_link %%DIR%%/keys; }
         location /app/ { allowed_methods GET POST; upload_resumable on; signed_link %%DIR%%/keys; cgi_extension .sh /bin/sh;
                          location /app/up/ { proxy_pass http://127.0.0.1:1; } }
         location /open/ { signed_link %%DIR%%/keys; cgi_extension .sh /bin/sh;
                           location /open/up/ { proxy_pass http://127.0.0.1:1; }
                           location /open/tried/ { try_files $uri @up; } }
         location /tried/ { allowed_methods GET POST; upload_resumable on; signed_link %%DIR%%/keys;
                            try_files $uri @app; }
         location /led/ { allowed_methods GET POST; upload_resumable on; signed_link %%DIR%%/keys;
                          try_files $uri /tried/app; }
         location /paged/ { allowed_methods GET POST; upload_resumable on; signed_link %%DIR%%/keys;
                            error_page 404 = @app; }
         location @app { return 200 \"the application\"; }
         location @up { proxy_pass http://127.0.0.1:1; }
         location /any/ { allowed_methods GET PUT; satisfy any; signed_link %%DIR%%/keys;
                          auth_basic any; auth_basic_user_file %%DIR%%/users; }
         location /page/ { signed_link %%DIR%%/keys; error_page 403 410 /denied.html; }
         location = /denied.html { }",
    )
    .file("keys", format!("# newest first\n{KEY}\nan older key of 24 chars\n"))
    .file("users", "me:{PLAIN}word\n")
    .file("html/index.html", "index")
    .file("html/denied.html", "denied")
    .file("html/out/file.txt", "content")
    .file("html/out/other.txt", "other")
    .file("html/del/file.txt", "content")
    .file("html/app/run.sh", "printf 'Status: 200\\r\\n\\r\\nran'")
    .file("html/open/run.sh", "printf 'Status: 200\\r\\n\\r\\nran'")
    .file("html/any/file.txt", "content")
    .file("html/page/file.txt", "content")
    .mkdir("html/in")
    .mkdir("html/made")
    .mkdir("html/asked")
    .mkdir("html/field")
    .mkdir("html/taken")
    .mkdir("store")
}

fn command(args: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_webserv")).args(args).output().expect("the binary under test runs")
}

/// A link for GET that was made for a moment before now; the command makes none that has expired already.
fn expired(s: &Server, path: &str) -> String {
    let (url, expires) = (path.to_owned(), Some("1764000000".to_owned()));
    let sign = Sign { url, key: s.path("keys"), expires, methods: "GET".to_owned(), ..Sign::default() };
    sign::link(&sign, 1_763_999_999).expect("the key is there").trim().to_owned()
}

/// What `webserv sign` prints for a path, without its scheme and host.
#[track_caller]
fn sign(s: &Server, path: &str, options: &[&str]) -> String {
    let (keys, url) = (s.path("keys"), format!("https://files.example{path}"));
    let args = [&["sign", "--key", keys.to_str().expect("UTF-8")], options, &[&url]].concat();
    let out = command(&args);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("a URL");
    text.trim().strip_prefix("https://files.example").expect("the URL it was given").to_owned()
}

#[test]
fn a_signed_link_lets_in_for_what_it_says() {
    if skip_on_nginx("signed_link") {
        return;
    }
    let s = running(setup());
    let mut table = Table::new("signed links");
    downloads(&mut table, &s);
    uploads_by_link(&mut table, &s);
    arguments_of_resumable_uploads(&mut table, &s);
    options_without_a_link(&mut table, &s);
    links_for_one_file(&mut table, &s);
    other_programs_and_passwords(&mut table, &s);
    what_can_be_signed(&mut table, &s);
}

fn downloads(table: &mut Table, s: &Server) {
    table.row(OURS, "a download, with ranges and HEAD, and nothing else", || {
        let link = sign(s, "/out/file.txt", &[]);
        s.get(&link).is(200).body_is("content");
        s.method("HEAD", &link, "", b"").is(200);
        s.get_with(&link, "Range: bytes=0-1\r\n").is(206).body_is("co");
        s.get("/out/file.txt").is(403).contains("a signed link is required here");
        let query = link.split_once('?').expect("arguments").1;
        s.get(&format!("/out/other.txt?{query}")).is(403).contains("another path");
        s.method("PUT", &link, "", b"x").is(403).contains("other methods");
        s.get(&format!("{link}A")).is(403).contains("the signature of the link does not match");
        s.get(&link.replace("link-methods=GET", "link-methods=PUT"))
            .is(403)
            .contains("the signature of the link does not match");
        s.get(&format!("{link}&link-methods=PUT")).is(403).contains("twice");
        let folder = sign(s, "/out/", &["--expires", "2h"]);
        let query = folder.split_once('?').expect("arguments").1;
        s.get(&format!("/out/other.txt?{query}")).is(200).body_is("other");
        s.get(&format!("/any/file.txt?{query}")).is(401);
    });
    table.row(OURS, "until it expires", || {
        let link = expired(s, "/out/file.txt");
        s.get(&link).is(410).contains("the link has expired");
    });
}

fn uploads_by_link(table: &mut Table, s: &Server) {
    table.row(OURS, "an upload of the right size and type, from a page of another site", || {
        let options = ["--methods", "POST,PUT", "--size", "2-5", "--types", "image/*,text/plain"];
        let link = sign(s, "/in/", &options);
        let query = link.split_once('?').expect("arguments").1;
        let plain = "Content-Type: text/plain\r\nOrigin: https://elsewhere.example\r\n";
        s.method("PUT", &format!("/in/a.txt?{query}"), plain, b"abc").is(201);
        s.method("POST", &format!("/in/b.txt?{query}"), &format!("{plain}Sec-Fetch-Site: cross-site\r\n"), b"abc")
            .is(201);
        s.method("OPTIONS", &link, "Origin: https://elsewhere.example\r\n", b"").is(204);
        s.method("PUT", &format!("/in/c.txt?{query}"), plain, b"abcdef").is(413);
        s.method("PUT", &format!("/in/c.txt?{query}"), plain, b"a").is(400).contains("smaller than the 2 bytes");
        s.method("PUT", &format!("/in/c.txt?{query}"), "Content-Type: text/html\r\n", b"abc").is(415);
        s.method("PUT", "/in/c.txt", plain, b"abc").is(403);
        s.get(&format!("/in/a.txt?{query}")).is(403).contains("other methods");
        let body = form(&[part("name=\"f\"; filename=\"d.txt\"", "Content-Type: text/html\r\n", b"abc")]);
        post_form(s, &link, &body).is(415);
        let body = form(&[part("name=\"f\"; filename=\"d.txt\"", "Content-Type: text/plain\r\n", b"abcdef")]);
        post_form(s, &link, &body).is(413);
        assert!(!s.exists("html/in/c.txt") && !s.exists("html/in/d.txt"));
    });
    table.row(OURS, "resumable uploads, within the same limits", || {
        let link = sign(s, "/in/", &["--methods", "POST", "--size", "0-5"]);
        let tus = |method: &str, target: &str, fields: &str, body: &[u8]| {
            s.method(method, target, &format!("Tus-Resumable: 1.0.0\r\n{fields}"), body)
        };
        tus("POST", &link, "Upload-Length: 6\r\nUpload-Metadata: filename ci50eHQ=\r\n", b"").is(413);
        let r = tus("POST", &link, "Upload-Length: 5\r\nUpload-Metadata: filename ci50eHQ=\r\n", b"");
        let target = located(r.is(201));
        assert!(target.contains("link-sig="), "{target}");
        tus("HEAD", &target, "", b"").is(200).has("Upload-Offset", "0");
        let fields = "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n";
        tus("PATCH", &target, fields, b"hello").is(204);
        assert_eq!(s.read("html/in/r.txt"), b"hello");
        let bare = target.split('&').find(|part| part.starts_with("webserv-upload")).expect("its id");
        tus("HEAD", &format!("/in/?{bare}"), "", b"").is(403);
    });
}

fn arguments_of_resumable_uploads(table: &mut Table, s: &Server) {
    table.row(OURS, "the argument of a resumable upload opens nothing else", || {
        let id = "0123456789abcdef0123456789abcdef";
        let upload = sign(s, "/del/", &["--methods", "POST,PUT"]);
        let query = upload.split_once('?').expect("arguments").1;
        let app = sign(s, "/app/", &[]);
        let app = app.split_once('?').expect("arguments").1;
        for arg in [&format!("webserv-upload={id}"), "webserv-upload=x", "webserv-upload="] {
            for path in ["/out/file.txt", "/app/run.sh", "/app/up/x"] {
                s.get(&format!("{}&{arg}", expired(s, path))).is(410).contains("the link has expired");
            }
            for method in ["DELETE", "PATCH", "GET", "HEAD"] {
                s.method(method, &format!("/del/file.txt?{query}&{arg}"), "", b"").is_one_of(&[403, 405]);
            }
            // Nor do they widen allowed_methods.
            for path in ["/app/run.sh", "/app/up/x"] {
                for method in ["DELETE", "PATCH"] {
                    s.method(method, &format!("{path}?{app}&{arg}"), "", b"").is_one_of(&[403, 405]);
                }
            }
        }
        assert!(s.exists("html/del/file.txt"));
        let r = s.method("POST", &format!("/in/?{}", expired(s, "/in/").split_once('?').expect("?").1), "", b"x");
        r.is(410);
    });
    table.row(OURS, "an expired link, or one for other methods, leads to nothing else for the argument's sake", || {
        let arg = format!("webserv-upload={}", "0".repeat(32));
        for area in ["/tried/", "/led/", "/paged/"] {
            let query = sign(s, area, &["--methods", "POST"]);
            let query = query.split_once('?').expect("arguments").1;
            for method in ["GET", "DELETE", "PATCH"] {
                let r = s.method(method, &format!("{area}page?{query}&{arg}"), "", b"");
                r.is_one_of(&[403, 404, 405]);
            }
            for method in ["GET", "HEAD"] {
                s.method(method, &format!("{}&{arg}", expired(s, &format!("{area}page"))), "", b"")
                    .is_one_of(&[404, 410]);
            }
        }
        let link = sign(s, "/tried/page", &[]);
        s.get(&format!("{link}&{arg}")).is(200).body_is("the application");
    });
}

fn options_without_a_link(table: &mut Table, s: &Server) {
    table.row(
        OURS,
        "OPTIONS needs none where files answer it, and reaches no program and no upstream without one",
        || {
            s.method("OPTIONS", "/open/file.txt", "", b"").is(204);
            for path in ["/open/run.sh", "/open/run.sh/info", "/open/up/x", "/open/tried/x"] {
                s.method("OPTIONS", path, "", b"").is(403);
            }
        },
    );
}

fn links_for_one_file(table: &mut Table, s: &Server) {
    table.row(OURS, "a link for one file is for no other, and what is too small is refused at once", || {
        let link = sign(s, "/del/one.txt", &["--methods", "POST,PUT", "--size", "2-5"]);
        for (disposition, status) in [("filename=\"other.txt\"", 403), ("filename=\"one.txt\"", 201)] {
            let body = form(&[part(&format!("name=\"f\"; {disposition}"), "", b"abc")]);
            post_form(s, &link, &body).is(status);
        }
        assert!(!s.exists("html/del/other.txt") && s.read("html/del/one.txt") == b"abc");
        let mut client = s.client();
        client.send(format!("PUT {link} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"));
        client.response().is(400).contains("smaller than the 2 bytes");
        s.method("PUT", &link, "", b"abcdef").is(413).contains("the link is for at most 5 bytes");
        let link = sign(s, "/in/", &["--methods", "POST", "--size", "2-5"]);
        let fields = "Tus-Resumable: 1.0.0\r\nUpload-Length: 1\r\nUpload-Metadata: filename ci50eHQ=\r\n";
        s.method("POST", &link, fields, b"").is(400).contains("smaller than the 2 bytes");
    });
    table.row(OURS, "a link for a directory without its slash is for the files that it gets", || {
        let link = sign(s, "/upload", &["--methods", "POST"]);
        let body = form(&[part("name=\"f\"; filename=\"a.txt\"", "", b"abc")]);
        post_form(s, &link, &body).is(201);
        let tus = |method: &str, target: &str, fields: &str, body: &[u8]| {
            s.method(method, target, &format!("Tus-Resumable: 1.0.0\r\n{fields}"), body)
        };
        let r = tus("POST", &link, "Upload-Length: 5\r\nUpload-Metadata: filename ci50eHQ=\r\n", b"");
        let target = located(r.is(201));
        let fields = "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n";
        tus("PATCH", &target, fields, b"hello").is(204);
        assert!(s.read("store/a.txt") == b"abc" && s.read("store/r.txt") == b"hello");
    });
    table.row(OURS, "a link for one file is for it by the name that the configuration gives it, too", || {
        let body = |name: &str| form(&[part(&format!("name=\"f\"; filename=\"{name}\""), "", b"abc")]);
        // Made by upload_filename, and by the number that a taken name gets.
        let made = sign(s, "/made/one.txt", &["--methods", "POST"]);
        post_form(s, &made, &body("other.txt")).is(201);
        post_form(s, &made, &body("other.txt")).is(201);
        assert!(s.exists("html/made/made.txt") && s.exists("html/made/made-1.txt"));
        let taken = sign(s, "/taken/one.txt", &["--methods", "POST"]);
        post_form(s, &taken, &body("one.txt")).is(201);
        post_form(s, &taken, &body("one.txt")).is(201);
        assert!(s.exists("html/taken/one.txt") && s.exists("html/taken/one-1.txt"));
        // What the client chooses stays refused, by whatever variable.
        post_form(s, &taken, &body("other.txt")).is(403);
        let asked = format!("{}&name=other.txt", sign(s, "/asked/one.txt", &["--methods", "POST"]));
        post_form(s, &asked, &body("one.txt")).is(403).contains("another path");
        let fields = [part("name=\"name\"", "", b"other.txt"), part("name=\"f\"; filename=\"one.txt\"", "", b"abc")];
        post_form(s, &sign(s, "/field/one.txt", &["--methods", "POST"]), &form(&fields)).is(403);
        for dir in ["taken", "asked", "field"] {
            assert!(!s.exists(&format!("html/{dir}/other.txt")), "{dir}");
        }
    });
}

fn other_programs_and_passwords(table: &mut Table, s: &Server) {
    table.row(OURS, "made by another program with the same key", || {
        // Python: hmac.new(key, "\n".join([...]).encode(), hashlib.sha256), as README has it.
        let query = "link-place=/in/&link-expires=4102444800&link-methods=POST,PUT&link-size=1-10&link-types=text/plain\
                     &link-sig=Z_savi-Dd40tmsrGFA6YbwyohQOkjtLYQxVfbZZmliA";
        let plain = "Content-Type: text/plain\r\n";
        s.method("PUT", &format!("/in/python.txt?{query}"), plain, b"abc").is(201);
    });
    table.row(OURS, "a link or a password, with satisfy any", || {
        let link = sign(s, "/any/file.txt", &[]);
        s.get(&link).is(200);
        s.get_with("/any/file.txt", "Authorization: Basic bWU6d29yZA==\r\n").is(200).body_is("content");
        s.get_with(&format!("{link}x"), "Authorization: Basic bWU6d29yZA==\r\n").is(200).body_is("content");
        s.get("/any/file.txt").is(401);
    });
    table.row(OURS, "a page of its own for who is refused", || {
        s.get("/page/file.txt").is(403).body_is("denied");
        let link = expired(s, "/page/file.txt");
        s.get(&link).is(410).body_is("denied");
    });
}

fn what_can_be_signed(table: &mut Table, s: &Server) {
    table.row(OURS, "what cannot be signed is named", || {
        let keys = s.path("keys");
        let keys = keys.to_str().expect("UTF-8");
        for (options, why) in [
            (["--size", "5"], "--size 5: not a range"),
            (["--expires", "soon"], "neither a Unix time nor"),
            (["--expires", "1764000000"], "that is in the past"),
            (["--methods", "BREW"], "--methods may be GET"),
            (["--size", "0-0"], "--size ends in 0"),
            (["--expires", "-1h"], "--expires -1h: neither a Unix time nor"),
            (["--types", "image/png image/gif"], "not a media type"),
            (["--place", "/in/?x"], "it has a query"),
        ] {
            let out = command(&[&["sign", "--key", keys][..], &options, &["https://a/b"]].concat());
            assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains(why), "{out:?}");
        }
        for (url, why) in [
            ("https://a/in/#top", "write %23"),
            ("https://a/a b", "write %20"),
            ("https://a/100%", "a malformed %-escape"),
            ("https://a/../x", "not a URI path"),
        ] {
            let out = command(&["sign", "--key", keys, url]);
            assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains(why), "{out:?}");
        }
    });
    table.row(OURS, "a path is signed as the server sees it, and lists may have spaces", || {
        for path in ["/out/./file.txt", "/out//file.txt", "/in/%2e%2e/out/file%2Etxt"] {
            s.get(&sign(s, path, &[])).is(200).body_is("content");
        }
        let options = ["--methods", "PUT, POST", "--types", "text/plain, image/png", "--size", "-5"];
        let link = sign(s, "/in/spaced.png", &options);
        s.method("PUT", &link, "Content-Type: image/png\r\n", b"abcdef").is(413);
        s.method("PUT", &link, "Content-Type: image/png\r\n", b"abc").is(201);
    });
}

#[test]
fn keys_that_protect_nothing_are_refused() {
    if skip_on_nginx("signed_link") {
        return;
    }
    for (content, why) in [("short\n", "fewer than 16 characters"), ("\n", "has no key")] {
        let setup = server("location / { signed_link %%DIR%%/keys; }").file("keys", content);
        let out = setup.test_config();
        assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains(why), "{out:?}");
    }
}

/// nginx's own words for links, as its documentation has them.
#[test]
fn secure_links_are_those_of_nginx() {
    if skip_on_nginx("not compared yet") {
        return;
    }
    let s = server(
        "location /s/ { secure_link $arg_md5,$arg_expires; secure_link_md5 \"$secure_link_expires$uri word\";
            if ($secure_link = \"\") { return 403; }
            if ($secure_link = \"0\") { return 410; }
            return 200 \"$secure_link $secure_link_expires\"; }
         location /p/ { secure_link_secret word; if ($secure_link = \"\") { return 403; } return 200 \"$secure_link\"; }",
    )
    .start();
    // printf '2147483647/s/link word' | openssl md5 -binary | openssl base64 | tr +/ -_ | tr -d =
    s.get("/s/link?md5=f9bDneDQ6cwEFtQZJ_Yd2Q&expires=2147483647").is(200).body_is("1 2147483647");
    s.get("/s/link?md5=parz9T3t8DuT_jW2t55jEA&expires=2").is(410);
    for wrong in [
        "",
        "?md5=f9bDneDQ6cwEFtQZJ_Yd2Q&expires=2147483646",
        "?md5=f9bDneDQ6cwEFtQZJ_Yd2Q",
        "?md5=x&expires=2147483647",
        "?md5=f9bDneDQ6cwEFtQZJ_Yd2Q&expires=0",
    ] {
        s.get(&format!("/s/link{wrong}")).is(403);
    }
    s.get("/s/other?md5=f9bDneDQ6cwEFtQZJ_Yd2Q&expires=2147483647").is(403);
    // printf 'a/linkword' | openssl md5
    s.get("/p/10d1cd1e46d34ce1166d782addc8d1d4/a/link").is(200).body_is("a/link");
    s.get("/p/10d1cd1e46d34ce1166d782addc8d1d4/a/other").is(403);
    s.get("/p/10d1cd1e46d34ce1166d782addc8d1d4/").is(403);
    s.get("/p/link").is(403);
}

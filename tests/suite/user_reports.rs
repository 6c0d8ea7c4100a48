//! What people who run such servers reported, each as the symptom they saw.

use crate::harness::{http, server};
use crate::table::skip_on_nginx;
use std::fs::{self, FileTimes};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

const DAV: &str = "location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; }";

#[test]
fn a_redirect_without_host_names_the_address_not_the_server_name() {
    let s =
        server("server_name_in_redirect off; location /moved { return 301 /docs/; }").file("html/docs/a", "").start();
    for target in ["/docs", "/moved"] {
        let r = s.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
        r.is(301).has("Location", &format!("http://127.0.0.1:{}/docs/", s.port()));
    }
}

#[test]
fn a_redirect_believes_a_proxy_only_where_the_configuration_does() {
    let believing = "set_real_ip_from 127.0.0.1;";
    for (config, scheme) in [(believing, "https"), ("", "http")] {
        let s = server(config).file("html/docs/a", "").start();
        let port = s.port();
        let fields = ["X-Forwarded-Proto: https", "Forwarded: for=1.2.3.4;proto=https"];
        for field in fields {
            let r = s.send(format!("GET /docs HTTP/1.1\r\nHost: a.test\r\n{field}\r\nConnection: close\r\n\r\n"));
            let expected = if scheme == "https" {
                "https://a.test/docs/".to_owned()
            } else {
                format!("http://a.test:{port}/docs/")
            };
            r.is(301).has("Location", &expected);
        }
        let ported = "X-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443";
        let r = s.send(format!("GET /docs HTTP/1.1\r\nHost: a.test\r\n{ported}\r\nConnection: close\r\n\r\n"));
        let expected = if scheme == "https" {
            "https://a.test:8443/docs/".to_owned()
        } else {
            format!("http://a.test:{port}/docs/")
        };
        r.is(301).has("Location", &expected);
    }
}

#[test]
fn a_redirect_follows_the_scheme_that_a_believed_proxy_names_in_any_form() {
    let (own, https) = ("http://inner.test:{P}/docs/", "https://inner.test/docs/");
    let rows: &[(&str, &str)] = &[
        ("Forwarded: for=192.0.2.1;proto=https", https),
        ("Forwarded: Host=\"Files.test:8443\"; Proto=\"HTTPS\"", https),
        ("Forwarded: for=\"[2001:db8::1]:4711\";proto=https;host=\"[2001:db8::2]:444\"", https),
        // What stands before the proxy's own element may be the client's.
        ("Forwarded: for=192.0.2.1;proto=http, for=10.0.0.1;proto=https", https),
        ("Forwarded: for=192.0.2.1;proto=http\r\nForwarded: for=10.0.0.1;proto=https", https),
        ("Forwarded: proto=\"http\r\nForwarded: for=10.0.0.1;proto=https", https),
        ("Forwarded: for=192.0.2.1;proto=https, for=10.0.0.1", own),
        ("Forwarded: proto=\"https", own),
        ("Forwarded: nonsense\r\nX-Forwarded-Proto: https", https),
        // A proxy that sets X-Forwarded-Proto alone hands on its client's Forwarded.
        ("Forwarded: proto=http\r\nX-Forwarded-Proto: https", https),
        ("Forwarded: proto=https\r\nX-Forwarded-Proto: http", "http://inner.test/docs/"),
        ("Forwarded: proto=https\r\nX-Forwarded-Proto: ftp", own),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443", "https://inner.test:8443/docs/"),
    ];
    for (config, is_believed) in [("set_real_ip_from 127.0.0.1;", true), ("", false)] {
        let s = server(config).file("html/docs/a", "").start();
        for (fields, expected) in rows {
            let expected = if is_believed { expected } else { own };
            let r = s.send(format!("GET /docs HTTP/1.1\r\nHost: inner.test\r\n{fields}\r\nConnection: close\r\n\r\n"));
            r.is(301).has("Location", &expected.replace("{P}", &s.port().to_string()));
        }
    }
}

/// Fields that most proxies hand on as their client sends them.
const HOSTS_OF_A_CLIENT: &[&str] = &[
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Host: a.test, evil.test:81",
    "Forwarded: host=evil.test",
    "Forwarded: for=192.0.2.1;host=\"evil.test:81\";proto=https",
    "Forwarded: host=evil.test\r\nX-Forwarded-Host: evil.test",
    "X-Forwarded-Host: files.test",
];

#[test]
fn no_client_chooses_the_host_or_loses_the_port_of_a_redirect_behind_a_believed_proxy() {
    let rows: &[(&str, &str, &str, &str)] = &[
        // Settings; Host; further fields of the proxy; what the redirect names.
        ("", "files.test:8443", "", "https://files.test:8443"),
        ("", "files.test", "", "https://files.test"),
        ("", "files.test:443", "", "https://files.test"),
        ("", "files.test", "X-Forwarded-Port: 8444\r\n", "https://files.test:8444"),
        ("", "files.test:8443", "X-Forwarded-Port: 443\r\n", "https://files.test"),
        ("", "[2001:db8::1]:8443", "", "https://[2001:db8::1]:8443"),
        ("port_in_redirect off;", "files.test:8443", "", "https://files.test"),
        ("port_in_redirect off;", "files.test", "X-Forwarded-Port: 8444\r\n", "https://files.test"),
        ("server_name_in_redirect on;", "files.test:8443", "", "https://localhost:8443"),
        ("absolute_redirect off;", "files.test:8443", "", ""),
    ];
    for (settings, host, more, expected) in rows {
        let config = format!("set_real_ip_from 127.0.0.1; {settings} location = /moved {{ return 301 /docs/; }}");
        let s = server(&config).file("html/docs/a", "").start();
        for fields in HOSTS_OF_A_CLIENT {
            for target in ["/docs", "/moved"] {
                let head =
                    format!("Host: {host}\r\nX-Forwarded-Proto: https\r\n{more}{fields}\r\nConnection: close\r\n");
                let r = s.send(format!("GET {target} HTTP/1.1\r\n{head}\r\n"));
                r.is(301).has("Location", &format!("{expected}/docs/"));
            }
        }
    }
}

#[test]
fn no_client_chooses_the_host_or_loses_the_port_of_an_uploads_location_behind_a_believed_proxy() {
    let s = server("set_real_ip_from 127.0.0.1; location /up/ { allowed_methods GET POST PUT; upload_resumable tus; }")
        .mkdir("html/up")
        .start();
    let hosts = ["files.test:8443", "files.test"];
    for (at, (host, fields)) in hosts.iter().flat_map(|h| HOSTS_OF_A_CLIENT.iter().map(move |f| (h, f))).enumerate() {
        let head = format!("Host: {host}\r\nX-Forwarded-Proto: https\r\n{fields}\r\nConnection: close\r\n");
        let r = s.send(format!("PUT /up/{at}.txt HTTP/1.1\r\n{head}Content-Length: 1\r\n\r\nx"));
        r.is(201).has("Location", &format!("https://{host}/up/{at}.txt"));
        let tus =
            "Tus-Resumable: 1.0.0\r\nUpload-Length: 5\r\nUpload-Metadata: filename YS50eHQ=\r\nContent-Length: 0\r\n";
        let r = s.send(format!("POST /up/ HTTP/1.1\r\n{head}{tus}\r\n"));
        let location = r.is(201).header("Location").unwrap_or_default();
        assert!(location.starts_with(&format!("https://{host}/up/")), "{fields}: {location}");
    }
}

#[test]
fn move_takes_the_host_outside_of_a_believed_proxy_for_its_own() {
    for (config, is_believed) in [("set_real_ip_from 127.0.0.1;", true), ("", false)] {
        let s = server(&format!("{config} {DAV}")).file("html/dav/a.txt", "A").start();
        let head = "Host: inner.test\r\nX-Forwarded-Host: x.test, files.test:8443\r\nConnection: close\r\n";
        let to = "Destination: https://files.test:8443/dav/b.txt\r\n";
        let r = s.send(format!("MOVE /dav/a.txt HTTP/1.1\r\n{head}{to}\r\n"));
        r.is(if is_believed { 204 } else { 400 });
    }
}

/// git puts the name and password of its remote into each Destination.
#[test]
fn a_destination_may_have_a_name_and_password_before_its_host() {
    let s = server(DAV).file("html/dav/a.txt", "A").start();
    let head = "Host: files.test\r\nConnection: close\r\n";
    for (user, status) in [("ada:se%20cret@", 204), ("@", 204), ("a@b@", 204), ("files.test@evil.test/", 400)] {
        s.write("html/dav/a.txt", "A");
        let to = format!("Destination: https://{user}files.test/dav/b.txt\r\n");
        s.send(format!("COPY /dav/a.txt HTTP/1.1\r\n{head}{to}\r\n")).is(status);
    }
    assert_eq!(s.read("html/dav/b.txt"), b"A");
}

#[test]
fn the_location_of_an_upload_behind_a_tls_proxy_is_one_the_client_can_follow() {
    let s = server("location /up/ { allowed_methods GET POST PUT; }").mkdir("html/up").start();
    let head = "Host: files.test\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n";
    let r = s.send(format!("PUT /up/b.txt HTTP/1.1\r\n{head}Content-Length: 1\r\n\r\nx"));
    r.is(201).has("Location", "https://files.test/up/b.txt");
    let form = "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\ndata\r\n--x--\r\n";
    let kind = format!("Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {}\r\n", form.len());
    let r = s.send(format!("POST /up/ HTTP/1.1\r\n{head}{kind}\r\n{form}"));
    assert!(["https://files.test/up/a.txt", "/up/a.txt"].contains(&r.is(201).header("Location").unwrap_or_default()));
}

#[test]
fn move_and_copy_take_the_https_destination_of_a_client_behind_a_tls_proxy() {
    let s = server(DAV).file("html/dav/a.txt", "A").file("html/dav/c.txt", "C").start();
    let ask = |method: &str, from: &str, to: &str| {
        let head = format!("Host: files.test\r\nDestination: {to}\r\nConnection: close\r\n");
        s.send(format!("{method} /dav/{from} HTTP/1.1\r\n{head}\r\n"))
    };
    ask("MOVE", "a.txt", "https://files.test/dav/b.txt").is(204);
    ask("COPY", "c.txt", "HTTPS://files.test:443/dav/d.txt").is(204);
    assert!(!s.exists("html/dav/a.txt") && s.exists("html/dav/b.txt") && s.exists("html/dav/d.txt"));
    ask("COPY", "c.txt", "https://elsewhere.test/dav/e.txt").is(400);
}

#[test]
fn a_folder_is_made_without_its_slash() {
    let s = server(DAV).mkdir("html/dav").start();
    s.method("MKCOL", "/dav/new", "", b"").is(201);
    assert!(s.path("html/dav/new").is_dir());
    s.method("MKCOL", "/dav/new", "", b"").is(405);
}

#[test]
fn a_post_to_a_folder_without_its_slash_is_not_lost_in_a_redirect() {
    let s = server("location /up/ { allowed_methods GET POST; }").mkdir("html/up").start();
    s.method("POST", "/up", "Content-Type: text/plain\r\n", b"data").is(308);
    s.get("/up").is(301);
}

#[test]
fn names_that_synchronising_clients_bring_are_stored_under_dav() {
    let s = server(DAV).mkdir("html/dav").start();
    let names = ["Q:%20why.txt", "Vol.%202.", "feat.%20someone%20", "%20first.txt", ".DS_Store", "._f"];
    for name in names {
        s.method("PUT", &format!("/dav/{name}"), "", b"x").is(201);
        s.get(&format!("/dav/{name}")).is(200);
        s.method("DELETE", &format!("/dav/{name}"), "", b"").is(204);
    }
    s.method("PUT", "/dav/.webserv-upload-1", "", b"x").is(400);
    s.method("PUT", "/dav/a%5Cb", "", b"x").is(400);
    let s = server("location /dav/ { dav_methods PUT; upload_names any; }").mkdir("html/dav").start();
    s.method("PUT", "/dav/a%5Cb", "", b"x").is(201);
}

#[test]
fn the_text_of_return_knows_the_status_it_is_sent_with() {
    let s = server(
        "location /a { return 404 \"$status\"; } location /b { return 503 \"{\\\"code\\\":$status}\"; }
         location /c { return 200 \"$status\"; }",
    )
    .start();
    s.get("/a").is(404).body_is("404");
    s.get("/b").is(503).body_is("{\"code\":503}");
    s.get("/c").is(200).body_is("200");
}

#[test]
fn a_release_whose_files_have_one_time_changes_the_etag() {
    let s = server("").file("r1/app.js", "version = 1;").file("r2/app.js", "version = 2;").start();
    for release in ["r1", "r2"] {
        let file = fs::File::options().write(true).open(s.path(&format!("{release}/app.js"))).expect("a file");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        file.set_times(FileTimes::new().set_modified(time)).expect("its time is set");
    }
    fs::create_dir_all(s.path("html")).expect("a directory");
    symlink("../r1", s.path("html/current")).expect("a link");
    let first = s.get("/current/app.js");
    let tag = first.is(200).header("ETag").expect("a tag").to_owned();
    symlink("../r2", s.path("html/next")).expect("a link");
    fs::rename(s.path("html/next"), s.path("html/current")).expect("the switch");
    s.get_with("/current/app.js", &format!("If-None-Match: {tag}\r\n")).is(200).body_is("version = 2;");
}

#[test]
fn every_name_that_a_listing_shows_can_be_opened() {
    for format in ["html", "page", "json"] {
        let s = server(&format!("location /l/ {{ autoindex on; autoindex_format {format}; }}"))
            .file("html/l/plain.txt", "x")
            .file("html/l/two\nlines.txt", "x")
            .file("html/l/tab\there.txt", "x")
            .start();
        let page = s.get("/l/").text();
        assert!(page.contains("plain.txt") && !page.contains("lines.txt") && !page.contains("here.txt"), "{page}");
    }
}

#[test]
fn allow_names_what_is_really_allowed() {
    let s = server(
        "location /p/ { proxy_pass http://127.0.0.1:9; }
         location /up/ { allowed_methods GET POST DELETE; upload_resumable on; }",
    )
    .mkdir("html/up")
    .start();
    let allow = |r: &crate::client::Response| r.header("Allow").unwrap_or_default().to_owned();
    let proxied = allow(s.method("TRACE", "/p/x", "", b"").is(405));
    assert!(proxied.contains("POST") && proxied.contains("PATCH") && !proxied.contains("TRACE"), "{proxied}");
    let area = allow(s.method("OPTIONS", "/up/", "", b"").is(204));
    assert!(area.contains("PATCH"), "{area}");
}

#[test]
fn a_form_of_another_site_stores_nothing_with_the_visitors_rights() {
    let s = server(
        "location /up/ { allowed_methods GET POST; }
         location /open/ { allowed_methods GET POST; upload_cross_site on; }",
    )
    .mkdir("html/up")
    .mkdir("html/open")
    .start();
    let post = |area: &str, name: &str, fields: &str| {
        let form =
            format!("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\ndata\r\n--x--\r\n");
        let fields = format!("{fields}Content-Type: multipart/form-data; boundary=x\r\n");
        s.method("POST", area, &fields, form.as_bytes())
    };
    let foreign = [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: null\r\n",
        "Origin: http://evil.test\r\n",
        "Origin: http://localhost\r\nOrigin: http://evil.test\r\n",
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n",
    ];
    for fields in foreign {
        post("/up/", "a", fields).is(403);
        assert!(!s.exists("html/up/a"), "{fields}");
    }
    post("/open/", "a", foreign[0]).is(201);
    post("/up/", "program", "").is(201);
    post("/up/", "own", "Sec-Fetch-Site: same-origin\r\n").is(201);
    s.method("POST", "/up/raw.txt", &format!("Content-Type: text/plain\r\n{}", foreign[0]), b"x").is(403);
}

#[test]
fn a_place_for_one_file_is_not_called_a_directory_that_cannot_be_written() {
    let s = server("location = /a.txt { alias %%DIR%%/html/a.txt; dav_methods PUT; }").file("html/a.txt", "a").start();
    s.method("PUT", "/a.txt", "", b"b").is(204);
    s.get("/a.txt").is(200).body_is("b");
    assert!(!s.error_log().contains("cannot write"), "{}", s.error_log());
}

#[test]
fn the_captures_of_a_location_survive_a_map_in_the_same_text() {
    if skip_on_nginx("they are the map's there, or it answers 500") {
        return;
    }
    let s = http(
        "map $arg_l $l { default en; ~^(de|fr)$ $1; }
         server { listen 127.0.0.1:%%PORT%%; location ~ ^/(\\w+)/(\\w+)$ { return 200 \"$1 $l $2\"; }
         rewrite ^/r/(\\w+)/(\\w+) /$2/$l$1 last; }",
    )
    .start();
    for (target, body) in [("/a/b?l=de", "a de b"), ("/a/b", "a en b"), ("/r/a/b?l=fr", "b fr fra")] {
        s.get(target).is(200).body_is(body);
    }
}

#[test]
fn a_page_and_all_that_it_includes_have_one_request_id() {
    let s = server("ssi on; location = /id { return 200 $request_id; }")
        .file("html/first.html", "<!--#include virtual=\"/id\" --> <!--#echo var=\"request_id\" -->")
        .file("html/last.html", "<!--#echo var=\"request_id\" --> <!--#include virtual=\"/id\" -->")
        .start();
    for page in ["/first.html", "/last.html"] {
        let text = s.get(page).is(200).text();
        let (one, other) = text.split_once(' ').expect("two ids");
        assert!(one.len() == 32 && one == other, "{page}: {text}");
    }
}

#[test]
fn a_page_that_gzip_static_might_serve_says_once_that_it_varies() {
    let block = "gzip on; gzip_types text/plain; gzip_min_length 1; gzip_vary on; gzip_static on;";
    let s = server(block).file("html/a.txt", "plain").file("html/a.txt.gz", "stored").start();
    for fields in ["", "Accept-Encoding: gzip\r\n"] {
        assert_eq!(s.get_with("/a.txt", fields).is(200).all("Vary"), ["Accept-Encoding"], "{fields:?}");
    }
}

#[test]
fn a_maintenance_page_answers_every_method_with_the_status_of_the_error() {
    if skip_on_nginx("405 to methods that files do not have") {
        return;
    }
    let block = "error_page 503 @later; error_page 405 @wrong; error_page 410 = @open; \
                 location /down { return 503; } location /gone { return 410; } location @open { } \
                 location @later { rewrite ^ /later.html break; } location @wrong { rewrite ^ /wrong.html break; }";
    let s =
        server(block).file("html/later.html", "later").file("html/wrong.html", "wrong").file("html/gone", "").start();
    for method in ["GET", "POST", "PUT", "DELETE"] {
        s.method(method, "/down", "", b"x").is(503).lacks("Allow").body_is("later");
    }
    s.method("POST", "/later.html", "", b"x").is(405).has("Allow", "GET, HEAD, OPTIONS").body_is("wrong");
    s.method("POST", "/gone", "", b"x").is(405);
}

#[test]
fn the_page_of_a_412_or_416_is_not_said_to_be_compressed() {
    if skip_on_nginx("no ranges hold behind its gzip_static") {
        return;
    }
    let block =
        "gzip_static on; location /own/ { alias %%DIR%%/html/; error_page 412 416 /page; } location = /page { }";
    let s = server(block).file("html/a", "plain").file("html/a.gz", "stored").file("html/page", "the page").start();
    let stored = "Accept-Encoding: gzip\r\n";
    s.get_with("/a", stored).is(200).has("Content-Encoding", "gzip");
    for (fields, status) in [("If-Match: \"x\"\r\n", 412), ("Range: bytes=100-\r\n", 416)] {
        let fields = [stored, fields].concat();
        s.get_with("/a", &fields).is(status).lacks("Content-Encoding");
        s.get_with("/own/a", &fields).is(status).lacks("Content-Encoding").body_is("the page");
    }
}

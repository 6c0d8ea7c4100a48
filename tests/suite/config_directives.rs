//! Directives by what a client sees of them, one table per family.

use crate::harness::{BOTH, Table, http, ours, server};
use crate::upstream::Upstream;

#[test]
fn return_answers() {
    let s = server(
        r#"location /204 { return 204; }
         location /404 { return 404; }
         location /403 { return 403; }
         location /text { return 200 "some text"; }
         location /empty { return 200 ""; }
         location /json { default_type application/json; return 200 '{"a":1}'; }
         location /418 { return 418 teapot; }
         location /599 { return 599; }
         location /301 { return 301 /new; }
         location /302 { return 302 https://e.test/x; }
         location /303 { return 303 /see; }
         location /307 { return 307 /same; }
         location /308 { return 308 /same; }
         location /url { return https://e.test/only-url; }
         location /scheme { return http://$host$request_uri; }
         location /vars { return 200 "$request_method $uri $scheme $server_protocol"; }
         location /500 { return 500; }
         location /400 { return 400; }
         location /405 { return 405; }
         location /444 { return 444; }
         location /nohost { return 301 https://$server_name$request_uri; }
         location /relative { return 302 relative/path; }
         location /long { return 200 "line1\nline2"; }"#,
    )
    .start();
    let port = s.port();
    let rows: &[(&str, &str, u16, &str, String)] = &[
        ("204", "/204", 204, "", String::new()),
        ("404", "/404", 404, "404 Not Found", String::new()),
        ("403", "/403", 403, "403 Forbidden", String::new()),
        ("text", "/text", 200, "some text", String::new()),
        ("an empty text", "/empty", 200, "", String::new()),
        ("a type", "/json", 200, "{\"a\":1}", String::new()),
        ("an unassigned code with text", "/418", 418, "teapot", String::new()),
        (
            "301 with a path becomes absolute",
            "/301",
            301,
            "301 Moved Permanently",
            format!("http://localhost:{port}/new"),
        ),
        ("302 with a URL", "/302", 302, "302 Found", "https://e.test/x".into()),
        ("303", "/303", 303, "303 See Other", format!("http://localhost:{port}/see")),
        ("307", "/307", 307, "307 Temporary Redirect", format!("http://localhost:{port}/same")),
        ("308", "/308", 308, "308 Permanent Redirect", format!("http://localhost:{port}/same")),
        ("a URL alone is 302", "/url", 302, "302 Found", "https://e.test/only-url".into()),
        ("variables in the URL", "/scheme?a=b", 302, "302 Found", "http://localhost/scheme?a=b".into()),
        ("variables in the text", "/vars", 200, "GET /vars http HTTP/1.1", String::new()),
        ("500", "/500", 500, "500 Internal Server Error", String::new()),
        ("400", "/400", 400, "400 Bad Request", String::new()),
        ("405", "/405", 405, "405 Not Allowed", String::new()),
        ("$server_name", "/nohost", 301, "301 Moved", "https://localhost/nohost".into()),
        ("a relative location is left alone", "/relative", 302, "302 Found", "relative/path".into()),
        ("an escaped newline", "/long", 200, "line1\nline2", String::new()),
    ];
    let mut table = Table::new("return");
    for (name, target, status, body, location) in rows {
        table.row(BOTH, name, || {
            let r = s.get(target);
            r.is(*status).contains(body);
            if location.is_empty() {
                r.lacks("Location");
            } else {
                r.has("Location", location);
            }
            if *status == 200 {
                r.body_is(body);
            }
        });
    }
    table.row(BOTH, "an unassigned code without text has no body", || {
        let r = s.get("/599");
        r.is(599);
    });
    table.row(BOTH, "444 closes without an answer", || {
        let mut client = s.client();
        client.send(b"GET /444 HTTP/1.1\r\nHost: a\r\n\r\n").expect_closed();
    });
    table.row(BOTH, "the type of a text", || {
        s.get("/json").has("Content-Type", "application/json").has("Content-Length", "7");
        s.get("/text").has("Content-Type", "text/plain");
    });
}

/// It was a response with the status 444.
#[test]
fn a_status_444_of_a_limit_or_an_upstream_closes_without_an_answer() {
    let up = Upstream::always("HTTP/1.1 444 x\r\nContent-Length: 0\r\n\r\n");
    let s = http(&format!(
        "limit_req_zone $server_port zone=z:1m rate=1r/m;
         server {{ listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; error_page 444 /page;
         location /limited/ {{ limit_req zone=z; limit_req_status 444; }}
         location /app {{ proxy_pass http://{}; proxy_intercept_errors on; }}
         location /tried {{ try_files /none =444; }} }}",
        up.address
    ))
    .file("html/limited/f", "f")
    .file("html/page", "page")
    .allow_log("limiting requests")
    .start();
    let mut table = Table::new("444");
    s.get("/limited/f").is(200);
    for target in ["/limited/f", "/app", "/tried"] {
        table.row(BOTH, target, || {
            let mut client = s.client();
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).expect_closed();
        });
    }
}

#[test]
fn error_pages_are_found() {
    let s = server(
        "error_page 404 /404.html;
         error_page 403 401 /denied.html;
         error_page 500 502 503 504 /50x.html;
         location /ext { error_page 404 https://e.test/lost; }
         location /ext301 { error_page 404 =301 https://e.test/lost; }
         location /ok { error_page 404 =200 /ok.html; }
         location /gone { error_page 404 =410 /404.html; }
         location /eq { error_page 404 = /dynamic; }
         location = /dynamic { return 201 made; }
         location /var { error_page 404 /pages$uri.html; }
         location /deny { deny all; }
         location /inherit { }
         location /own { error_page 410 /404.html; }
         location /ret { return 503; }
         location /missingpage { error_page 404 /nowhere.html; }
         location /loop { error_page 404 /loop/again; }
         location /post { return 403; }",
    )
    .file("html/404.html", "custom 404")
    .file("html/denied.html", "custom denied")
    .file("html/50x.html", "custom 50x")
    .file("html/ok.html", "all fine")
    .file("html/pages/var/x.html", "by variable")
    .start();
    let rows: &[(&str, &str, u16, &str)] = &[
        ("a page for 404", "/none", 404, "custom 404"),
        ("a page for several codes", "/deny", 403, "custom denied"),
        ("an external page is a redirect", "/ext/x", 302, "302 Found"),
        ("an external page with a code", "/ext301/x", 301, "301 Moved"),
        ("=200", "/ok/x", 200, "all fine"),
        ("=410", "/gone/x", 410, "custom 404"),
        ("= takes the page's own status", "/eq/x", 201, "made"),
        ("a variable in the page", "/var/x", 404, "by variable"),
        ("inherited by locations", "/inherit/x", 404, "custom 404"),
        ("a location with its own pages inherits none", "/own/x", 404, "<center><h1>404 Not Found</h1></center>"),
        ("for a return", "/ret", 503, "custom 50x"),
        ("a missing page gives the plain one", "/missingpage/x", 404, "404 Not Found"),
        ("a page that is missing itself does not loop", "/loop/x", 404, "404 Not Found"),
        ("a 400 of the parser", "/%zz", 400, "400 Bad Request"),
    ];
    let mut table = Table::new("error_page");
    for &(name, target, status, body) in rows {
        table.row(BOTH, name, || {
            s.get(target).is(status).contains(body);
        });
    }
    table.row(BOTH, "the page of a HEAD has no body but a length", || {
        s.method("HEAD", "/none", "", b"").is(404).has("Content-Length", "10");
    });
    table.row(BOTH, "the page of a POST is fetched by GET", || {
        s.method("POST", "/post", "", b"x").is(403).body_is("custom denied");
    });
    table.row(BOTH, "an external page has its Location", || {
        s.get("/ext/x").has("Location", "https://e.test/lost");
    });
    table.row(BOTH, "conditions do not apply to an error page", || {
        s.get_with("/none", "If-None-Match: *\r\n").is(404).body_is("custom 404");
        s.get_with("/none", "Range: bytes=0-1\r\n").is(404).body_is("custom 404");
    });
    table.row(BOTH, "the connection lives on", || {
        let mut client = s.client();
        client.get("/none").is(404);
        client.expect_alive("/ok.html", 200);
    });
}

#[test]
fn headers_are_added() {
    let s = server(
        "add_header X-Server outer;
         location /inherits { }
         location /own { add_header X-Own inner; }
         location /always { add_header X-Always yes always; add_header X-Sometimes yes; return 404; }
         location /two { add_header X-Two a; add_header X-Two b; return 200 x; }
         location /var { add_header X-Uri $uri; add_header X-Empty \"\"; return 200 x; }
         location /codes/ { add_header X-Code $status; location /codes/201 { return 201; } location /codes/500 { return 500; } location /codes/302 { return 302 /; } location /codes/204 { return 204; } }
         location /exp/1h { expires 1h; return 200 x; }
         location /exp/max { expires max; return 200 x; }
         location /exp/epoch { expires epoch; return 200 x; }
         location /exp/off { expires off; return 200 x; }
         location /exp/-1 { expires -1; return 200 x; }
         location /cache { add_header Cache-Control no-store; return 200 x; }
         location /lm { add_header Last-Modified \"\"; }",
    )
    .file("html/inherits", "x")
    .file("html/own", "x")
    .file("html/lm", "x")
    .start();
    let rows: &[(&str, &str, &str, Option<&str>)] = &[
        ("inherited from the server", "/inherits", "X-Server", Some("outer")),
        ("a location's own replaces all inherited", "/own", "X-Server", None),
        ("a location's own", "/own", "X-Own", Some("inner")),
        ("always, on an error", "/always", "X-Always", Some("yes")),
        ("not always, on an error", "/always", "X-Sometimes", None),
        ("a variable", "/var", "X-Uri", Some("/var")),
        ("an empty value adds nothing", "/var", "X-Empty", None),
        ("on 201", "/codes/201", "X-Code", Some("201")),
        ("on 204", "/codes/204", "X-Code", Some("204")),
        ("on 302", "/codes/302", "X-Code", Some("302")),
        ("not on 500", "/codes/500", "X-Code", None),
        ("expires 1h", "/exp/1h", "Cache-Control", Some("max-age=3600")),
        ("expires max", "/exp/max", "Cache-Control", Some("max-age=315360000")),
        ("expires max, the date", "/exp/max", "Expires", Some("Thu, 31 Dec 2037 23:55:55 GMT")),
        ("expires epoch", "/exp/epoch", "Cache-Control", Some("no-cache")),
        ("expires epoch, the date", "/exp/epoch", "Expires", Some("Thu, 01 Jan 1970 00:00:01 GMT")),
        ("expires off", "/exp/off", "Expires", None),
        ("expires in the past", "/exp/-1", "Cache-Control", Some("no-cache")),
        ("Cache-Control by add_header", "/cache", "Cache-Control", Some("no-store")),
        ("Last-Modified emptied", "/lm", "Last-Modified", None),
    ];
    let mut table = Table::new("add_header, expires");
    for &(name, target, field, value) in rows {
        table.row(BOTH, name, || {
            let r = s.get(target);
            match value {
                Some(value) => r.has(field, value),
                None => r.lacks(field),
            };
        });
    }
    table.row(BOTH, "the same field twice is two lines", || {
        assert_eq!(s.get("/two").all("X-Two"), ["a", "b"]);
    });
}

#[test]
fn methods_are_limited() {
    let s = server(
        "location /le/ { limit_except GET { deny all; } return 405; }
         location /lefile/ { limit_except GET { deny all; } }
         location /leget/ { limit_except GET POST { deny 127.0.0.1; } }
         location /deny/ { deny 127.0.0.1; }
         location /allow/ { allow 127.0.0.0/8; deny all; }
         location /first/ { allow 127.0.0.1; deny 127.0.0.1; }
         location /none/ { deny 10.0.0.0/8; deny ::1; }",
    )
    .file("html/lefile/f", "le")
    .file("html/leget/f", "leget")
    .file("html/deny/f", "deny")
    .file("html/allow/f", "allow")
    .file("html/first/f", "first")
    .file("html/none/f", "none")
    .start();
    let rows: &[(&str, &str, &str, u16)] = &[
        ("limit_except lets GET", "GET", "/lefile/f", 200),
        ("limit_except GET lets HEAD", "HEAD", "/lefile/f", 200),
        ("limit_except refuses others with 403", "POST", "/lefile/f", 403),
        ("limit_except refuses DELETE with 403", "DELETE", "/lefile/f", 403),
        ("limit_except with two methods", "POST", "/leget/f", 405),
        ("limit_except by address", "PUT", "/leget/f", 403),
        ("deny by address", "GET", "/deny/f", 403),
        ("allow a network", "GET", "/allow/f", 200),
        ("the first rule wins", "GET", "/first/f", 200),
        ("rules for others", "GET", "/none/f", 200),
    ];
    let mut table = Table::new("limit_except, allow, deny");
    for &(name, method, target, status) in rows {
        table.row(BOTH, name, || {
            s.method(method, target, "", b"").is(status);
        });
    }
}

#[test]
fn allowed_methods_refuse_with_405_and_allow() {
    let s_config = "location /ro/ { allowed_methods GET; }
         location /alias/ { allow_methods GET HEAD; }
         location /del/ { allowed_methods GET DELETE; }
         location /inherit/ { allowed_methods GET; location /inherit/in/ { } }
         location /ret/ { allowed_methods GET; return 200 x; }";
    if crate::harness::skip_on_nginx("allowed_methods is ours") {
        return;
    }
    let s = server(s_config)
        .file("html/ro/f", "x")
        .file("html/alias/f", "x")
        .file("html/del/f", "x")
        .file("html/inherit/in/f", "x")
        .start();
    let rows: &[(&str, &str, &str, u16, &str)] = &[
        ("GET", "GET", "/ro/f", 200, ""),
        ("HEAD comes with GET", "HEAD", "/ro/f", 200, ""),
        ("POST", "POST", "/ro/f", 405, "GET"),
        ("DELETE", "DELETE", "/ro/f", 405, "GET"),
        ("the other spelling", "PUT", "/alias/f", 405, "HEAD"),
        ("Allow names DELETE", "PUT", "/del/f", 405, "DELETE"),
        ("inherited by a nested location", "POST", "/inherit/in/f", 405, "GET"),
        ("OPTIONS", "OPTIONS", "/del/f", 204, "DELETE"),
    ];
    let mut table = Table::new("allowed_methods");
    for &(name, method, target, status, allow) in rows {
        table.row(ours("allowed_methods"), name, || {
            let r = s.method(method, target, "", b"");
            if status == 204 {
                r.is_one_of(&[200, 204]);
            } else {
                r.is(status);
            }
            if !allow.is_empty() {
                let header = r.header("Allow").unwrap_or_else(|| panic!("no Allow in {}", r.show()));
                assert!(header.split(", ").any(|m| m == allow), "{header}");
            }
        });
    }
}

#[test]
fn body_sizes_are_limited() {
    let s = server(
        "client_max_body_size 100;
         location = /t { return 200 t; }
         location = /zero { client_max_body_size 0; return 200 zero; }
         location = /k { client_max_body_size 1k; return 200 k; }
         location = /f { }",
    )
    .file("html/f", "f")
    .start();
    let rows: &[(&str, &str, usize, u16)] = &[
        ("just the limit", "/t", 100, 200),
        ("one more", "/t", 101, 413),
        ("0 means no limit", "/zero", 3 << 20, 200),
        ("1k", "/k", 1024, 200),
        ("1k and one", "/k", 1025, 413),
        ("no body", "/t", 0, 200),
    ];
    let mut table = Table::new("client_max_body_size");
    for &(name, target, length, status) in rows {
        table.row(BOTH, name, || {
            let mut client = s.client();
            client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
            client.try_send(vec![b'x'; length]);
            let r = client.response();
            r.is(status);
            if status == 413 {
                assert!(r.closes());
            } else if r.closes() {
                // An early answer may give up on a large body, but it has to say so.
                client.expect_closed();
            } else {
                client.expect_alive("/f", 200);
            }
        });
    }
}

#[test]
fn types_and_charsets() {
    let s = http(
        "include mime.types;
         default_type application/octet-stream;
         server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html;
            location /cs/ { charset utf-8; }
            location /one/ { types { text/x-one one two; } }
            location /upper/ { types { TEXT/X-Upper up; } }
         }",
    )
    .file(
        "conf/mime.types",
        "types { text/html html htm; text/css css; image/x-test tst; application/javascript js; text/plain txt; }",
    )
    .file("html/a.html", "x")
    .file("html/a.htm", "x")
    .file("html/a.css", "x")
    .file("html/a.tst", "x")
    .file("html/a.unknown", "x")
    .file("html/a.tar.css", "x")
    .file("html/noext", "x")
    .file("html/html", "x")
    .file("html/d.css/file", "x")
    .file("html/cs/a.html", "x")
    .file("html/cs/a.tst", "x")
    .file("html/one/a.two", "x")
    .file("html/one/a.html", "x")
    .file("html/.css", "x")
    .start();
    let rows: &[(&str, &str, &str)] = &[
        ("html", "/a.html", "text/html"),
        ("the second extension of a type", "/a.htm", "text/html"),
        ("css", "/a.css", "text/css"),
        ("a type of the included file", "/a.tst", "image/x-test"),
        ("an unknown extension", "/a.unknown", "application/octet-stream"),
        ("the last extension counts", "/a.tar.css", "text/css"),
        ("no extension", "/noext", "application/octet-stream"),
        ("a name like an extension", "/html", "application/octet-stream"),
        ("the extension of a directory does not count", "/d.css/file", "application/octet-stream"),
        ("a charset for text", "/cs/a.html", "text/html; charset=utf-8"),
        ("no charset for an image", "/cs/a.tst", "image/x-test"),
        ("types of a location", "/one/a.two", "text/x-one"),
        ("types of a location replace all", "/one/a.html", "application/octet-stream"),
        ("a dot file has an extension", "/.css", "application/octet-stream"),
    ];
    let mut table = Table::new("types");
    for &(name, target, mime) in rows {
        table.row(BOTH, name, || {
            s.get(target).is(200).has("Content-Type", mime);
        });
    }
}

#[test]
fn the_server_names_itself_or_not() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; server_name on.test; root %%DIR%%/html; }
         server { listen 127.0.0.1:%%PORT%%; server_name off.test; server_tokens off; root %%DIR%%/html; }",
    )
    .start();
    let get = |host: &str| s.send(format!("GET /none HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    let on = get("on.test");
    assert!(on.header("Server").is_some_and(|v| v.contains('/')), "{}", on.show());
    let name = on.header("Server").and_then(|v| v.split('/').next()).unwrap_or_default().to_owned();
    let off = get("off.test");
    off.has("Server", &name);
    assert!(!off.text().contains(&format!("{name}/")), "{}", off.text());
}

#[test]
fn includes_are_read() {
    let s = http("include sites/*.conf;\ninclude nothing/*.conf;\ninclude one.inc;")
        .file("conf/sites/10-a.conf", "server { listen 127.0.0.1:%%PORT%%; }")
        .file("conf/one.inc", "")
        .file("conf/sites/readme.txt", "not { read");
    // Placeholders are replaced in the main file alone: the port travels by a map of includes.
    drop(s);
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; server_name localhost; include locations/*.conf; include none/*.conf; include one.inc; }",
    )
    .file("conf/locations/a.conf", "location /a { return 200 from-a; }")
    .file("conf/locations/b.conf", "location /b { include deep.inc; }")
    .file("conf/deep.inc", "return 200 deep;")
    .file("conf/one.inc", "# only a comment\nlocation /one { return 200 one; }")
    .file("conf/locations/readme.txt", "not { read")
    .start();
    s.get("/a").is(200).body_is("from-a");
    s.get("/b").is(200).body_is("deep");
    s.get("/one").is(200).body_is("one");
}

#[test]
fn keepalive_is_bounded() {
    let s = server(
        "location / { keepalive_requests 3; }
         location /ka { keepalive_timeout 65s 30s; return 200 x; }
         location /off { keepalive_timeout 0; return 200 x; }",
    )
    .file("html/f", "f")
    .start();
    let mut table = Table::new("keepalive");
    table.row(BOTH, "keepalive_requests closes after that many", || {
        let mut client = s.client();
        assert!(!client.get("/f").closes());
        assert!(!client.get("/f").closes());
        assert!(client.get("/f").closes());
        client.expect_closed();
    });
    table.row(BOTH, "keepalive_requests holds for pipelined requests", || {
        let mut client = s.client();
        client.send(b"GET /f HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5));
        for _ in 0..3 {
            client.response().is(200);
        }
        client.expect_closed();
    });
    table.row(BOTH, "the second value is the Keep-Alive header", || {
        s.client().get("/ka").has("Keep-Alive", "timeout=30");
    });
    table.row(BOTH, "zero closes at once", || {
        let mut client = s.client();
        client.get("/off").has("Connection", "close");
        client.expect_closed();
    });
}

#[test]
fn lists_may_be_spread_over_lines() {
    let setup = server(
        "gzip_proxied expired; gzip_proxied auth;
         gzip_disable msie6; gzip_disable \"Konqueror\";
         keepalive_disable msie6; keepalive_disable safari;
         proxy_ignore_headers Vary; proxy_ignore_headers Expires;
         proxy_next_upstream error; proxy_next_upstream timeout;
         location /dav/ { dav_methods PUT; dav_methods DELETE; }",
    )
    .mkdir("html/dav");
    let outcome = setup.run(&["-t", "-p", "%%DIR%%", "-c", "%%DIR%%/conf/test.conf"]);
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    let s = setup.start();
    s.method("PUT", "/dav/a", "", b"x").is(201);
    s.method("DELETE", "/dav/a", "", b"").is(204);
}

//! As `as_nginx`, of requests that go to an upstream.

use crate::client::End;
use crate::harness::{Setup, http, server};
use crate::upstream::{Request, Upstream};

/// An upstream that makes its answers of the requests.
fn answering(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            if !peer.send(answer(&request).as_bytes()) {
                return;
            }
        }
    })
}

#[test]
fn a_proxied_redirect_gets_no_charset() {
    let up = answering(|request| {
        let status = &request.target()[1..];
        format!("HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n")
    });
    let s = server(&format!("charset utf-8; location / {{ proxy_pass http://{}; }}", up.address)).start();
    for (status, kind) in [(301, "text/html"), (302, "text/html"), (303, "text/html; charset=utf-8")] {
        s.get(&format!("/{status}")).is(status).has("Content-Type", kind);
    }
}

#[test]
fn an_upstream_tells_with_every_status_when_its_answer_changed() {
    let up = answering(|request| {
        let status = &request.target()[1..4];
        let at = if request.target().ends_with("future") { 2099 } else { 2015 };
        format!(
            "HTTP/1.1 {status} X\r\nLast-Modified: Thu, 01 Jan {at} 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n\
             Content-Length: 0\r\n\r\n"
        )
    });
    let s = server(&format!(
        "location / {{ proxy_pass http://{0}; }} location /ranges/ {{ proxy_pass http://{0}/; proxy_force_ranges on; }}",
        up.address
    ))
    .start();
    for status in [200, 201, 204, 301, 404, 503] {
        let r = s.get(&format!("/{status}"));
        r.is(status).has("Last-Modified", "Thu, 01 Jan 2015 00:00:00 GMT").has("Accept-Ranges", "bytes");
        // These ranges are the server's own: of a 200.
        let r = s.get(&format!("/ranges/{status}"));
        assert_eq!(r.is(status).header("Accept-Ranges").is_some(), status == 200, "{status}");
    }
    s.get("/200-future").is(200).has("Last-Modified", "Thu, 01 Jan 2099 00:00:00 GMT");
}

#[test]
fn an_upstream_sets_the_rate_of_the_file_that_it_redirects_to() {
    let up = answering(|request| {
        let rate = &request.target()[1..];
        format!("HTTP/1.1 200 X\r\nX-Accel-Redirect: /in/f\r\nX-Accel-Limit-Rate: {rate}\r\nContent-Length: 0\r\n\r\n")
    });
    let s = server(&format!(
        "add_header X-Rate $limit_rate; location / {{ proxy_pass http://{}; }}
         location /in/ {{ internal; limit_rate 1m; alias %%DIR%%/html/; }}",
        up.address
    ))
    .file("html/f", "file")
    .start();
    for rate in ["5000", "0"] {
        s.get(&format!("/{rate}")).is(200).has("X-Rate", rate).body_is("file");
    }
}

#[test]
fn an_upstream_behind_a_cache_is_asked_for_the_whole() {
    let up = answering(|request| {
        let body = if request.line.starts_with("HEAD") { "" } else { "hello" };
        let seen: String = request.fields.iter().map(|(name, value)| format!("|{name}: {value}")).collect();
        let seen = format!("{}{seen}", request.line);
        format!(
            "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\nX-Seen: {seen}\r\nContent-Length: 5\r\n\r\n{body}"
        )
    });
    let cached =
        format!("proxy_pass http://{}; proxy_set_header Host a; proxy_set_header Connection close;", up.address);
    let s = http(&format!(
        "proxy_cache_path %%DIR%%/cache keys_zone=z:1m;
         server {{ listen 127.0.0.1:%%PORT%%; proxy_cache z; location / {{ {cached} }}
         location /off {{ proxy_cache off; {cached} }} location /keep {{ proxy_cache_convert_head off; {cached} }} }}"
    ))
    .start();
    let fields = "Range: bytes=1-2\r\nIf-Range: \"a\"\r\n";
    let seen = |r: &crate::client::Response| r.header("X-Seen").unwrap_or_default().to_owned();
    let plain = |line: &str| format!("{line} HTTP/1.1|Host: a|Connection: close");
    let r = s.get_with("/1", fields);
    r.is(206).body_is("el");
    assert_eq!(seen(&r), plain("GET /1"));
    s.get_with("/2", "If-None-Match: \"a\"\r\n").is(304);
    // Nothing of the response that the 412 stands for.
    s.get_with("/3", "If-Match: \"b\"\r\n").is(412).lacks("X-Seen").lacks("ETag");
    let mut client = s.client();
    client.send(b"HEAD /4 HTTP/1.1\r\nHost: a\r\n\r\n");
    let r = client.response_to_head();
    assert_eq!((seen(&r), r.header("Content-Length")), (plain("GET /4"), Some("5")));
    client.get("/5").is(200).body_is("hello");
    client.send(b"HEAD /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(seen(&client.response_to_head()), plain("HEAD /keep"));
    assert!(seen(&s.get_with("/off", fields)).contains("|Range: bytes=1-2"));
}

#[test]
fn worker_shutdown_timeout_ends_what_a_reload_has_left() {
    let up = answering(|_| "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_owned());
    let location = format!(
        "location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Connection upgrade;
          proxy_set_header Upgrade $http_upgrade; }}",
        up.address
    );
    let s = Setup::full(&format!(
        "%%PREAMBLE%%\nworker_shutdown_timeout 200ms;\nevents {{}}\nhttp {{ access_log logs/access.log;
         server {{ listen 127.0.0.1:%%PORT%%; {location} location = /t {{ return 200; }} }} }}"
    ))
    .master()
    .start();
    let mut tunnel = s.client();
    tunnel.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    tunnel.response().is(101);
    let mut idle = s.client();
    idle.get("/t").is(200);
    s.signal(libc::SIGHUP);
    assert!(matches!(tunnel.try_response(false), Err(End::Closed | End::Reset)));
    assert!(matches!(idle.try_response(false), Err(End::Closed | End::Reset)));
}

#[test]
fn a_kept_upstream_connection_that_was_closed_costs_no_request_and_no_failure() {
    // Each connection answers once, says that it is kept, and is closed.
    let up = Upstream::start(|peer| {
        if peer.request().is_some() {
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
        }
    });
    let s = http(&format!(
        "upstream u {{ server {} max_fails=1 fail_timeout=60s; server {} backup; keepalive 8; }}
         server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_pass http://u; proxy_http_version 1.1;
         proxy_set_header Connection \"\"; }} }}",
        up.address,
        Upstream::nowhere()
    ))
    .start();
    let mut client = s.client();
    for _ in 0..200 {
        client.get("/").is(200).body_is("x");
    }
}

#[test]
fn an_upstream_that_x_accel_redirect_leads_to_says_its_own_type() {
    let up = answering(|request| {
        match request.target() {
            "/first" => {
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Accel-Redirect: /second\r\nContent-Length: 0\r\n\r\n"
            }
            _ => "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx",
        }
        .to_owned()
    });
    let s = server(&format!("location / {{ proxy_pass http://{}; }}", up.address)).start();
    s.get("/first").is(200).has("Content-Type", "text/html");
}

#[test]
fn a_body_that_came_with_its_head_is_request_body_without_request_buffering_too() {
    let up = answering(|request| {
        let said = format!("[{}]{}", request.all("x-body").concat(), String::from_utf8_lossy(&request.body));
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len())
    });
    let s = server(&format!(
        "proxy_request_buffering off; proxy_set_header X-Body $request_body;
         location / {{ proxy_pass http://{0}; proxy_http_version 1.1; }}
         location /old {{ proxy_pass http://{0}; proxy_http_version 1.0; }}",
        up.address
    ))
    .start();
    let asked =
        s.client().request(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    asked.is(200).body_is("[hello]hello");
    // Which a server of HTTP/1.0 gets with its length.
    let chunked = b"POST /old HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    s.client().request(chunked).is(200).body_is("[hello]hello");
}

#[test]
fn a_passed_uri_is_escaped_where_the_client_escaped_it() {
    let upstream = answering(|request| {
        let line = request.target().to_owned();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len())
    });
    let s = server(&format!(
        "location /p/ {{ proxy_pass http://{0}/q/; }} location /r/ {{ rewrite ^/r(.*) /p$1 break; proxy_pass http://{0}; }}",
        upstream.address
    ))
    .mkdir("html/d&e")
    .mkdir("html/a:b{")
    .start();
    s.get("/p/%3Ca%22%7B%5Eb").body_is("/q/%3Ca%22%7B%5Eb");
    s.get("/p/<a\"{^b").body_is("/q/<a\"{^b");
    s.get("/r/<a|b").body_is("/p/%3Ca%7Cb");
    s.get("/d&e").is(301).has("Location", &format!("http://localhost:{}/d&e/", s.port()));
    s.get("/a:b%7B").is(301).has("Location", &format!("http://localhost:{}/a:b%7B/", s.port()));
}

#[test]
fn ranges_of_pages_and_of_internal_redirects_are_told_as_nginx_tells_them() {
    let up = answering(|request| {
        let (status, field) = match request.target() {
            "/inner" => {
                ("200 OK", "X-Accel-Redirect: /page\r\nAccept-Ranges: none\r\nSet-Cookie: c\r\nExpires: then\r\n")
            }
            "/dated" => ("200 OK", "Date: then\r\nServer: theirs\r\n"),
            "/own" => ("200 OK", "ETag: \"theirs\"\r\nLast-Modified: then\r\n"),
            "/missing" => ("404 Not Found", ""),
            _ => ("200 OK", ""),
        };
        format!("HTTP/1.1 {status}\r\n{field}Content-Length: 2\r\n\r\nok")
    });
    let s = http(&format!(
        "log_format of '$request_uri $http_range $status [$upstream_http_date] [$upstream_http_server]';
         access_log logs/of.log of;
         server {{
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             error_page 404 =200 /page;
             location / {{ proxy_pass http://{}; proxy_intercept_errors on; }}
             location /page {{ add_header X-Status $status always; }}
             location /own {{ add_header ETag own; add_header Last-Modified \"\"; proxy_pass http://{}; }}
             location /from {{ proxy_bind 192.0.2.1; proxy_pass http://{}; }}
         }}",
        up.address, up.address, up.address
    ))
    .file("html/page", "0123456789")
    .allow_log("bind(192.0.2.1)")
    .start();
    for (path, range, status, logged) in [
        ("/inner", "bytes=0-1", 206, "206 [] []"),
        ("/inner", "bytes=90-", 416, "416 [] []"),
        ("/missing", "bytes=0-1", 206, "200 [] []"),
        ("/missing", "bytes=90-", 416, "416 [] []"),
        ("/plain", "bytes=0-1", 200, "200 [] []"),
        ("/dated", "bytes=0-1", 200, "200 [then] [theirs]"),
        ("/page", "bytes=0-1", 206, "206 [-] [-]"),
    ] {
        let answer = s.method("GET", path, &format!("Range: {range}\r\n"), b"");
        let none = answer.is(status).header("Accept-Ranges") == Some("none");
        assert_eq!(none, path == "/inner" && status == 206, "{path} {range}");
        s.await_file("logs/of.log", |log| log.contains(&format!("{path} {range} {logged}\n")));
    }
    let failed = s.method("GET", "/inner", "If-Match: \"x\"\r\n", b"");
    failed.is(412).lacks("Accept-Ranges").lacks("Set-Cookie").lacks("Expires");
    s.method("GET", "/missing", "If-Match: \"x\"\r\n", b"").is(412).has("X-Status", "412");
    let own = s.get("/own");
    assert_eq!(own.is(200).lacks("Last-Modified").all("ETag"), ["own"]);
    s.get("/from").is(500);
    let words = "bind(192.0.2.1) failed (99: Cannot assign requested address) while connecting to upstream";
    s.await_file("logs/error.log", |log| log.contains("[crit]") && log.contains(words));
}

/// Its answers say what they were asked, and with which body.
fn echoing() -> Upstream {
    answering(|request| {
        let method = request.line.split(' ').next().unwrap_or_default();
        let said = format!("{method}[{}]", String::from_utf8_lossy(&request.body));
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len())
    })
}

#[test]
fn the_page_of_an_error_that_an_upstream_makes_does_not_wait_for_a_body() {
    let up = echoing();
    let codes = [400, 404, 500, 501];
    let locations = codes.map(|code| {
        format!(
            "location /uri{code} {{ error_page {code} =200 /page; return {code}; }}
             location /named{code} {{ error_page {code} =200 @page; return {code}; }}"
        )
    });
    let s = server(&format!(
        "{1} location /large {{ client_max_body_size 2; error_page 413 =200 @page; proxy_pass http://{0}; }}
         location /page {{ proxy_pass http://{0}; }} location @page {{ proxy_pass http://{0}; }}",
        up.address,
        locations.concat()
    ))
    .allow_log("too large")
    .start();
    let ask = |target: &str, body: &str| {
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        s.client().request(format!("{head}{body}").as_bytes()).text()
    };
    for body in ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"] {
        for code in codes {
            assert_eq!(ask(&format!("/uri{code}"), body), "GET[abc]", "{code} {body}");
            assert_eq!(ask(&format!("/named{code}"), body), "POST[abc]", "{code} {body}");
        }
        // The body that was refused is no page's.
        assert_eq!(ask("/large", body), "POST[]", "{body}");
    }
}

#[test]
fn the_size_of_a_body_is_checked_where_a_location_is_found() {
    let up = answering(|request| {
        let led = if request.target().starts_with("/led") { "X-Accel-Redirect: /small/b\r\n" } else { "" };
        format!("HTTP/1.1 200 OK\r\n{led}Content-Length: 2\r\n\r\nok")
    });
    let s = server(&format!(
        "location /small {{ client_max_body_size 3; proxy_pass http://{0}; }}
         location /named {{ try_files /none @small; }} location @small {{ client_max_body_size 3; proxy_pass http://{0}; }}
         location /tried {{ try_files /none /small/a; }} location /led {{ proxy_pass http://{0}; }}",
        up.address
    ))
    .allow_log("too large")
    .start();
    let length = "Content-Length: 5\r\n\r\nhello";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let rows = [
        ("/named", length, 200),
        ("/named", chunked, 413),
        ("/tried", length, 413),
        ("/tried", chunked, 413),
        ("/led", length, 413),
        ("/led", chunked, 413),
    ];
    for (target, body, status) in rows {
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        s.client().request(format!("{head}{body}").as_bytes()).is(status);
    }
}

#[test]
fn the_type_of_x_accel_redirect_is_not_that_of_an_error_page() {
    let up = answering(|_| {
        "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nAccept-Ranges: none\r\nX-Accel-Redirect: /error\r\nContent-Length: 0\r\n\r\n"
            .to_owned()
    });
    let s = server(&format!(
        "location /a {{ proxy_pass http://{0}; }} location = /error {{ error_page 405 = /page.txt; return 405; }}",
        up.address
    ))
    .file("html/page.txt", "page")
    .start();
    s.get("/a").is(200).has("Content-Type", "text/plain").has("Accept-Ranges", "bytes");
}

#[test]
fn the_type_of_x_accel_redirect_is_kept_where_an_error_page_led_to_the_application() {
    let up = answering(|request| {
        let to = request.target().strip_prefix("/to").unwrap_or("/in/a.txt");
        format!("HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nX-Accel-Redirect: {to}\r\nContent-Length: 0\r\n\r\n")
    });
    let s = server(&format!(
        "location / {{ error_page 404 @app; }} location /any/ {{ error_page 404 = @app; }}
         location @app {{ proxy_pass http://{0}; }} location /to/ {{ proxy_pass http://{0}; }}
         location /in/ {{ internal; }} location /moved {{ return 302 /x; }} location /closed {{ return 403; }}",
        up.address
    ))
    .file("html/in/a.txt", "file")
    .file("html/in/dir/f", "file")
    .allow_log("No such file")
    .allow_log("forbidden")
    .start();
    s.get("/none").is(404).has("Content-Type", "x/y").body_is("file");
    s.get("/any/none").is(200).has("Content-Type", "x/y").body_is("file");
    // A page in place of what is missing has its own.
    for (to, status) in [("/in/none", 404), ("/closed", 403), ("/moved", 302), ("/in/dir", 301), ("/in/dir/", 403)] {
        s.get(&format!("/to{to}")).is(status).has("Content-Type", "text/html");
    }
}

#[test]
fn a_cookie_beside_x_accel_redirect_is_not_lost_with_an_error_page() {
    let up = answering(|request| {
        let to = if request.target() == "/unsafe" { "/../x" } else { "/none" };
        format!("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nX-Accel-Redirect: {to}\r\nContent-Length: 0\r\n\r\n")
    });
    let s = server(&format!(
        "error_page 404 /page.txt; location / {{ proxy_pass http://{}; }} location = /none {{ return 404; }}
         location = /page.txt {{ }}",
        up.address
    ))
    .file("html/page.txt", "page")
    .allow_log("unsafe URI")
    .start();
    for path in ["/missing", "/unsafe"] {
        s.get(path).is(404).body_is("page").has("Set-Cookie", "a=b");
    }
}

#[test]
fn a_slash_is_added_for_no_scgi_or_uwsgi_application_of_a_variable() {
    let s = server(
        "set $up 127.0.0.1:1; location /s/ { scgi_pass $up; } location /u/ { uwsgi_pass $up; }
         location /f/ { fastcgi_pass $up; } location /p/ { proxy_pass http://$up; } location /t/ { scgi_pass 127.0.0.1:1; }",
    )
    .start();
    for (path, status) in [("/s", 404), ("/u", 404), ("/f", 301), ("/p", 301), ("/t", 301)] {
        s.get(path).is(status);
    }
}

#[test]
fn the_body_that_a_100_asks_for_has_its_time() {
    let up = Upstream::echo();
    for buffering in ["on", "off"] {
        let s = server(&format!(
            "client_body_timeout 200ms; send_timeout 1h; proxy_request_buffering {buffering}; proxy_read_timeout 1h;
             location / {{ proxy_pass http://{}; }}",
            up.address
        ))
        .start();
        let mut client = s.client();
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
        client.response().is(100);
        // nginx says nothing here.
        client.rest();
    }
}

#[test]
fn the_case_of_the_name_of_a_group_does_not_count() {
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    let s = http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_pass http://backend; }}
                  location /v {{ set $b backEnd; proxy_pass http://$b; }} }}
         upstream Backend {{ server {}; }}
         server {{ listen 127.0.0.1:%%PORT1%%; location / {{ proxy_pass http://BACKEND; }}
                  location /f {{ fastcgi_pass backEND; }} }}",
        up.address
    ))
    .start();
    for target in ["/", "/v"] {
        s.get(target).is(200).body_is("x");
    }
    s.client_at(1).get("/").is(200).body_is("x");
    let out = http("upstream a { server 127.0.0.1:1; } upstream A { server 127.0.0.1:2; }").test_config();
    assert!(String::from_utf8_lossy(&out.stderr).contains("duplicate upstream \"A\""));
}

#[test]
fn what_came_of_a_compressed_body_before_its_upstream_broke_off_is_sent() {
    let up = Upstream::start(|peer| {
        if peer.request().is_some() {
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nabc");
        }
    });
    let s = server(&format!("gzip on; location / {{ proxy_pass http://{}; }}", up.address)).start();
    let mut client = s.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    let whole = client.rest();
    let at = crate::client::find(&whole, b"\r\n\r\n").expect("a head") + 4;
    let (mut rest, mut packed) = (&whole[at..], Vec::new());
    while let Some(end) = crate::client::find(rest, b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("a size of a chunk");
        assert_ne!(size, 0, "the body looks whole");
        packed.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    let mut text = Vec::new();
    // It ends too early, behind what came.
    let _ = std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut text);
    assert_eq!(String::from_utf8_lossy(&text), "abc");
}

/// At a byte a second the client's patience would have been over.
#[test]
fn what_goes_before_limit_rate_goes_at_full_speed_whatever_set_the_rate() {
    let up = answering(|_| {
        "HTTP/1.1 200 X\r\nX-Accel-Redirect: /in/f\r\nX-Accel-Limit-Rate: 1\r\nContent-Length: 0\r\n\r\n".to_owned()
    });
    let s = server(&format!(
        "limit_rate_after 1m; location /set {{ set $limit_rate 1; alias %%DIR%%/html/f; }}
         location /app {{ proxy_pass http://{}; }} location /in/ {{ internal; alias %%DIR%%/html/; }}",
        up.address
    ))
    .file("html/f", "x".repeat(300_000))
    .start();
    for target in ["/set", "/app"] {
        assert_eq!(s.get(target).is(200).body.len(), 300_000, "{target}");
    }
}

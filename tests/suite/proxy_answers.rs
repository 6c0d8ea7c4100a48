//! What the client gets of an upstream's answer: ranges cut out here, cookies, trailers, and every filter that also
//! works on files: compression, charsets, header lines, conditions, rates.

mod odd_heads;

use crate::harness::{BOTH, Setup, Table, server};
use crate::transport::Stream;
use crate::upstream::Upstream;
use std::io::{Read, Write};

fn setup(block: &str, up: &Upstream) -> Setup {
    server(&block.replace("%%UP%%", &up.address.to_string()))
}

/// Answers by the target: a body of digits, with what the row needs.
fn digits() -> Upstream {
    let body = "0123456789".repeat(10);
    Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            let fields = match request.target() {
                "/etag" => "ETag: \"e\"\r\n",
                "/none" => "Accept-Ranges: none\r\n",
                "/gz" => "Content-Type: text/plain\r\n",
                _ => "",
            };
            let answer = match request.target() {
                "/chunked" => format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{body}\r\n0\r\nX-Sum: 1\r\nX-Pad: 2\r\nX-Sum: 3\r\n\r\n"
                ),
                "/404" => format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
                "/empty" => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
                _ => format!("HTTP/1.1 200 Fine\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len()),
            };
            if !peer.send(answer.as_bytes()) {
                return;
            }
        }
    })
}

#[test]
fn ranges_of_what_an_upstream_sends_whole() {
    let up = digits();
    let s = setup(
        "location / { proxy_pass http://%%UP%%; proxy_force_ranges on; }
         location /off/ { proxy_pass http://%%UP%%/; }
         location /gz { proxy_pass http://%%UP%%; proxy_force_ranges on; gzip on; gzip_types text/plain; gzip_min_length 1; }
         location /max/ { proxy_pass http://%%UP%%/; proxy_force_ranges on; max_ranges 0; }",
        &up,
    )
    .start();
    let mut table = Table::new("proxy_force_ranges");
    let rows: &[(&str, &str, &str, u16, &str, Option<&str>)] = &[
        ("a range", "/a", "Range: bytes=15-24", 206, "5678901234", Some("bytes 15-24/100")),
        ("the first byte", "/a", "Range: bytes=0-0", 206, "0", Some("bytes 0-0/100")),
        ("the end", "/a", "Range: bytes=-3", 206, "789", Some("bytes 97-99/100")),
        ("open", "/a", "Range: bytes=95-", 206, "56789", Some("bytes 95-99/100")),
        ("beyond the end", "/a", "Range: bytes=98-200", 206, "89", Some("bytes 98-99/100")),
        ("never several", "/a", "Range: bytes=0-1,5-6", 200, "*", None),
        ("no range", "/a", "", 200, "*", None),
        ("the upstream offers none", "/none", "Range: bytes=1-2", 206, "12", Some("bytes 1-2/100")),
        ("a matching If-Range", "/etag", "Range: bytes=1-2\r\nIf-Range: \"e\"", 206, "12", Some("bytes 1-2/100")),
        ("another If-Range", "/etag", "Range: bytes=1-2\r\nIf-Range: \"f\"", 200, "*", None),
        ("a length that is not known", "/chunked", "Range: bytes=1-2", 200, "*", None),
        ("an error", "/404", "Range: bytes=1-2", 404, "*", None),
        ("off", "/off/a", "Range: bytes=1-2", 200, "*", None),
        ("max_ranges 0", "/max/a", "Range: bytes=1-2", 200, "*", None),
    ];
    for (name, target, fields, status, body, range) in rows {
        table.row(BOTH, name, || {
            let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
            let r = s.get_with(target, &fields);
            r.is(*status).body_is(if *body == "*" { "0123456789".repeat(10) } else { body.to_string() });
            assert_eq!(r.header("content-range"), *range);
        });
    }
    table.row(BOTH, "nothing of it", || {
        let r = s.get_with("/a", "Range: bytes=100-\r\n");
        r.is(416).has("content-range", "bytes */100");
        s.get_with("/empty", "Range: bytes=0-\r\n").is_one_of(&[200, 416]);
    });
    table.row(BOTH, "a whole answer offers ranges", || {
        s.get("/none").is(200).has("accept-ranges", "bytes");
        s.get("/max/none").is(200).lacks("accept-ranges");
        s.get("/chunked").is(200).lacks("accept-ranges");
    });
    table.row(BOTH, "compressed bytes have none", || {
        let r = s.get_with("/gz", "Range: bytes=1-2\r\nAccept-Encoding: gzip\r\n");
        r.is(200).has("content-encoding", "gzip").lacks("content-range");
        // It was the range alone, in a response that says it is whole.
        let mut whole = String::new();
        flate2::read::GzDecoder::new(&r.body[..]).read_to_string(&mut whole).expect("gzip");
        assert_eq!(whole, "0123456789".repeat(10));
    });
    table.row(BOTH, "the connections go on", || {
        let mut client = s.client();
        client.request("GET /a HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\n\r\n").is(206).body_is("12");
        client.get("/a").is(200);
    });
}

#[test]
fn trailers_of_an_upstream() {
    let up = digits();
    let s = setup(
        "location / { proxy_pass http://%%UP%%; proxy_set_header TE trailers; proxy_set_header Connection te;
             proxy_pass_trailers on; add_trailer X-Seen \"$upstream_trailer_x_sum\"; proxy_hide_header X-Hid; }
         location /end/ { proxy_pass http://%%UP%%/; add_trailer X-Len $upstream_response_length; add_trailer X-None \"\"; }
         location /empty/ { proxy_pass http://%%UP%%/; add_trailer X-None \"\"; }
         location /off/ { proxy_pass http://%%UP%%/; }",
        &up,
    )
    .start();
    let mut table = Table::new("trailers");
    let ask = |target: &str| {
        let mut client = s.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        String::from_utf8_lossy(&client.rest()).into_owned()
    };
    table.row(BOTH, "are passed where that is wanted", || {
        let all = ask("/chunked");
        assert!(all.contains("\r\n0\r\n") && all.contains("X-Sum: 1\r\nX-Sum: 3\r\n"), "{all}");
        assert!(!all.contains("X-Pad"), "{all}");
    });
    table.row(BOTH, "of our own are read at the end, and promised before", || {
        let all = ask("/end/chunked");
        assert!(all.contains("\r\n0\r\nX-Len: ") && !all.contains("X-Len: 0\r\n") && !all.contains("X-None"), "{all}");
        let all = ask("/empty/plain");
        assert!(all.contains("Transfer-Encoding: chunked") && all.ends_with("0\r\n\r\n"), "{all}");
    });
    table.row(BOTH, "are not passed else", || {
        let all = ask("/off/chunked");
        assert!(!all.contains("X-Sum") && all.ends_with("0\r\n\r\n"), "{all}");
    });
}

#[test]
fn flags_of_cookies() {
    let up = Upstream::always(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: one=1; path=/a; Domain=up.test\r\n\
         Set-Cookie: two=2;Secure;SameSite=None\r\nSet-Cookie: three=3; HttpOnly\r\n\r\n",
    );
    let s = setup(
        "proxy_cookie_flags one secure httponly samesite=strict;
         proxy_cookie_flags ~^t(wo|en)$ nosecure samesite=$arg_site;
         location / { proxy_pass http://%%UP%%; }
         location /path { proxy_cookie_path / /new/; proxy_cookie_domain up.test $host; proxy_pass http://%%UP%%; }
         location /off { proxy_cookie_flags off; proxy_pass http://%%UP%%; }",
        &up,
    )
    .start();
    let mut table = Table::new("proxy_cookie_flags");
    let three = "three=3; HttpOnly";
    let rows: &[(&str, &str, [&str; 2])] = &[
        (
            "set and taken away",
            "/?site=lax",
            ["one=1; path=/a; Domain=up.test; Secure; HttpOnly; SameSite=Strict", "two=2; SameSite=Lax"],
        ),
        (
            "with path and domain",
            "/path",
            ["one=1; path=/new/a; Domain=localhost; Secure; HttpOnly; SameSite=Strict", "two=2; SameSite=None"],
        ),
        ("off", "/off", ["one=1; path=/a; Domain=up.test", "two=2;Secure;SameSite=None"]),
    ];
    for (name, target, expected) in rows {
        table.row(BOTH, name, || {
            let r = s.get(target);
            assert_eq!(r.all("set-cookie"), [expected[0], expected[1], three]);
        });
    }
}

/// Answers by the target with fields and a body of words.
fn words() -> Upstream {
    Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            let body = "word ".repeat(100);
            let (status, fields) = match request.target().trim_start_matches('/') {
                "plain" => ("200 OK", "Content-Type: text/plain\r\nETag: \"p\"\r\nAccept-Ranges: bytes\r\n"),
                "html" => ("200 OK", "Content-Type: text/html\r\nETag: W/\"h\"\r\n"),
                "named" => ("200 OK", "Content-Type: text/html; charset=koi8-r\r\n"),
                "encoded" => ("200 OK", "Content-Type: text/plain\r\nContent-Encoding: br\r\n"),
                "404" => ("404 Not Found", "Content-Type: text/plain\r\n"),
                "401" => ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"up\"\r\nContent-Type: text/plain\r\n"),
                "503" => ("503 Busy", "Retry-After: 9\r\nContent-Type: text/plain\r\n"),
                "302" => ("302 Found", "Location: http://elsewhere.test/\r\nContent-Type: text/html\r\n"),
                "old" => ("200 OK", "Expires: Thu, 01 Jan 1970 00:00:01 GMT\r\nCache-Control: private\r\n"),
                "dated" => ("200 OK", "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Type: text/css\r\n"),
                "vary" => ("200 OK", "Vary: Origin\r\nContent-Type: text/plain\r\n"),
                "slow" => ("200 OK", "X-Accel-Limit-Rate: 100\r\nContent-Type: text/x\r\n"),
                "public" => ("200 OK", "Cache-Control: public\r\nContent-Type: text/plain\r\n"),
                "private" => ("200 OK", "Cache-Control: private\r\nContent-Type: text/plain\r\n"),
                "none" => ("200 OK", ""),
                _ => ("204 No Content", ""),
            };
            let length = if status.starts_with("204") { 0 } else { body.len() };
            let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n");
            let head = if length == 0 { head.replace("Content-Length: 0\r\n", "") } else { head };
            if !peer.send(head.as_bytes())
                || !request.line.starts_with("HEAD") && !peer.send(&body.as_bytes()[..length])
            {
                return;
            }
        }
    })
}

/// Fields that describe a body.
const TOLD: [&str; 12] = [
    "content-type",
    "content-encoding",
    "content-length",
    "transfer-encoding",
    "vary",
    "etag",
    "accept-ranges",
    "cache-control",
    "expires",
    "www-authenticate",
    "x-added",
    "x-always",
];

#[test]
fn filters_work_on_what_an_upstream_sends() {
    let up = words();
    let s = setup(
        "error_page 418 /local.html;
         add_header X-Added yes; add_header X-Always $upstream_status always;
         location / { proxy_pass http://%%UP%%; }
         location = /local.html { }
         location /gzip/ { gzip on; gzip_types text/plain; gzip_min_length 1; gzip_vary on; gzip_proxied any; proxy_pass http://%%UP%%/; }
         location /long/ { gzip on; gzip_types text/plain; gzip_min_length 10000; proxy_pass http://%%UP%%/; }
         location /via/ { gzip on; gzip_types text/plain; gzip_min_length 1; gzip_proxied expired no-cache no-store private; proxy_pass http://%%UP%%/; }
         location /charset/ { charset utf-8; charset_types text/plain; proxy_pass http://%%UP%%/; }
         location /override/ { charset utf-8; override_charset on; charset_types text/plain; proxy_pass http://%%UP%%/; }
         location /expires/ { expires 1h; proxy_pass http://%%UP%%/; }
         location /epoch/ { expires epoch; proxy_pass http://%%UP%%/; }
         location /modified/ { expires modified 1h; proxy_pass http://%%UP%%/; }
         location /caught/ { proxy_intercept_errors on; error_page 401 404 /local.html; error_page 503 =418 /local.html;
             error_page 302 /local.html; proxy_pass http://%%UP%%/; }
         location /unasked/ { proxy_intercept_errors on; proxy_pass http://%%UP%%/; }
         location /hidden/ { proxy_hide_header Content-Type; proxy_hide_header ETag; proxy_hide_header Expires; proxy_pass http://%%UP%%/; }
         location /rate/ { proxy_ignore_headers X-Accel-Limit-Rate; proxy_pass http://%%UP%%/; }",
        &up,
    )
    .file("html/local.html", "local")
    .start();
    let told = |target: &str, fields: &str| {
        let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
        let r = s.get_with(target, &fields);
        let values = |name| {
            let mut values = r.all(name);
            values.sort_unstable();
            values
        };
        let lines = TOLD.iter().flat_map(|name| values(name).into_iter().map(move |value| format!("{name}: {value}")));
        let lines: Vec<String> = lines.filter(|line| !line.starts_with("expires: ") || line.contains("1970")).collect();
        format!("{} {}", r.status, lines.join("; "))
    };
    let mut table = Table::new("filters over the proxy");
    let gzip = "Accept-Encoding: gzip";
    let rows: &[(&str, &str, &str, &str)] = &[
        (
            "as it comes",
            "/plain",
            gzip,
            "200 content-type: text/plain; content-length: 500; etag: \"p\"; accept-ranges: bytes; x-added: yes; x-always: 200",
        ),
        (
            "compressed",
            "/gzip/plain",
            gzip,
            "200 content-type: text/plain; content-encoding: gzip; transfer-encoding: chunked; vary: Accept-Encoding; etag: W/\"p\"; x-added: yes; x-always: 200",
        ),
        (
            "compressed html",
            "/gzip/html",
            gzip,
            "200 content-type: text/html; content-encoding: gzip; transfer-encoding: chunked; vary: Accept-Encoding; etag: W/\"h\"; x-added: yes; x-always: 200",
        ),
        (
            "not asked for",
            "/gzip/plain",
            "",
            "200 content-type: text/plain; content-length: 500; vary: Accept-Encoding; etag: \"p\"; accept-ranges: bytes; x-added: yes; x-always: 200",
        ),
        (
            "encoded already",
            "/gzip/encoded",
            gzip,
            "200 content-type: text/plain; content-encoding: br; content-length: 500; x-added: yes; x-always: 200",
        ),
        (
            "an error, compressed",
            "/gzip/404",
            gzip,
            "404 content-type: text/plain; content-encoding: gzip; transfer-encoding: chunked; vary: Accept-Encoding; x-always: 404",
        ),
        ("a busy server is not", "/gzip/503", gzip, "503 content-type: text/plain; content-length: 500; x-always: 503"),
        (
            "the upstream's own Vary",
            "/gzip/vary",
            gzip,
            "200 content-type: text/plain; content-encoding: gzip; transfer-encoding: chunked; vary: Accept-Encoding; vary: Origin; x-added: yes; x-always: 200",
        ),
        (
            "too short",
            "/long/plain",
            gzip,
            "200 content-type: text/plain; content-length: 500; etag: \"p\"; accept-ranges: bytes; x-added: yes; x-always: 200",
        ),
        (
            "for a proxy that may not keep it",
            "/via/private",
            "Accept-Encoding: gzip\r\nVia: 1.1 p",
            "200 content-type: text/plain; content-encoding: gzip; transfer-encoding: chunked; cache-control: private; x-added: yes; x-always: 200",
        ),
        (
            "for a proxy, and nothing said of freshness",
            "/via/plain",
            "Accept-Encoding: gzip\r\nVia: 1.1 p",
            "200 content-type: text/plain; content-encoding: gzip; transfer-encoding: chunked; etag: W/\"p\"; x-added: yes; x-always: 200",
        ),
        (
            "for a proxy that may keep it",
            "/via/public",
            "Accept-Encoding: gzip\r\nVia: 1.1 p",
            "200 content-type: text/plain; content-length: 500; cache-control: public; x-added: yes; x-always: 200",
        ),
        (
            "a charset",
            "/charset/plain",
            "",
            "200 content-type: text/plain; charset=utf-8; content-length: 500; etag: \"p\"; accept-ranges: bytes; x-added: yes; x-always: 200",
        ),
        (
            "a charset of its own",
            "/charset/named",
            "",
            "200 content-type: text/html; charset=koi8-r; content-length: 500; x-added: yes; x-always: 200",
        ),
        ("no type, no charset", "/charset/none", "", "200 content-length: 500; x-added: yes; x-always: 200"),
        (
            "expires",
            "/expires/old",
            "",
            "200 content-length: 500; cache-control: max-age=3600; x-added: yes; x-always: 200",
        ),
        (
            "epoch",
            "/epoch/plain",
            "",
            "200 content-type: text/plain; content-length: 500; etag: \"p\"; accept-ranges: bytes; cache-control: no-cache; expires: Thu, 01 Jan 1970 00:00:01 GMT; x-added: yes; x-always: 200",
        ),
        ("nothing to expire", "/expires/404", "", "404 content-type: text/plain; content-length: 500; x-always: 404"),
        (
            "the upstream's own",
            "/old",
            "",
            "200 content-length: 500; cache-control: private; expires: Thu, 01 Jan 1970 00:00:01 GMT; x-added: yes; x-always: 200",
        ),
        ("caught", "/caught/404", "", "404 content-type: text/html; content-length: 5; etag: *; x-always: 404"),
        (
            "caught, with its challenge",
            "/caught/401",
            "",
            "401 content-type: text/html; content-length: 5; etag: *; www-authenticate: Basic realm=\"up\"; x-always: 401",
        ),
        (
            "caught as another",
            "/caught/503",
            "",
            "418 content-type: text/html; content-length: 5; etag: *; x-always: 503",
        ),
        (
            "a redirect caught",
            "/caught/302",
            "",
            "302 content-type: text/html; content-length: 5; etag: *; x-added: yes; x-always: 302",
        ),
        ("not caught", "/unasked/404", "", "404 content-type: text/plain; content-length: 500; x-always: 404"),
        ("hidden", "/hidden/plain", "", "200 content-length: 500; accept-ranges: bytes; x-added: yes; x-always: 200"),
        ("no content", "/else", "", "204 x-added: yes; x-always: 204"),
        (
            "conditions are the upstream's",
            "/plain",
            "If-None-Match: \"p\"",
            "200 content-type: text/plain; content-length: 500; etag: \"p\"; accept-ranges: bytes; x-added: yes; x-always: 200",
        ),
        (
            "a rate that is ignored",
            "/rate/slow",
            "",
            "200 content-type: text/x; content-length: 500; x-added: yes; x-always: 200",
        ),
    ];
    for (name, target, fields, expected) in rows {
        table.row(BOTH, name, || {
            let told = told(target, fields);
            // A file of ours has validators of its own.
            let told = match (told.find("etag: \""), expected.contains("etag: *")) {
                (Some(at), true) => {
                    let end = told[at..].find(';').map_or(told.len(), |end| at + end);
                    format!("{}etag: *{}", &told[..at], &told[end..])
                }
                _ => told,
            };
            assert_eq!(told.replace("accept-ranges: bytes; ", ""), expected.replace("accept-ranges: bytes; ", ""));
        });
    }
    table.row(BOTH, "the redirect to a location's name has its settings", || {
        let r = s.get("/expires");
        r.is(301).has("cache-control", "max-age=3600").has("x-added", "yes");
    });
    table.row(BOTH, "X-Accel-Limit-Rate", || {
        let mut client = Stream::connect(s.address(0)).expect("the server listens");
        client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
        // 500 bytes at 100 a second: the whole is not there at once.
        let mut got = [0; 4096];
        let n = client.read(&mut got).expect("the head and a part");
        let text = String::from_utf8_lossy(&got[..n]).into_owned();
        assert!(text.starts_with("HTTP/1.1 200") && !text.contains(&"word ".repeat(100)), "{text}");
    });
}

#[test]
fn an_upgrade_that_is_offered_reaches_the_client() {
    let up = Upstream::always(
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    );
    let s = crate::harness::server(&format!("location / {{ proxy_pass http://{}; }}", up.address)).start();
    s.get("/").is(426).has("Upgrade", "websocket");
}

/// The upstream's head announces what GET would bring; the client waits for that, or takes the next response for it.
#[test]
fn the_next_response_is_not_the_content_of_a_get_that_was_asked_by_head() {
    if crate::table::skip_on_nginx("nginx announces the content that does not come") {
        return;
    }
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    let s = setup(
        "location /head { proxy_method $arg_m; proxy_pass http://%%UP%%; }
         location /next { return 200 next; }",
        &up,
    )
    .start();
    let mut client = s.client();
    client.send("GET /head?m=HEAD HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response().is(200).body_is("");
    client.response().is(200).body_is("next");
    assert!(up.last().line.starts_with("HEAD "), "{}", up.last().line);
    client.send("HEAD /head?m=HEAD HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to_head().header("Content-Length"), Some("2"), "whom it concerns is told");
}

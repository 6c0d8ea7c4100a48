//! What the client gets of an upstream's answer: ranges cut out here, cookies, trailers, and every filter that also works
//! on files: compression, charsets, header lines, conditions, rates.

use crate::harness::{BOTH, Setup, Table, server};
use crate::upstream::Upstream;

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

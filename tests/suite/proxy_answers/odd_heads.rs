//! Heads of upstreams that are not what HTTP asks for, and those that lead elsewhere (`X-Accel-Redirect`).

use super::setup;
use crate::harness::{BOTH, Table, ours};
use crate::upstream::Upstream;

/// Answers each target with the head and body that belong to it.
fn odd() -> Upstream {
    Upstream::start(|peer| {
        let Some(request) = peer.request() else { return };
        let answer = match request.target() {
            "/names" => {
                "HTTP/1.1 200 OK\r\nX-(a): 1\r\nX-\u{e9}: 2\r\nNoColon\r\nX-B: 3\r\nContent-Length: 2\r\n\r\nok"
            }
            "/control" => {
                "HTTP/1.1 200 OK\r\nX-B: a\u{1}b\u{7f}c\r\nDate: a\u{1}b\r\nServer: a\u{1}b\r\n\
                 Content-Type: text/a\u{1}b\r\nTE: trailers\r\nContent-Length: 2\r\n\r\nok"
            }
            "/hop" => {
                "HTTP/1.1 200 OK\r\nConnection: X-Hop, close, Content-Type\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Type: a/b\r\n\
                 Content-Length: 2\r\n\r\nok"
            }
            "/version" => "HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "/two" => "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "/blanks" => "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
            "/padded" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0 \r\n\r\n",
            "/495" => "HTTP/1.1 495 Own\r\nContent-Length: 2\r\n\r\nok",
            "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Type: a/b\r\nContent-Length: 7\r\n\r\n",
            "/named" => "HTTP/1.1 200 OK\r\nX-Accel-Redirect: @named\r\nContent-Length: 0\r\n\r\n",
            "/chain" => "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /again\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
            "/again" => "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /inner\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n",
            "/caught" => {
                "HTTP/1.1 404 Not Found\r\nWWW-Authenticate: Basic\r\nX-Accel-Redirect: /inner\r\nContent-Length: 2\r\n\r\nno"
            }
            "/cookies" => "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /inner\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
            "/nowhere" => "HTTP/1.1 200 OK\r\nX-Accel-Redirect:\r\nContent-Length: 0\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nX B: 1\r\nContent-Length: 2\r\n\r\nok",
        };
        peer.send(answer.as_bytes());
    })
}

#[test]
fn odd_heads_of_upstreams_do_not_cost_the_page() {
    let up = odd();
    let s = setup(
        "error_page 404 /page; location /page { return 200 page; } location /inner { internal; return 200 inner; }
         location / { proxy_pass http://%%UP%%; proxy_cookie_flags ~ httponly; }
         location /caught { proxy_pass http://%%UP%%; proxy_intercept_errors on; }
         location /dated/ { proxy_pass http://%%UP%%/; proxy_pass_header Date; proxy_pass_header Server; }
         location @named { return 200 \"$request_method $uri\"; }
         location /star/ { proxy_pass http://%%UP%%/; gzip on; gzip_types *; gzip_min_length 1; }",
        &up,
    )
    .allow_log("upstream")
    .start();
    let mut table = Table::new("odd heads");
    table.row(BOTH, "names that are no tokens, and lines without a colon", || {
        s.get("/names").is(200).has("X-B", "3").body_is("ok");
    });
    table.row(ours("nginx passes them on"), "fields that its Connection names end here", || {
        s.get("/hop").is(200).lacks("X-Hop").has("X-End", "2").has("Content-Type", "a/b").body_is("ok");
    });
    table.row(ours("nginx passes the bytes on"), "the client sees neither, nor control bytes", || {
        assert!(s.get("/names").is(200).lacks("X-(a)").lacks("NoColon").header("X-B").is_some());
        for target in ["/control", "/dated/control"] {
            let r = s.get(target);
            r.is(200).has("X-B", "a b c").has("Content-Type", "text/a b").lacks("TE").body_is("ok");
            assert!(!r.head.iter().any(|byte| *byte < b' ' && !b"\r\n".contains(byte)), "{}", r.show());
        }
        s.get("/dated/control").has("Date", "a b").has("Server", "a b");
    });
    table.row(BOTH, "versions and blanks", || {
        for target in ["/version", "/two", "/blanks", "/padded"] {
            s.get(target).is(200).body_is("ok");
        }
    });
    table.row(BOTH, "a name with a blank in it", || {
        s.get("/blank").is(502);
    });
    table.row(BOTH, "a code that nginx has for itself", || {
        s.get("/495").is(495).body_is("ok");
    });
    table.row(BOTH, "what a 304 says of the page", || {
        s.get("/304").is(304).has("Content-Type", "a/b").has("Content-Length", "7");
    });
    table.row(BOTH, "an error that is intercepted leads nowhere else", || {
        s.get("/caught").is(404).lacks("WWW-Authenticate").body_is("page");
    });
    table.row(BOTH, "a named location gets the request as it is", || {
        s.method("POST", "/named", "", b"x").is(200).body_is("POST /named");
    });
    table.row(BOTH, "what leads elsewhere twice keeps both cookies", || {
        let r = s.get("/chain");
        assert_eq!(r.is(200).body_is("inner").all("Set-Cookie"), ["a=b; HttpOnly", "c=d; HttpOnly"]);
    });
    table.row(BOTH, "the upstream's Date and Server, which it does not send", || {
        assert!(s.get("/version").is(200).header("Date").is_some());
        s.get("/dated/version").is(200).lacks("Date").lacks("Server").body_is("ok");
    });
    table.row(BOTH, "every type is also none", || {
        s.get_with("/star/version", "Accept-Encoding: gzip\r\n").is(200).has("Content-Encoding", "gzip");
        s.get_with("/version", "Accept-Encoding: gzip\r\n").is(200).lacks("Content-Encoding");
    });
    table.row(BOTH, "cookies of a response that leads elsewhere", || {
        s.get("/cookies").is(200).has("Set-Cookie", "a=b; HttpOnly").body_is("inner");
    });
    table.row(BOTH, "a redirect to nothing", || {
        s.get("/nowhere").is(404);
    });
}

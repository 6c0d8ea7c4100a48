//! HTTP/1.x as a connection: persistence, pipelining, methods, Host, limits, bodies, closing.

use crate::client::Framing;
use crate::harness::{BOTH, Runs, Server, Table, http, noise, ours, server};

/// A server with texts of each kind of answer.
pub fn start() -> Server {
    server(
        "client_max_body_size 1m;
         location = /text { return 200 text; }
         location = /gone { return 302 /f; }
         location = /none { return 204; }
         location = /host { return 200 $host; }
         location = /http_host { return 200 $http_host; }
         location = /uri { return 200 $uri|$args|$request_uri; }
         location = /method { return 200 $request_method; }
         location = /closed { return 444; }
         location /nokeep/ { alias %%DIR%%/html/; keepalive_timeout 0; }",
    )
    .file("html/f", "0123456789")
    .file("html/index.html", "index")
    .file("html/big", noise(1 << 20))
    .start()
}

#[test]
fn version_and_connection_decide_persistence() {
    let s = start();
    let rows: &[(Runs, &str, &str, bool)] = &[
        (BOTH, "HTTP/1.1 keeps", "GET /f HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (BOTH, "HTTP/1.1 close", "GET /f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        (BOTH, "HTTP/1.1 Close in capitals", "GET /f HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\r\n\r\n", false),
        (BOTH, "HTTP/1.1 keep-alive said", "GET /f HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true),
        (BOTH, "HTTP/1.1 close in a list", "GET /f HTTP/1.1\r\nHost: a\r\nConnection: foo, close\r\n\r\n", false),
        (BOTH, "HTTP/1.1 something else", "GET /f HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", true),
        (BOTH, "HTTP/1.0 closes", "GET /f HTTP/1.0\r\nHost: a\r\n\r\n", false),
        (BOTH, "HTTP/1.0 keep-alive", "GET /f HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true),
        (BOTH, "HTTP/1.0 without Host", "GET /f HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        (BOTH, "a 404 keeps", "GET /missing HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (BOTH, "a redirect keeps", "GET /gone HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (BOTH, "a 204 keeps", "GET /none HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (BOTH, "HEAD keeps", "HEAD /f HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (BOTH, "a refused method keeps", "POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", true),
        (BOTH, "keepalive_timeout 0 closes", "GET /nokeep/f HTTP/1.1\r\nHost: a\r\n\r\n", false),
    ];
    let mut table = Table::new("persistence");
    for &(runs, name, bytes, keeps) in rows {
        table.row(runs, name, || {
            let mut client = s.client();
            let r = client.request(bytes);
            if keeps {
                assert!(!r.closes(), "{}", r.show());
                client.expect_alive("/f", 200);
            } else {
                r.has("Connection", "close");
                client.expect_closed();
            }
            if bytes.contains("HTTP/1.0") && keeps {
                r.has("Connection", "keep-alive");
            }
        });
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let s = start();
    let mut table = Table::new("pipelining");
    table.row(BOTH, "100 requests of every kind in one write", || {
        let kinds: &[(&str, u16, &str)] = &[
            ("GET /f", 200, "0123456789"),
            ("HEAD /f", 200, ""),
            ("GET /text", 200, "text"),
            ("GET /missing", 404, "404 Not Found"),
            ("GET /none", 204, ""),
            ("GET /gone", 302, "302 Found"),
            ("GET /uri?", 200, "/uri"),
        ];
        let mut bytes = Vec::new();
        for i in 0..100 {
            let (line, ..) = kinds[i % kinds.len()];
            bytes.extend_from_slice(format!("{line} HTTP/1.1\r\nHost: a\r\nX-Number: {i}\r\n\r\n").as_bytes());
        }
        let mut client = s.client();
        client.send(bytes);
        for i in 0..100 {
            let (line, status, body) = kinds[i % kinds.len()];
            let r = if line.starts_with("HEAD") { client.response_to_head() } else { client.response() };
            r.is(status).contains(body);
        }
        client.expect_alive("/f", 200);
    });
    table.row(BOTH, "large bodies between small ones", || {
        let mut client = s.client();
        client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /f HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4));
        for _ in 0..4 {
            client.response().is(200).body_is(noise(1 << 20));
            client.response().is(200).body_is("0123456789");
        }
    });
    table.row(BOTH, "what follows Connection: close is not answered", || {
        let mut client = s.client();
        client.send(b"GET /f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /text HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response().is(200).body_is("0123456789");
        client.expect_closed();
    });
    table.row(BOTH, "what goes before a request that is closed without an answer is answered", || {
        let mut client = s.client();
        let first = b"GET /f HTTP/1.1\r\nHost: a\r\n\r\nGET /text HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send([&first[..], b"GET /closed HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        client.response().is(200).body_is("0123456789");
        client.response().is(200).body_is("text");
        client.expect_closed();
    });
    table.row(BOTH, "a body, then the next request, in one write", || {
        let mut client = s.client();
        client.send(
            b"POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /f HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        client.response().is(200).body_is("text");
        client.response().is(200).body_is("0123456789");
    });
    table.row(BOTH, "a chunked body, then the next request, in one write", || {
        let mut client = s.client();
        client.send(
            b"POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /f HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        client.response().is(200).body_is("text");
        client.response().is(200).body_is("0123456789");
    });
    table.row(BOTH, "empty lines between requests", || {
        let mut client = s.client();
        client.send(b"GET /f HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\nGET /text HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response().is(200).body_is("0123456789");
        client.response().is(200).body_is("text");
    });
}

#[test]
fn a_request_may_arrive_in_any_pieces() {
    let s = start();
    let whole: &[u8] = b"GET /uri?a=b HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabcGET /f HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut table = Table::new("pieces");
    table.row(BOTH, "byte by byte", || {
        let mut client = s.client();
        client.send_split(whole, 1..whole.len());
        client.response().is(200).body_is("/uri|a=b|/uri?a=b");
        client.response().is(200).body_is("0123456789");
    });
    table.row(BOTH, "split in two at every point", || {
        for at in 1..whole.len() {
            let mut client = s.client();
            client.send_split(whole, [at]);
            client.response().is(200).body_is("/uri|a=b|/uri?a=b");
            client.response().is(200).body_is("0123456789");
        }
    });
    table.row(BOTH, "a chunked body split at every point", || {
        let whole: &[u8] =
            b"POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\nGET /f HTTP/1.1\r\nHost: a\r\n\r\n";
        for at in 1..whole.len() {
            let mut client = s.client();
            client.send_split(whole, [at]);
            client.response().is(200).body_is("text");
            client.response().is(200).body_is("0123456789");
        }
    });
    table.row(BOTH, "empty lines before the request", || {
        s.send(b"\r\n\r\nGET /f HTTP/1.1\r\nHost: a\r\n\r\n").is(200).body_is("0123456789");
    });
    table.row(BOTH, "lines ended by LF alone", || {
        s.send(b"GET /f HTTP/1.1\nHost: a\n\n").is(200).body_is("0123456789");
    });
}

#[test]
fn methods_are_judged() {
    let s = start();
    let allow = ours("RFC 9110 15.5.6: a 405 carries Allow");
    let rows: &[(Runs, &str, &str, &str, &[u16])] = &[
        (BOTH, "GET", "GET", "/method", &[200]),
        (BOTH, "POST to a file", "POST", "/f", &[405]),
        (BOTH, "PUT to a file", "PUT", "/f", &[405]),
        (BOTH, "DELETE of a file", "DELETE", "/f", &[405]),
        (BOTH, "any known method to a return", "DELETE", "/method", &[200]),
        (BOTH, "PATCH to a file", "PATCH", "/f", &[405]),
        (BOTH, "TRACE", "TRACE", "/f", &[405]),
        (BOTH, "CONNECT with a path", "CONNECT", "/f", &[405, 400]),
        (BOTH, "a POST of a missing file", "POST", "/missing", &[404, 405]),
        (ours("unknown methods are 501"), "an unknown method", "BREW", "/f", &[501]),
        (ours("unknown methods are 501"), "methods are case-sensitive", "Get", "/f", &[501, 400]),
        (BOTH, "a lower case method", "get", "/f", &[400, 501]),
    ];
    let mut table = Table::new("methods");
    for &(runs, name, method, target, statuses) in rows {
        table.row(runs, name, || {
            let r = s.method(method, target, "", b"");
            r.is_one_of(statuses);
            if target == "/method" {
                r.body_is(method);
            }
        });
    }
    table.row(allow, "a 405 names the allowed methods", || {
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
            let r = s.method(method, "/f", "", b"");
            let allowed: Vec<_> = r.is(405).header("Allow").expect("Allow").split(", ").collect();
            for wanted in ["GET", "HEAD", "OPTIONS"] {
                assert!(allowed.contains(&wanted), "{}", r.show());
            }
            assert!(!allowed.contains(&method), "{}", r.show());
        }
    });
    table.row(ours("OPTIONS is answered"), "OPTIONS of a file", || {
        let r = s.method("OPTIONS", "/f", "", b"");
        r.is_one_of(&[200, 204]);
        assert!(r.header("Allow").is_some_and(|a| a.contains("GET") && a.contains("HEAD")), "{}", r.show());
        assert!(r.body.is_empty());
    });
    table.row(ours("OPTIONS * is answered"), "OPTIONS of the server", || {
        let mut client = s.client();
        let r = client.request(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
        r.is_one_of(&[200, 204]);
        assert!(r.body.is_empty());
        client.expect_alive("/f", 200);
    });
    table.row(BOTH, "an asterisk is for OPTIONS alone", || {
        s.send(b"GET * HTTP/1.1\r\nHost: a\r\n\r\n").is(400);
    });
    table.row(BOTH, "HEAD sends no body and keeps the count", || {
        let mut client = s.client();
        client.request(b"HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n").is(200).has("Content-Length", "1048576");
        client.request(b"HEAD /missing HTTP/1.1\r\nHost: a\r\n\r\n").is(404);
        client.expect_alive("/f", 200);
    });
}

#[test]
fn host_and_target_are_judged() {
    let s = start();
    let of_https = if crate::over_tls::is_wanted() { 200 } else { 400 };
    let strict = ours("RFC 9110 4.2, RFC 3986 3.2.2: not a host");
    let rows: &[(Runs, &str, &str, u16, &str)] = &[
        (BOTH, "no Host in 1.1", "GET /host HTTP/1.1\r\n\r\n", 400, ""),
        (BOTH, "no Host in 1.0", "GET /host HTTP/1.0\r\n\r\n", 200, "localhost"),
        (BOTH, "two Hosts", "GET /host HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, ""),
        (BOTH, "two equal Hosts", "GET /host HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, ""),
        (BOTH, "an empty Host", "GET /host HTTP/1.1\r\nHost:\r\n\r\n", 400, ""),
        (BOTH, "a Host is lower-cased", "GET /host HTTP/1.1\r\nHost: A.Test\r\n\r\n", 200, "a.test"),
        (BOTH, "the port is cut", "GET /host HTTP/1.1\r\nHost: a.test:8080\r\n\r\n", 200, "a.test"),
        (BOTH, "the trailing dot is cut", "GET /host HTTP/1.1\r\nHost: a.test.\r\n\r\n", 200, "a.test"),
        (BOTH, "$http_host is as sent", "GET /http_host HTTP/1.1\r\nHost: A.Test:80\r\n\r\n", 200, "A.Test:80"),
        (BOTH, "an IPv6 literal", "GET /host HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, "[::1]"),
        (BOTH, "two dots in a row", "GET /host HTTP/1.1\r\nHost: a..b\r\n\r\n", 400, ""),
        (BOTH, "a slash", "GET /host HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, ""),
        (BOTH, "a space", "GET /host HTTP/1.1\r\nHost: a b\r\n\r\n", 400, ""),
        (BOTH, "a control character", "GET /host HTTP/1.1\r\nHost: a\x01b\r\n\r\n", 400, ""),
        (strict, "a bad percent", "GET /host HTTP/1.1\r\nHost: a%zz\r\n\r\n", 400, ""),
        (strict, "letters in brackets", "GET /host HTTP/1.1\r\nHost: [zz]\r\n\r\n", 400, ""),
        (BOTH, "absolute-form, its host wins", "GET http://b.test/host HTTP/1.1\r\nHost: a\r\n\r\n", 200, "b.test"),
        (BOTH, "absolute-form with port", "GET http://b.test:99/host HTTP/1.1\r\nHost: b.test\r\n\r\n", 200, "b.test"),
        (BOTH, "absolute-form without a path", "GET http://b.test HTTP/1.1\r\nHost: b.test\r\n\r\n", 200, "index"),
        (BOTH, "absolute-form with query", "GET http://b.test/uri?x HTTP/1.1\r\nHost: b\r\n\r\n", 200, "/uri|x|/uri?x"),
        (
            ours("nginx takes an https target on a plain port too"),
            "an https target is for connections over TLS",
            "GET https://b.test/host HTTP/1.1\r\nHost: b\r\n\r\n",
            of_https,
            if of_https == 200 { "b.test" } else { "" },
        ),
        (BOTH, "a target without slash", "GET f HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
        (BOTH, "authority-form for GET", "GET a.test:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, ""),
        (
            ours("nginx leaves the fragment in $request_uri"),
            "a fragment is cut off",
            "GET /uri?a#x?y HTTP/1.1\r\nHost: a\r\n\r\n",
            200,
            "/uri|a|/uri?a",
        ),
        (
            BOTH,
            "$uri is decoded, $request_uri is not",
            "GET /%75ri?%61=b HTTP/1.1\r\nHost: a\r\n\r\n",
            200,
            "/uri|%61=b|/%75ri?%61=b",
        ),
    ];
    let mut table = Table::new("host and target");
    for &(runs, name, bytes, status, body) in rows {
        table.row(runs, name, || {
            let r = s.send(bytes);
            r.is(status);
            if status == 200 {
                r.body_is(body);
            } else {
                assert!(r.closes(), "{}", r.show());
            }
        });
    }
}

#[test]
fn limits_of_the_head_are_enforced() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html;
            client_header_buffer_size 1k; large_client_header_buffers 4 2k;
            location = /len { return 200 $http_x_long; } }",
    )
    .file("html/f", "f")
    .start();
    let mut table = Table::new("limits");
    let long = "x".repeat(1800);
    table.row(BOTH, "a long line within the limit", || {
        s.get_with("/len", &format!("X-Long: {long}\r\n")).is(200).body_is(&long);
        s.get(&format!("/f?{long}")).is(200).body_is("f");
    });
    table.row(BOTH, "a request line over the limit", || {
        let r = s.get(&format!("/f?{}", "x".repeat(3000)));
        r.is(414);
        assert!(r.closes());
    });
    let too_large: &[u16] = if crate::harness::on_nginx() { &[400] } else { &[431] };
    table.row(BOTH, "a header line over the limit", || {
        let r = s.get_with("/f", &format!("X-Long: {}\r\n", "x".repeat(3000)));
        r.is_one_of(too_large);
        assert!(r.closes());
    });
    table.row(BOTH, "all headers together over the limit", || {
        let r = s.get_with("/f", &format!("X-Long: {long}\r\n").repeat(6));
        r.is_one_of(too_large);
        assert!(r.closes());
    });
    table.row(BOTH, "a head that never ends is refused before it is complete", || {
        let mut client = s.client();
        client.try_send(format!("GET /f HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(20_000)));
        client.response().is_one_of(too_large);
    });
    table.row(BOTH, "a request line that never ends", || {
        let mut client = s.client();
        client.try_send(format!("GET /{}", "y".repeat(20_000)));
        client.response().is(414);
    });
    table.row(BOTH, "the limit holds for each pipelined request", || {
        let mut client = s.client();
        for _ in 0..5 {
            client.request(format!("GET /len HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n")).is(200).body_is(&long);
        }
    });
}

#[test]
fn an_old_client_gets_no_chunks() {
    let s = server("location /list/ { alias %%DIR%%/html/; autoindex on; }").file("html/f", "x").start();
    let mut table = Table::new("framing by version");
    table.row(BOTH, "a listing for HTTP/1.0 has no Transfer-Encoding", || {
        let r = s.send(b"GET /list/ HTTP/1.0\r\nHost: a\r\n\r\n");
        r.is(200).lacks("Transfer-Encoding").contains("f</a>");
        assert!(matches!(r.framing, Framing::Close | Framing::Length));
    });
    table.row(BOTH, "a listing for HTTP/1.1 keeps the connection", || {
        let mut client = s.client();
        let r = client.get("/list/");
        r.is(200).contains("f</a>");
        assert!(matches!(r.framing, Framing::Chunked | Framing::Length));
        client.expect_alive("/f", 200);
    });
}

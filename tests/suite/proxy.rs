//! proxy_pass, black-box: what reaches the upstream, what reaches the client, and what happens when either misbehaves.
//! Long and two-way traffic is in `proxy_streams`.

use crate::client::Framing;
use crate::harness::{BOTH, Setup, Table, noise, ours, server};
use crate::upstream::Upstream;

/// One server whose locations may name upstreams as `%%0%%`, `%%1%%` ….
pub fn setup(block: &str, upstreams: &[&Upstream]) -> Setup {
    server(&place(block, upstreams))
}

pub fn place(block: &str, upstreams: &[&Upstream]) -> String {
    let mut text = block.to_owned();
    for (at, upstream) in upstreams.iter().enumerate() {
        text = text.replace(&format!("%%{at}%%"), &upstream.address.to_string());
    }
    text.replace("%%NOWHERE%%", &Upstream::nowhere().to_string())
}

pub fn ok(body: &str) -> Upstream {
    Upstream::always(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

#[test]
fn the_request_that_reaches_the_upstream() {
    let up = Upstream::echo();
    let s = setup(
        "location /plain/ { proxy_pass http://%%0%%; }
         location /slash/ { proxy_pass http://%%0%%/; location /slash/in/ { proxy_pass http://%%0%%/; } }
         location /part/ { proxy_pass http://%%0%%/other; }
         location /query { proxy_pass http://%%0%%/q?fixed=1; }
         location ~ ^/re/(.*)$ { proxy_pass http://%%0%%/made/$1$is_args$args; }
         location /made { proxy_pass http://$arg_to; }
         location /rewrite/ { rewrite ^/rewrite/(.*)$ /new/$1 break; proxy_pass http://%%0%%/ignored/; }
         location /last/ { rewrite ^/last/(.*)$ /plain/$1 last; }
         location /named/ { try_files /nothing @app; }
         location @app { proxy_pass http://%%0%%; }
         location /if/ { if ($arg_x) { proxy_pass http://%%0%%; } proxy_pass http://%%NOWHERE%%/; }
         location /headers/ {
             proxy_set_header X-One \"one $host\";
             proxy_set_header X-Empty \"\";
             proxy_set_header X-Client \"\";
             proxy_set_header Host not.this.test;
             proxy_set_header Host $http_host;
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
             proxy_pass http://%%0%%;
             location /headers/own/ { proxy_set_header X-Two two; proxy_pass http://%%0%%; }
         }
         location /nohead/ { proxy_pass_request_headers off; proxy_pass http://%%0%%; }
         location /nobody/ { proxy_pass_request_body off; proxy_set_header Content-Length \"\"; proxy_pass http://%%0%%; }
         location /body/ { proxy_set_body \"[$request_uri]\"; proxy_pass http://%%0%%; }
         location /method/ { proxy_method PUT; proxy_pass http://%%0%%; }
         location /10/ { proxy_http_version 1.0; proxy_pass http://%%0%%; }",
        &[&up],
    )
    .start();
    let mut table = Table::new("the passed request");
    let address = up.address;
    let lines: &[(&str, &str, &str)] = &[
        ("no URI part: as it came", "/plain/a%20b%2Fc/../d?x=%31", "/plain/a%20b%2Fc/../d?x=%31"),
        ("the prefix is replaced by a slash", "/slash/a/b?c", "/a/b?c"),
        ("the prefix is replaced as it stands", "/part/a", "/othera"),
        ("a decoded path is escaped again", "/slash/a%20%25%3fb", "/a%20%25%3Fb"),
        ("a URI part with arguments", "/query", "/q?fixed=1"),
        ("a URI made of variables is taken as it is", "/re/a%25b?c", "/made/a%b?c"),
        ("after break, the rewritten URI", "/rewrite/x?y", "/new/x?y"),
        ("after last, the rewritten URI", "/last/x%20y?z", "/plain/x%20y?z"),
        ("a named location passes the URI as it came", "/named/a%2Fb?c", "/named/a%2Fb?c"),
        ("proxy_pass inside if", "/if/a?x=1", "/if/a?x=1"),
    ];
    for (name, target, expected) in lines {
        table.row(BOTH, name, || {
            s.get(target).is(200);
            assert_eq!(up.last().line, format!("GET {expected} HTTP/1.1"));
        });
    }
    table.row(ours("nginx lets a blank into the request line"), "a capture cannot split the line", || {
        s.get("/re/a%20b").is(200);
        assert_eq!(up.last().line, "GET /made/a%20b HTTP/1.1");
    });
    table.row(BOTH, "an address in a variable", || {
        s.get(&format!("/made?to={address}/x")).is(200);
        assert_eq!(up.last().line, "GET /x HTTP/1.1");
        assert_eq!(up.last().all("host"), [address.to_string()]);
    });
    table.row(BOTH, "an unknown name", || {
        s.get("/made?to=no.such.test").is(502);
    });
    table.row(BOTH, "what is set by default", || {
        let fields = "X-Client: yes\r\nTE: trailers\r\nKeep-Alive: 5\r\nUpgrade: x\r\n";
        s.get_with("/plain/", fields).is(200);
        let request = up.last();
        assert_eq!(request.all("host"), [address.to_string()]);
        assert_eq!(request.all("x-client"), ["yes"]);
        for name in ["connection", "te", "keep-alive", "upgrade", "content-length", "transfer-encoding"] {
            assert_eq!(request.all(name), [""; 0], "{name}");
        }
    });
    table.row(ours("RFC 9110 7.6.1: fields that Connection names are of one hop"), "Connection names a field", || {
        s.get_with("/plain/", "X-Hop: a\r\nX-Stays: b\r\nConnection: x-hop, keep-alive\r\n").is(200);
        assert_eq!((up.last().all("x-hop"), up.last().all("x-stays")), (vec![], vec!["b"]));
    });
    table.row(BOTH, "proxy_set_header", || {
        s.get_with("/headers/", "X-Client: no\r\nX-Forwarded-For: 1.2.3.4\r\n").is(200);
        let request = up.last();
        assert_eq!(request.all("x-one"), ["one localhost"]);
        assert_eq!((request.all("x-empty"), request.all("x-client")), (vec![], vec![]));
        assert_eq!(request.all("host"), ["localhost"]);
        assert_eq!(request.all("x-forwarded-for"), ["1.2.3.4, 127.0.0.1"]);
    });
    table.row(BOTH, "a level of its own inherits none", || {
        s.get("/headers/own/").is(200);
        assert_eq!((up.last().all("x-one"), up.last().all("x-two")), (vec![], vec!["two"]));
    });
    table.row(BOTH, "proxy_pass_request_headers off", || {
        s.get_with("/nohead/", "X-Client: yes\r\n").is(200);
        assert_eq!(up.last().all("x-client"), [""; 0]);
    });
    table.row(BOTH, "proxy_pass_request_body off", || {
        s.method("POST", "/nobody/", "", b"hello").is(200);
        assert_eq!((up.last().body, up.last().line.as_str()), (vec![], "POST /nobody/ HTTP/1.1"));
    });
    table.row(BOTH, "proxy_set_body", || {
        s.method("POST", "/body/x", "", b"hello").is(200);
        assert_eq!(up.last().body, b"[/body/x]");
    });
    table.row(BOTH, "proxy_method", || {
        s.get("/method/").is(200);
        assert_eq!(up.last().line, "PUT /method/ HTTP/1.1");
    });
    table.row(BOTH, "an unknown method", || {
        s.method("BREW", "/plain/", "", b"").is(200);
        assert_eq!(up.last().line, "BREW /plain/ HTTP/1.1");
    });
    table.row(BOTH, "TRACE is refused", || {
        s.method("TRACE", "/plain/", "", b"").is(405);
    });
    table.row(BOTH, "proxy_http_version 1.0", || {
        s.get("/10/").is(200);
        assert_eq!(up.last().line, "GET /10/ HTTP/1.0");
    });
    table.row(BOTH, "a location inside another without its slash", || {
        s.get("/slash/in?a").is(301).has("location", &format!("http://localhost:{}/slash/in/?a", s.port()));
        s.get("/slash/inn").is(200);
    });
    table.row(BOTH, "a location without its slash", || {
        let r = s.get("/plain?a=b");
        r.is(301).has("location", &format!("http://localhost:{}/plain/?a=b", s.port()));
    });
}

#[test]
fn bodies_on_their_way_to_the_upstream() {
    let up = Upstream::echo();
    let s = setup(
        "client_max_body_size 0;
         location / { client_body_buffer_size 16k; proxy_pass http://%%0%%; }
         location /stream/ { proxy_request_buffering off; proxy_pass http://%%0%%; }
         location /small/ { client_max_body_size 100; proxy_pass http://%%0%%; }
         location /shown/ { add_header X-Body $request_body; proxy_pass http://%%0%%; }",
        &[&up],
    )
    .start();
    let mut table = Table::new("request bodies");
    for (name, path) in [("buffered", "/x"), ("streamed", "/stream/x")] {
        for length in [0, 1, 5000, 100_000, 3 << 20] {
            table.row(BOTH, &format!("{name}, Content-Length {length}"), || {
                let body = noise(length);
                let r = s.method("POST", path, "", &body);
                r.is(200);
                assert!(up.last().body == body);
                assert_eq!(up.last().all("content-length"), [length.to_string()]);
            });
            table.row(BOTH, &format!("{name}, chunked {length}"), || {
                let mut client = s.client();
                client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
                let body = noise(length);
                for part in body.chunks(70_000) {
                    client.send(format!("{:x}\r\n", part.len())).send(part).send("\r\n");
                }
                client.send("0\r\n\r\n");
                client.response().is(200);
                assert!(up.last().body == body);
                client.expect_alive(path, 200);
            });
        }
    }
    table.row(BOTH, "Expect: 100-continue", || {
        let mut client = s.client();
        client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        client.response().is(100);
        client.send(b"hello");
        client.response().is(200);
        assert_eq!(up.last().body, b"hello");
    });
    table.row(BOTH, "$request_body", || {
        s.method("POST", "/shown/", "", b"hello").is(200).has("x-body", "hello");
    });
    table.row(BOTH, "a body that is too large does not reach the upstream", || {
        let before = up.requests().len();
        s.method("POST", "/small/", "", &[b'x'; 101]).is(413);
        let chunked = "POST /small/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        s.send(format!("{chunked}65\r\n{}\r\n0\r\n\r\n", "x".repeat(101))).is(413);
        assert_eq!(up.requests().len(), before);
    });
    table.row(BOTH, "a chunked body that is none", || {
        let mut client = s.client();
        client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX");
        client.response().is(400);
    });
    table.row(BOTH, "requests in a pipeline", || {
        let mut client = s.client();
        let one = |n: usize| format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n{n}");
        client.send((0..5).map(one).collect::<String>());
        for n in 0..5 {
            client.response().is(200).contains(&format!("POST /{n} HTTP/1.1"));
        }
    });
}

#[test]
fn the_response_that_reaches_the_client() {
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let answer = match request.target() {
                "/length" => "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX-Up: 1\r\nX-Up: 2\r\n\r\nhello",
                "/chunked" => {
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: u\r\n\r\n"
                }
                "/close" => "HTTP/1.1 200 OK\r\n\r\nhello",
                "/http10" => "HTTP/1.0 200 OK\r\n\r\nhello",
                "/204" => "HTTP/1.1 204 No Content\r\nX-Up: 1\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
                "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
                "/100" => "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                "/hidden" => {
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: up\r\nDate: never\r\nX-Pad: x\r\nX-Accel-Expires: 1\r\nX-Hide: x\r\nConnection: x\r\nKeep-Alive: y\r\n\r\n"
                }
                "/404" => "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nWWW-Authenticate: x\r\n\r\nupper",
                "/redirect" => &format!(
                    "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://{}/x/y\r\n\r\n",
                    peer.stream.local_addr().expect("connected")
                ),
                "/accel" => {
                    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Accel-Redirect: /file\r\nSet-Cookie: a=b\r\n\r\nxyz"
                }
                "/short" => "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
                "/cut" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                "/junk" => "SSH-2.0-OpenSSH\r\n",
                "/fold" => "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
                "/two" => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
                "/nul" => "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
                "/half" => "HTTP/1.1 200 OK\r\nA: b\r\n",
                "/silent" => "",
                other => panic!("no answer to {other}"),
            };
            if !peer.send(answer.as_bytes()) || !matches!(request.target(), "/length" | "/chunked" | "/204" | "/100") {
                return;
            }
        }
    });
    let s = setup(
        "location / { proxy_pass http://%%0%%; }
         location /x/ { proxy_pass http://%%0%%/; }
         location /passed { proxy_pass_header Server; proxy_hide_header X-Hide; proxy_pass http://%%0%%/hidden; }
         location /both { proxy_pass_header X-Hide; proxy_hide_header X-Hide; proxy_hide_header X-Pad; proxy_pass http://%%0%%/hidden; }
         location /caught { proxy_intercept_errors on; error_page 404 /file; proxy_pass http://%%0%%/404; }
         location /kept { error_page 404 /file; proxy_pass http://%%0%%/404; }
         location = /file { root %%DIR%%/html; }
         location /fails { error_page 502 = /file; proxy_pass http://%%0%%/silent; }
         location /vars { add_header X-Vars \"$upstream_status $upstream_http_x_up $upstream_addr $proxy_host\"; proxy_pass http://%%0%%/length; }",
        &[&up],
    )
    .file("html/file", "local")
    .start();
    let mut table = Table::new("responses");
    table.row(BOTH, "Content-Length", || {
        let r = s.get("/length");
        r.is(200).body_is("hello");
        assert!(r.head.starts_with(b"HTTP/1.1 200 Fine\r\n"), "{}", r.show());
        assert_eq!(r.all("x-up"), ["1", "2"]);
    });
    for target in ["/chunked", "/close", "/http10"] {
        table.row(BOTH, &format!("{target} becomes chunked"), || {
            let r = s.get(target);
            r.is(200).body_is("hello");
            assert_eq!(r.framing, Framing::Chunked);
        });
        table.row(BOTH, &format!("{target} to HTTP/1.0 ends with the connection"), || {
            let r = s.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
            r.is(200).body_is("hello").lacks("transfer-encoding");
        });
    }
    table.row(BOTH, "204", || {
        s.get("/204").is(204).has("x-up", "1").lacks("content-length").lacks("transfer-encoding");
    });
    table.row(BOTH, "304", || {
        s.get("/304").is(304).has("etag", "\"x\"");
    });
    table.row(BOTH, "HEAD", || {
        let mut client = s.client();
        client.request("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n").is(200).has("content-length", "1234");
        client.expect_alive("/length", 200);
    });
    table.row(ours("nginx takes it for the answer"), "100 from the upstream is not the answer", || {
        s.get("/100").is(200).body_is("hello");
    });
    table.row(BOTH, "hidden fields", || {
        let r = s.get("/hidden");
        r.is(200).lacks("x-pad").lacks("x-accel-expires").lacks("keep-alive").has("x-hide", "x");
        assert!(r.header("server") != Some("up") && r.header("date") != Some("never"), "{}", r.show());
    });
    table.row(BOTH, "proxy_pass_header and proxy_hide_header", || {
        s.get("/passed").is(200).has("server", "up").lacks("x-hide");
    });
    table.row(BOTH, "proxy_pass_header goes before proxy_hide_header", || {
        s.get("/both").is(200).has("x-hide", "x").lacks("x-pad");
    });
    table.row(BOTH, "an error of the upstream is passed", || {
        s.get("/kept").is(404).body_is("upper");
    });
    table.row(BOTH, "proxy_intercept_errors", || {
        s.get("/caught").is(404).body_is("local");
    });
    table.row(BOTH, "proxy_redirect default", || {
        let r = s.get("/x/redirect");
        r.is(302).has("location", &format!("http://localhost:{}/x/x/y", s.port()));
    });
    table.row(BOTH, "X-Accel-Redirect", || {
        s.get("/accel").is(200).body_is("local").has("set-cookie", "a=b");
    });
    table.row(BOTH, "$upstream_ variables", || {
        let address = up.address;
        s.get("/vars").is(200).has("x-vars", &format!("200 1, 2 {address} {address}"));
    });
    for target in ["/short", "/cut"] {
        table.row(BOTH, &format!("{target}: an incomplete response is seen to be one"), || {
            let mut client = s.client();
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let all = String::from_utf8_lossy(&client.rest()).into_owned();
            assert!(all.contains("hello") && !all.ends_with("0\r\n\r\n"), "{all}");
        });
    }
    for target in ["/fold", "/two", "/nul", "/half", "/silent"] {
        table.row(BOTH, &format!("{target}: 502"), || {
            s.get(target).is(502).contains("502 Bad Gateway");
        });
    }
    table.row(ours("nginx takes it for HTTP/0.9 and passes it on"), "what is not HTTP is a 502", || {
        s.get("/junk").is(502);
    });
    table.row(BOTH, "error_page for a 502", || {
        s.get("/fails").is(200).body_is("local");
    });
}

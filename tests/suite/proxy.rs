//! proxy_pass, black-box: what reaches the upstream, what reaches the client, and what happens when either misbehaves.

use crate::client::{Framing, LIMIT};
use crate::harness::{BOTH, Server, Setup, Table, http, noise, ours, server};
use crate::transport::Stream;
use crate::upstream::Upstream;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// One server whose locations may name upstreams as `%%0%%`, `%%1%%` ….
fn setup(block: &str, upstreams: &[&Upstream]) -> Setup {
    server(&place(block, upstreams))
}

fn place(block: &str, upstreams: &[&Upstream]) -> String {
    let mut text = block.to_owned();
    for (at, upstream) in upstreams.iter().enumerate() {
        text = text.replace(&format!("%%{at}%%"), &upstream.address.to_string());
    }
    text.replace("%%NOWHERE%%", &Upstream::nowhere().to_string())
}

fn ok(body: &str) -> Upstream {
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
    table.row(BOTH, "a name that nobody knows", || {
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
    table.row(BOTH, "a method that nobody knows", || {
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

#[test]
fn connections_to_upstreams_are_used_again() {
    let kept = ok("kept");
    let unkept = ok("not kept");
    let stale = Upstream::start(|peer| {
        // One answer, then the end: the next request must not be lost on the dead connection.
        if peer.request().is_some() {
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let bounded = ok("bounded");
    let s = http(&place(
        "upstream kept { server %%0%%; keepalive 4; }
         upstream unkept { server %%1%%; keepalive 0; }
         upstream stale { server %%2%%; keepalive 4; }
         upstream bounded { server %%3%%; keepalive 4; keepalive_requests 5; }
         server {
             listen 127.0.0.1:%%PORT%%;
             location /kept { proxy_pass http://kept; }
             location /unkept { proxy_pass http://unkept; }
             location /stale { proxy_pass http://stale; }
             location /bounded { proxy_pass http://bounded; }
         }",
        &[&kept, &unkept, &stale, &bounded],
    ))
    .start();
    let mut table = Table::new("keepalive to upstreams");
    let ask = |target: &str, times: usize| {
        let mut client = s.client();
        (0..times).for_each(|_| {
            client.get(target).is(200);
        });
    };
    table.row(BOTH, "one connection serves them all", || {
        ask("/kept", 20);
        assert_eq!(kept.connections(), 1);
    });
    table.row(BOTH, "keepalive 0", || {
        ask("/unkept", 5);
        assert_eq!(unkept.connections(), 5);
    });
    table.row(BOTH, "a connection that its server closed", || {
        ask("/stale", 10);
        assert_eq!((stale.connections(), stale.requests().len()), (10, 10));
    });
    table.row(BOTH, "keepalive_requests", || {
        ask("/bounded", 10);
        assert_eq!(bounded.connections(), 2);
    });
}

#[test]
fn servers_that_fail_are_replaced() {
    let (a, b) = (ok("a"), ok("b"));
    let (heavy, light) = (ok("heavy"), ok("light"));
    let closes = Upstream::start(|peer| drop(peer.request()));
    let busy = Upstream::always("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    let silent = Upstream::start(|peer| while peer.some().is_some() {});
    let s = http(&place(
        "upstream pair { server %%0%%; server %%1%%; }
         upstream half { server %%NOWHERE%% fail_timeout=1h; server %%1%%; }
         upstream closing { server %%2%% max_fails=0; server %%1%% max_fails=0; }
         upstream busy { server %%3%% max_fails=0; server %%1%% max_fails=0; }
         upstream slow { server %%4%% max_fails=0; server %%1%% max_fails=0; }
         upstream dead { server %%NOWHERE%% fail_timeout=1h; server %%NOWHERE%% fail_timeout=1h; }
         upstream spare { server %%NOWHERE%%; server %%1%% backup; }
         upstream weighted { server %%5%% weight=3; server %%6%%; }
         upstream downed { server %%0%% down; server %%1%%; }
         upstream few { least_conn; server %%0%%; server %%1%%; }
         upstream sticky { ip_hash; server %%0%%; server %%1%%; }
         server {
             listen 127.0.0.1:%%PORT%%;
             add_header X-Tried \"$upstream_status\" always;
             location /pair { proxy_pass http://pair; }
             location /half { proxy_pass http://half; }
             location /closing { proxy_pass http://closing; }
             location /busy { proxy_pass http://busy; }
             location /busy/next { proxy_pass http://busy; proxy_next_upstream http_503; }
             location /slow { proxy_pass http://slow; proxy_read_timeout 3s; }
             location /slow/off { proxy_pass http://slow; proxy_next_upstream off; proxy_read_timeout 3s; }
             location /slow/alone { proxy_pass http://%%4%%; proxy_read_timeout 300ms; }
             location /dead { proxy_pass http://dead; }
             location /nowhere { proxy_pass http://%%NOWHERE%%; }
             location /unix { proxy_pass http://unix:%%DIR%%/nobody.sock; }
             location /spare { proxy_pass http://spare; }
             location /weighted { proxy_pass http://weighted; }
             location /downed { proxy_pass http://downed; }
             location /few { proxy_pass http://few; }
             location /sticky { proxy_pass http://sticky; }
         }",
        &[&a, &b, &closes, &busy, &silent, &heavy, &light],
    ))
    .allow_log("connect() to unix:")
    .start();
    let mut table = Table::new("failover");
    let bodies = |target: &str, times: usize| (0..times).map(|_| s.get(target).text()).collect::<Vec<_>>().join("");
    table.row(BOTH, "in turn", || assert_eq!(bodies("/pair", 4), "abab"));
    table.row(BOTH, "by weight", || {
        let all = bodies("/weighted", 8);
        assert_eq!((all.matches("heavy").count(), all.matches("light").count()), (6, 2), "{all}");
    });
    table.row(BOTH, "down is never asked", || assert_eq!(bodies("/downed", 3), "bbb"));
    table.row(BOTH, "nobody listens", || {
        let r = s.get("/half");
        r.is(200).body_is("b").has("x-tried", "502, 200");
        s.get("/half").is(200).body_is("b").has("x-tried", "200");
    });
    table.row(BOTH, "it closes without an answer", || {
        let tried: Vec<String> =
            (0..2).map(|_| s.get("/closing").is(200).header("x-tried").unwrap_or_default().to_owned()).collect();
        assert!(tried.contains(&"502, 200".to_owned()), "{tried:?}");
    });
    table.row(BOTH, "a POST that was sent is not sent twice", || {
        let statuses: Vec<u16> = (0..2).map(|_| s.method("POST", "/closing", "", b"x").status).collect();
        assert!(statuses.contains(&502) && statuses.contains(&200), "{statuses:?}");
    });
    table.row(BOTH, "a status is no failure unless it is said to be", || {
        let all = bodies("/busy", 2);
        assert!(all == "busyb" || all == "bbusy", "{all}");
        assert_eq!(bodies("/busy/next", 2), "bb");
    });
    table.row(BOTH, "it takes too long", || {
        assert_eq!(bodies("/slow", 2), "bb");
    });
    table.row(BOTH, "504 where there is no other", || {
        s.get("/slow/alone").is(504).contains("504 Gateway Time-out").has("x-tried", "504");
        let statuses: Vec<u16> = (0..2).map(|_| s.get("/slow/off").status).collect();
        assert!(statuses.contains(&504) && statuses.contains(&200), "{statuses:?}");
    });
    table.row(BOTH, "all are dead", || {
        s.get("/dead").is(502).has("x-tried", "502, 502");
        s.get("/dead").is(502).has("x-tried", "502");
    });
    table.row(BOTH, "one address, and nobody listens", || {
        s.get("/nowhere").is(502).contains("502 Bad Gateway");
        let r = s.method("POST", "/nowhere", "", b"hello");
        r.is(502);
    });
    table.row(BOTH, "a unix socket that is not there", || {
        s.get("/unix").is(502);
    });
    table.row(BOTH, "the backup is asked when the others fail", || {
        s.get("/spare").is(200).body_is("b");
        s.get("/spare").is(200).body_is("b");
    });
    table.row(BOTH, "least_conn", || {
        let all = bodies("/few", 4);
        assert_eq!(all.matches('a').count(), 2, "{all}");
    });
    table.row(BOTH, "ip_hash", || {
        let all = bodies("/sticky", 4);
        assert!(all == "aaaa" || all == "bbbb", "{all}");
    });
}

#[test]
fn unix_sockets_are_upstreams_too() {
    let setup = server("location / { proxy_pass http://unix:%%DIR%%/up.sock:/part/; }");
    let listener = std::os::unix::net::UnixListener::bind(setup.dir().join("up.sock")).expect("a fresh directory");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buf = [0; 4096];
            let n = stream.read(&mut buf).unwrap_or(0);
            let line = String::from_utf8_lossy(&buf[..n]).lines().next().unwrap_or_default().to_owned();
            let host = String::from_utf8_lossy(&buf[..n]).contains("Host: localhost\r\n");
            let body = format!("{line} {host}");
            let _ =
                stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        }
    });
    let s = setup.start();
    s.get("/x").is(200).body_is("GET /part/x HTTP/1.1 true");
}

/// Kilobytes of memory the server has in use.
fn resident(s: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", s.pid)).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says so");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn large_bodies_stream_through_bounded_memory() {
    const SIZE: usize = 100 << 20;
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.head() {
            let length = request.all("content-length").first().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
            let mut left = length;
            while left > 0 {
                let Some(bytes) = peer.some() else { return };
                left = left.saturating_sub(bytes.len());
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
            if !peer.send(if length > 0 {
                b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
            } else {
                head.as_bytes()
            }) {
                return;
            }
            let block = vec![b'x'; 1 << 20];
            if length == 0 && !(0..SIZE >> 20).all(|_| peer.send(&block)) {
                return;
            }
        }
    });
    let s =
        setup("client_max_body_size 0; location / { proxy_pass http://%%0%%; proxy_max_temp_file_size 0; }", &[&up]);
    let s = s.start();
    s.get("/").is(200);
    let mut table = Table::new("large bodies");
    table.row(ours("nginx writes the body to a file first"), "down, while the client reads slowly", || {
        let before = resident(&s);
        let mut stream = Stream::connect(s.address(0)).expect("listening");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        let mut buf = vec![0; 1 << 20];
        let (mut read, mut most) = (0, 0);
        while read < SIZE {
            read += stream.read(&mut buf).expect("the response comes");
            most = most.max(resident(&s));
        }
        assert!(most < before + 8 * 1024, "{before} kB became {most} kB");
    });
    table.row(ours("nginx writes the body to a file first"), "up", || {
        let before = resident(&s);
        let mut client = s.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
        let block = vec![b'y'; 1 << 20];
        let mut most = 0;
        for _ in 0..SIZE >> 20 {
            client.send(&block);
            most = most.max(resident(&s));
        }
        client.response().is(200).body_is("done");
        assert!(most < before + 8 * 1024, "{before} kB became {most} kB");
    });
    table.row(ours("nginx sends no more of a body once the response has begun"), "both ways at once", || {
        let echo = Upstream::start(|peer| {
            peer.head();
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
            while let Some(bytes) = peer.some() {
                peer.send(&bytes);
            }
        });
        let s = setup("client_max_body_size 0; location / { proxy_pass http://%%0%%; }", &[&echo]).start();
        let body = noise(8 << 20);
        let mut reader = TcpStream::connect(s.address(0)).expect("listening");
        let mut writer = reader.try_clone().expect("dup");
        let sent = body.clone();
        let sender = std::thread::spawn(move || {
            writer.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n").expect("sent");
            writer.write_all(&sent).expect("sent");
        });
        let mut all = Vec::new();
        while all.len() < body.len() || !all.ends_with(&body[body.len() - 100..]) {
            let mut buf = [0; 65536];
            let n = reader.read(&mut buf).expect("the echo comes");
            assert!(n > 0, "closed after {} bytes", all.len());
            all.extend_from_slice(&buf[..n]);
        }
        sender.join().expect("sent");
        assert!(all.ends_with(&body));
    });
}

#[test]
fn a_websocket_is_tunnelled() {
    let up = Upstream::start(|peer| {
        let Some(request) = peer.request() else { return };
        if request.all("upgrade") != ["websocket"] || request.all("connection") != ["upgrade"] {
            peer.send(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
        while let Some(bytes) = peer.some() {
            if bytes == b"bye" || !peer.send(&bytes) {
                return;
            }
        }
    });
    let s = setup(
        "location / {
             proxy_pass http://%%0%%;
             proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade;
             proxy_set_header Connection \"upgrade\";
             location /chat/brief { proxy_pass http://%%0%%; proxy_read_timeout 3s; }
         }",
        &[&up],
    )
    .start();
    let connect = |target: &str, extra: &[u8]| {
        let mut stream = Stream::connect(s.address(0)).expect("listening");
        stream.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        stream.write_all(&[head.as_bytes(), extra].concat()).expect("sent");
        stream
    };
    let until = |stream: &mut Stream, end: &[u8]| {
        let mut all = Vec::new();
        while !all.ends_with(end) {
            let mut buf = [0; 65536];
            let n = stream.read(&mut buf).expect("the echo comes");
            assert!(n > 0, "closed: {:?}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&buf[..n]);
        }
        all
    };
    let mut table = Table::new("websocket");
    table.row(BOTH, "an echo both ways", || {
        let mut stream = connect("/chat", b"");
        let head = until(&mut stream, b"hello");
        let head = String::from_utf8_lossy(&head);
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert!(head.contains("Upgrade: websocket\r\n") && head.contains("Connection: upgrade\r\n"), "{head}");
        for size in [1, 100, 100_000, 1 << 20] {
            let data = noise(size);
            let mut back = vec![0; size];
            if crate::over_tls::is_wanted() {
                // The two ends of a session are one: turn by turn.
                for (piece, back) in data.chunks(16_000).zip(back.chunks_mut(16_000)) {
                    stream.write_all(piece).expect("sent");
                    stream.read_exact(back).expect("the echo comes");
                }
            } else {
                let sent = data.clone();
                let mut writer = stream.try_clone().expect("dup");
                let sender = std::thread::spawn(move || writer.write_all(&sent).expect("sent"));
                stream.read_exact(&mut back).expect("the echo comes");
                sender.join().expect("sent");
            }
            assert!(back == data, "{size} bytes");
        }
        stream.write_all(b"bye").expect("sent");
        assert_eq!(stream.read(&mut [0; 1]).expect("closed"), 0);
    });
    table.row(BOTH, "bytes behind the request", || {
        let mut stream = connect("/chat", b"early");
        until(&mut stream, b"early");
        stream.shutdown(Shutdown::Both).expect("shutdown");
    });
    table.row(BOTH, "silence ends it after proxy_read_timeout", || {
        let mut stream = connect("/chat/brief", b"");
        until(&mut stream, b"hello");
        assert_eq!(stream.read(&mut [0; 1]).expect("closed"), 0);
    });
    table.row(BOTH, "a request that asks for nothing", || {
        s.get("/").is(400);
    });
}

/// The client closes its connection and asks by another: it must not find itself still counted.
#[test]
fn a_client_that_comes_back_is_not_refused_for_the_connection_it_closed() {
    let up = Upstream::start(|peer| {
        // Answers nothing.
        if peer.request().is_some() {
            peer.some();
        }
    });
    let s = http(&place(
        "limit_conn_zone $binary_remote_addr zone=one:1m;
         server {
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             location / { limit_conn one 1; }
             location /wait { limit_conn one 1; proxy_pass http://%%0%%; }
         }",
        &[&up],
    ))
    .file("html/f", "f")
    .start();
    for round in 1..=10 {
        let mut first = s.client();
        first.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        while up.requests().len() < round {
            std::thread::yield_now();
        }
        s.get("/f").is(503);
        // The next connection is there before the first is closed, its request behind that.
        let mut next = s.frozen(|| {
            let mut next = s.client();
            first.leave();
            next.send("GET /f HTTP/1.1\r\nHost: a\r\n\r\n");
            next
        });
        next.response().is(200);
    }
}

#[test]
fn clients_that_leave() {
    let up = Upstream::start(|peer| {
        // Answers nothing; its end is what the test waits for.
        let Some(request) = peer.request() else { return };
        if request.target().starts_with("/body") {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
            let block = vec![b'x'; 1 << 16];
            let _ = peer.send(head);
            while peer.send(&block) {}
        }
        while peer.some().is_some() {}
        if let Some((_, path)) = request.target().split_once('?') {
            fs::write(path, "gone").expect("the test's directory");
        }
    });
    let s = setup("location / { proxy_pass http://%%0%%; } location /f { return 200 ok; }", &[&up]).start();
    let ask = |target: &str, file: &str| {
        let before = up.requests().len();
        let mut client = s.client();
        client.send(format!("GET {target}?{} HTTP/1.1\r\nHost: a\r\n\r\n", s.path(file).display()));
        while up.requests().len() == before {
            std::thread::yield_now();
        }
        client
    };
    let mut table = Table::new("clients that leave");
    table.row(BOTH, "before an answer: the upstream is left too", || {
        ask("/wait", "gone-early").reset();
        s.await_file("gone-early", |text| text == "gone");
    });
    table.row(ours("nginx goes on filling a file"), "within the body: the upstream is left too", || {
        ask("/body", "gone-late").reset();
        s.await_file("gone-late", |text| text == "gone");
    });
    table.row(BOTH, "499 is logged", || {
        ask("/wait", "gone-499").half_close();
        s.await_file("gone-499", |text| text == "gone");
        s.await_file("logs/access.log", |log| log.lines().any(|line| line.contains("-499") && line.contains(" 499 ")));
    });
    table.row(BOTH, "others are served", || {
        s.get("/f").is(200);
    });
}

//! Rows for the security fixes that nginx published in 2025 and 2026, as far as they concern what we have: the same
//! requests and responses must be refused, or served right. (Of TLS sessions: `tls`; of HTTP/2's fields and frames:
//! `http2`; of endless 1xx: `bounds`.)

use crate::harness::{BOTH, Table, http, ours, server};
use crate::upstream::Upstream;

/// CVE-2026-27654: a destination shorter than the name of an alias's location.
#[test]
fn a_copy_beneath_an_alias_stays_there() {
    let s = server("location /data/files/ { alias %%DIR%%/area/; dav_methods PUT DELETE MKCOL COPY MOVE; }")
        .file("area/f", "f")
        .file("area/d/x", "x")
        .mkdir("outside")
        .start();
    let before = s.snapshot("");
    let mut table = Table::new("COPY and MOVE beneath an alias");
    let changed = |s: &crate::harness::Server| {
        let mut now = s.snapshot("");
        now.retain(|name, _| !name.starts_with("logs") && !name.contains("temp"));
        let mut then = before.clone();
        then.retain(|name, _| !name.starts_with("logs") && !name.contains("temp"));
        now != then
    };
    for to in [
        "/",
        "/d",
        "/da",
        "/data",
        "/data/",
        "/data/files",
        "/data/filesx",
        "/data/x/../fil",
        "/data/files/../../outside/f",
    ] {
        for (method, from) in [
            ("COPY", "/data/files/f"),
            ("MOVE", "/data/files/f"),
            ("COPY", "/data/files/d/"),
            ("MOVE", "/data/files/d/"),
        ] {
            table.row(ours("nginx crashed, or has other statuses"), &format!("{method} {from} to {to}"), || {
                let r = s.method(method, from, &format!("Destination: {to}\r\n"), b"");
                assert!((400..500).contains(&r.status), "{}", r.show());
                assert!(!changed(&s), "something was changed");
            });
        }
    }
    table.row(BOTH, "within it", || {
        s.method("COPY", "/data/files/f", "Destination: /data/files/g\r\n", b"").is(204);
        assert_eq!(s.read("area/g"), b"f");
    });
}

/// CVE-2026-42945, CVE-2026-9256, CVE-2026-42533: captures that overlap, are escaped, or are changed by a map while a
/// string that uses them is made.
#[test]
fn captures_are_what_the_configuration_says() {
    let s = http(
        "map $arg_m $mapped { default none; \"~^(.)(?<rest>.*)$\" $1-$rest; }
         server { listen 127.0.0.1:%%PORT%%;
           location ~ ^/overlap/((.*))$ { return 200 \"$1|$2|$1\"; }
           location /rewritten/ { rewrite ^/rewritten/((.*))$ /to?a=$1&b=$2 last; }
           location /moved/ { rewrite ^/moved/((.)(.*))$ http://h/$1$2$3?$1 redirect; }
           location = /to { return 200 $args; }
           location ~ ^/map/(.*)$ { return 200 \"$1 $mapped $1\"; }
           location ~ ^/set/(.*)$ { set $x \"$1$mapped$1\"; return 200 $x; }
           location ~ ^/stale/(.*)$ { if ($arg_a ~ x(y)z) { } return 200 \"[$1]\"; }
         }",
    )
    .start();
    let mut table = Table::new("captures");
    let long = "x".repeat(3000);
    table.row(BOTH, "overlapping", || {
        s.get(&format!("/overlap/{long}")).is(200).body_is(format!("{long}|{long}|{long}"));
    });
    table.row(BOTH, "overlapping and escaped in arguments", || {
        let escaped = "%2b%26%20".repeat(300);
        let r = s.get(&format!("/rewritten/{escaped}"));
        let half = "%2B%26%20".repeat(300);
        assert_eq!(r.is(200).text().to_ascii_uppercase(), format!("a={half}&b={half}").to_ascii_uppercase());
    });
    table.row(BOTH, "overlapping in a redirect", || {
        let r = s.get("/moved/%20abc%20");
        let location = r.is(302).header("Location").expect("Location").to_owned();
        assert!(location.starts_with("http://h/%20abc%20%20abc%20?"), "{location}");
    });
    table.row(ours("a map's groups leave the location's alone"), "a map with groups of its own in between", || {
        let text = s.get("/map/abcdef?m=12345").is(200).text();
        assert!(text.starts_with("abcdef 1-2345 "), "{text}");
        let text = s.get(&format!("/set/{}?m={long}", "a".repeat(500))).is(200).text();
        assert!(text.contains(&format!("x-{}", "x".repeat(2999))), "{} bytes", text.len());
    });
    table.row(BOTH, "none of a regex that did not match", || {
        s.get("/stale/abc?a=q").is(200).body_is("[]");
    });
}

/// f405ef11f, e419e28c9: what ends a chunk's line, and how large a chunk may say it is.
#[test]
fn chunks_are_what_the_grammar_says() {
    let upstream = Upstream::echo();
    let s = server(&format!(
        "client_max_body_size 0; location / {{ dav_methods PUT; }} location /p/ {{ proxy_pass http://{}; }}",
        upstream.address
    ))
    .start();
    let mut table = Table::new("chunks");
    for (name, body) in [
        ("a bare LF behind the size", "1\nx\r\n0\r\n\r\n"),
        ("a bare LF behind the data", "1\r\nx\n0\r\n\r\n"),
        ("a bare LF behind the last size", "1\r\nx\r\n0\n\r\n"),
        ("a size beyond 63 bits", "8000000000000000\r\nx"),
        ("a size at the edge", "7fffffffffffffff\r\nx\r\n"),
        ("a size beyond 64 bits", "10000000000000001\r\nx\r\n0\r\n\r\n"),
        ("a size of many digits", "00000000000000000000000000001\r\nx\r\n0\r\n\r\n"),
    ] {
        for target in ["/f", "/p/f"] {
            table.row(ours("published in 1.29.4 and 1.31.4"), &format!("{name}: {target}"), || {
                let mut c = s.client();
                c.send(format!("PUT {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
                c.half_close();
                let rest = c.rest();
                let answers = rest.windows(9).filter(|part| part == b"HTTP/1.1 ").count();
                assert!(answers <= 1, "two answers: {}", String::from_utf8_lossy(&rest));
                assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
                assert!(!s.exists("html/f"));
            });
        }
    }
    for (name, answer) in
        [("a bare LF", "1\nx\r\n0\r\n\r\n"), ("a size beyond 64 bits", "ffffffffffffffff1\r\nx\r\n0\r\n\r\n")]
    {
        table.row(ours("published in 1.29.4 and 1.31.4"), &format!("of an upstream: {name}"), || {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let bad = Upstream::always(format!("{head}{answer}"));
            let s = server(&format!("location / {{ proxy_pass http://{}; }}", bad.address)).start();
            let mut c = s.client();
            c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let rest = c.rest();
            assert!(!rest.ends_with(b"0\r\n\r\n"), "whole: {}", String::from_utf8_lossy(&rest));
        });
    }
}

/// cb9252ae6: an answer with parts larger than the file.
#[test]
fn many_small_ranges_do_not_make_an_answer_much_larger_than_the_file() {
    let s = server("").file("html/f", vec![b'x'; 50_000]).file("html/tiny", "0123456789").start();
    let mut table = Table::new("ranges");
    let ranges = |count: usize, step: usize| {
        (0..count).map(|n| format!("{}-{}", n * step, n * step)).collect::<Vec<_>>().join(",")
    };
    for (target, count, step) in [("/f", 700, 60), ("/f", 600, 3), ("/tiny", 10, 1), ("/f", 200, 2)] {
        table.row(ours("published in 1.29.5; the bound is another"), &format!("{count} of {target}"), || {
            let r = s.get_with(target, &format!("Range: bytes={}\r\n", ranges(count, step)));
            let size = s.get(target).body.len();
            assert!(r.is_one_of(&[200, 206]).body.len() <= size + 8192, "{} bytes of {size}", r.body.len());
        });
    }
    table.row(BOTH, "overlapping wholes", || {
        let r = s.get_with("/f", &format!("Range: bytes={}\r\n", vec!["0-"; 200].join(",")));
        assert!(r.is_one_of(&[200, 206]).body.len() <= 60_000, "{} bytes", r.body.len());
    });
}

/// 5f86648ef, CVE-2026-42946, 06c30ec29, CVE-2026-42055: heads of upstreams that come in pieces, or hold odd values.
#[test]
fn heads_of_upstreams_are_read_right_however_they_come() {
    let pieces = Upstream::start(|peer| {
        while peer.request().is_some() {
            for byte in b"HTTP/1.1 206 Some Of It\r\nContent-Length: 2\r\n\r\nok" {
                if !peer.send(&[*byte]) {
                    return;
                }
            }
        }
    });
    let mut table = Table::new("heads of upstreams");
    let s =
        server(&format!("charset koi8-r; override_charset on; location / {{ proxy_pass http://{}; }}", pieces.address))
            .start();
    table.row(BOTH, "byte by byte", || {
        s.get("/").is(206).body_is("ok");
    });
    let program = Upstream::start(|peer| {
        let Some(_) = peer.some() else { return };
        for byte in b"Status: 404 Not There\r\nContent-Type: text/plain\r\n\r\nno" {
            if !peer.send(&[*byte]) {
                return;
            }
        }
    });
    for pass in ["scgi_pass", "uwsgi_pass"] {
        table.row(BOTH, &format!("{pass}, byte by byte"), || {
            let s = server(&format!("location / {{ {pass} {}; }}", program.address)).start();
            s.get("/").is(404).body_is("no");
        });
    }
    for kind in [
        "text/html; charset=",
        "text/html; charset=\"",
        "text/html; charset=\"\"",
        "text/html; charset=\"x",
        "; charset",
    ] {
        table.row(BOTH, &format!("Content-Type: {kind}"), || {
            let odd =
                Upstream::always(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 2\r\n\r\nok"));
            let s = server(&format!(
                "charset utf-8; override_charset on; location / {{ proxy_pass http://{}; }}",
                odd.address
            ))
            .start();
            s.get("/").is(200).body_is("ok");
        });
    }
    let echo = Upstream::echo();
    let s = server(&format!(
        "ignore_invalid_headers off; large_client_header_buffers 8 64k; location / {{ proxy_pass http://{}; }}",
        echo.address
    ))
    .start();
    table.row(BOTH, "a large head goes on whole", || {
        let value = "v".repeat(60_000);
        let r = s.get_with("/", &format!("X-Large: {value}\r\nX-Next: {value}\r\n"));
        let text = r.is(200).text();
        assert_eq!(text.matches(&value).count(), 2);
    });
}

/// bcb41c919: try_files beside proxy_pass with a URI.
#[test]
fn try_files_and_proxy_pass_with_a_uri_go_together() {
    let echo = Upstream::echo();
    let s = server(&format!(
        "location /a/ {{ try_files $uri /short; proxy_pass http://{0}/uri/; }}
         location /b/ {{ try_files $uri @p; alias %%DIR%%/none/; }}
         location @p {{ proxy_pass http://{0}; }}
         location = /short {{ proxy_pass http://{0}/u; }}
         location /longer/name/ {{ try_files /s =404; proxy_pass http://{0}/uri/; }}",
        echo.address
    ))
    .file("html/a/x", "x")
    .file("html/s", "s")
    .start();
    let mut table = Table::new("try_files and proxy_pass");
    table.row(BOTH, "found", || {
        s.get("/a/x").is(200).contains("GET /uri/x HTTP/1");
    });
    table.row(BOTH, "fallen back", || {
        s.get("/a/none").is(200).contains("GET /u HTTP/1");
        s.get("/b/none").is(200).contains("GET /b/none HTTP/1");
    });
    table.row(BOTH, "a candidate shorter than the location's name", || {
        assert!(s.get("/longer/name/x").status < 600);
    });
    table.row(BOTH, "it serves on", || {
        s.get("/s").is(200).body_is("s");
    });
}

/// CVE-2026-42934, CVE-2026-48142: a multibyte character cut by the end of what has come.
#[test]
fn recoding_stops_at_characters_that_are_cut() {
    let cut = Upstream::start(|peer| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\r\na\xd0";
        if peer.request().is_some() && peer.send(head) {
            let _ = peer.send(b"\x90b\xe2\x82");
        }
    });
    let s = http(&format!(
        "charset_map koi8-r utf-8 {{ C1 D090; }}
         server {{ listen 127.0.0.1:%%PORT%%; charset koi8-r; override_charset on; location / {{ proxy_pass http://{}; }} }}",
        cut.address
    ))
    .start();
    let mut table = Table::new("recoding");
    table.row(BOTH, "over two reads, and at the end", || {
        let r = s.get("/");
        assert!(r.is(200).body.starts_with(b"a\xc1b"), "{:?}", r.body);
        assert!(r.body.len() <= 16, "{:?}", r.body);
    });
}

/// CVE-2026-1642: bytes before the handshake of an upstream over TLS are no answer.
#[test]
fn plain_bytes_of_an_upstream_over_tls_are_no_answer() {
    let plain = Upstream::start(|peer| {
        let _ = peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ninjected");
        let _ = peer.some();
    });
    let s = server(&format!("location / {{ proxy_pass https://{}; }}", plain.address)).start();
    let mut table = Table::new("plain bytes before a handshake");
    table.row(BOTH, "502", || {
        let r = s.get("/");
        assert!(!r.is(502).text().contains("injected"));
    });
}

/// f47586819, a43c76b4e, and the stricter grammar of 1.29.4.
#[test]
fn odd_targets_and_hosts_are_refused() {
    let s = server("location / { return 200 ok; }").start();
    let mut table = Table::new("targets and hosts");
    for request in [
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nGET /",
        "CONNECT a: HTTP/1.1\r\nHost: a:\r\n\r\n",
        "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
    ] {
        table.row(ours("published since 1.29.4"), request.split("\r\n\r\n").next().unwrap_or_default(), || {
            let mut c = s.client();
            c.send(request).half_close();
            let rest = c.rest();
            assert!(rest.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&rest));
            assert_eq!(rest.windows(9).filter(|part| part == b"HTTP/1.1 ").count(), 1);
        });
    }
    table.row(BOTH, "commas in a Cookie are no separators", || {
        let s = server("location / { return 200 \"[$cookie_a][$cookie_b]\"; }").start();
        s.get_with("/", "Cookie: a=1, b=2; b=3\r\n").is(200).body_is("[1, b=2][3]");
    });
}

/// 101 where nothing was asked to switch is a head for the client to judge, as in nginx, and the end of the connection:
/// not a byte of the other protocol follows.
#[test]
fn a_switch_that_was_not_asked_for_is_a_head_alone() {
    let up = Upstream::start(|peer| {
        if peer.request().is_some() {
            peer.send(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nhandshaked");
            let _ = peer.some();
        }
    });
    let s = server(&format!(
        "location / {{ proxy_pass http://{0}; proxy_http_version 1.1; }}
         location /kept/ {{ auth_request /check; }} location = /check {{ proxy_pass http://{0}; proxy_http_version 1.1; }}",
        up.address
    ))
    .start();
    let mut table = Table::new("101 out of the blue");
    table.row(ours("nginx keeps the connection"), "a head, and the end", || {
        let mut client = s.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let all = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(all.starts_with("HTTP/1.1 101 Switching\r\n") && all.ends_with("\r\n\r\n"), "{all}");
        assert!(all.matches("HTTP/1.1 ").count() == 1 && !all.contains("handshaked"), "{all}");
        assert!(all.contains("Connection: close\r\n"), "{all}");
    });
    table.row(ours("nginx has it as the answer"), "a check is not answered by it", || _ = s.get("/kept/").is(500));
    table.row(ours("nginx has it as the answer"), "nor is a client of HTTP/1.0", || {
        s.client().request("GET / HTTP/1.0\r\n\r\n").is(502);
    });
}

/// CVE-2026-56434: pages with commands whose pieces come from an upstream, in any cut, and end at any place.
#[test]
fn a_page_of_an_upstream_may_be_cut_within_any_command() {
    const PAGE: &str = "a<!--# block name=\"b\" -->[none]<!--# endblock --><!--# set var=\"v\" value=\"1\" -->b\
        <!--# if expr=\"$v = 1\" -->c<!--# include virtual=\"/empty\" stub=\"b\" --><!--# else -->no<!--# endif -->\
        <!--# include virtual=\"/part\" wait=\"yes\" --><!--# echo var=\"v\" -->d<!--# include virtual=\"/part\" -->e";
    const PART: &str = "(p<!--# echo var=\"none\" default=\"q\" -->)";
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let mut names = request.target().split('/').skip(1);
            let page = match names.next() {
                Some("page" | "short") => PAGE,
                Some("part") => PART,
                _ => "",
            };
            let at = names.next().and_then(|at| at.parse().ok()).unwrap_or(PART.len() / 2).min(page.len());
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", page.len());
            let sent = peer.send(head.as_bytes()) && peer.send(&page.as_bytes()[..at]);
            if !sent || request.target().starts_with("/short") || !peer.send(&page.as_bytes()[at..]) {
                return;
            }
        }
    });
    let s = server(&format!(
        "ssi on; location / {{ proxy_pass http://{0}; }} location /direct/ {{ proxy_buffering off; proxy_pass http://{0}/; }}
         location /alive {{ return 200 alive; }}",
        up.address
    ))
    .start();
    let mut table = Table::new("pages with commands in pieces");
    let whole = s.get(&format!("/page/{}", PAGE.len())).is(200).text();
    assert_eq!(whole, "abc[none](pq)1d(pq)e");
    for to in ["", "/direct"] {
        table.row(BOTH, &format!("cut anywhere {to}"), || {
            for at in 0..PAGE.len() {
                assert_eq!(s.get(&format!("{to}/page/{at}")).is(200).text(), whole, "cut at {at}");
            }
        });
        table.row(BOTH, &format!("ended anywhere {to}"), || {
            for at in 0..PAGE.len() {
                let mut client = s.client();
                client.send(format!("GET {to}/short/{at} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
                let all = String::from_utf8_lossy(&client.rest()).into_owned();
                assert!(!all.ends_with("\r\n0\r\n\r\n"), "ended at {at}, and looks whole: {all}");
            }
            s.get("/alive").is(200).body_is("alive");
        });
    }
    assert!(!String::from_utf8_lossy(&s.read("logs/error.log")).contains("panicked"));
}

/// CVE-2026-42926: what proxy_set_body says of a client is content, of the length that is announced.
#[test]
fn nothing_of_a_client_leaves_the_body_that_the_configuration_sets() {
    let up = Upstream::echo();
    let s = server(&format!(
        "location / {{ proxy_set_body \"<$arg_a|$http_x|$request_body>\"; proxy_pass http://{}; }}",
        up.address
    ))
    .start();
    let evil = "x>\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let escaped: String = evil.bytes().map(|b| format!("%{b:02x}")).collect();
    s.method("POST", &format!("/?a={escaped}"), "X: y\r\n", evil.as_bytes()).is(200);
    let seen = up.requests();
    assert_eq!(seen.len(), 1, "{seen:?}");
    let body = format!("<{escaped}|y|{evil}>");
    assert_eq!(String::from_utf8_lossy(&seen[0].body), body);
    assert_eq!(seen[0].all("content-length"), [body.len().to_string()]);
    assert_eq!(s.get("/").is(200).status, 200);
    assert_eq!(up.requests().len(), 2);
}

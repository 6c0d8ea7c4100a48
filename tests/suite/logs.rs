//! The access log and the error log as files: what a line says, when it is written, and reopening.

use crate::client::Client;
use crate::harness::{BOTH, Server, Table, eventually, http, ours, server, skip_on_nginx};

/// The fields of a line: words, `[…]` and `"…"` each count as one, without their marks.
fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (close, skip) = match rest.as_bytes()[0] {
            b'[' => (']', 1),
            b'"' => ('"', 1),
            _ => (' ', 0),
        };
        let end = rest[skip..].find(close).map_or(rest.len(), |at| at + skip);
        fields.push(rest[skip..end].to_owned());
        rest = rest.get(end + skip..).unwrap_or_default();
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
    fields
}

/// The lines of a log once there are `count`: a line may be written after its response was sent.
fn lines(s: &mut Server, path: &str, count: usize) -> Vec<String> {
    s.await_file(path, |text| text.lines().count() >= count);
    s.stop();
    String::from_utf8(s.read(path)).expect("the access log is ASCII").lines().map(str::to_owned).collect()
}

/// `22/Nov/2026:22:57:01 +0000`
fn is_local_time(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| match c {
            '0'..='9' => '9',
            'a'..='z' => 'a',
            'A'..='Z' => 'A',
            '-' => '+',
            c => c,
        })
        .collect();
    shape == "99/Aaa/9999:99:99:99 +9999"
}

#[test]
fn the_combined_format_has_a_line_for_each_request() {
    let mut s = server("location /t { return 200 text; } location /ret { return 302 /x; }")
        .file("html/f", "0123456789")
        .start();
    let rows: &[(&str, &[u8], &str, &str, &str, &str, &str)] = &[
        ("a file", b"GET /f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /f HTTP/1.1", "200", "10", "-", "-"),
        ("the query is kept", b"GET /f?a=b&c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /f?a=b&c HTTP/1.1", "200", "10", "-", "-"),
        ("HEAD has no body bytes", b"HEAD /f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HEAD /f HTTP/1.1", "200", "0", "-", "-"),
        (
            "referer and user agent",
            b"GET /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nReferer: http://r.test/\r\nUser-Agent: Mozilla/5.0 (X11)\r\n\r\n",
            "GET /t HTTP/1.1",
            "200",
            "4",
            "http://r.test/",
            "Mozilla/5.0 (X11)",
        ),
        (
            "quotes are escaped",
            b"GET /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: a\"b\\c\r\n\r\n",
            "GET /t HTTP/1.1",
            "200",
            "4",
            "-",
            "a\\x22b\\x5Cc",
        ),
        (
            "bytes above 127 are escaped",
            b"GET /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: \xc3\xa9\r\n\r\n",
            "GET /t HTTP/1.1",
            "200",
            "4",
            "-",
            "\\xC3\\xA9",
        ),
        ("the target is logged as sent", b"GET /%66 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /%66 HTTP/1.1", "200", "10", "-", "-"),
        ("HTTP/1.0", b"GET /f HTTP/1.0\r\n\r\n", "GET /f HTTP/1.0", "200", "10", "-", "-"),
        ("a part", b"GET /f HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: bytes=0-3\r\n\r\n", "GET /f HTTP/1.1", "206", "4", "-", "-"),
        ("a missing file", b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /none HTTP/1.1", "404", "", "-", "-"),
        ("a redirect", b"GET /ret HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /ret HTTP/1.1", "302", "", "-", "-"),
        ("a bad target", b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%zz HTTP/1.1", "400", "", "-", "-"),
        ("no Host", b"GET /f HTTP/1.1\r\n\r\n", "GET /f HTTP/1.1", "400", "", "-", "-"),
        ("garbage", b"\x16\x03\x01\"\\\r\n\r\n", "\\x16\\x03\\x01\\x22\\x5C", "400", "", "-", "-"),
    ];
    let bodies: Vec<usize> = rows.iter().map(|row| s.send(row.1).body.len()).collect();
    let log = lines(&mut s, "logs/access.log", rows.len());
    assert_eq!(log.len(), rows.len(), "{log:#?}");
    let mut table = Table::new("combined");
    for ((name, _, request, status, bytes, referer, agent), (line, body)) in rows.iter().zip(log.iter().zip(bodies)) {
        table.row(BOTH, name, || {
            let got = fields(line);
            assert_eq!(got.len(), 9, "{line}");
            assert_eq!(got[..3], ["127.0.0.1", "-", "-"], "{line}");
            assert!(is_local_time(&got[3]), "{line}");
            let bytes = if bytes.is_empty() { body.to_string() } else { (*bytes).to_owned() };
            assert_eq!(got[4..], [*request, *status, &bytes, *referer, *agent], "{line}");
        });
    }
}

/// Sixty long variables took 110 ms, and as many megabytes as clients had sent.
#[test]
fn a_line_of_many_long_values_ends_and_is_still_json() {
    if skip_on_nginx("its lines have no limit") {
        return;
    }
    let mut values: Vec<String> = (0..60).map(|n| format!("\"v{n}\":\"$http_x\"")).collect();
    values.push("\"status\":$status,\"addr\":\"$remote_addr\"".into());
    let mut s = http(&format!(
        "log_format j escape=json '{{{}}}'; server {{ listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
         large_client_header_buffers 4 64k; access_log logs/j.log j; }}",
        values.join(",")
    ))
    .file("html/f", "f")
    .start();
    s.get_with("/f", &format!("X: {}\r\n", "\"a".repeat(15_000))).is(200);
    s.stop();
    let line = String::from_utf8(s.read("logs/j.log")).expect("text");
    assert!((256 << 10..400 << 10).contains(&line.len()), "{}", line.len());
    assert!(
        line.starts_with("{\"v0\":\"\\\"a\\\"a")
            && line.ends_with(",\"v59\":\"\",\"status\":200,\"addr\":\"127.0.0.1\"}\n"),
        "{}",
        &line[line.len() - 80..]
    );
}

#[test]
fn formats_use_variables() {
    let mut s = http(
        r#"log_format v '$remote_addr|$request_method|$uri|$args|$status|$body_bytes_sent|$bytes_sent|$request_length|$http_x_t|$sent_http_x_s|$host|$server_port|$connection_requests|$pipe';
         log_format j escape=json '{"ua":"$http_user_agent","uri":"$uri"}';
         log_format n escape=none '$http_user_agent';
         log_format t '$msec $request_time $time_iso8601';
         server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html; add_header X-S sent;
            access_log logs/v.log v; access_log logs/t.log t;
            location /j { access_log logs/j.log j; return 200 x; }
            location /n { access_log logs/n.log n; return 200 x; }
            location /off { access_log off; return 200 x; }
            location /if { access_log logs/if.log v if=$arg_log; return 200 x; }
            location /both { access_log logs/b1.log v; access_log logs/b2.log combined; return 200 x; }
            location /var { access_log logs/$arg_file.log v; return 200 x; }
            location /buf { access_log logs/buf.log v buffer=32k; return 200 x; }
         }"#,
    )
    .file("html/f", "0123456789")
    .start();
    let port = s.port();
    let request = "GET /f?a=b HTTP/1.1\r\nHost: H.test\r\nX-T: t\r\n\r\n";
    let mut client = s.client();
    let first = client.request(request);
    client.request(request);
    drop(client);
    s.get_with("/j", "User-Agent: q\"\\\u{e9}\tz\r\n").is(200);
    s.get_with("/n", "User-Agent: q\"\\\r\n").is(200);
    s.get("/off").is(200);
    s.get("/if?log=1").is(200);
    s.get("/if?log=0").is(200);
    s.get("/if").is(200);
    s.get("/both").is(200);
    s.get("/var?file=vx").is(200);
    s.get("/buf").is(200);
    // One more round: whatever a request logs is logged before the next one is answered.
    s.get("/off").is(200);
    s.stop();
    let read = |path: &str| String::from_utf8(s.read(path)).expect("text");
    let mut table = Table::new("log formats");
    table.row(BOTH, "variables of request and response", || {
        let sent = first.head.len() + first.body.len();
        let length = request.len();
        let expected = |n: u32| format!("127.0.0.1|GET|/f|a=b|200|10|{sent}|{length}|t|sent|h.test|{port}|{n}|.\n");
        assert_eq!(read("logs/v.log"), expected(1) + &expected(2));
    });
    table.row(BOTH, "escape=json", || {
        assert_eq!(read("logs/j.log"), "{\"ua\":\"q\\\"\\\\\u{e9}\\tz\",\"uri\":\"/j\"}\n");
    });
    table.row(BOTH, "escape=none", || assert_eq!(read("logs/n.log"), "q\"\\\n"));
    table.row(BOTH, "if=", || assert_eq!(read("logs/if.log").lines().count(), 1));
    table.row(BOTH, "two logs", || {
        assert_eq!(read("logs/b1.log").lines().count(), 1);
        assert!(read("logs/b2.log").contains("\"GET /both HTTP/1.1\" 200 1 "));
    });
    table.row(BOTH, "a variable in the path", || assert_eq!(read("logs/vx.log").lines().count(), 1));
    table.row(BOTH, "a buffered log is complete after the end", || assert_eq!(read("logs/buf.log").lines().count(), 1));
    table.row(BOTH, "off, and locations with their own log", || {
        for word in ["/off", "/if", "/both", "/buf"] {
            assert!(!read("logs/v.log").contains(word));
        }
    });
    table.row(BOTH, "times are numbers", || {
        for line in read("logs/t.log").lines() {
            let got = fields(line);
            let (seconds, millis) = got[0].split_once('.').expect("a dot");
            assert!(seconds.parse::<u64>().is_ok() && millis.len() == 3, "{line}");
            assert!(
                got[1].parse::<f64>().is_ok_and(|t| t < 10.0) && got[1].split('.').nth(1).is_some_and(|m| m.len() == 3)
            );
            assert!(got[2].len() == 25 && got[2].as_bytes()[10] == b'T', "{line}");
        }
    });
}

#[test]
fn access_log_off_creates_nothing() {
    let mut s =
        http("server { listen 127.0.0.1:%%PORT%%; server_name localhost; access_log off; return 200 x; }").start();
    s.get("/").is(200);
    s.stop();
    // nginx opens the log of the `http` block, which is not used; that is not asked for.
    assert!(!s.exists("logs/access.log") || s.read("logs/access.log").is_empty());
}

#[test]
fn pipelined_requests_are_all_logged_in_order() {
    let mut s = server("location / { return 200 x; }").start();
    let mut client = s.client();
    for i in 0..50 {
        client.send(format!("GET /n{i} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    for _ in 0..50 {
        client.response().is(200);
    }
    drop(client);
    let log = lines(&mut s, "logs/access.log", 50);
    assert_eq!(log.len(), 50);
    for (i, line) in log.iter().enumerate() {
        assert!(line.contains(&format!("\"GET /n{i} HTTP/1.1\" 200 1 ")), "{line}");
    }
}

#[test]
fn usr1_reopens_the_logs() {
    let mut s = server("location / { return 200 x; }").start();
    s.get("/before").is(200);
    s.await_file("logs/access.log", |text| text.contains("/before"));
    std::fs::rename(s.path("logs/access.log"), s.path("logs/access.old")).unwrap();
    std::fs::rename(s.path("logs/error.log"), s.path("logs/error.old")).unwrap();
    s.signal(libc::SIGUSR1);
    assert!(crate::os::wait_for_change(&s.path("logs"), crate::client::LIMIT, || s.exists("logs/access.log")
        && s.exists("logs/error.log")));
    let mut n = 0;
    eventually("a line in the new log", || {
        n += 1;
        s.get(&format!("/after{n}")).is(200);
        !s.read("logs/access.log").is_empty()
    });
    s.await_file("logs/access.log", |text| text.contains(&format!("/after{n} ")));
    s.stop();
    let (old, new) = (s.read("logs/access.old"), s.read("logs/access.log"));
    let (old, new) = (String::from_utf8_lossy(&old), String::from_utf8_lossy(&new));
    assert!(old.contains("/before") && !new.contains("/before"));
    assert_eq!(old.lines().count() + new.lines().count(), n + 1, "no line is lost");
}

#[test]
fn the_error_log_says_why() {
    let s = server(
        "location /deny/ { deny all; }
         location /quiet/ { log_not_found off; }
         location /own/ { error_log logs/own.log; }
         location /crit/ { error_log logs/crit.log crit; }",
    )
    .file("html/f", "x")
    .mkdir("html/dir")
    .start();
    let mut table = Table::new("error log");
    table.row(BOTH, "a missing file", || {
        s.get("/missing").is(404);
        let path = s.path("html/missing");
        let wanted = format!("open() \"{}\" failed (2: No such file or directory)", path.display());
        let text = s.await_file("logs/error.log", |text| text.contains(&wanted));
        let line = text.lines().find(|line| line.contains(&wanted)).unwrap();
        assert!(line.contains(" [error] "), "{line}");
        assert!(
            line.ends_with(
                "client: 127.0.0.1, server: localhost, request: \"GET /missing HTTP/1.1\", host: \"localhost\""
            ),
            "{line}"
        );
        let stamp: String = line[..19].chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert_eq!(stamp, "9999/99/99 99:99:99");
    });
    table.row(BOTH, "a forbidden directory", || {
        s.get("/dir/").is(403);
        s.await_file("logs/error.log", |text| text.contains("directory index of") && text.contains("is forbidden"));
    });
    table.row(BOTH, "a denied client", || {
        s.get("/deny/x").is(403);
        s.await_file("logs/error.log", |text| text.contains("access forbidden by rule"));
    });
    table.row(BOTH, "the log of a location", || {
        s.get("/own/x").is(404);
        s.await_file("logs/own.log", |text| text.contains("/own/x\" failed (2:"));
        assert!(!s.error_log().contains("/own/x"));
    });
    table.row(BOTH, "a level keeps lesser lines out", || {
        s.get("/crit/x").is(404);
        assert_eq!(s.read("logs/crit.log"), b"");
    });
    table.row(BOTH, "log_not_found off", || {
        s.get("/quiet/x").is(404);
        s.get("/other-missing").is(404);
        let text = s.await_file("logs/error.log", |text| text.contains("/other-missing"));
        assert!(!text.contains("/quiet/x"));
    });
    table.row(BOTH, "a bad request is told at info", || {
        s.send(b"GET /f HTTP/1.1\r\n\r\n").is(400);
        let text = s.await_file("logs/error.log", |text| text.contains("[info]") && text.contains("Host"));
        assert!(!text.contains("[crit]"));
    });
    table.row(ours("one line an event, whatever the request holds"), "a newline in a path stays in one line", || {
        s.get("/line%0abreak%0d%1b[31m").is_one_of(&[400, 404]);
        let text = s.await_file("logs/error.log", |text| text.contains("break"));
        let line = text.lines().find(|line| line.contains("break")).unwrap();
        assert!(line.contains(" client: 127.0.0.1") && !line.contains('\u{1b}') && !line.contains('\r'), "{line:?}");
    });
    table.row(
        ours("nginx cuts the end: client and request"),
        "a long request leaves a short line with all facts",
        || {
            let long = "l".repeat(7000);
            s.send(format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\nReferer: /{long}r\r\n\r\n")).is(404);
            let text = s.await_file("logs/error.log", |text| text.contains("llll") && text.ends_with('\n'));
            let line = text.lines().find(|line| line.contains("llll")).unwrap();
            assert!(line.len() <= 9216, "{}: {line}", line.len());
            for part in
                ["failed (36: File name too long), client: 127.0.0.1", "l…l", "l HTTP/1.1\", host: \"localhost\""]
            {
                assert!(line.contains(part), "{part}: {line}");
            }
            assert!(line.ends_with("lr\""), "{line}");
        },
    );
}

#[test]
fn a_download_that_its_client_leaves_is_logged_with_what_was_sent() {
    let setup = http(
        "log_format sent '$uri $body_bytes_sent $request_completion.'; access_log logs/sent.log sent;
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; location /slow { limit_rate 1000; } }",
    )
    .file("html/slow", "x".repeat(100_000))
    .file("html/big", "");
    let big = std::fs::File::options().write(true).open(setup.dir().join("html/big")).expect("our own file");
    // More than the buffers of two sockets hold.
    big.set_len(64 << 20).expect("our own file");
    let mut s = setup.start();
    for target in ["/slow", "/slow", "/big", "/big"] {
        let mut client = s.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        client.bytes(9);
        client.reset();
    }
    for line in lines(&mut s, "logs/sent.log", 4) {
        let [target, sent, completion] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let size = if target == "/big" { 64 << 20 } else { 100_000 };
        assert!(sent.parse::<u64>().expect("a number") < size && completion == ".", "{line}");
    }
}

/// The line said that the client had all of it.
#[test]
fn a_response_that_its_upstream_cuts_short_is_not_logged_as_complete() {
    let up = crate::upstream::Upstream::start(|peer| {
        let Some(request) = peer.request() else { return };
        peer.send(match request.target() {
            "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
            "/chunks" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ncut",
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall",
        });
    });
    let mut s = http(&format!(
        "log_format sent '$uri $request_completion.'; access_log logs/sent.log sent;
         server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_pass http://{}; }} }}",
        up.address
    ))
    .allow_log("prematurely closed")
    .start();
    for target in ["/length", "/chunks", "/whole"] {
        let mut client = s.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).rest();
    }
    let log = lines(&mut s, "logs/sent.log", 3);
    for line in ["/length .", "/chunks .", "/whole OK."] {
        assert!(log.iter().any(|logged| logged == line), "{line}: {log:?}");
    }
}

/// A site whose responses are cached: `$request_completion`, or two logs, would keep them from it.
fn cached_site() -> Server {
    http(
        "log_format sent '$uri $status $bytes_sent $body_bytes_sent';
         server {
             listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; access_log logs/sent.log sent;
             location = /counters { prometheus; }
         }",
    )
    .file("html/short", "x".repeat(1000))
    .start()
}

/// Responses that the cache has answered.
fn cache_hits(s: &Server) -> u64 {
    let text = s.get("/counters").text();
    let line = text.lines().find(|line| !line.starts_with('#') && line.contains("cache_hits_total"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a number")
}

/// Asks until it is answered by the cache.
fn cache(s: &Server, client: &mut Client, target: &str) {
    eventually("it is cached", || {
        let before = cache_hits(s);
        client.get(target).is(200);
        cache_hits(s) > before
    });
}

#[test]
fn a_cached_response_whose_client_has_gone_before_it_is_logged_as_not_sent() {
    if skip_on_nginx("the cache of responses is ours") {
        return;
    }
    let mut s = cached_site();
    let mut client = s.client();
    cache(&s, &mut client, "/short");
    let before = cache_hits(&s);
    s.frozen(|| {
        client.send("GET /short HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.reset();
    });
    s.get("/missing").is(404);
    // Where the kernel has dropped the request with the connection, there was none.
    if cache_hits(&s) == before {
        return;
    }
    let log = lines(&mut s, "logs/sent.log", 5);
    let last = log.iter().rfind(|line| line.starts_with("/short ")).expect("logged");
    assert_eq!(last, "/short 200 0 0");
}

/// A delay is told one level below a refusal, and both with the requests above the rate.
#[test]
fn what_limit_req_holds_or_refuses_is_logged_in_nginxs_words() {
    let place = |name: &str, burst: &str, level: &str| {
        format!("location /{name} {{ limit_req zone=z{burst}; limit_req_log_level {level}; limit_req_dry_run on; }} ")
    };
    let levels = [("error", "warn"), ("warn", "notice"), ("notice", "info"), ("info", "info")];
    let places: String = levels
        .map(|(level, _)| {
            place(&format!("held-{level}"), " burst=1", level) + &place(&format!("over-{level}"), "", level)
        })
        .concat();
    let mut s = http(&format!(
        "limit_req_zone $uri zone=z:1m rate=1r/m;
         server {{ listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; {places} }}"
    ))
    .start();
    for (level, below) in levels {
        for (name, text, at) in [
            ("held", "delaying request, dry run, excess: ", below),
            ("over", "limiting requests, dry run, excess: ", level),
        ] {
            let uri = format!("/{name}-{level}");
            s.get(&uri).is(404);
            s.get(&uri).is(404);
            let is_it = |line: &&str| line.contains(text) && line.contains(&format!("GET {uri} "));
            let log = s.await_file("logs/error.log", |log| log.lines().any(|line| is_it(&line)));
            let line = log.lines().find(is_it).expect("it was waited for");
            assert!(line.contains(&format!(" [{at}] ")), "{uri}: {line}");
            // One request above the rate, and the less the longer the second one took to come.
            let (_, rest) = line.split_once(text).expect("it was found by this");
            let excess: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            assert!(
                excess.len() == 5 && excess.parse::<f64>().is_ok_and(|excess| 0.0 < excess && excess <= 1.0),
                "{uri}: {line}"
            );
            assert!(line.contains("by zone \"z\""), "{uri}: {line}");
        }
    }
    s.stop();
}

#[test]
fn a_log_whose_path_begins_with_a_variable_lies_below_the_prefix() {
    let s = server("location / { access_log $arg_l.log combined; }").file("html/f", "f").allow_log("open() ").start();
    s.get("/f?l=logs/named").is(200);
    s.await_file("logs/named.log", |log| log.contains("GET /f?l=logs/named "));
    let outside = s.path("outside");
    s.get(&format!("/f?l={}", outside.display())).is(200);
    s.await_file("logs/error.log", |log| log.contains(&format!("{}.log\" failed (2: No such file", outside.display())));
    assert!(!s.exists("outside.log"));
}

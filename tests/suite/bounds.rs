//! What one request can cost is bounded, whatever it asks for: lines of the error log, what pages keep, informational
//! responses of an upstream, calls for a body that comes in crumbs.

use crate::client::{Client, Response};
use crate::harness::{BOTH, Table, http, ours, server, skip_on_nginx};
use crate::strace::Strace;
use crate::upstream::Upstream;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_body_in_tiny_chunks_is_stored_as_sent() {
    let s = server("client_max_body_size 2m; location / { dav_methods PUT; }").start();
    let mut table = Table::new("tiny chunks");
    let content: Vec<u8> = (0..200_000u32).map(|n| b'a' + (n % 23) as u8).collect();
    table.row(BOTH, "one byte each", || {
        let chunks: Vec<u8> = content.iter().flat_map(|b| [b"1\r\n", &[*b][..], b"\r\n"].concat()).collect();
        let body = [&chunks[..], b"0\r\n\r\n"].concat();
        let head = b"PUT /f HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        s.client().request([&head[..], &body].concat()).is(201);
        assert!(s.read("html/f") == content, "the content is another");
    });
    table.row(ours("nginx takes any"), "framing without content", || {
        let chunks = b"0000000000000001\r\nx\r\n".repeat(60_000);
        let head = b"PUT /g HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        s.client().request([&head[..], &chunks, b"0\r\n\r\n"].concat()).is(400);
        assert!(!s.exists("html/g"));
    });
}

#[test]
fn a_body_in_tiny_chunks_takes_few_writes() {
    if skip_on_nginx("it buffers bodies in files of its own") {
        return;
    }
    let s = server("client_max_body_size 2m; location / { dav_methods PUT; }").start();
    s.get("/").is_one_of(&[403, 404]);
    let Some(strace) = Strace::attach(&s, &["-f", "-c", "-e", "trace=write,pwrite64"]) else { return };
    let head = b"PUT /f HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    s.client().request([&head[..], &b"1\r\nx\r\n".repeat(200_000), b"0\r\n\r\n"].concat()).is(201);
    let text = strace.detach();
    let calls: u64 = text
        .lines()
        .filter(|l| l.contains("write"))
        .filter_map(|l| l.split_whitespace().nth(3)?.parse::<u64>().ok())
        .sum();
    assert!((1..2000).contains(&calls), "{calls} writes: {text}");
}

#[test]
fn one_request_writes_so_much_into_the_error_log_and_no_more() {
    if skip_on_nginx("it cuts each line and writes all of them") {
        return;
    }
    let s = server("ssi on;")
        .file("html/many.html", "<!--#no -->".repeat(20_000))
        .file("html/nested.html", "<!--#include virtual=\"/none.html\" --><!--#no -->".repeat(5_000))
        .start();
    for page in ["/many.html", "/nested.html"] {
        let before = s.error_log().len();
        s.get_with(page, &format!("Referer: {}\r\n", "r".repeat(3000))).is(200);
        s.get("/").is_one_of(&[403, 404]);
        let log = s.error_log();
        let written = log.len() - before;
        assert!((60_000..100_000).contains(&written), "{page}: {written} bytes");
        assert_eq!(log[before..].matches("more messages of this request are left out").count(), 1, "{page}");
    }
}

#[test]
fn a_page_that_doubles_its_variables_is_stopped() {
    if skip_on_nginx("it runs out of memory") {
        return;
    }
    let double = "<!--#set var=\"a\" value=\"$a$a\" -->".repeat(60);
    let blocks = format!("<!--#block name=\"b\" -->{}<!--#endblock -->", "x".repeat(2 << 20));
    let s = server("ssi on;")
        .file("html/d.html", format!("<!--#set var=\"a\" value=\"12345678\" -->{double}<!--#echo var=\"b\" -->."))
        .file("html/b.html", format!("{blocks}{blocks}end"))
        .start();
    let r = s.get("/d.html");
    assert!(r.is(200).body.ends_with(b"(none)."), "the page goes on");
    s.get("/b.html").is(200).contains("end");
    s.await_file("logs/error.log", |log| log.contains("a value of more than 262144 bytes"));
}

#[test]
fn endless_informational_responses_of_an_upstream_end() {
    let upstream = Upstream::start(|peer| {
        if peer.request().is_some() {
            while peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") {}
        }
    });
    let few = Upstream::start(|peer| {
        if peer.request().is_some() {
            let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(50);
            peer.send(format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").as_bytes());
        }
    });
    let s = http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_pass http://{}; }} location /few {{ proxy_pass http://{}; }} }}",
        upstream.address, few.address
    ))
    .start();
    let mut table = Table::new("informational responses");
    table.row(ours("nginx reads them for ever"), "endless ones", || {
        s.get("/").is(502);
        s.await_file("logs/error.log", |log| log.contains("too many informational responses"));
    });
    table.row(BOTH, "some", || {
        s.get("/few").is(200).body_is("ok");
    });
}

#[test]
fn memory_that_runs_out_costs_idle_connections_first_then_new_requests_and_nothing_under_way() {
    if skip_on_nginx("it has no such limit") {
        return;
    }
    let config = "worker_memory_limit 32m;\nevents { worker_connections 2000; }\nhttp {\n    server {\n        \
        listen 127.0.0.1:%%PORT%%;\n        root %%DIR%%/html;\n        large_client_header_buffers 8 64k;\n        \
        location / { dav_methods PUT; }\n    }\n}\n";
    let s = crate::harness::Setup::full(&format!("%%PREAMBLE%%\n{config}")).file("html/f", "f").start();
    let mut idle = s.client();
    assert!(!idle.get("/f").is(200).closes());
    let mut upload = s.client();
    upload.send(b"PUT /new HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n").send([b'x'; 100_000]);
    // Accepted before: the stage that refuses requests may be passed between two looks, and the next accepts nothing.
    let begun = |_| {
        let mut probe = s.client();
        probe.send(b"GET /f HTTP/1.1\r\nHost: a\r\n");
        probe
    };
    let mut probes: Vec<Client> = (0..120).map(begun).collect();
    let line = format!("X: {}\r\n", "v".repeat(60_000));
    let mut hogs = Vec::new();
    let refused = loop {
        for _ in 0..3 {
            let mut hog = s.client();
            // It may be turned away while it sends.
            hog.try_send(format!("GET /f HTTP/1.1\r\nHost: a\r\n{}", line.repeat(2)));
            hogs.push(hog);
        }
        let r = probes.pop().expect("a limit is reached before").send(b"\r\n").response();
        if r.is_one_of(&[200, 503]).status == 503 {
            break r;
        }
    };
    refused.has("Retry-After", "1");
    assert!(refused.closes());
    idle.expect_closed();
    upload.send([b'x'; 100_000]);
    upload.response().is(201);
    assert_eq!(s.read("html/new").len(), 200_000);
    drop(hogs);
    crate::harness::eventually("all requests are served again", || s.get("/f").status == 200);
    let mut kept = s.client();
    crate::harness::eventually("connections are kept again", || {
        let r = kept.get("/f");
        if r.closes() {
            kept = s.client();
        }
        !r.closes()
    });
    kept.get("/f").is(200);
    let log = s.error_log();
    // A stage may be passed between two looks, and the last one refuses new requests as well.
    let refused = ["new requests are refused", "no connections are accepted"].iter().any(|stage| log.contains(stage));
    assert!(refused && log.contains("all requests are served again"), "{log}");
}

/// An upstream that answers the first `count` requests together, once it has all of them, and others at once: requests
/// that have begun before memory is short are not refused, however the processors are shared.
fn together(count: usize, answer: Vec<u8>) -> Upstream {
    let (gate, asked) = (Barrier::new(count), AtomicUsize::new(0));
    Upstream::start(move |peer| {
        while peer.request().is_some() {
            if asked.fetch_add(1, Ordering::SeqCst) < count {
                gate.wait();
            }
            if !peer.send(&answer) {
                return;
            }
        }
    })
}

/// What `count` clients get that ask at once and then read one after the other, while memory is short; and how many
/// KiB the process grew by. `server`: with `location /gate`, which each request passes.
fn read_late(count: usize, limit: &str, server: &str, (name, content): (&str, Vec<u8>)) -> (Vec<Response>, u64) {
    let up = together(count, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let config = format!(
        "worker_memory_limit {limit};\nevents {{ worker_connections 2000; }}\nhttp {{\n    server {{\n        \
         listen 127.0.0.1:%%PORT%% sndbuf=32k;\n        root %%DIR%%/html;\n        {server}\n        \
         location /gate {{ proxy_pass http://{}; }}\n    }}\n}}\n",
        up.address
    );
    let s = crate::harness::Setup::full(&format!("%%PREAMBLE%%\n{config}")).file(name, content).start();
    let mut clients: Vec<Client> = (0..count).map(|_| s.ready_client()).collect();
    let (before, code) = (s.kilobytes("VmRSS"), s.kilobytes("RssFile"));
    let target = name.trim_start_matches("html");
    for client in &mut clients {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"));
    }
    crate::harness::eventually("memory is short", || s.error_log().contains("of worker_memory_limit is used"));
    let responses = clients.iter_mut().map(Client::response).collect();
    // Pages of the program that are read meanwhile are not its data.
    let used = (s.kilobytes("VmHWM") - before).saturating_sub(s.kilobytes("RssFile") - code);
    crate::harness::eventually("all is served again", || s.get("/gate").status == 200);
    (responses, used)
}

/// 64 KiB of each page were made, and up to 256 KiB of them waited.
#[test]
fn clients_that_read_pages_with_commands_late_take_no_more_than_the_memory_there_is() {
    if skip_on_nginx("it has no such limit") {
        return;
    }
    let text = "a line of a page with <b>commands</b>\n".repeat(20_000);
    let page = format!("<!--#include virtual=\"/gate\" -->{text}");
    let (responses, used) = read_late(120, "24m", "ssi on; ssi_types *;", ("html/page", page.into_bytes()));
    for r in responses {
        r.is(200).body_is(&text);
    }
    // All pages together are 88 MB; how much the allocator keeps of what was freed differs from run to run.
    assert!(used < (24 << 10) * 5 / 3, "{used} KiB");
}

/// An encoder counted by the pages that it had written to when it was given out: a burst took four times the limit.
#[test]
fn a_burst_of_compressed_responses_takes_no_more_than_the_memory_there_is() {
    if skip_on_nginx("it has no such limit") {
        return;
    }
    let text = crate::harness::noise(1 << 20);
    let block = "gzip on; gzip_types *; location /file { auth_request /gate; }";
    let (responses, used) = read_late(150, "24m", block, ("html/file", text.clone()));
    let mut compressed = 0;
    for r in responses {
        r.is(200);
        match r.header("Content-Encoding") {
            Some(_) => compressed += 1,
            None => assert!(r.body == text, "as it is"),
        }
    }
    assert!(compressed > 0);
    assert!(used < (24 << 10) * 5 / 4, "{used} KiB");
}

/// Each may have all of proxy_buffers in the queue: 150 of them took nine times the limit, and everybody's place.
#[test]
fn clients_that_read_no_proxied_response_take_no_more_than_the_memory_there_is() {
    if skip_on_nginx("it has no such limit") {
        return;
    }
    const LIMIT: u64 = 64 << 10;
    const SIZE: usize = 5 << 20;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
    let up = together(60, [head.into_bytes(), vec![b'x'; SIZE]].concat());
    let config = format!(
        "worker_memory_limit 64m;\nevents {{ worker_connections 2000; }}\nhttp {{\n    server {{\n        \
         listen 127.0.0.1:%%PORT%% sndbuf=32k;\n        proxy_buffers 64 64k;\n        \
         proxy_max_temp_file_size 0;\n        location / {{ proxy_pass http://{}; }}\n    }}\n}}\n",
        up.address
    );
    let s = crate::harness::Setup::full(&format!("%%PREAMBLE%%\n{config}")).start();
    let mut clients: Vec<Client> = (0..60).map(|_| s.ready_client()).collect();
    let before = s.kilobytes("VmRSS");
    for client in &mut clients {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    crate::harness::eventually("memory is short", || s.error_log().contains("of worker_memory_limit is used"));
    // Each gets all of it, while the others read nothing.
    for client in &mut clients {
        assert_eq!(client.response().is(200).body.len(), SIZE);
    }
    let used = s.kilobytes("VmHWM") - before;
    // The program's own pages count here, and what is received meanwhile.
    assert!(used < LIMIT * 2, "{used} of {LIMIT} KiB");
    crate::harness::eventually("all is served again", || s.get("/").status == 200);
}

/// All are accepted while there is memory; what their heads would take is several times the limit.
#[test]
fn heads_that_are_sent_in_halves_take_no_more_than_the_memory_there_is() {
    if skip_on_nginx("it has no such limit") {
        return;
    }
    const LIMIT: u64 = 24 << 10;
    let config = "worker_memory_limit 24m;\nevents { worker_connections 2000; }\nhttp {\n    server {\n        \
        listen 127.0.0.1:%%PORT%%;\n        root %%DIR%%/html;\n        large_client_header_buffers 8 64k;\n    }\n}\n";
    let s = crate::harness::Setup::full(&format!("%%PREAMBLE%%\n{config}")).file("html/f", "f").start();
    let mut probes: Vec<Client> = (0..50).map(|_| s.client()).collect();
    let mut hogs: Vec<Client> = (0..300).map(|_| s.client()).collect();
    for client in probes.iter_mut().chain(&mut hogs) {
        client.send(b"GET /f HTTP/1.1\r\nHost: a\r\n");
    }
    s.get("/f").is(200);
    let before = s.kilobytes("VmRSS");
    let line = format!("X: {}\r\n", "v".repeat(60_000));
    for hog in &mut hogs {
        // It may be turned away while it sends.
        hog.try_send(line.repeat(3));
    }
    crate::harness::eventually("requests are refused", || {
        let log = s.error_log();
        ["new requests are refused", "no connections are accepted"].iter().any(|stage| log.contains(stage))
    });
    // Each in a turn in which the others go on.
    for probe in &mut probes {
        probe.send(b"\r\n").response().is_one_of(&[200, 503]);
    }
    // At most, whenever that was.
    let used = s.kilobytes("VmHWM") - before;
    assert!(used < LIMIT * 3 / 2, "{used} of {LIMIT} KiB");
    drop(hogs);
    crate::harness::eventually("all requests are served again", || s.get("/f").status == 200);
}

#[test]
fn a_connection_that_keeps_breaking_rules_is_closed() {
    if skip_on_nginx("it keeps it") {
        return;
    }
    let s = server("keepalive_glitches 3; location /some { keepalive_glitches 0; }").file("html/f", "f").start();
    let mut table = Table::new("glitches");
    table.row(ours("of its own"), "the third ends it", || {
        let mut c = s.client();
        c.get("/f").is(200);
        for n in 0..3 {
            c.request("DELETE /f HTTP/1.1\r\nHost: a\r\n\r\n").is(405);
            if n < 2 {
                c.get("/f").is(200);
            }
        }
        c.expect_closed();
    });
    table.row(ours("of its own"), "what is not found breaks none", || {
        let mut c = s.client();
        for _ in 0..10 {
            c.get("/none").is(404);
        }
    });
    table.row(ours("of its own"), "without a limit", || {
        let mut c = s.client();
        for _ in 0..10 {
            c.request("DELETE /some HTTP/1.1\r\nHost: a\r\n\r\n").is(405);
        }
    });
}

#[test]
fn many_connection_options_name_fields_of_one_hop_all_the_same() {
    let echo = Upstream::echo();
    let s = server(&format!("location / {{ proxy_pass http://{}; }}", echo.address)).start();
    let mut table = Table::new("options of Connection");
    table.row(BOTH, "others go on", || {
        s.get_with("/", "X-One: 1\r\nX-Two: 2\r\n").is(200).contains("X-One: 1\n").contains("X-Two: 2\n");
    });
    table.row(ours("nginx passes them on"), "thousands of them, in any case and order", || {
        let many: String = (0..1500).map(|n| format!("o{n},")).collect();
        let fields: String = (0..500).map(|n| format!("a{n}: v\r\n")).collect();
        let head = format!("Connection: {many}x-ONE,\r\nConnection: A7, a499\r\nX-One: 1\r\nX-Two: 2\r\n{fields}");
        let text = s.get_with("/", &head).is(200).text().to_ascii_lowercase();
        for (name, goes_on) in [("x-one", false), ("a7", false), ("a499", false), ("x-two", true), ("a8", true)] {
            assert_eq!(text.contains(&format!("\n{name}: ")), goes_on, "{name}");
        }
    });
}

/// Hundreds of header fields of a cookie of 60 KB took 130 ms, and values that double took the memory there is. What
/// cannot be told is an error, not an empty value.
#[test]
fn a_request_whose_variables_are_too_long_together_is_an_error() {
    if skip_on_nginx("it runs out of memory") {
        return;
    }
    let double: String = (0..10).map(|at| format!("set $d{} \"$d{at}$d{at}\"; ", at + 1)).collect();
    let six = |line: &str| (0..6).map(|at| line.replace('#', &at.to_string())).collect::<String>();
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.target().len());
            if !peer.send(&[text.as_bytes(), request.target().as_bytes()].concat()) {
                return;
            }
        }
    });
    let s = server(&format!(
        "set $d0 $http_x; {double}
         location /few {{ add_header X-1 $d4; return 200 few; }}
         location /headers {{ {} return 200 text; }}
         location /always {{ {} return 200 text; }}
         location /denied {{ set $q $d10$d10$d10$d10; if ($q ~ never) {{ return 200 in; }} return 200 past; }}
         location /proxied {{ {} proxy_pass http://{up}; }}
         location /body {{ proxy_set_body $d10$d10$d10$d10; proxy_pass http://{up}; }}
         location /other {{ proxy_pass http://{up}; }}",
        six("add_header X-# $d10;"),
        six("add_header X-# $d10 always;"),
        six("proxy_set_header X-# $d10;"),
        up = up.address,
    ))
    .allow_log("the values of variables are too long together")
    .start();
    let mut table = Table::new("values of variables");
    let long = format!("X: {}\r\n", "x".repeat(7000));
    table.row(BOTH, "short ones", || {
        let few = s.get_with("/few", &long);
        assert_eq!((few.text(), few.header("X-1").map(str::len)), ("few".into(), Some(16 * 7000)));
        s.get_with("/other", &long).is(200);
    });
    for uri in ["/headers", "/always", "/denied", "/proxied", "/body"] {
        table.row(ours("it runs out of memory"), uri, || {
            let seen = s.get_with(uri, &long);
            assert_eq!(seen.status, 500, "{uri}");
            assert!(!seen.text().contains("past"), "{uri}");
            // The same connection's next request has its own.
            s.get(uri).is(200);
        });
    }
}

/// It went out as it was, without the field: a page without its Content-Security-Policy.
#[test]
fn a_proxied_response_without_a_field_whose_value_is_too_long_is_not_sent() {
    if skip_on_nginx("it has no such bound") {
        return;
    }
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let head = match request.target() {
                "/upgrade" => "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other",
                "/fails" => "500 Oh\r\nContent-Length: 8",
                _ => "200 OK\r\nContent-Length: 8",
            };
            if !peer.send(format!("HTTP/1.1 {head}\r\n\r\nanswered").as_bytes()) {
                return;
            }
        }
    });
    let double: String = (0..10).map(|at| format!("set $d{} \"$d{at}$d{at}\"; ", at + 1)).collect();
    let s = server(&format!(
        "set $d0 $http_x; {double}
         location / {{ add_header X-Long $d10 always; proxy_pass http://{up};
             proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}
         location /unbuffered {{ add_header X-Long $d10; proxy_buffering off; proxy_pass http://{up}; }}
         location /named {{ add_header X-Long $d10; error_page 500 @made; proxy_pass http://{up}; }}
         location /again {{ add_header X-Long $d10; error_page 500 @proxied; proxy_pass http://{up}; }}
         location /paged {{ add_header X-Long $d10; error_page 500 /page; proxy_pass http://{up}; }}
         location = /page {{ add_header X-Long $d10 always; }}
         location @made {{ return 503 made; }}
         location @proxied {{ proxy_pass http://{up}; }}",
        up = up.address
    ))
    .file("html/page", "answered")
    .allow_log("the values of variables are too long together")
    .start();
    let mut table = Table::new("proxied responses");
    for (uri, status, text) in [
        ("/", 500, "Internal Server Error"),
        ("/upgrade", 500, "Internal Server Error"),
        ("/unbuffered", 500, "Internal Server Error"),
        ("/fails", 500, "Internal Server Error"),
        ("/paged", 500, "Internal Server Error"),
        ("/named", 500, "made"),
        ("/again", 500, "answered"),
    ] {
        table.row(ours("it has no such bound"), uri, || {
            let mut client = s.client();
            let long = "x".repeat(7000);
            let head = format!("GET {uri} HTTP/1.1\r\nHost: a\r\nUpgrade: other\r\nX: {long}\r\n\r\n");
            let seen = client.send(head).response();
            assert!(seen.header("X-Long").is_none() && seen.status == status, "{uri}: {}", seen.status);
            assert_eq!(seen.text() == "answered", text == "answered", "{uri}: {}", seen.text());
            seen.contains(text);
        });
    }
}

#[test]
fn a_variable_holds_no_more_of_a_body_than_is_kept_in_memory() {
    if skip_on_nginx("it keeps what client_body_buffer_size says") {
        return;
    }
    let s = server(
        "client_body_buffer_size 64m; client_max_body_size 64m;
         location /in/ { proxy_set_header X-File $request_body_file; proxy_set_body \"\";
             proxy_pass http://127.0.0.1:%%PORT%%/out; }
         location /out { return 200 \"file $http_x_file\"; }",
    )
    .allow_log("is buffered to a temporary file")
    .start();
    for (size, in_file) in [(8 << 20, false), ((8 << 20) + 1, true)] {
        let seen = s.method("POST", "/in/", "", &vec![b'x'; size]).text();
        assert_eq!(seen.len() > "file ".len(), in_file, "{size}: {seen}");
    }
}

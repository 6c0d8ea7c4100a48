//! Connections of HTTP/2 when memory runs out, and those that keep breaking rules.

use super::client::{H2, head};
use super::{connect, site};
use crate::harness::{Setup, eventually, http, noise, skip_on_nginx};
use webserv::http::h2::error::ErrorCode;
use webserv::http::h2::frame::kind;

/// Hogs of HTTP/1.1 beside them: what a stage costs does not depend on what used the memory.
#[test]
fn memory_that_runs_out_costs_idle_connections_of_http2_first_and_nothing_under_way() {
    if skip_on_nginx("it has no such limit") {
        return;
    }
    let config = "worker_memory_limit 32m;\nevents { worker_connections 2000; }\nhttp {\n    http2 on;\n    server {\n        \
        listen 127.0.0.1:%%PORT%%;\n        root %%DIR%%/html;\n        large_client_header_buffers 8 64k;\n        \
        location / { dav_methods PUT; }\n    }\n}\n";
    let s = Setup::full(&format!("%%PREAMBLE%%\n{config}")).file("html/f", "f").start();
    let mut idle = connect(&s);
    assert_eq!(idle.get("/f").status, 200);
    let mut upload = connect(&s);
    let stream = upload.request("PUT", "/new", &[("content-length", "60000")], false);
    upload.data(stream, &[b'x'; 30_000], false);
    // Accepted before: the stage that refuses requests may be passed between two looks, and the next accepts nothing.
    let mut probes: Vec<H2> = (0..120).map(|_| connect(&s)).collect();
    let line = format!("X: {}\r\n", "v".repeat(60_000));
    let (mut hogs, mut refused, mut seen) = (Vec::new(), None, 0);
    // How much is used is looked at once in a while: what a stage does holds from when it is logged.
    eventually("requests are refused", || {
        if hogs.len() < 600 {
            for _ in 0..3 {
                let mut hog = s.client();
                hog.try_send(format!("GET /f HTTP/1.1\r\nHost: a\r\n{}", line.repeat(2)));
                hogs.push(hog);
            }
        }
        let log = s.error_log();
        let said = log.matches("new requests are refused").count() + log.matches("no connections are accepted").count();
        if said > seen {
            seen = said;
            refused = Some(probes.pop().expect("a stage is not left and entered at once").get("/f"));
        }
        refused.as_ref().is_some_and(|answer| answer.status != 200)
    });
    let refused = refused.unwrap_or_default();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    assert_eq!(idle.goaway().map(|(_, code)| code), Some(ErrorCode::NO_ERROR.0), "an idle connection is told");
    assert!(idle.next_frame().is_none(), "and ends");
    upload.data(stream, &[b'x'; 30_000], true);
    assert_eq!(upload.answer(stream).status, 201, "what is under way is finished");
    assert_eq!(s.read("html/new").len(), 60_000);
    drop(hogs);
    eventually("all requests are served again", || connect(&s).get("/f").status == 200);
}

/// What is asked for takes several times the limit; the margin is for what is found only once it is used. What the
/// process had at most counts, whenever that was.
#[test]
fn a_hundred_streams_of_each_client_that_reads_nothing_take_no_more_than_the_memory_there_is() {
    if skip_on_nginx("it has no such limit") {
        return;
    }
    const LIMIT: u64 = 32 << 10;
    let config = "worker_memory_limit 32m;\nevents { worker_connections 2000; }\nhttp {\n    http2 on;\n    server {\n        \
        listen 127.0.0.1:%%PORT%%;\n        root %%DIR%%/html;\n    }\n}\n";
    let s = Setup::full(&format!("%%PREAMBLE%%\n{config}"))
        .file("html/large", noise(8_000_000))
        .file("html/f", "f")
        .start();
    let accepted = |_| {
        let mut client = H2::connect_small(s.address(0), 4096);
        client.until(|frame| frame.header.kind == kind::SETTINGS).expect("it is accepted");
        client
    };
    // Without requests it is not idle: PING is answered whatever is used.
    let mut probe = accepted(0);
    let mut hogs: Vec<H2> = (0..120).map(accepted).collect();
    let before = s.kilobytes("VmRSS");
    // More than the kernel takes: what else is asked for waits behind it.
    for hog in &mut hogs {
        hog.request("GET", "/large", &[], true);
        hog.until(|frame| frame.header.kind == kind::HEADERS).expect("it begins");
    }
    let value = "v".repeat(500);
    let requests: Vec<u8> = (1..100).flat_map(|n| head(2 * n + 1, "GET", "/large", &[("x", &value)], true)).collect();
    for hog in &mut hogs {
        hog.try_send(&requests);
    }
    eventually("requests are refused", || {
        let log = s.error_log();
        ["new requests are refused", "no connections are accepted"].iter().any(|stage| log.contains(stage))
    });
    // Each in a turn in which the others go on.
    for _ in 0..100 {
        probe.frame(kind::PING, 0, 0, b"12345678");
        probe.until(|frame| frame.header.kind == kind::PING).expect("an answer");
    }
    let used = s.kilobytes("VmHWM") - before;
    assert!(used < LIMIT * 3 / 2, "{used} of {LIMIT} KiB");
    drop(hogs);
    eventually("all requests are served again", || connect(&s).get("/f").status == 200);
}

/// Each stream that its client does not read from held a descriptor: nine connections took all, and no further one was
/// accepted.
#[test]
fn streams_that_stand_still_leave_descriptors_to_others() {
    if skip_on_nginx("its connections hold one for each stream") {
        return;
    }
    let config = "%%PREAMBLE%%\nworker_rlimit_nofile 128;\nevents {}\nhttp {\n    http2 on;\n    server {\n        \
        listen 127.0.0.1:%%PORT%%;\n        root %%DIR%%/html;\n        dav_ext_methods PROPFIND;\n        \
        location /d/ { autoindex on; autoindex_format page; autoindex_archive tar; dav_ext_methods PROPFIND; }\n    }\n}\n";
    for (method, path, requests) in [("GET", "/fN", 40), ("PROPFIND", "/d/", 40), ("GET", "/d/?archive=tar", 20)] {
        let mut setup = Setup::full(config).file("html/f", "f");
        for number in 0..160 {
            setup = setup.file(&format!("html/f{number}"), [b'x'; 20_000]);
            setup = setup.file(&format!("html/d/{number:0200}"), [b'x'; 20_000]);
        }
        let s = setup.allow_log("Too many open files").start();
        let mut hogs: Vec<H2> = (0..4).map(|_| connect(&s)).collect();
        for (at, hog) in hogs.iter_mut().enumerate() {
            // SETTINGS_INITIAL_WINDOW_SIZE: nothing of a body is taken.
            hog.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
            for number in 0..requests {
                hog.request(method, &path.replace('N', &(at * requests + number).to_string()), &[], true);
            }
        }
        eventually("descriptors are few", || s.error_log().contains("Too many open files"));
        assert_eq!(connect(&s).get("/f").status, 200, "{method} {path}");
        s.get("/f159").is(200);
        s.get("/d/").is(200);
    }
}

#[test]
fn a_connection_of_http2_that_keeps_breaking_rules_is_told_to_go() {
    if skip_on_nginx("it keeps it") {
        return;
    }
    let s = site("keepalive_glitches 3; location /some { keepalive_glitches 0; }");
    let ask = |c: &mut H2, path: &str| {
        let stream = c.request("DELETE", path, &[], true);
        c.answer(stream).status
    };
    let mut c = connect(&s);
    for _ in 0..10 {
        assert_eq!(ask(&mut c, "/some"), 405, "without a limit");
    }
    let mut c = connect(&s);
    for n in 0..3 {
        assert_eq!(c.get("/missing").status, 404, "what is not found breaks none");
        assert_eq!(ask(&mut c, "/small"), 405, "{n}");
    }
    assert_eq!(c.goaway().map(|(_, code)| code), Some(ErrorCode::ENHANCE_YOUR_CALM.0));
    assert!(c.next_frame().is_none(), "the connection ends");
    assert_eq!(connect(&s).get("/small").status, 200, "others are served");
}

/// A socket with little room ends each write short; what was sent has to go all the same.
#[test]
fn what_a_slow_client_was_sent_is_not_kept() {
    let s = http(
        "http2 on;
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; http2_chunk_size 16k; }",
    )
    .send_buffer(16 << 10)
    .file("html/large", noise(48_000_000))
    .file("html/f", "f")
    .start();
    let mut c = H2::connect_small(s.address(0), 16 << 10);
    assert_eq!(c.get("/f").status, 200);
    let before = s.kilobytes("VmHWM");
    let answer = c.get("/large");
    assert_eq!((answer.status, answer.body.len()), (200, 48_000_000));
    let grown = s.kilobytes("VmHWM").saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB more for one client");
}

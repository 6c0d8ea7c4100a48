//! The running process: its signals, its pid file, reloads and graceful ends.

use crate::client::{Client, End, LIMIT};
use crate::harness::{Setup, binary, eventually, http, noise, on_nginx, server, skip_on_nginx};
use crate::os;
use crate::process::text;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

#[test]
fn the_pid_file_lives_as_long_as_the_process() {
    let mut s = server("").start();
    s.get("/").is(403);
    assert_eq!(String::from_utf8_lossy(&s.read("logs/webserv.pid")), format!("{}\n", s.pid));
    s.stop();
    assert!(!s.exists("logs/webserv.pid"));
}

#[test]
fn the_file_of_a_unix_socket_goes_with_the_process() {
    for signal in [libc::SIGTERM, libc::SIGQUIT] {
        let mut s = server("listen unix:%%DIR%%/s; return 200 \"$remote_addr $server_addr\";").start();
        // Its other listener is handed over, and open before the process is.
        s.get("/").is(200);
        let (mut client, mut answer) = (UnixStream::connect(s.path("s")).expect("its socket"), String::new());
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it is read");
        client.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with(&format!("\r\n\r\nunix: unix:{}", s.path("s").display())), "{answer}");
        s.signal(signal);
        assert_eq!(s.wait(), 0);
        assert!(!s.exists("s"), "{signal}");
    }
}

#[test]
fn a_file_that_is_no_socket_is_not_removed_for_one() {
    let s = server("return 200;").file("s", "data").allow_log("bind()").allow_log("the old one stays").start();
    s.get("/").is(200);
    s.reconfigure_http("server { listen 127.0.0.1:%%PORT%%; listen unix:%%DIR%%/s; return 200 new; }");
    s.signal(libc::SIGHUP);
    s.await_file("logs/error.log", |log| {
        log.contains("bind() to unix:") && log.contains("(98: Address already in use)")
    });
    assert_eq!(s.read("s"), b"data");
}

/// nginx takes both, and does nothing.
#[test]
fn signals_that_mean_nothing_do_not_end_the_process() {
    let s = server("return 200;").start();
    // It is ready to take them once it answers.
    s.get("/").is(200);
    for signal in [libc::SIGALRM, libc::SIGIO] {
        s.signal(signal);
        s.get("/").is(200);
    }
}

#[test]
fn term_ends_at_once() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut s = server("").file("html/f", "f").start();
        let mut idle = s.client();
        idle.get("/f").is(200);
        let mut half = s.client();
        half.send(b"GET /f HTTP/1.1\r\nHost:");
        s.signal(signal);
        assert_eq!(s.wait(), 0);
        assert!(matches!(idle.try_response(false), Err(End::Closed | End::Reset)));
    }
}

/// A server whose `/up/` takes uploads: the one active request that lasts as long as the client likes.
fn with_upload() -> Setup {
    let up = if on_nginx() { "dav_methods PUT;" } else { "allowed_methods GET POST;" };
    server(&format!("location /up/ {{ {up} }} location /t {{ return 200 old; }}"))
        .file("html/f", "f")
        .file("html/big", noise(16 << 20))
        .mkdir("html/up")
        .master()
}

/// An upload that waits for the second half of its body.
fn half_upload(s: &crate::harness::Server, name: &str) -> Client {
    let mut client = s.client();
    let method = if on_nginx() { "PUT" } else { "POST" };
    client
        .send(format!("{method} /up/{name} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"));
    client.response().is(100);
    client.send(b"01234");
    client
}

#[test]
fn quit_lets_active_requests_finish() {
    let mut s = with_upload().start();
    let mut idle = s.client();
    idle.get("/f").is(200);
    let mut download = s.client();
    download.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upload = half_upload(&s, "slow");
    s.get("/f").is(200);
    s.signal(libc::SIGQUIT);
    // An idle connection is closed at once: that tells us that the signal was seen.
    idle.expect_closed();
    upload.send(b"56789");
    upload.response().is(201);
    upload.expect_closed();
    download.response().is(200).body_is(noise(16 << 20));
    download.expect_closed();
    drop((upload, download));
    assert_eq!(s.wait(), 0);
    assert_eq!(s.read("html/up/slow"), b"0123456789");
    assert!(!s.exists("logs/webserv.pid"));
}

#[test]
fn quit_answers_a_client_that_has_only_just_connected() {
    let mut s = server("location = /status { stub_status; }").file("html/f", "f").start();
    let mut quiet = s.client();
    let mut idle = s.client();
    // On a busy machine the kernel may hand over the later connection first.
    crate::harness::eventually("both are accepted", || idle.get("/status").text().contains("Active connections: 2"));
    s.signal(libc::SIGQUIT);
    assert!(matches!(idle.try_response(false), Err(End::Closed | End::Reset)), "one between requests is closed");
    let answer = quiet.get("/f");
    answer.is(200);
    assert_eq!(answer.header("Connection"), Some("close"));
    assert_eq!(s.wait(), 0);
}

#[test]
fn quit_without_work_ends_at_once() {
    let mut s = with_upload().start();
    s.get("/f").is(200);
    s.signal(libc::SIGQUIT);
    assert_eq!(s.wait(), 0);
}

const NEW: &str =
    "server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html; location /t { return 200 new; } }";

#[test]
fn hup_takes_the_new_config() {
    let s = with_upload().start();
    s.get("/t").is(200).body_is("old");
    s.reconfigure_http(NEW);
    s.get("/t").is(200).body_is("old");
    s.signal(libc::SIGHUP);
    eventually("the new config answers", || s.get("/t").text() == "new");
    if !on_nginx() {
        // nginx's old worker may still accept for a moment.
        s.get("/t").is(200).body_is("new");
    }
}

#[test]
fn hup_lets_active_requests_finish_with_the_old_config() {
    let s = with_upload().start();
    let mut upload = half_upload(&s, "during");
    s.reconfigure_http(NEW);
    s.signal(libc::SIGHUP);
    eventually("the new config answers", || s.get("/t").text() == "new");
    upload.send(b"56789");
    upload.response().is(201);
    assert_eq!(s.read("html/up/during"), b"0123456789");
}

#[test]
fn hup_keeps_connections() {
    if skip_on_nginx("a reload closes nginx's idle connections; ours take the new config with the next request") {
        return;
    }
    let s = with_upload().start();
    let mut clients: Vec<Client> = (0..20).map(|_| s.client()).collect();
    for client in &mut clients {
        client.get("/t").is(200).body_is("old");
    }
    s.reconfigure_http(NEW);
    s.signal(libc::SIGHUP);
    eventually("the new config answers", || s.get("/t").text() == "new");
    for client in &mut clients {
        client.get("/t").is(200).body_is("new");
    }
    // Under way: a head of which one half arrived before the reload may be served by either.
    clients[0].send(b"GET /t HTTP/1.1\r\nHo");
    s.reconfigure_http(&NEW.replace("new", "newer"));
    s.signal(libc::SIGHUP);
    eventually("the newer config answers", || s.get("/t").text() == "newer");
    clients[0].send(b"st: localhost\r\n\r\n");
    let text = clients[0].response().is(200).text();
    assert!(["new", "newer"].contains(&text.as_str()), "{text}");
    clients[0].get("/t").is(200).body_is("newer");
}

#[test]
fn hup_with_a_bad_config_keeps_the_old() {
    let s = with_upload().allow_log("unknown directive \"rooot\"").allow_log("the old one stays").start();
    s.get("/t").is(200).body_is("old");
    s.reconfigure("events{}\nhttp {\n rooot x;\n}\n");
    s.signal(libc::SIGHUP);
    s.await_file("logs/error.log", |text| text.contains("[emerg]") && text.contains("unknown directive \"rooot\" in "));
    s.get("/t").is(200).body_is("old");
    s.reconfigure_http(NEW);
    s.signal(libc::SIGHUP);
    eventually("a good config is taken afterwards", || s.get("/t").text() == "new");
}

#[test]
fn hup_opens_and_closes_sockets() {
    let s = with_upload().start();
    s.get("/t").is(200);
    let second = std::net::SocketAddr::from(([127, 0, 0, 9], s.port()));
    assert!(std::net::TcpStream::connect(second).is_err());
    s.reconfigure_http(&format!("{NEW} server {{ listen 127.0.0.9:%%PORT%%; return 200 second; }}"));
    s.signal(libc::SIGHUP);
    eventually("the new socket listens", || std::net::TcpStream::connect(second).is_ok());
    Client::connect(second).get("/").is(200).body_is("second");
    s.reconfigure_http(NEW);
    s.signal(libc::SIGHUP);
    eventually("the socket is gone", || std::net::TcpStream::connect(second).is_err());
    s.get("/t").is(200).body_is("new");
}

#[test]
fn many_reloads_under_load_lose_no_request() {
    if skip_on_nginx("nginx closes about one busy connection for each reload") {
        return;
    }
    let s = with_upload().start();
    s.get("/t").is(200);
    let mut clients: Vec<Client> = (0..8).map(|_| s.client()).collect();
    for round in 0..25 {
        s.reconfigure_http(&NEW.replace("new", &format!("round{round}")));
        s.signal(libc::SIGHUP);
        for client in &mut clients {
            for _ in 0..5 {
                client.get("/t").is(200);
            }
        }
    }
    eventually("the last config answers", || s.get("/t").text() == "round24");
}

#[test]
fn dash_s_sends_signals() {
    let mut s = with_upload().start();
    s.get("/t").is(200).body_is("old");
    s.reconfigure_http(NEW);
    let out = s.command(&["-s", "reload"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    eventually("reload", || s.get("/t").text() == "new");
    std::fs::rename(s.path("logs/access.log"), s.path("logs/access.old")).unwrap();
    let out = s.command(&["-s", "reopen"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    assert!(os::wait_for_change(&s.path("logs"), LIMIT, || s.exists("logs/access.log")));
    let out = s.command(&["-s", "quit"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    assert_eq!(s.wait(), 0);
    let mut s = with_upload().start();
    s.get("/t").is(200);
    let out = s.command(&["-s", "stop"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    assert_eq!(s.wait(), 0);
}

#[test]
fn three_hundred_connections_are_served_at_once() {
    let s = server("").file("html/f", "f").start();
    s.get("/f").is(200);
    let mut clients: Vec<Client> = (0..300).map(|_| s.client()).collect();
    for client in &mut clients {
        client.send(b"GET /f HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        client.response().is(200).body_is("f");
    }
}

#[test]
fn dash_s_reload_fails_with_the_text_of_what_failed() {
    let s = with_upload().allow_log("unknown directive").allow_log("the old configuration stays").start();
    s.get("/t").is(200).body_is("old");
    s.reconfigure("events{}\nhttp {\n rooot x;\n}\n");
    let out = s.command(&["-s", "reload"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out));
    assert!(text(&out).contains("unknown directive \"rooot\" in "), "{}", text(&out));
    if skip_on_nginx("nginx's -s reload does not wait for what becomes of it") {
        return;
    }
    let blocker = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = blocker.local_addr().expect("bound").port();
    s.reconfigure_http(&format!("{NEW} server {{ listen 127.0.0.1:{taken}; }}"));
    for _ in 0..2 {
        let out = s.command(&["-s", "reload"]);
        assert_eq!(out.status.code(), Some(1), "{}", text(&out));
        assert!(text(&out).contains(&format!("127.0.0.1:{taken}")) && text(&out).contains("(98: "), "{}", text(&out));
        // As a start has it: the line, who has the port, and what stays.
        for part in ["test.conf:", "has the port", "= help: the old configuration stays"] {
            assert!(text(&out).contains(part), "{part}: {}", text(&out));
        }
    }
    s.get("/t").is(200).body_is("old");
    drop(blocker);
    let out = s.command(&["-s", "reload"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    // It has waited: the new configuration is there.
    s.get("/t").is(200).body_is("new");
    assert!(s.exists("logs/webserv.pid.reload"));
    let mut s = s;
    s.stop();
    assert!(!s.exists("logs/webserv.pid.reload"));
}

/// Other people may read the log; the report shows the line to those who may signal the server.
#[test]
fn a_value_of_a_configuration_that_others_cannot_read_is_not_in_the_log() {
    if skip_on_nginx("nginx's log has no advice, and no report of a reload is written") {
        return;
    }
    let s = with_upload().allow_log("invalid number of arguments").allow_log("the old one stays").start();
    // It takes signals now.
    s.get("/t").is(200);
    for (mode, is_shown) in [(0o600, false), (0o644, true)] {
        let block = "server { listen 127.0.0.1:%%PORT%%; proxy_set_header Authorization \"Bearer TOPSECRET\" oops; }";
        s.reconfigure_http(block);
        std::fs::set_permissions(s.path("conf/test.conf"), std::fs::Permissions::from_mode(mode)).expect("our file");
        s.signal(libc::SIGHUP);
        s.await_file("logs/error.log", |log| log.matches("the old one stays").count() == 1 + usize::from(is_shown));
        assert_eq!(s.error_log().contains("TOPSECRET"), is_shown, "{mode:o}: {}", s.error_log());
        s.await_file("logs/webserv.pid.reload", |report| report.contains("TOPSECRET"));
        let report = std::fs::metadata(s.path("logs/webserv.pid.reload")).expect("written");
        assert_eq!(report.permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_reopen_without_the_directory_of_the_logs_fails_and_says_so() {
    if skip_on_nginx("nginx's -s reopen does not wait") {
        return;
    }
    let s = server("access_log own/a.log;").mkdir("own").file("html/f", "f").allow_log("own/a.log\" failed").start();
    let moved = |from: &str, to: &str| std::fs::rename(s.path(from), s.path(to)).expect("a rename");
    s.get("/f").is(200);
    moved("own", "gone");
    let out = s.command(&["-s", "reopen"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out));
    for part in
        ["own/a.log\" failed (2: ", "test.conf:", "mkdir -p \"", "the log goes on in the file that was open before"]
    {
        assert!(text(&out).contains(part), "{part}: {}", text(&out));
    }
    s.get("/f").is(200);
    moved("gone", "own");
    let out = s.command(&["-s", "reopen"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
}

#[test]
fn the_report_of_a_killed_server_with_the_same_id_does_not_outlive_the_next_start() {
    if skip_on_nginx("nginx reports no reload") {
        return;
    }
    let setup = server("").file("html/f", "f");
    let start = setup.dir().join("start");
    let script = "echo \"$$ 1\" >logs/webserv.pid.reload; exec \"$WEBSERV\" \"$@\"";
    // Written by another process: while one that this process forks has it open for writing it cannot be started.
    let write =
        format!("printf '%s\\n' '#!/bin/sh' 'WEBSERV={}' '{script}' >\"$0\"; chmod +x \"$0\"", binary().display());
    assert!(Command::new("sh").args(["-c", &write]).arg(&start).status().expect("a shell").success());
    let s = setup.start_on(&start);
    s.get("/f").is(200);
    assert!(!s.exists("logs/webserv.pid.reload"));
}

#[test]
fn the_log_names_a_signal_and_its_sender() {
    let s = server("return 200;").start();
    // It is ready to take them once it answers.
    s.get("/").is(200);
    let sender = std::process::id();
    s.signal(libc::SIGHUP);
    s.await_file("logs/error.log", |log| {
        log.contains(&format!("signal 1 (SIGHUP) received from {sender}, reconfiguring"))
    });
    s.signal(libc::SIGUSR1);
    s.await_file("logs/error.log", |log| {
        log.contains(&format!("signal 10 (SIGUSR1) received from {sender}, reopening logs"))
    });
}

#[test]
fn a_reload_with_another_key_of_a_limit_counts_from_the_beginning() {
    if skip_on_nginx("a reload that changes the key of a zone is an error") {
        return;
    }
    let block = |key: &str, text: &str| {
        format!(
            "limit_req_zone {key} zone=z:1m rate=1r/m;
             server {{ listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
                       location / {{ limit_req zone=z; }} location /t {{ return 200 {text}; }} }}"
        )
    };
    let s = http(&block("$arg_a", "old")).file("html/f", "f").start();
    s.get("/f?a=1").is(200);
    s.get("/f?a=1").is(503);
    let reload = |key: &str, text: &str| {
        s.reconfigure_http(&block(key, text));
        s.signal(libc::SIGHUP);
        eventually("the new config answers", || s.get("/t").text() == text);
    };
    reload("$arg_a", "same");
    s.get("/f?a=1").is(503);
    reload("$arg_b", "other");
    s.get("/f?b=1&a=1").is(200);
    s.get("/f?b=1").is(503);
    reload("$arg_a", "first");
    s.get("/f?a=1").is(200);
}

//! Requests that arrive together: the process stands still while they are sent, so that one turn of its loop sees them
//! all. Each is answered as if it were alone.

use crate::client::Client;
use crate::harness::{Setup, eventually, http, skip_on_nginx};
use std::time::{Duration, Instant};

const MANY: usize = 40;

#[test]
fn everybody_is_answered_whoever_else_asks() {
    let large = "large".repeat(100_000);
    let s = http("server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; }")
        .file("html/small", "small")
        .file("html/large", &large)
        .start();
    let asked = [
        ("GET", "/small", 200, "small"),
        ("GET", "/large", 200, &large),
        ("HEAD", "/large", 200, ""),
        ("GET", "/", 403, ""),
    ];
    let of = |at: usize, round: usize| asked[(at + round) % asked.len()];
    let mut clients: Vec<Client> = (0..MANY).map(|_| s.ready_client()).collect();
    for round in 0..3 {
        s.frozen(|| {
            for (at, client) in clients.iter_mut().enumerate() {
                let (method, target, ..) = of(at, round);
                // Some ask twice at once.
                let request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(1 + at % 2);
                client.send(request);
            }
        });
        for (at, client) in clients.iter_mut().enumerate() {
            let (method, _, status, body) = of(at, round);
            for _ in 0..1 + at % 2 {
                let answer = if method == "HEAD" { client.response_to_head() } else { client.response() };
                answer.is(status);
                if status == 200 {
                    answer.body_is(body);
                }
            }
        }
    }
}

/// What is answered at once is over before the next begins, though its answer may not have been sent.
#[test]
fn requests_that_arrive_together_are_not_refused_for_each_other_by_limit_conn() {
    let s = http(
        "limit_conn_zone $binary_remote_addr zone=one:1m;
         server {
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             limit_conn one 1;
         }",
    )
    .file("html/f", "f")
    .start();
    let mut clients: Vec<Client> = (0..MANY).map(|_| s.ready_client()).collect();
    for _ in 0..3 {
        s.frozen(|| {
            for client in &mut clients {
                client.send("GET /f HTTP/1.1\r\nHost: a\r\n\r\n");
            }
        });
        for client in &mut clients {
            client.response().is(200).body_is("f");
        }
    }
}

/// Connections that are being answered in this turn are between requests before it ends.
#[test]
fn as_many_clients_as_there_may_be_are_not_too_many_while_some_are_being_answered() {
    if skip_on_nginx("nginx counts its listeners as connections") {
        return;
    }
    let s = Setup::full(
        "%%PREAMBLE%%
         events { worker_connections 4; }
         http { server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; } }",
    )
    .file("html/f", "f")
    .start();
    let ask = |client: &mut Client| _ = client.send("GET /f HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut clients: Vec<Client> = (0..4).map(|_| s.ready_client()).collect();
    // Four are as many as there may be, and none of them has to go for that.
    s.frozen(|| clients.iter_mut().for_each(ask));
    clients.iter_mut().for_each(|client| _ = client.response().is(200));
    let new = s.frozen(|| {
        clients.iter_mut().for_each(ask);
        let mut new = s.client();
        ask(&mut new);
        new
    });
    clients.push(new);
    for client in &mut clients {
        client.response().is(200).body_is("f");
    }
    assert!(!s.error_log().contains("connections are not enough"), "{}", s.error_log());
}

/// A body that came in time waits for its share of a turn, and its time may be over before: that is not the client's
/// doing.
#[test]
fn what_came_in_time_is_not_timed_out_before_it_is_read() {
    const LENGTH: usize = 200_000;
    let s = http(
        "client_body_timeout 3s;
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; dav_methods PUT; client_max_body_size 0; }",
    )
    .file("html/f", "f")
    .start();
    let mut client = s.client();
    client.send(format!("PUT /new HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {LENGTH}\r\n\r\n"));
    client.response().is(100);
    s.frozen(|| {
        client.send(vec![b'x'; LENGTH]);
        let begun = Instant::now();
        eventually("its time is over", || begun.elapsed() > Duration::from_millis(3500));
    });
    client.response().is(201);
    assert_eq!(s.read("html/new").len(), LENGTH);
}

/// Bodies wait for each other's shares of a turn; who has only more to ask does not wait with them.
#[test]
fn many_short_requests_do_not_wait_for_all_large_files() {
    const SHORT: usize = 100;
    let large = "large".repeat(200_000);
    let s = http("server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; }")
        .file("html/small", "small")
        .file("html/large", &large)
        .start();
    let mut clients: Vec<Client> = (0..=MANY).map(|_| s.ready_client()).collect();
    for client in &mut clients {
        client.send("HEAD /small HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response_to_head().is(200);
    }
    let mut short = clients.pop().expect("one more than that");
    s.frozen(|| {
        for client in &mut clients {
            client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        short.send("GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(SHORT));
    });
    for _ in 0..SHORT {
        short.response().is(200).body_is("small");
    }
    for client in &mut clients {
        client.response().is(200).body_is(&large);
    }
    if skip_on_nginx("it has no turns") {
        return;
    }
    let lines = |text: &str, target: &str| text.matches(&format!("GET {target} HTTP/1.1\"")).count();
    let log = s.await_file("logs/access.log", |text| lines(text, "/large") == MANY);
    let before = &log[..log.rfind("GET /small").expect("it is there")];
    assert!(lines(before, "/large") < MANY, "all large ones were there before the last short one");
}

/// Each has a piece in turn; where a piece ends, a slow reader's buffer may too.
#[test]
fn large_files_that_go_out_in_turns_arrive_as_they_are() {
    let name = |at: usize| format!("html/{at}");
    let large = |at: usize| (0..400_000).map(|n| format!("{at}{n:07}")).collect::<String>();
    let s = (0..8)
        .fold(http("server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; }"), |s, at| s.file(&name(at), large(at)))
        .start();
    let mut clients: Vec<Client> = (0..8).map(|_| s.ready_client()).collect();
    s.frozen(|| {
        for (at, client) in clients.iter_mut().enumerate() {
            let range = if at % 2 == 0 { "" } else { "Range: bytes=100000-2999999\r\n" };
            client.send(format!("GET /{at} HTTP/1.1\r\nHost: a\r\n{range}\r\n"));
        }
    });
    for (at, client) in clients.iter_mut().enumerate() {
        match at % 2 {
            0 => client.response().is(200).body_is(large(at)),
            _ => client.response().is(206).body_is(&large(at)[100_000..3_000_000]),
        };
    }
}

//! Connections to upstreams: which are used again, and what becomes of a request whose server fails.

use crate::harness::{BOTH, Table, http, skip_on_nginx};
use crate::proxy::{ok, place};
use crate::upstream::Upstream;
use std::sync::Barrier;

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
fn a_request_that_ends_its_server_is_not_sent_over_every_kept_connection() {
    if skip_on_nginx("it asks another server instead") {
        return;
    }
    const KEPT: usize = 4;
    let together = Barrier::new(KEPT);
    let upstream = Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            match request.target() {
                "/end" => return,
                _ => together.wait(),
            };
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let s = http(&place(
        "upstream kept { server %%0%%; keepalive 4; }
         server { listen 127.0.0.1:%%PORT%%; location / { proxy_pass http://kept; } }",
        &[&upstream],
    ))
    .allow_log("prematurely closed")
    .start();
    let mut clients: Vec<_> = (0..KEPT).map(|_| s.client()).collect();
    clients.iter_mut().for_each(|client| {
        client.send("GET /together HTTP/1.1\r\nHost: a\r\n\r\n");
    });
    clients.iter_mut().for_each(|client| {
        client.response().is(200);
    });
    assert_eq!(upstream.connections(), KEPT);
    s.get("/end").is(502);
    let asked = upstream.requests().iter().filter(|request| request.target() == "/end").count();
    assert_eq!(asked, 2, "over a kept connection, and over a new one");
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
    table.row(BOTH, "no listener", || {
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
    table.row(BOTH, "a status is no failure unless proxy_next_upstream names it", || {
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
    table.row(BOTH, "one address without a listener", || {
        s.get("/nowhere").is(502).contains("502 Bad Gateway");
        let r = s.method("POST", "/nowhere", "", b"hello");
        r.is(502);
    });
    table.row(BOTH, "a unix socket that is not there", || {
        s.get("/unix").is(502);
        s.await_file("logs/error.log", |log| {
            log.lines().any(|line| {
                line.contains("[crit]")
                    && line.contains("nobody.sock failed (2: No such file or directory) while connecting to upstream")
            })
        });
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

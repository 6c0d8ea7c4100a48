//! worker_connections counts connections to upstreams: what a request gets for which there is none left.

use crate::harness::{Setup, eventually, skip_on_nginx};
use crate::upstream::Upstream;

fn setup(limit: u32, http: &str) -> Setup {
    Setup::full(&format!("%%PREAMBLE%%\nevents {{ worker_connections {limit}; }}\nhttp {{ {http} }}"))
        .allow_log("worker_connections are not enough")
        .allow_log("connections are not enough")
}

/// Each request makes the next, and none is answered before the last: only a limit ends that.
#[test]
fn a_server_that_passes_to_itself_answers_when_connections_run_out() {
    for extra in ["", "http2 on;"] {
        let s = setup(
            40,
            &format!(
                "proxy_read_timeout 300s;
                 upstream kept {{ server 127.0.0.1:%%PORT%%; keepalive 8; }}
                 server {{ listen 127.0.0.1:%%PORT%%; {extra}
                     location /loop {{ proxy_pass http://127.0.0.1:%%PORT%%; }}
                     location /kept {{ proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ''; }}
                     location /fine {{ return 200 fine; }} }}"
            ),
        )
        .allow_log("upstream prematurely closed connection")
        .start();
        for path in ["/loop", "/kept", "/loop"] {
            s.get(path).is(500);
            s.get("/fine").is(200).body_is("fine");
        }
        // Several at once, and clients that ask for nothing beside them.
        let idle: Vec<_> = (0..20).map(|_| s.ready_client()).collect();
        let mut clients: Vec<_> = (0..6).map(|_| s.client()).collect();
        s.frozen(|| {
            for client in &mut clients {
                client.send("GET /loop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            }
        });
        for client in &mut clients {
            let status = client.response().status;
            assert!([500, 502].contains(&status), "{status}");
        }
        s.get("/fine").is(200).body_is("fine");
        drop(idle);
        assert!(s.error_log().contains("40 worker_connections are not enough while connecting to upstream"));
    }
}

#[test]
fn a_request_for_an_upstream_takes_the_place_of_an_idle_connection() {
    if skip_on_nginx("nginx counts its listeners as connections") {
        return;
    }
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup");
    let s = setup(
        8,
        &format!(
            "upstream kept {{ server {0}; keepalive 8; }} upstream other {{ server {0}; keepalive 8; }}
             server {{ listen 127.0.0.1:%%PORT%%;
                 location / {{ proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ''; }}
                 location /other {{ proxy_pass http://other; proxy_http_version 1.1; proxy_set_header Connection ''; }}
                 location /fine {{ return 200 fine; }} }}",
            up.address
        ),
    )
    .start();
    // Clients that are between two requests.
    let idle: Vec<_> = (0..6).map(|_| s.ready_client()).collect();
    let mut busy = s.ready_client();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    busy.response().is(200).body_is("up");
    drop(idle);
    // Kept connections to an upstream, of which another group has no use.
    busy.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
    busy.response().is(200).body_is("up");
    let clients: Vec<_> = (0..7).map(|_| s.ready_client()).collect();
    eventually("the last of them is served", || s.get("/fine").status == 200);
    drop(clients);
}

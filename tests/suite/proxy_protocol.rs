//! `listen … proxy_protocol`: what a balancer writes before the first request.

use crate::harness::{Server, http, on_nginx};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn start(more: &str) -> Server {
    http(&format!(
        "server {{
             listen 127.0.0.1:%%PORT%% proxy_protocol;
             {more}
             location / {{ return 200 \"$proxy_protocol_addr:$proxy_protocol_port\"; }}
         }}"
    ))
    .start()
}

fn version2() -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 127, 0, 0, 1, 0, 123, 0, 80];
    let extra = [4, 0, 3, 0, 0, 0];
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12"[..], &addresses, &extra].concat()
}

#[test]
fn the_header_of_a_balancer_may_come_in_any_pieces() {
    let s = start("");
    for header in [b"PROXY TCP4 192.0.2.7 127.0.0.1 123 80\r\n".to_vec(), version2()] {
        for at in 1..=header.len() + 3 {
            let mut client = s.client();
            client.introduce(&header, REQUEST.as_bytes(), [at]);
            client.response().is(200).body_is("192.0.2.7:123");
        }
        let mut client = s.client();
        client.introduce(&header, REQUEST.as_bytes(), 1..header.len() + REQUEST.len());
        client.response().is(200).body_is("192.0.2.7:123");
    }
}

/// An answer over HTTP would go to a balancer that is not known to speak it.
#[test]
fn a_balancer_that_never_ends_its_header_is_not_answered() {
    let s = start("client_header_timeout 1s;");
    for begun in [&b""[..], b"PROXY TCP4 192.0.2.7", &version2()[..20]] {
        let mut client = s.client();
        client.send_bare(begun);
        client.expect_bare_end();
    }
    if on_nginx() {
        return;
    }
    // Who has ended it is a client like any other.
    let mut client = s.client();
    client.introduce(&version2(), b"GET / HTT", []);
    client.response().is(408);
}

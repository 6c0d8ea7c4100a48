//! Many handshakes at once: a client that asks for something cheap does not wait for them.

use crate::client::Response;
use crate::harness::{eventually, http, skip_on_nginx};
use crate::over_tls;
use crate::tls::certificate;
use std::io::Write;
use std::net::TcpStream;

/// Each hello costs a signature by a long key, and then the connection ends, because what follows is no TLS: so
/// `$connections_active` tells how many of them are still to come when the request is answered.
#[test]
fn a_plain_request_does_not_wait_for_all_handshakes_that_began_before_it() {
    const MANY: usize = 40;
    if skip_on_nginx("it has no turns") {
        return;
    }
    let setup = http(
        "server { listen 127.0.0.1:%%PORT0%%; keepalive_requests 1000000; return 200 $connections_active; }
         server { listen 127.0.0.1:%%PORT1%% ssl; ssl_certificate long.crt; ssl_certificate_key long.key; }",
    );
    if !certificate(setup.dir(), "long", "rsa:3072") {
        return;
    }
    let s = setup.start();
    let mut plain = s.ready_client();
    let mut bytes = over_tls::Tls::new().hello().expect("a hello");
    // A record that no key opens.
    bytes.extend([23, 3, 3, 0, 32]);
    bytes.extend([0; 32]);
    let mut connected: Vec<TcpStream> =
        (0..MANY).map(|_| TcpStream::connect(s.address(1)).expect("listening")).collect();
    let active = |answer: Response| answer.is(200).text().trim().parse::<usize>().expect("a number");
    eventually("all are accepted", || active(plain.get("/")) == MANY + 1);
    s.frozen(|| {
        for tcp in &mut connected {
            tcp.write_all(&bytes).expect("sent");
        }
        plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    });
    let left = active(plain.response());
    assert!(left > MANY / 2, "only {left} of {MANY} were left");
    eventually("all have ended", || active(plain.get("/")) == 1);
}

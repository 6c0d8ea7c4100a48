//! tunnel_pass: CONNECT.

use crate::client::Client;
use crate::harness::{Setup, eventually, http, noise};
use crate::upstream::Upstream;

/// Answers every piece that comes with the same piece.
fn parrot() -> Upstream {
    Upstream::start(|peer| {
        while let Some(piece) = peer.some() {
            if !peer.send(&piece) {
                return;
            }
        }
    })
}

fn connect(client: &mut Client, target: &str) -> u16 {
    client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    client.response_to_head().status
}

#[test]
fn bytes_go_both_ways_to_the_host_that_is_named() {
    let up = parrot();
    let mut s = http(
        "log_format t '$request|$status|$upstream_addr|$upstream_status|$bytes_sent'; access_log logs/t.log t;
         server { listen 127.0.0.1:%%PORT%%; location / { tunnel_pass; } }",
    )
    .start();
    let mut client = s.client();
    // What stands behind the request is the tunnel's already.
    client.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\nearly", up.address));
    let head = client.response_to_head();
    head.is(200).lacks("Content-Length").lacks("Transfer-Encoding").lacks("Content-Type");
    assert_eq!(client.bytes(5), b"early");
    for piece in noise(300_000).chunks(20_000) {
        client.send(piece);
        assert!(client.bytes(piece.len()) == piece, "bytes change on their way");
    }
    client.leave();
    let address = up.address;
    let log = s.await_file("logs/t.log", |log| log.contains("CONNECT"));
    assert!(log.starts_with(&format!("CONNECT {address} HTTP/1.1|200|{address}|-|")), "{log}");
    s.stop();
}

#[test]
fn what_is_no_tunnel_is_refused() {
    let up = parrot();
    let s = http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%%; tunnel_pass {0}; location /none {{ return 200 no; }} }}
         server {{ listen 127.0.0.1:%%PORT1%%; location / {{ proxy_pass http://{0}; }} }}
         server {{ listen 127.0.0.1:%%PORT2%%; allow 192.0.2.1; deny all; tunnel_pass {0}; }}
         server {{ listen 127.0.0.1:%%PORT3%%; auth_basic x; auth_basic_user_file users; location / {{ tunnel_pass {0}; }} }}",
        up.address
    ))
    .file("conf/users", "ann:{PLAIN}right\n")
    .start();
    let ask = |at: usize, text: &str| {
        let mut client = s.client_at(at);
        client.send(text.replace('|', "\r\n"));
        let answer = client.response();
        assert!(answer.closes(), "{text}");
        answer.status
    };
    for (at, text, status) in [
        (0, "GET / HTTP/1.1|Host: a|Connection: close||", 405),
        (0, "CONNECT a:1 HTTP/1.0|Host: a:1||", 405),
        (0, "CONNECT a:1 HTTP/1.1|Host: a:1|Content-Length: 2||xx", 400),
        (0, "CONNECT a:1 HTTP/1.1|Host: a:1|Transfer-Encoding: chunked||0||", 400),
        (0, "CONNECT a HTTP/1.1|Host: a||", 400),
        (1, "CONNECT a:1 HTTP/1.1|Host: a:1||", 405),
        (2, "CONNECT a:1 HTTP/1.1|Host: a:1||", 403),
        (3, "CONNECT a:1 HTTP/1.1|Host: a:1||", 407),
        (3, "CONNECT a:1 HTTP/1.1|Host: a:1|Authorization: Basic YW5uOnJpZ2h0||", 407),
        (3, "CONNECT a:1 HTTP/1.1|Host: a:1|Proxy-Authorization: Basic YW5uOndyb25n||", 407),
    ] {
        assert_eq!(ask(at, text), status, "{text}");
    }
    assert_eq!(up.connections(), 0);
    let mut client = s.client_at(3);
    client.send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    client.response().is(407).has("Proxy-Authenticate", "Basic realm=\"x\"").lacks("WWW-Authenticate");
    let mut client = s.client_at(3);
    client.send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nProxy-Authorization: Basic YW5uOnJpZ2h0\r\n\r\n");
    client.response_to_head().is(200);
}

#[test]
fn a_server_that_is_not_there_has_its_error_page_and_another_is_tried() {
    let (up, nowhere) = (parrot(), Upstream::nowhere());
    let s = http(&format!(
        "upstream u {{ server {nowhere}; server {}; }}
         server {{ listen 127.0.0.1:%%PORT%%;
           location / {{ if ($request_method = CONNECT) {{ tunnel_pass; error_page 502 504 /50x.html; break; }} }} }}
         server {{ listen 127.0.0.1:%%PORT1%%; tunnel_pass u; }}
         server {{ listen 127.0.0.1:%%PORT2%%; tunnel_next_upstream off; tunnel_pass u; }}",
        up.address
    ))
    .file("html/50x.html", "sorry")
    .start();
    s.send(format!("CONNECT {nowhere} HTTP/1.1\r\nHost: a\r\n\r\n")).is(502).body_is("sorry");
    s.get("/50x.html").is(200);
    s.send("CONNECT name.invalid:80 HTTP/1.1\r\nHost: a\r\n\r\n").is(502);
    for _ in 0..2 {
        assert_eq!(connect(&mut s.client_at(1), "a:1"), 200);
    }
}

#[test]
fn either_end_ends_it_and_so_does_silence() {
    let up = Upstream::start(|peer| {
        let piece = peer.some();
        let _ = piece.map(|_| peer.send(b"bye"));
    });
    let s = http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%%; tunnel_pass {}; }}
         server {{ listen 127.0.0.1:%%PORT1%%; tunnel_pass {}; tunnel_read_timeout 300ms; }}",
        up.address,
        parrot().address
    ))
    .start();
    let mut client = s.client();
    assert_eq!(connect(&mut client, "a:1"), 200);
    client.send("hello");
    assert_eq!(client.rest(), b"bye");
    let mut silent = s.client_at(1);
    assert_eq!(connect(&mut silent, "a:1"), 200);
    silent.expect_closed();
    // One that leaves takes its server's connection with it.
    let quiet = Upstream::start(|peer| while peer.some().is_some() {});
    let s = http(&format!("server {{ listen 127.0.0.1:%%PORT%%; tunnel_pass {}; }}", quiet.address)).start();
    let mut client = s.client();
    assert_eq!(connect(&mut client, "a:1"), 200);
    client.leave();
    eventually("the tunnel is over", || s.command(&["status"]).status.code().is_some());
    s.get("/").is(405);
}

#[test]
fn a_client_that_leaves_before_its_server_is_found_is_noticed() {
    // A name server that does not answer.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let resolver = silent.local_addr().expect("bound");
    let s = http(&format!(
        "log_format t '$request_method|$status|$upstream_status'; access_log logs/t.log t;
         resolver {resolver}; server {{ listen 127.0.0.1:%%PORT%%; tunnel_pass; }}"
    ))
    .start();
    for (name, early) in [("one.test", ""), ("two.test", "early")] {
        let mut client = s.client();
        client.send(format!("CONNECT {name}:80 HTTP/1.1\r\nHost: {name}:80\r\n\r\n{early}"));
        silent.recv(&mut [0; 512]).expect("the name is asked for");
        client.leave();
    }
    s.await_file("logs/t.log", |log| log.matches("CONNECT|499|-\n").count() == 2);
}

#[test]
fn a_configuration_of_it_is_checked() {
    for (config, message) in [
        ("tunnel_pass a;", "no port in upstream \"a\""),
        ("tunnel_pass 127.0.0.1:1; tunnel_pass 127.0.0.1:2;", "duplicate"),
        ("tunnel_pass 127.0.0.1:1; tunnel_next_upstream http_500;", "invalid value \"http_500\""),
        ("tunnel_pass http://a:1;", "in upstream \"http://a:1\""),
    ] {
        let out =
            Setup::full(&format!("events {{}} http {{ server {{ listen 127.0.0.1:0; {config} }} }}")).test_config();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && text.contains(message), "{config}: {text}");
    }
}

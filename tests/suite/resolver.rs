//! Names that are looked up while requests are served, black-box: with a name server of our own on loopback.

use crate::harness::{BOTH, Table, http, ours};
use crate::upstream::Upstream;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A name server: it knows addresses (A) and no others; a name it does not know does not exist.
struct Dns {
    address: SocketAddr,
    names: Arc<Mutex<HashMap<String, Vec<Ipv4Addr>>>>,
    questions: Arc<AtomicUsize>,
}

impl Dns {
    fn start() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound");
        let names: Arc<Mutex<HashMap<String, Vec<Ipv4Addr>>>> = Arc::default();
        let questions = Arc::new(AtomicUsize::new(0));
        let (known, count) = (names.clone(), questions.clone());
        thread::spawn(move || {
            let mut buf = [0; 1024];
            while let Ok((n, from)) = socket.recv_from(&mut buf) {
                count.fetch_add(1, Ordering::SeqCst);
                let known = known.lock().expect("no panic while it is held");
                let _ = socket.send_to(&answer(&buf[..n], &known), from);
            }
        });
        Dns { address, names, questions }
    }

    fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|ip| ip.parse().expect("an address")).collect();
        self.names.lock().expect("no panic while it is held").insert(name.to_owned(), addresses);
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

/// The answer to one question, which begins at byte 12.
fn answer(query: &[u8], names: &HashMap<String, Vec<Ipv4Addr>>) -> Vec<u8> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] > 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..at + 1 + length]).into_owned());
        at += 1 + length;
    }
    let question = &query[12..at + 5];
    let found = names.get(&labels.join("."));
    let addresses: &[Ipv4Addr] = if query[at + 2] == 1 { found.map_or(&[], Vec::as_slice) } else { &[] };
    let mut out = query[..2].to_vec();
    out.extend_from_slice(&[
        0x81,
        if found.is_some() { 0x80 } else { 0x83 },
        0,
        1,
        0,
        addresses.len() as u8,
        0,
        0,
        0,
        0,
    ]);
    out.extend_from_slice(question);
    for address in addresses {
        out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        out.extend_from_slice(&address.octets());
    }
    out
}

#[test]
fn names_are_looked_up_when_they_are_needed() {
    let (dns, up) = (Dns::start(), Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"));
    let port = up.address.port();
    dns.set("app.test", &["127.0.0.1"]);
    dns.set("two.test", &["127.0.0.2", "127.0.0.1"]);
    let s = http(&format!(
        "resolver {} ipv6=off; resolver_timeout 2s;
         server {{ listen 127.0.0.1:%%PORT%%; server_name localhost;
             location /set {{ set $app app.test; proxy_pass http://$app:{port}; }}
             location /arg {{ proxy_pass http://$arg_to:{port}; add_header X-To $upstream_addr always; }}
             location /host {{ proxy_pass http://localhost.invalid$is_args:{port}; }}
             location /silent {{ resolver 127.0.0.1:9; resolver_timeout 200ms; proxy_pass http://$arg_to:{port}; }}
             location /none {{ resolver off; proxy_pass http://$arg_to:{port}; }}
             location /quick {{ return 200 quick; }}
         }}",
        dns.address
    ))
    .allow_log("could not be resolved")
    .allow_log("no resolver defined")
    .allow_log("connect() failed")
    .start();
    let mut table = Table::new("names of a proxy_pass");
    table.row(BOTH, "a variable", || {
        s.get("/set").is(200).body_is("up");
    });
    table.row(BOTH, "a name in any case, once", || {
        s.get("/arg?to=APP.test").is(200);
        let asked = dns.questions();
        s.get("/arg?to=app.TEST").is(200);
        assert_eq!(dns.questions(), asked);
    });
    table.row(BOTH, "the next address when one does not answer", || {
        s.get("/arg?to=two.test").is(200);
        s.get("/arg?to=two.test").is(200);
    });
    table.row(BOTH, "a name that comes later", || {
        s.get("/arg?to=later.test").is(502);
        dns.set("later.test", &["127.0.0.1"]);
        s.get("/arg?to=later.test").is(200).has("X-To", &up.address.to_string());
        s.await_file("logs/error.log", |log| log.contains("later.test could not be resolved (3: Host not found)"));
    });
    table.row(BOTH, "no such name can exist", || {
        s.get("/arg?to=a..b").is(502);
    });
    table.row(BOTH, "a name server that is silent", || {
        let mut slow = s.client();
        slow.send("GET /silent?to=app.test HTTP/1.1\r\nHost: a\r\n\r\n");
        s.get("/quick").is(200).body_is("quick");
        slow.response().is(502);
    });
    table.row(ours("nginx 1.22 has no `resolver off`"), "no resolver", || {
        s.get("/none?to=app.test").is(502);
        s.await_file("logs/error.log", |log| log.contains("no resolver defined to resolve app.test"));
    });
}

#[test]
fn a_group_follows_its_names() {
    if crate::table::skip_on_nginx("`server … resolve` came with nginx 1.27.3") {
        return;
    }
    let (dns, up) = (Dns::start(), Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"));
    let s = http(&format!(
        "resolver {} ipv6=off; upstream app {{ server app.test:{} resolve; }}
         server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; location / {{ proxy_pass http://app; }} }}",
        dns.address,
        up.address.port()
    ))
    .allow_log("no live upstreams")
    .start();
    s.get("/").is(502);
    dns.set("app.test", &["127.0.0.1"]);
    crate::harness::eventually("the name is followed", || s.get("/").status == 200);
    let config = http("upstream app { server app.test:80 resolve; }").run(&["-t", "-c", "%%DIR%%/conf/test.conf"]);
    let said = String::from_utf8_lossy(&config.stderr).into_owned();
    assert!(said.contains("no resolver defined to resolve names at run time in upstream \"app\""), "{said}");
}

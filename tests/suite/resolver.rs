//! Names that are looked up while requests are served, black-box: with a name server of our own on loopback.

use crate::dns::{A, Dns, Query, record};
use crate::harness::{BOTH, Table, eventually, http};
use crate::upstream::Upstream;
use std::collections::HashMap;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

/// A name server: it knows addresses (A) and no others; a name it does not know does not exist.
struct Known {
    dns: Dns,
    names: Arc<Mutex<HashMap<String, Vec<Ipv4Addr>>>>,
}

impl Known {
    fn start() -> Known {
        let names: Arc<Mutex<HashMap<String, Vec<Ipv4Addr>>>> = Arc::default();
        let known = names.clone();
        let dns = Dns::start("127.0.0.1:0", move |query, _| {
            let known = known.lock().expect("no panic while it is held");
            vec![(answer(query, &known), false)]
        });
        Known { dns: dns.expect("a free port"), names }
    }

    fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|ip| ip.parse().expect("an address")).collect();
        self.names.lock().expect("no panic while it is held").insert(name.to_owned(), addresses);
    }
}

/// The answer to one question.
fn answer(query: &Query, names: &HashMap<String, Vec<Ipv4Addr>>) -> Vec<u8> {
    let Some(found) = names.get(&query.labels.join(".")) else { return query.fails(3) };
    let addresses: &[Ipv4Addr] = if query.kind == A { found } else { &[] };
    let records: Vec<_> = addresses.iter().map(|address| record(&[0xc0, 12], A, 1, &address.octets())).collect();
    query.ok(&records)
}

#[test]
fn names_are_looked_up_when_they_are_needed() {
    let (known, up) = (Known::start(), Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"));
    let port = up.address.port();
    known.set("app.test", &["127.0.0.1"]);
    known.set("two.test", &["127.0.0.2", "127.0.0.1"]);
    let s = http(&format!(
        "resolver {} ipv6=off; resolver_timeout 2s;
         server {{ listen 127.0.0.1:%%PORT%%; server_name localhost;
             location /set {{ set $app app.test; proxy_pass http://$app:{port}; }}
             location /arg {{ proxy_pass http://$arg_to:{port}; add_header X-To $upstream_addr always; }}
             location /host {{ proxy_pass http://localhost.invalid$is_args:{port}; }}
             location /silent {{ resolver 127.0.0.1:9; resolver_timeout 200ms; proxy_pass http://$arg_to:{port}; }}
             location /quick {{ return 200 quick; }}
         }}",
        known.dns.address
    ))
    .allow_log("could not be resolved")
    .allow_log("connect() failed")
    .start();
    let mut table = Table::new("names of a proxy_pass");
    table.row(BOTH, "a variable", || {
        s.get("/set").is(200).body_is("up");
    });
    table.row(BOTH, "a name in any case, once", || {
        s.get("/arg?to=APP.test").is(200);
        let asked = known.dns.questions();
        s.get("/arg?to=app.TEST").is(200);
        assert_eq!(known.dns.questions(), asked);
    });
    table.row(BOTH, "the next address when one does not answer", || {
        s.get("/arg?to=two.test").is(200);
        s.get("/arg?to=two.test").is(200);
    });
    table.row(BOTH, "a name that comes later", || {
        s.get("/arg?to=later.test").is(502);
        known.set("later.test", &["127.0.0.1"]);
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
}

#[test]
fn a_name_without_a_resolver_is_not_looked_up() {
    let s =
        crate::harness::server("location / { proxy_pass http://$arg_to:9; }").allow_log("no resolver defined").start();
    s.get("/?to=app.test").is(502);
    s.await_file("logs/error.log", |log| log.contains("no resolver defined to resolve app.test"));
    for words in ["off", "127.0.0.1 status_zone=a"] {
        let refused = http(&format!("resolver {words}; server {{ listen %%PORT%%; }}")).test_config();
        assert!(!refused.status.success(), "{words}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("host not found in resolver"), "{words}");
    }
}

#[test]
fn a_group_follows_its_names() {
    if crate::table::skip_on_nginx("`server … resolve` came with nginx 1.27.3") {
        return;
    }
    let (known, up) = (Known::start(), Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup"));
    let s = http(&format!(
        "resolver {} ipv6=off; upstream app {{ server app.test:{} resolve; }}
         server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; location / {{ proxy_pass http://app; }} }}",
        known.dns.address,
        up.address.port()
    ))
    .allow_log("no live upstreams")
    .allow_log("could not be resolved")
    .start();
    s.get("/").is(502);
    s.await_file("logs/error.log", |log| log.contains(": app.test could not be resolved (3: Host not found)\n"));
    known.set("app.test", &["127.0.0.1"]);
    crate::harness::eventually("the name is followed", || s.get("/").status == 200);
    let config = http("upstream app { server app.test:80 resolve; }").run(&["-t", "-c", "%%DIR%%/conf/test.conf"]);
    let said = String::from_utf8_lossy(&config.stderr).into_owned();
    assert!(said.contains("no resolver defined to resolve names at run time in upstream \"app\""), "{said}");
}

/// A kept connection that was opened while the name had one address counts for the server that it is used for now.
#[test]
fn a_kept_connection_is_given_back_to_the_group_that_it_was_taken_from() {
    if crate::table::skip_on_nginx("`server … resolve` came with nginx 1.27.3") {
        return;
    }
    let known = Known::start();
    known.set("app.test", &["127.0.0.1"]);
    let s = http(&format!(
        "resolver {} ipv6=off valid=1s;
         upstream app {{ least_conn; keepalive 4; server app.test:%%PORT1%% resolve; }}
         server {{ listen 0.0.0.0:%%PORT%%; proxy_http_version 1.1; proxy_set_header Connection \"\";
                  location / {{ proxy_pass http://app; }} }}
         server {{ listen 0.0.0.0:%%PORT1%%; return 200 $server_addr; }}",
        known.dns.address
    ))
    .wildcard()
    .allow_log("no live upstreams")
    .start();
    eventually("the name is known", || s.get("/").status == 200);
    s.get("/").is(200).body_is("127.0.0.1");
    known.set("app.test", &["127.0.0.1", "127.0.0.2"]);
    eventually("the other address is used", || s.get("/").text() == "127.0.0.2");
    let first = (0..20).filter(|_| s.get("/").text() == "127.0.0.1").count();
    assert!((5..=15).contains(&first), "{first} of 20 requests at a time went to the first server");
}

/// It answers "truncated", and then sends empty messages over TCP for as long as they are taken.
#[test]
fn a_name_server_that_sends_without_end_over_tcp_is_left() {
    if crate::table::skip_on_nginx("nginx reads for as long as it may") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let Some(_dns) = Dns::start(address, |query, _| vec![(query.answer([0x83, 0x80], &[]), false)]) else {
        println!("skipped: UDP port {} is taken", address.port());
        return;
    };
    let taken = thread::spawn(move || {
        listener.set_nonblocking(true).expect("O_NONBLOCK");
        let mut accepted = None;
        eventually("the question is repeated over TCP", || {
            accepted = listener.accept().ok();
            accepted.is_some()
        });
        let (mut stream, _) = accepted.expect("a connection");
        stream.set_nonblocking(false).expect("no O_NONBLOCK");
        // Far more than both ends of a connection keep unread.
        (0..4_096_u32).take_while(|_| stream.write_all(&[0; 1 << 14]).is_ok()).count()
    });
    let s = http(&format!(
        "resolver {address} ipv6=off; resolver_timeout 500ms;
         server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; location / {{ proxy_pass http://$arg_to:9; }} }}"
    ))
    .allow_log("could not be resolved")
    .start();
    s.get("/?to=app.test").is(502);
    let taken = taken.join().expect("no panic");
    assert!(taken < 4_096, "64 MiB were taken");
}

/// It sends a long answer to another question, again and again, and never the one that it was asked for.
#[test]
fn a_name_server_whose_answers_have_other_ids_is_left_for_the_next() {
    if crate::table::skip_on_nginx("nginx goes on listening to it for five seconds") {
        return;
    }
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup");
    let misleading = Dns::start("127.0.0.1:0", |query, _| {
        let mut other = query.found([127, 66, 66, 66], 60);
        other[0] ^= 1;
        vec![(other, false); 100]
    });
    let (misleading, known) = (misleading.expect("a free port"), Known::start());
    known.set("app.test", &["127.0.0.1"]);
    // The first lookup begins with the first server, which would be asked again after five seconds.
    let s = http(&format!(
        "resolver {} {} ipv6=off; resolver_timeout 4s;
         server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; location / {{ proxy_pass http://$arg_to:{}; }} }}",
        misleading.address,
        known.dns.address,
        up.address.port()
    ))
    .allow_log("could not be resolved")
    .start();
    s.get("/?to=app.test").is(200).body_is("up");
    assert_eq!((misleading.questions(), known.dns.questions()), (1, 1));
}

#[test]
fn what_is_wrong_with_the_answers_of_a_name_server_is_in_the_log() {
    let lying = Dns::start("127.0.0.1:0", |query, _| {
        let mut message = query.found([127, 0, 0, 1], 60);
        match &*query.labels[0] {
            "short" => message.truncate(11),
            "questions" => message[5] = 2,
            "format" => message = query.fails(1),
            "unknown" => message = query.fails(9),
            "ident" => message[0] ^= 1,
            "name" => message[13] ^= 1,
            _ => {
                let record = record(&[0xc0, 12], A, 60, &[127, 0, 0]);
                message = query.ok(&[record]);
            }
        }
        vec![(message, false)]
    });
    let lying = lying.expect("a free port");
    let s = http(&format!(
        "resolver {} ipv6=off; resolver_timeout 100ms;
         server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_pass http://$arg_to:9; }} }}",
        lying.address
    ))
    .allow_log("DNS")
    .allow_log("could not be resolved")
    .start();
    for (name, line) in [
        ("short.test", "short DNS response"),
        ("questions.test", "invalid number of questions in DNS response"),
        ("format.test", "DNS error (1: Format error), query id:"),
        ("unknown.test", "DNS error (9: Unknown error), query id:"),
        ("ident.test", "in DNS response for ident.test, expect "),
        ("name.test", "unexpected DNS response for oame.test"),
        ("record.test", "invalid A record in DNS response"),
    ] {
        s.get(&format!("/?to={name}")).is(502);
        let has =
            |line: &str| s.error_log().lines().any(|said| said.replace("#", " ").contains(line) || said.contains(line));
        eventually(line, || has(line.trim_start_matches("")));
    }
}

//! Names that are looked up while requests are served, black-box: name servers that lie, break the protocol, are not
//! there, or say something else next time. The first label of a name says what the server does about it.

use crate::dns::{A, CNAME, Dns, Message, Query, record};
use crate::harness::{BOTH, Server, Table, eventually, http, ours};
use crate::upstream::Upstream;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

const GOOD: [u8; 4] = [127, 0, 0, 1];
/// An address that is never to be used.
const EVIL: [u8; 4] = [127, 66, 66, 66];
fn name(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in text.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

/// What is sent to a question.
fn say(query: &Query, asked: usize) -> Vec<Message> {
    let good = || query.found(GOOD, 60);
    let first = |message: Vec<u8>| vec![(message, false), (good(), false)];
    let only = |message: Vec<u8>| vec![(message, false)];
    let changed = |at: usize, byte: u8| {
        let mut message = query.found(EVIL, 60);
        message[at] ^= byte;
        first(message)
    };
    let alias = |from: &[u8], to: &str| record(from, CNAME, 60, &name(to));
    let pointer = [0xc0, 12];
    match query.labels[0].as_str() {
        "wrongid" => changed(1, 1),
        "wrongname" => changed(13, 1),
        "wrongkind" => changed(12 + query.question.len() - 3, 2),
        "wrongclass" => changed(12 + query.question.len() - 1, 2),
        "noresponse" => changed(2, 0x80),
        "otherport" => vec![(query.found(EVIL, 60), true), (good(), false)],
        "short" => vec![(vec![query.id[0]], false), (query.found(EVIL, 60)[..40].to_vec(), false), (good(), false)],
        "counts" => {
            let mut message = query.found(EVIL, 60);
            message[6..8].copy_from_slice(&[0xff, 0xff]);
            first(message)
        }
        "questions" => {
            let mut message = query.found(EVIL, 60);
            message[5] = 2;
            first(message)
        }
        "itself" => {
            let at = (12 + query.question.len()) as u8;
            first(query.ok(&[record(&[0xc0, at], A, 60, &EVIL)]))
        }
        "ahead" => first(query.ok(&[record(&[0xc1, 0xff], A, 60, &EVIL)])),
        "endless" => {
            let long = vec!["a".repeat(63); 5].join(".");
            first(query.ok(&[record(&name(&long), A, 60, &EVIL)]))
        }
        "stranger" => first_of(query, vec![record(&name("other.test"), A, 60, &EVIL), record(&pointer, A, 60, &GOOD)]),
        "length" => first(query.ok(&[record(&pointer, A, 60, &[127, 66, 66])])),
        "chain" => first_of(
            query,
            vec![
                alias(&pointer, "one.test"),
                alias(&name("one.test"), "two.test"),
                record(&name("two.test"), A, 60, &GOOD),
            ],
        ),
        "far" => only(query.ok(&[alias(&pointer, "ok.test")])),
        "circle" => only(query.ok(&[alias(&pointer, "elcric.test")])),
        "elcric" => only(query.ok(&[alias(&pointer, "circle.test")])),
        "self" => only(query.ok(&[record(&pointer, CNAME, 60, &pointer)])),
        "none" => only(query.ok(&[])),
        "nx" => only(query.fails(3)),
        "servfail" => only(query.fails(2)),
        "refused" => only(query.fails(5)),
        "zero" => only(query.found(GOOD, 0)),
        "moves" => only(query.found(if asked == 0 { EVIL } else { GOOD }, 0)),
        "later" if asked == 0 => only(query.fails(3)),
        "many" => {
            let records: Vec<Vec<u8>> = (0..60).map(|_| record(&pointer, A, 60, &GOOD)).collect();
            only(query.ok(if query.kind == A { &records } else { &[] }))
        }
        "truncated" | "cut" => only(query.answer([0x83, 0x80], &[])),
        "silent" => Vec::new(),
        _ => only(good()),
    }
}

fn first_of(query: &Query, records: Vec<Vec<u8>>) -> Vec<Message> {
    vec![(query.ok(if query.kind == A { &records } else { &[] }), false)]
}

/// A name server that is asked over TCP too, at the same port.
fn name_server(address: &str) -> Option<Dns> {
    let (dns, tcp) = (0..100).find_map(|_| {
        let tcp = TcpListener::bind(address).ok()?;
        Some((Dns::start(tcp.local_addr().ok()?, say)?, tcp))
    })?;
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
                if stream.read_exact(&mut message).is_err() {
                    break;
                }
                let query = Query::parse(&message);
                if query.labels[0] == "cut" {
                    break;
                }
                let answer = query.found(GOOD, 60);
                // In pieces, as TCP may bring it.
                let bytes = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
                let (a, b) = bytes.split_at(1);
                if stream.write_all(a).is_err() || stream.flush().is_err() || stream.write_all(b).is_err() {
                    break;
                }
            }
        }
    });
    Some(dns)
}

fn start(resolver: &str, port: u16) -> Server {
    http(&format!(
        "resolver_timeout 10s;
         server {{ listen 127.0.0.1:%%PORT%%; server_name localhost;
             location /quick {{ return 200 quick; }}
             location / {{ resolver {resolver}; proxy_pass http://$arg_to:{port}; add_header X-To $upstream_addr always; }}
             location /short {{ resolver {resolver}; resolver_timeout 300ms; proxy_pass http://$arg_to:{port}; }} }}"
    ))
    .allow_log("could not be resolved")
    .allow_log("DNS")
    .allow_log("recv() failed")
    .allow_log("send() failed")
    .allow_log("upstream")
    .start()
}

#[test]
fn an_answer_counts_only_if_it_is_one() {
    let dns = name_server("127.0.0.1:0").expect("a free port");
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup");
    let s = start(&format!("{} ipv6=off", dns.address), up.address.port());
    let mut table = Table::new("answers of name servers");
    let good = up.address.to_string();
    for what in [
        "wrongid",
        "wrongname",
        "wrongkind",
        "wrongclass",
        "noresponse",
        "otherport",
        "short",
        "counts",
        "questions",
        "itself",
        "ahead",
        "endless",
        "stranger",
        "length",
        "chain",
        "far",
        "zero",
        "truncated",
    ] {
        let runs = match what {
            "itself" | "ahead" | "endless" | "stranger" => ours("nginx does not look at whose record it is"),
            _ => BOTH,
        };
        table.row(runs, what, || {
            let answer = s.get(&format!("/?to={what}.test"));
            answer.is(200).body_is("up").has("X-To", &good);
        });
    }
    table.row(BOTH, "many addresses", || {
        let answer = s.get("/?to=many.test");
        answer.is(200).body_is("up");
    });
    for (what, why) in [
        ("none", "(3: Host not found)"),
        ("nx", "(3: Host not found)"),
        ("servfail", "(2: Server failure)"),
        ("refused", "(5: Operation refused)"),
        ("self", "(3: Host not found)"),
        ("circle", "(3: Host not found)"),
    ] {
        let row = if matches!(what, "self" | "circle") { ours("nginx says it in other words") } else { BOTH };
        table.row(row, what, || {
            s.get(&format!("/?to={what}.test")).is(502);
            s.await_file("logs/error.log", |log| log.contains(&format!("{what}.test could not be resolved {why}")));
        });
    }
    for what in ["silent", "cut"] {
        table.row(BOTH, what, || {
            let mut waits = s.client();
            waits.send(format!("GET /short?to={what}.test HTTP/1.1\r\nHost: a\r\n\r\n"));
            s.get("/quick").is(200).body_is("quick");
            waits.response().is(502);
            let timed_out = format!("{what}.test could not be resolved (110: Operation timed out)");
            s.await_file("logs/error.log", |log| log.contains(&timed_out));
        });
    }
    table.row(ours("nginx keeps each to the end of its second"), "an answer is kept for its time", || {
        s.get("/?to=kept.test").is(200);
        s.get("/?to=kept.test").is(200);
        assert_eq!((dns.asked("kept.test"), dns.asked("6kept.test")), (1, 0));
        // One that holds for no time is used once.
        let before = dns.asked("zero.test");
        s.get("/?to=zero.test").is(200);
        assert_eq!(dns.asked("zero.test"), before + 1);
    });
    table.row(ours("nginx keeps each to the end of its second"), "a name that moves, and one that comes later", || {
        s.get("/?to=moves.test").is(502);
        s.get("/?to=moves.test").is(200).has("X-To", &good);
        s.get("/?to=later.test").is(502);
        s.get("/?to=later.test").is(200);
    });
    table.row(BOTH, "many names at once", || {
        let mut clients: Vec<_> = (0..100).map(|_| s.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("GET /?to=n{}.test HTTP/1.1\r\nHost: a\r\n\r\n", number % 50));
        }
        clients.iter_mut().for_each(|client| _ = client.response().is(200).body_is("up"));
    });
    table.row(ours("nginx answers some with 500"), "names that cannot be", || {
        let label = "a".repeat(64);
        let long = ["a".repeat(60).as_str(); 5].join(".");
        for name in [label.as_str(), long.as_str(), "a..b"] {
            s.get(&format!("/?to={name}")).is(502);
        }
    });
}

#[test]
fn a_name_server_that_is_not_there_is_followed_by_the_next() {
    let dns = name_server("127.0.0.1:0").expect("a free port");
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup");
    let (one, two) = (Upstream::nowhere(), Upstream::nowhere());
    let mut table = Table::new("several name servers");
    table.row(ours("nginx waits for five seconds"), "one of three answers", || {
        let s = start(&format!("{one} {two} {} ipv6=off", dns.address), up.address.port());
        for name in ["a.test", "b.test", "c.test"] {
            s.get(&format!("/?to={name}")).is(200).body_is("up");
        }
    });
    table.row(BOTH, "none of two", || {
        let s = start(&format!("{one} {two} ipv6=off"), up.address.port());
        let mut waits = s.client();
        waits.send("GET /short?to=a.test HTTP/1.1\r\nHost: a\r\n\r\n");
        s.get("/quick").is(200).body_is("quick");
        waits.response().is(502);
    });
    table.row(BOTH, "over IPv6", || {
        // A machine without IPv6 has nothing to ask.
        let Some(dns) = name_server("[::1]:0") else { return };
        let s = start(&format!("{} ipv6=off", dns.address), up.address.port());
        s.get("/?to=a.test").is(200).body_is("up");
        s.get("/?to=truncated.test").is(200).body_is("up");
    });
    table.row(ours("nginx 1.22 has no ipv4="), "only one family is asked for", || {
        let s = start(&format!("{} ipv4=off", dns.address), up.address.port());
        s.get("/?to=six.test").is(502);
        assert_eq!((dns.asked("six.test"), dns.asked("6six.test")), (0, 1));
    });
    table.row(BOTH, "valid= counts, not what the answer says", || {
        let s = start(&format!("{} ipv6=off valid=1h", dns.address), up.address.port());
        let before = dns.asked("zero.test");
        for _ in 0..3 {
            s.get("/?to=zero.test").is(200);
        }
        assert_eq!(dns.asked("zero.test"), before + 1);
        eventually("nothing else is asked", || dns.asked("zero.test") == before + 1);
    });
}

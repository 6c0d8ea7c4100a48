//! Which server answers: by address and port, then by name.

use crate::harness::{BOTH, Server, Table, http};

fn ask(s: &Server, index: usize, host: &str) -> String {
    let mut client = s.client_at(index);
    let r = client.request(format!("GET /who HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    r.is(200);
    r.text()
}

#[test]
fn the_name_chooses_the_server() {
    let block = |name: &str, answer: &str| {
        format!("server {{ listen 127.0.0.1:%%PORT%%; server_name {name}; return 200 {answer}; }}\n")
    };
    let s = http(
        &[
            block("first.test", "first"),
            block("exact.test other.test", "exact"),
            block("*.wild.test", "star-front"),
            block("*.deep.wild.test", "star-front-longer"),
            block("mail.*", "star-end"),
            block("mail.long.*", "star-end-longer"),
            block(".both.test", "dot"),
            block("~^re(?<num>\\d+)\\.test$", "re-$num"),
            block("~^(.+)\\.second\\.test$", "second-$1"),
            block("~\\.second\\.test$", "never"),
            block("www.wild.test", "exact-in-wild"),
            block("\"\"", "empty"),
            block("192.0.2.7", "address"),
            block("UPPER.Test", "upper"),
            block("_", "underscore"),
            block("\"~^q[a-z]{2}\\.test$\"", "quoted"),
        ]
        .concat(),
    )
    .start();
    let rows: &[(&str, &str, &str)] = &[
        ("an exact name", "exact.test", "exact"),
        ("the second name of a server", "other.test", "exact"),
        ("the first server is the default", "unknown.test", "first"),
        ("case of the Host is ignored", "EXACT.Test", "exact"),
        ("case of server_name is ignored", "upper.test", "upper"),
        ("a port is ignored", "exact.test:1234", "exact"),
        ("an empty port is ignored", "exact.test:", "exact"),
        ("a trailing dot is ignored", "exact.test.", "exact"),
        ("a trailing dot and a port", "exact.test.:80", "exact"),
        ("a leading star", "a.wild.test", "star-front"),
        ("a leading star stands for several labels", "a.b.wild.test", "star-front"),
        ("the longest leading star wins", "a.deep.wild.test", "star-front-longer"),
        ("a leading star needs a label", "wild.test", "first"),
        ("an exact name beats a star", "www.wild.test", "exact-in-wild"),
        ("a trailing star", "mail.test", "star-end"),
        ("a trailing star stands for several labels", "mail.a.b.test", "star-end"),
        ("the longest trailing star wins", "mail.long.test", "star-end-longer"),
        ("a leading star beats a trailing one", "mail.wild.test", "star-front"),
        ("a leading dot matches the bare name", "both.test", "dot"),
        ("a leading dot matches below", "x.y.both.test", "dot"),
        ("a leading dot is no suffix of letters", "xboth.test", "first"),
        ("a regex with a named capture", "re42.test", "re-42"),
        ("a regex is anchored only where it says", "xre42.test", "first"),
        ("the first regex wins", "a.second.test", "second-a"),
        ("a regex sees lower case", "RE7.test", "re-7"),
        ("a star beats a regex", "re1.wild.test", "star-front"),
        ("an address as name", "192.0.2.7", "address"),
        ("an address as name, with port", "192.0.2.7:99", "address"),
        ("an underscore is a name like others", "_", "underscore"),
        ("a quoted regex with braces", "qab.test", "quoted"),
    ];
    let mut table = Table::new("server names");
    for &(name, host, answer) in rows {
        table.row(BOTH, name, || assert_eq!(ask(&s, 0, host), answer));
    }
    table.row(BOTH, "no Host at all is the empty name", || {
        s.send(b"GET / HTTP/1.0\r\n\r\n").is(200).body_is("empty");
    });
    table.row(BOTH, "the host of an absolute target wins", || {
        s.send(b"GET http://exact.test/ HTTP/1.1\r\nHost: both.test\r\n\r\n").is(200).body_is("exact");
    });
    table.row(BOTH, "each request on one connection is routed by its own host", || {
        let mut client = s.client();
        for (_, host, answer) in rows {
            client.request(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).is(200).body_is(answer);
        }
    });
}

#[test]
fn address_and_port_choose_before_the_name() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT0%%; server_name a.test; return 200 zero-a; }
         server { listen 127.0.0.1:%%PORT0%% default_server; listen 127.0.0.1:%%PORT1%%; server_name b.test; return 200 b; }
         server { listen 127.0.0.1:%%PORT1%%; server_name a.test; return 200 one-a; }
         server { listen 127.0.0.1:%%PORT2%%; server_name c.test; return 200 $server_name:$server_port:$server_addr; }",
    )
    .start();
    let rows: &[(&str, usize, &str, &str)] = &[
        ("the name on the first port", 0, "a.test", "zero-a"),
        ("the same name on another port is another server", 1, "a.test", "one-a"),
        ("default_server need not be first", 0, "zzz.test", "b"),
        ("without default_server the first is it", 1, "zzz.test", "b"),
        ("one server on two ports", 1, "b.test", "b"),
        ("a name of another port is not known here", 2, "a.test", "c.test"),
    ];
    let mut table = Table::new("listens");
    for &(name, index, host, answer) in rows {
        table.row(BOTH, name, || {
            let got = ask(&s, index, host);
            if index == 2 {
                assert_eq!(got, format!("c.test:{}:127.0.0.1", s.address(2).port()));
            } else {
                assert_eq!(got, answer);
            }
        });
    }
}

#[test]
fn one_wildcard_socket_serves_several_addresses() {
    let s = http(
        "server { listen %%PORT%%; server_name any.test;
            location / { return 200 any; } location /where { return 200 $server_addr; } }
         server { listen 127.0.0.2:%%PORT%%; server_name any.test; return 200 two; }",
    )
    .wildcard()
    .start();
    let mut table = Table::new("wildcard listen");
    table.row(BOTH, "the address that has its own listen", || {
        let mut client = crate::client::Client::connect(([127, 0, 0, 2], s.port()).into());
        client.request(b"GET / HTTP/1.1\r\nHost: any.test\r\n\r\n").is(200).body_is("two");
    });
    table.row(BOTH, "any other address", || assert_eq!(ask(&s, 0, "any.test"), "any"));
    table.row(BOTH, "one more address of the loopback", || {
        let mut client = crate::client::Client::connect(([127, 0, 0, 3], s.port()).into());
        client.request(b"GET / HTTP/1.1\r\nHost: any.test\r\n\r\n").is(200).body_is("any");
    });
    table.row(BOTH, "$server_addr is where the client came to, not the wildcard", || {
        let mut client = crate::client::Client::connect(([127, 0, 0, 3], s.port()).into());
        client.request(b"GET /where HTTP/1.1\r\nHost: any.test\r\n\r\n").is(200).body_is("127.0.0.3");
    });
}

#[test]
fn settings_of_one_server_do_not_leak_into_another() {
    let s = http(
        "error_page 404 /http404;
         server { listen 127.0.0.1:%%PORT%%; server_name a.test; root %%DIR%%/a; error_page 404 /a404; index i.html; }
         server { listen 127.0.0.1:%%PORT%%; server_name b.test; root %%DIR%%/b; client_max_body_size 10;
            location /t { return 200 t; } }",
    )
    .file("a/a404", "not found at a")
    .file("a/i.html", "index a")
    .file("b/http404", "not found at b")
    .file("b/index.html", "index b")
    .start();
    let get = |host: &str, target: &str| {
        s.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    };
    let mut table = Table::new("separate servers");
    table.row(BOTH, "roots and indexes", || {
        get("a.test", "/").is(200).body_is("index a");
        get("b.test", "/").is(200).body_is("index b");
    });
    table.row(BOTH, "error pages", || {
        get("a.test", "/x").is(404).body_is("not found at a");
        get("b.test", "/x").is(404).body_is("not found at b");
    });
    table.row(BOTH, "body limits", || {
        let post = |host: &str| {
            let mut client = s.client();
            client.try_send(format!("POST /t HTTP/1.1\r\nHost: {host}\r\nContent-Length: 11\r\n\r\nhello world"));
            client.response().status
        };
        assert_eq!(post("b.test"), 413);
        assert_ne!(post("a.test"), 413);
    });
}

#[test]
fn many_servers_are_found() {
    let blocks: String = (0..500)
        .map(|i| {
            format!("server {{ listen 127.0.0.1:%%PORT%%; server_name s{i}.test *.w{i}.test; return 200 {i}; }}\n")
        })
        .collect();
    let s = http(&format!("server_names_hash_max_size 4096;\n{blocks}")).start();
    for i in [0, 1, 250, 499] {
        assert_eq!(ask(&s, 0, &format!("s{i}.test")), i.to_string());
        assert_eq!(ask(&s, 0, &format!("x.w{i}.test")), i.to_string());
    }
    assert_eq!(ask(&s, 0, "s500.test"), "0");
}

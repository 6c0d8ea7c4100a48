//! Which server of a group a request goes to: hash and random, and where the connection to it comes from.

use crate::client::LIMIT;
use crate::harness::{BOTH, Table, http, ours, server};
use crate::upstream::Upstream;

fn named(name: &'static str) -> Upstream {
    Upstream::start(move |peer| {
        while peer.request().is_some() {
            let from = peer.stream.peer_addr().expect("connected").ip();
            let body = format!("{name} {from}");
            if !peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes()) {
                return;
            }
        }
    })
}

#[test]
fn requests_are_spread_over_a_group() {
    let ups = [named("a"), named("b"), named("c")];
    let mut block = "upstream hashed { hash $arg_k; server %%0%%; server %%1%% weight=2; server %%2%%; }
         upstream less { hash $arg_k; server %%0%%; server %%1%% weight=2 down; server %%2%%; }
         upstream broken { hash $arg_k; server %%NOWHERE%%; server %%1%%; server %%2%%; }
         upstream ring { hash $arg_k consistent; server %%0%%; server %%1%%; server %%2%%; }
         upstream cut { hash $arg_k consistent; server %%0%%; server %%1%% down; server %%2%%; }
         upstream dice { random; server %%0%%; server %%1%%; server %%2%% down; }
         upstream two { random two least_conn; server %%0%%; server %%1%%; server %%2%%; }
         server {
             listen 127.0.0.1:%%PORT%%;
             location ~ ^/(hashed|less|broken|ring|cut|dice|two)$ { proxy_pass http://$1; }
             location /from { proxy_bind 127.0.0.9; proxy_pass http://%%0%%; }
             location /made { proxy_bind $arg_from; proxy_pass http://%%0%%; }
             location /off { proxy_bind off; proxy_socket_keepalive on; proxy_pass http://%%0%%; }
         }"
    .to_owned();
    for (at, up) in ups.iter().enumerate() {
        block = block.replace(&format!("%%{at}%%"), &up.address.to_string());
    }
    let s = http(&block.replace("%%NOWHERE%%", &Upstream::nowhere().to_string())).start();
    let mut table = Table::new("groups");
    let who = |target: &str| s.get(target).is(200).text().split(' ').next().unwrap_or_default().to_owned();
    let keys = ["1", "2", "3", "four", "five", "/six", "seven", "eight"];
    let all = |group: &str| keys.map(|key| who(&format!("/{group}?k={key}"))).concat();
    table.row(BOTH, "hash: nginx's server for each value", || {
        assert_eq!((all("hashed"), all("less")), ("abbbbcab".into(), "aaccccac".into()));
    });
    table.row(BOTH, "hash: a server that fails leads to another", || {
        let all = all("broken");
        assert!(!all.contains('a') && all.len() == keys.len(), "{all}");
    });
    table.row(BOTH, "hash: without a value by turns", || {
        assert_eq!((0..4).map(|_| who("/hashed")).collect::<String>().matches('b').count(), 2);
    });
    table.row(BOTH, "hash consistent: a server less moves only what it had", || {
        let (before, after) = (all("ring"), all("cut"));
        assert_eq!(before, all("ring"));
        let moved = before.chars().zip(after.chars()).filter(|(a, b)| a != b);
        assert!(moved.clone().all(|(before, after)| before == 'b' && after != 'b'), "{before} {after}");
    });
    table.row(BOTH, "random", || {
        let all: String = (0..40).map(|_| who("/dice")).collect();
        assert!(all.contains('a') && all.contains('b') && !all.contains('c'), "{all}");
        let all: String = (0..60).map(|_| who("/two")).collect();
        assert!("abc".chars().all(|name| all.contains(name)), "{all}");
    });
    table.row(BOTH, "proxy_bind", || {
        s.get("/from").is(200).body_is("a 127.0.0.9");
        s.get("/off").is(200).body_is("a 127.0.0.1");
        s.get("/made?from=127.0.0.8").is(200).body_is("a 127.0.0.8");
        s.get("/made?from=").is(200).body_is("a 127.0.0.1");
        s.get("/made?from=me").is(200).body_is("a 127.0.0.1");
        s.await_file("logs/error.log", |text| text.contains("invalid local address \"me\""));
    });
}

#[test]
fn hosts_in_variables_are_looked_up_when_the_configuration_is_read() {
    let up = named("up");
    let port = up.address.port().to_string();
    let s = server(
        &"set $host_name localhost;
         location /a { set $app $host_name; set $app_port %%UP%%; proxy_pass http://$app:$app_port; }
         location /b/ { set $to http://localhost:%%UP%%; proxy_pass $to$request_uri; }
         location /c {
             if ($arg_x) { set $other localhost; }
             if ($arg_y) { set $other no.such.invalid; }
             proxy_pass http://$other:%%UP%%/c;
         }
         location /d { proxy_pass http://$arg_host:%%UP%%; }"
            .replace("%%UP%%", &port),
    )
    .start();
    let mut table = Table::new("hosts in variables");
    for target in ["/a", "/b/x?y", "/c?x=1", "/d?host=localhost"] {
        table.row(ours("nginx asks its resolver at run time"), target, || {
            s.get(target).is(200).body_is("up 127.0.0.1");
        });
    }
    table.row(BOTH, "a host that is not known", || {
        s.get("/c?y=1").is(502);
        s.get("/d?host=other.invalid").is(502);
        s.await_file("logs/error.log", |text| text.contains("no resolver defined to resolve other.invalid"));
    });
}

#[test]
fn least_time_takes_the_server_that_answers_sooner() {
    let slow = Upstream::start(|peer| {
        while peer.request().is_some() {
            std::thread::sleep(std::time::Duration::from_millis(150));
            if !peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow") {
                return;
            }
        }
    });
    let fast = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfast");
    let group = |name: &str, method: &str| {
        format!("upstream {name} {{ least_time {method}; server {}; server {}; }}", slow.address, fast.address)
    };
    let groups = [group("head", "header"), group("last", "last_byte"), group("flight", "last_byte inflight")].concat();
    let s = http(&format!(
        "{groups} server {{ listen 127.0.0.1:%%PORT%%; location ~ ^/(head|last|flight)$ {{ proxy_pass http://$1; }} }}"
    ))
    .start();
    for target in ["/head", "/last", "/flight"] {
        let answers: Vec<String> = (0..8).map(|_| s.get(target).text()).collect();
        assert_eq!(answers.iter().filter(|text| *text == "slow").count(), 1, "{target}: {answers:?}");
    }
    let wrong = http("upstream u { least_time soon; server 127.0.0.1:1; }").test_config();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("invalid value \"soon\""), "{wrong:?}");
}

#[test]
fn a_response_that_is_cut_short_does_not_take_its_server_out_of_the_group() {
    let cut = Upstream::start(|peer| {
        let _ = peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut");
    });
    let other = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother");
    let s = http(&format!(
        "upstream u {{ server {}; server {} backup; }}
         server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_pass http://u; }} }}",
        cut.address, other.address
    ))
    .start();
    for _ in 0..3 {
        let mut client = s.client();
        client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = String::from_utf8_lossy(&client.rest_within(LIMIT)).into_owned();
        assert!(answer.ends_with("\r\n\r\ncut"), "{answer}");
    }
}

#[test]
fn only_connections_of_an_upstream_block_are_kept() {
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    let s = http(&format!(
        "upstream u {{ server {0}; }} server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_pass http://{0}; }}
         location /u {{ proxy_pass http://u; }} }}",
        up.address
    ))
    .start();
    for _ in 0..4 {
        s.get("/").is(200);
    }
    assert_eq!(up.connections(), 4);
    for _ in 0..4 {
        s.get("/u").is(200);
    }
    assert_eq!(up.connections(), 5);
}

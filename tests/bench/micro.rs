//! Small parts of the hot path, and the load of a large configuration, in nanoseconds: `cargo bench --bench micro
//! [WORD]` runs those whose name has the word. Each figure is the median of a few samples, beside the fastest and the
//! slowest; nothing is asserted of time. Without `--bench` (`cargo test --benches`) each runs once, to show that it
//! works. What a user notices is measured by `tests/bench/run`.
//!
//! Invariant: each measured piece is checked once to do what its name says.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use webserv::config::build::Form;
use webserv::config::load::{LoadOptions, load_text};
use webserv::config::model::{Config, EndpointId, ServerId};
use webserv::config::resolve::resolve;
use webserv::conn::http1::head_finder::HeadFinder;
use webserv::conn::http1::state::Http1;
use webserv::conn::request::{RequestReader, queue};
use webserv::exchange::access_log::ClientFacts;
use webserv::exchange::cacheable;
use webserv::exchange::handlers::Handler;
use webserv::exchange::{Client, Exchange, Tx, entry};
use webserv::http::h1::head::{HeadParser, HeadProgress};
use webserv::http::request_head::HeadLimits;
use webserv::http::uri;
use webserv::route::{NoTrace, location, server};
use webserv::services::Services;
use webserv::services::logs::Logs;
use webserv::sys::socket::Peer;

const SAMPLES: usize = 11;
/// Samples of what takes longer than one of them should.
const SLOW_SAMPLES: usize = 5;
/// What one sample aims to last: long beside the clock's step, short beside the scheduler's.
const SAMPLE: Duration = Duration::from_millis(10);

const SHORT: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

const BROWSER: &[u8] = b"GET /assets/app.3f9c2.js?v=12 HTTP/1.1\r\n\
Host: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
Accept-Language: de,en-US;q=0.7,en;q=0.3\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Referer: http://www.example.com/start/page.html\r\n\
Connection: keep-alive\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\n\
Upgrade-Insecure-Requests: 1\r\n\
Sec-Fetch-Dest: script\r\n\
Sec-Fetch-Mode: no-cors\r\n\
Sec-Fetch-Site: same-origin\r\n\
If-None-Match: \"68b1-5f2c\"\r\n\
Priority: u=2\r\n\r\n";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let timer = Timer {
        measure: words.iter().any(|word| word == "--bench"),
        wanted: words.into_iter().filter(|word| !word.starts_with('-')).collect(),
    };
    heads(&timer);
    uris(&timer);
    locations(&timer);
    names(&timer);
    answers(&timer);
    lists(&timer);
    reading(&timer);
    configurations(&timer);
}

struct Timer {
    measure: bool,
    wanted: Vec<String>,
}

impl Timer {
    fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|word| name.contains(word.as_str()))
    }

    /// Runs `work` as often as fills the samples, and prints what one run takes.
    fn time<T>(&self, name: &str, mut work: impl FnMut() -> T) {
        if !self.wants(name) {
            return;
        }
        let mut sample = |times: u64| {
            let began = Instant::now();
            for _ in 0..times {
                black_box(work());
            }
            began.elapsed()
        };
        let first = sample(1);
        if !self.measure {
            println!("{name}: runs");
            return;
        }
        let mut times = 1;
        let mut took = first;
        while took < SAMPLE {
            times *= 2;
            took = sample(times);
        }
        let count = if first < SAMPLE { SAMPLES } else { SLOW_SAMPLES };
        let mut each: Vec<f64> = (0..count).map(|_| sample(times).as_nanos() as f64 / times as f64).collect();
        each.sort_by(f64::total_cmp);
        println!("{name:<44} {:>14.1} ns  ({:.1} – {:.1})", each[count / 2], each[0], each[count - 1]);
    }
}

fn heads(timer: &Timer) {
    let limits = HeadLimits::default();
    for (name, bytes) in [("head: short", SHORT), ("head: a browser's", BROWSER)] {
        let mut head = HeadParser::default();
        assert_eq!(head.parse(bytes, &limits), Ok(HeadProgress::Complete), "{name}");
        timer.time(name, || {
            head.clear();
            head.parse(black_box(bytes), &limits)
        });
    }
    // As it comes through a slow network: parsed again after each of 16 pieces, which must not start over.
    let mut head = HeadParser::default();
    let step = BROWSER.len().div_ceil(16);
    timer.time("head: a browser's, in 16 pieces", || {
        head.clear();
        (1..=16).map(|n| head.parse(&BROWSER[..(n * step).min(BROWSER.len())], &limits)).last()
    });
}

fn uris(timer: &Timer) {
    let table: [(&str, &[u8], &[u8]); 3] = [
        ("uri: normal already", b"/assets/app.3f9c2.js?v=12", b"/assets/app.3f9c2.js"),
        ("uri: escapes", b"/a%20b/%C3%A4/c.html", "/a b/ä/c.html".as_bytes()),
        ("uri: dots and slashes", b"/a/./b//c/../../d/e.html", b"/a/d/e.html"),
    ];
    let mut out = Vec::new();
    for (name, from, to) in table {
        assert!(uri::normalize(from, uri::Slashes::Merge, &mut out).is_ok() && out == to, "{name}");
        timer.time(name, || uri::normalize(black_box(from), uri::Slashes::Merge, &mut out));
    }
}

/// A configuration of this content in `http`.
fn config(http: &str) -> Config {
    let mut loaded = load_text(
        "micro.conf",
        format!("error_log stderr emerg; events {{}} http {{ {http} }}").as_bytes(),
        &LoadOptions::default(),
    );
    let resolved = resolve(&mut loaded, Path::new("/nowhere"), Form::Webserv, Vec::new(), None);
    let shown = resolved.diagnostics.render(&loaded.sources, "micro");
    resolved.config.unwrap_or_else(|| panic!("{shown}"))
}

fn locations(timer: &Timer) {
    let prefixes = |count: usize| (0..count).map(|n| format!("location /area{n}/in/ {{ }}\n")).collect::<String>();
    let regexes = |count: usize| (0..count).map(|n| format!("location ~ ^/app{n}/[a-z]+\\.html$ {{ }}\n")).collect();
    // Every location is asked for in its turn, so that no branch is learnt by heart.
    let table: [(&str, String, &str, usize); 5] = [
        ("location: 1 prefix", prefixes(1), "/area", 1),
        ("location: 100 prefixes", prefixes(100), "/area", 100),
        ("location: 10 000 prefixes", prefixes(10_000), "/area", 10_000),
        ("location: 10 regexes", regexes(10), "/app", 10),
        ("location: 200 regexes", regexes(200), "/app", 200),
    ];
    for (name, text, area, count) in table {
        if !timer.wants(name) {
            continue;
        }
        let config = config(&format!("server {{ listen 8080; {text} }}"));
        let root = config.server(ServerId(0)).root;
        let page = if area == "/app" { "page.html" } else { "in/page.html" };
        let uris: Vec<String> = (0..count).map(|n| format!("{area}{}/{page}", n * 7919 % count)).collect();
        let find =
            |uri: &str| location::find(&config, ServerId(0), uri.as_bytes(), &mut NoTrace).expect("decided").location;
        assert!(uris.iter().all(|uri| find(uri) != root) && find("/other") == root, "{name}");
        let mut turn = uris.iter().cycle();
        timer.time(name, || turn.next().map(|uri| find(uri)));
    }
}

fn names(timer: &Timer) {
    const COUNT: usize = 10_000;
    let table: [(&str, &str, &str); 2] =
        [("server: 10 000 names", "", "www."), ("server: 10 000 wildcards", "*.", "a.b.")];
    for (name, written, asked) in table {
        if !timer.wants(name) {
            continue;
        }
        let server = |n| format!("server {{ listen 8080; server_name {written}site{n}.example.com; }}\n");
        let mut text: String = (0..COUNT).map(server).collect();
        let asked = if written.is_empty() { "" } else { asked };
        text.push_str("server { listen 8080 default_server; }");
        let config = config(&text);
        let endpoint = &config.endpoints[0];
        let hosts: Vec<String> = (0..COUNT).map(|n| format!("{asked}site{}.example.com", n * 7919 % COUNT)).collect();
        let find = |host: &str| server::find(endpoint, host.as_bytes(), &mut NoTrace).expect("decided").0;
        assert!(hosts.iter().all(|host| find(host) != endpoint.default), "{name}");
        let mut turn = hosts.iter().cycle();
        timer.time(name, || turn.next().map(|host| find(host)));
    }
}

/// From the bytes of a request to the bytes of its answer, without a socket: all that is not the kernel's.
fn answers(timer: &Timer) {
    let config = config(&format!(
        "access_log off; log_not_found off; server {{ listen 127.0.0.1:8080; root {}; location = /text {{ return 200 text; }} }}",
        env!("CARGO_MANIFEST_DIR")
    ));
    let mut cx = Services::new(Rc::new(config), Logs::new());
    let client =
        Client::of_no_connection(Peer::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000), EndpointId(0), cx.now.ms, false);
    let table: [(&str, &[u8], &[u8]); 4] = [
        ("answer: return 200", b"GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 200 "),
        ("answer: a small file", b"GET /rustfmt.toml HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 200 "),
        ("answer: 404", b"GET /no/such.html HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 404 "),
        ("answer: a browser's request, 404", BROWSER, b"HTTP/1.1 404 "),
    ];
    let mut ex = Exchange::new(&mut cx, client.clone());
    let mut handler = Handler::None;
    let (mut http1, mut reader) = (Http1::default(), RequestReader::default());
    let finder = HeadFinder::default();
    for (name, request, expected) in table {
        let mut answer = || {
            ex.release(&mut cx);
            let mut input = cx.buffers.take();
            input.extend_from_slice(request);
            ex.reuse(&mut cx, client.clone());
            cx.buffers.give(std::mem::take(&mut reader.input));
            reader.begin(input, 0);
            http1.next_request(false);
            assert_eq!(http1.parse(&ex, &reader), Ok(HeadProgress::Complete), "{name}");
            http1.hand_over(&mut ex, &mut reader);
            entry::begin(&mut ex, &mut handler, &mut cx);
            queue(&mut ex, &mut handler, &mut reader, &mut cx);
            assert!(ex.progress.tx != Tx::Wait && ex.out.text().starts_with(expected), "{name}");
        };
        timer.time(name, &mut answer);
        // The same once it is known: the second time it came.
        answer();
        let head = finder.find(request).expect("a head");
        let hash = cx.response_cache.hash(client.endpoint, &request[..head]);
        cacheable::learn(hash, None, &mut ex, &mut cx);
        let mut out = Vec::new();
        let mut again = || {
            let head = finder.find(request).expect("a head");
            let hash = cx.response_cache.hash(client.endpoint, &request[..head]);
            let known = cx.response_cache.find(hash, client.endpoint, &request[..head])?.clone();
            out.clear();
            cacheable::render(
                &known,
                ClientFacts { peer: &client.peer, serial: 1, requests: 1, ms: 0, cut: None },
                &mut cx,
                &mut out,
            )
        };
        if again().is_some() {
            timer.time(&format!("{name}, known"), &mut again);
            assert!(out.starts_with(expected), "{name}");
        }
    }
}

/// Lists of patterns: what grows with their length. The last entry is the one that matches.
fn lists(timer: &Timer) {
    const LINES: [(&str, &str, &str); 3] = [
        ("rewrites", "rewrite ^/old@/(.*)$ /new/$1 break;", ""),
        ("ifs", "if ($uri ~ ^/old@/) { set $found @; }", ""),
        ("map entries", "~^/old@/ @;", "map $uri $found { "),
    ];
    for (name, line, opening) in LINES {
        for count in [10, 1000] {
            let name = format!("list: {count} {name}");
            if !timer.wants(&name) {
                continue;
            }
            let lines: String = (0..count).map(|at| format!("{}\n", line.replace('@', &at.to_string()))).collect();
            let (map, script) = if opening.is_empty() {
                (String::new(), lines)
            } else {
                (format!("{opening}{lines}}}"), String::new())
            };
            let last = count - 1;
            let config = config(&format!(
                "access_log off; {map} server {{ listen 127.0.0.1:8080; set $found {last}; {script} return 200 $found; }}"
            ));
            let mut cx = Services::new(Rc::new(config), Logs::new());
            let client = Client::of_no_connection(
                Peer::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000),
                EndpointId(0),
                cx.now.ms,
                false,
            );
            let request = format!("GET /old{last}/page.html HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let mut ex = Exchange::new(&mut cx, client.clone());
            let mut handler = Handler::None;
            let (mut http1, mut reader) = (Http1::default(), RequestReader::default());
            timer.time(&name, || {
                ex.release(&mut cx);
                let mut input = cx.buffers.take();
                input.extend_from_slice(request.as_bytes());
                ex.reuse(&mut cx, client.clone());
                cx.buffers.give(std::mem::take(&mut reader.input));
                reader.begin(input, 0);
                http1.next_request(false);
                assert_eq!(http1.parse(&ex, &reader), Ok(HeadProgress::Complete), "{name}");
                http1.hand_over(&mut ex, &mut reader);
                entry::begin(&mut ex, &mut handler, &mut cx);
                queue(&mut ex, &mut handler, &mut reader, &mut cx);
                assert!(ex.progress.tx != Tx::Wait, "{name}");
            });
        }
    }
    let names = |count: usize| {
        (0..count).map(|at| format!("server {{ listen 8080; server_name ~^(.*)\\.site{at}\\.test$; }}\n"))
    };
    for count in [10, 1000] {
        let name = format!("list: {count} server_name patterns");
        if !timer.wants(&name) {
            continue;
        }
        let config = config(&names(count).collect::<String>());
        let host = format!("www.site{}.test", count - 1);
        let find = || server::find(&config.endpoints[0], host.as_bytes(), &mut NoTrace).expect("decided").0;
        assert_eq!(find(), ServerId(count as u32 - 1), "{name}");
        timer.time(&name, find);
    }
}

/// From text to model, 1000 patterns of each kind, engines not built.
fn reading(timer: &Timer) {
    let servers: String =
        (0..1000).map(|at| format!("server {{ listen 8080; server_name ~^(.*)\\.site{at}\\.test$; }}\n")).collect();
    let map: String = (0..1000).map(|at| format!("~^/old{at}/(.*)$ {at};\n")).collect();
    let exact: String = (0..1000).map(|at| format!("/old{at}/ {at};\n")).collect();
    for (name, text) in [
        ("config: 1000 server_name patterns", servers),
        ("config: a map of 1000 patterns", format!("map $uri $x {{ {map} }} server {{ listen 8080; }}")),
        ("config: a map of 1000 strings", format!("map $uri $x {{ {exact} }} server {{ listen 8080; }}")),
    ] {
        timer.time(name, || config(&text));
    }
}

fn configurations(timer: &Timer) {
    const NAME: &str = "config: 10 000 servers, text to model";
    if !timer.wants(NAME) {
        return;
    }
    let server = |n| {
        format!(
            "server {{\n    listen 8080;\n    server_name site{n}.example.com www.site{n}.example.com;\n    root /srv/site{n};\n    \
             location / {{ try_files $uri $uri/ =404; }}\n    location ~ \\.php$ {{ return 404; }}\n}}\n"
        )
    };
    let text: String = (0..10_000).map(server).collect();
    timer.time(NAME, || config(&text).servers.len());
}

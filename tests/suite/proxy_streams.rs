//! proxy_pass, black-box: unix sockets, large bodies in bounded memory, WebSockets, clients that leave.

use crate::client::LIMIT;
use crate::harness::{BOTH, Table, http, noise, ours, server};
use crate::proxy::{place, setup};
use crate::transport::Stream;
use crate::upstream::Upstream;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

#[test]
fn unix_sockets_are_upstreams_too() {
    let setup = server("location / { proxy_pass http://unix:%%DIR%%/up.sock:/part/; }");
    let listener = std::os::unix::net::UnixListener::bind(setup.dir().join("up.sock")).expect("a fresh directory");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buf = [0; 4096];
            let n = stream.read(&mut buf).unwrap_or(0);
            let line = String::from_utf8_lossy(&buf[..n]).lines().next().unwrap_or_default().to_owned();
            let host = String::from_utf8_lossy(&buf[..n]).contains("Host: localhost\r\n");
            let body = format!("{line} {host}");
            let _ =
                stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        }
    });
    let s = setup.start();
    s.get("/x").is(200).body_is("GET /part/x HTTP/1.1 true");
}

#[test]
fn large_bodies_stream_through_bounded_memory() {
    const SIZE: usize = 100 << 20;
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.head() {
            let length = request.all("content-length").first().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
            let mut left = length;
            while left > 0 {
                let Some(bytes) = peer.some() else { return };
                left = left.saturating_sub(bytes.len());
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
            if !peer.send(if length > 0 {
                b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
            } else {
                head.as_bytes()
            }) {
                return;
            }
            let block = vec![b'x'; 1 << 20];
            if length == 0 && !(0..SIZE >> 20).all(|_| peer.send(&block)) {
                return;
            }
        }
    });
    let s =
        setup("client_max_body_size 0; location / { proxy_pass http://%%0%%; proxy_max_temp_file_size 0; }", &[&up]);
    let s = s.start();
    s.get("/").is(200);
    let mut table = Table::new("large bodies");
    table.row(ours("nginx writes the body to a file first"), "down, while the client reads slowly", || {
        let before = s.kilobytes("VmRSS");
        let mut stream = Stream::connect(s.address(0)).expect("listening");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        let mut buf = vec![0; 1 << 20];
        let (mut read, mut most) = (0, 0);
        while read < SIZE {
            read += stream.read(&mut buf).expect("the response comes");
            most = most.max(s.kilobytes("VmRSS"));
        }
        assert!(most < before + 8 * 1024, "{before} kB became {most} kB");
    });
    table.row(ours("nginx writes the body to a file first"), "up", || {
        let before = s.kilobytes("VmRSS");
        let mut client = s.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
        let block = vec![b'y'; 1 << 20];
        let mut most = 0;
        for _ in 0..SIZE >> 20 {
            client.send(&block);
            most = most.max(s.kilobytes("VmRSS"));
        }
        client.response().is(200).body_is("done");
        assert!(most < before + 8 * 1024, "{before} kB became {most} kB");
    });
    table.row(ours("nginx sends no more of a body once the response has begun"), "both ways at once", || {
        let echo = Upstream::start(|peer| {
            peer.head();
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
            while let Some(bytes) = peer.some() {
                peer.send(&bytes);
            }
        });
        let s = setup("client_max_body_size 0; location / { proxy_pass http://%%0%%; }", &[&echo]).start();
        let body = noise(8 << 20);
        let mut reader = TcpStream::connect(s.address(0)).expect("listening");
        let mut writer = reader.try_clone().expect("dup");
        let sent = body.clone();
        let sender = std::thread::spawn(move || {
            writer.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n").expect("sent");
            writer.write_all(&sent).expect("sent");
        });
        let mut all = Vec::new();
        while all.len() < body.len() || !all.ends_with(&body[body.len() - 100..]) {
            let mut buf = [0; 65536];
            let n = reader.read(&mut buf).expect("the echo comes");
            assert!(n > 0, "closed after {} bytes", all.len());
            all.extend_from_slice(&buf[..n]);
        }
        sender.join().expect("sent");
        assert!(all.ends_with(&body));
    });
}

/// What follows its request is another request, perhaps another user's behind a proxy in front, and no bytes for the
/// upstream.
#[test]
fn a_client_that_asked_for_no_upgrade_gets_no_tunnel() {
    let got = Arc::new(Mutex::new(Vec::new()));
    let record = got.clone();
    let up = Upstream::start(move |peer| {
        let Some(_) = peer.request() else { return };
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
        while let Some(bytes) = peer.some() {
            record.lock().expect("no panic while it is held").extend(bytes);
        }
    });
    let s = setup(
        "location / {
             proxy_pass http://%%0%%;
             proxy_http_version 1.1;
             proxy_set_header Upgrade websocket;
             proxy_set_header Connection upgrade;
         }
         location /other { return 200 other; }",
        &[&up],
    )
    .allow_log("101")
    .start();
    for (version, fields) in [("1.1", ""), ("1.0", "Upgrade: websocket\r\nConnection: upgrade\r\n")] {
        let mut stream = Stream::connect(s.address(0)).expect("listening");
        stream.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
        let requests = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\nGET /other HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(requests.as_bytes()).expect("sent");
        // The connection ends, with the 101 that the upstream sent or a 502; a reset says the same.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let got = got.lock().expect("no panic while it is held");
    assert!(got.is_empty(), "{:?}", String::from_utf8_lossy(&got));
}

/// A tunnel of HTTP/2 carries requests to any path, past the rules of this server.
#[test]
fn h2c_that_a_client_asks_for_makes_no_tunnel_past_the_access_rules() {
    if crate::table::skip_on_nginx("nginx passes h2c on, and tunnels it") {
        return;
    }
    let up = Upstream::start(|peer| {
        let Some(request) = peer.request() else { return };
        let asked = request.all("upgrade").join(", ");
        match request.target() {
            "/other" => peer.send(b"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
            _ if asked.is_empty() => peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            _ => peer.send(format!("HTTP/1.1 101 S\r\nUpgrade: {asked}\r\nConnection: Upgrade\r\n\r\n").as_bytes()),
        };
    });
    let s = setup(
        "proxy_http_version 1.1;
         location / {
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass http://%%0%%;
         }
         location /named { proxy_set_header Upgrade h2c; proxy_set_header Connection upgrade; proxy_pass http://%%0%%; }",
        &[&up],
    )
    .allow_log("was not asked for")
    .start();
    for (target, upgrade, status, asked) in [
        ("/", "websocket", 101, &["websocket"][..]),
        ("/", "SPDY/3.1", 101, &["SPDY/3.1"]),
        ("/", "h2c", 200, &[]),
        ("/", "H2C", 200, &[]),
        ("/", "TLS/1.0, HTTP/1.1", 200, &[]),
        ("/", "h2c, websocket", 101, &["websocket"]),
        ("/named", "h2c", 101, &["h2c"]),
        ("/other", "websocket", 502, &["websocket"]),
    ] {
        let mut client = s.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"));
        assert_eq!((client.response().status, &up.last().all("upgrade")[..]), (status, asked), "{target} {upgrade}");
    }
}

#[test]
fn a_websocket_is_tunnelled() {
    let up = Upstream::start(|peer| {
        let Some(request) = peer.request() else { return };
        if request.all("upgrade") != ["websocket"] || request.all("connection") != ["upgrade"] {
            peer.send(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
        while let Some(bytes) = peer.some() {
            if bytes == b"bye" || !peer.send(&bytes) {
                return;
            }
        }
    });
    let s = setup(
        "location / {
             proxy_pass http://%%0%%;
             proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade;
             proxy_set_header Connection \"upgrade\";
             location /chat/brief { proxy_pass http://%%0%%; proxy_read_timeout 3s; }
         }",
        &[&up],
    )
    .start();
    let connect = |target: &str, extra: &[u8]| {
        let mut stream = Stream::connect(s.address(0)).expect("listening");
        stream.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        stream.write_all(&[head.as_bytes(), extra].concat()).expect("sent");
        stream
    };
    let until = |stream: &mut Stream, end: &[u8]| {
        let mut all = Vec::new();
        while !all.ends_with(end) {
            let mut buf = [0; 65536];
            let n = stream.read(&mut buf).expect("the echo comes");
            assert!(n > 0, "closed: {:?}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&buf[..n]);
        }
        all
    };
    let mut table = Table::new("websocket");
    table.row(BOTH, "an echo both ways", || {
        let mut stream = connect("/chat", b"");
        let head = until(&mut stream, b"hello");
        let head = String::from_utf8_lossy(&head);
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert!(head.contains("Upgrade: websocket\r\n") && head.contains("Connection: upgrade\r\n"), "{head}");
        for size in [1, 100, 100_000, 1 << 20] {
            let data = noise(size);
            let mut back = vec![0; size];
            if crate::over_tls::is_wanted() {
                // The two ends of a session are one: turn by turn.
                for (piece, back) in data.chunks(16_000).zip(back.chunks_mut(16_000)) {
                    stream.write_all(piece).expect("sent");
                    stream.read_exact(back).expect("the echo comes");
                }
            } else {
                let sent = data.clone();
                let mut writer = stream.try_clone().expect("dup");
                let sender = std::thread::spawn(move || writer.write_all(&sent).expect("sent"));
                stream.read_exact(&mut back).expect("the echo comes");
                sender.join().expect("sent");
            }
            assert!(back == data, "{size} bytes");
        }
        stream.write_all(b"bye").expect("sent");
        assert_eq!(stream.read(&mut [0; 1]).expect("closed"), 0);
    });
    table.row(BOTH, "bytes behind the request", || {
        let mut stream = connect("/chat", b"early");
        until(&mut stream, b"early");
        stream.shutdown(Shutdown::Both).expect("shutdown");
    });
    table.row(BOTH, "silence ends it after proxy_read_timeout", || {
        let mut stream = connect("/chat/brief", b"");
        until(&mut stream, b"hello");
        assert_eq!(stream.read(&mut [0; 1]).expect("closed"), 0);
    });
    table.row(BOTH, "a request that asks for nothing", || {
        s.get("/").is(400);
    });
}

/// The client closes its connection and asks by another: it must not find itself still counted.
#[test]
fn a_client_that_comes_back_is_not_refused_for_the_connection_it_closed() {
    let up = Upstream::start(|peer| {
        // Answers nothing.
        if peer.request().is_some() {
            peer.some();
        }
    });
    let s = http(&place(
        "limit_conn_zone $binary_remote_addr zone=one:1m;
         server {
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             location / { limit_conn one 1; }
             location /wait { limit_conn one 1; proxy_pass http://%%0%%; }
         }",
        &[&up],
    ))
    .file("html/f", "f")
    .start();
    for round in 1..=10 {
        let mut first = s.client();
        first.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        while up.requests().len() < round {
            std::thread::yield_now();
        }
        s.get("/f").is(503);
        // The next connection is there before the first is closed, its request behind that.
        let mut next = s.frozen(|| {
            let mut next = s.client();
            first.leave();
            next.send("GET /f HTTP/1.1\r\nHost: a\r\n\r\n");
            next
        });
        next.response().is(200);
    }
}

#[test]
fn clients_that_leave() {
    let up = Upstream::start(|peer| {
        // Answers nothing; its end is what the test waits for.
        let Some(request) = peer.request() else { return };
        if request.target().starts_with("/body") {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
            let block = vec![b'x'; 1 << 16];
            let _ = peer.send(head);
            while peer.send(&block) {}
        }
        while peer.some().is_some() {}
        if let Some((_, path)) = request.target().split_once('?') {
            fs::write(path, "gone").expect("the test's directory");
        }
    });
    let s = setup("location / { proxy_pass http://%%0%%; } location /f { return 200 ok; }", &[&up]).start();
    let ask = |target: &str, file: &str| {
        let before = up.requests().len();
        let mut client = s.client();
        client.send(format!("GET {target}?{} HTTP/1.1\r\nHost: a\r\n\r\n", s.path(file).display()));
        while up.requests().len() == before {
            std::thread::yield_now();
        }
        client
    };
    let mut table = Table::new("clients that leave");
    table.row(BOTH, "before an answer: the upstream is left too", || {
        ask("/wait", "gone-early").reset();
        s.await_file("gone-early", |text| text == "gone");
    });
    table.row(ours("nginx goes on filling a file"), "within the body: the upstream is left too", || {
        ask("/body", "gone-late").reset();
        s.await_file("gone-late", |text| text == "gone");
    });
    table.row(BOTH, "499 is logged", || {
        ask("/wait", "gone-499").half_close();
        s.await_file("gone-499", |text| text == "gone");
        s.await_file("logs/access.log", |log| log.lines().any(|line| line.contains("-499") && line.contains(" 499 ")));
    });
    table.row(BOTH, "others are served", || {
        s.get("/f").is(200);
    });
}

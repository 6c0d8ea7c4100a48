//! Responses that come faster than their clients take them, black-box: the upstream is free at once, and what it sent
//! waits in a temporary file.

use crate::client::LIMIT;
use crate::harness::{BOTH, Server, Table, eventually, noise, ours};
use crate::http2::client::{H2, connect_small};
use crate::proxy::setup;
use crate::upstream::Upstream;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use webserv::http::h2::frame::{self, kind};

/// More than the kernel holds between an upstream and its client.
const SIZE: usize = 24 << 20;

/// Sends [`SIZE`] bytes, framed as the path says; the counter is of those that it has sent whole.
fn upstream() -> (Upstream, Arc<AtomicUsize>, Arc<Vec<u8>>) {
    let (done, content) = (Arc::new(AtomicUsize::new(0)), Arc::new(noise(SIZE)));
    let (count, body) = (done.clone(), content.clone());
    let up = Upstream::start(move |peer| {
        while let Some(first) = peer.some() {
            let request = String::from_utf8_lossy(&first).into_owned();
            let is = |word: &str| request.contains(word);
            let head = match () {
                () if is("/chunked") => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                () if is("/close") => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(),
                () if is("/cut") => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", SIZE + 1),
                () if is("SCGI") => "Status: 200 OK\r\n\r\n".to_owned(),
                () => format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"),
            };
            let mut sent = peer.send(head.as_bytes());
            for piece in body.chunks(100_000) {
                let framed = is("/chunked");
                sent = sent
                    && (!framed || peer.send(format!("{:x}\r\n", piece.len()).as_bytes()))
                    && peer.send(piece)
                    && (!framed || peer.send(b"\r\n"));
            }
            sent = sent && (!is("/chunked") || peer.send(b"0\r\n\r\n"));
            count.fetch_add(usize::from(sent), Ordering::SeqCst);
            if is("/close") || is("/cut") || is("SCGI") {
                return;
            }
        }
    });
    (up, done, content)
}

/// Asks over a connection whose kernel holds little of what is not read.
fn ask(s: &Server, path: &str) -> TcpStream {
    let mut client = connect_small(s.address(0), 64 << 10);
    client.set_read_timeout(Some(LIMIT)).expect("a timeout");
    client.write_all(format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n").as_bytes()).expect("it is read");
    client
}

/// What it gets to the end of its connection, without the head.
fn rest(mut client: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset ends it as well.
    let _ = client.read_to_end(&mut all);
    let at = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    all.split_off(at)
}

/// The size of the file without a name that the server has open. None: there is none.
fn spooled(s: &Server) -> Option<u64> {
    let fds = std::fs::read_dir(format!("/proc/{}/fd", s.pid)).expect("its descriptors");
    let is_gone = |path: &std::path::Path| {
        let to = std::fs::read_link(path).unwrap_or_default().to_string_lossy().into_owned();
        to.contains("_temp/") && to.ends_with(" (deleted)")
    };
    fds.flatten().find(|fd| is_gone(&fd.path())).and_then(|fd| std::fs::metadata(fd.path()).ok()).map(|file| file.len())
}

/// Lets this much more of a response come, on its stream and on the connection.
fn widen(c: &mut H2, stream: u32, by: u32) {
    for id in [stream, 0] {
        c.frame(kind::WINDOW_UPDATE, 0, id, &by.to_be_bytes());
    }
}

const REFUSED: &str = "the upstream waits for its client";
const BUFFERED: &str = "an upstream response is buffered to a temporary file";

#[test]
fn an_upstream_is_free_though_its_client_reads_nothing() {
    let (up, done, content) = upstream();
    let block = "http2 on; location / { proxy_pass http://%%0%%; }
        location /scgi { scgi_pass %%0%%; scgi_param SCGI 1; }
        location /slow/ { limit_rate 1k; proxy_pass http://%%0%%; }";
    let s = setup(block, &[&up]).start();
    let mut table = Table::new("slow clients");
    for path in ["/length", "/chunked", "/close", "/scgi"] {
        table.row(BOTH, path, || {
            let (before, client) = (done.load(Ordering::SeqCst), ask(&s, path));
            eventually("the upstream has done its part", || done.load(Ordering::SeqCst) > before);
            assert!(rest(client) == *content);
        });
    }
    table.row(BOTH, "limit_rate", || {
        let (before, _client) = (done.load(Ordering::SeqCst), ask(&s, "/slow/x"));
        eventually("the upstream has done its part", || done.load(Ordering::SeqCst) > before);
    });
    table.row(BOTH, "HTTP/2", || {
        let before = done.load(Ordering::SeqCst);
        let mut c = H2::connect_small(s.address(0), 64 << 10);
        let stream = c.request("GET", "/chunked", &[], true);
        eventually("the upstream has done its part", || done.load(Ordering::SeqCst) > before);
        assert!(c.answer(stream).body == *content);
    });
    table.row(BOTH, "HTTP/2, a window that grows in small steps", || {
        let before = done.load(Ordering::SeqCst);
        let mut c = H2::connect_raw(s.address(0));
        c.send(frame::PREFACE);
        c.frame(kind::SETTINGS, 0, 0, b"");
        let stream = c.request("GET", "/length", &[], true);
        let mut taken = 0;
        while taken < 65_535 {
            taken += c.until(|frame| frame.header.kind == kind::DATA).expect("its window allows it").payload.len();
        }
        eventually("the upstream has done its part", || {
            // As slow as a program that reads 500 kB/s.
            std::thread::sleep(Duration::from_millis(4));
            widen(&mut c, stream, 2000);
            while c.until(|frame| frame.header.kind == kind::DATA).expect("its window allows it").payload.is_empty() {}
            done.load(Ordering::SeqCst) > before
        });
        widen(&mut c, stream, 0x3fff_ffff);
        assert!(content.ends_with(&c.answer(stream).body));
    });
    assert!(s.error_log().contains(BUFFERED));
}

#[test]
fn temporary_files_of_responses_have_their_limits() {
    let (up, done, content) = upstream();
    let block = "location / { proxy_pass http://%%0%%; proxy_temp_path %%DIR%%/temp 1; }
        location /none/ { proxy_pass http://%%0%%; proxy_max_temp_file_size 0; }
        location /some/ { proxy_pass http://%%0%%; proxy_max_temp_file_size 1m; proxy_temp_file_write_size 64k; }
        location /off/ { proxy_pass http://%%0%%; proxy_buffering off; }";
    let s = setup(block, &[&up]).allow_log(REFUSED).start();
    let mut table = Table::new("limits of temporary files");
    for path in ["/none/x", "/off/x"] {
        table.row(BOTH, path, || {
            assert!(rest(ask(&s, path)) == *content);
            assert!(!s.error_log().contains(BUFFERED));
        });
    }
    table.row(BOTH, "a limit", || {
        let client = ask(&s, "/some/x");
        eventually("the file is full", || spooled(&s).is_some_and(|len| len > (1 << 20) - (64 << 10)));
        assert!(rest(client) == *content);
    });
    table.row(ours("nginx throws away what it has in buffers"), "an upstream that breaks off", || {
        let (before, client) = (done.load(Ordering::SeqCst), ask(&s, "/cut"));
        eventually("the upstream has done its part", || done.load(Ordering::SeqCst) > before);
        assert!(rest(client) == *content);
    });
    table.row(BOTH, "a directory", || {
        let _client = ask(&s, "/x");
        s.await_file("logs/error.log", |log| log.contains("/temp/"));
    });
    table.row(ours("nginx breaks off"), "no directory", || {
        std::fs::remove_dir_all(s.path("temp")).expect("it is there");
        std::fs::write(s.path("temp"), "").expect("a file in its place");
        let client = ask(&s, "/x");
        s.await_file("logs/error.log", |log| log.contains(REFUSED));
        assert!(rest(client) == *content);
    });
}

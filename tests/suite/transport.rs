//! The same requests over a second transport, which debug builds speak with clients of 127.88.0.0/16
//! (`webserv::conn::transport::scrambled`): bytes in frames, decoded and encoded through buffers, in short pieces.
//! `TEST_TRANSPORT=scrambled cargo test --test suite http1` runs other parts of the suite over it, `TEST_TRANSPORT=tls
//! …` over TLS (`over_tls`), `TEST_TRANSPORT=http2 …` as streams of HTTP/2 (`over_http2`).

use crate::client::Client;
use crate::harness::{Server, http, noise, skip_on_nginx};
use crate::over_http2::{self, Translator};
use crate::over_tls::{self, Tls};
use std::cell::Cell;
use std::io::{Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Deref;
use std::os::fd::AsFd;
use webserv::conn::transport::scrambled::{END, Unframer, frame};
use webserv::sys::socket;

thread_local! {
    static SCRAMBLED: Cell<bool> = const { Cell::new(false) };
}

/// A client's stream, over any transport.
pub struct Stream {
    tcp: TcpStream,
    layer: Layer,
}

enum Layer {
    Plain,
    Scrambled(Unframer, Vec<u8>),
    Tls(Box<Tls>),
    Http2(Box<Translator>),
}

impl Stream {
    /// Over TLS, whatever the transport of the run is.
    pub fn secure(address: SocketAddr, tls: Tls) -> Result<Stream> {
        Ok(Stream { tcp: TcpStream::connect(address)?, layer: Layer::Tls(Box::new(tls)) })
    }

    pub fn connect(address: SocketAddr) -> Result<Stream> {
        if !SCRAMBLED.get() && std::env::var_os("TEST_TRANSPORT").is_none_or(|name| name != "scrambled") {
            let layer = match () {
                () if over_tls::is_wanted() => Layer::Tls(Box::new(Tls::new())),
                () if over_http2::is_wanted() => Layer::Http2(Box::default()),
                () => Layer::Plain,
            };
            return Ok(Stream { tcp: TcpStream::connect(address)?, layer });
        }
        let SocketAddr::V4(to) = address else { panic!("{address} cannot be reached from 127.88.79.82") };
        let fd = socket::socket(socket::Family::V4).expect("a socket");
        let from = "127.88.79.82:0".parse().expect("an address");
        socket::bind(fd.as_fd(), &socket::Addr::V4(from)).expect("an address of the loopback network");
        socket::set_nonblocking(fd.as_fd(), false).expect("fcntl");
        socket::connect(fd.as_fd(), &socket::Addr::V4(to)).expect("the socket listens since before the server started");
        Ok(Stream { tcp: TcpStream::from(fd), layer: Layer::Scrambled(Unframer::default(), Vec::new()) })
    }

    pub fn shake(&mut self) -> Result<()> {
        match &mut self.layer {
            Layer::Tls(tls) => tls.shake(&mut self.tcp),
            Layer::Plain | Layer::Scrambled(..) | Layer::Http2(_) => Ok(()),
        }
    }

    /// Sends what goes before the handshake together with its first message, in pieces that end at each of `cuts`.
    /// False: there is no handshake, and nothing was sent.
    pub fn introduce(&mut self, header: &[u8], cuts: &[usize]) -> Result<bool> {
        let Layer::Tls(tls) = &mut self.layer else { return Ok(false) };
        let bytes = [header, &tls.hello()?].concat();
        let mut from = 0;
        for end in cuts.iter().copied().chain([bytes.len()]).filter(|end| *end <= bytes.len()) {
            self.tcp.write_all(&bytes[from..end])?;
            std::thread::yield_now();
            from = end;
        }
        Ok(true)
    }

    pub fn shutdown(&mut self, how: Shutdown) -> Result<()> {
        match &mut self.layer {
            Layer::Plain => {}
            Layer::Scrambled(..) => self.tcp.write_all(&END)?,
            Layer::Tls(tls) => tls.end(&mut self.tcp)?,
            Layer::Http2(translator) => {
                if !translator.half_close(&mut self.tcp)? {
                    return Ok(());
                }
            }
        }
        self.tcp.shutdown(how)
    }
}

impl Deref for Stream {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.tcp
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let (unframer, inbox) = match &mut self.layer {
            Layer::Plain => return self.tcp.read(into),
            Layer::Tls(tls) => return tls.read(&mut self.tcp, into),
            Layer::Http2(translator) => return translator.read(&mut self.tcp, into),
            Layer::Scrambled(unframer, inbox) => (unframer, inbox),
        };
        while inbox.is_empty() {
            let mut bytes = [0; 4096];
            match self.tcp.read(&mut bytes)? {
                0 => return Ok(0),
                n => unframer.push(&bytes[..n], inbox),
            }
        }
        let n = inbox.len().min(into.len());
        into[..n].copy_from_slice(&inbox[..n]);
        inbox.drain(..n);
        Ok(n)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match &mut self.layer {
            Layer::Plain => self.tcp.write(bytes),
            Layer::Tls(tls) => tls.write(&mut self.tcp, bytes),
            Layer::Http2(translator) => translator.write(&mut self.tcp, bytes).map(|()| bytes.len()),
            Layer::Scrambled(..) => {
                let mut framed = Vec::new();
                frame(bytes, &mut framed);
                self.tcp.write_all(&framed)?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn start(large: &[u8]) -> Server {
    http(
        "server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; ssi on; gzip on; gzip_types *; gzip_min_length 20;
           client_max_body_size 0; location /up/ { dav_methods PUT DELETE; } location = /text { return 200 text; }
           location /off/ { alias %%DIR%%/html/; sendfile off; } location /on/ { alias %%DIR%%/html/; sendfile on; }
           location /passed/ { proxy_pass http://127.0.0.1:%%PORT%%/; } }",
    )
    .file("html/small", "small")
    .file("html/large", large)
    .file("html/page.shtml", "a<!--#include virtual=\"/text\" -->b")
    .mkdir("html/up")
    .start()
}

/// What one client sees of a conversation.
fn converse(s: &Server, requests: &[Vec<u8>], together: bool) -> Vec<(u16, usize, Vec<u8>)> {
    let mut client: Client = s.client();
    if together {
        client.send(requests.concat());
    }
    let mut seen = Vec::new();
    for request in requests {
        if !together {
            client.send(request);
        }
        let answer = if request.starts_with(b"HEAD ") { client.response_to_head() } else { client.response() };
        seen.push((answer.status, answer.headers.len(), answer.body));
    }
    seen
}

#[test]
fn another_transport_carries_the_same_answers() {
    if skip_on_nginx("a transport of debug builds") {
        return;
    }
    let large = noise(700_000);
    let s = start(&large);
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
    let put = |name: &str, body: &[u8]| {
        let head = format!("PUT /up/{name} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let chunked =
        b"PUT /up/c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec();
    let table: [(&str, Vec<Vec<u8>>); 9] = [
        ("small files, again and again", vec![get("/small", ""); 40]),
        ("a large file by sendfile", vec![get("/on/large", ""), get("/small", "")]),
        ("a large file without", vec![get("/off/large", ""), get("/small", "")]),
        ("a head alone", vec![b"HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), get("/small", "")]),
        ("ranges", vec![get("/large", "Range: bytes=5-600000\r\n"), get("/large", "Range: bytes=1-2,9-10\r\n")]),
        ("compressed", vec![get("/large", "Accept-Encoding: gzip\r\n"), get("/small", "")]),
        ("a page", vec![get("/page.shtml", ""), get("/no", ""), get("/page.shtml", "")]),
        ("bodies", vec![put("a", &large), get("/up/a", ""), put("b", b"x"), chunked, get("/up/c", "")]),
        ("passed on", vec![get("/passed/large", ""), get("/passed/small", ""), get("/passed/page.shtml", "")]),
    ];
    for (name, requests) in table {
        for together in [false, true] {
            let plain = converse(&s, &requests, together);
            SCRAMBLED.set(true);
            let other = converse(&s, &requests, together);
            SCRAMBLED.set(false);
            assert_eq!(plain.len(), other.len());
            for (at, (plain, other)) in plain.iter().zip(&other).enumerate() {
                // What was there is replaced the second time; boundaries of multipart bodies differ.
                let same_status = plain.0 == other.0 || (plain.0, other.0) == (201, 204);
                assert!(same_status, "{name}, {at}, together {together}: {} and {}", plain.0, other.0);
                let is_multipart = name == "ranges" && at == 1;
                if plain.0 != other.0 {
                    continue;
                }
                assert!(plain.2.len() == other.2.len(), "{name}, {at}, together {together}: another length");
                assert!(is_multipart || plain.2 == other.2, "{name}, {at}, together {together}: another body");
            }
        }
    }
}

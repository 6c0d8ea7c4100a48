//! A small, strict, raw HTTP/1.x client: it sends exactly the bytes it is given and refuses every answer that is not
//! well formed (bare CR or LF, a name that is no token, two lengths, bad chunk framing). It knows nothing of the
//! server.

use crate::os;
use crate::over_tls;
use crate::transport::Stream;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// Long enough for any loaded machine, short enough to fail instead of hang: less than the minute that servers wait by
/// default, so that what is to end at once is told from what ends by a timeout.
pub const LIMIT: Duration = Duration::from_secs(45);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The status or the method forbids a body.
    None,
    Length,
    Chunked,
    /// The body ends with the connection.
    Close,
}

/// Why there was no (further) response. What the variants hold is for the message of a failed test.
#[derive(Debug)]
#[allow(dead_code)]
pub enum End {
    /// FIN before the first byte.
    Closed,
    /// RST before the response was complete.
    Reset,
    /// Nothing for `LIMIT`.
    Silent(String),
    Malformed(String),
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub framing: Framing,
    pub trailers: Vec<(String, String)>,
    /// The head as it came, the empty line included.
    pub head: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Head and the first bytes of the body, for messages.
    pub fn show(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        text.push_str(&String::from_utf8_lossy(&self.body[..self.body.len().min(400)]));
        text
    }

    pub fn closes(&self) -> bool {
        self.framing == Framing::Close || self.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }

    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "status of\n{}", self.show());
        self
    }

    #[track_caller]
    pub fn is_one_of(&self, statuses: &[u16]) -> &Self {
        assert!(statuses.contains(&self.status), "{} is not among {statuses:?}:\n{}", self.status, self.show());
        self
    }

    /// The header is there exactly once, with this value; where TLS is spoken, a Location has its scheme.
    #[track_caller]
    pub fn has(&self, name: &str, value: &str) -> &Self {
        let secured = value.replacen("http://", "https://", 1);
        if over_tls::is_wanted() && name.eq_ignore_ascii_case("location") && self.all(name) == [&secured] {
            return self;
        }
        assert_eq!(self.all(name), [value], "header {name} of\n{}", self.show());
        self
    }

    #[track_caller]
    pub fn lacks(&self, name: &str) -> &Self {
        assert_eq!(self.header(name), None, "header {name} of\n{}", self.show());
        self
    }

    #[track_caller]
    pub fn body_is(&self, body: impl AsRef<[u8]>) -> &Self {
        let body = body.as_ref();
        if self.body != body {
            let at = self.body.iter().zip(body).position(|(a, b)| a != b).unwrap_or(self.body.len().min(body.len()));
            panic!(
                "body differs at byte {at} ({} bytes, expected {}: {:?})\n{}",
                self.body.len(),
                body.len(),
                String::from_utf8_lossy(&body[..body.len().min(200)]),
                self.show()
            );
        }
        self
    }

    #[track_caller]
    pub fn contains(&self, part: &str) -> &Self {
        assert!(self.text().contains(part), "no {part:?} in\n{}\n{}", self.show(), self.text());
        self
    }
}

pub struct Client {
    stream: Stream,
    buf: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::of(Stream::connect(address).expect("the socket listens since before the server started"))
    }

    pub fn secure(address: SocketAddr, tls: over_tls::Tls) -> Client {
        Client::of(Stream::secure(address, tls).expect("the socket listens since before the server started"))
    }

    fn of(stream: Stream) -> Client {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
        stream.set_write_timeout(Some(LIMIT)).expect("SO_SNDTIMEO");
        Client { stream, buf: Vec::new() }
    }

    /// Goes through the handshake of its transport, where there is one.
    pub fn shake(&mut self) {
        self.stream.shake().expect("a handshake");
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        if let Err(error) = self.stream.write_all(bytes.as_ref()) {
            panic!("sending: {error}");
        }
        self
    }

    /// As `send`, but the server may close before it has taken everything. True when all was taken.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends `bytes` in pieces that end at each of `at`. The pieces are separate segments; the server may still see
    /// several in one read.
    #[track_caller]
    pub fn send_split(&mut self, bytes: &[u8], at: impl IntoIterator<Item = usize>) -> &mut Self {
        let mut from = 0;
        for end in at.into_iter().chain([bytes.len()]) {
            if end > from {
                self.send(&bytes[from..end]);
                std::thread::yield_now();
                from = end;
            }
        }
        self
    }

    /// What a balancer writes first, and a request behind it, in pieces as [`Client::send_split`] sends them. The first
    /// message of TLS comes between both, where there is one; then the header's pieces are cut.
    #[track_caller]
    pub fn introduce(&mut self, header: &[u8], request: &[u8], at: impl IntoIterator<Item = usize>) -> &mut Self {
        let at: Vec<usize> = at.into_iter().collect();
        if self.stream.introduce(header, &at).expect("the header is taken") {
            return self.send(request);
        }
        self.send_split(&[header, request].concat(), at)
    }

    /// Bytes that go before a handshake, without it.
    pub fn send_bare(&mut self, bytes: &[u8]) {
        (&*self.stream).write_all(bytes).expect("sending");
    }

    /// The end of the connection, without a byte before it, whatever would go on over it.
    #[track_caller]
    pub fn expect_bare_end(&mut self) {
        let mut byte = [0];
        let end = (&*self.stream).read(&mut byte);
        assert!(!matches!(end, Ok(n) if n > 0), "a byte {:#04x}", byte[0]);
    }

    /// FIN: no more requests; answers are still read.
    pub fn half_close(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
        self
    }

    /// As `half_close`, of a connection that may be gone.
    pub fn try_half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Waits for the first bytes of a response and reads no more than these.
    #[track_caller]
    pub fn expect_started(&mut self) -> &mut Self {
        match self.fill() {
            Ok(n) if n > 0 => self,
            other => panic!("no response began: {other:?}"),
        }
    }

    /// Closes, and returns when the other end's kernel has been told: on a busy machine what another connection sends
    /// may overtake that.
    pub fn leave(mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        while os::unacknowledged(&self.stream) > 0 {
            std::thread::yield_now();
        }
    }

    /// RST.
    pub fn reset(self) {
        os::reset_on_close(&self.stream);
    }

    /// Sends one request and reads its response; the method decides whether a body is due.
    #[track_caller]
    pub fn request(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        let bytes = bytes.as_ref();
        self.send(bytes);
        if is_head(bytes) { self.response_to_head() } else { self.response() }
    }

    /// GET with `Host: localhost` on this connection.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.request(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    #[track_caller]
    pub fn response(&mut self) -> Response {
        match self.try_response(false) {
            Ok(response) => response,
            Err(end) => panic!("no response: {end:?}"),
        }
    }

    #[track_caller]
    pub fn response_to_head(&mut self) -> Response {
        match self.try_response(true) {
            Ok(response) => response,
            Err(end) => panic!("no response: {end:?}"),
        }
    }

    /// The next message, interim (1xx) ones included.
    pub fn try_response(&mut self, head_only: bool) -> Result<Response, End> {
        let end = loop {
            if let Some(at) = find(&self.buf, b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill()? == 0 {
                if self.buf.is_empty() {
                    return Err(End::Closed);
                }
                return Err(malformed("closed within the head", &self.buf));
            }
        };
        let head: Vec<u8> = self.buf.drain(..end).collect();
        let mut response = parse_head(&head)?;
        response.framing = if head_only || response.status < 200 || matches!(response.status, 204 | 304) {
            Framing::None
        } else if !response.all("transfer-encoding").is_empty() {
            if response.all("transfer-encoding") != ["chunked"] || response.header("content-length").is_some() {
                return Err(malformed("bad Transfer-Encoding", &head));
            }
            Framing::Chunked
        } else if response.header("content-length").is_some() {
            Framing::Length
        } else {
            Framing::Close
        };
        match response.framing {
            Framing::None => {}
            Framing::Length => {
                let values = response.all("content-length");
                let length: usize = match (values.len(), values[0].parse()) {
                    (1, Ok(length)) => length,
                    _ => return Err(malformed("bad Content-Length", &head)),
                };
                response.body = self.take(length)?;
            }
            Framing::Chunked => self.chunked(&mut response)?,
            Framing::Close => {
                while self.fill()? > 0 {}
                response.body = std::mem::take(&mut self.buf);
            }
        }
        Ok(response)
    }

    fn chunked(&mut self, response: &mut Response) -> Result<(), End> {
        loop {
            let line = self.line()?;
            let digits = line.split(|&b| b == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
            let Some(size) = size.and_then(|d| usize::from_str_radix(d, 16).ok()) else {
                return Err(malformed("bad chunk size", &line));
            };
            if size == 0 {
                break;
            }
            let data = self.take(size)?;
            response.body.extend_from_slice(&data);
            let end = self.take(2)?;
            if end != b"\r\n" {
                return Err(malformed("no CRLF after a chunk", &end));
            }
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            response.trailers.push(parse_field(&line)?);
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, End> {
        loop {
            if let Some(at) = find(&self.buf, b"\r\n") {
                let line = self.buf.drain(..at).collect();
                self.buf.drain(..2);
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(malformed("closed within a line", &self.buf));
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, End> {
        while self.buf.len() < length {
            if self.fill()? == 0 {
                return Err(malformed(&format!("closed after {} of {length} bytes", self.buf.len()), b""));
            }
        }
        Ok(self.buf.drain(..length).collect())
    }

    /// One read; 0 is the end of the stream.
    fn fill(&mut self) -> Result<usize, End> {
        let mut chunk = [0u8; 65536];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(n) => {
                    self.buf.extend_from_slice(&chunk[..n]);
                    return Ok(n);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(End::Silent(String::from_utf8_lossy(&self.buf).into_owned()));
                }
                Err(_) => return Err(End::Reset),
            }
        }
    }

    /// That many bytes, whatever they mean.
    #[track_caller]
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        while self.buf.len() < length {
            match self.fill() {
                Ok(n) if n > 0 => {}
                other => panic!("{} bytes of {length}, then {other:?}", self.buf.len()),
            }
        }
        self.buf.drain(..length).collect()
    }

    /// Bytes received beyond the last response, without waiting.
    pub fn leftover(&self) -> &[u8] {
        &self.buf
    }

    /// Everything up to the server's close (or reset).
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(0) | Err(End::Reset) => return std::mem::take(&mut self.buf),
                Ok(_) => {}
                Err(_) => panic!("not closed within {LIMIT:?}; got {:?}", String::from_utf8_lossy(&self.buf)),
            }
        }
    }

    /// Everything up to the server's close, or what came before it was silent for so long.
    pub fn rest_within(&mut self, limit: Duration) -> Vec<u8> {
        self.stream.set_read_timeout(Some(limit)).expect("SO_RCVTIMEO");
        while self.fill().is_ok_and(|n| n > 0) {}
        std::mem::take(&mut self.buf)
    }

    /// The server closes, and sends nothing before that.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "expected a close, got {:?}", String::from_utf8_lossy(&rest));
    }

    /// The connection still serves: a GET of `target` gives `status`.
    #[track_caller]
    pub fn expect_alive(&mut self, target: &str, status: u16) {
        assert!(self.buf.is_empty(), "stray bytes {:?}", String::from_utf8_lossy(&self.buf));
        self.get(target).is(status);
    }
}

fn is_head(request: &[u8]) -> bool {
    request.starts_with(b"HEAD ")
}

pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

fn malformed(what: &str, bytes: &[u8]) -> End {
    End::Malformed(format!("{what}: {:?}", String::from_utf8_lossy(bytes)))
}

fn parse_head(head: &[u8]) -> Result<Response, End> {
    let body = &head[..head.len() - 4];
    let mut lines = Vec::new();
    let mut from = 0;
    while let Some(at) = find(&body[from..], b"\r\n") {
        lines.push(&body[from..from + at]);
        from += at + 2;
    }
    lines.push(&body[from..]);
    for line in &lines {
        if line.iter().any(|&b| matches!(b, b'\r' | b'\n' | 0)) {
            return Err(malformed("bare CR, LF or NUL in the head", head));
        }
    }
    let status = lines[0];
    let number = status.get(9..12).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| d.parse().ok());
    let (Some(number), true) = (number, status.starts_with(b"HTTP/1.1 ") && status.get(12) == Some(&b' ')) else {
        return Err(malformed("bad status line", status));
    };
    let mut headers = Vec::new();
    for line in &lines[1..] {
        headers.push(parse_field(line)?);
    }
    Ok(Response {
        status: number,
        headers,
        body: Vec::new(),
        framing: Framing::None,
        trailers: Vec::new(),
        head: head.to_vec(),
    })
}

fn parse_field(line: &[u8]) -> Result<(String, String), End> {
    let colon = line.iter().position(|&b| b == b':').ok_or_else(|| malformed("field without colon", line))?;
    let name = &line[..colon];
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    if name.is_empty() || !name.iter().all(token) {
        return Err(malformed("field name is no token", line));
    }
    let value = String::from_utf8_lossy(&line[colon + 1..]);
    Ok((String::from_utf8_lossy(name).into_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

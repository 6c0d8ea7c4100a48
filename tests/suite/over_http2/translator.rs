//! Requests in the text of HTTP/1.1 become streams of HTTP/2, and what comes back the text of HTTP/1.1.
//!
//! One request at a time, as on a connection of HTTP/1.1: the next begins when the response before it has ended. A
//! connection whose first request cannot be said in HTTP/2 (another version, a target that is no path, no end of its
//! head) stays one of HTTP/1.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use webserv::http::body_length::BodyLength;
use webserv::http::body_reader::BodyReader;
use webserv::http::h2::frame::{self, EndStream, FrameHeader, HEADER_LEN, PREFACE, flag, kind};
use webserv::http::h2::hpack::{self, Block, Bounds, encode};
use webserv::http::status::Status;

/// What the client still has to say of the request that is under way.
enum Sending {
    /// So much of a head has been written.
    Head(Vec<u8>),
    /// The body, and what of its framing is not complete.
    Body(BodyReader, Vec<u8>),
}

/// The response that is under way or was the last.
#[derive(Default)]
struct Answer {
    stream: u32,
    to_head: bool,
    is_chunked: bool,
    has_begun: bool,
    has_ended: bool,
    was_reset: bool,
    /// The request's body is not all sent.
    is_cut: bool,
    /// What the server takes of this request's body.
    window: i64,
    /// The request asked for it.
    closes: bool,
}

pub struct Translator {
    sending: Sending,
    /// The first request has shown which protocol it is: true for HTTP/2.
    is_http2: Option<bool>,
    decoder: hpack::Decoder,
    input: Vec<u8>,
    /// Text of responses, for the client.
    inbox: Vec<u8>,
    answer: Answer,
    next: u32,
    window: i64,
    initial_window: i64,
    is_over: bool,
    /// The client has no more requests.
    is_half_closed: bool,
}

impl Default for Translator {
    fn default() -> Translator {
        Translator {
            sending: Sending::Head(Vec::new()),
            is_http2: None,
            decoder: hpack::Decoder::default(),
            input: Vec::new(),
            inbox: Vec::new(),
            answer: Answer { has_ended: true, ..Answer::default() },
            next: 1,
            window: 65_535,
            initial_window: 65_535,
            is_over: false,
            is_half_closed: false,
        }
    }
}

impl Translator {
    pub fn write(&mut self, tcp: &mut TcpStream, bytes: &[u8]) -> Result<()> {
        if self.is_http2 == Some(false) {
            return tcp.write_all(bytes);
        }
        let mut rest = bytes.to_vec();
        loop {
            match &mut self.sending {
                Sending::Head(head) => {
                    head.append(&mut rest);
                    let Some(end) = crate::client::find(head, b"\r\n\r\n") else { return Ok(()) };
                    let mut head = std::mem::take(head);
                    rest = head.split_off(end + 4);
                    if !self.begin(tcp, &head)? {
                        return tcp.write_all(&[head, rest].concat());
                    }
                }
                Sending::Body(..) => {
                    rest = self.body(tcp, &rest)?;
                }
            }
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// A whole head. False: the connection is one of HTTP/1.
    fn begin(&mut self, tcp: &mut TcpStream, head: &[u8]) -> Result<bool> {
        let said = Request::of(head);
        if self.is_http2.is_none() {
            self.is_http2 = Some(said.is_some());
            if said.is_none() {
                return Ok(false);
            }
            let mut hello = PREFACE.to_vec();
            frame::settings(&mut hello, &[(4, 0x3fff_ffff)]);
            frame::window_update(&mut hello, 0, 0x3fff_ffff);
            tcp.write_all(&hello)?;
        }
        while !self.answer.has_ended {
            self.pump(tcp)?;
        }
        if self.is_over {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let said = said.unwrap_or_else(|| panic!("no request of HTTP/2: {}", String::from_utf8_lossy(head)));
        let stream = self.next;
        self.next += 2;
        let end = matches!(said.framing, BodyLength::None | BodyLength::Known(0));
        self.answer = Answer {
            stream,
            to_head: said.method == "HEAD",
            closes: said.closes,
            window: self.initial_window,
            is_cut: !end,
            ..Answer::default()
        };
        let mut out = Vec::new();
        frame::headers(&mut out, stream, EndStream::when(end), 16_384, |out| out.extend_from_slice(&said.block));
        self.sending = match end {
            true => Sending::Head(Vec::new()),
            false => Sending::Body(BodyReader::new(said.framing), Vec::new()),
        };
        tcp.write_all(&out)?;
        Ok(true)
    }

    /// A piece of a body; what follows it is given back.
    fn body(&mut self, tcp: &mut TcpStream, bytes: &[u8]) -> Result<Vec<u8>> {
        let Sending::Body(mut decoder, mut held) = std::mem::replace(&mut self.sending, Sending::Head(Vec::new()))
        else {
            return Ok(bytes.to_vec());
        };
        held.extend_from_slice(bytes);
        let mut at = 0;
        while at < held.len() && !decoder.is_done() {
            let step = decoder.next(&held[at..]).expect("a body that HTTP/2 can carry");
            let data = held[at + step.data.start..at + step.data.end].to_vec();
            at += step.consumed;
            let is_last = decoder.is_done() && decoder.trailers.is_empty();
            self.data(tcp, &data, is_last)?;
            if step.consumed == 0 {
                break;
            }
        }
        if !decoder.is_done() {
            self.sending = Sending::Body(decoder, held.split_off(at));
            return Ok(Vec::new());
        }
        self.answer.is_cut = false;
        let lines = String::from_utf8_lossy(&decoder.trailers.to_lines()).into_owned();
        if !lines.is_empty() && !self.answer.has_ended {
            let mut out = Vec::new();
            frame::headers(&mut out, self.answer.stream, EndStream::Yes, 16_384, |out| {
                for (name, value) in lines.lines().filter_map(|line| line.split_once(':')) {
                    encode::field(out, name.to_ascii_lowercase().as_bytes(), value.trim().as_bytes());
                }
            });
            tcp.write_all(&out)?;
        }
        Ok(held.split_off(at))
    }

    fn data(&mut self, tcp: &mut TcpStream, data: &[u8], is_last: bool) -> Result<()> {
        let mut at = 0;
        loop {
            // A server that has answered wants no more of it.
            if self.answer.has_ended {
                return Ok(());
            }
            let room = self.window.min(self.answer.window).clamp(0, 16_384) as usize;
            let len = room.min(data.len() - at);
            if len == 0 && at < data.len() {
                self.pump(tcp)?;
                continue;
            }
            let is_end = is_last && at + len == data.len();
            if len == 0 && !is_end {
                return Ok(());
            }
            let mut out = Vec::new();
            let flags = if is_end { flag::END_STREAM } else { 0 };
            FrameHeader { len: len as u32, kind: kind::DATA, flags, stream: self.answer.stream }.write(&mut out);
            out.extend_from_slice(&data[at..at + len]);
            tcp.write_all(&out)?;
            self.window -= len as i64;
            self.answer.window -= len as i64;
            at += len;
            if at == data.len() {
                return Ok(());
            }
        }
    }

    pub fn read(&mut self, tcp: &mut TcpStream, into: &mut [u8]) -> Result<usize> {
        if let (None, Sending::Head(head)) = (self.is_http2, &mut self.sending) {
            // What an unfinished head is answered is an affair of HTTP/1.
            self.is_http2 = Some(false);
            let head = std::mem::take(head);
            tcp.write_all(&head)?;
        }
        if self.is_http2 == Some(false) {
            return tcp.read(into);
        }
        while self.inbox.is_empty() {
            if self.answer.has_ended {
                if self.answer.was_reset {
                    return Err(ErrorKind::ConnectionReset.into());
                }
                if self.is_over || self.is_half_closed || self.answer.closes || self.answer.is_cut {
                    return Ok(0);
                }
            }
            if self.is_over {
                return Ok(0);
            }
            self.pump(tcp)?;
        }
        let n = self.inbox.len().min(into.len());
        into[..n].copy_from_slice(&self.inbox[..n]);
        self.inbox.drain(..n);
        Ok(n)
    }

    /// The client says no more. True: that is to be said on the connection too, since something is missing.
    pub fn half_close(&mut self, tcp: &mut TcpStream) -> Result<bool> {
        if let (None, Sending::Head(head)) = (self.is_http2, &self.sending) {
            tcp.write_all(head)?;
            self.is_http2 = Some(false);
        }
        self.is_half_closed = true;
        Ok(match &self.sending {
            _ if self.is_http2 == Some(false) => true,
            Sending::Head(head) => !head.is_empty(),
            Sending::Body(..) => true,
        })
    }

    /// One frame of the server's.
    fn pump(&mut self, tcp: &mut TcpStream) -> Result<()> {
        loop {
            if let Some(header) = FrameHeader::parse(&self.input)
                && let Some(payload) = self.input.get(HEADER_LEN..HEADER_LEN + header.len as usize)
            {
                let payload = payload.to_vec();
                self.input.drain(..HEADER_LEN + payload.len());
                return self.take(tcp, header, &payload);
            }
            let mut bytes = [0; 65_536];
            match tcp.read(&mut bytes) {
                Ok(0) => {
                    self.is_over = true;
                    self.answer.has_ended = true;
                    return Ok(());
                }
                Ok(n) => self.input.extend_from_slice(&bytes[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, tcp: &mut TcpStream, header: FrameHeader, payload: &[u8]) -> Result<()> {
        let number = |at: usize| payload[at..].first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let is_ours = header.stream == self.answer.stream && !self.answer.has_ended;
        match header.kind {
            kind::SETTINGS if !header.has(flag::ACK) => {
                let mut out = Vec::new();
                for entry in payload.chunks_exact(6).filter(|entry| entry[..2] == [0, 4]) {
                    let size = i64::from(u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]));
                    self.answer.window += size - self.initial_window;
                    self.initial_window = size;
                }
                frame::settings_ack(&mut out);
                tcp.write_all(&out)?;
            }
            kind::PING if !header.has(flag::ACK) => {
                let mut out = Vec::new();
                frame::ping_ack(&mut out, *payload.first_chunk().ok_or(Error::from(ErrorKind::InvalidData))?);
                tcp.write_all(&out)?;
            }
            kind::WINDOW_UPDATE if header.stream == 0 => self.window += i64::from(number(0)),
            kind::WINDOW_UPDATE if is_ours => self.answer.window += i64::from(number(0)),
            kind::GOAWAY => self.answer.closes = true,
            kind::RST_STREAM if is_ours => (self.answer.was_reset, self.answer.has_ended) = (true, true),
            kind::HEADERS => self.headers(&header, payload),
            kind::DATA if is_ours => {
                match self.answer.is_chunked {
                    _ if payload.is_empty() => {}
                    false => self.inbox.extend_from_slice(payload),
                    true => {
                        self.inbox.extend_from_slice(format!("{:x}\r\n", payload.len()).as_bytes());
                        self.inbox.extend_from_slice(payload);
                        self.inbox.extend_from_slice(b"\r\n");
                    }
                }
                if header.has(flag::END_STREAM) {
                    self.end(&[]);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn headers(&mut self, header: &FrameHeader, payload: &[u8]) {
        let mut block = Block::default();
        let bounds = Bounds { total: 1 << 20, fields: 1000 };
        self.decoder.decode(payload, &bounds, &mut block).expect("a header block");
        let text = |span: webserv::util::span::Span| span.of(&block.text).to_vec();
        let fields: Vec<(Vec<u8>, Vec<u8>)> =
            block.fields.iter().map(|field| (text(field.name), text(field.value))).collect();
        if header.stream != self.answer.stream || self.answer.has_ended {
            return;
        }
        if self.answer.has_begun {
            return self.end(&fields);
        }
        let value = |name: &[u8]| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value);
        let status = value(b":status").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0);
        let is_final = status >= 200;
        let mut head = format!("HTTP/1.1 {status} {}\r\n", Status(status).reason()).into_bytes();
        for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(b":")) {
            head.extend_from_slice(&line(name, value));
        }
        let has_body = is_final && !self.answer.to_head && !matches!(status, 204 | 304);
        if has_body && value(b"content-length").is_none() {
            self.answer.is_chunked = true;
            head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        // Answered before the body has come: a connection of HTTP/1 ends then.
        self.answer.closes |= is_final && self.answer.is_cut;
        if is_final && self.answer.closes {
            head.extend_from_slice(b"Connection: close\r\n");
        }
        head.extend_from_slice(b"\r\n");
        self.inbox.append(&mut head);
        self.answer.has_begun = is_final;
        if header.has(flag::END_STREAM) {
            self.end(&[]);
        }
    }

    fn end(&mut self, trailers: &[(Vec<u8>, Vec<u8>)]) {
        self.answer.has_ended = true;
        if self.answer.is_chunked {
            self.inbox.extend_from_slice(b"0\r\n");
            for (name, value) in trailers {
                self.inbox.extend_from_slice(&line(name, value));
            }
            self.inbox.extend_from_slice(b"\r\n");
        }
    }
}

/// A field line as HTTP/1 has it: tests that look at the text know no names in lower case.
fn line(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut name = name.to_vec();
    match &name[..] {
        b"etag" => name.copy_from_slice(b"ETag"),
        b"www-authenticate" => name.copy_from_slice(b"WWW-Authenticate"),
        b"dav" => name.copy_from_slice(b"DAV"),
        _ => name.split_mut(|b| *b == b'-').filter_map(|word| word.first_mut()).for_each(|b| b.make_ascii_uppercase()),
    }
    [&name, &b": "[..], value, b"\r\n"].concat()
}

/// A request of HTTP/1.1 that HTTP/2 can carry.
struct Request {
    method: String,
    block: Vec<u8>,
    framing: BodyLength,
    closes: bool,
}

impl Request {
    fn of(head: &[u8]) -> Option<Request> {
        let lines: Vec<&[u8]> = head[..head.len() - 4].split(|b| *b == b'\n').collect();
        let lines: Vec<&[u8]> = lines.into_iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
        let (first, fields) = lines.split_first()?;
        let mut words = first.split(|b| *b == b' ');
        let (method, target) = (words.next()?, words.next()?);
        if words.next() != Some(b"HTTP/1.1") || words.next().is_some() || !target.starts_with(b"/") {
            return None;
        }
        let mut request = Request {
            method: String::from_utf8(method.to_vec()).ok()?,
            block: Vec::new(),
            framing: BodyLength::None,
            closes: false,
        };
        let mut put = |name: &[u8], value: &[u8]| encode::field(&mut request.block, name, value);
        put(b":method", method);
        put(b":scheme", b"http");
        put(b":path", target);
        let mut split = Vec::new();
        for line in fields {
            let colon = line.iter().position(|b| *b == b':')?;
            let (name, value) = (line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii());
            if name.is_empty() || !name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b)) {
                return None;
            }
            split.push((name, value));
        }
        let hosts: Vec<&[u8]> = split.iter().filter(|(name, _)| name == b"host").map(|(_, value)| *value).collect();
        let [host] = hosts[..] else { return None };
        put(b":authority", host);
        for (name, value) in &split {
            match &name[..] {
                b"host" | b"keep-alive" => {}
                b"connection" => request.closes |= value.eq_ignore_ascii_case(b"close"),
                b"transfer-encoding" if value.eq_ignore_ascii_case(b"chunked") => match request.framing {
                    BodyLength::None => request.framing = BodyLength::Unknown,
                    _ => return None,
                },
                b"transfer-encoding" | b"te" | b"upgrade" => return None,
                b"content-length" => {
                    let length = std::str::from_utf8(value).ok()?.parse().ok()?;
                    if request.framing != BodyLength::None {
                        return None;
                    }
                    request.framing = BodyLength::Known(length);
                    put(name, value);
                }
                _ => put(name, value),
            }
        }
        Some(request)
    }
}

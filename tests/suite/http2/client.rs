//! A client of HTTP/2 for tests: frames and header blocks by the server's own codecs, and raw frames for what no client
//! should send.
//!
//! Invariant: whatever a test does, each frame that comes is judged by what RFC 9113 lets a server send ([`Duties`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;
use webserv::http::h2::frame::{self, EndStream, FrameHeader, HEADER_LEN, PREFACE, flag, kind};
use webserv::http::h2::hpack::{Block, Bounds, Decoder, encode};
use webserv::sys::socket;

/// How long a test waits for a frame that has to come.
const LIMIT: Duration = Duration::from_secs(20);

pub struct H2 {
    stream: TcpStream,
    input: Vec<u8>,
    decoder: Decoder,
    next: u32,
    /// What the server takes, by stream; of the connection under 0.
    windows: BTreeMap<u32, i64>,
    /// The last stream and the code of a GOAWAY that has come.
    pub said_goaway: Option<(u32, u32)>,
    duties: Duties,
}

/// What a server MUST NOT send, by what it has sent.
#[derive(Default)]
struct Duties {
    /// Streams that it has ended, and those that it has reset.
    ended: BTreeSet<u32>,
    reset: BTreeSet<u32>,
    /// The last stream of its latest GOAWAY.
    last: Option<u32>,
}

impl Duties {
    /// `bytes`: the frame's header as it came.
    fn judge(&mut self, bytes: &[u8], Frame { header, payload }: &Frame) {
        let FrameHeader { len, kind, flags, stream } = *header;
        let flags_known = match kind {
            kind::DATA => flag::END_STREAM,
            kind::HEADERS => flag::END_STREAM | flag::END_HEADERS,
            kind::SETTINGS | kind::PING => flag::ACK,
            kind::CONTINUATION => flag::END_HEADERS,
            kind::RST_STREAM | kind::GOAWAY | kind::WINDOW_UPDATE => 0,
            // 6.3, 6.6, 8.4: a server has no use for PRIORITY, and this one pushes nothing.
            other => panic!("a frame of type {other}"),
        };
        assert_eq!(flags & !flags_known, 0, "4.1: flags {flags:#x} of {header:?}");
        assert_eq!(bytes[5] & 0x80, 0, "4.1: the reserved bit of {header:?}");
        assert!(len <= 16_384, "4.2: {header:?}");
        let of_connection = matches!(kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        assert!(kind == kind::WINDOW_UPDATE || of_connection == (stream == 0), "6: {header:?}");
        assert!(stream == 0 || stream % 2 == 1, "5.1.1: {header:?}");
        assert!(!self.reset.contains(&stream), "5.1: {header:?} behind a reset");
        let may_follow = matches!(kind, kind::RST_STREAM | kind::WINDOW_UPDATE | kind::CONTINUATION);
        assert!(may_follow || !self.ended.contains(&stream), "5.1: {header:?} behind the end");
        let number = payload.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        match kind {
            kind::RST_STREAM => _ = self.reset.insert(stream),
            kind::DATA | kind::HEADERS if header.has(flag::END_STREAM) => _ = self.ended.insert(stream),
            kind::WINDOW_UPDATE => assert!((1..1 << 31).contains(&number), "6.9: {number}"),
            kind::GOAWAY => {
                assert!(self.last.is_none_or(|last| number <= last), "6.8: stream {number} behind {:?}", self.last);
                self.last = Some(number);
            }
            _ => {}
        }
    }
}

/// A connection with a receive buffer of this size, which stays as it is: the kernel holds twice as much at most.
pub fn connect_small(address: SocketAddr, bytes: u32) -> TcpStream {
    let SocketAddr::V4(to) = address else { panic!("{address} is none of IPv4") };
    let fd = socket::socket(socket::Family::V4).expect("a socket");
    socket::rcvbuf(fd.as_fd(), bytes).expect("SO_RCVBUF");
    socket::set_nonblocking(fd.as_fd(), false).expect("fcntl");
    socket::connect(fd.as_fd(), &socket::Addr::V4(to)).expect("the server listens");
    TcpStream::from(fd)
}

#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub trailers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Interim responses: their statuses and fields.
    pub interim: Vec<(u16, Vec<(String, String)>)>,
    /// The code of RST_STREAM.
    pub reset: Option<u32>,
    /// The stream has ended in order.
    pub ended: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    pub header: FrameHeader,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn code(&self, at: usize) -> u32 {
        self.payload[at..].first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }
}

impl H2 {
    /// Connects and says hello; windows are as large as they can be.
    pub fn connect(address: SocketAddr) -> H2 {
        let mut client = H2::connect_raw(address);
        client.hello();
        client
    }

    fn hello(&mut self) {
        let mut hello = PREFACE.to_vec();
        frame::settings(&mut hello, &[(4, 0x3fff_ffff)]);
        frame::window_update(&mut hello, 0, 0x3fff_ffff - 65_535);
        self.send(&hello);
    }

    /// One that has sent nothing yet, not even the preface.
    pub fn connect_raw(address: SocketAddr) -> H2 {
        H2::over(TcpStream::connect(address).expect("the server listens"))
    }

    /// As [`H2::connect`], over [`connect_small`].
    pub fn connect_small(address: SocketAddr, bytes: u32) -> H2 {
        let mut client = H2::over(connect_small(address, bytes));
        client.hello();
        client
    }

    fn over(stream: TcpStream) -> H2 {
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        stream.set_write_timeout(Some(LIMIT)).expect("a timeout");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        H2 {
            stream,
            input: Vec::new(),
            decoder: Decoder::default(),
            next: 1,
            windows: BTreeMap::new(),
            said_goaway: None,
            duties: Duties::default(),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// False once the server has gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let bytes = raw(kind, flags, stream, payload);
        self.send(&bytes);
    }

    /// A request; gives its stream. `end`: no body follows.
    pub fn request(&mut self, method: &str, path: &str, fields: &[(&str, &str)], end: bool) -> u32 {
        let stream = self.next_stream();
        let bytes = head(stream, method, path, fields, end);
        self.send(&bytes);
        stream
    }

    /// The identifier of a stream that is not open.
    pub fn next_stream(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    fn window(&mut self, stream: u32) -> &mut i64 {
        self.windows.entry(stream).or_insert(65_535)
    }

    /// How much of a body the server takes now.
    pub fn room(&mut self, stream: u32) -> usize {
        let own = *self.window(stream);
        own.min(*self.window(0)).max(0) as usize
    }

    /// What WINDOW_UPDATE has granted a stream of which nothing was sent through [`H2::data`].
    pub fn granted(&mut self, stream: u32) -> i64 {
        *self.window(stream) - 65_535
    }

    /// DATA is sent by [`H2::send`], on a stream whose window is no matter.
    pub fn count(&mut self, len: usize) {
        *self.window(0) -= len as i64;
    }

    pub fn data(&mut self, stream: u32, data: &[u8], end: bool) {
        *self.window(stream) -= data.len() as i64;
        *self.window(0) -= data.len() as i64;
        let mut pieces = data.chunks(16_384).peekable();
        if data.is_empty() {
            self.frame(kind::DATA, u8::from(end), stream, b"");
        }
        while let Some(piece) = pieces.next() {
            let last = end && pieces.peek().is_none();
            self.frame(kind::DATA, u8::from(last), stream, piece);
        }
    }

    pub fn get(&mut self, path: &str) -> Answer {
        let stream = self.request("GET", path, &[], true);
        self.answer(stream)
    }

    /// The next frame; None at the end of the connection.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(header) = FrameHeader::parse(&self.input)
                && let Some(payload) = self.input.get(HEADER_LEN..HEADER_LEN + header.len as usize)
            {
                let frame = Frame { header, payload: payload.to_vec() };
                self.duties.judge(&self.input, &frame);
                self.input.drain(..HEADER_LEN + frame.payload.len());
                match header.kind {
                    kind::WINDOW_UPDATE => *self.window(header.stream) += i64::from(frame.code(0)),
                    kind::GOAWAY => self.said_goaway = Some((frame.code(0), frame.code(4))),
                    _ => {}
                }
                return Some(frame);
            }
            let mut buf = [0; 65_536];
            match self.stream.read(&mut buf) {
                Ok(0) => return None,
                Ok(n) => self.input.extend_from_slice(&buf[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("no frame came: {e}"),
            }
        }
    }

    /// Whether nothing comes for so long.
    pub fn is_quiet_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("a timeout");
        let quiet = self.input.is_empty() && self.stream.peek(&mut [0]).is_err();
        self.stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        quiet
    }

    /// Frames until one is `wanted`; that one.
    pub fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next_frame()?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// What GOAWAY says at the end of the connection: last stream and code.
    pub fn goaway(&mut self) -> Option<(u32, u32)> {
        self.until(|frame| frame.header.kind == kind::GOAWAY).map(|frame| (frame.code(0), frame.code(4)))
    }

    pub fn answer(&mut self, stream: u32) -> Answer {
        self.answers(&[stream]).remove(&stream).unwrap_or_default()
    }

    /// What comes on these streams, until all have ended or the connection does.
    pub fn answers(&mut self, streams: &[u32]) -> BTreeMap<u32, Answer> {
        let mut found: BTreeMap<u32, Answer> = streams.iter().map(|id| (*id, Answer::default())).collect();
        let is_over = |answer: &Answer| answer.ended || answer.reset.is_some();
        while !found.values().all(is_over) {
            let Some(Frame { header, payload }) = self.next_frame() else { break };
            let fields = (header.kind == kind::HEADERS).then(|| self.decode(&payload));
            let Some(answer) = found.get_mut(&header.stream) else { continue };
            match header.kind {
                kind::HEADERS => {
                    let fields = fields.unwrap_or_default();
                    let status = fields.iter().find(|(name, _)| name == ":status").and_then(|(_, v)| v.parse().ok());
                    match status {
                        Some(status @ 100..=199) => answer.interim.push((status, fields)),
                        Some(status) => (answer.status, answer.fields) = (status, fields),
                        None => answer.trailers = fields,
                    }
                }
                kind::DATA => answer.body.extend_from_slice(&payload),
                kind::RST_STREAM => {
                    let code = payload.first_chunk::<4>().map(|code| u32::from_be_bytes(*code));
                    // After the whole response it only says that no more of the body is wanted.
                    if !answer.ended {
                        answer.reset = code;
                    }
                }
                _ => {}
            }
            answer.ended |= matches!(header.kind, kind::HEADERS | kind::DATA) && header.has(flag::END_STREAM);
        }
        found
    }

    /// The fields of a header block.
    pub fn decode(&mut self, payload: &[u8]) -> Vec<(String, String)> {
        let mut block = Block::default();
        let bounds = Bounds { total: 1 << 20, fields: 1000 };
        self.decoder.decode(payload, &bounds, &mut block).expect("a header block");
        let text = |span: webserv::util::span::Span| String::from_utf8_lossy(span.of(&block.text)).into_owned();
        block.fields.iter().map(|field| (text(field.name), text(field.value))).collect()
    }
}

/// A frame as bytes.
pub fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    FrameHeader { len: payload.len() as u32, kind, flags, stream }.write(&mut out);
    out.extend_from_slice(payload);
    out
}

/// HEADERS of a request.
pub fn head(stream: u32, method: &str, path: &str, fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    head_for("a.test", stream, method, path, fields, end)
}

/// HEADERS of a request to a host.
pub fn head_for(host: &str, stream: u32, method: &str, path: &str, fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    frame::headers(&mut out, stream, EndStream::when(end), 16_384, |out| {
        let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", host)];
        for (name, value) in pseudo.iter().chain(fields) {
            encode::field(out, name.as_bytes(), value.as_bytes());
        }
    });
    out
}

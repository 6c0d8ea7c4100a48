//! A client of HTTP/2: a non-blocking socket, streams that it opens, feeds, resets and orders as it likes, windows that
//! it opens and shuts, and a judge of what comes. Strict while the client behaves and the clock stands: every stream
//! has its one right answer, whole, within its windows; lenient once bytes were spoiled or the clock jumped.

use crate::request::{OFTEN, noise};
use crate::rng::Rng;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use webserv::http::h2::frame::{self, EndStream, FrameHeader, PREFACE, flag, kind};
use webserv::http::h2::hpack::{Decoder, encode};
use webserv::sys::Errno;
use webserv::sys::socket::{self, Addr, More};

/// Frames that transfer nothing, and resets, of one client: the server bounds them.
const NOISE: u32 = 500;
const RESETS: u32 = 80;
/// Windows as wide as they have to be for all that is served.
const WIDE: i64 = 1 << 24;

/// The answer that a stream must get, and how far it has come.
pub struct Owed {
    pub name: String,
    pub statuses: &'static [u16],
    pub body: Option<Rc<[u8]>>,
    pub status: Option<u16>,
    pub got: usize,
    pub ended: bool,
    /// What the server may send.
    pub granted: i64,
}

/// A body that is being sent.
pub struct Upload {
    pub name: Option<String>,
    pub content: Vec<u8>,
    pub at: usize,
    pub trailers: bool,
    /// The end was said.
    pub ended: bool,
    /// What the client may send.
    pub window: i64,
}

pub struct Stream {
    pub owed: Owed,
    pub upload: Upload,
}

impl Stream {
    fn is_settled(&self) -> bool {
        self.owed.ended
    }
}

/// What is known of a client that has gone: answers it saw; uploads whose end it did not wait for; others, and whether
/// they were stored.
pub struct Left {
    pub answers: usize,
    pub cut: Vec<(String, Vec<u8>)>,
    pub uploads: Vec<(String, Vec<u8>, bool)>,
}

pub struct H2Client {
    pub fd: OwnedFd,
    pub name: String,
    pub out: Vec<u8>,
    pub input: Vec<u8>,
    pub decoder: Decoder,
    pub streams: BTreeMap<u32, Stream>,
    /// Uploads that were left before their end: each is stored whole or not at all.
    pub cut: Vec<(String, Vec<u8>)>,
    /// Uploads that were answered.
    pub uploads: Vec<(String, Vec<u8>, bool)>,
    pub next: u32,
    /// Of the connection: what the client may send, what the server may.
    pub window: i64,
    pub granted: i64,
    /// The initial windows: the server's, ours as the server has acknowledged it, and those that it has not yet.
    pub theirs: i64,
    pub ours: i64,
    pub asked: VecDeque<i64>,
    pub limit: usize,
    pub pings: VecDeque<[u8; 8]>,
    pub has_settings: bool,
    pub goaway: Option<u32>,
    pub noise: u32,
    pub resets: u32,
    pub wild: bool,
    pub late: bool,
    pub over: bool,
    pub answers: usize,
}

impl H2Client {
    pub fn connect(addr: &Addr, name: String, rng: &mut Rng) -> Option<H2Client> {
        let fd = socket::socket(addr.family()).expect("a socket");
        if rng.percent(50) {
            socket::rcvbuf(fd.as_fd(), 1 << (15 + rng.below(4))).expect("SO_RCVBUF");
        }
        if rng.percent(50) {
            socket::sndbuf(fd.as_fd(), 1 << (10 + rng.below(8))).expect("SO_SNDBUF");
        }
        match socket::connect(fd.as_fd(), addr) {
            Ok(_) => {}
            Err(Errno::EAGAIN) => return None,
            Err(e) => panic!("connect: {e}"),
        }
        let mut client = H2Client {
            fd,
            name,
            out: PREFACE.to_vec(),
            input: Vec::new(),
            decoder: Decoder::default(),
            streams: BTreeMap::new(),
            cut: Vec::new(),
            uploads: Vec::new(),
            next: 1,
            window: 65_535,
            granted: 65_535,
            theirs: 65_535,
            ours: 65_535,
            asked: VecDeque::new(),
            limit: 1,
            pings: VecDeque::new(),
            has_settings: false,
            goaway: None,
            noise: 0,
            resets: 0,
            wild: false,
            late: false,
            over: false,
            answers: 0,
        };
        let size = *rng.pick(&[0, 1, 100, 65_535, 65_535, 1 << 20]);
        client.initial_window(size);
        Some(client)
    }

    fn initial_window(&mut self, size: i64) {
        frame::settings(&mut self.out, &[(4, size as u32)]);
        self.asked.push_back(size);
    }

    pub fn is_lenient(&self) -> bool {
        self.wild || self.late
    }

    /// Nothing is left that must happen.
    pub fn is_settled(&self) -> bool {
        let done = self.streams.iter().all(|(id, stream)| stream.is_settled() || self.goaway.is_some_and(|l| *id > l));
        self.over || self.is_lenient() || done && self.out.is_empty() && self.pings.is_empty()
    }

    pub fn shown(&self) -> String {
        let waits = self.streams.iter().filter(|(_, stream)| !stream.is_settled()).map(|(id, stream)| {
            let Stream { owed, upload } = stream;
            format!(
                "\n  {id} {}: status {:?}, {} bytes, granted {}, {} of {} sent, window {}",
                owed.name,
                owed.status,
                owed.got,
                owed.granted,
                upload.at,
                upload.content.len(),
                upload.window
            )
        });
        let waits: String = waits.collect();
        let (out, granted, window) = (self.out.len(), self.granted, self.window);
        let ends = (self.goaway, self.wild, self.late);
        format!("{}: {out} to be sent, granted {granted}, window {window}, {ends:?}{waits}", self.name)
    }

    fn open(&mut self) -> usize {
        self.streams.values().filter(|stream| !stream.owed.ended || !stream.upload.ended).count()
    }

    /// Does one thing.
    pub fn act(&mut self, site: &[Rc<[u8]>], seed: u64, rng: &mut Rng) {
        if self.over || self.goaway.is_some() || self.out.len() > 200_000 {
            return;
        }
        match rng.below(20) {
            0..=5 => self.request(site, seed, rng),
            6..=10 => _ = self.feed(rng.size(40_000), rng),
            11..=14 => self.widen_some(rng),
            15 if self.resets < RESETS => self.reset_one(rng),
            16 => {
                let size = *rng.pick(&[0, 1, 1000, 65_535, 1 << 20]);
                self.initial_window(size);
                self.noise += 1;
            }
            17 if self.noise < NOISE => {
                let content = rng.next().to_le_bytes();
                frame::ping(&mut self.out, content);
                self.pings.push_back(content);
                self.noise += 1;
            }
            18 if self.noise < NOISE => self.order(rng),
            19 if self.wild && !self.out.is_empty() => {
                let at = rng.below(self.out.len());
                self.out[at] ^= 1 << rng.below(8);
            }
            _ => {}
        }
    }

    fn request(&mut self, site: &[Rc<[u8]>], seed: u64, rng: &mut Rng) {
        if !self.has_settings || self.open() >= self.limit.min(40) {
            return;
        }
        let id = self.next;
        self.next += 2;
        let n = *rng.pick(&OFTEN);
        let (file, small) = (Some(site[n].clone()), Some(site[2].clone()));
        let (mut upload, mut length, mut store) = (None, None, None);
        let (method, path, statuses, body): (&str, String, &[u16], Option<Rc<[u8]>>) =
            match rng.below(if self.wild { 13 } else { 16 }) {
                0..=7 => ("GET", format!("/f{n}"), &[200], file),
                8 => ("HEAD", format!("/f{n}"), &[200], Some(Rc::from([]))),
                9 => ("GET", "/page/none".into(), &[404], small),
                10 => ("GET", "/gone/x".into(), &[410], None),
                11 => ("GET", "/list/".into(), &[200], None),
                12 => {
                    upload = Some(noise(rng, 60_000));
                    ("POST", "/f1".into(), &[405], None)
                }
                kind => {
                    let name = format!("u{seed}-{}-{id}", self.name.replace(' ', "-"));
                    let content = noise(rng, 150_000);
                    let path = format!("/up/{name}");
                    store = Some(name);
                    length = rng.percent(60).then_some(content.len());
                    if kind == 15 {
                        // Not what was announced: refused, and not stored.
                        length = Some(content.len() + 1);
                        store = None;
                    }
                    upload = Some(content);
                    ("PUT", path, if kind == 15 { &[400] } else { &[201] }, None)
                }
            };
        let end = upload.is_none();
        let length = length.map(|length| length.to_string());
        let mut fields = vec![(":method", method), (":scheme", "http"), (":path", &*path), (":authority", "a.test")];
        fields.extend(length.as_deref().map(|length| ("content-length", length)));
        if rng.percent(20) {
            fields.push(("priority", *rng.pick(&["u=0", "u=7", "i", "u=2, i", "u=9"])));
        }
        let max = rng.size(200) as u32;
        frame::headers(
            &mut self.out,
            id,
            EndStream::when(end),
            if rng.percent(10) { max.max(20) } else { 16_384 },
            |out| {
                fields.iter().for_each(|(name, value)| encode::field(out, name.as_bytes(), value.as_bytes()));
            },
        );
        let name = format!("{method} {path}");
        let owed = Owed { name, statuses, body, status: None, got: 0, ended: false, granted: self.ours };
        let content = upload.unwrap_or_default();
        let (window, trailers) = (self.theirs, rng.percent(15));
        let upload = Upload { name: store, content, at: 0, trailers, ended: end, window };
        self.streams.insert(id, Stream { owed, upload });
    }

    /// Sends up to `most` bytes of a body.
    fn feed(&mut self, most: usize, rng: &mut Rng) -> bool {
        let feeds = |stream: &Stream| !stream.upload.ended && !stream.owed.ended;
        let ids: Vec<u32> = self.streams.iter().filter(|(_, stream)| feeds(stream)).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return false;
        }
        let id = *rng.pick(&ids);
        let padding = if rng.percent(10) { rng.below(200) } else { 0 };
        let Some(Stream { upload, .. }) = self.streams.get_mut(&id) else { return false };
        let overhead = if padding > 0 { padding + 1 } else { 0 };
        let room = upload.window.min(self.window).min(16_384) - overhead as i64;
        let left = upload.content.len() - upload.at;
        let len = left.min(most).min(room.max(0) as usize);
        if len == 0 && left > 0 {
            return false;
        }
        let is_last = len == left;
        let end = is_last && !upload.trailers;
        let mut flags = if end { flag::END_STREAM } else { 0 };
        let overhead = if padding > 0 && len > 0 { overhead } else { 0 };
        flags |= if overhead > 0 { flag::PADDED } else { 0 };
        if len > 0 || end {
            let header = FrameHeader { len: (len + overhead) as u32, kind: kind::DATA, flags, stream: id };
            header.write(&mut self.out);
            if overhead > 0 {
                self.out.push(padding as u8);
            }
            self.out.extend_from_slice(&upload.content[upload.at..upload.at + len]);
            self.out.resize(self.out.len() + overhead.saturating_sub(1), 0);
        }
        if is_last && !end {
            frame::headers(&mut self.out, id, EndStream::Yes, 16_384, |out| encode::field(out, b"x-sum", b"1"));
        }
        upload.at += len;
        upload.window -= (len + overhead) as i64;
        self.window -= (len + overhead) as i64;
        upload.ended = is_last;
        true
    }

    /// Opens a window a little, or much where small ones were opened often.
    fn widen_some(&mut self, rng: &mut Rng) {
        let by = if self.noise < NOISE / 2 { rng.size(100_000) } else { 1 << 20 } as i64;
        let ids: Vec<u32> = self.streams.iter().filter(|(_, s)| !s.owed.ended).map(|(id, _)| *id).collect();
        let id = if ids.is_empty() || rng.percent(40) { 0 } else { *rng.pick(&ids) };
        if self.noise < NOISE {
            self.noise += 1;
            self.widen(id, by);
        }
    }

    fn widen(&mut self, id: u32, by: i64) {
        let granted = match self.streams.get_mut(&id) {
            Some(stream) => &mut stream.owed.granted,
            None => &mut self.granted,
        };
        if *granted + by < 0x4000_0000 {
            *granted += by;
            frame::window_update(&mut self.out, id, by as u32);
        }
    }

    fn reset_one(&mut self, rng: &mut Rng) {
        let ids: Vec<u32> = self.streams.iter().filter(|(_, s)| !s.owed.ended).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return;
        }
        let id = *rng.pick(&ids);
        self.resets += 1;
        frame::rst_stream(&mut self.out, id, webserv::http::h2::error::ErrorCode::CANCEL);
        self.forget(id);
    }

    /// The stream is over without its answer.
    pub fn forget(&mut self, id: u32) {
        if let Some(Stream { upload: Upload { name: Some(name), content, .. }, .. }) = self.streams.remove(&id) {
            self.cut.push((name, content));
        }
    }

    /// Priorities, old and new.
    fn order(&mut self, rng: &mut Rng) {
        self.noise += 1;
        let id = 1 + 2 * rng.below(self.next as usize) as u32;
        if rng.percent(50) {
            let parent = 2 * rng.below(self.next as usize) as u32;
            FrameHeader { len: 5, kind: kind::PRIORITY, flags: 0, stream: id }.write(&mut self.out);
            self.out.extend_from_slice(&parent.to_be_bytes());
            self.out.push(rng.next() as u8);
            return;
        }
        let value = *rng.pick(&["u=0", "u=7, i", "i", ""]);
        FrameHeader { len: 4 + value.len() as u32, kind: kind::PRIORITY_UPDATE, flags: 0, stream: 0 }
            .write(&mut self.out);
        self.out.extend_from_slice(&id.to_be_bytes());
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Sends up to `most` bytes. True: something moved.
    pub fn send(&mut self, most: usize) -> bool {
        if self.out.is_empty() || self.over {
            return false;
        }
        match socket::send(self.fd.as_fd(), &self.out[..most.min(self.out.len())], More::No) {
            Ok(n) => {
                self.out.drain(..n);
                true
            }
            Err(Errno::EAGAIN) => false,
            Err(Errno::EPIPE | Errno::ECONNRESET) => {
                self.out.clear();
                while self.receive(100_000) {}
                self.end();
                true
            }
            Err(e) => panic!("send: {e}: {}", self.shown()),
        }
    }

    /// Receives up to `most` bytes and judges them. True: something moved.
    pub fn receive(&mut self, most: usize) -> bool {
        if self.over {
            return false;
        }
        self.input.reserve(most);
        match socket::recv_into(self.fd.as_fd(), &mut self.input, most) {
            Ok(0) | Err(Errno::ECONNRESET) => {
                self.end();
                true
            }
            Ok(_) => {
                self.judge();
                true
            }
            Err(Errno::EAGAIN) => false,
            Err(e) => panic!("recv: {e}: {}", self.shown()),
        }
    }

    fn end(&mut self) {
        self.over = true;
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        // One that has asked for nothing may find the server gone.
        if !self.is_lenient() && self.next > 1 {
            let Some(last) = self.goaway else { panic!("closed without GOAWAY: {}", self.shown()) };
            let missing = ids.iter().any(|id| *id <= last && !self.streams[id].is_settled());
            assert!(!missing, "closed before all was answered: {}", self.shown());
        }
        ids.into_iter().for_each(|id| self.forget(id));
    }

    /// All windows wide, all bodies on their way, everything read. True: something moved.
    pub fn progress(&mut self, rng: &mut Rng) -> bool {
        if !self.over && self.has_settings {
            let narrow = |stream: &Stream| !stream.owed.ended && stream.owed.granted < WIDE / 2;
            let mut ids: Vec<u32> = self.streams.iter().filter(|(_, s)| narrow(s)).map(|(id, _)| *id).collect();
            ids.extend((self.granted < WIDE / 2).then_some(0));
            ids.into_iter().for_each(|id| self.widen(id, WIDE));
        }
        let mut moved = false;
        while !self.over && self.out.len() < 100_000 && self.feed(16_384, rng) {
            moved = true;
        }
        moved |= self.send(1 << 20);
        self.receive(200_000) || moved
    }

    /// Gone without a word; what was cut is stored whole or not at all.
    pub fn leave(mut self) -> Left {
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        ids.into_iter().for_each(|id| self.forget(id));
        Left { answers: self.answers, cut: self.cut, uploads: self.uploads }
    }
}

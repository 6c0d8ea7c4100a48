//! Requests a client may send, each with the answer HTTP owes it; and ways to spoil them.

use crate::rng::Rng;
use std::fmt::Write;
use std::rc::Rc;

/// Files under the root, `/f0` on: empty, small, at the edge of what is kept in memory, several sendfiles long.
pub const SIZES: [usize; 9] = [0, 1, 700, 5_000, 16_384, 16_385, 70_000, 300_000, 3_000_000];
/// How often each is asked for: large ones take the time.
pub const OFTEN: [usize; 14] = [0, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 6, 7, 8];

/// The content of `/f{n}`: no two files, and no two places of one, look alike.
pub fn content(n: usize) -> Vec<u8> {
    let mut rng = Rng::new(n as u64 + 1_000_000);
    let mut bytes: Vec<u8> = (0..SIZES[n].div_ceil(8)).flat_map(|_| rng.next().to_le_bytes()).collect();
    bytes.truncate(SIZES[n]);
    bytes
}

/// Versions of `/live`, which is replaced while it is read: each is one byte, repeated.
pub const LIVE: usize = 30_000;

pub struct Request {
    pub bytes: Vec<u8>,
    /// Bytes of the head: no answer comes before they are sent.
    pub head: usize,
    pub owed: Owed,
}

/// The answer that a request must get.
pub struct Owed {
    pub name: String,
    pub statuses: &'static [u16],
    pub body: Body,
    pub to_head: bool,
    pub interim: bool,
    pub keep: Keep,
    /// After a 201: this file in the store. After anything else: none of that name.
    pub stores: Option<(String, Vec<u8>)>,
}

pub enum Body {
    Any,
    Is(Rc<[u8]>, std::ops::Range<usize>),
    /// multipart/byteranges of these.
    Parts(Rc<[u8]>, Vec<std::ops::Range<usize>>),
    /// One version of `/live`, whole.
    Live,
}

/// Whether the connection outlives the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    Yes,
    No,
    Either,
}

pub struct Maker {
    pub files: Vec<Rc<[u8]>>,
    uploads: u32,
    seed: u64,
}

impl Maker {
    pub fn new(files: Vec<Rc<[u8]>>, seed: u64) -> Maker {
        Maker { files, uploads: 0, seed }
    }

    /// A request as RFC 9112 wants it.
    pub fn valid(&mut self, rng: &mut Rng) -> Request {
        let n = *rng.pick(&OFTEN);
        let file = self.files[n].clone();
        let all = 0..file.len();
        match rng.below(24) {
            0..=6 => get(rng, "GET", &format!("/f{n}"), "", &[200], Body::Is(file, all)),
            7 => get(rng, "HEAD", &format!("/f{n}"), "", &[200], Body::Any),
            8 if !file.is_empty() => {
                let start = rng.below(file.len());
                let end = start + rng.size(file.len() - start);
                let range = format!("Range: bytes={start}-{}\r\n", end - 1);
                get(rng, "GET", &format!("/f{n}"), &range, &[206], Body::Is(file, start..end))
            }
            9 if file.len() > 20 => {
                let (a, b) = (0..rng.size(file.len() / 4), file.len() / 2..file.len() / 2 + rng.size(file.len() / 4));
                let range = format!("Range: bytes={}-{},{}-{}\r\n", a.start, a.end - 1, b.start, b.end - 1);
                get(rng, "GET", &format!("/f{n}"), &range, &[206], Body::Parts(file, vec![a, b]))
            }
            10 => get(rng, "GET", &format!("/f{n}"), "If-None-Match: *\r\n", &[304], Body::Any),
            11 => get(rng, "GET", "/missing", "", &[404], Body::Any),
            12 => get(rng, "GET", "/gone/with/the/wind", "", &[410], Body::Any),
            13 => get(rng, "GET", "/list", "", &[301], Body::Any),
            14 => get(rng, "GET", "/list/", "", &[200], Body::Any),
            15 => get(rng, "GET", "/live", "", &[200], Body::Live),
            16 => get(rng, "GET", "/page/none", "", &[404], Body::Is(self.files[2].clone(), 0..self.files[2].len())),
            17 => self.refused(rng),
            18 => self.upload(rng),
            _ => get(rng, "GET", &format!("/f{n}"), "", &[200], Body::Is(file, all)),
        }
    }

    /// A body where none is taken.
    fn refused(&mut self, rng: &mut Rng) -> Request {
        let body = noise(rng, 40_000);
        let chunked = rng.percent(30);
        let mut request = with_body(rng, "POST", "/f1", "", &body, chunked);
        request.owed.statuses = &[405];
        // A body that may not come is not waited for; here it comes, perhaps with the head.
        if request.owed.interim && request.owed.keep == Keep::Yes {
            request.owed.keep = Keep::Either;
        }
        // An early answer needs no invitation.
        request.owed.interim = false;
        request
    }

    fn upload(&mut self, rng: &mut Rng) -> Request {
        self.uploads += 1;
        let name = format!("u{}-{}", self.seed, self.uploads);
        let content = noise(rng, 150_000);
        let chunked = rng.percent(40);
        let mut request = if rng.percent(60) {
            let mut body = format!(
                "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            )
            .into_bytes();
            body.extend_from_slice(&content);
            body.extend_from_slice(b"\r\n--cut--\r\n");
            with_body(rng, "POST", "/up/", "Content-Type: multipart/form-data; boundary=cut\r\n", &body, chunked)
        } else {
            with_body(rng, "PUT", &format!("/up/{name}"), "", &content, chunked)
        };
        request.owed.statuses = &[201];
        request.owed.stores = Some((name, content));
        request
    }

    /// Bytes that may be a request or may not.
    pub fn spoiled(&mut self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = loop {
            let request = self.valid(rng);
            // An answer to HEAD cannot be told from others without knowing the question; what is stored under a
            // spoiled name means nothing.
            if !request.owed.to_head && request.owed.stores.is_none() {
                break request.bytes;
            }
        };
        for _ in 0..rng.size(6) {
            let at = rng.below(bytes.len());
            match rng.below(6) {
                0 => bytes[at] = rng.next() as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, *rng.pick(b"\r\n \t:\0;,/%\x80A0")),
                3 => drop(bytes.drain(at..=at)),
                4 => {
                    let end = (at + rng.size(60)).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => {
                    let lines: [&[u8]; 6] = [
                        b"\r\nContent-Length: 5",
                        b"\r\nTransfer-Encoding: chunked",
                        b"\r\nHost: b",
                        b"\r\nExpect: 100-continue",
                        b"\r\nX: y\r\n z",
                        b"\r\n\r\n",
                    ];
                    bytes.splice(at..at, rng.pick(&lines).iter().copied());
                }
            }
            if bytes.is_empty() {
                bytes.push(b'G');
            }
        }
        if bytes.windows(4).any(|w| w.eq_ignore_ascii_case(b"HEAD")) {
            bytes.truncate(1);
        }
        bytes
    }
}

pub fn noise(rng: &mut Rng, most: usize) -> Vec<u8> {
    let len = if rng.percent(10) { 0 } else { rng.size(most) };
    (0..len).map(|_| rng.next() as u8).collect()
}

fn get(rng: &mut Rng, method: &str, path: &str, lines: &str, statuses: &'static [u16], body: Body) -> Request {
    request(rng, method, path, lines, statuses, body)
}

fn request(rng: &mut Rng, method: &str, path: &str, lines: &str, statuses: &'static [u16], body: Body) -> Request {
    let (mut version, mut keep, mut connection) = ("1.1", Keep::Yes, "");
    match rng.below(30) {
        0 => (keep, connection) = (Keep::No, "Connection: close\r\n"),
        1 => (version, keep) = ("1.0", Keep::No),
        2 => (version, connection) = ("1.0", "Connection: keep-alive\r\n"),
        _ => {}
    }
    let mut head = String::new();
    // RFC 9112 §2.2: an empty line before a request is to be ignored.
    if rng.percent(3) {
        head.push_str("\r\n");
    }
    let query = if rng.percent(10) { "?a=b" } else { "" };
    let _ = write!(head, "{method} {path}{query} HTTP/{version}\r\nHost: localhost\r\n{connection}{lines}");
    for n in 0..rng.below(4) {
        let _ = write!(head, "X-Filler-{n}: {}\r\n", "x".repeat(rng.size(900)));
    }
    head.push_str("\r\n");
    let name = format!("{method} {path} {lines:?} {connection:?}");
    let owed = Owed { name, statuses, body, to_head: method == "HEAD", interim: false, keep, stores: None };
    Request { head: head.len(), bytes: head.into_bytes(), owed }
}

fn with_body(rng: &mut Rng, method: &str, path: &str, lines: &str, body: &[u8], chunked: bool) -> Request {
    let interim = rng.percent(10);
    let mut lines = lines.to_owned();
    if interim {
        lines.push_str("Expect: 100-continue\r\n");
    }
    let _ = if chunked {
        write!(lines, "Transfer-Encoding: chunked\r\n")
    } else {
        write!(lines, "Content-Length: {}\r\n", body.len())
    };
    // HTTP/1.0 has no chunks: those are made until they are 1.1.
    let mut made = request(rng, method, path, &lines, &[], Body::Any);
    while made.bytes.windows(8).any(|w| w == b"HTTP/1.0") {
        made = request(rng, method, path, &lines, &[], Body::Any);
    }
    made.owed.interim = interim;
    if !chunked {
        made.bytes.extend_from_slice(body);
        return made;
    }
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rng.size(rest.len()));
        let extension = if rng.percent(10) { ";x=y" } else { "" };
        made.bytes.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        made.bytes.extend_from_slice(chunk);
        made.bytes.extend_from_slice(b"\r\n");
        rest = after;
    }
    made.bytes.extend_from_slice(if rng.percent(10) { b"0\r\nTrailer: 1\r\n\r\n" } else { b"0\r\n\r\n" });
    made
}

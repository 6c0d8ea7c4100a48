//! A client: a non-blocking socket, a plan of what it will send, and a judge of what it receives. The judge is strict
//! while the client behaves: one answer to each request, in order, whole; and lenient where the client spoiled its
//! bytes or the clock jumped: what arrives must still be HTTP.

use crate::request::{Body, Keep, LIVE, Owed, Request};
use crate::rng::Rng;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use webserv::conn::transport::scrambled::{END, Unframer, frame};
use webserv::sys::Errno;
use webserv::sys::socket::{self, Addr, Family, More};

pub struct Client {
    fd: OwnedFd,
    pub name: String,
    plan: Vec<u8>,
    sent: usize,
    /// Answers owed, in order, with the offset in the plan where the request's head ends and where it ends.
    owed: VecDeque<(usize, usize, Owed)>,
    inbox: Vec<u8>,
    /// It speaks the second transport: frames not sent yet, and those not whole yet.
    scrambled: Option<(Vec<u8>, Unframer)>,
    /// The plan was spoiled: which answers are owed is not known.
    pub wild: bool,
    /// The clock jumped past a timeout: the server may have given up on this client.
    pub late: bool,
    half_closed: bool,
    /// The server said it closes, or did.
    closing: bool,
    pub over: bool,
    pub answers: usize,
    /// Uploads that were answered: name, content, stored or not.
    pub uploads: Vec<(String, Vec<u8>, bool)>,
}

/// Bytes a client reads or writes at once, at most.
const MOST: usize = 200_000;

impl Client {
    pub fn connect(addr: &Addr, name: String, rng: &mut Rng) -> Option<Client> {
        let fd = socket::socket(addr.family()).expect("a socket");
        let scrambled = addr.family() == Family::V4 && rng.percent(40);
        if scrambled {
            let from = "127.88.79.82:0".parse().expect("an address");
            socket::bind(fd.as_fd(), &Addr::V4(from)).expect("an address of the loopback network");
        }
        if rng.percent(50) {
            // Less than half a loopback segment, and the kernel's own timers would move the bytes.
            socket::rcvbuf(fd.as_fd(), 1 << (15 + rng.below(4))).expect("SO_RCVBUF");
        }
        if rng.percent(50) {
            socket::sndbuf(fd.as_fd(), 1 << (10 + rng.below(8))).expect("SO_SNDBUF");
        }
        match socket::connect(fd.as_fd(), addr) {
            Ok(_) => {}
            // A full backlog: next time.
            Err(Errno::EAGAIN) if addr.family() == Family::Unix => return None,
            Err(e) => panic!("connect: {e}"),
        }
        Some(Client {
            fd,
            name,
            plan: Vec::new(),
            sent: 0,
            owed: VecDeque::new(),
            inbox: Vec::new(),
            scrambled: scrambled.then(Default::default),
            wild: false,
            late: false,
            half_closed: false,
            closing: false,
            over: false,
            answers: 0,
            uploads: Vec::new(),
        })
    }

    pub fn add(&mut self, request: Request) {
        let start = self.plan.len();
        self.plan.extend_from_slice(&request.bytes);
        self.owed.push_back((start + request.head, self.plan.len(), request.owed));
    }

    pub fn add_wild(&mut self, bytes: &[u8]) {
        self.wild = true;
        self.plan.extend_from_slice(bytes);
    }

    /// Whether the last request planned leaves the connection open for more.
    pub fn may_add(&self) -> bool {
        self.wild || self.owed.back().is_none_or(|(_, _, owed)| owed.keep == Keep::Yes)
    }

    /// Nothing is left that must happen. A client that half-closed is owed the server's end too.
    pub fn is_settled(&self) -> bool {
        let owes_nothing = self.wild || self.late || self.owed.is_empty();
        self.over || owes_nothing && self.has_sent_all() && !self.half_closed
    }

    pub fn has_sent_all(&self) -> bool {
        let framed = self.scrambled.as_ref().is_some_and(|(outbox, _)| !outbox.is_empty());
        self.half_closed || self.sent == self.plan.len() && !framed
    }

    /// What is missing, for the report of a hang.
    pub fn shown(&self) -> String {
        let owed = self.owed.front().map_or("nothing", |(_, _, owed)| &owed.name);
        let inbox: String = self.inbox.iter().take(200).flat_map(|b| b.escape_ascii()).map(char::from).collect();
        format!(
            "{}: sent {} of {}, {} answers, {} owed, first {owed}, half closed {}, wild {}, late {}, inbox {} {inbox}",
            self.name,
            self.sent,
            self.plan.len(),
            self.answers,
            self.owed.len(),
            self.half_closed,
            self.wild,
            self.late,
            self.inbox.len()
        )
    }

    /// Sends up to `most` bytes of the plan. True: something moved.
    pub fn send(&mut self, most: usize) -> bool {
        if self.has_sent_all() || self.over {
            return false;
        }
        let rest = &self.plan[self.sent..];
        let piece = &rest[..most.min(rest.len())];
        let sent = match &mut self.scrambled {
            None => socket::send(self.fd.as_fd(), piece, More::No).map(|n| self.sent += n),
            Some((outbox, _)) => {
                if outbox.is_empty() {
                    frame(piece, outbox);
                    self.sent += piece.len();
                }
                socket::send(self.fd.as_fd(), &outbox[..most.min(outbox.len())], More::No)
                    .map(|n| _ = outbox.drain(..n))
            }
        };
        match sent {
            Ok(()) => true,
            Err(Errno::EAGAIN) => false,
            Err(Errno::EPIPE | Errno::ECONNRESET) => {
                // Closed by the server, which was right if it said so: the judge looks at what it said.
                self.plan.truncate(self.sent);
                while self.receive(MOST) {}
                let why = "the server closed while the client was sending";
                assert!(self.closing || self.may_be_cut(), "{why}: {}", self.shown());
                self.over = true;
                true
            }
            Err(e) => panic!("send: {e}: {}", self.shown()),
        }
    }

    fn may_be_cut(&self) -> bool {
        self.wild || self.late
    }

    /// Receives up to `most` bytes and judges them. True: something moved.
    pub fn receive(&mut self, most: usize) -> bool {
        if self.over {
            return false;
        }
        let received = match &mut self.scrambled {
            None => {
                self.inbox.reserve(most);
                socket::recv_into(self.fd.as_fd(), &mut self.inbox, most)
            }
            Some((_, unframer)) => {
                let mut bytes = Vec::with_capacity(most);
                let received = socket::recv_into(self.fd.as_fd(), &mut bytes, most);
                unframer.push(&bytes, &mut self.inbox);
                received
            }
        };
        match received {
            Ok(0) => {
                self.ended();
                true
            }
            Ok(_) => {
                self.judge();
                true
            }
            Err(Errno::EAGAIN) => false,
            Err(Errno::ECONNRESET) => {
                assert!(self.closing || self.may_be_cut(), "reset by the server: {}", self.shown());
                self.over = true;
                true
            }
            Err(e) => panic!("recv: {e}: {}", self.shown()),
        }
    }

    fn ended(&mut self) {
        self.over = true;
        if self.may_be_cut() {
            return;
        }
        assert!(self.inbox.is_empty(), "the end came within an answer: {}", self.shown());
        assert!(self.closing || self.half_closed, "closed without a word: {}", self.shown());
        if !self.closing {
            // Every request that was sent whole before the half-close is answered.
            let missing = self.owed.iter().any(|(_, end, _)| *end <= self.sent);
            assert!(!missing, "closed before all was answered: {}", self.shown());
        }
    }

    fn judge(&mut self) {
        loop {
            let to_head = !self.wild && self.owed.front().is_some_and(|(_, _, owed)| owed.to_head);
            let Some((answer, len)) = Answer::parse(&self.inbox, to_head, &self.name) else { return };
            self.judge_one(&answer);
            self.inbox.drain(..len);
        }
    }

    fn judge_one(&mut self, answer: &Answer) {
        let status = answer.status;
        assert!(!self.closing, "an answer after the last one: {status}, {}", self.shown());
        if self.wild {
            self.answers += usize::from(status != 100);
            self.closing = answer.closes;
            return;
        }
        if status == 408 && self.late {
            self.closing = true;
            return;
        }
        let Some((head, _, owed)) = self.owed.front_mut() else {
            panic!("an answer to no request: {status}, {}", self.shown());
        };
        let name = &owed.name;
        assert!(self.sent >= *head, "answered before it was asked: {status}, {name}");
        if status == 100 {
            assert!(std::mem::take(&mut owed.interim), "100 Continue unasked: {name}");
            return;
        }
        assert!(owed.statuses.contains(&status), "{status} instead of {:?}: {name}", owed.statuses);
        let body = &answer.body;
        match &owed.body {
            _ if owed.to_head => assert!(body.is_empty(), "{name}"),
            Body::Any => {}
            Body::Is(file, range) => assert!(**body == file[range.clone()], "{name}: another body"),
            Body::Parts(file, ranges) => check_parts(body, file, ranges, name),
            Body::Live => {
                assert_eq!(body.len(), LIVE, "{name}");
                assert!(body.windows(2).all(|w| w[0] == w[1]), "{name}: two versions in one answer");
            }
        }
        match owed.keep {
            Keep::No => assert!(answer.closes, "{name}: the connection should close"),
            Keep::Either => {}
            Keep::Yes => assert!(!answer.closes || self.late, "{name}: the connection should stay"),
        }
        self.closing = answer.closes;
        self.answers += 1;
        if let Some((_, _, owed)) = self.owed.pop_front()
            && let Some((name, content)) = owed.stores
        {
            self.uploads.push((name, content, status == 201));
        }
    }

    /// Says that no more will be sent. What is half sent is never answered, or with an error.
    pub fn half_close(&mut self) {
        if !self.half_closed && !self.over {
            // The end is bytes there: a server that has closed answers them with a reset, which may destroy what it
            // said.
            if let Some((outbox, _)) = &self.scrambled
                && (!self.wild || !outbox.is_empty() || socket::send(self.fd.as_fd(), &END, More::No) != Ok(END.len()))
            {
                return;
            }
            self.half_closed = true;
            let _ = socket::shutdown_write(self.fd.as_fd());
        }
    }

    /// The next close is a reset (TCP).
    pub fn prepare_reset(&mut self) {
        let _ = socket::linger_reset(self.fd.as_fd());
    }

    /// Reads and sends all it can. True: something moved.
    pub fn progress(&mut self) -> bool {
        let sent = self.send(MOST);
        self.receive(MOST) || sent
    }
}

struct Answer {
    status: u16,
    closes: bool,
    body: Vec<u8>,
}

impl Answer {
    /// None: not all of it is there. Panics where it is no HTTP.
    fn parse(bytes: &[u8], to_head: bool, name: &str) -> Option<(Answer, usize)> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).unwrap_or_else(|_| panic!("{name}: a head that is no text"));
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|n| n.parse().ok());
        let status: u16 = status.unwrap_or_else(|| panic!("{name}: no status line: {first:?}"));
        let (mut length, mut closes, mut dates) = (None, false, 0);
        for line in lines {
            let Some((field, value)) = line.split_once(": ") else { panic!("{name}: no header line: {line:?}") };
            assert!(field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{name}: no field name: {line:?}");
            match field.to_ascii_lowercase().as_str() {
                "content-length" => {
                    let number = value.parse().unwrap_or_else(|_| panic!("{name}: no length: {line:?}"));
                    assert!(length.replace(number).is_none(), "{name}: two lengths");
                }
                "connection" => closes = value == "close",
                "date" => dates += 1,
                "transfer-encoding" => panic!("{name}: nothing here needs {line:?}"),
                _ => {}
            }
        }
        let at = end + 4;
        if status == 100 {
            return Some((Answer { status, closes, body: Vec::new() }, at));
        }
        assert_eq!(dates, 1, "{name}: Date");
        let empty = to_head || matches!(status, 204 | 304);
        assert!(length.is_some() || empty, "{name}: {status} without length:\n{head}");
        let length: usize = if empty { 0 } else { length.unwrap_or(0) };
        let body = bytes.get(at..at + length)?.to_vec();
        Some((Answer { status, closes, body }, at + length))
    }
}

fn check_parts(body: &[u8], file: &[u8], ranges: &[std::ops::Range<usize>], name: &str) {
    let mut rest = body;
    for range in ranges {
        let head = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("{name}: no part"));
        let text = String::from_utf8_lossy(&rest[..head]);
        let wanted = format!("Content-Range: bytes {}-{}/{}", range.start, range.end - 1, file.len());
        assert!(text.contains(&wanted), "{name}: {wanted} is not in {text}");
        rest = &rest[head + 4..];
        assert!(rest.starts_with(&file[range.clone()]), "{name}: a part is not the file's");
        rest = &rest[range.len()..];
    }
    assert!(rest.starts_with(b"\r\n--") && rest.ends_with(b"--\r\n"), "{name}: no end");
}

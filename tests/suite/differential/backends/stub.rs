//! Backends that answer what they were told to, over HTTP, FastCGI, SCGI and uwsgi, and note what they were asked.

use crate::gateways::{self, Given, Kind};
use crate::os;
use crate::upstream::{Peer, Request, Upstream};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What a backend answers, in every protocol that it may be asked in.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Code and phrase.
    pub status: String,
    /// The first line in place of a status line, for HTTP.
    pub odd_line: Option<Vec<u8>>,
    /// The first field in place of `Status`, for gateways.
    pub odd_status: Option<Vec<u8>>,
    /// What HTTP sends before.
    pub interim: Vec<u8>,
    /// Fields, each with its line end.
    pub fields: Vec<u8>,
    pub framing: Framing,
    pub body: Vec<u8>,
    /// A HEAD, a 204 and a 304 are answered with the body, too.
    pub insists: bool,
    /// Bytes that go out together end at these.
    pub cuts: Vec<usize>,
    /// Bytes of it are sent, and no more.
    pub only: Option<usize>,
    pub end: End,
    pub records: Records,
}

/// How a body says where it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By the end of the connection.
    Close,
    Length,
    /// Content-Length, repeated this many times.
    Lengths(usize),
    /// By this much more or less than there is.
    Other(isize),
    Chunked,
    /// The chunks are the body as it stands.
    Chunks,
    /// Chunks, beside a length.
    Both,
    /// By fields of its own.
    Fields(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Keep,
    Close,
    /// RST, before a byte is sent.
    Reset,
}

/// What is particular to FastCGI.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// A message to STDERR, before the head or behind it.
    pub stderr: Option<(Vec<u8>, bool)>,
    pub padding: u8,
    /// Bytes of a record of STDOUT.
    pub size: usize,
    /// The status of the application, and that of the protocol.
    pub ended: Option<(u8, u8)>,
    /// A record that has no place there stands before the last.
    pub odd: Option<Vec<u8>>,
}

/// What is answered next, and what was asked.
#[derive(Default)]
struct Desk {
    answers: Vec<Answer>,
    next: usize,
    asked: Vec<String>,
}

pub struct Backends {
    desk: Arc<Mutex<Desk>>,
    /// The name of each in configurations, and where it listens.
    pub addresses: Vec<(String, SocketAddr)>,
}

const PROTOCOLS: [(&str, Option<Kind>); 4] =
    [("proxy", None), ("fastcgi", Some(Kind::FastCgi)), ("scgi", Some(Kind::Scgi)), ("uwsgi", Some(Kind::Uwsgi))];

impl Backends {
    /// Two for each protocol.
    pub fn start() -> Backends {
        let desk: Arc<Mutex<Desk>> = Arc::default();
        let mut addresses = Vec::new();
        for (protocol, kind) in PROTOCOLS {
            for number in 1..=2 {
                let (desk, name) = (desk.clone(), format!("{protocol} {number}"));
                let backend = Upstream::start(move |peer| serve(peer, kind, &name, &desk));
                addresses.push((format!("%%{}{number}%%", protocol.to_ascii_uppercase()), backend.address));
            }
        }
        Backends { desk, addresses }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }

    /// The answers to come; the last one is given again and again.
    pub fn answers(&self, answers: &[Answer]) {
        *self.desk() = Desk { answers: answers.to_vec(), ..Desk::default() };
    }

    /// What was asked since.
    pub fn asked(&self) -> String {
        self.desk().asked.concat()
    }

    /// Names replaced by addresses.
    pub fn placed(&self, text: &str) -> String {
        self.addresses.iter().fold(text.to_owned(), |text, (name, address)| text.replace(name, &address.to_string()))
    }

    /// Addresses replaced by names.
    pub fn named(&self, text: &str) -> String {
        self.addresses.iter().fold(text.to_owned(), |text, (name, address)| {
            text.replace(&address.to_string(), name).replace(&format!(":{}", address.port()), &format!(":{name}"))
        })
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().expect("nothing panics while it holds the lock")
}

/// A request in either kind of protocol.
struct Asked {
    is_head: bool,
    text: String,
}

fn serve(peer: &mut Peer, kind: Option<Kind>, name: &str, desk: &Mutex<Desk>) {
    let _ = peer.stream.set_read_timeout(Some(Duration::from_secs(20)));
    loop {
        let asked = match kind {
            None => peer.request().map(|request| of_http(&request)),
            Some(kind) => gateways::take(kind, peer).map(|given| of_gateway(&given)),
        };
        let Some(asked) = asked else { return };
        let answer = {
            let mut desk = lock(desk);
            desk.asked.push(format!("--- {name}\n{}\n", asked.text));
            let at = desk.next.min(desk.answers.len().saturating_sub(1));
            desk.next += 1;
            desk.answers.get(at).cloned()
        };
        let Some(answer) = answer else { return };
        if answer.end == End::Reset {
            os::reset_on_close(&peer.stream);
            return;
        }
        // Applications are asked to close, and nginx may wait for that.
        let is_kept = answer.end == End::Keep && kind.is_none();
        let mut bytes = match kind {
            None => answer.http(asked.is_head),
            Some(Kind::FastCgi) => answer.fastcgi(asked.is_head),
            Some(_) => answer.gateway(asked.is_head),
        };
        bytes.truncate(answer.only.unwrap_or(bytes.len()));
        if !send(peer, &bytes, &answer.cuts, is_kept) {
            return;
        }
    }
}

/// In pieces. The end of the connection goes out with the last bytes: who reads these finds it, too.
fn send(peer: &mut Peer, bytes: &[u8], cuts: &[usize], is_kept: bool) -> bool {
    let mut from = 0;
    for &cut in cuts.iter().filter(|cut| **cut < bytes.len()) {
        if cut > from && !peer.send(&bytes[from..cut]) {
            return false;
        }
        from = from.max(cut);
        // The piece has arrived.
        while os::unacknowledged(&peer.stream) > 0 {
            std::thread::yield_now();
        }
    }
    if is_kept {
        return peer.send(&bytes[from..]);
    }
    os::cork(&peer.stream);
    peer.send(&bytes[from..]);
    let _ = peer.stream.shutdown(Shutdown::Write);
    // What is still sent is read: a RST would overtake the answer.
    while peer.some().is_some() {}
    false
}

fn of_http(request: &Request) -> Asked {
    let mut fields: Vec<String> = request.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    fields.sort();
    let text = format!("{}\n{}[{}]", request.line, fields.concat(), body(&request.body));
    Asked { is_head: request.line.starts_with("HEAD "), text }
}

fn of_gateway(given: &Given) -> Asked {
    // Each connection of a client has a port of its own, and each server a name.
    let is_own = |name: &str| ["REMOTE_PORT", "SERVER_SOFTWARE"].contains(&name);
    let params = given.params.iter().filter(|(name, _)| !is_own(name));
    let mut params: Vec<String> = params.map(|(name, value)| format!("{name}={value}\n")).collect();
    params.sort();
    let is_head = given.map().get("REQUEST_METHOD") == Some(&"HEAD");
    Asked { is_head, text: format!("{}[{}]", params.concat(), body(&given.body)) }
}

fn body(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
    if bytes.len() > 60 { format!("{shown}… {}", bytes.len()) } else { shown }
}

impl Answer {
    /// The body, if one is sent.
    fn sent_body(&self, is_head: bool) -> &[u8] {
        let is_bodyless = is_head || self.status.starts_with("204") || self.status.starts_with("304");
        if is_bodyless && !self.insists { b"" } else { &self.body }
    }

    /// Fields that say where the body ends, and the body so framed.
    fn framed(&self, is_head: bool, may_be_chunked: bool) -> (Vec<u8>, Vec<u8>) {
        let body = self.sent_body(is_head);
        let length = |n: usize| format!("Content-Length: {n}\r\n").into_bytes();
        let chunked = || {
            let mut all = Vec::new();
            for piece in body.chunks(4000) {
                all.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                all.extend_from_slice(piece);
                all.extend_from_slice(b"\r\n");
            }
            all.extend_from_slice(b"0\r\n\r\n");
            if is_head && !self.insists { Vec::new() } else { all }
        };
        let coded = || b"Transfer-Encoding: chunked\r\n".to_vec();
        match &self.framing {
            Framing::Chunked | Framing::Both if !may_be_chunked => (Vec::new(), body.to_vec()),
            Framing::Close => (Vec::new(), body.to_vec()),
            Framing::Length => (length(self.body.len()), body.to_vec()),
            Framing::Lengths(count) => (length(self.body.len()).repeat(*count), body.to_vec()),
            Framing::Other(by) => (length(self.body.len().saturating_add_signed(*by)), body.to_vec()),
            Framing::Chunked => (coded(), chunked()),
            Framing::Chunks => (coded(), body.to_vec()),
            Framing::Both => ([coded(), length(self.body.len())].concat(), chunked()),
            Framing::Fields(fields) => (fields.clone(), body.to_vec()),
        }
    }

    pub fn http(&self, is_head: bool) -> Vec<u8> {
        let line = format!("HTTP/1.1 {}", self.status).into_bytes();
        let line = self.odd_line.clone().unwrap_or(line);
        let (framing, body) = self.framed(is_head, true);
        [&self.interim, &line, b"\r\n".as_slice(), &self.fields, &framing, b"\r\n", &body].concat()
    }

    /// As scripts say it.
    pub fn gateway(&self, is_head: bool) -> Vec<u8> {
        let status = match &self.odd_status {
            Some(odd) if odd.is_empty() => Vec::new(),
            Some(odd) => [odd, b"\r\n".as_slice()].concat(),
            None if self.status.starts_with("200") => Vec::new(),
            None => format!("Status: {}\r\n", self.status).into_bytes(),
        };
        let (framing, body) = self.framed(is_head, false);
        [&status, &self.fields, &framing, b"\r\n".as_slice(), &body].concat()
    }

    fn fastcgi(&self, is_head: bool) -> Vec<u8> {
        let records = &self.records;
        let record = |kind: u8, content: &[u8]| {
            let [high, low] = (content.len() as u16).to_be_bytes();
            let padding = vec![b'p'; records.padding.into()];
            [&[1, kind, 0, 1, high, low, records.padding, 0], content, &padding].concat()
        };
        let output = self.gateway(is_head);
        let mut all = Vec::new();
        let message = |before: bool| {
            let said = records.stderr.as_ref().filter(|(_, first)| *first == before);
            said.map(|(message, _)| record(7, message)).unwrap_or_default()
        };
        all.extend(message(true));
        for piece in output.chunks(records.size.clamp(1, 60_000)) {
            all.extend(record(6, piece));
        }
        all.extend(message(false));
        all.extend_from_slice(records.odd.as_deref().unwrap_or_default());
        if let Some((app, protocol)) = records.ended {
            all.extend(record(6, b""));
            all.extend(record(3, &[0, 0, 0, app, protocol, 0, 0, 0]));
        }
        all
    }
}

//! Upstream servers for the proxy's tests: a thread for each connection, a script that says what to do with it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A listening upstream. It ends with the test process; its threads hold nothing else.
pub struct Upstream {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub line: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// One accepted connection, as the script sees it.
pub struct Peer {
    pub stream: TcpStream,
    buf: Vec<u8>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Upstream {
    /// `script` is run for each connection; returning closes it.
    pub fn start(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (count, seen, script) = (connections.clone(), requests.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (script, requests) = (script.clone(), seen.clone());
                let _ = stream.set_nodelay(true);
                thread::spawn(move || script(&mut Peer { stream, buf: Vec::new(), requests }));
            }
        });
        Upstream { address, connections, requests }
    }

    /// Answers every request on every connection with these bytes.
    pub fn always(answer: impl Into<Vec<u8>>) -> Upstream {
        let answer = answer.into();
        Upstream::start(move |peer| {
            while peer.request().is_some() {
                if !peer.send(&answer) {
                    return;
                }
            }
        })
    }

    /// Answers with the request itself: its line, header lines and body.
    pub fn echo() -> Upstream {
        Upstream::start(|peer| {
            while let Some(request) = peer.request() {
                let mut body = format!("{}\n", request.line).into_bytes();
                for (name, value) in &request.fields {
                    body.extend_from_slice(format!("{name}: {value}\n").as_bytes());
                }
                body.push(b'\n');
                body.extend_from_slice(&request.body);
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
                if !peer.send(head.as_bytes()) || !peer.send(&body) {
                    return;
                }
            }
        })
    }

    /// An address without a listener, as long as the tests run: it is held, or another test might be given it.
    pub fn nowhere() -> SocketAddr {
        let (held, address) = crate::os::reserve().expect("a free port");
        std::mem::forget(held);
        address
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no script panics while it holds the lock").clone()
    }

    #[track_caller]
    pub fn last(&self) -> Request {
        self.requests().pop().expect("a request came")
    }
}

impl Peer {
    /// The next request with its body; None at the end of the connection.
    pub fn request(&mut self) -> Option<Request> {
        let mut request = self.head()?;
        let chunked = !request.all("transfer-encoding").is_empty();
        let length = request.all("content-length").first().and_then(|n| n.parse().ok()).unwrap_or(0);
        if chunked {
            loop {
                let size = usize::from_str_radix(self.line()?.split(';').next()?, 16).ok()?;
                request.body.extend(self.take(size)?);
                self.take(2)?;
                if size == 0 {
                    break;
                }
            }
        } else {
            request.body = self.take(length)?;
        }
        self.requests.lock().expect("no script panics while it holds the lock").push(request.clone());
        Some(request)
    }

    /// The next request's head; its body is left to be read.
    pub fn head(&mut self) -> Option<Request> {
        let mut request = Request { line: self.line()?, ..Request::default() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(request);
            }
            let (name, value) = line.split_once(':')?;
            request.fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Some bytes, as they come; None at the end.
    pub fn some(&mut self) -> Option<Vec<u8>> {
        if self.buf.is_empty() && !self.fill() {
            return None;
        }
        Some(std::mem::take(&mut self.buf))
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buf.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buf.drain(..=at).collect();
                return Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    pub fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buf.len() < length {
            if !self.fill() {
                return None;
            }
        }
        Some(self.buf.drain(..length).collect())
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 65536];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(n) => {
                    self.buf.extend_from_slice(&chunk[..n]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

//! Cached responses to requests that come again byte for byte: the meaning of a head is cached with it, so that the
//! next such request skips parsing, routing and the phases. The key of a head is its bytes in HTTP/1 and its decoded
//! fields in HTTP/2 ([`frame_key`]); the response's head is cached as the protocol writes it, so that it can be sent
//! as it is. Contents stay in [`super::open_files`] and are checked as for any request.
//!
//! Invariant: an entry answers only a request of exactly the same bytes, at the same endpoint, with the configuration
//! it was made with ([`ResponseCache::clear`] at a reload), and while its [`Look`] holds. [`crate::exchange::basis`]
//! keeps responses out that depend on anything else (the client, the time, a variable).

use super::clock::Clock;
use super::open_files::{Look, OpenFile};
use crate::config::model::{EndpointId, LocationId, ServerId};
use crate::config::settings::client::Client;
use crate::config::settings::logs::Logging;
use crate::http::h1::head::EndFinder;
use crate::http::status::Status;
use crate::services::dir_watch::DirWatch;
use crate::services::open_files::FileCache;
use crate::sys::Errno;
use crate::util::hash::{FastMap, Secret};
use crate::util::span::Span;
use std::cell::RefCell;
use std::ffi::CStr;
use std::hash::{BuildHasher, Hasher};
use std::rc::{Rc, Weak};

/// Longest cached head: longer ones contain cookies, which differ from client to client.
const HEAD: usize = 1024;
/// Longest key of fields: it contains some parts of the request twice.
const KEY: usize = 1536;
/// Entries at most.
const ENTRIES: usize = 16_384;
/// Bytes of an entry besides its text, about.
const ENTRY: u64 = 320;
/// Slots for hashes of heads that were seen once: 4 bytes each.
const SEEN: usize = 16_384;

/// A request and its response, except for content that is in a file.
pub struct CachedResponse {
    pub endpoint: EndpointId,
    /// What the request asks for.
    pub server: ServerId,
    pub location: LocationId,
    /// The location's settings that matter when the response is sent.
    pub client: Rc<Client>,
    pub logs: Rc<Logging>,
    pub status: Status,
    pub keep_alive: bool,
    pub body: Body,
    /// Bytes of the response's head.
    pub head_size: u64,
    /// All texts of the entry, one after the other; the spans below are offsets into it.
    pub text: Box<[u8]>,
    /// The request's head, which is the whole request.
    pub request: Span,
    /// The path that was opened, with a NUL.
    pub path: Span,
    /// The response's head before the value of Date, and after it: text, or a header block for HTTP/2.
    pub start: Span,
    pub rest: Span,
    /// The body, if it is cached here.
    pub content: Span,
    /// Its line of the error log: the error, and the request, without the client.
    pub error_text: Span,
    pub error_request: Span,
    /// The line of the access log.
    pub line: Box<[Piece]>,
    /// The file that the path led to.
    pub file: Result<Weak<OpenFile>, Errno>,
    pub look: RefCell<Look>,
}

/// What follows the response's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// `content`, which may be empty.
    Kept,
    /// The file, which is in memory.
    Memory,
    /// The file, by sendfile.
    File,
}

/// A part of an access log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Constant: bytes of the entry's text.
    Text(Span),
    RemoteAddr,
    RemotePort,
    Connection,
    ConnectionRequests,
    TimeLocal,
    TimeIso8601,
    Msec,
    RequestTime,
    /// Bytes of the whole response, and of its body.
    BytesSent(u64),
    BodyBytesSent(u64),
}

impl CachedResponse {
    pub fn bytes(&self, span: Span) -> &[u8] {
        span.of(&self.text)
    }

    /// Whether the path leads to the same file as when the response was made. Gives the file, if there is one.
    pub fn is_current(&self, files: &mut FileCache, now: &Clock, watch: &mut DirWatch) -> Option<Option<Rc<OpenFile>>> {
        watch.refresh(now);
        if self.look.borrow().holds(now) {
            return match &self.file {
                Err(_) => Some(None),
                Ok(file) => {
                    let file = file.upgrade()?;
                    file.touch(now);
                    Some(Some(file))
                }
            };
        }
        let path = CStr::from_bytes_with_nul(self.bytes(self.path)).ok()?;
        let (found, look) = files.look(path, now, watch)?;
        let found = match (found, &self.file) {
            (Ok(file), Ok(kept)) if Rc::as_ptr(&file) == kept.as_ptr() => Some(file),
            (Err(e), Err(kept)) if e == *kept => None,
            _ => return None,
        };
        *self.look.borrow_mut() = look;
        Some(found)
    }

    fn cost(&self) -> u64 {
        ENTRY + self.text.len() as u64 + size_of_val(&*self.line) as u64
    }
}

/// The key of an HTTP/2 request: its decoded text, and where in it the fields are. It begins as no head of HTTP/1
/// does. Appended to `key`.
pub fn frame_key(text: &[u8], spans: impl Iterator<Item = Span>, key: &mut Vec<u8>) {
    key.push(2);
    for span in spans {
        key.extend_from_slice(&span.start.to_ne_bytes());
        key.extend_from_slice(&span.len.to_ne_bytes());
    }
    key.extend_from_slice(text);
}

/// All cached responses.
pub struct ResponseCache {
    entries: FastMap<u64, Rc<CachedResponse>>,
    /// Marks of heads that were seen; allocated at the first one.
    seen: Vec<u32>,
    secret: Secret,
    bytes: u64,
    limit: u64,
    end: EndFinder,
}

impl ResponseCache {
    /// `limit`: most bytes. 0: nothing is cached.
    pub fn new(limit: u64) -> ResponseCache {
        ResponseCache {
            entries: FastMap::default(),
            seen: Vec::new(),
            secret: Secret::default(),
            bytes: 0,
            limit,
            end: EndFinder::default(),
        }
    }

    /// Another configuration is used from now on.
    pub fn clear(&mut self, limit: u64) {
        self.forget_all();
        self.limit = limit;
    }

    fn forget_all(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Length of the head that `bytes` begin with, if it is whole and short enough for the cache.
    pub fn head(&self, bytes: &[u8]) -> Option<usize> {
        // GET and HEAD, perhaps after an empty line: nothing else is cached, and uploads need not be searched.
        if self.limit == 0 || !matches!(bytes.first(), Some(b'G' | b'H' | b'\r')) {
            return None;
        }
        self.end.find(bytes.get(..HEAD.min(bytes.len()))?)
    }

    /// Whether a key of that length may be cached.
    pub fn takes(&self, key: &[u8]) -> bool {
        self.limit > 0 && key.len() <= KEY
    }

    /// The hash of a head. Clients choose the bytes; they cannot choose the hash.
    pub fn hash(&self, endpoint: EndpointId, head: &[u8]) -> u64 {
        let mut hasher = self.secret.build_hasher();
        hasher.write_u32(endpoint.0);
        hasher.write(head);
        hasher.finish()
    }

    pub fn find(&self, hash: u64, endpoint: EndpointId, head: &[u8]) -> Option<&Rc<CachedResponse>> {
        let found = self.entries.get(&hash)?;
        (found.bytes(found.request) == head && found.endpoint == endpoint).then_some(found)
    }

    /// Whether a head that is not cached was seen before: only then is it worth caching. Marks it as seen.
    pub fn mark_seen(&mut self, hash: u64) -> bool {
        if self.seen.is_empty() {
            self.seen.resize(SEEN, 0);
        }
        let mark = (hash >> 32) as u32 | 1;
        let place = &mut self.seen[hash as usize % SEEN];
        std::mem::replace(place, mark) == mark
    }

    pub fn keep(&mut self, hash: u64, repeat: CachedResponse) {
        let cost = repeat.cost();
        if cost > self.limit {
            return;
        }
        self.forget(hash);
        // Everything is dropped: what is in demand soon returns.
        if self.bytes + cost > self.limit || self.entries.len() >= ENTRIES {
            self.forget_all();
        }
        self.bytes += cost;
        self.entries.insert(hash, Rc::new(repeat));
    }

    pub fn forget(&mut self, hash: u64) {
        if let Some(old) = self.entries.remove(&hash) {
            self.bytes -= old.cost();
        }
    }
}

#[cfg(test)]
mod tests;

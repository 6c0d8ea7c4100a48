//! Cached responses to requests that are repeated byte for byte: the parsed meaning of the head is cached too, so that
//! the next such request skips parsing, routing and the phases. The key is the head's bytes in HTTP/1, and the decoded
//! fields in HTTP/2 ([`frame_key`]); response heads are cached in the protocol's encoding, ready to send. Contents stay
//! in [`super::open_files`] and are validated as for any request.
//!
//! Invariant: an entry is used only for a request of exactly the same bytes, at the same endpoint, with the same
//! configuration ([`ResponseCache::clear`] at a reload), while its [`Lookup`] is valid, and while the configured
//! directories that it depends on have not moved. [`crate::exchange::basis`] keeps out responses that depend on
//! anything else (the client, the time, a variable).

use super::clock::Clock;
use super::configured_dirs::DirGenerations;
use super::open_files::{Lookup, OpenFile};
use crate::config::model::{EndpointId, LocationId, ServerId};
use crate::config::settings::client::ClientSettings;
use crate::config::settings::logs::Logging;
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

/// Maximum size of a key for HTTP/2: it contains parts of the request twice.
const KEY: usize = 1536;
/// Maximum number of entries.
const ENTRIES: usize = 16_384;
/// Approximate size of an entry without its text.
const ENTRY: u64 = 320;
/// Number of slots for hashes of heads seen once: 4 bytes each.
const SEEN: usize = 16_384;

/// A request and its response, except content that is in a file.
pub struct CachedResponse {
    /// The endpoint at which the request was sent.
    pub endpoint: EndpointId,
    /// What the request resolved to.
    pub server: ServerId,
    /// The location that answered.
    pub location: LocationId,
    /// The location's settings needed when the response is sent.
    pub client: Rc<ClientSettings>,
    /// Its logs.
    pub logs: Rc<Logging>,
    /// Of the response.
    pub status: Status,
    /// The connection is kept after it.
    pub keep_alive: bool,
    /// Where the body is.
    pub body: CachedBody,
    /// Size of the response's head.
    pub head_size: u64,
    /// All texts of the entry, concatenated; the spans below are offsets into it.
    pub text: Box<[u8]>,
    /// The request's head, which is the whole request.
    pub request: Span,
    /// The path that was opened, NUL-terminated.
    pub path: Span,
    /// The response's head before the value of Date, and after it: text, or a header block for HTTP/2.
    pub start: Span,
    /// After Date.
    pub rest: Span,
    /// The body, if it is stored here.
    pub content: Span,
    /// The text of its error log line: the error and the request, without the client.
    pub error_text: Span,
    /// The rest of that line.
    pub error_request: Span,
    /// The line of the access log.
    pub line: Box<[Piece]>,
    /// The file at the path.
    pub file: Result<Weak<OpenFile>, Errno>,
    /// When the file was looked up last, and whether that still holds.
    pub lookup: RefCell<Lookup>,
    /// The generations of the configured directories that it depends on.
    pub dirs: DirGenerations,
}

/// The source of the response's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachedBody {
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
    /// Constant text of the entry.
    Text(Span),
    /// `$remote_addr`; the others likewise.
    RemoteAddr,
    RemotePort,
    Connection,
    ConnectionRequests,
    TimeLocal,
    TimeIso8601,
    Msec,
    RequestTime,
    /// Size of the whole response, and of its body.
    BytesSent(u64),
    /// `$body_bytes_sent`.
    BodyBytesSent(u64),
}

impl CachedResponse {
    /// A part of the entry's text.
    pub fn bytes(&self, span: Span) -> &[u8] {
        span.of(&self.text)
    }

    /// Whether the path still leads to the same file. Returns the file, if there is one.
    pub fn is_current(&self, files: &mut FileCache, now: &Clock, watch: &mut DirWatch) -> Option<Option<Rc<OpenFile>>> {
        watch.refresh(now);
        if self.lookup.borrow().holds(now) {
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
        let (found, lookup) = files.open_with_lookup(path, now, watch)?;
        let found = match (found, &self.file) {
            (Ok(file), Ok(kept)) if Rc::as_ptr(&file) == kept.as_ptr() => Some(file),
            (Err(e), Err(kept)) if e == *kept => None,
            _ => return None,
        };
        *self.lookup.borrow_mut() = lookup;
        Some(found)
    }

    fn cost(&self) -> u64 {
        ENTRY + self.text.len() as u64 + size_of_val(&*self.line) as u64
    }
}

/// Appends the key of an HTTP/2 request to `key`: its decoded text, and the spans of its fields. It begins unlike any
/// HTTP/1 head.
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
    /// Marks of heads that were seen; allocated on first use.
    seen: Vec<u32>,
    secret: Secret,
    bytes: u64,
    limit: u64,
}

impl ResponseCache {
    /// `limit`: maximum bytes. 0 disables the cache.
    pub fn new(limit: u64) -> ResponseCache {
        ResponseCache { entries: FastMap::default(), seen: Vec::new(), secret: Secret::default(), bytes: 0, limit }
    }

    /// Clears the cache for another configuration.
    pub fn clear(&mut self, limit: u64) {
        self.forget_all();
        self.limit = limit;
    }

    fn forget_all(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// It keeps nothing.
    pub fn is_off(&self) -> bool {
        self.limit == 0
    }

    /// Whether an HTTP/2 request with this key may be cached.
    pub fn takes(&self, key: &[u8]) -> bool {
        !self.is_off() && key.len() <= KEY
    }

    /// The keyed hash of a head: clients choose the bytes, but cannot predict the hash.
    pub fn hash(&self, endpoint: EndpointId, head: &[u8]) -> u64 {
        let mut hasher = self.secret.build_hasher();
        hasher.write_u32(endpoint.0);
        hasher.write(head);
        hasher.finish()
    }

    /// `hash`: of `endpoint` and `head`, as [`ResponseCache::hash`] gives it. Both are compared too: another request
    /// may have the same hash.
    pub fn find(&self, hash: u64, endpoint: EndpointId, head: &[u8]) -> Option<&Rc<CachedResponse>> {
        let found = self.entries.get(&hash)?;
        (found.bytes(found.request) == head && found.endpoint == endpoint).then_some(found)
    }

    /// Whether an uncached head was seen before: only then is it worth caching. Marks it as seen.
    pub fn mark_seen(&mut self, hash: u64) -> bool {
        if self.seen.is_empty() {
            self.seen.resize(SEEN, 0);
        }
        let mark = (hash >> 32) as u32 | 1;
        let place = &mut self.seen[hash as usize % SEEN];
        std::mem::replace(place, mark) == mark
    }

    /// Keeps a response, unless it is larger than the cache.
    pub fn keep(&mut self, hash: u64, repeat: CachedResponse) {
        let cost = repeat.cost();
        if cost > self.limit {
            return;
        }
        self.forget(hash);
        // Drop everything: what is in demand returns soon.
        if self.bytes + cost > self.limit || self.entries.len() >= ENTRIES {
            self.forget_all();
        }
        self.bytes += cost;
        self.entries.insert(hash, Rc::new(repeat));
    }

    /// The entry is no longer right, or was evicted.
    pub fn forget(&mut self, hash: u64) {
        if let Some(old) = self.entries.remove(&hash) {
            self.bytes -= old.cost();
        }
    }
}

#[cfg(test)]
mod tests;

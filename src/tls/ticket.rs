//! Session resumption: tickets, which the client keeps, and caches, which the server keeps.
//!
//! Keys and caches belong to the process, not to a configuration, so they survive a reload. Invariant: a session is
//! resumed only with the certificates and the client verification with which it began. A [`Context`] ensures that: it
//! is authenticated in tickets and part of the cache keys.
//!
//! What bounds it: the sessions of a zone take no more than its size, each with its client's certificates; one of more
//! than [`LARGEST`] bytes is not cached.

use super::time::seconds;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};
use rustls::server::{NoServerSessionStorage, ProducesTickets, StoresServerSessions};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A digest of what must be the same for a session to be resumed.
pub type Context = [u8; 32];

/// Digests the parts of a context.
pub fn context<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Context {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finish().as_ref().try_into().unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A key that seals tickets.
pub struct Key {
    name: [u8; 16],
    /// The secret from which the key is derived, to hand over to the next process.
    secret: [u8; 32],
    key: LessSafeKey,
    made: u64,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key")
    }
}

impl Key {
    fn random() -> Option<Key> {
        let mut bytes = [0; 48];
        rand::fill(&mut bytes).ok()?;
        Key::from_bytes(&bytes)
    }

    /// From the 48 or 80 bytes of an `ssl_session_ticket_key` file: the name, then the secret.
    pub fn from_bytes(bytes: &[u8]) -> Option<Key> {
        if !matches!(bytes.len(), 48 | 80) {
            return None;
        }
        let (name, secret) = bytes.split_at(16);
        let secret = digest::digest(&digest::SHA256, secret);
        Key::new(name.try_into().ok()?, secret.as_ref().try_into().ok()?, seconds())
    }

    fn new(name: [u8; 16], secret: [u8; 32], made: u64) -> Option<Key> {
        let key = UnboundKey::new(&AES_256_GCM, &secret).ok()?;
        Some(Key { name, secret, key: LessSafeKey::new(key), made })
    }

    fn seal(&self, plain: &[u8], context: &Context, now: u64) -> Option<Vec<u8>> {
        let mut nonce = [0; 12];
        rand::fill(&mut nonce).ok()?;
        let mut body = [&now.to_be_bytes()[..], plain].concat();
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut body).ok()?;
        Some([&self.name[..], &nonce, &body].concat())
    }

    /// Decrypts the session if the ticket is ours, has this context and is at most `lifetime` seconds old.
    fn open(&self, ticket: &[u8], context: &Context, now: u64, lifetime: u64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(16)?;
        let (nonce, body) = rest.split_at_checked(12)?;
        if name != self.name {
            return None;
        }
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce.try_into().ok()?);
        let plain = self.key.open_in_place(nonce, Aad::from(context), &mut body).ok()?;
        let (made, session) = plain.split_at_checked(8)?;
        let made = u64::from_be_bytes(made.try_into().ok()?);
        (now.saturating_sub(made) <= lifetime).then(|| session.to_vec())
    }
}

/// The process's own keys, newest first. They rotate, and stay as long as their tickets are valid.
#[derive(Default)]
struct Ring {
    keys: VecDeque<Key>,
    /// The longest ticket lifetime configured so far, in seconds.
    longest: u64,
}

/// A key seals new tickets for at least this many seconds.
const ROTATION: u64 = 3600;
/// The most keys that are inherited from an earlier process; rotation itself leaves fewer.
const MOST_KEYS: usize = 16;

impl Ring {
    fn rotate(&mut self, now: u64) {
        let age = |key: &Key| now.saturating_sub(key.made);
        let span = self.longest.max(ROTATION);
        if self.keys.front().is_none_or(|key| age(key) >= span)
            && let Some(mut key) = Key::random()
        {
            key.made = now;
            self.keys.push_front(key);
        }
        while self.keys.len() > 1 && self.keys.back().is_some_and(|key| age(key) > span * 2) {
            self.keys.pop_back();
        }
    }
}

fn ring() -> MutexGuard<'static, Ring> {
    static RING: OnceLock<Mutex<Ring>> = OnceLock::new();
    lock(RING.get_or_init(Mutex::default))
}

/// Makes a key before forking, so that all worker processes accept each other's tickets. `lifetime`: the longest ticket
/// lifetime, in seconds.
pub fn prepare(lifetime: u64) {
    let mut ring = ring();
    ring.longest = ring.longest.max(lifetime);
    ring.rotate(seconds());
}

/// One of the process's own keys, as handed over to the next process.
pub struct Secret {
    /// The name in tickets by which the key is found.
    pub name: [u8; 16],
    /// The key itself.
    pub secret: [u8; 32],
    /// Unix seconds.
    pub made: u64,
}

/// The process's own keys.
pub fn keys() -> Vec<Secret> {
    ring().keys.iter().map(|key| Secret { name: key.name, secret: key.secret, made: key.made }).collect()
}

/// Adds a key of an earlier process, so that its tickets can still be decrypted.
pub fn inherit_key(name: [u8; 16], secret: [u8; 32], made: u64) {
    let mut ring = ring();
    if ring.keys.len() < MOST_KEYS
        && ring.keys.iter().all(|key| key.name != name)
        && let Some(key) = Key::new(name, secret, made)
    {
        let at = ring.keys.partition_point(|other| other.made > made);
        ring.keys.insert(at, key);
    }
}

/// Issues and decrypts the tickets of one context.
#[derive(Debug)]
pub struct Tickets {
    /// What the session is bound to.
    pub context: Context,
    /// Of a ticket, in seconds.
    pub lifetime: u64,
    /// The keys of `ssl_session_ticket_key`, the one for new tickets first; empty: the process's own keys.
    pub keys: Vec<Arc<Key>>,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let now = seconds();
        // The session lives in the ticket, so no cached session is new.
        LAST_SESSION_ID.set(None);
        if let Some(key) = self.keys.first() {
            return key.seal(plain, &self.context, now);
        }
        let mut ring = ring();
        ring.longest = ring.longest.max(self.lifetime);
        ring.rotate(now);
        ring.keys.front()?.seal(plain, &self.context, now)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let now = seconds();
        let open = |key: &Key| key.open(ticket, &self.context, now, self.lifetime);
        if self.keys.is_empty() {
            ring().keys.iter().find_map(open)
        } else {
            self.keys.iter().find_map(|key| open(key))
        }
    }
}

/// Disables tickets.
#[derive(Debug)]
pub struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Cached sessions; the oldest is dropped first. They take no more than the bytes of the zone.
#[derive(Debug, Default)]
struct Zone {
    sessions: HashMap<Vec<u8>, Session>,
    /// The keys by the order in which they came.
    order: BTreeMap<u64, Vec<u8>>,
    serial: u64,
    /// What the sessions take.
    bytes: usize,
    size: usize,
}

#[derive(Debug)]
struct Session {
    serial: u64,
    /// Unix seconds.
    made: u64,
    value: Vec<u8>,
}

/// Maximum bytes of a cached session (nginx's NGX_SSL_MAX_SESSION_SIZE): it holds the certificates of its client, which
/// chooses how long they are, whether or not they are trusted.
const LARGEST: usize = 4096;
/// What a session takes besides its value and its two keys.
const OVERHEAD: usize = 96;

impl Zone {
    fn cost(key: &[u8], value: &[u8]) -> usize {
        2 * key.len() + value.len() + OVERHEAD
    }

    /// Whether it was cached.
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, now: u64) -> bool {
        self.remove(&key);
        let cost = Zone::cost(&key, &value);
        if value.len() > LARGEST || cost > self.size {
            return false;
        }
        while self.bytes + cost > self.size
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.remove(&oldest);
        }
        self.serial += 1;
        self.bytes += cost;
        self.order.insert(self.serial, key.clone());
        self.sessions.insert(key, Session { serial: self.serial, made: now, value });
        true
    }

    fn remove(&mut self, key: &[u8]) -> Option<Session> {
        let session = self.sessions.remove(key)?;
        self.order.remove(&session.serial);
        self.bytes -= Zone::cost(key, &session.value);
        Some(session)
    }
}

/// The part of a zone that belongs to one context.
#[derive(Debug)]
pub struct ZoneSessions {
    zone: Arc<Mutex<Zone>>,
    context: Context,
    lifetime: u64,
}

fn zones() -> MutexGuard<'static, HashMap<String, Arc<Mutex<Zone>>>> {
    static ZONES: OnceLock<Mutex<HashMap<String, Arc<Mutex<Zone>>>>> = OnceLock::new();
    lock(ZONES.get_or_init(Mutex::default))
}

/// Iterates over a zone's sessions, oldest first, to hand them over to the next process.
pub struct Sessions {
    /// The zone's name.
    pub zone: String,
    content: Zone,
}

impl Iterator for Sessions {
    /// Key, when it was made (Unix seconds), session.
    type Item = (Vec<u8>, u64, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        let (_, key) = self.content.order.pop_first()?;
        let session = self.content.remove(&key)?;
        Some((key, session.made, session.value))
    }
}

/// Empties all zones.
pub fn take_sessions() -> Vec<Sessions> {
    let taken = |(name, zone): (&String, &Arc<Mutex<Zone>>)| {
        let mut zone = lock(zone);
        let empty = Zone { size: zone.size, ..Zone::default() };
        Sessions { zone: name.clone(), content: std::mem::replace(&mut *zone, empty) }
    };
    zones().iter().map(taken).collect()
}

/// Adds a session of an earlier process.
pub fn inherit_session(zone: &str, key: &[u8], made: u64, value: &[u8]) {
    let Some(zone) = zones().get(zone).cloned() else { return };
    lock(&zone).put(key.to_vec(), value.to_vec(), made);
}

/// The cache of a zone, which configurations share by name. `size`: maximum bytes of its sessions; `lifetime`: seconds.
pub fn cache(zone: &str, size: usize, context: Context, lifetime: u64) -> Arc<dyn StoresServerSessions> {
    let zone = zones().entry(zone.to_owned()).or_default().clone();
    lock(&zone).size = size;
    Arc::new(ZoneSessions { zone, context, lifetime })
}

/// Sessions are not kept: only tickets can resume one.
pub fn no_cache() -> Arc<dyn StoresServerSessions> {
    Arc::new(NoServerSessionStorage {})
}

impl ZoneSessions {
    fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.context[..], key].concat()
    }

    fn is_fresh(&self, session: &Session) -> bool {
        seconds().saturating_sub(session.made) <= self.lifetime
    }
}

thread_local! {
    /// The key of the session that was cached last.
    static LAST_SESSION_ID: Cell<Option<[u8; 32]>> = const { Cell::new(None) };
}

/// Takes the key under which this thread cached a session since the last call. In TLS 1.2 it is the session id, which
/// `rustls` does not expose otherwise.
pub fn take_last_session_id() -> Option<[u8; 32]> {
    LAST_SESSION_ID.take()
}

impl StoresServerSessions for ZoneSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let is_cached = lock(&self.zone).put(self.key(&key), value, seconds());
        LAST_SESSION_ID.set(key.as_slice().try_into().ok().filter(|_| is_cached));
        is_cached
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let zone = lock(&self.zone);
        zone.sessions.get(&self.key(key)).filter(|session| self.is_fresh(session)).map(|session| session.value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = lock(&self.zone).remove(&self.key(key));
        found.filter(|session| self.is_fresh(session)).map(|session| session.value)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_open_in_their_context_and_time_only() {
        let key = Key::from_bytes(&[7; 48]).expect("a key");
        let (here, there) = (context([&b"a"[..]]), context([&b"b"[..]]));
        let ticket = key.seal(b"session", &here, 100).expect("a ticket");
        assert_eq!(key.open(&ticket, &here, 400, 300).as_deref(), Some(&b"session"[..]));
        assert_eq!(key.open(&ticket, &here, 401, 300), None, "too old");
        assert_eq!(key.open(&ticket, &there, 100, 300), None, "another context");
        let other = Key::from_bytes(&[8; 80]).expect("a key");
        assert_eq!(other.open(&ticket, &here, 100, 300), None, "another key");
        for cut in 0..ticket.len() {
            assert_eq!(key.open(&ticket[..cut], &here, 100, 300), None, "cut at {cut}");
        }
        assert!(Key::from_bytes(&[7; 47]).is_none());
    }

    #[test]
    fn keys_are_replaced_and_old_ones_kept_for_a_while() {
        let mut ring = Ring { longest: 7200, ..Ring::default() };
        for (now, keys) in [(1000, 1), (2000, 1), (8300, 2), (15_600, 2), (30_000, 2)] {
            ring.rotate(now);
            assert_eq!(ring.keys.len(), keys, "at {now}");
        }
    }

    #[test]
    fn a_cache_forgets_the_oldest_and_keeps_contexts_apart() {
        let cost = 2 * (32 + 1) + 5 + OVERHEAD;
        let here = cache("test", 2 * cost, [1; 32], 300);
        let there = cache("test", 2 * cost, [2; 32], 300);
        here.put(b"1".to_vec(), b"one".to_vec());
        assert_eq!(there.get(b"1"), None);
        assert_eq!(here.get(b"1").as_deref(), Some(&b"one"[..]));
        here.put(b"2".to_vec(), b"two".to_vec());
        here.put(b"3".to_vec(), b"three".to_vec());
        assert_eq!(here.get(b"1"), None);
        assert_eq!(here.take(b"3").as_deref(), Some(&b"three"[..]));
        assert_eq!(here.take(b"3"), None);
    }

    #[test]
    fn long_certificates_of_clients_do_not_make_a_zone_exceed_its_size() {
        let mut zone = Zone { size: 1 << 20, ..Zone::default() };
        let key = |n: u32| [&[7; 60][..], &n.to_be_bytes()].concat();
        let taken = |zone: &Zone| -> usize { zone.sessions.iter().map(|(key, s)| Zone::cost(key, &s.value)).sum() };
        for n in 0..1000 {
            assert!(!zone.put(key(n), vec![0; LARGEST + 1], 0), "it is too long");
            assert!(zone.put(key(n), vec![0; LARGEST], 0));
            assert_eq!((taken(&zone), zone.order.len()), (zone.bytes, zone.sessions.len()));
            assert!(zone.bytes <= zone.size);
        }
        assert_eq!(zone.sessions.len(), zone.size / Zone::cost(&key(0), &[0; LARGEST]));
        // In TLS 1.3 each is taken once.
        for n in 0..1000 {
            zone.put(key(n), vec![0; 200], 0);
            zone.remove(&key(n));
        }
        assert!(zone.order.len() == zone.sessions.len() && zone.bytes == taken(&zone));
        let mut tiny = Zone { size: 100, ..Zone::default() };
        assert!(!tiny.put(key(0), vec![0; 10], 0) && tiny.order.is_empty());
    }
}

//! Limits of the cache, and which requests an entry answers.

use super::*;
use crate::services::configured_dirs::DirGenerations;
use crate::sys::scratch::Scratch;

const HERE: EndpointId = EndpointId(0);
const THERE: EndpointId = EndpointId(1);

/// Creates entries: a cacheable file, and how long its lookup is valid.
struct Maker {
    dir: Scratch,
    files: FileCache,
    watch: DirWatch,
    now: Clock,
}

impl Maker {
    fn new() -> Maker {
        let dir = Scratch::new();
        dir.write("f", b"content");
        let mut now = Clock::read();
        // The file is old enough.
        now.jump(60_000);
        now.advance();
        Maker { dir, files: FileCache::new(1 << 20), watch: DirWatch::default(), now }
    }

    /// An entry for a request on an endpoint, with at least this many bytes of text.
    fn entry(&mut self, request: &[u8], endpoint: EndpointId, bytes: usize) -> CachedResponse {
        let path = self.dir.join("f");
        let opened = self.files.open_with_lookup(&path, &self.now, &mut self.watch);
        let (file, lookup) = opened.expect("a file that is kept");
        let mut text = request.to_vec();
        let request = Span::new(0, text.len());
        text.extend_from_slice(path.to_bytes_with_nul());
        let path = Span::new(request.end(), text.len());
        text.resize(text.len().max(bytes), b'.');
        CachedResponse {
            endpoint,
            server: ServerId(0),
            location: LocationId(0),
            client: Rc::default(),
            logs: Rc::default(),
            status: Status::OK,
            keep_alive: true,
            body: CachedBody::Memory,
            head_size: 0,
            text: text.into(),
            request,
            path,
            start: Span::default(),
            rest: Span::default(),
            content: Span::default(),
            error_text: Span::default(),
            error_request: Span::default(),
            line: Box::default(),
            file: file.map(|file| Rc::downgrade(&file)),
            lookup: RefCell::new(lookup),
            dirs: DirGenerations::default(),
        }
    }
}

/// Caches a request, and returns its hash.
fn keep(repeats: &mut ResponseCache, maker: &mut Maker, request: &[u8], endpoint: EndpointId, bytes: usize) -> u64 {
    let hash = repeats.hash(endpoint, request);
    repeats.keep(hash, maker.entry(request, endpoint, bytes));
    hash
}

#[test]
fn an_entry_is_of_its_bytes_and_its_endpoint() {
    let (mut repeats, mut maker) = (ResponseCache::new(1 << 20), Maker::new());
    let hash = keep(&mut repeats, &mut maker, b"one", HERE, 0);
    assert_ne!(hash, repeats.hash(THERE, b"one"));
    assert!(repeats.find(hash, HERE, b"one").is_some());
    // As if they had the same hash.
    assert!(repeats.find(hash, THERE, b"one").is_none(), "another endpoint");
    assert!(repeats.find(hash, HERE, b"two").is_none(), "other bytes");
    assert!(repeats.find(hash, HERE, b"one.").is_none(), "more bytes");
    assert!(repeats.find(repeats.hash(HERE, b"two"), HERE, b"two").is_none(), "another request");
    assert_ne!(hash, ResponseCache::new(1).hash(HERE, b"one"), "each process has a secret of its own");
}

#[test]
fn a_head_is_seen_once_it_came() {
    let mut repeats = ResponseCache::new(1 << 20);
    let hash = repeats.hash(HERE, b"one");
    assert!(!repeats.mark_seen(hash));
    assert!(repeats.mark_seen(hash));
    assert!(repeats.mark_seen(hash));
    // Another hash with the same slot replaces it.
    let other = hash ^ 2 << 32;
    assert!(!repeats.mark_seen(other));
    assert!(!repeats.mark_seen(hash));
    // A zero hash differs from an empty slot.
    assert!(!repeats.mark_seen(0), "never seen");
}

#[test]
fn what_is_kept_is_bounded() {
    let mut maker = Maker::new();
    let limit = 64 << 10;
    let mut repeats = ResponseCache::new(limit);
    for n in 0..500 {
        let request = format!("request {n}");
        let hash = keep(&mut repeats, &mut maker, request.as_bytes(), HERE, 1000);
        assert!(repeats.find(hash, HERE, request.as_bytes()).is_some(), "the newest is there: {n}");
        let sum: u64 = repeats.entries.values().map(|entry| entry.cost()).sum();
        assert!(repeats.bytes == sum && sum <= limit, "{n}: {sum} bytes, counted {}", repeats.bytes);
    }
    // An entry larger than the cache changes nothing.
    let before = repeats.bytes;
    let hash = keep(&mut repeats, &mut maker, b"large", HERE, limit as usize);
    assert!(repeats.find(hash, HERE, b"large").is_none());
    assert_eq!(repeats.bytes, before);

    let mut repeats = ResponseCache::new(1 << 40);
    for n in 0..ENTRIES + 10 {
        keep(&mut repeats, &mut maker, &n.to_le_bytes(), HERE, 0);
        assert!(repeats.entries.len() <= ENTRIES);
    }
}

#[test]
fn what_is_forgotten_is_not_counted() {
    let (mut repeats, mut maker) = (ResponseCache::new(1 << 20), Maker::new());
    let one = keep(&mut repeats, &mut maker, b"one", HERE, 100);
    let alone = repeats.bytes;
    let two = keep(&mut repeats, &mut maker, b"two", HERE, 1000);
    keep(&mut repeats, &mut maker, b"two", HERE, 2000);
    repeats.forget(two);
    repeats.forget(two);
    assert_eq!((repeats.bytes, repeats.entries.len()), (alone, 1), "kept twice, forgotten twice");
    repeats.forget(one);
    assert_eq!((repeats.bytes, repeats.entries.len()), (0, 0));
    keep(&mut repeats, &mut maker, b"one", HERE, 100);
    repeats.clear(0);
    assert!(repeats.find(one, HERE, b"one").is_none(), "another configuration");
    assert!(repeats.is_off(), "which keeps none");
    keep(&mut repeats, &mut maker, b"one", HERE, 100);
    assert_eq!((repeats.bytes, repeats.entries.len()), (0, 0));
}

#[test]
fn an_entry_is_current_while_its_file_is_what_it_was() {
    let mut maker = Maker::new();
    let entry = maker.entry(b"one", HERE, 0);
    let content = |maker: &mut Maker| {
        let found = entry.is_current(&mut maker.files, &maker.now, &mut maker.watch);
        found.map(|file| file.map(|file| file.memory().map(<[u8]>::to_vec)))
    };
    let kept = Some(Some(Some(b"content".to_vec())));
    assert_eq!(content(&mut maker), kept);
    for _ in 0..3 {
        maker.now.jump(10_000);
        maker.now.advance();
        assert_eq!(content(&mut maker), kept, "looked at again after a while");
    }
    maker.dir.write("f", b"changed");
    assert_eq!(content(&mut maker), kept, "nothing is looked at twice in a moment");
    maker.now.advance_epoch();
    assert_eq!(content(&mut maker), None);
    assert_eq!(content(&mut maker), None, "nor does it come back");
}

//! Reused gzip encoders, and cached compressed forms of small bodies sent recently.
//!
//! An encoder is one allocation of up to 300 KiB. Creating one per response costs more than compressing a page, and
//! freeing them among smaller blocks leaves a heap that never shrinks. So a few are kept and reset, and all memory is
//! returned to the kernel after some time without compression.
//!
//! Most of an encoder's pages are only there once they are written to. So one that is given out counts as memory in
//! use from the beginning ([`Pledges`]), less what it has written to since.

use super::overload::Pledges;
use crate::sys::clock;
use flate2::{Compress, Compression, FlushCompress};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Maximum number of idle encoders; more are freed after use.
const IDLE: usize = 8;
/// Maximum size of a body whose compressed form is cached: generated pages are often identical.
const SMALL: usize = 1024;
/// Maximum number of cached bodies.
const TEXTS: usize = 16;
/// Milliseconds without compression until memory is freed.
const IDLE_TIME: u64 = 2_000;

/// Bytes of input between two checks of the clock: at most about 1 ms of work, 4 ms at [`SLOW`] levels.
const CHUNK: usize = 4 << 10;
const SLOW_CHUNK: usize = 1 << 10;
/// From this level on, an encoder tries up to 4096 matches for each byte: 64 KiB over two letters take 0.25 s.
const SLOW: u32 = 8;
/// The fastest level with the same search algorithm, so that switching needs no flush.
const QUICKER: u32 = 7;
/// Nanoseconds per piece after which the rest is searched less thoroughly.
const THOROUGH_TIME: u64 = 3_000_000;

/// The library's level for one of `gzip_comp_level`. Its level 1 leaves texts a quarter larger than zlib's does, which
/// nginx has; its level 2 makes them smaller than that, and takes less time (170 KB of Markdown: 56 KB in 0.7 ms at its
/// level 1, 46 KB in 2.0 ms at zlib's level 1, 43 KB in 1.3 ms at its level 2).
fn library_level(level: u32) -> Compression {
    Compression::new(level.max(2))
}

/// An encoder's parameters: level, and log2 of its window size.
type Kind = (u32, u8);

/// Bytes of an encoder: a window of twice its size, links of two bytes for each place of it, heads of chains, and
/// output.
fn size(kind: Kind) -> u64 {
    (4 << kind.1) + (192 << 10)
}

/// Of an encoder's bytes, those that it has not written to: its window is full after twice the window's size of input,
/// and few of the other pages are left then.
fn unwritten(kind: Kind, input: u64) -> u64 {
    let (size, whole) = (size(kind), 2 << kind.1);
    size - size * input.min(whole) / whole
}

/// An encoder that is not in use.
struct Idle {
    kind: Kind,
    encoder: Compress,
    /// As [`unwritten`].
    unwritten: u64,
}

/// Idle encoders, and the most recently compressed bodies.
#[derive(Default)]
pub struct Compressors {
    idle: RefCell<Vec<Idle>>,
    pledges: Pledges,
    texts: RefCell<Vec<Text>>,
    /// The slot for the next body.
    next: Cell<usize>,
    /// Whether something was compressed since the last sweep, and when (monotonic milliseconds).
    used: Cell<bool>,
    swept: Cell<u64>,
}

struct Text {
    level: u32,
    body: Box<[u8]>,
    made: Rc<[u8]>,
}

/// An encoder in use.
pub struct Compressor {
    kind: Kind,
    /// Created at the first piece: a response to HEAD needs none.
    encoder: Option<Compress>,
    /// Its part of the pledges.
    pledge: u64,
    home: Rc<Compressors>,
}

impl Compressors {
    /// `pledges`: where memory counts that encoders have been given.
    pub fn new(pledges: Pledges) -> Compressors {
        Compressors { pledges, ..Compressors::default() }
    }

    /// An encoder for a body of `length` bytes, if known: its window is not larger than the body.
    pub fn encoder(self: &Rc<Self>, level: u32, length: Option<u64>) -> Compressor {
        let needed = length.map_or(15, |n| n.clamp(1, 1 << 15).next_power_of_two().ilog2());
        let kind = (level.clamp(1, 9), needed.clamp(9, 15) as u8);
        let mut encoder = Compressor { kind, encoder: None, pledge: 0, home: self.clone() };
        encoder.pledge(size(kind));
        encoder
    }

    /// The cached compressed form of a small body.
    pub fn made(&self, level: u32, body: &[u8]) -> Option<Rc<[u8]>> {
        let texts = self.texts.borrow();
        texts.iter().find(|text| text.level == level && *text.body == *body).map(|text| text.made.clone())
    }

    /// Whether a body is small enough for the cache.
    pub fn is_small(body: &[u8]) -> bool {
        (1..=SMALL).contains(&body.len())
    }

    /// Caches a small body, replacing the oldest.
    pub fn remember(&self, level: u32, body: Box<[u8]>, made: &[u8]) {
        let text = Text { level, body, made: made.into() };
        let mut texts = self.texts.borrow_mut();
        let at = self.next.replace((self.next.get() + 1) % TEXTS);
        match texts.get_mut(at) {
            Some(old) => *old = text,
            None => texts.push(text),
        }
    }

    /// An encoder, and the bytes of it that were never written to.
    fn take(&self, kind: Kind) -> (Compress, u64) {
        self.used.set(true);
        let mut idle = self.idle.borrow_mut();
        match idle.iter().rposition(|idle| idle.kind == kind) {
            Some(at) => {
                let Idle { encoder, unwritten, .. } = idle.swap_remove(at);
                (encoder, unwritten)
            }
            None => (Compress::new_gzip(library_level(kind.0), kind.1), size(kind)),
        }
    }

    fn put(&self, kind: Kind, mut encoder: Compress, unwritten: u64) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= IDLE {
            // The parameters in demand may have changed.
            if idle.iter().all(|idle| idle.kind == kind) {
                return;
            }
            idle.remove(0);
        }
        encoder.reset();
        idle.push(Idle { kind, encoder, unwritten });
    }

    /// Whether there is anything for [`Compressors::sweep`] to free.
    pub fn is_warm(&self) -> bool {
        self.used.get() || !self.idle.borrow().is_empty()
    }

    /// Frees what has not been used for a while. True: there was something. `now`: monotonic milliseconds.
    pub fn sweep(&self, now: u64) -> bool {
        if now < self.swept.get() + IDLE_TIME {
            return false;
        }
        self.swept.set(now);
        let is_idle = !self.used.take() && !self.idle.borrow().is_empty();
        if is_idle {
            self.idle.take();
            self.texts.take();
            self.next.set(0);
        }
        is_idle
    }
}

impl Compressor {
    /// Compresses a piece, appending to `out`. Nothing may follow `Finish`. Takes about [`THOROUGH_TIME`], plus some
    /// milliseconds per 64 KiB.
    pub fn push(&mut self, mut piece: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        let mut level = self.kind.0;
        if self.is_slow() && piece.len() > SLOW_CHUNK {
            let began = clock::monotonic_ns();
            while let Some((step, rest)) = piece.split_at_checked(SLOW_CHUNK) {
                self.compress(step, FlushCompress::None, out);
                piece = rest;
                if level > QUICKER && clock::monotonic_ns() - began > THOROUGH_TIME {
                    level = QUICKER;
                    self.set_level(level);
                }
            }
        }
        self.compress(piece, flush, out);
        if level != self.kind.0 {
            self.set_level(self.kind.0);
        }
    }

    /// Bytes of its memory.
    pub fn size(&self) -> usize {
        size(self.kind) as usize
    }

    /// How much input may be compressed before the clock must be checked.
    pub fn step(&self) -> usize {
        if self.is_slow() { SLOW_CHUNK } else { CHUNK }
    }

    /// Whether some input may take it long.
    pub fn is_slow(&self) -> bool {
        self.kind.0 >= SLOW
    }

    fn set_level(&mut self, level: u32) {
        if let Some(encoder) = &mut self.encoder {
            // If the level cannot be changed, the output is still correct.
            let _ = encoder.set_level(library_level(level));
        }
    }

    fn compress(&mut self, mut piece: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        if self.encoder.is_none() {
            let (encoder, unwritten) = self.home.take(self.kind);
            self.encoder = Some(encoder);
            self.pledge(unwritten);
        }
        let Some(encoder) = &mut self.encoder else { return };
        let done = matches!(flush, FlushCompress::Finish);
        let input = encoder.total_in() + piece.len() as u64;
        loop {
            out.reserve(4096.max(piece.len() / 4));
            let before = encoder.total_in();
            let status = encoder.compress_vec(piece, out, flush);
            let taken = (encoder.total_in() - before) as usize;
            piece = piece.get(taken..).unwrap_or_default();
            match status {
                Ok(flate2::Status::StreamEnd) | Err(_) => break,
                // Output space was left, so there is no more output.
                Ok(_) if piece.is_empty() && !done && out.len() < out.capacity() => break,
                Ok(_) => {}
            }
        }
        self.pledge(unwritten(self.kind, input).min(self.pledge));
    }

    /// That many bytes of it are still to be written to.
    fn pledge(&mut self, bytes: u64) {
        let pledges = &self.home.pledges;
        pledges.set(pledges.get() - self.pledge + bytes);
        self.pledge = bytes;
    }

    /// Total bytes of input and output.
    pub fn totals(&self) -> (u64, u64) {
        self.encoder.as_ref().map_or((0, 0), |encoder| (encoder.total_in(), encoder.total_out()))
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        if let Some(encoder) = self.encoder.take() {
            self.home.put(self.kind, encoder, self.pledge);
        }
        self.pledge(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn gzip(home: &Rc<Compressors>, level: u32, length: Option<u64>, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        home.encoder(level, length).push(body, FlushCompress::Finish, &mut out);
        out
    }

    fn back(made: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(made).read_to_end(&mut text).expect("gzip");
        text
    }

    #[test]
    fn an_encoder_that_was_used_makes_the_same_again() {
        let home = Rc::new(Compressors::default());
        for length in [0, 1, 511, 512, 513, 5000, 100_000] {
            let text: Vec<u8> = (0..length).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 27) as u8).collect();
            for level in [1, 6, 9] {
                let made = [0; 2].map(|_| gzip(&home, level, Some(text.len() as u64), &text));
                // A long piece is searched as thoroughly as time allows.
                if level <= QUICKER || text.len() <= SLOW_CHUNK {
                    assert_eq!(made[0], made[1], "{length} bytes, level {level}");
                }
                for made in made {
                    assert_eq!(back(&made), text, "{length} bytes, level {level}");
                }
                assert_eq!(back(&gzip(&home, level, None, &text)), text);
            }
        }
        assert!(home.idle.borrow().len() <= IDLE);
    }

    /// Half as large again as at level 6; in nginx a fifth.
    #[test]
    fn level_1_leaves_texts_little_larger_than_level_6() {
        let home = Rc::new(Compressors::default());
        let text = include_bytes!("../../docs/directives.md");
        let [first, sixth] = [1, 6].map(|level| gzip(&home, level, None, text).len());
        assert!(first * 4 < sixth * 5, "{first} and {sixth} bytes");
    }

    #[test]
    fn the_last_bytes_of_a_long_piece_are_searched_like_the_first_of_the_next() {
        let home = Rc::new(Compressors::default());
        let mut letters = 1u32;
        let mut two = || {
            letters ^= letters << 13;
            letters ^= letters >> 17;
            letters ^= letters << 5;
            b'a' + (letters & 1) as u8
        };
        let text: Vec<u8> = (0..48 << 10).map(|_| two()).collect();
        for level in [7, 8, 9] {
            let (mut made, mut encoder) = (Vec::new(), home.encoder(level, None));
            for piece in text.chunks(20 << 10) {
                encoder.push(piece, FlushCompress::None, &mut made);
            }
            encoder.push(b"", FlushCompress::Finish, &mut made);
            assert!(back(&made) == text, "level {level}");
            assert!(made.len() < text.len() / 5, "level {level}: {}", made.len());
        }
    }

    #[test]
    fn one_that_is_left_halfway_begins_anew() {
        let home = Rc::new(Compressors::default());
        let mut half = home.encoder(1, None);
        half.push(&[b'x'; 5000], FlushCompress::Sync, &mut Vec::new());
        drop(half);
        assert_eq!(back(&gzip(&home, 1, None, b"whole")), b"whole");
    }

    #[test]
    fn memory_is_given_back_once_nothing_is_compressed() {
        let home = Rc::new(Compressors::default());
        assert!(!home.is_warm(), "nothing was used");
        drop(home.encoder(1, None));
        assert!(!home.is_warm(), "no piece came");
        gzip(&home, 1, None, b"a");
        home.remember(1, Box::new(*b"a"), b"made");
        assert!(!home.sweep(IDLE_TIME) && !home.sweep(2 * IDLE_TIME - 1));
        assert!(home.is_warm() && home.made(1, b"a").is_some(), "it was just used");
        assert!(home.sweep(2 * IDLE_TIME), "its memory can be returned");
        assert!(!home.is_warm() && home.made(1, b"a").is_none());
    }

    #[test]
    fn encoders_that_were_given_out_count_before_their_first_piece() {
        let pledges = Pledges::default();
        let home = Rc::new(Compressors::new(pledges.clone()));
        let mut encoders: Vec<Compressor> = (0..10).map(|_| home.encoder(1, None)).collect();
        assert!(pledges.get() >= 10 * (300 << 10), "{}", pledges.get());
        let before = pledges.get();
        encoders[0].push(&[b'x'; 16 << 10], FlushCompress::None, &mut Vec::new());
        let part = before - pledges.get();
        assert!((60 << 10..100 << 10).contains(&part), "{part}");
        encoders[0].push(&[b'x'; 64 << 10], FlushCompress::None, &mut Vec::new());
        assert_eq!(before - pledges.get(), before / 10, "its pages are there");
        encoders.truncate(1);
        assert_eq!(pledges.get(), 0);
        encoders.clear();
        let mut again = home.encoder(1, None);
        assert_eq!(pledges.get(), before / 10);
        again.push(b"x", FlushCompress::None, &mut Vec::new());
        assert_eq!(pledges.get(), 0, "the idle one has written to its pages");
        let small = home.encoder(1, Some(600));
        assert!(pledges.get() < 200 << 10, "{}", pledges.get());
        drop((again, small));
        assert_eq!(pledges.get(), 0);
    }

    #[test]
    fn only_small_bodies_of_the_same_level_are_remembered() {
        let home = Compressors::default();
        assert!(!Compressors::is_small(&[b'x'; SMALL + 1]) && !Compressors::is_small(b""));
        for n in 0..=TEXTS as u8 {
            home.remember(1, Box::new([n]), &[n]);
        }
        assert!(home.made(1, &[0]).is_none(), "the oldest made room");
        assert_eq!(home.made(1, &[1]).as_deref(), Some(&[1][..]));
        assert!(home.made(2, &[1]).is_none(), "another level");
    }
}

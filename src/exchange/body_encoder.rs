//! A body that is encoded while it is sent: a file that is recoded, compressed, or both, piece by piece.
//!
//! Invariant: a piece of input is bounded, so that memory and the time of a turn are.

use super::archive::Archive;
use super::multistatus::Multistatus;
use crate::config::settings::charset::Recode;
use crate::services::compressors::Compressor;
use crate::services::encoded_copies::PartialCopy;
use crate::services::open_files::OpenFile;
use crate::services::slice::Slice;
use crate::sys::{Errno, file};
use flate2::FlushCompress;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Input taken at a time, where memory is not short.
const PIECE: usize = 64 << 10;
/// The largest file whose compressed form is kept.
const KEPT: u64 = 8 << 20;

/// The content of a response that is made while it is sent.
pub struct Source {
    input: Input,
    /// Input that was taken when the turn's time was over.
    held: Vec<u8>,
    /// Something was made of it.
    has_begun: bool,
    encoder: Encoder,
    keep: Option<Keep>,
}

/// The compressed form of a file so far, to be kept once it is complete.
struct Keep {
    file: Rc<OpenFile>,
    level: u32,
    made: PartialCopy,
}

/// What is made of the bytes of a body, piece by piece: recoded, compressed, or both.
#[derive(Default)]
pub struct Encoder {
    recode: Option<Recode>,
    /// The beginning of a UTF-8 character whose rest comes with the next piece.
    carry: Vec<u8>,
    gzip: Option<Compressor>,
    tally: Option<Rc<Cell<(u64, u64)>>>,
}

enum Input {
    File {
        file: Rc<OpenFile>,
        at: u64,
        end: u64,
    },
    Bytes {
        bytes: Vec<u8>,
        at: usize,
    },
    Pieces(VecDeque<Rc<[u8]>>),
    Multistatus(Box<Multistatus>),
    Archive(Box<Archive>),
    /// None: all of it was made.
    Steps(Option<Steps>),
}

/// Appends the next piece; false once there is no other.
pub type Steps = Box<dyn FnMut(&mut Vec<u8>) -> bool>;

/// What [`Source::fill`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Bytes of input used, which count against the turn's share.
    pub used: usize,
    /// The body is complete.
    pub done: bool,
}

impl Input {
    fn left(&self) -> u64 {
        match self {
            Input::File { at, end, .. } => end - at,
            Input::Bytes { bytes, at } => (bytes.len() - at) as u64,
            Input::Pieces(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Input::Multistatus(multistatus) => u64::from(!multistatus.is_ended()),
            Input::Archive(archive) => u64::from(!archive.is_ended()),
            Input::Steps(steps) => u64::from(steps.is_some()),
        }
    }

    /// The next piece, of `most` bytes or not many more, at the end of `scratch`.
    fn read(&mut self, scratch: &mut Vec<u8>, most: usize) -> Result<(), Errno> {
        let wanted = self.left().min(most as u64) as usize;
        match self {
            Input::Bytes { bytes, at } => {
                scratch.extend_from_slice(&bytes[*at..*at + wanted]);
                *at += wanted;
            }
            Input::Pieces(pieces) => scratch.extend_from_slice(&pieces.pop_front().unwrap_or_default()),
            Input::Multistatus(multistatus) => multistatus.fill(scratch, most)?,
            Input::Archive(archive) => archive.fill(scratch, most)?,
            Input::Steps(steps) => {
                if !steps.as_mut().is_some_and(|step| step(scratch)) {
                    *steps = None;
                }
            }
            Input::File { file, at, end: _ } => {
                match (file.memory(), file.fd()) {
                    (Some(bytes), _) => {
                        let from = *at as usize;
                        scratch.extend_from_slice(bytes.get(from..from + wanted).ok_or(Errno::EIO)?);
                    }
                    (None, Some(fd)) => {
                        if wanted > 0 && file::pread_into(fd, scratch, wanted, *at)? == 0 {
                            return Err(Errno::EIO);
                        }
                    }
                    (None, None) => return Err(Errno::EIO),
                }
                *at += scratch.len() as u64;
            }
        }
        Ok(())
    }

    /// The last bytes of a piece are read again later. False: that is not possible.
    fn give_back(&mut self, bytes: usize) -> bool {
        match self {
            Input::File { at, .. } => *at -= bytes as u64,
            Input::Bytes { at, .. } => *at -= bytes,
            Input::Pieces(_) | Input::Multistatus(_) | Input::Archive(_) | Input::Steps(_) => return false,
        }
        true
    }
}

impl Source {
    /// Bytes `at..end` of a file.
    pub fn file(file: Rc<OpenFile>, at: u64, end: u64) -> Source {
        Source::new(Input::File { file, at, end })
    }

    /// Bytes that are there, to be recoded or compressed.
    pub fn bytes(bytes: Vec<u8>) -> Source {
        Source::new(Input::Bytes { bytes, at: 0 })
    }

    /// Each is made into one of the output's, and is no longer held then.
    pub fn pieces(pieces: VecDeque<Rc<[u8]>>) -> Source {
        Source::new(Input::Pieces(pieces))
    }

    /// The 207 of a PROPFIND, made entry by entry.
    pub fn multistatus(multistatus: Multistatus) -> Source {
        Source::new(Input::Multistatus(Box::new(multistatus)))
    }

    /// A text that is made piece by piece.
    pub fn steps(steps: Steps) -> Source {
        Source::new(Input::Steps(Some(steps)))
    }

    /// A folder as zip or tar, made while it is sent.
    pub fn archive(archive: Archive) -> Source {
        Source::new(Input::Archive(Box::new(archive)))
    }

    fn new(input: Input) -> Source {
        Source { input, held: Vec::new(), has_begun: false, encoder: Encoder::default(), keep: None }
    }

    /// Converts the bytes to another charset before they are compressed. None: they stay as they are.
    pub fn recode(mut self, recode: Option<Recode>) -> Source {
        self.encoder.recode(recode);
        self
    }

    /// `tally`: where the bytes read and made are counted.
    pub fn gzip(mut self, compressor: Compressor, tally: &Rc<Cell<(u64, u64)>>) -> Source {
        self.encoder.gzip(compressor);
        self.encoder.tally = Some(tally.clone());
        self
    }

    /// Keeps the output with the cached file, if it is the whole of one.
    pub fn keep(mut self, level: u32) -> Source {
        if let Input::File { file, at: 0, end } = &self.input
            && *end == file.stat.size
            && *end <= KEPT
            && self.encoder.recode.is_none()
            && let Some(made) = file.begin_copy()
        {
            self.keep = Some(Keep { file: file.clone(), level, made });
        }
        self
    }

    /// Some of its output was made.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Input bytes still to come; at least this many, where that is not known.
    pub fn left(&self) -> u64 {
        self.held.len() as u64 + self.input.left()
    }

    /// Makes the next piece of output from about `most` bytes, at the end of `out`, as far as there is time for it.
    ///
    /// # Errors
    /// The file cannot be read, or ended before its length.
    pub fn fill(
        &mut self,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
        slice: &mut Slice,
        most: usize,
    ) -> Result<Filled, Errno> {
        self.fill_within(scratch, out, Some(slice), most)
    }

    fn fill_within(
        &mut self,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
        mut slice: Option<&mut Slice>,
        most: usize,
    ) -> Result<Filled, Errno> {
        scratch.clear();
        match self.held.is_empty() {
            true => self.input.read(scratch, most)?,
            false => scratch.append(&mut self.held),
        }
        let (from, is_last) = (out.len(), self.input.left() == 0);
        let step = self.encoder.gzip.as_ref().map_or(scratch.len(), Compressor::step).max(1);
        let mut used = 0;
        loop {
            let end = scratch.len().min(used + step);
            let flush = if is_last && end == scratch.len() { Flush::End } else { Flush::No };
            self.encoder.push(&scratch[used..end], flush, out);
            used = end;
            if used == scratch.len() {
                break;
            }
            if slice.as_mut().is_some_and(|slice| slice.is_over()) {
                if !self.input.give_back(scratch.len() - used) {
                    self.held = scratch[used..].to_vec();
                }
                break;
            }
        }
        scratch.clear();
        let done = self.left() == 0;
        self.has_begun |= out.len() > from;
        if self.keep.as_mut().is_some_and(|keep| !keep.made.push(&out[from..])) {
            self.keep = None;
        }
        if done && let Some(keep) = self.keep.take() {
            keep.file.keep_gzip(keep.level, keep.made);
        }
        Ok(Filled { used, done })
    }

    /// All of it at once; for bodies that are small.
    ///
    /// # Errors
    /// As for [`Source::fill`].
    pub fn whole(mut self, scratch: &mut Vec<u8>) -> Result<Vec<u8>, Errno> {
        let mut out = Vec::new();
        while !self.fill_within(scratch, &mut out, None, PIECE)?.done {}
        Ok(out)
    }
}

/// What follows a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// More, soon.
    No,
    /// More, but later: what is held back is sent now.
    Sync,
    /// Nothing more.
    End,
}

impl Encoder {
    /// As [`Source::recode`].
    pub fn recode(&mut self, recode: Option<Recode>) {
        self.recode = recode;
    }

    /// Compresses what comes; to be called before the first piece.
    pub fn gzip(&mut self, compressor: Compressor) {
        self.gzip = Some(compressor);
    }

    /// Sets where the bytes read and made are counted.
    pub fn tell(&mut self, tally: &Rc<Cell<(u64, u64)>>) {
        self.tally = Some(tally.clone());
    }

    /// The next piece, at the end of `out`.
    pub fn push(&mut self, piece: &[u8], flush: Flush, out: &mut Vec<u8>) {
        let mut recoded = Vec::new();
        let piece = match &self.recode {
            Some(recode) => {
                convert(recode, piece, flush == Flush::End, &mut self.carry, &mut recoded);
                &recoded
            }
            None => piece,
        };
        match &mut self.gzip {
            None => out.extend_from_slice(piece),
            Some(gzip) => {
                let flush = match flush {
                    Flush::No => FlushCompress::None,
                    Flush::Sync => FlushCompress::Sync,
                    Flush::End => FlushCompress::Finish,
                };
                gzip.push(piece, flush, out);
                if let Some(tally) = &self.tally {
                    tally.set(gzip.totals());
                }
            }
        }
    }
}

fn convert(recode: &Recode, text: &[u8], done: bool, carry: &mut Vec<u8>, out: &mut Vec<u8>) {
    match recode {
        Recode::Bytes(table) => out.extend(text.iter().map(|b| table[usize::from(*b)])),
        Recode::ToUtf8(table) => text.iter().for_each(|b| out.extend_from_slice(&table[usize::from(*b)])),
        Recode::FromUtf8(table) => {
            carry.extend_from_slice(text);
            let whole = std::mem::take(carry);
            let mut chunks = whole.utf8_chunks().peekable();
            while let Some(chunk) = chunks.next() {
                for letter in chunk.valid().chars() {
                    match table.get(&u32::from(letter)) {
                        Some(byte) => out.push(*byte),
                        // nginx: what the charset has no byte for is named by its number.
                        None => out.extend_from_slice(format!("&#{};", u32::from(letter)).as_bytes()),
                    }
                }
                let invalid = chunk.invalid();
                let last = chunks.peek().is_none();
                if last && !done && !invalid.is_empty() && invalid.len() < 4 && is_cut(invalid) {
                    carry.extend_from_slice(invalid);
                } else if !invalid.is_empty() {
                    out.push(b'?');
                }
            }
        }
    }
}

/// Whether bytes may be the beginning of a UTF-8 character.
fn is_cut(bytes: &[u8]) -> bool {
    let wanted = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 0,
    };
    bytes.len() < wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::clock::Clock;
    use crate::services::compressors::Compressors;
    use crate::services::dir_watch::DirWatch;
    use crate::services::open_files::{FileCache, Opened};
    use crate::sys::scratch::Scratch;
    use std::io::Read;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn what_is_compressed_comes_back() {
        for size in [0, 1, 20, 70_000, 1_000_000] {
            let text: Vec<u8> = (0..size).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 27) as u8).collect();
            let compressor = Rc::new(Compressors::default()).encoder(1, Some(u64::from(size)));
            let source = Source::bytes(text.clone()).gzip(compressor, &Rc::default());
            let made = source.whole(&mut Vec::new()).expect("memory can be read");
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&made[..]).read_to_end(&mut back).expect("gzip");
            assert!(back == text, "{size} bytes");
        }
    }

    #[test]
    fn what_is_made_of_a_cached_file_is_kept_where_there_is_room_for_all_of_it() {
        let scratch = Scratch::new();
        let text: Vec<u8> = (0..150_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 27) as u8).collect();
        scratch.write("f", &text);
        let path = scratch.path().join("f");
        let path = std::ffi::CString::new(path.as_os_str().as_bytes()).expect("no NUL");
        for (limit, is_kept) in [(1 << 20, true), (100, false)] {
            let (mut cache, mut now) = (FileCache::new(1 << 20), Clock::read());
            // Old enough to be trusted.
            now.jump(60_000);
            now.advance();
            let Ok(Opened::File(file)) = cache.open(&path, &now, &mut DirWatch::default()) else { panic!("a file") };
            cache.set_limit(limit);
            let compressor = Rc::new(Compressors::default()).encoder(1, None);
            let source = Source::file(file.clone(), 0, file.stat.size).gzip(compressor, &Rc::default()).keep(1);
            let made = source.whole(&mut Vec::with_capacity(PIECE)).expect("it can be read");
            assert_eq!(file.gzip(1).is_some(), is_kept, "{limit}");
            assert!(file.gzip(1).is_none_or(|kept| *kept == *made), "{limit}");
        }
    }

    #[test]
    fn a_body_that_is_cut_by_each_turns_end_comes_back_whole() {
        let text: Vec<u8> = (0..150_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 27) as u8).collect();
        let pieces = || text.chunks(40_000).map(Rc::from).collect::<VecDeque<Rc<[u8]>>>();
        for source in [Source::bytes(text.clone()), Source::pieces(pieces())] {
            let mut source = source.gzip(Rc::new(Compressors::default()).encoder(1, None), &Rc::default());
            let (mut made, mut turns) = (Vec::new(), 0);
            loop {
                let mut over = Slice::over();
                let filled = source.fill(&mut Vec::new(), &mut made, &mut over, PIECE).expect("memory can be read");
                assert!(filled.used <= 4 << 10, "{}", filled.used);
                turns += 1;
                if filled.done {
                    break;
                }
            }
            assert!(turns > 30, "{turns}");
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&made[..]).read_to_end(&mut back).expect("gzip");
            assert!(back == text);
        }
    }

    #[test]
    fn a_piece_is_freed_when_it_has_been_taken() {
        let pieces: Vec<Rc<[u8]>> = vec![b"one".as_slice().into(), b"two".as_slice().into()];
        let held: Vec<_> = pieces.iter().map(Rc::downgrade).collect();
        let mut source = Source::pieces(pieces.into());
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        assert_eq!(
            source.fill(&mut scratch, &mut out, &mut Slice::default(), PIECE),
            Ok(Filled { used: 3, done: false })
        );
        assert_eq!((&out[..], held[0].strong_count(), held[1].strong_count()), (&b"one"[..], 0, 1));
        assert_eq!(
            source.fill(&mut scratch, &mut out, &mut Slice::default(), PIECE),
            Ok(Filled { used: 3, done: true })
        );
        assert_eq!(out, b"onetwo");
    }

    #[test]
    fn pieces_that_are_flushed_come_back_whole() {
        for flush in [Flush::No, Flush::Sync] {
            let (mut encoder, mut made) = (Encoder::default(), Vec::new());
            encoder.gzip(Rc::new(Compressors::default()).encoder(1, None));
            for size in [0, 1, 5000, 70_000] {
                encoder.push(&vec![b'x'; size], flush, &mut made);
            }
            encoder.push(b"", Flush::End, &mut made);
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&made[..]).read_to_end(&mut back).expect("gzip");
            assert_eq!(back, vec![b'x'; 75_001], "{flush:?}");
        }
    }

    #[test]
    fn characters_are_recoded_at_every_split() {
        let mut letters: FastMap = (0..128u8).map(|n| (u32::from(n), n)).collect();
        letters.insert(u32::from('ж'), 0xd6);
        let recode = Recode::FromUtf8(Rc::new(letters));
        let text = "aж€z".as_bytes();
        for at in 0..=text.len() {
            let (mut carry, mut out) = (Vec::new(), Vec::new());
            convert(&recode, &text[..at], false, &mut carry, &mut out);
            convert(&recode, &text[at..], true, &mut carry, &mut out);
            assert_eq!(out, b"a\xd6&#8364;z", "split at {at}");
        }
    }

    type FastMap = crate::util::hash::FastMap<u32, u8>;
}

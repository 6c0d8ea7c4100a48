//! zip (APPNOTE 6.3): entries in blocks of deflate that are stored, not compressed, so that a reader needs no length
//! before them; checksums and sizes behind the data; names in UTF-8; zip64 where a size, an offset or the number of
//! entries needs it.
//!
//! The central directory at the end names every entry again. It is kept in the form in which it is sent, some 60
//! bytes and the path for each entry: [`HELD`] bytes in memory, the rest in a temporary file (client_body_temp_path).

use super::spool::Spool;
use crate::services::temp_dir::{Keep, TempFile};
use crate::sys::Errno;
use crate::sys::file::{FileKind, Stat};
use crate::util::date::Civil;
use flate2::Crc;
use std::borrow::Cow;

const LARGE: u64 = 0xffff_ffff;
/// Bytes of the directory that are kept in memory.
const HELD: usize = 1 << 20;
const PIECE: usize = 64 << 10;

/// The writer of one zip file: entry headers, data, and at last the central directory.
pub struct Zip {
    spool: Spool,
    /// Bytes written so far.
    at: u64,
    entries: u64,
    crc: Crc,
    current: Entry,
    directory: Vec<u8>,
    spilled: Option<TempFile>,
    /// No file could be made for the directory, or it could not be written or read: the archive ends there.
    failed: Option<Errno>,
    closing: Option<Closing>,
}

struct Closing {
    start: u64,
    sent: u64,
}

/// The entry that is being written.
#[derive(Default)]
struct Entry {
    path: Vec<u8>,
    start: u64,
    time: (u16, u16),
    mode: u32,
    is_dir: bool,
    is_large: bool,
    size: u64,
    packed: u64,
}

fn two(n: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&n.to_le_bytes());
}

fn four(n: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&n.to_le_bytes());
}

fn eight(n: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&n.to_le_bytes());
}

/// The number, or 0xffffffff if it needs more than four bytes and is in a zip64 field.
fn short(n: u64) -> u32 {
    n.min(LARGE) as u32
}

/// The name of an entry: unpackers on Windows take `\` for a slash and `X:` at the beginning for a drive (APPNOTE
/// 4.4.17.1 allows neither).
fn portable(path: &[u8]) -> Cow<'_, [u8]> {
    let has_drive = path.get(1) == Some(&b':') && path[0].is_ascii_alphabetic();
    if !has_drive && !path.contains(&b'\\') {
        return Cow::Borrowed(path);
    }
    let mut name = Vec::with_capacity(path.len() + 6);
    for (at, byte) in path.iter().enumerate() {
        match byte {
            b'\\' => name.extend_from_slice(b"%5C"),
            b':' if at == 1 && has_drive => name.extend_from_slice(b"%3A"),
            byte => name.push(*byte),
        }
    }
    Cow::Owned(name)
}

impl Zip {
    /// `spool`: where the directory is kept that does not fit in memory.
    pub fn new(spool: Spool) -> Zip {
        Zip {
            spool,
            at: 0,
            entries: 0,
            crc: Crc::new(),
            current: Entry::default(),
            directory: Vec::new(),
            spilled: None,
            failed: None,
            closing: None,
        }
    }

    /// Why the archive cannot be completed.
    pub fn failed(&self) -> Option<Errno> {
        self.failed
    }

    /// The local header of an entry; a folder's entry consists of it alone.
    pub fn begin(&mut self, path: &[u8], stat: &Stat, out: &mut Vec<u8>) {
        let is_dir = stat.kind == FileKind::Dir;
        let path = &*portable(path);
        let mut flags = 0;
        if !path.is_ascii() && std::str::from_utf8(path).is_ok() {
            flags |= 1 << 11;
        }
        // Leaves room for what storing adds, and for a file that grows.
        let is_large = stat.size > LARGE - (LARGE >> 8);
        self.current = Entry {
            path: path.to_vec(),
            start: self.at,
            time: dos_time(stat.mtime.0),
            mode: stat.mode,
            is_dir,
            is_large,
            size: 0,
            packed: 0,
        };
        self.crc = Crc::new();
        let before = out.len();
        four(0x0403_4b50, out);
        two(if is_large { 45 } else { 20 }, out);
        two(if is_dir { flags } else { flags | 8 }, out);
        two(if is_dir { 0 } else { 8 }, out);
        two(self.current.time.0, out);
        two(self.current.time.1, out);
        four(0, out);
        let size = if is_large { LARGE as u32 } else { 0 };
        four(size, out);
        four(size, out);
        two(path.len() as u16, out);
        two(if is_large { 20 } else { 0 }, out);
        out.extend_from_slice(path);
        if is_large {
            two(1, out);
            two(16, out);
            eight(0, out);
            eight(0, out);
        }
        self.at += (out.len() - before) as u64;
        if is_dir {
            self.note(flags);
        }
    }

    /// A piece of the file, at most 65535 bytes: one block.
    pub fn data(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.crc.update(bytes);
        let len = bytes.len() as u16;
        out.push(0);
        two(len, out);
        two(!len, out);
        out.extend_from_slice(bytes);
        self.current.size += bytes.len() as u64;
        self.current.packed += bytes.len() as u64 + 5;
    }

    /// The last block, then the checksum and the sizes.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
        self.current.packed += 5;
        let before = out.len();
        four(0x0807_4b50, out);
        four(self.crc.sum(), out);
        if self.current.is_large {
            eight(self.current.packed, out);
            eight(self.current.size, out);
        } else {
            four(short(self.current.packed), out);
            four(short(self.current.size), out);
        }
        self.at += self.current.packed + (out.len() - before) as u64;
        let is_utf8 = !self.current.path.is_ascii() && std::str::from_utf8(&self.current.path).is_ok();
        self.note(8 | if is_utf8 { 1 << 11 } else { 0 });
    }

    /// Adds the entry to the central directory.
    fn note(&mut self, flags: u16) {
        self.entries += 1;
        let (entry, out) = (&self.current, &mut self.directory);
        let mut extra = Vec::new();
        for n in [entry.size, entry.packed, entry.start] {
            if n >= LARGE {
                eight(n, &mut extra);
            }
        }
        four(0x0201_4b50, out);
        // Made on Unix: the upper half of the attributes is the mode.
        two(0x0300 | 45, out);
        two(if extra.is_empty() && !entry.is_large { 20 } else { 45 }, out);
        two(flags, out);
        two(if entry.is_dir { 0 } else { 8 }, out);
        two(entry.time.0, out);
        two(entry.time.1, out);
        four(if entry.is_dir { 0 } else { self.crc.sum() }, out);
        four(short(entry.packed), out);
        four(short(entry.size), out);
        two(entry.path.len() as u16, out);
        two(if extra.is_empty() { 0 } else { extra.len() as u16 + 4 }, out);
        two(0, out);
        two(0, out);
        two(0, out);
        let kind: u32 = if entry.is_dir { 0o040_000 } else { 0o100_000 };
        four((kind | (entry.mode & 0o777)) << 16 | if entry.is_dir { 0x10 } else { 0 }, out);
        four(short(entry.start), out);
        out.extend_from_slice(&entry.path);
        if !extra.is_empty() {
            two(1, out);
            two(extra.len() as u16, out);
            out.extend_from_slice(&extra);
        }
        if self.directory.len() >= HELD {
            self.spill();
        }
    }

    /// Moves the part of the directory that is in memory to a file.
    fn spill(&mut self) {
        let file = match self.spilled.take() {
            Some(file) => Ok(file),
            None => TempFile::create(&self.spool.temp, Keep::Unnamed, self.spool.descriptors),
        };
        let written = file.and_then(|mut file| file.append(&self.directory).map(|()| file));
        match written {
            Ok(file) => self.spilled = Some(file),
            Err(failure) => self.failed = Some(failure.errno),
        }
        self.directory.clear();
    }

    /// All entries are written: [`Zip::close`] gives the central directory (APPNOTE 4.3.12), piece by piece.
    pub fn begin_closing(&mut self) {
        self.closing = Some(Closing { start: self.at, sent: 0 });
    }

    /// No further entry may begin.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// A piece of the central directory, `most` bytes; true when it is complete.
    pub fn close(&mut self, out: &mut Vec<u8>, most: usize) -> bool {
        let most = most.min(PIECE);
        let Some(closing) = &mut self.closing else { return true };
        let in_file = self.spilled.as_ref().map_or(0, TempFile::len);
        let whole = in_file + self.directory.len() as u64;
        if let Some(file) = &self.spilled
            && closing.sent < in_file
        {
            let wanted = (in_file - closing.sent).min(most as u64) as usize;
            out.reserve(wanted);
            match file.read(closing.sent, wanted, out) {
                Ok(0) => self.failed = Some(Errno::EIO),
                Ok(n) => closing.sent += n as u64,
                Err(e) => self.failed = Some(e),
            }
            return false;
        }
        let at = (closing.sent - in_file) as usize;
        let rest = self.directory.get(at..).unwrap_or_default();
        let piece = rest.get(..most).unwrap_or(rest);
        out.extend_from_slice(piece);
        closing.sent += piece.len() as u64;
        if closing.sent < whole {
            return false;
        }
        trailer(self.entries, whole, closing.start, out);
        true
    }
}

/// The end of the central directory.
fn trailer(entries: u64, size: u64, start: u64, out: &mut Vec<u8>) {
    if entries >= 0xffff || size >= LARGE || start >= LARGE {
        four(0x0606_4b50, out);
        eight(44, out);
        two(0x0300 | 45, out);
        two(45, out);
        four(0, out);
        four(0, out);
        for n in [entries, entries, size, start] {
            eight(n, out);
        }
        four(0x0706_4b50, out);
        four(0, out);
        eight(start + size, out);
        four(1, out);
    }
    let count = entries.min(0xffff) as u16;
    four(0x0605_4b50, out);
    two(0, out);
    two(0, out);
    two(count, out);
    two(count, out);
    four(short(size), out);
    four(short(start), out);
    two(0, out);
}

/// Time and date as DOS has them: UTC, from 1980 on, to two seconds.
fn dos_time(unix: i64) -> (u16, u16) {
    let c = Civil::from_unix(unix.clamp(315_532_800, 4_354_819_198));
    let time = (u16::from(c.hour) << 11) | (u16::from(c.minute) << 5) | (u16::from(c.second) / 2);
    let date = (c.year - 1980) as u16 & 0x7f;
    (time, (date << 9) | (u16::from(c.month) << 5) | u16::from(c.day))
}

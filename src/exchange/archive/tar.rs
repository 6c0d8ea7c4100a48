//! tar: a header of 512 bytes before each file (POSIX ustar), and before that a pax record for a path, a size or a
//! name in UTF-8 that does not fit.

use crate::sys::file::{FileKind, Stat};
use std::io::Write;

const BLOCK: usize = 512;
/// The largest number of eleven octal digits.
const LARGEST: u64 = 0o77_777_777_777;

/// The header of an entry.
pub fn begin(path: &[u8], stat: &Stat, out: &mut Vec<u8>) {
    let is_dir = stat.kind == FileKind::Dir;
    let size = if is_dir { 0 } else { stat.size };
    let mut records = Vec::new();
    if path.len() > 100 || !path.is_ascii() {
        record("path", path, &mut records);
    }
    if size > LARGEST {
        record("size", size.to_string().as_bytes(), &mut records);
    }
    if !records.is_empty() {
        header(b"././@PaxHeader", 0o644, records.len() as u64, 0, b'x', out);
        let len = records.len() as u64;
        out.extend_from_slice(&records);
        pad(len, out);
    }
    let kind = if is_dir { b'5' } else { b'0' };
    header(path, stat.mode & 0o777, size, stat.mtime.0, kind, out);
}

/// `LENGTH key=value\n`, where the length counts its own digits.
fn record(key: &str, value: &[u8], out: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    let _ = write!(out, "{len} {key}=");
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn header(path: &[u8], mode: u32, size: u64, mtime: i64, kind: u8, out: &mut Vec<u8>) {
    let mut block = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = block.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, path.get(..100).unwrap_or(path));
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{:011o}", size.min(LARGEST)).as_bytes());
    put(136, format!("{:011o}", mtime.clamp(0, LARGEST as i64)).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let text = format!("{sum:06o}\0 ");
    block[148..156].copy_from_slice(text.as_bytes().get(..8).unwrap_or(b"        "));
    out.extend_from_slice(&block);
}

/// Zeros up to the next block.
pub fn pad(size: u64, out: &mut Vec<u8>) {
    let over = (size % BLOCK as u64) as usize;
    if over > 0 {
        out.resize(out.len() + BLOCK - over, 0);
    }
}

/// Two empty blocks.
pub fn end(out: &mut Vec<u8>) {
    out.resize(out.len() + 2 * BLOCK, 0);
}

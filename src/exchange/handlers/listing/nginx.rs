//! nginx's autoindex formats, byte for byte: html, json, jsonp and xml. Programs parse these; they must
//! not be improved (the page is for people).
//!
//! Invariant: for the same entries, path and settings the bytes equal nginx 1.31's
//! (`ngx_http_autoindex_module`), oddities included; but a name that XML cannot say does not make the document one that
//! no parser takes.

use super::entry::Listing;
use super::escape;
use super::kind::{Entry, Kind};
use super::time;
use crate::http::dav::xml;
use crate::http::escape::escape_component;

/// The width of the name column; longer names end in `..>`.
const NAME_WIDTH: usize = 50;
const SPACES: &[u8; NAME_WIDTH] = &[b' '; NAME_WIDTH];

/// `autoindex_format html`: up to the link to the parent directory.
pub fn html_head(listing: &Listing<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<html>\r\n<head><title>Index of ");
    escape::html(listing.path, out);
    out.extend_from_slice(b"</title></head>\r\n<body>\r\n<h1>Index of ");
    escape::html(listing.path, out);
    out.extend_from_slice(b"</h1><hr><pre><a href=\"../\">../</a>\r\n");
}

/// A line of the html format: the name cut to 50 columns with `..>`, the time, the size.
pub fn html_entry(listing: &Listing<'_>, entry: &Entry<'_>, out: &mut Vec<u8>) {
    let dir = entry.kind == Kind::Dir;
    out.extend_from_slice(b"<a href=\"");
    escape::uri(entry.name, out);
    if dir {
        out.push(b'/');
    }
    out.extend_from_slice(b"\">");

    let mut width = if listing.view.utf8 { utf8_length(entry.name) } else { entry.name.len() };
    if width > NAME_WIDTH {
        let keep = NAME_WIDTH - 3;
        let shown = if width == entry.name.len() { keep } else { utf8_prefix(entry.name, keep) };
        escape::html(entry.name.get(..shown).unwrap_or(entry.name), out);
        out.extend_from_slice(b"..&gt;</a>");
    } else {
        escape::html(entry.name, out);
        if dir && width < NAME_WIDTH {
            out.push(b'/');
            width += 1;
        }
        out.extend_from_slice(b"</a>");
        out.extend_from_slice(SPACES.get(width..).unwrap_or_default());
    }

    out.push(b' ');
    time::push_short(entry.mtime.saturating_add(i64::from(listing.view.utc_offset)), out);
    out.push(b' ');
    match (listing.view.exact_size, dir) {
        (true, true) => out.extend_from_slice(b"                  -"),
        (true, false) => escape::number(entry.size, 19, out),
        (false, true) => out.extend_from_slice(b"      -"),
        (false, false) => rounded(entry.size, out),
    }
    out.extend_from_slice(b"\r\n");
}

/// The end of the html format.
pub fn html_tail(out: &mut Vec<u8>) {
    out.extend_from_slice(b"</pre><hr></body>\r\n</html>\r\n");
}

/// Seven columns: bytes up to 9999, then K, M, G, rounded half up.
fn rounded(size: u64, out: &mut Vec<u8>) {
    let (shift, scale) = match size {
        0..=9999 => (0, b' '),
        10_000..0x10_0000 => (10, b'K'),
        0x10_0000..0x4000_0000 => (20, b'M'),
        _ => (30, b'G'),
    };
    if shift == 0 {
        out.push(b' ');
        return escape::number(size, 6, out);
    }
    let half_up = (size >> (shift - 1)) & 1;
    escape::number((size >> shift) + half_up, 6, out);
    out.push(scale);
}

/// The beginning of the json format, or with `callback` of jsonp.
pub fn json_head(callback: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(callback) = callback {
        out.extend_from_slice(b"/* callback */\r\n");
        out.extend_from_slice(callback);
        out.push(b'(');
    }
    out.push(b'[');
}

/// An object of the json format; `index`: entries before it. Times are HTTP dates, in UTC.
pub fn json_entry(index: usize, entry: &Entry<'_>, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
    out.extend_from_slice(b"\r\n{ \"name\":\"");
    escape::json(entry.name, out);
    out.extend_from_slice(b"\", \"type\":\"");
    out.extend_from_slice(kind_name(entry.kind));
    out.extend_from_slice(b"\", \"mtime\":\"");
    time::push_http(entry.mtime, out);
    out.push(b'"');
    if entry.kind == Kind::File {
        out.extend_from_slice(b", \"size\":");
        escape::number(entry.size, 0, out);
    }
    out.extend_from_slice(b" }");
}

/// The beginning of the xml format.
pub fn xml_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"<?xml version=\"1.0\"?>\r\n<list>\r\n");
}

/// An element of the xml format, named by the kind of entry. Times are ISO 8601, in UTC.
pub fn xml_entry(entry: &Entry<'_>, out: &mut Vec<u8>) {
    out.push(b'<');
    out.extend_from_slice(kind_name(entry.kind));
    out.extend_from_slice(b" mtime=\"");
    time::push_iso(entry.mtime, out);
    if entry.kind == Kind::File {
        out.extend_from_slice(b"\" size=\"");
        escape::number(entry.size, 0, out);
    }
    match std::str::from_utf8(entry.name) {
        Ok(name) if name.chars().all(xml::is_char) => {
            out.extend_from_slice(b"\">");
            escape::html(entry.name, out);
        }
        _ => {
            // By its address it can be asked for.
            out.extend_from_slice(b"\" href=\"");
            escape_component(entry.name, out);
            out.extend_from_slice(b"\">");
            xml::escape(&String::from_utf8_lossy(entry.name), out);
        }
    }
    out.extend_from_slice(b"</");
    out.extend_from_slice(kind_name(entry.kind));
    out.extend_from_slice(b">\r\n");
}

/// The end of the xml format.
pub fn xml_tail(out: &mut Vec<u8>) {
    out.extend_from_slice(b"</list>\r\n");
}

fn kind_name(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Dir => b"directory",
        Kind::File => b"file",
        Kind::Other => b"other",
    }
}

/// Characters of a name, or its bytes if it is not UTF-8 by nginx's rules.
fn utf8_length(name: &[u8]) -> usize {
    if name.is_ascii() {
        return name.len();
    }
    let mut count = 0;
    let mut rest = name;
    while !rest.is_empty() {
        let Some(len) = utf8_char(rest) else { return name.len() };
        rest = rest.get(len..).unwrap_or_default();
        count += 1;
    }
    count
}

/// How many bytes the first `chars` characters take.
fn utf8_prefix(name: &[u8], chars: usize) -> usize {
    let mut at = 0;
    for _ in 0..chars {
        let Some(len) = name.get(at..).and_then(utf8_char) else { break };
        at += len;
    }
    at
}

/// The length of the first character, if nginx accepts it. nginx is lenient: it accepts surrogates and, after the
/// lead byte, any byte from 0x80 on. Where a name is cut depends on it.
fn utf8_char(bytes: &[u8]) -> Option<usize> {
    let &lead = bytes.first()?;
    let (mut value, len, above) = match lead {
        0..0x80 => return Some(1),
        0xc2..0xe0 => (u32::from(lead & 0x1f), 2, 0x7f),
        0xe0..0xf0 => (u32::from(lead & 0x0f), 3, 0x7ff),
        0xf0..0xf8 => (u32::from(lead & 0x07), 4, 0xffff),
        _ => return None,
    };
    for &byte in bytes.get(1..len)? {
        if byte < 0x80 {
            return None;
        }
        value = value << 6 | u32::from(byte & 0x3f);
    }
    (value > above && value <= 0x10_ffff).then_some(len)
}

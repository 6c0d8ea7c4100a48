//! Responses as HTTP/1.1 text: heads, interim responses, chunks, trailers. The only place that makes it.

use super::super::fields::Fields;
use super::super::response_head::{CachedHead, Delimiter, ResponseHead};
use super::super::status::Status;
use super::status_line;
use crate::util::decimal;
use std::io::Write;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Closed behind the response: `Connection: close` is sent.
    Close,
    /// Seconds: what `Keep-Alive` says of it, where that is sent.
    Keep(Option<u64>),
}

/// The value of `Transfer-Encoding` where that is sent.
pub const CHUNKED: &[u8] = b"chunked";

/// Appends the end of the head of a response with the whole of a file. Gives where [`CachedHead::lines`] end.
pub fn file(size: u64, last_modified: &[u8], etag: &[u8], out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(b"Content-Length: ");
    decimal::push(size, 0, out);
    out.extend_from_slice(b"\r\n");
    line(b"Last-Modified: ", last_modified, out);
    let lines = out.len();
    out.extend_from_slice(b"Connection: keep-alive\r\n");
    line(b"ETag: ", etag, out);
    out.extend_from_slice(b"Accept-Ranges: bytes\r\n\r\n");
    lines
}

/// Appends the head of a response.
pub fn head(head: &ResponseHead<'_>, end: Delimiter, connection: Connection, out: &mut Vec<u8>) {
    let chunked = end == Delimiter::Mark;
    status_line::append(head.status, head.reason, out);
    for (name, value) in [(&b"Server: "[..], head.server), (b"Date: ", head.date)] {
        if !value.is_empty() {
            line(name, value, out);
        }
    }
    if let Some(kind) = head.content_type {
        line(b"Content-Type: ", kind, out);
    }
    let file = head.file.filter(|_| !chunked);
    if let Some(file) = file
        && is_usual(head, &file, connection)
    {
        return out.extend_from_slice(file.end);
    }
    match (file, head.length) {
        (Some(file), _) => out.extend_from_slice(file.lines),
        (None, length) => {
            if chunked {
                line(b"Transfer-Encoding: ", CHUNKED, out);
            } else if let Some(length) = length {
                out.extend_from_slice(b"Content-Length: ");
                decimal::push(length, 0, out);
                out.extend_from_slice(b"\r\n");
            }
            if let Some(text) = head.last_modified {
                line(b"Last-Modified: ", text, out);
            }
        }
    }
    if let Some(location) = head.location {
        out.extend_from_slice(b"Location: ");
        out.extend(location.iter().map(|b| if *b < b' ' || *b == 0x7f { b' ' } else { *b }));
        out.extend_from_slice(b"\r\n");
    }
    line(b"Connection: ", self::connection(connection, head.upgrade), out);
    if let Connection::Keep(Some(seconds)) = connection {
        let _ = write!(out, "Keep-Alive: timeout={seconds}\r\n");
    }
    if let Some(tag) = head.etag {
        line(b"ETag: ", tag, out);
    }
    out.extend_from_slice(head.fields.lines());
    if head.accept_ranges {
        out.extend_from_slice(b"Accept-Ranges: bytes\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The `Connection` field of a response.
pub fn connection(connection: Connection, upgrade: bool) -> &'static [u8] {
    match connection {
        _ if upgrade => b"upgrade",
        Connection::Keep(_) => b"keep-alive",
        Connection::Close => b"close",
    }
}

/// A head made by [`head`], for a reader: its status with the reason phrase, and its fields.
pub fn taken_apart(head: &[u8]) -> (&[u8], impl Iterator<Item = &[u8]>) {
    let end = memchr::memmem::find(head, b"\r\n\r\n").unwrap_or(head.len());
    let mut lines = head[..end].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next().unwrap_or_default();
    (status.strip_prefix(b"HTTP/1.1 ").unwrap_or(status), lines)
}

/// Where the value of Date begins in a head made by [`head`].
pub fn date_at(head: &[u8]) -> Option<usize> {
    memchr::memmem::find(head, b"\r\nDate: ").map(|at| at + 8)
}

/// What follows the media type is what most responses with that file have.
fn is_usual(head: &ResponseHead<'_>, file: &CachedHead<'_>, connection: Connection) -> bool {
    connection == Connection::Keep(None)
        && head.accept_ranges
        && head.etag == Some(file.etag)
        && head.fields.is_empty()
        && head.location.is_none()
        && !head.upgrade
}

fn line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends an interim response (1xx).
pub fn interim(status: Status, fields: &Fields, out: &mut Vec<u8>) {
    status_line::append(status, None, out);
    out.extend_from_slice(fields.lines());
    out.extend_from_slice(b"\r\n");
}

/// Appends a chunk that is not empty.
pub fn chunk(data: &[u8], out: &mut Vec<u8>) {
    open_chunk(data.len() as u64, out);
    out.extend_from_slice(data);
    close_chunk(out);
}

/// Appends what goes before and behind the data of a chunk.
pub fn open_chunk(size: u64, out: &mut Vec<u8>) {
    let _ = write!(out, "{size:x}\r\n");
}

/// The line end behind a chunk's bytes.
pub fn close_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// A chunk whose data is appended by `make`; nothing where that makes none.
///
/// # Errors
/// Those of `make`.
pub fn chunk_made<T, E>(out: &mut Vec<u8>, make: impl FnOnce(&mut Vec<u8>) -> Result<T, E>) -> Result<T, E> {
    // Six hexadecimal digits hold most sizes; leading zeros are allowed.
    let start = out.len();
    out.extend_from_slice(b"000000\r\n");
    let from = out.len();
    let made = make(out)?;
    match out.len() - from {
        0 => out.truncate(start),
        size => {
            out.splice(start..start + 6, format!("{size:06x}").into_bytes());
            close_chunk(out);
        }
    }
    Ok(made)
}

/// Appends the end of a body in chunks.
pub fn last_chunk(trailers: &Fields, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers.lines());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_of_any_size_has_its_size_before_it() {
        for size in [1, 15, 4096, (16 << 20) - 1, 16 << 20, 17 << 20] {
            let mut out = b"before".to_vec();
            let made: Result<(), ()> = chunk_made(&mut out, |out| {
                out.resize(out.len() + size, b'x');
                Ok(())
            });
            assert_eq!(made, Ok(()));
            let text = out.strip_prefix(b"before").expect("what was there");
            let end = text.windows(2).position(|at| at == b"\r\n").expect("a line");
            let digits = std::str::from_utf8(&text[..end]).expect("ASCII");
            assert_eq!(usize::from_str_radix(digits, 16), Ok(size));
            assert_eq!(text.len(), end + 2 + size + 2);
            assert!(text.ends_with(b"x\r\n"));
        }
    }

    #[test]
    fn heads_are_written_as_they_are_named() {
        let mut fields = Fields::default();
        fields.push(b"X-A", b"b");
        let none = Fields::default();
        let bare = ResponseHead {
            status: Status::OK,
            reason: None,
            server: b"",
            date: b"",
            content_type: None,
            length: None,
            last_modified: None,
            location: None,
            upgrade: false,
            etag: None,
            fields: &none,
            accept_ranges: false,
            file: None,
        };
        let full = ResponseHead {
            server: b"s",
            date: b"d",
            content_type: Some(b"t/p"),
            length: Some(12),
            last_modified: Some(b"m"),
            location: Some(b"/a\x1f\x7fb"),
            etag: Some(b"\"e\""),
            fields: &fields,
            accept_ranges: true,
            ..bare
        };
        let (length, chunk, keep) = (Delimiter::Length, Delimiter::Mark, Connection::Keep(None));
        let middle = "Server: s\r\nDate: d\r\nContent-Type: t/p\r\n";
        let end = "Last-Modified: m\r\nLocation: /a  b\r\nConnection: close\r\nETag: \"e\"\r\nX-A: b\r\n\
            Accept-Ranges: bytes\r\n\r\n";
        let table = [
            (ResponseHead { ..bare }, length, keep, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n".to_owned()),
            (
                ResponseHead { status: Status(299), length: Some(0), ..bare },
                length,
                Connection::Keep(Some(7)),
                format!(
                    "HTTP/1.1 299 {}\r\nContent-Length: 0\r\nConnection: keep-alive\r\nKeep-Alive: timeout=7\r\n\r\n",
                    Status(299).reason()
                ),
            ),
            (
                ResponseHead { reason: Some(b"Fine"), upgrade: true, ..bare },
                Delimiter::Close,
                Connection::Close,
                "HTTP/1.1 200 Fine\r\nConnection: upgrade\r\n\r\n".to_owned(),
            ),
            (
                ResponseHead { ..full },
                length,
                Connection::Close,
                format!("HTTP/1.1 200 OK\r\n{middle}Content-Length: 12\r\n{end}"),
            ),
            (full, chunk, Connection::Close, format!("HTTP/1.1 200 OK\r\n{middle}Transfer-Encoding: chunked\r\n{end}")),
        ];
        for (response, ends, connection, expected) in table {
            let mut out = Vec::new();
            head(&response, ends, connection, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
        let mut out = Vec::new();
        interim(Status(103), &fields, &mut out);
        last_chunk(&fields, &mut out);
        last_chunk(&none, &mut out);
        assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n0\r\nX-A: b\r\n\r\n0\r\n\r\n");
    }

    #[test]
    fn the_short_way_to_a_files_head_is_the_long_one() {
        let (mut cached, mut long, mut short) = (Vec::new(), Vec::new(), Vec::new());
        let (date, etag) = (&b"Thu, 01 Jan 1970 00:00:01 GMT"[..], &b"\"1-2\""[..]);
        let lines = file(2, date, etag, &mut cached);
        let fields = Fields::default();
        let usual = ResponseHead {
            status: Status::OK,
            reason: None,
            server: b"s",
            date,
            content_type: Some(b"text/plain"),
            length: Some(2),
            last_modified: Some(date),
            location: None,
            upgrade: false,
            etag: Some(etag),
            fields: &fields,
            accept_ranges: true,
            file: None,
        };
        head(&usual, Delimiter::Length, Connection::Keep(None), &mut long);
        let file = Some(CachedHead { lines: &cached[..lines], end: &cached, etag });
        head(&ResponseHead { file, ..usual }, Delimiter::Length, Connection::Keep(None), &mut short);
        assert_eq!(short, long);
        // What is not usual goes the long way, whatever the cache has.
        let unusual = [
            ResponseHead { location: Some(b"/x"), ..usual },
            ResponseHead { upgrade: true, ..usual },
            ResponseHead { etag: Some(b"W/\"1-2\""), ..usual },
            ResponseHead { accept_ranges: false, ..usual },
        ];
        for response in unusual {
            long.clear();
            short.clear();
            head(&response, Delimiter::Length, Connection::Keep(None), &mut long);
            head(&ResponseHead { file, ..response }, Delimiter::Length, Connection::Keep(None), &mut short);
            assert_eq!(short, long);
        }
    }

    #[test]
    fn a_chunk_that_is_made_is_one_or_nothing() {
        let mut out = b"x".to_vec();
        let made: Result<(), ()> = chunk_made(&mut out, |_| Ok(()));
        assert_eq!((made, &out[..]), (Ok(()), &b"x"[..]));
        let made: Result<(), ()> = chunk_made(&mut out, |out| {
            out.extend_from_slice(b"abc");
            Ok(())
        });
        assert_eq!((made, &out[..]), (Ok(()), &b"x000003\r\nabc\r\n"[..]));
    }
}

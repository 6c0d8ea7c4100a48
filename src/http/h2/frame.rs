//! Frames (RFC 9113 §4, §6): the nine bytes each begins with, and the frames a server writes.

use super::numbers::ErrorCode;

/// What a client sends first (§3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame header.
pub const HEADER_LEN: usize = 9;
/// The payload that every peer must take (§4.2), and the most a setting may allow.
pub const MIN_MAX_FRAME: u32 = 1 << 14;
/// The largest value of SETTINGS_MAX_FRAME_SIZE (§6.5.2), in bytes.
pub const MAX_MAX_FRAME: u32 = (1 << 24) - 1;

/// Frame types.
pub mod kind {
    pub const DATA: u8 = 0x0;
    pub const HEADERS: u8 = 0x1;
    pub const PRIORITY: u8 = 0x2;
    pub const RST_STREAM: u8 = 0x3;
    pub const SETTINGS: u8 = 0x4;
    pub const PUSH_PROMISE: u8 = 0x5;
    pub const PING: u8 = 0x6;
    pub const GOAWAY: u8 = 0x7;
    pub const WINDOW_UPDATE: u8 = 0x8;
    pub const CONTINUATION: u8 = 0x9;
    /// RFC 9218 §7.1.
    pub const PRIORITY_UPDATE: u8 = 0x10;

    /// A type as messages name it.
    pub struct Name(pub u8);

    impl std::fmt::Display for Name {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let name = match self.0 {
                DATA => "DATA",
                HEADERS => "HEADERS",
                PRIORITY => "PRIORITY",
                RST_STREAM => "RST_STREAM",
                SETTINGS => "SETTINGS",
                PUSH_PROMISE => "PUSH_PROMISE",
                PING => "PING",
                GOAWAY => "GOAWAY",
                WINDOW_UPDATE => "WINDOW_UPDATE",
                CONTINUATION => "CONTINUATION",
                PRIORITY_UPDATE => "PRIORITY_UPDATE",
                other => return write!(f, "unknown type {other}"),
            };
            f.write_str(name)
        }
    }
}

/// Frame flags; 0x1 is ACK on SETTINGS and PING.
pub mod flag {
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// The nine bytes before a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Bytes of the payload.
    pub len: u32,
    /// Numbers of RFC 9113 §6 ([`super::numbers`]); unknown ones are ignored (§4.1).
    pub kind: u8,
    /// Bits of [`flag`]; what a bit means depends on `kind`.
    pub flags: u8,
    /// 0: the connection. The reserved bit is cleared.
    pub stream: u32,
}

impl FrameHeader {
    /// None while fewer than nine bytes are there. The reserved bit is ignored (§4.1).
    pub fn parse(input: &[u8]) -> Option<FrameHeader> {
        let [a, b, c, kind, flags, s, t, u, v] = *input.first_chunk::<HEADER_LEN>()?;
        Some(FrameHeader {
            len: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes([s & 0x7f, t, u, v]),
        })
    }

    /// Whether any of these bits is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The header as it is sent.
    pub fn bytes(&self) -> [u8; HEADER_LEN] {
        let [_, a, b, c] = self.len.to_be_bytes();
        let [s, t, u, v] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, s, t, u, v]
    }

    /// Appends the header; the payload is for the caller to add.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes());
    }
}

fn begin(out: &mut Vec<u8>, len: u32, kind: u8, flags: u8, stream: u32) {
    FrameHeader { len, kind, flags, stream }.write(out);
}

/// Ends a stream (RFC 9113 §6.4).
pub fn rst_stream(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    begin(out, 4, kind::RST_STREAM, 0, stream);
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// Grants `increment` bytes, at least one, of a stream or, with stream 0, of the connection (RFC 9113 §6.9).
pub fn window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    begin(out, 4, kind::WINDOW_UPDATE, 0, stream);
    out.extend_from_slice(&increment.to_be_bytes());
}

/// A PING frame (§6.7); the client sends `content` back.
pub fn ping(out: &mut Vec<u8>, content: [u8; 8]) {
    begin(out, 8, kind::PING, 0, 0);
    out.extend_from_slice(&content);
}

/// The answer to a PING with this content (RFC 9113 §6.7).
pub fn ping_ack(out: &mut Vec<u8>, content: [u8; 8]) {
    begin(out, 8, kind::PING, flag::ACK, 0);
    out.extend_from_slice(&content);
}

/// `last` is the highest stream that was or will be answered (RFC 9113 §6.8).
pub fn goaway(out: &mut Vec<u8>, last: u32, code: ErrorCode) {
    begin(out, 8, kind::GOAWAY, 0, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// Settings by [`super::numbers::setting`] (RFC 9113 §6.5).
pub fn settings(out: &mut Vec<u8>, values: &[(u16, u32)]) {
    begin(out, 6 * values.len() as u32, kind::SETTINGS, 0, 0);
    for (id, value) in values {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// The acknowledgement of a client's SETTINGS (§6.5.3).
pub fn settings_ack(out: &mut Vec<u8>) {
    begin(out, 0, kind::SETTINGS, flag::ACK, 0);
}

/// Whether the sender's side of the stream ends with a frame (§6.1, §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndStream {
    /// Further frames follow.
    No,
    /// The last frame of the server's side.
    Yes,
}

impl EndStream {
    /// Names the boolean.
    pub fn when(is_last: bool) -> EndStream {
        if is_last { EndStream::Yes } else { EndStream::No }
    }

    /// The bit for [`FrameHeader::flags`].
    pub fn flag(self) -> u8 {
        match self {
            EndStream::No => 0,
            EndStream::Yes => flag::END_STREAM,
        }
    }
}

/// A header block that `write` appends, as HEADERS and, where it is longer than `max` bytes, CONTINUATION (§6.10).
pub fn headers(out: &mut Vec<u8>, stream: u32, end: EndStream, max: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    write(out);
    let len = out.len() - start - HEADER_LEN;
    let max = max as usize;
    let first = FrameHeader {
        len: len.min(max) as u32,
        kind: kind::HEADERS,
        flags: end.flag() | if len <= max { flag::END_HEADERS } else { 0 },
        stream,
    };
    if let Some(place) = out.get_mut(start..start + HEADER_LEN) {
        place.copy_from_slice(&first.bytes());
    }
    if len <= max {
        return;
    }
    // Rare: the rest is moved behind the headers of its frames.
    let rest = out.split_off(start + HEADER_LEN + max);
    let last = rest.len().div_ceil(max) - 1;
    for (at, part) in rest.chunks(max).enumerate() {
        let flags = if at == last { flag::END_HEADERS } else { 0 };
        begin(out, part.len() as u32, kind::CONTINUATION, flags, stream);
        out.extend_from_slice(part);
    }
}

/// Where frames begin that hold `got` bytes, each with room for its header before at most `chunk` of them, and how much
/// each holds.
pub fn places(got: usize, chunk: usize) -> impl Iterator<Item = (usize, usize)> {
    let frame = move |at: usize| (at * (HEADER_LEN + chunk), chunk.min(got - at * chunk));
    (0..got.div_ceil(chunk)).map(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_header_is_read_as_it_is_written_and_not_before_it_is_whole() {
        let table = [
            (FrameHeader { len: 0, kind: 0, flags: 0, stream: 0 }, [0, 0, 0, 0, 0, 0, 0, 0, 0]),
            (
                FrameHeader { len: 0x12_3456, kind: 9, flags: 0xff, stream: 0x7fff_ffff },
                [0x12, 0x34, 0x56, 9, 0xff, 0x7f, 0xff, 0xff, 0xff],
            ),
        ];
        for (frame, bytes) in table {
            assert_eq!(frame.bytes(), bytes);
            assert_eq!(FrameHeader::parse(&bytes), Some(frame));
            for cut in 0..HEADER_LEN {
                assert_eq!(FrameHeader::parse(&bytes[..cut]), None, "{cut}");
            }
        }
        // §4.1: the reserved bit MUST be ignored.
        let reserved = FrameHeader::parse(&[0, 0, 0, 0, 0, 0x80, 0, 0, 1]);
        assert_eq!(reserved.map(|frame| frame.stream), Some(1));
    }

    #[test]
    fn a_header_block_is_cut_into_frames_of_the_size_the_peer_takes() {
        for (len, frames) in [(0, 1), (1, 1), (10, 1), (11, 2), (20, 2), (21, 3), (35, 4)] {
            let mut out = vec![7];
            headers(&mut out, 3, EndStream::Yes, 10, |out| out.extend(std::iter::repeat_n(b'x', len)));
            let (mut at, mut seen, mut sum) = (1, 0, 0);
            while let Some(frame) = FrameHeader::parse(&out[at..]) {
                let wanted = if seen == 0 { kind::HEADERS } else { kind::CONTINUATION };
                assert_eq!((frame.kind, frame.stream), (wanted, 3), "{len}");
                assert_eq!(seen == 0, frame.has(flag::END_STREAM), "{len}");
                seen += 1;
                assert_eq!(frame.has(flag::END_HEADERS), seen == frames, "{len}");
                assert!(frame.len <= 10);
                sum += frame.len as usize;
                at += HEADER_LEN + frame.len as usize;
            }
            assert_eq!((seen, sum, at), (frames, len, out.len()), "{len}");
        }
    }
}

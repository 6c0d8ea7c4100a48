//! Offsets into a buffer that outlives them by agreement: a request head keeps spans, never references.

/// `len` bytes from `start` of some buffer. The empty span at 0 is the default and means "absent" where a field does.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, len: end.saturating_sub(start) as u32 }
    }

    /// The bytes it names in `buf`; empty where `buf` is shorter than when the span was made.
    pub fn of(self, buf: &[u8]) -> &[u8] {
        buf.get(self.start as usize..self.end()).unwrap_or_default()
    }

    /// First offset after the span.
    pub fn end(self) -> usize {
        self.start as usize + self.len as usize
    }

    /// Absent, or present and empty.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

//! A header field where it stands in the bytes of its head.

use crate::http::header::HeaderId;
use crate::util::span::Span;

/// The line between `start` and `next`, without the CR LF or LF that ends it there.
pub(super) fn line(buf: &[u8], start: usize, next: usize) -> Span {
    let line = Span::new(start, next - 1);
    match line.of(buf) {
        [.., b'\r'] => Span { len: line.len - 1, ..line },
        _ => line,
    }
}

/// One header field. Spans are offsets into the buffer that was parsed; the value is trimmed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Field {
    pub id: HeaderId,
    pub name: Span,
    pub value: Span,
}

//! A header field where it stands in the bytes of its head.

use crate::http::header::HeaderId;
use crate::util::span::Span;

/// One header field. Spans are offsets into the buffer that was parsed; the value is trimmed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Field {
    pub id: HeaderId,
    pub name: Span,
    pub value: Span,
}

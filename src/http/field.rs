//! A received header field (RFC 9110 §5), as positions in the bytes of its head or block.

use crate::http::header::HeaderId;
use crate::util::span::Span;

/// One header field. Spans are offsets into the buffer that was parsed; the value is trimmed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Field {
    /// [`HeaderId::Other`]: the name says which field it is.
    pub id: HeaderId,
    pub name: Span,
    pub value: Span,
}

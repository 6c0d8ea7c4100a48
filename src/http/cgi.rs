//! What is CGI's own of a response's head (RFC 3875 §6), which is the same for FastCGI, SCGI and uwsgi: fields tell its
//! status, and its body is not framed. Its lines are read by [`super::response_parser`].

use crate::http::header::HeaderId;
use crate::http::upstream_head::{Ending, Excerpt, InvalidResponse, UpstreamHead, status_code};
use crate::util::span::Span;

/// The code of a head without a status line.
pub(super) fn status(head: &mut UpstreamHead, buf: &[u8]) -> Result<(), InvalidResponse> {
    let find = |id: HeaderId| head.fields.iter().find(|field| field.id == id);
    let Some(value) = find(HeaderId::Status).map(|field| field.value) else {
        head.status = if find(HeaderId::Location).is_some() { 302 } else { 200 };
        return Ok(());
    };
    let text = value.of(buf);
    // Three digits are the code, whatever follows (nginx).
    let code = status_code(text).filter(|code| *code == 101 || *code >= 200);
    head.status = code.ok_or_else(|| InvalidResponse::Status(Excerpt::new(text)))?;
    let reason = text.iter().position(|b| matches!(b, b' ' | b'\t')).map_or(text.len(), |blank| blank + 1);
    head.reason = Span::new(value.start as usize + reason, value.end());
    Ok(())
}

/// Where a body ends: with the stream, if not by its length; a script does not frame it.
pub(super) fn ending(length: Option<u64>) -> Ending {
    length.map_or(Ending::Close, Ending::Length)
}

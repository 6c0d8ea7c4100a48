//! A streamed body on its way out: cut to a range, collected if it is a page with SSI commands, encoded, and queued or
//! written into the page that includes it.

use super::ssi::state::Sink;
use crate::exchange::body_encoder::Flush;
use crate::exchange::{Exchange, Tx};
use crate::http::method::Method;

/// Whether the response ends with its head.
pub fn has_no_body(ex: &Exchange) -> bool {
    ex.route.method == Method::Head || ex.request.head.method == Method::Head || ex.response.status.has_no_content()
}

/// Processes a piece of a streamed body.
pub fn body(ex: &mut Exchange, data: &[u8]) {
    if data.is_empty() || gather(ex, data) {
        return;
    }
    ex.out.compact();
    let data = match &mut ex.response.window {
        Some(window) => window.cut(data),
        None => data,
    };
    if data.is_empty() {
        return;
    }
    // Without proxy_buffering, every piece is sent as it arrives (nginx).
    let flush = if ex.response.at_once { Flush::Sync } else { Flush::No };
    piece(ex, data, flush);
}

/// Collects a piece of an upstream's page. False: the response is not to be collected.
fn gather(ex: &mut Exchange, piece: &[u8]) -> bool {
    let Some(mut gathered) = ex.response.gathered.take() else { return false };
    gathered.push(&ex.location().settings.body.temp, piece);
    ex.response.gathered = Some(gathered);
    true
}

/// A piece of the body, behind [`ranges`](super::ranges) and SSI: encoded, then queued for the client or written into
/// the page that includes it. `flush`: whether an encoder has to give out what it holds back.
pub fn piece(ex: &mut Exchange, data: &[u8], flush: Flush) {
    let mut made = Vec::new();
    let data = match &mut ex.response.encoder {
        None => data,
        Some(encoder) => {
            encoder.push(data, flush, &mut made);
            &made
        }
    };
    if ex.nesting.subrequest.is_some() {
        return include(ex, data, if flush == Flush::End { Flush::No } else { flush });
    }
    ex.out.data(data);
}

/// A streamed body breaks off: what an encoder holds back of it is sent.
pub fn give_out(ex: &mut Exchange) {
    if ex.response.encoder.is_some() && !ex.response.at_once && !has_no_body(ex) {
        piece(ex, b"", Flush::Sync);
    }
}

/// Processes a piece of an include's response.
fn include(ex: &mut Exchange, piece: &[u8], flush: Flush) {
    let limit = ex.location().settings.ssi.output_buffer.0;
    let Some(sub) = &mut ex.nesting.subrequest else { return };
    if piece.is_empty() {
        return;
    }
    sub.has_content = true;
    match &mut sub.sink {
        Sink::Client => sub.frame.write(piece, flush, &mut ex.out),
        Sink::Variable(_, value) if (value.len() + piece.len()) as u64 <= limit => value.extend_from_slice(piece),
        Sink::Variable(..) => sub.sink = Sink::Nowhere { size: None },
        Sink::Nowhere { .. } | Sink::Verdict => {}
    }
}

/// Completes an include.
pub fn end_include(ex: &mut Exchange) {
    if let Some(sub) = &mut ex.nesting.subrequest {
        sub.whole = true;
    }
    ex.progress.tx = Tx::Done;
}

//! What `webserv explain` supposes of HTTP/2: a request's head, and how the response's head is read again. Both go
//! through header blocks as on a connection, so that what HTTP/2 refuses or leaves out is refused and left out here.

use super::question::Question;
use crate::conn::http2::begin;
use crate::conn::request::state::RequestReader;
use crate::exchange::Exchange;
use crate::exchange::send_queue::SendQueue;
use crate::http::h1::encode;
use crate::http::h2::hpack::{self, Block, Bounds, Decoder};
use crate::http::h2::{request, response};
use crate::http::reject::Reject;
use crate::http::status::Status;
use crate::util::span::Span;

/// Passes the question's head to the exchange as that of a stream. Without a Content-Length the stream ends with it.
///
/// # Errors
/// HTTP/2 refuses the head: the exchange has what was read of it.
pub fn begin(question: &Question, ex: &mut Exchange, reader: &mut RequestReader) -> Result<(), Reject> {
    let limits = begin::limits(ex);
    let (mut block, mut head) = (Block::default(), request::DecodedHead::default());
    let scheme = if ex.client.is_secure { "https" } else { "http" };
    // What was just encoded is well-formed; what is too large the block says itself.
    let _ = Decoder::default().decode(&encoded(question, scheme), &limits.bounds, &mut block);
    let read = request::read(&mut block, !has_body(question), limits.rules, &mut head);
    begin::hand_over(&mut block, head, ex, reader);
    ex.out.use_frames();
    read
}

fn encoded(question: &Question, scheme: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let (method, target) = question.method_and_target();
    hpack::encode::field(&mut block, b":method", method.as_bytes());
    let authority = match question.is_hostless {
        true => "",
        false if method == "CONNECT" => target,
        false => &question.host,
    };
    if !authority.is_empty() {
        hpack::encode::field(&mut block, b":authority", authority.as_bytes());
    }
    if method != "CONNECT" {
        hpack::encode::field(&mut block, b":scheme", scheme.as_bytes());
        hpack::encode::field(&mut block, b":path", target.as_bytes());
    }
    for (name, value) in question.fields().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        hpack::encode::field(&mut block, name.as_bytes(), value.as_bytes());
    }
    block
}

fn has_body(question: &Question) -> bool {
    question.fields().any(|(name, value)| name.eq_ignore_ascii_case("content-length") && value != "0")
}

/// The status with its reason phrase, and the fields, of the response that waits to be sent.
pub fn taken_apart(out: &mut SendQueue) -> (String, Vec<Vec<u8>>) {
    match out.final_head() {
        Some(block) => decoded(block),
        None => as_frames(out.text()),
    }
}

fn decoded(head: &[u8]) -> (String, Vec<Vec<u8>>) {
    let mut block = Block::default();
    // Our own: it has neither a bound nor a mistake.
    let _ = Decoder::default().decode(head, &Bounds { total: usize::MAX, fields: usize::MAX }, &mut block);
    let text = |span: Span| span.of(&block.text);
    let (mut status, mut fields) = (String::new(), Vec::new());
    for field in &block.fields {
        match text(field.name) {
            b":status" => {
                let code = str::from_utf8(text(field.value)).ok().and_then(|code| code.parse().ok()).unwrap_or(0);
                status = format!("{code} {}", Status(code).reason());
            }
            name => fields.push([name, b": ", text(field.value)].concat()),
        }
    }
    (status, fields)
}

/// A head of HTTP/1 as HTTP/2 would have it: so that a logged request can be compared between two configurations of
/// which one does not speak HTTP/2.
fn as_frames(head: &[u8]) -> (String, Vec<Vec<u8>>) {
    let (status, lines) = encode::taken_apart(head);
    let status = String::from_utf8_lossy(status).into_owned();
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_at(memchr::memchr(b':', line).unwrap_or(line.len()));
        if !response::is_of_connection(name) {
            fields.push([&name.to_ascii_lowercase(), value].concat());
        }
    }
    (status, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_of_http1_is_compared_without_what_belongs_to_its_connection() {
        let head = b"HTTP/1.1 200 OK\r\nServer: s\r\nConnection: keep-alive\r\nETag: \"A:b\"\r\n\r\n";
        let fields = vec![b"server: s".to_vec(), b"etag: \"A:b\"".to_vec()];
        assert_eq!(as_frames(head), ("200 OK".to_owned(), fields.clone()));
        let mut block = Vec::new();
        hpack::encode::status(&mut block, 200);
        hpack::encode::field(&mut block, b"Server", b"s");
        hpack::encode::field(&mut block, b"ETag", b"\"A:b\"");
        assert_eq!(decoded(&block), ("200 OK".to_owned(), fields));
    }
}

//! Extended CONNECT (RFC 8441): a request for another protocol on a stream is turned into the HTTP/1.1 request that
//! asks for it on a connection. To the rest of the server, a WebSocket over HTTP/2 is one over HTTP/1.1; the answer 101
//! becomes 200 again where the head of the response is queued (`exchange/send_queue/writer.rs`).

use super::hpack::Block;
use super::request::{DecodedHead, WEBSOCKET};
use crate::http::body_length::BodyLength;
use crate::http::field::Field;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::util::span::Span;

/// Makes a GET with Upgrade of the request; `key` is its Sec-WebSocket-Key, which is not sent in HTTP/2 (§5.1). The
/// request line stays what the client asked for.
pub fn as_upgrade(block: &mut Block, head: &mut DecodedHead, key: &[u8]) {
    let mut put = |bytes: &[u8]| {
        let start = block.text.len();
        block.text.extend_from_slice(bytes);
        Span::new(start, block.text.len())
    };
    head.method = Method::Get;
    head.method_name = put(b"GET");
    head.body_length = BodyLength::None;
    let fields = [
        (HeaderId::Connection, put(b"connection"), put(b"upgrade")),
        (HeaderId::Upgrade, put(b"upgrade"), put(WEBSOCKET)),
        (HeaderId::Other, put(b"sec-websocket-key"), put(key)),
    ];
    block.fields.retain(|field| field.id != HeaderId::Other || field.name.of(&block.text) != b"sec-websocket-key");
    block.fields.extend(fields.map(|(id, name, value)| Field { id, name, value }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h2::request::{Rules, read};
    use crate::http::header::UnusualNames;

    #[test]
    fn an_extended_connect_becomes_a_request_to_upgrade() {
        let mut block = Block::default();
        let fields = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", "/chat"),
            (":authority", "a.test"),
            ("sec-websocket-key", "theirs"),
            ("sec-websocket-version", "13"),
        ];
        for (name, value) in fields {
            let at = block.text.len();
            block.text.extend_from_slice(name.as_bytes());
            block.text.extend_from_slice(value.as_bytes());
            let (middle, end) = (at + name.len(), block.text.len());
            let id = HeaderId::of(name.as_bytes());
            block.fields.push(Field { id, name: Span::new(at, middle), value: Span::new(middle, end) });
        }
        let mut head = DecodedHead::default();
        let rules = Rules { unusual: UnusualNames::default(), extended_connect: true, fields: 100 };
        assert_eq!(read(&mut block, false, rules, &mut head), Ok(()));
        as_upgrade(&mut block, &mut head, b"ours");
        let text = |span: Span| String::from_utf8_lossy(span.of(&block.text)).into_owned();
        let shown: Vec<String> = block.fields.iter().map(|f| format!("{}: {}", text(f.name), text(f.value))).collect();
        let expected = [
            "host: a.test",
            "sec-websocket-version: 13",
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-key: ours",
        ];
        assert_eq!(shown, expected);
        assert_eq!((text(head.method_name), text(head.target)), ("GET".into(), "/chat".into()));
        assert_eq!((text(head.request_line), head.body_length), ("CONNECT /chat HTTP/2.0".into(), BodyLength::None));
    }
}

//! The head of a response, and its trailers, to header blocks.
//!
//! Fields that say how HTTP/1 uses its connection are left out (RFC 9113 §8.2.2): an upstream's may be among them.

use crate::exchange::send_queue::FramedHead;
use crate::http::fields::Fields;
use crate::http::h2::hpack::encode;

/// Appends the fields of a head.
pub fn head(head: &FramedHead, out: &mut Vec<u8>) {
    encode::status(out, head.status.0);
    fields(&head.fields, out);
}

/// Appends fields, as of a trailer section.
pub fn fields(fields: &Fields, out: &mut Vec<u8>) {
    for (name, value) in fields.iter().filter(|(name, _)| !is_of_connection(name)) {
        encode::field(out, name, value);
    }
}

fn is_of_connection(name: &[u8]) -> bool {
    let names: &[&[u8]] = match name.len() {
        7 => &[b"upgrade"],
        10 => &[b"connection", b"keep-alive"],
        16 => &[b"proxy-connection"],
        17 => &[b"transfer-encoding"],
        _ => &[],
    };
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h2::hpack::{Block, Bounds, Decoder};
    use crate::http::status::Status;

    #[test]
    fn a_head_becomes_a_block_without_what_belongs_to_connections() {
        let mut fields = Fields::default();
        for (name, value) in [("Connection", "close"), ("Transfer-Encoding", "x"), ("X-A", "b"), ("Link", "")] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let mut out = Vec::new();
        head(&FramedHead { status: Status::NOT_FOUND, fields }, &mut out);
        let mut block = Block::default();
        let bounds = Bounds { field: 100, total: 1000, fields: 10 };
        assert_eq!(Decoder::default().decode(&out, &bounds, &mut block), Ok(()));
        let shown = |field: &crate::http::h1::head::Field| {
            let text = |span: crate::util::span::Span| String::from_utf8_lossy(span.of(&block.text)).into_owned();
            format!("{}={}", text(field.name), text(field.value))
        };
        let got: Vec<String> = block.fields.iter().map(shown).collect();
        assert_eq!(got, [":status=404", "x-a=b", "link="]);
    }
}

//! What holds of every input to the codecs of HTTP/2.

use webserv::http::h2::connection::{Connection, ConnectionLimits, Event, ReadStep};
use webserv::http::h2::frame::PREFACE;
use webserv::http::h2::hpack::{Block, Bounds, Decoder, encode};
use webserv::util::span::Span;

/// What came of a connection's bytes, pieces of a body joined.
#[derive(Debug, PartialEq)]
enum Came {
    Data { stream: u32, bytes: Vec<u8>, end: bool },
    Event(Event),
    Fault(String),
}

/// Frames behind a preface: what comes of them does not depend on the reads, and the connection keeps its bounds.
pub fn frames(data: &[u8]) {
    let bytes = [&PREFACE[..], data].concat();
    let run = |cuts: &[usize]| {
        let mut connection = Connection::new(ConnectionLimits::default(), 0);
        let (mut at, mut came, mut out) = (0, Vec::new(), Vec::new());
        for &cut in cuts {
            loop {
                let step = connection.receive(&bytes[at..cut], 0);
                connection.check_invariants();
                match step {
                    Ok(ReadStep::More) => break,
                    Ok(ReadStep::Blocked) => connection.take_control(&mut out),
                    Ok(ReadStep::Took { consumed, event }) => {
                        let piece = &bytes[at..cut];
                        at += consumed;
                        let Some(event) = event else { continue };
                        if let Event::Data { stream, data, end } = event {
                            connection.consumed(stream, data.len());
                            join(&mut came, stream, &piece[data], end);
                        } else {
                            came.push(Came::Event(event));
                        }
                    }
                    Err(fault) => {
                        came.push(Came::Fault(format!("{fault:?}")));
                        return came;
                    }
                }
                out.clear();
            }
        }
        came
    };
    let [few, each] = super::splits(&bytes);
    assert_eq!(run(&few), run(&each));
}

fn join(came: &mut Vec<Came>, of: u32, piece: &[u8], is_end: bool) {
    match came.last_mut() {
        Some(Came::Data { stream, bytes, end: end @ false }) if *stream == of => {
            bytes.extend_from_slice(piece);
            *end = is_end;
        }
        _ => came.push(Came::Data { stream: of, bytes: piece.to_vec(), end: is_end }),
    }
}

/// A header block: bounds hold, the table does, and what was decoded comes back through the encoder.
pub fn hpack(data: &[u8]) {
    let bounds = Bounds { total: 16_384, fields: 100 };
    let mut decoder = Decoder::default();
    // The second time by what the first left in the table.
    for _ in 0..2 {
        let mut block = Block::default();
        let decoded = decoder.decode(data, &bounds, &mut block);
        let (entries, used) = decoder.usage();
        assert!(used <= 4096 && 32 * entries <= used && decoder.memory() < 16_384);
        if decoded.is_err() {
            return;
        }
        assert!(block.text.len() <= bounds.total && block.fields.len() <= bounds.fields);
        let mut coded = Vec::new();
        let text = |block: &Block, span: Span| block.text[span.start as usize..span.end()].to_vec();
        for field in &block.fields {
            encode::field(&mut coded, &text(&block, field.name), &text(&block, field.value));
        }
        let mut again = Block::default();
        assert_eq!(Decoder::default().decode(&coded, &bounds, &mut again), Ok(()));
        let fields = |block: &Block| -> Vec<(Vec<u8>, Vec<u8>)> {
            let of = |span: Span| text(block, span);
            block.fields.iter().map(|field| (of(field.name).to_ascii_lowercase(), of(field.value))).collect()
        };
        assert_eq!(fields(&block), fields(&again));
    }
}

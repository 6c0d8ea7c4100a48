//! Records of FastCGI, cut at every byte: what a response means, which ones are wrong, what an application reads.

use super::*;

fn record(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let [id_high, id_low] = id.to_be_bytes();
    let [high, low] = (content.len() as u16).to_be_bytes();
    let mut out = vec![1, kind, id_high, id_low, high, low, padding, 0];
    out.extend_from_slice(content);
    out.extend(std::iter::repeat_n(b'p', usize::from(padding)));
    out
}

/// Everything the reader says of `pieces`: `o` and `e` for the streams' bytes, `O` and `E` for their ends.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, InvalidRecord> {
    let (mut reader, mut said) = (Reader::default(), String::new());
    let mut last = ' ';
    for piece in pieces {
        let mut at = 0;
        loop {
            let step = reader.next(&piece[at..])?;
            let text = |range: Range<usize>| String::from_utf8_lossy(&piece[at..][range]).into_owned();
            let (mark, text) = match step.event {
                Event::More => (' ', String::new()),
                Event::Stdout(range) => ('o', text(range)),
                Event::Stderr(range) => ('e', text(range)),
                Event::StdoutEnd => ('O', String::new()),
                Event::End(end) => ('E', format!("{},{}", end.app_status, end.protocol_status)),
            };
            at += step.consumed;
            if mark == ' ' {
                assert_eq!(at, piece.len(), "input that was not used up");
                break;
            }
            if mark != last || mark.is_uppercase() {
                said.push(mark);
            }
            last = mark;
            said.push_str(&text);
        }
    }
    said.push_str(if reader.is_ended() { "!" } else { "" });
    Ok(said)
}

#[test]
fn a_parameter_is_the_same_however_its_value_is_written() {
    for length in [0, 1, 127, 128, 300] {
        let value = vec![b'v'; length];
        let (mut expected, mut out) = (b"before".to_vec(), b"before".to_vec());
        pair(&mut expected, b"NAME", &value);
        let start = pair_of(&mut out, b"NAME", |out| out.extend_from_slice(&value));
        assert_eq!(out, expected, "{length}");
        assert_eq!(out[start..], value, "{length}");
    }
}

#[test]
fn responses_mean_the_same_however_they_are_split() {
    let end = [0, 0, 1, 2, 0, 9, 9, 9];
    for (name, records, expected) in [
        ("a response", vec![record(6, 1, b"abc", 0), record(6, 1, b"", 0), record(3, 1, &end, 0)], Ok("oabcOE258,0!")),
        ("padding", vec![record(6, 1, b"abc", 5), record(6, 1, b"d", 255), record(3, 1, &end, 7)], Ok("oabcdE258,0!")),
        ("padding of nothing", vec![record(6, 1, b"", 3), record(3, 1, &end, 0)], Ok("OE258,0!")),
        (
            "stderr before, between and after",
            vec![record(7, 1, b"x", 1), record(6, 1, b"a", 0), record(7, 1, b"y", 0), record(6, 1, b"b", 2)],
            Ok("exoaeyob"),
        ),
        ("the end of stderr is no event", vec![record(7, 1, b"", 0), record(6, 1, b"a", 0)], Ok("oa")),
        ("a longer end", vec![record(3, 1, &[1; 12], 4)], Ok("E16843009,1!")),
        ("a short end", vec![record(3, 1, &[1; 7], 0)], Err(InvalidRecord::Short)),
        ("another version", vec![vec![2, 6, 0, 1, 0, 0, 0, 0]], Err(InvalidRecord::Version(2))),
        ("another request", vec![record(6, 2, b"a", 0)], Err(InvalidRecord::Id(2))),
        ("a high id", vec![record(6, 0x201, b"a", 0)], Err(InvalidRecord::Id(0x201))),
        ("management", vec![record(10, 1, b"a", 0)], Err(InvalidRecord::Kind(10))),
        ("no FastCGI at all", vec![b"HTTP/1.1 200 OK\r\n".to_vec()], Err(InvalidRecord::Version(b'H'))),
    ] {
        let bytes = records.concat();
        let expected = expected.map(str::to_owned);
        assert_eq!(read([&bytes[..]]), expected, "{name}");
        assert_eq!(read(bytes.chunks(1)), expected, "{name}, byte by byte");
        for at in 0..bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(read([a, b]), expected, "{name}, split at {at}");
        }
    }
}

#[test]
fn wrong_records_are_named_in_nginx_words() {
    for (bad, expected) in [
        (InvalidRecord::Version(2), "upstream sent unsupported FastCGI protocol version: 2"),
        (InvalidRecord::Kind(9), "upstream sent invalid FastCGI record type: 9"),
        (InvalidRecord::Id(0x0301), "upstream sent unexpected FastCGI request id high byte: 3"),
        (InvalidRecord::Id(2), "upstream sent unexpected FastCGI request id low byte: 2"),
    ] {
        assert_eq!(bad.to_string(), expected);
    }
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Takes a request apart as an application would: its parameters and its body.
fn application(mut bytes: &[u8]) -> (Pairs, Vec<u8>, bool) {
    assert_eq!(&bytes[..16], [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, bytes[10], 0, 0, 0, 0, 0]);
    let keep = bytes[10] == 1;
    bytes = &bytes[16..];
    let (mut streams, mut ended) = ([Vec::new(), Vec::new()], [false; 2]);
    while let [1, kind, 0, 1, high, low, padding, 0, rest @ ..] = bytes {
        let which = usize::from(kind - PARAMS);
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        assert!(!ended[which] && (length + usize::from(*padding)).is_multiple_of(8));
        ended[which] = length == 0;
        streams[which].extend_from_slice(&rest[..length]);
        bytes = &rest[length + usize::from(*padding)..];
    }
    assert!(bytes.is_empty() && ended == [true; 2]);
    let [params, body] = streams;
    let (mut pairs, mut rest) = (Vec::new(), &params[..]);
    let take = |rest: &mut &[u8]| {
        let (length, used) = match rest[0] {
            short @ 0..=127 => (usize::from(short), 1),
            long => (u32::from_be_bytes([long & 0x7f, rest[1], rest[2], rest[3]]) as usize, 4),
        };
        *rest = &rest[used..];
        length
    };
    while !rest.is_empty() {
        let (name, value) = (take(&mut rest), take(&mut rest));
        pairs.push((rest[..name].to_vec(), rest[name..name + value].to_vec()));
        rest = &rest[name + value..];
    }
    (pairs, body, keep)
}

#[test]
fn a_request_is_what_an_application_reads() {
    for (value, body) in [(0, 0), (1, 1), (127, 7), (128, 8), (70_000, 200_000), (65_528, 65_528), (3, 65_529)] {
        let (value, body) = (vec![b'v'; value], vec![b'b'; body]);
        let (mut pairs, mut out) = (Vec::new(), Vec::new());
        pair(&mut pairs, b"NAME", &value);
        pair(&mut pairs, &[b'n'; 200], b"x");
        begin(&mut out, value.is_empty());
        params(&mut out, &pairs);
        stdin(&mut out, &body);
        stdin_end(&mut out);
        let (read, stdin, keep) = application(&out);
        assert_eq!(read, [(b"NAME".to_vec(), value.clone()), (vec![b'n'; 200], b"x".to_vec())]);
        assert_eq!(stdin, body);
        assert_eq!(keep, value.is_empty());
    }
}

#[test]
fn a_request_is_over_with_the_last_byte_of_its_end() {
    for padding in [0, 7] {
        let bytes = record(3, 1, &[0; 8], padding);
        let mut reader = Reader::default();
        let step = reader.next(&bytes).expect("a record");
        assert_eq!(step.event, Event::End(End { app_status: 0, protocol_status: 0 }));
        assert_eq!(reader.is_ended(), padding == 0);
        assert_eq!(reader.next(&bytes[step.consumed..]).expect("padding").event, Event::More);
        assert!(reader.is_ended());
    }
}

//! Tests of the body reader, most of them of its chunks: tables re-run at every split point.

use super::*;
use crate::http::h1::chunked::{EXTENSION, TRAILERS};

/// Decodes `text` in pieces that end at `cuts` and at its end: the body, the bytes used (`None` if it is not done).
fn feed(
    length: BodyLength,
    text: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> Result<(Vec<u8>, Option<usize>), u16> {
    let (mut reader, mut body, mut at) = (BodyReader::new(length), Vec::new(), 0);
    for cut in cuts.into_iter().chain([text.len()]) {
        loop {
            let input = &text[at..cut.max(at)];
            let step = reader.next(input).map_err(|reject| reject.status().0)?;
            assert!(step.data.end <= step.consumed && step.consumed <= input.len());
            body.extend_from_slice(&input[step.data]);
            at += step.consumed;
            if step.done {
                assert!(reader.is_done() && reader.remaining() == Some(0));
                return Ok((body, Some(at)));
            }
            if at == cut.max(at) {
                break;
            }
            assert!(step.consumed > 0, "input is left, so something must be consumed");
        }
    }
    Ok((body, None))
}

fn run(length: BodyLength, text: &[u8]) -> Result<(Vec<u8>, Option<usize>), u16> {
    let whole = feed(length, text, []);
    for cut in 0..text.len().min(300) {
        assert_eq!(feed(length, text, [cut]), whole, "cut at {cut}: {}", text.escape_ascii());
    }
    assert_eq!(feed(length, text, 0..text.len()), whole, "bytewise: {}", text.escape_ascii());
    whole
}

#[test]
fn a_body_of_known_length_ends_there() {
    let table: [(BodyLength, &str, &str, Option<usize>); 6] = [
        (BodyLength::None, "GET", "", Some(0)),
        (BodyLength::Known(0), "GET", "", Some(0)),
        (BodyLength::Known(5), "helloGET", "hello", Some(5)),
        (BodyLength::Known(5), "hell", "hell", None),
        (BodyLength::Known(u64::MAX), "x", "x", None),
        (BodyLength::Known(5), "", "", None),
    ];
    for (framing, text, body, used) in table {
        assert_eq!(run(framing, text.as_bytes()), Ok((body.into(), used)), "{framing:?} {text}");
    }
}

#[test]
fn the_body_of_a_stream_is_complete_when_the_stream_ends() {
    for length in [BodyLength::Known(5), BodyLength::Unknown] {
        for cut in 0..=5 {
            let mut reader = BodyReader::of_stream(length);
            for piece in [&b"hello"[..cut], &b"hello"[cut..]] {
                let step = reader.next(piece).expect("bytes");
                assert_eq!((step.consumed, step.data, step.done), (piece.len(), 0..piece.len(), false));
            }
            assert!(!reader.is_done(), "trailers may come");
            assert!(reader.end() && reader.is_done());
        }
    }
    let mut reader = BodyReader::of_stream(BodyLength::Known(5));
    reader.next(b"hell").expect("bytes");
    assert!(!reader.end(), "a byte is missing");
    reader.next(b"o").expect("bytes");
    assert_eq!(reader.remaining(), Some(0));
    assert!(reader.next(b"!").is_err(), "more than was announced");
    assert!(BodyReader::of_stream(BodyLength::None).is_done());
}

#[test]
fn chunks_are_decoded_by_the_grammar() {
    let table: [(&str, &str, Option<usize>); 14] = [
        ("5\r\nhello\r\n0\r\n\r\nGET", "hello", Some(15)),
        ("0\r\n\r\n", "", Some(5)),
        ("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", Some(28)),
        ("a\r\n0123456789\r\n00\r\n\r\n", "0123456789", Some(21)),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello", Some(30)),
        ("5;x=y\r\nhello\r\n0;z\r\n\r\n", "hello", Some(21)),
        ("5 ; x = \"y;\\\"z\"\r\nhello\r\n0\r\n\r\n", "hello", Some(29)),
        ("5\t;x\r\nhello\r\n0\r\n\r\n", "hello", Some(18)),
        ("5;x=\"\u{e9}\"\r\nhello\r\n0\r\n\r\n", "hello", Some(22)),
        ("0\r\nA: b\r\nC:\r\n\r\nGET", "", Some(15)),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", Some(12)),
        ("5\r\nhel", "hel", None),
        ("5\r\nhello\r\n0\r\n", "hello", None),
        ("7fffffffffffffff\r\nx", "x", None),
    ];
    for (text, body, used) in table {
        assert_eq!(run(BodyLength::Unknown, text.as_bytes()), Ok((body.into(), used)), "{text:?}");
    }
}

#[test]
fn framing_that_two_servers_might_read_differently_is_refused() {
    let table = [
        "\r\n",
        "8000000000000000\r\nx",
        "ffffffffffffffff\r\nx",
        " 5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-5\r\n",
        "0x5\r\nhello\r\n",
        "g\r\n",
        ";x\r\n",
        "5 \r\nhello\r\n",
        "5\t\r\nhello\r\n",
        "5 5\r\n",
        "5_\r\n",
        "5,5\r\n",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5\r\r\nhello",
        "5;x\nhello\r\n",
        "5;x\rhello\r\n",
        "5;\0\r\n",
        "5;\x7f\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhelloXX\r\n",
        "00000000000000005\r\nhello",
        "10000000000000000\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\nAb\r\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
        "0\r\nA(: b\r\n\r\n",
        "0\r\nGET / HTTP/1.1\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5;=b\r\nhello\r\n0\r\n\r\n",
        "5;a[=b\r\nhello\r\n0\r\n\r\n",
        "5;a=\"b\r\nhello\r\n0\r\n\r\n",
        "5;a b\r\nhello\r\n0\r\n\r\n",
        "5\u{b2}\r\n",
        "\u{ff15}\r\n",
    ];
    for text in table {
        assert_eq!(run(BodyLength::Unknown, text.as_bytes()), Err(400), "{text:?}");
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let chunk = |extension: usize| format!("1;{}\r\nx\r\n", "e".repeat(extension));
    let cases = [
        (chunk(EXTENSION), Ok(())),
        (chunk(EXTENSION + 1), Err(400)),
        (format!("1{};\r\nx\r\n", " ".repeat(EXTENSION + 1)), Err(400)),
        (chunk(EXTENSION).repeat(4), Ok(())),
        (chunk(EXTENSION).repeat(4) + &chunk(1), Err(400)),
        (format!("0\r\n{}", "A: b\r\n".repeat(1000)), Ok(())),
        (format!("0\r\n{}", "A: b\r\n".repeat(1400)), Err(431)),
        (format!("0\r\nA: {}", "b".repeat(TRAILERS)), Err(431)),
        // With the end of the line: as many as there may be, and one more.
        (format!("0\r\nA: {}\r\n\r\n", "b".repeat(TRAILERS - 5)), Ok(())),
        (format!("0\r\nA: {}\r\n\r\n", "b".repeat(TRAILERS - 4)), Err(431)),
    ];
    for (text, expected) in cases {
        assert_eq!(feed(BodyLength::Unknown, text.as_bytes(), []).map(drop), expected, "{} bytes", text.len());
        assert_eq!(
            feed(BodyLength::Unknown, text.as_bytes(), 0..text.len()).map(drop),
            expected,
            "{} bytes",
            text.len()
        );
    }
}

/// A response whose body is complete is not cut for what nobody wants.
#[test]
fn a_response_keeps_the_trailers_that_fit_and_its_body() {
    let (long, many) = (format!("A: {}\r\n", "b".repeat(2 * TRAILERS)), "A: b\r\n".repeat(1400));
    let cases = [
        (format!("{long}B: c\r\n"), "B: c\r\n".to_owned()),
        (format!("B: c\r\n{long}no trailer\r\nC: d\r\n"), "B: c\r\nC: d\r\n".to_owned()),
        (many.clone(), many[..TRAILERS / 6 * 6].to_owned()),
    ];
    for (lines, kept) in cases {
        let text = format!("1\r\nx\r\n0\r\n{lines}\r\nnext");
        for step in [1, 7, text.len()] {
            let mut reader = BodyReader::of_response(BodyLength::Unknown);
            let mut at = 0;
            while !reader.is_done() {
                let end = (at + step).min(text.len());
                at += reader.next(&text.as_bytes()[at..end]).expect("sound").consumed;
            }
            assert_eq!(&text[at..], "next");
            assert_eq!(String::from_utf8_lossy(reader.trailers.lines()), kept, "in steps of {step}");
        }
    }
    // Not without an end.
    let endless = format!("0\r\n{}", long.repeat(10));
    assert!(BodyReader::of_response(BodyLength::Unknown).next(endless.as_bytes()).is_err());
}

#[test]
fn a_chunk_size_of_a_response_may_have_any_leading_zeros() {
    let text = "00000000000000000002\r\nok\r\n0000000000000000000\r\n\r\n";
    for step in [1, 7, text.len()] {
        let mut reader = BodyReader::of_response(BodyLength::Unknown);
        let mut body = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            reader.pieces(piece, |bytes| body.extend_from_slice(bytes)).expect("sound");
        }
        assert!(reader.is_done() && body == b"ok", "in steps of {step}");
    }
    assert!(BodyReader::of_response(BodyLength::Unknown).next(b"00010000000000000000\r\n").is_err(), "beyond 2^63");
    assert!(BodyReader::new(BodyLength::Unknown).next(b"00000000000000002\r\nok").is_err(), "a client's");
}

#[test]
fn trailers_are_kept_apart() {
    let mut reader = BodyReader::new(BodyLength::Unknown);
    let text = b"0\r\nContent-Digest: \t sha-256=:x:\t\r\nA:\r\nContent-Digest: y\r\n\r\n";
    let mut at = 0;
    for end in 0..=text.len() {
        at += reader.next(&text[at..end]).expect("sound trailers").consumed;
    }
    assert!(reader.is_done() && at == text.len());
    assert_eq!(reader.trailers.all(b"content-digest").next(), Some(&b"sha-256=:x:"[..]));
    assert_eq!(reader.trailers.all(b"a").next(), Some(&b""[..]));
    assert_eq!(reader.trailers.all(b"b").next(), None);
    assert_eq!(reader.trailers.lines().len(), text.len() - 3 - 2);
}

#[test]
fn all_that_has_come_is_taken_in_one_run() {
    let chunk = [&b"30d40\r\n"[..], &[b'x'; 200_000], b"\r\n"].concat();
    let mut input = [&chunk.repeat(3)[..], b"0\r\n\r\nnext"].concat();
    let (mut reader, mut at, mut taken) = (BodyReader::new(BodyLength::Unknown), 0, 0);
    let is_done = reader.run::<Reject>(&mut input, &mut at, |run| {
        taken += run.data.len();
        Ok(())
    });
    assert_eq!((is_done, &input[at..], taken), (Ok(true), &b"next"[..], 600_000));
}

#[test]
fn a_run_may_be_taken_out_of_band() {
    let mut length = BodyReader::new(BodyLength::Known(10));
    assert_eq!(length.remaining(), Some(10));
    length.skip(4);
    assert_eq!(length.remaining(), Some(6));
    length.skip(6);
    assert!(length.is_done());

    let mut chunked = BodyReader::new(BodyLength::Unknown);
    assert_eq!(chunked.remaining(), None);
    assert_eq!(chunked.next(b"A\r\n"), Ok(Decoded { consumed: 3, data: 3..3, done: false }));
    assert_eq!(chunked.remaining(), Some(10));
    chunked.skip(4);
    assert_eq!(chunked.next(b"456"), Ok(Decoded { consumed: 3, data: 0..3, done: false }));
    chunked.skip(3);
    assert_eq!(chunked.remaining(), None);
    assert_eq!(chunked.next(b"\r\n0\r\n\r\n"), Ok(Decoded { consumed: 7, data: 7..7, done: true }));
}

/// Whatever the chunks are and however the input is cut: the same bytes as chunk for chunk, in fewer pieces.
#[test]
fn small_chunks_are_gathered() {
    use crate::util::seed::Seed;
    let mut seed = Seed::new(7);
    for round in 0..300 {
        let (mut wire, mut content) = (Vec::new(), Vec::new());
        for _ in 0..seed.below(60) {
            let size = match seed.below(8) {
                0 => 1 + seed.below(9000),
                1 => 16 + seed.below(300),
                _ => 1 + seed.below(16),
            } as usize;
            let extension = ["", ";a=b", " ;x", ";a=\";\""][seed.below(4) as usize];
            let data: Vec<u8> = (0..size).map(|_| b"\r\n0a;"[seed.below(5) as usize]).collect();
            wire.extend(format!("{size:x}{extension}\r\n").bytes().chain(data.iter().copied()).chain(*b"\r\n"));
            content.extend(data);
        }
        wire.extend(b"0\r\nA: b\r\n\r\nrest");
        let mut reader = BodyReader::new(BodyLength::Unknown);
        let (mut got, mut from, mut input) = (Vec::new(), 0, Vec::new());
        let mut is_done = false;
        while !is_done {
            let end = (from + 1 + seed.below(12_000) as usize).min(wire.len());
            input.extend_from_slice(&wire[from..end]);
            from = end;
            let mut at = 0;
            while at < input.len() && !is_done {
                let step = reader.gather(&mut input[at..]).expect("sound");
                got.extend_from_slice(&input[at + step.data.start..at + step.data.end]);
                at += step.consumed;
                is_done = step.done;
            }
            input.drain(..at);
        }
        input.extend_from_slice(&wire[from..]);
        assert_eq!((got == content, &input[..]), (true, &b"rest"[..]), "round {round}");
        assert_eq!(reader.trailers.lines(), b"A: b\r\n");
    }
    let mut wire = b"1\r\nx\r\n".repeat(1000);
    let step = BodyReader::new(BodyLength::Unknown).gather(&mut wire).expect("sound");
    assert_eq!((step.consumed, &wire[step.data]), (6000, &[b'x'; 1000][..]));
}

/// As [`small_chunks_are_gathered`], of input that may not be changed.
#[test]
fn small_chunks_go_on_together() {
    use crate::util::seed::Seed;
    let mut seed = Seed::new(8);
    for round in 0..200 {
        let (mut wire, mut content) = (Vec::new(), Vec::new());
        for _ in 0..seed.below(60) {
            let size = if seed.below(6) == 0 { 1 + seed.below(5000) } else { 1 + seed.below(40) } as usize;
            let data: Vec<u8> = (0..size).map(|_| b"\r\n0a;"[seed.below(5) as usize]).collect();
            wire.extend(format!("{size:x}\r\n").bytes().chain(data.iter().copied()).chain(*b"\r\n"));
            content.extend(data);
        }
        wire.extend(b"0\r\n\r\n");
        let cut = seed.below(wire.len() as u64 + 1) as usize;
        let mut reader = BodyReader::of_response(BodyLength::Unknown);
        let (mut got, mut used) = (Vec::new(), 0);
        for part in [&wire[..cut], &wire[cut..], b"rest"] {
            used += reader.pieces(part, |piece| got.extend_from_slice(piece)).expect("sound");
        }
        assert_eq!((got == content, used, reader.is_done()), (true, wire.len(), true), "round {round}, cut at {cut}");
    }
    let count = |text: &[u8]| {
        let (mut pieces, mut bytes) = (0, 0);
        let outcome = BodyReader::of_response(BodyLength::Unknown).pieces(text, |piece| {
            pieces += usize::from(!piece.is_empty());
            bytes += piece.len();
        });
        (pieces, bytes, outcome.is_ok())
    };
    assert_eq!(count(&b"1\r\nx\r\n".repeat(5000)), (3, 5000, true));
    assert_eq!(count(&b"1\r\nx\r\n".repeat(2 * GATHERED)), (2, 2 * GATHERED, true), "each piece is full");
    // What came before a fault is handed out.
    assert_eq!(count(&[&b"1\r\nx\r\n".repeat(9)[..], b"oops"].concat()), (1, 9, false));
}

/// What comes alone needs no copy.
#[test]
fn a_run_that_is_all_there_is_is_handed_on_where_it_lies() {
    for text in [&b"3\r\nabc"[..], b"5\r\nabc"] {
        let mut pieces = Vec::new();
        let used = BodyReader::of_response(BodyLength::Unknown).pieces(text, |piece| {
            if !piece.is_empty() {
                pieces.push((text.as_ptr_range().contains(&piece.as_ptr()), piece.to_vec()));
            }
        });
        assert_eq!((used, pieces), (Ok(text.len()), vec![(true, b"abc".to_vec())]), "{}", text.escape_ascii());
    }
}

/// Such a body costs its connection, unless it is short.
#[test]
fn more_framing_than_content_is_seen() {
    for (chunk, count, expected) in [
        // Up to a kilobyte of framing is never too much: here are 1020 bytes, and 1025.
        (1, 203, false),
        (1, 204, true),
        (4, 2000, true),
        (5, 2000, true),
        (6, 2000, false),
        (300, 2000, false),
    ] {
        let text = format!("{chunk:x}\r\n{}\r\n", "x".repeat(chunk)).repeat(count) + "0\r\n\r\n";
        let mut reader = BodyReader::new(BodyLength::Unknown);
        let used = reader.pieces(text.as_bytes(), |_| {});
        assert_eq!((used, reader.is_done()), (Ok(text.len()), true));
        assert_eq!(reader.is_mostly_framing(), expected, "{count} chunks of {chunk}");
    }
    // 1024 bytes of it, and 1025.
    for (zeros, expected) in [("00000", false), ("000000", true)] {
        let text = "1\r\nx\r\n".repeat(203) + zeros + "\r\n\r\n";
        let mut reader = BodyReader::new(BodyLength::Unknown);
        assert_eq!(reader.pieces(text.as_bytes(), |_| {}), Ok(text.len()));
        assert_eq!(reader.is_mostly_framing(), expected, "{zeros}");
    }
}

#[test]
fn framing_is_bounded_by_content() {
    let chunk = |digits: usize| format!("{:0>digits$}\r\nx\r\n", 1).repeat(30_000) + "0\r\n\r\n";
    for (digits, expected) in [(1, Ok(())), (8, Ok(())), (16, Err(400))] {
        let text = chunk(digits);
        assert_eq!(feed(BodyLength::Unknown, text.as_bytes(), []).map(drop), expected, "{digits} digits");
        let mut input = text.into_bytes();
        let gathered = BodyReader::new(BodyLength::Unknown).gather(&mut input).map(drop).map_err(|e| e.status().0);
        assert_eq!(gathered, expected, "{digits} digits");
    }
}

#[test]
fn a_run_goes_to_the_end_of_the_body_and_no_further() {
    let text = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET /";
    for cut in 0..=text.len() {
        let mut reader = BodyReader::new(BodyLength::Unknown);
        let (mut content, mut consumed, mut ended, mut rest) = (Vec::new(), 0, false, Vec::new());
        for part in [&text[..cut], &text[cut..]] {
            let mut input = part.to_vec();
            let mut at = 0;
            let taken = reader.run(&mut input, &mut at, |run| {
                content.extend_from_slice(run.data);
                consumed += run.consumed;
                Ok::<(), Reject>(())
            });
            ended = taken.expect("a body");
            rest.extend_from_slice(&input[at..]);
        }
        assert_eq!((&content[..], consumed, ended, &rest[..]), (&b"abcde"[..], 20, true, &b"GET /"[..]), "{cut}");
    }
    let mut reader = BodyReader::new(BodyLength::Known(4));
    let mut at = 0;
    let refused = reader.run(&mut b"ab".to_vec(), &mut at, |_| Err(Reject::BadChunk("refused")));
    assert_eq!((refused, at), (Err(Reject::BadChunk("refused")), 2));
}

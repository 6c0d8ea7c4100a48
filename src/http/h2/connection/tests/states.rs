//! What the caller asks a connection about, and what streams that end in the middle of something leave behind.

use super::*;
use crate::http::h2::stream::Stream;

fn fed(limits: ConnectionLimits, pieces: &[&[u8]]) -> (Connection, Seen) {
    let mut connection = Connection::new(limits, 0);
    let mut seen = Seen::default();
    run(&mut connection, &[&hello()], &mut seen);
    seen = Seen::default();
    run(&mut connection, pieces, &mut seen);
    (connection, seen)
}

/// `client_header_timeout` runs, or the preface is waited for, exactly where part of a head is missing.
#[test]
fn a_head_is_under_way_until_its_last_frame() {
    let start = raw(kind::HEADERS, 1, 1, &fields(&GET));
    let table = [
        ("nothing", vec![], true),
        ("half a preface", PREFACE[..9].to_vec(), true),
        ("a preface", PREFACE.to_vec(), true),
        ("SETTINGS", hello(), false),
        ("a request", [hello(), get(1)].concat(), false),
        ("half a block", [hello(), start.clone()].concat(), true),
        ("a block", [hello(), start, raw(kind::CONTINUATION, 4, 1, &[])].concat(), false),
    ];
    for (name, input, expected) in table {
        let mut connection = Connection::new(ConnectionLimits::default(), 0);
        run(&mut connection, &[&input], &mut Seen::default());
        assert_eq!(connection.is_in_head(), expected, "{name}");
    }
}

#[test]
fn control_output_is_handed_out_once_and_keeps_no_large_buffer() {
    let ping = |n: u8| raw(kind::PING, 0, 0, &[n; 8]);
    let (mut connection, _) = fed(ConnectionLimits::default(), &[]);
    let mut out = b"x".to_vec();
    assert_eq!(connection.receive(&ping(3), 0), Ok(ReadStep::Took { consumed: 17, event: None }));
    let before = connection.memory();
    connection.take_control(&mut out);
    assert_eq!((out[0], control(&out[1..])), (b'x', vec!["pong 3".to_owned()]));
    assert_eq!(connection.memory(), before, "a small buffer is used again");
    connection.take_control(&mut out);
    assert_eq!((out.len(), connection.has_control()), (18, false));
    while connection.receive(&ping(4), 0) != Ok(ReadStep::Blocked) {}
    let (large, len) = (connection.memory(), out.len());
    connection.take_control(&mut out);
    assert!(out.len() >= len + CONTROL && connection.memory() + CONTROL <= large, "{large} {}", connection.memory());
}

/// Each thing that a client can make a connection hold is counted, and given back when it is over.
#[test]
fn what_a_connection_holds_is_counted() {
    let limits = ConnectionLimits { streams: 100, ..ConnectionLimits::default() };
    let memory = |pieces: &[&[u8]]| fed(limits, pieces).0.memory();
    let idle = memory(&[]);
    let value = "v".repeat(5000);
    let long = fields(&[&GET[..], &[("x", &value)]].concat());
    let held = memory(&[&raw(kind::HEADERS, 1, 1, &long)]);
    assert!((idle + long.len()..idle + 2 * long.len()).contains(&held), "half a block: {idle} {held}");
    let (mut connection, _) = fed(limits, &[&raw(kind::HEADERS, END, 1, &long)]);
    let held = connection.memory();
    assert!((idle + value.len()..idle + 20_000).contains(&held), "fields: {idle} {held}");
    connection.block_mut().text = Vec::new();
    connection.block_mut().fields = Vec::new();
    assert!(connection.memory() < idle + 1000, "fields that were taken: {idle} {}", connection.memory());

    let many: Vec<u8> = (0..100).flat_map(|n| get(2 * n + 1)).collect();
    let (mut connection, _) = fed(limits, &[&many]);
    let (before, each) = (connection.memory(), size_of::<Stream>());
    assert!((100 * each..100 * each + 4000).contains(&(before - idle)), "streams: {idle} {before}");
    (0..100).for_each(|n| connection.release(2 * n + 1));
    assert_eq!(connection.memory(), before - 100 * each);

    let (mut connection, _) = fed(limits, &[&many]);
    (0..100).for_each(|n| connection.reset(2 * n + 1, ErrorCode::NO_ERROR));
    connection.take_control(&mut Vec::new());
    connection.shrink();
    let forgotten = connection.memory() - before;
    assert!((4 * 100 - 200..4 * 200).contains(&forgotten), "streams that were reset: {forgotten}");

    let table =
        memory(&[&raw(kind::HEADERS, END, 1, &[&[0x40, 1, b'x', 100][..], &[b'v'; 100], &fields(&GET)].concat())]);
    assert!((idle + 101..idle + 20_000).contains(&table), "the table: {idle} {table}");
}

#[test]
fn a_header_block_may_have_so_many_frames_and_bytes_and_no_more() {
    let more = |count: u32| -> Vec<u8> {
        let middle = (2..count).flat_map(|_| raw(kind::CONTINUATION, 0, 1, &[]));
        raw(kind::HEADERS, 1, 1, &fields(&GET))
            .into_iter()
            .chain(middle)
            .chain(raw(kind::CONTINUATION, 4, 1, &[]))
            .collect()
    };
    assert_eq!(fed(ConnectionLimits::default(), &[&more(BLOCK_FRAMES)]).1.events, ["request 1 end"]);
    let (_, seen) = fed(ConnectionLimits::default(), &[&more(BLOCK_FRAMES + 1)]);
    assert_eq!(seen.fault, Some(ConnectionFault::TooManyContinuations { limit: BLOCK_FRAMES }));

    let limits = ConnectionLimits {
        bounds: Bounds { total: 8000, ..ConnectionLimits::default().bounds },
        ..ConnectionLimits::default()
    };
    let bytes = [&fields(&GET)[..], &b"\x00\x01y\x00".repeat(5000)].concat();
    let block = |len: usize| {
        [raw(kind::HEADERS, 1, 1, &bytes[..1000]), raw(kind::CONTINUATION, 0, 1, &bytes[1000..len])].concat()
    };
    assert_eq!(fed(limits, &[&block(16_384)]).1.fault, None);
    assert_eq!(fed(limits, &[&block(16_385)]).1.fault, Some(ConnectionFault::HeaderBlockTooLong { limit: 16_384 }));
}

/// What was under way for a stream that is gone, or was reset, is read, granted again, and given to nothing.
#[test]
fn a_stream_that_ends_within_a_frame_leaves_the_rest_to_be_thrown_away() {
    let data = raw(kind::DATA, flag::END_STREAM, 1, &[7; 16_000]);
    let released: fn(&mut Connection) = |connection| connection.release(1);
    let reset: fn(&mut Connection) = |connection| connection.reset(1, ErrorCode::CANCEL);
    for (name, end) in [("released", released), ("reset", reset)] {
        let (mut connection, seen) =
            fed(ConnectionLimits { window: 65_535, ..ConnectionLimits::default() }, &[&post(1), &data[..9000]]);
        assert_eq!(seen.events.last().map(String::as_str), Some("data 1 8991"), "{name}");
        end(&mut connection);
        connection.take_control(&mut Vec::new());
        let mut seen = Seen::default();
        // As much again on another stream: by then half of the connection's window was used, and all of it is granted.
        let others = [raw(kind::DATA, 0, 3, &[7; 16_000]), raw(kind::DATA, 0, 3, &[7; 16_000])].concat();
        run(&mut connection, &[&data[9000..], &post(3), &others], &mut seen);
        assert_eq!(seen.events, ["request 3", "data 3 16000", "data 3 16000"], "{name}");
        let granted = seen.control.iter().find_map(|frame| frame.strip_prefix("grant 0 ")).map(str::parse);
        assert_eq!(granted, Some(Ok(48_000)), "{name}: {:?}", seen.control);
    }
}

/// The bytes themselves, however the frames are split, and nothing of their padding.
#[test]
fn padding_is_no_content() {
    let padded = |end: u8, content: &[u8], padding: u8| {
        raw(kind::DATA, end | 8, 1, &[&[padding][..], content, &vec![b'-'; usize::from(padding)]].concat())
    };
    let input = [padded(0, b"ab", 3), padded(0, b"cde", 0), padded(1, b"f", 255), get(3)].concat();
    for cut in 0..=input.len() {
        let (mut connection, _) = fed(ConnectionLimits::default(), &[&post(1)]);
        let (mut content, mut requests, mut rest) = (Vec::new(), 0, Vec::new());
        for piece in [&input[..cut], &input[cut..]] {
            rest.extend_from_slice(piece);
            while let ReadStep::Took { consumed, event } = connection.receive(&rest, 0).expect("it is right") {
                match event {
                    Some(Event::Data { data, .. }) => content.extend_from_slice(&rest[data]),
                    Some(Event::Request { stream: 3, .. }) => requests += 1,
                    other => assert_eq!(other, None, "cut at {cut}"),
                }
                rest.drain(..consumed);
            }
        }
        assert_eq!((content.as_slice(), requests, rest.len()), (&b"abcdef"[..], 1, 0), "cut at {cut}");
    }
}

#[test]
fn frames_that_the_caller_fills_carry_the_end_of_the_stream_once() {
    for (got, last, flags) in [(25, 25, vec![0, 0, 1]), (20, 20, vec![0, 1]), (25, 99, vec![0, 0, 0]), (7, 7, vec![1])]
    {
        let (mut connection, _) = fed(ConnectionLimits::default(), &[&get(1)]);
        let room = connection.room(1);
        let mut out = b"before".to_vec();
        let sent = connection.data_from(1, (last, 10), &mut out, |out| {
            let count = usize::div_ceil(got, 10);
            out.resize(out.len() + got + count * HEADER_LEN, b'd');
            got
        });
        assert_eq!((sent, &out[..6]), (got, &b"before"[..]));
        let (mut at, mut seen, mut content) = (6, Vec::new(), 0);
        while let Some(frame) = FrameHeader::parse(&out[at..]) {
            assert_eq!((frame.kind, frame.stream), (kind::DATA, 1));
            seen.push(frame.flags);
            content += frame.len as usize;
            at += HEADER_LEN + frame.len as usize;
        }
        assert_eq!((at, seen, content), (out.len(), flags, got), "{got} of {last}");
        // What is over has no room.
        assert_eq!(connection.room(1), if got == last { 0 } else { room - got });
    }
    let (mut connection, _) = fed(ConnectionLimits::default(), &[&get(1)]);
    let mut out = Vec::new();
    assert_eq!((connection.data_from(1, (0, 10), &mut out, |_| 0), connection.room(1), out.len()), (0, 65_535, 0));
}

#[test]
fn a_connection_is_blocked_once_its_window_is_used_up() {
    let (mut connection, _) = fed(ConnectionLimits::default(), &[&get(1), &window(1, 9)]);
    assert!(!connection.is_blocked());
    connection.data_sent(1, 65_534, 1);
    assert!(!connection.is_blocked());
    connection.data_sent(1, 1, 1);
    assert!(connection.is_blocked() && connection.room(1) == 0);
    run(&mut connection, &[&window(0, 5)], &mut Seen::default());
    assert!(!connection.is_blocked() && connection.room(1) == 5);
}

/// The time of a head is over: its stream is reset, once, wherever the head stands.
#[test]
fn a_head_that_takes_too_long_is_given_up() {
    let start = raw(kind::HEADERS, 1, 1, &fields(&GET));
    let whole = get(1);
    let zero = get(0);
    type Row<'a> = (&'a str, &'a [u8], &'a [u8], &'a [&'a str]);
    let table: [Row<'_>; 6] = [
        ("none", b"", b"", &[]),
        ("a frame of it is missing", &start, b"", &["rst 1 1"]),
        ("part of its first frame is missing", b"", &whole[..20], &["rst 1 1"]),
        ("it is not known yet what comes", b"", &whole[..8], &[]),
        ("something else comes", b"", b"\0\0\x01\0\0\0\0\0\x01", &[]),
        ("of no stream", b"", &zero[..12], &[]),
    ];
    for (name, before, input, expected) in table {
        let (mut connection, _) = fed(ConnectionLimits::default(), &[before]);
        assert_eq!(connection.abandon_head(input), !expected.is_empty(), "{name}");
        let mut out = Vec::new();
        connection.take_control(&mut out);
        assert_eq!(control(&out), expected, "{name}");
        assert!(!connection.abandon_head(input), "{name}, again");
        assert!(!connection.has_control(), "{name}, again");
    }
}

/// HEADERS of a stream that is gone: what was under way is ignored, and nothing else.
#[test]
fn a_late_block_is_ignored_only_of_a_stream_that_was_reset() {
    let late = |reset: bool, id: u32| {
        let (mut connection, _) = fed(ConnectionLimits::default(), &[&post(1), &post(3)]);
        if reset {
            connection.reset(1, ErrorCode::CANCEL);
            connection.take_control(&mut Vec::new());
        }
        connection.release(1);
        let mut seen = Seen::default();
        run(&mut connection, &[&get(id), &get(5)], &mut seen);
        (seen.events, seen.fault)
    };
    assert_eq!(late(true, 1), (vec!["request 5 end".into()], None));
    assert_eq!(late(false, 1), (vec![], Some(ConnectionFault::StreamOrder { stream: 1, last: 3 })));
    // The last stream that was opened is as closed as any before it.
    let (mut connection, mut seen) = fed(ConnectionLimits::default(), &[&get(1)]);
    connection.head(1, EndStream::Yes, &mut Vec::new(), |out| encode::status(out, 204));
    connection.release(1);
    run(&mut connection, &[&get(1)], &mut seen);
    assert_eq!(seen.fault, Some(ConnectionFault::StreamOrder { stream: 1, last: 1 }));
    assert_eq!(late(true, 2), (vec![], Some(ConnectionFault::StreamOrder { stream: 2, last: 3 })));
    // After GOAWAY no stream is opened, and what opens later is not an error.
    let (mut connection, _) = fed(ConnectionLimits::default(), &[&post(1)]);
    connection.go_away(ErrorCode::NO_ERROR);
    connection.take_control(&mut Vec::new());
    let mut seen = Seen::default();
    run(&mut connection, &[&get(3), &get(3), &raw(kind::DATA, 1, 1, b"x")], &mut seen);
    assert_eq!((seen.events, seen.control, seen.fault), (vec!["data 1 1 end".into()], vec![], None));
}

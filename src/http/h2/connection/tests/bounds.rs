//! Windows, GOAWAY, and what a client may cost.

use super::*;

#[test]
fn data_beyond_a_window_is_an_error_of_the_stream_or_of_the_connection() {
    let chunk = raw(0, 0, 1, &[b'x'; 16_384]);
    // Nothing is taken: the windows are not granted again. 65535 bytes may be sent before our settings are
    // acknowledged (§6.9.2).
    let feed = |limits: ConnectionLimits, input: &[u8]| {
        let (mut connection, mut seen) = (greeted(limits), Seen::default());
        let mut at = 0;
        while let Ok(ReadStep::Took { consumed, event }) = connection.receive(&input[at..], 0) {
            at += consumed;
            seen.events.extend(event.as_ref().map(shown));
        }
        let mut out = Vec::new();
        connection.take_control(&mut out);
        control(&out)
    };
    let five = [post(1), chunk.repeat(4)].concat();
    assert_eq!(feed(ConnectionLimits::default(), &five), ["rst 1 3"]);
    assert_eq!(feed(ConnectionLimits { window: 65_535, ..ConnectionLimits::default() }, &five), ["goaway 1 3"]);
    // Acknowledged, ours holds.
    let acked = [raw(4, 1, 0, &[]), post(1), raw(0, 0, 1, &[b'x'; 101])].concat();
    assert_eq!(feed(ConnectionLimits { preread: 100, ..ConnectionLimits::default() }, &acked), ["rst 1 3"]);
    assert_eq!(feed(ConnectionLimits { preread: 101, ..ConnectionLimits::default() }, &acked), Vec::<String>::new());
}

/// §8.1.1: a malformed request is an error of its stream though it is answered, where the client's side is open still.
#[test]
fn the_reset_behind_an_answer_says_whether_the_request_was_malformed() {
    let long = |n| [&POST[..], &[("content-length", n)]].concat();
    let with = |list: &[(&str, &str)], flags| raw(1, flags, 1, &fields(list));
    let bad = [&POST[..], &[("connection", "close")]].concat();
    let trailers = raw(1, END, 1, &fields(&[("x", "y")]));
    let (some, none): (&[&str], &[&str]) = (&["rst 1 1"], &[]);
    let table: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("a body that is not wanted", post(1), &["rst 1 0"]),
        ("a field of HTTP/1", with(&bad, OPEN), some),
        ("and its whole body", [with(&bad, OPEN), raw(0, 1, 1, b"x")].concat(), none),
        ("and no body", with(&bad, END), none),
        ("more than its length", [with(&long("3"), OPEN), raw(0, 0, 1, b"abcd")].concat(), some),
        ("and more of it", [with(&long("3"), OPEN), raw(0, 0, 1, b"abcd").repeat(3)].concat(), some),
        ("and its end", [with(&long("3"), OPEN), raw(0, 0, 1, b"abcd"), raw(0, 1, 1, b"")].concat(), none),
        ("and trailers", [with(&long("3"), OPEN), raw(0, 0, 1, b"abcd"), trailers].concat(), none),
        ("more than its length at the end", [with(&long("3"), OPEN), raw(0, 1, 1, b"abcd")].concat(), none),
        ("a head that is too large", with(&[&POST[..], &[("x", &"y".repeat(9000))]].concat(), OPEN), &["rst 1 0"]),
    ];
    for (name, input, resets) in table {
        let (mut connection, mut seen, mut out) = (greeted(ConnectionLimits::default()), Seen::default(), Vec::new());
        run(&mut connection, &[&input], &mut seen);
        assert_eq!((&seen.fault, &seen.control), (&None, &vec![]), "{name}");
        connection.head(1, EndStream::Yes, &mut out, |out| encode::status(out, 400));
        connection.stop(1, 0, 0);
        connection.stop(1, 0, 0);
        connection.send_stops(100);
        connection.release(1);
        // What was under way meanwhile is ignored.
        let is_open = !resets.is_empty();
        run(&mut connection, &[if is_open { raw(0, 1, 1, b"late") } else { Vec::new() }.as_slice()], &mut seen);
        assert!(seen.fault.is_none() && seen.control == resets, "{name}: {seen:?}");
    }
}

#[test]
fn what_was_taken_is_granted_again_and_a_wide_window_is_kept_wide() {
    let mut connection = greeted(ConnectionLimits { window: 65_536, ..ConnectionLimits::default() });
    let mut seen = Seen::default();
    run(&mut connection, &[&[post(1), raw(0, 0, 1, &[b'x'; 16_384]).repeat(2)].concat()], &mut seen);
    assert_eq!(seen.control, ["grant 1 32768", "grant 0 32768"]);
    connection.widen(1, 1 << 20);
    run(&mut connection, &[&raw(6, 0, 0, &[1; 8])], &mut seen);
    assert_eq!(seen.control.split_off(2), [format!("grant 1 {}", (1 << 20) - 65_535), "pong 1".into()]);
}

#[test]
fn heads_and_data_are_written_into_the_windows() {
    let mut connection = greeted(ConnectionLimits::default());
    let (mut seen, mut out) = (Seen::default(), Vec::new());
    run(&mut connection, &[&[settings(&[(4, 10), (5, 20_000)]), post(1), get(3)].concat()], &mut seen);
    assert_eq!((connection.room(1), connection.max_frame(), connection.room(5)), (10, 20_000, 0));
    connection.head(1, EndStream::No, &mut out, |out| encode::status(out, 200));
    assert_eq!(out, [0, 0, 2, 1, 4, 0, 0, 0, 1, encode::NO_TABLE, 0x88]);
    out.clear();
    assert!(connection.data(1, 10, EndStream::No, &mut out));
    assert_eq!((out.as_slice(), connection.room(1)), (&[0, 0, 10, 0, 0, 0, 0, 0, 1][..], 0));
    // §6.9.2: a smaller initial window makes it negative.
    run(&mut connection, &[&[settings(&[(4, 5)]), window(1, 5)].concat()], &mut seen);
    assert_eq!(connection.room(1), 0);
    run(&mut connection, &[&window(1, 1)], &mut seen);
    assert_eq!(connection.room(1), 1);
    out.clear();
    assert!(connection.data(1, 1, EndStream::Yes, &mut out) && !connection.data(1, 0, EndStream::Yes, &mut out));
    // The client's body is not wanted any more; it may still come.
    connection.stop(1, 0, 0);
    connection.release(1);
    seen.control.clear();
    // A client in the middle of its upload reads the response first: the reset comes when it is time for it.
    run(&mut connection, &[&raw(0, 0, 1, b"late")], &mut seen);
    assert_eq!((&seen.control, connection.stops_at()), (&vec![], Some(100)));
    connection.send_stops(100);
    run(&mut connection, &[&raw(0, 0, 1, b"later")], &mut seen);
    assert_eq!((seen.control, connection.stops_at()), (vec!["rst 1 0".to_owned()], None));
    // A head that ends the stream.
    out.clear();
    connection.head(3, EndStream::Yes, &mut out, |out| encode::status(out, 404));
    assert_eq!(out, [0, 0, 1, 1, 5, 0, 0, 0, 3, 0x8d]);
    connection.stop(3, 0, 0);
    connection.release(3);
    assert!(connection.streams().is_empty() && !connection.has_control());
}

#[test]
fn after_goaway_no_stream_is_taken_and_those_open_go_on() {
    let mut connection = greeted(ConnectionLimits::default());
    let mut seen = Seen::default();
    run(&mut connection, &[&post(1)], &mut seen);
    connection.go_away(ErrorCode::NO_ERROR);
    run(&mut connection, &[&[get(3), raw(0, 0, 3, b"x"), window(3, 1), raw(0, 1, 1, b"y")].concat()], &mut seen);
    assert_eq!(seen.events, ["request 1", "data 1 1 end"]);
    assert_eq!((seen.control, seen.fault), (vec!["goaway 1 0".to_owned()], None));
}

/// Attacks: each ends the connection with ENHANCE_YOUR_CALM after a bounded number of frames, and holds little memory.
#[test]
fn floods_end_the_connection_and_their_memory_is_bounded() {
    let rapid: fn(u32) -> Vec<u8> = |n| [get(2 * n + 1), reset(2 * n + 1)].concat();
    let made: fn(u32) -> Vec<u8> = |n| [get(2 * n + 1), window(2 * n + 1, 0)].concat();
    let refused: fn(u32) -> Vec<u8> = |n| get(2 * n + 1);
    let continued: fn(u32) -> Vec<u8> = |n| if n == 0 { raw(1, 1, 1, &[]) } else { raw(9, 0, 1, b"") };
    type Row = (&'static str, fn(u32) -> Vec<u8>, u32, ConnectionFault);
    let table: [Row; 11] = [
        ("rapid reset", rapid, 201, ConnectionFault::TooManyResets),
        ("made you reset", made, 201, ConnectionFault::TooManyResets),
        ("refused streams", refused, 329, ConnectionFault::TooManyRefused),
        ("CONTINUATION", continued, 21, ConnectionFault::TooManyContinuations { limit: 20 }),
        ("PING", |_| raw(6, 0, 0, &[0; 8]), 1000, ConnectionFault::Flood),
        ("SETTINGS", |_| settings(&[(4, 1), (4, 9)]), 1000, ConnectionFault::Flood),
        ("empty DATA", |n| if n == 0 { post(1) } else { raw(0, 0, 1, b"") }, 1002, ConnectionFault::Flood),
        ("padding", |n| if n == 0 { post(1) } else { raw(0, 8, 1, &[1, 0]) }, 1002, ConnectionFault::Flood),
        ("PRIORITY", |n| raw(2, 0, 2 * n + 1, &[0; 5]), 1000, ConnectionFault::Flood),
        ("unknown frames", |_| raw(0x44, 0, 0, b""), 1000, ConnectionFault::Flood),
        ("window updates", |_| window(0, 1), 1000, ConnectionFault::Flood),
    ];
    for (name, frame, most, fault) in table {
        let mut connection = greeted(ConnectionLimits::default());
        let mut seen = Seen::default();
        let mut sent = 0;
        while seen.fault.is_none() {
            assert!(sent < most, "{name}: no end after {sent}");
            run(&mut connection, &[&frame(sent)], &mut seen);
            // The driver gives up what was reset.
            let gone: Vec<u32> = connection.streams().iter().filter(|s| s.is_reset).map(|s| s.id).collect();
            gone.into_iter().for_each(|id| connection.release(id));
            sent += 1;
        }
        assert_eq!((seen.fault, sent), (Some(fault), most), "{name}");
        assert_eq!(fault.code(), ErrorCode::ENHANCE_YOUR_CALM);
        assert!(connection.memory() < 64 * 1024, "{name}: {} bytes", connection.memory());
    }
}

/// A client that was noisy may still say farewell.
#[test]
fn a_first_goaway_costs_nothing_and_a_second_one_does() {
    let mut connection = greeted(ConnectionLimits::default());
    let (mut seen, goaway) = (Seen::default(), raw(kind::GOAWAY, 0, 0, &[0; 8]));
    // All that is left behind the SETTINGS of its greeting.
    run(&mut connection, &[&raw(0x44, 0, 0, b"").repeat(999)], &mut seen);
    run(&mut connection, &[&goaway], &mut seen);
    assert_eq!((seen.fault, seen.events.last().map(String::as_str)), (None, Some("goaway 0")));
    run(&mut connection, &[&goaway], &mut seen);
    assert_eq!(seen.fault, Some(ConnectionFault::Flood));
}

#[test]
fn a_reset_stream_keeps_its_place_until_its_work_is_given_up() {
    let mut connection = greeted(ConnectionLimits { streams: 2, ..ConnectionLimits::default() });
    let mut seen = Seen::default();
    run(&mut connection, &[&[get(1), reset(1), get(3), reset(3), get(5)].concat()], &mut seen);
    assert_eq!(seen.events.last().map(String::as_str), Some("failed 5 7"));
    connection.release(1);
    run(&mut connection, &[&get(7)], &mut seen);
    assert_eq!(seen.events.last().map(String::as_str), Some("request 7 end"));
}

#[test]
fn nothing_is_read_while_control_output_waits() {
    let mut connection = greeted(ConnectionLimits::default());
    let pings = raw(6, 0, 0, &[0; 8]).repeat(900);
    let (mut at, mut rounds) = (0, 0);
    loop {
        match connection.receive(&pings[at..], 0) {
            Ok(ReadStep::Took { consumed, .. }) => at += consumed,
            Ok(ReadStep::Blocked) => {
                assert!(connection.memory() < 32 * 1024);
                connection.take_control(&mut Vec::new());
                rounds += 1;
            }
            other => {
                assert_eq!(other, Ok(ReadStep::More));
                break;
            }
        }
    }
    assert_eq!((at, rounds), (pings.len(), 900 * 17 / CONTROL));
}

#[test]
fn a_header_block_is_bounded_before_and_after_expansion() {
    let limits = ConnectionLimits { bounds: Bounds { total: 140, fields: 6 }, ..ConnectionLimits::default() };
    let many = |extra: &[(&str, &str)]| raw(1, END, 1, &fields(&[&GET[..], extra].concat()));
    let long = "x".repeat(101);
    let table = [
        ("as many as allowed", many(&[("a", "b"), ("c", "d")]), "request 1 end"),
        ("one more", many(&[("a", "b"), ("c", "d"), ("e", "f")]), "request 1 end 494"),
        ("a long one", many(&[("a", &long)]), "request 1 end 431"),
    ];
    for (name, input, text) in table {
        let mut seen = Seen::default();
        run(&mut greeted(limits), &[&input], &mut seen);
        assert_eq!(seen.events, [text], "{name}");
    }
    // Compressed: what 20 frames could hold is not gathered.
    let mut seen = Seen::default();
    let block = [raw(1, 1, 1, &[0; 16_384]), raw(9, 0, 1, &[0; 16_384])].concat();
    run(&mut greeted(limits), &[&block], &mut seen);
    assert_eq!(seen.fault, Some(ConnectionFault::HeaderBlockTooLong { limit: 16_384 }));
    let bad = ConnectionFault::Compression(HpackError::Truncated);
    assert_eq!((bad.code().0, ConnectionFault::Flood.code().0), (9, 11));
}

#[test]
fn an_idle_connection_is_small() {
    let mut connection = greeted(ConnectionLimits::default());
    let mut seen = Seen::default();
    let agent = [&GET[..], &[("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"), ("accept", "*/*")]];
    run(&mut connection, &[&raw(1, END, 1, &fields(&agent.concat()))], &mut seen);
    connection.head(1, EndStream::Yes, &mut Vec::new(), |out| encode::status(out, 204));
    connection.release(1);
    connection.shrink();
    let size = size_of::<Connection>() + connection.memory();
    assert!(size <= 2048, "{size}");
}

#[test]
fn a_client_may_update_both_windows_for_each_frame_of_a_large_response() {
    let mut connection = greeted(ConnectionLimits::default());
    let mut seen = Seen::default();
    run(&mut connection, &[&get(1), &window(0, 1 << 29), &window(1, 1 << 29)], &mut seen);
    let updates = [window(0, 8192), window(1, 8192)].concat().repeat(4);
    let mut out = Vec::new();
    for at in 0..2000 {
        // What lay in the buffers of a client is taken at once.
        let updates = if at % 500 == 499 { updates.repeat(500) } else { Vec::new() };
        out.clear();
        let append = |out: &mut Vec<u8>| {
            out.extend_from_slice(&[b'x'; 4 * (HEADER_LEN + 8192)]);
            4 * 8192
        };
        assert_eq!(connection.data_from(1, (usize::MAX, 8192), &mut out, append), 4 * 8192);
        let frames = out.chunks(HEADER_LEN + 8192).filter_map(FrameHeader::parse);
        assert_eq!(frames.filter(|frame| (frame.kind, frame.len, frame.stream) == (kind::DATA, 8192, 1)).count(), 4);
        run(&mut connection, &[&updates], &mut seen);
        assert_eq!(seen.fault, None, "{at}");
    }
}

#[test]
fn two_updates_are_earned_by_each_frame_while_the_windows_are_open() {
    // Which windows are open wide: 0 is the connection's.
    let table: [(&str, &[u32], usize, usize, u64); 6] = [
        ("one frame", &[0, 1], 1, 100, 2),
        ("three at once", &[0, 1], 3, 30_000, 6),
        ("the window is full", &[], 4, 65_535, 0),
        ("the stream's is full", &[0], 4, 65_535, 0),
        ("the connection's is full", &[1], 4, 65_535, 0),
        ("a byte is left", &[], 4, 65_534, 8),
    ];
    for (name, wide, frames, len, expected) in table {
        let mut connection = greeted(ConnectionLimits::default());
        let opened: Vec<u8> = wide.iter().flat_map(|stream| window(*stream, 1 << 20)).collect();
        run(&mut connection, &[&get(1), &opened], &mut Seen::default());
        connection.data_sent(1, len, frames);
        assert_eq!(connection.updates, expected, "{name}");
        run(&mut connection, &[&window(0, 1)], &mut Seen::default());
        assert_eq!(connection.updates, u64::saturating_sub(expected, 1), "{name}: one was used");
    }
}

#[test]
fn only_the_first_header_block_of_a_connection_says_that_there_is_no_table() {
    let begins = |connection: &mut Connection, id| {
        let mut out = Vec::new();
        connection.head(id, EndStream::Yes, &mut out, |out| encode::status(out, 204));
        out.get(HEADER_LEN) == Some(&encode::NO_TABLE)
    };
    for is_written_by_caller in [false, true] {
        let mut connection = greeted(ConnectionLimits::default());
        run(&mut connection, &[&[get(1), get(3)].concat()], &mut Seen::default());
        assert!(connection.is_before_first_block());
        if is_written_by_caller {
            connection.first_block_sent();
            assert!(!connection.is_before_first_block());
        }
        assert_eq!([begins(&mut connection, 1), begins(&mut connection, 3)], [!is_written_by_caller, false]);
        assert!(!connection.is_before_first_block());
    }
}

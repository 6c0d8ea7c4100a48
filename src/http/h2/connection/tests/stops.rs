//! Clients that send on though they are answered.

use super::*;

/// Answers the stream before its body has come.
fn refuse(connection: &mut Connection, id: u32, now: u64) {
    connection.head(id, EndStream::Yes, &mut Vec::new(), |out| encode::status(out, 413));
    connection.stop(id, 0, now);
    connection.release(id);
}

fn sent(connection: &mut Connection) -> Vec<String> {
    let mut out = Vec::new();
    connection.take_control(&mut out);
    control(&out)
}

/// curl 7.88 takes a reset for the answer that it finds in the same read.
#[test]
fn each_reset_has_its_time_behind_its_own_response() {
    for ends in [false, true] {
        let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
        run(&mut connection, &[&[post(1), post(3)].concat()], &mut seen);
        refuse(&mut connection, 1, 0);
        if ends {
            run(&mut connection, &[&raw(0, 1, 1, b"x")], &mut seen);
        }
        refuse(&mut connection, 3, 95);
        connection.send_stops(100);
        assert_eq!(sent(&mut connection), if ends { vec![] } else { vec!["rst 1 0"] });
        assert_eq!(connection.stops_at(), Some(195));
        connection.send_stops(194);
        assert_eq!(sent(&mut connection), Vec::<String>::new());
        connection.send_stops(195);
        assert_eq!((sent(&mut connection), connection.stops_at()), (vec!["rst 3 0".to_owned()], None));
        assert_eq!((seen.control, seen.fault), (vec![], None));
    }
}

#[test]
fn as_many_refused_uploads_as_there_may_be_end_no_connection() {
    let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
    let ids: Vec<u32> = (0..128).map(|n| 2 * n + 1).collect();
    ids.iter().for_each(|id| run(&mut connection, &[&post(*id)], &mut seen));
    ids.iter().for_each(|id| refuse(&mut connection, *id, 0));
    let resets = connection.resets;
    let data: Vec<u8> = ids.iter().flat_map(|id| raw(0, 0, *id, b"more")).collect();
    // Before they are asked, and while the resets are under way.
    run(&mut connection, &[&data], &mut seen);
    connection.send_stops(100);
    assert_eq!(sent(&mut connection).len(), 128);
    run(&mut connection, &[&data, &data], &mut seen);
    assert_eq!((seen.control, seen.fault, connection.resets), (vec![], None, resets));
}

#[test]
fn clients_that_are_yet_to_be_told_to_stop_are_bounded() {
    let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
    let before = connection.memory();
    for n in 0..1000 {
        run(&mut connection, &[&post(2 * n + 1)], &mut seen);
        refuse(&mut connection, 2 * n + 1, 0);
        let due = n.checked_sub(128).map(|n| format!("rst {} 0", 2 * n + 1));
        assert_eq!(sent(&mut connection), Vec::from_iter(due), "{n}");
    }
    let held = connection.memory() - before;
    assert!((128 * 12..16_384).contains(&held), "{held} bytes");
}

/// What is thrown away behind a response goes on when no further streams are taken.
#[test]
fn a_connection_that_goes_away_has_gone_once_its_clients_were_told_to_stop() {
    for goes_first in [false, true] {
        let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
        run(&mut connection, &[&post(1)], &mut seen);
        if goes_first {
            connection.go_away(ErrorCode::NO_ERROR);
        }
        refuse(&mut connection, 1, 0);
        connection.go_away(ErrorCode::NO_ERROR);
        assert_eq!((sent(&mut connection), connection.has_gone_away()), (vec!["goaway 1 0".to_owned()], false));
        connection.send_stops(100);
        assert_eq!((sent(&mut connection), connection.has_gone_away()), (vec!["rst 1 0".to_owned()], true));
    }
}

#[test]
fn a_body_behind_its_response_that_is_not_as_announced_is_an_error() {
    let of = |bytes: &str| raw(1, OPEN, 1, &fields(&[&POST[..], &[("content-length", bytes)]].concat()));
    let data = |flags, len: usize| raw(0, flags, 1, &vec![b'x'; len]);
    let trailers = raw(1, END, 1, &fields(&[("x", "y")]));
    // 65 536 bytes, and the window of a client that does not know yet that it was widened has 65 535.
    let window = data(0, 16_384).repeat(4);
    let table = [
        ("as long as announced", of("10"), 30_000, data(1, 10), None),
        ("in two", of("10"), 30_000, [data(0, 4), data(1, 6)].concat(), None),
        ("longer", of("10"), 30_000, data(0, 11), Some("rst 1 1")),
        ("longer in two", of("10"), 30_000, [data(0, 10), data(0, 1)].concat(), Some("rst 1 1")),
        ("shorter", of("10"), 30_000, data(1, 9), Some("rst 1 1")),
        ("shorter, and trailers", of("10"), 30_000, [data(0, 9), trailers.clone()].concat(), Some("rst 1 1")),
        ("as long, and trailers", of("10"), 30_000, [data(0, 10), trailers].concat(), None),
        ("padding is no content", of("4"), 30_000, raw(0, 9, 1, &[4, b'a', b'b', b'c', b'd', 0, 0, 0, 0]), None),
        ("beyond the window", post(1), 0, window.clone(), Some("rst 1 3")),
        ("within the one that was widened", post(1), 30_000, [window, data(1, 0)].concat(), None),
    ];
    for (name, request, patience, sends, reset) in table {
        let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
        run(&mut connection, &[&request], &mut seen);
        refuse_gently(&mut connection, 1, patience);
        _ = sent(&mut connection);
        run(&mut connection, &[&sends], &mut seen);
        let resets: Vec<&str> =
            seen.control.iter().map(String::as_str).filter(|line| line.starts_with("rst")).collect();
        assert_eq!((resets, seen.fault, connection.stops_at()), (Vec::from_iter(reset), None, None), "{name}");
    }
}

/// §6.9, §6.9.1: nothing is sent into the window of a stream that is answered; what is wrong with it is an error all
/// the same.
#[test]
fn a_window_behind_a_response_is_judged() {
    let most = window(1, 0x7fff_ffff);
    let table = [
        ("an update", window(1, 1), None),
        ("of nothing", window(1, 0), Some("rst 1 1")),
        ("beyond 2^31-1", most.clone(), Some("rst 1 3")),
        ("beyond 2^31-1 by two", [window(1, 0x7fff_0000), window(1, 1)].concat(), Some("rst 1 3")),
        ("all there is behind a smaller initial one", [settings(&[(4, 0)]), most.clone()].concat(), None),
        ("and more behind a larger one", [settings(&[(4, 65_536)]), window(1, 0x7fff_0000)].concat(), Some("rst 1 3")),
    ];
    for (name, sends, reset) in table {
        let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
        run(&mut connection, &[&post(1)], &mut seen);
        refuse(&mut connection, 1, 0);
        run(&mut connection, &[&sends], &mut seen);
        let resets: Vec<&str> =
            seen.control.iter().map(String::as_str).filter(|line| line.starts_with("rst")).collect();
        assert_eq!((resets, seen.fault), (Vec::from_iter(reset), None), "{name}");
        assert_eq!(connection.stops_at().is_none(), reset.is_some(), "{name}");
    }
}

#[test]
fn what_is_no_trailer_section_behind_a_response_resets_the_stream() {
    let block = |flags, list: &[(&str, &str)]| raw(1, flags, 1, &fields(list));
    let long = "y".repeat(9000);
    for (name, late) in [
        ("8.1: it does not end the stream", block(OPEN, &[("x", "y")])),
        ("8.1: a pseudo-header field", block(END, &[(":path", "/")])),
        ("8.1: a field that frames", block(END, &[("content-length", "1")])),
        ("some would be left out", block(END, &[("x", &long)])),
    ] {
        let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
        run(&mut connection, &[&post(1)], &mut seen);
        refuse(&mut connection, 1, 0);
        run(&mut connection, &[&late], &mut seen);
        connection.send_stops(100);
        let control: Vec<String> = seen.control.iter().cloned().chain(sent(&mut connection)).collect();
        assert_eq!((control, seen.fault), (vec!["rst 1 1".to_owned()], None), "{name}");
    }
}

#[test]
fn a_client_that_ends_its_side_is_not_told_to_stop() {
    let trailers = raw(1, END, 1, &fields(&[("x", "y")]));
    let data = |flags, payload: &[u8]| raw(0, flags, 1, payload);
    let whole = data(1, b"abcd");
    // What has come when the response is sent, and what comes then.
    type Row<'a> = (&'a str, &'a [u8], Vec<u8>, &'a [&'a str]);
    let table: Vec<Row<'_>> = vec![
        ("nothing", b"", vec![], &["rst 1 0"]),
        ("more DATA", b"", data(0, b"x"), &["rst 1 0"]),
        ("the last DATA", b"", data(1, b"x"), &[]),
        ("its end alone", b"", data(1, b""), &[]),
        ("padded", b"", data(9, &[2, b'x', 0, 0]), &[]),
        ("trailers", b"", trailers.clone(), &[]),
        ("trailers behind DATA", b"", [data(0, b"x"), trailers].concat(), &[]),
        ("trailers in pieces", b"", [raw(1, 1, 1, &fields(&[("x", "y")])), raw(9, 4, 1, b"")].concat(), &[]),
        ("a reset", b"", reset(1), &[]),
        ("the rest of the last frame", &whole[..10], whole[10..].to_vec(), &[]),
    ];
    for (name, before, after, resets) in table {
        for cut in 0..=after.len() {
            let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
            run(&mut connection, &[&[&post(1), before].concat()], &mut seen);
            refuse(&mut connection, 1, 0);
            let budget = connection.idle_frames;
            run(&mut connection, &[&after[..cut], &after[cut..]], &mut seen);
            assert!(connection.idle_frames == budget || name == "a reset", "{name}: it counts as a flood");
            connection.send_stops(100);
            assert_eq!(
                (sent(&mut connection), &seen.control, seen.fault),
                (resets.iter().map(|reset| (*reset).to_owned()).collect(), &vec![], None,),
                "{name}"
            );
        }
    }
}

/// A block on such a stream that does not come to its end is an error of the stream, which is reset once.
#[test]
fn trailers_that_are_late_reset_a_stream_once() {
    let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
    run(&mut connection, &[&post(1)], &mut seen);
    refuse(&mut connection, 1, 0);
    let begun = &raw(1, END, 1, &fields(&[("x", "y")]))[..10];
    assert!(connection.abandon_head(begun));
    connection.send_stops(100);
    assert_eq!(sent(&mut connection), ["rst 1 1"]);
    assert!(!connection.abandon_head(begun));
}

/// As `refuse`, and what is sent on is taken for that many milliseconds.
fn refuse_gently(connection: &mut Connection, id: u32, patience: u64) {
    connection.head(id, EndStream::Yes, &mut Vec::new(), |out| encode::status(out, 413));
    connection.stop(id, patience, 0);
    connection.release(id);
}

/// Java's client and httpx read a response only once their body is sent: they would wait for its window for ever.
#[test]
fn a_client_that_sends_its_body_first_is_granted_windows_behind_the_response() {
    let wide = format!("grant 1 {}", (1 << 20) - 65_535);
    let full: Vec<u8> =
        [16_384, 16_384, 16_384, 16_383].iter().flat_map(|len| raw(0, 0, 1, &vec![b'x'; *len])).collect();
    let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
    run(&mut connection, &[&post(1)], &mut seen);
    refuse_gently(&mut connection, 1, 30_000);
    run(&mut connection, &[&full], &mut seen);
    assert_eq!((&seen.control, seen.fault), (&vec![wide], None));
    // The rest of it, and its end.
    let some = raw(0, 0, 1, &[b'x'; 16_384]);
    run(&mut connection, &[&some.repeat(40), &raw(0, 1, 1, b"end")], &mut seen);
    let grants = |of: &str| seen.control.iter().filter(|line| line.starts_with(of)).count();
    assert_eq!((grants("grant 1"), grants("rst"), seen.fault, connection.stops_at()), (2, 0, None, None));
}

/// A client that has used its window up reads of the wider one before it sends on.
#[test]
fn a_client_that_waits_for_its_window_has_a_second_to_go_on() {
    for (patience, due) in [(30_000, 1000), (300, 300), (0, 100)] {
        let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
        run(&mut connection, &[&post(1)], &mut seen);
        for len in [16_384, 16_384, 16_384, 16_383] {
            let data = raw(0, 0, 1, &vec![b'x'; len]);
            // Not consumed: nothing is granted again.
            let (mut at, mut events) = (0, 0);
            while let Ok(ReadStep::Took { consumed, event }) = connection.receive(&data[at..], 0) {
                (at, events) = (at + consumed, events + usize::from(event.is_some()));
            }
            assert_eq!((at, events), (data.len(), 1));
        }
        refuse_gently(&mut connection, 1, patience);
        assert_eq!(connection.stops_at(), Some(due), "{patience}");
    }
}

#[test]
fn a_client_that_does_not_end_its_body_is_stopped_by_time_silence_and_size() {
    let length = |bytes: &str| raw(1, OPEN, 1, &fields(&[&POST[..], &[("content-length", bytes)]].concat()));
    let some = raw(0, 0, 1, &[b'x'; 16_384]);
    // What it announces, for how long it is heard, what it sends at 50 ms, and when it is stopped.
    let table = [
        ("nothing more comes", post(1), 30_000, 0, 100),
        ("it goes silent", post(1), 30_000, 1, 1050),
        ("not for as long as that", post(1), 300, 1, 300),
        ("not at all", post(1), 0, 1, 100),
        ("a length that is taken", length("67108864"), 30_000, 1, 1050),
        ("a length that is too much", length("67108865"), 30_000, 1, 100),
        ("too much of it", post(1), 30_000, 4096, 50),
    ];
    for (name, request, patience, frames, due) in table {
        let (mut connection, mut seen) = (greeted(ConnectionLimits::default()), Seen::default());
        run(&mut connection, &[&request], &mut seen);
        refuse_gently(&mut connection, 1, patience);
        _ = sent(&mut connection);
        for _ in 0..frames {
            let mut at = 0;
            while at < some.len() {
                match connection.receive(&some[at..], 50) {
                    Ok(ReadStep::Took { consumed, event: None }) => at += consumed,
                    other => panic!("{name}: {other:?}"),
                }
                connection.check_invariants();
            }
            _ = sent(&mut connection);
        }
        assert_eq!(connection.stops_at(), Some(due), "{name}");
        connection.send_stops(due);
        assert_eq!(sent(&mut connection), ["rst 1 0"], "{name}");
    }
}

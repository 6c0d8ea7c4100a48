//! Clients that send on though they are answered.

use super::*;

/// Answers the stream before its body has come.
fn refuse(connection: &mut Connection, id: u32, now: u64) {
    connection.head(id, true, &mut Vec::new(), |out| encode::status(out, 413));
    connection.stop(id, now);
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
        let (mut connection, mut seen) = (greeted(Limits::default()), Seen::default());
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
    let (mut connection, mut seen) = (greeted(Limits::default()), Seen::default());
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
    let (mut connection, mut seen) = (greeted(Limits::default()), Seen::default());
    let before = connection.memory();
    for n in 0..1000 {
        run(&mut connection, &[&post(2 * n + 1)], &mut seen);
        refuse(&mut connection, 2 * n + 1, 0);
        let due = n.checked_sub(128).map(|n| format!("rst {} 0", 2 * n + 1));
        assert_eq!(sent(&mut connection), Vec::from_iter(due), "{n}");
    }
    let held = connection.memory() - before;
    assert!((128 * 12..8192).contains(&held), "{held} bytes");
    connection.go_away(ErrorCode::NO_ERROR);
    assert_eq!((sent(&mut connection).len(), connection.stops_at()), (129, None));
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
            let (mut connection, mut seen) = (greeted(Limits::default()), Seen::default());
            run(&mut connection, &[&[&post(1), before].concat()], &mut seen);
            refuse(&mut connection, 1, 0);
            let calm = connection.calm;
            run(&mut connection, &[&after[..cut], &after[cut..]], &mut seen);
            assert!(connection.calm == calm || name == "a reset", "{name}: it counts as a flood");
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
    let (mut connection, mut seen) = (greeted(Limits::default()), Seen::default());
    run(&mut connection, &[&post(1)], &mut seen);
    refuse(&mut connection, 1, 0);
    let begun = &raw(1, END, 1, &fields(&[("x", "y")]))[..10];
    assert!(connection.abandon_head(begun));
    connection.send_stops(100);
    assert_eq!(sent(&mut connection), ["rst 1 1"]);
    assert!(!connection.abandon_head(begun));
}

//! How a body that is made step by step ends on a stream.

use super::*;
use crate::conn::http2::stream::{Ending, Grant, StreamTransport};
use crate::conn::transport::Transport;
use crate::exchange::body_encoder::Source;
use crate::exchange::{Client, Exchange};
use crate::http::fields::Fields;

/// The end needs no window (RFC 9113 §6.9.1): it was held back until a WINDOW_UPDATE came.
#[test]
fn a_body_whose_last_step_makes_nothing_ends_though_its_window_is_used_up() {
    // Bytes that the window takes, steps of four bytes, steps that the turn has time for, whether the end comes in the
    // first turn, in the second, and the bytes sent.
    let table = [
        (8, 2, None, [true, true], 8),
        (9, 2, None, [true, true], 8),
        (7, 2, None, [false, false], 7),
        (8, 3, None, [false, false], 8),
        // Nothing is made for a client that takes nothing.
        (0, 0, None, [false, false], 0),
        (8, 2, Some(2), [false, true], 8),
    ];
    for (room, count, time, ends, sent) in table {
        let case = format!("{room} {count} {time:?}");
        let mut world = World::of("");
        let cx = &mut world.cx;
        let client = Client::of_no_connection(Peer::UNIX, EndpointId(0), 0, false);
        let mut ex = Exchange::new(cx, client);
        let mut left = count;
        let steps = move |out: &mut Vec<u8>| {
            let has_more = left > 0;
            if has_more {
                out.extend_from_slice(b"abcd");
                left -= 1;
            }
            has_more
        };
        ex.out.use_frames();
        ex.out.push_made(Box::new(Source::steps(Box::new(steps))));
        ex.out.end(&Fields::default());
        let mut transport = Transport::Stream(Box::new(StreamTransport::new(Key::new(0, 0), 1, None)));
        let (mut total, mut room) = (0, room);
        for (turn, ends) in ends.into_iter().enumerate() {
            let World { cx, pool, endpoints, .. } = &mut world;
            cx.slice.steps = time.filter(|_| turn == 0);
            let mut out = Vec::new();
            let grant = Grant { room, chunk: 1 << 14, max_frame: 1 << 14, is_first: false };
            transport.stream_mut().expect("a stream").begin(&mut out, grant);
            let mut deadline = Deadline::new(Timer::Send, 0);
            let mut io = Io { transport: &mut transport, deadline: &mut deadline };
            let wake = Wake::conn(Key::new(0, 0));
            let mut turn = Turn { cx, pool, endpoints, budget: Budget::default(), wake };
            let flushed = write::flush(&mut io, &mut ex, &mut turn);
            let stream = transport.stream_mut().expect("a stream");
            stream.end(&mut out);
            room -= stream.written;
            total += stream.written;
            assert_eq!(matches!(stream.ending, Ending::Complete(_)), ends, "{case}");
            assert_eq!(matches!(flushed, write::Flushed::All), ends, "{case}");
            assert_eq!(matches!(flushed, write::Flushed::Yield), time.is_some() && !ends, "{case}");
        }
        assert_eq!(total, sent, "{case}");
    }
}

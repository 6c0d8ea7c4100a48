//! What a request of HTTP/1 knows of the one before it on its connection, or of what is read behind it.

use super::*;
use crate::services::slice::Slice;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// What stands at the end of the heads of all answers, in order.
fn ask(world: &mut World, conn: &mut Conn, far: &mut UnixStream, asked: &[&str]) -> Vec<String> {
    let answers = world.answers(conn, far, asked);
    world.pool.send_batch.clear();
    answers.lines().filter_map(|line| line.strip_prefix("Pipe: ")).map(str::to_owned).collect()
}

#[test]
fn only_a_request_that_was_read_behind_another_is_pipelined() {
    let mut world = World::in_root_of("access_log off;", "location /pipe { add_header Pipe $pipe; return 200; }");
    world.dir.write("g", b"another");
    // Twice, so that it is answered by the cache from now on.
    for _ in 0..2 {
        let (mut conn, mut far) = world.client(true);
        world.answers(&mut conn, &mut far, &["/g"]);
    }
    let cached = get("/g");
    let hash = world.cx.response_cache.hash(EndpointId(0), cached.as_bytes());
    assert!(world.cx.response_cache.find(hash, EndpointId(0), cached.as_bytes()).is_some());
    let (mut conn, mut far) = world.client(true);
    let table = [
        ("the first", &["/pipe"][..], &["."][..]),
        ("two at once", &["/pipe", "/pipe"], &[".", "p"]),
        ("alone, with the exchange of a pipelined one", &["/pipe"], &["."]),
        ("behind a cached answer", &["/g", "/pipe"], &["p"]),
        ("behind two of them", &["/g", "/g", "/pipe", "/pipe"], &["p", "p"]),
        ("alone, behind a cached answer that was read before", &["/g"], &[]),
        ("and then", &["/pipe"], &["."]),
    ];
    for (name, asked, expected) in table {
        assert_eq!(ask(&mut world, &mut conn, &mut far, asked), expected, "{name}");
    }
    assert_eq!(world.pool.free_http1.len(), 1, "all had the same");
}

#[test]
fn a_connection_waits_for_its_next_request_as_the_location_says_that_answered_last() {
    let locations = "keepalive_timeout 70s; location /a { keepalive_timeout 7s; return 200; } \
        location /b { keepalive_timeout 9s; return 200; }";
    for (name, asked, seconds) in [("one", "/a", 7), ("another", "/b", 9), ("the server", "/g", 70)] {
        // Whether more seems to have come when the response is out.
        for seems_to_go_on in [false, true] {
            let mut world = World::in_root_of("access_log off;", locations);
            world.dir.write("g", b"another");
            let (mut conn, mut far) = world.client(true);
            far.write_all(format!("{}{}", get("/g"), get(asked)).as_bytes()).expect("there is room");
            conn.transport.event(epoll::IN);
            let held = world.drive_within(&mut conn, Budget { batch: true, ..Budget::default() });
            assert_eq!(held, Next::Send, "{name}");
            if seems_to_go_on {
                conn.transport.event(epoll::IN);
            }
            assert_eq!(world.drive_once(&mut conn), Next::Wait, "{name}");
            assert!(conn.is_idle(), "{name}");
            let expected = Deadline::new(Timer::KeepAlive, world.cx.now.ms + seconds * 1000);
            assert_eq!((conn.deadline.timer(), conn.deadline.at()), (Timer::KeepAlive, expected.at()), "{name}");
        }
    }
}

/// All that was read counted: each of many short requests read the clock.
#[test]
fn a_short_head_does_not_count_as_long_for_what_was_read_behind_it() {
    let long = "x".repeat(5000);
    let table = [
        ("a long head", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), Next::Run),
        ("a body", format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n{long}"), Next::Wait),
        ("nothing", get("/"), Next::Wait),
    ];
    for (name, asked, expected) in table {
        let mut world = World::in_root_of("access_log off;", "return 200 here;");
        let (mut conn, mut far) = world.client(true);
        far.write_all(asked.as_bytes()).expect("there is room");
        conn.transport.event(epoll::IN);
        // No time is left, which is seen where the clock is read.
        world.cx.slice = Slice::over();
        assert_eq!(world.drive_once(&mut conn), expected, "{name}");
        let _ = world.drive_once(&mut conn);
        let mut bytes = [0; 4096];
        let len = far.read(&mut bytes).expect("an answer");
        assert!(bytes[..len].ends_with(b"here"), "{name}");
    }
}

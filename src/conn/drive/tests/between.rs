//! What a request of HTTP/1 knows of the one before it on its connection, or of what is read behind it.

use super::*;
use crate::services::slice::Slice;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
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

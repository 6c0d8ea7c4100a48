//! A panic at each kind of dispatch: others are served, and one line is logged.

use crate::server::test_world::{World, read};
use crate::sys::process;
use crate::util::inject;
use std::io::Write;

#[test]
fn a_panic_costs_one_connection_or_one_reload() {
    const GET: &str = "GET /f HTTP/1.1\r\nHost: a\r\n\r\n";
    type Act = fn(&mut World);
    let table: [(&str, Act); 10] = [
        ("event", |world| {
            let mut client = world.client(GET);
            assert!(read(&mut client).ends_with("content"), "accepted, which is not an event of its own");
            client.write_all(GET.as_bytes()).expect("its connection is open");
            world.turns();
            assert_eq!(read(&mut client), "", "its connection is closed");
        }),
        ("request", |world| {
            let mut client = world.client(GET);
            assert_eq!(read(&mut client), "", "its connection is closed");
        }),
        ("timeout", |world| {
            let _client = world.client("GET /f HT");
            world.server.cx.now.jump(20_000);
            world.turns();
        }),
        ("sweep", World::turns),
        ("timer", World::turns),
        ("end of a turn", World::turns),
        ("close", |world| {
            drop(world.client(GET));
            world.turns();
        }),
        ("signal", |world| {
            world.server.signals.inject(process::SIGWINCH);
            world.server.handle_signals();
        }),
        ("accept", |world| {
            let mut client = world.client(GET);
            let mut next = world.client(GET);
            assert!(read(&mut next).ends_with("content") && read(&mut client).ends_with("content"), "none is lost");
        }),
        ("reload", |world| {
            world.server.protected("a reload", |_| inject::panic_point("reload"));
        }),
    ];
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        if !info.to_string().contains("asked for by a test") {
            eprintln!("{info}");
        }
    }));
    for (place, act) in table {
        let mut world = World::new();
        let mut other = world.client(GET);
        assert!(read(&mut other).ends_with("content"), "{place}: before");
        // Handle the events that this caused first.
        world.turns();
        inject::arm(place);
        act(&mut world);
        assert!(!inject::is_armed(), "{place}: nothing panicked");
        assert_eq!(world.alerts(), 1, "{place}");
        other.write_all(GET.as_bytes()).expect("its connection is open");
        world.turns();
        assert!(read(&mut other).ends_with("content"), "{place}: a connection that has nothing to do with it");
        let mut fresh = world.client(GET);
        assert!(read(&mut fresh).ends_with("content"), "{place}: afterwards");
    }
    std::panic::set_hook(hook);
}

//! A panic at each kind of dispatch: others are served, and one line is logged.

use crate::config::build::Form;
use crate::config::load::{LoadOptions, load_text};
use crate::config::resolve::resolve;
use crate::server::Server;
use crate::server::listeners::Listeners;
use crate::server::signals::Signals;
use crate::services::Services;
use crate::services::logs::Logs;
use crate::sys::process;
use crate::sys::scratch::Scratch;
use crate::util::inject;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

struct World {
    dir: Scratch,
    server: Server,
}

impl World {
    fn new() -> World {
        let dir = Scratch::new();
        dir.write("f", b"content");
        let path = dir.path().display();
        let text = format!(
            "error_log {path}/errors; events {{}} http {{ access_log off; client_header_timeout 10s; client_body_timeout 10s;
             server {{ listen unix:{path}/socket; root {path}; limit_rate_after 1; dav_methods PUT; }} }}"
        );
        let mut loaded = load_text("panics.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = resolve(&mut loaded, dir.path(), Form::Webserv, Vec::new(), None);
        let config = resolved.config.expect("the configuration is right");
        let mut logs = Logs::new();
        logs.open(&config).expect("the directory may be written to");
        let mut listeners = Listeners::default();
        listeners.assume(&config).expect("a free path");
        let cx = Services::new(Rc::new(config), logs);
        let server = Server::new(cx, listeners, Signals::none()).expect("epoll");
        World { dir, server }
    }

    fn client(&mut self, bytes: &str) -> UnixStream {
        let mut client = UnixStream::connect(self.dir.path().join("socket")).expect("it listens");
        client.set_nonblocking(true).expect("fcntl");
        client.write_all(bytes.as_bytes()).expect("there is room");
        self.turns();
        client
    }

    fn turns(&mut self) {
        for _ in 0..4 {
            self.server.poll();
            self.server.check_invariants();
        }
    }

    fn alerts(&mut self) -> usize {
        self.server.cx.logs.flush_all();
        let text = String::from_utf8_lossy(&self.dir.read(&self.dir.join("errors"))).into_owned();
        text.lines().filter(|line| line.contains("[alert]") && line.contains("panicked")).count()
    }
}

/// Reads what has arrived; empty if the connection was closed.
fn read(client: &mut UnixStream) -> String {
    let mut bytes = [0; 4096];
    let mut len = 0;
    while let Ok(n @ 1..) = client.read(&mut bytes[len..]) {
        len += n;
    }
    String::from_utf8_lossy(&bytes[..len]).into_owned()
}

#[test]
fn a_panic_costs_one_connection_or_one_reload() {
    const GET: &str = "GET /f HTTP/1.1\r\nHost: a\r\n\r\n";
    type Act = fn(&mut World);
    let table: [(&str, Act); 9] = [
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

//! What connections see of files that change while a turn is under way.

mod again;
mod between;
mod ends;
mod floods;
mod forms;

use super::*;
use crate::config::build::Form;
use crate::config::load::{LoadOptions, Touch, load_text};
use crate::config::model::EndpointId;
use crate::config::resolve::resolve;
use crate::conn::endpoints::Endpoints;
use crate::conn::io::{Budget, CloseReason};
use crate::conn::upstream::pool::UpstreamConns;
use crate::conn::{Pool, Watched};
use crate::services::Services;
use crate::services::logs::Logs;
use crate::sys::epoll::{self, Epoll};
use crate::sys::scratch::Scratch;
use crate::sys::socket::Peer;
use crate::util::slab::Key;
use crate::util::wake::Wake;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// The loop, as far as a connection knows of it.
struct World {
    dir: Scratch,
    cx: Services,
    pool: Pool,
    endpoints: Endpoints,
}

impl World {
    fn new(content: &str) -> World {
        let turn = World::of("access_log off;");
        turn.dir.write("f", content.as_bytes());
        turn
    }

    fn of(http: &str) -> World {
        let dir = Scratch::new();
        let server = format!("root {};", dir.path().display());
        let turn = World { dir, ..World::in_root(http, &server) };
        turn.dir.write("g", b"another");
        turn
    }

    /// As [`World::of`], with this in the server's block.
    fn in_root_of(http: &str, server: &str) -> World {
        let dir = Scratch::new();
        let server = format!("root {}; {server}", dir.path().display());
        World { dir, ..World::in_root(http, &server) }
    }

    /// A server whose block says what its root is.
    fn in_root(http: &str, server: &str) -> World {
        let dir = Scratch::new();
        let text = format!("events {{}} http {{ {http} server {{ listen 127.0.0.1:80; {server} }} }}");
        let mut loaded = load_text("drive.conf", text.as_bytes(), &LoadOptions::default());
        // What `ssl_certificate auto` makes does not depend on what this machine keeps.
        loaded.touch = Touch::Nothing;
        let resolved = resolve(&mut loaded, dir.path(), Form::Webserv, Vec::new(), None);
        let config = resolved.config.expect("the configuration is right");
        let mut logs = Logs::new();
        logs.open(&config).expect("the directory may be written to");
        let mut cx = Services::new(Rc::new(config), logs);
        // The files are old enough to be kept.
        cx.now.jump(60_000);
        cx.now.advance();
        let pool = Pool::new(UpstreamConns::new(Rc::new(Epoll::new().expect("epoll_create1"))));
        let mut endpoints = Endpoints::default();
        endpoints.set(0, Some(EndpointId(0)), &[]);
        World { dir, cx, pool, endpoints }
    }

    /// A client that was just accepted, or that the loop has heard of in this turn.
    fn client(&mut self, registered: bool) -> (Conn, UnixStream) {
        let (near, far) = UnixStream::pair().expect("socketpair");
        near.set_nonblocking(true).expect("fcntl");
        far.set_nonblocking(true).expect("fcntl");
        let mut conn = Conn::new(OwnedFd::from(near), Peer::UNIX, 0, 1, &self.cx, u64::MAX);
        conn.watched = if registered { Watched::ForReading } else { Watched::No };
        self.cx.stats.waiting += 1;
        (conn, far)
    }

    fn drive_once(&mut self, conn: &mut Conn) -> Next {
        self.drive_within(conn, Budget::default())
    }

    fn drive_within(&mut self, conn: &mut Conn, budget: Budget) -> Next {
        let World { cx, pool, endpoints, .. } = self;
        let wake = Wake::conn(Key::new(0, 0));
        drive(conn, &mut Turn { cx, pool, endpoints, budget, wake })
    }

    fn answers(&mut self, conn: &mut Conn, far: &mut UnixStream, asked: &[&str]) -> String {
        let requests = asked.iter().map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        far.write_all(requests.collect::<String>().as_bytes()).expect("there is room");
        conn.transport.event(epoll::IN);
        let next = self.drive_once(conn);
        assert_eq!(next, Next::Wait);
        let mut bytes = vec![0; 1 << 16];
        let len = far.read(&mut bytes).expect("an answer");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }
}

#[test]
fn a_file_is_not_as_it_was_before_a_request_was_sent() {
    let table = [
        ("the client was accepted in this turn", false, &["/f"][..]),
        ("it asked for something else first", true, &["/g", "/f"]),
    ];
    for (name, registered, asked) in table {
        let mut turn = World::new("before");
        let (mut first, mut first_far) = turn.client(true);
        let (mut second, mut second_far) = turn.client(registered);
        assert!(turn.answers(&mut first, &mut first_far, &["/f"]).ends_with("before"), "{name}");
        turn.dir.write("f", b"after");
        let seen = turn.answers(&mut second, &mut second_far, asked);
        assert!(seen.ends_with("after"), "{name}: {seen}");
    }
}

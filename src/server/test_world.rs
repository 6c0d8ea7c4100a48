//! A server for unit tests, with a directory of its own, whose clients connect by a Unix socket.

use super::Server;
use super::listeners::Listeners;
use super::signals::Signals;
use crate::config::build::Form;
use crate::config::load::{LoadOptions, load_text};
use crate::config::resolve::resolve;
use crate::services::Services;
use crate::services::logs::Logs;
use crate::sys::scratch::Scratch;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

/// A server and its directory, in which `f` is served.
pub(super) struct World {
    pub dir: Scratch,
    pub server: Server,
}

impl World {
    pub fn new() -> World {
        World::with(|_| String::new())
    }

    /// With `lines` in its server; they get the path of the directory.
    pub fn with(lines: impl Fn(&str) -> String) -> World {
        let dir = Scratch::new();
        dir.write("f", b"content");
        let path = dir.path().display();
        let lines = lines(&path.to_string());
        let text = format!(
            "error_log {path}/errors; events {{}} http {{ access_log off; client_header_timeout 10s; client_body_timeout 10s;
             server {{ listen unix:{path}/socket; root {path}; limit_rate_after 1; dav_methods PUT; http2 on; {lines} }} }}"
        );
        let mut loaded = load_text("test.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = resolve(&mut loaded, dir.path(), Form::Webserv, Vec::new(), None);
        let config = resolved.config.expect("the configuration is right");
        let mut logs = Logs::new();
        logs.open(&config).expect("the directory may be written to");
        let mut listeners = Listeners::default();
        listeners.open(&config).expect("a free path");
        let cx = Services::new(Rc::new(config), logs);
        let server = Server::new(cx, listeners, Signals::none()).expect("epoll");
        World { dir, server }
    }

    pub fn client(&mut self, bytes: &str) -> UnixStream {
        let mut client = UnixStream::connect(self.dir.path().join("socket")).expect("it listens");
        client.set_nonblocking(true).expect("fcntl");
        client.write_all(bytes.as_bytes()).expect("there is room");
        self.turns();
        client
    }

    pub fn turns(&mut self) {
        for _ in 0..4 {
            self.server.poll();
            self.server.check_invariants();
        }
    }

    pub fn alerts(&mut self) -> usize {
        self.server.cx.logs.flush_all();
        let text = String::from_utf8_lossy(&self.dir.read(&self.dir.join("errors"))).into_owned();
        text.lines().filter(|line| line.contains("[alert]") && line.contains("panicked")).count()
    }
}

/// Reads what has arrived; empty if the connection was closed.
pub(super) fn read(client: &mut UnixStream) -> String {
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = client.read(&mut bytes) {
        all.extend_from_slice(&bytes[..n]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

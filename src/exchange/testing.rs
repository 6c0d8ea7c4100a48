//! A configuration and requests to it without a connection, for tests of phases and handlers.

use super::request::Request;
use super::{Client, Exchange, locate};
use crate::config::build::Form;
use crate::config::ids::EndpointId;
use crate::config::load::{LoadOptions, load_text};
use crate::config::resolve::resolve;
use crate::http::h1::head::{HeadParser, HeadProgress};
use crate::route::{NoTrace, location};
use crate::services::Services;
use crate::services::logs::Logs;
use crate::sys::scratch::Scratch;
use crate::sys::socket::Peer;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// An address that the tests' rules allow.
pub const INSIDE: &str = "10.1.2.3";
/// Another one.
pub const OUTSIDE: &str = "192.0.2.1";
/// Of signed links.
pub const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A server in memory, with its files in a directory of its own.
pub struct Site {
    /// What requests share; its clock is set by the test.
    pub cx: Services,
    /// The directory, removed when the test ends.
    pub scratch: Scratch,
}

impl Site {
    /// A server with these locations, whose `USERS` and `KEYS` are files of the directory `DIR`.
    pub fn new(main: &str, locations: &str) -> Site {
        let scratch = Scratch::new();
        scratch.write("users", b"u:{PLAIN}p\n");
        scratch.write("keys", KEY);
        let text = format!("{main} server {{ listen 8080; root DIR/html; {locations} }}");
        let path = |name: &str| scratch.path().join(name).display().to_string();
        let text = text.replace("USERS", &path("users")).replace("KEYS", &path("keys"));
        let text = text.replace("DIR", &scratch.path().display().to_string());
        let mut loaded = load_text("test.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = resolve(&mut loaded, Path::new("/p"), Form::Webserv, Vec::new(), None);
        let shown = resolved.diagnostics.render(&loaded.sources, "webserv");
        let config = resolved.config.unwrap_or_else(|| panic!("{shown}"));
        let mut logs = Logs::new();
        logs.drop_stderr();
        Site { cx: Services::new(Rc::new(config), logs), scratch }
    }

    /// Makes the server's root directory, with nothing in it.
    pub fn root(&self) -> PathBuf {
        let root = self.scratch.path().join("html");
        std::fs::create_dir(&root).expect("made");
        root
    }

    /// A request that has its location. `line`: `METHOD PATH?ARGS`; `fields` end in nothing.
    pub fn at(&mut self, line: &str, fields: &[&str], client: &str) -> Exchange {
        let (endpoint, accepted) = (EndpointId(0), self.cx.now.ms);
        let peer = Peer::new(client.parse().expect("an address"), 9);
        let client = Client::of_no_connection(peer, endpoint, accepted, false);
        let mut ex = Exchange::new(&mut self.cx, client);
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let mut request =
            Request { text: format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into(), ..Request::default() };
        let mut parser = HeadParser::default();
        assert_eq!(parser.parse(&request.text, &ex.head_limits()), Ok(HeadProgress::Complete), "{line}");
        request.head = parser.head;
        ex.route.method = request.head.method;
        ex.request = Rc::new(request);
        let (_, target) = line.split_once(' ').expect("a method and a path");
        let (path, args) = target.split_once('?').unwrap_or((target, ""));
        (ex.route.uri, ex.route.args) = (path.into(), args.into());
        ex.route.server = ex.config.endpoints[0].default;
        let found = location::find(&ex.config, ex.route.server, &ex.route.uri, &mut NoTrace).expect("it is found");
        locate::enter(&mut ex, found);
        ex
    }
}

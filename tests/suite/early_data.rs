//! The first and the last flight of a connection: early data (0-RTT) over HTTP/1 and HTTP/2 and what is done about its
//! being played again, tickets, and a client that ends at once.

use crate::harness::{Server, Setup, http, skip_on_nginx};
use crate::tls::{certificate, tool};
use crate::upstream::Upstream;
use rustls::ClientConnection;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use webserv::tls::{ServerName, ciphers, client};

fn site(block: &str) -> String {
    format!(
        "log_format early \"$uri $ssl_early_data.$ssl_session_reused\";
         server {{ listen 127.0.0.1:%%PORT%% ssl; http2 on; server_name localhost; ssl_certificate localhost.crt;
           ssl_certificate_key localhost.key; ssl_early_data on; access_log logs/early.log early; root %%DIR%%/html;
           location /early {{ return 200 \"[early=$ssl_early_data]\"; }} {block} }}"
    )
}

fn setup(block: &str) -> Option<Setup> {
    if skip_on_nginx("early data of another library") {
        return None;
    }
    let setup = http(&site(block));
    certificate(setup.dir(), "localhost", "ec").then_some(setup.file("html/index.html", "index"))
}

fn config(protocol: &[u8]) -> Arc<rustls::ClientConfig> {
    let options = client::Options {
        protocols: Default::default(),
        suites: ciphers::suites("HIGH:!aNULL:!MD5").expect("suites"),
        certificate: None,
        sends_name: true,
        sessions: 32,
        alpn: vec![protocol.to_vec()],
    };
    let mut config = (*options.build().expect("a configuration")).clone();
    config.enable_early_data = true;
    Arc::new(config)
}

struct Early {
    tls: ClientConnection,
    tcp: TcpStream,
}

impl Early {
    /// A connection whose first bytes are these, with the hello where the server has given a ticket.
    fn connect(s: &Server, config: &Arc<rustls::ClientConfig>, first: &[u8]) -> Early {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut tls = ClientConnection::new(config.clone(), name).expect("a client");
        let sent = tls.early_data().map_or(0, |mut early| early.write(first).expect("room for it"));
        let tcp = TcpStream::connect(s.address(0)).expect("it listens");
        tcp.set_read_timeout(Some(crate::client::LIMIT)).expect("SO_RCVTIMEO");
        let mut early = Early { tls, tcp };
        if sent > 0 {
            assert_eq!(sent, first.len());
        } else {
            early.send(first);
        }
        early
    }

    fn send(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).expect("room for it");
        self.flush();
    }

    fn flush(&mut self) {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.tcp).expect("it reads");
        }
    }

    /// What comes until it contains this.
    fn until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        self.flush();
        loop {
            let mut bytes = [0; 4096];
            match self.tls.reader().read(&mut bytes) {
                Ok(0) => panic!("ended before {end:?}: {:?}", String::from_utf8_lossy(&all)),
                Ok(n) => all.extend_from_slice(&bytes[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    assert!(self.tls.read_tls(&mut self.tcp).expect("it answers") > 0, "closed before {end:?}");
                    self.tls.process_new_packets().expect("TLS");
                    self.flush();
                }
                Err(e) => panic!("{e} before {end:?}"),
            }
            let text = String::from_utf8_lossy(&all);
            if text.contains(end) {
                return text.into_owned();
            }
        }
    }
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

#[test]
fn a_request_that_comes_with_the_hello_is_answered_at_once_and_known_as_early() {
    let Some(s) = setup("").map(Setup::start) else { return };
    let config = config(b"http/1.1");
    let mut first = Early::connect(&s, &config, &get("/early"));
    first.until("[early=]");
    assert!(!first.tls.is_early_data_accepted(), "there is no session yet");
    for round in 0..3 {
        let mut again = Early::connect(&s, &config, &get("/early"));
        again.until("[early=1]");
        assert!(again.tls.is_early_data_accepted(), "round {round}");
        // The handshake is over: nothing is early any more.
        again.send(&get("/early"));
        again.until("[early=]");
    }
    // What is cached is served to early requests as well, and the connection may end with the answer.
    for _ in 0..2 {
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut again = Early::connect(&s, &config, request);
        again.until("index");
        assert!(again.tls.is_early_data_accepted());
        again.flush();
    }
}

#[test]
fn an_application_is_told_what_is_early_and_its_425_reaches_the_client() {
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let early = request.all("early-data") == ["1"];
            let answer = if early { "425 Too Early" } else { "200 OK" };
            peer.send(format!("HTTP/1.1 {answer}\r\nContent-Length: 4\r\n\r\ndone").as_bytes());
        }
    });
    let block =
        format!("location /app {{ proxy_pass http://{}; proxy_set_header Early-Data $ssl_early_data; }}", up.address);
    let Some(s) = setup(&block).map(Setup::start) else { return };
    let config = config(b"http/1.1");
    assert!(Early::connect(&s, &config, &get("/app")).until("done").starts_with("HTTP/1.1 200 "));
    let mut early = Early::connect(&s, &config, &get("/app"));
    assert!(early.until("done").starts_with("HTTP/1.1 425 "), "early");
    // As RFC 8470 has it: the client asks again once the handshake is over.
    early.send(&get("/app"));
    assert!(early.until("done").starts_with("HTTP/1.1 200 "), "not early any more");
}

#[test]
fn early_data_that_is_played_again_is_not_taken() {
    let Some(mut s) = setup("").map(Setup::start) else { return };
    let config = config(b"http/1.1");
    Early::connect(&s, &config, &get("/early")).until("[early=]");
    let mut tls = ClientConnection::new(config, ServerName::try_from("localhost").expect("a name")).expect("a client");
    tls.early_data().expect("a ticket").write_all(&get("/early?once")).expect("room");
    let mut flight = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut flight).expect("memory");
    }
    for _ in 0..3 {
        let mut tcp = TcpStream::connect(s.address(0)).expect("it listens");
        tcp.write_all(&flight).expect("it reads");
        tcp.shutdown(std::net::Shutdown::Write).expect("shutdown");
        // The answer to it, and the end.
        let _ = tcp.read_to_end(&mut Vec::new());
    }
    s.stop();
    let log = String::from_utf8_lossy(&s.read("logs/early.log")).into_owned();
    assert_eq!(log.matches("/early 1.r").count(), 1, "{log}");
    assert_eq!(log.lines().count(), 2, "{log}");
}

#[test]
fn early_data_is_not_taken_where_clients_are_verified_otherwise_than_when_the_session_began() {
    let Some(s) = setup("").map(Setup::start) else { return };
    let config = config(b"http/1.1");
    Early::connect(&s, &config, &get("/early")).until("[early=]");
    let mut again = Early::connect(&s, &config, &get("/early"));
    again.until("[early=1]");
    s.reconfigure_http(&site("ssl_verify_client optional_no_ca;"));
    s.signal(libc::SIGHUP);
    s.await_file("logs/error.log", |log| log.contains("the configuration was reloaded"));
    let mut other = Early::connect(&s, &config, &get("/early"));
    while other.tls.is_handshaking() {
        other.flush();
        assert!(other.tls.read_tls(&mut other.tcp).expect("it answers") > 0, "closed");
        other.tls.process_new_packets().expect("TLS");
    }
    assert!(!other.tls.is_early_data_accepted());
    other.send(&get("/early"));
    other.until("[early=]");
}

#[test]
fn early_data_of_http2_is_answered_at_once() {
    let Some(s) = setup("").map(Setup::start) else { return };
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
    };
    // GET https /early, of localhost.
    let head = [&[0x82, 0x87, 0x44, 6][..], b"/early", &[0x41, 9], b"localhost"].concat();
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), frame(1, 5, 1, &head)].concat();
    let config = config(b"h2");
    let mut first = Early::connect(&s, &config, &begin);
    first.until("[early=]");
    let mut again = Early::connect(&s, &config, &begin);
    again.until("[early=1]");
    assert!(again.tls.is_early_data_accepted());
    again.send(&frame(1, 5, 3, &head));
    again.until("[early=]");
}

#[test]
fn openssl_sends_early_data_too() {
    let Some(s) = setup("").map(Setup::start) else { return };
    let path = |name: &str| s.path(name).to_string_lossy().into_owned();
    let (session, request) = (path("session"), path("request"));
    s.write("request", "GET /early HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let address = s.address(0).to_string();
    let common = ["s_client", "-connect", &address, "-servername", "localhost", "-alpn", "http/1.1", "-ign_eof"];
    let first = [&common[..], &["-sess_out", &session]].concat();
    let Some(output) = tool("openssl", &first, &s.read("request")) else { return };
    assert!(String::from_utf8_lossy(&output.stdout).contains("[early=]"));
    let early = [&common[..], &["-sess_in", &session, "-early_data", &request]].concat();
    let output = tool("openssl", &early, b"").expect("it ran before");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Early data was accepted") && text.contains("[early=1]"), "{text}");
}

#[test]
fn tickets_come_to_a_client_that_asks_for_nothing_yet() {
    let Some(s) = setup("").map(Setup::start) else { return };
    let config = config(b"http/1.1");
    let mut idle = Early::connect(&s, &config, b"");
    while idle.tls.tls13_tickets_received() < 2 {
        idle.flush();
        assert!(idle.tls.read_tls(&mut idle.tcp).expect("within the limit") > 0, "closed without tickets");
        idle.tls.process_new_packets().expect("TLS");
    }
    idle.send(&get("/early"));
    idle.until("[early=]");
}

#[test]
fn a_request_whose_client_ends_with_the_handshake_is_answered() {
    let Some(s) = setup("").map(Setup::start) else { return };
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = ClientConnection::new(config(b"http/1.1"), name).expect("a client");
    let mut client = Early { tls, tcp: TcpStream::connect(s.address(0)).expect("it listens") };
    client.flush();
    // Nothing is sent before all of it is ready: Finished, the request, close_notify.
    while client.tls.is_handshaking() {
        client.tls.read_tls(&mut client.tcp).expect("it answers");
        client.tls.process_new_packets().expect("TLS");
    }
    client.tls.writer().write_all(&get("/early")).expect("room");
    client.tls.send_close_notify();
    let mut flight = Vec::new();
    while client.tls.wants_write() {
        client.tls.write_tls(&mut flight).expect("memory");
    }
    client.tcp.write_all(&flight).expect("it reads");
    client.until("[early=]");
}

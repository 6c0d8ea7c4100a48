//! What one turn does for clients that all begin a handshake at once.

use super::*;
use crate::conn::transport::Transport;
use crate::conn::transport::ready::Ready;
use crate::tls::ServerName;
use crate::tls::client::Options;
use crate::tls::session::Session;

/// What a client sends first.
fn hello() -> Vec<u8> {
    let options = Options::with_defaults(0, Vec::new());
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = Session::client(options.build().expect("a configuration"), name).expect("a client");
    let mut out = Vec::new();
    session.receive(&mut [], &mut Vec::new(), &mut out).expect("a hello");
    out
}

#[test]
fn a_turn_answers_few_of_many_hellos_and_every_plain_request() {
    const MANY: usize = 30;
    let server = "ssl_certificate auto; listen 127.0.0.1:443 ssl; return 200 here;";
    let mut world = World::in_root("access_log off;", server);
    world.endpoints.set(1, Some(EndpointId(1)), &[]);
    assert!(world.cx.config.endpoints[1].ssl.is_some());
    let mut flood: Vec<_> = (0..MANY)
        .map(|_| {
            let (near, mut far) = UnixStream::pair().expect("socketpair");
            near.set_nonblocking(true).expect("fcntl");
            far.set_nonblocking(true).expect("fcntl");
            far.write_all(&hello()).expect("there is room");
            let transport = Transport::tls_server(OwnedFd::from(near), Ready::fresh());
            world.cx.stats.waiting += 1;
            (Conn::over(transport, Peer::UNIX, 1, 1, &world.cx, u64::MAX), far)
        })
        .collect();
    let (mut plain, mut plain_far) = world.client(true);
    let mut turns = 0;
    while !flood.is_empty() {
        turns += 1;
        assert!(turns <= MANY, "each turn answers one at least");
        world.cx.slice.begin();
        world.cx.handshakes.begin_turn();
        let before = flood.len();
        flood.retain_mut(|(conn, far)| {
            let next = world.drive_once(conn);
            let is_answered = far.read(&mut [0; 4096]).is_ok_and(|n| n > 0);
            assert_eq!(next, if is_answered { Next::Wait } else { Next::Run });
            !is_answered
        });
        assert!((1..=4).contains(&(before - flood.len())), "{before} waited, {} still do", flood.len());
        assert!(world.answers(&mut plain, &mut plain_far, &["/"]).ends_with("here"));
    }
}

/// It took what only a request of HTTP/1 needs.
#[test]
fn a_handshake_that_evaluates_variables_takes_an_exchange_of_no_protocol() {
    let server = "listen 127.0.0.1:443 ssl; ssl_certificate no/$ssl_server_name.crt; \
        ssl_certificate_key no/$ssl_server_name.key;";
    let mut world = World::in_root("access_log off;", server);
    world.endpoints.set(1, Some(EndpointId(1)), &[]);
    let (near, mut far) = UnixStream::pair().expect("socketpair");
    near.set_nonblocking(true).expect("fcntl");
    far.write_all(&hello()).expect("there is room");
    let transport = Transport::tls_server(OwnedFd::from(near), Ready::fresh());
    world.cx.stats.waiting += 1;
    let mut conn = Conn::over(transport, Peer::UNIX, 1, 1, &world.cx, u64::MAX);
    world.cx.slice.begin();
    world.cx.handshakes.begin_turn();
    assert_eq!(world.drive_once(&mut conn), Next::Close(CloseReason::NoHandshake));
    assert_eq!((world.pool.free.len(), world.pool.free_http1.len()), (1, 0));
}

/// Late for a turn that many others are late for: what is short is answered, and what takes long is only begun.
#[test]
fn a_small_request_does_not_wait_for_the_first_slices_of_many_long_ones() {
    const MANY: usize = 100;
    let encoded = "gzip on; gzip_types text/plain; gzip_min_length 1;";
    let locations = "location /in/ { autoindex on; }";
    let dir = Scratch::new();
    dir.write("f", b"small");
    dir.write("large.txt", &[b'x'; 100_000]);
    std::fs::create_dir(dir.path().join("in")).expect("made");
    for number in 0..50 {
        dir.write(&format!("in/{number}"), b"");
    }
    let server = format!("root {}; {locations} types {{ text/plain txt; }}", dir.path().display());
    let mut world = World::in_root(&format!("access_log off; {encoded}"), &server);
    let long =
        ["GET /in/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET /large.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"];
    for request in long {
        let (mut conn, mut far) = world.client(true);
        let mut answer = [0; 4096];
        far.write_all(request.as_bytes()).expect("there is room");
        conn.transport.event(epoll::IN);
        world.cx.slice.begin();
        world.cx.slice.share(MANY);
        assert_eq!(world.drive_once(&mut conn), Next::Run, "{request}");
        // The head of what is made piece by piece, at most.
        let mut came = far.read(&mut answer).unwrap_or(0);
        assert!(came == 0 || answer[..came].ends_with(b"\r\n\r\n"), "{request}");
        world.cx.slice.share(MANY);
        let (mut small, mut small_far) = world.client(true);
        assert!(world.answers(&mut small, &mut small_far, &["/f"]).ends_with("small"));
        // Its time has come.
        let mut turns = 0;
        while world.drive_once(&mut conn) == Next::Run {
            turns += 1;
            assert!(turns < 1000, "{request}");
            world.cx.slice.begin();
            world.cx.slice.share_half(MANY);
        }
        came += far.read(&mut answer[came..]).expect("the rest");
        assert!(answer[..came].starts_with(b"HTTP/1.1 200 "), "{request}");
    }
}

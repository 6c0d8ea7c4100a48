//! What one turn does for clients that all begin a handshake at once.

use super::*;
use crate::conn::transport::Transport;
use crate::conn::transport::ready::Ready;
use crate::tls::ServerName;
use crate::tls::client::Options;
use crate::tls::session::Session;

/// What a client sends first.
fn hello() -> Vec<u8> {
    let options = Options::usual(0, Vec::new());
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = Session::client(options.build().expect("a configuration"), name).expect("a client");
    let mut out = Vec::new();
    session.take_in(&mut [], &mut Vec::new(), &mut out).expect("a hello");
    out
}

#[test]
fn a_turn_answers_few_of_many_hellos_and_every_plain_request() {
    const MANY: usize = 30;
    let server = "ssl_certificate auto; listen 127.0.0.1:443 ssl; return 200 here;";
    let mut world = World::in_root("access_log off;", server);
    world.endpoints.set(1, Some(EndpointId(1)), &[]);
    assert!(world.cx.config.endpoints[1].ssl);
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

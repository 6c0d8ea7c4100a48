//! What the end of a socket means for the records that came with it.

use super::*;
use crate::sys::socket::More;
use crate::tls::server::{certified, challenge};
use crate::tls::{ServerName, client, key, testing};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Both ends after the handshake, and a second hold on the client's socket.
fn pair() -> (Tls, Tls, UnixStream) {
    let made = testing::leaf("example.org", &["example.org"]);
    let key = key::load(made.key_pem.as_bytes(), &[]).expect("a key");
    let certified = certified(vec![made.certificate()], key).expect("a pair");
    let config = challenge(Arc::new(certified), b"x").expect("a configuration");
    let options = client::Options::with_defaults(0, vec![b"x".to_vec()]);
    let name = ServerName::try_from("example.org").expect("a name");
    let session = Session::client(options.build().expect("a configuration"), name).expect("a client");
    let (near, far) = UnixStream::pair().expect("socketpair");
    for end in [&near, &far] {
        end.set_nonblocking(true).expect("fcntl");
    }
    let socket = far.try_clone().expect("dup");
    let mut server = Tls::server(OwnedFd::from(near), Ready::fresh());
    let mut client = Tls::client(OwnedFd::from(far), Ready::fresh(), session);
    assert_eq!(client.handshake(), Err(Errno::EAGAIN));
    server.gather().expect("a hello");
    server.begin(Session::server(config).expect("a server")).expect("it begins");
    assert_eq!(server.handshake(), Err(Errno::EAGAIN));
    client.ready.add(crate::sys::epoll::IN);
    client.handshake().expect("it ends");
    server.ready.add(crate::sys::epoll::IN);
    server.handshake().expect("it ends");
    (server, client, socket)
}

#[test]
fn the_end_of_the_socket_goes_with_the_last_bytes() {
    for (more, is_end) in [(More::No, false), (More::Last, true)] {
        let (mut server, mut client, mut socket) = pair();
        assert_eq!(server.send(b"bye", more), Ok(3));
        client.ready.add(crate::sys::epoll::IN);
        let mut got = Vec::with_capacity(100);
        assert_eq!(client.recv(&mut got, 100), Ok(3));
        assert_eq!(client.recv(&mut got, 100), if is_end { Ok(0) } else { Err(Errno::EAGAIN) });
        // The server has not let go of its socket.
        assert_eq!(socket.read(&mut [0; 9]).is_ok_and(|n| n == 0), is_end);
        assert_eq!(server.shutdown_write(), Ok(()));
        assert!(socket.read(&mut [0; 9]).is_ok(), "it has ended in both cases");
    }
}

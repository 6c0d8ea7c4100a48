//! Real sockets on loopback, and socket pairs.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;

use super::*;
use crate::sys::epoll::{self, Epoll, Events, Timeout};
use crate::sys::scratch::Scratch;

fn loopback(family: Family) -> Addr {
    let text = match family {
        Family::V6 => "[::1]:0",
        _ => "127.0.0.1:0",
    };
    Addr::from(text.parse::<std::net::SocketAddr>().expect("a literal address"))
}

fn listener(addr: &Addr) -> OwnedFd {
    let fd = socket(addr.family()).expect("socket");
    bind(fd.as_fd(), addr).expect("bind");
    listen(fd.as_fd(), 16).expect("listen");
    fd
}

/// Waits until `fd` reports one of `events`.
fn until(fd: BorrowedFd<'_>, events: u32) {
    let epoll = Epoll::new().expect("epoll_create1");
    epoll.add(fd, events, 0).expect("epoll_ctl");
    assert_eq!(epoll.wait(&mut Events::new(), Timeout::Millis(5000)), Ok(1), "the event never came");
}

/// Connects to `listener`; returns our end, the accepted end, and the peer address that accept reported.
fn connected(listener: &OwnedFd) -> (OwnedFd, OwnedFd, Peer) {
    let addr = local_addr(listener.as_fd()).expect("getsockname");
    let near = socket(addr.family()).expect("socket");
    if connect(near.as_fd(), &addr).expect("connect") == Connect::InProgress {
        until(near.as_fd(), epoll::OUT);
    }
    assert_eq!(take_error(near.as_fd()), Ok(None));
    until(listener.as_fd(), epoll::IN);
    let (far, peer) = accept(listener.as_fd()).expect("accept4");
    (near, far, peer)
}

fn pair() -> (OwnedFd, UnixStream) {
    let (near, far) = UnixStream::pair().expect("socketpair");
    near.set_nonblocking(true).expect("fcntl");
    (near.into(), far)
}

#[test]
fn a_client_is_accepted_with_its_address_and_port() {
    for family in [Family::V4, Family::V6] {
        let listener = listener(&loopback(family));
        assert_eq!(accept(listener.as_fd()).map(|_| ()), Err(Errno::EAGAIN));
        let (near, far, peer) = connected(&listener);
        let own = local_addr(near.as_fd()).expect("getsockname");
        assert_eq!((peer.ip(), Some(peer.port())), (own.ip(), own.port()));
        assert_eq!(peer.family(), family);
        assert_eq!(peer_addr(far.as_fd()), Ok(own));
        assert_eq!(peer_addr(near.as_fd()), local_addr(listener.as_fd()));
        assert_eq!(recv(far.as_fd(), &mut [0; 8]), Err(Errno::EAGAIN), "an accepted socket does not block");
    }
}

#[test]
fn a_client_of_a_unix_socket_has_no_address() {
    let scratch = Scratch::new();
    let addr = Addr::Unix(scratch.path().join("web.sock"));
    let listener = listener(&addr);
    assert_eq!(local_addr(listener.as_fd()), Ok(addr.clone()));
    let (near, far, peer) = connected(&listener);
    assert_eq!(peer, Peer::UNIX);
    assert_eq!(peer_addr(far.as_fd()), Ok(Addr::Unix("".into())));
    assert_eq!(peer_addr(near.as_fd()), Ok(addr.clone()));
    let second = socket(Family::Unix).expect("socket");
    assert_eq!(bind(second.as_fd(), &addr), Err(Errno::EADDRINUSE));
    drop(listener);
    assert_eq!(connect(second.as_fd(), &addr), Err(Errno::ECONNREFUSED));
}

#[test]
fn an_address_in_use_and_a_refused_connection_say_so() {
    let first = listener(&loopback(Family::V4));
    let addr = local_addr(first.as_fd()).expect("getsockname");
    let second = socket(Family::V4).expect("socket");
    assert_eq!(bind(second.as_fd(), &addr), Err(Errno::EADDRINUSE));
    drop(first);
    match connect(second.as_fd(), &addr) {
        Ok(_) => {
            until(second.as_fd(), epoll::OUT);
            assert_eq!(take_error(second.as_fd()), Ok(Some(Errno::ECONNREFUSED)));
            assert_eq!(take_error(second.as_fd()), Ok(None), "read once");
        }
        Err(errno) => assert_eq!(errno, Errno::ECONNREFUSED),
    }
}

#[test]
fn received_bytes_are_appended_within_the_capacity() {
    let (near, mut far) = pair();
    far.write_all(b"0123456789").expect("write");
    let mut peeked = [0; 4];
    assert_eq!(peek(near.as_fd(), &mut peeked), Ok(4));
    assert_eq!(&peeked, b"0123");

    let mut into = Vec::with_capacity(8);
    into.push(b'>');
    let place = into.as_ptr();
    assert_eq!(recv_into(near.as_fd(), &mut into, 3), Ok(3));
    assert_eq!(into, b">012");
    let room = into.capacity() - into.len();
    assert_eq!(recv_into(near.as_fd(), &mut into, 100), Ok(room.min(7)));
    assert_eq!(into.as_ptr(), place, "never grown");
    assert_eq!(recv_into(near.as_fd(), &mut into, 100), Err(Errno::ENOBUFS));
    assert_eq!(recv_into(near.as_fd(), &mut Vec::new(), 100), Err(Errno::ENOBUFS));
    assert_eq!(recv_into(near.as_fd(), &mut Vec::with_capacity(8), 0), Err(Errno::ENOBUFS));

    let mut rest = [0; 16];
    let got = recv(near.as_fd(), &mut rest).expect("recv");
    assert_eq!(&rest[..got], &b"0123456789"[3 + room.min(7)..]);
    assert_eq!(recv_into(near.as_fd(), &mut Vec::with_capacity(8), 8), Err(Errno::EAGAIN));
    drop(far);
    assert_eq!(recv_into(near.as_fd(), &mut Vec::with_capacity(8), 8), Ok(0), "the end");
}

#[test]
fn an_end_of_what_is_sent_leaves_reading_open() {
    let (near, mut far) = pair();
    assert_eq!(send(near.as_fd(), b"head", More::Yes), Ok(4));
    assert_eq!(send(near.as_fd(), b" tail", More::No), Ok(5));
    assert!(bytes_unsent(near.as_fd()).is_ok());
    shutdown_write(near.as_fd()).expect("shutdown");
    let mut got = Vec::new();
    far.read_to_end(&mut got).expect("read");
    assert_eq!(got, b"head tail");
    far.write_all(b"still open").expect("write");
    assert_eq!(recv(near.as_fd(), &mut [0; 32]), Ok(10));
}

#[test]
fn a_full_socket_and_a_closed_peer_are_errors_not_signals() {
    let (near, far) = pair();
    let block = vec![0; 1 << 16];
    assert!(is_writable(near.as_fd()));
    let full = (0..1000).find_map(|_| send(near.as_fd(), &block, More::No).err());
    assert_eq!(full, Some(Errno::EAGAIN));
    assert!(!is_writable(near.as_fd()));
    drop(far);
    // A write reports the error.
    assert!(is_writable(near.as_fd()));
    for _ in 0..2 {
        let sent = send(near.as_fd(), b"x", More::No);
        assert!(matches!(sent, Err(Errno::EPIPE | Errno::ECONNRESET)), "{sent:?}");
    }
}

#[test]
fn every_option_is_taken_by_the_socket_it_is_for() {
    let tcp = socket(Family::V4).expect("socket");
    let fd = tcp.as_fd();
    let table = [
        ("reuseaddr", reuseaddr(fd, true)),
        ("reuseport", reuseport(fd, true)),
        ("nodelay on", nodelay(fd, true)),
        ("nodelay off", nodelay(fd, false)),
        ("keepalive", keepalive(fd, true, Some(30), Some(5), Some(3))),
        ("keepalive off", keepalive(fd, false, None, None, None)),
        ("rcvbuf", rcvbuf(fd, 65_536)),
        ("sndbuf", sndbuf(fd, 65_536)),
        ("linger_reset", linger_reset(fd)),
        ("bind", bind(fd, &loopback(Family::V4))),
        ("fastopen", fastopen(fd, 16)),
        ("defer_accept", defer_accept(fd, 1)),
        ("listen", listen(fd, 1)),
        ("listen again", listen(fd, 2)),
    ];
    for (name, result) in table {
        assert_eq!(result, Ok(()), "{name}");
    }
    let six = socket(Family::V6).expect("socket");
    assert_eq!(v6only(six.as_fd(), false), Ok(()));
    let unix = socket(Family::Unix).expect("socket");
    assert_eq!(nodelay(unix.as_fd(), true), Err(Errno::EOPNOTSUPP));
}

#[test]
fn a_dual_stack_listener_sees_ipv4_clients_as_mapped() {
    let listener = socket(Family::V6).expect("socket");
    v6only(listener.as_fd(), false).expect("setsockopt");
    bind(listener.as_fd(), &Addr::from("[::]:0".parse::<std::net::SocketAddr>().expect("literal"))).expect("bind");
    listen(listener.as_fd(), 1).expect("listen");
    let port = local_addr(listener.as_fd()).expect("getsockname").port().expect("TCP has ports");
    let _near = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connect");
    until(listener.as_fd(), epoll::IN);
    let (_far, peer) = accept(listener.as_fd()).expect("accept4");
    assert_eq!(peer.to_string(), "::ffff:127.0.0.1");
}

#[test]
fn a_lingering_reset_reaches_the_peer_as_a_reset() {
    let listener = listener(&loopback(Family::V4));
    let (near, far, _) = connected(&listener);
    linger_reset(far.as_fd()).expect("setsockopt");
    drop(far);
    until(near.as_fd(), epoll::IN);
    assert_eq!(recv(near.as_fd(), &mut [0; 1]), Err(Errno::ECONNRESET));
}

#[test]
fn descriptor_flags_go_on_and_off() {
    let (near, _far) = pair();
    let fd = near.as_fd();
    // SAFETY: no pointers are passed.
    let flags = |command| unsafe { libc::fcntl(fd.as_raw_fd(), command) };
    for on in [false, true, true, false] {
        set_nonblocking(fd, on).expect("fcntl");
        assert_eq!(flags(libc::F_GETFL) & libc::O_NONBLOCK != 0, on);
        set_cloexec(fd, on).expect("fcntl");
        assert_eq!(flags(libc::F_GETFD) & libc::FD_CLOEXEC != 0, on);
    }
}

#[test]
fn an_inherited_number_is_taken_over_only_if_it_is_open_and_no_standard_stream() {
    let number = crate::sys::file::dup(socket(Family::Unix).expect("socket").as_fd()).expect("dup").into_raw_fd();
    let _taken = inherit(number).expect("it is open");
    for number in [-1, 0, 1, 2, 1_000_000_000] {
        assert_eq!(inherit(number).map(|_| ()), Err(Errno::EBADF), "{number}");
    }
}

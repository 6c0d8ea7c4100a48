//! Which sockets are taken over, and what becomes of the files of unix sockets.

use super::*;
use crate::sys::scratch::Scratch;
use std::os::fd::IntoRawFd;

/// A separate descriptor, as in a new binary.
fn dup(fd: BorrowedFd<'_>) -> i32 {
    fd.try_clone_to_owned().expect("a descriptor").into_raw_fd()
}

#[test]
fn a_passed_socket_that_does_not_listen_is_told_and_not_served() {
    use std::os::unix::net::{UnixDatagram, UnixStream};
    let scratch = Scratch::new();
    let listening = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let of_unix = UnixDatagram::bind(scratch.path().join("s")).expect("a socket");
    let bound = socket::socket(Family::V4).expect("a socket");
    socket::bind(bound.as_fd(), &Addr::V4("127.0.0.1:0".parse().expect("an address"))).expect("a free port");
    let connected = UnixStream::pair().expect("sockets").0;
    let file = std::fs::File::open("/").expect("a directory");
    let passed = [
        (listening.as_fd(), None),
        (datagrams.as_fd(), Some("no stream socket")),
        (of_unix.as_fd(), Some("no stream socket")),
        (bound.as_fd(), Some("does not listen")),
        (connected.as_fd(), Some("does not listen")),
        (file.as_fd(), Some("non-socket")),
    ];
    for (fd, want) in passed {
        let number = dup(fd);
        let mut listeners = Listeners::default();
        let failed = listeners.activate(&format!("{number};"));
        let why = failed.first().map(|(_, why)| why.to_string().to_lowercase());
        assert_eq!((failed.len(), listeners.len()), (usize::from(want.is_some()), usize::from(want.is_none())));
        assert_eq!(want.is_some_and(|want| why.is_some_and(|why| why.contains(want))), want.is_some(), "{want:?}");
    }
}

#[test]
fn a_configuration_that_is_refused_leaves_no_files_of_unix_sockets() {
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::resolve::resolve;
    let scratch = Scratch::new();
    let dir = scratch.path().display();
    let config = |listens: &str| {
        let text = format!("events {{}} http {{ server {{ {listens} }} }}");
        let mut loaded = load_text("t", text.as_bytes(), &LoadOptions::default());
        let resolved = resolve(&mut loaded, scratch.path(), Form::Webserv, Vec::new(), None);
        resolved.config.expect("the configuration is right")
    };
    let mut listeners = Listeners::default();
    listeners.assume(&config(&format!("listen unix:{dir}/old;"))).expect("bound");
    let refused = config(&format!("listen unix:{dir}/old; listen unix:{dir}/new; listen unix:{dir}/none/s;"));
    assert!(listeners.assume(&refused).is_err());
    let exists = |name: &str| scratch.path().join(name).exists();
    assert!(exists("old") && !exists("new"));
    listeners.close();
    assert!(!exists("old"));
}

#[test]
fn the_file_of_a_socket_unit_stays_after_upgrades() {
    let scratch = Scratch::new();
    let path = scratch.path().join("s");
    let manager = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let mut first = Listeners::default();
    assert!(first.activate(&format!("{};", dup(manager.as_fd()))).is_empty());
    let mut serving = first;
    for _ in 0..2 {
        let handover = serving.handover();
        assert_eq!((handover.fds.len(), &handover.units), (1, &handover.names));
        let name = format!("{};", dup(handover.fds[0]));
        let mut new = Listeners::default();
        assert!(new.inherit(&name, &name).is_empty());
        serving.close();
        serving = new;
    }
    serving.close();
    assert!(path.exists(), "the manager still listens there");
    let mut new = Listeners::default();
    assert!(new.inherit(&format!("{};", dup(manager.as_fd())), "").is_empty());
    assert_eq!(new.handover().units, "", "one that the older binary bound is no unit's");
}

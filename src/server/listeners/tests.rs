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
        (datagrams.as_fd(), Some("not a stream socket")),
        (of_unix.as_fd(), Some("not a stream socket")),
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

fn config(servers: &str) -> Config {
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::resolve::resolve;
    let text = format!("events {{}} http {{ {servers} }}");
    let mut loaded = load_text("t", text.as_bytes(), &LoadOptions::default());
    let resolved = resolve(&mut loaded, std::path::Path::new("/"), Form::Webserv, Vec::new(), None);
    resolved.config.expect("the configuration is right")
}

/// A kernel without IPv6; the ports of IPv4 are any.
fn without_v6(addr: &Addr, _: &ListenOptions) -> Result<OwnedFd, BindError> {
    let failed = |errno| BindError { call: "socket", addr: addr.clone(), errno };
    match addr.family() {
        Family::V6 => Err(failed(Errno::EAFNOSUPPORT)),
        family => socket::socket(family).map_err(failed),
    }
}

#[test]
fn the_usual_pair_of_listens_starts_on_a_machine_without_ipv6() {
    const OTHER: &str = "server { listen 81; listen [::]:81; server_name b; }";
    for (servers, absent) in [
        ("server { listen 80 default_server; listen [::]:80 default_server; }", Some(1)),
        (
            "server { listen 80; listen [::]:80; listen [::1]:80; server_name a; } server { listen 80; server_name b; }",
            Some(1),
        ),
        ("server { listen 127.0.0.1:80; listen [::1]:80; }", Some(1)),
        (&format!("server {{ listen 80; listen [::]:80; }} {OTHER}"), Some(2)),
        ("server { listen 80; }", Some(0)),
        // Its sites would not be served, or not there.
        ("server { listen [::]:80; }", None),
        ("server { listen 80; listen [::]:81; }", None),
        ("server { listen [::]:80 ipv6only=off; }", None),
        ("server { listen 80; } server { listen [::]:80; server_name b; }", None),
        ("server { listen 80; listen [::]:80; } server { listen [::1]:80; server_name b; }", None),
    ] {
        let mut listeners = Listeners::default();
        let outcome = listeners.open_by(&config(servers), without_v6);
        assert_eq!(outcome.is_ok().then(|| listeners.warnings().count()), absent, "{servers}");
        assert!(listeners.warnings().all(|warning| warning.contains("\"listen [::")));
    }
}

#[test]
fn a_configuration_that_is_refused_leaves_no_files_of_unix_sockets() {
    let scratch = Scratch::new();
    let dir = scratch.path().display();
    let config = |listens: &str| config(&format!("server {{ {listens} }}"));
    let mut listeners = Listeners::default();
    listeners.open(&config(&format!("listen unix:{dir}/old;"))).expect("bound");
    let refused = config(&format!("listen unix:{dir}/old; listen unix:{dir}/new; listen unix:{dir}/none/s;"));
    assert!(listeners.open(&refused).is_err());
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

//! Listening sockets: bound for a configuration, inherited from a parent process, or kept across a reload.

pub mod mend;

use super::run_directory;
use crate::config::model::{Config, ContentHandler, Endpoint, EndpointId, ListenOptions, ListenSocket, ServerId};
use crate::conn::endpoints::Endpoints;
use crate::io::open;
use crate::sys::socket::{self, Addr, Family, KeptOptions};
use crate::sys::{Errno, process};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;

/// nginx's default on Linux.
const BACKLOG: i32 = 511;
/// Seconds for which the kernel holds a connection that sends nothing; then it is passed to accept anyway.
const DEFER: u32 = 1;

/// A listening socket.
pub struct Listener {
    /// The address that it is bound to.
    pub addr: Addr,
    /// None once closed; the slot remains, since connections refer to it.
    fd: Option<OwnedFd>,
    /// It is registered with epoll: connections are accepted from it.
    pub watched: bool,
    source: SocketSource,
    /// Its options as they should be; noted by a process that shares it with others ([`Listeners::note_options`]).
    options: Option<KeptOptions>,
}

impl Listener {
    fn new(addr: Addr, fd: OwnedFd, source: SocketSource) -> Listener {
        Listener { addr, fd: Some(fd), watched: false, source, options: None }
    }
}

/// Where a socket comes from, which decides who removes the file of a unix socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SocketSource {
    /// Bound by this process, which removes it.
    Bound,
    /// Inherited from the binary that started this one: that process removes the file, or this one once that has exited
    /// (nginx).
    Parent(i32),
    /// From a socket unit, whose manager keeps listening.
    Unit,
}

impl SocketSource {
    fn removes(self) -> bool {
        match self {
            SocketSource::Bound => true,
            SocketSource::Parent(pid) => process::getppid() != pid,
            SocketSource::Unit => false,
        }
    }
}

impl Listener {
    /// Closes the socket. Also removes the file of a unix socket, unless another process serves it (`is_shared`) or
    /// created it.
    fn close(&mut self, is_shared: bool) {
        if self.fd.take().is_some()
            && !is_shared
            && self.source.removes()
            && let Addr::Unix(path) = &self.addr
        {
            // It may be gone already.
            let _ = std::fs::remove_file(path);
        }
        self.watched = false;
    }

    /// None: it is closed.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }
}

/// All sockets, by the numbers that connections know them by.
#[derive(Default)]
pub struct Listeners {
    all: Vec<Listener>,
    /// The listeners' endpoints in the current configuration.
    endpoints: Endpoints,
    /// Another process serves the same sockets, so this one removes no files.
    is_shared: bool,
    /// Addresses of the current configuration that have no socket: the kernel lacks their family.
    absent: Vec<Addr>,
    /// Unix sockets of the last configuration to which other users cannot connect, and why.
    closed: Vec<(Addr, Errno)>,
}

/// Opens and binds a socket; a parameter for tests.
type Bind = fn(&Addr, &ListenOptions) -> Result<OwnedFd, BindError>;

/// Sockets for a new binary.
pub struct PassedSockets<'l> {
    /// `fd;fd;`, nginx's format.
    pub names: String,
    /// Those from a socket unit.
    pub units: String,
    /// In the order of the names.
    pub fds: Vec<BorrowedFd<'l>>,
}

/// The environment variables that pass them.
pub const NAMES: &str = "NGINX";
/// The variable that carries [`PassedSockets::units`].
pub const UNITS: &str = "WEBSERV_UNIT";

/// A socket that could not be opened.
#[derive(Debug)]
pub struct BindError {
    /// As in the log: `bind()`.
    pub call: &'static str,
    /// The address.
    pub addr: Addr,
    /// Its error. EADDRINUSE: another process listens there.
    pub errno: Errno,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}() to {} failed {}", self.call, self.addr, self.errno)
    }
}

/// Why an inherited descriptor is not used. It is closed.
#[derive(Debug)]
pub enum Useless {
    /// A system call failed.
    Call(Errno),
    /// A socket of another type: datagram (`ListenDatagram=` of a unit) or seqpacket.
    NoStream,
    /// It is connected (`Accept=yes` of a unit), or does not listen, so no client could connect.
    DoesNotListen,
}

impl std::fmt::Display for Useless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Useless::Call(errno) => errno.fmt(f),
            Useless::NoStream => f.write_str("(it is not a stream socket)"),
            Useless::DoesNotListen => f.write_str("(it does not listen)"),
        }
    }
}

impl From<Errno> for Useless {
    fn from(errno: Errno) -> Useless {
        Useless::Call(errno)
    }
}

impl Listeners {
    /// Slots, closed ones among them.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// There is none, be it open or closed.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// By the number that a connection has.
    pub fn get(&self, at: usize) -> Option<&Listener> {
        self.all.get(at)
    }

    /// With the closed ones.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Listener> {
        self.all.iter_mut()
    }

    /// The addresses being served.
    pub fn addresses(&self) -> impl Iterator<Item = &Addr> {
        self.all.iter().filter(|l| l.fd.is_some()).map(|l| &l.addr)
    }

    /// Ports of sockets that take IPv6 and IPv4, so that no socket of IPv4 alone can have them.
    pub fn dual_ports(&self) -> Vec<u16> {
        let of = |listener: &Listener| match &listener.addr {
            Addr::V6(v6) if v6.ip().is_unspecified() && socket::is_v6only(listener.fd()?) == Ok(false) => {
                Some(v6.port())
            }
            _ => None,
        };
        self.all.iter().filter_map(of).collect()
    }

    /// Takes the sockets inherited from the binary that started this one, as in `NGINX=fd;fd;`; `units` names those
    /// from a socket unit. Returns what could not be used.
    pub fn inherit(&mut self, names: &str, units: &str) -> Vec<(String, Useless)> {
        let (parent, units) = (SocketSource::Parent(process::getppid()), split(units).collect::<Vec<_>>());
        self.take(names, |name| if units.contains(&name) { SocketSource::Unit } else { parent })
    }

    /// Takes the sockets of a socket unit, named in the same format.
    pub fn activate(&mut self, names: &str) -> Vec<(String, Useless)> {
        self.take(names, |_| SocketSource::Unit)
    }

    fn take(&mut self, names: &str, source: impl Fn(&str) -> SocketSource) -> Vec<(String, Useless)> {
        let mut failed = Vec::new();
        for name in split(names) {
            match name.parse().map_err(|_| Useless::Call(Errno::EINVAL)).and_then(take_over) {
                Ok((addr, fd)) => {
                    self.all.push(Listener::new(addr, fd, source(name)));
                }
                Err(e) => failed.push((name.to_owned(), e)),
            }
        }
        failed
    }

    /// Opens a socket for every address of `config`: existing ones keep their descriptor and backlog, new ones are
    /// bound, others closed. On an error nothing changes.
    ///
    /// An IPv6 address is left out on a kernel without IPv6 where IPv4 serves the same sites by the same port: the
    /// usual pair of `listen 80` and `listen [::]:80` has to start on any machine. [`Listeners::warnings`] names it.
    pub fn open(&mut self, config: &Config) -> Result<(), BindError> {
        self.open_by(config, bound)
    }

    fn open_by(&mut self, config: &Config, bind: Bind) -> Result<(), BindError> {
        let (mut fresh, mut absent, mut closed) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in &config.sockets {
            let options = &config.endpoints[wanted.endpoint.at()].options;
            if !self.all.iter().any(|l| l.fd.is_some() && l.addr == wanted.addr) {
                match bind(&wanted.addr, options) {
                    Ok(fd) => {
                        closed.extend(let_all_connect(&wanted.addr).err().map(|e| (wanted.addr.clone(), e)));
                        fresh.push(Listener::new(wanted.addr.clone(), fd, SocketSource::Bound));
                    }
                    Err(e) if e.errno == Errno::EAFNOSUPPORT && is_served_by_v4(wanted, config) => {
                        absent.push(wanted.addr.clone());
                    }
                    Err(e) => {
                        // Their files would stay, and nothing listens there.
                        fresh.iter_mut().for_each(|listener: &mut Listener| listener.close(false));
                        return Err(e);
                    }
                }
            }
        }
        self.all.append(&mut fresh);
        (self.absent, self.closed) = (absent, closed);
        self.apply_options(config);
        Ok(())
    }

    /// Gives the sockets the options of a configuration, and closes those that it has not.
    fn apply_options(&mut self, config: &Config) {
        // A status page must also count connections that send nothing yet.
        let counted = config.locations.iter().any(|location| {
            matches!(location.content, ContentHandler::StubStatus | ContentHandler::Api(_) | ContentHandler::Prometheus)
        });
        let defer = if counted { 0 } else { DEFER };
        for (at, listener) in self.all.iter_mut().enumerate() {
            let wanted = config.sockets.iter().find(|s| s.addr == listener.addr);
            match wanted {
                Some(wanted) if listener.fd.is_some() => {
                    self.endpoints.set(at, Some(wanted.endpoint), &wanted.special);
                    if let Some(fd) = &listener.fd {
                        tune(fd.as_fd(), &listener.addr, &config.endpoints[wanted.endpoint.at()].options, defer);
                    }
                }
                _ => {
                    self.endpoints.set(at, None, &[]);
                    listener.close(self.is_shared);
                }
            }
        }
    }

    /// What of the last configuration is not as it says: addresses that have no socket on this machine, and sockets
    /// that most cannot reach.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let absent = self.absent.iter().map(|addr| {
            let port = addr.port().unwrap_or(0);
            format!("this machine has no IPv6: \"listen {addr}\" is skipped; IPv4 serves its sites on port {port}")
        });
        let closed = self
            .closed
            .iter()
            .map(|(addr, e)| format!("chmod() of \"{addr}\" failed {e}: other users may not be able to connect to it"));
        absent.chain(closed)
    }

    /// Closes all listeners.
    pub fn close(&mut self) {
        for listener in &mut self.all {
            listener.close(self.is_shared);
        }
    }

    /// Whether another process serves the same sockets: then it removes the files of unix sockets.
    pub fn share(&mut self, is_shared: bool) {
        self.is_shared = is_shared;
    }

    /// Accepting must not block. The flag is shared by all processes with the sockets, and one that crashed may have
    /// cleared it.
    pub fn do_not_block(&self) {
        for fd in self.all.iter().filter_map(Listener::fd) {
            // fcntl() of an open socket does not fail.
            let _ = socket::set_nonblocking(fd, true);
        }
    }

    /// The descriptors for a new binary.
    pub fn handover(&self) -> PassedSockets<'_> {
        let mut handover = PassedSockets { names: String::new(), units: String::new(), fds: Vec::new() };
        for (fd, source) in self.all.iter().filter_map(|listener| Some((listener.fd()?, listener.source))) {
            let name = format!("{};", fd.as_raw_fd());
            handover.names.push_str(&name);
            if source == SocketSource::Unit {
                handover.units.push_str(&name);
            }
            handover.fds.push(fd);
        }
        handover
    }

    /// The endpoint of each listener.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Whether its connections may begin with a TLS handshake.
    pub fn is_ssl(&self, at: usize, config: &Config) -> bool {
        self.endpoints.all_of(at).any(|id| config.endpoints[id.at()].ssl.is_some())
    }

    /// Whether a connection that was accepted now begins with a header of the PROXY protocol.
    pub fn wants_proxy_header(&self, at: usize, conn: Option<BorrowedFd<'_>>, config: &Config) -> bool {
        let wants = |id: EndpointId| config.endpoints[id.at()].proxy_protocol;
        // The address that it was accepted by costs a call.
        self.endpoints.all_of(at).any(wants) && self.endpoints.find(at as u16, conn).is_some_and(wants)
    }

    /// client_header_timeout of the default server: the first deadline of a connection.
    pub fn header_timeout(&self, at: usize, config: &Config) -> u64 {
        let endpoint = self.endpoints.of_listener(at);
        endpoint.map_or(60_000, |id| config.header_timeout(id))
    }
}

/// Takes a listening socket by descriptor number; returns it with its address.
fn take_over(number: i32) -> Result<(Addr, OwnedFd), Useless> {
    let fd = socket::inherit(number)?;
    if !socket::is_stream(fd.as_fd())? {
        return Err(Useless::NoStream);
    }
    if !socket::is_listening(fd.as_fd())? {
        return Err(Useless::DoesNotListen);
    }
    socket::set_nonblocking(fd.as_fd(), true)?;
    Ok((socket::local_addr(fd.as_fd())?, fd))
}

/// `fd;fd;`, also with colons.
fn split(names: &str) -> impl Iterator<Item = &str> {
    names.split([';', ':']).filter(|name| !name.is_empty())
}

/// Checks what a test can without taking a running server's sockets: that some interface has each address, and that the
/// directory of each unix socket exists. Skipped for an unsupported address family.
///
/// # Errors
/// The first such address.
pub fn are_local(config: &Config) -> Result<(), BindError> {
    for addr in config.sockets.iter().map(|wanted| &wanted.addr) {
        // Any port: the actual one may be held by the running server, or need privileges that the test lacks.
        let mut probe = addr.clone();
        match &mut probe {
            Addr::V4(v4) if !v4.ip().is_unspecified() => v4.set_port(0),
            Addr::V6(v6) if !v6.ip().is_unspecified() => v6.set_port(0),
            Addr::Unix(path) if run_directory::is_to_come(path) => continue,
            Addr::Unix(path) if path.parent().is_some_and(|dir| !dir.as_os_str().is_empty() && !dir.exists()) => {
                return Err(BindError { call: "bind", addr: addr.clone(), errno: Errno::ENOENT });
            }
            _ => continue,
        }
        let Ok(fd) = socket::socket(probe.family()) else { continue };
        if let Err(errno @ Errno::EADDRNOTAVAIL) = socket::bind(fd.as_fd(), &probe) {
            return Err(BindError { call: "bind", addr: addr.clone(), errno });
        }
    }
    Ok(())
}

/// Addresses that this process may not listen on for want of rights: ports below 1024 (a start would fail). Binds
/// and closes sockets, as a start does.
pub fn privileged(config: &Config) -> impl Iterator<Item = &Addr> {
    let is_denied = |addr: &&Addr| {
        addr.port().is_some_and(|port| (1..1024).contains(&port))
            && socket::socket(addr.family()).is_ok_and(|fd| socket::bind(fd.as_fd(), addr) == Err(Errno::EACCES))
    };
    config.sockets.iter().map(|wanted| &wanted.addr).filter(is_denied)
}

/// Whether each site of an IPv6 socket has an IPv4 address of the same port, too.
fn is_served_by_v4(socket: &ListenSocket, config: &Config) -> bool {
    let servers = |id: &EndpointId| config.endpoints[id.at()].servers();
    let is_v4 =
        |endpoint: &&Endpoint| matches!(endpoint.addr, Addr::V4(_)) && endpoint.addr.port() == socket.addr.port();
    let of_v4: Vec<ServerId> = config.endpoints.iter().filter(is_v4).flat_map(Endpoint::servers).collect();
    let mut own = std::iter::once(&socket.endpoint).chain(socket.special.iter().map(|(_, id)| id)).flat_map(servers);
    matches!(socket.addr, Addr::V6(_)) && own.all(|server| of_v4.contains(&server))
}

/// The directory's permissions decide which users may connect to a unix socket (nginx also opens it to all).
fn let_all_connect(addr: &Addr) -> Result<(), Errno> {
    match addr {
        Addr::Unix(path) => open::let_all_connect(path),
        _ => Ok(()),
    }
}

fn bound(addr: &Addr, options: &ListenOptions) -> Result<OwnedFd, BindError> {
    let failed = |call: &'static str| {
        let addr = addr.clone();
        move |errno| BindError { call, addr, errno }
    };
    let fd = socket::socket(addr.family()).map_err(failed("socket"))?;
    if addr.family() != Family::Unix {
        socket::reuseaddr(fd.as_fd(), true).map_err(failed("setsockopt(SO_REUSEADDR)"))?;
    }
    if addr.family() == Family::V6 {
        socket::v6only(fd.as_fd(), options.ipv6only.unwrap_or(true)).map_err(failed("setsockopt(IPV6_V6ONLY)"))?;
    }
    if options.reuseport {
        socket::reuseport(fd.as_fd(), true).map_err(failed("setsockopt(SO_REUSEPORT)"))?;
    }
    if let Some(bytes) = options.rcvbuf {
        socket::rcvbuf(fd.as_fd(), bytes as u32).map_err(failed("setsockopt(SO_RCVBUF)"))?;
    }
    if let Some(bytes) = options.sndbuf {
        socket::sndbuf(fd.as_fd(), bytes as u32).map_err(failed("setsockopt(SO_SNDBUF)"))?;
    }
    match socket::bind(fd.as_fd(), addr) {
        // A socket file without a listener was left by a killed process.
        Err(Errno::EADDRINUSE) if is_abandoned(addr) => {
            if let Addr::Unix(path) = addr {
                // It may be gone already.
                let _ = std::fs::remove_file(path);
            }
            socket::bind(fd.as_fd(), addr).map_err(failed("bind"))?;
        }
        outcome => outcome.map_err(failed("bind"))?,
    }
    socket::listen(fd.as_fd(), options.backlog.unwrap_or(BACKLOG)).map_err(failed("listen"))?;
    Ok(fd)
}

/// Sets options that accepted sockets inherit, and those that a reload may change.
fn tune(fd: BorrowedFd<'_>, addr: &Addr, options: &ListenOptions, defer: u32) {
    if addr.family() == Family::Unix {
        return;
    }
    // All of these are optional: a system that lacks one is only slower.
    let _ = socket::nodelay(fd, true);
    let _ = socket::defer_accept(fd, defer);
    if let Some((on, [idle, interval, count])) = options.keepalive {
        let _ = socket::keepalive(fd, on, idle, interval, count);
    }
    if let Some(queue) = options.fastopen {
        let _ = socket::fastopen(fd, queue.max(0) as u32);
    }
}

fn is_abandoned(addr: &Addr) -> bool {
    if addr.family() != Family::Unix {
        return false;
    }
    // A file that is not a socket is left alone (nginx).
    let Addr::Unix(path) = addr else { return false };
    if !std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        return false;
    }
    let Ok(probe) = socket::socket(Family::Unix) else { return false };
    socket::connect(probe.as_fd(), addr) == Err(Errno::ECONNREFUSED)
}

#[cfg(test)]
mod tests;

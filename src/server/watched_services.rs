//! Which services are registered with epoll.

/// One flag for each epoll that a service has of its own.
#[derive(Default)]
pub(super) struct Watched {
    /// The resolver's sockets.
    pub(super) resolver: bool,
    /// The programs' epoll.
    pub(super) children: bool,
}

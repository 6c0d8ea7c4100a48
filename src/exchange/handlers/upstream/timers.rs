//! What a request to an upstream waits for, by name: what the upstream has to do, and what its client has to do
//! meanwhile. Its connection holds the one deadline that comes first (`conn::timers`); which of these has run out
//! decides what is done.

/// What the upstream has to do next; two of them are no limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpstreamTimer {
    /// The name of its host is resolved (resolver_timeout).
    Resolve,
    /// It accepts the connection (proxy_connect_timeout).
    Connect,
    /// Its TLS handshake is over; of the same time (proxy_connect_timeout).
    Handshake,
    /// It takes some of the request (proxy_send_timeout).
    Send,
    /// It sends some of the response, or of what a tunnel carries (proxy_read_timeout).
    Read,
    /// Not a limit: a program has just been started, and may end before its output is watched.
    QuickExit,
    /// Not a limit: a program has closed its output, and its exit may tell that it was killed.
    Exit,
}

/// What the client has to do next. What holds its bytes back (limit_rate) is no timer of its own: it is the exchange's
/// pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientTimer {
    /// It sends some of its body, or of what a tunnel carries (client_body_timeout).
    Body,
    /// It takes some of the response (send_timeout).
    Send,
}

/// A timer and when it runs out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NamedDeadline<T> {
    pub timer: T,
    /// Monotonic milliseconds.
    pub at: u64,
}

/// What the upstream has to do, and until when.
pub type UpstreamDeadline = NamedDeadline<UpstreamTimer>;

/// What the client has to do, and until when.
pub type ClientDeadline = NamedDeadline<ClientTimer>;

impl<T> NamedDeadline<T> {
    /// `at`: monotonic milliseconds.
    pub fn new(timer: T, at: u64) -> NamedDeadline<T> {
        NamedDeadline { timer, at }
    }

    /// The timer follows the one that is running, and has what is left of its time.
    pub fn continue_as(&mut self, timer: T) {
        self.timer = timer;
    }
}

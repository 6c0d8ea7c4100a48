//! What a request to an upstream waits for, by name. Its connection holds the one deadline that comes first
//! (`conn::timers`); which of these has run out decides what is done.

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

/// A timer and when it runs out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpstreamDeadline {
    pub timer: UpstreamTimer,
    /// Monotonic milliseconds.
    pub at: u64,
}

impl UpstreamDeadline {
    /// `at`: monotonic milliseconds.
    pub fn new(timer: UpstreamTimer, at: u64) -> UpstreamDeadline {
        UpstreamDeadline { timer, at }
    }

    /// The timer follows the one that is running, and has what is left of its time.
    pub fn passes_to(&mut self, timer: UpstreamTimer) {
        self.timer = timer;
    }
}

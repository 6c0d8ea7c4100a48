//! Deadlines by name. Which timer has run out decides what is done with the connection ([`super::drive::timeout`]).
//!
//! One deadline a connection, not a table of timers as a QUIC connection needs: HTTP/1 and each stream of HTTP/2 wait
//! for one thing at a time, and ten thousand idle connections pay for what stands here. A proxied exchange waits for
//! its client and for its upstream at once: it holds a deadline for either beside its state, each with timers of its
//! own ([`ClientTimer`], [`UpstreamTimer`](crate::exchange::handlers::upstream::timers::UpstreamTimer)), and the
//! earlier is the connection's.

use crate::exchange::handlers::upstream::timers::{ClientDeadline, ClientTimer};

/// What a connection's deadline is for: a limit, or the time at which it goes on (Tickets, Pause, Work, Spool).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// The first byte of a request, or the rest of its head (client_header_timeout).
    Header,
    /// Not a limit: TLS session tickets have waited long enough to be sent together with the first response.
    Tickets,
    /// The next request of a connection that had one (keepalive_timeout).
    KeepAlive,
    /// The next bytes of a body (client_body_timeout).
    Body,
    /// Until the client takes some of the response (send_timeout).
    Send,
    /// The next bytes of a body that is thrown away (lingering_timeout).
    Drain,
    /// Until the client closes its side, once its last response is out (lingering_time, lingering_timeout).
    Linger,
    /// Not a limit: the end of a delay (limit_rate, limit_req, upload_limit_rate).
    Pause,
    /// Not a limit: work on files continues, or the disk has not answered yet.
    Work,
    /// What the upstream has to do, by
    /// [`UpstreamTimer`](crate::exchange::handlers::upstream::timers::UpstreamTimer) (proxy_*_timeout).
    Upstream,
    /// Not a limit: from then on, what the upstream sends goes to a file, if the client has not taken more by then.
    Spool,
}

impl Timer {
    /// Its name in the log: the directive that sets it, or its purpose.
    pub fn label(self) -> &'static str {
        match self {
            Timer::Header => "client_header_timeout",
            Timer::Tickets => "TLS session tickets",
            Timer::KeepAlive => "keepalive_timeout",
            Timer::Body => "client_body_timeout",
            Timer::Send => "send_timeout",
            Timer::Drain => "lingering_timeout",
            Timer::Linger => "lingering_time or lingering_timeout",
            Timer::Pause => "a delay",
            Timer::Work => "work on files",
            Timer::Upstream => "the upstream's timeouts",
            Timer::Spool => "the spooling of a response",
        }
    }
}

const ALL: [Timer; 11] = [
    Timer::Header,
    Timer::Tickets,
    Timer::KeepAlive,
    Timer::Body,
    Timer::Send,
    Timer::Drain,
    Timer::Linger,
    Timer::Pause,
    Timer::Work,
    Timer::Upstream,
    Timer::Spool,
];

/// A timer and when it runs out, packed into one number: the earlier of two deadlines compares as the smaller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(u64);

impl Deadline {
    const BITS: u32 = 4;

    /// `at`: monotonic milliseconds.
    pub fn new(timer: Timer, at: u64) -> Deadline {
        Deadline(at.min(u64::MAX >> Deadline::BITS) << Deadline::BITS | timer as u64)
    }

    /// Monotonic milliseconds.
    pub fn at(self) -> u64 {
        self.0 >> Deadline::BITS
    }

    /// Which timer it is: what to do when it has run out.
    pub fn timer(self) -> Timer {
        ALL.get((self.0 & 0xf) as usize).copied().unwrap_or(Timer::Header)
    }
}

impl Deadline {
    /// As the deadline that a proxied exchange holds for its client. None: it is of no timer of the client's.
    pub fn of_client(self) -> Option<ClientDeadline> {
        let timer = match self.timer() {
            Timer::Body => ClientTimer::Body,
            Timer::Send => ClientTimer::Send,
            _ => return None,
        };
        Some(ClientDeadline::new(timer, self.at()))
    }
}

impl From<ClientDeadline> for Deadline {
    fn from(client: ClientDeadline) -> Deadline {
        let timer = match client.timer {
            ClientTimer::Body => Timer::Body,
            ClientTimer::Send => Timer::Send,
        };
        Deadline::new(timer, client.at)
    }
}

impl std::fmt::Debug for Deadline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {}", self.timer(), self.at())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_keeps_its_name_and_the_earlier_is_the_smaller() {
        for (number, timer) in ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, number);
            for at in [0, 1, 1_000_000_007, u64::MAX >> 4] {
                assert_eq!((Deadline::new(timer, at).timer(), Deadline::new(timer, at).at()), (timer, at));
            }
            assert!(Deadline::new(timer, 5) < Deadline::new(Timer::Header, 6), "{timer:?}");
        }
        assert_eq!(Deadline::new(Timer::Send, u64::MAX).timer(), Timer::Send);
        for timer in [ClientTimer::Body, ClientTimer::Send] {
            let client = ClientDeadline::new(timer, 7);
            assert_eq!(Deadline::from(client).of_client(), Some(client));
        }
        assert_eq!(Deadline::new(Timer::Pause, 7).of_client(), None);
    }
}

//! How many requests a connection has had, and how many of them broke a rule: packed into one number, since each of ten
//! thousand idle connections has one.

/// Requests are counted up to this.
const MOST: u32 = 0x007f_ffff;
/// See [`Served::await_proxy_header`].
const AWAITS: u32 = MOST + 1;

/// The upper eight bits count glitches, the lower 23 requests; both stay at their maximum.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Served(u32);

impl Served {
    /// Requests that were begun (`$connection_requests`).
    pub fn requests(self) -> u32 {
        self.0 & MOST
    }

    /// Counts requests that were begun.
    pub fn add(&mut self, requests: u32) {
        self.0 = self.0 & !MOST | self.requests().saturating_add(requests).min(MOST);
    }

    /// Counted up to 255.
    pub fn glitches(self) -> u32 {
        self.0 >> 24
    }

    /// Counts a request that broke a rule (keepalive_glitches).
    pub fn add_glitch(&mut self) {
        self.0 = (self.glitches() + 1).min(0xff) << 24 | self.0 & (AWAITS | MOST);
    }

    /// The connection begins with a header of the PROXY protocol, by its listener's flags when it was accepted: a
    /// reload may change them.
    pub fn await_proxy_header(&mut self) {
        self.0 |= AWAITS;
    }

    /// See [`Served::await_proxy_header`].
    pub fn awaits_proxy_header(self) -> bool {
        self.0 & AWAITS != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_number_runs_into_the_other() {
        let mut served = Served::default();
        served.add(3);
        assert!(!served.awaits_proxy_header());
        served.await_proxy_header();
        (0..300).for_each(|_| served.add_glitch());
        assert_eq!((served.requests(), served.glitches()), (3, 255));
        assert!(served.awaits_proxy_header());
        served.add(u32::MAX);
        served.add(1);
        assert_eq!((served.requests(), served.glitches()), (MOST, 255));
    }
}

//! Listening sockets that were shut down. All processes with a socket share its state, and connect() to AF_UNSPEC,
//! which no seccomp filter can tell from another connect(), ends a TCP socket for all of them: one serving process that
//! was taken over must not end service for good.

use super::{BACKLOG, BindError, Listener, Listeners, Origin, open};
use crate::config::model::{Config, ListenOptions};
use crate::sys::Errno;
use crate::sys::socket::{self, Addr};
use std::os::fd::AsFd;

/// What became of a socket that was shut down.
pub struct Mended {
    /// Its address.
    pub addr: Addr,
    /// What was done, or why nothing could be.
    pub how: Result<How, BindError>,
}

/// How it was mended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// The same socket listens again, for all processes that have it.
    Listens,
    /// Another socket has the address; processes with the old one need a successor.
    Bound,
}

impl Listener {
    /// Lets a socket listen again that was shut down. False: it does not, or has lost its address.
    fn listen_again(&self, options: &ListenOptions) -> bool {
        self.fd().is_some_and(|fd| {
            socket::listen(fd, options.backlog.unwrap_or(BACKLOG)).is_ok()
                && !socket::is_shut_down(fd)
                && socket::local_addr(fd).is_ok_and(|addr| addr == self.addr)
        })
    }

    fn mend(&mut self, options: &ListenOptions) -> Result<How, BindError> {
        if self.listen_again(options) {
            return Ok(How::Listens);
        }
        // The manager of a socket unit would keep the old socket.
        if self.origin == Origin::Unit {
            return Err(BindError { call: "listen", addr: self.addr.clone(), errno: Errno::EINVAL });
        }
        self.fd = Some(open(&self.addr, options)?);
        (self.origin, self.watched) = (Origin::Bound, false);
        Ok(How::Bound)
    }
}

impl Listeners {
    /// Lets all sockets listen again that were shut down, or binds others in their place.
    pub fn mend(&mut self, config: &Config) -> Vec<Mended> {
        let is_ended =
            |listener: &&mut Listener| listener.fd.as_ref().is_some_and(|fd| socket::is_shut_down(fd.as_fd()));
        let ended = self.all.iter_mut().filter(is_ended);
        let mended = ended.filter_map(|listener| {
            let options = options_of(listener, config)?;
            Some(Mended { addr: listener.addr.clone(), how: listener.mend(options) })
        });
        mended.collect()
    }

    /// As [`Listeners::mend`], for a process that may not bind: whether the socket listens again.
    pub fn listen_again(&self, at: usize, config: &Config) -> bool {
        let listener = self.all.get(at);
        listener.is_some_and(|l| options_of(l, config).is_some_and(|options| l.listen_again(options)))
    }
}

fn options_of<'c>(listener: &Listener, config: &'c Config) -> Option<&'c ListenOptions> {
    let wanted = config.sockets.iter().find(|socket| socket.addr == listener.addr)?;
    Some(&config.endpoints[wanted.endpoint.at()].options)
}

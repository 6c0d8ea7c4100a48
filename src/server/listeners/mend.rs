//! Listening sockets that were shut down, or have other options than they had. All processes with a socket share its
//! state, and connect() to AF_UNSPEC, which no seccomp filter can tell from another connect(), ends a TCP socket for
//! all of them, as the options that the sandbox allows change it for all: one serving process that was taken over must
//! not end service for good.

use super::{BACKLOG, BindError, Listener, Listeners, SocketSource, bound, let_all_connect};
use crate::config::model::{Config, ListenOptions};
use crate::sys::Errno;
use crate::sys::socket::{self, Addr, KeptOptions};
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
        if self.source == SocketSource::Unit {
            return Err(BindError { call: "listen", addr: self.addr.clone(), errno: Errno::EINVAL });
        }
        self.fd = Some(bound(&self.addr, options)?);
        // If this fails, it failed, and was a warning, when the address was bound first.
        let _ = let_all_connect(&self.addr);
        self.options = None;
        (self.source, self.watched) = (SocketSource::Bound, false);
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

    /// Notes the options of all sockets, before another process has them.
    pub fn note_options(&mut self) {
        for listener in &mut self.all {
            listener.options = listener.fd().map(KeptOptions::of);
        }
    }

    /// Restores the options that were noted; notes those of sockets that have none noted yet. Calls `each` for those
    /// that had others, with the error if one stays.
    pub fn restore_options(&mut self, mut each: impl FnMut(&Addr, Option<Errno>)) {
        for listener in &mut self.all {
            let Some(fd) = listener.fd() else { continue };
            match &listener.options {
                None => listener.options = Some(KeptOptions::of(fd)),
                Some(options) => match options.restore(fd) {
                    Ok(false) => {}
                    Ok(true) => {
                        // Some options read back with another value once they were set.
                        listener.options = Some(KeptOptions::of(fd));
                        each(&listener.addr, None);
                    }
                    Err(e) => each(&listener.addr, Some(e)),
                },
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn options_that_a_serving_process_set_on_a_listener_are_not_its_successors() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let (theirs, mut listeners) = (socket.try_clone().expect("a descriptor"), Listeners::default());
        assert!(listeners.activate(&format!("{};", socket.into_raw_fd())).is_empty());
        let mut restored = || {
            let mut restored = Vec::new();
            listeners.restore_options(|_, failed| restored.push(failed));
            restored
        };
        assert_eq!(restored(), [], "noted for the first time");
        socket::linger_reset(theirs.as_fd()).expect("setsockopt");
        assert_eq!(restored(), [None]);
        assert_eq!(restored(), []);
    }
}

//! Access: methods and addresses.

use crate::config::addr::Cidr;
use crate::config::ast::Span;
use crate::http::method::MethodSet;
use crate::util::networks::Networks;
use std::net::IpAddr;
use std::rc::Rc;

/// allowed_methods, allow, deny.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// None: the default for what the location does.
    pub allowed: Option<MethodSet>,
    /// In order; the first match decides.
    pub rules: Rc<Rules>,
}

/// Address rules in order, with an index to find the first match.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    list: Vec<Rule>,
    /// For each network, its first rule.
    networks: Networks,
    unix: Option<u32>,
    all: Option<u32>,
}

impl Rules {
    /// All clients are let in.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Behind the others: an earlier rule decides.
    pub fn push(&mut self, rule: Rule) {
        let at = self.list.len() as u32;
        match &rule.who {
            Who::All => self.all = self.all.or(Some(at)),
            Who::Unix => self.unix = self.unix.or(Some(at)),
            Who::Net(net) => self.networks.insert_first(net.ip, net.prefix, at),
        }
        self.list.push(rule);
    }

    /// The first rule that matches the client. None: a client on a Unix socket. IPv4-mapped addresses must be passed as
    /// IPv4.
    pub fn first(&self, ip: Option<IpAddr>) -> Option<&Rule> {
        let own = match ip {
            Some(ip) => self.networks.all(ip).min(),
            None => self.unix,
        };
        own.into_iter().chain(self.all).min().and_then(|at| self.list.get(at as usize))
    }
}

/// One `allow` or `deny`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Otherwise it denies.
    pub allow: bool,
    /// Whom it is about.
    pub who: Who,
    /// The directive.
    pub span: Span,
}

/// The argument of a rule.
#[derive(Clone, Debug)]
pub enum Who {
    /// `all`.
    All,
    /// `unix:`: clients of Unix sockets.
    Unix,
    /// An address or a network.
    Net(Cidr),
}

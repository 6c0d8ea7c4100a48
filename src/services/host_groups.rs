//! Upstream groups for hosts in a proxy_pass with variables: requests that got the same answer of a name server share
//! one.
//!
//! What bounds it: a group has at most [`ADDRESSES`] servers, however many addresses the answer has, and a request adds
//! nothing to an existing group. A group ends with the last request that uses it.

use crate::config::addr::PeerAddr;
use crate::config::settings::upstream::Upstream;
use crate::util::hash::FastMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};

/// Maximum number of addresses of an answer that are used; each new group starts at another one.
const ADDRESSES: usize = 256;
/// Number of groups up to which unused ones are not searched for.
const FEW: usize = 64;

/// The groups in use.
#[derive(Default)]
pub struct HostGroups {
    /// By the address of the list, which the entry keeps alive, and the port.
    groups: FastMap<(usize, u16), Made>,
    /// The number of groups at which unused ones are searched for.
    full: usize,
    /// Which address comes first in the next group (round robin).
    turn: usize,
}

struct Made {
    /// Keeps the address of the list from being reused.
    _ips: Rc<[IpAddr]>,
    upstream: Weak<Upstream>,
}

impl HostGroups {
    /// The servers at these addresses of the host.
    pub fn at(&mut self, host: &str, ips: &Rc<[IpAddr]>, port: u16) -> Rc<Upstream> {
        let key = (Rc::as_ptr(ips).cast::<IpAddr>().addr(), port);
        if let Some(known) = self.groups.get(&key).and_then(|made| made.upstream.upgrade()) {
            return known;
        }
        if self.groups.len() >= self.full.max(FEW) {
            self.groups.retain(|_, made| made.upstream.strong_count() > 0);
            // Doubled, so that on average each new group pays for checking two.
            self.full = 2 * self.groups.len();
        }
        let upstream = Rc::new(of_addresses(host, ips, self.turn, port));
        self.turn = self.turn.wrapping_add(1);
        self.groups.insert(key, Made { _ips: ips.clone(), upstream: Rc::downgrade(&upstream) });
        upstream
    }
}

fn of_addresses(host: &str, ips: &[IpAddr], turn: usize, port: u16) -> Upstream {
    let first = turn.checked_rem(ips.len()).unwrap_or_default();
    let turned = ips.iter().cycle().skip(first).take(ips.len().min(ADDRESSES));
    let addrs = turned.map(|ip| SocketAddr::new(*ip, port)).collect();
    let mut upstream = Upstream::of(host, PeerAddr::Inet(addrs));
    // Each request tries them as if for the first time (nginx).
    upstream.peers.iter_mut().for_each(|peer| peer.max_fails = 0);
    upstream
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn list(count: u32) -> Rc<[IpAddr]> {
        (0..count).map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0001 + n))).collect()
    }

    #[test]
    fn requests_for_a_name_with_thousands_of_addresses_share_one_group() {
        let (mut groups, ips) = (HostGroups::default(), list(4000));
        let one = groups.at("many.test", &ips, 80);
        let others: Vec<_> = (0..1000).map(|_| groups.at("MANY.test", &ips, 80)).collect();
        assert!(others.iter().all(|other| Rc::ptr_eq(other, &one)));
        assert_eq!((one.peers.len(), groups.groups.len()), (ADDRESSES, 1));
        assert!(!Rc::ptr_eq(&one, &groups.at("many.test", &ips, 81)), "another port");
        assert!(!Rc::ptr_eq(&one, &groups.at("many.test", &list(4000), 80)), "another answer");
    }

    #[test]
    fn each_new_group_begins_with_another_address() {
        let mut groups = HostGroups::default();
        let first = |groups: &mut HostGroups| groups.at("a.test", &list(3), 80).peers[0].name.to_string();
        let seen: std::collections::BTreeSet<String> = (0..3).map(|_| first(&mut groups)).collect();
        assert_eq!(seen.len(), 3);
        assert_eq!(groups.at("a.test", &list(0), 80).peers.len(), 0);
    }

    #[test]
    fn groups_of_requests_that_have_ended_are_dropped() {
        let (mut groups, ips) = (HostGroups::default(), list(2));
        let used = groups.at("a.test", &ips, 1);
        for port in 2..1000 {
            groups.at("a.test", &ips, port);
        }
        assert!(groups.groups.len() <= FEW, "{}", groups.groups.len());
        assert!(Rc::ptr_eq(&used, &groups.at("a.test", &ips, 1)));
    }
}

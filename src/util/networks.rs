//! Networks of addresses, each with a number: a look-up tries each prefix length once, however many networks there are.

use super::hash::FastMap;
use std::net::IpAddr;

/// By prefix length, the longest first: (IPv6, length, network to number).
#[derive(Clone, Debug, Default)]
pub struct Networks(Vec<(bool, u8, FastMap<u128, u32>)>);

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl Networks {
    /// No network is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `ip` is without host bits. Gives the number that the network had before.
    pub fn insert(&mut self, ip: IpAddr, prefix: u8, number: u32) -> Option<u32> {
        self.table(ip, prefix).insert(bits(ip), number)
    }

    /// As [`Networks::insert`], but a network that has a number keeps it.
    pub fn insert_first(&mut self, ip: IpAddr, prefix: u8, number: u32) {
        self.table(ip, prefix).entry(bits(ip)).or_insert(number);
    }

    fn table(&mut self, ip: IpAddr, prefix: u8) -> &mut FastMap<u128, u32> {
        let family = ip.is_ipv6();
        let at = self.0.iter().position(|(v6, length, _)| *v6 == family && *length == prefix).unwrap_or_else(|| {
            let at = self.0.partition_point(|(_, length, _)| *length > prefix);
            self.0.insert(at, (family, prefix, FastMap::default()));
            at
        });
        &mut self.0[at].2
    }

    /// False: there was none.
    pub fn remove(&mut self, ip: IpAddr, prefix: u8) -> bool {
        let table = self.0.iter_mut().find(|(v6, length, _)| *v6 == ip.is_ipv6() && *length == prefix);
        table.is_some_and(|(_, _, table)| table.remove(&bits(ip)).is_some())
    }

    /// The numbers of all networks that hold the address, that of the longest prefix first. Families are kept apart.
    pub fn all(&self, ip: IpAddr) -> impl Iterator<Item = u32> + '_ {
        let (family, whole) = (ip.is_ipv6(), bits(ip));
        let width = if family { 128 } else { 32 };
        self.0.iter().filter(move |(v6, _, _)| *v6 == family).filter_map(move |(_, prefix, table)| {
            let host = width - u32::from(*prefix);
            let network = whole.checked_shr(host).and_then(|n| n.checked_shl(host)).unwrap_or(0);
            table.get(&network).copied()
        })
    }

    /// The number of the network with the longest prefix that holds the address.
    pub fn longest(&self, ip: IpAddr) -> Option<u32> {
        self.all(ip).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_that_holds_an_address_is_found() {
        let mut networks = Networks::default();
        let nets = [("10.0.0.0", 8), ("10.1.0.0", 16), ("10.1.2.3", 32), ("0.0.0.0", 0), ("::", 0), ("fe80::", 10)];
        for (number, (ip, prefix)) in nets.into_iter().enumerate() {
            networks.insert_first(ip.parse().expect("an address"), prefix, number as u32);
        }
        networks.insert_first(IpAddr::from([10, 0, 0, 0]), 8, 9);
        for (ip, expected) in [
            ("10.1.2.3", &[2, 1, 0, 3][..]),
            ("10.1.9.9", &[1, 0, 3]),
            ("10.9.9.9", &[0, 3]),
            ("9.9.9.9", &[3]),
            ("fe80::1", &[5, 4]),
            ("::1", &[4]),
        ] {
            let found: Vec<u32> = networks.all(ip.parse().expect("an address")).collect();
            assert_eq!(found, expected, "{ip}");
        }
        assert!(networks.remove(IpAddr::from([10, 1, 0, 0]), 16));
        assert!(!networks.remove(IpAddr::from([10, 1, 0, 0]), 16));
        assert_eq!(networks.longest(IpAddr::from([10, 1, 9, 9])), Some(0));
    }
}

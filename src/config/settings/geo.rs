//! geo: a variable that depends on an address.

use crate::config::template::Template;
use crate::util::networks::Networks;
use std::net::{IpAddr, Ipv4Addr};

/// One `geo` block.
#[derive(Debug, Default)]
pub struct GeoTable {
    /// None: the client's address.
    pub source: Option<Template>,
    /// Proxies whose X-Forwarded-For is trusted.
    pub proxies: Networks,
    /// proxy_recursive.
    pub recursive: bool,
    /// Whether the value is looked up at each use.
    pub volatile: bool,
    /// Values, by the numbers that the rest uses.
    pub values: Vec<Box<[u8]>>,
    /// None: empty.
    pub default: Option<u32>,
    /// Networks with their values.
    pub nets: Networks,
    /// With `ranges`: ranges of IPv4 addresses with their values.
    pub ranges: Ranges,
}

impl GeoTable {
    /// The value for an address; IPv4-mapped addresses count as IPv4. As in nginx, an unknown address (None), or an
    /// IPv6 address in a table of ranges, counts as 255.255.255.255.
    pub fn find(&self, ip: Option<IpAddr>) -> &[u8] {
        let found = self.named(ip).or(self.default);
        found.and_then(|at| self.values.get(at as usize)).map_or(b"", |v| v)
    }

    /// The value of a network or a range that is written down for the address. None: it has the default.
    pub fn named(&self, ip: Option<IpAddr>) -> Option<u32> {
        let none = Ipv4Addr::BROADCAST;
        match ip.map_or(IpAddr::V4(none), |ip| ip.to_canonical()) {
            IpAddr::V4(v4) if !self.ranges.0.is_empty() => self.ranges.find(v4.to_bits()),
            IpAddr::V6(_) if !self.ranges.0.is_empty() => self.ranges.find(none.to_bits()),
            ip => self.nets.longest(ip),
        }
    }

    /// The value of all addresses that nothing is written down for.
    pub fn default_value(&self) -> &[u8] {
        self.default.and_then(|at| self.values.get(at as usize)).map_or(b"", |v| v)
    }

    /// The number of a value. Only the last is compared, since equal ones mostly follow one another.
    pub fn value(&mut self, text: &[u8]) -> u32 {
        let known = self.values.last().is_some_and(|last| **last == *text);
        if !known {
            self.values.push(text.into());
        }
        self.values.len() as u32 - 1
    }
}

/// Sorted, non-overlapping address ranges: (first, last, value).
#[derive(Debug, Default)]
pub struct Ranges(Vec<(u32, u32, u32)>);

impl Ranges {
    /// Inserts a range; one inside another splits it, one that overlaps another partly is an error (nginx). Err: the
    /// conflicting range.
    pub fn insert(&mut self, first: u32, last: u32, value: u32) -> Result<(), (u32, u32)> {
        let at = self.0.partition_point(|(_, end, _)| *end < first);
        let Some(&(from, to, old)) = self.0.get(at).filter(|(from, _, _)| *from <= last) else {
            self.0.insert(at, (first, last, value));
            return Ok(());
        };
        if first < from || last > to {
            return Err((from, to));
        }
        let before = (first > from).then(|| (from, first - 1, old));
        let after = (last < to).then(|| (last + 1, to, old));
        self.0.splice(at..=at, before.into_iter().chain([(first, last, value)]).chain(after));
        Ok(())
    }

    /// Takes a range off again (`delete`). False: it is not there.
    pub fn remove(&mut self, first: u32, last: u32) -> bool {
        let at = self.0.iter().position(|(from, to, _)| (*from, *to) == (first, last));
        at.map(|at| self.0.remove(at)).is_some()
    }

    fn find(&self, ip: u32) -> Option<u32> {
        let at = self.0.partition_point(|(_, last, _)| *last < ip);
        self.0.get(at).filter(|(first, _, _)| *first <= ip).map(|(_, _, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_inside_another_cuts_it() {
        let mut ranges = Ranges::default();
        for (first, last, value) in [(10, 20, 0), (30, 40, 1), (12, 14, 2), (10, 11, 3), (38, 40, 4), (0, 5, 5)] {
            assert_eq!(ranges.insert(first, last, value), Ok(()));
        }
        assert_eq!(ranges.insert(18, 25, 9), Err((15, 20)), "a partial overlap");
        for (at, expected) in [
            (0, Some(5)),
            (6, None),
            (10, Some(3)),
            (13, Some(2)),
            (15, Some(0)),
            (20, Some(0)),
            (25, None),
            (37, Some(1)),
            (40, Some(4)),
            (41, None),
        ] {
            assert_eq!(ranges.find(at), expected, "{at}");
        }
    }
}

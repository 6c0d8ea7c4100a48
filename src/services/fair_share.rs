//! Decides which client gives up a place when a bounded number of places (password hashes, name lookups) is taken: the
//! one that holds the most, so that a client that holds few always gets one.
//!
//! An IPv6 network of 64 bits counts as one client. The network of one customer line (/56, /48) is first counted as a
//! whole: its 256 networks together get as much as one other client.

use std::collections::BTreeMap;

/// Octets of the networks that are compared: the widest first, a client's own last. An IPv4 address has four.
const LEVELS: [usize; 3] = [6, 7, 8];

/// A client, by its address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sharer {
    /// Octets of the address: 16, 4, or 0 for a Unix socket.
    family: u8,
    network: [u8; 8],
}

impl Sharer {
    /// `octets`: the client's address.
    pub fn of(octets: &[u8]) -> Sharer {
        let mut network = [0; 8];
        network.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        Sharer { family: octets.len() as u8, network }
    }

    /// The widest network of one customer line: 48 bits of IPv6, or the address.
    pub fn line(self) -> Sharer {
        self.network_of(LEVELS[0])
    }

    /// The network of that many octets, by its first address.
    fn network_of(self, octets: usize) -> Sharer {
        let mut network = [0; 8];
        network[..octets].copy_from_slice(&self.network[..octets]);
        Sharer { network, ..self }
    }
}

/// How many places each client holds.
#[derive(Debug, Default)]
pub struct Shares {
    counts: BTreeMap<Sharer, usize>,
    total: usize,
}

impl Shares {
    /// It has one more.
    pub fn add(&mut self, client: Sharer) {
        *self.counts.entry(client).or_default() += 1;
        self.total += 1;
    }

    /// It has one less.
    pub fn remove(&mut self, client: Sharer) {
        if let Some(count) = self.counts.get_mut(&client) {
            *count -= 1;
            self.total -= 1;
            if *count == 0 {
                self.counts.remove(&client);
            }
        }
    }

    /// The number of all places that are taken.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The number of its places.
    pub fn of(&self, client: Sharer) -> usize {
        self.counts.get(&client).copied().unwrap_or_default()
    }

    /// When all places are taken and `newcomer` wants one: the client that must give one up. None: no other client or
    /// network holds at least two more than the newcomer's own. Takes time proportional to the number of clients.
    pub fn gives_way(&self, newcomer: Sharer) -> Option<Sharer> {
        // Descends to the widest network that is not the newcomer's own, then to the client in it that holds the most.
        let mut within: Option<(Sharer, usize)> = None;
        let mut is_own = true;
        for octets in LEVELS {
            let (first, most) = self.greediest(within, octets)?;
            let is_newcomers = first.network_of(octets) == newcomer.network_of(octets);
            if is_own && !is_newcomers {
                let own: usize = self.inside(Some((newcomer, octets))).map(|(_, count)| count).sum();
                if most <= own + 1 {
                    return None;
                }
                is_own = false;
            }
            within = Some((first, octets));
        }
        within.filter(|_| !is_own).map(|(client, _)| client)
    }

    /// The clients of a network; None: all.
    fn inside(&self, network: Option<(Sharer, usize)>) -> impl Iterator<Item = (Sharer, usize)> {
        let from = network.map_or(Sharer::default(), |(client, octets)| client.network_of(octets));
        let is_inside = move |client: &Sharer| network.is_none_or(|(_, octets)| client.network_of(octets) == from);
        let from_there = self.counts.range(from..).take_while(move |(client, _)| is_inside(client));
        from_there.map(|(client, count)| (*client, *count))
    }

    /// Of the networks of `octets` octets, the one that holds the most, by its first client.
    fn greediest(&self, within: Option<(Sharer, usize)>, octets: usize) -> Option<(Sharer, usize)> {
        let mut best: Option<(Sharer, usize)> = None;
        let mut current: Option<(Sharer, usize)> = None;
        for (client, count) in self.inside(within) {
            current = match current {
                Some((first, sum)) if first.network_of(octets) == client.network_of(octets) => {
                    Some((first, sum + count))
                }
                _ => Some((client, count)),
            };
            if current.map(|(_, sum)| sum) > best.map(|(_, sum)| sum) {
                best = current;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(text: &str) -> Sharer {
        Sharer::of(&text.parse::<std::net::Ipv6Addr>().expect("an address").octets())
    }

    fn v4(last: u8) -> Sharer {
        Sharer::of(&[192, 0, 2, last])
    }

    #[test]
    fn the_greediest_network_gives_way_to_one_that_has_less() {
        type Row<'a> = (&'a str, &'a [(Sharer, usize)], Sharer, Option<Sharer>);
        let table: [Row<'_>; 9] = [
            ("none holds any", &[], v4(1), None),
            ("the most", &[(v4(1), 3), (v4(2), 5), (v4(3), 4)], v4(9), Some(v4(2))),
            ("each has one", &[(v4(1), 1), (v4(2), 1)], v4(9), None),
            ("it has the most itself", &[(v4(1), 3), (v4(2), 5)], v4(2), None),
            ("it would have as many", &[(v4(1), 3), (v4(2), 4)], v4(1), None),
            ("one more than it would have", &[(v4(1), 2), (v4(2), 4)], v4(1), Some(v4(2))),
            (
                "many networks of one line",
                &[(v6("2001:db8:1:1::"), 1), (v6("2001:db8:1:2::"), 2), (v6("2001:db8:1:300::"), 1), (v4(1), 3)],
                v4(9),
                Some(v6("2001:db8:1:2::")),
            ),
            (
                "another network of that line",
                &[(v6("2001:db8:1:1::"), 1), (v6("2001:db8:1:2::"), 1), (v4(1), 1)],
                v6("2001:db8:1:3::"),
                None,
            ),
            (
                "within one line",
                &[(v6("2001:db8:1:101::"), 4), (v6("2001:db8:1:2::"), 1), (v4(1), 3)],
                v6("2001:db8:1:3::"),
                Some(v6("2001:db8:1:101::")),
            ),
        ];
        for (name, held, newcomer, expected) in table {
            let shares = Shares { counts: held.iter().copied().collect(), total: 0 };
            assert_eq!(shares.gives_way(newcomer), expected, "{name}");
        }
    }

    #[test]
    fn places_are_counted_by_address_or_network() {
        let mut shares = Shares::default();
        shares.add(v6("2001:db8::1"));
        shares.add(v6("2001:db8::2"));
        shares.add(v4(1));
        assert_eq!([v6("2001:db8::3"), v4(1), v4(2)].map(|client| shares.of(client)), [2, 1, 0]);
        shares.remove(v4(1));
        shares.remove(v4(1));
        assert_eq!((shares.of(v4(1)), shares.counts.len()), (0, 1));
    }
}

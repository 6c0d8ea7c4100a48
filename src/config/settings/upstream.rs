//! Upstream groups. At request time `services::upstream_balance` picks servers and counts failures.

use super::resolver::ResolverSettings;
use crate::config::addr::PeerAddr;
use crate::config::template::Template;
use crate::config::value::Millis;
use crate::sys::socket::Addr;
use crate::util::checkpoint;
use std::rc::Rc;

/// A group of servers.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// As written in `upstream NAME` or as the host of a proxy_pass.
    pub name: Rc<str>,
    /// The port in a proxy_pass; None for port 80 and for a block.
    pub port: Option<u16>,
    /// Whether it is an `upstream` block, not a host.
    pub block: bool,
    /// By the index that the balancer knows them by.
    pub peers: Vec<UpstreamServer>,
    /// How a server is picked.
    pub method: Method,
    /// Connections that are kept.
    pub keepalive: Keepalive,
    /// Servers whose addresses are looked up at request time.
    pub dynamic: Vec<Dynamic>,
    /// The group's own `resolver`; None: that of http.
    pub resolver: Option<Rc<ResolverSettings>>,
    /// The group's own resolver_timeout.
    pub resolver_timeout: Option<Millis>,
    /// For a group derived from a configured one with the current addresses of its names: the configured group.
    pub base: Option<Rc<Upstream>>,
}

/// One address of a `server` line.
#[derive(Clone, Debug)]
pub struct UpstreamServer {
    /// What is connected to.
    pub addr: Addr,
    /// `$upstream_addr`.
    pub name: Rc<str>,
    /// The number of its `server` line in the group; all addresses of one name have the same.
    pub line: u32,
    /// As written in the `server` line.
    pub server: Box<str>,
    /// Its share, relative to the others'.
    pub weight: u32,
    /// 0: failures are not counted.
    pub max_fails: u32,
    /// Milliseconds in which failures add up, and for which it then gets no requests.
    pub fail_timeout: Millis,
    /// 0: no limit.
    pub max_conns: u32,
    /// Used only if no other server is available.
    pub backup: bool,
    /// `down`: never used.
    pub down: bool,
}

/// How to pick one of the available servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Weighted, smoothly (nginx's).
    #[default]
    RoundRobin,
    /// Fewest requests under way, relative to the weight.
    LeastConn,
    /// By the client's network: the first three bytes of IPv4.
    IpHash,
    /// Least expected time, by earlier responses and the requests under way, relative to the weight.
    LeastTime(MeasuredTime),
    /// The same peer for the same key.
    Hash {
        key: Template,
        /// Consistent hashing: when a peer is added or removed, most keys keep their peer.
        ring: Option<Ring>,
    },
    /// Any.
    Random {
        /// Whether to draw two and take the one with fewer active requests.
        two: bool,
    },
}

/// Which response time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredTime {
    /// Whether it ends with the response head, not with the whole response.
    pub header: bool,
    /// Whether active requests count too.
    pub inflight: bool,
}

/// Idle connections kept for reuse.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    /// 0 keeps none.
    pub idle: u32,
    /// Requests after which a connection is closed.
    pub requests: u64,
    /// How long one may be idle.
    pub timeout: Millis,
    /// How long one may last.
    pub time: Millis,
}

impl Default for Keepalive {
    fn default() -> Keepalive {
        Keepalive { idle: 32, requests: 1000, timeout: Millis(60_000), time: Millis(3_600_000) }
    }
}

impl Upstream {
    /// A new group without peers.
    pub fn named(name: &str) -> Upstream {
        // Only `upstream` blocks have keep-alive by default (nginx).
        let keepalive = Keepalive { idle: 0, ..Keepalive::default() };
        Upstream {
            name: name.into(),
            port: None,
            block: false,
            peers: Vec::new(),
            method: Method::RoundRobin,
            keepalive,
            dynamic: Vec::new(),
            resolver: None,
            resolver_timeout: None,
            base: None,
        }
    }

    /// Completes the group once all peers are known.
    pub fn finish(&mut self) {
        if let Method::Hash { ring: Some(ring), .. } = &mut self.method {
            *ring = Ring::of(&self.peers);
        }
    }

    /// The group of a host: one peer per address.
    pub fn of(name: &str, addr: PeerAddr) -> Upstream {
        Upstream { peers: UpstreamServer::all(addr), ..Upstream::named(name) }
    }
}

impl UpstreamServer {
    /// A server for each address, with nginx's defaults.
    pub fn all(addr: PeerAddr) -> Vec<UpstreamServer> {
        let addrs = match addr {
            PeerAddr::Inet(addrs) => addrs.into_iter().map(Addr::from).collect(),
            PeerAddr::Unix(path) => vec![Addr::Unix(path)],
        };
        let peer = |addr: Addr| UpstreamServer {
            name: addr.to_string().into(),
            line: 0,
            server: Box::default(),
            addr,
            weight: 1,
            max_fails: 1,
            fail_timeout: Millis(10_000),
            max_conns: 0,
            backup: false,
            down: false,
        };
        addrs.into_iter().map(peer).collect()
    }
}

/// A `server … resolve` line.
#[derive(Clone, Debug)]
pub struct Dynamic {
    /// The name that is looked up.
    pub host: Box<str>,
    /// The port, unless SRV records give it.
    pub port: u16,
    /// The service name for SRV lookups.
    pub service: Option<Box<str>>,
    /// The template for the peer of each address; only the address is missing.
    pub peer: UpstreamServer,
}

impl Dynamic {
    /// The name that is resolved: equal for those that share their addresses.
    pub fn identity(&self) -> (&str, Option<&str>) {
        (&self.host, self.service.as_deref())
    }
}

/// Points of a consistent-hash ring in ascending order, each with the number of its `server` line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring(pub Box<[(u32, u32)]>);

impl Ring {
    /// 160 points per unit of weight, computed as in Cache::Memcached::Fast (nginx).
    pub fn of(peers: &[UpstreamServer]) -> Ring {
        const POINTS: u32 = 160;
        let mut points = Vec::new();
        for peer in peers {
            let (host, port) = match peer.server.get(..5) {
                Some(unix) if unix.eq_ignore_ascii_case("unix:") => (&peer.server[5..], ""),
                _ => match peer.server.rsplit_once(':') {
                    Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
                    _ => (&*peer.server, ""),
                },
            };
            let mut previous = [0; 4];
            for at in 0..peer.weight.saturating_mul(POINTS) {
                if at.is_multiple_of(POINTS) {
                    checkpoint::pass();
                }
                let mut crc = flate2::Crc::new();
                for part in [host.as_bytes(), &[0], port.as_bytes(), &previous] {
                    crc.update(part);
                }
                previous = crc.sum().to_le_bytes();
                points.push((crc.sum(), peer.line));
            }
        }
        // Of two points with the same hash, keep the first.
        let mut kept: Vec<(u32, u32)> = Vec::with_capacity(points.len());
        for some in sorted(points).chunks(SOME) {
            checkpoint::pass();
            for point in some {
                if kept.last().is_none_or(|(hash, _)| *hash != point.0) {
                    kept.push(*point);
                }
            }
        }
        checkpoint::pass_costly();
        Ring(kept.into())
    }
}

/// Points that are handled between two checkpoints.
const SOME: usize = 2048;

/// The points by their hashes; equal ones keep their order. Digit by digit, in steps: a comparison of eight million
/// points took 250 ms.
fn sorted(mut points: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    const BITS: usize = 8;
    let mut moved = vec![(0, 0); points.len()];
    for shift in (0..u32::BITS).step_by(BITS) {
        let digit = |hash: u32| (hash >> shift) as usize % (1 << BITS);
        let mut places = [0; 1 << BITS];
        for some in points.chunks(SOME) {
            checkpoint::pass();
            some.iter().for_each(|(hash, _)| places[digit(*hash)] += 1);
        }
        let mut sum = 0;
        for place in &mut places {
            sum += std::mem::replace(place, sum);
        }
        for some in points.chunks(SOME) {
            checkpoint::pass();
            for point in some {
                let place = &mut places[digit(point.0)];
                moved[*place] = *point;
                *place += 1;
            }
        }
        std::mem::swap(&mut points, &mut moved);
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::seed::Seed;

    /// Sorting the points of fifty thousand servers was one step of 250 ms.
    #[test]
    fn points_are_sorted_as_by_comparison() {
        let mut random = Seed::new(5);
        for most in [3, 1 << 9, 1 << 32] {
            for count in [0, 1, 2, 5000] {
                let points: Vec<(u32, u32)> = (0..count).map(|line| (random.below(most) as u32, line)).collect();
                let mut expected = points.clone();
                expected.sort_by_key(|(hash, _)| *hash);
                assert_eq!(sorted(points), expected, "{count} points below {most}");
            }
        }
    }
}

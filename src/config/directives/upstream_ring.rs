//! The ring of `hash … consistent`: where the servers of a group stand on it, as in nginx.

use super::upstream::Peer;

/// Points of a hash ring in ascending order, each with the number of the `server` line it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring(pub Box<[(u32, u32)]>);

impl Ring {
    /// 160 points for each unit of weight, where Cache::Memcached::Fast has them (nginx).
    pub fn of(peers: &[Peer]) -> Ring {
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
            for _ in 0..peer.weight.saturating_mul(POINTS) {
                let mut crc = flate2::Crc::new();
                for part in [host.as_bytes(), &[0], port.as_bytes(), &previous] {
                    crc.update(part);
                }
                previous = crc.sum().to_le_bytes();
                points.push((crc.sum(), peer.line));
            }
        }
        // Of two at the same place, the first stays.
        points.sort_by_key(|(hash, _)| *hash);
        points.dedup_by_key(|(hash, _)| *hash);
        Ring(points.into())
    }
}

//! The lookup of a geo.

use crate::config::settings::geo::GeoTable;
use crate::exchange::Exchange;
use crate::exchange::access::real_ip;
use crate::sys::socket::Peer;
use std::net::IpAddr;

/// The value that a `geo` has for an address. `text`: what its source is worth; None: it is the client's address.
pub fn find<'g>(geo: &'g GeoTable, text: Option<&[u8]>, ex: &Exchange) -> &'g [u8] {
    let ip = match text {
        Some(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        None => ex.client.peer.ip().map(|ip| ip.to_canonical()),
    };
    let ip = ip.map(|ip: IpAddr| match geo.proxies.is_empty() {
        true => ip,
        false => forwarded(ex, ip.to_canonical(), geo),
    });
    geo.find(ip)
}

/// Behind a trusted proxy: the address it was asked from, by X-Forwarded-For.
fn forwarded(ex: &Exchange, peer: IpAddr, geo: &GeoTable) -> IpAddr {
    let trusted = |peer: &Peer| peer.ip().is_some_and(|ip| geo.proxies.longest(ip.to_canonical()).is_some());
    let buf = ex.buf();
    let lines = ex.request.head.fields.iter().filter(|f| f.name.of(buf).eq_ignore_ascii_case(b"x-forwarded-for"));
    let lines: Vec<&[u8]> = lines.map(|f| f.value.of(buf)).collect();
    let named = real_ip::client(&lines, Peer::new(peer, 0), trusted, geo.recursive);
    named.and_then(|named| named.ip()).map_or(peer, |ip| ip.to_canonical())
}

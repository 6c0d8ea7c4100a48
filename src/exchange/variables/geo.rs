//! The value of a geo variable.

use super::keep::Keep;
use crate::config::settings::geo::GeoTable;
use crate::exchange::access::real_ip;
use crate::exchange::{Exchange, variables};
use crate::services::Services;
use crate::sys::socket::Peer;
use std::net::IpAddr;

/// Appends the value of `$name` of a `geo`. `table`: its index in the configuration.
pub fn value(table: u32, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Keep {
    let config = ex.config.clone();
    let Some(geo) = config.tables.geos.get(table as usize) else { return Keep::No };
    let ip = match &geo.source {
        Some(source) => {
            let text = variables::text(source, ex, cx);
            std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok())
        }
        None => ex.client.peer.ip().map(|ip| ip.to_canonical()),
    };
    let ip = ip.map(|ip: IpAddr| match geo.proxies.is_empty() {
        true => ip,
        false => forwarded(ex, ip.to_canonical(), geo),
    });
    out.extend_from_slice(geo.find(ip));
    if geo.volatile { Keep::No } else { Keep::Yes }
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

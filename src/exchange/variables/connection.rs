//! Variables of the connection: both ends of it, the addresses by a proxy in front, TCP_INFO.

use super::put::{Is, number, port, put, put_peer, seconds};
use crate::config::template::Builtin;
use crate::exchange::Exchange;
use crate::services::Services;
use crate::sys::socket::Addr;
use crate::sys::socket::{self, TcpInfo};
use crate::util::decimal;
use std::net::IpAddr;

/// The value of a variable of the connection. None: it is of another family.
pub fn value(builtin: Builtin, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Option<Is> {
    use Builtin as B;
    Some(match builtin {
        B::ServerAddr => match ex.client.local.or_else(|| endpoint_addr(ex).ip()) {
            Some(IpAddr::V4(ip)) => {
                decimal::push_dotted(ip.octets(), out);
                Is::Set
            }
            Some(IpAddr::V6(ip)) => number(ip, out),
            None => put(Some(endpoint_addr(ex).to_string().as_bytes()), out),
        },
        B::ServerPort => {
            if let Some(port) = endpoint_addr(ex).port() {
                decimal::push(u64::from(port), 0, out);
            }
            Is::Set
        }
        B::Scheme => put(Some(ex.client.scheme().as_bytes()), out),
        B::Https => put(Some(if ex.client.is_secure { b"on" } else { b"" }), out),
        B::RemoteAddr => {
            put_peer(&ex.client.peer, out);
            Is::Set
        }
        B::BinaryRemoteAddr => match ex.client.peer.octets() {
            // All clients of Unix sockets are one to the limits (nginx).
            [] => number(ex.client.peer, out),
            octets => put(Some(octets), out),
        },
        B::RemotePort => port(ex.client.peer.port(), out),
        B::ProxyProtocolAddr => put(ex.client.proxy_header().map(|header| header.source.as_bytes()), out),
        B::ProxyProtocolServerAddr => put(ex.client.proxy_header().map(|header| header.target.as_bytes()), out),
        B::ProxyProtocolPort => proxied_port(ex.client.proxy_header().map(|header| header.source_port), out),
        B::ProxyProtocolServerPort => proxied_port(ex.client.proxy_header().map(|header| header.target_port), out),
        B::RealipRemoteAddr => number(ex.client.socket_peer.unwrap_or(ex.client.peer), out),
        B::RealipRemotePort => port(ex.client.socket_peer.unwrap_or(ex.client.peer).port(), out),
        B::Connection => number(ex.client.serial, out),
        B::ConnectionRequests => number(ex.client.requests, out),
        B::ConnectionTime => seconds(cx.now.ms.saturating_sub(ex.client.accepted), out),
        B::TcpinfoRtt => tcp_info(ex, |info| info.rtt, out),
        B::TcpinfoRttvar => tcp_info(ex, |info| info.rttvar, out),
        B::TcpinfoSndCwnd => tcp_info(ex, |info| info.snd_cwnd, out),
        B::TcpinfoRcvSpace => tcp_info(ex, |info| info.rcv_space, out),
        _ => return None,
    })
}

fn endpoint_addr(ex: &Exchange) -> &Addr {
    &ex.config.endpoints[ex.client.endpoint.at()].addr
}

/// A port of a PROXY header, if there was one.
fn proxied_port(named: Option<u16>, out: &mut Vec<u8>) -> Is {
    named.map_or(Is::Unset, |named| port(named, out))
}

/// What the kernel knows of the client's connection; unset for one that is not TCP.
fn tcp_info(ex: &Exchange, pick: impl Fn(&TcpInfo) -> u32, out: &mut Vec<u8>) -> Is {
    match socket::tcp_info(ex.client.socket) {
        Ok(info) => number(pick(&info), out),
        Err(_) => Is::Unset,
    }
}

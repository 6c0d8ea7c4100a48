//! The client's address as a trusted proxy (set_real_ip_from) names it. Pure, except for [`apply`], which replaces
//! the connection's address until the request is over.

use crate::config::addr::literal_address;
use crate::config::settings::access::Rules;
use crate::config::settings::realip::Source;
use crate::exchange::Exchange;
use crate::sys::socket::Peer;
use std::net::IpAddr;

/// Takes effect once a request: by the server's settings as soon as the head is read, or else by the location's,
/// before the limits are checked.
pub fn apply(ex: &mut Exchange) {
    let config = ex.config.clone();
    let settings = &config.location(ex.route.location).settings.realip;
    if settings.from.is_empty() || ex.client.socket_peer.is_some() {
        return;
    }
    let name: &[u8] = match &settings.header {
        Source::XRealIp => &b"x-real-ip"[..],
        Source::XForwardedFor => b"x-forwarded-for",
        Source::Field(name) => name,
        Source::ProxyProtocol => return by_proxy_header(ex, &settings.from),
    };
    let buf = ex.buf();
    let fields = ex.request.head.fields.iter().filter(|field| field.name.of(buf).eq_ignore_ascii_case(name));
    let mut values: Vec<&[u8]> = fields.map(|field| field.value.of(buf)).collect();
    if settings.header != Source::XForwardedFor {
        // Only X-Forwarded-For may be a list in several lines (nginx).
        values.truncate(1);
    }
    let believed = |peer: &Peer| is_one_of(&settings.from, peer);
    if let Some(peer) = client(&values, ex.client.peer, believed, settings.recursive) {
        ex.client.socket_peer = Some(std::mem::replace(&mut ex.client.peer, peer));
    }
}

/// The address of the PROXY header, where the proxy that wrote it is trusted.
fn by_proxy_header(ex: &mut Exchange, from: &Rules) {
    let Some(header) = ex.client.proxy_header() else { return };
    let named = header.source.parse::<IpAddr>().ok().map(|ip| Peer::new(ip, header.source_port));
    if let Some(peer) = named
        && is_one_of(from, &ex.client.peer)
    {
        ex.client.socket_peer = Some(std::mem::replace(&mut ex.client.peer, peer));
    }
}

/// Whether the connection's own address is one of set_real_ip_from, so that the client address it sends is trusted.
pub fn is_believed(ex: &Exchange) -> bool {
    is_one_of(&ex.location().settings.realip.from, ex.client.socket_peer.as_ref().unwrap_or(&ex.client.peer))
}

fn is_one_of(from: &Rules, peer: &Peer) -> bool {
    let ip = peer.ip().map(|ip| ip.to_canonical());
    from.first(ip).is_some()
}

/// Walks the addresses from the last to the first, as far as each was named by a trusted address: one step, or all
/// where `recursive`. None: the connection's own address stays.
pub(in crate::exchange) fn client(
    values: &[&[u8]],
    peer: Peer,
    believed: impl Fn(&Peer) -> bool,
    recursive: bool,
) -> Option<Peer> {
    let mut found = None;
    for value in values.iter().rev() {
        let mut rest = Some(*value);
        while let Some(list) = rest {
            if !believed(found.as_ref().unwrap_or(&peer)) {
                return found;
            }
            let end = list.iter().rposition(|b| !is_separator(*b)).map_or(0, |at| at + 1);
            let list = &list[..end];
            let comma = list.iter().rposition(|b| is_separator(*b));
            let from = comma.map_or(0, |at| at + 1);
            let Some(named) = literal_address(&list[from..]).map(Peer::from) else { return found };
            found = Some(named);
            if !recursive {
                return found;
            }
            rest = comma.map(|at| &list[..at]);
        }
    }
    found
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(peer: Option<Peer>) -> String {
        peer.map_or("-".into(), |peer| format!("{peer}/{}", peer.port()))
    }

    #[test]
    fn the_last_address_that_is_not_a_proxy_is_the_clients() {
        let believed = |peer: &Peer| peer.ip().is_none_or(|ip| ip.to_string().starts_with("10."));
        let own = |text: &str| Peer::new(text.parse().expect("an address"), 9);
        for (name, values, peer, recursive, expected) in [
            ("one", &["1.2.3.4"][..], "10.0.0.1", false, "1.2.3.4/0"),
            ("with a port", &["1.2.3.4:80"], "10.0.0.1", false, "1.2.3.4/80"),
            ("IPv6", &["2001:db8::1"], "10.0.0.1", false, "2001:db8::1/0"),
            ("IPv6 with a port", &["[2001:db8::1]:8080"], "10.0.0.1", false, "2001:db8::1/8080"),
            ("IPv6 in brackets", &["[2001:db8::1]"], "10.0.0.1", false, "2001:db8::1/0"),
            ("no trusted address", &["1.2.3.4"], "11.0.0.1", false, "-"),
            ("the last of a list", &["1.1.1.1, 2.2.2.2"], "10.0.0.1", false, "2.2.2.2/0"),
            ("the last is a proxy too", &["1.1.1.1, 10.2.2.2"], "10.0.0.1", false, "10.2.2.2/0"),
            ("past a proxy", &["1.1.1.1, 10.2.2.2"], "10.0.0.1", true, "1.1.1.1/0"),
            ("no further than who is not believed", &["5.5.5.5,1.1.1.1 ,10.2.2.2 , "], "10.0.0.1", true, "1.1.1.1/0"),
            ("all are proxies", &["10.1.1.1, 10.2.2.2"], "10.0.0.1", true, "10.1.1.1/0"),
            ("several lines", &["1.1.1.1", "10.1.1.1, 10.2.2.2"], "10.0.0.1", true, "1.1.1.1/0"),
            ("the last line", &["1.1.1.1", "2.2.2.2"], "10.0.0.1", false, "2.2.2.2/0"),
            ("nonsense", &["unknown"], "10.0.0.1", true, "-"),
            ("nonsense before an address", &["unknown, 10.1.1.1"], "10.0.0.1", true, "10.1.1.1/0"),
            ("empty", &[""], "10.0.0.1", true, "-"),
            ("only separators", &[" , ,"], "10.0.0.1", true, "-"),
            ("port 0", &["1.2.3.4:0"], "10.0.0.1", false, "-"),
            ("none", &[], "10.0.0.1", true, "-"),
        ] {
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(shown(client(&values, own(peer), believed, recursive)), expected, "{name}");
        }
        assert_eq!(shown(client(&[b"1.2.3.4"], Peer::UNIX, believed, false)), "1.2.3.4/0");
    }
}

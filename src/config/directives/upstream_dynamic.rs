//! `server … resolve` of upstream groups: a name resolved at request time, and the checks that need no lookup.

use crate::config::addr::PeerAddr;
use crate::config::ast::Directive;
use crate::config::fault::Fault;
use crate::config::settings::upstream::{Dynamic, UpstreamServer};

/// The server of a `resolve` line; None without `resolve`.
pub(super) fn dynamic(d: &Directive) -> Result<Option<Dynamic>, Fault> {
    let word = &d.args[0];
    let resolves = d.args[1..].iter().any(|word| word.is("resolve"));
    let service = d.args[1..].iter().find_map(|word| Some((word, word.bytes().strip_prefix(b"service=")?)));
    if let (Some((word, _)), false) = (service, resolves) {
        return Err(Fault::new(word.span, "service upstream requires \"resolve\" parameter"));
    }
    if !resolves {
        return Ok(None);
    }
    let text = word.str();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => match port.parse::<u16>() {
            Ok(port) if port > 0 => (host.to_owned(), Some(port)),
            _ => return Err(Fault::new(word.span, format!("invalid port in upstream \"{text}\""))),
        },
        None => (text.to_string(), None),
    };
    // An address needs no lookup.
    if text.starts_with("unix:") || text.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return Ok(None);
    }
    if crate::util::dns::canonical(host.as_bytes()).is_none() {
        return Err(Fault::new(word.span, format!("invalid host in upstream \"{text}\"")));
    }
    let service = match service {
        None => None,
        Some((word, b"")) => return Err(Fault::new(word.span, "empty service name")),
        Some((word, _)) if port.is_some() => {
            return Err(Fault::new(word.span, format!("service upstream \"{text}\" may not have port")));
        }
        Some((word, name)) => {
            let name = String::from_utf8_lossy(name);
            // A service without dots is a name over TCP (RFC 2782); others are prepended to the host unchanged.
            let full = if name.contains('.') { format!("{name}.{host}") } else { format!("_{name}._tcp.{host}") };
            if crate::util::dns::canonical(full.as_bytes()).is_none() {
                return Err(Fault::new(word.span, format!("invalid service name \"{name}\"")));
            }
            Some(full.into())
        }
    };
    let nowhere = PeerAddr::Inet(vec![std::net::SocketAddr::from(([0, 0, 0, 0], 0))]);
    let peer = UpstreamServer::all(nowhere).remove(0);
    Ok(Some(Dynamic { host: host.into(), port: port.unwrap_or(80), service, peer }))
}

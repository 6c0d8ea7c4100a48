//! From the `listen` and `server_name` of all servers to endpoints with their name tables, and to the sockets that are
//! actually bound: an address covered by a wildcard of the same port needs no socket of its own (nginx).

use super::ast::Span;
use super::error::{Diagnostic, Diagnostics};
use super::model::{Endpoint, EndpointId, ListenOptions, ListenSocket, Names, ServerId};
use super::pattern_set::{MatchMode, PatternSet};
use super::settings::listen::{Listen, Name, ServerDraft};
use crate::sys::socket::Addr;
use crate::util::checkpoint;
use crate::util::hash::{FastMap, FastSet};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

/// The address of a server without `listen`: port 80 if the process may bind it, otherwise 8000 (nginx).
fn default_addr() -> Addr {
    let port = if crate::sys::process::geteuid() == 0 { 80 } else { 8000 };
    Addr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))
}

/// Builds endpoints and sockets. The index of a draft is the server's id.
pub fn assemble(drafts: &mut [ServerDraft], found: &mut Diagnostics) -> (Vec<Endpoint>, Vec<ListenSocket>) {
    let mut all = Assembly::default();
    for (at, draft) in drafts.iter_mut().enumerate() {
        let id = ServerId(at as u32);
        checkpoint::pass();
        let listens = std::mem::take(&mut draft.listens);
        let mut mine = Vec::new();
        if listens.is_empty() {
            mine.push(all.place(&default_addr(), id, Span::default()));
        }
        for listen in listens {
            mine.push(all.listen(listen, id, found));
        }
        let mut names = std::mem::take(&mut draft.names);
        if names.is_empty() {
            names.push((Name::Exact(Box::default()), all.endpoints[mine[0]].span));
        }
        for &place in &mine {
            // A table that grows moves all that is in it, in one step.
            all.endpoints[place].names.exact.reserve(names.len());
        }
        for (name, span) in names {
            checkpoint::pass();
            add_name(name, span, id, &mine, &mut all.endpoints, found);
        }
    }
    let mut endpoints = all.endpoints;
    for endpoint in &mut endpoints {
        endpoint.names.set =
            PatternSet::new(endpoint.names.regexes.iter().map(|(pattern, _)| &**pattern), MatchMode::Match);
    }
    let sockets = sockets(&endpoints);
    (endpoints, sockets)
}

/// The endpoints of the servers read so far.
#[derive(Default)]
struct Assembly {
    endpoints: Vec<Endpoint>,
    /// For each endpoint: where `default_server` is given, and whether socket options were.
    explicit: Vec<Option<Span>>,
    configured: Vec<bool>,
    index: HashMap<Addr, usize>,
}

impl Assembly {
    /// The index of an address's endpoint; a new one gets `id` as its default server.
    fn place(&mut self, addr: &Addr, id: ServerId, span: Span) -> usize {
        if let Some(&place) = self.index.get(addr) {
            return place;
        }
        let place = self.endpoints.len();
        self.index.insert(addr.clone(), place);
        self.endpoints.push(endpoint(addr.clone(), id, ListenOptions::default(), span));
        self.explicit.push(None);
        self.configured.push(false);
        place
    }

    /// Adds a `listen` of server `id`.
    fn listen(&mut self, listen: Listen, id: ServerId, found: &mut Diagnostics) -> usize {
        let place = self.place(&listen.addr, id, listen.span);
        let endpoint = &mut self.endpoints[place];
        endpoint.proxy_protocol |= listen.proxy_protocol;
        endpoint.ssl = endpoint.ssl.or(listen.ssl);
        endpoint.http2 |= listen.http2;
        if listen.configured {
            if self.configured[place] {
                let text = format!("duplicate listen options for {}", listen.addr);
                found.push(Diagnostic::emerg(listen.span, text));
            }
            self.configured[place] = true;
            endpoint.options = listen.options;
        }
        if let Some(span) = listen.default {
            if let Some(first) = self.explicit[place] {
                let text = format!("a duplicate default server for {}", listen.addr);
                let error = Diagnostic::emerg(span, text).help("only one server of an address can be its default");
                found.push(error.note(first, "`default_server` is first set here"));
            }
            self.explicit[place] = Some(span);
            endpoint.default = id;
        }
        place
    }
}

fn endpoint(addr: Addr, default: ServerId, options: ListenOptions, span: Span) -> Endpoint {
    Endpoint { addr, default, names: Names::default(), options, proxy_protocol: false, ssl: None, http2: false, span }
}

fn add_name(
    name: Name,
    span: Span,
    id: ServerId,
    places: &[usize],
    endpoints: &mut [Endpoint],
    found: &mut Diagnostics,
) {
    let mut taken = |shown: String, addr: &Addr| {
        // Two default servers without a name are already an error.
        let is_default = |d: &Diagnostic| d.message.starts_with("a duplicate default server");
        if shown.is_empty() && found.iter().any(is_default) {
            return;
        }
        let text = format!("conflicting server name \"{shown}\" on {addr}, ignored");
        found.push(Diagnostic::warn(span, text).help(match &*shown {
            "" => "give the server a name by server_name, or an address of its own".to_owned(),
            shown => {
                format!("the first server of this address has \"{shown}\" already: remove the name from one of the two")
            }
        }));
    };
    let mut put = |table: fn(&mut Names) -> &mut crate::util::hash::FastMap<Box<[u8]>, ServerId>,
                   key: &[u8],
                   star: &str| {
        for &place in places {
            let endpoint = &mut endpoints[place];
            let table = table(&mut endpoint.names);
            match table.get(key) {
                Some(&first) if first != id => taken(format!("{star}{}", String::from_utf8_lossy(key)), &endpoint.addr),
                Some(_) => {}
                None => {
                    table.insert(key.into(), id);
                }
            }
        }
    };
    match name {
        Name::Exact(name) => put(|n| &mut n.exact, &name, ""),
        Name::Suffix { name, bare } => {
            if bare {
                put(|n| &mut n.exact, &name[1..], "");
            }
            put(|n| &mut n.suffixes, &name, "*");
        }
        Name::Prefix(name) => put(|n| &mut n.prefixes, &name, ""),
        Name::Unusable => {}
        Name::Regex(pattern) => {
            for &place in places {
                endpoints[place].names.regexes.push((pattern.clone(), id));
            }
        }
    }
}

fn sockets(endpoints: &[Endpoint]) -> Vec<ListenSocket> {
    let ip_port = |addr: &Addr| match addr {
        Addr::V4(a) => Some((IpAddr::V4(*a.ip()), a.port())),
        Addr::V6(a) => Some((IpAddr::V6(*a.ip()), a.port())),
        Addr::Unix(_) => None,
    };
    // Wildcard sockets by family and port: (is IPv4, port) to the index in `sockets`.
    let mut wide: FastMap<(bool, u16), usize> = FastMap::default();
    let has_all =
        |addr: &Addr| ip_port(addr).filter(|(ip, _)| ip.is_unspecified()).map(|(ip, port)| (ip.is_ipv4(), port));
    let everywhere: FastSet<(bool, u16)> = endpoints.iter().filter_map(|endpoint| has_all(&endpoint.addr)).collect();
    let mut sockets: Vec<ListenSocket> = Vec::new();
    let mut specials = Vec::new();
    for (at, endpoint) in endpoints.iter().enumerate() {
        let id = EndpointId(at as u32);
        let one = ip_port(&endpoint.addr).filter(|(ip, _)| !ip.is_unspecified());
        if let Some((ip, port)) = one.filter(|(ip, port)| everywhere.contains(&(ip.is_ipv4(), *port))) {
            specials.push((ip, port, id));
            continue;
        }
        if let Some(key) = has_all(&endpoint.addr) {
            wide.insert(key, sockets.len());
        }
        sockets.push(ListenSocket { addr: endpoint.addr.clone(), endpoint: id, special: Vec::new() });
    }
    for (ip, port, id) in specials {
        let socket = wide.get(&(ip.is_ipv4(), port)).and_then(|at| sockets.get_mut(*at));
        socket.expect("only endpoints behind such a socket are put aside").special.push((ip, id));
    }
    sockets
}

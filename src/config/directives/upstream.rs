//! `upstream` blocks: groups of servers that a `proxy_pass` names, and the groups of one that it names by address.
//! Who is taken next and who has failed is decided at request time (`services::upstream_balance`); nothing here changes then.
//!
//! Invariant: a group that a configuration holds has at least one peer, and every host name in it was looked up when
//! the configuration was read.

use super::resolver::Resolver;
use super::row;
use super::upstream_dynamic::{Dynamic, dynamic};
pub use super::upstream_ring::Ring;
use crate::config::addr::PeerAddr;
use crate::config::ast::{Directive, Span};
use crate::config::context::{Args, Contexts};
use crate::config::error::{Diagnostic, Diagnostics};
use crate::config::model::UpstreamId;
use crate::config::resolve::{Build, Scope};
use crate::config::suggest;
use crate::config::table::{Effect, Fault, Outcome, Row, Section, invalid, number, time};
use crate::config::template::Template;
use crate::config::value::{Millis, Size, number as parse_number};
use crate::sys::socket::Addr;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

const PARAMETERS: &str = "weight=, max_conns=, max_fails=, fail_timeout=, resolve, backup or down";

#[derive(Clone, Debug)]
pub struct Upstream {
    /// As `upstream NAME` or the host of a proxy_pass spells it.
    pub name: Box<str>,
    /// The port that a proxy_pass names the host with; None for 80, and for a block.
    pub port: Option<u16>,
    /// It is an `upstream` block, not a host.
    pub block: bool,
    pub peers: Vec<Peer>,
    pub method: Method,
    pub keepalive: Keepalive,
    /// Servers whose addresses are looked up while requests are served.
    pub dynamic: Vec<Dynamic>,
    pub resolver: Option<Rc<Resolver>>,
    pub resolver_timeout: Option<Millis>,
}

/// One address of a `server` line.
#[derive(Clone, Debug)]
pub struct Peer {
    pub addr: Addr,
    /// `$upstream_addr`.
    pub name: Box<str>,
    /// Which `server` line of the group it comes from; several addresses of a name share one.
    pub line: u32,
    /// As that line spells it.
    pub server: Box<str>,
    pub weight: u32,
    /// 0: failures are not counted.
    pub max_fails: u32,
    pub fail_timeout: Millis,
    /// 0: no limit.
    pub max_conns: u32,
    pub backup: bool,
    pub down: bool,
}

/// Who of the peers that are well is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Method {
    #[default]
    RoundRobin,
    LeastConn,
    IpHash,
    /// The same peer for the same value.
    Hash {
        key: Template,
        /// Where each peer stands on the ring: nearly all values keep their peer when another comes or goes.
        ring: Option<Ring>,
    },
    Random {
        /// Of two, the one with fewer requests under way.
        two: bool,
    },
}

/// Connections that are kept for further requests.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    /// 0 keeps none.
    pub idle: u32,
    pub requests: u64,
    pub timeout: Millis,
    pub time: Millis,
}

impl Default for Keepalive {
    fn default() -> Keepalive {
        Keepalive { idle: 32, requests: 1000, timeout: Millis(60_000), time: Millis(3_600_000) }
    }
}

impl Upstream {
    /// A group without peers yet.
    pub fn named(name: &str) -> Upstream {
        let keepalive = Keepalive::default();
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
        }
    }

    /// All peers are there.
    pub fn finish(&mut self) {
        if let Method::Hash { ring: Some(ring), .. } = &mut self.method {
            *ring = Ring::of(&self.peers);
        }
    }

    /// The group of one host: each of its addresses is a peer.
    pub fn of(name: &str, addr: PeerAddr) -> Upstream {
        Upstream { peers: Peer::all(addr), ..Upstream::named(name) }
    }
}

impl Peer {
    pub(super) fn all(addr: PeerAddr) -> Vec<Peer> {
        let addrs = match addr {
            PeerAddr::Inet(addrs) => addrs.into_iter().map(Addr::from).collect(),
            PeerAddr::Unix(path) => vec![Addr::Unix(path)],
        };
        let peer = |addr: Addr| Peer {
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

/// Groups while the configuration is read: a proxy_pass may name a block that comes later.
#[derive(Default)]
pub struct Drafts {
    all: Vec<Draft>,
    /// Positions of the drafts of each name: few, as they differ by their port.
    by_name: HashMap<Box<str>, Vec<usize>>,
}

struct Draft {
    upstream: Upstream,
    /// The port that a proxy_pass wrote; a block has none.
    port: Option<u16>,
    block: bool,
    /// Who named it first.
    span: Span,
    /// It need not be found: a variable may come to it, or not.
    optional: bool,
    /// There is no port that it has by default.
    needs_port: bool,
    /// The port is that of https, and was not written: a group of the name may follow.
    implied: bool,
}

impl Drafts {
    /// The group that a proxy_pass names.
    pub fn refer(&mut self, host: &str, port: Option<u16>, span: Span) -> UpstreamId {
        let at = self.find(host, |draft| draft.port == port).unwrap_or_else(|| {
            self.add(Draft {
                upstream: Upstream::named(host),
                port,
                block: false,
                span,
                optional: false,
                needs_port: false,
                implied: false,
            })
        });
        UpstreamId(at as u32)
    }

    /// The position of the first of this name that is as wanted.
    fn find(&self, name: &str, wanted: impl Fn(&Draft) -> bool) -> Option<usize> {
        let named = self.by_name.get(name)?;
        named.iter().copied().find(|at| self.all.get(*at).is_some_and(&wanted))
    }

    fn add(&mut self, draft: Draft) -> usize {
        let at = self.all.len();
        self.by_name.entry(draft.upstream.name.clone()).or_default().push(at);
        self.all.push(draft);
        at
    }

    /// The same over TLS without a port: a group, or a host's 443.
    pub fn refer_secure(&mut self, host: &str, span: Span) -> UpstreamId {
        let is_group = self.find(host, |draft| draft.block).is_some();
        let id = self.refer(host, if is_group { None } else { Some(443) }, span);
        if let Some(draft) = self.all.get_mut(id.at()) {
            draft.implied |= !is_group;
        }
        id
    }

    /// The same where the protocol has no port of its own.
    pub fn refer_with_port(&mut self, host: &str, port: Option<u16>, span: Span) -> UpstreamId {
        let id = self.refer(host, port, span);
        if let Some(draft) = self.all.get_mut(id.at()) {
            draft.needs_port |= port.is_none() && !host.starts_with("unix:");
        }
        id
    }

    /// The same for a host that variables may come to; to be called when all others have been referred to.
    pub fn refer_if_found(&mut self, host: &str, port: Option<u16>, span: Span) {
        if self.find(host, |draft| draft.block || draft.port == port).is_none() {
            let upstream = Upstream::named(host);
            self.add(Draft { upstream, port, block: false, span, optional: true, needs_port: false, implied: false });
        }
    }

    /// An `upstream` block has been read.
    pub fn define(&mut self, upstream: Upstream, d: &Directive) -> Outcome {
        let name = upstream.name.clone();
        if upstream.peers.is_empty() && upstream.dynamic.is_empty() {
            return Err(Fault::new(d.close, "no servers are inside upstream"));
        }
        if !upstream.dynamic.is_empty() && upstream.resolver.is_none() {
            let text = format!("no resolver defined to resolve names at run time in upstream \"{name}\"");
            return Err(Fault::new(d.name.span, text).help("resolver ADDRESS; in http or in the group"));
        }
        if upstream.peers.iter().chain(upstream.dynamic.iter().map(|dynamic| &dynamic.peer)).all(|peer| peer.backup) {
            return Err(Fault::new(d.name.span, format!("no servers in upstream \"{name}\"")));
        }
        let mut upstream = upstream;
        upstream.finish();
        let named = self.find(&name, |draft| draft.port.is_none() || draft.implied);
        match named.and_then(|at| self.all.get_mut(at)) {
            Some(draft) if draft.block => {
                return Err(Fault::new(d.args[0].span, format!("duplicate upstream \"{name}\"")));
            }
            Some(draft) => (draft.upstream, draft.block, draft.port) = (upstream, true, None),
            None => {
                self.add(Draft {
                    upstream,
                    port: None,
                    block: true,
                    span: d.name.span,
                    optional: false,
                    needs_port: false,
                    implied: false,
                });
            }
        }
        Ok(())
    }

    /// All groups; those that no block defines are looked up as hosts.
    pub fn resolve(mut self, diagnostics: &mut Diagnostics) -> Vec<Rc<Upstream>> {
        let blocks: HashSet<Box<str>> = self.all.iter().filter(|d| d.block).map(|d| d.upstream.name.clone()).collect();
        for draft in self.all.iter_mut().filter(|draft| !draft.block) {
            let name = &draft.upstream.name;
            if let Some(port) = draft.port
                && blocks.contains(name)
            {
                let text = format!("upstream \"{name}\" may not have port {port}");
                let help = format!("ports stand inside the upstream, at its servers: write http://{name}");
                diagnostics.push(Diagnostic::emerg(draft.span, text).help(help));
                continue;
            }
            if draft.needs_port {
                let text = format!("no port in upstream \"{name}\"");
                diagnostics.push(Diagnostic::emerg(draft.span, text).help("host:port, or the name of an upstream"));
                continue;
            }
            match PeerAddr::parse(name.as_bytes(), draft.port.unwrap_or(80)) {
                Ok(addr) => draft.upstream.peers = Peer::all(addr),
                Err(e) if draft.optional => {
                    let text = format!("{} in upstream \"{name}\"; requests for it are answered with 502", e.message);
                    diagnostics.push(Diagnostic::warn(draft.span, text));
                }
                Err(e) => {
                    let text = format!("{} in upstream \"{name}\"", e.message);
                    let mut diagnostic = Diagnostic::emerg(draft.span, text);
                    let near = suggest::nearest(name, blocks.iter().map(|block| &**block));
                    diagnostic = diagnostic.help(match near {
                        Some(near) => format!("did you mean the upstream \"{near}\"?"),
                        None => "an address, a name that the system can look up now, or an upstream".to_owned(),
                    });
                    diagnostics.push(diagnostic);
                }
            }
        }
        // The optional ones stand last: without those that were not found the ids of the others hold.
        self.all.retain(|draft| !draft.optional || !draft.upstream.peers.is_empty());
        let finished = |draft: Draft| Rc::new(Upstream { port: draft.port, block: draft.block, ..draft.upstream });
        self.all.into_iter().map(finished).collect()
    }
}

const UPSTREAM: Contexts = Contexts::UPSTREAM;

pub const ROWS: &[Row] = &[
    row(
        "upstream",
        Contexts::HTTP,
        Args::TAKE1.block(),
        "",
        Effect::Section(Section::Upstream),
        "A group of servers that proxy_pass may name. Names of hosts are looked up when the configuration is read.",
    ),
    row(
        "server",
        UPSTREAM,
        Args::ONE_OR_MORE,
        "",
        Effect::Many(server),
        "A server of the group: host[:port] or unix:path, and weight=, max_conns=, max_fails=, fail_timeout=, backup, down. A name with several addresses stands for all of them. With resolve the name is looked up by the resolver while requests are served, and followed when it changes; with service=NAME its SRV records are.",
    ),
    row(
        "keepalive",
        UPSTREAM,
        Args::TAKE12,
        "32",
        Effect::Once(keepalive),
        "How many idle connections to the group are kept; 0 keeps none. Groups without the directive keep 32, as in nginx; \"local\" is accepted.",
    ),
    row(
        "keepalive_requests",
        UPSTREAM,
        Args::TAKE1,
        "1000",
        Effect::Once(|s, _, d| {
            let value = number(d, 0)?;
            set(s, |upstream| {
                upstream.keepalive.requests = value;
                Ok(())
            })
        }),
        "Requests over one connection to the group; then it is closed.",
    ),
    row(
        "keepalive_time",
        UPSTREAM,
        Args::TAKE1,
        "1h",
        Effect::Once(|s, _, d| {
            let value = time(d, 0)?;
            set(s, |upstream| {
                upstream.keepalive.time = value;
                Ok(())
            })
        }),
        "Age at which a connection to the group is closed after its request.",
    ),
    row(
        "keepalive_timeout",
        UPSTREAM,
        Args::TAKE1,
        "60s",
        Effect::Once(|s, _, d| {
            let value = time(d, 0)?;
            set(s, |upstream| {
                upstream.keepalive.timeout = value;
                Ok(())
            })
        }),
        "How long an idle connection to the group is kept.",
    ),
    row(
        "least_conn",
        UPSTREAM,
        Args::NONE,
        "",
        Effect::Once(|s, _, _| method(s, Method::LeastConn)),
        "Takes the server with the fewest requests under way, by weight.",
    ),
    row(
        "ip_hash",
        UPSTREAM,
        Args::NONE,
        "",
        Effect::Once(|s, _, _| method(s, Method::IpHash)),
        "Takes the same server for the same client: by the first three bytes of an IPv4 address, all of an IPv6 one.",
    ),
    row(
        "hash",
        UPSTREAM,
        Args::TAKE12,
        "",
        Effect::Once(hash),
        "Takes the same server for the same value (variables allowed); with consistent most values keep their server when the group changes. The servers are nginx's for the same group.",
    ),
    row(
        "random",
        UPSTREAM,
        Args::range(0, 2),
        "",
        Effect::Once(random),
        "Takes a server by chance, by weight; with two [least_conn] the one of two that has fewer requests under way.",
    ),
    row("zone", UPSTREAM, Args::TAKE12, "", Effect::Once(zone), "Accepted: one process needs no shared memory."),
];

fn zone(_: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    /// Eight pages: less is refused by nginx.
    const LEAST: u64 = 8 * 4096;
    let name = &d.args[0];
    if name.is_empty() {
        return Err(Fault::new(name.span, "invalid zone name \"\""));
    }
    let Some(word) = d.args.get(1) else { return Ok(()) };
    match Size::parse(word.bytes()) {
        Ok(size) if size.0 >= LEAST => Ok(()),
        Ok(_) => Err(Fault::new(word.span, format!("zone \"{}\" is too small", name.str())).help("32k at least")),
        Err(_) => Err(Fault::new(word.span, format!("invalid zone size \"{}\"", word.str()))),
    }
}

/// Changes the group being read.
fn set(s: &mut Scope, change: impl FnOnce(&mut Upstream) -> Outcome) -> Outcome {
    s.upstream.as_mut().map_or(Ok(()), change)
}

fn method(s: &mut Scope, method: Method) -> Outcome {
    set(s, |upstream| {
        upstream.method = method;
        Ok(())
    })
}

fn hash(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let key = b.template(d, 0)?;
    let ring = match d.args.get(1) {
        None => None,
        Some(word) if word.is("consistent") => Some(Ring::default()),
        Some(word) => return Err(Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()))),
    };
    method(s, Method::Hash { key, ring })
}

fn random(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let words: Vec<&[u8]> = d.args.iter().map(|word| word.bytes()).collect();
    let two = match words[..] {
        [] => false,
        [b"two"] | [b"two", b"least_conn"] => true,
        [b"two", _] => return Err(Fault::new(d.args[1].span, format!("invalid parameter \"{}\"", d.args[1].str()))),
        _ => return Err(Fault::new(d.args[0].span, format!("invalid parameter \"{}\"", d.args[0].str()))),
    };
    method(s, Method::Random { two })
}

fn keepalive(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let idle = u32::try_from(number(d, 0)?).map_err(|_| invalid(d, 0))?;
    if d.args.get(1).is_some_and(|word| !word.is("local")) {
        return Err(Fault::new(d.args[1].span, format!("invalid parameter \"{}\"", d.args[1].str())));
    }
    set(s, |upstream| {
        upstream.keepalive.idle = idle;
        Ok(())
    })
}

fn server(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    let dynamic = dynamic(d)?;
    let mut peers = match &dynamic {
        Some(dynamic) => vec![dynamic.peer.clone()],
        None => Peer::all(PeerAddr::parse(word.bytes(), 80).map_err(|e| Fault {
            help: e.help,
            ..Fault::new(word.span, format!("{} in upstream \"{}\"", e.message, word.str()))
        })?),
    };
    let group = s.upstream.as_ref();
    // As in nginx a method that comes after the server does not mind.
    let only_primary = group.is_some_and(|upstream| {
        matches!(upstream.method, Method::IpHash | Method::Hash { .. } | Method::Random { .. })
    });
    // Lines are counted in their order.
    let lines = |upstream: &Upstream| {
        let named = upstream.dynamic.last().map(|dynamic| &dynamic.peer);
        upstream.peers.last().into_iter().chain(named).map(|peer| peer.line + 1).max().unwrap_or(0)
    };
    let line = group.map_or(0, lines);
    for peer in &mut peers {
        (peer.line, peer.server) = (line, word.str().into());
    }
    for word in &d.args[1..] {
        let text = word.bytes();
        let wrong = || Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()));
        let (name, value) = match memchr::memchr(b'=', text) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let count = |value: Option<&[u8]>, least: u64| -> Result<u32, Fault> {
            let parsed = parse_number(value.unwrap_or_default(), u64::from(u32::MAX >> 8)).ok();
            parsed.filter(|n| *n >= least).and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong)
        };
        for peer in &mut peers {
            match (name, value) {
                (b"weight", value) => peer.weight = count(value, 1)?,
                (b"max_fails", value) => peer.max_fails = count(value, 0)?,
                (b"max_conns", value) => peer.max_conns = count(value, 0)?,
                (b"fail_timeout", Some(value)) => {
                    peer.fail_timeout = Millis::parse_seconds(value).map_err(|_| wrong())?;
                }
                (b"backup", None) if only_primary => {
                    return Err(Fault::new(word.span, "balancing method does not support parameter \"backup\""));
                }
                (b"backup", None) => peer.backup = true,
                (b"down", None) => peer.down = true,
                (b"resolve", None) | (b"service", Some(_)) => {}
                (b"slow_start", Some(_)) => {
                    return Err(wrong().help("a server that comes back gets its whole share at once"));
                }
                _ => return Err(wrong().help(PARAMETERS)),
            }
        }
    }
    set(s, |upstream| {
        match (dynamic, peers.pop()) {
            (Some(dynamic), Some(peer)) => upstream.dynamic.push(Dynamic { peer, ..dynamic }),
            (None, Some(last)) => upstream.peers.extend(peers.into_iter().chain([last])),
            (_, None) => {}
        }
        Ok(())
    })
}

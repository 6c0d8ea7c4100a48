//! `upstream` blocks: groups of servers named by a `proxy_pass`, and groups of one server for an address in it. At
//! request time `services::upstream_balance` picks servers and counts failures; nothing here changes then.
//!
//! Invariant: a group of the finished configuration has at least one peer or `resolve` server, and every host name
//! without `resolve` was resolved while loading.

use super::upstream_dynamic::dynamic;
use crate::config::addr::PeerAddr;
use crate::config::argument::{invalid, number, time};
use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, GroupZone, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::error::Diagnostic;
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, Row, Section, row};
use crate::config::settings::upstream::{Dynamic, MeasuredTime, Method, Ring, Upstream, UpstreamServer};
use crate::config::value::{Millis, Size, number as parse_number};

const PARAMETERS: &str = "weight=, max_conns=, max_fails=, fail_timeout=, resolve, backup or down";

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
        Effect::Many(|s, b, d| method(s, b, d, Method::LeastConn)),
        "Takes the server with the fewest requests in progress, by weight.",
    ),
    row(
        "ip_hash",
        UPSTREAM,
        Args::NONE,
        "",
        Effect::Many(|s, b, d| method(s, b, d, Method::IpHash)),
        "Takes the same server for the same client: by the first three bytes of an IPv4 address, all of an IPv6 one.",
    ),
    row(
        "hash",
        UPSTREAM,
        Args::TAKE12,
        "",
        Effect::Many(hash),
        "Takes the same server for the same value (variables allowed); with consistent most values keep their server when the group changes. The servers are nginx's for the same group.",
    ),
    row(
        "random",
        UPSTREAM,
        Args::range(0, 2),
        "",
        Effect::Many(random),
        "Takes a server by chance, by weight; with two [least_conn] the one of two that has fewer requests in progress.",
    ),
    row(
        "least_time",
        UPSTREAM,
        Args::TAKE12,
        "",
        Effect::Once(least_time),
        "Takes the server that is expected to answer soonest, by weight: by its average time until the header or the last_byte of a response, times the requests in progress; with inflight the time of requests that are not answered yet counts too.",
    ),
    row("zone", UPSTREAM, Args::TAKE12, "", Effect::Many(zone), "Accepted: one process needs no shared memory."),
];

fn zone(_: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    /// Eight pages, nginx's minimum.
    const LEAST: u64 = 8 * 4096;
    let name = &d.args[0];
    if name.is_empty() {
        return Err(Fault::new(name.span, "invalid zone name \"\""));
    }
    let size = match d.args.get(1).map(|word| (word, Size::parse(word.bytes()))) {
        None => None,
        Some((_, Ok(size))) if size.0 >= LEAST => Some(size.0),
        Some((word, Ok(_))) => {
            return Err(Fault::new(word.span, format!("zone \"{}\" is too small", name.str())).help("32k at least"));
        }
        Some((word, Err(_))) => return Err(Fault::new(word.span, format!("invalid zone size \"{}\"", word.str()))),
    };
    b.group_zones.push(GroupZone { name: name.str().into(), size, span: d.span });
    Ok(())
}

/// Modifies the group being read.
fn set(s: &mut Scope, change: impl FnOnce(&mut Upstream) -> Outcome) -> Outcome {
    s.upstream.as_mut().map_or(Ok(()), change)
}

fn method(s: &mut Scope, b: &mut Build, d: &Directive, method: Method) -> Outcome {
    set(s, |upstream| {
        if !matches!(upstream.method, Method::RoundRobin) {
            let warning = Diagnostic::warn(d.name.span, "load balancing method redefined");
            b.warning(warning.help("a group has one method: remove the others, the last one counts"));
        }
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
    method(s, b, d, Method::Hash { key, ring })
}

fn least_time(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let header = match d.args[0].bytes() {
        b"header" => true,
        b"last_byte" => false,
        _ => return Err(invalid(d, 0).help("header or last_byte")),
    };
    let inflight = match d.args.get(1) {
        None => false,
        Some(word) if word.is("inflight") => true,
        Some(word) => return Err(Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()))),
    };
    method(s, b, d, Method::LeastTime(MeasuredTime { header, inflight }))
}

fn random(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let words: Vec<&[u8]> = d.args.iter().map(|word| word.bytes()).collect();
    let two = match words[..] {
        [] => false,
        [b"two"] | [b"two", b"least_conn"] => true,
        [b"two", _] => return Err(Fault::new(d.args[1].span, format!("invalid parameter \"{}\"", d.args[1].str()))),
        _ => return Err(Fault::new(d.args[0].span, format!("invalid parameter \"{}\"", d.args[0].str()))),
    };
    method(s, b, d, Method::Random { two })
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
        None => UpstreamServer::all(PeerAddr::parse(word.bytes(), 80).map_err(|e| Fault {
            help: e.help,
            ..Fault::new(word.span, format!("{} in upstream \"{}\"", e.message, word.str()))
        })?),
    };
    let group = s.upstream.as_ref();
    // As in nginx, only a method that stands before the server restricts its parameters.
    let only_primary = group.is_some_and(|upstream| {
        matches!(upstream.method, Method::IpHash | Method::Hash { .. } | Method::Random { .. })
    });
    // `server` lines are numbered in order.
    let lines = |upstream: &Upstream| {
        let named = upstream.dynamic.last().map(|dynamic| &dynamic.peer);
        upstream.peers.last().into_iter().chain(named).map(|peer| peer.line + 1).max().unwrap_or(0)
    };
    let line = group.map_or(0, lines);
    for peer in &mut peers {
        (peer.line, peer.server) = (line, word.str().into());
    }
    for word in &d.args[1..] {
        for peer in &mut peers {
            set_parameter(peer, word, only_primary)?;
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

/// Sets a parameter of a server. `only_primary`: the group's method does not support backup servers.
fn set_parameter(peer: &mut UpstreamServer, word: &Word, only_primary: bool) -> Outcome {
    let text = word.bytes();
    let wrong = || Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()));
    let (name, value) = match memchr::memchr(b'=', text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let count = |least: u64| -> Result<u32, Fault> {
        let parsed = parse_number(value.unwrap_or_default(), u64::from(u32::MAX >> 8)).ok();
        parsed.filter(|n| *n >= least).and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong)
    };
    match (name, value) {
        (b"weight", _) => peer.weight = count(1)?,
        (b"max_fails", _) => peer.max_fails = count(0)?,
        (b"max_conns", _) => peer.max_conns = count(0)?,
        (b"fail_timeout", Some(value)) => peer.fail_timeout = Millis::parse_seconds(value).map_err(|_| wrong())?,
        (b"backup", None) if only_primary => {
            return Err(Fault::new(word.span, "balancing method does not support parameter \"backup\""));
        }
        (b"backup", None) => peer.backup = true,
        (b"down", None) => peer.down = true,
        (b"resolve", None) | (b"service", Some(_)) => {}
        // There are no sticky sessions here, so a server that serves only existing sessions gets no requests.
        (b"drain", None) => peer.down = true,
        (b"route", Some(b"")) => return Err(Fault::new(word.span, "route is empty")),
        (b"route", Some(route)) if route.len() > 32 => return Err(Fault::new(word.span, "route is longer than 32")),
        (b"route", Some(_)) => {}
        (b"slow_start", Some(_)) => {
            return Err(wrong().help("a server that comes back gets its whole share at once"));
        }
        _ => return Err(wrong().help(PARAMETERS)),
    }
    Ok(())
}

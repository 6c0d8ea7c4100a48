//! `resolver` and `resolver_timeout`: the name servers for look-ups at request time.

use crate::config::argument::time;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::lookup;
use crate::config::row::{Effect, Row, row};
use crate::config::settings::resolver::ResolverSettings;
use crate::config::value::Millis;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

const HSL: Contexts = Contexts::HSL;

const UPSTREAM: Contexts = Contexts::UPSTREAM;

const DOC: &str = "Name servers for names resolved while requests are served: addresses, with a port if it is not \
    53. valid= overrides the TTL of answers; ipv4=off or ipv6=off leaves addresses out. /etc/hosts comes first. Used \
    for a proxy_pass whose host has variables, and for servers with `resolve`.";

pub const ROWS: &[Row] = &[
    row("resolver", HSL, Args::ONE_OR_MORE, "", Effect::Once(resolver), DOC),
    row(
        "resolver",
        UPSTREAM,
        Args::ONE_OR_MORE,
        "",
        Effect::Once(|s, _, d| {
            let found = parse(d)?;
            if let Some(upstream) = &mut s.upstream {
                upstream.resolver = Some(found);
            }
            Ok(())
        }),
        "As in http, for the servers of this group.",
    ),
    row(
        "resolver_timeout",
        HSL,
        Args::TAKE1,
        "30s",
        Effect::Time(|s| &mut Rc::make_mut(&mut s.names).timeout),
        "How long a request waits for a name to be looked up; then it is answered with 502.",
    ),
    row(
        "resolver_timeout",
        UPSTREAM,
        Args::TAKE1,
        "30s",
        Effect::Once(|s, _, d| {
            let value = time(d, 0)?;
            if let Some(upstream) = &mut s.upstream {
                upstream.resolver_timeout = Some(value);
            }
            Ok(())
        }),
        "As in http, for the servers of this group.",
    ),
];

fn resolver(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    Rc::make_mut(&mut s.settings.names).resolver = Some(parse(d)?);
    Ok(())
}

fn parse(d: &Directive) -> Result<Rc<ResolverSettings>, Fault> {
    let mut servers = Vec::new();
    let mut resolver = ResolverSettings { servers: Box::default(), valid: None, ipv4: true, ipv6: true };
    for word in &d.args {
        let wrong = || Fault::new(word.span, format!("invalid parameter: {}", word.str()));
        let text = std::str::from_utf8(word.bytes()).map_err(|_| wrong())?;
        let switch = |value: &str| match value {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(wrong()),
        };
        match text.split_once('=') {
            Some(("valid", value)) => {
                resolver.valid = Some(Millis::parse_seconds(value.as_bytes()).map_err(|_| wrong())?);
            }
            Some(("ipv4", value)) => resolver.ipv4 = switch(value)?,
            Some(("ipv6", value)) => resolver.ipv6 = switch(value)?,
            // nginx takes it as a name; its commercial build supports the parameter.
            Some(("status_zone", _)) => {
                return Err(Fault::new(word.span, format!("host not found in resolver \"{text}\"")));
            }
            Some(_) => return Err(wrong()),
            // nginx has no `off` here; it would be a name that does not resolve.
            None if text == "off" => {
                let fault = Fault::new(word.span, "host not found in resolver \"off\"");
                return Err(fault.help("leave the directive out where no name is to be looked up"));
            }
            None if is_without_port(text) => {
                return Err(Fault::new(word.span, format!("invalid port in resolver \"{text}\"")));
            }
            None => servers.extend(
                server(text).ok_or_else(|| Fault::new(word.span, format!("host not found in resolver \"{text}\"")))?,
            ),
        }
    }
    if servers.is_empty() {
        return Err(Fault::new(d.name.span, "no name servers defined"));
    }
    if !resolver.ipv4 && !resolver.ipv6 {
        return Err(Fault::new(d.name.span, "\"ipv4\" and \"ipv6\" cannot both be \"off\""));
    }
    resolver.servers = servers.into();
    Ok(Rc::new(resolver))
}

/// Whether the text after the first colon is not a valid port.
pub fn is_without_port(text: &str) -> bool {
    !text.starts_with('[') && !text.starts_with("unix:") && {
        let port = text.split_once(':').map(|(_, port)| port.parse::<u16>());
        port.is_some_and(|port| !port.is_ok_and(|port| port > 0))
    }
}

/// The addresses of a name server; several if a host name is given.
fn server(text: &str) -> Option<Vec<SocketAddr>> {
    const DNS: u16 = 53;
    if let Ok(addr) = text.parse() {
        return Some(vec![addr]);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(vec![SocketAddr::new(ip, DNS)]);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, DNS),
    };
    let found: Vec<SocketAddr> = lookup::addresses(host).into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    (!found.is_empty()).then_some(found)
}

/// The system's name servers (resolv.conf), for lookups without a configured resolver.
pub fn of_system() -> Rc<ResolverSettings> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = lines.filter_map(|line| line.trim().parse::<IpAddr>().ok());
    let mut servers: Vec<SocketAddr> = addresses.map(|ip| SocketAddr::new(ip, 53)).take(3).collect();
    if servers.is_empty() {
        servers.push(SocketAddr::from(([127, 0, 0, 1], 53)));
    }
    Rc::new(ResolverSettings { servers: servers.into(), valid: None, ipv4: true, ipv6: true })
}

//! geo: a variable that depends on an address.

use super::map::variable;
use crate::config::addr::Cidr;
use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::geo::GeoTable;
use crate::config::suggest;
use crate::config::template::Source;
use std::net::Ipv4Addr;

pub const ROWS: &[Row] = &[row(
    "geo",
    Contexts::HTTP,
    Args::TAKE12.block(),
    "",
    Effect::Many(geo),
    "Makes a variable by the client's address (or by the address in the first argument): lines of a network and a value, the most specific wins; default, delete, proxy, proxy_recursive, ranges, include.",
)];

fn geo(_: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let mut table = GeoTable::default();
    let word = &d.args[d.args.len() - 1];
    let name = variable(word)?;
    if d.args.len() == 2 {
        variable(&d.args[0])?;
        table.source = Some(b.template(d, 0)?);
    }
    let mut ranges = false;
    b.lines(d, |b, line| geo_line(&mut table, b, line, &mut ranges))?;
    let at = b.tables.geos.len() as u32;
    b.define(&name, Source::Geo(at), word.span)?;
    b.tables.geos.push(table);
    Ok(())
}

fn geo_line(table: &mut GeoTable, b: &mut Build, line: &Directive, ranges: &mut bool) -> Outcome {
    match (line.name.bytes(), &line.args[..]) {
        (b"ranges", []) => {
            if !table.nets.is_empty() || table.default.is_some() {
                return Err(Fault::new(
                    line.span,
                    "the \"ranges\" directive must be the first directive inside \"geo\" block",
                ));
            }
            *ranges = true;
        }
        (b"volatile", []) => table.volatile = true,
        (b"proxy_recursive", []) => table.recursive = true,
        (b"proxy", [net]) => {
            let net = network(b, net)?;
            table.proxies.insert(net.ip, net.prefix, 0);
        }
        (b"delete", [what]) => {
            let known = if *ranges {
                let (first, last) = range(what)?;
                table.ranges.remove(first, last)
            } else {
                let net = network(b, what)?;
                table.nets.remove(net.ip, net.prefix)
            };
            if !known {
                b.warn(what.span, format!("no address range \"{}\" to delete", what.str()));
            }
        }
        (b"default", [value]) => table.default = Some(table.value(value.bytes())),
        (_, [word]) => {
            let value = table.value(word.bytes());
            match *ranges {
                true => insert_range(table, line, value)?,
                false => insert_network(table, b, line, value)?,
            }
        }
        _ => return Err(b.data_line(line, 1, "invalid number of the geo parameters", GEO_WORDS)),
    }
    Ok(())
}

fn insert_range(table: &mut GeoTable, line: &Directive, value: u32) -> Outcome {
    let (first, last) = range(&line.name)?;
    table.ranges.insert(first, last, value).map_err(|(from, to)| {
        let (from, to) = (Ipv4Addr::from_bits(from), Ipv4Addr::from_bits(to));
        Fault::new(line.span, format!("range \"{}\" overlaps \"{from}-{to}\"", line.name.str()))
    })
}

fn insert_network(table: &mut GeoTable, b: &mut Build, line: &Directive, value: u32) -> Outcome {
    let net = network(b, &line.name)?;
    if let Some(old) = table.nets.insert(net.ip, net.prefix, value) {
        let old = table.values.get(old as usize).map_or("".into(), |old| String::from_utf8_lossy(old));
        let (net, value) = (line.name.str(), line.args[0].str());
        b.warn(line.span, format!("duplicate network \"{net}\", value: \"{value}\", old value: \"{old}\""));
    }
    Ok(())
}

/// First words of lines in `geo` that are not networks.
const GEO_WORDS: &[&str] = &["default", "ranges", "delete", "proxy", "proxy_recursive", "include", "volatile"];

/// `192.168.*`: a network with a star in place of its host bits.
fn starred(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('*').next()?.split('.').filter(|part| !part.is_empty()).collect();
    let is_network = text.ends_with('*') && (1..4).contains(&parts.len());
    let (bits, zeros) = (parts.len() * 8, ".0".repeat(4 - parts.len().min(4)));
    is_network.then(|| format!("a network is written with its bits: {}{zeros}/{bits}", parts.join(".")))
}

fn network(b: &mut Build, word: &Word) -> Result<Cidr, Fault> {
    let (net, low_bits) = Cidr::parse(word.bytes()).map_err(|e| {
        let fault = Fault::new(word.span, format!("invalid network \"{}\"", word.str()));
        let near = suggest::did_you_mean(&word.str(), GEO_WORDS.iter().copied());
        let is_range = word.str().split_once('-').is_some_and(|(from, to)| from.contains('.') && to.contains('.'));
        let near = near.or_else(|| starred(&word.str()));
        let near =
            near.or_else(|| is_range.then(|| "ranges are taken where the block begins with: ranges;".to_owned()));
        Fault { help: near.or(e.help), ..fault }
    })?;
    if low_bits {
        b.low_bits(word, &net);
    }
    Ok(net)
}

fn range(word: &Word) -> Result<(u32, u32), Fault> {
    let text = word.str();
    let parse = |text: &str| text.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
    let (first, last) = text.split_once('-').unwrap_or((&text, ""));
    match (parse(first), parse(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        bounds => {
            let fault = Fault::new(word.span, format!("invalid range \"{text}\""));
            Err(match bounds {
                (Some(_), Some(_)) => {
                    let (high, low) = text.split_once('-').unwrap_or_default();
                    fault.help(format!("the lower address comes first: {low}-{high}"))
                }
                _ => fault.help("10.0.0.0-10.0.0.255"),
            })
        }
    }
}

//! limit_req and limit_conn: the rate and the number of connections per client, or per value of another key.

use crate::config::argument::{flag, number};
use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::{Level, Settings};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::limits::{ConnectionLimit, Counts, LimitSettings, RequestLimit, Zone};
use crate::config::value::Size;
use std::rc::Rc;

/// The minimum zone size, as in nginx (8 pages).
const LEAST: u64 = 32 << 10;

fn limits(s: &mut Settings) -> &mut LimitSettings {
    Rc::make_mut(&mut s.limits)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "limit_req_zone",
        Contexts::HTTP,
        Args::TAKE3,
        "",
        Effect::Many(|_, b, d| zone(b, d, Counts::Requests { rate: 1000 })),
        "A table of keys with their request rates: key zone=name:size rate=Nr/s (or r/m). Requests with an empty key do not count. webserv keeps it in its own memory, at most size of it; it outlives a reload.",
    ),
    row(
        "limit_req",
        HSL,
        Args::TAKE123,
        "",
        Effect::Many(limit_req),
        "Limits requests by a zone: zone=name, burst=N requests beyond the rate wait their turn, nodelay serves them at once, delay=N the first N; more get limit_req_status.",
    ),
    row(
        "limit_req_status",
        HSL,
        Args::TAKE1,
        "503",
        Effect::Once(|s, _, d| status(d).map(|n| limits(&mut s.settings).request_status = n)),
        "Status of refused requests, 400 to 599.",
    ),
    row(
        "limit_req_log_level",
        HSL,
        Args::TAKE1,
        "error",
        Effect::Once(|s, _, d| level(d).map(|l| limits(&mut s.settings).request_level = l)),
        "Level at which refusals are logged: info, notice, warn or error; delays are logged one level below.",
    ),
    row(
        "limit_req_dry_run",
        HSL,
        Args::FLAG,
        "off",
        Effect::Once(|s, _, d| flag(d, 0).map(|on| limits(&mut s.settings).request_dry_run = on)),
        "Counts and logs without limiting.",
    ),
    row(
        "limit_conn_zone",
        Contexts::HTTP,
        Args::TAKE2,
        "",
        Effect::Many(|_, b, d| zone(b, d, Counts::Connections)),
        "A table of keys with their requests in progress: key zone=name:size. Requests with an empty key do not count.",
    ),
    row(
        "limit_conn",
        HSL,
        Args::TAKE2,
        "",
        Effect::Many(limit_conn),
        "Most requests in progress for one key of a zone; more get limit_conn_status. A connection counts while a request of it is being answered.",
    ),
    row(
        "limit_conn_status",
        HSL,
        Args::TAKE1,
        "503",
        Effect::Once(|s, _, d| status(d).map(|n| limits(&mut s.settings).connection_status = n)),
        "Status of refused requests, 400 to 599.",
    ),
    row(
        "limit_conn_log_level",
        HSL,
        Args::TAKE1,
        "error",
        Effect::Once(|s, _, d| level(d).map(|l| limits(&mut s.settings).connection_level = l)),
        "Level at which refusals are logged: info, notice, warn or error.",
    ),
    row(
        "limit_conn_dry_run",
        HSL,
        Args::FLAG,
        "off",
        Effect::Once(|s, _, d| flag(d, 0).map(|on| limits(&mut s.settings).connection_dry_run = on)),
        "Counts and logs without limiting.",
    ),
];

/// nginx's error for a parameter that the directive does not know.
pub fn bad(word: &Word) -> Fault {
    Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()))
}

fn status(d: &Directive) -> Result<u16, Fault> {
    match number(d, 0)? {
        code @ 400..=599 => Ok(code as u16),
        _ => Err(Fault::new(d.args[0].span, "value must be between 400 and 599")),
    }
}

fn level(d: &Directive) -> Result<Level, Fault> {
    let level = Level::of(&d.args[0].str().to_ascii_lowercase()).filter(|l| (Level::Error..=Level::Info).contains(l));
    level.ok_or_else(|| bad(&d.args[0]).help("info, notice, warn or error"))
}

/// The index of a zone by name; added on its first use.
pub fn named(b: &mut Build, name: &str, word: &Word) -> u32 {
    if let Some(at) = b.zone_ids.get(name) {
        return *at;
    }
    let at = b.tables.zones.len() as u32;
    b.zone_ids.insert(name.into(), at);
    b.tables.zones.push(Zone {
        name: name.into(),
        counters: name.into(),
        key: Box::default(),
        size: Size(0),
        defined: None,
        word: word.clone(),
    });
    at
}

/// Parses `name:size`.
pub fn zone_size<'t>(word: &Word, zone: &'t str) -> Result<(&'t str, Size), Fault> {
    let text = word.str();
    let invalid = || {
        Fault::new(word.span, format!("invalid zone size \"{text}\""))
            .help("a zone has a name and a size: zone=perip:10m")
    };
    let (name, bytes) = zone.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(invalid)?;
    match Size::parse(bytes.as_bytes()).map_err(|_| invalid())? {
        size if size.0 < LEAST => {
            let span = word.part(word.len() - bytes.len(), word.len());
            Err(Fault::new(span, format!("zone \"{text}\" is too small")).help("32k or more"))
        }
        size => Ok((name, size)),
    }
}

/// Defines a zone. `counts`: what it counts, with a default rate.
fn zone(b: &mut Build, d: &Directive, mut counts: Counts) -> Outcome {
    let key = b.template(d, 0)?;
    let (mut at, mut size) = (None, Size(0));
    for word in &d.args[1..] {
        let text = word.str();
        if let Some(zone) = text.strip_prefix("zone=") {
            let (name, bytes) = zone_size(word, zone)?;
            (at, size) = (Some(named(b, name, word)), bytes);
        } else if let (Some(value), Counts::Requests { rate }) = (text.strip_prefix("rate="), &mut counts) {
            let (value, per) = match (value.strip_suffix("r/s"), value.strip_suffix("r/m")) {
                (Some(n), _) => (n, 1),
                (_, Some(n)) => (n, 60),
                // nginx takes a number without a unit as per second.
                _ => (value, 1),
            };
            let n = value.parse::<u64>().ok().filter(|n| (1..=1_000_000_000).contains(n));
            let invalid = || Fault::new(word.span, format!("invalid rate \"{text}\"")).help("rate=10r/s or rate=30r/m");
            *rate = (n.ok_or_else(invalid)? * 1000 / per).max(1);
        } else {
            return Err(bad(word));
        }
    }
    let Some(at) = at else {
        let fault = Fault::new(d.next_argument(), format!("\"{}\" must have \"zone\" parameter", d.name.str()));
        let rate = if counts == Counts::Connections { "" } else { " rate=10r/s" };
        return Err(fault.help(format!("{} {} zone=perip:10m{rate};", d.name.str(), d.args[0].str())));
    };
    let zone = &mut b.tables.zones[at as usize];
    if zone.defined.is_some() {
        let word = d.args.iter().find(|word| word.bytes().starts_with(b"zone=")).map_or(d.span, |word| word.span);
        let fault = Fault::new(word, format!("{} \"{}\" is already bound to a key", d.name.str(), zone.name));
        return Err(fault
            .note(zone.word.span, "first given here")
            .help("give this zone another name, or remove the line"));
    }
    zone.defined = Some((key, counts));
    zone.key = d.args[0].str().into();
    zone.counters = format!("{} {}", zone.name, zone.key).into();
    zone.size = size;
    Ok(())
}

/// Checks that a defined zone counts what the directive limits.
fn of_kind(b: &Build, at: u32, word: &Word, is: fn(&Counts) -> bool) -> Outcome {
    let zone = &b.tables.zones[at as usize];
    match &zone.defined {
        Some((_, counts)) if !is(counts) => {
            let text = format!("the shared memory zone \"{}\" is already declared for a different use", zone.name);
            Err(Fault::new(word.span, text))
        }
        _ => Ok(()),
    }
}

fn limit_req(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let (mut zone, mut burst, mut delay) = (None, 0, 0);
    for word in &d.args {
        let text = word.str();
        let count = |digits: &str, least: u64| {
            let n = digits.parse::<u64>().ok().filter(|n| (least..=1_000_000_000).contains(n));
            n.map(|n| n * 1000).ok_or_else(|| bad(word))
        };
        if let Some(name) = text.strip_prefix("zone=") {
            let at = named(b, name, word);
            of_kind(b, at, word, |counts| matches!(counts, Counts::Requests { .. }))?;
            zone = Some(at);
        } else if let Some(digits) = text.strip_prefix("burst=") {
            burst = count(digits, 1)?;
        } else if let Some(digits) = text.strip_prefix("delay=") {
            delay = count(digits, 1)?;
        } else if text == "nodelay" {
            delay = u64::MAX;
        } else {
            return Err(bad(word));
        }
    }
    let Some(zone) = zone else {
        return Err(Fault::new(d.next_argument(), "\"limit_req\" must have \"zone\" parameter")
            .help("limit_req zone=perip burst=5;"));
    };
    let limits = limits(&mut s.settings);
    if !s.own.zones.insert(zone) {
        return Err(Fault::new(d.span, "\"limit_req\" directive is duplicate"));
    }
    limits.requests.add(s.first, RequestLimit { zone, burst, delay });
    Ok(())
}

fn limit_conn(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let most = match number(d, 1) {
        Ok(n @ 1..=65_535) => n as u32,
        Ok(0) | Err(_) => {
            return Err(Fault::new(d.args[1].span, format!("invalid number of connections \"{}\"", d.args[1].str())));
        }
        Ok(_) => return Err(Fault::new(d.args[1].span, "connection limit must be less 65536")),
    };
    let zone = named(b, &d.args[0].str(), &d.args[0]);
    of_kind(b, zone, &d.args[0], |counts| matches!(counts, Counts::Connections))?;
    let limits = limits(&mut s.settings);
    if !s.own.zones.insert(zone) {
        return Err(Fault::new(d.span, "\"limit_conn\" directive is duplicate"));
    }
    limits.connections.add(s.first, ConnectionLimit { zone, most });
    Ok(())
}

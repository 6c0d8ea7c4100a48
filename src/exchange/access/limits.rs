//! limit_req and limit_conn, before a password is asked for (nginx's preaccess phase).

use crate::config::model::{Config, Level};
use crate::config::settings::limits::{Counts, Limits, Zone};
use crate::exchange::flow::{Flow, Phase, Then};
use crate::exchange::log_facts::LimitOutcome;
use crate::exchange::{Exchange, variables};
use crate::http::status::Status;
use crate::services::Services;
use std::rc::Rc;

/// Longest keys that are counted (nginx).
const LONGEST_REQUEST_KEY: usize = 65_535;
const LONGEST_CONNECTION_KEY: usize = 255;

/// limit_req, then limit_conn: passes, delays or refuses. A delayed request comes here again for limit_conn.
pub fn check(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let limits = ex.here().settings.limits.clone();
    if limits.is_empty() {
        return Flow::Next;
    }
    // A delayed request goes on to the connections when its time has come.
    match requests(ex, cx, &limits) {
        Flow::Next => connections(ex, cx, &limits),
        other => other,
    }
}

/// The zone's key for this request; None if the request is not counted.
fn key<'c>(
    ex: &mut Exchange,
    cx: &mut Services,
    config: &'c Config,
    zone: u32,
    longest: usize,
) -> Option<(&'c Zone, Counts, Vec<u8>)> {
    let zone = config.tables.zones.get(zone as usize)?;
    let (template, counts) = zone.defined.as_ref()?;
    let key = variables::text(template, ex, cx);
    if key.len() > longest {
        let text = String::from_utf8_lossy(&key).into_owned();
        ex.report(
            cx,
            Level::Error,
            format_args!("the key of zone \"{}\" is more than {longest} bytes: \"{text}\"", zone.name),
        );
        return None;
    }
    (!key.is_empty()).then_some((zone, *counts, key))
}

fn requests(ex: &mut Exchange, cx: &mut Services, limits: &Limits) -> Flow {
    if limits.requests.is_empty() || ex.log.limit_req.is_some() {
        return Flow::Next;
    }
    let config = ex.config.clone();
    let now = cx.now.ms;
    let mut counted = Vec::new();
    for limit in limits.requests.iter() {
        let Some((zone, Counts::Requests { rate }, key)) = key(ex, cx, &config, limit.zone, LONGEST_REQUEST_KEY) else {
            continue;
        };
        let excess = cx.limits.excess(&zone.name, &key, rate, now);
        if excess > limit.burst {
            return rejected(ex, cx, limits, excess, &zone.name);
        }
        counted.push((limit, zone, rate, key));
    }
    if counted.is_empty() {
        return Flow::Next;
    }
    let mut worst = (0, 0, &*counted[0].1.name);
    for (limit, zone, rate, key) in &counted {
        let excess = cx.limits.count(&zone.name, key, *rate, now, zone.size.0);
        let delay = excess.saturating_sub(limit.delay).saturating_mul(1000) / rate;
        if delay > worst.0 {
            worst = (delay, excess, &zone.name);
        }
    }
    let (delay, excess, zone) = worst;
    if delay == 0 {
        ex.log.limit_req = Some(LimitOutcome::Passed);
        return Flow::Next;
    }
    delayed(ex, cx, limits, (delay, excess), zone)
}

fn rejected(ex: &mut Exchange, cx: &mut Services, limits: &Limits, excess: u64, zone: &str) -> Flow {
    let dry = if limits.request_dry_run { ", dry run" } else { "" };
    let (whole, rest) = (excess / 1000, excess % 1000);
    let text = format_args!("limiting requests{dry}, excess: {whole}.{rest:03} by zone \"{zone}\"");
    ex.report(cx, limits.request_level, text);
    if limits.request_dry_run {
        ex.log.limit_req = Some(LimitOutcome::RejectedDryRun);
        return Flow::Next;
    }
    ex.log.limit_req = Some(LimitOutcome::Rejected);
    Flow::Status(Status(limits.request_status))
}

fn delayed(ex: &mut Exchange, cx: &mut Services, limits: &Limits, (delay, excess): (u64, u64), zone: &str) -> Flow {
    let dry = if limits.request_dry_run { ", dry run" } else { "" };
    // One level below that of a refusal.
    let level = match limits.request_level {
        Level::Error => Level::Warn,
        Level::Warn => Level::Notice,
        _ => Level::Info,
    };
    ex.report(
        cx,
        level,
        format_args!("delaying request{dry}, excess: {}.{:03}, by zone \"{zone}\"", excess / 1000, excess % 1000),
    );
    if limits.request_dry_run {
        ex.log.limit_req = Some(LimitOutcome::DelayedDryRun);
        return Flow::Next;
    }
    ex.log.limit_req = Some(LimitOutcome::Delayed);
    Flow::Delay { until: cx.now.ms + delay, then: Then::Phase(Phase::Limits) }
}

fn connections(ex: &mut Exchange, cx: &mut Services, limits: &Limits) -> Flow {
    if limits.connections.is_empty() || ex.log.limit_conn.is_some() {
        return Flow::Next;
    }
    let config = ex.config.clone();
    for limit in limits.connections.iter() {
        let Some((zone, _, key)) = key(ex, cx, &config, limit.zone, LONGEST_CONNECTION_KEY) else { continue };
        ex.log.limit_conn = Some(LimitOutcome::Passed);
        let key: Box<[u8]> = key.into();
        if cx.limits.enter(&zone.name, &key, limit.most, zone.size.0) {
            ex.places.push((Rc::clone(&zone.name), key));
            continue;
        }
        let dry = if limits.connection_dry_run { ", dry run," } else { "" };
        ex.report(cx, limits.connection_level, format_args!("limiting connections{dry} by zone \"{}\"", zone.name));
        ex.give_places_back(cx);
        if limits.connection_dry_run {
            ex.log.limit_conn = Some(LimitOutcome::RejectedDryRun);
            return Flow::Next;
        }
        ex.log.limit_conn = Some(LimitOutcome::Rejected);
        return Flow::Status(Status(limits.connection_status));
    }
    Flow::Next
}

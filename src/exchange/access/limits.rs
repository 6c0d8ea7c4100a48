//! limit_req and limit_conn, before a password is asked for (nginx's preaccess phase).

use crate::config::model::Level;
use crate::config::settings::limits::{Counts, LimitSettings, Zone};
use crate::config::template::Template;
use crate::exchange::flow::{Flow, Phase, Then};
use crate::exchange::log_facts::LimitOutcome;
use crate::exchange::{Exchange, variables};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::limits::Node;
use std::rc::Rc;

/// Longest keys that are counted (nginx).
const LONGEST_REQUEST_KEY: usize = 65_535;
const LONGEST_CONNECTION_KEY: usize = 255;

/// limit_req, then limit_conn: passes, delays or refuses. A delayed request comes here again for limit_conn.
pub fn check(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let limits = ex.location().settings.limits.clone();
    if limits.is_empty() {
        return Flow::Next;
    }
    // A delayed request is checked against limit_conn when its delay is over.
    match requests(ex, cx, &limits) {
        Flow::Next => connections(ex, cx, &limits),
        other => other,
    }
}

/// The keys of a request. Those of one template are one key: most zones count addresses.
#[derive(Default)]
struct Keys<'c> {
    of: Vec<(&'c Template, Option<Rc<[u8]>>)>,
}

impl<'c> Keys<'c> {
    /// The zone's key for this request; None if the request is not counted.
    fn of(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        zone: &Zone,
        template: &'c Template,
        longest: usize,
    ) -> Option<Rc<[u8]>> {
        if let Some((_, key)) = self.of.iter().find(|(known, _)| *known == template) {
            return key.clone();
        }
        let mut text = std::mem::take(&mut cx.scratch);
        text.clear();
        variables::expand(template, ex, cx, &mut text);
        // A zone hashes, compares and keeps it.
        variables::takes(text.len(), ex, cx);
        let key = (!text.is_empty() && text.len() <= longest).then(|| Rc::from(&text[..]));
        if text.len() > longest {
            let text = String::from_utf8_lossy(&text);
            let written = &zone.key;
            let what = format_args!("the value of the \"{written}\" key is more than {longest} bytes: \"{text}\"");
            ex.report(cx, Level::Error, what);
        }
        cx.scratch = text;
        self.of.push((template, key.clone()));
        key
    }
}

/// A request counted by a zone: the zone, its rate, the key, and the key's entry before.
type Counted<'l> = (&'l Zone, u64, Rc<[u8]>, Option<Node>);

fn requests(ex: &mut Exchange, cx: &mut Services, limits: &LimitSettings) -> Flow {
    if limits.requests.is_empty() || ex.log.limit_req.is_some() {
        return Flow::Next;
    }
    let config = ex.config.clone();
    let now = cx.now.ms;
    let mut keys = Keys::default();
    let mut counted: Vec<Counted<'_>> = Vec::with_capacity(limits.requests.len());
    let mut worst: Option<(u64, u64, &str)> = None;
    for limit in limits.requests.iter() {
        let Some(zone) = config.tables.zones.get(limit.zone as usize) else { continue };
        let Some((template, Counts::Requests { rate })) = &zone.defined else { continue };
        let Some(key) = keys.of(ex, cx, zone, template, LONGEST_REQUEST_KEY) else { continue };
        let (excess, before) = cx.limits.count(&zone.counters, &key, *rate, now);
        counted.push((zone, *rate, key, before));
        if excess > limit.burst {
            // Refused by one, it counts for none of them.
            counted.into_iter().for_each(|(zone, _, key, before)| cx.limits.uncount(&zone.counters, &key, before));
            return rejected(ex, cx, limits, excess, &zone.name);
        }
        let delay = excess.saturating_sub(limit.delay).saturating_mul(1000) / rate;
        if worst.is_none_or(|(most, ..)| delay > most) {
            worst = Some((delay, excess, &zone.name));
        }
    }
    for (zone, rate, key, _) in counted.into_iter().filter(|(.., before)| before.is_none()) {
        cx.limits.keep(&zone.counters, &key, rate, now, zone.size.0);
    }
    let Some((delay, excess, zone)) = worst else { return Flow::Next };
    if delay == 0 {
        ex.log.limit_req = Some(LimitOutcome::Passed);
        return Flow::Next;
    }
    delayed(ex, cx, limits, (delay, excess), zone)
}

fn rejected(ex: &mut Exchange, cx: &mut Services, limits: &LimitSettings, excess: u64, zone: &str) -> Flow {
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

fn delayed(
    ex: &mut Exchange,
    cx: &mut Services,
    limits: &LimitSettings,
    (delay, excess): (u64, u64),
    zone: &str,
) -> Flow {
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

fn connections(ex: &mut Exchange, cx: &mut Services, limits: &LimitSettings) -> Flow {
    if limits.connections.is_empty() || ex.log.limit_conn.is_some() {
        return Flow::Next;
    }
    let config = ex.config.clone();
    let mut keys = Keys::default();
    for limit in limits.connections.iter() {
        let Some(zone) = config.tables.zones.get(limit.zone as usize) else { continue };
        let Some((template, _)) = &zone.defined else { continue };
        let Some(key) = keys.of(ex, cx, zone, template, LONGEST_CONNECTION_KEY) else { continue };
        ex.log.limit_conn = Some(LimitOutcome::Passed);
        if cx.limits.enter(&zone.counters, &key, limit.most, zone.size.0) {
            ex.progress.limit_slots.push((Rc::clone(&zone.counters), key));
            continue;
        }
        let dry = if limits.connection_dry_run { ", dry run," } else { "" };
        ex.report(cx, limits.connection_level, format_args!("limiting connections{dry} by zone \"{}\"", zone.name));
        ex.release_limit_slots(cx);
        if limits.connection_dry_run {
            ex.log.limit_conn = Some(LimitOutcome::RejectedDryRun);
            return Flow::Next;
        }
        ex.log.limit_conn = Some(LimitOutcome::Rejected);
        return Flow::Status(Status(limits.connection_status));
    }
    Flow::Next
}

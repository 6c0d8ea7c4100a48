//! The extensions of nginx-dav-ext-module, with its syntax: PROPFIND, OPTIONS, LOCK, UNLOCK; and PROPPATCH, which that
//! module lacks.

use super::limits::{bad, named, zone_size};
use crate::config::argument::invalid;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::limits::Counts;
use crate::config::template::Template;
use crate::config::value::Millis;
use crate::http::method::{Method, MethodSet};
use std::rc::Rc;

const METHODS: &str = "Further WebDAV methods, as in nginx-dav-ext-module, and PROPPATCH. PROPFIND answers Depth 0 \
    and 1, not infinity (403). LOCK and UNLOCK need dav_ext_lock. PROPPATCH stores no properties except the times \
    that Windows sets. With this directive collections may lack their slash, and COPY and MOVE may replace one by a \
    file.";
const ZONE: &str = "A table of WebDAV locks: zone=name:size, and timeout=TIME, the maximum duration of a lock \
    (default 1m; clients refresh theirs). It is in the memory of one process: other servers do not see the locks, \
    and a restart or an upgrade of the binary forgets them; a reload keeps them. A lock that does not fit is refused \
    (507).";
const LOCK: &str = "The zone (zone=name) for locks made here. All writes respect locks, including forms and \
    resumable uploads: 423 unless the client sends the lock's token in If and is the user who made the lock. A \
    collection is locked with everything below it only if no other location, script or regex may apply there; \
    otherwise 403.";

pub const ROWS: &[Row] = &[
    row("dav_ext_methods", Contexts::HSL, Args::ONE_OR_MORE, "off", Effect::Many(methods), METHODS),
    row("dav_ext_lock_zone", Contexts::HTTP, Args::TAKE12, "", Effect::Many(|_, b, d| zone(b, d)), ZONE),
    row("dav_ext_lock", Contexts::HSL, Args::TAKE1, "", Effect::Once(lock), LOCK),
];

fn methods(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let mut set = if s.first { MethodSet::EMPTY } else { s.settings.dav.ext };
    for (at, word) in d.args.iter().enumerate() {
        match word.bytes().to_ascii_uppercase().as_slice() {
            b"OFF" => {}
            b"PROPFIND" => set = set.with(Method::Propfind),
            b"PROPPATCH" => set = set.with(Method::Proppatch),
            b"OPTIONS" => set = set.with(Method::Options),
            b"LOCK" => set = set.with(Method::Lock),
            b"UNLOCK" => set = set.with(Method::Unlock),
            _ => return Err(invalid(d, at).help("PROPFIND, OPTIONS, LOCK, UNLOCK, PROPPATCH, or off")),
        }
    }
    Rc::make_mut(&mut s.settings.dav).ext = set;
    Ok(())
}

fn zone(b: &mut Build, d: &Directive) -> Outcome {
    let (mut at, mut size, mut timeout) = (None, None, Millis(60_000));
    for word in &d.args {
        let text = word.str();
        if let Some(zone) = text.strip_prefix("zone=") {
            let (name, bytes) = zone_size(word, zone)?;
            (at, size) = (Some(named(b, name, word)), Some(bytes));
        } else if let Some(time) = text.strip_prefix("timeout=") {
            let wrong = || Fault::new(word.span, format!("invalid timeout \"{text}\"")).help("timeout=10m");
            timeout = Millis::parse(time.as_bytes()).ok().filter(|time| time.0 >= 1000).ok_or_else(wrong)?;
        } else {
            return Err(bad(word));
        }
    }
    let (Some(at), Some(size)) = (at, size) else {
        return Err(Fault::new(d.next_argument(), "\"dav_ext_lock_zone\" must have \"zone\" parameter"));
    };
    let Some(zone) = b.tables.zones.get_mut(at as usize) else { return Ok(()) };
    if zone.defined.is_some() {
        return Err(Fault::new(d.span, format!("zone \"{}\" is defined already", zone.name)));
    }
    zone.defined = Some((Template::default(), Counts::Locks { timeout: timeout.seconds().max(1) }));
    zone.size = size;
    Ok(())
}

fn lock(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let text = d.args[0].str();
    let dav = Rc::make_mut(&mut s.settings.dav);
    dav.lock_zone = match text.strip_prefix("zone=").filter(|name| !name.is_empty()) {
        Some(name) => Some(named(b, name, &d.args[0])),
        None if text == "off" => None,
        None => return Err(bad(&d.args[0]).help("zone=NAME of a dav_ext_lock_zone")),
    };
    Ok(())
}

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

const METHODS: &str = "Which further methods of WebDAV are answered, beside those of dav_methods (nginx-dav-ext-module's \
     directive, with PROPPATCH besides). PROPFIND tells what is there, of a name (Depth: 0) or of a directory and what is in \
     it (Depth: 1), as it is sent, in constant memory; of a whole tree at once it does not (403, propfind-finite-depth). \
     OPTIONS tells clients that this is WebDAV (DAV, MS-Author-Via). LOCK and UNLOCK need dav_ext_lock; LOCK of an unused name makes an empty file where dav_methods has PUT and the rules of uploads let one. PROPPATCH keeps no properties: it takes the times and attributes \
     that Windows sets (of which the last change is kept), and says 403 of each other one, within its 207. With this \
     directive a collection may be named without its slash by DELETE, COPY and MOVE too, and the location itself (/dav for location /dav/) by the methods named here; COPY and MOVE may replace a \
     collection by a file and the other way round, and say 201 for a new name, 204 for one that was replaced.";
const ZONE: &str = "A table for the locks of WebDAV: zone=name:size, and timeout=TIME, the longest that a lock is granted for \
     (1m by default; clients refresh theirs). It is kept in the memory of one process: several servers on one store do not \
     see each other's locks, and a restart forgets them, as does an upgrade of the binary (USR2): a reload keeps them. What does not fit is refused (507).";
const LOCK: &str = "The zone (zone=name) in which LOCK keeps its locks here. Every write asks for locks, whichever way it comes \
     (WebDAV, forms, resumable uploads, DELETE): 423 where the client does not name the lock's token in If, or is not the \
     user who has the lock (whose password auth_basic checked, else the subject of a verified client certificate). A \
     collection is locked with all below it (Depth: infinity) only where no other location, script or regex may rule there: 403.";

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

//! Skips the ops of a script that would do nothing, with one look-up for each list they are in. What is skipped
//! leaves the trace of its last op: no captures if that does not match, its own if it is negated and does.
//!
//! Invariants: only stable subjects are in lists (see `config::resolve::lists`), which nothing but an op that is run
//! can change; after each op that was run, a subject's known value is compared with its present one. A subject is
//! evaluated only once all ops before the first that depends on it are known to do nothing, as if they were tried one
//! after the other. The result is a number of ops to skip: it cannot lead back.

use crate::config::pattern::{Effort, Failed, Matched, Pattern};
use crate::config::pattern_set::{Candidates, PatternSet};
use crate::config::script::{AskedVariables, GeoOps, MapOps, OpList, OpLists, OpTest, Script, place_of};
use crate::config::settings::geo::GeoTable;
use crate::exchange::user_values::UserValues;
use crate::exchange::{Exchange, variables};
use crate::services::Services;
use std::net::IpAddr;
use std::ops::Range;

/// The ops that are looked at first. Twice as many follow while none does anything: an op that changes the subject
/// makes the result of a look useless, so a look must not go much further than the script does.
const NEAR: usize = 16;

/// What is known of the lists of a script.
#[derive(Default)]
pub struct Passes {
    of: Vec<Pass>,
    /// The value of a subject, before it is compared.
    value: Vec<u8>,
    /// What the op that is done next captured ([`Does::Matches`]): it is too large to be handed from call to call.
    matched: Matched,
}

impl Passes {
    /// What the op that is done next is known to have captured.
    pub fn captured(&mut self, does: Does) -> Option<Matched> {
        (does == Does::Matches).then(|| std::mem::take(&mut self.matched))
    }
}

#[derive(Default)]
struct Pass {
    /// The subject was evaluated since the last op was run.
    is_fresh: bool,
    subject: Vec<u8>,
    /// What it may match; None: not looked up yet.
    candidates: Option<Candidates>,
    /// All ops of the list before this one are passed, or do nothing with the subject.
    tried: usize,
    /// The op there has something to do, or fails.
    hit: Option<Result<Does, Failed>>,
    /// What it captured, where it matches.
    matched: Matched,
}

/// What ops are asked about besides the subject.
#[derive(Clone, Copy)]
struct Known<'a> {
    user: &'a UserValues,
    geos: &'a [GeoTable],
}

/// An op that has something to do, or whose pattern fails.
type Hit = (usize, Result<Does, Failed>);

/// What is known of an op that has something to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Its condition holds, and captures nothing.
    Holds,
    /// Its pattern matches the subject, and captures [`Passes::captured`]: nothing, where it has no groups.
    Matches,
    /// It may come to nothing after all: it is tried.
    Something,
}

/// Ops that were passed over, and what is known of the one behind them.
pub struct Skipped {
    /// How many.
    pub ops: usize,
    /// What is known of the op behind them.
    pub does: Does,
}

/// How many ops from `at` on have nothing to do; called after each op that was run. While explain traces, or under
/// rewrite_log, each op is run and reports itself.
pub fn skip(ex: &mut Exchange, cx: &mut Services, script: &Script, at: usize, passes: &mut Passes) -> Skipped {
    let OpLists { lists, others } = &script.lists;
    let none = Skipped { ops: 0, does: Does::Something };
    if lists.is_empty() || cx.trace.is_some() || ex.location().settings.logs.rewrites {
        return none;
    }
    let end = at_or_after(others, at).unwrap_or(script.ops.len());
    if end <= at {
        return none;
    }
    passes.of.resize_with(lists.len(), Pass::default);
    passes.of.iter_mut().for_each(|pass| pass.is_fresh = false);
    let (mut from, mut width, mut found) = (at, NEAR, None);
    while found.is_none() && from < end {
        let until = end.min(from + width);
        found = first(ex, cx, script, from..until, passes);
        (from, width) = (until, width * 2);
    }
    let (next, does) = match found {
        Some((op, Ok(does))) => (op, does),
        Some((op, Err(failed))) => {
            ex.pattern_gave_up(cx, &failed);
            (op, Does::Something)
        }
        None => (end, Does::Something),
    };
    if next > at {
        leave_captures(ex, cx, script, at..next, passes);
        leave_values(ex, script, at..next);
    }
    Skipped { ops: next.saturating_sub(at), does }
}

/// What the last of these ops that has a pattern leaves behind.
fn leave_captures(ex: &mut Exchange, cx: &mut Services, script: &Script, skipped: Range<usize>, passes: &Passes) {
    let last = |list: &OpList| {
        let before_end = list.ops.partition_point(|op| *op < skipped.end).checked_sub(1)?;
        list.ops.get(before_end).copied().filter(|op| skipped.contains(op))
    };
    let tried = script.lists.lists.iter().zip(&passes.of).filter_map(|(list, pass)| match list.test {
        OpTest::Patterns(_) => Some((last(list)?, None)),
        OpTest::NoPatterns(_) => Some((last(list)?, Some(pass))),
        OpTest::Texts(_) | OpTest::NoTexts(_) | OpTest::Maps(_) | OpTest::Geos(_) => None,
    });
    match tried.max_by_key(|(op, _)| *op) {
        None => {}
        Some((_, None)) => ex.route.groups = Default::default(),
        Some((op, Some(pass))) => {
            let Some(pattern) = pattern(script, op) else { return };
            match ex.route.effort.spend(|effort| pattern.find_within(&pass.subject, effort)) {
                Ok(matched) => ex.remember(&pass.subject, matched),
                Err(failed) => ex.pattern_gave_up(cx, &failed),
            }
        }
    }
}

/// Maps and `geo`s that these ops ask for keep the value that they have now, as any that is asked for (nginx).
fn leave_values(ex: &mut Exchange, script: &Script, skipped: Range<usize>) {
    for list in &script.lists.lists {
        let (OpTest::Maps(MapOps { asked, .. }) | OpTest::Geos(GeoOps { asked, .. })) = &list.test else { continue };
        let places = list.places(&skipped);
        if places.len() == list.ops.len() && ex.route.user.is_empty() {
            ex.route.user.set_all(&asked.defaults);
            continue;
        }
        for variable in asked.variables.get(places).unwrap_or_default() {
            if let Some(text) = asked.defaults.get(variable).filter(|_| ex.route.user.get(*variable).is_none()) {
                ex.set_user(*variable, text.clone());
            }
        }
    }
}

/// The first of these ops, all of them in lists, that has something to do or fails.
fn first(ex: &mut Exchange, cx: &mut Services, script: &Script, ops: Range<usize>, passes: &mut Passes) -> Option<Hit> {
    let lists = &script.lists.lists;
    // In the order of the ops that ask first.
    let mut order = [(usize::MAX, 0); OpLists::MOST];
    let order = order.get_mut(..lists.len()).unwrap_or_default();
    for (slot, (number, list)) in order.iter_mut().zip(lists.iter().enumerate()) {
        *slot = (at_or_after(&list.ops, ops.start).unwrap_or(usize::MAX), number);
    }
    order.sort_unstable();
    let (mut end, mut found) = (ops.end, None);
    let config = ex.config.clone();
    for (first, number) in order.iter().copied() {
        if first >= end {
            break;
        }
        let (Some(list), Some(pass)) = (lists.get(number), passes.of.get_mut(number)) else { break };
        if !pass.is_fresh {
            evaluate(ex, cx, list, pass, &mut passes.value);
        }
        let known = Known { user: &ex.route.user, geos: &config.tables.geos };
        let asked = ex.route.effort.spend(|effort| pass.ask(script, list, first..end, known, effort));
        if let Some((op, what)) = asked {
            end = op;
            found = Some((op, what, number));
        }
    }
    let (op, what, number) = found?;
    if let (Ok(Does::Matches), Some(pass)) = (&what, passes.of.get_mut(number)) {
        passes.matched = std::mem::take(&mut pass.matched);
    }
    Some((op, what))
}

/// If the subject has changed, earlier results do not apply.
fn evaluate(ex: &mut Exchange, cx: &mut Services, list: &OpList, pass: &mut Pass, value: &mut Vec<u8>) {
    value.clear();
    match &list.subject {
        Some(subject) => variables::expand(subject, ex, cx, value),
        None => value.extend_from_slice(&ex.route.uri),
    }
    if pass.subject != *value {
        *pass = Pass { subject: std::mem::take(&mut pass.subject), ..Pass::default() };
        std::mem::swap(&mut pass.subject, value);
    }
    pass.is_fresh = true;
}

impl Pass {
    /// The first of these ops of the list that has something to do or fails.
    fn ask(
        &mut self,
        script: &Script,
        list: &OpList,
        ops: Range<usize>,
        Known { user, geos }: Known<'_>,
        effort: &mut Effort,
    ) -> Option<Hit> {
        let places = list.places(&ops);
        // The value that a variable has already is the one that counts.
        let is_kept = |asked: &AskedVariables, place: usize| {
            !user.is_empty() && asked.variables.get(place).is_some_and(|at| user.get(*at).is_some())
        };
        match &list.test {
            OpTest::Maps(maps) => {
                let named = maps.named.get(&*self.subject.to_ascii_lowercase());
                let named = named.and_then(|named| at_or_after(named, ops.start)).filter(|op| *op < ops.end);
                let kept = if user.is_empty() { None } else { places.into_iter().find(|at| is_kept(&maps.asked, *at)) };
                let kept = kept.and_then(|place| list.ops.get(place).copied());
                named.into_iter().chain(kept).min().map(|op| (op, Ok(Does::Something)))
            }
            OpTest::Geos(GeoOps { tables, asked }) => {
                let ip = address(&self.subject);
                let is_named = |place: usize| {
                    let geo = tables.get(place).and_then(|table| geos.get(*table as usize));
                    geo.is_none_or(|geo| geo.named(ip).is_some())
                };
                let place = places.into_iter().find(|place| is_kept(asked, *place) || is_named(*place))?;
                Some((*list.ops.get(place)?, Ok(Does::Something)))
            }
            OpTest::Texts(texts) => {
                let op = at_or_after(texts.get(&*self.subject)?, ops.start)?;
                (op < ops.end).then_some((op, Ok(Does::Holds)))
            }
            OpTest::NoTexts(texts) => {
                let equal = texts.get(&*self.subject).map_or(&[][..], |ops| ops);
                let mut equal = equal.iter().skip(equal.partition_point(|op| *op < ops.start)).peekable();
                let op = list.ops.get(places)?.iter().find(|op| equal.next_if_eq(op).is_none())?;
                Some((*op, Ok(Does::Holds)))
            }
            OpTest::Patterns(set) | OpTest::NoPatterns(set) => self.ask_patterns(script, list, set, places, effort),
        }
    }

    /// As [`Pass::ask`], of a list of patterns; `places` are those of the ops in it.
    fn ask_patterns(
        &mut self,
        script: &Script,
        list: &OpList,
        set: &PatternSet,
        places: Range<usize>,
        effort: &mut Effort,
    ) -> Option<Hit> {
        if self.hit.is_none() || self.tried < places.start {
            let candidates = self.candidates.get_or_insert_with(|| set.candidates(&self.subject, effort));
            let from = self.tried.max(places.start);
            let pattern = |place: usize| pattern(script, *list.ops.get(place)?);
            let first = match list.test {
                OpTest::NoPatterns(_) => {
                    let first = candidates.first_mismatch(from..places.end, &self.subject, effort, pattern);
                    first.map(|place| place.map(|place| (place, Does::Holds)))
                }
                _ => {
                    let first = candidates.first(from..places.end, &self.subject, effort, pattern);
                    first.map(|hit| {
                        let (place, matched) = hit?;
                        self.matched = matched.unwrap_or_default();
                        Some((place, Does::Matches))
                    })
                }
            };
            (self.tried, self.hit) = match first {
                Ok(Some((place, does))) => (place, Some(Ok(does))),
                Ok(None) => (from.max(places.end), None),
                Err((place, failed)) => (place, Some(Err(failed))),
            };
        }
        if !places.contains(&self.tried) {
            return None;
        }
        let hit = self.hit.as_mut()?;
        // It is done once. Should another list have something to do before that, it is tried again.
        let hit = std::mem::replace(hit, Ok(Does::Something));
        Some((*list.ops.get(self.tried)?, hit))
    }
}

/// The address from the bytes of `$binary_remote_addr`. None: the client has none.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v6 = || <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from);
    <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from).or_else(v6)
}

fn at_or_after(ops: &[usize], at: usize) -> Option<usize> {
    ops.get(place_of(ops, at)).copied()
}

fn pattern(script: &Script, at: usize) -> Option<&Pattern> {
    script.ops.get(at)?.pattern()
}

//! Skips the ops of a script that have nothing to do, by one question for each list they are in. What is skipped leaves the
//! trace that an op which does not match leaves: no captures.
//!
//! Invariant: a subject is evaluated only once all ops before the first that asks about it are known to do nothing, as if
//! they were tried one after the other: the value of a variable may be kept from then on.

use crate::config::model::{OpList, OpTest, Script};
use crate::config::pattern::{Failed, Pattern};
use crate::config::pattern_set::Candidates;
use crate::exchange::{Exchange, variables};
use crate::services::Services;

/// What is known of the lists of a script.
#[derive(Default)]
pub struct Passes(Vec<Pass>);

#[derive(Default)]
struct Pass {
    /// The subject and what it may match, kept for when it is asked about again.
    asked: Option<(Vec<u8>, Candidates)>,
    /// The first op that has something to do or fails, unless an op has changed something since.
    next: Option<Found>,
}

type Found = Result<Option<usize>, (usize, Failed)>;

impl Passes {
    /// An op did something: subjects may have changed.
    pub fn forget(&mut self) {
        self.0.iter_mut().for_each(|pass| pass.next = None);
    }
}

/// The first op at or after `at` that has something to do. While explain traces, each op is run and reports itself.
pub fn skip(ex: &mut Exchange, cx: &mut Services, script: &Script, at: usize, passes: &mut Passes) -> usize {
    let lists = &script.lists;
    if lists.lists.is_empty() || cx.trace.is_some() {
        return at;
    }
    let first_of = |ops: &[usize]| ops.get(ops.partition_point(|op| *op < at)).copied();
    let end = first_of(&lists.others).unwrap_or(script.ops.len());
    if end == at {
        return at;
    }
    passes.0.resize_with(lists.lists.len(), Pass::default);
    // In the order of the ops that ask first.
    let mut order: Vec<(usize, usize)> =
        lists.lists.iter().enumerate().filter_map(|(number, list)| Some((first_of(&list.ops)?, number))).collect();
    order.sort_unstable();
    let (mut next, mut failure) = (end, None);
    for (first, number) in order {
        if first >= next {
            break;
        }
        let (Some(list), Some(pass)) = (lists.lists.get(number), passes.0.get_mut(number)) else { continue };
        let found = match &pass.next {
            Some(known) => known.clone(),
            None => {
                let held = has_pattern(script, at, first).then(|| std::mem::take(&mut ex.route.groups));
                let found = ask(ex, cx, script, list, at, pass);
                if let Some(groups) = held {
                    ex.route.groups = groups;
                }
                pass.next.insert(found).clone()
            }
        };
        match found {
            Ok(Some(op)) if op < next => (next, failure) = (op, None),
            Err((op, failed)) if op < next => (next, failure) = (op, Some(failed)),
            _ => {}
        }
    }
    if let Some(failed) = failure {
        ex.undecided(cx, &failed);
    }
    if has_pattern(script, at, next) {
        ex.route.groups = Default::default();
    }
    next
}

/// Whether one of the listed ops `at..end` would match a pattern, which leaves no captures where it fails to.
fn has_pattern(script: &Script, at: usize, end: usize) -> bool {
    script.lists.lists.iter().filter(|list| matches!(list.test, OpTest::Patterns(_))).any(|list| {
        let first = list.ops.partition_point(|op| *op < at);
        list.ops.get(first).is_some_and(|op| *op < end)
    })
}

fn ask(ex: &mut Exchange, cx: &mut Services, script: &Script, list: &OpList, at: usize, pass: &mut Pass) -> Found {
    let mut subject = match &list.subject {
        Some(subject) => variables::text(subject, ex, cx),
        None => std::mem::take(&mut ex.route.uri),
    };
    let found = match &list.test {
        OpTest::Texts(texts) => {
            let ops = texts.get(&*subject).map(Vec::as_slice).unwrap_or_default();
            Ok(ops.get(ops.partition_point(|op| *op < at)).copied())
        }
        OpTest::Patterns(set) => {
            let asked = pass.asked.take().filter(|(of, _)| *of == subject);
            let candidates = asked.map_or_else(|| set.candidates(&subject), |(_, candidates)| candidates);
            let from = list.ops.partition_point(|op| *op < at);
            let op = |place: usize| list.ops.get(place).copied();
            let found = candidates.first(from, &subject, |place| pattern(script, op(place)?));
            // Nothing may ever ask again: the copy is made where something will.
            if !matches!(found, Ok(None)) || !script.lists.others.is_empty() {
                pass.asked = Some((subject.clone(), candidates));
            }
            match found {
                Ok(place) => Ok(place.and_then(op)),
                Err((place, failed)) => Err((op(place).unwrap_or(at), failed)),
            }
        }
    };
    if list.subject.is_none() {
        ex.route.uri = std::mem::take(&mut subject);
    }
    found
}

fn pattern(script: &Script, at: usize) -> Option<&Pattern> {
    script.ops.get(at)?.pattern()
}

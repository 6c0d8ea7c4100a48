//! Skips the ops of a script that do not match, by one pass over the list they are in. What is skipped leaves the trace
//! that an op which does not match leaves: no captures.

use crate::config::model::{OpList, Script};
use crate::config::pattern::Pattern;
use crate::config::pattern_set::Candidates;
use crate::exchange::{Exchange, variables};
use crate::services::Services;

/// The last pass, which holds as long as its list and its subject are the same.
pub struct Pass {
    list: usize,
    subject: Vec<u8>,
    candidates: Candidates,
}

/// The first op at or after `at` that has something to do. While explain traces, each op is run and reports itself.
pub fn skip(ex: &mut Exchange, cx: &mut Services, script: &Script, at: usize, last: &mut Option<Pass>) -> usize {
    let Some(list) = list_of(script, at).filter(|_| cx.trace.is_none()) else { return at };
    let mut subject = match &list.subject {
        Some(subject) => variables::text(subject, ex, cx),
        None => std::mem::take(&mut ex.route.uri),
    };
    let pass = last.take().filter(|pass| pass.list == list.start && pass.subject == subject);
    let candidates = pass.map_or_else(|| list.set.candidates(&subject), |pass| pass.candidates);
    let found = candidates.first(at - list.start, &subject, |at| pattern(script, list, at));
    let next = match &found {
        Ok(Some(found)) => list.start + found,
        Ok(None) => list.end,
        Err(_) => at,
    };
    if list.subject.is_none() {
        // Without the copy that a pass keeps, which a request that matches nothing does not need.
        ex.route.uri = if next < list.end { subject.clone() } else { std::mem::take(&mut subject) };
    }
    match found {
        Ok(Some(_)) => *last = Some(Pass { list: list.start, subject, candidates }),
        Ok(None) => {}
        Err(failed) => ex.undecided(cx, &failed),
    }
    if next > at {
        ex.route.groups = Default::default();
    }
    next
}

fn list_of(script: &Script, at: usize) -> Option<&OpList> {
    let list = script.lists.get(script.lists.partition_point(|list| list.end <= at))?;
    (list.start <= at).then_some(list)
}

fn pattern<'s>(script: &'s Script, list: &OpList, at: usize) -> Option<&'s Pattern> {
    script.ops.get(list.start + at)?.pattern().map(|(_, pattern)| pattern)
}

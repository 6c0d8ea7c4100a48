//! Which ops of a script are tried in one pass: runs of rewrites, or of `if ($variable ~ …)` about one variable.

use crate::config::model::{Op, OpList};
use crate::config::pattern_set::PatternSet;

/// The runs that are long enough, in their order.
pub fn of(ops: &[Op]) -> Vec<OpList> {
    let mut lists = Vec::new();
    let mut start = 0;
    while start < ops.len() {
        let subject = ops[start].pattern().map(|(subject, _)| subject);
        let same = |op: &&Op| subject.is_some() && op.pattern().map(|(subject, _)| subject) == subject;
        let end = start + ops[start..].iter().take_while(same).count().max(1);
        let patterns: Vec<_> =
            ops[start..end].iter().filter_map(|op| op.pattern().map(|(_, pattern)| pattern)).collect();
        if let Some(set) = PatternSet::new(patterns.iter().copied()) {
            lists.push(OpList { start, end, subject: subject.flatten().cloned(), set });
        }
        start = end;
    }
    lists
}

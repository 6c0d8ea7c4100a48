//! Which ops of a script are asked about together: those with one subject, the URI or a variable.

use crate::config::model::{Op, OpList, OpLists, OpTest, Question};
use crate::config::pattern_set::PatternSet;
use crate::config::template::Template;
use crate::util::hash::FastMap;

/// A script with more subjects has lists for those that most of its ops ask about: each is looked at on the way from one
/// op to the next.
const MOST: usize = 8;

/// Fewer equal subjects are asked one by one.
const WORTH: usize = 4;

/// The subject, and whether it is matched with patterns.
type Asked<'a> = (Option<&'a Template>, bool);

pub fn of(ops: &[Op]) -> OpLists {
    if ops.len() < WORTH {
        return OpLists { lists: Vec::new(), others: (0..ops.len()).collect() };
    }
    let mut by_subject: FastMap<Asked, Vec<usize>> = FastMap::default();
    for (at, op) in ops.iter().enumerate() {
        if let Some((subject, question)) = op.question() {
            by_subject.entry((subject, matches!(question, Question::Pattern(_)))).or_default().push(at);
        }
    }
    let mut asked: Vec<(Asked, Vec<usize>)> = by_subject.into_iter().filter(|(_, at)| at.len() >= WORTH).collect();
    asked.sort_unstable_by_key(|(_, at)| (std::cmp::Reverse(at.len()), at[0]));
    let lists = asked.into_iter().take(MOST).filter_map(|((subject, is_pattern), at)| {
        let test = if is_pattern { patterns(ops, &at)? } else { texts(ops, &at) };
        Some(OpList { subject: subject.cloned(), ops: at, test })
    });
    let lists: Vec<OpList> = lists.collect();
    let mut is_listed = vec![false; ops.len()];
    lists.iter().flat_map(|list| &list.ops).for_each(|at| is_listed[*at] = true);
    let others = (0..ops.len()).filter(|at| !is_listed[*at]).collect();
    OpLists { lists, others }
}

fn patterns(ops: &[Op], at: &[usize]) -> Option<OpTest> {
    let patterns: Vec<_> = at.iter().filter_map(|at| ops[*at].pattern()).collect();
    PatternSet::new(patterns.iter().copied()).map(OpTest::Patterns)
}

fn texts(ops: &[Op], at: &[usize]) -> OpTest {
    let mut texts: FastMap<Box<[u8]>, Vec<usize>> = FastMap::default();
    for &at in at {
        if let Some((_, Question::Text(text))) = ops[at].question() {
            texts.entry(text.into()).or_default().push(at);
        }
    }
    OpTest::Texts(texts)
}

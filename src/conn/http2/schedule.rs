//! Which stream sends next: by RFC 9218's urgency first, then fairly.
//!
//! Within an urgency, streams that are not incremental go one after another in the order of their opening, incremental
//! ones and all that have had [`SHARE`] bytes share the rest in turns: a large response without a priority must not
//! hold up the small ones behind it. Dependencies of RFC 7540 only order streams where a client knows nothing newer.

use crate::http::h2::priority::{Dependency, Priority};

/// Bytes that a stream may send before others of its urgency have their turn.
pub const SHARE: u64 = 64 << 10;

/// The facts about a stream that could send.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: u32,
    /// RFC 9218: urgency, and whether it is incremental.
    pub priority: Priority,
    /// RFC 7540 §5.3, for clients that send no priorities of RFC 9218.
    pub dependency: Dependency,
    /// Bytes sent on it so far.
    pub sent: u64,
    /// When it had its last turn, in turns of the connection.
    pub turn: u64,
}

/// How candidates are compared, in the order of the fields: the least is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    urgency: u8,
    /// The stream that it depends on can send as well, and goes first.
    pub waits: bool,
    lightness: u8,
    shares: bool,
    turn: u64,
    /// Among equal priorities, the stream opened first is sent first.
    pub id: u32,
}

/// The rank of a stream among those that could send; compare ranks of one turn only. `waits`: the stream that it
/// depends on can send as well.
pub fn order(candidate: &Candidate, waits: bool) -> Order {
    let shares = candidate.priority.incremental || candidate.sent >= SHARE;
    Order {
        urgency: candidate.priority.urgency,
        waits,
        lightness: u8::MAX - candidate.dependency.weight,
        shares,
        turn: if shares { candidate.turn } else { 0 },
        id: candidate.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(candidates: &[Candidate]) -> Option<usize> {
        let can_send = |id: u32| candidates.iter().any(|other| other.id == id);
        let key = |at: &usize| order(&candidates[*at], can_send(candidates[*at].dependency.parent));
        (0..candidates.len()).min_by_key(key)
    }

    fn stream(id: u32, urgency: u8, incremental: bool, sent: u64, turn: u64) -> Candidate {
        let priority = Priority { urgency, incremental };
        Candidate { id, priority, dependency: Dependency::DEFAULT, sent, turn }
    }

    #[test]
    fn urgency_comes_first_then_order_then_turns() {
        let table: [(&str, &[Candidate], u32); 6] = [
            ("one", &[stream(1, 3, false, 0, 0)], 1),
            ("the more urgent one", &[stream(1, 3, false, 0, 0), stream(3, 0, true, 1 << 30, 9)], 3),
            ("the older one", &[stream(3, 3, false, 0, 0), stream(1, 3, false, 0, 5)], 1),
            ("a large one has had its share", &[stream(1, 3, false, SHARE, 0), stream(3, 3, false, 0, 0)], 3),
            ("turns among large ones", &[stream(1, 3, false, SHARE, 7), stream(3, 3, true, 9 * SHARE, 6)], 3),
            ("incremental ones share", &[stream(1, 3, true, 10, 2), stream(3, 3, true, 90, 1)], 3),
        ];
        for (name, candidates, id) in table {
            assert_eq!(next(candidates).map(|at| candidates[at].id), Some(id), "{name}");
        }
        assert_eq!(next(&[]), None);
    }

    #[test]
    fn a_dependency_waits_for_its_parent_and_weight_orders_its_siblings() {
        let mut child = stream(1, 3, false, 0, 0);
        child.dependency = Dependency { parent: 3, weight: 255 };
        let parent = stream(3, 3, false, 0, 0);
        assert_eq!(next(&[child, parent]), Some(1));
        assert_eq!(next(&[child]), Some(0));
        let mut light = stream(1, 3, false, 0, 0);
        light.dependency = Dependency { parent: 0, weight: 0 };
        assert_eq!(next(&[light, parent]), Some(1));
    }
}

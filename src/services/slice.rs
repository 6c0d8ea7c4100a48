//! The time that work may take in a turn of the loop: compressing, recoding, making pages and listings, whatever takes
//! long beside a small request. All that work in one turn shares it; what is not done goes on in the next.
//!
//! Work goes in steps of at most about a millisecond and asks between two of them. The loop asks before it lets the next
//! of those go on that wait for another turn ([`crate::server`]); so the clients of a turn wait for one slice and one step,
//! whatever others have asked for.

use crate::sys::clock;

/// Nanoseconds of work in a turn.
const LENGTH: u64 = 4_000_000;
/// Calls of [`Slice::tick`] for one look at the clock.
const RARELY: u32 = 16;

#[derive(Default)]
pub struct Slice {
    /// None: no work has been done in this turn.
    ends: Option<u64>,
    ticks: u32,
}

impl Slice {
    /// A turn begins. Costs nothing where no work is done in it.
    pub fn begin(&mut self) {
        *self = Slice::default();
    }

    /// Whether what works must wait for the next turn. The first to ask in a turn begins the slice.
    pub fn is_over(&mut self) -> bool {
        self.is_over_at(clock::monotonic_ns())
    }

    /// The same for steps of a few microseconds: looks at the clock once in a while.
    pub fn tick(&mut self) -> bool {
        self.ticks += 1;
        self.ticks.is_multiple_of(RARELY) && self.is_over()
    }

    fn is_over_at(&mut self, now: u64) -> bool {
        now >= *self.ends.get_or_insert(now + LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_begins_with_the_first_work_of_a_turn_and_is_shared() {
        let mut slice = Slice::default();
        let table = [(5, false), (5 + LENGTH - 1, false), (5 + LENGTH, true), (6 + LENGTH, true)];
        for (now, over) in table {
            assert_eq!(slice.is_over_at(now), over, "{now}");
        }
        slice.begin();
        assert!(!slice.is_over_at(7 + LENGTH), "a turn has its own");
    }
}

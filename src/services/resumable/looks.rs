//! Which uploads of an area were last looked at again, for what other processes did with them: some at a time, in
//! passes from the first to the last.

use super::leases::CHECK_INTERVAL;
use super::upload_id::UploadId;
use std::collections::HashMap;
use std::rc::Rc;

/// Uploads of an area that are looked at at once.
pub(super) const SEEN: usize = 64;
/// The same before a claim is refused: a look takes about a microsecond.
const SEEN_AT_ONCE: usize = 1024;
/// Areas whose last look is remembered.
const AREAS: usize = 4096;

/// An upload in the order of passes: its path, then its id.
type Place = (Rc<[u8]>, UploadId);

/// The looks at all areas.
#[derive(Default)]
pub struct Looks {
    pub(super) areas: HashMap<Box<[u8]>, Look>,
    /// The number of the last pass that was begun in any area.
    passes: u64,
}

/// A look at some uploads of an area.
#[derive(Clone)]
pub struct Look {
    /// Monotonic milliseconds.
    at: u64,
    /// How many.
    pub most: usize,
    /// The last one of the look before; None: they begin again.
    last: Option<Place>,
    /// The number of the pass that it belongs to, and of the last one that came to its end.
    pass: u64,
    ended: u64,
}

impl Look {
    /// The upload after which it goes on.
    pub fn after(&self) -> Option<Place> {
        self.last.clone()
    }
}

impl Looks {
    /// The next look; None: the last one was less than [`CHECK_INTERVAL`] ago, and another one need not (`must`) be.
    pub fn begin(&mut self, area: &[u8], now: u64, must: bool) -> Option<Look> {
        let before = self.areas.get(area);
        if !must && before.is_some_and(|before| now < before.at + CHECK_INTERVAL) {
            return None;
        }
        let most = if must { SEEN_AT_ONCE } else { SEEN };
        Some(match before {
            Some(before) if before.last.is_some() => Look { at: now, most, ..before.clone() },
            _ => {
                self.passes += 1;
                Look { at: now, most, last: None, pass: self.passes, ended: before.map_or(0, |before| before.ended) }
            }
        })
    }

    /// The look has come to `last`; None: to the end of the pass.
    pub fn end(&mut self, area: &[u8], look: Look, last: Option<Place>) {
        if self.areas.len() >= AREAS {
            self.areas.clear();
        }
        let ended = if last.is_none() { look.pass } else { look.ended };
        self.areas.insert(area.into(), Look { last, ended, ..look });
    }

    /// The number of a pass that has not begun.
    pub fn next_pass(&self) -> u64 {
        self.passes + 1
    }

    /// A pass over the area's uploads with that number, or a later one, has ended.
    pub fn has_ended(&self, area: &[u8], pass: u64) -> bool {
        self.areas.get(area).is_some_and(|look| look.ended >= pass)
    }
}

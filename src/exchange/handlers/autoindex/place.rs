//! The place that a listing, a search or an archive takes once it has many entries: a request of 40 bytes may cost
//! 24 MB and seconds of CPU, and a client may send hundreds and leave.
//!
//! Invariant: no more than [`Services::large_listings`] has hold more than [`FREE`] entries, or have looked at more;
//! the others wait, and one whose client has closed its side meanwhile is given up.

use crate::exchange::Exchange;
use crate::exchange::flow::Pause;
use crate::services::{Services, places};

/// Entries that need no place.
const FREE: usize = 2048;
/// Milliseconds between two looks whether one is free.
const PATIENCE: u64 = 25;

#[derive(Default)]
pub struct Place {
    taken: Option<places::Place>,
    is_awaited: bool,
}

impl Place {
    /// Whether work that has come to that many entries may go on; else the request pauses.
    pub fn is_had(&mut self, entries: usize, ex: &mut Exchange, cx: &Services) -> bool {
        if entries <= FREE || self.taken.is_some() {
            return true;
        }
        self.taken = cx.large_listings.take();
        self.is_awaited = self.taken.is_none();
        if self.is_awaited {
            ex.pause = Some(Pause { until: cx.now.ms + PATIENCE, then: None });
        }
        !self.is_awaited
    }

    pub fn is_awaited(&self) -> bool {
        self.is_awaited
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn however_many_ask_for_large_listings_few_are_made_at_once() {
        let mut site = Site::new("", "location / { autoindex on; }");
        let mut asking: Vec<_> = (0..40).map(|_| (site.at("GET /", &[], INSIDE), Place::default())).collect();
        let mut go_on = |entries: usize, site: &Site| {
            asking.iter_mut().filter_map(|(ex, place)| place.is_had(entries, ex, &site.cx).then_some(())).count()
        };
        assert_eq!(go_on(FREE, &site), 40, "a small one needs no place");
        assert_eq!(go_on(FREE + 1, &site), 4);
        assert_eq!(go_on(100 * FREE, &site), 4, "the same");
        assert!(asking.iter().all(|(ex, place)| place.is_awaited() == ex.pause.is_some()));
        // One is done, another is given up by its client.
        asking.drain(3..5);
        let had =
            asking.iter_mut().filter_map(|(ex, place)| place.is_had(FREE + 1, ex, &site.cx).then_some(())).count();
        assert_eq!(had, 4);
    }
}

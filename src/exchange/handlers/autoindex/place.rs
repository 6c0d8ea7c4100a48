//! The place that a listing, a search or an archive takes once it has many entries: a request of 40 bytes may cost
//! 24 MB and seconds of CPU, and a client may send hundreds and leave.
//!
//! Invariant: no more than [`Services::large_listings`] has hold more than [`FREE`] entries, or have looked at more;
//! the others wait. While memory is scarce one at a time goes on, however small. One whose client has closed its side
//! is given up if it waits, or if no other could have a place.

use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::flow::{Flow, Pause};
use crate::http::status::Status;
use crate::services::overload::Growth;
use crate::services::{Services, places};
use crate::sys::Errno;
use crate::util::memory;
use std::rc::Rc;

/// Entries that need no place.
const FREE: usize = 2048;
/// Bytes of memory that the next [`FREE`] entries need at most, with what they are rendered to.
const ROOM: usize = 4 << 20;
/// Milliseconds between two looks whether one is free.
const PATIENCE: u64 = 25;

#[derive(Default)]
pub struct Place {
    taken: Option<places::Place>,
    /// Names this work to [`crate::services::overload`].
    mark: Rc<()>,
    is_awaited: bool,
    /// The entries for which there was memory when it was looked at last.
    has_room_for: usize,
}

impl Place {
    /// Checks whether work that has collected that many entries may continue.
    ///
    /// # Errors
    /// The flow: the request pauses, or is given up.
    pub fn ask(&mut self, entries: usize, ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
        let growth = match self.is_had(entries, cx) {
            _ if !self.has_room(entries) => {
                ex.report(cx, Level::Error, format_args!("malloc({ROOM}) failed {}", Errno::ENOMEM));
                Growth::Ends
            }
            true => cx.overload.may_grow(&self.mark),
            false => {
                // Otherwise two could wait for each other: this one for a place, and one that has a place for memory.
                cx.overload.wait_with(&self.mark);
                Growth::Waits
            }
        };
        self.is_awaited = growth == Growth::Waits;
        match growth {
            Growth::Goes => Ok(()),
            Growth::Waits => {
                ex.progress.pause = Some(Pause { until: cx.now.ms + PATIENCE, then: None });
                Err(Flow::Wait)
            }
            Growth::Ends => {
                ex.response.line(b"Retry-After", b"1");
                Err(Flow::Status(Status::SERVICE_UNAVAILABLE))
            }
        }
    }

    /// Whether there is memory for more.
    fn has_room(&mut self, entries: usize) -> bool {
        if entries <= self.has_room_for.max(FREE) {
            return true;
        }
        self.has_room_for = entries + FREE;
        memory::has_room(ROOM)
    }

    fn is_had(&mut self, entries: usize, cx: &Services) -> bool {
        if entries > FREE && self.taken.is_none() {
            self.taken = cx.large_listings.take();
        }
        entries <= FREE || self.taken.is_some()
    }

    /// It waits, or others may wait for its place.
    pub fn needs_client(&self) -> bool {
        self.is_awaited || self.taken.as_ref().is_some_and(places::Place::is_none_free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};
    use crate::services::overload::MemoryStage;

    fn going(asking: &mut [(Exchange, Place)], entries: usize, site: &mut Site) -> usize {
        asking.iter_mut().filter_map(|(ex, place)| place.ask(entries, ex, &mut site.cx).ok()).count()
    }

    fn asking(site: &mut Site, count: usize) -> Vec<(Exchange, Place)> {
        (0..count).map(|_| (site.at("GET /", &[], INSIDE), Place::default())).collect()
    }

    #[test]
    fn however_many_ask_for_large_listings_few_are_made_at_once() {
        let mut site = Site::new("", "location / { autoindex on; }");
        let mut asking = asking(&mut site, 40);
        assert_eq!(going(&mut asking, FREE, &mut site), 40, "a small one needs no place");
        assert_eq!(going(&mut asking, FREE + 1, &mut site), 4);
        assert_eq!(going(&mut asking, 100 * FREE, &mut site), 4, "the same");
        assert!(asking.iter().all(|(ex, place)| place.is_awaited == ex.progress.pause.is_some()));
        // One is done, another is given up by its client.
        asking.drain(3..5);
        assert_eq!(going(&mut asking, FREE + 1, &mut site), 4);
    }

    /// Four listings ran to their ends after their clients had left, and those of others waited for them.
    #[test]
    fn a_running_listing_whose_client_has_left_is_given_up_for_the_place_it_has() {
        let mut site = Site::new("", "location / { autoindex on; }");
        let mut asking = asking(&mut site, 4);
        going(&mut asking, FREE, &mut site);
        assert!(!asking.iter().any(|(_, place)| place.needs_client()), "small ones take no place");
        going(&mut asking[..3], FREE + 1, &mut site);
        assert!(!asking.iter().any(|(_, place)| place.needs_client()), "there is room for another");
        going(&mut asking, FREE + 1, &mut site);
        assert!(asking.iter().all(|(_, place)| place.needs_client()));
    }

    /// One that goes on alone came to need a place, and all places were of those that waited for it.
    #[test]
    fn listings_that_wait_for_a_place_and_for_memory_do_not_wait_for_each_other() {
        let mut site = Site::new("", "location / { autoindex on; }");
        let mut asking = asking(&mut site, 6);
        assert_eq!(going(&mut asking[..4], FREE + 1, &mut site), 4, "all places are taken");
        site.cx.overload.set_stage(MemoryStage::Tight);
        assert_eq!(going(&mut asking[4..], FREE, &mut site), 1, "a small one goes on alone");
        assert_eq!(going(&mut asking[..4], FREE + 1, &mut site), 0);
        assert_eq!(going(&mut asking[4..], FREE + 1, &mut site), 0, "it has grown");
        assert_eq!(going(&mut asking[..4], FREE + 1, &mut site), 1, "one that has a place goes on");
        site.cx.overload.set_stage(MemoryStage::Over);
        let (ex, place) = &mut asking[1];
        assert_eq!(place.ask(FREE + 1, ex, &mut site.cx), Err(Flow::Status(Status::SERVICE_UNAVAILABLE)));
        site.cx.overload.set_stage(MemoryStage::Normal);
        assert_eq!(going(&mut asking, FREE, &mut site), 6);
    }
}

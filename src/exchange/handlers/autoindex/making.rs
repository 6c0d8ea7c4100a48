//! A listing in progress: a directory is read, sorted and rendered, a slice each turn of the loop.
//!
//! Invariant: a slice takes a few milliseconds, however large the directory. Of the requests for one listing at the
//! same time one makes it, and the others wait for that.

use super::directory::{not_opened, shown};
use super::entries::{self, Entries};
use super::place::Place;
use super::respond::respond;
use super::shape::Shape;
use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::flow::{Begun, Flow, Phase, Then};
use crate::exchange::handlers::first_slice;
use crate::exchange::random_draw::Links;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::listings::{Guard, Page, Pieces};
use crate::sys::Errno;
use crate::sys::file::{self, Stat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Entries rendered between two looks at the clock.
const BATCH: usize = 512;
/// A listing of more entries than this needs megabytes while it is made.
const LARGE: usize = 10_000;
/// Bytes of a piece of the page, and up to a batch more.
const PIECE: usize = 64 << 10;

/// A listing whose entries are read, or being rendered.
pub struct PageMaking {
    shape: Shape,
    entries: Entries,
    pieces: Vec<Rc<[u8]>>,
    /// The last piece. None while entries are read.
    body: Option<Vec<u8>>,
    /// Entries rendered.
    count: usize,
    pub place: Place,
    /// The cache's key for the page, the directory's state, and the watch.
    keep: Option<(Box<[u8]>, Stat, Guard)>,
    /// Lets other requests for the page wait.
    _mark: Option<Rc<()>>,
}

/// The listing of an open directory: the cached one if nothing has changed, or a new one.
pub fn begin(ex: &mut Exchange, cx: &mut Services, dir: OwnedFd, shape: Shape) -> Begun<PageMaking> {
    let stat = match file::fstat(dir.as_fd()) {
        Ok(stat) => stat,
        Err(e) => return Err(not_opened(ex, cx, e)),
    };
    let key = shape.key(&ex.route.uri, &stat);
    if let Some(page) = key.as_ref().and_then(|key| cx.listings.find(key, &stat, &cx.now))
        && is_current(&page, dir.as_fd(), &shape.links)
    {
        return Err(respond(ex, &shape, &page.body));
    }
    if let Some(pause) = key.as_ref().and_then(|key| cx.listings.awaits(key)) {
        return Err(Flow::Delay { until: cx.now.ms + pause, then: Then::Phase(Phase::Content) });
    }
    let keep = key.and_then(|key| Some((key, stat, cx.listings.guard(dir.as_fd(), &stat, &cx.now)?)));
    // Looked at again now that it is watched: a change between the two would be reported by neither.
    let keep = keep.filter(|(_, stat, _)| file::fstat(dir.as_fd()) == Ok(*stat));
    let entries = Entries::of(dir, shape.links.clone());
    let _mark = keep.as_ref().map(|(key, ..)| cx.listings.make(key));
    let place = Place::default();
    let making = Box::new(PageMaking { shape, entries, pieces: Vec::new(), body: None, count: 0, place, keep, _mark });
    first_slice::begin(making, ex, cx, PageMaking::work)
}

/// Whether the entries that the watch does not report are unchanged.
fn is_current(page: &Page, dir: BorrowedFd<'_>, links: &Links) -> bool {
    page.loose.iter().all(|known| {
        entries::stat_entry(dir, &known.name, links).is_ok_and(|stat| {
            (stat.kind, stat.size, stat.mtime.0) == (known.stat.kind, known.stat.size, known.stat.mtime.0)
        })
    })
}

impl PageMaking {
    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        cx.has_used_much |= self.entries.len() > LARGE;
        loop {
            if let Err(flow) = self.place.ask(self.entries.len(), ex, cx) {
                return flow;
            }
            match self.go_on(&ex.route.uri) {
                Ok(true) if !cx.slice.is_over() => {}
                Ok(true) => return Flow::Wait,
                Ok(false) => return self.finish(ex, cx),
                Err(e) => {
                    let path = shown(ex);
                    ex.report(cx, Level::Crit, format_args!("readdir() \"{path}\" failed {e}"));
                    return Flow::Status(Status::INTERNAL_SERVER_ERROR);
                }
            }
        }
    }

    /// One batch of entries, read or rendered; false when the body is complete.
    fn go_on(&mut self, path: &[u8]) -> Result<bool, Errno> {
        let PageMaking { shape, entries, pieces, body, count, .. } = self;
        let listing = shape.view.of(path, entries.totals);
        let Some(body) = body else {
            if !entries.read(&listing, &shape.hidden)? {
                let listing = shape.view.of(path, entries.totals);
                let about = 4096 + entries.len() * 112 + entries.name_bytes() * 2;
                let mut fresh = Vec::with_capacity(about.min(2 * PIECE));
                listing.head(&mut fresh);
                *body = Some(fresh);
            }
            return Ok(true);
        };
        for _ in 0..BATCH {
            let Some(entry) = entries.next(&listing) else {
                listing.tail(body);
                return Ok(false);
            };
            listing.entry(*count, &entry, body);
            *count += 1;
        }
        if body.len() >= PIECE {
            pieces.push(body[..].into());
            body.clear();
        }
        Ok(true)
    }

    fn finish(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let PageMaking { shape, entries, pieces, body, keep, .. } = self;
        if let Some(e) = entries.failed {
            let path = shown(ex);
            ex.report(cx, Level::Error, format_args!("stat() of an entry of \"{path}\" failed {e}, it is not listed"));
        }
        pieces.push(body.take().unwrap_or_default().into());
        let body: Pieces = std::mem::take(pieces).into();
        if let (Some((key, dir, guard)), Some(loose)) = (keep.take(), entries.loose.take()) {
            let page = Page { body: body.clone(), loose: loose.into(), dir, guard };
            cx.listings.keep(key, page, &cx.now);
        }
        respond(ex, shape, &body)
    }
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::*;
    use crate::exchange::testing::{OUTSIDE, Site};
    use std::os::unix::ffi::OsStrExt;

    /// A hundred requests for a directory of 20 000 files read it a hundred times, and took 84 MB.
    #[test]
    fn requests_for_a_listing_that_is_being_made_wait_for_it() {
        let mut site = Site::new("", "location / { autoindex on; }");
        let dir = site.root();
        (0..10).for_each(|n| std::fs::write(dir.join(n.to_string()), "x").expect("written"));
        let mut requests: Vec<Exchange> = (0..3).map(|_| site.at("GET /", &[], OUTSIDE)).collect();
        requests.iter_mut().for_each(|ex| ex.route.path = [dir.as_os_str().as_bytes(), b"/"].concat());
        let cx = &mut site.cx;
        let waits = |begun: &Begun<_>| matches!(begun, Err(Flow::Delay { .. }));
        cx.slice.steps = Some(0);
        let first = run(&mut requests[0], cx);
        assert!(first.is_ok(), "the turn has no time left");
        assert!(waits(&run(&mut requests[1], cx)) && waits(&run(&mut requests[2], cx)));
        // Its client goes away: the next one makes it.
        drop(first);
        let Ok(mut second) = run(&mut requests[1], cx) else { panic!("no other request makes it") };
        assert!(waits(&run(&mut requests[2], cx)));
        cx.slice.steps = None;
        while second.work(&mut requests[1], cx) == Flow::Wait {}
        cx.slice.steps = Some(0);
        assert!(matches!(run(&mut requests[2], cx), Err(Flow::Respond)), "it is there");
    }
}

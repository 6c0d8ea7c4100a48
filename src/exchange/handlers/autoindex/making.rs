//! A listing in progress: a directory is read, sorted and rendered, a slice each turn of the loop.
//!
//! Invariant: a slice takes a few milliseconds, however large the directory.

use super::directory::{not_opened, shown};
use super::entries::{self, Entries, Links};
use super::place::Place;
use super::respond::respond;
use super::shape::Shape;
use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::first_slice;
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
pub struct Making {
    shape: Shape,
    entries: Entries,
    pieces: Vec<Rc<[u8]>>,
    /// The last piece. None while entries are read.
    body: Option<Vec<u8>>,
    /// Entries rendered.
    count: usize,
    place: Place,
    /// The cache's key for the page, the directory's state, and the watch.
    keep: Option<(Box<[u8]>, Stat, Guard)>,
}

/// The listing of an open directory: the cached one if nothing has changed, or a new one.
pub fn begin(ex: &mut Exchange, cx: &mut Services, dir: OwnedFd, shape: Shape) -> Begun<Making> {
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
    let keep = key.and_then(|key| Some((key, stat, cx.listings.guard(dir.as_fd(), &stat, &cx.now)?)));
    // Looked at again now that it is watched: a change between the two would be reported by neither.
    let keep = keep.filter(|(_, stat, _)| file::fstat(dir.as_fd()) == Ok(*stat));
    let entries = Entries::of(dir, shape.links.clone());
    let making =
        Box::new(Making { shape, entries, pieces: Vec::new(), body: None, count: 0, place: Place::default(), keep });
    first_slice::begin(making, ex, cx, Making::work)
}

/// Whether the entries that the watch does not report are unchanged.
fn is_current(page: &Page, dir: BorrowedFd<'_>, links: &Links) -> bool {
    page.loose.iter().all(|known| {
        entries::look(dir, &known.name, links).is_ok_and(|stat| {
            (stat.kind, stat.size, stat.mtime.0) == (known.stat.kind, known.stat.size, known.stat.mtime.0)
        })
    })
}

impl Making {
    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        cx.has_used_much |= self.entries.len() > LARGE;
        loop {
            if !self.place.is_had(self.entries.len(), ex, cx) {
                return Flow::Wait;
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

    /// It waits until others are done.
    pub fn awaits_place(&self) -> bool {
        self.place.is_awaited()
    }

    /// One batch of entries, read or rendered; false when the body is complete.
    fn go_on(&mut self, path: &[u8]) -> Result<bool, Errno> {
        let Making { shape, entries, pieces, body, count, .. } = self;
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
        let Making { shape, entries, pieces, body, keep, .. } = self;
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

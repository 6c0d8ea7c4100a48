//! `?search=TEXT` of the page: entries below a folder with the text in their names, in slices of the turn.
//!
//! Invariant: bounded, whatever is below ([`MOST_EXAMINED`], [`MOST_FOUND`]), and the page says if a bound was
//! reached; it shows only what the client could read by its own URI, or see in a listing.

use super::archive::{judge, may};
use super::place::Place;
use super::respond::respond;
use super::shape::Shape;
use crate::config::settings::listing::Archive;
use crate::exchange::Exchange;
use crate::exchange::archive::walk::{Member, Walk, WalkStep};
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::listing::{Entry, Kind, Listing, Searched, Totals};
use crate::exchange::handlers::path_rules::{PathAction, PathRules};
use crate::exchange::handlers::{failure, first_slice};
use crate::services::Services;
use crate::sys::file::FileKind;
use crate::util::natural_order;
use std::os::fd::OwnedFd;

const MOST_EXAMINED: usize = 50_000;
const MOST_FOUND: usize = 500;

/// A search in progress.
pub struct Searching {
    rules: PathRules,
    /// Every path below has the folder's own rules.
    is_uniform: bool,
    shape: Shape,
    text: Vec<u8>,
    /// In lower case.
    wanted: String,
    uri: Vec<u8>,
    path: Vec<u8>,
    walk: Walk,
    examined: usize,
    pub place: Place,
    found: Vec<Member>,
    /// Nothing was there that could not be looked at.
    has_all: bool,
}

/// Begins the search for `text` below `dir`. What is found is compared without regard to case.
///
/// # Errors
/// The flow that answers: the results if a first slice found all, else why there is no search.
pub fn begin(ex: &mut Exchange, cx: &mut Services, dir: OwnedFd, mut shape: Shape, text: Vec<u8>) -> Begun<Searching> {
    // The results are only shown: files are changed in their own folders.
    let view = &mut shape.view;
    (view.can_upload, view.can_delete, view.can_move, view.archive) = (false, false, false, Archive::Off);
    let rules = judge(ex, cx)?;
    let (uri, path) = (ex.route.uri.clone(), ex.route.path.clone());
    let walk = match Walk::new(dir, std::mem::take(&mut shape.hidden)) {
        Ok(walk) => walk,
        Err(e) => return Err(failure::failed(ex, cx, "opendir()", e)),
    };
    let searching = Searching {
        is_uniform: rules.are_same_below(ex, &uri, PathAction::Find),
        rules,
        shape,
        wanted: String::from_utf8_lossy(&text).to_lowercase(),
        text,
        uri,
        path,
        walk,
        examined: 0,
        place: Place::default(),
        found: Vec::new(),
        has_all: true,
    };
    let searching = first_slice::begin(Box::new(searching), ex, cx, Searching::work)?;
    Ok(searching)
}

impl Searching {
    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        loop {
            if let Err(flow) = self.place.ask(self.examined, ex, cx) {
                return flow;
            }
            match self.walk.step() {
                Ok(WalkStep::On) => {}
                Ok(WalkStep::Unreadable(_)) => {
                    self.examined += 1;
                    self.has_all = false;
                }
                Ok(WalkStep::Found(found)) => {
                    self.examined += 1;
                    self.consider(ex, cx, found);
                }
                Ok(WalkStep::End) => return self.finish(ex, self.has_all),
                Err(e) => return failure::failed(ex, cx, "readdir()", e),
            }
            if self.found.len() == MOST_FOUND || self.examined == MOST_EXAMINED {
                return self.finish(ex, false);
            }
            if cx.slice.is_over() {
                return Flow::Wait;
            }
        }
    }

    fn consider(&mut self, ex: &mut Exchange, cx: &mut Services, found: Member) {
        let is_dir = found.stat.kind == FileKind::Dir;
        let name = found.path.strip_suffix(b"/").unwrap_or(&found.path);
        let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
        let is_wanted = String::from_utf8_lossy(name).to_lowercase().contains(&self.wanted);
        // Files that do not match need no check; folders do, for their entries.
        if !is_dir && !is_wanted {
            return;
        }
        ex.route.effort.renew();
        let top = (&self.uri[..], &self.path[..]);
        let action = if is_dir { PathAction::List } else { PathAction::Find };
        if !self.is_uniform && !may(ex, cx, &self.rules, top, (&found.path, action)) {
            if is_dir {
                self.walk.skip();
            }
            return;
        }
        if is_wanted {
            self.found.push(found);
        }
    }

    fn finish(&mut self, ex: &mut Exchange, is_all: bool) -> Flow {
        self.found.sort_by(|a, b| natural_order::compare_paths(&a.path, &b.path));
        let mut totals = Totals::default();
        for found in &self.found {
            match found.stat.kind {
                FileKind::Dir => totals.dirs += 1,
                _ => {
                    totals.files += 1;
                    totals.bytes = totals.bytes.saturating_add(found.stat.size);
                }
            }
        }
        let search = Some(Searched { text: &self.text, is_all });
        let listing = Listing { search, ..self.shape.view.of(&self.uri, totals) };
        let mut body = Vec::with_capacity(16 << 10);
        listing.head(&mut body);
        for (at, found) in self.found.iter().enumerate() {
            let kind = if found.stat.kind == FileKind::Dir { Kind::Dir } else { Kind::File };
            let name = found.path.strip_suffix(b"/").unwrap_or(&found.path);
            let entry = Entry { name, kind, size: found.stat.size, mtime: found.stat.mtime.0 };
            listing.entry(at, &entry, &mut body);
        }
        listing.tail(&mut body);
        respond(ex, &self.shape, &[body.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{OUTSIDE, Site};
    use std::ffi::CString;
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;

    /// It went through all names of a network file system that was gone.
    #[test]
    fn a_search_ends_among_names_that_cannot_be_looked_at() {
        let mut site = Site::new("", "location / { autoindex on; autoindex_format page; autoindex_search on; }");
        let root = site.root();
        std::fs::write(root.join("wanted"), "x").expect("written");
        let mut ex = site.at("GET /", &[], OUTSIDE);
        ex.route.path = [root.as_os_str().as_bytes(), b"/"].concat();
        let rule = ex.location().settings.listing.clone();
        let dir = OwnedFd::from(std::fs::File::open(&root).expect("opened"));
        let shape = super::super::shape(&mut ex, &mut site.cx, &rule, dir.as_fd()).expect("its shape");
        let mut searching = Searching {
            rules: judge(&mut ex, &mut site.cx).expect("they are known"),
            is_uniform: true,
            shape,
            text: b"wanted".to_vec(),
            wanted: "wanted".to_owned(),
            uri: b"/".to_vec(),
            path: ex.route.path.clone(),
            walk: Walk::new(dir, Vec::new()).expect("begun"),
            examined: MOST_EXAMINED - 1,
            place: Place::default(),
            found: Vec::new(),
            has_all: true,
        };
        // The kernel refuses to look at a name of that length.
        searching.walk.meet(vec![CString::new(vec![b'x'; 300]).expect("no NUL")]);
        while searching.work(&mut ex, &mut site.cx) == Flow::Wait {}
        assert_eq!((searching.found.len(), searching.examined), (0, MOST_EXAMINED));
    }
}

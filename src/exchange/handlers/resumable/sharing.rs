//! Whether other processes use a directory of unfinished uploads that lies among the files. If so, what is known of
//! finished uploads stays on the disk for them, as in a directory that the configuration names: a client may ask any
//! of the processes how its upload ended.

use super::location::{self, Home};
use crate::services::Services;
use crate::services::presence::Presence;
use std::ffi::CString;
use std::rc::Rc;

/// The parent of a directory of ours.
fn directory(place: &[u8]) -> Option<CString> {
    CString::new(place.strip_suffix(location::NAME)?).ok()
}

/// Lets other processes see that this one uses these directories, and no others any more.
pub fn begin(cx: &mut Services, places: &[Rc<[u8]>]) {
    cx.resumable.presences.retain(|place, _| places.contains(place));
    for place in places {
        present(cx, place);
    }
}

fn present<'s>(cx: &'s mut Services, place: &Rc<[u8]>) -> Option<&'s mut Presence> {
    let (path, presences) = (directory(place)?, &mut cx.resumable.presences);
    if presences.get(place).is_none_or(|presence| !presence.is_at(&path)) {
        presences.remove(place);
        presences.insert(place.clone(), Presence::at(&path).ok()?);
    }
    presences.get_mut(place)
}

/// Whether another process uses the directory too.
pub fn is_shared(cx: &mut Services, home: &Home) -> bool {
    let now = cx.now.ms;
    present(cx, &home.path).is_some_and(|presence| presence.is_shared(now))
}

/// Remembers whether another process is there now: it may be gone when the upload ends, and come back after that.
pub fn look(cx: &mut Services, home: &Home) {
    is_shared(cx, home);
}

/// Something was found that this process did not know of: another one began it, or ended it.
pub fn met(cx: &mut Services, home: &Home) {
    let now = cx.now.ms;
    // What an earlier process left is only known when everything has been searched.
    if !cx.resumable.is_reading()
        && let Some(presence) = present(cx, &home.path)
    {
        presence.share(now);
    }
}

//! Whether other processes use a directory of unfinished uploads that is among the files. If so, the results of
//! finished uploads stay on disk for them, as in a configured directory: a client may ask any of the processes how its
//! upload ended.

use super::location::{self, Home};
use crate::config::model::Level;
use crate::services::Services;
use crate::services::presence::Presence;
use crate::sys::Errno;
use std::ffi::CString;
use std::rc::Rc;

/// Directories in which other processes see this one from its start on: opening each takes three system calls. In the
/// others they do a little later, when the search has come there.
const AT_ONCE: usize = 64;

/// The parent of a directory of ours.
fn directory(place: &[u8]) -> Option<CString> {
    CString::new(place.strip_suffix(location::NAME)?).ok()
}

/// From now on this process uses these directories, and no others any more. Other processes see that in the first
/// [`AT_ONCE`]; in the rest the search through them ([`super::sweep`]) lets them see it, one directory after the other.
pub fn begin(cx: &mut Services, places: &[Rc<[u8]>]) {
    cx.resumable.presences.retain(|place, _| places.contains(place));
    let (ours, most) = (places.iter().filter(|place| location::is_ours(place)).count(), cx.descriptors.eighth());
    if ours > most {
        let log = cx.config.process.error_log.clone();
        let what = format_args!(
            "unfinished uploads lie in {ours} directories, but {most} of them may have a descriptor: in the others, \
             several servers do not see each other (worker_rlimit_nofile {} is enough)",
            ours * 8
        );
        cx.logs.error(&log, Level::Warn, &mut cx.now, None, what);
    }
    places.iter().take(AT_ONCE).for_each(|place| appear(cx, place));
}

/// Lets other processes see that this one uses the directory.
pub fn appear(cx: &mut Services, place: &Rc<[u8]>) {
    let _ = present(cx, place);
}

/// # Errors
/// EMFILE: the descriptors are needed for clients. Or the error of a directory that cannot be opened or locked.
fn present<'s>(cx: &'s mut Services, place: &Rc<[u8]>) -> Result<&'s mut Presence, Errno> {
    let (path, presences) = (directory(place).ok_or(Errno::ENOENT)?, &mut cx.resumable.presences);
    if presences.get(place).is_none_or(|presence| !presence.is_at(&path)) {
        presences.remove(place);
        if presences.len() >= cx.descriptors.eighth() {
            return Err(Errno::EMFILE);
        }
        presences.insert(place.clone(), Presence::at(&path)?);
    }
    presences.get_mut(place).ok_or(Errno::ENOENT)
}

/// Whether another process uses the directory too, or may do so: without a descriptor that is not known.
pub fn is_shared(cx: &mut Services, home: &Home) -> bool {
    let now = cx.now.ms;
    match present(cx, &home.path) {
        Ok(presence) => presence.is_shared(now),
        Err(e) => matches!(e, Errno::EMFILE | Errno::ENFILE),
    }
}

/// Remembers whether another process is there now: it may be gone when the upload ends, and come back after that.
pub fn note_presence(cx: &mut Services, home: &Home) {
    is_shared(cx, home);
}

/// Something was found that this process did not know of: another one began it, or ended it.
pub fn note_foreign_change(cx: &mut Services, home: &Home) {
    let now = cx.now.ms;
    // What an earlier process left is only known when everything has been searched.
    if !cx.resumable.is_reading()
        && let Ok(presence) = present(cx, &home.path)
    {
        presence.share(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::Site;
    use crate::sys::scratch::Scratch;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn more_directories_of_uploads_than_descriptors_leave_these_to_clients() {
        let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
        site.cx.descriptors.set_limit(16);
        let home = |n: usize| {
            let dir = scratch.path().join(n.to_string());
            std::fs::create_dir(&dir).expect("made");
            Home { path: [dir.as_os_str().as_bytes(), b"/", location::NAME].concat().into(), ours: true }
        };
        let homes: Vec<Home> = (0..5).map(home).collect();
        let places: Vec<Rc<[u8]>> = homes.iter().map(|home| home.path.clone()).collect();
        begin(&mut site.cx, &places);
        assert_eq!(site.cx.resumable.presences.len(), 2, "an eighth of the descriptors");
        let shared: Vec<bool> = homes.iter().map(|home| is_shared(&mut site.cx, home)).collect();
        assert_eq!(shared, [false, false, true, true, true]);
        assert_eq!(site.cx.resumable.presences.len(), 2);
        begin(&mut site.cx, &places[3..]);
        assert!(!is_shared(&mut site.cx, &homes[4]));
    }
}

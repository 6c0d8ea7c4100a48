//! What a quota counts of uploads that are not finished. Knows no request, so that every handler that asks a quota may
//! ask here.

use super::location;
use super::store::Dir;
use crate::services::Services;
use crate::services::quotas::{Admission, Usage};
use crate::services::resumable::{KnownUpload, UploadId};
use crate::sys::Errno;
use std::rc::Rc;

/// The unfinished uploads below a path, as far as they are known and not stored yet, except `but`.
#[derive(Clone, Copy)]
pub struct Unstored<'a> {
    area: &'a [u8],
    but: &'a [UploadId],
}

impl<'a> Unstored<'a> {
    /// Below the path of an area.
    pub fn of(area: &'a [u8], but: &'a [UploadId]) -> Unstored<'a> {
        Unstored { area, but }
    }

    /// What they hold.
    pub fn held(self, cx: &mut Services) -> Usage {
        refresh_idle(cx, self.area, false);
        cx.resumable.held(self.area, self.but, cx.now.ms)
    }

    /// Before a claim is refused in a quota that other processes share: a pass over all unfinished uploads begins,
    /// for [`Unstored::have_ended_by`].
    pub fn begin_looks(cx: &Services) -> Admission {
        Admission::NeedsLooks { pass: cx.resumable.next_pass(), ended: cx.resumable.ended_elsewhere }
    }

    /// Looks at them, in slices, until the pass with that number has seen all. Whether more have been ended by other
    /// processes than `before`: what these stored may not be counted yet. None: not all were seen.
    pub fn have_ended_by(self, cx: &mut Services, pass: u64, before: u64) -> Option<bool> {
        while !cx.resumable.has_seen_all(self.area, pass) {
            if cx.slice.is_over() {
                return None;
            }
            refresh_idle(cx, self.area, true);
        }
        Some(cx.resumable.ended_elsewhere > before)
    }
}

/// Reads the state of the next uploads below a path to which no request here writes, at most once an interval; with
/// `must` at once. What another process ended must not count here until it expires.
fn refresh_idle(cx: &mut Services, area: &[u8], must: bool) {
    // Most of them lie in one directory.
    type Opened = (Rc<[u8]>, Result<Dir, Errno>);
    let mut opened: Option<Opened> = None;
    for id in cx.resumable.idle(area, cx.now.ms, must) {
        let Some((home, expires)) = cx.resumable.get(id).map(|open| (open.home.clone(), open.expires)) else {
            continue;
        };
        let (_, dir) = match opened.take() {
            Some(it) if it.0 == home => opened.insert(it),
            _ => opened.insert((home.clone(), location::open(&home))),
        };
        let dir = match dir {
            Ok(dir) => dir,
            Err(Errno::ENOENT) => {
                cx.resumable.remove(id);
                cx.resumable.ended_elsewhere += 1;
                continue;
            }
            Err(_) => continue,
        };
        match dir.stat(id) {
            Ok(Some(stat)) => _ = cx.resumable.update(id, stat.size, expires),
            Ok(None) => match dir.load(id) {
                Ok(None) => {
                    cx.resumable.remove(id);
                    cx.resumable.ended_elsewhere += 1;
                }
                Ok(Some(record)) if dir.is_stored(id, &record) => {
                    cx.resumable.insert(id, KnownUpload::stored(home, &record.path, expires));
                    cx.resumable.ended_elsewhere += 1;
                }
                // It is about to get its name, or cannot be read now.
                _ => {}
            },
            Err(_) => {}
        }
    }
}

/// Makes uploads of 100 bytes below a path known to this process: how many, and how many of them (the last ones) other
/// processes have ended.
#[cfg(test)]
pub fn begin_elsewhere(site: &mut crate::exchange::testing::Site, area: &str, (all, ended): (usize, usize)) {
    let state = site.scratch.path().join("state");
    std::fs::create_dir(&state).expect("a directory");
    let home: Rc<[u8]> = state.to_str().expect("UTF-8").as_bytes().into();
    for at in 0..all {
        let id = UploadId::random().expect("entropy");
        if at < all - ended {
            std::fs::write(state.join(format!("{}.part", id.text())), [b'x'; 100]).expect("written");
        }
        let path = format!("{area}{at:06}");
        site.cx.resumable.insert(id, KnownUpload::new(home.clone(), path.as_bytes(), 100, None));
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::UploadState;
    use super::*;
    use crate::exchange::testing::Site;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    /// Locations within an area may have stores, and so directories of state, of their own.
    #[test]
    fn uploads_of_an_area_are_looked_for_each_in_its_own_directory() {
        let mut site = Site::new("", "");
        let area = site.scratch.path().join("area");
        let mut ids = Vec::new();
        for (name, bytes) in [("one", 50), ("other", 70), ("third", 90)] {
            let home = area.join(name);
            fs::create_dir_all(&home).expect("made");
            let dir = Dir::open(home.as_os_str().as_bytes(), b"", crate::sys::file::Follow::No).expect("it opens");
            let id = UploadId::random().expect("entropy");
            drop(dir.create(id, &UploadState::empty()).expect("it is begun"));
            fs::write(home.join(format!("{}.part", id.text())), vec![b'x'; bytes]).expect("written");
            let path = area.join(name).display().to_string() + "/";
            let known = KnownUpload::new(home.as_os_str().as_bytes().into(), path.as_bytes(), 1, None);
            site.cx.resumable.insert(id, known);
            ids.push(id);
        }
        let path = area.display().to_string() + "/";
        assert_eq!(Unstored::of(path.as_bytes(), &[]).held(&mut site.cx).bytes, 210);
        assert_eq!(Unstored::of(path.as_bytes(), &ids[..1]).held(&mut site.cx).bytes, 160);
        assert_eq!(site.cx.resumable.ended_elsewhere, 0);
    }
}

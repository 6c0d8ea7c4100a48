//! How large a resumable upload in progress may become, checked as its bytes arrive: their number need not be
//! announced, others arrive at the same time, and its bytes stay on disk although it is unfinished.
//!
//! Invariant: what is there and what is held for uploads never exceeds upload_quota, but for one read of an upload
//! while it is looked whether there is room for that; and upload_min_free stays free as far as [`super::free_space`]
//! sees to it.

use super::free_space::FreeSpaceCheck;
use super::refusal::{Refusal, used_up};
use super::state::Upload;
use crate::config::settings::upload::{MinFree, Quota};
use crate::exchange::handlers::resumable::held::Unstored;
use crate::services::Services;
use crate::services::quotas::{Admission, Area};
use crate::services::resumable::UploadId;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// The limits of one upload, and what was seen of them.
pub struct Room {
    /// With the area's path, as in the key of resumable uploads.
    quota: Option<(Rc<Area>, Quota, Box<[u8]>)>,
    dir: Rc<OwnedFd>,
    min_free: MinFree,
    free_space: FreeSpaceCheck,
    /// How far it is known whether there is room for what was read last.
    seen: Admission,
}

/// What the next bytes of an upload may become.
pub enum Fit {
    /// All of them belong to it.
    All,
    /// How many of them, from the first on; and why not the others.
    Some(u64, Refusal),
    /// There seems to be no room, but files may have been removed since the last count, or uploads that hold it ended
    /// by other processes: see [`Room::settle`].
    Unsure,
}

impl Room {
    /// That of an upload which was admitted.
    pub fn of(upload: &Upload) -> Room {
        let (target, rules) = (&upload.target, &upload.rules);
        let area = target.area.clone().zip(rules.quota);
        let quota = area.map(|(area, quota)| (area, quota, target.area_path().into()));
        Room {
            quota,
            dir: target.dir.clone(),
            min_free: rules.min_free,
            free_space: upload.free_space,
            seen: Admission::Admitted,
        }
    }

    /// Whether the upload, of which `size` bytes are there, may have the next `more`.
    pub fn take(&mut self, cx: &mut Services, id: UploadId, (size, more): (u64, u64)) -> Fit {
        if let Err(refusal) = self.free_space.check(cx, &self.dir, self.min_free, more) {
            return Fit::Some(0, refusal);
        }
        let fit = self.fit(cx, id, (size, more));
        let (Some((area, quota, _)), Fit::Some(..)) = (&self.quota, &fit) else { return fit };
        if quota.shared {
            self.seen = Unstored::begin_looks(cx);
            return Fit::Unsure;
        }
        let Some(counts) = area.count_to_await(&cx.now) else { return fit };
        self.seen = Admission::NeedsCounts(counts);
        // A small area is counted at once.
        self.settle(cx, id, (size, more))
    }

    /// The same by the present numbers.
    fn fit(&self, cx: &mut Services, id: UploadId, (size, more): (u64, u64)) -> Fit {
        let Some((area, quota, path)) = &self.quota else { return Fit::All };
        let own = cx.resumable.holds(id);
        if size.saturating_add(more) <= own {
            return Fit::All;
        }
        let held = Unstored::of(path, &[id]).held(cx);
        let room = area.room(held, *quota).saturating_add(cx.resumable.freed(id));
        let most = room.max(own).saturating_sub(size);
        if most < more { Fit::Some(most, used_up()) } else { Fit::All }
    }

    /// The same after [`Fit::Unsure`], in slices: once all uploads were looked at, and what other processes have made
    /// of them was counted.
    pub fn settle(&mut self, cx: &mut Services, id: UploadId, piece: (u64, u64)) -> Fit {
        let Some((area, _, path)) = &self.quota else { return Fit::All };
        if let Admission::NeedsLooks { pass, ended } = self.seen {
            match Unstored::of(path, &[id]).have_ended_by(cx, pass, ended) {
                None => return Fit::Unsure,
                Some(false) => {
                    self.seen = area.count_to_await(&cx.now).map_or(Admission::Admitted, Admission::NeedsCounts);
                }
                Some(true) => self.seen = Admission::NeedsCounts(area.next_count()),
            }
        }
        if let Admission::NeedsCounts(counts) = self.seen {
            if let Err(e) = area.step(&cx.now, &mut cx.slice) {
                return Fit::Some(0, Refusal::call("getdents64()", area.path(), e));
            }
            if area.counts() < counts {
                return Fit::Unsure;
            }
        }
        self.fit(cx, id, piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::handlers::resumable::held::begin_elsewhere;
    use crate::exchange::handlers::upload;
    use crate::exchange::testing::{OUTSIDE, Site};
    use crate::services::quotas::Usage;
    use crate::services::resumable::KnownUpload;
    use std::os::unix::ffi::OsStrExt;

    /// It was refused when the first 1024 of them were still unfinished.
    #[test]
    fn an_upload_that_grows_gets_the_room_of_all_that_other_processes_ended() {
        for (ended, expected) in [(0, false), (40, true)] {
            let mut site = Site::new("", "location / { }");
            begin_elsewhere(&mut site, "/area/", (1140, ended));
            let cx = &mut site.cx;
            let quota = Quota { bytes: 114_000, files: 0, shared: true };
            let area = cx.quotas.area_at(site.scratch.path().join("none").as_os_str().as_bytes());
            let id = UploadId::random().expect("entropy");
            cx.resumable.insert(id, KnownUpload::new(b"/home/".as_slice().into(), b"/area/zz", 0, None));
            let mut room = Room {
                quota: Some((area, quota, b"/area/".as_slice().into())),
                dir: Rc::new(site.scratch.fd()),
                min_free: MinFree::Bytes(0),
                free_space: FreeSpaceCheck::now(cx),
                seen: Admission::Admitted,
            };
            let held = Unstored::of(b"/area/", &[id]).held(cx);
            assert_eq!(held, Usage { bytes: 114_000, files: 1140, dirs: 0 });
            let mut fit = room.take(cx, id, (0, 4000));
            assert!(matches!(fit, Fit::Unsure), "{ended}: not all of them were looked at");
            let mut turns = 0;
            while let Fit::Unsure = fit {
                cx.now.advance();
                cx.slice.steps = Some(3);
                fit = room.settle(cx, id, (0, 4000));
                turns += 1;
            }
            assert_eq!((matches!(fit, Fit::All), turns > 1), (expected, true), "{ended}");
            assert_eq!(matches!(fit, Fit::Some(0, _)), !expected, "{ended}");
        }
    }

    /// Only where other processes share the quota may they have ended uploads: elsewhere their files are not looked at
    /// before more is refused.
    #[test]
    fn uploads_that_another_process_ended_make_room_in_a_quota_that_it_shares() {
        for (shared, expected) in [("", 400), (" shared", 1000)] {
            let mut site = Site::new(
                "",
                &format!("location /d/ {{ allowed_methods PUT; upload_store DIR/d; upload_quota 1000{shared}; }}"),
            );
            std::fs::create_dir(site.scratch.path().join("d")).expect("made");
            let mut ex = site.at("PUT /d/f", &["Content-Length: 1"], OUTSIDE);
            let cx = &mut site.cx;
            cx.slice.steps = Some(u32::MAX);
            let Ok(mut upload) = upload::start(&mut ex, cx) else { panic!("{shared}: {}", ex.response.status.0) };
            while upload.works() {
                upload.work(&mut ex, cx);
            }
            let mut room = Room::of(&upload);
            drop(upload.share.take());
            let path = upload.target.area_path().to_vec();
            let id = |text: &str| UploadId::parse(text.repeat(32).as_bytes()).expect("an id");
            // Its state is gone. The start has looked at all that were known, which is not done again soon.
            cx.resumable.insert(id("1"), KnownUpload::new(b"/nowhere"[..].into(), &path, 600, None));
            let mut fit = room.take(cx, id("2"), (0, 1000));
            while let Fit::Unsure = fit {
                cx.now.advance();
                fit = room.settle(cx, id("2"), (0, 1000));
            }
            let most = if let Fit::Some(most, _) = fit { most } else { 1000 };
            assert_eq!(most, expected, "{shared}");
            assert!(matches!(room.take(cx, id("2"), (0, 400)), Fit::All), "{shared}");
        }
    }
}

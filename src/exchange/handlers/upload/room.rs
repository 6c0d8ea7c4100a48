//! How large a resumable upload in progress may become, checked as its bytes arrive: their number need not be
//! announced, others arrive at the same time, and its bytes stay on disk although it is unfinished.
//!
//! Invariant: what is there and what is held for uploads never exceeds upload_quota, and upload_min_free stays free
//! as far as [`super::free_space`] sees to it.

use super::free_space::FreeSpaceCheck;
use super::refusal::{Refusal, used_up};
use super::state::Upload;
use crate::config::settings::upload::{MinFree, Quota};
use crate::exchange::handlers::resumable::held::Unstored;
use crate::services::Services;
use crate::services::quotas::Area;
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
}

impl Room {
    /// That of an upload which was admitted.
    pub fn of(upload: &Upload) -> Room {
        let (target, rules) = (&upload.target, &upload.rules);
        let area = target.area.clone().zip(rules.quota);
        let quota = area.map(|(area, quota)| (area, quota, target.area_path().into()));
        Room { quota, dir: target.dir.clone(), min_free: rules.min_free, free_space: upload.free_space }
    }

    /// How many of the next `more` bytes the upload may have, of which `size` are there; and why not all of them.
    pub fn take(&mut self, cx: &mut Services, id: UploadId, (size, more): (u64, u64)) -> (u64, Option<Refusal>) {
        if let Err(refusal) = self.free_space.check(cx, &self.dir, self.min_free, more) {
            return (0, Some(refusal));
        }
        let Some((area, quota, path)) = &self.quota else { return (more, None) };
        let own = cx.resumable.holds(id);
        if size.saturating_add(more) <= own {
            return (more, None);
        }
        let (own_id, freed) = ([id], cx.resumable.freed(id));
        let beside = Unstored::of(path, &own_id);
        let most_now = |cx: &mut Services| {
            let room = area.room(beside.held(cx), *quota).saturating_add(freed);
            room.max(own).saturating_sub(size)
        };
        let mut most = most_now(cx);
        if most < more && quota.shared && beside.have_ended(cx) {
            most = most_now(cx);
        }
        match most < more {
            true => (most, Some(used_up())),
            false => (more, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::handlers::upload;
    use crate::exchange::testing::{OUTSIDE, Site};
    use crate::services::resumable::KnownUpload;

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
            let (most, refusal) = room.take(cx, id("2"), (0, 1000));
            assert_eq!((most, refusal.is_some()), (expected, expected < 1000), "{shared}");
            assert_eq!(room.take(cx, id("2"), (0, 400)).0, 400, "{shared}");
        }
    }
}

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

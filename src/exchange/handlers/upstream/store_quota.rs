//! The share of the location's upload_quota that a stored response claims: before its first byte if the upstream
//! announces its length, and as it grows, like an upload.
//!
//! Invariants: nothing here waits for a count or a lock: the response continues to its client. A copy without room is
//! given up as soon as that is known, and until then never exceeds the whole quota.

use crate::config::settings::upload::Quota;
use crate::exchange::Exchange;
use crate::exchange::handlers::resumable::held::Unstored;
use crate::exchange::handlers::resumable::locks;
use crate::exchange::handlers::upload::quota_share::QuotaShare;
use crate::exchange::handlers::upload::refusal::{Refusal, used_up};
use crate::exchange::handlers::upload::target_dir::area_of;
use crate::exchange::paths;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::quotas::shared::{LockAttempt, QuotaLock};
use crate::services::quotas::{Area, Claim, Usage};
use crate::sys::file::Stat;
use std::rc::Rc;

/// The claim of one stored response.
pub struct StoreQuota {
    limit: Quota,
    area: Rc<Area>,
    /// The area's path, as in the key of resumable uploads.
    path: Vec<u8>,
    share: QuotaShare,
    /// The announced or the received size, whichever is larger.
    coming: Usage,
    /// What is freed when the file replaces another one.
    freed: Usage,
    /// The time of the last count: many pieces may arrive in the same second.
    counted: Option<u64>,
}

impl StoreQuota {
    /// Claims room for a file to be created in the directory `dir` (a real path), which will replace the file `there`.
    /// None: no quota applies there. `length`: as announced by the upstream.
    ///
    /// # Errors
    /// There is no room, or the area that counts cannot be determined.
    pub fn begin(
        ex: &mut Exchange,
        cx: &mut Services,
        dir: &[u8],
        (length, there): (Option<u64>, Option<Stat>),
    ) -> Result<Option<StoreQuota>, Refusal> {
        let Some(limit) = ex.location().settings.upload.quota else { return Ok(None) };
        let rules = ex.location().settings.upload.clone();
        let (area, path) = ex.keeping_path(|ex| area_of(ex, cx, &rules))?;
        if !paths::is_beneath(dir, area.path()) {
            return Ok(None);
        }
        let mut share = QuotaShare::new(Claim::new(area.clone()), limit);
        let freed = there.map_or(Usage::default(), |there| share.take_room_of(&there));
        let mut quota = StoreQuota { limit, area, path, share, coming: Usage::file(0), freed, counted: None };
        quota.grow(cx, length.unwrap_or(0))?;
        Ok(Some(quota))
    }

    /// Claims room for at least this size. Counts a slice of the area if its size is not known yet.
    ///
    /// # Errors
    /// There is no room.
    pub fn grow(&mut self, cx: &mut Services, bytes: u64) -> Result<(), Refusal> {
        let is_more = bytes > self.coming.bytes;
        self.coming.bytes = self.coming.bytes.max(bytes);
        if self.share.is_admitted() && !is_more {
            return Ok(());
        }
        if self.limit.bytes > 0 && self.coming.bytes > self.limit.bytes {
            let why = "it is larger than the whole quota of this area";
            return Err(Refusal::new(Status::INSUFFICIENT_STORAGE, why).limit("upload_quota"));
        }
        if !self.share.is_admitted() && self.counted.replace(cx.now.epoch) == Some(cx.now.epoch) {
            return Ok(());
        }
        let need = self.coming.minus(self.freed);
        self.claim(cx, need).map(drop)
    }

    fn claim(&mut self, cx: &mut Services, need: Usage) -> Result<bool, Refusal> {
        if cx.resumable.is_reading() {
            return Ok(false);
        }
        let beside = Unstored::of(&self.path, &[]);
        if self.share.is_admitted() {
            return match self.share.need(need, beside, cx) {
                Err(refusal) if refusal.later => Ok(false),
                outcome => outcome.map(|()| true),
            };
        }
        self.share.admit(need, beside, cx)
    }

    /// The file is complete and about to get its name. Takes the lock of a quota that is shared with other processes.
    ///
    /// # Errors
    /// There is no room, or this cannot be determined now: the area is still being counted, or another process holds
    /// the lock.
    pub fn admit(&mut self, cx: &mut Services, (added, freed): (Usage, Usage)) -> Result<Option<QuotaLock>, Refusal> {
        if !self.claim(cx, added.minus(freed))? {
            return Err(not_counted_yet());
        }
        if !self.limit.shared {
            return Ok(None);
        }
        match QuotaLock::take(&self.area, self.limit, (added, freed), &cx.now, &mut cx.slice) {
            Ok(LockAttempt::Lock(lock)) => Ok(Some(lock)),
            Ok(LockAttempt::Full(_)) => Err(used_up()),
            Ok(LockAttempt::Counting) => Err(not_counted_yet()),
            Ok(LockAttempt::Busy) => {
                let why = "another process has the lock of the quota, and the response does not wait for it";
                Err(Refusal::new(Status::SERVICE_UNAVAILABLE, why).limit("upload_quota").warns())
            }
            Err(e) if locks::is_missing(e) => Ok(None),
            Err(e) => Err(Refusal::call("lock of the quota", self.area.path(), e)),
        }
    }
}

/// The response does not wait for the count.
fn not_counted_yet() -> Refusal {
    Refusal::new(Status::SERVICE_UNAVAILABLE, "what is in the area is still being counted")
        .limit("upload_quota")
        .warns()
}

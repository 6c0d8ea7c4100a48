//! An upload's share of its area under upload_quota. [`crate::services::quotas`] counts the area.

use super::refusal::{Refusal, used_up};
use crate::config::model::Level;
use crate::config::settings::upload::Quota;
use crate::exchange::flow::Pause;
use crate::exchange::handlers::resumable::held::Unstored;
use crate::exchange::handlers::resumable::locks;
use crate::exchange::{Exchange, Printable};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::quotas::shared::{LockAttempt, QuotaLock};
use crate::services::quotas::{Admission, Area, Claim, Full, Replaced, Usage};
use crate::sys::Errno;
use crate::sys::file::Stat;

/// What one upload holds of its area; given back when this is dropped.
pub struct QuotaShare {
    claim: Claim,
    limit: Quota,
    admission: Admission,
}

impl QuotaShare {
    /// Nothing is admitted yet; `claim` is this upload's place in the area.
    pub fn new(claim: Claim, limit: Quota) -> QuotaShare {
        QuotaShare { claim, limit, admission: Admission::NeedsUsage }
    }

    /// What is freed by replacing this file: nothing if another upload replaces it as well.
    pub fn take_room_of(&mut self, there: &Stat) -> Usage {
        match self.claim.take_room_of((there.dev, there.ino)) {
            true => Usage::file(there.size),
            false => Usage::default(),
        }
    }

    /// [`QuotaShare::admit`] has granted all that was asked for.
    pub fn is_admitted(&self) -> bool {
        self.admission == Admission::Admitted
    }

    /// Whether `need` is granted in addition to `beside`, the other unstored files. False while the area is being
    /// counted: ask again in the next turn.
    ///
    /// # Errors
    /// 507; the status of a directory that cannot be read.
    pub fn admit(&mut self, need: Usage, beside: Unstored<'_>, cx: &mut Services) -> Result<bool, Refusal> {
        let held = beside.held(cx);
        let area = self.claim.area();
        let failed = |e: Errno| Refusal::call("getdents64()", b"", e);
        let known = match self.admission {
            Admission::Admitted => return Ok(true),
            Admission::NeedsUsage => area.refresh(&cx.now, &mut cx.slice).map_err(failed)?,
            Admission::NeedsCounts(counts) => {
                area.step(&cx.now, &mut cx.slice).map_err(failed)?;
                area.counts() >= counts
            }
            Admission::NeedsLooks { pass, ended: before } => match beside.have_ended_by(cx, pass, before) {
                None => return Ok(false),
                // What is a file by now must be counted as one.
                Some(true) => {
                    self.admission = Admission::NeedsCounts(area.next_count());
                    return self.admit(need, beside, cx);
                }
                Some(false) => true,
            },
        };
        if !known {
            return Ok(false);
        }
        let awaited = if self.admission == Admission::NeedsUsage { area.count_to_await(&cx.now) } else { None };
        let has_looked = matches!(self.admission, Admission::NeedsLooks { .. });
        self.admission = match (self.claim.resize(need, held, self.limit), awaited) {
            (Ok(()), _) => {
                self.admission = Admission::Admitted;
                return Ok(true);
            }
            (Err(_), Some(counts)) => Admission::NeedsCounts(counts),
            (Err(_), None) if self.limit.shared && !has_looked && held != Usage::default() => Unstored::begin_looks(cx),
            (Err(full), None) => return Err(refusal(full, need)),
        };
        // A small area is counted, and a few uploads are looked at, at once.
        self.admit(need, beside, cx)
    }

    /// Only the room of the files that the upload replaces: what it adds is counted with resumable uploads.
    pub fn only_replaced(self, freed: Usage) -> Option<Replaced> {
        Replaced::of(self.claim, freed)
    }

    /// The lock of a quota that other processes share: they learn what was admitted. None: no lock is needed.
    ///
    /// # Errors
    /// Those of [`lock`].
    pub fn lock(
        &self,
        ex: &mut Exchange,
        cx: &mut Services,
        usage: (Usage, Usage),
    ) -> Result<Option<QuotaLock>, Refusal> {
        match self.limit.shared {
            true => lock(ex, cx, (self.claim.area(), self.limit), usage),
            false => Ok(None),
        }
    }

    /// Reserves `need` after all.
    ///
    /// # Errors
    /// 507; [`Refusal::later`] while the area is counted again, or it is looked for uploads that other processes ended.
    pub fn need(&mut self, need: Usage, beside: Unstored<'_>, cx: &mut Services) -> Result<(), Refusal> {
        if self.is_admitted() {
            let held = beside.held(cx);
            let Err(full) = self.claim.resize(need, held, self.limit) else { return Ok(()) };
            self.admission = match self.claim.area().count_to_await(&cx.now) {
                // Files may have been removed since the last count.
                Some(counts) => Admission::NeedsCounts(counts),
                None if self.limit.shared && held != Usage::default() => Unstored::begin_looks(cx),
                None => return Err(refusal(full, need)),
            };
        }
        match self.admit(need, beside, cx)? {
            true => Ok(()),
            false => Err(Refusal::later()),
        }
    }
}

/// Whether `more` has room now, with what `beside` have; the request keeps the count that it waits for.
/// Gives the admitted share.
///
/// # Errors
/// 507; [`Refusal::later`] while what is there is being counted.
pub fn check_now(
    ex: &mut Exchange,
    cx: &mut Services,
    mut share: QuotaShare,
    more: Usage,
    beside: Unstored<'_>,
) -> Result<QuotaShare, Refusal> {
    share.admission = std::mem::take(&mut ex.route.quota);
    if share.admit(more, beside, cx)? {
        return Ok(share);
    }
    ex.route.quota = share.admission;
    Err(Refusal::later())
}

/// The lock of a quota that other processes share: through it they learn what is added, and what is freed for it.
/// None: the file system has no locks.
///
/// # Errors
/// [`Refusal::later`] while another upload, here or in another process, has it, or the area is being counted; 507; 503
/// if it is not released.
pub fn lock(
    ex: &mut Exchange,
    cx: &mut Services,
    (area, limit): (&Area, Quota),
    (added, freed): (Usage, Usage),
) -> Result<Option<QuotaLock>, Refusal> {
    if area.first_lock_check()
        && let Some(why) = locks::unreliable_in(area.path())
    {
        let (path, text) = (Printable(area.path()), "several servers must not share this quota");
        ex.report(cx, Level::Warn, format_args!("\"{path}\": {why}: {text}"));
    }
    match QuotaLock::take(area, limit, (added, freed), &cx.now, &mut cx.slice) {
        Ok(LockAttempt::Lock(lock)) => Ok(Some(lock)),
        Err(e) if locks::is_missing(e) => Ok(None),
        Ok(LockAttempt::Full(used)) => Err(refusal(Full { used, claimed: Usage::default() }, added)),
        Ok(LockAttempt::Counting) => Err(Refusal::later()),
        Ok(LockAttempt::Busy) => {
            // Nothing else can be done but to try again.
            ex.progress.pause = Some(Pause { until: cx.now.ms + 1, then: None });
            Err(Refusal::later())
        }
        Err(Errno::EAGAIN) => {
            let why = "another upload, here or in another process, does not release the lock of the quota";
            Err(Refusal::new(Status::SERVICE_UNAVAILABLE, why).limit("upload_quota"))
        }
        Err(e) => Err(Refusal::call("lock of the quota", area.path(), e)),
    }
}

fn refusal(full: Full, need: Usage) -> Refusal {
    let Full { used, claimed } = full;
    let mut detail = format!(
        "{} bytes in {} files are there, {} in {} are being uploaded, {} in {} are expected",
        used.bytes, used.files, claimed.bytes, claimed.files, need.bytes, need.files
    );
    if need.dirs > 0 {
        let dirs = used.dirs.saturating_add(claimed.dirs);
        detail.push_str(&format!("; {dirs} directories are there, {} are to be made", need.dirs));
    }
    used_up().detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::handlers::upload;
    use crate::exchange::testing::{OUTSIDE, Site};
    use crate::services::resumable::{KnownUpload, UploadId};

    #[test]
    fn the_log_tells_what_uses_up_a_quota_and_directories_only_where_some_are_to_be_made() {
        let of = |bytes, files, dirs| Usage { bytes, files, dirs };
        let full = Full { used: of(1000, 3, 7), claimed: of(200, 2, 1) };
        let files = "1000 bytes in 3 files are there, 200 in 2 are being uploaded, 300 in 1 are expected";
        assert_eq!(refusal(full, of(300, 1, 0)).detail, files);
        let expected = format!("{files}; 8 directories are there, 2 are to be made");
        assert_eq!(refusal(full, of(300, 1, 2)).detail, expected);
    }

    /// What was there when the upload began counted until its end: it was refused for what had been removed since.
    #[test]
    fn files_that_were_removed_make_room_for_a_body_without_a_length() {
        for shared in ["", " shared"] {
            let location = "location /d/ { allowed_methods PUT; upload_store DIR/d; upload_quota 1000";
            let mut site = Site::new("", &format!("{location}{shared}; }}"));
            let old = site.scratch.path().join("d/old");
            std::fs::create_dir(site.scratch.path().join("d")).expect("made");
            std::fs::write(&old, [b'x'; 900]).expect("written");
            let mut ex = site.at("PUT /d/f", &["Transfer-Encoding: chunked"], OUTSIDE);
            let cx = &mut site.cx;
            cx.slice.steps = Some(u32::MAX);
            let Ok(mut upload) = upload::start(&mut ex, cx) else { panic!("{}", ex.response.status.0) };
            while upload.works() {
                upload.work(&mut ex, cx);
            }
            upload.accept(&mut ex, cx, &[b'z'; 50]).expect("there is room");
            assert!(upload.is_admitted());
            std::fs::remove_file(old).expect("removed");
            cx.now.advance();
            upload.accept(&mut ex, cx, &[b'z'; 500]).expect("it is not refused");
            while upload.works() {
                cx.now.advance();
                upload.work(&mut ex, cx);
            }
            assert!(upload.is_admitted(), "{shared}: {}", ex.response.status.0);
        }
    }

    /// Their bytes may be files by now, or gone: nothing is refused for them before they were looked at. In a quota of
    /// this process alone nothing ends elsewhere.
    #[test]
    fn what_other_processes_ended_is_looked_at_before_an_upload_is_refused() {
        for (shared, expected) in [(" shared", true), ("", false)] {
            let location = "location /d/ { allowed_methods PUT; upload_store DIR/d; upload_quota 1000";
            let mut site = Site::new("", &format!("{location}{shared}; }}"));
            std::fs::create_dir(site.scratch.path().join("d")).expect("made");
            let mut first = site.at("PUT /d/f", &["Content-Length: 1"], OUTSIDE);
            let mut second = site.at("PUT /d/g", &["Content-Length: 900"], OUTSIDE);
            let cx = &mut site.cx;
            cx.slice.steps = Some(u32::MAX);
            let Ok(begun) = upload::start(&mut first, cx) else { panic!("{}", first.response.status.0) };
            // Uploads that were known were looked at, which is not done again soon.
            let id = UploadId::random().expect("entropy");
            let path = begun.target.area_path().to_vec();
            cx.resumable.insert(id, KnownUpload::new(b"/nowhere"[..].into(), &path, 600, None));
            drop(begun);
            let admitted = upload::start(&mut second, cx).map(drop);
            assert_eq!(admitted.is_ok(), expected, "{shared}: {}", second.response.status.0);
        }
    }
}

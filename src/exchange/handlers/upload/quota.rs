//! upload_quota: the share of its area that an upload reserves, before the body if its length is known, and as it
//! grows.

use super::quota_share::{QuotaShare, check_now, lock};
use super::refusal::Refusal;
use super::state::{NamePolicy, Upload, target_of};
use super::temp_file::Part;
use super::{answer, target_dir};
use crate::config::settings::upload::Duplicate;
use crate::exchange::Exchange;
use crate::exchange::flow::{Flow, Phase, Then};
use crate::exchange::handlers::resumable::held::Unstored;
use crate::exchange::handlers::resumable::sweep;
use crate::services::Services;
use crate::services::quotas::shared::QuotaLock;
use crate::services::quotas::{Claim, Replaced, Usage};
use crate::sys::file::{FileKind, Stat};

/// A file without content.
const EMPTY: Usage = Usage::file(0);

impl Upload {
    /// The quota has room for what is known to come, or there is no quota.
    pub fn is_admitted(&self) -> bool {
        self.share.as_ref().is_none_or(|share| share.is_admitted())
    }

    /// It needs no event to go on: it counts, parses, gives names, writes to the disk, or waits for the lock of a
    /// quota.
    pub fn works(&self) -> bool {
        !self.is_admitted() || self.is_parsing() || self.is_writing() || self.is_ending()
    }

    /// Continues counting the area, for which the body waits, or what follows it; or handles the end of a sync.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if self.is_writing() {
            return self.written(ex, cx);
        }
        if self.is_ending() {
            return self.go_on_ending(ex, cx);
        }
        if self.is_admitted() && self.is_parsing() {
            return self.go_on_parsing(ex, cx);
        }
        if let Err(refusal) = self.claim(cx) {
            return answer::refuse(ex, cx, &refusal);
        }
        if self.is_admitted() { Flow::Body } else { Flow::Wait }
    }

    /// Reserves the announced bytes, or continues to wait for that.
    pub fn claim(&mut self, cx: &mut Services) -> Result<(), Refusal> {
        if !self.is_admitted() && sweep::is_reading(cx) {
            return Ok(());
        }
        let need = self.coming.minus(self.freed);
        let beside = Unstored::of(self.target.area_path(), &self.own);
        self.share.as_mut().map_or(Ok(true), |share| share.admit(need, beside, cx)).map(drop)
    }

    /// The share that an upload begins with. None: no quota applies.
    pub fn new_share(&self) -> Option<QuotaShare> {
        let (limit, area) = (self.rules.quota?, self.target.area.clone()?);
        Some(QuotaShare::new(Claim::new(area), limit))
    }

    /// Whether `more` could be stored now in place of what it replaces, by an upload that reserves nothing here. Gives
    /// the room of the file that it replaces.
    ///
    /// # Errors
    /// 507; [`Refusal::later`] while what is there is being counted.
    pub fn check_quota(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        more: Usage,
    ) -> Result<Option<Replaced>, Refusal> {
        let Some(share) = self.share.take().map(|share| *share).or_else(|| self.new_share()) else { return Ok(None) };
        if sweep::is_reading(cx) {
            return Err(Refusal::later());
        }
        let (need, beside) = (more.minus(self.freed), Unstored::of(self.target.area_path(), &self.own));
        check_now(ex, cx, share, need, beside).map(|share| share.only_replaced(self.freed))
    }

    /// Reserves more if more arrives than was announced. Where it takes turns to tell whether there is room, the upload
    /// is not admitted meanwhile: no more is read then ([`Upload::works`]).
    pub fn grow_by(&mut self, cx: &mut Services, more: u64) -> Result<(), Refusal> {
        if self.share.is_none() {
            return Ok(());
        }
        let bytes = self.bytes().saturating_add(more);
        let files = self.parts.len() as u64;
        if bytes > self.coming.bytes || files > self.coming.files {
            let dirs = self.coming.dirs;
            self.coming = Usage { bytes: self.coming.bytes.max(bytes), files: self.coming.files.max(files), dirs };
            let need = self.coming.minus(self.freed);
            return match self.need(cx, need) {
                Err(refusal) if refusal.later => Ok(()),
                outcome => outcome,
            };
        }
        Ok(())
    }

    /// Reserves that much, beside resumable uploads in the area that do not become its files.
    fn need(&mut self, cx: &mut Services, need: Usage) -> Result<(), Refusal> {
        let beside = Unstored::of(self.target.area_path(), &self.own);
        self.share.as_mut().map_or(Ok(()), |share| share.need(need, beside, cx))
    }

    /// What has arrived of all files.
    pub fn bytes(&self) -> u64 {
        self.earlier.saturating_add(self.parts.last().map_or(0, Part::size))
    }

    /// Other processes share the quota, and the area does not exist yet: there is no place for the lock.
    pub fn lacks_area(&self) -> bool {
        match (self.rules.quota, &self.target.area) {
            (Some(limit), Some(area)) if limit.shared => self.target.lacks(area),
            _ => false,
        }
    }

    /// The lock of a quota that other processes share, with the files' part of it. None: no lock is needed.
    ///
    /// # Errors
    /// Those of [`lock`].
    pub fn lock_quota(
        &self,
        ex: &mut Exchange,
        cx: &mut Services,
        usage: (Usage, Usage),
    ) -> Result<Option<QuotaLock>, Refusal> {
        match (self.rules.quota, &self.target.area) {
            (Some(limit), Some(area)) if limit.shared => lock(ex, cx, (area, limit), usage),
            _ => Ok(None),
        }
    }

    /// A file that is about to arrive frees what it replaces; of several with one name, in this upload and in others,
    /// only the first does.
    pub fn replaces(&mut self, there: Option<Stat>) {
        let there = there.filter(|there| is_replaced(self.policy, there));
        if let (Some(share), Some(there)) = (&mut self.share, there) {
            self.freed = self.freed.plus(share.take_room_of(&there));
        }
    }

    /// The final decision of the quota: by what is stored now, and what the files replace.
    pub fn claim_all(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(Usage, Usage), Refusal> {
        if self.target.area.is_none() && cx.quotas.is_empty() {
            return Ok(self.naming.counted.usage);
        }
        if self.naming.counted.files == 0 {
            self.naming.counted.usage.0 = Usage::directories(self.made.count() + self.missing_directories());
        }
        while let Some(part) = self.parts.get(self.naming.counted.files) {
            let counted = &mut self.naming.counted;
            // Of two files with one name, the second gets another.
            let is_first = counted.names.get_or_insert_default().insert((part.folder, part.name.clone()));
            let replaced = match is_first {
                false => Usage::default(),
                true => replaced(self.policy, target_of(&self.target, &self.folders, part.folder).stat(&part.name)?),
            };
            let (added, freed) = counted.usage;
            counted.usage = (added.plus(Usage::file(part.size())), freed.plus(replaced));
            counted.files += 1;
            let done = counted.files;
            self.next_file(cx, done)?;
        }
        let (added, freed) = self.naming.counted.usage;
        if self.share.is_none() {
            self.check_quota(ex, cx, added.minus(freed)).map(drop)?;
            return Ok((added, freed));
        }
        self.need(cx, added.minus(freed))?;
        Ok((added, freed))
    }
}

/// What is freed when a file takes the name of this one.
fn replaced(policy: NamePolicy, there: Option<Stat>) -> Usage {
    match there.filter(|there| is_replaced(policy, there)) {
        Some(stat) => Usage::file(stat.size),
        None => Usage::default(),
    }
}

fn is_replaced(policy: NamePolicy, there: &Stat) -> bool {
    policy.on_duplicate == Duplicate::Overwrite && there.kind == FileKind::Regular
}

/// Whether an empty file may be put where the request's URI says (LOCK of a free name), by the present numbers. Gives
/// its share; None: there is no quota.
///
/// # Errors
/// 507; [`Refusal::later`] while what is there is being counted.
pub fn check_empty(ex: &mut Exchange, cx: &mut Services) -> Result<Option<QuotaShare>, Refusal> {
    check_more(ex, cx, EMPTY)
}

/// The same for a directory (MKCOL).
///
/// # Errors
/// Those of [`check_empty`].
pub fn check_directory(ex: &mut Exchange, cx: &mut Services) -> Result<Option<QuotaShare>, Refusal> {
    check_more(ex, cx, Usage::directories(1))
}

fn check_more(ex: &mut Exchange, cx: &mut Services, more: Usage) -> Result<Option<QuotaShare>, Refusal> {
    let rules = ex.location().settings.upload.clone();
    let Some(limit) = rules.quota else { return Ok(None) };
    if sweep::is_reading(cx) {
        return Err(Refusal::later());
    }
    let (area, path) = target_dir::area_of(ex, cx, &rules)?;
    let beside = Unstored::of(&path, &[]);
    check_now(ex, cx, QuotaShare::new(Claim::new(area), limit), more, beside).map(Some)
}

/// As [`check_empty`], when the file is about to be made: with the lock of a quota that other processes share.
///
/// # Errors
/// Those of [`check_empty`] and [`lock`].
pub fn lock_empty(ex: &mut Exchange, cx: &mut Services) -> Result<Option<QuotaLock>, Refusal> {
    let Some(share) = check_empty(ex, cx)? else { return Ok(None) };
    share.lock(ex, cx, (EMPTY, Usage::default()))
}

/// Tries the same again in the next turn.
pub fn later(cx: &Services) -> Flow {
    Flow::Delay { until: cx.now.ms + 1, then: Then::Phase(Phase::Content) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Rx;
    use crate::exchange::handlers::upload;
    use crate::exchange::testing::{OUTSIDE, Site};
    use crate::sys::file;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;

    /// What unfinished uploads of an earlier start hold is not known before.
    #[test]
    fn nothing_is_admitted_before_unfinished_uploads_were_searched() {
        for is_searched in [true, false] {
            let mut site = Site::new(
                "",
                "location /d/ { allowed_methods PUT; upload_store DIR/d; upload_quota 1m; upload_resumable on; }",
            );
            fs::create_dir(site.scratch.path().join("d")).expect("made");
            let mut first = site.at("PUT /d/f", &["Content-Length: 1"], OUTSIDE);
            let mut ex = site.at("PUT /d/g", &["Content-Length: 1"], OUTSIDE);
            let cx = &mut site.cx;
            // It counts the area.
            cx.slice.steps = Some(u32::MAX);
            let Ok(counted) = upload::start(&mut first, cx) else { panic!("it is refused") };
            assert!(counted.is_admitted());
            if !is_searched {
                sweep::begin(cx);
            }
            // This turn is over.
            cx.slice.steps = Some(0);
            let Ok(mut upload) = upload::start(&mut ex, cx) else { panic!("it is refused") };
            assert_eq!(upload.is_admitted(), is_searched);
            cx.slice.steps = Some(u32::MAX);
            while upload.works() {
                upload.work(&mut ex, cx);
            }
            assert!(upload.is_admitted());
        }
    }

    /// What a request counts again once it has waited had been made in between, and was in neither number.
    #[test]
    fn directories_that_were_made_before_a_wait_for_a_version_are_counted() {
        let mut site = Site::new(
            "",
            "location /d/ {
                dav_methods PUT; dav_ext_methods PROPFIND; create_full_put_path on; upload_quota 1m files=9;
            }",
        );
        let dir = site.root().join("d");
        fs::create_dir(&dir).expect("made");
        fs::write(dir.join("other"), b"x").expect("written");
        let held = fs::File::open(dir.join("other")).expect("it is there");
        file::flock(held.as_fd()).expect("locked");
        let fields = ["Content-Length: 1", "If: </d/other> (Not [\"another\"])"];
        let mut ex = site.at("PUT /d/a/b/f", &fields, OUTSIDE);
        let cx = &mut site.cx;
        // However slow the machine is.
        cx.slice.steps = Some(u32::MAX);
        let Ok(mut upload) = upload::start(&mut ex, cx) else { panic!("it is refused") };
        while upload.works() {
            upload.work(&mut ex, cx);
        }
        upload.accept(&mut ex, cx, b"y").expect("there is room");
        ex.progress.rx = Rx::Done;
        assert_eq!(upload.finish(&mut ex, cx), Flow::Wait, "the other file is locked");
        assert!(dir.join("a/b").exists());
        // Not closed: a child that another test starts may have a duplicate at this moment.
        file::unlock(held.as_fd()).expect("unlocked");
        assert_eq!((upload.work(&mut ex, cx), ex.response.status.0), (Flow::Respond, 201));
        let area = cx.quotas.area_at(dir.as_os_str().as_bytes());
        assert_eq!(area.used(), Usage { bytes: 2, files: 2, dirs: 2 });
    }
}

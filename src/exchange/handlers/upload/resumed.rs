//! A file that arrives in several requests: checked by the rules of uploads before its first byte, and stored by
//! their code after its last. What happens between is in `handlers::resumable`.

use super::answer;
use super::digest;
use super::name::Names;
use super::raw;
use super::record::UploadRecord;
use super::refusal::used_up;
use super::rules;
use super::state::{NamePolicy, Upload};
use super::target_dir::{self, TargetDir};
use super::target_path::{self, TargetKind};
use super::temp_file::Part;
use crate::config::settings::upload::{Quota, Store, UploadSettings, VerifyDigest};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::resumable::held::Unstored;
use crate::http::fields::Fields;
use crate::http::method::Method;
use crate::http::request_head::RequestHead;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::quotas::{Admission, Replaced, Usage};
use crate::services::resumable::UploadId;
use crate::sys::file;
use crate::util::tail::Tail;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

pub use super::answer::{refuse, unconfirmed};
pub use super::digest::{Algorithm, Digests};
pub use super::raw::given_name;
pub use super::record::Stored;
pub use super::refusal::{Refusal, too_large};
pub use super::room::{Fit, Room};
pub use super::rules::{essence, largest};

/// What the creation of an upload says about it.
pub struct Wish<'a> {
    /// The name that the client gave; None: one is made.
    pub given: Option<&'a [u8]>,
    /// The type that the client gave; empty: none.
    pub content_type: &'a [u8],
    /// Bytes of the whole file, if known.
    pub length: Option<u64>,
    /// Bytes that are known to come: all of them, or those of this request.
    pub size: u64,
    /// For `$upload_field_NAME` in its name.
    pub fields: &'a [(Box<[u8]>, Vec<u8>)],
    /// Directories below the one that the URI names.
    pub below: &'a [u8],
    /// Whether it is a file, a part, or made of parts.
    pub role: Role,
    /// The resumable uploads that it is made of.
    pub parts: Vec<UploadId>,
}

/// What an upload is to become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// An upload of its own.
    #[default]
    File,
    /// A part of a file: it has neither a name nor a type.
    Part,
    /// A file made of parts whose bytes are counted already.
    OfParts,
}

/// Bytes of the largest record.
pub const RECORD: u64 = 32 << 10;
/// How many uploads may be unfinished in any area.
const UNFINISHED: u64 = 64;

/// A record needs a name; a part's is never used for a file.
const PART_NAME: &[u8] = b"part";

/// An upload that may begin.
pub struct Admitted {
    /// The file's name: checked, not yet reserved.
    pub name: Vec<u8>,
    /// The path of the URI, and the URI of the file's directory.
    pub path: Vec<u8>,
    /// Decoded; ends in a slash.
    pub dir: Vec<u8>,
    /// The directories that the file's directory can be renamed from.
    pub reach: file::Reach,
    /// How much it may grow.
    pub room: Room,
    /// The file that it will replace.
    pub replaces: Option<Replaced>,
}

/// Checks an upload that this request (POST or PUT) creates.
///
/// # Errors
/// The same as for a plain upload.
pub fn admit(ex: &mut Exchange, cx: &mut Services, wish: &Wish<'_>) -> Result<Admitted, Refusal> {
    raw::check(ex)?;
    let put = ex.route.method == Method::Put;
    let rules = ex.location().settings.upload.clone();
    let policy = NamePolicy::of(&ex.request.head, ex.buf(), put, rules.on_duplicate);
    let has_name = wish.given.is_some() || wish.role == Role::Part;
    let (mut target, named) = find(ex, cx, &rules, has_name)?;
    let path = target.path.clone();
    if !wish.below.is_empty() && named.is_none() {
        target = target.below(wish.below, Names::of(ex))?;
    }
    let most = rules::largest(ex);
    if most > 0 && wish.length.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    if let (Some(length), Role::File | Role::OfParts) = (wish.length, wish.role) {
        rules::check_minimum_size(ex, length)?;
    }
    rules::check_room(target.dir.as_fd(), rules.min_free, wish.size)?;
    let mut upload = Upload::new(ex, cx, rules, target, policy);
    upload.own.clone_from(&wish.parts);
    upload.share = upload.new_share().map(Box::new);
    let given = named.as_deref().or(wish.given);
    let name = match wish.role {
        // The name is checked when the whole is made.
        Role::Part => PART_NAME.to_vec(),
        Role::File | Role::OfParts => upload.admit(ex, cx, wish.fields, (None, given), wish.content_type)?,
    };
    if upload.most > 0 && wish.length.is_some_and(|length| length > upload.most) {
        return Err(upload.too_large());
    }
    let files = u64::from(wish.role != Role::Part);
    let replaces = upload.check_quota(ex, cx, Usage { bytes: wish.size, files, dirs: 0 })?;
    if wish.role != Role::OfParts {
        check_number(&upload, ex, cx)?;
    }
    let reach = file::reach(upload.target.dir.as_fd()).map_err(|e| Refusal::call("fstat()", &upload.target.path, e))?;
    let (dir, room) = (std::mem::take(&mut upload.target.uri), Room::of(&upload));
    Ok(Admitted { name, path: path.to_vec(), dir, reach, room, replaces })
}

/// Whether one more upload may be unfinished in the area: each has a record of up to [`RECORD`] bytes and two files,
/// which count for nothing else.
///
/// # Errors
/// 507; [`Refusal::later`] while it is looked for some that other processes have ended.
fn check_number(upload: &Upload, ex: &mut Exchange, cx: &mut Services) -> Result<(), Refusal> {
    let Some(quota) = upload.rules.quota else { return Ok(()) };
    let (area, most) = (upload.target.area_path(), most_unfinished(quota));
    let looks = std::mem::take(&mut ex.route.unfinished);
    if cx.resumable.unfinished(area) < most {
        return Ok(());
    }
    let looks = match looks {
        Admission::NeedsLooks { .. } => looks,
        _ => Unstored::begin_looks(cx),
    };
    let Admission::NeedsLooks { pass, ended } = looks else { return Ok(()) };
    let has_seen_all = Unstored::of(area, &[]).have_ended_by(cx, pass, ended).is_some();
    match cx.resumable.unfinished(area) {
        unfinished if unfinished < most => Ok(()),
        unfinished if has_seen_all => Err(used_up().detail(format!("{unfinished} uploads are unfinished"))),
        _ => {
            ex.route.unfinished = looks;
            Err(Refusal::later())
        }
    }
}

/// How many uploads may be unfinished in an area with a quota: their records take no more room than the files may, nor
/// are they more than these, except for the first [`UNFINISHED`].
fn most_unfinished(quota: Quota) -> u64 {
    let no_limit = |most: u64| if most == 0 { u64::MAX } else { most };
    no_limit(quota.files).min(no_limit(quota.bytes) / RECORD).max(UNFINISHED)
}

/// More of an upload that has begun.
pub struct More<'a> {
    /// The upload.
    pub id: UploadId,
    /// Bytes that this request announces.
    pub bytes: u64,
    /// The upload's size then, if it is not reserved yet.
    pub total: Option<Usage>,
    /// As in [`Finished`]. None: it has no name of its own.
    pub name: Option<&'a [u8]>,
    /// As in [`Finished`].
    pub below: &'a [u8],
    /// As in [`Finished`].
    pub conditions: &'a [u8],
}

/// Whether more bytes may still be added. Also gives the room of the file that the upload will replace, if the quota
/// was asked.
///
/// # Errors
/// As for [`admit`].
pub fn admit_more(ex: &mut Exchange, cx: &mut Services, more: &More<'_>) -> Result<(Room, Option<Replaced>), Refusal> {
    let rules = ex.location().settings.upload.clone();
    let (target, _) = find(ex, cx, &rules, true)?;
    rules::check_room(target.dir.as_fd(), rules.min_free, more.bytes)?;
    let head = conditions(more.conditions).unwrap_or_default();
    let policy = NamePolicy::of(&head.0, &head.1, ex.route.method == Method::Put, rules.on_duplicate);
    let mut upload = Upload::new(ex, cx, rules, target, policy);
    upload.own = vec![more.id];
    let Some(total) = more.total else { return Ok((Room::of(&upload), None)) };
    cx.resumable.ask_again(more.id);
    upload.share = upload.new_share().map(Box::new);
    if let Some(name) = more.name.filter(|_| upload.share.is_some()) {
        let there = match more.below {
            b"" => upload.target.stat(name)?,
            below => upload.target.below(below, Names::of(ex))?.stat(name)?,
        };
        upload.replaces(there);
    }
    let replaces = upload.check_quota(ex, cx, total)?;
    Ok((Room::of(&upload), replaces))
}

/// The preconditions of the creation as a head of their own. None: `lines` are none.
fn conditions(lines: &[u8]) -> Option<(RequestHead, Vec<u8>)> {
    Fields::of_lines(lines).as_ref().map(RequestHead::of_fields)
}

/// A file whose last byte has arrived.
pub struct Finished<'a> {
    /// The upload's id.
    pub id: UploadId,
    /// The file's bytes: a file in this directory, and its future name.
    pub home: &'a Rc<OwnedFd>,
    /// The name of the file with the bytes in `home`.
    pub part: CString,
    /// The resumable uploads that it was made of.
    pub parts: Vec<UploadId>,
    /// As [`Wish::below`] of its creation.
    pub below: &'a [u8],
    /// The name that was chosen when the upload was created.
    pub name: &'a [u8],
    /// Header lines of the creation's preconditions.
    pub conditions: &'a [u8],
    /// For `$upload_field_NAME`.
    pub fields: Vec<(Box<[u8]>, Vec<u8>)>,
}

/// A finished file that has got its name.
pub struct Placed {
    /// The file as it is now.
    pub stored: Stored,
    /// The URI path of its directory.
    pub dir: Vec<u8>,
    /// The directories that have new names in them.
    pub changed: Vec<Rc<OwnedFd>>,
    /// upload_sync: can take the name back.
    upload: Upload,
}

impl Placed {
    /// The name stays: what was stored, and the URI path of its directory.
    pub fn keep(mut self) -> (Stored, Vec<u8>) {
        self.upload.made.keep();
        (self.stored, self.dir)
    }

    /// The name could not be written to the disk: the file gets its hidden name back, and the file that had the name
    /// before gets that back. False: it still has the name, or another file has it by now.
    pub fn take_back(&mut self, cx: &mut Services) -> bool {
        let is_back = self.upload.take_back(cx);
        self.upload.parts.iter_mut().filter(|_| is_back).for_each(Part::forget_hidden_name);
        is_back
    }
}

/// Why a finished file was not stored.
pub struct Refused {
    /// The response to the client.
    pub refusal: Refusal,
    /// The client may try again. Otherwise its bytes, which are still there, are to be removed.
    pub kept: bool,
}

/// Gives the file its name. `ex.method` is the method of the creation.
pub fn store(ex: &mut Exchange, cx: &mut Services, finished: Finished<'_>) -> Result<Placed, Refused> {
    let later = |refusal| Refused { refusal, kept: true };
    let rules = ex.location().settings.upload.clone();
    let (mut target, _) = find(ex, cx, &rules, true).map_err(later)?;
    if !finished.below.is_empty() {
        target = target.below(finished.below, Names::of(ex)).map_err(later)?;
    }
    let broken = || Refusal::new(Status::INTERNAL_SERVER_ERROR, "the upload's preconditions are lost");
    let conditions = conditions(finished.conditions).ok_or_else(|| later(broken()))?;
    let (head, buf) = (&conditions.0, &conditions.1[..]);
    let policy = NamePolicy::of(head, buf, ex.route.method == Method::Put, rules.on_duplicate);
    let mut part = Part::adopt(finished.home, finished.part, finished.name.to_vec(), rules.mode, cx.temp_names.left())
        .map_err(|e| later(Refusal::call("open()", &target.path, e)))?;
    part.durable = rules.sync;
    let mut upload = Upload::new(ex, cx, rules, target, policy);
    (upload.parts, upload.conditions) = (vec![part], Some(Box::new(conditions)));
    upload.own = finished.parts;
    upload.own.push(finished.id);
    // Today's rules, for the client that finishes it: a reload, or a length that was announced late, may have changed
    // them.
    let name = finished.name.to_vec();
    let judged = rules::check_extension(&upload.rules.extensions, &name)
        .and_then(|()| upload.check_path(ex, cx, (None, &name), None))
        .and_then(|()| match upload.most > 0 && upload.parts.iter().any(|part| part.size() > upload.most) {
            true => Err(upload.too_large().of(&name)),
            false => Ok(()),
        });
    let never_replaces = upload.never_replaces;
    upload.parts.iter_mut().for_each(|part| part.never_replaces = never_replaces);
    if let Err(refusal) = judged {
        // Another client may be allowed what this one is not.
        let kept = refusal.status == Status::FORBIDDEN;
        upload.parts.iter_mut().for_each(Part::forget_hidden_name);
        return Err(Refused { refusal, kept });
    }
    match upload.store(ex, cx) {
        Ok(mut stored) => match stored.pop() {
            Some(stored) => {
                let changed = upload.directories().chain([finished.home]).cloned().collect();
                let (files, dir) = (vec![stored.clone()], Some(upload.target.dir.clone()));
                ex.log.upload = Some(Box::new(UploadRecord { files, fields: finished.fields, dir }));
                Ok(Placed { stored, dir: upload.target.uri.clone(), changed, upload })
            }
            None => Err(later(Refusal::new(Status::INTERNAL_SERVER_ERROR, "nothing was stored"))),
        },
        Err(refusal) => {
            // The name is taken, or a precondition fails: trying again does not help.
            let kept = !matches!(refusal.status, Status::CONFLICT | Status::PRECONDITION_FAILED);
            upload.parts.iter_mut().for_each(Part::forget_hidden_name);
            Err(Refused { refusal, kept })
        }
    }
}

/// The response to a stored upload, as to a plain one. `ex.method` is the method of the creation.
pub fn answer(ex: &mut Exchange, cx: &mut Services, dir: &[u8], stored: Stored) -> Flow {
    let rules = ex.location().settings.upload.clone();
    answer::stored(ex, cx, dir, &[stored], rules.answer.as_ref())
}

/// The path of the request's URI.
pub fn path(ex: &mut Exchange, cx: &mut Services) -> Result<Vec<u8>, Refusal> {
    let rules = ex.location().settings.upload.clone();
    target_path::path(ex, cx, &rules)
}

/// The digests of this request's content in its head.
///
/// # Errors
/// 400 for a digest that is malformed.
pub fn content_digests(ex: &Exchange) -> Result<Digests, Refusal> {
    digest::promised_of_part(ex, ex.location().settings.upload.verify_digest)
}

/// This request's content is complete: checks the digests in its head and its trailers.
///
/// # Errors
/// 400.
pub fn check_content(ex: &Exchange, digests: Digests) -> Result<(), Refusal> {
    digest::check_part(ex, ex.location().settings.upload.verify_digest, digests)
}

/// The digest of the whole in the trailers: a Repr-Digest.
pub fn late_digests(ex: &Exchange) -> Vec<u8> {
    digest::late_of_whole(ex, ex.location().settings.upload.verify_digest)
}

/// The digests of the whole that a Repr-Digest announced, and those wanted at its end.
///
/// # Errors
/// 400 for a digest that is malformed.
pub fn whole_digests(ex: &Exchange, promised: &[u8], ends: bool) -> Result<(Digests, Option<Algorithm>), Refusal> {
    let mut digests = Digests::default();
    if ex.location().settings.upload.verify_digest != VerifyDigest::Off {
        digests.promise(promised)?;
    }
    let wanted = digest::wanted(ex).filter(|_| ends);
    wanted.into_iter().for_each(|algorithm| digests.hash(algorithm));
    Ok((digests, wanted))
}

fn find(
    ex: &mut Exchange,
    cx: &mut Services,
    rules: &UploadSettings,
    named: bool,
) -> Result<(TargetDir, Option<Tail>), Refusal> {
    if rules.store == Store::Off {
        return Err(Refusal::new(Status::FORBIDDEN, "uploads are off here"));
    }
    let wanted = if ex.route.method == Method::Put { TargetKind::File } else { TargetKind::Either { named } };
    target_dir::find(ex, cx, rules, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_unfinished_uploads_take_no_more_than_the_quota_beyond_64_of_them() {
        let most = |bytes, files| most_unfinished(Quota { bytes, files, shared: false });
        assert_eq!([most(1 << 20, 3), most(1 << 20, 0), most(0, 3)], [UNFINISHED; 3]);
        assert_eq!([most(0, 1000), most(1 << 30, 1000), most(1 << 30, 0)], [1000, 1000, (1 << 30) / RECORD]);
    }
}

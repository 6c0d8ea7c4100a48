//! A request that creates an upload, in either protocol.

use super::append::{Append, RequestContent, UploadRequest};
use super::checksum::Checksum;
use super::concat::{self, Concat, Joining};
use super::location::Home;
use super::locks;
use super::pending_upload::{self, PendingUpload};
use super::sharing;
use super::state::{Dialect, UploadState};
use super::store::Dir;
use super::{respond, rufh, takeover, tus};
use crate::config::model::Level;
use crate::config::settings::upload::VerifyDigest;
use crate::config::value::Mode;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::dav::guard;
use crate::exchange::handlers::principal;
use crate::exchange::handlers::upload::resumed::{self, Refusal, Role, Wish};
use crate::exchange::handlers::upload::{self, rate_limit};
use crate::exchange::{Exchange, Printable};
use crate::http::body_length::BodyLength;
use crate::http::fields::Fields;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::resumable::{Lease, UploadId};
use crate::sys::Errno;
use crate::sys::file::{self, Reach};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a request says about the upload that it creates.
#[derive(Default)]
struct CreationRequest {
    given: Option<Vec<u8>>,
    content_type: Vec<u8>,
    length: Option<u64>,
    fields: tus::Pairs,
    /// Directories below the one that the URI names.
    below: Vec<u8>,
    role: Role,
    concat: Vec<u8>,
}

/// Creation by tus: a POST with Tus-Resumable.
pub fn tus(ex: &mut Exchange, cx: &mut Services) -> Begun<Append> {
    let mut joining = None;
    match concat::parse(ex.header(HeaderId::UploadConcat)) {
        Ok(Concat::None | Concat::Partial) => {}
        Ok(Concat::Final(urls)) => {
            let urls = urls.to_vec();
            joining = Some(Box::new(Joining::begin(ex, cx, &urls)?));
        }
        Err(why) => {
            let refusal = Refusal::new(Status::BAD_REQUEST, why);
            return Err(respond::refuse(ex, cx, Dialect::Tus, &refusal));
        }
    }
    match tus_said(ex, joining) {
        Ok((request, content)) => begin(ex, cx, Dialect::Tus, request, content),
        Err(refusal) => Err(respond::refuse(ex, cx, Dialect::Tus, &refusal)),
    }
}

fn tus_said(ex: &Exchange, joining: Option<Box<Joining>>) -> Result<(CreationRequest, RequestContent), Refusal> {
    let bad = |why: &'static str| Refusal::new(Status::BAD_REQUEST, why);
    let given = (ex.header(HeaderId::UploadLength), ex.header(HeaderId::UploadDeferLength));
    let length = match &joining {
        None => tus::length(given.0, given.1).map_err(bad)?,
        Some(_) if given.0.is_some() || ex.request.has_content() => {
            return Err(bad("a final upload has neither Upload-Length nor content: it consists of its parts"));
        }
        Some(joining) => Some(joining.length()),
    };
    let fields = tus::metadata(ex.header(HeaderId::UploadMetadata).unwrap_or_default()).map_err(bad)?;
    let digest = joined(ex, HeaderId::ReprDigest);
    let (whole, _) = resumed::whole_digests(ex, &digest, false)?;
    let content = tus_content(ex, UploadRequest::Creation, WholeDigest::of(!digest.is_empty()))?;
    if let (BodyLength::Known(sent), Some(length)) = (ex.request.head.body_length, length)
        && sent > length
    {
        let why = format!("the content is longer than the {length} bytes of Upload-Length");
        return Err(Refusal::new(Status::CONTENT_TOO_LARGE, why));
    }
    let concat = ex.header(HeaderId::UploadConcat).unwrap_or_default().to_vec();
    let role = match joining {
        Some(_) => Role::OfParts,
        None if tus::is_partial(&concat) => Role::Part,
        None => Role::File,
    };
    if role == Role::Part && !whole.is_empty() {
        return Err(bad("Repr-Digest is that of the whole: it belongs to the final upload, not to a partial one"));
    }
    let request = CreationRequest {
        below: if role == Role::Part { Vec::new() } else { below(ex, &fields)? },
        role,
        concat,
        given: tus::value(&fields, &["filename", "name"]).map(<[u8]>::to_vec),
        content_type: tus::value(&fields, &["filetype", "type", "contentType"])
            .unwrap_or(upload::DEFAULT_TYPE)
            .to_vec(),
        length,
        fields,
    };
    Ok((request, RequestContent { joining, whole, ..content }))
}

/// The directories that the file's relativePath names.
///
/// # Errors
/// 400 without upload_create_path, as for forms: in one directory files of several would replace each other.
fn below(ex: &Exchange, fields: &tus::Pairs) -> Result<Vec<u8>, Refusal> {
    let below = tus::directories(fields);
    if !below.is_empty() && !ex.location().settings.upload.create_path {
        let refusal = Refusal::new(Status::BAD_REQUEST, "relativePath names a directory");
        return Err(refusal.limit("upload_create_path").of(below));
    }
    Ok(below.to_vec())
}

/// What a tus request says about its content.
///
/// # Errors
/// 415 for content of another type, 400 for an invalid checksum.
pub fn tus_content(ex: &Exchange, request: UploadRequest, whole: WholeDigest) -> Result<RequestContent, Refusal> {
    let bad = |why: &'static str| Refusal::new(Status::BAD_REQUEST, why);
    let has_content = ex.request.has_content();
    let is_typed =
        resumed::essence(ex.header(HeaderId::ContentType).unwrap_or_default()).eq_ignore_ascii_case(tus::CONTENT_TYPE);
    if (has_content || request == UploadRequest::Append) && !is_typed {
        let why = "Content-Type has to be application/offset+octet-stream";
        return Err(Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let checksum = ex.header(HeaderId::UploadChecksum).map(Checksum::parse).transpose().map_err(bad)?;
    let digests = resumed::content_digests(ex)?;
    let trailers = ex.request.head.all(HeaderId::Trailer).map(|field| field.value.of(ex.buf()));
    let may_be_late = trailers.into_iter().any(Checksum::is_announced);
    let verify = ex.location().settings.upload.verify_digest;
    let has_digest = !digests.is_empty() || whole == WholeDigest::Announced;
    let needs = verify == VerifyDigest::Require && has_content && checksum.is_none() && !has_digest;
    if needs && !may_be_late {
        return Err(bad("Upload-Checksum is required").limit("upload_verify_digest"));
    }
    Ok(RequestContent { request, checksum, needs_late: needs, may_be_late, digests, ..RequestContent::default() })
}

/// A POST or PUT with Upload-Complete. If it brings the whole file, it is a plain upload when its client could not
/// learn how to resume it, and when it is a form: several files are not one representation.
pub fn is_rufh(ex: &Exchange) -> bool {
    match respond::ends(ex) {
        Some(true) => respond::interop(ex).is_some() && !is_form(ex),
        Some(false) => true,
        None => false,
    }
}

fn is_form(ex: &Exchange) -> bool {
    let kind = ex.header(HeaderId::ContentType).unwrap_or_default();
    ex.route.method == Method::Post && resumed::essence(kind).eq_ignore_ascii_case(b"multipart/form-data")
}

/// Creation by the draft.
pub fn rufh(ex: &mut Exchange, cx: &mut Services) -> Begun<Append> {
    let ends = respond::ends(ex) == Some(true);
    let announced = ex.header(HeaderId::UploadLength).and_then(rufh::integer);
    let (Ok(length), true) = (rufh_length(ex, 0, ends, announced), fits(ex, 0, announced)) else {
        return Err(respond::inconsistent(ex));
    };
    match rufh_said(ex, length, ends) {
        Ok((request, content)) => begin(ex, cx, Dialect::Rufh, request, content),
        Err(refusal) => Err(respond::refuse_upload(ex, cx, Dialect::Rufh, &refusal)),
    }
}

fn rufh_said(ex: &Exchange, length: Option<u64>, ends: bool) -> Result<(CreationRequest, RequestContent), Refusal> {
    if is_form(ex) {
        let why = "a form cannot be uploaded in parts: send the file itself";
        return Err(Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, why));
    }
    // tus-js-client sends the name as in tus, whichever protocol it uses.
    let fields = tus::metadata(ex.header(HeaderId::UploadMetadata).unwrap_or_default()).unwrap_or_default();
    let named = || tus::value(&fields, &["filename", "name"]).map(<[u8]>::to_vec);
    let given = if ex.route.method == Method::Put { None } else { resumed::given_name(ex)?.or_else(named) };
    let below = below(ex, &fields)?;
    let content_type = ex.header(HeaderId::ContentType).unwrap_or(upload::DEFAULT_TYPE).to_vec();
    let (whole, wanted) = resumed::whole_digests(ex, &joined(ex, HeaderId::ReprDigest), ends)?;
    let content = RequestContent {
        whole,
        wanted,
        ..rufh_content(
            ex,
            UploadRequest::Creation,
            ends,
            WholeDigest::of(ex.request.head.get(HeaderId::ReprDigest).is_some()),
        )?
    };
    Ok((CreationRequest { given, content_type, length, below, ..CreationRequest::default() }, content))
}

/// Whether a digest of the whole upload is known before its content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WholeDigest {
    /// Repr-Digest was sent with the creation.
    Announced,
    /// None was sent.
    Absent,
}

impl WholeDigest {
    /// Names the boolean.
    pub fn of(is_announced: bool) -> WholeDigest {
        if is_announced { WholeDigest::Announced } else { WholeDigest::Absent }
    }
}

/// What a request of the draft says about its content. `ends`: it is the last of the upload.
pub fn rufh_content(
    ex: &Exchange,
    request: UploadRequest,
    ends: bool,
    whole: WholeDigest,
) -> Result<RequestContent, Refusal> {
    let digests = resumed::content_digests(ex)?;
    let require = ex.location().settings.upload.verify_digest == VerifyDigest::Require;
    if require && ex.request.has_content() && digests.is_empty() && whole == WholeDigest::Absent {
        let why = "Repr-Digest of the whole or Content-Digest is required";
        return Err(Refusal::new(Status::BAD_REQUEST, why).limit("upload_verify_digest"));
    }
    Ok(RequestContent { request, digests, ends, interop: respond::interop(ex), ..RequestContent::default() })
}

/// The length of the whole, from all fields that imply it (the draft §4.1.3). `known`: from Upload-Length or an
/// earlier request.
///
/// # Errors
/// They differ.
pub fn rufh_length(ex: &Exchange, offset: u64, ends: bool, known: Option<u64>) -> Result<Option<u64>, ()> {
    let implied = match ex.request.head.body_length {
        BodyLength::Known(content) if ends => Some(offset.saturating_add(content)),
        BodyLength::None if ends => Some(offset),
        _ => None,
    };
    match (implied, known) {
        (Some(a), Some(b)) if a != b => Err(()),
        (implied, known) => Ok(implied.or(known)),
    }
}

/// Content with a known size stays within the length.
pub fn fits(ex: &Exchange, offset: u64, length: Option<u64>) -> bool {
    match (ex.request.head.body_length, length) {
        (BodyLength::Known(content), Some(length)) => offset.saturating_add(content) <= length,
        _ => true,
    }
}

fn begin(
    ex: &mut Exchange,
    cx: &mut Services,
    dialect: Dialect,
    request: CreationRequest,
    content: RequestContent,
) -> Begun<Append> {
    match create(ex, cx, dialect, request, content) {
        Ok(append) => run(ex, cx, append),
        Err(refusal) if refusal.later => Err(upload::later(cx)),
        Err(refusal) => Err(respond::refuse_upload(ex, cx, dialect, &refusal)),
    }
}

/// Takes the content, or finishes at once if there is none.
pub fn run(ex: &mut Exchange, cx: &mut Services, append: Append) -> Begun<Append> {
    let mut append = Box::new(append);
    if ex.request.has_content() {
        ex.progress.pace = rate_limit::of(ex, cx);
        return Ok(append);
    }
    let flow = if append.is_joining() { append.work(ex, cx) } else { append.finish(ex, cx) };
    match flow {
        Flow::Wait => Ok(append),
        flow => Err(flow),
    }
}

fn create(
    ex: &mut Exchange,
    cx: &mut Services,
    dialect: Dialect,
    request: CreationRequest,
    mut content: RequestContent,
) -> Result<Append, Refusal> {
    let wish = Wish {
        given: request.given.as_deref(),
        content_type: &request.content_type,
        length: request.length,
        fields: &request.fields,
        below: &request.below,
        role: request.role,
        size: request.length.unwrap_or_else(|| ex.request.head.body_length.announced()),
        parts: content.joining.as_ref().map_or_else(Vec::new, |joining| joining.ids()),
    };
    let (size, admitted) = (wish.size, resumed::admit(ex, cx, &wish)?);
    let home = pending_upload::home(ex)?;
    let settings = ex.location().settings.upload.clone();
    let mut record = UploadState {
        dialect,
        method: ex.route.method,
        uri: ex.route.uri.clone(),
        user: principal::of(ex),
        path: noted(ex, admitted.path),
        area: home.area().to_vec(),
        dir: admitted.dir,
        below: request.below,
        name: admitted.name,
        length: request.length,
        age: settings.resumable.max_age.0,
        unverified: content.is_checked().then_some(0),
        synced: cx.boot.filter(|_| settings.sync).map(|boot| (boot, 0)),
        concat: request.concat,
        metadata: if dialect == Dialect::Tus { joined(ex, HeaderId::UploadMetadata) } else { Vec::new() },
        conditions: conditions(ex),
        digest: joined(ex, HeaderId::ReprDigest),
        ..UploadState::empty()
    };
    let id = UploadId::random().map_err(|e| Refusal::call("getrandom()", &home.path, e))?;
    let parents = settings.create_path.then_some(Mode(settings.mode));
    let (dir, fd) = begin_state(cx, &home, parents, admitted.reach, id, &record)?;
    let lease = Some(first_lease(ex, cx, (&home, &dir, fd), id, &mut record)?);
    let mut upload = PendingUpload { id, home, dir, record, size: 0, expires: None, lease, is_read_only: false };
    match &mut content.joining {
        // It is counted as its parts until it has its name.
        Some(joining) => joining.joins_to(upload.dir.clone(), id),
        None => {
            upload.touch(cx);
            upload.promise(cx, size, admitted.replaces);
        }
    }
    let lease = upload.register_writer(cx).inspect_err(|_| upload.remove(cx))?;
    if let Some(version) = content.interop {
        respond::begun(ex, cx, version, &upload);
    }
    Ok(Append::new(ex, cx, (upload, lease, Some(admitted.room)), content))
}

/// The lease of a new upload, whose bytes' file is locked.
fn first_lease(
    ex: &Exchange,
    cx: &mut Services,
    (home, dir, fd): (&Home, &Dir, OwnedFd),
    id: UploadId,
    record: &mut UploadState,
) -> Result<Lease, Refusal> {
    warn_of_locks(ex, cx, home, fd.as_fd());
    match takeover::claim_new(cx, home, dir, id, record) {
        Ok(claim) => Ok(Lease::new(fd).with_claim(claim)),
        Err(e) => {
            dir.remove(id);
            home.tidy(cx);
            Err(Refusal::call("open()", &home.path, e))
        }
    }
}

/// Says once of a directory that its locks may not reach other servers.
fn warn_of_locks(ex: &Exchange, cx: &mut Services, home: &Home, fd: BorrowedFd<'_>) {
    if cx.resumable.note_home(&home.path)
        && let Some(why) = locks::unreliable(fd, &home.path)
    {
        let text = "several servers must not share these uploads";
        ex.report(cx, Level::Warn, format_args!("\"{}\": {why}: {text}", Printable(&home.path)));
    }
}

/// Attempts at a state directory that other processes keep removing, because for them it is empty.
const TRIES: u32 = 64;

/// Notes where the upload goes: it may be complete in this request, when variables of upload_store have changed.
fn noted(ex: &mut Exchange, path: Vec<u8>) -> Vec<u8> {
    ex.route.begun_at = Some(path.as_slice().into());
    path
}

/// Creates the two files of an upload, and the directory if it is missing.
fn begin_state(
    cx: &mut Services,
    home: &Home,
    parents: Option<Mode>,
    reach: Reach,
    id: UploadId,
    record: &UploadState,
) -> Result<(Dir, OwnedFd), Refusal> {
    if record.text().len() as u64 > resumed::RECORD {
        let most = resumed::RECORD >> 10;
        let why = format!("metadata, preconditions and paths of a resumable upload may take {most} KiB together");
        return Err(Refusal::new(Status::HEADER_TOO_LARGE, why));
    }
    let failed = |call: &str, e: Errno| Refusal::call(call, &home.path, e);
    let mut tries = 0;
    loop {
        let made = home.make(parents).map_err(|e| ("mkdir()", e)).and_then(|(dir, made)| {
            if made {
                cx.syncs.made_directory();
            }
            let there = file::reach(dir.fd().as_fd()).map_err(|e| ("fstat()", e))?;
            match there == reach {
                true => dir.create(id, record).map(|fd| Some((dir, fd))).map_err(|e| ("open()", e)),
                false => Ok(None),
            }
        });
        tries += 1;
        match made {
            Ok(Some(made)) => {
                sharing::note_presence(cx, home);
                return Ok(made);
            }
            Ok(None) => {
                home.tidy(cx);
                let why = match home.ours {
                    true => "something else is mounted on this directory: resumable uploads need a location of its own",
                    false => "upload_state_store is on another file system or mount than the upload directory",
                };
                return Err(Refusal::new(Status::INTERNAL_SERVER_ERROR, why));
            }
            // It was removed between two of our steps.
            Err((_, Errno::ENOENT)) if home.ours && tries < TRIES => {}
            Err((call, e)) => {
                home.tidy(cx);
                return Err(failed(call, e));
            }
        }
    }
}

/// The lines of a field as one.
fn joined(ex: &Exchange, id: HeaderId) -> Vec<u8> {
    let lines: Vec<&[u8]> = ex.request.head.all(id).map(|field| field.value.of(ex.buf())).collect();
    lines.join(&b", "[..])
}

/// The preconditions of the request: they are evaluated when the upload is complete (RFC 9110 §13.2.1).
fn conditions(ex: &Exchange) -> Vec<u8> {
    let mut kept = Fields::default();
    let names = [
        (HeaderId::IfMatch, &b"If-Match"[..]),
        (HeaderId::IfNoneMatch, b"If-None-Match"),
        (HeaderId::IfUnmodifiedSince, b"If-Unmodified-Since"),
    ];
    for (id, name) in names {
        for field in ex.request.head.all(id) {
            kept.push(name, field.value.of(ex.buf()));
        }
    }
    if let Some(lists) = guard::named_versions(ex) {
        kept.push(b"If", &lists);
    }
    kept.to_lines()
}

#[cfg(test)]
mod tests;

//! A request for an existing upload: its offset, more of it, or its end.

use super::append::{Append, UploadRequest};
use super::pending_upload::{self, Missing, PendingUpload};
use super::respond::Completeness;
use super::state::{Dialect, number};
use super::takeover::Access;
use super::{create, respond, rufh, tus};
use crate::exchange::Exchange;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::upload;
use crate::exchange::handlers::upload::resumed::{self, More, Refusal};
use crate::http::body_length::BodyLength;
use crate::http::header::HeaderId;
use crate::http::method::{Method, MethodSet};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::quotas::Usage;
use crate::services::resumable::{Ended, FinishedUpload, UploadId};
use crate::sys::Errno;
use crate::sys::file;

/// What an upload answers.
pub(super) const METHODS: MethodSet =
    MethodSet::EMPTY.with(Method::Get).with(Method::Head).with(Method::Patch).with(Method::Delete);

/// HEAD or GET for the offset, PATCH to append, DELETE to cancel; any other method is a 405.
///
/// # Errors
/// The flow that answers at once. Otherwise content is appended.
pub fn run(ex: &mut Exchange, cx: &mut Services, id: UploadId) -> Begun<Append> {
    let method = method(ex);
    if !METHODS.contains(method) {
        ex.response.line(b"Allow", b"HEAD, PATCH, DELETE, OPTIONS");
        return Err(Flow::Status(Status::METHOD_NOT_ALLOWED));
    }
    // A request that only asks needs no version, as a browser may send it, and nothing that can be written.
    let asks = matches!(method, Method::Get | Method::Head);
    match pending_upload::find(ex, cx, id, if asks { Access::Read } else { Access::Write }) {
        Err(Missing::Unknown) => Err(respond::not_found(ex, cx)),
        Err(Missing::Over(Ended::Gone)) => Err(respond::gone(ex, cx)),
        Err(Missing::Over(Ended::Done(done))) => Err(over(ex, cx, id, method, &done)),
        Err(Missing::Failed(refusal)) => {
            let dialect = respond::by_header(ex);
            Err(respond::refuse(ex, cx, dialect, &refusal))
        }
        Err(Missing::Elsewhere(flow)) => Err(flow),
        Ok(upload) => {
            if upload.record.dialect == Dialect::Tus
                && !asks
                && let Some(flow) = respond::version_is_missing(ex, cx)
            {
                return Err(flow);
            }
            match method {
                Method::Patch => patch(ex, cx, upload),
                Method::Delete => {
                    upload.remove(cx);
                    Err(cancelled(ex, upload.record.dialect))
                }
                _ => offset(ex, cx, upload),
            }
        }
    }
}

/// tus: clients that cannot send PATCH or DELETE send POST and say which one they mean.
pub(super) fn method(ex: &Exchange) -> Method {
    match ex.header(HeaderId::XHttpMethodOverride) {
        Some(name) if ex.route.method == Method::Post => Method::parse(name),
        _ => ex.route.method,
    }
}

fn cancelled(ex: &mut Exchange, dialect: Dialect) -> Flow {
    if dialect == Dialect::Tus {
        ex.response.line(b"Tus-Resumable", tus::VERSION.as_bytes());
    }
    ex.response.status = Status::NO_CONTENT;
    Flow::Respond
}

fn offset(ex: &mut Exchange, cx: &mut Services, mut upload: PendingUpload) -> Begun<Append> {
    // For clients an offset equal to the length means the end: the file must exist then. It may not, if the process
    // died in between, or if it could not be stored.
    let is_complete = upload.is_complete();
    if upload.is_read_only {
        return Err(offset_read_only(ex, cx, upload, is_complete));
    }
    if !is_complete && !ex.location().settings.upload.sync {
        return Err(respond::offset(ex, cx, &upload));
    }
    // Any number of requests may ask at once: the bytes stay, so the lock need not be kept. One of them gives the
    // file its name.
    let lease = match is_complete {
        true => upload.register_writer(cx),
        false => upload.downgrade_to_reader(),
    };
    let lease = match lease {
        Ok(lease) => lease,
        Err(refusal) => return Err(respond::refuse(ex, cx, upload.record.dialect, &refusal)),
    };
    let mut append = Box::new(Append::asking(ex, cx, upload, lease));
    let flow = match append.promise_whole(ex, is_complete) {
        Ok(()) => append.body_ended(ex, cx, is_complete),
        Err(refusal) => respond::refuse(ex, cx, append.upload.record.dialect, &refusal),
    };
    match flow {
        Flow::Wait => Ok(append),
        flow => Err(flow),
    }
}

/// The offset where nothing can be written: neither a name for the file nor, with upload_sync, a note of the bytes that
/// are on the disk, so that only those count which it has noted before.
fn offset_read_only(ex: &mut Exchange, cx: &mut Services, mut upload: PendingUpload, is_complete: bool) -> Flow {
    if is_complete {
        // Clients forget an upload that is refused for good.
        let refusal = Refusal::new(Status::SERVICE_UNAVAILABLE, "the file system is read-only for now");
        return respond::refuse(ex, cx, upload.record.dialect, &refusal);
    }
    if ex.location().settings.upload.sync && cx.boot.is_some() {
        upload.size = upload.record.synced.map_or(0, |(_, synced)| synced.min(upload.size));
    }
    respond::offset(ex, cx, &upload)
}

/// An upload whose file is stored: the last response may have been lost.
fn over(ex: &mut Exchange, cx: &mut Services, id: UploadId, method: Method, past: &FinishedUpload) -> Flow {
    let dialect = if past.tus { Dialect::Tus } else { Dialect::Rufh };
    match method {
        Method::Delete => {
            if let Ok(dir) = pending_upload::home(ex).map(|home| home.open()) {
                dir.iter().for_each(|dir| dir.forget(id));
            }
            cx.resumable.finish(id, Ended::Gone);
            cancelled(ex, dialect)
        }
        Method::Patch if tus::is_final(&past.concat) => respond::refuse(ex, cx, dialect, &is_final()),
        Method::Patch => {
            let given = match dialect {
                Dialect::Tus => ex.header(HeaderId::UploadOffset).and_then(number),
                Dialect::Rufh => ex.header(HeaderId::UploadOffset).and_then(rufh::integer),
            };
            let again = given == Some(past.length) && !ex.request.has_content();
            match dialect {
                Dialect::Tus if again => {
                    respond::tus_offset(ex, past.length);
                    ex.response.status = Status::NO_CONTENT;
                    Flow::Respond
                }
                Dialect::Tus => {
                    ex.response.line(b"Upload-Offset", past.length.to_string().as_bytes());
                    let why = "the upload is complete";
                    respond::refuse(ex, cx, dialect, &Refusal::new(Status::CONFLICT, why))
                }
                Dialect::Rufh if again => {
                    respond::completeness(ex, Completeness::Complete);
                    ex.response.location = Some(past.location.clone());
                    ex.response.status = Status(past.status);
                    Flow::Respond
                }
                Dialect::Rufh => {
                    respond::problem(ex, Status::BAD_REQUEST, rufh::COMPLETED, "upload is already completed", &[])
                }
            }
        }
        _ => {
            respond::done(ex, dialect, past.length);
            respond::concat(ex, &past.concat);
            Flow::Respond
        }
    }
}

/// tus: nothing is appended to a concatenated upload.
fn is_final() -> Refusal {
    Refusal::new(Status::FORBIDDEN, "a final upload consists of its parts: it takes no PATCH")
}

fn patch(ex: &mut Exchange, cx: &mut Services, mut upload: PendingUpload) -> Begun<Append> {
    let dialect = upload.record.dialect;
    if upload.is_final() {
        return Err(respond::refuse(ex, cx, dialect, &is_final()));
    }
    let outcome = match dialect {
        Dialect::Tus => tus(ex, &mut upload),
        Dialect::Rufh => rufh(ex, &mut upload),
    };
    let content = match outcome {
        Ok(content) => content,
        Err(AppendError::Refused(refusal)) => return Err(respond::refuse(ex, cx, dialect, &refusal)),
        Err(AppendError::Offset { given }) => return Err(mismatch(ex, cx, &upload, given)),
        Err(AppendError::Length) => return Err(respond::inconsistent(ex)),
    };
    match open(ex, cx, upload, content) {
        Ok(append) => create::run(ex, cx, append),
        Err(refusal) if refusal.later => Err(upload::later(cx)),
        Err(refusal) => Err(respond::refuse(ex, cx, dialect, &refusal)),
    }
}

/// What is wrong with a PATCH.
enum AppendError {
    Refused(Refusal),
    Offset {
        given: u64,
    },
    /// The draft: the fields that imply the length do not agree.
    Length,
}

impl From<Refusal> for AppendError {
    fn from(refusal: Refusal) -> AppendError {
        AppendError::Refused(refusal)
    }
}

/// The content, once everything that can be checked beforehand is right. Sets the length if it is announced now.
fn tus(ex: &Exchange, upload: &mut PendingUpload) -> Result<super::append::RequestContent, AppendError> {
    let bad = |why: &'static str| Refusal::new(Status::BAD_REQUEST, why);
    let whole = create::WholeDigest::of(!upload.record.digest.is_empty());
    let content = create::tus_content(ex, UploadRequest::Append, whole)?;
    let offset = ex.header(HeaderId::UploadOffset).and_then(number);
    let Some(offset) = offset else { return Err(bad("Upload-Offset is missing or not an offset").into()) };
    if let Some(length) = ex.header(HeaderId::UploadLength) {
        let Some(length) = number(length) else { return Err(bad("Upload-Length is not a size").into()) };
        if upload.record.length.is_some_and(|known| known != length) {
            return Err(bad("Upload-Length cannot be changed").into());
        }
        if length < upload.size {
            return Err(bad("Upload-Length is less than what was received").into());
        }
        upload.record.length = Some(length);
    }
    if offset != upload.size {
        return Err(AppendError::Offset { given: offset });
    }
    if !create::fits(ex, offset, upload.record.length) {
        let why = "the content exceeds Upload-Length";
        return Err(Refusal::new(Status::CONTENT_TOO_LARGE, why).into());
    }
    Ok(content)
}

fn rufh(ex: &mut Exchange, upload: &mut PendingUpload) -> Result<super::append::RequestContent, AppendError> {
    let bad = |why: &'static str| Refusal::new(Status::BAD_REQUEST, why);
    let kind = resumed::essence(ex.header(HeaderId::ContentType).unwrap_or_default());
    if rufh::has_media_type(respond::version(ex)) && !kind.eq_ignore_ascii_case(rufh::CONTENT_TYPE) {
        // RFC 5789 §3.1.
        ex.response.line(b"Accept-Patch", rufh::CONTENT_TYPE);
        let why = "Content-Type has to be application/partial-upload";
        return Err(Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, why).into());
    }
    let Some(ends) = respond::ends(ex) else {
        return Err(bad("Upload-Complete is missing or neither ?0 nor ?1").into());
    };
    let Some(offset) = ex.header(HeaderId::UploadOffset).and_then(rufh::integer) else {
        return Err(bad("Upload-Offset is missing or not an offset").into());
    };
    if offset != upload.size {
        return Err(AppendError::Offset { given: offset });
    }
    let said = ex.header(HeaderId::UploadLength).and_then(rufh::integer);
    let known = upload.record.length;
    if known.is_some() && said.is_some() && known != said || said.is_some_and(|length| length < offset) {
        return Err(AppendError::Length);
    }
    let length = create::rufh_length(ex, offset, ends, known.or(said)).map_err(|()| AppendError::Length)?;
    if !create::fits(ex, offset, length) {
        return Err(AppendError::Length);
    }
    let mut content = create::rufh_content(
        ex,
        UploadRequest::Append,
        ends,
        create::WholeDigest::of(!upload.record.digest.is_empty()),
    )?;
    // The last byte arrives with this content, whether or not the client says so.
    let fills = matches!((ex.request.head.body_length, length), (BodyLength::Known(sent), Some(length)) if offset + sent == length);
    if ends || fills {
        (content.whole, content.wanted) = resumed::whole_digests(ex, &upload.record.digest, true)?;
    }
    upload.record.length = length;
    Ok(content)
}

/// The request's offset is not the upload's.
fn mismatch(ex: &mut Exchange, cx: &mut Services, upload: &PendingUpload, given: u64) -> Flow {
    ex.response.line(b"Upload-Offset", upload.size.to_string().as_bytes());
    match upload.record.dialect {
        Dialect::Tus => {
            let why = format!("Upload-Offset is {given}, {} bytes are there", upload.size);
            respond::refuse(ex, cx, Dialect::Tus, &Refusal::new(Status::CONFLICT, why))
        }
        Dialect::Rufh => {
            let title = "offset from request does not match offset of resource";
            let members = [("expected-offset", upload.size), ("provided-offset", given)];
            respond::problem(ex, Status::CONFLICT, rufh::MISMATCHING_OFFSET, title, &members)
        }
    }
}

/// Opens the upload's file for more bytes.
fn open(
    ex: &mut Exchange,
    cx: &mut Services,
    mut upload: PendingUpload,
    content: super::append::RequestContent,
) -> Result<Append, Refusal> {
    let most = resumed::largest(ex);
    let sent = ex.request.head.body_length.announced();
    let total = upload.record.length.unwrap_or(upload.size.saturating_add(sent));
    if most > 0 && total > most {
        return Err(resumed::too_large());
    }
    // What comes without a length is compared with what the area was found to have.
    let grows = upload.record.length.is_none() && ex.request.head.body_length == BodyLength::Unknown;
    let counted = !grows && cx.resumable.holds(upload.id) >= total;
    let need = Usage { bytes: total, files: u64::from(!upload.is_part()), dirs: 0 };
    let more = More {
        id: upload.id,
        bytes: sent,
        total: (!counted).then_some(need),
        name: (!upload.is_part()).then_some(&upload.record.name),
        below: &upload.record.below,
        conditions: &upload.record.conditions,
    };
    // The upload's rules are those of the method that created it.
    let (room, replaces) = ex.with_method(upload.record.method, |ex| resumed::admit_more(ex, cx, &more))?;
    let path = upload.home.path.clone();
    let failed = |call: &str, e: Errno| Refusal::call(call, &path, e);
    let lease = upload.register_writer(cx)?;
    file::seek(lease.fd(), upload.size).map_err(|e| failed("lseek()", e))?;
    // Before its content arrives: saves what is known now, and from which byte on nothing is sure.
    let is_checked = content.is_checked();
    upload.record.unverified = is_checked.then_some(upload.size);
    if ex.location().settings.upload.sync {
        upload.begin_marks(cx.boot);
    }
    upload.dir.mark(upload.id, &upload.record).map_err(|e| failed("write()", e))?;
    upload.promise(cx, total, replaces);
    Ok(Append::new(ex, cx, (upload, lease, Some(room)), content))
}

#[cfg(test)]
mod tests;

//! The head of a POST or PUT: everything that can be refused before the first byte of the body is read.

use super::form::Form;
use super::refusal::{Refusal, too_large};
use super::state::{NamePolicy, Upload};
use super::target_dir::TargetDir;
use super::target_path::TargetKind;
use super::{answer, digest, rate_limit, raw, rules, target_dir};
use crate::config::settings::upload::{Duplicate, Store, UploadSettings};
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::methods;
use crate::exchange::origin::{self, Sender};
use crate::exchange::{Exchange, counters};
use crate::http::body_length::BodyLength;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::multipart::boundary_of;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::quotas::Usage;
use std::borrow::Cow;
use std::os::fd::AsFd;
use std::rc::Rc;

/// Most bytes of a file that are held in memory, whatever client_body_buffer_size says.
const HELD: u64 = 64 << 10;
/// Bytes of a form that may be something other than files.
const FORM: u64 = 128 << 10;

/// A POST or PUT of this location: it is refused at once, or its body is read.
pub fn start(ex: &mut Exchange, cx: &mut Services) -> Begun<Upload> {
    counters::begin_upload(ex, cx);
    let mut upload = prepare(ex, cx).map_err(|refusal| answer::refuse(ex, cx, &refusal))?;
    if upload.is_admitted() && ex.request.ends_with_head() {
        // There is no body to wait for.
        return match upload.finish(ex, cx) {
            Flow::Wait => Ok(upload),
            flow => Err(flow),
        };
    }
    ex.progress.pace = rate_limit::of(ex, cx);
    Ok(upload)
}

/// Refuses everything that can be refused before the first byte is read.
fn prepare(ex: &mut Exchange, cx: &mut Services) -> Result<Box<Upload>, Refusal> {
    let rules = ex.location().settings.upload.clone();
    check_sender(ex, &rules)?;
    raw::check(ex)?;
    let put = ex.route.method == Method::Put;
    let kind: Cow<'static, [u8]> = match ex.header(HeaderId::ContentType) {
        Some(kind) => Cow::Owned(kind.to_vec()),
        None => Cow::Borrowed(raw::DEFAULT_TYPE),
    };
    let form = match !put && is_form(&kind) {
        false => None,
        true => match boundary_of(&kind) {
            Some(boundary) => Some(Box::new(Form::new(&boundary)?)),
            None => return Err(Refusal::new(Status::BAD_REQUEST, "the form's boundary is missing or malformed")),
        },
    };
    let given = if put || form.is_some() { None } else { raw::given_name(ex)? };
    let wanted = match (&form, put) {
        (Some(_), _) => TargetKind::Directory,
        (None, true) => TargetKind::File,
        (None, false) => TargetKind::Either { named: given.is_some() },
    };
    let (target, named) = target_dir::find(ex, cx, &rules, wanted)?;
    let length = ex.request.head.body_length.announced();
    rules::check_room(target.dir.as_fd(), rules.min_free, length)?;
    let is_form = form.is_some();
    let mut upload = assemble(ex, cx, rules, target, form, length)?;
    if is_form {
        upload.coming = form_comes(&upload, length);
    } else {
        let most = upload.most;
        if most > 0 && length > most {
            return Err(too_large());
        }
        if let BodyLength::Known(length) = ex.request.head.body_length {
            rules::check_minimum_size(ex, length)?;
        }
        let name = named.as_deref().or(given.as_deref());
        if name.is_none() && ex.request.head.body_length == BodyLength::None {
            return Err(Refusal::new(Status::BAD_REQUEST, "the request has neither a body nor a file name"));
        }
        upload.open(ex, cx, &[], name, &kind)?;
    }
    upload.claim(cx)?;
    Ok(upload)
}

/// What a form of this length is known to bring before its files have names. One that may replace files needs room only
/// for what it adds to them: each file is reserved as it arrives, beside the one that it replaces.
fn form_comes(upload: &Upload, length: u64) -> Usage {
    // Apart from its files a form is small.
    let bytes = length.saturating_sub(FORM);
    let fits_alone = upload.rules.quota.is_none_or(|quota| quota.bytes == 0 || bytes <= quota.bytes);
    match upload.policy.on_duplicate {
        Duplicate::Overwrite if fits_alone => Usage { bytes: 0, files: 0, ..upload.coming },
        _ => Usage { bytes, ..upload.coming },
    }
}

/// Whether this location accepts uploads from the page that sends this one.
fn check_sender(ex: &Exchange, rules: &UploadSettings) -> Result<(), Refusal> {
    if rules.store == Store::Off {
        return Err(Refusal::new(Status::FORBIDDEN, "uploads are off here"));
    }
    // A browser lets any page post a form here without a preflight; PUT and PATCH need one (CORS). A signed link is
    // its own permission: no cookie or password of a visitor is used.
    if ex.route.method == Method::Post
        && !rules.cross_site
        && ex.route.link.is_none()
        && origin::sender(ex) == Sender::OtherPage
    {
        return Err(Refusal::new(Status::FORBIDDEN, "uploads from pages of other sites are not accepted")
            .limit("upload_cross_site"));
    }
    Ok(())
}

/// The upload as its head describes it, with no file yet.
fn assemble(
    ex: &Exchange,
    cx: &Services,
    rules: Rc<UploadSettings>,
    target: TargetDir,
    form: Option<Box<Form>>,
    length: u64,
) -> Result<Box<Upload>, Refusal> {
    let put = ex.route.method == Method::Put;
    let rule = if asks_to_replace(ex) { Duplicate::Overwrite } else { rules.on_duplicate };
    let policy = NamePolicy::of(&ex.request.head, ex.buf(), put, rule);
    let mut digests = digest::promised(ex, rules.verify_digest, form.is_some())?;
    let wanted = digest::wanted(ex);
    let hold = match ex.request.head.body_length {
        // A client that waits for 100 Continue then learns in time whether a file can be made.
        _ if ex.request.expects_continue() => 0,
        BodyLength::Known(length) if form.is_none() && length > hold_at_most(ex) => 0,
        _ => hold_at_most(ex) as usize,
    };
    if let Some(algorithm) = wanted.filter(|_| form.is_none()) {
        digests.hash(algorithm);
    }
    let mut upload = Box::new(Upload::new(ex, cx, rules, target, policy));
    upload.is_form = form.is_some();
    (upload.form, upload.parts, upload.hold) = (form, Vec::with_capacity(1), hold);
    (upload.digests, upload.wanted) = (digests, wanted);
    let dirs = Usage::directories(upload.missing_directories());
    (upload.share, upload.coming) = (upload.new_share().map(Box::new), Usage::file(length).plus(dirs));
    Ok(upload)
}

/// The listing page asks to replace a file, and the visitor, who may delete the old one, has agreed.
fn asks_to_replace(ex: &Exchange) -> bool {
    ex.route.method == Method::Post
        && &ex.route.args[..] == b"webserv-replace"
        && methods::allowed(ex).contains(Method::Delete)
        && origin::sender(ex) == Sender::OwnPage
}

fn is_form(content_type: &[u8]) -> bool {
    rules::essence(content_type).eq_ignore_ascii_case(b"multipart/form-data")
}

fn hold_at_most(ex: &Exchange) -> u64 {
    ex.location().settings.client.body_buffer_size.0.min(HELD)
}

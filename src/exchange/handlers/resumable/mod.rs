//! Uploads that can be resumed: tus 1.0.0 and the IETF draft Resumable Uploads for HTTP, with one store.
//!
//! A POST or PUT in one of the protocols creates an upload, whose URI is the request's own with `webserv-upload=ID`
//! added to its query: so it belongs to the same location, of whatever kind, and its access rules apply to every
//! request. HEAD asks for its offset, PATCH appends, DELETE cancels.
//!
//! - [`tus`], [`rufh`], [`checksum`]: the fields of the protocols
//! - [`mod@concat`]: uploads that are parts of one file
//! - [`create`], [`requests`]: a request for a new upload, and one for an existing upload
//! - [`append`]: its content, written to the disk
//! - [`pending_upload`], [`state`], [`store`], [`location`]: an upload on disk
//! - [`respond`]: the responses
//! - [`locks`]: how far the locks of the store's file system reach
//! - [`sweep`]: uploads that are never finished; [`mod@held`]: the room of those that are not finished yet
//! - [`takeover`]: which request writes to an upload, among all processes
//!
//! Invariant: the offset that is sent is the size of a file; bytes that count are never removed, and no two requests
//! append to one upload.

pub mod append;
mod argument;
mod checksum;
mod concat;
mod create;
pub mod held;
pub mod location;
pub mod locks;
mod pending_upload;
mod requests;
mod respond;
mod rufh;
mod sharing;
mod state;
mod store;
pub mod sweep;
mod takeover;
mod tus;

use super::methods;
use crate::config::model::Level;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::log_facts::UploadRole;
use crate::exchange::route_state::Exempted;
use crate::exchange::{Exchange, counters};
use crate::http::header::HeaderId;
use crate::http::method::{Method, MethodSet};
use crate::http::status::Status;
use crate::route::Trace;
use crate::services::Services;
use crate::services::resumable::UploadId;
use argument::argument;
use state::Dialect;

/// What a request asks of resumable uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Create(Dialect),
    Upload(UploadId),
    /// An upload that cannot exist.
    Nothing,
}

/// None: it is an ordinary request.
fn asked(ex: &Exchange) -> Option<Operation> {
    // For an upstream or a program the arguments are its own: they mean nothing here.
    meant(ex).filter(|_| methods::are_of_files(ex))
}

fn meant(ex: &Exchange) -> Option<Operation> {
    let speaks = ex.location().settings.upload.resumable.speaks;
    if !speaks.any() || ex.route.error_page.is_some() || ex.route.method == Method::Options {
        return None;
    }
    if let Some(id) = argument(&ex.route.args) {
        return Some(UploadId::parse(id).map_or(Operation::Nothing, Operation::Upload));
    }
    if speaks.tus && ex.header(HeaderId::TusResumable).is_some() {
        match ex.route.method {
            Method::Post => return Some(Operation::Create(Dialect::Tus)),
            Method::Head | Method::Patch | Method::Delete => return Some(Operation::Nothing),
            _ => {}
        }
    }
    let stores = matches!(ex.route.method, Method::Post | Method::Put);
    let creates = speaks.rufh && stores && create::is_rufh(ex);
    creates.then_some(Operation::Create(Dialect::Rufh))
}

/// The request is about a resumable upload: [`start`] answers it.
pub fn is_asked(ex: &Exchange) -> bool {
    match asked(ex) {
        None => false,
        Some(Operation::Create(_)) => methods::allowed(ex).contains(ex.route.method),
        Some(Operation::Upload(_) | Operation::Nothing) => methods::takes_uploads(methods::allowed(ex)),
    }
}

/// What a request about resumable uploads is to them.
pub fn upload_role(ex: &Exchange) -> UploadRole {
    match asked(ex) {
        Some(Operation::Create(_)) => UploadRole::Creation,
        Some(Operation::Upload(_) | Operation::Nothing) if requests::method(ex) == Method::Patch => UploadRole::Append,
        _ => UploadRole::None,
    }
}

/// The request begins an upload by a method of dav_methods, which has rules of its own.
pub fn is_dav_put(ex: &Exchange) -> bool {
    ex.location().settings.dav.answers(ex.route.method) && matches!(asked(ex), Some(Operation::Create(_)))
}

/// Where uploads are allowed, their resources allow methods of their own. Who lets a request in for that reason alone
/// notes it ([`RouteState::exempt`](crate::exchange::route_state::RouteState::exempt)).
pub fn permits(ex: &Exchange, allowed: MethodSet) -> bool {
    methods::takes_uploads(allowed)
        && matches!(asked(ex), Some(Operation::Upload(_) | Operation::Nothing))
        && requests::METHODS.contains(requests::method(ex))
}

/// Refuses a request that was admitted as one about a resumable upload, if something else would answer it: a program,
/// an upstream, a file. None: an upload answers it, or it was admitted in its own right.
pub fn refuse_unless_resumable(ex: &mut Exchange, cx: &mut Services) -> Option<Flow> {
    let holds = ex.route.exempted.is_none() || is_asked(ex);
    (!holds).then(|| refuse_elsewhere(ex, cx))
}

/// Refuses a request that was admitted as one about a resumable upload, with the status of the rule that it passed for
/// that reason.
pub fn refuse_elsewhere(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let Some(Exempted { status, location }) = ex.route.exempted.take() else { return Flow::Next };
    ex.route.location = location;
    let what = "a method or a link that holds for resumable uploads alone leads to something else";
    cx.trace.say("access", None, || format!("{what}: {}", status.0));
    ex.report(cx, Level::Error, format_args!("{what}"));
    if status == Status::METHOD_NOT_ALLOWED { methods::not_allowed(ex) } else { Flow::Status(status) }
}

/// The request is about an upload that may have begun.
pub fn continues_upload(ex: &Exchange) -> bool {
    methods::takes_uploads(methods::allowed(ex)) && matches!(asked(ex), Some(Operation::Upload(_)))
}

/// A request in one of the protocols: a creation, or one for an upload by its id.
///
/// # Errors
/// The flow that answers at once. Otherwise content is appended.
pub fn start(ex: &mut Exchange, cx: &mut Services) -> Begun<append::Append> {
    let asked = asked(ex);
    if matches!(asked, Some(Operation::Create(_))) {
        counters::begin_upload(ex, cx);
    }
    respond::check_version(ex, cx)?;
    match asked {
        Some(Operation::Create(Dialect::Tus)) => create::tus(ex, cx),
        Some(Operation::Create(Dialect::Rufh)) => create::rufh(ex, cx),
        Some(Operation::Upload(id)) => requests::run(ex, cx, id),
        Some(Operation::Nothing) if argument(&ex.route.args).is_none() => Err(respond::unnamed(ex, cx)),
        Some(Operation::Nothing) | None => Err(respond::not_found(ex, cx)),
    }
}

/// Header lines for the answer to OPTIONS.
pub fn announce(ex: &mut Exchange) {
    let (mut speaks, allowed) = (ex.location().settings.upload.resumable.speaks, methods::allowed(ex));
    // tus creates uploads by POST only.
    speaks.tus &= allowed.contains(Method::Post);
    if speaks.any() && methods::takes_uploads(allowed) {
        respond::announce(ex, speaks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{OUTSIDE, Site};

    #[test]
    fn resumable_uploads_are_announced_where_they_can_be_made() {
        let mut site = Site::new(
            "",
            "location /both/ { allowed_methods GET POST PUT; upload_store DIR/up; upload_resumable on; }
             location /get/ { allowed_methods GET; upload_store DIR/up; upload_resumable on; }
             location /put/ { allowed_methods PUT; upload_store DIR/up; upload_resumable tus; }
             location /off/ { allowed_methods GET POST PUT; upload_store DIR/up; }",
        );
        for (uri, expected) in [("/both/", true), ("/get/", false), ("/put/", false), ("/off/", false)] {
            let mut ex = site.at(&format!("OPTIONS {uri}"), &[], OUTSIDE);
            announce(&mut ex);
            let names: Vec<_> = ex.response.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
            assert_eq!(names.contains(&b"tus-version".to_vec()), expected, "{uri}");
            assert_eq!(ex.response.fields.is_empty(), !expected, "{uri}");
        }
    }

    #[test]
    fn the_argument_is_found_among_others() {
        let table = [
            ("webserv-upload=12", Some("12")),
            ("a=b&webserv-upload=12&c", Some("12")),
            ("webserv-upload=", Some("")),
            ("webserv-upload", None),
            ("xwebserv-upload=12", None),
            ("", None),
        ];
        for (args, expected) in table {
            assert_eq!(argument(args.as_bytes()), expected.map(str::as_bytes), "{args}");
        }
    }

    #[test]
    fn what_a_request_is_to_resumable_uploads_depends_on_its_method_its_fields_and_its_location() {
        let mut site = Site::new(
            "",
            "location /u/ { allowed_methods GET POST PUT; upload_store DIR/u; upload_resumable on; }
             location /get/ { allowed_methods GET; upload_store DIR/u; upload_resumable on; }
             location /off/ { allowed_methods GET POST PUT; upload_store DIR/u; }",
        );
        let (tus, rufh) = (&["Tus-Resumable: 1.0.0"][..], &["Upload-Complete: ?0"][..]);
        let id = "?webserv-upload=0123456789abcdef0123456789abcdef";
        // Its role, whether it is answered as one, whether it may go on with one, and whether its method is let in.
        use UploadRole::{Append, Creation, None};
        for (method, path, args, fields, role, facts) in [
            ("POST", "/u/", "", tus, Creation, [true, false, false]),
            ("POST", "/u/", "", rufh, Creation, [true, false, false]),
            ("PUT", "/u/f", "", rufh, Creation, [true, false, false]),
            ("PUT", "/u/f", "", tus, None, [false, false, false]),
            ("POST", "/u/", "", &[], None, [false, false, false]),
            ("GET", "/u/f", "", rufh, None, [false, false, false]),
            ("PATCH", "/u/", id, &[], Append, [true, true, true]),
            ("HEAD", "/u/", id, tus, None, [true, true, true]),
            ("DELETE", "/u/", id, &[], None, [true, true, true]),
            ("PUT", "/u/f", id, &[], None, [true, true, false]),
            ("OPTIONS", "/u/", id, &[], None, [false, false, false]),
            ("PATCH", "/u/", "?webserv-upload=0", &[], Append, [true, false, true]),
            ("PATCH", "/u/", "", tus, Append, [true, false, true]),
            ("HEAD", "/u/", "", tus, None, [true, false, true]),
            ("HEAD", "/u/", "", &[], None, [false, false, false]),
            ("POST", "/get/", "", tus, Creation, [false, false, false]),
            ("PATCH", "/get/", id, &[], Append, [false, false, false]),
            ("POST", "/off/", "", tus, None, [false, false, false]),
            ("PATCH", "/off/", id, &[], None, [false, false, false]),
        ] {
            let mut ex = site.at(&format!("{method} {path}{args}"), fields, OUTSIDE);
            let case = format!("{method} {path}{args} {fields:?}");
            assert_eq!(upload_role(&ex), role, "{case}");
            let allowed = methods::allowed(&ex);
            assert_eq!([is_asked(&ex), continues_upload(&ex), permits(&ex, allowed)], facts, "{case}");
            ex.route.error_page = Some(Status::NOT_FOUND);
            assert_eq!((upload_role(&ex), is_asked(&ex)), (None, false), "{case}: an error page");
        }
    }
}

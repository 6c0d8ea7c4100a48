//! A location with files: which handler answers, by method.

use crate::config::model::Level;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::repr_digest::{self, Hashing};
use crate::exchange::handlers::{
    Handler, dav, delete, first_slice, methods, options, path_rules, resumable, static_file, upload,
};
use crate::exchange::log_facts::UploadRole;
use crate::exchange::paths::{self, Mapped};
use crate::exchange::{Exchange, Printable, Rx, error_page};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::Trace;
use crate::services::Services;
use crate::util::bytes;

/// Answers from files: picks the handler by method and path and begins it. One that takes several turns is left in
/// `handler`.
pub fn run(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) -> Flow {
    // For all handlers, even those that make a name of the URI without mapping it.
    if bytes::has_control(&ex.route.uri) {
        return Flow::Status(Mapped::Control.refusal());
    }
    let file_handler = file_handler(ex);
    cx.trace.say("handler", Some(ex.location().span), || file_handler.name().into());
    if file_handler.writes()
        && let Err(status) = check_own_name(ex, cx).and_then(|()| check_body(ex, cx, file_handler))
    {
        return Flow::Status(status);
    }
    match begin(file_handler, ex, cx) {
        Err(flow) => flow,
        Ok(begun) => {
            let flow = if begun.takes_body() { Flow::Body } else { Flow::Wait };
            *handler = begun;
            flow
        }
    }
}

/// Err: it is done, or only waits for the body.
fn begin(file_handler: FileHandler, ex: &mut Exchange, cx: &mut Services) -> Result<Handler, Flow> {
    match file_handler {
        FileHandler::StaticFile => match static_file::run(ex, cx) {
            Ok(making) => Ok(Handler::Listing(making)),
            Err(Flow::Respond) => match repr_digest::begin(ex, cx) {
                // A small file is hashed at once.
                Some(hashing) => first_slice::begin(hashing, ex, cx, Hashing::work).map(Handler::Hashing),
                None => Err(Flow::Respond),
            },
            Err(flow) => Err(flow),
        },
        FileHandler::Options => Err(options::answer(ex)),
        FileHandler::NotAllowed => Err(methods::not_allowed(ex)),
        // Explaining changes nothing: it ends where the body would be read.
        handler if handler.writes() && cx.trace.is_some() => {
            if !matches!(paths::map(ex, cx), Mapped::Path { .. }) {
                ex.route.path.clear();
            }
            Err(Flow::Body)
        }
        FileHandler::Dav => dav::run(ex, cx).map(|work| match work {
            dav::Work::Upload(upload) => Handler::Upload(upload),
            dav::Work::Removing(removing) => Handler::Removing(removing),
            dav::Work::Transfer(transfer) => Handler::Transfer(transfer),
            dav::Work::Request(request) => Handler::Dav(request),
            dav::Work::Syncing(syncing) => Handler::Syncing(syncing),
        }),
        FileHandler::Upload => match delete::form(ex) {
            Some(form) => Ok(Handler::DeleteForm(form)),
            None => upload::start(ex, cx).map(Handler::Upload),
        },
        FileHandler::Resumable if resumable::is_dav_put(ex) => {
            dav::before_put(ex, cx)?;
            resumable::start(ex, cx).map(Handler::Append)
        }
        FileHandler::Resumable => resumable::start(ex, cx).map(Handler::Append),
        FileHandler::Delete => delete::run(ex, cx).map(Handler::Removing),
    }
}

/// Gives a request that changes a file its own name back, where try_files found another: what a site shows for a name
/// that is not there must not be overwritten or removed by that name. nginx's dav module does that.
///
/// # Errors
/// 403: the request was led to another location, which knows nothing of the name.
fn check_own_name(ex: &mut Exchange, cx: &mut Services) -> Result<(), Status> {
    let Some(own) = ex.route.own_name.take() else { return Ok(()) };
    if own.location == ex.route.location {
        cx.trace.say("try_files", None, || format!("a write keeps its own name: {}", Printable(&own.uri)));
        ex.route.uri = own.uri;
        ex.route.behind_alias = false;
        return Ok(());
    }
    if ex.route.method == Method::Post {
        return Ok(()); // A form's files are for where its location takes them, whatever they were posted to.
    }
    let (own, found) = (Printable(&own.uri).to_string(), Printable(&ex.route.uri).to_string());
    ex.report(
        cx,
        Level::Error,
        format_args!("try_files led a request that changes \"{own}\" to \"{found}\", which it may not change"),
    );
    Err(Status::FORBIDDEN)
}

/// A body that was read before an error page or X-Accel-Redirect led here is given to the handler again, where it was
/// buffered.
///
/// # Errors
/// 500: it went to an upstream as it came, and is not there to be stored. An empty file would be stored in its place.
fn check_body(ex: &mut Exchange, cx: &mut Services, file_handler: FileHandler) -> Result<(), Status> {
    // The body of a form that asks for a DELETE or MOVE was read to know that.
    if ex.progress.body_received == 0 || file_handler == FileHandler::Delete || path_rules::is_form_action(ex) {
        return Ok(());
    }
    let received = ex.progress.body_received;
    if ex.progress.rx == Rx::Done && ex.progress.body.as_ref().is_some_and(|body| body.len() == received) {
        ex.progress.replayed = Some(0);
        return Ok(());
    }
    ex.report(
        cx,
        Level::Error,
        format_args!("the request's body was read before it was redirected here: it is not stored"),
    );
    Err(Status::INTERNAL_SERVER_ERROR)
}

/// What the request is to the uploads of its location. For the counters: the handler itself may never be asked.
pub fn upload_role(ex: &Exchange) -> UploadRole {
    let brings = matches!(ex.route.method, Method::Put | Method::Post | Method::Patch);
    if !brings || !methods::are_of_files(ex) {
        return UploadRole::None;
    }
    match file_handler(ex) {
        FileHandler::Upload if delete::form(ex).is_none() => UploadRole::Whole,
        FileHandler::Dav if ex.route.method == Method::Put => UploadRole::Whole,
        FileHandler::Resumable => resumable::upload_role(ex),
        _ => UploadRole::None,
    }
}

/// The handlers of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileHandler {
    StaticFile,
    Options,
    NotAllowed,
    Dav,
    Upload,
    Resumable,
    Delete,
}

impl FileHandler {
    /// It may change files, or reads a body that says what to change.
    fn writes(self) -> bool {
        matches!(self, FileHandler::Dav | FileHandler::Upload | FileHandler::Resumable | FileHandler::Delete)
    }

    fn name(self) -> &'static str {
        match self {
            FileHandler::StaticFile => "static file, index or listing",
            FileHandler::Options => "options",
            FileHandler::NotAllowed => "none: the method is not allowed here",
            FileHandler::Dav => "dav",
            FileHandler::Upload => "upload",
            FileHandler::Resumable => "resumable upload",
            FileHandler::Delete => "delete",
        }
    }
}

fn file_handler(ex: &Exchange) -> FileHandler {
    if resumable::is_asked(ex) {
        return FileHandler::Resumable;
    }
    match ex.route.method {
        Method::Get | Method::Head => FileHandler::StaticFile,
        method if error_page::is_page(ex) && !methods::allowed(ex).contains(method) => FileHandler::StaticFile,
        Method::Options => FileHandler::Options,
        // As in nginx, POST gets what GET would: the location of an index file, the redirect of a directory, the
        // error page of a missing file; a file itself answers 405.
        Method::Post
            if ex.location().settings.access.allowed.is_none() && !methods::default(ex).contains(Method::Post) =>
        {
            FileHandler::StaticFile
        }
        _ if let Some(action) = &ex.route.form_action => match delete::may(ex, action) {
            true => FileHandler::Dav,
            false => FileHandler::NotAllowed,
        },
        method if !methods::allowed(ex).contains(method) => FileHandler::NotAllowed,
        method if ex.location().settings.dav.answers(method) => FileHandler::Dav,
        Method::Post | Method::Put => FileHandler::Upload,
        Method::Delete => FileHandler::Delete,
        _ => FileHandler::NotAllowed,
    }
}

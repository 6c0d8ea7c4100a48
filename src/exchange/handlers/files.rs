//! A location with files: which handler answers, by method.

use crate::exchange::flow::Flow;
use crate::exchange::handlers::repr_digest::{self, Hashing};
use crate::exchange::handlers::{Handler, dav, delete, first_slice, methods, options, resumable, static_file, upload};
use crate::exchange::log_facts::UploadPart;
use crate::exchange::paths::{self, Mapped};
use crate::exchange::{Exchange, error_page};
use crate::http::method::Method;
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
        FileHandler::Dav | FileHandler::Upload | FileHandler::Resumable | FileHandler::Delete if cx.trace.is_some() => {
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

/// What the request is to the uploads of its location. For the counters: the handler itself may never be asked.
pub fn upload_part(ex: &Exchange) -> UploadPart {
    let brings = matches!(ex.route.method, Method::Put | Method::Post | Method::Patch);
    if !brings || !methods::are_of_files(ex) {
        return UploadPart::None;
    }
    match file_handler(ex) {
        FileHandler::Upload if delete::form(ex).is_none() => UploadPart::Whole,
        FileHandler::Dav if ex.route.method == Method::Put => UploadPart::Whole,
        FileHandler::Resumable => resumable::part(ex),
        _ => UploadPart::None,
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

//! The small forms of the listing page: delete or move a name, make a folder. Each becomes a DELETE, MOVE or MKCOL of
//! that name and goes through the phases as one, so that it may do what the client's own request might, and no more.
//! MOVE and MKCOL need no `dav_methods` then: a client that may store and delete files here could do the same in
//! several requests.

use crate::config::model::{ContentHandler, Level};
use crate::config::settings::upload::Store;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::listing::{Asked, FormAction, PageAction, SentForm, asked, resolve};
use crate::exchange::handlers::methods;
use crate::exchange::handlers::upload;
use crate::exchange::handlers::upload::Refusal;
use crate::exchange::handlers::upstream::cgi;
use crate::exchange::origin::{self, Sender};
use crate::http::body_length::BodyLength;
use crate::http::escape::escape_path;
use crate::http::field_syntax::trim_ows;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::{NoTrace, location};
use crate::services::Services;

/// A name has at most 255 bytes, each escaped twice.
const LONGEST: usize = 8 << 10;

/// The body of the form, as far as it has come.
#[derive(Debug, Default)]
pub struct DeleteForm {
    body: Vec<u8>,
}

/// The request is the form of a listing that shows delete buttons. None: it is something else.
pub fn form(ex: &Exchange) -> Option<DeleteForm> {
    let is_short = match ex.request.head.body_length {
        BodyLength::Known(length) => (1..=LONGEST as u64).contains(&length),
        BodyLength::Unknown => true,
        BodyLength::None => false,
    };
    let is_form = ex.header(HeaderId::ContentType).is_some_and(|value| {
        let kind = value.split(|b| *b == b';').next().unwrap_or_default();
        trim_ows(kind).eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    });
    let allowed = methods::allowed(ex);
    let is_offered = ex.location().settings.listing.upload
        && (allowed.contains(Method::Delete) || is_folder_form(ex) && allowed.contains(Method::Post));
    if ex.route.method != Method::Post || !ex.route.uri.ends_with(b"/") || !is_short || !is_form || !is_offered {
        return None;
    }
    Some(DeleteForm::default())
}

impl DeleteForm {
    /// Takes a piece of the body.
    ///
    /// # Errors
    /// 413: no form of the page is that long.
    pub fn accept(&mut self, data: &[u8]) -> Result<(), Flow> {
        if self.body.len() + data.len() > LONGEST {
            return Err(Flow::Status(Status::CONTENT_TOO_LARGE));
        }
        self.body.extend_from_slice(data);
        Ok(())
    }

    /// The form is complete: does what it requests.
    pub fn finish(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        // Only our own pages may delete with the visitor's cookies and address.
        let asked = asked(&self.body);
        if origin::sender(ex) != Sender::OwnPage {
            let why = match asked {
                Some(_) => "this form works on the listing's own page only; programs send DELETE, MOVE, MKCOL or PUT",
                None => {
                    "a form of this type is for the listing's own questions: send files as multipart/form-data \
                     (curl -F file=@NAME) or by PUT (curl -T NAME)"
                }
            };
            return upload::refuse(ex, cx, &Refusal::new(Status::FORBIDDEN, why));
        }
        let asks = asked.clone().map_or(Asked::Nothing, Asked::Action);
        ex.route.sent_form = Some(Box::new(SentForm { folder: ex.route.uri.clone(), asks }));
        let Some(asked) = asked else { return Flow::Status(Status::BAD_REQUEST) };
        let (name, method, action) = match asked {
            PageAction::Delete(name) => (name, Method::Delete, None),
            PageAction::Folder(name) => ([&name[..], b"/"].concat(), Method::Mkcol, Some(FormAction::Folder)),
            PageAction::Move { name, to } => match resolve(&ex.route.uri, &to, &name) {
                Some(to) => (name, Method::Move, Some(FormAction::Move(to))),
                None => return Flow::Status(Status::BAD_REQUEST),
            },
        };
        ex.route.uri.extend_from_slice(&name);
        // An internal redirect follows, which opens `internal` locations and reaches handlers of every kind: the
        // client's own DELETE must have been able to get here.
        let there = match location::find(&ex.config, ex.route.server, &ex.route.uri, &mut NoTrace) {
            Ok(found) => ex.config.location(found.location),
            Err(failed) => {
                ex.report(cx, Level::Error, format_args!("{failed}"));
                return Flow::Status(Status::INTERNAL_SERVER_ERROR);
            }
        };
        if there.internal || there.content != ContentHandler::Files || cgi::runs(there, &ex.route.uri) {
            return Flow::Status(Status::FORBIDDEN);
        }
        ex.route.method = method;
        ex.route.form_action = action;
        ex.route.args.clear();
        ex.route.suppose();
        Flow::Redirect
    }
}

/// The page's own form for a folder, recognised by its field: other urlencoded bodies are files where nothing may be
/// deleted.
fn is_folder_form(ex: &Exchange) -> bool {
    &ex.route.args[..] == b"webserv-folder"
}

/// Whether the action is allowed on the current URI.
pub fn may(ex: &Exchange, action: &FormAction) -> bool {
    let allowed = methods::allowed(ex);
    let stores = allowed.contains(Method::Post) && ex.location().settings.upload.store == Store::Uri;
    stores && (*action == FormAction::Folder || allowed.contains(Method::Delete))
}

/// The action is done: back to the listing with the form.
pub fn back(ex: &mut Exchange) -> Flow {
    let bare = ex.route.uri.strip_suffix(b"/").unwrap_or(&ex.route.uri);
    let directory = bare.iter().rposition(|b| *b == b'/').map_or(&b"/"[..], |at| &bare[..=at]);
    let mut target = Vec::with_capacity(directory.len());
    escape_path(directory, &mut target);
    ex.response.location = Some(target);
    Flow::Status(Status::SEE_OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_does_not_end_is_refused() {
        let mut form = DeleteForm::default();
        for _ in 0..8 {
            assert_eq!(form.accept(&[b'a'; 1024]), Ok(()));
        }
        assert_eq!(form.accept(b"a"), Err(Flow::Status(Status::CONTENT_TOO_LARGE)));
    }
}

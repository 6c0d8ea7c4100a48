//! signed_link: a link that carries permission by itself, for people and pages without an account here.

use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::error_page;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::{methods, resumable};
use crate::exchange::response::ContentType;
use crate::http::method::{Method, MethodSet};
use crate::http::signed_link::{self, LinkError};
use crate::http::status::Status;
use crate::route::Trace;
use crate::services::Services;
use std::rc::Rc;

/// Why a request does not come in by a link.
#[derive(Clone, Copy)]
pub struct Refused {
    status: Status,
    why: &'static str,
}

/// Whether the request has a valid link; false: none is required.
///
/// # Errors
/// It has none, or one that does not allow this request.
pub fn check(ex: &mut Exchange, cx: &mut Services) -> Result<bool, Refused> {
    let refused = |why: &'static str| Err(Refused { status: Status::FORBIDDEN, why });
    let keys = ex.location().settings.auth.link_keys.clone();
    if keys.is_empty() {
        return Ok(false);
    }
    // A CORS preflight, which a browser sends before a page's upload, transfers nothing where this server answers it.
    // try_files may hand it to an upstream.
    if ex.route.method == Method::Options && methods::are_of_files(ex) && ex.location().try_files.is_none() {
        return Ok(true);
    }
    let link = match signed_link::read(&keys, &ex.route.args) {
        Ok(link) => link,
        Err(wrong) => {
            let why = match wrong {
                LinkError::Missing => "a signed link is required here",
                LinkError::Signature => "the signature of the link does not match",
                LinkError::Malformed(why) => why,
            };
            return refused(why);
        }
    };
    // An upload that was begun in time may be finished: its name cannot be guessed, and its link is valid.
    let goes_on = resumable::continues_upload(ex);
    let is_over = link.expires.is_some_and(|at| at <= cx.now.unix);
    if is_over && !goes_on {
        return Err(Refused { status: Status::GONE, why: "the link has expired" });
    }
    if !link.is_of(&ex.route.uri) {
        return refused("the link is for another path");
    }
    let uploads = link.methods.contains(Method::Post) || link.methods.contains(Method::Put);
    let resumes = MethodSet::EMPTY.with(Method::Head).with(Method::Get).with(Method::Patch).with(Method::Delete);
    let names = link.methods.contains(ex.route.method);
    if !(names || uploads && goes_on && resumes.contains(ex.route.method)) {
        return refused("the link is for other methods");
    }
    if is_over || !names {
        ex.route.exempt(if is_over { Status::GONE } else { Status::FORBIDDEN });
    }
    ex.route.link = Some(Rc::new(link));
    cx.trace.say("access", None, || "signed_link: the link is valid".into());
    Ok(true)
}

/// The response: error_page's page, or a sentence.
pub fn refuse(ex: &mut Exchange, cx: &mut Services, refused: Refused) -> Flow {
    let Refused { status, why } = refused;
    ex.report(cx, Level::Error, format_args!("signed link refused: {why}"));
    if !error_page::is_own_text_sent(ex, status) {
        return Flow::Status(status);
    }
    ex.response.text(status, ContentType::Static("text/plain; charset=utf-8"), format!("{why}\n").into_bytes());
    Flow::Respond
}

//! The small form of the listing page that deletes a name, for browsers without scripts. It becomes a DELETE of that
//! name and goes through the phases as one, so that it may do what the client's own DELETE might, and no more.

use crate::config::model::{Content, Level};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::listing::delete_from_form;
use crate::exchange::handlers::methods;
use crate::exchange::origin::{self, Sender};
use crate::http::h1::framing::Framing;
use crate::http::header::{HeaderId, trim_ows};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::{NoTrace, location};
use crate::services::Services;

/// A name has at most 255 bytes, each escaped twice.
const LONGEST: usize = 8 << 10;

/// The body of the form, as far as it has come.
#[derive(Debug, Default)]
pub struct Form {
    body: Vec<u8>,
}

/// Takes the request if it is the form of a listing that shows delete buttons. None: it is something else.
pub fn form(ex: &Exchange) -> Option<Form> {
    let is_short = match ex.request.head.framing {
        Framing::Length(length) => (1..=LONGEST as u64).contains(&length),
        Framing::Chunked => true,
        Framing::None => false,
    };
    let is_form = ex.header(HeaderId::ContentType).is_some_and(|value| {
        let kind = value.split(|b| *b == b';').next().unwrap_or_default();
        trim_ows(kind).eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    });
    let is_offered = ex.here().settings.listing.upload && methods::allowed(ex).contains(Method::Delete);
    if ex.route.method != Method::Post || !ex.route.uri.ends_with(b"/") || !is_short || !is_form || !is_offered {
        return None;
    }
    Some(Form::default())
}

impl Form {
    pub fn accept(&mut self, data: &[u8]) -> Result<(), Flow> {
        if self.body.len() + data.len() > LONGEST {
            return Err(Flow::Status(Status::CONTENT_TOO_LARGE));
        }
        self.body.extend_from_slice(data);
        Ok(())
    }

    /// The form is complete: on with the DELETE of the name it names.
    pub fn finish(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        // Only our own pages may delete with the visitor's cookies and address.
        if origin::sender(ex) != Sender::OwnPage {
            ex.report(cx, Level::Error, format_args!("delete form from another site is refused"));
            return Flow::Status(Status::FORBIDDEN);
        }
        let Some(name) = delete_from_form(&self.body) else { return Flow::Status(Status::BAD_REQUEST) };
        ex.route.uri.extend_from_slice(&name);
        // Going on is an internal redirect, which opens `internal` locations and reaches handlers of every kind: the
        // client's own DELETE must have been able to come here.
        let there = match location::find(&ex.config, ex.route.server, &ex.route.uri, &mut NoTrace) {
            Ok(found) => ex.config.location(found.location),
            Err(failed) => {
                ex.report(cx, Level::Error, format_args!("{failed}"));
                return Flow::Status(Status::INTERNAL_SERVER_ERROR);
            }
        };
        if there.internal || there.content != Content::Files {
            return Flow::Status(Status::FORBIDDEN);
        }
        ex.route.method = Method::Delete;
        Flow::Redirect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_does_not_end_is_refused() {
        let mut form = Form::default();
        for _ in 0..8 {
            assert_eq!(form.accept(&[b'a'; 1024]), Ok(()));
        }
        assert_eq!(form.accept(b"a"), Err(Flow::Status(Status::CONTENT_TOO_LARGE)));
    }
}

//! error_page: an error's status becomes another URI, a named location or a redirect of the client.

use super::flow::Flow;
use super::handlers::special;
use super::{Exchange, variables};
use crate::config::settings::errors::{ErrorPage, PageStatus, PageTarget};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;

/// Where a page is, its variables expanded.
enum Target {
    External(Vec<u8>),
    Named(Box<[u8]>),
    Uri(Vec<u8>),
}

fn target(page: &PageTarget, ex: &mut Exchange, cx: &mut Services) -> Target {
    match page {
        // A variable may hold a path, a named location or a URL (nginx): `error_page 405 =200 $uri`.
        PageTarget::External(url) => match variables::text(url, ex, cx) {
            uri if uri.starts_with(b"/") => Target::Uri(uri),
            name if name.starts_with(b"@") => Target::Named(name.into()),
            url => Target::External(url),
        },
        PageTarget::Uri(uri) => Target::Uri(variables::text(uri, ex, cx)),
        PageTarget::Named(name) => Target::Named(name.clone()),
    }
}

/// Whether error pages are looked for here.
fn are_followed(ex: &Exchange) -> bool {
    // An error page may lead to a program or an upstream; a request admitted only as one about a resumable upload must
    // not get there.
    !ex.location().settings.errors.pages.is_empty()
        && !ex.route.last_page
        && ex.route.exempted.is_none()
        // The stub of an include is what is sent in place of an error (nginx).
        && ex.nesting.subrequest.as_ref().is_none_or(|sub| sub.stub.is_none())
}

fn is_for(page: &ErrorPage, status: Status) -> bool {
    // 494 is nginx's status for a head that is too large; pages for either apply.
    page.codes.contains(&status.0) || (status == Status::HEADER_TOO_LARGE && page.codes.contains(&494))
}

/// Whether a handler that refuses a request in words of its own sends these: no error page replaces them. Within an
/// error page it is then the refusal's status that is sent, not the first error's (nginx).
pub fn is_own_text_sent(ex: &mut Exchange, status: Status) -> bool {
    let is_replaced = are_followed(ex) && has(ex, status);
    if !is_replaced {
        ex.route.error_page = None;
    }
    !is_replaced
}

/// Where the error page of `status` is found, if there is one. One error page does not lead to another unless
/// recursive_error_pages is on where the first one was found (nginx).
pub fn redirect(ex: &mut Exchange, cx: &mut Services, status: Status) -> Option<Flow> {
    if status.0 < 300 || !are_followed(ex) {
        return None;
    }
    let errors = ex.location().settings.errors.clone();
    ex.route.last_page = !errors.recursive;
    ex.route.method_refused |= status == Status::METHOD_NOT_ALLOWED;
    let page = errors.pages.iter().find(|page| is_for(page, status))?;
    // `$status` has this value in the page's URI, too (nginx).
    ex.route.error_page = match page.status {
        // `$status` in the page of 495 to 497 is 400 (nginx).
        PageStatus::Kept => Some(status.on_the_wire()),
        PageStatus::Code(code) => Some(Status(code)),
        // Any status that the page itself has; 0 marks an error page that leaves the status open.
        PageStatus::FromPage => Some(Status(0)),
    };
    let target = target(&page.target, ex, cx);
    match target {
        Target::External(url) => {
            let shown = match page.status {
                PageStatus::Code(code) if Status(code).is_redirect() => Status(code),
                _ => Status::FOUND,
            };
            ex.response.clear();
            ex.response.location = Some(url);
            ex.route.error_page = Some(shown);
            special::respond(ex, shown);
            Some(Flow::Respond)
        }
        target => {
            // The error's own fields (Allow, a challenge) stay with the page.
            let mut fields = std::mem::take(&mut ex.response.fields);
            // And a cookie that X-Accel-Redirect brought along is the client's, whatever page it gets (nginx).
            let is_cookie = |(name, _): &(&[u8], &[u8])| name.eq_ignore_ascii_case(b"set-cookie");
            ex.route.kept.fields.iter().filter(is_cookie).for_each(|(name, value)| fields.push(name, value));
            let location = ex.response.location.take();
            let flow = match target {
                Target::Named(name) => Flow::Named(name),
                Target::Uri(uri) => {
                    // The page is fetched as a GET; a HEAD stays one (nginx).
                    if ex.route.method != Method::Head {
                        ex.route.method = Method::Get;
                    }
                    ex.route.set_uri(&uri);
                    Flow::Redirect
                }
                Target::External(_) => Flow::Status(status),
            };
            // A type that X-Accel-Redirect brought along was the error's (nginx).
            ex.route.kept.content_type = None;
            ex.route.kept.fields = fields;
            ex.route.kept.location = location.or(ex.route.kept.location.take());
            Some(flow)
        }
    }
}

/// The response is an error page that is sent with the error's own status: its file is sent whatever the method, which
/// in a named location is the request's. (nginx answers 405 in place of the error.)
pub fn is_page(ex: &Exchange) -> bool {
    ex.route.error_page.is_some_and(|status| status.0 >= 400)
}

/// Whether `status` has an error page here.
pub fn has(ex: &Exchange, status: Status) -> bool {
    ex.location().settings.errors.pages.iter().any(|page| is_for(page, status))
}

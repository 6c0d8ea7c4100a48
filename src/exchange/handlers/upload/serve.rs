//! Files that strangers may have stored are not to run in the site's name (upload_serve).

use super::rules::essence;
use crate::config::directives::upload::{Serve, Store};
use crate::exchange::Exchange;
use crate::http::method::Method;

/// For a file that is about to be sent: in an upload area, what a browser would run is sent to be saved.
pub fn guard(ex: &mut Exchange) {
    if !is_area(ex) {
        return;
    }
    if runs(ex.response.content_type.as_bytes()) {
        ex.response.line(b"Content-Disposition", b"attachment");
    }
    // No type is to be guessed from bytes that a stranger chose.
    ex.response.line(b"X-Content-Type-Options", b"nosniff");
}

fn is_area(ex: &Exchange) -> bool {
    let here = ex.here();
    let settings = &here.settings;
    match settings.upload.serve {
        Some(Serve::Inline) => return false,
        Some(Serve::Attachment) => return true,
        None => {}
    }
    match settings.upload.store {
        Store::Off => return false,
        Store::Path(_) => return true,
        Store::Uri => {}
    }
    // A whole site that takes POST is still a site: its pages are pages.
    let writes = settings.access.allowed.is_some_and(|m| m.contains(Method::Post) || m.contains(Method::Put));
    settings.listing.upload || writes && !matches!(&*here.name, b"" | b"/")
}

/// Media types that a browser may run scripts of.
fn runs(content_type: &[u8]) -> bool {
    let essence = essence(content_type).to_ascii_lowercase();
    match &essence[..] {
        b"text/html" | b"text/xml" | b"application/xml" | b"application/x-shockwave-flash" => true,
        b"text/xsl" | b"text/x-component" | b"text/cache-manifest" => true,
        other => other.ends_with(b"+xml") || other.ends_with(b"javascript") || other.ends_with(b"ecmascript"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_runs_is_known() {
        let table = [
            ("text/html", true),
            ("Text/HTML; charset=utf-8", true),
            ("application/xhtml+xml", true),
            ("image/svg+xml", true),
            ("text/xml", true),
            ("application/javascript", true),
            ("text/javascript", true),
            ("application/x-javascript", true),
            ("text/plain", false),
            ("image/png", false),
            ("application/pdf", false),
            ("", false),
        ];
        for (kind, expected) in table {
            assert_eq!(runs(kind.as_bytes()), expected, "{kind}");
        }
    }
}

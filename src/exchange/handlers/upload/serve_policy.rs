//! Files that clients have uploaded must not run as scripts or pages of the site (upload_serve).

use super::rules::essence;
use crate::config::settings::upload::{Serve, Store};
use crate::exchange::Exchange;
use crate::http::method::Method;
use crate::util::clean_path::clean;

/// For a file that is about to be sent: in an upload area, a type that a browser would run becomes a download.
pub fn guard(ex: &mut Exchange) {
    if !is_area(ex) {
        return;
    }
    if runs(ex.response.content_type.as_bytes()) {
        ex.response.line(b"Content-Disposition", b"attachment");
    }
    // No type may be guessed from the content of an uploaded file.
    ex.response.line(b"X-Content-Type-Options", b"nosniff");
}

fn is_area(ex: &Exchange) -> bool {
    let location = ex.location();
    let settings = &location.settings;
    match settings.upload.serve {
        Some(Serve::Inline) => return false,
        Some(Serve::Attachment) => return true,
        None => {}
    }
    match settings.upload.store {
        Store::Off => return is_stored(ex),
        Store::Path(_) => return true,
        Store::Uri => {}
    }
    // A whole site that allows POST is still a site: its pages are pages.
    let writes = settings.access.allowed.is_some_and(|m| m.contains(Method::Post) || m.contains(Method::Put));
    settings.listing.upload || writes && !matches!(&*location.name, b"" | b"/") || is_stored(ex)
}

/// The file lies in a directory that an upload_store names, in whatever location it is served. A site whose root is
/// in a store is still a site.
fn is_stored(ex: &Exchange) -> bool {
    if ex.config.stores.is_empty() {
        return false;
    }
    let files = &ex.location().settings.files;
    let root = files.root.constant().filter(|_| files.alias.is_none()).map(clean);
    let path = clean(&ex.route.path);
    let holds = |store: &[u8], path: &[u8]| path.strip_prefix(store).is_some_and(|rest| rest.starts_with(b"/"));
    let is_site = |store: &[u8]| root.as_ref().is_some_and(|root| &root[..] == store || holds(store, root));
    ex.config.stores.iter().any(|store| holds(store, &path) && !is_site(store))
}

/// Media types in which a browser may run scripts.
fn runs(content_type: &[u8]) -> bool {
    let essence = essence(content_type).to_ascii_lowercase();
    match &essence[..] {
        b"text/html" | b"text/xml" | b"application/xml" | b"application/x-shockwave-flash" => true,
        b"text/xsl" | b"text/x-component" | b"text/cache-manifest" | b"text/x-server-parsed-html" => true,
        b"message/rfc822" | b"multipart/related" | b"multipart/x-mixed-replace" | b"application/hta" => true,
        // Without a type old browsers guess one, in spite of nosniff.
        b"" => true,
        other => [&b"+xml"[..], b"javascript", b"ecmascript", b"vbscript", b"livescript", b"jscript"]
            .iter()
            .any(|end| other.ends_with(end)),
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
            ("text/vbscript", true),
            ("application/postscript", false),
            ("text/jscript", true),
            ("text/css", false),
            ("", true),
        ];
        for (kind, expected) in table {
            assert_eq!(runs(kind.as_bytes()), expected, "{kind}");
        }
    }
}

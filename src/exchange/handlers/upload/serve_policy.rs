//! Files that clients have uploaded must not run as scripts or pages of the site (upload_serve).

use super::rules::essence;
use crate::config::model::{Config, Location, WriteArea};
use crate::config::settings::upload::{Serve, Store};
use crate::exchange::Exchange;
use crate::exchange::basis::Cacheable;
use crate::exchange::handlers::write_areas::may_be_put;
use crate::http::method::Method;
use crate::services::Services;
use crate::util::clean_path::clean;

/// For a file that is about to be sent: in an upload area, a type that a browser would run becomes a download.
pub fn guard(ex: &mut Exchange, cx: &mut Services) -> Cacheable {
    let (cacheable, is_uploaded) = match is_area(ex.location()) {
        Some(is_area) => (Cacheable::Yes, is_area),
        None => is_stored(ex, cx),
    };
    if !is_uploaded {
        return cacheable;
    }
    if runs(ex.response.content_type.as_bytes()) {
        ex.response.line(b"Content-Disposition", b"attachment");
    }
    // No type may be guessed from the content of an uploaded file.
    ex.response.line(b"X-Content-Type-Options", b"nosniff");
    cacheable
}

/// Whether the location is an upload area by what it says itself. None: the place of the file decides.
fn is_area(location: &Location) -> Option<bool> {
    let settings = &location.settings;
    match settings.upload.serve {
        Some(serve) => return Some(matches!(serve, Serve::Attachment)),
        None if settings.upload.store == Store::Off => return None,
        None => {}
    }
    // A whole site that allows POST is still a site: its pages are pages.
    let writes = settings.access.allowed.is_some_and(|m| m.contains(Method::Post) || m.contains(Method::Put));
    let is_part = writes && !matches!(&*location.name, b"" | b"/");
    (settings.upload.store != Store::Uri || settings.listing.upload || is_part).then_some(true)
}

/// The file lies where an upload_store or an upload area puts it, in whatever location or server it is served. A site
/// whose root is in there is still a site.
fn is_stored(ex: &mut Exchange, cx: &mut Services) -> (Cacheable, bool) {
    let config = ex.config.clone();
    if config.stores.is_empty() && config.write_areas.is_empty() {
        return (Cacheable::Yes, false);
    }
    let files = &ex.location().settings.files;
    let root = files.root.constant().filter(|_| files.alias.is_none()).map(clean);
    let path = clean(&ex.route.path);
    let holds = |store: &[u8], path: &[u8]| path.strip_prefix(store).is_some_and(|rest| rest.starts_with(b"/"));
    let is_site = |store: &[u8]| root.as_ref().is_some_and(|root| &root[..] == store || holds(store, root));
    if config.stores.iter().any(|store| holds(store, &path) && !is_site(store)) {
        return (Cacheable::Yes, true);
    }
    let area = |role: Option<usize>| config.write_areas.get(role?);
    let before = cx.store_dirs.last_generation();
    let found = cx.store_dirs.any(&config, cx.now.ms, &[&path[..]], |role, rest| {
        area(role).is_some_and(|area| !is_site(&area.directory) && puts(&config, area, rest))
    });
    ex.basis.asked_stored_dirs((before, cx.store_dirs.last_generation()));
    match found {
        Ok(is_stored) => (Cacheable::Yes, is_stored),
        // Where the areas lie is not known now: descriptors are short.
        Err(_) => (Cacheable::No, true),
    }
}

/// Whether an upload area puts the file there, by its URI. What it says of other URIs that lead there is not known.
fn puts(config: &Config, area: &WriteArea, rest: &[u8]) -> bool {
    let Some(uri) = &area.uri else { return false };
    may_be_put((config, area), (uri, rest), is_area, |at| at.takes_forms() && is_area(at) == Some(true))
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
    use crate::exchange::response::ContentType;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn a_part_of_a_site_that_takes_files_is_an_area_and_a_whole_site_is_none() {
        let locations = "
            location / { allowed_methods GET POST; }
            location /plain/ { }
            location /off/ { allowed_methods GET PUT POST; upload_store off; }
            location /up/ { allowed_methods GET POST; }
            location /put/ { allowed_methods GET PUT; }
            location /store/ { allowed_methods GET POST; upload_store DIR/up; }
            location /inline/ { allowed_methods GET POST; upload_serve inline; }
            location /kept/ { upload_serve attachment; }";
        let mut site = Site::new("", locations);
        for (uri, expected) in [
            ("/", None),
            ("/plain/", None),
            ("/off/", None),
            ("/up/", Some(true)),
            ("/put/", Some(true)),
            ("/store/", Some(true)),
            ("/inline/", Some(false)),
            ("/kept/", Some(true)),
        ] {
            let ex = site.at(&format!("GET {uri}"), &[], INSIDE);
            assert_eq!(is_area(ex.location()), expected, "{uri}");
        }
    }

    #[test]
    fn what_clients_stored_is_known_in_whatever_location_it_is_served() {
        for (area, expected) in [
            ("", false),
            ("location /in/ { allowed_methods POST; upload_store DIR/up; }", true),
            ("location /in/ { allowed_methods GET PUT; alias DIR/up/; }", true),
            ("location /in/ { allowed_methods GET PUT; alias DIR/up/; } location ~ ^/in/x { }", false),
            ("location /in/ { allowed_methods GET POST; alias DIR/up/; } location ~ ^/in/x { }", true),
            ("location /in/ { allowed_methods GET POST; alias DIR/up/; } location ~ ^/in/y { }", true),
        ] {
            let mut site = Site::new("", &format!("location /shown/ {{ alias DIR/up/; }} {area}"));
            let stored = site.scratch.path().join("up/x");
            std::fs::create_dir(site.scratch.path().join("up")).expect("made");
            let mut ex = site.at("GET /shown/x", &[], INSIDE);
            ex.route.path = stored.display().to_string().into();
            assert_eq!(is_stored(&mut ex, &mut site.cx), (Cacheable::Yes, expected), "{area}");
        }
    }

    #[test]
    fn a_page_of_an_area_is_to_be_saved_and_the_type_of_no_file_there_is_to_be_guessed() {
        let mut site = Site::new("", "location /up/ { allowed_methods GET POST; } location /plain/ { }");
        for (uri, content_type, expected) in [
            ("/up/f", "text/html", &["content-disposition", "x-content-type-options"][..]),
            ("/up/f", "image/png", &["x-content-type-options"]),
            ("/plain/f", "text/html", &[]),
        ] {
            let mut ex = site.at(&format!("GET {uri}"), &[], INSIDE);
            ex.response.content_type = ContentType::Static(content_type);
            ex.route.path = b"/elsewhere/f".to_vec();
            assert_eq!(guard(&mut ex, &mut site.cx), Cacheable::Yes, "{uri} {content_type}");
            let names = ex.response.fields.iter().map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase());
            assert_eq!(names.collect::<Vec<_>>(), expected, "{uri} {content_type}");
        }
    }

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

//! A directory or a location that is requested without its slash, by any client.

use super::methods;
use crate::config::model::{Config, ContentHandler, Location, LocationId, ServerId};
use crate::exchange::flow::Flow;
use crate::exchange::{Exchange, origin};
use crate::http::escape::{escape_path, escape_uri};
use crate::http::method::{Method, MethodSet};
use crate::http::status::Status;
use crate::route::{NoTrace, Trace, location};
use crate::services::Services;

/// Methods with which clients that mount a share begin.
const MOUNTING: MethodSet = MethodSet::EMPTY
    .with(Method::Options)
    .with(Method::Propfind)
    .with(Method::Proppatch)
    .with(Method::Lock)
    .with(Method::Unlock);

/// A directory requested without its slash: relative links in its page would break.
pub fn redirect(ex: &mut Exchange) -> Flow {
    let mut location = Vec::with_capacity(ex.route.uri.len() + 1 + ex.route.args.len() + 1);
    // Behind a host name of our own, two slashes cannot name another host.
    match origin::base(ex).filter(|_| ex.route.uri.starts_with(b"//")) {
        Some(base) => {
            let slashes = ex.route.uri.iter().take_while(|b| **b == b'/').count();
            let (slashes, rest) = ex.route.uri.split_at(slashes - 1);
            location.extend_from_slice(&base);
            location.extend_from_slice(slashes);
            escape_uri(rest, &mut location);
        }
        // A reference that begins with two slashes would name another host.
        None => match ex.route.uri.strip_prefix(b"//") {
            Some(rest) => {
                location.extend_from_slice(b"/%2F");
                escape_uri(rest, &mut location);
            }
            None => escape_uri(&ex.route.uri, &mut location),
        },
    }
    location.push(b'/');
    if !ex.route.args.is_empty() {
        location.push(b'?');
        location.extend_from_slice(&ex.route.args);
    }
    ex.response.location = Some(location);
    // Clients follow 301 with GET: the body of a write would be lost on the way (RFC 9110 §15.4.2). If nothing would
    // take the body there, nothing is lost, and nginx's 301 stays.
    let is_read = matches!(ex.route.method, Method::Get | Method::Head) || !is_taken_behind_slash(ex);
    Flow::Status(if is_read { Status::MOVED_PERMANENTLY } else { Status::PERMANENT_REDIRECT })
}

/// The URI is a location's name without its slash. nginx redirects to a proxied location, with its settings. Clients
/// that mount a share request its name as it was typed, and follow no redirect: for them it is the share itself (RFC
/// 4918 §5.2).
pub fn of_location(ex: &mut Exchange, cx: &mut Services) -> Option<Flow> {
    let (config, server, uri) = (ex.config.clone(), ex.route.server, &ex.route.uri);
    if ex.server().proxied
        && let Some(id) = location::lacks_slash(&config, server, uri, Location::is_proxied)
    {
        ex.route.location = id;
        cx.trace.say("location", None, || "the name of a proxied location without its trailing slash".into());
        return Some(redirect(ex));
    }
    let method = ex.route.method;
    let mounts = |location: &Location| location.settings.dav.ext.contains(method);
    if MOUNTING.contains(method) && without_slash(&config, server, uri, mounts).is_some() {
        ex.route.uri.push(b'/');
        let mut meant = Vec::new();
        escape_path(&ex.route.uri, &mut meant);
        ex.response.line(b"Content-Location", &meant);
        cx.trace.say("location", None, || "the name of a WebDAV location without its trailing slash".into());
    }
    if method == Method::Post && is_for_location_with_slash(ex) {
        cx.trace
            .say("location", None, || "the name of a location that takes uploads, without its trailing slash".into());
        return Some(redirect(ex));
    }
    None
}

/// The location that is named like the URI with a slash appended, and the location of the URI itself. For a proxied
/// location the name alone is enough (nginx); here that location must also be the one that answers, and a location of
/// the same kind with exactly the URI's name answers itself.
fn without_slash(
    config: &Config,
    server: ServerId,
    uri: &[u8],
    is_meant: impl Fn(&Location) -> bool,
) -> Option<(LocationId, LocationId)> {
    let id = location::lacks_slash(config, server, uri, &is_meant).filter(|id| is_meant(config.location(*id)))?;
    let own = location::find(config, server, uri, &mut NoTrace).ok()?.location;
    let location = config.location(own);
    (*location.name != *uri || !is_meant(location)).then_some((id, own))
}

/// The URI is the name of a location for uploads without its slash, and no other location takes the method: the
/// exchange is then at that location, whether its directory has the name of its URI or another (`alias`).
fn is_for_location_with_slash(ex: &mut Exchange) -> bool {
    let (config, server, uri) = (ex.config.clone(), ex.route.server, &ex.route.uri);
    let is_files = |location: &Location| location.content == ContentHandler::Files;
    let Some((area, own)) = without_slash(&config, server, uri, is_files) else { return false };
    let other = config.location(own);
    if !is_files(other) || !other.script.ops.is_empty() {
        return false;
    }
    let takes = |ex: &mut Exchange| methods::allowed(ex).contains(Method::Post);
    let is_for_area = !ex.with_location(own, takes) && ex.with_location(area, takes);
    if is_for_area {
        ex.route.location = area;
    }
    is_for_area
}

/// The directory's own URI takes the method.
fn is_taken_behind_slash(ex: &mut Exchange) -> bool {
    if methods::allowed(ex).contains(ex.route.method) {
        return true;
    }
    let config = ex.config.clone();
    let Ok(found) = location::find(&config, ex.route.server, &[&ex.route.uri[..], b"/"].concat(), &mut NoTrace) else {
        return false;
    };
    ex.with_location(found.location, |ex| methods::allowed(ex).contains(ex.route.method))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn a_location_that_is_named_without_its_slash_answers_for_clients_that_mount_upload_or_are_proxied() {
        let mut site = Site::new(
            "",
            "location / { } location /plain/ { } location /proxied/ { proxy_pass http://127.0.0.1:9; }
             location /dav/ { dav_ext_methods PROPFIND OPTIONS; }
             location /own/ { dav_ext_methods PROPFIND; } location = /own { dav_ext_methods PROPFIND; }
             location /up/ { allowed_methods GET POST; upload_store DIR/up; }
             location /both/ { allowed_methods POST; upload_store DIR/up; }
             location /bot { allowed_methods POST; upload_store DIR/up; }
             location /says/ { allowed_methods POST; upload_store DIR/up; } location /say { return 403; }",
        );
        // The URI afterwards, and the status and the Location of an answer.
        for (line, uri, answer) in [
            ("PROPFIND /dav", "/dav/", None),
            ("OPTIONS /dav", "/dav/", None),
            ("PROPFIND /dav/", "/dav/", None),
            ("LOCK /dav", "/dav", None),
            ("GET /dav", "/dav", None),
            ("PROPFIND /plain", "/plain", None),
            ("PROPFIND /own", "/own", None),
            ("POST /up", "/up", Some((308, "/up/"))),
            ("POST /up?a=b", "/up", Some((308, "/up/?a=b"))),
            ("PUT /up", "/up", None),
            ("GET /up", "/up", None),
            ("POST /u", "/u", None),
            ("POST /both", "/both", None),
            ("POST /says", "/says", None),
            ("POST /plain", "/plain", None),
            ("GET /proxied", "/proxied", Some((301, "/proxied/"))),
            ("GET /proxied?a=b", "/proxied", Some((301, "/proxied/?a=b"))),
            ("GET /proxie", "/proxie", None),
        ] {
            let mut ex = site.at(line, &[], INSIDE);
            let flow = of_location(&mut ex, &mut site.cx);
            assert_eq!(String::from_utf8_lossy(&ex.route.uri), uri, "{line}");
            let location = ex.response.location.as_deref().map(String::from_utf8_lossy);
            assert_eq!(location.as_deref(), answer.map(|(_, location)| location), "{line}");
            assert_eq!(flow, answer.map(|(status, _)| Flow::Status(Status(status))), "{line}");
        }
    }
}

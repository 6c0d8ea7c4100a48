//! The redirect of a directory that is asked for without its slash, whatever asks for it.

use super::methods;
use crate::exchange::flow::Flow;
use crate::exchange::{Exchange, origin};
use crate::http::escape::escape_path;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::{NoTrace, location};

/// A directory asked for without its slash: relative links of its page would break.
pub fn redirect(ex: &mut Exchange) -> Flow {
    let mut location = Vec::with_capacity(ex.route.uri.len() + 1 + ex.route.args.len() + 1);
    // Behind a host of our own two slashes name no other one.
    match origin::base(ex).filter(|_| ex.route.uri.starts_with(b"//")) {
        Some(base) => {
            let slashes = ex.route.uri.iter().take_while(|b| **b == b'/').count();
            let (slashes, rest) = ex.route.uri.split_at(slashes - 1);
            location.extend_from_slice(&base);
            location.extend_from_slice(slashes);
            escape_path(rest, &mut location);
        }
        None => escape_path(&ex.route.uri, &mut location),
    }
    location.push(b'/');
    if !ex.route.args.is_empty() {
        location.push(b'?');
        location.extend_from_slice(&ex.route.args);
    }
    ex.response.location = Some(location);
    // Clients follow 301 with GET: what a write brought would be lost on the way (RFC 9110 §15.4.2).
    // Where nothing would take it nothing is lost, and nginx's 301 stands.
    let is_read = matches!(ex.route.method, Method::Get | Method::Head) || !is_taken_behind_slash(ex);
    Flow::Status(if is_read { Status::MOVED_PERMANENTLY } else { Status::PERMANENT_REDIRECT })
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
    let here = std::mem::replace(&mut ex.route.location, found.location);
    let taken = methods::allowed(ex).contains(ex.route.method);
    ex.route.location = here;
    taken
}

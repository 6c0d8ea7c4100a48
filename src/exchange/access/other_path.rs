//! Whether the client of a request may also access another path: its address, its password and the `auth_request` that
//! allowed it are compared with what the other location requires. Nothing slow is computed here: a location with
//! another password file or another `auth_request` counts as refused, and so does one whose answer may depend on the
//! URI, which was asked for the request's own (auth_request_below).

use super::allow_deny;
use crate::config::settings::auth::Satisfy;
use crate::exchange::{Exchange, variables};
use crate::services::Services;
use std::rc::Rc;

/// A realm and its file of users, variables expanded.
type Password = Option<(Vec<u8>, Vec<u8>)>;

/// What the request was allowed by.
pub struct Shown {
    /// The password file that the request's password was found in.
    password: Password,
    /// The URI of `auth_request` that allowed it.
    request: Option<Rc<[u8]>>,
    /// That answer may be for the URI of the request alone.
    is_for_uri: bool,
}

impl Shown {
    /// Call it for a request that has passed the access rules of its location.
    pub fn of(ex: &mut Exchange, cx: &mut Services) -> Shown {
        let by_password = ex.route.authenticated;
        let auth = ex.location().settings.auth.clone();
        // `satisfy any` asks no further than the first that lets a client in: the URI is the last of them.
        let by_request = match auth.satisfy {
            Satisfy::All => true,
            Satisfy::Any => !by_password && ex.route.link.is_none() && allow_deny::check(ex, cx) != Some(true),
        };
        let request = auth.request.clone().filter(|_| by_request);
        let is_for_uri = request.is_some() && ex.route.subrequest_saw_uri && !auth.request_below;
        Shown { password: asked(ex, cx).filter(|_| by_password), request, is_for_uri }
    }

    /// Whether what admitted the request may hold for its URI alone: other paths are then checked one by one.
    pub fn is_for_uri(&self) -> bool {
        self.is_for_uri
    }

    /// Whether the rules of the exchange's current location would allow the client as well. `is_covered`: what was
    /// asked for the request's URI covers the path.
    pub fn suffices(&self, ex: &mut Exchange, cx: &mut Services, is_covered: bool) -> bool {
        let auth = ex.location().settings.auth.clone();
        let address = allow_deny::check(ex, cx);
        let asked = asked(ex, cx);
        let password = asked.is_some().then(|| asked == self.password);
        let request = auth.request.is_some().then(|| auth.request == self.request && (is_covered || !self.is_for_uri));
        // A link is for the place it names, and was not judged for this one.
        let link = (!auth.link_keys.is_empty()).then_some(false);
        let verdicts = [address, password, link, request];
        match auth.satisfy {
            Satisfy::All => !verdicts.contains(&Some(false)),
            Satisfy::Any => verdicts.contains(&Some(true)) || verdicts == [None; 4],
        }
    }
}

/// The password that the location requires.
fn asked(ex: &mut Exchange, cx: &mut Services) -> Password {
    let auth = ex.location().settings.auth.clone();
    let (Some(realm), Some(file)) = (&auth.realm, &auth.file) else { return None };
    let realm = variables::text(realm, ex, cx);
    (realm != b"off").then(|| (realm, variables::text(file, ex, cx)))
}

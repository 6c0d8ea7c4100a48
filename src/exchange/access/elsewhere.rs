//! Whether the client of a request may also access another path: its address and password are compared with what the
//! other location requires. Nothing slow is computed here: a location with another password file counts as refused.

use super::allow_deny;
use crate::config::settings::auth::Satisfy;
use crate::exchange::{Exchange, variables};
use crate::services::Services;
use std::rc::Rc;

/// A realm and its file of users, variables expanded.
type Password = Option<(Vec<u8>, Vec<u8>)>;

/// The credentials with which the request was allowed.
pub struct Shown {
    /// The password file that the request's password was found in.
    password: Password,
    /// signed_link of its location.
    link_keys: Rc<[Box<[u8]>]>,
}

impl Shown {
    /// Call it for a request that has passed the access rules of its location.
    pub fn of(ex: &mut Exchange, cx: &mut Services) -> Shown {
        let asked = asked(ex, cx);
        // `satisfy any` lets a client in by its address alone, or by a link.
        let mut by_other = |ex: &mut Exchange| allow_deny::check(ex, cx) == Some(true) || ex.route.link.is_some();
        let compared = asked.is_some() && (ex.here().settings.auth.satisfy == Satisfy::All || !by_other(ex));
        Shown { password: asked.filter(|_| compared), link_keys: ex.here().settings.auth.link_keys.clone() }
    }

    /// Whether the rules of the exchange's current location would allow the client as well.
    pub fn suffices(&self, ex: &mut Exchange, cx: &mut Services) -> bool {
        let asked = asked(ex, cx);
        let password = asked.is_none() || asked == self.password;
        let address = allow_deny::check(ex, cx);
        // A link is valid below one location, with that location's keys.
        let keys = &ex.here().settings.auth.link_keys;
        if !(keys.is_empty() || ex.route.link.is_some() && Rc::ptr_eq(keys, &self.link_keys)) {
            return false;
        }
        match ex.here().settings.auth.satisfy {
            Satisfy::All => address != Some(false) && password,
            Satisfy::Any if address == Some(true) => true,
            Satisfy::Any if asked.is_none() => address != Some(false),
            Satisfy::Any => password,
        }
    }
}

/// The password that the location requires.
fn asked(ex: &mut Exchange, cx: &mut Services) -> Password {
    let auth = ex.here().settings.auth.clone();
    let (Some(realm), Some(file)) = (&auth.realm, &auth.file) else { return None };
    let realm = variables::text(realm, ex, cx);
    (realm != b"off").then(|| (realm, variables::text(file, ex, cx)))
}

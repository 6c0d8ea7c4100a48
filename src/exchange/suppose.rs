//! Examines a request temporarily as if something about it were different: its method, its URI, its location or, for
//! the rules of a path that it does not name, all of its route ([`requested`]).
//!
//! Invariant: the change is undone however `look` ends, by a return or by a panic. [`requested`] restores the whole
//! route, with the values of variables computed meanwhile; the others only what they replaced: if `look` maps paths,
//! [`Exchange::keeping_path`] encloses them. Log lines and [`Basis`](super::basis::Basis) stay.

use super::Exchange;
use super::response::Response;
use super::route_state::RouteState;
use crate::config::ids::LocationId;
use crate::http::method::Method;
use crate::route::Recorder;
use crate::services::Services;

impl Exchange {
    /// As though the request had this method.
    pub fn with_method<T>(&mut self, method: Method, look: impl FnOnce(&mut Exchange) -> T) -> T {
        with(self, |route| &mut route.method, method, look)
    }

    /// As though the request had this URI.
    pub fn with_uri<T>(&mut self, uri: Vec<u8>, look: impl FnOnce(&mut Exchange) -> T) -> T {
        with(self, |route| &mut route.uri, uri, look)
    }

    /// As though the request had been led to this location.
    pub fn with_location<T>(&mut self, location: LocationId, look: impl FnOnce(&mut Exchange) -> T) -> T {
        with(self, |route| &mut route.location, location, look)
    }

    /// As though the URI were mapped to this path; or, with an empty one, while `look` maps another URI.
    pub fn with_path<T>(&mut self, path: Vec<u8>, look: impl FnOnce(&mut Exchange) -> T) -> T {
        with(self, |route| &mut route.path, path, look)
    }

    /// `look` begins with the request's own path, and may map others.
    pub fn keeping_path<T>(&mut self, look: impl FnOnce(&mut Exchange) -> T) -> T {
        self.with_path(self.route.path.clone(), look)
    }
}

/// One field of the route that has another value for a moment.
struct Swapped<'a, T> {
    ex: &'a mut Exchange,
    field: fn(&mut RouteState) -> &mut T,
    own: T,
}

impl<T> Drop for Swapped<'_, T> {
    fn drop(&mut self) {
        std::mem::swap((self.field)(&mut self.ex.route), &mut self.own);
    }
}

fn with<T, R>(
    ex: &mut Exchange,
    field: fn(&mut RouteState) -> &mut T,
    value: T,
    look: impl FnOnce(&mut Exchange) -> R,
) -> R {
    let own = std::mem::replace(field(&mut ex.route), value);
    let swapped = Swapped { ex, field, own };
    look(swapped.ex)
}

/// Routes the exchange temporarily as if `uri` had been requested. Steps of `look` are not steps of the request, so the
/// trace does not record them.
pub fn requested<T>(
    ex: &mut Exchange,
    cx: &mut Services,
    uri: &[u8],
    method: Method,
    look: impl FnOnce(&mut Exchange, &mut Services) -> T,
) -> T {
    let route = ex.route.supposed(ex.server().root, method, uri.to_vec());
    let route = std::mem::replace(&mut ex.route, route);
    let response = std::mem::take(&mut ex.response);
    let (limit_rate, trace) = (ex.progress.limit_rate, cx.trace.take());
    let aside = Aside { ex, cx, route, response, limit_rate, trace };
    look(aside.ex, aside.cx)
}

/// What a request has of its own while another one is supposed.
struct Aside<'a> {
    ex: &'a mut Exchange,
    cx: &'a mut Services,
    route: RouteState,
    response: Response,
    limit_rate: Option<u64>,
    trace: Option<Recorder>,
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        let Aside { ex, cx, route, response, limit_rate, trace } = self;
        std::mem::swap(&mut ex.route, route);
        // What looking has cost the request has spent.
        ex.route.effort = std::mem::take(&mut route.effort);
        std::mem::swap(&mut ex.response, response);
        ex.progress.limit_rate = *limit_rate;
        cx.trace = trace.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    /// Each path that is probed, and each include of a page, had an effort of its own.
    #[test]
    fn what_is_supposed_or_included_spends_the_effort_of_its_request() {
        let mut site = Site::new("", "location /a/ { }");
        let reads = |route: &RouteState| route.effort.spend(|effort| effort.reads(1 << 20, 1));
        let mut ex = site.at("GET /a/x", &[], INSIDE);
        let count =
            (0..100).take_while(|_| requested(&mut ex, &mut site.cx, b"/a/y", Method::Get, |ex, _| reads(&ex.route)));
        assert!((1..20).contains(&count.count()));
        assert!(!reads(&ex.route));
        let (mut ex, root) = (site.at("GET /a/x", &[], INSIDE), LocationId::default());
        let mut include = || {
            let mut included = ex.route.enter_subrequest(root, b"/a/y".to_vec(), Vec::new());
            let has_read = reads(&included);
            ex.route.leave_subrequest(&mut included);
            has_read
        };
        let count = (0..100).take_while(|_| include()).count();
        assert!((1..20).contains(&count));
        assert!(!reads(&ex.route));
    }

    #[test]
    fn a_request_is_as_it_was_after_a_look_that_ended_by_a_panic() {
        let mut site = Site::new("", "location /a/ { }");
        let mut ex = site.at("GET /a/x", &[], INSIDE);
        ex.progress.limit_rate = Some(5);
        let own = (ex.route.uri.clone(), ex.route.method, ex.route.location);
        type Look = fn(&mut Exchange, &mut Services);
        let looks: [Look; 3] = [
            |ex, _| ex.with_uri(b"/b".to_vec(), |_| resume_unwind(Box::new("uri"))),
            |ex, _| ex.with_method(Method::Put, |ex| ex.with_uri(b"/c".to_vec(), |_| resume_unwind(Box::new("both")))),
            |ex, cx| {
                requested(ex, cx, b"/d", Method::Put, |ex, _| {
                    (ex.progress.limit_rate, ex.response.ranges) = (None, true);
                    resume_unwind(Box::new("all"))
                });
            },
        ];
        for look in looks {
            catch_unwind(AssertUnwindSafe(|| look(&mut ex, &mut site.cx))).expect_err("it panics");
            assert_eq!((ex.route.uri.clone(), ex.route.method, ex.route.location), own);
            assert_eq!((ex.progress.limit_rate, ex.response.ranges), (Some(5), false));
        }
    }
}

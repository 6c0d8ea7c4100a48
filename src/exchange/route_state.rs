//! How far a request is routed: its server, location, URI and the file it maps to. Changed by rewrites and internal
//! redirects; what the client asked stays in [`super::request::Request`].

use crate::config::model::{LocationId, ServerId};
use crate::config::pattern::{Groups, RequestEffort};
use crate::exchange::handlers::listing::{FormAction, SentForm};
use crate::exchange::user_values::UserValues;
use crate::http::escape::escape_path;
use crate::http::fields::Fields;
use crate::http::method::Method;
use crate::http::signed_link::Link;
use crate::http::status::Status;
use crate::http::uri::split_args;
use crate::services::quotas::Admission;
use std::ops::Range;
use std::rc::Rc;

/// Where a request is now, after rewrites and internal redirects.
#[derive(Default)]
pub struct RouteState {
    /// The server.
    pub server: ServerId,
    /// The location; before one is found, the server's own.
    pub location: LocationId,
    /// The method that decides: an error page of a POST is fetched by GET.
    pub method: Method,
    /// The current normalised path (`$uri`), and the current arguments (`$args`).
    pub uri: Vec<u8>,
    /// Without `?`.
    pub args: Vec<u8>,
    /// The target that rules see in place of the client's (`$request_uri`, `$request`) while a path is checked that the
    /// request concerns without naming it. None: what the client asked.
    pub supposed: Option<Rc<[u8]>>,
    /// Host in lower case, without port and final dot.
    pub host: Vec<u8>,
    /// The file the URI maps to.
    pub path: Vec<u8>,
    /// The index file that leads on to its own URI: it is opened again there.
    pub index: Vec<u8>,
    /// What the last regex matched: its groups are offsets into `subject`.
    pub subject: Vec<u8>,
    /// `$1` to `$9`; named groups have their own variables.
    pub groups: Groups,
    /// Values of the configuration's variables.
    pub user: UserValues,
    /// Variables under evaluation that are made of variables.
    pub depth: u8,
    /// The server set the URI, not the client: `internal` locations answer.
    pub internal: bool,
    /// The URI is no longer the one the client sent.
    pub rewritten: bool,
    /// A rewrite with `break` has changed the URI, which no longer begins with the location's name.
    pub broke: bool,
    /// The arguments are the configuration's: even empty ones are set (nginx).
    pub args_set: bool,
    /// The URI was rewritten since the location was found.
    pub uri_changed: bool,
    /// The locations that the request came through.
    pub history: RouteHistory,
    /// What is left to the searches for regexes, and to the values of variables. Internal redirects, subrequests and
    /// requests that are supposed share it.
    pub effort: RequestEffort,
    /// A regex exceeded its limits, or variables had too long values: that must not count as no match, or as empty.
    pub evaluation_failed: bool,
    /// Candidates of try_files that were looked for in earlier turns.
    pub tried: usize,
    /// try_files found its file behind the alias of a regex location: the path is the alias and the URI.
    pub behind_alias: bool,
    /// The name that the client asked for, if try_files replaced it on a request that changes files.
    pub own_name: Option<Box<OwnName>>,
    /// Internal redirects so far, which [`count_redirect`](super::locate::count_redirect) limits.
    pub redirects: u8,
    /// A subrequest has used the URI that the client asked for: what it answered may be for that one alone.
    pub subrequest_saw_uri: bool,
    /// auth_basic has checked who the client is, here.
    pub authenticated: bool,
    /// The status whose error page is being made, and the status it will be sent with.
    pub error_page: Option<Status>,
    /// The rule that would have refused this request if it were not about a resumable upload.
    pub exempted: Option<Exempted>,
    /// One of the errors on the way here was that the method is not allowed.
    pub method_refused: bool,
    /// A page was looked for where recursive_error_pages is off: no error has another one.
    pub last_page: bool,
    /// What the page that is sent instead keeps.
    pub kept: PageFields,
    /// The action that a form of the listing page requests.
    pub form_action: Option<FormAction>,
    /// The form, for the page that says why it was refused.
    pub sent_form: Option<Box<SentForm>>,
    /// upload_quota: how far the request waits for a count of what is there.
    pub quota: Admission,
    /// The same for a look at uploads that other processes may have ended, where too many seem unfinished.
    pub unfinished: Admission,
    /// Until when the request waits for a version that others are changing, in monotonic milliseconds. None: it waits
    /// for none.
    pub version_due: Option<u64>,
    /// What the signed link that let the request in says of uploads.
    pub link: Option<Rc<Link>>,
    /// The path that the resumable upload has which the request goes on with, by the request that began it.
    pub begun_at: Option<Rc<[u8]>>,
}

/// A rule that would have refused a request that is not about a resumable upload.
#[derive(Clone, Copy)]
pub struct Exempted {
    /// The status with which the rule refuses.
    pub status: Status,
    pub location: LocationId,
}

/// The URI that a request names, and the location whose try_files looked for others.
pub struct OwnName {
    pub uri: Vec<u8>,
    pub location: LocationId,
}

/// The locations and URIs that the request passed through; they decide which programs it may run.
#[derive(Default)]
pub struct RouteHistory {
    /// The location of the URI. [`RouteState::location`] may be a block in it, or a named location that it led on to.
    pub home: LocationId,
    /// A named location answers in its place.
    pub is_named: bool,
    /// The URI that the server's script began with, the client's or that of an internal redirect; empty: no script had
    /// changed it when its location was found.
    pub first: Vec<u8>,
    /// The URI that scripts at this location began with; empty: they have not changed it.
    pub before: Vec<u8>,
    /// Which bytes of the URI the last rewrite spells out.
    pub spelled: Vec<Range<usize>>,
}

impl RouteHistory {
    /// Forgets it; keeps the capacity of its buffers.
    fn clear(&mut self) {
        let RouteHistory { home, is_named, first, before, spelled } = self;
        (*home, *is_named) = Default::default();
        first.clear();
        before.clear();
        spelled.clear();
    }

    /// A URI begins, at the server's script.
    pub fn start(&mut self, root: LocationId) {
        self.before.clear();
        self.first.clear();
        self.enter(root);
    }

    /// The URI was found to belong to that location.
    pub fn enter(&mut self, home: LocationId) {
        if self.first.is_empty() {
            std::mem::swap(&mut self.first, &mut self.before);
        }
        self.before.clear();
        self.spelled.clear();
        (self.home, self.is_named) = (home, false);
    }

    /// The location of the URI leads on to a named one.
    pub fn lead_on(&mut self, uri: &[u8]) {
        if self.before.is_empty() {
            self.before.extend_from_slice(uri);
        }
        self.is_named = true;
    }

    /// A rewrite has given another URI, and spells out what [`RouteHistory::spelled`] says. Returns a buffer that is
    /// free again.
    pub fn rewrite(&mut self, mut before: Vec<u8>) -> Vec<u8> {
        if self.before.is_empty() {
            std::mem::swap(&mut self.before, &mut before);
        }
        before
    }
}

/// What a response leaves to the page that is sent in its place.
#[derive(Default)]
pub struct PageFields {
    /// Header fields of the error whose page is being made (Allow, a challenge): sent with the page.
    pub fields: Fields,
    /// `Location` of that error.
    pub location: Option<Vec<u8>>,
    /// The type that an X-Accel-Redirect gave what it leads to.
    pub content_type: Option<Rc<[u8]>>,
    /// The charset that an upstream's X-Accel-Charset chose.
    pub charset: Option<Rc<[u8]>>,
}

impl PageFields {
    /// Leaves nothing to the page; keeps the capacity of its buffer.
    fn clear(&mut self) {
        let PageFields { fields, location, content_type, charset } = self;
        fields.clear();
        (*location, *content_type, *charset) = Default::default();
    }

    /// Nothing is left to the page.
    pub fn is_empty(&self) -> bool {
        let PageFields { fields, location, content_type, charset } = self;
        fields.is_empty() && location.is_none() && content_type.is_none() && charset.is_none()
    }
}

impl RouteState {
    /// Sets the arguments; an empty text is a value, too.
    pub fn set_args(&mut self, args: Vec<u8>) {
        self.args = args;
        self.args_set = true;
    }

    /// Takes the arguments away; where there were none they stay unset (nginx).
    pub fn drop_args(&mut self) {
        self.args_set |= !self.args.is_empty();
        self.args.clear();
    }

    /// The location's rule that refuses with that status lets the request in as one about a resumable upload.
    pub fn exempt(&mut self, status: Status) {
        let location = self.location;
        self.exempted.get_or_insert(Exempted { status, location });
    }

    /// Supposes a request for the current URI: rules see its target, and no value that was computed for another one.
    pub fn suppose(&mut self) {
        let mut target = Vec::with_capacity(self.uri.len());
        escape_path(&self.uri, &mut target);
        self.supposed = Some(target.into());
        self.user.clear();
    }

    /// Sets the URI of an internal redirect: `path?args`, variables expanded already. The old arguments go (nginx).
    pub fn set_uri(&mut self, target: &[u8]) {
        let (path, args) = split_args(target);
        self.uri.clear();
        self.uri.extend_from_slice(path);
        self.rewritten = true;
        self.broke = false;
        self.behind_alias = false;
        self.args.clear();
        self.args.extend_from_slice(args.unwrap_or_default());
        self.args_set = args.is_some();
    }

    /// Another request of the same client, with nothing decided: it begins at `root`, the server's own location.
    fn beside(&self, root: LocationId, method: Method, uri: Vec<u8>) -> RouteState {
        RouteState {
            server: self.server,
            location: root,
            method,
            uri,
            host: self.host.clone(),
            effort: self.effort.clone(),
            ..RouteState::default()
        }
    }

    /// Of a request that is only supposed: rules see its target, and no value that was computed for another one.
    pub fn supposed(&self, root: LocationId, method: Method, uri: Vec<u8>) -> RouteState {
        let mut route = self.beside(root, method, uri);
        route.suppose();
        route
    }

    /// Of a subrequest: it shares the values of variables, which are there until it is left
    /// ([`RouteState::leave_subrequest`]), and who the client is.
    pub fn enter_subrequest(&mut self, root: LocationId, uri: Vec<u8>, args: Vec<u8>) -> RouteState {
        RouteState {
            args,
            user: std::mem::take(&mut self.user),
            authenticated: self.authenticated,
            internal: true,
            rewritten: true,
            ..self.beside(root, Method::Get, uri)
        }
    }

    /// The subrequest whose route that was is over.
    pub fn leave_subrequest(&mut self, left: &mut RouteState) {
        self.user = std::mem::take(&mut left.user);
        self.effort = std::mem::take(&mut left.effort);
        self.subrequest_saw_uri |= left.subrequest_saw_uri;
    }

    /// Forgets the request; keeps the capacity of its buffers.
    pub fn clear(&mut self) {
        // In place, and by a list of all fields: to make an empty one and to move it here took 400 instructions more
        // for each request.
        let RouteState {
            server,
            location,
            method,
            uri,
            args,
            supposed,
            host,
            path,
            index,
            subject,
            groups,
            user,
            depth,
            internal,
            rewritten,
            broke,
            args_set,
            uri_changed,
            history,
            effort,
            evaluation_failed,
            tried,
            behind_alias,
            own_name,
            redirects,
            subrequest_saw_uri,
            authenticated,
            error_page,
            exempted,
            method_refused,
            last_page,
            kept,
            form_action,
            sent_form,
            quota,
            version_due,
            link,
            begun_at,
            unfinished,
        } = self;
        [uri, args, host, path, index, subject].into_iter().for_each(Vec::clear);
        user.clear();
        history.clear();
        kept.clear();
        (*server, *location, *method, *groups, *depth) = Default::default();
        (*internal, *rewritten, *broke, *args_set, *uri_changed) = Default::default();
        (*evaluation_failed, *behind_alias, *redirects, *subrequest_saw_uri, *authenticated) = Default::default();
        (*error_page, *exempted, *method_refused, *last_page, *version_due) = Default::default();
        (*supposed, *own_name, *form_action, *sent_form, *link, *begun_at) = Default::default();
        (*effort, *quota, *unfinished, *tried) = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};
    use crate::util::text::Text;

    fn kept() -> [PageFields; 4] {
        let mut fields = Fields::default();
        fields.push(b"Allow", b"GET");
        [
            PageFields { fields, ..PageFields::default() },
            PageFields { location: Some(b"/a".to_vec()), ..PageFields::default() },
            PageFields { content_type: Some(b"text/a"[..].into()), ..PageFields::default() },
            PageFields { charset: Some(b"koi8-r"[..].into()), ..PageFields::default() },
        ]
    }

    #[test]
    fn what_an_error_left_to_its_page_is_not_there_for_the_next_request() {
        assert!(PageFields::default().is_empty());
        for (at, left) in kept().into_iter().enumerate() {
            assert!(!left.is_empty(), "{at}");
            let mut route = RouteState { kept: left, ..RouteState::default() };
            route.clear();
            assert!(route.kept.is_empty(), "{at}");
        }
    }

    #[test]
    fn a_subrequest_gives_back_the_values_and_the_effort_that_it_had() {
        let mut site = Site::new("", "location / { set $a b; } location /in { }");
        for saw_uri in [false, true] {
            let mut ex = site.at("GET /", &[], INSIDE);
            let spend = |route: &RouteState| route.effort.spend(|effort| effort.reads(1000, 1));
            let mut inner = ex.route.enter_subrequest(ex.route.location, b"/in".to_vec(), Vec::new());
            inner.suppose();
            assert!(ex.route.user.is_empty(), "the subrequest has them");
            inner.user.set(0, Text::new(b"c"));
            while spend(&inner) {}
            inner.subrequest_saw_uri = saw_uri;
            ex.route.leave_subrequest(&mut inner);
            assert_eq!(ex.route.user.get(0), Some(&b"c"[..]));
            assert!(!spend(&ex.route), "nothing is left of it");
            assert_eq!(ex.route.subrequest_saw_uri, saw_uri);
        }
    }
}

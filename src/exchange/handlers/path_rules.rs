//! Whether the client of a request may put, read or remove a path that the request does not name itself: a file that
//! a form sends, the destination of a COPY, any entry of a tree. Only this file decides it: the rules are those of
//! the location that the *path* belongs to, as though a request for it had come there.
//!
//! Invariant: nothing is allowed that the client's own PUT, GET or DELETE of that path would be refused because of
//! the configuration: its scripts, `internal`, allow and deny, passwords, methods, and the handler there.

use super::methods;
use super::target_limits::TargetLimits;
use super::upload::Refusal;
use super::upstream::stored::{self, PathLinks};
use crate::config::model::{Config, ContentHandler, Location, LocationId, LocationKind, ServerId};
use crate::config::settings::cgi::names_program;
use crate::config::settings::upload::Store;
use crate::config::template::Template;
use crate::exchange::access::other_path::Shown;
use crate::exchange::flow::Flow;
use crate::exchange::paths::{self, Mapped};
use crate::exchange::{Exchange, locate, media_types, rewrite, suppose};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::uri;
use crate::route::{NoTrace, location};
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::file::{self, Follow};

/// What is to be done to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathAction {
    /// A file is made or replaced, or a directory made.
    Put,
    /// Its content will be visible under another path.
    Read,
    /// Its name will be seen, a file's, as that of a result of a search.
    Find,
    /// Its name will be seen, a directory's, where a listing shows it.
    List,
    /// It goes away.
    Remove,
    /// What the request does to its own URI, which names the same with a slash at its end.
    Itself,
}

/// A path that an action applies to.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Normalised.
    pub uri: &'a [u8],
    /// The file that is meant. None if the configuration stores it elsewhere than the URI says (upload_store).
    pub path: Option<&'a [u8]>,
}

/// Where the scripts on the way of a URI lead: what they answer, and the location where they do.
type Lead = (Result<(), Flow>, LocationId);

/// The request came to its location by an internal redirect that kept its URI: error_page, try_files, a named location.
struct Redirected {
    /// What led to the redirect, or came before it.
    by: Lead,
    /// Where the redirect led.
    to: LocationId,
}

/// Judges the paths of one request.
pub struct PathRules {
    /// The location of the request's own URI, and that URI.
    home: Option<LocationId>,
    /// The request's own, before it was rewritten.
    pub uri: Vec<u8>,
    /// Other URIs of that location have the same rules: no script or capture distinguishes them.
    is_uniform: bool,
    redirected: Option<Redirected>,
    /// An internal redirect changed the URI: `internal` locations answer.
    is_internal: bool,
    /// What is uploaded is stored in a directory of its own (upload_store), wherever URIs lead.
    stores_apart: bool,
    shown: Shown,
}

impl PathRules {
    /// For a request that has passed its access rules.
    pub fn of(ex: &mut Exchange, cx: &mut Services) -> PathRules {
        let mut uri = own_uri(ex);
        let config = ex.config.clone();
        let location = ex.route.location;
        let redirected = ex.route.internal.then(|| {
            let method = ex.route.method;
            let by = suppose::requested(ex, cx, &uri, method, |ex, cx| (locate::probe(ex, cx), ex.route.location));
            Redirected { by, to: location }
        });
        let redirected = redirected.filter(|redirected| redirected.by != (Ok(()), location));
        let is_internal = redirected.is_some() && uri != ex.route.uri;
        if is_internal {
            uri.clone_from(&ex.route.uri);
        }
        let redirected = redirected.filter(|_| !is_internal);
        let home = find(ex, &uri);
        let shown = Shown::of(ex, cx);
        let is_uniform = !shown.is_for_uri()
            && home.is_some_and(|home| has_one_rule(&config, ex.route.server, home))
            && (redirected.is_none() || has_one_rule(&config, ex.route.server, location));
        let stores_apart = matches!(ex.location().settings.upload.store, Store::Path(_));
        PathRules { home, uri, is_uniform, redirected, is_internal, stores_apart, shown }
    }

    /// Whether all paths below the request's URI, a directory's, have the rules of the request's own location.
    pub fn are_same_below(&self, ex: &Exchange, uri: &[u8], action: PathAction) -> bool {
        let Some(home) = self.home.filter(|_| self.is_uniform && !depends_on_name(ex.location(), action)) else {
            return false;
        };
        find(ex, uri) == Some(home) && !location::may_differ_below(&ex.config, ex.route.server, uri, home)
    }

    /// Checks whether the client may do so.
    ///
    /// # Errors
    /// 403; the log says why.
    pub fn check(
        &self,
        ex: &mut Exchange,
        cx: &mut Services,
        target: Target<'_>,
        action: PathAction,
    ) -> Result<TargetLimits, Refusal> {
        self.check_transfer(ex, cx, target, action, None)
    }

    /// The same for what a COPY or MOVE reads. `to`: the URI that it will have.
    ///
    /// # Errors
    /// 403; the log says why.
    pub fn check_transfer(
        &self,
        ex: &mut Exchange,
        cx: &mut Services,
        target: Target<'_>,
        action: PathAction,
        to: Option<&[u8]>,
    ) -> Result<TargetLimits, Refusal> {
        let config = ex.config.clone();
        let found = find(ex, target.uri);
        let location = config.location(ex.route.location);
        if self.is_uniform && found == self.home && !depends_on_name(location, action) {
            return Ok(TargetLimits::of(location, target.uri, methods::allowed(ex)));
        }
        // A form of the listing page replaces requests that its client could send itself.
        let asked = match action {
            PathAction::Put if ex.route.form_action.is_some() => Method::Post,
            PathAction::Remove if ex.route.form_action.is_some() => Method::Delete,
            _ => ex.route.method,
        };
        let is_seen = matches!(action, PathAction::Read | PathAction::Find | PathAction::List);
        let method = if is_seen { Method::Get } else { asked };
        let mut verdict = suppose::requested(ex, cx, target.uri, method, |ex, cx| {
            ex.route.internal = self.is_internal;
            let lead = locate::probe(ex, cx);
            lead.map_err(|_| "its location refuses every such request")?;
            self.judge(ex, cx, (target, to), (action, asked))
        });
        if let (Err(_), Some(redirected)) = (&verdict, &self.redirected)
            && found == self.home
        {
            verdict = suppose::requested(ex, cx, target.uri, method, |ex, cx| {
                follow(ex, cx, redirected)?;
                self.judge(ex, cx, (target, to), (action, asked))
            });
        }
        verdict.map_err(|why| refusal(why, target.uri))
    }

    /// Whether the answer of auth_request for the request's URI also covers that path: the URI itself, and for uploads
    /// and the listing's forms the names in its folder.
    fn is_covered(&self, ex: &Exchange, uri: &[u8], action: PathAction, asked: Method) -> bool {
        let uploads = action == PathAction::Put && !matches!(asked, Method::Copy | Method::Move);
        let is_form = ex.request.head.method == Method::Post;
        bare(uri) == bare(&self.uri) || (uploads || is_form) && self.is_in_own_folder(ex, uri)
    }

    /// A folder may be named without its slash. The form of a listing names something in the listing's folder: what is
    /// in *that* is in another one.
    fn is_in_own_folder(&self, ex: &Exchange, uri: &[u8]) -> bool {
        let at = folder(bare(uri));
        match is_form_action(ex) {
            true => at == folder(bare(&self.uri)),
            false => at == folder(&self.uri) || bare(at) == bare(&self.uri),
        }
    }

    /// Whether a form or an upload may bring files to a name whose location has no allowed_methods. A location for
    /// images within the folder of the upload may get them; one of a folder below may not.
    fn brings_to(&self, ex: &Exchange, uri: &[u8]) -> bool {
        let config = &ex.config;
        let find = |uri: &[u8]| find(ex, uri);
        let (own, around) = (find(uri), find(folder(bare(uri))));
        let is_taken = |id: LocationId| Some(id) == self.home || config.location(id).stores();
        // If the request's own location redirects, the location that it leads to is checked.
        let is_among_others = own != around && around.is_some_and(is_taken);
        self.stores_apart || own != self.home && (is_among_others || self.is_in_own_folder(ex, uri))
    }

    /// The folder of the name is one of the request's own location.
    pub fn is_in_home(&self, ex: &Exchange, uri: &[u8]) -> bool {
        self.home.is_some() && find(ex, folder(bare(uri))) == self.home
    }

    /// The folder of a name whose location only reads (images), if the folder's own location is another than the
    /// request's and takes uploads: that one has limits for the file.
    pub fn folder_that_takes<'u>(
        &self,
        ex: &Exchange,
        target_limits: &TargetLimits,
        uri: &'u [u8],
    ) -> Option<&'u [u8]> {
        let folder = folder(bare(uri));
        let around = find(ex, folder).filter(|around| Some(*around) != self.home)?;
        (!target_limits.takes_uploads && ex.config.location(around).stores()).then_some(folder)
    }

    /// The path that the request's own location has for the URI of an upload. None: that has no such address, since it
    /// is stored apart, or the URI was rewritten, or the location answers for one URI alone (`location = /drop`).
    pub fn path_of_upload(&self, ex: &mut Exchange, cx: &mut Services, uri: &[u8]) -> Option<Vec<u8>> {
        let is_whole = ex.location().settings.files.alias == Some(u32::MAX);
        let is_drop_box = self.home.is_some_and(|home| ex.config.location(home).kind == LocationKind::Exact);
        if self.stores_apart || ex.route.rewritten || is_whole || is_drop_box {
            return None;
        }
        ex.with_path(Vec::new(), |ex| match ex.with_uri(uri.to_vec(), |ex| paths::map(ex, cx)) {
            Mapped::Path { .. } => Some(std::mem::take(&mut ex.route.path)),
            _ => None,
        })
    }

    /// The paths below the request's URI cannot be judged: what allowed the request was asked for its URI alone.
    pub fn are_unknown_below(&self) -> bool {
        self.shown.is_for_uri()
    }

    /// Judges the path by the rules of the exchange's current location.
    fn judge(
        &self,
        ex: &mut Exchange,
        cx: &mut Services,
        (target, to): (Target<'_>, Option<&[u8]>),
        (action, asked): (PathAction, Method),
    ) -> Result<TargetLimits, &'static str> {
        let is_covered = self.is_covered(ex, target.uri, action, asked);
        if !self.shown.suffices(ex, cx, is_covered) {
            return Err(match self.shown.is_for_uri() {
                true => "auth_request was asked for the request's URI alone (auth_request_below)",
                false => "the client has no access there",
            });
        }
        let location = ex.location();
        if location.content != ContentHandler::Files {
            return Err("what answers there is not files");
        }
        let named = location.settings.access.allowed.is_some();
        let set = methods::allowed(ex);
        let may = match (action, asked) {
            (PathAction::Read | PathAction::Find | PathAction::List, _) => set.contains(Method::Get),
            (PathAction::Itself, asked) => set.contains(asked),
            (PathAction::Remove, asked) => set.contains(asked) || set.contains(Method::Delete),
            (PathAction::Put, Method::Post) => {
                set.contains(Method::Post) || set.contains(Method::Put) || !named && self.brings_to(ex, target.uri)
            }
            (PathAction::Put, asked) => set.contains(asked) || set.contains(Method::Put),
        };
        if !may {
            return Err("the methods of its location do not allow it");
        }
        if action == PathAction::List && !location.settings.listing.on {
            return Err("no listing shows it");
        }
        let target_limits = TargetLimits::of(location, &ex.route.uri, set);
        if let Some(path) = target.path {
            let Mapped::Path { .. } = paths::map(ex, cx) else { return Err("its URI names nothing") };
            if !paths::is_same(&ex.route.path, path) {
                return Err("its URI names another file");
            }
        }
        if action == PathAction::Read {
            check_source(ex, cx, target.path, asked)?;
        }
        // A link that leads nowhere shows nothing.
        if matches!(action, PathAction::Read | PathAction::Find | PathAction::List)
            && !target.path.is_some_and(leads_nowhere)
        {
            // A copy within one location is hidden by the page that is shown for all of it, as the original is.
            let stays = to.is_some_and(|to| belong_together(ex, target.uri, to));
            check_tried(ex, cx, target.path, stays)?;
        }
        Ok(target_limits)
    }
}

/// Whether it depends on a file's name how a GET of it is answered: by its content, or by what it does as a program or
/// a page with commands.
fn depends_on_name(location: &Location, action: PathAction) -> bool {
    action == PathAction::Read && (!location.settings.cgi.extensions.is_empty() || location.settings.ssi.on)
}

/// Checks that a GET of the current URI would be answered with the content of the file. Those who may write programs
/// here (upload_execute) and copy them may see them.
fn check_source(ex: &mut Exchange, cx: &mut Services, path: Option<&[u8]>, asked: Method) -> Result<(), &'static str> {
    let settings = &ex.location().settings;
    if settings.cgi.uploads && matches!(asked, Method::Copy | Method::Move) {
        return Ok(());
    }
    // What lies in a directory that is named like a program is sent.
    let uri = &ex.route.uri;
    if names_program(uri, &settings.cgi.extensions) {
        return Err("it is a program");
    }
    let content_type = media_types::of_uri(&settings.files, uri);
    if !settings.ssi.on || uri.ends_with(b"/") || !settings.ssi.types.contains(content_type.as_bytes()) {
        return Ok(());
    }
    match path.map(|path| stored::is_client_writable(ex, cx, path, PathLinks::Possible)) {
        Some(Ok(true)) => Ok(()),
        _ => Err("it is a page with SSI commands"),
    }
}

/// Follows the internal redirect of the request, if a request for the current URI would come to it in the same way.
fn follow(ex: &mut Exchange, cx: &mut Services, redirected: &Redirected) -> Result<(), &'static str> {
    if (locate::probe(ex, cx), ex.route.location) != redirected.by {
        return Err("its location leads such a request elsewhere");
    }
    ex.route.location = redirected.to;
    match locate::location_rewrite(ex, cx) {
        Flow::Next if !ex.route.evaluation_failed => Ok(()),
        _ => Err("a script refuses such a request"),
    }
}

/// Checks that try_files leads a GET of the current URI to the file that is meant, and not to another in its place.
/// `stays`: the file may be hidden by a page that try_files shows for every name in the location.
fn check_tried(ex: &mut Exchange, cx: &mut Services, path: Option<&[u8]>, stays: bool) -> Result<(), &'static str> {
    if rewrite::try_files::run(ex, cx) != Flow::Next {
        return Err("its location does not serve it");
    }
    let location = ex.location();
    let Some(tried) = &location.try_files else { return Ok(()) };
    let mut spelled = tried.candidates.iter().filter_map(|candidate| candidate.path.constant());
    let is_for_all = stays && spelled.any(|text| !text.is_empty() && ex.route.uri.ends_with(text));
    match path.filter(|_| !is_for_all) {
        Some(path) if !matches!(paths::map(ex, cx), Mapped::Path { .. }) || !paths::is_same(&ex.route.path, path) => {
            Err("its location serves another file in its place")
        }
        _ => Ok(()),
    }
}

/// Nothing is there, or a link to nothing.
fn leads_nowhere(path: &[u8]) -> bool {
    let path = file::c_string(path);
    path.and_then(|path| file::stat_at(None, &path, Follow::Yes)) == Err(Errno::ENOENT)
}

fn bare(uri: &[u8]) -> &[u8] {
    uri.strip_suffix(b"/").unwrap_or(uri)
}

fn folder(uri: &[u8]) -> &[u8] {
    &uri[..memchr::memrchr(b'/', uri).map_or(0, |at| at + 1)]
}

fn refusal(why: &'static str, uri: &[u8]) -> Refusal {
    let shown: String = uri.iter().flat_map(|b| std::ascii::escape_default(*b)).map(char::from).collect();
    Refusal::new(Status::FORBIDDEN, "the rules of a path that the request concerns do not allow it")
        .detail(format!("\"{shown}\": {why}"))
}

/// Judges a request for a directory that is named without its slash: the directory's own URI has one, and may belong to
/// another location.
///
/// # Errors
/// 403, where a request for that URI would be refused.
pub fn check_directory(ex: &mut Exchange, cx: &mut Services) -> Result<(), Refusal> {
    if ex.route.uri.ends_with(b"/") {
        return Ok(());
    }
    let rules = PathRules::of(ex, cx);
    let uri = [&rules.uri[..], b"/"].concat();
    rules.check(ex, cx, Target { uri: &uri, path: None }, PathAction::Itself).map(drop)
}

/// Whether what is visible under one URI has the rules of the same location under the other.
pub fn belong_together(ex: &Exchange, one: &[u8], other: &[u8]) -> bool {
    let find = |uri: &[u8]| find(ex, uri);
    find(one).is_some_and(|home| find(other) == Some(home))
}

fn find(ex: &Exchange, uri: &[u8]) -> Option<LocationId> {
    let (config, server) = (&ex.config, ex.route.server);
    let found = ex.route.effort.spend(|effort| location::find_within(config, server, uri, &mut NoTrace, effort));
    found.ok().map(|found| found.location)
}

/// The request is what the form of a listing became: a DELETE, MOVE or MKCOL of the name in the form.
pub fn is_form_action(ex: &Exchange) -> bool {
    ex.route.form_action.is_some() || ex.request.head.method == Method::Post && ex.route.method == Method::Delete
}

/// The client's own URI, as scripts see it first.
fn own_uri(ex: &Exchange) -> Vec<u8> {
    let mut own = Vec::new();
    let target = ex.request.head.origin.of(ex.buf());
    if ex.route.rewritten
        && !is_form_action(ex)
        && uri::normalize(target, uri::Slashes::of(ex.location().settings.client.merge_slashes), &mut own).is_ok()
    {
        return own;
    }
    ex.route.uri.clone()
}

/// Nothing at the location depends on what the URI is.
fn has_one_rule(config: &Config, server: ServerId, home: LocationId) -> bool {
    let location = config.location(home);
    let is_constant = |template: &Option<Template>| template.as_ref().is_none_or(|text| text.constant().is_some());
    let settings = &location.settings;
    let no_script = |id: LocationId| config.location(id).script.ops.is_empty();
    location.kind != LocationKind::Regex
        && no_script(config.server(server).root)
        && no_script(home)
        && is_constant(&settings.auth.realm)
        && is_constant(&settings.auth.file)
        && settings.files.root.constant().is_some()
        && location.try_files.is_none()
}

#[cfg(test)]
mod tests;

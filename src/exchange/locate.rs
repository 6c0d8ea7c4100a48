//! From a URI to its location: the server's rewrite script, the search, and the location's own script. [`phases`] runs
//! these for a request; [`probe`] runs them for a path that the request does not name itself ([`suppose`]). Knows no
//! handler, so that handlers may ask.
//!
//! [`phases`]: super::phases
//! [`suppose`]: super::suppose

use super::access::allow_deny;
use super::flow::{Flow, Phase};
use super::{Exchange, rewrite};
use crate::config::model::Level;
use crate::config::pattern::Failed;
use crate::route::{NoTrace, location};
use crate::services::Services;

/// Internal redirects and rewrites of one request; more is a cycle (nginx).
pub(super) const REDIRECTS: u8 = 10;

/// The rewrite script of the server.
pub(super) fn server_rewrite(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let config = ex.config.clone();
    let script = &config.location(config.server(ex.route.server).root).script;
    if script.ops.is_empty() {
        return Flow::Next;
    }
    rewrite::script::run(ex, cx, script)
}

/// The location of the URI.
fn find(ex: &Exchange) -> Result<location::LocationMatch, Failed> {
    let (server, uri) = (ex.route.server, &ex.route.uri);
    ex.route.effort.spend(|effort| location::find_within(&ex.config, server, uri, &mut NoTrace, effort))
}

/// The request is at the location that was found.
pub(super) fn enter(ex: &mut Exchange, found: location::LocationMatch) {
    ex.route.location = found.location;
    ex.route.history.enter(found.location);
    ex.route.uri_changed = false;
    ex.route.behind_alias = false;
    if found.matched.is_some() {
        let uri = std::mem::take(&mut ex.route.uri);
        ex.remember(&uri, found.matched);
        ex.route.uri = uri;
    }
}

/// The rewrite script of the location, and the block of limit_except that holds for the method.
pub(super) fn location_rewrite(ex: &mut Exchange, cx: &mut Services) -> Flow {
    // Before the script: the block has none of its own, nor any of the location's (nginx).
    allow_deny::enter_limit_except(ex, cx);
    let config = ex.config.clone();
    let script = &config.location(ex.route.location).script;
    // Where no location matches, the server's own has run already (nginx).
    if script.ops.is_empty() || ex.route.location == config.server(ex.route.server).root {
        return Flow::Next;
    }
    match rewrite::script::run(ex, cx, script) {
        Flow::Next if ex.route.uri_changed => Flow::Restart,
        flow => flow,
    }
}

/// Counts an internal redirect. False: it must not be followed, the limit is reached. `doing` is for the log.
pub(super) fn count_redirect(ex: &mut Exchange, cx: &mut Services, doing: &str, to: Option<&[u8]>) -> bool {
    ex.route.redirects = ex.route.redirects.saturating_add(1);
    if ex.route.redirects > REDIRECTS {
        let to = String::from_utf8_lossy(to.unwrap_or(&ex.route.uri)).into_owned();
        ex.report(cx, Level::Error, format_args!("rewrite or internal redirection cycle while {doing} \"{to}\""));
    }
    ex.route.redirects <= REDIRECTS
}

/// Finds the location that the current URI leads to: the exchange is then at that location. Checks no access rule, and
/// changes nothing but what its caller has saved.
///
/// # Errors
/// What a script on the way answers.
pub fn probe(ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
    let mut phase = Phase::ServerRewrite;
    loop {
        let flow = match phase {
            Phase::ServerRewrite => server_rewrite(ex, cx),
            Phase::FindLocation => match find(ex) {
                Ok(found) => {
                    enter(ex, found);
                    if ex.location().internal && !ex.route.internal { Flow::Close } else { Flow::Next }
                }
                Err(_) => Flow::Close,
            },
            _ => location_rewrite(ex, cx),
        };
        if std::mem::take(&mut ex.route.evaluation_failed) {
            return Err(Flow::Close);
        }
        phase = match (flow, phase) {
            (Flow::Next, Phase::ServerRewrite) => Phase::FindLocation,
            (Flow::Next, Phase::FindLocation) => Phase::Rewrite,
            (Flow::Next, _) => return Ok(()),
            (Flow::Restart, _) if count_redirect(ex, cx, "judging", None) => Phase::FindLocation,
            (flow, _) => return Err(flow),
        };
    }
}

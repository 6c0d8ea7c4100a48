//! Whether a CGI program may be asked for with something behind its name, which becomes PATH_INFO.
//!
//! Invariant: nothing is run by it that is not run without it, or that the configuration spells out. So
//! `location ~ \.py$` makes no program of a picture by `/picture.jpg/x.py`, and no program is run past the password of
//! a location of its own.

use crate::config::model::{ContentHandler, LocationId, LocationKind};
use crate::config::settings::cgi::names_program;
use crate::exchange::flow::Flow;
use crate::exchange::paths::{self, Mapped};
use crate::exchange::{Exchange, locate, rewrite, suppose};
use crate::route::{NoTrace, location};
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::file;

/// Whether the program of that name, the beginning of the URI, may be run with the rest as PATH_INFO: where a rewrite
/// or the name of the location spells out the end of its name, or where a request for the program alone leads, whatever
/// `if` or rewrite the request passed since. Behind a named location it has to come there in the same way.
pub fn is_meant(ex: &mut Exchange, cx: &mut Services, name: &[u8], path_info: &[u8]) -> bool {
    let config = ex.config.clone();
    let way = &ex.route.history;
    let home = config.location(way.home);
    let is_prefix = matches!(home.kind, LocationKind::Prefix | LocationKind::PrefixFinal);
    let is_spelled = way.spelled.iter().any(|text| text.start < name.len() && name.len() <= text.end);
    if is_spelled || is_prefix && home.name.starts_with(name) {
        return true;
    }
    // As its client names it, where a rewrite has taken something off its beginning.
    let own = |uri: &[u8]| uri.strip_suffix(path_info).unwrap_or(name).to_vec();
    if !way.is_named {
        let own = own(&way.before);
        let found = location::find(&config, ex.route.server, &own, &mut NoTrace);
        return own.is_empty() || found.is_ok_and(|found| found.location == way.home);
    }
    let asked = if way.first.is_empty() { way.before.clone() } else { way.first.clone() };
    let own = own(&asked);
    own.is_empty() || {
        let (home, came, comes) = (way.home, lead(ex, cx, &asked), lead(ex, cx, &own));
        let goes_on = comes.answer == Answer::Other && comes.flow == came.flow;
        comes.home == home && came.home == home && (goes_on || comes.answer == Answer::Program)
    }
}

/// Where a request for a URI is led.
struct Lead {
    home: LocationId,
    flow: Flow,
    answer: Answer,
}

/// What the location of a URI answers by itself.
#[derive(PartialEq, Eq)]
enum Answer {
    File,
    Program,
    /// Something else, or nothing: its errors or its scripts lead on.
    Other,
}

fn lead(ex: &mut Exchange, cx: &mut Services, uri: &[u8]) -> Lead {
    let method = ex.route.method;
    suppose::requested(ex, cx, uri, method, |ex, cx| {
        ex.route.internal = true;
        ex.route.history.start(ex.route.location);
        let (flow, answer) = match locate::probe(ex, cx) {
            Ok(()) => tried(ex, cx),
            Err(flow) => (flow, Answer::Other),
        };
        Lead { home: ex.route.history.home, flow, answer }
    })
}

/// What becomes of the URI at its location.
fn tried(ex: &mut Exchange, cx: &mut Services) -> (Flow, Answer) {
    let location = ex.location();
    let uri = &ex.route.uri;
    let runs_it = || names_program(uri, &location.settings.cgi.extensions);
    let answer = match location.content {
        ContentHandler::Cgi => Answer::Program,
        ContentHandler::Files if runs_it() => Answer::Program,
        ContentHandler::Files => Answer::File,
        _ => Answer::Other,
    };
    // Its client has a say in which file the URI names, and so in whether there is one.
    if answer == Answer::File && location.settings.files.root.constant().is_none() {
        return (Flow::Next, answer);
    }
    match rewrite::try_files::run(ex, cx) {
        Flow::Next if answer == Answer::File && !is_there(ex, cx) => (Flow::Next, Answer::Other),
        Flow::Next => (Flow::Next, answer),
        flow => (flow, Answer::Other),
    }
}

fn is_there(ex: &mut Exchange, cx: &mut Services) -> bool {
    let is_mapped = matches!(paths::map(ex, cx), Mapped::Path { .. });
    let there = file::c_string(&ex.route.path[..]).and_then(|path| file::stat(&path));
    !is_mapped || !matches!(there, Err(Errno::ENOENT | Errno::ENOTDIR))
}

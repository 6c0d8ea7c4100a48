//! The listener that a logged request arrived at, if its log line does not say: derived from the line's port, scheme
//! and server, the log that contains it, its Host, and how each listener would have answered.

use super::question::Question;
use super::{Query, course, log_line};
use crate::config::ast::{Directive, Span};
use crate::config::model::{Config, Endpoint, EndpointId};
use crate::config::settings::logs::{AccessTarget, LogTarget, Logging};
use crate::config::sources::Sources;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How many listeners are named, or tried, at most when several fit.
pub const LISTENERS: usize = 8;

/// Statuses that may be sent before the Host has selected a server.
const EARLY: [u16; 9] = [400, 408, 414, 431, 494, 495, 496, 497, 505];

/// What a log line and its log file reveal about the listener.
pub struct Clues {
    hints: log_line::Hints,
    status: Option<u16>,
    /// Listeners whose servers write to that log; empty if unknown.
    by_log: Vec<EndpointId>,
}

impl Clues {
    /// `log`: the path of the line's log, if it is a file.
    pub fn of(config: &Config, line: &str, status: Option<u16>, log: Option<&Path>) -> Clues {
        let log = log.and_then(|log| std::fs::canonicalize(log).ok());
        let by_log = log.map_or_else(Vec::new, |log| writers(config, &log));
        Clues { hints: log_line::hints(line, status), status, by_log }
    }

    /// Adds the server that answered, according to another log.
    pub fn served_by(mut self, server: Option<&str>) -> Clues {
        self.hints.server = self.hints.server.or_else(|| server.map(str::to_owned));
        self
    }

    /// The server that the line, or another log, names.
    pub fn server(&self, config: &Config) -> Option<Span> {
        let name = self.hints.server.as_ref()?;
        config.servers.iter().find(|server| server.name[..] == *name.as_bytes()).map(|server| server.span)
    }

    /// What the listener is derived from: equal requests with equal keys arrived at the same listener.
    pub fn key(&self) -> (log_line::Hints, Option<u16>) {
        (self.hints.clone(), self.status)
    }

    fn allows(&self, config: &Config, id: EndpointId) -> bool {
        let (hints, endpoint) = (&self.hints, &config.endpoints[id.at()]);
        let has_server = |name: &String| {
            endpoint.servers().iter().any(|server| config.servers[server.at()].name[..] == *name.as_bytes())
        };
        hints.port.is_none_or(|port| endpoint.addr.port() == Some(port))
            && hints.is_secure.is_none_or(|is_secure| endpoint.ssl.is_some() == is_secure)
            && (!hints.http2 || endpoint.http2)
            && hints.server.as_ref().is_none_or(has_server)
    }
}

/// The listeners whose servers write to the log, compared by real path.
fn writers(config: &Config, log: &Path) -> Vec<EndpointId> {
    let is_same = |known: &PathBuf| std::fs::canonicalize(known).is_ok_and(|known| known == log);
    let files = config.log_files.iter().map(is_same).collect::<Vec<_>>();
    if !files.contains(&true) {
        return Vec::new();
    }
    let writes = |endpoint: &Endpoint| {
        endpoint.servers().iter().any(|server| {
            let root = config.servers[server.at()].root;
            writes_to(&config.locations[root.at()].settings.logs, &files)
        })
    };
    (0..config.endpoints.len() as u32).map(EndpointId).filter(|id| writes(&config.endpoints[id.at()])).collect()
}

fn writes_to(logs: &Logging, files: &[bool]) -> bool {
    let is_it = |id: usize| files.get(id).copied().unwrap_or(false);
    let access = logs.access.iter().any(|log| matches!(&log.target, AccessTarget::File(id) if is_it(id.at())));
    access || matches!(&logs.error.target, LogTarget::File(id) if is_it(id.at()))
}

/// The default server of an address.
pub fn default_server(config: &Config, addr: &str) -> Option<Span> {
    let endpoint = config.endpoints.iter().find(|endpoint| endpoint.addr.to_string() == addr)?;
    Some(config.servers[endpoint.default.at()].span)
}

/// The listeners that fit a line, the likeliest first; all if none fits.
pub fn listeners(config: &Config, clues: &Clues) -> Vec<EndpointId> {
    narrowed(config, (0..config.endpoints.len() as u32).map(EndpointId).collect(), clues)
}

fn narrowed(config: &Config, mut ids: Vec<EndpointId>, clues: &Clues) -> Vec<EndpointId> {
    for is_meant in [&|id: &EndpointId| clues.allows(config, *id), &|id: &EndpointId| clues.by_log.contains(id)]
        as [&dyn Fn(&EndpointId) -> bool; 2]
    {
        if ids.iter().any(is_meant) {
            ids.retain(is_meant);
        }
    }
    ids
}

/// A note if several listeners remain.
pub fn doubt(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        n => format!("doubt      the line fits {n} listeners; a log format with $server_port tells them apart\n"),
    }
}

/// The address of the listener that a logged request arrived at, and the number of candidates: of the listeners that
/// fit the line, the first that may answer with its status. Logs seldom contain ports, and one name is often served on
/// two of them: one redirects, the other answers.
pub fn listener(
    config: &Rc<Config>,
    sources: &Sources,
    tree: &[Directive],
    asked: &Query,
    clues: &Clues,
) -> (Option<String>, usize) {
    let Ok(question) = Question::parse(&asked.question, &asked.headers) else { return (None, 0) };
    let has_host = asked.headers.iter().any(|header| header.starts_with("Host: "));
    let is_early = clues.status.is_some_and(|status| EARLY.contains(&status));
    let named = || question.candidates(config);
    let ids = match clues.hints.port {
        // Prefer listeners of that port that serve the name; otherwise any listener of that port.
        Some(_) => {
            let (all, named) = (listeners(config, clues), named());
            let both: Vec<EndpointId> = all.iter().copied().filter(|id| named.contains(id)).collect();
            if both.is_empty() { all } else { both }
        }
        None if has_host || !is_early => named(),
        // Without a Host, every listener is a candidate.
        None => listeners(config, clues),
    };
    let ids = narrowed(config, ids, clues);
    let addr = |id: &EndpointId| config.endpoints[id.at()].addr.to_string();
    let first = ids.first().map(addr);
    let Some(status) = clues.status.filter(|_| ids.len() > 1).map(|status| status.to_string()) else {
        return (first, ids.len());
    };
    let may = |listener: &String| {
        let asked = Query { listener: Some(listener.clone()), ..asked.clone() };
        let Ok((text, _)) = course(config, sources, tree, &asked, None) else { return false };
        let answer = text.lines().find_map(|line| line.strip_prefix("answer     ")).unwrap_or_default();
        answer.starts_with(&status) || !answer.starts_with(|c: char| c.is_ascii_digit())
    };
    match ids.iter().take(LISTENERS).map(addr).find(may) {
        Some(found) => (Some(found), 1),
        None if is_early => (first, ids.len()),
        None => (first, 1),
    }
}

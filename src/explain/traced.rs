//! Requests of a log, explained: by which listener one came, where the log does not have it, and what two configurations
//! make of each.

use super::question::Question;
use super::{Asked, course, recorded, rights, tree, with_settings};
use crate::config::ast::Directive;
use crate::config::model::{Config, EndpointId};
use crate::config::sources::Sources;
use crate::server::reload::Origin;
use std::collections::HashSet;
use std::fmt::Write;
use std::rc::Rc;

/// Listeners that are named, or tried, where it is not known which one it was.
const LISTENERS: usize = 8;

/// The explanation of a request that a log has; None: it has none.
pub fn traced(
    origin: &Origin,
    config: Config,
    sources: &Sources,
    log: &str,
    id: &str,
) -> Option<Result<String, String>> {
    let found = recorded::find(log, id)?;
    let mut text: String = found.lines.iter().map(|line| format!("line       {line}\n")).collect();
    let Some(mut asked) = found.asked else {
        // Only the listener is known of it, where there is one.
        text.push_str("request    none: nothing of it could be read as one\n");
        let mut decides = String::new();
        for listener in config.endpoints.iter().take(LISTENERS) {
            let _ = writeln!(text, "listener   {}  [{}]", listener.addr, sources.place(listener.span));
            let server = &config.servers[listener.default.at()];
            let answers = format!("server     the listener's default answers  [{}]\n", sources.place(server.span));
            text.push_str(&answers);
            decides = if decides.is_empty() { answers } else { decides };
        }
        let status = found.status.unwrap_or(400);
        text.push_str(&recorded::otherwise(status, &decides).unwrap_or_default());
        return Some(Ok(text));
    };
    if let Some(rights) = rights::take(&config) {
        let _ = writeln!(text, "rights     {rights}");
    }
    let (tree, config) = (tree(origin), Rc::new(config));
    asked.listener = found.lines.last().and_then(|line| listener(&config, sources, &tree, &asked, line, found.status));
    Some(with_settings(&tree, &config, sources, &asked).map(|mut said| {
        if let Some(why) = found.status.and_then(|status| recorded::otherwise(status, &said)) {
            let at = said.find("\nsettings at ").map_or(said.len(), |at| at);
            said.insert_str(at, &why);
        }
        text + &said
    }))
}

/// The address of the listener that a recorded request came by: of those that its line allows, the first that may
/// answer with its status. Ports are seldom in logs, and a name is often served on two of them: one redirects, the other
/// answers.
fn listener(
    config: &Rc<Config>,
    sources: &Sources,
    tree: &[Directive],
    asked: &Asked,
    line: &str,
    status: Option<u16>,
) -> Option<String> {
    let question = Question::parse(&asked.question, &asked.headers).ok()?;
    let hints = recorded::hints(line, status);
    let mut ids = question.candidates(config);
    let fits = |id: &EndpointId| {
        let endpoint = &config.endpoints[id.at()];
        let port = hints.port.is_none_or(|port| endpoint.addr.port() == Some(port));
        port && hints.is_secure.is_none_or(|is_secure| endpoint.ssl == is_secure) && (!hints.http2 || endpoint.http2)
    };
    if ids.iter().any(fits) {
        ids.retain(fits);
    }
    let addr = |id: &EndpointId| config.endpoints[id.at()].addr.to_string();
    let first = ids.first().map(addr);
    let status = status.filter(|_| ids.len() > 1).map(|status| status.to_string());
    let Some(status) = status else { return first };
    let may = |listener: &String| {
        let asked = Asked { listener: Some(listener.clone()), ..asked.clone() };
        let Ok((text, _)) = course(config, sources, tree, &asked) else { return false };
        let answer = text.lines().find_map(|line| line.strip_prefix("answer     ")).unwrap_or_default();
        answer.starts_with(&status) || !answer.starts_with(|c: char| c.is_ascii_digit())
    };
    ids.iter().take(LISTENERS).map(addr).find(may).or(first)
}

/// A recorded request that two configurations answer differently.
pub struct Change {
    pub request: String,
    /// What each does, with the lines that decide it.
    pub old: String,
    pub new: String,
}

/// Which of the requests in a log would be answered otherwise by the second configuration, each once, and how many
/// requests were looked at.
pub fn compare(old: (Config, &Sources), new: (Config, &Sources), log: &str) -> (Vec<Change>, usize) {
    // Both are read: what is left to look at is what the server would see.
    rights::take(&old.0);
    let (old, new) = ((Rc::new(old.0), old.1), (Rc::new(new.0), new.1));
    let mut seen = HashSet::new();
    let mut changes = Vec::new();
    for (line, mut asked) in log.lines().filter_map(|line| Some((line, recorded::parse(line)?))) {
        if !seen.insert((asked.question.clone(), asked.headers.clone(), asked.client)) {
            continue;
        }
        asked.listener = listener(&old.0, old.1, &[], &asked, line, recorded::status(line));
        let [before, after] = [&old, &new].map(|(config, sources)| match course(config, sources, &[], &asked) {
            Ok((text, _)) => text,
            Err(why) => format!("answer     none: {why}\n"),
        });
        if essence(&before, Place::Without) != essence(&after, Place::Without) {
            let request = [&[asked.question][..], &asked.headers].concat().join("  ");
            let [old, new] = [before, after].map(|text| essence(&text, Place::With));
            changes.push(Change { request, old, new });
        }
    }
    (changes, seen.len())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    With,
    Without,
}

/// The lines that say what is answered, and by what; without places, two configurations can be compared.
fn essence(text: &str, place: Place) -> String {
    const SUBJECTS: [&str; 8] = ["server", "location", "rewrite", "handler", "file", "store", "upstream", "answer"];
    let mut out = String::new();
    let mut subject = "";
    for line in text.lines() {
        let head = line.split(' ').next().unwrap_or_default();
        let is_first = !head.is_empty();
        subject = if is_first { head } else { subject };
        let matters = match subject {
            // Of the servers and locations that were looked at, the one that was taken.
            "server" | "location" => is_first && place == Place::With,
            "answer" => !line.contains("ETag:") && !line.contains("Last-Modified:"),
            subject => SUBJECTS.contains(&subject),
        };
        if matters {
            let shown = match place {
                Place::With => line,
                Place::Without => line.rsplit_once("  [").map_or(line, |(line, _)| line),
            };
            let _ = writeln!(out, "{shown}");
        }
    }
    out
}

//! Requests of a log, explained: by which listener one came, where the log does not have it, and what two configurations
//! make of each.

use super::arrival::{self, Clues};
use super::outcome::{self, Place};
use super::{course, recorded, rights, settings, tree, with_settings};
use crate::config::model::Config;
use crate::config::sources::Sources;
use crate::server::reload::Origin;
use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;
use std::rc::Rc;

/// The explanation of a request that a log has; None: it has none. `path`: where the log lies.
pub fn traced(
    origin: &Origin,
    config: Config,
    sources: &Sources,
    (log, path): (&str, &Path),
    id: &str,
) -> Option<Result<String, String>> {
    let found = recorded::find(log, id)?;
    let mut text: String = found.lines.iter().map(|line| format!("line       {line}\n")).collect();
    let tree = tree(origin);
    let line = found.lines.last().copied().unwrap_or_default();
    let clues = Clues::of(&config, line, found.status, Some(path));
    let Some(mut asked) = found.asked else {
        // Only the listener is known of it, where there is one.
        text.push_str("request    none: nothing of it could be read as one\n");
        let ids = arrival::listeners(&config, &clues);
        text.push_str(&arrival::doubt(ids.len()));
        let mut decides = String::new();
        for id in ids.into_iter().take(arrival::LISTENERS) {
            let listener = &config.endpoints[id.at()];
            let server = &config.servers[listener.default.at()];
            let answers = format!(
                "listener   {}  [{}]\nserver     the listener's default answers  [{}]\n",
                listener.addr,
                sources.place(listener.span),
                sources.place(server.span)
            );
            text.push_str(&answers);
            if decides.is_empty() {
                let settings = settings::at(&tree, server.span, sources)
                    .into_iter()
                    .map(|setting| format!("  {}   {}\n", setting.text, setting.place.as_deref().unwrap_or("default")));
                let place = sources.place(server.span);
                decides = format!("{answers}\nsettings at {place}\n{}", settings.collect::<String>());
            }
        }
        let status = found.status.unwrap_or(400);
        text.push_str(&recorded::otherwise(status, &decides).unwrap_or_default());
        return Some(Ok(text));
    };
    if let Some(rights) = rights::take(&config) {
        let _ = writeln!(text, "rights     {rights}");
    }
    let config = Rc::new(config);
    let (listener, count) = arrival::listener(&config, sources, &tree, &asked, &clues);
    asked.listener = listener;
    text.push_str(&arrival::doubt(count));
    let chosen = asked.listener.as_deref().and_then(|addr| arrival::default_server(&config, addr));
    Some(with_settings(&tree, &config, sources, &asked).map(|mut said| {
        // What is refused before a name is known is the default server's.
        if let (Some(span), false, Some(at)) = (chosen, said.contains("\nserver "), said.find("\nanswer ")) {
            let server = format!("\nserver     the listener's default answers  [{}]", sources.place(span));
            said.insert_str(at, &server);
        }
        if let Some(why) = found.status.and_then(|status| recorded::otherwise(status, &said)) {
            let at = said.find("\nsettings at ").map_or(said.len(), |at| at);
            said.insert_str(at, &why);
        }
        text + &said
    }))
}

/// A recorded request that two configurations answer differently.
pub struct Change {
    pub request: String,
    /// What each does, with the lines that decide it.
    pub old: String,
    pub new: String,
}

/// Which of the requests in a log would be answered otherwise by the second configuration, each once for each listener it
/// came by, and how many requests were looked at.
pub fn compare(old: (Config, &Sources), new: (Config, &Sources), log: &str) -> (Vec<Change>, usize) {
    // Both are read: what is left to look at is what the server would see.
    rights::take(&old.0);
    let (old, new) = ((Rc::new(old.0), old.1), (Rc::new(new.0), new.1));
    let (mut lines, mut seen) = (HashSet::new(), HashSet::new());
    let mut changes = Vec::new();
    for (line, mut asked) in log.lines().filter_map(|line| Some((line, recorded::parse(line)?))) {
        let request = (asked.question.clone(), asked.headers.clone(), asked.client);
        // Looking for the listener may mean to follow the request at each of them: lines with the same clues have the same.
        let clues = Clues::of(&old.0, line, recorded::status(line), None);
        if !lines.insert((request.clone(), clues.key())) {
            continue;
        }
        asked.listener = arrival::listener(&old.0, old.1, &[], &asked, &clues).0;
        if !seen.insert((request, asked.listener.clone())) {
            continue;
        }
        let [before, after] = [&old, &new].map(|(config, sources)| match course(config, sources, &[], &asked) {
            Ok((text, _)) => text,
            Err(why) => format!("answer     none: {why}\n"),
        });
        if !outcome::is_same(&before, &after) {
            let mut request = [&[asked.question][..], &asked.headers].concat().join("  ");
            // The same request may have come by another, where the answer is the same.
            if let Some(listener) = asked.listener.filter(|_| old.0.endpoints.len() > 1) {
                let _ = write!(request, "  by {listener}");
            }
            let [old, new] = [before, after].map(|text| outcome::essence(&text, Place::With));
            changes.push(Change { request, old, new });
        }
    }
    (changes, seen.len())
}

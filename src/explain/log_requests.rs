//! Explains logged requests: at which listener one arrived, and how two configurations would answer it.

use super::follow::Supposed;
use super::guess_listener::{self, Clues};
use super::log_formats::Formats;
use super::other_logs::{self, OtherLogs};
use super::outcome::{self, Purpose};
use super::request_ids::Ids;
use super::{
    Query, course, log_line, own_process, reason, rights, secure, settings_at, supposed_upstream, tree, with_settings,
};
use crate::config::ast::{Directive, Span};
use crate::config::model::Config;
use crate::config::sources::Sources;
use crate::http::status::Status;
use crate::server::reload::ConfigSource;
use crate::services::clock::Clock;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;
use std::rc::Rc;

/// The log lines of a request as output, its own first.
fn quoted<'l>(own: &[&'l str], others: &'l [String], as_written: impl Fn(&'l str) -> &'l str) -> String {
    let lines = own.iter().map(|line| as_written(line)).chain(others.iter().map(String::as_str));
    lines.map(|line| format!("line       {line}\n")).collect()
}

/// The original of a line that was converted by its format.
fn as_written<'l>(line: &'l str, log: &'l str, written: &'l str) -> &'l str {
    let at = log.lines().position(|other| std::ptr::eq(other, line));
    at.and_then(|at| written.lines().nth(at)).unwrap_or(line)
}

/// The explanation of a logged request; None: the log does not contain it. `path`: the log file.
pub fn traced(
    config_source: &ConfigSource,
    config: Config,
    sources: &Sources,
    (log, path): (&str, &Path),
    id: &str,
) -> Option<Result<String, String>> {
    let formats = Formats::of(&config);
    // The id may be the line itself, which needs the same conversion.
    let (named, id) = (formats.named(log), formats.named(id));
    of_named(config_source, config, sources, (&named, log, path), id.trim_end())
}

/// Why the request of a shortened log line is not explained.
const SHORTENED: &str = "the request was too long for the error log, which shortened it (at the \"…\"): nothing can be \
                         said of the part that stayed; explain the line of the access log";

/// As [`traced`], for a log converted by its formats; `written`: the original lines.
fn of_named(
    config_source: &ConfigSource,
    config: Config,
    sources: &Sources,
    (log, written, path): (&str, &str, &Path),
    id: &str,
) -> Option<Result<String, String>> {
    let ids = Ids::of(&config);
    let found = log_line::find(log, id, |line| ids.find(line) == Some(id))?;
    let tree = tree(config_source);
    let line = found.lines.last().copied().unwrap_or_default();
    let other_logs = OtherLogs::of_one(&config, Some(path), (id, line));
    let others = other_logs.lines(line);
    let mut text = quoted(&found.lines, others, |line| as_written(line, log, written));
    let status = found.status.or_else(|| others.iter().find_map(|line| log_line::status(line)));
    // Errors logged for a successful request do not explain its status.
    let mut message = other_logs.message(line).filter(|_| status.is_none_or(|status| status >= 400));
    let clues = Clues::of(&config, line, status, Some(path)).served_by(other_logs.server(line));
    let Some(mut asked) = found.asked else {
        let why = || unread(&config, sources, &tree, &clues, (status.unwrap_or(400), message));
        return Some(if log_line::is_shortened(line) { Err(SHORTENED.to_owned()) } else { Ok(text + &why()) });
    };
    if let Some(rights) = rights::take(&config).unwrap_or_else(Some) {
        let _ = writeln!(text, "rights     {rights}");
    }
    let config = Rc::new(config);
    let (listener, count) = guess_listener::listener(&config, sources, &tree, &asked, &clues);
    asked.listener = listener;
    text.push_str(&guess_listener::doubt(count));
    let mut said = match with_settings(&tree, &config, sources, &asked, None) {
        Ok(said) => said,
        Err(why) => return Some(Err(why)),
    };
    let Some(status) = status else { return Some(Ok(text + &said)) };
    let explain = |asked: &Query| with_settings(&tree, &config, sources, asked, None).ok();
    if let Some(found) = certified(&config, &asked, status, &said, explain) {
        (asked, said) = found;
    }
    if supposed_upstream::is_passed(&said) {
        let explain = |supposed| with_settings(&tree, &config, sources, &asked, Some(supposed)).ok();
        if let Some((supposed, found)) = supposed_upstream::find(line, status, other_logs.fault(line), explain) {
            said = found;
            // If an upstream answered, an error about another peer does not explain the status.
            let is_answer = matches!(supposed, Supposed::Answer(_));
            message = message.filter(|message| !is_answer || !other_logs::is_upstreams(message));
        }
    }
    let is_same = supposed_upstream::answer(&said).starts_with(&status.to_string());
    let is_early = message.map_or(!is_same && reason::is_early(status), other_logs::is_early);
    let default = asked.listener.as_deref().and_then(|addr| guess_listener::default_server(&config, addr));
    if is_early && (!is_same || said.contains("\nlocation ")) {
        said = refused(&said, &config, sources, &tree, (clues.server(&config).or(default), status));
    } else if let (Some(span), false, Some(at)) = (default, said.contains("\nserver "), said.find("\nanswer ")) {
        // A request rejected before its Host is known belongs to the default server.
        let server = format!("\nserver     the listener's default answers  [{}]", sources.place(span));
        said.insert_str(at, &server);
    }
    if let Some(why) = reason::otherwise(status, &said, message) {
        let at = said.find("\nsettings at ").map_or(said.len(), |at| at);
        said.insert_str(at, &why);
    }
    Some(Ok(text + &said))
}

/// The request with a client certificate and its explanation, if only that leads to the logged status. Logs do not
/// record whether the client had a certificate.
fn certified(
    config: &Config,
    asked: &Query,
    status: u16,
    said: &str,
    explain: impl Fn(&Query) -> Option<String>,
) -> Option<(Query, String)> {
    let leads = |said: &str| supposed_upstream::answer(said).starts_with(&status.to_string());
    // 495 and 496 (400 to the client) mean that the certificate was missing or invalid.
    if leads(said) || matches!(status, 400 | 495 | 496) || !secure::asks_for_certificates(config) {
        return None;
    }
    let with = Query { certificate: true, ..asked.clone() };
    let found = explain(&with).filter(|found| leads(found) || supposed_upstream::is_passed(found))?;
    Some((with, found))
}

/// A request rejected because of its head, before a location was selected.
fn refused(
    said: &str,
    config: &Config,
    sources: &Sources,
    tree: &[Directive],
    (server, status): (Option<Span>, u16),
) -> String {
    let mut out = String::new();
    let keeps = |line: &&str| line.starts_with("request ") || line.starts_with("listener ");
    said.lines().filter(keeps).for_each(|line| out.extend([line, "\n"]));
    // The server selected by name, if the name was known by then.
    let by_name = || {
        let (_, place) = outcome::placed(said.lines().find(|line| line.starts_with("server "))?)?;
        config.servers.iter().map(|server| server.span).find(|span| sources.place(*span) == place)
    };
    let server = server.or_else(by_name);
    if let Some(server) = server {
        let _ = writeln!(out, "server     the one that answered  [{}]", sources.place(server));
    }
    let reason = Status(status).reason();
    let _ = writeln!(out, "answer     {status} {reason}: refused before a location is looked for");
    out + &server.map_or(String::new(), |server| settings_at(tree, server, sources))
}

/// Input that could not be parsed as a request: at most its listener is known.
fn unread(
    config: &Config,
    sources: &Sources,
    tree: &[Directive],
    clues: &Clues,
    (status, message): (u16, Option<&str>),
) -> String {
    let mut text = "request    none: nothing of it could be read as one\n".to_owned();
    let ids = guess_listener::listeners(config, clues);
    text.push_str(&guess_listener::doubt(ids.len()));
    let mut decides = String::new();
    for id in ids.into_iter().take(guess_listener::LISTENERS) {
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
            decides = answers + &settings_at(tree, server.span, sources);
        }
    }
    text + &reason::otherwise(status, &decides, message).unwrap_or_default()
}

/// A request that two configurations answer differently.
pub struct Change {
    /// The request line, or what the log has of it.
    pub request: String,
    /// Each configuration's response, with the deciding lines.
    pub old: String,
    /// The new configuration's response.
    pub new: String,
}

/// A logged request as the first configuration answers it.
struct Replayed {
    /// The index of the request in the log.
    at: usize,
    listener: Option<String>,
    certificate: bool,
    /// The assumed result of its upstream.
    supposed: Option<Supposed>,
    text: String,
}

/// The logged requests that the second configuration would answer differently, each once per listener, and the number
/// of requests compared. `log`: its text and path.
///
/// # Errors
/// Some requests could not be tested with the server's rights.
pub fn compare(
    old: (Config, &Sources),
    new: (Config, &Sources),
    log: (&str, &Path),
) -> Result<(Vec<Change>, usize), String> {
    let named = Formats::of(&old.0).named(log.0);
    let log = (&*named, log.1);
    let other_logs = OtherLogs::of(&old.0, Some(log.1), log.0);
    let mut requests: Vec<(&str, Query)> =
        log.0.lines().filter_map(|line| Some((line, log_line::parse(line)?))).collect();
    let now = Clock::read().unix;
    for (_, asked) in &mut requests {
        asked.moment = Some(now);
    }
    let (old, new) = ((Rc::new(old.0), old.1), (Rc::new(new.0), new.1));
    // Both configurations are already parsed; the rest runs with the rights of each one's server.
    let played = own_process::rows(&old.0, || {
        replay(&old.0, old.1, &requests, &other_logs).iter().map(Replayed::row).collect()
    })?;
    let of = |row: &Vec<String>| Replayed::of(row).filter(|one| one.at < requests.len());
    let played: Option<Vec<Replayed>> = played.iter().map(of).collect();
    let played = played.ok_or("an answer of the process that looks at files is no request's")?;
    for one in &played {
        if let Some((_, asked)) = requests.get_mut(one.at) {
            asked.listener.clone_from(&one.listener);
            asked.certificate = one.certificate;
        }
    }
    let known = known(&played);
    let both = || played.iter().filter_map(|one| Some((one, &requests.get(one.at)?.1)));
    let again =
        own_process::rows(&new.0, || both().map(|(one, asked)| vec![play_again(&new, asked, one, &known)]).collect())?;
    if again.len() != played.len() {
        return Err(format!("{} of {} requests were answered by the second configuration", again.len(), played.len()));
    }
    let mut changes = Vec::new();
    for ((Replayed { text: before, .. }, asked), after) in both().zip(again.iter().filter_map(|row| row.first())) {
        if !outcome::is_same(before, after) {
            let mut request = [&[asked.question.clone()][..], &asked.headers].concat().join("  ");
            // The same request may have arrived at several listeners, so name this one.
            if let Some(listener) = asked.listener.as_ref().filter(|_| old.0.endpoints.len() > 1) {
                let _ = write!(request, "  by {listener}");
            }
            let [old, new] = [before, after].map(|text| outcome::essence(text, Purpose::Show));
            changes.push(Change { request, old, new });
        }
    }
    Ok((changes, played.len()))
}

impl Replayed {
    /// Serialises it for the parent process, which reads it with [`Replayed::of`].
    fn row(&self) -> Vec<String> {
        let (kind, status) = match self.supposed {
            None => ("", 0),
            Some(Supposed::Fault(status)) => ("fault", status.0),
            Some(Supposed::Answer(status)) => ("answer", status.0),
        };
        let listener = self.listener.clone().unwrap_or_default();
        let certificate = if self.certificate { "yes" } else { "" }.to_owned();
        vec![self.at.to_string(), listener, certificate, kind.to_owned(), status.to_string(), self.text.clone()]
    }

    fn of(row: &[String]) -> Option<Replayed> {
        let [at, listener, certificate, kind, status, text] = row else { return None };
        let status = Status(status.parse().ok()?);
        let supposed = match kind.as_str() {
            "fault" => Some(Supposed::Fault(status)),
            "answer" => Some(Supposed::Answer(status)),
            _ => None,
        };
        let listener = Some(listener).filter(|text| !text.is_empty()).cloned();
        let certificate = !certificate.is_empty();
        Some(Replayed { at: at.parse().ok()?, listener, certificate, supposed, text: text.clone() })
    }
}

/// Each distinct request of a log, as the first configuration answers it.
fn replay(config: &Rc<Config>, sources: &Sources, requests: &[(&str, Query)], other_logs: &OtherLogs) -> Vec<Replayed> {
    let (mut lines, mut seen, mut played) = (HashSet::new(), HashSet::new(), Vec::new());
    let may_certify = secure::asks_for_certificates(config);
    for (at, (line, asked)) in requests.iter().enumerate() {
        let request = (&asked.question, &asked.headers, asked.client, &asked.line);
        // Finding the listener may mean running the request at each candidate, so lines with the same clues share the
        // result.
        let status = log_line::status(line);
        let clues = Clues::of(config, line, status, None);
        if !lines.insert((request, clues.key())) {
            continue;
        }
        let listener = guess_listener::listener(config, sources, &[], asked, &clues).0;
        let is_new = seen.insert((request, listener.clone(), false));
        if !is_new && !may_certify {
            continue;
        }
        let mut asked = Query { listener, ..asked.clone() };
        let follow = |asked: &Query, supposed| course(config, sources, &[], asked, supposed).map(|(text, _)| text);
        let mut text = follow(&asked, None).unwrap_or_else(unanswered);
        let with = status.and_then(|status| certified(config, &asked, status, &text, |with| follow(with, None).ok()));
        if let Some(with) = with {
            (asked, text) = with;
        }
        if !(is_new || asked.certificate && seen.insert((request, asked.listener.clone(), true))) {
            continue;
        }
        let mut what = None;
        if let Some(status) = status.filter(|_| supposed_upstream::is_passed(&text)) {
            let found = supposed_upstream::find(line, status, other_logs.fault(line), |supposed| {
                follow(&asked, Some(supposed)).ok()
            });
            if let Some((supposed, answered)) = found {
                (what, text) = (Some(supposed), answered);
            }
        }
        let Query { listener, certificate, .. } = asked;
        played.push(Replayed { at, listener, certificate, text, supposed: what });
    }
    played
}

/// The results of upstreams by upstream request, where they were always the same.
fn known(played: &[Replayed]) -> HashMap<&str, Option<Supposed>> {
    let mut known = HashMap::new();
    for one in played {
        let Some((asked, supposed)) =
            supposed_upstream::passed_to(&one.text).zip(one.supposed).filter(|(asked, _)| asked.contains(": "))
        else {
            continue;
        };
        let before = known.entry(asked).or_insert(Some(supposed));
        *before = before.filter(|before| *before == supposed);
    }
    known
}

/// The same request with the second configuration. Its upstream is assumed to give the same result, or that of an equal
/// upstream request.
fn play_again(
    (config, sources): &(Rc<Config>, &Sources),
    asked: &Query,
    played: &Replayed,
    known: &HashMap<&str, Option<Supposed>>,
) -> String {
    let follow = |supposed| course(config, sources, &[], asked, supposed).map(|(text, _)| text);
    let text = follow(None).unwrap_or_else(unanswered);
    let supposed =
        supposed_upstream::passed_to(&text).filter(|_| supposed_upstream::is_passed(&text)).and_then(|passed| {
            let is_alike = supposed_upstream::passed_to(&played.text) == Some(passed);
            played.supposed.filter(|_| is_alike).or_else(|| *known.get(passed)?)
        });
    match supposed {
        Some(supposed) => follow(Some(supposed)).unwrap_or_else(unanswered),
        None => text,
    }
}

fn unanswered(why: String) -> String {
    format!("answer     none: {why}\n")
}

//! `webserv explain`: what would become of a request, and why, without serving it.
//!
//! Nothing is decided here. A request is made of the question, goes through the very phases that serve
//! ([`phases::begin`]) with a [`Recorder`] watching, and what was recorded is printed. Invariant: nothing is bound,
//! logged or changed; of the file system only what the phases look up is read.

mod map;
mod question;
pub mod recorded;
mod render;
mod rights;
mod settings;

use crate::config::ast::Span;
use crate::config::load;
use crate::config::load::LoadOptions;
use crate::config::model::{Config, Content};
use crate::config::settings::proxy_pass::To;
use crate::config::settings::upload::Store;
use crate::config::settings::upstream::Peer as UpstreamPeer;
use crate::config::sources::Sources;
use crate::conn::Active;
use crate::conn::http1::respond;
use crate::exchange::handlers::Handler;
use crate::exchange::{Client, Exchange, Printable, Tx, phases, variables};
use crate::http::escape::json_escape;
use crate::http::h1::encode;
use crate::http::h1::head::Progress;
use crate::route::{Recorder, Step};
use crate::server::reload::Origin;
use crate::services::Services;
use crate::services::logs::Logs;
use crate::sys::socket::Peer;
use question::Question;
use render::Explanation;
use std::collections::HashSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::rc::Rc;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `METHOD URL`.
    pub question: String,
    /// `Name: value` each.
    pub headers: Vec<String>,
    /// The client.
    pub client: IpAddr,
    /// Over TLS, where the URL does not say.
    pub tls: bool,
}

/// Everything that the configuration listens on and answers, in the order it is tried.
pub fn everything(config: &Config, sources: &Sources) -> String {
    map::map(config, sources)
}

/// Rounds of waiting (limit_req's delay, auth_delay) that are followed.
const WAITS: usize = 4;

/// The explanation, as text.
///
/// # Errors
/// The question is none, or nothing listens where it would go; as one sentence.
pub fn explain(origin: &Origin, config: Config, sources: &Sources, asked: &Asked) -> Result<String, String> {
    // The same files in the same order: the tree's places are those of `sources`.
    let options = LoadOptions { command_line: origin.directives.clone(), ..LoadOptions::default() };
    let tree = load::load(&origin.file, &options).directives;
    let rights = rights::take(&config);
    let (mut text, here) = course(&Rc::new(config), sources, asked)?;
    if let Some(rights) = rights {
        text.insert_str(0, &format!("rights     {rights}\n"));
    }
    let _ = writeln!(text, "\nsettings at {}", sources.place(here));
    for setting in settings::at(&tree, here, sources) {
        let place = setting.place.as_deref().unwrap_or("default");
        let _ = writeln!(text, "  {:<50} {place}", setting.text);
    }
    Ok(text)
}

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
    let Some(asked) = found.asked else {
        // Only the listener is known of it, where there is one.
        let listeners = &config.endpoints;
        text.push_str("request    none: nothing of it could be read as one\n");
        for listener in listeners.iter().take(LISTENERS) {
            let _ = writeln!(text, "listener   {}  [{}]", listener.addr, sources.place(listener.span));
            let server = &config.servers[listener.default.at()];
            let _ = writeln!(text, "server     the listener's default answers  [{}]", sources.place(server.span));
        }
        let status = found.status.unwrap_or(400);
        text.push_str(&recorded::otherwise(status, "").unwrap_or_default());
        return Some(Ok(text));
    };
    Some(explain(origin, config, sources, &asked).map(|mut said| {
        if let Some(why) = found.status.and_then(|status| recorded::otherwise(status, &said)) {
            let at = said.find("\nsettings at ").map_or(said.len(), |at| at);
            said.insert_str(at, &why);
        }
        text + &said
    }))
}

/// Listeners that are named where it is not known which one it was.
const LISTENERS: usize = 8;

/// The course of a request, and the block whose settings it ends with.
fn course(config: &Rc<Config>, sources: &Sources, asked: &Asked) -> Result<(String, Span), String> {
    let mut question = Question::parse(&asked.question, &asked.headers)?;
    question.is_secure = asked.tls;
    let (endpoint, note) = question.endpoint(config)?;
    let mut logs = Logs::new();
    logs.drop_stderr();
    let mut cx = Services::new(config.clone(), logs);
    cx.trace = Some(Recorder::default());
    let peer = Peer::new(asked.client, 0);
    let accepted = cx.now.ms;
    let is_secure = config.endpoints[endpoint.at()].ssl;
    let client = Client { peer, endpoint, local: None, serial: 1, requests: 1, accepted, is_secure, socket: -1 };
    let mut active = Active::new(&mut cx, client);
    answer(&mut active, &mut cx, &question)?;
    let Active { mut ex, handler, .. } = active;

    let mut explanation = Explanation::new(config, sources);
    let listener = &config.endpoints[endpoint.at()];
    let note = note.map(|note| format!(" ({note})")).unwrap_or_default();
    explanation.line("request", &format!("{} {} from {}", question.method, question.target, asked.client));
    explanation.placed("listener", listener.span, &format!("{}{note}", listener.addr));
    let steps = cx.trace.take().map(|recorder| recorder.0).unwrap_or_default();
    explanation.steps(listener, &ex.route.host, &steps);
    let answerer = steps.iter().rev().find_map(|step| match step {
        Step::Phase { name: "handler", text, .. } => Some(text.as_str()),
        _ => None,
    });
    outcome(&mut ex, &mut cx, &handler, answerer, &mut explanation);
    Ok((explanation.finish(), ex.here().span))
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
    for asked in log.lines().filter_map(recorded::parse) {
        if !seen.insert((asked.question.clone(), asked.headers.clone(), asked.client)) {
            continue;
        }
        let [before, after] = [&old, &new].map(|(config, sources)| match course(config, sources, &asked) {
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

/// Lets the phases answer. A wait is over at once.
fn answer(active: &mut Active, cx: &mut Services, question: &Question) -> Result<(), String> {
    let Active { ex, handler, http1, .. } = active;
    http1.input.extend_from_slice(&question.head);
    match http1.parse(ex) {
        Ok(Progress::Complete) => {
            http1.hand_over(ex);
            phases::begin(ex, handler, cx);
        }
        Ok(Progress::Partial) => return Err("the request's head is not complete".into()),
        Err(why) => {
            http1.hand_over_partial(ex);
            phases::reject(ex, handler, cx, &why);
        }
    }
    respond(active, cx);
    for _ in 0..WAITS {
        let Active { ex, handler, .. } = active;
        let Some(then) = ex.pause.take().and_then(|pause| pause.then) else { break };
        phases::resume(ex, handler, cx, then);
        respond(active, cx);
    }
    while active.handler.works() {
        phases::work(&mut active.ex, &mut active.handler, cx);
        respond(active, cx);
    }
    Ok(())
}

/// Where the files of an upload go: its own directory, not where the URI leads.
fn store(ex: &mut Exchange, cx: &mut Services, explanation: &mut Explanation) {
    match ex.here().settings.upload.clone().store {
        Store::Path(ref path) => {
            let path = variables::text(path, ex, cx);
            explanation.line("store", &Printable(&path).to_string());
        }
        _ => explanation.line("file", &Printable(&ex.route.path).to_string()),
    }
}

/// The servers that one is chosen from.
fn servers(ex: &Exchange, explanation: &mut Explanation) {
    let Some(To::Fixed { upstream, .. }) = ex.here().pass.as_ref().map(|pass| &pass.to) else { return };
    let Some(group) = ex.config.upstreams.get(upstream.at()) else { return };
    let shown = |peer: &UpstreamPeer| {
        let words = [(" backup", peer.backup), (" down", peer.down)];
        let words: String = words.iter().filter(|(_, on)| *on).map(|(word, _)| *word).collect();
        format!("{}{words}", peer.name)
    };
    let peers: Vec<String> = group.peers.iter().map(shown).collect();
    explanation
        .line("upstream", &if peers.is_empty() { "known when it is looked up".to_owned() } else { peers.join(", ") });
}

/// The file and the answer.
fn outcome(
    ex: &mut Exchange,
    cx: &mut Services,
    handler: &Handler,
    answerer: Option<&str>,
    explanation: &mut Explanation,
) {
    match handler {
        _ if answerer == Some("upload") => store(ex, cx, explanation),
        Handler::Proxy(_) => servers(ex, explanation),
        // Of a status that was given (`=404`, return) the path is only where the rewriting had come to.
        _ if ex.here().content == Content::Files && !ex.route.path.is_empty() && answerer.is_some() => {
            explanation.line("file", &Printable(&ex.route.path).to_string());
        }
        _ => {}
    }
    if ex.abort {
        return explanation.line("answer", "none: the connection is closed without a word");
    }
    if ex.tx == Tx::Wait && matches!(handler, Handler::Proxy(_)) {
        return explanation.line("answer", "is the upstream's, which is not asked to find out");
    }
    if ex.tx == Tx::Wait {
        return explanation
            .line("answer", "depends on the body and on what is on disk: nothing is changed to find out");
    }
    let (status, fields) = encode::taken_apart(ex.out.text());
    explanation.line("answer", &String::from_utf8_lossy(status));
    for field in fields.filter(|field| !field.starts_with(b"Date: ")) {
        explanation.line("", &Printable(field).to_string());
    }
}

/// The explanation as JSON: the steps in their order, each with its subject, its text and the place that made it so.
pub fn json(text: &str) -> String {
    let (mut steps, mut settings, mut subject) = (Vec::new(), Vec::new(), "");
    let (explanation, set) = text.split_once("\nsettings at ").unwrap_or((text, ""));
    for line in explanation.lines() {
        // The subject has a column of its own.
        let (head, rest) = line.split_at_checked(line.find(' ').unwrap_or(line.len())).unwrap_or((line, ""));
        subject = if head.is_empty() { subject } else { head };
        let (what, place) = match rest.trim().strip_suffix(']').and_then(|rest| rest.rsplit_once("  [")) {
            Some((what, place)) => (what, place),
            None => (rest.trim(), ""),
        };
        steps.push([("subject", subject), ("text", what.trim()), ("place", place)]);
    }
    for line in set.lines().skip(1) {
        let (what, place) = line.trim().rsplit_once("  ").unwrap_or((line.trim(), ""));
        settings.push([("directive", what.trim()), ("place", place.trim()), ("", "")]);
    }
    let mut out = Vec::from(b"{\"steps\":[");
    list(&steps, &mut out);
    out.extend_from_slice(b"],\"settings\":[");
    list(&settings, &mut out);
    out.extend_from_slice(b"]}\n");
    String::from_utf8_lossy(&out).into_owned()
}

fn list(rows: &[[(&str, &str); 3]], out: &mut Vec<u8>) {
    for (at, row) in rows.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b",{" } else { b"{" });
        for (at, (name, value)) in row.iter().filter(|(name, _)| !name.is_empty()).enumerate() {
            out.extend_from_slice(if at > 0 { b",\"" } else { b"\"" });
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":\"");
            json_escape(value.as_bytes(), out);
            out.push(b'"');
        }
        out.push(b'}');
    }
}

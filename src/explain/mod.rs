//! `webserv explain`: what would happen to a request, and why, without serving it.
//!
//! This module decides nothing itself. It makes a request from the question, runs it through the serving phases
//! ([`crate::exchange::entry::begin`]) with a [`Recorder`], and prints the recorded steps. Invariant: nothing is bound,
//! logged or changed; apart from the configuration and its logs, only files that the phases look up are read.

mod follow;
mod guess_listener;
mod log_formats;
pub mod log_line;
pub mod log_requests;
mod map;
mod other_logs;
mod outcome;
mod over_http2;
mod own_process;
mod passed;
mod query;
mod question;
mod reason;
mod render;
mod request_ids;
mod rights;
mod secure;
mod settings;
mod supposed_upstream;

use crate::config::ast::{Directive, Span};
use crate::config::load;
use crate::config::load::LoadOptions;
use crate::config::model::{Config, ContentHandler, EndpointId};
use crate::config::settings::upload::Store;
use crate::config::settings::upstream::UpstreamServer as UpstreamPeer;
use crate::config::sources::Sources;
use crate::conn::Active;
use crate::conn::http2::begin;
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::UpstreamRequest;
use crate::exchange::{Client, Exchange, Printable, Tx, variables};
use crate::http::escape::json_escape;
use crate::http::h1::encode;
use crate::http::method::Method;
use crate::route::{Recorder, TraceStep};
use crate::server::reload::ConfigSource;
use crate::services::Services;
use crate::services::clock::Clock;
use crate::services::logs::Logs;
use crate::sys::socket::Peer;
use follow::Supposed;
pub use query::Query;
use question::Question;
use render::Explanation;
use std::fmt::Write;
use std::rc::Rc;

/// Everything that the configuration listens on and serves, in the order in which it is tried.
pub fn everything(config: &Config, sources: &Sources) -> String {
    map::map(config, sources)
}

/// The explanation, as text.
///
/// # Errors
/// The question is invalid, or nothing listens there; as one sentence.
pub fn explain(
    config_source: &ConfigSource,
    config: Config,
    sources: &Sources,
    asked: &Query,
) -> Result<String, String> {
    // Read before dropping rights, which may be needed to read it.
    let tree = tree(config_source);
    let rights =
        rights::take(&config).unwrap_or_else(Some).map_or(String::new(), |rights| format!("rights     {rights}\n"));
    let text = with_settings(&tree, &Rc::new(config), sources, asked, None)?;
    Ok(rights + &text)
}

/// Parses the files in the same order as before, so that the tree's spans refer to `sources`.
fn tree(config_source: &ConfigSource) -> Vec<Directive> {
    let options = LoadOptions { command_line: config_source.directives.clone(), ..LoadOptions::default() };
    load::load(&config_source.file, &options).directives
}

fn with_settings(
    tree: &[Directive],
    config: &Rc<Config>,
    sources: &Sources,
    asked: &Query,
    supposed: Option<Supposed>,
) -> Result<String, String> {
    let (text, block) = course(config, sources, tree, asked, supposed)?;
    Ok(text + &settings_at(tree, block, sources))
}

/// The settings in force at a place, as shown after the steps.
fn settings_at(tree: &[Directive], block: Span, sources: &Sources) -> String {
    let mut text = format!("\nsettings at {}\n", sources.place(block));
    for setting in settings::at(tree, block, sources) {
        let place = setting.place.as_deref().unwrap_or("default");
        let _ = writeln!(text, "  {:<50} {place}", setting.text);
    }
    text
}

/// The steps of a request, and the block whose settings apply at the end. `supposed`: the assumed upstream result.
fn course(
    config: &Rc<Config>,
    sources: &Sources,
    tree: &[Directive],
    asked: &Query,
    supposed: Option<Supposed>,
) -> Result<(String, Span), String> {
    let mut question = Question::parse(&asked.question, &asked.headers)?;
    question.is_secure = asked.tls;
    if let Some((line, is_hostless)) = &asked.line {
        question.as_sent(line, *is_hostless);
    }
    let known = asked.listener.as_deref().and_then(|addr| question::by_addr(config, addr));
    let (endpoint, note) = match known {
        Some(id) => (id, None),
        None => question.endpoint(config)?,
    };
    let http2 = asked.http2 && begin::is_spoken(config, endpoint);
    if asked.http2 && !http2 && asked.line.is_none() {
        let addr = &config.endpoints[endpoint.at()].addr;
        return Err(format!("HTTP/2 is not spoken on {addr}: its default server does not say `http2 on`"));
    }
    let (mut cx, mut active) = arrived(config, &question, endpoint, asked);
    let depends = follow::answer(&mut active, &mut cx, (&question, http2), supposed)?;
    let Active { mut ex, mut handler, .. } = active;

    let mut explanation = Explanation::new(config, sources, tree, asked.moment.is_some());
    let listener = &config.endpoints[endpoint.at()];
    let note = note.map(|note| format!(" ({note})")).unwrap_or_default();
    explanation.line("request", &format!("{} {} from {}", question.method, question.target, asked.client));
    explanation.placed("listener", listener.span, &format!("{}{note}", listener.addr));
    let steps = cx.trace.take().map(|recorder| recorder.0).unwrap_or_default();
    explanation.steps(listener, &ex.route.host, &steps);
    let answerer = steps.iter().rev().find_map(|step| match step {
        TraceStep::Phase { name: "handler", text, .. } => Some(text.as_str()),
        _ => None,
    });
    if let Some(uri) = depends {
        let what = format!("depends on what the upstream of {} answers: it is not asked", Printable(&uri));
        explanation.line("answer", &format!("{what}. Where that lets the request in:"));
    }
    if ex.progress.tx == Tx::Wait
        && let (Handler::Upstream(request), Some(_)) = (&mut handler, asked.moment)
    {
        passed::lines(request, &mut ex, &mut cx, supposed, &mut explanation);
    }
    outcome(&mut ex, &mut cx, (&handler, answerer), asked.http2, &mut explanation);
    Ok((explanation.finish(), ex.location().span))
}

/// The server at the moment of the question, and the exchange that will answer it.
fn arrived(config: &Rc<Config>, question: &Question, endpoint: EndpointId, asked: &Query) -> (Services, Active) {
    let mut logs = Logs::new();
    logs.drop_stderr();
    let mut cx = Services::new(config.clone(), logs);
    if let Some(unix) = asked.moment {
        cx.now = Clock::showing(unix);
    }
    cx.trace = Some(Recorder::default());
    let peer = Peer::new(asked.client, 0);
    let accepted = cx.now.ms;
    let is_secure = config.endpoints[endpoint.at()].ssl.is_some();
    let client = Client::of_no_connection(peer, endpoint, accepted, is_secure);
    let mut active = Active::new(&mut cx, client);
    if asked.moment.is_some() {
        active.ex.log.request_id.set(Some([0; 16]));
    }
    active.ex.client.tls = secure::facts(config, endpoint, question, asked);
    (cx, active)
}

/// Where an upload is stored: below its upload_store, or else at the path of the URI.
fn store(ex: &mut Exchange, cx: &mut Services, explanation: &mut Explanation) {
    match ex.location().settings.upload.clone().store {
        Store::Path(ref path) => {
            let path = variables::text(path, ex, cx);
            explanation.line("store", &Printable(&path).to_string());
        }
        _ => explanation.line("file", &Printable(&ex.route.path).to_string()),
    }
}

/// The servers that the balancer picks from; a CGI program has none.
fn servers(request: &UpstreamRequest, explanation: &mut Explanation) {
    let Some(group) = request.group() else { return };
    let shown = |peer: &UpstreamPeer| {
        let words = [(" backup", peer.backup), (" down", peer.down)];
        let words: String = words.iter().filter(|(_, on)| *on).map(|(word, _)| *word).collect();
        format!("{}{words}", peer.name)
    };
    let peers: Vec<String> = group.peers.iter().map(shown).collect();
    explanation
        .line("upstream", &if peers.is_empty() { "known when it is looked up".to_owned() } else { peers.join(", ") });
}

/// The file and the response.
fn outcome(
    ex: &mut Exchange,
    cx: &mut Services,
    (handler, answerer): (&Handler, Option<&str>),
    by_http2: bool,
    explanation: &mut Explanation,
) {
    match handler {
        _ if answerer == Some("upload") => store(ex, cx, explanation),
        Handler::Upstream(request) => servers(request, explanation),
        // With an explicit status (`=404`, return) the path only shows where rewriting ended.
        _ if ex.location().content == ContentHandler::Files && !ex.route.path.is_empty() && answerer.is_some() => {
            explanation.line("file", &Printable(&ex.route.path).to_string());
        }
        _ => {}
    }
    if ex.progress.abort {
        return explanation.line("answer", "none: the connection is closed without a response");
    }
    if ex.progress.tx == Tx::Wait && matches!(handler, Handler::Upstream(_)) {
        return explanation.line("answer", "is the upstream's, which is not contacted to find out");
    }
    if ex.progress.tx == Tx::Wait {
        return explanation
            .line("answer", "depends on the body and on what is on disk: nothing is changed to find out");
    }
    let (status, fields) = match by_http2 {
        true => over_http2::taken_apart(&mut ex.out),
        false => {
            let (status, fields) = encode::taken_apart(ex.out.text());
            (String::from_utf8_lossy(status).into_owned(), fields.map(<[u8]>::to_vec).collect())
        }
    };
    explanation.line("answer", &status);
    let is = |field: &[u8], name: &[u8]| field.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
    let (mut is_compressed, mut has_length) = (false, false);
    for field in fields.iter().filter(|field| !is(field, b"Date: ")) {
        is_compressed |= is(field, b"Content-Encoding: gzip");
        has_length |= is(field, b"Content-Length");
        explanation.line("", &Printable(field).to_string());
    }
    // What the server has in memory is not known here.
    if ex.route.method == Method::Head && is_compressed && !has_length {
        explanation.line("", "and a Content-Length where a GET has had the file compressed before");
    }
}

/// The explanation as JSON: the steps in order, each with its subject, its text and the deciding place.
pub fn json(text: &str) -> String {
    let (mut steps, mut settings, mut subject) = (Vec::new(), Vec::new(), "");
    let (explanation, set) = text.split_once("\nsettings at ").unwrap_or((text, ""));
    for line in explanation.lines() {
        // The subject has a column of its own.
        let (head, rest) = line.split_at_checked(line.find(' ').unwrap_or(line.len())).unwrap_or((line, ""));
        subject = if head.is_empty() { subject } else { head };
        let (what, place) = outcome::placed(rest.trim()).unwrap_or((rest.trim(), ""));
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

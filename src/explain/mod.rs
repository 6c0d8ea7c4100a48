//! `webserv explain`: what would become of a request, and why, without serving it.
//!
//! Nothing is decided here. A request is made of the question, goes through the very phases that serve
//! ([`phases::begin`]) with a [`Recorder`] watching, and what was recorded is told. Invariant: nothing is bound,
//! logged or changed; of the file system only what the phases look up is read.

mod question;
mod render;
mod settings;

use crate::config::load;
use crate::config::load::LoadOptions;
use crate::config::model::{Config, Content};
use crate::config::sources::Sources;
use crate::conn::Active;
use crate::conn::http1::respond;
use crate::exchange::handlers::Handler;
use crate::exchange::phases;
use crate::exchange::{Client, Exchange, Printable, Tx};
use crate::http::h1::head::Progress;
use crate::route::Recorder;
use crate::server::reload::Origin;
use crate::services::Services;
use crate::services::logs::Logs;
use crate::sys::socket::Peer;
use question::Question;
use render::Told;
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
    /// Who asks.
    pub client: IpAddr,
}

/// Rounds of waiting (limit_req's delay, auth_delay) that are followed.
const WAITS: usize = 4;

/// The explanation, as text.
///
/// # Errors
/// The question is none, or nobody listens where it would go; as one sentence.
pub fn explain(origin: &Origin, config: Config, sources: &Sources, asked: &Asked) -> Result<String, String> {
    let question = Question::parse(&asked.question, &asked.headers)?;
    let (endpoint, note) = question.endpoint(&config)?;
    let config = Rc::new(config);
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

    let mut told = Told::new(&config, sources);
    let listener = &config.endpoints[endpoint.at()];
    let note = note.map(|note| format!(" ({note})")).unwrap_or_default();
    told.line("request", &format!("{} {} from {}", question.method, question.target, asked.client));
    told.placed("listener", listener.span, &format!("{}{note}", listener.addr));
    let steps = cx.trace.take().map(|recorder| recorder.0).unwrap_or_default();
    told.steps(listener, &ex.route.host, &steps);
    outcome(&mut ex, &handler, &mut told);
    let mut text = told.finish();
    // The same files in the same order: the tree's places are those of `sources`.
    let options = LoadOptions { command_line: origin.directives.clone(), ..LoadOptions::default() };
    let tree = load::load(&origin.file, &options).directives;
    let here = ex.here();
    let _ = writeln!(text, "\nsettings at {}", sources.place(here.span));
    for setting in settings::at(&tree, here.span, sources) {
        let place = setting.place.as_deref().unwrap_or("default");
        let _ = writeln!(text, "  {:<50} {place}", setting.text);
    }
    Ok(text)
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

/// The file and the answer.
fn outcome(ex: &mut Exchange, handler: &Handler, told: &mut Told) {
    if ex.here().content == Content::Files && !ex.route.path.is_empty() {
        told.line("file", &Printable(&ex.route.path).to_string());
    }
    if ex.abort {
        return told.line("answer", "none: the connection is closed without a word");
    }
    if ex.tx == Tx::Wait && matches!(handler, Handler::Proxy(_)) {
        return told.line("answer", "is the upstream's: nobody is asked to find out");
    }
    if ex.tx == Tx::Wait {
        return told.line("answer", "depends on the body and on what is on disk: nothing is changed to find out");
    }
    let head = ex.out.text();
    let end = memchr::memmem::find(head, b"\r\n\r\n").unwrap_or(head.len());
    let head = String::from_utf8_lossy(head.get(..end).unwrap_or_default()).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    told.line("answer", status.strip_prefix("HTTP/1.1 ").unwrap_or(status));
    for line in lines.filter(|line| !line.starts_with("Date: ")) {
        told.line("", &Printable(line.as_bytes()).to_string());
    }
}

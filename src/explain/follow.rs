//! Runs a request through the serving phases without a client: delays end at once, and an auth_request subrequest is
//! followed if this server answers it itself.

use super::over_http2;
use super::question::Question;
use crate::conn::http1::state::Http1;
use crate::conn::request::respond;
use crate::conn::{Active, subrequests};
use crate::exchange::flow::{Flow, Phase, Then};
use crate::exchange::handlers::{Handler, upstream};
use crate::exchange::{Printable, Tx, entry, phases};
use crate::http::h1::head::HeadProgress;
use crate::http::status::Status;
use crate::route::{Recorder, Trace, TraceStep};
use crate::services::Services;

/// Maximum number of delays (limit_req, auth_delay) that are skipped.
const WAITS: usize = 4;

/// Runs the phases. Some: the URI of an auth_request subrequest that goes to an upstream, which is not contacted.
///
/// # Errors
/// The question has no complete request head.
pub fn answer(
    active: &mut Active,
    cx: &mut Services,
    (question, http2): (&Question, bool),
    supposed: Option<Supposed>,
) -> Result<Option<Vec<u8>>, String> {
    enter(active, cx, question, http2)?;
    respond(active, cx);
    let mut depends = go_on(active, cx);
    if let Some(supposed) = supposed
        && suppose(active, cx, supposed)
    {
        depends = go_on(active, cx).or(depends);
    }
    Ok(depends)
}

/// Passes the head to the exchange, as its protocol does, and begins the request.
fn enter(active: &mut Active, cx: &mut Services, question: &Question, http2: bool) -> Result<(), String> {
    let Active { ex, handler, reader, .. } = active;
    if http2 {
        match over_http2::begin(question, ex, reader) {
            Ok(()) => entry::begin(ex, handler, cx),
            Err(why) => entry::reject(ex, handler, cx, &why),
        }
        return Ok(());
    }
    let mut http1 = Http1::default();
    reader.input.extend_from_slice(&question.head);
    match http1.parse(ex, reader) {
        Ok(HeadProgress::Complete) => {
            http1.hand_over(ex, reader);
            entry::begin(ex, handler, cx);
        }
        Ok(HeadProgress::Partial) => return Err("the request's head is not complete".into()),
        Err(why) => {
            http1.hand_over_partial(ex, reader);
            entry::reject(ex, handler, cx, &why);
        }
    }
    Ok(())
}

/// An assumed result of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supposed {
    /// No usable response; with the status that this server answers then.
    Fault(Status),
    /// A response of this status.
    Answer(Status),
}

/// Continues as if the upstream had given that result. False: the request is not at an upstream.
fn suppose(active: &mut Active, cx: &mut Services, supposed: Supposed) -> bool {
    let Active { ex, handler, .. } = active;
    if ex.progress.tx != Tx::Wait || !matches!(handler, Handler::Upstream(_)) {
        return false;
    }
    let (status, is_own) = match supposed {
        Supposed::Fault(status) => {
            cx.trace.say("upstream", None, || format!("as was logged, gives no usable answer: {}", status.0));
            (status, true)
        }
        Supposed::Answer(status) => {
            cx.trace.say("upstream", None, || format!("as was logged, answers {}", status.0));
            (status, upstream::is_intercepted(ex, status))
        }
    };
    if is_own {
        phases::apply_flow(ex, handler, cx, Flow::Status(status));
        respond(active, cx);
    }
    true
}

/// Skips delays and runs subrequests until an upstream is needed or the request is done. Some: the URI of an
/// auth_request subrequest that goes to an upstream.
fn go_on(active: &mut Active, cx: &mut Services) -> Option<Vec<u8>> {
    let (mut waits, mut depends) = (0, None);
    loop {
        let Active { ex, handler, .. } = active;
        if waits < WAITS
            && let Some(then) = ex.progress.pause.take().and_then(|pause| pause.then)
        {
            waits += 1;
            phases::resume(ex, handler, cx, then);
            respond(active, cx);
        } else if handler.works() {
            phases::work(ex, handler, cx);
            respond(active, cx);
        } else if let Handler::Subrequest(uri) = handler {
            let uri = uri.to_vec();
            if !decided(active, cx, &uri) {
                depends = Some(uri);
            }
        } else {
            return depends;
        }
    }
}

/// Runs the auth_request subrequest and records it as one step. False: it would go to an upstream, so success is
/// assumed.
fn decided(active: &mut Active, cx: &mut Services, uri: &[u8]) -> bool {
    cx.trace.say("access", None, || format!("auth_request: {} is asked", Printable(uri)));
    // The subrequest's own steps are not shown.
    let steps = cx.trace.replace(Recorder::default());
    subrequests::switch(active, cx);
    for _ in 0..WAITS {
        let Active { ex, handler, .. } = &mut *active;
        let Some(then) = ex.progress.pause.take().and_then(|pause| pause.then) else { break };
        phases::resume(ex, handler, cx, then);
        respond(active, cx);
    }
    let is_over = subrequests::is_over(active);
    let at_location = active.ex.location().span;
    let status = active.ex.response.status.0;
    let own = std::mem::replace(&mut cx.trace, steps).map(|recorder| recorder.0).unwrap_or_default();
    let decisive = own.iter().rev().find_map(|step| match step {
        TraceStep::Phase { at, .. } => *at,
        _ => None,
    });
    if is_over {
        let at = decisive.unwrap_or(at_location);
        cx.trace.say("access", Some(at), || format!("{} is answered {status}", Printable(uri)));
        subrequests::switch(active, cx);
        return true;
    }
    cx.trace.say("access", Some(at_location), || format!("{} is an upstream's to answer", Printable(uri)));
    subrequests::unwind(active, cx);
    let Active { ex, handler, .. } = &mut *active;
    if let Some(asked) = &mut ex.nesting.auth_request {
        asked.verdict = Some(Status::OK);
    }
    phases::resume(ex, handler, cx, Then::Phase(Phase::Access));
    respond(active, cx);
    false
}

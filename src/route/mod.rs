//! Which server and which location a request belongs to. Pure: configuration and bytes in, ids out. The same code
//! decides for the server and explains for `webserv explain`; a [`Trace`] watches it.

pub mod location;
pub mod server;

use crate::config::ast::Span;
use crate::config::model::{LocationId, ServerId};

/// A step of a decision, for a recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceStep {
    /// The server that answers, and the rule that chose it.
    Server { id: ServerId, rule: server::Rule },
    /// A location is looked for.
    Search { server: ServerId, uri: Vec<u8> },
    /// A location was looked at.
    Location { id: LocationId, verdict: location::LocationVerdict },
    /// What a later phase came to, in words; `at` is the directive that made it so.
    Phase { name: &'static str, at: Option<Span>, text: String },
}

/// Watches a decision. [`NoTrace`] compiles to nothing.
pub trait Trace {
    /// Takes a step of the decision. The closure is called only by a trace that records.
    fn step(&mut self, step: impl FnOnce() -> TraceStep);

    /// A step of a phase, in words that are made only where they are recorded.
    #[inline]
    fn say(&mut self, name: &'static str, at: Option<Span>, text: impl FnOnce() -> String) {
        self.step(|| TraceStep::Phase { name, at, text: text() });
    }
}

/// Nothing is recorded.
pub struct NoTrace;

impl Trace for NoTrace {
    #[inline]
    fn step(&mut self, _: impl FnOnce() -> TraceStep) {}
}

/// Keeps every step.
#[derive(Default)]
pub struct Recorder(pub Vec<TraceStep>);

impl Trace for Recorder {
    fn step(&mut self, step: impl FnOnce() -> TraceStep) {
        self.0.push(step());
    }
}

/// A trace that is there or not is known at run time: for the phases of a request, which are compiled once for both.
impl Trace for Option<Recorder> {
    #[inline]
    fn step(&mut self, step: impl FnOnce() -> TraceStep) {
        if let Some(recorder) = self {
            recorder.step(step);
        }
    }
}

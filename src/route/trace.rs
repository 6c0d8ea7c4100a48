//! Records the steps of a routing decision for `webserv explain`. A server records nothing.

use crate::config::ast::Span;
use crate::config::model::{LocationId, ServerId};

/// The rule by which a server was selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A name without a wildcard; `server_name ""` for a request without Host.
    Exact,
    /// `*.example.com` or `.example.com`.
    Suffix,
    /// `www.example.*`.
    Prefix,
    /// A regex, by its index in the endpoint's list.
    Regex(usize),
    /// No name matched: `default_server`, or the endpoint's first server.
    Default,
}

/// How a location matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocationVerdict {
    /// The URI is its name.
    Exact,
    /// The longest prefix of its level; a regex may still win.
    LongestPrefix,
    /// A `^~` prefix: the regexes of its level are not tried.
    FinalPrefix,
    /// The first regex that matches.
    Regex,
}

/// A step of a decision, for a recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceStep {
    /// The server that answers, and the rule that chose it.
    Server { id: ServerId, rule: Rule },
    /// A location is looked for.
    Search { server: ServerId, uri: Vec<u8> },
    /// A location was looked at.
    Location { id: LocationId, verdict: LocationVerdict },
    /// A decision of a later phase, in words; `at` is the directive that caused it.
    Phase { name: &'static str, at: Option<Span>, text: String },
}

/// Receives the steps of a decision.
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

/// For the phases of a request, which are compiled once for server and `explain`: None records nothing.
impl Trace for Option<Recorder> {
    #[inline]
    fn step(&mut self, step: impl FnOnce() -> TraceStep) {
        if let Some(recorder) = self {
            recorder.step(step);
        }
    }
}

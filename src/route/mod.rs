//! Which server and which location a request belongs to. Pure: configuration and bytes in, ids out. The same code
//! decides for the server and explains for `webserv explain`; a [`Trace`] watches it.

pub mod location;
pub mod server;
mod trace;

pub use trace::{LocationVerdict, NoTrace, Recorder, Rule, Trace, TraceStep};

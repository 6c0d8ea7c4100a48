//! One request at a time on a transport: its body is read, its response is queued and written. The transport is a
//! connection of HTTP/1 or a stream of HTTP/2: only [`mod@write`] asks for its frames, and [`read`] for the fault of
//! its body. Its head, and what is between requests, are the protocol's ([`super::http1`], [`super::http2`]).
//!
//! How a protocol drives an exchange: once a head is complete it becomes the exchange's
//! [`Request`](crate::exchange::request::Request) and [`entry::begin`](crate::exchange::entry::begin) decides. Body
//! bytes go to the handler ([`read`]). Whenever a phase or a handler has decided on the answer, the exchange is
//! [`Tx::Ready`](crate::exchange::Tx): [`respond`](respond()) decides what becomes of the connection and has it queued.
//!
//! - [`state`]: how far the request has been read
//! - [`read`], [`drain`]: bodies
//! - [`respond`](respond()): whether the connection outlives a response, and its head
//! - [`mod@write`]: the queue to the socket
//! - [`log`]: the request counted and logged

pub mod drain;
pub mod log;
pub mod read;
mod respond;
mod splice;
pub mod state;
pub mod write;

pub use respond::{begin_streamed, queue, respond};
pub use state::RequestReader;

//! HTTP/1 on a connection: requests one after the other, read into one buffer, answered in order. [`Http1`] is what the
//! connection knows beside the exchange, which knows nothing of it. A stream of HTTP/2 has a connection of its own here, with one
//! request in it: what reads bodies and writes responses serves both protocols.
//!
//! How a protocol drives an exchange: once a head is complete it becomes the exchange's
//! [`Request`](crate::exchange::request::Request) and [`entry::begin`](crate::exchange::entry::begin) decides. Body bytes
//! go to the handler ([`read`]). Whenever a phase or a handler has settled the answer, the exchange is
//! [`Tx::Ready`](crate::exchange::Tx): [`respond`](respond()) decides what becomes of the connection and has it queued.
//!
//! - [`read`], [`drain`]: heads and bodies
//! - [`respond`](respond()): whether the connection outlives a response, and its head
//! - [`mod@write`]: the queue to the socket
//! - [`keep_alive`]: between two requests
//! - [`fast_path`]: cached responses, without an exchange

pub mod drain;
pub mod fast_path;
pub mod keep_alive;
pub mod proxy_protocol;
pub mod read;
mod respond;
pub mod send_batch;
mod splice;
pub mod state;
pub mod write;

pub use respond::{begin_streamed, queue, respond};
pub use state::Http1;

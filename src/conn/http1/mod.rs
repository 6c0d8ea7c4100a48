//! What only a connection of HTTP/1 has: requests one after the other in one buffer, answered in order. Each of them is
//! read and answered by [`super::request`].
//!
//! - [`head`]: the head of a request, read and parsed; [`state`]: how far it has come
//! - [`keep_alive`]: between two requests: wakes, goes on to the next, goes idle
//! - [`fast_path`], [`head_finder`], [`send_batch`]: cached responses, without an exchange
//! - [`proxy_protocol`]: the header before the first request

pub mod fast_path;
pub mod head;
pub mod head_finder;
pub mod keep_alive;
pub mod proxy_protocol;
pub mod send_batch;
pub mod state;

//! HTTP/1 on a client's connection: reading heads and bodies, writing the queue, the fast path for cached responses.

pub mod drain;
pub mod fast_path;
pub mod keep_alive;
pub mod proxy_protocol;
pub mod read;
pub mod send_batch;
mod splice;
pub mod write;

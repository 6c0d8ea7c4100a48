//! HTTP/1 on a client's connection: reading heads and bodies, writing the queue, the fast path for cached responses.

pub mod fast_path;
pub mod read;
mod splice;
pub mod write;

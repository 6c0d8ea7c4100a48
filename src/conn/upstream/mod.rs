//! The upstream's side of a proxied exchange: the pool of connections, and moving a request out and its response in.

pub mod exchange;
pub mod pool;
mod talk;

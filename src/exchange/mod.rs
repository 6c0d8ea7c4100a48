//! (module docs)

pub mod handlers;

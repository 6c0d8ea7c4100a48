//! Header compression (RFC 7541).

pub mod decode;
pub mod encode;
pub mod static_table;
pub mod table;

pub use decode::{Block, Bounds, Decoder};

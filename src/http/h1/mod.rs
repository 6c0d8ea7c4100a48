//! HTTP/1.1's wire format (RFC 9112), sans-IO: request heads, response heads of upstreams, framing, body decoding, and
//! responses as text ([`encode`]).

pub mod body;
pub mod encode;
pub mod field;
pub mod framing;
pub mod head;
pub mod response;
pub mod target;
pub mod unique;

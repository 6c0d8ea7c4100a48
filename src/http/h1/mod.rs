//! HTTP/1.1's wire format (RFC 9112), sans-IO: request heads, response heads of upstreams, framing, body decoding, and
//! messages as text ([`encode`] of responses, [`request`]).

pub mod body;
pub mod encode;
pub mod field;
pub mod framing;
pub mod head;
pub mod request;
pub mod response;
pub mod target;
pub mod unique;

//! HTTP/1.1's wire format (RFC 9112), sans-IO: request heads, response heads of upstreams, framing, body decoding, and
//! messages as text.
//!
//! - [`head`]: the request head, parsed in place and resumable; [`target`]: its line and the four forms of a target
//! - [`framing`]: how long the body is, and what decides that; [`body`]: Content-Length and chunked bodies, decoded;
//!   [`extension`]: what may stand behind the size of a chunk
//! - [`unique`]: fields that may stand only once; [`field`]: one line
//! - [`response`]: the head of an upstream's response
//! - [`encode`]: responses as text; [`request`]: requests to upstreams

pub mod body;
pub mod encode;
pub mod extension;
pub mod field;
pub mod framing;
pub mod head;
pub mod request;
pub mod response;
pub mod target;
pub mod unique;

//! HTTP/1.1's wire format (RFC 9112), sans-IO: request heads, framing, chunks, and
//! messages as text. What is read becomes data that HTTP/2 fills as well: [`super::request_head`].
//!
//! - [`head`]: the request head, parsed in place and resumable; [`request_line`], [`field_line`]: its lines
//! - [`framing`]: which fields say how long the body is; [`chunked`]: bodies in chunks; [`extension`]: what may stand
//!   behind the size of a chunk
//! - [`response`]: what is its own of the head of an upstream's response, which [`super::response_parser`] reads
//! - [`encode`]: responses as text, [`status_line`]: their first line; [`request`]: requests to upstreams

pub mod chunked;
pub mod encode;
pub mod extension;
pub mod field_line;
pub mod framing;
pub mod head;
pub mod request;
pub mod request_line;
pub mod response;
pub mod status_line;

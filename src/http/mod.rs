//! HTTP without I/O: bytes in, structures and verdicts out. No system call, no socket, no file, no clock, no
//! configuration. The caller owns every buffer; needing more bytes is a normal result, never an error; nothing here
//! panics on what a client sent.
//!
//! | module | subject |
//! |---|---|
//! | [`h1`] | HTTP/1.1: heads, framing, chunks, and how they are written |
//! | [`h2`] | HTTP/2: frames, header compression, connections and their streams |
//! | [`uri`], [`escape`] | normal form of a path; text escapes |
//! | [`header`], [`method`], [`version`], [`status`], [`host`] | the vocabulary |
//! | [`request_head`], [`request_target`], [`field`], [`body_length`] | a request's head as data of no protocol |
//! | [`body_reader`] | a body as it is read, whatever protocol carries it |
//! | [`upstream_head`], [`response_parser`], [`cgi`] | the head of an upstream's response as data, and its parser |
//! | [`field_syntax`], [`repeated`] | the syntax of fields, and which may stand only once |
//! | [`forwarded`] | what proxies in front say of a request (RFC 7239) |
//! | [`cond`], [`etag`], [`range`], [`date`] | conditional and range requests (RFC 9110 §13, §14) |
//! | [`structured`] | dictionaries of structured fields (RFC 9651) |
//! | [`dav`] | request bodies, `If` and lock tokens of WebDAV (RFC 4918) |
//! | [`multipart`], [`disposition`] | form uploads (RFC 7578) |
//! | [`fields`], [`response_head`] | fields that are sent, a response's head as data |
//! | [`file_response`] | what all responses with a file have in common, kept with it |
//! | [`media_type`] | the type that a file's extension stands for |
//! | [`proxy_protocol`] | the header that a load balancer puts before a connection's bytes |
//! | [`secure_link`], [`signed_link`] | links that carry a permission: nginx's, and ours |
//! | [`reject`] | everything a client can do wrong, as data |
//! | [`fastcgi`], [`scgi`] | the request formats of application servers; FastCGI's records |

pub mod body_length;
pub mod body_reader;
pub mod cgi;
pub mod cond;
pub mod date;
pub mod dav;
pub mod disposition;
pub mod escape;
pub mod etag;
pub mod fastcgi;
pub mod field;
pub mod field_syntax;
pub mod fields;
pub mod file_response;
pub mod forwarded;
pub mod h1;
pub mod h2;
pub mod header;
pub mod host;
pub mod media_type;
pub mod method;
pub mod multipart;
pub mod proxy_protocol;
pub mod range;
pub mod reject;
pub mod repeated;
pub mod request_head;
pub mod request_target;
pub mod response_head;
pub mod response_parser;
pub mod scgi;
pub mod secure_link;
pub mod signed_link;
pub mod status;
pub mod structured;
pub mod upstream_head;
pub mod uri;
pub mod version;

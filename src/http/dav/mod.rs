//! WebDAV as text (RFC 4918): request bodies, the `If` header, lock tokens and timeouts. No files, no answers.
//!
//! - [`xml`]: a bounded reader, which expands no entities, and what is written
//! - [`body`]: what PROPFIND, PROPPATCH and LOCK ask for
//! - [`condition`] reads `If`
//! - [`lock`] reads `Timeout` and `Lock-Token`

pub mod body;
pub mod condition;
pub mod lock;
pub mod xml;

/// The namespace of RFC 4918.
pub const DAV: &str = "DAV:";

//! The client that a request names by its credentials. An unfinished upload and a lock of WebDAV belong to the client
//! that began them: their id or token stands in logs and answers, where others may read it (RFC 4918 §6.4).
//!
//! Invariant: two requests have the same principal only if they carry the same name; requests without a name share
//! the empty one.

use crate::config::template::Builtin;
use crate::exchange::{Exchange, variables};

/// The user name of Basic credentials, as `$remote_user`; else the subject of a verified client certificate; else empty.
pub fn of(ex: &Exchange) -> Vec<u8> {
    let mut name = Vec::new();
    variables::remote_user_of(ex, &mut name);
    if name.is_empty()
        && let Some(facts) = ex.tls.as_deref().filter(|facts| facts.verdict == Some(Ok(())))
    {
        facts.value(Builtin::SslClientSDn, 0, &mut name);
    }
    name
}

//! The client that a request is proven to come from. An unfinished upload and a lock of WebDAV belong to the client
//! that began them: their id or token stands in logs and answers, where others may read it (RFC 4918 §6.4).
//!
//! Invariant: a name counts only where it was verified, and a user is no certificate of the same name; requests without
//! a verified name share the empty one.

use crate::config::template::Builtin;
use crate::exchange::{Exchange, tls, variables};

/// The user whose password auth_basic found right; else the subject of a verified client certificate; else empty.
pub fn of(ex: &Exchange) -> Vec<u8> {
    if ex.route.authenticated {
        let mut name = b"user ".to_vec();
        variables::remote_user_of(ex, &mut name);
        return name;
    }
    let mut name = Vec::new();
    if tls::verdict(ex) == Some(Ok(())) {
        name.extend_from_slice(b"certificate ");
        tls::value(ex, Builtin::SslClientSDn, 0, &mut name);
    }
    name
}

//! What a block is, read off its directives.

use crate::config::ast::{Directive, Word};

/// The name of a location with its modifier, if it has one.
pub fn location(d: &Directive) -> Option<(&[u8], &Word)> {
    match &d.args[..] {
        _ if !d.name.is("location") => None,
        [name] => Some((b"", name)),
        [modifier, name] => Some((modifier.bytes(), name)),
        _ => None,
    }
}

/// Whether something here asks who the client is.
pub fn asks_who(level: &[Directive]) -> bool {
    level.iter().any(|d| match d.name.bytes() {
        b"auth_basic" => d.args.iter().all(|word| !word.is("off")),
        b"deny" | b"internal" | b"auth_request" | b"ssl_verify_client" | b"return" => true,
        b"limit_except" => d.block.as_deref().is_some_and(asks_who),
        _ => false,
    })
}

/// A regex location that has files run by their suffix, wherever they are.
pub fn runs(d: &Directive) -> bool {
    let pass = ["fastcgi_pass", "uwsgi_pass", "scgi_pass", "cgi_pass"];
    location(d).is_some_and(|(modifier, regex)| modifier.starts_with(b"~") && !regex.bytes().starts_with(b"^/"))
        && d.block.iter().flatten().any(|d| pass.iter().any(|name| d.name.is(name)))
}

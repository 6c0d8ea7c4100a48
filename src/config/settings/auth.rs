//! Passwords, and how they go with addresses.

use crate::config::template::Template;
use crate::config::value::Millis;

#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// What the client is told it asks a password for. None: no password is asked.
    pub realm: Option<Template>,
    pub file: Option<Template>,
    pub satisfy: Satisfy,
    /// How long a refusal for a wrong password is held back.
    pub delay: Millis,
}

/// How many of the access rules must let a client in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Satisfy {
    #[default]
    All,
    Any,
}

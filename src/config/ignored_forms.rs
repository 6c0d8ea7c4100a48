//! The forms of what nginx lets the directives say that are ignored here, each named at its row of [`super::known`]:
//! their names and sets of words, and no more. [`super::ignored_values`] compares words with them.

/// The words that a directive takes; [`Form::is_single`] knows which may stand once at a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Any,
    Number,
    /// From 1 on.
    Positive,
    /// A power of two.
    Power,
    /// A whole number, with a sign or without. Only one that is not zero makes another a duplicate.
    Priority,
    Size,
    /// A size that nginx can make a pool of.
    Pool,
    Offset,
    /// `off`, or a size.
    OffOrOffset,
    Millis,
    Seconds,
    /// One of these sizes.
    OneSize(&'static [u64]),
    /// A size, and the least that it may be.
    SizeFrom(u64),
    /// A number of buffers and the size of each.
    Buffers,
    /// One of these, or of those that end in `=`, with a value.
    Choice(&'static [&'static str]),
    /// Each word is one of these.
    Words(&'static [&'static str]),
    /// As proxy_next_upstream has them.
    NextUpstream,
    /// Statuses or `any`, and a time.
    Valid,
    /// `off`, or `max=N` among others: these.
    Cache(&'static [&'static str]),
    /// A directory, and a zone for the keys among others.
    CachePath,
    /// A name of a browser and a version, or `unlisted`.
    Browser,
    /// Values with variables.
    Texts,
    /// `auto`, or which processors a process may run on, as ones and zeros.
    Masks,
    /// `off`, or one letter, digit or `=`.
    Mark,
    /// `off`, `max` or a time.
    Expiry,
    /// The same, once.
    Text,
    /// A name, and a value with variables.
    Field,
    /// An address of this machine, or a value that makes one.
    Address,
    /// A size that Linux has no use for.
    LowMark,
    /// `off`, or `shared:NAME:SIZE`.
    OcspCache,
    /// A file of passwords, which nginx reads at once.
    Passwords,
    /// Obsolete in nginx too, which warns: what to use instead, where there is something.
    Obsolete(Option<&'static str>),
}

impl Form {
    /// The directive may stand once at a level.
    pub fn is_single(self) -> bool {
        use Form::{Browser, CachePath, Field, NextUpstream, Obsolete, Priority, Texts, Valid, Words};
        !matches!(self, Words(_) | NextUpstream | Valid | CachePath | Browser | Texts | Field | Priority | Obsolete(_))
    }

    /// nginx no longer reads the words.
    pub fn is_obsolete(self) -> bool {
        matches!(self, Form::Obsolete(_))
    }
}

/// What a cache of files keeps, and for how long.
pub const KEPT: &[&str] = &["max", "inactive"];
pub const KEPT_VALID: &[&str] = &["max", "inactive", "valid"];
pub const FLAGS: &[&str] = &["off", "secure", "httponly", "samesite=strict", "samesite=lax", "samesite=none"];
pub const PROTOCOLS: &[&str] = &["sslv2", "sslv3", "tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"];
pub const MEMCACHED_NEXT: &[&str] = &["error", "timeout", "invalid_response", "not_found", "off"];

//! The argument forms that nginx accepts for directives that are ignored here; [`super::known`] names one per row. Only
//! the forms and their word lists; [`super::ignored_values`] checks arguments against them.

use super::settings::proxy;

/// The arguments that a directive takes; [`Form::is_single`] says which may occur only once per level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Any one word.
    Any,
    /// A number from 0 on.
    Number,
    /// A number from 1 on.
    Positive,
    /// A power of two.
    Power,
    /// An integer with optional sign. It counts as set, for "is duplicate", only if it is not zero.
    Priority,
    /// Bytes, with `k` or `m`.
    Size,
    /// A size that nginx accepts for a memory pool.
    Pool,
    /// Bytes, with `k`, `m` or `g`.
    Offset,
    /// `off`, or a size.
    OffOrOffset,
    /// A time in milliseconds, as `500ms` or `1m 30s`.
    Millis,
    /// A time in whole seconds.
    Seconds,
    /// One of these sizes.
    OneSize(&'static [u64]),
    /// A size, and its minimum.
    SizeFrom(u64),
    /// A number of buffers and the size of each.
    Buffers,
    /// One of these words, or one ending in `=` followed by a value.
    Choice(&'static [&'static str]),
    /// Any number of these words.
    Words(&'static [&'static str]),
    /// The conditions of proxy_next_upstream, or of a counterpart that has these.
    NextUpstream(&'static [(&'static str, proxy::NextUpstream)]),
    /// Statuses or `any`, then a time.
    Valid,
    /// `off`, or `max=N` and other parameters, namely these.
    Cache(&'static [&'static str]),
    /// A directory, a key zone and other parameters.
    CachePath,
    /// A browser name and a version, or `unlisted`.
    Browser,
    /// `on`, `off`, or `threads`, with a pool of them or without.
    Aio,
    /// A name, and how many threads.
    ThreadPool,
    /// Values with variables.
    Texts,
    /// `auto`, or CPU masks of ones and zeros.
    Masks,
    /// `off`, or one letter, digit or `=`.
    Mark,
    /// `off`, `max` or a time.
    Expiry,
    /// One value with variables, once per level.
    Text,
    /// A field name, and a value with variables.
    Field,
    /// A local address, or a value that expands to one.
    Address,
    /// A size that Linux ignores (low-water mark).
    LowMark,
    /// `off`, or `shared:NAME:SIZE`.
    OcspCache,
    /// A password file, which nginx reads while loading.
    Passwords,
    /// Obsolete in nginx too, which warns; with the replacement, if there is one.
    Obsolete(Option<&'static str>),
}

impl Form {
    /// Whether the directive may occur only once per level.
    pub fn is_single(self) -> bool {
        use Form::{Browser, CachePath, Field, NextUpstream, Obsolete, Priority, Texts, ThreadPool, Valid, Words};
        !matches!(
            self,
            Words(_)
                | NextUpstream(_)
                | Valid
                | CachePath
                | Browser
                | ThreadPool
                | Texts
                | Field
                | Priority
                | Obsolete(_)
        )
    }

    /// Whether nginx no longer reads the arguments.
    pub fn is_obsolete(self) -> bool {
        matches!(self, Form::Obsolete(_))
    }
}

/// Parameters of file caches: size and lifetime.
pub const KEPT: &[&str] = &["max", "inactive"];
/// Parameters of open_file_cache and the like.
pub const KEPT_VALID: &[&str] = &["max", "inactive", "valid"];
/// Flags of a cookie.
pub const FLAGS: &[&str] = &["off", "secure", "httponly", "samesite=strict", "samesite=lax", "samesite=none"];
/// Protocols of TLS as nginx spells them, in lower case.
pub const PROTOCOLS: &[&str] = &["sslv2", "sslv3", "tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"];
/// proxy_next_upstream.
pub const PROXY_NEXT: Form = Form::NextUpstream(proxy::NextUpstream::WORDS);
/// fastcgi_next_upstream and its counterparts.
pub const GATEWAY_NEXT: Form = Form::NextUpstream(proxy::NextUpstream::OF_GATEWAYS);
/// grpc_next_upstream.
pub const GRPC_NEXT: Form = Form::NextUpstream(proxy::NextUpstream::OF_GRPC);
/// memcached_next_upstream.
pub const MEMCACHED_NEXT: &[&str] = &["error", "timeout", "invalid_response", "not_found", "off"];

//! gzip and gzip_static.

use super::charset::TypeSet;
use crate::config::pattern::Pattern;
use crate::config::value::Size;
use std::rc::Rc;

/// gzip, gzip_static and their siblings.
#[derive(Clone, Debug)]
pub struct Gzip {
    /// `gzip`.
    pub on: bool,
    /// gzip_types.
    pub types: TypeSet,
    /// gzip_comp_level, 1 to 9.
    pub level: u32,
    /// By Content-Length; a body without one is compressed.
    pub min_length: Size,
    /// gzip_vary: `Vary: Accept-Encoding` is sent.
    pub vary: bool,
    /// gzip_proxied.
    pub proxied: Proxied,
    /// gzip_disable.
    pub disable: Rc<Disable>,
    /// Whether HTTP/1.0 clients get gzip too.
    pub http10: bool,
    /// gzip_static.
    pub stored: Stored,
}

/// `gzip_static`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Off.
    Off,
    /// If the client accepts it.
    On,
    /// Even if the client does not accept gzip.
    Always,
}

/// `gzip_disable`.
#[derive(Debug, Default)]
pub struct Disable {
    /// Patterns for User-Agent.
    pub agents: Vec<Pattern>,
    /// Internet Explorer 4 to 6, but for 6 with SV1 (nginx).
    pub msie6: bool,
}

/// Conditions of which one must be true for a request through a proxy (Via) to get gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Proxied {
    /// Any such request.
    pub any: bool,
    /// Expires lies in the past.
    pub expired: bool,
    /// `Cache-Control: no-cache`.
    pub no_cache: bool,
    /// `Cache-Control: no-store`.
    pub no_store: bool,
    /// `Cache-Control: private`.
    pub private: bool,
    /// Without Last-Modified.
    pub no_last_modified: bool,
    /// Without ETag.
    pub no_etag: bool,
    /// With Authorization.
    pub auth: bool,
}

impl Default for Gzip {
    fn default() -> Gzip {
        Gzip {
            on: false,
            types: TypeSet::of(&["text/html"]),
            level: 1,
            min_length: Size(20),
            vary: false,
            proxied: Proxied::default(),
            disable: Rc::default(),
            http10: false,
            stored: Stored::Off,
        }
    }
}

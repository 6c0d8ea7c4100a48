//! gzip and gzip_static.

use super::charset::TypeSet;
use crate::config::pattern::Pattern;
use crate::config::value::Size;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub struct Gzip {
    pub on: bool,
    pub types: TypeSet,
    pub level: u32,
    pub min_length: Size,
    pub vary: bool,
    pub proxied: Proxied,
    pub disable: Rc<Disable>,
    /// Whether HTTP/1.0 clients get gzip too.
    pub http10: bool,
    pub stored: Stored,
}

/// `gzip_static`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Off,
    On,
    /// Even if the client does not accept gzip.
    Always,
}

/// `gzip_disable`.
#[derive(Debug, Default)]
pub struct Disable {
    pub agents: Vec<Pattern>,
    pub msie6: bool,
}

/// Conditions of which one must be true for a request through a proxy (Via) to get gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Proxied {
    pub any: bool,
    pub expired: bool,
    pub no_cache: bool,
    pub no_store: bool,
    pub private: bool,
    pub no_last_modified: bool,
    pub no_etag: bool,
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

//! Which file a URI maps to, and how it is read.

use super::list::List;
use crate::config::template::Template;
use crate::config::value::Size;
use crate::util::hash::FastMap;
use std::rc::Rc;

/// Extension to content type.
pub type Types = FastMap<Box<[u8]>, Rc<[u8]>>;

/// root, alias, index, types and how files are opened.
#[derive(Clone, Debug)]
pub struct Files {
    /// The document root; absolute unless it starts with a variable.
    pub root: Template,
    /// `alias`: `root` replaces this many bytes at the start of the URI (the location's name).
    pub alias: Option<u32>,
    /// Tried in order.
    pub index: List<Index>,
    /// Extension (lower case, no dot) to type. None: the configuration names no types.
    pub types: Option<Rc<Types>>,
    /// Without a type by extension.
    pub default_type: Rc<[u8]>,
    /// Large files are sent by sendfile(2).
    pub sendfile: bool,
    /// A missing file is an error in the log.
    pub log_not_found: bool,
    /// disable_symlinks.
    pub symlinks: Symlinks,
    /// Maximum bytes of small files cached, over all locations.
    pub cache_size: Size,
    /// Bytes of the response cache.
    pub repeat_cache_size: Size,
}

/// One file of `index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name, or a URI.
    pub file: Template,
    /// Whether it began with `/`: then it is an internal redirect, not a file in the directory.
    pub absolute: bool,
}

/// disable_symlinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// Links are followed.
    Off,
    /// No component may be a symbolic link; with `from`, only those after that prefix are checked.
    On { from: Option<Template> },
    /// A symbolic link must have the same owner as its target.
    IfNotOwner { from: Option<Template> },
    /// No symbolic link may lead out of the root nor, with `hidden`, to a name that begins with a dot.
    Outside { hidden: bool },
}

impl Default for Files {
    fn default() -> Files {
        Files {
            root: Template::default(),
            alias: None,
            index: [Index { file: Template::literal(b"index.html"), absolute: false }].into_iter().collect(),
            types: None,
            default_type: Rc::from(&b"text/plain"[..]),
            sendfile: false,
            log_not_found: true,
            symlinks: Symlinks::Off,
            cache_size: Size(32 << 20),
            repeat_cache_size: Size(8 << 20),
        }
    }
}

//! The charset named in Content-Type, and conversion to it.

use crate::config::template::Template;
use crate::http::media_type;
use crate::util::checkpoint;
use crate::util::hash::FastMap;
use std::rc::Rc;

/// charset, source_charset, charset_types, override_charset.
#[derive(Clone, Debug)]
pub struct Charset {
    /// `charset`; None: off.
    pub name: Option<Template>,
    /// The charset of files; they are converted if it differs.
    pub source: Option<Template>,
    /// Whether to convert upstream responses that already have a charset.
    pub override_charset: bool,
    /// charset_types.
    pub types: TypeSet,
}

impl Default for Charset {
    fn default() -> Charset {
        let types = [
            "text/html",
            "text/xml",
            "text/plain",
            "text/vnd.wap.wml",
            "application/javascript",
            "application/rss+xml",
        ];
        Charset { name: None, source: None, override_charset: false, types: TypeSet::of(&types) }
    }
}

/// Media types that a filter applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeSet {
    /// `*`.
    All,
    /// Media types in lower case, each with whether the configuration names it; the others were added as synonyms.
    These(Rc<FastMap<Box<[u8]>, bool>>),
}

impl TypeSet {
    /// Types as a default has them.
    pub fn of(types: &[&str]) -> TypeSet {
        let mut set = TypeSet::These(Rc::default());
        for name in types {
            set.add(name.as_bytes());
        }
        set
    }

    /// False if it was there already.
    pub fn add(&mut self, name: &[u8]) -> bool {
        checkpoint::pass();
        let TypeSet::These(types) = self else { return true };
        let types = Rc::make_mut(types);
        let name = name.to_ascii_lowercase();
        types.entry(media_type::canonical(&name).into()).or_insert(false);
        types.insert(name.into(), true) != Some(true)
    }

    /// Whether it includes the type of a Content-Type; parameters are ignored.
    pub fn contains(&self, content_type: &[u8]) -> bool {
        let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
        let name = media_type::canonical(content_type[..end].trim_ascii_end());
        match self {
            TypeSet::All => true,
            TypeSet::These(types) => {
                let mut lower = [0; 96];
                match lower.get_mut(..name.len()) {
                    Some(lower) => {
                        lower.copy_from_slice(name);
                        lower.make_ascii_lowercase();
                        types.contains_key(&*lower)
                    }
                    None => types.contains_key(&name.to_ascii_lowercase()[..]),
                }
            }
        }
    }
}

/// How to convert one charset to another.
#[derive(Clone, Debug)]
pub enum Recode {
    /// Byte to byte, so that the length is unchanged.
    Bytes(Rc<[u8; 256]>),
    /// One byte to a character's bytes.
    ToUtf8(Rc<[Box<[u8]>; 256]>),
    /// A code point to its byte; what is missing becomes a reference, as in nginx.
    FromUtf8(Rc<FastMap<u32, u8>>),
}

/// One direction of a charset_map; names are in lower case.
#[derive(Debug)]
pub struct CharsetMap {
    /// The charset of the source.
    pub from: Box<[u8]>,
    /// The charset that is made.
    pub to: Box<[u8]>,
    /// The table.
    pub recode: Recode,
}

//! How a directory is shown.

use super::entries::Links;
use crate::config::settings::listing::Archive;
use crate::exchange::handlers::listing::{Format, Language, Listing, Sort, Totals};
use crate::sys::file::Stat;

/// Everything that a listing depends on besides the URI and the directory's content.
#[derive(Debug)]
pub struct Shape {
    pub format: Format,
    pub exact_size: bool,
    pub utc_offset: i32,
    pub utf8: bool,
    pub callback: Vec<u8>,
    pub sort: Sort,
    pub can_upload: bool,
    pub can_replace: bool,
    pub puts: bool,
    pub can_nest: bool,
    pub can_make: bool,
    pub can_move: bool,
    pub archive: Archive,
    pub can_search: bool,
    pub language: Language,
    pub resumable: bool,
    pub can_delete: bool,
    /// Configured as a page, whatever format this client gets.
    pub is_page: bool,
    pub links: Links,
    /// Names that are not shown.
    pub hidden: Vec<Box<[u8]>>,
}

impl Shape {
    pub fn listing<'a>(&'a self, path: &'a [u8], totals: Totals) -> Listing<'a> {
        Listing {
            format: self.format,
            path,
            exact_size: self.exact_size,
            utc_offset: self.utc_offset,
            utf8: self.utf8,
            callback: &self.callback,
            sort: self.sort,
            totals,
            can_upload: self.can_upload,
            can_replace: self.can_replace,
            puts: self.puts,
            can_nest: self.can_nest,
            can_make: self.can_make,
            can_move: self.can_move,
            archive: self.archive,
            can_search: self.can_search,
            search: None,
            language: self.language,
            resumable: self.resumable,
            can_delete: self.can_delete,
        }
    }

    /// The cache's key for this page of the directory `dir`. None: clients make up callbacks, and would fill the
    /// cache with pages that are never requested again.
    pub fn key(&self, path: &[u8], dir: &Stat) -> Option<Box<[u8]>> {
        if self.format == Format::Jsonp {
            return None;
        }
        let flags = [
            self.format as u8,
            u8::from(self.exact_size),
            u8::from(self.utf8),
            self.sort.key as u8,
            self.sort.order as u8,
            u8::from(self.can_upload),
            u8::from(self.can_replace),
            u8::from(self.puts),
            u8::from(self.can_nest),
            u8::from(self.can_make),
            u8::from(self.can_move),
            self.archive as u8,
            u8::from(self.can_search),
            self.language as u8,
            u8::from(self.resumable),
            u8::from(self.can_delete),
            u8::from(self.links == Links::Bare),
            u8::from(matches!(self.links, Links::Inside { .. })),
            u8::from(matches!(self.links, Links::Inside { hidden: true, .. })),
        ];
        let offset = self.utc_offset.to_ne_bytes();
        let hidden = self.hidden.join(&b'\0');
        let root: &[u8] = if let Links::Inside { root, .. } = &self.links { root } else { b"" };
        Some(
            [&flags[..], &offset, &dir.dev.to_ne_bytes(), &dir.ino.to_ne_bytes(), path, b"\0", root, b"\0", &hidden]
                .concat()
                .into(),
        )
    }
}

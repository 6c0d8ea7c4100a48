//! How a directory is shown.

use crate::exchange::handlers::listing::{Format, View};
use crate::exchange::random_draw::Links;
use crate::sys::file::Stat;

/// Everything that a listing depends on besides the URI and the directory's content.
#[derive(Debug)]
pub struct Shape {
    /// How the page looks to this client.
    pub view: View,
    /// Configured as a page, whatever format this client gets.
    pub is_page: bool,
    /// What becomes of symbolic links.
    pub links: Links,
    /// Names that are not shown.
    pub hidden: Vec<Box<[u8]>>,
}

impl Shape {
    /// The cache's key for this page of the directory `dir`. None: clients make up callbacks, and would fill the
    /// cache with pages that are never requested again.
    pub fn key(&self, path: &[u8], dir: &Stat) -> Option<Box<[u8]>> {
        let view = &self.view;
        if view.format == Format::Jsonp {
            return None;
        }
        let flags = [
            view.format as u8,
            u8::from(view.exact_size),
            u8::from(view.utf8),
            view.sort.key as u8,
            view.sort.order as u8,
            u8::from(view.can_upload),
            u8::from(view.can_replace),
            u8::from(view.puts),
            u8::from(view.can_nest),
            u8::from(view.takes_any_name),
            u8::from(view.can_make),
            u8::from(view.can_move),
            view.archive as u8,
            u8::from(view.can_search),
            view.language as u8,
            u8::from(view.resumable),
            u8::from(view.can_delete),
            u8::from(view.deletes_all),
            u8::from(self.links == Links::Bare),
            u8::from(matches!(self.links, Links::Inside { .. })),
            u8::from(matches!(self.links, Links::Inside { hidden: true, .. })),
        ];
        let offset = view.utc_offset.to_ne_bytes();
        // Names are apart by one zero, lists by two.
        let (hidden, kept) = (self.hidden.join(&b'\0'), view.kept.join(&b'\0'));
        let root: &[u8] = if let Links::Inside { root, .. } = &self.links { root } else { b"" };
        Some(
            [
                &flags[..],
                &offset,
                &dir.dev.to_ne_bytes(),
                &dir.ino.to_ne_bytes(),
                path,
                b"\0",
                root,
                b"\0\0",
                &kept,
                b"\0\0",
                &hidden,
            ]
            .concat()
            .into(),
        )
    }
}

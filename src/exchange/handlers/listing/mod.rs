//! Directory listings, rendered: nginx's autoindex formats byte for byte, and our own readable page.
//!
//! Pure functions from entries to bytes. Reading the directory, deciding who may see, upload or delete,
//! and sending are the caller's; nothing here does I/O, reads a clock or panics on any name.
//!
//! The caller collects the entries (dotfiles left out, as nginx does), sorts them with
//! [`Listing::compare`], calls [`Listing::head`] once, [`Listing::entry`] for each with its index, in as
//! many slices as it likes, and [`Listing::tail`] once. All append to one buffer.
//!
//! Invariant: what an entry is called never becomes markup, and a link leads to exactly that entry
//! (bytes that are not UTF-8 included).

mod escape;
mod nginx;
mod page;
mod query;
mod sort;
mod time;

pub use page::{PAGE_CSP, confirm_delete};
pub use query::{DELETE_FIELD, InvalidCallback, callback, delete_from_form, delete_from_query};
pub use sort::{Key, Order, Sort};

use std::cmp::Ordering;

/// What an entry is, links followed; a dangling link counts as what lstat says, that is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Dir,
    File,
    Other,
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The bare name: any bytes but NUL and `/`.
    pub name: &'a [u8],
    pub kind: Kind,
    /// Bytes; shown for all but directories (html) or for files only (json, xml).
    pub size: u64,
    /// Seconds since 1970, UTC.
    pub mtime: i64,
}

/// `autoindex_format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Html,
    Json,
    /// Without a callback in the query, nginx (and the caller) uses `Json` instead.
    Jsonp,
    Xml,
    /// Ours: UTF-8, accessible, sortable by link; implied by `autoindex_upload on`.
    Page,
}

impl Format {
    /// The Content-Type of the response. nginx sends `Html` without a charset of its own (the location's
    /// `charset` adds one), `Xml` always as UTF-8; our page is always UTF-8.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Html => "text/html",
            Format::Json => "application/json",
            Format::Jsonp => "application/javascript",
            Format::Xml => "text/xml; charset=utf-8",
            Format::Page => "text/html; charset=utf-8",
        }
    }
}

/// What the directory holds in all, for the line under the page's heading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub dirs: usize,
    pub files: usize,
    /// Bytes in files.
    pub bytes: u64,
}

/// How one directory is to be shown. Borrowed for the call; cheap to make anew for each slice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listing<'a> {
    pub format: Format,
    /// The decoded path of the URI; begins and ends with `/`.
    pub path: &'a [u8],
    /// `autoindex_exact_size` (html only; nginx's default is on).
    pub exact_size: bool,
    /// Seconds east of UTC to show times in: nonzero with `autoindex_localtime on` (html and page).
    pub utc_offset: i32,
    /// The response's charset is utf-8: html then counts characters instead of bytes, as nginx does.
    pub utf8: bool,
    /// jsonp: a name that [`callback`] has let pass.
    pub callback: &'a [u8],
    /// page: the order asked for, from [`Sort::from_query`].
    pub sort: Sort,
    /// page: what the directory holds.
    pub totals: Totals,
    /// page: `autoindex_upload on`, and POST is allowed to this client here.
    pub can_upload: bool,
    /// page: PUT is allowed too, which replaces a file in one step.
    pub can_replace: bool,
    /// page: `upload_resumable` speaks tus here.
    pub resumable: bool,
    /// page: `autoindex_upload on`, and DELETE is allowed to this client here.
    pub can_delete: bool,
}

impl Listing<'_> {
    /// The order of this listing: for the page what the query asks for, else nginx's (directories first,
    /// then the names' bytes).
    pub fn compare(&self, a: &Entry<'_>, b: &Entry<'_>) -> Ordering {
        match self.format {
            Format::Page => self.sort.compare(a, b),
            _ => (a.kind != Kind::Dir).cmp(&(b.kind != Kind::Dir)).then_with(|| a.name.cmp(b.name)),
        }
    }

    /// Everything before the first entry.
    pub fn head(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Html => nginx::html_head(self, out),
            Format::Json => nginx::json_head(None, out),
            Format::Jsonp => nginx::json_head(Some(self.callback), out),
            Format::Xml => nginx::xml_head(out),
            Format::Page => page::head(self, out),
        }
    }

    /// One entry; `index` counts from 0 in sorted order (json separates by it).
    pub fn entry(&self, index: usize, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match self.format {
            Format::Html => nginx::html_entry(self, entry, out),
            Format::Json | Format::Jsonp => nginx::json_entry(index, entry, out),
            Format::Xml => nginx::xml_entry(entry, out),
            Format::Page => page::entry(self, entry, out),
        }
    }

    /// Everything after the last entry.
    pub fn tail(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Html => nginx::html_tail(out),
            Format::Json => out.extend_from_slice(b"\r\n]"),
            Format::Jsonp => out.extend_from_slice(b"\r\n]);"),
            Format::Xml => nginx::xml_tail(out),
            Format::Page => page::tail(self, out),
        }
    }
}

#[cfg(test)]
mod tests;

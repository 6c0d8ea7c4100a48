//! Directory listings, rendered: nginx's autoindex formats byte for byte, and our own readable page.
//!
//! Pure functions from entries to bytes. Reading the directory, deciding who may see, upload or delete,
//! and sending are the caller's; nothing here does I/O, reads a clock or panics on any name.
//!
//! The caller collects the entries (dotfiles left out, as nginx does), sorts them with
//! [`Listing::compare`], calls [`Listing::head`] once, [`Listing::entry`] for each with its index, in as
//! many slices as it likes, and [`Listing::tail`] once. All append to one buffer.
//!
//! Invariant: an entry's name never becomes markup, and a link leads to exactly that entry (also for names that are
//! not UTF-8).

mod entry;
mod escape;
mod kind;
mod nginx;
mod page;
mod query;
mod refused;
mod sort;
mod time;
mod words;

pub use entry::{Format, Listing, Searched, Totals, View};
pub use kind::{Entry, Kind};
pub use page::{PAGE_CSP, ask_where, confirm_delete};
pub use query::{
    Asked, DELETE_FIELD, FormAction, InvalidCallback, NotStored, PageAction, SentForm, asked, callback,
    delete_from_form, delete_from_query, move_from_query, resolve, search_from_query,
};
pub use refused::refused;
pub use sort::{Key, Order, Sort};
pub use words::Language;

use std::cmp::Ordering;

impl Listing<'_> {
    /// The order of this listing: for the page the one that the query requests, otherwise nginx's (directories first,
    /// then by the bytes of the names).
    pub fn compare(&self, a: &Entry<'_>, b: &Entry<'_>) -> Ordering {
        match self.view.format {
            Format::Page => self.view.sort.compare(a, b),
            _ => (a.kind != Kind::Dir).cmp(&(b.kind != Kind::Dir)).then_with(|| a.name.cmp(b.name)),
        }
    }

    /// Everything before the first entry.
    pub fn head(&self, out: &mut Vec<u8>) {
        match self.view.format {
            Format::Html => nginx::html_head(self, out),
            Format::Json => nginx::json_head(None, out),
            Format::Jsonp => nginx::json_head(Some(&self.view.callback), out),
            Format::Xml => nginx::xml_head(out),
            Format::Page => page::head(self, out),
        }
    }

    /// One entry; `index` counts from 0 in sorted order (json separates by it).
    pub fn entry(&self, index: usize, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match self.view.format {
            Format::Html => nginx::html_entry(self, entry, out),
            Format::Json | Format::Jsonp => nginx::json_entry(index, entry, out),
            Format::Xml => nginx::xml_entry(entry, out),
            Format::Page => page::entry(self, index, entry, out),
        }
    }

    /// Everything after the last entry.
    pub fn tail(&self, out: &mut Vec<u8>) {
        match self.view.format {
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

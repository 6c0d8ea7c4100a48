//! What a listing shows, as data: entries, and how the directory is shown.

use super::sort::Sort;
use super::words::Language;
pub use crate::config::settings::listing::Archive;

/// `autoindex_format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// nginx's page; the default.
    #[default]
    Html,
    /// An array of objects.
    Json,
    /// Without a callback in the query, nginx (and the caller) uses `Json` instead.
    Jsonp,
    /// A `list` element.
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

/// What the directory contains in total, for the line under the page's heading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Directories.
    pub dirs: usize,
    /// Files, and whatever is no directory.
    pub files: usize,
    /// Bytes in files.
    pub bytes: u64,
}

/// A search, for the page of its results.
#[derive(Clone, Copy, Debug)]
pub struct Searched<'a> {
    /// As the client wrote it.
    pub text: &'a [u8],
    /// Everything below was searched.
    pub is_all: bool,
}

/// How a directory is shown to one client: what its listings depend on besides its content.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The format that this client gets.
    pub format: Format,
    /// `autoindex_exact_size` (html only; nginx's default is on).
    pub exact_size: bool,
    /// Seconds east of UTC to show times in: nonzero with `autoindex_localtime on` (html and page).
    pub utc_offset: i32,
    /// The response's charset is utf-8: html then counts characters instead of bytes, as nginx does.
    pub utf8: bool,
    /// jsonp: a name that [`callback`](super::callback) has let pass.
    pub callback: Vec<u8>,
    /// page: the requested order, from [`Sort::from_query`].
    pub sort: Sort,
    /// page: `autoindex_upload on`, and POST is allowed to this client here.
    pub can_upload: bool,
    /// page: a file may replace another: by PUT, or by a POST that asks for it.
    pub can_replace: bool,
    /// page: files are sent by PUT.
    pub puts: bool,
    /// page: `upload_create_path on`: files may have folders in their names.
    pub can_nest: bool,
    /// page: `upload_names any`: files that begin with a dot are stored, too.
    pub takes_any_name: bool,
    /// page: folders may be made here, and entries renamed and moved.
    pub can_make: bool,
    /// page: entries may be renamed and moved.
    pub can_move: bool,
    /// page: `autoindex_archive`.
    pub archive: Archive,
    /// page: the folder can be searched.
    pub can_search: bool,
    /// page: the language of its words.
    pub language: Language,
    /// page: `upload_resumable` speaks tus here.
    pub resumable: bool,
    /// page: `autoindex_upload on`, and DELETE is allowed to this client here.
    pub can_delete: bool,
    /// page: a folder is deleted with what is in it.
    pub deletes_all: bool,
    /// page: folders that are neither moved nor deleted, since the configuration relies on them or on what they hold.
    pub kept: Vec<Box<[u8]>>,
}

impl View {
    /// The listing of the directory `path`.
    pub fn of<'a>(&'a self, path: &'a [u8], totals: Totals) -> Listing<'a> {
        Listing { view: self, path, totals, search: None }
    }
}

/// One listing. Borrowed for the call; cheap to make for each slice.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// How it is shown.
    pub view: &'a View,
    /// The decoded path of the URI; begins and ends with `/`.
    pub path: &'a [u8],
    /// page: what the directory contains.
    pub totals: Totals,
    /// The search, if the entries are results: they are named by their paths from here.
    pub search: Option<Searched<'a>>,
}

//! Directory listings.

use crate::config::value::Size;

/// autoindex and its siblings.
#[derive(Clone, Debug)]
pub struct Listing {
    /// `autoindex`.
    pub on: bool,
    /// `autoindex_format`; with `upload`, the format is always the page.
    pub format: Format,
    /// Bytes, not rounded (html).
    pub exact_size: bool,
    /// The machine's local time, not UTC (html and page).
    pub localtime: bool,
    /// Whether the page has upload and delete controls.
    pub upload: bool,
    /// Whether the page offers a directory with all its contents as one archive.
    pub archive: Archive,
    /// `autoindex_search`: whether the page can search below the directory.
    pub search: bool,
    /// Whether a directory is answered with one of its files, chosen at random.
    pub random: bool,
    /// Maximum bytes of cached listings; 0: none. Set at the http level.
    pub cache_size: Size,
}

/// The words of `autoindex_archive`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Archive {
    /// No archive is offered.
    #[default]
    Off,
    /// zip.
    Zip,
    /// tar.
    Tar,
}

/// The words of `autoindex_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// nginx's page.
    Html,
    Json,
    Xml,
    Jsonp,
    /// webserv's own page.
    Page,
}

impl Default for Listing {
    fn default() -> Listing {
        Listing {
            on: false,
            format: Format::Html,
            exact_size: true,
            localtime: false,
            upload: false,
            archive: Archive::Off,
            search: true,
            random: false,
            cache_size: Size(8 << 20),
        }
    }
}

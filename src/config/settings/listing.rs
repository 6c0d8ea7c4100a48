//! Listings of directories.

use crate::config::value::Size;

#[derive(Clone, Debug)]
pub struct Listing {
    pub on: bool,
    /// `autoindex_format`; with `upload` the listing is always the page.
    pub format: Format,
    pub exact_size: bool,
    pub localtime: bool,
    /// The page shows upload and delete controls.
    pub upload: bool,
    /// The page offers everything below a folder as one file.
    pub archive: Archive,
    /// `autoindex_search`: the page searches below the folder.
    pub search: bool,
    /// A directory answers with one of its files, picked at random.
    pub random: bool,
    /// Most bytes of rendered listings that are cached; 0: none. Set at the http level.
    pub cache_size: Size,
}

/// The words of `autoindex_archive`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Archive {
    #[default]
    Off,
    Zip,
    Tar,
}

/// The words of `autoindex_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Html,
    Json,
    Xml,
    Jsonp,
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

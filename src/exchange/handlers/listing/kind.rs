//! An entry of a directory, as data.

/// What an entry is, links followed; a dangling link counts as what lstat says, that is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Dir,
    File,
    /// A socket, a device, a dangling link: shown and not opened.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The bare name: any bytes but NUL and `/`.
    pub name: &'a [u8],
    /// With links followed where the location follows them.
    pub kind: Kind,
    /// Bytes; shown for all but directories (html) or for files only (json, xml).
    pub size: u64,
    /// Seconds since 1970, UTC.
    pub mtime: i64,
}

//! What the parameters of an application server say about the files that it runs or loads: the table that the warning
//! of `-t` and the check of each request share.
//!
//! php-fpm uses PATH_TRANSLATED if there is no SCRIPT_FILENAME, fcgiwrap and the like use DOCUMENT_ROOT and
//! SCRIPT_NAME; uWSGI loads what its own parameters name, and its plugins for CGI and PHP use DOCUMENT_ROOT.

/// The meaning of a parameter for programs that run files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The file to run.
    Filename,
    /// The file to run if there is no [`Role::Filename`].
    Translated,
    /// The directory that [`Role::Name`] and [`Role::PathInfo`] lie below.
    Root,
    Name,
    PathInfo,
    /// A file that uWSGI loads, whatever the plugin; without a slash it is the name of a module.
    Loaded,
    /// A directory that uWSGI loads modules from, whatever the plugin.
    LoadedFrom,
}

/// The role of the parameter of that name.
pub fn role(name: &[u8]) -> Option<Role> {
    Some(match name {
        b"SCRIPT_FILENAME" => Role::Filename,
        b"PATH_TRANSLATED" => Role::Translated,
        b"DOCUMENT_ROOT" => Role::Root,
        b"SCRIPT_NAME" => Role::Name,
        b"PATH_INFO" => Role::PathInfo,
        b"UWSGI_FILE" | b"UWSGI_SCRIPT" => Role::Loaded,
        b"UWSGI_CHDIR" | b"UWSGI_PYHOME" => Role::LoadedFrom,
        _ => return None,
    })
}

/// Whether uWSGI's plugin of that number (`uwsgi_modifier1`) runs files of the request: CGI and PHP do.
pub fn runs_files(modifier: u64) -> bool {
    matches!(modifier, 9 | 14)
}

//! Which parameters tell an application server what file to execute or load: the table behind the warning of `-t` and
//! the check of each request.
//!
//! php-fpm uses PATH_TRANSLATED if SCRIPT_FILENAME is missing, fcgiwrap and the like use DOCUMENT_ROOT and SCRIPT_NAME;
//! uWSGI loads what its own parameters name, and its CGI and PHP plugins use DOCUMENT_ROOT.

/// How an application server uses a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The file to run.
    Filename,
    /// The file to execute if [`Role::Filename`] is missing.
    Translated,
    /// The directory to which [`Role::Name`] and [`Role::PathInfo`] are relative.
    Root,
    /// The script's part of the URI.
    Name,
    /// What follows it in the URI.
    PathInfo,
    /// A file that uWSGI loads with any plugin; without a slash, the name of a module.
    Loaded,
    /// A directory from which uWSGI loads modules with any plugin.
    LoadedFrom,
}

/// The role of the parameter with this name.
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

/// Whether the uWSGI plugin with this number (`uwsgi_modifier1`) executes files named by the request: CGI and PHP do.
pub fn runs_files(modifier: u64) -> bool {
    matches!(modifier, 9 | 14)
}
